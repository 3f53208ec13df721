//! What a sweep over ε finds.

use super::{Decision, Seen};
use crate::metric::{Distortion, Overlap, PixelError};
use serde::{Deserialize, Serialize};

/// Everything measured on one (adversarial) image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Soft pixel error and share of wrong pixels. A class counts as a mask of one pixel.
    pub error: PixelError,
    /// Dice and IoU of the positive class. A class counts as a mask of one pixel: 1 where the decision is right, else 0.
    pub overlap: Overlap,
    /// Norms of the perturbation, as fractions of the bounds' width.
    pub distortion: Distortion,
    /// Metrics of visibility on the shown image, as far as they were asked for.
    #[serde(default)]
    pub seen: Seen,
    /// The decision, of a model that classifies whole images.
    #[serde(default)]
    pub decision: Option<Decision>,
    /// Share of the pixels that are predicted otherwise than in the original, whatever the label says; of a class 0 or 1.
    #[serde(default)]
    pub flipped: Option<f64>,
    /// Where the attack has a target: the share of what is to change that is as wished. Of a mask, of the pixels at which target
    /// and reference differ; of a class 0 or 1.
    #[serde(default)]
    pub wished: Option<f64>,
    /// Of steps along the gradient itself (FGNM and its kin): the share of the values that ε or the bounds cut at the last step.
    /// It is the attack's to know, not that of who judges an image.
    #[serde(default)]
    pub clipped: Option<f64>,
    /// Of attacks that move pixels: the largest displacement, in pixels. The attack's to know too.
    #[serde(default)]
    pub displacement: Option<f64>,
}

impl Measure {
    /// How good the model is here, in [0, 1] with 1 best: P(true class) of a class, Dice of a mask. What curves bend by.
    pub fn score(&self) -> f64 {
        self.decision.map_or(self.overlap.dice, |decision| decision.probability)
    }

    /// How far an attack has got, in [0, 1] with 1 best for it: the share that is as its target wishes, or, without a target,
    /// what is missing in the score.
    pub fn gain(&self) -> f64 {
        self.wished.unwrap_or_else(|| 1.0 - self.score())
    }

    /// The same of an attack of which the share `clipped` was cut, and which moved pixels by up to `displacement`.
    #[must_use]
    pub fn with_facts(self, clipped: Option<f32>, displacement: Option<f32>) -> Self {
        Self { clipped: clipped.map(f64::from), displacement: displacement.map(f64::from), ..self }
    }

    /// The name of [`Self::score`].
    pub fn score_name(&self) -> &'static str {
        if self.decision.is_some() { "P(true class)" } else { "Dice" }
    }
}

/// One point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// ε as a fraction of the bounds' width.
    pub epsilon: f64,
    /// What was measured there.
    pub measure: Measure,
    /// Seconds that it took (perturb, forward, judge).
    pub seconds: f64,
}

/// A sweep's result: the attack, its control, and the clean baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The attack's name in the catalogue.
    pub attack: String,
    /// Measures at ε = 0.
    pub clean: Measure,
    /// The attack's points, ascending in ε.
    pub points: Vec<CurvePoint>,
    /// The points of random sign noise, ascending in ε.
    pub control: Vec<CurvePoint>,
}

/// Whether two ε are one: what a person types and what a grid holds may differ in the last digit.
pub(crate) fn same_epsilon(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

impl Curve {
    /// Adds a point where it belongs in ε; a point at the same ε is replaced.
    pub fn insert(points: &mut Vec<CurvePoint>, point: CurvePoint) {
        match points.iter().position(|known| same_epsilon(known.epsilon, point.epsilon)) {
            Some(at) => points[at] = point,
            None => points.insert(points.partition_point(|known| known.epsilon < point.epsilon), point),
        }
    }
}
