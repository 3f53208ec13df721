//! A training's state in one file: weights with running statistics, optimiser, best weights so far, and where it stood.
//! Stored as safetensors whose tensors are the bytes of safetensors files.

use super::{Recipe, TrainError};
use crate::data::{DataError, write_bytes_atomic};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// Larger files are refused unread.
const MOST_BYTES: u64 = 8 << 30;
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
    /// Steps done.
    pub step: usize,
    /// Validation Dice of the best weights.
    pub best_dice: Option<f64>,
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
        let metadata = HashMap::from([("epsiloscope-checkpoint".to_owned(), header)]);
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
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|m| m.get("epsiloscope-checkpoint"))
            .ok_or_else(|| fail("is no checkpoint of a training (weights alone cannot be resumed)".to_owned()))?;
        let header = serde_json::from_str(header).map_err(|e| fail(format!("is of another version ({e})")))?;
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
