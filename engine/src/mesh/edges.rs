//! Edges of a mesh: which triangle lies across each, where that is not one triangle, and what the dihedral angles say.
//!
//! Half-edges are gathered by their smaller vertex by counting, each bucket is sorted, and every triangle then looks its three
//! partners up. A triangle with a repeated vertex is a line: it carries no surface and neither closes nor opens anything.
//! Cost: O(n), on all cores; 12 bytes a triangle and 4 a vertex kept, 24 a triangle and 8 a vertex on the way.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nalgebra::Vector3;
use rayon::prelude::*;

use super::Mesh;

/// Stands for no triangle across an edge.
pub const NONE: u32 = u32::MAX;

/// An edge shared by exactly two triangles that cross it in opposite directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifoldEdge {
    /// In the direction in which the first triangle runs along it.
    pub from: u32,
    pub to: u32,
    pub triangles: [u32; 2],
}

/// One triangle's side of an edge that is not shared by exactly two triangles in opposite directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side {
    /// The smaller and the larger vertex.
    pub low: u32,
    pub high: u32,
    pub triangle: u32,
    /// Whether the triangle runs from `low` to `high`.
    pub forward: bool,
}

/// The edges of a mesh.
pub struct Edges {
    across: Vec<[u32; 3]>,
    degree: Vec<u32>,
    /// Sides of the irregular edges, ordered by edge, then by triangle.
    irregular: Vec<Side>,
}

impl Edges {
    pub fn of(mesh: &Mesh) -> Edges {
        let triangles = mesh.triangles();
        let (start, degree) = buckets(mesh);
        let mut halves = filled(triangles, &start);
        sort_buckets(&mut halves, &start);
        let partner = |t: usize, k: usize| {
            let side = Side::of(triangles[t], t as u32, k);
            let bucket = &halves[start[side.low as usize] as usize..start[side.low as usize + 1] as usize];
            let from = bucket.partition_point(|h| ((h >> 32) as u32) < side.high);
            let same = bucket[from..].iter().take(3).take_while(|h| (*h >> 32) as u32 == side.high);
            let mut others = same.clone().map(|h| *h as u32).filter(|&u| u != t as u32);
            match (same.count(), others.next()) {
                (2, Some(other)) if runs(triangles[other as usize], side.high, side.low) == side.forward => other,
                _ => NONE,
            }
        };
        let across: Vec<[u32; 3]> = (0..triangles.len())
            .into_par_iter()
            .map(|t| if is_line(&triangles[t]) { [NONE; 3] } else { [partner(t, 0), partner(t, 1), partner(t, 2)] })
            .collect();
        let across_of = &across;
        let alone = |t: usize| {
            let open = (0..3).filter(move |&k| !is_line(&triangles[t]) && across_of[t][k] == NONE);
            open.map(move |k| Side::of(triangles[t], t as u32, k))
        };
        let mut irregular: Vec<Side> = (0..triangles.len()).into_par_iter().flat_map_iter(alone).collect();
        irregular.par_sort_unstable();
        Edges { across, degree, irregular }
    }

    /// The triangles across the regular edges of a triangle.
    pub fn neighbours(&self, triangle: u32) -> impl Iterator<Item = usize> + '_ {
        self.across[triangle as usize].iter().filter(|t| **t != NONE).map(|t| *t as usize)
    }

    /// The triangle across edge `k` (from corner `k` to `k + 1`); [`NONE`] where the edge is irregular.
    #[inline]
    pub fn across(&self, triangle: u32, k: usize) -> u32 {
        self.across[triangle as usize][k]
    }

    /// Triangles that meet in a vertex, lines apart.
    #[inline]
    pub fn degree(&self, vertex: u32) -> u32 {
        self.degree[vertex as usize]
    }

    /// The sides of each edge that does not lie in exactly two triangles that run along it in opposite directions.
    pub fn irregular(&self) -> impl Iterator<Item = &[Side]> {
        self.irregular.chunk_by(|a, b| (a.low, a.high) == (b.low, b.high))
    }

    /// Every edge lies in two triangles that run along it in opposite directions.
    pub fn are_closed(&self) -> bool {
        self.irregular.is_empty()
    }

    /// Every edge is run through as often forwards as backwards: a closed, oriented surface, of any number of shells, which may touch.
    pub fn are_balanced(&self) -> bool {
        let balance = |edge: &[Side]| edge.iter().map(|s| if s.forward { 1_i64 } else { -1 }).sum::<i64>();
        self.irregular().all(|edge| balance(edge) == 0)
    }

    /// The manifold edge that is edge `k` of a triangle, told by the triangle that runs from its smaller vertex to the larger.
    fn manifold(&self, mesh: &Mesh, t: usize, k: usize) -> Option<ManifoldEdge> {
        let other = self.across[t][k];
        let side = Side::of(mesh.triangles()[t], t as u32, k);
        (other != NONE && side.forward).then_some(ManifoldEdge { from: side.low, to: side.high, triangles: [t as u32, other] })
    }
}

impl Side {
    fn of(corners: [u32; 3], triangle: u32, k: usize) -> Side {
        let (from, to) = (corners[k], corners[(k + 1) % 3]);
        Side { low: from.min(to), high: from.max(to), triangle, forward: from < to }
    }
}

/// A repeated vertex.
pub fn is_line([a, b, c]: &[u32; 3]) -> bool {
    a == b || b == c || c == a
}

fn runs([a, b, c]: [u32; 3], from: u32, to: u32) -> bool {
    [(a, b), (b, c), (c, a)].contains(&(from, to))
}

/// Where each vertex's half-edges start, and how many triangles meet in each vertex.
fn buckets(mesh: &Mesh) -> (Vec<u64>, Vec<u32>) {
    let counts: Vec<AtomicU64> = (0..=mesh.vertices().len()).map(|_| AtomicU64::new(0)).collect();
    mesh.triangles().par_iter().filter(|t| !is_line(t)).for_each(|t| {
        for k in 0..3 {
            let (v, others) = (t[k], [t[(k + 1) % 3], t[(k + 2) % 3]]);
            let edges = others.iter().filter(|&&other| v < other).count() as u64;
            counts[v as usize].fetch_add(1 << 32 | edges, Relaxed);
        }
    });
    let mut start: Vec<u64> = counts.into_iter().map(AtomicU64::into_inner).collect();
    let degree = start[..mesh.vertices().len()].iter().map(|c| (c >> 32) as u32).collect();
    let mut before = 0;
    for s in &mut start {
        (before, *s) = (before + u64::from(*s as u32), before);
    }
    (start, degree)
}

/// The half-edges of each bucket, in any order: larger vertex, then triangle.
fn filled(triangles: &[[u32; 3]], start: &[u64]) -> Vec<u64> {
    let next: Vec<AtomicU64> = start.par_iter().map(|&s| AtomicU64::new(s)).collect();
    let halves: Vec<AtomicU64> = (0..start[start.len() - 1]).into_par_iter().map(|_| AtomicU64::new(0)).collect();
    triangles.par_iter().enumerate().filter(|(_, t)| !is_line(t)).for_each(|(t, &corners)| {
        for k in 0..3 {
            let side = Side::of(corners, t as u32, k);
            let place = next[side.low as usize].fetch_add(1, Relaxed);
            halves[place as usize].store(u64::from(side.high) << 32 | t as u64, Relaxed);
        }
    });
    halves.into_iter().map(AtomicU64::into_inner).collect() // in place
}

/// Sorts each bucket; vertices are divided among tasks.
fn sort_buckets(halves: &mut [u64], start: &[u64]) {
    const GRAIN: usize = 1 << 14;
    if start.len() > GRAIN {
        let middle = start.len() / 2;
        let (left, right) = halves.split_at_mut((start[middle] - start[0]) as usize);
        rayon::join(|| sort_buckets(left, &start[..=middle]), || sort_buckets(right, &start[middle..]));
    } else {
        start.windows(2).for_each(|w| halves[(w[0] - start[0]) as usize..(w[1] - start[0]) as usize].sort_unstable());
    }
}

/// Signed angle between the normals of the two triangles of an edge, radians; positive where the surface is convex.
fn exterior_angle(mesh: &Mesh, edge: &ManifoldEdge) -> Option<f64> {
    let [n0, n1] = edge.triangles.map(|t| mesh.area_vector(t as usize).try_normalize(0.0));
    let (n0, n1) = (n0?, n1?);
    let along: Vector3<f64> = mesh.vertices()[edge.to as usize] - mesh.vertices()[edge.from as usize];
    Some(libm::atan2(n0.cross(&n1).dot(&along.try_normalize(0.0)?), n0.dot(&n1)))
}

/// Integral of the mean curvature (κ₁ + κ₂)/2 over the surface, mm: half the sum of edge length times exterior angle
/// (Steiner's formula for polyhedra). A ball of radius R has 4πR, a cube of edge a 3πa.
pub fn mean_curvature_integral_mm(mesh: &Mesh, edges: &Edges) -> f64 {
    let of_edge = |edge: ManifoldEdge| {
        let length = (mesh.vertices()[edge.to as usize] - mesh.vertices()[edge.from as usize]).norm();
        exterior_angle(mesh, &edge).map_or(0.0, |angle| angle * length)
    };
    0.5 * crate::sum::sum(edges.across.len(), |t| (0..3).filter_map(|k| edges.manifold(mesh, t, k)).map(of_edge).sum())
}

/// Facets that meet at more than this are taken as meeting at a designed edge, not as approximating a curve.
const SMOOTH_BELOW: f64 = 35.0 * std::f64::consts::PI / 180.0;

/// Typical distance between facets and the curved surface they stand for, mm (root mean square over area of the sagitta).
///
/// A circle's chord c turned by θ to the next one is cθ/8 away from its arc; c is the mean height of the two triangles over
/// their common edge. Facets around designed (sharp) edges count as flat there.
pub fn sagitta_mm(mesh: &Mesh, edges: &Edges) -> f64 {
    let add = |(squares, area): (f64, f64), edge: ManifoldEdge| {
        let length = (mesh.vertices()[edge.to as usize] - mesh.vertices()[edge.from as usize]).norm();
        let around: f64 = edge.triangles.iter().map(|&t| mesh.area_vector(t as usize).norm()).sum();
        match exterior_angle(mesh, &edge) {
            Some(angle) if angle.abs() < SMOOTH_BELOW && length > 0.0 => {
                let sagitta = angle.abs() * (0.5 * around / length) / 8.0;
                (squares + around * sagitta * sagitta, area + around)
            }
            _ => (squares, area + around),
        }
    };
    let (squares, area) = crate::sum::fold(
        edges.across.len(),
        || (0.0, 0.0),
        |sums, t| (0..3).filter_map(|k| edges.manifold(mesh, t, k)).fold(sums, add),
        |a, b| (a.0 + b.0, a.1 + b.1),
    );
    // Three edges a triangle: a triangle's sagitta is that of its most bent edge, so the sum over its edges counts, not their mean.
    if area > 0.0 { (3.0 * squares / area).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Point3;
    use std::f64::consts::PI;

    fn cube(a: f64) -> Mesh {
        let vertices = (0..8).map(|i| Point3::new(a * (i & 1) as f64, a * (i >> 1 & 1) as f64, a * (i >> 2) as f64)).collect();
        let quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
        Mesh::new(vertices, quads.iter().flat_map(|q| [[q[0], q[1], q[2]], [q[0], q[2], q[3]]]).collect()).unwrap()
    }

    #[test]
    fn a_cube_has_eighteen_edges_and_three_pi_a_of_mean_curvature_and_no_sagitta() {
        let mesh = cube(2.0);
        let edges = Edges::of(&mesh);
        assert!(edges.are_closed());
        let manifold = (0..12).flat_map(|t| (0..3).map(move |k| (t, k))).filter(|&(t, k)| edges.manifold(&mesh, t, k).is_some());
        assert_eq!(manifold.count(), 18);
        assert!((mean_curvature_integral_mm(&mesh, &edges) - 3.0 * PI * 2.0).abs() < 1e-12);
        assert_eq!(sagitta_mm(&mesh, &edges), 0.0);
    }

    #[test]
    fn a_prism_on_a_cylinder_shows_the_sagitta_of_its_chords() {
        let (n, r) = (48, 5.0);
        let ring = |z: f64| {
            (0..n)
                .map(move |i| Point3::new(r * libm::cos(2.0 * PI * i as f64 / n as f64), r * libm::sin(2.0 * PI * i as f64 / n as f64), z))
        };
        let vertices: Vec<_> = ring(0.0).chain(ring(20.0)).collect();
        let triangles = (0..n as u32).flat_map(|i| {
            let (j, m) = ((i + 1) % n as u32, n as u32);
            [[i, j, j + m], [i, j + m, i + m]]
        });
        let mesh = Mesh::new(vertices, triangles.collect()).unwrap();
        let sagitta = r * (1.0 - libm::cos(PI / n as f64));
        let estimate = sagitta_mm(&mesh, &Edges::of(&mesh));
        assert!((estimate / sagitta - 1.0).abs() < 0.5, "{estimate} against {sagitta}");
    }

    #[test]
    fn a_missing_triangle_opens_the_mesh() {
        let whole = cube(1.0);
        let open = Mesh::new(whole.vertices().to_vec(), whole.triangles()[1..].to_vec()).unwrap();
        let edges = Edges::of(&open);
        assert!(!edges.are_closed() && !edges.are_balanced() && edges.irregular().count() == 3);
    }
}
