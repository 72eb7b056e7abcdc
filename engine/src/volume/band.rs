//! The voxels near places of interest, kept from one pass over a volume that does not fit memory.
//!
//! Method: bricks of 8 x 8 x 8 voxels; those within reach of any place are kept, the others are not there. What lies within reach of a place
//! has the stored values of the volume. Cost: 4 bytes a brick of the volume, and the voxels of the bricks kept: along a surface about
//! twice the reach and a brick, in voxels, for each of its voxels.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Slab, Slices, Voxel};
use crate::error::Error;

/// Voxels along each edge of a brick.
const EDGE: usize = 8;
const VOXELS: usize = EDGE * EDGE * EDGE;
/// The place of a brick that is not kept.
const ABSENT: u32 = u32::MAX;

/// Which bricks of a volume to keep.
pub struct Bricks {
    extents: [usize; 3],
    wanted: Vec<bool>,
}

impl Bricks {
    pub fn none(dims: [usize; 3]) -> Bricks {
        let extents = dims.map(|n| n.div_ceil(EDGE));
        Bricks { extents, wanted: vec![false; extents.iter().product()] }
    }

    /// Adds the bricks with any voxel within the bounds, which are indices and may lie beyond the volume.
    pub fn add(&mut self, low: [f64; 3], high: [f64; 3]) {
        let [nx, ny, _] = self.extents;
        // A conversion from a float saturates: beyond the volume the border's bricks stand for what continues them.
        let range = |a: usize| {
            let last = self.extents[a] - 1;
            (low[a].floor() as usize / EDGE).min(last)..=(high[a].ceil() as usize / EDGE).min(last)
        };
        for k in range(2) {
            for j in range(1) {
                let row = (k * ny + j) * nx;
                let i = range(0);
                self.wanted[row + i.start()..=row + i.end()].fill(true);
            }
        }
    }

    /// Bytes that the kept voxels and their directory take.
    pub fn bytes<T>(&self) -> u64 {
        let kept = self.wanted.iter().filter(|w| **w).count() as u64;
        kept * (VOXELS * size_of::<T>()) as u64 + 4 * self.wanted.len() as u64
    }
}

/// The kept bricks with their voxels.
#[derive(Debug)]
pub struct Band<T> {
    extents: [usize; 3],
    place: Vec<u32>,
    values: Vec<T>,
    missed: AtomicBool,
}

impl<T: Voxel> Band<T> {
    /// Reads the volume once. `progress` is told the part that is done.
    pub fn read(slices: &Slices<T>, bricks: &Bricks, mut progress: impl FnMut(f64) -> Result<(), Error>) -> Result<Band<T>, Error> {
        let mut count = 0u32;
        let mut number = |wanted: &bool| {
            count += u32::from(*wanted);
            if *wanted { count - 1 } else { ABSENT }
        };
        let place: Vec<u32> = bricks.wanted.iter().map(&mut number).collect();
        let mut band =
            Band { extents: bricks.extents, place, values: vec![T::zeroed(); count as usize * VOXELS], missed: AtomicBool::new(false) };
        let nz = slices.grid().dims()[2];
        slices.pass(0, |own, slab| {
            progress(own.start as f64 / nz as f64)?;
            band.keep(own, slab, slices.grid().dims());
            Ok(())
        })?;
        Ok(band)
    }

    fn keep(&mut self, own: Range<usize>, slab: &Slab<T>, [nx, ny, _]: [usize; 3]) {
        for k in own {
            for j in 0..ny {
                let row = slab.row(j, k);
                for i in (0..nx).step_by(EDGE) {
                    if let Some(at) = self.start(i, j, k) {
                        let piece = &row[i..(i + EDGE).min(nx)];
                        self.values[at..at + piece.len()].copy_from_slice(piece);
                    }
                }
            }
        }
    }

    /// The same, noting that it was asked for if it is not.
    #[inline]
    fn find(&self, i: usize, j: usize, k: usize) -> Option<usize> {
        let start = self.start(i, j, k);
        if start.is_none() {
            self.missed.store(true, Ordering::Relaxed);
        }
        start
    }

    /// Where the voxel (i, j, k) lies, if its brick is kept.
    #[inline]
    fn start(&self, i: usize, j: usize, k: usize) -> Option<usize> {
        let [bx, by, _] = self.extents;
        let brick = self.place[(k / EDGE * by + j / EDGE) * bx + i / EDGE];
        (brick != ABSENT).then(|| brick as usize * VOXELS + ((k % EDGE * EDGE) + j % EDGE) * EDGE + i % EDGE)
    }
}

/// Voxels at hand: whole slices, or a band.
#[derive(Debug)]
pub enum Voxels<'a, T> {
    Slab(Slab<'a, T>),
    Band(Band<T>),
}

impl<T: Voxel> Voxels<'_, T> {
    /// The stored values of a run of voxels along i, in one or several pieces, each with the place of its first. Pieces of a band that are not
    /// kept have no values ([`Voxels::missed`]).
    #[inline]
    pub fn run(&self, i: Range<usize>, j: usize, k: usize) -> impl Iterator<Item = (usize, &[T])> {
        let mut at = i.start;
        std::iter::from_fn(move || {
            if at >= i.end {
                return None;
            }
            let first = at;
            let piece = match self {
                Voxels::Slab(slab) => {
                    at = i.end;
                    &slab.row(j, k)[first..at]
                }
                Voxels::Band(band) => {
                    at = ((first / EDGE + 1) * EDGE).min(i.end);
                    band.find(first, j, k).map_or(&[][..], |start| &band.values[start..start + at - first])
                }
            };
            Some((first, piece))
        })
    }

    /// One stored value.
    #[inline]
    pub fn at(&self, i: usize, j: usize, k: usize) -> T {
        match self {
            Voxels::Slab(slab) => slab.row(j, k)[i],
            Voxels::Band(band) => band.find(i, j, k).map_or(T::zeroed(), |start| band.values[start]),
        }
    }

    /// Whether voxels were asked for that are not at hand: what was computed from them does not hold.
    pub fn missed(&self) -> bool {
        match self {
            Voxels::Slab(_) => false,
            Voxels::Band(band) => band.missed.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Grid;
    use crate::volume::{Rescale, Volume};

    #[test]
    fn a_band_holds_the_voxels_of_the_volume_within_its_bounds() {
        let dims = [21, 18, 19];
        let grid = Grid::aligned(dims, [1.0; 3], nalgebra::Point3::origin()).unwrap();
        let volume = Volume::new(grid, Rescale::IDENTITY, (0..grid.voxels() as u32).collect()).unwrap();
        let read = |slices: Range<usize>, out: &mut Vec<u32>| {
            slices.for_each(|k| (0..dims[1]).for_each(|j| out.extend_from_slice(volume.row(j, k))));
            Ok(())
        };
        let slices = Slices::read(grid, Rescale::IDENTITY, 5, Box::new(read)).unwrap();
        let mut bricks = Bricks::none(dims);
        bricks.add([3.2, -7.0, 2.0], [9.5, 6.1, 30.0]);
        bricks.add([f64::NAN; 3], [f64::NAN; 3]);
        let near = Voxels::Band(Band::read(&slices, &bricks, |_| Ok(())).unwrap());
        assert_eq!(bricks.bytes::<u32>(), 2 * 3 * 512 * 4 + 4 * 27);
        for (j, k) in (0..7).flat_map(|j| (2..19).map(move |k| (j, k))) {
            let run: Vec<u32> = near.run(3..11, j, k).flat_map(|(_, piece)| piece.to_vec()).collect();
            assert_eq!(run, volume.row(j, k)[3..11]);
            assert_eq!(near.at(10, j, k), volume.at(10, j, k));
            assert!(!near.missed());
            assert!(Voxels::Slab(volume.slab()).run(3..11, j, k).eq([(3, &volume.row(j, k)[3..11])]));
        }
        near.at(0, 17, 0);
        assert!(near.missed());
    }
}
