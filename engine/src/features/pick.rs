//! Which points of a mesh are a feature's.
//!
//! Candidates are triangles: those inside a region, near a patch of the design's surface, or grown from a seed until the surface bends.
//! Of them stay those that face as the fitted shape does (within 30 degrees, normals evened out over neighbours but not across edges);
//! the shape is fitted again until nothing changes. No point is dropped for its distance: that would hide a defect.
//! Points nearer to the feature's border than the scanner blurs it stay out.

use kiddo::SquaredEuclidean;
use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::{Cloud, FeatureError, Fit, Kind, Shape, least_squares};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::mesh::Mesh;
use crate::mesh::edges::Edges;

/// Normals within 30 degrees of the shape's.
const FACING: f64 = 0.866;
/// Neighbouring triangles that turn by less than 20 degrees continue a surface.
const CONTINUES: f64 = 0.94;
/// Triangles that meet at more than 60 degrees do not even out each other's normals.
const EDGE: f64 = 0.5;
const EVENED: usize = 3;
const ROUNDS: usize = 8;

/// A mesh with its neighbours and evened normals, shared by all features.
pub struct Seat<'a> {
    pub mesh: &'a Mesh,
    normals: Vec<Vector3<f64>>,
    edges: Edges,
}

impl<'a> Seat<'a> {
    pub fn new(mesh: &'a Mesh) -> Seat<'a> {
        let count = mesh.triangles().len();
        let edges = Edges::of(mesh);
        let raw: Vec<Vector3<f64>> = (0..count).into_par_iter().map(|t| mesh.area_vector(t)).collect();
        let unit = |v: &Vector3<f64>| v.try_normalize(0.0).unwrap_or_else(Vector3::zeros);
        let mut normals: Vec<Vector3<f64>> = raw.par_iter().map(unit).collect();
        for _ in 0..EVENED {
            let even = |t: usize| {
                let own = normals[t];
                let around = edges.neighbours(t as u32);
                let sum = around.filter(|&n| normals[n].dot(&own) > EDGE).fold(own * raw[t].norm(), |s, n| s + normals[n] * raw[n].norm());
                unit(&sum)
            };
            normals = (0..count).into_par_iter().map(even).collect();
        }
        Seat { mesh, normals, edges }
    }

    /// Triangles with all corners inside.
    pub fn inside(&self, holds: &(dyn Fn(&Point3<f64>) -> bool + Sync)) -> Vec<u32> {
        let within: Vec<bool> = self.mesh.vertices().par_iter().map(holds).collect();
        let all = |t: &u32| self.mesh.triangles()[*t as usize].iter().all(|v| within[*v as usize]);
        (0..self.mesh.triangles().len() as u32).into_par_iter().filter(all).collect()
    }
}

/// Triangles whose centroids lie within a distance of a patch of surface and face as it does.
pub fn near_patch(seat: &Seat, patch: &MeshDistance, within_mm: f64) -> Vec<u32> {
    let near = |t: &u32| {
        let t = *t as usize;
        let signed = patch.signed(&seat.mesh.centroid(t));
        let foot = signed.point - seat.mesh.centroid(t);
        // Beyond the rim of the patch the nearest point lies sideways.
        let above = foot.norm() <= 1e-9 || foot.dot(&signed.normal).abs() >= FACING * foot.norm();
        foot.norm() <= within_mm && above && seat.normals[t].dot(&signed.normal) > FACING
    };
    (0..seat.mesh.triangles().len() as u32).into_par_iter().filter(near).collect()
}

/// Triangles joined to the one nearest a seed by edges over which the surface turns by less than 20 degrees, and facing within 20
/// degrees of the shape fitted to what has grown so far: first a few, then four times as many, until nothing changes. So a
/// fillet that leads on to the next face is left where it bends away from this one.
pub fn grown(seat: &Seat, kind: Kind, seed: &Point3<f64>) -> Vec<u32> {
    let count = seat.mesh.triangles().len();
    let far: Vec<f64> = (0..count).into_par_iter().map(|t| (seat.mesh.centroid(t) - seed).norm_squared()).collect();
    let Some(first) = (0..count).reduce(|a, b| if far[b] < far[a] { b } else { a }) else { return vec![] };
    let (mut chosen, mut most) = (vec![], FIRST_GROWN);
    for _ in 0..GROWTHS {
        // A few triangles may not hold the shape yet: then the turn alone stops them.
        let shape = gathered(seat, kind, &chosen, &[]).ok().map(|p| p.fit.shape);
        let more = flooded(seat, first, shape.as_ref(), most);
        if more == chosen {
            break;
        }
        most = most.saturating_mul(4);
        chosen = more;
    }
    chosen
}

/// Triangles that a first fit is grown from, and most fits on the way.
const FIRST_GROWN: usize = 64;
const GROWTHS: usize = 16;

/// Nearest neighbours first, at most so many, ascending.
fn flooded(seat: &Seat, first: usize, shape: Option<&Shape>, most: usize) -> Vec<u32> {
    let like = |t: usize| shape.is_none_or(|s| seat.normals[t].dot(&s.normal_at(&seat.mesh.centroid(t))).abs() > CONTINUES);
    let mut seen = vec![false; seat.mesh.triangles().len()];
    seen[first] = true;
    let mut reached = vec![first as u32];
    let mut next = 0;
    while next < reached.len() && reached.len() < most {
        let t = reached[next] as usize;
        next += 1;
        for n in seat.edges.neighbours(t as u32) {
            if !seen[n] && seat.normals[n].dot(&seat.normals[t]) > CONTINUES && like(n) {
                seen[n] = true;
                reached.push(n as u32);
            }
        }
    }
    reached.sort_unstable();
    reached
}

/// A feature's points, with the shape fitted to them.
#[derive(Clone, Debug)]
pub struct Picked {
    /// Vertices of the mesh, ascending.
    pub vertices: Vec<u32>,
    pub points: Vec<Point3<f64>>,
    /// Area that each point stands for, mm².
    pub weights: Vec<f64>,
    /// Outward unit normals of the surface.
    pub normals: Vec<Vector3<f64>>,
    pub fit: Fit,
}

impl Picked {
    pub fn cloud(&self) -> Cloud<'_> {
        Cloud { points: &self.points, weights: Some(&self.weights), normals: Some(&self.normals) }
    }
}

/// The points of a feature among candidate triangles; those within `border_mm` of triangles that face elsewhere stay out.
pub fn picked(seat: &Seat, kind: Kind, candidates: &[u32], border_mm: f64) -> Result<Picked, Error> {
    let mut chosen = candidates.to_vec();
    let mut found = gathered(seat, kind, &chosen, &[])?;
    for _ in 0..ROUNDS {
        let kept: Vec<u32> = candidates.par_iter().copied().filter(|&t| faces(seat, &found.fit.shape, t)).collect();
        if kept == chosen {
            break;
        }
        found = gathered(seat, kind, &kept, &[])?;
        chosen = kept;
    }
    if border_mm > 0.0 {
        let blurred = near_border(seat, &found, &chosen, border_mm)?;
        found = gathered(seat, kind, &chosen, &blurred)?;
    }
    Ok(found)
}

/// Whether a triangle faces as the shape does at its place; wires have no faces.
fn faces(seat: &Seat, shape: &Shape, t: u32) -> bool {
    let facing = |t: u32| seat.normals[t as usize].dot(&shape.normal_at(&seat.mesh.centroid(t as usize)));
    match shape.kind() {
        Kind::Line | Kind::Circle => true,
        // A face has one outside; a bore and a shaft face the axis either way.
        Kind::Plane => facing(t) > FACING,
        _ => facing(t).abs() > FACING,
    }
}

/// Points of the feature within a distance of surface that faces elsewhere, ascending.
fn near_border(seat: &Seat, found: &Picked, chosen: &[u32], border_mm: f64) -> Result<Vec<u32>, Error> {
    let bounds = crate::frame::Bounds::of(&found.points);
    let reach = Vector3::repeat(border_mm);
    let bounds = crate::frame::Bounds { min: bounds.min - reach, max: bounds.max + reach };
    let mut own = vec![false; seat.mesh.triangles().len()];
    chosen.iter().for_each(|t| own[*t as usize] = true);
    let mut foreign: Vec<u32> = (0..seat.mesh.triangles().len() as u32)
        .into_par_iter()
        .filter(|&t| !own[t as usize] && bounds.contains(&seat.mesh.centroid(t as usize)) && !faces(seat, &found.fit.shape, t))
        .flat_map_iter(|t| seat.mesh.triangles()[t as usize])
        .collect();
    foreign.sort_unstable();
    foreign.dedup();
    if foreign.is_empty() {
        return Ok(vec![]);
    }
    let places: Vec<[f64; 3]> = foreign.iter().map(|v| seat.mesh.vertices()[*v as usize].coords.into()).collect();
    let tree = kiddo::ImmutableKdTree::<f64, 3>::new_from_slice(&places).map_err(|e| Error::defect(format!("border search: {e}")))?;
    let near = |v: &u32| {
        let p = seat.mesh.vertices()[*v as usize];
        !tree.query(&[p.x, p.y, p.z]).within::<SquaredEuclidean<f64>>(border_mm * border_mm).execute().is_empty()
    };
    Ok(found.vertices.par_iter().copied().filter(near).collect())
}

/// Vertices of triangles with their share of area, without some; and the fit.
fn gathered(seat: &Seat, kind: Kind, triangles: &[u32], without: &[u32]) -> Result<Picked, Error> {
    let mut shares: Vec<(u32, u32)> = triangles.iter().flat_map(|&t| seat.mesh.triangles()[t as usize].map(|v| (v, t))).collect();
    shares.sort_unstable();
    let (mut vertices, mut weights, mut normals) = (vec![], vec![], vec![]);
    for group in shares.chunk_by(|a, b| a.0 == b.0) {
        let v = group[0].0;
        if without.binary_search(&v).is_ok() {
            continue;
        }
        let area: Vector3<f64> = group.iter().map(|(_, t)| seat.mesh.area_vector(*t as usize)).sum();
        let weight: f64 = group.iter().map(|(_, t)| seat.mesh.area_vector(*t as usize).norm() / 6.0).sum();
        if let Some(normal) = area.try_normalize(0.0).filter(|_| weight > 0.0) {
            vertices.push(v);
            weights.push(weight);
            normals.push(normal);
        }
    }
    let points: Vec<Point3<f64>> = vertices.iter().map(|v| seat.mesh.vertices()[*v as usize]).collect();
    if points.len() < kind.fewest() {
        return Err(FeatureError::TooFew { kind, found: points.len() }.into());
    }
    let fit = least_squares(kind, &Cloud { points: &points, weights: Some(&weights), normals: Some(&normals) })?;
    Ok(Picked { vertices, points, weights, normals, fit })
}
