//! PNG, JPEG, BMP and WebP, through the `image` crate.

use super::open::{LARGEST_DECODED_BYTES, check_size, too_large};
use super::stack::{deinterleave, zeros};
use super::{DataError, Pixels};
use ::image::{ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::io::{self, Cursor};
use std::path::Path;
use std::sync::Arc;

/// No image of real pixels is smaller than its decoded size divided by this: deflate reaches 1 032, packed or
/// palette pixels grow 24-fold more. A header that promises more lies.
pub(super) const LARGEST_RATIO: u64 = 32 * 1100;

/// Decodes `bytes`, a file of `format`, of which `path` is the name, to `[1, channels, height, width]`. The size is
/// checked before pixels are allocated.
pub(super) fn decode(path: &Path, format: ImageFormat, bytes: &[u8]) -> Result<([usize; 4], Pixels), DataError> {
    let name = format_name(format);
    if format == ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        return Err(cut_short(path));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(LARGEST_DECODED_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| image_error(path, name, &error))?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let samples = usize::from(color.channel_count());
    let sample_bytes = u64::from(color.bytes_per_pixel()) / u64::from(color.channel_count());
    let len = check_size(path, [1, samples as u64, height.into(), width.into()], sample_bytes)?;
    // WebP can say in a few bytes that all of a large image is alike; beyond this size no image of real pixels is.
    let unlimited = if format == ImageFormat::WebP { 64 << 20 } else { 0 };
    if decoder.total_bytes() > unlimited && decoder.total_bytes() / LARGEST_RATIO > bytes.len() as u64 {
        return Err(cut_short(path));
    }
    let channels = if color.has_alpha() { samples - 1 } else { samples };
    let shape = [1, channels, height as usize, width as usize];
    let read = |buffer: &mut [u8]| decoder.read_image(buffer).map_err(|error| image_error(path, name, &error));
    let pixels = match sample_bytes {
        1 => Pixels::U8(planes(len, samples, channels, read)?),
        2 => Pixels::U16(planes(len, samples, channels, read)?),
        _ => {
            let hint = "Save it with 8 or 16 bits per channel";
            return Err(DataError::new(path, format!("stores colours of type {color:?}, which is not read"), hint));
        }
    };
    Ok((shape, pixels))
}

/// `[1, channels, height, width]` of a file, from its header.
pub(super) fn peek(
    path: &Path,
    format: ImageFormat,
    source: impl io::BufRead + io::Seek,
) -> Result<[u64; 4], DataError> {
    let failed = |error: ImageError| image_error(path, format_name(format), &error);
    let decoder = ImageReader::with_format(source, format).into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let samples = u64::from(color.channel_count());
    Ok([1, if color.has_alpha() { samples - 1 } else { samples }, height.into(), width.into()])
}

/// Reads `len` interleaved values and keeps the first `channels` of every `samples` as planes.
fn planes<T: bytemuck::Pod>(
    len: usize,
    samples: usize,
    channels: usize,
    read: impl FnOnce(&mut [u8]) -> Result<(), DataError>,
) -> Result<Arc<[T]>, DataError> {
    if samples == 1 {
        let mut pixels = zeros(len);
        read(bytemuck::cast_slice_mut(Arc::make_mut(&mut pixels)))?;
        return Ok(pixels);
    }
    let mut interleaved = vec![T::zeroed(); len];
    read(bytemuck::cast_slice_mut(&mut interleaved))?;
    let mut pixels = zeros(len / samples * channels);
    deinterleave(&interleaved, samples, Arc::make_mut(&mut pixels));
    Ok(pixels)
}

/// Whether a JPEG runs to its end marker. The decoder fills what is missing with grey and says nothing.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xd9;
    let mut at = 2;
    loop {
        // To the next marker: past entropy-coded data, in which 0xff is followed by 0 or a restart marker.
        while let Some(&[first, second]) = bytes.get(at..at + 2) {
            if first == 0xff && !matches!(second, 0 | 0xd0..=0xd7 | 0xff) {
                break;
            }
            at += 1;
        }
        let Some(&[_, marker]) = bytes.get(at..at + 2) else { return false };
        match marker {
            END_OF_IMAGE => return true,
            0x01 | 0xd8 => at += 2,
            _ => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
            }
        }
    }
}

/// The name of a format for people.
pub(super) fn format_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Bmp => "BMP",
        ImageFormat::WebP => "WebP",
        _ => "image",
    }
}

pub(super) fn cut_short(path: &Path) -> DataError {
    DataError::new(path, "is cut short: its header promises more than the file holds", "Copy or export it again")
}

fn image_error(path: &Path, format: &str, error: &ImageError) -> DataError {
    let again = "Open it in another program and save it again";
    match error {
        ImageError::Limits(_) => too_large(path, "its header promises more"),
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => cut_short(path),
        ImageError::Unsupported(error) => {
            DataError::new(path, format!("is a {format} of a kind that is not read: {error}"), again)
        }
        _ => DataError::new(path, format!("is a malformed {format}: {error}"), again),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_jpeg_is_found() {
        let whole = [0xff, 0xd8, 0xff, 0xda, 0, 3, 9, 1, 0xff, 0, 2, 0xff, 0xd0, 3, 0xff, 0xd9];
        assert!(jpeg_is_whole(&whole));
        for end in 2..whole.len() {
            assert!(!jpeg_is_whole(&whole[..end]), "{end}");
        }
        // A thumbnail inside a segment has an end marker of its own.
        assert!(!jpeg_is_whole(&[0xff, 0xd8, 0xff, 0xe1, 0, 4, 0xff, 0xd9, 0xff, 0xda, 0, 2, 5]));
    }
}
