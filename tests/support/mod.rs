//! What the tests of kernels and jobs share.
#![allow(dead_code)] // every test binary uses its own part

use nalgebra::{Point3, Vector3};
use verimetry_engine::frame::Pose;
use verimetry_engine::gpu::{Gpu, Options};
use verimetry_engine::mesh::Mesh;

/// A GPU of any kind, software included. Without one the test is skipped aloud; with `REQUIRE_GPU=1` it fails.
pub fn gpu() -> Option<Gpu> {
    gpu_with(Options::default())
}

/// The same with other slabs or an edited program.
pub fn gpu_with(options: Options) -> Option<Gpu> {
    match Gpu::open(&Options { accept_software: true, ..options }) {
        Ok(gpu) => Some(gpu),
        Err(e) if std::env::var("REQUIRE_GPU").is_ok_and(|v| v == "1") => panic!("REQUIRE_GPU=1, but: {e}"),
        Err(e) => {
            eprintln!("SKIPPED: no adapter ({e})");
            None
        }
    }
}

/// SplitMix64: numbers that are the same on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// In the cube of a half edge about the origin.
    pub fn point(&mut self, half: f64) -> Point3<f64> {
        Point3::new(self.within(-half, half), self.within(-half, half), self.within(-half, half))
    }

    /// In the cube of half edge 1.
    pub fn vector(&mut self) -> Vector3<f64> {
        Vector3::new(self.unit(), self.unit(), self.unit()) * 2.0 - Vector3::repeat(1.0)
    }

    /// Standard normal (Box & Muller 1958).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Turned about any axis, a half turn in one of five, and up to 100 mm away along each axis.
    pub fn pose(&mut self) -> Pose {
        let axis = loop {
            let v = self.vector();
            if (0.01..1.0).contains(&v.norm_squared()) {
                break v.normalize();
            }
        };
        let angle = if self.unit() < 0.2 { std::f64::consts::PI } else { std::f64::consts::TAU * self.unit() };
        Pose::from_rotation_vector(axis * angle, self.vector() * 100.0)
    }
}

/// Meshes as one.
pub fn together(meshes: &[Mesh]) -> Mesh {
    let (mut vertices, mut triangles) = (vec![], vec![]);
    for mesh in meshes {
        let first = vertices.len() as u32;
        vertices.extend_from_slice(mesh.vertices());
        triangles.extend(mesh.triangles().iter().map(|t| t.map(|v| v + first)));
    }
    Mesh::new(vertices, triangles).unwrap()
}
