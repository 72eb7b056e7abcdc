//! The best that any pose could achieve, against parts whose optimum is known.

use nalgebra::{Point3, Vector3};
use verimetry_engine::align::{self, Limited};
use verimetry_engine::distance::MeshDistance;
use verimetry_engine::frame::Pose;
use verimetry_engine::runtime::Runtime;

use super::{Random, bracket, map};

fn singles(count: usize) -> Vec<Vec<(u32, f64)>> {
    (0..count as u32).map(|i| vec![(i, 1.0)]).collect()
}

#[test]
fn a_pose_inside_all_tolerances_is_found_and_certified() {
    // Form error of ±0.05 mm on a part placed 0.2 mm off: as it lies it fails ±0.1 mm, moved it fits.
    let nominal = bracket(5);
    let wave = |p: &Point3<f64>| 0.05 * (p.x * 0.9).sin() * (p.y * 1.1).cos();
    let normals = nominal.vertex_normals();
    let mut i = 0;
    let formed = map(&nominal, |p| {
        i += 1;
        p + normals[i - 1] * wave(p)
    });
    let placed = formed.moved(&Pose::from_rotation_vector(Vector3::new(0.003, -0.002, 0.004), Vector3::new(0.1, -0.12, 0.08)));
    let patches = singles(placed.vertices().len());
    let limited = Limited { sites: placed.vertices(), patches: &patches, limits_mm: [-0.1, 0.1] };
    let a = align::best_achievable(&MeshDistance::build(&nominal), &limited, &Runtime::cpu()).unwrap().unwrap();
    assert!(a.converged && a.ordered_ratio > 1.5 && a.ratio <= 0.51, "{a:?}"); // undoing the motion gives 0.5
    let total: f64 = a.binding.iter().map(|b| b.1.abs()).sum();
    assert!((total - 1.0).abs() < 1e-9 && a.stationarity < 1e-3 && a.binding.len() <= 7, "{a:?}");
    // No small motion betters it by more than the certificate leaves open.
    let mut noise = Random(71);
    let distance = MeshDistance::build(&nominal);
    let worst = |pose: &Pose| placed.vertices().iter().map(|p| distance.signed(&pose.apply(p)).distance_mm.abs()).fold(0.0, f64::max) / 0.1;
    assert!((worst(&a.optimal_from_ordered) - a.ratio).abs() < 1e-9);
    for _ in 0..10 {
        let step = Pose::from_rotation_vector(noise.vector() * 1e-3, noise.vector() * 0.02);
        assert!(worst(&a.optimal_from_ordered.then(&step)) > a.ratio - 1e-6);
    }
}

#[test]
fn a_step_that_no_pose_removes_is_half_of_it() {
    // One face 0.1 mm high, its opposite 0.1 mm low: a shift by 0.1 mm fits it. Both 0.1 mm high: nothing helps.
    let nominal = bracket(4);
    let top = |p: &Point3<f64>| f64::from(u8::from(p.z > 19.9)) - f64::from(u8::from(p.z < 0.1));
    let both_high = map(&nominal, |p| p + Vector3::new(0.0, 0.0, 0.1 * top(p)));
    let patches = singles(both_high.vertices().len());
    let limited = Limited { sites: both_high.vertices(), patches: &patches, limits_mm: [-0.1, 0.1] };
    let a = align::best_achievable(&MeshDistance::build(&nominal), &limited, &Runtime::cpu()).unwrap().unwrap();
    assert!((a.ratio - 1.0).abs() < 1e-5 && a.stationarity < 1e-3, "{a:?}");
    let uneven = Limited { limits_mm: [-0.1, 0.3], ..limited };
    let b = align::best_achievable(&MeshDistance::build(&nominal), &uneven, &Runtime::cpu()).unwrap().unwrap();
    assert!((b.ratio - 0.5).abs() < 1e-5, "limits of unequal sides are about their middle: {b:?}");
}
