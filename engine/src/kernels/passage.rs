//! Passages: how wide an opening may be so that voxels still join two ends of a grid.
//!
//! The widest passage is the bottleneck of a maximum spanning tree (Pollack 1960). Between integers it is found by halving: at a
//! width, the voxels that are at least as wide are labelled, and a component reaches both ends or none does.
//! Cost: a labelling a halving, some fifteen, at less than half a byte a voxel.

use rayon::prelude::*;

use super::{Components, Connectivity, components};
use crate::Error;
use crate::runtime::Runtime;
use crate::volume::Mask;

/// The two ends of a passage: voxels of a grid by their numbers (i fastest, then j, then k).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub first: Vec<u32>,
    pub last: Vec<u32>,
}

impl Ends {
    /// Whether something hangs together from one end to the other; `of` numbers what a voxel belongs to, below `count`.
    pub fn are_joined(&self, count: usize, of: impl Fn(u32) -> Option<u32>) -> bool {
        let mut reached = vec![false; count];
        self.first.iter().filter_map(|&n| of(n)).for_each(|n| reached[n as usize] = true);
        self.last.iter().filter_map(|&n| of(n)).any(|n| reached[n as usize])
    }

    fn are_joined_by(&self, open: &Components, dims: [usize; 3]) -> bool {
        self.are_joined(open.count(), |n| {
            let [i, j, k] = place_of(n as usize, dims);
            open.label_of(i, j, k).checked_sub(1)
        })
    }
}

/// For each pair of ends the largest value at which the voxels of the mask that have at least that value join them through faces;
/// `None` where none do. `values` are those of the mask's grid, at least 1 in the mask.
pub fn widest_passages(mask: &Mask, values: &[u32], ends: &[Ends; 3], rt: &Runtime) -> Result<[Option<u32>; 3], Error> {
    let [nx, ny, _] = mask.dims();
    let joined = |least: u32| -> Result<[bool; 3], Error> {
        let wide = Mask::from_fn(mask.dims(), |i, j, k| values[(k * ny + j) * nx + i] >= least && mask.get(i, j, k));
        let open = components(&wide, Connectivity::Faces6, rt)?;
        Ok([0, 1, 2].map(|n| ends[n].are_joined_by(&open, mask.dims())))
    };
    let beyond = values.par_iter().copied().max().unwrap_or(0).saturating_add(1);
    // Joined at the first, not joined at the second.
    let mut brackets = joined(1)?.map(|any| if any { [1, beyond] } else { [0, 1] });
    while let Some(&[low, high]) = brackets.iter().find(|[low, high]| high - low > 1) {
        let middle = 0.5 * (f64::from(low).sqrt() + f64::from(high).sqrt());
        let middle = ((middle * middle) as u32).clamp(low + 1, high - 1);
        for (bracket, joined) in brackets.iter_mut().zip(joined(middle)?) {
            *bracket = if joined { [bracket[0].max(middle), bracket[1]] } else { [bracket[0], bracket[1].min(middle)] };
        }
    }
    Ok(brackets.map(|[low, _]| Some(low).filter(|l| *l > 0)))
}

/// Indices of a voxel by its number, i fastest.
pub fn place_of(n: usize, [nx, ny, _]: [usize; 3]) -> [usize; 3] {
    [n % nx, n / nx % ny, n / (nx * ny)]
}

/// The voxels that share a face with one.
pub fn beside(n: usize, dims: [usize; 3]) -> [Option<usize>; 6] {
    let [i, j, k] = place_of(n, dims);
    let [nx, ny, nz] = dims;
    [
        (i > 0).then(|| n - 1),
        (i + 1 < nx).then(|| n + 1),
        (j > 0).then(|| n - nx),
        (j + 1 < ny).then(|| n + nx),
        (k > 0).then(|| n - nx * ny),
        (k + 1 < nz).then(|| n + nx * ny),
    ]
}
