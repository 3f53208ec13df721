//! ε as people see it: units, the slider's two scales, steps of the keys, typed text. The slider, the keys and the
//! marker on the plot all use these functions, so that they never disagree. ε itself is always a fraction of the
//! bounds' width.

use crate::data::{StoredType, Unit};
use crate::engine::CaseInfo;
use serde::{Deserialize, Serialize};

/// The smallest ε above 0 on the logarithmic scale: a tenth of an 8-bit grey level.
pub const SMALLEST: f64 = 0.1 / 255.0;
/// The largest ε: the whole width of the bounds.
pub const LARGEST: f64 = 1.0;
/// The share of the logarithmic slider, at its lower end, that means exactly 0.
const ZERO_SHARE: f64 = 0.02;

/// The unit in which ε is shown and typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpsilonUnit {
    /// A fraction of the bounds' width.
    Fraction,
    /// Grey levels of the stored depth (of 255 for floats): `4 /255`.
    #[default]
    GreyLevels,
    /// Hounsfield units, where the image is in them.
    Hounsfield,
}

/// How the slider's length is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpsilonScale {
    /// From [`SMALLEST`] to [`LARGEST`], with 0 at the lower end.
    #[default]
    Logarithmic,
    /// From 0 to [`LARGEST`].
    Linear,
}

/// How many grey levels the bounds of a case span: the denominator of ε in grey levels.
pub fn grey_levels(case: Option<&CaseInfo>) -> f64 {
    match case {
        Some(case) if case.stored != StoredType::F32 => f64::from(case.bounds.width()),
        _ => 255.0,
    }
}

impl EpsilonScale {
    /// ε at a slider position in [0, 1].
    pub fn epsilon(self, position: f64) -> f64 {
        let position = position.clamp(0.0, 1.0);
        match self {
            Self::Linear => position * LARGEST,
            Self::Logarithmic if position < ZERO_SHARE => 0.0,
            Self::Logarithmic => {
                let share = (position - ZERO_SHARE) / (1.0 - ZERO_SHARE);
                (SMALLEST * (LARGEST / SMALLEST).powf(share)).min(LARGEST)
            }
        }
    }

    /// The slider position in [0, 1] of ε.
    pub fn position(self, epsilon: f64) -> f64 {
        match self {
            Self::Linear => (epsilon / LARGEST).clamp(0.0, 1.0),
            Self::Logarithmic if epsilon < SMALLEST * 0.999_999 => 0.0,
            Self::Logarithmic => {
                let share = (epsilon / SMALLEST).ln() / (LARGEST / SMALLEST).ln();
                (ZERO_SHARE + (1.0 - ZERO_SHARE) * share).clamp(ZERO_SHARE, 1.0)
            }
        }
    }

    /// ε after `steps` steps of the arrow keys: on the logarithmic scale 24 steps are a decade and 0 lies one step
    /// below [`SMALLEST`]; on the linear one a step is 1/255. A fine step is a fifth of a step.
    pub fn step(self, epsilon: f64, steps: f64) -> f64 {
        let next = match self {
            Self::Linear => epsilon + steps / 255.0,
            Self::Logarithmic if epsilon < SMALLEST => {
                if steps > 0.0 {
                    SMALLEST
                } else {
                    0.0
                }
            }
            Self::Logarithmic => {
                let next = epsilon * 10f64.powf(steps / 24.0);
                if next < SMALLEST * 0.999_999 { 0.0 } else { next }
            }
        };
        next.clamp(0.0, LARGEST)
    }
}

/// The axis of ε: a scale, and the ε that changes every value by the whole width of the bounds, at which it ends. That is 1 where ε
/// bounds the change of each value, and √(number of values) where it bounds an L2 norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpsilonAxis {
    /// How its length is divided.
    pub scale: EpsilonScale,
    /// The largest ε.
    pub largest: f64,
}

impl EpsilonAxis {
    /// As [`EpsilonScale::epsilon`].
    pub fn epsilon(self, position: f64) -> f64 {
        self.scale.epsilon(position) * self.largest
    }

    /// As [`EpsilonScale::position`].
    pub fn position(self, epsilon: f64) -> f64 {
        self.scale.position(epsilon / self.largest)
    }

    /// As [`EpsilonScale::step`].
    pub fn step(self, epsilon: f64, steps: f64) -> f64 {
        self.scale.step(epsilon / self.largest, steps) * self.largest
    }

    /// The smallest ε above 0 on the logarithmic scale.
    pub fn smallest(self) -> f64 {
        SMALLEST * self.largest
    }

    /// Whether ε is an L2 norm.
    pub fn is_l2(self) -> bool {
        self.largest > LARGEST
    }
}

/// An axis with the unit in which its numbers are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpsilonRuler {
    /// The axis.
    pub axis: EpsilonAxis,
    /// The unit.
    pub unit: EpsilonUnit,
    /// What the bounds of the image span in that unit.
    pub levels: f64,
}

impl EpsilonRuler {
    /// The ruler of an image, for a chosen unit: Hounsfield units, else grey levels, where none is chosen or the image has it not.
    /// `amount` is false where ε is no amount of anything, as the strength of a corruption.
    pub fn new(axis: EpsilonAxis, case: Option<&CaseInfo>, chosen: Option<EpsilonUnit>, amount: bool) -> Self {
        let known = units(case, amount);
        let unit = match chosen {
            Some(unit) if known.contains(&unit) => unit,
            None if known.contains(&EpsilonUnit::Hounsfield) => EpsilonUnit::Hounsfield,
            _ => EpsilonUnit::GreyLevels,
        };
        let levels = match case {
            Some(case) if unit == EpsilonUnit::Hounsfield => f64::from(case.bounds.width()),
            case => grey_levels(case),
        };
        Self { axis, unit, levels }
    }

    /// An ε with its unit.
    pub fn text(&self, epsilon: f64) -> String {
        text(epsilon, self.unit, self.levels)
    }
}

/// The units that ε has on an image; `amount` as for [`EpsilonRuler::new`].
pub fn units(case: Option<&CaseInfo>, amount: bool) -> Vec<EpsilonUnit> {
    let known = amount && case.is_some_and(|case| case.about.unit == Unit::Hounsfield);
    let mut units = vec![EpsilonUnit::GreyLevels, EpsilonUnit::Fraction];
    units.extend(known.then_some(EpsilonUnit::Hounsfield));
    units
}

/// How many steps a fine step (with Shift) is.
pub const FINE_STEP: f64 = 0.2;

/// ε as a number in `unit`, without the unit.
pub fn number(epsilon: f64, unit: EpsilonUnit, levels: f64) -> f64 {
    match unit {
        EpsilonUnit::Fraction => epsilon,
        EpsilonUnit::GreyLevels | EpsilonUnit::Hounsfield => epsilon * levels,
    }
}

/// ε of a number in `unit`.
pub fn from_number(number: f64, unit: EpsilonUnit, levels: f64) -> f64 {
    let epsilon = match unit {
        EpsilonUnit::Fraction => number,
        EpsilonUnit::GreyLevels | EpsilonUnit::Hounsfield => number / levels,
    };
    epsilon.max(0.0)
}

/// The number of ε in `unit` as text with a sensible number of digits, without the unit: `4.00` or `0.0157`.
pub fn number_text(epsilon: f64, unit: EpsilonUnit, levels: f64) -> String {
    let value = number(epsilon, unit, levels);
    match unit {
        EpsilonUnit::Fraction => format!("{value:.4}"),
        _ if value < 9.995 => format!("{value:.2}"),
        _ if value < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// What follows the number: ` /255`, or nothing for a fraction.
pub fn suffix(unit: EpsilonUnit, levels: f64) -> String {
    match unit {
        EpsilonUnit::Fraction => String::new(),
        EpsilonUnit::GreyLevels => format!(" /{levels:.0}"),
        EpsilonUnit::Hounsfield => " HU".to_owned(),
    }
}

/// ε with its unit: `4.00 /255` or `0.0157`.
pub fn text(epsilon: f64, unit: EpsilonUnit, levels: f64) -> String {
    number_text(epsilon, unit, levels) + &suffix(unit, levels)
}

/// ε of typed text: a number in `unit`, or a ratio such as `4/255` whatever the unit; `None` if it is neither.
/// The number may lie beyond the axis; whoever uses it says so.
pub fn parse(text: &str, unit: EpsilonUnit, levels: f64) -> Option<f64> {
    let text = text.trim().trim_start_matches(['ε', '=', ' ']).trim().replace(',', ".");
    let text = match text.to_lowercase().strip_suffix("hu") {
        Some(number) if unit == EpsilonUnit::Hounsfield => number.trim().to_owned(),
        _ => text,
    };
    let epsilon = match text.split_once('/') {
        Some((numerator, denominator)) => {
            let denominator: f64 = denominator.trim().parse().ok()?;
            let numerator: f64 = numerator.trim().parse().ok()?;
            if denominator <= 0.0 {
                return None;
            }
            numerator / denominator
        }
        None => {
            let (text, percent) = match text.strip_suffix('%') {
                Some(text) => (text.trim(), true),
                None => (text.as_str(), false),
            };
            let number: f64 = text.parse().ok()?;
            if percent {
                number / 100.0
            } else if unit == EpsilonUnit::Fraction {
                number
            } else {
                number / levels
            }
        }
    };
    epsilon.is_finite().then_some(epsilon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_and_epsilon_are_inverse() {
        for scale in [EpsilonScale::Logarithmic, EpsilonScale::Linear] {
            for i in 0..=1000 {
                let epsilon = scale.epsilon(f64::from(i) / 1000.0);
                let again = scale.epsilon(scale.position(epsilon));
                assert!((again - epsilon).abs() <= 1e-9 * epsilon.max(1e-6), "{scale:?}: {epsilon} became {again}");
            }
        }
    }

    #[test]
    fn the_logarithmic_slider_has_zero_at_its_end_and_a_tenth_of_a_grey_level_above() {
        let scale = EpsilonScale::Logarithmic;
        assert_eq!(scale.epsilon(0.0), 0.0);
        assert!((scale.epsilon(ZERO_SHARE) - 0.1 / 255.0).abs() < 1e-12);
        assert!((scale.epsilon(1.0) - 1.0).abs() < 1e-12);
        assert_eq!(scale.position(0.0), 0.0);
        assert!((scale.position(1.0) - 1.0).abs() < 1e-12);
        let middle = scale.position(4.0 / 255.0);
        assert!((0.4..0.6).contains(&middle), "4/255 lies at {middle}");
    }

    #[test]
    fn steps_reach_zero_and_the_largest_and_come_back() {
        let scale = EpsilonScale::Logarithmic;
        let mut epsilon = 4.0 / 255.0;
        for _ in 0..200 {
            epsilon = scale.step(epsilon, -1.0);
        }
        assert_eq!(epsilon, 0.0);
        assert_eq!(scale.step(epsilon, 1.0), SMALLEST);
        for _ in 0..200 {
            epsilon = scale.step(epsilon, 1.0);
        }
        assert_eq!(epsilon, LARGEST);
        let up_and_down = scale.step(scale.step(0.01, FINE_STEP), -FINE_STEP);
        assert!((up_and_down - 0.01).abs() < 1e-12);
        assert!((EpsilonScale::Linear.step(0.0, 1.0) - 1.0 / 255.0).abs() < 1e-12);
    }

    #[test]
    fn the_axis_of_an_l2_norm_ends_where_every_value_has_changed_wholly() {
        let axis = EpsilonAxis { scale: EpsilonScale::Logarithmic, largest: 256.0 };
        assert!(axis.is_l2() && (axis.epsilon(1.0) - 256.0).abs() < 1e-9 && axis.position(256.0) == 1.0);
        let four = EpsilonScale::Logarithmic.position(4.0 / 255.0);
        assert!(
            (axis.position(4.0 / 255.0 * 256.0) - four).abs() < 1e-12,
            "as much in the mean lies at the same place"
        );
        assert!((axis.step(axis.step(4.0, 1.0), -1.0) - 4.0).abs() < 1e-9 && axis.step(0.0, 1.0) == axis.smallest());
        assert!(!EpsilonAxis { largest: 1.0, ..axis }.is_l2());
    }

    #[test]
    fn typed_text_is_read_in_its_unit() {
        use EpsilonUnit::{Fraction, GreyLevels};
        assert_eq!(parse("4", GreyLevels, 255.0), Some(4.0 / 255.0));
        assert_eq!(parse(" 4 / 255 ", Fraction, 255.0), Some(4.0 / 255.0));
        assert_eq!(parse("0.05", Fraction, 255.0), Some(0.05));
        assert_eq!(parse("0,05", Fraction, 255.0), Some(0.05));
        assert_eq!(parse("ε = 2", GreyLevels, 255.0), Some(2.0 / 255.0));
        assert_eq!(parse("1 %", GreyLevels, 255.0), Some(0.01));
        assert_eq!(parse("510", GreyLevels, 255.0), Some(2.0));
        assert_eq!(parse("-1", Fraction, 255.0), Some(-1.0));
        for bad in ["", "four", "4/0", "4/-1", "NaN", "inf/1", "4/255/2"] {
            assert_eq!(parse(bad, GreyLevels, 255.0), None, "{bad}");
        }
    }

    #[test]
    fn text_names_the_unit() {
        assert_eq!(text(4.0 / 255.0, EpsilonUnit::GreyLevels, 255.0), "4.00 /255");
        assert_eq!(text(32.0 / 255.0, EpsilonUnit::GreyLevels, 255.0), "32.0 /255");
        assert_eq!(text(0.5, EpsilonUnit::GreyLevels, 65535.0), "32768 /65535");
        assert_eq!(text(4.0 / 255.0, EpsilonUnit::Fraction, 255.0), "0.0157");
    }
}
