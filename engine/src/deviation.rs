//! Deviation fields: signed distances known at area-weighted sites, and the operators that make numbers of them.
//!
//! On the actual surface the deviation is the signed distance to the nominal, + where material is in excess. On the
//! nominal it is the signed distance from the actual, taken from the nominal's side, and its magnitude says how far the
//! nominal is from the nearest built surface: what is missing cannot hide from it.

use kiddo::SquaredEuclidean;
use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use crate::distance::{Nearest, Signed};
use crate::error::Error;
use crate::frame::Bounds;
use crate::io::VertexField;
use crate::mesh::Samples;
use crate::region::Region;
use crate::surface::flag;
use crate::uncertainty::{Effects, Patterns, Sites};

/// Signed values at sites of a surface, with everything that displaces them.
pub struct Field {
    /// Nominal frame, mm.
    pub points: Vec<Point3<f64>>,
    /// Outward unit normals of the nominal at the closest point.
    pub normals: Vec<Vector3<f64>>,
    pub weights_mm2: Vec<f64>,
    pub values_mm: Vec<f64>,
    pub noise_mm: Vec<f32>,
    /// The first sites are the mesh's vertices in their order.
    pub vertices: usize,
    /// Sites whose sign nobody can tell (open or contradictory surfaces); they are left out of every operator.
    pub undefined: Vec<bool>,
    pub patterns: Patterns,
}

impl Field {
    pub fn new(
        samples: Samples,
        normals: Vec<Vector3<f64>>,
        values_mm: Vec<f64>,
        undefined: Vec<bool>,
        noise_mm: Vec<f32>,
        effects: &Effects,
    ) -> Field {
        let patterns = effects.patterns(&Sites { points: &samples.points, normals: &normals, noise_mm: &noise_mm });
        let Samples { points, weights_mm2, vertices, .. } = samples;
        Field { points, normals, weights_mm2, values_mm, noise_mm, vertices, undefined, patterns }
    }

    /// For maps, at the mesh's vertices: the deviation (NaN where the sign is undefined), its standard uncertainty from all effects, the part of
    /// it that is noise, the number of the first of the regions that holds the vertex (from 1; 0 for none), and flags.
    pub fn vertex_fields(&self, regions: &[&Region], flags: &[u16]) -> [VertexField; 5] {
        let value = |i: usize| if self.undefined[i] { f64::NAN } else { self.values_mm[i] };
        let noise = |i: usize| f64::from(self.noise_mm[i]);
        let u = |i: usize| (self.patterns.common_variance(i) + noise(i) * noise(i)).sqrt();
        let region = |i: usize| regions.iter().position(|r| r.contains(&self.points[i])).map_or(0.0, |r| (r + 1) as f64);
        let undefined = |i: usize| if self.undefined[i] { flag::SIGN_UNDEFINED } else { 0 };
        let flags = |i: usize| f64::from(flags.get(i).copied().unwrap_or(0) | undefined(i));
        [
            self.at_vertices("deviation_mm", value),
            self.at_vertices("u_mm", u),
            self.at_vertices("noise_u_mm", noise),
            self.at_vertices("region", region),
            self.at_vertices("flags", flags),
        ]
    }

    fn at_vertices(&self, name: &str, of: impl Fn(usize) -> f64 + Sync + Send) -> VertexField {
        VertexField { name: name.into(), values: (0..self.vertices).into_par_iter().map(of).collect() }
    }

    /// Sites with weight and sign inside a region, and the fraction of the region's area whose sign is undefined.
    pub fn select(&self, region: Option<&Region>) -> Selection {
        let inside = |i: &usize| self.weights_mm2[*i] > 0.0 && region.is_none_or(|r| r.contains(&self.points[*i]));
        let all: Vec<usize> = (0..self.points.len()).into_par_iter().filter(inside).collect();
        let area = |sites: &[usize]| sites.iter().map(|&i| self.weights_mm2[i]).sum::<f64>();
        let total = area(&all);
        let sites: Vec<usize> = all.into_iter().filter(|&i| !self.undefined[i]).collect();
        let undefined_fraction = if total > 0.0 { 1.0 - area(&sites) / total } else { 0.0 };
        Selection { sites, undefined_fraction }
    }
}

/// Places on the nominal that look for the actual part, with their outward unit normals.
pub struct SeenFrom<'a> {
    pub points: &'a [Point3<f64>],
    pub normals: &'a [Vector3<f64>],
}

impl SeenFrom<'_> {
    /// Deviation of the nearest surface, and whether it faces the same way and lies along the normal or no farther than `step_mm`.
    pub fn surface(&self, nearest: &[Signed], step_mm: f64) -> (Vec<f64>, Vec<bool>) {
        let facing = |i: usize| {
            // Beyond the edge of a scan the nearest built point lies sideways, not along the normal.
            let to = nearest[i].point - self.points[i];
            let along = to.norm() <= step_mm || to.dot(&self.normals[i]).abs() >= 0.5 * to.norm();
            along && nearest[i].normal.dot(&self.normals[i]) > 0.0
        };
        (nearest.iter().map(|s| -s.distance_mm).collect(), (0..nearest.len()).map(facing).collect())
    }

    /// The same of a cloud, whose points stand for discs of radius `aside_mm` along the nominal: how far the disc of the nearest point lies, and
    /// whether it faces the place. `normals` are those of the nominal where it is nearest to each point.
    pub fn cloud(&self, nearest: &[Nearest], normals: &[Vector3<f64>], aside_mm: f64) -> (Vec<f64>, Vec<bool>) {
        let look = |i: usize| {
            let to = nearest[i].point - self.points[i];
            let along = to.dot(&self.normals[i]);
            let aside = (to - self.normals[i] * along).norm();
            let beyond = (aside - aside_mm).max(0.0);
            let value = (along * along + beyond * beyond).sqrt().copysign(along);
            // Triangles of a cloud are its points.
            (value, beyond == 0.0 && normals[nearest[i].triangle as usize].dot(&self.normals[i]) > 0.0)
        };
        (0..nearest.len()).map(look).unzip()
    }
}

/// Sites that a quantity is taken over, in ascending order.
pub struct Selection {
    pub sites: Vec<usize>,
    pub undefined_fraction: f64,
}

impl Selection {
    /// Integral of a function of the values over the selected area, divided by that area.
    pub fn mean(&self, field: &Field, values: &[f64], of: impl Fn(f64) -> f64) -> Option<f64> {
        let (mut sum, mut area) = (0.0, 0.0);
        for &i in &self.sites {
            sum += field.weights_mm2[i] * of(values[i]);
            area += field.weights_mm2[i];
        }
        (area > 0.0).then(|| sum / area)
    }

    /// Smallest x such that the fraction `p` of the selected area has `of(value) <= x`, interpolated between sites.
    pub fn quantile(&self, field: &Field, values: &[f64], p: f64, of: impl Fn(f64) -> f64) -> Option<f64> {
        let mut pairs: Vec<(f64, f64)> = self.sites.iter().map(|&i| (of(values[i]), field.weights_mm2[i])).collect();
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let target = p * pairs.iter().map(|x| x.1).sum::<f64>();
        // Each site stands for its weight, half of it below its value.
        let (mut below, mut last) = (0.0, None::<(f64, f64)>);
        for &(value, weight) in &pairs {
            let middle = below + 0.5 * weight;
            if middle >= target {
                return Some(match last {
                    Some((v, m)) if middle > m => v + (value - v) * (target - m) / (middle - m),
                    _ => value,
                });
            }
            last = Some((value, middle));
            below += weight;
        }
        last.map(|l| l.0)
    }

    /// Extreme over the mesh's vertices.
    pub fn extreme(&self, field: &Field, values: &[f64], of: impl Fn(f64) -> f64) -> Option<f64> {
        self.sites.iter().take_while(|&&i| i < field.vertices).map(|&i| of(values[i])).reduce(f64::max)
    }

    /// Extreme over all sites.
    pub fn extreme_of_all(&self, values: &[f64], of: impl Fn(f64) -> f64) -> Option<f64> {
        self.sites.iter().map(|&i| of(values[i])).reduce(f64::max)
    }
}

/// The extraction operator for extremes: means over surface patches of a stated radius, because the extreme of many noisy
/// points is mostly noise. A patch is the selected sites within the radius of its centre whose normals are within 60 degrees
/// of the centre's (so the far side of a thin wall stays out); patches with less than half the area of the disc are left
/// out. Centres are one site per cell of half the radius.
pub struct Patches {
    members: Vec<Vec<(u32, f64)>>,
}

/// A disc is covered well enough from this fraction of its area on.
const LEAST_PATCH_AREA: f64 = 0.5;

impl Patches {
    pub fn new(field: &Field, selection: &Selection, radius_mm: f64) -> Result<Patches, Error> {
        let points: Vec<[f64; 3]> = selection.sites.iter().map(|&i| field.points[i].coords.into()).collect();
        if points.is_empty() {
            return Ok(Patches { members: vec![] });
        }
        let centres = one_per_cell(&points, 0.5 * radius_mm);
        let tree = kiddo::ImmutableKdTree::<f64, 3>::new_from_slice(&points).map_err(|e| Error::defect(format!("patch search: {e}")))?;
        let least = LEAST_PATCH_AREA * std::f64::consts::PI * radius_mm * radius_mm;
        let patch = |&centre: &usize| -> Option<Vec<(u32, f64)>> {
            let normal = field.normals[selection.sites[centre]];
            let near = tree.query(&points[centre]).within::<SquaredEuclidean<f64>>(radius_mm * radius_mm).execute();
            let mut sites: Vec<usize> = near.iter().map(|n| selection.sites[n.item as usize]).collect();
            sites.retain(|&i| field.normals[i].dot(&normal) > 0.5);
            sites.sort_unstable();
            let area: f64 = sites.iter().map(|&i| field.weights_mm2[i]).sum();
            (area >= least).then(|| sites.into_iter().map(|i| (i as u32, field.weights_mm2[i] / area)).collect())
        };
        Ok(Patches { members: centres.par_iter().filter_map(patch).collect() })
    }

    /// Sites of each patch with their shares of its area.
    pub fn members(&self) -> &[Vec<(u32, f64)>] {
        &self.members
    }

    /// Largest patch mean of `sign * value`.
    pub fn peak(&self, values: &[f64], sign: f64) -> Option<f64> {
        let mean = |patch: &Vec<(u32, f64)>| patch.iter().map(|&(i, w)| w * sign * values[i as usize]).sum::<f64>();
        self.members.iter().map(mean).reduce(f64::max)
    }
}

/// The first point of every occupied cell, in the points' order.
fn one_per_cell(points: &[[f64; 3]], cell: f64) -> Vec<usize> {
    let origin = Bounds::of(&points.iter().map(|p| Point3::from(*p)).collect::<Vec<_>>()).min;
    let mut keyed: Vec<([i64; 3], usize)> =
        points.iter().enumerate().map(|(i, p)| ([0, 1, 2].map(|a| ((p[a] - origin[a]) / cell).floor() as i64), i)).collect();
    keyed.sort_unstable();
    keyed.dedup_by_key(|k| k.0);
    let mut first: Vec<usize> = keyed.into_iter().map(|k| k.1).collect();
    first.sort_unstable();
    first
}
