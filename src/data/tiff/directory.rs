//! The directories of a TIFF or BigTIFF: tags and what they hold, one directory a page (TIFF 6.0, section 2).

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

/// The tags that count here.
pub(super) mod tag {
    pub const SUBFILE: u16 = 254;
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const DESCRIPTION: u16 = 270;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const SAMPLES: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_COUNTS: u16 = 279;
    pub const X_RESOLUTION: u16 = 282;
    pub const Y_RESOLUTION: u16 = 283;
    pub const PLANAR: u16 = 284;
    pub const RESOLUTION_UNIT: u16 = 296;
    pub const PREDICTOR: u16 = 317;
    pub const PALETTE: u16 = 320;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_HEIGHT: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_COUNTS: u16 = 325;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const JPEG_TABLES: u16 = 347;
}

/// A directory with more tags is none.
const MOST_TAGS: u64 = 4096;

/// The values of a tag take no more bytes than these.
const LONGEST_VALUE: u64 = 16 << 20;

/// Why a file cannot be read on.
#[derive(Debug)]
pub(super) enum Broken {
    CutShort,
    Malformed(String),
    Io(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::CutShort } else { Self::Io(error) }
    }
}

/// A file whose byte order is known.
pub(super) struct File<R> {
    pub reader: R,
    pub length: u64,
    pub big_endian: bool,
    /// Whether offsets have 64 bits.
    big: bool,
}

/// A page's tags.
pub(super) struct Directory {
    entries: BTreeMap<u16, Entry>,
    /// Where the next one is; 0 behind the last.
    pub next: u64,
}

struct Entry {
    kind: u16,
    count: u64,
    /// The values themselves where they fit, else where they are.
    place: [u8; 8],
}

/// Bytes of a value of this type; `None` if there is no such type.
fn value_bytes(kind: u16) -> Option<u64> {
    Some(match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => return None,
    })
}

impl<R: Read + Seek> File<R> {
    /// Reads the beginning; also returns where the first directory is.
    pub fn open(mut reader: R, length: u64) -> Result<(Self, u64), Broken> {
        let mut head = [0; 4];
        reader.read_exact(&mut head)?;
        let big_endian = head[0] == b'M';
        let big = head.contains(&43);
        let mut file = Self { reader, length, big_endian, big };
        let first = if big {
            let sizes = file.number(4)?;
            if sizes != if big_endian { 8 << 16 } else { 8 } {
                return Err(Broken::Malformed("its offsets have an unknown size".to_owned()));
            }
            file.number(8)?
        } else {
            file.number(4)?
        };
        Ok((file, first))
    }

    /// The next unsigned number of so many bytes.
    fn number(&mut self, bytes: usize) -> Result<u64, Broken> {
        let mut buffer = [0; 8];
        self.reader.read_exact(&mut buffer[..bytes])?;
        Ok(self.parse(&buffer[..bytes]))
    }

    fn parse(&self, bytes: &[u8]) -> u64 {
        let add = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    /// The directory at `offset`.
    pub fn directory(&mut self, offset: u64) -> Result<Directory, Broken> {
        self.reader.seek(SeekFrom::Start(offset.min(self.length)))?;
        let count = self.number(if self.big { 8 } else { 2 })?;
        if count == 0 || count > MOST_TAGS {
            return Err(Broken::Malformed(format!("a page has {count} tags")));
        }
        let [entry_bytes, inline] = if self.big { [20, 8] } else { [12, 4] };
        let mut bytes = vec![0; count as usize * entry_bytes];
        self.reader.read_exact(&mut bytes)?;
        let mut entries = BTreeMap::new();
        for entry in bytes.chunks_exact(entry_bytes) {
            let [tag, kind] = [0, 2].map(|at| self.parse(&entry[at..at + 2]) as u16);
            let mut place = [0; 8];
            place[..inline].copy_from_slice(&entry[entry_bytes - inline..]);
            let count = self.parse(&entry[4..entry_bytes - inline]);
            // The first of a tag counts; types from the future are skipped.
            if value_bytes(kind).is_some() {
                entries.entry(tag).or_insert(Entry { kind, count, place });
            }
        }
        // A file that ends here has no further page.
        let next = self.number(if self.big { 8 } else { 4 }).unwrap_or(0);
        Ok(Directory { entries, next })
    }

    /// The bytes of a tag and its type.
    fn bytes(&mut self, directory: &Directory, tag: u16) -> Result<Option<(Vec<u8>, u16)>, Broken> {
        let Some(entry) = directory.entries.get(&tag) else { return Ok(None) };
        let inline = if self.big { 8 } else { 4 };
        let length = value_bytes(entry.kind).unwrap_or(1).saturating_mul(entry.count);
        if length <= inline {
            return Ok(Some((entry.place[..length as usize].to_vec(), entry.kind)));
        }
        let offset = self.parse(&entry.place[..inline as usize]);
        if length > LONGEST_VALUE {
            return Err(Broken::Malformed(format!("its tag {tag} holds {} values", entry.count)));
        }
        if offset.saturating_add(length) > self.length {
            return Err(Broken::CutShort);
        }
        let mut bytes = vec![0; length as usize];
        self.reader.seek(SeekFrom::Start(offset))?;
        self.reader.read_exact(&mut bytes)?;
        Ok(Some((bytes, entry.kind)))
    }

    /// The unsigned integers of a tag; none if it is not there.
    pub fn numbers(&mut self, directory: &Directory, tag: u16) -> Result<Vec<u64>, Broken> {
        match self.bytes(directory, tag)? {
            None => Ok(Vec::new()),
            Some((bytes, kind @ (1 | 3 | 4 | 7 | 13 | 16 | 18))) => {
                Ok(bytes.chunks_exact(value_bytes(kind).unwrap_or(1) as usize).map(|v| self.parse(v)).collect())
            }
            Some((_, kind)) => Err(Broken::Malformed(format!("its tag {tag} has the type {kind}"))),
        }
    }

    /// The first of these.
    pub fn first(&mut self, directory: &Directory, tag: u16) -> Result<Option<u64>, Broken> {
        Ok(self.numbers(directory, tag)?.first().copied())
    }

    /// The bytes of a tag, whatever they are.
    pub fn blob(&mut self, directory: &Directory, tag: u16) -> Result<Vec<u8>, Broken> {
        Ok(self.bytes(directory, tag)?.map_or_else(Vec::new, |(bytes, _)| bytes))
    }

    /// A fraction; `None` if it is not there or makes no sense.
    pub fn fraction(&mut self, directory: &Directory, tag: u16) -> Option<f64> {
        let (bytes, kind) = self.bytes(directory, tag).ok()??;
        let halves: Vec<u64> = bytes.chunks_exact(4).map(|v| self.parse(v)).collect();
        match (kind, &halves[..]) {
            (5, &[above, below, ..]) if above > 0 && below > 0 => Some(above as f64 / below as f64),
            _ => None,
        }
    }
}
