//! CT and MR of a made-up [`Torso`]: what a scanner would show of it, with partial volumes and noise.

use super::noise::{Field, grain};
use super::torso::{LEVEL, Tissue, Torso};
use crate::data::{About, Bounds, DataError, Grid, Pixels, Stack, Unit};

/// Samples of a voxel along each axis, of which the mean is taken.
const SAMPLES: i32 = 2;

/// An axial CT of the lumbar spine in Hounsfield units, under the window of soft tissue: `size`² pixels of 346 mm in all,
/// slices of 5 mm, of which the middle one lies in the middle of L3.
///
/// # Errors
/// If it has no pixels.
pub fn lumbar_ct(seed: u64, size: usize, slices: usize) -> Result<Stack, DataError> {
    let torso = Torso::new(seed);
    let grid = Grid { slope: 1.0, intercept: -1024.0, least: 0.0, most: 4095.0 };
    let [pixel, corner, first_z] = axial(size, slices);
    let marrow = Field::new(seed ^ 0x61, 5.0);
    let mut pixels = Vec::with_capacity(size * size * slices);
    for slice in 0..slices {
        let z = first_z + slice as f32 * CT_THICKNESS_MM;
        for row in 0..size {
            for column in 0..size {
                let (x, y) = (corner + column as f32 * pixel, corner + row as f32 * pixel);
                let hounsfield = mean([x, y, z], [pixel, pixel, CT_THICKNESS_MM], |[x, y, z]| {
                    let texture = marrow.at(x, y, z);
                    match torso.at(x, y, z).0 {
                        Tissue::Air => -1000.0,
                        Tissue::Gas => -950.0,
                        Tissue::Table => -650.0,
                        Tissue::Fat => -100.0,
                        Tissue::Fluid => 12.0,
                        Tissue::Bowel => 28.0 + 14.0 * texture,
                        Tissue::Nerve | Tissue::Kidney => 32.0,
                        Tissue::Skin | Tissue::Blood => 42.0,
                        Tissue::Muscle => 52.0,
                        Tissue::Liver => 58.0,
                        Tissue::Nucleus => 75.0,
                        Tissue::Annulus => 95.0,
                        Tissue::Marrow => 215.0 + 70.0 * texture,
                        Tissue::Plaque => 620.0,
                        Tissue::Cortex => 1050.0 + 150.0 * texture,
                    }
                });
                // Little outside, where hardly anything is absorbed.
                let spread = if hounsfield < -800.0 { 7.0 } else { 11.0 };
                let noisy = hounsfield + spread * grain(seed ^ 0x62, column, row, slice);
                pixels.push(grid.round(noisy) as i16);
            }
        }
    }
    let stack = Stack::new([slices, 1, size, size], Pixels::I16(pixels.into()))?;
    let shown = Bounds { lower: -160.0, upper: 240.0 };
    let about = About {
        modality: Some("CT".to_owned()),
        unit: Unit::Hounsfield,
        numbers: "uint16",
        window: Some(shown),
        grid: Some(grid),
        spacing: Some([CT_THICKNESS_MM, pixel, pixel]),
        affine: Some(affine(size, slices)),
        ..About::default()
    };
    let bounds = Bounds { lower: -1024.0, upper: 3071.0 };
    Ok(Stack { about: about.into(), bounds, shown, ..stack })
}

/// The mask of [`lumbar_ct`]: 1 to 5 in L1 to L5.
///
/// # Errors
/// If it has no pixels.
pub fn lumbar_ct_mask(seed: u64, size: usize, slices: usize) -> Result<Stack, DataError> {
    let torso = Torso::new(seed);
    let [pixel, corner, first_z] = axial(size, slices);
    let label = |i: usize| {
        let (column, row, slice) = (i % size, i / size % size, i / (size * size));
        let at = |place: usize| corner + place as f32 * pixel;
        torso.at(at(column), at(row), first_z + slice as f32 * CT_THICKNESS_MM).1
    };
    let labels: Vec<u8> = (0..size * size * slices).map(label).collect();
    let about = About {
        spacing: Some([CT_THICKNESS_MM, pixel, pixel]),
        affine: Some(affine(size, slices)),
        ..About::default()
    };
    Ok(Stack { about: about.into(), ..Stack::new([slices, 1, size, size], Pixels::U8(labels.into()))? })
}

const CT_FIELD_MM: f32 = 345.6;
const CT_THICKNESS_MM: f32 = 5.0;

/// The side of a pixel, the place of the first one and that of the first slice, in mm.
fn axial(size: usize, slices: usize) -> [f32; 3] {
    let pixel = CT_FIELD_MM / size.max(1) as f32;
    let first_z = 2.5 * LEVEL - 4.5 - CT_THICKNESS_MM * (slices as f32 - 1.0) / 2.0;
    [pixel, -CT_FIELD_MM / 2.0 + pixel / 2.0, first_z]
}

/// From DICOM's left and back to NIfTI's right and front.
fn affine(size: usize, slices: usize) -> [[f32; 4]; 3] {
    let [pixel, corner, first_z] = axial(size, slices);
    [[-pixel, 0.0, 0.0, -corner], [0.0, -pixel, 0.0, -corner], [0.0, 0.0, CT_THICKNESS_MM, first_z]]
}

/// A sagittal MR of the lumbar spine, weighted as T2 (fluid is bright), with its mask: 1 to 5 for L1 to L5. `size`² pixels of
/// 180 mm in all; slices of 4 mm run from right to left.
///
/// # Errors
/// If it has no pixels.
pub fn lumbar_mr(seed: u64, size: usize, slices: usize) -> Result<[Stack; 2], DataError> {
    const FIELD_MM: f32 = 5.0 * LEVEL;
    const THICKNESS_MM: f32 = 4.0;
    let torso = Torso::new(seed);
    let pixel = FIELD_MM / size.max(1) as f32;
    let first_x = -THICKNESS_MM * (slices as f32 - 1.0) / 2.0;
    let (front, top) = (-70.0 + pixel / 2.0, FIELD_MM - pixel / 2.0);
    let marrow = Field::new(seed ^ 0x71, 4.0);
    let mut pixels = Vec::with_capacity(size * size * slices);
    let mut labels = Vec::with_capacity(pixels.capacity());
    for slice in 0..slices {
        let x = first_x + slice as f32 * THICKNESS_MM;
        for row in 0..size {
            for column in 0..size {
                let (y, z) = (front + column as f32 * pixel, top - row as f32 * pixel);
                labels.push(torso.at(x, y, z).1);
                let signal = mean([x, y, z], [THICKNESS_MM, pixel, pixel], |[x, y, z]| {
                    let texture = marrow.at(x, y, z);
                    match torso.at(x, y, z).0 {
                        Tissue::Air | Tissue::Gas | Tissue::Table => 0.0,
                        Tissue::Cortex | Tissue::Plaque => 25.0,
                        Tissue::Blood => 45.0,
                        Tissue::Annulus => 90.0,
                        Tissue::Muscle | Tissue::Liver => 120.0,
                        Tissue::Skin | Tissue::Nerve => 220.0,
                        Tissue::Marrow => 310.0 + 35.0 * texture,
                        Tissue::Kidney | Tissue::Bowel => 360.0 + 60.0 * texture,
                        Tissue::Nucleus => 480.0,
                        Tissue::Fat => 540.0,
                        Tissue::Fluid => 820.0,
                    }
                });
                // A coil in the table hears what is near to it.
                let heard = 0.45 + 0.75 * (y + 70.0) / FIELD_MM;
                let [real, imaginary] = [0, 1].map(|i| 14.0 * grain(seed ^ (0x72 + i), column, row, slice));
                let in_phase = signal * heard + real;
                let magnitude = (in_phase * in_phase + imaginary * imaginary).sqrt();
                pixels.push(magnitude.round() as u16);
            }
        }
    }
    let shape = [slices, 1, size, size];
    let about = About {
        modality: Some("MR".to_owned()),
        spacing: Some([THICKNESS_MM, pixel, pixel]),
        // Columns run to the back, rows downwards, slices to the left.
        affine: Some([[0.0, 0.0, -THICKNESS_MM, -first_x], [-pixel, 0.0, 0.0, -front], [0.0, -pixel, 0.0, top]]),
        ..About::default()
    };
    let made = |pixels| Ok(Stack { about: about.clone().into(), ..Stack::new(shape, pixels)? });
    Ok([made(Pixels::U16(pixels.into()))?, made(Pixels::U8(labels.into()))?])
}

/// The mean of `value` over a voxel of these lengths around a place.
fn mean(at: [f32; 3], lengths: [f32; 3], value: impl Fn([f32; 3]) -> f32) -> f32 {
    let mut sum = 0.0;
    let offset = |i: i32, length: f32| ((i as f32 + 0.5) / SAMPLES as f32 - 0.5) * length;
    for i in 0..SAMPLES {
        for j in 0..SAMPLES {
            for k in 0..SAMPLES {
                let [u, v, w] = [offset(i, lengths[0]), offset(j, lengths[1]), offset(k, lengths[2])];
                sum += value([at[0] + u, at[1] + v, at[2] + w]);
            }
        }
    }
    sum / (SAMPLES * SAMPLES * SAMPLES) as f32
}
