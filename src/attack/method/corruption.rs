//! Common corruptions: what images suffer without an attacker. They run on the host, row by row; ε is their strength.

use crate::attack::random::{Random, Use};
use crate::attack::rows::{Found, Method, Observer, Rows};
use crate::attack::{Attack, AttackError};
use crate::tensor::to_host;
use burn::tensor::{Tensor, TensorData};
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{DynamicImage, ExtendedColorType};
use std::io::Cursor;

/// After Hendrycks and Dietterich 2019, with a strength from 0 (nothing) to 1 in place of their five steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::attack) enum Corruption {
    /// The share ε of all values becomes 0 or 1, with equal probability.
    SaltAndPepper,
    /// A Gaussian blur of deviation ε·`largest` pixels.
    Blur { largest: f64 },
    /// JPEG of quality 100·(1 − ε), at least 1, of the image at 8 bits.
    Jpeg,
    /// The contrast shrinks: mean + (1 − ε)·(x − mean), the mean of each channel.
    Contrast,
}

/// One image of a batch: its shape and where its values are.
struct Plane<'a> {
    values: &'a mut [f32],
    shape: [usize; 3],
}

impl Corruption {
    pub fn salt_and_pepper(_: &Attack) -> Box<dyn Method> {
        Box::new(Self::SaltAndPepper)
    }

    pub fn blur(attack: &Attack) -> Box<dyn Method> {
        Box::new(Self::Blur { largest: attack.number("largest") })
    }

    pub fn jpeg(_: &Attack) -> Box<dyn Method> {
        Box::new(Self::Jpeg)
    }

    pub fn contrast(_: &Attack) -> Box<dyn Method> {
        Box::new(Self::Contrast)
    }

    fn apply(self, plane: &mut Plane<'_>, strength: f64, random: &mut Random) -> Result<(), AttackError> {
        match self {
            Self::SaltAndPepper => {
                for v in plane.values.iter_mut() {
                    // Both are drawn for every value, so that a larger strength hits the same values and more.
                    let (place, sign) = (random.unit(), random.sign());
                    if place < strength {
                        *v = if sign > 0.0 { 1.0 } else { 0.0 };
                    }
                }
                Ok(())
            }
            Self::Blur { largest } => {
                let [_, height, width] = plane.shape;
                blur(plane.values, [height, width], strength * largest);
                Ok(())
            }
            Self::Jpeg => jpeg(plane, (100.0 * (1.0 - strength)).round().clamp(1.0, 100.0) as u8),
            Self::Contrast => {
                let size = plane.shape[1] * plane.shape[2];
                for channel in plane.values.chunks_mut(size.max(1)) {
                    let mean = channel.iter().map(|&v| f64::from(v)).sum::<f64>() / size as f64;
                    channel.iter_mut().for_each(|v| *v = (mean + (1.0 - strength) * (f64::from(*v) - mean)) as f32);
                }
                Ok(())
            }
        }
    }
}

/// A Gaussian of deviation `sigma` over each plane of `values`, `[planes, height, width]`, cut off at 4σ, the border repeated.
pub(in crate::attack) fn blur(values: &mut [f32], [height, width]: [usize; 2], sigma: f64) {
    let radius = (4.0 * sigma).round() as isize;
    if radius == 0 {
        return;
    }
    let kernel: Vec<f64> = (-radius..=radius).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let sum: f64 = kernel.iter().sum();
    for channel in values.chunks_mut((height * width).max(1)) {
        for (n, stride, lines, line_stride) in [(width, 1, height, width), (height, width, width, 1)] {
            for line in 0..lines {
                let start = line * line_stride;
                let values: Vec<f64> = (0..n).map(|i| f64::from(channel[start + i * stride])).collect();
                for i in 0..n {
                    let at = |k: usize| (i as isize + k as isize - radius).clamp(0, n as isize - 1) as usize;
                    let mixed: f64 = kernel.iter().enumerate().map(|(k, weight)| weight * values[at(k)]).sum();
                    channel[start + i * stride] = (mixed / sum) as f32;
                }
            }
        }
    }
}

/// Encodes at 8 bits and decodes again.
fn jpeg(plane: &mut Plane<'_>, quality: u8) -> Result<(), AttackError> {
    let undefined = |cause: String| AttackError::Undefined { attack: "JPEG", cause };
    let [channels, height, width] = plane.shape;
    let colour = match channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        n => return Err(undefined(format!("JPEG has 1 or 3 channels, and the image {n}"))),
    };
    let (Ok(columns), Ok(rows)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(undefined(format!("JPEG ends at 65535 pixels a side, and the image is {width}×{height}")));
    };
    let size = height * width;
    let bytes: Vec<u8> = (0..size * channels)
        .map(|i| (plane.values[i % channels * size + i / channels] * 255.0).round().clamp(0.0, 255.0) as u8)
        .collect();
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode(&bytes, columns.into(), rows.into(), colour)
        .map_err(|e| undefined(e.to_string()))?;
    let decoded = JpegDecoder::new(Cursor::new(file)).and_then(DynamicImage::from_decoder);
    let decoded = decoded.map_err(|e| undefined(e.to_string()))?;
    let bytes = if channels == 1 { decoded.into_luma8().into_raw() } else { decoded.into_rgb8().into_raw() };
    for (i, byte) in bytes.into_iter().enumerate() {
        plane.values[i % channels * size + i / channels] = f32::from(byte) / 255.0;
    }
    Ok(())
}

impl Method for Corruption {
    fn draws(&self) -> Use {
        Use::Corruption
    }

    fn run(&self, rows: &mut Rows<'_>, _: &mut Observer<'_>) -> Result<Found, AttackError> {
        let [_, channels, height, width] = rows.x.dims();
        let mut values = to_host(rows.x.clone())?;
        let size = (channels * height * width).max(1);
        for (row, values) in values.chunks_mut(size).enumerate() {
            let strength = rows.epsilons[row].min(1.0);
            if strength > 0.0 {
                let mut plane = Plane { values, shape: [channels, height, width] };
                self.apply(&mut plane, strength, &mut rows.random[row])?;
            }
        }
        let corrupted = Tensor::from_data(TensorData::new(values, rows.x.dims()), &rows.device());
        Ok(Found::without_gradient(corrupted))
    }
}
