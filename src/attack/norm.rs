//! Norms of a perturbation, one number an image.

use burn::tensor::Tensor;

/// How the size of a perturbation is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// The largest change of a value.
    Linf,
    /// The root of the sum of squares.
    L2,
}

/// A gradient's norm below this is taken as this: a zero gradient divides to zero.
const TINY: f32 = 1e-12;

impl Norm {
    /// Its name: `linf`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linf => "linf",
            Self::L2 => "l2",
        }
    }

    /// The norm of each image of `[batch, channels, height, width]`, as `[batch, 1, 1, 1]`.
    pub fn of(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Linf => x.abs().max_dims(&[1, 2, 3]),
            Self::L2 => x.square().sum_dims(&[1, 2, 3]).sqrt(),
        }
    }

    /// The direction of unit norm in which a linear loss of gradient `g` grows fastest: sign(g) for L∞ (0 where g is 0),
    /// g/‖g‖₂ for L2. Zero where the gradient is zero.
    pub fn steepest(self, g: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Linf => g.sign(),
            Self::L2 => {
                let g = rescaled(g);
                g.clone() / self.of(g).clamp_min(TINY)
            }
        }
    }
}

/// `g` divided by its largest magnitude in each image, so that squares neither overflow nor vanish.
pub(super) fn rescaled(g: Tensor<4>) -> Tensor<4> {
    let largest = Norm::Linf.of(g.clone());
    let none = largest.clone().lower_equal_elem(0.0);
    g / largest.mask_fill(none, 1.0)
}
