//! What a model makes of an image, compared with what is true of it.

use super::{Decision, Measure, Seen, SeenPlan, Subject, Truth};
use crate::attack::is_to_change;
use crate::data::{IGNORE, Mask, grid_of};
use crate::metric::{self, Overlap, PixelError};
use crate::model::{
    Classified, Logits, Model, ModelCard, ModelError, Prediction, Task, classified, classify, predict, prediction,
};
use crate::view::{Presentation, Window};
use burn::tensor::{Tensor, TensorData};
use std::sync::Arc;

/// An image that the model has seen.
#[derive(Clone)]
pub struct Judged {
    /// P(positive class) per pixel, `[1, 1, h, w]`, on the model's device; P(true class), `[1, 1, 1, 1]`, of a class.
    pub probability: Tensor<4>,
    /// The same values on the host, row-major.
    pub on_host: Arc<[f32]>,
    /// The image itself on the host, `[channels, h, w]`.
    pub image: Arc<[f32]>,
    /// The predicted class per pixel; one pixel for a class.
    pub predicted: Mask,
    /// What the model says of the whole image, where it classifies.
    pub classified: Option<Classified>,
    /// Measures against the subject's reference.
    pub measure: Measure,
}

/// What a model says, whatever its task.
#[expect(clippy::large_enum_variant, reason = "one at a time")]
pub(super) enum Output {
    Mask(Prediction),
    Class(Classified),
}

impl Output {
    pub(super) fn of_logits(card: &ModelCard, logits: Logits) -> Result<Self, ModelError> {
        match card.task {
            Task::Segmentation => prediction(card, logits).map(Self::Mask),
            Task::Classification => {
                let first = classified(card, logits)?.into_iter().next();
                first.map(Self::Class).ok_or(ModelError::NotClassification)
            }
        }
    }

    /// Of each image of `x`. Those that are classified share a forward pass; masks are large, and read one by one.
    pub(super) fn all(model: &dyn Model, x: &Tensor<4>) -> Result<Vec<Self>, ModelError> {
        match model.card().task {
            Task::Segmentation => {
                (0..x.dims()[0]).map(|i| predict(model, x.clone().narrow(0, i, 1)).map(Self::Mask)).collect()
            }
            Task::Classification => Ok(classify(model, x.clone())?.into_iter().map(Self::Class).collect()),
        }
    }
}

/// What is compared with.
pub(super) struct Compared<'a> {
    pub original: &'a [f32],
    pub reference: &'a Mask,
    pub class: Option<usize>,
    /// The class that the model chooses for the original.
    pub clean: Option<usize>,
    /// What it predicts for the original; none while that itself is judged.
    pub predicted: Option<&'a Mask>,
    pub target: Option<&'a Truth>,
    pub positive: u8,
}

/// A class as a mask of one pixel.
pub(super) fn one_pixel(class: usize) -> Mask {
    Mask { height: 1, width: 1, classes: [u8::try_from(class).unwrap_or(IGNORE)].into() }
}

impl Compared<'_> {
    /// The share of the pixels that are predicted otherwise than in the original.
    fn flipped(&self, predicted: &Mask) -> f64 {
        let Some(clean) = self.predicted else { return 0.0 };
        let pixels = clean.classes.iter().zip(&*predicted.classes);
        pixels.filter(|(before, now)| before != now).count() as f64 / predicted.classes.len().max(1) as f64
    }

    /// The share of what is to change that is as wished.
    pub(super) fn wished(&self, predicted: &Mask, classified: Option<&Classified>) -> Option<f64> {
        match (self.target?, classified) {
            (Truth::Class(class), Some(found)) => Some(f64::from(u8::from(found.predicted == *class))),
            (Truth::Mask(target), None) => {
                let pixels = target.classes.iter().zip(&*self.reference.classes).zip(&*predicted.classes);
                let (mut all, mut reached) = (0u64, 0u64);
                for ((&wish, &truth), &found) in pixels {
                    if is_to_change(wish, truth) {
                        all += 1;
                        reached += u64::from(found == wish);
                    }
                }
                Some(if all == 0 { 1.0 } else { reached as f64 / all as f64 })
            }
            _ => None,
        }
    }
}

impl Judged {
    /// Its measures with those of visibility, beside the clean image of `subject`.
    pub(super) fn measure_seen(&self, subject: &Subject, plan: &SeenPlan) -> Measure {
        // An image of which a metric can say nothing has no value there, and its curve goes on.
        let seen = Seen::measure(&subject.original, &self.image, self.shape(subject), plan).unwrap_or_default();
        Measure { seen, ..self.measure }
    }

    /// The metrics of `plan` on what a file of the original's type holds: rounded to its numbers, over all of the bounds.
    pub(super) fn seen_in_a_file(&self, subject: &Subject, plan: &SeenPlan) -> Seen {
        let case = &subject.case;
        let (grid, bounds) = (grid_of(case.stored, &case.about), case.bounds);
        let saved = |&share: &f32| match grid {
            Some(grid) => (grid.round(bounds.lower + share * bounds.width()) - bounds.lower) / bounds.width(),
            None => share,
        };
        let [a, b] =
            [&subject.original[..], &self.image[..]].map(|image| image.iter().map(saved).collect::<Vec<f32>>());
        let presentation = Presentation { window: Window::FULL, inverted: false, bits: 0 };
        let plan = SeenPlan { presentation, ..plan.clone() };
        Seen::measure(&a, &b, self.shape(subject), &plan).unwrap_or_default()
    }

    /// Channels, height and width of its image.
    fn shape(&self, subject: &Subject) -> [usize; 3] {
        let [height, width] = subject.case.size();
        [self.image.len() / (height * width).max(1), height, width]
    }

    pub(super) fn new(output: Output, compared: &Compared<'_>, image: Arc<[f32]>, like: &Tensor<4>) -> Self {
        let distortion = metric::distortion(compared.original, &image);
        let seen = Seen::default();
        match output {
            Output::Mask(prediction) => {
                let wished = compared.wished(&prediction.predicted, None);
                let Prediction { probability, on_host, predicted } = prediction;
                let (error, confusion) =
                    metric::segmentation(compared.reference, compared.positive, &on_host, &predicted.classes);
                let overlap = confusion.overlap();
                let measure = Measure {
                    error,
                    overlap,
                    distortion,
                    seen,
                    decision: None,
                    flipped: Some(compared.flipped(&predicted)),
                    wished,
                    clipped: None,
                    displacement: None,
                };
                Self { probability, on_host, image, predicted, classified: None, measure }
            }
            Output::Class(found) => {
                let truth = compared.class.unwrap_or(found.predicted);
                let decision = Decision::new(&found, truth, compared.clean.unwrap_or(found.predicted));
                let right = f64::from(u8::from(decision.is_right()));
                let rest = 1.0 - decision.probability;
                let measure = Measure {
                    error: PixelError { l2: rest, rmse: rest, wrong: 1.0 - right, pixels: 1 },
                    overlap: Overlap { dice: right, iou: right },
                    distortion,
                    seen,
                    flipped: Some(f64::from(u8::from(decision.flipped))),
                    decision: Some(decision),
                    wished: compared.wished(&one_pixel(found.predicted), Some(&found)),
                    clipped: None,
                    displacement: None,
                };
                let probability = decision.probability as f32;
                Self {
                    probability: Tensor::from_data(TensorData::new(vec![probability], [1, 1, 1, 1]), &like.device()),
                    on_host: [probability].into(),
                    image,
                    predicted: one_pixel(found.predicted),
                    classified: Some(found),
                    measure,
                }
            }
        }
    }
}
