//! What can go wrong in training.

use crate::data::DataError;
use crate::model::ModelError;

/// Why a training could not start, go on or be saved.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting of the recipe is out of range or does not fit the data or the network.
    #[error("{0}")]
    Recipe(String),
    /// A file of the data set or the checkpoint.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network, its file or its device.
    #[error(transparent)]
    Model(#[from] ModelError),
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
