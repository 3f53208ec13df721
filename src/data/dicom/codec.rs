//! Compressed frames of DICOM to samples as an uncompressed file has them: little-endian, the samples of a pixel together.

use super::{extended, jpeg_ls};
use std::borrow::Cow;

/// What a frame must hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub rows: usize,
    pub columns: usize,
    pub samples: usize,
    /// Bytes of a sample.
    pub bytes: usize,
    /// Whether its colours are stored as luminance and two differences.
    pub ybr: bool,
    /// Whether the file calls them red, green and blue.
    pub rgb: bool,
}

impl Frame {
    pub fn len(self) -> usize {
        self.rows * self.columns * self.samples * self.bytes
    }
}

/// How frames are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Native,
    Rle,
    Jpeg,
    JpegLs,
    Jpeg2000,
}

/// A transfer syntax: what it is called, and what reads it.
pub(super) struct Syntax {
    pub name: &'static str,
    pub codec: Option<Codec>,
    pub deflated: bool,
}

/// The syntax with this identifier (PS3.6, annex A); `None` if it is not known.
pub(super) fn syntax(uid: &str) -> Option<Syntax> {
    let (name, codec) = match uid.strip_prefix("1.2.840.10008.1.2")? {
        "" => ("implicit little endian", Some(Codec::Native)),
        ".1" => ("explicit little endian", Some(Codec::Native)),
        ".1.98" => ("encapsulated, uncompressed", Some(Codec::Native)),
        ".1.99" => ("deflated", Some(Codec::Native)),
        ".2" => ("explicit big endian", Some(Codec::Native)),
        ".5" => ("RLE", Some(Codec::Rle)),
        ".4.50" => ("JPEG baseline", Some(Codec::Jpeg)),
        ".4.51" => ("JPEG extended", Some(Codec::Jpeg)),
        ".4.57" | ".4.70" => ("JPEG lossless", Some(Codec::Jpeg)),
        ".4.80" => ("JPEG-LS", Some(Codec::JpegLs)),
        ".4.81" => ("JPEG-LS near-lossless", Some(Codec::JpegLs)),
        ".4.90" | ".4.91" => ("JPEG 2000", Some(Codec::Jpeg2000)),
        ".4.92" | ".4.93" => ("JPEG 2000 of several components", None),
        ".4.110" | ".4.111" | ".4.112" => ("JPEG XL", None),
        ".4.201" | ".4.202" | ".4.203" => ("high-throughput JPEG 2000", None),
        ".4.94" | ".4.95" | ".4.204" | ".4.205" => ("JPIP, whose pixels lie on a server", None),
        uid if uid.starts_with(".4.10") => ("a video", None),
        _ => return None,
    };
    Some(Syntax { name, codec, deflated: uid.ends_with(".1.99") })
}

/// Decodes a frame. The error says what is wrong with it.
pub(super) fn decode(codec: Codec, frame: Frame, bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let decoded = match codec {
        Codec::Native => Cow::Borrowed(bytes),
        Codec::Rle => rle(frame, bytes)?.into(),
        Codec::Jpeg => jpeg(frame, bytes)?.into(),
        Codec::JpegLs => jpeg_ls(frame, bytes)?.into(),
        Codec::Jpeg2000 => jpeg_2000(frame, bytes)?.into(),
    };
    if decoded.len() < frame.len() {
        return Err(format!("it has {} bytes of pixels instead of {}", decoded.len(), frame.len()));
    }
    Ok(decoded)
}

/// PS3.5, annex G: each byte of each sample is a plane of its own, most significant first, packed as by PackBits.
fn rle(frame: Frame, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let malformed = || "it is not RLE".to_owned();
    let field = |i: usize| bytes.get(4 * i..4 * i + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    let planes = frame.samples * frame.bytes;
    if field(0) != Some(planes as u32) {
        return Err(malformed());
    }
    // A pair of bytes makes at most 128.
    if frame.len() / 64 > bytes.len() {
        return Err("it is cut short".to_owned());
    }
    let pixels = frame.rows * frame.columns;
    let mut decoded = vec![0; frame.len()];
    for plane in 0..planes {
        let start = field(plane + 1).ok_or_else(malformed)? as usize;
        let end = match field(plane + 2) {
            Some(end) if plane + 1 < planes => end as usize,
            _ => bytes.len(),
        };
        let mut packed = bytes.get(start..end).ok_or_else(malformed)?;
        // The last byte of a little-endian sample is the most significant.
        let (sample, byte) = (plane / frame.bytes, frame.bytes - 1 - plane % frame.bytes);
        let mut to = decoded.iter_mut().skip(sample * frame.bytes + byte).step_by(planes).take(pixels);
        let mut left = pixels;
        while let (Some((&control, rest)), true) = (packed.split_first(), left > 0) {
            packed = rest;
            let control = control as i8;
            if control >= 0 {
                let count = (control as usize + 1).min(left).min(packed.len());
                let (literal, rest) = packed.split_at(count);
                for (to, &from) in to.by_ref().take(count).zip(literal) {
                    *to = from;
                }
                packed = rest;
                left -= count;
            } else if control != i8::MIN {
                let count = (1 - isize::from(control)) as usize;
                let Some((&value, rest)) = packed.split_first() else { break };
                to.by_ref().take(count).for_each(|to| *to = value);
                packed = rest;
                left -= count.min(left);
            }
        }
        if left > 0 {
            return Err("it is cut short".to_owned());
        }
    }
    Ok(decoded)
}

fn check(frame: Frame, width: usize, height: usize, samples: usize) -> Result<(), String> {
    if [width, height, samples] == [frame.columns, frame.rows, frame.samples] {
        return Ok(());
    }
    let Frame { rows, columns, samples: promised, .. } = frame;
    Err(format!(
        "it has {width} × {height} pixels of {samples} samples, but the header promises {columns} × {rows} of {promised}"
    ))
}

/// Samples of `from` bytes → of `to` bytes.
fn widen(samples: Vec<u8>, from: usize, to: usize) -> Vec<u8> {
    if from == to {
        return samples;
    }
    samples.chunks_exact(from).flat_map(|sample| (0..to).map(|i| sample.get(i).copied().unwrap_or(0))).collect()
}

fn jpeg(frame: Frame, bytes: &[u8]) -> Result<Vec<u8>, String> {
    use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};
    if let Some(found) = extended::frame(bytes).filter(|found| found.precision == 12) {
        check(frame, found.width, found.height, found.components.into())?;
        if frame.bytes < 2 {
            return Err("it has 12 bits, but the header promises 8".to_owned());
        }
        let decoded = extended::decode(bytes)?;
        return Ok(widen(decoded.iter().flat_map(|v| v.to_le_bytes()).collect(), 2, frame.bytes));
    }
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(frame.len().saturating_mul(4));
    decoder.read_info().map_err(|error| error.to_string())?;
    let info = decoder.info().ok_or("it has no header")?;
    let (samples, sample_bytes) = match info.pixel_format {
        PixelFormat::L8 => (1, 1),
        PixelFormat::L16 => (1, 2),
        PixelFormat::RGB24 => (3, 1),
        PixelFormat::CMYK32 => (4, 1),
    };
    check(frame, info.width.into(), info.height.into(), samples)?;
    if frame.ybr {
        decoder.set_color_transform(ColorTransform::YCbCr);
    } else if frame.rgb && !bytes.windows(9).take(1 << 16).any(|bytes| bytes == b"\xff\xee\x00\x0eAdobe") {
        // What the file says counts for more than what JPEG takes for usual; a marker of Adobe's says more than both.
        decoder.set_color_transform(ColorTransform::None);
    }
    let decoded = decoder.decode().map_err(|error| error.to_string())?;
    // 16-bit samples come in the machine's order.
    let decoded = match sample_bytes {
        2 => decoded.as_chunks().0.iter().flat_map(|&b| u16::from_ne_bytes(b).to_le_bytes()).collect(),
        _ => decoded,
    };
    Ok(widen(decoded, sample_bytes, frame.bytes))
}

fn jpeg_ls(frame: Frame, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let decoded = jpeg_ls::decode(bytes, [frame.rows, frame.columns, frame.samples])?;
    Ok(widen(decoded.iter().flat_map(|v| v.to_le_bytes()).collect(), 2, frame.bytes))
}

fn jpeg_2000(frame: Frame, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let [width, height] = jpeg_2000_size(bytes).ok_or("it has no JPEG 2000 header")?;
    check(frame, width, height, frame.samples)?;
    let image = jpeg2k::Image::from_bytes(bytes).map_err(|error| error.to_string())?;
    let components = image.components();
    let pixels = frame.rows * frame.columns;
    check(frame, image.width() as usize, image.height() as usize, components.len())?;
    let mut decoded = vec![0; frame.len()];
    for (index, component) in components.iter().enumerate() {
        if component.data().len() != pixels {
            return Err("it has components of several sizes, which are not read".to_owned());
        }
        let to = decoded.chunks_exact_mut(frame.bytes).skip(index).step_by(frame.samples);
        for (to, value) in to.zip(component.data()) {
            to.copy_from_slice(&value.to_le_bytes()[..frame.bytes]);
        }
    }
    Ok(decoded)
}

/// Width and height in a code stream, before anything is allocated for it.
fn jpeg_2000_size(bytes: &[u8]) -> Option<[usize; 2]> {
    // The marker of sizes is the first of a code stream, which may lie in a file of its own.
    let start = bytes.windows(4).position(|bytes| bytes == b"\xff\x4f\xff\x51")?;
    let field = |at: usize| bytes.get(start + at..start + at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let size = |end: usize, offset: usize| Some(field(end)?.checked_sub(field(offset)?)? as usize);
    Some([size(8, 16)?, size(12, 20)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_lengths_are_undone_plane_by_plane() {
        let frame = Frame { rows: 1, columns: 4, samples: 1, bytes: 2, ybr: false, rgb: false };
        let mut bytes = vec![0; 64];
        bytes[0] = 2;
        bytes[4] = 64;
        bytes[8] = 66;
        // High bytes: 4 × 1. Low bytes: 5, 6 as they are, then 2 × 7.
        bytes.extend([0xfd, 1, 1, 5, 6, 0xff, 7]);
        assert_eq!(rle(frame, &bytes).unwrap(), [5, 1, 6, 1, 7, 1, 7, 1]);
        bytes.truncate(69);
        assert!(rle(frame, &bytes).unwrap_err().contains("cut short"));
        assert!(rle(Frame { samples: 3, ..frame }, &bytes).is_err());
    }

    #[test]
    fn syntaxes_have_names() {
        assert_eq!(syntax("1.2.840.10008.1.2.4.70").and_then(|s| s.codec), Some(Codec::Jpeg));
        assert!(syntax("1.2.840.10008.1.2.4.102").is_some_and(|s| s.codec.is_none() && s.name == "a video"));
        assert!(syntax("1.2.3").is_none());
    }
}
