//! NumPy's `.npy`: 32-bit floats, little-endian, in the order of C (numpy.lib.format, version 1.0).

use super::write_atomic;
use crate::data::{DataError, Stack};
use std::io::Write;
use std::path::Path;

/// Writes the values that the file stores, after its rescale: `[height, width]` or `[channels, height, width]`, and with more
/// than one slice `[slices, …]`. Greys that were turned round are turned back.
pub(super) fn write(path: &Path, stack: &Stack) -> Result<(), DataError> {
    let colour = (stack.channels > 1).then_some(stack.channels);
    let slices = (stack.slices > 1).then_some(stack.slices);
    let axes: Vec<usize> = slices.into_iter().chain(colour).chain([stack.height, stack.width]).collect();
    write_atomic(path, |file| {
        file.write_all(&header(&axes))?;
        for (slice, image) in (0..stack.slices).filter_map(|slice| Some((slice, stack.slice(slice)?))) {
            let stored = image.pixels.iter().map(|&v| stack.about.stored_value(slice, v));
            let bytes: Vec<u8> = stored.flat_map(f32::to_le_bytes).collect();
            file.write_all(&bytes)?;
        }
        Ok(())
    })
}

/// Writes `values` of the shape `axes`, row-major.
///
/// # Errors
/// If there are not as many as the shape says, or the file cannot be written.
pub fn write_npy(path: &Path, axes: &[usize], values: &[f32]) -> Result<(), DataError> {
    if axes.iter().product::<usize>() != values.len() {
        return Err(DataError::new(path, format!("{} values do not make {axes:?}", values.len()), ""));
    }
    write_atomic(path, |file| {
        file.write_all(&header(axes))?;
        for piece in values.chunks(1 << 16) {
            let bytes: Vec<u8> = piece.iter().copied().flat_map(f32::to_le_bytes).collect();
            file.write_all(&bytes)?;
        }
        Ok(())
    })
}

/// All that stands before the numbers.
fn header(axes: &[usize]) -> Vec<u8> {
    let mut shape = axes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if axes.len() == 1 {
        // A tuple of one ends in a comma.
        shape.push(',');
    }
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    // The numbers begin at a multiple of 64 bytes, and a line ends before them.
    while !(10 + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\0".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header
}
