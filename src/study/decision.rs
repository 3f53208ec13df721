//! How the decision of a classification model stands.

use crate::model::Classified;
use serde::{Deserialize, Serialize};

/// The decision on one image, beside the class that is true (or, without a label, that the model chose for the original).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The class that it is compared with, by its index in the model.
    pub truth: usize,
    /// The class that the model chooses.
    pub predicted: usize,
    /// P(true class).
    pub probability: f64,
    /// P(chosen class).
    pub confidence: f64,
    /// The logit of the true class less the largest of the others: below 0 where the decision is wrong.
    pub margin: f64,
    /// Another class than the model chooses for the original.
    pub flipped: bool,
}

impl Decision {
    /// Of `found`, where `truth` is true and `clean` is what the model chooses for the original.
    pub fn new(found: &Classified, truth: usize, clean: usize) -> Self {
        let probability = |class: usize| found.probabilities.get(class).map_or(0.0, |&p| f64::from(p));
        Self {
            truth,
            predicted: found.predicted,
            probability: probability(truth),
            confidence: probability(found.predicted),
            margin: f64::from(found.margin(truth)),
            flipped: found.predicted != clean,
        }
    }

    /// Whether the model chooses the true class.
    pub fn is_right(&self) -> bool {
        self.predicted == self.truth
    }

    /// The cross-entropy −log P(true class), finite where that is 0.
    pub fn cross_entropy(&self) -> f64 {
        -self.probability.max(1e-38).ln()
    }
}
