//! Levenberg and Marquardt's steps to rest from a start.

use nalgebra::{SMatrix, SVector};

use super::Kind;
use super::local::{P, Row, State, distance, height};
use super::unit::Unit;
use crate::linear::pseudo_inverse;
use crate::sum;

/// Plain steps below this, in units of the points' extent, end a fit.
const STEP: f64 = 1e-13;
/// Gains below this fraction of the mean square cannot be told from its rounding.
const TOLD: f64 = 1e-13;
/// Mean squares of this size are the rounding of coordinates.
const ROUNDING: f64 = 1e-31;

pub(super) type Square = SMatrix<f64, P, P>;

/// Normal equations at a state.
pub(super) struct Normal {
    information: Square,
    gradient: SVector<f64, P>,
    pub mean_square: f64,
}

pub(super) fn normal(kind: Kind, unit: &Unit, state: &State) -> Normal {
    let free = kind.free();
    let add = |mut a: Normal, weight: f64, (d, row): (f64, Row)| {
        for (k, &r) in free.iter().enumerate() {
            let w = weight * row[r];
            a.gradient[r] += w * d;
            free[..=k].iter().for_each(|&c| a.information[(r, c)] += w * row[c]);
        }
        a.mean_square += weight * d * d;
        a
    };
    let step = |mut a: Normal, i: usize| {
        let (p, w) = (&unit.points[i], unit.weights[i]);
        if kind == Kind::Circle {
            a = add(a, w, height(state, p));
        }
        add(a, w, distance(kind, state, p))
    };
    let zero = || Normal { information: Square::zeros(), gradient: SVector::zeros(), mean_square: 0.0 };
    let merge = |a: Normal, b: Normal| Normal {
        information: a.information + b.information,
        gradient: a.gradient + b.gradient,
        mean_square: a.mean_square + b.mean_square,
    };
    let mut total = sum::fold(unit.points.len(), zero, step, merge);
    for r in 0..P {
        (0..r).for_each(|c| total.information[(c, r)] = total.information[(r, c)]);
    }
    total
}

pub(super) struct Solved {
    pub state: State,
    pub mean_square: f64,
    pub iterations: u32,
    pub settled: bool,
    pub gradient: f64,
    pub information: Square,
}

/// Columns scaled to a unit diagonal; parameters that are not free or move nothing keep a diagonal of `unused`.
pub(super) fn scaled(information: &Square, unused: f64) -> (Square, [f64; P]) {
    let unit: [f64; P] = std::array::from_fn(|k| if information[(k, k)] > 1e-30 { 1.0 / information[(k, k)].sqrt() } else { 0.0 });
    let matrix = Square::from_fn(|r, c| {
        let value = information[(r, c)] * unit[r] * unit[c];
        if r == c && unit[r] == 0.0 { unused } else { value }
    });
    (matrix, unit)
}

/// Runs to rest from a start: damped while the squares still fall, then plain steps until rounding is all that is left of them.
pub(super) fn settle(kind: Kind, unit: &Unit, start: State, most: u32) -> Solved {
    let (mut state, mut damping) = (start, 1e-3);
    let mut here = normal(kind, unit, &state);
    let (mut iterations, mut settled) = (0, false);
    while iterations < most && damping < 1e9 {
        iterations += 1;
        let (step, gain) = here.step(damping);
        if !gain.is_finite() {
            break;
        }
        if gain <= TOLD * here.mean_square + ROUNDING && damping < 1e-6 {
            settled = true;
            break;
        }
        let trial = state.moved(&step);
        let there = normal(kind, unit, &trial);
        if there.mean_square <= here.mean_square {
            (state, here) = (trial, there);
            damping = if damping > 1e-9 { damping * 0.05 } else { 0.0 };
        } else if gain <= 1e3 * (TOLD * here.mean_square + ROUNDING) {
            // Rounding decides which of the two is the lower.
            settled = true;
            break;
        } else {
            damping = if damping < 1e-9 { 1e-6 } else { damping * 10.0 };
        }
    }
    let mut last = f64::INFINITY;
    while settled && iterations < 2 * most {
        iterations += 1;
        let (step, _) = here.step(0.0);
        let size = step.iter().map(|x| x * x).sum::<f64>().sqrt();
        if size.is_nan() || size >= 0.9 * last {
            break;
        }
        state = state.moved(&step);
        here = normal(kind, unit, &state);
        if size < STEP {
            break;
        }
        last = size;
    }
    Solved { state, mean_square: here.mean_square, iterations, settled, gradient: here.gradient.norm(), information: here.information }
}

impl Normal {
    /// The damped step, and how far it should lower the mean square.
    fn step(&self, damping: f64) -> (Row, f64) {
        let mut damped = self.information;
        (0..P).for_each(|k| damped[(k, k)] *= 1.0 + damping);
        let (matrix, scale) = scaled(&damped, 1.0);
        let g = SVector::<f64, P>::from_fn(|k, _| self.gradient[k] * scale[k]);
        let solution = pseudo_inverse(&matrix, 1e-16) * g;
        (std::array::from_fn(|k| -solution[k] * scale[k]), g.dot(&solution))
    }
}
