//! What the directory of a page says of its pixels, checked before anything is allocated for them.

use super::directory::{Broken, Directory, File, tag};
use crate::data::DataError;
use crate::data::numbers::Kind;
use crate::data::open::{LARGEST_DECODED_BYTES, check_size, too_large};
use crate::data::raster::cut_short;
use std::io::{Read, Seek};
use std::path::Path;

/// What would work instead of a TIFF that is not read.
pub(super) const READABLE: &str = "Save it as grey or RGB with 8 or 16-bit integers or 32-bit floats, uncompressed or with \
                                   LZW or Deflate compression";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
    Fax4,
    Jpeg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Photometric {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    /// Luminance and two differences, which a JPEG undoes.
    YCbCr,
    Palette,
}

/// Where the compressed bytes of a strip or tile are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub offset: u64,
    pub count: u64,
}

/// A page, ready to be read.
pub(super) struct Page {
    pub width: usize,
    pub height: usize,
    /// Samples of a pixel in the file.
    pub samples: usize,
    /// Those that are kept: 1 or 3. Of a palette, what it makes: 3.
    pub channels: usize,
    pub bits: u16,
    pub float: bool,
    /// The number that a sample becomes.
    pub kind: Kind,
    pub photometric: Photometric,
    pub compression: Compression,
    pub predictor: u64,
    pub big_endian: bool,
    /// Whether the first pixel has the lowest bit of a byte.
    pub reversed_bits: bool,
    /// Whether each sample has chunks of its own.
    pub planar: bool,
    pub chunk_width: usize,
    pub chunk_height: usize,
    pub chunks: Vec<Place>,
    /// Red, green and blue of a palette.
    pub palette: Vec<u8>,
    pub jpeg_tables: Vec<u8>,
    /// What the values of fewer than 8 bits become.
    pub table: Option<Box<[u8; 256]>>,
}

/// The error of a file that cannot be read on.
pub(super) fn error(path: &Path, broken: Broken) -> DataError {
    let again = "Open it in another program and save it again";
    match broken {
        Broken::CutShort => cut_short(path),
        Broken::Malformed(what) => DataError::new(path, format!("is a malformed TIFF: {what}"), again),
        Broken::Io(error) => crate::data::open::read_error(path, &error),
    }
}

fn refused(path: &Path, what: impl std::fmt::Display) -> DataError {
    DataError::new(path, format!("stores {what}, which is not read"), READABLE)
}

/// Whether a page is marked as a smaller copy of another one, or as its transparency.
pub(super) fn is_marked_as_copy<R: Read + Seek>(file: &mut File<R>, directory: &Directory) -> Result<bool, Broken> {
    const REDUCED: u64 = 1;
    const MASK: u64 = 4;
    Ok(file.first(directory, tag::SUBFILE)?.is_some_and(|kind| kind & (REDUCED | MASK) != 0))
}

fn compression(path: &Path, method: u64) -> Result<Compression, DataError> {
    let name = match method {
        1 => return Ok(Compression::None),
        4 => return Ok(Compression::Fax4),
        5 => return Ok(Compression::Lzw),
        7 => return Ok(Compression::Jpeg),
        8 | 32_946 => return Ok(Compression::Deflate),
        32_773 => return Ok(Compression::PackBits),
        2 | 3 => "fax of group 3",
        6 => "JPEG of an old kind",
        34_676 | 34_677 => "SGI's LogLuv",
        34_712 | 33_003 | 33_005 => "JPEG 2000",
        34_887 => "LERC",
        34_925 => "LZMA",
        50_000 | 34_926 => "ZSTD",
        50_001 | 34_927 => "WebP",
        _ => return Err(refused(path, format!("pixels with compression {method}"))),
    };
    Err(refused(path, format!("pixels compressed as {name}")))
}

fn kind(path: &Path, bits: u16, format: u64) -> Result<Kind, DataError> {
    Ok(match (format, bits) {
        (1 | 4, 1..=8) => Kind::U8,
        (1 | 4, 9..=16) => Kind::U16,
        (1 | 4, 17..=32) => Kind::U32,
        (1 | 4, 64) => Kind::U64,
        (2, 8) => Kind::I8,
        (2, 16) => Kind::I16,
        (2, 32) => Kind::I32,
        (2, 64) => Kind::I64,
        (3, 16) => Kind::F16,
        (3, 32) => Kind::F32,
        (3, 64) => Kind::F64,
        _ => {
            let name = match format {
                1 | 4 => "unsigned integers",
                2 => "signed integers",
                3 => "floats",
                5 | 6 => "complex numbers",
                _ => "samples of an unknown kind",
            };
            return Err(refused(path, format!("{bits}-bit {name}")));
        }
    })
}

impl Page {
    /// Reads and checks a directory.
    pub fn new<R: Read + Seek>(path: &Path, file: &mut File<R>, directory: &Directory) -> Result<Self, DataError> {
        let failed = |broken| error(path, broken);
        let mut get = |tag, default| Ok(file.first(directory, tag).map_err(failed)?.unwrap_or(default));
        let [width, height] = [get(tag::WIDTH, 0)?, get(tag::HEIGHT, 0)?];
        let samples = get(tag::SAMPLES, 1)?;
        let compression = compression(path, get(tag::COMPRESSION, 1)?)?;
        let predictor = get(tag::PREDICTOR, 1)?;
        let planar = get(tag::PLANAR, 1)? == 2 && samples > 1;
        let reversed_bits = get(tag::FILL_ORDER, 1)? == 2;
        let default = if samples >= 3 { 2 } else { 1 };
        let photometric = get(tag::PHOTOMETRIC, default)?;
        let tile = [get(tag::TILE_WIDTH, 0)?, get(tag::TILE_HEIGHT, 0)?];
        let rows_per_strip = get(tag::ROWS_PER_STRIP, height)?.clamp(1, height.max(1));
        let mut all = |tag| file.numbers(directory, tag).map_err(failed);
        let bits = all(tag::BITS)?;
        let formats = all(tag::SAMPLE_FORMAT)?;
        let extra = all(tag::EXTRA_SAMPLES)?;
        let colours = all(tag::PALETTE)?;
        let is_tiled = tile[0] > 0;
        let offsets = all(if is_tiled { tag::TILE_OFFSETS } else { tag::STRIP_OFFSETS })?;
        let counts = all(if is_tiled { tag::TILE_COUNTS } else { tag::STRIP_COUNTS })?;
        let jpeg_tables = file.blob(directory, tag::JPEG_TABLES).map_err(failed)?;

        let (bits_of_one, format) = (bits.first().copied().unwrap_or(1), formats.first().copied().unwrap_or(1));
        if bits.iter().any(|&b| b != bits_of_one) || formats.iter().any(|&f| f != format) {
            return Err(refused(path, "samples of several kinds"));
        }
        let bits = u16::try_from(bits_of_one).unwrap_or(u16::MAX);
        let kind = kind(path, bits, format)?;
        let (photometric, channels) = colours_of(path, photometric, samples, &extra, bits, compression)?;
        let float = format == 3;
        let predicts = !matches!(compression, Compression::Fax4 | Compression::Jpeg);
        if predicts && !(matches!(predictor, 1 | 2) || predictor == 3 && float) {
            return Err(refused(path, format!("pixels with predictor {predictor}")));
        }
        if compression == Compression::Jpeg && bits != 8
            || compression == Compression::Fax4 && (bits, samples) != (1, 1)
        {
            return Err(refused(path, format!("{bits}-bit samples compressed as {compression:?}")));
        }
        check_size(path, [1, samples.max(channels), height, width], kind.bytes() as u64)?;
        let palette = if photometric == Photometric::Palette { palette(path, &colours, bits)? } else { Vec::new() };
        let [chunk_width, chunk_height] = if is_tiled { tile } else { [width, rows_per_strip] };
        let mut page = Self {
            width: width as usize,
            height: height as usize,
            samples: samples as usize,
            channels: channels as usize,
            bits,
            float,
            kind,
            photometric,
            compression,
            predictor: if predicts { predictor } else { 1 },
            big_endian: file.big_endian,
            reversed_bits,
            planar,
            chunk_width: usize::try_from(chunk_width).unwrap_or(usize::MAX),
            chunk_height: usize::try_from(chunk_height).unwrap_or(usize::MAX),
            chunks: Vec::new(),
            palette,
            jpeg_tables,
            table: None,
        };
        page.table = page.make_table();
        page.place_chunks(path, &offsets, &counts, file.length)?;
        Ok(page)
    }

    /// Bytes of a row of a chunk in the file.
    pub fn row_bytes(&self, width: usize, samples: usize) -> usize {
        (width * samples * usize::from(self.bits)).div_ceil(8)
    }

    /// Samples that lie together in a chunk.
    pub fn chunk_samples(&self) -> usize {
        if self.planar { 1 } else { self.samples }
    }

    /// Chunks from the left to the right and from the top to the bottom.
    pub fn grid(&self) -> [usize; 2] {
        [self.width.div_ceil(self.chunk_width), self.height.div_ceil(self.chunk_height)]
    }

    /// What a value and the one that the file stores for it sum up to, where greys are turned round. Floats have no greatest
    /// value, and large integers would lose digits: they stay as they are.
    pub fn turned(&self) -> Option<f64> {
        let whole = !self.float && self.bits <= 24 && self.compression != Compression::Jpeg;
        let turned = self.photometric == Photometric::WhiteIsZero && whole;
        turned.then(|| match self.kind {
            Kind::I8 | Kind::I16 => -1.0,
            _ if self.table.is_some() => 255.0,
            _ => 2f64.powi(self.bits.into()) - 1.0,
        })
    }

    /// Bytes of the page as planes.
    pub fn decoded_bytes(&self) -> usize {
        let bytes = if self.palette.is_empty() { self.kind.bytes() } else { 1 };
        self.width * self.height * self.channels * bytes
    }

    /// The type of the page's numbers.
    pub fn decoded_kind(&self) -> Kind {
        if self.palette.is_empty() { self.kind } else { Kind::U8 }
    }

    /// Whether two pages can be slices of one stack.
    pub fn is_like(&self, other: &Self) -> bool {
        let shape = |page: &Self| (page.width, page.height, page.channels, page.decoded_kind(), page.bits.min(8));
        shape(self) == shape(other)
    }

    /// What a page is, for people.
    pub fn describe(&self) -> String {
        let kind = match (self.float, self.kind) {
            (true, _) => format!("{}-bit float", self.bits),
            (_, Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64) => format!("signed {}-bit", self.bits),
            _ => format!("{}-bit", self.bits),
        };
        let colour = if self.channels == 1 { "grey" } else { "RGB" };
        format!("{} × {} pixels of {kind} {colour}", self.width, self.height)
    }

    /// Values of fewer than 8 bits are spread over 0–255; where white is 0, turned round as well.
    fn make_table(&self) -> Option<Box<[u8; 256]>> {
        if self.bits >= 8 || self.float || !self.palette.is_empty() {
            return None;
        }
        let most = (1usize << self.bits) - 1;
        let turned = self.photometric == Photometric::WhiteIsZero;
        Some(Box::new(std::array::from_fn(|value| {
            let value = value.min(most);
            let value = if turned { most - value } else { value };
            ((value * 255 + most / 2) / most) as u8
        })))
    }

    /// Takes over where the chunks are, which must hold what the header promises.
    fn place_chunks(&mut self, path: &Path, offsets: &[u64], counts: &[u64], length: u64) -> Result<(), DataError> {
        let malformed = |what: &str| error(path, Broken::Malformed(what.to_owned()));
        let (width, height) = (self.chunk_width as u64, self.chunk_height as u64);
        let samples = self.chunk_samples() as u64;
        let page_bytes = (self.width * self.height * self.samples * self.kind.bytes()) as u64;
        // Tiles may be larger than the page, but not by much.
        let chunk_bytes = width.saturating_mul(height).saturating_mul(samples).saturating_mul(self.kind.bytes() as u64);
        if width == 0 || height == 0 {
            return Err(malformed("its tiles have no pixels"));
        }
        if chunk_bytes > LARGEST_DECODED_BYTES.min(page_bytes.saturating_mul(4).saturating_add(16 << 20)) {
            return Err(too_large(path, format!("its tiles have {width} × {height} pixels")));
        }
        let [across, down] = self.grid();
        let needed = across * down * if self.planar { self.samples } else { 1 };
        if offsets.len() < needed || (counts.len() < needed && !(counts.is_empty() && needed == 1)) {
            return Err(malformed("it does not say where all its pixels are"));
        }
        let rows_of = |index: usize| {
            let top = index / across % down * self.chunk_height;
            if self.chunk_width == self.width { self.chunk_height.min(self.height - top) } else { self.chunk_height }
        };
        for (index, &offset) in offsets.iter().enumerate().take(needed) {
            let rest = length.saturating_sub(offset);
            let expected = (self.row_bytes(self.chunk_width, samples as usize) * rows_of(index)) as u64;
            let count = match self.compression {
                // The size of uncompressed pixels is known; writers get it wrong.
                Compression::None => expected,
                _ => counts.get(index).copied().unwrap_or(rest),
            };
            // The best that each method can do, generously.
            let ratio = match self.compression {
                Compression::None => 1,
                Compression::PackBits => 64,
                Compression::Lzw | Compression::Deflate => 4096,
                Compression::Fax4 | Compression::Jpeg => crate::data::raster::LARGEST_RATIO,
            };
            if count > rest || expected / ratio > count {
                return Err(cut_short(path));
            }
            self.chunks.push(Place { offset, count });
        }
        self.join_strips();
        Ok(())
    }

    /// Uncompressed strips that follow one another are one.
    fn join_strips(&mut self) {
        let follows = |pair: &[Place]| pair[0].offset + pair[0].count == pair[1].offset;
        let whole = self.chunk_width == self.width && !self.planar && self.compression == Compression::None;
        if !whole || self.chunks.len() < 2 || !self.chunks.windows(2).all(follows) {
            return;
        }
        let count = self.chunks.iter().map(|chunk| chunk.count).sum();
        self.chunks = vec![Place { offset: self.chunks[0].offset, count }];
        self.chunk_height = self.height;
    }
}

/// What the samples mean, and how many of them are kept.
fn colours_of(
    path: &Path,
    photometric: u64,
    samples: u64,
    extra: &[u64],
    bits: u16,
    compression: Compression,
) -> Result<(Photometric, u64), DataError> {
    const ALPHA: [u64; 2] = [1, 2];
    let second_is_alpha = extra.len() == 1 && ALPHA.contains(&extra[0]);
    Ok(match (photometric, samples) {
        (0, 1) => (Photometric::WhiteIsZero, 1),
        (1, 1) => (Photometric::BlackIsZero, 1),
        (0, 2) if second_is_alpha => (Photometric::WhiteIsZero, 1),
        (1, 2) if second_is_alpha => (Photometric::BlackIsZero, 1),
        (2, 3..) | (1, 3) => (Photometric::Rgb, 3),
        (3, 1) if bits <= 16 => (Photometric::Palette, 3),
        (6, 3) if compression == Compression::Jpeg => (Photometric::YCbCr, 3),
        (5, _) => return Err(refused(path, "CMYK colours")),
        (6, _) => return Err(refused(path, "YCbCr colours")),
        (8..=10, _) => return Err(refused(path, "CIE L*a*b* colours")),
        (32_803 | 34_892, _) => return Err(refused(path, "the raw pixels of a camera")),
        (32_844 | 32_845, _) => return Err(refused(path, "LogLuv colours")),
        (0..=3, _) => return Err(refused(path, format!("{samples} channels with {bits} bits"))),
        _ => return Err(refused(path, format!("colours of the unknown kind {photometric}"))),
    })
}

/// Red, green and blue of each value, 8 bits each. All reds come first in the file, in 16 bits.
fn palette(path: &Path, colours: &[u64], bits: u16) -> Result<Vec<u8>, DataError> {
    let entries = 1usize << bits;
    if colours.len() < 3 * entries {
        return Err(error(path, Broken::Malformed("its palette is too short".to_owned())));
    }
    // Some writers give 8 bits, as libtiff knows as well.
    let shift = if colours.iter().any(|&v| v > 255) { 8 } else { 0 };
    Ok((0..entries).flat_map(|i| [0, 1, 2].map(|c| (colours[c * entries + i] >> shift) as u8)).collect())
}
