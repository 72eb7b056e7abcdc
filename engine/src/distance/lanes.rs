//! Eight f32 side by side: arrays anywhere, one register where the processor has AVX2. Both give the same bits.

use std::ops::{Add, Div, Mul, Sub};

pub(super) const WIDTH: usize = 8;

/// Arithmetic on eight numbers at once.
pub(super) trait Lanes: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> {
    fn load(from: &[f32; WIDTH]) -> Self;
    fn splat(x: f32) -> Self;
    /// The second operand where a comparison with NaN cannot tell.
    fn larger(self, other: Self) -> Self;
    fn smaller(self, other: Self) -> Self;
    /// `then` where `self <= limit`, else `otherwise`.
    fn where_up_to(self, limit: Self, then: Self, otherwise: Self) -> Self;
    /// Bit `k` says whether lane `k` is at most `limit`.
    fn up_to(self, limit: f32) -> u32;
    fn store(self) -> [f32; WIDTH];
}

#[derive(Clone, Copy)]
pub(super) struct Portable([f32; WIDTH]);

macro_rules! lanewise {
    ($trait:ident, $method:ident, $op:tt, $wide:ident) => {
        impl $trait for Portable {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Portable(std::array::from_fn(|k| self.0[k] $op other.0[k]))
            }
        }

        #[cfg(target_arch = "x86_64")]
        impl $trait for avx2::Wide {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: values of this type are made only where AVX2 was found.
                avx2::Wide(unsafe { std::arch::x86_64::$wide(self.0, other.0) })
            }
        }
    };
}

lanewise!(Add, add, +, _mm256_add_ps);
lanewise!(Sub, sub, -, _mm256_sub_ps);
lanewise!(Mul, mul, *, _mm256_mul_ps);
lanewise!(Div, div, /, _mm256_div_ps);

impl Lanes for Portable {
    #[inline(always)]
    fn load(from: &[f32; WIDTH]) -> Self {
        Portable(*from)
    }
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Portable([x; WIDTH])
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        Portable(std::array::from_fn(|k| if self.0[k] > other.0[k] { self.0[k] } else { other.0[k] }))
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        Portable(std::array::from_fn(|k| if self.0[k] < other.0[k] { self.0[k] } else { other.0[k] }))
    }
    #[inline(always)]
    fn where_up_to(self, limit: Self, then: Self, otherwise: Self) -> Self {
        Portable(std::array::from_fn(|k| if self.0[k] <= limit.0[k] { then.0[k] } else { otherwise.0[k] }))
    }
    #[inline(always)]
    fn up_to(self, limit: f32) -> u32 {
        (0..WIDTH).fold(0, |bits, k| bits | u32::from(self.0[k] <= limit) << k)
    }
    #[inline(always)]
    fn store(self) -> [f32; WIDTH] {
        self.0
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2 {
    use super::{Lanes, WIDTH};
    use std::arch::x86_64::*;

    /// Made and used only inside functions that were entered because AVX2 was found; that is what makes its operations safe.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Wide(pub(super) __m256);

    impl Lanes for Wide {
        #[inline(always)]
        fn load(from: &[f32; WIDTH]) -> Self {
            // SAFETY: AVX2 as above; the pointer is to eight f32, and the load asks for no alignment.
            Wide(unsafe { _mm256_loadu_ps(from.as_ptr()) })
        }
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: AVX2 as above.
            Wide(unsafe { _mm256_set1_ps(x) })
        }
        #[inline(always)]
        fn larger(self, other: Self) -> Self {
            // SAFETY: AVX2 as above.
            Wide(unsafe { _mm256_max_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn smaller(self, other: Self) -> Self {
            // SAFETY: AVX2 as above.
            Wide(unsafe { _mm256_min_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn where_up_to(self, limit: Self, then: Self, otherwise: Self) -> Self {
            // SAFETY: AVX2 as above.
            Wide(unsafe { _mm256_blendv_ps(otherwise.0, then.0, _mm256_cmp_ps::<_CMP_LE_OQ>(self.0, limit.0)) })
        }
        #[inline(always)]
        fn up_to(self, limit: f32) -> u32 {
            // SAFETY: AVX2 as above.
            unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(self.0, _mm256_set1_ps(limit))) as u32 }
        }
        #[inline(always)]
        fn store(self) -> [f32; WIDTH] {
            let mut out = [0.0; WIDTH];
            // SAFETY: AVX2 as above; the pointer is to eight f32, and the store asks for no alignment.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), self.0) };
            out
        }
    }
}
