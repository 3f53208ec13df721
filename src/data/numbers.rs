//! Numbers as volumes store them, of any type and byte order, to pixels.

use super::Pixels;
use super::about::Grid;
use super::stack::zeros;
use rayon::prelude::*;
use std::sync::Arc;

/// The type of a stored number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
}

impl Kind {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// numpy's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }
}

/// How numbers are stored, and what they mean: `slope · number + intercept`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Numbers {
    pub kind: Kind,
    pub big_endian: bool,
    /// Slope and intercept, if they change anything.
    pub scale: Option<[f64; 2]>,
}

impl Numbers {
    /// Numbers that mean themselves.
    pub fn plain(kind: Kind, big_endian: bool) -> Self {
        Self { kind, big_endian, scale: None }
    }

    /// The numbers of up to 16 bits that these are; others have no use for a grid, since floats hold them no better.
    pub fn grid(self) -> Option<Grid> {
        let [least, most] = match self.kind {
            Kind::U8 => [0.0, 255.0],
            Kind::I8 => [-128.0, 127.0],
            Kind::U16 => [0.0, 65_535.0],
            Kind::I16 => [-32_768.0, 32_767.0],
            _ => return None,
        };
        let [slope, intercept] = self.scale.unwrap_or([1.0, 0.0]);
        Some(Grid { slope, intercept, least, most })
    }

    /// Bytes of memory for each pixel.
    pub fn decoded_bytes(self) -> u64 {
        match (self.kind, self.scale) {
            (Kind::U8, None) => 1,
            (Kind::I8 | Kind::U16 | Kind::I16, None) => 2,
            _ => 4,
        }
    }

    /// What is added to each number, if that makes 16-bit integers of 8-bit or 16-bit ones, as in most CT.
    fn shift(self) -> Option<i32> {
        let [slope, intercept] = self.scale.unwrap_or([1.0, 0.0]);
        let integers = matches!(self.kind, Kind::U8 | Kind::I8 | Kind::U16 | Kind::I16);
        let shifts = slope == 1.0 && intercept.fract() == 0.0 && intercept.abs() <= 65_536.0;
        (integers && shifts).then_some(intercept as i32)
    }
}

/// Takes numbers piece by piece, so that no second copy of a volume is held.
pub(super) struct Filler {
    numbers: Numbers,
    pixels: Pixels,
    at: usize,
    rounded: bool,
}

impl Filler {
    /// Room for `len` pixels. Integers of 8 and 16 bits that mean themselves, or are shifted by a whole number and still
    /// fit, stay such integers; all others become 32-bit floats.
    pub fn new(len: usize, numbers: Numbers) -> Self {
        let pixels = match (numbers.kind, numbers.scale) {
            (Kind::U8, None) => Pixels::U8(zeros(len)),
            (Kind::U16, None) => Pixels::U16(zeros(len)),
            _ if numbers.shift().is_some() => Pixels::I16(zeros(len)),
            _ => Pixels::F32(zeros(len)),
        };
        Self { numbers, pixels, at: 0, rounded: false }
    }

    /// What the next numbers mean, of numbers that do not mean themselves.
    pub fn set_scale(&mut self, scale: Option<[f64; 2]>) {
        self.numbers.scale = scale;
        if self.numbers.shift().is_none() {
            self.widen();
        }
    }

    /// Floats in place of integers: a number does not fit.
    fn widen(&mut self) {
        if let Pixels::I16(integers) = &self.pixels {
            self.pixels = Pixels::F32(integers.par_iter().map(|&v| f32::from(v)).collect::<Vec<_>>().into());
        }
    }

    /// The next numbers; what is past the end, or no whole number, is dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        let count = (bytes.len() / self.numbers.kind.bytes()).min(self.pixels.len() - self.at);
        let range = self.at..self.at + count;
        let Numbers { kind, big_endian: big, scale } = self.numbers;
        match &mut self.pixels {
            Pixels::U8(to) => Arc::make_mut(to)[range].copy_from_slice(&bytes[..count]),
            Pixels::U16(to) => {
                for (to, from) in Arc::make_mut(to)[range].iter_mut().zip(bytes.as_chunks().0) {
                    *to = if big { u16::from_be_bytes(*from) } else { u16::from_le_bytes(*from) };
                }
            }
            Pixels::I16(to) => {
                let shift = self.numbers.shift().unwrap_or_default();
                if !to_i16(kind, big, shift, bytes, &mut Arc::make_mut(to)[range]) {
                    self.widen();
                    return self.push(bytes);
                }
            }
            Pixels::F32(to) => self.rounded |= to_f32(kind, big, scale, bytes, &mut Arc::make_mut(to)[range]),
        }
        self.at += count;
    }

    /// The pixels, and whether some numbers have no exact 32-bit float.
    pub fn finish(self) -> (Pixels, bool) {
        let pixels = match self.pixels {
            // The bits of a number that is not negative are the same in both types.
            Pixels::I16(integers) if integers.par_chunks(1 << 20).all(|piece| piece.iter().all(|&v| v >= 0)) => {
                match bytemuck::allocation::try_cast_slice_arc(integers) {
                    Ok(integers) => Pixels::U16(integers),
                    Err((_, integers)) => Pixels::I16(integers),
                }
            }
            pixels => pixels,
        };
        (pixels, self.rounded)
    }
}

/// Converts and shifts as many integers as there is room for. Returns whether all of them fit.
fn to_i16(kind: Kind, big: bool, shift: i32, bytes: &[u8], to: &mut [i16]) -> bool {
    let mut fit = true;
    let mut put = |to: &mut i16, number: i32| {
        let shifted = number + shift;
        *to = shifted as i16;
        fit &= i32::from(*to) == shifted;
    };
    match kind {
        Kind::U8 => to.iter_mut().zip(bytes).for_each(|(to, &from)| put(to, from.into())),
        Kind::I8 => to.iter_mut().zip(bytes).for_each(|(to, &from)| put(to, from.cast_signed().into())),
        _ => {
            for (to, from) in to.iter_mut().zip(bytes.as_chunks().0) {
                let bits = if big { u16::from_be_bytes(*from) } else { u16::from_le_bytes(*from) };
                put(to, if kind == Kind::U16 { bits.into() } else { bits.cast_signed().into() });
            }
        }
    }
    fit
}

/// Converts as many numbers as there is room for. Returns whether some that mean themselves had to be rounded.
fn to_f32(kind: Kind, big: bool, scale: Option<[f64; 2]>, bytes: &[u8], to: &mut [f32]) -> bool {
    macro_rules! convert {
        ($kind:ty) => {{
            let mut rounded = false;
            for (to, from) in to.iter_mut().zip(bytes.as_chunks().0) {
                let number = if big { <$kind>::from_be_bytes(*from) } else { <$kind>::from_le_bytes(*from) };
                let number = number as f64;
                match scale {
                    Some([slope, intercept]) => *to = (slope * number + intercept) as f32,
                    None => {
                        *to = number as f32;
                        rounded |= f64::from(*to) != number && number.is_finite();
                    }
                }
            }
            rounded
        }};
    }
    match kind {
        Kind::U8 => convert!(u8),
        Kind::I8 => convert!(i8),
        Kind::U16 => convert!(u16),
        Kind::I16 => convert!(i16),
        Kind::U32 => convert!(u32),
        Kind::I32 => convert!(i32),
        Kind::U64 => convert!(u64),
        Kind::I64 => convert!(i64),
        Kind::F32 => convert!(f32),
        Kind::F64 => convert!(f64),
        Kind::F16 => {
            let [slope, intercept] = scale.unwrap_or([1.0, 0.0]);
            for (to, from) in to.iter_mut().zip(bytes.as_chunks().0) {
                let half = if big { u16::from_be_bytes(*from) } else { u16::from_le_bytes(*from) };
                *to = (slope * half_to_f64(half) + intercept) as f32;
            }
            false
        }
    }
}

/// IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction.
fn half_to_f64(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match bits >> 10 & 0x1f {
        0 => fraction * 2f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        exponent => (1024.0 + fraction) * 2f64.powi(i32::from(exponent) - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(numbers: Numbers, bytes: &[u8]) -> (Pixels, bool) {
        let mut filler = Filler::new(bytes.len() / numbers.kind.bytes(), numbers);
        // In two pieces, and too much at the end.
        let half = bytes.len() / 2 / numbers.kind.bytes() * numbers.kind.bytes();
        filler.push(&bytes[..half]);
        filler.push(&bytes[half..]);
        filler.push(bytes);
        filler.finish()
    }

    #[test]
    fn signed_numbers_stay_integers_unless_one_is_negative() {
        let numbers = Numbers::plain(Kind::I16, true);
        let (pixels, _) = read(numbers, &[0, 1, 0x7f, 0xff]);
        assert!(matches!(&pixels, Pixels::U16(p) if p[..] == [1, 32_767]), "{pixels:?}");
        let (pixels, _) = read(numbers, &[0, 1, 0x80, 0]);
        assert!(matches!(&pixels, Pixels::I16(p) if p[..] == [1, -32_768]), "{pixels:?}");
    }

    #[test]
    fn whole_shifts_stay_integers_while_they_fit() {
        let shifted = |kind, shift| Numbers { kind, big_endian: false, scale: Some([1.0, shift]) };
        let (pixels, _) = read(shifted(Kind::U16, -1024.0), &[0, 0, 0xff, 0x0f]);
        assert!(matches!(&pixels, Pixels::I16(p) if p[..] == [-1024, 3071]), "{pixels:?}");
        let (pixels, _) = read(shifted(Kind::I16, -1024.0), &[0, 4, 0, 0x80]);
        assert!(matches!(&pixels, Pixels::F32(p) if p[..] == [0.0, -33_792.0]), "{pixels:?}");
        let (pixels, _) = read(shifted(Kind::I16, -1024.5), &[0, 4, 0, 0x80]);
        assert!(matches!(&pixels, Pixels::F32(p) if p[..] == [-0.5, -33_792.5]), "{pixels:?}");
        let mut filler = Filler::new(2, shifted(Kind::U8, 7.0));
        filler.push(&[1]);
        filler.set_scale(Some([0.5, 0.0]));
        filler.push(&[1]);
        assert!(matches!(filler.finish().0, Pixels::F32(p) if p[..] == [8.0, 0.5]));
    }

    #[test]
    fn rounding_is_noticed_and_scaling_is_done_in_double_precision() {
        let numbers = |kind, scale| Numbers { kind, big_endian: false, scale };
        let read = |numbers, bytes: &[u8]| match read(numbers, bytes) {
            (Pixels::F32(pixels), rounded) => (pixels[0], rounded),
            (other, _) => panic!("{other:?}"),
        };
        assert_eq!(read(numbers(Kind::I32, None), &16_777_216i32.to_le_bytes()), (16_777_216.0, false));
        assert_eq!(read(numbers(Kind::I32, None), &16_777_217i32.to_le_bytes()), (16_777_216.0, true));
        assert_eq!(read(numbers(Kind::F64, None), &0.1f64.to_le_bytes()), (0.1, true));
        let scale = Some([0.1, -16_777_217.0]);
        assert_eq!(read(numbers(Kind::U32, scale), &167_772_175u32.to_le_bytes()), (0.5, false));
        let scaled = Some([2.0, 0.0]);
        assert_eq!(read(numbers(Kind::I8, scaled), &[0x80]), (-256.0, false));
    }

    #[test]
    fn half_floats() {
        for (bits, value) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65_504.0), (1, 2f64.powi(-24)), (0x3555, 0.333_251_953_125)]
        {
            assert_eq!(half_to_f64(bits), value);
        }
        assert_eq!(half_to_f64(0xfc00), f64::NEG_INFINITY);
        assert!(half_to_f64(0x7e00).is_nan());
    }
}
