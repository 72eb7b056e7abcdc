//! A complete eight-way tree of boxes over blocks of eight triangles, for nearest-triangle queries.
//!
//! Triangles are ordered by recursive splits at the object median of the longest axis, each split at a multiple of the capacity of
//! the level below; so the tree is implicit (children of node `i` are `8i .. 8i + 8` one level down) and no pointer is stored.
//! Boxes and corners are f32 relative to the centre of the mesh, eight side by side. They narrow: a triangle's distance in f32 is
//! right within [`Scale::error`], so whatever may be nearest is kept, and [`super::triangle`] settles among the few that are left
//! in f64. Among equally near triangles the smallest id wins, so that answers do not depend on the order of visits, on the
//! proposal a query starts from, or on threads.
//! A point that moves little is followed: no distance changes by more than the way it goes, so lower bounds of the distances of a few
//! triangles and of all the others tell which must be measured anew (after Elkan 2003), with the same answer.
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
pub(crate) const GROUP: usize = 16;
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

    /// The nearer of two, the smaller id among equals.
    #[inline(always)]
    fn nearer(self, other: Hit) -> Hit {
        if (other.foot.squared, other.triangle) < (self.foot.squared, self.triangle) { other } else { self }
    }
}

/// Lower bounds of the distances of a moving point: of a few triangles, and of all the others.
#[derive(Clone, Copy)]
pub(crate) struct Near {
    /// The nearest of last time first, [`NO_SLOT`] behind the last.
    slots: [u32; FEW],
    bounds_mm: [f32; FEW],
    others_mm: f32,
}

const FEW: usize = 6;
const NO_SLOT: u32 = u32::MAX;

impl Near {
    pub const UNKNOWN: Near = Near { slots: [NO_SLOT; FEW], bounds_mm: [0.0; FEW], others_mm: 0.0 };

    /// Where the nearest triangle was.
    pub fn seat(&self) -> Option<u32> {
        Some(self.slots[0]).filter(|slot| *slot != NO_SLOT)
    }

    fn move_by(&mut self, moved_mm: f32) {
        self.bounds_mm.iter_mut().for_each(|bound| *bound -= moved_mm);
        self.others_mm -= moved_mm;
    }
}

/// The squared root in f32, rounded up and down.
#[inline(always)]
fn above_and_below(squared: f64) -> (f32, f32) {
    let d = squared.sqrt() as f32;
    (d * 1.000_001, d * 0.999_999)
}

pub(super) struct Tree {
    centre: Point3<f64>,
    scale: Scale,
    /// Side of a square as large as a triangle of the mesh typically is; zero without area.
    grain_mm: f32,
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

    /// No triangle of this squared f32 distance is nearer.
    fn least_mm(self, squared: f32) -> f32 {
        let d = squared.sqrt();
        d - 2.0 * (self.radius_mm + d) * (1.0 / 131_072.0)
    }
}

/// How far to look around a point that will be followed: farther than the nearest triangle by so much that about one triangle's area more
/// of a surface comes into view.
#[inline(always)]
fn farther(squared: f32, grain_mm: f32) -> f32 {
    let d = squared.sqrt();
    d + SLACK * grain_mm * (grain_mm / (d + grain_mm))
}

const SLACK: f32 = 0.2;

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
        Tree { centre, scale, grain_mm: grain_mm(mesh), ids, blocks, nodes }
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
        self.nearest_of_group(mesh, std::slice::from_ref(p), &[start], &mut hit, &mut []);
        hit[0]
    }

    /// The same for up to [`GROUP`] points, sooner where they are neighbours. Where `near` is not empty, it gets what can be nearest close by.
    pub fn nearest_of_group(&self, mesh: &Mesh, points: &[Point3<f64>], starts: &[u32], hits: &mut [Hit], near: &mut [Near]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, which is all that the function asks for.
            return unsafe { self.group_on_avx2(mesh, points, starts, hits, near) };
        }
        self.group_with::<Portable>(mesh, points, starts, hits, near)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn group_on_avx2(&self, mesh: &Mesh, points: &[Point3<f64>], starts: &[u32], hits: &mut [Hit], near: &mut [Near]) {
        self.group_with::<super::lanes::avx2::Wide>(mesh, points, starts, hits, near)
    }

    /// The nearest triangle of a point that has moved by `moved_mm` since it was asked for last; `None` where the bounds cannot tell.
    #[inline]
    pub fn nearest_among(&self, mesh: &Mesh, p: &Point3<f64>, near: &mut Near, moved_mm: f32) -> Option<Hit> {
        near.move_by(moved_mm);
        let mut hit = self.measure(mesh, p, near.seat().filter(|_| near.others_mm > 0.0)?);
        let (mut above, below) = above_and_below(hit.foot.squared);
        near.bounds_mm[0] = below;
        (above < near.others_mm).then_some(())?;
        for k in 1..FEW {
            if near.slots[k] != NO_SLOT && near.bounds_mm[k] <= above {
                let other = self.measure(mesh, p, near.slots[k]);
                near.bounds_mm[k] = above_and_below(other.foot.squared).1;
                if (other.foot.squared, other.triangle) < (hit.foot.squared, hit.triangle) {
                    (hit, above) = (other, above_and_below(other.foot.squared).0);
                    near.slots.swap(0, k);
                    near.bounds_mm.swap(0, k);
                }
            }
        }
        Some(hit)
    }

    #[inline(always)]
    fn group_with<L: Lanes>(&self, mesh: &Mesh, points: &[Point3<f64>], starts: &[u32], hits: &mut [Hit], near: &mut [Near]) {
        let grain_mm = if near.is_empty() { 0.0 } else { self.grain_mm };
        if points.is_empty() {
            return;
        }
        let mut queries = [Query::default(); GROUP];
        let (mut low, mut high, mut reach) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3], 0.0_f32);
        for (query, (p, start)) in queries.iter_mut().zip(points.iter().zip(starts)) {
            let q = p - self.centre;
            query.q = [q.x as f32, q.y as f32, q.z as f32];
            query.start = start / WIDTH as u32;
            query.squared = self.blocks[query.start as usize].squared_distances::<L>(&query.q).store();
            query.least = least_of(&query.squared);
            reach = reach.max(self.reach(query.least, grain_mm));
            for axis in 0..3 {
                (low[axis], high[axis]) = (low[axis].min(query.q[axis]), high[axis].max(query.q[axis]));
            }
        }
        let mut front = Front::of(self.root());
        if points.len() > 1 {
            self.advance::<L>(&mut front, &low, &high, reach);
        }
        let mut search = Search::new(self, mesh, grain_mm);
        for (k, ((query, p), hit)) in queries.iter().zip(points).zip(hits).enumerate() {
            *hit = search.run::<L>(query, p, &front);
            if let Some(near) = near.get_mut(k) {
                *near = search.near();
            }
        }
    }

    #[inline(always)]
    fn reach(&self, squared: f32, grain_mm: f32) -> f32 {
        if grain_mm > 0.0 {
            let far = farther(squared, grain_mm);
            return self.scale.reach(far * far);
        }
        self.scale.reach(squared)
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
        (1..self.ids.len() as u32).map(|slot| self.measure(mesh, p, slot)).fold(self.measure(mesh, p, 0), Hit::nearer)
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
    /// How far around the point to look for what can be nearest close by; zero for no farther than needed.
    grain_mm: f32,
    /// Smallest squared distance in f32 so far, and what may still be as near, or nearest close by.
    least: f32,
    reach: f32,
    /// What may be nearest: squared distance in f32, slot.
    waiting: [(f32, u32); WAITING + WIDTH],
    count: usize,
    /// Too much waited, and some was let go.
    spilled: bool,
    hit: Hit,
    /// Nodes to look into, with their distances.
    stack: [(f32, u32); WIDTH * LEVELS],
    depth: usize,
}

impl<'a> Search<'a> {
    #[inline(always)]
    fn new(tree: &'a Tree, mesh: &'a Mesh, grain_mm: f32) -> Self {
        Search {
            tree,
            mesh,
            p: Point3::origin(),
            grain_mm,
            least: 0.0,
            reach: 0.0,
            waiting: [(0.0, 0); WAITING + WIDTH],
            count: 0,
            spilled: false,
            hit: Hit::NONE,
            stack: [(0.0, 0); WIDTH * LEVELS],
            depth: 0,
        }
    }

    #[inline(always)]
    fn run<L: Lanes>(&mut self, query: &Query, p: &Point3<f64>, front: &Front) -> Hit {
        (self.p, self.hit, self.least, self.count, self.spilled) = (*p, Hit::NONE, query.least, 0, false);
        self.reach = self.tree.reach(query.least, self.grain_mm);
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
            self.reach = self.tree.reach(least, self.grain_mm);
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
            (self.count, self.spilled) = (0, true);
        }
    }

    /// Measures what waits in f64 and keeps the nearest.
    fn settle(&mut self) {
        let reach = self.tree.scale.reach(self.least);
        for &(squared, slot) in &self.waiting[..self.count] {
            if squared <= reach {
                self.hit = self.hit.nearer(self.tree.measure(self.mesh, &self.p, slot));
            }
        }
    }

    /// What the search leaves for a point that will move; unknown where too many triangles are about as near.
    fn near(&self) -> Near {
        let mut near = Near::UNKNOWN;
        near.slots[0] = self.hit.slot;
        let others = self.waiting[..self.count].iter().filter(|w| w.0 <= self.reach && w.1 != self.hit.slot);
        for (k, &(squared, slot)) in (1..).zip(others) {
            if k == FEW {
                return near;
            }
            (near.slots[k], near.bounds_mm[k]) = (slot, self.tree.scale.least_mm(squared));
        }
        if !self.spilled && self.hit.triangle != u32::MAX && self.grain_mm > 0.0 {
            near.others_mm = farther(self.least, self.grain_mm) * 0.999_999;
        }
        near
    }
}

/// Square root of the mean area of about a thousand triangles.
fn grain_mm(mesh: &Mesh) -> f32 {
    let every = mesh.triangles().len().div_ceil(1024);
    let area: f64 = (0..mesh.triangles().len()).step_by(every).map(|t| 0.5 * mesh.area_vector(t).norm()).sum();
    (area / mesh.triangles().len().div_ceil(every) as f64).sqrt() as f32
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise;

    /// A tangle of triangles, some of them slivers, points and copies of others, the more the smaller.
    fn tangle(count: u32) -> Mesh {
        let at = |i: u64, reach: f64| Vector3::from([0, 1, 2].map(|a| reach * noise::normal(3, 3 * i + a)));
        let corner =
            |t: u64, k: u64| Point3::from(at(100_000 + t % 400, 20.0) + at(4 * t + k, if t.is_multiple_of(7) { 0.0 } else { 0.5 }));
        let vertices = (0..u64::from(count)).flat_map(|t| (0..3).map(move |k| corner(t, k))).collect();
        Mesh::new(vertices, (0..count).map(|t| [3 * t, 3 * t + 1, 3 * t + if t % 11 == 0 { 1 } else { 2 }]).collect()).expect("a mesh")
    }

    #[test]
    fn a_followed_point_has_the_nearest_triangle_that_a_search_finds() {
        let mesh = tangle(3000);
        let tree = Tree::build(&mesh);
        let (mut told, mut asked) = (0, 0);
        for walk in 0..300 {
            let random = |k: u64| Vector3::from([0, 1, 2].map(|a| noise::normal(walk, 3 * k + a)));
            // From corners, where many triangles are equally near, and from anywhere.
            let mut p = if walk % 3 == 0 { mesh.vertices()[walk as usize * 17] } else { Point3::from(20.0 * random(0)) };
            let mut near = Near::UNKNOWN;
            for (k, reach_mm) in [0.0, 0.0, 1e-3, 1e-5, 1e-2, 0.0, 1e-7, 3.0, 1e-3, 1e-4].into_iter().enumerate() {
                let step = reach_mm * random(1 + k as u64);
                p += step;
                let hit =
                    tree.nearest_among(&mesh, &p, &mut near, step.norm() as f32 * 1.000_001).inspect(|_| told += 1).unwrap_or_else(|| {
                        let (mut hit, mut around) = ([Hit::NONE], [near]);
                        tree.nearest_of_group(&mesh, &[p], &[near.seat().unwrap_or(0)], &mut hit, &mut around);
                        near = around[0];
                        hit[0]
                    });
                let whole = tree.nearest_of_all(&mesh, &p);
                assert_eq!((hit.triangle, hit.foot.squared), (whole.triangle, whole.foot.squared), "walk {walk}, step {k}");
                asked += 1;
            }
        }
        assert!(told > asked / 4, "{told} of {asked} were told without a search");
    }
}
