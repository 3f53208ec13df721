//! How to train: everything that decides the outcome besides the data.

use super::{Adversarial, Augmentation, Loss, OptimizerSettings, Role, Schedule, TrainError};
use crate::model::unet::UNetConfig;
use serde::{Deserialize, Serialize};

/// The settings of a training. The same recipe and data give the same weights on the same device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The network: one sigmoid output, or a softmax over classes.
    pub network: UNetConfig,
    /// The names of the classes; two for one output.
    pub classes: Vec<String>,
    /// How often the data are gone through, at least 1.
    pub epochs: usize,
    /// Crops a step, at least 1.
    pub batch: usize,
    /// Height and width in pixels of what the network predicts in a crop.
    pub crop: usize,
    /// What is lowered.
    pub loss: Loss,
    /// How a gradient becomes a step.
    pub optimizer: OptimizerSettings,
    /// The learning rate at its highest, in (0, 1].
    pub learning_rate: f64,
    /// How it goes from there.
    pub schedule: Schedule,
    /// Stop after so many epochs without a better validation Dice.
    pub patience: Option<usize>,
    /// Memory in MiB that a step may take, about: crops go through the network in as many parts as that asks for, and their
    /// gradients are added. The loss stays that of the whole batch; batch normalisation normalises over each part, so with it
    /// the training is another one ([`Self::caution`]).
    pub memory_mib: Option<u64>,
    /// Of the weights, the order of the data, the augmentation and dropout.
    pub seed: u64,
    /// Changes to the crops.
    pub augmentation: Augmentation,
    /// Adversarial samples among them.
    pub adversarial: Vec<Adversarial>,
}

/// Bytes that a training step takes for each pixel of a crop and each feature map of the first level: 144 by the peak memory of
/// batches of 4, 12 and 20 crops of 128² on the CPU, base 16 and depth 4 with batch normalisation.
const BYTES_PER_PIXEL_AND_BASE: u64 = 150;

impl Recipe {
    /// The defaults for a network: 128² crops, batches of 8, Adam at 10⁻³, Dice beside cross-entropy, flips, turns and jittered
    /// grey values.
    pub fn new(network: UNetConfig, epochs: usize) -> Self {
        Self {
            network,
            classes: vec!["cell".to_owned(), "membrane".to_owned()],
            epochs,
            batch: 8,
            crop: 128,
            loss: Loss::default(),
            optimizer: OptimizerSettings::default(),
            learning_rate: 1e-3,
            schedule: Schedule::default(),
            patience: None,
            memory_mib: None,
            seed: 0,
            augmentation: Augmentation::USUAL,
            adversarial: Vec::new(),
        }
    }

    /// Height and width of the network's input for a crop; with unpadded convolutions larger than what it predicts.
    pub fn input(&self) -> usize {
        self.network.input_size(self.crop)
    }

    /// Height and width of what the network predicts from [`Self::input`]: at least the crop.
    pub fn output(&self) -> usize {
        self.input() - 2 * self.network.margin()
    }

    /// Bytes that one crop of a step takes, about.
    pub fn crop_bytes(&self) -> u64 {
        let pixels = (self.input() as u64).pow(2);
        pixels * self.network.base as u64 * BYTES_PER_PIXEL_AND_BASE
    }

    /// Crops that go through the network together.
    pub fn micro_batch(&self) -> usize {
        let Some(mib) = self.memory_mib else { return usize::MAX };
        let fit = mib.saturating_mul(1 << 20) / self.crop_bytes().max(1);
        usize::try_from(fit).unwrap_or(usize::MAX).max(1)
    }

    /// Rows of a part of `rows` that go through the network together: pieces of equal size, as far as that goes, so that batch
    /// normalisation sees no single left-over crop. For TRADES (`beside`) the clean crops go through beside the samples.
    pub(super) fn piece(&self, rows: usize, beside: bool) -> usize {
        let most = if beside { (self.micro_batch() / 2).max(1) } else { self.micro_batch() };
        let rows = rows.max(1);
        rows.div_ceil(rows.div_ceil(most.min(rows)))
    }

    /// The parts of a step's loss: the rows of each, and whether it is that of TRADES.
    pub(super) fn part_rows(&self) -> Vec<(usize, bool)> {
        let mut batch = self.batch;
        let mut terms = Vec::new();
        for entry in &self.adversarial {
            let count = entry.count(self.batch);
            match entry.role {
                Role::Append => batch += count,
                Role::Replace => {}
                Role::Mix { .. } => terms.push((count, false)),
                Role::Trades { .. } => terms.push((count, true)),
            }
        }
        std::iter::once((batch, false)).chain(terms).collect()
    }

    /// What the budget changes besides memory, for people.
    pub fn caution(&self) -> Option<String> {
        if !self.network.batch_norm {
            return None;
        }
        let told = |(place, (rows, beside)): (usize, (usize, bool))| {
            let piece = self.piece(rows, beside);
            let what = match (place, beside) {
                (0, _) if rows > self.batch => {
                    let appended = rows - self.batch;
                    format!("each batch of {} with its {appended} appended samples", self.batch)
                }
                (0, _) => format!("each batch of {rows}"),
                (_, false) => format!("its {rows} samples with a term of their own"),
                (_, true) => format!("its {rows} samples of TRADES, each beside its clean crop,"),
            };
            (piece < rows).then(|| format!("{what} into pieces of at most {piece}"))
        };
        let parted: Vec<String> = self.part_rows().into_iter().enumerate().filter_map(told).collect();
        (!parted.is_empty()).then(|| {
            format!(
                "the memory budget parts {}: batch normalisation normalises over a piece, so this is not the training that it is without the budget",
                parted.join(" and ")
            )
        })
    }

    /// Floating-point operations of a step, about: forward once, backward twice; what adversarial samples add; and the second
    /// pass of what goes through in pieces.
    pub fn step_flops(&self) -> f64 {
        let forward = self.network.flops([self.input(), self.input()]) as f64;
        let crops = self.batch as f64;
        let extra: f64 = self.adversarial.iter().map(|a| a.passes(crops)).sum();
        let twice = |&(rows, beside): &(usize, bool)| {
            !beside && self.piece(rows, beside) < rows && self.loss.region().is_some()
        };
        let again: usize = self.part_rows().iter().filter(|part| twice(part)).map(|(rows, _)| rows).sum();
        forward * (3.0 * crops + extra + again as f64)
    }

    /// Says what cannot work before anything is allocated.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn check(&self) -> Result<(), TrainError> {
        let n = &self.network;
        let wrong = |field: &str, cause: String| Err(TrainError::field(field, cause));
        if !(1..=64).contains(&n.outputs) {
            return wrong("network.outputs", format!("{}: use 1 to 64", n.outputs));
        }
        if self.classes.len() != n.outputs.max(2) {
            let (named, outputs) = (self.classes.len(), n.outputs);
            return wrong(
                "data.classes",
                format!(
                    "{named} classes for a network with {outputs} outputs: one output is for two classes, else there is one for each"
                ),
            );
        }
        for (field, value, most) in
            [("network.channels", n.channels, 3), ("network.depth", n.depth, 6), ("network.base", n.base, 128)]
        {
            if !(1..=most).contains(&value) {
                return wrong(field, format!("{value} is out of range: 1 to {most}"));
            }
        }
        if !(0.0..1.0).contains(&n.dropout) {
            return wrong("network.dropout", format!("{}: use 0 or more, below 1", n.dropout));
        }
        n.check().map_err(|cause| TrainError::field("network", cause))?;
        if self.epochs == 0 || self.epochs > 1_000_000 {
            return wrong("training.epochs", format!("{} epochs: use at least 1, at most a million", self.epochs));
        }
        if self.batch == 0 || self.batch > 1024 {
            return wrong("training.batch", format!("a batch of {}: use at least 1, at most 1024", self.batch));
        }
        let step = 1usize << n.depth;
        if self.crop < 2 * step || self.crop > 2048 {
            let least = 2 * step;
            return wrong(
                "training.crop",
                format!("a crop of {} pixels: use {least} to 2048 for a network of depth {}", self.crop, n.depth),
            );
        }
        if n.margin() == 0 && !self.crop.is_multiple_of(step) {
            let down = self.crop / step * step;
            return wrong(
                "training.crop",
                format!("a crop of {} pixels is not a multiple of {step}. Use {down} or {}", self.crop, down + step),
            );
        }
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            let rate = self.learning_rate;
            return wrong("training.learning-rate", format!("a learning rate of {rate}: use one above 0, at most 1"));
        }
        if self.patience == Some(0) {
            return wrong("training.patience", "0 epochs: use at least 1, or leave it out".to_owned());
        }
        if self.memory_mib == Some(0) {
            return wrong("training.memory-mib", "0 MiB: use at least 1, or leave it out".to_owned());
        }
        self.loss.check(n.outputs)?;
        self.optimizer.check()?;
        self.schedule.check()?;
        self.augmentation.check()?;
        self.check_adversarial()
    }

    fn check_adversarial(&self) -> Result<(), TrainError> {
        let mut replaced = 0;
        let mut terms = 0;
        for (index, entry) in self.adversarial.iter().enumerate() {
            entry.check(index)?;
            match entry.role {
                Role::Replace => replaced += entry.count(self.batch),
                Role::Mix { .. } | Role::Trades { .. } => terms += 1,
                Role::Append => {}
            }
        }
        if replaced > self.batch {
            let cause = format!("{replaced} crops of a batch of {} are to be replaced. Lower the shares", self.batch);
            return Err(TrainError::field("adversarial.share", cause));
        }
        if terms > 1 {
            return Err(TrainError::field("adversarial.role", "only one of mix and trades can be, and once"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::unet::Downsampling;

    #[test]
    fn impossible_settings_are_named() {
        let good = Recipe::new(UNetConfig::new(4, 3), 1);
        assert!(good.check().is_ok());
        let strided = UNetConfig { downsampling: Downsampling::Strided, ..UNetConfig::ronneberger() };
        for (bad, says) in [
            (
                Recipe { crop: 100, ..good.clone() },
                "training.crop: a crop of 100 pixels is not a multiple of 8. Use 96 or 104",
            ),
            (Recipe { crop: 8, ..good.clone() }, "16 to 2048"),
            (Recipe { epochs: 0, ..good.clone() }, "0 epochs"),
            (Recipe { learning_rate: f64::NAN, ..good.clone() }, "learning rate"),
            (Recipe { network: UNetConfig { outputs: 3, ..good.network.clone() }, ..good.clone() }, "2 classes"),
            (Recipe { network: strided, ..good.clone() }, "max-pool downsampling only"),
            (Recipe { schedule: Schedule::Linear { floor: 2.0 }, ..good.clone() }, "schedule.floor"),
        ] {
            let error = bad.check().expect_err("must be refused").to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn unpadded_networks_see_more_than_they_predict() {
        let recipe = Recipe { crop: 128, ..Recipe::new(UNetConfig::ronneberger(), 1) };
        assert!(recipe.check().is_ok());
        assert!(recipe.output() >= 128 && recipe.input() == recipe.output() + 184);
    }

    #[test]
    fn adversarial_samples_are_in_the_cost() {
        let plain = Recipe::new(UNetConfig::new(4, 3), 1);
        let with = |name: &str, share, role| {
            let attack = crate::attack::Attack::named(name).unwrap();
            let entry = Adversarial { attack, epsilon: 0.1, draw: true, share, role };
            Recipe { adversarial: vec![entry], ..plain.clone() }.step_flops() / plain.step_flops()
        };
        // A gradient costs as much as a step; appended rows are learned too.
        assert_eq!(with("inverse-fgsm", 1.0, Role::Append), 3.0);
        assert_eq!(with("fgsm", 0.5, Role::Append), 2.0);
        assert_eq!(with("fgsm", 1.0, Role::Replace), 2.0);
    }

    #[test]
    fn a_budget_makes_parts() {
        let recipe = Recipe::new(UNetConfig::new(16, 4), 1);
        assert_eq!(recipe.micro_batch(), usize::MAX);
        let one = recipe.crop_bytes().div_ceil(1 << 20);
        assert_eq!(Recipe { memory_mib: Some(1), ..recipe.clone() }.micro_batch(), 1);
        let three = Recipe { memory_mib: Some(3 * one), ..recipe.clone() };
        assert_eq!(three.micro_batch(), 3);
        assert!(three.caution().is_some_and(|text| text.contains("pieces of at most 3")), "{three:?}");
        let plain = UNetConfig { batch_norm: false, ..recipe.network.clone() };
        assert_eq!((Recipe { network: plain, ..three }.caution(), recipe.caution()), (None, None));
    }

    #[test]
    fn a_budget_is_compared_with_all_that_is_learned_together() {
        let four = Recipe { batch: 4, ..Recipe::new(UNetConfig::new(16, 4), 1) };
        let four = Recipe { memory_mib: Some((4 * four.crop_bytes()).div_ceil(1 << 20)), ..four };
        assert_eq!((four.micro_batch(), four.caution()), (4, None));
        let with = |name: &str, share, role| {
            let attack = crate::attack::Attack::named(name).unwrap();
            let entry = Adversarial { attack, epsilon: 0.1, draw: false, share, role };
            Recipe { adversarial: vec![entry], ..four.clone() }
        };
        // Four clean crops fit, and with four samples of them they are all clean and then all adversarial.
        let appended = with("fgsm", 1.0, Role::Append);
        let text = appended.caution().unwrap();
        assert!(text.contains("each batch of 4 with its 4 appended samples into pieces of at most 4:"), "{text}");
        let trades = with("pgd", 1.0, Role::Trades { beta: 6.0 }).caution().unwrap();
        assert!(trades.contains("parts its 4 samples of TRADES") && trades.contains("at most 2:"), "{trades}");
        let half = with("pgd", 0.5, Role::Trades { beta: 6.0 });
        assert_eq!(half.caution(), None, "two samples and two clean crops");
        for role in [Role::Replace, Role::Mix { alpha: 0.5 }] {
            assert_eq!(with("fgsm", 1.0, role).caution(), None);
        }
        // All eight go through a second time, as a part of the loss is a ratio over the batch.
        let forward = four.network.flops([four.input(), four.input()]) as f64;
        let more = appended.step_flops() - Recipe { memory_mib: None, ..appended }.step_flops();
        assert!((more / forward - 8.0).abs() < 1e-9, "{}", more / forward);
        // Two samples: the clean crops once, a gradient in each step; then both are learned from.
        let steps = half.adversarial[0].attack.get("steps").unwrap();
        let expected = 3.0 * 4.0 + 2.0 * (1.0 + 3.0 * steps + 6.0);
        assert!((half.step_flops() / forward - expected).abs() < 1e-9, "{}", half.step_flops() / forward);
    }
}
