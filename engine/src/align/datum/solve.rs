//! Lexicographic least squares over six degrees of freedom, and how sure its result is.
//!
//! Level k minimises Σ w (r + a·x)² over what the levels before it left free, subject to r + a·x ≤ 0 where the level stays
//! on the material's side. Each level then acts on errors ε of its residuals by a linear operator x = −L ε: exact for least squares,
//! and for touching places with the places that touch held. Rows are in lengths (rotations times the radius of gyration).

use nalgebra::{Matrix6, Point3, SMatrix, Vector6};
use rayon::prelude::*;

use super::super::correlated::{Observation, POINTS, Variogram, variograms};
use super::super::quadratic::{self, Constraint, UNKNOWNS, Unknowns};
use crate::linear::{eigen, pseudo_inverse};

/// Directions that a datum holds more weakly than this, against the strongest it holds, are left to the next.
const WEAK: f64 = 1e-4;
/// More patches than this are thinned for the covariance alone.
const MOST_PATCHES: usize = 2000;

/// The mean of a surface patch.
#[derive(Clone, Debug)]
pub(super) struct Patch {
    pub at: Point3<f64>,
    pub residual_mm: f64,
    pub row: Vector6<f64>,
    /// Displacement per unit of scale about the frame's centre (mm).
    pub arm_mm: f64,
    pub weight: f64,
    /// Standard deviation of the points within.
    pub scatter_mm: f64,
}

pub(super) struct Level {
    patches: Vec<Patch>,
    /// No patch may lie outside.
    touching: bool,
    /// Patches vary together over one surface; else each on its own.
    together: bool,
    /// Change of every residual by a common surface offset of one.
    offset: f64,
}

impl Level {
    /// Planes touch; round features have their size free, which takes the mean out of residuals and rows.
    pub fn of_feature(mut patches: Vec<Patch>, touching: bool) -> Level {
        if !touching {
            let total: f64 = patches.iter().map(|p| p.weight).sum();
            let (mut residual_mm, mut row, mut arm_mm) = (0.0, Vector6::zeros(), 0.0);
            for p in &patches {
                residual_mm += p.weight * p.residual_mm / total;
                row += p.row * (p.weight / total);
                arm_mm += p.weight * p.arm_mm / total;
            }
            for p in &mut patches {
                p.residual_mm -= residual_mm;
                p.row -= row;
                p.arm_mm -= arm_mm;
            }
        }
        Level { patches, touching, together: true, offset: f64::from(u8::from(touching)) }
    }

    pub fn of_points(patches: Vec<Patch>) -> Level {
        Level { patches, touching: false, together: false, offset: 1.0 }
    }

    fn normal(&self) -> Matrix6<f64> {
        self.patches.iter().fold(Matrix6::zeros(), |m, p| m + p.row * p.row.transpose() * p.weight)
    }
}

/// One step of the whole system and what each level held.
pub(super) struct Held {
    pub step: Vector6<f64>,
    pub rank: usize,
    /// Pull that is left along the directions held, of the last level's squares (mm²): zero at the solution.
    pub gradient: Vector6<f64>,
    pub solved: bool,
    levels: Vec<HeldLevel>,
}

struct HeldLevel {
    /// Directions held, with their weight.
    directions: Vec<(Vector6<f64>, f64)>,
    /// Patches that touch.
    active: Vec<usize>,
}

/// The step that all levels ask for, in their order.
pub(super) fn step(levels: &[Level]) -> Held {
    let mut held = Held { step: Vector6::zeros(), rank: 0, gradient: Vector6::zeros(), solved: true, levels: vec![] };
    let mut free = Matrix6::<f64>::identity();
    for level in levels {
        let whole = level.normal();
        let strongest = eigen(&whole).0[0];
        let projected: Matrix6<f64> = free * whole * free;
        let (values, vectors) = eigen(&projected);
        let directions: Vec<(Vector6<f64>, f64)> = (0..6)
            .filter(|&k| values[k] > WEAK * strongest && values[k] > 0.0)
            .map(|k| (vectors.column(k).into_owned(), values[k]))
            .collect();
        let within = |row: &Vector6<f64>| Unknowns::from_fn(|k, _| directions.get(k).map_or(0.0, |d| d.0.dot(row)));
        let residual = |p: &Patch| p.residual_mm + p.row.dot(&held.step);
        let scale = 1.0 / strongest.max(1e-300);
        let h = Unknowns::from_fn(|k, _| directions.get(k).map_or(1.0, |d| d.1 * scale));
        let g = level.patches.iter().fold(Unknowns::zeros(), |g, p| g + within(&p.row) * (p.weight * scale * residual(p)));
        let constraints: Vec<Constraint> = match level.touching {
            true => level.patches.iter().map(|p| Constraint { a: within(&p.row), b: -residual(p) }).collect(),
            false => vec![],
        };
        let found = quadratic::minimise(&h, &g, &constraints, 1e-12);
        held.solved &= found.solved;
        for (k, (direction, _)) in directions.iter().enumerate() {
            held.step += direction * found.x[k];
            held.gradient += direction * (h[k] * found.x[k]);
            free -= direction * direction.transpose();
        }
        held.rank += directions.len();
        held.levels.push(HeldLevel { directions, active: found.active.into_iter().map(|a| a.0).collect() });
    }
    held
}

/// How the solution answers to errors.
pub(super) struct Sure {
    pub covariance: Matrix6<f64>,
    /// Change per mm of a common surface offset, and per unit of scale about the centre.
    pub offset_response: Vector6<f64>,
    pub scale_response: Vector6<f64>,
}

pub(super) fn uncertainty(levels: &[Level], held: &Held) -> Sure {
    let mut sure = Sure { covariance: Matrix6::zeros(), offset_response: Vector6::zeros(), scale_response: Vector6::zeros() };
    for (level, held) in levels.iter().zip(&held.levels) {
        let (operator, own) = operator(level, held);
        let seen = level.patches.iter().zip(&operator).fold(Matrix6::zeros(), |m, (p, l)| m + l * p.row.transpose());
        let left = Matrix6::identity() - seen;
        let apply = |errors: &dyn Fn(&Patch) -> f64| {
            level.patches.iter().zip(&operator).fold(Vector6::zeros(), |sum: Vector6<f64>, (p, l)| sum + l * errors(p))
        };
        sure.offset_response = left * sure.offset_response - apply(&|_| level.offset);
        sure.scale_response = left * sure.scale_response - apply(&|p| p.arm_mm);
        sure.covariance = left * sure.covariance * left.transpose() + own;
    }
    sure
}

/// Rows of L, one a patch, and L V Lᵀ for the covariance V of the level's residuals.
fn operator(level: &Level, held: &HeldLevel) -> (Vec<Vector6<f64>>, Matrix6<f64>) {
    let rows = linear_operator(level, held);
    if !level.together {
        let own = level.patches.iter().zip(&rows).fold(Matrix6::zeros(), |m, (p, l)| m + l * l.transpose() * (p.scatter_mm * p.scatter_mm));
        return (rows, own);
    }
    // Many patches: every n-th stands for n, except those that touch.
    let every = level.patches.len().div_ceil(MOST_PATCHES);
    let chosen: Vec<(usize, f64)> = (0..level.patches.len())
        .filter_map(|i| match (held.active.contains(&i), i % every == 0) {
            (true, _) => Some((i, 1.0)),
            (false, true) => Some((i, every as f64)),
            (false, false) => None,
        })
        .collect();
    let sparse = level.patches.len().div_ceil(POINTS);
    let observations: Vec<Observation<6>> =
        level.patches.iter().step_by(sparse).map(|p| Observation { at: p.at, residual_mm: p.residual_mm, row: p.row }).collect();
    let spread = |v: &Variogram| {
        let parts: Vec<Matrix6<f64>> = chosen
            .par_iter()
            .map(|&(i, share)| {
                let reach = chosen.iter().fold(Vector6::zeros(), |sum: Vector6<f64>, &(j, other)| {
                    sum + rows[j] * (other * if i == j { v.total_mm2() } else { v.between(&level.patches[i].at, &level.patches[j].at) })
                });
                rows[i] * reach.transpose() * share
            })
            .collect();
        parts.iter().fold(Matrix6::zeros(), |m, p| m + p)
    };
    let [gaussian, exponential] = variograms(&observations).map(|v| spread(&v));
    (rows, if exponential.trace() > gaussian.trace() { exponential } else { gaussian })
}

/// Least squares with the touching places held: y = −(K_yy Aᵀ W ε + K_yu ε_active), K the inverse of [Λ Cᵀ; C 0].
fn linear_operator(level: &Level, held: &HeldLevel) -> Vec<Vector6<f64>> {
    let directions = &held.directions;
    let within = |row: &Vector6<f64>| Unknowns::from_fn(|k, _| directions.get(k).map_or(0.0, |d| d.0.dot(row)));
    let out = |y: &Unknowns| directions.iter().enumerate().fold(Vector6::zeros(), |sum: Vector6<f64>, (k, d)| sum + d.0 * y[k]);
    let inverse = Unknowns::from_fn(|k, _| directions.get(k).map_or(0.0, |d| 1.0 / d.1));
    let touching: Vec<Unknowns> = held.active.iter().take(UNKNOWNS).map(|&i| within(&level.patches[i].row)).collect();
    let m = touching.len();
    let gram = SMatrix::<f64, UNKNOWNS, UNKNOWNS>::from_fn(|i, j| {
        if i < m && j < m { touching[i].dot(&inverse.component_mul(&touching[j])) } else { 0.0 }
    });
    let gram = pseudo_inverse(&gram, 1e-12);
    // Columns of K_yu = Λ⁻¹ Cᵀ S⁻¹.
    let pull: Vec<Unknowns> =
        (0..m).map(|j| (0..m).fold(Unknowns::zeros(), |sum, i| sum + inverse.component_mul(&touching[i]) * gram[(i, j)])).collect();
    let mut rows: Vec<Vector6<f64>> = level
        .patches
        .iter()
        .map(|p| {
            let a = within(&p.row) * p.weight;
            let straight = inverse.component_mul(&a);
            let taken = (0..m).fold(Unknowns::zeros(), |sum, i| sum + pull[i] * touching[i].dot(&straight));
            out(&(straight - taken))
        })
        .collect();
    held.active.iter().take(UNKNOWNS).zip(&pull).for_each(|(&i, column)| rows[i] += out(column));
    rows
}
