//! Orthogonal least squares by Levenberg and Marquardt on local parameters (Shakarji 1998).

use nalgebra::{Point3, Vector3};

use super::local::{P, Row, STEEPEST, State, distance};
use super::settle::{Solved, Square, normal, scaled, settle};
use super::starts::starts;
use super::unit::Unit;
use super::{Cloud, FeatureError, Kind, Shape};
use crate::linear::eigen;
use crate::sum;

/// Points that starts are tried on; the fit itself runs over all.
const SAMPLE: usize = 1000;
const ITERATIONS: u32 = 200;
/// Eigenvalues of the column-scaled normal matrix below this fraction of the largest hold nothing.
const HELD: f64 = 1e-15;
/// A radius beyond this many extents is a flat surface: its sagitta is lost in rounding.
const FLAT: f64 = 1e5;

/// An associated shape and how well it fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    pub shape: Shape,
    /// Weighted root mean square of the orthogonal distances, mm.
    pub rms_mm: f64,
    /// Smallest and largest signed distance, mm.
    pub range_mm: [f64; 2],
    /// Passes over all points.
    pub iterations: u32,
    /// Length of the mean gradient of half the squared distance, mm; with angles in units of the points' extent.
    pub gradient_mm: f64,
    /// Condition number of the column-scaled problem: 1 holds every parameter equally well.
    pub condition: f64,
}

/// The shape of least squared orthogonal distances.
pub fn least_squares(kind: Kind, cloud: &Cloud) -> Result<Fit, FeatureError> {
    let unit = Unit::of(kind, cloud)?;
    let solved = solve(kind, &unit)?;
    let state = presentable(kind, &solved.state, &unit);
    check(kind, &state)?;
    let condition = condition(kind, &solved.information);
    if !condition.is_finite() {
        return Err(FeatureError::Degenerate { kind, why: why_not_held(kind) });
    }
    let state = state.scaled(kind, unit.scale, &unit.centre);
    let shape = Shape::of(kind, &state);
    let ends = sum::fold(
        cloud.points.len(),
        || [f64::INFINITY, f64::NEG_INFINITY],
        |[low, high], i| {
            let d = shape.distance_mm(&cloud.points[i]);
            [low.min(d), high.max(d)]
        },
        |a, b| [a[0].min(b[0]), a[1].max(b[1])],
    );
    Ok(Fit {
        shape,
        rms_mm: unit.scale * solved.mean_square.sqrt(),
        range_mm: ends,
        iterations: solved.iterations,
        gradient_mm: unit.scale * solved.gradient,
        condition,
    })
}

/// Start on a sample, settle on all.
fn solve(kind: Kind, unit: &Unit) -> Result<Solved, FeatureError> {
    let sample = unit.sample(SAMPLE);
    let start = starts(kind, &sample).ok_or(FeatureError::Degenerate { kind, why: why_not_held(kind) })?;
    if kind == Kind::Line {
        // The eigenvector of the largest moment is the least-squares line itself.
        let (values, vectors) = eigen(&unit.scatter());
        if values[0] - values[1] <= 1e-12 * values[0] {
            return Err(FeatureError::Degenerate { kind, why: "they spread alike in two directions" });
        }
        let state = State::new(Vector3::zeros(), &vectors.column(0).into_owned(), 0.0, 0.0);
        // The small moments are what rounding leaves of the large one: take the distances themselves.
        let mean_square = normal(kind, unit, &state).mean_square;
        return Ok(Solved { state, mean_square, iterations: 1, settled: true, gradient: 0.0, information: Square::identity() });
    }
    let solved = settle(kind, unit, start, ITERATIONS);
    let whole = solved.state.radius.abs() < FLAT && solved.state.at.norm() < FLAT;
    match (whole, solved.settled) {
        (false, _) => Err(FeatureError::Degenerate { kind, why: why_not_held(kind) }),
        (true, false) => Err(FeatureError::NotSettled { kind, iterations: solved.iterations }),
        (true, true) => Ok(solved),
    }
}

/// The state's point moved along the axis to the points' centre, the axis into a half space, a cone opening along it.
fn presentable(kind: Kind, state: &State, unit: &Unit) -> State {
    let mut s = *state;
    if matches!(kind, Kind::Cylinder | Kind::Line | Kind::Cone) {
        let along = -s.at.dot(&s.axis()); // the centre is the origin
        s.at += s.axis() * along;
        if kind == Kind::Cone {
            s.radius += along * libm::tan(s.second);
        }
    }
    if kind == Kind::Plane {
        s.at = s.axis() * s.at.dot(&s.axis());
    }
    let mean = unit.normals.as_ref().filter(|_| kind == Kind::Plane).map(|n| {
        let along = |i: usize| unit.weights[i] * n[i].dot(&s.axis());
        sum::sum(n.len(), along)
    });
    let backwards = match (kind, mean) {
        (Kind::Cone, _) => s.second < 0.0,
        (_, Some(mean)) => mean < 0.0,
        _ => {
            let a = s.axis();
            a[a.iamax()] < 0.0
        }
    };
    if backwards { s.turned(kind) } else { s }
}

/// Refuses what came to rest and is no feature.
fn check(kind: Kind, s: &State) -> Result<(), FeatureError> {
    let refuse = |why| Err(FeatureError::Degenerate { kind, why });
    match kind {
        Kind::Circle | Kind::Sphere | Kind::Cylinder if s.radius <= 0.0 => refuse("the radius of the best fit is not above 0"),
        Kind::Cone if s.radius <= 0.0 || s.second < 1e-9 => refuse("its sides are parallel or its apex lies amid the points"),
        Kind::Cone if s.second > STEEPEST => refuse("it is flat"),
        Kind::Torus if s.second <= 0.0 || s.radius <= 0.0 => refuse("a radius of the best fit is not above 0"),
        Kind::Torus if s.radius < s.second * (1.0 - 1e-9) => refuse("the best fit intersects itself (a spindle torus)"),
        _ => Ok(()),
    }
}

fn why_not_held(kind: Kind) -> &'static str {
    match kind {
        Kind::Line => "they coincide",
        Kind::Plane => "they lie on a line",
        Kind::Circle => "they lie on a line",
        Kind::Sphere => "they lie on a plane",
        Kind::Cylinder => "they lie on a plane or on one section",
        Kind::Cone => "they lie on a plane, on one section, or on a cylinder",
        Kind::Torus => "they lie on a plane, a sphere, a cylinder or one section",
    }
}

/// Root of the ratio of the extreme eigenvalues of the column-scaled problem; infinite where a parameter is not held.
fn condition(kind: Kind, information: &Square) -> f64 {
    let used = |k: usize| kind.free().contains(&k);
    if kind != Kind::Line && (0..P).any(|k| used(k) && information[(k, k)] <= 1e-24) {
        return f64::INFINITY;
    }
    let (values, _) = eigen(&scaled(information, 1.0).0);
    if values[P - 1] <= HELD * values[0] { f64::INFINITY } else { (values[0] / values[P - 1]).sqrt() }
}

/// Rows of the problem at a fitted shape, over all seven parameters, mm and rad: for every point its distance, the free
/// derivatives and the gradient by the point.
pub(super) fn rows<'a>(shape: &Shape, points: &'a [Point3<f64>]) -> impl Fn(usize) -> (f64, Row, Vector3<f64>) + Sync + 'a {
    let (kind, state) = shape.state();
    move |i: usize| {
        let (d, row) = distance(kind, &state, &points[i].coords);
        let mut free = [0.0; P];
        kind.free().iter().for_each(|&k| free[k] = row[k]);
        (d, free, super::local::gradient(&state, &row))
    }
}
