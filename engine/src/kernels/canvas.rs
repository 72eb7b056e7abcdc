//! Voxels painted from the largest value down: every voxel keeps the first value that reaches it.
//!
//! A bit a voxel tells what is not painted yet, words along i and neighbouring rows beside each other; a bit a word tells which
//! words have something left. So what was painted before is passed over 64 rows at a time, and every voxel is written once.

use crate::volume::{Mask, bits_between};

/// Slices painted by one task. A task looks at everything that reaches its slices; the result does not depend on the cut.
pub(super) const SLICES: usize = 16;

/// Some slices of a volume on the way to their values.
pub(super) struct Canvas<'a> {
    dims: [usize; 3],
    per_row: usize,
    per_column: usize,
    first: usize,
    values: &'a mut [u32],
    /// What is left of word w of row j of slice k: at `(k * per_row + w) * ny + j`.
    left: Vec<u64>,
    /// Bit `j % 64` of word `(k * per_row + w) * per_column + j / 64`: something is left there.
    any: Vec<u64>,
}

impl<'a> Canvas<'a> {
    /// The voxels of `mask` in the slices from `first` on that `values` holds.
    pub fn new(mask: &Mask, first: usize, values: &'a mut [u32]) -> Canvas<'a> {
        let (dims, per_row) = (mask.dims(), mask.words_per_row());
        let (ny, per_column) = (dims[1], dims[1].div_ceil(64));
        let slices = values.len() / (dims[0] * ny);
        let mut left = vec![0; slices * per_row * ny];
        let mut any = vec![0; slices * per_row * per_column];
        for k in 0..slices {
            for j in 0..ny {
                for (w, &word) in mask.row(j, first + k).iter().enumerate() {
                    left[(k * per_row + w) * ny + j] = word;
                    any[(k * per_row + w) * per_column + j / 64] |= u64::from(word != 0) << (j % 64);
                }
            }
        }
        Canvas { dims, per_row, per_column, first, values, left, any }
    }

    /// First slice and one past the last.
    pub fn slices(&self) -> (usize, usize) {
        (self.first, self.first + self.values.len() / (self.dims[0] * self.dims[1]))
    }

    /// Paints, in word w of rows `from..=to` of slice k, what `bits` chooses of what is left in each row.
    #[inline(always)]
    pub fn words(&mut self, k: usize, w: usize, [from, to]: [usize; 2], value: u32, bits: impl Fn(usize, u64) -> u64) {
        let [nx, ny, _] = self.dims;
        let column = (k - self.first) * self.per_row + w;
        for block in from / 64..=to / 64 {
            let mut rows = self.any[column * self.per_column + block] & bits_between(block, from, to + 1);
            while rows != 0 {
                let j = block * 64 + rows.trailing_zeros() as usize;
                rows &= rows - 1;
                let word = &mut self.left[column * ny + j];
                let mut painted = bits(j, *word);
                if painted == 0 {
                    continue;
                }
                *word &= !painted;
                if *word == 0 {
                    self.any[column * self.per_column + block] &= !(1 << (j % 64));
                }
                let row = ((k - self.first) * ny + j) * nx + w * 64;
                while painted != 0 {
                    self.values[row + painted.trailing_zeros() as usize] = value;
                    painted &= painted - 1;
                }
            }
        }
    }
}
