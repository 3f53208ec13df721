//! TIFF with a page for each slice, uncompressed; the spacing as resolution in pixels per cm and, as ImageJ writes it, in the
//! description, where that of slices has its place.

use super::raster::{encode_tiff, interleave, size};
use super::{Made, write_atomic};
use crate::data::{DataError, Stack};
use ::tiff::encoder::{Rational, TiffEncoder, colortype};
use std::io;
use std::path::Path;

/// What pages say besides their pixels.
pub(super) struct Page {
    /// For the first page.
    pub description: String,
    /// Columns and rows per cm.
    pub per_cm: Option<[Rational; 2]>,
}

/// Writes integers at their depth, all else as 32-bit floats.
pub(super) fn write(path: &Path, stack: &Stack, made: &Made) -> Result<(), DataError> {
    use crate::data::StoredType as S;
    let mut page = Page { description: description(stack, made), per_cm: resolution(stack) };
    let first = stack.slice(0).ok_or_else(|| DataError::new(path, "has no slices", ""))?;
    let size = size(path, &first)?;
    let grey = stack.channels == 1;
    write_atomic(path, |file| {
        let mut encoder = TiffEncoder::new(file).map_err(io::Error::other)?;
        for image in (0..stack.slices).filter_map(|slice| stack.slice(slice)) {
            match (stack.stored(), grey) {
                (S::U8, true) => {
                    encode_tiff::<colortype::Gray8>(&mut encoder, size, &interleave(&image, |v| v as u8), &page)
                }
                (S::U8, false) => {
                    encode_tiff::<colortype::RGB8>(&mut encoder, size, &interleave(&image, |v| v as u8), &page)
                }
                (S::U16, true) => {
                    encode_tiff::<colortype::Gray16>(&mut encoder, size, &interleave(&image, |v| v as u16), &page)
                }
                (S::U16, false) => {
                    encode_tiff::<colortype::RGB16>(&mut encoder, size, &interleave(&image, |v| v as u16), &page)
                }
                (S::I16, true) => {
                    encode_tiff::<colortype::GrayI16>(&mut encoder, size, &interleave(&image, |v| v as i16), &page)
                }
                (S::F32, true) => {
                    encode_tiff::<colortype::Gray32Float>(&mut encoder, size, &interleave(&image, |v| v), &page)
                }
                (_, false) => {
                    encode_tiff::<colortype::RGB32Float>(&mut encoder, size, &interleave(&image, |v| v), &page)
                }
            }
            .map_err(io::Error::other)?;
            page.description.clear();
        }
        Ok(())
    })
}

/// Ten million is the finest resolution that keeps a spacing of five digits.
fn resolution(stack: &Stack) -> Option<[Rational; 2]> {
    let [_, rows, columns] = stack.about.spacing?;
    let per_cm = |mm: f32| Rational { n: (10.0 / f64::from(mm) * 1e5).round() as u32, d: 100_000 };
    let printable = |mm: f32| mm > 1e-3 && mm < 1e4;
    (printable(rows) && printable(columns)).then(|| [per_cm(columns), per_cm(rows)])
}

/// The keys that ImageJ reads, then ours. Not for a few small pages: tifffile takes an ImageJ file whose second header lies
/// behind as many bytes as all pages have for one block of pixels without headers between.
fn description(stack: &Stack, made: &Made) -> String {
    /// More than the headers and the description of a page.
    const HEADERS: usize = 4096;
    let page_bytes = stack.pixels.len() / stack.slices;
    if stack.slices > 1 && stack.slices.saturating_sub(2) * page_bytes <= HEADERS {
        return format!("{}: {}", made.title, made.description);
    }
    let mut text = String::from("ImageJ=1.54\n");
    if stack.slices > 1 {
        text += &format!("slices={}\n", stack.slices);
    }
    if let Some([between, ..]) = stack.about.spacing.filter(|_| stack.slices > 1) {
        text += &format!("spacing={between}\n");
    }
    if stack.about.spacing.is_some() {
        text += "unit=mm\n";
    }
    text += &format!("Info={}: {}\n", made.title, made.description);
    text
}
