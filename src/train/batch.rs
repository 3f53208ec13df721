//! Batches of augmented crops, prepared on a thread of their own while the network learns. A batch depends on the
//! recipe, the data and its step alone.

use super::augment::{Augmentation, Tone, Warp};
use super::random::{below, permutation, stream as random_stream};
use super::{Recipe, Source};
use crate::data::synthetic::MembranesConfig;
use crate::data::{Case, IGNORE};
use rand_chacha::ChaCha8Rng;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Uses of the seed that must not share numbers.
const CROPS: u64 = 0x5EED_0000_0000_0000;
const ORDER: u64 = 0x5EED_0000_0000_0001;

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
    /// `[count, 1, output, output]`: the class index; 0 where it is to be ignored.
    pub targets: Vec<f32>,
    /// `[count, 1, output, output]`: 0 where the label is to be ignored, else 1.
    pub weights: Vec<f32>,
}

impl Batch {
    /// The batch of `step`. Cases come in a new random order each time that all have been shown.
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
        let classes = recipe.network.outputs.max(2);
        let mut order: Option<(u64, Vec<usize>)> = None;
        for item in 0..recipe.batch {
            let index = (step * recipe.batch + item) as u64;
            let mut rng = random_stream(recipe.seed, CROPS, index);
            match source {
                Source::Cases(cases) => {
                    let (pass, place) = (index / cases.len() as u64, (index % cases.len() as u64) as usize);
                    let known = order.take().filter(|(p, _)| *p == pass);
                    let (_, shuffled) = order.insert(known.unwrap_or_else(|| {
                        (pass, permutation(cases.len(), &mut random_stream(recipe.seed, ORDER, pass)))
                    }));
                    let case = &cases[shuffled[place]];
                    let top = below(&mut rng, case.image.height.saturating_sub(output) + 1) as isize;
                    let left = below(&mut rng, case.image.width.saturating_sub(output) + 1) as isize;
                    let margin = ((input - output) / 2) as isize;
                    batch.push(case, [top - margin, left - margin], classes, &recipe.augmentation, &mut rng);
                }
                Source::Synthetic { config, seed, .. } => {
                    let config = MembranesConfig { size: input.max(16), slices: 1, ..config.as_ref().clone() };
                    let case = config.section(seed.wrapping_add(index)).case("");
                    batch.push(&case, [0, 0], classes, &recipe.augmentation, &mut rng);
                }
            }
        }
        batch
    }

    /// Adds the window of `case` whose first pixel is `origin`; outside the image it is mirrored.
    fn push(
        &mut self,
        case: &Case,
        origin: [isize; 2],
        classes: usize,
        augmentation: &Augmentation,
        rng: &mut ChaCha8Rng,
    ) {
        let (height, width) = (case.image.height, case.image.width);
        let n = self.input;
        let warp = Warp::draw(augmentation, n, rng);
        let tone = Tone::draw(augmentation, rng);
        let scale = 1.0 / case.bounds.width();
        let first = self.images.len();
        let at = |row: isize, column: isize| mirror(row, height) * width + mirror(column, width);
        // The case's pixel that is nearest to pixel (row, column) of the crop.
        let nearest = |row: usize, column: usize| {
            if warp.on_grid() {
                let [r, c] = warp.pixel(row, column);
                return at(origin[0] + r as isize, origin[1] + c as isize);
            }
            let [r, c] = warp.point(row, column);
            at(origin[0] + r.round() as isize, origin[1] + c.round() as isize)
        };
        for channel in 0..case.image.channels {
            let plane = &case.image.pixels[channel * height * width..(channel + 1) * height * width];
            for row in 0..n {
                for column in 0..n {
                    let v = if warp.on_grid() {
                        plane[nearest(row, column)]
                    } else {
                        let [r, c] = warp.point(row, column);
                        let (top, left) = (r.floor(), c.floor());
                        let (down, right) = (r - top, c - left);
                        let [i, j] = [origin[0] + top as isize, origin[1] + left as isize];
                        (1.0 - down) * ((1.0 - right) * plane[at(i, j)] + right * plane[at(i, j + 1)])
                            + down * ((1.0 - right) * plane[at(i + 1, j)] + right * plane[at(i + 1, j + 1)])
                    };
                    self.images.push((v - case.bounds.lower) * scale);
                }
            }
        }
        tone.apply(&mut self.images[first..], case.image.channels, rng);
        // A grey image feeds every channel of the network.
        for _ in case.image.channels..self.channels {
            self.images.extend_from_within(first..first + n * n);
        }
        let margin = (self.input - self.output) / 2;
        for row in 0..self.output {
            for column in 0..self.output {
                let place = nearest(row + margin, column + margin);
                let class = case.label.as_ref().map_or(IGNORE, |l| l.classes[place]);
                let counts = usize::from(class) < classes;
                self.targets.push(if counts { f32::from(class) } else { 0.0 });
                self.weights.push(if counts { 1.0 } else { 0.0 });
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
        let augmentation = Augmentation { flips: true, quarter_turns: true, ..Augmentation::NONE };
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
