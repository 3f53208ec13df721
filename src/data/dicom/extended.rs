//! Sequential JPEG of 12 bits (ISO/IEC 10918-1, processes 2 and 4), of one component: what DICOM calls JPEG extended, and
//! what decoders of photographs leave out.

/// Rows and columns of a scan that are decoded at a time.
const BLOCK: usize = 8;

/// Where the coefficients of a block go, in the order in which they are coded (figure A.6).
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// What the frame header (B.2.2) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub precision: u8,
    pub height: usize,
    pub width: usize,
    pub components: u8,
}

/// A code table (B.2.4.2): for each length the first code, how many there are, and where their symbols begin.
#[derive(Clone, Default)]
struct Codes {
    rows: [(u32, u32, usize); 16],
    symbols: Vec<u8>,
}

impl Codes {
    fn new(counts: &[u8], symbols: &[u8]) -> Self {
        let mut rows = [(0, 0, 0); 16];
        let (mut code, mut at) = (0u32, 0);
        for (row, &count) in rows.iter_mut().zip(counts) {
            *row = (code, count.into(), at);
            at += usize::from(count);
            code = (code + u32::from(count)) << 1;
        }
        Self { rows, symbols: symbols.to_vec() }
    }
}

/// The segments of a file: marker and content; of a scan also the bytes behind it.
struct Segments<'a> {
    bytes: &'a [u8],
}

impl<'a> Segments<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        Some(Self { bytes: bytes.strip_prefix(&[0xff, 0xd8])? })
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while self.bytes.starts_with(&[0xff, 0xff]) {
            self.bytes = &self.bytes[1..];
        }
        let &[0xff, marker, high, low, ..] = self.bytes else { return None };
        let length = usize::from(u16::from_be_bytes([high, low])).max(2);
        let (content, rest) = self.bytes[2..].split_at_checked(length)?;
        self.bytes = rest;
        Some((marker, &content[2..], rest))
    }
}

/// The frame header, if the file is a sequential one with Huffman codes.
pub(super) fn frame(bytes: &[u8]) -> Option<Frame> {
    let (_, header, _) = Segments::new(bytes)?.find(|(marker, ..)| matches!(marker, 0xc0 | 0xc1))?;
    let &[precision, h1, h0, w1, w0, components, ..] = header else { return None };
    let [height, width] = [[h1, h0], [w1, w0]].map(|bytes| u16::from_be_bytes(bytes).into());
    Some(Frame { precision, height, width, components })
}

/// Decodes to `height × width` samples. The error says what is wrong.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<u16>, String> {
    let malformed = |what: &str| Err(format!("its JPEG is malformed: {what}"));
    let Some(frame) = frame(bytes) else { return malformed("it has no frame header") };
    if frame.components != 1 || !matches!(frame.precision, 8 | 12) {
        return Err(format!("it is JPEG of {} components with {} bits", frame.components, frame.precision));
    }
    let mut quantisers = [[0u16; 64]; 4];
    let mut codes: [[Option<Codes>; 4]; 2] = Default::default();
    let mut restart = 0;
    let mut quantiser = 0;
    for (marker, content, rest) in Segments::new(bytes).into_iter().flatten() {
        match marker {
            0xdb => {
                let mut tables = content;
                while let Some((&kind, values)) = tables.split_first() {
                    let size = if kind >> 4 == 0 { 1 } else { 2 };
                    let Some((values, next)) = values.split_at_checked(64 * size) else {
                        return malformed("a table of steps is cut short");
                    };
                    for (&place, value) in ZIGZAG.iter().zip(values.chunks_exact(size)) {
                        quantisers[usize::from(kind & 3)][place] =
                            value.iter().fold(0, |n, &byte| n << 8 | u16::from(byte));
                    }
                    tables = next;
                }
            }
            0xc4 => {
                let mut tables = content;
                while let Some((&kind, table)) = tables.split_first() {
                    let Some((counts, symbols)) = table.split_at_checked(16) else {
                        return malformed("a table of codes is cut short");
                    };
                    let count = counts.iter().map(|&n| usize::from(n)).sum();
                    let Some((symbols, next)) = symbols.split_at_checked(count) else {
                        return malformed("a table of codes is cut short");
                    };
                    codes[usize::from(kind >> 4 & 1)][usize::from(kind & 3)] = Some(Codes::new(counts, symbols));
                    tables = next;
                }
            }
            0xc0 | 0xc1 => quantiser = usize::from(content.get(8).copied().unwrap_or(0) & 3),
            0xdd => restart = content.get(..2).map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]]))),
            0xda => {
                let choice = content.get(2).copied().unwrap_or(0);
                let [dc, ac] =
                    [(0, choice >> 4 & 3), (1, choice & 3)].map(|(class, at)| &codes[class][usize::from(at)]);
                let (Some(dc), Some(ac)) = (dc, ac) else { return malformed("a table of codes is missing") };
                return scan(frame, rest, dc, ac, &quantisers[quantiser], restart);
            }
            _ => {}
        }
    }
    malformed("it has no scan")
}

/// Bits of a scan, without the bytes stuffed behind 0xff.
struct Bits<'a> {
    bytes: &'a [u8],
    window: u32,
    filled: u32,
    /// Bits made up behind the end.
    missing: u32,
}

impl<'a> Bits<'a> {
    fn bit(&mut self) -> u32 {
        if self.filled == 0 {
            let (byte, used) = match *self.bytes {
                [0xff, 0, ..] => (0xff, 2),
                // A marker: nothing follows before it is taken.
                [0xff, ..] | [] => {
                    self.missing += 8;
                    (0, 0)
                }
                [byte, ..] => (byte, 1),
            };
            self.bytes = &self.bytes[used..];
            (self.window, self.filled) = (byte.into(), 8);
        }
        self.filled -= 1;
        self.window >> self.filled & 1
    }

    /// A signed number of so many bits (F.2.2.1, EXTEND).
    fn number(&mut self, size: u32) -> i32 {
        let bits = (0..size).fold(0i32, |n, _| n << 1 | self.bit() as i32);
        if size > 0 && bits < 1 << (size - 1) { bits - (1 << size) + 1 } else { bits }
    }

    fn symbol(&mut self, codes: &Codes) -> Option<u8> {
        let mut code = 0;
        for &(first, count, at) in &codes.rows {
            code = code << 1 | self.bit();
            if let Some(offset) = code.checked_sub(first).filter(|&offset| offset < count) {
                return codes.symbols.get(at + offset as usize).copied();
            }
        }
        None
    }

    /// Goes on behind a restart marker.
    fn restart(&mut self) {
        self.filled = 0;
        if let &[0xff, 0xd0..=0xd7, ..] = self.bytes {
            self.bytes = &self.bytes[2..];
        }
    }
}

fn scan(
    frame: Frame,
    bytes: &[u8],
    dc: &Codes,
    ac: &Codes,
    quantiser: &[u16; 64],
    restart: usize,
) -> Result<Vec<u16>, String> {
    let cut_short = || "it is cut short".to_owned();
    let [across, down] = [frame.width.div_ceil(BLOCK), frame.height.div_ceil(BLOCK)];
    // A block takes two bits at least.
    if across * down / 4 > bytes.len() + 1 {
        return Err(cut_short());
    }
    let cosines = cosines();
    let [middle, most] = [1 << (frame.precision - 1), (1 << frame.precision) - 1].map(f64::from);
    let mut bits = Bits { bytes, window: 0, filled: 0, missing: 0 };
    let mut samples = vec![0; frame.width * frame.height];
    let mut last = 0i32;
    for block in 0..across * down {
        if restart > 0 && block > 0 && block % restart == 0 {
            bits.restart();
            last = 0;
        }
        let mut coefficients = [0f64; 64];
        let bad = || "it has a code that its tables do not have".to_owned();
        let size = u32::from(bits.symbol(dc).ok_or_else(bad)?).min(16);
        last = last.wrapping_add(bits.number(size));
        coefficients[0] = f64::from(last) * f64::from(quantiser[0]);
        let mut at = 1;
        while at < 64 {
            let symbol = bits.symbol(ac).ok_or_else(bad)?;
            let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 && zeros < 15 {
                break;
            }
            at += zeros;
            let number = bits.number(size);
            let Some(&place) = ZIGZAG.get(at) else { break };
            coefficients[place] = f64::from(number) * f64::from(quantiser[place]);
            at += 1;
        }
        if bits.missing > 16 {
            return Err(cut_short());
        }
        let (left, top) = (block % across * BLOCK, block / across * BLOCK);
        let block = inverse(&coefficients, &cosines);
        for (row, values) in block.chunks_exact(BLOCK).enumerate().take(frame.height - top) {
            let start = (top + row) * frame.width + left;
            let count = BLOCK.min(frame.width - left);
            for (to, value) in samples[start..start + count].iter_mut().zip(values) {
                *to = (value + middle).round().clamp(0.0, most) as u16;
            }
        }
    }
    Ok(samples)
}

/// `[frequency, place]`: the basis of the cosine transform (A.3.3), orthonormal.
fn cosines() -> [[f64; BLOCK]; BLOCK] {
    std::array::from_fn(|u| {
        let scale = if u == 0 { 0.125f64.sqrt() } else { 0.5 };
        std::array::from_fn(|x| scale * (std::f64::consts::PI * (2 * x + 1) as f64 * u as f64 / 16.0).cos())
    })
}

fn inverse(coefficients: &[f64; 64], cosines: &[[f64; BLOCK]; BLOCK]) -> [f64; 64] {
    let mut rows = [0.0; 64];
    for v in 0..BLOCK {
        for x in 0..BLOCK {
            rows[v * BLOCK + x] = (0..BLOCK).map(|u| coefficients[v * BLOCK + u] * cosines[u][x]).sum();
        }
    }
    std::array::from_fn(|i| (0..BLOCK).map(|v| rows[v * BLOCK + i % BLOCK] * cosines[v][i / BLOCK]).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_bits_are_decoded() {
        let bytes = include_bytes!("../../../tests/fixtures/codecs/smooth-12bit.jpeg");
        assert_eq!(frame(bytes), Some(Frame { precision: 12, height: 17, width: 24, components: 1 }));
        let samples = decode(bytes).unwrap();
        let worst = (0..17 * 24).map(|i| (i32::from(samples[i]) - (100 * (i % 24) + 80 * (i / 24)) as i32).abs()).max();
        assert!(worst < Some(16), "{worst:?}");
        for end in 0..bytes.len() - 8 {
            assert!(decode(&bytes[..end]).is_err(), "{end}");
        }
    }
}
