//! Label masks, and label files as people save them: grey images whose values mean classes.

use super::label_map::assign;
use super::stack::resliced;
use super::{Axis, DataError, LabelMap, Pixels, Stack, open};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The class index of a pixel that counts nowhere: not in the loss, not in a measure.
pub const IGNORE: u8 = 255;

/// A file with more different values than this is an image, not a mask.
pub const MOST_LABEL_VALUES: usize = 128;

/// One mask of class indices, `[height, width]`, row-major. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `height × width` class indices of the model card, or [`IGNORE`].
    pub classes: Arc<[u8]>,
}

impl Mask {
    /// Whether no pixel counts.
    pub fn is_all_ignored(&self) -> bool {
        self.classes.iter().all(|&c| c == IGNORE)
    }
}

/// A label file: a stack of the values it stores, before a [`LabelMap`] says what they mean. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LabelStack {
    /// The file it came from, if it came from a file.
    pub path: Option<PathBuf>,
    /// Number of slices.
    pub slices: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// The different values of the whole stack, ascending; at most [`MOST_LABEL_VALUES`].
    pub values: Vec<u32>,
    /// Indices into `values`, `[slices, height, width]` as stored: a quarter of the memory of the values themselves.
    indices: Arc<[u8]>,
    /// The axis of the stored indices along which the slices follow one another.
    axis: Axis,
}

impl LabelStack {
    /// Reads a label file of any format that [`super::open`] reads.
    ///
    /// # Errors
    /// As [`super::open`] and [`Self::from_stack`].
    pub fn open(path: &Path, cancel: &AtomicBool) -> Result<Self, DataError> {
        Self::from_stack(&open::open(path, cancel)?)
    }

    /// Takes the pixels of `stack` for label values.
    ///
    /// # Errors
    /// If it is in colour, holds more than [`MOST_LABEL_VALUES`] different values, or values that are not whole
    /// numbers from 0 to 4 294 967 295.
    pub fn from_stack(stack: &Stack) -> Result<Self, DataError> {
        let path = stack.path.clone().unwrap_or_else(|| stack.name().into());
        let hint = "Save the mask as a grey image with one value for each class, without lossy compression";
        let failed = |cause: String| DataError::new(&path, cause, hint);
        if stack.channels != 1 {
            return Err(failed("is a colour image, not a mask".to_owned()));
        }
        let (values, indices) = match &stack.pixels {
            Pixels::U8(pixels) => index(pixels, |v| Some(u32::from(v))),
            Pixels::U16(pixels) => index(pixels, |v| Some(u32::from(v))),
            Pixels::I16(pixels) => index(pixels, |v| u32::try_from(v).ok()),
            Pixels::F32(pixels) => index(pixels, |v| {
                // 2³² is the first float past the last u32.
                let whole = (0.0..4_294_967_296.0).contains(&v) && v.fract() == 0.0;
                whole.then_some(v as u32)
            }),
        }
        .map_err(|not_a_mask| {
            failed(match not_a_mask {
                NotAMask::Value(value) => format!("holds {value}, which is not a whole number, so it is not a mask"),
                NotAMask::TooMany => {
                    format!("holds more than {MOST_LABEL_VALUES} different values, so it is an image, not a mask")
                }
            })
        })?;
        // The pixels are in the order of the file, whatever the stack's axis.
        let shape = [stack.slices, stack.height, stack.width];
        let [slices, height, width] = stack.axis.stored(shape);
        let label = Self { path: stack.path.clone(), slices, height, width, values, indices, axis: Axis::Slices };
        Ok(label.along(stack.axis))
    }

    /// Whether this labels `image`: the same size and the same number of slices.
    ///
    /// # Errors
    /// If it does not, naming both.
    pub fn check_fits(&self, image: &Stack) -> Result<(), DataError> {
        if (self.slices, self.height, self.width) == (image.slices, image.height, image.width) {
            return Ok(());
        }
        let size = |slices: usize, height: usize, width: usize| {
            let of = if slices == 1 { "1 slice".to_owned() } else { format!("{slices} slices") };
            format!("{width} × {height} pixels in {of}")
        };
        let own = size(self.slices, self.height, self.width);
        let theirs = size(image.slices, image.height, image.width);
        let path = self.path.clone().unwrap_or_else(|| "label".into());
        let cause = format!("does not fit the image: the label has {own}, the image {theirs}");
        Err(DataError::new(path, cause, "Choose the label that belongs to this image"))
    }

    /// The stored values of slice `slice`, row-major, or `None` past the last slice.
    pub fn slice_values(&self, slice: usize) -> Option<Vec<u32>> {
        Some(self.slice_indices(slice)?.iter().map(|&i| self.values[usize::from(i)]).collect())
    }

    /// Slice `slice` as classes, or `None` past the last slice.
    pub fn mask(&self, slice: usize, map: &LabelMap) -> Option<Mask> {
        let classes: Vec<u8> = self.values.iter().map(|&value| map.class_of(value)).collect();
        let classes = self.slice_indices(slice)?.iter().map(|&i| classes[usize::from(i)]).collect();
        Some(Mask { height: self.height, width: self.width, classes })
    }

    /// [`LabelMap::guess`] for all values of the stack, by the agreement of slice `slice` with `prediction`, its clean
    /// prediction. `None` past the last slice, or if the sizes differ.
    pub fn guess(&self, slice: usize, classes: usize, prediction: &Mask) -> Option<LabelMap> {
        let indices = self.slice_indices(slice)?;
        if (prediction.height, prediction.width) != (self.height, self.width) {
            return None;
        }
        let mut agreement = vec![vec![0; classes]; self.values.len()];
        for (&index, &class) in indices.iter().zip(prediction.classes.iter()) {
            if let Some(count) = agreement[usize::from(index)].get_mut(usize::from(class)) {
                *count += 1;
            }
        }
        Some(assign(&self.values, &agreement))
    }

    /// The label of [`Stack::along`] the same axis.
    #[must_use]
    pub fn along(&self, axis: Axis) -> Self {
        let shape = [self.slices, self.height, self.width];
        let [slices, height, width] = axis.arranged(self.axis.stored(shape));
        Self { slices, height, width, axis, ..self.clone() }
    }

    fn slice_indices(&self, slice: usize) -> Option<Cow<'_, [u8]>> {
        if self.axis != Axis::Slices {
            let shape = [self.slices, self.height, self.width];
            let indices = resliced(&self.indices, 1, shape, self.axis, slice, |index| index)?;
            return Some(Cow::Owned(indices.to_vec()));
        }
        let len = self.height * self.width;
        self.indices.get(slice.checked_mul(len)?..slice.checked_add(1)?.checked_mul(len)?).map(Cow::Borrowed)
    }
}

enum NotAMask {
    Value(String),
    TooMany,
}

/// The different values of `pixels`, ascending, and each pixel's index into them.
fn index<T: Copy + PartialEq + ToString>(
    pixels: &[T],
    value: impl Fn(T) -> Option<u32>,
) -> Result<(Vec<u32>, Arc<[u8]>), NotAMask> {
    let convert = |pixel: T| value(pixel).ok_or_else(|| NotAMask::Value(pixel.to_string()));
    let mut values: Vec<u32> = Vec::new();
    let mut last = None;
    for &pixel in pixels {
        // Masks are flat: most pixels repeat the one before.
        if last == Some(pixel) {
            continue;
        }
        last = Some(pixel);
        let converted = convert(pixel)?;
        if let Err(place) = values.binary_search(&converted) {
            if values.len() == MOST_LABEL_VALUES {
                return Err(NotAMask::TooMany);
            }
            values.insert(place, converted);
        }
    }
    let mut last = None;
    let indices = pixels.iter().map(|&pixel| match last {
        Some((same, index)) if same == pixel => index,
        _ => {
            let found = value(pixel).and_then(|v| values.binary_search(&v).ok()).unwrap_or_default();
            last = Some((pixel, found as u8));
            found as u8
        }
    });
    let indices = indices.collect();
    Ok((values, indices))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(pixels: Pixels, slices: usize, height: usize, width: usize) -> Stack {
        Stack::new([slices, 1, height, width], pixels).unwrap()
    }

    #[test]
    fn values_of_every_stored_type_are_read() {
        for pixels in [
            Pixels::U8([0, 255, 255, 0].into()),
            Pixels::U16([0, 255, 255, 0].into()),
            Pixels::F32([0.0, 255.0, 255.0, 0.0].into()),
        ] {
            let label = LabelStack::from_stack(&stack(pixels, 2, 1, 2)).unwrap();
            assert_eq!(label.values, [0, 255]);
            assert_eq!(label.slice_values(1).unwrap(), [255, 0]);
            assert_eq!(label.slice_values(2), None);
            let mask = label.mask(0, &LabelMap { entries: vec![(255, 1)] }).unwrap();
            assert_eq!(&mask.classes[..], [IGNORE, 1]);
        }
    }

    #[test]
    fn images_are_not_masks() {
        let many: Vec<u8> = (0..=255).collect();
        let error = LabelStack::from_stack(&stack(Pixels::U8(many.into()), 1, 16, 16)).unwrap_err().to_string();
        assert!(error.contains("more than 128 different values"), "{error}");
        let error = LabelStack::from_stack(&stack(Pixels::F32([0.0, 0.35].into()), 1, 1, 2)).unwrap_err().to_string();
        assert!(error.contains("not a whole number") && error.contains("0.35"), "{error}");
        let error = LabelStack::from_stack(&stack(Pixels::F32([0.0, -1.0].into()), 1, 1, 2)).unwrap_err();
        assert!(error.to_string().contains("-1"), "{error}");
        let rgb = Stack::new([1, 3, 1, 1], Pixels::U8([1, 2, 3].into())).unwrap();
        assert!(LabelStack::from_stack(&rgb).unwrap_err().to_string().contains("colour"));
    }

    #[test]
    fn a_label_of_another_size_names_both() {
        let label = LabelStack::from_stack(&stack(Pixels::U8([0, 1].into()), 1, 1, 2)).unwrap();
        let image = stack(Pixels::U8([0, 1, 2, 3, 4, 5].into()), 3, 1, 2);
        let error = label.check_fits(&image).unwrap_err().to_string();
        assert!(error.contains("2 × 1 pixels in 1 slice") && error.contains("2 × 1 pixels in 3 slices"), "{error}");
        assert!(label.check_fits(&stack(Pixels::U8([0, 1].into()), 1, 1, 2)).is_ok());
    }

    #[test]
    fn the_stack_is_guessed_from_one_slice() {
        // 255 is not on slice 0 and takes the class that is left.
        let label = LabelStack::from_stack(&stack(Pixels::U8([0, 0, 0, 255].into()), 2, 1, 2)).unwrap();
        let prediction = Mask { height: 1, width: 2, classes: [1, 1].into() };
        assert_eq!(label.guess(0, 2, &prediction).unwrap().entries, [(0, 1), (255, 0)]);
        let other = Mask { height: 2, width: 1, classes: [1, 1].into() };
        assert_eq!(label.guess(0, 2, &other), None);
    }
}
