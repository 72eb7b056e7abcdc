//! One bit a voxel, rows padded to whole 64-bit words.

/// A set of voxels of a grid with the given extents. Bit `i % 64` of word `i / 64` of a row is voxel `i`; padding bits are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    dims: [usize; 3],
    words_per_row: usize,
    words: Vec<u64>,
}

impl Mask {
    /// `None` unless there are `dims[0].div_ceil(64) * dims[1] * dims[2]` words. Padding bits are cleared.
    pub fn from_words(dims: [usize; 3], mut words: Vec<u64>) -> Option<Self> {
        let words_per_row = dims[0].div_ceil(64);
        let needed = words_per_row.checked_mul(dims[1])?.checked_mul(dims[2])?;
        if words.len() != needed || dims.contains(&0) {
            return None;
        }
        let tail = dims[0] % 64;
        if tail != 0 {
            words.iter_mut().skip(words_per_row - 1).step_by(words_per_row).for_each(|w| *w &= (1 << tail) - 1);
        }
        Some(Mask { dims, words_per_row, words })
    }

    /// Built voxel by voxel; for tests and small volumes.
    pub fn from_fn(dims: [usize; 3], inside: impl Fn(usize, usize, usize) -> bool) -> Self {
        let words_per_row = dims[0].div_ceil(64);
        let mut words = vec![0u64; words_per_row * dims[1] * dims[2]];
        for (row, line) in words.chunks_mut(words_per_row).enumerate() {
            let (j, k) = (row % dims[1], row / dims[1]);
            (0..dims[0]).filter(|&i| inside(i, j, k)).for_each(|i| line[i / 64] |= 1 << (i % 64));
        }
        Mask { dims, words_per_row, words }
    }

    pub fn dims(&self) -> [usize; 3] {
        self.dims
    }

    pub fn words(&self) -> &[u64] {
        &self.words
    }

    pub fn words_per_row(&self) -> usize {
        self.words_per_row
    }

    /// The words of one row along i.
    #[inline]
    pub fn row(&self, j: usize, k: usize) -> &[u64] {
        &self.words[(k * self.dims[1] + j) * self.words_per_row..][..self.words_per_row]
    }

    #[inline]
    pub fn get(&self, i: usize, j: usize, k: usize) -> bool {
        self.row(j, k)[i / 64] >> (i % 64) & 1 == 1
    }

    /// Number of voxels in the set.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|w| u64::from(w.count_ones())).sum()
    }

    /// The voxels of the grid that are not in the set.
    pub fn complement(&self) -> Mask {
        let words = self.words.iter().map(|w| !w).collect();
        Mask::from_words(self.dims, words).expect("same extents, hence the same number of words")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_complements_ignore_the_padding() {
        for nx in [1, 63, 64, 65, 130] {
            let mask = Mask::from_fn([nx, 3, 2], |i, j, k| (i + j + k) % 3 == 0);
            assert_eq!(mask.count() + mask.complement().count(), (nx * 6) as u64);
            assert!((0..nx).all(|i| mask.get(i, 1, 1) != mask.complement().get(i, 1, 1)));
        }
        assert_eq!(Mask::from_words([65, 1, 1], vec![0]), None);
    }
}
