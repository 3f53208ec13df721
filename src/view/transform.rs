//! From output pixels to image pixels.

use serde::{Deserialize, Serialize};

/// Image position = output position × `scale` + `offset`, in pixels, along the image's columns and then its rows. The
/// same for every linked view.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transform {
    /// Image pixels per output pixel, along columns and rows; below 1 the image is magnified, below 0 it is flipped. They
    /// differ where pixels are not square.
    pub scale: [f32; 2],
    /// The image position of the output's top-left corner, along columns and rows.
    pub offset: [f32; 2],
    /// The image's columns run down the output, its rows across.
    pub transposed: bool,
}

/// Pixels longer than this many times their width are shown as if they were not: a header may say anything.
pub const MOST_STRETCH: f32 = 40.0;

/// Width and height of a pixel, the smaller one 1, from the distances in mm between rows and between columns, where known.
pub fn pixel_shape(spacing: Option<[f32; 2]>) -> [f32; 2] {
    match spacing {
        Some([rows, columns]) if rows > 0.0 && columns > 0.0 && (rows / columns).is_finite() => {
            let ratio = (rows / columns).clamp(1.0 / MOST_STRETCH, MOST_STRETCH);
            // Rounding in a header is no reason to resample.
            if (ratio - 1.0).abs() < 1e-3 { [1.0; 2] } else { [1.0, ratio].map(|side| side / ratio.min(1.0)) }
        }
        _ => [1.0; 2],
    }
}

impl Transform {
    /// One image pixel per output pixel, from the top-left corner.
    pub const IDENTITY: Self = Self::new(1.0, [0.0, 0.0]);

    /// `scale` image pixels per output pixel along both axes; the output's corner is at `offset`.
    pub const fn new(scale: f32, offset: [f32; 2]) -> Self {
        Self { scale: [scale; 2], offset, transposed: false }
    }

    /// The whole image, as large as it fits and in the middle, of `image` `[width, height]` in an output of `size`
    /// `[width, height]`.
    pub fn fit(image: [usize; 2], size: [usize; 2]) -> Self {
        let ratio = |i: usize| image[i].max(1) as f32 / size[i].max(1) as f32;
        Self::centred(image, size, ratio(0).max(ratio(1)))
    }

    /// The image at `zoom` output pixels per image pixel, its middle in the middle.
    pub fn with_zoom(image: [usize; 2], size: [usize; 2], zoom: f32) -> Self {
        Self::centred(image, size, 1.0 / zoom)
    }

    /// Margins are whole output pixels, so that no image border runs through an output pixel's centre.
    fn centred(image: [usize; 2], size: [usize; 2], scale: f32) -> Self {
        let offset = |i: usize| -((size[i] as f32 - image[i] as f32 / scale) / 2.0).round() * scale;
        Self::new(scale, [offset(0), offset(1)])
    }

    /// Output pixels per image pixel, along the axis on which that is less.
    pub fn zoom(self) -> f32 {
        1.0 / self.scale[0].abs().max(self.scale[1].abs())
    }

    /// The output's axis that the image's axis lies along, and the other way round.
    fn arranged(self, [a, b]: [f32; 2]) -> [f32; 2] {
        if self.transposed { [b, a] } else { [a, b] }
    }

    /// The image position of an output position.
    pub fn image_from_output(self, at: [f32; 2]) -> [f32; 2] {
        let at = self.arranged(at);
        [0, 1].map(|i| at[i] * self.scale[i] + self.offset[i])
    }

    /// The output position of an image position.
    pub fn output_from_image(self, at: [f32; 2]) -> [f32; 2] {
        self.arranged([0, 1].map(|i| (at[i] - self.offset[i]) / self.scale[i]))
    }

    /// Magnified by `factor`; what is at the output position `at` stays there.
    #[must_use]
    pub fn zoomed_at(self, at: [f32; 2], factor: f32) -> Self {
        let (fixed, at) = (self.image_from_output(at), self.arranged(at));
        let scale = self.scale.map(|scale| scale / factor);
        Self { scale, offset: [0, 1].map(|i| fixed[i] - at[i] * scale[i]), ..self }
    }

    /// Moved so that the image follows a pointer that moved by `by` output pixels.
    #[must_use]
    pub fn panned(self, by: [f32; 2]) -> Self {
        let by = self.arranged(by);
        Self { offset: [0, 1].map(|i| self.offset[i] - by[i] * self.scale[i]), ..self }
    }

    /// Whether every number is finite and no scale is 0.
    pub fn is_valid(self) -> bool {
        self.scale.iter().all(|v| v.is_finite() && *v != 0.0) && self.offset.iter().all(|v| v.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fitted_image_touches_two_opposite_borders() {
        let t = Transform::fit([512, 256], [400, 400]);
        assert_eq!(t.output_from_image([0.0, 0.0]), [0.0, 100.0]);
        assert_eq!(t.output_from_image([512.0, 256.0]), [400.0, 300.0]);
    }

    #[test]
    fn zooming_keeps_the_point_under_the_pointer() {
        let t = Transform::fit([512, 512], [300, 200]).zoomed_at([120.0, 50.0], 3.7);
        let before = Transform::fit([512, 512], [300, 200]).image_from_output([120.0, 50.0]);
        let after = t.image_from_output([120.0, 50.0]);
        assert!((before[0] - after[0]).abs() < 1e-3 && (before[1] - after[1]).abs() < 1e-3);
        assert!((t.panned([10.0, 0.0]).output_from_image(after)[0] - 130.0).abs() < 1e-3);
    }

    #[test]
    fn flipped_and_transposed_positions_are_inverse() {
        let t = Transform { scale: [-0.5, 0.25], offset: [60.0, 3.0], transposed: true };
        let at = t.image_from_output([12.0, 20.0]);
        assert_eq!(at, [50.0, 6.0]);
        assert_eq!(t.output_from_image(at), [12.0, 20.0]);
        let zoomed = t.zoomed_at([12.0, 20.0], 2.0);
        assert_eq!((zoomed.image_from_output([12.0, 20.0]), zoomed.scale), (at, [-0.25, 0.125]));
        assert_eq!(t.panned([7.0, -2.0]).output_from_image(at), [19.0, 18.0]);
        assert_eq!(t.zoom(), 2.0);
    }
}
