//! What a file holds, from its header: no pixel is decoded.

use super::open::{LARGEST_GZIP_RATIO, guarded, read_error, stream_error};
use super::sniff::{Format, HEAD, UNKNOWN, sniff};
use super::{DataError, dicom, idx, nifti, npy, npz, raster, tiff};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What a file holds, or one array of an archive.
#[derive(Clone, Debug)]
pub(super) struct Peek {
    /// What [`super::open()`] opens: the file, or `ARCHIVE/ARRAY`.
    pub path: PathBuf,
    /// `[slices, channels, height, width]`; RGB whose channels turn out to be equal becomes grey when it is read.
    pub shape: [usize; 4],
    /// The class of each slice, where the file gives them.
    pub classes: Option<Arc<[u16]>>,
    /// Tells the series of DICOM files apart.
    pub series: Option<String>,
}

/// The images in a file: one, or for an archive one for each array; none in a DICOM file without pixels.
///
/// # Errors
/// If it is of no known format, or its header is malformed.
pub(super) fn peek(path: &Path, cancel: &AtomicBool) -> Result<Vec<Peek>, DataError> {
    guarded(path, || peek_unguarded(path, cancel))
}

fn peek_unguarded(path: &Path, cancel: &AtomicBool) -> Result<Vec<Peek>, DataError> {
    let failed = |error| read_error(path, &error);
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(DataError::new(path, "is not a regular file", ""));
    }
    let length = metadata.len();
    let mut source = BufReader::new(File::open(path).map_err(failed)?);
    let mut head = Vec::new();
    source.by_ref().take(HEAD).read_to_end(&mut head).map_err(failed)?;
    source.rewind().map_err(failed)?;
    let format = sniff(&head, length).map_err(|what| DataError::new(path, what, ""))?;
    let (mut classes, mut series) = (None, None);
    let shape = match format {
        Format::Raster(format) => raster::peek(path, format, source)?,
        Format::Tiff => tiff::peek(path, source, length, cancel)?,
        Format::Zip => {
            let arrays = npz::image_arrays(path, &mut source, length, cancel)?;
            let one = |array: npz::ImageArray| {
                let classes = array.classes;
                Ok(Peek { path: path.join(array.name), shape: sizes(path, array.shape)?, classes, series: None })
            };
            return arrays.into_iter().map(one).collect();
        }
        Format::Dicom => match dicom::peek(path)? {
            None => return Ok(Vec::new()),
            Some(peeked) => {
                series = Some(peeked.series);
                peeked.shape
            }
        },
        Format::Cifar => {
            let found = idx::cifar_classes(path, &mut source, length)?;
            let found = found.ok_or_else(|| DataError::new(path, UNKNOWN, ""))?;
            let side = idx::CIFAR_SIDE as u64;
            let shape = [found.len() as u64, 3, side, side];
            classes = Some(found.into());
            shape
        }
        Format::Gzip => {
            let mut reader = BufReader::new(MultiGzDecoder::new(source));
            let mut head = Vec::new();
            let failed = |error| stream_error(path, &error);
            reader.by_ref().take(HEAD).read_to_end(&mut head).map_err(failed)?;
            let length = length.saturating_mul(LARGEST_GZIP_RATIO);
            let format = sniff(&head, u64::MAX).map_err(|what| DataError::new(path, what, ""))?;
            header_of_stream(path, format, &head, length, &mut classes)?
        }
        format => header_of_stream(path, format, &head, length, &mut classes)?,
    };
    Ok(vec![Peek { path: path.to_owned(), shape: sizes(path, shape)?, classes, series }])
}

/// The shape in a header that lies at the beginning of a file of at most `length` bytes.
fn header_of_stream(
    path: &Path,
    format: Format,
    mut head: &[u8],
    length: u64,
    classes: &mut Option<Arc<[u16]>>,
) -> Result<[u64; 4], DataError> {
    match format {
        Format::Nifti(version) => nifti::peek(path, version, head),
        Format::Npy => npy::read_header(path, &mut head)?
            .shape()
            .ok_or_else(|| DataError::new(path, "is an array that is not an image", "")),
        Format::Idx => {
            let (kind, shape) = idx::read_header(path, &mut head)?;
            // A header that promises more than the file holds would make as many entries.
            if shape.iter().fold(kind.bytes() as u64, |n, &size| n.saturating_mul(size)) <= length {
                *classes = idx::labels_beside(path, shape[0]);
            }
            Ok(shape)
        }
        _ => Err(DataError::new(path, UNKNOWN, "")),
    }
}

fn sizes(path: &Path, shape: [u64; 4]) -> Result<[usize; 4], DataError> {
    // As many as fit into memory can be opened; the reader says so exactly.
    let values = shape.iter().try_fold(1u64, |n, &size| n.checked_mul(size));
    if values.is_none_or(|n| n == 0 || n > super::LARGEST_DECODED_BYTES) {
        let [slices, _, height, width] = shape;
        return Err(DataError::new(
            path,
            format!("has {width} × {height} pixels in {slices} slices, which cannot be opened"),
            "",
        ));
    }
    Ok(shape.map(|n| n as usize))
}
