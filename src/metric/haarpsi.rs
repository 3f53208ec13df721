//! The Haar wavelet-based perceptual similarity index.

use super::pair::{ImagePair, MetricError};
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
/// channels: the mean over them.
///
/// # Errors
/// [`MetricError::TooSmall`] below 16×16 pixels.
pub fn haarpsi(pair: &ImagePair<'_>) -> Result<f64, MetricError> {
    pair.at_least("HaarPSI", LEAST)?;
    let luma = pair.luma();
    let mut sum = 0.0;
    for [x, y] in &luma {
        let mut index = Weighted::default();
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
    }
    Ok(sum / luma.len() as f64)
}

/// A weighted mean of logistic similarities.
#[derive(Default)]
struct Weighted {
    sum: f64,
    weights: f64,
}

impl Weighted {
    fn add(&mut self, similarity: &Plane, weight: &Plane) {
        for (s, w) in similarity.values.iter().zip(&weight.values) {
            self.sum += w / (1.0 + (-ALPHA * s).exp());
            self.weights += w;
        }
    }

    fn value(&self) -> f64 {
        // Two black images have no coefficients; they are alike.
        if self.weights == 0.0 {
            return 1.0;
        }
        let mean = self.sum / self.weights;
        ((mean / (1.0 - mean)).ln() / ALPHA).powi(2)
    }
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
