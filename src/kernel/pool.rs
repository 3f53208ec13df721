//! Max pooling in one pass, without the indices that only a gradient needs; 2×2 windows side by side in a way of their own.

use super::lanes::Instructions;
use super::plan::Pool;
use super::team;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// A thread takes planes of at least this many pixels.
const FEW: usize = 1 << 13;

/// `[planes, height, width]` → `[planes, height/2, width/2]`; height and width are even.
pub(super) fn forward(x: &[f32], [height, width]: [usize; 2], out: &mut [MaybeUninit<f32>]) {
    let (size, with) = (height * width, Instructions::best());
    team::for_each_part(out, size / 4, 1 + FEW / size, |i, out| {
        with.run(|| halve(&x[i * size..][..size], width, out));
    });
}

/// The gradient goes to the first of the largest values, in reading order, as PyTorch's.
pub(super) fn backward(x: &[f32], gradient: &[f32], [height, width]: [usize; 2], out: &mut [MaybeUninit<f32>]) {
    let (size, with) = (height * width, Instructions::best());
    team::for_each_part(out, size, 1 + FEW / size, |i, out| {
        with.run(|| double(&x[i * size..][..size], &gradient[i * size / 4..][..size / 4], width, out));
    });
}

/// One plane forwards.
#[inline(always)]
fn halve(x: &[f32], width: usize, out: &mut [MaybeUninit<f32>]) {
    for (out, rows) in out.chunks_exact_mut(width / 2).zip(x.chunks_exact(2 * width)) {
        let (upper, lower) = rows.split_at(width);
        for ((out, a), b) in out.iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
            out.write(larger(larger(a[0], a[1]), larger(b[0], b[1])));
        }
    }
}

/// Windows that go back together: what a few vector registers hold.
const TOGETHER: usize = 16;

/// One plane back.
#[inline(always)]
fn double(x: &[f32], gradient: &[f32], width: usize, out: &mut [MaybeUninit<f32>]) {
    let rows = out.chunks_exact_mut(2 * width).zip(x.chunks_exact(2 * width));
    for ((out, x), gradient) in rows.zip(gradient.chunks_exact(width / 2)) {
        let ((out_upper, out_lower), (upper, lower)) = (out.split_at_mut(width), x.split_at(width));
        let whole = width / 2 / TOGETHER * TOGETHER;
        for from in (0..whole).step_by(TOGETHER) {
            let pixels = 2 * from..2 * (from + TOGETHER);
            back::<TOGETHER>(
                [&upper[pixels.clone()], &lower[pixels.clone()]],
                &gradient[from..from + TOGETHER],
                [&mut out_upper[pixels.clone()], &mut out_lower[pixels]],
            );
        }
        for at in whole..width / 2 {
            let pixels = 2 * at..2 * at + 2;
            back::<1>(
                [&upper[pixels.clone()], &lower[pixels.clone()]],
                &gradient[at..=at],
                [&mut out_upper[pixels.clone()], &mut out_lower[pixels]],
            );
        }
    }
}

/// `N` windows side by side back. Which value is the largest is as good as random, so nothing here is a branch.
#[inline(always)]
fn back<const N: usize>([upper, lower]: [&[f32]; 2], gradient: &[f32], [above, below]: [&mut [MaybeUninit<f32>]; 2]) {
    let column = |row: &[f32], odd: usize| -> [f32; N] { std::array::from_fn(|i| row[2 * i + odd]) };
    let [a, b, c, d] = [column(upper, 0), column(upper, 1), column(lower, 0), column(lower, 1)];
    let mut parts = [[0.0; N]; 4];
    for i in 0..N {
        let most = larger(larger(a[i], b[i]), larger(c[i], d[i]));
        // Of equal ones the first only; a value that is no number equals nothing, and its gradient is lost
        // as it would be anywhere.
        let first = a[i] == most;
        let second = !first & (b[i] == most);
        let third = !first & !second & (c[i] == most);
        let fourth = !first & !second & !third;
        let pick = |it: bool| f32::from_bits(gradient[i].to_bits() & u32::from(it).wrapping_neg());
        [parts[0][i], parts[1][i], parts[2][i], parts[3][i]] = [first, second, third, fourth].map(pick);
    }
    for i in 0..N {
        above[2 * i].write(parts[0][i]);
        above[2 * i + 1].write(parts[1][i]);
        below[2 * i].write(parts[2][i]);
        below[2 * i + 1].write(parts[3][i]);
    }
}

/// The larger one; one that is no number wins, so that it is seen.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// Any windows without dilation. A window that lies in the padding alone gives −∞.
pub(super) fn forward_any(pool: &Pool, x: &[f32], [height, width]: [usize; 2], out: &mut [MaybeUninit<f32>]) {
    let [rows, columns] = pool.output;
    out.par_chunks_mut(rows * columns).zip(x.par_chunks(height * width)).for_each(|(out, x)| {
        let mut line = vec![f32::NEG_INFINITY; width];
        for (oy, out) in out.chunks_exact_mut(columns).enumerate() {
            // The rows of the window first, which are neighbours in memory.
            line.fill(f32::NEG_INFINITY);
            for y in pool.window(0, oy, height) {
                for (most, &v) in line.iter_mut().zip(&x[y * width..][..width]) {
                    *most = larger(*most, v);
                }
            }
            for (ox, out) in out.iter_mut().enumerate() {
                out.write(line[pool.window(1, ox, width)].iter().fold(f32::NEG_INFINITY, |most, &v| larger(most, v)));
            }
        }
    });
}

/// The gradient of [`forward_any`]: to the first of the largest values of each window, in reading order.
pub(super) fn backward_any(
    pool: &Pool,
    x: &[f32],
    gradient: &[f32],
    [height, width]: [usize; 2],
    out: &mut [MaybeUninit<f32>],
) {
    let [rows, columns] = pool.output;
    let planes = out.par_chunks_mut(height * width).zip(x.par_chunks(height * width));
    planes.zip(gradient.par_chunks(rows * columns)).for_each(|((out, x), gradient)| {
        let mut sums = vec![0.0; height * width];
        for (i, &g) in gradient.iter().enumerate() {
            let (mut most, mut place) = (f32::NEG_INFINITY, None);
            for y in pool.window(0, i / columns, height) {
                for at in pool.window(1, i % columns, width) {
                    let value = x[y * width + at];
                    if place.is_none() || value > most {
                        (most, place) = (value, Some(y * width + at));
                    }
                }
            }
            if let Some(place) = place {
                sums[place] += g;
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            out.write(sum);
        }
    });
}
