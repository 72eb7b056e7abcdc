//! Normals and mean curvatures of a surface over patches of about a voxel in radius. Touches the mesh alone.
//!
//! The first variation of the area of a patch is `2 H n` times its area; both are summed with the same weights, and the area as that of
//! its projection along the patch's normal, so that neither roughness nor the patch's own turning counts.
//! Cost: eight rounds over the ring of every vertex, 48 bytes a vertex meanwhile.

use rayon::prelude::*;

use super::field::Ring;
use super::space::{V3, add, area_vector, cross, dot};

/// Direction and mean curvature (1/mm, outward positive: 1/R on a ball) at a vertex. Zero where the surface has no area.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub normal: [f32; 3],
    pub curvature: f32,
}

impl Shape {
    pub fn normal(&self) -> V3 {
        self.normal.map(f64::from)
    }

    pub fn curvature(&self) -> f64 {
        f64::from(self.curvature)
    }
}

pub(super) fn shapes(points: &[V3], triangles: &[[u32; 3]], ring: &Ring) -> Vec<Shape> {
    let start = ring.gather(|v, t| {
        let tri = triangles[t];
        let n = area_vector(points, tri);
        let norm = dot(n, n).sqrt();
        if norm == 0.0 {
            return [0.0; 6];
        }
        let at = tri.iter().position(|&x| x as usize == v).unwrap_or(0);
        let opposite = add(points[tri[(at + 2) % 3] as usize], points[tri[(at + 1) % 3] as usize], -1.0);
        let variation = cross(n, opposite).map(|x| (0.5 * x / norm) as f32);
        let area = n.map(|x| (x / 6.0) as f32);
        [variation[0], variation[1], variation[2], area[0], area[1], area[2]]
    });
    let smooth = ring.smooth(start, triangles);
    smooth
        .into_par_iter()
        .map(|[gx, gy, gz, nx, ny, nz]| {
            let (g, n) = ([gx, gy, gz].map(f64::from), [nx, ny, nz].map(f64::from));
            let area = dot(n, n).sqrt();
            if area == 0.0 {
                return Shape { normal: [0.0; 3], curvature: 0.0 };
            }
            let normal = n.map(|x| x / area);
            Shape { normal: normal.map(|x| x as f32), curvature: (0.5 * dot(g, normal) / area) as f32 }
        })
        .collect()
}
