//! What a person does with the pointer on the pictures beside zoom and pan, and what that leaves on them.

use crate::data::{Axis, Region, Shape};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What dragging with the primary button does on a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tool {
    /// Moves the pictures.
    #[default]
    Pan,
    /// Measures a distance.
    Ruler,
    /// Draws a region between two corners.
    Draw(Shape),
    /// Paints a region.
    Brush,
    /// Takes away what is under the pointer from the region.
    Eraser,
}

impl Tool {
    /// All of them, in the order of the toolbar, with their names and what they do.
    pub const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Pan, "Pan", "Drag moves the pictures. Esc"),
        (Self::Ruler, "Ruler", "Drag measures a distance, in mm where the file tells it, else in pixels."),
        (
            Self::Draw(Shape::Rectangle),
            "Rectangle",
            "Drag draws a region of interest. With Shift it is added, with Alt taken away.",
        ),
        (
            Self::Draw(Shape::Ellipse),
            "Ellipse",
            "Drag draws a round region of interest. With Shift it is added, with Alt taken away.",
        ),
        (Self::Brush, "Brush", "Drag paints a region of interest; with Alt it erases. [ and ] change the size."),
        (Self::Eraser, "Eraser", "Drag takes pixels out of the region of interest. [ and ] change the size."),
    ];

    /// Whether it has a size.
    pub fn paints(self) -> bool {
        matches!(self, Self::Brush | Self::Eraser)
    }
}

/// What is drawn on the pictures. Part of what can be undone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// The region of interest, of the image's size.
    pub region: Option<Region>,
    /// The attack changes the region only.
    pub confine: bool,
    /// The two ends of the ruler (x, y in image pixels).
    pub ruler: Option<[[f32; 2]; 2]>,
}

impl Marks {
    /// What the attack is confined to, if it is.
    pub fn confined_to(&self) -> Option<&Region> {
        self.region.as_ref().filter(|region| self.confine && !region.is_empty())
    }
}

/// What was drawn on the images of a file, in one plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptMarks {
    /// The file; none for what was made in memory, which is not remembered.
    pub path: Option<PathBuf>,
    /// The plane.
    pub axis: Axis,
    /// The marks.
    pub marks: Marks,
}

/// What was drawn on images that were open, the last one first.
#[derive(Clone, Debug, Default)]
pub struct MarksOf(Vec<KeptMarks>);

/// So many are remembered.
const MOST_KEPT: usize = 32;

impl MarksOf {
    /// Those that a session before left.
    pub fn new(kept: Vec<KeptMarks>) -> Self {
        Self(kept)
    }

    /// What was drawn on `path`, in the plane of `axis`.
    pub fn get(&self, path: Option<&Path>, axis: Axis) -> Marks {
        let path = absolute(path);
        let kept = self.0.iter().find(|kept| (&kept.path, kept.axis) == (&path, axis));
        kept.map(|kept| kept.marks.clone()).unwrap_or_default()
    }

    /// Keeps `marks`; nothing drawn is nothing to keep.
    pub fn keep(&mut self, path: Option<&Path>, axis: Axis, marks: Marks) {
        let path = absolute(path);
        self.0.retain(|kept| (&kept.path, kept.axis) != (&path, axis));
        if marks != Marks::default() {
            self.0.insert(0, KeptMarks { path, axis, marks });
        }
        self.0.truncate(MOST_KEPT);
    }

    /// What a next session is to know.
    pub fn of_files(self) -> Vec<KeptMarks> {
        self.0.into_iter().filter(|kept| kept.path.is_some()).collect()
    }
}

/// The same file whatever folder the program is started in.
fn absolute(path: Option<&Path>) -> Option<PathBuf> {
    path.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

/// The length of a line between two image points: in mm where the distances of rows and columns are known, else in pixels.
pub fn length_text([a, b]: [[f32; 2]; 2], spacing: Option<[f32; 2]>) -> String {
    let [dx, dy] = [b[0] - a[0], b[1] - a[1]];
    match spacing {
        Some([rows, columns]) => format!("{:.1} mm", (dx * columns).hypot(dy * rows)),
        None => format!("{:.1} px", dx.hypot(dy)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_follow_the_spacing_of_rows_and_columns() {
        let line = [[10.0, 20.0], [13.0, 24.0]];
        assert_eq!(length_text(line, None), "5.0 px");
        assert_eq!(length_text(line, Some([0.75, 1.0])), "4.2 mm");
        assert_eq!(length_text(line, Some([2.0, 0.0001])), "8.0 mm");
    }

    #[test]
    fn marks_are_kept_by_file_and_plane() {
        let marks = |x: f32| Marks { ruler: Some([[x, 0.0], [1.0, 1.0]]), ..Marks::default() };
        let mut kept = MarksOf::default();
        let (a, b) = (Some(Path::new("/a.nii")), Some(Path::new("/b.nii")));
        kept.keep(a, Axis::Slices, marks(1.0));
        kept.keep(a, Axis::Rows, marks(2.0));
        kept.keep(None, Axis::Slices, marks(3.0));
        kept.keep(b, Axis::Slices, Marks::default());
        assert_eq!((kept.get(a, Axis::Slices), kept.get(a, Axis::Rows)), (marks(1.0), marks(2.0)));
        assert_eq!((kept.get(None, Axis::Slices), kept.get(b, Axis::Slices)), (marks(3.0), Marks::default()));
        kept.keep(a, Axis::Rows, Marks::default());
        let text = serde_json::to_string(&kept.clone().of_files()).unwrap();
        let again = MarksOf::new(serde_json::from_str(&text).unwrap());
        assert_eq!((again.get(a, Axis::Slices), again.get(a, Axis::Rows)), (marks(1.0), Marks::default()));
        assert_eq!(again.get(None, Axis::Slices), Marks::default(), "it was in no file");
        (0..40).for_each(|i| kept.keep(Some(Path::new(&format!("/{i}"))), Axis::Slices, marks(0.0)));
        assert_eq!(kept.of_files().len(), MOST_KEPT);
    }

    #[test]
    fn only_a_region_with_pixels_confines() {
        let mut marks = Marks { region: Some(Region::none(4, 4)), confine: true, ruler: None };
        assert_eq!(marks.confined_to(), None);
        marks.region = Some(Region::none(4, 4).inverted());
        assert!(marks.confined_to().is_some());
        marks.confine = false;
        assert_eq!(marks.confined_to(), None);
    }
}
