//! Where a lattice is built: each designed node as the lattice around it is displaced, and the struts followed there.
//!
//! Far from where the alignment holds, a lattice that shrank, sheared or bent lies off its design by more than half the way to the next strut.
//! Struts are followed from their designed axes first. Where most nodes lie near their designed places those are sure; from the surest place a
//! front goes over the struts, ring by ring. The nodes of a ring are displaced as an affine map (least squares, see `stretch`) of the measured
//! nodes within a few struts says; struts between nodes displaced by more than what sections clear of nodes absorb are followed again from there,
//! and place the nodes that the next ring rests on. At last each node is displaced as those all around it say.
//! A displaced node tells nothing of the lattice around it: maps leave it out, and one farther from where it was looked for than a quarter of
//! its shortest strut, which may be its neighbour's, carries nothing on.
//! Accepts any design; pieces that no strut joins begin each at its own surest place, and keep their designed places where no struts cross.
//! Known bias: a bend of curvature κ leaves κ r²/2 at the border of a lattice, r the reach of the maps (two to four struts).
//! Cost: a displaced strut is followed twice, or a third time where the map from all around differs.

use std::collections::BTreeSet;

use nalgebra::Vector3;
use rayon::prelude::*;

use super::design::{Design, Segment};
use super::nodes::{Node, meeting, node, nodes};
use super::stretch::{Placed, Stretch};
use super::trace::{THICKER, Traced};
use crate::error::Error;

/// A node nearer to where it is looked for than this share of its shortest strut is the one looked for.
const OWN: f64 = 0.25;
/// Struts from node to node: around a node that counts how sure a place is, and where all is sure.
const COUNTED: usize = 3;
const SURE: usize = 2;
/// Nodes that a map rests on if there are so many within `FARTHEST` struts; nodes looked at at most.
const ENOUGH: usize = 24;
const FARTHEST: usize = 4;
const MOST_AROUND: usize = 512;
/// A strut is longer or shorter than designed by this share at most.
const STRAIN: f64 = 0.2;
/// Times that a strut is followed at most: where it is designed, when the front passes its second end, and at last.
pub(super) const MOST_PASSES: usize = 3;

/// Struts and nodes as built.
pub(super) struct Carried {
    /// The design with every node displaced as the lattice around it, where that is more than sections clear of nodes absorb.
    pub design: Design,
    pub struts: Vec<Traced>,
    pub nodes: Vec<Node>,
}

impl Carried {
    /// `follow` gives the struts of the numbers stated, followed where they are looked for.
    pub fn of(design: &Design, mut follow: impl FnMut(&[usize], &[Segment]) -> Result<Vec<Traced>, Error>) -> Result<Carried, Error> {
        let all: Vec<usize> = (0..design.struts().len()).collect();
        let struts = follow(&all, &design.segments())?;
        let mut front = Front::new(design, struts);
        for start in front.surest() {
            if front.shift[start].is_none() {
                front.spread(start, &mut follow)?;
            }
        }
        front.settle(&mut follow)?;
        let displaced: Vec<Vector3<f64>> = (0..design.nodes().len()).map(|n| front.displaced(n)).collect();
        let nodes = nodes(design.nodes(), design.struts(), &front.struts);
        Ok(Carried { design: design.moved(&displaced), struts: front.struts, nodes })
    }
}

struct Front<'a> {
    design: &'a Design,
    meeting: Vec<Vec<u32>>,
    struts: Vec<Traced>,
    /// How far the ends of each strut were displaced when it was followed.
    followed_at: Vec<[Vector3<f64>; 2]>,
    /// How far the lattice around each node that the front has passed is displaced.
    shift: Vec<Option<Vector3<f64>>>,
    /// Measured displacements that the next rings rest on; before the front passes those from the designed axes.
    offset: Vec<Option<Vector3<f64>>>,
    /// A node displaced by no more than that stays.
    absorbed_mm: Vec<f64>,
    /// A node displaced by less than that is itself.
    own_mm: Vec<f64>,
}

impl<'a> Front<'a> {
    fn new(design: &'a Design, struts: Vec<Traced>) -> Front<'a> {
        let meeting = meeting(design.nodes().len(), design.struts());
        let least = |of: &dyn Fn(&Segment) -> f64| -> Vec<f64> {
            meeting.iter().map(|m| m.iter().map(|&s| of(&design.segment(s as usize))).fold(f64::INFINITY, f64::min)).collect()
        };
        let (absorbed_mm, own_mm) = (least(&|s| (THICKER - 1.0) * s.radius_mm), least(&|s| OWN * s.length_mm()));
        let (count, followed_at) = (design.nodes().len(), vec![[Vector3::zeros(); 2]; struts.len()]);
        let mut front =
            Front { design, meeting, struts, followed_at, shift: vec![None; count], offset: vec![None; count], absorbed_mm, own_mm };
        front.offset = (0..count).map(|n| front.measured(n, |_| true).filter(|o| o.norm() < front.own_mm[n])).collect();
        front
    }

    /// A node as those of its struts say that may be told so far.
    fn measured(&self, n: usize, counts: impl Fn(usize) -> bool) -> Option<Vector3<f64>> {
        let told: Vec<u32> = self.meeting[n].iter().copied().filter(|&s| counts(s as usize)).collect();
        node(n, self.design.nodes(), &told, self.design.struts(), &self.struts).offset
    }

    /// Nodes with others near their designed places all around, the surest first.
    fn surest(&self) -> Vec<usize> {
        let near = |n: usize| self.offset[n].map_or(0.0, |o| 1.0 - o.norm() / self.own_mm[n]);
        let sure = |n: usize| self.within(n, COUNTED, usize::MAX).into_iter().map(near).sum::<f64>();
        let sure: Vec<f64> = (0..self.offset.len()).into_par_iter().map(sure).collect();
        let mut order: Vec<usize> = (0..sure.len()).filter(|&n| sure[n] > 0.0).collect();
        order.sort_by(|&a, &b| sure[b].total_cmp(&sure[a]).then(a.cmp(&b)));
        order
    }

    /// A node and those within some struts of it, nearest first; no farther ones once so many of them are measured.
    fn within(&self, n: usize, struts: usize, enough: usize) -> Vec<usize> {
        let (mut found, mut seen, mut from) = (vec![n], BTreeSet::from([n]), 0);
        for _ in 0..struts {
            let ring = from..found.len();
            from = found.len();
            for k in ring {
                for &s in &self.meeting[found[k]] {
                    let far = self.design.struts()[s as usize].ends.map(|n| n as usize);
                    found.extend(far.into_iter().filter(|&m| seen.insert(m)));
                }
            }
            if found.len() >= MOST_AROUND || found[1..].iter().filter(|&&m| self.carries(m)).count() >= enough {
                break;
            }
        }
        found
    }

    /// The front has passed the node and found it.
    fn carries(&self, n: usize) -> bool {
        self.shift[n].is_some() && self.offset[n].is_some()
    }

    /// What the nodes around one say of it.
    fn foretold(&self, n: usize) -> Option<Vector3<f64>> {
        let around = self.within(n, FARTHEST, ENOUGH);
        let placed: Vec<Placed> = (around[1..].iter().filter(|&&m| self.carries(m)))
            .filter_map(|&m| self.offset[m].map(|o| (self.design.nodes()[m], o)))
            .collect();
        // Where none is measured the first that the front has passed.
        let passed = || around[1..].iter().find_map(|&m| self.shift[m]);
        Stretch::around(&placed).map(|map| map.displacement(&self.design.nodes()[n])).or_else(passed)
    }

    /// How far from its designed place a node is looked for.
    fn displaced(&self, n: usize) -> Vector3<f64> {
        self.shift[n].filter(|by| by.norm() > self.absorbed_mm[n]).unwrap_or_default()
    }

    /// A front over all that struts join to a node.
    fn spread(&mut self, start: usize, follow: &mut impl FnMut(&[usize], &[Segment]) -> Result<Vec<Traced>, Error>) -> Result<(), Error> {
        let mut ring = self.within(start, SURE, usize::MAX);
        let sure: Vec<Placed> = ring.iter().filter_map(|&n| self.offset[n].map(|o| (self.design.nodes()[n], o))).collect();
        let Some(map) = Stretch::around(&sure) else { return Ok(()) };
        let mut shifts: Vec<Vector3<f64>> = ring.iter().map(|&n| map.displacement(&self.design.nodes()[n])).collect();
        while !ring.is_empty() {
            ring.iter().zip(shifts).for_each(|(&n, shift)| self.shift[n] = Some(shift));
            let struts: BTreeSet<usize> = ring.iter().flat_map(|&n| &self.meeting[n]).map(|&s| s as usize).collect();
            let (behind, ahead): (Vec<usize>, Vec<usize>) = struts.into_iter().partition(|&s| self.is_behind(s));
            self.follow(&behind, follow)?;
            let ends: BTreeSet<usize> = behind.iter().flat_map(|&s| self.ends(s)).chain(ring).collect();
            for n in ends {
                let own = |o: &Vector3<f64>| self.shift[n].is_some_and(|shift| (o - shift).norm() < self.own_mm[n]);
                self.offset[n] = self.measured(n, |s| self.is_behind(s)).filter(own);
            }
            let next: BTreeSet<usize> = ahead.iter().flat_map(|&s| self.ends(s)).filter(|&n| self.shift[n].is_none()).collect();
            ring = next.into_iter().collect();
            shifts = ring.par_iter().map(|&n| self.foretold(n).unwrap_or_default()).collect();
        }
        Ok(())
    }

    /// Displaces every node as those all around it.
    fn settle(&mut self, follow: &mut impl FnMut(&[usize], &[Segment]) -> Result<Vec<Traced>, Error>) -> Result<(), Error> {
        let passed = |n: usize| self.shift[n].map(|shift| self.foretold(n).unwrap_or(shift));
        self.shift = (0..self.shift.len()).into_par_iter().map(passed).collect();
        self.follow(&(0..self.struts.len()).collect::<Vec<_>>(), follow)
    }

    /// The front has passed both ends.
    fn is_behind(&self, strut: usize) -> bool {
        self.ends(strut).iter().all(|&n| self.shift[n].is_some())
    }

    fn ends(&self, strut: usize) -> [usize; 2] {
        self.design.struts()[strut].ends.map(|n| n as usize)
    }

    /// Follows those of the struts again that are displaced from where they were followed.
    fn follow(
        &mut self,
        struts: &[usize],
        follow: &mut impl FnMut(&[usize], &[Segment]) -> Result<Vec<Traced>, Error>,
    ) -> Result<(), Error> {
        let (mut moved, mut segments) = (vec![], vec![]);
        for &s in struts {
            let by = self.ends(s).map(|n| self.displaced(n));
            let is_far = |end: usize| (by[end] - self.followed_at[s][end]).norm() > self.absorbed_mm[self.ends(s)[end]];
            let own = self.design.segment(s);
            let at = Segment { from: own.from + by[0], to: own.to + by[1], ..own };
            let is_strut = (at.length_mm() / own.length_mm() - 1.0).abs() < STRAIN;
            if is_strut && (is_far(0) || is_far(1)) {
                self.followed_at[s] = by;
                moved.push(s);
                segments.push(at);
            }
        }
        for (s, traced) in moved.iter().zip(follow(&moved, &segments)?) {
            self.struts[*s] = traced;
        }
        Ok(())
    }
}
