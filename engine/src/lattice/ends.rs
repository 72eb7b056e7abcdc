//! Where designed struts begin and end, told from their measured axes and the nominal's surface alone.
//!
//! From its middle an axis is followed both ways for as long as the strut stands alone: until it leaves the material (a free end) or other
//! material meets a ring around it. There the node is where the axis crosses those of other struts that end there, if all is solid up to
//! the crossing; a strut that alone enters a solid ends where its axis enters it (mean over a ring of parallels, exact for planes).
//! A free end is a half ball or flat: a parallel at r/√2 leaves a half ball (1 - 1/√2) r before the tip, and a flat end at the tip,
//! so that the node lies 1/(1 - 1/√2) of that distance before the tip in both.

use std::f64::consts::FRAC_1_SQRT_2;

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::LatticeError;
use super::design::{Design, Strut};
use super::graph::root;
use super::nodes;
use super::section::Along;
use super::trace::{RIM, State, Traced};
use crate::distance::MeshDistance;

/// A ring of this many radii around a strut that stands alone meets no material.
const RING: f64 = 1.3;
/// Step along an axis, and how far beyond where a strut stands alone its node may lie, in radii.
const STEP: f64 = 0.25;
const DEEPEST: f64 = 8.0;
/// Axes cross that come this near to each other, in the sum of their radii, at an angle of at least this sine squared.
const MEETING: f64 = 0.2;
const CROSSING: f64 = 0.02;
/// Crossings along an axis within this many radii are one node.
const SAME_NODE: f64 = 0.5;
const HALVINGS: usize = 24;

/// A strut's measured axis.
#[derive(Clone, Copy)]
struct Axis<'a> {
    along: Along,
    radius_mm: f64,
    nominal: &'a MeshDistance,
}

/// One end of an axis: the height up to which the strut stands alone, negative at the first end, and whether other material follows.
#[derive(Clone, Copy)]
struct End {
    height_mm: f64,
    joins: bool,
}

impl Axis<'_> {
    fn at(&self, height_mm: f64) -> Point3<f64> {
        self.along.origin + self.along.axes[2] * height_mm
    }

    fn ring(&self, radii: f64, height_mm: f64) -> [Point3<f64>; RIM.len()] {
        let [x, y, _] = self.along.axes;
        RIM.map(|(u, v)| self.at(height_mm) + (x * u + y * v) * (radii * self.radius_mm))
    }

    fn is_solid(&self, p: &Point3<f64>) -> bool {
        self.nominal.contains(p) == Some(true)
    }

    /// Material on the axis or half-way to the surface: a hollow strut has none on its axis.
    fn has_material(&self, height_mm: f64) -> bool {
        self.is_solid(&self.at(height_mm)) || self.ring(0.5, height_mm).iter().any(|p| self.is_solid(p))
    }

    fn is_met(&self, height_mm: f64) -> bool {
        self.ring(RING, height_mm).iter().any(|p| self.is_solid(p))
    }

    /// Where what holds at `from` and not at `to` ceases to.
    fn last(&self, mut from: f64, mut to: f64, holds: impl Fn(f64) -> bool) -> f64 {
        for _ in 0..HALVINGS {
            let middle = 0.5 * (from + to);
            *(if holds(middle) { &mut from } else { &mut to }) = middle;
        }
        0.5 * (from + to)
    }

    /// The end towards growing (`way` = 1) or falling heights.
    fn end(&self, way: f64) -> End {
        let bounds = self.nominal.mesh().bounds();
        let step = way * STEP * self.radius_mm;
        let alone = |h: f64| self.has_material(h) && !self.is_met(h);
        let mut height = 0.0;
        while alone(height + step) && bounds.contains(&self.at(height)) {
            height += step;
        }
        let height_mm = self.last(height, height + step, alone);
        // Met at the very end: a free end's ring meets nothing, and behind a joint there is material.
        End { height_mm, joins: self.is_met(height_mm + 0.5 * step) || self.has_material(height_mm + step) }
    }

    /// Whether all is solid from an end to a height beyond it.
    fn is_solid_between(&self, end: &End, to: f64) -> bool {
        let count = ((to - end.height_mm).abs() / (2.0 * STEP * self.radius_mm)).ceil();
        (0..=count as usize).all(|n| self.has_material(end.height_mm + (to - end.height_mm) * n as f64 / count.max(1.0)))
    }

    /// Height of the node of an end that no other axis crosses.
    fn lone(&self, end: &End, way: f64) -> f64 {
        if end.joins { self.entry(end, way) } else { self.free(end, way) }
    }

    fn free(&self, end: &End, way: f64) -> f64 {
        let back = end.height_mm - way * 2.0 * self.radius_mm;
        let leaves =
            |n: usize| self.last(back, end.height_mm + way * STEP * self.radius_mm, |h| self.is_solid(&self.ring(FRAC_1_SQRT_2, h)[n]));
        let before = (0..RIM.len()).map(|n| way * (end.height_mm - leaves(n))).sum::<f64>() / RIM.len() as f64;
        end.height_mm - way * (before / (1.0 - FRAC_1_SQRT_2)).clamp(0.0, self.radius_mm)
    }

    fn entry(&self, end: &End, way: f64) -> f64 {
        let step = way * STEP * self.radius_mm;
        let enters = |n: usize| {
            let outside = |h: f64| !self.is_solid(&self.ring(RING, h)[n]);
            let steps = (DEEPEST / STEP) as usize;
            let first = (0..steps).map(|k| end.height_mm + step * k as f64).find(|h| !outside(*h + step))?;
            Some(self.last(first, first + step, outside))
        };
        let entries: Vec<Option<f64>> = (0..RIM.len()).map(enters).collect();
        // Opposite parallels together: half the ring tells nothing about a plane that leans.
        let half = RIM.len() / 2;
        let pairs: Vec<f64> = (0..half).filter_map(|n| Some(0.5 * (entries[n]? + entries[n + half]?))).collect();
        if pairs.is_empty() { end.height_mm } else { pairs.iter().sum::<f64>() / pairs.len() as f64 }
    }
}

/// Heights at which two axes come nearest to each other.
fn crossing(a: &Axis, b: &Axis) -> Option<(f64, f64)> {
    let (u, v, w) = (a.along.axes[2], b.along.axes[2], b.along.origin - a.along.origin);
    let cosine = u.dot(&v);
    let sine2 = 1.0 - cosine * cosine;
    if sine2 < CROSSING {
        return None;
    }
    let (s, t) = ((w.dot(&u) - cosine * w.dot(&v)) / sine2, (cosine * w.dot(&u) - w.dot(&v)) / sine2);
    ((a.at(s) - b.at(t)).norm() <= MEETING * (a.radius_mm + b.radius_mm)).then_some((s, t))
}

/// Struts along their measured axes, with the nodes where these meet or end; of struts that are one the first. Struts without an axis are
/// left out.
pub(super) fn joined(traced: &[Traced], nominal: &MeshDistance) -> Result<Option<Design>, LatticeError> {
    let measured = traced.iter().filter(|t| t.state == State::Present);
    let (axes, lines): (Vec<Axis>, Vec<&Traced>) = measured
        .filter_map(|t| {
            let line = t.line?;
            Some((Axis { along: Along::new(line.place, line.direction), radius_mm: 0.5 * t.diameter_mm?, nominal }, t))
        })
        .unzip();
    let ends: Vec<[End; 2]> = axes.par_iter().map(|axis| [axis.end(-1.0), axis.end(1.0)]).collect();
    let once = distinct(&axes, &ends);
    let (axes, ends): (Vec<Axis>, Vec<[End; 2]>) = once.iter().map(|&n| (axes[n], ends[n])).unzip();
    let lines: Vec<Traced> = once.iter().map(|&n| lines[n].clone()).collect();
    let (node_of, places) = meeting(&axes, &ends);
    let strut = |n: usize| Strut { ends: [node_of[2 * n], node_of[2 * n + 1]], diameter_mm: 2.0 * axes[n].radius_mm };
    let struts: Vec<Strut> = (0..axes.len()).map(strut).collect();
    let settled = nodes::nodes(&places, &struts, &lines);
    let places: Vec<Point3<f64>> = places.iter().zip(&settled).map(|(p, n)| n.offset.map_or(*p, |o| p + o)).collect();
    compacted(&places, struts)
}

/// Of axes that run through the same strut the first.
fn distinct(axes: &[Axis], ends: &[[End; 2]]) -> Vec<usize> {
    let middle = |n: usize| axes[n].at(0.5 * (ends[n][0].height_mm + ends[n][1].height_mm));
    let mut order: Vec<usize> = (0..axes.len()).collect();
    order.sort_by(|&a, &b| middle(a).x.total_cmp(&middle(b).x).then(a.cmp(&b)));
    let mut gone = vec![false; axes.len()];
    for (k, &a) in order.iter().enumerate() {
        let reach = axes[a].radius_mm;
        let near = order[k + 1..].iter().take_while(|&&b| middle(b).x <= middle(a).x + reach);
        for &b in
            near.filter(|&&b| (middle(b) - middle(a)).norm() <= reach && axes[a].along.axes[2].dot(&axes[b].along.axes[2]).abs() > 0.9)
        {
            gone[a.max(b)] = true;
        }
    }
    (0..axes.len()).filter(|&n| !gone[n]).collect()
}

/// The node of every end (two ends an axis), and where the nodes are about.
fn meeting(axes: &[Axis], ends: &[[End; 2]]) -> (Vec<u32>, Vec<Point3<f64>>) {
    let way = |e: usize| if e.is_multiple_of(2) { -1.0 } else { 1.0 };
    let end = |e: usize| &ends[e / 2][e % 2];
    let tip: Vec<Point3<f64>> = (0..2 * axes.len()).map(|e| axes[e / 2].at(end(e).height_mm)).collect();
    let mut order: Vec<usize> = (0..tip.len()).filter(|&e| end(e).joins).collect();
    order.sort_by(|&a, &b| tip[a].x.total_cmp(&tip[b].x).then(a.cmp(&b)));
    let reach = 2.0 * DEEPEST * axes.iter().map(|a| a.radius_mm).fold(0.0, f64::max);
    // How far beyond its end an axis has a height.
    let beyond = |e: usize, height: f64| way(e) * (height - end(e).height_mm) / axes[e / 2].radius_mm;
    let crossings = |&e: &usize| {
        let first = order.partition_point(|&o| tip[o].x < tip[e].x - reach);
        let near = order[first..].iter().take_while(|&&o| tip[o].x <= tip[e].x + reach);
        let mut found: Vec<(f64, usize, Point3<f64>)> = near
            .filter(|&&o| o / 2 != e / 2 && (tip[o] - tip[e]).norm() <= reach)
            .filter_map(|&o| {
                let (s, t) = crossing(&axes[e / 2], &axes[o / 2])?;
                let deep = |x: f64| (-1.0..=DEEPEST).contains(&x);
                let whole = || axes[e / 2].is_solid_between(end(e), s) && axes[o / 2].is_solid_between(end(o), t);
                (deep(beyond(e, s)) && deep(beyond(o, t)) && whole()).then(|| (beyond(e, s), o, axes[e / 2].at(s)))
            })
            .collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let nearest = found.first().map_or(0.0, |f| f.0);
        found.retain(|f| f.0 <= nearest + SAME_NODE);
        found
    };
    let met: Vec<Vec<(f64, usize, Point3<f64>)>> =
        (0..tip.len()).into_par_iter().map(|e| if end(e).joins { crossings(&e) } else { vec![] }).collect();
    let mut group: Vec<usize> = (0..tip.len()).collect();
    for (e, found) in met.iter().enumerate() {
        for &(_, o, _) in found {
            let (a, b) = (root(&group, e), root(&group, o));
            group[a.max(b)] = a.min(b);
        }
    }
    let mut sums = vec![(Vector3::zeros(), 0.0); tip.len()];
    for (e, found) in met.iter().enumerate() {
        let (sum, count) = &mut sums[root(&group, e)];
        found.iter().for_each(|(_, _, p)| (*sum, *count) = (*sum + p.coords, *count + 1.0));
    }
    let place = |e: usize| match sums[e] {
        (_, 0.0) => axes[e / 2].at(axes[e / 2].lone(end(e), way(e))),
        (sum, count) => Point3::from(sum / count),
    };
    let places = (0..tip.len()).into_par_iter().map(|e| if group[e] == e { place(e) } else { tip[e] }).collect();
    ((0..tip.len()).map(|e| root(&group, e) as u32).collect(), places)
}

/// A design of the nodes that struts name; of struts between the same nodes the first. `None` without struts.
fn compacted(places: &[Point3<f64>], mut struts: Vec<Strut>) -> Result<Option<Design>, LatticeError> {
    struts.retain(|s| s.ends[0] != s.ends[1]);
    struts.iter_mut().for_each(|s| s.ends.sort_unstable());
    let mut seen = std::collections::BTreeSet::new();
    struts.retain(|s| seen.insert(s.ends));
    let mut used: Vec<u32> = struts.iter().flat_map(|s| s.ends).collect();
    used.sort_unstable();
    used.dedup();
    let number = |n: u32| used.partition_point(|&u| u < n) as u32;
    struts.iter_mut().for_each(|s| s.ends = s.ends.map(number));
    if struts.is_empty() {
        return Ok(None);
    }
    Design::new(used.iter().map(|&n| places[n as usize]).collect(), struts).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Bounds;
    use crate::phantom::{Fineness, Solid, surface_mesh};

    /// Nodes of both ends of a rod of radius 0.3 mm around the axis from -1 to 1 along (2, 1, 2)/3.
    fn nodes_of(solid: impl Fn(Point3<f64>, Point3<f64>) -> Solid) -> [f64; 2] {
        let direction = Vector3::new(2.0, 1.0, 2.0) / 3.0;
        let solid = solid(Point3::from(-direction), Point3::from(direction));
        let bounds = Bounds { min: Point3::from([-2.0; 3]), max: Point3::from([2.0; 3]) };
        let mesh = surface_mesh(&solid, &bounds, Fineness { cell_mm: 0.04, simplify_mm: None }).unwrap();
        let nominal = MeshDistance::build(&mesh);
        let axis = Axis { along: Along::new(Point3::origin(), direction), radius_mm: 0.3, nominal: &nominal };
        [-1.0, 1.0].map(|way| axis.lone(&axis.end(way), way))
    }

    #[test]
    fn the_node_of_a_free_end_is_the_middle_of_its_half_ball_or_its_flat_face() {
        let near = |found: [f64; 2]| assert!((found[0] + 1.0).abs() < 0.03 && (found[1] - 1.0).abs() < 0.03, "{found:?}");
        near(nodes_of(|from, to| Solid::Capsule { from, to, radius_mm: 0.3 }));
        near(nodes_of(|from, to| Solid::Cylinder { from, to, radius_mm: 0.3 }));
    }

    #[test]
    fn a_strut_that_enters_a_leaning_plate_alone_ends_where_its_axis_does() {
        // The plate's face z = -0.5 meets the axis at -0.75.
        let plate = Solid::Box { centre: Point3::new(0.0, 0.0, -0.9), half_mm: Vector3::new(1.7, 1.7, 0.4), rounding_mm: 0.2 };
        let [entry, free] = nodes_of(|from, to| Solid::Union(vec![Solid::Capsule { from, to, radius_mm: 0.3 }, plate.clone()]));
        assert!((entry + 0.75).abs() < 0.01 && (free - 1.0).abs() < 0.03, "{entry}, {free}");
    }
}
