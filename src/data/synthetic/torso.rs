//! A body at the level of the lumbar spine, as far as CT and MR show it: skin, fat, muscles, the vertebrae with their
//! processes, discs, spinal canal, great vessels, kidneys, liver and bowel. Not a patient and not an atlas: plain shapes with the
//! sizes of textbooks, so that a clinician recognises what is meant.
//!
//! Places are in mm along DICOM's axes: x to the patient's left, y to the back, z upwards; z = 0 is the lower end of L5.

use super::noise::{Field, hash};

/// Height in mm of a vertebra with the disc above it, and of its body alone.
pub const LEVEL: f32 = 36.0;
const BODY: f32 = 27.0;

/// What is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tissue {
    /// Outside of the body.
    Air,
    /// The table that the patient lies on.
    Table,
    /// Skin.
    Skin,
    /// Fat under the skin and between organs.
    Fat,
    /// Muscle.
    Muscle,
    /// Spongy bone.
    Marrow,
    /// Compact bone.
    Cortex,
    /// The fibrous ring of a disc.
    Annulus,
    /// The core of a disc.
    Nucleus,
    /// Fluid around the nerves.
    Fluid,
    /// The nerves in the canal.
    Nerve,
    /// Blood in the great vessels.
    Blood,
    /// Calcified plaque of the aorta.
    Plaque,
    /// Kidney.
    Kidney,
    /// Liver.
    Liver,
    /// The wall and content of bowel.
    Bowel,
    /// Gas in bowel.
    Gas,
}

/// A body; another for each seed.
pub struct Torso {
    seed: u64,
    /// Half the width and depth of the trunk.
    trunk: [f32; 2],
    /// Unevenness of outlines, in mm.
    warp: Field,
    streaks: Field,
    bowel: Field,
}

/// Squared distance from the centre of an ellipse in units of its radii.
fn ellipse(x: f32, y: f32, radii: [f32; 2]) -> f32 {
    let (u, v) = (x / radii[0], y / radii[1]);
    u * u + v * v
}

fn ellipsoid(at: [f32; 3], centre: [f32; 3], radii: [f32; 3]) -> f32 {
    (0..3).map(|i| (at[i] - centre[i]) / radii[i]).map(|v| v * v).sum()
}

impl Torso {
    /// The body of `seed`.
    pub fn new(seed: u64) -> Self {
        let share = |n: i32| (hash(seed, n, 0, 0) >> 8) as f32 / 16_777_215.0;
        Self {
            seed,
            trunk: [150.0 + 10.0 * share(1), 98.0 + 8.0 * share(2)],
            warp: Field::new(seed ^ 0x51, 45.0),
            streaks: Field::new(seed ^ 0x52, 7.0),
            bowel: Field::new(seed ^ 0x53, 26.0),
        }
    }

    /// What is at a place, and the number of the vertebra there: 1 for L1 to 5 for L5, 0 for all else.
    pub fn at(&self, x: f32, y: f32, z: f32) -> (Tissue, u8) {
        let wobble = self.warp.at(x, y, z);
        if let Some(found) = self.spine(x, y, z) {
            return found;
        }
        (self.soft(x + 2.5 * wobble, y + 2.5 * self.warp.at(y + 500.0, x, z), z), 0)
    }

    /// Where the middle of the vertebral bodies is: the lumbar lordosis.
    fn spine_y(z: f32) -> f32 {
        let bend = (z - 85.0) / 90.0;
        28.0 + 13.0 * bend * bend
    }

    fn spine(&self, x: f32, y: f32, z: f32) -> Option<(Tissue, u8)> {
        let level = (z / LEVEL).floor();
        let up = z - level * LEVEL;
        let number = (5.0 - level).clamp(0.0, 5.0) as u8;
        let bone = |depth: f32, cortex: f32| {
            let hole = self.streaks.at(x * 1.7, y * 1.7, z * 1.7) > 0.72;
            let tissue = if depth < cortex {
                Tissue::Cortex
            } else if hole {
                Tissue::Fat
            } else {
                Tissue::Marrow
            };
            Some((tissue, number))
        };
        let (side, y) = (x.abs(), y - Self::spine_y(z));
        // Lower vertebrae are wider; all are narrowest half-way up.
        let scale = 1.0 + 0.03 * (4.0 - level);
        let [wide, deep] = [23.0 * scale, 16.5 * scale];
        if up < BODY {
            let waist = 0.90 + 0.10 * (2.0 * up / BODY - 1.0) * (2.0 * up / BODY - 1.0);
            // The back of the body is hollow where the canal passes.
            let hollow = ellipse(x, y - deep - 5.0, [13.0, 9.0]) < 1.0;
            let r = ellipse(x, y, [wide * waist, deep * waist]).sqrt();
            if r < 1.0 && !hollow {
                let depth = ((1.0 - r) * deep).min(up).min(BODY - up);
                return bone(depth, 1.6);
            }
        } else {
            let r = ellipse(x, y, [wide * 1.04, deep * 1.04]).sqrt();
            if r < 1.0 {
                return Some((if r < 0.62 { Tissue::Nucleus } else { Tissue::Annulus }, 0));
            }
        }
        let canal = ellipse(x, y - deep - 9.0, [12.0, 9.0]).sqrt();
        if canal < 1.0 {
            let nerve =
                ellipse(x, y - deep - 10.5, [6.5, 4.0]) < 1.0 && self.streaks.at(x * 2.5, y * 2.5, z * 0.15) > 0.0;
            let sac = ellipse(x, y - deep - 8.5, [10.0, 7.0]) < 1.0;
            return Some((
                if nerve {
                    Tissue::Nerve
                } else if sac {
                    Tissue::Fluid
                } else {
                    Tissue::Fat
                },
                0,
            ));
        }
        self.processes(side, y - deep, up).and_then(|depth| bone(depth, 1.4))
    }

    /// How deep inside of the arch and its processes a place is, `back` mm behind the body's middle line of the back.
    fn processes(&self, side: f32, back: f32, up: f32) -> Option<f32> {
        let slab = |least: f32, v: f32, most: f32| (v - least).min(most - v);
        let inside = |depths: [f32; 3]| depths.into_iter().fold(f32::INFINITY, f32::min);
        let parts = [
            // Pedicles, from the upper half of the body to the arch.
            inside([slab(10.0, side, 17.5), slab(-8.0, back, 16.0), slab(12.0, up, 25.0)]),
            // Laminae, which close the canal behind.
            inside([slab(-1.0, side, 17.0), slab(17.0 - 0.35 * side, back, 24.5 - 0.35 * side), slab(3.0, up, 21.0)]),
            // The spinous process, lower than its body.
            inside([slab(-3.6, side, 3.6), slab(22.0, back, 49.0 - 0.25 * (up - 8.0).abs()), slab(-1.0, up, 17.0)]),
            // Transverse processes.
            inside([
                slab(15.0, side, 43.0 - 0.2 * back.abs()),
                slab(7.0 + 0.12 * side, back, 13.0 + 0.12 * side),
                slab(12.0, up, 20.0),
            ]),
            // Joints between neighbours.
            inside([slab(13.0, side, 23.0), slab(14.0, back, 22.0), slab(-1.0, up, 9.0).max(slab(23.0, up, LEVEL))]),
        ];
        let depth = parts.into_iter().fold(f32::NEG_INFINITY, f32::max);
        (depth > 0.0).then_some(depth)
    }

    fn soft(&self, x: f32, y: f32, z: f32) -> Tissue {
        let [wide, deep] = self.trunk;
        // A trunk is no ellipse: flatter in front and behind.
        let (u, v) = ((x / wide).abs(), ((y - 4.0) / deep).abs());
        let outline = u * u * (0.4 + 0.6 * u) + v * v * (0.6 + 0.4 * v);
        if outline > 1.0 {
            let table = y - (deep + 11.0) + 0.0007 * x * x;
            return if (0.0..3.0).contains(&table) && x.abs() < 165.0 { Tissue::Table } else { Tissue::Air };
        }
        let side = x.abs();
        let spine = Self::spine_y(z);
        if outline > 0.955 {
            return Tissue::Skin;
        }
        let back_muscle = ellipse(side - 31.0, y - spine - 42.0, [27.0, 18.0 + 0.02 * z]);
        if back_muscle < 1.0 {
            return if self.streaks.at(x, y, z * 0.3) > 0.52 { Tissue::Fat } else { Tissue::Muscle };
        }
        if outline > 0.68 + 0.10 * (y / deep) * f32::from(u8::from(y < 0.0)) {
            return Tissue::Fat;
        }
        let muscles = [
            ellipse(side - 40.0, y - spine - 1.0, [15.0 + 0.05 * (150.0 - z), 18.0 + 0.04 * (150.0 - z)]),
            ellipse(side - 68.0, y - spine - 18.0, [19.0, 9.0]),
        ];
        if outline > 0.56 || muscles.iter().any(|&r| r < 1.0) {
            return Tissue::Muscle;
        }
        let aorta = ellipse(x - 11.0, y - spine + 28.0, [9.5, 9.5]).sqrt();
        if aorta < 1.0 {
            let plaque = aorta > 0.85 && self.streaks.at(x + y, y - x, z * 0.5) > 0.45;
            return if plaque { Tissue::Plaque } else { Tissue::Blood };
        }
        if ellipse(x + 16.0, y - spine + 26.0, [12.0, 8.5]) < 1.0 {
            return Tissue::Blood;
        }
        let kidney = ellipsoid([side, y, z], [62.0, spine - 6.0, 128.0], [25.0, 21.0, 48.0]);
        if kidney < 1.0 {
            // Fat in its middle, where the vessels enter.
            let sinus = ellipsoid([side, y, z], [54.0, spine - 9.0, 128.0], [11.0, 9.0, 24.0]);
            return if sinus < 1.0 { Tissue::Fat } else { Tissue::Kidney };
        }
        if ellipsoid([x, y, z], [-78.0, -22.0, 175.0], [58.0, 52.0, 78.0]) < 1.0 {
            return Tissue::Liver;
        }
        if outline < 0.50 && y < spine - 34.0 {
            let loops = self.bowel.at(x, y, z);
            if loops.abs() < 0.30 {
                return Tissue::Fat;
            }
            // Gas rises to the front.
            let gas = loops > 0.42
                && self.bowel.at(x, y + 9.0, z) > 0.30
                && (hash(self.seed, 7, 7, 7) & 1 == 0 || loops > 0.5);
            return if gas { Tissue::Gas } else { Tissue::Bowel };
        }
        Tissue::Fat
    }
}
