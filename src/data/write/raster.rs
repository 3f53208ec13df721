//! Single images back to files, in the type that their case was stored in: PNG for integers, TIFF for everything.

use super::tiff::Page;
use super::write_atomic;
use crate::data::{DataError, Image, StoredType};
use ::image::codecs::png::PngEncoder;
use ::image::{ExtendedColorType, ImageEncoder};
use ::tiff::TiffResult;
use ::tiff::encoder::{TiffEncoder, colortype};
use ::tiff::tags::Tag;
use std::io::{self, Seek, Write};
use std::path::Path;

/// The image as a file of type `stored` would hold it: rounded to the nearest step, clipped to what the type can
/// hold (0–255, 0–65 535, −32 768–32 767). Floats stay as they are. Doing it twice changes nothing.
pub fn quantise(image: &Image, stored: StoredType) -> Image {
    let [least, most] = match stored {
        StoredType::U8 => [0.0, 255.0],
        StoredType::U16 => [0.0, 65_535.0],
        StoredType::I16 => [-32_768.0, 32_767.0],
        StoredType::F32 => return image.clone(),
    };
    let pixels = image.pixels.iter().map(|v| v.round().clamp(least, most)).collect();
    Image { pixels, ..*image }
}

/// The file ending in which an image of this type is saved unless a person chooses: PNG for 8-bit, TIFF for the others.
pub fn file_ending(stored: StoredType) -> &'static str {
    match stored {
        StoredType::U8 => "png",
        StoredType::U16 | StoredType::I16 | StoredType::F32 => "tif",
    }
}

/// Writes `image`, [quantised](quantise) to `stored`, as PNG or TIFF by the ending of `path`; whole or not at all.
///
/// # Errors
/// If the ending is neither `.png`, `.tif` nor `.tiff`, the image is signed or 32-bit float and the file PNG, or as [`write_atomic`].
pub fn write_image(path: &Path, image: &Image, stored: StoredType) -> Result<(), DataError> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("png") => write_png(path, image, stored),
        Some("tif" | "tiff") => write_tiff(path, image, stored),
        _ => Err(DataError::new(path, "has no ending of an image file", "Let the name end in .png, .tif or .tiff")),
    }
}

/// Writes `image`, [quantised](quantise) to 8 or 16 bits, as PNG; whole or not at all.
///
/// # Errors
/// If `stored` is signed or float, which PNG cannot hold, the image has neither 1 nor 3 channels or no pixels, or as [`write_atomic`].
pub fn write_png(path: &Path, image: &Image, stored: StoredType) -> Result<(), DataError> {
    let [width, height] = size(path, image)?;
    let grey = image.channels == 1;
    let encode = |bytes: &[u8], color: ExtendedColorType| {
        write_atomic(path, |file| {
            PngEncoder::new(file).write_image(bytes, width, height, color).map_err(io::Error::other)
        })
    };
    match stored {
        StoredType::U8 => {
            let color = if grey { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
            encode(&interleave(image, |v| v.round() as u8), color)
        }
        StoredType::U16 => {
            let color = if grey { ExtendedColorType::L16 } else { ExtendedColorType::Rgb16 };
            encode(bytemuck::cast_slice(&interleave(image, |v| v.round() as u16)), color)
        }
        StoredType::I16 | StoredType::F32 => {
            let hint = "Save it as TIFF: let the name end in .tif";
            let cause = format!("cannot hold a {} image, because PNG stores unsigned integers", stored.name());
            Err(DataError::new(path, cause, hint))
        }
    }
}

/// Writes `image`, [quantised](quantise) to `stored`, as uncompressed TIFF; whole or not at all.
///
/// # Errors
/// If the image has neither 1 nor 3 channels or no pixels, or as [`write_atomic`].
pub fn write_tiff(path: &Path, image: &Image, stored: StoredType) -> Result<(), DataError> {
    let size = size(path, image)?;
    let grey = image.channels == 1;
    write_atomic(path, |file| {
        match stored {
            StoredType::U8 => {
                let values = interleave(image, |v| v.round() as u8);
                if grey {
                    encode::<colortype::Gray8>(file, size, &values)
                } else {
                    encode::<colortype::RGB8>(file, size, &values)
                }
            }
            StoredType::U16 => {
                let values = interleave(image, |v| v.round() as u16);
                if grey {
                    encode::<colortype::Gray16>(file, size, &values)
                } else {
                    encode::<colortype::RGB16>(file, size, &values)
                }
            }
            StoredType::I16 if grey => {
                let values = interleave(image, |v| v.round() as i16);
                encode::<colortype::GrayI16>(file, size, &values)
            }
            // TIFF's encoder has no signed colours; floats hold the same whole numbers.
            StoredType::I16 | StoredType::F32 => {
                let values = interleave(&quantise(image, stored), |v| v);
                if grey {
                    encode::<colortype::Gray32Float>(file, size, &values)
                } else {
                    encode::<colortype::RGB32Float>(file, size, &values)
                }
            }
        }
        .map_err(io::Error::other)
    })
}

fn encode<C: colortype::ColorType>(file: impl Write + Seek, size: [u32; 2], values: &[C::Inner]) -> TiffResult<()>
where
    [C::Inner]: ::tiff::encoder::TiffValue,
{
    encode_tiff::<C>(&mut TiffEncoder::new(file)?, size, values, &Page::default())
}

/// Adds a page to a TIFF.
pub(super) fn encode_tiff<C: colortype::ColorType>(
    encoder: &mut TiffEncoder<impl Write + Seek>,
    [width, height]: [u32; 2],
    values: &[C::Inner],
    page: &Page,
) -> TiffResult<()>
where
    [C::Inner]: ::tiff::encoder::TiffValue,
{
    let mut image = encoder.new_image::<C>(width, height)?;
    if !page.description.is_empty() {
        image.encoder().write_tag(Tag::ImageDescription, page.description.as_str())?;
    }
    if let Some([columns, rows]) = &page.resolution {
        image.resolution_unit(page.unit);
        image.x_resolution(columns.clone());
        image.y_resolution(rows.clone());
    }
    image.write_data(values)
}

/// Width and height of an image that can be written.
pub(super) fn size(path: &Path, image: &Image) -> Result<[u32; 2], DataError> {
    if !matches!(image.channels, 1 | 3) {
        return Err(DataError::new(path, format!("cannot hold an image of {} channels", image.channels), ""));
    }
    match (u32::try_from(image.width), u32::try_from(image.height)) {
        (Ok(width), Ok(height)) if width > 0 && height > 0 => Ok([width, height]),
        _ => Err(DataError::new(path, format!("cannot hold {} × {} pixels", image.width, image.height), "")),
    }
}

/// `[channels, height, width]` → `[height, width, channels]`. A conversion to integers by `as` clips to what they hold.
pub(super) fn interleave<T>(image: &Image, convert: impl Fn(f32) -> T) -> Vec<T> {
    let plane = image.height * image.width;
    let channels = image.channels;
    (0..plane * channels).map(|i| convert(image.pixels[i % channels * plane + i / channels])).collect()
}
