//! Trainings of a study: each has a name, goes on from its checkpoint, and is done once its weights are written.

use super::{StudyError, StudyOptions, Told};
use crate::data::{DataError, write_bytes_atomic};
use crate::model::BuiltIn;
use crate::train::{
    Checkpoint, Ending, EpochRecord, Fingerprint, Recipe, TrainEvent, Trainer, TrainingData, TrainingJob, Validation,
    clock,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A training that is done.
pub(super) struct Trained {
    /// The network after its last epoch, frozen.
    pub model: BuiltIn,
    /// Its epochs, the state before the first of them included.
    pub history: Vec<EpochRecord>,
    /// On the held-out images, before the first epoch.
    pub before: Option<Validation>,
}

/// Trains `recipe` under `name`, or goes on with it, or takes it as it is if it is done. `told` hears how far it
/// is; which training that is, its caller says.
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
    let made_with = MadeWith::new(recipe, &data, &[]);
    let trainer = match trainer {
        Some(trainer) => trainer,
        None => {
            let trainer = Trainer::new(recipe.clone(), data.clone(), &options.device)?;
            if !data.validate.is_empty() {
                keep(&before_file, &made_with, &trainer.validate()?)?;
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
                    "epoch {} of {}, loss {:.4}{validation}, {:.0} s",
                    record.epoch,
                    recipe.epochs,
                    record.loss,
                    started.elapsed().as_secs_f64()
                );
                told(&line, record.epoch as f64 / recipe.epochs.max(1) as f64);
                said = Instant::now();
            }
            TrainEvent::Step(report) if said.elapsed().as_secs() > 30 => {
                let line = format!("step {} of {}, {} left", report.step, report.steps, clock(report.remaining));
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
    Ok(Trained { model, history: trainer.history().to_vec(), before: kept(&before_file, &made_with)? })
}

fn folder(options: &StudyOptions) -> PathBuf {
    options.out.join("work")
}

/// Whether the folder of the study's work holds any: an empty one is no study.
pub(super) fn holds_something(options: &StudyOptions) -> bool {
    let work = folder(options);
    std::fs::read_dir(&work).map_or(work.exists(), |mut entries| entries.next().is_some())
}

/// Makes the folder of the study's work. Once the data are accepted: what is refused leaves nothing behind.
pub(super) fn begin(options: &StudyOptions) -> Result<(), StudyError> {
    let work = folder(options);
    std::fs::create_dir_all(&work).map_err(|e| {
        DataError::new(&work, format!("cannot be made ({e})"), "Choose a folder that you may write to").into()
    })
}

/// A file of the study's work.
pub(super) fn place(options: &StudyOptions, name: &str, ending: &str) -> PathBuf {
    let safe: String = name.chars().map(|c| if c.is_alphanumeric() || "-.".contains(c) { c } else { '_' }).collect();
    folder(options).join(format!("{safe}.{ending}"))
}

/// What decides a training; all else decides what is measured of its network.
const TRAINED: [&str; 6] =
    ["program version", "recipe", "training images", "training labels", "held-out images", "held-out labels"];

/// What a result was made with, by name. What is kept belongs to it alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MadeWith(BTreeMap<String, String>);

impl MadeWith {
    /// A training of `recipe` on `data`, and `more` that decides the result.
    pub fn new(recipe: &Recipe, data: &TrainingData, more: &[(&str, String)]) -> Self {
        let [train, held] = [data.train.fingerprint(), Fingerprint::of(&data.validate)];
        let recipe = serde_json::to_string(recipe).unwrap_or_else(|_| format!("{recipe:?}"));
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let values = [version, recipe, train.images, train.labels, held.images, held.labels];
        let all = TRAINED.into_iter().zip(values).chain(more.iter().cloned());
        Self(all.map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// What is not the same in `other`: names, and each with its values if they are short.
    fn differs(&self, other: &Self) -> Vec<(String, String)> {
        let names: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let short = |value: Option<&String>| value.filter(|v| v.len() <= 24).cloned();
        names
            .into_iter()
            .filter(|name| self.0.get(*name) != other.0.get(*name))
            .map(|name| match (short(self.0.get(name)), short(other.0.get(name))) {
                (Some(then), Some(now)) => (name.clone(), format!("{name} ({then}, now {now})")),
                _ => (name.clone(), name.clone()),
            })
            .collect()
    }
}

/// A result in its file.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    made_with: MadeWith,
    result: T,
}

/// Writes a result, whole or not at all.
pub(super) fn keep(path: &Path, made_with: &MadeWith, result: &impl Serialize) -> Result<(), StudyError> {
    let text = serde_json::to_vec(&Kept { made_with: made_with.clone(), result })
        .map_err(|e| DataError::new(path, format!("cannot be encoded ({e})"), ""))?;
    Ok(write_bytes_atomic(path, &text)?)
}

/// A result that was written before, if it was: refused if its training was another one. If only what is measured has changed it
/// is none, and is measured again.
pub(super) fn kept<T: DeserializeOwned>(path: &Path, made_with: &MadeWith) -> Result<Option<T>, StudyError> {
    let Ok(text) = std::fs::read(path) else { return Ok(None) };
    let damaged = |e: serde_json::Error| -> StudyError {
        DataError::new(path, format!("is damaged ({e})"), "Remove it, and it is measured again").into()
    };
    let found: Kept<serde_json::Value> = serde_json::from_slice(&text).map_err(damaged)?;
    let other = found.made_with.differs(made_with);
    if other.is_empty() {
        return serde_json::from_value(found.result).map(Some).map_err(damaged);
    }
    let other: Vec<&str> =
        other.iter().filter(|(name, _)| TRAINED.contains(&name.as_str())).map(|(_, text)| text.as_str()).collect();
    if other.is_empty() {
        return Ok(None);
    }
    let cause = format!("was made with another {}", other.join(", "));
    Err(DataError::new(path, cause, "Choose another folder, or the data and options of then").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic::MembranesConfig;
    use crate::model::unet::UNetConfig;
    use crate::train::Source;

    #[test]
    fn a_result_of_anything_else_is_refused_and_says_what() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let case = |seed| MembranesConfig::sized(32).section(seed).case("a");
        let data = |train, held| TrainingData {
            train: Source::Cases(vec![case(train)].into()),
            validate: vec![case(held)].into(),
        };
        let recipe = Recipe::new(UNetConfig::new(4, 2), 3);
        let of = |recipe: &Recipe, data: &TrainingData, epsilons: &str| {
            MadeWith::new(recipe, data, &[("attack", "fgsm".to_owned()), ("ε", epsilons.to_owned())])
        };
        let mine = of(&recipe, &data(1, 2), "[0.1]");
        assert!(kept::<f64>(&path, &mine).unwrap().is_none());
        keep(&path, &mine, &0.5).unwrap();
        assert_eq!(kept::<f64>(&path, &mine).unwrap(), Some(0.5));
        let mut inverted = data(1, 2);
        let mut other = case(2);
        if let Some(label) = &mut other.label {
            label.classes = label.classes.iter().map(|class| 1 - class).collect();
        }
        inverted.validate = vec![other].into();
        for (now, says) in [
            (of(&Recipe { epochs: 1, ..recipe.clone() }, &data(1, 2), "[0.1]"), "another recipe."),
            (of(&recipe, &data(3, 2), "[0.1]"), "another training images, training labels."),
            (of(&recipe, &inverted, "[0.1]"), "another held-out labels."),
        ] {
            let error = kept::<f64>(&path, &now).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("a.json"), "{says}: {error}");
        }
        // The same network under another ε is measured again, and so is one whose result was of another form.
        assert_eq!(kept::<f64>(&path, &of(&recipe, &data(1, 2), "[0.2]")).unwrap(), None);
        assert_eq!(kept::<Vec<String>>(&path, &of(&recipe, &data(1, 2), "[0.2]")).unwrap(), None);
        // A file of before there was such a record.
        std::fs::write(&path, "0.5").unwrap();
        assert!(kept::<f64>(&path, &mine).is_err());
    }
}
