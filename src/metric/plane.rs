//! One channel in double precision, and the separable filters that metrics are made of.
//!
//! Double precision, because variances are found as E\[x²\] − E\[x\]², which loses half the digits.

use rayon::prelude::*;

/// One channel, `[height, width]`.
pub(super) struct Plane {
    pub height: usize,
    pub width: usize,
    pub values: Vec<f64>,
}

/// What lies beyond the edge of an image.
#[derive(Clone, Copy)]
pub(super) enum Edge {
    /// Nothing.
    Zero,
    /// The last pixel.
    Clamp,
    /// The image mirrored at its edge, the last pixel twice.
    Mirror,
}

impl Edge {
    /// The pixel of `len` that stands for pixel `at` − `before`; none for zero.
    fn source(self, at: usize, before: usize, len: usize) -> Option<usize> {
        if let Some(inside) = at.checked_sub(before).filter(|&i| i < len) {
            return Some(inside);
        }
        match self {
            Self::Zero => None,
            Self::Clamp => Some(at.saturating_sub(before).min(len - 1)),
            // Pads are never wider than the image here.
            Self::Mirror => Some(if at < before { before - at - 1 } else { 2 * len - 1 - (at - before) }),
        }
    }
}

impl Plane {
    /// A new channel of each value.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { values: self.values.iter().map(|&v| f(v)).collect(), ..*self }
    }

    /// A new channel of the values of two at each pixel.
    pub fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(&a, &b)| f(a, b)).collect();
        Self { values, ..*self }
    }

    /// The weighted sum of channels of one size, one at least.
    pub fn weighted<const N: usize>(channels: &[&Self; N], weights: [f64; N]) -> Self {
        let sum = |i| channels.iter().zip(weights).map(|(c, w)| c.values[i] * w).sum();
        Self { values: (0..channels[0].values.len()).map(sum).collect(), ..*channels[0] }
    }

    /// The mean of channels of one size, one at least.
    pub fn average(channels: &[Self]) -> Self {
        let mean = |i| channels.iter().map(|c| c.values[i]).sum::<f64>() / channels.len() as f64;
        Self { values: (0..channels[0].values.len()).map(mean).collect(), ..channels[0] }
    }

    /// The mean of all values.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// With `before` pixels more above and to the left, `after` below and to the right.
    pub fn padded(&self, before: usize, after: usize, edge: Edge) -> Self {
        let (height, width) = (self.height + before + after, self.width + before + after);
        let columns: Vec<_> = (0..width).map(|x| edge.source(x, before, self.width)).collect();
        let mut values = Vec::with_capacity(height * width);
        for y in 0..height {
            match edge.source(y, before, self.height) {
                Some(row) => {
                    let row = &self.values[row * self.width..][..self.width];
                    values.extend(columns.iter().map(|c| c.map_or(0.0, |c| row[c])));
                }
                None => values.resize(values.len() + width, 0.0),
            }
        }
        Self { height, width, values }
    }

    /// Correlated with the kernel `vertical`·`horizontal`ᵀ wherever all of it lies in the image.
    pub fn filtered(&self, vertical: &[f64], horizontal: &[f64]) -> Self {
        let (height, width) = (self.height + 1 - vertical.len(), self.width + 1 - horizontal.len());
        let mut across = vec![0.0; self.height * width];
        across.par_chunks_mut(width).zip(self.values.par_chunks(self.width)).for_each(|(out, row)| {
            for (at, weight) in horizontal.iter().enumerate() {
                out.iter_mut().zip(&row[at..]).for_each(|(o, v)| *o += weight * v);
            }
        });
        let mut values = vec![0.0; height * width];
        values.par_chunks_mut(width).enumerate().for_each(|(y, out)| {
            for (row, weight) in across[y * width..].chunks(width).zip(vertical) {
                out.iter_mut().zip(row).for_each(|(o, v)| *o += weight * v);
            }
        });
        Self { height, width, values }
    }

    /// Every second pixel along both sides, the first one kept.
    pub fn every_other(&self) -> Self {
        let (height, width) = (self.height.div_ceil(2), self.width.div_ceil(2));
        let values = self.values.chunks(self.width).step_by(2).flat_map(|row| row.iter().copied().step_by(2)).collect();
        Self { height, width, values }
    }

    /// The mean of each 2×2 pixels; an odd last row or column is left out.
    pub fn halved(&self) -> Self {
        let (height, width) = (self.height / 2, self.width / 2);
        let pixel = |y: usize, x: usize| self.values[y * self.width + x];
        let mean = |y: usize, x: usize| (pixel(y, x) + pixel(y, x + 1) + pixel(y + 1, x) + pixel(y + 1, x + 1)) / 4.0;
        let values = (0..height * width).map(|i| mean(i / width * 2, i % width * 2)).collect();
        Self { height, width, values }
    }
}

/// A Gaussian of standard deviation `sigma` pixels at `size` points around its middle, of sum 1.
pub(super) fn gaussian(size: usize, sigma: f64) -> Vec<f64> {
    let middle = (size as f64 - 1.0) / 2.0;
    let weights: Vec<f64> = (0..size).map(|i| (-((i as f64 - middle) / sigma).powi(2) / 2.0).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

/// Local means, variances and covariance of two channels under a window.
pub(super) struct Moments {
    pub mean_x: Plane,
    pub mean_y: Plane,
    pub variance_x: Plane,
    pub variance_y: Plane,
    pub covariance: Plane,
}

impl Moments {
    /// Under the window `kernel`·`kernel`ᵀ of sum 1, wherever all of it lies in the image.
    pub fn new(x: &Plane, y: &Plane, kernel: &[f64]) -> Self {
        let local = |plane: &Plane| plane.filtered(kernel, kernel);
        let (mean_x, mean_y) = (local(x), local(y));
        let product = |a: &Plane, b: &Plane, mean_a: &Plane, mean_b: &Plane| {
            local(&a.zip(b, |a, b| a * b))
                .zip(&mean_a.zip(mean_b, |a, b| a * b), |of_product, of_means| of_product - of_means)
        };
        Self {
            variance_x: product(x, x, &mean_x, &mean_x),
            variance_y: product(y, y, &mean_y, &mean_y),
            covariance: product(x, y, &mean_x, &mean_y),
            mean_x,
            mean_y,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(height: usize, width: usize) -> Plane {
        Plane { height, width, values: (0..height * width).map(|i| i as f64).collect() }
    }

    #[test]
    fn edges() {
        let row = |edge: Edge| counting(3, 3).padded(2, 1, edge).values[12..18].to_vec();
        assert_eq!(row(Edge::Zero), [0.0, 0.0, 0.0, 1.0, 2.0, 0.0]);
        assert_eq!(row(Edge::Clamp), [0.0, 0.0, 0.0, 1.0, 2.0, 2.0]);
        assert_eq!(row(Edge::Mirror), [1.0, 0.0, 0.0, 1.0, 2.0, 2.0]);
        let mirrored = counting(3, 3).padded(2, 1, Edge::Mirror);
        assert_eq!(mirrored.values[..6], [4.0, 3.0, 3.0, 4.0, 5.0, 5.0]);
        assert_eq!(mirrored.values[30..], [7.0, 6.0, 6.0, 7.0, 8.0, 8.0]);
    }

    #[test]
    fn filters() {
        let found = counting(3, 4).filtered(&[1.0, 1.0], &[-1.0, 0.0, 1.0]);
        assert_eq!((found.height, found.width), (2, 2));
        assert_eq!(found.values, [4.0; 4]);
        assert_eq!(counting(3, 4).filtered(&[0.0, 0.0, 1.0], &[1.0]).values, [8.0, 9.0, 10.0, 11.0]);
        assert_eq!(counting(3, 3).every_other().values, [0.0, 2.0, 6.0, 8.0]);
        assert_eq!(counting(3, 5).halved().values, [3.0, 5.0]);
        assert!((gaussian(11, 1.5).iter().sum::<f64>() - 1.0).abs() < 1e-15);
    }
}
