//! The training itself, one batch at a time.

use super::adam::NetworkAdam;
use super::batch::{self, Batch};
use super::checkpoint::{Checkpoint, Header};
use super::{Evaluation, Recipe, Source, TrainError, TrainingData, bce_dice, evaluate, he_normal};
use crate::data::{Case, DataError};
use crate::model::unet::{UNet, UNetConfig};
use crate::model::{BuiltIn, ClassInfo, Head, ModelCard, ModelError, read_network};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use burn_store::{ModuleSnapshot, SafetensorsStore};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// A training under way.
pub struct Trainer {
    recipe: Recipe,
    data: String,
    validate: Arc<[Case]>,
    device: Device,
    network: UNet,
    optimizer: NetworkAdam,
    batches: Receiver<Batch>,
    step: usize,
    steps: usize,
    steps_per_epoch: usize,
    best: Option<(f64, UNet)>,
    started: Instant,
    first: usize,
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
    /// Crops a second since the start or the resumption, validation included.
    pub crops_per_second: f64,
    /// Until the end, at that speed.
    pub remaining: Duration,
    /// Of the network on the validation cases, at the end of an epoch, if there are any.
    pub validation: Option<Evaluation>,
    /// Whether an epoch ended with this step.
    pub epoch_ended: bool,
    /// Whether this validation was the best so far.
    pub improved: bool,
}

impl Trainer {
    /// A training from random weights.
    ///
    /// # Errors
    /// If the recipe or the data cannot be trained with.
    pub fn new(recipe: Recipe, data: TrainingData, device: &Device) -> Result<Self, TrainError> {
        recipe.check()?;
        let network = he_normal(recipe.network.init(device), recipe.seed);
        Self::start(recipe, data, device, network, NetworkAdam::new(), 0, None)
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
        header.recipe.check()?;
        let card = card(&header.recipe.network, "checkpoint", "");
        let network = read_network(path, &card, network, device)?;
        let best = match header.best_dice {
            Some(dice) => Some((dice, read_network(path, &card, best, device)?.valid())),
            None => None,
        };
        let optimizer =
            NetworkAdam::from_bytes(&state, &network, device).map_err(|e| fail(format!("is damaged: {e}")))?;
        let step = header.step;
        Self::start(header.recipe, data, device, network, optimizer, step, best)
    }

    fn start(
        recipe: Recipe,
        data: TrainingData,
        device: &Device,
        network: UNet,
        optimizer: NetworkAdam,
        step: usize,
        best: Option<(f64, UNet)>,
    ) -> Result<Self, TrainError> {
        data.train.check(recipe.network.channels)?;
        Source::Cases(data.validate.clone())
            .check(recipe.network.channels)
            .or_else(|e| if data.validate.is_empty() { Ok(()) } else { Err(e) })?;
        let steps_per_epoch = data.train.crops(recipe.crop).div_ceil(recipe.batch);
        let steps = steps_per_epoch * recipe.epochs;
        Ok(Self {
            data: data.train.describe(),
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
            started: Instant::now(),
            first: step,
        })
    }

    /// Whether all steps are done.
    pub fn finished(&self) -> bool {
        self.step >= self.steps
    }

    /// How it trains.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// What it is trained on, [`Source::describe`].
    pub fn data(&self) -> &str {
        &self.data
    }

    /// One batch: forward, backward, Adam; after the last of an epoch the validation. Does nothing but
    /// report once finished.
    ///
    /// # Errors
    /// If the loss is no longer finite or the device fails.
    pub fn step(&mut self) -> Result<StepReport, TrainError> {
        if self.finished() {
            return Ok(self.report(f32::NAN, 0.0));
        }
        let batch = self.batches.recv().map_err(|_| TrainError::Batches)?;
        let device = self.device.clone().autodiff();
        // Flex's generator is one for the process; seeding it each step makes dropout depend on the step alone.
        if self.recipe.network.dropout > 0.0 {
            device.seed(self.recipe.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(self.step as u64));
        }
        let rate = self.recipe.rate(self.step, self.steps);
        let (n, output) = (batch.count, batch.output);
        let x = TensorData::new(batch.images, [n, batch.channels, batch.input, batch.input]);
        let target: Tensor<4> = Tensor::from_data(TensorData::new(batch.targets, [n, 1, output, output]), &device);
        let weight: Tensor<4> = Tensor::from_data(TensorData::new(batch.weights, [n, 1, output, output]), &device);
        let logits = self.network.forward(Tensor::from_data(x, &device));
        let loss = bce_dice(logits, target, weight, self.recipe.dice_weight);
        let value = loss.clone().inner().try_into_scalar::<f32>().map_err(ModelError::device)?;
        if !value.is_finite() {
            return Err(TrainError::Diverged { loss: value, step: self.step });
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        self.step += 1;
        let mut report = self.report(value, rate);
        if report.epoch_ended && !self.validate.is_empty() {
            let validation = self.validate()?;
            report.improved = self.best.as_ref().is_none_or(|(dice, _)| validation.dice > *dice);
            if report.improved {
                self.best = Some((validation.dice, self.network.valid()));
            }
            report = StepReport { improved: report.improved, validation: Some(validation), ..self.report(value, rate) };
        }
        Ok(report)
    }

    fn report(&self, loss: f32, learning_rate: f64) -> StepReport {
        let elapsed = self.started.elapsed().as_secs_f64();
        let done = (self.step - self.first).max(1) as f64;
        StepReport {
            step: self.step,
            steps: self.steps,
            epoch: self.step.saturating_sub(1) / self.steps_per_epoch + 1,
            epochs: self.recipe.epochs,
            loss,
            learning_rate,
            crops_per_second: done * self.recipe.batch as f64 / elapsed.max(1e-9),
            remaining: Duration::from_secs_f64(elapsed / done * (self.steps - self.step) as f64),
            validation: None,
            epoch_ended: self.step > 0 && self.step.is_multiple_of(self.steps_per_epoch),
            improved: false,
        }
    }

    /// The present network on the validation cases.
    ///
    /// # Errors
    /// If the device fails.
    pub fn validate(&self) -> Result<Evaluation, TrainError> {
        let model = BuiltIn::new(self.card("training", ""), &self.network, &self.device)?;
        Ok(evaluate(&model, &self.validate, &mut |_| true)?)
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

    /// A card for the trained network: cells are class 0, membranes class 1 and positive.
    pub fn card(&self, name: &str, description: &str) -> ModelCard {
        card(&self.recipe.network, name, description)
    }

    /// Writes all that [`Self::resume`] needs, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_checkpoint(&self, path: &Path) -> Result<(), TrainError> {
        // `valid` brings the running statistics up to date, which the network in training keeps per thread.
        let encode = |network: &UNet| -> Result<Vec<u8>, DataError> {
            let fail = |e: &dyn std::fmt::Display| DataError::new(path, format!("cannot be encoded ({e})"), "");
            let mut store = SafetensorsStore::from_bytes(None);
            network.valid().save_into(&mut store).map_err(|e| fail(&e))?;
            Ok(store.get_bytes().map_err(|e| fail(&e))?.to_vec())
        };
        let checkpoint = Checkpoint {
            header: Header {
                recipe: self.recipe.clone(),
                data: self.data.clone(),
                validation: Source::Cases(self.validate.clone()).describe(),
                step: self.step,
                best_dice: self.best.as_ref().map(|(dice, _)| *dice),
            },
            network: encode(&self.network)?,
            optimizer: self.optimizer.to_bytes()?,
            best: self.best.as_ref().map(|(_, best)| encode(best)).transpose()?.unwrap_or_default(),
        };
        checkpoint.write(path)
    }
}

/// Cells are class 0, membranes class 1 and positive.
fn card(network: &UNetConfig, name: &str, description: &str) -> ModelCard {
    ModelCard {
        name: name.to_owned(),
        description: description.to_owned(),
        channels: network.channels,
        head: Head::Sigmoid,
        size_rule: network.size_rule(),
        positive_class: 1,
        classes: vec![ClassInfo::new("cell"), ClassInfo::new("membrane")],
        network: Some(network.clone()),
        ..ModelCard::default()
    }
}
