//! From output pixels to image pixels.

use serde::{Deserialize, Serialize};

/// Image position = output position × `scale` + `offset`, in pixels, x then y. The same for every linked view.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transform {
    /// Image pixels per output pixel; positive. Below 1 the image is magnified.
    pub scale: f32,
    /// The image position of the output's top-left corner, x then y.
    pub offset: [f32; 2],
}

impl Transform {
    /// One image pixel per output pixel, from the top-left corner.
    pub const IDENTITY: Self = Self { scale: 1.0, offset: [0.0, 0.0] };

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
        Self { scale, offset: [offset(0), offset(1)] }
    }

    /// Output pixels per image pixel.
    pub fn zoom(self) -> f32 {
        1.0 / self.scale
    }

    /// The image position of an output position.
    pub fn image_from_output(self, at: [f32; 2]) -> [f32; 2] {
        [at[0] * self.scale + self.offset[0], at[1] * self.scale + self.offset[1]]
    }

    /// The output position of an image position.
    pub fn output_from_image(self, at: [f32; 2]) -> [f32; 2] {
        [(at[0] - self.offset[0]) / self.scale, (at[1] - self.offset[1]) / self.scale]
    }

    /// Magnified by `factor`; what is at the output position `at` stays there.
    #[must_use]
    pub fn zoomed_at(self, at: [f32; 2], factor: f32) -> Self {
        let fixed = self.image_from_output(at);
        let scale = self.scale / factor;
        Self { scale, offset: [fixed[0] - at[0] * scale, fixed[1] - at[1] * scale] }
    }

    /// Moved so that the image follows a pointer that moved by `by` output pixels.
    #[must_use]
    pub fn panned(self, by: [f32; 2]) -> Self {
        Self { offset: [self.offset[0] - by[0] * self.scale, self.offset[1] - by[1] * self.scale], ..self }
    }

    /// Whether every number is finite and the scale positive.
    pub fn is_valid(self) -> bool {
        self.scale.is_finite() && self.scale > 0.0 && self.offset.iter().all(|v| v.is_finite())
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
}
