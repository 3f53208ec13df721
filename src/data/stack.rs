//! A file's slices, kept in the type that the file stores.

use super::{Bounds, Image, StoredType};
use std::path::PathBuf;
use std::sync::Arc;

/// The pixels of a [`Stack`], `[slices, channels, height, width]`, in their stored type.
#[derive(Clone, Debug)]
pub enum Pixels {
    /// Unsigned 8-bit.
    U8(Arc<[u8]>),
    /// Unsigned 16-bit.
    U16(Arc<[u16]>),
    /// 32-bit float, all finite.
    F32(Arc<[f32]>),
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
    /// Bounds of the whole stack: 0–255 for 8-bit data, else the 0.5–99.5 percentile of all its values.
    /// A case widens them to contain its slice.
    pub bounds: Bounds,
    /// The pixels.
    pub pixels: Pixels,
}

impl Stack {
    /// The stored type of the pixels.
    pub fn stored(&self) -> StoredType {
        match self.pixels {
            Pixels::U8(_) => StoredType::U8,
            Pixels::U16(_) => StoredType::U16,
            Pixels::F32(_) => StoredType::F32,
        }
    }

    /// Slice `index` as floats in pixel units, or `None` past the last slice.
    pub fn slice(&self, index: usize) -> Option<Image> {
        let len = self.channels * self.height * self.width;
        let range = index.checked_mul(len)?..index.checked_add(1)?.checked_mul(len)?;
        let pixels: Arc<[f32]> = match &self.pixels {
            Pixels::U8(p) => p.get(range)?.iter().map(|&v| f32::from(v)).collect(),
            Pixels::U16(p) => p.get(range)?.iter().map(|&v| f32::from(v)).collect(),
            Pixels::F32(p) => p.get(range)?.into(),
        };
        Image::new(self.channels, self.height, self.width, pixels)
    }
}
