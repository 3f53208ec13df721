//! Adversarial samples in a batch. They are made against a frozen copy of the network in evaluation mode: batch
//! normalisation and dropout stay still, and the weights in training are not touched.

use super::batch::Batch;
use super::loss::divergence;
use super::random::{gaussian, stream, unit};
use super::{Recipe, TrainError};
use crate::attack::{Attack, Objective, Options};
use crate::data::{IGNORE, Mask};
use crate::model::unet::UNet;
use crate::model::{BuiltIn, Logits, Model, ModelCard, ModelError};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Use of the seed for σ.
const STRENGTH: u64 = 0x5EED_0000_0000_0002;
/// And for the attack's own choices.
const CHOICES: u64 = 0x5EED_0000_0000_0003;

/// Adversarial versions of a share of each batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Adversarial {
    /// What makes them: `{ method = "pgd", parameters = { steps = 7, random-start = 1 } }`.
    pub attack: Attack,
    /// ε, a fraction of the bounds' width.
    pub epsilon: f64,
    /// Each sample's own σ is drawn uniformly from (0, ε] (Pervin et al. 2023); else it is ε.
    #[serde(default)]
    pub draw: bool,
    /// The share of the batch, in (0, 1]; at least one crop.
    #[serde(default = "whole")]
    pub share: f64,
    /// What becomes of them.
    #[serde(default)]
    pub role: Role,
}

fn whole() -> f64 {
    1.0
}

/// What becomes of adversarial samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Role {
    /// They are added to the batch.
    #[default]
    Append,
    /// They take the place of their originals.
    Replace,
    /// The loss is α·J(x) + (1 − α)·J(x′) (cru-net, equation 6).
    Mix {
        /// α, in [0, 1].
        #[serde(default = "half")]
        alpha: f64,
    },
    /// The loss is J(x) + β·KL(p(x) ‖ p(x′)), and x′ raises that divergence, not J (Zhang et al. 2019). The attack must be PGD,
    /// whose steps and step it takes.
    Trades {
        /// β.
        #[serde(default = "six")]
        beta: f64,
    },
}

impl Role {
    /// One of each kind, with its defaults.
    pub const KINDS: [Self; 4] = [Self::Append, Self::Replace, Self::Mix { alpha: 0.5 }, Self::Trades { beta: 6.0 }];
}

fn half() -> f64 {
    0.5
}

fn six() -> f64 {
    6.0
}

impl Adversarial {
    /// Says what cannot be done; `index` is its place among its like.
    pub(super) fn check(&self, index: usize) -> Result<(), TrainError> {
        let fault = |name: &str, cause: String| Err(TrainError::field(format!("adversarial.{index}.{name}"), cause));
        if !(self.epsilon > 0.0 && self.epsilon <= 1.0) {
            return fault("epsilon", format!("ε = {}: use one above 0, at most 1", self.epsilon));
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            return fault("share", format!("{}: use one above 0, at most 1", self.share));
        }
        let entry = self.attack.entry();
        if !entry.masks || self.attack.norm().is_none() {
            return fault(
                "attack",
                format!("{} is not within an ε of masks. Use fgsm, inverse-fgsm, r-fgsm or pgd", entry.title),
            );
        }
        match self.role {
            Role::Mix { alpha } if !(0.0..=1.0).contains(&alpha) => fault("role.alpha", format!("{alpha}: use 0 to 1")),
            Role::Trades { beta } if !(beta > 0.0 && beta.is_finite()) => {
                fault("role.beta", format!("{beta}: use a number above 0"))
            }
            Role::Trades { .. }
                if self.attack.name() != "pgd" || self.attack.norm() != Some(crate::attack::Norm::Linf) =>
            {
                fault("attack", "trades has its own inner steps: give them as pgd in linf".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Crops of a batch that get a sample.
    pub fn count(&self, batch: usize) -> usize {
        ((self.share * batch as f64).round() as usize).clamp(1, batch.max(1))
    }

    /// Forward passes that it adds to a step of `crops`, a backward pass counting as two.
    pub(super) fn passes(&self, crops: f64) -> f64 {
        let steps = self.attack.get("steps").unwrap_or(1.0).max(1.0);
        let more = match self.role {
            Role::Replace => 0.0,
            Role::Append | Role::Mix { .. } => 3.0,
            // Learned from are the samples and the clean crops beside them, at which the attack has looked once.
            Role::Trades { .. } => 7.0,
        };
        (crops * self.share).max(1.0) * (3.0 * steps + more)
    }

    /// In a few words, for cards and reports.
    pub fn describe(&self) -> String {
        let strength = if self.draw { format!("σ in (0, {}]", self.epsilon) } else { format!("ε {}", self.epsilon) };
        let role = match self.role {
            Role::Append => "appended".to_owned(),
            Role::Replace => "in place of their originals".to_owned(),
            Role::Mix { alpha } => format!("mixed into the loss, α {alpha}"),
            Role::Trades { beta } => format!("TRADES, β {beta}"),
        };
        format!("{} of {strength}, {:.0} % of the batch, {role}", self.attack, 100.0 * self.share)
    }
}

/// Rows that go through the network with one coefficient in the loss.
pub(super) struct Part {
    /// `[rows, channels, input, input]`, without autodiff.
    pub x: Tensor<4>,
    /// Class indices and what counts, `[rows, 1, output, output]`.
    pub target: Tensor<4>,
    pub weight: Tensor<4>,
    /// What its loss is multiplied by.
    pub coefficient: f64,
    /// The crop of the batch that each row is, or was made of.
    pub crops: Vec<usize>,
    /// For TRADES the clean images: the loss is then the divergence from what the network says of them.
    pub clean: Option<Tensor<4>>,
}

/// The network as an attack sees it: crops are of the size that it takes, and nothing is padded.
pub(super) struct Frozen(BuiltIn);

impl Model for Frozen {
    fn card(&self) -> &ModelCard {
        self.0.card()
    }

    fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        self.0.raw(x)
    }

    fn working_bytes(&self, height: usize, width: usize) -> u64 {
        self.0.working_bytes(height, width)
    }

    fn device(&self) -> Device {
        self.0.device()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn Model> {
        self.0.to_device(device)
    }
}

/// The parts of one step: the batch, with what the recipe adds to it or puts in its place.
pub(super) fn parts(
    recipe: &Recipe,
    card: &ModelCard,
    network: &UNet,
    batch: Batch,
    step: usize,
    device: &Device,
) -> Result<Vec<Part>, TrainError> {
    let (n, output) = (batch.count, batch.output);
    let masks = if recipe.adversarial.is_empty() { Vec::new() } else { masks(&batch) };
    let tensor = |values: Vec<f32>, shape: [usize; 4]| Tensor::<4>::from_data(TensorData::new(values, shape), device);
    let x = tensor(batch.images, [n, batch.channels, batch.input, batch.input]);
    let target = tensor(batch.targets, [n, 1, output, output]);
    let weight = tensor(batch.weights, [n, 1, output, output]);
    if recipe.adversarial.is_empty() {
        return Ok(vec![Part { x, target, weight, coefficient: 1.0, crops: (0..n).collect(), clean: None }]);
    }
    // `valid` makes a copy: what is folded and attacked is not what is trained.
    let model = frozen(card, network, device)?;
    let mut rows: Vec<Tensor<4>> = (0..n).map(|i| x.clone().narrow(0, i, 1)).collect();
    let mut appended: Vec<usize> = Vec::new();
    let mut extra: Vec<Tensor<4>> = Vec::new();
    let mut term = None;
    let mut next = step % n.max(1);
    for (index, entry) in recipe.adversarial.iter().enumerate() {
        let count = entry.count(n);
        let chosen: Vec<usize> = (0..count).map(|i| (next + i) % n).collect();
        next = (next + count) % n;
        let from = Tensor::cat(chosen.iter().map(|&i| x.clone().narrow(0, i, 1)).collect(), 0);
        let which = (step * recipe.adversarial.len() + index) as u64;
        let epsilons = strengths(entry, count, recipe.seed, which);
        let made = match entry.role {
            Role::Trades { .. } => {
                let weight = pick(&weight, &chosen);
                let mut rng = stream(recipe.seed, CHOICES, which);
                let noise = (0..from.shape().num_elements()).map(|_| gaussian(&mut rng)).collect();
                let noise = tensor(noise, from.dims());
                // Samples do not know of one another: as many at once as the budget lets through.
                let most = recipe.micro_batch().min(count);
                let mut made = Vec::with_capacity(count.div_ceil(most));
                for (piece, epsilons) in epsilons.chunks(most).enumerate() {
                    let of = |t: &Tensor<4>| t.clone().narrow(0, piece * most, epsilons.len());
                    made.push(diverging(&model, entry, &of(&from), of(&noise), &of(&weight), epsilons)?);
                }
                Tensor::cat(made, 0)
            }
            _ => {
                let masks: Vec<Mask> = chosen.iter().map(|&i| masks[i].clone()).collect();
                let objective = Objective::masks(card.head, card.positive_class, &masks, device);
                let seed = (recipe.seed ^ which.wrapping_mul(0x9E37_79B9)) & 0xFFFF_FFFF;
                let attack = match entry.attack.get("seed") {
                    Some(_) => entry.attack.with("seed", seed as f64)?,
                    None => entry.attack,
                };
                attack.run_through(&model, &from, &objective, &epsilons, &options(recipe, &model))?.adversarial
            }
        };
        match entry.role {
            Role::Append => {
                appended.extend(&chosen);
                extra.push(made);
            }
            Role::Replace => {
                for (k, &i) in chosen.iter().enumerate() {
                    rows[i] = made.clone().narrow(0, k, 1);
                }
            }
            Role::Mix { .. } | Role::Trades { .. } => term = Some((entry.role, chosen, from, made)),
        }
    }
    let all: Vec<usize> = (0..n).chain(appended).collect();
    let mut images = rows;
    images.extend(extra);
    let mut base = Part {
        x: Tensor::cat(images, 0),
        target: pick(&target, &all),
        weight: pick(&weight, &all),
        coefficient: 1.0,
        crops: all,
        clean: None,
    };
    let Some((role, chosen, from, made)) = term else { return Ok(vec![base]) };
    let part = |coefficient, clean| Part {
        x: made,
        target: pick(&target, &chosen),
        weight: pick(&weight, &chosen),
        coefficient,
        crops: chosen.clone(),
        clean,
    };
    let second = match role {
        Role::Mix { alpha } => {
            base.coefficient = alpha;
            part(1.0 - alpha, None)
        }
        Role::Trades { beta } => part(beta, Some(from)),
        Role::Append | Role::Replace => return Ok(vec![base]),
    };
    Ok(vec![base, second])
}

/// Attacks as many crops at once as a step takes together.
fn options(recipe: &Recipe, model: &dyn Model) -> Options {
    let usual = Options::default();
    let each = model.working_bytes(recipe.input(), recipe.input()).max(1);
    let budget_bytes = each.saturating_mul(recipe.micro_batch() as u64).min(usual.budget_bytes);
    Options { budget_bytes, ..usual }
}

fn pick(of: &Tensor<4>, rows: &[usize]) -> Tensor<4> {
    Tensor::cat(rows.iter().map(|&i| of.clone().narrow(0, i, 1)).collect(), 0)
}

/// The targets of a batch as masks.
fn masks(batch: &Batch) -> Vec<Mask> {
    let size = (batch.output * batch.output).max(1);
    let rows = batch.targets.chunks(size).zip(batch.weights.chunks(size));
    rows.map(|(targets, weights)| Mask {
        height: batch.output,
        width: batch.output,
        classes: targets.iter().zip(weights).map(|(&t, &w)| if w > 0.0 { t as u8 } else { IGNORE }).collect(),
    })
    .collect()
}

/// The network as it is now, in evaluation mode.
pub(super) fn frozen(card: &ModelCard, network: &UNet, device: &Device) -> Result<Frozen, ModelError> {
    Ok(Frozen(BuiltIn::new(card.clone(), network, device)?))
}

/// The strengths of `count` samples: σ uniform in (0, ε], or ε; `which` of its like it is.
pub(super) fn strengths(entry: &Adversarial, count: usize, seed: u64, which: u64) -> Vec<f64> {
    let mut rng = stream(seed, STRENGTH, which);
    let strength = || if entry.draw { entry.epsilon * f64::from(1.0 - unit(&mut rng)) } else { entry.epsilon };
    std::iter::repeat_with(strength).take(count).collect()
}

/// x′ in the ball that raises KL(p(x) ‖ p(x′)): from x + 0.001·`noise`, N(0, 1), steps along the sign of its gradient.
pub(super) fn diverging(
    model: &dyn Model,
    entry: &Adversarial,
    x: &Tensor<4>,
    noise: Tensor<4>,
    weight: &Tensor<4>,
    epsilons: &[f64],
) -> Result<Tensor<4>, TrainError> {
    let dense = |logits| match logits {
        Logits::Dense(z) => Ok(z),
        Logits::Class(_) => Err(ModelError::NotSegmentation),
    };
    let device = x.device();
    let steps = entry.attack.get("steps").unwrap_or(10.0).max(1.0);
    let step = entry.attack.get("step").filter(|&s| s > 0.0).unwrap_or(1.0 / steps);
    let epsilon: Vec<f32> = epsilons.iter().map(|&e| e as f32).collect();
    let epsilon = Tensor::<4>::from_data(TensorData::new(epsilon, [epsilons.len(), 1, 1, 1]), &device);
    let clean = dense(model.logits(x.clone())?)?;
    let within = |image: Tensor<4>| {
        let image = image.max_pair(x.clone() - epsilon.clone()).min_pair(x.clone() + epsilon.clone());
        image.clamp(0.0, 1.0)
    };
    let mut image = within(x.clone() + noise * 1e-3);
    for _ in 0..steps as usize {
        let tracked = image.clone().autodiff().require_grad();
        let z = dense(model.logits(tracked.clone())?)?;
        let loss = divergence(clean.clone().autodiff(), z, weight.clone().autodiff());
        let Some(gradient) = tracked.grad(&loss.backward()) else { break };
        image = within(image + gradient.sign() * epsilon.clone() * step);
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strengths_are_uniform_up_to_epsilon() {
        let attack = Attack::named("fgsm").unwrap();
        let entry = Adversarial { attack, epsilon: 0.1, draw: true, share: 1.0, role: Role::Append };
        // As a training draws them: a few a step.
        let mut all: Vec<f64> = (0..1000).flat_map(|which| strengths(&entry, 4, 7, which)).collect();
        all.sort_by(f64::total_cmp);
        assert!(all[0] > 0.0 && all[all.len() - 1] <= 0.1);
        // Kolmogorov and Smirnov: below 1.63/√n with a probability of .99.
        let n = all.len() as f64;
        let distance = |(i, &value): (usize, &f64)| {
            (value / 0.1 - i as f64 / n).abs().max((value / 0.1 - (i + 1) as f64 / n).abs())
        };
        let largest = all.iter().enumerate().map(distance).fold(0.0, f64::max);
        assert!(largest < 1.63 / n.sqrt(), "{largest}");
        let whole = Adversarial { draw: false, ..entry };
        assert_eq!(strengths(&whole, 3, 7, 0), [0.1; 3]);
    }
}
