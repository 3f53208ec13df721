//! What a figure and the text beside it say in words.

use crate::attack::{self, EpsilonMeaning};
use crate::study::Curve;
use crate::study::report::epsilon;

/// From which ε on an observer sees the perturbation.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdLine {
    /// Who.
    pub name: String,
    /// The threshold, at which it is detected in half of all looks.
    pub epsilon: f64,
    /// Its interval of 95 %; the upper end may be infinite.
    pub interval: [f64; 2],
}

impl ThresholdLine {
    /// `Ada’s threshold 4/255 (95 %: 3/255 to 5/255)`.
    pub fn words(&self) -> String {
        let [low, high] = self.interval;
        let end =
            if high.is_finite() { format!("to {}", epsilon::short(high)) } else { "without an upper end".to_owned() };
        format!("{}’s threshold {} (95 %: {} {end})", self.name, epsilon::short(self.epsilon), epsilon::short(low))
    }
}

/// `FGSM against random sign noise`.
pub(in crate::study::report) fn title(attack: &str) -> String {
    let name = attack::find(attack).map_or(attack, |entry| entry.title);
    if attack == attack::RANDOM_SIGN { name.to_owned() } else { format!("{name} against random sign noise") }
}

/// What the axis shows of an attack that has no ε but finds a perturbation: its L∞ norm, and how far it has moved pixels.
pub(in crate::study::report) fn found_axis(curve: &Curve) -> Option<String> {
    let entry = attack::find(&curve.attack).filter(|entry| entry.epsilon == EpsilonMeaning::Found)?;
    let moved = curve.points.iter().filter_map(|p| p.measure.displacement).reduce(f64::max);
    let moved = moved.map_or_else(String::new, |pixels| format!(", which moved pixels by up to {pixels:.2} px"));
    Some(format!("L∞ of what {} found{moved},", entry.title))
}

/// How large the perturbation of `curve` at `epsilon` is, as a sentence goes on: `at ε = 4/255`, or of an attack that finds its own
/// what it found. `write` writes ε.
pub fn size_words(curve: &Curve, epsilon: f64, write: impl Fn(f64) -> String) -> String {
    let point = curve.points.iter().find(|p| p.epsilon == epsilon).filter(|_| finds(curve));
    match point.map(|p| (p.measure.displacement, p.measure.distortion)) {
        Some((Some(pixels), _)) => format!("by moving pixels by up to {pixels:.2} px"),
        Some((None, found)) => format!("with an L2 norm of {:.3} (L∞ {})", found.l2, write(found.linf)),
        None => format!("at ε = {}", write(epsilon)),
    }
}

/// Whether the attack of `curve` finds its own ε.
pub fn finds(curve: &Curve) -> bool {
    attack::find(&curve.attack).is_some_and(|entry| entry.epsilon == EpsilonMeaning::Found)
}
