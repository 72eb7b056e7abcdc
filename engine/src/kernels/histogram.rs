//! How often each value occurs.
//!
//! One bin a code where the codes between the smallest and the largest value are few ([`BINS`]) or the type has 16 bits or
//! less; otherwise [`BINS`] equal bins, or fewer of a whole number of codes each. Counts are exact and the same on every
//! backend: a value belongs to the last bin whose lower edge, rounded up to the voxel type, is not above it.
//! Infinities and not-a-number are not counted. Cost: two passes over the voxels.

use rayon::prelude::*;

use crate::Error;
use crate::gpu::Gpu;
use crate::runtime::Runtime;
use crate::volume::{Slices, Volume, Voxel};

use super::keys;

/// Bins for types wider than 16 bits.
pub const BINS: usize = 1 << 16;
/// Voxels a task of the CPU path; a task holds its own counts.
const VOXELS_PER_TASK: usize = 1 << 20;

/// Counts of stored values.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Smallest and largest finite stored value.
    pub min: f64,
    pub max: f64,
    /// Stored units a bin.
    pub bin_width: f64,
    /// One a bin, from `min` up.
    pub counts: Vec<u64>,
    /// Middle of the first bin, in stored units.
    first_centre: f64,
}

impl Histogram {
    /// The middle of a bin in stored units: for integer types the mean of its codes.
    pub fn centre(&self, bin: usize) -> f64 {
        self.first_centre + bin as f64 * self.bin_width
    }

    /// The middles of all bins.
    pub fn centres(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.counts.len()).map(|bin| self.centre(bin))
    }

    /// Voxels counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The histogram of the stored values. Errors: a volume without a finite value; faults of the GPU where the run insists on it.
pub fn histogram<T: Voxel>(volume: &Volume<T>, rt: &Runtime) -> Result<Histogram, Error> {
    histogram_of_slices(&volume.slices(), rt)
}

/// The same for a volume that may not fit memory.
pub fn histogram_of_slices<T: Voxel>(slices: &Slices<T>, rt: &Runtime) -> Result<Histogram, Error> {
    let done = |slice: usize| slice as f64 / slices.grid().dims()[2] as f64;
    let mut found = NOTHING;
    slices.pass(0, |own, slab| {
        rt.step("histogram", 0.5 * done(own.start))?;
        found = range(slab.of(own)).into_iter().fold(found, join);
        Ok(())
    })?;
    let (min, max) = found;
    if min > max {
        return Err(Error::input("histogram.no_values", "no voxel has a finite value; allowed are numbers: export the volume again"));
    }
    let (bin_width, bins) = binning::<T>(min, max);
    let edges: Vec<[u32; 2]> = (0..bins).map(|b| edge::<T>(min + b as f64 * bin_width)).collect();
    let mut counts = vec![0u64; bins];
    slices.pass(0, |own, slab| {
        rt.step("histogram", 0.5 + 0.5 * done(own.start))?;
        let values = slab.of(own);
        let more = match rt.on_gpu("histogram", |gpu| on_gpu(values, max, &edges, gpu, rt))? {
            Some(counts) => counts,
            None => on_cpu(values, (min, max), bin_width, &edges),
        };
        counts.iter_mut().zip(more).for_each(|(sum, n)| *sum += n);
        Ok(())
    })?;
    let half = if keys::is_float::<T>() { 0.5 * bin_width } else { 0.5 * (bin_width - 1.0) };
    Ok(Histogram { min, max, bin_width, counts, first_centre: min + half })
}

/// The range of no values.
const NOTHING: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

fn join(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    (a.0.min(b.0), a.1.max(b.1))
}

/// Smallest and largest finite value.
pub(super) fn range<T: Voxel>(data: &[T]) -> Option<(f64, f64)> {
    let of = |chunk: &[T]| {
        if keys::is_float::<T>() {
            return chunk.iter().map(|v| v.to_f64()).filter(|v| v.is_finite()).fold(NOTHING, |a, v| (a.0.min(v), a.1.max(v)));
        }
        // Integers are compared as they are: half the time.
        let (low, high) = chunk.iter().fold((chunk[0], chunk[0]), |(a, b), &v| (if v < a { v } else { a }, if v > b { v } else { b }));
        (low.to_f64(), high.to_f64())
    };
    let (min, max) = data.par_chunks(VOXELS_PER_TASK).map(of).reduce(|| NOTHING, join);
    (min <= max).then_some((min + 0.0, max + 0.0))
}

/// Width of a bin and number of bins.
fn binning<T: Voxel>(min: f64, max: f64) -> (f64, usize) {
    if keys::is_float::<T>() {
        let width = max / BINS as f64 - min / BINS as f64; // divided first: the difference of the largest values overflows
        return if min + width > min { (width, BINS) } else { (0.0, 1) };
    }
    let codes = max - min + 1.0;
    let width = if size_of::<T>() <= 2 { 1.0 } else { (codes / BINS as f64).ceil() };
    (width, (codes / width).ceil() as usize)
}

fn edge<T: Voxel>(x: f64) -> [u32; 2] {
    keys::key(keys::smallest_at_least::<T>(x).expect("edges lie between the smallest and the largest value"))
}

fn on_cpu<T: Voxel>(data: &[T], (min, max): (f64, f64), bin_width: f64, edges: &[[u32; 2]]) -> Vec<u64> {
    let last = edges.len() - 1;
    let bin_of = |v: f64, value: T| {
        if bin_width == 1.0 && !keys::is_float::<T>() {
            return (v - min) as usize;
        }
        // The division may be off by one bin; the edges decide.
        let mut bin = if bin_width > 0.0 { (((v - min) / bin_width) as usize).min(last) } else { 0 };
        let key = keys::key(value);
        while edges[bin] > key {
            bin -= 1;
        }
        while bin < last && edges[bin + 1] <= key {
            bin += 1;
        }
        bin
    };
    let count = |chunk: &[T]| {
        let mut counts = vec![0u64; edges.len()];
        for &value in chunk {
            let v = value.to_f64();
            if v >= min && v <= max {
                counts[bin_of(v, value)] += 1;
            }
        }
        counts
    };
    let add = |mut a: Vec<u64>, b: Vec<u64>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    };
    data.par_chunks(VOXELS_PER_TASK).map(count).reduce(|| vec![0; edges.len()], add)
}

fn on_gpu<T: Voxel>(data: &[T], max: f64, edges: &[[u32; 2]], gpu: &Gpu, rt: &Runtime) -> Result<Vec<u64>, Error> {
    let program = gpu.program("histogram", &[keys::WGSL, include_str!("../../../shaders/histogram.wgsl")].concat(), "main")?;
    let largest = edge::<T>(max);
    let mut counts = vec![0u64; edges.len()];
    // Bins are cut too: their edges and counts must fit a slab.
    let bins_at_once = (gpu.slab_bytes() / 8).min(edges.len());
    let voxels_at_once = (gpu.slab_bytes() / size_of::<T>()).max(1);
    let tasks = data.len().div_ceil(voxels_at_once);
    for (task, values) in data.chunks(voxels_at_once).enumerate() {
        rt.step("histogram", task as f64 / tasks as f64)?;
        let values_there = gpu.upload("the voxels of a slab", values)?;
        for first in (0..edges.len()).step_by(bins_at_once) {
            let piece = first..(first + bins_at_once).min(edges.len());
            let edges_there = gpu.upload("the edges of bins", &edges[piece.clone()])?;
            let out = gpu.zeroed("the counts of bins", piece.len() * 4)?;
            // A value belongs here below the first edge of the next piece; in the last piece up to the largest value.
            let end = edges.get(piece.end).unwrap_or(&largest);
            let parameters = [keys::kind::<T>(), piece.len() as u32, end[0], end[1], u32::from(piece.end == edges.len())];
            gpu.run(&program, &parameters, &[&values_there, &edges_there, &out], values.len())?;
            let mut counted = vec![0u32; piece.len()];
            gpu.read(&out, &mut counted)?;
            counts[piece].iter_mut().zip(counted).for_each(|(sum, n)| *sum += u64::from(n));
        }
    }
    Ok(counts)
}
