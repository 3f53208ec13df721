//! A strip or tile of a TIFF: decompressed, its prediction undone, its samples as whole bytes.

use super::page::{Compression, Page, Photometric};
use flate2::read::ZlibDecoder;
use std::borrow::Cow;
use std::io::Read;

/// The samples of a chunk of `rows` rows of `width` pixels with `samples` samples each, packed in `raw`: little-endian,
/// as many bytes each as the page's numbers have, the samples of a pixel together. The error says what is wrong.
pub(super) fn decode<'a>(page: &Page, raw: &'a [u8], rows: usize, samples: usize) -> Result<Cow<'a, [u8]>, String> {
    let width = page.chunk_width;
    let row_bytes = page.row_bytes(width, samples);
    let raw: Cow<[u8]> =
        if page.reversed_bits { raw.iter().map(|byte| byte.reverse_bits()).collect() } else { raw.into() };
    if page.compression == Compression::Jpeg {
        return jpeg(page, &raw, rows, samples).map(Cow::from);
    }
    let packed = decompress(page, raw, row_bytes, rows)?;
    let mut unpacked = if matches!(page.bits, 8 | 16 | 32 | 64) {
        whole_bytes(page, packed, row_bytes, samples)
    } else {
        unpack(page, &packed, row_bytes, width * samples, samples).into()
    };
    if page.table.is_some() || page.turned().is_some() {
        tidy(page, unpacked.to_mut());
    }
    Ok(unpacked)
}

fn decompress<'a>(page: &Page, raw: Cow<'a, [u8]>, row_bytes: usize, rows: usize) -> Result<Cow<'a, [u8]>, String> {
    let expected = row_bytes * rows;
    let mut packed = match page.compression {
        Compression::None => raw,
        Compression::PackBits => pack_bits(&raw, expected).into(),
        Compression::Lzw => lzw(&raw, expected)?.into(),
        Compression::Deflate => {
            let mut packed = Vec::with_capacity(expected);
            // A stream that ends early is told by its length.
            let _ = ZlibDecoder::new(&raw[..]).take(expected as u64).read_to_end(&mut packed);
            packed.into()
        }
        Compression::Fax4 => fax4(&raw, page.chunk_width, rows, row_bytes).into(),
        Compression::Jpeg => Cow::default(),
    };
    if packed.len() < expected {
        return Err(format!("a part of it has {} bytes of pixels instead of {expected}", packed.len()));
    }
    match &mut packed {
        Cow::Borrowed(bytes) => *bytes = &bytes[..expected],
        Cow::Owned(bytes) => bytes.truncate(expected),
    }
    Ok(packed)
}

/// TIFF 6.0, section 9.
fn pack_bits(mut raw: &[u8], expected: usize) -> Vec<u8> {
    let mut packed = Vec::with_capacity(expected);
    while let (Some((&control, rest)), true) = (raw.split_first(), packed.len() < expected) {
        raw = rest;
        let control = control as i8;
        if control >= 0 {
            let (literal, rest) = raw.split_at((control as usize + 1).min(raw.len()));
            packed.extend(literal);
            raw = rest;
        } else if control != i8::MIN {
            let Some((&value, rest)) = raw.split_first() else { break };
            packed.resize(packed.len() + (1 - isize::from(control)) as usize, value);
            raw = rest;
        }
    }
    packed
}

fn lzw(raw: &[u8], expected: usize) -> Result<Vec<u8>, String> {
    // Before TIFF 6.0 codes ran from the lowest bit: they begin with the same code, 256, the other way round.
    if let [0, second, ..] = raw
        && second & 1 == 1
    {
        return Err("it has LZW of an old kind, which is not read".to_owned());
    }
    let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
    let mut packed = vec![0; expected];
    let (mut from, mut to) = (0, 0);
    while to < expected {
        let result = decoder.decode_bytes(&raw[from..], &mut packed[to..]);
        from += result.consumed_in;
        to += result.consumed_out;
        match result.status {
            Ok(weezl::LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 => {}
            _ => break,
        }
    }
    packed.truncate(to);
    Ok(packed)
}

/// Black is 1, as in the file.
fn fax4(raw: &[u8], width: usize, rows: usize, row_bytes: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    let bytes = raw.iter().map(|&byte| Ok::<_, std::convert::Infallible>(byte));
    let decoder = u16::try_from(width).ok().and_then(|width| fax::decoder::Group4Decoder::new(bytes, width).ok());
    let Some(mut decoder) = decoder else { return packed };
    for _ in 0..rows {
        if !matches!(decoder.advance(), Ok(fax::decoder::DecodeStatus::Incomplete)) {
            break;
        }
        let start = packed.len();
        packed.resize(start + row_bytes, 0);
        for (x, colour) in fax::decoder::pels(decoder.transition(), width as u16).enumerate() {
            if colour == fax::Color::Black {
                packed[start + x / 8] |= 0x80 >> (x % 8);
            }
        }
    }
    packed
}

/// A JPEG of its own in each chunk, whose tables may lie in the directory.
fn jpeg(page: &Page, raw: &[u8], rows: usize, samples: usize) -> Result<Vec<u8>, String> {
    use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};
    // Tables end, and images begin, with a marker that the other has in the middle.
    let whole: Cow<[u8]> = match page.jpeg_tables.strip_suffix(&[0xff, 0xd9]) {
        Some(tables) if tables.len() > 2 => [tables, raw.get(2..).unwrap_or_default()].concat().into(),
        _ => raw.into(),
    };
    let expected = page.chunk_width * rows * samples;
    let mut decoder = Decoder::new(&whole[..]);
    decoder.set_max_decoding_buffer_size(expected.saturating_mul(4).max(1 << 20));
    decoder.read_info().map_err(|error| error.to_string())?;
    let info = decoder.info().ok_or("it has no header")?;
    let found = match info.pixel_format {
        PixelFormat::L8 => 1,
        PixelFormat::RGB24 => 3,
        PixelFormat::L16 | PixelFormat::CMYK32 => 0,
    };
    let [width, height] = [usize::from(info.width), usize::from(info.height)];
    if width != page.chunk_width || height < rows || found != samples || width * height > expected.saturating_mul(4) {
        return Err(format!("a part of it is a JPEG of {width} × {height} pixels of another kind"));
    }
    decoder.set_color_transform(match (samples, page.photometric) {
        (1, _) => ColorTransform::None,
        (_, Photometric::YCbCr) => ColorTransform::YCbCr,
        _ => ColorTransform::RGB,
    });
    let mut decoded = decoder.decode().map_err(|error| error.to_string())?;
    decoded.truncate(expected);
    tidy(page, &mut decoded);
    if decoded.len() == expected { Ok(decoded) } else { Err("a part of it is cut short".to_owned()) }
}

/// Samples that are whole bytes: their order and prediction.
fn whole_bytes<'a>(page: &Page, packed: Cow<'a, [u8]>, row_bytes: usize, samples: usize) -> Cow<'a, [u8]> {
    let bytes = usize::from(page.bits) / 8;
    if page.predictor == 3 {
        return float_prediction(&packed, row_bytes, bytes, samples).into();
    }
    let swap = page.big_endian && bytes > 1;
    if !swap && page.predictor != 2 {
        return packed;
    }
    let mut packed = packed.into_owned();
    if swap {
        packed.chunks_exact_mut(bytes).for_each(<[u8]>::reverse);
    }
    if page.predictor == 2 {
        for row in packed.chunks_exact_mut(row_bytes) {
            match bytes {
                1 => (samples..row.len()).for_each(|i| row[i] = row[i].wrapping_add(row[i - samples])),
                2 => add_up::<2>(row, samples, |a, b| {
                    u16::from_le_bytes(a).wrapping_add(u16::from_le_bytes(b)).to_le_bytes()
                }),
                4 => add_up::<4>(row, samples, |a, b| {
                    u32::from_le_bytes(a).wrapping_add(u32::from_le_bytes(b)).to_le_bytes()
                }),
                _ => add_up::<8>(row, samples, |a, b| {
                    u64::from_le_bytes(a).wrapping_add(u64::from_le_bytes(b)).to_le_bytes()
                }),
            }
        }
    }
    packed.into()
}

/// Each sample is the difference from the one of the pixel before: TIFF 6.0, section 14.
fn add_up<const N: usize>(row: &mut [u8], samples: usize, add: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    let row = row.as_chunks_mut::<N>().0;
    for i in samples..row.len() {
        row[i] = add(row[i], row[i - samples]);
    }
}

/// Adobe's technical note 3: differences of bytes, the most significant of all samples first.
fn float_prediction(packed: &[u8], row_bytes: usize, bytes: usize, samples: usize) -> Vec<u8> {
    let mut floats = vec![0; packed.len()];
    let mut row = vec![0; row_bytes];
    for (to, from) in floats.chunks_exact_mut(row_bytes).zip(packed.chunks_exact(row_bytes)) {
        row.copy_from_slice(from);
        (samples..row_bytes).for_each(|i| row[i] = row[i].wrapping_add(row[i - samples]));
        let count = row_bytes / bytes;
        for (i, sample) in to.chunks_exact_mut(bytes).enumerate() {
            for (byte, to) in sample.iter_mut().rev().enumerate() {
                *to = row[byte * count + i];
            }
        }
    }
    floats
}

/// Samples of any number of bits up to 32, the highest first; rows begin with a byte.
fn unpack(page: &Page, packed: &[u8], row_bytes: usize, per_row: usize, samples: usize) -> Vec<u8> {
    let bits = usize::from(page.bits);
    let bytes = page.kind.bytes();
    let mask = (1u64 << bits) - 1;
    let mut unpacked = Vec::with_capacity(packed.len() / row_bytes.max(1) * per_row * bytes);
    let mut row = vec![0u64; per_row];
    for packed in packed.chunks_exact(row_bytes) {
        let (mut window, mut filled, mut from) = (0u64, 0, packed.iter());
        for sample in &mut row {
            while filled < bits {
                window = window << 8 | u64::from(from.next().copied().unwrap_or(0));
                filled += 8;
            }
            filled -= bits;
            *sample = window >> filled & mask;
        }
        if page.predictor == 2 {
            (samples..per_row).for_each(|i| row[i] = row[i].wrapping_add(row[i - samples]) & mask);
        }
        row.iter().for_each(|sample| unpacked.extend(&sample.to_le_bytes()[..bytes]));
    }
    unpacked
}

/// Black becomes the least value, and few bits are spread over 0–255.
fn tidy(page: &Page, samples: &mut [u8]) {
    if let Some(table) = &page.table {
        samples.iter_mut().for_each(|sample| *sample = table[usize::from(*sample)]);
    } else if page.turned().is_some() {
        let mask = (u64::MAX >> (64 - page.bits.clamp(1, 64))).to_le_bytes();
        for sample in samples.chunks_exact_mut(page.kind.bytes()) {
            // Most less v is v with all its bits turned.
            sample.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_unpacked() {
        // The example of TIFF 6.0, section 9.
        let raw = [0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7, 0xaa];
        let mut expected = vec![0xaa, 0xaa, 0xaa, 0x80, 0, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0, 0x2a, 0x22];
        expected.extend([0xaa; 10]);
        assert_eq!(pack_bits(&raw, 24), expected);
        assert!(pack_bits(&raw[..8], 24).len() < 24);
    }

    #[test]
    fn predicted_floats_are_put_together() {
        // 1.0 = 3f 80 00 00 and 2.0 = 40 00 00 00: bytes 3f 40 | 80 00 | 00 00 | 00 00, each less the one before.
        let packed = [0x3f, 0x01, 0x40, 0x80, 0, 0, 0, 0];
        let floats = float_prediction(&packed, 8, 4, 1);
        assert_eq!(floats, [1f32.to_le_bytes(), 2f32.to_le_bytes()].concat());
    }
}
