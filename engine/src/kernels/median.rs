//! The median of the 27 voxels around each voxel, by sorting networks on rows of voxels side by side.
//!
//! Values become 16-bit codes ([`Coding`]; exact for types of up to 16 bits). Triples are sorted along k, then along j, then along i, each
//! shared by the voxels that meet it (after Kolte, Smith & Su 1999). In a block sorted along all three axes the element at ranks (a, b, c) has
//! at least (a+1)(b+1)(c+1) - 1 others below it, so four elements at either end cannot be the median; it is selected from the
//! other 19 by taking away the smallest and the largest of those that remain. Beyond the volume its outermost voxels go on.
//! A median moves curved edges and rounds corners off: for masks, not for measuring. The CPU alone does it.
//! Cost: 2 bytes a voxel for the result, some 240 minima and maxima a voxel.

use std::ops::Range;

use rayon::prelude::*;

use crate::Error;
use crate::runtime::Runtime;
use crate::volume::{Slab, Slices, Volume, Voxel};

use super::codes::Coding;

/// Voxels side by side.
const LANES: usize = 32;
/// Slices at once, between two looks at the caller's wish to stop.
const BATCH: usize = 64;

type Lanes = [u16; LANES];

/// The median of each voxel and its 26 neighbours; the rescale makes physical values of the codes.
/// Errors: a cancelled run, and as [`Coding::rescale`] has them.
pub fn median<T: Voxel>(volume: &Volume<T>, rt: &Runtime) -> Result<Volume<u16>, Error> {
    let (slab, coding) = (volume.slab(), Coding::of(volume));
    let [nx, ny, nz] = slab.dims();
    let mut out = vec![0; nx * ny * nz];
    for (batch, medians) in out.chunks_mut(BATCH * nx * ny).enumerate() {
        rt.step("median", (batch * BATCH) as f64 / nz as f64)?;
        filter(&slab, &coding, batch * BATCH, medians);
    }
    Ok(Volume::new(*volume.grid(), coding.rescale(volume.rescale(), 1)?, out).expect("a value for every voxel"))
}

/// The same, found anew for the slices that each pass asks for: no second volume is held. Errors: as [`Coding::rescale`] has them.
pub fn medians<'a, T: Voxel>(slices: &'a Slices<'_, T>, coding: Coding) -> Result<Slices<'a, u16>, Error> {
    let [nx, ny, nz] = slices.grid().dims();
    let read = move |wanted: Range<usize>, out: &mut Vec<u16>| {
        let mut buffer = vec![];
        let slab = slices.part(wanted.start.saturating_sub(1)..(wanted.end + 1).min(nz), &mut buffer)?;
        let before = out.len();
        out.resize(before + wanted.len() * nx * ny, 0);
        filter(&slab, &coding, wanted.start, &mut out[before..]);
        Ok(())
    };
    let rescale = coding.rescale(slices.rescale(), 1)?;
    let view = Slices::read(*slices.grid(), rescale, slices.at_once().min(BATCH), Box::new(read));
    Ok(view.expect("the rescale was looked at").beside(slices.bytes()))
}

/// The medians of whole slices from `first` on.
fn filter<T: Voxel>(slab: &Slab<T>, coding: &Coding, first: usize, medians: &mut [u16]) {
    let [nx, ny, _] = slab.dims();
    medians
        .par_chunks_mut(nx * ny)
        .enumerate()
        .for_each_init(|| Scratch::new(nx), |scratch, (k, out)| slice(slab, coding, first + k, scratch, out));
}

/// Rows of codes; all as wide as whole lanes with a voxel to both sides.
struct Scratch {
    codes: [Vec<u16>; 3],
    /// Triples sorted along k: row j lies at `j % 3`.
    ring: [[Vec<u16>; 3]; 3],
    /// Sorted along j too; column i at i + 1.
    blocks: [[Vec<u16>; 3]; 3],
}

impl Scratch {
    fn new(nx: usize) -> Scratch {
        let row = || vec![0; nx.next_multiple_of(LANES) + LANES];
        let rows = || std::array::from_fn(|_| row());
        Scratch { codes: rows(), ring: std::array::from_fn(|_| rows()), blocks: std::array::from_fn(|_| rows()) }
    }
}

fn slice<T: Voxel>(slab: &Slab<T>, coding: &Coding, k: usize, scratch: &mut Scratch, out: &mut [u16]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bw") {
        // SAFETY: the processor has the features that the function asks for.
        return unsafe { slice_avx512(slab, coding, k, scratch, out) };
    } else if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: as above.
        return unsafe { slice_avx2(slab, coding, k, scratch, out) };
    }
    slice_anywhere(slab, coding, k, scratch, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn slice_avx512<T: Voxel>(slab: &Slab<T>, coding: &Coding, k: usize, scratch: &mut Scratch, out: &mut [u16]) {
    slice_anywhere(slab, coding, k, scratch, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn slice_avx2<T: Voxel>(slab: &Slab<T>, coding: &Coding, k: usize, scratch: &mut Scratch, out: &mut [u16]) {
    slice_anywhere(slab, coding, k, scratch, out);
}

#[inline(always)]
fn slice_anywhere<T: Voxel>(slab: &Slab<T>, coding: &Coding, k: usize, scratch: &mut Scratch, out: &mut [u16]) {
    let [nx, ny, nz] = slab.dims();
    let Scratch { codes, ring, blocks } = scratch;
    let width = nx.next_multiple_of(LANES);
    let mut done = 0; // rows sorted along k
    for (j, out) in out.chunks_mut(nx).enumerate() {
        while done < ny.min(j + 2) {
            for (codes, k) in codes.iter_mut().zip([k.saturating_sub(1), k, (k + 1).min(nz - 1)]) {
                coding.encode(slab.row(done, k), &mut codes[..nx]);
            }
            sort_rows([&codes[0], &codes[1], &codes[2]], 0, width, &mut ring[done % 3]);
            done += 1;
        }
        let near = [j.saturating_sub(1) % 3, j % 3, (j + 1).min(ny - 1) % 3];
        for (rank, block) in blocks.iter_mut().enumerate() {
            sort_rows(near.map(|row| &ring[row][rank]), 1, width, block);
            for row in block {
                row[0] = row[1];
                row[nx + 1] = row[nx];
            }
        }
        for first in (0..nx).step_by(LANES) {
            let medians = select(candidates(blocks, first));
            let count = (nx - first).min(LANES);
            out[first..first + count].copy_from_slice(&medians[..count]);
        }
    }
}

/// Sorts three rows column by column into three, from column `to` on.
#[inline(always)]
fn sort_rows([a, b, c]: [&Vec<u16>; 3], to: usize, width: usize, sorted: &mut [Vec<u16>; 3]) {
    for first in (0..width).step_by(LANES) {
        let triple = sort([lanes(a, first), lanes(b, first), lanes(c, first)]);
        for (row, lanes) in sorted.iter_mut().zip(&triple) {
            row[to + first..][..LANES].copy_from_slice(lanes);
        }
    }
}

#[inline(always)]
fn lanes(row: &[u16], first: usize) -> Lanes {
    let mut lanes = [0; LANES];
    lanes.copy_from_slice(&row[first..][..LANES]);
    lanes
}

#[inline(always)]
fn sort([a, b, c]: [Lanes; 3]) -> [Lanes; 3] {
    let (a, b) = ordered(a, b);
    let (b, c) = ordered(b, c);
    let (a, b) = ordered(a, b);
    [a, b, c]
}

#[inline(always)]
fn ordered(a: Lanes, b: Lanes) -> (Lanes, Lanes) {
    let (mut low, mut high) = (a, b);
    for lane in 0..LANES {
        low[lane] = a[lane].min(b[lane]);
        high[lane] = a[lane].max(b[lane]);
    }
    (low, high)
}

/// Elements that may be the median.
const CANDIDATES: usize = 19;

/// Sorts the triples along i and leaves out the four elements at both ends.
#[inline(always)]
fn candidates(blocks: &[[Vec<u16>; 3]; 3], first: usize) -> [Lanes; CANDIDATES] {
    let mut all = [[0; LANES]; CANDIDATES];
    let mut count = 0;
    for (a, rows) in blocks.iter().enumerate() {
        for (b, row) in rows.iter().enumerate() {
            let triple = sort([lanes(row, first), lanes(row, first + 1), lanes(row, first + 2)]);
            for (c, lanes) in triple.into_iter().enumerate() {
                if (2..=4).contains(&(a + b + c)) {
                    all[count] = lanes;
                    count += 1;
                }
            }
        }
    }
    all
}

/// The median of 19: of any 11 of them neither the smallest nor the largest is it; then of ten and so on.
#[inline(always)]
fn select(all: [Lanes; CANDIDATES]) -> Lanes {
    const HELD: usize = CANDIDATES / 2 + 2;
    let mut held = [[0; LANES]; HELD];
    held.copy_from_slice(&all[..HELD]);
    let mut size = HELD;
    let mut next = HELD;
    loop {
        // The smaller of each pair to the front, the larger to the back; then the extremes to the ends.
        for at in 0..size / 2 {
            (held[at], held[size - 1 - at]) = ordered(held[at], held[size - 1 - at]);
        }
        for at in 1..size.div_ceil(2) {
            (held[0], held[at]) = ordered(held[0], held[at]);
        }
        for at in size / 2..size - 1 {
            (held[at], held[size - 1]) = ordered(held[at], held[size - 1]);
        }
        if size == 3 {
            return held[1];
        }
        // The next candidate takes the place of the smallest; the largest falls off the end.
        held[0] = all[next];
        next += 1;
        size -= 1;
    }
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
        slice(&slab, &coding, 2, &mut Scratch::new(77), &mut best);
        slice_anywhere(&slab, &coding, 2, &mut Scratch::new(77), &mut plain);
        assert!(best == plain && best.iter().any(|&v| v != best[0]));
    }
}
