//! Opening a file: what it is, by its content, and which reader reads it.

use super::about::About;
use super::raster::cut_short;
use super::sniff::{Format, HEAD, UNKNOWN, sniff};
use super::{Bounds, DataError, FirstWish, Pixels, Stack, StoredType, dicom, idx, nifti, npy, npz, raster, tiff};
use flate2::read::MultiGzDecoder;
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// No file may take more than this when decoded, in bytes: 2 GiB. Checked from the header, before any allocation.
pub const LARGEST_DECODED_BYTES: u64 = 2 << 30;

/// What would work instead of a file of an unknown format.
const FORMATS: &str = "Open a DICOM, NIfTI, TIFF, PNG, JPEG, BMP, WebP or NumPy file";

/// Folders that a message names, at most.
const NAMED_FOLDERS: usize = 3;

/// No file shrinks by more with Deflate (zlib.net: 1032).
pub(super) const LARGEST_GZIP_RATIO: u64 = 1040;

/// Bytes to decode, one after another.
pub(super) struct Source<'a> {
    /// The file's name.
    pub path: &'a Path,
    pub reader: &'a mut dyn Read,
    /// It holds no more bytes than these.
    pub length: u64,
    pub cancel: &'a AtomicBool,
    pub progress: &'a mut dyn FnMut(f32),
}

/// What a reader makes of a file.
pub(super) struct Decoded {
    /// `[slices, channels, height, width]`.
    pub shape: [usize; 4],
    pub pixels: Pixels,
    pub about: About,
    /// Bounds, if the format or the unit says them.
    pub bounds: Option<Bounds>,
    /// The window that the file wishes.
    pub shown: Option<Bounds>,
}

impl Decoded {
    /// A file that says nothing of its pixels.
    fn plain(format: &str, (shape, pixels): ([usize; 4], Pixels)) -> Self {
        let numbers = match pixels.stored() {
            StoredType::U8 => "uint8",
            StoredType::U16 => "uint16",
            StoredType::I16 => "int16",
            StoredType::F32 => "float32",
        };
        let about = About { format: format.to_owned(), numbers, ..About::default() };
        Self { shape, pixels, about, bounds: None, shown: None }
    }
}

/// Reads an image or a stack: PNG, JPEG, BMP, WebP, TIFF with one or more pages, DICOM (a file, or a folder with a series, which is sorted by position), NIfTI, NumPy's `.npy` and `.npz`, MNIST's
/// idx (with the classes in the file beside it) and CIFAR-10's binary files. The format follows from the
/// file's content, whatever its name; `data.npz/NAME` opens the array NAME. Pixels are taken as stored: colour profiles, gamma and the orientation tag are
/// not applied (a mask drawn on the stored pixels would no longer fit), an alpha channel is dropped, and an RGB image whose
/// channels are all equal becomes grey. Samples of 1, 2 and 4 bits are spread over 0–255.
///
/// Set `cancel` to stop between pages.
///
/// # Errors
/// If the file is missing, unreadable, malformed, of a format, depth or colour that is not read, larger than
/// [`LARGEST_DECODED_BYTES`], holds values that are not finite, or `cancel` was set ([`DataError::is_cancelled`]).
pub fn open(path: &Path, cancel: &AtomicBool) -> Result<Stack, DataError> {
    open_with_progress(path, cancel, &mut |_| {})
}

/// As [`open`]; `progress` is called with the share done, in `[0, 1]`.
///
/// # Errors
/// As [`open`].
pub fn open_with_progress(path: &Path, cancel: &AtomicBool, progress: &mut dyn FnMut(f32)) -> Result<Stack, DataError> {
    open_showing_first(path, cancel, progress, None)
}

/// As [`open_with_progress`]; `first` is shown a slice of a large file as soon as that slice is read.
///
/// # Errors
/// As [`open`].
pub fn open_showing_first(
    path: &Path,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(f32),
    first: Option<FirstWish<'_>>,
) -> Result<Stack, DataError> {
    let (file, member) = member_of_archive(path);
    // A named pipe would block and a device never end: look before opening.
    let metadata = fs::metadata(file).map_err(|error| read_error(path, &error))?;
    if metadata.is_dir() {
        return open_folder(path, cancel, progress, first);
    }
    if !metadata.is_file() {
        return Err(DataError::new(path, "is not a regular file", FORMATS));
    }
    let file = File::open(file).map_err(|error| read_error(path, &error))?;
    let mut stack = decode(path, BufReader::new(file), metadata.len(), member, cancel, progress, first)?;
    stack.path = Some(path.to_owned());
    Ok(stack)
}

/// As [`open`], of bytes in memory; `name` stands for the file in errors. The stack has no path.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(name: &str, bytes: &[u8]) -> Result<Stack, DataError> {
    decode(Path::new(name), Cursor::new(bytes), bytes.len() as u64, None, &AtomicBool::new(false), &mut |_| {}, None)
}

/// Says that a folder has no series of its own, and which of the folders in it have.
fn without_dicom(path: &Path) -> DataError {
    let below = dicom::folders_with_files(path);
    let names: Vec<String> = below.iter().take(NAMED_FOLDERS).map(|folder| folder.display().to_string()).collect();
    match names.as_slice() {
        [] => {
            let hint = "Choose a file in it; `epsiloscope dataset` says what else it holds";
            DataError::new(path, "is a folder without DICOM files", hint)
        }
        [only] => DataError::new(path, "has no DICOM files itself, and a folder in it has", format!("Open {only}")),
        several => {
            let more = if below.len() > several.len() { " or another one" } else { "" };
            let hint = format!("Open one of {}{more}", several.join(", "));
            DataError::new(path, "has no DICOM files itself, and folders in it have", hint)
        }
    }
}

/// Opens a folder that holds a DICOM series.
fn open_folder(
    path: &Path,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(f32),
    first: Option<FirstWish<'_>>,
) -> Result<Stack, DataError> {
    let files = dicom::find_series(path)?;
    if files.is_empty() {
        return Err(without_dicom(path));
    }
    let decoded = guarded(path, || dicom::decode_series(path, &files, cancel, progress, first))?;
    let stack = Stack::from_decoded(decoded).map_err(|error| DataError { path: path.to_owned(), ..error })?;
    progress(1.0);
    Ok(Stack { path: Some(path.to_owned()), ..stack })
}

/// Decoders are other people's code on hostile input: a panic in one of them is a malformed file to us.
pub(super) fn guarded<T>(path: &Path, decode: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(DataError::new(path, "is malformed: its decoder failed", "Open it in another program and save it again"))
    })
}

/// `data.npz/NAME` → the archive and NAME.
pub(super) fn member_of_archive(path: &Path) -> (&Path, Option<&str>) {
    match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(archive), Some(name)) if archive.is_file() => (archive, Some(name)),
        _ => (path, None),
    }
}

fn decode(
    path: &Path,
    mut source: impl Read + Seek,
    length: u64,
    member: Option<&str>,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(f32),
    mut first: Option<FirstWish<'_>>,
) -> Result<Stack, DataError> {
    let mut head = Vec::new();
    source.by_ref().take(HEAD).read_to_end(&mut head).map_err(|error| read_error(path, &error))?;
    source.rewind().map_err(|error| read_error(path, &error))?;
    let format = sniff(&head, length).map_err(|what| DataError::new(path, what, FORMATS))?;
    if member.is_some() && format != Format::Zip {
        return Err(DataError::new(path, "does not exist: what its name takes for a folder is a file", FORMATS));
    }
    check_cancelled(path, cancel)?;
    if let Some(first) = &mut first {
        // What is wrong with the file is said when all of it is read.
        let _ = guarded(path, || {
            match format {
                Format::Nifti(version) => nifti::tell_first(path, &mut source, length, version, &head, cancel, first),
                Format::Npy => npy::tell_first(path, &mut source, length, cancel, first),
                _ => {}
            }
            Ok(())
        });
        source.rewind().map_err(|error| read_error(path, &error))?;
    }
    let decoded = guarded(path, || match format {
        Format::Tiff => tiff::decode(path, source, length, cancel, progress, first),
        Format::Zip => npz::decode(path, &mut source, length, member, cancel, progress),
        Format::Raster(format) => {
            if length > LARGEST_DECODED_BYTES {
                return Err(too_large(path, format!("the file has {length} bytes")));
            }
            let mut bytes = Vec::new();
            source.take(LARGEST_DECODED_BYTES).read_to_end(&mut bytes).map_err(|error| read_error(path, &error))?;
            Ok(Decoded::plain(raster::format_name(format), raster::decode(path, format, &bytes)?))
        }
        format => {
            let source = Source { path, reader: &mut source, length, cancel, progress };
            decode_stream(source, format, &head)?.ok_or_else(|| DataError::new(path, UNKNOWN, FORMATS))
        }
    })?;
    check_cancelled(path, cancel)?;
    let stack = Stack::from_decoded(decoded).map_err(|error| DataError { path: path.to_owned(), ..error })?;
    progress(1.0);
    Ok(stack)
}

/// Decodes a format that is read from its beginning to its end. `None` if it is of no known format after all.
fn decode_stream(source: Source, format: Format, head: &[u8]) -> Result<Option<Decoded>, DataError> {
    match format {
        Format::Nifti(version) => nifti::decode(source, version, head).map(Some),
        Format::Dicom => dicom::decode(source).map(Some),
        Format::Idx => idx::decode(source).map(Some),
        Format::Npy => {
            let array = npy::read_header(source.path, source.reader)?;
            array.decode(source).map(Some)
        }
        Format::Cifar => idx::decode_cifar(source),
        Format::Gzip => decode_gzip(source).map(Some),
        Format::Raster(_) | Format::Tiff | Format::Zip => Ok(None),
    }
}

/// Decodes what a gzip file holds.
fn decode_gzip(source: Source) -> Result<Decoded, DataError> {
    let Source { path, reader, length, cancel, progress } = source;
    let failed = |error: io::Error| stream_error(path, &error);
    let mut reader = BufReader::new(MultiGzDecoder::new(reader));
    let mut head = Vec::new();
    reader.by_ref().take(HEAD).read_to_end(&mut head).map_err(failed)?;
    // What the file may hold; a length that tells a format by itself is not known here.
    let length = length.saturating_mul(LARGEST_GZIP_RATIO);
    let format = match sniff(&head, u64::MAX) {
        Ok(format @ (Format::Nifti(_) | Format::Idx | Format::Npy)) => format,
        _ => {
            let cause = "is compressed with gzip, and holds neither a NIfTI volume, a NumPy array nor MNIST's idx";
            return Err(DataError::new(path, cause, "Decompress it first"));
        }
    };
    let mut whole = head.chain(&mut reader);
    let source = Source { path, reader: &mut whole, length, cancel, progress };
    let decoded = decode_stream(source, format, &head)?;
    // Reading on to the end compares the checksum.
    io::copy(&mut whole.take(1), &mut io::sink()).map_err(failed)?;
    let mut decoded = decoded.ok_or_else(|| DataError::new(path, UNKNOWN, FORMATS))?;
    decoded.about.format += ", gzip";
    Ok(decoded)
}

/// The error of a file that decodes to more than [`LARGEST_DECODED_BYTES`].
pub(super) fn too_large(path: &Path, what: impl std::fmt::Display) -> DataError {
    let limit = LARGEST_DECODED_BYTES >> 30;
    DataError::new(
        path,
        format!("is too large: {what}, and at most {limit} GiB may be decoded"),
        "Crop it, or split the stack into several files",
    )
}

/// Checks from the header that `values` of `bytes` each may be decoded, `[slices, samples, height, width]`, before
/// anything is allocated. Returns the number of values.
pub(super) fn check_size(path: &Path, shape: [u64; 4], bytes: u64) -> Result<usize, DataError> {
    let [slices, samples, height, width] = shape;
    if shape.contains(&0) {
        return Err(DataError::new(path, format!("has no pixels ({width} × {height})"), ""));
    }
    let values = shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n));
    let fits = |&n: &u64| n.checked_mul(bytes).is_some_and(|total| total <= LARGEST_DECODED_BYTES);
    values.filter(fits).and_then(|n| usize::try_from(n).ok()).ok_or_else(|| {
        let of = if slices > 1 { format!(" in {slices} pages") } else { String::new() };
        let unit = if samples == 1 { "value" } else { "values" };
        too_large(path, format!("{width} × {height} pixels{of} of {samples} {unit} with {bytes} bytes"))
    })
}

pub(super) fn check_cancelled(path: &Path, cancel: &AtomicBool) -> Result<(), DataError> {
    if cancel.load(Ordering::Relaxed) { Err(DataError::cancelled(path)) } else { Ok(()) }
}

/// The note on numbers that lost digits.
pub(super) fn rounded_note(kind: &str) -> String {
    format!("Some of its values ({kind}) were rounded to 32-bit floats")
}

/// The error of a source that is read from its beginning to its end.
pub(super) fn stream_error(path: &Path, error: &io::Error) -> DataError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => cut_short(path),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            DataError::new(path, "is damaged: what it compresses does not decompress", "Copy or export it again")
        }
        _ => read_error(path, error),
    }
}

pub(super) fn read_error(path: &Path, error: &io::Error) -> DataError {
    match error.kind() {
        io::ErrorKind::NotFound => DataError::new(path, "does not exist", "Check the name and the folder"),
        io::ErrorKind::PermissionDenied => DataError::new(path, "may not be read", "Ask for the right to read it"),
        _ => DataError::new(path, format!("cannot be read: {error}"), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked_without_overflow() {
        let path = Path::new("x");
        assert_eq!(check_size(path, [1, 1, 2, 3], 4).ok(), Some(6));
        assert!(check_size(path, [1, 1, 0, 3], 1).is_err());
        assert!(check_size(path, [u64::MAX, u64::MAX, 2, 2], 4).is_err());
        assert!(check_size(path, [1, 1, 1 << 16, 1 << 15], 1).is_ok());
        assert!(check_size(path, [1, 1, 1 << 16, 1 << 15], 2).is_err());
    }
}
