//! The two images that every perceptual metric compares, checked once.

use super::plane::Plane;

/// An original and its adversarial image, `[channels, height, width]` each, in units of the bounds ([0, 1]).
///
/// All values are finite. Values out of [0, 1] are not refused: metrics take them as they are, except where they say so.
#[derive(Clone, Copy, Debug)]
pub struct ImagePair<'a> {
    original: &'a [f32],
    adversarial: &'a [f32],
    shape: [usize; 3],
}

/// Why two images cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// An array does not hold what its shape says, or the shape is empty.
    #[error("an image of {shape:?} (channels, height, width) cannot have {found} values")]
    Size {
        /// Channels, height and width.
        shape: [usize; 3],
        /// Length of the array.
        found: usize,
    },
    /// NaN or infinity in an image.
    #[error("the image has values that are not finite")]
    NotFinite,
    /// The metric's window does not fit.
    #[error("{metric} needs images of at least {least}×{least} pixels, these are {height}×{width}")]
    TooSmall {
        /// The metric's name.
        metric: &'static str,
        /// Fewest pixels along each side.
        least: usize,
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },
    /// A metric of colours met an image that is neither grey nor RGB.
    #[error("{metric} is defined for 1 channel (grey) or 3 (RGB), not {channels}")]
    Channels {
        /// The metric's name.
        metric: &'static str,
        /// Number of channels.
        channels: usize,
    },
    /// FLIP's viewing distance is out of range.
    #[error("FLIP needs 1 to 1000 pixels per degree of visual angle")]
    PixelsPerDegree,
}

/// A metric's value, and where in the image it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricMap {
    /// The metric of the whole image.
    pub value: f64,
    /// Pixels down.
    pub height: usize,
    /// Pixels across.
    pub width: usize,
    /// The metric at each pixel, `[height, width]`.
    pub map: Vec<f32>,
}

impl MetricMap {
    pub(super) fn new(value: f64, map: &Plane) -> Self {
        let values = map.values.iter().map(|&v| v as f32).collect();
        Self { value, height: map.height, width: map.width, map: values }
    }

    /// A round number for the end of its colour bar: not below the value under which all but a thousandth of the pixels lie.
    pub fn colour_end(&self) -> f32 {
        round_up(high(&self.map))
    }
}

/// The value below which all but a thousandth of the pixels lie.
fn high(map: &[f32]) -> f32 {
    let mut values: Vec<f32> = map.iter().copied().filter(|v| v.is_finite()).collect();
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let at = (last as f64 * 0.999) as usize;
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

/// A round number that is not below `value`: the end of a colour bar.
fn round_up(value: f32) -> f32 {
    if value.is_nan() || value <= 1e-6 {
        return 1.0;
    }
    let power = 10f32.powf(value.log10().floor());
    let end = [1.0, 2.0, 5.0, 10.0].into_iter().map(|f| f * power).find(|end| *end >= value * 0.999);
    end.unwrap_or(value)
}

impl<'a> ImagePair<'a> {
    /// Two images of one shape (channels, height, width).
    ///
    /// # Errors
    /// [`MetricError::Size`] where an array has not the shape's length or the shape is empty; [`MetricError::NotFinite`].
    pub fn new(original: &'a [f32], adversarial: &'a [f32], shape: [usize; 3]) -> Result<Self, MetricError> {
        let len = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side));
        for image in [original, adversarial] {
            if image.is_empty() || len != Some(image.len()) {
                return Err(MetricError::Size { shape, found: image.len() });
            }
            if !image.iter().all(|v| v.is_finite()) {
                return Err(MetricError::NotFinite);
            }
        }
        Ok(Self { original, adversarial, shape })
    }

    /// Channels, height and width.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The original's values.
    pub fn original(&self) -> &'a [f32] {
        self.original
    }

    /// The adversarial image's values.
    pub fn adversarial(&self) -> &'a [f32] {
        self.adversarial
    }

    /// Peak signal-to-noise ratio, −10·log₁₀(mean squared change) in dB, the peak being the width of the bounds.
    /// Infinite for identical images.
    pub fn psnr(&self) -> f64 {
        let squares = |(&a, &b): (&f32, &f32)| (f64::from(b) - f64::from(a)).powi(2);
        let sum: f64 = self.original.iter().zip(self.adversarial).map(squares).sum();
        -10.0 * (sum / self.original.len() as f64).log10()
    }

    /// Refuses images with a side below `least` pixels.
    pub(super) fn at_least(&self, metric: &'static str, least: usize) -> Result<(), MetricError> {
        let [_, height, width] = self.shape;
        if height < least || width < least {
            return Err(MetricError::TooSmall { metric, least, height, width });
        }
        Ok(())
    }

    /// Each channel of the original beside that of the adversarial image.
    pub(super) fn channels(&self) -> Vec<[Plane; 2]> {
        let [_, height, width] = self.shape;
        let plane = |values: &[f32]| Plane { height, width, values: values.iter().map(|&v| v.into()).collect() };
        let pairs = self.original.chunks(height * width).zip(self.adversarial.chunks(height * width));
        pairs.map(|(a, b)| [plane(a), plane(b)]).collect()
    }

    /// The original and the adversarial image as RGB, a grey one with its channel three times.
    pub(super) fn rgb(&self, metric: &'static str) -> Result<[Vec<[f64; 3]>; 2], MetricError> {
        let [channels, height, width] = self.shape;
        let pixels = height * width;
        // How far the next channel is.
        let step = match channels {
            1 => 0,
            3 => pixels,
            _ => return Err(MetricError::Channels { metric, channels }),
        };
        let rgb = |image: &[f32]| (0..pixels).map(|i| [0, 1, 2].map(|c| f64::from(image[i + c * step]))).collect();
        Ok([rgb(self.original), rgb(self.adversarial)])
    }

    /// What a metric of brightness looks at: luma, 0.299 R + 0.587 G + 0.114 B, of an RGB image; otherwise each channel
    /// by itself, whose results are to be averaged.
    pub(super) fn luma(&self) -> Vec<[Plane; 2]> {
        let channels = self.channels();
        match channels.as_slice() {
            [r, g, b] => vec![[0, 1].map(|i| Plane::weighted(&[&r[i], &g[i], &b[i]], [0.299, 0.587, 0.114]))],
            _ => channels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let image = [0.5f32; 12];
        assert!(ImagePair::new(&image, &image, [3, 2, 2]).is_ok());
        let size = |shape, found| Some(MetricError::Size { shape, found });
        assert_eq!(ImagePair::new(&image, &image[1..], [3, 2, 2]).err(), size([3, 2, 2], 11));
        assert_eq!(ImagePair::new(&image, &image, [1, 2, 2]).err(), size([1, 2, 2], 12));
        assert_eq!(ImagePair::new(&[], &[], [1, 0, 2]).err(), size([1, 0, 2], 0));
        assert_eq!(ImagePair::new(&image, &image, [usize::MAX, 2, 2]).err(), size([usize::MAX, 2, 2], 12));
        for broken in [f32::NAN, f32::INFINITY] {
            let mut other = image;
            other[7] = broken;
            assert_eq!(ImagePair::new(&image, &other, [3, 2, 2]).err(), Some(MetricError::NotFinite));
        }
    }

    #[test]
    fn colour_bars_end_at_round_numbers() {
        for (value, end) in [(0.013, 0.02), (0.2, 0.2), (0.21, 0.5), (0.9, 1.0), (0.0, 1.0)] {
            assert!((round_up(value) - end).abs() < 1e-6, "{value}: {}", round_up(value));
        }
    }

    #[test]
    fn psnr_by_hand() {
        let original = [0.5f32; 4];
        let tenth = ImagePair::new(&original, &[0.6, 0.4, 0.6, 0.4], [1, 2, 2]).unwrap().psnr();
        assert!((tenth - 20.0).abs() < 1e-5, "{tenth}");
        assert_eq!(ImagePair::new(&original, &original, [1, 2, 2]).unwrap().psnr(), f64::INFINITY);
    }
}
