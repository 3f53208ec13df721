//! Whether a network has learned anything: what compares networks that have not says nothing.

use crate::data::{Case, Mask};
use crate::train::constant_miou;

/// A network has learned something if its mean IoU exceeds that of the best constant mask by this.
pub(super) const LEARNED: f64 = 0.02;

/// The mean IoU of a predictor that calls every pixel the same of `classes` classes, the best such: more than that a network must
/// learn.
pub(super) fn best_constant(cases: &[Case], classes: usize) -> f64 {
    let classes = classes.max(2);
    let labels: Vec<&Mask> = cases.iter().filter_map(|case| case.label.as_ref()).collect();
    let of = |class: usize| labels.iter().map(|label| constant_miou(label, class as u8, classes)).sum::<f64>();
    (0..classes).map(of).fold(0.0, f64::max) / labels.len().max(1) as f64
}

/// Whether a mean IoU is enough above that of the best constant mask.
pub(super) fn learned(miou: f64, constant: f64) -> bool {
    miou > constant + LEARNED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic::MembranesConfig;

    #[test]
    fn the_best_constant_mask_is_that_of_the_larger_class() {
        let case = MembranesConfig::sized(64).section(1).case("a");
        let label = case.label.as_ref().unwrap();
        let share = label.classes.iter().filter(|&&class| class == 0).count() as f64 / label.classes.len() as f64;
        let constant = best_constant(&[case], 2);
        assert!((constant - share.max(1.0 - share) / 2.0).abs() < 1e-9, "{constant} and {share}");
        assert!(!learned(constant, constant) && !learned(constant + 0.01, constant) && learned(0.9, constant));
    }
}
