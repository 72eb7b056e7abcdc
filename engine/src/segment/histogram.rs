//! How often each grey value occurs.

use rayon::prelude::*;

use super::SegmentError;
use crate::volume::{Rescale, Volume, Voxel};

/// Bins at most; a type of no more than 16 bits has one value a bin.
const MOST_BINS: usize = 1 << 16;
const CHUNK: usize = 1 << 20;

/// Counts of stored values in bins of equal width; physical values by the volume's rescale.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    counts: Vec<u64>,
    /// Stored value at the middle of the first bin, and the width of a bin.
    first: f64,
    width: f64,
    rescale: Rescale,
}

impl Histogram {
    /// Of all finite voxels; padding is left out.
    pub fn of<T: Voxel>(volume: &Volume<T>) -> Result<Self, SegmentError> {
        let (min, max) = range(volume.data()).ok_or(SegmentError::NoValues)?;
        let integer = !T::NAME.starts_with('f');
        let exact = integer && max - min < MOST_BINS as f64;
        let bins = if exact { (max - min) as usize + 1 } else { MOST_BINS };
        let width = if exact { 1.0 } else { ((max - min) / (bins - 1) as f64).max(f64::MIN_POSITIVE) };
        let bin = |v: T| (v.to_f64() - min) / width + 0.5;
        let count = |voxels: &[T]| {
            let mut counts = vec![0u64; bins];
            for b in voxels.iter().map(|&v| bin(v)).filter(|b| b.is_finite()) {
                counts[(b as usize).min(bins - 1)] += 1;
            }
            counts
        };
        let add = |mut a: Vec<u64>, b: Vec<u64>| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        };
        // Integer counts: the order of merging does not matter.
        let counts = volume.data().par_chunks(CHUNK).map(count).reduce(|| vec![0; bins], add);
        Ok(Histogram { counts, first: min, width, rescale: volume.rescale() })
    }

    /// Counts from the lowest physical value up.
    pub(super) fn ascending(&self) -> Vec<u64> {
        let mut counts = self.counts.clone();
        if self.rescale.slope < 0.0 {
            counts.reverse();
        }
        counts
    }

    /// Physical value at a (fractional) position in [`Histogram::ascending`].
    pub(super) fn physical(&self, position: f64) -> f64 {
        let at = if self.rescale.slope < 0.0 { (self.counts.len() - 1) as f64 - position } else { position };
        self.rescale.physical(self.first + self.width * at)
    }

    /// Position of a physical value in [`Histogram::ascending`].
    pub(super) fn position(&self, physical: f64) -> f64 {
        let at = (self.rescale.stored(physical) - self.first) / self.width;
        if self.rescale.slope < 0.0 { (self.counts.len() - 1) as f64 - at } else { at }
    }
}

/// Smallest and largest finite value.
fn range<T: Voxel>(voxels: &[T]) -> Option<(f64, f64)> {
    let of = |voxels: &[T]| {
        let finite = voxels.iter().map(|v| v.to_f64()).filter(|v| v.is_finite());
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)))
    };
    let both = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
    let (min, max) = voxels.par_chunks(CHUNK).map(of).reduce(|| (f64::INFINITY, f64::NEG_INFINITY), both);
    (min <= max).then_some((min, max))
}
