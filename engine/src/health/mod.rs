//! Mesh health: closed, manifold, oriented and free of self-intersections are four questions, each with a count and a first place.
//!
//! By edges: every undirected edge of a closed manifold has two triangles, which run along it in opposite directions. Triangles without area in
//! exact terms (a repeated vertex, or corners on one line in `f64`) are degenerate; the same three vertices twice is a duplicate. Shells are joined by shared
//! edges. Self-intersections are pairs of triangles that meet elsewhere than in the corners they share and the edge between these, exactly.
//! Cost: a parallel sort of the directed edges; the order of a search tree and a few dozen near pairs a triangle; 60 bytes a triangle
//! beside the mesh.

mod contact;
mod exact;
mod pairs;

use rayon::prelude::*;

use crate::finding::Finding;
use crate::mesh::edges::{Edges, is_line};
use crate::mesh::{Mesh, Shells};

/// How many, and the first place where.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fault {
    pub count: usize,
    /// The middle of an edge or of a triangle, mm.
    pub first_mm: Option<[f64; 3]>,
}

impl Fault {
    fn add(&mut self, place: impl FnOnce() -> [f64; 3]) {
        self.count += 1;
        self.first_mm.get_or_insert_with(place);
    }

    fn at(&self) -> String {
        self.place("first")
    }

    fn place(&self, which: &str) -> String {
        self.first_mm.map_or_else(String::new, |[x, y, z]| format!(" (the {which} near {x:.3} {y:.3} {z:.3} mm)"))
    }
}

/// What was found out about a mesh.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Edges with one triangle.
    pub open_edges: Fault,
    /// Edges with three or more triangles.
    pub non_manifold_edges: Fault,
    /// Edges along which both triangles run in the same direction.
    pub flipped_edges: Fault,
    /// Closed and oriented, but with negative volume.
    pub inside_out: bool,
    pub degenerate_triangles: Fault,
    pub duplicate_triangles: Fault,
    /// Pairs of triangles that cross, overlap or touch where they share neither corner nor edge.
    pub self_intersections: Fault,
    /// There were too many pairs near each other to look at all: there may be more self-intersections.
    pub more_self_intersections: bool,
    /// Parts that share no edge; placed is the second.
    pub shells: Fault,
}

impl Health {
    /// No edge has one triangle only.
    pub fn closed(&self) -> bool {
        self.open_edges.count == 0
    }

    pub fn manifold(&self) -> bool {
        self.non_manifold_edges.count == 0
    }

    /// Neighbours agree on the outside, and it is outside.
    pub fn oriented(&self) -> bool {
        self.flipped_edges.count == 0 && !self.inside_out
    }

    /// What of it qualifies a measurement.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![];
        let mut say = |found: bool, code: &str, message: String| {
            if found {
                findings.push(Finding::qualify(code, message).clause("4.5.1"));
            }
        };
        let Health { open_edges, non_manifold_edges, flipped_edges, degenerate_triangles, duplicate_triangles, self_intersections, .. } =
            self;
        let n = open_edges.count;
        say(
            n > 0,
            "mesh.open",
            format!(
                "{n} edges have one triangle only{}: the surface is open, volumes and signs there are not defined; close it",
                open_edges.at()
            ),
        );
        let n = non_manifold_edges.count;
        say(
            n > 0,
            "mesh.non_manifold",
            format!(
                "{n} edges have more than two triangles{}: inside and outside are not defined there; repair it",
                non_manifold_edges.at()
            ),
        );
        let n = flipped_edges.count;
        say(
            n > 0,
            "mesh.flipped",
            format!("along {n} edges neighbours disagree on which side is outside{}: orient the triangles alike", flipped_edges.at()),
        );
        say(self.inside_out, "mesh.flipped", "the whole surface is inside out (its volume is negative): turn its triangles".into());
        let n = degenerate_triangles.count;
        say(
            n > 0,
            "mesh.degenerate",
            format!("{n} triangles have no area{}: they carry no surface and are kept; remove them", degenerate_triangles.at()),
        );
        let n = duplicate_triangles.count;
        say(
            n > 0,
            "mesh.duplicate",
            format!("{n} triangles are there twice{}: their area counts twice; remove them", duplicate_triangles.at()),
        );
        let (n, least) = (self_intersections.count, if self.more_self_intersections { "at least " } else { "" });
        say(
            n > 0,
            "mesh.self_intersecting",
            format!(
                "{least}{n} pairs of triangles cross or touch where they share no edge{}: volume and sign are doubtful there; unite the bodies",
                self_intersections.at()
            ),
        );
        say(
            n == 0 && self.more_self_intersections,
            "mesh.self_intersection_unknown",
            "too many triangles are slender or lie over each other for all pairs to be looked at; none of those looked at crosses: mesh the surface evenly".into(),
        );
        let n = self.shells.count;
        say(
            n > 1,
            "mesh.several_shells",
            format!(
                "the surface falls into {n} shells that share no edge{}: check that all of them belong to the part",
                self.shells.place("second")
            ),
        );
        findings
    }
}

/// Looks at every edge and triangle.
pub fn examine(mesh: &Mesh) -> Health {
    let mut health = Health::default();
    let centre = |t: usize| centre(mesh, t);
    let degenerate = |t: &usize| mesh.area_vector(*t).norm_squared() == 0.0;
    let flat: Vec<usize> = (0..mesh.triangles().len()).into_par_iter().filter(degenerate).collect();
    flat.into_iter().for_each(|t| health.degenerate_triangles.add(|| centre(t)));
    duplicates(mesh).into_iter().for_each(|t| health.duplicate_triangles.add(|| centre(t)));
    by_edges(mesh, &mut health);
    let found = pairs::self_intersections(mesh);
    health.self_intersections = Fault { count: found.count, first_mm: found.first.map(|(t, _)| centre(t as usize)) };
    health.more_self_intersections = found.more;
    if health.closed() && health.manifold() && health.flipped_edges.count == 0 {
        health.inside_out = mesh.volume_mm3() < 0.0;
    }
    health
}

/// Triangles that have the same three vertices as an earlier one, ascending.
fn duplicates(mesh: &Mesh) -> Vec<usize> {
    let key = |t: &[u32; 3]| {
        let mut k = *t;
        k.sort_unstable();
        k
    };
    let mut keys: Vec<([u32; 3], u32)> = mesh.triangles().par_iter().enumerate().map(|(i, t)| (key(t), i as u32)).collect();
    keys.par_sort_unstable();
    let mut later: Vec<usize> = keys.par_windows(2).filter(|w| w[0].0 == w[1].0).map(|w| w[1].1 as usize).collect();
    later.sort_unstable();
    later
}

/// Counts the faults of edges, and shells.
fn by_edges(mesh: &Mesh, health: &mut Health) {
    let triangles = mesh.triangles();
    let edges = Edges::of(mesh);
    for edge in edges.irregular() {
        let place = || {
            let [a, b] = [edge[0].low, edge[0].high].map(|v| mesh.vertices()[v as usize]);
            nalgebra::center(&a, &b).coords.into()
        };
        match edge {
            [_] => health.open_edges.add(place),
            [_, _] => health.flipped_edges.add(place),
            _ => health.non_manifold_edges.add(place),
        }
    }
    let shells = Shells::of(mesh, &edges);
    let mut firsts = shells.firsts().iter().map(|&t| t as usize).filter(|&t| !is_line(&triangles[t]));
    let (first, second) = (firsts.next(), firsts.next());
    let count = usize::from(first.is_some()) + usize::from(second.is_some()) + firsts.count();
    health.shells = Fault { count, first_mm: second.map(|t| centre(mesh, t)) };
}

fn centre(mesh: &Mesh, t: usize) -> [f64; 3] {
    mesh.centroid(t).coords.into()
}

/// Factors by which a wrong unit makes a part too large or too small: inch and millimetre, metre and millimetre, centimetre, micrometre.
const UNIT_FACTORS: [f64; 4] = [10.0, 25.4, 1000.0, 25_400.0];

/// A finding where the diagonals of two parts that should be of one size differ by the ratio of two units (within a fifth).
pub fn unit_plausibility(mesh: &Mesh, partner: &Mesh) -> Option<Finding> {
    let [own, other] = [mesh, partner].map(|m| m.bounds().diagonal_mm());
    let ratio = own.max(other) / own.min(other);
    let factor = UNIT_FACTORS.into_iter().find(|f| (ratio / f - 1.0).abs() < 0.2)?;
    let message = format!(
        "the mesh measures {own:.3} mm across, its partner {other:.3} mm, about {factor} times apart: the unit may be wrong; state it"
    );
    Some(Finding::qualify("mesh.unit_implausible", message).clause("4.4.1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Point3;

    fn cube() -> (Vec<Point3<f64>>, Vec<[u32; 3]>) {
        let vertices = (0..8).map(|i| Point3::new(f64::from(i & 1), f64::from(i >> 1 & 1), f64::from(i >> 2))).collect();
        let quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
        (vertices, quads.iter().flat_map(|&[a, b, c, d]| [[a, b, c], [a, c, d]]).collect())
    }

    fn examined(change: impl FnOnce(&mut Vec<Point3<f64>>, &mut Vec<[u32; 3]>)) -> Health {
        let (mut v, mut t) = cube();
        change(&mut v, &mut t);
        examine(&Mesh::new(v, t).unwrap())
    }

    fn codes(health: &Health) -> Vec<String> {
        health.findings().into_iter().map(|f| f.code).collect()
    }

    #[test]
    fn a_cube_is_closed_manifold_and_oriented() {
        let health = examined(|_, _| {});
        assert_eq!(health, Health { shells: Fault { count: 1, first_mm: None }, ..Health::default() });
    }

    #[test]
    fn a_hole_has_its_edges_counted_and_placed() {
        let health = examined(|_, t| t.truncate(11));
        assert_eq!(health.open_edges.count, 3);
        assert_eq!(codes(&health), ["mesh.open"]);
        // The missing triangle lies in the plane x = 1.
        assert!(health.open_edges.first_mm.is_some_and(|p| p[0] == 1.0));
    }

    #[test]
    fn one_turned_triangle_is_flipped_and_all_turned_are_inside_out() {
        let health = examined(|_, t| t[0].swap(0, 1));
        assert_eq!((health.flipped_edges.count, health.inside_out), (3, false));
        let health = examined(|_, t| t.iter_mut().for_each(|t| t.swap(0, 1)));
        assert_eq!((health.flipped_edges.count, health.inside_out, health.oriented()), (0, true, false));
    }

    #[test]
    fn duplicates_degenerates_and_second_shells_are_counted() {
        assert_eq!(examined(|_, t| t.push([t[0][1], t[0][2], t[0][0]])).duplicate_triangles.count, 1);
        let line = examined(|_, t| t.push([0, 1, 1]));
        assert_eq!((line.degenerate_triangles.count, line.closed(), line.manifold(), line.shells.count), (1, true, true, 1));
        let twice = examined(|v, t| {
            let more: Vec<_> = v.iter().map(|p| p + nalgebra::Vector3::new(5.0, 0.0, 0.0)).collect();
            v.extend(more);
            let more: Vec<_> = t.iter().map(|t| t.map(|i| i + 8)).collect();
            t.extend(more);
        });
        assert_eq!((twice.shells.count, codes(&twice)), (2, vec!["mesh.several_shells".to_string()]));
        assert!(twice.shells.first_mm.is_some_and(|p| p[0] >= 5.0));
    }

    #[test]
    fn an_inch_is_noticed_and_a_real_difference_is_not() {
        let (v, t) = cube();
        let cube = Mesh::new(v, t).unwrap();
        assert!(unit_plausibility(&cube, &cube.scaled(25.4)).is_some());
        assert!(unit_plausibility(&cube, &cube.scaled(1.0 / 1000.0)).is_some());
        assert!(unit_plausibility(&cube, &cube.scaled(3.0)).is_none());
    }
}
