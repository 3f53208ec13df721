//! Images whose gradient does not fit into memory, in tiles that overlap. A network of convolutions and pools sees so far and
//! no farther: tiles that lie on its pooling grid and reach beyond their own pixels by that much give the logits of the whole.
//! Each pixel's logits are kept of one tile, each tile's gradient flows to all that it has read, and is computed after that
//! of the one before it ([`recomputed`]); so the gradient is that of the whole too.

use super::recompute::{Function, recomputed};
use super::unet::UNetConfig;
use super::{ModelError, memory::gibibytes};
use burn::tensor::Tensor;
use std::ops::Range;

/// How far a network sees.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reach {
    /// Its output is as large as its input, and a pixel of it depends on no more than the `halo` pixels around it, if tiles begin
    /// and end at multiples of `step`, of which `halo` is one. At the ends of the image it pads as it always does.
    Padded { step: usize, halo: usize },
    /// A U-Net whose convolutions do not pad.
    Valid(UNetConfig),
}

/// An image in tiles, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// Rows and columns of tiles.
    pub count: [usize; 2],
    /// Height and width of the largest, what it sees around its own pixels included.
    pub largest: [usize; 2],
    /// Pixels that a tile sees beyond its own.
    pub margin: usize,
    /// Bytes that the gradient takes in tiles, about.
    pub needed: u64,
    /// Bytes that the gradient would take as a whole, about.
    pub whole: u64,
    /// Bytes that it may take.
    pub memory: u64,
}

impl std::fmt::Display for Tiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ([rows, columns], [height, width]) = (self.count, self.largest);
        write!(
            f,
            "computed in {} tiles ({rows} rows of {columns}) of at most {width}×{height} pixels, of which {} on each side overlap: \
             as a whole the gradient would take {}, and {} may be used. Logits and gradients are those of the whole; it takes longer",
            rows * columns,
            self.margin,
            gibibytes(self.whole),
            gibibytes(self.memory),
        )
    }
}

/// One axis of a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    /// Of the network's input.
    read: Range<usize>,
    /// The first of its outputs that is kept.
    first: usize,
    /// How many are.
    kept: usize,
}

/// Which tiles.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    rows: Vec<Span>,
    columns: Vec<Span>,
    margin: usize,
}

/// Over `length` pixels of input, in tiles of whose output `core` pixels are kept.
fn spans(reach: &Reach, length: usize, core: usize) -> Vec<Span> {
    match reach {
        Reach::Padded { halo, .. } => (0..length)
            .step_by(core)
            .map(|start| {
                let end = (start + core).min(length);
                let read = start.saturating_sub(*halo)..(end + halo).min(length);
                Span { first: start - read.start, read, kept: end - start }
            })
            .collect(),
        Reach::Valid(unet) => {
            let outputs = length.saturating_sub(2 * unet.margin());
            let span = |start: usize| {
                let kept = core.min(outputs - start);
                // A size that the network takes; at the end, what is left of one.
                let end = if kept < core { length } else { (start + unet.input_size(core)).min(length) };
                Span { read: start..end, first: 0, kept }
            };
            (0..outputs).step_by(core).map(span).collect()
        }
    }
}

impl Plan {
    /// The tiles of an input of `size` pixels that read the fewest pixels in all, where none reads more than `most`; `None` if
    /// there are none.
    pub fn new(reach: &Reach, size: [usize; 2], most: u64) -> Option<Self> {
        let (step, margin) = match reach {
            Reach::Padded { step, halo } => (*step, *halo),
            Reach::Valid(unet) => (1 << unet.depth, unet.margin()),
        };
        let longest = |spans: &[Span]| spans.iter().map(|span| span.read.len()).max().unwrap_or(0);
        // For each number of tiles: the pixels kept, read by the largest, and by all.
        let choices = |length: usize| {
            let mut choices: Vec<[usize; 3]> = Vec::new();
            for count in 1..=length.div_ceil(step) {
                let core = length.div_ceil(count).next_multiple_of(step);
                if choices.last().is_none_or(|last| last[0] != core) {
                    let spans = spans(reach, length, core);
                    choices.push([core, longest(&spans), spans.iter().map(|span| span.read.len()).sum()]);
                }
            }
            choices
        };
        let [tall, wide] = size.map(choices);
        let mut best: Option<(usize, [usize; 2])> = None;
        for [height, rows, all_rows] in &tall {
            // The first that is narrow enough reads the least.
            let narrow = wide.iter().find(|[_, columns, _]| (rows * columns) as u64 <= most);
            if let Some([width, _, all_columns]) = narrow
                && best.is_none_or(|(cost, _)| all_rows * all_columns < cost)
            {
                best = Some((all_rows * all_columns, [*height, *width]));
            }
        }
        let (_, [height, width]) = best?;
        Some(Self { rows: spans(reach, size[0], height), columns: spans(reach, size[1], width), margin })
    }

    /// Rows and columns of tiles.
    pub fn count(&self) -> [usize; 2] {
        [self.rows.len(), self.columns.len()]
    }

    /// Height and width of the largest tile.
    pub fn largest(&self) -> [usize; 2] {
        [&self.rows, &self.columns].map(|spans| spans.iter().map(|span| span.read.len()).max().unwrap_or(0))
    }

    /// Pixels that a tile sees beyond its own.
    pub fn margin(&self) -> usize {
        self.margin
    }

    /// What `network` makes of `x`, tile by tile.
    ///
    /// # Errors
    /// Those of the network.
    pub fn run(&self, x: &Tensor<4>, network: &Function) -> Result<Tensor<4>, ModelError> {
        let band = |row: &Span| -> Result<Tensor<4>, ModelError> {
            let tile = |column: &Span| -> Result<Tensor<4>, ModelError> {
                let tile = x.clone().narrow(2, row.read.start, row.read.len());
                let tile = tile.narrow(3, column.read.start, column.read.len());
                let z = recomputed(tile, network)?;
                Ok(z.narrow(2, row.first, row.kept).narrow(3, column.first, column.kept))
            };
            Ok(Tensor::cat(self.columns.iter().map(tile).collect::<Result<_, _>>()?, 3))
        };
        Ok(Tensor::cat(self.rows.iter().map(band).collect::<Result<_, _>>()?, 2))
    }
}

/// The most pixels at which a gradient takes no more than `memory` bytes, of up to `all`; `bytes` says what it takes at so many.
pub(super) fn most_pixels(memory: u64, all: u64, bytes: impl Fn(u64) -> u64) -> u64 {
    let (mut fits, mut too_many) = (0, all + 1);
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        if bytes(middle) <= memory {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(spans: &[Span], first: usize, outputs: usize) {
        let mut next = first;
        for span in spans {
            assert_eq!(span.read.start + span.first, next, "{spans:?}");
            assert!(span.first + span.kept <= span.read.len());
            next += span.kept;
        }
        assert_eq!(next, first + outputs);
    }

    #[test]
    fn tiles_cover_each_pixel_once_lie_on_the_grid_and_keep_to_the_budget() {
        let reach = Reach::Padded { step: 16, halo: 96 };
        for (size, most) in [([2048, 2048], 1_300_000), ([1024, 512], 200_000), ([16, 4096], 10_000)] {
            let plan = Plan::new(&reach, size, most).unwrap();
            covered(&plan.rows, 0, size[0]);
            covered(&plan.columns, 0, size[1]);
            let [height, width] = plan.largest();
            assert!((height * width) as u64 <= most, "{plan:?}");
            for span in plan.rows.iter().chain(&plan.columns) {
                assert!(span.read.start.is_multiple_of(16) && span.read.end.is_multiple_of(16), "{span:?}");
            }
        }
        assert_eq!(Plan::new(&reach, [2048, 2048], 1_300_000).unwrap().count(), [2, 2]);
        // Smaller than its surroundings a tile cannot be.
        assert_eq!(Plan::new(&reach, [2048, 2048], 30_000), None);
    }

    #[test]
    fn tiles_of_unpadded_convolutions_are_of_sizes_that_the_network_takes() {
        let unet = UNetConfig { base: 2, ..UNetConfig::ronneberger() };
        let length = unet.input_size(700);
        let plan = Plan::new(&Reach::Valid(unet.clone()), [length, length], 200_000).unwrap();
        for spans in [&plan.rows, &plan.columns] {
            assert!(spans.len() > 1);
            covered(spans, 0, length - 2 * unet.margin());
            for span in spans {
                let output = span.read.len() - 2 * unet.margin();
                assert!(output >= span.kept && unet.input_size(output) == span.read.len(), "{span:?}");
            }
        }
    }

    #[test]
    fn the_largest_number_of_pixels_is_found() {
        assert_eq!(most_pixels(1000, 5000, |n| 3 * n), 333);
        assert_eq!(most_pixels(1000, 100, |n| 3 * n), 100);
        assert_eq!(most_pixels(2, 100, |n| 3 * n), 0);
    }
}
