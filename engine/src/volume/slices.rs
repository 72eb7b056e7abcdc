//! A volume as a run of slabs: in memory as a whole, or read some slices at a time.
//!
//! Task: passes over volumes larger than memory. A pass visits the slabs from the first slice to the last; each slab comes with as many
//! slices of its neighbours as the pass reaches beyond a slice. A volume in memory is one slab, so there is one way to compute.
//! Cost: a slab and its neighbours' slices in memory; slices that the next slab needs again are kept, not read again.

use std::ops::Range;

use super::{Rescale, Volume, Voxel};
use crate::error::Error;
use crate::frame::Grid;

/// Slices on both sides of a slab that the passes of this program look at, at most.
pub const MOST_REACH: usize = 4;

/// Appends the stored values of some slices, i fastest, then j, then k.
pub type Read<'a, T> = Box<dyn Fn(Range<usize>, &mut Vec<T>) -> Result<(), Error> + Send + Sync + 'a>;

/// Voxels of one type, slab by slab.
pub struct Slices<'a, T> {
    grid: Grid,
    rescale: Rescale,
    source: Source<'a, T>,
}

enum Source<'a, T> {
    Held(&'a [T]),
    Read { at_once: usize, read: Read<'a, T>, beside: u64 },
}

/// Consecutive slices in memory; rows are named by their place in the whole volume.
#[derive(Clone, Copy, Debug)]
pub struct Slab<'a, T> {
    dims: [usize; 3],
    first: usize,
    data: &'a [T],
}

impl<'a, T: Voxel> Slab<'a, T> {
    /// The slices from `first` on of a volume of these extents. `None` unless `data` is one or more whole slices inside it.
    pub fn new(data: &'a [T], dims: [usize; 3], first: usize) -> Option<Self> {
        let slice = dims[0].checked_mul(dims[1])?;
        let whole = slice > 0 && !data.is_empty() && data.len().is_multiple_of(slice);
        (whole && first.checked_add(data.len() / slice)? <= dims[2]).then_some(Slab { dims, first, data })
    }

    /// Extents of the whole volume.
    pub fn dims(&self) -> [usize; 3] {
        self.dims
    }

    /// The slices held, as numbers of the whole volume.
    pub fn slices(&self) -> Range<usize> {
        self.first..self.first + self.data.len() / (self.dims[0] * self.dims[1])
    }

    /// Whether `wanted` is not empty and its slices are held, with `halo` slices on both sides where the volume has them.
    pub fn covers(&self, wanted: &Range<usize>, halo: usize) -> bool {
        let held = self.slices();
        wanted.start < wanted.end
            && wanted.end <= self.dims[2]
            && held.start <= wanted.start.saturating_sub(halo)
            && held.end >= wanted.end.saturating_add(halo).min(self.dims[2])
    }

    /// Stored values of all slices held.
    pub fn data(&self) -> &'a [T] {
        self.data
    }

    /// Stored values of some of the slices held.
    pub fn of(&self, slices: Range<usize>) -> &'a [T] {
        let slice = self.dims[0] * self.dims[1];
        &self.data[(slices.start - self.first) * slice..(slices.end - self.first) * slice]
    }

    /// One row along i of a slice that is held.
    #[inline]
    pub fn row(&self, j: usize, k: usize) -> &'a [T] {
        let [nx, ny, _] = self.dims;
        &self.data[((k - self.first) * ny + j) * nx..][..nx]
    }

    /// Stored value at an index of a slice that is held.
    #[inline]
    pub fn at(&self, i: usize, j: usize, k: usize) -> T {
        self.row(j, k)[i]
    }
}

impl<T: Voxel> Volume<T> {
    /// All slices.
    pub fn slab(&self) -> Slab<'_, T> {
        Slab { dims: self.grid().dims(), first: 0, data: self.data() }
    }

    /// The volume as one slab.
    pub fn slices(&self) -> Slices<'_, T> {
        Slices { grid: *self.grid(), rescale: self.rescale(), source: Source::Held(self.data()) }
    }
}

impl<'a, T: Voxel> Slices<'a, T> {
    /// A volume that is read `at_once` slices at a time. `None` where [`Volume::new`] would refuse the rescale.
    pub fn read(grid: Grid, rescale: Rescale, at_once: usize, read: Read<'a, T>) -> Option<Self> {
        rescale.is_valid().then_some(Slices { grid, rescale, source: Source::Read { at_once: at_once.max(1), read, beside: 0 } })
    }

    /// The same where reading takes so many bytes beside what it reads.
    pub fn beside(mut self, bytes: u64) -> Self {
        if let Source::Read { beside, .. } = &mut self.source {
            *beside = bytes;
        }
        self
    }

    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    pub fn rescale(&self) -> Rescale {
        self.rescale
    }

    /// The whole volume where it is in memory.
    pub fn held(&self) -> Option<Slab<'a, T>> {
        match self.source {
            Source::Held(data) => Some(Slab { dims: self.grid.dims(), first: 0, data }),
            Source::Read { .. } => None,
        }
    }

    /// A slab with these slices at least: what is held, or what `buffer` then has.
    pub fn part<'s>(&'s self, wanted: Range<usize>, buffer: &'s mut Vec<T>) -> Result<Slab<'s, T>, Error> {
        let dims = self.grid.dims();
        match &self.source {
            Source::Held(data) => Ok(Slab { dims, first: 0, data }),
            Source::Read { read, .. } => {
                buffer.clear();
                read(wanted.clone(), buffer)?;
                slab_of(buffer, dims, wanted)
            }
        }
    }

    /// Slices that a pass has at once.
    pub fn at_once(&self) -> usize {
        match self.source {
            Source::Held(_) => self.grid.dims()[2],
            Source::Read { at_once, .. } => at_once,
        }
    }

    /// Bytes that the voxels at hand take in a pass: all of them, or a slab and [`MOST_REACH`] slices on both sides of it, with what reading takes.
    pub fn bytes(&self) -> u64 {
        let [nx, ny, nz] = self.grid.dims();
        let (voxels, beside) = match &self.source {
            Source::Held(data) => (data.len(), 0),
            Source::Read { at_once, beside, .. } => (nx * ny * (*at_once + 2 * MOST_REACH).min(nz), *beside),
        };
        (voxels * size_of::<T>()) as u64 + beside
    }

    /// Visits all slabs in order: `visit(own, slab)`, where `slab` holds the slices `own` and up to `reach` slices on both sides of them.
    pub fn pass(&self, reach: usize, mut visit: impl FnMut(Range<usize>, &Slab<T>) -> Result<(), Error>) -> Result<(), Error> {
        let dims @ [nx, ny, nz] = self.grid.dims();
        let (at_once, read) = match &self.source {
            Source::Held(data) => return visit(0..nz, &Slab { dims, first: 0, data }),
            Source::Read { at_once, read, .. } => (*at_once, read),
        };
        let (mut data, mut first, mut end) = (Vec::with_capacity((at_once + 2 * reach).min(nz) * nx * ny), 0, 0);
        for start in (0..nz).step_by(at_once) {
            let own = start..(start + at_once).min(nz);
            let needed = own.start.saturating_sub(reach)..(own.end + reach).min(nz);
            data.drain(..(needed.start.min(end) - first) * nx * ny);
            (first, end) = (needed.start, end.max(needed.start));
            if end < needed.end {
                read(end..needed.end, &mut data)?;
                end = needed.end;
            }
            visit(own, &slab_of(&data, dims, first..end)?)?;
        }
        Ok(())
    }
}

/// The slab of slices that were read.
fn slab_of<T: Voxel>(data: &[T], dims @ [nx, ny, _]: [usize; 3], slices: Range<usize>) -> Result<Slab<'_, T>, Error> {
    if data.len() != slices.len() * nx * ny {
        return Err(Error::defect(format!("{} voxels were read of slices {slices:?} of {nx} by {ny}", data.len())));
    }
    Ok(Slab { dims, first: slices.start, data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Point3;

    #[test]
    fn every_slab_holds_its_slices_and_their_neighbours_and_no_slice_is_read_twice() {
        let (nx, ny) = (3, 2);
        for (nz, at_once, reach) in [(1, 1, 0), (7, 1, 0), (7, 2, 1), (7, 3, 5), (8, 4, 2), (5, 9, 1), (9, 1, 4)] {
            let grid = Grid::aligned([nx, ny, nz], [1.0; 3], Point3::origin()).unwrap();
            let asked = std::sync::Mutex::new(vec![0; nz]);
            let value = |n: usize| n as u32;
            let read = |slices: Range<usize>, out: &mut Vec<u32>| {
                slices.clone().for_each(|k| asked.lock().unwrap()[k] += 1);
                out.extend((slices.start * nx * ny..slices.end * nx * ny).map(value));
                Ok(())
            };
            let slices = Slices::read(grid, Rescale::IDENTITY, at_once, Box::new(read)).unwrap();
            let mut seen = vec![];
            slices
                .pass(reach, |own, slab| {
                    assert_eq!(slab.slices(), own.start.saturating_sub(reach)..(own.end + reach).min(nz));
                    for k in slab.slices() {
                        assert_eq!(slab.row(1, k)[2], value((k * ny + 1) * nx + 2));
                    }
                    seen.extend_from_slice(slab.of(own));
                    Ok(())
                })
                .unwrap();
            assert_eq!(seen, (0..nx * ny * nz).map(value).collect::<Vec<_>>());
            drop(slices);
            assert!(asked.into_inner().unwrap().iter().all(|&n| n == 1));
        }
    }
}
