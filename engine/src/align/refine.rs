//! Local least squares: the pose that minimises the area-weighted mean squared distance to the nominal surface.
//!
//! min Σ wᵢ d(R pᵢ + t)² with the exact closest point; the gradient of a distance is the unit vector from its closest point, so that
//! J = [(x − c) × n, n] is the exact Jacobian also at edges and vertices, and Gauss–Newton, damped by Levenberg, ends where the gradient
//! of the true objective vanishes (not of a tangent-plane substitute).

use nalgebra::{Matrix6, Point3, Vector3, Vector6};

use super::linear;
use super::samples::Samples;
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::frame::Pose;
use crate::runtime::Runtime;
use crate::sum;

/// Directions weaker than this against the strongest are not moved along: the surface does not hold them.
pub(super) const HELD: f64 = 1e-8;

/// Area-weighted normal equations at a pose; parameters (rotation vector about the centre, translation), nominal frame.
#[derive(Clone)]
pub(super) struct Normal {
    pub matrix: Matrix6<f64>,
    pub gradient: Vector6<f64>,
    /// Mean squared distance (mm²).
    pub cost: f64,
}

/// Where a local fit ended.
pub(super) struct Refined {
    pub pose: Pose,
    pub normal: Normal,
    pub iterations: u32,
    pub converged: bool,
    pub last_step_mm: f64,
}

/// When to stop.
#[derive(Clone, Copy)]
pub(super) struct Until {
    pub step_mm: f64,
    pub iterations: u32,
    /// Fraction of the weight, nearest first, that counts; 1 in every judged fit.
    pub kept: f64,
}

/// A surface, points to bring onto it, and what the closest triangles were last time.
pub(super) struct Problem<'a> {
    pub nominal: &'a MeshDistance,
    pub samples: &'a Samples,
    /// Rotations turn about this point of the nominal frame; its distance scale makes rotations comparable with translations.
    pub centre: Point3<f64>,
    pub gyration_mm: f64,
}

/// One residual: distance, + in front of its triangle, and its gradient over the six parameters.
#[derive(Clone, Copy)]
pub(super) struct Residual {
    pub distance_mm: f64,
    pub at: Point3<f64>,
    pub row: Vector6<f64>,
}

impl Problem<'_> {
    pub fn residual(&self, pose: &Pose, i: usize, seat: &mut u32) -> Residual {
        let x = pose.apply(&self.samples.points[i]);
        let near = self.nominal.nearest_from(&x, seat);
        let face = self.nominal.mesh().area_vector(near.triangle as usize);
        // Turned to the front of the triangle, so that residuals change sign through the surface.
        let (n, distance_mm) = match (x - near.point).try_normalize(1e-12) {
            Some(n) if n.dot(&face) < 0.0 => (-n, -near.distance_mm),
            Some(n) => (n, near.distance_mm),
            None => (face.try_normalize(0.0).unwrap_or_else(Vector3::zeros), near.distance_mm),
        };
        let moment = (x - self.centre).cross(&n);
        Residual { distance_mm, at: x, row: Vector6::new(moment.x, moment.y, moment.z, n.x, n.y, n.z) }
    }

    /// Residuals of all samples, in parallel; `seats` are read and renewed.
    pub fn residuals(&self, pose: &Pose, seats: &mut [u32]) -> Vec<Residual> {
        use rayon::prelude::*;
        let residual = |(i, seat): (usize, &mut u32)| self.residual(pose, i, seat);
        if seats.len() < 2048 {
            return seats.iter_mut().enumerate().map(residual).collect(); // searches run many small fits side by side
        }
        seats.par_iter_mut().enumerate().map(residual).collect()
    }

    fn normal(&self, residuals: &[Residual], kept: f64) -> Normal {
        let limit = if kept < 1.0 { quantile(residuals, kept) } else { f64::INFINITY };
        let zero = || (0.0, 0.0, Vector6::<f64>::zeros(), Matrix6::<f64>::zeros());
        let (weight, cost, gradient, matrix) = sum::fold(
            residuals.len(),
            zero,
            |mut a, i| {
                let r = &residuals[i];
                if r.distance_mm.abs() <= limit {
                    let w = self.samples.weights[i];
                    a.0 += w;
                    a.1 += w * r.distance_mm * r.distance_mm;
                    a.2 += r.row * (w * r.distance_mm);
                    for c in 0..6 {
                        let wc = w * r.row[c];
                        for k in c..6 {
                            a.3[(k, c)] += wc * r.row[k];
                        }
                    }
                }
                a
            },
            |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2, a.3 + b.3),
        );
        let weight = if weight > 0.0 { weight } else { 1.0 };
        let matrix = Matrix6::from_fn(|r, c| matrix[(r.max(c), r.min(c))] / weight);
        Normal { matrix, gradient: gradient / weight, cost: cost / weight }
    }

    /// The normal matrix with rotations in units of the radius of gyration, so that its eigenvalues compare.
    pub fn scaled(&self, matrix: &Matrix6<f64>) -> Matrix6<f64> {
        let unit = |k: usize| if k < 3 { 1.0 / self.gyration_mm } else { 1.0 };
        Matrix6::from_fn(|r, c| matrix[(r, c)] * unit(r) * unit(c))
    }

    pub fn scaled_gradient(&self, gradient: &Vector6<f64>) -> Vector6<f64> {
        Vector6::from_fn(|k, _| if k < 3 { gradient[k] / self.gyration_mm } else { gradient[k] })
    }

    fn step(&self, normal: &Normal, damping: f64) -> Vector6<f64> {
        let unit = |k: usize| if k < 3 { 1.0 / self.gyration_mm } else { 1.0 };
        let mut matrix = self.scaled(&normal.matrix);
        let strongest = matrix.diagonal().max();
        for k in 0..6 {
            matrix[(k, k)] += damping * strongest;
        }
        let gradient = self.scaled_gradient(&normal.gradient);
        let step = linear::pseudo_inverse(&matrix, HELD) * gradient;
        Vector6::from_fn(|k, _| -step[k] * unit(k))
    }

    fn moved(&self, pose: &Pose, step: &Vector6<f64>) -> Pose {
        let turn = Pose::from_rotation_vector(step.fixed_rows::<3>(0).into_owned(), Vector3::zeros());
        let shift = self.centre.coords - turn.rotation * self.centre.coords + step.fixed_rows::<3>(3);
        pose.then(&Pose { rotation: turn.rotation, translation: shift })
    }

    pub fn solve(&self, start: &Pose, seats: &mut [u32], until: Until, rt: Option<&Runtime>) -> Result<Refined, Error> {
        let reach = 2.0 * self.gyration_mm;
        let mut pose = *start;
        let mut normal = self.normal(&self.residuals(&pose, seats), until.kept);
        let (mut damping, mut last_step_mm) = (0.0, f64::INFINITY);
        for iteration in 1..=until.iterations {
            if let Some(rt) = rt {
                rt.step("align", f64::from(iteration) / f64::from(until.iterations))?;
            }
            let step = self.step(&normal, damping);
            last_step_mm = step.fixed_rows::<3>(0).norm() * reach + step.fixed_rows::<3>(3).norm();
            if last_step_mm < until.step_mm {
                return Ok(Refined { pose, normal, iterations: iteration, converged: damping < 1.0, last_step_mm });
            }
            let trial = self.moved(&pose, &step);
            let there = self.normal(&self.residuals(&trial, seats), until.kept);
            // Rounding may lift a cost that is at its floor; a trimmed cost may rise as its members change.
            if there.cost <= normal.cost * (1.0 + 1e-13) + 1e-28 || until.kept < 1.0 {
                (pose, normal, damping) = (trial, there, if damping > 1e-7 { damping * 0.1 } else { 0.0 });
            } else {
                damping = if damping == 0.0 { 1e-4 } else { damping * 10.0 };
                if damping > 1e6 {
                    break;
                }
            }
        }
        Ok(Refined { pose, normal, iterations: until.iterations, converged: false, last_step_mm })
    }
}

/// The distance that a fraction of the residuals does not exceed.
pub(super) fn quantile(residuals: &[Residual], fraction: f64) -> f64 {
    let mut distances: Vec<f64> = residuals.iter().map(|r| r.distance_mm.abs()).collect();
    let k = (((distances.len() as f64) * fraction) as usize).min(distances.len() - 1);
    *distances.select_nth_unstable_by(k, f64::total_cmp).1
}
