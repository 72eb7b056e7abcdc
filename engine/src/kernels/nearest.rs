//! Proposes for each point a triangle that is near it.
//!
//! A proposal is a bound, not a result: whoever needs the distance takes the exact one to the proposed triangle and searches
//! within it. So this search runs in f32 and its answers may differ between backends in the last place of the distance.
//! Coordinates are offsets from the middle of the mesh, formed in f64. The distance is the smallest of the three edges' and,
//! where the point lies over the triangle, the plane's: slivers, for which region tests fail by millimetres, lose microns.
//! On well-shaped triangles the proposed one is at most 16·2⁻²⁴ of the mesh's diagonal further away than the nearest.
//!
//! The tree is a complete binary heap over triangles in Morton order, four a leaf. On the GPU it is cut into subtrees that
//! fit a slab, each visited with the best of those before as the bound. Cost: 60 to 84 bytes a triangle; O(log n) a point.

use nalgebra::Point3;
use rayon::prelude::*;

use crate::Error;
use crate::gpu::Gpu;
use crate::mesh::Mesh;
use crate::runtime::Runtime;

/// Stands for no triangle: the point is not a number.
pub const NO_TRIANGLE: u32 = u32::MAX;
/// Triangles a leaf.
const LEAF: usize = 4;
/// Points a task of the CPU path.
const POINTS_PER_TASK: usize = 1024;

type V = [f32; 3];

/// Bounds of a node, rounded outwards.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
struct Bounds {
    min: V,
    max: V,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
struct Nearest {
    squared: f32,
    triangle: u32,
}

/// A mesh prepared for proposals.
#[derive(Clone, Debug)]
pub struct ProposalTree {
    origin: Point3<f64>,
    /// A heap: the children of node n are 2n and 2n + 1, its root is 1, its second half are the leaves.
    nodes: Vec<Bounds>,
    /// Corners in the order of the leaves, as offsets from the origin.
    corners: Vec<[V; 3]>,
    /// The mesh's number of each of them.
    triangles: Vec<u32>,
}

impl ProposalTree {
    pub fn new(mesh: &Mesh) -> Self {
        let bounds = mesh.bounds();
        let origin = bounds.centre();
        let scale = 2_097_151.0 / (0..3).map(|a| bounds.max[a] - bounds.min[a]).fold(f64::MIN_POSITIVE, f64::max);
        let mut order: Vec<(u64, u32)> = (0..mesh.triangles().len())
            .into_par_iter()
            .map(|t| {
                let [a, b, c] = mesh.corners(t);
                let place = |axis: usize| ((a[axis] + b[axis] + c[axis]) / 3.0 - bounds.min[axis]) * scale;
                ([0, 1, 2].map(|axis| spread(place(axis) as u64) << axis).iter().fold(0, |code, bits| code | bits), t as u32)
            })
            .collect();
        order.par_sort_unstable();
        let corner = |p: Point3<f64>| [0, 1, 2].map(|axis| (p[axis] - origin[axis]) as f32);
        let corners: Vec<[V; 3]> = order.par_iter().map(|&(_, t)| mesh.corners(t as usize).map(corner)).collect();
        let leaves = corners.len().div_ceil(LEAF).next_power_of_two();
        let mut nodes = vec![Bounds { min: [f32::INFINITY; 3], max: [f32::NEG_INFINITY; 3] }; 2 * leaves];
        nodes[leaves..].par_iter_mut().zip(corners.par_chunks(LEAF)).for_each(|(node, corners)| {
            for p in corners.as_flattened() {
                // The offsets were rounded to the nearest, so the true corner is at most one step further out.
                *node = joined(*node, Bounds { min: p.map(f32::next_down), max: p.map(f32::next_up) });
            }
        });
        for n in (1..leaves).rev() {
            nodes[n] = joined(nodes[2 * n], nodes[2 * n + 1]);
        }
        ProposalTree { origin, nodes, corners, triangles: order.into_iter().map(|(_, t)| t).collect() }
    }

    /// Leaves of the tree, empty ones included.
    fn leaves(&self) -> usize {
        self.nodes.len() / 2
    }
}

/// A near triangle for each point (mm, in the mesh's frame); [`NO_TRIANGLE`] for a point that is not a number.
/// Errors: faults of the GPU where the run insists on it.
pub fn propose(tree: &ProposalTree, points: &[Point3<f64>], rt: &Runtime) -> Result<Vec<u32>, Error> {
    rt.step("nearest", 0.0)?;
    if let Some(found) = rt.on_gpu("nearest", |gpu| on_gpu(tree, points, gpu, rt))? {
        return Ok(found);
    }
    let mut out = vec![NO_TRIANGLE; points.len()];
    out.par_chunks_mut(POINTS_PER_TASK).zip(points.par_chunks(POINTS_PER_TASK)).for_each(|(out, points)| {
        out.iter_mut().zip(points).for_each(|(out, p)| *out = search(tree, offset(tree, p)));
    });
    Ok(out)
}

fn offset(tree: &ProposalTree, p: &Point3<f64>) -> V {
    [0, 1, 2].map(|a| (p[a] - tree.origin[a]) as f32)
}

fn search(tree: &ProposalTree, p: V) -> u32 {
    let leaves = tree.leaves();
    let (mut best, mut found) = (f32::INFINITY, NO_TRIANGLE);
    let mut stack = [(0usize, 0f32); 32]; // one node a level waits, and there are at most 2^30 leaves
    let (mut depth, mut node) = (0, 1);
    loop {
        if node >= leaves {
            let first = (node - leaves) * LEAF;
            for t in first..(first + LEAF).min(tree.corners.len()) {
                let squared = to_triangle(p, &tree.corners[t]);
                if squared < best {
                    (best, found) = (squared, tree.triangles[t]);
                }
            }
        } else {
            let [mut near, mut far] = [2 * node, 2 * node + 1].map(|n| (n, to_bounds(p, &tree.nodes[n])));
            if far.1 < near.1 {
                std::mem::swap(&mut near, &mut far);
            }
            if near.1 < best {
                if far.1 < best {
                    stack[depth] = far;
                    depth += 1;
                }
                node = near.0;
                continue;
            }
        }
        loop {
            if depth == 0 {
                return found;
            }
            depth -= 1;
            if stack[depth].1 < best {
                node = stack[depth].0;
                break;
            }
        }
    }
}

fn on_gpu(tree: &ProposalTree, points: &[Point3<f64>], gpu: &Gpu, rt: &Runtime) -> Result<Vec<u32>, Error> {
    let program = gpu.program("nearest", include_str!("../../../shaders/nearest.wgsl"), "main")?;
    // Subtrees of so many leaves fit a slab: triangles weigh most.
    let mut leaves = tree.leaves();
    while leaves > 1 && leaves * (LEAF * size_of::<[V; 3]>()).max(2 * size_of::<Bounds>()) > gpu.slab_bytes() {
        leaves /= 2;
    }
    let points_at_once = gpu.slab_bytes() / size_of::<V>();
    let mut found = vec![];
    for (slab, points) in points.chunks(points_at_once).enumerate() {
        rt.step("nearest", (slab * points_at_once) as f64 / (found.len() + points.len()) as f64)?;
        let offsets: Vec<V> = points.par_iter().map(|p| offset(tree, p)).collect();
        let mut nearest = vec![Nearest { squared: f32::INFINITY, triangle: NO_TRIANGLE }; points.len()];
        let points_there = gpu.upload("points", &offsets)?;
        let nearest_there = gpu.upload("proposals", &nearest)?;
        for part in 0..tree.leaves() / leaves {
            let from = (part * leaves * LEAF).min(tree.corners.len());
            let to = (from + leaves * LEAF).min(tree.corners.len());
            if from == to {
                break; // only empty leaves follow
            }
            let nodes = gpu.upload("nodes", &subtree(tree, leaves, part))?;
            let corners = gpu.upload("triangles", &tree.corners[from..to])?;
            let parameters = [leaves as u32, (to - from) as u32, from as u32];
            gpu.run(&program, &parameters, &[&nodes, &corners, &points_there, &nearest_there], points.len())?;
        }
        gpu.read(&nearest_there, &mut nearest)?;
        found.extend(nearest.iter().map(|n| tree.triangles.get(n.triangle as usize).copied().unwrap_or(NO_TRIANGLE)));
    }
    Ok(found)
}

/// The heap of one of the equal subtrees with so many leaves.
fn subtree(tree: &ProposalTree, leaves: usize, part: usize) -> Vec<Bounds> {
    let root = tree.leaves() / leaves + part;
    let mut nodes = vec![tree.nodes[0]];
    let mut width = 1;
    while width <= leaves {
        nodes.extend_from_slice(&tree.nodes[root * width..(root + 1) * width]);
        width *= 2;
    }
    nodes
}

/// Squared distance to a box; infinite for an empty one.
#[inline]
fn to_bounds(p: V, b: &Bounds) -> f32 {
    let beyond = |a: usize| (b.min[a] - p[a]).max(p[a] - b.max[a]).max(0.0);
    let [x, y, z] = [beyond(0), beyond(1), beyond(2)];
    x * x + y * y + z * z
}

/// Squared distance to a triangle: its edges, and its plane where p lies over it.
#[inline]
fn to_triangle(p: V, [a, b, c]: &[V; 3]) -> f32 {
    let edges = [(a, b), (b, c), (c, a)];
    let nearest_edge = edges.iter().fold(f32::INFINITY, |d, (from, to)| d.min(to_edge(p, **from, **to)));
    let n = cross(minus(*b, *a), minus(*c, *a));
    let nn = dot(n, n);
    let over = edges.iter().all(|(from, to)| dot(cross(minus(**to, **from), minus(p, **from)), n) >= 0.0);
    if over && nn > 0.0 {
        let height = dot(minus(p, *a), n);
        return nearest_edge.min(height * height / nn);
    }
    nearest_edge
}

#[inline]
fn to_edge(p: V, a: V, b: V) -> f32 {
    let (edge, ap) = (minus(b, a), minus(p, a));
    let length = dot(edge, edge);
    let t = if length > 0.0 { (dot(ap, edge) / length).clamp(0.0, 1.0) } else { 0.0 };
    let d = minus(ap, edge.map(|e| e * t));
    dot(d, d)
}

#[inline]
fn minus(a: V, b: V) -> V {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[inline]
fn dot(a: V, b: V) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[inline]
fn cross(a: V, b: V) -> V {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn joined(a: Bounds, b: Bounds) -> Bounds {
    Bounds { min: [0, 1, 2].map(|i| a.min[i].min(b.min[i])), max: [0, 1, 2].map(|i| a.max[i].max(b.max[i])) }
}

/// Puts two zero bits behind each of the lowest 21 bits.
fn spread(x: u64) -> u64 {
    let x = (x | x << 32) & 0x001f_0000_0000_ffff;
    let x = (x | x << 16) & 0x001f_0000_ff00_00ff;
    let x = (x | x << 8) & 0x100f_00f0_0f00_f00f;
    let x = (x | x << 4) & 0x10c3_0c30_c30c_30c3;
    (x | x << 2) & 0x1249_2492_4924_9249
}
