//! The Haar wavelet-based perceptual similarity index.

use super::pair::{ImagePair, MetricError, MetricMap};
use super::plane::{Edge, Plane};

/// C and α of the paper, for images in 0–255.
const STABILITY: f64 = 30.0;
const ALPHA: f64 = 4.2;
/// The paper's smallest image, of twice the coarsest wavelet.
const LEAST: usize = 16;

/// Haar wavelet-based perceptual similarity, in [0, 1]; 1 for identical images.
///
/// Reisenhofer, Bosse, Kutyniok & Wiegand, "A Haar wavelet-based perceptual similarity index for image quality assessment",
/// Signal Processing: Image Communication 2018, eqs. 10–12: the similarity of the two finest scales, weighted by the
/// coefficients of the third; of RGB also that of the chroma I and Q. As piq's `haarpsi` with `subsample=False`: the image is not
/// halved first, which would hide what adversarial noise does between neighbours. Images of neither one nor three
/// channels: the mean over them. The map is the index of each pixel's own similarities and weights; 1 where there are none.
///
/// # Errors
/// [`MetricError::TooSmall`] below 16×16 pixels.
pub fn haarpsi(pair: &ImagePair<'_>) -> Result<MetricMap, MetricError> {
    pair.at_least("HaarPSI", LEAST)?;
    let luma = pair.luma();
    let (mut sum, mut maps) = (0.0, Vec::new());
    for [x, y] in &luma {
        let mut index = Weighted::new(x);
        let (x, y) = (scaled(x), scaled(y));
        let directions = [false, true].map(|across| orientation(&x, &y, across));
        for (similarity, weight) in &directions {
            index.add(similarity, weight);
        }
        if let [r, g, b] = pair.channels().as_slice() {
            let [(_, down), (_, across)] = &directions;
            index.add(&chroma(r, g, b), &down.zip(across, |a, b| (a + b) / 2.0));
        }
        sum += index.value();
        maps.push(index.map());
    }
    Ok(MetricMap::new(sum / luma.len() as f64, &Plane::average(&maps)))
}

/// Weighted sums of logistic similarities at each pixel.
struct Weighted {
    sums: Plane,
    weights: Plane,
}

impl Weighted {
    /// Nothing yet, of the size of `like`.
    fn new(like: &Plane) -> Self {
        Self { sums: like.map(|_| 0.0), weights: like.map(|_| 0.0) }
    }

    fn add(&mut self, similarity: &Plane, weight: &Plane) {
        let logistic = similarity.zip(weight, |s, w| w / (1.0 + (-ALPHA * s).exp()));
        self.sums = self.sums.zip(&logistic, |sum, v| sum + v);
        self.weights = self.weights.zip(weight, |sum, w| sum + w);
    }

    fn value(&self) -> f64 {
        index(self.sums.values.iter().sum(), self.weights.values.iter().sum())
    }

    fn map(&self) -> Plane {
        self.sums.zip(&self.weights, index)
    }
}

/// The similarity of which the logistic function's weighted mean is `sum` / `weights`, squared.
fn index(sum: f64, weights: f64) -> f64 {
    // Two black images have no coefficients; they are alike.
    if weights == 0.0 {
        return 1.0;
    }
    let mean = sum / weights;
    ((mean / (1.0 - mean)).ln() / ALPHA).powi(2)
}

fn scaled(plane: &Plane) -> Plane {
    plane.map(|v| v * 255.0)
}

fn similarity(a: f64, b: f64) -> f64 {
    (2.0 * a * b + STABILITY) / (a * a + b * b + STABILITY)
}

/// The similarity of two channels' wavelets down or across the image, and its weight.
fn orientation(x: &Plane, y: &Plane, across: bool) -> (Plane, Plane) {
    let at = |size: usize| (haar(x, size, across), haar(y, size, across));
    let [finest, fine] = [2, 4].map(|size| {
        let (x, y) = at(size);
        x.zip(&y, similarity)
    });
    let (x, y) = at(8);
    (finest.zip(&fine, |a, b| (a + b) / 2.0), x.zip(&y, f64::max))
}

/// Magnitudes of the coefficients of a Haar wavelet of `size` pixels; beyond the edges the image is 0.
fn haar(plane: &Plane, size: usize, across: bool) -> Plane {
    let mean = vec![1.0 / size as f64; size];
    let difference: Vec<f64> = (0..size).map(|i| if i < size / 2 { 1.0 } else { -1.0 }).collect();
    let padded = plane.padded(size / 2 - 1, size / 2, Edge::Zero);
    let found = if across { padded.filtered(&mean, &difference) } else { padded.filtered(&difference, &mean) };
    found.map(f64::abs)
}

/// The similarity of the chroma I and Q, of means over 2×2 pixels.
fn chroma(red: &[Plane; 2], green: &[Plane; 2], blue: &[Plane; 2]) -> Plane {
    let [i, q] = [[0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]].map(|weights| {
        let [x, y] = [0, 1].map(|of| {
            let chroma = scaled(&Plane::weighted(&[&red[of], &green[of], &blue[of]], weights));
            chroma.padded(0, 1, Edge::Zero).filtered(&[0.5; 2], &[0.5; 2]).map(f64::abs)
        });
        x.zip(&y, similarity)
    });
    i.zip(&q, |a, b| (a + b) / 2.0)
}
