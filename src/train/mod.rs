//! Training of the project's own networks, as a job that is stepped: [`Trainer`] takes a [`Recipe`] (from a [`RecipeFile`]
//! or made in code) and [`TrainingData`], and each [`Trainer::step`] is one batch; [`TrainingJob`] runs it with checkpoints,
//! pause and cancel, and tells what happens. Batches depend only on the seed and the step, so a resumed training is the
//! uninterrupted one.
//!
//! `augment` changes crops, `adversarial` adds samples made against a frozen copy of the network, `split` divides data,
//! `optimizer` and `schedule` are burn's. No window, no command line here.

mod adversarial;
mod augment;
mod batch;
mod checkpoint;
mod collection;
mod cost;
mod data;
mod data_table;
mod error;
mod evaluate;
mod file;
mod fingerprint;
mod generated;
mod initialize;
mod job;
mod loss;
mod optimizer;
mod preview;
mod random;
mod recipe;
mod schedule;
mod split;
mod trainer;
mod validation;
mod weights;

pub use adversarial::{Adversarial, Role};
pub use augment::Augmentation;
pub use batch::Batch;
pub use checkpoint::{Checkpoint, EpochRecord, Header};
pub use collection::{Collection, resized};
pub use cost::{clock, operations};
pub use data::{Source, TrainingData, folder_cases, stack_cases};
pub use data_table::{DataRead, DataTable};
pub use error::TrainError;
pub use evaluate::{Evaluation, evaluate};
pub use file::{NetworkTable, RecipeFile, TrainingTable};
pub use fingerprint::Fingerprint;
pub use generated::{SyntheticTable, synthetic_cases};
pub use initialize::he_normal;
pub use job::{Control, Courtesy, Ending, TrainEvent, TrainingJob};
pub use loss::Loss;
pub use optimizer::OptimizerSettings;
pub use preview::{PreviewCrop, PreviewKind, preview, write_preview};
pub use recipe::Recipe;
pub use schedule::Schedule;
pub use split::{Member, Split, Unit};
pub use trainer::{StepReport, Trainer};
pub use validation::{SamplePrediction, Validation, validate};
pub use weights::save_weights;
