//! Direct convolution over tiles and threads.

// Threads write to disjoint rectangles of one output.
#![allow(unsafe_code)]

use super::plan::{Geometry, Packed, UpPlan};
use super::rows::{Rows, SLACK, Target};
use super::source::{Order, Part, Tile};
use rayon::prelude::*;
use std::cell::RefCell;
use std::mem::MaybeUninit;

/// A tile's source stays within this many floats where it can, so that it is still in the second-level cache when the
/// last block of output channels reads it.
const SOURCE_FLOATS: usize = 96 * 1024;
/// A tile is at least this wide, if the image is: two or three registers.
const LEAST_WIDTH: usize = 48;

thread_local! {
    static SCRATCH: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// A float slice that threads write to, each to its own part.
#[derive(Clone, Copy)]
struct Output {
    first: *mut f32,
}
// SAFETY: see `convolve` and `up`: no two threads write to the same float, and nobody reads until all are done.
unsafe impl Send for Output {}
// SAFETY: the same.
unsafe impl Sync for Output {}

impl Output {
    /// The place `offset` floats on.
    ///
    /// # Safety
    /// It must be within the slice.
    unsafe fn at(&self, offset: usize) -> *mut f32 {
        unsafe { self.first.add(offset) }
    }
}

/// How an output is cut.
struct Cut {
    rows: usize,
    width: usize,
    /// Ranges of output channels that are computed apart, so that all threads have work on small images.
    groups: usize,
}

impl Cut {
    fn new(geometry: Geometry, packed: &Packed, batch: usize, [height, width]: [usize; 2]) -> Self {
        let floats = |rows: usize, width: usize| Order::new(geometry, rows, width).plane() * packed.channels;
        let mut tile = width;
        while tile > LEAST_WIDTH && floats(1, tile) > SOURCE_FLOATS {
            tile = tile.div_ceil(2).next_multiple_of(LEAST_WIDTH).min(tile - 1);
        }
        let mut rows = 1;
        while rows < height && floats(rows + 1, tile) <= SOURCE_FLOATS {
            rows += 1;
        }
        let threads = rayon::current_num_threads();
        // Even shares for the threads, and no last tile of one row.
        let across = batch * width.div_ceil(tile);
        let bands = height.div_ceil(rows).max(threads.div_ceil(across)).min(height);
        let bands = if across.is_multiple_of(threads) { bands } else { bands.next_multiple_of(threads).min(height) };
        rows = height.div_ceil(bands);
        let tiles = across * height.div_ceil(rows);
        let blocks = packed.outputs.div_ceil(packed.with.block());
        let groups = if tiles >= threads { 1 } else { threads.div_ceil(tiles).min(blocks) };
        Self { rows, width: tile, groups }
    }
}

/// Convolves a batch of images of `size` pixels. `image(n)` gives the parts of image n; the result,
/// `[batch, outputs, height, width]`, is written to `out`.
pub(super) fn convolve<'a>(
    geometry: Geometry,
    packed: &Packed,
    relu: bool,
    (batch, size): (usize, [usize; 2]),
    image: impl Fn(usize) -> Vec<Part<'a>> + Sync,
    out: &mut [MaybeUninit<f32>],
) {
    let [height, width] = [geometry.output(0, size[0]), geometry.output(1, size[1])];
    assert_eq!(out.len(), batch * packed.outputs * height * width);
    if out.is_empty() {
        return;
    }
    // A 1×1 convolution knows no rows: one long row has fewer ends.
    let pointwise = geometry.kernel == [1, 1] && geometry.stride == [1, 1] && geometry.padding == [[0; 2]; 2];
    let (size, [height, width]) =
        if pointwise { ([1, height * width], [1, height * width]) } else { (size, [height, width]) };
    let cut = Cut::new(geometry, packed, batch, [height, width]);
    let (down, across) = (height.div_ceil(cut.rows), width.div_ceil(cut.width));
    let block = packed.with.block();
    let blocks = packed.outputs.div_ceil(block).div_ceil(cut.groups);
    let output = Output { first: out.as_mut_ptr().cast() };
    (0..batch * down * across * cut.groups).into_par_iter().for_each(|job| {
        let (tile, group) = (job / cut.groups, job % cut.groups);
        let (n, tile) = (tile / (down * across), tile % (down * across));
        let [y, x] = [tile / across * cut.rows, tile % across * cut.width];
        let tile = Tile { y, x, rows: cut.rows.min(height - y), width: cut.width.min(width - x) };
        let outputs = group * blocks * block..((group + 1) * blocks * block).min(packed.outputs);
        if outputs.is_empty() {
            return;
        }
        SCRATCH.with_borrow_mut(|[source, _]| {
            let order = Order::new(geometry, tile.rows, tile.width);
            source.resize(source.len().max(order.plane() * packed.channels + SLACK), 0.0);
            order.fill(source, &image(n), size, tile);
            let taps = order.taps();
            let rows = Rows {
                source,
                plane: order.plane(),
                step: order.step(),
                taps: &taps,
                channels: packed.channels,
                weights: &packed.weights[outputs.start * packed.channels * taps.len()..],
                bias: &packed.bias[outputs.start..],
                relu,
                outputs: outputs.len(),
                rows: tile.rows,
                width: tile.width,
            };
            // SAFETY: tiles and channels of jobs do not overlap, and lie within the output, whose length was checked.
            unsafe {
                let first = output.at(((n * packed.outputs + outputs.start) * height + tile.y) * width + tile.x);
                rows.run(packed.with, Target { first, plane: height * width, row: width });
            }
        });
    });
}

/// The transposed convolution of `plan` of images `x`, `[batch, channels, height, width]`, into `out`,
/// `[batch, outputs, factor·height, factor·width]`.
pub(super) fn up(plan: &UpPlan, x: &[f32], batch: usize, [height, width]: [usize; 2], out: &mut [MaybeUninit<f32>]) {
    let UpPlan { factor, forward, .. } = plan;
    let taps = factor * factor;
    let (channels, outputs) = (forward.channels, forward.outputs / taps);
    assert_eq!(x.len(), batch * channels * height * width);
    assert_eq!(out.len(), batch * outputs * height * width * taps);
    let geometry = Geometry { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], padding: [[0; 2]; 2] };
    let output = Output { first: out.as_mut_ptr().cast() };
    let most = (SOURCE_FLOATS / (channels + forward.outputs).max(1)).saturating_sub(SLACK);
    let rows = (most / width.max(1)).clamp(1, height.max(1));
    let bands = height.div_ceil(rows);
    (0..batch * bands).into_par_iter().for_each(|job| {
        let (n, y) = (job / bands, job % bands * rows);
        let rows = rows.min(height - y);
        SCRATCH.with_borrow_mut(|[source, result]| {
            // Rows follow each other in memory: one long row.
            let pixels = rows * width;
            let order = Order::new(geometry, 1, pixels);
            source.resize(source.len().max(order.plane() * channels + SLACK), 0.0);
            result.resize(result.len().max(forward.outputs * pixels), 0.0);
            let values = &x[n * channels * height * width..][..channels * height * width];
            let tile = Tile { y: 0, x: y * width, rows: 1, width: pixels };
            order.fill(source, &[Part { values, mask: None, channels }], [1, height * width], tile);
            let rows_of_band = Rows {
                source,
                plane: order.plane(),
                step: order.step(),
                taps: &[0],
                channels,
                weights: &forward.weights,
                bias: &forward.bias,
                relu: false,
                outputs: forward.outputs,
                rows: 1,
                width: pixels,
            };
            // SAFETY: `result` is this thread's and long enough.
            unsafe {
                rows_of_band.run(forward.with, Target { first: result.as_mut_ptr(), plane: pixels, row: pixels });
            }
            for o in 0..outputs {
                for row in 0..rows * factor {
                    let to = (((n * outputs + o) * height + y) * factor + row) * width * factor;
                    // SAFETY: rows of jobs do not overlap, and lie within the output, whose length was checked.
                    let to = unsafe {
                        std::slice::from_raw_parts_mut(output.at(to).cast::<MaybeUninit<f32>>(), width * factor)
                    };
                    let first = (o * taps + row % factor * factor) * pixels + row / factor * width;
                    interleave(to, &result[first..], pixels, *factor);
                }
            }
        });
    });
}

/// `to[x·factor + i] = from[i·plane + x]`.
fn interleave(to: &mut [MaybeUninit<f32>], from: &[f32], plane: usize, factor: usize) {
    if factor == 2 {
        let width = to.len() / 2;
        let (even, odd) = (&from[..width], &from[plane..plane + width]);
        for ((pair, &even), &odd) in to.chunks_exact_mut(2).zip(even).zip(odd) {
            pair[0].write(even);
            pair[1].write(odd);
        }
        return;
    }
    for (x, group) in to.chunks_exact_mut(factor).enumerate() {
        for (i, to) in group.iter_mut().enumerate() {
            to.write(from[i * plane + x]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Instructions;
    use super::super::plan::Plan;
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random(rng: &mut ChaCha8Rng, len: usize) -> Vec<f32> {
        (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// One image, in double precision, from the definition.
    fn defined(
        g: Geometry,
        x: &[f32],
        [channels, height, width]: [usize; 3],
        weights: &[f32],
        bias: &[f32],
    ) -> Vec<f64> {
        let [rows, columns] = [g.output(0, height), g.output(1, width)];
        let mut out = Vec::new();
        for (o, &bias) in bias.iter().enumerate() {
            for at in 0..rows * columns {
                let mut sum = f64::from(bias);
                for c in 0..channels {
                    for tap in 0..g.kernel[0] * g.kernel[1] {
                        let [ky, kx] = [tap / g.kernel[1], tap % g.kernel[1]];
                        let y = at / columns * g.stride[0] + ky * g.dilation[0];
                        let x_at = at % columns * g.stride[1] + kx * g.dilation[1];
                        let (Some(y), Some(x_at)) = (y.checked_sub(g.padding[0][0]), x_at.checked_sub(g.padding[1][0]))
                        else {
                            continue;
                        };
                        if y < height && x_at < width {
                            let w = weights[(o * channels + c) * g.kernel[0] * g.kernel[1] + tap];
                            sum += f64::from(w) * f64::from(x[(c * height + y) * width + x_at]);
                        }
                    }
                }
                out.push(sum);
            }
        }
        out
    }

    #[test]
    fn every_processor_computes_the_definition() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let geometries = [
            Geometry { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [[1, 1], [1, 1]] },
            Geometry { kernel: [3, 3], stride: [2, 2], dilation: [1, 1], padding: [[1, 1], [1, 1]] },
            Geometry { kernel: [7, 5], stride: [2, 3], dilation: [1, 2], padding: [[3, 2], [0, 4]] },
            Geometry { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], padding: [[0, 0], [0, 0]] },
            Geometry { kernel: [3, 3], stride: [1, 1], dilation: [4, 4], padding: [[4, 4], [4, 4]] },
            Geometry { kernel: [2, 2], stride: [2, 2], dilation: [1, 1], padding: [[0, 0], [0, 0]] },
        ];
        for with in Instructions::available() {
            for geometry in geometries {
                for [channels, outputs, height, width] in
                    [[1, 1, 9, 11], [3, 8, 17, 16], [5, 13, 12, 100], [16, 4, 33, 31], [300, 9, 11, 49]]
                {
                    let x = random(&mut rng, 2 * channels * height * width);
                    let weights = random(&mut rng, outputs * channels * geometry.kernel[0] * geometry.kernel[1]);
                    let bias = random(&mut rng, outputs);
                    let plan = Plan::new(geometry, vec![channels], weights.clone(), &bias, false, with);
                    let len = channels * height * width;
                    let expected: Vec<f64> = x
                        .chunks(len)
                        .flat_map(|x| defined(geometry, x, [channels, height, width], &weights, &bias))
                        .collect();
                    let mut out = vec![MaybeUninit::new(f32::NAN); expected.len()];
                    let parts = |n: usize| vec![Part { values: &x[n * len..][..len], mask: None, channels }];
                    convolve(geometry, &plan.forward, false, (2, [height, width]), parts, &mut out);
                    let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
                    for (found, expected) in out.iter().zip(&expected) {
                        // SAFETY: initialised above.
                        let found = f64::from(unsafe { found.assume_init() });
                        assert!(
                            (found - expected).abs() <= 1e-5 * largest,
                            "{with:?} {geometry:?} {channels}→{outputs} {height}×{width}: {found} for {expected}"
                        );
                    }
                }
            }
        }
    }
}
