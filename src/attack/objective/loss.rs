//! The cross-entropy of each pixel, and the weights that attacks on segmentation give it.

use super::{Aim, Objective};
use crate::model::Head;
use burn::tensor::activation::{log_softmax, sigmoid, softmax};
use burn::tensor::{Int, Tensor};

/// How much each pixel's cross-entropy counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Weighting {
    /// All the same.
    #[default]
    Plain,
    /// SegPGD (Gu et al. 2022, equation 4): 1 − λ on correct pixels and λ on wrong ones; a target swaps the two.
    SegPgd {
        /// λ(t) = t/2T.
        lambda: f64,
    },
    /// CosPGD (Agnihotri et al. 2024, equations 4 and 5): the cosine of softmax and one-hot label, as a constant; for a
    /// target 1 − cosine.
    CosPgd,
}

impl Objective {
    /// The weighted cross-entropy of every element of `z`, `[batch, outputs, height, width]` → `[batch, 1, height, width]`.
    pub(super) fn per_element(&self, z: Tensor<4>, weighting: Weighting) -> Tensor<4> {
        let plain = self.cross_entropy(z.clone());
        let z = z.without_autodiff();
        match weighting {
            Weighting::Plain => plain,
            Weighting::SegPgd { lambda } => {
                let correct = self.is_target(z).float();
                let (on_correct, on_wrong) = match self.aim {
                    Aim::Untargeted => (1.0 - lambda, lambda),
                    Aim::Targeted => (lambda, 1.0 - lambda),
                };
                plain * (correct * (on_correct - on_wrong) + on_wrong)
            }
            Weighting::CosPgd => {
                let cosine = self.cosine(z);
                plain
                    * match self.aim {
                        Aim::Untargeted => cosine,
                        Aim::Targeted => cosine.neg() + 1.0,
                    }
            }
        }
    }

    fn cross_entropy(&self, z: Tensor<4>) -> Tensor<4> {
        match self.head {
            // −[y·log σ(z) + (1−y)·log(1−σ(z))] = softplus(z) − y·z
            Head::Sigmoid => stable_softplus(z.clone()) - z * self.target.clone(),
            Head::Softmax => {
                let index = self.index(&z);
                log_softmax(z, 1).gather(1, index).neg()
            }
        }
    }

    /// The class index of every element, `[batch, 1, height, width]`.
    pub(super) fn index(&self, z: &Tensor<4>) -> Tensor<4, Int> {
        let [batch, _, height, width] = z.dims();
        self.target.clone().int().expand([batch, 1, height, width])
    }

    /// cos(p, one-hot) = p_y/‖p‖₂; one logit counts as the two classes (1 − p, p).
    fn cosine(&self, z: Tensor<4>) -> Tensor<4> {
        match self.head {
            Head::Sigmoid => {
                let p = sigmoid(z);
                let q = p.clone().neg() + 1.0;
                let y = self.target.clone();
                let at_target = p.clone() * y.clone() + q.clone() * (y.neg() + 1.0);
                at_target / (p.square() + q.square()).sqrt()
            }
            Head::Softmax => {
                let index = self.index(&z);
                let p = softmax(z, 1);
                p.clone().gather(1, index) / p.square().sum_dim(1).sqrt()
            }
        }
    }
}

/// log(1 + eᶻ) without overflow: max(z, 0) + log(1 + e^(−|z|)).
fn stable_softplus(z: Tensor<4>) -> Tensor<4> {
    z.clone().clamp_min(0.0) + z.abs().neg().exp().log1p()
}
