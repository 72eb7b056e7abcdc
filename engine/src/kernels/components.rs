//! Connected components of a mask.
//!
//! The elements are runs of set voxels along i, found by bit tricks and never stored: the number of a run is the number of
//! run starts before it, counted once per word. Runs of neighbouring rows that touch are united in a union-find forest whose
//! roots are the smallest numbers, so labels, which count roots in scan order, are the same for any order of unions, any
//! number of threads and any backend. A union that follows from others is left out 64 voxels at a time (see [`touching`]).
//!
//! Cost: one pass over the bits, and memory of 1/16 of the voxels in bytes plus 4 bytes a run. The GPU unites the runs inside
//! slabs of slices; the host settles what joins slabs, and the labels.

use rayon::prelude::*;

use crate::Error;
use crate::gpu::Gpu;
use crate::runtime::Runtime;
use crate::volume::Mask;

/// Which voxels are neighbours: those that share a face, also those that share an edge, also those that share a corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    Faces6,
    Edges18,
    Corners26,
}

/// A component and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Voxels.
    pub size: u64,
    /// First voxel in scan order (i fastest, then j, then k).
    pub first: [usize; 3],
    /// Smallest and largest index along each axis, both included.
    pub min: [usize; 3],
    pub max: [usize; 3],
}

/// The components of a mask, numbered from 1 in the order of their first voxels; 0 is what the mask leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components {
    runs: Runs,
    label_of_run: Vec<u32>,
    components: Vec<Component>,
}

/// Labels the components of `mask`. Errors: more than 2³²−2 runs; faults of the GPU where the run insists on it.
pub fn components(mask: &Mask, connectivity: Connectivity, rt: &Runtime) -> Result<Components, Error> {
    rt.step("components", 0.0)?;
    let runs = Runs::of(mask)?;
    rt.step("components", 0.2)?;
    let parents = match rt.on_gpu("components", |gpu| on_gpu(&runs, connectivity, gpu, rt))? {
        Some(parents) => parents,
        None => on_cpu(&runs, connectivity),
    };
    rt.step("components", 0.8)?;
    let (label_of_run, count) = labels(parents);
    let components = runs.describe(&label_of_run, count);
    Ok(Components { runs, label_of_run, components })
}

impl Components {
    /// One entry a component; that of label 1 is the first.
    pub fn list(&self) -> &[Component] {
        &self.components
    }

    pub fn count(&self) -> usize {
        self.components.len()
    }

    /// Voxels of each component; that of label 1 is the first.
    pub fn sizes(&self) -> Vec<u64> {
        self.components.iter().map(|c| c.size).collect()
    }

    /// The label of the largest component, the smaller label of equals; `None` where the mask is empty.
    pub fn largest(&self) -> Option<u32> {
        let largest = self.components.iter().map(|c| c.size).max()?;
        self.components.iter().position(|c| c.size == largest).map(|at| at as u32 + 1)
    }

    /// The label of a voxel inside the grid, 0 outside the mask.
    pub fn label_of(&self, i: usize, j: usize, k: usize) -> u32 {
        let runs = &self.runs;
        let word = runs.row(j, k) + i / 64;
        if runs.mask.words()[word] >> (i % 64) & 1 == 0 { 0 } else { self.label_of_run[runs.number(word, i % 64) as usize] }
    }

    /// Whether the component has a voxel in an outermost layer of the grid.
    pub fn touches_border(&self, label: u32) -> bool {
        let c = &self.components[label as usize - 1];
        (0..3).any(|a| c.min[a] == 0 || c.max[a] + 1 == self.runs.mask.dims()[a])
    }

    /// The voxels of one component.
    pub fn mask_of(&self, label: u32) -> Mask {
        self.mask_where(|l| l == label)
    }

    /// The voxels of all components whose label satisfies `chosen`.
    pub fn mask_where(&self, chosen: impl Fn(u32) -> bool + Sync) -> Mask {
        let runs = &self.runs;
        let mut words = vec![0u64; runs.mask.words().len()];
        words.par_chunks_mut(runs.per_row).enumerate().for_each(|(row, words)| {
            runs.each_in_row(row, |run, from, to| {
                if chosen(self.label_of_run[run as usize]) {
                    set_bits(words, from, to);
                }
            });
        });
        Mask::from_words(runs.mask.dims(), words).expect("as many words as the mask")
    }

    /// Writes the label of every voxel. `out` must be as long as the grid has voxels.
    pub fn write_labels(&self, out: &mut [u32]) {
        let [nx, ny, nz] = self.runs.mask.dims();
        assert_eq!(out.len(), nx * ny * nz, "one label a voxel");
        out.par_chunks_mut(nx * ny).enumerate().for_each(|(k, slice)| {
            for (j, row) in slice.chunks_mut(nx).enumerate() {
                let first = self.runs.row(j, k);
                row.chunks_mut(64).enumerate().for_each(|(w, out)| self.write_word(first + w, out));
            }
        });
    }

    /// Writes the labels of one word, most often of one component.
    #[inline]
    fn write_word(&self, word: usize, out: &mut [u32]) {
        let bits = self.runs.mask.words()[word];
        if bits == 0 {
            return out.fill(0);
        }
        let (low, high) = (bits.trailing_zeros() as usize, 63 - bits.leading_zeros() as usize);
        let labels = &self.label_of_run[self.runs.number(word, low) as usize..=self.runs.number(word, high) as usize];
        if labels.iter().all(|&l| l == labels[0]) {
            for (byte, out) in bits.to_le_bytes().into_iter().zip(out.chunks_mut(8)) {
                out.iter_mut().zip(&SPREAD[byte as usize]).for_each(|(out, ones)| *out = ones & labels[0]);
            }
            return;
        }
        out.fill(0);
        let (mut from, mut rest) = (0, bits);
        for &label in labels {
            from += rest.trailing_zeros() as usize;
            let length = (bits >> from).trailing_ones() as usize;
            out[from..from + length].fill(label);
            from += length;
            rest = bits.checked_shr(from as u32).unwrap_or(0);
        }
    }
}

/// All ones for each set bit of a byte.
static SPREAD: [[u32; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[byte][bit] = if byte >> bit & 1 == 1 { u32::MAX } else { 0 };
            bit += 1;
        }
        byte += 1;
    }
    table
};

/// The runs of a mask by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Runs {
    mask: Mask,
    per_row: usize,
    /// Run starts before each word, in scan order.
    before: Vec<u32>,
    count: u32,
}

impl Runs {
    fn of(mask: &Mask) -> Result<Runs, Error> {
        let per_row = mask.words_per_row();
        let rows_per_task = ((1 << 14) / per_row).max(1);
        let mut before = vec![0u32; mask.words().len()];
        // Counts inside tasks first, then the sums of the tasks before.
        let counts: Vec<u64> = before
            .par_chunks_mut(rows_per_task * per_row)
            .zip(mask.words().par_chunks(rows_per_task * per_row))
            .map(|(before, words)| {
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
            })
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
    fn row(&self, j: usize, k: usize) -> usize {
        (k * self.mask.dims()[1] + j) * self.per_row
    }

    /// The bit before the first of a word, in its lowest place.
    #[inline(always)]
    fn carry(&self, word: usize) -> u64 {
        if word.is_multiple_of(self.per_row) { 0 } else { self.mask.words()[word - 1] >> 63 }
    }

    /// The number of the run that holds a set bit.
    #[inline(always)]
    fn number(&self, word: usize, bit: usize) -> u32 {
        let bits = self.mask.words()[word];
        let carry = if bits & 1 == 1 { self.carry(word) } else { 0 };
        let starts = bits & !(bits << 1 | carry);
        self.before[word] + (starts << (63 - bit)).count_ones() - 1
    }

    /// Calls `f(number, from, to)` for the runs of a row, voxels `from..to`.
    #[inline]
    fn each_in_row(&self, row: usize, mut f: impl FnMut(u32, usize, usize)) {
        let first = row * self.per_row;
        let words = &self.mask.words()[first..first + self.per_row];
        let mut number = self.before[first];
        let mut open = None; // start of a run that reached the end of its word
        for (w, &word) in words.iter().enumerate() {
            let mut bits = word;
            if let Some(from) = open {
                let ones = bits.trailing_ones() as usize;
                if ones == 64 {
                    continue;
                }
                f(number, from, w * 64 + ones);
                number += 1;
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
                f(number, w * 64 + from, w * 64 + from + ones);
                number += 1;
                bits &= u64::MAX << (from + ones);
            }
        }
        if let Some(from) = open {
            f(number, from, words.len() * 64);
        }
    }

    /// Size and place of each component.
    fn describe(&self, label_of_run: &[u32], count: u32) -> Vec<Component> {
        let [_, ny, nz] = self.mask.dims();
        let nothing = Component { size: 0, first: [0; 3], min: [usize::MAX; 3], max: [0; 3] };
        let mut components = vec![nothing; count as usize];
        for k in 0..nz {
            for j in 0..ny {
                self.each_in_row(k * ny + j, |run, from, to| {
                    let c = &mut components[label_of_run[run as usize] as usize - 1];
                    if c.size == 0 {
                        *c = Component { size: 0, first: [from, j, k], min: [from, j, k], max: [to - 1, j, k] };
                    }
                    c.size += (to - from) as u64;
                    c.min = [c.min[0].min(from), c.min[1].min(j), c.min[2]]; // slices come in order
                    c.max = [c.max[0].max(to - 1), c.max[1].max(j), k];
                });
            }
        }
        components
    }
}

/// Words that make the decisions for one word of a row: the row itself, the row before it in its slice, and of the slice
/// before the same row and its two neighbours; each with the bits that slide in from the words beside it.
#[derive(Clone, Copy, Default)]
struct Near {
    here: Wide,
    left: Wide,
    below: Wide,
    below_left: Wide,
    below_right: Wide,
}

/// A word as it is, and as seen one voxel to either side: bit b of `next` is voxel b + 1, of `previous` voxel b − 1.
#[derive(Clone, Copy, Default)]
struct Wide {
    word: u64,
    next: u64,
    previous: u64,
}

/// Where two rows must be united: bit b of `level` joins voxel b with voxel b of the other row, of `up` with b + 1, of `down` with b − 1.
#[derive(Clone, Copy, Default)]
struct Joins {
    level: u64,
    up: u64,
    down: u64,
}

const NO_JOINS: (Option<usize>, Joins) = (None, Joins { level: 0, up: 0, down: 0 });

/// Touching runs of row `a` with row `b`, once for each pair and seldom twice; with `diagonal`, also those that touch one voxel aside.
#[inline(always)]
fn touching(a: Wide, b: Wide, diagonal: bool) -> Joins {
    let both = a.word & b.word;
    // The first voxel of each stretch that both rows share stands for it.
    let level = both & !(a.previous & b.previous);
    if !diagonal {
        return Joins { level, up: 0, down: 0 };
    }
    // A run that ends where the other begins: had either gone on, the rows would share a voxel there.
    Joins { level, up: a.word & b.next & !a.next & !b.word, down: a.word & b.previous & !a.previous & !b.word }
}

impl Near {
    #[inline(always)]
    fn with_left(&self, connectivity: Connectivity) -> Joins {
        touching(self.here, self.left, connectivity != Connectivity::Faces6)
    }

    /// Less what goes without saying: where all four rows are set, the unions through the rows to the left do it.
    #[inline(always)]
    fn with_below(&self, connectivity: Connectivity) -> Joins {
        let mut joins = touching(self.here, self.below, connectivity != Connectivity::Faces6);
        joins.level &= !(self.left.word & self.below_left.word);
        joins
    }

    /// `other` is a neighbour of the row below, `beside` the row that touches both `other` and this row and lies in this slice.
    /// Only where neither it nor the row below has a voxel between is a union of its own needed.
    #[inline(always)]
    fn with_diagonal(&self, other: Wide, beside: Wide, connectivity: Connectivity) -> Joins {
        let free = |a: u64, b: u64| !(a | b);
        let (here, between) = (self.here.word, free(self.below.word, beside.word));
        let level = here & other.word & between;
        match connectivity {
            Connectivity::Faces6 => Joins::default(),
            Connectivity::Edges18 => Joins { level, up: 0, down: 0 },
            Connectivity::Corners26 => Joins {
                level,
                up: here & other.next & between & free(self.below.next, beside.next),
                down: here & other.previous & between & free(self.below.previous, beside.previous),
            },
        }
    }
}

/// Which unions of a slice: with rows of the slice itself, or with the slice below.
#[derive(Clone, Copy, PartialEq)]
enum With {
    Slice,
    SliceBelow,
}

impl Runs {
    /// A word of a row; rows outside the grid are empty.
    #[inline(always)]
    fn wide(&self, row: Option<usize>, w: usize) -> Wide {
        let Some(row) = row else { return Wide::default() };
        let words = &self.mask.words()[row..row + self.per_row];
        let (word, after) = (words[w], words.get(w + 1).copied().unwrap_or(0));
        let before = if w == 0 { 0 } else { words[w - 1] };
        Wide { word, next: word >> 1 | after << 63, previous: word << 1 | before >> 63 }
    }

    /// Unites the runs of slice k with what they touch. `parents` holds the runs from number `base` on.
    fn unite_slice(&self, k: usize, with: With, connectivity: Connectivity, parents: &mut [u32], base: u32) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("popcnt") && std::arch::is_x86_feature_detected!("bmi1") {
            // SAFETY: the processor has the two features that the function asks for.
            return unsafe { self.unite_slice_counting(k, with, connectivity, parents, base) };
        }
        self.unite_slice_anywhere(k, with, connectivity, parents, base);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "popcnt,bmi1")]
    fn unite_slice_counting(&self, k: usize, with: With, connectivity: Connectivity, parents: &mut [u32], base: u32) {
        self.unite_slice_anywhere(k, with, connectivity, parents, base);
    }

    #[inline(always)]
    fn unite_slice_anywhere(&self, k: usize, with: With, connectivity: Connectivity, parents: &mut [u32], base: u32) {
        let ny = self.mask.dims()[1];
        for j in 0..ny {
            let here = self.row(j, k);
            let left = (j > 0).then(|| here - self.per_row);
            let right = (j + 1 < ny).then(|| here + self.per_row);
            if with == With::Slice && left.is_none() {
                continue;
            }
            let [below, below_left, below_right] = match with {
                With::Slice => [None; 3],
                With::SliceBelow => [Some(here), left, right].map(|row| row.map(|r| r - ny * self.per_row)),
            };
            for w in 0..self.per_row {
                if self.mask.words()[here + w] == 0 {
                    continue;
                }
                let near = Near {
                    here: self.wide(Some(here), w),
                    left: self.wide(left, w),
                    below: self.wide(below, w),
                    below_left: self.wide(below_left, w),
                    below_right: self.wide(below_right, w),
                };
                let joins = match with {
                    With::Slice => [(left, near.with_left(connectivity)), NO_JOINS, NO_JOINS],
                    With::SliceBelow if connectivity == Connectivity::Faces6 => {
                        [(below, near.with_below(connectivity)), NO_JOINS, NO_JOINS]
                    }
                    With::SliceBelow => [
                        (below, near.with_below(connectivity)),
                        (below_left, near.with_diagonal(near.below_left, near.left, connectivity)),
                        (below_right, near.with_diagonal(near.below_right, self.wide(right, w), connectivity)),
                    ],
                };
                for (other, joins) in joins {
                    if let Some(other) = other {
                        self.unite_words(here + w, other + w, joins, parents, base);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn unite_words(&self, here: usize, other: usize, joins: Joins, parents: &mut [u32], base: u32) {
        // Plain loops: a closure would be compiled without the caller's processor features.
        let mut left = joins.level | joins.up | joins.down;
        while left != 0 {
            let b = left.trailing_zeros() as usize;
            let bit = left & left.wrapping_neg();
            left ^= bit;
            let run = self.number(here, b) - base;
            if joins.level & bit != 0 {
                unite(parents, run, self.number(other, b) - base);
            }
            if joins.up & bit != 0 {
                unite(parents, run, self.number(other + (b + 1) / 64, (b + 1) % 64) - base);
            }
            if joins.down & bit != 0 {
                unite(parents, run, self.number(other - usize::from(b == 0), (b + 63) % 64) - base);
            }
        }
    }

    /// The first run of each of the slices and the number of all runs.
    fn runs_before_slice(&self, k: usize) -> u32 {
        self.before.get(self.row(0, k)).copied().unwrap_or(self.count)
    }
}

fn on_cpu(runs: &Runs, connectivity: Connectivity) -> Vec<u32> {
    let nz = runs.mask.dims()[2];
    let threads = rayon::current_num_threads();
    let slices = if threads == 1 { nz } else { nz.div_ceil(4 * threads).max(2) };
    let mut parents: Vec<u32> = (0..runs.count).collect();
    // Bands of slices own their runs; what joins two bands comes after.
    let mut bands = vec![];
    let mut rest = parents.as_mut_slice();
    for first in (0..nz).step_by(slices) {
        let last = (first + slices).min(nz);
        let base = runs.runs_before_slice(first);
        let (band, others) = rest.split_at_mut((runs.runs_before_slice(last) - base) as usize);
        rest = others;
        bands.push((first..last, base, band));
    }
    bands.into_par_iter().for_each(|(slices, base, band)| {
        band.iter_mut().for_each(|p| *p -= base);
        for k in slices.clone() {
            runs.unite_slice(k, With::Slice, connectivity, band, base);
            if k > slices.start {
                runs.unite_slice(k, With::SliceBelow, connectivity, band, base);
            }
        }
        band.iter_mut().for_each(|p| *p += base);
    });
    for k in (0..nz).step_by(slices).skip(1) {
        runs.unite_slice(k, With::SliceBelow, connectivity, &mut parents, 0);
    }
    parents
}

fn on_gpu(runs: &Runs, connectivity: Connectivity, gpu: &Gpu, rt: &Runtime) -> Result<Vec<u32>, Error> {
    let program = gpu.program("components", include_str!("../../../shaders/components.wgsl"), "main")?;
    let [_, ny, nz] = runs.mask.dims();
    let mut parents: Vec<u32> = (0..runs.count).collect();
    let mut first = 0;
    while first < nz {
        rt.step("components", 0.2 + 0.6 * first as f64 / nz as f64)?;
        let base = runs.runs_before_slice(first);
        let fits = |last: usize| {
            let runs_there = (runs.runs_before_slice(last) - base) as usize;
            ((last - first) * ny * runs.per_row * 8).max(runs_there * 4) <= gpu.slab_bytes()
        };
        let last = (first + 1..=nz).take_while(|&last| fits(last)).last();
        match last {
            None => runs.unite_slice(first, With::Slice, connectivity, &mut parents, 0), // one slice is more than a slab
            Some(last) => {
                let words = runs.row(0, first)..runs.row(0, last);
                let band = &mut parents[base as usize..runs.runs_before_slice(last) as usize];
                band.iter_mut().for_each(|p| *p -= base);
                let bits = gpu.upload("the mask of a slab", &runs.mask.words()[words.clone()])?;
                let before = gpu.upload("the run numbers of a slab", &runs.before[words.clone()])?;
                let there = gpu.upload("the runs of a slab", band)?;
                let parameters = [runs.per_row as u32, ny as u32, base, connectivity as u32];
                gpu.run(&program, &parameters, &[&bits, &before, &there], words.len())?;
                gpu.read(&there, band)?;
                band.iter_mut().for_each(|p| *p += base);
            }
        }
        if first > 0 {
            runs.unite_slice(first, With::SliceBelow, connectivity, &mut parents, 0);
        }
        first = last.unwrap_or(first + 1);
    }
    Ok(parents)
}

/// Turns the forest into labels: roots count from 1 in scan order.
fn labels(mut parents: Vec<u32>) -> (Vec<u32>, u32) {
    let mut count = 0;
    for run in 0..parents.len() {
        let parent = parents[run] as usize;
        parents[run] = if parent == run {
            count += 1;
            count
        } else {
            parents[parent] // before `run`, hence a label already
        };
    }
    (parents, count)
}

/// Joins the trees of two runs under the smaller root.
#[inline(always)]
fn unite(parents: &mut [u32], a: u32, b: u32) {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b) as usize] = a.min(b);
}

#[inline(always)]
fn root(parents: &mut [u32], mut run: u32) -> u32 {
    loop {
        let parent = parents[run as usize];
        if parent == run {
            return run;
        }
        let above = parents[parent as usize];
        parents[run as usize] = above;
        run = above;
    }
}

fn set_bits(words: &mut [u64], from: usize, to: usize) {
    for (w, word) in words.iter_mut().enumerate().take(to.div_ceil(64)).skip(from / 64) {
        let low = from.saturating_sub(w * 64);
        let high = (to - w * 64).min(64);
        *word |= (u64::MAX >> (64 - (high - low))) << low;
    }
}
