//! How a network does on the held-out images at the end of an epoch: cheap enough to be done every time.
//!
//! The measures are not burn's: those (of burn-train) average the Dice of batches, whatever images share one, count every pixel, and
//! have no IoU. Here pixels are counted over all images, those that are to be ignored left out, and divided once.

use super::TrainError;
use crate::data::{Case, IGNORE, Mask};
use crate::model::{Model, ModelError, Prediction, predict};
use crate::tensor;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Measures over the held-out images. IoU and Dice of a class that is nowhere, in label or prediction, are 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// How many images.
    pub images: usize,
    /// Dice over all pixels: of the positive class, of several classes the mean over all but class 0.
    pub dice: f64,
    /// Intersection over union, likewise.
    pub iou: f64,
    /// The mean over images of the mean IoU over all classes, background included.
    pub miou_image: f64,
    /// The mean over all classes of the IoU over all pixels.
    pub miou_dataset: f64,
    /// Share of pixels whose predicted class is not the label's.
    pub wrong: f64,
    /// Share of the terms of [`Self::miou_image`], a class of an image each, that are 1 because the class is neither in the label nor
    /// found.
    #[serde(default)]
    pub empty: f64,
}

/// What the network makes of one image.
#[derive(Clone, Debug)]
pub struct SamplePrediction {
    /// The image's name.
    pub name: String,
    /// `[channels, height, width]`.
    pub shape: [usize; 3],
    /// The image in [0, 1].
    pub image: Arc<[f32]>,
    /// Its label.
    pub label: Mask,
    /// P(positive class), `[height, width]`.
    pub probability: Arc<[f32]>,
    /// The predicted class of each pixel.
    pub predicted: Mask,
}

/// Pixels by class: in both, only predicted, only true.
#[derive(Clone, Default)]
pub(crate) struct Counts(Vec<[u64; 3]>);

impl Counts {
    pub fn new(classes: usize) -> Self {
        Self(vec![[0; 3]; classes])
    }

    /// Adds an image; how many pixels count and how many of them are wrong.
    pub fn add(&mut self, label: &Mask, predicted: &Mask) -> (u64, u64) {
        let (mut pixels, mut wrong) = (0, 0);
        for (&truth, &found) in label.classes.iter().zip(predicted.classes.iter()) {
            if truth == IGNORE {
                continue;
            }
            pixels += 1;
            if truth == found {
                if let Some(count) = self.0.get_mut(usize::from(truth)) {
                    count[0] += 1;
                }
                continue;
            }
            wrong += 1;
            for (class, which) in [(found, 1), (truth, 2)] {
                if let Some(count) = self.0.get_mut(usize::from(class)) {
                    count[which] += 1;
                }
            }
        }
        (pixels, wrong)
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            (0..3).for_each(|i| mine[i] += theirs[i]);
        }
    }

    fn iou(&self, class: usize) -> f64 {
        let [both, predicted, truth] = self.0[class];
        let union = both + predicted + truth;
        if union == 0 { 1.0 } else { both as f64 / union as f64 }
    }

    /// How many classes are nowhere.
    fn empty(&self) -> usize {
        self.0.iter().filter(|count| **count == [0; 3]).count()
    }

    fn dice(&self, class: usize) -> f64 {
        let iou = self.iou(class);
        2.0 * iou / (1.0 + iou)
    }

    /// The mean IoU over all classes.
    pub fn mean_iou(&self) -> f64 {
        (0..self.0.len()).map(|class| self.iou(class)).sum::<f64>() / self.0.len().max(1) as f64
    }
}

/// The mean IoU over all classes of a mask that calls every pixel `class`: what a network must exceed to have learned anything.
pub fn constant_miou(label: &Mask, class: u8, classes: usize) -> f64 {
    let mut counts = Counts::new(classes);
    counts.add(label, &Mask { classes: vec![class; label.classes.len()].into(), ..label.clone() });
    counts.mean_iou()
}

/// Runs `model` on labelled cases; those without a label are left out. The first `samples` predictions are kept.
///
/// # Errors
/// If a case does not fit the model, a probability is not finite, or the device fails.
pub fn validate(
    model: &dyn Model,
    cases: &[Case],
    samples: usize,
) -> Result<(Validation, Vec<SamplePrediction>), TrainError> {
    let card = model.card();
    let classes = card.classes.len().max(2);
    let (mut total, mut miou, mut images, mut empty) = (Counts::new(classes), 0.0, 0usize, 0usize);
    let (mut pixels, mut wrong) = (0, 0);
    let mut kept = Vec::new();
    for case in cases {
        let Some(label) = &case.label else { continue };
        if case.image.channels != 1 && case.image.channels != card.channels {
            return Err(ModelError::Channels { image: case.image.channels, model: card.channels }.into());
        }
        let x = tensor::image_to_unit(&case.image, case.bounds, &model.device());
        let Prediction { on_host, predicted, .. } = predict(model, x.clone())?;
        let mut counts = Counts::new(classes);
        let (counted, missed) = counts.add(label, &predicted);
        (pixels, wrong) = (pixels + counted, wrong + missed);
        miou += counts.mean_iou();
        empty += counts.empty();
        total.merge(&counts);
        images += 1;
        if kept.len() < samples {
            kept.push(SamplePrediction {
                name: case.name.clone(),
                shape: [case.image.channels, case.image.height, case.image.width],
                image: tensor::to_host(x)?.into(),
                label: label.clone(),
                probability: on_host,
                predicted,
            });
        }
    }
    let positive: Vec<usize> =
        if classes == 2 { vec![usize::from(card.positive_class)] } else { (1..classes).collect() };
    let mean = |of: &dyn Fn(usize) -> f64| positive.iter().map(|&c| of(c)).sum::<f64>() / positive.len() as f64;
    let found = Validation {
        images,
        dice: mean(&|class| total.dice(class)),
        iou: mean(&|class| total.iou(class)),
        miou_image: miou / images.max(1) as f64,
        miou_dataset: total.mean_iou(),
        wrong: wrong as f64 / pixels.max(1) as f64,
        empty: empty as f64 / (images * classes).max(1) as f64,
    };
    Ok((found, kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_hand() {
        let mask = |classes: &[u8]| Mask { height: 1, width: classes.len(), classes: classes.into() };
        let mut counts = Counts::new(3);
        assert_eq!(counts.add(&mask(&[0, 0, 1, 1, IGNORE]), &mask(&[0, 1, 1, 1, 0])), (4, 1));
        assert_eq!((counts.iou(0), counts.iou(1), counts.iou(2)), (0.5, 2.0 / 3.0, 1.0));
        assert!((counts.mean_iou() - (0.5 + 2.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12);
        assert!((counts.dice(1) - 0.8).abs() < 1e-12);
        assert_eq!(counts.empty(), 1, "the third class is neither in the label nor found");
    }

    #[test]
    fn what_calls_everything_one_class_gets() {
        let label = Mask { height: 1, width: 6, classes: [0, 0, 0, 1, IGNORE, 0].into() };
        // Four of five are background: (4/5 + 0)/2, (0 + 1/5)/2; of three classes the third is in neither and counts as found.
        assert!((constant_miou(&label, 0, 2) - 0.4).abs() < 1e-12);
        assert!((constant_miou(&label, 1, 2) - 0.1).abs() < 1e-12);
        assert!((constant_miou(&label, 0, 3) - 0.6).abs() < 1e-12);
    }
}
