//! A region of interest: some pixels of an image, drawn by a person or read from a mask. Plain host memory.

use super::{DataError, LabelStack};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Some pixels of an image. Cheap to clone; every change makes another region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Runs", try_from = "Runs")]
pub struct Region {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Whether each pixel belongs to it, row-major.
    inside: Arc<[bool]>,
}

/// A region as text: how many pixels follow one another outside, then inside, then outside, row-major.
#[derive(Serialize, Deserialize)]
struct Runs {
    height: usize,
    width: usize,
    runs: String,
}

impl From<Region> for Runs {
    fn from(Region { height, width, inside }: Region) -> Self {
        let (mut lengths, mut now, mut length) = (Vec::new(), false, 0usize);
        for &pixel in inside.iter() {
            if pixel != now {
                lengths.push(length.to_string());
                (now, length) = (pixel, 0);
            }
            length += 1;
        }
        // What is left of the image lies outside.
        if now {
            lengths.push(length.to_string());
        }
        Self { height, width, runs: lengths.join(" ") }
    }
}

impl TryFrom<Runs> for Region {
    type Error = String;

    fn try_from(Runs { height, width, runs }: Runs) -> Result<Self, String> {
        let none = || format!("is no region of {width} × {height} pixels: {runs}");
        let pixels = height.checked_mul(width).filter(|&pixels| pixels <= MOST_PIXELS).ok_or_else(none)?;
        let mut inside = vec![false; pixels];
        let (mut at, mut now) = (0usize, false);
        for length in runs.split_whitespace() {
            let length: usize = length.parse().map_err(|_| none())?;
            let end = at.checked_add(length).ok_or_else(none)?;
            inside.get_mut(at..end).ok_or_else(none)?.fill(now);
            (at, now) = (end, !now);
        }
        Ok(Self { height, width, inside: inside.into() })
    }
}

/// No region that is read has more pixels.
const MOST_PIXELS: usize = 1 << 28;

/// A shape that is drawn between two corners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A rectangle.
    Rectangle,
    /// The ellipse that touches the rectangle's sides.
    Ellipse,
}

impl Region {
    /// Of an image of `height` rows and `width` columns; `inside(column, row)` says which pixels.
    pub fn new(height: usize, width: usize, inside: impl Fn(usize, usize) -> bool) -> Self {
        let inside = (0..height * width).map(|i| inside(i % width, i / width)).collect();
        Self { height, width, inside }
    }

    /// No pixel at all.
    pub fn none(height: usize, width: usize) -> Self {
        Self::new(height, width, |_, _| false)
    }

    /// The pixels whose centres lie in a shape between two corners (x, y in pixels from the image's top left corner).
    pub fn shape(height: usize, width: usize, shape: Shape, [a, b]: [[f32; 2]; 2]) -> Self {
        let middle = [0, 1].map(|i| (a[i] + b[i]) / 2.0);
        let half = [0, 1].map(|i| (a[i] - b[i]).abs() / 2.0);
        Self::new(height, width, |x, y| {
            let [u, v] = [(x as f32 + 0.5 - middle[0]) / half[0], (y as f32 + 0.5 - middle[1]) / half[1]];
            match shape {
                Shape::Rectangle => u.abs() <= 1.0 && v.abs() <= 1.0,
                Shape::Ellipse => u * u + v * v <= 1.0,
            }
        })
    }

    /// With the pixels whose centres are within `radius` of the line from `from` to `to` added, or taken away; the pixel
    /// under a brush thinner than itself counts.
    #[must_use]
    pub fn brushed(&self, from: [f32; 2], to: [f32; 2], radius: f32, erase: bool) -> Self {
        let mut pixels: Vec<bool> = self.inside.to_vec();
        let radius = radius.max(0.5);
        let range = |i: usize, length: usize| {
            let low = (from[i].min(to[i]) - radius).floor().max(0.0) as usize;
            low.min(length)..((from[i].max(to[i]) + radius).ceil().max(0.0) as usize).min(length)
        };
        let along = [to[0] - from[0], to[1] - from[1]];
        let length = along[0] * along[0] + along[1] * along[1];
        for y in range(1, self.height) {
            for x in range(0, self.width) {
                let at = [x as f32 + 0.5 - from[0], y as f32 + 0.5 - from[1]];
                let t = ((at[0] * along[0] + at[1] * along[1]) / length.max(1e-12)).clamp(0.0, 1.0);
                let (dx, dy) = (at[0] - t * along[0], at[1] - t * along[1]);
                if dx * dx + dy * dy <= radius * radius {
                    pixels[y * self.width + x] = !erase;
                }
            }
        }
        for [x, y] in [from, to] {
            if x >= 0.0 && y >= 0.0 && (x as usize) < self.width && (y as usize) < self.height {
                pixels[y as usize * self.width + x as usize] = !erase;
            }
        }
        Self { inside: pixels.into(), ..*self }
    }

    /// The pixels of either.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        self.combined(other, |a, b| a || b)
    }

    /// The pixels that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.combined(other, |a, b| a && !b)
    }

    /// All the other pixels.
    #[must_use]
    pub fn inverted(&self) -> Self {
        Self { inside: self.inside.iter().map(|inside| !inside).collect(), ..*self }
    }

    fn combined(&self, other: &Self, keep: impl Fn(bool, bool) -> bool) -> Self {
        if self.size() != other.size() {
            return self.clone();
        }
        Self { inside: self.inside.iter().zip(other.inside.iter()).map(|(&a, &b)| keep(a, b)).collect(), ..*self }
    }

    /// Rows and columns of the image that it belongs to.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Whether a pixel (column, row) belongs to it.
    pub fn contains(&self, [x, y]: [usize; 2]) -> bool {
        x < self.width && y < self.height && self.inside[y * self.width + x]
    }

    /// How many pixels belong to it.
    pub fn count(&self) -> usize {
        self.inside.iter().filter(|inside| **inside).count()
    }

    /// Whether no pixel belongs to it.
    pub fn is_empty(&self) -> bool {
        !self.inside.iter().any(|inside| *inside)
    }

    /// 1 inside, 0 outside, row-major.
    pub fn weights(&self) -> Vec<f32> {
        self.inside.iter().map(|&inside| f32::from(u8::from(inside))).collect()
    }

    /// Whether both share their memory: the same region without a look at its pixels.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inside, &other.inside)
    }

    /// Left, top, width and height of the smallest rectangle around it; `None` if it is empty.
    pub fn rectangle(&self) -> Option<[usize; 4]> {
        let rows = self.inside.chunks_exact(self.width.max(1));
        let full: Vec<usize> = rows.enumerate().filter(|(_, row)| row.contains(&true)).map(|(y, _)| y).collect();
        let (&top, &bottom) = (full.first()?, full.last()?);
        let full = |x: &usize| (top..=bottom).any(|y| self.contains([*x, y]));
        let (left, right) = ((0..self.width).find(full)?, (0..self.width).rev().find(full)?);
        Some([left, top, right + 1 - left, bottom + 1 - top])
    }

    /// The lines around it, along pixel borders and each as long as it is straight: pairs of (x, y) in pixels.
    pub fn outline(&self) -> Vec<[[f32; 2]; 2]> {
        let mut lines = Vec::new();
        let mut runs = |lines_of: usize, along: usize, differs: &dyn Fn(usize, usize) -> bool, across: bool| {
            for line in 0..=lines_of {
                let mut start = None;
                for at in 0..=along {
                    let border = at < along && differs(line, at);
                    if border && start.is_none() {
                        start = Some(at);
                    } else if let Some(from) = start.filter(|_| !border) {
                        start = None;
                        let ends = [from, at].map(|at| [at as f32, line as f32]);
                        lines.push(if across { ends } else { ends.map(|[a, b]| [b, a]) });
                    }
                }
            }
        };
        let at = |x: usize, y: usize| self.contains([x, y]);
        // Past the first row or column `wrapping_sub` is outside of everything.
        runs(self.height, self.width, &|y, x| at(x, y) != at(x, y.wrapping_sub(1)), true);
        runs(self.width, self.height, &|x, y| at(x, y) != at(x.wrapping_sub(1), y), false);
        lines
    }

    /// For people: `rectangle of 30 × 40 px from (10, 20)`, or how many pixels it is of.
    pub fn describe(&self) -> String {
        let Some([left, top, width, height]) = self.rectangle() else { return "no pixel".to_owned() };
        let count = self.count();
        if count == width * height {
            return format!("rectangle of {width} × {height} px from ({left}, {top})");
        }
        format!("region of {count} px within {width} × {height} px from ({left}, {top})")
    }

    /// The region that a person types: `x,y,w,h` in pixels, or the file of a mask of the image's size, in which everything
    /// but 0 is inside.
    ///
    /// # Errors
    /// If it is neither, or holds no pixel of an image of `height` rows and `width` columns.
    pub fn parse(text: &str, height: usize, width: usize) -> Result<Self, DataError> {
        let numbers: Vec<Option<usize>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
        let hint = format!("Give x,y,w,h in pixels of the {width} × {height} image, or a mask of that size");
        let region = if let [Some(x), Some(y), Some(w), Some(h)] = numbers[..] {
            let (right, bottom) = (x.saturating_add(w), y.saturating_add(h));
            Self::new(height, width, |column, row| (x..right).contains(&column) && (y..bottom).contains(&row))
        } else {
            let path = Path::new(text);
            let mask = LabelStack::open(path, &AtomicBool::new(false))?;
            if (mask.slices, mask.height, mask.width) != (1, height, width) {
                let cause = format!("has {} × {} pixels in {} slices", mask.width, mask.height, mask.slices);
                return Err(DataError::new(path, cause, hint));
            }
            let values = mask.slice_values(0).unwrap_or_default();
            Self { height, width, inside: values.iter().map(|&value| value != 0).collect() }
        };
        if region.is_empty() {
            return Err(DataError::new(text, "holds no pixel of the image", hint));
        }
        Ok(region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_come_back_from_text() {
        let ellipse = Region::shape(20, 30, Shape::Ellipse, [[4.0, 5.0], [22.0, 20.0]]);
        for region in [ellipse.clone(), ellipse.inverted(), Region::none(3, 4), Region::none(3, 4).inverted()] {
            let text = serde_json::to_string(&region).unwrap();
            assert_eq!(serde_json::from_str::<Region>(&text).unwrap(), region, "{text}");
        }
        let corner = Region::new(2, 3, |x, y| (x, y) == (2, 1));
        assert_eq!(serde_json::to_string(&corner).unwrap(), r#"{"height":2,"width":3,"runs":"5 1"}"#);
        for wrong in ["5 2", "1 x", "18446744073709551615 7"] {
            let text = format!(r#"{{"height":2,"width":3,"runs":"{wrong}"}}"#);
            assert!(serde_json::from_str::<Region>(&text).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Region>(r#"{"height":99999999,"width":99999999,"runs":""}"#).is_err());
    }

    #[test]
    fn shapes_hold_the_pixels_whose_centres_they_hold() {
        let rectangle = Region::shape(20, 30, Shape::Rectangle, [[12.0, 15.0], [4.0, 5.0]]);
        assert_eq!((rectangle.rectangle(), rectangle.count()), (Some([4, 5, 8, 10]), 80));
        let ellipse = Region::shape(200, 300, Shape::Ellipse, [[40.0, 50.0], [240.0, 150.0]]);
        assert_eq!(ellipse.rectangle(), Some([40, 50, 200, 100]));
        let area = std::f64::consts::PI * 100.0 * 50.0;
        assert!((ellipse.count() as f64 / area - 1.0).abs() < 0.005);
        assert!(Region::shape(5, 5, Shape::Rectangle, [[1.0, 1.0]; 2]).is_empty());
    }

    #[test]
    fn brush_and_eraser_are_round_and_as_wide_as_they_say() {
        let none = Region::none(40, 60);
        let line = none.brushed([10.5, 20.5], [40.5, 20.5], 5.0, false);
        assert_eq!(line.rectangle(), Some([5, 15, 41, 11]));
        assert!(!line.contains([6, 16]) && line.contains([6, 20]));
        let erased = line.brushed([25.5, 20.5], [25.5, 20.5], 2.0, true);
        assert!(!erased.contains([25, 20]) && erased.contains([25, 17]) && erased.count() < line.count());
        // The thinnest brush paints the pixel under it; outside of the image is nothing.
        assert_eq!(none.brushed([3.9, 3.9], [3.9, 3.9], 0.1, false).count(), 1);
        assert!(none.brushed([-30.0, 900.0], [-20.0, 990.0], 4.0, false).is_empty());
    }

    #[test]
    fn regions_combine() {
        let square = |a: f32, b: f32| Region::shape(10, 10, Shape::Rectangle, [[a, a], [b, b]]);
        let (a, b) = (square(0.0, 6.0), square(4.0, 10.0));
        assert_eq!((a.with(&b).count(), a.without(&b).count(), a.inverted().count()), (68, 32, 64));
        assert_eq!(a.with(&Region::none(3, 3)), a);
        assert!(a.is(&a.clone()) && !a.is(&square(0.0, 6.0)));
    }

    #[test]
    fn the_outline_is_closed_and_straight_runs_are_one_line() {
        let square = Region::shape(10, 10, Shape::Rectangle, [[2.0, 3.0], [7.0, 9.0]]);
        let mut lines = square.outline();
        lines.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let expected =
            [[[2.0, 3.0], [2.0, 9.0]], [[2.0, 3.0], [7.0, 3.0]], [[2.0, 9.0], [7.0, 9.0]], [[7.0, 3.0], [7.0, 9.0]]];
        assert_eq!(lines, expected);
        // A region that fills the image is outlined along its edges.
        assert_eq!(Region::none(4, 4).inverted().outline().len(), 4);
        let ellipse = Region::shape(50, 50, Shape::Ellipse, [[5.0, 5.0], [45.0, 35.0]]);
        let length: f32 = ellipse.outline().iter().map(|[a, b]| (a[0] - b[0]).abs() + (a[1] - b[1]).abs()).sum();
        assert_eq!(length, 2.0 * (40.0 + 30.0));
    }

    #[test]
    fn typed_regions_are_read_or_refused() {
        let region = Region::parse(" 2, 3,4,5 ", 10, 10).unwrap();
        assert_eq!(region.describe(), "rectangle of 4 × 5 px from (2, 3)");
        assert_eq!(Region::parse("8,8,100,100", 10, 10).unwrap().count(), 4);
        for bad in ["20,20,4,4", "1,1,0,5", "1,2,3", "-1,0,4,4", "nowhere.png"] {
            assert!(Region::parse(bad, 10, 10).is_err(), "{bad}");
        }
        let error = Region::parse("20,20,4,4", 10, 10).unwrap_err().to_string();
        assert!(error.contains("no pixel") && error.contains("x,y,w,h"), "{error}");
    }

    #[test]
    fn a_mask_is_a_region() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        let mut mask = image::GrayImage::new(6, 5);
        mask.put_pixel(4, 2, image::Luma([7]));
        mask.save(&path).unwrap();
        let region = Region::parse(path.to_str().unwrap(), 5, 6).unwrap();
        assert_eq!(region.rectangle(), Some([4, 2, 1, 1]));
        assert!(Region::parse(path.to_str().unwrap(), 6, 5).unwrap_err().to_string().contains("6 × 5 pixels"));
    }
}
