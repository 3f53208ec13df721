//! A case on a model: all that does not depend on ε, and the judging of what does.

use super::Truth;
use super::judged::{Compared, Judged, Output, one_pixel};
use crate::attack::{Objective, Options, Reference};
use crate::data::{Case, IGNORE, Mask, Region};
use crate::model::{Logits, Model, ModelError, Prediction, Task, check_room};
use crate::tensor;
use burn::tensor::{Tensor, TensorData};
use std::sync::Arc;

/// A case on a model that segments it or classifies it.
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
    /// What the loss and the measures compare with; of a class, a mask of one pixel.
    pub reference: Mask,
    /// The same for a model that classifies: the class by its index in the model.
    pub class: Option<usize>,
    /// Whose word that is.
    pub reference_kind: Reference,
    /// What attacks wish instead, if they have a target.
    pub target: Option<Truth>,
    /// Attacks change this part of the image only.
    pub region: Option<Region>,
}

impl Subject {
    /// Runs the model on the clean image. With no label (for a model that classifies, no class), the clean prediction becomes
    /// the reference.
    ///
    /// # Errors
    /// If the image does not fit the model (channels, bounds, size of the label, class), an output is not finite, or the
    /// device fails.
    pub fn new(case: Arc<Case>, model: Arc<dyn Model>) -> Result<Self, ModelError> {
        Self::all(vec![case], &model)?.pop().ok_or(ModelError::NotClassification)
    }

    /// [`Subject::new`] of several cases of one size, which share forward passes where the model classifies.
    ///
    /// # Errors
    /// As there, for any of them.
    pub fn all(cases: Vec<Arc<Case>>, model: &Arc<dyn Model>) -> Result<Vec<Self>, ModelError> {
        let scaled = cases.iter().map(|case| Self::scaled(case, model.as_ref()));
        let scaled = scaled.collect::<Result<Vec<Tensor<4>>, ModelError>>()?;
        if scaled.is_empty() {
            return Ok(Vec::new());
        }
        let outputs = Output::all(model.as_ref(), &Tensor::cat(scaled.clone(), 0))?;
        cases
            .into_iter()
            .zip(scaled)
            .zip(outputs)
            .map(|((case, x), output)| {
                let original = tensor::to_host(x.clone())?.into();
                Self::judged(case, model.clone(), x, original, output)
            })
            .collect()
    }

    /// The image as the model takes it, if it fits.
    fn scaled(case: &Case, model: &dyn Model) -> Result<Tensor<4>, ModelError> {
        let card = model.card();
        if case.image.channels != 1 && case.image.channels != card.channels {
            return Err(ModelError::Channels { image: case.image.channels, model: card.channels });
        }
        // A window is told in pixel units: other bounds would move it.
        if let Some(needed) = card.input.needed_bounds()
            && needed != [case.bounds.lower, case.bounds.upper]
        {
            return Err(ModelError::Bounds { needed, bounds: [case.bounds.lower, case.bounds.upper] });
        }
        let [height, width] = case.size();
        check_room(model, height, width)?;
        Ok(tensor::image_to_unit(&case.image, case.bounds, &model.device()))
    }

    /// The same image with another label mask (or none), without running the model again. Its target and region are gone.
    ///
    /// # Errors
    /// If the label is not of the image's size, or the device fails.
    pub fn relabel(&self, label: Option<Mask>) -> Result<Self, ModelError> {
        self.again(Case { label, ..(*self.case).clone() })
    }

    /// The same image with another class (or none), without running the model again. Its target and region are gone.
    ///
    /// # Errors
    /// If the model does not know the class, or the device fails.
    pub fn reclass(&self, class: Option<crate::data::ClassLabel>) -> Result<Self, ModelError> {
        self.again(Case { class, ..(*self.case).clone() })
    }

    fn again(&self, case: Case) -> Result<Self, ModelError> {
        let Judged { probability, on_host, predicted, classified, .. } = self.clean.clone();
        let output = match classified {
            Some(classified) => Output::Class(classified),
            None => Output::Mask(Prediction { probability, on_host, predicted }),
        };
        Self::judged(Arc::new(case), self.model.clone(), self.x.clone(), self.original.clone(), output)
    }

    fn judged(
        case: Arc<Case>,
        model: Arc<dyn Model>,
        x: Tensor<4>,
        original: Arc<[f32]>,
        output: Output,
    ) -> Result<Self, ModelError> {
        let (reference, class, reference_kind) = match &output {
            Output::Mask(prediction) => match &case.label {
                Some(label) if [label.height, label.width] == case.size() => (label.clone(), None, Reference::Label),
                Some(label) => {
                    return Err(ModelError::LabelSize { image: case.size(), label: [label.height, label.width] });
                }
                None => (prediction.predicted.clone(), None, Reference::CleanPrediction),
            },
            Output::Class(found) => {
                let (class, kind) = match &case.class {
                    Some(label) => (model.card().class_of(label)?, Reference::Label),
                    None => (found.predicted, Reference::CleanPrediction),
                };
                (one_pixel(class), Some(class), kind)
            }
        };
        let clean_class = match &output {
            Output::Class(found) => Some(found.predicted),
            Output::Mask(_) => None,
        };
        let compared = Compared {
            original: &original,
            reference: &reference,
            class,
            clean: clean_class,
            predicted: None,
            target: None,
            positive: model.card().positive_class,
        };
        let clean = Judged::new(output, &compared, original.clone(), &x);
        Ok(Self { x, original, clean, reference, class, reference_kind, case, model, target: None, region: None })
    }

    /// The same with attacks that change the pixels of `region` only; everywhere if `None`, or if it is of another size.
    #[must_use]
    pub fn confined(self, region: Option<Region>) -> Self {
        let region = region.filter(|region| region.size() == self.case.size());
        Self { region, ..self }
    }

    /// The same with attacks that wish `target` in place of what is true; with none if `None`.
    ///
    /// # Errors
    /// If the target is no class of the model, or no mask of the image's size for a model that segments.
    pub fn with_target(mut self, target: Option<Truth>) -> Result<Self, ModelError> {
        let known = self.model.card().classes.len();
        match (&target, self.model.card().task) {
            (Some(Truth::Class(class)), Task::Classification) if *class >= known => {
                return Err(ModelError::UnknownClass { class: *class, known });
            }
            (Some(Truth::Mask(mask)), Task::Segmentation) if [mask.height, mask.width] != self.case.size() => {
                return Err(ModelError::LabelSize { image: self.case.size(), label: [mask.height, mask.width] });
            }
            (Some(Truth::Class(_)), Task::Segmentation) => return Err(ModelError::NotClassification),
            (Some(Truth::Mask(_)), Task::Classification) => return Err(ModelError::NotSegmentation),
            _ => {}
        }
        self.target = target;
        let compared = self.compared();
        let wished = compared.wished(&self.clean.predicted, self.clean.classified.as_ref());
        self.clean.measure.wished = wished;
        Ok(self)
    }

    /// The reference without class `erased`: a target in which its pixels are of `instead`, or, where that is `None`, of the
    /// other class of two, of class 0 of several (of the most frequent other one where class 0 is erased).
    pub fn erasing(&self, erased: u8, instead: Option<u8>) -> Truth {
        let classes = &self.reference.classes;
        let other = || match (self.model.card().classes.len(), erased) {
            (2, _) => 1 - erased.min(1),
            (_, 0) => {
                let mut counts = [0usize; 256];
                classes.iter().filter(|&&c| c != 0 && c != IGNORE).for_each(|&c| counts[usize::from(c)] += 1);
                (1..IGNORE).max_by_key(|&c| (counts[usize::from(c)], std::cmp::Reverse(c))).unwrap_or(1)
            }
            _ => 0,
        };
        let instead = instead.unwrap_or_else(other);
        let classes = classes.iter().map(|&c| if c == erased { instead } else { c }).collect();
        Truth::Mask(Mask { classes, ..self.reference.clone() })
    }

    /// The loss that attacks raise, or, with a target, lower.
    pub fn objective(&self) -> Objective {
        let (card, device) = (self.model.card(), self.model.device());
        let (head, positive) = (card.head, card.positive_class);
        match (&self.target, self.class) {
            (Some(Truth::Mask(mask)), _) => {
                let (wished, truth) = (std::slice::from_ref(mask), std::slice::from_ref(&self.reference));
                Objective::targeted_masks(head, positive, wished, truth, &device)
            }
            (Some(Truth::Class(class)), _) => Objective::classes(head, positive, &[*class], &device).targeted(),
            (None, Some(class)) => Objective::classes(head, positive, &[class], &device),
            (None, None) => Objective::segmentation(head, positive, &self.reference, &device),
        }
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
    /// If an output is not finite, or the device fails.
    pub fn judge(&self, image: &Tensor<4>) -> Result<Judged, ModelError> {
        self.judge_logits(image, self.model.logits(image.clone())?)
    }

    /// [`Subject::judge`] of an image whose logits are known already.
    ///
    /// # Errors
    /// As there.
    pub fn judge_logits(&self, image: &Tensor<4>, logits: Logits) -> Result<Judged, ModelError> {
        self.judge_against(image, logits, &self.reference)
    }

    /// [`Subject::judge_logits`] by another mask.
    pub(super) fn judge_against(
        &self,
        image: &Tensor<4>,
        logits: Logits,
        reference: &Mask,
    ) -> Result<Judged, ModelError> {
        let output = Output::of_logits(self.model.card(), logits)?;
        let changed = tensor::to_host(image.clone())?.into();
        Ok(Judged::new(output, &Compared { reference, ..self.compared() }, changed, &self.x))
    }

    /// [`Subject::judge`] of several subjects of one model and size, each with its image of `images`.
    ///
    /// # Errors
    /// As there.
    pub fn judge_all(subjects: &[Self], images: &Tensor<4>) -> Result<Vec<Judged>, ModelError> {
        let Some(first) = subjects.first() else { return Ok(Vec::new()) };
        let outputs = Output::all(first.model.as_ref(), images)?;
        let values = tensor::to_host(images.clone())?;
        let each = (values.len() / subjects.len()).max(1);
        Ok(subjects
            .iter()
            .zip(outputs)
            .zip(values.chunks(each))
            .map(|((subject, output), image)| Judged::new(output, &subject.compared(), image.into(), &subject.x))
            .collect())
    }

    fn compared(&self) -> Compared<'_> {
        Compared {
            original: &self.original,
            reference: &self.reference,
            class: self.class,
            clean: self.clean.classified.as_ref().map(|found| found.predicted),
            predicted: Some(&self.clean.predicted),
            target: self.target.as_ref(),
            positive: self.model.card().positive_class,
        }
    }
}
