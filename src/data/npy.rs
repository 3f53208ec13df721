//! NumPy's `.npy`: one array of two or three axes, or four with colours.
//!
//! Rows and columns are the last two axes, slices the one before. If the last axis has 3 values (or 1, or 4, of which the
//! last is dropped), it holds the colours of a pixel instead. Format: numpy.lib.format, versions 1 to 3.

use super::about::About;
use super::numbers::{Filler, Kind, Numbers};
use super::open::{Decoded, Source, check_cancelled, check_size, rounded_note, stream_error};
use super::raster::cut_short;
use super::stack::{deinterleave, zeros};
use super::{Bounds, DataError, FirstWish, Pixels};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How a file begins.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// What would work instead.
const READABLE: &str = "Save an array of integers or floats with the axes (rows, columns) or (slices, rows, columns)";

/// Longer headers are no headers.
const LONGEST_HEADER: u64 = 1 << 16;

/// What the header says.
pub(super) struct Array {
    numbers: Numbers,
    /// Whether the numbers are truth values.
    boolean: bool,
    /// Whether the first axis runs fastest.
    fortran: bool,
    pub dims: Vec<u64>,
}

/// What the axes mean.
struct Layout {
    slices: u64,
    /// Samples of a pixel in the file, next to each other.
    samples: u64,
    channels: u64,
    height: u64,
    width: u64,
}

/// Reads the header, and leaves `reader` where the numbers begin.
pub(super) fn read_header(path: &Path, reader: &mut dyn Read) -> Result<Array, DataError> {
    let failed = |error: std::io::Error| stream_error(path, &error);
    let malformed = || DataError::new(path, "is a malformed NumPy array: its header makes no sense", "Save it again");
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(failed)?;
    if !start.starts_with(MAGIC) {
        return Err(DataError::new(path, "is not a NumPy array", READABLE));
    }
    let mut length = [0; 4];
    let length_bytes = if start[6] == 1 { 2 } else { 4 };
    reader.read_exact(&mut length[..length_bytes]).map_err(failed)?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > LONGEST_HEADER {
        return Err(malformed());
    }
    let mut header = Vec::new();
    reader.take(length).read_to_end(&mut header).map_err(failed)?;
    if (header.len() as u64) < length {
        return Err(cut_short(path));
    }
    let header = String::from_utf8_lossy(&header);
    let value = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}'"))?;
        Some(rest.trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = value("descr").ok_or_else(malformed)?;
    let fortran = value("fortran_order").ok_or_else(malformed)?.starts_with("True");
    let shape = value("shape").and_then(|text| text.strip_prefix('(')?.split_once(')')).ok_or_else(malformed)?.0;
    let dims: Result<Vec<u64>, _> =
        shape.split(',').map(str::trim).filter(|n| !n.is_empty()).map(|n| n.trim_end_matches('L').parse()).collect();
    let dims = dims.map_err(|_| malformed())?;
    let kind_name = descr.strip_prefix('\'').and_then(|text| text.split_once('\''));
    let Some((name, _)) = kind_name else {
        return Err(DataError::new(path, "stores records, which are not read", READABLE));
    };
    let (order, kind_name) = name.split_at_checked(1).ok_or_else(malformed)?;
    let kind = match kind_name {
        "u1" | "b1" => Kind::U8,
        "i1" => Kind::I8,
        "u2" => Kind::U16,
        "i2" => Kind::I16,
        "u4" => Kind::U32,
        "i4" => Kind::I32,
        "u8" => Kind::U64,
        "i8" => Kind::I64,
        "f2" => Kind::F16,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        _ => return Err(DataError::new(path, format!("stores values of type {name}, which are not read"), READABLE)),
    };
    Ok(Array { numbers: Numbers::plain(kind, order == ">"), boolean: kind_name == "b1", fortran, dims })
}

/// Shows one slice of an array in a file of `length` bytes, by itself.
pub(super) fn tell_first(
    path: &Path,
    source: &mut (impl Read + Seek),
    length: u64,
    cancel: &AtomicBool,
    first: &mut FirstWish<'_>,
) {
    let Ok(mut array) = read_header(path, source) else { return };
    let (Some(layout), Ok(begin)) = (array.layout(), source.stream_position()) else { return };
    let bytes = array.numbers.kind.bytes() as u64;
    let plane = [layout.height, layout.width, layout.samples].iter().fold(bytes, |n, &size| n.saturating_mul(size));
    let Some(slice) = first.place(layout.slices, plane).filter(|_| !array.fortran) else { return };
    let place = begin.saturating_add(plane.saturating_mul(slice as u64));
    if place.saturating_add(plane) > length || source.seek(SeekFrom::Start(place)).is_err() {
        return;
    }
    array.dims[0] = 1;
    let source = Source { path, reader: source, length: plane, cancel, progress: &mut |_| {} };
    first.tell(path, array.decode(source), slice, layout.slices as usize);
}

impl Array {
    fn layout(&self) -> Option<Layout> {
        let [slices, samples, height, width] = match self.dims[..] {
            [height, width, samples @ (1 | 3 | 4)] => [1, samples, height, width],
            [slices, height, width, samples @ (1 | 3 | 4)] => [slices, samples, height, width],
            [height, width] => [1, 1, height, width],
            [slices, height, width] | [slices, 1, height, width] => [slices, 1, height, width],
            _ => return None,
        };
        Some(Layout { slices, samples, channels: samples.min(3), height, width })
    }

    /// Whether this is an image or a stack of images, more than a column of numbers.
    pub fn is_image(&self) -> bool {
        self.layout().is_some_and(|layout| layout.height > 1 && layout.width > 1)
    }

    /// `[slices, channels, height, width]` if this is an image or a stack of images.
    pub fn shape(&self) -> Option<[u64; 4]> {
        self.layout().map(|layout| [layout.slices, layout.channels, layout.height, layout.width])
    }

    /// The numbers, behind the header, as a stack.
    pub fn decode(self, source: Source) -> Result<Decoded, DataError> {
        let path = source.path;
        let Some(layout) = self.layout() else {
            let axes = self.dims.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ");
            let cause = format!("is an array of {axes} values, which is not an image");
            return Err(DataError::new(path, cause, READABLE));
        };
        let Layout { slices, samples, channels, height, width } = layout;
        check_size(path, [slices, samples, height, width], self.numbers.decoded_bytes())?;
        let kind = self.numbers.kind;
        let shown = self.boolean.then_some(Bounds { lower: 0.0, upper: 1.0 });
        let grid = self.numbers.grid();
        let (pixels, rounded) = self.read(source)?;
        let pixels = match pixels {
            pixels if samples == 1 => pixels,
            Pixels::U8(p) => Pixels::U8(planes(&p, slices, samples, channels)),
            Pixels::U16(p) => Pixels::U16(planes(&p, slices, samples, channels)),
            Pixels::I16(p) => Pixels::I16(planes(&p, slices, samples, channels)),
            Pixels::F32(p) => Pixels::F32(planes(&p, slices, samples, channels)),
        };
        let grid = if channels == 1 { grid } else { None };
        let notes = if rounded { vec![rounded_note(kind.name())] } else { Vec::new() };
        let about = About { format: "NumPy".to_owned(), numbers: kind.name(), grid, notes, ..About::default() };
        let shape = [slices, channels, height, width].map(|n| n as usize);
        Ok(Decoded { shape, pixels, about, bounds: None, shown })
    }

    /// All numbers in the order of C, as they are, and whether some had to be rounded.
    pub fn read(self, source: Source) -> Result<(Pixels, bool), DataError> {
        let Source { path, reader, length, cancel, progress } = source;
        let dims = if self.dims.is_empty() { vec![1] } else { self.dims };
        let len = check_size(path, [dims.iter().fold(1, |n, &d| n.saturating_mul(d)), 1, 1, 1], 8)?;
        let bytes = self.numbers.kind.bytes();
        if (len * bytes) as u64 > length {
            return Err(cut_short(path));
        }
        let mut filler = Filler::new(len, self.numbers);
        let failed = |error: std::io::Error| stream_error(path, &error);
        if self.fortran && dims.len() > 1 {
            let mut numbers = vec![0; len * bytes];
            reader.read_exact(&mut numbers).map_err(failed)?;
            for place in FortranOrder::new(&dims) {
                filler.push(&numbers[place * bytes..(place + 1) * bytes]);
            }
        } else {
            let mut piece = vec![0; (1 << 20).min(len * bytes)];
            let mut left = len * bytes;
            while left > 0 {
                check_cancelled(path, cancel)?;
                let piece = &mut piece[..left.min(1 << 20)];
                reader.read_exact(piece).map_err(failed)?;
                filler.push(piece);
                left -= piece.len();
                progress(1.0 - left as f32 / (len * bytes) as f32);
            }
        }
        Ok(filler.finish())
    }
}

/// An array of numbers of any shape.
#[derive(Clone, Debug)]
pub struct NumberArray {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// Row-major. Integers of more than 24 bits and doubles are rounded.
    pub values: Vec<f32>,
    /// Whether the file stores bytes without a sign, as an image of 8 bits is stored.
    pub bytes: bool,
}

/// Reads a `.npy` of any shape.
///
/// # Errors
/// If it is missing, malformed, cut short, too large, or holds records.
pub fn read_npy(path: &Path) -> Result<NumberArray, DataError> {
    let unreadable = |error: std::io::Error| super::open::read_error(path, &error);
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(DataError::new(path, "is not a regular file", READABLE));
    }
    let mut file = std::io::BufReader::new(std::fs::File::open(path).map_err(unreadable)?);
    let array = read_header(path, &mut file)?;
    let shape = array.dims.iter().map(|&n| n as usize).collect();
    let never = std::sync::atomic::AtomicBool::new(false);
    let source = Source { path, reader: &mut file, length: about.len(), cancel: &never, progress: &mut |_| {} };
    let (pixels, _) = array.read(source)?;
    let bytes = matches!(pixels, Pixels::U8(_));
    let values = match pixels {
        Pixels::U8(p) => p.iter().map(|&v| f32::from(v)).collect(),
        Pixels::U16(p) => p.iter().map(|&v| f32::from(v)).collect(),
        Pixels::I16(p) => p.iter().map(|&v| f32::from(v)).collect(),
        Pixels::F32(p) => p.to_vec(),
    };
    Ok(NumberArray { shape, values, bytes })
}

/// The places, in a file whose first axis runs fastest, of the numbers in the order in which the last axis does.
struct FortranOrder {
    /// Size, stride in the file and index of each axis.
    axes: Vec<[usize; 3]>,
    next: Option<usize>,
}

impl FortranOrder {
    fn new(dims: &[u64]) -> Self {
        let mut stride = 1;
        let axes = dims
            .iter()
            .map(|&size| {
                let axis = [size as usize, stride, 0];
                stride *= size as usize;
                axis
            })
            .collect();
        Self { axes, next: Some(0) }
    }
}

impl Iterator for FortranOrder {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let place = self.next?;
        let mut next = place;
        for [size, stride, index] in self.axes.iter_mut().rev() {
            *index += 1;
            next += *stride;
            if index < size {
                self.next = Some(next);
                return Some(place);
            }
            next -= *size * *stride;
            *index = 0;
        }
        self.next = None;
        Some(place)
    }
}

/// Interleaved pixels of each slice → planes.
fn planes<T: Copy + bytemuck::Zeroable>(pixels: &[T], slices: u64, samples: u64, channels: u64) -> Arc<[T]> {
    let (slices, samples, channels) = (slices as usize, samples as usize, channels as usize);
    let slice = pixels.len() / slices;
    let plane = slice / samples;
    let mut planes = zeros(plane * channels * slices);
    let to = Arc::make_mut(&mut planes).chunks_exact_mut(plane * channels);
    for (to, from) in to.zip(pixels.chunks_exact(slice)) {
        deinterleave(from, samples, to);
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_fortran_is_undone() {
        // numpy.arange(6).reshape(2, 3, order="F") reads 0 2 4 / 1 3 5.
        assert_eq!(FortranOrder::new(&[2, 3]).collect::<Vec<_>>(), [0, 2, 4, 1, 3, 5]);
        assert_eq!(FortranOrder::new(&[2, 1, 2]).collect::<Vec<_>>(), [0, 2, 1, 3]);
    }
}
