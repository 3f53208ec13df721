//! DICOM's data sets (PS3.5), of which only the elements are kept that say what pixels are. Whoever the patient is, is
//! skipped while reading and never held.
//!
//! Written here and not taken from a crate: a header can then be read that lies about its syntax or has no meta group, as
//! files of practice do, and what a parser does not keep cannot leak.

use super::tag::{self, Tag};
use std::collections::BTreeMap;

const ITEM: Tag = 0xfffe_e000;
const ITEM_END: Tag = 0xfffe_e00d;
const SEQUENCE_END: Tag = 0xfffe_e0dd;
const UNDEFINED: u32 = u32::MAX;

/// Sequences in sequences beyond this are hostile.
const DEEPEST: usize = 24;

/// Why parsing stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    CutShort,
    Malformed,
}

/// What an element holds.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Bytes(&'a [u8]),
    Items(Vec<DataSet<'a>>),
    /// Compressed pixels; the first fragment is the table of offsets.
    Fragments(Vec<&'a [u8]>),
}

/// Elements that are kept.
#[derive(Debug, Default)]
pub(super) struct DataSet<'a> {
    elements: BTreeMap<Tag, Value<'a>>,
    big_endian: bool,
    /// Whether the pixels are words of 16 bits.
    words: bool,
}

impl<'a> DataSet<'a> {
    pub fn get(&self, tag: Tag) -> Option<&Value<'a>> {
        self.elements.get(&tag)
    }

    pub fn bytes(&self, tag: Tag) -> Option<&'a [u8]> {
        match self.get(tag)? {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The only or first item of a sequence.
    pub fn item(&self, tag: Tag) -> Option<&DataSet<'a>> {
        self.items(tag).first()
    }

    pub fn items(&self, tag: Tag) -> &[DataSet<'a>] {
        match self.get(tag) {
            Some(Value::Items(items)) => items,
            _ => &[],
        }
    }

    /// Text without padding.
    pub fn text(&self, tag: Tag) -> Option<&'a str> {
        let text = std::str::from_utf8(self.bytes(tag)?).ok()?.trim_matches([' ', '\0']);
        (!text.is_empty()).then_some(text)
    }

    /// Decimal numbers, between backslashes.
    pub fn decimals(&self, tag: Tag) -> Option<Vec<f64>> {
        let numbers: Option<Vec<f64>> = self.text(tag)?.split('\\').map(|n| n.trim().parse().ok()).collect();
        numbers.filter(|numbers| numbers.iter().all(|n| n.is_finite()))
    }

    pub fn decimal(&self, tag: Tag) -> Option<f64> {
        self.decimals(tag)?.first().copied()
    }

    /// Binary numbers of 16 bits.
    pub fn shorts(&self, tag: Tag) -> Option<Vec<u16>> {
        let read = if self.big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
        Some(self.bytes(tag)?.as_chunks().0.iter().map(|&bytes| read(bytes)).collect())
    }

    pub fn short(&self, tag: Tag) -> Option<u16> {
        self.shorts(tag)?.first().copied()
    }

    /// A binary number of 64 bits.
    pub fn double(&self, tag: Tag) -> Option<f64> {
        let bytes: [u8; 8] = self.bytes(tag)?.try_into().ok()?;
        Some(if self.big_endian { f64::from_be_bytes(bytes) } else { f64::from_le_bytes(bytes) })
    }

    pub fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// Whether the pixels are stored as words of 16 bits, whatever they are.
    pub fn has_words(&self) -> bool {
        self.words
    }

    /// Whether there are pixels.
    pub fn has_pixels(&self) -> bool {
        [tag::PIXELS, tag::FLOAT_PIXELS, tag::DOUBLE_PIXELS].iter().any(|tag| self.elements.contains_key(tag))
    }
}

/// Reads elements one after another.
#[derive(Clone, Copy)]
pub(super) struct Parser<'a> {
    bytes: &'a [u8],
    pub explicit: bool,
    pub big_endian: bool,
    /// Which elements are kept.
    keep: fn(Tag) -> bool,
    /// So many bytes of the file are not here: the pixels may end among them.
    missing: u64,
}

/// The beginning of an element.
struct Start {
    tag: Tag,
    kind: [u8; 2],
    length: u32,
}

impl<'a> Parser<'a> {
    pub fn new(bytes: &'a [u8], explicit: bool, big_endian: bool) -> Self {
        Self { bytes, explicit, big_endian, keep: tag::is_kept, missing: 0 }
    }

    /// With other elements kept than those that say what pixels are.
    pub fn keeping(self, keep: fn(Tag) -> bool) -> Self {
        Self { keep, ..self }
    }

    /// Of the beginning of a file, of which so many bytes are left out: its pixels may be cut.
    pub fn without(self, missing: u64) -> Self {
        Self { missing, ..self }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(Broken::CutShort)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn short(&mut self) -> Result<u16, Broken> {
        let bytes = self.take(2)?.try_into().map_err(|_| Broken::CutShort)?;
        Ok(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn long(&mut self) -> Result<u32, Broken> {
        let bytes = self.take(4)?.try_into().map_err(|_| Broken::CutShort)?;
        Ok(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn start(&mut self) -> Result<Start, Broken> {
        let tag = Tag::from(self.short()?) << 16 | Tag::from(self.short()?);
        if tag >> 16 == 0xfffe || !self.explicit {
            return Ok(Start { tag, kind: *b"??", length: self.long()? });
        }
        let kind: [u8; 2] = self.take(2)?.try_into().map_err(|_| Broken::CutShort)?;
        if !kind.iter().all(u8::is_ascii_uppercase) {
            return Err(Broken::Malformed);
        }
        let is_long = matches!(
            &kind,
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV"
        );
        if !is_long {
            return Ok(Start { tag, kind, length: self.short()?.into() });
        }
        self.short()?;
        Ok(Start { tag, kind, length: self.long()? })
    }

    /// The elements of group 2, whose end no length tells reliably.
    pub fn meta(&mut self) -> Result<DataSet<'a>, Broken> {
        let mut meta = DataSet::default();
        while self.bytes.starts_with(&[2, 0]) {
            let Start { tag, length, .. } = self.start()?;
            let bytes = self.take(length as usize)?;
            if tag::is_kept(tag) {
                meta.elements.insert(tag, Value::Bytes(bytes));
            }
        }
        Ok(meta)
    }

    /// All elements, up to and with the pixels.
    pub fn data_set(&mut self) -> Result<DataSet<'a>, Broken> {
        self.elements(0, true)
    }

    /// The elements of a data set, or of an item up to its end.
    fn elements(&mut self, depth: usize, keep: bool) -> Result<DataSet<'a>, Broken> {
        if depth > DEEPEST {
            return Err(Broken::Malformed);
        }
        let mut set = DataSet { big_endian: self.big_endian, ..DataSet::default() };
        while !self.bytes.is_empty() {
            let Start { tag, kind, length } = self.start()?;
            if tag == ITEM_END {
                break;
            }
            let keep = keep && (self.keep)(tag);
            let is_pixels = tag == tag::PIXELS && depth == 0;
            let value = if is_pixels && length == UNDEFINED {
                Value::Fragments(self.fragments()?)
            } else if is_pixels && u64::from(length) <= self.bytes.len() as u64 + self.missing {
                let here = self.bytes.len().min(length as usize);
                Value::Bytes(self.take(here)?)
            } else if length == UNDEFINED {
                // Of an unknown kind and length: a sequence in implicit syntax (PS3.5, 6.2.2).
                let outer = *self;
                if &kind == b"UN" {
                    (self.explicit, self.big_endian) = (false, false);
                }
                let items = self.items(depth, keep);
                (self.explicit, self.big_endian) = (outer.explicit, outer.big_endian);
                Value::Items(items?)
            } else if keep && (&kind == b"SQ" || !self.explicit && is_sequence(tag)) {
                let mut inner = Parser { bytes: self.take(length as usize)?, ..*self };
                Value::Items(inner.items(depth, true)?)
            } else {
                Value::Bytes(self.take(length as usize)?)
            };
            if keep {
                set.elements.insert(tag, value);
            }
            if is_pixels {
                set.words = &kind == b"OW";
                break;
            }
        }
        Ok(set)
    }

    /// The items of a sequence, up to its end.
    fn items(&mut self, depth: usize, keep: bool) -> Result<Vec<DataSet<'a>>, Broken> {
        let mut items = Vec::new();
        while !self.bytes.is_empty() {
            let Start { tag, length, .. } = self.start()?;
            match (tag, length) {
                (SEQUENCE_END, _) => break,
                (ITEM, UNDEFINED) => items.push(self.elements(depth + 1, keep)?),
                (ITEM, length) => {
                    let mut inner = Parser { bytes: self.take(length as usize)?, ..*self };
                    if keep {
                        items.push(inner.elements(depth + 1, true)?);
                    }
                }
                _ => return Err(Broken::Malformed),
            }
        }
        Ok(items)
    }

    fn fragments(&mut self) -> Result<Vec<&'a [u8]>, Broken> {
        let mut fragments = Vec::new();
        loop {
            let Start { tag, length, .. } = self.start()?;
            match tag {
                SEQUENCE_END => return Ok(fragments),
                ITEM => fragments.push(self.take(length as usize)?),
                _ => return Err(Broken::Malformed),
            }
        }
    }
}

/// Whether an element that is kept is a sequence: implicit syntax does not say.
fn is_sequence(tag: Tag) -> bool {
    matches!(
        tag,
        tag::MODALITY_LUT
            | tag::VOI_LUT
            | tag::PLANE_POSITION
            | tag::PLANE_ORIENTATION
            | tag::PIXEL_MEASURES
            | tag::FRAME_WINDOW
            | tag::PIXEL_TRANSFORMATION
            | tag::SHARED_GROUPS
            | tag::FRAME_GROUPS
    )
}
