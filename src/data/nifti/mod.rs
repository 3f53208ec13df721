//! NIfTI-1 and NIfTI-2: single files (`.nii`, compressed or not) and pairs (`.hdr` with `.img`), of either byte order.
//!
//! The layout of the headers follows nifti1.h and nifti2.h (nifti.nimh.nih.gov). The volume is taken as it lies in the
//! file: columns run along the first axis, rows along the second, slices along the third, and the volumes of further axes
//! follow one another. Nothing is flipped or resampled; the affine says where the sides of the patient are.

mod header;

pub(super) use header::{HEADER, Version, version};

use super::about::{About, volumes_note};
use super::numbers::{Filler, Numbers};
use super::open::{Decoded, Source, check_cancelled, check_size, read_error};
use super::raster::cut_short;
use super::stack::{deinterleave, zeros};
use super::{Bounds, DataError, FirstWish, Pixels};
use header::{Header, Voxel};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What would work instead.
const READABLE: &str = "Save it as NIfTI with integers or with 32-bit or 64-bit floats";

/// Bytes that are read at once, a whole number of numbers of any kind.
const PIECE: usize = 8 << 20;

/// `[slices, channels, height, width]` of the volume that begins with `head`.
pub(super) fn peek(path: &Path, version: Version, head: &[u8]) -> Result<[u64; 4], DataError> {
    if head.len() < if version.two { HEADER } else { 348 } {
        return Err(cut_short(path));
    }
    let header = Header::parse(head, version);
    let [slices, height, width] = header.shape();
    let channels = if matches!(header.voxel(), Ok(Voxel::Colour(_))) { 3 } else { 1 };
    Ok([slices, channels, height, width])
}

/// Shows one slice of the volume that begins with `head`, a file of `length` bytes, by itself.
pub(super) fn tell_first(
    path: &Path,
    source: &mut (impl Read + Seek),
    length: u64,
    version: Version,
    head: &[u8],
    cancel: &AtomicBool,
    first: &mut FirstWish<'_>,
) {
    if version.pair || head.len() < if version.two { HEADER } else { 348 } {
        return;
    }
    let mut header = Header::parse(head, version);
    let [slices, height, width] = header.shape();
    let bytes = match header.voxel() {
        Ok(Voxel::Number(kind)) => kind.bytes(),
        Ok(Voxel::Colour(bytes)) => bytes,
        Err(_) => return,
    };
    let plane = height.saturating_mul(width).saturating_mul(bytes as u64);
    let Some(slice) = first.place(slices, plane) else { return };
    let place = (header.offset as u64).saturating_add(plane.saturating_mul(slice as u64));
    if place.saturating_add(plane) > length || source.seek(SeekFrom::Start(place)).is_err() {
        return;
    }
    // A volume of two axes whose voxels begin here.
    (header.dim[0], header.offset) = (2, 0.0);
    let source = Source { path, reader: source, length: plane, cancel, progress: &mut |_| {} };
    first.tell(path, decode_body(source, version, &header), slice, slices as usize);
}

/// Decodes the volume that begins with `head`, which is the beginning of `source` and of a `version`.
pub(super) fn decode(source: Source, version: Version, head: &[u8]) -> Result<Decoded, DataError> {
    let path = source.path;
    if head.len() < if version.two { HEADER } else { 348 } {
        return Err(cut_short(path));
    }
    decode_body(source, version, &Header::parse(head, version))
}

fn decode_body(source: Source, version: Version, header: &Header) -> Result<Decoded, DataError> {
    let path = source.path;
    if (3000..3100).contains(&header.intent) {
        let cause = "is a CIFTI file of brain surfaces, not an image";
        return Err(DataError::new(path, cause, "Open a NIfTI volume"));
    }
    if !(1..=7).contains(&header.dim[0]) {
        return Err(DataError::new(path, format!("is a malformed NIfTI: it has {} axes", header.dim[0]), READABLE));
    }
    let voxel =
        header.voxel().map_err(|what| DataError::new(path, format!("stores {what}, which are not read"), READABLE))?;
    let [slices, height, width] = header.shape();
    let (channels, bytes, decoded) = match voxel {
        Voxel::Number(kind) => {
            let numbers = Numbers { kind, big_endian: version.big_endian, scale: header.scale() };
            (1, kind.bytes(), numbers.decoded_bytes())
        }
        Voxel::Colour(bytes) => (3, bytes, 1),
    };
    let len = check_size(path, [slices, channels, height, width], decoded)?;
    if !(header.offset.is_finite() && header.offset >= 0.0) {
        let cause = format!("is a malformed NIfTI: its voxels begin at {}", header.offset);
        return Err(DataError::new(path, cause, READABLE));
    }
    let body = slices * height * width * bytes as u64;
    let mut notes = Vec::new();
    let pixels = if version.pair {
        with_voxels_of_pair(&source, |voxels| read(voxels, header, version, voxel, len, body, &mut notes))?
    } else {
        read(source, header, version, voxel, len, body, &mut notes)?
    };
    let volume = (header.dim[0] > 3 && slices > header.dim[3]).then_some(header.dim[3].max(1) as usize);
    if let Some(volume) = volume {
        notes.push(volumes_note(slices as usize / volume, volume));
    }
    let stated = [header.pixdim[3], header.pixdim[2], header.pixdim[1]].map(|step| (step.abs() * header.unit()) as f32);
    if let Some(spacing) = header.spacing()
        && stated.iter().all(|&step| step > 0.0)
        && spacing.iter().zip(stated).any(|(a, b)| (a - b).abs() > 0.01 * b)
    {
        let [slices, rows, columns] = stated;
        notes.push(format!(
            "Its spacing is that of its affine; its header says {slices} × {rows} × {columns} mm as well"
        ));
    }
    let number = match voxel {
        Voxel::Number(kind) => kind.name(),
        Voxel::Colour(_) => "uint8",
    };
    let [low, high] = header.shown.map(|v| v as f32);
    let shown = (low < high && (high - low).is_finite()).then_some(Bounds { lower: low, upper: high });
    let format = if version.two { "NIfTI-2" } else { "NIfTI-1" };
    let grid = match voxel {
        Voxel::Number(kind) => Numbers { kind, big_endian: false, scale: header.scale() }.grid(),
        Voxel::Colour(_) => None,
    };
    let about = About {
        grid,
        format: format.to_owned(),
        numbers: number,
        spacing: header.spacing(),
        affine: header.affine(),
        volume,
        notes,
        ..About::default()
    };
    let shape = [slices as usize, channels as usize, height as usize, width as usize];
    Ok(Decoded { shape, pixels, about, bounds: None, shown })
}

/// The voxels of `name.hdr` lie in `name.img`, or compressed in `name.img.gz`.
fn with_voxels_of_pair(
    header: &Source,
    read: impl FnOnce(Source) -> Result<Pixels, DataError>,
) -> Result<Pixels, DataError> {
    let missing = |cause: &str| {
        let name = header.path.with_extension("img");
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        DataError::new(header.path, format!("is the header of a pair, {cause}"), format!("Put {name} beside it"))
    };
    for ending in ["img", "img.gz"] {
        let path = header.path.with_extension(ending);
        let Ok(file) = File::open(&path) else { continue };
        let length = file.metadata().map_err(|error| read_error(&path, &error))?.len();
        let reader = BufReader::new(file);
        let cancel = header.cancel;
        let progress = &mut |_| {};
        return if ending == "img" {
            read(Source { path: &path, reader: &mut { reader }, length, cancel, progress })
        } else {
            let mut reader = flate2::bufread::MultiGzDecoder::new(reader);
            let length = length.saturating_mul(super::open::LARGEST_GZIP_RATIO);
            read(Source { path: &path, reader: &mut reader, length, cancel, progress })
        };
    }
    Err(missing("and its voxels are not there"))
}

/// Sets values that are not finite to 0, and says how many. Programs write NaN, or divide by zero, where nothing was
/// measured, outside of the head for example; others (SPM, nilearn) take them for 0 as well.
fn zero_what_is_not_finite(pixels: &mut Pixels) -> Option<String> {
    let Pixels::F32(values) = pixels else { return None };
    let len = values.len();
    let broken = Arc::make_mut(values).iter_mut().filter(|v| !v.is_finite()).map(|v| *v = 0.0).count();
    (broken > 0).then(|| format!("{broken} of its {len} values are not finite numbers and were set to 0"))
}

/// Reads voxels from the source's beginning, slice by slice.
fn read(
    source: Source,
    header: &Header,
    version: Version,
    voxel: Voxel,
    len: usize,
    body: u64,
    notes: &mut Vec<String>,
) -> Result<Pixels, DataError> {
    let Source { path, reader, length, cancel, progress } = source;
    let offset = header.offset as u64;
    if offset.saturating_add(body) > length {
        return Err(cut_short(path));
    }
    let failed = |error: std::io::Error| super::open::stream_error(path, &error);
    let skipped = std::io::copy(&mut Read::take(&mut *reader, offset), &mut std::io::sink()).map_err(failed)?;
    if skipped < offset {
        return Err(cut_short(path));
    }
    let slices = header.shape()[0] as usize;
    let slice_bytes = (body / slices as u64) as usize;
    // Colours are taken apart slice by slice. A slice of numbers may be large: it is read in pieces.
    let piece = match voxel {
        Voxel::Number(_) => slice_bytes.clamp(1, PIECE),
        Voxel::Colour(_) => slice_bytes,
    };
    let mut buffer = vec![0; piece];
    let mut each = |push: &mut dyn FnMut(usize, &[u8])| {
        for index in 0..slices {
            check_cancelled(path, cancel)?;
            let mut left = slice_bytes;
            while left > 0 {
                let bytes = &mut buffer[..left.min(piece)];
                reader.read_exact(bytes).map_err(failed)?;
                push(index, bytes);
                left -= bytes.len();
            }
            progress((index + 1) as f32 / slices as f32);
        }
        Ok(())
    };
    match voxel {
        Voxel::Number(kind) => {
            let numbers = Numbers { kind, big_endian: version.big_endian, scale: header.scale() };
            let mut filler = Filler::new(len, numbers);
            each(&mut |_, bytes| filler.push(bytes))?;
            let (mut pixels, rounded) = filler.finish();
            if rounded {
                notes.push(super::open::rounded_note(kind.name()));
            }
            notes.extend(zero_what_is_not_finite(&mut pixels));
            Ok(pixels)
        }
        Voxel::Colour(samples) => {
            let mut pixels: Arc<[u8]> = zeros(len);
            let planes = Arc::make_mut(&mut pixels);
            let plane = len / slices;
            each(&mut |index, bytes| deinterleave(bytes, samples, &mut planes[index * plane..(index + 1) * plane]))?;
            Ok(Pixels::U8(pixels))
        }
    }
}
