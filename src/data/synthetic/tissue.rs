//! A tissue of packed cells and cuts through it.
//!
//! Cells are an additively weighted Voronoi diagram with an anisotropic metric per cell, seen through a smooth warp:
//! m_i(p) = |A_i (w(p) − c_i)| − r_i, and p belongs to the cell of the smallest m. The distance to the boundary with
//! cell j is (m_j − m_i) / |∇(m_j − m_i)| to first order, which is exact enough within a membrane's thickness.

use super::cells::{Cell, pack};
use super::membranes::{CELL, MEMBRANE, MembranesConfig};
use super::noise::{Draw, Field, bump, hash, ramp};
use super::organelles::{self, Mitochondrion};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// One slice is this many pixels thick at scale 1 (50 nm).
const SLICE_DEPTH: f32 = 12.0;
const TILE: usize = 16;

/// What a seed draws before anything is cut.
pub struct Tissue {
    size: usize,
    scale: f32,
    seed: u64,
    cells: Vec<Cell>,
    mitochondria: Vec<Mitochondrion>,
    warp: [(Field, Field, f32); 3],
    half_thickness: [f32; 2],
    oblique: f32,
    membrane_level: f32,
    softness: f32,
    stains: f32,
}

/// A cut through the tissue before the camera: reflectance-like grey in about [0, 1].
pub struct Cut {
    /// Height and width.
    pub size: usize,
    /// Grey before the camera.
    pub grey: Vec<f32>,
    /// Which cell each pixel belongs to.
    pub cell: Vec<u32>,
    /// Distance to the membrane's edge in pixels, positive inside the cell.
    pub inside: Vec<f32>,
    /// Warped coordinates of each pixel.
    pub warped: Vec<[f32; 2]>,
    /// Cell or membrane, as in a [`super::Section`].
    pub label: Vec<u8>,
}

impl Tissue {
    /// Draws cells, organelles and fields.
    pub fn new(config: &MembranesConfig, scale: f32, rng: &mut ChaCha8Rng) -> Self {
        let seed = (u64::from(hash(1, rng.unit().to_bits() as i32, 0, 0)) << 32) | u64::from(rng.unit().to_bits());
        let fields = |salt: u64, wavelength: f32, amplitude: f32| {
            let field = |s| Field::new(seed.wrapping_add(s), wavelength * scale);
            (field(salt), field(salt + 1), amplitude * scale)
        };
        let coarse = rng.within(config.warp);
        let warp = [fields(10, 75.0, coarse * 1.6), fields(20, 26.0, coarse * 0.5), fields(30, 8.0, coarse * 0.16)];
        let elongation = rng.within(config.elongation).max(1.0);
        let cells = pack(config, scale, elongation, seed, rng);
        let share = rng.within(config.mitochondria);
        let mut mitochondria = Vec::new();
        for (owner, cell) in cells.iter().enumerate() {
            if cell.radius > 11.0 * scale {
                let mut count = 0;
                while count < 3 && rng.chance(share * if count == 0 { 1.0 } else { 0.4 }) {
                    let last = config.slices as f32 * SLICE_DEPTH;
                    mitochondria.extend(Mitochondrion::column(owner, cell.radius, cell.stretch, scale, last, rng));
                    count += 1;
                }
            }
        }
        Self {
            size: config.size,
            scale,
            seed,
            cells,
            mitochondria,
            warp,
            half_thickness: config.half_thickness,
            oblique: rng.within(config.oblique),
            membrane_level: rng.within(config.membrane_level),
            softness: rng.within([0.35, 0.75]),
            stains: rng.within(config.stains),
        }
    }

    /// Position after the warp.
    fn warped(&self, x: f32, y: f32, depth: f32) -> [f32; 2] {
        let mut p = [x, y];
        for (fx, fy, amplitude) in &self.warp {
            p[0] += amplitude * fx.at(x, y, depth);
            p[1] += amplitude * fy.at(x, y, depth);
        }
        p
    }

    /// Slice `z` with organelles, membranes and stains.
    pub fn cut(&self, z: usize) -> Cut {
        let mut cut = self.cells_of(z);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed.wrapping_add(7919 * (z as u64 + 1)));
        let depth = z as f32 * SLICE_DEPTH;
        let mut interior = Cut { label: Vec::new(), ..self.cytoplasm(&cut, depth) };
        for mitochondrion in &self.mitochondria {
            let cell = &self.cells[mitochondrion.owner];
            mitochondrion.draw(&mut interior, cell, z, depth, self.scale, self.seed);
        }
        organelles::draw_small(&mut interior, &self.cells, self.scale, &mut rng);
        // `cut.grey` holds how much of the membrane is seen; its own level varies along it.
        let tone = Field::new(self.seed.wrapping_add(91), 22.0 * self.scale);
        for i in 0..cut.grey.len() {
            let (x, y) = ((i % self.size) as f32, (i / self.size) as f32);
            let membrane = self.membrane_level + 0.05 * tone.at(x, y, depth);
            let under = interior.grey[i];
            cut.grey[i] = under + (membrane.min(under) - under) * cut.grey[i];
        }
        self.stain(&mut cut, depth, &mut rng);
        cut
    }

    /// Which cell is where, the distance to its membrane, the label, and (as grey) how opaque the membrane is.
    fn cells_of(&self, z: usize) -> Cut {
        let (n, depth) = (self.size, z as f32 * SLICE_DEPTH);
        let mut warped = Vec::with_capacity((n + 1) * (n + 1));
        for y in 0..=n {
            warped.extend((0..=n).map(|x| self.warped(x as f32, y as f32, depth)));
        }
        let oblique = Field::new(self.seed.wrapping_add(41), 60.0 * self.scale);
        let along = Field::new(self.seed.wrapping_add(43), 16.0 * self.scale);
        let dense = Field::new(self.seed.wrapping_add(47), 24.0 * self.scale);
        let mut cut = Cut {
            size: n,
            grey: vec![0.0; n * n],
            cell: vec![0; n * n],
            inside: vec![0.0; n * n],
            warped: Vec::with_capacity(n * n),
            label: vec![CELL; n * n],
        };
        for y in 0..n {
            cut.warped.extend_from_slice(&warped[y * (n + 1)..y * (n + 1) + n]);
        }
        for top in (0..n).step_by(TILE) {
            for left in (0..n).step_by(TILE) {
                let (bottom, right) = ((top + TILE).min(n), (left + TILE).min(n));
                let near = self.near(&cut.warped, n, [top, bottom, left, right], z);
                for y in top..bottom {
                    for x in left..right {
                        let at = y * (n + 1) + x;
                        let (p, right, down) = (warped[at], warped[at + 1], warped[at + n + 1]);
                        let jacobian = [[right[0] - p[0], right[1] - p[1]], [down[0] - p[0], down[1] - p[1]]];
                        let fx = x as f32;
                        let fy = y as f32;
                        let wide = ramp(1.0 - 2.0 * self.oblique, 1.15 - 2.0 * self.oblique, oblique.at(fx, fy, depth));
                        let uneven = along.at(fx, fy, depth);
                        let synapse = ramp(0.55, 0.8, dense.at(fx, fy, depth));
                        let (cell, inside, opacity) = self.pixel(p, jacobian, &near, z, wide, uneven, synapse);
                        let i = y * n + x;
                        cut.cell[i] = cell;
                        cut.inside[i] = inside;
                        cut.grey[i] = opacity;
                        if inside < 0.0 {
                            cut.label[i] = MEMBRANE;
                        }
                    }
                }
            }
        }
        cut
    }

    /// The cells that can be first, second or third anywhere in a tile.
    fn near(&self, warped: &[[f32; 2]], n: usize, [top, bottom, left, right]: [usize; 4], z: usize) -> Vec<u32> {
        let middle = warped[(top + bottom) / 2 * n + (left + right) / 2];
        let mut reach = 0f32;
        for y in top..bottom {
            for x in left..right {
                let p = warped[y * n + x];
                reach = reach.max((p[0] - middle[0]).powi(2) + (p[1] - middle[1]).powi(2));
            }
        }
        let reach = reach.sqrt() + 0.01;
        // |∇m| is at most the stretch.
        let bounds: Vec<(f32, f32)> = self
            .cells
            .iter()
            .map(|c| {
                let m = c.metric(middle, z);
                (m - c.stretch * reach, m + c.stretch * reach)
            })
            .collect();
        let mut upper: Vec<f32> = bounds.iter().map(|b| b.1).collect();
        upper.sort_by(f32::total_cmp);
        let limit = upper.get(2).copied().unwrap_or(f32::MAX);
        (0..self.cells.len()).filter(|&i| bounds[i].0 <= limit).map(|i| i as u32).collect()
    }

    /// The cell at warped position `p`, the distance to its membrane's edge, and the membrane's opacity.
    #[expect(clippy::too_many_arguments, reason = "the fields are evaluated once a pixel by the caller")]
    fn pixel(
        &self,
        p: [f32; 2],
        jacobian: [[f32; 2]; 2],
        near: &[u32],
        z: usize,
        wide: f32,
        uneven: f32,
        synapse: f32,
    ) -> (u32, f32, f32) {
        let mut best = [(f32::MAX, 0u32); 3];
        for &i in near {
            let m = self.cells[i as usize].metric(p, z);
            if m < best[2].0 {
                best[2] = (m, i);
                if m < best[1].0 {
                    best.swap(1, 2);
                }
                if m < best[0].0 {
                    best.swap(0, 1);
                }
            }
        }
        let (own, cell) = best[0];
        let g = self.cells[cell as usize].gradient(p, z);
        let (mut inside, mut opacity) = (f32::MAX, 0f32);
        for &(m, other) in best[1..].iter().filter(|b| b.0 < f32::MAX) {
            let h = self.cells[other as usize].gradient(p, z);
            let (dx, dy) = (h[0] - g[0], h[1] - g[1]);
            let u = dx * jacobian[0][0] + dy * jacobian[0][1];
            let v = dx * jacobian[1][0] + dy * jacobian[1][1];
            let distance = (m - own) / (u * u + v * v).sqrt().max(0.25);
            let (a, b) = (cell.min(other) as i32, cell.max(other) as i32);
            let draw = hash(self.seed, a, b, 5);
            let [thin, thick] = self.half_thickness;
            let share = (draw & 0xFF) as f32 / 255.0;
            let cut = if draw >> 8 & 3 == 0 { 0.0 } else { wide };
            let half = (thin + (thick - thin) * share)
                * self.scale
                * (1.0 + 0.18 * uneven)
                * (1.0 + 2.4 * cut * cut)
                * (1.0 + 0.5 * synapse);
            inside = inside.min(distance - half);
            let contrast = (0.72 + 0.28 * (draw >> 10 & 0xFF) as f32 / 255.0 + 0.12 * uneven) * (1.0 - 0.35 * cut);
            let soft = (self.softness * (1.0 + 0.5 * cut)).min(0.95);
            let depth = distance / half;
            let mut seen = contrast * (1.0 - ramp(1.0 - soft, 1.0 + soft, depth));
            // Some boundaries show the gap between the two membranes.
            if draw >> 20 & 7 == 0 {
                seen *= 1.0 - 0.4 * bump(depth * 1.8);
            }
            seen += synapse * 0.5 * bump(distance / (2.4 * half));
            opacity = opacity.max(seen);
        }
        (cell, inside, opacity.clamp(0.0, 1.0))
    }

    /// The cells without membranes: a level and a texture each.
    fn cytoplasm(&self, cut: &Cut, depth: f32) -> Cut {
        let fine = Field::new(self.seed.wrapping_add(61), 3.2 * self.scale);
        let middle = Field::new(self.seed.wrapping_add(62), 8.0 * self.scale);
        let coarse = Field::new(self.seed.wrapping_add(63), 30.0 * self.scale);
        let n = self.size;
        let grey = (0..n * n)
            .map(|i| {
                let (x, y) = ((i % n) as f32, (i / n) as f32);
                let cell = &self.cells[cut.cell[i] as usize];
                let t = 0.9 * fine.at(x, y, depth) + 0.6 * middle.at(x, y, depth) + 0.5 * coarse.at(x, y, depth);
                cell.level + cell.texture * t
            })
            .collect();
        Cut {
            size: n,
            grey,
            cell: cut.cell.clone(),
            inside: cut.inside.clone(),
            warped: cut.warped.clone(),
            label: Vec::new(),
        }
    }

    /// Dark smears and a few bright spots that lie over cells and membranes alike.
    fn stain(&self, cut: &mut Cut, depth: f32, rng: &mut ChaCha8Rng) {
        let n = self.size as f32;
        let rough = Field::new(self.seed.wrapping_add(71), 9.0 * self.scale);
        let expected = self.stains * n * n / 10_000.0;
        let count = expected.floor() as usize + usize::from(rng.chance(expected.fract()));
        for _ in 0..count {
            let centre = [rng.unit() * n, rng.unit() * n];
            let axis = rng.direction();
            let long = rng.mostly_small([6.0, 40.0]) * self.scale;
            let short = long * rng.within([0.25, 1.0]);
            let bright = rng.chance(0.2);
            let strength = if bright { rng.within([0.08, 0.25]) } else { -rng.within([0.06, 0.3]) };
            let reach = long + 2.0;
            let rows = ((centre[1] - reach).max(0.0) as usize)..((centre[1] + reach).clamp(0.0, n) as usize);
            for y in rows {
                let columns = ((centre[0] - reach).max(0.0) as usize)..((centre[0] + reach).clamp(0.0, n) as usize);
                for x in columns {
                    let (dx, dy) = (x as f32 - centre[0], y as f32 - centre[1]);
                    let (a, b) = ((dx * axis[0] + dy * axis[1]) / long, (dy * axis[0] - dx * axis[1]) / short);
                    let shape = bump((a * a + b * b).sqrt());
                    if shape > 0.0 {
                        let texture = 1.0 + 0.7 * rough.at(x as f32, y as f32, depth);
                        let pixel = &mut cut.grey[y * self.size + x];
                        *pixel = (*pixel + strength * shape * texture).max(0.12);
                    }
                }
            }
        }
    }
}
