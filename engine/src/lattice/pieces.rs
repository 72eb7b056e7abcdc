//! Pieces of a lattice that are built about a period away from where they are designed.
//!
//! Struts are followed where material lies nearest to where they are designed. A piece that no strut joins to others, or the whole lattice, may be
//! built displaced by so much that this is the place of their like: at one end of the piece struts seem missing, and at the other there are
//! as many that nobody designed. Which strut is which, nobody can tell then, and none of the piece is measured.
//! Method: each lattice vector of the piece (and their sums) by which struts leave the design for where nothing is designed; if at least half of
//! those are built there and at least half of those missing would be such by the opposite vector, the piece fits as well there.
//! Known limit: pieces that do not repeat in three directions, and those displaced by more than one and a half periods, are taken as they lie.
//! Cost: 52 looks into the nominal a strut, microseconds each, of pieces of which struts are missing.

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::cell::cell;
use super::design::{Design, Segment};
use super::trace::{State, Traced};
use crate::distance::MeshDistance;
use crate::forest::{root, unite};

/// Struts that seem missing, and that are built beyond the design, at least: shares of those that would be, and in number.
const SHARE: f64 = 0.5;
const FEWEST: usize = 3;

/// A piece that fits as well elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Astray {
    pub struts: Vec<usize>,
    /// The lattice vector by which it fits, mm.
    pub by: Vector3<f64>,
}

/// The pieces that fit as well a period from where they were followed.
pub(super) fn astray(design: &Design, carried: &Design, struts: &[Traced], [nominal, built]: [&MeshDistance; 2]) -> Vec<Astray> {
    let whole = |solid: &MeshDistance, s: &Segment, by: &Vector3<f64>, is: bool| {
        [0.5, 0.25, 0.75]
            .iter()
            .all(|share| (solid.contains(&(Point3::from(s.from.coords.lerp(&s.to.coords, *share)) + by)) == Some(true)) == is)
    };
    let of = |piece: Vec<usize>| {
        let missing = piece.iter().filter(|&&s| struts[s].state == State::Missing).count();
        if missing < FEWEST {
            return None;
        }
        let vectors = cell(&design.with_struts(&piece)?, |_| true)?.vectors;
        let ways = (0..27).filter(|n| *n != 13).map(|n| {
            let times = [n % 3, n / 3 % 3, n / 9].map(|m| f64::from(m) - 1.0);
            vectors[0] * times[0] + vectors[1] * times[1] + vectors[2] * times[2]
        });
        let fit = |by: Vector3<f64>| {
            let leaves = |s: usize, by: &Vector3<f64>| whole(nominal, &design.segment(s), by, false);
            // Struts that leave the design, those of them that are built there, and missing ones that are not designed a period back.
            let count = |&s: &usize| {
                let out = leaves(s, &by);
                let there = out && whole(built, &carried.segment(s), &by, true);
                let explained = struts[s].state == State::Missing && leaves(s, &-by);
                [out, there, explained].map(usize::from)
            };
            let [out, there, explained] = piece.par_iter().map(count).reduce(|| [0; 3], |a, b| [a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
            let fits = there >= FEWEST && there as f64 >= SHARE * out as f64 && explained as f64 >= SHARE * missing as f64;
            fits.then_some((there, by))
        };
        // The first of equals.
        let best = ways.filter_map(fit).reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        Some(Astray { struts: piece, by: best.1 })
    };
    pieces(design).into_iter().filter_map(of).collect()
}

/// Struts that hang together, ascending; pieces in the order of their first nodes.
fn pieces(design: &Design) -> Vec<Vec<usize>> {
    let mut parents: Vec<u32> = (0..design.nodes().len() as u32).collect();
    design.struts().iter().for_each(|s| unite(&mut parents, s.ends[0], s.ends[1]));
    let mut found = std::collections::BTreeMap::<u32, Vec<usize>>::new();
    for (s, strut) in design.struts().iter().enumerate() {
        found.entry(root(&mut parents, strut.ends[0])).or_default().push(s);
    }
    found.into_values().collect()
}
