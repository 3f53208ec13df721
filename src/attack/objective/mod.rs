//! What an attack raises or lowers: the loss against a label, a mask or a class, on the pixels that are asked for. A
//! class of a whole image is treated as a mask of one pixel, so that one definition serves both.

mod loss;
mod margin;
mod moved;

pub use loss::Weighting;

use crate::data::{IGNORE, Mask};
use crate::model::{Head, Logits, Model, ModelError, Task};
use crate::tensor::in_order;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Whose word the loss takes for the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// The label that came with the image.
    Label,
    /// The model's own prediction on the clean image, since there is no label.
    CleanPrediction,
}

/// Which way the loss is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// Raise the loss of what is true.
    Untargeted,
    /// Lower the loss of what is wished.
    Targeted,
}

/// The loss J: binary cross-entropy on the logit (sigmoid head) or cross-entropy (softmax head), mean over one image's
/// counted pixels (or its one class), summed over the batch.
#[derive(Clone, Debug)]
pub struct Objective {
    task: Task,
    head: Head,
    aim: Aim,
    /// Sigmoid head: 1 where the pixel is of the positive class. Softmax head: the class index as a float.
    /// `[batch or 1, 1, height, width]`, for classes of height and width 1.
    target: Tensor<4>,
    /// 1/(number of counted pixels of its image), 0 where not counted; of the shape of `target`.
    weight: Tensor<4>,
    /// The same over what success is counted on. With a target, where it differs from what is true ([`is_to_change`]): elsewhere
    /// it is reached before anything is done. Else `weight`.
    asked: Tensor<4>,
}

/// Whether a target that wishes class `wished` for a pixel is to change it, where `truth` is what the pixel is compared with (its
/// label, or the clean prediction). Of these pixels attacks and studies count how many are as wished.
pub fn is_to_change(wished: u8, truth: u8) -> bool {
    wished != IGNORE && wished != truth
}

impl Objective {
    /// The loss against `mask`, the same for every image of a batch. Untargeted.
    pub fn segmentation(head: Head, positive_class: u8, mask: &Mask, device: &Device) -> Self {
        Self::masks(head, positive_class, std::slice::from_ref(mask), device)
    }

    /// The loss against one mask for each image of a batch; all masks have the size of the first. Untargeted.
    pub fn masks(head: Head, positive_class: u8, masks: &[Mask], device: &Device) -> Self {
        let [height, width] = masks.first().map_or([0, 0], |m| [m.height, m.width]);
        let (mut target, mut weight) = (Vec::new(), Vec::new());
        for mask in masks {
            let counted = mask.classes.iter().filter(|&&c| c != IGNORE).count().max(1) as f32;
            target.extend(mask.classes.iter().map(|&c| match head {
                Head::Sigmoid => f32::from(u8::from(c == positive_class)),
                Head::Softmax => f32::from(if c == IGNORE { 0 } else { c }),
            }));
            weight.extend(mask.classes.iter().map(|&c| if c == IGNORE { 0.0 } else { 1.0 / counted }));
        }
        let shape = [masks.len(), 1, height, width];
        let weight = Tensor::from_data(TensorData::new(weight, shape), device);
        Self {
            task: Task::Segmentation,
            head,
            aim: Aim::Untargeted,
            target: Tensor::from_data(TensorData::new(target, shape), device),
            asked: weight.clone(),
            weight,
        }
    }

    /// The loss of one wished mask for each image of a batch, which attacks lower. Success is counted where it differs from that
    /// of `truths`, of which each image has one of the same size.
    pub fn targeted_masks(head: Head, positive_class: u8, wished: &[Mask], truths: &[Mask], device: &Device) -> Self {
        let of_image = |(wished, truth): (&Mask, &Mask)| {
            let pixels = wished.classes.iter().zip(&*truth.classes);
            let here: Vec<bool> = pixels.map(|(&wished, &truth)| is_to_change(wished, truth)).collect();
            let share = 1.0 / here.iter().filter(|&&here| here).count().max(1) as f32;
            here.into_iter().map(move |here| if here { share } else { 0.0 })
        };
        let asked: Vec<f32> = wished.iter().zip(truths).flat_map(of_image).collect();
        let objective = Self::masks(head, positive_class, wished, device).targeted();
        let shape = objective.weight.dims();
        Self { asked: Tensor::from_data(TensorData::new(asked, shape), device), ..objective }
    }

    /// The cross-entropy of one class for each image of a batch. Untargeted.
    pub fn classes(head: Head, positive_class: u8, classes: &[usize], device: &Device) -> Self {
        let shape = [classes.len(), 1, 1, 1];
        let of_class = |&c: &usize| match head {
            Head::Sigmoid => f32::from(u8::from(c == usize::from(positive_class))),
            Head::Softmax => c as f32,
        };
        let target: Vec<f32> = classes.iter().map(of_class).collect();
        Self {
            task: Task::Classification,
            head,
            aim: Aim::Untargeted,
            target: Tensor::from_data(TensorData::new(target, shape), device),
            weight: Tensor::ones(shape, device),
            asked: Tensor::ones(shape, device),
        }
    }

    /// The mask or class is what is wished, not what is true: attacks lower this loss. Of a mask success is counted on all of its
    /// pixels; [`Objective::targeted_masks`] counts it on those that are to change.
    #[must_use]
    pub fn targeted(self) -> Self {
        Self { aim: Aim::Targeted, ..self }
    }

    /// Looks only where `region`, `[1, 1, height, width]` of 0 and 1, is 1; the mean is over what remains. Nothing changes
    /// for classes, which belong to no place.
    #[must_use]
    pub fn within(self, region: Tensor<4>) -> Self {
        if self.task == Task::Classification {
            return self;
        }
        // Weights are equal where they are not 0, so their sum is the share that remains.
        let cut = |weight: Tensor<4>| {
            let kept = weight * region.clone();
            let share = kept.clone().sum_dims(&[1, 2, 3]);
            let none = share.clone().lower_equal_elem(0.0);
            kept / share.mask_fill(none, 1.0)
        };
        Self { weight: cut(self.weight), asked: cut(self.asked), ..self }
    }

    /// Which way attacks take the loss.
    pub fn aim(&self) -> Aim {
        self.aim
    }

    /// What the loss is of.
    pub fn task(&self) -> Task {
        self.task
    }

    /// How logits become classes.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// The class of every element, as [`Objective`] stores it.
    pub(super) fn target(&self) -> Tensor<4> {
        self.target.clone()
    }

    /// Equal shares of 1 over each image's counted elements, 0 elsewhere, `[batch or 1, 1, height, width]`.
    pub(super) fn weights(&self) -> Tensor<4> {
        self.weight.clone()
    }

    /// The same over the elements that success is counted on.
    pub(super) fn asked(&self) -> Tensor<4> {
        self.asked.clone()
    }

    /// +1 where attacks raise the loss, −1 where they lower it.
    pub fn sign(&self) -> f32 {
        match self.aim {
            Aim::Untargeted => 1.0,
            Aim::Targeted => -1.0,
        }
    }

    /// The objective of the images `index` of the batch, in that order.
    pub(super) fn select(&self, index: &[usize]) -> Self {
        // One target for all images serves any choice of them.
        if self.target.dims()[0] == 1 {
            return self.clone();
        }
        Self {
            target: crate::tensor::rows(self.target.clone(), index),
            weight: crate::tensor::rows(self.weight.clone(), index),
            asked: crate::tensor::rows(self.asked.clone(), index),
            ..self.clone()
        }
    }

    /// Logits as `[batch, outputs, height, width]`, for classes of height and width 1.
    fn dense(&self, logits: Logits) -> Result<Tensor<4>, ModelError> {
        match (self.task, logits) {
            (Task::Segmentation, Logits::Dense(z)) => Ok(z),
            (Task::Classification, Logits::Class(z)) => {
                let [batch, classes] = z.dims();
                Ok(z.reshape([batch, classes, 1, 1]))
            }
            (Task::Segmentation, Logits::Class(_)) => Err(ModelError::NotSegmentation),
            (Task::Classification, Logits::Dense(_)) => Err(ModelError::NotClassification),
        }
    }

    /// J summed over the batch, a tensor of one element, tracked by autodiff if the logits are.
    ///
    /// # Errors
    /// If the logits are those of another task.
    pub fn loss(&self, logits: Logits) -> Result<Tensor<1>, ModelError> {
        Ok(self.losses(logits, Weighting::Plain)?.sum())
    }

    /// J of each image, `[batch]`.
    ///
    /// # Errors
    /// If the logits are those of another task.
    pub fn losses(&self, logits: Logits, weighting: Weighting) -> Result<Tensor<1>, ModelError> {
        let z = self.dense(logits)?;
        let batch = z.dims()[0];
        let weighted = self.per_element(z, weighting) * self.weight.clone();
        Ok(weighted.sum_dims(&[1, 2, 3]).reshape([batch]))
    }

    /// What a model makes of `x`, ready to be judged: J of each image, and the share of its counted pixels that are as
    /// the attack wants them (not the true class; or, of those that a target is to change, the wished one); 0 or 1 for a class.
    ///
    /// # Errors
    /// If the model is of another task, or the device fails.
    pub fn judge(&self, model: &dyn Model, x: Tensor<4>) -> Result<Vec<Judgement>, ModelError> {
        self.judge_logits(model.logits(x)?)
    }

    /// [`Objective::judge`] of what a model has put out.
    ///
    /// # Errors
    /// As there.
    pub(super) fn judge_logits(&self, logits: Logits) -> Result<Vec<Judgement>, ModelError> {
        let losses = self.losses(logits.clone(), Weighting::Plain)?;
        read(losses, self.hits(logits)?)
    }
}

/// How one image stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// J of the image.
    pub loss: f32,
    /// The share of counted pixels (with a target, of those that it is to change) that are as the attack wants them; 0 or 1 for a
    /// class.
    pub hits: f32,
}

/// Both in one reading.
fn read(losses: Tensor<1>, hits: Tensor<1>) -> Result<Vec<Judgement>, ModelError> {
    let values = crate::tensor::to_host(Tensor::cat(vec![losses, hits], 0))?;
    let (losses, hits) = values.split_at(values.len() / 2);
    Ok(losses.iter().zip(hits).map(|(&loss, &hits)| Judgement { loss, hits }).collect())
}

/// The loss at `x` (summed over the batch) and its gradient with respect to `x`, both in the scale of `x`.
///
/// # Errors
/// If the model has no gradient or is of another task than the objective, or the device fails.
pub fn input_gradient(model: &dyn Model, x: &Tensor<4>, objective: &Objective) -> Result<(f32, Tensor<4>), ModelError> {
    ModelError::check_gradient(model)?;
    let x = x.clone().autodiff().require_grad();
    let loss = objective.loss(model.logits(x.clone())?)?;
    let gradient = gradient_of(&x, &loss);
    let loss = loss.inner().try_into_scalar::<f32>().map_err(ModelError::device)?;
    Ok((loss, gradient))
}

/// Images with what a model makes of them and the gradient there.
pub(super) struct Judged {
    /// How each stands.
    pub judged: Vec<Judgement>,
    /// The gradient, of the shape of the images.
    pub gradient: Tensor<4>,
    /// What the model makes of them.
    pub logits: Logits,
}

/// How each image stands at `x`, and the gradient of the weighted losses' sum with respect to `x`: one forward and one
/// backward pass, and one reading.
///
/// # Errors
/// If the model is of another task than the objective, or the device fails.
pub(super) fn judged_gradient(
    model: &dyn Model,
    x: &Tensor<4>,
    objective: &Objective,
    weighting: Weighting,
) -> Result<Judged, ModelError> {
    let x = x.clone().autodiff().require_grad();
    let logits = model.logits(x.clone())?;
    let losses = objective.losses(logits.clone(), weighting)?;
    let gradient = gradient_of(&x, &losses.clone().sum());
    let logits = logits.without_autodiff();
    let plain = match weighting {
        Weighting::Plain => losses.inner(),
        _ => objective.losses(logits.clone(), Weighting::Plain)?,
    };
    let judged = read(plain, objective.hits(logits.clone())?)?;
    Ok(Judged { judged, gradient, logits })
}

/// ∂loss/∂x; zeros where the loss does not depend on x.
pub(super) fn gradient_of(x: &Tensor<4>, loss: &Tensor<1>) -> Tensor<4> {
    if !loss.is_tracked() {
        return x.clone().inner().zeros_like();
    }
    let gradients = loss.backward();
    x.grad(&gradients).map_or_else(|| x.clone().inner().zeros_like(), in_order)
}
