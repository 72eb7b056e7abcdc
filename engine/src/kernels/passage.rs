//! Passages: how wide an opening may be so that voxels still join two ends of a grid.
//!
//! The widest passage is the bottleneck of a maximum spanning tree (Pollack 1960). Between integers it is found by halving: at a
//! width, the voxels that are at least as wide are labelled, and a component reaches both ends or none does. Where a width is measured
//! cell by cell, cells open one after the other beside what is open already ([`Opening`]), exactly and for any measure of width.
//! Cost: a labelling a halving, some fifteen, at less than half a byte a voxel; 20 bytes and some 100 ns a cell that is opened.

use rayon::prelude::*;

use super::{Components, Connectivity, components};
use crate::Error;
use crate::runtime::Runtime;
use crate::volume::Mask;

/// The two ends of a passage: the layers up to `first` and those from `last` on along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub axis: usize,
    pub first: usize,
    pub last: usize,
}

impl Ends {
    /// At which ends a voxel lies.
    fn at(&self, place: [usize; 3]) -> [bool; 2] {
        [place[self.axis] <= self.first, place[self.axis] >= self.last]
    }

    /// Which ends the component of label n + 1 reaches.
    fn of_component(&self, components: &Components, n: usize) -> [bool; 2] {
        let c = &components.list()[n];
        [c.min[self.axis] <= self.first, c.max[self.axis] >= self.last]
    }
}

/// For each pair of ends the largest value at which the voxels of the mask that have at least that value join them through faces;
/// `None` where none do. `values` are those of the mask's grid, at least 1 in the mask.
pub fn widest_passages(mask: &Mask, values: &[u32], ends: &[Ends; 3], rt: &Runtime) -> Result<[Option<u32>; 3], Error> {
    let [nx, ny, _] = mask.dims();
    let joined = |least: u32| -> Result<[bool; 3], Error> {
        let wide = Mask::from_fn(mask.dims(), |i, j, k| values[(k * ny + j) * nx + i] >= least && mask.get(i, j, k));
        let open = components(&wide, Connectivity::Faces6, rt)?;
        Ok(ends.map(|e| (0..open.count()).any(|n| e.of_component(&open, n) == [true; 2])))
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

/// Voxels that hang together so far, and which ends they reach.
pub struct Opening<'a> {
    wide: &'a Components,
    cells: &'a [u32],
    dims: [usize; 3],
    ends: Ends,
    /// Of the components that are open from the start, then of the cells.
    parent: Vec<u32>,
    reached: Vec<[bool; 2]>,
}

/// Not opened yet.
const SHUT: u32 = u32::MAX;

impl<'a> Opening<'a> {
    /// Components that are open from the start, of a mask with extents `dims`, and the cells that may open beside them: ascending, in no
    /// component. The grid has less than 2³² voxels.
    pub fn new(wide: &'a Components, cells: &'a [u32], dims: [usize; 3], ends: Ends) -> Opening<'a> {
        let (open, nodes) = (wide.count(), wide.count() + cells.len());
        let parent = (0..nodes).map(|n| if n < open { n as u32 } else { SHUT }).collect();
        let reached = (0..nodes).map(|n| if n < open { ends.of_component(wide, n) } else { [false; 2] }).collect();
        Opening { wide, cells, dims, ends, parent, reached }
    }

    /// Opens cells, given by their places among the cells, until both ends hang together: the place in `order` of the one that
    /// joined them.
    pub fn open(&mut self, order: &[u32]) -> Option<usize> {
        order.iter().position(|&cell| self.open_one(cell as usize))
    }

    /// True when what the cell joins reaches both ends.
    fn open_one(&mut self, cell: usize) -> bool {
        let (n, mut root) = (self.cells[cell] as usize, self.wide.count() + cell);
        (self.parent[root], self.reached[root]) = (root as u32, self.ends.at(place_of(n, self.dims)));
        for other in beside(n, self.dims).into_iter().flatten() {
            let Some(other) = self.open_at(other) else { continue };
            let other = self.root(other);
            if other != root {
                let (low, high) = (root.min(other), root.max(other));
                self.reached[low] = [0, 1].map(|e| self.reached[low][e] || self.reached[high][e]);
                self.parent[high] = low as u32;
                root = low;
            }
        }
        self.reached[root] == [true; 2]
    }

    /// What is open at a voxel: a component or a cell.
    fn open_at(&self, n: usize) -> Option<usize> {
        let [i, j, k] = place_of(n, self.dims);
        match self.wide.label_of(i, j, k) {
            0 => self.cells.binary_search(&(n as u32)).ok().map(|cell| self.wide.count() + cell).filter(|&cell| self.parent[cell] != SHUT),
            label => Some(label as usize - 1),
        }
    }

    fn root(&mut self, mut n: usize) -> usize {
        while self.parent[n] as usize != n {
            self.parent[n] = self.parent[self.parent[n] as usize];
            n = self.parent[n] as usize;
        }
        n
    }
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
