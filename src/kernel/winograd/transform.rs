//! There and back: patches of pixels, weights, and sums of patches.

// Pointers into scratch whose length `convolve` counts.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use super::super::lanes::x86;
use super::super::lanes::{Instructions, Lanes, Portable};
use super::super::rows::{self, SLACK};
use super::super::team;
use super::{Filters, PATCH};

/// A thread takes at least so many filters.
const FEW_FILTERS: usize = 1024;

/// `[block of results][element][summed channel][result]`: G g Gᵀ.
pub(super) fn transform_weights(filters: &Filters<'_>, with: Instructions) -> Vec<f32> {
    let (block, summed) = (with.block(), filters.summed);
    let of_block = PATCH * summed * block;
    let mut to = vec![0.0; filters.results.div_ceil(block) * of_block];
    // A few are not worth the threads.
    team::for_each_part(&mut to, of_block, 1 + FEW_FILTERS / (block * summed), |number, to| {
        let first = number * block;
        match with {
            // SAFETY: the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { weights_avx512(filters, first, to) },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { weights_avx2(filters, first, to) },
            Instructions::Portable => weights_of_block::<4>(filters, first, to),
        }
    });
    to
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn weights_avx512(filters: &Filters<'_>, first: usize, to: &mut [f32]) {
    weights_of_block::<8>(filters, first, to);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn weights_avx2(filters: &Filters<'_>, first: usize, to: &mut [f32]) {
    weights_of_block::<4>(filters, first, to);
}

/// A row of G g, or of what remains times Gᵀ.
#[inline(always)]
fn four<const BLOCK: usize>(g: [[f32; BLOCK]; 3]) -> [[f32; BLOCK]; 4] {
    let mut four = [g[0], g[0], g[0], g[2]];
    for l in 0..BLOCK {
        let (ends, middle) = (0.5 * (g[0][l] + g[2][l]), 0.5 * g[1][l]);
        (four[1][l], four[2][l]) = (ends + middle, ends - middle);
    }
    four
}

#[inline(always)]
fn weights_of_block<const BLOCK: usize>(filters: &Filters<'_>, first: usize, to: &mut [f32]) {
    let Filters { weights, across, along, results, summed, turned } = *filters;
    let lanes = BLOCK.min(results - first);
    for channel in 0..summed {
        let mut taps = [[0.0; BLOCK]; 9];
        for lane in 0..lanes {
            let from = &weights[(first + lane) * across + channel * along..][..9];
            for (tap, &weight) in from.iter().enumerate() {
                taps[if turned { 8 - tap } else { tap }][lane] = weight;
            }
        }
        let column = |x: usize| four([taps[x], taps[3 + x], taps[6 + x]]);
        let columns = [column(0), column(1), column(2)];
        for y in 0..4 {
            for (x, values) in four([columns[0][y], columns[1][y], columns[2][y]]).into_iter().enumerate() {
                to[((4 * y + x) * summed + channel) * BLOCK..][..BLOCK].copy_from_slice(&values);
            }
        }
    }
}

/// Bᵀ d B of all 4×4 patches, two pixels apart, of one channel; `to` is the first element's, others follow `step` apart.
///
/// # Safety
/// See `convolve`.
pub(super) unsafe fn transform_pixels(
    with: Instructions,
    source: &[f32],
    pitch: usize,
    size: [usize; 2],
    to: &mut [f32],
    step: usize,
) {
    debug_assert!(source.len() >= (2 * size[0] + 1) * pitch + 2 * size[1] + 2 * SLACK);
    debug_assert!(to.len() >= (PATCH - 1) * step + size[0] * size[1] + SLACK - 1);
    let (source, to) = (source.as_ptr(), to.as_mut_ptr());
    match with {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe { pixels_avx512(source, pitch, size, to, step) },
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe { pixels_avx2(source, pitch, size, to, step) },
        Instructions::Portable => unsafe { pixels::<Portable>(source, pitch, size, to, step) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn pixels_avx512(source: *const f32, pitch: usize, size: [usize; 2], to: *mut f32, step: usize) {
    unsafe { pixels::<x86::Avx512>(source, pitch, size, to, step) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn pixels_avx2(source: *const f32, pitch: usize, size: [usize; 2], to: *mut f32, step: usize) {
    unsafe { pixels::<x86::Avx2>(source, pitch, size, to, step) }
}

/// A row of Bᵀ d, or of what remains times B.
#[inline(always)]
unsafe fn differences<L: Lanes>(d: [L::Register; 4]) -> [L::Register; 4] {
    unsafe { [L::subtract(d[0], d[2]), L::add(d[1], d[2]), L::subtract(d[2], d[1]), L::subtract(d[1], d[3])] }
}

/// A row of patches from `from` on, of each its four pixels, times B.
#[inline(always)]
unsafe fn row<L: Lanes>(from: *const f32) -> [L::Register; 4] {
    unsafe {
        let [a, b] = L::apart(L::load(from), L::load(from.add(L::COUNT)));
        let [c, d] = L::apart(L::load(from.add(2)), L::load(from.add(2 + L::COUNT)));
        differences::<L>([a, b, c, d])
    }
}

#[inline(always)]
unsafe fn pixels<L: Lanes>(source: *const f32, pitch: usize, [rows, width]: [usize; 2], to: *mut f32, step: usize) {
    // The last register of a row writes into the next row, whose first one is written after it.
    for x in (0..width).step_by(L::COUNT).rev() {
        unsafe {
            let source = source.add(2 * x);
            let (mut first, mut second) = (row::<L>(source), row::<L>(source.add(pitch)));
            for y in 0..rows {
                let third = row::<L>(source.add((2 * y + 2) * pitch));
                let fourth = row::<L>(source.add((2 * y + 3) * pitch));
                let to = to.add(y * width + x);
                for i in 0..4 {
                    let values = differences::<L>([first[i], second[i], third[i], fourth[i]]);
                    for (j, &value) in values.iter().enumerate() {
                        L::store(to.add((4 * j + i) * step), value);
                    }
                }
                (first, second) = (third, fourth);
            }
        }
    }
}

/// Where 2×2 results of each patch go, and what happens to them on the way.
pub(super) struct Target {
    pub to: *mut f32,
    pub add: *const f32,
    /// Floats between rows.
    pub row: usize,
    /// Rows and columns that there are.
    pub size: [usize; 2],
    pub bias: f32,
    pub bounds: Option<[f32; 2]>,
}

/// Aᵀ m A of all patches of one result; `from` is the first element's sums, others follow `step` apart.
///
/// # Safety
/// See `convolve`.
pub(super) unsafe fn transform_sums(with: Instructions, from: &[f32], step: usize, size: [usize; 2], target: &Target) {
    debug_assert!(from.len() >= (PATCH - 1) * step + size[0] * size[1] + SLACK - 1);
    let from = from.as_ptr();
    match with {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe { sums_avx512(from, step, size, target) },
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe { sums_avx2(from, step, size, target) },
        Instructions::Portable => unsafe { sums::<Portable>(from, step, size, target) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn sums_avx512(from: *const f32, step: usize, size: [usize; 2], target: &Target) {
    unsafe { sums::<x86::Avx512>(from, step, size, target) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn sums_avx2(from: *const f32, step: usize, size: [usize; 2], target: &Target) {
    unsafe { sums::<x86::Avx2>(from, step, size, target) }
}

/// A row of Aᵀ m, or of what remains times A.
#[inline(always)]
unsafe fn pair<L: Lanes>(m: [L::Register; 4]) -> [L::Register; 2] {
    unsafe { [L::add(m[0], L::add(m[1], m[2])), L::subtract(L::subtract(m[1], m[2]), m[3])] }
}

#[inline(always)]
unsafe fn sums<L: Lanes>(from: *const f32, step: usize, [rows, width]: [usize; 2], target: &Target) {
    for y in 0..rows {
        for x in (0..width).step_by(L::COUNT) {
            unsafe {
                let from = from.add(y * width + x);
                let zero = L::splat(0.0);
                let mut half = [[zero; 4]; 2];
                let [even, odd] = &mut half;
                for (i, (even, odd)) in even.iter_mut().zip(odd).enumerate() {
                    let at = from.add(4 * i * step);
                    let m = [L::load(at), L::load(at.add(step)), L::load(at.add(2 * step)), L::load(at.add(3 * step))];
                    [*even, *odd] = pair::<L>(m);
                }
                let (even, odd) = (pair::<L>(half[0]), pair::<L>(half[1]));
                for i in 0..2 {
                    if 2 * y + i < target.size[0] {
                        let [left, right] = L::together(even[i], odd[i]);
                        finish::<L>(target, 2 * y + i, 2 * x, left);
                        finish::<L>(target, 2 * y + i, 2 * x + L::COUNT, right);
                    }
                }
            }
        }
    }
}

/// Writes sums to `row` of the target, from `column` on, as far as it goes.
#[inline(always)]
unsafe fn finish<L: Lanes>(target: &Target, row: usize, column: usize, sums: L::Register) {
    let left = target.size[1].saturating_sub(column);
    // SAFETY: the caller's.
    unsafe {
        let sums = L::add(sums, L::splat(target.bias));
        rows::finish::<L>(sums, (target.to, target.add), row * target.row + column, left, target.bounds);
    }
}
