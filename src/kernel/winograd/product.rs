//! The loop that takes the time: a block of results × some registers of patches at once, as in `rows`, of one tap whose
//! weights lie side by side.

// Pointers into scratch whose length `convolve` counts.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use super::super::lanes::x86;
use super::super::lanes::{Instructions, Lanes, Portable};
use super::super::rows::SLACK;
use super::PATCH;

/// Of each element the weights times the patches.
pub(super) struct Product<'a> {
    pub patches: &'a [f32],
    /// Floats between channels, of patches and sums alike, and between elements.
    pub plane: usize,
    pub of_patch: usize,
    pub of_sum: usize,
    /// Patches of a channel.
    pub length: usize,
    pub summed: usize,
    /// `[element][summed channel][result]`.
    pub weights: &'a [f32],
}

/// `sums[element][result][patch] = Σ weight · patch` over the summed channels.
///
/// # Safety
/// See `convolve`.
pub(super) unsafe fn multiply(with: Instructions, product: &Product<'_>, sums: &mut [f32]) {
    let length = product.length + SLACK - 1;
    debug_assert!(
        product.patches.len() >= (PATCH - 1) * product.of_patch + (product.summed - 1) * product.plane + length
    );
    debug_assert!(sums.len() >= (PATCH - 1) * product.of_sum + (with.block() - 1) * product.plane + length);
    let to = sums.as_mut_ptr();
    match with {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe { multiply_avx512(product, to) },
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe { multiply_avx2(product, to) },
        Instructions::Portable => unsafe { elements::<Portable, 4, 2>(product, to) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn multiply_avx512(product: &Product<'_>, to: *mut f32) {
    unsafe { elements::<x86::Avx512, 8, 3>(product, to) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_avx2(product: &Product<'_>, to: *mut f32) {
    unsafe { elements::<x86::Avx2, 4, 3>(product, to) }
}

#[inline(always)]
unsafe fn elements<L: Lanes, const BLOCK: usize, const WIDEST: usize>(product: &Product<'_>, to: *mut f32) {
    for element in 0..PATCH {
        let mut x = 0;
        while x < product.length {
            let registers = (product.length - x).div_ceil(L::COUNT);
            // As in `rows`: two and two rather than three and one.
            let registers = if registers == 4 { 2 } else { registers.min(WIDEST) };
            unsafe {
                let from = product.patches.as_ptr().add(element * product.of_patch + x);
                let weights = product.weights.as_ptr().add(element * product.summed * BLOCK);
                let to = to.add(element * product.of_sum + x);
                match registers {
                    1 => columns::<L, BLOCK, 1>(product, from, weights, to),
                    2 => columns::<L, BLOCK, 2>(product, from, weights, to),
                    _ => columns::<L, BLOCK, 3>(product, from, weights, to),
                }
            }
            x += registers * L::COUNT;
        }
    }
}

/// `BLOCK` results × `REGISTERS` registers of patches of one element.
#[inline(always)]
unsafe fn columns<L: Lanes, const BLOCK: usize, const REGISTERS: usize>(
    product: &Product<'_>,
    mut from: *const f32,
    mut weights: *const f32,
    to: *mut f32,
) {
    unsafe {
        let mut sums = [[L::splat(0.0); REGISTERS]; BLOCK];
        for _ in 0..product.summed {
            let mut values = [L::splat(0.0); REGISTERS];
            for (r, value) in values.iter_mut().enumerate() {
                *value = L::load(from.add(r * L::COUNT));
            }
            for (o, sums) in sums.iter_mut().enumerate() {
                let weight = L::splat(*weights.add(o));
                for (sum, &value) in sums.iter_mut().zip(&values) {
                    *sum = L::multiply_add(weight, value, *sum);
                }
            }
            from = from.wrapping_add(product.plane);
            weights = weights.wrapping_add(BLOCK);
        }
        for (o, sums) in sums.iter().enumerate() {
            for (r, &sum) in sums.iter().enumerate() {
                L::store(to.add(o * product.plane + r * L::COUNT), sum);
            }
        }
    }
}
