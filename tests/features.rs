//! Fitted features against closed forms, stationarity in compensated arithmetic, brute force and published points.

#[path = "features/coverage.rs"]
mod coverage;
#[path = "features/dimensions.rs"]
mod dimensions;
#[path = "features/least_squares.rs"]
mod least_squares;
#[path = "features/published.rs"]
mod published;
#[path = "features/zones.rs"]
mod zones;

use nalgebra::{Point3, Vector3};
use verimetry_engine::features::Shape;
use verimetry_engine::frame::Pose;
use verimetry_engine::noise;

/// Uniform in [-1, 1).
pub fn even(seed: u64, k: usize) -> f64 {
    2.0 * noise::uniform(seed, k as u64) - 1.0
}

/// Rotation by a random vector and a shift.
pub fn pose(seed: u64, far_mm: f64) -> Pose {
    let v = |k: usize| Vector3::new(even(seed, k), even(seed, k + 1), even(seed, k + 2));
    Pose::from_rotation_vector(v(0) * 3.0, v(3) * far_mm)
}

/// Points of a shape about z at the origin: `angle` in rad swept about the axis, `height` along it (or the angle of a torus's tube).
pub fn on(shape: &Shape, angle: f64, height: f64) -> (Point3<f64>, Vector3<f64>) {
    let (c, s) = (libm::cos(angle), libm::sin(angle));
    let out = Vector3::new(c, s, 0.0);
    match shape {
        Shape::Line { .. } => (Point3::new(0.0, 0.0, height), out),
        Shape::Plane { .. } => (Point3::new(10.0 * angle, 7.0 * height, 0.0), Vector3::z()),
        Shape::Circle { radius_mm, .. } => (Point3::from(out * *radius_mm), out),
        Shape::Sphere { radius_mm, .. } => {
            let (sine, cosine) = (libm::sin(height), libm::cos(height));
            let n = out * cosine + Vector3::z() * sine;
            (Point3::from(n * *radius_mm), n)
        }
        Shape::Cylinder { radius_mm, .. } => (Point3::from(out * *radius_mm + Vector3::z() * height), out),
        Shape::Cone { radius_mm, half_angle_rad, .. } => {
            let n = out * libm::cos(*half_angle_rad) - Vector3::z() * libm::sin(*half_angle_rad);
            (Point3::from(out * (radius_mm + height * libm::tan(*half_angle_rad)) + Vector3::z() * height), n)
        }
        Shape::Torus { major_mm, minor_mm, .. } => {
            let n = out * libm::cos(height) + Vector3::z() * libm::sin(height);
            (Point3::from(out * *major_mm + n * *minor_mm), n)
        }
    }
}

/// A shape about z at the origin, moved.
pub fn moved(shape: &Shape, pose: &Pose) -> Shape {
    let (o, a) = (pose.apply(&Point3::origin()), pose.rotate(&Vector3::z()));
    match *shape {
        Shape::Line { .. } => Shape::Line { point: o, direction: a },
        Shape::Plane { .. } => Shape::Plane { point: o, normal: a },
        Shape::Circle { radius_mm, .. } => Shape::Circle { centre: o, normal: a, radius_mm },
        Shape::Sphere { radius_mm, .. } => Shape::Sphere { centre: o, radius_mm },
        Shape::Cylinder { radius_mm, .. } => Shape::Cylinder { point: o, axis: a, radius_mm },
        Shape::Cone { radius_mm, half_angle_rad, .. } => Shape::Cone { point: o, axis: a, radius_mm, half_angle_rad },
        Shape::Torus { major_mm, minor_mm, .. } => Shape::Torus { centre: o, axis: a, major_mm, minor_mm },
    }
}

/// Differences of a fit from the truth: place (mm; across the axis where the shape slides along itself), direction (rad), sizes (mm, rad).
pub fn difference(found: &Shape, truth: &Shape) -> [f64; 3] {
    let apart = found.place() - truth.place();
    let axis = truth.direction();
    let across = |v: Vector3<f64>| axis.map_or(v, |a| v - a * v.dot(&a));
    let along = |v: Vector3<f64>| axis.map_or(v, |a| a * v.dot(&a));
    let place = match truth {
        Shape::Line { .. } | Shape::Cylinder { .. } | Shape::Cone { .. } => across(apart),
        Shape::Plane { .. } => along(apart),
        _ => apart,
    };
    let turn = match (found.direction(), axis) {
        (Some(a), Some(b)) => a.cross(&b).norm(),
        _ => 0.0,
    };
    let size = match (found, truth) {
        (Shape::Cone { half_angle_rad: f, radius_mm: r, axis, .. }, Shape::Cone { half_angle_rad: t, radius_mm: q, axis: b, .. }) => {
            // The radius at the same height on the axis.
            let height = apart.dot(b);
            assert!(axis.dot(b) > 0.0, "a cone opens the other way");
            (f - t).abs().max((r - (q + height * libm::tan(*t))).abs())
        }
        (Shape::Torus { major_mm: f, minor_mm: g, .. }, Shape::Torus { major_mm: t, minor_mm: u, .. }) => (f - t).abs().max((g - u).abs()),
        _ => found.radius_mm().zip(truth.radius_mm()).map_or(0.0, |(f, t)| (f - t).abs()),
    };
    [place.norm(), turn, size]
}

pub fn line() -> Shape {
    Shape::Line { point: Point3::origin(), direction: Vector3::z() }
}
pub fn plane() -> Shape {
    Shape::Plane { point: Point3::origin(), normal: Vector3::z() }
}
pub fn circle(radius_mm: f64) -> Shape {
    Shape::Circle { centre: Point3::origin(), normal: Vector3::z(), radius_mm }
}
pub fn sphere(radius_mm: f64) -> Shape {
    Shape::Sphere { centre: Point3::origin(), radius_mm }
}
pub fn cylinder(radius_mm: f64) -> Shape {
    Shape::Cylinder { point: Point3::origin(), axis: Vector3::z(), radius_mm }
}
pub fn cone(radius_mm: f64, half_angle_rad: f64) -> Shape {
    Shape::Cone { point: Point3::origin(), axis: Vector3::z(), radius_mm, half_angle_rad }
}
pub fn torus(major_mm: f64, minor_mm: f64) -> Shape {
    Shape::Torus { centre: Point3::origin(), axis: Vector3::z(), major_mm, minor_mm }
}
