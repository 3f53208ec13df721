//! Batches of augmented crops, prepared on a thread of their own while the network learns. A batch depends on the
//! recipe, the data and its step alone.

use super::{Augmentation, Recipe, Source};
use crate::data::synthetic::MembranesConfig;
use crate::data::{Case, IGNORE};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Crops and their targets on the host, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Number of crops.
    pub count: usize,
    /// Channels of the network.
    pub channels: usize,
    /// Height and width of the images.
    pub input: usize,
    /// Height and width of the targets.
    pub output: usize,
    /// `[count, channels, input, input]` in [0, 1].
    pub images: Vec<f32>,
    /// `[count, 1, output, output]`: 1 on the positive class.
    pub targets: Vec<f32>,
    /// `[count, 1, output, output]`: 0 where the label is to be ignored, else 1.
    pub weights: Vec<f32>,
}

impl Batch {
    /// The batch of `step`. Class 1 is the positive class.
    pub fn assemble(recipe: &Recipe, source: &Source, step: usize) -> Self {
        let (input, output, channels) = (recipe.input(), recipe.output(), recipe.network.channels);
        let mut batch = Self {
            count: recipe.batch,
            channels,
            input,
            output,
            images: Vec::with_capacity(recipe.batch * channels * input * input),
            targets: Vec::with_capacity(recipe.batch * output * output),
            weights: Vec::with_capacity(recipe.batch * output * output),
        };
        for item in 0..recipe.batch {
            let index = (step * recipe.batch + item) as u64;
            let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed ^ 0x5EED_0000_0000_0000);
            rng.set_stream(index);
            match source {
                Source::Cases(cases) => {
                    let case = &cases[below(&mut rng, cases.len())];
                    let top = below(&mut rng, case.image.height.saturating_sub(output) + 1) as isize;
                    let left = below(&mut rng, case.image.width.saturating_sub(output) + 1) as isize;
                    let margin = ((input - output) / 2) as isize;
                    batch.push(case, [top - margin, left - margin], &recipe.augmentation, &mut rng);
                }
                Source::Synthetic { config, seed, .. } => {
                    let config = MembranesConfig { size: input.max(16), slices: 1, ..config.as_ref().clone() };
                    let case = config.section(seed.wrapping_add(index)).case("");
                    batch.push(&case, [0, 0], &recipe.augmentation, &mut rng);
                }
            }
        }
        batch
    }

    /// Adds the window of `case` whose first pixel is `origin`; outside the image it is mirrored.
    fn push(&mut self, case: &Case, origin: [isize; 2], augmentation: &Augmentation, rng: &mut ChaCha8Rng) {
        let (height, width) = (case.image.height, case.image.width);
        let symmetry = if augmentation.flips { rng.next_u32() & 7 } else { 0 };
        let mut jitter = |most: f32| most * (2.0 * unit(rng) - 1.0);
        let contrast = 1.0 + jitter(augmentation.contrast);
        let brightness = jitter(augmentation.brightness);
        let gamma = jitter(augmentation.gamma);
        let noise = jitter(augmentation.noise).abs();
        let n = self.input;
        // Where pixel (row, column) of the crop lies in the case.
        let place = |row: usize, column: usize| {
            let (r, c) = if symmetry & 1 == 0 { (row, column) } else { (column, row) };
            let r = if symmetry & 2 == 0 { r } else { n - 1 - r };
            let c = if symmetry & 4 == 0 { c } else { n - 1 - c };
            mirror(origin[0] + r as isize, height) * width + mirror(origin[1] + c as isize, width)
        };
        let scale = 1.0 / case.bounds.width();
        let first = self.images.len();
        for channel in 0..case.image.channels {
            let plane = &case.image.pixels[channel * height * width..(channel + 1) * height * width];
            for row in 0..n {
                for column in 0..n {
                    let v = (plane[place(row, column)] - case.bounds.lower) * scale;
                    let v = ((v - 0.5) * contrast + 0.5 + brightness).clamp(0.0, 1.0);
                    let v = v + gamma * v * (1.0 - v);
                    let v = if noise > 0.0 { v + noise * gaussian(rng) } else { v };
                    self.images.push(v.clamp(0.0, 1.0));
                }
            }
        }
        // A grey image feeds every channel of the network.
        for _ in case.image.channels..self.channels {
            self.images.extend_from_within(first..first + n * n);
        }
        let margin = (self.input - self.output) / 2;
        for row in 0..self.output {
            for column in 0..self.output {
                let at = place(row + margin, column + margin);
                let class = case.label.as_ref().map_or(IGNORE, |l| l.classes[at]);
                self.targets.push(if class == 1 { 1.0 } else { 0.0 });
                self.weights.push(if class == IGNORE { 0.0 } else { 1.0 });
            }
        }
    }
}

/// Batches from `first` on, a few ahead of who takes them. The thread ends when the receiver is dropped.
pub(super) fn stream(recipe: Recipe, source: Source, first: usize, steps: usize) -> Receiver<Batch> {
    let (sender, receiver): (SyncSender<Batch>, _) = sync_channel(2);
    let work = move || {
        for step in first..steps {
            if sender.send(Batch::assemble(&recipe, &source, step)).is_err() {
                return;
            }
        }
    };
    // Without a thread the sender is dropped and the trainer says so.
    if let Err(error) = std::thread::Builder::new().name("batches".to_owned()).spawn(work) {
        log::error!("no thread for batches: {error}");
    }
    receiver
}

fn mirror(i: isize, n: usize) -> usize {
    let period = (2 * n as isize - 2).max(1);
    let i = i.rem_euclid(period);
    (i.min(period - i) as usize).min(n - 1)
}

fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

fn unit(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 / 16_777_216.0
}

/// The sum of four uniforms, of variance 1.
fn gaussian(rng: &mut ChaCha8Rng) -> f32 {
    let bits = rng.next_u64();
    let sum = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48);
    (sum as f32 / 65_535.0 - 2.0) * 1.732_050_8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::unet::UNetConfig;

    #[test]
    fn image_and_target_are_turned_alike() {
        // The image is its own label, so that every crop must equal its target.
        let mut section = MembranesConfig::sized(64).section(3);
        section.image = section.label.clone();
        let case = section.case("self");
        let augmentation = Augmentation { flips: true, ..Augmentation::NONE };
        let recipe = Recipe { batch: 16, crop: 32, augmentation, ..Recipe::new(UNetConfig::new(4, 2), 1) };
        let batch = Batch::assemble(&recipe, &Source::Cases(vec![case].into()), 5);
        for (image, target) in batch.images.iter().zip(&batch.targets) {
            assert_eq!(*image, 1.0 - target);
        }
        assert_eq!(batch.images.len(), 16 * 32 * 32);
    }

    #[test]
    fn unpadded_crops_carry_a_mirrored_margin() {
        let case = MembranesConfig::sized(64).section(3).case("small");
        let network = UNetConfig { depth: 1, base: 2, ..UNetConfig::ronneberger() };
        let recipe = Recipe { batch: 1, crop: 64, augmentation: Augmentation::NONE, ..Recipe::new(network, 1) };
        let batch = Batch::assemble(&recipe, &Source::Cases(vec![case.clone()].into()), 0);
        let margin = (batch.input - batch.output) / 2;
        assert_eq!((batch.output, margin), (64, recipe.network.margin()));
        for (row, column) in [(0usize, 0usize), (10, 63), (63, 5)] {
            let v = batch.images[(row + margin) * batch.input + column + margin];
            assert!((v - case.image.pixels[row * 64 + column] / 255.0).abs() < 1e-6);
        }
        let mirrored = batch.images[(margin - 2) * batch.input + margin];
        assert!((mirrored - case.image.pixels[2 * 64] / 255.0).abs() < 1e-6);
    }
}
