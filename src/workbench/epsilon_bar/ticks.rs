//! The marks along ε, the same under the slider and under the plots.

use crate::workbench::epsilon::{self, EpsilonRuler, EpsilonScale, EpsilonUnit};

/// One mark.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// ε as a fraction.
    pub epsilon: f64,
    /// Its position on the present scale, in [0, 1].
    pub position: f64,
    /// Its number in the present unit, without the unit.
    pub label: String,
    /// Marks of a lower rank give way to those of a higher one where there is no room for all.
    pub rank: u8,
}

/// The marks of a ruler, ascending in ε; the first is 0, the last the largest ε.
pub fn ticks(ruler: &EpsilonRuler) -> Vec<Tick> {
    let EpsilonRuler { axis, unit, levels } = *ruler;
    let numbers = match (unit, axis.scale) {
        (EpsilonUnit::GreyLevels, EpsilonScale::Logarithmic) if levels <= 512.0 && !axis.is_l2() => doublings(),
        (_, EpsilonScale::Logarithmic) => {
            one_two_five([axis.smallest(), axis.largest].map(|e| epsilon::number(e, unit, levels)))
        }
        (EpsilonUnit::GreyLevels, EpsilonScale::Linear) if levels <= 512.0 && !axis.is_l2() => sixteens(),
        (_, EpsilonScale::Linear) => tenths(epsilon::number(axis.largest, unit, levels)),
    };
    let largest = epsilon::number(axis.largest, unit, levels);
    let inner = numbers.into_iter().filter(|(number, _)| *number > 0.0 && *number < largest * 0.999);
    std::iter::once((0.0, 4))
        .chain(inner)
        .chain(std::iter::once((largest, 3)))
        .map(|(number, rank)| {
            let epsilon = epsilon::from_number(number, unit, levels);
            Tick { epsilon, position: axis.position(epsilon), label: label(number), rank }
        })
        .collect()
}

/// The whole doublings of a grey level, and what lies between 0 and 1.
fn doublings() -> Vec<(f64, u8)> {
    let fine = [(0.1, 2), (0.25, 0), (0.5, 1)];
    let whole = [(1.0, 3), (2.0, 2), (4.0, 3), (8.0, 2), (16.0, 3), (32.0, 3), (64.0, 1), (128.0, 2)];
    fine.into_iter().chain(whole).collect()
}

/// 1, 2 and 5 times the powers of ten between the numbers of the smallest and the largest ε.
fn one_two_five([smallest, largest]: [f64; 2]) -> Vec<(f64, u8)> {
    let (from, to) = (smallest.log10().floor() as i32, largest.log10().ceil() as i32);
    (from..=to)
        .flat_map(|power| [(1.0, 3), (2.0, 1), (5.0, 2)].map(|(factor, rank)| (factor * 10f64.powi(power), rank)))
        .filter(|(number, _)| *number >= smallest * 0.999)
        .collect()
}

/// Sixteenths of few grey levels, which are round.
fn sixteens() -> Vec<(f64, u8)> {
    (1..=15).map(|i| (16.0 * f64::from(i), if i % 4 == 0 { 3 } else { u8::from(i % 2 == 0) })).collect()
}

/// Tenths of the range, whose number is `largest`.
fn tenths(largest: f64) -> Vec<(f64, u8)> {
    (1..=9).map(|i| (largest * f64::from(i) / 10.0, if i == 5 { 3 } else { 1 })).collect()
}

fn label(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        n if n >= 10.0 => format!("{n:.0}"),
        n => {
            let text = format!("{n:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// The marks whose labels fit beside each other, given each label's half width in the unit of `coordinate`. Marks of a
/// high rank are placed first.
pub fn without_collisions(
    ticks: &[Tick],
    coordinate: impl Fn(&Tick) -> f32,
    half_width: impl Fn(&Tick) -> f32,
) -> Vec<bool> {
    let mut order: Vec<usize> = (0..ticks.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(ticks[i].rank));
    let mut shown = vec![false; ticks.len()];
    let mut taken: Vec<(f32, f32)> = Vec::new();
    for i in order {
        let (centre, half) = (coordinate(&ticks[i]), half_width(&ticks[i]));
        let (left, right) = (centre - half, centre + half);
        if taken.iter().all(|&(l, r)| right <= l || left >= r) {
            taken.push((left, right));
            shown[i] = true;
        }
    }
    shown
}

/// The mark within `reach` (a difference of positions) of `position`, if there is one.
pub fn snap(ticks: &[Tick], position: f64, reach: f64) -> Option<&Tick> {
    ticks
        .iter()
        .filter(|t| (t.position - position).abs() <= reach)
        .min_by(|a, b| (a.position - position).abs().total_cmp(&(b.position - position).abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::State;

    fn state(unit: EpsilonUnit, scale: EpsilonScale) -> EpsilonRuler {
        State { unit: Some(unit), scale, ..State::default() }.ruler()
    }

    #[test]
    fn grey_levels_double() {
        let labels: Vec<String> =
            ticks(&state(EpsilonUnit::GreyLevels, EpsilonScale::Logarithmic)).into_iter().map(|t| t.label).collect();
        assert_eq!(labels, ["0", "0.1", "0.25", "0.5", "1", "2", "4", "8", "16", "32", "64", "128", "255"]);
    }

    #[test]
    fn ticks_ascend_from_zero_to_the_largest() {
        for unit in [EpsilonUnit::GreyLevels, EpsilonUnit::Fraction] {
            for scale in [EpsilonScale::Logarithmic, EpsilonScale::Linear] {
                let ticks = ticks(&state(unit, scale));
                assert!(ticks.windows(2).all(|pair| pair[0].position < pair[1].position), "{ticks:?}");
                assert_eq!((ticks[0].position, ticks[ticks.len() - 1].position), (0.0, 1.0));
                assert!(ticks.len() >= 8, "{ticks:?}");
            }
        }
    }

    #[test]
    fn labels_that_would_overlap_give_way() {
        let ticks = ticks(&state(EpsilonUnit::GreyLevels, EpsilonScale::Linear));
        let shown = without_collisions(&ticks, |t| t.position as f32 * 200.0, |_| 14.0);
        let kept: Vec<f32> =
            ticks.iter().zip(&shown).filter(|(_, s)| **s).map(|(t, _)| t.position as f32 * 200.0).collect();
        assert!(kept.len() >= 4 && kept.len() < ticks.len());
        assert!(kept.windows(2).all(|pair| pair[1] - pair[0] >= 27.9));
        assert!(shown[0]);
    }

    #[test]
    fn snapping_finds_the_nearest_mark_within_reach() {
        let ticks = ticks(&state(EpsilonUnit::GreyLevels, EpsilonScale::Logarithmic));
        let four = EpsilonScale::Logarithmic.position(4.0 / 255.0);
        assert!(snap(&ticks, four + 0.003, 0.004).is_some_and(|t| t.label == "4"));
        assert_eq!(snap(&ticks, four + 0.02, 0.004), None);
    }
}
