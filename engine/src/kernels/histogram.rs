//! How often each value occurs.
//!
//! One bin a code where the codes between the smallest and the largest value are few ([`BINS`]) or the type has 16 bits or
//! less; otherwise [`BINS`] equal bins, or fewer of a whole number of codes each. Counts are exact and the same on every
//! backend: a value belongs to the last bin whose lower edge, rounded up to the voxel type, is not above it.
//! Infinities and not-a-number are not counted. A volume in pieces counts with [`Counting`].
//! Cost: one pass over the voxels of types of up to 16 bits on the CPU, two otherwise.

use std::marker::PhantomData;

use rayon::prelude::*;

use crate::Error;
use crate::gpu::Gpu;
use crate::runtime::Runtime;
use crate::volume::{Slices, Volume, Voxel};

use super::codes::{Coding, value_range};
use super::keys;

/// Bins for types wider than 16 bits.
pub const BINS: usize = 1 << 16;
/// Tables that take the codes in turn.
const WAYS: usize = 4;
/// Codes a task of their count, and at once: no table's count overflows.
const CODES_PER_TASK: usize = 1 << 18;
const MOST_AT_ONCE: usize = 1 << 31;

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

/// The same for a volume that may not fit memory; on the CPU where it is read piece by piece.
pub fn histogram_of_slices<T: Voxel>(slices: &Slices<T>, rt: &Runtime) -> Result<Histogram, Error> {
    rt.step("histogram", 0.0)?;
    let on_gpu = |values: &[T]| rt.on_gpu("histogram", |gpu| on_gpu(values, gpu, rt));
    let found = match slices.held().map(|whole| on_gpu(whole.data())).transpose()?.flatten() {
        Some(found) => found,
        None => counted(slices, rt)?,
    };
    found.ok_or_else(|| Error::input("histogram.no_values", "no voxel has a finite value; allowed are numbers: export the volume again"))
}

fn counted<T: Voxel>(slices: &Slices<T>, rt: &Runtime) -> Result<Option<Histogram>, Error> {
    let done = |slice: usize| slice as f64 / slices.grid().dims()[2] as f64;
    let mut range: Option<(f64, f64)> = None;
    if Coding::of_type::<T>().is_none() {
        slices.pass(0, |own, slab| {
            rt.step("histogram", 0.5 * done(own.start))?;
            let wider = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
            range = [range, value_range(slab.of(own))].into_iter().flatten().reduce(wider);
            Ok(())
        })?;
    }
    let mut counting = Counting::<T>::new(range);
    slices.pass(0, |own, slab| {
        rt.step("histogram", 0.5 + 0.5 * done(own.start))?;
        counting.add(slab.of(own));
        Ok(())
    })?;
    Ok(counting.finish())
}

/// Counts values handed over in any pieces and order; the histogram is that of all of them at once.
#[derive(Clone, Debug)]
pub struct Counting<T> {
    bins: Option<Bins>,
    counts: Vec<u64>,
    of: PhantomData<T>,
}

/// Where bins lie; keys of their lower edges in `edges`, which types with a bin a code do without.
#[derive(Clone, Debug)]
struct Bins {
    min: f64,
    max: f64,
    width: f64,
    edges: Vec<[u32; 2]>,
}

impl<T: Voxel> Counting<T> {
    /// Of values whose smallest and largest finite ones are known (see [`value_range`]). Types of up to 16 bits need no range: one
    /// pass over the voxels is all.
    pub fn new(range: Option<(f64, f64)>) -> Self {
        let (bins, count) = match (Coding::of_type::<T>(), range) {
            (Some(_), _) => (None, 1 << 16),
            (None, Some((min, max))) => {
                let bins = Bins::new::<T>(min, max);
                let count = bins.edges.len();
                (Some(bins), count)
            }
            (None, None) => (None, 0),
        };
        Counting { bins, counts: vec![0; count], of: PhantomData }
    }

    /// Counts these values. Those outside the range are left out, as are infinities and what is no number.
    pub fn add(&mut self, values: &[T]) {
        if let Some(coding) = Coding::of_type::<T>() {
            let tables = || Tables(vec![0; WAYS << 16]);
            for values in values.chunks(MOST_AT_ONCE) {
                let least = values.len().div_ceil(CODES_PER_TASK).div_ceil(most_parts());
                let count = |mut tables: Tables, values: &[T]| {
                    tables.count(values, &coding);
                    tables
                };
                let parts: Vec<_> = values.par_chunks(CODES_PER_TASK).with_min_len(least).fold(tables, count).collect();
                for counts in parts.iter().flat_map(|tables| tables.0.chunks(1 << 16)) {
                    self.counts.iter_mut().zip(counts).for_each(|(sum, &n)| *sum += u64::from(n));
                }
            }
        } else if let Some(bins) = &self.bins {
            let part = |values: &[T]| bins.count(values);
            let parts: Vec<Vec<u64>> = values.par_chunks(values.len().div_ceil(most_parts()).max(1)).map(part).collect();
            parts.iter().for_each(|part| self.counts.iter_mut().zip(part).for_each(|(sum, n)| *sum += n));
        }
    }

    /// The histogram; `None` where no value was counted.
    pub fn finish(self) -> Option<Histogram> {
        let first = self.counts.iter().position(|&n| n > 0)?;
        let Some(zero) = Coding::of_type::<T>().map(|coding| coding.zero) else {
            return Some(self.bins?.histogram::<T>(self.counts));
        };
        let last = self.counts.iter().rposition(|&n| n > 0)?;
        let bins = Bins { min: zero + first as f64, max: zero + last as f64, width: 1.0, edges: vec![] };
        Some(bins.histogram::<T>(self.counts[first..=last].to_vec()))
    }
}

/// Parts with counts of their own: no more of them than keep the threads busy, since each takes up to a mebibyte.
fn most_parts() -> usize {
    2 * rayon::current_num_threads()
}

/// Counts of codes in several tables side by side: equal values in a row would otherwise wait for one another.
struct Tables(Vec<u32>);

impl Tables {
    fn count<T: Voxel>(&mut self, values: &[T], coding: &Coding) {
        // Arrays as long as there are codes: no index needs a look at its bounds.
        let [a, b, c, d] = self.0.as_chunks_mut::<{ 1 << 16 }>().0 else { unreachable!("one table for each way") };
        let mut fours = values.chunks_exact(WAYS);
        for four in &mut fours {
            a[usize::from(coding.code(four[0]))] += 1;
            b[usize::from(coding.code(four[1]))] += 1;
            c[usize::from(coding.code(four[2]))] += 1;
            d[usize::from(coding.code(four[3]))] += 1;
        }
        fours.remainder().iter().for_each(|&v| a[usize::from(coding.code(v))] += 1);
    }
}

impl Bins {
    fn new<T: Voxel>(min: f64, max: f64) -> Bins {
        let (width, bins) = binning::<T>(min, max);
        Bins { min, max, width, edges: (0..bins).map(|b| edge::<T>(min + b as f64 * width)).collect() }
    }

    fn histogram<T: Voxel>(self, counts: Vec<u64>) -> Histogram {
        let half = if keys::is_float::<T>() { 0.5 * self.width } else { 0.5 * (self.width - 1.0) };
        Histogram { min: self.min, max: self.max, bin_width: self.width, counts, first_centre: self.min + half }
    }

    fn count<T: Voxel>(&self, values: &[T]) -> Vec<u64> {
        let mut counts = vec![0u64; self.edges.len()];
        for &value in values {
            let v = value.to_f64();
            if v >= self.min && v <= self.max {
                counts[self.bin_of(v, value)] += 1;
            }
        }
        counts
    }

    #[inline]
    fn bin_of<T: Voxel>(&self, v: f64, value: T) -> usize {
        if self.width == 1.0 && !keys::is_float::<T>() {
            return (v - self.min) as usize;
        }
        // The division may be off by one bin; the edges decide.
        let last = self.edges.len() - 1;
        let mut bin = if self.width > 0.0 { (((v - self.min) / self.width) as usize).min(last) } else { 0 };
        let key = keys::key(value);
        while self.edges[bin] > key {
            bin -= 1;
        }
        while bin < last && self.edges[bin + 1] <= key {
            bin += 1;
        }
        bin
    }
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

fn on_gpu<T: Voxel>(data: &[T], gpu: &Gpu, rt: &Runtime) -> Result<Option<Histogram>, Error> {
    let program = gpu.program("histogram", &[keys::WGSL, include_str!("../../../shaders/histogram.wgsl")].concat(), "main")?;
    let a_bin_a_code = Coding::of_type::<T>().is_some();
    let mut counting = Counting::<T>::new(if a_bin_a_code { None } else { value_range(data) });
    let edges = match &counting.bins {
        Some(bins) => bins.edges.clone(),
        None if a_bin_a_code => (0..1u32 << (8 * size_of::<T>())).map(|code| [0, code]).collect(),
        None => return Ok(None),
    };
    let largest = counting.bins.as_ref().map_or([0, u32::from(u16::MAX)], |bins| edge::<T>(bins.max));
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
            let [is_last, a_bin_a_code] = [piece.end == edges.len(), a_bin_a_code].map(u32::from);
            let parameters = [keys::kind::<T>(), piece.len() as u32, end[0], end[1], is_last, a_bin_a_code];
            gpu.run(&program, &parameters, &[&values_there, &edges_there, &out], values.len())?;
            let mut counted = vec![0u32; piece.len()];
            gpu.read(&out, &mut counted)?;
            counting.counts[piece].iter_mut().zip(counted).for_each(|(sum, n)| *sum += u64::from(n));
        }
    }
    Ok(counting.finish())
}
