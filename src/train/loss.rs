//! Training losses, over the counted pixels of a batch. One logit is a sigmoid of class 1; several are a softmax.

use super::TrainError;
use crate::model::ModelError;
use burn::tensor::activation::{log_softmax, sigmoid, softmax};
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

/// What a training lowers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Loss {
    /// Binary cross-entropy on the logit, mean over pixels.
    Bce,
    /// Pixel cross-entropy; of one logit the same as [`Loss::Bce`].
    CrossEntropy,
    /// 1 − soft Dice over the whole batch (Milletari, Navab and Ahmadi 2016, without the squares); of several classes the mean
    /// over all but class 0.
    Dice,
    /// Cross-entropy plus a multiple of the Dice loss.
    BceDice {
        /// What the Dice loss is multiplied by.
        #[serde(default = "one")]
        dice_weight: f64,
    },
    /// α_t·(1 − p_t)^γ·cross-entropy, mean over pixels (Lin et al. 2017, equation 5).
    Focal {
        /// γ.
        #[serde(default = "two")]
        gamma: f64,
        /// α of class 1, 1 − α of class 0; for one logit only. Without it all classes count alike.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alpha: Option<f64>,
    },
    /// 1 − (TP + ½)/(TP + α·FP + β·FN + ½) of soft counts (Salehi, Erdogmus and Gholipour 2017); ½ and ½ are Dice.
    Tversky {
        /// Of false positives.
        #[serde(default = "three_tenths")]
        alpha: f64,
        /// Of false negatives.
        #[serde(default = "seven_tenths")]
        beta: f64,
    },
}

fn one() -> f64 {
    1.0
}

fn two() -> f64 {
    2.0
}

fn three_tenths() -> f64 {
    0.3
}

fn seven_tenths() -> f64 {
    0.7
}

impl Default for Loss {
    fn default() -> Self {
        Self::BceDice { dice_weight: 1.0 }
    }
}

impl Loss {
    /// One of each kind, with its defaults.
    pub const KINDS: [Self; 6] = [
        Self::BceDice { dice_weight: 1.0 },
        Self::Bce,
        Self::CrossEntropy,
        Self::Dice,
        Self::Focal { gamma: 2.0, alpha: None },
        Self::Tversky { alpha: 0.3, beta: 0.7 },
    ];

    /// Says what cannot be lowered.
    ///
    /// # Errors
    /// If a number is out of its range, or the loss is not defined for so many outputs.
    pub fn check(&self, outputs: usize) -> Result<(), TrainError> {
        let fault = |field: &str, cause: String| Err(TrainError::field(format!("training.loss{field}"), cause));
        match *self {
            Self::Bce if outputs > 1 => {
                fault(".kind", format!("bce is for one output and the network has {outputs}. Use cross-entropy"))
            }
            Self::BceDice { dice_weight: w } if !(w >= 0.0 && w.is_finite()) => {
                fault(".dice-weight", format!("a Dice weight of {w}: use 0 or more"))
            }
            Self::Focal { gamma, .. } if !(0.0..=10.0).contains(&gamma) => {
                fault(".gamma", format!("γ = {gamma}: use 0 to 10"))
            }
            Self::Focal { alpha: Some(a), .. } if outputs > 1 || !(a > 0.0 && a < 1.0) => {
                fault(".alpha", format!("α = {a}: use one between 0 and 1, with one output"))
            }
            Self::Tversky { alpha, beta }
                if !(alpha >= 0.0 && beta >= 0.0 && alpha + beta > 0.0 && (alpha + beta).is_finite()) =>
            {
                fault(".alpha", format!("α = {alpha} and β = {beta}: use 0 or more, not both 0"))
            }
            _ => Ok(()),
        }
    }

    /// The loss of `logits`, `[batch, outputs, height, width]`, against class indices `target`, over the pixels where `weight`
    /// is 1 (0 where the label is to be ignored); both `[batch, 1, height, width]`.
    pub fn value(&self, logits: Tensor<4>, target: Tensor<4>, weight: Tensor<4>) -> Tensor<1> {
        let region = self.region().map(|[factor, alpha, beta]| {
            let sums = class_sums(&logits, &target, &weight);
            let classes = sums.len() as f64;
            let losses = sums.into_iter().map(|[both, sum_p, sum_y]| {
                // FP = Σp − TP, FN = Σy − TP.
                let counts = both.clone() * (1.0 - alpha - beta) + sum_p * alpha + sum_y * beta;
                ((both + SMOOTH) / (counts + SMOOTH)).neg() + 1.0
            });
            Tensor::cat(losses.collect(), 0).sum() * (factor / classes)
        });
        match (self.mean(logits.clone(), target, weight), region) {
            (Some(mean), Some(region)) => mean + region,
            (one, other) => one.or(other).unwrap_or_else(|| logits.sum() * 0.0),
        }
    }

    /// The part that is a mean over pixels, if there is one: pieces of a batch add up, each with its share of the pixels.
    fn mean(&self, logits: Tensor<4>, target: Tensor<4>, weight: Tensor<4>) -> Option<Tensor<1>> {
        let mean = |per_pixel: Tensor<4>| (per_pixel * weight.clone()).sum() / weight.clone().sum().clamp_min(1.0);
        match *self {
            Self::Bce | Self::CrossEntropy | Self::BceDice { .. } => Some(mean(cross_entropy(logits, target))),
            Self::Dice | Self::Tversky { .. } => None,
            Self::Focal { gamma, alpha } => {
                let entropy = cross_entropy(logits, target.clone());
                let mut value = entropy.clone();
                if gamma > 0.0 {
                    // 1 − p_t = 1 − e^(−entropy); the floor keeps the power's slope finite.
                    let miss = (entropy.neg().exp().neg() + 1.0).clamp_min(1e-6);
                    value = value * miss.powf_scalar(gamma);
                }
                if let Some(alpha) = alpha {
                    value = value * (target * (2.0 * alpha - 1.0) + (1.0 - alpha));
                }
                Some(mean(value))
            }
        }
    }

    /// The part that is a ratio of sums over the whole batch, if there is one: its factor, α and β of Tversky.
    pub(super) fn region(&self) -> Option<[f64; 3]> {
        match *self {
            Self::Dice => Some([1.0, 0.5, 0.5]),
            Self::BceDice { dice_weight } => (dice_weight > 0.0).then_some([dice_weight, 0.5, 0.5]),
            Self::Tversky { alpha, beta } => Some([1.0, alpha, beta]),
            Self::Bce | Self::CrossEntropy | Self::Focal { .. } => None,
        }
    }

    /// The loss of one of several pieces of a batch, which hold `share` of its counted pixels: values and gradients of all
    /// pieces add up to those of the batch. A ratio of sums does not add up, so it stands here as its tangent at the sums of
    /// the whole batch, `whole` ([`Sums::add`] of every piece).
    pub(super) fn piece(
        &self,
        logits: Tensor<4>,
        target: Tensor<4>,
        weight: Tensor<4>,
        share: f64,
        whole: &Sums,
    ) -> Tensor<1> {
        let mean = self.mean(logits.clone(), target.clone(), weight.clone()).map(|mean| mean * share);
        let Some([factor, alpha, beta]) = self.region() else {
            return mean.unwrap_or_else(|| logits.sum() * 0.0);
        };
        let factor = factor / whole.0.len().max(1) as f64;
        let mut value = mean;
        for ([both, sum_p, _], &[tp, p, y]) in class_sums(&logits, &target, &weight).into_iter().zip(&whole.0) {
            // L = 1 − N/D with N = TP + ½ and D = (1−α−β)·TP + α·Σp + β·Σy + ½.
            let (n, d) = (tp + SMOOTH, (1.0 - alpha - beta) * tp + alpha * p + beta * y + SMOOTH);
            let by_both = n * (1.0 - alpha - beta) / (d * d) - 1.0 / d;
            let by_p = n * alpha / (d * d);
            let constant = 1.0 - n / d - by_both * tp - by_p * p;
            let tangent = (both * by_both + sum_p * by_p + constant * share) * factor;
            value = Some(match value {
                Some(value) => value + tangent,
                None => tangent,
            });
        }
        value.unwrap_or_else(|| logits.sum() * 0.0)
    }

    /// In a few words, for cards and reports.
    pub fn describe(&self) -> String {
        match self {
            Self::Bce => "binary cross-entropy".to_owned(),
            Self::CrossEntropy => "cross-entropy".to_owned(),
            Self::Dice => "Dice".to_owned(),
            Self::BceDice { dice_weight } => format!("cross-entropy + {dice_weight} × Dice"),
            Self::Focal { gamma, alpha } => {
                format!("focal, γ {gamma}{}", alpha.map_or_else(String::new, |a| format!(", α {a}")))
            }
            Self::Tversky { alpha, beta } => format!("Tversky, α {alpha}, β {beta}"),
        }
    }
}

/// The cross-entropy of each pixel, `[batch, 1, height, width]`.
fn cross_entropy(logits: Tensor<4>, target: Tensor<4>) -> Tensor<4> {
    if logits.dims()[1] == 1 {
        // −[y·log σ(z) + (1−y)·log(1−σ(z))] = max(z, 0) − y·z + log(1 + e^(−|z|))
        let softplus = logits.clone().clamp_min(0.0) + logits.clone().abs().neg().exp().log1p();
        return softplus - logits * target;
    }
    log_softmax(logits, 1).gather(1, indices(target)).neg()
}

fn indices(target: Tensor<4>) -> Tensor<4, Int> {
    target.without_autodiff().int()
}

/// Keeps a ratio finite where a class is nowhere.
const SMOOTH: f64 = 0.5;

/// TP = Σpy, Σp and Σy of each class that a region loss looks at: of class 1, or of all but class 0.
fn class_sums(logits: &Tensor<4>, target: &Tensor<4>, weight: &Tensor<4>) -> Vec<[Tensor<1>; 3]> {
    let of_class = |p: Tensor<4>, y: Tensor<4>| {
        let (p, y) = (p * weight.clone(), y * weight.clone());
        [(p.clone() * y.clone()).sum(), p.sum(), y.sum()]
    };
    let outputs = logits.dims()[1];
    if outputs == 1 {
        return vec![of_class(sigmoid(logits.clone()), target.clone())];
    }
    let p = softmax(logits.clone(), 1);
    let of = |class| of_class(p.clone().narrow(1, class, 1), target.clone().equal_elem(class as f32).float());
    (1..outputs).map(of).collect()
}

/// The sums of [`class_sums`] over all pieces of a batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums(Vec<[f64; 3]>);

impl Sums {
    /// Adds a piece.
    pub fn add(&mut self, logits: &Tensor<4>, target: &Tensor<4>, weight: &Tensor<4>) -> Result<(), ModelError> {
        let sums = class_sums(logits, target, weight);
        self.0.resize(sums.len(), [0.0; 3]);
        for (total, piece) in self.0.iter_mut().zip(sums) {
            for (total, piece) in total.iter_mut().zip(piece) {
                *total += f64::from(piece.inner().try_into_scalar::<f32>().map_err(ModelError::device)?);
            }
        }
        Ok(())
    }
}

/// KL(p‖q) of the class probabilities that two logits stand for, mean over the pixels where `weight` is 1.
pub(super) fn divergence(p: Tensor<4>, q: Tensor<4>, weight: Tensor<4>) -> Tensor<1> {
    let log = |z: Tensor<4>| {
        if z.dims()[1] > 1 {
            return log_softmax(z, 1);
        }
        // One logit is the two classes (0, z): log σ(±z) = −softplus(∓z).
        let softplus = |z: Tensor<4>| z.clone().clamp_min(0.0) + z.abs().neg().exp().log1p();
        Tensor::cat(vec![softplus(z.clone()).neg(), softplus(z.neg()).neg()], 1)
    };
    let (log_p, log_q) = (log(p), log(q));
    let per_pixel = (log_p.clone().exp() * (log_p - log_q)).sum_dim(1);
    (per_pixel * weight.clone()).sum() / weight.sum().clamp_min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn tensor(values: &[f32]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 1, values.len()]), &Device::flex())
    }

    #[test]
    fn values_by_hand() {
        let (z, y, w) = (tensor(&[0.0, 2.0, -1.0, 50.0]), tensor(&[1.0, 1.0, 0.0, 0.0]), tensor(&[1.0, 1.0, 1.0, 0.0]));
        let s = |z: f64| 1.0 / (1.0 + (-z).exp());
        let entropy = (-(0.5f64).ln() - s(2.0).ln() - (1.0 - s(-1.0)).ln()) / 3.0;
        let got = Loss::Bce.value(z.clone(), y.clone(), w.clone()).into_scalar::<f32>();
        assert!((f64::from(got) - entropy).abs() < 1e-6, "{got} {entropy}");
        let dice = (2.0 * (0.5 + s(2.0)) + 1.0) / (0.5 + s(2.0) + s(-1.0) + 2.0 + 1.0);
        let got = Loss::BceDice { dice_weight: 0.5 }.value(z, y, w).into_scalar::<f32>();
        assert!((f64::from(got) - entropy - 0.5 * (1.0 - dice)).abs() < 1e-6);
    }

    #[test]
    fn large_logits_stay_finite() {
        let (z, y, w) = (tensor(&[1e4, -1e4]), tensor(&[0.0, 1.0]), tensor(&[1.0, 1.0]));
        let loss = Loss::default().value(z.clone(), y, w.clone()).into_scalar::<f32>();
        assert!((loss - 1e4 - 1.0).abs() < 1.0, "{loss}");
        assert_eq!(divergence(z.clone(), z, w).into_scalar::<f32>(), 0.0);
    }

    #[test]
    fn losses_are_written_as_tables() {
        #[derive(Deserialize)]
        struct File {
            loss: Loss,
        }
        let read = |text: &str| toml::from_str::<File>(text).map(|file| file.loss);
        assert_eq!(read("loss = { kind = 'focal' }").unwrap(), Loss::Focal { gamma: 2.0, alpha: None });
        assert_eq!(
            read("loss = { kind = 'bce-dice', dice-weight = 2.0 }").unwrap(),
            Loss::BceDice { dice_weight: 2.0 }
        );
        assert_eq!(read("loss = { kind = 'bce' }").unwrap(), Loss::Bce);
        assert!(read("loss = { kind = 'tversky', gamma = 2.0 }").is_err());
        assert!(Loss::Bce.check(2).is_err() && Loss::CrossEntropy.check(2).is_ok());
    }
}
