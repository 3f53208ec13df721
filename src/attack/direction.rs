//! Directions that do not depend on ε.

use crate::model::ModelError;
use crate::tensor::to_host;
use burn::tensor::Tensor;

/// A direction that does not depend on ε: δ(ε) = clip(x + ε·direction) − x. Computed once per image; a change of ε
/// then costs one pointwise operation.
#[derive(Clone, Debug)]
pub struct Direction {
    /// `[batch, channels, height, width]`; entries in [−1, 1] where ε bounds every pixel.
    pub direction: Tensor<4>,
    /// ε bounds every pixel.
    pub held: bool,
    /// Of steps along the gradient itself: the direction before ε has bounded it.
    pub wished: Option<Tensor<4>>,
    /// ∇J, where the method computed one.
    pub gradient: Option<Tensor<4>>,
    /// J of the clean image, where the method computed it (summed over the batch).
    pub loss: Option<f32>,
}

/// A little more than the distance of two neighbouring numbers of 32 bits, as a share of them.
const ULP: f64 = 1.2e-7;

/// What is nearer than this was not cut but rounded.
const ROUNDED: f64 = 1e-6;

impl Direction {
    /// Of steps along the gradient itself: the share of each image's values that ε or the bounds cut at `epsilon`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn clipped(&self, x: &Tensor<4>, epsilon: f64) -> Result<Option<Vec<f32>>, ModelError> {
        let Some(wished) = &self.wished else { return Ok(None) };
        cut_share(x.clone() + wished.clone() * epsilon, self.adversarial(x, epsilon)).map(Some)
    }

    /// The adversarial images at `epsilon`, clipped to the bounds `[0, 1]`. Where ε bounds every pixel, what rounding has added
    /// is taken back, so that they are within it in exact arithmetic.
    pub fn adversarial(&self, x: &Tensor<4>, epsilon: f64) -> Tensor<4> {
        if !self.held {
            return (x.clone() + self.direction.clone() * epsilon).clamp(0.0, 1.0);
        }
        let near = epsilon as f32;
        let step = self.direction.clone() * if f64::from(near) > epsilon { near.next_down() } else { near };
        let sum = x.clone() + step.clone();
        // What rounding took from x + step (Knuth's two-sum); where the sign of that is not the step's, the sum is too far.
        let part = sum.clone() - x.clone();
        let lost = (x.clone() - (sum.clone() - part.clone())) + (step.clone() - part);
        let inwards = lost.clone().sign() * (sum.clone().abs() * ULP);
        let too_far = (lost.sign() * step).lower_elem(0.0);
        sum.clone().mask_where(too_far, sum + inwards).clamp(0.0, 1.0)
    }
}

/// The share of each image's values that differ between what was wished for and what came of it, by more than rounding.
pub(super) fn cut_share(wished: Tensor<4>, found: Tensor<4>) -> Result<Vec<f32>, ModelError> {
    to_host((wished - found).abs().greater_elem(ROUNDED).float().mean_dims(&[1, 2, 3]))
}
