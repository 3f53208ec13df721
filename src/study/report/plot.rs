//! The parts of a plot: scales, ticks, markers. Coordinates are units of the SVG.

use super::epsilon;
use maud::{Markup, html};

/// A coordinate with one decimal: enough for a figure, and short.
pub(super) fn at(value: f64) -> String {
    format!("{value:.1}")
}

/// From ε to a coordinate.
#[derive(Clone, Copy, Debug)]
pub(super) enum EpsilonScale {
    /// Proportional, from 0.
    Linear { left: f64, right: f64, largest: f64 },
    /// Logarithmic between the smallest and largest positive ε, with ε = 0 on its own at the left end.
    Logarithmic { zero: f64, left: f64, right: f64, smallest: f64, largest: f64 },
}

/// Positive ε that span more than this factor get a logarithmic axis.
const WIDE: f64 = 24.0;
/// Room between ε = 0 and the smallest positive ε on a logarithmic axis.
const ZERO_GAP: f64 = 46.0;

impl EpsilonScale {
    /// The scale that shows all of `epsilons` between `left` and `right`.
    pub fn fitting(epsilons: impl Iterator<Item = f64>, left: f64, right: f64) -> Self {
        let positive: Vec<f64> = epsilons.filter(|&e| e > 0.0).collect();
        let largest = positive.iter().copied().fold(0.0, f64::max);
        let smallest = positive.iter().copied().fold(f64::INFINITY, f64::min);
        if largest > WIDE * smallest {
            Self::Logarithmic { zero: left, left: left + ZERO_GAP, right, smallest, largest }
        } else {
            Self::Linear { left, right, largest: if largest > 0.0 { largest } else { 1.0 } }
        }
    }

    /// The coordinate of `epsilon`.
    pub fn x(self, epsilon: f64) -> f64 {
        match self {
            Self::Linear { left, right, largest } => left + (right - left) * epsilon / largest,
            Self::Logarithmic { zero, .. } if epsilon <= 0.0 => zero,
            Self::Logarithmic { left, right, smallest, largest, .. } => {
                left + (right - left) * (epsilon / smallest).ln() / (largest / smallest).ln()
            }
        }
    }

    /// Where the axis is interrupted between 0 and the smallest positive ε, if it is.
    pub fn interruption(self) -> Option<f64> {
        match self {
            Self::Linear { .. } => None,
            Self::Logarithmic { zero, left, .. } => Some((zero + left) / 2.0),
        }
    }

    /// Whether people think of these ε as grey levels of 8 bits (small) rather than as fractions.
    pub fn in_levels(self) -> bool {
        match self {
            Self::Linear { largest, .. } => largest < 0.2,
            Self::Logarithmic { .. } => true,
        }
    }

    /// ε with a tick, ascending, 0 first.
    pub fn ticks(self) -> Vec<f64> {
        match self {
            Self::Logarithmic { smallest, largest, .. } => {
                // Powers of two in grey levels, thinned until they have room.
                let low = (smallest * 255.0).log2().ceil() as i32;
                let high = (largest * 255.0 * (1.0 + 1e-9)).log2().floor() as i32;
                let stride = ((high - low + 1).max(1) as usize).div_ceil(10);
                let powers = (low..=high).rev().step_by(stride).map(|p| 2f64.powi(p) / 255.0);
                let mut ticks: Vec<f64> = powers.collect();
                ticks.push(0.0);
                ticks.reverse();
                ticks
            }
            Self::Linear { largest, .. } => {
                let unit = if self.in_levels() { 255.0 } else { 1.0 };
                value_ticks(largest * unit, 10).into_iter().map(|t| t / unit).collect()
            }
        }
    }

    /// The two names of a tick: the one that people think in, and the other.
    pub fn tick_names(self, epsilon: f64) -> [String; 2] {
        let levels = epsilon::levels(epsilon);
        let levels = levels.trim_end_matches("/255").to_owned();
        let fraction = epsilon::fraction(epsilon);
        if self.in_levels() { [levels, fraction] } else { [fraction, levels] }
    }

    /// What the two rows of names are in.
    pub fn units(self) -> [&'static str; 2] {
        let units = ["ε in grey levels of 8 bits (/255)", "as a fraction of the bounds’ width"];
        if self.in_levels() {
            units
        } else {
            ["ε as a fraction of the bounds’ width", "in grey levels of 8 bits (/255)"]
        }
    }
}

/// Round numbers from 0 to at most `largest`, about `count` of them.
pub(super) fn value_ticks(largest: f64, count: usize) -> Vec<f64> {
    if !(largest > 0.0 && largest.is_finite()) {
        return vec![0.0];
    }
    let rough = largest / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough * 0.999).unwrap_or(rough);
    let last = (largest / step + 1e-6).floor() as usize;
    (0..=last).map(|i| i as f64 * step).collect()
}

/// A tick's number, with as many decimals as its step needs.
pub(super) fn value_name(value: f64, step: f64) -> String {
    let decimals = if step >= 1.0 { 0 } else { (-step.log10().floor()).clamp(0.0, 6.0) as usize };
    format!("{value:.decimals$}")
}

/// The shape of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

impl Marker {
    /// The marker around a point, filled or hollow by its class.
    pub fn draw(self, class: &str, x: f64, y: f64) -> Markup {
        let r = 4.5;
        let path = match self {
            Self::Circle => return html! { circle class=(class) cx=(at(x)) cy=(at(y)) r="4.5" {} },
            Self::Square => [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)].to_vec(),
            Self::Triangle => [(0.0, -1.25), (1.1, 0.85), (-1.1, 0.85)].to_vec(),
            Self::Diamond => [(0.0, -1.3), (1.1, 0.0), (0.0, 1.3), (-1.1, 0.0)].to_vec(),
        };
        let points: Vec<String> =
            path.iter().map(|(dx, dy)| format!("{},{}", at(x + dx * r), at(y + dy * r))).collect();
        html! { polygon class=(class) points=(points.join(" ")) {} }
    }
}
