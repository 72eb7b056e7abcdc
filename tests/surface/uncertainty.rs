//! Stated uncertainties against what is seen: of vertices over the surface, of radius, volume and wall over repeats in which the geometry, the
//! blur, the place on the grid and the noise change, so that what is systematic in one scan is drawn anew in the next.

use nalgebra::{Point3, Vector3};
use verimetry_engine::noise::uniform;
use verimetry_engine::surface::{Determined, Keep, Options};

use super::accuracy::errors;
use super::{ball_ct, determine, determine_with, grid, long, mean_radius, plate_share, scan};

fn stated(found: &Determined) -> f64 {
    (found.vertex_u_mm.iter().map(|&u| f64::from(u) * f64::from(u)).sum::<f64>() / found.vertex_u_mm.len() as f64).sqrt()
}

#[test]
fn the_uncertainty_of_vertices_is_their_scatter() {
    for (sigma, noise) in [(0.5, 0.005), (0.5, 0.05), (0.7, 0.02), (1.0, 0.005), (1.0, 0.03), (1.0, 0.05), (1.5, 0.02), (1.5, 0.05)] {
        let (radius, size) = (16.0, 52);
        let centre = Point3::new(25.9, 26.2, 25.6);
        let found = determine(ball_ct(grid([size; 3]), centre, radius, sigma, noise, 11));
        let (_, seen, _) = errors(&found, |p| Some((p - centre).norm() - radius));
        let stated = stated(&found);
        println!("sigma {sigma} noise {noise}: seen {seen:.4} stated {stated:.4} ratio {:.3}", stated / seen);
        assert!((0.8..1.25).contains(&(stated / seen)), "sigma {sigma} noise {noise}: stated {stated}, seen {seen}");
    }
}

#[test]
fn the_edge_blur_is_right_below_a_voxel() {
    for sigma in [0.4, 0.5, 0.6, 0.8] {
        let centre = Point3::new(17.9, 18.2, 17.6);
        for noise in [0.0, 0.02] {
            let found = determine(ball_ct(grid([36; 3]), centre, 12.0, sigma, noise, 2));
            println!("blur {sigma} noise {noise}: found {:.4}", found.image.edge_sigma_mm);
            assert!((found.image.edge_sigma_mm / sigma - 1.0).abs() < 0.03, "blur {sigma}: found {}", found.image.edge_sigma_mm);
        }
    }
}

/// One repeat of a ball: errors of radius and volume over their standard uncertainties.
fn ball_repeat(k: u64) -> [f64; 2] {
    let u = |n: u64| uniform(99, k * 16 + n);
    let sigma = 0.5 + u(0);
    let radius = (10.0 * sigma).max(5.0) * (1.0 + 0.4 * u(1));
    let noise = 0.005 * libm::exp(u(2) * libm::log(10.0));
    let size = (2.0 * radius + 10.0 * sigma + 8.0) as usize;
    let centre = Point3::from([3, 4, 5].map(|n| 0.5 * size as f64 + u(n) - 0.5));
    let found = determine(ball_ct(grid([size; 3]), centre, radius, sigma, noise, 1000 + k));
    let volume = found.mesh.volume_mm3() + found.facet_loss_mm3 - 4.0 / 3.0 * std::f64::consts::PI * radius * radius * radius;
    [(mean_radius(&found.mesh, centre) - radius) / found.u_offset_mm, volume / (found.mesh.area_mm2() * found.u_offset_mm)]
}

/// Share of repeats within two standard uncertainties, and the bounds for it: 93 to 97 % in a thousand; fewer stray more, by three
/// binomial standard deviations.
fn assert_covered(what: &str, ratios: &[f64]) {
    let n = ratios.len() as f64;
    let inside = ratios.iter().filter(|z| z.abs() <= 2.0).count() as f64 / n;
    let rms = (ratios.iter().map(|z| z * z).sum::<f64>() / n).sqrt();
    println!("{what}: {:.1} % of {n} within U, rms of error over u {rms:.3}", 100.0 * inside);
    let stray = if n < 1000.0 { 3.0 * (0.95 * 0.05 / n).sqrt() } else { 0.0 };
    assert!(inside >= 0.93 - stray && inside <= 0.97 + stray, "{what}: {inside} of {n}");
}

fn repeats() -> u64 {
    if long() { 1000 } else { 100 }
}

#[test]
fn the_uncertainty_of_radius_and_volume_covers_the_truth_as_often_as_it_says() {
    let all: Vec<[f64; 2]> = (0..repeats()).map(ball_repeat).collect();
    assert_covered("radius", &all.iter().map(|z| z[0]).collect::<Vec<_>>());
    assert_covered("volume", &all.iter().map(|z| z[1]).collect::<Vec<_>>());
}

#[test]
fn the_uncertainty_of_a_wall_at_one_place_covers_the_truth_as_often_as_it_says() {
    let one = |k: u64| {
        let u = |n: u64| uniform(77, k * 16 + n);
        let sigma = 0.6 + 0.6 * u(0);
        // Below 7.5 blurs no vertex sees a plateau of material: blur, contrast and level all come from the walls themselves.
        let thickness = (3.0 + 8.0 * u(1)) * sigma;
        let noise = 0.01 * libm::exp(u(2) * libm::log(5.0));
        let n = Vector3::new(0.2 + u(3), 0.2 + u(4), 0.2 + u(5)).normalize();
        let c = Point3::new(17.0 + u(6), 17.0 + u(7), 17.0 + u(8));
        let ct = scan(grid([36; 3]), |p| plate_share((p - c).dot(&n), thickness, sigma), noise, 500 + k);
        let found = determine_with(ct, &Options { keep: Keep::All, ..Options::default() });
        // The nearest vertex to the middle on either side: two independent edges, and an offset that both share.
        let side = |side: f64| {
            let foot = c + n * (side * 0.5 * thickness);
            let v = (0..found.flags.len()).min_by(|&a, &b| {
                let d = |v: usize| (found.mesh.vertices()[v] - foot).norm();
                d(a).total_cmp(&d(b))
            });
            let v = v.unwrap();
            (side * (found.mesh.vertices()[v] - c).dot(&n), f64::from(found.vertex_u_mm[v]))
        };
        let ((a, ua), (b, ub)) = (side(1.0), side(-1.0));
        (a + b - thickness) / (ua * ua + ub * ub + 4.0 * found.u_offset_mm * found.u_offset_mm).sqrt()
    };
    assert_covered("wall", &(0..repeats()).map(one).collect::<Vec<_>>());
}
