//! Directed Hausdorff distance between surfaces, between bounds.
//!
//! h(A, B) = sup over a ∈ A of the distance from a to B, mm. Branch and bound over the triangles of A: the distance at a corner is a lower
//! bound; an upper bound on a piece with corners vᵢ is the smaller of
//!   min over triangles t of B of maxᵢ d(vᵢ, t), since the distance to one triangle is convex (after Tang, Lee & Kim 2009), tried with
//!   the triangles nearest to the corners, and
//!   maxᵢ d(vᵢ, B) + ℓ/√3, since that distance is 1-Lipschitz and no point of a piece with longest edge ℓ is farther from a corner.
//! Pieces that cannot exceed the lower bound by more than [`slack_mm`] are left, the others are quartered. Levels are worked off whole, so the bounds
//! have the same bits on any number of threads. Where [`MOST_PIECES`] do not suffice, the bounds stay wider and say so.
//! Cost: a nearest-point query a vertex; then three a quartered piece.

use nalgebra::{Point3, center};
use rayon::prelude::*;

use super::{MeshDistance, triangle};
use crate::error::Error;
use crate::mesh::Mesh;
use crate::runtime::Runtime;

/// Pieces open at once; 120 bytes each.
const MOST_PIECES: usize = 1 << 20;
/// Halvings of edges: from a metre to a tenth of a micrometre.
const MOST_LEVELS: usize = 24;
/// Pieces that one task works off.
const GRAIN: usize = 256;

/// Bounds of a directed Hausdorff distance, mm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bracket {
    /// Attained at `at`.
    pub lower_mm: f64,
    pub upper_mm: f64,
    pub at: Point3<f64>,
}

/// How far the bounds may be apart: 0.1 µm and 1/256 of the distance.
pub fn slack_mm(lower_mm: f64) -> f64 {
    1e-4 + lower_mm / 256.0
}

/// Which part of a surface counts: whatever `contains` says at points no farther apart than `step_mm`.
#[derive(Clone, Copy)]
pub struct Within<'a> {
    pub contains: &'a (dyn Fn(&Point3<f64>) -> bool + Sync),
    pub step_mm: f64,
}

/// A piece of a triangle, with what is known at its corners.
#[derive(Clone, Copy)]
struct Piece {
    corners: [Corner; 3],
    upper_mm: f64,
}

#[derive(Clone, Copy)]
struct Corner {
    at: Point3<f64>,
    distance_mm: f64,
    nearest: u32,
    inside: bool,
}

/// What a set of pieces came to: the farthest corner inside, the largest bound of what was left, and what remains open.
struct Round {
    farthest: Option<Corner>,
    left_mm: f64,
    open: Vec<Piece>,
}

/// Bounds of the largest distance from `from` to the surface of `to`; `None` where no corner lies within the part that counts.
pub fn directed(from: &Mesh, to: &MeshDistance, within: Option<Within>, rt: &Runtime) -> Result<Option<Bracket>, Error> {
    let near = to.nearest_all(from.vertices(), rt)?;
    let inside = |p: &Point3<f64>| within.is_none_or(|w| (w.contains)(p));
    let corners: Vec<Corner> = (0..near.len())
        .into_par_iter()
        .map(|v| {
            let at = from.vertices()[v];
            Corner { at, distance_mm: near[v].distance_mm, nearest: near[v].triangle, inside: inside(&at) }
        })
        .collect();
    drop(near);
    let used = from.triangles().iter().flatten().map(|&v| corners[v as usize]);
    let mut best = used.filter(|c| c.inside).fold(None, farther);
    let mut left_mm = 0.0_f64;
    let count = from.triangles().len();
    let whole = |t: usize| Piece { corners: from.triangles()[t].map(|v| corners[v as usize]), upper_mm: f64::INFINITY };
    let floor = best.map_or(0.0, |c| c.distance_mm);
    let first = rounds(count, |range| judged(range.map(whole), to, floor, within));
    let mut open = take(first, &mut best, &mut left_mm);
    for level in 0..MOST_LEVELS {
        if open.is_empty() || open.len() > MOST_PIECES {
            break;
        }
        rt.step("hausdorff", level as f64 / MOST_LEVELS as f64)?;
        let floor = best.map_or(0.0, |c| c.distance_mm);
        let next = rounds(open.len(), |range| {
            let mut seat = 0;
            let mut corner = |at: Point3<f64>| {
                let near = to.nearest_from(&at, &mut seat);
                Corner { at, distance_mm: near.distance_mm, nearest: near.triangle, inside: inside(&at) }
            };
            let worth = open[range].iter().filter(|p| p.upper_mm > floor + slack_mm(floor)).collect::<Vec<_>>();
            judged(worth.iter().flat_map(|p| quarters(p, &mut corner)), to, floor, within)
        });
        // Pieces that the floor had outgrown meanwhile are bounded by it.
        left_mm = open.iter().map(|p| p.upper_mm).filter(|&u| u <= floor + slack_mm(floor)).fold(left_mm, f64::max);
        open = take(next, &mut best, &mut left_mm);
    }
    let upper_mm = open.iter().map(|p| p.upper_mm).fold(left_mm, f64::max);
    Ok(best.map(|c| Bracket { lower_mm: c.distance_mm, upper_mm: upper_mm.max(c.distance_mm), at: c.at }))
}

/// Works off `count` items in tasks, whose results stand in order.
fn rounds(count: usize, work: impl Fn(std::ops::Range<usize>) -> Round + Sync) -> Vec<Round> {
    (0..count.div_ceil(GRAIN)).into_par_iter().map(|g| work(g * GRAIN..((g + 1) * GRAIN).min(count))).collect()
}

fn take(rounds: Vec<Round>, best: &mut Option<Corner>, left_mm: &mut f64) -> Vec<Piece> {
    let mut open = vec![];
    for round in rounds {
        *best = round.farthest.into_iter().fold(*best, farther);
        *left_mm = left_mm.max(round.left_mm);
        open.extend(round.open);
    }
    open
}

/// The first of the farthest.
fn farther(best: Option<Corner>, c: Corner) -> Option<Corner> {
    if best.is_some_and(|b| b.distance_mm >= c.distance_mm) { best } else { Some(c) }
}

/// Bounds each piece and sorts it: left where it cannot matter, open where it can.
fn judged(pieces: impl Iterator<Item = Piece>, to: &MeshDistance, floor: f64, within: Option<Within>) -> Round {
    let mut round = Round { farthest: None, left_mm: 0.0, open: vec![] };
    for mut piece in pieces {
        round.farthest = piece.corners.into_iter().filter(|c| c.inside).fold(round.farthest, farther);
        let longest = piece.longest_mm();
        if within.is_some_and(|w| longest <= w.step_mm) && !piece.corners.iter().any(|c| c.inside) {
            continue;
        }
        piece.upper_mm = piece.upper_mm.min(piece.bound_mm(to, longest));
        if piece.upper_mm > floor + slack_mm(floor) {
            round.open.push(piece);
        } else {
            round.left_mm = round.left_mm.max(piece.upper_mm);
        }
    }
    round
}

impl Piece {
    fn longest_mm(&self) -> f64 {
        let [a, b, c] = self.corners.map(|c| c.at);
        (b - a).norm().max((c - b).norm()).max((a - c).norm())
    }

    fn bound_mm(&self, to: &MeshDistance, longest: f64) -> f64 {
        let lipschitz = self.corners.iter().map(|c| c.distance_mm).fold(0.0, f64::max) + longest / 3.0_f64.sqrt();
        let to_one = |t: u32| {
            let other = to.mesh().corners(t as usize);
            self.corners.iter().map(|c| triangle::closest(&c.at, &other).squared).fold(0.0, f64::max).sqrt()
        };
        self.corners.iter().map(|c| to_one(c.nearest)).fold(lipschitz, f64::min)
    }
}

fn quarters(piece: &Piece, corner: &mut impl FnMut(Point3<f64>) -> Corner) -> [Piece; 4] {
    let [a, b, c] = piece.corners;
    let [ab, bc, ca] = [corner(center(&a.at, &b.at)), corner(center(&b.at, &c.at)), corner(center(&c.at, &a.at))];
    [[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]].map(|corners| Piece { corners, upper_mm: piece.upper_mm })
}
