//! Moves the vertices of a surface so that no triangle turns over and none comes to cross another. Touches the mesh alone.
//!
//! The corners of triangles that would do either are bound together: first they move along one direction, by as much as each should, since
//! what turns a sliver over is that its corners' normals differ; those it does not help move alike, by their mean, and keep their shape.
//! Bonds last, and grow until nothing turns or crosses; what is left after that stays where it was. Crossings are looked for where
//! the surface may have any: at triangles that stand off the surface's normal or whose corners moved far.
//! Cost: a look at every triangle a round; crossings by hashing the suspicious ones and those in the same cells.

use rayon::prelude::*;

use super::crossings;
use super::field::Ring;
use super::flag;
use super::place::Edge;
use super::shape::Shape;
use super::space::{V3, add, area_vector, dot};
use crate::forest::{numbered, unite};

/// Rounds in which bonds grow, and in which what is bound stays where it was.
const BINDING: usize = 40;
const HOLDING: usize = 8;
/// Cosine between a triangle and the surface's normal at a corner below which it is suspicious; and the move in voxels.
const UPRIGHT: f64 = 0.6;
const FAR: f64 = 0.4;

/// Moves vertex v by `edges[v].shift` along its normal, or less. `voxel` is the size of the triangles (mm).
pub(super) fn displace(points: &mut [V3], triangles: &[[u32; 3]], ring: &Ring, shapes: &[Shape], edges: &mut [Edge], voxel: f64) {
    let place = |v: usize| add(points[v], shapes[v].normal(), f64::from(edges[v].shift));
    let mut at: Vec<V3> = (0..points.len()).into_par_iter().map(place).collect();
    let (mut aligned, mut rigid): (Vec<[u32; 2]>, Vec<[u32; 2]>) = (vec![], vec![]);
    for round in 0..BINDING + HOLDING {
        let new = faults(points, &at, triangles, shapes, voxel);
        if new.is_empty() {
            break;
        }
        if round < BINDING {
            rigid.extend(new.iter().filter(|pair| aligned.binary_search(pair).is_ok()));
            aligned.extend(new);
            aligned.sort_unstable();
            aligned.dedup();
            for (v, to) in bound(&aligned, &rigid, shapes, edges) {
                at[v as usize] = add(points[v as usize], to, 1.0);
            }
            continue;
        }
        let mut held: Vec<u32> = new.iter().chain(&aligned).flatten().flat_map(|&v| ring.corners(v as usize, triangles)).collect();
        held.sort_unstable();
        held.dedup();
        aligned.extend(held.iter().map(|&v| [v, v]));
        for v in held.into_iter().map(|v| v as usize) {
            at[v] = points[v];
            edges[v].flags = edges[v].flags & !(flag::REFINED | flag::LOCAL_ISO50 | flag::STEEPEST) | flag::KEPT_ISO50;
        }
    }
    points.copy_from_slice(&at);
}

/// Where the vertices of bonds move: along the direction of their group, by their own shift, or by the mean of those they are rigid with.
fn bound(aligned: &[[u32; 2]], rigid: &[[u32; 2]], shapes: &[Shape], edges: &[Edge]) -> Vec<(u32, V3)> {
    let shift = |v: u32| f64::from(edges[v as usize].shift);
    let mut moves: Vec<(u32, V3, f64)> = vec![];
    for group in groups(aligned) {
        let sum = group.iter().fold([0.0; 3], |sum, &v| add(sum, shapes[v as usize].normal(), 1.0));
        let length = dot(sum, sum).sqrt();
        let direction = if length > 0.0 { sum.map(|x| x / length) } else { sum };
        moves.extend(group.into_iter().map(|v| (v, direction, shift(v))));
    }
    moves.sort_unstable_by_key(|m| m.0);
    for group in groups(rigid) {
        let mean = group.iter().map(|&v| shift(v)).sum::<f64>() / group.len() as f64;
        for v in group {
            let n = moves.partition_point(|m| m.0 < v);
            moves[n].2 = mean;
        }
    }
    moves.into_iter().map(|(v, direction, shift)| (v, direction.map(|x| x * shift))).collect()
}

/// Pairs of vertices that should move alike: neighbours in triangles that turned over, or if there are none in triangles that cross.
fn faults(points: &[V3], at: &[V3], triangles: &[[u32; 3]], shapes: &[Shape], voxel: f64) -> Vec<[u32; 2]> {
    let moved = |t: &[u32; 3]| t.iter().any(|&v| at[v as usize] != points[v as usize]);
    let turned = |t: &&[u32; 3]| dot(area_vector(points, **t), area_vector(at, **t)) <= 0.0 && moved(t);
    let corners = |t: &[u32; 3]| [[t[0], t[1]], [t[1], t[2]]];
    let found: Vec<[u32; 2]> = triangles.par_iter().filter(turned).flat_map_iter(corners).collect();
    if !found.is_empty() {
        return found;
    }
    let suspicious = |t: usize| {
        let n = area_vector(at, triangles[t]);
        let size = dot(n, n).sqrt();
        triangles[t].iter().any(|&v| {
            let d = add(at[v as usize], points[v as usize], -1.0);
            dot(n, shapes[v as usize].normal()) < UPRIGHT * size || dot(d, d) > (FAR * voxel) * (FAR * voxel)
        })
    };
    let pairs = crossings::crossed(at, triangles, &suspicious, voxel);
    let [a, b] = [0, 1].map(|n| pairs.iter().map(move |p| triangles[p[n] as usize]));
    // Crossings that were there before are not for moves to mend.
    let alike = |a: &[u32; 3], b: &[u32; 3]| {
        let d = |v: u32| add(at[v as usize], points[v as usize], -1.0);
        a.iter().chain(b).all(|&v| d(v) == d(a[0]))
    };
    a.zip(b)
        .filter(|(a, b)| !alike(a, b))
        .flat_map(|(a, b)| [[a[0], a[1]], [a[1], a[2]], [a[2], b[0]], [b[0], b[1]], [b[1], b[2]]])
        .collect()
}

/// The groups of vertices that pairs connect, each sorted, in the order of their first.
fn groups(pairs: &[[u32; 2]]) -> Vec<Vec<u32>> {
    let mut vertices: Vec<u32> = pairs.iter().flatten().copied().collect();
    vertices.sort_unstable();
    vertices.dedup();
    let mut parents: Vec<u32> = (0..vertices.len() as u32).collect();
    let place = |v: u32| vertices.partition_point(|&x| x < v) as u32;
    pairs.iter().for_each(|&[a, b]| unite(&mut parents, place(a), place(b)));
    let mut members: Vec<(u32, u32)> = numbered(parents, 0).0.into_iter().zip(vertices).collect();
    members.sort_unstable();
    members.chunk_by(|a, b| a.0 == b.0).map(|group| group.iter().map(|&(_, v)| v).collect()).collect()
}
