//! Meshes altered in known ways: scaled per axis, offset, roughened, cropped.

use std::f64::consts::TAU;

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use crate::mesh::{Mesh, MeshError};
use crate::noise::{normal, uniform};

/// Scales about a point. An odd number of negative factors mirrors the part; its triangles are turned to stay outward.
pub fn scaled_per_axis(mesh: &Mesh, factors: Vector3<f64>, about: Point3<f64>) -> Result<Mesh, MeshError> {
    let vertices = mesh.vertices().iter().map(|p| about + (p - about).component_mul(&factors)).collect();
    let turn = factors.product() < 0.0;
    let triangles = mesh.triangles().iter().map(|&[a, b, c]| if turn { [a, c, b] } else { [a, b, c] }).collect();
    Mesh::new(vertices, triangles)
}

/// Moves every vertex along its unit normal; exact for balls and planes, to first order elsewhere.
pub fn offset_along_normals(mesh: &Mesh, by_mm: f64) -> Result<Mesh, MeshError> {
    displaced(mesh, |_, _| by_mm)
}

/// Form error and measuring noise along the normals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Independent from vertex to vertex, mm.
    pub white_sd_mm: f64,
    /// Smooth over the part: covariance `sd² exp(-d² / 2 range²)`, mm.
    pub correlated_sd_mm: f64,
    pub range_mm: f64,
    pub seed: u64,
}

/// The mesh with noise. The smooth part is a sum of random waves (Rahimi and Recht 2007, eq. 1), Gaussian in the limit of many.
pub fn with_noise(mesh: &Mesh, noise: &Noise) -> Result<Mesh, MeshError> {
    const WAVES: u64 = 256;
    let (vectors, phases, white) = (noise.seed, noise.seed ^ 0x5048_4153_4553, noise.seed ^ 0x57_4849_5445);
    let wave = |m: u64| {
        let k = Vector3::from_fn(|a, _| normal(vectors, 3 * m + a as u64) / noise.range_mm);
        (k, TAU * uniform(phases, m))
    };
    let waves: Vec<_> = if noise.correlated_sd_mm > 0.0 { (0..WAVES).map(wave).collect() } else { vec![] };
    let scale = noise.correlated_sd_mm * (2.0 / WAVES as f64).sqrt();
    displaced(mesh, |i, p| {
        let smooth: f64 = waves.iter().map(|(k, phase)| libm::cos(k.dot(&p.coords) + phase)).sum();
        scale * smooth + noise.white_sd_mm * normal(white, i as u64)
    })
}

/// Only the triangles whose centroid is kept, and their vertices: a part with a piece missing, open where it broke off.
pub fn cropped(mesh: &Mesh, keep: impl Fn(&Point3<f64>) -> bool) -> Result<Mesh, MeshError> {
    let kept = (0..mesh.triangles().len()).filter(|&t| keep(&mesh.centroid(t)));
    compacted(mesh.vertices(), &kept.map(|t| mesh.triangles()[t]).collect::<Vec<_>>())
}

/// A mesh of the vertices that the triangles name, in their old order.
pub(super) fn compacted(vertices: &[Point3<f64>], triangles: &[[u32; 3]]) -> Result<Mesh, MeshError> {
    let mut used = vec![false; vertices.len()];
    triangles.iter().flatten().for_each(|&v| used[v as usize] = true);
    let mut next = 0;
    let place: Vec<u32> = used.iter().map(|&u| (next, next += u32::from(u)).0).collect();
    let vertices = vertices.iter().zip(&used).filter(|(_, u)| **u).map(|(p, _)| *p).collect();
    Mesh::new(vertices, triangles.iter().map(|t| t.map(|v| place[v as usize])).collect())
}

fn displaced(mesh: &Mesh, by_mm: impl Fn(usize, &Point3<f64>) -> f64 + Sync) -> Result<Mesh, MeshError> {
    let normals = mesh.vertex_normals();
    let vertices = mesh.vertices().par_iter().zip(&normals).enumerate().map(|(i, (p, n))| p + n * by_mm(i, p)).collect();
    Mesh::new(vertices, mesh.triangles().to_vec())
}
