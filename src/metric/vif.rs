//! Visual information fidelity, in the pixel domain.

use super::pair::{ImagePair, MetricError, MetricMap};
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
/// The map is the same share at each pixel: of each scale the terms of the window nearest to it, by the pixels that one stands for.
/// No other program draws one; it is made such that where it is 1 nothing is lost, and that its parts are those of the value.
///
/// # Errors
/// [`MetricError::TooSmall`] below 41×41 pixels.
pub fn vif(pair: &ImagePair<'_>) -> Result<MetricMap, MetricError> {
    pair.at_least("VIF", LEAST)?;
    let channels = pair.luma();
    let found: Vec<(f64, Plane)> =
        channels.iter().map(|[x, y]| fidelity(x.map(|v| v * 255.0), y.map(|v| v * 255.0))).collect();
    let value = found.iter().map(|(value, _)| value).sum::<f64>() / found.len() as f64;
    let maps: Vec<Plane> = found.into_iter().map(|(_, map)| map).collect();
    Ok(MetricMap::new(value, &Plane::average(&maps)))
}

fn fidelity(mut original: Plane, mut adversarial: Plane) -> (f64, Plane) {
    let (mut kept, mut whole) = (TINY, TINY);
    let [mut kept_at, mut whole_at] = [original.map(|_| TINY), original.map(|_| TINY)];
    // Of the present scale: pixels from one to the next, and where the middle of the first lies.
    let (mut step, mut start) = (1, 0);
    for (scale, size) in [17, 9, 5, 3].into_iter().enumerate() {
        let kernel = gaussian(size, size as f64 / 5.0);
        if scale > 0 {
            let coarser = |plane: &Plane| plane.filtered(&kernel, &kernel).every_other();
            (original, adversarial) = (coarser(&original), coarser(&adversarial));
            start += size / 2 * step;
            step *= 2;
        }
        let m = Moments::new(&original, &adversarial, &kernel);
        let variances = m.variance_x.values.iter().zip(&m.variance_y.values);
        let terms: Vec<(f64, f64)> =
            variances.zip(&m.covariance.values).map(|((&x, &y), &xy)| information(x, y, xy)).collect();
        for &(of_pair, of_original) in &terms {
            kept += of_pair;
            whole += of_original;
        }
        let first = start + size / 2 * step;
        let nearest = |at: usize, count: usize| ((at + step / 2).saturating_sub(first) / step).min(count - 1);
        let share = 1.0 / (step * step) as f64;
        let width = kept_at.width;
        for (i, (kept, whole)) in kept_at.values.iter_mut().zip(&mut whole_at.values).enumerate() {
            let [row, column] = [nearest(i / width, m.mean_x.height), nearest(i % width, m.mean_x.width)];
            let (of_pair, of_original) = terms[row * m.mean_x.width + column];
            *kept += share * of_pair;
            *whole += share * of_original;
        }
    }
    (kept / whole, kept_at.zip(&whole_at, |kept, whole| kept / whole))
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
