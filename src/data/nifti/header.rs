//! The fields of a header, and what follows from them: shape, spacing, affine.

use crate::data::numbers::Kind;

/// Bytes of the longest header.
pub(in crate::data) const HEADER: usize = 540;

/// Which of the versions a file is, by its first bytes; `None` if it is none.
pub(in crate::data) fn version(head: &[u8]) -> Option<Version> {
    let size: [u8; 4] = head.get(..4)?.try_into().ok()?;
    for big_endian in [false, true] {
        let size = if big_endian { u32::from_be_bytes(size) } else { u32::from_le_bytes(size) };
        let (two, magic) = match size {
            348 => (false, head.get(344..348)?),
            540 => (true, head.get(4..8)?),
            _ => continue,
        };
        let pair = match magic {
            b"n+1\0" | b"n+2\0" => false,
            b"ni1\0" | b"ni2\0" => true,
            _ => continue,
        };
        return Some(Version { two, pair, big_endian });
    }
    None
}

/// What the magic of a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Version {
    /// Whether the header is one of NIfTI-2.
    pub(super) two: bool,
    /// Whether the voxels lie in another file.
    pub(super) pair: bool,
    pub(super) big_endian: bool,
}

/// How voxels are stored.
#[derive(Clone, Copy)]
pub(super) enum Voxel {
    Number(Kind),
    /// Bytes of a pixel, the first three of which are red, green and blue.
    Colour(usize),
}

/// The fields of a header that count here.
pub(super) struct Header {
    /// Number of axes, then voxels along each.
    pub dim: [u64; 8],
    datatype: i64,
    /// The handedness of the qform, then the spacing along each axis.
    pub pixdim: [f64; 8],
    pub offset: f64,
    scale: [f64; 2],
    pub shown: [f64; 2],
    units: u8,
    codes: [i64; 2],
    /// Quaternion b, c, d and offset x, y, z.
    qform: [f64; 6],
    sform: [[f64; 4]; 3],
    pub intent: i64,
}

/// Reads fields at offsets, in the file's byte order; 0 past the end, which [`decode`](super::decode) excludes.
struct Fields<'a>(&'a [u8], bool);

impl Fields<'_> {
    fn at<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N]);
        if self.1 {
            bytes.reverse();
        }
        bytes
    }
    fn i16(&self, at: usize) -> i64 {
        i16::from_le_bytes(self.at(at)).into()
    }
    fn i32(&self, at: usize) -> i64 {
        i32::from_le_bytes(self.at(at)).into()
    }
    fn f32(&self, at: usize) -> f64 {
        f32::from_le_bytes(self.at(at)).into()
    }
    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.at(at))
    }
    fn f64(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.at(at))
    }
}

impl Header {
    pub fn parse(head: &[u8], version: Version) -> Self {
        let f = Fields(head, version.big_endian);
        let size = |n: i64| u64::try_from(n).unwrap_or(0);
        if version.two {
            return Self {
                dim: std::array::from_fn(|i| size(f.i64(16 + 8 * i))),
                datatype: f.i16(12),
                pixdim: std::array::from_fn(|i| f.f64(104 + 8 * i)),
                offset: f.i64(168) as f64,
                scale: [f.f64(176), f.f64(184)],
                shown: [f.f64(200), f.f64(192)],
                units: f.i32(500) as u8,
                codes: [f.i32(344), f.i32(348)],
                qform: std::array::from_fn(|i| f.f64(352 + 8 * i)),
                sform: std::array::from_fn(|row| std::array::from_fn(|i| f.f64(400 + 32 * row + 8 * i))),
                intent: f.i32(504),
            };
        }
        Self {
            dim: std::array::from_fn(|i| size(f.i16(40 + 2 * i))),
            datatype: f.i16(70),
            pixdim: std::array::from_fn(|i| f.f32(76 + 4 * i)),
            offset: f.f32(108),
            scale: [f.f32(112), f.f32(116)],
            shown: [f.f32(128), f.f32(124)],
            units: head.get(123).copied().unwrap_or(0),
            codes: [f.i16(252), f.i16(254)],
            qform: std::array::from_fn(|i| f.f32(256 + 4 * i)),
            sform: std::array::from_fn(|row| std::array::from_fn(|i| f.f32(280 + 16 * row + 4 * i))),
            intent: f.i16(68),
        }
    }

    /// `[slices, rows, columns]`; axes that the header does not count have one voxel.
    pub fn shape(&self) -> [u64; 3] {
        let axis = |i: usize| if i as u64 <= self.dim[0] { self.dim[i] } else { 1 };
        [(3..8).map(axis).fold(1, u64::saturating_mul), axis(2), axis(1)]
    }

    pub fn voxel(&self) -> Result<Voxel, String> {
        let kind = match self.datatype {
            2 => Kind::U8,
            4 => Kind::I16,
            8 => Kind::I32,
            16 => Kind::F32,
            64 => Kind::F64,
            256 => Kind::I8,
            512 => Kind::U16,
            768 => Kind::U32,
            1024 => Kind::I64,
            1280 => Kind::U64,
            128 => return Ok(Voxel::Colour(3)),
            2304 => return Ok(Voxel::Colour(4)),
            1 => return Err("single bits".to_owned()),
            32 | 1792 | 2048 => return Err("complex numbers".to_owned()),
            1536 => return Err("128-bit floats".to_owned()),
            other => return Err(format!("numbers of a type that NIfTI does not have ({other})")),
        };
        Ok(Voxel::Number(kind))
    }

    /// Millimetres in the header's unit of length.
    pub fn unit(&self) -> f64 {
        match self.units & 7 {
            1 => 1000.0,
            3 => 0.001,
            _ => 1.0,
        }
    }

    /// Spacing in mm of slices, rows and columns: that of the affine, where there is one. Programs that know none write ones
    /// without a unit.
    pub fn spacing(&self) -> Option<[f32; 3]> {
        if let Some(affine) = self.affine() {
            let length = |axis: usize| affine.iter().map(|row| f64::from(row[axis]).powi(2)).sum::<f64>().sqrt();
            let steps = [length(2), length(1), length(0)].map(|step| step as f32);
            let made_up = self.units & 7 == 0 && steps == [1.0; 3];
            if steps.iter().all(|&step| step > 0.0 && step.is_finite()) {
                return (!made_up).then_some(steps);
            }
        }
        let steps = [self.pixdim[3], self.pixdim[2], self.pixdim[1]].map(f64::abs);
        let made_up = self.units & 7 == 0 && steps == [1.0; 3];
        let known = !made_up && steps[1..].iter().all(|&step| step > 0.0 && step.is_finite());
        known.then(|| steps.map(|step| (step * self.unit()) as f32))
    }

    /// From `[column, row, slice, 1]` to mm: the sform if there is one, else the qform.
    pub fn affine(&self) -> Option<[[f32; 4]; 3]> {
        let affine = match self.codes {
            [_, sform] if sform > 0 => self.sform,
            [qform, _] if qform > 0 => self.rotation(),
            _ => return None,
        };
        let affine = affine.map(|row| row.map(|v| (v * self.unit()) as f32));
        affine.as_flattened().iter().all(|v| v.is_finite()).then_some(affine)
    }

    /// The qform: nifti1.h, method 2.
    fn rotation(&self) -> [[f64; 4]; 3] {
        let [b, c, d, x, y, z] = self.qform;
        let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
        // Lengths have no sign, though some files give them one.
        let [_, i, j, k, ..] = self.pixdim.map(f64::abs);
        let k = if self.pixdim[0] < 0.0 { -k } else { k };
        [
            [(a * a + b * b - c * c - d * d) * i, 2.0 * (b * c - a * d) * j, 2.0 * (b * d + a * c) * k, x],
            [2.0 * (b * c + a * d) * i, (a * a + c * c - b * b - d * d) * j, 2.0 * (c * d - a * b) * k, y],
            [2.0 * (b * d - a * c) * i, 2.0 * (c * d + a * b) * j, (a * a + d * d - b * b - c * c) * k, z],
        ]
    }

    /// Slope and intercept if they change anything. A slope of 0 means that there is none.
    pub fn scale(&self) -> Option<[f64; 2]> {
        let [slope, intercept] = self.scale;
        let intercept = if intercept.is_finite() { intercept } else { 0.0 };
        (slope != 0.0 && slope.is_finite() && [slope, intercept] != [1.0, 0.0]).then_some([slope, intercept])
    }
}
