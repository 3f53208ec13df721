//! Stacks of what readers found: their unit, which some formats do not tell, and what follows from it.

use super::open::Decoded;
use super::percentile::spread;
use super::{About, Bounds, DataError, Pixels, Stack, Unit};
use rayon::prelude::*;
use std::sync::Arc;

/// Bounds of CT, in Hounsfield units: 12 bits above air and what lies outside of the circle.
pub(super) const HOUNSFIELD: Bounds = Bounds { lower: -1024.0, upper: 3071.0 };

/// The window that CT is shown in where its file wishes none, in Hounsfield units: soft tissue, W 400 L 40.
const SOFT_TISSUE: Bounds = Bounds { lower: -160.0, upper: 240.0 };

/// Whether whole numbers in `range` look like Hounsfield units: some air, or what lies outside of the circle, and more of it than
/// of what is denser than bone mostly is; soft tissue, and less of what lies between fat and lung; and hardly anything below air
/// but the one value that stands for no measurement. Phases of MR, which have the same range, are as frequent below as above.
fn looks_like_hounsfield(pixels: &Pixels, range: Bounds) -> bool {
    if !(-4096.0..=-900.0).contains(&range.lower) || range.upper <= 100.0 {
        return false;
    }
    let [air, tissue, between, dense, stray] = match pixels {
        Pixels::I16(values) => count(values, range.lower, f32::from),
        Pixels::F32(values) => count(values, range.lower, |v| v),
        Pixels::U8(_) | Pixels::U16(_) => return false,
    };
    let share = |count: usize| count as f64 / pixels.len() as f64;
    // By chance there would be as many for each unit.
    let peak = tissue as f32 / TISSUE.width() >= 2.0 * between as f32 / BETWEEN.width();
    share(air) >= 0.005 && air >= 2 * dense && share(tissue) >= 0.02 && peak && share(stray) <= 0.01
}

/// Fat to contrast medium, in Hounsfield units.
const TISSUE: Bounds = Bounds { lower: -200.0, upper: 300.0 };

/// Few voxels of a body, in Hounsfield units.
const BETWEEN: Bounds = Bounds { lower: -550.0, upper: -250.0 };

/// How many values are those of air or less, of tissue, between lung and fat, as far above water as air is below, and below air
/// without being the least of all.
fn count<T: Copy + Sync>(values: &[T], least: f32, value: impl Fn(T) -> f32 + Sync) -> [usize; 5] {
    let one = |piece: &[T]| {
        let mut counts = [0; 5];
        for v in piece.iter().map(|&v| value(v)) {
            let within = |bounds: Bounds| (bounds.lower..=bounds.upper).contains(&v);
            let is = [v <= -850.0, within(TISSUE), within(BETWEEN), v >= 850.0, v < -1100.0 && v > least];
            counts.iter_mut().zip(is).for_each(|(count, is)| *count += usize::from(is));
        }
        counts
    };
    let add = |a: [usize; 5], b: [usize; 5]| std::array::from_fn(|i| a[i] + b[i]);
    values.par_chunks(1 << 20).map(one).reduce(|| [0; 5], add)
}

impl Stack {
    /// A stack of what a reader found.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(super) fn from_decoded(decoded: Decoded) -> Result<Self, DataError> {
        let Decoded { shape, pixels, mut about, bounds, shown } = decoded;
        let stack = Self::new(shape, pixels)?;
        if stack.channels < shape[1] {
            about.notes.push("Its red, green and blue are equal everywhere: it is taken as grey".to_owned());
        }
        let guessed = about.unit == Unit::Unknown
            && bounds.is_none()
            && stack.channels == 1
            && about.numbers.starts_with("int")
            && !about.format.starts_with("DICOM")
            && looks_like_hounsfield(&stack.pixels, stack.bounds);
        if guessed {
            let least = stack.bounds.lower;
            about
                .notes
                .push(format!("Its values look like Hounsfield units (the least is {least}) and are taken as such"));
        }
        if (guessed || about.unit == Unit::Hounsfield) && bounds.is_none() {
            about.notes.extend(wide_note(stack.bounds, about.padding));
        }
        let range = match about.unit {
            Unit::Hounsfield => HOUNSFIELD.union(stack.bounds),
            Unit::Unknown => stack.bounds,
        };
        let usual = if about.unit == Unit::Hounsfield { soft_tissue(&stack) } else { stack.shown };
        let stack = Self {
            bounds: bounds.unwrap_or(range),
            shown: shown.unwrap_or(usual),
            about: Arc::new(About { window: shown, ..about }),
            ..stack
        };
        if !guessed {
            return Ok(stack);
        }
        let stack = stack.in_unit(Unit::Hounsfield, stack.bounds, stack.shown);
        let about = About { unit_guessed: true, ..(*stack.about).clone() };
        Ok(Self { about: about.into(), ..stack })
    }

    /// The stack as a person says that its values are to be read, where the file does not tell: with the bounds of Hounsfield
    /// units, widened to hold all of its values, or with the range of its values as bounds.
    #[must_use]
    pub fn with_unit(&self, unit: Unit) -> Self {
        let found = spread(&self.pixels);
        let range = found.map_or(self.bounds, |spread| spread.range.with_width());
        let percentiles = found.map_or(range, |spread| spread.percentiles);
        self.in_unit(unit, range, if percentiles.width() > 0.0 { percentiles } else { range })
    }

    /// `range` is that of all values, `percentiles` what is shown of values whose unit is not known.
    fn in_unit(&self, unit: Unit, range: Bounds, percentiles: Bounds) -> Self {
        let bounds = match unit {
            Unit::Hounsfield => HOUNSFIELD.union(range),
            Unit::Unknown => range,
        };
        let about = (*self.about).clone();
        let shown = match unit {
            _ if about.window.is_some() => self.shown,
            Unit::Hounsfield => soft_tissue(&Self { shown: percentiles, ..self.clone() }),
            Unit::Unknown => percentiles,
        };
        // Hounsfield units are those of CT; what a DICOM file says of its device stays.
        let modality = match unit {
            _ if about.format.starts_with("DICOM") => about.modality,
            Unit::Hounsfield => Some("CT".to_owned()),
            Unit::Unknown => None,
        };
        Self { bounds, shown, about: Arc::new(About { unit, unit_guessed: false, modality, ..about }), ..self.clone() }
    }
}

/// The note on values beyond the usual bounds: these hold them all, so that no attack moves a pixel by more than ε.
fn wide_note(range: Bounds, padding: Option<f32>) -> Option<String> {
    let Bounds { lower, upper } = HOUNSFIELD.union(range);
    let padding = padding.filter(|&value| !(HOUNSFIELD.lower..=HOUNSFIELD.upper).contains(&value));
    let padding = padding.map_or_else(String::new, |value| format!("; {value} is padding"));
    (HOUNSFIELD.union(range) != HOUNSFIELD).then(|| {
        format!("Its bounds, of which ε is a fraction, are widened to hold all values ({lower} to {upper}{padding})")
    })
}

/// The window of soft tissue, unless nothing of the stack would be seen in it.
fn soft_tissue(stack: &Stack) -> Bounds {
    let Bounds { lower, upper } = stack.shown;
    if upper > SOFT_TISSUE.lower && lower < SOFT_TISSUE.upper { SOFT_TISSUE } else { stack.shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hounsfield_units_are_guessed_and_can_be_said() {
        let decoded = |numbers: &'static str, values: [i16; 4]| Decoded {
            shape: [1, 1, 2, 2],
            pixels: Pixels::I16(values.into()),
            about: About { format: "NIfTI-1".to_owned(), numbers, ..About::default() },
            bounds: None,
            shown: None,
        };
        let ct = Stack::from_decoded(decoded("int16", [-1024, -1000, 40, 1500])).unwrap();
        assert_eq!((ct.about.unit, ct.about.unit_guessed, ct.bounds), (Unit::Hounsfield, true, HOUNSFIELD));
        assert_eq!((ct.about.modality.as_deref(), ct.about.notes.len()), (Some("CT"), 1));
        assert_eq!((ct.shown, ct.about.window), (SOFT_TISSUE, None));
        let no = ct.with_unit(Unit::Unknown);
        assert_eq!(no.shown, Bounds { lower: -1024.0, upper: 1500.0 });
        assert_eq!((no.about.unit, no.bounds), (Unit::Unknown, Bounds { lower: -1024.0, upper: 1500.0 }));
        assert_eq!(no.about.modality, None);
        // Metal is brighter than twelve bits hold, and what was padded darker: nothing is cut off.
        let wide = Stack::from_decoded(decoded("int16", [-2000, -1000, 40, 9000])).unwrap();
        assert_eq!(wide.bounds, Bounds { lower: -2000.0, upper: 9000.0 });
        assert!(wide.about.notes[0].contains("-2000 to 9000") || wide.about.notes[1].contains("-2000 to 9000"));
        // As the phases of MR: as frequent everywhere, or round 0 with as much below as above.
        let many = |value: &dyn Fn(i32) -> i32| {
            let pixels: Vec<i16> = (0..4096).map(|i| value(i) as i16).collect();
            let about = About { format: "NIfTI-1".to_owned(), numbers: "int16", ..About::default() };
            let decoded =
                Decoded { shape: [1, 1, 64, 64], pixels: Pixels::I16(pixels.into()), about, bounds: None, shown: None };
            Stack::from_decoded(decoded).unwrap().about.unit
        };
        assert_eq!(many(&|i| 2 * i - 4096), Unit::Unknown);
        assert_eq!(many(&|i| (i64::from(i - 2048).pow(3) >> 21) as i32), Unit::Unknown);
        assert_eq!(many(&|i| i / 2 - 1024), Unit::Unknown, "no tissue more than by chance");
        // A tenth is padding, a half air, a third tissue, some bone and metal.
        let ct = |i: i32| {
            [-2000, -1000 + i % 9, -1000, -990, -995, -1000 + i % 7, i % 90, 30 + i % 40, -90, 700 + i][i as usize % 10]
        };
        assert_eq!(many(&ct), Unit::Hounsfield);
        for (numbers, values) in
            [("float32", [-1024, 0, 0, 900]), ("int16", [-800, 0, 0, 900]), ("int16", [-1000, 0, 0, 1])]
        {
            let other = Stack::from_decoded(decoded(numbers, values)).unwrap();
            assert_eq!((other.about.unit, other.about.unit_guessed), (Unit::Unknown, false), "{numbers} {values:?}");
        }
        let said = Stack::from_decoded(decoded("int16", [-800, 0, 0, 900])).unwrap().with_unit(Unit::Hounsfield);
        assert_eq!((said.about.unit, said.about.unit_guessed, said.bounds), (Unit::Hounsfield, false, HOUNSFIELD));
    }
}
