//! Cell profiles, and how they are packed.

use super::membranes::MembranesConfig;
use super::noise::{Draw, Field};
use rand_chacha::ChaCha8Rng;

/// A cell profile.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Centre in slice 0 and its drift per slice.
    centre: [f32; 2],
    drift: [f32; 2],
    pub radius: f32,
    axis: [f32; 2],
    /// Square root of the ratio of its axes.
    pub stretch: f32,
    /// Grey of its cytoplasm, and the amplitude of its texture.
    pub level: f32,
    pub texture: f32,
    /// Vesicles per 1000 square pixels.
    pub vesicles: f32,
}

impl Cell {
    fn centre(&self, z: usize) -> [f32; 2] {
        [self.centre[0] + self.drift[0] * z as f32, self.centre[1] + self.drift[1] * z as f32]
    }

    /// Coordinates of `p` about the centre, along and across the long axis.
    pub fn local(&self, p: [f32; 2], z: usize) -> [f32; 2] {
        let c = self.centre(z);
        let (dx, dy) = (p[0] - c[0], p[1] - c[1]);
        [dx * self.axis[0] + dy * self.axis[1], dy * self.axis[0] - dx * self.axis[1]]
    }

    /// m(p): below 0 inside the ellipse. Its gradient is at most [`Self::stretch`] long.
    pub fn metric(&self, p: [f32; 2], z: usize) -> f32 {
        let [along, across] = self.local(p, z);
        let (a, b) = (along / self.stretch, across * self.stretch);
        (a * a + b * b).sqrt() - self.radius
    }

    /// ∇m.
    pub fn gradient(&self, p: [f32; 2], z: usize) -> [f32; 2] {
        let [along, across] = self.local(p, z);
        let (a, b) = (along / self.stretch, across * self.stretch);
        let q = (a * a + b * b).sqrt().max(1e-3);
        let (u, v) = (a / (self.stretch * q), b * self.stretch / q);
        [u * self.axis[0] - v * self.axis[1], u * self.axis[1] + v * self.axis[0]]
    }

    /// The radius of the ellipse m = 0 in direction `u`.
    fn extent(&self, u: [f32; 2]) -> f32 {
        let (along, across) = (u[0] * self.axis[0] + u[1] * self.axis[1], u[1] * self.axis[0] - u[0] * self.axis[1]);
        let (a, b) = (along / self.stretch, across * self.stretch);
        self.radius / (a * a + b * b).sqrt().max(1e-3)
    }
}

/// Cells of many sizes, the largest first, each where most room is left.
pub fn pack(config: &MembranesConfig, scale: f32, elongation: f32, seed: u64, rng: &mut ChaCha8Rng) -> Vec<Cell> {
    let margin = 45.0 * scale;
    let side = config.size as f32 + 2.0 * margin;
    let per_area = rng.within([30.0, 52.0]) / (65_536.0 * scale * scale);
    let count = ((side * side * per_area) as usize).max(3);
    let mut radii: Vec<f32> = (0..count).map(|_| rng.mostly_small(config.cell_radius) * scale).collect();
    radii.sort_by(|a, b| b.total_cmp(a));
    let (turn_x, turn_y) =
        (Field::new(seed.wrapping_add(51), 130.0 * scale), Field::new(seed.wrapping_add(52), 130.0 * scale));
    let level = rng.within(config.cell_level);
    let spread = rng.within(config.cell_level_spread);
    let texture = rng.within(config.texture);
    let vesicles = rng.within(config.vesicles);
    let mut cells: Vec<Cell> = Vec::with_capacity(count);
    for radius in radii {
        let stretch = (1.0 + (elongation - 1.0) * rng.unit()).sqrt();
        let dark = rng.chance(0.1);
        let mut cell = Cell {
            centre: [0.0; 2],
            drift: [rng.gaussian() * 0.8 * scale, rng.gaussian() * 0.8 * scale],
            radius,
            axis: [1.0, 0.0],
            stretch,
            level: level + spread * rng.gaussian() - if dark { 0.1 } else { 0.0 },
            texture: texture * rng.within([0.6, 1.4]) * if dark { 1.4 } else { 1.0 },
            vesicles: if rng.chance(0.6) { vesicles * rng.within([0.3, 2.0]) } else { vesicles * 0.1 },
        };
        let mut best = (f32::MIN, cell.centre, cell.axis);
        for _ in 0..10 {
            cell.centre = [rng.unit() * side - margin, rng.unit() * side - margin];
            // Neighbours lie roughly parallel, as in bundles of neurites.
            let (a, b) =
                (turn_x.at(cell.centre[0], cell.centre[1], 0.0), turn_y.at(cell.centre[0], cell.centre[1], 0.0));
            let jitter = rng.direction();
            let (a, b) = (a + 0.25 * jitter[0], b + 0.25 * jitter[1]);
            let length = (a * a + b * b).sqrt();
            cell.axis = if length > 0.05 { [a / length, b / length] } else { jitter };
            let clearance = cells.iter().fold(f32::MAX, |least, other| {
                let (dx, dy) = (other.centre[0] - cell.centre[0], other.centre[1] - cell.centre[1]);
                let distance = (dx * dx + dy * dy).sqrt().max(1e-3);
                let u = [dx / distance, dy / distance];
                least.min(distance - cell.extent(u) - other.extent(u))
            });
            if clearance > best.0 {
                best = (clearance, cell.centre, cell.axis);
            }
        }
        (cell.centre, cell.axis) = (best.1, best.2);
        cells.push(cell);
    }
    cells
}
