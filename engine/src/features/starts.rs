//! Where fits begin, without a guess: algebraic fits about many axes, the best of them settled on a sample.

use nalgebra::{Matrix3, Matrix4, Matrix6, SMatrix, SVector, Vector3, Vector4, Vector6};

use rayon::prelude::*;

use super::Kind;
use super::local::{STEEPEST, State, distance, frame_of};
use super::settle::settle;
use super::unit::Unit;
use crate::linear::{eigen, pseudo_inverse};

/// Axes tried over the half sphere, about 8 degrees apart.
const AXES: usize = 300;
/// Points that axes are ranked on.
const RANKED: usize = 250;
/// Starts that are settled.
const SETTLED: usize = 10;
const ITERATIONS: u32 = 40;
/// Neighbours that tell a normal where none is given.
const NEAREST: usize = 10;

/// The best start over a sample; `None` where the points hold no shape of the kind.
pub(super) fn starts(kind: Kind, sample: &Unit) -> Option<State> {
    let (values, vectors) = eigen(&sample.scatter());
    if values[1] <= 1e-14 * values[0] {
        return (kind == Kind::Line).then(|| State::new(Vector3::zeros(), &vectors.column(0).into_owned(), 0.0, 0.0));
    }
    if values[2] <= 1e-24 * values[0] && !matches!(kind, Kind::Line | Kind::Plane | Kind::Circle) {
        return None; // on a plane
    }
    let [long, _, thin] = [0, 1, 2].map(|k| vectors.column(k).into_owned());
    match kind {
        Kind::Line => Some(State::new(Vector3::zeros(), &long, 0.0, 0.0)),
        Kind::Plane => Some(State::new(Vector3::zeros(), &thin, 0.0, 0.0)),
        Kind::Circle => {
            let first = round_about(sample, &thin)?;
            Some(settle(kind, sample, first, ITERATIONS).state)
        }
        Kind::Sphere => {
            let (centre, radius) = taubin(sample.points.iter().copied().zip(sample.weights.iter().copied()), false)?;
            Some(settle(kind, sample, State::new(centre, &Vector3::z(), radius, 0.0), ITERATIONS).state)
        }
        Kind::Cylinder | Kind::Cone | Kind::Torus if sample.normals.is_none() && sample.points.len() > 2 * NEAREST => {
            about_axes(kind, &Unit { normals: Some(facing_out(sample)), ..sample.sample(usize::MAX) }, &vectors)
        }
        Kind::Cylinder | Kind::Cone | Kind::Torus => about_axes(kind, sample, &vectors),
    }
}

/// Normals of the planes through each point's nearest neighbours, away from the centre.
fn facing_out(sample: &Unit) -> Vec<Vector3<f64>> {
    let normal = |p: &Vector3<f64>| {
        let mut near: Vec<(f64, usize)> = sample.points.iter().enumerate().map(|(i, q)| ((q - p).norm_squared(), i)).collect();
        let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        near.select_nth_unstable_by(NEAREST, order);
        near.truncate(NEAREST);
        near.sort_by(order);
        let mean: Vector3<f64> = near.iter().map(|n| sample.points[n.1]).sum::<Vector3<f64>>() / NEAREST as f64;
        let spread: Matrix3<f64> = near.iter().map(|n| (sample.points[n.1] - mean) * (sample.points[n.1] - mean).transpose()).sum();
        let n = eigen(&spread).1.column(2).into_owned();
        if n.dot(p) < 0.0 { -n } else { n }
    };
    sample.points.par_iter().map(normal).collect()
}

fn about_axes(kind: Kind, sample: &Unit, moments: &Matrix3<f64>) -> Option<State> {
    let few = sample.sample(RANKED);
    let mut found: Vec<State> = axes(sample, moments).iter().flat_map(|axis| about(kind, &few, axis)).collect();
    if let Some((axis, at)) = sample.normals.as_ref().and_then(|n| revolution(sample, n)) {
        found.extend(ring_about(&few, &axis, &at).filter(|_| kind == Kind::Torus));
    }
    if kind == Kind::Torus {
        // A bend's centre lies beside its points: look around them, in the planes of the moments.
        for axis in moments.column_iter().map(|c| c.into_owned()) {
            let frame = frame_of(&axis);
            for (k, reach) in (0..48).map(|k| (f64::from(k % 16), [0.5, 1.0, 2.0][k as usize / 16])) {
                let turn = std::f64::consts::TAU * k / 16.0;
                let at = frame * Vector3::new(libm::cos(turn), libm::sin(turn), 0.0) * reach;
                found.extend(ring_about(&few, &axis, &at));
            }
        }
    }
    let misfit = |s: &State| few.points.iter().zip(&few.weights).map(|(p, w)| w * square(distance(kind, s, p).0)).sum::<f64>();
    let mut ranked: Vec<(f64, State)> = found.into_iter().map(|s| (misfit(&s), s)).filter(|(m, _)| m.is_finite()).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut best: Option<(f64, State)> = None;
    for (_, start) in distinct(&ranked) {
        let solved = settle(kind, sample, start, ITERATIONS);
        if sensible(kind, &solved.state) && best.as_ref().is_none_or(|(m, _)| solved.mean_square < 0.999 * m) {
            best = Some((solved.mean_square, solved.state));
        }
        // Nothing is left to gain below the rounding of coordinates.
        if best.as_ref().is_some_and(|(m, _)| *m < 1e-28) {
            break;
        }
    }
    best.map(|(_, s)| s)
}

/// The first starts whose axes differ by more than 12 degrees from those before.
fn distinct(ranked: &[(f64, State)]) -> Vec<(f64, State)> {
    let mut chosen: Vec<(f64, State)> = vec![];
    for candidate in ranked {
        let near = |c: &(f64, State)| c.1.axis().dot(&candidate.1.axis()).abs() > 0.978 && (c.1.at - candidate.1.at).norm() < 0.2;
        if !chosen.iter().any(near) {
            chosen.push(*candidate);
        }
        if chosen.len() == SETTLED {
            break;
        }
    }
    chosen
}

/// A resting point that could be a feature; others are left to worse fits.
fn sensible(kind: Kind, s: &State) -> bool {
    let finite = s.radius.is_finite() && s.at.iter().all(|x| x.is_finite());
    finite
        && match kind {
            Kind::Cylinder => s.radius > 0.0,
            Kind::Cone => s.radius > 0.0 && s.second.abs() < STEEPEST,
            Kind::Torus => s.second > 0.0 && s.radius > 0.999 * s.second,
            _ => true,
        }
}

fn square(x: f64) -> f64 {
    x * x
}

/// Directions to try: those of the moments and of the normals first, then an even spread (Fibonacci lattice).
fn axes(sample: &Unit, moments: &Matrix3<f64>) -> Vec<Vector3<f64>> {
    let mut axes: Vec<Vector3<f64>> = moments.column_iter().map(|c| c.into_owned()).collect();
    if let Some(normals) = &sample.normals {
        let weighted = || normals.iter().zip(&sample.weights);
        let mean: Vector3<f64> = weighted().map(|(n, w)| n * *w).sum();
        for about in [Vector3::zeros(), mean] {
            let spread: Matrix3<f64> = weighted().map(|(n, w)| (n - about) * (n - about).transpose() * *w).sum();
            axes.push(eigen(&spread).1.column(2).into_owned());
        }
        axes.extend(revolution(sample, normals).map(|(axis, _)| axis));
    }
    let golden = std::f64::consts::PI * (3.0 - 5.0_f64.sqrt());
    axes.extend((0..AXES).map(|k| {
        let z = (k as f64 + 0.5) / AXES as f64;
        let (r, turn) = ((1.0 - z * z).sqrt(), golden * k as f64);
        Vector3::new(r * libm::cos(turn), r * libm::sin(turn), z)
    }));
    axes
}

/// Algebraic fits about a known direction.
fn about(kind: Kind, few: &Unit, axis: &Vector3<f64>) -> Vec<State> {
    match kind {
        Kind::Cylinder => round_about(few, axis).into_iter().collect(),
        Kind::Cone => cone_about(few, axis),
        _ => ring_about(few, axis, &Vector3::zeros()).collect(),
    }
}

/// Circle or cylinder: Taubin's circle of the points seen along the axis.
fn round_about(few: &Unit, axis: &Vector3<f64>) -> Option<State> {
    let frame = frame_of(axis);
    let seen = few.points.iter().map(|p| {
        let l = frame.tr_mul(p);
        Vector3::new(l.x, l.y, 0.0)
    });
    let (centre, radius) = taubin(seen.zip(few.weights.iter().copied()), true)?;
    Some(State { at: frame * centre, frame, radius, second: 0.0 })
}

/// x² + y² = 2 c·(x, y) + t² z² + 2 r t z + k about a known axis is linear in its five unknowns.
fn cone_about(few: &Unit, axis: &Vector3<f64>) -> Vec<State> {
    let frame = frame_of(axis);
    let (mut m, mut b) = (SMatrix::<f64, 5, 5>::zeros(), SVector::<f64, 5>::zeros());
    for (p, w) in few.points.iter().zip(&few.weights) {
        let l = frame.tr_mul(p);
        let row = SVector::<f64, 5>::from([2.0 * l.x, 2.0 * l.y, l.z * l.z, 2.0 * l.z, 1.0]);
        m += row * row.transpose() * *w;
        b += row * (w * (l.x * l.x + l.y * l.y));
    }
    let s = pseudo_inverse(&m, 1e-13) * b;
    let (cx, cy, squared, mixed) = (s[0], s[1], s[2], s[3]);
    let base = s[4] + cx * cx + cy * cy;
    let at = frame * Vector3::new(cx, cy, 0.0);
    let mut found = vec![];
    if base > 1e-9 {
        let radius = base.sqrt();
        found.push(State { at, frame, radius, second: libm::atan(mixed / radius) });
    }
    if squared > 1e-9 {
        let t = squared.sqrt() * if mixed < 0.0 { -1.0 } else { 1.0 };
        found.push(State { at, frame, radius: mixed / t, second: libm::atan(t) });
    }
    found
}

/// Torus about a known axis: Taubin's circle in the half plane of radius and height.
fn ring_about(few: &Unit, axis: &Vector3<f64>, at: &Vector3<f64>) -> impl Iterator<Item = State> + use<> {
    let frame = frame_of(axis);
    let section = few.points.iter().map(|p| {
        let l = frame.tr_mul(&(p - at));
        Vector3::new((l.x * l.x + l.y * l.y).sqrt(), l.z, 0.0)
    });
    let found = taubin(section.zip(few.weights.iter().copied()), true);
    let at = *at;
    found.into_iter().map(move |(c, r)| State { at: at + frame * Vector3::new(0.0, 0.0, c.y), frame, radius: c.x, second: r })
}

/// Axis of a surface of revolution: all its normals meet it, which is linear in its Plücker coordinates
/// (Pottmann & Randrup 1998). Direction and the point nearest to the origin.
fn revolution(sample: &Unit, normals: &[Vector3<f64>]) -> Option<(Vector3<f64>, Vector3<f64>)> {
    let mut m = Matrix6::zeros();
    for ((p, n), w) in sample.points.iter().zip(normals).zip(&sample.weights) {
        let c = p.cross(n);
        let row = Vector6::new(c.x, c.y, c.z, n.x, n.y, n.z);
        m += row * row.transpose() * *w;
    }
    let line = eigen(&m).1.column(5).into_owned();
    let (a, moment) = (line.fixed_rows::<3>(0).into_owned(), line.fixed_rows::<3>(3).into_owned());
    let length = a.norm();
    (length > 1e-6).then(|| (a / length, a.cross(&moment) / (length * length)))
}

/// Circle (`flat`: third coordinate ignored) or sphere of least Σf²/Σ|∇f|² (Taubin 1991, in the form of Chernov 2010).
fn taubin(points: impl Iterator<Item = (Vector3<f64>, f64)> + Clone, flat: bool) -> Option<(Vector3<f64>, f64)> {
    let total: f64 = points.clone().map(|(_, w)| w).sum();
    let centre: Vector3<f64> = points.clone().map(|(p, w)| p * (w / total)).sum();
    let mean: f64 = points.clone().map(|(p, w)| (p - centre).norm_squared() * (w / total)).sum();
    if mean.is_nan() || mean <= 1e-24 {
        return None;
    }
    let mut m = Matrix4::zeros();
    for (p, w) in points {
        let q = p - centre;
        let row = Vector4::new((q.norm_squared() - mean) / (2.0 * mean.sqrt()), q.x, q.y, q.z);
        m += row * row.transpose() * (w / total);
    }
    if flat {
        m[(3, 3)] = 1e9; // no extent there: keep it out of the smallest
    }
    let v = eigen(&m).1.column(3).into_owned();
    let a = v[0] / (2.0 * mean.sqrt());
    if a.abs() < 1e-9 {
        return None;
    }
    let from = -Vector3::new(v[1], v[2], if flat { 0.0 } else { v[3] }) / (2.0 * a);
    Some((centre + from, (from.norm_squared() + mean).sqrt()))
}
