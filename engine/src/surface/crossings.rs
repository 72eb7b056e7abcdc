//! Triangles of a mesh that cross others: pairs found by hashing bounding boxes, settled by which side of each other's planes they lie on.

use rayon::prelude::*;

use super::space::{V3, add, cross, dot};

/// Pairs of triangles that cross each other, one of them suspicious; sorted. `cell` is the size of a triangle (mm).
pub(super) fn crossed(points: &[V3], triangles: &[[u32; 3]], suspicious: &(impl Fn(usize) -> bool + Sync), cell: f64) -> Vec<[u32; 2]> {
    let cells = |t: usize| {
        let [low, high] = bounds(points, triangles[t]).map(|p| p.map(|x| (x / cell).floor() as i64));
        (low[2]..=high[2]).flat_map(move |k| (low[1]..=high[1]).flat_map(move |j| (low[0]..=high[0]).map(move |i| [i, j, k])))
    };
    let mut places: Vec<[i64; 3]> = (0..triangles.len()).into_par_iter().filter(|&t| suspicious(t)).flat_map_iter(cells).collect();
    places.par_sort_unstable();
    places.dedup();
    if places.is_empty() {
        return vec![];
    }
    let mut entries: Vec<(u32, u32)> = (0..triangles.len())
        .into_par_iter()
        .flat_map_iter(|t| cells(t).filter_map(|c| places.binary_search(&c).ok()).map(move |c| (c as u32, t as u32)))
        .collect();
    entries.par_sort_unstable();
    let mut found: Vec<[u32; 2]> = entries
        .par_chunk_by(|a, b| a.0 == b.0)
        .flat_map_iter(|cell| {
            let list: Vec<(u32, [V3; 2])> = cell.iter().map(|&(_, t)| (t, bounds(points, triangles[t as usize]))).collect();
            let mut hits = vec![];
            for (n, (a, box_a)) in list.iter().enumerate() {
                for (b, box_b) in &list[n + 1..] {
                    let apart = (0..3).any(|x| box_a[0][x] > box_b[1][x] || box_b[0][x] > box_a[1][x]);
                    if !apart && cross_each_other(points, triangles[*a as usize], triangles[*b as usize]) {
                        hits.push([*a, *b]);
                    }
                }
            }
            hits
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn bounds(points: &[V3], t: [u32; 3]) -> [V3; 2] {
    let [a, b, c] = t.map(|v| points[v as usize]);
    [[0, 1, 2].map(|x| a[x].min(b[x]).min(c[x])), [0, 1, 2].map(|x| a[x].max(b[x]).max(c[x]))]
}

/// Whether an edge of one triangle passes through the other. Edges at a shared corner touch there by right.
fn cross_each_other(points: &[V3], a: [u32; 3], b: [u32; 3]) -> bool {
    if a.iter().filter(|v| b.contains(v)).count() > 1 {
        return false;
    }
    let pierces = |edges: [u32; 3], other: [u32; 3]| {
        (0..3).map(|n| [edges[n], edges[(n + 1) % 3]]).filter(|e| !e.iter().any(|v| other.contains(v))).any(|[p, q]| {
            let corners = other.map(|v| points[v as usize]);
            passes(points[p as usize], points[q as usize], corners)
        })
    };
    pierces(a, b) || pierces(b, a)
}

/// Whether the segment passes through the inside of the triangle.
fn passes(p: V3, q: V3, [a, b, c]: [V3; 3]) -> bool {
    let normal = cross(add(b, a, -1.0), add(c, a, -1.0));
    let (sp, sq) = (dot(normal, add(p, a, -1.0)), dot(normal, add(q, a, -1.0)));
    if sp * sq >= 0.0 {
        return false;
    }
    let along = add(q, p, -1.0);
    let side = |u: V3, v: V3| dot(along, cross(add(u, p, -1.0), add(v, p, -1.0)));
    let sides = [side(a, b), side(b, c), side(c, a)];
    sides.iter().all(|&s| s > 0.0) || sides.iter().all(|&s| s < 0.0)
}
