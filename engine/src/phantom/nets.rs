//! Surface of any solid as a closed mesh with every vertex on the surface.
//!
//! Surface nets (Gibson 1998): one vertex in each cell of a cubic grid that the surface crosses, one quadrilateral around each
//! crossed grid edge; then vertices relax within the surface and Newton steps along the gradient put them onto the zero set.
//! The result is manifold if cells are small against the radii of curvature and the thinnest wall and gap; sharp edges are cut and may
//! pinch the mesh, so round them. Simplification then drops vertices
//! wherever the mesh stays within the chord error allowed.

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::simplify::simplified;
use super::{PhantomError, Solid, alter};
use crate::frame::Bounds;
use crate::mesh::Mesh;

/// How finely a surface is meshed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fineness {
    /// Edge of the cubic cells, mm.
    pub cell_mm: f64,
    /// Vertices are dropped while the mesh stays this near the surface; `None` keeps all. mm.
    pub simplify_mm: Option<f64>,
}

/// Meshes the surface of a solid that lies within the bounds. Fails if the solid reaches their border or is not there.
pub fn surface_mesh(solid: &Solid, bounds: &Bounds, fineness: Fineness) -> Result<Mesh, PhantomError> {
    let (mut vertices, quads) = nets(solid, bounds, fineness.cell_mm)?;
    settle(solid, &mut vertices, &quads, fineness.cell_mm);
    // The shorter diagonal makes the better pair of triangles.
    let split = |&[a, b, c, d]: &[u32; 4]| {
        let length = |p: u32, q: u32| (vertices[p as usize] - vertices[q as usize]).norm_squared();
        if length(a, c) <= length(b, d) { [[a, b, c], [a, c, d]] } else { [[a, b, d], [b, c, d]] }
    };
    let mut triangles: Vec<[u32; 3]> = quads.iter().flat_map(split).collect();
    if let Some(tolerance_mm) = fineness.simplify_mm {
        triangles = simplified(solid, &vertices, triangles, tolerance_mm);
    }
    alter::compacted(&vertices, &triangles).map_err(|_| PhantomError::Empty)
}

/// Largest distance from a mesh to the surface of a solid (mm), sampled over every triangle at six steps a side.
pub fn chord_error_mm(mesh: &Mesh, solid: &Solid) -> f64 {
    const SIDE: usize = 6; // a multiple of 3, so that the centroid is among the samples
    let worst = |t: usize| {
        let [a, b, c] = mesh.corners(t);
        let at = |u: usize, v: usize| a + (b - a) * (u as f64 / SIDE as f64) + (c - a) * (v as f64 / SIDE as f64);
        let samples = (0..=SIDE).flat_map(|u| (0..=SIDE - u).map(move |v| (u, v))).map(|(u, v)| at(u, v));
        // Gradients are at least 0.5 long near the surface: less than half of the worst so far needs none.
        samples.fold(
            0.0,
            |worst: f64, p| {
                if 2.0 * solid.distance_mm(&p).abs() > worst { worst.max(solid.near_distance_mm(&p).abs()) } else { worst }
            },
        )
    };
    // A maximum does not depend on the order.
    (0..mesh.triangles().len()).into_par_iter().map(worst).reduce(|| 0.0, f64::max)
}

type Quads = Vec<[u32; 4]>;

fn nets(solid: &Solid, bounds: &Bounds, cell_mm: f64) -> Result<(Vec<Point3<f64>>, Quads), PhantomError> {
    let nodes = [0, 1, 2].map(|a| ((bounds.max[a] - bounds.min[a]) / cell_mm).ceil().max(1.0) as usize + 1);
    let strides = [1, nodes[0], nodes[0] * nodes[1]];
    let index = |n: usize| [n % nodes[0], n / nodes[0] % nodes[1], n / strides[2]];
    let point = |n: usize| bounds.min + Vector3::from(index(n).map(|i| i as f64)) * cell_mm;
    let count = nodes.iter().product::<usize>();
    let values: Vec<f64> = (0..count).into_par_iter().map(|n| solid.distance_mm(&point(n))).collect();
    let within = |n: usize, layers: usize| index(n).iter().zip(&nodes).any(|(&i, &m)| i < layers || i + layers >= m);
    // Two layers: every edge that the surface crosses then has its four cells.
    if (0..count).any(|n| values[n] < 0.0 && within(n, 2)) {
        return Err(PhantomError::Bounds);
    }
    let crossed = |n: usize, axis: usize| (values[n] < 0.0) != (values[n + strides[axis]] < 0.0);
    let crossing = |n: usize, axis: usize| {
        let (v, w) = (values[n], values[n + strides[axis]]);
        point(n) + Vector3::ith(axis, cell_mm * v / (v - w))
    };
    // One vertex a cell: the mean of where its twelve edges are crossed.
    let mut place = vec![u32::MAX; count];
    let mut vertices = vec![];
    for n in (0..count).filter(|&n| index(n).iter().zip(&nodes).all(|(&i, &m)| i + 1 < m)) {
        let edges = (0..3).flat_map(|axis| {
            let (b, c) = (strides[(axis + 1) % 3], strides[(axis + 2) % 3]);
            [n, n + b, n + c, n + b + c].into_iter().filter(move |&m| crossed(m, axis)).map(move |m| crossing(m, axis).coords)
        });
        let (sum, number) = edges.fold((Vector3::zeros(), 0), |(s, k), p| (s + p, k + 1));
        if number > 0 {
            place[n] = vertices.len() as u32;
            vertices.push(Point3::from(sum / f64::from(number)));
        }
    }
    let mut quads = vec![];
    for n in (0..count).filter(|&n| !within(n, 1)) {
        for axis in (0..3).filter(|&axis| crossed(n, axis)) {
            let (b, c) = (strides[(axis + 1) % 3], strides[(axis + 2) % 3]);
            let around = [n - b - c, n - c, n, n - b].map(|cell| place[cell]);
            let outward = values[n] < 0.0; // the solid ends along the axis: counter-clockwise seen from its end
            quads.push(if outward { around } else { [around[3], around[2], around[1], around[0]] });
        }
    }
    if quads.is_empty() { Err(PhantomError::Empty) } else { Ok((vertices, quads)) }
}

/// Evens the vertices out within the surface and puts them onto it.
fn settle(solid: &Solid, vertices: &mut Vec<Point3<f64>>, quads: &[[u32; 4]], cell_mm: f64) {
    const ROUNDS: usize = 4;
    *vertices = vertices.par_iter().map(|p| solid.foot(p)).collect();
    let mut neighbours = vec![vec![]; vertices.len()];
    for q in quads {
        (0..4).for_each(|i| neighbours[q[i] as usize].push(q[(i + 1) % 4]));
    }
    for _ in 0..ROUNDS {
        let relaxed = |(v, p): (usize, &Point3<f64>)| {
            let sum = neighbours[v].iter().fold(Vector3::zeros(), |s: Vector3<f64>, &n| s + vertices[n as usize].coords);
            let step = (sum / neighbours[v].len().max(1) as f64 - p.coords) * 0.5;
            let normal = solid.gradient(p).try_normalize(1e-9).unwrap_or_else(Vector3::zeros);
            let moved = solid.foot(&(p + step - normal * step.dot(&normal)));
            // A foot that jumped went to another sheet.
            if (moved - p).norm() < cell_mm { moved } else { *p }
        };
        *vertices = vertices.par_iter().enumerate().map(relaxed).collect();
    }
}
