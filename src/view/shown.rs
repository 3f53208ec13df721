//! From pixel values to what a screen shows: window, inversion, bit depth.

use super::Window;
use serde::{Deserialize, Serialize};

/// How an image is put on a screen. Contrast gain decides what is seen: under a window of a tenth of the bounds a perturbation is
/// ten times as strong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presentation {
    /// The fractions of the bounds that are shown black and white.
    pub window: Window,
    /// Whether large values are shown dark (DICOM's MONOCHROME1).
    pub inverted: bool,
    /// Bits of the screen; 0: as fine as numbers are.
    pub bits: u8,
}

impl Default for Presentation {
    /// All of the bounds on a screen of 8 bits.
    fn default() -> Self {
        Self { window: Window::FULL, inverted: false, bits: 8 }
    }
}

impl Presentation {
    /// Fractions of the bounds as grey levels of the screen, 0 black and 1 white, rounded to the levels that it has. Values that
    /// are not finite stay so. Colours are each channel by itself, as the renderer does.
    pub fn shown(&self, values: &[f32]) -> Vec<f32> {
        let slope = self.window.slope();
        // Beyond 24 bits single precision has no more levels.
        let levels = if (1..=24).contains(&self.bits) { ((1u32 << self.bits) - 1) as f32 } else { 0.0 };
        let shown = |&value: &f32| {
            let mut grey = ((value - self.window.lower) * slope).clamp(0.0, 1.0);
            if levels > 0.0 {
                grey = (grey * levels).round() / levels;
            }
            if self.inverted { 1.0 - grey } else { grey }
        };
        values.iter().map(shown).collect()
    }

    /// What rounding to the screen's levels makes of a perturbation's contrast: the root mean square of the change on the
    /// screen over that on a screen of endless levels under the same window, to four digits. 0 where nothing changes. Both
    /// images have as many values, in fractions of the bounds.
    ///
    /// Under the full window ±0.7 of a grey level of an 8-bit image is shown as ±1, which gives 1/0.7, and ±0.4 as nothing.
    pub fn rounding(&self, original: &[f32], altered: &[f32]) -> f64 {
        let fine = Self { bits: 0, ..*self };
        let power = |presentation: &Self| -> f64 {
            let [a, b] = [original, altered].map(|image| presentation.shown(image));
            a.iter().zip(&b).map(|(a, b)| f64::from(b - a).powi(2)).filter(|p| p.is_finite()).sum()
        };
        let [shown, meant] = [power(self), power(&fine)];
        if shown > 0.0 && meant > 0.0 { four_digits((shown / meant).sqrt()) } else { 0.0 }
    }
}

/// Single precision leaves about so many of a ratio of small differences.
fn four_digits(value: f64) -> f64 {
    let unit = 10f64.powi(value.log10().floor() as i32 - 3);
    (value / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greys_by_hand() {
        let values = [-0.5, 0.25, 0.375, 0.5, 2.0];
        let narrow = Presentation { window: Window { lower: 0.25, upper: 0.5 }, inverted: false, bits: 0 };
        assert_eq!(narrow.shown(&values), [0.0, 0.0, 0.5, 1.0, 1.0]);
        assert_eq!(Presentation { inverted: true, ..narrow }.shown(&values), [1.0, 1.0, 0.5, 0.0, 0.0]);
        assert_eq!(Presentation { bits: 1, ..narrow }.shown(&[0.3, 0.4]), [0.0, 1.0]);
        assert!(narrow.shown(&[f32::NAN])[0].is_nan());
    }

    #[test]
    fn rounding_by_hand() {
        // Levels of 8 bits, far from black and white.
        let original: Vec<f32> = (50..200).map(|level| level as f32 / 255.0).collect();
        let changed = |levels: f32| -> Vec<f32> {
            let sign = |i: usize| if i.is_multiple_of(3) { 1.0 } else { -1.0 };
            original.iter().enumerate().map(|(i, v)| v + sign(i) * levels / 255.0).collect()
        };
        let full = Presentation::default();
        let shown = |levels: f32| full.rounding(&original, &changed(levels)) * f64::from(levels);
        assert_eq!(shown(0.4), 0.0);
        for (levels, expected) in [(0.7, 1.0), (1.0, 1.0), (1.3, 1.0), (1.7, 2.0), (7.6, 8.0)] {
            assert!((shown(levels) / expected - 1.0).abs() < 2e-3, "{levels}: {}", shown(levels));
        }
        // Twice the contrast, so that half a level is one; with 10 bits nearly nothing is rounded away.
        let narrow = Presentation { window: Window { lower: 0.0, upper: 0.5 }, ..full };
        let half = changed(0.5);
        assert!((narrow.rounding(&original[..60], &half[..60]) - 1.0).abs() < 2e-3);
        let fine = Presentation { bits: 10, ..full };
        assert!((fine.rounding(&original, &changed(0.7)) - 1.0).abs() < 0.25);
        assert_eq!(full.rounding(&original, &original), 0.0);
    }

    #[test]
    fn half_a_level_is_gone_under_a_full_window_and_there_under_a_narrow_one() {
        let (original, changed) = ([0.5f32; 4], [0.5 + 0.4 / 255.0; 4].map(|v: f32| v));
        let full = Presentation::default();
        // 127.5 rounds up; 0.4 of a level more does too.
        assert_eq!(full.shown(&original), full.shown(&changed));
        let narrow = Presentation { window: Window { lower: 0.45, upper: 0.55 }, ..full };
        assert_ne!(narrow.shown(&original), narrow.shown(&changed));
    }
}
