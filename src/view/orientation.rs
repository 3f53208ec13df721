//! Flips and quarter turns of a picture: of the view only, never of the data.

use serde::{Deserialize, Serialize};

/// How the image's columns and rows lie on the screen: one of the eight flips and quarter turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Orientation {
    /// Columns run down the screen and rows across it.
    pub transposed: bool,
    /// Columns run leftwards (or upwards, if transposed), and rows upwards (or leftwards).
    pub flipped: [bool; 2],
}

impl Orientation {
    /// Mirrored left to right on the screen.
    #[must_use]
    pub fn mirrored(self) -> Self {
        self.against(0)
    }

    /// Turned upside down on the screen, not rotated.
    #[must_use]
    pub fn upended(self) -> Self {
        self.against(1)
    }

    /// Turned by 90° clockwise on the screen.
    #[must_use]
    pub fn turned(self) -> Self {
        // What ran right runs down, what ran down runs left.
        let down = self.axis_along(1);
        let mut turned = self;
        turned.transposed = !self.transposed;
        turned.flipped[down] = !self.flipped[down];
        turned
    }

    fn against(mut self, screen: usize) -> Self {
        let axis = self.axis_along(screen);
        self.flipped[axis] = !self.flipped[axis];
        self
    }

    /// The image's axis (0 columns, 1 rows) that lies along the screen's axis (0 across, 1 down).
    fn axis_along(self, screen: usize) -> usize {
        if self.transposed { 1 - screen } else { screen }
    }

    /// Two numbers, of the image's columns and rows, as they lie across and down the screen; its own inverse.
    pub fn arranged<T: Copy>(self, [columns, rows]: [T; 2]) -> [T; 2] {
        if self.transposed { [rows, columns] } else { [columns, rows] }
    }

    /// Where a point of the image, in fractions of its width and height, lies in the picture, in fractions of that.
    pub fn picture_from_image(self, point: [f32; 2]) -> [f32; 2] {
        self.arranged([0, 1].map(|i| if self.flipped[i] { 1.0 - point[i] } else { point[i] }))
    }

    /// The reverse of [`Self::picture_from_image`].
    pub fn image_from_picture(self, point: [f32; 2]) -> [f32; 2] {
        let point = self.arranged(point);
        [0, 1].map(|i| if self.flipped[i] { 1.0 - point[i] } else { point[i] })
    }

    /// The orientation in which clinicians expect a slice whose columns, rows and slices run towards the sides `axes` of
    /// the patient: axial from the feet with anterior up, coronal from the front, sagittal from the left.
    pub fn radiological([columns, rows, slices]: [char; 3]) -> Self {
        let [right, down] = match slices {
            'S' | 'I' => ['L', 'P'],
            'A' | 'P' => ['L', 'I'],
            _ => ['P', 'I'],
        };
        let transposed = columns != right && columns != opposite(right);
        let [along_columns, along_rows] = if transposed { [down, right] } else { [right, down] };
        Self { transposed, flipped: [columns != along_columns, rows != along_rows] }
    }

    /// The sides of the patient at the left, right, top and bottom edge of the picture.
    pub fn edges(self, [columns, rows, _]: [char; 3]) -> [char; 4] {
        let towards = |axis: usize, letter: char| if self.flipped[axis] { opposite(letter) } else { letter };
        let [right, bottom] = self.arranged([towards(0, columns), towards(1, rows)]);
        [opposite(right), right, opposite(bottom), bottom]
    }
}

/// The other side of the patient.
fn opposite(side: char) -> char {
    match side {
        'L' => 'R',
        'R' => 'L',
        'A' => 'P',
        'P' => 'A',
        'S' => 'I',
        'I' => 'S',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Orientation; 8] = {
        let mut all = [Orientation { transposed: false, flipped: [false; 2] }; 8];
        let mut i = 0;
        while i < 8 {
            all[i] = Orientation { transposed: i & 1 == 1, flipped: [i & 2 == 2, i & 4 == 4] };
            i += 1;
        }
        all
    };

    #[test]
    fn flips_and_turns_move_points_as_their_names_say() {
        for orientation in ALL {
            let point = [0.2, 0.7];
            let [x, y] = orientation.picture_from_image(point);
            let near = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).abs() < 1e-6 && (a[1] - b[1]).abs() < 1e-6;
            assert!(near(orientation.image_from_picture([x, y]), point), "{orientation:?}");
            assert!(near(orientation.mirrored().picture_from_image(point), [1.0 - x, y]), "{orientation:?}");
            assert!(near(orientation.upended().picture_from_image(point), [x, 1.0 - y]), "{orientation:?}");
            assert!(near(orientation.turned().picture_from_image(point), [1.0 - y, x]), "{orientation:?}");
            assert_eq!(orientation.turned().turned().turned().turned(), orientation);
        }
    }

    #[test]
    fn clinicians_see_the_patient_from_the_feet_the_front_and_the_left() {
        let edges = |axes: &str| {
            let axes: Vec<char> = axes.chars().collect();
            let axes = [axes[0], axes[1], axes[2]];
            Orientation::radiological(axes).edges(axes).iter().collect::<String>()
        };
        for axes in ["RAS", "LPS", "ARI", "LAS"] {
            assert_eq!(edges(axes), "RLAP", "{axes}");
        }
        for axes in ["RSA", "ILP", "LIA"] {
            assert_eq!(edges(axes), "RLSI", "{axes}");
        }
        for axes in ["PSR", "ASL", "IAR"] {
            assert_eq!(edges(axes), "APSI", "{axes}");
        }
        // DICOM's own axial slices are shown as they are stored.
        assert_eq!(Orientation::radiological(['L', 'P', 'S']), Orientation::default());
    }

    #[test]
    fn letters_follow_the_view() {
        let axes = ['L', 'P', 'S'];
        let plain = Orientation::default();
        assert_eq!(plain.edges(axes), ['R', 'L', 'A', 'P']);
        assert_eq!(plain.mirrored().edges(axes), ['L', 'R', 'A', 'P']);
        assert_eq!(plain.upended().edges(axes), ['R', 'L', 'P', 'A']);
        // Clockwise: what was left is on top, what was at the bottom is on the left.
        assert_eq!(plain.turned().edges(axes), ['P', 'A', 'R', 'L']);
    }
}
