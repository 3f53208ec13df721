//! Directions that do not depend on ε.

use burn::tensor::Tensor;

/// A direction that does not depend on ε: δ(ε) = clip(x + ε·direction) − x. Computed once per image; a change of ε
/// then costs one pointwise operation.
#[derive(Clone, Debug)]
pub struct Direction {
    /// `[batch, channels, height, width]`; entries in [−1, 1] where ε bounds every pixel.
    pub direction: Tensor<4>,
    /// ∇J, where the method computed one.
    pub gradient: Option<Tensor<4>>,
    /// J of the clean image, where the method computed it (summed over the batch).
    pub loss: Option<f32>,
}

impl Direction {
    /// The adversarial images at `epsilon`, clipped to the bounds `[0, 1]`.
    pub fn adversarial(&self, x: &Tensor<4>, epsilon: f64) -> Tensor<4> {
        (x.clone() + self.direction.clone() * epsilon).clamp(0.0, 1.0)
    }
}
