//! Triangles of a mesh that cross others: pairs found by hashing bounding boxes, settled by which side of each other's planes they lie on.
//!
//! Cost: layer by layer of the cells that boxes are hashed to, some 400 ns a triangle; 4 bytes for each layer that a triangle lies in.

use std::ops::Range;

use rayon::prelude::*;

use super::space::{V3, add, cross, dot};

/// Pairs of triangles that cross each other and lie in one cell with a suspicious one; sorted. `cell` is the size of a triangle (mm). Where some
/// triangles are named, only what lies in their cells is looked at.
pub(super) fn crossed(
    points: &[V3],
    triangles: &[[u32; 3]],
    suspicious: impl Fn(usize) -> bool + Sync,
    named: Option<&[u32]>,
    cell: f64,
) -> Vec<[u32; 2]> {
    let Some(hashing) = Hashing::of(points, triangles, cell) else { return vec![] };
    let wanted = named.map(|named| hashing.cells(&hashing.by_layer(named.iter().copied())));
    let is_wanted = |layer: usize, cell: &u64| wanted.as_ref().is_none_or(|wanted| wanted[layer].binary_search(cell).is_ok());
    let is_near = |t: &u32| {
        let bounds = hashing.bounds(*t);
        hashing.layers_of(&bounds).any(|layer| hashing.cells_of(&bounds).any(|cell| is_wanted(layer, &cell)))
    };
    let all = 0..triangles.len() as u32;
    let layers = match named {
        None => hashing.by_layer(all),
        Some(_) => hashing.by_layer(all.into_par_iter().filter(is_near).collect::<Vec<_>>().iter().copied()),
    };
    let in_layer = |layer: usize| hashing.crossed_in(layers.of(layer), |cell| is_wanted(layer, cell), &suspicious);
    let mut found: Vec<[u32; 2]> = (0..hashing.layers()).into_par_iter().flat_map_iter(in_layer).collect();
    found.par_sort_unstable();
    found.dedup();
    found
}

/// Cells that bounding boxes are hashed to.
struct Hashing<'a> {
    points: &'a [V3],
    triangles: &'a [[u32; 3]],
    cell: f64,
    low: [i64; 3],
    high: [i64; 3],
}

/// Some triangles of each layer of cells across z, in their order.
struct Layers {
    first: Vec<usize>,
    triangles: Vec<u32>,
}

impl Layers {
    fn of(&self, layer: usize) -> &[u32] {
        &self.triangles[self.first[layer]..self.first[layer + 1]]
    }
}

impl<'a> Hashing<'a> {
    /// `None` without points.
    fn of(points: &'a [V3], triangles: &'a [[u32; 3]], cell: f64) -> Option<Self> {
        let joined = |a: [V3; 2], b: [V3; 2]| [[0, 1, 2].map(|x| a[0][x].min(b[0][x])), [0, 1, 2].map(|x| a[1][x].max(b[1][x]))];
        let ends = points.par_iter().map(|p| [*p; 2]).reduce_with(joined)?;
        let [low, high] = ends.map(|p| p.map(|x| (x / cell).floor() as i64));
        Some(Hashing { points, triangles, cell, low, high })
    }

    fn bounds(&self, t: u32) -> [V3; 2] {
        bounds(self.points, self.triangles[t as usize])
    }

    fn layers(&self) -> usize {
        (self.high[2] - self.low[2] + 1) as usize
    }

    /// The cells of a box along an axis.
    fn range(&self, [from, to]: &[V3; 2], axis: usize) -> Range<usize> {
        let at = |x: f64| ((x / self.cell).floor() as i64 - self.low[axis]) as usize;
        at(from[axis])..at(to[axis]) + 1
    }

    fn layers_of(&self, bounds: &[V3; 2]) -> Range<usize> {
        self.range(bounds, 2)
    }

    /// The cells of a box in each of its layers.
    fn cells_of(&self, bounds: &[V3; 2]) -> impl Iterator<Item = u64> + use<> {
        let (along, wide) = (self.range(bounds, 0), (self.high[0] - self.low[0] + 1) as u64);
        self.range(bounds, 1).flat_map(move |j| along.clone().map(move |i| j as u64 * wide + i as u64))
    }

    fn by_layer(&self, triangles: impl Iterator<Item = u32> + Clone) -> Layers {
        let mut first = vec![0; self.layers() + 1];
        triangles.clone().flat_map(|t| self.layers_of(&self.bounds(t))).for_each(|layer| first[layer + 1] += 1);
        (1..first.len()).for_each(|n| first[n] += first[n - 1]);
        let mut next = first.clone();
        let mut list = vec![0; first[first.len() - 1]];
        for t in triangles {
            for layer in self.layers_of(&self.bounds(t)) {
                list[next[layer]] = t;
                next[layer] += 1;
            }
        }
        Layers { first, triangles: list }
    }

    /// The cells of triangles in each layer, sorted.
    fn cells(&self, layers: &Layers) -> Vec<Vec<u64>> {
        let in_layer = |layer: usize| {
            let mut cells: Vec<u64> = layers.of(layer).iter().flat_map(|&t| self.cells_of(&self.bounds(t))).collect();
            cells.sort_unstable();
            cells.dedup();
            cells
        };
        (0..self.layers()).into_par_iter().map(in_layer).collect()
    }

    /// Pairs of a layer's triangles that cross in the cells that are wanted.
    fn crossed_in(&self, layer: &[u32], is_wanted: impl Fn(&u64) -> bool, suspicious: impl Fn(usize) -> bool) -> Vec<[u32; 2]> {
        let boxes: Vec<[V3; 2]> = layer.iter().map(|&t| self.bounds(t)).collect();
        let entries = boxes.iter().zip(0..).flat_map(|(b, n)| self.cells_of(b).filter(&is_wanted).map(move |cell| (cell, n)));
        let mut entries: Vec<(u64, u32)> = entries.collect();
        entries.sort_unstable();
        let mut hits = vec![];
        for cell in entries.chunk_by(|a, b| a.0 == b.0) {
            if !cell.iter().any(|&(_, n)| suspicious(layer[n as usize] as usize)) {
                continue;
            }
            for (n, &(_, a)) in cell.iter().enumerate() {
                for &(_, b) in &cell[n + 1..] {
                    let [(t, box_t), (u, box_u)] = [a, b].map(|n| (layer[n as usize], &boxes[n as usize]));
                    let apart = (0..3).any(|x| box_t[0][x] > box_u[1][x] || box_u[0][x] > box_t[1][x]);
                    if !apart && cross_each_other(self.points, self.triangles[t as usize], self.triangles[u as usize]) {
                        hits.push([t, u]);
                    }
                }
            }
        }
        hits
    }
}

fn bounds(points: &[V3], t: [u32; 3]) -> [V3; 2] {
    let [a, b, c] = t.map(|v| points[v as usize]);
    [[0, 1, 2].map(|x| a[x].min(b[x]).min(c[x])), [0, 1, 2].map(|x| a[x].max(b[x]).max(c[x]))]
}

/// Whether an edge of one triangle passes through the other. Edges at a shared corner touch there by right.
pub(super) fn cross_each_other(points: &[V3], a: [u32; 3], b: [u32; 3]) -> bool {
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
