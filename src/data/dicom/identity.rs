//! What in a DICOM file tells who the patient is, or where and when the image was taken. Read only where a person asks for
//! it: all other readers skip these elements.

use super::header;
use super::tag::{self, Tag};
use super::{series, to_error};
use crate::data::DataError;
use std::path::Path;

/// The elements: tag, kind of value, name in words (PS3.6).
const ELEMENTS: [(Tag, &str, &str); 27] = [
    (0x0008_0005, "CS", "character set"),
    (0x0008_0020, "DA", "study date"),
    (0x0008_0021, "DA", "series date"),
    (0x0008_0022, "DA", "acquisition date"),
    (0x0008_0023, "DA", "content date"),
    (0x0008_0030, "TM", "study time"),
    (0x0008_0050, "SH", "accession number"),
    (0x0008_0080, "LO", "institution name"),
    (0x0008_0081, "ST", "institution address"),
    (0x0008_0090, "PN", "referring physician"),
    (0x0008_1010, "SH", "station name"),
    (0x0008_1030, "LO", "study description"),
    (0x0008_1048, "PN", "physician of record"),
    (0x0008_1050, "PN", "performing physician"),
    (0x0008_1070, "PN", "operator"),
    (0x0010_0010, "PN", "patient name"),
    (0x0010_0020, "LO", "patient ID"),
    (0x0010_0030, "DA", "patient birth date"),
    (0x0010_0032, "TM", "patient birth time"),
    (0x0010_0040, "CS", "patient sex"),
    (0x0010_1010, "AS", "patient age"),
    (0x0010_1020, "DS", "patient size"),
    (0x0010_1030, "DS", "patient weight"),
    (0x0010_4000, "LT", "patient comments"),
    (0x0018_1000, "LO", "device serial number"),
    (0x0018_1030, "LO", "protocol name"),
    (0x0020_0010, "SH", "study ID"),
];

/// An element that tells who the patient is, or where and when the image was taken.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentifyingElement {
    tag: Tag,
    kind: &'static str,
    /// What it is, in words: `patient name`.
    pub name: &'static str,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for IdentifyingElement {
    /// Without its value: what is logged must not leak it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IdentifyingElement {:08x} {}", self.tag, self.name)
    }
}

impl IdentifyingElement {
    /// The value as text; what is no UTF-8 is taken for ISO 8859-1.
    pub fn text(&self) -> String {
        let text = std::str::from_utf8(&self.bytes)
            .map_or_else(|_| self.bytes.iter().map(|&b| char::from(b)).collect(), str::to_owned);
        text.trim_matches([' ', '\0']).to_owned()
    }

    /// Hands tag, kind and value on to a writer.
    pub(in crate::data) fn put(&self, mut to: impl FnMut(u32, &str, Vec<u8>)) {
        to(self.tag, self.kind, self.bytes.clone());
    }
}

/// What in the DICOM file `path`, or in the first one of a folder, tells who the patient is; nothing for files of other
/// formats.
///
/// # Errors
/// If it cannot be read.
pub fn read_identifying(path: &Path) -> Result<Vec<IdentifyingElement>, DataError> {
    let first = if path.is_dir() { series::find_series(path)?.into_iter().next() } else { Some(path.to_owned()) };
    let Some(first) = first.filter(|path| series::begins_as_dicom(path)) else { return Ok(Vec::new()) };
    let bytes = series::read_file(&first)?;
    let mut inflated = Vec::new();
    let keep = |tag: Tag| tag == tag::PIXELS || ELEMENTS.iter().any(|&(known, ..)| known == tag);
    let (_, set) = header::open_keeping(&bytes, &mut inflated, keep, 0).map_err(to_error(&first))?;
    let elements = ELEMENTS.iter().filter_map(|&(tag, kind, name)| {
        let bytes = set.bytes(tag)?.to_vec();
        let element = IdentifyingElement { tag, kind, name, bytes };
        (!element.text().is_empty()).then_some(element)
    });
    Ok(elements.collect())
}
