//! How sure a fitted shape is, and the shape of its surface without noise.
//!
//! Every effect on the points shifts the parameters by (JᵀWJ)⁻¹JᵀW δd, δd being the displacement along the shape's normal; so a short arc
//! carries its correlation of radius and centre into every quantity. Noise counts as one value in each cell of its correlation length;
//! what varies together beyond that (form, artefacts) is judged by restricted maximum likelihood from the residuals of points a cell apart. These
//! hold the noise too, which so counts as stated and as it shows: U of a fit covers the truth in 95 % and more.
//! Form is taken over patch means, because the range of many noisy points is mostly noise, and the range that noise alone would
//! give after the same filter is reported with it. Widths of zones obey the triangle inequality, so a measured width is off by no more than that of
//! the noise: its 95 % bound covers a perfect surface as often, and every other at least as often.

use kiddo::SquaredEuclidean;
use nalgebra::{Point3, SMatrix, SVector, Vector3};
use rayon::prelude::*;

use super::linear_program::{self, Plane};
use super::local::{P, Row};
use super::{Cloud, Kind, Shape, least_squares};
use crate::align::{Observation, POINTS, covariance};
use crate::error::Error;
use crate::frame::Bounds;
use crate::linear::{eigen, pseudo_inverse};
use crate::{noise, sum, uncertainty};

type Square = SMatrix<f64, P, P>;

/// What moves a fitted shape: each entry one standard uncertainty, as a step of its local parameters (mm, rad).
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// Name of the contribution and the step. Contributions of one name are independent of each other.
    pub(crate) steps: Vec<(&'static str, Row)>,
}

/// Name of the contribution of the edge blur: a blurred surface of mean curvature H moves by σ²H, and what corrects it knows σ to a tenth.
pub const BLUR: &str = "edge_blur";
const BLUR_KNOWN: f64 = 0.1;

/// Name of the contribution of the scanner's grid: where all points of a face lie alike on it, they are off alike, and no residual shows it.
pub const TEXTURE: &str = "surface_texture";

/// Name of the contribution of residuals that vary together.
pub const FIT: &str = "fit";

/// What is known of the points' errors.
#[derive(Clone, Copy)]
pub struct Errors<'a> {
    /// Standard uncertainty of each point along its normal from noise, mm.
    pub noise_mm: &'a [f32],
    /// Distance beyond which noise is independent, mm.
    pub noise_length_mm: f64,
    /// Standard uncertainty of a surface offset common to all points, mm.
    pub offset_mm: f64,
    /// Relative standard uncertainty of the length scale, and the point that it leaves in place.
    pub scale: f64,
    pub centre: Point3<f64>,
    /// Standard uncertainty of the place of a face all of whose points lie alike on the scanner's grid, mm; 0 for a mesh.
    pub texture_mm: f64,
    /// Edge blur of the scanner (standard deviation of its point spread), mm; 0 for a mesh.
    pub edge_sigma_mm: f64,
}

impl Shape {
    /// Mean curvature, 1/mm; of a torus where it is largest, of a cone amid the points.
    fn mean_curvature(&self) -> f64 {
        match self {
            Shape::Line { .. } | Shape::Plane { .. } | Shape::Circle { .. } => 0.0,
            Shape::Sphere { radius_mm, .. } => 1.0 / radius_mm,
            Shape::Cylinder { radius_mm, .. } => 0.5 / radius_mm,
            Shape::Cone { radius_mm, half_angle_rad, .. } => 0.5 * libm::cos(*half_angle_rad) / radius_mm,
            Shape::Torus { major_mm, minor_mm, .. } => 0.5 / minor_mm + 0.5 / (major_mm + minor_mm),
        }
    }

    /// The shape after a step of its local parameters.
    pub(crate) fn stepped(&self, step: &Row) -> Shape {
        let (kind, state) = self.state();
        Shape::of(kind, &state.moved(step))
    }

    /// The same shape at another place.
    pub fn moved_to(&self, place: Point3<f64>) -> Shape {
        let (kind, state) = self.state();
        Shape::of(kind, &super::local::State { at: place.coords, ..state })
    }
}

impl Spread {
    /// Of a shape fitted to points with outward normals of the material.
    pub fn of(shape: &Shape, cloud: &Cloud, errors: &Errors) -> Spread {
        let (points, n) = (cloud.points, cloud.points.len());
        let rows = least_squares::rows(shape, points);
        let free = shape.kind().free();
        // Parameters scaled to a unit diagonal, so that angles and lengths weigh alike in the inverse.
        let add = |mut a: Square, i: usize| {
            let (row, w) = (rows(i).1, cloud.weight(i));
            free.iter().for_each(|&r| free.iter().for_each(|&c| a[(r, c)] += w * row[r] * row[c]));
            if shape.kind() == Kind::Circle {
                let row = super::local::height(&shape.state().1, &points[i].coords).1;
                [2, 3, 4].iter().for_each(|&r| [2, 3, 4].iter().for_each(|&c| a[(r, c)] += w * row[r] * row[c]));
            }
            a
        };
        let information = sum::fold(n, Square::zeros, add, |a, b| a + b);
        let inverse = inverted(&information);
        let response = |along: &(dyn Fn(usize, &Vector3<f64>) -> f64 + Sync)| -> Row {
            let pull = |a: SVector<f64, P>, i: usize| {
                let (_, row, gradient) = rows(i);
                a + SVector::from(row) * (cloud.weight(i) * along(i, &gradient))
            };
            let total = sum::fold(n, SVector::<f64, P>::zeros, pull, |a, b| a + b);
            (-(inverse * total)).into()
        };
        let outward = |i: usize, gradient: &Vector3<f64>| cloud.normals.map_or(1.0, |normals| normals[i].dot(gradient));
        let mut steps = vec![
            (uncertainty::OFFSET, response(&|i, g| errors.offset_mm * outward(i, g))),
            (uncertainty::SCALE, response(&|i, g| errors.scale * (points[i] - errors.centre).dot(g))),
        ];
        let blur = 2.0 * BLUR_KNOWN * errors.edge_sigma_mm * errors.edge_sigma_mm * shape.mean_curvature();
        steps.push((BLUR, response(&|i, g| blur * outward(i, g))));
        if shape.kind() == Kind::Plane {
            steps.push((TEXTURE, response(&|i, g| errors.texture_mm * outward(i, g))));
        }
        let add_modes = |steps: &mut Vec<(&'static str, Row)>, name, c: &Square| {
            // Units differ, so each parameter is scaled to unit variance before the modes are taken.
            let unit: [f64; P] = std::array::from_fn(|k| c[(k, k)].max(0.0).sqrt());
            let scaled = Square::from_fn(|r, k| if unit[r] > 0.0 && unit[k] > 0.0 { c[(r, k)] / (unit[r] * unit[k]) } else { 0.0 });
            let (values, vectors) = eigen(&scaled);
            for (m, value) in values.iter().enumerate().filter(|(_, v)| **v > 0.0) {
                steps.push((name, std::array::from_fn(|k| value.sqrt() * vectors[(k, m)] * unit[k])));
            }
        };
        add_modes(&mut steps, uncertainty::NOISE, &noise_covariance(cloud, errors, &inverse, &rows));
        add_modes(&mut steps, FIT, &form_covariance(shape, cloud, errors, &rows));
        steps.retain(|(_, s)| s.iter().any(|x| *x != 0.0));
        Spread { steps }
    }
}

fn inverted(information: &Square) -> Square {
    let unit: [f64; P] = std::array::from_fn(|k| if information[(k, k)] > 0.0 { 1.0 / information[(k, k)].sqrt() } else { 0.0 });
    let inverse = pseudo_inverse(&Square::from_fn(|r, c| information[(r, c)] * unit[r] * unit[c]), 1e-15);
    Square::from_fn(|r, c| inverse[(r, c)] * unit[r] * unit[c])
}

/// H⁻¹ (Σ over cells of g gᵀ) H⁻¹ with g the summed pull of a cell's points, one standard uncertainty each.
fn noise_covariance(
    cloud: &Cloud,
    errors: &Errors,
    inverse: &Square,
    rows: &(impl Fn(usize) -> (f64, Row, Vector3<f64>) + Sync),
) -> Square {
    let n = cloud.points.len();
    if errors.noise_mm.iter().all(|u| *u == 0.0) {
        return Square::zeros();
    }
    let cells = cells(cloud.points, errors.noise_length_mm);
    let mut spread = Square::zeros();
    let mut from = 0;
    while from < n {
        let to = from + cells[from..].iter().take_while(|c| c.0 == cells[from].0).count();
        let pull = |(_, i): &([i64; 3], usize)| SVector::from(rows(*i).1) * (cloud.weight(*i) * f64::from(errors.noise_mm[*i]));
        let cell: SVector<f64, P> = cells[from..to].iter().map(pull).sum();
        spread += cell * cell.transpose();
        from = to;
    }
    inverse * spread * inverse
}

/// Points sorted by the cubic cell they lie in.
fn cells(points: &[Point3<f64>], edge_mm: f64) -> Vec<([i64; 3], usize)> {
    let origin = Bounds::of(points).min;
    let edge = edge_mm.max(1e-9);
    let key = |p: &Point3<f64>| [0, 1, 2].map(|a| ((p[a] - origin[a]) / edge).floor() as i64);
    let mut keyed: Vec<_> = points.par_iter().enumerate().map(|(i, p)| (key(p), i)).collect();
    keyed.par_sort_unstable();
    keyed
}

/// Of residuals at points a noise length apart, which share no noise: closer ones would make noise look like form of that length and hide the rest.
fn form_covariance(shape: &Shape, cloud: &Cloud, errors: &Errors, rows: &(impl Fn(usize) -> (f64, Row, Vector3<f64>) + Sync)) -> Square {
    if cloud.points.len() <= shape.kind().fewest() || shape.kind() == Kind::Line {
        return Square::zeros();
    }
    let apart = apart(cloud.points, errors.noise_length_mm);
    let observation = |&i: &usize| {
        let (residual_mm, row, _) = rows(i);
        Observation { at: cloud.points[i], residual_mm, row: SVector::from(row) }
    };
    let observations: Vec<Observation<P>> = apart.iter().map(observation).collect();
    let largest = observations.iter().map(|o| o.residual_mm.abs()).fold(0.0, f64::max);
    if largest < 1e-9 {
        return Square::zeros(); // rounding has no form
    }
    covariance(&observations, 1e-13).0
}

/// Fewest points that form is judged from, where there are so many.
const FEWEST: usize = 4 * P;

/// Points about a distance apart, one a cubic cell, at most [`POINTS`]; closer ones where so few would be left that they say nothing.
fn apart(points: &[Point3<f64>], distance_mm: f64) -> Vec<usize> {
    let mut edge = distance_mm.max(1e-9);
    let origin = Bounds::of(points).min;
    let chosen = |edge: f64| -> Vec<usize> {
        let off_centre = |&(key, i): &([i64; 3], usize)| {
            let centre = Vector3::from(key.map(|k| (k as f64 + 0.5) * edge));
            ((points[i] - origin - centre).norm_squared(), i)
        };
        let cells = cells(points, edge);
        let nearest = |cell: &[([i64; 3], usize)]| {
            cell.iter().map(off_centre).reduce(|a, b| if (b.0, b.1) < (a.0, a.1) { b } else { a }).map(|(_, i)| i)
        };
        cells.chunk_by(|a, b| a.0 == b.0).filter_map(nearest).collect()
    };
    let mut found = chosen(edge);
    for _ in 0..20 {
        if found.len() > POINTS {
            edge *= 1.02 * (found.len() as f64 / POINTS as f64).sqrt();
        } else if found.len() < FEWEST.min(points.len()) {
            edge *= 0.5;
        } else {
            break;
        }
        found = chosen(edge);
    }
    found.truncate(POINTS);
    found
}

/// A feature's points without noise.
pub struct Filtered {
    /// One point a patch: where its mean distance puts it.
    pub points: Vec<Point3<f64>>,
    /// Range of the patch means that noise alone would give.
    pub noise_range: NoiseRange,
    /// The same after the best fitting shape is taken out: the width of the minimum zone of noise.
    pub noise_zone: NoiseRange,
}

/// A range that noise alone would give, mm.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NoiseRange {
    pub mean_mm: f64,
    /// 95 of 100 are below.
    pub most_mm: f64,
}

impl NoiseRange {
    /// The 95 % quantile of a largest value (Gumbel 1958), from simulated ones.
    fn of(draws: &[f64]) -> NoiseRange {
        let n = draws.len().max(1) as f64;
        let mean_mm = draws.iter().sum::<f64>() / n;
        let variance = draws.iter().map(|d| (d - mean_mm) * (d - mean_mm)).sum::<f64>() / (n - 1.0).max(1.0);
        NoiseRange { mean_mm, most_mm: mean_mm + 1.866 * variance.sqrt() }
    }
}

/// Draws of noise behind a noise range.
const DRAWS: u64 = 64;

/// A draw of noise at a point, of unit variance: one value in each cubic cell, as fits count it, in a lattice that each draw shifts anew.
fn cellular(seed: u64, edge_mm: f64, p: &Point3<f64>) -> f64 {
    let cell = |a: usize| (p[a] / edge_mm.max(1e-9) + noise::uniform(seed, a as u64)).floor() as i64 as u64;
    noise::normal(seed, (0..3).fold(0, |key, a| noise::hash(key, cell(a))))
}

/// Means of the distance to the shape over surface patches of a radius. Patches with less than half the area of the disc stay out; where
/// points are too sparse, or the feature too narrow for any patch, the points stand as they are, with the noise that is theirs.
pub fn filtered(shape: &Shape, cloud: &Cloud, errors: &Errors, radius_mm: f64) -> Result<Filtered, Error> {
    let (points, n) = (cloud.points, cloud.points.len());
    let rows = least_squares::rows(shape, points);
    let distances: Vec<f64> = (0..n).into_par_iter().map(|i| rows(i).0).collect();
    let disc = std::f64::consts::PI * radius_mm * radius_mm;
    let typical = sum::sum(n, |i| cloud.weight(i)) / n.max(1) as f64;
    let sparse = cloud.weights.is_none() || radius_mm <= 0.0 || typical > 0.25 * disc || shape.kind() == Kind::Line;
    let members: Vec<Vec<(usize, f64)>> = if sparse { vec![] } else { patches(shape, cloud, radius_mm, 0.5 * disc)? };
    let patches = if !members.is_empty() { members } else { (0..n).map(|i| vec![(i, 1.0)]).collect() };
    let mean = |patch: &Vec<(usize, f64)>, of: &[f64]| patch.iter().map(|&(i, w)| w * of[i]).sum::<f64>();
    let moved = |patch: &Vec<(usize, f64)>| {
        // The patch's first member is its centre.
        let (p, d) = (points[patch[0].0], distances[patch[0].0]);
        p + shape.normal_at(&p) * (mean(patch, &distances) - d)
    };
    let draw = |k: u64| -> [f64; 2] {
        let seed = noise::hash(uncertainty::SEED, k);
        let at = |i: usize| f64::from(errors.noise_mm[i]) * cellular(seed, errors.noise_length_mm, &points[i]);
        let values: Vec<f64> = (0..n).map(at).collect();
        let means: Vec<f64> = patches.iter().map(|p| mean(p, &values)).collect();
        let ends = means.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], &x| [a.min(x), b.max(x)]);
        let range = ends[1] - ends[0];
        let row = |j: usize| rows(patches[j][0].0).1;
        [range, least_zone_mm(shape.kind(), &means, row).unwrap_or(range).min(range)]
    };
    let noisy = errors.noise_mm.iter().any(|u| *u > 0.0);
    let draws: Vec<[f64; 2]> = if noisy { (0..DRAWS).into_par_iter().map(draw).collect() } else { vec![] };
    let range = |which: usize| NoiseRange::of(&draws.iter().map(|d| d[which]).collect::<Vec<_>>());
    Ok(Filtered { points: patches.iter().map(moved).collect(), noise_range: range(0), noise_zone: range(1) })
}

/// Width of the minimum zone of small distances: what no shift, tilt or size of the shape can take out of them. `None` where zones are no ranges.
fn least_zone_mm(kind: Kind, distances_mm: &[f64], row: impl Fn(usize) -> Row) -> Option<f64> {
    let free = match kind {
        Kind::Line => return None,
        Kind::Circle => &[0, 1, 5],
        _ => kind.free(),
    };
    let plane = |(j, d): (usize, &f64)| {
        let row = row(j);
        let slope = |sign: f64| std::array::from_fn(|k| free.get(k).map_or(0.0, |&r| sign * row[r]));
        [Plane { value: *d, slope: slope(1.0) }, Plane { value: -d, slope: slope(-1.0) }]
    };
    let planes: Vec<Plane> = distances_mm.iter().enumerate().flat_map(plane).collect();
    // Steps of a millimetre and a radian are far beyond what noise asks for.
    Some(2.0 * linear_program::least(&planes, free.len(), 1.0)?)
}

/// Members of each patch with their shares of its area, the centre first.
fn patches(shape: &Shape, cloud: &Cloud, radius_mm: f64, least_mm2: f64) -> Result<Vec<Vec<(usize, f64)>>, Error> {
    let places: Vec<[f64; 3]> = cloud.points.iter().map(|p| p.coords.into()).collect();
    let tree = kiddo::ImmutableKdTree::<f64, 3>::new_from_slice(&places).map_err(|e| Error::defect(format!("patch search: {e}")))?;
    let normals: Vec<Vector3<f64>> = cloud.points.par_iter().map(|p| shape.normal_at(p)).collect();
    let mut centres = cells(cloud.points, 0.5 * radius_mm);
    centres.dedup_by_key(|c| c.0);
    let patch = |&(_, centre): &([i64; 3], usize)| {
        let near = tree.query(&places[centre]).within::<SquaredEuclidean<f64>>(radius_mm * radius_mm).execute();
        let mut members: Vec<usize> = near.iter().map(|n| n.item as usize).collect();
        members.retain(|&i| i != centre && normals[i].dot(&normals[centre]) > 0.5);
        members.sort_unstable();
        members.insert(0, centre);
        let area: f64 = members.iter().map(|&i| cloud.weight(i)).sum();
        (area >= least_mm2).then(|| members.into_iter().map(|i| (i, cloud.weight(i) / area)).collect())
    };
    Ok(centres.par_iter().filter_map(patch).collect())
}

/// Smallest and largest two-point size of a circle, sphere or cylinder (ISO 14405-1 LP), mm: each point with the one across, where there is
/// one within `reach_mm` of the place opposite.
pub fn two_point(shape: &Shape, points: &[Point3<f64>], reach_mm: f64) -> Option<[f64; 2]> {
    let radius = shape.radius_mm()?;
    let (kind, state) = shape.state();
    // Of a circle seen along its axis: its points may lie beside its plane.
    let off = |p: &Point3<f64>| super::local::distance(kind, &state, &p.coords).0;
    let places: Vec<[f64; 3]> = points.iter().map(|p| p.coords.into()).collect();
    let tree = kiddo::ImmutableKdTree::<f64, 3>::new_from_slice(&places).ok()?;
    let size = |p: &Point3<f64>| {
        let (d, n) = (off(p), shape.normal_at(p));
        let across = p - n * (2.0 * radius + d);
        let near = tree.query(&[across.x, across.y, across.z]).within::<SquaredEuclidean<f64>>(reach_mm * reach_mm).execute();
        let gap = |i: usize| (points[i] - across).norm_squared();
        let nearest = near.iter().map(|n| n.item as usize).reduce(|a, b| if (gap(b), b) < (gap(a), a) { b } else { a })?;
        Some(2.0 * radius + d + off(&points[nearest]))
    };
    let sizes: Vec<f64> = points.par_iter().filter_map(size).collect();
    let ends = sizes.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], &x| [a.min(x), b.max(x)]);
    (!sizes.is_empty()).then_some(ends)
}
