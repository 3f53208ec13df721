//! The microscope that photographs a cut: light, optics, sensor.

use super::membranes::{MembranesConfig, Section};
use super::noise::{Draw, Field};
use super::tissue::Cut;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The conditions under which one stack is photographed.
pub struct Camera {
    seed: u64,
    light: f32,
    light_wavelength: f32,
    blur: f32,
    noise: f32,
    correlation: f32,
    contrast: f32,
    brightness: f32,
    gamma: f32,
}

impl Camera {
    /// Draws them.
    pub fn new(config: &MembranesConfig, rng: &mut ChaCha8Rng) -> Self {
        Self {
            seed: u64::from(rng.unit().to_bits()) << 8 | u64::from(rng.unit().to_bits()),
            light: rng.within(config.light),
            light_wavelength: rng.within([120.0, 400.0]),
            blur: rng.within(config.blur).max(0.0),
            noise: rng.within(config.noise).max(0.0),
            correlation: rng.within(config.noise_correlation).clamp(0.0, 1.0),
            contrast: rng.within(config.contrast),
            brightness: rng.within(config.brightness),
            gamma: rng.within(config.gamma).clamp(-1.0, 1.0),
        }
    }

    /// Slice `z` as the file holds it.
    pub fn photograph(&self, cut: Cut, z: usize) -> Section {
        let n = cut.size;
        let mut grey = cut.grey;
        let mut blur = self.blur;
        while blur > 0.0 {
            binomial(&mut grey, n, blur.min(1.0));
            blur -= 1.0;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed.wrapping_add(z as u64));
        let mut white: Vec<f32> = (0..n * n).map(|_| rng.gaussian()).collect();
        if self.correlation > 0.0 {
            binomial(&mut white, n, self.correlation);
            // The filter [1 2 1]/4 in both directions, mixed with the identity, keeps this share of the variance.
            let c = self.correlation;
            let (centre, rest) = (1.0 - c + c * 0.25, c * c * (0.140_625 - 0.0625));
            let gain = 1.0 / (centre * centre + rest).sqrt();
            white.iter_mut().for_each(|v| *v *= gain);
        }
        let light = Field::new(self.seed.wrapping_add(101), self.light_wavelength);
        let image = grey
            .iter()
            .zip(&white)
            .enumerate()
            .map(|(i, (&g, &w))| {
                let (x, y) = ((i % n) as f32, (i / n) as f32);
                let lit = g * (1.0 + self.light * light.at(x, y, z as f32 * 40.0));
                let noisy = lit + self.noise * w * (0.4 + 1.2 * lit.max(0.0)).sqrt();
                let v = ((noisy - 0.5) * self.contrast + 0.5 + self.brightness).clamp(0.0, 1.0);
                let v = v + self.gamma * v * (1.0 - v);
                (v * 255.0 + 0.5) as u8
            })
            .collect();
        Section { size: n, image, label: cut.label }
    }
}

/// Mixes an n×n image with its 3×3 binomial blur, mirrored at the border.
fn binomial(image: &mut [f32], n: usize, share: f32) {
    let at = |i: isize| -> usize { i.clamp(0, n as isize - 1) as usize };
    let mut rows = vec![0f32; image.len()];
    for y in 0..n {
        for x in 0..n {
            let (l, r) = (at(x as isize - 1), at(x as isize + 1));
            rows[y * n + x] = 0.25 * (image[y * n + l] + image[y * n + r]) + 0.5 * image[y * n + x];
        }
    }
    for y in 0..n {
        let (u, d) = (at(y as isize - 1), at(y as isize + 1));
        for x in 0..n {
            let blurred = 0.25 * (rows[u * n + x] + rows[d * n + x]) + 0.5 * rows[y * n + x];
            image[y * n + x] += share * (blurred - image[y * n + x]);
        }
    }
}
