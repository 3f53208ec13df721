//! Which ε a screen can tell apart: on 8 bits most of a fine grid of small ε are one and the same picture.

use super::logarithmic;
use crate::view::Presentation;

/// Values of an image that are looked at; more of them tell no more ε apart.
const MOST_VALUES: usize = 1 << 18;

/// An ε whose picture on the screen differs from the original and from those of other ε.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The ε that is asked for.
    pub asked: f64,
    /// What the screen makes of it.
    pub shown: f64,
}

/// The ε of a logarithmic grid of `steps` over `range` whose pictures on the screen differ from the original and from each other,
/// ascending. `original` is in fractions of the bounds. Asked is a perturbation of ±ε at every value: the shape of all attacks
/// that are bounded in L∞ and go to their bound, and of the control.
///
/// Where a picture is that of another ε too, that one is chosen which is shown as it is: under the full window 1/255, not 0.7/255, of
/// an 8-bit image.
pub fn distinguishable(original: &[f32], [first, last]: [f64; 2], steps: usize, shown: &Presentation) -> Vec<Level> {
    let stride = original.len().div_ceil(MOST_VALUES).max(1);
    let original: Vec<f32> = original.iter().copied().step_by(stride).collect();
    let altered = |epsilon: f64| -> Vec<f32> {
        // Knuth's multiplicative hash: any signs will do.
        let sign = |i: usize| if (i as u32).wrapping_mul(0x9E37_79B1) >> 31 == 0 { 1.0 } else { -1.0 };
        original.iter().enumerate().map(|(i, v)| (v + sign(i) * epsilon as f32).clamp(0.0, 1.0)).collect()
    };
    let mut kept: Vec<Level> = Vec::new();
    let mut before = shown.shown(&original);
    for epsilon in logarithmic(first, last, steps) {
        let image = altered(epsilon);
        let picture = shown.shown(&image);
        if picture == before {
            continue;
        }
        let as_shown = epsilon * shown.rounding(&original, &image);
        let same = (first..=last).contains(&as_shown) && shown.shown(&altered(as_shown)) == picture;
        let asked = if same { as_shown } else { epsilon };
        if kept.last().is_none_or(|kept| asked > kept.asked * (1.0 + 1e-6)) {
            kept.push(Level { asked, shown: as_shown });
        }
        before = picture;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Window;

    const RANGE: [f64; 2] = [0.1 / 255.0, 64.0 / 255.0];

    fn ramp() -> Vec<f32> {
        (0..4096).map(|i| (64 + i % 128) as f32 / 255.0).collect()
    }

    #[test]
    fn on_eight_bits_an_epsilon_is_a_whole_number_of_levels() {
        let found = distinguishable(&ramp(), RANGE, 40, &Presentation::default());
        let levels: Vec<f64> = found.iter().map(|e| e.asked * 255.0).collect();
        assert!(found.iter().all(|e| (e.shown / e.asked - 1.0).abs() < 2e-3), "each is shown as what it is: {found:?}");
        assert!(levels.iter().all(|l| (l - l.round()).abs() < 0.01 * l), "{levels:?}");
        assert_eq!(levels[..4].iter().map(|l| l.round()).collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(levels.len(), 20, "of 40");
        assert!(levels.windows(2).all(|l| l[1] > l[0] + 0.9), "{levels:?}");
    }

    #[test]
    fn a_narrow_window_and_more_bits_tell_more_apart() {
        let count = |presentation| distinguishable(&ramp(), RANGE, 40, &presentation).len();
        let full = Presentation::default();
        let narrow = Presentation { window: Window { lower: 0.3, upper: 0.4 }, ..full };
        assert!(count(narrow) > count(full), "{} {}", count(narrow), count(full));
        assert!(count(Presentation { bits: 10, ..full }) > count(full));
        assert_eq!(count(Presentation { bits: 0, ..full }), 40);
        let invisible = [0.1 / 255.0, 0.4 / 255.0];
        assert!(distinguishable(&ramp(), invisible, 40, &full).is_empty());
    }

    /// Under a window of 195 levels on a screen of 8 bits a level of the file is 1.31 of the screen, and each value's change is a whole number of
    /// these: ±0.1 of a level is none for most values and a whole one for some.
    #[test]
    fn under_another_window_an_epsilon_is_shown_as_another_one() {
        let shown =
            Presentation { window: Window { lower: 29.0 / 255.0, upper: 224.0 / 255.0 }, ..Presentation::default() };
        let found = distinguishable(&ramp(), RANGE, 40, &shown);
        let first = found[0];
        assert!(first.asked < 0.2 / 255.0 && first.shown > 2.0 * first.asked, "{first:?}");
        let far = found.last().unwrap();
        assert!((far.shown / far.asked - 1.0).abs() < 0.03, "{far:?}");
    }
}
