//! A small picture of a slice, for lists.

use super::Stack;
use std::sync::Arc;

/// A small picture of a slice as it is shown at first: 8-bit RGBA, row-major. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height × width × 4` values.
    pub rgba: Arc<[u8]>,
}

impl Thumbnail {
    /// Slice `slice` of `stack` in its first window, at most `side` pixels wide and high; each pixel is the mean of those
    /// that it stands for. Smaller images stay as they are. `None` past the last slice.
    pub fn new(stack: &Stack, slice: usize, side: usize) -> Option<Self> {
        let image = stack.slice(slice)?;
        let scale = (side.max(1) as f64 / image.width.max(image.height) as f64).min(1.0);
        let size = |length: usize| ((length as f64 * scale).round() as usize).max(1);
        let (width, height) = (size(image.width), size(image.height));
        let plane = image.width * image.height;
        let level = |value: f32| {
            let share = (value - stack.shown.lower) / stack.shown.width();
            (share.clamp(0.0, 1.0) * 255.0).round() as u8
        };
        let mut rgba = Vec::with_capacity(width * height * 4);
        for row in 0..height {
            let rows =
                row * image.height / height..((row + 1) * image.height / height).max(row * image.height / height + 1);
            for column in 0..width {
                let from = column * image.width / width;
                let columns = from..((column + 1) * image.width / width).max(from + 1);
                let mean = |channel: usize| {
                    let pixels = &image.pixels[channel * plane..][..plane];
                    let sum: f32 = rows.clone().flat_map(|y| &pixels[y * image.width..][columns.clone()]).sum();
                    level(sum / (rows.len() * columns.len()) as f32)
                };
                let red = mean(0);
                let colour = if image.channels == 3 { [red, mean(1), mean(2), 255] } else { [red, red, red, 255] };
                rgba.extend(colour);
            }
        }
        Some(Self { width, height, rgba: rgba.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pixels;
    use super::*;

    #[test]
    fn pixels_are_means_in_the_first_window() {
        let stack = Stack::new([1, 1, 2, 4], Pixels::U8([0, 100, 10, 20, 100, 200, 30, 40].into())).unwrap();
        let small = Thumbnail::new(&stack, 0, 2).unwrap();
        assert_eq!((small.width, small.height), (2, 1));
        assert_eq!(&small.rgba[..], [100, 100, 100, 255, 25, 25, 25, 255]);
        let same = Thumbnail::new(&stack, 0, 64).unwrap();
        assert_eq!((same.width, same.height, same.rgba[4]), (4, 2, 100));
        assert_eq!(Thumbnail::new(&stack, 1, 64), None);
        let colour = Stack::new([1, 3, 1, 1], Pixels::U8([1, 2, 3].into())).unwrap();
        assert_eq!(&Thumbnail::new(&colour, 0, 64).unwrap().rgba[..], [1, 2, 3, 255]);
    }
}
