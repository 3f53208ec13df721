//! How to train: everything that decides the outcome besides the data.

use super::TrainError;
use crate::model::unet::UNetConfig;
use serde::{Deserialize, Serialize};

/// The settings of a training. The same recipe and data give the same weights on the same device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The network; one sigmoid output.
    pub network: UNetConfig,
    /// How often the data are gone through, at least 1.
    pub epochs: usize,
    /// Crops a step, at least 1.
    pub batch: usize,
    /// Height and width in pixels of what the network predicts in a crop.
    pub crop: usize,
    /// Learning rate of Adam at its highest, in (0, 1].
    pub learning_rate: f64,
    /// Weight of the Dice loss beside that of binary cross-entropy, which is 1.
    pub dice_weight: f64,
    /// Of the weights, the order of the data, the augmentation and dropout.
    pub seed: u64,
    /// Changes to the crops.
    pub augmentation: Augmentation,
}

/// How crops are changed: eight flips and rotations if `flips`, and grey values jittered up to these amounts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Flips and 90° rotations.
    pub flips: bool,
    /// Largest brightness shift, a fraction of the bounds' width.
    pub brightness: f32,
    /// Largest relative change of contrast about mid-grey.
    pub contrast: f32,
    /// Largest curvature of the tone curve v + g·v·(1 − v), below 1.
    pub gamma: f32,
    /// Largest standard deviation of added noise, a fraction of the bounds' width.
    pub noise: f32,
}

impl Augmentation {
    /// Crops as they are.
    pub const NONE: Self = Self { flips: false, brightness: 0.0, contrast: 0.0, gamma: 0.0, noise: 0.0 };
}

impl Default for Augmentation {
    fn default() -> Self {
        Self { flips: true, brightness: 0.1, contrast: 0.25, gamma: 0.3, noise: 0.04 }
    }
}

impl Recipe {
    /// The defaults for a network: 128² crops, batches of 8, a learning rate of 10⁻³, Dice beside cross-entropy.
    pub fn new(network: UNetConfig, epochs: usize) -> Self {
        Self {
            network,
            epochs,
            batch: 8,
            crop: 128,
            learning_rate: 1e-3,
            dice_weight: 1.0,
            seed: 0,
            augmentation: Augmentation::default(),
        }
    }

    /// The learning rate at `step` of `steps`: a linear rise over the first hundredth (at most 100 steps), then half a
    /// cosine down to a hundredth of the highest (Loshchilov and Hutter, SGDR, ICLR 2017, without restarts).
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        let rise = (steps / 100).clamp(1, 100);
        if step < rise {
            return self.learning_rate * (step + 1) as f64 / (rise + 1) as f64;
        }
        let along = (step - rise) as f64 / (steps - rise).max(1) as f64;
        let floor = 0.01;
        self.learning_rate * (floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * along.min(1.0)).cos()))
    }

    /// Height and width of the network's input for a crop; with unpadded convolutions larger than what it predicts.
    pub fn input(&self) -> usize {
        self.network.input_size(self.crop)
    }

    /// Height and width of what the network predicts from [`Self::input`]: at least the crop.
    pub fn output(&self) -> usize {
        self.input() - 2 * self.network.margin()
    }

    /// Says what cannot work before anything is allocated.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn check(&self) -> Result<(), TrainError> {
        let n = &self.network;
        let wrong = |what: String| Err(TrainError::Recipe(what));
        if n.outputs != 1 {
            return wrong(format!("the network has {} outputs; training is for one, of a sigmoid", n.outputs));
        }
        if !(1..=3).contains(&n.channels) || !(1..=6).contains(&n.depth) || !(1..=128).contains(&n.base) {
            return wrong(format!(
                "a network with {} channels, depth {} and base {} is out of range: 1–3, 1–6, 1–128",
                n.channels, n.depth, n.base
            ));
        }
        n.check().map_err(TrainError::Recipe)?;
        if self.epochs == 0 || self.batch == 0 || self.batch > 1024 {
            return wrong(format!(
                "{} epochs of batches of {}: use at least 1, at most 1024 a batch",
                self.epochs, self.batch
            ));
        }
        let step = 1usize << n.depth;
        if self.crop < 2 * step || self.crop > 2048 {
            return wrong(format!(
                "a crop of {} pixels: use {} to 2048 for a network of depth {}",
                self.crop,
                2 * step,
                n.depth
            ));
        }
        if n.margin() == 0 && !self.crop.is_multiple_of(step) {
            let down = self.crop / step * step;
            return wrong(format!(
                "a crop of {} pixels is not a multiple of {step}. Use {down} or {}",
                self.crop,
                down + step
            ));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            return wrong(format!("a learning rate of {}: use one above 0, at most 1", self.learning_rate));
        }
        if !(self.dice_weight >= 0.0 && self.dice_weight.is_finite()) {
            return wrong(format!("a Dice weight of {}: use 0 or more", self.dice_weight));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::unet::Downsampling;

    #[test]
    fn the_rate_rises_then_falls_to_a_hundredth() {
        let recipe = Recipe::new(UNetConfig::new(4, 2), 1);
        let rates: Vec<f64> = (0..1000).map(|s| recipe.rate(s, 1000)).collect();
        let top = rates.iter().copied().fold(0.0, f64::max);
        assert!((top - 1e-3).abs() < 1e-9 && rates[0] < 2e-4 && rates[999] < 1.1e-5 && rates[999] >= 1e-5);
        assert!(rates[10..].windows(2).all(|w| w[1] <= w[0]));
    }

    #[test]
    fn impossible_settings_are_named() {
        let good = Recipe::new(UNetConfig::new(4, 3), 1);
        assert!(good.check().is_ok());
        let strided = UNetConfig { downsampling: Downsampling::Strided, ..UNetConfig::ronneberger() };
        for (bad, says) in [
            (Recipe { crop: 100, ..good.clone() }, "Use 96 or 104"),
            (Recipe { crop: 8, ..good.clone() }, "16 to 2048"),
            (Recipe { epochs: 0, ..good.clone() }, "0 epochs"),
            (Recipe { learning_rate: f64::NAN, ..good.clone() }, "learning rate"),
            (Recipe { network: UNetConfig { outputs: 2, ..good.network.clone() }, ..good.clone() }, "2 outputs"),
            (Recipe { network: strided, ..good.clone() }, "max-pool downsampling only"),
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
}
