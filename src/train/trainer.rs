//! The training itself, one batch at a time.

mod gradients;
mod pace;

use super::adversarial::parts;
use super::batch::{self, Batch};
use super::checkpoint::{Checkpoint, EpochRecord, Header, stopped_early};
use super::optimizer::NetworkOptimizer;
use super::schedule::Rates;
use super::validation::validate;
use super::weights::card;
use super::{Fingerprint, Recipe, SamplePrediction, Source, TrainError, TrainingData, Validation, he_normal};
use crate::data::{Case, DataError};
use crate::model::unet::UNet;
use crate::model::{BuiltIn, ModelCard, read_network, safetensors_bytes};
use burn::module::Module;
use burn::tensor::Device;
use pace::Pace;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// A training under way.
pub struct Trainer {
    recipe: Recipe,
    data: String,
    fingerprints: [Fingerprint; 2],
    validate: Arc<[Case]>,
    device: Device,
    network: UNet,
    optimizer: NetworkOptimizer,
    rates: Rates,
    batches: Receiver<Batch>,
    step: usize,
    steps: usize,
    steps_per_epoch: usize,
    best: Option<(f64, UNet)>,
    history: Vec<EpochRecord>,
    loss_sum: f64,
    samples: usize,
    pace: Pace,
}

/// What one step did.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// Steps done, 1 after the first.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// The epoch that the step belonged to, from 1.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// The loss before the step.
    pub loss: f32,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// Crops a second over the newest steps, with their part of the validation; what lies between two steps is no part of it.
    pub crops_per_second: f64,
    /// Until the end, at that speed.
    pub remaining: Duration,
    /// Of the network on the held-out images, at the end of an epoch, if there are any.
    pub validation: Option<Validation>,
    /// What it makes of the first of them, as many as were asked for.
    pub samples: Vec<SamplePrediction>,
    /// Whether an epoch ended with this step.
    pub epoch_ended: bool,
    /// Whether this validation was the best so far.
    pub improved: bool,
}

/// Where a training stands, besides its network and optimiser.
#[derive(Default)]
struct Standing {
    step: usize,
    best: Option<(f64, UNet)>,
    history: Vec<EpochRecord>,
    loss_sum: f64,
}

impl Trainer {
    /// A training from random weights.
    ///
    /// # Errors
    /// If the recipe or the data cannot be trained with.
    pub fn new(recipe: Recipe, data: TrainingData, device: &Device) -> Result<Self, TrainError> {
        recipe.check()?;
        let network = he_normal(recipe.network.init(device), recipe.seed);
        let optimizer = NetworkOptimizer::new(&recipe.optimizer);
        Self::start(recipe, data, device, network, optimizer, Standing::default())
    }

    /// Goes on where a checkpoint stands. The data must be those that it was trained on.
    ///
    /// # Errors
    /// If the file is no checkpoint, is damaged, or belongs to other data or other validation cases.
    pub fn resume(path: &Path, data: TrainingData, device: &Device) -> Result<Self, TrainError> {
        let Checkpoint { header, network, optimizer: state, best } = Checkpoint::read(path)?;
        let fail = |cause: String| DataError::new(path, cause, "Start anew without --resume");
        let found = data.train.describe();
        if found != header.data {
            return Err(fail(format!("was trained on {}, not on {found}", header.data)).into());
        }
        // The best epoch so far is the best only on the cases that it was chosen by.
        let found = Source::Cases(data.validate.clone()).describe();
        if found != header.validation {
            return Err(fail(format!("was validated on {}, not on {found}", header.validation)).into());
        }
        // Names say nothing of another label map, other pixels under the same names, or another fold with the same ends.
        let found = fingerprints(&data);
        for (verb, (then, now)) in ["trained", "validated"].into_iter().zip(header.fingerprints.iter().zip(&found)) {
            if let Some(other) = then.differs(now) {
                return Err(fail(format!("was {verb} on other data: these are {other}")).into());
            }
        }
        header.recipe.check()?;
        let card = card(&header.recipe, "checkpoint", "");
        let network = read_network(path, &card, network, device)?;
        let best_dice = header.history.iter().rev().find(|record| record.improved);
        let best_dice = best_dice.and_then(|record| record.validation.as_ref()).map(|found| found.dice);
        let best = match best_dice.or(header.best_dice) {
            Some(dice) => Some((dice, read_network(path, &card, best, device)?.valid())),
            None => None,
        };
        let optimizer = NetworkOptimizer::from_bytes(&header.recipe.optimizer, &state, &network, device)
            .map_err(|e| fail(format!("is damaged: {e}")))?;
        let standing = Standing { step: header.step, best, history: header.history, loss_sum: header.loss_sum };
        Self::start(header.recipe, data, device, network, optimizer, standing)
    }

    fn start(
        recipe: Recipe,
        data: TrainingData,
        device: &Device,
        network: UNet,
        optimizer: NetworkOptimizer,
        standing: Standing,
    ) -> Result<Self, TrainError> {
        data.train.check(recipe.network.channels)?;
        if !data.validate.is_empty() {
            Source::Cases(data.validate.clone()).check(recipe.network.channels)?;
        }
        if recipe.patience.is_some() && data.validate.is_empty() {
            let cause = "there are no held-out images to stop by. Name some, or leave it out";
            return Err(TrainError::field("training.patience", cause));
        }
        let Standing { step, best, history, loss_sum } = standing;
        let steps_per_epoch = data.train.crops(recipe.crop).div_ceil(recipe.batch);
        let steps = steps_per_epoch.saturating_mul(recipe.epochs);
        Ok(Self {
            data: data.train.describe(),
            fingerprints: fingerprints(&data),
            rates: recipe.schedule.rates(recipe.learning_rate, steps, steps_per_epoch, step)?,
            batches: batch::stream(recipe.clone(), data.train, step, steps),
            recipe,
            validate: data.validate,
            device: device.clone(),
            network: network.train(),
            optimizer,
            step,
            steps,
            steps_per_epoch,
            best,
            history,
            loss_sum,
            samples: 0,
            pace: Pace::default(),
        })
    }

    /// Keeps this many predictions of held-out images at the end of each epoch, for [`StepReport::samples`].
    pub fn keep_samples(&mut self, count: usize) {
        self.samples = count;
    }

    /// Whether all steps are done, or the validation has not improved for as long as the recipe waits.
    pub fn finished(&self) -> bool {
        self.step >= self.steps || self.stopped_early()
    }

    /// Whether it ended before its last epoch because the validation did not improve any more.
    pub fn stopped_early(&self) -> bool {
        stopped_early(&self.recipe, &self.history)
    }

    /// The epochs that are done.
    pub fn history(&self) -> &[EpochRecord] {
        &self.history
    }

    /// Steps done, and in all.
    pub fn progress(&self) -> (usize, usize) {
        (self.step, self.steps)
    }

    /// How it trains.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// What it is trained on, [`Source::describe`].
    pub fn data(&self) -> &str {
        &self.data
    }

    /// How many images are held out.
    pub fn held_out(&self) -> usize {
        self.validate.len()
    }

    /// One batch: forward, backward, a step of the optimiser; after the last of an epoch the validation. Does nothing but
    /// report once finished.
    ///
    /// # Errors
    /// If the loss is no longer finite or the device fails.
    pub fn step(&mut self) -> Result<StepReport, TrainError> {
        if self.finished() {
            return Ok(self.report(f32::NAN, 0.0));
        }
        let began = Instant::now();
        let batch = self.batches.recv().map_err(|_| TrainError::Batches)?;
        let card = self.card("training", "");
        let parts = parts(&self.recipe, &card, &self.network, batch, self.step, &self.device)?;
        let rate = self.rates.next();
        let (value, gradients) = self.gradients(&parts)?;
        if !value.is_finite() {
            return Err(TrainError::Diverged { loss: value, step: self.step });
        }
        self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        self.step += 1;
        self.loss_sum += f64::from(value);
        self.pace.stepped(began.elapsed());
        let mut report = self.report(value, rate);
        if report.epoch_ended {
            self.end_epoch(&mut report)?;
        }
        Ok(report)
    }

    fn end_epoch(&mut self, report: &mut StepReport) -> Result<(), TrainError> {
        let began = Instant::now();
        let mut validation = None;
        if !self.validate.is_empty() {
            let model = BuiltIn::new(self.card("training", ""), &self.network, &self.device)?;
            let (found, samples) = validate(&model, &self.validate, self.samples)?;
            report.improved = self.best.as_ref().is_none_or(|(dice, _)| found.dice > *dice);
            if report.improved {
                self.best = Some((found.dice, self.network.valid()));
            }
            report.samples = samples;
            validation = Some(found);
            self.pace.validated(began.elapsed());
        }
        self.history.push(EpochRecord {
            epoch: report.epoch,
            loss: self.loss_sum / self.steps_per_epoch.max(1) as f64,
            learning_rate: report.learning_rate,
            validation: validation.clone(),
            improved: report.improved,
        });
        self.loss_sum = 0.0;
        // What the validation took is known now.
        let timed = self.report(report.loss, report.learning_rate);
        (report.crops_per_second, report.remaining) = (timed.crops_per_second, timed.remaining);
        report.validation = validation;
        Ok(())
    }

    fn report(&self, loss: f32, learning_rate: f64) -> StepReport {
        let secs = self.pace.secs_per_step(self.steps_per_epoch);
        let left = self.steps.saturating_sub(self.step) as f64;
        StepReport {
            step: self.step,
            steps: self.steps,
            epoch: self.step.saturating_sub(1) / self.steps_per_epoch + 1,
            epochs: self.recipe.epochs,
            loss,
            learning_rate,
            crops_per_second: self.recipe.batch as f64 / secs.max(1e-9),
            remaining: Duration::try_from_secs_f64(secs * left).unwrap_or(Duration::MAX),
            validation: None,
            samples: Vec::new(),
            epoch_ended: self.step > 0 && self.step.is_multiple_of(self.steps_per_epoch),
            improved: false,
        }
    }

    /// The present network on the held-out images.
    ///
    /// # Errors
    /// If the device fails.
    pub fn validate(&self) -> Result<Validation, TrainError> {
        let model = BuiltIn::new(self.card("training", ""), &self.network, &self.device)?;
        Ok(validate(&model, &self.validate, 0)?.0)
    }

    /// The network that did best in validation, or without validation the present one, frozen.
    pub fn network(&self) -> UNet {
        match &self.best {
            Some((_, best)) => best.clone(),
            None => self.network.valid(),
        }
    }

    /// Validation Dice of [`Self::network`], if there was a validation.
    pub fn best_dice(&self) -> Option<f64> {
        self.best.as_ref().map(|(dice, _)| *dice)
    }

    /// The present network, still in training mode.
    pub fn current(&self) -> &UNet {
        &self.network
    }

    /// A card for the trained network: class 1 is positive.
    pub fn card(&self, name: &str, description: &str) -> ModelCard {
        card(&self.recipe, name, description)
    }

    /// Writes all that [`Self::resume`] needs, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_checkpoint(&self, path: &Path) -> Result<(), TrainError> {
        // `valid` brings the running statistics up to date, which the network in training keeps per thread.
        let encode = |network: &UNet| -> Result<Vec<u8>, DataError> {
            safetensors_bytes(&network.valid())
                .map_err(|e| DataError::new(path, format!("cannot be encoded ({e})"), ""))
        };
        let checkpoint = Checkpoint {
            header: Header {
                recipe: self.recipe.clone(),
                data: self.data.clone(),
                validation: Source::Cases(self.validate.clone()).describe(),
                fingerprints: self.fingerprints.clone(),
                step: self.step,
                best_dice: self.best.as_ref().map(|(dice, _)| *dice),
                history: self.history.clone(),
                loss_sum: self.loss_sum,
            },
            network: encode(&self.network)?,
            optimizer: self.optimizer.to_bytes()?,
            best: self.best.as_ref().map(|(_, best)| encode(best)).transpose()?.unwrap_or_default(),
        };
        checkpoint.write(path)
    }
}

/// Of both sides.
fn fingerprints(data: &TrainingData) -> [Fingerprint; 2] {
    [data.train.fingerprint(), Fingerprint::of(&data.validate)]
}

#[cfg(test)]
mod tests;
