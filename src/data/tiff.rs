//! TIFF and BigTIFF of one or more pages, through the `tiff` crate.
//!
//! Read: 1, 2, 4, 8 and 16-bit unsigned and 32-bit float samples; grey, grey with alpha, RGB, RGBA, three bands;
//! strips and tiles, chunky and planar; uncompressed, LZW, Deflate, PackBits, CCITT group 4 and grey JPEG; both byte
//! orders. Pages marked as thumbnails or transparency masks are skipped. The headers of all pages are checked
//! before pixels are allocated; every page is then decoded into its place.

use super::open::{LARGEST_DECODED_BYTES, check_cancelled, check_size, read_error, too_large};
use super::raster::cut_short;
use super::stack::{deinterleave, zeros};
use super::{DataError, Pixels};
use ::tiff::decoder::{Decoder, DecodingSampleType, Limits};
use ::tiff::tags::{CompressionMethod, Tag};
use ::tiff::{ColorType, TiffError, TiffFormatError, TiffResult, UsageError};
use std::fmt;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// No file has more pages: 65 536.
const MOST_PAGES: usize = 1 << 16;

/// What would work instead of a TIFF that is not read.
const READABLE: &str = "Save it as grey or RGB with 8 or 16-bit integers or 32-bit floats, uncompressed or with \
                        LZW or Deflate compression";

/// How samples are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sample {
    /// Several to a byte, spread over 0–255: 1, 2 or 4 bits.
    Packed(u8),
    U8,
    U16,
    I16,
    F32,
}

impl Sample {
    /// Bytes of a decoded sample.
    fn bytes(self) -> u64 {
        match self {
            Self::Packed(_) | Self::U8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::F32 => 4,
        }
    }
}

/// What the header of a page says. Equal for all pages of a stack.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Page {
    width: u32,
    height: u32,
    /// Samples per pixel as decoded, alpha among them.
    samples: u16,
    /// Samples that are kept: 1 or 3.
    channels: u16,
    /// Whether each sample has a plane of its own in the file.
    planar: bool,
    sample: Sample,
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = match self.sample {
            Sample::Packed(bits) => format!("{bits}-bit"),
            Sample::U8 => "8-bit".to_owned(),
            Sample::U16 => "16-bit".to_owned(),
            Sample::I16 => "signed 16-bit".to_owned(),
            Sample::F32 => "32-bit float".to_owned(),
        };
        let color = if self.channels == 1 { "grey" } else { "RGB" };
        write!(f, "{} × {} pixels of {kind} {color}", self.width, self.height)
    }
}

/// Decodes a TIFF of `length` bytes, of which `path` is the name, to `[slices, channels, height, width]`.
pub(super) fn decode(
    path: &Path,
    source: impl Read + Seek,
    length: u64,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(f32),
) -> Result<([usize; 4], Pixels), DataError> {
    let mut limits = Limits::default();
    let largest = usize::try_from(LARGEST_DECODED_BYTES).unwrap_or(usize::MAX);
    limits.decoding_buffer_size = largest;
    limits.intermediate_buffer_size = largest;
    limits.ifd_value_size = 16 << 20;
    let mut decoder = Decoder::new(source).map_err(|error| tiff_error(path, &error))?.with_limits(limits);
    let (page, indices) = read_headers(path, &mut decoder, length, cancel)?;
    let [channels, height, width] = [page.channels.into(), page.height as usize, page.width as usize];
    let shape = [indices.len(), channels, height, width];
    let size = [indices.len() as u64, page.channels.into(), page.height.into(), page.width.into()];
    let len = check_size(path, size, page.sample.bytes())?;
    let mut reader = Pages { path, decoder, page, indices, cancel, progress };
    let pixels = match page.sample {
        Sample::Packed(bits) => Pixels::U8(reader.read_packed(len, bits)?),
        Sample::U8 => Pixels::U8(reader.read(len)?),
        Sample::U16 => Pixels::U16(reader.read(len)?),
        Sample::I16 => Pixels::I16(reader.read(len)?),
        Sample::F32 => Pixels::F32(reader.read(len)?),
    };
    Ok((shape, pixels))
}

/// `[slices, channels, height, width]` of a TIFF, from the headers of its pages.
pub(super) fn peek(
    path: &Path,
    source: impl Read + Seek,
    length: u64,
    cancel: &AtomicBool,
) -> Result<[u64; 4], DataError> {
    let mut limits = Limits::default();
    limits.ifd_value_size = 16 << 20;
    let mut decoder = Decoder::new(source).map_err(|error| tiff_error(path, &error))?.with_limits(limits);
    let (page, pages) = read_headers(path, &mut decoder, length, cancel)?;
    Ok([pages.len() as u64, page.channels.into(), page.height.into(), page.width.into()])
}

/// What all pages are, and the indices of those that are slices.
fn read_headers<R: Read + Seek>(
    path: &Path,
    decoder: &mut Decoder<R>,
    length: u64,
    cancel: &AtomicBool,
) -> Result<(Page, Vec<usize>), DataError> {
    let mut common: Option<Page> = None;
    let mut indices = Vec::new();
    for index in 0.. {
        check_cancelled(path, cancel)?;
        if !is_thumbnail(decoder).map_err(|error| tiff_error(path, &error))? {
            let page = read_header(path, decoder, length)?;
            if let Some(common) = common.filter(|&common| common != page) {
                let cause = format!("its pages differ: page 1 has {common}, page {} has {page}", index + 1);
                return Err(DataError::new(path, cause, "Save pages of one size and type in one file"));
            }
            common = Some(page);
            indices.push(index);
        }
        if !decoder.more_images() {
            break;
        }
        if indices.len() == MOST_PAGES {
            return Err(too_large(path, format!("it has more than {MOST_PAGES} pages")));
        }
        decoder.next_image().map_err(|error| tiff_error(path, &error))?;
    }
    let page = common.ok_or_else(|| DataError::new(path, "has thumbnails only, and no image", READABLE))?;
    check_imagej_pages(path, decoder, indices.len())?;
    Ok((page, indices))
}

fn is_thumbnail<R: Read + Seek>(decoder: &mut Decoder<R>) -> TiffResult<bool> {
    const REDUCED: u32 = 1;
    const MASK: u32 = 4;
    let kind: Option<u32> = decoder.find_tag_unsigned(Tag::NewSubfileType)?;
    Ok(kind.is_some_and(|kind| kind & (REDUCED | MASK) != 0))
}

/// Above 4 GiB ImageJ writes one header for many pages. Reading the first alone would pass for the whole.
fn check_imagej_pages<R: Read + Seek>(path: &Path, decoder: &mut Decoder<R>, pages: usize) -> Result<(), DataError> {
    let Ok(Some(description)) = decoder.find_tag(Tag::ImageDescription) else { return Ok(()) };
    let Ok(description) = description.into_string() else { return Ok(()) };
    let promised = description
        .strip_prefix("ImageJ=")
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("images=")))
        .and_then(|count| count.trim().parse::<usize>().ok());
    match promised {
        Some(count) if pages == 1 && count > 1 => {
            let cause = format!("is an ImageJ stack of {count} images with one header for all, which is not read");
            Err(DataError::new(path, cause, "Save it as an image sequence, or as OME-TIFF"))
        }
        _ => Ok(()),
    }
}

fn read_header<R: Read + Seek>(path: &Path, decoder: &mut Decoder<R>, length: u64) -> Result<Page, DataError> {
    let failed = |error: TiffError| tiff_error(path, &error);
    let refused = |what: String| DataError::new(path, format!("stores {what}, which is not read"), READABLE);
    let (width, height) = decoder.dimensions().map_err(failed)?;
    let color = decoder.colortype().map_err(failed)?;
    let bits = color.bit_depth();
    let in_file: u16 = decoder.find_tag_unsigned(Tag::SamplesPerPixel).map_err(failed)?.unwrap_or(1);
    // What a decoder needs for a page, with all extra samples, before it is asked what it would need.
    check_size(path, [1, in_file.into(), height.into(), width.into()], u64::from(bits).div_ceil(8))?;
    let tile: u64 = decoder.find_tag_unsigned(Tag::TileWidth).map_err(failed)?.unwrap_or(0);
    if tile.saturating_mul(in_file.into()).saturating_mul(8) > LARGEST_DECODED_BYTES {
        return Err(too_large(path, format!("its tiles are {tile} pixels wide")));
    }
    let layout = decoder.image_buffer_layout().map_err(failed)?;
    let sample = match layout.sample_type {
        Some(DecodingSampleType::U8) if bits == 8 => Sample::U8,
        Some(DecodingSampleType::U8) if matches!(bits, 1 | 2 | 4) => Sample::Packed(bits),
        Some(DecodingSampleType::U16) if bits == 16 => Sample::U16,
        Some(DecodingSampleType::I16) if bits == 16 => Sample::I16,
        Some(DecodingSampleType::F32) => Sample::F32,
        other => return Err(refused(sample_name(other, bits))),
    };
    let channels = match color {
        ColorType::Gray(_) => 1,
        ColorType::RGB(_) | ColorType::RGBA(_) if bits >= 8 => 3,
        ColorType::Multiband { num_samples: 2, .. } if bits >= 8 && second_is_alpha(decoder) => 1,
        ColorType::Multiband { num_samples: 3, .. } if bits >= 8 => 3,
        other => return Err(refused(color_name(other))),
    };
    let planar = layout.planes > 1;
    let predicted: Option<u16> = decoder.find_tag_unsigned(Tag::Predictor).map_err(failed)?;
    if !planar && in_file > color.num_samples() && predicted.is_some_and(|predictor| predictor > 1) {
        // The decoder drops the extra samples before it undoes the prediction, which gives wrong pixels.
        return Err(refused(format!("{in_file} samples per pixel with a predictor")));
    }
    check_body(path, decoder, layout.complete_len as u64, length)?;
    Ok(Page { width, height, samples: color.num_samples(), channels, planar, sample })
}

/// Refuses headers that promise more pixels than a file of `length` bytes can hold.
fn check_body<R: Read + Seek>(
    path: &Path,
    decoder: &mut Decoder<R>,
    decoded: u64,
    length: u64,
) -> Result<(), DataError> {
    let method = decoder.find_tag_unsigned(Tag::Compression).map_err(|error| tiff_error(path, &error))?;
    // The best that each method can do, generously. Fax and JPEG have no useful limit.
    let ratio = match CompressionMethod::from_u16_exhaustive(method.unwrap_or(1)) {
        CompressionMethod::None => 1,
        CompressionMethod::PackBits => 64,
        CompressionMethod::LZW | CompressionMethod::Deflate | CompressionMethod::OldDeflate => 4096,
        _ => return Ok(()),
    };
    if decoded / ratio > length { Err(cut_short(path)) } else { Ok(()) }
}

fn second_is_alpha<R: Read + Seek>(decoder: &mut Decoder<R>) -> bool {
    let extra: Option<Vec<u16>> = decoder.find_tag_unsigned_vec(Tag::ExtraSamples).unwrap_or_default();
    matches!(extra.as_deref(), Some([1 | 2]))
}

fn sample_name(sample: Option<DecodingSampleType>, bits: u8) -> String {
    use DecodingSampleType as S;
    let kind = match sample {
        Some(S::U8 | S::U16 | S::U32 | S::U64) => "unsigned integers",
        Some(S::I8 | S::I16 | S::I32 | S::I64) => "signed integers",
        Some(S::F16 | S::F32 | S::F64) => "floats",
        None => "samples of an unknown kind",
    };
    format!("{bits}-bit {kind}")
}

fn color_name(color: ColorType) -> String {
    match color {
        ColorType::CMYK(_) | ColorType::CMYKA(_) => "CMYK colours".to_owned(),
        ColorType::YCbCr(_) => "YCbCr colours".to_owned(),
        ColorType::Lab(_) => "CIE L*a*b* colours".to_owned(),
        ColorType::Palette(_) => "palette colours".to_owned(),
        other => format!("{} channels with {} bits", other.num_samples(), other.bit_depth()),
    }
}

/// Reads pages one after another.
struct Pages<'a, R: Read + Seek> {
    path: &'a Path,
    decoder: Decoder<R>,
    page: Page,
    indices: Vec<usize>,
    cancel: &'a AtomicBool,
    progress: &'a mut dyn FnMut(f32),
}

impl<R: Read + Seek> Pages<'_, R> {
    /// All pages as planes, `len` values in all.
    fn read<T: bytemuck::Pod>(&mut self, len: usize) -> Result<Arc<[T]>, DataError> {
        let page = self.page;
        let samples = usize::from(page.samples);
        // Planes of the file go straight to their place; as many are read as there is room for.
        let direct = page.planar || samples == 1;
        let pixels = page.width as usize * page.height as usize;
        let mut interleaved = if direct { Vec::new() } else { vec![T::zeroed(); pixels * samples] };
        self.each(len, |decoder, slice: &mut [T]| {
            if direct {
                return decoder.read_image_bytes(bytemuck::cast_slice_mut(slice));
            }
            decoder.read_image_bytes(bytemuck::cast_slice_mut(&mut interleaved))?;
            deinterleave(&interleaved, samples, slice);
            Ok(())
        })
    }

    /// All pages, with `bits` per sample in the file (rows start on a byte) spread over 0–255.
    fn read_packed(&mut self, len: usize, bits: u8) -> Result<Arc<[u8]>, DataError> {
        let [width, height] = [self.page.width as usize, self.page.height as usize];
        let row_bytes = (width * usize::from(bits)).div_ceil(8);
        let mut packed = vec![0; row_bytes * height];
        let most = (1u8 << bits) - 1;
        let per_byte = 8 / usize::from(bits);
        self.each(len, |decoder, slice: &mut [u8]| {
            decoder.read_image_bytes(&mut packed)?;
            for (row, packed) in slice.chunks_exact_mut(width).zip(packed.chunks_exact(row_bytes)) {
                for (x, pixel) in row.iter_mut().enumerate() {
                    let shift = 8 - usize::from(bits) * (x % per_byte + 1);
                    *pixel = (packed[x / per_byte] >> shift & most) * (255 / most);
                }
            }
            Ok(())
        })
    }

    /// Calls `read` for each page with its place among `len` values.
    fn each<T: bytemuck::Pod>(
        &mut self,
        len: usize,
        mut read: impl FnMut(&mut Decoder<R>, &mut [T]) -> TiffResult<()>,
    ) -> Result<Arc<[T]>, DataError> {
        let mut pixels = zeros(len);
        let pages = self.indices.len();
        for (done, (slice, &index)) in
            Arc::make_mut(&mut pixels).chunks_exact_mut(len / pages).zip(&self.indices).enumerate()
        {
            check_cancelled(self.path, self.cancel)?;
            self.decoder
                .seek_to_image(index)
                .and_then(|()| read(&mut self.decoder, slice))
                .map_err(|error| tiff_error(self.path, &error))?;
            (self.progress)((done + 1) as f32 / pages as f32);
        }
        Ok(pixels)
    }
}

fn tiff_error(path: &Path, error: &TiffError) -> DataError {
    match error {
        TiffError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => cut_short(path),
        TiffError::IoError(error) if error.raw_os_error().is_some() => read_error(path, error),
        TiffError::FormatError(TiffFormatError::InvalidDimensions(width, height)) => {
            DataError::new(path, format!("has no pixels ({width} × {height})"), "")
        }
        TiffError::LimitsExceeded => too_large(path, "its header promises more"),
        TiffError::IntSizeError => {
            DataError::new(path, "has a number in its header that is too large for its kind of TIFF", READABLE)
        }
        TiffError::UnsupportedError(what) => {
            DataError::new(path, format!("is a TIFF of a kind that is not read: {what}"), READABLE)
        }
        TiffError::UsageError(UsageError::ZeroIfdPointer) => DataError::new(path, "is a TIFF without an image", ""),
        _ => DataError::new(
            path,
            format!("is a malformed TIFF: {error}"),
            "Open it in another program and save it again",
        ),
    }
}
