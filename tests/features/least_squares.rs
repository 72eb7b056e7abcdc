//! Orthogonal least squares.

use nalgebra::{Point3, Vector3};
use verimetry_engine::features::{Cloud, FeatureError, Kind, Shape, least_squares};

use super::*;

/// What the issue asks of sizes and places (mm) and of directions (rad).
const LENGTH: f64 = 1e-6;
const DIRECTION: f64 = 1e-7;

/// A part of a shape: what of it is measured.
struct Part {
    shape: Shape,
    /// Angle about the axis, rad.
    arc: f64,
    /// Height, or the tube's angle.
    height: [f64; 2],
}

fn parts() -> Vec<(&'static str, Part)> {
    let part = |shape, arc_degrees: f64, height| Part { shape, arc: arc_degrees.to_radians(), height };
    vec![
        ("line", part(line(), 360.0, [-20.0, 20.0])),
        ("plane", part(plane(), 60.0, [-1.0, 1.0])),
        ("plane 100:1", part(plane(), 600.0, [-0.5, 0.5])),
        ("circle", part(circle(7.5), 360.0, [0.0, 0.0])),
        ("circle, 30 degrees", part(circle(7.5), 30.0, [0.0, 0.0])),
        ("sphere", part(sphere(12.0), 360.0, [-1.5, 1.5])),
        ("sphere, cap of 15 degrees", part(sphere(12.0), 360.0, [1.31, 1.57])),
        ("cylinder", part(cylinder(4.0), 360.0, [-10.0, 10.0])),
        ("cylinder, disc-like", part(cylinder(40.0), 360.0, [-1.0, 1.0])),
        ("cylinder, 30 degrees", part(cylinder(4.0), 30.0, [-5.0, 5.0])),
        ("cylinder, wire-like", part(cylinder(0.3), 360.0, [-30.0, 30.0])),
        ("cone", part(cone(8.0, 0.4), 360.0, [-6.0, 10.0])),
        ("cone, wide", part(cone(20.0, 1.3), 360.0, [-2.0, 2.0])),
        ("cone, apex 10 m away", part(cone(10.0, 0.001), 360.0, [-10.0, 10.0])),
        ("cone, 45 degrees of it", part(cone(8.0, 0.3), 45.0, [-6.0, 6.0])),
        ("torus", part(torus(15.0, 4.0), 360.0, [-3.1, 3.1])),
        ("torus, outer fillet", part(torus(15.0, 2.0), 360.0, [0.0, 1.57])),
        ("torus, quarter bend", part(torus(30.0, 5.0), 90.0, [-3.1, 3.1])),
    ]
}

impl Part {
    /// Points on the part, in pairs at the same place `off` above and below: residuals whose gradients cancel, so the part itself
    /// stays the optimum, known in closed form.
    fn points(&self, count: usize, off: f64, pose: &verimetry_engine::frame::Pose) -> Vec<Point3<f64>> {
        let mut points = vec![];
        for k in 0..count {
            let angle = 0.5 * self.arc * even(17, 2 * k);
            let height = self.height[0] + (self.height[1] - self.height[0]) * (0.5 + 0.5 * even(17, 2 * k + 1));
            let (p, n) = on(&self.shape, angle, height);
            let size = off * (1.0 + even(23, k));
            points.push(pose.apply(&(p + n * size)));
            points.push(pose.apply(&(p - n * size)));
        }
        points
    }
}

#[test]
fn a_fit_is_the_shape_that_the_points_stray_from_evenly() {
    println!("{:28} {:>9} {:>9} {:>9} {:>9} {:>10}", "", "place/mm", "turn/rad", "size", "rms error", "condition");
    for (name, part) in parts() {
        let mut worst = [0.0_f64; 4];
        let mut condition = 0.0_f64;
        for seed in 0..4 {
            for off in [0.0, 0.01] {
                let pose = pose(seed, 300.0);
                let points = part.points(500, off, &pose);
                let fit = least_squares(part.shape.kind(), &Cloud::of(&points)).unwrap_or_else(|e| panic!("{name}: {e}"));
                let [place, turn, size] = difference(&fit.shape, &moved(&part.shape, &pose));
                let mean_square =
                    points.iter().map(|p| moved(&part.shape, &pose).distance_mm(p)).map(|d| d * d).sum::<f64>() / points.len() as f64;
                for (w, x) in worst.iter_mut().zip([place, turn, size, (fit.rms_mm - mean_square.sqrt()).abs()]) {
                    *w = w.max(x);
                }
                condition = condition.max(fit.condition);
            }
        }
        println!("{name:28} {:9.1e} {:9.1e} {:9.1e} {:9.1e} {condition:10.1e}", worst[0], worst[1], worst[2], worst[3]);
        assert!(worst[0] <= LENGTH && worst[1] <= DIRECTION && worst[2] <= LENGTH && worst[3] <= 1e-7, "{name}: {worst:?}");
    }
}

/// A sum that carries its rounding along (Neumaier 1974).
#[derive(Clone, Copy, Default)]
struct Carried {
    sum: f64,
    lost: f64,
}

impl Carried {
    fn add(&mut self, x: f64) {
        let t = self.sum + x;
        self.lost += if self.sum.abs() >= x.abs() { (self.sum - t) + x } else { (x - t) + self.sum };
        self.sum = t;
    }
    fn total(&self) -> f64 {
        self.sum + self.lost
    }
}

/// Mean of distance times derivative by shift, tilt and sizes, mm; tilts about the points' extent.
fn gradient(shape: &Shape, points: &[Point3<f64>], extent: f64) -> f64 {
    let c = shape.place();
    let mut sums = [Carried::default(); 8];
    for p in points {
        let (d, n) = (shape.distance_mm(p), normal(shape, p));
        let arm = (p - c).cross(&n) / extent;
        let sizes = match shape {
            Shape::Cone { axis, half_angle_rad, radius_mm, .. } => {
                let z = (p - c).dot(axis);
                let rho = (p - c - axis * z).norm();
                let (sine, cosine) = (libm::sin(*half_angle_rad), libm::cos(*half_angle_rad));
                [-cosine, (-(rho - radius_mm) * sine - z * cosine) / extent]
            }
            Shape::Torus { axis, .. } => [-n.dot(&(p - c - axis * (p - c).dot(axis)).normalize()), -1.0],
            Shape::Plane { .. } | Shape::Line { .. } => [0.0, 0.0],
            Shape::Circle { normal: axis, .. } => [-n.dot(&(p - c - axis * (p - c).dot(axis)).normalize()), 0.0],
            _ => [-1.0, 0.0],
        };
        for (k, x) in [n.x, n.y, n.z, arm.x, arm.y, arm.z, sizes[0], sizes[1]].into_iter().enumerate() {
            sums[k].add(d * x);
        }
    }
    let axis = shape.direction().unwrap_or_default();
    let total = |k: usize| sums[k].total() / points.len() as f64;
    let shift = Vector3::new(total(0), total(1), total(2));
    let tilt = Vector3::new(total(3), total(4), total(5));
    let tilt = tilt - axis * tilt.dot(&axis); // a turn about the axis changes nothing
    shift.norm().max(tilt.norm()).max(total(6).abs()).max(total(7).abs())
}

/// Direction in which the distance grows fastest, from the shape's own words.
fn normal(shape: &Shape, p: &Point3<f64>) -> Vector3<f64> {
    let v = p - shape.place();
    let axis = shape.direction().unwrap_or_default();
    let out = (v - axis * v.dot(&axis)).normalize();
    match shape {
        Shape::Plane { normal, .. } => *normal,
        Shape::Sphere { .. } => v.normalize(),
        Shape::Line { .. } | Shape::Cylinder { .. } => out,
        Shape::Cone { half_angle_rad, .. } => out * libm::cos(*half_angle_rad) - axis * libm::sin(*half_angle_rad),
        Shape::Circle { radius_mm, .. } => (v - out * *radius_mm).normalize(),
        Shape::Torus { major_mm, .. } => (v - out * *major_mm).normalize(),
    }
}

#[test]
fn under_uneven_noise_the_gradient_vanishes_and_no_small_move_is_better() {
    for (name, part) in parts() {
        let pose = pose(5, 30.0);
        let mut points = part.points(150, 0.0, &pose);
        for (k, p) in points.iter_mut().enumerate() {
            *p += Vector3::new(even(3, 3 * k), even(3, 3 * k + 1), even(3, 3 * k + 2)) * 0.02;
        }
        let kind = part.shape.kind();
        let fit = least_squares(kind, &Cloud::of(&points)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let centre = points.iter().map(|p| p.coords).sum::<Vector3<f64>>() / points.len() as f64;
        let extent = points.iter().map(|p| (p.coords - centre).norm()).fold(0.0, f64::max);
        let slope = gradient(&fit.shape, &points, extent);
        // Distances at 30 mm from the origin are rounded by some 1e-14 mm; sizes far from the points (a cap's centre) by more.
        assert!(slope < 1e-12 * fit.condition.max(1.0), "{name}: gradient {slope:e}, condition {:e}", fit.condition);

        let cost = |s: &Shape| {
            let mut sum = Carried::default();
            points.iter().for_each(|p| sum.add(s.distance_mm(p) * s.distance_mm(p)));
            sum.total()
        };
        let least = cost(&fit.shape);
        for seed in 0..200 {
            let e = |k: usize| even(seed, k) * 1e-4;
            let nudge = Pose::from_rotation_vector(Vector3::new(e(0), e(1), e(2)) / extent, Vector3::new(e(3), e(4), e(5)));
            let about = fit.shape.place().coords;
            let place = |p: Point3<f64>| Point3::from(nudge.rotate(&(p.coords - about)) + about + nudge.translation);
            let other = match fit.shape {
                Shape::Line { point, direction } => Shape::Line { point: place(point), direction: nudge.rotate(&direction) },
                Shape::Plane { point, normal } => Shape::Plane { point: place(point), normal: nudge.rotate(&normal) },
                Shape::Circle { centre, normal, radius_mm } => {
                    Shape::Circle { centre: place(centre), normal: nudge.rotate(&normal), radius_mm: radius_mm + e(6) }
                }
                Shape::Sphere { centre, radius_mm } => Shape::Sphere { centre: place(centre), radius_mm: radius_mm + e(6) },
                Shape::Cylinder { point, axis, radius_mm } => {
                    Shape::Cylinder { point: place(point), axis: nudge.rotate(&axis), radius_mm: radius_mm + e(6) }
                }
                Shape::Cone { point, axis, radius_mm, half_angle_rad } => Shape::Cone {
                    point: place(point),
                    axis: nudge.rotate(&axis),
                    radius_mm: radius_mm + e(6),
                    half_angle_rad: half_angle_rad + e(7) / extent,
                },
                Shape::Torus { centre, axis, major_mm, minor_mm } => {
                    Shape::Torus { centre: place(centre), axis: nudge.rotate(&axis), major_mm: major_mm + e(6), minor_mm: minor_mm + e(7) }
                }
            };
            assert!(cost(&other) >= least * (1.0 - 1e-14), "{name}: a nudge lowers {least:e} to {:e}", cost(&other));
        }
    }
}

#[test]
fn a_fit_follows_its_points_when_they_are_moved_and_scaled() {
    for (name, part) in parts() {
        let noisy = |k: usize| Vector3::new(even(3, 3 * k), even(3, 3 * k + 1), even(3, 3 * k + 2)) * 0.01;
        let here: Vec<Point3<f64>> = part.points(200, 0.0, &pose(1, 0.0)).iter().enumerate().map(|(k, p)| p + noisy(k)).collect();
        let kind = part.shape.kind();
        let first = least_squares(kind, &Cloud::of(&here)).unwrap();
        for (seed, factor) in [(7, 1.0), (8, 1000.0), (9, 1e-3)] {
            let away = pose(seed, 100.0 * factor);
            let there: Vec<Point3<f64>> = here.iter().map(|p| away.apply(&Point3::from(p.coords * factor))).collect();
            let fit = least_squares(kind, &Cloud::of(&there)).unwrap();
            let back: Vec<f64> = here.iter().map(|p| first.shape.distance_mm(p)).collect();
            let same =
                |sign: f64| there.iter().zip(&back).map(|(p, d)| (fit.shape.distance_mm(p) - sign * d * factor).abs()).fold(0.0, f64::max);
            let off = same(1.0).min(same(-1.0)); // a plane may face the other way
            assert!(off < 1e-9 * factor, "{name}, scale {factor}: distances differ by {off:e}");
        }
    }
}

#[test]
fn a_fit_has_the_same_bits_on_one_thread_and_on_many() {
    for (name, part) in parts() {
        let points = part.points(20_000, 0.01, &pose(2, 50.0));
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| least_squares(part.shape.kind(), &Cloud::of(&points)).unwrap())
        };
        assert_eq!(on(1), on(3), "{name}");
    }
}

#[test]
fn points_that_hold_no_shape_are_refused_by_name() {
    let grid =
        |f: &dyn Fn(f64, f64) -> Point3<f64>| -> Vec<Point3<f64>> { (0..144).map(|k| f(even(1, 2 * k), even(1, 2 * k + 1))).collect() };
    let flat = grid(&|a, b| Point3::new(10.0 * a, 8.0 * b, 0.0));
    let straight = grid(&|a, _| Point3::new(1.0 + 3.0 * a, 2.0 - a, 5.0 * a));
    let one = vec![Point3::new(1.0, 2.0, 3.0); 50];
    let ring = grid(&|a, _| Point3::new(5.0 * libm::cos(3.0 * a), 5.0 * libm::sin(3.0 * a), 2.0));
    let code = |kind, points: &[Point3<f64>]| least_squares(kind, &Cloud::of(points)).map(|f| f.shape).map_err(|e| e.code());
    for kind in Kind::ALL {
        assert_eq!(code(kind, &one), Err("feature.degenerate"), "{kind:?}");
        assert_eq!(code(kind, &flat[..kind.fewest() - 1]), Err("feature.too_few_points"));
        assert_eq!(code(kind, &[Point3::new(f64::NAN, 0.0, 0.0); 9]), Err("feature.not_finite"));
        if kind != Kind::Line {
            assert_eq!(code(kind, &straight), Err("feature.degenerate"), "{kind:?} on a line");
        }
        if !matches!(kind, Kind::Line | Kind::Plane | Kind::Circle) {
            let found = code(kind, &flat);
            assert!(matches!(found, Err("feature.degenerate" | "feature.not_settled")), "{kind:?} on a plane: {found:?}");
        }
        if matches!(kind, Kind::Sphere | Kind::Cylinder | Kind::Cone) {
            let found = code(kind, &ring);
            assert!(found.is_err(), "{kind:?} on one circle: {found:?}");
        }
    }
    let message = least_squares(Kind::Cylinder, &Cloud::of(&flat)).unwrap_err().to_string();
    assert!(message.contains("cylinder") && message.contains("plane") && !message.contains('\n'), "{message}");
    assert!(matches!(least_squares(Kind::Torus, &Cloud::of(&[])), Err(FeatureError::TooFew { found: 0, .. })));
}

/// Seconds for 10⁴ and 10⁶ points of each kind; `VERIMETRY_LONG=1` with `--nocapture` prints them.
#[test]
fn a_million_points_are_fitted_in_seconds() {
    if std::env::var_os("VERIMETRY_LONG").is_none() {
        return;
    }
    for (name, part) in parts() {
        let seconds = [10_000, 1_000_000].map(|count| {
            let points = part.points(count / 2, 0.01, &pose(2, 50.0));
            let start = std::time::Instant::now();
            least_squares(part.shape.kind(), &Cloud::of(&points)).unwrap();
            start.elapsed().as_secs_f64()
        });
        println!("{name:28} {:8.4} s {:8.4} s", seconds[0], seconds[1]);
    }
}
