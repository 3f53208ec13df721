//! What a network puts out.

use crate::model::Layout;
use serde::{Deserialize, Serialize};

/// What the network puts out at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// Logits.
    #[default]
    None,
    /// Probabilities, each on its own.
    Sigmoid,
    /// Probabilities that add up to 1 over the classes.
    Softmax,
}

/// Which of a network's outputs is used, and what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputRule {
    /// Its name in the graph; the first one if the card says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The activation that the network ends in. It is taken off a graph to get logits; where that cannot be done, logits
    /// are log-odds of the probabilities, clamped to [10⁻⁷, 1 − 10⁻⁷].
    pub activation: Activation,
    /// Of several independent outputs (multi-label), the one that is the positive class of a sigmoid head; from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<usize>,
    /// The order of the axes of an ONNX graph's map; found out where the card says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

impl OutputRule {
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}
