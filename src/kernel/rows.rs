//! The loop that takes the time: rows of a convolution, a block of output channels × some registers of pixels at once.

// Pointers into slices whose lengths `Rows::run` has checked.
#![allow(unsafe_code)]

use super::lanes::{Instructions, Lanes, Portable};

/// Floats that a row of the source must have beyond its width: the last register reads so far.
pub(super) const SLACK: usize = 16;

/// Rows of one tile of a convolution:
/// `out[o][y][x] = bias[o] + Σ_c Σ_t weight[o][c][t] · source[c·plane + y·step + taps[t] + x]`.
pub(super) struct Rows<'a> {
    /// The input in the order of `source`.
    pub source: &'a [f32],
    /// Floats between channels of the source.
    pub plane: usize,
    /// Floats between source rows of neighbouring output rows.
    pub step: usize,
    /// Where the taps are, relative to the source row of an output row.
    pub taps: &'a [usize],
    /// Input channels.
    pub channels: usize,
    /// `[blocks][channels][taps][block]`.
    pub weights: &'a [f32],
    /// One for each output, with zeros up to whole blocks.
    pub bias: &'a [f32],
    /// Whether negative sums become 0.
    pub relu: bool,
    /// Output channels to compute.
    pub outputs: usize,
    /// Output rows.
    pub rows: usize,
    /// Output columns.
    pub width: usize,
}

/// Where the rows go.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// The first pixel.
    pub first: *mut f32,
    /// Floats between channels.
    pub plane: usize,
    /// Floats between rows.
    pub row: usize,
}

impl Rows<'_> {
    /// Computes all rows.
    ///
    /// # Safety
    /// `target` must be writable for `outputs` × `rows` × `width` floats at its steps, by this thread alone.
    ///
    /// # Panics
    /// If a slice is shorter than the other fields say.
    pub unsafe fn run(&self, with: Instructions, target: Target) {
        let block = with.block();
        let blocks = self.outputs.div_ceil(block);
        let last_tap = self.taps.iter().max().copied().unwrap_or(0);
        if self.rows == 0 || self.width == 0 || self.channels == 0 || self.taps.is_empty() {
            return;
        }
        let read = (self.channels - 1) * self.plane + (self.rows - 1) * self.step + last_tap + self.width + SLACK;
        assert!(self.source.len() >= read, "{} floats of {read}", self.source.len());
        assert!(
            self.weights.len() >= blocks * self.channels * self.taps.len() * block && self.bias.len() >= blocks * block
        );
        match with {
            // SAFETY: the processor has the instructions (`Instructions::available`); lengths were checked above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { avx512(self, target) },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { avx2(self, target) },
            // SAFETY: the same.
            Instructions::Portable => unsafe { all::<Portable, 4, 2>(self, target) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(rows: &Rows<'_>, target: Target) {
    unsafe { all::<super::lanes::x86::Avx512, 8, 3>(rows, target) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(rows: &Rows<'_>, target: Target) {
    unsafe { all::<super::lanes::x86::Avx2, 4, 3>(rows, target) }
}

/// All blocks of output channels; `BLOCK` × at most `WIDEST` registers of sums.
#[inline(always)]
unsafe fn all<L: Lanes, const BLOCK: usize, const WIDEST: usize>(rows: &Rows<'_>, target: Target) {
    let weights_of_block = rows.channels * rows.taps.len() * BLOCK;
    for block in 0..rows.outputs.div_ceil(BLOCK) {
        let first = block * BLOCK;
        let outputs = (rows.outputs - first).min(BLOCK);
        let weights = unsafe { rows.weights.as_ptr().add(block * weights_of_block) };
        for y in 0..rows.rows {
            let mut x = 0;
            while x < rows.width {
                let registers = (rows.width - x).div_ceil(L::COUNT);
                // Four registers are better done as two and two than as three and one.
                let registers = if registers == 4 { 2 } else { registers.min(WIDEST) };
                unsafe {
                    let source = rows.source.as_ptr().add(y * rows.step + x);
                    let out = target.first.add(first * target.plane + y * target.row + x);
                    let width = rows.width - x;
                    let bias = &rows.bias[first..first + BLOCK];
                    match registers {
                        1 => pixels::<L, BLOCK, 1>(rows, source, weights, bias, out, target.plane, outputs, width),
                        2 => pixels::<L, BLOCK, 2>(rows, source, weights, bias, out, target.plane, outputs, width),
                        _ => pixels::<L, BLOCK, 3>(rows, source, weights, bias, out, target.plane, outputs, width),
                    }
                }
                x += registers * L::COUNT;
            }
        }
    }
}

/// `BLOCK` output channels × `REGISTERS` registers of pixels.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn pixels<L: Lanes, const BLOCK: usize, const REGISTERS: usize>(
    rows: &Rows<'_>,
    source: *const f32,
    weights: *const f32,
    bias: &[f32],
    out: *mut f32,
    plane: usize,
    outputs: usize,
    width: usize,
) {
    unsafe {
        let mut sums = [[L::splat(0.0); REGISTERS]; BLOCK];
        for (sums, &bias) in sums.iter_mut().zip(bias) {
            *sums = [L::splat(bias); REGISTERS];
        }
        let mut weight = weights;
        let mut channel = source;
        for _ in 0..rows.channels {
            for &tap in rows.taps {
                let at = channel.add(tap);
                let mut values = [L::splat(0.0); REGISTERS];
                for (r, value) in values.iter_mut().enumerate() {
                    *value = L::load(at.add(r * L::COUNT));
                }
                for (o, sums) in sums.iter_mut().enumerate() {
                    let w = L::splat(*weight.add(o));
                    for (sum, &value) in sums.iter_mut().zip(&values) {
                        *sum = L::multiply_add(w, value, *sum);
                    }
                }
                weight = weight.add(BLOCK);
            }
            channel = channel.add(rows.plane);
        }
        for (o, sums) in sums.iter().enumerate().take(outputs) {
            let out = out.add(o * plane);
            for (r, &sum) in sums.iter().enumerate() {
                let sum = if rows.relu { L::max(L::splat(0.0), sum) } else { sum };
                let x = r * L::COUNT;
                if width >= x + L::COUNT {
                    L::store(out.add(x), sum);
                } else if width > x {
                    L::store_first(out.add(x), width - x, sum);
                }
            }
        }
    }
}
