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

    /// `f`, with the compiler free to use these instructions for its loops.
    #[inline(always)]
    pub fn run<R>(self, f: impl FnOnce() -> R) -> R {
        match self {
            // SAFETY: the processor has the instructions (`Instructions::available`).
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { run_avx512(f) },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { run_avx2(f) },
            Self::Portable => f(),
        }
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

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn run_avx512<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
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
    /// a − b.
    unsafe fn subtract(a: Self::Register, b: Self::Register) -> Self::Register;
    /// `value` where `y` is strictly between `lower` and `upper`, else 0.
    unsafe fn within(
        value: Self::Register,
        y: Self::Register,
        lower: Self::Register,
        upper: Self::Register,
    ) -> Self::Register;
    /// Floats `at`… of the `len` that are there, and zeros before the first and after the last.
    unsafe fn load_span(from: *const f32, at: isize, len: usize) -> Self::Register;
    /// Of `a` followed by `b` every other lane, from the first and from the second on.
    unsafe fn apart(a: Self::Register, b: Self::Register) -> [Self::Register; 2];
    /// The reverse: lanes of `a` and `b` in turn.
    unsafe fn together(a: Self::Register, b: Self::Register) -> [Self::Register; 2];
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
        unsafe fn subtract(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn apart(a: __m512, b: __m512) -> [__m512; 2] {
            unsafe {
                let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
                let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
                [_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b)]
            }
        }
        #[inline(always)]
        unsafe fn within(value: __m512, y: __m512, lower: __m512, upper: __m512) -> __m512 {
            unsafe {
                let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(y, lower);
                let between = _mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(above, y, upper);
                _mm512_maskz_mov_ps(between, value)
            }
        }
        #[inline(always)]
        unsafe fn load_span(from: *const f32, at: isize, len: usize) -> __m512 {
            let first = |count: isize| (1u32 << count.clamp(0, 16)) - 1;
            let lanes = first(len as isize - at) & !first(-at);
            // Lanes that are masked out are not read.
            unsafe { _mm512_maskz_loadu_ps(lanes as u16, from.wrapping_offset(at)) }
        }
        #[inline(always)]
        unsafe fn together(a: __m512, b: __m512) -> [__m512; 2] {
            unsafe {
                let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let last = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
                [_mm512_permutex2var_ps(a, first, b), _mm512_permutex2var_ps(a, last, b)]
            }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> __m512 {
            unsafe { _mm512_maskz_loadu_ps((1u16 << count) - 1, from) }
        }
    }

    /// Lanes `from`…`to`, as far as there are such.
    #[inline(always)]
    unsafe fn lanes(from: isize, to: isize) -> __m256i {
        unsafe {
            let number = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            let splat = |end: isize| _mm256_set1_epi32(end.clamp(-1, 8) as i32);
            _mm256_andnot_si256(_mm256_cmpgt_epi32(splat(from), number), _mm256_cmpgt_epi32(splat(to), number))
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
            unsafe { _mm256_maskstore_ps(to, lanes(0, count as isize), value) }
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
        unsafe fn subtract(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn apart(a: __m256, b: __m256) -> [__m256; 2] {
            unsafe {
                // Of each half of 4 lanes first those of `a`, then those of `b`; then the middle quarters are exchanged.
                let order = |x: __m256| _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(x)));
                [order(_mm256_shuffle_ps::<0b10_00_10_00>(a, b)), order(_mm256_shuffle_ps::<0b11_01_11_01>(a, b))]
            }
        }
        #[inline(always)]
        unsafe fn together(a: __m256, b: __m256) -> [__m256; 2] {
            unsafe {
                let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                [_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high)]
            }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> __m256 {
            unsafe { _mm256_maskload_ps(from, lanes(0, count as isize)) }
        }
        #[inline(always)]
        unsafe fn within(value: __m256, y: __m256, lower: __m256, upper: __m256) -> __m256 {
            unsafe {
                let (above, below) = (_mm256_cmp_ps::<_CMP_GT_OQ>(y, lower), _mm256_cmp_ps::<_CMP_LT_OQ>(y, upper));
                _mm256_and_ps(value, _mm256_and_ps(above, below))
            }
        }
        #[inline(always)]
        unsafe fn load_span(from: *const f32, at: isize, len: usize) -> __m256 {
            // Lanes that are masked out are not read.
            unsafe { _mm256_maskload_ps(from.wrapping_offset(at), lanes(-at, len as isize - at)) }
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
    unsafe fn subtract(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn within(value: [f32; 8], y: [f32; 8], lower: [f32; 8], upper: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| if (y[i] > lower[i]) & (y[i] < upper[i]) { value[i] } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn load_span(from: *const f32, at: isize, len: usize) -> [f32; 8] {
        let lane = |i: usize| {
            let at = at + i as isize;
            if (0..len as isize).contains(&at) { unsafe { *from.offset(at) } } else { 0.0 }
        };
        std::array::from_fn(lane)
    }
    #[inline(always)]
    unsafe fn apart(a: [f32; 8], b: [f32; 8]) -> [[f32; 8]; 2] {
        let of = |i: usize| if i < 8 { a[i] } else { b[i - 8] };
        [std::array::from_fn(|i| of(2 * i)), std::array::from_fn(|i| of(2 * i + 1))]
    }
    #[inline(always)]
    unsafe fn together(a: [f32; 8], b: [f32; 8]) -> [[f32; 8]; 2] {
        let of = |i: usize| if i.is_multiple_of(2) { a[i / 2] } else { b[i / 2] };
        [std::array::from_fn(of), std::array::from_fn(|i| of(8 + i))]
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> [f32; 8] {
        let mut all = [0.0f32; 8];
        unsafe { std::ptr::copy_nonoverlapping(from, all.as_mut_ptr(), count) };
        all
    }
}
