//! Changes to crops that keep their label true: where their pixels come from ([`Warp`]), and what becomes of grey values and
//! colours ([`Tone`]). For training folds only; validation sees images as they are.

use super::TrainError;
use super::random::{below, gaussian, unit};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How crops are changed, each amount drawn anew for each crop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Augmentation {
    /// Mirrored left to right, top to bottom, both or neither.
    pub flips: bool,
    /// Turned by a multiple of 90°; with flips all eight symmetries of the square.
    pub quarter_turns: bool,
    /// Turned by up to this many degrees either way.
    pub rotation: f32,
    /// A random part is enlarged to the crop: its sides are at least this share of the crop's, in (0, 1]; 1 for none.
    pub zoom: f32,
    /// Elastic deformation: the standard deviation in pixels of the displacements at the knots of a grid, between which
    /// cubic B-splines interpolate.
    pub elastic: f32,
    /// Pixels between the knots.
    pub elastic_spacing: usize,
    /// Largest brightness shift, a fraction of the bounds' width.
    pub brightness: f32,
    /// Largest relative change of contrast about mid-grey.
    pub contrast: f32,
    /// Largest relative change of saturation, of images in colour.
    pub saturation: f32,
    /// Largest turn of the hue in degrees, of images in colour.
    pub hue: f32,
    /// Largest curvature of the tone curve v + g·v·(1 − v), below 1.
    pub gamma: f32,
    /// Largest standard deviation of added noise, a fraction of the bounds' width.
    pub noise: f32,
}

impl Augmentation {
    /// Crops as they are.
    pub const NONE: Self = Self {
        flips: false,
        quarter_turns: false,
        rotation: 0.0,
        zoom: 1.0,
        elastic: 0.0,
        elastic_spacing: 32,
        brightness: 0.0,
        contrast: 0.0,
        saturation: 0.0,
        hue: 0.0,
        gamma: 0.0,
        noise: 0.0,
    };

    /// What a training does where nothing else is said.
    pub const USUAL: Self = Self {
        flips: true,
        quarter_turns: true,
        brightness: 0.1,
        contrast: 0.25,
        gamma: 0.3,
        noise: 0.04,
        ..Self::NONE
    };

    /// Says what is out of range.
    ///
    /// # Errors
    /// If an amount is.
    pub fn check(&self) -> Result<(), TrainError> {
        let ranges = [
            ("rotation", self.rotation, 0.0, 180.0),
            ("zoom", self.zoom, 0.05, 1.0),
            ("elastic", self.elastic, 0.0, 200.0),
            ("brightness", self.brightness, 0.0, 1.0),
            ("contrast", self.contrast, 0.0, 1.0),
            ("saturation", self.saturation, 0.0, 1.0),
            ("hue", self.hue, 0.0, 180.0),
            ("gamma", self.gamma, 0.0, 0.99),
            ("noise", self.noise, 0.0, 1.0),
        ];
        for (name, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(TrainError::field(
                    format!("augmentation.{name}"),
                    format!("{value}: use {least} to {most}"),
                ));
            }
        }
        if !(4..=1024).contains(&self.elastic_spacing) {
            let found = self.elastic_spacing;
            return Err(TrainError::field("augmentation.elastic-spacing", format!("{found}: use 4 to 1024 pixels")));
        }
        Ok(())
    }
}

impl Default for Augmentation {
    /// None: a table in a file turns on what it names.
    fn default() -> Self {
        Self::NONE
    }
}

/// Where the pixels of one crop come from.
pub(super) struct Warp {
    side: usize,
    symmetry: u32,
    /// Rows of the matrix that turns and shrinks about the centre; `None` where pixels stay on the grid.
    matrix: Option<[[f32; 2]; 2]>,
    /// Moves the part that is enlarged within the crop, in pixels.
    shift: [f32; 2],
    knots: Option<Knots>,
}

/// Displacements at the knots of a grid, down and to the right.
struct Knots {
    spacing: f32,
    across: usize,
    moves: Vec<[f32; 2]>,
}

impl Warp {
    /// One of a crop of `side` × `side` pixels.
    pub fn draw(augmentation: &Augmentation, side: usize, rng: &mut ChaCha8Rng) -> Self {
        // Bit 0 transposes, bits 1 and 2 mirror.
        let symmetry = match (augmentation.flips, augmentation.quarter_turns) {
            (true, true) => below(rng, 8) as u32,
            (true, false) => 2 * below(rng, 4) as u32,
            (false, true) => [0, 3, 6, 5][below(rng, 4)],
            (false, false) => 0,
        };
        let mut jitter = |most: f32| if most > 0.0 { most * (2.0 * unit(rng) - 1.0) } else { 0.0 };
        let angle = jitter(augmentation.rotation).to_radians();
        let (mut scale, mut shift) = (1.0, [0.0; 2]);
        if augmentation.zoom < 1.0 {
            scale = 1.0 - (1.0 - augmentation.zoom) * unit(rng);
            // Between the centres of the outermost pixels, so that nothing is read from beyond them.
            let room = (1.0 - scale) * (side as f32 - 1.0) / 2.0;
            shift = [0; 2].map(|_| room * (2.0 * unit(rng) - 1.0));
        }
        let turned = angle != 0.0 || scale != 1.0;
        let (sin, cos) = angle.sin_cos();
        let matrix = turned.then_some([[scale * cos, -scale * sin], [scale * sin, scale * cos]]);
        let knots = (augmentation.elastic > 0.0).then(|| {
            let spacing = augmentation.elastic_spacing;
            let across = side / spacing + 4;
            let moves = (0..across * across).map(|_| [0; 2].map(|_| augmentation.elastic * gaussian(rng))).collect();
            Knots { spacing: spacing as f32, across, moves }
        });
        Self { side, symmetry, matrix, shift, knots }
    }

    /// Whether every pixel comes from one pixel.
    pub fn on_grid(&self) -> bool {
        self.matrix.is_none() && self.knots.is_none()
    }

    /// Where pixel (row, column) of the crop comes from, in pixels of the crop as it was cut, if [`Self::on_grid`].
    pub fn pixel(&self, row: usize, column: usize) -> [usize; 2] {
        let (r, c) = if self.symmetry & 1 == 0 { (row, column) } else { (column, row) };
        let r = if self.symmetry & 2 == 0 { r } else { self.side - 1 - r };
        let c = if self.symmetry & 4 == 0 { c } else { self.side - 1 - c };
        [r, c]
    }

    /// The same between pixels.
    pub fn point(&self, row: usize, column: usize) -> [f32; 2] {
        let [r, c] = self.pixel(row, column).map(|v| v as f32);
        let mut point = [r, c];
        if let Some(m) = self.matrix {
            let centre = (self.side as f32 - 1.0) / 2.0;
            let (y, x) = (r - centre, c - centre);
            let at = |row: [f32; 2], shift: f32| row[0] * y + row[1] * x + centre + shift;
            point = [at(m[0], self.shift[0]), at(m[1], self.shift[1])];
        }
        if let Some(knots) = &self.knots {
            let [down, right] = knots.at(r, c);
            point = [point[0] + down, point[1] + right];
        }
        point
    }
}

impl Knots {
    fn at(&self, row: f32, column: f32) -> [f32; 2] {
        let split = |v: f32| {
            let v = v / self.spacing;
            (v.floor() as usize, spline(v - v.floor()))
        };
        let ((top, down), (left, right)) = (split(row), split(column));
        let mut sum = [0.0; 2];
        for (i, wi) in down.iter().enumerate() {
            for (j, wj) in right.iter().enumerate() {
                let row = (top + i).min(self.across - 1);
                let knot = self.moves[row * self.across + (left + j).min(self.across - 1)];
                sum[0] += wi * wj * knot[0];
                sum[1] += wi * wj * knot[1];
            }
        }
        sum
    }
}

/// The four cubic B-splines that are not 0 at `t` between two knots.
fn spline(t: f32) -> [f32; 4] {
    let u = 1.0 - t;
    [
        u * u * u / 6.0,
        (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0,
        (3.0 * u * u * u - 6.0 * u * u + 4.0) / 6.0,
        t * t * t / 6.0,
    ]
}

/// What becomes of the values of one crop.
pub(super) struct Tone {
    contrast: f32,
    brightness: f32,
    gamma: f32,
    noise: f32,
    colour: Option<[[f32; 3]; 3]>,
}

impl Tone {
    pub fn draw(augmentation: &Augmentation, rng: &mut ChaCha8Rng) -> Self {
        let mut jitter = |most: f32| if most > 0.0 { most * (2.0 * unit(rng) - 1.0) } else { 0.0 };
        let contrast = 1.0 + jitter(augmentation.contrast);
        let brightness = jitter(augmentation.brightness);
        let gamma = jitter(augmentation.gamma);
        let noise = jitter(augmentation.noise).abs();
        let (saturation, hue) = (1.0 + jitter(augmentation.saturation), jitter(augmentation.hue).to_radians());
        let colour = (saturation != 1.0 || hue != 0.0).then(|| chroma(saturation, hue));
        Self { contrast, brightness, gamma, noise, colour }
    }

    /// Changes `values`, `[channels, pixels]` in [0, 1].
    pub fn apply(&self, values: &mut [f32], channels: usize, rng: &mut ChaCha8Rng) {
        if let (3, Some(m)) = (channels, &self.colour) {
            let pixels = values.len() / 3;
            for i in 0..pixels {
                let rgb = [values[i], values[i + pixels], values[i + 2 * pixels]];
                for (c, row) in m.iter().enumerate() {
                    values[i + c * pixels] = row[0] * rgb[0] + row[1] * rgb[1] + row[2] * rgb[2];
                }
            }
        }
        for value in values {
            let v = ((*value - 0.5) * self.contrast + 0.5 + self.brightness).clamp(0.0, 1.0);
            let v = v + self.gamma * v * (1.0 - v);
            let v = if self.noise > 0.0 { v + self.noise * gaussian(rng) } else { v };
            *value = v.clamp(0.0, 1.0);
        }
    }
}

/// Scales the two colour-difference axes of YIQ by `saturation` and turns them by `hue`; greys stay.
fn chroma(saturation: f32, hue: f32) -> [[f32; 3]; 3] {
    const TO_YIQ: [[f32; 3]; 3] =
        [[0.299, 0.587, 0.114], [0.595_716, -0.274_453, -0.321_263], [0.211_456, -0.522_591, 0.311_135]];
    const TO_RGB: [[f32; 3]; 3] = [[1.0, 0.956_3, 0.621_0], [1.0, -0.272_1, -0.647_4], [1.0, -1.107_0, 1.704_6]];
    let (sin, cos) = hue.sin_cos();
    let turn = [[1.0, 0.0, 0.0], [0.0, saturation * cos, -saturation * sin], [0.0, saturation * sin, saturation * cos]];
    let product = |a: &[[f32; 3]; 3], b: &[[f32; 3]; 3]| {
        std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
    };
    product(&TO_RGB, &product(&turn, &TO_YIQ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn splines_sum_to_one_and_rotations_keep_distances() {
        for t in [0.0, 0.25, 0.5, 0.99] {
            assert!((spline(t).iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let warp = Warp::draw(&Augmentation { rotation: 90.0, ..Augmentation::NONE }, 33, &mut rng);
        let (a, b) = (warp.point(3, 30), warp.point(20, 7));
        let distance = ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)).sqrt();
        assert!((distance - (17f32.powi(2) + 23f32.powi(2)).sqrt()).abs() < 1e-3, "{distance}");
        // The centre stays.
        let centre = warp.point(16, 16);
        assert!((centre[0] - 16.0).abs() < 1e-4 && (centre[1] - 16.0).abs() < 1e-4);
    }

    #[test]
    fn a_zoom_stays_inside_and_has_its_size() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..200 {
            let warp = Warp::draw(&Augmentation { zoom: 0.5, ..Augmentation::NONE }, 64, &mut rng);
            if warp.on_grid() {
                continue;
            }
            let (a, b) = (warp.point(0, 0), warp.point(63, 63));
            let side = (b[0] - a[0]) / 63.0;
            assert!((0.499..=1.0).contains(&side), "{side}");
            assert!(a.iter().all(|&v| v >= -0.01) && b.iter().all(|&v| v <= 63.01), "{a:?} {b:?}");
        }
    }

    #[test]
    fn flips_do_not_turn_and_turns_do_not_mirror() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let flip = Warp::draw(&Augmentation { flips: true, ..Augmentation::NONE }, 8, &mut rng);
            assert_eq!(flip.symmetry & 1, 0);
            let turn = Warp::draw(&Augmentation { quarter_turns: true, ..Augmentation::NONE }, 8, &mut rng);
            // The determinant of the linear part: a turn has 1.
            let [o, down, right] = [turn.pixel(0, 0), turn.pixel(1, 0), turn.pixel(0, 1)].map(|p| p.map(|v| v as i32));
            let (d, r) = ([down[0] - o[0], down[1] - o[1]], [right[0] - o[0], right[1] - o[1]]);
            assert_eq!(d[0] * r[1] - d[1] * r[0], 1);
            seen.insert(turn.symmetry);
        }
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn greys_stay_when_hue_and_saturation_change() {
        let m = chroma(1.7, 1.0);
        for row in m {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 2e-3, "{row:?}");
        }
        let same = chroma(1.0, 0.0);
        assert!((0..3).all(|i| (0..3).all(|j| (same[i][j] - f32::from(u8::from(i == j))).abs() < 2e-3)));
    }
}
