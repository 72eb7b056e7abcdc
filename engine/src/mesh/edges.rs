//! Edges of a mesh with the triangles that share them, and what their dihedral angles say.

use nalgebra::Vector3;
use rayon::prelude::*;

use super::Mesh;

/// An edge shared by exactly two triangles that cross it in opposite directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifoldEdge {
    /// In the direction in which the first triangle runs along it.
    pub from: u32,
    pub to: u32,
    pub triangles: [u32; 2],
}

/// The manifold edges, ordered by their vertices; `open` counts the edges of which that is not true.
pub struct Edges {
    pub manifold: Vec<ManifoldEdge>,
    pub other: usize,
}

impl Edges {
    pub fn of(mesh: &Mesh) -> Edges {
        let mut halves: Vec<(u32, u32, u32, bool)> = mesh
            .triangles()
            .par_iter()
            .enumerate()
            .flat_map_iter(|(t, c)| [(c[0], c[1]), (c[1], c[2]), (c[2], c[0])].map(|(a, b)| (a.min(b), a.max(b), t as u32, a < b)))
            .collect();
        halves.par_sort_unstable();
        let (mut manifold, mut other) = (Vec::with_capacity(halves.len() / 2), 0);
        for group in halves.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            match group {
                [a, b] if a.3 != b.3 => {
                    let (first, second) = if a.3 { (a, b) } else { (b, a) };
                    manifold.push(ManifoldEdge { from: a.0, to: a.1, triangles: [first.2, second.2] });
                }
                _ => other += 1,
            }
        }
        Edges { manifold, other }
    }

    /// Every edge lies in two triangles that run along it in opposite directions.
    pub fn are_closed(&self) -> bool {
        self.other == 0
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
    0.5 * crate::sum::sum(edges.manifold.len(), |e| {
        let edge = &edges.manifold[e];
        let length = (mesh.vertices()[edge.to as usize] - mesh.vertices()[edge.from as usize]).norm();
        exterior_angle(mesh, edge).map_or(0.0, |angle| angle * length)
    })
}

/// Facets that meet at more than this are taken as meeting at a designed edge, not as approximating a curve.
const SMOOTH_BELOW: f64 = 35.0 * std::f64::consts::PI / 180.0;

/// Typical distance between facets and the curved surface they stand for, mm (root mean square over area of the sagitta).
///
/// A circle's chord c turned by θ to the next one is cθ/8 away from its arc; c is the mean height of the two triangles over
/// their common edge. Facets around designed (sharp) edges count as flat there.
pub fn sagitta_mm(mesh: &Mesh, edges: &Edges) -> f64 {
    let (squares, area) = crate::sum::fold(
        edges.manifold.len(),
        || (0.0, 0.0),
        |(squares, area), e| {
            let edge = &edges.manifold[e];
            let length = (mesh.vertices()[edge.to as usize] - mesh.vertices()[edge.from as usize]).norm();
            let around: f64 = edge.triangles.iter().map(|&t| mesh.area_vector(t as usize).norm()).sum();
            match exterior_angle(mesh, edge) {
                Some(angle) if angle.abs() < SMOOTH_BELOW && length > 0.0 => {
                    let sagitta = angle.abs() * (0.5 * around / length) / 8.0;
                    (squares + around * sagitta * sagitta, area + around)
                }
                _ => (squares, area + around),
            }
        },
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
        assert!(edges.are_closed() && edges.manifold.len() == 18);
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
        assert!(!edges.are_closed() && edges.other == 3);
    }
}
