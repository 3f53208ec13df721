//! Decisions of a model that classifies whole images: their names, and where they change along ε.

use super::state::{LiveCurve, State};
use crate::study::{CurvePoint, Measure};

/// Between two neighbouring measured ε the decision changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flip {
    /// The last measured ε of the decision before.
    pub after: f64,
    /// The first measured ε of the decision that follows.
    pub at: f64,
    /// The class before, by its index in the model.
    pub from: usize,
    /// The class that follows.
    pub to: usize,
}

/// All changes of the decision along `points`, ascending in ε, from that of the original on; it may come back.
pub fn flips(clean: &Measure, points: &[CurvePoint]) -> Vec<Flip> {
    let Some(start) = clean.decision else { return Vec::new() };
    let (mut flips, mut after, mut from) = (Vec::new(), 0.0, start.predicted);
    for point in points {
        let Some(decision) = point.measure.decision else { continue };
        if decision.predicted != from {
            flips.push(Flip { after, at: point.epsilon, from, to: decision.predicted });
        }
        (after, from) = (point.epsilon, decision.predicted);
    }
    flips
}

/// Where decisions of a curve change, in words: `cat, from 1.20 /255 dog, from 32.0 /255 frog`.
pub fn flips_text(state: &State, clean: &Measure, points: &[CurvePoint]) -> Option<String> {
    let start = clean.decision?.predicted;
    let last = points.last()?;
    let flips = flips(clean, points);
    let first = state.class_title(start);
    if flips.is_empty() {
        return Some(format!("{first} up to {}", state.epsilon_text(last.epsilon)));
    }
    let turns: Vec<String> = flips
        .iter()
        .map(|flip| format!("from {} {}", state.epsilon_text(flip.at), state.class_title(flip.to)))
        .collect();
    Some(format!("{first}, {}", turns.join(", ")))
}

/// Whether a curve is of decisions.
pub fn is_of_classes(curve: &LiveCurve) -> bool {
    curve.clean.decision.is_some()
}

/// A probability for people: `98.2 %`.
pub fn percent(probability: f64) -> String {
    format!("{:.1} %", probability * 100.0)
}
