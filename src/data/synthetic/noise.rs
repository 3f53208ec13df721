//! Randomness that is the same on every machine: hashes, smooth noise, and draws from a seeded generator. No
//! function of the platform's mathematics library is used (square roots are exact everywhere).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// A well mixed hash of a lattice point.
pub fn hash(seed: u64, x: i32, y: i32, z: i32) -> u32 {
    let mut h = seed ^ u64::from(x as u32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    h ^= u64::from(y as u32).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    h ^= u64::from(z as u32).wrapping_mul(0x1656_67B1_9E37_79F9);
    h = (h ^ (h >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (h >> 32) as u32
}

/// Noise of mean 0 and standard deviation 1 for each pixel of each slice: nearly Gaussian, the sum of four uniform draws.
pub fn grain(seed: u64, column: usize, row: usize, slice: usize) -> f32 {
    let draw =
        |n: u64| signed(hash(seed.wrapping_add(n.wrapping_mul(0x9E37)), column as i32, row as i32, slice as i32));
    // Each has a variance of a third.
    (draw(1) + draw(2) + draw(3) + draw(4)) * 0.866_025_4
}

fn signed(h: u32) -> f32 {
    (h >> 8) as f32 * (2.0 / 16_777_215.0) - 1.0
}

fn fade(t: f32) -> f32 {
    t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
}

/// A smooth random field over the plane and the slice axis, in [−1, 1], with features of about `wavelength` pixels.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    seed: u64,
    frequency: f32,
    /// A rotation of the lattice, so that the axes of several fields do not coincide.
    rotation: [f32; 2],
}

impl Field {
    /// A field of its own for every `seed`.
    pub fn new(seed: u64, wavelength: f32) -> Self {
        // Pythagorean triples: exact rotations without a sine.
        const ROTATIONS: [[f32; 2]; 4] = [[0.8, 0.6], [0.96, 0.28], [0.352, 0.936], [0.6, 0.8]];
        Self { seed, frequency: 1.0 / wavelength.max(0.1), rotation: ROTATIONS[(hash(seed, 1, 2, 3) & 3) as usize] }
    }

    /// The value at pixel position `x`, `y`, and `z`, the depth in pixels.
    pub fn at(&self, x: f32, y: f32, z: f32) -> f32 {
        let [c, s] = self.rotation;
        let (u, v, w) = ((c * x - s * y) * self.frequency, (s * x + c * y) * self.frequency, z * self.frequency);
        let (fu, fv, fw) = (u.floor(), v.floor(), w.floor());
        let (i, j, k) = (fu as i32, fv as i32, fw as i32);
        let (tu, tv, tw) = (fade(u - fu), fade(v - fv), fade(w - fw));
        let plane = |k: i32| {
            let a = signed(hash(self.seed, i, j, k));
            let b = signed(hash(self.seed, i + 1, j, k));
            let c = signed(hash(self.seed, i, j + 1, k));
            let d = signed(hash(self.seed, i + 1, j + 1, k));
            let (top, bottom) = (a + (b - a) * tu, c + (d - c) * tu);
            top + (bottom - top) * tv
        };
        let near = plane(k);
        if tw == 0.0 { near } else { near + (plane(k + 1) - near) * tw }
    }
}

/// Draws from a seeded stream.
pub trait Draw {
    /// Uniform in [0, 1).
    fn unit(&mut self) -> f32;
    /// Uniform in a range.
    fn within(&mut self, range: [f32; 2]) -> f32 {
        range[0] + (range[1] - range[0]) * self.unit()
    }
    /// In a range, with density falling as r^−2: many small values, few large ones.
    fn mostly_small(&mut self, range: [f32; 2]) -> f32 {
        let u = self.unit();
        1.0 / (1.0 / range[0] + (1.0 / range[1] - 1.0 / range[0]) * u)
    }
    /// True with probability `p`.
    fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }
    /// A unit vector in a random direction.
    fn direction(&mut self) -> [f32; 2] {
        loop {
            let (x, y) = (self.within([-1.0, 1.0]), self.within([-1.0, 1.0]));
            let squares = x * x + y * y;
            if squares > 0.01 && squares <= 1.0 {
                let length = squares.sqrt();
                return [x / length, y / length];
            }
        }
    }
    /// Nearly Gaussian, mean 0, variance 1, within ±3.5 (the sum of four uniforms, Irwin–Hall).
    fn gaussian(&mut self) -> f32;
}

impl Draw for ChaCha8Rng {
    fn unit(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    fn gaussian(&mut self) -> f32 {
        let bits = self.next_u64();
        let sum = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48);
        (sum as f32 * (1.0 / 65_535.0) - 2.0) * 1.732_050_8
    }
}

/// 1 at 0, falling smoothly to 0 at ±1 and beyond.
pub fn bump(t: f32) -> f32 {
    let s = 1.0 - t * t;
    if s > 0.0 { s * s } else { 0.0 }
}

/// 0 below `low`, 1 above `high`, smooth between.
pub fn ramp(low: f32, high: f32, v: f32) -> f32 {
    let t = ((v - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A wave of period 1 between −1 and 1 that looks like a sine, made of parabolas.
pub fn wave(t: f32) -> f32 {
    let t = t - t.floor();
    let (u, sign) = if t < 0.5 { (t * 2.0, 1.0) } else { (t * 2.0 - 1.0, -1.0) };
    sign * 4.0 * u * (1.0 - u)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn draws_have_the_moments_they_claim() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let n = 20_000;
        let (mut sum, mut squares, mut unit) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let g = f64::from(rng.gaussian());
            sum += g;
            squares += g * g;
            unit += f64::from(rng.unit());
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 0.03 && (squares / n - 1.0).abs() < 0.03, "{} {}", sum / n, squares / n);
        assert!((unit / n - 0.5).abs() < 0.01);
    }

    #[test]
    fn fields_are_smooth_and_bounded() {
        let field = Field::new(7, 10.0);
        let (mut low, mut high, mut step) = (1f32, -1f32, 0f32);
        for i in 0..4000 {
            let (x, y, z) = (i as f32 * 0.37, i as f32 * 0.11, i as f32 * 0.05);
            let v = field.at(x, y, z);
            (low, high) = (low.min(v), high.max(v));
            step = step.max((field.at(x + 0.01, y, z) - v).abs());
        }
        assert!((-1.0..-0.5).contains(&low) && (0.5..=1.0).contains(&high) && step < 0.01, "{low} {high} {step}");
    }
}
