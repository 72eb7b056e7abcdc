//! Voxels at or above a stored value, one bit each.
//!
//! Exact for every voxel type: the threshold is first rounded up to the voxel type, then values are compared as they are;
//! the GPU compares order-preserving integer keys. Not-a-number is never inside. Cost: one pass over the voxels.

use rayon::prelude::*;

use crate::Error;
use crate::gpu::Gpu;
use crate::runtime::Runtime;
use crate::volume::{Mask, Slices, Volume, Voxel};

use super::keys;

/// Words of 64 voxels a task of the CPU path.
const WORDS_PER_TASK: usize = 1 << 12;

/// The voxels whose stored value is `at_least` or more.
/// Errors: a threshold that is not a number; faults of the GPU where the run insists on it.
pub fn threshold<T: Voxel>(volume: &Volume<T>, at_least: f64, rt: &Runtime) -> Result<Mask, Error> {
    threshold_of_slices(&volume.slices(), at_least, rt)
}

/// The same for a volume that may not fit memory.
pub fn threshold_of_slices<T: Voxel>(slices: &Slices<T>, at_least: f64, rt: &Runtime) -> Result<Mask, Error> {
    if at_least.is_nan() {
        return Err(Error::input("threshold.not_a_number", "the threshold is not a number; allowed are numbers: name a grey value"));
    }
    let [nx, ny, nz] = slices.grid().dims();
    let per_row = nx.div_ceil(64);
    let mut words = vec![0; per_row * ny * nz];
    if let Some(least) = keys::smallest_at_least::<T>(at_least) {
        slices.pass(0, |own, slab| {
            rt.step("threshold", own.start as f64 / nz as f64)?;
            let (values, words) = (slab.of(own.clone()), &mut words[own.start * ny * per_row..own.end * ny * per_row]);
            if rt.on_gpu("threshold", |gpu| on_gpu(values, nx, least, words, gpu, rt))?.is_none() {
                on_cpu(values, nx, least, words);
            }
            Ok(())
        })?;
    }
    Ok(Mask::from_words([nx, ny, nz], words).expect("a word for every 64 voxels of every row"))
}

/// Rows of `nx` values to rows of words.
fn on_cpu<T: Voxel>(values: &[T], nx: usize, least: T, words: &mut [u64]) {
    let per_row = nx.div_ceil(64);
    let rows = (WORDS_PER_TASK / per_row).max(1);
    words.par_chunks_mut(rows * per_row).zip(values.par_chunks(rows * nx)).for_each(|(words, values)| {
        for (words, values) in words.chunks_mut(per_row).zip(values.chunks(nx)) {
            words.iter_mut().zip(values.chunks(64)).for_each(|(word, values)| *word = bits(values, least));
        }
    });
}

/// Bit b says whether value b is `least` or more.
#[inline]
fn bits<T: Voxel>(values: &[T], least: T) -> u64 {
    let mut flags = [0u8; 64];
    match <&[T; 64]>::try_from(values) {
        // A loop of known length, which compilers turn into vector compares.
        Ok(values) => flags.iter_mut().zip(values).for_each(|(f, v)| *f = u8::from(*v >= least).wrapping_neg()),
        Err(_) => flags.iter_mut().zip(values).for_each(|(f, v)| *f = u8::from(*v >= least).wrapping_neg()),
    }
    top_bits(&flags)
}

/// The top bits of bytes, the first lowest.
#[cfg(target_arch = "x86_64")]
#[inline]
fn top_bits(flags: &[u8; 64]) -> u64 {
    use std::arch::x86_64::{_mm_loadu_si128, _mm_movemask_epi8};
    flags.chunks_exact(16).rev().fold(0, |word, sixteen| {
        // SAFETY: every processor of this kind has the instructions; they read the sixteen bytes of the slice.
        let bits = unsafe { _mm_movemask_epi8(_mm_loadu_si128(sixteen.as_ptr().cast())) };
        word << 16 | u64::from(bits as u16)
    })
}

/// The top bits of bytes, the first lowest.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn top_bits(flags: &[u8; 64]) -> u64 {
    flags.chunks_exact(8).rev().fold(0, |word, eight| {
        // The multiplication gathers the lowest bits of eight bytes in the top byte, that of the first lowest.
        let ones = eight.iter().rev().fold(0u64, |ones, f| ones << 8 | u64::from(f & 1));
        word << 8 | ones.wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

fn on_gpu<T: Voxel>(values: &[T], nx: usize, least: T, words: &mut [u64], gpu: &Gpu, rt: &Runtime) -> Result<(), Error> {
    let per_row = nx.div_ceil(64);
    let program = gpu.program("threshold", &[keys::WGSL, include_str!("../../../shaders/threshold.wgsl")].concat(), "main")?;
    let [low, high] = [keys::key(least), keys::key(keys::largest::<T>())];
    // A slab is a run of words; their voxels lie in one piece.
    let slab = (gpu.slab_bytes() / (64 * size_of::<T>()).max(8)).max(1);
    let first_voxel = |word: usize| word / per_row * nx + word % per_row * 64;
    let end = words.len();
    for (first, words) in (0..end).step_by(slab).zip(words.chunks_mut(slab)) {
        rt.step("threshold", first as f64 / end as f64)?;
        let last = first + words.len() - 1;
        let voxels = first_voxel(first)..first_voxel(last) + (nx - last % per_row * 64).min(64);
        let values_there = gpu.upload("the voxels of a slab", &values[voxels])?;
        let out = gpu.zeroed("the mask of a slab", words.len() * 8)?;
        let parameters = [keys::kind::<T>(), nx as u32, per_row as u32, (first % per_row) as u32, low[0], low[1], high[0], high[1]];
        gpu.run(&program, &parameters, &[&values_there, &out], words.len())?;
        gpu.read(&out, words)?;
    }
    Ok(())
}
