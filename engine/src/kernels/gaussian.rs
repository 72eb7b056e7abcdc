//! Gaussian smoothing in integers, separable: along k, then j, then i.
//!
//! Values become 16-bit codes ([`Coding`]); weights are 16-bit fractions that sum to one; results are in 256ths of a code. Weights
//! reach 4 sigma (rounded) and are rounded so that every partial sum is right to 2⁻¹⁷: a blurred step is off by less than 10⁻⁵ of
//! its height an axis. Every axis rounds halves up to 1/256 code. Beyond the volume its outermost voxels go on.
//! The same bits on any backend, any number of threads, and in slabs of slices with [`Gaussian::halo`] slices to both sides.
//!
//! CPU: tiles of [`SLICES`] slices and [`TILE`] columns walk along j, so what lies between the axes stays in the cache of a
//! core. Sums of 24-bit values times 16-bit weights need 40 bits; 32-bit lanes carry them twice, whole (the top is lost) and
//! shifted by 8 (the bottom is lost). Cost: 4 bytes a voxel for the result, scratch of under a megabyte a thread.

use std::ops::Range;

use rayon::prelude::*;

use crate::Error;
use crate::gpu::{Buffer, Gpu, GpuError, Program};
use crate::runtime::Runtime;
use crate::volume::{Slab, Volume, Voxel};

use super::codes::Coding;

/// Results are in 1 / `UNITS` of a code.
const UNITS: u32 = 256;
/// Weights sum to this.
const ONE: u32 = 1 << 16;
/// Widest smoothing: beyond it weights are too small for their 16 bits.
const LARGEST_SIGMA: f64 = 32.0;
/// Columns summed side by side: the sums stay in registers.
const LANES: usize = 32;
/// Columns of a tile and slices filtered together.
const TILE: usize = 512;
const SLICES: usize = 8;
/// Tiles between two looks at the caller's wish to stop.
const BATCH: usize = 32;

/// A smoothing: integer weights for each axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaussian {
    /// Of the centre, of the two voxels beside it, …
    weights: [Vec<u32>; 3],
}

/// A volume smoothed by a Gaussian of these standard deviations along i, j and k, in voxels; 0 leaves an axis alone. Its stored
/// values are 256ths of codes, at most 2²⁴ − 256; its rescale makes physical values of them.
/// Errors: deviations below 0, above 32 or no numbers; faults of the GPU where the run insists on it.
pub fn gaussian<T: Voxel>(volume: &Volume<T>, sigma_voxels: [f64; 3], rt: &Runtime) -> Result<Volume<u32>, Error> {
    let (slab, coding) = (volume.slab(), Coding::of(volume));
    let values = Gaussian::new(sigma_voxels)?.smooth(&slab, &coding, slab.slices(), rt)?;
    let rescale = coding.rescale(volume.rescale(), UNITS)?;
    Ok(Volume::new(*volume.grid(), rescale, values).expect("a value for every voxel"))
}

impl Gaussian {
    /// Of these standard deviations along i, j and k, in voxels. Errors: deviations below 0, above 32 or no numbers.
    pub fn new(sigma_voxels: [f64; 3]) -> Result<Gaussian, Error> {
        if let Some(sigma) = sigma_voxels.iter().find(|s| !(0.0..=LARGEST_SIGMA).contains(*s)) {
            let message = format!("a smoothing of {sigma} voxels was asked for, allowed are 0 to {LARGEST_SIGMA}: choose another width");
            return Err(Error::input("gaussian.sigma", message));
        }
        Ok(Gaussian { weights: sigma_voxels.map(weights) })
    }

    /// Slices that are needed on both sides of those wanted.
    pub fn halo(&self) -> usize {
        self.reach(2)
    }

    fn reach(&self, axis: usize) -> usize {
        self.weights[axis].len() - 1
    }

    /// The slices `wanted` of the volume that `slab` is a part of, in 256ths of codes, the same as when all of it is there.
    /// Errors: slices that are wanted or needed but not there; faults of the GPU where the run insists on it.
    pub fn smooth<T: Voxel>(&self, slab: &Slab<T>, coding: &Coding, wanted: Range<usize>, rt: &Runtime) -> Result<Vec<u32>, Error> {
        if !slab.covers(&wanted, self.halo()) {
            let message = format!(
                "slices {wanted:?} were wanted of slices {:?}, needed are {} more on both sides where the volume has them: hand over more",
                slab.slices(),
                self.halo()
            );
            return Err(Error::input("gaussian.slices", message));
        }
        rt.step("gaussian", 0.0)?;
        match rt.on_gpu("gaussian", |gpu| self.on_gpu(slab, coding, &wanted, gpu, rt))? {
            Some(values) => Ok(values),
            None => self.on_cpu(slab, coding, &wanted, rt),
        }
    }
}

/// Integer weights that sum to [`ONE`] with those of both sides. Rounding the sums from the tail inwards, not the weights,
/// keeps every partial sum, which is the response to a step, within half a unit.
fn weights(sigma: f64) -> Vec<u32> {
    let reach = (4.0 * sigma + 0.5) as usize;
    let bell = |d: usize| if d == 0 { 1.0 } else { libm::exp(-0.5 * (d as f64 / sigma) * (d as f64 / sigma)) };
    let whole = 1.0 + 2.0 * (1..=reach).map(bell).sum::<f64>();
    let (mut tail, mut rounded) = (0.0, 0);
    let mut weights: Vec<u32> = (1..=reach)
        .rev()
        .map(|d| {
            tail += bell(d);
            let before = std::mem::replace(&mut rounded, (tail / whole * f64::from(ONE) + 0.5) as u32);
            rounded - before
        })
        .skip_while(|&w| w == 0)
        .collect();
    weights.push(ONE - 2 * rounded);
    weights.reverse();
    weights
}

/// What a thread needs for its tiles.
struct Scratch {
    codes: Vec<u16>,
    /// Rows filtered along k, of all slices of the tile, the last few along j: row j lies at `j % (2 * reach + 1)`.
    ring: Vec<u32>,
    /// A row filtered along j too.
    row: Vec<u32>,
    out: Vec<u32>,
}

/// Where a row's neighbours lie in memory: the row itself, then before and behind it at each distance.
struct Places {
    centre: usize,
    pairs: Vec<(usize, usize)>,
}

impl Gaussian {
    fn on_cpu<T: Voxel>(&self, slab: &Slab<T>, coding: &Coding, wanted: &Range<usize>, rt: &Runtime) -> Result<Vec<u32>, Error> {
        let [nx, ny, _] = slab.dims();
        let mut out = vec![0u32; wanted.len() * nx * ny];
        let tasks = wanted.len().div_ceil(SLICES);
        for (batch, slices) in out.chunks_mut(BATCH * SLICES * nx * ny).enumerate() {
            rt.step("gaussian", (batch * BATCH) as f64 / tasks as f64)?;
            slices.par_chunks_mut(SLICES * nx * ny).enumerate().for_each_init(
                || self.scratch(nx),
                |scratch, (task, out)| {
                    let first = wanted.start + (batch * BATCH + task) * SLICES;
                    for from in (0..nx).step_by(TILE) {
                        self.tile(slab, coding, first, from..(from + TILE).min(nx), scratch, out);
                    }
                },
            );
        }
        Ok(out)
    }

    fn scratch(&self, nx: usize) -> Scratch {
        let width = self.width(nx.min(TILE));
        Scratch {
            codes: vec![0; (SLICES + 2 * self.reach(2)) * width],
            ring: vec![0; (2 * self.reach(1) + 1) * SLICES * width],
            row: vec![0; width],
            out: vec![0; width],
        }
    }

    /// Columns of a tile's rows in memory: whole lanes with what lies beside them.
    fn width(&self, columns: usize) -> usize {
        columns.next_multiple_of(LANES) + (2 * self.reach(0)).next_multiple_of(LANES)
    }

    /// Filters the slices from `first` on, as many as `out` holds, in the columns `columns`.
    fn tile<T: Voxel>(&self, slab: &Slab<T>, coding: &Coding, first: usize, columns: Range<usize>, s: &mut Scratch, out: &mut [u32]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bw") {
            // SAFETY: the processor has the features that the function asks for.
            return unsafe { self.tile_avx512(slab, coding, first, columns, s, out) };
        } else if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { self.tile_avx2(slab, coding, first, columns, s, out) };
        }
        self.tile_anywhere(slab, coding, first, columns, s, out);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn tile_avx512<T: Voxel>(
        &self,
        slab: &Slab<T>,
        coding: &Coding,
        first: usize,
        columns: Range<usize>,
        s: &mut Scratch,
        out: &mut [u32],
    ) {
        self.tile_anywhere(slab, coding, first, columns, s, out);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn tile_avx2<T: Voxel>(&self, slab: &Slab<T>, coding: &Coding, first: usize, columns: Range<usize>, s: &mut Scratch, out: &mut [u32]) {
        self.tile_anywhere(slab, coding, first, columns, s, out);
    }

    #[inline(always)]
    fn tile_anywhere<T: Voxel>(
        &self,
        slab: &Slab<T>,
        coding: &Coding,
        first: usize,
        columns: Range<usize>,
        s: &mut Scratch,
        out: &mut [u32],
    ) {
        let [nx, ny, nz] = slab.dims();
        let [along_i, along_j, along_k] = &self.weights;
        let [reach_i, reach_j, reach_k] = [0, 1, 2].map(|axis| self.reach(axis));
        let slices = out.len() / (nx * ny);
        // Columns that are read: those of the tile and what the volume has beside them.
        let read = columns.start.saturating_sub(reach_i)..(columns.end + reach_i).min(nx);
        let padding = reach_i - (columns.start - read.start);
        let width = self.width(nx.min(TILE));
        let lanes = read.len().next_multiple_of(LANES);
        let ring_row = |j: usize| j % (2 * reach_j + 1) * SLICES * width;
        let mut done = 0; // rows filtered along k
        for j in 0..ny {
            while done < ny.min(j + reach_j + 1) {
                for (row, codes) in s.codes.chunks_mut(width).take(slices + 2 * reach_k).enumerate() {
                    let k = (first + row).saturating_sub(reach_k).min(nz - 1);
                    coding.encode(&slab.row(done, k)[read.clone()], &mut codes[..read.len()]);
                }
                for slice in 0..slices {
                    let at = ring_row(done) + slice * width;
                    from_codes(&s.codes[slice * width..], width, along_k, &mut s.ring[at..at + lanes]);
                }
                done += 1;
            }
            let neighbours = Places {
                centre: ring_row(j),
                pairs: (1..=reach_j).map(|d| (ring_row(j.saturating_sub(d)), ring_row((j + d).min(ny - 1)))).collect(),
            };
            let beside = Places { centre: reach_i, pairs: (1..=reach_i).map(|d| (reach_i - d, reach_i + d)).collect() };
            for slice in 0..slices {
                from_fixed(&s.ring[slice * width..], &neighbours, along_j, &mut s.out[..lanes]);
                let row = &mut s.row;
                row[padding..padding + read.len()].copy_from_slice(&s.out[..read.len()]);
                row[..padding].fill(s.out[0]);
                row[padding + read.len()..].fill(s.out[read.len() - 1]);
                let wanted = columns.len();
                from_fixed(row, &beside, along_i, &mut s.out[..wanted.next_multiple_of(LANES)]);
                out[(slice * ny + j) * nx + columns.start..][..wanted].copy_from_slice(&s.out[..wanted]);
            }
        }
    }
}

/// Weighted sums of rows of codes that lie `width` apart, in [`UNITS`]: 16-bit codes and 16-bit weights fit 32 bits.
#[inline(always)]
fn from_codes(rows: &[u16], width: usize, weights: &[u32], out: &mut [u32]) {
    let centre = (weights.len() - 1) * width;
    for (first, out) in (0..).step_by(LANES).zip(out.chunks_exact_mut(LANES)) {
        let mut sums = [ONE / UNITS / 2; LANES];
        add(&mut sums, &rows[centre + first..][..LANES], weights[0]);
        for (d, &weight) in weights.iter().enumerate().skip(1) {
            let before = &rows[centre - d * width + first..][..LANES];
            let behind = &rows[centre + d * width + first..][..LANES];
            for lane in 0..LANES {
                let pair = u32::from(before[lane]) + u32::from(behind[lane]);
                sums[lane] = sums[lane].wrapping_add(pair.wrapping_mul(weight)); // at most 2^32 - 2^16 in the end
            }
        }
        out.iter_mut().zip(&sums).for_each(|(out, sum)| *out = sum / (ONE / UNITS));
    }
}

#[inline(always)]
fn add(sums: &mut [u32; LANES], codes: &[u16], weight: u32) {
    sums.iter_mut().zip(codes).for_each(|(sum, &code)| *sum = sum.wrapping_add(u32::from(code).wrapping_mul(weight)));
}

/// Weighted sums of rows in [`UNITS`]: 24-bit values, 16-bit weights. Of each sum, `low` has the 32 lowest bits, and `high` is
/// what it would be without the 8 lowest bits of every addend: less than 2^24 below the sum, so both together are the sum.
#[inline(always)]
fn from_fixed(rows: &[u32], places: &Places, weights: &[u32], out: &mut [u32]) {
    for (first, out) in (0..).step_by(LANES).zip(out.chunks_exact_mut(LANES)) {
        let (mut low, mut high) = ([0u32; LANES], [0u32; LANES]);
        let centre = &rows[places.centre + first..][..LANES];
        for lane in 0..LANES {
            low[lane] = centre[lane].wrapping_mul(weights[0]);
            high[lane] = (centre[lane] >> 8).wrapping_mul(weights[0]);
        }
        for (&(before, behind), &weight) in places.pairs.iter().zip(&weights[1..]) {
            let before = &rows[before + first..][..LANES];
            let behind = &rows[behind + first..][..LANES];
            for lane in 0..LANES {
                let pair = before[lane].wrapping_add(behind[lane]);
                low[lane] = low[lane].wrapping_add(pair.wrapping_mul(weight));
                high[lane] = high[lane].wrapping_add((pair >> 8).wrapping_mul(weight));
            }
        }
        for lane in 0..LANES {
            let lost = low[lane].wrapping_sub(high[lane] << 8).wrapping_add(ONE / 2);
            out[lane] = high[lane].wrapping_add(lost >> 8) >> 8;
        }
    }
}

/// A box of voxels on the device: what is wanted of it, and what is there of it for that.
struct Brick {
    rows: Range<usize>,
    slices: Range<usize>,
    rows_there: Range<usize>,
    slices_there: Range<usize>,
}

/// `range` with so many more on both sides, as far as there are.
fn widened(range: &Range<usize>, by: usize, end: usize) -> Range<usize> {
    range.start.saturating_sub(by)..(range.end + by).min(end)
}

impl Gaussian {
    fn on_gpu<T: Voxel>(&self, slab: &Slab<T>, coding: &Coding, wanted: &Range<usize>, gpu: &Gpu, rt: &Runtime) -> Result<Vec<u32>, Error> {
        let [nx, ny, nz] = slab.dims();
        let text = include_str!("../../../shaders/gaussian.wgsl");
        let programs = [gpu.program("gaussian", text, "codes")?, gpu.program("gaussian", text, "fixed")?];
        let there = [0, 1, 2].map(|axis| gpu.upload("the weights of a smoothing", &self.weights[axis]));
        let [i, j, k] = there;
        let weights = [i?, j?, k?];
        let [rows_at_once, slices_at_once] = self.brick(slab.dims(), wanted.len(), gpu)?;
        let mut out = vec![0u32; wanted.len() * nx * ny];
        for first in wanted.clone().step_by(slices_at_once) {
            rt.step("gaussian", (first - wanted.start) as f64 / wanted.len() as f64)?;
            let slices = first..(first + slices_at_once).min(wanted.end);
            for row in (0..ny).step_by(rows_at_once) {
                let rows = row..(row + rows_at_once).min(ny);
                let (rows_there, slices_there) = (widened(&rows, self.reach(1), ny), widened(&slices, self.reach(2), nz));
                let brick = Brick { rows, slices: slices.clone(), rows_there, slices_there };
                let values = self.brick_on_gpu(slab, coding, &brick, &programs, &weights, gpu)?;
                for (k, values) in slices.clone().zip(values.chunks(brick.rows.len() * nx)) {
                    out[((k - wanted.start) * ny + row) * nx..][..values.len()].copy_from_slice(values);
                }
            }
        }
        Ok(out)
    }

    /// Rows and slices that fit a slab at every step: all rows where they do, else one slice of fewer.
    fn brick(&self, [nx, ny, nz]: [usize; 3], wanted: usize, gpu: &Gpu) -> Result<[usize; 2], GpuError> {
        let needed = |rows: usize, slices: usize| {
            let (rows_there, slices_there) = ((rows + 2 * self.reach(1)).min(ny), (slices + 2 * self.reach(2)).min(nz));
            (nx * rows_there * slices_there * 2).max(nx * rows_there * slices * 4)
        };
        let fits = |rows: usize, slices: usize| needed(rows, slices) <= gpu.slab_bytes();
        if let Some(slices) = (1..=wanted).take_while(|&slices| fits(ny, slices)).last() {
            return Ok([ny, slices]);
        }
        let rows = (1..=ny).take_while(|&rows| fits(rows, 1)).last();
        let allowed = gpu.slab_bytes() as u64;
        rows.map(|rows| [rows, 1]).ok_or(GpuError::Limits { what: "a row with its neighbours", needed: needed(1, 1) as u64, allowed })
    }

    fn brick_on_gpu<T: Voxel>(
        &self,
        slab: &Slab<T>,
        coding: &Coding,
        brick: &Brick,
        [codes, fixed]: &[Program; 2],
        weights: &[Buffer; 3],
        gpu: &Gpu,
    ) -> Result<Vec<u32>, Error> {
        let nx = slab.dims()[0];
        let (rows, slices) = (brick.rows.len(), brick.slices.len());
        let mut values = vec![];
        for k in brick.slices_there.clone() {
            brick.rows_there.clone().for_each(|j| values.extend_from_slice(slab.row(j, k)));
        }
        let source = gpu.upload("the voxels of a brick", &coding.encoded(&values))?;
        // (distance in memory, voxels before, voxels after, first wanted)
        let steps = [
            (nx * brick.rows_there.len(), brick.slices_there.len(), slices, brick.slices.start - brick.slices_there.start),
            (nx, brick.rows_there.len(), rows, brick.rows.start - brick.rows_there.start),
            (1, nx, nx, 0),
        ];
        let sizes = [nx * brick.rows_there.len() * slices, nx * rows * slices, nx * rows * slices];
        let mut before = source;
        for (step, axis) in [2, 1, 0].into_iter().enumerate() {
            let (stride, there, wanted, first) = steps[step];
            let after = gpu.zeroed("sums of a brick", sizes[step] * 4)?;
            let parameters = [stride, there, wanted, first, self.reach(axis)].map(|p| p as u32); // all below the slab's bytes
            gpu.run(if axis == 2 { codes } else { fixed }, &parameters, &[&before, &weights[axis], &after], sizes[step])?;
            before = after;
        }
        let mut out = vec![0; nx * rows * slices];
        gpu.read(&before, &mut out)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_to_a_step_is_right_to_half_a_unit_of_the_weights() {
        for sigma in [0.3, 0.5, 1.0, 1.7, 2.0, 5.0, 31.9] {
            let integers = weights(sigma);
            assert_eq!(integers[0] + 2 * integers[1..].iter().sum::<u32>(), ONE);
            let bell = |d: i32| libm::exp(-0.5 * f64::from(d) * f64::from(d) / (sigma * sigma));
            let reach = (4.0 * sigma + 0.5) as i32;
            let whole: f64 = (-reach..=reach).map(bell).sum();
            for from in 1..=reach {
                let truth = (from..=reach).map(bell).sum::<f64>() / whole;
                let found = f64::from(integers.iter().skip(from as usize).sum::<u32>()) / f64::from(ONE);
                assert!((found - truth).abs() <= 0.5000001 / f64::from(ONE), "{sigma} from {from}: {found} for {truth}");
            }
        }
        assert_eq!(weights(0.0), [ONE]);
    }

    #[test]
    fn every_set_of_instructions_gives_the_same_bits() {
        let dims = [77, 9, 30];
        let data: Vec<i16> = (0..dims.iter().product::<usize>() as u64).map(|at| crate::noise::hash(5, at) as i16).collect();
        let (slab, smoothing) = (Slab::new(&data, dims, 0).unwrap(), Gaussian::new([2.0, 1.2, 3.0]).unwrap());
        let coding = Coding::of_type::<i16>().unwrap();
        let (mut best, mut plain) = (vec![0; 5 * 77 * 9], vec![0; 5 * 77 * 9]);
        smoothing.tile(&slab, &coding, 11, 0..77, &mut smoothing.scratch(77), &mut best);
        smoothing.tile_anywhere(&slab, &coding, 11, 0..77, &mut smoothing.scratch(77), &mut plain);
        assert!(best == plain && best.iter().any(|&v| v != best[0]));
    }
}
