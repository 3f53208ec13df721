//! The three planes in which a volume can be sliced.

use serde::{Deserialize, Serialize};

/// The axis of a stored volume along which its slices follow one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// As the file stores them.
    #[default]
    Slices,
    /// One slice for each stored row: its rows are the stored slices, its columns the stored columns.
    Rows,
    /// One slice for each stored column: its rows are the stored slices, its columns the stored rows.
    Columns,
}

impl Axis {
    /// All of them; the plane of the stored slices is the first.
    pub const ALL: [Self; 3] = [Self::Slices, Self::Rows, Self::Columns];

    /// What belongs to stored slices, rows and columns, as it belongs to slices, rows and columns along this axis.
    pub fn arranged<T: Copy>(self, [slices, rows, columns]: [T; 3]) -> [T; 3] {
        match self {
            Self::Slices => [slices, rows, columns],
            Self::Rows => [rows, slices, columns],
            Self::Columns => [columns, slices, rows],
        }
    }

    /// The reverse of [`Self::arranged`].
    pub fn stored<T: Copy>(self, [slices, rows, columns]: [T; 3]) -> [T; 3] {
        match self {
            Self::Slices => [slices, rows, columns],
            Self::Rows => [rows, slices, columns],
            Self::Columns => [rows, columns, slices],
        }
    }

    /// The plane's name: anatomical where the sides of the patient are known (`axes` of the stored columns, rows and
    /// slices, of which the nearest count), else its number.
    pub fn title(self, axes: Option<[char; 3]>) -> &'static str {
        let along = axes.map(|[columns, rows, slices]| self.arranged([slices, rows, columns])[0]);
        match (along, self) {
            (Some('S' | 'I'), _) => "Axial",
            (Some('A' | 'P'), _) => "Coronal",
            (Some('R' | 'L'), _) => "Sagittal",
            (_, Self::Slices) => "Plane 1",
            (_, Self::Rows) => "Plane 2",
            (_, Self::Columns) => "Plane 3",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arranging_and_storing_are_inverse() {
        for axis in Axis::ALL {
            assert_eq!(axis.stored(axis.arranged([1, 2, 3])), [1, 2, 3]);
        }
    }

    #[test]
    fn planes_have_the_names_of_anatomy() {
        let titles = |axes| Axis::ALL.map(|axis| axis.title(axes));
        assert_eq!(titles(Some(['L', 'P', 'S'])), ["Axial", "Coronal", "Sagittal"]);
        assert_eq!(titles(Some(['P', 'I', 'R'])), ["Sagittal", "Axial", "Coronal"]);
        assert_eq!(titles(None), ["Plane 1", "Plane 2", "Plane 3"]);
    }
}
