//! What can go wrong in training.

use super::Unit;
use crate::attack::AttackError;
use crate::data::DataError;
use crate::model::ModelError;

/// Why a training could not start, go on or be saved.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Something does not fit the data or the network.
    #[error("{0}")]
    Recipe(String),
    /// A setting of the recipe is out of range.
    #[error("{field}: {cause}")]
    Field {
        /// Its place in a recipe's file: `training.crop`.
        field: String,
        /// What is wrong, and what would work.
        cause: String,
    },
    /// The data cannot be parted so.
    #[error("{field}: the data have {} and {needed} are needed. {}", .by.counted(*.found), too_few(.field, .by))]
    TooFew {
        /// As of [`Self::Field`].
        field: String,
        /// How many there are of what is never parted.
        found: usize,
        /// How many there must be.
        needed: usize,
        /// What that is.
        by: Unit,
    },
    /// A file of the data set or the checkpoint.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network, its file or its device.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An adversarial sample could not be made.
    #[error(transparent)]
    Attack(#[from] AttackError),
    /// The loss is no longer a finite number.
    #[error("the loss became {loss} at step {step}. Use a lower learning rate, or resume an earlier checkpoint")]
    Diverged {
        /// Its value.
        loss: f32,
        /// Where.
        step: usize,
    },
    /// The thread that prepares batches ended early.
    #[error("batches could not be prepared: the thread that makes them ended")]
    Batches,
}

/// What would work, where there are too few units for a split.
fn too_few(field: &str, by: &Unit) -> String {
    let fewer = if field.ends_with("folds") { "Use fewer folds" } else { "Use more" };
    let parted = if *by == Unit::Group { ", or by = \"slice\" if slices of one volume may be parted" } else { "" };
    format!("{fewer}{parted}")
}

impl TrainError {
    pub(super) fn field(field: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::Field { field: field.into(), cause: cause.into() }
    }
}
