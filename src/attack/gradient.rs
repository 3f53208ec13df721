//! One-step sign methods: FGSM, its inverse, and the random control.

use super::{Objective, input_gradient};
use crate::model::{Model, ModelError};
use burn::tensor::{Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How the direction of a one-step attack is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// ±sign(∇J), with sign(0) = 0: FGSM if `ascend`, inverse FGSM if not.
    GradientSign {
        /// Raise the loss (FGSM) or lower it (inverse FGSM).
        ascend: bool,
    },
    /// Independent signs of equal probability, from a seed.
    RandomSign {
        /// The same seed gives the same signs.
        seed: u64,
    },
}

/// A direction that does not depend on ε: δ(ε) = clip(x + ε·direction) − x. Computed once per image; a change of ε
/// then costs one pointwise operation.
#[derive(Clone, Debug)]
pub struct Direction {
    /// `[batch, channels, height, width]`, entries in [−1, 1].
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

impl Method {
    /// Its name in the catalogue, on the command line and in CSV files.
    pub fn name(self) -> &'static str {
        match self {
            Self::GradientSign { ascend: true } => "fgsm",
            Self::GradientSign { ascend: false } => "inverse-fgsm",
            Self::RandomSign { .. } => "random-sign",
        }
    }

    /// Whether the method reads the true label in order to lower the loss: meant for training images only.
    pub fn lowers_the_loss(self) -> bool {
        matches!(self, Self::GradientSign { ascend: false })
    }

    /// The direction of this method for the images `x`, `[batch, channels, height, width]` in `[0, 1]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn direction(self, model: &dyn Model, x: &Tensor<4>, objective: &Objective) -> Result<Direction, ModelError> {
        Ok(match self {
            Self::GradientSign { ascend } => {
                let (loss, gradient) = input_gradient(model, x, objective)?;
                let sign = gradient.clone().sign();
                Direction {
                    direction: if ascend { sign } else { sign.neg() },
                    gradient: Some(gradient),
                    loss: Some(loss),
                }
            }
            Self::RandomSign { seed } => {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                let shape = x.dims();
                let signs: Vec<f32> =
                    (0..shape.iter().product()).map(|_| if random.random::<bool>() { 1.0 } else { -1.0 }).collect();
                let direction = Tensor::from_data(TensorData::new(signs, shape), &x.device());
                Direction { direction, gradient: None, loss: None }
            }
        })
    }
}
