//! Material clipped at the highest grey value a format or a scanner can write.

use super::Histogram;

/// Stored ceilings: the largest codes of 8 to 16 bits, unsigned and signed.
const STORED: [f64; 8] = [255.0, 1023.0, 2047.0, 4095.0, 8191.0, 16383.0, 32767.0, 65535.0];
/// The largest Hounsfield unit of a 12-bit scanner.
const HOUNSFIELD: f64 = 3071.0;
/// Codes below the ceiling that it is compared with, and the fewest voxels that are a pile and not a tail.
const BELOW: usize = 16;
const FEWEST: u64 = 64;

impl Histogram {
    /// Fraction of the voxels above a physical threshold that stand at the ceiling; 0 where the highest value is none: a ceiling is a largest
    /// code there can be, with more voxels on it than half of what the sixteen codes below it hold together.
    pub fn saturation(&self, threshold: f64) -> f64 {
        let counts = self.ascending();
        let Some((&top, rest)) = counts.split_last() else { return 0.0 };
        let last = self.physical(rest.len() as f64);
        let is_ceiling = STORED.contains(&self.rescale.stored(last).round()) || last == HOUNSFIELD;
        let near: u64 = rest.iter().rev().take(BELOW).sum();
        if !is_ceiling || top < FEWEST || top <= near / 2 {
            return 0.0;
        }
        let from = (self.position(threshold).ceil().max(0.0) as usize).min(rest.len());
        top as f64 / counts[from..].iter().sum::<u64>() as f64
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::Point3;

    use super::*;
    use crate::frame::Grid;
    use crate::runtime::Runtime;
    use crate::volume::{Rescale, Volume};

    /// Half the voxels in air near 100; of the material's a share on one code and the rest spread below it.
    fn clipped(top: i16, share: usize) -> Histogram {
        let grid = Grid::aligned([100, 10, 10], [0.1; 3], Point3::origin()).unwrap();
        let value = |v: usize| match v % 200 {
            n if n < 100 => 90 + (n % 20) as i16,
            n if n - 100 < share => top,
            n => top - 100 - (n * 7) as i16,
        };
        let volume = Volume::new(grid, Rescale { slope: 1.0, intercept: -1024.0 }, (0..10_000).map(value).collect()).unwrap();
        Histogram::of(&volume, &Runtime::cpu()).unwrap()
    }

    #[test]
    fn a_pile_on_a_ceiling_is_saturation_and_the_same_pile_below_it_is_not() {
        assert_eq!(clipped(4095, 20).saturation(0.0), 0.2);
        assert_eq!(clipped(4094, 20).saturation(0.0), 0.0);
    }

    #[test]
    fn a_few_voxels_on_the_ceiling_are_a_tail() {
        assert_eq!(clipped(4095, 1).saturation(0.0), 0.0);
    }
}
