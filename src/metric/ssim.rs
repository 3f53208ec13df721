//! Structural similarity, at one scale and at five.

use super::pair::{ImagePair, MetricError, MetricMap};
use super::plane::{Edge, Moments, Plane, gaussian};

/// The window is a Gaussian of this many points and this standard deviation in pixels.
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
/// (K₁L)² and (K₂L)² with L, the data range, 1.
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;
/// Exponents of the five scales, the finest first.
const SCALE_WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// Sides below this leave less than a window at the coarsest scale.
const LEAST_OF_FIVE_SCALES: usize = (WINDOW - 1) * 16 + 1;

/// Structural similarity of each pixel's surroundings and their mean; 1 for identical images, at least −1.
///
/// Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to structural similarity", IEEE
/// TIP 2004, eq. 13: (2μₓμᵧ + C₁)(2σₓᵧ + C₂) / ((μₓ² + μᵧ² + C₁)(σₓ² + σᵧ² + C₂)), as scikit-image with
/// `gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1`. Channels are averaged, in the map too. The map
/// has every pixel, the image mirrored at its edges; the value leaves out 5 pixels at each edge.
///
/// # Errors
/// [`MetricError::TooSmall`] below 11×11 pixels.
pub fn ssim(pair: &ImagePair<'_>) -> Result<MetricMap, MetricError> {
    pair.at_least("SSIM", WINDOW)?;
    let rim = WINDOW / 2;
    let mirrored = |plane: &Plane| plane.padded(rim, rim, Edge::Mirror);
    let maps: Vec<Plane> = pair
        .channels()
        .iter()
        .map(|[x, y]| {
            let (luminance, structure) = comparisons(&mirrored(x), &mirrored(y));
            luminance.zip(&structure, |l, s| l * s)
        })
        .collect();
    let map = Plane::average(&maps);
    let inner = |row: &[f64]| row[rim..row.len() - rim].iter().sum::<f64>();
    let sum: f64 = map.values.chunks(map.width).skip(rim).take(map.height - 2 * rim).map(inner).sum();
    let count = (map.height - 2 * rim) * (map.width - 2 * rim);
    Ok(MetricMap::new(sum / count as f64, &map))
}

/// Structural similarity over five scales, in [0, 1]; 1 for identical images.
///
/// Wang, Simoncelli & Bovik, "Multi-scale structural similarity for image quality assessment", Asilomar 2003, eq. 7, as
/// piq's `multi_scale_ssim`: 2×2 pixels are averaged between scales (an odd side is first repeated at its start), what is
/// negative at a scale counts as 0, channels are averaged.
///
/// # Errors
/// [`MetricError::TooSmall`] below 161×161 pixels.
pub fn ms_ssim(pair: &ImagePair<'_>) -> Result<f64, MetricError> {
    pair.at_least("MS-SSIM", LEAST_OF_FIVE_SCALES)?;
    let channels = pair.channels();
    let count = channels.len() as f64;
    let sum: f64 = channels.into_iter().map(|[x, y]| five_scales(x, y)).sum();
    Ok(sum / count)
}

fn five_scales(mut x: Plane, mut y: Plane) -> f64 {
    let mut product = 1.0;
    for (scale, weight) in SCALE_WEIGHTS.into_iter().enumerate() {
        if scale > 0 {
            (x, y) = (coarser(&x), coarser(&y));
        }
        let (luminance, structure) = comparisons(&x, &y);
        // Luminance is compared at the coarsest scale only.
        let last = scale + 1 == SCALE_WEIGHTS.len();
        let similarity = if last { luminance.zip(&structure, |l, s| l * s).mean() } else { structure.mean() };
        product *= similarity.max(0.0).powf(weight);
    }
    product
}

/// Half the size; one odd side makes piq lengthen both.
fn coarser(plane: &Plane) -> Plane {
    if plane.height % 2 + plane.width % 2 == 0 { plane.halved() } else { plane.padded(1, 0, Edge::Clamp).halved() }
}

/// The comparison of luminance, and that of contrast and structure, wherever the window lies in the image.
fn comparisons(x: &Plane, y: &Plane) -> (Plane, Plane) {
    let m = Moments::new(x, y, &gaussian(WINDOW, SIGMA));
    let luminance = m.mean_x.zip(&m.mean_y, |x, y| (2.0 * x * y + C1) / (x * x + y * y + C1));
    let variances = m.variance_x.zip(&m.variance_y, |x, y| x + y + C2);
    (luminance, m.covariance.zip(&variances, |xy, sum| (2.0 * xy + C2) / sum))
}
