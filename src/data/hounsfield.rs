//! Stacks of what readers found: their unit, which some formats do not tell, and what follows from it.

use super::open::Decoded;
use super::percentile::spread;
use super::{About, Bounds, DataError, Stack, Unit};
use std::sync::Arc;

/// Bounds of CT, in Hounsfield units: 12 bits above air and what lies outside of the circle.
pub(super) const HOUNSFIELD: Bounds = Bounds { lower: -1024.0, upper: 3071.0 };

/// The window that CT is shown in where its file wishes none, in Hounsfield units: soft tissue, W 400 L 40.
const SOFT_TISSUE: Bounds = Bounds { lower: -160.0, upper: 240.0 };

/// Whether whole numbers in `range` look like Hounsfield units: air, or what lies outside of the circle, and tissue.
fn looks_like_hounsfield(range: Bounds) -> bool {
    (-4096.0..=-900.0).contains(&range.lower) && range.upper > 100.0
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
            && looks_like_hounsfield(stack.bounds);
        if guessed {
            let least = stack.bounds.lower;
            about
                .notes
                .push(format!("Its values look like Hounsfield units (the least is {least}) and are taken as such"));
        }
        let usual = if about.unit == Unit::Hounsfield { soft_tissue(&stack) } else { stack.shown };
        let stack = Self {
            bounds: bounds.unwrap_or(stack.bounds),
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

/// The window of soft tissue, unless nothing of the stack would be seen in it.
fn soft_tissue(stack: &Stack) -> Bounds {
    let Bounds { lower, upper } = stack.shown;
    if upper > SOFT_TISSUE.lower && lower < SOFT_TISSUE.upper { SOFT_TISSUE } else { stack.shown }
}

#[cfg(test)]
mod tests {
    use super::super::Pixels;
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
        let ct = Stack::from_decoded(decoded("int16", [-1024, 0, 40, 1500])).unwrap();
        assert_eq!((ct.about.unit, ct.about.unit_guessed, ct.bounds), (Unit::Hounsfield, true, HOUNSFIELD));
        assert_eq!((ct.about.modality.as_deref(), ct.about.notes.len()), (Some("CT"), 1));
        assert_eq!((ct.shown, ct.about.window), (SOFT_TISSUE, None));
        let no = ct.with_unit(Unit::Unknown);
        assert_eq!(no.shown, Bounds { lower: -1024.0, upper: 1500.0 });
        assert_eq!((no.about.unit, no.bounds), (Unit::Unknown, Bounds { lower: -1024.0, upper: 1500.0 }));
        assert_eq!(no.about.modality, None);
        // Metal is brighter than twelve bits hold, and what was padded darker: nothing is cut off.
        let wide = Stack::from_decoded(decoded("int16", [-2000, 0, 40, 9000])).unwrap();
        assert_eq!(wide.bounds, Bounds { lower: -2000.0, upper: 9000.0 });
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
