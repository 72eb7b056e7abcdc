//! A complete eight-way tree of boxes over triangles, for nearest-triangle queries.
//!
//! Triangles are ordered by recursive splits at the object median of the longest axis, each split at a multiple of the capacity of
//! the level below; so the tree is implicit (children of node `i` are `8i .. 8i + 8` one level down), every triangle has a box
//! of its own, and no pointer is stored. Boxes are f32 relative to the centre of the mesh, rounded outwards: they narrow, and
//! [`super::triangle`] settles in f64. Among equally near triangles the smallest id wins, so that answers do not depend on the
//! order of visits, on the proposal a query starts from, or on threads.
//! Cost: build O(n log n) on all cores, 28 bytes of boxes and 72 of corners per triangle; a query O(log n).

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::triangle::{self, Foot};
use crate::mesh::Mesh;

const WIDTH: usize = 8;
/// Levels of eight that hold 2^32 triangles.
const LEVELS: usize = 11;
/// Below this many triangles a split is not worth a task of its own.
const GRAIN: usize = 4096;
/// Squared lower bounds are computed in f32 with a relative error below 8 ulp; this keeps them lower bounds.
const SLACK: f64 = 1.0 + 2e-6;

/// Boxes of eight children, one array a side and axis so that the compiler tests them side by side.
#[derive(Clone)]
struct Boxes {
    min: [[f32; WIDTH]; 3],
    max: [[f32; WIDTH]; 3],
}

impl Boxes {
    fn empty() -> Self {
        Boxes { min: [[f32::INFINITY; WIDTH]; 3], max: [[f32::NEG_INFINITY; WIDTH]; 3] }
    }

    fn set(&mut self, lane: usize, min: [f32; 3], max: [f32; 3]) {
        for axis in 0..3 {
            (self.min[axis][lane], self.max[axis][lane]) = (min[axis], max[axis]);
        }
    }

    fn hull(&self) -> ([f32; 3], [f32; 3]) {
        (
            self.min.map(|row| row.into_iter().fold(f32::INFINITY, f32::min)),
            self.max.map(|row| row.into_iter().fold(f32::NEG_INFINITY, f32::max)),
        )
    }

    /// Squared distances from the query to the eight boxes; infinite for absent children.
    #[inline(always)]
    fn squared_distances(&self, q: &Query) -> [f32; WIDTH] {
        let mut squared = [0.0; WIDTH];
        for axis in 0..3 {
            let (low, high) = (q.low[axis], q.high[axis]);
            for (lane, squared) in squared.iter_mut().enumerate() {
                let below = self.min[axis][lane] - high;
                let above = low - self.max[axis][lane];
                let gap = if below > above { below } else { above };
                let gap = if gap > 0.0 { gap } else { 0.0 };
                *squared += gap * gap;
            }
        }
        squared
    }
}

/// The query point as an f32 interval relative to the centre, wide enough for all roundings.
struct Query {
    low: [f32; 3],
    high: [f32; 3],
}

/// The nearest triangle found so far.
#[derive(Clone, Copy)]
pub(super) struct Hit {
    pub slot: u32,
    pub triangle: u32,
    pub foot: Foot,
}

pub(super) struct Tree {
    centre: Point3<f64>,
    /// Absolute slack of the query interval (mm): far above f64 rounding, far below anything measured.
    pad_mm: f64,
    /// Triangle ids in tree order, and their corners in that order.
    ids: Vec<u32>,
    corners: Vec<[Point3<f64>; 3]>,
    /// Level 0 holds the boxes of triangles, the last level one node.
    levels: Vec<Vec<Boxes>>,
}

#[derive(Clone, Copy)]
struct Item {
    centroid: [f32; 3],
    id: u32,
}

impl Tree {
    pub fn build(mesh: &Mesh) -> Self {
        let bounds = mesh.bounds();
        let centre = bounds.centre();
        let mut items: Vec<Item> = (0..mesh.triangles().len())
            .into_par_iter()
            .map(|t| {
                let [a, b, c] = mesh.corners(t);
                let sum = (a - centre) + (b - centre) + (c - centre);
                Item { centroid: [sum.x as f32, sum.y as f32, sum.z as f32], id: t as u32 }
            })
            .collect();
        let mut capacity = 1;
        while capacity * WIDTH < items.len() {
            capacity *= WIDTH;
        }
        order(&mut items, capacity);

        let ids: Vec<u32> = items.iter().map(|i| i.id).collect();
        let corners: Vec<[Point3<f64>; 3]> = ids.par_iter().map(|&t| mesh.corners(t as usize)).collect();
        let mut levels = vec![leaves(&corners, &centre)];
        while let Some(below) = levels.last().filter(|l| l.len() > 1) {
            let above = parents(below);
            levels.push(above);
        }
        debug_assert!(levels.len() <= LEVELS);
        Tree { centre, pad_mm: 1e-12 * (bounds.diagonal_mm() + 1.0), ids, corners, levels }
    }

    pub fn slots(&self) -> usize {
        self.ids.len()
    }

    /// Triangles in tree order: neighbours in it are neighbours in space.
    pub fn order(&self) -> &[u32] {
        &self.ids
    }

    /// The nearest triangle, the smallest id among equals. `start` may be any slot: it only saves time.
    pub fn nearest(&self, p: &Point3<f64>, start: u32) -> Hit {
        let query = self.query(p);
        let mut hit = self.measure(p, start);
        let mut limit = reach(hit.foot.squared);
        let mut stack = [(0.0_f32, 0_u8, 0_u32); WIDTH * LEVELS];
        stack[0] = (0.0, (self.levels.len() - 1) as u8, 0);
        let mut depth = 1;
        while depth > 0 {
            depth -= 1;
            let (bound, level, index) = stack[depth];
            if bound > limit {
                continue;
            }
            let boxes = &self.levels[level as usize][index as usize];
            let squared = boxes.squared_distances(&query);
            let mut within = [(0.0_f32, 0_u32); WIDTH];
            let mut count = 0;
            for (lane, &bound) in squared.iter().enumerate() {
                if bound <= limit {
                    // Insertion keeps the children from far to near.
                    let mut k = count;
                    while k > 0 && within[k - 1].0 < bound {
                        within[k] = within[k - 1];
                        k -= 1;
                    }
                    within[k] = (bound, lane as u32);
                    count += 1;
                }
            }
            let first = index * WIDTH as u32;
            if level > 0 {
                for &(bound, lane) in &within[..count] {
                    stack[depth] = (bound, level - 1, first + lane);
                    depth += 1;
                }
                continue;
            }
            for &(bound, lane) in within[..count].iter().rev() {
                if bound <= limit && first + lane != hit.slot {
                    let other = self.measure(p, first + lane);
                    if (other.foot.squared, other.triangle) < (hit.foot.squared, hit.triangle) {
                        hit = other;
                        limit = reach(hit.foot.squared);
                    }
                }
            }
        }
        hit
    }

    fn measure(&self, p: &Point3<f64>, slot: u32) -> Hit {
        Hit { slot, triangle: self.ids[slot as usize], foot: triangle::closest(p, &self.corners[slot as usize]) }
    }

    fn query(&self, p: &Point3<f64>) -> Query {
        let q: Vector3<f64> = p - self.centre;
        Query { low: [0, 1, 2].map(|k| down(q[k] - self.pad_mm)), high: [0, 1, 2].map(|k| up(q[k] + self.pad_mm)) }
    }
}

/// The largest f32 lower bound that may still hold a triangle as near as `squared`.
fn reach(squared: f64) -> f32 {
    up(squared * SLACK)
}

fn down(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) > x { near.next_down() } else { near }
}

fn up(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) < x { near.next_up() } else { near }
}

/// Orders `items` so that every run of `capacity` of them is one child; then each child likewise, one level down.
fn order(items: &mut [Item], capacity: usize) {
    let children = items.len().div_ceil(capacity);
    if children <= 1 {
        if capacity > 1 {
            order(items, capacity / WIDTH);
        }
        return;
    }
    let middle = children.div_ceil(2) * capacity;
    let axis = longest_axis(items);
    items.select_nth_unstable_by(middle, |a, b| a.centroid[axis].total_cmp(&b.centroid[axis]).then(a.id.cmp(&b.id)));
    let (left, right) = items.split_at_mut(middle);
    if left.len() + right.len() > GRAIN {
        rayon::join(|| order(left, capacity), || order(right, capacity));
    } else {
        order(left, capacity);
        order(right, capacity);
    }
}

fn longest_axis(items: &[Item]) -> usize {
    let (mut min, mut max) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
    for item in items {
        for axis in 0..3 {
            min[axis] = if item.centroid[axis] < min[axis] { item.centroid[axis] } else { min[axis] };
            max[axis] = if item.centroid[axis] > max[axis] { item.centroid[axis] } else { max[axis] };
        }
    }
    let extent = [0, 1, 2].map(|axis| max[axis] - min[axis]);
    (0..3).fold(0, |longest, axis| if extent[axis] > extent[longest] { axis } else { longest })
}

fn leaves(corners: &[[Point3<f64>; 3]], centre: &Point3<f64>) -> Vec<Boxes> {
    corners
        .par_chunks(WIDTH)
        .map(|eight| {
            let mut boxes = Boxes::empty();
            for (lane, [a, b, c]) in eight.iter().enumerate() {
                let (min, max) = (a.inf(b).inf(c) - centre, a.sup(b).sup(c) - centre);
                boxes.set(lane, [0, 1, 2].map(|k| down(min[k])), [0, 1, 2].map(|k| up(max[k])));
            }
            boxes
        })
        .collect()
}

fn parents(below: &[Boxes]) -> Vec<Boxes> {
    below
        .par_chunks(WIDTH)
        .map(|eight| {
            let mut boxes = Boxes::empty();
            for (lane, child) in eight.iter().enumerate() {
                let (min, max) = child.hull();
                boxes.set(lane, min, max);
            }
            boxes
        })
        .collect()
}
