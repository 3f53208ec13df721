//! From logits to classes, once for all who judge a model.

use super::{Head, Logits, Model, ModelCard, ModelError};
use crate::data::{IGNORE, Mask};
use crate::tensor;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Int, Tensor};
use std::sync::Arc;

/// What a segmentation model says of one image.
#[derive(Clone)]
pub struct Prediction {
    /// P(positive class), `[1, 1, h, w]`, on the model's device.
    pub probability: Tensor<4>,
    /// The same values on the host, row-major.
    pub on_host: Arc<[f32]>,
    /// The predicted class per pixel. Sigmoid head: the positive class where its probability is at least ½. Softmax
    /// head: the most probable class, whatever its probability.
    pub predicted: Mask,
}

/// Runs `model` on `x`, one image `[1, channels, h, w]` in `[0, 1]`.
///
/// # Errors
/// If the model classifies whole images, a probability is not finite, or the device fails.
pub fn predict(model: &dyn Model, x: Tensor<4>) -> Result<Prediction, ModelError> {
    prediction(model.card(), model.logits(x)?)
}

/// What the logits of one image say, as [`predict`] has them.
///
/// # Errors
/// As there.
pub fn prediction(card: &ModelCard, logits: Logits) -> Result<Prediction, ModelError> {
    let Logits::Dense(logits) = logits else { return Err(ModelError::NotSegmentation) };
    let [_, _, height, width] = logits.dims();
    let positive = card.positive_class;
    let (probability, winner) = on_device(card, logits);
    let winner = winner.map(|w| w.try_into_vec_as::<i32>()).transpose().map_err(ModelError::device)?;
    let on_host: Arc<[f32]> = tensor::to_host(probability.clone())?.into();
    // One logit that is NaN makes every class of its pixel NaN, so that the positive class is enough to look at.
    let broken = on_host.iter().filter(|p| !p.is_finite()).count();
    if broken > 0 {
        return Err(ModelError::NotFinite { model: card.name.clone(), pixels: broken, of: on_host.len() });
    }
    let negative = 1 - positive.min(1);
    let classes = match winner {
        None => on_host.iter().map(|&p| if p >= 0.5 { positive } else { negative }).collect(),
        Some(winner) => winner.iter().map(|&c| u8::try_from(c).unwrap_or(IGNORE)).collect(),
    };
    Ok(Prediction { probability, on_host, predicted: Mask { height, width, classes } })
}

/// P(positive class) of one image's dense logits, and of a softmax head the most probable class of each pixel, both `[1, 1, h, w]`:
/// nothing is read from the device.
pub fn on_device(card: &ModelCard, logits: Tensor<4>) -> (Tensor<4>, Option<Tensor<4, Int>>) {
    match card.head {
        Head::Sigmoid => (sigmoid(logits), None),
        Head::Softmax => {
            let all = softmax(logits, 1);
            let winner = all.clone().argmax(1);
            (all.narrow(1, usize::from(card.positive_class), 1), Some(winner))
        }
    }
}

/// What a classification model says of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Classified {
    /// A logit for each class; of a sigmoid head z for the positive class and 0 for the other.
    pub logits: Arc<[f32]>,
    /// The probability of each class.
    pub probabilities: Arc<[f32]>,
    /// The class with the largest logit, the first of several; the positive one of a sigmoid head where z ≥ 0.
    pub predicted: usize,
}

impl Classified {
    /// From the `card.outputs()` logits of one image.
    pub fn new(card: &ModelCard, outputs: &[f32]) -> Self {
        let positive = usize::from(card.positive_class.min(1));
        let (logits, predicted) = match (card.head, outputs) {
            (Head::Sigmoid, &[z]) => {
                let mut logits = [0.0; 2];
                logits[positive] = z;
                (logits.to_vec(), if z >= 0.0 { positive } else { 1 - positive })
            }
            _ => {
                let best = |best: usize, (i, z): (usize, &f32)| if *z > outputs[best] { i } else { best };
                (outputs.to_vec(), outputs.iter().enumerate().fold(0, best))
            }
        };
        Self { logits: logits.into(), probabilities: class_probabilities(card, outputs).into(), predicted }
    }

    /// The logit of `class` less the largest of the others: positive where it wins. 0 for a class that there is not.
    pub fn margin(&self, class: usize) -> f32 {
        let others = self.logits.iter().enumerate().filter(|(i, _)| *i != class).map(|(_, z)| *z);
        let largest = others.fold(f32::NEG_INFINITY, f32::max);
        self.logits.get(class).map_or(0.0, |z| z - largest)
    }
}

/// Runs `model` on images `x`, `[batch, channels, h, w]` in `[0, 1]`.
///
/// # Errors
/// If the model segments, a logit is not finite, or the device fails.
pub fn classify(model: &dyn Model, x: Tensor<4>) -> Result<Vec<Classified>, ModelError> {
    classified(model.card(), model.logits(x)?)
}

/// What the logits of images say, as [`classify`] has them.
///
/// # Errors
/// As there.
pub fn classified(card: &ModelCard, logits: Logits) -> Result<Vec<Classified>, ModelError> {
    let Logits::Class(logits) = logits else { return Err(ModelError::NotClassification) };
    let outputs = logits.dims()[1].max(1);
    let values = tensor::to_host(logits)?;
    if values.iter().any(|z| !z.is_finite()) {
        return Err(ModelError::ClassesNotFinite { model: card.name.clone() });
    }
    Ok(values.chunks_exact(outputs).map(|row| Classified::new(card, row)).collect())
}

/// The probability of each class, from one image's class logits (`card.outputs()` of them).
pub fn class_probabilities(card: &ModelCard, logits: &[f32]) -> Vec<f32> {
    match (card.head, logits) {
        (Head::Sigmoid, &[z]) => {
            let p = 1.0 / (1.0 + (-z).exp());
            if card.positive_class == 0 { vec![p, 1.0 - p] } else { vec![1.0 - p, p] }
        }
        _ => {
            let most = logits.iter().fold(f32::NEG_INFINITY, |most, &z| most.max(z));
            let parts: Vec<f32> = logits.iter().map(|&z| (z - most).exp()).collect();
            let sum: f32 = parts.iter().sum();
            parts.into_iter().map(|part| part / sum).collect()
        }
    }
}
