//! Local least squares: the pose that minimises the area-weighted mean squared distance to the nominal surface.
//!
//! min Σ wᵢ d(R pᵢ + t)² with the exact closest point; the gradient of a distance is the unit vector from its closest point, so that
//! J = [(x − c) × n, n] is the exact Jacobian also at edges and vertices, and steps end where the gradient of the true objective vanishes
//! (not of a tangent-plane substitute). Half the squared distance to a polyhedron bends by nnᵀ before a face, I − eeᵀ before an edge along
//! e and I before a vertex: with these, Newton's steps converge where those of Gauss and Newton, who know nnᵀ alone, creep. What a second
//! turn does is left out (d over the lever, a thousandth); the steps are damped by Levenberg and stay where the surface holds the part.

use nalgebra::{Matrix6, Point3, Vector3, Vector6};
use rayon::prelude::*;

use super::field::{Field, Foot, foot};
use super::samples::Samples;
use crate::distance::{Feature, MeshDistance, Near, Nearest};
use crate::error::Error;
use crate::frame::{Bounds, Pose};
use crate::linear;
use crate::runtime::Runtime;
use crate::sum;

/// Directions weaker than this against the strongest are not moved along: the surface does not hold them.
pub(super) const HELD: f64 = 1e-8;

/// Area-weighted normal equations at a pose; parameters (rotation vector about the centre, translation), nominal frame.
#[derive(Clone)]
pub(super) struct Normal {
    /// JᵀJ: what the distances to the first order say.
    pub matrix: Matrix6<f64>,
    /// How the cost bends across edges and at vertices, beyond JᵀJ; near the minimum alone.
    bends: Option<Matrix6<f64>>,
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
    /// The start is near the minimum: steps know how the cost bends at edges and vertices. From afar they would creep where those of Gauss
    /// and Newton slide along the surface.
    pub near: bool,
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
    /// Where the closest point lies.
    triangle: u32,
    feature: Feature,
}

impl Problem<'_> {
    pub fn residual(&self, pose: &Pose, i: usize, seat: &mut u32) -> Residual {
        let x = pose.apply(&self.samples.points[i]);
        self.residual_of(&x, &self.nominal.nearest_from(&x, seat))
    }

    fn residual_of(&self, x: &Point3<f64>, near: &Nearest) -> Residual {
        let Foot { direction, distance_mm } = foot(self.nominal, x, near);
        Residual { distance_mm, at: *x, row: self.row(x, &direction), triangle: near.triangle, feature: near.feature }
    }

    /// How far a point goes along a unit vector with each parameter.
    fn row(&self, x: &Point3<f64>, n: &Vector3<f64>) -> Vector6<f64> {
        let moment = (x - self.centre).cross(n);
        Vector6::new(moment.x, moment.y, moment.z, n.x, n.y, n.z)
    }

    /// Rows of the directions besides that of the distance in which its square bends: none before a face, across an edge, all before a vertex.
    fn bent(&self, r: &Residual) -> impl Iterator<Item = Vector6<f64>> {
        let n = r.row.fixed_rows::<3>(3).into_owned();
        let directions = match r.feature {
            Feature::Face => [None, None],
            Feature::Edge(k) => {
                let corners = self.nominal.mesh().corners(r.triangle as usize);
                let [from, to] = [k, (k + 1) % 3].map(|k| corners[usize::from(k)]);
                [(to - from).cross(&n).try_normalize(0.0), None]
            }
            Feature::Vertex(_) => {
                let across = n.cross(&Vector3::ith(n.iamin(), 1.0)).try_normalize(0.0);
                [across, across.map(|a| n.cross(&a))]
            }
        };
        let at = r.at;
        directions.into_iter().flatten().map(move |t| self.row(&at, &t))
    }

    /// About the residuals of all samples, as a field has them.
    pub fn residuals_in(&self, field: &Field, pose: &Pose) -> Vec<Residual> {
        let of = |p: &Point3<f64>| {
            let at = pose.apply(p);
            let Foot { direction, distance_mm } = field.at(&at);
            Residual { distance_mm, at, row: self.row(&at, &direction), triangle: 0, feature: Feature::Face }
        };
        self.samples.points.iter().map(of).collect()
    }

    /// Residuals of all samples, on all cores; sooner for poses that follow each other closely.
    pub fn residuals(&self, trail: &mut Trail, pose: &Pose) -> Vec<Residual> {
        const RUN: usize = 256;
        let moved_mm = trail.go_on(pose);
        let run = |(points, near): (&[Point3<f64>], &mut [Near])| {
            let there: Vec<Point3<f64>> = points.iter().map(|p| pose.apply(p)).collect();
            let mut residuals = Vec::with_capacity(there.len());
            self.nominal.nearest_followed(&there, near, moved_mm, |x, near| residuals.push(self.residual_of(x, &near)));
            residuals
        };
        self.samples.points.par_chunks(RUN).zip(trail.near.par_chunks_mut(RUN)).flat_map_iter(run).collect()
    }

    fn normal(&self, residuals: &[Residual], until: Until) -> Normal {
        let limit = if until.kept < 1.0 { quantile(residuals, until.kept) } else { f64::INFINITY };
        let zero = || (0.0, 0.0, Vector6::<f64>::zeros(), Matrix6::<f64>::zeros(), Matrix6::<f64>::zeros());
        let (weight, cost, gradient, matrix, bends) = sum::fold(
            residuals.len(),
            zero,
            |mut a, i| {
                let r = &residuals[i];
                if r.distance_mm.abs() <= limit {
                    let w = self.samples.weights[i];
                    a.0 += w;
                    a.1 += w * r.distance_mm * r.distance_mm;
                    a.2 += r.row * (w * r.distance_mm);
                    add_square(&mut a.3, w, &r.row);
                    if until.near {
                        self.bent(r).for_each(|row| add_square(&mut a.4, w, &row));
                    }
                }
                a
            },
            |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2, a.3 + b.3, a.4 + b.4),
        );
        let weight = if weight > 0.0 { weight } else { 1.0 };
        let whole = |lower: Matrix6<f64>| Matrix6::from_fn(|r, c| lower[(r.max(c), r.min(c))] / weight);
        Normal { matrix: whole(matrix), bends: until.near.then(|| whole(bends)), gradient: gradient / weight, cost: cost / weight }
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
        let first = self.scaled(&normal.matrix);
        let damped = first + Matrix6::identity() * (damping * first.diagonal().max());
        let inverse = match &normal.bends {
            Some(bends) => held_inverse(&first, &(damped + self.scaled(bends))),
            None => linear::pseudo_inverse(&damped, HELD),
        };
        let step = inverse * self.scaled_gradient(&normal.gradient);
        Vector6::from_fn(|k, _| -step[k] * unit(k))
    }

    fn moved(&self, pose: &Pose, step: &Vector6<f64>) -> Pose {
        let turn = Pose::from_rotation_vector(step.fixed_rows::<3>(0).into_owned(), Vector3::zeros());
        let shift = self.centre.coords - turn.rotation * self.centre.coords + step.fixed_rows::<3>(3);
        pose.then(&Pose { rotation: turn.rotation, translation: shift })
    }

    /// Fits to all samples from a start, on all cores; fails only when cancelled.
    pub fn fit(&self, start: &Pose, until: Until, rt: &Runtime) -> Result<Refined, Error> {
        let mut trail = Trail::of(self.samples, start);
        let mut round = 0;
        self.solve(start, until, |pose| {
            rt.step("align", f64::from(round) / f64::from(until.iterations))?;
            round += 1;
            Ok(self.residuals(&mut trail, pose))
        })
    }

    /// Damped Newton's steps from a start, by the residuals that `at` gives for a pose; fails only where they do.
    pub fn solve<E>(&self, start: &Pose, until: Until, mut at: impl FnMut(&Pose) -> Result<Vec<Residual>, E>) -> Result<Refined, E> {
        let reach = 2.0 * self.gyration_mm;
        let mut pose = *start;
        let mut normal_at = |pose: &Pose| Ok(self.normal(&at(pose)?, until));
        let mut normal = normal_at(&pose)?;
        let (mut damping, mut last_step_mm) = (0.0, f64::INFINITY);
        for iteration in 1..=until.iterations {
            let step = self.step(&normal, damping);
            last_step_mm = step.fixed_rows::<3>(0).norm() * reach + step.fixed_rows::<3>(3).norm();
            if last_step_mm < until.step_mm {
                return Ok(Refined { pose, normal, iterations: iteration, converged: damping < 1.0, last_step_mm });
            }
            let trial = self.moved(&pose, &step);
            let there = normal_at(&trial)?;
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

/// Samples on their way from pose to pose: what can be nearest to each while it moves little.
pub(super) struct Trail {
    near: Vec<Near>,
    at: Pose,
    bounds: Bounds,
}

impl Trail {
    pub fn of(samples: &Samples, at: &Pose) -> Self {
        Trail { near: vec![Near::UNKNOWN; samples.len()], at: *at, bounds: Bounds::of(&samples.points) }
    }

    /// The next pose, and how far any sample moves to it (mm): no farther than the corner of their bounds that moves most.
    fn go_on(&mut self, pose: &Pose) -> f32 {
        const ROUNDING_MM: f64 = 1e-9;
        let corner = |k: usize| Point3::from([0, 1, 2].map(|a| if k >> a & 1 == 1 { self.bounds.max[a] } else { self.bounds.min[a] }));
        let moved_mm = (0..8).map(corner).map(|c| (pose.apply(&c) - self.at.apply(&c)).norm()).fold(0.0, f64::max);
        self.at = *pose;
        (moved_mm + ROUNDING_MM) as f32
    }
}

/// Inverse of a Hessian along the directions that distances hold: edges and vertices of a mesh hold a round part in its facets as well.
fn held_inverse(first: &Matrix6<f64>, hessian: &Matrix6<f64>) -> Matrix6<f64> {
    let (values, directions) = linear::eigen(first);
    let held = |k: usize| values[k] > HELD * values[0];
    let turned = directions.transpose() * hessian * directions;
    let reduced = Matrix6::from_fn(|r, c| if held(r) && held(c) { turned[(r, c)] } else { 0.0 });
    directions * linear::pseudo_inverse(&reduced, HELD) * directions.transpose()
}

/// Adds w r rᵀ to the lower triangle.
#[inline(always)]
fn add_square(lower: &mut Matrix6<f64>, w: f64, row: &Vector6<f64>) {
    for c in 0..6 {
        let wc = w * row[c];
        for k in c..6 {
            lower[(k, c)] += wc * row[k];
        }
    }
}

/// The distance that a fraction of the residuals does not exceed.
pub(super) fn quantile(residuals: &[Residual], fraction: f64) -> f64 {
    let mut distances: Vec<f64> = residuals.iter().map(|r| r.distance_mm.abs()).collect();
    let k = (((distances.len() as f64) * fraction) as usize).min(distances.len() - 1);
    *distances.select_nth_unstable_by(k, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Mesh;
    use crate::noise;

    /// Points before the faces, edges and vertices of an octahedron, and what they say of its place.
    #[test]
    fn the_bend_of_the_cost_tells_how_its_gradient_changes() {
        let mut corners = vec![];
        for axis in 0..3 {
            corners.extend([1.0, -1.0].map(|s| Point3::from(Vector3::ith(axis, 5.0 * s))));
        }
        let octant = |[x, y, z]: [u32; 3]| if (x + y + z) % 2 == 0 { [x, 2 + y, 4 + z] } else { [x, 4 + z, 2 + y] };
        let triangles = (0..8).map(|o| octant([o & 1, o >> 1 & 1, o >> 2])).collect();
        let nominal = MeshDistance::build(&Mesh::new(corners, triangles).expect("an octahedron"));
        let at = |i: u64| Point3::from([0, 1, 2].map(|a| 12.0 * noise::uniform(7, 3 * i + a) - 6.0));
        let points: Vec<_> = (0..500).map(at).collect();
        let samples = Samples { weights: vec![1.0 / 500.0; 500], points };
        let problem = Problem { nominal: &nominal, samples: &samples, centre: Point3::origin(), gyration_mm: 4.0 };
        let normal = |shift: Vector3<f64>| {
            let pose = Pose { translation: shift, ..Pose::identity() };
            problem.normal(
                &problem.residuals(&mut Trail::of(&samples, &pose), &pose),
                Until { step_mm: 0.0, iterations: 1, kept: 1.0, near: true },
            )
        };
        let here = normal(Vector3::zeros());
        let bends = here.bends.expect("asked for near the minimum");
        let hessian = (here.matrix + bends).fixed_view::<3, 3>(3, 3).into_owned();
        assert!(bends.norm() > 0.1 * here.matrix.norm(), "edges and vertices take part");
        for axis in 0..3 {
            let shift = Vector3::ith(axis, 1e-7);
            let change = (normal(shift).gradient - here.gradient).fixed_rows::<3>(3).into_owned();
            // The square is a quadratic but for points that pass from one feature to another: none of 500 in 1e-7 mm.
            assert!((change - hessian * shift).norm() < 1e-6 * 1e-7, "axis {axis}: {change} against {}", hessian * shift);
        }
    }
}
