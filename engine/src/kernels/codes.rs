//! Sixteen-bit codes of voxel values, for filters that work in integers.
//!
//! Types of up to 16 bits keep their values: the code is the value less the type's smallest. Wider types are rounded to 65536 equal
//! steps between the smallest and the largest finite value, or to steps of one where integers span no more (error: half a step,
//! below what 16-bit scanners resolve). What is no number counts as the smallest value, infinities as the ends.

use rayon::prelude::*;

use crate::error::Error;
use crate::volume::{Rescale, Volume, Voxel};

use super::keys;

/// The largest code.
pub(super) const LARGEST: u16 = u16::MAX;
/// Voxels a task, of the pass for their codes and of that for their range.
const VOXELS_PER_TASK: usize = 1 << 18;
const RANGED_PER_TASK: usize = 1 << 20;

/// Which stored value a code stands for: `zero + step * code`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coding {
    /// Stored value of code 0.
    pub zero: f64,
    /// Stored units a code; never 0.
    pub step: f64,
}

impl Coding {
    /// The coding of a type of up to 16 bits, whatever the values; `None` for wider types, whose coding depends on their range.
    pub fn of_type<T: Voxel>() -> Option<Coding> {
        let zero = match T::NAME {
            "u8" | "u16" => 0.0,
            "i8" => f64::from(i8::MIN),
            "i16" => f64::from(i16::MIN),
            _ => return None,
        };
        Some(Coding { zero, step: 1.0 })
    }

    /// The coding of a type whose finite values lie in `min..=max`. A volume in pieces takes the range of all of them.
    pub fn of_range<T: Voxel>(min: f64, max: f64) -> Coding {
        let steps = f64::from(LARGEST);
        let step = max / steps - min / steps; // divided first: the difference of the largest values overflows
        let step = if !keys::is_float::<T>() { step.max(1.0) } else { step };
        Coding::of_type::<T>().unwrap_or(Coding { zero: min, step: if step > 0.0 { step } else { 1.0 } })
    }

    /// The coding of a volume: one pass over the values of wide types.
    pub fn of<T: Voxel>(volume: &Volume<T>) -> Coding {
        let (min, max) = Coding::of_type::<T>().map_or_else(|| value_range(volume.data()).unwrap_or((0.0, 0.0)), |_| (0.0, 0.0));
        Coding::of_range::<T>(min, max)
    }

    /// The rescale of stored values that are `units` a code, for a volume of this rescale. Errors: values so large or so close together that
    /// doubles cannot tell the codes apart.
    pub fn rescale(&self, of: Rescale, units: u32) -> Result<Rescale, Error> {
        told_apart(Rescale { slope: of.slope * self.step / f64::from(units), intercept: of.physical(self.zero) })
    }

    #[inline(always)]
    pub(super) fn code<T: Voxel>(&self, value: T) -> u16 {
        let above = value.to_f64() - self.zero;
        match T::NAME {
            "u8" | "i8" | "u16" | "i16" => above as u16,
            // A cast takes what is no number to 0 and the rest to the nearest end. Halves lie above, as 0.5 is added.
            _ => (above / self.step + 0.5) as u16,
        }
    }

    /// Writes the codes of values.
    #[inline(always)]
    pub(super) fn encode<T: Voxel>(&self, values: &[T], codes: &mut [u16]) {
        if T::NAME == "u16" {
            return codes.copy_from_slice(bytemuck::cast_slice(values)); // its own codes
        }
        codes.iter_mut().zip(values).for_each(|(code, &v)| *code = self.code(v));
    }

    /// The codes of values.
    pub(super) fn encoded<T: Voxel>(&self, values: &[T]) -> Vec<u16> {
        let mut codes = vec![0; values.len()];
        codes.par_chunks_mut(VOXELS_PER_TASK).zip(values.par_chunks(VOXELS_PER_TASK)).for_each(|(c, v)| self.encode(v, c));
        codes
    }
}

/// Smallest and largest finite value; `None` where there is none.
pub fn value_range<T: Voxel>(data: &[T]) -> Option<(f64, f64)> {
    let join = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
    let empty = (f64::INFINITY, f64::NEG_INFINITY);
    let of = |chunk: &[T]| {
        if keys::is_float::<T>() {
            return chunk.iter().map(|v| v.to_f64()).filter(|v| v.is_finite()).fold(empty, |a, v| (a.0.min(v), a.1.max(v)));
        }
        // Integers are compared as they are: half the time.
        let (low, high) = chunk.iter().fold((chunk[0], chunk[0]), |(a, b), &v| (if v < a { v } else { a }, if v > b { v } else { b }));
        (low.to_f64(), high.to_f64())
    };
    let (min, max) = data.par_chunks(RANGED_PER_TASK).map(of).reduce(|| empty, join);
    (min <= max).then_some((min + 0.0, max + 0.0))
}

/// A rescale that volumes may have.
pub(super) fn told_apart(rescale: Rescale) -> Result<Rescale, Error> {
    if rescale.is_valid() {
        return Ok(rescale);
    }
    let Rescale { slope, intercept } = rescale;
    let message = format!(
        "a 65536th of the range of grey values would be {slope:e} at {intercept:e}, which is no grey value; allowed are finite steps: convert the volume to 16 bits"
    );
    Err(Error::input("volume.range", message))
}
