//! What a perfect measurement of the built parts would give: the definitions of the quantities, applied to the solids themselves.
//!
//! Points are vertices on the zero set of the built solid, weighted by their share of the surface; distances are Newton steps on
//! the solids. The pose is the area-weighted least-squares best fit. Truth to about 1 µm (the cells are 0.12 mm).

use nalgebra::{Matrix6, Point3, Vector3, Vector6};
use rayon::prelude::*;

use super::super::{Fineness, PhantomError, Solid, surface_mesh, volume_within_mm3};
use super::{Built, bounds, built, design, site};
use crate::frame::{Bounds, Pose};
use crate::sum;

/// A region of the order, by name; all of the part for `None`.
pub fn is_within(region: Option<&str>, p: &Point3<f64>) -> bool {
    match region {
        None => true,
        Some("hole") => {
            let [from, to, radius] = HOLE;
            let axis = Vector3::from(to) - Vector3::from(from);
            let along = (p.coords - Vector3::from(from)).dot(&axis) / axis.norm_squared();
            (0.0..=1.0).contains(&along) && (p.coords - Vector3::from(from) - axis * along).norm() <= radius[0]
        }
        Some(name) => BOXES.iter().any(|(n, min, max)| *n == name && (0..3).all(|a| min[a] <= p[a] && p[a] <= max[a])),
    }
}

/// Box regions of the order: name, min, max.
pub const BOXES: [(&str, [f64; 3], [f64; 3]); 3] = [
    ("lower_face", [1.0, 1.0, -0.5], [13.0, 9.0, 0.5]),
    ("ridge", [8.3, 2.8, 7.9], [10.7, 8.4, 9.2]),
    ("porous", [0.6, 1.4, 1.1], [6.0, 8.6, 6.5]),
];
/// The hole's cylinder: from, to, and the radius in the first place.
pub const HOLE: [[f64; 3]; 3] = [[10.5, 2.0, 3.8], [10.5, 9.0, 3.8], [1.5, 0.0, 0.0]];

/// A built part after best fit.
pub struct Measured {
    part: Solid,
    /// Points of the built surface in the nominal frame, by rising x.
    points: Vec<Point3<f64>>,
    areas: Vec<f64>,
    deviations: Vec<f64>,
    /// Points of the nominal surface and their distance to the built one.
    nominal: Vec<(Point3<f64>, f64, f64)>,
    pub nominal_from_built: Pose,
}

/// Measures a built part against the design.
pub fn measured(part: Built) -> Result<Measured, PhantomError> {
    let fine = Fineness { cell_mm: 0.12, simplify_mm: None };
    let (design, part) = (design(), built(part));
    let mesh = surface_mesh(&part, &bounds(), fine)?;
    let areas = mesh.vertex_areas_mm2();
    let pose = best_fit(&design, mesh.vertices(), &areas);
    let part = part.moved(pose);
    let mut sorted: Vec<_> = mesh.vertices().iter().map(|p| pose.apply(p)).zip(areas).collect();
    sorted.sort_by(|a, b| a.0.x.total_cmp(&b.0.x));
    let (points, areas): (Vec<_>, Vec<_>) = sorted.into_iter().unzip();
    let deviations = points.par_iter().map(|p| signed_distance(&design, p)).collect();
    let nominal_mesh = surface_mesh(&design, &bounds(), fine)?;
    let gap = |(p, a): (&Point3<f64>, f64)| (*p, a, signed_distance(&part, p).abs());
    let nominal = nominal_mesh.vertices().par_iter().zip(nominal_mesh.vertex_areas_mm2()).map(gap).collect();
    Ok(Measured { part, points, areas, deviations, nominal, nominal_from_built: pose })
}

impl Measured {
    /// The true value of a quantity of the order; `None` if this page does not know it.
    pub fn value(&self, quantity: &str, region: Option<&str>, patch_mm: f64, within: [f64; 2]) -> Option<f64> {
        let here = |i: &usize| is_within(region, &self.points[*i]);
        let chosen: Vec<usize> = (0..self.points.len()).filter(here).collect();
        let weighted = |value: &dyn Fn(usize) -> f64| chosen.iter().map(|&i| (value(i), self.areas[i])).collect::<Vec<_>>();
        let nominal_here = self.nominal.iter().filter(|n| is_within(region, &n.0)).map(|&(_, area, gap)| (gap, area)).collect();
        match quantity {
            "deviation.mean" => mean(&weighted(&|i| self.deviations[i])),
            "deviation.abs_p99" => percentile(weighted(&|i| self.deviations[i].abs()), 0.99),
            "deviation.in_tolerance" => mean(&weighted(&|i| f64::from(u8::from((within[0]..=within[1]).contains(&self.deviations[i]))))),
            "deviation.peak_min" => chosen.par_iter().map(|&i| self.patch_mean(i, patch_mm)).reduce_with(f64::min),
            "deviation.peak_max" => chosen.par_iter().map(|&i| self.patch_mean(i, patch_mm)).reduce_with(f64::max),
            "deviation.missing_p95" => percentile(nominal_here, 0.95),
            // Every point of the design has built surface beside it.
            "deviation.coverage" => Some(1.0),
            "body.volume" => Some(volume_within_mm3(&self.part, &bounds(), 0.07)),
            "shrinkage.isotropic" => Some(100.0 * (1.0 - super::BUILT_SCALE)),
            "shrinkage.offset" => Some(super::BUILT_OFFSET_MM),
            "porosity.total" | "porosity.open" => {
                let (_, min, max) = BOXES.iter().find(|b| Some(b.0) == region)?;
                let bounds = Bounds { min: Point3::from(*min), max: Point3::from(*max) };
                Some(1.0 - volume_within_mm3(&self.part, &bounds, 0.04) / (bounds.max - bounds.min).product())
            }
            // All channels meet, and twelve of them end in the face at x = 0.
            "porosity.closed" => Some(0.0),
            "fit.gap_mean" => mean(&self.gaps(&chosen)),
            "fit.gap_max" => self.gaps(&chosen).iter().map(|g| g.0).reduce(f64::max),
            "fit.interference_max" => self.gaps(&chosen).iter().map(|g| (-g.0).max(0.0)).reduce(f64::max),
            _ => None,
        }
    }

    fn gaps(&self, chosen: &[usize]) -> Vec<(f64, f64)> {
        let site = site();
        chosen.par_iter().map(|&i| (signed_distance(&site, &self.points[i]), self.areas[i])).collect()
    }

    /// Mean deviation over the surface within a radius of a point.
    fn patch_mean(&self, centre: usize, radius_mm: f64) -> f64 {
        let c = self.points[centre];
        let first = self.points.partition_point(|p| p.x < c.x - radius_mm);
        let last = self.points.partition_point(|p| p.x <= c.x + radius_mm);
        let near = (first..last).filter(|&i| (self.points[i] - c).norm_squared() <= radius_mm * radius_mm);
        let (sum, area) = near.fold((0.0, 0.0), |(s, a), i| (s + self.areas[i] * self.deviations[i], a + self.areas[i]));
        sum / area
    }
}

/// Distance to the foot point on the surface, with the sign of the side.
fn signed_distance(solid: &Solid, p: &Point3<f64>) -> f64 {
    (p - solid.foot(p)).norm() * solid.distance_mm(p).signum()
}

fn mean(values: &[(f64, f64)]) -> Option<f64> {
    let area: f64 = values.iter().map(|v| v.1).sum();
    (area > 0.0).then(|| values.iter().map(|v| v.0 * v.1).sum::<f64>() / area)
}

fn percentile(mut values: Vec<(f64, f64)>, share: f64) -> Option<f64> {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let goal = share * values.iter().map(|v| v.1).sum::<f64>();
    let mut below = 0.0;
    values.iter().find(|v| (below += v.1, below >= goal).1).map(|v| v.0)
}

/// Gauss-Newton on point-to-surface distances; the start is within 0.02 mm, so that four steps settle it.
fn best_fit(design: &Solid, points: &[Point3<f64>], areas: &[f64]) -> Pose {
    let centre = Bounds::of(points).centre();
    let mut pose = Pose::identity();
    for _ in 0..4 {
        let zero = || (Matrix6::<f64>::zeros(), Vector6::<f64>::zeros());
        let add = |(mut h, mut g): (Matrix6<f64>, Vector6<f64>), i: usize| {
            let p = pose.apply(&points[i]);
            let n = design.gradient(&p).try_normalize(1e-9).unwrap_or_else(Vector3::zeros);
            let turn = (p - centre).cross(&n);
            let j = Vector6::new(turn.x, turn.y, turn.z, n.x, n.y, n.z);
            h += j * j.transpose() * areas[i];
            g += j * (areas[i] * design.near_distance_mm(&p));
            (h, g)
        };
        let (h, g) = sum::fold(points.len(), zero, add, |a, b| (a.0 + b.0, a.1 + b.1));
        let step = h.cholesky().map_or_else(Vector6::zeros, |c| -c.solve(&g));
        let turn = Pose::from_rotation_vector(step.fixed_rows::<3>(0).into_owned(), Vector3::zeros());
        let about = centre.coords - turn.rotate(&centre.coords) + step.fixed_rows::<3>(3);
        pose = pose.then(&Pose { translation: about, ..turn });
    }
    pose
}
