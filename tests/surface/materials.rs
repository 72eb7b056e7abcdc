//! Several materials: air, plastic of three tenths of titanium's grey value, titanium.

use nalgebra::Point3;
use verimetry_engine::runtime::Runtime;
use verimetry_engine::surface::{self, Options, flag};
use verimetry_engine::volume::Voxel;

use super::accuracy::errors;
use super::{blurred_ball, determine_with, grid, mean_radius, scan};

fn of(material: u8) -> Options {
    Options { materials: 2, material, ..Options::default() }
}

#[test]
fn a_ball_in_a_ball_has_both_radii_whatever_the_air_around() {
    for (size, noise) in [(62usize, 0.0), (62, 0.01), (80, 0.01)] {
        let sigma = 0.9;
        let centre = Point3::from([0.5 * size as f64 - 0.7; 3]);
        let grey =
            |p: Point3<f64>| 0.3 * blurred_ball((p - centre).norm(), 24.0, sigma) + 0.7 * blurred_ball((p - centre).norm(), 12.0, sigma);
        let ct = scan(grid([size; 3]), grey, noise, 5);
        for (material, radius) in [(1, 12.0), (2, 24.0)] {
            let found = determine_with(ct.clone(), &of(material));
            let error = mean_radius(&found.mesh, centre) - radius;
            println!("size {size} noise {noise} material {material}: {error:+.5}, threshold {:.0}", found.threshold);
            let half_way = 5000.0 + 20000.0 * if material == 1 { 0.65 } else { 0.15 };
            assert!((found.threshold - half_way).abs() < 150.0, "{}", found.threshold);
            assert!(error.abs() < 0.01, "size {size} noise {noise} material {material}: {error}");
            assert!(found.flags.iter().all(|f| f & flag::MIXED == 0));
        }
    }
}

#[test]
fn titanium_half_in_plastic_is_found_on_both_sides_and_flagged_between() {
    let (sigma, radius) = (0.9, 14.0);
    let c = Point3::new(31.3, 30.8, 31.2);
    let grey = |p: Point3<f64>| {
        let titanium = blurred_ball((p - c).norm(), radius, sigma);
        let plastic = 0.5 * libm::erfc((p.z - c.z) / (std::f64::consts::SQRT_2 * sigma));
        0.3 * plastic * (1.0 - titanium) + titanium
    };
    let found = determine_with(scan(grid([62; 3]), grey, 0.0, 5), &of(1));
    for side in [1.0, -1.0] {
        let (mean, sd, _) = errors(&found, |p| (side * (p.z - c.z) > 5.0 * sigma).then(|| (p - c).norm() - radius));
        println!("side {side}: {mean:+.5} sd {sd:.4}");
        // One threshold would be off by 0.39 blurs on the side of air.
        assert!(mean.abs() < 0.02, "side {side}: {mean}");
    }
    let at_the_line = |(v, p): (usize, &Point3<f64>)| ((p.z - c.z).abs() < sigma).then(|| found.flags[v] & flag::MIXED != 0);
    assert!(found.mesh.vertices().iter().enumerate().filter_map(at_the_line).all(|mixed| mixed));
    assert!(found.findings.iter().any(|f| f.code == "surface.mixed"));
}

#[test]
fn materials_that_are_not_there_or_not_possible_are_refused() {
    let ct = || scan(grid([40; 3]), |p| blurred_ball((p - Point3::new(20.0, 20.0, 20.0)).norm(), 12.0, 0.9), 0.01, 1);
    let code = |materials, material| {
        surface::determine(&Voxel::wrap(ct()), &Options { materials, material, ..Options::default() }, &Runtime::cpu())
            .map(|_| ())
            .unwrap_err()
            .code
    };
    assert_eq!(code(2, 1), "surface.few_modes");
    for (materials, material) in [(0, 0), (1, 0), (1, 2), (7, 1)] {
        assert_eq!(code(materials, material), "surface.materials");
    }
}
