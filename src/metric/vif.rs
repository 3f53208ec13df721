//! Visual information fidelity, in the pixel domain.

use super::pair::{ImagePair, MetricError};
use super::plane::{Moments, Plane, gaussian};

/// Variance of the visual noise, for images in 0–255.
const NOISE: f64 = 2.0;
/// Below this a variance is taken for none.
const TINY: f64 = 1e-8;
/// Smaller images leave no window at the coarsest scale.
const LEAST: usize = 41;

/// Visual information fidelity: the information about the original that the adversarial image still holds, as a share of the
/// original's own. 1 for identical images, 0 where nothing is left; above 1 where contrast was enhanced. Not symmetric.
///
/// Sheikh & Bovik, "Image information and visual quality", IEEE TIP 2006, in the authors' pixel-domain form (`vifp_mscale`),
/// as piq's `vif_p`: Σ log(1 + g²σₓ² / (σᵥ² + 2)) / Σ log(1 + σₓ²/2) over four scales, where the adversarial image is
/// locally g times the original plus noise of variance σᵥ². On luma of RGB; other channels are averaged. An original
/// without any contrast holds no information: its fidelity is 1, whatever becomes of it.
///
/// # Errors
/// [`MetricError::TooSmall`] below 41×41 pixels.
pub fn vif(pair: &ImagePair<'_>) -> Result<f64, MetricError> {
    pair.at_least("VIF", LEAST)?;
    let channels = pair.luma();
    let sum: f64 = channels.iter().map(|[x, y]| fidelity(x.map(|v| v * 255.0), y.map(|v| v * 255.0))).sum();
    Ok(sum / channels.len() as f64)
}

fn fidelity(mut original: Plane, mut adversarial: Plane) -> f64 {
    let (mut kept, mut whole) = (TINY, TINY);
    for (scale, size) in [17, 9, 5, 3].into_iter().enumerate() {
        let kernel = gaussian(size, size as f64 / 5.0);
        if scale > 0 {
            let coarser = |plane: &Plane| plane.filtered(&kernel, &kernel).every_other();
            (original, adversarial) = (coarser(&original), coarser(&adversarial));
        }
        let m = Moments::new(&original, &adversarial, &kernel);
        for ((&x, &y), &xy) in m.variance_x.values.iter().zip(&m.variance_y.values).zip(&m.covariance.values) {
            let (of_pair, of_original) = information(x, y, xy);
            kept += of_pair;
            whole += of_original;
        }
    }
    kept / whole
}

/// What the eye takes from both images of one place, and from the original, by the original's variance, the adversarial's
/// and their covariance. Rounding can make a variance slightly negative.
fn information(original: f64, adversarial: f64, covariance: f64) -> (f64, f64) {
    if original < TINY {
        return (0.0, 0.0);
    }
    let own = (1.0 + original / NOISE).ln();
    let gain = covariance / (original + TINY);
    // A negative gain is no likeness.
    if adversarial < TINY || gain <= 0.0 {
        return (0.0, own);
    }
    let rest = (adversarial - gain * covariance).max(TINY);
    ((1.0 + gain * gain * original / (rest + NOISE)).ln(), own)
}
