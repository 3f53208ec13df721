//! A file's slices, kept in the type that the file stores.

use super::percentile::spread;
use super::{About, Axis, Bounds, DataError, Image, StoredType};
use rayon::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// The pixels of a [`Stack`], `[slices, channels, height, width]`, in their stored type.
#[derive(Clone, Debug)]
pub enum Pixels {
    /// Unsigned 8-bit.
    U8(Arc<[u8]>),
    /// Unsigned 16-bit.
    U16(Arc<[u16]>),
    /// Signed 16-bit: what is stored signed, or what is stored in 16 bits and shifted by a whole number, as CT is.
    I16(Arc<[i16]>),
    /// 32-bit float, all finite.
    F32(Arc<[f32]>),
}

impl Pixels {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(p) => p.len(),
            Self::U16(p) => p.len(),
            Self::I16(p) => p.len(),
            Self::F32(p) => p.len(),
        }
    }

    /// The type that they are stored in.
    pub fn stored(&self) -> StoredType {
        match self {
            Self::U8(_) => StoredType::U8,
            Self::U16(_) => StoredType::U16,
            Self::I16(_) => StoredType::I16,
            Self::F32(_) => StoredType::F32,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A decoded file: one image, or the slices of a multi-page file, all of one shape. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stack {
    /// The file it came from, if it came from a file.
    pub path: Option<PathBuf>,
    /// Number of slices, at least 1.
    pub slices: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Bounds of the whole stack, the same for each of its slices, so that one ε means one thing: 0–255 for 8-bit data,
    /// −1024…3071 for Hounsfield units, widened to hold all values, else the range of all its values; or what a person [set](Self::with_bounds).
    pub bounds: Bounds,
    /// Between these it is shown at first: the window that the file wishes, else soft tissue for Hounsfield units, 0–255 for 8-bit
    /// data and the 0.5–99.5 percentile of all values for the others (exact, by nearest rank), which a few hot pixels do not
    /// move.
    pub shown: Bounds,
    /// What the file says of them: unit, spacing, orientation, classes.
    pub about: Arc<About>,
    /// The pixels as they are stored, whatever the axis: [`Self::slice`] knows it.
    pub pixels: Pixels,
    /// The axis of the stored pixels along which the slices follow one another: that of [`Self::along`].
    pub axis: Axis,
}

impl Stack {
    /// A stack of `[slices, channels, height, width]` pixels. RGB whose channels are equal everywhere becomes grey.
    ///
    /// # Errors
    /// If the number of pixels does not fit the shape, channels are neither 1 nor 3, or values are not finite.
    pub fn new(shape: [usize; 4], pixels: Pixels) -> Result<Self, DataError> {
        let error = |cause: String, hint: &str| DataError::new("image", cause, hint);
        let [slices, channels, height, width] = shape;
        if pixels.is_empty() || pixels.len() != shape.iter().product::<usize>() {
            return Err(error(format!("{} values do not make {shape:?} pixels", pixels.len()), ""));
        }
        if channels != 1 && channels != 3 {
            let hint = "Save it with 1 channel (grey) or 3 channels (RGB)";
            return Err(error(format!("has {channels} channels"), hint));
        }
        if let Pixels::F32(values) = &pixels {
            check_finite(shape, values).map_err(|cause| error(cause, "Replace those values and save it again"))?;
        }
        let (channels, pixels) = grey_if_equal(channels, height * width, pixels);
        let spread = if pixels.stored() == StoredType::U8 { None } else { spread(&pixels) };
        if let Some(Bounds { lower, upper }) = spread.map(|spread| spread.range).filter(|r| !r.width().is_finite()) {
            let cause = format!("its values, {lower:e} to {upper:e}, span more than a 32-bit float can hold");
            return Err(error(cause, "Replace those values and save it again"));
        }
        let (bounds, shown) = spread.map_or((Bounds::EIGHT_BIT, Bounds::EIGHT_BIT), |spread| {
            let bounds = spread.range.with_width();
            (bounds, if spread.percentiles.width() > 0.0 { spread.percentiles } else { bounds })
        });
        let (about, axis) = (Arc::default(), Axis::Slices);
        Ok(Self { path: None, slices, channels, height, width, bounds, shown, about, pixels, axis })
    }

    /// The stack with other bounds: its cases are clipped to them before anything else.
    ///
    /// # Errors
    /// If they are not finite, or the upper one is not above the lower one by enough to divide by.
    pub fn with_bounds(&self, bounds: Bounds) -> Result<Self, DataError> {
        let Bounds { lower, upper } = bounds;
        if bounds.with_width() != bounds || !(lower.is_finite() && upper.is_finite() && bounds.width().is_finite()) {
            let path = self.path.clone().unwrap_or_else(|| self.name().into());
            let Bounds { lower: least, upper: most } = self.bounds;
            let hint = format!("Give the lower one first, e.g. {least},{most}");
            return Err(DataError::new(path, format!("cannot have the bounds {lower} to {upper}"), hint));
        }
        Ok(Self { bounds, ..self.clone() })
    }

    /// The stored type of the pixels.
    pub fn stored(&self) -> StoredType {
        self.pixels.stored()
    }

    /// Whether its slices are those of one volume, so that other planes through it make sense. Slices of different classes
    /// are images of their own; a volume has one class as a whole.
    pub fn is_volume(&self) -> bool {
        let [slices, height, width] = self.axis.stored([self.slices, self.height, self.width]);
        let classes = self.about.classes.as_deref().unwrap_or_default();
        let one = self.about.volume.is_none();
        one && slices > 1 && height > 1 && width > 1 && classes.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// The same volume sliced along another axis of the stored pixels, which are shared: spacing, orientation and the
    /// number of slices follow. The stack itself where it is no volume.
    #[must_use]
    pub fn along(&self, axis: Axis) -> Self {
        if axis == self.axis || !self.is_volume() {
            return self.clone();
        }
        let stored = |about: &About| match self.axis {
            Axis::Slices | Axis::Rows => about.along(self.axis),
            // Its inverse is itself, done once more.
            Axis::Columns => about.along(Axis::Columns).along(Axis::Columns),
        };
        let [slices, height, width] = axis.arranged(self.axis.stored([self.slices, self.height, self.width]));
        let mut about = stored(&self.about).along(axis);
        let class = about.classes.as_deref().and_then(|classes| classes.first().copied());
        about.classes = class.map(|class| vec![class; slices].into());
        Self { slices, height, width, about: about.into(), axis, ..self.clone() }
    }

    /// Slice `index` as floats in pixel units, or `None` past the last slice.
    pub fn slice(&self, index: usize) -> Option<Image> {
        if self.axis != Axis::Slices {
            let shape = [self.slices, self.height, self.width];
            let pixels = match &self.pixels {
                Pixels::U8(p) => resliced(p, self.channels, shape, self.axis, index, f32::from)?,
                Pixels::U16(p) => resliced(p, self.channels, shape, self.axis, index, f32::from)?,
                Pixels::I16(p) => resliced(p, self.channels, shape, self.axis, index, f32::from)?,
                Pixels::F32(p) => resliced(p, self.channels, shape, self.axis, index, |v| v)?,
            };
            return Image::new(self.channels, self.height, self.width, pixels);
        }
        let len = self.channels * self.height * self.width;
        let range = index.checked_mul(len)?..index.checked_add(1)?.checked_mul(len)?;
        let pixels: Arc<[f32]> = match &self.pixels {
            Pixels::U8(p) => p.get(range)?.iter().map(|&v| f32::from(v)).collect(),
            Pixels::U16(p) => p.get(range)?.iter().map(|&v| f32::from(v)).collect(),
            Pixels::I16(p) => p.get(range)?.iter().map(|&v| f32::from(v)).collect(),
            Pixels::F32(p) => p.get(range)?.into(),
        };
        Image::new(self.channels, self.height, self.width, pixels)
    }

    /// A short name: the file's, without its ending, or `image`.
    pub fn name(&self) -> String {
        let stem = self.path.as_deref().and_then(|path| path.file_stem());
        stem.map_or_else(|| "image".to_owned(), |stem| stem.to_string_lossy().into_owned())
    }
}

/// Slice `index` of `[slices, channels, height, width]` stored values along `axis`, where there are `shape` slices, rows
/// and columns; `None` past the last slice.
pub(super) fn resliced<T: Copy, U>(
    values: &[T],
    channels: usize,
    shape: [usize; 3],
    axis: Axis,
    index: usize,
    convert: impl Fn(T) -> U + Copy,
) -> Option<Arc<[U]>> {
    let [slices, height, width] = shape;
    let [_, rows, columns] = axis.stored(shape);
    // Elements from one stored slice, row and column to the next; then of ours.
    let [step, down, across] = axis.arranged([channels * rows * columns, columns, 1]);
    if index >= slices || values.len() != channels * slices * height * width {
        return None;
    }
    let value = |i: usize| {
        let (channel, y, x) = (i / (height * width), i / width % height, i % width);
        convert(values[channel * rows * columns + index * step + y * down + x * across])
    };
    Some((0..channels * height * width).map(value).collect())
}

/// Says how many values are not finite and where the first is; also refuses a range too wide for a float.
fn check_finite([_, channels, height, width]: [usize; 4], values: &[f32]) -> Result<(), String> {
    let plane = height * width;
    let count = values.par_chunks(1 << 20).map(|piece| piece.iter().filter(|v| !v.is_finite()).count()).sum::<usize>();
    if let Some((first, value)) = values.iter().enumerate().find(|(_, v)| count > 0 && !v.is_finite()) {
        let (slice, row, column) = (first / (channels * plane), first % plane / width, first % width);
        let all = values.len();
        return Err(format!(
            "{count} of its {all} values are not finite numbers (NaN or infinite); the first, {value}, is in row {row}, \
             column {column} of slice {slice}, counted from 0"
        ));
    }
    Ok(())
}

fn grey_if_equal(channels: usize, plane: usize, pixels: Pixels) -> (usize, Pixels) {
    fn first_planes<T: Copy + PartialEq>(plane: usize, values: &[T]) -> Option<Arc<[T]>> {
        let grey = |rgb: &[T]| rgb[..plane] == rgb[plane..2 * plane] && rgb[..plane] == rgb[2 * plane..];
        values
            .chunks_exact(3 * plane)
            .all(grey)
            .then(|| values.chunks_exact(3 * plane).flat_map(|rgb| &rgb[..plane]).copied().collect())
    }
    if channels != 3 {
        return (channels, pixels);
    }
    let grey = match &pixels {
        Pixels::U8(p) => first_planes(plane, p).map(Pixels::U8),
        Pixels::U16(p) => first_planes(plane, p).map(Pixels::U16),
        Pixels::I16(p) => first_planes(plane, p).map(Pixels::I16),
        Pixels::F32(p) => first_planes(plane, p).map(Pixels::F32),
    };
    grey.map_or((3, pixels), |grey| (1, grey))
}

/// `len` zeros in one allocation that becomes a stack's pixels without a copy.
pub(super) fn zeros<T: Copy + bytemuck::Zeroable>(len: usize) -> Arc<[T]> {
    std::iter::repeat_n(T::zeroed(), len).collect()
}

/// `[pixels, samples]` → `[channels, pixels]`, as many channels as fit into `planes`; further samples are dropped.
pub(super) fn deinterleave<T: Copy>(interleaved: &[T], samples: usize, planes: &mut [T]) {
    let plane = interleaved.len() / samples.max(1);
    for (channel, plane) in planes.chunks_exact_mut(plane.max(1)).enumerate() {
        for (to, from) in plane.iter_mut().zip(interleaved.chunks_exact(samples)) {
            *to = from[channel];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_channels_become_grey() {
        let grey = Stack::new([2, 3, 1, 2], Pixels::U8([1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4].into())).unwrap();
        assert_eq!(grey.channels, 1);
        assert_eq!(&grey.slice(1).unwrap().pixels[..], [3.0, 4.0]);
        let colour = Stack::new([1, 3, 1, 2], Pixels::U8([1, 2, 1, 2, 1, 3].into())).unwrap();
        assert_eq!(colour.channels, 3);
    }

    #[test]
    fn values_that_are_not_finite_are_counted_and_found() {
        let values = [0.0, 1.0, 2.0, 3.0, 4.0, f32::NAN, 6.0, f32::INFINITY];
        let error = Stack::new([2, 1, 2, 2], Pixels::F32(values.into())).unwrap_err().to_string();
        assert!(error.contains("2 of its 8 values") && error.contains("row 0, column 1 of slice 1"), "{error}");
        let error = Stack::new([1, 1, 1, 2], Pixels::F32([-3e38, 3e38].into())).unwrap_err().to_string();
        assert!(error.contains("span more"), "{error}");
    }

    #[test]
    fn planes_are_sliced_from_the_stored_pixels() {
        // Every value tells its slice, channel, row and column.
        let [slices, channels, height, width] = [2usize, 3, 4, 5];
        let values: Vec<u16> = (0..slices * channels * height * width)
            .map(|i| {
                let (x, y) = (i % width, i / width % height);
                let (c, z) = (i / (width * height) % channels, i / (width * height * channels));
                (1000 * z + 100 * c + 10 * y + x) as u16
            })
            .collect();
        let affine = [[0.0, 0.0, 3.0, 7.0], [2.0, 0.0, 0.0, 8.0], [0.0, 1.0, 0.0, 9.0]];
        let about = About { spacing: Some([3.0, 1.0, 2.0]), affine: Some(affine), ..About::default() };
        let stored = Stack::new([slices, channels, height, width], Pixels::U16(values.into())).unwrap();
        let stored = Stack { about: about.into(), ..stored };
        for (axis, shape, spacing, letters) in [
            (Axis::Slices, [2, 4, 5], [3.0, 1.0, 2.0], ['A', 'S', 'R']),
            (Axis::Rows, [4, 2, 5], [1.0, 3.0, 2.0], ['A', 'R', 'S']),
            (Axis::Columns, [5, 2, 4], [2.0, 3.0, 1.0], ['S', 'R', 'A']),
        ] {
            let stack = stored.along(axis);
            assert_eq!([stack.slices, stack.height, stack.width], shape);
            assert_eq!((stack.about.spacing, stack.about.axes()), (Some(spacing), Some(letters)));
            for index in 0..stack.slices {
                let image = stack.slice(index).unwrap();
                for (i, &value) in image.pixels.iter().enumerate() {
                    let (c, y, x) = (i / (shape[1] * shape[2]), i / shape[2] % shape[1], i % shape[2]);
                    let [z, y, x] = axis.stored([index, y, x]);
                    assert_eq!(value, (1000 * z + 100 * c + 10 * y + x) as f32, "{axis:?}");
                }
            }
            assert!(stack.slice(stack.slices).is_none());
            for other in Axis::ALL {
                let (again, direct) = (stack.along(other), stored.along(other));
                assert_eq!((again.about.as_ref(), again.width), (direct.about.as_ref(), direct.width));
            }
        }
        let one = Stack::new([1, 1, 4, 5], Pixels::U8([0; 20].into())).unwrap();
        assert_eq!(one.along(Axis::Rows).height, 4);
    }

    #[test]
    fn volumes_have_one_class() {
        let stack = Stack::new([3, 1, 4, 5], Pixels::U8([0; 60].into())).unwrap();
        let with = |classes: [u16; 3]| {
            let about = About { classes: Some(classes.into()), ..About::default() };
            Stack { about: about.into(), ..stack.clone() }
        };
        assert!(!with([0, 1, 1]).is_volume());
        let side = with([2; 3]).along(Axis::Columns);
        assert_eq!((side.slices, side.about.class(4).map(|class| class.index)), (5, Some(2)));
        assert_eq!(side.along(Axis::Slices).about.classes.as_deref(), Some(&[2; 3][..]));
    }

    #[test]
    fn bounds_follow_the_stored_type() {
        let values: Vec<u16> = (0..=1000).collect();
        let stack = Stack::new([1, 1, 1, 1001], Pixels::U16(values.into())).unwrap();
        assert_eq!(stack.bounds, Bounds { lower: 0.0, upper: 1000.0 });
        assert_eq!(stack.shown, Bounds { lower: 5.0, upper: 995.0 });
        let stack = Stack::new([1, 1, 1, 2], Pixels::U8([3, 4].into())).unwrap();
        assert_eq!(stack.bounds, Bounds::EIGHT_BIT);
    }
}
