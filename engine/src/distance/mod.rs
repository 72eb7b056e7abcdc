//! Distance from points to a triangle mesh.
//!
//! Measurand: the smallest distance from a point to the surface (mm), signed + outside and − inside, with the closest point,
//! its triangle and the outward direction there. Exact in f64 to about 1e-12 mm for any shape of triangle; boxes in f32 and proposals
//! from elsewhere only narrow the search, and among equally near triangles the smallest id is taken, so the bits are the same
//! on any number of threads and backends.
//! Sign: angle-weighted pseudonormals (Bærentzen & Aanæs 2005), exact on closed, oriented 2-manifolds turned outwards. Where the mesh is
//! not that, or the closest feature is irregular or degenerate, the generalised winding number w (Jacobson 2013) decides, and the
//! sign is *not defined* where w is more than 0.2 from an integer.
//! Cost: build O(n log n); a query O(log n), a few microseconds.

mod block;
pub mod hausdorff;
mod lanes;
mod topology;
mod tree;
mod triangle;
mod winding;

use std::sync::OnceLock;

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use crate::error::Error;
use crate::frame::Bounds;
use crate::kernels::{NO_TRIANGLE, ProposalTree, propose};
use crate::mesh::Mesh;
use crate::mesh::edges::Edges;
use crate::runtime::Runtime;
use topology::Lately;
pub(crate) use tree::{GROUP, Near};
use tree::{Hit, Tree};
pub use triangle::Feature;
use winding::Winding;

/// How far w may be from an integer and still say inside or outside.
const WINDING_TOLERANCE: f64 = 0.2;
/// Queries between two looks at the caller's cancel flag.
const BATCH: usize = 1 << 17;
/// Neighbouring queries that one task answers in turn, each starting from the answer before.
const RUN: usize = 1024;

/// The seat of a point whose closest triangle nobody knows yet.
pub(crate) const NO_SEAT: u32 = u32::MAX;

/// The closest point of a mesh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearest {
    pub distance_mm: f64,
    pub triangle: u32,
    pub point: Point3<f64>,
    pub feature: Feature,
}

/// The closest point with its side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signed {
    /// + outside, − inside; outside where `sign_defined` is false.
    pub distance_mm: f64,
    pub triangle: u32,
    pub point: Point3<f64>,
    /// Outward unit normal at `point`: of the face, or the pseudonormal of the edge or vertex; zero where there is none.
    pub normal: Vector3<f64>,
    pub sign_defined: bool,
}

/// A mesh with its search structure.
pub struct MeshDistance {
    mesh: Mesh,
    tree: Tree,
    edges: Option<Edges>,
    closed: bool,
    winding: OnceLock<Winding>,
}

impl MeshDistance {
    pub fn build(mesh: &Mesh) -> Self {
        let edges = Edges::of(mesh);
        let closed = edges.are_balanced();
        MeshDistance { edges: Some(edges), closed, ..MeshDistance::without_edges(mesh) }
    }

    /// For nearest points, built sooner: the same distances, but of the sides only what the winding number says.
    pub fn without_edges(mesh: &Mesh) -> Self {
        MeshDistance { mesh: mesh.clone(), tree: Tree::build(mesh), edges: None, closed: false, winding: OnceLock::new() }
    }

    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// The edges of the mesh; `None` where they were not looked at.
    pub(crate) fn edges(&self) -> Option<&Edges> {
        self.edges.as_ref()
    }

    /// Whether every edge is shared by triangles that run through it in opposite directions equally often; false where it was not looked at.
    pub fn is_closed_and_oriented(&self) -> bool {
        self.closed
    }

    pub fn nearest(&self, p: &Point3<f64>) -> Nearest {
        nearest_of(p, &self.tree.nearest(&self.mesh, p, 0))
    }

    pub fn signed(&self, p: &Point3<f64>) -> Signed {
        self.signed_from(p, &mut 0)
    }

    /// Whether the solid contains the point; `None` where the surface does not say.
    pub fn contains(&self, p: &Point3<f64>) -> Option<bool> {
        let s = self.signed(p);
        s.sign_defined.then_some(s.distance_mm < 0.0)
    }

    /// [`Self::signed`] of many points, on all cores; fails only when cancelled.
    pub fn signed_all(&self, points: &[Point3<f64>], rt: &Runtime) -> Result<Vec<Signed>, Error> {
        self.signed_as(points, rt, |signed| *signed)
    }

    /// What `keep` takes of [`Self::signed`] of every point: what nobody asks for takes no memory.
    pub fn signed_as<T: Copy + Send>(
        &self,
        points: &[Point3<f64>],
        rt: &Runtime,
        keep: impl Fn(&Signed) -> T + Sync,
    ) -> Result<Vec<T>, Error> {
        self.of_all(points, rt, |p, hit, lately| keep(&self.sign(p, hit, lately)))
    }

    /// [`Self::nearest`] of many points, on all cores; fails only when cancelled.
    pub fn nearest_all(&self, points: &[Point3<f64>], rt: &Runtime) -> Result<Vec<Nearest>, Error> {
        self.nearest_as(points, rt, |nearest| *nearest)
    }

    /// What `keep` takes of [`Self::nearest`] of every point.
    pub fn nearest_as<T: Copy + Send>(
        &self,
        points: &[Point3<f64>],
        rt: &Runtime,
        keep: impl Fn(&Nearest) -> T + Sync,
    ) -> Result<Vec<T>, Error> {
        self.of_all(points, rt, |p, hit, _| keep(&nearest_of(p, hit)))
    }

    /// What `answer` makes of the nearest triangle of every point.
    fn of_all<T: Copy + Send>(
        &self,
        points: &[Point3<f64>],
        rt: &Runtime,
        answer: impl Fn(&Point3<f64>, &Hit, &mut Lately) -> T + Sync,
    ) -> Result<Vec<T>, Error> {
        let order = coherent_order(points);
        let proposed = self.proposals(points, rt)?;
        let mut all: Vec<T> = Vec::with_capacity(points.len());
        let places = Places(all.as_mut_ptr());
        for (batch, indices) in order.chunks(BATCH).enumerate() {
            rt.step("distance", (batch * BATCH) as f64 / points.len() as f64)?;
            indices.par_chunks(RUN).for_each(|run| {
                let mut lately = Lately::new();
                self.nearest_run(points, run, proposed.as_deref(), |i, hit| {
                    let answer = answer(&points[i as usize], hit, &mut lately);
                    // SAFETY: `order` names every point once, and `places` has one place for each.
                    unsafe { places.write(i as usize, answer) }
                });
            });
        }
        // SAFETY: each of the places was written, since `order` names every point.
        unsafe { all.set_len(points.len()) };
        Ok(all)
    }

    /// Neighbours answered together, each group starting from the answer before it.
    fn nearest_run(&self, points: &[Point3<f64>], run: &[u32], proposed: Option<&[u32]>, mut found: impl FnMut(u32, &Hit)) {
        let (mut group, mut hits) = ([Point3::origin(); GROUP], [Hit::NONE; GROUP]);
        for indices in run.chunks(GROUP) {
            let count = indices.len();
            let mut starts = [hits[GROUP - 1].slot; GROUP]; // any slot is right, a near one is quick
            for (k, &i) in indices.iter().enumerate() {
                group[k] = points[i as usize];
                if let Some(slots) = proposed {
                    starts[k] = slots[i as usize];
                }
            }
            self.tree.nearest_of_group(&self.mesh, &group[..count], &starts[..count], &mut hits[..count], &mut []);
            indices.iter().zip(&hits).for_each(|(&i, hit)| found(i, hit));
        }
    }

    /// Where a GPU says the search for each point should start. It narrows; the search settles, so results do not depend on it.
    fn proposals(&self, points: &[Point3<f64>], rt: &Runtime) -> Result<Option<Vec<u32>>, Error> {
        if rt.gpu().is_none() {
            return Ok(None);
        }
        let mut slot_of = vec![0u32; self.tree.slots()];
        self.tree.order().iter().enumerate().for_each(|(slot, &t)| slot_of[t as usize] = slot as u32);
        let triangles = propose(&ProposalTree::new(&self.mesh), points, rt)?;
        Ok(Some(triangles.into_iter().map(|t| if t == NO_TRIANGLE { 0 } else { slot_of[t as usize] }).collect()))
    }

    /// The closest point, starting from the place `seat` remembers; the answer does not depend on it.
    pub(crate) fn nearest_from(&self, p: &Point3<f64>, seat: &mut u32) -> Nearest {
        let hit = self.tree.nearest(&self.mesh, p, self.seat(*seat));
        *seat = hit.slot;
        nearest_of(p, &hit)
    }

    /// [`Self::nearest_from`] of points of which neighbours stand together, each with its own seat; sooner than one by one.
    pub(crate) fn nearest_seated(&self, points: &[Point3<f64>], seats: &mut [u32], mut found: impl FnMut(&Point3<f64>, Nearest)) {
        let mut hits = [Hit::NONE; GROUP];
        for (points, seats) in points.chunks(GROUP).zip(seats.chunks_mut(GROUP)) {
            let before = hits[GROUP - 1].slot;
            seats.iter_mut().for_each(|seat| *seat = if *seat == NO_SEAT { before } else { self.seat(*seat) });
            self.tree.nearest_of_group(&self.mesh, points, seats, &mut hits[..points.len()], &mut []);
            for ((p, seat), hit) in points.iter().zip(seats).zip(&hits) {
                *seat = hit.slot;
                found(p, nearest_of(p, hit));
            }
        }
    }

    /// [`Self::nearest_seated`] of points that move little by little: none by more than `moved_mm` since the last call. The answers do not depend
    /// on what `near` says; those it cannot tell are searched for.
    pub(crate) fn nearest_followed(
        &self,
        points: &[Point3<f64>],
        near: &mut [Near],
        moved_mm: f32,
        mut found: impl FnMut(&Point3<f64>, Nearest),
    ) {
        let (mut lost, mut starts, mut at) = ([0; GROUP], [0; GROUP], [Point3::origin(); GROUP]);
        let (mut fresh, mut around, mut before) = ([Hit::NONE; GROUP], [Near::UNKNOWN; GROUP], 0);
        for (points, near) in points.chunks(GROUP).zip(near.chunks_mut(GROUP)) {
            let (mut hits, mut count) = ([Hit::NONE; GROUP], 0);
            for (k, (p, near)) in points.iter().zip(near.iter_mut()).enumerate() {
                if let Some(hit) = self.tree.nearest_among(&self.mesh, p, near, moved_mm) {
                    hits[k] = hit;
                } else {
                    (lost[count], at[count], starts[count]) = (k, *p, near.seat().map_or(before, |seat| self.seat(seat)));
                    count += 1;
                }
            }
            self.tree.nearest_of_group(&self.mesh, &at[..count], &starts[..count], &mut fresh[..count], &mut around[..count]);
            for k in 0..count {
                (hits[lost[k]], near[lost[k]]) = (fresh[k], around[k]);
            }
            before = hits[points.len() - 1].slot;
            points.iter().zip(&hits).for_each(|(p, hit)| found(p, nearest_of(p, hit)));
        }
    }

    fn seat(&self, remembered: u32) -> u32 {
        remembered.min(self.tree.slots() as u32 - 1)
    }

    /// The same with its side.
    pub(crate) fn signed_from(&self, p: &Point3<f64>, seat: &mut u32) -> Signed {
        let hit = self.tree.nearest(&self.mesh, p, self.seat(*seat));
        *seat = hit.slot;
        self.sign(p, &hit, &mut Lately::none())
    }

    /// Every triangle that reaches into a box, ascending, and some beside it.
    pub(crate) fn reaching_into(&self, bounds: &Bounds) -> Vec<u32> {
        self.tree.reaching_into(&bounds.min, &bounds.max)
    }

    fn sign(&self, p: &Point3<f64>, hit: &Hit, lately: &mut Lately) -> Signed {
        let near = nearest_of(p, hit);
        let normal = match near.feature {
            Feature::Face => topology::unit_normal(&self.mesh, near.triangle),
            Feature::Edge(k) => self.edges.as_ref().and_then(|edges| topology::at_edge(&self.mesh, edges, near.triangle, k as usize)),
            Feature::Vertex(k) => self.edges.as_ref().and_then(|edges| lately.at_vertex(&self.mesh, edges, near.triangle, k as usize)),
        };
        let along = normal.map(|n| -hit.foot.to_point.dot(&n)).filter(|along| along.abs() > 1e-9 * near.distance_mm);
        let (inside, sign_defined) = match along {
            _ if near.distance_mm == 0.0 => (false, true),
            Some(along) if self.closed => (along < 0.0, true),
            _ => {
                let w = self.winding_number(p);
                (w > 0.5, (w - w.round()).abs() <= WINDING_TOLERANCE)
            }
        };
        let inside = inside && sign_defined;
        Signed {
            distance_mm: if inside { -near.distance_mm } else { near.distance_mm },
            triangle: near.triangle,
            point: near.point,
            normal: normal
                .and_then(|n| n.try_normalize(1e-12))
                .or_else(|| topology::unit_normal(&self.mesh, near.triangle))
                .unwrap_or_else(Vector3::zeros),
            sign_defined,
        }
    }

    /// How many times the surface goes round the point.
    fn winding_number(&self, p: &Point3<f64>) -> f64 {
        self.winding.get_or_init(|| Winding::build(&self.mesh, self.tree.order())).at(&self.mesh, self.tree.order(), p)
    }
}

fn nearest_of(p: &Point3<f64>, hit: &Hit) -> Nearest {
    Nearest { distance_mm: hit.foot.squared.sqrt(), triangle: hit.triangle, point: p + hit.foot.to_point, feature: hit.foot.feature }
}

/// Places in memory that several threads fill, each its own.
struct Places<T>(*mut T);

// SAFETY: `write` is the only access, and its callers never share a place.
unsafe impl<T: Send> Sync for Places<T> {}

impl<T: Copy> Places<T> {
    /// # Safety
    /// No other thread may write to place `i`, which must exist.
    unsafe fn write(&self, i: usize, value: T) {
        // SAFETY: the place exists and is this thread's alone, as the caller promises.
        unsafe { self.0.add(i).write(value) };
    }
}

/// Triangles in an order that keeps neighbours together at every scale: runs of 8ⁿ of them are compact.
pub(crate) fn compact_order(mesh: &Mesh) -> Vec<u32> {
    Tree::build(mesh).order().to_vec()
}

/// Indices of the points along a Z-order curve (Morton 1966) of 1024³ cells: neighbours in the list are neighbours in space.
pub(crate) fn coherent_order(points: &[Point3<f64>]) -> Vec<u32> {
    let bounds = Bounds::of(points);
    let scale = [0, 1, 2].map(|a| 1023.0 / (bounds.max[a] - bounds.min[a]).max(1e-300));
    let mut keyed: Vec<u64> = points
        .par_iter()
        .enumerate()
        .map(|(i, p)| {
            let cell = [0, 1, 2].map(|a| spread(((p[a] - bounds.min[a]) * scale[a]) as u64));
            (cell[0] | cell[1] << 1 | cell[2] << 2) << 32 | i as u64
        })
        .collect();
    let mut sorted = vec![0; keyed.len()];
    for digit in 0..3 {
        by_digit(&keyed, &mut sorted, 32 + 10 * digit);
        std::mem::swap(&mut keyed, &mut sorted);
    }
    drop(sorted);
    keyed.into_iter().map(|k| k as u32).collect()
}

/// Sorts stably by ten bits.
fn by_digit(from: &[u64], to: &mut [u64], shift: u32) {
    let digit = |key: u64| (key >> shift & 0x3ff) as usize;
    let mut next = [0_usize; 1024];
    from.iter().for_each(|&key| next[digit(key)] += 1);
    let mut before = 0;
    for n in &mut next {
        (before, *n) = (before + *n, before);
    }
    for &key in from {
        let place = &mut next[digit(key)];
        to[*place] = key;
        *place += 1;
    }
}

/// Puts two zero bits between the ten bits of `x`.
fn spread(x: u64) -> u64 {
    let mut x = x & 0x3ff;
    x = (x | x << 16) & 0x0300_00ff;
    x = (x | x << 8) & 0x0300_f00f;
    x = (x | x << 4) & 0x030c_30c3;
    (x | x << 2) & 0x0924_9249
}
