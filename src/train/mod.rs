//! Training of the project's own networks, as a job that is stepped: [`Trainer`] takes a [`Recipe`] and
//! [`TrainingData`], and each [`Trainer::step`] is one batch, so that whoever drives it may pause, cancel or save
//! between two of them. Batches depend only on the seed and the step, so a resumed training is the uninterrupted one.
//! No window, no command line here.

mod adam;
mod batch;
mod checkpoint;
mod data;
mod error;
mod evaluate;
mod initialize;
mod loss;
mod recipe;
mod trainer;

pub use batch::Batch;
pub use checkpoint::Checkpoint;
pub use data::{Source, TrainingData, folder_cases, stack_cases};
pub use error::TrainError;
pub use evaluate::{Evaluation, evaluate};
pub use initialize::he_normal;
pub use loss::{bce_dice, soft_dice};
pub use recipe::{Augmentation, Recipe};
pub use trainer::{StepReport, Trainer};
