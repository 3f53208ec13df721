//! NIfTI-1 and NIfTI-2: single files (`.nii`, compressed or not) and pairs (`.hdr` with `.img`), of either byte order.
//!
//! The layout of the headers follows nifti1.h and nifti2.h (nifti.nimh.nih.gov). The volume is taken as it lies in the
//! file: columns run along the first axis, rows along the second, slices along the third, and the volumes of further axes
//! follow one another. Nothing is flipped or resampled; the affine says where the sides of the patient are.

use super::about::{About, volumes_note};
use super::numbers::{Filler, Kind, Numbers};
use super::open::{Decoded, Source, check_cancelled, check_size, read_error};
use super::raster::cut_short;
use super::stack::{deinterleave, zeros};
use super::{Bounds, DataError, FirstWish, Pixels};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What would work instead.
const READABLE: &str = "Save it as NIfTI with integers or with 32-bit or 64-bit floats";

/// Bytes that are read at once, a whole number of numbers of any kind.
const PIECE: usize = 8 << 20;

/// Bytes of the longest header.
pub(super) const HEADER: usize = 540;

/// Which of the versions a file is, by its first bytes; `None` if it is none.
pub(super) fn version(head: &[u8]) -> Option<Version> {
    let size: [u8; 4] = head.get(..4)?.try_into().ok()?;
    for big_endian in [false, true] {
        let size = if big_endian { u32::from_be_bytes(size) } else { u32::from_le_bytes(size) };
        let (two, magic) = match size {
            348 => (false, head.get(344..348)?),
            540 => (true, head.get(4..8)?),
            _ => continue,
        };
        let pair = match magic {
            b"n+1\0" | b"n+2\0" => false,
            b"ni1\0" | b"ni2\0" => true,
            _ => continue,
        };
        return Some(Version { two, pair, big_endian });
    }
    None
}

/// What the magic of a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// Whether the header is one of NIfTI-2.
    two: bool,
    /// Whether the voxels lie in another file.
    pair: bool,
    big_endian: bool,
}

/// How voxels are stored.
#[derive(Clone, Copy)]
enum Voxel {
    Number(Kind),
    /// Bytes of a pixel, the first three of which are red, green and blue.
    Colour(usize),
}

/// The fields of a header that count here.
struct Header {
    /// Number of axes, then voxels along each.
    dim: [u64; 8],
    datatype: i64,
    /// The handedness of the qform, then the spacing along each axis.
    pixdim: [f64; 8],
    offset: f64,
    scale: [f64; 2],
    shown: [f64; 2],
    units: u8,
    codes: [i64; 2],
    /// Quaternion b, c, d and offset x, y, z.
    qform: [f64; 6],
    sform: [[f64; 4]; 3],
    intent: i64,
}

/// Reads fields at offsets, in the file's byte order; 0 past the end, which [`decode`] excludes.
struct Fields<'a>(&'a [u8], bool);

impl Fields<'_> {
    fn at<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N]);
        if self.1 {
            bytes.reverse();
        }
        bytes
    }
    fn i16(&self, at: usize) -> i64 {
        i16::from_le_bytes(self.at(at)).into()
    }
    fn i32(&self, at: usize) -> i64 {
        i32::from_le_bytes(self.at(at)).into()
    }
    fn f32(&self, at: usize) -> f64 {
        f32::from_le_bytes(self.at(at)).into()
    }
    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.at(at))
    }
    fn f64(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.at(at))
    }
}

impl Header {
    fn parse(head: &[u8], version: Version) -> Self {
        let f = Fields(head, version.big_endian);
        let size = |n: i64| u64::try_from(n).unwrap_or(0);
        if version.two {
            return Self {
                dim: std::array::from_fn(|i| size(f.i64(16 + 8 * i))),
                datatype: f.i16(12),
                pixdim: std::array::from_fn(|i| f.f64(104 + 8 * i)),
                offset: f.i64(168) as f64,
                scale: [f.f64(176), f.f64(184)],
                shown: [f.f64(200), f.f64(192)],
                units: f.i32(500) as u8,
                codes: [f.i32(344), f.i32(348)],
                qform: std::array::from_fn(|i| f.f64(352 + 8 * i)),
                sform: std::array::from_fn(|row| std::array::from_fn(|i| f.f64(400 + 32 * row + 8 * i))),
                intent: f.i32(504),
            };
        }
        Self {
            dim: std::array::from_fn(|i| size(f.i16(40 + 2 * i))),
            datatype: f.i16(70),
            pixdim: std::array::from_fn(|i| f.f32(76 + 4 * i)),
            offset: f.f32(108),
            scale: [f.f32(112), f.f32(116)],
            shown: [f.f32(128), f.f32(124)],
            units: head.get(123).copied().unwrap_or(0),
            codes: [f.i16(252), f.i16(254)],
            qform: std::array::from_fn(|i| f.f32(256 + 4 * i)),
            sform: std::array::from_fn(|row| std::array::from_fn(|i| f.f32(280 + 16 * row + 4 * i))),
            intent: f.i16(68),
        }
    }

    /// `[slices, rows, columns]`; axes that the header does not count have one voxel.
    fn shape(&self) -> [u64; 3] {
        let axis = |i: usize| if i as u64 <= self.dim[0] { self.dim[i] } else { 1 };
        [(3..8).map(axis).fold(1, u64::saturating_mul), axis(2), axis(1)]
    }

    fn voxel(&self) -> Result<Voxel, String> {
        let kind = match self.datatype {
            2 => Kind::U8,
            4 => Kind::I16,
            8 => Kind::I32,
            16 => Kind::F32,
            64 => Kind::F64,
            256 => Kind::I8,
            512 => Kind::U16,
            768 => Kind::U32,
            1024 => Kind::I64,
            1280 => Kind::U64,
            128 => return Ok(Voxel::Colour(3)),
            2304 => return Ok(Voxel::Colour(4)),
            1 => return Err("single bits".to_owned()),
            32 | 1792 | 2048 => return Err("complex numbers".to_owned()),
            1536 => return Err("128-bit floats".to_owned()),
            other => return Err(format!("numbers of a type that NIfTI does not have ({other})")),
        };
        Ok(Voxel::Number(kind))
    }

    /// Millimetres in the header's unit of length.
    fn unit(&self) -> f64 {
        match self.units & 7 {
            1 => 1000.0,
            3 => 0.001,
            _ => 1.0,
        }
    }

    /// Spacing in mm of slices, rows and columns: that of the affine, where there is one. Programs that know none write ones
    /// without a unit.
    fn spacing(&self) -> Option<[f32; 3]> {
        if let Some(affine) = self.affine() {
            let length = |axis: usize| affine.iter().map(|row| f64::from(row[axis]).powi(2)).sum::<f64>().sqrt();
            let steps = [length(2), length(1), length(0)].map(|step| step as f32);
            let made_up = self.units & 7 == 0 && steps == [1.0; 3];
            if steps.iter().all(|&step| step > 0.0 && step.is_finite()) {
                return (!made_up).then_some(steps);
            }
        }
        let steps = [self.pixdim[3], self.pixdim[2], self.pixdim[1]].map(f64::abs);
        let made_up = self.units & 7 == 0 && steps == [1.0; 3];
        let known = !made_up && steps[1..].iter().all(|&step| step > 0.0 && step.is_finite());
        known.then(|| steps.map(|step| (step * self.unit()) as f32))
    }

    /// From `[column, row, slice, 1]` to mm: the sform if there is one, else the qform.
    fn affine(&self) -> Option<[[f32; 4]; 3]> {
        let affine = match self.codes {
            [_, sform] if sform > 0 => self.sform,
            [qform, _] if qform > 0 => self.rotation(),
            _ => return None,
        };
        let affine = affine.map(|row| row.map(|v| (v * self.unit()) as f32));
        affine.as_flattened().iter().all(|v| v.is_finite()).then_some(affine)
    }

    /// The qform: nifti1.h, method 2.
    fn rotation(&self) -> [[f64; 4]; 3] {
        let [b, c, d, x, y, z] = self.qform;
        let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
        // Lengths have no sign, though some files give them one.
        let [_, i, j, k, ..] = self.pixdim.map(f64::abs);
        let k = if self.pixdim[0] < 0.0 { -k } else { k };
        [
            [(a * a + b * b - c * c - d * d) * i, 2.0 * (b * c - a * d) * j, 2.0 * (b * d + a * c) * k, x],
            [2.0 * (b * c + a * d) * i, (a * a + c * c - b * b - d * d) * j, 2.0 * (c * d - a * b) * k, y],
            [2.0 * (b * d - a * c) * i, 2.0 * (c * d + a * b) * j, (a * a + d * d - b * b - c * c) * k, z],
        ]
    }

    /// Slope and intercept if they change anything. A slope of 0 means that there is none.
    fn scale(&self) -> Option<[f64; 2]> {
        let [slope, intercept] = self.scale;
        let intercept = if intercept.is_finite() { intercept } else { 0.0 };
        (slope != 0.0 && slope.is_finite() && [slope, intercept] != [1.0, 0.0]).then_some([slope, intercept])
    }
}

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
