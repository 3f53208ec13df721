//! A training's state in one file: weights with running statistics, optimiser, best weights so far, and where it stood.
//! Stored as safetensors whose tensors are the bytes of safetensors files.

use super::{Fingerprint, Recipe, TrainError, Validation};
use crate::data::{DataError, write_bytes_atomic};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// Larger files are refused unread.
const MOST_BYTES: u64 = 8 << 30;
/// The name under which the header is kept.
const METADATA: &str = "epsiloscope-checkpoint";
/// No header is larger.
const MOST_HEADER_BYTES: u64 = 64 << 20;
const HINT: &str = "Give the checkpoint that a training wrote, or start anew without --resume";

/// All that [`super::Trainer::resume`] needs besides the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What was said about the training.
    pub header: Header,
    /// The network's weights and statistics, a safetensors file.
    pub network: Vec<u8>,
    /// The optimiser's moments, a safetensors file.
    pub optimizer: Vec<u8>,
    /// The network that did best in validation; empty before the first validation.
    pub best: Vec<u8>,
}

/// The readable part of a [`Checkpoint`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// How it is trained.
    pub recipe: Recipe,
    /// On what, [`super::Source::describe`].
    pub data: String,
    /// Validated on what, likewise.
    pub validation: String,
    /// Of what it is trained on, and of what it is validated on.
    pub fingerprints: [Fingerprint; 2],
    /// Steps done.
    pub step: usize,
    /// Validation Dice of the best weights.
    pub best_dice: Option<f64>,
    /// The epochs that are done.
    #[serde(with = "exact_records")]
    pub history: Vec<EpochRecord>,
    /// The sum of the losses of the epoch under way.
    #[serde(with = "exact_number")]
    pub loss_sum: f64,
}

/// Numbers as text: the JSON reader may be off by a last place, and a resumed training is to be the same.
mod exact_number {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{value:?}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Records as TOML, whose numbers come back as they were.
mod exact_records {
    use super::EpochRecord;
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::{Error as _, Serialize, Serializer};

    #[derive(serde::Serialize, serde::Deserialize)]
    struct File {
        #[serde(default)]
        epochs: Vec<EpochRecord>,
    }

    pub fn serialize<S: Serializer>(records: &[EpochRecord], serializer: S) -> Result<S::Ok, S::Error> {
        let text = toml::to_string(&File { epochs: records.to_vec() }).map_err(S::Error::custom)?;
        text.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<EpochRecord>, D::Error> {
        let text = String::deserialize(deserializer)?;
        toml::from_str::<File>(&text).map(|file| file.epochs).map_err(D::Error::custom)
    }
}

/// What is remembered of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// The mean of the losses of its steps.
    pub loss: f64,
    /// The learning rate of its last step.
    pub learning_rate: f64,
    /// At its end, if there are held-out images.
    pub validation: Option<Validation>,
    /// Whether this validation was the best until then.
    pub improved: bool,
}

impl Header {
    /// Reads the header of a checkpoint alone.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let fail = |cause: String| DataError::new(path, cause, HINT);
        let unread = |e: std::io::Error| fail(format!("cannot be read ({e})"));
        let mut file = std::fs::File::open(path).map_err(unread)?;
        let mut start = [0; 8];
        file.read_exact(&mut start).map_err(unread)?;
        let length = u64::from_le_bytes(start);
        if length > MOST_HEADER_BYTES {
            return Err(fail("is no checkpoint".to_owned()).into());
        }
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).map_err(unread)?;
        // The reader of whole files wants the whole file.
        let table: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|e| fail(format!("is no checkpoint ({e})")))?;
        Self::parse(path, table["__metadata__"][METADATA].as_str())
    }

    /// The header as a checkpoint's metadata hold it.
    fn parse(path: &Path, text: Option<&str>) -> Result<Self, TrainError> {
        let fail = |cause: String| DataError::new(path, cause, HINT);
        let text =
            text.ok_or_else(|| fail("is no checkpoint of a training (weights alone cannot be resumed)".to_owned()))?;
        Ok(serde_json::from_str(text).map_err(|e| fail(format!("is of another version ({e})")))?)
    }

    /// Whether the training has nothing left to do.
    pub fn is_finished(&self) -> bool {
        let last = self.history.last().map_or(0, |record| record.epoch);
        last >= self.recipe.epochs || stopped_early(&self.recipe, &self.history)
    }
}

/// Whether the validation has not improved for as long as the recipe waits, before the last epoch.
pub(super) fn stopped_early(recipe: &Recipe, history: &[EpochRecord]) -> bool {
    let Some(patience) = recipe.patience else { return false };
    let last = history.last().map_or(0, |record| record.epoch);
    let best = history.iter().rev().find(|record| record.improved).map_or(0, |record| record.epoch);
    last >= best + patience && last < recipe.epochs
}

impl Checkpoint {
    /// Writes it whole or not at all.
    ///
    /// # Errors
    /// If it cannot be encoded or written.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let fail = |e: &dyn std::fmt::Display| DataError::new(path, format!("cannot be encoded ({e})"), "");
        let header = serde_json::to_string(&self.header).map_err(|e| fail(&e))?;
        let view = |bytes| TensorView::new(Dtype::U8, vec![<[u8]>::len(bytes)], bytes).map_err(|e| fail(&e));
        let mut tensors = vec![("network", view(&self.network)?), ("optimizer", view(&self.optimizer)?)];
        if !self.best.is_empty() {
            tensors.push(("best", view(&self.best)?));
        }
        let metadata = HashMap::from([(METADATA.to_owned(), header)]);
        let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(|e| fail(&e))?;
        Ok(write_bytes_atomic(path, &bytes)?)
    }

    /// Reads one.
    ///
    /// # Errors
    /// If the file is missing, malformed, or no checkpoint.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let fail = |cause: String| DataError::new(path, cause, HINT);
        let size = std::fs::metadata(path).map_err(|e| fail(format!("cannot be read ({e})")))?;
        if !size.is_file() || size.len() > MOST_BYTES {
            return Err(fail("is not a file of a checkpoint's size".to_owned()).into());
        }
        let bytes = std::fs::read(path).map_err(|e| fail(format!("cannot be read ({e})")))?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| fail(format!("is no checkpoint ({e})")))?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(METADATA));
        let header = Header::parse(path, text.map(String::as_str))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| fail(format!("is damaged ({e})")))?;
        let part = |name| tensors.tensor(name).map(|t| t.data().to_vec());
        let missing = |e| fail(format!("is damaged ({e})"));
        Ok(Self {
            header,
            network: part("network").map_err(missing)?,
            optimizer: part("optimizer").map_err(missing)?,
            best: part("best").unwrap_or_default(),
        })
    }
}
