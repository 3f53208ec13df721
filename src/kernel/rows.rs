//! The loop that takes the time: lines of a convolution, a block of channels × some registers of pixels at once.

// Pointers into slices whose lengths `Sums::run` has checked.
#![allow(unsafe_code)]

use super::lanes::{Instructions, Lanes, Portable};
use std::ops::Range;

/// Floats that a source must have beyond its end: the last register reads so far.
pub(super) const SLACK: usize = 16;

/// Channels whose weights are asked for ahead.
const AHEAD: usize = 12;

/// One element of a kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    /// Where in the source it is, relative to the first pixel of a line.
    pub at: usize,
    /// Where its weight is.
    pub weight: usize,
}

/// `out[r][line][x] = bias[r] + Σ_c Σ_t weights[r·across + c·along + t.weight] · source[c·plane + line·step + t.at + x]`.
#[derive(Clone, Copy)]
pub(super) struct Sums<'a> {
    pub source: &'a [f32],
    /// Floats between channels of the source.
    pub plane: usize,
    /// Channels that are summed over.
    pub channels: usize,
    pub taps: &'a [Tap],
    pub weights: &'a [f32],
    /// Floats between the weights of neighbouring results.
    pub across: usize,
    /// Floats between the weights of neighbouring channels.
    pub along: usize,
    /// One for each result, or none.
    pub bias: &'a [f32],
}

/// Which pixels are computed, and where they go.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub count: usize,
    pub length: usize,
    /// Floats between source lines.
    pub step: usize,
    /// The first pixel of the first result.
    pub first: *mut f32,
    /// Values that are added before the bounds, in the same places; null for none.
    pub add: *const f32,
    /// Floats between results, and between lines.
    pub plane: usize,
    pub row: usize,
    /// What sums are clamped to.
    pub bounds: Option<[f32; 2]>,
}

impl Sums<'_> {
    /// Computes `results`; the first of them goes to `lines.first`.
    ///
    /// # Safety
    /// `lines.first` must be writable, and `lines.add` readable, for as many results × lines × pixels at their steps, by
    /// this thread alone.
    ///
    /// # Panics
    /// If a slice is shorter than the other fields say.
    pub unsafe fn run(&self, with: Instructions, results: Range<usize>, lines: Lines) {
        if lines.count == 0 || lines.length == 0 || results.is_empty() {
            return;
        }
        let last = |of: fn(&Tap) -> usize| self.taps.iter().map(of).max().unwrap_or(0);
        if let Some(channels) = self.channels.checked_sub(1).filter(|_| !self.taps.is_empty()) {
            let read = channels * self.plane
                + (lines.count - 1) * lines.step
                + last(|t| t.at)
                + lines.length.next_multiple_of(SLACK);
            assert!(self.source.len() >= read, "{} floats of {read}", self.source.len());
            let read = (results.end - 1) * self.across + channels * self.along + last(|t| t.weight);
            assert!(self.weights.len() > read, "{} weights, and {read}", self.weights.len());
        }
        assert!(self.bias.is_empty() || self.bias.len() >= results.end);
        match with {
            // SAFETY: the processor has the instructions (`Instructions::available`); lengths were checked above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { avx512(self, results, lines) },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { avx2(self, results, lines) },
            // SAFETY: the same.
            Instructions::Portable => unsafe { all::<Portable, 4, 2>(self, results, lines) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(sums: &Sums<'_>, results: Range<usize>, lines: Lines) {
    unsafe { all::<super::lanes::x86::Avx512, 8, 3>(sums, results, lines) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(sums: &Sums<'_>, results: Range<usize>, lines: Lines) {
    unsafe { all::<super::lanes::x86::Avx2, 4, 3>(sums, results, lines) }
}

/// All results: blocks of `BLOCK`, then what is left in ever smaller ones.
#[inline(always)]
unsafe fn all<L: Lanes, const BLOCK: usize, const WIDEST: usize>(sums: &Sums<'_>, results: Range<usize>, lines: Lines) {
    let mut at = results.start;
    while at < results.end {
        let left = results.end - at;
        let mut part = lines;
        unsafe {
            part.first = lines.first.add((at - results.start) * lines.plane);
            if !lines.add.is_null() {
                part.add = lines.add.add((at - results.start) * lines.plane);
            }
            match left.min(BLOCK) {
                8 => block::<L, 8, WIDEST>(sums, at, part),
                7 => block::<L, 7, WIDEST>(sums, at, part),
                6 => block::<L, 6, WIDEST>(sums, at, part),
                5 => block::<L, 5, WIDEST>(sums, at, part),
                4 => block::<L, 4, WIDEST>(sums, at, part),
                3 => block::<L, 3, WIDEST>(sums, at, part),
                2 => block::<L, 2, WIDEST>(sums, at, part),
                _ => block::<L, 1, WIDEST>(sums, at, part),
            }
            at += left.min(BLOCK);
        }
    }
}

/// `BLOCK` results from `first` on, of all lines.
#[inline(always)]
unsafe fn block<L: Lanes, const BLOCK: usize, const WIDEST: usize>(sums: &Sums<'_>, first: usize, lines: Lines) {
    let bias: [f32; BLOCK] = std::array::from_fn(|i| sums.bias.get(first + i).copied().unwrap_or(0.0));
    for line in 0..lines.count {
        let mut x = 0;
        while x < lines.length {
            let registers = (lines.length - x).div_ceil(L::COUNT);
            // Four registers are better done as two and two than as three and one.
            let registers = if registers == 4 { 2 } else { registers.min(WIDEST) };
            unsafe {
                let source = sums.source.as_ptr().add(line * lines.step + x);
                let weights = sums.weights.as_ptr().add(first * sums.across);
                let mut to = lines;
                to.first = lines.first.add(line * lines.row + x);
                if !lines.add.is_null() {
                    to.add = lines.add.add(line * lines.row + x);
                }
                to.length = lines.length - x;
                match registers {
                    1 => pixels::<L, BLOCK, 1>(sums, source, weights, &bias, to),
                    2 => pixels::<L, BLOCK, 2>(sums, source, weights, &bias, to),
                    _ => pixels::<L, BLOCK, 3>(sums, source, weights, &bias, to),
                }
            }
            x += registers * L::COUNT;
        }
    }
}

/// `BLOCK` results × `REGISTERS` registers of pixels.
#[inline(always)]
unsafe fn pixels<L: Lanes, const BLOCK: usize, const REGISTERS: usize>(
    of: &Sums<'_>,
    source: *const f32,
    weights: *const f32,
    bias: &[f32; BLOCK],
    to: Lines,
) {
    unsafe {
        let mut sums = [[L::splat(0.0); REGISTERS]; BLOCK];
        for (sums, &bias) in sums.iter_mut().zip(bias) {
            *sums = [L::splat(bias); REGISTERS];
        }
        let (mut channel, mut weight) = (source, weights);
        // Weights that are far apart are asked for some channels ahead, others for the next block.
        let (mut soon, step) = if of.across < of.along {
            (weights.wrapping_add(AHEAD * of.along), of.along)
        } else {
            (weights.wrapping_add(BLOCK * of.across), BLOCK * of.taps.len())
        };
        for _ in 0..of.channels {
            for (i, tap) in of.taps.iter().enumerate() {
                L::prefetch(soon.wrapping_add(i * BLOCK));
                let at = channel.add(tap.at);
                let mut values = [L::splat(0.0); REGISTERS];
                for (r, value) in values.iter_mut().enumerate() {
                    *value = L::load(at.add(r * L::COUNT));
                }
                let weight = weight.add(tap.weight);
                for (o, sums) in sums.iter_mut().enumerate() {
                    let w = L::splat(*weight.add(o * of.across));
                    for (sum, &value) in sums.iter_mut().zip(&values) {
                        *sum = L::multiply_add(w, value, *sum);
                    }
                }
            }
            soon = soon.wrapping_add(step);
            channel = channel.wrapping_add(of.plane);
            weight = weight.wrapping_add(of.along);
        }
        for (o, sums) in sums.iter().enumerate() {
            for (r, &sum) in sums.iter().enumerate() {
                let left = to.length.saturating_sub(r * L::COUNT);
                finish::<L>(sum, (to.first, to.add), o * to.plane + r * L::COUNT, left, to.bounds);
            }
        }
    }
}

/// Writes `sum`, with what is added (unless that is null) and within `bounds`, to place `at`, where `left` pixels are left.
///
/// # Safety
/// The processor must have the instructions; so many pixels must be there.
#[inline(always)]
pub(super) unsafe fn finish<L: Lanes>(
    mut sum: L::Register,
    (to, add): (*mut f32, *const f32),
    at: usize,
    left: usize,
    bounds: Option<[f32; 2]>,
) {
    if left == 0 {
        return;
    }
    unsafe {
        if !add.is_null() {
            let from = add.add(at);
            sum = L::add(sum, if left >= L::COUNT { L::load(from) } else { L::load_first(from, left) });
        }
        if let Some([lower, upper]) = bounds {
            sum = L::min(L::splat(upper), L::max(L::splat(lower), sum));
        }
        if left >= L::COUNT {
            L::store(to.add(at), sum);
        } else {
            L::store_first(to.add(at), left, sum);
        }
    }
}
