//! How strong edges are: the magnitude of the grey value's gradient by central differences, in integers.
//!
//! Values become 16-bit codes ([`Coding`]). The difference of a voxel's two neighbours is scaled to the smallest distance between voxel
//! layers by an 8-bit factor (rounded, exact where distances are equal); half the root of the sum of squares is rounded down
//! to whole codes. At the volume's faces one neighbour is the voxel itself, which halves the difference. Known bias: differences
//! over two voxels see an edge of blur sigma (voxels) as if it were blurred by 1/3 voxel² more in variance.
//!
//! For statistics of edges: the [`super::histogram`] of the result, or its largest values beside a surface; the blur of an edge
//! of contrast c and gradient g is c / (g sqrt(2 pi)). Oblique axes are taken as if they were square to each other.
//! Cost: 2 bytes a voxel for the result, one pass from the cache.

use rayon::prelude::*;

use crate::Error;
use crate::gpu::{Gpu, GpuError};
use crate::runtime::Runtime;
use crate::volume::{Rescale, Slab, Volume, Voxel};

use super::codes::{Coding, told_apart};

/// Scales are in 1 / `ONE`.
const ONE: u32 = 256;
/// Voxels side by side.
const LANES: usize = 32;
/// Slices between two looks at the caller's wish to stop.
const BATCH: usize = 64;

/// The magnitude of the gradient at every voxel; physical values are grey values a millimetre.
/// Errors: faults of the GPU where the run insists on it.
pub fn gradient<T: Voxel>(volume: &Volume<T>, rt: &Runtime) -> Result<Volume<u16>, Error> {
    rt.step("gradient", 0.0)?;
    let (slab, coding) = (volume.slab(), Coding::of(volume));
    let steps_mm = volume.grid().steps_mm();
    let least_mm = steps_mm.into_iter().fold(f64::INFINITY, f64::min);
    let scales = steps_mm.map(|step| (f64::from(ONE) * (least_mm / step) + 0.5) as u32);
    let magnitudes = match rt.on_gpu("gradient", |gpu| on_gpu(&slab, &coding, scales, gpu, rt))? {
        Some(magnitudes) => magnitudes,
        None => on_cpu(&slab, &coding, scales, rt)?,
    };
    let rescale = told_apart(Rescale { slope: volume.rescale().slope.abs() * coding.step / least_mm, intercept: 0.0 })?;
    Ok(Volume::new(*volume.grid(), rescale, magnitudes).expect("a value for every voxel"))
}

/// Rows of codes, whole lanes each: before, behind, below, above; and the voxels' own with one more at both ends.
struct Rows([Vec<u16>; 5]);

impl Rows {
    fn new(nx: usize) -> Rows {
        Rows(std::array::from_fn(|_| vec![0; nx.next_multiple_of(LANES) + 2]))
    }
}

fn on_cpu<T: Voxel>(slab: &Slab<T>, coding: &Coding, scales: [u32; 3], rt: &Runtime) -> Result<Vec<u16>, Error> {
    let [nx, ny, nz] = slab.dims();
    let mut out = vec![0; nx * ny * nz];
    for (batch, slices) in out.chunks_mut(BATCH * nx * ny).enumerate() {
        rt.step("gradient", (batch * BATCH) as f64 / nz as f64)?;
        slices
            .par_chunks_mut(nx * ny)
            .enumerate()
            .for_each_init(|| Rows::new(nx), |rows, (k, out)| slice(slab, coding, scales, batch * BATCH + k, rows, out));
    }
    Ok(out)
}

fn slice<T: Voxel>(slab: &Slab<T>, coding: &Coding, scales: [u32; 3], k: usize, rows: &mut Rows, out: &mut [u16]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bw") {
        // SAFETY: the processor has the features that the function asks for.
        return unsafe { slice_avx512(slab, coding, scales, k, rows, out) };
    } else if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: as above.
        return unsafe { slice_avx2(slab, coding, scales, k, rows, out) };
    }
    slice_anywhere(slab, coding, scales, k, rows, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn slice_avx512<T: Voxel>(slab: &Slab<T>, coding: &Coding, scales: [u32; 3], k: usize, rows: &mut Rows, out: &mut [u16]) {
    slice_anywhere(slab, coding, scales, k, rows, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn slice_avx2<T: Voxel>(slab: &Slab<T>, coding: &Coding, scales: [u32; 3], k: usize, rows: &mut Rows, out: &mut [u16]) {
    slice_anywhere(slab, coding, scales, k, rows, out);
}

#[inline(always)]
fn slice_anywhere<T: Voxel>(slab: &Slab<T>, coding: &Coding, scales: [u32; 3], k: usize, rows: &mut Rows, out: &mut [u16]) {
    let [nx, ny, nz] = slab.dims();
    let (below, above) = (k.saturating_sub(1), (k + 1).min(nz - 1));
    for (j, out) in out.chunks_mut(nx).enumerate() {
        let [before, behind, below_it, above_it, own] = &mut rows.0;
        coding.encode(slab.row(j.saturating_sub(1), k), &mut before[..nx]);
        coding.encode(slab.row((j + 1).min(ny - 1), k), &mut behind[..nx]);
        coding.encode(slab.row(j, below), &mut below_it[..nx]);
        coding.encode(slab.row(j, above), &mut above_it[..nx]);
        coding.encode(slab.row(j, k), &mut own[1..=nx]);
        (own[0], own[nx + 1]) = (own[1], own[nx]);
        for (first, out) in (0..).step_by(LANES).zip(out.chunks_mut(LANES)) {
            let mut squares = Squares { quarters: [0; LANES], rest: [0; LANES] };
            squares.add(&own[first..], &own[first + 2..], scales[0]);
            squares.add(&before[first..], &behind[first..], scales[1]);
            squares.add(&below_it[first..], &above_it[first..], scales[2]);
            out.copy_from_slice(&squares.half_roots()[..out.len()]);
        }
    }
}

/// Sums of squares of differences, below 3 * 2^32, as their quarters and what is left.
struct Squares {
    quarters: [u32; LANES],
    rest: [u32; LANES],
}

impl Squares {
    #[inline(always)]
    fn add(&mut self, a: &[u16], b: &[u16], scale: u32) {
        let (a, b) = (&a[..LANES], &b[..LANES]);
        for lane in 0..LANES {
            let difference = (u32::from(a[lane].abs_diff(b[lane])) * scale + ONE / 2) / ONE;
            let square = difference.wrapping_mul(difference); // below 2^32, as a difference is below 2^16
            self.quarters[lane] = self.quarters[lane].wrapping_add(square / 4); // below 3 * 2^30
            self.rest[lane] += square % 4;
        }
    }

    /// Half of each root, rounded down.
    #[inline(always)]
    fn half_roots(&self) -> [u16; LANES] {
        let mut roots = [0; LANES];
        for (root, (quarters, rest)) in roots.iter_mut().zip(self.quarters.iter().zip(&self.rest)) {
            let quarter = quarters.wrapping_add(rest / 4);
            // Adding 2^23 rounds to an integer in the low bits: the root or the next one, whose square tells.
            let near = ((quarter as f32).sqrt() + 8_388_608.0).to_bits() & 0xffff;
            *root = near.wrapping_sub(u32::from(near.wrapping_mul(near) > quarter)) as u16;
        }
        roots
    }
}

fn on_gpu<T: Voxel>(slab: &Slab<T>, coding: &Coding, scales: [u32; 3], gpu: &Gpu, rt: &Runtime) -> Result<Vec<u16>, Error> {
    let program = gpu.program("gradient", include_str!("../../../shaders/gradient.wgsl"), "main")?;
    let [nx, ny, nz] = slab.dims();
    // Slices at once, with one more on both sides; two codes a word.
    let fit = |slices: usize| (slices + 2) * nx * ny * 2 <= gpu.slab_bytes();
    let Some(slices) = (1..=nz).take_while(|&slices| fit(slices)).last() else {
        let needed = (3 * nx * ny * 2) as u64;
        return Err(GpuError::Limits { what: "three slices of voxels", needed, allowed: gpu.slab_bytes() as u64 }.into());
    };
    let mut out = vec![0; nx * ny * nz];
    let mut codes = vec![0; (slices + 2) * nx * ny];
    for (first, out) in (0..nz).step_by(slices).zip(out.chunks_mut(slices * nx * ny)) {
        rt.step("gradient", first as f64 / nz as f64)?;
        let end = (first + slices).min(nz);
        let there = first.saturating_sub(1)..(end + 1).min(nz);
        let rows = there.clone().flat_map(|k| (0..ny).map(move |j| (j, k)));
        codes.chunks_mut(nx).zip(rows).for_each(|(codes, (j, k))| coding.encode(slab.row(j, k), codes));
        let source = gpu.upload("the voxels of a slab", &codes[..there.len() * nx * ny])?;
        let words = out.len().div_ceil(2);
        let magnitudes = gpu.zeroed("the gradients of a slab", words * 4)?;
        let parameters = [nx, ny, there.len(), first - there.start, out.len()].map(|p| p as u32);
        gpu.run(&program, &[parameters.as_slice(), &scales].concat(), &[&source, &magnitudes], words)?;
        gpu.read(&magnitudes, out)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_instructions_gives_the_same_bits() {
        let dims = [77, 9, 5];
        let data: Vec<u16> = (0..dims.iter().product::<usize>() as u64).map(|at| crate::noise::hash(5, at) as u16).collect();
        let (slab, coding) = (Slab::new(&data, dims, 0).unwrap(), Coding::of_type::<u16>().unwrap());
        let (mut best, mut plain) = (vec![0; 77 * 9], vec![0; 77 * 9]);
        slice(&slab, &coding, [256, 200, 77], 2, &mut Rows::new(77), &mut best);
        slice_anywhere(&slab, &coding, [256, 200, 77], 2, &mut Rows::new(77), &mut plain);
        assert!(best == plain && best.iter().any(|&v| v != best[0]));
    }
}
