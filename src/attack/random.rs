//! Random numbers that come from a seed and belong to an image, so that they do not depend on what else is in its batch, on
//! ε, on memory or on the device.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What random numbers are drawn for. Each use has numbers of its own under the same seed: a control that had the signs of the
/// attack's start would be no control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Random signs beside an attack.
    Control = 0,
    /// Where an attack starts.
    Start,
    /// Gaussian noise.
    Noise,
    /// Other corruptions.
    Corruption,
    /// Random flows.
    Flow,
}

/// Uses are told apart by bits of the key that no seed reaches.
const USES_FROM_BIT: u32 = 56;

/// The numbers of one use, image, restart and seed.
pub(super) struct Random(ChaCha8Rng);

/// Spreads restarts over the streams: 2⁶⁴ over the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// For the image of stream `stream` (see [`stream_of`]) and its restart `restart`.
    pub fn new(of: Use, seed: u64, stream: u64, restart: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ ((of as u64) << USES_FROM_BIT));
        rng.set_stream(stream.wrapping_add((restart as u64).wrapping_mul(SPREAD)));
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

/// The stream of an image: a hash of its values (FNV-1a over their bits, 0 and −0 being one). The same image has the same
/// random numbers wherever it stands.
pub(super) fn stream_of(values: &[f32]) -> u64 {
    let mix = |hash: u64, v: &f32| (hash ^ u64::from((v + 0.0).to_bits())).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = values.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    // The last values must reach the high bits too.
    (hash ^ (hash >> 32)).wrapping_mul(SPREAD)
}
