//! All pairs of triangles of a mesh that meet elsewhere than in what they share.
//!
//! Triangles stand in the order of the search tree, so that runs of eight are compact; boxes in f64 over runs of eight, of 64 and so on
//! leave the pairs whose boxes meet, and [`super::contact`] decides about them. Work is counted in box tests and bounded: where a mesh asks for
//! more, the search ends early and says so. Chunks of triangles are worked off in rounds of fixed size, so that the answer is the same on
//! any number of threads, also where it ends early.

use rayon::prelude::*;

use super::contact::Pair;
use crate::frame::Bounds;
use crate::mesh::Mesh;

const WIDTH: usize = 8;
/// Runs of eight that one task works off.
const CHUNK: usize = 32;
/// Tasks between two looks at the work done so far.
const ROUND: usize = 64;
/// Box tests that one task may spend, and all together: a few seconds.
const CHUNK_WORK: u64 = 1 << 23;
const ALL_WORK: u64 = 1 << 28;
/// What a pair that is looked at costs, and one that needs exact signs, in box tests.
const LOOKED_AT: u64 = 4;
const SETTLED: u64 = 64;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Found {
    pub count: usize,
    /// The pair of the smallest ids.
    pub first: Option<(u32, u32)>,
    /// The search ended before all pairs were looked at.
    pub more: bool,
    work: u64,
}

pub(super) fn self_intersections(mesh: &Mesh) -> Found {
    let order = crate::distance::compact_order(mesh);
    let search = Search::new(mesh, &order);
    let chunks: Vec<usize> = (0..order.len().div_ceil(WIDTH)).step_by(CHUNK).collect();
    let mut all = Found::default();
    for round in chunks.chunks(ROUND) {
        let found: Vec<Found> = round.par_iter().map(|&run| search.chunk(run)).collect();
        all = found.into_iter().fold(all, Found::and);
        if all.work > ALL_WORK {
            all.more |= round.last() != chunks.last();
            break;
        }
    }
    all
}

impl Found {
    fn and(self, other: Found) -> Found {
        let first = match (self.first, other.first) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Found { count: self.count + other.count, first, more: self.more || other.more, work: self.work + other.work }
    }
}

struct Search<'a> {
    mesh: &'a Mesh,
    order: &'a [u32],
    /// Boxes over runs of eight triangles, over eight such runs, and so on to one.
    levels: Vec<Vec<Bounds>>,
}

impl<'a> Search<'a> {
    fn new(mesh: &'a Mesh, order: &'a [u32]) -> Self {
        let over = |members: &[u32]| members.iter().map(|&t| bounds(mesh, t)).reduce(joined).unwrap_or_else(Bounds::empty);
        let mut levels: Vec<Vec<Bounds>> = vec![order.par_chunks(WIDTH).map(over).collect()];
        while let Some(below) = levels.last().filter(|l| l.len() > 1) {
            let above = below.chunks(WIDTH).map(|b| b.iter().copied().reduce(joined).unwrap_or_else(Bounds::empty)).collect();
            levels.push(above);
        }
        Search { mesh, order, levels }
    }

    /// The pairs whose first triangle, in the order, lies in the runs from `first` on.
    fn chunk(&self, first: usize) -> Found {
        let mut found = Found::default();
        for run in first..(first + CHUNK).min(self.levels[0].len()) {
            let own = self.run(run);
            self.descend(&own, self.levels.len() - 1, 0, &mut found);
            if found.work > CHUNK_WORK {
                found.more = true;
                break;
            }
        }
        found
    }

    fn run(&self, place: usize) -> Run {
        let triangles = &self.order[place * WIDTH..((place + 1) * WIDTH).min(self.order.len())];
        let mut run = Run { place, members: [(0, Bounds::empty()); WIDTH], count: triangles.len() };
        run.members.iter_mut().zip(triangles).for_each(|(member, &t)| *member = (t, bounds(self.mesh, t)));
        run
    }

    /// Looks at the later runs below a box that meet the box of a run.
    fn descend(&self, run: &Run, level: usize, index: usize, found: &mut Found) {
        found.work += 1;
        let (around, last) = (&self.levels[level][index], ((index + 1) << (3 * level)) - 1);
        if last < run.place || !meet(&self.levels[0][run.place], around) || found.work > CHUNK_WORK {
            return;
        }
        if level > 0 {
            let children = index * WIDTH..((index + 1) * WIDTH).min(self.levels[level - 1].len());
            children.for_each(|child| self.descend(run, level - 1, child, found));
        } else if index == run.place {
            (0..run.count).for_each(|i| self.look(&run.members[i], &run.members()[i + 1..], found));
        } else {
            let other = self.run(index);
            run.members().iter().filter(|one| meet(&one.1, around)).for_each(|one| self.look(one, other.members(), found));
        }
    }

    fn look(&self, (a, around): &(u32, Bounds), others: &[(u32, Bounds)], found: &mut Found) {
        found.work += others.len() as u64;
        for (b, _) in others.iter().filter(|(_, other)| meet(around, other)) {
            found.work += LOOKED_AT;
            let pair = Pair::of(self.mesh.corners(*a as usize), self.mesh.corners(*b as usize));
            if pair.apart() {
                continue;
            }
            found.work += SETTLED;
            if pair.meet() && !self.is_duplicate(*a, *b) {
                let named = (*a.min(b), *a.max(b));
                found.count += 1;
                found.first = Some(found.first.map_or(named, |first| first.min(named)));
            }
        }
    }

    /// The same three vertices: counted as such, not as an intersection.
    fn is_duplicate(&self, a: u32, b: u32) -> bool {
        let other = self.mesh.triangles()[b as usize];
        self.mesh.triangles()[a as usize].iter().all(|v| other.contains(v))
    }
}

/// Up to eight triangles with their boxes.
struct Run {
    place: usize,
    members: [(u32, Bounds); WIDTH],
    count: usize,
}

impl Run {
    fn members(&self) -> &[(u32, Bounds)] {
        &self.members[..self.count]
    }
}

fn bounds(mesh: &Mesh, t: u32) -> Bounds {
    let [a, b, c] = mesh.corners(t as usize);
    Bounds { min: a.inf(&b).inf(&c), max: a.sup(&b).sup(&c) }
}

fn joined(a: Bounds, b: Bounds) -> Bounds {
    Bounds { min: a.min.inf(&b.min), max: a.max.sup(&b.max) }
}

#[inline]
fn meet(a: &Bounds, b: &Bounds) -> bool {
    (0..3).all(|k| a.min[k] <= b.max[k] && b.min[k] <= a.max[k])
}
