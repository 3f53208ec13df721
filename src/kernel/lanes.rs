//! The instructions that a convolution needs, for each kind of processor.

// Vector instructions are unsafe to call where the processor may lack them; `Instructions::best` asks it first.
#![allow(unsafe_code)]

/// Which instructions the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instructions {
    /// 512-bit vectors, 32 registers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit vectors with fused multiply-add, 16 registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What the target is compiled for; the compiler makes vectors of it (NEON on ARM).
    Portable,
}

impl Instructions {
    /// The widest that this processor has.
    pub fn best() -> Self {
        *Self::available().first().unwrap_or(&Self::Portable)
    }

    /// All that this processor has, the widest first.
    pub fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                found.push(Self::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Self::Avx2);
            }
        }
        found.push(Self::Portable);
        found
    }

    /// Floats in a register.
    pub fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 16,
            _ => 8,
        }
    }

    /// Channels that are summed side by side in registers.
    pub fn block(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 8,
            _ => 4,
        }
    }
}

/// Neighbouring pixels in one register.
///
/// # Safety
/// All methods need the instructions of the type, and pointers to as many floats as they read or write.
pub(super) trait Lanes {
    /// A register.
    type Register: Copy;
    /// Floats in it.
    const COUNT: usize;
    /// `value` in all lanes.
    unsafe fn splat(value: f32) -> Self::Register;
    /// `COUNT` floats.
    unsafe fn load(from: *const f32) -> Self::Register;
    /// The first `count` floats, `count < COUNT`, and zeros.
    unsafe fn load_first(from: *const f32, count: usize) -> Self::Register;
    /// Writes `COUNT` floats.
    unsafe fn store(to: *mut f32, value: Self::Register);
    /// Writes the first `count` floats, `count < COUNT`.
    unsafe fn store_first(to: *mut f32, count: usize, value: Self::Register);
    /// a·b + c.
    unsafe fn multiply_add(a: Self::Register, b: Self::Register, c: Self::Register) -> Self::Register;
    /// The larger of each lane; `b` where one of them is no number, so that such a sum is not hidden.
    unsafe fn max(a: Self::Register, b: Self::Register) -> Self::Register;
    /// The smaller of each lane; `b` where one of them is no number.
    unsafe fn min(a: Self::Register, b: Self::Register) -> Self::Register;
    /// Asks for the cache line there, which need not exist.
    #[inline(always)]
    unsafe fn prefetch(at: *const f32) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every x86-64 has it, and it fails nowhere.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
    /// a + b.
    unsafe fn add(a: Self::Register, b: Self::Register) -> Self::Register;
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    /// 16 floats.
    pub(in super::super) struct Avx512;

    impl Lanes for Avx512 {
        type Register = __m512;
        const COUNT: usize = 16;
        #[inline(always)]
        unsafe fn splat(value: f32) -> __m512 {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, value: __m512) {
            unsafe { _mm512_storeu_ps(to, value) }
        }
        #[inline(always)]
        unsafe fn store_first(to: *mut f32, count: usize, value: __m512) {
            unsafe { _mm512_mask_storeu_ps(to, (1u16 << count) - 1, value) }
        }
        #[inline(always)]
        unsafe fn multiply_add(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn max(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn min(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_min_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> __m512 {
            unsafe { _mm512_maskz_loadu_ps((1u16 << count) - 1, from) }
        }
    }

    /// 8 floats.
    pub(in super::super) struct Avx2;

    impl Lanes for Avx2 {
        type Register = __m256;
        const COUNT: usize = 8;
        #[inline(always)]
        unsafe fn splat(value: f32) -> __m256 {
            unsafe { _mm256_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m256 {
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, value: __m256) {
            unsafe { _mm256_storeu_ps(to, value) }
        }
        #[inline(always)]
        unsafe fn store_first(to: *mut f32, count: usize, value: __m256) {
            unsafe {
                let mut all = [0.0f32; 8];
                _mm256_storeu_ps(all.as_mut_ptr(), value);
                std::ptr::copy_nonoverlapping(all.as_ptr(), to, count);
            }
        }
        #[inline(always)]
        unsafe fn multiply_add(a: __m256, b: __m256, c: __m256) -> __m256 {
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn max(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn min(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_min_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> __m256 {
            unsafe {
                let mut all = [0.0f32; 8];
                std::ptr::copy_nonoverlapping(from, all.as_mut_ptr(), count);
                _mm256_loadu_ps(all.as_ptr())
            }
        }
    }
}

/// 8 floats that the compiler finds registers for.
pub(super) struct Portable;

impl Lanes for Portable {
    type Register = [f32; 8];
    const COUNT: usize = 8;
    #[inline(always)]
    unsafe fn splat(value: f32) -> [f32; 8] {
        [value; 8]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 8] {
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: [f32; 8]) {
        unsafe { to.cast::<[f32; 8]>().write_unaligned(value) }
    }
    #[inline(always)]
    unsafe fn store_first(to: *mut f32, count: usize, value: [f32; 8]) {
        unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), to, count) }
    }
    #[inline(always)]
    unsafe fn multiply_add(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        // A fused instruction where the target has one; elsewhere `mul_add` would be a slow call.
        let one = |i: usize| {
            if cfg!(target_feature = "fma") || cfg!(target_arch = "aarch64") {
                a[i].mul_add(b[i], c[i])
            } else {
                a[i] * b[i] + c[i]
            }
        };
        std::array::from_fn(one)
    }
    #[inline(always)]
    unsafe fn max(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn min(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> [f32; 8] {
        let mut all = [0.0f32; 8];
        unsafe { std::ptr::copy_nonoverlapping(from, all.as_mut_ptr(), count) };
        all
    }
}
