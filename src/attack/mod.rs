//! Attacks: how an image is changed, within ε, so that a model fails. An [`Attack`] is a value, an entry of the catalogue
//! and a number for each of its parameters; the code here that all of them share validates bounds, forms batches, projects,
//! clips and judges, and each method (`method/`) writes only its own steps. Images are `[batch, channels, height,
//! width]`, scaled so that the case's bounds are `[0, 1]`; ε is in the same unit, a fraction of the bounds' width.

mod ball;
mod catalog;
mod control;
mod direction;
mod error;
mod flow;
mod live;
mod method;
mod norm;
mod objective;
mod parameter;
mod preset;
mod random;
mod rows;
mod run;
mod shared;
mod value;

pub use ball::within_l2;
pub use catalog::{CATALOG, Entry, EpsilonMeaning, RANDOM_SIGN, find};
pub use control::Control;
pub use direction::Direction;
pub use error::AttackError;
pub use flow::{flow_loss, largest_displacement, moved_label, random_flow, warped};
pub use norm::Norm;
pub use objective::{Aim, Judgement, Objective, Reference, Weighting, input_gradient, is_to_change};
pub use parameter::{Kind, Parameter};
pub use preset::Preset;
pub use rows::{Observer, Step, zero_share};
pub use run::{DEFAULT_BUDGET_BYTES, Options, Outcome};
pub use value::Attack;
