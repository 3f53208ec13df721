//! What a person does with the pointer on the pictures beside zoom and pan, and what that leaves on them.

use crate::data::{Region, Shape};

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
#[derive(Clone, Debug, Default, PartialEq)]
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
    fn only_a_region_with_pixels_confines() {
        let mut marks = Marks { region: Some(Region::none(4, 4)), confine: true, ruler: None };
        assert_eq!(marks.confined_to(), None);
        marks.region = Some(Region::none(4, 4).inverted());
        assert!(marks.confined_to().is_some());
        marks.confine = false;
        assert_eq!(marks.confined_to(), None);
    }
}
