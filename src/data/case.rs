//! A case: one image, what is known about it, and its label if there is one.

use super::write::stored_pixels;
use super::{About, Axis, Bounds, DataError, Image, Mask, Stack, StoredType, grid_of};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a case came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The file, if any.
    pub path: Option<PathBuf>,
    /// Slice index in that file along `axis`, from 0.
    pub slice: usize,
    /// Number of slices in that file along `axis`.
    pub slices: usize,
    /// The axis of the file's volume that was sliced.
    #[serde(default)]
    pub axis: Axis,
}

/// The class of an image as a whole: the label of a case for classification. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassLabel {
    /// Its index, from 0, in the order of the data set.
    pub index: u16,
    /// Its name, where the data set gives one. A model that knows the name means this class, whatever its index there.
    pub name: Option<Arc<str>>,
}

impl std::fmt::Display for ClassLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "class {}", self.index),
        }
    }
}

/// What is attacked: an image in pixel units with its bounds and, if known, its label.
#[derive(Clone, Debug)]
pub struct Case {
    /// A short name for people and file names.
    pub name: String,
    /// `[channels, height, width]` in pixel units.
    pub image: Image,
    /// Scaled to `[0, 1]`; adversarial images are clipped to them.
    pub bounds: Bounds,
    /// Between these it is shown at first, in pixel units.
    pub shown: Bounds,
    /// The type the pixels were stored in: what a saved adversarial image is quantised to.
    pub stored: StoredType,
    /// Class indices, of the image's size.
    pub label: Option<Mask>,
    /// The class of the whole image.
    pub class: Option<ClassLabel>,
    /// What its file says of the pixels: unit, spacing, orientation.
    pub about: Arc<About>,
    /// Where it came from.
    pub provenance: Provenance,
}

impl Case {
    /// Slice `slice` (from 0) of `stack`, without a mask, with its class if the file gives classes, and with the bounds of the stack; values outside of them, which
    /// only bounds that a person set leave, are clipped to them.
    ///
    /// # Errors
    /// If the stack has no such slice.
    pub fn from_slice(stack: &Stack, slice: usize, name: impl Into<String>) -> Result<Self, DataError> {
        let image = stack.slice(slice).ok_or_else(|| {
            let path = stack.path.clone().unwrap_or_else(|| stack.name().into());
            let last = stack.slices - 1;
            DataError::new(path, format!("has no slice {slice}"), format!("Choose a slice from 0 to {last}"))
        })?;
        let bounds = stack.bounds;
        let inside = image.range().is_none_or(|range| bounds.union(range) == bounds);
        let image = if inside {
            image
        } else {
            let pixels = image.pixels.iter().map(|v| v.clamp(bounds.lower, bounds.upper)).collect();
            Image { pixels, ..image }
        };
        let provenance = Provenance { path: stack.path.clone(), slice, slices: stack.slices, axis: stack.axis };
        Ok(Self {
            name: name.into(),
            image,
            bounds,
            shown: stack.shown,
            stored: stack.stored(),
            label: None,
            class: stack.about.class(slice),
            about: stack.about.clone(),
            provenance,
        })
    }

    /// `image`, another of this size in pixel units, as a stack of one slice that lies where this one does, rounded to what its
    /// file can store.
    ///
    /// # Errors
    /// If its values are not finite.
    pub fn as_stack(&self, image: &Image) -> Result<Stack, DataError> {
        let grid = grid_of(self.stored, &self.about);
        let values = image.pixels.iter().map(|&v| grid.map_or(v, |grid| grid.round(v)));
        let pixels = stored_pixels(self.stored, values);
        let stack = Stack::new([1, image.channels, image.height, image.width], pixels)?;
        let about = self.about.of_slice(self.provenance.slice);
        Ok(Stack { bounds: self.bounds, shown: self.shown, about: about.into(), ..stack })
    }

    /// Distance in mm between neighbouring rows and columns, where known.
    pub fn spacing(&self) -> Option<[f32; 2]> {
        self.about.spacing.map(|[_, rows, columns]| [rows, columns])
    }

    /// Height and width in pixels.
    pub fn size(&self) -> [usize; 2] {
        [self.image.height, self.image.width]
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pixels;
    use super::*;

    #[test]
    fn bounds_are_the_stacks_and_can_be_set() {
        let mut values = vec![100u16; 1000];
        values[999] = 60_000;
        values[..10].fill(99);
        let stack = Stack::new([10, 1, 10, 10], Pixels::U16(values.into())).unwrap();
        for slice in [0, 9] {
            let case = Case::from_slice(&stack, slice, "a").unwrap();
            assert_eq!(case.bounds, Bounds { lower: 99.0, upper: 60_000.0 });
        }
        let narrow = Bounds { lower: 99.0, upper: 100.0 };
        let case = Case::from_slice(&stack.with_bounds(narrow).unwrap(), 9, "a").unwrap();
        assert_eq!((case.bounds, case.image.range()), (narrow, Some(Bounds { lower: 100.0, upper: 100.0 })));
        for [lower, upper] in [[1.0, 1.0], [2.0, 1.0], [f32::NAN, 1.0], [0.0, f32::INFINITY], [f32::MIN, f32::MAX]] {
            assert!(stack.with_bounds(Bounds { lower, upper }).is_err(), "{lower} {upper}");
        }
        let error = Case::from_slice(&stack, 10, "a").unwrap_err().to_string();
        assert!(error.contains("no slice 10") && error.contains("0 to 9"), "{error}");
    }

    #[test]
    fn a_slice_has_the_class_that_its_file_gives() {
        let mut stack = Stack::new([2, 1, 1, 1], Pixels::U8([1, 2].into())).unwrap();
        assert_eq!(Case::from_slice(&stack, 1, "a").unwrap().class, None);
        stack.about = About { classes: Some([7, 3].into()), ..About::default() }.into();
        let class = Case::from_slice(&stack, 1, "a").unwrap().class.unwrap();
        assert_eq!((class.index, class.to_string().as_str()), (3, "class 3"));
        let names = Some(["a", "b", "c", "nevus"].map(Arc::from).into());
        stack.about = About { class_names: names, ..(*stack.about).clone() }.into();
        assert_eq!(Case::from_slice(&stack, 1, "a").unwrap().class.unwrap().to_string(), "nevus");
    }

    #[test]
    fn constant_images_have_bounds_of_positive_width() {
        for value in [0.0, -7.5, 1e-35, 12_345.0, 1e20, f32::MAX, f32::MIN] {
            let stack = Stack::new([1, 1, 2, 2], Pixels::F32([value; 4].into())).unwrap();
            let bounds = Case::from_slice(&stack, 0, "constant").unwrap().bounds;
            assert!(bounds.width() > 0.0 && bounds.width().is_finite(), "{value}: {bounds:?}");
            assert!((1.0 / bounds.width()).is_finite());
            assert!(bounds.lower <= value && value <= bounds.upper);
        }
    }
}
