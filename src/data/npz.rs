//! NumPy's `.npz`: a ZIP archive of arrays, stored or deflated, of which one is opened.
//!
//! Only what numpy writes is read (APPNOTE.TXT of PKWARE: sections 4.3 and 4.5.3): no encryption, one part.

use super::npy;
use super::open::{Decoded, LARGEST_GZIP_RATIO, Source, stream_error};
use super::raster::cut_short;
use super::{DataError, Pixels};
use flate2::read::DeflateDecoder;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What would work instead.
const READABLE: &str = "Save an array of images with numpy.savez";

/// An archive with more files is none of arrays.
const MOST_ENTRIES: usize = 4096;

/// A file in the archive.
struct Entry {
    /// The name of the array: without `.npy`.
    name: String,
    deflated: bool,
    compressed: u64,
    size: u64,
    offset: u64,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes: [u8; N] = bytes.get(at..at + N)?.try_into().ok()?;
    Some(bytes.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte)))
}

/// The arrays in the archive.
fn entries(path: &Path, source: &mut (impl Read + Seek), length: u64) -> Result<Vec<Entry>, DataError> {
    let failed = |error: io::Error| stream_error(path, &error);
    let mut read = |from: u64, len: u64| {
        let mut bytes = Vec::new();
        source.seek(SeekFrom::Start(from)).map_err(failed)?;
        source.by_ref().take(len).read_to_end(&mut bytes).map_err(failed)?;
        Ok::<_, DataError>(bytes)
    };
    // The directory is announced at the end, before a comment.
    let tail_start = length.saturating_sub(22 + 65_535);
    let tail = read(tail_start, length - tail_start)?;
    let end = tail.windows(4).rposition(|bytes| bytes == b"PK\x05\x06").ok_or_else(|| cut_short(path))?;
    let mut size = number::<4>(&tail, end + 12);
    let mut offset = number::<4>(&tail, end + 16);
    if let Some(locator) = end.checked_sub(20).filter(|&at| tail[at..].starts_with(b"PK\x06\x07")) {
        let at = number::<8>(&tail, locator + 8).ok_or_else(|| cut_short(path))?;
        let record = read(at, 56)?;
        size = number::<8>(&record, 40);
        offset = number::<8>(&record, 48);
    }
    let (Some(size), Some(offset)) = (size, offset) else { return Err(cut_short(path)) };
    let directory = read(offset.min(length), size.min(1 << 24))?;
    let mut entries = Vec::new();
    let mut rest = &directory[..];
    while rest.starts_with(b"PK\x01\x02") && entries.len() < MOST_ENTRIES {
        let Some((entry, len)) = entry(rest) else { return Err(cut_short(path)) };
        entries.extend(entry);
        rest = rest.get(len..).unwrap_or_default();
    }
    Ok(entries)
}

/// The array at the beginning of a directory, if it is one that can be read, and the length of what describes it.
fn entry(directory: &[u8]) -> Option<(Option<Entry>, usize)> {
    let field = |at| number::<2>(directory, at).map(|n| n as usize);
    let [flags, method, name, extra, comment] = [field(8)?, field(10)?, field(28)?, field(30)?, field(32)?];
    let mut compressed = number::<4>(directory, 20)?;
    let mut size = number::<4>(directory, 24)?;
    let mut offset = number::<4>(directory, 42)?;
    let file_name = String::from_utf8_lossy(directory.get(46..46 + name)?).into_owned();
    // Numbers that do not fit into 32 bits follow in the extra field of kind 1, in this order.
    let mut extra_field = directory.get(46 + name..46 + name + extra)?;
    while let (Some(kind), Some(len)) = (number::<2>(extra_field, 0), number::<2>(extra_field, 2)) {
        let len = len as usize;
        if kind == 1 {
            let long = [&mut size, &mut compressed, &mut offset].into_iter().filter(|n| **n == u64::from(u32::MAX));
            for (index, value) in long.enumerate() {
                *value = number::<8>(extra_field, 4 + 8 * index)?;
            }
        }
        extra_field = extra_field.get(4 + len..).unwrap_or_default();
    }
    let readable = flags & 1 == 0 && matches!(method, 0 | 8);
    let name_of_array = file_name.strip_suffix(".npy").filter(|_| readable);
    let entry =
        name_of_array.map(|name| Entry { name: name.to_owned(), deflated: method == 8, compressed, size, offset });
    Some((entry, 46 + name + extra + comment))
}

impl Entry {
    /// Calls `read` with the array's bytes and how many there are at most.
    fn with_bytes<T>(
        &self,
        path: &Path,
        source: &mut (impl Read + Seek),
        read: impl FnOnce(&mut dyn Read, u64) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let failed = |error: io::Error| stream_error(path, &error);
        let mut header = [0; 30];
        source.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        source.read_exact(&mut header).map_err(failed)?;
        let lengths = [26, 28].map(|at| i64::from(header[at]) | i64::from(header[at + 1]) << 8);
        source.seek(SeekFrom::Current(lengths[0] + lengths[1])).map_err(failed)?;
        let bytes = source.by_ref().take(self.compressed);
        if self.deflated {
            let most = self.compressed.saturating_mul(LARGEST_GZIP_RATIO);
            read(&mut DeflateDecoder::new(BufReader::new(bytes)), self.size.min(most))
        } else {
            read(&mut BufReader::new(bytes), self.size.min(self.compressed))
        }
    }
}

/// The names under which a data set keeps the classes of images called `name`: `train_images` → `train_labels`.
fn label_name(name: &str) -> Option<String> {
    [("images", "labels"), ("image", "label"), ("x_", "y_"), ("X_", "y_")]
        .iter()
        .find(|(images, _)| name.contains(images))
        .map(|(images, labels)| name.replacen(images, labels, 1))
        .or_else(|| name.eq_ignore_ascii_case("x").then(|| "y".to_owned()))
}

/// Opens the array called `wanted`, or without a wish the first that is an image or a stack of images.
pub(super) fn decode(
    path: &Path,
    source: &mut (impl Read + Seek),
    length: u64,
    wanted: Option<&str>,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(f32),
) -> Result<Decoded, DataError> {
    let entries = entries(path, source, length)?;
    let names = entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", ");
    if entries.is_empty() {
        return Err(DataError::new(path, "is a ZIP archive without NumPy arrays, not an image", READABLE));
    }
    let mut chosen = None;
    for entry in &entries {
        let mut is_image =
            || entry.with_bytes(path, source, |reader, _| Ok(npy::read_header(path, reader)?.is_image()));
        if wanted.map_or_else(|| is_image().unwrap_or(false), |wanted| entry.name == wanted) {
            chosen = Some(entry);
            break;
        }
    }
    let Some(chosen) = chosen else {
        let cause = match wanted {
            Some(wanted) => format!("has no array {wanted}; it has {names}"),
            None => format!("has no array of images among {names}"),
        };
        return Err(DataError::new(path, cause, READABLE));
    };
    let mut decoded = chosen.with_bytes(path, source, |reader, length| {
        let array = npy::read_header(path, reader)?;
        array.decode(Source { path, reader, length, cancel, progress })
    })?;
    decoded.about.format = "NumPy archive".to_owned();
    if entries.len() > 1 {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        decoded.about.notes.push(format!("{} of the arrays {names}; open {name}/NAME for another", chosen.name));
    }
    decoded.about.classes = read_classes(path, source, &entries, &chosen.name, decoded.shape[0] as u64, cancel)?;
    Ok(decoded)
}

fn classes(numbers: &Pixels) -> Option<Arc<[u16]>> {
    match numbers {
        Pixels::U8(classes) => Some(classes.iter().map(|&class| class.into()).collect()),
        Pixels::I16(classes) => classes.iter().map(|&class| u16::try_from(class).ok()).collect(),
        Pixels::U16(classes) => Some(classes.clone()),
        Pixels::F32(classes) => {
            classes.iter().map(|&v| ((0.0..65_536.0).contains(&v) && v.fract() == 0.0).then_some(v as u16)).collect()
        }
    }
}

/// An array of images in an archive, without its numbers.
pub(super) struct ImageArray {
    pub name: String,
    /// `[slices, channels, height, width]`.
    pub shape: [u64; 4],
    pub classes: Option<Arc<[u16]>>,
}

/// The arrays of images in an archive of `length` bytes, with their classes where it keeps them.
pub(super) fn image_arrays(
    path: &Path,
    source: &mut (impl Read + Seek),
    length: u64,
    cancel: &AtomicBool,
) -> Result<Vec<ImageArray>, DataError> {
    let entries = entries(path, source, length)?;
    let mut arrays = Vec::new();
    for entry in &entries {
        let header = entry.with_bytes(path, source, |reader, _| npy::read_header(path, reader));
        let Some(shape) = header.ok().and_then(|array| array.is_image().then(|| array.shape()).flatten()) else {
            continue;
        };
        let classes = read_classes(path, source, &entries, &entry.name, shape[0], cancel)?;
        arrays.push(ImageArray { name: entry.name.clone(), shape, classes });
    }
    Ok(arrays)
}

/// The classes of the `count` images called `name`, if the archive keeps them.
fn read_classes(
    path: &Path,
    source: &mut (impl Read + Seek),
    entries: &[Entry],
    name: &str,
    count: u64,
    cancel: &AtomicBool,
) -> Result<Option<Arc<[u16]>>, DataError> {
    let label = label_name(name).and_then(|label| entries.iter().find(|entry| entry.name == label));
    let Some(label) = label else { return Ok(None) };
    label.with_bytes(path, source, |reader, length| {
        let array = npy::read_header(path, reader)?;
        // One number for each image; anything else is a mask, or several labels.
        if array.dims.first() != Some(&count) || array.dims.iter().skip(1).any(|&n| n != 1) {
            return Ok(None);
        }
        let (numbers, _) = array.read(Source { path, reader, length, cancel, progress: &mut |_| {} })?;
        Ok(classes(&numbers))
    })
}
