//! Drops vertices of a mesh on a solid's surface while the mesh stays near the surface.
//!
//! Half-edge collapses: a vertex merges into a neighbour, so every vertex that is left stays exactly on the surface. A collapse is
//! allowed if the mesh stays a manifold (link condition, Dey et al. 1999), the new triangles face as the surface does, are no
//! slivers and stay within the tolerance at samples no further apart than [`SAMPLE_MM`]. Vertices are visited in order, so the
//! result is one.

use nalgebra::{Point3, Vector3};

use super::Solid;

/// Distance between the samples that a new triangle is tried at.
const SAMPLE_MM: f64 = 0.25;
/// Twice the area over the square of the longest edge; 0.87 for an equilateral triangle.
const LEAST_SHAPE: f64 = 0.12;
/// Cosine between a triangle's normal and the surface normal at its corners.
const LEAST_COSINE: f64 = 0.85;
const LONGEST_EDGE_MM: f64 = 3.0;

pub(super) fn simplified(solid: &Solid, vertices: &[Point3<f64>], triangles: Vec<[u32; 3]>, tolerance_mm: f64) -> Vec<[u32; 3]> {
    let normals = vertices.iter().map(|p| solid.gradient(p).try_normalize(1e-9).unwrap_or_else(Vector3::zeros)).collect();
    let mut fans = vec![vec![]; vertices.len()];
    for (t, triangle) in triangles.iter().enumerate() {
        triangle.iter().for_each(|&v| fans[v as usize].push(t as u32));
    }
    let mut work = Work { solid, vertices, normals, triangles, fans, tolerance_mm };
    // A vertex is worth another try once its neighbourhood has changed.
    let mut due = vec![true; vertices.len()];
    loop {
        let mut dropped = 0;
        for v in 0..vertices.len() as u32 {
            if !std::mem::take(&mut due[v as usize]) || work.fans[v as usize].is_empty() {
                continue;
            }
            if let Some(into) = work.best_neighbour(v) {
                work.neighbours(v).into_iter().for_each(|n| due[n as usize] = true);
                work.collapse(v, into);
                dropped += 1;
            }
        }
        if dropped == 0 {
            break;
        }
    }
    let alive: Vec<bool> =
        (0..work.triangles.len() as u32).map(|t| work.fans[work.triangles[t as usize][0] as usize].contains(&t)).collect();
    work.triangles.into_iter().zip(alive).filter(|(_, alive)| *alive).map(|(t, _)| t).collect()
}

struct Work<'a> {
    solid: &'a Solid,
    vertices: &'a [Point3<f64>],
    normals: Vec<Vector3<f64>>,
    triangles: Vec<[u32; 3]>,
    /// Living triangles around each vertex.
    fans: Vec<Vec<u32>>,
    tolerance_mm: f64,
}

impl Work<'_> {
    fn neighbours(&self, v: u32) -> Vec<u32> {
        let corners = self.fans[v as usize].iter().flat_map(|&t| self.triangles[t as usize]);
        let mut found: Vec<u32> = corners.filter(|&n| n != v).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The neighbour that `v` may merge into with the best-shaped worst triangle.
    fn best_neighbour(&self, v: u32) -> Option<u32> {
        let around = self.neighbours(v);
        let mut candidates: Vec<(f64, u32)> = around
            .iter()
            .filter(|&&u| self.neighbours(u).iter().filter(|n| around.binary_search(n).is_ok()).count() == 2)
            .filter_map(|&u| self.worst_shape(v, u).map(|s| (s, u)))
            .collect();
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        candidates.into_iter().map(|c| c.1).find(|&u| self.merged(v, u).all(|t| self.is_near(t)))
    }

    /// The triangles that merging `v` into `u` makes.
    fn merged(&self, v: u32, u: u32) -> impl Iterator<Item = [u32; 3]> + '_ {
        let kept = self.fans[v as usize].iter().map(|&t| self.triangles[t as usize]).filter(move |t| !t.contains(&u));
        kept.map(move |t| t.map(|c| if c == v { u } else { c }))
    }

    /// Shape of the worst triangle made; `None` if one is a sliver, too long or does not face as the surface does.
    fn worst_shape(&self, v: u32, u: u32) -> Option<f64> {
        let mut worst = f64::INFINITY;
        for t in self.merged(v, u) {
            let [a, b, c] = t.map(|i| self.vertices[i as usize]);
            let normal = (b - a).cross(&(c - a));
            let longest = (b - a).norm_squared().max((c - b).norm_squared()).max((a - c).norm_squared());
            let shape = normal.norm() / longest;
            let faces = t.iter().all(|&i| self.normals[i as usize].dot(&normal) > LEAST_COSINE * normal.norm());
            if !(faces && shape > LEAST_SHAPE && longest < LONGEST_EDGE_MM * LONGEST_EDGE_MM) {
                return None;
            }
            worst = worst.min(shape);
        }
        worst.is_finite().then_some(worst)
    }

    fn is_near(&self, t: [u32; 3]) -> bool {
        let [a, b, c] = t.map(|i| self.vertices[i as usize]);
        let longest = (b - a).norm().max((c - b).norm()).max((a - c).norm());
        let side = ((longest / SAMPLE_MM).ceil() as usize).max(2);
        let inner = Point3::from((a.coords + b.coords + c.coords) / 3.0);
        let at = |u: usize, v: usize| a + (b - a) * (u as f64 / side as f64) + (c - a) * (v as f64 / side as f64);
        let samples = std::iter::once(inner).chain((0..=side).flat_map(|u| (0..=side - u).map(move |v| at(u, v))));
        // Gradients in blends are at least 0.5 long, so half the tolerance needs no gradient.
        let tolerance = self.tolerance_mm;
        samples
            .into_iter()
            .all(|p| self.solid.distance_mm(&p).abs() <= 0.5 * tolerance || self.solid.near_distance_mm(&p).abs() <= tolerance)
    }

    fn collapse(&mut self, v: u32, into: u32) {
        for t in std::mem::take(&mut self.fans[v as usize]) {
            let corners = self.triangles[t as usize];
            if corners.contains(&into) {
                corners.iter().filter(|&&c| c != v).for_each(|&c| self.fans[c as usize].retain(|&f| f != t));
            } else {
                self.triangles[t as usize] = corners.map(|c| if c == v { into } else { c });
                self.fans[into as usize].push(t);
            }
        }
    }
}
