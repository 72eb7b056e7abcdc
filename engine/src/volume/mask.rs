//! One bit a voxel, rows padded to whole 64-bit words.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::error::Error;

/// The places of the set bits of a row of words, ascending.
#[inline]
pub(crate) fn each_bit(words: &[u64], mut f: impl FnMut(usize)) {
    for (w, &word) in words.iter().enumerate() {
        let mut bits = word;
        while bits != 0 {
            f(w * 64 + bits.trailing_zeros() as usize);
            bits &= bits - 1;
        }
    }
}

/// The bits of word `w` of a row that lie from a place of the row to before another.
#[inline(always)]
pub(crate) fn bits_between(w: usize, from: usize, to: usize) -> u64 {
    let (from, to) = (from.max(w * 64), to.min(w * 64 + 64));
    if from >= to { 0 } else { (u64::MAX >> (63 - (to - 1) % 64)) & (u64::MAX << (from % 64)) }
}

/// The stretches of set bits of a row of words, from and to, ascending.
#[inline]
pub(crate) fn each_run(words: &[u64], mut f: impl FnMut(usize, usize)) {
    let mut open = None; // start of a run that reached the end of its word
    for (w, &word) in words.iter().enumerate() {
        let mut bits = word;
        if let Some(from) = open {
            let ones = bits.trailing_ones() as usize;
            if ones == 64 {
                continue;
            }
            f(from, w * 64 + ones);
            open = None;
            bits &= u64::MAX << ones;
        }
        while bits != 0 {
            let from = bits.trailing_zeros() as usize;
            let ones = (bits >> from).trailing_ones() as usize;
            if from + ones == 64 {
                open = Some(w * 64 + from);
                break;
            }
            f(w * 64 + from, w * 64 + from + ones);
            bits &= u64::MAX << (from + ones);
        }
    }
    if let Some(from) = open {
        f(from, words.len() * 64);
    }
}

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

    /// [`Mask::from_words`] of words that were made row by row of the grid's own size.
    pub(crate) fn of_rows(dims: [usize; 3], words: Vec<u64>) -> Result<Self, Error> {
        Mask::from_words(dims, words).ok_or_else(|| Error::defect("rows of one grid differ in size"))
    }

    /// Built voxel by voxel.
    pub fn from_fn(dims: [usize; 3], inside: impl Fn(usize, usize, usize) -> bool + Sync) -> Self {
        let words_per_row = dims[0].div_ceil(64);
        let mut words = vec![0u64; words_per_row * dims[1] * dims[2]];
        words.par_chunks_mut(words_per_row).enumerate().for_each(|(row, line)| {
            let (j, k) = (row % dims[1], row / dims[1]);
            for (w, word) in line.iter_mut().enumerate() {
                let voxels = w * 64..(w * 64 + 64).min(dims[0]);
                *word = voxels.fold(0, |bits, i| bits | u64::from(inside(i, j, k)) << (i % 64));
            }
        });
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
        self.words.par_iter().map(|w| u64::from(w.count_ones())).sum()
    }

    /// The voxels of the set by their numbers (i fastest, then j, then k) that satisfy `wanted`, ascending. The grid has at most 2³² voxels.
    pub fn voxels_where(&self, wanted: impl Fn(usize) -> bool + Sync) -> Vec<u32> {
        let [nx, ny, nz] = self.dims;
        let in_slice = |k: usize| {
            let mut found = vec![];
            for j in 0..ny {
                let first = (k * ny + j) * nx;
                each_bit(self.row(j, k), |i| {
                    if wanted(first + i) {
                        found.push((first + i) as u32);
                    }
                });
            }
            found
        };
        let slices: Vec<Vec<u32>> = (0..nz).into_par_iter().map(in_slice).collect();
        slices.concat()
    }

    /// The set with some more voxels, by their numbers.
    pub(crate) fn with(self, voxels: impl ParallelIterator<Item = u32>) -> Mask {
        let (nx, per_row) = (self.dims[0], self.words_per_row);
        let words: Vec<AtomicU64> = self.words.into_iter().map(AtomicU64::new).collect();
        voxels.map(|n| n as usize).for_each(|n| {
            words[n / nx * per_row + n % nx / 64].fetch_or(1 << (n % nx % 64), Ordering::Relaxed);
        });
        Mask { words: words.into_iter().map(AtomicU64::into_inner).collect(), ..self }
    }

    /// A word of a row as seen one voxel to either side, and whether what lies beyond the row is in the set.
    #[inline]
    fn shifted(&self, row: &[u64], w: usize, beyond: bool) -> [u64; 2] {
        let beyond = u64::from(beyond);
        let before = if w == 0 { beyond } else { row[w - 1] >> 63 };
        let after = if w + 1 == row.len() { beyond << ((self.dims[0] - 1) % 64) } else { row[w + 1] << 63 };
        [row[w] << 1 | before, row[w] >> 1 | after]
    }

    /// The voxels that share a face with one of the grid that is not in the set, by their numbers, ascending.
    pub fn rim(&self) -> Vec<u32> {
        let [_, ny, nz] = self.dims;
        let per_row = self.words_per_row;
        let words = (0..ny * nz).into_par_iter().flat_map_iter(|row| {
            let (j, k) = (row % ny, row / ny);
            let line = self.row(j, k);
            // Beyond the grid nothing is missing.
            let beside = |there: bool, at: usize, w: usize| if there { self.words[at * per_row + w] } else { u64::MAX };
            (0..per_row).map(move |w| {
                let [before, after] = self.shifted(line, w, true);
                let across = beside(j > 0, row.wrapping_sub(1), w) & beside(j + 1 < ny, row + 1, w);
                line[w] & !(before & after & across & beside(k > 0, row.wrapping_sub(ny), w) & beside(k + 1 < nz, row + ny, w))
            })
        });
        let rim = Mask { words: words.collect(), ..*self };
        rim.voxels_where(|_| true)
    }

    /// The voxels of the grid that have one of the set among the 3 × 3 × 3 around them.
    pub fn grown(&self) -> Mask {
        self.around(|a, b| a | b)
    }

    /// The voxels whose 3 × 3 × 3 lie in the set; none at the border of the grid does.
    pub fn shrunk(&self) -> Mask {
        self.around(|a, b| a & b)
    }

    /// Joins the bits of the 3 × 3 × 3 voxels around each; beyond the grid none is in the set.
    fn around(&self, join: impl Fn(u64, u64) -> u64 + Sync) -> Mask {
        let [_, ny, nz] = self.dims;
        let per_row = self.words_per_row;
        let along = |row: &[u64], w: usize| {
            let [before, after] = self.shifted(row, w, false);
            join(row[w], join(before, after))
        };
        let joined: Vec<u64> = self.words.par_chunks(per_row).flat_map_iter(|row| (0..per_row).map(move |w| along(row, w))).collect();
        let across = |row: usize, w: usize| {
            let (j, k) = (row % ny, row / ny);
            let beside = (0..9).map(|n| (j + n % 3, k + n / 3)); // one too far
            let bits = beside.map(|(j, k)| {
                let inside = (1..=ny).contains(&j) && (1..=nz).contains(&k);
                if inside { joined[((k - 1) * ny + j - 1) * per_row + w] } else { 0 }
            });
            bits.reduce(&join).unwrap_or(0)
        };
        let words =
            (0..ny * nz).into_par_iter().flat_map_iter(|row| (0..per_row).map(move |w| (row, w))).map(|(row, w)| across(row, w)).collect();
        Mask::from_words(self.dims, words).expect("same extents, hence the same number of words")
    }

    /// Smallest and largest index along each axis, both included; `None` of an empty set.
    pub fn extent(&self) -> Option<[[usize; 2]; 3]> {
        let ny = self.dims[1];
        let of_row = |(row, words): (usize, &[u64])| {
            let first = words.iter().position(|w| *w != 0)?;
            let last = words.iter().rposition(|w| *w != 0)?;
            let along = [first * 64 + words[first].trailing_zeros() as usize, last * 64 + 63 - words[last].leading_zeros() as usize];
            Some([along, [row % ny; 2], [row / ny; 2]])
        };
        let joined = |a: [[usize; 2]; 3], b: [[usize; 2]; 3]| [0, 1, 2].map(|n| [a[n][0].min(b[n][0]), a[n][1].max(b[n][1])]);
        self.words.par_chunks(self.words_per_row).enumerate().filter_map(of_row).reduce_with(joined)
    }

    /// The voxels that are in another set of the same grid as well.
    pub fn and(&self, other: &Mask) -> Result<Mask, Error> {
        let words = self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect();
        if self.dims != other.dims {
            return Err(Error::defect("sets of voxels of one grid differ in size"));
        }
        Mask::of_rows(self.dims, words)
    }

    /// The voxels of the grid that are not in the set.
    pub fn complement(&self) -> Mask {
        let words = self.words.par_iter().map(|w| !w).collect();
        Mask::from_words(self.dims, words).expect("same extents, hence the same number of words")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rim_extent_and_numbers_are_those_of_the_voxels() {
        for nx in [1, 2, 63, 64, 65, 130] {
            let dims = [nx, 4, 5];
            let mask = Mask::from_fn(dims, |i, j, k| (i * 7 + j * 3 + k * 5) % 11 > 1 && k > 0);
            let voxels: Vec<[usize; 3]> =
                (0..nx * 20).map(|n| [n % nx, n / nx % 4, n / nx / 4]).filter(|&[i, j, k]| mask.get(i, j, k)).collect();
            let number = |&[i, j, k]: &[usize; 3]| ((k * 4 + j) * nx + i) as u32;
            assert_eq!(mask.voxels_where(|n| n % 2 == 0), voxels.iter().map(number).filter(|n| n % 2 == 0).collect::<Vec<_>>());
            let bounds = [0, 1, 2].map(|a| [voxels.iter().map(|v| v[a]).min().unwrap(), voxels.iter().map(|v| v[a]).max().unwrap()]);
            assert_eq!(mask.extent(), Some(bounds));
            let lacks = |v: &[usize; 3]| {
                let mut near = (0..6).filter_map(|m| {
                    let mut at = *v;
                    at[m / 2] = if m % 2 == 0 { at[m / 2].checked_sub(1)? } else { at[m / 2] + 1 };
                    (at[m / 2] < dims[m / 2]).then_some(at)
                });
                near.any(|[i, j, k]| !mask.get(i, j, k))
            };
            assert_eq!(mask.rim(), voxels.iter().filter(|v| lacks(v)).map(number).collect::<Vec<_>>());
        }
        assert_eq!(Mask::from_fn([3, 3, 3], |_, _, _| false).extent(), None);
    }

    #[test]
    fn sets_grow_and_shrink_by_the_voxels_around_each() {
        for nx in [1, 2, 63, 64, 65, 130] {
            let dims = [nx, 4, 5];
            let mask = Mask::from_fn(dims, |i, j, k| (i * 7 + j * 3 + k * 5) % 23 > 1);
            let holds = |p: [usize; 3], n: usize| {
                let [i, j, k] = [p[0] + n % 3, p[1] + n / 3 % 3, p[2] + n / 9].map(|x| x.wrapping_sub(1));
                i < nx && j < 4 && k < 5 && mask.get(i, j, k)
            };
            assert_eq!(mask.grown(), Mask::from_fn(dims, |i, j, k| (0..27).any(|n| holds([i, j, k], n))));
            assert_eq!(mask.shrunk(), Mask::from_fn(dims, |i, j, k| (0..27).all(|n| holds([i, j, k], n))));
        }
    }

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
