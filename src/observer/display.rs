//! The conditions under which a study is shown: without them a threshold means nothing.

use crate::metric::pixels_per_degree;
use crate::view::{Presentation, Sampling};
use serde::{Deserialize, Serialize};

/// Width of a bank card, in mm: ISO/IEC 7810, ID-1.
pub const CARD_WIDTH_MM: f64 = 85.60;

/// What a screen and an observer in front of it are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Display {
    /// Screen pixels to one image pixel.
    pub zoom: f64,
    /// Window, inversion, and the bits of grey that were drawn.
    pub presentation: Presentation,
    /// Screen pixels to a mm, if calibrated.
    pub calibration: Option<Calibration>,
    /// From the eye to the screen, if measured.
    pub distance_mm: Option<f64>,
    /// At most so many image pixels across and down are shown of an image, its middle.
    #[serde(default)]
    pub part: Option<[u32; 2]>,
    /// How enlarged pixels are drawn.
    #[serde(default)]
    pub sampling: Option<Sampling>,
    /// The bits of grey that the screen is said to have; what was drawn may be fewer.
    #[serde(default)]
    pub screen_bits: Option<u8>,
}

impl Default for Display {
    /// One to one, the whole range, 8 bits, nothing measured.
    fn default() -> Self {
        Self {
            zoom: 1.0,
            presentation: Presentation::default(),
            calibration: None,
            distance_mm: None,
            part: None,
            sampling: None,
            screen_bits: None,
        }
    }
}

impl Display {
    /// Image pixels in one degree of visual angle; none unless the screen is calibrated and the distance measured.
    pub fn pixels_per_degree(&self) -> Option<f64> {
        let (calibration, distance) = (self.calibration?, self.distance_mm?);
        Some(calibration.pixels_per_degree(distance) / self.zoom)
    }
}

/// How large a screen's pixels are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Screen pixels to a mm.
    pub pixels_per_mm: f64,
}

/// The card was not measured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("a bank card of {0} pixels is no screen's: it is {CARD_WIDTH_MM} mm wide, 150 to 4000 pixels on any screen")]
pub struct CalibrationError(f64);

impl Calibration {
    /// From the width, in screen pixels, of a rectangle made as wide as a bank card held against the screen.
    ///
    /// # Errors
    /// If no screen has so few or so many pixels.
    pub fn from_card(pixels: f64) -> Result<Self, CalibrationError> {
        if !(150.0..=4000.0).contains(&pixels) {
            return Err(CalibrationError(pixels));
        }
        Ok(Self { pixels_per_mm: pixels / CARD_WIDTH_MM })
    }

    /// Screen pixels in one degree of visual angle, at `distance_mm`.
    pub fn pixels_per_degree(&self, distance_mm: f64) -> f64 {
        pixels_per_degree(distance_mm / 1000.0, self.pixels_per_mm * 1000.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_gives_pixels_per_degree() {
        // A monitor of 96 pixels to the inch, at 60 cm: 0.0105 m a degree, 39.58 pixels.
        let calibration = Calibration::from_card(96.0 * CARD_WIDTH_MM / 25.4).unwrap();
        assert!((calibration.pixels_per_mm - 96.0 / 25.4).abs() < 1e-12);
        assert!((calibration.pixels_per_degree(600.0) - 39.58).abs() < 0.01);
        let display = Display { zoom: 2.0, calibration: Some(calibration), ..Display::default() };
        assert_eq!(display.pixels_per_degree(), None);
        let measured = Display { distance_mm: Some(600.0), ..display };
        assert!((measured.pixels_per_degree().unwrap() - 39.58 / 2.0).abs() < 0.01);
        for pixels in [0.0, 149.0, 1e6, f64::NAN] {
            assert!(Calibration::from_card(pixels).is_err(), "{pixels}");
        }
    }
}
