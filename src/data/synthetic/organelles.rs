//! What lies inside cells and misleads a membrane segmenter: mitochondria with cristae, vesicles, tubules, dark
//! bodies. None of it is membrane in the mask.

use super::cells::Cell;
use super::noise::{Draw, Field, bump, ramp, wave};
use super::tissue::Cut;
use rand_chacha::ChaCha8Rng;

/// A dark, textured, roughly elliptic body in the local coordinates of its cell.
#[derive(Clone, Debug)]
pub struct Mitochondrion {
    /// Index of its cell.
    pub owner: usize,
    centre: [f32; 2],
    axis: [f32; 2],
    radii: [f32; 2],
    /// Depth of its middle and half its height, in pixels.
    depth: f32,
    height: f32,
    level: f32,
    rim: f32,
    halo: f32,
    cristae: f32,
    spacing: f32,
    grain: f32,
    phase: f32,
}

impl Mitochondrion {
    /// The mitochondria that follow each other along the slice axis up to `last` (pixels) at one place of a cell.
    pub fn column(owner: usize, radius: f32, stretch: f32, scale: f32, last: f32, rng: &mut ChaCha8Rng) -> Vec<Self> {
        let mut column = Vec::new();
        let height = rng.within([30.0, 90.0]);
        let mut depth = height * rng.within([-0.7, 0.7]);
        loop {
            let direction = rng.direction();
            let offset = radius * rng.within([0.0, 0.55]);
            let minor = (radius / stretch * rng.within([0.3, 0.85])).min(rng.within([10.0, 42.0]) * scale);
            let major = (minor * rng.within([1.0, 2.0])).min(radius * stretch * 0.85);
            let tilt = rng.direction();
            let axis = if rng.chance(0.6) { [1.0, 0.15 * tilt[1]] } else { tilt };
            let length = (axis[0] * axis[0] + axis[1] * axis[1]).sqrt();
            column.push(Self {
                owner,
                centre: [direction[0] * offset * stretch, direction[1] * offset / stretch],
                axis: [axis[0] / length, axis[1] / length],
                radii: [major, minor],
                depth,
                height,
                level: rng.within([0.26, 0.44]),
                rim: rng.within([0.0, 0.14]),
                halo: rng.within([-0.02, 0.1]),
                cristae: if rng.chance(0.65) { rng.within([0.04, 0.15]) } else { 0.0 },
                spacing: rng.within([5.0, 10.0]) * scale,
                grain: rng.within([0.02, 0.1]),
                phase: rng.unit(),
            });
            depth += height * rng.within([2.0, 4.0]);
            if depth - height > last {
                return column;
            }
        }
    }

    /// Draws it where it lies inside its own cell, clear of the membrane.
    pub fn draw(&self, cut: &mut Cut, cell: &Cell, z: usize, depth: f32, scale: f32, seed: u64) {
        let t = (depth - self.depth) / self.height;
        if t * t >= 1.0 {
            return;
        }
        let shrink = (1.0 - t * t).sqrt();
        let (major, minor) = (self.radii[0] * shrink, self.radii[1] * shrink);
        if minor < 4.0 * scale {
            return;
        }
        let bend = Field::new(seed.wrapping_add(81), 22.0 * scale);
        let grain = Field::new(seed.wrapping_add(82), 2.6 * scale);
        let n = cut.size;
        for i in 0..n * n {
            if cut.cell[i] as usize != self.owner {
                continue;
            }
            let [along, across] = cell.local(cut.warped[i], z);
            let (dx, dy) = (along - self.centre[0], across - self.centre[1]);
            let u = dx * self.axis[0] + dy * self.axis[1];
            let v = dy * self.axis[0] - dx * self.axis[1];
            let (a, b) = (u / major, v / minor);
            let q = (a * a + b * b).sqrt();
            // Distance to the rim in pixels, positive inside.
            let within = (1.0 - q) * minor;
            if within < -5.0 * scale {
                continue;
            }
            let (x, y) = ((i % n) as f32, (i / n) as f32);
            let clear = ramp(0.0, 2.0, cut.inside[i]);
            let pixel = &mut cut.grey[i];
            if within < 0.0 {
                *pixel += self.halo * bump(within / (5.0 * scale)) * clear;
            }
            let stripes = wave((v + 4.0 * scale * bend.at(x, y, depth)) / self.spacing + self.phase);
            let body =
                self.level + self.cristae * stripes * ramp(1.0, 4.0, within) + self.grain * grain.at(x, y, depth)
                    - self.rim * bump((within - 1.2 * scale) / (2.2 * scale));
            *pixel += (body - *pixel) * ramp(-1.0, 1.0, within) * clear;
        }
    }
}

/// Vesicles, tubules and dense bodies of one slice: thinner than a slice, so they do not continue in the next.
pub fn draw_small(cut: &mut Cut, cells: &[Cell], scale: f32, rng: &mut ChaCha8Rng) {
    let n = cut.size;
    let area = (n * n) as f32 / (scale * scale);
    // Ten candidates per 1000 square pixels; a cell keeps as many as its density asks for.
    for _ in 0..(area / 100.0) as usize {
        let (x, y) = (rng.unit() * n as f32, rng.unit() * n as f32);
        let i = (y as usize).min(n - 1) * n + (x as usize).min(n - 1);
        let (kind, keep) = (rng.unit(), rng.unit() * 10.0);
        let strength = rng.within([0.08, 0.26]);
        let direction = rng.direction();
        let density = cells[cut.cell[i] as usize].vesicles;
        let room = cut.inside[i];
        if keep < density {
            let large = kind < 0.06;
            let radius = if large { rng.within([4.5, 9.0]) } else { rng.within([1.8, 4.0]) } * scale;
            if room < radius + 1.0 {
                continue;
            }
            let lumen = rng.within([-0.05, 0.08]);
            let width = rng.within([1.1, 1.8]) * scale.max(0.8);
            let solid = kind > 0.85;
            paint(cut, [x, y], radius + width, |dx, dy| {
                let d = (dx * dx + dy * dy).sqrt();
                if solid {
                    -strength * bump(d / (radius + width))
                } else {
                    lumen * bump(d / radius) - strength * bump((d - radius) / width)
                }
            });
        } else if keep > 9.75 {
            // A tubule: an arc of a circle.
            let radius = rng.within([5.0, 30.0]) * scale;
            let opening = rng.within([0.2, 0.9]);
            let width = rng.within([1.0, 2.0]) * scale.max(0.8);
            let centre = [x - direction[0] * radius, y - direction[1] * radius];
            if room < 3.0 * scale {
                continue;
            }
            paint(cut, centre, radius + width, |dx, dy| {
                let d = (dx * dx + dy * dy).sqrt().max(1e-3);
                let facing = (dx * direction[0] + dy * direction[1]) / d;
                -strength * bump((d - radius) / width) * ramp(opening - 0.1, opening + 0.05, facing)
            });
        } else if keep > 9.71 && room > 6.0 * scale {
            // A dense body.
            let radius = rng.within([4.0, 11.0]) * scale;
            paint(cut, [x, y], radius, |dx, dy| -1.4 * strength * bump((dx * dx + dy * dy).sqrt() / radius));
        }
    }
}

/// Adds `change` (of the offset from `centre`) to pixels inside cells, fading towards the membrane.
fn paint(cut: &mut Cut, centre: [f32; 2], reach: f32, change: impl Fn(f32, f32) -> f32) {
    let n = cut.size as f32;
    let span = |c: f32| ((c - reach).clamp(0.0, n) as usize)..((c + reach + 1.0).clamp(0.0, n) as usize);
    for y in span(centre[1]) {
        for x in span(centre[0]) {
            let i = y * cut.size + x;
            let clear = ramp(0.0, 2.0, cut.inside[i]);
            if clear > 0.0 {
                let pixel = &mut cut.grey[i];
                *pixel = (*pixel + clear * change(x as f32 - centre[0], y as f32 - centre[1])).max(0.08);
            }
        }
    }
}
