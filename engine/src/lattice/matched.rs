//! How long a translation is: walls matched with their like, whole periods away.
//!
//! Places spread evenly over the surface are moved by a multiple of the translation, and the surface of like direction nearest to each is
//! found. Least squares of the distances along the normals give the translation; a constant beside it takes what facets cut off. Multiples
//! are doubled as far as the part reaches, so that the length rests on the longest way. Distances beyond four robust standard deviations
//! (median) are left out: holes, burrs and powder pull nothing.
//! Uncertainty: the jackknife over 27 blocks of the part, of which each takes with it every pair that it has a part in; errors that hang
//! together within a block are so counted as one.
//! Accepts surfaces whose normals span space. Known bias: of a part that is warped, the mean. Cost: microseconds a pair.

use nalgebra::{Matrix4, Point3, Vector3, Vector4};
use rayon::prelude::*;

use super::room::Room;
use crate::distance::MeshDistance;
use crate::frame::Bounds;
use crate::linear::eigen;
use crate::mesh::{Mesh, Samples, equal_shares};

/// How far a wall may lie from where the translation puts it to be its like, in walls; first, and when the share of walls is counted.
const GATE: f64 = 0.5;
const LIKE: f64 = 0.25;
/// Cosine of the angle between like walls.
const PARALLEL: f64 = 0.7;
/// Share of the places whose like must be found, for a translation, and places that must have one to be looked for.
const REPEATS: f64 = 0.75;
const FEWEST: usize = 100;
/// Smallest eigenvalue of the mean of n nᵀ: 1/3 where normals point everywhere alike.
const SPANS: f64 = 0.04;
const ROUNDS: usize = 8;
/// Longest way, in what the part is long: of ways m over a length L, m² (L − m) is largest at 2/3.
const LONGEST: f64 = 0.67;
/// Blocks along an axis.
const BLOCKS: usize = 3;
/// Samples of a surface at most.
const MOST_SAMPLES: f64 = 8e6;

/// A place on the surface with its outward direction.
pub(super) struct Place {
    point: Point3<f64>,
    normal: Vector3<f64>,
}

/// About `count` places, each of the same area, those in the room and off its border.
pub(super) fn places(surface: &MeshDistance, room: &Room, wall_mm: f64, count: usize) -> Vec<Place> {
    let mesh = surface.mesh();
    let samples = Samples::of(mesh, affordable_mm(mesh, wall_mm));
    let inside: Vec<usize> =
        (0..samples.len()).filter(|&i| samples.weights_mm2[i] > 0.0 && room.holds(&samples.points[i], wall_mm)).collect();
    let weights: Vec<f64> = inside.iter().map(|&i| samples.weights_mm2[i]).collect();
    let place = |n: usize| {
        let normal = mesh.area_vector(samples.triangles[inside[n]] as usize).normalize();
        Place { point: samples.points[inside[n]], normal }
    };
    equal_shares(&weights, count).into_iter().map(place).collect()
}

/// Memory of a sample of a surface and of what is made of it, bytes.
const BYTES_PER_SAMPLE: f64 = 64.0;

/// Memory that samples of a surface take, about, bytes: a corner of every facet, and the places on those that are divided.
pub(super) fn samples_bytes(mesh: &Mesh, step_mm: f64) -> u64 {
    (BYTES_PER_SAMPLE * (mesh.vertices().len() as f64 + divided(&longest_edges(mesh), step_mm))) as u64
}

fn longest_edges(mesh: &Mesh) -> Vec<f64> {
    let longest = |t: usize| {
        let [a, b, c] = mesh.corners(t);
        (b - a).norm().max((c - b).norm()).max((a - c).norm())
    };
    (0..mesh.triangles().len()).map(longest).collect()
}

/// Places on facets of these longest edges.
fn divided(edges: &[f64], step_mm: f64) -> f64 {
    edges.iter().map(|e| (e / step_mm).ceil()).map(|parts| 0.5 * parts * parts).sum()
}

/// The step, or a longer one that gives no more samples than there is room for: long slivers are divided along both edges.
pub(super) fn affordable_mm(mesh: &Mesh, step_mm: f64) -> f64 {
    let edges = longest_edges(mesh);
    let mut step = step_mm;
    // Triangles of one part each have nothing left to save.
    while step > 0.0 && divided(&edges, step) > MOST_SAMPLES.max(edges.len() as f64) {
        step *= 1.3;
    }
    step
}

/// A translation as the walls show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Period {
    pub vector: Vector3<f64>,
    /// Standard uncertainty of its length from how the walls scatter, mm.
    pub u_mm: f64,
}

/// A place and its like.
struct Pair {
    /// Times the translation.
    times: f64,
    normal: Vector3<f64>,
    /// How far beyond the moved place its like lies, along the normal, mm.
    beyond_mm: f64,
    blocks: [usize; 2],
}

pub(super) struct Matcher<'a> {
    pub surface: &'a MeshDistance,
    pub room: &'a Room<'a>,
    pub wall_mm: f64,
}

struct Pairs {
    looked_for: usize,
    found: Vec<Pair>,
}

/// Normal equations of the translation and the constant.
#[derive(Clone, Copy)]
struct Normal {
    matrix: Matrix4<f64>,
    moment: Vector4<f64>,
}

impl Normal {
    fn zero() -> Normal {
        Normal { matrix: Matrix4::zeros(), moment: Vector4::zeros() }
    }

    fn add(&mut self, pair: &Pair) {
        let n = pair.normal * pair.times;
        let row = Vector4::new(n.x, n.y, n.z, 1.0);
        self.matrix += row * row.transpose();
        self.moment += row * pair.beyond_mm;
    }

    fn without(&self, other: &Normal) -> Normal {
        Normal { matrix: self.matrix - other.matrix, moment: self.moment - other.moment }
    }

    fn solved(&self) -> Option<Vector4<f64>> {
        self.matrix.cholesky().map(|c| c.solve(&self.moment))
    }
}

impl Matcher<'_> {
    fn pairs(&self, places: &[Place], vector: &Vector3<f64>, multiples: &[f64], gate_mm: f64) -> Pairs {
        let bounds = Bounds::of(places.iter().map(|p| &p.point));
        let size = bounds.max - bounds.min;
        let block = |p: &Point3<f64>| {
            let along = |a: usize| (((p[a] - bounds.min[a]) / size[a] * BLOCKS as f64) as usize).min(BLOCKS - 1);
            (along(2) * BLOCKS + along(1)) * BLOCKS + along(0)
        };
        let mesh = self.surface.mesh();
        let of = |n: usize| {
            let (place, times) = (&places[n / multiples.len()], multiples[n % multiples.len()]);
            let there = place.point + vector * times;
            if !self.room.holds(&there, self.wall_mm) {
                return None;
            }
            let near = self.surface.nearest(&there);
            let like = near.distance_mm <= gate_mm && {
                let normal = mesh.area_vector(near.triangle as usize);
                normal.dot(&place.normal) >= PARALLEL * normal.norm()
            };
            let beyond_mm = (near.point - there).dot(&place.normal);
            let blocks = [block(&place.point), block(&there)];
            Some(like.then_some(Pair { times, normal: place.normal, beyond_mm, blocks }))
        };
        let all: Vec<Option<Pair>> = (0..places.len() * multiples.len()).into_par_iter().filter_map(of).collect();
        Pairs { looked_for: all.len(), found: all.into_iter().flatten().collect() }
    }

    /// The translation near a vector, moved once, and the share of the walls that it carries onto their like.
    pub fn settled(&self, places: &[Place], near: &Vector3<f64>) -> Option<Vector3<f64>> {
        let (vector, pairs) = self.solved(places, near, &[1.0])?;
        let like = pairs.found.iter().filter(|p| p.beyond_mm.abs() <= LIKE * self.wall_mm).count();
        (like as f64 >= REPEATS * pairs.looked_for as f64).then_some(vector)
    }

    /// The translation near a vector over the longest way that the part has.
    pub fn measured(&self, places: &[Place], near: &Vector3<f64>) -> Option<Period> {
        let size = self.room.bounds.max - self.room.bounds.min;
        let most = (0..3).map(|a| LONGEST * size[a] / near[a].abs().max(1e-12)).fold(f64::INFINITY, f64::min).floor().max(1.0);
        let (mut vector, mut pairs) = self.solved(places, near, &[1.0])?;
        let mut times = 1.0;
        while times < most {
            times = most.min(2.0 * times);
            let Some(next) = self.solved(places, &vector, &[times, (0.5 * times).ceil()]) else { break };
            (vector, pairs) = next;
        }
        Some(Period { vector, u_mm: scatter_mm(&pairs.found, &vector)? })
    }

    fn solved(&self, places: &[Place], near: &Vector3<f64>, multiples: &[f64]) -> Option<(Vector3<f64>, Pairs)> {
        let (mut vector, mut gate_mm) = (*near, GATE * self.wall_mm);
        let mut last = None;
        for _ in 0..ROUNDS {
            let pairs = self.pairs(places, &vector, multiples, gate_mm);
            if pairs.found.len() < FEWEST {
                return None;
            }
            let mut sums = Normal::zero();
            pairs.found.iter().for_each(|p| sums.add(p));
            let spread: f64 = pairs.found.iter().map(|p| p.times * p.times).sum();
            if eigen(&(sums.matrix.fixed_view::<3, 3>(0, 0) / spread)).0[2] < SPANS {
                return None;
            }
            let step = sums.solved()?;
            vector += step.xyz();
            let mut left: Vec<f64> =
                pairs.found.iter().map(|p| (p.beyond_mm - step.xyz().dot(&p.normal) * p.times - step.w).abs()).collect();
            let middle = left.len() / 2;
            let median = *left.select_nth_unstable_by(middle, f64::total_cmp).1;
            gate_mm = (step.w.abs() + 4.0 * 1.4826 * median).clamp(0.02 * self.wall_mm, GATE * self.wall_mm);
            last = Some(pairs);
            if step.xyz().norm() <= 1e-7 * vector.norm() {
                break;
            }
        }
        last.map(|pairs| (vector, pairs))
    }
}

/// Standard uncertainty of the length by the jackknife over blocks.
fn scatter_mm(pairs: &[Pair], vector: &Vector3<f64>) -> Option<f64> {
    let mut blocks = [Normal::zero(); BLOCKS * BLOCKS * BLOCKS];
    let mut all = Normal::zero();
    for pair in pairs {
        all.add(pair);
        let [one, other] = pair.blocks;
        blocks[one].add(pair);
        if other != one {
            blocks[other].add(pair);
        }
    }
    let along = vector.normalize();
    let lengths: Vec<f64> =
        blocks.iter().filter(|b| b.matrix[(3, 3)] > 0.0).filter_map(|b| Some(all.without(b).solved()?.xyz().dot(&along))).collect();
    let count = lengths.len() as f64;
    if count < 2.0 {
        return None;
    }
    let mean = lengths.iter().sum::<f64>() / count;
    let squares: f64 = lengths.iter().map(|x| (x - mean) * (x - mean)).sum();
    Some((squares * (count - 1.0) / count).sqrt())
}
