//! Shrinkage: scale per axis and uniform surface offset, together with the pose.
//!
//! Measurand: factors s = actual ÷ nominal along the axes of the nominal frame (the build frame) and the offset o (mm, + is thicker) of
//! y = c + S (x − c) + o m, with m the outward normal. All are fitted at once with the six of the pose by area-weighted least squares of
//! signed distances: without the pose a scale tilts, without the offset (threshold, glaze, powder) it leaks into scale.
//! Columns of the linearised problem: [p × n, n, p_x n_x, p_y n_y, p_z n_z, 1].
//! Effects that the shape cannot tell apart (condition number of the column-scaled problem above 100) are named and dropped: first the
//! offset, which is then taken as 0 and carried as a sensitivity, then scales. On a plain box the offset is exactly a
//! combination of three scales.
//! Uncertainty: as of a pose, with residuals that vary together over the surface. The scale and temperature of the scanner are not in it.

use nalgebra::{Point3, SMatrix, SVector, Vector3};
use rayon::prelude::*;
use serde::Serialize;

use crate::align::{AlignError, Include, Moments, Observation, POINTS, Samples, covariance, included};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::frame::Pose;
use crate::linear::{eigen, pseudo_inverse};
use crate::mesh::Mesh;
use crate::runtime::Runtime;
use crate::sum;

/// Largest condition number of the column-scaled problem that is still called separable.
const CONDITION: f64 = 100.0;
const STEP: f64 = 1e-10;
const ITERATIONS: u32 = 60;
/// Rotation 0..3, translation 3..6, scales 6..9, offset 9.
const ALL: usize = 10;
const NAMES: [&str; ALL] = [
    "rotation about x",
    "rotation about y",
    "rotation about z",
    "translation along x",
    "translation along y",
    "translation along z",
    "scale along x",
    "scale along y",
    "scale along z",
    "surface offset",
];

/// A fitted value, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Estimate {
    Measured { value: f64, standard_uncertainty: f64 },
    NotMeasured { reason: String },
}

impl Estimate {
    pub fn value(&self) -> Option<f64> {
        match self {
            Estimate::Measured { value, .. } => Some(*value),
            Estimate::NotMeasured { .. } => None,
        }
    }
    pub fn standard_uncertainty(&self) -> Option<f64> {
        match self {
            Estimate::Measured { standard_uncertainty, .. } => Some(*standard_uncertainty),
            Estimate::NotMeasured { .. } => None,
        }
    }
}

/// Scale factors actual ÷ nominal, offset, and the pose fitted with them.
#[derive(Clone, Debug)]
pub struct Shrinkage {
    /// Along x, y, z of the nominal frame.
    pub per_axis: [Estimate; 3],
    /// One factor for all axes, from a fit of its own.
    pub isotropic: Estimate,
    pub offset_mm: Estimate,
    /// Pose of the per-axis fit; scales are about the centroid of the nominal surface.
    pub nominal_from_actual: Pose,
    /// Condition number of the column-scaled problem with all ten parameters.
    pub condition: f64,
    /// Effects that this shape cannot tell apart; empty where all ten were fitted.
    pub confounded: Vec<String>,
    /// Where the offset was taken as 0: change of each factor per mm of true offset.
    pub offset_sensitivity_per_mm: Option<[f64; 3]>,
    /// Root mean square (mm) of what the per-axis model leaves.
    pub rms_mm: f64,
    pub converged: bool,
}

/// Which parameters a model frees. The isotropic one ties the three scales.
#[derive(Clone, Copy, PartialEq)]
struct Model {
    isotropic: bool,
    offset: bool,
}

impl Model {
    /// One column a free parameter, over the ten.
    fn basis(self) -> Vec<SVector<f64, ALL>> {
        let unit = |k: usize| SVector::<f64, ALL>::from_fn(|r, _| f64::from(u8::from(r == k)));
        let mut columns: Vec<_> = (0..6).map(unit).collect();
        if self.isotropic {
            columns.push(unit(6) + unit(7) + unit(8));
        } else {
            columns.extend((6..9).map(unit));
        }
        if self.offset {
            columns.push(unit(9));
        }
        columns
    }
}

/// Where an iteration stands: the pose, the factors, the offset.
#[derive(Clone, Copy)]
struct State {
    pose: Pose,
    scale: Vector3<f64>,
    offset_mm: f64,
}

struct Fitted {
    state: State,
    covariance: SMatrix<f64, ALL, ALL>,
    information: SMatrix<f64, ALL, ALL>,
    rms_mm: f64,
    converged: bool,
}

#[derive(Clone)]
struct Row {
    at: Point3<f64>,
    residual_mm: f64,
    columns: SVector<f64, ALL>,
    weight: f64,
}

struct Problem<'a> {
    nominal: &'a MeshDistance,
    samples: Samples,
    centre: Point3<f64>,
    gyration_mm: f64,
}

/// Fits scale factors and offset, starting at a pose near the best fit. `include` takes points of the nominal frame.
pub fn fit(nominal: &MeshDistance, actual: &Mesh, start: &Pose, include: Option<Include>, rt: &Runtime) -> Result<Shrinkage, Error> {
    let moments = Moments::of(nominal.mesh()).ok_or(AlignError::NoArea { which: "nominal" })?;
    let all = Samples::judged(actual).ok_or(AlignError::NoArea { which: "actual" })?;
    let chosen = included(&all, start, include)?;
    let samples = all.select(chosen.into_iter());
    let problem = Problem { nominal, samples, centre: moments.centroid, gyration_mm: moments.gyration_mm() };

    let first = State { pose: *start, scale: Vector3::repeat(1.0), offset_mm: 0.0 };
    let rows = problem.rows(&first, &mut vec![0; problem.samples.len()]);
    let information = information(&rows);
    let full = Model { isotropic: false, offset: true };
    let (condition, weakest) = condition_of(&information, full);
    let mut confounded = if condition > CONDITION { names(&weakest) } else { vec![] };

    let (mut per_axis, mut model) = (None, full);
    for candidate in [full, Model { isotropic: false, offset: false }] {
        let (condition, weakest) = condition_of(&information, candidate);
        if condition <= CONDITION {
            per_axis = Some(problem.solve(first, candidate, rt)?);
            model = candidate;
            break;
        }
        names(&weakest).into_iter().for_each(|n| {
            if !confounded.contains(&n) {
                confounded.push(n)
            }
        });
    }
    let mut isotropic = None;
    for offset in [true, false] {
        let candidate = Model { isotropic: true, offset };
        if isotropic.is_none() && condition_of(&information, candidate).0 <= CONDITION {
            isotropic = Some(problem.solve(first, candidate, rt)?);
        }
    }
    Ok(problem.report(per_axis, model, isotropic, condition, confounded, first))
}

impl Problem<'_> {
    fn report(
        &self,
        per_axis: Option<Fitted>,
        model: Model,
        isotropic: Option<Fitted>,
        condition: f64,
        confounded: Vec<String>,
        first: State,
    ) -> Shrinkage {
        let reason = || {
            format!(
                "the shape cannot tell {} apart; a feature that faces the other way (a cavity, steps of other sizes) would",
                confounded.join(", ")
            )
        };
        let refused = || Estimate::NotMeasured { reason: reason() };
        let measured = |fitted: &Fitted, k: usize, value: f64| Estimate::Measured {
            value,
            standard_uncertainty: fitted.covariance[(k, k)].max(0.0).sqrt(),
        };
        let sensitivity = per_axis.as_ref().filter(|_| !model.offset).map(|f| self.offset_sensitivity(f, model));
        let main = per_axis.as_ref().or(isotropic.as_ref());
        Shrinkage {
            per_axis: [0, 1, 2].map(|k| per_axis.as_ref().map_or_else(refused, |f| measured(f, 6 + k, f.state.scale[k]))),
            isotropic: isotropic.as_ref().map_or_else(refused, |f| measured(f, 6, f.state.scale[0])),
            offset_mm: per_axis.as_ref().filter(|_| model.offset).map_or_else(refused, |f| measured(f, 9, f.state.offset_mm)),
            nominal_from_actual: main.map_or(first.pose, |f| f.state.pose),
            condition,
            offset_sensitivity_per_mm: sensitivity,
            rms_mm: main.map_or(f64::NAN, |f| f.rms_mm),
            converged: main.is_some_and(|f| f.converged),
            confounded,
        }
    }

    /// How a true offset of 1 mm would move the factors of a model that leaves it out.
    fn offset_sensitivity(&self, fitted: &Fitted, model: Model) -> [f64; 3] {
        let basis = model.basis();
        let inverse = reduced_inverse(&fitted.information, &basis);
        let pulled = fitted.information.column(9);
        // A true offset of 1 adds 1 to every residual, and the offset column is −1: the step is +(JᵀJ)⁻¹ Jᵀ (−1).
        [0, 1, 2].map(|k| (0..ALL).map(|c| inverse[(6 + k, c)] * pulled[c]).sum::<f64>())
    }

    fn rows(&self, state: &State, seats: &mut [u32]) -> Vec<Row> {
        seats.par_iter_mut().enumerate().filter_map(|(i, seat)| self.row(state, i, seat)).collect()
    }

    /// e = d(z) / |S⁻¹ n| − o at z = c + S⁻¹ (y − c): the distance in the frame of the actual, exact to first order for any S.
    fn row(&self, state: &State, i: usize, seat: &mut u32) -> Option<Row> {
        let y = state.pose.apply(&self.samples.points[i]) - self.centre;
        let shrunk = y.component_div(&state.scale);
        let z = self.centre + shrunk;
        let signed = self.nominal.signed_from(&z, seat);
        if !signed.sign_defined {
            return None;
        }
        let away = if signed.distance_mm < 0.0 { signed.point - z } else { z - signed.point };
        let n = away.try_normalize(1e-12).unwrap_or(signed.normal);
        let pulled = n.component_div(&state.scale);
        let stretch = pulled.norm();
        (stretch > 0.0).then(|| {
            let (m, turn) = (pulled / stretch, y.cross(&pulled) / stretch);
            let scales = -shrunk.component_mul(&n) / stretch; // ∂e/∂ log s
            Row {
                at: z,
                residual_mm: signed.distance_mm / stretch - state.offset_mm,
                columns: SVector::from([turn.x, turn.y, turn.z, m.x, m.y, m.z, scales.x, scales.y, scales.z, -1.0]),
                weight: self.samples.weights[i],
            }
        })
    }

    fn solve(&self, first: State, model: Model, rt: &Runtime) -> Result<Fitted, Error> {
        let basis = model.basis();
        let mut seats = vec![0; self.samples.len()];
        let (mut state, mut converged, mut damping) = (first, false, 0.0);
        let mut rows = self.rows(&state, &mut seats);
        for iteration in 0..ITERATIONS {
            rt.step("shrinkage", f64::from(iteration) / f64::from(ITERATIONS))?;
            let mut normal = information(&rows);
            for k in 0..ALL {
                normal[(k, k)] *= 1.0 + damping;
            }
            let gradient = sum::fold(
                rows.len(),
                SVector::<f64, ALL>::zeros,
                |a, i| a + rows[i].columns * (rows[i].weight * rows[i].residual_mm),
                |a, b| a + b,
            );
            let step = -(reduced_inverse(&normal, &basis) * gradient);
            let size = (step.fixed_rows::<3>(0).norm() + step.fixed_rows::<3>(6).norm()) * self.gyration_mm
                + step.fixed_rows::<3>(3).norm()
                + step[9].abs();
            if size < STEP * self.gyration_mm {
                converged = true;
                break;
            }
            let trial = self.moved(&state, &step);
            let there = self.rows(&trial, &mut seats);
            if mean_square(&there) <= mean_square(&rows) * (1.0 + 1e-13) + 1e-28 {
                (state, rows, damping) = (trial, there, if damping > 1e-7 { damping * 0.1 } else { 0.0 });
            } else {
                damping = if damping == 0.0 { 1e-4 } else { damping * 10.0 };
            }
        }
        let mut covariance = self.covariance(&rows, &basis);
        for k in 0..3 {
            // From log s to s.
            covariance.row_mut(6 + k).iter_mut().for_each(|x| *x *= state.scale[k]);
            covariance.column_mut(6 + k).iter_mut().for_each(|x| *x *= state.scale[k]);
        }
        Ok(Fitted { state, covariance, information: information(&rows), rms_mm: mean_square(&rows).sqrt(), converged })
    }

    fn moved(&self, state: &State, step: &SVector<f64, ALL>) -> State {
        let turn = Pose::from_rotation_vector(step.fixed_rows::<3>(0).into_owned(), Vector3::zeros());
        let translation = self.centre.coords - turn.rotation * self.centre.coords + step.fixed_rows::<3>(3);
        State {
            pose: state.pose.then(&Pose { rotation: turn.rotation, translation }),
            scale: Vector3::from_fn(|k, _| state.scale[k] * libm::exp(step[6 + k])),
            offset_mm: state.offset_mm + step[9],
        }
    }

    /// Covariance over all ten parameters, from about [`POINTS`] rows of equal weight.
    fn covariance(&self, rows: &[Row], basis: &[SVector<f64, ALL>]) -> SMatrix<f64, ALL, ALL> {
        let total: f64 = rows.iter().map(|r| r.weight).sum();
        let (mut observations, mut passed) = (Vec::with_capacity(POINTS), 0.0);
        for row in rows {
            passed += row.weight;
            if passed * POINTS as f64 >= total * (observations.len() as f64 + 0.5) {
                let mut reduced = SVector::<f64, ALL>::zeros();
                basis.iter().enumerate().for_each(|(k, b)| reduced[k] = row.columns.dot(b));
                observations.push(Observation { at: row.at, residual_mm: row.residual_mm, row: reduced });
            }
        }
        let reduced = covariance(&observations, 1e-6).0;
        let mut full = SMatrix::<f64, ALL, ALL>::zeros();
        for (i, a) in basis.iter().enumerate() {
            for (j, b) in basis.iter().enumerate() {
                full += a * b.transpose() * reduced[(i, j)];
            }
        }
        full
    }
}

fn mean_square(rows: &[Row]) -> f64 {
    let (weight, square) = sum::fold(
        rows.len(),
        || (0.0, 0.0),
        |a, i| (a.0 + rows[i].weight, a.1 + rows[i].weight * rows[i].residual_mm * rows[i].residual_mm),
        |a, b| (a.0 + b.0, a.1 + b.1),
    );
    square / weight
}

fn information(rows: &[Row]) -> SMatrix<f64, ALL, ALL> {
    let step = |a: SMatrix<f64, ALL, ALL>, i: usize| a + rows[i].columns * rows[i].columns.transpose() * rows[i].weight;
    sum::fold(rows.len(), SMatrix::<f64, ALL, ALL>::zeros, step, |a, b| a + b)
}

/// Inverse on the parameters that a basis frees, written over all ten.
fn reduced_inverse(information: &SMatrix<f64, ALL, ALL>, basis: &[SVector<f64, ALL>]) -> SMatrix<f64, ALL, ALL> {
    let n = basis.len();
    let unit: Vec<f64> = basis.iter().map(|b| b.dot(&(information * b)).max(1e-300).sqrt()).collect();
    // Unused parameters get a unit diagonal, so that one fixed size serves all models.
    let scaled = SMatrix::<f64, ALL, ALL>::from_fn(|r, c| match (r < n, c < n) {
        (true, true) => basis[r].dot(&(information * basis[c])) / (unit[r] * unit[c]),
        _ => f64::from(u8::from(r == c)),
    });
    let inverse = pseudo_inverse(&scaled, 1e-10);
    let mut full = SMatrix::<f64, ALL, ALL>::zeros();
    for i in 0..n {
        for j in 0..n {
            full += basis[i] * basis[j].transpose() * (inverse[(i, j)] / (unit[i] * unit[j]));
        }
    }
    full
}

/// Condition number of the column-scaled problem, and the weakest direction over the ten parameters.
fn condition_of(information: &SMatrix<f64, ALL, ALL>, model: Model) -> (f64, SVector<f64, ALL>) {
    let basis = model.basis();
    let n = basis.len();
    let unit: Vec<f64> = basis.iter().map(|b| b.dot(&(information * b)).max(0.0).sqrt()).collect();
    if let Some(empty) = unit.iter().position(|u| *u == 0.0) {
        return (f64::INFINITY, basis[empty]);
    }
    // Padding eigenvalues of 1 lie between the extremes of any column-scaled problem (its mean eigenvalue is 1).
    let padded = SMatrix::<f64, ALL, ALL>::from_fn(|r, c| match (r < n, c < n) {
        (true, true) => basis[r].dot(&(information * basis[c])) / (unit[r] * unit[c]),
        _ => f64::from(u8::from(r == c)),
    });
    let (values, vectors) = eigen(&padded);
    let weakest = (0..n).fold(SVector::<f64, ALL>::zeros(), |sum, k| sum + basis[k] * vectors[(k, ALL - 1)]);
    ((values[0] / values[ALL - 1].max(1e-300)).sqrt(), weakest)
}

/// The effects that take part in a direction.
fn names(direction: &SVector<f64, ALL>) -> Vec<String> {
    (0..ALL).filter(|&k| direction[k].abs() > 0.15).map(|k| NAMES[k].to_string()).collect()
}
