//! How much lower the largest distance could be anywhere near a zone that was found: a proof, not a search.
//!
//! Along a straight path of the parameters a distance bends by at most a known amount, so it lies above its tangent less half of that times the
//! step squared. The largest of the tangents is convex in the step: where it is higher on a cube around the zone (the least over its faces,
//! linear programs solved exactly) than in the middle, it stays so outside. Cubes of growing size, each with the bend that it allows, so bound
//! the largest distance of every shape between them. Steps are shifts and sizes in units of the points' extent, and tilts in rad.
//! Known limits: up to rounding; says nothing beyond its reach. Cost: some hundred small programs.

use rayon::prelude::*;

use super::Kind;
use super::linear_program::{Plane, least};
use super::local::State;
use super::problem::Problem;

/// No shape whose every step from the zone stays within the reach has a largest distance below the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound {
    pub value: f64,
    pub reach: f64,
}

/// The first cube, the ratio of each to the one before it, and the largest.
const FIRST: f64 = 1e-6;
const GROWTH: f64 = std::f64::consts::SQRT_2;
const LAST: f64 = 0.5;
/// The reach ends where the bound would fall below the value found by more than this share of it, or by rounding.
const SHARE: f64 = 1e-3;
const ROUNDING: f64 = 1e-12;

/// `value` is the largest distance of the members at the state.
pub(super) fn below(problem: &Problem, state: &State, value: f64, members: &[(usize, bool)]) -> Bound {
    let planes = problem.planes(state, members);
    let bends = Bends::of(problem, state, members);
    let lowered = |reach: f64| -> Vec<Plane> {
        let by = |(p, b): (&Plane, f64)| Plane { value: p.value - 0.5 * b * reach * reach, ..*p };
        planes.iter().zip(bends.within(reach)).map(by).collect()
    };
    let lowest = value - (SHARE * value.abs()).max(ROUNDING);
    let free = problem.free.len();
    let Some(inner) = least(&lowered(FIRST), free, FIRST) else { return Bound { value: f64::NEG_INFINITY, reach: 0.0 } };
    let mut bound = Bound { value: inner, reach: FIRST };
    while bound.reach < LAST {
        let reach = bound.reach * GROWTH;
        let lowered = lowered(reach);
        let middle = lowered.iter().map(|p| p.value).fold(f64::NEG_INFINITY, f64::max);
        let Some(around) = least_around(&lowered, free, bound.reach) else { break };
        let shell = if around >= middle { around } else { middle + GROWTH * (around - middle) };
        if shell.is_nan() || shell < lowest {
            break;
        }
        bound = Bound { value: bound.value.min(shell), reach };
    }
    Bound { value: bound.value.min(value), ..bound }
}

/// The least, over the faces of a cube, of the largest of some linear functions.
fn least_around(planes: &[Plane], free: usize, reach: f64) -> Option<f64> {
    let face = |k: usize| {
        let (axis, at) = (k / 2, if k.is_multiple_of(2) { reach } else { -reach });
        let cut = |p: &Plane| {
            let mut slope = p.slope;
            slope.swap(axis, free - 1);
            Plane { value: p.value + p.slope[axis] * at, slope }
        };
        let cut: Vec<Plane> = planes.iter().map(cut).collect();
        least(&cut, free - 1, reach)
    };
    let faces: Vec<Option<f64>> = (0..2 * free).into_par_iter().map(face).collect();
    faces.into_iter().collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::min)
}

/// What bounds the second derivatives of the members' distances.
struct Bends {
    kind: Kind,
    /// Fastest tilt and shift of a step whose every entry changes at a rate of at most 1.
    turn: f64,
    shift: f64,
    members: Vec<Lie>,
    half_angle: f64,
}

/// Where a member lies: its distance from the point of reference, from the axis, and within its half plane from the circle (of a torus, amid the
/// tube) at the radius of the shape; and its side.
struct Lie {
    away: f64,
    off_axis: f64,
    off_tube: f64,
    outside: bool,
}

impl Bends {
    fn of(problem: &Problem, state: &State, members: &[(usize, bool)]) -> Bends {
        let frees = |which: std::ops::Range<usize>| (problem.free.iter().filter(|k| which.contains(k)).count() as f64).sqrt();
        let lie = |&(i, outside): &(usize, bool)| {
            let l = state.local(&problem.points[i]);
            let off_axis = (l.x * l.x + l.y * l.y).sqrt();
            let out = off_axis - state.radius;
            Lie { away: l.norm(), off_axis, off_tube: (out * out + l.z * l.z).sqrt(), outside }
        };
        Bends {
            kind: problem.kind,
            turn: frees(3..5),
            shift: frees(0..3),
            members: members.iter().map(lie).collect(),
            half_angle: if problem.kind == Kind::Cone { state.second } else { 0.0 },
        }
    }

    /// Bounds of minus the second derivative of every member over steps within a reach; infinite where none is known.
    ///
    /// A point seen from the moving shape has a speed of at most turn × distance + shift and an acceleration of at most
    /// turn² × distance + 2 × turn × shift. A distance from a point or an axis also bends outwards with the square of that speed over itself.
    fn within(&self, reach: f64) -> impl Iterator<Item = f64> {
        let over = |top: f64, bottom: f64| if bottom > 0.0 { top / bottom } else { f64::INFINITY };
        let steep = self.half_angle.abs() + reach >= std::f64::consts::FRAC_PI_2;
        self.members.iter().map(move |m| {
            let away = m.away + self.shift * reach;
            let speed = self.turn * away + self.shift;
            let push = self.turn * self.turn * away + 2.0 * self.turn * self.shift;
            let about_axis = over(speed * speed, m.off_axis - reach * speed);
            let bulge = |extra: f64| if m.outside { 0.0 } else { extra };
            match self.kind {
                Kind::Plane => push,
                Kind::Line | Kind::Circle | Kind::Cylinder => push + bulge(about_axis),
                Kind::Sphere => bulge(over(speed * speed, m.away - reach * speed)),
                Kind::Cone if steep => f64::INFINITY,
                // The section's line turns as the half angle changes.
                Kind::Cone => push + 2.0 * (speed + 1.0) + m.off_tube + reach * (speed + 1.0) + bulge(about_axis),
                Kind::Torus => {
                    let in_section = speed + 1.0;
                    push + about_axis + bulge(over(in_section * in_section, m.off_tube - reach * in_section))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::Vector3;

    use super::super::local::{P, distance};
    use super::super::problem::{Goal, Problem};
    use super::*;

    fn even(seed: u64, k: usize) -> f64 {
        2.0 * crate::noise::uniform(seed, k as u64) - 1.0
    }

    #[test]
    fn no_distance_falls_below_its_tangent_by_more_than_its_bend_allows() {
        let (mut tightest, mut tried) = (f64::INFINITY, 0);
        for seed in 0..200 {
            for kind in Kind::ALL {
                let v = |k: usize| Vector3::new(even(seed, k), even(seed, k + 1), even(seed, k + 2));
                let state = State::new(v(0), &v(3).normalize(), 0.6 + 0.3 * even(seed, 6), 0.25 + 0.1 * even(seed, 7));
                let points: Vec<Vector3<f64>> = (0..4).map(|k| v(10 + 3 * k)).collect();
                let problem = Problem { kind, goal: Goal::Zone, free: kind.free(), points: &points };
                let reach = 0.02 * (1.0 + even(seed, 8)) + 1e-4;
                let members: Vec<(usize, bool)> = (0..4).flat_map(|i| [(i, false), (i, true)]).collect();
                let bends: Vec<f64> = Bends::of(&problem, &state, &members).within(reach).collect();
                for (m, bend) in members.iter().zip(bends) {
                    for k in 0..4 {
                        let mut step = [0.0; P];
                        kind.free().iter().for_each(|&r| step[r] = reach * even(seed, 100 + 10 * k + r));
                        let (here, row) = distance(kind, &state, &points[m.0]);
                        let there = distance(kind, &state.moved(&step), &points[m.0]).0;
                        let tangent = here + (0..P).map(|r| row[r] * step[r]).sum::<f64>();
                        let left = if m.1 { there - tangent } else { tangent - there };
                        assert!(left >= -0.5 * bend * reach * reach - 1e-13, "{kind:?}, seed {seed}: {left} with a bend of {bend}");
                        tightest = tightest.min((left + 0.5 * bend * reach * reach) / (0.5 * bend * reach * reach).max(1e-9));
                        tried += 1;
                    }
                }
            }
        }
        // Worst cases are met at random, so the bound is not far too wide either.
        assert!(tried > 10_000 && tightest < 0.6, "the tightest of {tried} uses {:.2} of its bound", 1.0 - tightest);
    }
}
