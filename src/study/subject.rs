//! A case on a model: all that does not depend on ε, and the judging of what does.

use super::{Measure, Seen, SeenPlan};
use crate::attack::{Objective, Options, Reference};
use crate::data::{Case, Mask, Region};
use crate::metric;
use crate::model::{Model, ModelError, Prediction, check_room, predict};
use crate::tensor;
use burn::tensor::{Tensor, TensorData};
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
    pub original: Arc<[f32]>,
    /// The clean image, judged.
    pub clean: Judged,
    /// What the loss and the measures compare with.
    pub reference: Mask,
    /// Whose word that is.
    pub reference_kind: Reference,
    /// Attacks change this part of the image only.
    pub region: Option<Region>,
}

/// An image that the model has seen.
#[derive(Clone)]
pub struct Judged {
    /// P(positive class), `[1, 1, h, w]`, on the model's device.
    pub probability: Tensor<4>,
    /// The same values on the host, row-major.
    pub on_host: Arc<[f32]>,
    /// The image itself on the host, `[channels, h, w]`.
    pub image: Arc<[f32]>,
    /// The predicted class per pixel.
    pub predicted: Mask,
    /// Measures against the subject's reference.
    pub measure: Measure,
}

impl Subject {
    /// Runs the model on the clean image. With no label, the clean prediction becomes the reference.
    ///
    /// # Errors
    /// If the image does not fit the model (channels, size of the label), a probability is not finite, or the device
    /// fails.
    pub fn new(case: Arc<Case>, model: Arc<dyn Model>) -> Result<Self, ModelError> {
        let card = model.card();
        if case.image.channels != 1 && case.image.channels != card.channels {
            return Err(ModelError::Channels { image: case.image.channels, model: card.channels });
        }
        let [height, width] = case.size();
        check_room(height, width, model.working_bytes(height, width))?;
        let x = tensor::image_to_unit(&case.image, case.bounds, &model.device());
        let prediction = predict(model.as_ref(), x.clone())?;
        let original = tensor::to_host(x.clone())?.into();
        Self::judged(case, model, x, original, prediction)
    }

    /// The same image with another label (or none), without running the model again.
    ///
    /// # Errors
    /// If the label is not of the image's size, or the device fails.
    pub fn relabel(&self, label: Option<Mask>) -> Result<Self, ModelError> {
        let case = Arc::new(Case { label, ..(*self.case).clone() });
        let Judged { probability, on_host, predicted, .. } = self.clean.clone();
        let prediction = Prediction { probability, on_host, predicted };
        Self::judged(case, self.model.clone(), self.x.clone(), self.original.clone(), prediction)
    }

    fn judged(
        case: Arc<Case>,
        model: Arc<dyn Model>,
        x: Tensor<4>,
        original: Arc<[f32]>,
        prediction: Prediction,
    ) -> Result<Self, ModelError> {
        let (reference, reference_kind) = match &case.label {
            Some(label) if [label.height, label.width] == case.size() => (label.clone(), Reference::Label),
            Some(label) => {
                return Err(ModelError::LabelSize { image: case.size(), label: [label.height, label.width] });
            }
            None => (prediction.predicted.clone(), Reference::CleanPrediction),
        };
        let clean = Judged::new(prediction, model.card().positive_class, &reference, &original, original.clone());
        Ok(Self { x, original, clean, reference, reference_kind, case, model, region: None })
    }

    /// The same with attacks that change the pixels of `region` only; everywhere if `None`, or if it is of another size.
    #[must_use]
    pub fn confined(self, region: Option<Region>) -> Self {
        let region = region.filter(|region| region.size() == self.case.size());
        Self { region, ..self }
    }

    /// The loss that attacks raise.
    pub fn objective(&self) -> Objective {
        let card = self.model.card();
        Objective::segmentation(card.head, card.positive_class, &self.reference, &self.model.device())
    }

    /// What attacks on this image are asked beside their parameters: to stay in its region.
    pub fn options(&self) -> Options {
        let region = self.region.as_ref().map(|region| {
            let shape = [1, 1, region.height, region.width];
            Tensor::<4>::from_data(TensorData::new(region.weights(), shape), &self.x.device())
        });
        Options { region, ..Options::default() }
    }

    /// Runs the model on `image`, `[1, channels, h, w]` in `[0, 1]`, and compares with the reference.
    ///
    /// # Errors
    /// If a probability is not finite, or the device fails.
    pub fn judge(&self, image: &Tensor<4>) -> Result<Judged, ModelError> {
        let prediction = predict(self.model.as_ref(), image.clone())?;
        let changed = tensor::to_host(image.clone())?.into();
        Ok(Judged::new(prediction, self.model.card().positive_class, &self.reference, &self.original, changed))
    }
}

impl Judged {
    /// Its measures with those of visibility, beside the clean image of `subject`.
    pub(super) fn measure_seen(&self, subject: &Subject, plan: &SeenPlan) -> Measure {
        let [height, width] = subject.case.size();
        let shape = [self.image.len() / (height * width).max(1), height, width];
        // An image of which a metric can say nothing has no value there, and its curve goes on.
        let seen = Seen::measure(&subject.original, &self.image, shape, plan).unwrap_or_default();
        Measure { seen, ..self.measure }
    }

    fn new(prediction: Prediction, positive: u8, reference: &Mask, original: &[f32], image: Arc<[f32]>) -> Self {
        let Prediction { probability, on_host, predicted } = prediction;
        let (error, confusion) = metric::segmentation(reference, positive, &on_host, &predicted.classes);
        let distortion = metric::distortion(original, &image);
        let measure = Measure { error, overlap: confusion.overlap(), distortion, seen: Seen::default() };
        Self { probability, on_host, image, predicted, measure }
    }
}
