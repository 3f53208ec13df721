//! Why an attack cannot be made.

use crate::model::ModelError;

/// What can go wrong with an attack.
#[derive(Debug, thiserror::Error)]
pub enum AttackError {
    /// The model or its device failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There is no attack of this name.
    #[error("there is no attack {0}. `epsiloscope attacks` lists those there are")]
    Unknown(String),
    /// A parameter is unknown or out of its range.
    #[error("{attack}: {cause}")]
    Parameter {
        /// The attack's name.
        attack: String,
        /// What is wrong, and what would work.
        cause: String,
    },
    /// The method is not defined for what is asked of it.
    #[error("{attack} is not defined here: {cause}")]
    Undefined {
        /// The attack's title.
        attack: &'static str,
        /// Why, and what would work.
        cause: String,
    },
}
