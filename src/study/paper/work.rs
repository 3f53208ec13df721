//! Trainings of a study: each has a name, goes on from its checkpoint, and is done once its weights are written. And what
//! they will cost.

use super::{StudyError, StudyOptions, Told};
use crate::data::{DataError, write_bytes_atomic};
use crate::model::BuiltIn;
use crate::train::{
    Checkpoint, Ending, EpochRecord, Recipe, TrainEvent, Trainer, TrainingData, TrainingJob, Validation, clock,
    operations,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A training that is done.
pub(super) struct Trained {
    /// The network after its last epoch, frozen.
    pub model: BuiltIn,
    /// Its epochs, the state before the first of them included.
    pub history: Vec<EpochRecord>,
    /// On the held-out images, before the first epoch.
    pub before: Option<Validation>,
}

/// Trains `recipe` under `name`, or goes on with it, or takes it as it is if it is done.
pub(super) fn train(
    name: &str,
    recipe: &Recipe,
    data: TrainingData,
    options: &StudyOptions,
    told: Told<'_>,
) -> Result<Trained, StudyError> {
    let checkpoint = place(options, name, "checkpoint");
    let mut trainer = None;
    if checkpoint.exists() {
        let header = Checkpoint::read(&checkpoint)?.header;
        if header.recipe != *recipe {
            let hint = "Choose another folder, or the options of then";
            return Err(DataError::new(&checkpoint, "was begun with other options", hint).into());
        }
        trainer = Some(Trainer::resume(&checkpoint, data.clone(), &options.device)?);
    }
    let before_file = place(options, name, "before.json");
    let trainer = match trainer {
        Some(trainer) => trainer,
        None => {
            let trainer = Trainer::new(recipe.clone(), data.clone(), &options.device)?;
            if !data.validate.is_empty() {
                keep(&before_file, &trainer.validate()?)?;
            }
            trainer
        }
    };
    let mut job = TrainingJob::new(trainer, &checkpoint);
    let started = Instant::now();
    let mut said = Instant::now();
    let ending = job.run(&options.control, &mut |_, event| {
        match event {
            TrainEvent::Epoch { record, .. } => {
                let validation = record.validation.as_ref();
                let validation =
                    validation.map_or_else(String::new, |v| format!(", Dice {:.3}, mIoU {:.3}", v.dice, v.miou_image));
                let line = format!(
                    "{name}: epoch {} of {}, loss {:.4}{validation}, {:.0} s",
                    record.epoch,
                    recipe.epochs,
                    record.loss,
                    started.elapsed().as_secs_f64()
                );
                told(&line, record.epoch as f64 / recipe.epochs.max(1) as f64);
                said = Instant::now();
            }
            TrainEvent::Step(report) if said.elapsed().as_secs() > 30 => {
                let line =
                    format!("{name}: step {} of {}, {} left", report.step, report.steps, clock(report.remaining));
                told(&line, report.step as f64 / report.steps.max(1) as f64);
                said = Instant::now();
            }
            _ => {}
        }
        Ok(())
    })?;
    if ending == Ending::Cancelled {
        return Err(StudyError::Cancelled);
    }
    let trainer = job.trainer();
    let model = BuiltIn::new(trainer.card(name, ""), trainer.current(), &options.device)?;
    Ok(Trained { model, history: trainer.history().to_vec(), before: kept(&before_file)? })
}

/// A file of the study's work.
pub(super) fn place(options: &StudyOptions, name: &str, ending: &str) -> PathBuf {
    let safe: String = name.chars().map(|c| if c.is_alphanumeric() || "-.".contains(c) { c } else { '_' }).collect();
    options.out.join("work").join(format!("{safe}.{ending}"))
}

/// Writes a result, whole or not at all.
pub(super) fn keep(path: &Path, value: &impl Serialize) -> Result<(), StudyError> {
    let text = serde_json::to_vec(value).map_err(|e| DataError::new(path, format!("cannot be encoded ({e})"), ""))?;
    Ok(write_bytes_atomic(path, &text)?)
}

/// A result that was written before, if it was.
pub(super) fn kept<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StudyError> {
    let Ok(text) = std::fs::read(path) else { return Ok(None) };
    let value = serde_json::from_slice(&text)
        .map_err(|e| DataError::new(path, format!("is damaged ({e})"), "Remove it, and it is measured again"))?;
    Ok(Some(value))
}

/// Says what `trainings` of `steps` steps will take: arithmetic, and time at the speed of one crop on this device.
pub(super) fn cost(
    trainings: usize,
    recipe: &Recipe,
    data: &TrainingData,
    more: f64,
    options: &StudyOptions,
) -> Result<String, StudyError> {
    let steps = data.train.crops(recipe.crop).div_ceil(recipe.batch) * recipe.epochs;
    let flops = recipe.step_flops() * (steps * trainings) as f64 + more;
    let one = Recipe { batch: 1, adversarial: Vec::new(), ..recipe.clone() };
    let mut trial =
        Trainer::new(one.clone(), TrainingData { validate: Vec::new().into(), ..data.clone() }, &options.device)?;
    // The first step also makes the first batch and warms up.
    trial.step()?;
    let start = Instant::now();
    trial.step()?;
    let speed = one.step_flops() / start.elapsed().as_secs_f64().max(1e-9);
    let time = Duration::try_from_secs_f64(flops / speed).unwrap_or(Duration::MAX);
    Ok(format!(
        "{trainings} trainings of {steps} steps, {} in all: about {} at the speed of one crop on {}",
        operations(flops),
        clock(time),
        options.device_name
    ))
}
