//! When a segmentation or a decision counts as broken, and at which ε it is.

use super::epsilon::SAME;
use crate::model::Task;
use crate::study::{Curve, CurvePoint, Measure, MeasuredInterval, measured_intervals};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What counts as broken. An image *fails* if its segmentation or decision is worse than this.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Criterion {
    /// Dice below this share of the clean image's Dice.
    ShareOfCleanDice(f64),
    /// Dice below this value.
    Dice(f64),
    /// More than this share of the pixels is wrong.
    PixelError(f64),
    /// At least this share of the pixels is predicted otherwise than in the original.
    Flipped(f64),
    /// Of classes: the decision is wrong.
    Misclassified,
    /// At least this share of what is to change is as the attack's target wishes (a class: it is the target).
    Target(f64),
}

impl Default for Criterion {
    /// A quarter of the clean Dice is lost. Relative, so that it asks the same of a model that scores .95 on clean images
    /// and of one that scores .7.
    fn default() -> Self {
        Self::ShareOfCleanDice(0.75)
    }
}

/// A relative criterion says nothing about a model that is already useless: the clean Dice must reach this.
const CLEAN_FLOOR: f64 = 0.5;

impl Criterion {
    /// The same for a model of `task`: what is said of Dice is of masks, and a decision is right or wrong.
    #[must_use]
    pub fn for_task(self, task: Task) -> Self {
        match (task, self) {
            (
                Task::Classification,
                Self::ShareOfCleanDice(_) | Self::Dice(_) | Self::PixelError(_) | Self::Flipped(_),
            ) => Self::Misclassified,
            (Task::Segmentation, Self::Misclassified) => Self::default(),
            _ => self,
        }
    }

    /// The Dice that the clean image must reach beside the criterion itself, if that is relative.
    pub fn clean_floor(self) -> Option<f64> {
        match self {
            Self::ShareOfCleanDice(_) => Some(CLEAN_FLOOR),
            _ => None,
        }
    }

    /// Whether the clean image fails, so that no attack can be said to break it.
    pub fn clean_fails(self, clean: &Measure) -> bool {
        self.clean_floor().is_some_and(|floor| clean.overlap.dice < floor) || self.fails(clean, clean)
    }

    /// The Dice below which an image fails, if Dice decides.
    pub fn dice(self, clean: &Measure) -> Option<f64> {
        matches!(self, Self::ShareOfCleanDice(_) | Self::Dice(_)).then(|| self.threshold(clean))
    }

    /// The Dice below which an image fails (½ for a decision, which is right or wrong); the share of a target, or of pixels, from
    /// which on it fails.
    pub fn threshold(self, clean: &Measure) -> f64 {
        match self {
            Self::ShareOfCleanDice(share) => share * clean.overlap.dice,
            Self::Dice(dice) => dice,
            Self::Misclassified => 0.5,
            Self::Target(share) | Self::PixelError(share) | Self::Flipped(share) => share,
        }
    }

    /// Whether an image with `measure` fails.
    pub fn fails(self, clean: &Measure, measure: &Measure) -> bool {
        match self {
            Self::Target(share) => measure.wished.is_some_and(|wished| wished >= share),
            Self::PixelError(share) => measure.error.wrong > share,
            Self::Flipped(share) => measure.flipped.is_some_and(|flipped| flipped >= share),
            _ => measure.overlap.dice < self.threshold(clean),
        }
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ShareOfCleanDice(share) => write!(f, "Dice below {} % of the clean Dice", percent(share)),
            Self::Dice(dice) => write!(f, "Dice below {dice}"),
            Self::PixelError(share) => write!(f, "more than {} % of the pixels wrong", percent(share)),
            Self::Flipped(share) => {
                write!(f, "at least {} % of the pixels predicted otherwise than in the original", percent(share))
            }
            Self::Misclassified => f.write_str("the decision is wrong"),
            Self::Target(share) if share >= 1.0 => f.write_str("all is as the target wishes"),
            Self::Target(share) => {
                write!(f, "at least {} % of what is to change is as the target wishes", percent(share))
            }
        }
    }
}

/// Without the tail of a binary fraction: 0.7 is 70, not 70.00000000000001.
fn percent(share: f64) -> f64 {
    (share * 1e6).round() / 1e4
}

impl Criterion {
    /// The text that [`Self::from_str`] reads: `75%`, `0.7`, `error:0.1`, `flipped:0.2`, `misclassified`, `target:0.5`.
    pub fn to_text(self) -> String {
        match self {
            Self::ShareOfCleanDice(share) => format!("{}%", percent(share)),
            Self::Dice(dice) => dice.to_string(),
            Self::PixelError(share) => format!("error:{share}"),
            Self::Flipped(share) => format!("flipped:{share}"),
            Self::Misclassified => "misclassified".to_owned(),
            Self::Target(share) => format!("target:{share}"),
        }
    }
}

/// Why a criterion could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a criterion: write a share of the clean Dice such as 75%, a Dice such as 0.7, error:0.1 (wrong pixels), flipped:0.2 (pixels predicted otherwise), misclassified, or target:0.5"
)]
pub struct ParseCriterionError(String);

/// What a criterion is written with, and the criterion.
type Named = (&'static str, fn(f64) -> Criterion);

impl FromStr for Criterion {
    type Err = ParseCriterionError;

    /// `75%`: Dice below three quarters of the clean Dice; `0.7`: Dice below 0.7; `misclassified`: the decision is wrong;
    /// `error:0.1`: more than a tenth of the pixels is wrong; `flipped:0.2`: at least a fifth is predicted otherwise than in the
    /// original; `target:0.5`: half of what is to change is as wished.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        if trimmed == "misclassified" {
            return Ok(Self::Misclassified);
        }
        let named: [Named; 3] = [("target:", Self::Target), ("error:", Self::PixelError), ("flipped:", Self::Flipped)];
        for (prefix, criterion) in named {
            if let Some(share) = trimmed.strip_prefix(prefix) {
                return match share.trim().parse::<f64>() {
                    Ok(share) if share > 0.0 && share <= 1.0 => Ok(criterion(share)),
                    _ => Err(ParseCriterionError(text.to_owned())),
                };
            }
        }
        let (digits, share) = match trimmed.strip_suffix('%') {
            Some(rest) => (rest.trim(), true),
            None => (trimmed, false),
        };
        let scale = if share { 100.0 } else { 1.0 };
        match digits.parse::<f64>().map(|value| value / scale) {
            Ok(value) if value > 0.0 && value <= 1.0 => {
                Ok(if share { Self::ShareOfCleanDice(value) } else { Self::Dice(value) })
            }
            _ => Err(ParseCriterionError(text.to_owned())),
        }
    }
}

/// The judgement of one ε ("broken at ε" of `methods`: the clean case passes, the adversarial fails, and random
/// sign at the same ε does not).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The clean image fails already: nothing can be said.
    CleanFails,
    /// The adversarial image passes.
    Holds,
    /// The adversarial image fails and its control does not.
    Broken,
    /// The adversarial image fails, and so does random sign noise: the noise is too strong, not the attack too good.
    NoiseToo,
    /// The adversarial image fails, and there is no control at this ε.
    NoControl,
}

impl Verdict {
    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::CleanFails => "clean fails",
            Self::Holds => "holds",
            Self::Broken => "broken",
            Self::NoiseToo => "noise breaks it too",
            Self::NoControl => "fails, no control",
        }
    }
}

/// The control's point at `epsilon`, if it was measured there.
pub(super) fn control_at(curve: &Curve, epsilon: f64) -> Option<&CurvePoint> {
    curve.control.iter().find(|p| (p.epsilon - epsilon).abs() < SAME)
}

/// The judgement of one image with measures `attacked`, beside its control if it was measured.
pub fn verdict(criterion: Criterion, clean: &Measure, attacked: &Measure, control: Option<&Measure>) -> Verdict {
    if criterion.clean_fails(clean) {
        Verdict::CleanFails
    } else if !criterion.fails(clean, attacked) {
        Verdict::Holds
    } else {
        match control {
            Some(control) if criterion.fails(clean, control) => Verdict::NoiseToo,
            Some(_) => Verdict::Broken,
            None => Verdict::NoControl,
        }
    }
}

/// The judgement of each of the attack's points.
pub fn verdicts(curve: &Curve, criterion: Criterion) -> Vec<Verdict> {
    let of = |point: &CurvePoint| {
        let control = control_at(curve, point.epsilon).map(|c| &c.measure);
        verdict(criterion, &curve.clean, &point.measure, control)
    };
    curve.points.iter().map(of).collect()
}

/// Neighbouring measured ε at all of which the model is broken.
pub type BrokenInterval = MeasuredInterval;

/// All intervals of ε at which `curve` is broken, ascending.
pub fn broken_intervals(curve: &Curve, criterion: Criterion) -> Vec<BrokenInterval> {
    let broken = verdicts(curve, criterion).into_iter().map(|verdict| verdict == Verdict::Broken);
    measured_intervals(curve.points.iter().map(|point| point.epsilon).zip(broken))
}
