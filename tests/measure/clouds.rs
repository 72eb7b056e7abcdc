//! Point clouds as the actual part: what points say is measured, what needs a surface is not.

use std::fmt::Write as _;

use nalgebra::{Point3, Vector3};
use verimetry_engine::distance::{MeshDistance, hausdorff};
use verimetry_engine::finding::Severity;
use verimetry_engine::frame::Bounds;
use verimetry_engine::io::{self, Loaded};
use verimetry_engine::load::Source;
use verimetry_engine::measure::{self, Measurement};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::order::AlignmentMethod;
use verimetry_engine::phantom::{self, parts};
use verimetry_engine::runtime::Runtime;

use super::support::Random;
use super::{Folder, backends, compare, covers, odd_pose};

/// Points spread at random over a surface.
pub fn scattered(mesh: &Mesh, count: usize, seed: u64) -> Vec<Point3<f64>> {
    let mut random = Random(seed);
    let mut passed = vec![0.0];
    (0..mesh.triangles().len()).for_each(|t| passed.push(passed[t] + mesh.area_vector(t).norm()));
    let whole = passed[passed.len() - 1];
    let mut point = || {
        let wanted = random.unit() * whole;
        let t = passed.partition_point(|&area| area <= wanted).clamp(1, mesh.triangles().len()) - 1;
        let (u, v) = (random.unit(), random.unit());
        let (u, v) = if u + v > 1.0 { (1.0 - u, 1.0 - v) } else { (u, v) };
        let [a, b, c] = mesh.corners(t);
        a + (b - a) * u + (c - a) * v
    };
    (0..count).map(|_| point()).collect()
}

/// ASCII PLY without faces.
pub fn ply(points: &[Point3<f64>]) -> Vec<u8> {
    let mut text = format!(
        "ply\nformat ascii 1.0\nelement vertex {}\nproperty double x\nproperty double y\nproperty double z\nend_header\n",
        points.len()
    );
    points.iter().for_each(|p| writeln!(text, "{} {} {}", p.x, p.y, p.z).unwrap());
    text.into_bytes()
}

fn cloud(folder: &Folder, points: &[Point3<f64>]) -> Source {
    Source { point_uncertainty: Some(0.0), scale_uncertainty: 0.0, ..Source::new(folder.file("cloud.ply", &ply(points))) }
}

fn value(m: &Measurement, name: &str) -> f64 {
    m.quantities[name].value.unwrap_or_else(|| panic!("{name}: {:?}", m.quantities[name].reason))
}

#[track_caller]
fn needs_a_surface(m: &Measurement, name: &str) {
    let q = &m.quantities[name];
    assert!(q.value.is_none() && q.reason.as_deref().is_some_and(|r| r.contains("needs a surface")), "{name}: {q:?}");
}

#[test]
fn points_around_a_ball_deviate_by_their_distance_from_it() {
    let folder = Folder::new();
    let points: Vec<_> = scattered(&parts::ball(Point3::origin(), 1.0, 30).mesh, 20_000, 3)
        .iter()
        .map(|p| Point3::new(1.0, 2.0, 3.0) + p.coords.normalize() * 10.05)
        .collect();
    let phantom::Meshed { mesh: nominal, chord_error_mm } = parts::ball(Point3::new(1.0, 2.0, 3.0), 10.0, 60);
    for rt in backends() {
        let m = compare(folder.mesh("n.stl", &nominal), cloud(&folder, &points), AlignmentMethod::None, &rt);
        for name in ["mean", "mean_abs", "rms", "abs_p50", "abs_p95", "min", "max", "peak_max", "peak_min"] {
            let above = value(&m, &format!("deviation.{name}")) - 0.05; // of facets, which lie inside the ball
            assert!((-1e-5..=chord_error_mm).contains(&above), "{name}: {above} of {chord_error_mm}");
        }
        covers(&m, "deviation.in_tolerance", 1.0);
        covers(&m, "deviation.coverage", 1.0);
        // A point found a spacing (0.25 mm) aside lies lower by up to 0.25² / 20.
        assert!((value(&m, "deviation.missing_p95") - 0.05).abs() < 0.005 && value(&m, "deviation.missing_max") < 0.06);
        for name in ["deviation.hausdorff", "body.volume", "body.area"] {
            needs_a_surface(&m, name);
        }
        let said = m.findings.iter().find(|f| f.code == "cloud.no_surface").unwrap();
        assert!(said.severity == Severity::Qualify && said.message.contains("a cloud of 20000 points about 0.2"), "{}", said.message);
    }
}

#[test]
fn a_place_that_was_scanned_more_densely_counts_no_more() {
    // The right half of a block stands out by 0.1 mm and has ten times the points of the left.
    let folder = Folder::new();
    let block = parts::cuboid(&Bounds { min: Point3::new(-20.0, -8.0, -6.0), max: Point3::new(20.0, 8.0, 6.0) }, 4).mesh;
    let points: Vec<_> = scattered(&block, 60_000, 6)
        .into_iter()
        .enumerate()
        .filter(|(i, p)| p.x.abs() < 19.9 && (p.x > 0.0 || i % 10 == 0))
        .map(|(_, p)| {
            let out = if p.y.abs() > 7.999 { Vector3::y() * p.y.signum() } else { Vector3::z() * p.z.signum() };
            if p.x > 0.0 { p + out * 0.1 } else { p }
        })
        .collect();
    let m = compare(folder.mesh("n.stl", &block), cloud(&folder, &points), AlignmentMethod::None, &Runtime::cpu());
    let mean = value(&m, "deviation.mean");
    // Points of one weight would give 0.091. Rims of thin cloud count for up to twice their width of 0.3 mm.
    assert!((mean - 0.05).abs() < 0.004, "{mean}");
    assert!((value(&m, "deviation.rms") - 0.1 / 2.0_f64.sqrt()).abs() < 0.004);
    let placed = compare(folder.mesh("n.stl", &block), cloud(&folder, &points), AlignmentMethod::BestFit, &Runtime::cpu());
    assert!((value(&placed, "deviation.mean") - mean).abs() < 0.004);
}

#[test]
fn a_cloud_of_most_of_a_part_finds_its_pose_and_what_is_missing() {
    let folder = Folder::new();
    let block = parts::stepped_hollow_block(2);
    // The cavity is not seen by an optical scanner, nor is what lies beyond x = 30 mm.
    let outside = |p: &Point3<f64>| {
        let cavity = (5.9..24.1).contains(&p.x) && (4.9..17.1).contains(&p.y) && (3.9..12.1).contains(&p.z);
        let pocket = (23.9..31.1).contains(&p.x) && (8.9..17.1).contains(&p.y) && (3.9..7.1).contains(&p.z);
        p.x < 30.0 && !cavity && !pocket
    };
    let seen: Vec<_> = scattered(&block.mesh, 60_000, 4).into_iter().filter(outside).collect();
    let moved: Vec<_> = seen.iter().map(|p| odd_pose().apply(p)).collect();
    let nominal = folder.mesh("n.stl", &block.mesh);
    let m = compare(nominal.clone(), cloud(&folder, &moved), AlignmentMethod::BestFit, &Runtime::cpu());
    let pose = m.alignment.as_ref().unwrap();
    let off = |p: &Point3<f64>| (pose.nominal_from_actual.apply(&odd_pose().apply(p)) - p).norm();
    assert!(!pose.ambiguous && seen.iter().step_by(100).all(|p| off(p) < 1e-5), "{:?}", seen.first().map(off));
    assert!(value(&m, "deviation.rms") < 1e-5);
    let covered = value(&m, "deviation.coverage");
    let truth = seen.len() as f64 / 60_000.0;
    assert!((covered - truth).abs() < 0.03, "{covered} of {truth}");
    // The farthest place from any point, but for the disc of 0.6 mm that a point stands for.
    let to_points = MeshDistance::build(&Mesh::of_points(seen.clone()).unwrap());
    let farthest = hausdorff::directed(&block.mesh, &to_points, None, &Runtime::cpu()).unwrap().unwrap();
    let missing = value(&m, "deviation.missing_max");
    assert!((farthest.lower_mm - 1.0..=farthest.upper_mm).contains(&missing), "{missing} of {farthest:?}");
    assert!(value(&m, "alignment.rms") < 1e-5);

    let shrunk: Vec<_> = moved.iter().map(|p| p * 0.99).collect();
    let s = measure::shrinkage(&nominal, &cloud(&folder, &shrunk), AlignmentMethod::BestFit, &Runtime::cpu()).unwrap();
    assert!((value(&s, "shrinkage.isotropic") - 1.0).abs() < 0.02, "{:?}", s.quantities["shrinkage.isotropic"]);
}

#[test]
fn a_cloud_is_told_from_a_mesh_and_refused_where_only_a_mesh_will_do() {
    let folder = Folder::new();
    let points: Vec<_> = (0..100).map(|i| Point3::new(f64::from(i % 10), f64::from(i / 10), 0.0)).collect();
    let path = folder.file("cloud.ply", &ply(&points));
    assert!(matches!(io::load(&path), Ok(Loaded::Cloud(file)) if file.mesh.vertices() == points && file.mesh.is_cloud()));
    assert_eq!(io::load_mesh(&path).unwrap_err().code, "mesh.empty");
    assert_eq!(io::load_volume(&path).unwrap_err().code, "file.not_a_volume");
    let json = serde_json::to_value(verimetry_engine::inspect::inspect(&[&path]).unwrap()).unwrap();
    assert_eq!((&json["items"][0]["kind"], &json["items"][0]["points"]), (&"cloud".into(), &100.into()));
    let spacing = json["items"][0]["spacing_mm"].as_f64().unwrap();
    assert!((0.8..1.6).contains(&spacing), "{spacing}"); // a third of the points lie at the border
    // Written back it is points again.
    let copy = folder.0.path().join("copy.ply");
    io::ply::write(&copy, &Mesh::of_points(points.clone()).unwrap(), &[], None).unwrap();
    assert!(matches!(io::load(&copy), Ok(Loaded::Cloud(file)) if file.mesh.vertices() == points));
}

#[test]
fn points_upon_each_other_and_single_points_are_refused_or_not_measured_but_never_a_number() {
    let folder = Folder::new();
    let nominal = folder.mesh("n.stl", &parts::stepped_hollow_block(1).mesh);
    for points in [vec![Point3::new(1.0, 2.0, 3.0)], vec![Point3::new(1.0, 2.0, 3.0); 500]] {
        for align in [AlignmentMethod::BestFit, AlignmentMethod::None] {
            let job = measure::Compare {
                nominal: nominal.clone(),
                actual: cloud(&folder, &points),
                align,
                datums: None,
                tolerance: None,
                patch_mm: 0.5,
                map: None,
                sections: None,
                region: None,
            };
            match measure::compare(&job, &Runtime::cpu()) {
                Err(e) => assert!(e.code.starts_with("align.") || e.code.starts_with("cloud."), "{e}"),
                Ok(m) => assert!(m.quantities["deviation.mean"].value.is_none(), "{:?}", m.quantities["deviation.mean"]),
            }
        }
    }
}
