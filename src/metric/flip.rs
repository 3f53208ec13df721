//! FLIP, the difference a person sees when two images alternate in one place.

use super::colour::{linear, through};
use super::pair::{ImagePair, MetricError, MetricMap};
use super::plane::{Edge, Plane};
use rayon::prelude::*;
use std::f64::consts::PI;

/// Exponents and constants of the paper, sections 4.1.3 and 4.2.
const COLOUR_EXPONENT: f64 = 0.7;
const KNEE: f64 = 0.4;
const ABOVE_KNEE: f64 = 0.95;
const FEATURE_EXPONENT: f64 = 0.5;
/// Width of the thinnest edges and points that are detected, in degrees of visual angle.
const FEATURE_WIDTH: f64 = 0.082;
/// Contrast sensitivity for Y, Cx and Cz as sums of Gaussians: pairs of a and b of the paper's table 1.
const SENSITIVITY: [&[(f64, f64)]; 3] = [&[(1.0, 0.0047)], &[(1.0, 0.0053)], &[(34.1, 0.04), (13.5, 0.025)]];
/// The largest b of all: every kernel has its size.
const WIDEST: f64 = 0.04;

/// CIE XYZ of linear sRGB under D65, with the digits of NVIDIA's evaluator.
const XYZ: [[f64; 3]; 3] = [
    [10135552.0 / 24577794.0, 8788810.0 / 24577794.0, 4435075.0 / 24577794.0],
    [2613072.0 / 12288897.0, 8788810.0 / 12288897.0, 887015.0 / 12288897.0],
    [1425312.0 / 73733382.0, 8788810.0 / 73733382.0, 70074185.0 / 73733382.0],
];

/// Pixels per degree of visual angle, of a flat display `width_m` metres and `width_px` pixels wide, seen from `distance_m` metres.
pub fn pixels_per_degree(distance_m: f64, width_px: f64, width_m: f64) -> f64 {
    distance_m * (width_px / width_m) * PI / 180.0
}

/// The difference that a person sees between two images that alternate in one place, at each pixel and on average; in [0, 1],
/// 0 for identical images.
///
/// Andersson, Nilsson, Akenine-Möller, Oskarsson, Åström & Fairchild, "FLIP: a difference evaluator for alternating images",
/// Proc. ACM on Computer Graphics and Interactive Techniques 2020, as NVIDIA's evaluator does for images of low dynamic
/// range. The image is taken for sRGB and cut to [0, 1]; a grey one has its channel three times. `pixels_per_degree`
/// (positive; the evaluator's default is 67) is the resolution as seen: what is too fine to be seen is blurred away.
///
/// # Errors
/// [`MetricError::Channels`] for images of neither one nor three channels; [`MetricError::PixelsPerDegree`] below 1, or
/// above 1000, where a window would be hundreds of pixels wide.
pub fn flip(pair: &ImagePair<'_>, pixels_per_degree: f64) -> Result<MetricMap, MetricError> {
    if !(1.0..=1000.0).contains(&pixels_per_degree) {
        return Err(MetricError::PixelsPerDegree);
    }
    let [_, height, width] = pair.shape();
    let white = XYZ.map(|row| row.iter().sum::<f64>());
    let space = Space { white, rgb: inverse(&XYZ), height, width };
    let [original, adversarial] = pair.rgb("FLIP")?.map(|image| space.opponent(&image));
    let [a, b] = [&original, &adversarial].map(|image| space.seen(image, pixels_per_degree));
    let [features_a, features_b] = [&original[0], &adversarial[0]].map(|y| features(y, pixels_per_degree));

    // The largest difference that colours of a display can have is that of green and blue.
    let largest = hyab(space.hunt([0.0, 1.0, 0.0]), space.hunt([0.0, 0.0, 1.0])).powf(COLOUR_EXPONENT);
    let difference = |i: usize| {
        let colour = redistributed(hyab(a[i], b[i]).powf(COLOUR_EXPONENT), largest);
        let [edges, points] = [0, 1].map(|f| (features_a[f].values[i] - features_b[f].values[i]).abs());
        let feature = (edges.max(points) / 2f64.sqrt()).powf(FEATURE_EXPONENT);
        colour.powf(1.0 - feature)
    };
    let map = Plane { height, width, values: (0..height * width).into_par_iter().map(difference).collect() };
    Ok(MetricMap::new(map.mean(), &map))
}

/// Differences up to 0.4 of the largest fill [0, 0.95], the rest what is left.
fn redistributed(difference: f64, largest: f64) -> f64 {
    let knee = KNEE * largest;
    if difference < knee {
        difference * ABOVE_KNEE / knee
    } else {
        ABOVE_KNEE + (difference - knee) / (largest - knee) * (1.0 - ABOVE_KNEE)
    }
}

/// The distance of lightness plus that of hue and chroma.
fn hyab(a: [f64; 3], b: [f64; 3]) -> f64 {
    (a[0] - b[0]).abs() + (a[1] - b[1]).hypot(a[2] - b[2])
}

/// Changes between spaces of colours, for images of one size.
struct Space {
    white: [f64; 3],
    /// Linear sRGB of CIE XYZ.
    rgb: [[f64; 3]; 3],
    height: usize,
    width: usize,
}

impl Space {
    /// XYZ of linear sRGB as shares of white.
    fn xyz(&self, rgb: [f64; 3]) -> [f64; 3] {
        let xyz = through(&XYZ, rgb);
        [0, 1, 2].map(|i| xyz[i] / self.white[i])
    }

    /// The channels Y, Cx and Cz (CIELAB without its cube roots) of sRGB, as Y in [0, 1] and the others in that unit.
    fn opponent(&self, image: &[[f64; 3]]) -> [Plane; 3] {
        let opponent = |rgb: &[f64; 3]| {
            let [x, y, z] = self.xyz(rgb.map(|v| linear(v.clamp(0.0, 1.0))));
            [y, x - y, y - z]
        };
        let pixels: Vec<[f64; 3]> = image.par_iter().map(opponent).collect();
        let plane =
            |i: usize| Plane { height: self.height, width: self.width, values: pixels.iter().map(|p| p[i]).collect() };
        [0, 1, 2].map(plane)
    }

    /// What an eye sees of it: blurred by contrast sensitivity, as CIELAB with Hunt's adjustment.
    fn seen(&self, opponent: &[Plane; 3], pixels_per_degree: f64) -> Vec<[f64; 3]> {
        let [y, cx, cz] = [0, 1, 2].map(|i| blurred(&opponent[i], SENSITIVITY[i], pixels_per_degree));
        let pixel = |i: usize| {
            let (y, cx, cz) = (y.values[i], cx.values[i], cz.values[i]);
            let xyz = [(cx + y) * self.white[0], y * self.white[1], (y - cz) * self.white[2]];
            self.hunt(through(&self.rgb, xyz).map(|v| v.clamp(0.0, 1.0)))
        };
        (0..self.height * self.width).into_par_iter().map(pixel).collect()
    }

    /// CIELAB of linear sRGB, chroma scaled by lightness: what is dark looks less colourful (Hunt).
    fn hunt(&self, rgb: [f64; 3]) -> [f64; 3] {
        const DELTA: f64 = 6.0 / 29.0;
        let curve = |t: f64| if t > DELTA.powi(3) { t.cbrt() } else { t / (3.0 * DELTA * DELTA) + 4.0 / 29.0 };
        let [x, y, z] = self.xyz(rgb).map(curve);
        let lightness = 116.0 * y - 16.0;
        [lightness, 0.01 * lightness * 500.0 * (x - y), 0.01 * lightness * 200.0 * (y - z)]
    }
}

/// Points at which a kernel of this radius is taken.
fn points(radius: f64) -> (usize, Vec<f64>) {
    let radius = radius.ceil();
    let size = 2 * radius as usize + 1;
    (radius as usize, (0..size).map(|i| i as f64 - radius).collect())
}

/// A channel under the sum of Gaussians a·√(π/b)·exp(−π²·z²/b), z in degrees.
fn blurred(plane: &Plane, gaussians: &[(f64, f64)], pixels_per_degree: f64) -> Plane {
    let (radius, at) = points(3.0 * (WIDEST / (2.0 * PI * PI)).sqrt() * pixels_per_degree);
    let padded = plane.padded(radius, radius, Edge::Clamp);
    let parts: Vec<(f64, Vec<f64>)> = gaussians
        .iter()
        .map(|(a, b)| {
            (a * (PI / b).sqrt(), at.iter().map(|x| (-(PI * x / pixels_per_degree).powi(2) / b).exp()).collect())
        })
        .collect();
    let whole: f64 = parts.iter().map(|(height, kernel)| height * kernel.iter().sum::<f64>().powi(2)).sum();
    let mut sum = plane.map(|_| 0.0);
    for (height, kernel) in &parts {
        sum = sum.zip(&padded.filtered(kernel, kernel), |s, v| s + height / whole * v);
    }
    sum
}

/// How strong edges and points (lines, corners) are at each pixel of the channel Y: magnitudes of first and second derivatives of
/// a Gaussian.
fn features(y: &Plane, pixels_per_degree: f64) -> [Plane; 2] {
    let sigma = 0.5 * FEATURE_WIDTH * pixels_per_degree;
    let (radius, at) = points(3.0 * sigma);
    let padded = y.padded(radius, radius, Edge::Clamp);
    let gaussian = |x: f64| (-(x / sigma).powi(2) / 2.0).exp();
    let smooth = balanced(at.iter().map(|&x| gaussian(x)).collect());
    let edge = balanced(at.iter().map(|&x| -x * gaussian(x)).collect());
    let point = balanced(at.iter().map(|&x| ((x / sigma).powi(2) - 1.0) * gaussian(x)).collect());
    [edge, point]
        .map(|kernel| padded.filtered(&smooth, &kernel).zip(&padded.filtered(&kernel, &smooth), |x, y| x.hypot(y)))
}

/// A kernel whose positive weights add up to 1 and its negative ones to −1.
fn balanced(kernel: Vec<f64>) -> Vec<f64> {
    let positive: f64 = kernel.iter().filter(|w| **w > 0.0).sum();
    let negative: f64 = -kernel.iter().filter(|w| **w < 0.0).sum::<f64>();
    kernel
        .iter()
        .map(|&w| {
            if w > 0.0 {
                w / positive
            } else if w < 0.0 {
                w / negative
            } else {
                0.0
            }
        })
        .collect()
}

/// The inverse of a matrix that has one.
fn inverse(m: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let cofactor = |r: usize, c: usize| {
        let ([r1, r2], [c1, c2]) = ([(r + 1) % 3, (r + 2) % 3], [(c + 1) % 3, (c + 2) % 3]);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|c| m[0][c] * cofactor(0, c)).sum();
    [0, 1, 2].map(|r| [0, 1, 2].map(|c| cofactor(c, r) / determinant))
}
