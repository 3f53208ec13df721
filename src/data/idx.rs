//! Data sets for classification: MNIST's idx format and CIFAR-10's binary one. Every image is a slice with a class.
//!
//! idx (yann.lecun.com/exdb/mnist): two zero bytes, the type, the number of axes, their sizes as big-endian 32-bit
//! integers, the numbers. The classes lie in a file of their own beside the images. CIFAR-10
//! (cs.toronto.edu/~kriz/cifar.html): records of one class and three planes of 32 × 32 pixels.

use super::DataError;
use super::Pixels;
use super::about::About;
use super::numbers::{Filler, Kind, Numbers};
use super::open::{Decoded, LARGEST_DECODED_BYTES, Source, check_cancelled, check_size, stream_error};
use super::raster::cut_short;
use super::stack::zeros;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// What would work instead.
const READABLE: &str = "Open a file of images, such as train-images-idx3-ubyte";

fn kind(code: u8) -> Option<Kind> {
    Some(match code {
        0x08 => Kind::U8,
        0x09 => Kind::I8,
        0x0b => Kind::I16,
        0x0c => Kind::I32,
        0x0d => Kind::F32,
        0x0e => Kind::F64,
        _ => return None,
    })
}

/// Whether a file begins as idx does.
pub(super) fn is_idx(head: &[u8]) -> bool {
    matches!(head, [0, 0, code, 1..=4, ..] if kind(*code).is_some())
}

/// The kind of the numbers and `[slices, 1, height, width]`; leaves `reader` where the numbers begin.
pub(super) fn read_header(path: &Path, reader: &mut dyn Read) -> Result<(Kind, [u64; 4]), DataError> {
    let failed = |error: std::io::Error| stream_error(path, &error);
    let mut start = [0; 4];
    reader.read_exact(&mut start).map_err(failed)?;
    let axes = usize::from(start[3]);
    let mut dims = [1u64; 4];
    for dim in dims.iter_mut().take(axes) {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).map_err(failed)?;
        *dim = u32::from_be_bytes(bytes).into();
    }
    let shape = match axes {
        1 => return Err(DataError::new(path, "holds class labels, not images", READABLE)),
        2 => [1, 1, dims[0], dims[1]],
        3 => [dims[0], 1, dims[1], dims[2]],
        _ => return Err(DataError::new(path, format!("is an idx file of {axes} axes, which is not read"), READABLE)),
    };
    let kind = kind(start[2]).ok_or_else(|| DataError::new(path, "is a malformed idx file", READABLE))?;
    Ok((kind, shape))
}

/// Decodes a file of images, two axes or three.
pub(super) fn decode(source: Source) -> Result<Decoded, DataError> {
    let Source { path, reader, length, cancel, progress } = source;
    let failed = |error: std::io::Error| stream_error(path, &error);
    let (kind, [slices, _, height, width]) = read_header(path, reader)?;
    let numbers = Numbers::plain(kind, true);
    let len = check_size(path, [slices, 1, height, width], numbers.decoded_bytes())?;
    if (len * kind.bytes()) as u64 > length {
        return Err(cut_short(path));
    }
    let mut filler = Filler::new(len, numbers);
    let mut slice = vec![0; (height * width) as usize * kind.bytes()];
    for done in 1..=slices {
        check_cancelled(path, cancel)?;
        reader.read_exact(&mut slice).map_err(failed)?;
        filler.push(&slice);
        progress(done as f32 / slices as f32);
    }
    let classes = labels_beside(path, slices);
    let about = About { format: "idx".to_owned(), numbers: kind.name(), classes, ..About::default() };
    let shape = [slices as usize, 1, height as usize, width as usize];
    Ok(Decoded { shape, pixels: filler.finish().0, about, bounds: None, shown: None })
}

/// The classes of `count` images in the file that MNIST keeps beside that of the images; `None` if there is none, or not
/// one that fits.
pub(super) fn labels_beside(images: &Path, count: u64) -> Option<Arc<[u16]>> {
    let name = images.file_name()?.to_str()?;
    let plain = name.strip_suffix(".gz").unwrap_or(name).replace("images", "labels").replace("idx3", "idx1");
    if plain == name {
        return None;
    }
    let mut bytes = Vec::new();
    let zipped = images.with_file_name(format!("{plain}.gz"));
    if let Ok(file) = File::open(images.with_file_name(&plain)) {
        file.take(count + 9).read_to_end(&mut bytes).ok()?;
    } else {
        let file = BufReader::new(File::open(zipped).ok()?);
        flate2::bufread::MultiGzDecoder::new(file).take(count + 9).read_to_end(&mut bytes).ok()?;
    }
    let labels = bytes.strip_prefix(&[0, 0, 8, 1])?.get(4..)?;
    (labels.len() as u64 == count).then(|| labels.iter().map(|&class| class.into()).collect())
}

pub(super) const CIFAR_SIDE: usize = 32;
const CIFAR_RECORD: usize = 1 + 3 * CIFAR_SIDE * CIFAR_SIDE;

/// Whether a file of `length` bytes that begins with `head` may be one of CIFAR-10; [`decode_cifar`] knows.
pub(super) fn may_be_cifar(head: &[u8], length: u64) -> bool {
    length > 0 && length.is_multiple_of(CIFAR_RECORD as u64) && head.first().is_some_and(|&class| class < 10)
}

/// The classes of the images in a file of CIFAR-10 of `length` bytes, or `None` if it is something else.
pub(super) fn cifar_classes(path: &Path, reader: &mut dyn Read, length: u64) -> Result<Option<Vec<u16>>, DataError> {
    let mut record = [0; CIFAR_RECORD];
    let mut classes = Vec::new();
    for _ in 0..length / CIFAR_RECORD as u64 {
        reader.read_exact(&mut record).map_err(|error| stream_error(path, &error))?;
        if record[0] > 9 {
            return Ok(None);
        }
        classes.push(record[0].into());
    }
    Ok(Some(classes))
}

/// Decodes CIFAR-10's binary format, or `None` if it is something else.
pub(super) fn decode_cifar(source: Source) -> Result<Option<Decoded>, DataError> {
    let Source { path, reader, length, cancel, progress } = source;
    let slices = length / CIFAR_RECORD as u64;
    let len = check_size(path, [slices, 3, CIFAR_SIDE as u64, CIFAR_SIDE as u64], 1)?;
    debug_assert!(len as u64 <= LARGEST_DECODED_BYTES);
    let mut pixels: Arc<[u8]> = zeros(len);
    let mut classes: Vec<u16> = Vec::with_capacity(slices as usize);
    let mut record = [0; CIFAR_RECORD];
    for (done, planes) in Arc::make_mut(&mut pixels).chunks_exact_mut(CIFAR_RECORD - 1).enumerate() {
        check_cancelled(path, cancel)?;
        reader.read_exact(&mut record).map_err(|error| stream_error(path, &error))?;
        if record[0] > 9 {
            return Ok(None);
        }
        classes.push(record[0].into());
        planes.copy_from_slice(&record[1..]);
        progress((done + 1) as f32 / slices as f32);
    }
    let about = About {
        format: "CIFAR-10".to_owned(),
        numbers: Kind::U8.name(),
        classes: Some(classes.into()),
        ..About::default()
    };
    let shape = [slices as usize, 3, CIFAR_SIDE, CIFAR_SIDE];
    Ok(Some(Decoded { shape, pixels: Pixels::U8(pixels), about, bounds: None, shown: None }))
}
