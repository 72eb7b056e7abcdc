//! What the sign of a distance asks of the mesh: angle-weighted pseudonormals (Bærentzen & Aanæs 2005), made when a query needs them.

use nalgebra::Vector3;

use crate::mesh::Mesh;
use crate::mesh::edges::{Edges, NONE};

/// Sum of the two unit normals at edge `k` of a triangle; `None` where the edge is irregular or a side has no area.
pub(super) fn at_edge(mesh: &Mesh, edges: &Edges, triangle: u32, k: usize) -> Option<Vector3<f64>> {
    let other = edges.across(triangle, k);
    (other != NONE).then_some(())?;
    Some(unit_normal(mesh, triangle)? + unit_normal(mesh, other)?)
}

pub(super) fn unit_normal(mesh: &Mesh, triangle: u32) -> Option<Vector3<f64>> {
    mesh.area_vector(triangle as usize).try_normalize(0.0).filter(|n| n.iter().all(|x| x.is_finite()))
}

/// Σ angle · unit normal over the triangles around corner `k` of a triangle; `None` unless they are one closed fan of triangles with area,
/// for a second fan through the same vertex, or an open one, is not for pseudonormals.
pub(super) fn at_vertex(mesh: &Mesh, edges: &Edges, triangle: u32, k: usize) -> Option<Vector3<f64>> {
    let vertex = mesh.triangles()[triangle as usize][k];
    let corner_in = |t: u32| mesh.triangles()[t as usize].iter().position(|&v| v == vertex);
    let next = |t: u32| corner_in(t).map(|k| edges.across(t, (k + 2) % 3)).filter(|&t| t != NONE);
    // The sum starts at the largest id, so that it has the same bits from wherever it is asked for.
    let (mut t, mut size, mut first) = (triangle, 0, triangle);
    loop {
        (size, first) = (size + 1, first.max(t));
        t = next(t)?;
        if t == triangle {
            break;
        }
        (size < edges.degree(vertex)).then_some(())?;
    }
    (size == edges.degree(vertex)).then_some(())?;
    let (mut sum, mut t) = (Vector3::zeros(), first);
    for _ in 0..size {
        let k = corner_in(t)?;
        let corners = mesh.corners(t as usize);
        let (a, b) = (corners[(k + 1) % 3] - corners[k], corners[(k + 2) % 3] - corners[k]);
        let normal = a.cross(&b);
        sum += normal.try_normalize(0.0)? * libm::atan2(normal.norm(), a.dot(&b));
        t = next(t)?;
    }
    (sum != Vector3::zeros()).then_some(sum)
}

/// Pseudonormals of vertices asked for lately: neighbouring queries ask for the same ones.
pub(super) struct Lately(Vec<(u32, Option<Vector3<f64>>)>);

impl Lately {
    const SLOTS: usize = 64;

    pub fn new() -> Self {
        Lately(vec![(NONE, None); Lately::SLOTS])
    }

    /// Remembers nothing, for a single query.
    pub fn none() -> Self {
        Lately(vec![])
    }

    pub fn at_vertex(&mut self, mesh: &Mesh, edges: &Edges, triangle: u32, k: usize) -> Option<Vector3<f64>> {
        let vertex = mesh.triangles()[triangle as usize][k];
        if self.0.is_empty() {
            return at_vertex(mesh, edges, triangle, k);
        }
        let slot = &mut self.0[vertex as usize % Lately::SLOTS];
        if slot.0 != vertex {
            *slot = (vertex, at_vertex(mesh, edges, triangle, k));
        }
        slot.1
    }
}
