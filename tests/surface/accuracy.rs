//! Where the surface lies, against closed forms. A voxel is the cube root of a voxel's volume; on the 1:1:3 grid that is 1.44 times the
//! smallest spacing, and bounds hold in terms of the smallest all the same. Blur is isotropic in millimetres unless a test says index space.

use nalgebra::{Matrix3, Point3, Vector3};
use verimetry_engine::frame::Grid;
use verimetry_engine::phantom::{Ct, Solid};
use verimetry_engine::surface::{Determined, Options, flag};

use super::{ball_ct, blurred_ball, determine, euler_of_closed, grid, mean_radius, normal, plate_share, scan, volume};

/// Mean and standard deviation over the vertices, of an error, and the greatest.
pub fn errors(found: &Determined, error: impl Fn(&Point3<f64>) -> Option<f64>) -> (f64, f64, f64) {
    let e: Vec<f64> = found.mesh.vertices().iter().filter_map(error).collect();
    let n = e.len() as f64;
    let mean = e.iter().sum::<f64>() / n;
    (mean, (e.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt(), e.iter().fold(0.0, |m: f64, x| m.max(x.abs())))
}

fn ball_error(radius: f64, sigma: f64, noise: f64, seed: u64) -> (f64, f64, f64) {
    let size = (2.0 * radius + 10.0 * sigma + 8.0) as usize;
    let h = 0.5 * size as f64;
    let s = seed as f64;
    let centre = Point3::new(h + 0.13 + 0.21 * s, h - 0.29 + 0.37 * s, h + 0.41 - 0.17 * s);
    let found = determine(ball_ct(grid([size; 3]), centre, radius, sigma, noise, seed));
    assert_eq!(euler_of_closed(&found.mesh), 2);
    let (_, sd, most) = errors(&found, |p| Some((p - centre).norm() - radius));
    (mean_radius(&found.mesh, centre) - radius, sd, most)
}

#[test]
fn the_radius_of_a_ball_without_noise_is_found_within_a_hundredth_of_a_voxel() {
    for (radius, sigma) in [(5.0, 0.5), (7.0, 0.7), (10.0, 0.5), (10.0, 1.0), (15.0, 1.5), (20.0, 0.7), (5.0, 1.0), (8.0, 1.5)] {
        let (mean, sd, most) = ball_error(radius, sigma, 0.0, 1);
        println!("R {radius} sigma {sigma}: {mean:+.5}, vertices sd {sd:.4} most {most:.4}");
        // Linear interpolation leaves an sd of 0.022 voxel at a blur of half a voxel, of 0.006 at one.
        assert!(mean.abs() < 0.01 && sd < 0.005, "R {radius} sigma {sigma}: {mean}, {sd}");
    }
}

#[test]
fn the_radius_of_a_noisy_ball_has_no_bias_of_two_hundredths_of_a_voxel() {
    for (radius, sigma, noise) in
        [(5.0, 0.5, 0.03), (10.0, 1.0, 0.03), (14.0, 0.7, 0.03), (15.0, 1.5, 0.03), (15.0, 0.5, 0.05), (20.0, 1.0, 0.05)]
    {
        let repeats = 4;
        let bias = (1..=repeats).map(|seed| ball_error(radius, sigma, noise, seed).0).sum::<f64>() / repeats as f64;
        println!("R {radius} sigma {sigma} noise {noise}: bias {bias:+.5}");
        assert!(bias.abs() < 0.02, "R {radius} sigma {sigma} noise {noise}: {bias}");
    }
}

#[test]
fn balls_up_to_sixty_voxels_are_found_as_well() {
    let cases: &[(f64, f64, f64)] = if super::long() {
        &[(40.0, 0.5, 0.0), (40.0, 1.5, 0.03), (60.0, 0.5, 0.03), (60.0, 1.0, 0.0), (60.0, 1.5, 0.05)]
    } else {
        &[(40.0, 0.8, 0.03)]
    };
    for &(radius, sigma, noise) in cases {
        let (mean, sd, _) = ball_error(radius, sigma, noise, 1);
        println!("R {radius} sigma {sigma} noise {noise}: {mean:+.5} sd {sd:.4}");
        assert!(mean.abs() < if noise > 0.0 { 0.02 } else { 0.01 }, "R {radius} sigma {sigma} noise {noise}: {mean}");
    }
}

#[test]
fn the_centre_of_a_ball_is_found_within_a_hundredth_of_a_voxel() {
    for (sigma, noise) in [(0.5, 0.0), (1.0, 0.0), (1.0, 0.03)] {
        let centre = Point3::new(18.13, 17.71, 18.41);
        let found = determine(ball_ct(grid([37; 3]), centre, 11.0, sigma, noise, 4));
        let areas = found.mesh.vertex_areas_mm2();
        let total: f64 = areas.iter().sum();
        let middle = found.mesh.vertices().iter().zip(&areas).fold(Vector3::zeros(), |m, (p, a)| m + (p - centre) * (*a / total));
        println!("sigma {sigma} noise {noise}: centre off by {:.5}", middle.norm());
        assert!(middle.norm() < 0.01, "sigma {sigma} noise {noise}: {middle}");
    }
}

#[test]
fn anisotropic_sheared_and_mirrored_grids_find_the_same_ball() {
    let radius = 16.0;
    for (axes, dims, sigma) in [
        (Matrix3::from_diagonal(&Vector3::new(1.0, 1.0, 3.0)), [52, 52, 18], 1.5),
        (Matrix3::from_diagonal(&Vector3::new(0.5, 0.5, 1.0)), [96, 96, 48], 0.8),
        (Matrix3::new(0.8, 0.0, 0.25, 0.0, 0.8, 0.0, 0.0, 0.0, 1.0), [78, 62, 52], 0.8),
        (Matrix3::new(0.8, 0.0, 0.25, 0.0, -0.8, 0.0, 0.0, 0.0, 1.0), [78, 62, 52], 0.8),
    ] {
        let grid = Grid::new(dims, Point3::new(3.0, -4.0, 5.0), axes).unwrap();
        let centre = grid.physical(&Point3::from(dims.map(|n| 0.5 * n as f64 - 0.37)));
        let smallest = grid.spacing_mm().into_iter().fold(f64::INFINITY, f64::min);
        for (noise, allowed) in [(0.0, 0.01), (0.03, 0.02)] {
            let found = determine(ball_ct(grid, centre, radius, sigma, noise, 3));
            let error = mean_radius(&found.mesh, centre) - radius;
            let (_, sd, most) = errors(&found, |p| Some((p - centre).norm() - radius));
            println!(
                "{:?} noise {noise}: {error:+.5}, sd {sd:.4} most {most:.4}, sigma {:.4}",
                grid.spacing_mm(),
                found.image.edge_sigma_mm
            );
            assert!(error.abs() < allowed * smallest, "{axes} noise {noise}: {error}");
            assert!(found.mesh.volume_mm3() > 0.0);
        }
    }
}

#[test]
fn cylinders_tori_and_planes_lie_where_they_are_on_slices_three_times_as_far_apart() {
    let grid = |dims| Grid::aligned(dims, [1.0, 1.0, 3.0], Point3::origin()).unwrap();
    let (radius, sigma) = (15.0, 1.5);
    for (noise, allowed) in [(0.0, 0.01), (0.03, 0.02)] {
        let ct = Ct { edge_sigma_mm: sigma, air: 5000.0, material: 25000.0, noise_sd: 20000.0 * noise, seed: 1 };
        let check = |what: &str, found: &Determined, error: &dyn Fn(&Point3<f64>) -> Option<f64>| {
            let (mean, sd, _) = errors(found, error);
            println!("{what} noise {noise}: {mean:+.4} sd {sd:.4}");
            assert!(mean.abs() < allowed, "{what} noise {noise}: {mean}");
        };
        let small = grid([52, 52, 18]);
        let c = small.physical(&Point3::new(25.6, 25.6, 8.6));
        for direction in [[1.0, 0.1, 0.05], [0.1, 0.15, 1.0], [0.6, 0.3, 0.7]] {
            let n = Vector3::from(direction).normalize();
            let inner = |p: &Point3<f64>| (0..3).all(|a| p[a] > 8.0 && p[a] < 43.0);
            let cylinder = Solid::Cylinder { from: c - n * 60.0, to: c + n * 60.0, radius_mm: radius };
            let off = |p: &Point3<f64>| ((p - c) - n * (p - c).dot(&n)).norm() - radius;
            let found = determine(ct.scan(&cylinder, &small).unwrap());
            check(&format!("cylinder along {direction:?}"), &found, &|p| inner(p).then(|| off(p)));
            let found = determine(scan(small, |p| plate_share((p - c).dot(&n), 20.0, sigma), noise, 5));
            check(&format!("planes across {direction:?}"), &found, &|p| inner(p).then(|| (p - c).dot(&n).abs() - 10.0));
        }
        let large = grid([106, 106, 18]);
        let (c, major) = (large.physical(&Point3::new(52.7, 52.4, 8.6)), 30.0);
        let found = determine(ct.scan(&Solid::Torus { centre: c, major_mm: major, minor_mm: radius }, &large).unwrap());
        check("torus", &found, &|p| Some(((p.x - c.x).hypot(p.y - c.y) - major).hypot(p.z - c.z) - radius));
    }
}

#[test]
fn a_ball_of_five_voxels_is_found_though_it_is_edge_all_over() {
    // From a blur of a voxel on no voxel shows its material, so the histogram has no mode of it.
    for (sigma, noise) in [(1.0, 0.03), (1.0, 0.05), (1.25, 0.0), (1.25, 0.05)] {
        let (radius, size) = (5.0, 36);
        let centre = Point3::new(17.9, 18.2, 17.6);
        let found = determine(scan(grid([size; 3]), |p| blurred_ball((p - centre).norm(), radius, sigma), noise, 4));
        let error = mean_radius(&found.mesh, centre) - radius;
        println!("sigma {sigma} noise {noise}: {error:+.4}, u {:.4}, blur {:.3}", found.u_offset_mm, found.image.edge_sigma_mm);
        assert!(error.abs() < 3.0 * found.u_offset_mm && error.abs() < 0.05, "sigma {sigma} noise {noise}: {error}");
    }
}

#[test]
fn blur_that_is_isotropic_in_index_space_biases_curved_surfaces_by_what_it_differs_from_its_mean() {
    // Blur of 0.7 voxels on a 1:1:3 grid is 0.7 mm across, 2.1 mm along: an ellipsoid of Gaussians for which no one sigma is right. A ball
    // in index space is an ellipsoid in millimetres; at the flanks, where the blur is 0.7 mm, the radius is found nonetheless.
    let (radius, sigma) = (12.0, 0.7);
    let grid = Grid::aligned([42; 3], [1.0, 1.0, 3.0], Point3::origin()).unwrap();
    let centre = Point3::new(20.6, 21.2, 20.9);
    let found = determine(volume(grid, |p, _| {
        let index = Point3::new(p.x, p.y, p.z / 3.0);
        (1000.0 + 20000.0 * blurred_ball((index - centre).norm(), radius, sigma)).round() as u16
    }));
    let error = |p: &Point3<f64>| (Point3::new(p.x, p.y, p.z / 3.0) - centre).norm() - radius;
    let flank = errors(&found, |p| ((p.z / 3.0 - centre.z).abs() < 3.0).then(|| error(p)));
    let all = errors(&found, |p| Some(error(p)));
    println!("flanks {:+.4}, all {:+.4} sd {:.4} voxels; one sigma {:.3} mm", flank.0, all.0, all.1, found.image.edge_sigma_mm);
    // The spread of sigma² over the directions, 0.5 to 4.4 mm², times H ≈ 0.06 / mm is 0.1 mm either way.
    assert!(flank.0.abs() < 0.15 && all.0.abs() < 0.15);
}

#[test]
fn a_torus_has_its_tube() {
    let (major, minor, sigma) = (17.0, 9.0, 0.8);
    let centre = Point3::new(29.2, 28.7, 14.6);
    let ct = Ct { edge_sigma_mm: sigma, air: 1000.0, material: 21000.0, noise_sd: 0.0, seed: 1 };
    let found = determine(ct.scan(&Solid::Torus { centre, major_mm: major, minor_mm: minor }, &grid([59, 59, 30])).unwrap());
    assert_eq!(euler_of_closed(&found.mesh), 0);
    let (mean, sd, most) = errors(&found, |p| {
        let d = p - centre;
        Some((d.x.hypot(d.y) - major).hypot(d.z) - minor)
    });
    println!("torus: {mean:+.5} sd {sd:.4} most {most:.4}");
    assert!(mean.abs() < 0.01 && sd < 0.01, "{mean} {sd}");
}

#[test]
fn tilted_planes_lie_where_they_are() {
    for direction in [[0.31, 0.22, 0.925], [0.577, 0.577, 0.577], [0.02, 0.03, 1.0]] {
        for (sigma, noise) in [(0.5, 0.0), (0.9, 0.0), (0.9, 0.03)] {
            let n = Vector3::from(direction).normalize();
            let c = Point3::new(20.2, 20.4, 19.7);
            let found = determine(scan(grid([41; 3]), |p| plate_share((p - c).dot(&n), 12.0, sigma), noise, 5));
            let middle = |p: &Point3<f64>| (0..3).all(|a| (8.0..32.0).contains(&p[a]));
            let (mean, sd, most) = errors(&found, |p| middle(p).then(|| (p - c).dot(&n).abs() - 6.0));
            println!("{direction:?} sigma {sigma} noise {noise}: {mean:+.5} sd {sd:.4} most {most:.4}");
            assert!(mean.abs() < if noise > 0.0 { 0.02 } else { 0.01 }, "{direction:?} sigma {sigma} noise {noise}: {mean}");
            assert!(found.flags.iter().any(|f| f & flag::CUT != 0) && found.findings.iter().any(|f| f.code == "surface.cut"));
        }
    }
}

#[test]
fn the_start_threshold_moves_nothing() {
    for (radius, sigma, noise) in [(10.0, 0.5, 0.0), (12.0, 0.7, 0.0), (15.0, 1.0, 0.0), (15.0, 1.0, 0.03)] {
        let size = (2.0 * radius + 10.0 * sigma + 8.0) as usize;
        let centre = Point3::from([0.5 * size as f64 + 0.13; 3]);
        let ct = ball_ct(grid([size; 3]), centre, radius, sigma, noise, 7);
        let base = determine(ct.clone());
        for part in [-0.1, 0.1] {
            let start = Some(base.threshold + part * base.image.contrast);
            let moved = super::determine_with(ct.clone(), &Options { start, ..Options::default() });
            let mean = mean_radius(&moved.mesh, centre) - mean_radius(&base.mesh, centre);
            let mut apart: Vec<f64> = moved
                .mesh
                .vertices()
                .iter()
                .step_by(3)
                .filter_map(|p| {
                    let near = base.mesh.vertices().iter().min_by(|a, b| (*a - p).norm().total_cmp(&(*b - p).norm())).unwrap();
                    ((near - p).norm() < 0.3).then(|| ((p - centre).norm() - (near - centre).norm()).abs())
                })
                .collect();
            apart.sort_by(f64::total_cmp);
            let p99 = apart[apart.len() * 99 / 100];
            let rms = (apart.iter().map(|d| d * d).sum::<f64>() / apart.len() as f64).sqrt();
            println!("sigma {sigma} noise {noise} start {part:+}: mean {mean:+.5}, rms {rms:.5}, 99 % {p99:.5}");
            // Vertices of the two surfaces lie up to 0.3 voxels apart, so single pairs also differ by what the two places do not share; with
            // noise that is most of it.
            assert!(mean.abs() < 0.005 && (noise > 0.0 || rms < 0.005), "sigma {sigma} noise {noise} start {part}: {mean}, {rms}");
        }
    }
}

/// Noise whose neighbours correlate: white noise averaged over two voxels along each axis.
#[test]
fn correlated_noise_is_seen_and_counted() {
    let (radius, sigma, noise) = (15.0, 1.0, 0.04);
    let centre = Point3::new(23.9, 24.2, 23.6);
    let n = 48usize;
    let white = |i: usize, j: usize, k: usize| normal(9, (k * (n + 1) + j) * (n + 1) + i);
    let ct = volume(grid([n; 3]), |p, index| {
        let (i, j, k) = (index % n, index / n % n, index / n / n);
        let corner = |c: usize| white(i + (c & 1), j + (c >> 1 & 1), k + (c >> 2));
        let grey = blurred_ball((p - centre).norm(), radius, sigma) + noise * (0..8).map(corner).sum::<f64>() / 8f64.sqrt();
        (5000.0 + 20000.0 * grey).round() as u16
    });
    let found = determine(ct);
    println!("correlation {:.3?}, noise {:.4}", found.image.noise_correlation, found.image.noise / found.image.contrast);
    for axis in found.image.noise_correlation {
        assert!((axis[0] - 0.5).abs() < 0.08 && axis[2].abs() < 0.08, "{axis:?}");
    }
    let (_, seen, _) = errors(&found, |p| Some((p - centre).norm() - radius));
    let stated = (found.vertex_u_mm.iter().map(|&u| f64::from(u).powi(2)).sum::<f64>() / found.vertex_u_mm.len() as f64).sqrt();
    println!("seen {seen:.4} stated {stated:.4} ratio {:.3}", stated / seen);
    assert!((0.8..1.25).contains(&(stated / seen)), "stated {stated}, seen {seen}");
}
