//! The gradient of a convolution's weights: scalar products of the output's gradient with the shifted input, tile by tile,
//! without a matrix of patches.
//!
//! How the sum is cut depends on the shapes alone, and its pieces are added in the order of the image, so that the result
//! does not depend on the number of threads.

use super::super::direct::Images;
use super::super::geometry::Geometry;
use super::super::lanes::Instructions;
use super::super::source::{Frame, Part};
use super::products::{Products, STEP};
use rayon::prelude::*;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Channels of either side that one job multiplies at most.
const BLOCK: usize = 64;
/// A tile of both sides stays within this many floats where it can: the second-level cache.
const TILE_FLOATS: usize = 128 * 1024;
/// Jobs that a gradient is cut into, if it can be.
const JOBS: usize = 16;
/// Floats of the pieces that are added up in the end, at most.
const PIECES: usize = 1 << 22;

thread_local! {
    static SCRATCH: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// Cuts `0..n` into even parts of at most `most`.
fn parts(n: usize, most: usize) -> Vec<Range<usize>> {
    let count = n.div_ceil(most).max(1);
    (0..count).map(|i| i * n / count..(i + 1) * n / count).collect()
}

/// The gradient of a convolution's weights, `[outputs, channels, kernel rows, kernel columns]`, from the images that went in
/// and the gradients of what came out. For one group.
pub(super) fn weight_gradient<'p, 'q>(
    geometry: Geometry,
    [outputs, channels]: [usize; 2],
    with: Instructions,
    images: &Images<impl Fn(usize) -> Vec<Part<'p>> + Sync>,
    gradients: &Images<impl Fn(usize) -> Vec<Part<'q>> + Sync>,
    out: &mut [MaybeUninit<f32>],
) {
    let taps_count = geometry.taps();
    assert_eq!(out.len(), outputs * channels * taps_count);
    let [height, width] = gradients.size;
    let (of_outputs, of_channels) = (parts(outputs, BLOCK), parts(channels, BLOCK));
    let widest = |parts: &[Range<usize>]| parts.iter().map(Range::len).max().unwrap_or(0);
    let (most_outputs, most_channels) = (widest(&of_outputs), widest(&of_channels));
    let frames = |rows: usize| {
        let (of_image, taps) = Frame::forward(&geometry, [rows, width]);
        // The gradient at the same pitch, zeros in the columns that the kernel reaches into.
        let of_gradient = Frame::plain([rows, width], [0, of_image.pitch - width]);
        (of_image, taps, of_gradient)
    };
    let floats = |rows: usize| {
        let (of_image, _, of_gradient) = frames(rows);
        of_image.floats(most_channels) + of_gradient.floats(most_outputs)
    };
    let mut rows = 1;
    while rows < height && floats(rows + 1) <= TILE_FLOATS {
        rows += 1;
    }
    let bands = height.div_ceil(rows).max(1);
    rows = height.div_ceil(bands);
    let (of_image, taps, of_gradient) = frames(rows);
    let tiles = gradients.batch * bands;
    let blocks = of_outputs.len() * of_channels.len();
    let portions = JOBS.div_ceil(blocks).min(PIECES / out.len().max(1)).clamp(1, tiles.max(1));
    // Small tiles are taken together.
    let together = (TILE_FLOATS / floats(rows)).clamp(1, tiles.div_ceil(portions));
    let length = ((rows - 1) * of_image.pitch + width).next_multiple_of(STEP);

    // Portion by portion, block by block; a block's gradient lies together.
    let job = |job: usize| -> Vec<f32> {
        let (portion, block) = (job / blocks, job % blocks);
        let (o, c) = (&of_outputs[block / of_channels.len()], &of_channels[block % of_channels.len()]);
        let across = c.len() * taps_count;
        let mut sums = vec![0f32; o.len() * across];
        let starts: Vec<usize> = (0..c.len())
            .flat_map(|c| taps.iter().map(move |tap| (c, tap)))
            .map(|(c, tap)| c * of_image.plane + tap.at)
            .collect();
        SCRATCH.with_borrow_mut(|[source, lines]| {
            let steps = [of_gradient.floats(o.len()), of_image.floats(c.len())];
            prepare(lines, together * steps[0]);
            prepare(source, together * steps[1]);
            let (mut tile, end) = (portion * tiles / portions, (portion + 1) * tiles / portions);
            while tile < end {
                let segments = together.min(end - tile);
                for (i, tile) in (tile..tile + segments).enumerate() {
                    let (n, top) = (tile / bands, tile % bands * rows);
                    let origin = [
                        (top * geometry.stride[0]) as isize - geometry.padding[0][0] as isize,
                        -(geometry.padding[1][0] as isize),
                    ];
                    let (lines, source) =
                        (&mut lines[i * steps[0]..][..steps[0]], &mut source[i * steps[1]..][..steps[1]]);
                    of_image.fill(with, source, &(images.parts)(n), c.clone(), images.size, origin);
                    of_gradient.fill(with, lines, &(gradients.parts)(n), o.clone(), [height, width], [top as isize, 0]);
                }
                let plane = of_gradient.plane;
                let count = o.len();
                let products = Products { lines, count, plane, source, rows: &starts, length, segments, steps, across };
                products.run(with, &mut sums);
                tile += segments;
            }
        });
        sums
    };
    let pieces: Vec<Vec<f32>> = (0..portions * blocks).into_par_iter().with_max_len(1).map(job).collect();
    out.par_chunks_mut(channels * taps_count).enumerate().for_each(|(output, out)| {
        let Some(row) = of_outputs.iter().position(|o| o.contains(&output)) else { return };
        for (column, c) in of_channels.iter().enumerate() {
            let block = row * of_channels.len() + column;
            let across = c.len() * taps_count;
            let from = (output - of_outputs[row].start) * across;
            let out = &mut out[c.start * taps_count..c.end * taps_count];
            for (i, out) in out.iter_mut().enumerate() {
                let sum = (0..portions).map(|portion| pieces[portion * blocks + block][from + i]);
                out.write(sum.fold(0.0, |a, b| a + b));
            }
        }
    });
}

/// Room for `floats`, zeros where [`Frame::fill`] does not write: products read it, and must not meet what is no number
/// there.
fn prepare(source: &mut Vec<f32>, floats: usize) {
    source.clear();
    source.resize(floats, 0.0);
}

#[cfg(test)]
mod tests {
    use super::super::super::source::whole_images;
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// On every processor, in double precision; the padding of tiles is not read where it is no number.
    #[test]
    fn the_gradient_is_what_it_is_defined_as() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let cases = [
            ([3, 3], [1, 1], [1, 1], [[1, 1], [1, 1]], [3, 5], [13, 17]),
            ([1, 1], [1, 1], [1, 1], [[0, 0], [0, 0]], [16, 1], [32, 40]),
            ([3, 3], [2, 2], [1, 1], [[1, 1], [1, 1]], [5, 6], [12, 11]),
            ([2, 2], [2, 2], [1, 1], [[0, 0], [0, 0]], [4, 7], [10, 8]),
            ([3, 3], [1, 1], [1, 1], [[0, 0], [0, 0]], [70, 65], [9, 9]),
            ([3, 5], [1, 2], [2, 1], [[2, 0], [1, 3]], [3, 4], [20, 33]),
            ([3, 3], [1, 1], [1, 1], [[1, 1], [1, 1]], [24, 24], [40, 260]),
        ];
        for (kernel, stride, dilation, padding, [channels, outputs], size) in cases {
            let geometry = Geometry { kernel, stride, dilation, padding };
            let of_output = [geometry.output(0, size[0]), geometry.output(1, size[1])];
            let mut random = |n: usize| (0..n).map(|_| rng.random_range(-1.0f32..1.0)).collect::<Vec<_>>();
            let x = random(2 * channels * size[0] * size[1]);
            let gradient = random(2 * outputs * of_output[0] * of_output[1]);
            let mut expected = vec![0f64; outputs * channels * geometry.taps()];
            for (i, &g) in gradient.iter().enumerate() {
                let (row, column) = (i / of_output[1] % of_output[0], i % of_output[1]);
                let (n, o) = (i / (outputs * of_output[0] * of_output[1]), i / (of_output[0] * of_output[1]) % outputs);
                for tap in 0..geometry.taps() {
                    let place = |axis: usize, at: usize, k: usize| {
                        (at * stride[axis] + k * dilation[axis])
                            .checked_sub(padding[axis][0])
                            .filter(|&p| p < size[axis])
                    };
                    let (y, x_at) = (place(0, row, tap / kernel[1]), place(1, column, tap % kernel[1]));
                    let (Some(y), Some(x_at)) = (y, x_at) else { continue };
                    for c in 0..channels {
                        let value = x[((n * channels + c) * size[0] + y) * size[1] + x_at];
                        expected[(o * channels + c) * geometry.taps() + tap] += f64::from(g) * f64::from(value);
                    }
                }
            }
            let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            for with in Instructions::available() {
                // What an earlier gradient left behind counts for nothing.
                rayon::broadcast(|_| SCRATCH.with_borrow_mut(|all| all.iter_mut().for_each(|of| of.fill(f32::NAN))));
                let mut found = vec![MaybeUninit::new(f32::NAN); expected.len()];
                let (x, gradient) = (whole_images(&x, channels, size), whole_images(&gradient, outputs, of_output));
                weight_gradient(geometry, [outputs, channels], with, &x, &gradient, &mut found);
                for (found, expected) in found.iter().zip(&expected) {
                    // SAFETY: initialised above.
                    #[allow(unsafe_code)]
                    let found = f64::from(unsafe { found.assume_init() });
                    assert!(
                        (found - expected).abs() <= 1e-5 * largest,
                        "{with:?} {geometry:?}: {found} for {expected}"
                    );
                }
            }
        }
    }
}
