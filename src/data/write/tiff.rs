//! TIFF with a page for each slice, uncompressed; the spacing as ImageJ writes it: pixels per mm as resolution without a unit,
//! which stands in the description beside the distance of slices. Few small pages have another description: there all is in cm.

use super::raster::{encode_tiff, interleave, size};
use super::{Made, printed, write_atomic};
use crate::data::{DataError, Stack};
use ::tiff::encoder::{Rational, TiffEncoder, colortype};
use ::tiff::tags::ResolutionUnit;
use std::io;
use std::path::Path;

/// What pages say besides their pixels.
pub(super) struct Page {
    /// For the first page.
    pub description: String,
    /// Columns and rows for each `unit`.
    pub resolution: Option<[Rational; 2]>,
    pub unit: ResolutionUnit,
}

impl Default for Page {
    fn default() -> Self {
        Self { description: String::new(), resolution: None, unit: ResolutionUnit::None }
    }
}

/// Writes integers at their depth, all else as 32-bit floats.
pub(super) fn write(path: &Path, stack: &Stack, made: &Made) -> Result<(), DataError> {
    use crate::data::StoredType as S;
    let imagej = is_imagej(stack);
    let (unit, mm) = if imagej { (ResolutionUnit::None, 1.0) } else { (ResolutionUnit::Centimeter, 10.0) };
    let mut page = Page { description: description(stack, made, imagej), resolution: resolution(stack, mm), unit };
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

/// Columns and rows for each `unit` of so many mm. Both numbers of a fraction stay below 2³¹, since ImageJ takes them for signed.
fn resolution(stack: &Stack, unit: f64) -> Option<[Rational; 2]> {
    let [_, rows, columns] = stack.about.spacing?;
    let per_unit = |mm: f32| {
        let step = printed(mm) / unit;
        let n = if step < 2.0 { 1e9 } else { 1e6 };
        Rational { n: n as u32, d: (step * n).round() as u32 }
    };
    let printable = |mm: f32| mm > 1e-3 && mm < 2e3;
    (printable(rows) && printable(columns)).then(|| [per_unit(columns), per_unit(rows)])
}

/// Whether the description is one of ImageJ. Not of a few small pages: tifffile takes an ImageJ file whose second header lies
/// behind as many bytes as all pages have for one block of pixels without headers between.
fn is_imagej(stack: &Stack) -> bool {
    /// More than the headers and the description of a page.
    const HEADERS: usize = 4096;
    let page_bytes = stack.pixels.len() / stack.slices;
    stack.slices == 1 || stack.slices.saturating_sub(2) * page_bytes > HEADERS
}

/// The keys that ImageJ reads, or the same under a name of our own, then ours.
fn description(stack: &Stack, made: &Made, imagej: bool) -> String {
    let mut text = String::from(if imagej { "ImageJ=1.54\n" } else { "Epsiloscope=1\n" });
    let volume = stack.about.volume.filter(|&volume| volume > 0 && stack.slices.is_multiple_of(volume));
    if stack.slices > 1 {
        text += &format!("slices={}\n", volume.unwrap_or(stack.slices));
    }
    if let Some(volume) = volume {
        text += &format!("frames={}\n", stack.slices / volume);
    }
    if let Some([between, ..]) = stack.about.spacing.filter(|_| stack.slices > 1) {
        let between = printed(between);
        text += &format!("spacing={}\n", if imagej { between } else { between / 10.0 });
    }
    if stack.about.spacing.is_some() {
        text += if imagej { "unit=mm\n" } else { "unit=cm\n" };
    }
    text += &format!("Info={}: {}\n", made.title, made.description);
    text
}
