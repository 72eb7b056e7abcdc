//! Orthogonal least squares by Levenberg and Marquardt on local parameters (Shakarji 1998).

use nalgebra::{Point3, SMatrix, SVector, Vector3};

use super::local::{P, Row, State, distance, height};
use super::starts::starts;
use super::{Cloud, FeatureError, Kind, Shape};
use crate::align::{eigen, pseudo_inverse};
use crate::{noise, sum};

/// Points that starts are tried on; the fit itself runs over all.
const SAMPLE: usize = 1000;
const ITERATIONS: u32 = 200;
/// Plain steps below this, in units of the points' extent, end a fit.
const STEP: f64 = 1e-13;
/// Gains below this fraction of the mean square cannot be told from its rounding.
const TOLD: f64 = 1e-13;
/// Mean squares of this size are the rounding of coordinates.
const ROUNDING: f64 = 1e-31;
/// Eigenvalues of the column-scaled normal matrix below this fraction of the largest hold nothing.
const HELD: f64 = 1e-15;
/// Half angle of a cone (rad) from which on it is a plane: a right angle but for 20 seconds of arc.
pub(super) const STEEPEST: f64 = std::f64::consts::FRAC_PI_2 - 1e-4;
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

/// Points centred and scaled to extent 1.
pub(super) struct Unit {
    pub points: Vec<Vector3<f64>>,
    pub weights: Vec<f64>,
    pub normals: Option<Vec<Vector3<f64>>>,
    pub centre: Vector3<f64>,
    pub scale: f64,
}

impl Unit {
    pub fn of(kind: Kind, cloud: &Cloud) -> Result<Unit, FeatureError> {
        let (points, n) = (cloud.points, cloud.points.len());
        if n < kind.fewest() {
            return Err(FeatureError::TooFew { kind, found: n });
        }
        let sound = |i: usize| points[i].iter().all(|x| x.abs() < 1e12) && cloud.weight(i).is_finite() && cloud.weight(i) >= 0.0;
        let total = sum::sum(n, |i| cloud.weight(i));
        let usable = total > 0.0 && total.is_finite() && (0..n).all(sound);
        if !usable {
            return Err(FeatureError::NotFinite { kind });
        }
        let first = points[0].coords;
        let moment = |i: usize| (points[i].coords - first) * (cloud.weight(i) / total);
        let centre = first + sum::fold(n, Vector3::zeros, |a, i| a + moment(i), |a, b| a + b);
        let reach = points.iter().map(|p| (p.coords - centre).norm_squared()).fold(0.0, f64::max).sqrt();
        if reach <= 1e-300 || reach < 1e-14 * centre.norm() {
            return Err(FeatureError::Degenerate { kind, why: "all points coincide" });
        }
        Ok(Unit {
            points: points.iter().map(|p| (p.coords - centre) / reach).collect(),
            weights: (0..n).map(|i| cloud.weight(i) / total).collect(),
            normals: cloud.normals.map(<[_]>::to_vec),
            centre,
            scale: reach,
        })
    }

    /// About `count` points spread evenly over their order, at places that no pattern of the order can meet.
    pub fn sample(&self, count: usize) -> Unit {
        let n = self.points.len();
        let stride = n as f64 / count as f64;
        let place = |k: usize| (((k as f64 + 1.0 - noise::uniform(0x5eed, k as u64)) * stride) as usize).min(n - 1);
        let chosen: Vec<usize> = if n <= count { (0..n).collect() } else { (0..count).map(place).collect() };
        let weights: Vec<f64> = chosen.iter().map(|&i| self.weights[i]).collect();
        let total: f64 = weights.iter().sum();
        Unit {
            points: chosen.iter().map(|&i| self.points[i]).collect(),
            weights: weights.iter().map(|w| if total > 0.0 { w / total } else { 1.0 / chosen.len() as f64 }).collect(),
            normals: self.normals.as_ref().map(|n| chosen.iter().map(|&i| n[i]).collect()),
            centre: self.centre,
            scale: self.scale,
        }
    }

    /// Second moments about the centre.
    pub fn scatter(&self) -> nalgebra::Matrix3<f64> {
        let term = |i: usize| self.points[i] * self.points[i].transpose() * self.weights[i];
        sum::fold(self.points.len(), nalgebra::Matrix3::zeros, |a, i| a + term(i), |a, b| a + b)
    }
}

type Square = SMatrix<f64, P, P>;

/// Normal equations at a state.
struct Normal {
    information: Square,
    gradient: SVector<f64, P>,
    mean_square: f64,
}

fn normal(kind: Kind, unit: &Unit, state: &State) -> Normal {
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
    gradient: f64,
    information: Square,
}

/// Columns scaled to a unit diagonal; parameters that are not free or move nothing keep a diagonal of `unused`.
fn scaled(information: &Square, unused: f64) -> (Square, [f64; P]) {
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
