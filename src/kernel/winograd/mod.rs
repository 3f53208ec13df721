//! 3×3 convolutions without stride by Winograd's F(2×2, 3×3) (Lavin and Gray, CVPR 2016): 2×2 results from 4×4 pixels take
//! 16 multiplications in place of 36. Its sums are those of the definition but for rounding, and a pixel that none of a
//! result's taps read has no part in it.

// Threads write to disjoint rectangles of one output.
#![allow(unsafe_code)]

mod cut;
mod product;
mod transform;

use super::direct::{Finish, Images, Output};
use super::geometry::Geometry;
use super::lanes::Instructions;
use super::rows::SLACK;
use super::source::{Frame, Part};
use super::team;
use cut::Cut;
use product::{Product, multiply};
use std::cell::RefCell;
use std::mem::MaybeUninit;
use transform::{Target, transform_pixels, transform_sums, transform_weights};

/// Elements of a transformed patch.
const PATCH: usize = 16;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Weights, and how they are read.
#[derive(Clone, Copy)]
pub(super) struct Filters<'a> {
    /// The nine of a result and a summed channel follow each other.
    pub weights: &'a [f32],
    /// Floats between the weights of neighbouring results, and of neighbouring summed channels.
    pub across: usize,
    pub along: usize,
    pub results: usize,
    pub summed: usize,
    /// Last before first: the way back.
    pub turned: bool,
}

/// Whether `geometry` is one that this computes, and faster than `direct` does. How many images there are plays no part: an
/// image in a batch has the logits that it has alone.
pub(super) fn pays(geometry: &Geometry, [summed, results]: [usize; 2], [height, width]: [usize; 2]) -> bool {
    let plain = geometry.kernel == [3, 3] && geometry.stride == [1, 1] && geometry.dilation == [1, 1];
    // Few channels do not pay for the transforms of pixels, few pixels not for those of many weights.
    let patches = height.div_ceil(2) * width.div_ceil(2);
    plain && summed >= 8 && results >= 8 && (patches >= 32 || patches >= 16 && summed * results <= 1 << 14)
}

/// A multiple of a cache line that shares few places in the cache with its multiples.
fn odd_lines(floats: usize) -> usize {
    (floats.div_ceil(SLACK) | 1) * SLACK
}

/// Convolves images; result pixel [0, 0] is of the pixels from `origin` on. The result, `[batch, results, height, width]`
/// with `[height, width]` = `size`, is written to `out`.
pub(super) fn convolve<'p>(
    filters: &Filters<'_>,
    images: Images<impl Fn(usize) -> Vec<Part<'p>> + Sync>,
    (origin, size): ([isize; 2], [usize; 2]),
    with: Instructions,
    finish: Finish<'_>,
    out: &mut [MaybeUninit<f32>],
) {
    let Filters { results, summed, .. } = *filters;
    assert_eq!(out.len(), images.batch * results * size[0] * size[1]);
    let (block, transformed) = (with.block(), transform_weights(filters, with));
    let cut = Cut::new(size.map(|s| s.div_ceil(2)), images.batch, summed, results.div_ceil(block));
    let frame = Frame::plain([2 * cut.rows, 2 * cut.width], [2, 2]);
    // Each plane of patches ends with room for a whole register.
    let plane = odd_lines(cut.images * cut.rows * cut.width + SLACK);
    let (of_patch, of_sum) = (odd_lines(plane * summed), odd_lines(plane * block));
    let lengths = [frame.floats(1).next_multiple_of(SLACK), PATCH * of_patch + SLACK, PATCH * of_sum + SLACK];
    let output = Output { first: out.as_mut_ptr().cast(), add: finish.add };
    team::for_each(cut.jobs(), 1, |job| {
        let (of_job, tile, blocks) = cut.job(job);
        let pixels = tile.size[0] * tile.size[1];
        SCRATCH.with_borrow_mut(|scratch| {
            let needed = lengths.iter().sum::<usize>() + SLACK;
            scratch.resize(scratch.len().max(needed), 0.0);
            let aligned = scratch.as_ptr().align_offset(64).min(SLACK);
            let (source, rest) = scratch[aligned..].split_at_mut(lengths[0]);
            let (patches, rest) = rest.split_at_mut(lengths[1]);
            let sums = &mut rest[..lengths[2]];
            let at = [0, 1].map(|axis| origin[axis] + 2 * tile.at[axis] as isize);
            for (i, n) in of_job.clone().enumerate() {
                let parts = (images.parts)(n);
                for channel in 0..summed {
                    frame.fill(with, source, &parts, channel..channel + 1, images.size, at);
                    let to = &mut patches[channel * plane + i * pixels..];
                    // SAFETY: the frame has rows and columns for all patches of the tile and `SLACK` more floats, the
                    // planes are that far apart, and each has a register's room at its end.
                    unsafe { transform_pixels(with, source, frame.pitch, tile.size, to, of_patch) };
                }
            }
            for number in blocks {
                let first = number * block;
                let count = block.min(results - first);
                let product = Product {
                    patches,
                    plane,
                    of_patch,
                    of_sum,
                    length: of_job.len() * pixels,
                    summed,
                    weights: &transformed[number * PATCH * summed * block..][..PATCH * summed * block],
                };
                // SAFETY: patches and sums have room for whole registers of each plane, `block` of them in `sums`.
                unsafe { multiply(with, &product, sums) };
                for (i, n) in of_job.clone().enumerate() {
                    for result in 0..count {
                        let place = (n * results + first + result) * size[0] * size[1];
                        let at = [2 * tile.at[0], 2 * tile.at[1]];
                        let rest = [0, 1].map(|axis| (2 * tile.size[axis]).min(size[axis] - at[axis]));
                        let bias = finish.bias.get(first + result).copied().unwrap_or(0.0);
                        // SAFETY: the rectangle is within the output, whose length was checked, and this job's alone; a
                        // register read beyond the last sum is still in `sums`.
                        unsafe {
                            let (to, add) = output.at(place + at[0] * size[1] + at[1]);
                            let target =
                                Target { to, add, row: size[1], size: rest, bias, bounds: finish.activation.bounds() };
                            let from = &sums[result * plane + i * pixels..];
                            transform_sums(with, from, of_sum, tile.size, &target);
                        }
                    }
                }
            }
        });
    });
}
