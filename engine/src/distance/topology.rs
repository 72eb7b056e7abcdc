//! Edges and corners of a mesh: neighbours, and angle-weighted pseudonormals (Bærentzen & Aanæs 2005).

use nalgebra::Vector3;
use rayon::prelude::*;

use crate::mesh::Mesh;

const NONE: u32 = u32::MAX;

pub(super) struct Topology {
    /// Whether every edge is run through as often forwards as backwards: a closed, oriented surface (of any number of shells).
    pub closed: bool,
    /// Triangle across edge `k`; `NONE` where the edge has other than two triangles, or two that run the same way.
    across: Vec<[u32; 3]>,
    /// Σ angle · unit normal over the fan of each vertex; zero where the triangles are not one closed fan.
    at_vertices: Vec<Vector3<f64>>,
}

impl Topology {
    pub fn build(mesh: &Mesh) -> Self {
        let (across, closed) = neighbours(mesh);
        let mut first = vec![NONE; mesh.vertices().len()];
        let mut degree = vec![0_u32; mesh.vertices().len()];
        for (t, triangle) in mesh.triangles().iter().enumerate() {
            for &v in triangle {
                first[v as usize] = t as u32;
                degree[v as usize] += 1;
            }
        }
        let at_vertices = (0..first.len()).into_par_iter().map(|v| fan_normal(mesh, &across, v as u32, first[v], degree[v])).collect();
        Topology { closed, across, at_vertices }
    }

    /// Sum of the two unit normals at edge `k` of a triangle; `None` where the edge is irregular or a side has no area.
    pub fn at_edge(&self, mesh: &Mesh, triangle: u32, k: usize) -> Option<Vector3<f64>> {
        let other = self.across[triangle as usize][k];
        (other != NONE).then_some(())?;
        Some(unit_normal(mesh, triangle)? + unit_normal(mesh, other)?)
    }

    pub fn at_vertex(&self, vertex: u32) -> Option<Vector3<f64>> {
        Some(self.at_vertices[vertex as usize]).filter(|n| *n != Vector3::zeros())
    }
}

pub(super) fn unit_normal(mesh: &Mesh, triangle: u32) -> Option<Vector3<f64>> {
    mesh.area_vector(triangle as usize).try_normalize(0.0).filter(|n| n.iter().all(|x| x.is_finite()))
}

/// Triangles across each edge, and whether all edges balance.
fn neighbours(mesh: &Mesh) -> (Vec<[u32; 3]>, bool) {
    let triangles = mesh.triangles();
    // Half-edges grouped by their smaller vertex: (larger vertex, triangle).
    let mut start = vec![0_u32; mesh.vertices().len() + 1];
    for t in triangles {
        for k in 0..3 {
            start[t[k].min(t[(k + 1) % 3]) as usize + 1] += 1;
        }
    }
    for v in 1..start.len() {
        start[v] += start[v - 1];
    }
    let mut next = start.clone();
    let mut halves = vec![(0_u32, 0_u32); 3 * triangles.len()];
    for (t, corners) in triangles.iter().enumerate() {
        for k in 0..3 {
            let (from, to) = (corners[k], corners[(k + 1) % 3]);
            let place = &mut next[from.min(to) as usize];
            halves[*place as usize] = (from.max(to), t as u32);
            *place += 1;
        }
    }
    let edge_of = |t: u32, low: u32, high: u32| -> Option<(usize, bool)> {
        let c = triangles[t as usize];
        (0..3).find_map(|k| match (c[k], c[(k + 1) % 3]) {
            pair if pair == (low, high) => Some((k, true)),
            pair if pair == (high, low) => Some((k, false)),
            _ => None,
        })
    };
    let mut across = vec![[NONE; 3]; triangles.len()];
    let mut closed = true;
    for low in 0..mesh.vertices().len() {
        let bucket = &mut halves[start[low] as usize..start[low + 1] as usize];
        bucket.sort_unstable();
        let low = low as u32;
        for edge in bucket.chunk_by(|a, b| a.0 == b.0) {
            let high = edge[0].0;
            let side = |&(_, t): &(u32, u32)| edge_of(t, low, high);
            let balance: i64 = edge.iter().filter_map(side).map(|(_, forward)| if forward { 1 } else { -1 }).sum();
            closed &= low != high && balance == 0;
            if let [one, two] = edge
                && let (Some((k, forward)), Some((j, backward))) = (side(one), side(two))
                && forward != backward
            {
                across[one.1 as usize][k] = two.1;
                across[two.1 as usize][j] = one.1;
            }
        }
    }
    (across, closed)
}

/// Walks the triangles around a vertex; zero unless they form one closed fan of triangles with area.
fn fan_normal(mesh: &Mesh, across: &[[u32; 3]], vertex: u32, first: u32, degree: u32) -> Vector3<f64> {
    let (mut sum, mut t) = (Vector3::zeros(), first);
    for _ in 0..degree {
        if t == NONE {
            return Vector3::zeros();
        }
        let corners = mesh.triangles()[t as usize];
        let Some(k) = corners.iter().position(|&v| v == vertex) else { return Vector3::zeros() };
        let [p, a, b] = [k, (k + 1) % 3, (k + 2) % 3].map(|c| mesh.vertices()[corners[c] as usize]);
        let (a, b) = (a - p, b - p);
        let normal = a.cross(&b);
        let Some(unit) = normal.try_normalize(0.0) else { return Vector3::zeros() };
        sum += unit * libm::atan2(normal.norm(), a.dot(&b));
        t = across[t as usize][(k + 2) % 3];
        if t == first {
            break;
        }
    }
    // A second fan through the same vertex, or an open one, is not for pseudonormals.
    let closed = t == first && first != NONE;
    if closed && fan_size(mesh, across, vertex, first, degree) == degree { sum } else { Vector3::zeros() }
}

fn fan_size(mesh: &Mesh, across: &[[u32; 3]], vertex: u32, first: u32, limit: u32) -> u32 {
    let (mut t, mut size) = (first, 0);
    while size < limit {
        size += 1;
        let corners = mesh.triangles()[t as usize];
        let Some(k) = corners.iter().position(|&v| v == vertex) else { return 0 };
        t = across[t as usize][(k + 2) % 3];
        if t == first || t == NONE {
            break;
        }
    }
    size
}
