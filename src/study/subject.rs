//! A case on a model: all that does not depend on ε, and the judging of what does.

use super::Measure;
use crate::attack::{Direction, Method, Objective, Reference};
use crate::data::{Case, Mask};
use crate::metric;
use crate::model::{Head, Logits, Model, ModelError, check_room};
use crate::tensor;
use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, softmax};
use std::sync::Arc;

/// A case on a model.
pub struct Subject {
    /// The case.
    pub case: Arc<Case>,
    /// The model.
    pub model: Arc<dyn Model>,
    /// The image, `[1, channels, h, w]` in `[0, 1]`, on the model's device.
    pub x: Tensor<4>,
    /// The same values on the host.
    original: Vec<f32>,
    /// The clean image, judged.
    pub clean: Judged,
    /// What the loss and the measures compare with.
    pub reference: Mask,
    /// Whose word that is.
    pub reference_kind: Reference,
}

/// An image that the model has seen.
#[derive(Clone)]
pub struct Judged {
    /// P(positive class), `[1, 1, h, w]`, on the model's device.
    pub probability: Tensor<4>,
    /// The predicted class per pixel.
    pub predicted: Mask,
    /// Measures against the subject's reference.
    pub measure: Measure,
}

impl Subject {
    /// Runs the model on the clean image. With no label, the clean prediction becomes the reference.
    ///
    /// # Errors
    /// If the image does not fit the model (channels, size of the label), or the device fails.
    pub fn new(case: Arc<Case>, model: Arc<dyn Model>) -> Result<Self, ModelError> {
        let card = model.card();
        if case.image.channels != 1 && case.image.channels != card.channels {
            return Err(ModelError::Channels { image: case.image.channels, model: card.channels });
        }
        let [height, width] = case.size();
        check_room(height, width, model.working_bytes(height, width))?;
        let x = tensor::image_to_unit(&case.image, case.bounds, &model.device());
        let (probability, predicted) = predict(model.as_ref(), x.clone())?;
        let original = tensor::to_host(x.clone())?;
        Self::judged(case, model, x, original, probability, predicted)
    }

    /// The same image with another label (or none), without running the model again.
    ///
    /// # Errors
    /// If the label is not of the image's size, or the device fails.
    pub fn relabel(&self, label: Option<Mask>) -> Result<Self, ModelError> {
        let case = Arc::new(Case { label, ..(*self.case).clone() });
        let Judged { probability, predicted, .. } = self.clean.clone();
        Self::judged(case, self.model.clone(), self.x.clone(), self.original.clone(), probability, predicted)
    }

    fn judged(
        case: Arc<Case>,
        model: Arc<dyn Model>,
        x: Tensor<4>,
        original: Vec<f32>,
        probability: Tensor<4>,
        predicted: Mask,
    ) -> Result<Self, ModelError> {
        let (reference, reference_kind) = match &case.label {
            Some(label) if [label.height, label.width] == case.size() => (label.clone(), Reference::Label),
            Some(label) => {
                return Err(ModelError::LabelSize { image: case.size(), label: [label.height, label.width] });
            }
            None => (predicted.clone(), Reference::CleanPrediction),
        };
        let positive = model.card().positive_class;
        let measure = measure(positive, &reference, &probability, &predicted, &original, &original)?;
        Ok(Self {
            x,
            original,
            clean: Judged { probability, predicted, measure },
            reference,
            reference_kind,
            case,
            model,
        })
    }

    /// The loss that attacks raise.
    pub fn objective(&self) -> Objective {
        let card = self.model.card();
        Objective::segmentation(card.head, card.positive_class, &self.reference, &self.model.device())
    }

    /// The direction of `method` on this image.
    ///
    /// # Errors
    /// If the device fails.
    pub fn direction(&self, method: Method) -> Result<Direction, ModelError> {
        Ok(method.direction(self.model.as_ref(), &self.x, &self.objective()))
    }

    /// Runs the model on `image`, `[1, channels, h, w]` in `[0, 1]`, and compares with the reference.
    ///
    /// # Errors
    /// If the device fails.
    pub fn judge(&self, image: &Tensor<4>) -> Result<Judged, ModelError> {
        let (probability, predicted) = predict(self.model.as_ref(), image.clone())?;
        let changed = tensor::to_host(image.clone())?;
        let positive = self.model.card().positive_class;
        let measure = measure(positive, &self.reference, &probability, &predicted, &self.original, &changed)?;
        Ok(Judged { probability, predicted, measure })
    }
}

/// P(positive class), `[1, 1, h, w]`, and the predicted class per pixel of the first image of `x`.
fn predict(model: &dyn Model, x: Tensor<4>) -> Result<(Tensor<4>, Mask), ModelError> {
    let card = model.card();
    let Logits::Dense(logits) = model.logits(x) else { return Err(ModelError::NotSegmentation) };
    let [_, _, height, width] = logits.dims();
    let positive = card.positive_class;
    let negative = 1 - positive.min(1);
    let (probability, classes) = match card.head {
        Head::Sigmoid => {
            let probability = sigmoid(logits);
            let host = tensor::to_host(probability.clone())?;
            let classes: Arc<[u8]> = host.iter().map(|&p| if p >= 0.5 { positive } else { negative }).collect();
            (probability, classes)
        }
        Head::Softmax => {
            let probability = softmax(logits, 1);
            let index = probability.clone().argmax(1).try_into_vec_as::<i32>().map_err(ModelError::device)?;
            let classes: Arc<[u8]> = index.iter().map(|&c| u8::try_from(c).unwrap_or(crate::data::IGNORE)).collect();
            (probability.narrow(1, usize::from(positive), 1), classes)
        }
    };
    Ok((probability, Mask { height, width, classes }))
}

fn measure(
    positive: u8,
    reference: &Mask,
    probability: &Tensor<4>,
    predicted: &Mask,
    original: &[f32],
    changed: &[f32],
) -> Result<Measure, ModelError> {
    let probability = tensor::to_host(probability.clone())?;
    let (error, confusion) = metric::segmentation(reference, positive, &probability, &predicted.classes);
    Ok(Measure { error, overlap: confusion.overlap(), distortion: metric::distortion(original, changed) })
}
