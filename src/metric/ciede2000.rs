//! Difference of colours, CIEDE2000.

use super::colour::{linear, through};
use super::pair::{ImagePair, MetricError, MetricMap};
use super::plane::Plane;
use rayon::prelude::*;
use std::f64::consts::{PI, TAU};

/// CIE XYZ of linear sRGB, and of D65 white for the 2° observer, with scikit-image's digits.
const XYZ: [[f64; 3]; 3] =
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]];
const WHITE: [f64; 3] = [0.95047, 1.0, 1.08883];

/// The difference ΔE₀₀ of colours, at each pixel and on average; 0 for identical images, about 1 is just noticeable
/// between large patches.
///
/// Sharma, Wu & Dalal, "The CIEDE2000 color-difference formula: implementation notes, supplementary test data, and mathematical
/// observations", Color Research & Application 2005, with k_L = k_C = k_H = 1; the image is taken for sRGB, as scikit-image's
/// `rgb2lab` and `deltaE_ciede2000` do. A grey image has its channel three times.
///
/// # Errors
/// [`MetricError::Channels`] for images of neither one nor three channels.
pub fn ciede2000(pair: &ImagePair<'_>) -> Result<MetricMap, MetricError> {
    let [original, adversarial] = pair.rgb("CIEDE2000")?;
    let values = original.par_iter().zip(&adversarial).map(|(&a, &b)| difference(lab(a), lab(b))).collect();
    let [_, height, width] = pair.shape();
    let map = Plane { height, width, values };
    Ok(MetricMap::new(map.mean(), &map))
}

/// CIELAB of an sRGB colour.
fn lab(rgb: [f64; 3]) -> [f64; 3] {
    let xyz = through(&XYZ, rgb.map(linear));
    let [x, y, z] = [0, 1, 2].map(|i| {
        let t = xyz[i] / WHITE[i];
        if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 }
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// ΔE₀₀ of two colours in CIELAB; names and equations (2–22) as in the paper.
fn difference([l1, a1, b1]: [f64; 3], [l2, a2, b2]: [f64; 3]) -> f64 {
    // How far a chroma (its mean c) is beyond 25.
    let strong = |c: f64| (c.powi(7) / (c.powi(7) + 25f64.powi(7))).sqrt();
    let g = 0.5 * (1.0 - strong((a1.hypot(b1) + a2.hypot(b2)) / 2.0));
    let polar = |a: f64, b: f64| {
        let a = a * (1.0 + g);
        (a.hypot(b), b.atan2(a).rem_euclid(TAU))
    };
    let ((c1, h1), (c2, h2)) = (polar(a1, b1), polar(a2, b2));
    let grey = c1 * c2 == 0.0;
    let far = (h2 - h1).abs() > PI;

    let dh = match h2 - h1 {
        _ if grey => 0.0,
        d if d > PI => d - TAU,
        d if d < -PI => d + TAU,
        d => d,
    };
    let (dl, dc, dh) = (l2 - l1, c2 - c1, 2.0 * (c1 * c2).sqrt() * (dh / 2.0).sin());
    let (l, c) = ((l1 + l2) / 2.0, (c1 + c2) / 2.0);
    let h = match h1 + h2 {
        sum if grey => sum,
        sum if far && sum < TAU => (sum + TAU) / 2.0,
        sum if far => (sum - TAU) / 2.0,
        sum => sum / 2.0,
    };
    let degrees = |d: f64| d.to_radians();
    let t = 1.0 - 0.17 * (h - degrees(30.0)).cos() + 0.24 * (2.0 * h).cos() + 0.32 * (3.0 * h + degrees(6.0)).cos()
        - 0.20 * (4.0 * h - degrees(63.0)).cos();
    let turn = degrees(30.0) * (-((h.to_degrees() - 275.0) / 25.0).powi(2)).exp();
    let squared = (l - 50.0).powi(2);
    let lightness = dl / (1.0 + 0.015 * squared / (20.0 + squared).sqrt());
    let chroma = dc / (1.0 + 0.045 * c);
    let hue = dh / (1.0 + 0.015 * c * t);
    let rotation = -2.0 * strong(c) * (2.0 * turn).sin() * chroma * hue;
    // Rounding can leave a negative zero.
    (lightness * lightness + chroma * chroma + hue * hue + rotation).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs from the paper's table 1 that cross the formula's discontinuities.
    #[test]
    fn the_papers_own_pairs() {
        for (a, b, expected) in [
            ([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
            ([50.0, -1.3802, -84.2814], [50.0, 0.0, -82.7485], 1.0),
            ([50.0, 0.0, 0.0], [50.0, -1.0, 2.0], 2.3669),
            ([50.0, 2.49, -0.001], [50.0, -2.49, 0.0009], 7.1792),
            ([50.0, 2.49, -0.001], [50.0, -2.49, 0.0011], 7.2195),
            ([50.0, -0.001, 2.49], [50.0, 0.0009, -2.49], 4.8045),
            ([50.0, -0.001, 2.49], [50.0, 0.0011, -2.49], 4.7461),
            ([50.0, 2.5, 0.0], [73.0, 25.0, -18.0], 27.1492),
            ([50.0, 2.5, 0.0], [50.0, 3.1736, 0.5854], 1.0),
            ([60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387], 1.2644),
            ([22.7233, 20.0904, -46.694], [23.0331, 14.973, -42.5619], 2.0373),
            ([2.0776, 0.0795, -1.135], [0.9033, -0.0636, -0.5514], 0.9082),
        ] {
            for found in [difference(a, b), difference(b, a)] {
                assert!((found - expected).abs() < 1e-4, "{a:?} {b:?}: {found}, not {expected}");
            }
        }
    }
}
