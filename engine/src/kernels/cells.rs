//! What an iso-surface will need, counted per row of cells: crossed edges and cells that the surface passes.
//!
//! A cell lies between eight voxels; those beyond the mask are outside it. Row `(j, k)` of cells lies between the voxel rows
//! `(j-1, k-1) (j, k-1) (j-1, k) (j, k)`, so there is one more row than voxels along j and along k; it owns the edges that
//! end at its voxels `(·, j, k)` from below (flying edges: Schroeder, Maynard & Geveci 2015). Counts are exact on any backend.
//! Cost: four passes over the bits, most from the cache, and 16 bytes a row.

use rayon::prelude::*;

use crate::Error;
use crate::gpu::{Gpu, GpuError};
use crate::runtime::Runtime;
use crate::volume::Mask;

/// Rows a task of the CPU path.
const ROWS_PER_TASK: usize = 256;

/// Of one row of cells.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct CellCounts {
    /// Edges along i, j and k whose ends differ.
    pub crossed: [u32; 3],
    /// Cells whose corners are not all alike.
    pub active: u32,
}

/// Counts of every row of cells of `mask`, j fastest: `(ny + 1) * (nz + 1)` of them.
/// Errors: faults of the GPU where the run insists on it.
pub fn cells(mask: &Mask, rt: &Runtime) -> Result<Vec<CellCounts>, Error> {
    rt.step("cells", 0.0)?;
    match rt.on_gpu("cells", |gpu| on_gpu(mask, gpu, rt))? {
        Some(counts) => Ok(counts),
        None => Ok(on_cpu(mask)),
    }
}

fn on_cpu(mask: &Mask) -> Vec<CellCounts> {
    let [_, ny, nz] = mask.dims();
    let mut counts = vec![CellCounts::default(); (ny + 1) * (nz + 1)];
    counts.par_chunks_mut(ROWS_PER_TASK).enumerate().for_each(|(task, counts)| count_rows(mask, task * ROWS_PER_TASK, counts));
    counts
}

fn count_rows(mask: &Mask, first: usize, counts: &mut [CellCounts]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("popcnt") && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the features that the function asks for.
        return unsafe { count_rows_popcnt(mask, first, counts) };
    }
    count_rows_anywhere(mask, first, counts);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt,avx2")]
fn count_rows_popcnt(mask: &Mask, first: usize, counts: &mut [CellCounts]) {
    count_rows_anywhere(mask, first, counts);
}

#[inline(always)]
fn count_rows_anywhere(mask: &Mask, first: usize, counts: &mut [CellCounts]) {
    let [nx, ny, nz] = mask.dims();
    let empty = vec![0; mask.words_per_row()];
    for (at, out) in (first..).zip(counts) {
        let (j, k) = (at % (ny + 1), at / (ny + 1));
        let [below, above] = [k.checked_sub(1), (k < nz).then_some(k)];
        let [before, behind] = [j.checked_sub(1), (j < ny).then_some(j)];
        let rows = [(before, below), (behind, below), (before, above), (behind, above)]
            .map(|(j, k)| j.zip(k).map_or(empty.as_slice(), |(j, k)| mask.row(j, k)));
        *out = count_row(rows, nx);
    }
}

/// Counts of the row between four rows of bits. Bit c of a high word is a cell's corner at voxel c, of a low word that at c - 1.
#[inline(always)]
fn count_row(rows: [&[u64]; 4], nx: usize) -> CellCounts {
    let mut counts = CellCounts::default();
    let mut carry = [0; 4];
    let [a, b, c, d] = rows;
    for (((&a, &b), &c), &d) in a.iter().zip(b).zip(c).zip(d) {
        let high = [a, b, c, d];
        let low = [0, 1, 2, 3].map(|n| high[n] << 1 | carry[n]);
        carry = high.map(|word| word >> 63);
        let any = high[0] | high[1] | high[2] | high[3] | low[0] | low[1] | low[2] | low[3];
        let all = high[0] & high[1] & high[2] & high[3] & low[0] & low[1] & low[2] & low[3];
        counts.active += (any & !all).count_ones();
        counts.crossed[0] += (low[3] ^ high[3]).count_ones();
        counts.crossed[1] += (high[2] ^ high[3]).count_ones();
        counts.crossed[2] += (high[1] ^ high[3]).count_ones();
    }
    if nx.is_multiple_of(64) {
        // The last cell lies in a word of its own; elsewhere it lies among the padding.
        counts.active += (carry[0] | carry[1] | carry[2] | carry[3]) as u32;
        counts.crossed[0] += carry[3] as u32;
    }
    counts
}

fn on_gpu(mask: &Mask, gpu: &Gpu, rt: &Runtime) -> Result<Vec<CellCounts>, Error> {
    let program = gpu.program("cells", include_str!("../../../shaders/cells.wgsl"), "main")?;
    let [_, ny, nz] = mask.dims();
    let words = mask.words_per_row() * ny; // of a slice
    let layer = (ny + 1) * size_of::<CellCounts>();
    // Layers of cells at once: their counts, and the slices on both sides.
    let fit = |layers: usize| (layers * layer).max((layers + 1) * words * 8) <= gpu.slab_bytes();
    let Some(layers) = (1..=nz + 1).take_while(|&layers| fit(layers)).last() else {
        let needed = layer.max(2 * words * 8) as u64;
        return Err(GpuError::Limits { what: "two slices of the mask", needed, allowed: gpu.slab_bytes() as u64 }.into());
    };
    let mut counts = vec![CellCounts::default(); (ny + 1) * (nz + 1)];
    for (first, counts) in (0..).step_by(layers).zip(counts.chunks_mut(layers * (ny + 1))) {
        rt.step("cells", first as f64 / (nz + 1) as f64)?;
        let end = first + counts.len() / (ny + 1);
        let slices = first.saturating_sub(1)..end.min(nz);
        let bits = gpu.upload("the mask of a slab", &mask.words()[slices.start * words..slices.end * words])?;
        let out = gpu.zeroed("the counts of rows of cells", std::mem::size_of_val(counts))?;
        let parameters = [2 * mask.words_per_row(), ny, slices.len(), first - slices.start].map(|p| p as u32);
        gpu.run(&program, &parameters, &[&bits, &out], counts.len())?;
        gpu.read(&out, counts)?;
    }
    Ok(counts)
}
