//! Stored samples to pixels: bits that count, signs, turned greys, colours.

use super::codec::{self, Codec, Frame};
use super::header::{CONVERT, Fault, Header, Layout, Photometric, Plane};
use super::parse::{DataSet, Value};
use super::place::Planes;
use super::tag;
use crate::data::Pixels;
use crate::data::about::Grid;
use crate::data::numbers::{Kind, Numbers};
use std::borrow::Cow;

/// The colours of a palette.
pub(super) struct Palette {
    first: i64,
    /// Of red, green and blue.
    colours: [Vec<u16>; 3],
    pub bits: u16,
}

impl Palette {
    pub fn new(set: &DataSet) -> Result<Self, Fault> {
        let missing = || ("has no palette, or one of a kind that is not read".to_owned(), "");
        let mut first = 0;
        let mut bits = 16;
        let mut colours = [const { Vec::new() }; 3];
        for (channel, colours) in (0..).zip(&mut colours) {
            let descriptor = set.shorts(tag::PALETTE_DESCRIPTOR + channel).ok_or_else(missing)?;
            let &[entries, start, depth] = &descriptor[..] else { return Err(missing()) };
            // 0 stands for 65 536; the start has the sign of the pixels, and negative ones are not in use.
            let entries = if entries == 0 { 1 << 16 } else { usize::from(entries) };
            (first, bits) = (i64::from(start), depth);
            let bytes = set.bytes(tag::PALETTE_DATA + channel).ok_or_else(missing)?;
            *colours = if bytes.len() < 2 * entries && bytes.len() >= entries {
                bytes.iter().map(|&byte| byte.into()).collect()
            } else {
                set.shorts(tag::PALETTE_DATA + channel).ok_or_else(missing)?
            };
            if colours.len() < entries || !matches!(depth, 8 | 16) {
                return Err(missing());
            }
            colours.truncate(entries);
        }
        Ok(Self { first, colours, bits })
    }

    fn colour(&self, channel: usize, index: i64) -> u16 {
        let colours = &self.colours[channel];
        let place = (index - self.first).clamp(0, colours.len() as i64 - 1);
        colours[place as usize]
    }
}

/// What stored greys mean: PS3.3, C.11.1.1.
pub(super) struct Table {
    first: i64,
    values: Vec<u16>,
    /// What its values have at most.
    most: u16,
}

impl Table {
    fn new(set: &DataSet, layout: Layout) -> Result<Self, Fault> {
        let missing = || ("has a look-up table for its values that makes no sense".to_owned(), "");
        let item = set.item(tag::MODALITY_LUT).ok_or_else(missing)?;
        let descriptor = item.shorts(tag::LUT_DESCRIPTOR).ok_or_else(missing)?;
        let &[entries, first, bits] = &descriptor[..] else { return Err(missing()) };
        let entries = if entries == 0 { 1 << 16 } else { usize::from(entries) };
        let first = if layout.signed { i64::from(first.cast_signed()) } else { i64::from(first) };
        let mut values = item.shorts(tag::LUT_DATA).ok_or_else(missing)?;
        if values.len() < entries {
            values = item.bytes(tag::LUT_DATA).ok_or_else(missing)?.iter().map(|&byte| byte.into()).collect();
        }
        if values.len() < entries || !(1..=16).contains(&bits) {
            return Err(missing());
        }
        values.truncate(entries);
        Ok(Self { first, values, most: (u32::from(u16::MAX) >> (16 - bits)) as u16 })
    }

    /// 16-bit values of stored samples.
    fn apply(&self, layout: Layout, samples: &[u8]) -> Vec<u8> {
        let bytes = usize::from(layout.allocated / 8);
        let turned = layout.turned(None).is_some();
        let number = |sample: &[u8]| {
            let number = sample.iter().rev().fold(0i64, |n, &byte| n << 8 | i64::from(byte));
            let unused = 64 - 8 * bytes as u32;
            if layout.signed { number << unused >> unused } else { number }
        };
        let value = |sample: &[u8]| {
            let place = (number(sample) - self.first).clamp(0, self.values.len() as i64 - 1);
            let value = self.values[place as usize];
            if turned { self.most.saturating_sub(value) } else { value }
        };
        samples.chunks_exact(bytes).flat_map(|sample| value(sample).to_le_bytes()).collect()
    }
}

impl Layout {
    /// Whether samples are not yet what they mean: bits do not count, or greys are turned round.
    fn is_untidy(self) -> bool {
        self.stored != self.allocated || self.turned(None).is_some() && !self.table
    }

    /// 1 or 3.
    pub fn channels(self) -> usize {
        if self.samples == 3 || self.photometric == Photometric::Palette { 3 } else { 1 }
    }

    /// The type of the numbers that [`Frames::decode`] makes.
    pub fn kind(self, palette: Option<&Palette>) -> Kind {
        match (palette, self.allocated, self.signed) {
            (Some(palette), ..) => {
                if palette.bits == 8 {
                    Kind::U8
                } else {
                    Kind::U16
                }
            }
            (_, 64, _) => Kind::F64,
            (_, 32, _) if self.float => Kind::F32,
            (_, 1 | 8, false) => Kind::U8,
            (_, 1 | 8, true) => Kind::I8,
            (_, 16, false) => Kind::U16,
            (_, 16, true) => Kind::I16,
            (_, _, false) => Kind::U32,
            (_, _, true) => Kind::I32,
        }
    }
}

/// The frames of a file, to be taken one by one.
pub(super) struct Frames<'a> {
    header: &'a Header,
    layout: Layout,
    palette: Option<Palette>,
    table: Option<Table>,
    source: FrameSource<'a>,
}

enum FrameSource<'a> {
    Native(Cow<'a, [u8]>),
    Compressed(Vec<Vec<&'a [u8]>>),
}

impl<'a> Frames<'a> {
    /// Finds the frames, all of which must be there.
    pub fn new(header: &'a Header, set: &DataSet<'a>) -> Result<Self, Fault> {
        let layout = header.layout;
        let count = header.planes.len();
        let cut_short = || Fault::from(super::parse::Broken::CutShort);
        let pixels = [tag::PIXELS, tag::FLOAT_PIXELS, tag::DOUBLE_PIXELS].iter().find_map(|&tag| set.get(tag));
        let source = match pixels {
            Some(Value::Bytes(bytes)) => {
                let bits = layout.rows as u64 * layout.columns as u64 * layout.samples as u64 * count as u64;
                let len = if layout.allocated == 1 { bits.div_ceil(8) } else { layout.frame_bytes() * count as u64 };
                if (bytes.len() as u64) < len {
                    return Err(cut_short());
                }
                // Bytes that are stored as words of the other order are swapped in pairs.
                if header.big_endian && layout.allocated == 8 && set.has_words() {
                    FrameSource::Native(bytes.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect())
                } else {
                    FrameSource::Native((*bytes).into())
                }
            }
            Some(Value::Fragments(fragments)) => {
                FrameSource::Compressed(frames(fragments, count).ok_or_else(cut_short)?)
            }
            _ => return Err(("has no pixels that can be read".to_owned(), "")),
        };
        let palette = (layout.photometric == Photometric::Palette).then(|| Palette::new(set)).transpose()?;
        let table = layout.table.then(|| Table::new(set, layout)).transpose()?;
        Ok(Self { header, layout, palette, table, source })
    }

    /// How the numbers are stored that [`Self::decode`] makes, without their scale.
    pub fn numbers(&self) -> Numbers {
        let kind = if self.table.is_some() { Kind::U16 } else { self.layout.kind(self.palette.as_ref()) };
        Numbers::plain(kind, false)
    }

    /// Decodes the frame at place `index` (from 0) to planes of little-endian numbers.
    pub fn decode(&self, index: usize) -> Result<Cow<'_, [u8]>, Fault> {
        let index = self.header.order.as_ref().map_or(index, |order| order[index]);
        let layout = self.layout;
        let values = layout.rows * layout.columns * layout.samples;
        if layout.allocated == 1 {
            // Frames of single bits follow one another without a gap.
            let FrameSource::Native(bytes) = &self.source else {
                return Err(("stores compressed single bits, which are not read".to_owned(), ""));
            };
            let start = index * values;
            return Ok((start..start + values).map(|i| bytes[i / 8] >> (i % 8) & 1).collect());
        }
        let sample_bytes = usize::from(layout.allocated / 8);
        let mut bytes = match &self.source {
            FrameSource::Native(bytes) => self.native(bytes, index, values),
            FrameSource::Compressed(frames) => self.compressed(&frames[index], index)?.into(),
        };
        match &mut bytes {
            Cow::Borrowed(bytes) => *bytes = &bytes[..values * sample_bytes],
            Cow::Owned(bytes) => bytes.truncate(values * sample_bytes),
        }
        if !layout.float && layout.is_untidy() {
            match sample_bytes {
                1 => tidy::<1>(layout, bytes.to_mut()),
                2 => tidy::<2>(layout, bytes.to_mut()),
                _ => tidy::<4>(layout, bytes.to_mut()),
            }
        }
        if let Some(palette) = &self.palette {
            return Ok(self.coloured(palette, &bytes).into());
        }
        if let Some(table) = &self.table {
            return Ok(table.apply(layout, &bytes).into());
        }
        let chunky =
            !layout.planar || matches!(self.source, FrameSource::Compressed(_)) && self.header.codec != Codec::Native;
        if layout.samples > 1 && chunky {
            bytes = planes(&bytes, layout.samples, sample_bytes).into();
        }
        let ybr = matches!(layout.photometric, Photometric::Ybr | Photometric::Ybr422);
        if ybr && self.header.codec != Codec::Jpeg && sample_bytes == 1 {
            to_rgb(bytes.to_mut());
        }
        Ok(bytes)
    }

    /// An uncompressed frame, in little endian and with as many samples for each pixel.
    fn native<'b>(&self, bytes: &'b [u8], index: usize, values: usize) -> Cow<'b, [u8]> {
        let layout = self.layout;
        let len = layout.frame_bytes() as usize;
        let mut bytes: Cow<[u8]> = (&bytes[index * len..(index + 1) * len]).into();
        if self.header.big_endian && layout.allocated > 8 {
            bytes.to_mut().chunks_exact_mut(usize::from(layout.allocated / 8)).for_each(<[u8]>::reverse);
        }
        if layout.photometric == Photometric::Ybr422 { spread_422(&bytes, values).into() } else { bytes }
    }

    fn compressed(&self, fragments: &[&[u8]], index: usize) -> Result<Vec<u8>, Fault> {
        let layout = self.layout;
        let whole: Cow<[u8]> = match fragments {
            [only] => (*only).into(),
            parts => parts.concat().into(),
        };
        let Layout { rows, columns, samples, .. } = layout;
        let frame = Frame {
            rows,
            columns,
            samples,
            bytes: usize::from(layout.allocated / 8),
            ybr: matches!(layout.photometric, Photometric::Ybr | Photometric::Ybr422),
            rgb: layout.photometric == Photometric::Rgb,
        };
        codec::decode(self.header.codec, frame, &whole)
            .map(Cow::into_owned)
            .map_err(|error| (format!("has a frame ({index}) that does not decode: {error}"), CONVERT))
    }

    fn coloured(&self, palette: &Palette, indices: &[u8]) -> Vec<u8> {
        let index = |sample: &[u8]| sample.iter().rev().fold(0i64, |n, &byte| n << 8 | i64::from(byte));
        let sample_bytes = usize::from(self.layout.allocated / 8);
        let mut planes = Vec::with_capacity(indices.len() * 6);
        for channel in 0..3 {
            let colours = indices.chunks_exact(sample_bytes).map(|sample| palette.colour(channel, index(sample)));
            if palette.bits == 8 {
                planes.extend(colours.map(|colour| colour as u8));
            } else {
                planes.extend(colours.flat_map(u16::to_le_bytes));
            }
        }
        planes
    }
}

/// The fragments of each of `count` frames, behind the table of offsets. `None` if some are missing.
fn frames<'a>(fragments: &[&'a [u8]], count: usize) -> Option<Vec<Vec<&'a [u8]>>> {
    let (table, fragments) = fragments.split_first()?;
    if count == 1 && !fragments.is_empty() {
        return Some(vec![fragments.to_vec()]);
    }
    if fragments.len() == count {
        return Some(fragments.iter().map(|&fragment| vec![fragment]).collect());
    }
    let offsets: Vec<u32> = table.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
    let mut frames: Vec<Vec<&[u8]>> = Vec::new();
    let mut at = 0u64;
    for &fragment in fragments {
        let starts_frame = if offsets.len() == count {
            offsets.iter().any(|&offset| u64::from(offset) == at)
        } else {
            fragment.starts_with(&[0xff, 0xd8]) || fragment.starts_with(&[0xff, 0x4f])
        };
        match frames.last_mut() {
            Some(frame) if !starts_frame => frame.push(fragment),
            _ => frames.push(vec![fragment]),
        }
        at += fragment.len() as u64 + 8;
    }
    (frames.len() == count).then_some(frames)
}

/// Keeps the bits that count, extends the sign, and turns greys round whose least value is white.
fn tidy<const N: usize>(layout: Layout, bytes: &mut [u8]) {
    let Layout { stored, high, signed, .. } = layout;
    // Greys that a table says the meaning of are turned round behind it.
    let inverted = layout.turned(None).is_some() && !layout.table;
    let shift = u32::from(high + 1 - stored);
    let mask = if stored >= 64 { u64::MAX } else { (1 << stored) - 1 };
    for sample in bytes.as_chunks_mut::<N>().0 {
        let number = sample.iter().rev().fold(0u64, |n, &byte| n << 8 | u64::from(byte)) >> shift & mask;
        // All bits turned: most − v without a sign, −1 − v with one.
        let number = if inverted { !number & mask } else { number };
        let negative = signed && number >> (stored - 1) & 1 == 1;
        let number = if negative { number | !mask } else { number };
        sample.copy_from_slice(&number.to_le_bytes()[..N]);
    }
}

/// Samples of a pixel together → planes.
fn planes(bytes: &[u8], samples: usize, sample_bytes: usize) -> Vec<u8> {
    let pixel = samples * sample_bytes;
    (0..samples)
        .flat_map(|sample| {
            bytes.chunks_exact(pixel).flat_map(move |p| &p[sample * sample_bytes..(sample + 1) * sample_bytes])
        })
        .copied()
        .collect()
}

/// Luminance of two pixels, then their two differences → three samples for each pixel. PS3.3, C.7.6.3.1.2.
fn spread_422(bytes: &[u8], len: usize) -> Vec<u8> {
    let pairs = bytes.chunks_exact(4).flat_map(|p| [p[0], p[2], p[3], p[1], p[2], p[3]]);
    let mut spread: Vec<u8> = pairs.collect();
    spread.resize(len, 0);
    spread
}

/// Planes of luminance and two differences → red, green, blue: PS3.3, C.7.6.3.1.2.
fn to_rgb(planes: &mut [u8]) {
    let len = planes.len() / 3;
    let (y, rest) = planes.split_at_mut(len);
    let (cb, cr) = rest.split_at_mut(len);
    for ((y, cb), cr) in y.iter_mut().zip(cb).zip(cr) {
        let [luma, blue, red] = [f64::from(*y), f64::from(*cb) - 128.0, f64::from(*cr) - 128.0];
        // The numbers of the inverse of the standard's matrix.
        *y = (luma + 1.402 * red).round() as u8;
        *cb = (luma - 0.344_136 * blue - 0.714_136 * red).round() as u8;
        *cr = (luma + 1.772 * blue).round() as u8;
    }
}

/// What greys of up to 16 bits are stored as, if all planes agree.
pub(super) fn grid(layout: Layout, planes: &Planes) -> Option<Grid> {
    let scale = |plane: &Plane| plane.scale.unwrap_or([1.0, 0.0]);
    let [slope, intercept] = planes.first().map(scale)?;
    let agree = planes.iter().all(|plane| scale(plane) == [slope, intercept]);
    let [least, most] = layout.least_and_most();
    let grey = matches!(layout.photometric, Photometric::Grey | Photometric::Inverted) && !layout.float;
    (agree && grey && !layout.table && layout.stored <= 16).then_some(Grid { slope, intercept, least, most })
}

/// Whether pixels are integers of 16 bits in colour, whose range is that of the type.
pub(super) fn is_deep_colour(pixels: &Pixels, channels: usize) -> bool {
    channels == 3 && matches!(pixels, Pixels::U16(_))
}
