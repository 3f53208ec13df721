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
    let axes: Vec<String> =
        slices.into_iter().chain(colour).chain([stack.height, stack.width]).map(|n| n.to_string()).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", axes.join(", "));
    // The numbers begin at a multiple of 64 bytes, and a line ends before them.
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let turned = stack.about.turned.then_some(stack.about.grid).flatten();
    write_atomic(path, |file| {
        file.write_all(b"\x93NUMPY\x01\0")?;
        file.write_all(&(header.len() as u16).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for image in (0..stack.slices).filter_map(|slice| stack.slice(slice)) {
            let stored = image.pixels.iter().map(|&v| turned.map_or(v, |grid| grid.turned(v)));
            let bytes: Vec<u8> = stored.flat_map(f32::to_le_bytes).collect();
            file.write_all(&bytes)?;
        }
        Ok(())
    })
}
