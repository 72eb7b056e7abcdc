//! Minimum zones, largest inscribed and smallest circumscribed shapes, with the proof that no small move improves them.
//!
//! The largest signed distance is lowered by successive linear programs within a trust region, over the points that matter; all others are
//! checked afterwards and join where they stand out. At rest the touching points have multipliers λ ≥ 0, Σλ = 1, whose weighted
//! gradients cancel: the certificate (Karush, Kuhn, Tucker). From the least-squares shape and from shifted copies, the best is kept.
//! [`bound`](super::bound) then proves how much better any shape near it could be.
//! A line's zone is the cylinder around it, or within a plane the strip; a circle's the ring in its least-squares plane.

use nalgebra::{Matrix3, Vector3};
use serde::Serialize;

use super::bound::{self, Bound};
use super::least_squares::Fit;
use super::local::{P, State, distance};
use super::problem::{AT_ONCE, GAIN, Goal, Problem, Rest, STEPS};
use super::unit::Unit;
use super::{Cloud, FeatureError, Kind, Shape};

const ROUNDS: usize = 60;
/// Weighted gradients that cancel to this prove a rest.
const CANCELLED: f64 = 1e-6;

/// A point that the zone touches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Contact {
    /// Index into the points given.
    pub point: usize,
    /// On the far side of the shape (outside, above) or the near.
    pub outside: bool,
    pub multiplier: f64,
}

/// Why no small move improves the result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Certificate {
    pub contacts: Vec<Contact>,
    /// Length of the sum of multiplier times gradient; 0 at an optimum. Angles in units of the points' extent.
    pub stationarity: f64,
    /// Gain that the last linear program still promised, mm.
    pub gain_mm: f64,
    /// By how much, at most, the zone's width or the touching diameter of any shape within reach is better, mm: proven, up to rounding.
    pub gap_mm: f64,
    /// The reach of that proof: shifts and changes of sizes up to so many mm, tilts and changes of a half angle up to so many rad.
    pub reach_mm: f64,
    pub reach_rad: f64,
    pub holds: bool,
}

/// A zone or a touching shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Middle of the zone, or the touching shape.
    pub shape: Shape,
    /// Distance between the two surfaces of the zone (diameter of a line's); of a touching shape the largest distance to it, mm.
    pub width_mm: f64,
    pub certificate: Certificate,
}

impl Goal {
    pub fn found(self, fit: &Fit, cloud: &Cloud) -> Result<Zone, FeatureError> {
        match self {
            Goal::Zone => minimum_zone(fit, cloud),
            Goal::Inscribed => inscribed(fit, cloud),
            Goal::Circumscribed => circumscribed(fit, cloud),
        }
    }

    pub fn name(self) -> &'static str {
        ["minimum_zone", "largest_inscribed", "smallest_circumscribed"][self as usize]
    }
}

/// The zone of least width, from a least-squares fit of the same points.
pub fn minimum_zone(fit: &Fit, cloud: &Cloud) -> Result<Zone, FeatureError> {
    optimum(Goal::Zone, fit, cloud)
}

/// The strip of least width in a plane that holds the points of a line as they are seen along the plane's normal (ISO 1101 straightness with an
/// intersection plane).
pub fn minimum_strip(fit: &Fit, cloud: &Cloud, normal: &Vector3<f64>) -> Result<Zone, FeatureError> {
    let (kind, at) = fit.shape.state();
    let (along, across) = (at.axis(), normal.cross(&at.axis()));
    let refuse = |why| Err(FeatureError::Degenerate { kind, why });
    if kind != Kind::Line {
        return Err(FeatureError::NotDefined { kind, what: "strip", allowed: "line" });
    }
    // Half as long seen along the normal: the line does not lie in that plane.
    let Some(across) = across.try_normalize(0.5 * normal.norm()).filter(|a| a.iter().all(|x| x.is_finite())) else {
        return refuse("they stand up from the plane that straightness is asked in");
    };
    let normal = normal.normalize();
    // A plane through the normal, which tilts about it alone.
    let frame = Matrix3::from_columns(&[normal, across.cross(&normal), across]);
    let unit = Unit::of(kind, cloud)?;
    let problem = Problem { kind: Kind::Plane, goal: Goal::Zone, free: &[2, 3], points: &unit.points };
    let start = State { frame, ..at }.scaled(kind, 1.0 / unit.scale, &(-unit.centre / unit.scale));
    let (rest, bound) = lowered(&problem, start)?;
    let zone = zone_of(&problem, &rest, &bound, &unit);
    let Shape::Plane { point, .. } = zone.shape else { return Ok(zone) };
    let direction = rest.state.frame.column(1).into_owned();
    Ok(Zone { shape: Shape::Line { point, direction: if direction.dot(&along) < 0.0 { -direction } else { direction } }, ..zone })
}

/// The largest circle, sphere or cylinder that holds no point.
pub fn inscribed(fit: &Fit, cloud: &Cloud) -> Result<Zone, FeatureError> {
    touching(Goal::Inscribed, fit, cloud)
}

/// The smallest circle, sphere or cylinder that holds every point.
pub fn circumscribed(fit: &Fit, cloud: &Cloud) -> Result<Zone, FeatureError> {
    touching(Goal::Circumscribed, fit, cloud)
}

fn touching(goal: Goal, fit: &Fit, cloud: &Cloud) -> Result<Zone, FeatureError> {
    match fit.shape.kind() {
        Kind::Circle | Kind::Sphere | Kind::Cylinder => optimum(goal, fit, cloud),
        kind => Err(FeatureError::NotDefined { kind, what: "touching shape", allowed: "circle, sphere and cylinder" }),
    }
}

fn optimum(goal: Goal, fit: &Fit, cloud: &Cloud) -> Result<Zone, FeatureError> {
    let (kind, at) = fit.shape.state();
    let unit = Unit::of(kind, cloud)?;
    let free: &'static [usize] = match (kind, goal) {
        (Kind::Circle, Goal::Zone) => &[0, 1, 5],
        (Kind::Circle, _) => &[0, 1],
        (_, Goal::Zone) => kind.free(),
        (Kind::Sphere, _) => &[0, 1, 2],
        _ => &[0, 1, 3, 4],
    };
    let problem = Problem { kind, goal, free, points: &unit.points };
    let (rest, bound) = lowered(&problem, at.scaled(kind, 1.0 / unit.scale, &(-unit.centre / unit.scale)))?;
    Ok(zone_of(&problem, &rest, &bound, &unit))
}

/// Lowers the largest of all distances from a start and its neighbours, and bounds what is left to gain.
fn lowered(problem: &Problem, start: State) -> Result<(Rest, Bound), FeatureError> {
    let (kind, count) = (problem.kind, problem.points.len());
    let first = centred(problem, start);
    let spread = problem.highest(&first, f64::NEG_INFINITY);
    // Extremes all round, not only where the first shape is worst.
    let stride = (count / AT_ONCE).max(1);
    let all_round = (0..count).step_by(stride).flat_map(|i| problem.sides().iter().map(move |&s| (i, s)));
    let mut members: Vec<(usize, bool)> = spread.into_iter().chain(all_round).collect();
    members.sort_unstable();
    members.dedup();

    let settled = |rest: Option<Rest>| rest.ok_or(FeatureError::NotSettled { kind, iterations: STEPS as u32 });
    let mut rest = settled(starts(problem, &first).into_iter().filter_map(|s| problem.descend(s, &members)).reduce(better))?;
    let mut rounds = 0;
    loop {
        let more = problem.highest(&rest.state, rest.value + GAIN);
        let before = members.len();
        members.extend(more);
        members.sort_unstable();
        members.dedup();
        if members.len() == before {
            break;
        }
        rounds += 1;
        if rounds == ROUNDS {
            return Err(FeatureError::NotSettled { kind, iterations: rounds as u32 });
        }
        rest = settled(problem.descend(rest.state, &members))?;
    }
    let bound = bound::below(problem, &rest.state, rest.value, &members);
    Ok((rest, bound))
}

/// Of two rests the lower; the first where rounding decides.
fn better(a: Rest, b: Rest) -> Rest {
    if b.value < a.value - 1e-13 { b } else { a }
}

/// The fit with its size or place in the middle of the points: its zone is then as wide as the range of its distances.
fn centred(problem: &Problem, mut state: State) -> State {
    if problem.goal == Goal::Zone && problem.kind != Kind::Line {
        let ends =
            |outside: bool| (0..problem.points.len()).map(|i| problem.value(&state, (i, outside)).0).fold(f64::NEG_INFINITY, f64::max);
        let middle = 0.5 * (ends(true) - ends(false));
        match problem.kind {
            Kind::Plane => state.at += state.axis() * middle,
            Kind::Cone => state.radius += middle / libm::cos(state.second),
            Kind::Torus => state.second += middle,
            _ => state.radius += middle,
        }
    }
    state
}

/// The fit, and copies shifted by the width of the zone: what lies in another hollow of a rough surface is found from there.
fn starts(problem: &Problem, first: &State) -> Vec<State> {
    let mut all = vec![*first];
    if problem.kind == Kind::Plane || problem.goal == Goal::Circumscribed {
        return all; // nearly convex: one start does
    }
    let width = (0..problem.points.len()).map(|i| distance(problem.kind, first, &problem.points[i]).0.abs()).fold(0.0, f64::max).min(0.3);
    for axis in 0..if problem.kind == Kind::Sphere { 3 } else { 2 } {
        for sign in [-1.0, 1.0] {
            let mut step = [0.0; P];
            step[axis] = sign * width;
            all.push(first.moved(&step));
        }
    }
    all
}

fn zone_of(problem: &Problem, rest: &Rest, bound: &Bound, unit: &Unit) -> Zone {
    let mut state = rest.state;
    match problem.goal {
        Goal::Zone => {}
        Goal::Inscribed => state.radius -= rest.value,
        Goal::Circumscribed => state.radius += rest.value,
    }
    let mut pull = [0.0; P];
    for (member, multiplier) in &rest.active {
        let (_, row) = problem.value(&rest.state, *member);
        problem.free.iter().for_each(|&r| pull[r] += multiplier * row[r]);
    }
    let stationarity = pull.iter().map(|x| x * x).sum::<f64>().sqrt();
    let width = match problem.goal {
        Goal::Zone => 2.0 * rest.value + 0.0, // no negative zero
        _ => (0..problem.points.len()).map(|i| distance(problem.kind, &state, &problem.points[i]).0.abs()).fold(0.0, f64::max),
    };
    let contacts = rest.active.iter().map(|&((point, outside), multiplier)| Contact { point, outside, multiplier }).collect();
    let state = state.scaled(problem.kind, unit.scale, &unit.centre);
    Zone {
        shape: Shape::of(problem.kind, &state),
        width_mm: unit.scale * width,
        certificate: Certificate {
            contacts,
            stationarity,
            gain_mm: unit.scale * rest.gain,
            gap_mm: 2.0 * unit.scale * (rest.value - bound.value),
            reach_mm: unit.scale * bound.reach,
            reach_rad: bound.reach,
            holds: stationarity < CANCELLED,
        },
    }
}
