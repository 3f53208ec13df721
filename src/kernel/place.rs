//! How a tile's sums come to their places in the output: row by row as they are computed, or, where rows are short or the pixels
//! of several sums take turns, gathered first.

// Threads write to disjoint rectangles of one output.
#![allow(unsafe_code)]

use super::direct::{Output, Tile};
use super::geometry::Activation;
#[cfg(target_arch = "x86_64")]
use super::lanes::x86;
use super::lanes::{Instructions, Lanes, Portable};
use super::rows::{Lines, SLACK, Sums, finish};
use super::source::Frame;
use std::ops::Range;

/// Floats of results that are gathered before they are written to their places.
const GATHERED: usize = 512;

/// Where a tile's results lie in the output.
pub(super) struct Place {
    /// Floats between results, and between rows of the output.
    pub plane: usize,
    pub row: usize,
    /// Rows and columns of the output from one of the tile's to the next.
    pub stride: [usize; 2],
    /// The first pixel of the first result, of the tile at [0, 0].
    pub first: usize,
}

/// Computes a tile of `results` and writes it to its place.
///
/// # Safety
/// The place must be within the output, and this thread's alone.
pub(super) unsafe fn write(
    sums: &Sums<'_>,
    with: Instructions,
    frame: &Frame,
    tile: Tile,
    results: Range<usize>,
    (output, place, activation): (Output<'_>, Place, Activation),
    gathered: &mut Vec<f32>,
) {
    let [rows, width] = tile.size;
    if rows == 0 || width == 0 || results.is_empty() {
        return;
    }
    let first = place.first
        + results.start * place.plane
        + tile.at[0] * place.stride[0] * place.row
        + tile.at[1] * place.stride[1];
    let plain = place.stride == [1, 1];
    // Where rows follow each other in source and output alike, they are one.
    let joined = plain && (rows == 1 || frame.pitch == width && place.row == width);
    if joined || plain && !is_better_joined(with, rows, width, frame.pitch) {
        let (count, length) = if joined { (1, rows * width) } else { (rows, width) };
        unsafe {
            let (first, add) = output.at(first);
            let lines = Lines {
                count,
                length,
                step: frame.pitch,
                first,
                add,
                plane: place.plane,
                row: place.row,
                bounds: activation.bounds(),
            };
            sums.run(with, results, lines);
        }
        return;
    }
    // Then each pixel to its place.
    // SAFETY: the output's rows are the caller's promise.
    unsafe {
        gather([*sums], with, frame, tile.size, results.clone(), gathered, |result, y, [from]| {
            let first = first + (result - results.start) * place.plane;
            let (to, add) = output.at(first + y * place.stride[0] * place.row);
            spread(&from[..width], to, add, place.stride[1], activation);
        });
    }
}

/// The same of two sums whose columns take turns in the output, `all` of them in all.
///
/// # Safety
/// As there.
pub(super) unsafe fn write_pair(
    both: [Sums<'_>; 2],
    with: Instructions,
    frame: &Frame,
    (tile, all): (Tile, usize),
    results: Range<usize>,
    (output, place, activation): (Output<'_>, Place, Activation),
    gathered: &mut Vec<f32>,
) {
    if tile.size.contains(&0) || results.is_empty() {
        return;
    }
    let first = place.first
        + results.start * place.plane
        + tile.at[0] * place.stride[0] * place.row
        + tile.at[1] * place.stride[1];
    // SAFETY: the output's rows are the caller's promise.
    unsafe {
        gather(both, with, frame, tile.size, results.clone(), gathered, |result, y, from| {
            let first = first + (result - results.start) * place.plane;
            let (to, add) = output.at(first + y * place.stride[0] * place.row);
            interleave(with, from, all, to, add, activation.bounds());
        });
    }
}

/// Computes tiles of `size` pixels with their rows as one long line, the ends between them computed and thrown away, and hands
/// over `row` by `row` of each result; what follows a row is at least [`SLACK`] floats long.
///
/// # Safety
/// The sums must be of one source and as many results.
unsafe fn gather<const N: usize>(
    mut sums: [Sums<'_>; N],
    with: Instructions,
    frame: &Frame,
    [rows, width]: [usize; 2],
    results: Range<usize>,
    gathered: &mut Vec<f32>,
    mut row: impl FnMut(usize, usize, [&[f32]; N]),
) {
    let most = (GATHERED / frame.pitch).clamp(1, rows);
    let block = with.block();
    let sources = sums.map(|sums| sums.source);
    for top in (0..rows).step_by(most) {
        let rows = most.min(rows - top);
        let length = (rows - 1) * frame.pitch + width;
        gathered.resize(gathered.len().max(N * block * length + SLACK), 0.0);
        for start in results.clone().step_by(block) {
            let block = start..results.end.min(start + block);
            for (i, sums) in sums.iter_mut().enumerate() {
                sums.source = &sources[i][top * frame.pitch..];
                let lines = Lines {
                    count: 1,
                    length,
                    step: 0,
                    first: gathered[i * block.len() * length..].as_mut_ptr(),
                    add: std::ptr::null(),
                    plane: length,
                    row: 0,
                    bounds: None,
                };
                // SAFETY: `gathered` is this thread's and long enough.
                unsafe { sums.run(with, block.clone(), lines) };
            }
            for (number, result) in block.clone().enumerate() {
                for y in 0..rows {
                    let at = |i: usize| (i * block.len() + number) * length + y * frame.pitch;
                    row(result, top + y, std::array::from_fn(|i| &gathered[at(i)..]));
                }
            }
        }
    }
}

/// Whether rows are computed faster as one long line with `pitch` floats between them, and copied.
fn is_better_joined(with: Instructions, rows: usize, width: usize, pitch: usize) -> bool {
    let lanes = with.lanes();
    let apart = rows * width.div_ceil(lanes);
    let joined = ((rows - 1) * pitch + width).div_ceil(lanes);
    width <= 2 * lanes && 20 * joined <= 19 * apart || width <= lanes && joined <= apart
}

/// `to[x·stride] = activation(from[x] + add[x·stride])`.
///
/// # Safety
/// `to` must be writable, and `add` null or readable, at those places.
unsafe fn spread(from: &[f32], to: *mut f32, add: *const f32, stride: usize, activation: Activation) {
    let apply = |x: usize, sum: f32| unsafe {
        let sum = if add.is_null() { sum } else { sum + *add.add(x * stride) };
        *to.add(x * stride) = activation.of(sum);
    };
    match (stride, add.is_null(), activation) {
        (1, true, Activation::None) => unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) },
        (1, ..) => from.iter().enumerate().for_each(|(x, &sum)| apply(x, sum)),
        _ => from.iter().enumerate().for_each(|(x, &sum)| apply(x, sum)),
    }
}

/// `to[x] = from[x mod 2][x / 2] + add[x]` within bounds, for `count` x.
///
/// # Safety
/// `to` must be writable, and `add` null or readable, at those places; [`SLACK`] floats follow what is read.
unsafe fn interleave(
    with: Instructions,
    from: [&[f32]; 2],
    count: usize,
    to: *mut f32,
    add: *const f32,
    bounds: Option<[f32; 2]>,
) {
    debug_assert!(from.iter().all(|from| from.len() >= count.div_ceil(2).next_multiple_of(SLACK)));
    match with {
        // SAFETY: the processor has the instructions; the rest is the caller's.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe { interleave_avx512(from, count, to, add, bounds) },
        // SAFETY: the same.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe { interleave_avx2(from, count, to, add, bounds) },
        // SAFETY: the same.
        Instructions::Portable => unsafe { turns::<Portable>(from, count, to, add, bounds) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn interleave_avx512(from: [&[f32]; 2], n: usize, to: *mut f32, add: *const f32, bounds: Option<[f32; 2]>) {
    unsafe { turns::<x86::Avx512>(from, n, to, add, bounds) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn interleave_avx2(from: [&[f32]; 2], n: usize, to: *mut f32, add: *const f32, bounds: Option<[f32; 2]>) {
    unsafe { turns::<x86::Avx2>(from, n, to, add, bounds) }
}

#[inline(always)]
unsafe fn turns<L: Lanes>(
    [even, odd]: [&[f32]; 2],
    count: usize,
    to: *mut f32,
    add: *const f32,
    bounds: Option<[f32; 2]>,
) {
    for x in (0..count.div_ceil(2)).step_by(L::COUNT) {
        unsafe {
            let both = L::together(L::load(even.as_ptr().add(x)), L::load(odd.as_ptr().add(x)));
            for (i, sums) in both.into_iter().enumerate() {
                let at = 2 * x + i * L::COUNT;
                finish::<L>(sums, (to, add), at, count.saturating_sub(at), bounds);
            }
        }
    }
}
