//! Signed functions of points whose largest is lowered: what zones and touching shapes are the optimum of.

use nalgebra::Vector3;
use rayon::prelude::*;

use super::Kind;
use super::linear_program::{Plane, solve};
use super::local::{P, Row, State, distance};

/// Functions that enter a program at once, on each side.
pub(super) const AT_ONCE: usize = 250;
pub(super) const STEPS: usize = 250;
/// Gains below this, in units of the points' extent, are rounding.
pub(super) const GAIN: f64 = 1e-14;

/// What is sought from a least-squares fit of the same points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// [`super::minimum_zone`]
    Zone,
    /// [`super::inscribed`]
    Inscribed,
    /// [`super::circumscribed`]
    Circumscribed,
}

/// One problem: signed functions of the points whose largest is lowered.
pub(super) struct Problem<'a> {
    pub kind: Kind,
    pub goal: Goal,
    pub free: &'static [usize],
    pub points: &'a [Vector3<f64>],
}

/// Where a descent rests: value, state, multipliers by signed function.
pub(super) struct Rest {
    pub state: State,
    pub value: f64,
    pub gain: f64,
    pub active: Vec<((usize, bool), f64)>,
}

impl Problem<'_> {
    pub fn sides(&self) -> &'static [bool] {
        match (self.goal, self.kind) {
            (Goal::Zone, Kind::Line) | (Goal::Circumscribed, _) => &[true],
            (Goal::Inscribed, _) => &[false],
            (Goal::Zone, _) => &[false, true],
        }
    }

    pub fn value(&self, state: &State, (point, outside): (usize, bool)) -> (f64, Row) {
        let (d, row) = distance(self.kind, state, &self.points[point]);
        if outside { (d, row) } else { (-d, row.map(|x| -x)) }
    }

    pub fn largest(&self, state: &State, members: &[(usize, bool)]) -> f64 {
        members.iter().map(|m| self.value(state, *m).0).fold(f64::NEG_INFINITY, f64::max)
    }

    pub fn planes(&self, state: &State, members: &[(usize, bool)]) -> Vec<Plane> {
        let plane = |m: &(usize, bool)| {
            let (value, row) = self.value(state, *m);
            let mut slope = [0.0; P];
            self.free.iter().enumerate().for_each(|(k, &r)| slope[k] = row[r]);
            Plane { value, slope }
        };
        members.iter().map(plane).collect()
    }

    /// Lowers the largest value over some members until no linear program promises a gain.
    pub fn descend(&self, start: State, members: &[(usize, bool)]) -> Option<Rest> {
        let (mut state, mut reach) = (start, 0.1);
        let mut value = self.largest(&state, members);
        for _ in 0..STEPS {
            let planes = self.planes(&state, members);
            let program = solve(&planes, self.free.len(), reach)?;
            let gain = value - program.h;
            let named = || program.active.iter().map(|&(i, m)| (members[i], m)).collect();
            if gain <= GAIN || reach < 1e-15 {
                return Some(Rest { state, value, gain: gain.max(0.0), active: named() });
            }
            let mut step = [0.0; P];
            self.free.iter().enumerate().for_each(|(k, &r)| step[r] = program.x[k]);
            let trial = state.moved(&step);
            let there = self.largest(&trial, members);
            let size = step.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
            if value - there >= 0.1 * gain {
                if value - there > 0.7 * gain {
                    reach = (2.0 * reach).min(0.2);
                }
                (state, value) = (trial, there);
            } else {
                reach = 0.3 * size;
            }
        }
        let planes = self.planes(&state, members);
        let program = solve(&planes, self.free.len(), 1e-9)?;
        let active = program.active.iter().map(|&(i, m)| (members[i], m)).collect();
        Some(Rest { state, value, gain: (value - program.h).max(0.0), active })
    }

    /// The functions highest at a state, of those above a level: at most [`AT_ONCE`] a side.
    pub fn highest(&self, state: &State, above: f64) -> Vec<(usize, bool)> {
        let mut members = vec![];
        for &side in self.sides() {
            let mut over: Vec<(f64, usize)> =
                (0..self.points.len()).into_par_iter().map(|i| (self.value(state, (i, side)).0, i)).filter(|(v, _)| *v > above).collect();
            let order = |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
            if over.len() > AT_ONCE {
                over.select_nth_unstable_by(AT_ONCE, order);
                over.truncate(AT_ONCE);
            }
            members.extend(over.into_iter().map(|(_, i)| (i, side)));
        }
        members
    }
}
