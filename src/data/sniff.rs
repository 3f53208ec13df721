//! What a file is, by its content.

use super::{dicom, idx, nifti, npy};
use ::image::ImageFormat;

/// Bytes at a file's beginning that tell its format.
pub(super) const HEAD: u64 = nifti::HEADER as u64;

/// A format by its content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Format {
    Raster(ImageFormat),
    Tiff,
    Nifti(nifti::Version),
    Dicom,
    Npy,
    Zip,
    Idx,
    /// Told by its length.
    Cifar,
    Gzip,
}
/// The format by content, or what the file seems to be instead.
pub(super) fn sniff(head: &[u8], length: u64) -> Result<Format, &'static str> {
    const TIFF: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];
    let starts = |magic: &[u8]| head.starts_with(magic);
    Err(if head.is_empty() {
        "is empty"
    } else if dicom::is_dicom(head) {
        return Ok(Format::Dicom);
    } else if is_text(head) {
        "is a text file, not an image"
    } else if TIFF.iter().any(|magic| starts(magic)) {
        return Ok(Format::Tiff);
    } else if starts(b"\x89PNG\r\n\x1a\n") {
        return Ok(Format::Raster(ImageFormat::Png));
    } else if starts(b"\xff\xd8\xff") {
        return Ok(Format::Raster(ImageFormat::Jpeg));
    } else if starts(b"BM") {
        return Ok(Format::Raster(ImageFormat::Bmp));
    } else if starts(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return Ok(Format::Raster(ImageFormat::WebP));
    } else if let Some(version) = nifti::version(head) {
        return Ok(Format::Nifti(version));
    } else if starts(b"\x1f\x8b") {
        return Ok(Format::Gzip);
    } else if starts(npy::MAGIC) {
        return Ok(Format::Npy);
    } else if starts(b"PK\x03\x04") {
        return Ok(Format::Zip);
    } else if starts(b"GIF8") {
        "is a GIF image, which is not read"
    } else if starts(b"\0\0\0\x0cjP  ") || starts(b"\xff\x4f\xff\x51") {
        "is a JPEG 2000 image, which is not read"
    } else if starts(b"\x89HDF") {
        "is an HDF5 file, which is not read"
    } else if idx::is_idx(head) {
        return Ok(Format::Idx);
    } else if idx::may_be_cifar(head, length) {
        return Ok(Format::Cifar);
    } else {
        UNKNOWN
    })
}

/// What a file is of which nothing is known.
pub(super) const UNKNOWN: &str = "is not an image of a known format";

/// Whether these first bytes of a file read as text: UTF-8 (its last character may be cut) without control characters.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && !valid.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0c'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_counts() {
        let sniff = |head| sniff(head, 5);
        assert_eq!(sniff(b"BM\x36\0\0\0"), Ok(Format::Raster(ImageFormat::Bmp)));
        assert_eq!(sniff(b"BMI of all patients\n"), Err("is a text file, not an image"));
        assert_eq!(sniff("größer".as_bytes().split_last().unwrap().1), Err("is a text file, not an image"));
        assert_eq!(sniff(b""), Err("is empty"));
        assert_eq!(sniff(b"\xff\xfe\xfd"), Err(UNKNOWN));
    }
}
