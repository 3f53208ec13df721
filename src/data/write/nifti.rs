//! NIfTI-1 in one file, little-endian, compressed or not (nifti1.h).

use super::{Made, grid_of, write_atomic};
use crate::data::{Bounds, DataError, Grid, Stack, StoredType};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::path::Path;

/// Bytes before the voxels: the header, and four that say that there is no extension.
const OFFSET: usize = 352;

/// How voxels are stored: nifti1.h, DT_….
#[derive(Clone, Copy, PartialEq, Eq)]
enum Voxel {
    U8 = 2,
    I16 = 4,
    F32 = 16,
    Rgb = 128,
    U16 = 512,
}

impl Voxel {
    fn of(path: &Path, stack: &Stack, grid: Option<Grid>) -> Result<Self, DataError> {
        if stack.channels > 1 {
            let colour = stack.stored() == StoredType::U8;
            let refused = || DataError::new(path, "cannot hold colours of more than 8 bits", "Save it as TIFF");
            return colour.then_some(Self::Rgb).ok_or_else(refused);
        }
        Ok(match grid {
            Some(grid) if grid.least >= 0.0 && grid.most <= 255.0 => Self::U8,
            Some(grid) if grid.least >= -32_768.0 && grid.most <= 32_767.0 => Self::I16,
            Some(grid) if grid.least >= 0.0 && grid.most <= 65_535.0 => Self::U16,
            _ => Self::F32,
        })
    }

    fn bits(self) -> i16 {
        match self {
            Self::U8 => 8,
            Self::I16 | Self::U16 => 16,
            Self::Rgb => 24,
            Self::F32 => 32,
        }
    }
}

/// Writes the numbers that the file stores with their scale, or floats.
pub(super) fn write(path: &Path, stack: &Stack, made: &Made, gzip: bool) -> Result<(), DataError> {
    let grid = grid_of(stack.stored(), &stack.about);
    let voxel = Voxel::of(path, stack, grid)?;
    if [stack.width, stack.height, stack.slices].iter().any(|&n| n > 32_767) {
        let cause = format!("cannot hold {} × {} pixels in {} slices", stack.width, stack.height, stack.slices);
        return Err(DataError::new(path, cause, "An axis of NIfTI-1 ends at 32 767. Save it as TIFF"));
    }
    let header = header(stack, voxel, grid, made);
    let body = |file: &mut dyn Write| {
        file.write_all(&header)?;
        for image in (0..stack.slices).filter_map(|slice| stack.slice(slice)) {
            let number = |v: f32| grid.map_or(f64::from(v), |grid| grid.number(v));
            let values = image.pixels.iter().copied();
            let bytes: Vec<u8> = match voxel {
                Voxel::U8 => values.map(|v| number(v) as u8).collect(),
                Voxel::I16 => values.flat_map(|v| (number(v) as i16).to_le_bytes()).collect(),
                Voxel::U16 => values.flat_map(|v| (number(v) as u16).to_le_bytes()).collect(),
                Voxel::F32 => values.flat_map(f32::to_le_bytes).collect(),
                Voxel::Rgb => super::raster::interleave(&image, |v| v as u8),
            };
            file.write_all(&bytes)?;
        }
        io::Result::Ok(())
    };
    write_atomic(path, |file| {
        if gzip {
            let mut encoder = GzEncoder::new(file, Compression::default());
            body(&mut encoder)?;
            encoder.finish()?;
            Ok(())
        } else {
            body(file)
        }
    })
}

fn header(stack: &Stack, voxel: Voxel, grid: Option<Grid>, made: &Made) -> [u8; OFFSET] {
    const MM: u8 = 2;
    let mut head = [0; OFFSET];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    let f32s = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    put(0, &348i32.to_le_bytes());
    let dim = match stack.about.volume.filter(|&volume| volume > 0 && stack.slices.is_multiple_of(volume)) {
        Some(volume) => [4, stack.width, stack.height, volume, stack.slices / volume, 1, 1, 1],
        None => [3, stack.width, stack.height, stack.slices, 1, 1, 1, 1],
    };
    put(40, &dim.map(|n| (n as i16).to_le_bytes()).concat());
    put(70, &(voxel as i16).to_le_bytes());
    put(72, &voxel.bits().to_le_bytes());
    let affine = stack.about.affine;
    let quaternion = affine.and_then(quaternion);
    let [slices, rows, columns] = stack.about.spacing.unwrap_or([1.0; 3]);
    let handedness = quaternion.map_or(1.0, |(_, handedness)| handedness);
    // A single slice whose thickness is not known has none.
    let slices = if slices > 0.0 { slices } else { 1.0 };
    put(76, &f32s(&[handedness, columns, rows, slices]));
    put(108, &(OFFSET as f32).to_le_bytes());
    let scale = grid.map_or([1.0, 0.0], |grid| [grid.slope, grid.intercept]);
    put(112, &f32s(&scale.map(|v| v as f32)));
    put(123, &[if stack.about.spacing.is_some() { MM } else { 0 }]);
    if stack.shown != Bounds::EIGHT_BIT {
        put(124, &f32s(&[stack.shown.upper, stack.shown.lower]));
    }
    let description = if made.synthetic { format!("SYNTHETIC {}", made.title) } else { made.title.clone() };
    let description: Vec<u8> = description.bytes().filter(u8::is_ascii).take(79).collect();
    put(148, &description);
    if let Some(affine) = affine {
        // NIFTI_XFORM_SCANNER_ANAT: relative to the scanner's or the file's own origin.
        put(254, &1i16.to_le_bytes());
        put(280, &f32s(affine.as_flattened()));
        if let Some((turn, _)) = quaternion {
            put(252, &1i16.to_le_bytes());
            put(256, &f32s(&turn));
            put(268, &f32s(&affine.map(|row| row[3])));
        }
    }
    put(344, b"n+1\0");
    head
}

/// The quaternion (b, c, d) of an affine's rotation and the handedness of its third axis; `None` if its axes are not at
/// right angles, which a quaternion cannot say. After nifti_mat44_to_quatern of the NIfTI library.
fn quaternion(affine: [[f32; 4]; 3]) -> Option<([f32; 3], f32)> {
    let column = |axis: usize| affine.map(|row| f64::from(row[axis]));
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let unit = |v: [f64; 3]| {
        let length = dot(v, v).sqrt();
        (length > 0.0).then(|| v.map(|x| x / length))
    };
    let [x, y, mut z] = [unit(column(0))?, unit(column(1))?, unit(column(2))?];
    if [dot(x, y), dot(y, z), dot(x, z)].iter().any(|cosine| cosine.abs() > 1e-4) {
        return None;
    }
    let normal = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
    let handedness = if dot(normal, z) < 0.0 { -1.0 } else { 1.0 };
    z = z.map(|v| v * handedness);
    let r = [[x[0], y[0], z[0]], [x[1], y[1], z[1]], [x[2], y[2], z[2]]];
    let trace = r[0][0] + r[1][1] + r[2][2] + 1.0;
    let [a, b, c, d] = if trace > 0.5 {
        let a = 0.5 * trace.sqrt();
        let of = |i: usize, j: usize| 0.25 * (r[i][j] - r[j][i]) / a;
        [a, of(2, 1), of(0, 2), of(1, 0)]
    } else {
        // The largest of the diagonal divides.
        let of = [0, 1, 2].map(|i| 1.0 + 2.0 * r[i][i] - (r[0][0] + r[1][1] + r[2][2]));
        let i = if of[0] > 1.0 {
            0
        } else if of[1] > 1.0 {
            1
        } else {
            2
        };
        let (j, k) = ((i + 1) % 3, (i + 2) % 3);
        let largest = 0.5 * of[i].max(0.0).sqrt();
        let mut q = [0.0; 4];
        q[1 + i] = largest;
        q[1 + j] = 0.25 * (r[i][j] + r[j][i]) / largest;
        q[1 + k] = 0.25 * (r[i][k] + r[k][i]) / largest;
        q[0] = 0.25 * (r[k][j] - r[j][k]) / largest;
        q
    };
    let sign = if a < 0.0 { -1.0 } else { 1.0 };
    Some(([b, c, d].map(|v| (sign * v) as f32), handedness as f32))
}
