//! What an attack raises or lowers, and its gradient with respect to the image.

use crate::data::{IGNORE, Mask};
use crate::model::{Head, Logits, Model, ModelError};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
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

/// The segmentation loss J of `methods`: binary cross-entropy on the logit (sigmoid head) or pixel cross-entropy
/// (softmax head), mean over one image's unignored pixels, summed over the batch.
#[derive(Clone, Debug)]
pub struct Objective {
    head: Head,
    /// Sigmoid head: 1 where the pixel is of the positive class, `[batch, 1, height, width]`.
    /// Softmax head: class index as a float, same shape.
    target: Tensor<4>,
    /// 1/(number of unignored pixels of its image), 0 where ignored; `[batch, 1, height, width]`.
    weight: Tensor<4>,
}

impl Objective {
    /// The loss against `mask`, the same for every image of the batch (a batch of one, usually).
    pub fn segmentation(head: Head, positive_class: u8, mask: &Mask, device: &Device) -> Self {
        let counted = mask.classes.iter().filter(|&&c| c != IGNORE).count().max(1) as f32;
        let target: Vec<f32> = mask
            .classes
            .iter()
            .map(|&c| match head {
                Head::Sigmoid => f32::from(u8::from(c == positive_class)),
                Head::Softmax => f32::from(if c == IGNORE { 0 } else { c }),
            })
            .collect();
        let weight: Vec<f32> = mask.classes.iter().map(|&c| if c == IGNORE { 0.0 } else { 1.0 / counted }).collect();
        let shape = [1, 1, mask.height, mask.width];
        Self {
            head,
            target: Tensor::from_data(TensorData::new(target, shape), device),
            weight: Tensor::from_data(TensorData::new(weight, shape), device),
        }
    }

    /// J, a tensor of one element, tracked by autodiff if the logits are.
    ///
    /// # Panics
    /// On class logits: a mask has no loss there. The caller matches the model's task first.
    pub fn loss(&self, logits: Logits) -> Tensor<1> {
        let Logits::Dense(z) = logits else { panic!("a segmentation objective needs dense logits") };
        let per_pixel = match self.head {
            // −[y·log σ(z) + (1−y)·log(1−σ(z))] = softplus(z) − y·z
            Head::Sigmoid => stable_softplus(z.clone()) - z * self.target.clone(),
            Head::Softmax => {
                let index: Tensor<4, Int> = self.target.clone().int();
                let [batch, _, height, width] = z.dims();
                log_softmax(z, 1).gather(1, index.expand([batch, 1, height, width])).neg()
            }
        };
        (per_pixel * self.weight.clone()).sum()
    }
}

/// log(1 + eᶻ) without overflow: max(z, 0) + log(1 + e^(−|z|)).
fn stable_softplus(z: Tensor<4>) -> Tensor<4> {
    z.clone().clamp_min(0.0) + z.abs().neg().exp().log1p()
}

/// The loss at `x` and its gradient with respect to `x`, both in the scale of `x`.
///
/// # Errors
/// If the device fails.
pub fn input_gradient(model: &dyn Model, x: &Tensor<4>, objective: &Objective) -> Result<(f32, Tensor<4>), ModelError> {
    let x = x.clone().autodiff().require_grad();
    let loss = objective.loss(model.logits(x.clone())?);
    let gradients = loss.backward();
    let gradient = x.grad(&gradients).unwrap_or_else(|| x.clone().inner().zeros_like());
    let loss = loss.inner().try_into_scalar::<f32>().map_err(ModelError::device)?;
    Ok((loss, gradient))
}
