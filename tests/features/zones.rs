//! Minimum zones and touching shapes.

use nalgebra::{Point3, Vector3};
use verimetry_engine::features::{Cloud, Fit, Kind, Shape, Zone, circumscribed, inscribed, least_squares, minimum_strip, minimum_zone};

use super::*;

/// What the issue allows between a zone and the true optimum, mm.
const OPTIMUM: f64 = 1e-5;

fn zone(kind: Kind, points: &[Point3<f64>]) -> Zone {
    let fit = least_squares(kind, &Cloud::of(points)).unwrap();
    let zone = minimum_zone(&fit, &Cloud::of(points)).unwrap();
    // The least-squares range is a zone too: the least one is never wider.
    let range = if kind == Kind::Line { 2.0 * fit.range_mm[1] } else { fit.range_mm[1] - fit.range_mm[0] };
    assert!(zone.width_mm <= range * (1.0 + 1e-12) + 1e-12 || kind == Kind::Circle, "{kind:?}: {} above {range}", zone.width_mm);
    proven(kind, &zone, points);
    zone
}

/// The certificate holds, from outside: every point lies within the zone, the touching ones on its surfaces, and multipliers of at least 0
/// that sum to 1 cancel their gradients.
fn proven(kind: Kind, zone: &Zone, points: &[Point3<f64>]) {
    let c = &zone.certificate;
    assert!(c.holds && c.stationarity < 1e-6, "{kind:?}: {c:?}");
    let sum: f64 = c.contacts.iter().map(|c| c.multiplier).sum();
    assert!((sum - 1.0).abs() < 1e-9 && c.contacts.iter().all(|c| c.multiplier > 0.0), "{kind:?}: {c:?}");
    // The bound is no further below than a thousandth, and says something of a neighbourhood.
    assert!(c.gap_mm >= 0.0 && c.gap_mm <= 1.01e-3 * zone.width_mm + 1e-9 && c.reach_rad > 1e-6, "{kind:?}: {c:?}");
    if kind != Kind::Circle {
        let half = 0.5 * zone.width_mm;
        for p in points {
            assert!(zone.shape.distance_mm(p).abs() <= half + 1e-9, "{kind:?}: a point lies outside the zone");
        }
        for contact in &c.contacts {
            let d = zone.shape.distance_mm(&points[contact.point]);
            assert!((d.abs() - half).abs() < 1e-9 && (d > 0.0) == contact.outside, "{kind:?}: a contact does not touch");
        }
    }
}

/// Points of a section in the plane of x and y.
fn section(count: usize, radius: impl Fn(f64) -> f64) -> Vec<Point3<f64>> {
    (0..count)
        .map(|k| {
            let angle = std::f64::consts::TAU * k as f64 / count as f64;
            Point3::new(radius(angle) * libm::cos(angle), radius(angle) * libm::sin(angle), 0.0)
        })
        .collect()
}

fn extruded(section: &[Point3<f64>], height: f64, layers: usize) -> Vec<Point3<f64>> {
    (0..layers).flat_map(|l| section.iter().map(move |p| p + Vector3::z() * (height * l as f64 / (layers - 1) as f64))).collect()
}

/// A regular polygon of unit inradius: corners at 1/cos(π/n), the middles of the sides at 1.
fn polygon(n: usize, per_side: usize) -> Vec<Point3<f64>> {
    let step = std::f64::consts::TAU / n as f64;
    section(n * per_side, |angle| {
        let within = (angle + 1e-12) % step;
        1.0 / libm::cos(within - 0.5 * step)
    })
}

fn placed(points: &[Point3<f64>], seed: u64) -> Vec<Point3<f64>> {
    points.iter().map(|p| pose(seed, 40.0).apply(p)).collect()
}

#[test]
fn polygons_have_the_ring_between_their_incircle_and_circumcircle() {
    for n in [4, 5, 6, 9, 24] {
        // An even number of points a side puts none in the middle, so the middles are points only for even `per_side`.
        let ring = polygon(n, 40);
        let truth = 1.0 / libm::cos(std::f64::consts::PI / n as f64) - 1.0;
        let flat = zone(Kind::Circle, &placed(&ring, 3));
        assert!(flat.width_mm - flat.certificate.gap_mm <= truth + 1e-12, "the bound lies above the optimum");
        assert!((flat.width_mm - truth).abs() < OPTIMUM, "{n} corners: {} against {truth}", flat.width_mm);
        let prism = zone(Kind::Cylinder, &placed(&extruded(&ring, 3.0, 5), 4));
        assert!((prism.width_mm - truth).abs() < OPTIMUM, "prism of {n} sides: {} against {truth}", prism.width_mm);
        let Shape::Cylinder { radius_mm, .. } = prism.shape else { panic!() };
        assert!((radius_mm - (1.0 + 0.5 * truth)).abs() < OPTIMUM);
    }
}

#[test]
fn a_lobed_cylinder_has_twice_the_amplitude_of_its_lobes() {
    for (lobes, amplitude) in [(3.0, 0.02), (5.0, 0.1), (12.0, 0.005)] {
        let points = placed(&extruded(&section(720, |a| 10.0 + amplitude * libm::cos(lobes * a)), 25.0, 9), lobes as u64);
        let zone = zone(Kind::Cylinder, &points);
        assert!((zone.width_mm - 2.0 * amplitude).abs() < OPTIMUM, "{lobes} lobes: {}", zone.width_mm);
    }
}

#[test]
fn touching_circles_and_cylinders_of_a_polygon_are_its_own() {
    for n in [3, 4, 7] {
        let outer = 1.0 / libm::cos(std::f64::consts::PI / n as f64);
        for (kind, points) in [(Kind::Circle, placed(&polygon(n, 40), 5)), (Kind::Cylinder, placed(&extruded(&polygon(n, 40), 4.0, 4), 6))]
        {
            let fit = least_squares(kind, &Cloud::of(&points)).unwrap();
            let radius = |z: Zone| z.shape.radius_mm().filter(|_| z.certificate.holds).unwrap();
            let (within, around) =
                (radius(inscribed(&fit, &Cloud::of(&points)).unwrap()), radius(circumscribed(&fit, &Cloud::of(&points)).unwrap()));
            assert!((within - 1.0).abs() < OPTIMUM, "{kind:?}, {n}: {within}");
            // The smallest circle around is unique; a cylinder around a short prism might lean, but not around this one.
            assert!((around - outer).abs() < OPTIMUM, "{kind:?}, {n}: {around} against {outer}");
        }
    }
}

#[test]
fn touching_spheres_of_a_cube_are_its_own() {
    let side: Vec<f64> = (0..=20).map(|k| -1.0 + 0.1 * k as f64).collect();
    let mut points = vec![];
    for &a in &side {
        for &b in &side {
            for s in [-1.0, 1.0] {
                points.extend([Point3::new(s, a, b), Point3::new(a, s, b), Point3::new(a, b, s)]);
            }
        }
    }
    let points = placed(&points, 9);
    let fit = least_squares(Kind::Sphere, &Cloud::of(&points)).unwrap();
    let within = inscribed(&fit, &Cloud::of(&points)).unwrap();
    let around = circumscribed(&fit, &Cloud::of(&points)).unwrap();
    let ring = zone(Kind::Sphere, &points);
    assert!((within.shape.radius_mm().unwrap() - 1.0).abs() < OPTIMUM && within.certificate.holds);
    assert!((around.shape.radius_mm().unwrap() - 3.0_f64.sqrt()).abs() < OPTIMUM && around.certificate.holds);
    assert!((ring.width_mm - (3.0_f64.sqrt() - 1.0)).abs() < OPTIMUM);
}

/// Width of a set of points by trying every plane that can touch it: a face and a point, or two edges.
fn width_by_brute_force(points: &[Point3<f64>]) -> f64 {
    let n = points.len();
    let range = |normal: Vector3<f64>| {
        let ends = points.iter().map(|p| p.coords.dot(&normal)).fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], x| [a.min(x), b.max(x)]);
        ends[1] - ends[0]
    };
    let mut least = f64::INFINITY;
    let mut edges = vec![];
    for i in 0..n {
        (i + 1..n).for_each(|j| edges.push(points[j] - points[i]));
    }
    for (k, a) in edges.iter().enumerate() {
        for b in &edges[k + 1..] {
            if let Some(normal) = a.cross(b).try_normalize(1e-9) {
                least = least.min(range(normal));
            }
        }
    }
    least
}

#[test]
fn the_zone_of_a_plane_is_the_width_of_the_hull() {
    for seed in 0..12 {
        let point = |k: usize| Point3::new(10.0 * even(seed, 3 * k), 8.0 * even(seed, 3 * k + 1), 0.3 * even(seed, 3 * k + 2));
        let points = placed(&(0..14).map(point).collect::<Vec<_>>(), seed);
        let (found, truth) = (zone(Kind::Plane, &points).width_mm, width_by_brute_force(&points));
        assert!((found - truth).abs() < 1e-9, "seed {seed}: {found} against {truth}");
    }
}

/// Least ring of a section by trying every centre that two pairs or three and one of its points define.
fn ring_by_brute_force(points: &[Point3<f64>]) -> f64 {
    let n = points.len();
    let bisector = |i: usize, j: usize| {
        let d = points[j] - points[i];
        (d.x, d.y, 0.5 * (points[j].coords.norm_squared() - points[i].coords.norm_squared()))
    };
    let mut lines = vec![];
    for i in 0..n {
        (i + 1..n).for_each(|j| lines.push(bisector(i, j)));
    }
    let mut least = f64::INFINITY;
    for (k, a) in lines.iter().enumerate() {
        for b in &lines[k + 1..] {
            let det = a.0 * b.1 - a.1 * b.0;
            if det.abs() > 1e-9 {
                let c = Point3::new((a.2 * b.1 - a.1 * b.2) / det, (a.0 * b.2 - a.2 * b.0) / det, 0.0);
                let ends = points.iter().map(|p| (p - c).norm()).fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], x| [a.min(x), b.max(x)]);
                least = least.min(ends[1] - ends[0]);
            }
        }
    }
    least
}

#[test]
fn the_zone_of_a_circle_is_the_least_of_all_rings() {
    for seed in 0..12 {
        let points: Vec<Point3<f64>> = section(16, |_| 0.0)
            .iter()
            .enumerate()
            .map(|(k, _)| {
                let angle = std::f64::consts::TAU * (k as f64 + 0.3 * even(seed, k)) / 16.0;
                let r = 5.0 + 0.2 * even(seed + 50, k);
                Point3::new(r * libm::cos(angle), r * libm::sin(angle), 0.0)
            })
            .collect();
        let (found, truth) = (zone(Kind::Circle, &placed(&points, seed)).width_mm, ring_by_brute_force(&points));
        assert!((found - truth).abs() < 1e-9, "seed {seed}: {found} against {truth}");
    }
}

#[test]
fn a_bent_rod_lies_in_the_cylinder_of_its_bow() {
    // An arc of a circle in a plane: the least cylinder around it has the sagitta as diameter.
    let (radius, half) = (200.0, 0.1);
    let points: Vec<Point3<f64>> = (0..=400)
        .map(|k| half * (k as f64 / 200.0 - 1.0))
        .map(|a| Point3::new(radius * libm::sin(a), radius * libm::cos(a), 0.0))
        .collect();
    let sagitta = radius * (1.0 - libm::cos(half));
    let found = zone(Kind::Line, &placed(&points, 2)).width_mm;
    assert!((found - sagitta).abs() < OPTIMUM, "{found} against {sagitta}");
}

#[test]
fn random_zones_are_proven_and_no_small_move_narrows_them() {
    for (kind, shape, heights) in zones_of_every_kind() {
        for seed in 0..8 {
            let points = scattered(&shape, heights, 2500, seed, |_, off| 0.05 * off);
            zone(kind, &points);
        }
    }
}

/// A step of every size and direction within the reach of a zone's proof.
fn stepped(shape: &Shape, reach_mm: f64, reach_rad: f64, seed: u64) -> Shape {
    let size = [1.0, 0.3, 0.03, 1e-3][seed as usize % 4];
    let (mm, rad) = (|k: usize| size * reach_mm * even(seed, k), |k: usize| size * reach_rad * even(seed, k));
    let axis = shape.direction().unwrap_or_else(Vector3::z);
    let u = Vector3::ith(axis.iamin(), 1.0).cross(&axis).normalize();
    let v = axis.cross(&u);
    let turn = Pose::from_rotation_vector(u * rad(3) + v * rad(4), Vector3::zeros());
    let (at, to) = (shape.place() + u * mm(0) + v * mm(1), turn.rotate(&axis));
    match *shape {
        Shape::Line { .. } => Shape::Line { point: at, direction: to },
        Shape::Plane { point, normal } => Shape::Plane { point: point + normal * mm(2), normal: to },
        Shape::Circle { normal, radius_mm, .. } => Shape::Circle { centre: at, normal, radius_mm: radius_mm + mm(5) },
        Shape::Sphere { radius_mm, .. } => Shape::Sphere { centre: at + axis * mm(2), radius_mm: radius_mm + mm(5) },
        Shape::Cylinder { radius_mm, .. } => Shape::Cylinder { point: at, axis: to, radius_mm: radius_mm + mm(5) },
        Shape::Cone { radius_mm, half_angle_rad, .. } => {
            Shape::Cone { point: at, axis: to, radius_mm: radius_mm + mm(5), half_angle_rad: half_angle_rad + rad(6) }
        }
        Shape::Torus { major_mm, minor_mm, .. } => {
            Shape::Torus { centre: at + axis * mm(2), axis: to, major_mm: major_mm + mm(5), minor_mm: minor_mm + mm(6) }
        }
    }
}

/// Points of a shape in a random pose, off it along its normal.
fn scattered(shape: &Shape, heights: [f64; 2], count: usize, seed: u64, off: impl Fn(f64, f64) -> f64) -> Vec<Point3<f64>> {
    let point = |k: usize| {
        let height = heights[0] + (heights[1] - heights[0]) * (0.5 + 0.5 * even(seed, 3 * k));
        let angle = 3.1 * even(seed, 3 * k + 1);
        let (p, n) = on(shape, angle, height);
        pose(seed, 60.0).apply(&(p + n * off(angle, even(seed, 3 * k + 2))))
    };
    (0..count).map(point).collect()
}

fn zones_of_every_kind() -> [(Kind, Shape, [f64; 2]); 7] {
    [
        (Kind::Plane, plane(), [-1.0, 1.0]),
        (Kind::Circle, circle(5.0), [0.0, 0.0]),
        (Kind::Sphere, sphere(5.0), [-1.4, 1.4]),
        (Kind::Cylinder, cylinder(5.0), [-8.0, 8.0]),
        (Kind::Line, line(), [-20.0, 20.0]),
        (Kind::Cone, cone(6.0, 0.3), [-8.0, 8.0]),
        (Kind::Torus, torus(8.0, 3.0), [-3.1, 3.1]),
    ]
}

#[test]
fn no_shape_within_reach_has_a_narrower_zone_than_the_bound() {
    for (kind, shape, heights) in zones_of_every_kind() {
        for (seed, noise) in [(1, 0.002), (2, 0.02), (3, 0.1)] {
            let points = scattered(&shape, heights, 1200, seed, |_, off| noise * off);
            let zone = zone(kind, &points);
            let c = &zone.certificate;
            println!(
                "{kind:?}, ±{noise} mm: {:.6} mm, gap {:.1e} mm, reach {:.4} mm {:.5} rad",
                zone.width_mm, c.gap_mm, c.reach_mm, c.reach_rad
            );
            assert!(c.reach_rad > 1e-4, "{kind:?}: {c:?}");
            // A circle's zone is that of its points seen along its axis.
            let width = |s: &Shape| {
                let flat = |p: &Point3<f64>| s.direction().filter(|_| kind == Kind::Circle).map_or(*p, |n| p - n * (p - s.place()).dot(&n));
                2.0 * points.iter().map(|p| s.distance_mm(&flat(p)).abs()).fold(0.0, f64::max)
            };
            for k in 0..400 {
                let trial = width(&stepped(&zone.shape, c.reach_mm, c.reach_rad, 1000 * seed + k));
                assert!(trial >= zone.width_mm - c.gap_mm - 1e-9, "{kind:?}: {trial} below {} - {}", zone.width_mm, c.gap_mm);
            }
        }
    }
}

#[test]
fn lobed_cones_and_tori_have_zones_of_twice_their_amplitude() {
    let amplitude = 0.03;
    let turn = std::f64::consts::TAU;
    for lobes in [2.0, 3.0, 7.0] {
        let ring = |k: usize| turn * k as f64 / 84.0;
        let (apex, tube) = (cone(6.0, 0.3), torus(8.0, 3.0));
        // Alternate signs all round balance against every shift, tilt and size of a cone.
        let cone_points: Vec<Point3<f64>> = (0..84 * 9)
            .map(|i| {
                let (p, n) = on(&apex, ring(i % 84), -6.0 + 1.5 * (i / 84) as f64);
                p + n * (amplitude * libm::cos(lobes * ring(i % 84)))
            })
            .collect();
        let found = zone(Kind::Cone, &placed(&cone_points, lobes as u64));
        assert!((found.width_mm - 2.0 * amplitude).abs() < OPTIMUM, "cone of {lobes} lobes: {}", found.width_mm);
        let Shape::Cone { half_angle_rad, .. } = found.shape else { panic!() };
        assert!((half_angle_rad - 0.3).abs() < 0.02, "{half_angle_rad}");
        // And lobes along the tube that a larger tube or ring cannot follow.
        let torus_points: Vec<Point3<f64>> = (0..84 * 36)
            .map(|i| {
                let (around, along) = (ring(i % 84), turn * (i / 84) as f64 / 36.0);
                let (p, n) = on(&tube, around, along);
                p + n * (amplitude * libm::cos(lobes * around) * libm::cos(2.0 * along))
            })
            .collect();
        let found = zone(Kind::Torus, &placed(&torus_points, lobes as u64 + 20));
        assert!((found.width_mm - 2.0 * amplitude).abs() < OPTIMUM, "torus of {lobes} lobes: {}", found.width_mm);
    }
}

#[test]
fn zones_of_cones_and_tori_are_the_lowest_of_many_starts() {
    for (kind, shape, heights) in zones_of_every_kind().into_iter().skip(5) {
        for seed in 0..3 {
            let points = scattered(&shape, heights, 400, seed, |angle, off| 0.02 * libm::cos(5.0 * angle) + 0.02 * off);
            let cloud = Cloud::of(&points);
            let (fit, found) = (least_squares(kind, &cloud).unwrap(), zone(kind, &points));
            for k in 0..12 {
                // Starts as far off as the zone is wide, and ten times that.
                let far = 0.04 * [1.0, 10.0][k as usize % 2];
                let from = Fit { shape: stepped(&fit.shape, far, far / 8.0, 4 * k), ..fit.clone() };
                if let Ok(other) = minimum_zone(&from, &cloud) {
                    assert!(found.width_mm <= other.width_mm + OPTIMUM, "{kind:?} {seed} {k}: {} above {}", found.width_mm, other.width_mm);
                }
            }
        }
    }
}

/// Least strip around points of a plane: one side of it lies on two of them.
fn strip_by_brute_force(points: &[[f64; 2]]) -> f64 {
    let mut least = f64::INFINITY;
    for (i, p) in points.iter().enumerate() {
        for q in &points[i + 1..] {
            let (x, y) = (q[0] - p[0], q[1] - p[1]);
            let length = (x * x + y * y).sqrt();
            let ends = points
                .iter()
                .map(|r| ((r[0] - p[0]) * -y + (r[1] - p[1]) * x) / length)
                .fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], d| [a.min(d), b.max(d)]);
            least = least.min(ends[1] - ends[0]);
        }
    }
    least
}

#[test]
fn straightness_in_a_plane_is_the_least_strip_whatever_lies_across_it() {
    for seed in 0..12 {
        let flat: Vec<[f64; 2]> = (0..60).map(|k| [0.5 * k as f64 - 15.0, 0.05 * even(seed, k)]).collect();
        let points: Vec<Point3<f64>> = flat.iter().enumerate().map(|(k, p)| Point3::new(p[0], p[1], 0.4 * even(seed + 90, k))).collect();
        let (placed, pose) = (placed(&points, seed), pose(seed, 40.0));
        let fit = least_squares(Kind::Line, &Cloud::of(&placed)).unwrap();
        // A normal of any length does.
        let zone = minimum_strip(&fit, &Cloud::of(&placed), &(pose.rotate(&Vector3::z()) * 7.0)).unwrap();
        let truth = strip_by_brute_force(&flat);
        assert!((zone.width_mm - truth).abs() < 1e-9, "seed {seed}: {} against {truth}", zone.width_mm);
        assert!(zone.certificate.holds && zone.certificate.gap_mm <= 1.01e-3 * truth, "{:?}", zone.certificate);
        let Shape::Line { direction, .. } = zone.shape else { panic!() };
        assert!(direction.dot(&pose.rotate(&Vector3::z())).abs() < 1e-12 && direction.dot(&pose.rotate(&Vector3::x())).abs() > 0.999);
        let along = minimum_strip(&fit, &Cloud::of(&placed), &direction);
        assert_eq!(along.err().map(|e| e.code()), Some("feature.degenerate"));
    }
}

#[test]
fn a_zone_has_the_same_bits_on_one_thread_and_on_many() {
    let points = placed(&extruded(&section(500, |a| 10.0 + 0.1 * libm::cos(5.0 * a) + 0.01 * libm::sin(37.0 * a)), 20.0, 30), 1);
    let fit = least_squares(Kind::Cylinder, &Cloud::of(&points)).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| minimum_zone(&fit, &Cloud::of(&points)).unwrap())
    };
    assert_eq!(on(1), on(3));
}

/// Seconds for 10⁴ and 10⁶ points; `VERIMETRY_LONG=1` with `--nocapture` prints them.
#[test]
fn a_zone_of_a_million_points_takes_seconds() {
    if std::env::var_os("VERIMETRY_LONG").is_none() {
        return;
    }
    for (kind, shape, reach) in [(Kind::Plane, plane(), 1.0), (Kind::Sphere, sphere(5.0), 1.4), (Kind::Cylinder, cylinder(5.0), 8.0)] {
        let seconds = [10_000, 1_000_000].map(|count| {
            let point = |k: usize| {
                let (p, n) = on(&shape, 3.1 * even(2, 3 * k), reach * even(2, 3 * k + 1));
                p + n * (0.05 * even(2, 3 * k + 2))
            };
            let points: Vec<Point3<f64>> = (0..count).map(point).collect();
            let fit = least_squares(kind, &Cloud::of(&points)).unwrap();
            let start = std::time::Instant::now();
            minimum_zone(&fit, &Cloud::of(&points)).unwrap();
            start.elapsed().as_secs_f64()
        });
        println!("{kind:?} zone {:8.4} s {:8.4} s", seconds[0], seconds[1]);
    }
}
