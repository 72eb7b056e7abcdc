//! Points with coefficients that others publish; told aloud and passed over where they are not at hand.

use std::path::{Path, PathBuf};

use nalgebra::{Point3, Vector3};
use verimetry_engine::features::{Cloud, Fit, Kind, Shape, least_squares};

fn folder() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/fit/pcl_sac");
    if !path.is_dir() {
        eprintln!("SKIPPED: {} is not there; the published points were not fitted", path.display());
        return None;
    }
    Some(path)
}

fn table(path: &Path) -> Vec<[f64; 3]> {
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let numbers: Vec<f64> = line.split(',').map(|x| x.trim().parse().unwrap()).collect();
        [numbers[0], numbers[1], numbers[2]]
    };
    text.lines().skip(1).filter(|l| !l.trim().is_empty()).map(row).collect()
}

fn fit(folder: &Path, name: &str, kind: Kind, keep: impl Fn(usize) -> bool) -> Fit {
    let file = |ending: &str| folder.join(format!("SampleConsensusModel{name}_RANSAC.{ending}"));
    let chosen = |rows: Vec<[f64; 3]>| rows.into_iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, r)| r).collect::<Vec<_>>();
    let points: Vec<Point3<f64>> = chosen(table(&file("csv"))).into_iter().map(Point3::from).collect();
    let normals: Option<Vec<Vector3<f64>>> = file("normals.csv")
        .is_file()
        .then(|| chosen(table(&file("normals.csv"))).into_iter().map(|n| Vector3::from(n).normalize()).collect());
    least_squares(kind, &Cloud { points: &points, weights: None, normals: normals.as_deref() }).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn published_tori_are_found_without_their_outliers() {
    let Some(folder) = folder() else { return };
    // The numbers and tolerance that stand in the files: major, minor, centre, axis.
    for (name, expected, tolerance) in [
        ("TorusOclusion", [2.0, 0.25, 3.0, -1.0, 2.0, 0.0, 1.0, 0.0], 1e-2),
        ("TorusRefine", [1.0, 0.3, 3.0, -1.0, 2.0, std::f64::consts::FRAC_1_SQRT_2, -0.6830127018922194, 0.1830127018922194], 1e-1),
    ] {
        let truth = Shape::Torus {
            centre: Point3::new(expected[2], expected[3], expected[4]),
            axis: Vector3::new(expected[5], expected[6], expected[7]),
            major_mm: expected[0],
            minor_mm: expected[1],
        };
        let inlier: Vec<bool> = table(&folder.join(format!("SampleConsensusModel{name}_RANSAC.csv")))
            .into_iter()
            .map(|p| truth.distance_mm(&p.into()).abs() < tolerance)
            .collect();
        let fit = fit(&folder, name, Kind::Torus, |i| inlier[i]);
        let Shape::Torus { centre, axis, major_mm, minor_mm } = fit.shape else { panic!("{name}") };
        let found = [major_mm, minor_mm, centre.x, centre.y, centre.z];
        println!("{name}: {found:?} {axis:?}");
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() <= tolerance, "{name}: {found:?} against {expected:?}");
        }
        let stated = Vector3::new(expected[5], expected[6], expected[7]).normalize();
        assert!(axis.cross(&stated).norm() <= tolerance, "{name}: {axis:?} against {stated:?}");
    }
}

#[test]
fn other_published_shapes_are_found_without_their_outliers() {
    let Some(folder) = folder() else { return };
    let inliers = |name: &str, far: &dyn Fn(&Point3<f64>) -> f64| -> Vec<bool> {
        table(&folder.join(format!("SampleConsensusModel{name}_RANSAC.csv"))).into_iter().map(|p| far(&Point3::from(p)) < 0.1).collect()
    };
    let sphere = Shape::Sphere { centre: Point3::new(2.0, 2.0, 2.0), radius_mm: 1.0 };
    let keep = inliers("Sphere", &|p| sphere.distance_mm(p).abs());
    let Shape::Sphere { centre, radius_mm } = fit(&folder, "Sphere", Kind::Sphere, |i| keep[i]).shape else { panic!() };
    println!("sphere {centre:?} {radius_mm}");
    assert!((centre / radius_mm - Point3::new(2.0, 2.0, 2.0)).norm() < 1e-2);

    let circle = Shape::Circle { centre: Point3::new(3.0, -5.0, 0.0), normal: Vector3::z(), radius_mm: 1.0 };
    let keep = inliers("Circle2D", &|p| circle.distance_mm(p).abs());
    let Shape::Circle { centre, radius_mm, .. } = fit(&folder, "Circle2D", Kind::Circle, |i| keep[i]).shape else { panic!() };
    println!("circle {centre:?} {radius_mm}");
    assert!((centre - Point3::new(3.0, -5.0, 0.0)).norm() < 1e-3 && (radius_mm - 1.0).abs() < 1e-3);

    let cylinder = Shape::Cylinder { point: Point3::new(-0.5, 1.7, 0.0), axis: Vector3::z(), radius_mm: 0.5 };
    let keep = inliers("Cylinder", &|p| cylinder.distance_mm(p).abs());
    let Shape::Cylinder { point, axis, radius_mm } = fit(&folder, "Cylinder", Kind::Cylinder, |i| keep[i]).shape else { panic!() };
    println!("cylinder {point:?} {axis:?} {radius_mm}");
    let at = point + axis * (-point.z / axis.z);
    assert!((at.x + 0.5).abs() < 1e-3 && (at.y - 1.7).abs() < 1e-3 && (radius_mm - 0.5).abs() < 1e-3);

    let line = Shape::Line { point: Point3::new(1.0, 2.0, 3.0), direction: Vector3::repeat(1.0).normalize() };
    let keep = inliers("Line", &|p| line.distance_mm(p));
    let Shape::Line { direction, .. } = fit(&folder, "Line", Kind::Line, |i| keep[i]).shape else { panic!() };
    assert!((direction.y / direction.x - 1.0).abs() < 1e-2 && (direction.z / direction.x - 1.0).abs() < 1e-2, "{direction:?}");
}
