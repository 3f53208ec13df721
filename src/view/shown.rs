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
    fn half_a_level_is_gone_under_a_full_window_and_there_under_a_narrow_one() {
        let (original, changed) = ([0.5f32; 4], [0.5 + 0.4 / 255.0; 4].map(|v: f32| v));
        let full = Presentation::default();
        // 127.5 rounds up; 0.4 of a level more does too.
        assert_eq!(full.shown(&original), full.shown(&changed));
        let narrow = Presentation { window: Window { lower: 0.45, upper: 0.55 }, ..full };
        assert_ne!(narrow.shown(&original), narrow.shown(&changed));
    }
}
