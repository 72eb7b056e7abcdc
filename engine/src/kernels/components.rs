//! Connected components of a mask.
//!
//! The elements are runs of set voxels along i, found by bit tricks and never stored: the number of a run is the number of
//! run starts before it, counted once per word. Runs of neighbouring rows that touch are united in a union-find forest whose
//! roots are the smallest numbers, so labels, which count roots in scan order, are the same for any order of unions, any
//! number of threads and any backend. A union that follows from others is left out 64 voxels at a time (see [`touching`]).
//!
//! Cost: one pass over the bits, and memory of 1/16 of the voxels in bytes plus 4 bytes a run. The GPU unites the runs inside
//! slabs of slices; the host settles what joins slabs, and the labels.

use std::sync::OnceLock;

use rayon::prelude::*;

use super::runs::{Runs, Wide, counting_bits};
use crate::Error;
use crate::forest::{numbered, unite};
use crate::gpu::Gpu;
use crate::runtime::Runtime;
use crate::volume::{Mask, bits_between};

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
#[derive(Clone, Debug)]
pub struct Components {
    runs: Runs,
    label_of_run: Vec<u32>,
    count: u32,
    /// Where they lie, told at the first question: many only ask for labels.
    list: OnceLock<Vec<Component>>,
}

impl PartialEq for Components {
    fn eq(&self, other: &Components) -> bool {
        (&self.runs, &self.label_of_run) == (&other.runs, &other.label_of_run) // the rest follows
    }
}

impl Eq for Components {}

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
    let (label_of_run, count) = numbered(parents, 1);
    Ok(Components { runs, label_of_run, count, list: OnceLock::new() })
}

impl Components {
    /// One entry a component; that of label 1 is the first.
    pub fn list(&self) -> &[Component] {
        self.list.get_or_init(|| self.runs.describe(&self.label_of_run, self.count))
    }

    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Voxels of each component; that of label 1 is the first.
    pub fn sizes(&self) -> Vec<u64> {
        self.list().iter().map(|c| c.size).collect()
    }

    /// The label of the largest component, the smaller label of equals; `None` where the mask is empty.
    pub fn largest(&self) -> Option<u32> {
        let largest = self.list().iter().map(|c| c.size).max()?;
        self.list().iter().position(|c| c.size == largest).map(|at| at as u32 + 1)
    }

    /// The label of a voxel inside the grid, 0 outside the mask.
    pub fn label_of(&self, i: usize, j: usize, k: usize) -> u32 {
        let runs = &self.runs;
        let word = runs.row(j, k) + i / 64;
        if runs.mask.words()[word] >> (i % 64) & 1 == 0 { 0 } else { self.label_of_run[runs.number(word, i % 64) as usize] }
    }

    /// Whether the component has a voxel in an outermost layer of the grid.
    pub fn touches_border(&self, label: u32) -> bool {
        let c = &self.list()[label as usize - 1];
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
                    (from / 64..to.div_ceil(64)).for_each(|w| words[w] |= bits_between(w, from, to));
                }
            });
        });
        Mask::from_words(runs.mask.dims(), words).expect("as many words as the mask")
    }

    /// Calls `f(label, i, j, k)` for every run of voxels along i, in scan order.
    pub fn each_run(&self, mut f: impl FnMut(u32, std::ops::Range<usize>, usize, usize)) {
        let ny = self.runs.mask.dims()[1];
        for row in 0..self.runs.mask.words().len() / self.runs.per_row {
            self.runs.each_in_row(row, |run, from, to| f(self.label_of_run[run as usize], from..to, row % ny, row / ny));
        }
    }

    /// Writes the label of every voxel. `out` must be as long as the grid has voxels.
    pub fn write_labels(&self, out: &mut [u32]) {
        let [nx, ny, nz] = self.runs.mask.dims();
        assert_eq!(out.len(), nx * ny * nz, "one label a voxel");
        out.par_chunks_mut(nx * ny).enumerate().for_each(|(k, slice)| write_slice(self, k, slice));
    }

    #[inline(always)]
    fn write_row(&self, first: usize, row: &mut [u32]) {
        let mut carry = 0;
        for (w, out) in row.chunks_mut(64).enumerate() {
            self.write_word(first + w, carry, out);
            carry = self.runs.mask.words()[first + w] >> 63;
        }
    }

    /// Writes the labels of one word, most often of one component.
    #[inline(always)]
    fn write_word(&self, word: usize, carry: u64, out: &mut [u32]) {
        let bits = self.runs.mask.words()[word];
        if bits == 0 {
            return out.fill(0);
        }
        let runs = self.runs.in_word(word, bits, carry);
        let label = self.label_of_run[runs.start];
        if are_one(&self.label_of_run, &runs) {
            for (byte, out) in bits.to_le_bytes().into_iter().zip(out.chunks_mut(8)) {
                out.iter_mut().zip(&SPREAD[byte as usize]).for_each(|(out, ones)| *out = ones & label);
            }
            return;
        }
        out.fill(0);
        let (mut from, mut rest) = (0, bits);
        for &label in &self.label_of_run[runs] {
            from += rest.trailing_zeros() as usize;
            let length = (bits >> from).trailing_ones() as usize;
            out[from..from + length].fill(label);
            from += length;
            rest = bits.checked_shr(from as u32).unwrap_or(0);
        }
    }
}

counting_bits! {
    fn write_slice(components: &Components, k: usize, slice: &mut [u32]) {
        let nx = components.runs.mask.dims()[0];
        for (j, row) in slice.chunks_mut(nx).enumerate() {
            components.write_row(components.runs.row(j, k), row);
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

impl Runs {
    /// Size and place of each component.
    fn describe(&self, label_of_run: &[u32], count: u32) -> Vec<Component> {
        let [_, _, nz] = self.mask.dims();
        // Every band has its own list, so there are few of them, and one where there are many components.
        let bands = rayon::current_num_threads().min(self.count as usize / (8 * count.max(1) as usize)).max(1);
        let slices = nz.div_ceil(bands);
        let list = |first: usize| describe_slices(self, first..(first + slices).min(nz), label_of_run, count);
        // Threads of their own: one of a pool that waits takes up another task, and that may ask for the list that is being made here.
        std::thread::scope(|scope| {
            let later: Vec<_> = (slices..nz).step_by(slices).map(|first| scope.spawn(move || list(first))).collect();
            later.into_iter().fold(list(0), |mut all, band| {
                let band = band.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                all.iter_mut().zip(&band).for_each(|(c, b)| c.grow(b));
                all
            })
        })
    }
}

counting_bits! {
    fn describe_slices(runs: &Runs, slices: std::ops::Range<usize>, label_of_run: &[u32], count: u32) -> Vec<Component> {
        let [_, ny, _] = runs.mask.dims();
        let mut components = vec![Component::NOTHING; count as usize];
        // The component met last, which most often goes on: kept out of the list as long as it does.
        let (mut at, mut current) = (1, Component::NOTHING);
        for (j, k) in slices.flat_map(|k| (0..ny).map(move |j| (j, k))) {
            let first = runs.row(j, k);
            let mut carry = 0;
            for (w, &bits) in runs.mask.words()[first..first + runs.per_row].iter().enumerate() {
                let there = runs.in_word(first + w, bits, carry);
                carry = bits >> 63;
                if there.is_empty() {
                    continue;
                }
                if are_one(label_of_run, &there) {
                    let label = label_of_run[there.start];
                    if label != at {
                        components[at as usize - 1] = current;
                        (at, current) = (label, components[label as usize - 1]);
                    }
                    current.add(bits, [w * 64, j, k]);
                    continue;
                }
                components[at as usize - 1] = current;
                let mut rest = bits;
                for &label in &label_of_run[there] {
                    let run = rest & !rest.wrapping_add(rest & rest.wrapping_neg());
                    components[label as usize - 1].add(run, [w * 64, j, k]);
                    rest ^= run;
                }
                current = components[at as usize - 1];
            }
        }
        if count > 0 {
            components[at as usize - 1] = current;
        }
        components
    }
}

/// Whether runs have one label.
#[inline(always)]
fn are_one(labels: &[u32], runs: &std::ops::Range<usize>) -> bool {
    match labels[runs.start..].first_chunk::<4>() {
        // The most frequent case without a branch for each run.
        Some(four) if runs.len() <= 4 => {
            let differs = |(n, label): (usize, &u32)| if n < runs.len() { label ^ four[0] } else { 0 };
            four.iter().enumerate().map(differs).fold(0, |all, d| all | d) == 0
        }
        _ => labels[runs.clone()].iter().all(|label| *label == labels[runs.start]),
    }
}

impl Component {
    const NOTHING: Component = Component { size: 0, first: [0; 3], min: [usize::MAX; 3], max: [0; 3] };

    /// Takes set bits of a word in, in scan order.
    #[inline(always)]
    fn add(&mut self, bits: u64, [i, j, k]: [usize; 3]) {
        let (low, high) = (i + bits.trailing_zeros() as usize, i + 63 - bits.leading_zeros() as usize);
        if self.size == 0 {
            (self.first, self.min[2]) = ([low, j, k], k); // slices come in order
        }
        self.size += u64::from(bits.count_ones());
        self.min = [self.min[0].min(low), self.min[1].min(j), self.min[2]];
        self.max = [self.max[0].max(high), self.max[1].max(j), k];
    }

    /// Takes in what later slices hold of it.
    fn grow(&mut self, later: &Component) {
        if self.size == 0 {
            self.first = later.first;
        }
        self.size += later.size;
        for a in 0..3 {
            self.min[a] = self.min[a].min(later.min[a]);
            self.max[a] = self.max[a].max(later.max[a]);
        }
    }
}

/// Where two rows must be united: bit b of `level` joins voxel b with voxel b of the other row, of `up` with b + 1, of `down` with b − 1.
#[derive(Clone, Copy, Default)]
struct Joins {
    level: u64,
    up: u64,
    down: u64,
}

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

/// Touching runs of a row with one of the slice below that is also one aside. `between` are the two rows that touch both: only where
/// neither has a voxel between is a union of its own needed.
#[inline(always)]
fn touching_diagonally(here: Wide, other: Wide, between: [Wide; 2], connectivity: Connectivity) -> Joins {
    let [a, b] = between;
    let free = !(a.word | b.word);
    let level = here.word & other.word & free;
    match connectivity {
        Connectivity::Faces6 => Joins::default(),
        Connectivity::Edges18 => Joins { level, up: 0, down: 0 },
        Connectivity::Corners26 => Joins {
            level,
            up: here.word & other.next & free & !(a.next | b.next),
            down: here.word & other.previous & free & !(a.previous | b.previous),
        },
    }
}

/// Which unions of a slice: with rows of the slice itself, with the slice below, or both.
#[derive(Clone, Copy, PartialEq)]
enum With {
    Slice,
    SliceBelow,
    Both,
}

impl Runs {
    #[inline(always)]
    fn unite_rows(&self, k: usize, with: With, connectivity: Connectivity, parents: &mut [u32], base: u32) {
        let lower = if with == With::Slice { None } else { k.checked_sub(1) };
        let diagonal = connectivity != Connectivity::Faces6;
        for j in 0..self.mask.dims()[1] {
            let (before, after) = (j.checked_sub(1), Some(j + 1));
            let [here, left, below] = [(Some(j), Some(k)), (before, Some(k)), (Some(j), lower)].map(|(j, k)| self.row_of(j, k));
            let [right, below_left, below_right] = [(after, Some(k)), (before, lower), (after, lower)].map(|(j, k)| self.row_of(j, k));
            for w in 0..self.per_row {
                let own = here.wide(w);
                if own.word == 0 {
                    continue;
                }
                let (beside, under) = (left.wide(w), below.wide(w));
                if with != With::SliceBelow {
                    self.unite_words((here.first + w, own), (left.first + w, beside), touching(own, beside, diagonal), parents, base);
                }
                if with == With::Slice {
                    continue;
                }
                let aside = below_left.wide(w);
                let mut joins = touching(own, under, diagonal);
                // Goes without saying: where all four rows are set, the unions through the rows to the left do it.
                joins.level &= !(beside.word & aside.word);
                self.unite_words((here.first + w, own), (below.first + w, under), joins, parents, base);
                if diagonal {
                    let joins = touching_diagonally(own, aside, [under, beside], connectivity);
                    self.unite_words((here.first + w, own), (below_left.first + w, aside), joins, parents, base);
                    let (beside, aside) = (right.wide(w), below_right.wide(w));
                    let joins = touching_diagonally(own, aside, [under, beside], connectivity);
                    self.unite_words((here.first + w, own), (below_right.first + w, aside), joins, parents, base);
                }
            }
        }
    }

    #[inline(always)]
    fn unite_words(&self, here: (usize, Wide), other: (usize, Wide), joins: Joins, parents: &mut [u32], base: u32) {
        // Plain loops: a closure would be compiled without the caller's processor features.
        let Joins { level, up, down } = joins;
        if level | up | down == 0 {
            return;
        }
        let (own, theirs) = (self.numbers(here, base), self.numbers(other, base));
        let mut left = level;
        while left != 0 {
            let b = left.trailing_zeros();
            left &= left - 1;
            unite(parents, own.of(b), theirs.of(b));
        }
        let mut left = up & !(1 << 63);
        while left != 0 {
            let b = left.trailing_zeros();
            left &= left - 1;
            unite(parents, own.of(b), theirs.of(b + 1));
        }
        let mut left = down & !1;
        while left != 0 {
            let b = left.trailing_zeros();
            left &= left - 1;
            unite(parents, own.of(b), theirs.of(b - 1));
        }
        // Into the words beside: the first run of the one, the last of the other.
        if up >> 63 == 1 {
            unite(parents, own.of(63), self.before[other.0 + 1] - base);
        }
        if down & 1 == 1 {
            unite(parents, own.of(0), self.before[other.0] - 1 - base);
        }
    }
}

counting_bits! {
    /// Unites the runs of slice k with what they touch. `parents` holds the runs from number `base` on.
    fn unite_slice(runs: &Runs, k: usize, with: With, connectivity: Connectivity, parents: &mut [u32], base: u32) {
        match connectivity {
            // A copy of the loop for each.
            Connectivity::Faces6 => runs.unite_rows(k, with, Connectivity::Faces6, parents, base),
            Connectivity::Edges18 => runs.unite_rows(k, with, Connectivity::Edges18, parents, base),
            Connectivity::Corners26 => runs.unite_rows(k, with, Connectivity::Corners26, parents, base),
        }
    }
}

fn on_cpu(runs: &Runs, connectivity: Connectivity) -> Vec<u32> {
    let nz = runs.mask.dims()[2];
    let threads = rayon::current_num_threads();
    let slices = if threads == 1 { nz } else { nz.div_ceil(4 * threads).max(2) };
    let mut parents = vec![0; runs.count as usize];
    // Bands of slices own their runs, numbered from 0; what joins two bands comes after.
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
        band.iter_mut().zip(0..).for_each(|(p, own)| *p = own);
        for k in slices.clone() {
            unite_slice(runs, k, if k > slices.start { With::Both } else { With::Slice }, connectivity, band, base);
        }
        if base > 0 {
            band.iter_mut().for_each(|p| *p += base);
        }
    });
    for k in (0..nz).step_by(slices).skip(1) {
        unite_slice(runs, k, With::SliceBelow, connectivity, &mut parents, 0);
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
            None => unite_slice(runs, first, With::Slice, connectivity, &mut parents, 0), // one slice is more than a slab
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
            unite_slice(runs, first, With::SliceBelow, connectivity, &mut parents, 0);
        }
        first = last.unwrap_or(first + 1);
    }
    Ok(parents)
}
