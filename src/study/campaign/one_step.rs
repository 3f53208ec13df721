//! The one step that an attack repeats, measured beside it: where it does more than all steps, gradients are masked.

use super::Row;
use super::row::NO_STEP;
use super::summary::{is_white, mean};
use crate::attack::Attack;

/// One step alone, beside the attack that repeats it.
#[derive(Clone, Debug, PartialEq)]
pub enum OneStep {
    /// Nothing belongs here: the attack is of one step itself or follows no gradient, or is judged on another model.
    Unasked,
    /// The attack takes many steps and repeats no single one.
    None,
    /// It repeats one, and of some results that is not known: their rows are of an older version.
    Unknown,
    /// It was measured on all results.
    Known {
        /// The attack of one step: `fgsm`.
        name: String,
        /// Of those that pass, the share that fails under it.
        fooled: f64,
        /// Mean score under it.
        score: f64,
        /// With a target, the mean share that is as wished.
        wished: Option<f64>,
    },
}

impl OneStep {
    /// Of the rows of a cell.
    pub(super) fn of(rows: &[&Row], passing: &[&&Row]) -> Self {
        let Some(first) = rows.first().filter(|row| is_white(row)) else { return Self::Unasked };
        let number = |column: &str| mean(rows.iter().filter_map(|row| row.number(column)));
        if rows.iter().all(|row| row.number("one_step_score").is_some()) {
            return Self::Known {
                name: first.get("one_step").to_owned(),
                fooled: mean(passing.iter().filter_map(|row| row.number("one_step_fails"))).unwrap_or(0.0),
                score: number("one_step_score").unwrap_or(0.0),
                wished: number("one_step_as_wished"),
            };
        }
        let settings: Vec<&str> = first.get("parameters").split_whitespace().collect();
        match Attack::parse(first.get("attack"), &settings) {
            Ok(attack) if attack.repeats_no_step() => Self::None,
            Ok(attack) if attack.beside_it().is_some() => Self::Unknown,
            _ => Self::Unasked,
        }
    }

    /// For tables: why there is none.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unasked | Self::Known { .. } => "",
            Self::None => NO_STEP,
            Self::Unknown => "not measured",
        }
    }
}
