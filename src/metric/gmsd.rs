//! Gradient magnitude similarity deviation.

use super::pair::{ImagePair, MetricError, MetricMap};
use super::plane::{Edge, Plane};

/// The paper's constant for images in 0–255 is 170.
const STABILITY: f64 = 170.0 / (255.0 * 255.0);

/// How unevenly edges were changed: the standard deviation of the similarity of gradient magnitudes. 0 for identical images,
/// below 1; the only one of these metrics, beside the distances of colours, where more is worse. The map is the
/// similarity (2ab + c) / (a² + b² + c), 1 where gradients are equally strong.
///
/// Xue, Zhang, Mou & Bovik, "Gradient magnitude similarity deviation: a highly efficient perceptual image quality index", IEEE
/// TIP 2014, eqs. 4–6: Prewitt gradients, beyond the edges 0. As piq's `gmsd`, but at full size: the paper's
/// first step, halving the image, would hide what adversarial noise does between neighbours. On luma of RGB; other
/// channels are averaged.
///
/// # Errors
/// [`MetricError::TooSmall`] below 3×3 pixels.
pub fn gmsd(pair: &ImagePair<'_>) -> Result<MetricMap, MetricError> {
    pair.at_least("GMSD", 3)?;
    let similar = |a: f64, b: f64| (2.0 * a * b + STABILITY) / (a * a + b * b + STABILITY);
    let maps: Vec<Plane> = pair.luma().iter().map(|[x, y]| gradient(x).zip(&gradient(y), similar)).collect();
    let value = maps.iter().map(deviation).sum::<f64>() / maps.len() as f64;
    Ok(MetricMap::new(value, &Plane::average(&maps)))
}

/// The magnitude of the Prewitt gradient.
fn gradient(plane: &Plane) -> Plane {
    let (mean, difference) = ([1.0 / 3.0; 3], [-1.0, 0.0, 1.0]);
    let padded = plane.padded(1, 1, Edge::Zero);
    padded.filtered(&difference, &mean).zip(&padded.filtered(&mean, &difference), f64::hypot)
}

fn deviation(plane: &Plane) -> f64 {
    let mean = plane.mean();
    plane.map(|v| (v - mean) * (v - mean)).mean().sqrt()
}
