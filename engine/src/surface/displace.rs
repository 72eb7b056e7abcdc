//! Moves the vertices of a surface along their normals so that no triangle turns over. Touches the mesh alone.

use rayon::prelude::*;

use super::field::Ring;
use super::flag;
use super::place::Edge;
use super::shape::Shape;
use super::space::{V3, add, area_vector, dot};

/// Displacements are smoothed where a triangle would turn over, and left out where that is not enough.
pub(super) fn displace(points: &mut [V3], triangles: &[[u32; 3]], ring: &Ring, shapes: &[Shape], edges: &mut [Edge]) {
    const ROUNDS: usize = 12;
    let place = |v: usize, shift: f32| add(points[v], shapes[v].normal(), f64::from(shift));
    let mut at: Vec<V3> = (0..points.len()).into_par_iter().map(|v| place(v, edges[v].shift)).collect();
    for round in 0.. {
        let turned = |t: &&[u32; 3]| {
            dot(area_vector(points, **t), area_vector(&at, **t)) <= 0.0 && t.iter().any(|&v| edges[v as usize].shift != 0.0)
        };
        let mut corners: Vec<u32> = triangles.par_iter().filter(turned).flat_map_iter(|t| t.iter().copied()).collect();
        if corners.is_empty() {
            break;
        }
        corners.sort_unstable();
        corners.dedup();
        let mean = |&v: &u32| {
            let near = ring.corners(v as usize, triangles).map(|c| edges[c as usize].shift);
            let (n, s) = near.fold((0.0, 0.0), |(n, s), d| (n + 1.0, s + d));
            s / f32::max(n, 1.0)
        };
        let shifts: Vec<f32> = if round < ROUNDS { corners.par_iter().map(mean).collect() } else { vec![0.0; corners.len()] };
        for (&v, shift) in corners.iter().zip(shifts) {
            let edge = &mut edges[v as usize];
            edge.shift = shift;
            if round >= ROUNDS {
                edge.flags = edge.flags & !(flag::REFINED | flag::LOCAL_ISO50 | flag::STEEPEST) | flag::KEPT_ISO50;
            }
            at[v as usize] = place(v as usize, shift);
        }
    }
    points.copy_from_slice(&at);
}
