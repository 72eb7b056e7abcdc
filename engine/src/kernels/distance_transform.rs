//! Distance from each voxel of a mask to the nearest voxel outside it, centre to centre.
//!
//! Squared distances in voxels are integers and exact. Separable (Saito & Toriwaki 1994): along i from runs of bits, then along
//! j and k the minimum of `f(y') + (y - y')²`. Part interiors are near their surface, so that minimum is searched outwards,
//! 16 columns side by side, until the step alone exceeds what is found; where distances are long the search runs out of its
//! budget and the lower envelope of parabolas (Meijster, Roerdink & Hesselink 2000), linear in the column, takes over.
//!
//! Whether the outside of the grid is background is the caller's choice ([`Border`]). A mask without any background has
//! [`NO_BACKGROUND`] everywhere. The GPU does this integer case; unequal spacing is settled on the host in f64, column by
//! column in a fixed order. Cost: 4 bytes a voxel for the result (8 in mm²), scratch of some rows a thread.

use rayon::prelude::*;

use crate::Error;
use crate::gpu::{Buffer, Gpu, GpuError};
use crate::runtime::Runtime;
use crate::volume::Mask;

/// Distance where there is no background at all.
pub const NO_BACKGROUND: u32 = u32::MAX;

/// What lies beyond the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// Nothing is known of it: it is not background.
    Unknown,
    /// Background, from the first voxel beyond the grid on.
    Background,
}

/// Larger than any squared distance that is computed, and small enough to add one to.
const FAR: u32 = 1 << 30;
/// Columns searched together: a cache line of distances.
const LANES: usize = 16;
/// Groups of columns copied together, so that far strides fetch whole stretches of memory.
const GROUPS: usize = 4;
/// Steps a voxel that the search may take on average before the envelope is faster.
const STEPS: usize = 32;
/// Slices or columns between two looks at the caller's wish to stop.
const BATCH: usize = 64;

type Block = [[u32; LANES]; GROUPS];

/// Squared distance in voxels of every voxel to the nearest background voxel; 0 outside the mask.
/// Errors: extents whose squares add up to 2³⁰ or more; faults of the GPU where the run insists on it.
pub fn distance_transform(mask: &Mask, border: Border, rt: &Runtime) -> Result<Vec<u32>, Error> {
    let dims = mask.dims();
    let reach = dims.iter().try_fold(0usize, |sum, n| n.checked_mul(*n).and_then(|n| n.checked_add(sum)));
    if reach.is_none_or(|r| r >= FAR as usize) {
        let message = format!(
            "the distance transform covers {dims:?} voxels, allowed are extents whose squares add up to less than 2^30: cut the volume"
        );
        return Err(Error::resource("distance_transform.too_large", message));
    }
    let voxels = dims[0] * dims[1] * dims[2];
    if border == Border::Unknown && mask.count() == voxels as u64 {
        return Ok(vec![NO_BACKGROUND; voxels]);
    }
    match rt.on_gpu("distance transform", |gpu| on_gpu(mask, border, gpu, rt))? {
        Some(squares) => Ok(squares),
        None => on_cpu(mask, border, rt),
    }
}

/// The same in mm² for a grid of unequal spacing; infinite where there is no background. On the host alone.
pub fn distance_transform_mm2(mask: &Mask, spacing_mm: [f64; 3], border: Border, rt: &Runtime) -> Result<Vec<f64>, Error> {
    let mut out = vec![0.0; mask.dims().iter().product()];
    let [x, y, z] = spacing_mm.map(|s| s * s);
    let far = f64::INFINITY;
    separably(
        mask,
        &mut out,
        rt,
        |row, out| along_row(row, border, out, |d| (d * d) as f64 * x, far),
        |axis, rows| {
            let square = [y, z][axis];
            let mut column = vec![0.0; rows.len()];
            let mut hull = vec![];
            for i in 0..rows[0].len() {
                column.iter_mut().zip(rows.iter()).for_each(|(c, row)| *c = row[i]);
                envelope_mm2(&column, square, border, &mut hull, |y, value| rows[y][i] = value);
            }
        },
    )?;
    Ok(out)
}

fn on_cpu(mask: &Mask, border: Border, rt: &Runtime) -> Result<Vec<u32>, Error> {
    let mut out = vec![0u32; mask.dims().iter().product()];
    separably(mask, &mut out, rt, |row, out| along_row(row, border, out, |d| (d * d) as u32, FAR), |_, rows| along_columns(rows, border))?;
    Ok(out)
}

/// Runs `along_row` on each row of bits, then `along_columns` on the rows of each slice (axis 0) and on the rows that lie
/// behind each other along k (axis 1).
fn separably<D: Copy + Send>(
    mask: &Mask,
    out: &mut [D],
    rt: &Runtime,
    along_row: impl Fn(&[u64], &mut [D]) + Sync,
    along_columns: impl Fn(usize, &mut [&mut [D]]) + Sync,
) -> Result<(), Error> {
    let [nx, ny, nz] = mask.dims();
    for (batch, slices) in out.chunks_mut(BATCH * nx * ny).enumerate() {
        rt.step("distance transform", 0.5 * (batch * BATCH) as f64 / nz as f64)?;
        slices.par_chunks_mut(nx * ny).enumerate().for_each(|(k, slice)| {
            let mut rows: Vec<&mut [D]> = slice.chunks_mut(nx).collect();
            rows.iter_mut().enumerate().for_each(|(j, row)| along_row(mask.row(j, batch * BATCH + k), row));
            along_columns(0, &mut rows);
        });
    }
    let mut behind: Vec<Vec<&mut [D]>> = (0..ny).map(|_| Vec::with_capacity(nz)).collect();
    out.chunks_mut(nx).enumerate().for_each(|(row, values)| behind[row % ny].push(values));
    for (batch, columns) in behind.chunks_mut(BATCH).enumerate() {
        rt.step("distance transform", 0.5 + 0.5 * (batch * BATCH) as f64 / ny as f64)?;
        columns.par_iter_mut().for_each(|rows| along_columns(1, rows));
    }
    Ok(())
}

/// `square(d)` for each voxel whose nearest background voxel in its row is d away, `far` where the row has none.
fn along_row<D: Copy>(row: &[u64], border: Border, out: &mut [D], square: impl Fn(u64) -> D, far: D) {
    let n = out.len();
    let mut i = 0;
    while i < n {
        let zeros = stretch(row, i, n, false);
        out[i..i + zeros].fill(square(0));
        i += zeros;
        if i == n {
            break;
        }
        let ones = stretch(row, i, n, true);
        let run = &mut out[i..i + ones];
        let (left, right) = (i > 0 || border == Border::Background, i + ones < n || border == Border::Background);
        match (left, right) {
            (true, true) => run.iter_mut().enumerate().for_each(|(x, d)| *d = square((x + 1).min(ones - x) as u64)),
            (true, false) => run.iter_mut().enumerate().for_each(|(x, d)| *d = square((x + 1) as u64)),
            (false, true) => run.iter_mut().enumerate().for_each(|(x, d)| *d = square((ones - x) as u64)),
            (false, false) => run.fill(far),
        }
        i += ones;
    }
}

/// How many bits from `start` on are like `set`, up to bit n.
fn stretch(row: &[u64], start: usize, n: usize, set: bool) -> usize {
    let mut at = start;
    while at < n {
        let others = if set { !row[at / 64] } else { row[at / 64] } >> (at % 64);
        if others != 0 {
            return (at + others.trailing_zeros() as usize).min(n) - start;
        }
        at = (at / 64 + 1) * 64;
    }
    n - start
}

/// Replaces each column f of the rows by `min over y' of f(y') + (y - y')²`.
fn along_columns(rows: &mut [&mut [u32]], border: Border) {
    let (n, width) = (rows.len(), rows[0].len());
    let (mut values, mut done) = (vec![[[0; LANES]; GROUPS]; n], vec![[0; LANES]; n]);
    let mut hull = vec![];
    for first in (0..width).step_by(LANES * GROUPS) {
        let count = (width - first).min(LANES * GROUPS);
        for (block, row) in values.iter_mut().zip(rows.iter()) {
            let flat = block.as_flattened_mut();
            flat[..count].copy_from_slice(&row[first..first + count]);
            flat[count..].fill(0); // found at once
        }
        for group in 0..count.div_ceil(LANES) {
            if !search(&values, group, border, &mut done) {
                for lane in 0..LANES {
                    envelope(&values, group, lane, border, &mut hull, &mut done);
                }
            }
            let from = first + group * LANES;
            let to = (from + LANES).min(width);
            done.iter().zip(rows.iter_mut()).for_each(|(d, row)| row[from..to].copy_from_slice(&d[..to - from]));
        }
    }
}

/// The minima of 16 columns by search outwards; false where that takes too long.
fn search(values: &[Block], group: usize, border: Border, done: &mut [[u32; LANES]]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { search_avx2(values, group, border, done) };
    }
    search_anywhere(values, group, border, done)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn search_avx2(values: &[Block], group: usize, border: Border, done: &mut [[u32; LANES]]) -> bool {
    search_anywhere(values, group, border, done)
}

#[inline(always)]
fn search_anywhere(values: &[Block], group: usize, border: Border, done: &mut [[u32; LANES]]) -> bool {
    let n = values.len();
    let mut budget = STEPS * n;
    for (y, done) in done.iter_mut().enumerate() {
        let mut best = values[y][group];
        if border == Border::Background {
            best.iter_mut().for_each(|b| *b = (*b).min(beyond(y, n)));
        }
        for step in 1..=y.max(n - 1 - y) {
            let square = (step * step) as u32;
            if best.iter().fold(0, |a, &b| a.max(b)) <= square {
                break; // whatever lies further away is no nearer
            }
            if budget == 0 {
                return false;
            }
            budget -= 1;
            if let Some(f) = y.checked_sub(step).map(|y| &values[y][group]) {
                best.iter_mut().zip(f).for_each(|(b, f)| *b = (*b).min(f + square));
            }
            if let Some(f) = values.get(y + step).map(|v| &v[group]) {
                best.iter_mut().zip(f).for_each(|(b, f)| *b = (*b).min(f + square));
            }
        }
        *done = best;
    }
    true
}

/// Squared distance of position y of a column of n to the nearer end beyond it.
fn beyond(y: usize, n: usize) -> u32 {
    let d = (y + 1).min(n - y);
    (d * d) as u32
}

/// The minima of one column by the lower envelope: `hull` holds each parabola's apex and the first position where it is lowest.
fn envelope(values: &[Block], group: usize, lane: usize, border: Border, hull: &mut Vec<(i64, i64)>, done: &mut [[u32; LANES]]) {
    let f = |y: i64| i64::from(values[y as usize][group][lane]);
    let at = |y: i64, apex: i64| f(apex) + (y - apex) * (y - apex);
    let n = values.len() as i64;
    hull.clear();
    for u in (0..n).filter(|&u| f(u) < i64::from(FAR)) {
        while hull.last().is_some_and(|&(apex, from)| at(from, apex) > at(from, u)) {
            hull.pop();
        }
        let from = match hull.last() {
            None => 0,
            // Not negative: at its first position the last parabola is still the lower one.
            Some(&(apex, _)) => 1 + (u * u - apex * apex + f(u) - f(apex)) / (2 * (u - apex)),
        };
        if from < n {
            hull.push((u, from));
        }
    }
    for (y, done) in done.iter_mut().enumerate().rev() {
        while hull.len() > 1 && hull[hull.len() - 1].1 > y as i64 {
            hull.pop();
        }
        let found = hull.last().map_or(FAR, |&(apex, _)| at(y as i64, apex) as u32);
        done[lane] = if border == Border::Background { found.min(beyond(y, values.len())) } else { found };
    }
}

/// The same in f64 with the square of the spacing: Felzenszwalb & Huttenlocher 2012, algorithm 1.
fn envelope_mm2(f: &[f64], square: f64, border: Border, hull: &mut Vec<(usize, f64)>, mut put: impl FnMut(usize, f64)) {
    hull.clear();
    let offset = |u: usize| f[u] / square + (u * u) as f64;
    for u in (0..f.len()).filter(|&u| f[u].is_finite()) {
        let meets = |apex: usize| (offset(u) - offset(apex)) / (2 * (u - apex)) as f64;
        while hull.last().is_some_and(|&(apex, from)| meets(apex) <= from) {
            hull.pop();
        }
        let from = hull.last().map_or(f64::NEG_INFINITY, |&(apex, _)| meets(apex));
        hull.push((u, from));
    }
    let mut part = 0;
    for y in 0..f.len() {
        while hull.get(part + 1).is_some_and(|&(_, from)| from < y as f64) {
            part += 1;
        }
        let found = hull.get(part).map_or(f64::INFINITY, |&(apex, _)| {
            let d = y.abs_diff(apex);
            f[apex] + (d * d) as f64 * square
        });
        let d = (y + 1).min(f.len() - y);
        put(y, if border == Border::Background { found.min((d * d) as f64 * square) } else { found });
    }
}

fn on_gpu(mask: &Mask, border: Border, gpu: &Gpu, rt: &Runtime) -> Result<Vec<u32>, Error> {
    let [nx, ny, nz] = mask.dims();
    let slab = gpu.slab_bytes() / 4;
    let text = include_str!("../../../shaders/distance_transform.wgsl");
    let (along_rows, along_columns) =
        (gpu.program("distance_transform", text, "rows")?, gpu.program("distance_transform", text, "columns")?);
    let background = u32::from(border == Border::Background);
    let fit = |what, words: usize| {
        if words <= slab { Ok(()) } else { Err(GpuError::Limits { what, needed: words as u64 * 4, allowed: slab as u64 * 4 }) }
    };
    fit("a slice of distances", nx * ny)?;
    fit("a column of distances", nx * nz)?;
    // Slabs of slices: along i and j. They stay on the device.
    let slices = (slab / (nx * ny)).min(slab / (2 * mask.words_per_row() * ny)).max(1);
    let mut slabs: Vec<Buffer> = vec![];
    for first in (0..nz).step_by(slices) {
        rt.step("distance transform", 0.5 * first as f64 / nz as f64)?;
        let words_per_slice = mask.words_per_row() * ny;
        let last = (first + slices).min(nz);
        let bits = gpu.upload("the mask of a slab", &mask.words()[first * words_per_slice..last * words_per_slice])?;
        let voxels = (last - first) * nx * ny;
        let (rows, columns) = (gpu.zeroed("distances of a slab", voxels * 4)?, gpu.zeroed("distances of a slab", voxels * 4)?);
        gpu.run(&along_rows, &[nx as u32, 2 * mask.words_per_row() as u32, background], &[&bits, &rows], voxels)?;
        gpu.run(&along_columns, &[ny as u32, nx as u32, background], &[&rows, &columns], voxels)?;
        slabs.push(columns);
    }
    // Slabs of whole columns along k: so many rows of every slice.
    let mut out = vec![0u32; nx * ny * nz];
    let rows_at_once = (slab / (nx * nz)).clamp(1, ny);
    let mut landed = vec![0u32; rows_at_once * nx * nz];
    for first in (0..ny).step_by(rows_at_once) {
        rt.step("distance transform", 0.5 + 0.5 * first as f64 / ny as f64)?;
        let width = (ny - first).min(rows_at_once) * nx;
        let (before, after) = (gpu.zeroed("distances of a slab", width * nz * 4)?, gpu.zeroed("distances of a slab", width * nz * 4)?);
        for (s, source) in slabs.iter().enumerate() {
            let there = s * slices..((s + 1) * slices).min(nz);
            let runs: Vec<_> = there.clone().map(|k| ((k - there.start) * nx * ny + first * nx, k * width, width)).collect();
            gpu.copy(source, &before, &runs)?;
        }
        gpu.run(&along_columns, &[nz as u32, width as u32, background], &[&before, &after], width * nz)?;
        gpu.read(&after, &mut landed[..width * nz])?;
        for (k, values) in landed[..width * nz].chunks(width).enumerate() {
            out[k * nx * ny + first * nx..][..width].copy_from_slice(values);
        }
    }
    Ok(out)
}
