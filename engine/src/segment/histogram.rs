//! How often each grey value occurs, in physical order.

use crate::error::Error;
use crate::kernels::{self, Coding};
use crate::runtime::Runtime;
use crate::volume::{Rescale, Slices, Volume, Voxel};

/// Counts of stored values in bins of equal width; physical values by the volume's rescale.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    stored: kernels::Histogram,
    pub(super) rescale: Rescale,
}

impl Histogram {
    /// Of all finite voxels.
    pub fn of<T: Voxel>(volume: &Volume<T>, rt: &Runtime) -> Result<Self, Error> {
        Histogram::of_slices(&volume.slices(), rt)
    }

    /// The same for a volume that may not fit memory.
    pub fn of_slices<T: Voxel>(slices: &Slices<T>, rt: &Runtime) -> Result<Self, Error> {
        Ok(Histogram { stored: kernels::histogram_of_slices(slices, rt)?, rescale: slices.rescale() })
    }

    /// The coding of the stored values counted.
    pub fn coding<T: Voxel>(&self) -> Coding {
        Coding::of_range::<T>(self.stored.min, self.stored.max)
    }

    /// Counts from the lowest physical value up.
    pub(super) fn ascending(&self) -> Vec<u64> {
        let mut counts = self.stored.counts.clone();
        if self.rescale.slope < 0.0 {
            counts.reverse();
        }
        counts
    }

    /// Physical value at a (fractional) position in [`Histogram::ascending`].
    pub(super) fn physical(&self, position: f64) -> f64 {
        self.rescale.physical(self.stored.centre(0) + self.stored.bin_width * self.turned(position))
    }

    /// Position of a physical value in [`Histogram::ascending`].
    pub(super) fn position(&self, physical: f64) -> f64 {
        self.turned((self.rescale.stored(physical) - self.stored.centre(0)) / self.stored.bin_width)
    }

    /// A position counted from the other end where a negative slope turns the order around.
    fn turned(&self, position: f64) -> f64 {
        if self.rescale.slope < 0.0 { (self.stored.counts.len() - 1) as f64 - position } else { position }
    }
}
