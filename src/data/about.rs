//! What a file says of its pixels besides their values. Nothing in here tells who the patient is.

use super::ClassLabel;
use std::sync::Arc;

/// What a pixel value measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Grey levels, or something that the file does not say.
    #[default]
    Unknown,
    /// Hounsfield units: −1000 is air, 0 water.
    Hounsfield,
}

impl Unit {
    /// The sign shown behind a number: `HU`, or nothing.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Hounsfield => "HU",
        }
    }
}

/// The whole numbers that a file stores, and what they mean: `slope · number + intercept`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// The distance of neighbouring values, in pixel units; not 0.
    pub slope: f64,
    /// What the number 0 means.
    pub intercept: f64,
    /// The least number that the file's type holds.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

impl Grid {
    /// The number nearest to `value` that can be stored.
    pub fn number(self, value: f32) -> f64 {
        ((f64::from(value) - self.intercept) / self.slope).round().clamp(self.least, self.most)
    }

    /// What `number` means.
    pub fn value(self, number: f64) -> f32 {
        (self.slope * number + self.intercept) as f32
    }

    /// The value nearest to `value` that can be stored. Doing it twice changes nothing.
    pub fn round(self, value: f32) -> f32 {
        self.value(self.number(value))
    }
}

/// What a file says of its pixels besides their values. Empty for images made in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// The format and its variant, for people: `DICOM, JPEG 2000`. Empty if there is no file.
    pub format: String,
    /// The type of the numbers in the file, by numpy's name: `int16`. Empty if there is no file.
    pub numbers: &'static str,
    /// DICOM's code of the device: `CT`, `MR`, `DX`.
    pub modality: Option<String>,
    /// What a value measures.
    pub unit: Unit,
    /// The file does not say the unit: it was guessed by the values.
    pub unit_guessed: bool,
    /// The whole numbers that the file stores for the values of all slices; `None` for floats, for colours, and where slices
    /// differ.
    pub grid: Option<Grid>,
    /// Where greys were turned round, because the file stores white as its least value: what the values of each slice and
    /// those that it stores sum up to; one number if that is the same for all.
    pub turned: Option<Arc<[f64]>>,
    /// The value of pixels that the file says to lie outside of the image.
    pub padding: Option<f32>,
    /// The slices of each volume, where several volumes follow one another (a film, or a series of contrasts).
    pub volume: Option<usize>,
    /// Distance in mm between the centres of neighbouring slices, rows and columns, in this order, where known. For one
    /// slice the first is its thickness.
    pub spacing: Option<[f32; 3]>,
    /// Where known: the place in mm of the centre of a pixel, `affine · [column, row, slice, 1]` counted from 0, along axes
    /// to the patient's right, anterior and superior (NIfTI's; DICOM counts to the left and posterior).
    pub affine: Option<[[f32; 4]; 3]>,
    /// The window that the file wishes, where it does.
    pub window: Option<super::Bounds>,
    /// The class of each slice, in data sets for classification.
    pub classes: Option<Arc<[u16]>>,
    /// The names of the classes, by index, where a data set gives them.
    pub class_names: Option<Arc<[Arc<str>]>>,
    /// What a person should know about how the pixels were read, in sentences without a full stop.
    pub notes: Vec<String>,
}

impl About {
    /// The class of a slice.
    pub fn class(&self, slice: usize) -> Option<ClassLabel> {
        let index = *self.classes.as_ref()?.get(slice)?;
        let name = self.class_names.as_ref().and_then(|names| names.get(usize::from(index)).cloned());
        Some(ClassLabel { index, name })
    }

    /// What the file stores for `value` of a slice, after its rescale: the same unless greys were turned round.
    pub fn stored_value(&self, slice: usize, value: f32) -> f32 {
        let Some(sum) = self.turned.as_deref().and_then(|sums| sums.get(slice).or(sums.first())) else { return value };
        let back = (sum - f64::from(value)) as f32;
        self.grid.map_or(back, |grid| grid.round(back))
    }

    /// The same of a stack that holds only slice `index`: its place and its class.
    #[must_use]
    pub fn of_slice(&self, index: usize) -> Self {
        // Volumes that follow one another lie in the same place.
        let place = self.volume.map_or(index, |slices| index % slices.max(1));
        let affine = self.affine.map(|rows| rows.map(|[x, y, z, at]| [x, y, z, z.mul_add(place as f32, at)]));
        let classes = self.classes.as_ref().and_then(|classes| classes.get(index).map(|&class| Arc::from([class])));
        let turned =
            self.turned.as_deref().and_then(|sums| sums.get(index).or(sums.first())).map(|&sum| Arc::from([sum]));
        Self { affine, classes, turned, volume: None, ..self.clone() }
    }

    /// The same of a volume sliced along another of its axes.
    #[must_use]
    pub(super) fn along(&self, axis: super::Axis) -> Self {
        let spacing = self.spacing.map(|spacing| axis.arranged(spacing));
        // The affine counts columns, rows, slices; the other way round is what an axis arranges.
        let affine = self.affine.map(|rows| {
            rows.map(|[column, row, slice, shift]| {
                let [slice, row, column] = axis.arranged([slice, row, column]);
                [column, row, slice, shift]
            })
        });
        Self { spacing, affine, ..self.clone() }
    }

    /// The sides of the patient towards which columns, rows and slices run on: `R`, `L`, `A`, `P`, `S` or `I` for each.
    /// Of oblique axes the nearest.
    pub fn axes(&self) -> Option<[char; 3]> {
        const ENDS: [[char; 2]; 3] = [['R', 'L'], ['A', 'P'], ['S', 'I']];
        let affine = self.affine?;
        let length = |axis: usize| affine.iter().map(|row| row[axis] * row[axis]).sum::<f32>().sqrt();
        let lengths = [length(0), length(1), length(2)];
        if !lengths.iter().all(|&length| length > 0.0 && length.is_finite()) {
            return None;
        }
        // The pair that agrees best first: otherwise two oblique axes could both take the same side.
        let mut letters = [None; 3];
        let mut taken = [false; 3];
        for _ in 0..3 {
            let free = (0..9).map(|i| (i / 3, i % 3)).filter(|&(axis, side)| letters[axis].is_none() && !taken[side]);
            let cosine = |&(axis, side): &(usize, usize)| affine[side][axis].abs() / lengths[axis];
            let (axis, side) = free.max_by(|a, b| cosine(a).total_cmp(&cosine(b)))?;
            letters[axis] = Some(ENDS[side][usize::from(affine[side][axis] < 0.0)]);
            taken[side] = true;
        }
        Some([letters[0]?, letters[1]?, letters[2]?])
    }
}

/// The note on volumes that follow one another.
pub(super) fn volumes_note(volumes: usize, slices: usize) -> String {
    format!("Its {volumes} volumes of {slices} slices follow one another")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(affine: [[f32; 3]; 3]) -> Option<String> {
        let affine = Some(affine.map(|[x, y, z]| [x, y, z, 7.0]));
        About { affine, ..About::default() }.axes().map(|letters| letters.iter().collect())
    }

    #[test]
    fn grids_round_to_what_can_be_stored() {
        let grid = Grid { slope: 0.5, intercept: -100.0, least: 0.0, most: 255.0 };
        assert_eq!([-99.8, -99.7, -200.0, 900.0].map(|v| grid.round(v)), [-100.0, -99.5, -100.0, 27.5]);
        let about = About { grid: Some(grid), turned: Some([-72.5].into()), ..About::default() };
        assert_eq!([-100.0, 27.5].map(|v| about.stored_value(3, v)), [27.5, -100.0]);
    }

    #[test]
    fn greys_are_turned_back() {
        let about = About { turned: Some([100.0, 7.5].into()), ..About::default() };
        assert_eq!([about.stored_value(0, 30.0), about.stored_value(1, 2.5)], [70.0, 5.0]);
        assert_eq!(about.of_slice(1).stored_value(0, 2.5), 5.0);
        assert_eq!(About::default().stored_value(3, 2.5), 2.5);
    }

    #[test]
    fn a_slice_lies_where_it_lay() {
        let affine = Some([[1., 0., 2., 5.], [0., 1., 0., 6.], [0., 0., 3., 7.]]);
        let about = About { affine, classes: Some([4, 5, 6].into()), ..About::default() }.of_slice(2);
        assert_eq!(about.affine.unwrap().map(|row| row[3]), [9.0, 6.0, 13.0]);
        let second = About { affine, volume: Some(2), ..About::default() }.of_slice(3);
        assert_eq!((second.affine.unwrap().map(|row| row[3]), second.volume), ([7.0, 6.0, 10.0], None));
        assert_eq!(about.classes.as_deref(), Some(&[6][..]));
    }

    #[test]
    fn axes_have_letters() {
        assert_eq!(axes([[1., 0., 0.], [0., 1., 0.], [0., 0., 1.]]).as_deref(), Some("RAS"));
        assert_eq!(axes([[-2., 0., 0.], [0., -3., 0.], [0., 0., 1.]]).as_deref(), Some("LPS"));
        assert_eq!(axes([[0., 0., 1.], [-1., 0., 0.], [0., 1., 0.]]).as_deref(), Some("PSR"));
        // Columns and rows are both nearest to R; the better of them has it.
        assert_eq!(axes([[0.8, 0.75, 0.], [0.6, -0.66, 0.], [0., 0., 1.]]).as_deref(), Some("RPS"));
        assert_eq!(axes([[0.; 3]; 3]), None);
        assert_eq!(About::default().axes(), None);
    }
}
