//! Triangle meshes.
//!
//! A [`Mesh`] is valid and immutable: coordinates are finite, triangles name existing vertices. Whether it is watertight,
//! manifold and oriented are three further questions, which mesh health answers. Triangles turn counter-clockwise seen
//! from outside; lengths are millimetres. A point cloud is a mesh whose triangles are points ([`Mesh::of_points`]).

mod bulge;
mod chains;
pub mod edges;
mod sample;
mod shells;
mod spacing;

pub use bulge::Bulge;
pub(crate) use chains::{Chain, chains};
pub use sample::{Samples, equal_shares};
pub use shells::Shells;
pub use spacing::{ASIDE, point_areas_mm2, spacing_mm};

use std::sync::Arc;

use nalgebra::{Point3, Vector3};
use thiserror::Error;

use crate::frame::{Bounds, Pose};
use crate::sum;

/// Why arrays are not a mesh.
#[derive(Debug, Error, PartialEq)]
pub enum MeshError {
    #[error(
        "the mesh has no triangles; found {vertices} vertices, allowed are meshes of at least one triangle: export the part as a surface"
    )]
    Empty { vertices: usize },
    #[error("triangle {triangle} names vertex {vertex}, allowed are 0 to {last}: export the mesh again")]
    Index { triangle: usize, vertex: u64, last: u64 },
    #[error("vertex {vertex} has a coordinate that is not a finite number below 1e6 mm: export the mesh again, in millimetres")]
    NotFinite { vertex: usize },
    #[error("the mesh has {count} {what}, allowed are at most 4294967294: split it")]
    TooLarge { what: &'static str, count: usize },
}

impl MeshError {
    pub fn code(&self) -> &'static str {
        match self {
            MeshError::Empty { .. } => "mesh.empty",
            MeshError::Index { .. } => "mesh.index",
            MeshError::NotFinite { .. } => "mesh.not_finite",
            MeshError::TooLarge { .. } => "file.too_large",
        }
    }
}

impl From<MeshError> for crate::Error {
    fn from(e: MeshError) -> Self {
        crate::Error::input(e.code(), e.to_string())
    }
}

/// An indexed triangle mesh in millimetres. Clones share the arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct Mesh {
    vertices: Arc<Vec<Point3<f64>>>,
    triangles: Arc<Vec<[u32; 3]>>,
}

impl Mesh {
    pub fn new(vertices: Vec<Point3<f64>>, triangles: Vec<[u32; 3]>) -> Result<Self, MeshError> {
        use rayon::prelude::*;
        if triangles.is_empty() {
            return Err(MeshError::Empty { vertices: vertices.len() });
        }
        for (what, count) in [("vertices", vertices.len()), ("triangles", triangles.len())] {
            if count >= u32::MAX as usize {
                return Err(MeshError::TooLarge { what, count });
            }
        }
        if let Some(vertex) = vertices.par_iter().position_first(|p| !p.iter().all(|x| x.abs() < 1e6)) {
            return Err(MeshError::NotFinite { vertex });
        }
        let count = vertices.len() as u32;
        if let Some(triangle) = triangles.par_iter().position_first(|t| t.iter().any(|&v| v >= count)) {
            let vertex = *triangles[triangle].iter().max().unwrap_or(&0);
            return Err(MeshError::Index { triangle, vertex: vertex.into(), last: u64::from(count).saturating_sub(1) });
        }
        Ok(Mesh { vertices: Arc::new(vertices), triangles: Arc::new(triangles) })
    }

    /// For a maker who knows that its triangles name its vertices and that these lie within the hull of some points, which alone are checked.
    pub(crate) fn within(hull: &[Point3<f64>], vertices: Vec<Point3<f64>>, triangles: Vec<[u32; 3]>) -> Result<Self, MeshError> {
        if let Some(vertex) = hull.iter().position(|p| !p.iter().all(|x| x.abs() < 1e6)) {
            return Err(MeshError::NotFinite { vertex });
        }
        debug_assert!(triangles.iter().flatten().all(|&v| (v as usize) < vertices.len()));
        Ok(Mesh { vertices: Arc::new(vertices), triangles: Arc::new(triangles) })
    }

    /// A point cloud: at every point a triangle whose corners all lie there, so that distances to it are distances to the points. It has
    /// no area and no normals.
    pub fn of_points(points: Vec<Point3<f64>>) -> Result<Self, MeshError> {
        let triangles = (0..points.len().min(u32::MAX as usize) as u32).map(|i| [i; 3]).collect();
        Mesh::new(points, triangles)
    }

    /// Nothing but points.
    pub fn is_cloud(&self) -> bool {
        self.triangles.iter().all(|[a, b, c]| a == b && b == c)
    }

    pub fn vertices(&self) -> &[Point3<f64>] {
        &self.vertices
    }

    pub fn triangles(&self) -> &[[u32; 3]] {
        &self.triangles
    }

    #[inline]
    pub fn corners(&self, triangle: usize) -> [Point3<f64>; 3] {
        self.triangles[triangle].map(|v| self.vertices[v as usize])
    }

    /// Some triangles as a mesh of their own, turned around: as the surface of what they face. Errors: those of [`Mesh::new`].
    pub fn alone(&self, triangles: &[u32]) -> Result<Mesh, MeshError> {
        let mut ids: Vec<u32> = triangles.iter().flat_map(|&t| self.triangles[t as usize]).collect();
        ids.sort_unstable();
        ids.dedup();
        let place = |v: u32| ids.partition_point(|&id| id < v) as u32;
        let turned = |&t: &u32| {
            let [a, b, c] = self.triangles[t as usize].map(place);
            [a, c, b]
        };
        let vertices = ids.iter().map(|&v| self.vertices[v as usize]).collect();
        Mesh::new(vertices, triangles.iter().map(turned).collect())
    }

    /// Centroid of a triangle.
    #[inline]
    pub fn centroid(&self, triangle: usize) -> Point3<f64> {
        let [a, b, c] = self.corners(triangle);
        Point3::from((a.coords + b.coords + c.coords) / 3.0)
    }

    /// Twice the area times the unit normal of a triangle (mm²); zero for a degenerate one.
    #[inline]
    pub fn area_vector(&self, triangle: usize) -> Vector3<f64> {
        let [a, b, c] = self.corners(triangle);
        (b - a).cross(&(c - a))
    }

    /// Surface area (mm²).
    pub fn area_mm2(&self) -> f64 {
        0.5 * sum::sum(self.triangles.len(), |t| self.area_vector(t).norm())
    }

    /// Enclosed volume by the divergence theorem (mm³); meaningful for closed, oriented meshes, negative when inside out.
    pub fn volume_mm3(&self) -> f64 {
        let o = self.bounds().centre(); // near the part, so that no digits cancel
        sum::sum(self.triangles.len(), |t| {
            let [a, b, c] = self.corners(t);
            (a - o).dot(&(b - o).cross(&(c - o)))
        }) / 6.0
    }

    pub fn bounds(&self) -> Bounds {
        Bounds::of(self.vertices())
    }

    /// A third of the area of the triangles around each vertex (mm²): the weight that makes sums over vertices integrals over the surface.
    pub fn vertex_areas_mm2(&self) -> Vec<f64> {
        let mut areas = vec![0.0; self.vertices.len()];
        for (t, triangle) in self.triangles.iter().enumerate() {
            let third = self.area_vector(t).norm() / 6.0;
            triangle.iter().for_each(|&v| areas[v as usize] += third);
        }
        areas
    }

    /// Area-weighted unit normals at the vertices; zero where no triangle with area meets.
    pub fn vertex_normals(&self) -> Vec<Vector3<f64>> {
        let mut normals = vec![Vector3::zeros(); self.vertices.len()];
        for (t, triangle) in self.triangles.iter().enumerate() {
            let n = self.area_vector(t);
            triangle.iter().for_each(|&v| normals[v as usize] += n);
        }
        normals.iter_mut().for_each(|n| *n = n.try_normalize(0.0).unwrap_or_else(Vector3::zeros));
        normals
    }

    /// The same mesh moved.
    pub fn moved(&self, pose: &Pose) -> Mesh {
        Mesh { vertices: Arc::new(self.vertices.iter().map(|p| pose.apply(p)).collect()), triangles: self.triangles.clone() }
    }

    /// The same mesh with every coordinate multiplied (unit conversion).
    pub fn scaled(&self, factor: f64) -> Mesh {
        Mesh { vertices: Arc::new(self.vertices.iter().map(|p| p * factor).collect()), triangles: self.triangles.clone() }
    }
}
