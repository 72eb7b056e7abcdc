//! The runs of a mask: stretches of set voxels along i, found by bit tricks and never stored. The number of a run is the number of run
//! starts before it, counted once per word. Memory: 4 bytes a word.

use rayon::prelude::*;

use crate::Error;
use crate::volume::{Mask, each_run};

/// Defines a function whose loops count bits: compiled for any processor, and again for those that do so in one instruction.
macro_rules! counting_bits {
    ($(#[$about:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)? $body:block) => {
        $(#[$about])*
        #[allow(clippy::too_many_arguments)]
        fn $name($($argument: $type),*) $(-> $out)? {
            #[inline(always)]
            fn anywhere($($argument: $type),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "popcnt,bmi1,avx2")]
                fn counting($($argument: $type),*) $(-> $out)? {
                    anywhere($($argument),*)
                }
                let features = [is_x86_feature_detected!("popcnt"), is_x86_feature_detected!("bmi1"), is_x86_feature_detected!("avx2")];
                if features == [true; 3] {
                    // SAFETY: the processor has the features that the function asks for.
                    return unsafe { counting($($argument),*) };
                }
            }
            anywhere($($argument),*)
        }
    };
}

pub(super) use counting_bits;

/// The runs of a mask by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Runs {
    pub mask: Mask,
    pub per_row: usize,
    /// Run starts before each word, in scan order.
    pub before: Vec<u32>,
    pub count: u32,
}

counting_bits! {
    /// Run starts before each word of some rows, and in all of them.
    fn count_starts(before: &mut [u32], words: &[u64], per_row: usize) -> u64 {
        let mut count = 0u32; // at most 32 starts in each of 2^14 words, or one row
        for (before, row) in before.chunks_mut(per_row).zip(words.chunks(per_row)) {
            let mut carry = 0;
            for (before, &word) in before.iter_mut().zip(row) {
                *before = count;
                count += (word & !(word << 1 | carry)).count_ones();
                carry = word >> 63;
            }
        }
        u64::from(count)
    }
}

impl Runs {
    pub fn of(mask: &Mask) -> Result<Runs, Error> {
        let per_row = mask.words_per_row();
        let rows_per_task = ((1 << 14) / per_row).max(1);
        let mut before = vec![0u32; mask.words().len()];
        // Counts inside tasks first, then the sums of the tasks before.
        let counts: Vec<u64> = before
            .par_chunks_mut(rows_per_task * per_row)
            .zip(mask.words().par_chunks(rows_per_task * per_row))
            .map(|(before, words)| count_starts(before, words, per_row))
            .collect();
        let count: u64 = counts.iter().sum();
        if count >= u64::from(u32::MAX) {
            let message = format!("the mask has {count} runs of voxels, allowed are at most 4294967294: label a smaller region");
            return Err(Error::resource("components.too_many", message));
        }
        let mut sum = 0u32;
        let starts: Vec<u32> = counts
            .iter()
            .map(|&c| {
                sum += c as u32; // at most `count`
                sum - c as u32
            })
            .collect();
        before.par_chunks_mut(rows_per_task * per_row).zip(starts).for_each(|(b, start)| b.iter_mut().for_each(|b| *b += start));
        Ok(Runs { mask: mask.clone(), per_row, before, count: count as u32 })
    }

    /// First word of a row.
    pub fn row(&self, j: usize, k: usize) -> usize {
        (k * self.mask.dims()[1] + j) * self.per_row
    }

    /// The bit before the first of a word, in its lowest place.
    #[inline(always)]
    fn carry(&self, word: usize) -> u64 {
        if word.is_multiple_of(self.per_row) { 0 } else { self.mask.words()[word - 1] >> 63 }
    }

    /// The number of the run that holds a set bit.
    #[inline(always)]
    pub fn number(&self, word: usize, bit: usize) -> u32 {
        let bits = self.mask.words()[word];
        let carry = if bits & 1 == 1 { self.carry(word) } else { 0 };
        let starts = bits & !(bits << 1 | carry);
        self.before[word] + (starts << (63 - bit)).count_ones() - 1
    }

    /// The numbers of the runs in a word with set bits; `carry` is the bit before the first.
    #[inline(always)]
    pub fn in_word(&self, word: usize, bits: u64, carry: u64) -> std::ops::Range<usize> {
        let before = self.before[word] as usize;
        before - (bits & carry & 1) as usize..before + (bits & !(bits << 1 | carry)).count_ones() as usize
    }

    /// Calls `f(number, from, to)` for the runs of a row, voxels `from..to`.
    #[inline]
    pub fn each_in_row(&self, row: usize, mut f: impl FnMut(u32, usize, usize)) {
        let first = row * self.per_row;
        let mut number = self.before[first];
        each_run(&self.mask.words()[first..first + self.per_row], |from, to| {
            f(number, from, to);
            number += 1;
        });
    }

    pub fn row_of(&self, j: Option<usize>, k: Option<usize>) -> Row<'_> {
        match (j, k) {
            (Some(j), Some(k)) if j < self.mask.dims()[1] => {
                let first = self.row(j, k);
                Row { words: &self.mask.words()[first..first + self.per_row], first }
            }
            _ => Row { words: &[], first: 0 },
        }
    }

    #[inline(always)]
    pub fn numbers(&self, (word, wide): (usize, Wide), base: u32) -> Numbers {
        Numbers { starts: wide.word & !wide.previous, before: self.before[word].wrapping_sub(base) }
    }

    /// The first run of each of the slices and the number of all runs.
    pub fn runs_before_slice(&self, k: usize) -> u32 {
        self.before.get(self.row(0, k)).copied().unwrap_or(self.count)
    }
}

/// A word as it is, and as seen one voxel to either side: bit b of `next` is voxel b + 1, of `previous` voxel b − 1.
#[derive(Clone, Copy, Default)]
pub(super) struct Wide {
    pub word: u64,
    pub next: u64,
    pub previous: u64,
}

/// A row of words; one outside the grid is empty.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    words: &'a [u64],
    /// Its first word's place in the mask.
    pub first: usize,
}

impl Row<'_> {
    #[inline(always)]
    pub fn wide(self, w: usize) -> Wide {
        let word = self.words.get(w).copied().unwrap_or(0);
        let after = self.words.get(w + 1).copied().unwrap_or(0);
        let before = self.words.get(w.wrapping_sub(1)).copied().unwrap_or(0);
        Wide { word, next: word >> 1 | after << 63, previous: word << 1 | before >> 63 }
    }
}

/// The runs of a word.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    starts: u64,
    /// Runs that start before it.
    before: u32,
}

impl Numbers {
    /// The number of the run that holds a set bit.
    #[inline(always)]
    pub fn of(self, bit: u32) -> u32 {
        self.before.wrapping_add((self.starts << (63 - bit)).count_ones()).wrapping_sub(1)
    }
}
