//! Random numbers that come from a seed and belong to a row, so that they do not depend on what else is in its batch or on
//! the device.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The numbers of one image, restart and seed.
pub(super) struct Random(ChaCha8Rng);

impl Random {
    /// For image `image` of a run and its restart `restart`.
    pub fn new(seed: u64, image: usize, restart: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(((restart as u64) << 32) ^ image as u64);
        Self(rng)
    }

    /// Uniform in [−1, 1).
    pub fn signed(&mut self) -> f32 {
        self.0.random::<f32>() * 2.0 - 1.0
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.0.random::<f64>()
    }

    /// −1 or 1.
    pub fn sign(&mut self) -> f32 {
        if self.0.random::<bool>() { 1.0 } else { -1.0 }
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * self.unit()).cos()) as f32
    }
}
