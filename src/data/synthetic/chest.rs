//! A radiograph of a made-up chest, from the front: what each structure along the ray absorbs is summed, and white absorbs
//! most. Lungs with their vessels, ribs, clavicles, heart, spine, diaphragm and, where wished, an opacity with its mask.

use super::noise::{Field, grain, hash};
use crate::data::{DataError, Pixels, Stack};

/// What varies between chests.
struct Chest {
    /// Share of the opacity, 0 without one.
    opacity: f32,
    /// Its centre and radii.
    place: [f32; 4],
    heart: f32,
    tilt: f32,
}

/// A chest radiograph, 12 bits in 16, `size`² pixels; and with `opacity` the mask of a consolidation in one lung, else an
/// empty one.
///
/// # Errors
/// If it has no pixels.
pub fn chest_xray(seed: u64, size: usize, opacity: bool) -> Result<[Stack; 2], DataError> {
    let share = |n: i32| (hash(seed, n, 3, 5) >> 8) as f32 / 16_777_215.0;
    let side = if share(1) < 0.5 { -1.0 } else { 1.0 };
    let chest = Chest {
        opacity: if opacity { 0.55 + 0.25 * share(2) } else { 0.0 },
        place: [side * (0.38 + 0.1 * share(3)), 0.52 + 0.12 * share(4), 0.15 + 0.05 * share(5), 0.10 + 0.04 * share(6)],
        heart: 0.95 + 0.12 * share(7),
        tilt: 0.02 * (share(8) - 0.5),
    };
    let fields = Fields {
        vessels: [Field::new(seed ^ 0x81, 0.075), Field::new(seed ^ 0x82, 0.035)],
        cloud: Field::new(seed ^ 0x83, 0.09),
        muscle: Field::new(seed ^ 0x84, 0.35),
    };
    let mut pixels = Vec::with_capacity(size * size);
    let mut mask = Vec::with_capacity(size * size);
    for row in 0..size {
        for column in 0..size {
            // The middle of the picture is x = 0; its left edge, the patient's right, −1. y runs from 0 at the top to 1.
            let at = |n: usize| (n as f32 + 0.5) / size as f32;
            let (y, x) = (at(row), 2.0 * at(column) - 1.0);
            let (absorbed, consolidated) = chest.absorbed(x + chest.tilt * (y - 0.5), y, &fields);
            // Film saturates: a smooth shoulder instead of an exponential.
            let grey = 3900.0 * absorbed / (absorbed + 0.75);
            let quantum = 14.0 + 0.006 * grey;
            let noisy = grey + quantum * grain(seed ^ 0x85, column, row, 0);
            pixels.push(noisy.round().clamp(0.0, 4095.0) as u16);
            mask.push(u8::from(consolidated) * 255);
        }
    }
    let shape = [1, 1, size, size];
    Ok([Stack::new(shape, Pixels::U16(pixels.into()))?, Stack::new(shape, Pixels::U8(mask.into()))?])
}

struct Fields {
    vessels: [Field; 2],
    cloud: Field,
    muscle: Field,
}

/// 0 below `low`, 1 above `high`, smooth between.
fn step(low: f32, high: f32, v: f32) -> f32 {
    let t = ((v - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Squared distance from the centre of an ellipse in units of its radii.
fn ellipse(x: f32, y: f32, radii: [f32; 2]) -> f32 {
    let (u, v) = (x / radii[0], y / radii[1]);
    u * u + v * v
}

/// The length of a chord through a circle at `v` in units of its radius.
fn chord(v: f32) -> f32 {
    (1.0 - v * v).max(0.0).sqrt()
}

impl Chest {
    /// What a ray loses, and whether it passes through the opacity.
    fn absorbed(&self, x: f32, y: f32, fields: &Fields) -> (f32, bool) {
        let side = x.abs();
        // Shoulders above, trunk below, neck in the middle.
        let trunk = 0.96 - 0.05 * (y - 0.6) * (y - 0.6);
        let shoulder = step(0.0, 0.16, y - 0.22 * (side - 0.22).max(0.0));
        let neck = 0.75 * step(0.34, 0.12, side) * step(0.30, 0.1, y);
        let body = (step(trunk, trunk - 0.16, side) * shoulder).max(neck);
        let thickness = 0.75 + 0.35 * chord(side / 1.05);
        let muscle = 0.05 * fields.muscle.at(x, y, 0.0);
        let mut sum = body * (0.95 * thickness + muscle);
        // Heart: its long axis runs down to the patient's left, the right of the picture. The arch of the aorta above it.
        let [across, down] = [(0.5 * x - 0.050) / self.heart, (y - 0.655) / self.heart];
        let [long, short] = [0.80 * across + 0.60 * down, 0.80 * down - 0.60 * across];
        let heart = step(-0.06, 0.22, 1.0 - ellipse(long, short, [0.185, 0.140]));
        let vessels_above = step(-0.1, 0.5, 1.0 - ellipse(0.5 * x - 0.045, y - 0.375, [0.045, 0.055])).max(step(
            -0.1,
            0.5,
            1.0 - ellipse(0.5 * x - 0.012, y - 0.48, [0.072, 0.13]),
        ));
        let middle = heart.max(vessels_above);
        let lung = self.lung(x, y) * body * (1.0 - 0.86 * middle);
        sum -= 0.80 * lung * thickness;
        sum += 0.16 * middle * body;
        // Vessels spread from the hilum and thin out.
        let reach = ellipse(side - 0.20, y - 0.47, [1.0, 0.7]).sqrt();
        let ridge = |field: &Field| (1.0 - 3.2 * field.at(x, y, 0.0).abs()).max(0.0);
        let branches = 0.15 * ridge(&fields.vessels[0]) * step(0.50, 0.05, reach)
            + 0.07 * ridge(&fields.vessels[1]) * step(0.65, 0.1, reach);
        sum += lung * (branches + 0.22 * step(0.16, 0.02, reach));
        // The spine, with its discs; the windpipe in front of it.
        let discs = ((y * 17.0).fract() - 0.5).abs();
        sum += body * 0.12 * step(0.095, 0.060, side) * (0.80 + 0.20 * step(0.46, 0.38, discs));
        sum -= 0.15 * step(0.050, 0.022, (x + 0.008).abs()) * step(0.44, 0.38, y);
        sum += body * self.bones(x, y);
        let [cx, cy, rx, ry] = self.place;
        let cloud = 1.0 - ellipse(x - cx, y - cy, [rx, ry]) + 0.55 * fields.cloud.at(x, y, 0.0);
        let consolidated = self.opacity * lung * step(-0.1, 0.9, cloud);
        sum += 0.6 * consolidated * (0.85 + 0.15 * fields.vessels[1].at(x, y, 2.0));
        (sum.max(0.0) + 0.02, self.opacity > 0.0 && consolidated > 0.25 * self.opacity)
    }

    /// How much of a ray's way through the chest is lung: 0 to 1.
    fn lung(&self, x: f32, y: f32) -> f32 {
        let side = x.abs();
        let wall = 0.82 * chord(((y - 0.66) / 0.545).clamp(-1.0, 1.0));
        let inner = 0.10 + 0.04 * step(0.10, 0.02, (y - 0.45).abs());
        // Domes of the diaphragm; the liver lifts the right one, on the left of the picture.
        let dome = if x < 0.0 { 0.775 } else { 0.81 };
        let bow = (side - 0.42) / 0.42;
        let floor = dome + 0.115 * bow * bow;
        step(wall, wall - 0.07, side) * step(inner - 0.03, inner + 0.05, side) * step(floor + 0.012, floor - 0.012, y)
    }

    /// Ribs and clavicles.
    fn bones(&self, x: f32, y: f32) -> f32 {
        let side = x.abs();
        let mut sum = 0.0;
        for rib in 0..10 {
            let top = 0.115 + 0.068 * rib as f32;
            let reach = (0.80 * chord(((top + 0.10 - 0.66) / 0.60).clamp(-0.98, 0.98))).max(0.30);
            let t = (side - 0.06) / (reach - 0.06);
            if (0.0..=1.02).contains(&t) {
                // Behind: from the spine outwards, at first level, then down.
                let middle = top - 0.030 * t * (1.0 - t) * 4.0 * 0.6 + 0.135 * t * t * t;
                sum += 0.115 * tube((y - middle) / 0.0165) * (0.75 + 0.25 * t);
            }
            if rib < 7 && (0.34..=1.0).contains(&t) {
                // In front: from the side inwards and down, where they end in cartilage.
                let middle = top + 0.135 + 0.19 * (1.0 - t);
                sum += 0.075 * tube((y - middle) / 0.019) * step(0.34, 0.48, t);
            }
        }
        let clavicle = 0.185 - 0.10 * (side - 0.06) + 0.06 * side * side;
        if (0.06..0.72).contains(&side) {
            sum += 0.20 * tube((y - clavicle) / 0.021) * step(0.72, 0.66, side);
        }
        sum
    }
}

/// A bone across the ray, `v` radii from its axis: dense at its walls.
fn tube(v: f32) -> f32 {
    chord(v) - 0.55 * chord(v / 0.72) + 0.25 * chord(v / 0.72)
}
