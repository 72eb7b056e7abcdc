//! Minimum zones and touching shapes.

use nalgebra::{Point3, Vector3};
use verimetry_engine::features::{Cloud, Kind, Shape, Zone, circumscribed, inscribed, least_squares, minimum_zone};

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
    for (kind, shape, heights) in [
        (Kind::Plane, plane(), [-1.0, 1.0]),
        (Kind::Circle, circle(5.0), [0.0, 0.0]),
        (Kind::Sphere, sphere(5.0), [-1.4, 1.4]),
        (Kind::Cylinder, cylinder(5.0), [-8.0, 8.0]),
        (Kind::Line, line(), [-20.0, 20.0]),
    ] {
        for seed in 0..8 {
            let points: Vec<Point3<f64>> = (0..2500)
                .map(|k| {
                    let height = heights[0] + (heights[1] - heights[0]) * (0.5 + 0.5 * even(seed, 3 * k));
                    let (p, n) = on(&shape, 3.1 * even(seed, 3 * k + 1), height);
                    pose(seed, 60.0).apply(&(p + n * (0.05 * even(seed, 3 * k + 2))))
                })
                .collect();
            zone(kind, &points);
        }
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
