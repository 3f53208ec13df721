//! One slice of a large file, shown before all of it is read: NIfTI and NumPy that are not compressed, TIFF, and DICOM
//! series. What is compressed as a whole has no place to look at before.

use super::open::Decoded;
use super::{DataError, Stack};
use std::path::Path;

/// Files of fewer bytes are read as a whole before a slice of them could be looked at.
const LARGE: u64 = 16 << 20;

/// One slice of a file that is still being read. Bounds and window are those of this slice where the file tells none.
#[derive(Clone, Debug)]
pub struct First {
    /// A stack of this slice alone.
    pub stack: Stack,
    /// Which one it is, from 0.
    pub slice: usize,
    /// How many the file has.
    pub slices: usize,
}

/// Who wants to see a slice before all of a file is read.
pub struct FirstWish<'a> {
    /// Which slice; the middle if `None`.
    pub slice: Option<usize>,
    /// Called once at most. Not called if the file is small, or has no slice that can be read by itself.
    pub show: &'a mut dyn FnMut(First),
}

impl FirstWish<'_> {
    /// The slice to show of a file with `slices`, of `bytes` each in the file.
    pub(super) fn place(&self, slices: u64, bytes: u64) -> Option<usize> {
        let slice = self.slice.map_or(slices / 2, |slice| slice as u64);
        let large = slices > 1 && slices.saturating_mul(bytes) >= LARGE;
        usize::try_from(slice).ok().filter(|_| large && slice < slices)
    }

    /// Shows what was decoded. What is wrong with it is said once the whole file is read.
    pub(super) fn tell(&mut self, path: &Path, decoded: Result<Decoded, DataError>, slice: usize, slices: usize) {
        if let Ok(stack) = decoded.and_then(Stack::from_decoded) {
            (self.show)(First { stack: Stack { path: Some(path.to_owned()), ..stack }, slice, slices });
        }
    }
}
