//! Normals and mean curvatures of a surface over patches. Touches the mesh alone.
//!
//! The first variation of the area of a patch is `2 H n` times its area; both are summed with the same weights, and the area as that of
//! its projection along the patch's normal, so that neither roughness nor the patch's own turning counts. Curvature, which noise roughens
//! more, comes from a larger patch than the normal does.
//! Cost: a round over the ring of every vertex takes some 50 ns; 48 bytes a vertex meanwhile.

use rayon::prelude::*;

use super::field::Ring;
use super::space::{V3, add, area_vector, cross, dot};
use crate::sum;

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

/// Rounds of averaging for normals, and for curvatures at least.
pub(super) const NORMAL_ROUNDS: usize = 8;
pub(super) const CURVATURE_ROUNDS: usize = 16;

/// Normals over [`NORMAL_ROUNDS`] and curvatures over at least as many rounds of averaging.
pub(super) fn shapes(points: &[V3], triangles: &[[u32; 3]], ring: &Ring, rounds: usize) -> Vec<Shape> {
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
    let near = ring.smooth(start, triangles, NORMAL_ROUNDS);
    let normals: Vec<[f32; 3]> = near.par_iter().map(|s| direction([s[3], s[4], s[5]]).0).collect();
    let wide = ring.smooth(near, triangles, rounds.saturating_sub(NORMAL_ROUNDS));
    let curvature = |s: &[f32; 6]| {
        let (along, area) = direction([s[3], s[4], s[5]]);
        let variation = dot([s[0], s[1], s[2]].map(f64::from), along.map(f64::from));
        if area > 0.0 { (0.5 * variation / area) as f32 } else { 0.0 }
    };
    wide.par_iter().zip(normals).map(|(s, normal)| Shape { normal, curvature: curvature(s) }).collect()
}

fn direction(n: [f32; 3]) -> ([f32; 3], f64) {
    let n = n.map(f64::from);
    let area = dot(n, n).sqrt();
    if area > 0.0 { (n.map(|x| (x / area) as f32), area) } else { ([0.0; 3], 0.0) }
}

/// Variance along each tangent of the patch that so many rounds of averaging make (mm²): a round takes a third of the mean square edge.
pub(super) fn patch_variance(points: &[V3], triangles: &[[u32; 3]], rounds: usize) -> f64 {
    let square = |t: usize| {
        let [a, b, c] = triangles[t].map(|v| points[v as usize]);
        [(a, b), (b, c), (c, a)].iter().map(|&(p, q)| add(p, q, -1.0)).map(|d| dot(d, d)).sum::<f64>()
    };
    rounds as f64 * sum::sum(triangles.len(), square) / (9.0 * triangles.len().max(1) as f64)
}
