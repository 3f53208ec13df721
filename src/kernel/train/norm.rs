//! Batch normalisation with the statistics of the batch, and the ReLU after it: forward and backward in two passes each
//! over a channel, the second of which finds it in the cache.
//!
//! Every sum is taken in an order of its own, whatever the number of threads.

// Threads write to disjoint channels of one output; vector instructions are asked for where the processor has them.
#![allow(unsafe_code)]

use super::super::lanes::Instructions;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Values whose sum is taken in single precision; sums of these are in double.
const RUN: usize = 4096;
/// Sums that are taken side by side.
const LANES: usize = 32;

/// Mean and biased variance of each channel.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics {
    pub mean: Vec<f32>,
    pub variance: Vec<f32>,
}

/// The sizes of a batch: images, channels, pixels.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub batch: usize,
    pub channels: usize,
    pub pixels: usize,
}

impl Sizes {
    /// Where channel `channel` of image `n` lies.
    fn plane(&self, n: usize, channel: usize) -> std::ops::Range<usize> {
        let at = (n * self.channels + channel) * self.pixels;
        at..at + self.pixels
    }
}

/// What a channel is multiplied by, and what is added.
#[derive(Clone, Copy)]
struct Line {
    factor: f32,
    summand: f32,
}

impl Line {
    fn new(mean: f32, variance: f32, gamma: f32, beta: f32, epsilon: f64) -> Self {
        let factor = f64::from(gamma) * inverse(variance, epsilon);
        Self { factor: factor as f32, summand: (f64::from(beta) - f64::from(mean) * factor) as f32 }
    }

    #[inline(always)]
    fn of(self, x: f32) -> f32 {
        self.factor * x + self.summand
    }
}

/// 1/√(σ² + ε).
fn inverse(variance: f32, epsilon: f64) -> f64 {
    1.0 / (f64::from(variance) + epsilon).sqrt()
}

/// An output that threads write to, each to its own channels.
#[derive(Clone, Copy)]
struct Output(*mut MaybeUninit<f32>, usize);
// SAFETY: no two threads write to the same float, and nobody reads until all are done.
unsafe impl Send for Output {}
// SAFETY: the same.
unsafe impl Sync for Output {}

impl Output {
    /// # Safety
    /// Nobody else may hold this part.
    #[expect(clippy::mut_from_ref, reason = "the parts of different threads are disjoint")]
    unsafe fn part(&self, at: std::ops::Range<usize>) -> &mut [MaybeUninit<f32>] {
        assert!(at.start <= at.end && at.end <= self.1);
        // SAFETY: within the slice; the rest is the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(at.start), at.len()) }
    }
}

/// Defines `$name` to run `$body` with the widest vectors that the processor has. The arithmetic is the same: nothing is fused.
macro_rules! vectored {
    ($name:ident, $body:ident, ($($arg:ident: $of:ty),*) -> $result:ty) => {
        fn $name(with: Instructions, $($arg: $of),*) -> $result {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            unsafe fn wide($($arg: $of),*) -> $result {
                $body($($arg),*)
            }
            match with {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: a processor with AVX-512 has AVX2 as well.
                Instructions::Avx512 | Instructions::Avx2 => unsafe { wide($($arg),*) },
                Instructions::Portable => $body($($arg),*),
            }
        }
    };
}

/// Σ term(x, y) of values side by side, in lanes.
#[inline(always)]
fn sum(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f64 {
    let mut lanes = [0f32; LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest = xs.remainder().iter().zip(ys.remainder());
    for (x, y) in xs.zip(ys) {
        for (lane, (&x, &y)) in lanes.iter_mut().zip(x.iter().zip(y)) {
            *lane += term(x, y);
        }
    }
    for (lane, (&x, &y)) in lanes.iter_mut().zip(rest) {
        *lane += term(x, y);
    }
    lanes.iter().map(|&lane| f64::from(lane)).sum()
}

/// Sum of `x`, and sum of squares around their mean.
#[inline(always)]
fn moments_of(x: &[f32]) -> [f64; 2] {
    let total = sum(x, x, |x, _| x);
    let mean = (total / x.len() as f64) as f32;
    let squares = sum(x, x, |x, _| (x - mean) * (x - mean));
    // Around the mean in double precision.
    let off = total / x.len() as f64 - f64::from(mean);
    [total, squares - off * off * x.len() as f64]
}
vectored!(moments, moments_of, (x: &[f32]) -> [f64; 2]);

#[inline(always)]
fn normalised_of(x: &[f32], line: Line, out: &mut [MaybeUninit<f32>]) {
    for (out, &x) in out.iter_mut().zip(x) {
        let y = line.of(x);
        out.write(if 0.0 > y { 0.0 } else { y });
    }
}
vectored!(normalised, normalised_of, (x: &[f32], line: Line, out: &mut [MaybeUninit<f32>]) -> ());

/// The gradient where the ReLU let `x` through.
#[inline(always)]
fn passed(line: Line, x: f32, gradient: f32) -> f32 {
    if line.of(x) > 0.0 { gradient } else { 0.0 }
}

/// Σ g and Σ g·(x − mean), of the gradients that pass.
#[inline(always)]
fn gradient_sums_of(x: &[f32], gradient: &[f32], line: Line, mean: f32) -> [f64; 2] {
    [sum(x, gradient, |x, g| passed(line, x, g)), sum(x, gradient, |x, g| passed(line, x, g) * (x - mean))]
}
vectored!(gradient_sums, gradient_sums_of, (x: &[f32], gradient: &[f32], line: Line, mean: f32) -> [f64; 2]);

/// factor·g − by_x·(x − mean) − constant.
#[inline(always)]
fn gradients_of(
    x: &[f32],
    gradient: &[f32],
    line: Line,
    [mean, by_x, constant]: [f32; 3],
    out: &mut [MaybeUninit<f32>],
) {
    for ((out, &x), &g) in out.iter_mut().zip(x).zip(gradient) {
        out.write(line.factor * passed(line, x, g) - by_x * (x - mean) - constant);
    }
}
vectored!(gradients, gradients_of, (
    x: &[f32], gradient: &[f32], line: Line, of: [f32; 3], out: &mut [MaybeUninit<f32>]
) -> ());

/// The ReLU of γ·(x − mean)/√(variance + ε) + β with mean and variance of each channel of `x`, `[batch, channels, pixels]`.
pub(super) fn forward(
    with: Instructions,
    sizes: Sizes,
    x: &[f32],
    [gamma, beta]: [&[f32]; 2],
    epsilon: f64,
    out: &mut [MaybeUninit<f32>],
) -> Statistics {
    assert!(x.len() == out.len() && x.len() == sizes.batch * sizes.channels * sizes.pixels);
    let output = Output(out.as_mut_ptr(), out.len());
    let of_channel = |channel: usize| {
        // Means and squares of runs, put together (Chan, Golub and LeVeque 1979).
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for n in 0..sizes.batch {
            for run in x[sizes.plane(n, channel)].chunks(RUN) {
                let [total, around] = moments(with, run);
                let length = run.len() as f64;
                let off = total / length - mean;
                let all = count + length;
                squares += around + off * off * count * length / all;
                mean += off * length / all;
                count = all;
            }
        }
        let (mean, variance) = (mean as f32, (squares / count) as f32);
        let line = Line::new(mean, variance, gamma[channel], beta[channel], epsilon);
        for n in 0..sizes.batch {
            let at = sizes.plane(n, channel);
            // SAFETY: this channel is this thread's.
            normalised(with, &x[at.clone()], line, unsafe { output.part(at) });
        }
        (mean, variance)
    };
    let (mean, variance) = (0..sizes.channels).into_par_iter().map(of_channel).unzip();
    Statistics { mean, variance }
}

/// The gradient of `x`, written to `out`, and those of γ and β, from that of the output.
pub(super) fn backward(
    with: Instructions,
    sizes: Sizes,
    [x, gradient]: [&[f32]; 2],
    [gamma, beta]: [&[f32]; 2],
    statistics: &Statistics,
    epsilon: f64,
    out: &mut [MaybeUninit<f32>],
) -> [Vec<f32>; 2] {
    assert!(x.len() == out.len() && x.len() == gradient.len());
    assert!(x.len() == sizes.batch * sizes.channels * sizes.pixels);
    let output = Output(out.as_mut_ptr(), out.len());
    let of_channel = |channel: usize| {
        let (mean, variance) = (statistics.mean[channel], statistics.variance[channel]);
        let line = Line::new(mean, variance, gamma[channel], beta[channel], epsilon);
        let [mut total, mut by_x] = [0.0; 2];
        for n in 0..sizes.batch {
            let at = sizes.plane(n, channel);
            for (x, gradient) in x[at.clone()].chunks(RUN).zip(gradient[at].chunks(RUN)) {
                let [g, gx] = gradient_sums(with, x, gradient, line, mean);
                total += g;
                by_x += gx;
            }
        }
        // d x = γ·s·(g − Σg/N − x̂·Σ(g·x̂)/N),  x̂ = s·(x − mean),  s = 1/√(variance + ε)
        let count = (sizes.batch * sizes.pixels) as f64;
        let s = inverse(variance, epsilon);
        let factor = f64::from(gamma[channel]) * s;
        let of = [mean, (factor * s * s * by_x / count) as f32, (factor * total / count) as f32];
        for n in 0..sizes.batch {
            let at = sizes.plane(n, channel);
            // SAFETY: this channel is this thread's.
            gradients(with, &x[at.clone()], &gradient[at.clone()], line, of, unsafe { output.part(at) });
        }
        ((s * by_x) as f32, total as f32)
    };
    let (of_gamma, of_beta) = (0..sizes.channels).into_par_iter().map(of_channel).unzip();
    [of_gamma, of_beta]
}

/// Σ over images and pixels of each channel: the gradient of a bias. Values count where `mask`, the output of a ReLU, is
/// above 0.
pub(super) fn channel_sums(with: Instructions, sizes: Sizes, x: &[f32], mask: Option<&[f32]>) -> Vec<f32> {
    let of_channel = |channel: usize| {
        let planes = (0..sizes.batch).map(|n| sizes.plane(n, channel));
        let runs = planes.flat_map(|at| {
            x[at.clone()]
                .chunks(RUN)
                .enumerate()
                .map(move |(i, x)| {
                    let mask = mask.map(|mask| &mask[at.start + i * RUN..][..x.len()]);
                    masked_sum(with, x, mask)
                })
                .collect::<Vec<_>>()
        });
        runs.sum::<f64>() as f32
    };
    (0..sizes.channels).into_par_iter().map(of_channel).collect()
}

#[inline(always)]
fn masked_sum_of(x: &[f32], mask: Option<&[f32]>) -> f64 {
    match mask {
        None => sum(x, x, |x, _| x),
        Some(mask) => sum(x, mask, |x, mask| if mask > 0.0 { x } else { 0.0 }),
    }
}
vectored!(masked_sum, masked_sum_of, (x: &[f32], mask: Option<&[f32]>) -> f64);
