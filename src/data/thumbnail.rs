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

/// How an image is laid out on a screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placing {
    /// Width and height of a pixel; the smaller one is 1.
    pub pixel: [f32; 2],
    /// Columns run down, rows across.
    pub transposed: bool,
    /// Columns and rows run the other way.
    pub flipped: [bool; 2],
}

impl Default for Placing {
    fn default() -> Self {
        Self { pixel: [1.0; 2], transposed: false, flipped: [false; 2] }
    }
}

impl Thumbnail {
    /// Slice `slice` of `stack` in its first window, laid out by `placing`, at most `side` pixels wide and high; each pixel is
    /// the mean of those that it stands for. Smaller images of square pixels stay as they are. `None` past the last slice.
    pub fn new(stack: &Stack, slice: usize, side: usize, placing: Placing) -> Option<Self> {
        let image = stack.slice(slice)?;
        let shown = [image.width as f32 * placing.pixel[0], image.height as f32 * placing.pixel[1]];
        let scale = (side.max(1) as f32 / shown[0].max(shown[1])).min(1.0);
        let [width, height] = shown.map(|length| ((length * scale).round() as usize).max(1));
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
        Some(Self { width, height, rgba: rgba.into() }.placed(placing))
    }

    fn placed(self, Placing { transposed, flipped, .. }: Placing) -> Self {
        if !transposed && flipped == [false; 2] {
            return self;
        }
        let (width, height) = if transposed { (self.height, self.width) } else { (self.width, self.height) };
        let from = |i: usize| {
            let (x, y) = (i % width, i / width);
            let (x, y) = if transposed { (y, x) } else { (x, y) };
            let x = if flipped[0] { self.width - 1 - x } else { x };
            let y = if flipped[1] { self.height - 1 - y } else { y };
            &self.rgba[4 * (y * self.width + x)..][..4]
        };
        let rgba = (0..width * height).flat_map(from).copied().collect();
        Self { width, height, rgba }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pixels;
    use super::*;

    #[test]
    fn pixels_are_means_in_the_first_window() {
        let stack = Stack::new([1, 1, 2, 4], Pixels::U8([0, 100, 10, 20, 100, 200, 30, 40].into())).unwrap();
        let small = Thumbnail::new(&stack, 0, 2, Placing::default()).unwrap();
        assert_eq!((small.width, small.height), (2, 1));
        assert_eq!(&small.rgba[..], [100, 100, 100, 255, 25, 25, 25, 255]);
        let same = Thumbnail::new(&stack, 0, 64, Placing::default()).unwrap();
        assert_eq!((same.width, same.height, same.rgba[4]), (4, 2, 100));
        assert_eq!(Thumbnail::new(&stack, 1, 64, Placing::default()), None);
        let colour = Stack::new([1, 3, 1, 1], Pixels::U8([1, 2, 3].into())).unwrap();
        assert_eq!(&Thumbnail::new(&colour, 0, 64, Placing::default()).unwrap().rgba[..], [1, 2, 3, 255]);
    }

    #[test]
    fn pictures_lie_as_they_are_placed() {
        let stack = Stack::new([1, 1, 2, 3], Pixels::U8([1, 2, 3, 4, 5, 6].into())).unwrap();
        let greys = |placing| {
            let small = Thumbnail::new(&stack, 0, 64, placing).unwrap();
            (small.width, small.height, small.rgba.iter().step_by(4).copied().collect::<Vec<u8>>())
        };
        let plain = Placing::default();
        assert_eq!(greys(Placing { flipped: [true, true], ..plain }), (3, 2, vec![6, 5, 4, 3, 2, 1]));
        // Rows run across, and the other way.
        let turned = Placing { transposed: true, flipped: [false, true], ..plain };
        assert_eq!(greys(turned), (2, 3, vec![4, 1, 5, 2, 6, 3]));
        // Pixels twice as high as wide.
        assert_eq!(greys(Placing { pixel: [1.0, 2.0], ..plain }), (3, 4, vec![1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6]));
    }
}
