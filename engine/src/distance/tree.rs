//! A complete eight-way tree of boxes over blocks of eight triangles, for nearest-triangle queries.
//!
//! Triangles are ordered by recursive splits at the object median of the longest axis, each split at a multiple of the capacity of
//! the level below; so the tree is implicit (children of node `i` are `8i .. 8i + 8` one level down) and no pointer is stored.
//! Boxes and corners are f32 relative to the centre of the mesh, eight side by side. They narrow: a triangle's distance in f32 is
//! right within [`Scale::error`], so whatever may be nearest is kept, and [`super::triangle`] settles among the few that are left
//! in f64. Among equally near triangles the smallest id wins, so that answers do not depend on the order of visits, on the
//! proposal a query starts from, or on threads.
//! Cost: build O(n log n) on all cores, 44 bytes a triangle; a query O(log n).

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::block::{Block, Boxes, Hull};
use super::lanes::{Lanes, Portable, WIDTH};
use super::triangle::{self, Foot};
use crate::mesh::Mesh;

/// Levels of eight that hold 2^32 triangles.
const LEVELS: usize = 11;
/// Below this many triangles a split is not worth a task of its own.
const GRAIN: usize = 4096;
/// Points that are searched for together.
pub(super) const GROUP: usize = 16;
/// Candidates that wait for f64; more are settled on the way.
const WAITING: usize = 24;

/// The nearest triangle found so far.
#[derive(Clone, Copy)]
pub(super) struct Hit {
    pub slot: u32,
    pub triangle: u32,
    pub foot: Foot,
}

impl Hit {
    pub const NONE: Hit = Hit {
        slot: 0,
        triangle: u32::MAX,
        foot: Foot { squared: f64::INFINITY, to_point: Vector3::new(0.0, 0.0, 0.0), feature: triangle::Feature::Face },
    };
}

pub(super) struct Tree {
    centre: Point3<f64>,
    scale: Scale,
    /// Triangle ids in tree order.
    ids: Vec<u32>,
    blocks: Vec<Block>,
    /// Numbered on behind the blocks, level by level; the last is the root.
    nodes: Vec<Node>,
}

/// Boxes of up to eight children, numbered from `first` on: blocks where that is below the number of blocks, else nodes.
struct Node {
    boxes: Boxes,
    first: u32,
}

#[derive(Clone, Copy)]
struct Item {
    centroid: [f32; 3],
    id: u32,
}

/// How far f32 may be wrong.
///
/// With u = 2⁻²⁴, R the largest coordinate about the centre and d the distance: corners and query are rounded by u R and u (R + d) an axis,
/// a foot on an edge is a point of that edge within a few u (R + d). The normal of a triangle of height h is off by θ ≈ u R / h, which
/// changes a levelled d² by up to d²θ²; the incircle bounds the change by h²/4 as well, so it stays below d u R for any shape. All of
/// it is below ε(2d + ε) in d², with ε = 128 u (R + d).
#[derive(Clone, Copy)]
struct Scale {
    radius_mm: f32,
}

impl Scale {
    /// Squared f32 distances up to this may belong to a triangle as near as one whose squared f32 distance is `squared`.
    #[inline(always)]
    fn reach(self, squared: f32) -> f32 {
        let d = squared.sqrt();
        let error = (self.radius_mm + d) * (1.0 / 131_072.0);
        // Finite, so that absent boxes, which are infinitely far, stay out of it.
        (squared + 3.0 * error * (2.0 * d + error)).min(f32::MAX)
    }
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
        let mut capacity = WIDTH;
        while capacity * WIDTH < items.len() {
            capacity *= WIDTH;
        }
        order(&mut items, capacity);

        let ids: Vec<u32> = items.par_iter().map(|i| i.id).collect();
        drop(items);
        let blocks: Vec<Block> =
            ids.par_chunks(WIDTH).map(|eight| Block::of(eight.iter().map(|&t| mesh.corners(t as usize)), &centre)).collect();
        let mut nodes = parents(&blocks, 0, Block::hull);
        let (mut from, mut to) = (0, nodes.len());
        while to - from > 1 {
            let above = parents(&nodes[from..to], blocks.len() + from, |node| node.boxes.hull());
            nodes.extend(above);
            (from, to) = (to, nodes.len());
        }
        let scale = Scale { radius_mm: 0.5 * bounds.diagonal_mm() as f32 };
        Tree { centre, scale, ids, blocks, nodes }
    }

    pub fn slots(&self) -> usize {
        self.ids.len()
    }

    /// Triangles in tree order: neighbours in it are neighbours in space.
    pub fn order(&self) -> &[u32] {
        &self.ids
    }

    /// The nearest triangle, the smallest id among equals. `start` may be any slot: it only saves time.
    #[inline]
    pub fn nearest(&self, mesh: &Mesh, p: &Point3<f64>, start: u32) -> Hit {
        let mut hit = [Hit::NONE];
        self.nearest_of_group(mesh, std::slice::from_ref(p), &[start], &mut hit);
        hit[0]
    }

    /// The same for up to [`GROUP`] points, sooner where they are neighbours.
    pub fn nearest_of_group(&self, mesh: &Mesh, points: &[Point3<f64>], starts: &[u32], hits: &mut [Hit]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, which is all that the function asks for.
            return unsafe { self.group_on_avx2(mesh, points, starts, hits) };
        }
        self.group_with::<Portable>(mesh, points, starts, hits)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn group_on_avx2(&self, mesh: &Mesh, points: &[Point3<f64>], starts: &[u32], hits: &mut [Hit]) {
        self.group_with::<super::lanes::avx2::Wide>(mesh, points, starts, hits)
    }

    #[inline(always)]
    fn group_with<L: Lanes>(&self, mesh: &Mesh, points: &[Point3<f64>], starts: &[u32], hits: &mut [Hit]) {
        let mut queries = [Query::default(); GROUP];
        let (mut low, mut high, mut reach) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3], 0.0_f32);
        for (query, (p, start)) in queries.iter_mut().zip(points.iter().zip(starts)) {
            let q = p - self.centre;
            query.q = [q.x as f32, q.y as f32, q.z as f32];
            query.start = start / WIDTH as u32;
            query.squared = self.blocks[query.start as usize].squared_distances::<L>(&query.q).store();
            query.least = least_of(&query.squared);
            reach = reach.max(self.scale.reach(query.least));
            for axis in 0..3 {
                (low[axis], high[axis]) = (low[axis].min(query.q[axis]), high[axis].max(query.q[axis]));
            }
        }
        let mut front = Front::of(self.root());
        if points.len() > 1 {
            self.advance::<L>(&mut front, &low, &high, reach);
        }
        let mut search = Search::new(self, mesh);
        for ((query, p), hit) in queries.iter().zip(points).zip(hits) {
            *hit = search.run::<L>(query, p, &front);
        }
    }

    /// Every triangle that reaches into a box, ascending, and some beside it.
    pub fn reaching_into(&self, min: &Point3<f64>, max: &Point3<f64>) -> Vec<u32> {
        let single = |p: &Point3<f64>| [0, 1, 2].map(|a| (p[a] - self.centre[a]) as f32);
        let (low, high, reach) = (single(min), single(max), self.scale.reach(0.0));
        let (mut open, mut found) = (vec![self.root()], vec![]);
        while let Some(at) = open.pop() {
            if let Some(node) = self.node(at) {
                let lanes = node.boxes.squared_distances::<Portable>(&low, &high).up_to(reach);
                open.extend((0..WIDTH as u32).filter(|lane| lanes >> lane & 1 == 1).map(|lane| node.first + lane));
            } else {
                let first = at as usize * WIDTH;
                found.extend_from_slice(&self.ids[first..(first + WIDTH).min(self.ids.len())]);
            }
        }
        found.sort_unstable();
        found
    }

    /// The number of the node above all.
    fn root(&self) -> u32 {
        (self.blocks.len() + self.nodes.len() - 1) as u32
    }

    /// A node by its number; `None` for a block of triangles.
    #[inline(always)]
    fn node(&self, at: u32) -> Option<&Node> {
        (at as usize).checked_sub(self.blocks.len()).and_then(|at| self.nodes.get(at))
    }

    /// Replaces the nodes of the front by those of their children that may hold the nearest triangle of a point of the box, as
    /// long as eight suffice.
    #[inline(always)]
    fn advance<L: Lanes>(&self, front: &mut Front, low: &[f32; 3], high: &[f32; 3], reach: f32) {
        loop {
            let mut next = Front { boxes: Boxes::none(), nodes: [0; WIDTH], count: 0 };
            for &parent in &front.nodes[..front.count] {
                let Some(node) = self.node(parent) else { return };
                let mut lanes = node.boxes.squared_distances::<L>(low, high).up_to(reach);
                if next.count + lanes.count_ones() as usize > WIDTH {
                    return;
                }
                while lanes != 0 {
                    let lane = lanes.trailing_zeros() as usize & (WIDTH - 1);
                    lanes &= lanes - 1;
                    next.boxes.copy(next.count, &node.boxes, lane);
                    next.nodes[next.count] = node.first + lane as u32;
                    next.count += 1;
                }
            }
            *front = next;
        }
    }

    /// One by one: for points so far away that f32 cannot hold the square of the distance. For what is not a number, any.
    #[cold]
    fn nearest_of_all(&self, mesh: &Mesh, p: &Point3<f64>) -> Hit {
        let nearer = |best: Hit, other: Hit| {
            if (other.foot.squared, other.triangle) < (best.foot.squared, best.triangle) { other } else { best }
        };
        (1..self.ids.len() as u32).map(|slot| self.measure(mesh, p, slot)).fold(self.measure(mesh, p, 0), nearer)
    }

    fn measure(&self, mesh: &Mesh, p: &Point3<f64>, slot: u32) -> Hit {
        let slot = slot.min(self.ids.len() as u32 - 1); // lanes behind the last triangle repeat it
        let triangle = self.ids[slot as usize];
        Hit { slot, triangle, foot: triangle::closest(p, &mesh.corners(triangle as usize)) }
    }
}

/// A point, and its distances to the block that its search starts from.
#[derive(Clone, Copy, Default)]
struct Query {
    q: [f32; 3],
    start: u32,
    squared: [f32; WIDTH],
    least: f32,
}

/// Nodes that together hold the nearest triangle of each of a group of points.
struct Front {
    boxes: Boxes,
    nodes: [u32; WIDTH],
    count: usize,
}

impl Front {
    fn of(root: u32) -> Self {
        Front { boxes: Boxes::everywhere(), nodes: [root; WIDTH], count: 1 }
    }
}

#[inline(always)]
fn least_of(values: &[f32; WIDTH]) -> f32 {
    let mut least = values[0];
    for &other in &values[1..] {
        least = if other < least { other } else { least };
    }
    least
}

/// One search after the other.
struct Search<'a> {
    tree: &'a Tree,
    mesh: &'a Mesh,
    p: Point3<f64>,
    /// Smallest squared distance in f32 so far, and what may still be as near.
    least: f32,
    reach: f32,
    /// What may be nearest: squared distance in f32, slot.
    waiting: [(f32, u32); WAITING + WIDTH],
    count: usize,
    hit: Hit,
    /// Nodes to look into, with their distances.
    stack: [(f32, u32); WIDTH * LEVELS],
    depth: usize,
}

impl<'a> Search<'a> {
    #[inline(always)]
    fn new(tree: &'a Tree, mesh: &'a Mesh) -> Self {
        Search {
            tree,
            mesh,
            p: Point3::origin(),
            least: 0.0,
            reach: 0.0,
            waiting: [(0.0, 0); WAITING + WIDTH],
            count: 0,
            hit: Hit::NONE,
            stack: [(0.0, 0); WIDTH * LEVELS],
            depth: 0,
        }
    }

    #[inline(always)]
    fn run<L: Lanes>(&mut self, query: &Query, p: &Point3<f64>, front: &Front) -> Hit {
        (self.p, self.hit, self.least) = (*p, Hit::NONE, query.least);
        self.reach = self.tree.scale.reach(query.least);
        self.keep(query.start, &query.squared, L::load(&query.squared).up_to(self.reach));
        self.push::<L>(&front.boxes, &query.q, &front.nodes, 0, front.count);
        while self.depth > 0 {
            self.depth -= 1;
            let (bound, at) = self.stack[self.depth];
            if bound > self.reach {
                continue;
            }
            if let Some(node) = self.tree.node(at) {
                self.push::<L>(&node.boxes, &query.q, &[], node.first, WIDTH);
            } else if at != query.start {
                self.visit::<L>(at, &query.q);
            }
        }
        self.settle();
        if self.hit.triangle == u32::MAX {
            return self.tree.nearest_of_all(self.mesh, p);
        }
        self.hit
    }

    /// Puts the boxes within reach on the stack, the nearest on top; lane `k` is `named[k]`, or `first + k`.
    #[inline(always)]
    fn push<L: Lanes>(&mut self, boxes: &Boxes, q: &[f32; 3], named: &[u32], first: u32, count: usize) {
        let distances: L = boxes.squared_distances(q, q);
        let squared = distances.store();
        let mut lanes = distances.up_to(self.reach) & ((1 << count) - 1);
        let floor = self.depth;
        while lanes != 0 {
            let lane = lanes.trailing_zeros() as usize & (WIDTH - 1);
            lanes &= lanes - 1;
            let bound = squared[lane];
            let at = if named.is_empty() { first + lane as u32 } else { named[lane] };
            let mut k = self.depth;
            while k > floor && self.stack[k - 1].0 < bound {
                self.stack[k] = self.stack[k - 1];
                k -= 1;
            }
            self.stack[k] = (bound, at);
            self.depth += 1;
        }
    }

    #[inline(always)]
    fn visit<L: Lanes>(&mut self, block: u32, q: &[f32; 3]) {
        let distances: L = self.tree.blocks[block as usize].squared_distances(q);
        let lanes = distances.up_to(self.reach);
        if lanes == 0 {
            return;
        }
        let squared = distances.store();
        let least = least_of(&squared);
        if least < self.least {
            self.least = least;
            self.reach = self.tree.scale.reach(least);
        }
        self.keep(block, &squared, distances.up_to(self.reach));
    }

    #[inline(always)]
    fn keep(&mut self, block: u32, squared: &[f32; WIDTH], mut lanes: u32) {
        while lanes != 0 {
            let lane = lanes.trailing_zeros() as usize & (WIDTH - 1);
            lanes &= lanes - 1;
            self.waiting[self.count] = (squared[lane], block * WIDTH as u32 + lane as u32);
            self.count += 1;
        }
        if self.count > WAITING {
            self.settle();
        }
    }

    /// Measures what waits in f64 and keeps the nearest.
    fn settle(&mut self) {
        for &(squared, slot) in &self.waiting[..self.count] {
            if squared <= self.reach {
                let other = self.tree.measure(self.mesh, &self.p, slot);
                if (other.foot.squared, other.triangle) < (self.hit.foot.squared, self.hit.triangle) {
                    self.hit = other;
                }
            }
        }
        self.count = 0;
    }
}

/// Nodes over every eight of `children`, which are numbered from `first` on.
fn parents<T: Sync>(children: &[T], first: usize, hull: impl Fn(&T) -> Hull + Sync) -> Vec<Node> {
    let above = |(i, eight): (usize, &[T])| Node { boxes: Boxes::around(eight.iter().map(&hull)), first: (first + i * WIDTH) as u32 };
    children.par_chunks(WIDTH).enumerate().map(above).collect()
}

/// Orders `items` so that every run of `capacity` of them is one child; then each child likewise, one level down.
fn order(items: &mut [Item], capacity: usize) {
    let children = items.len().div_ceil(capacity);
    if children <= 1 {
        if capacity > WIDTH {
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
