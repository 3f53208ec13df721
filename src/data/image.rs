//! One two-dimensional image in pixel units, the type it was stored in, and the bounds that scale it.

use super::Pixels;
use super::percentile::spread;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The interval of pixel values, in pixel units, that is scaled to `[0, 1]` for models, and to which every
/// adversarial image is clipped. Belongs to a case (`methods`: bounds and ε).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Scaled to 0.
    pub lower: f32,
    /// Scaled to 1; greater than `lower`.
    pub upper: f32,
}

impl Bounds {
    /// Bounds of 8-bit images, 0–255.
    pub const EIGHT_BIT: Self = Self { lower: 0.0, upper: 255.0 };

    /// `upper − lower`, in pixel units: ε as a fraction times this is ε in pixel units.
    pub fn width(self) -> f32 {
        self.upper - self.lower
    }

    /// The smallest interval that contains both.
    pub fn union(self, other: Self) -> Self {
        Self { lower: self.lower.min(other.lower), upper: self.upper.max(other.upper) }
    }

    /// These bounds, or for a constant image bounds with a width that can be divided by: upwards from the value by 1, or
    /// by a thousandth of the value if that is more.
    pub fn with_width(self) -> Self {
        // The reciprocal of a narrower width overflows.
        const NARROWEST: f32 = 1e-30;
        if self.width() >= NARROWEST {
            return self;
        }
        let step = (self.lower.abs() * 1e-3).max(1.0);
        let upper = self.lower + step;
        if upper.is_finite() { Self { upper, ..self } } else { Self { lower: self.lower - step, ..self } }
    }
}

/// How a pixel is stored in the file that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredType {
    /// Unsigned 8-bit integers.
    U8,
    /// Unsigned 16-bit integers.
    U16,
    /// Signed 16-bit integers, or 16-bit integers shifted by a whole number: CT in Hounsfield units.
    I16,
    /// 32-bit floats.
    F32,
}

impl StoredType {
    /// The distance between two neighbouring stored values in pixel units, or `None` for floats.
    pub fn step(self) -> Option<f32> {
        match self {
            Self::U8 | Self::U16 | Self::I16 => Some(1.0),
            Self::F32 => None,
        }
    }

    /// The name shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "8-bit",
            Self::U16 => "16-bit",
            Self::I16 => "signed 16-bit",
            Self::F32 => "32-bit float",
        }
    }
}

/// One image on the host: `[channels, height, width]`, row-major, in pixel units. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `channels × height × width` finite values.
    pub pixels: Arc<[f32]>,
}

impl Image {
    /// Wraps pixels, or `None` if their number does not fit the shape.
    pub fn new(channels: usize, height: usize, width: usize, pixels: impl Into<Arc<[f32]>>) -> Option<Self> {
        let pixels = pixels.into();
        (pixels.len() == channels * height * width).then_some(Self { channels, height, width, pixels })
    }

    /// The 0.5 and 99.5 percentile of all values, by nearest rank; `None` for an image without pixels.
    pub fn percentiles(&self) -> Option<Bounds> {
        spread(&Pixels::F32(self.pixels.clone())).map(|spread| spread.percentiles)
    }

    /// Smallest and largest pixel value; `None` for an image without pixels.
    pub fn range(&self) -> Option<Bounds> {
        let first = *self.pixels.first()?;
        let (lower, upper) = self.pixels.iter().fold((first, first), |(lo, hi), &v| (lo.min(v), hi.max(v)));
        Some(Bounds { lower, upper })
    }
}
