//! Phantoms against closed form: volumes, areas, distances, blur; the bundled files against the code that makes them.

use std::collections::BTreeMap;
use std::path::Path;

use nalgebra::{Matrix3, Point3, Vector3};
use sha2::{Digest, Sha256};
use verimetry_engine::frame::{Bounds, Grid, Pose};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::phantom::alter::{self, Noise};
use verimetry_engine::phantom::cage::{self, Built};
use verimetry_engine::phantom::{self, Ct, Fineness, PhantomError, Solid, parts};

fn assert_near(found: f64, truth: f64, tolerance: f64, what: &str) {
    assert!((found - truth).abs() <= tolerance, "{what}: {found} instead of {truth} ± {tolerance}");
}

/// Every directed edge once, its reverse once: closed, manifold along edges, oriented.
fn is_watertight(mesh: &Mesh) -> bool {
    let mut edges: Vec<(u32, u32)> = mesh.triangles().iter().flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)]).collect();
    edges.sort_unstable();
    let once = edges.windows(2).all(|w| w[0] != w[1]);
    once && edges.iter().all(|&(a, b)| edges.binary_search(&(b, a)).is_ok())
}

fn cube(centre: [f64; 3], half: f64) -> Bounds {
    let c = Point3::from(centre);
    Bounds { min: c - Vector3::from_element(half), max: c + Vector3::from_element(half) }
}

fn primitives() -> Vec<Solid> {
    let turn = Pose::from_rotation_vector(Vector3::new(0.4, -0.7, 0.3), Vector3::new(0.2, 0.1, -0.3));
    vec![
        Solid::Ball { centre: Point3::new(0.1, 0.2, 0.3), radius_mm: 3.0 },
        Solid::Box { centre: Point3::new(0.1, 0.2, 0.3), half_mm: Vector3::new(3.0, 2.0, 1.5), rounding_mm: 0.7 },
        Solid::Capsule { from: Point3::new(-1.5, 0.0, 0.5), to: Point3::new(1.5, 1.0, -0.5), radius_mm: 1.2 },
        Solid::Cylinder { from: Point3::new(-1.5, 0.0, 0.5), to: Point3::new(1.5, 1.0, -0.5), radius_mm: 1.7 },
        Solid::Torus { centre: Point3::new(0.1, 0.2, 0.3), major_mm: 2.5, minor_mm: 0.9 },
        Solid::Box { centre: Point3::origin(), half_mm: Vector3::new(2.0, 1.0, 3.0), rounding_mm: 0.5 }.moved(turn),
    ]
}

#[test]
fn the_gradient_of_an_exact_distance_is_one_long_and_leads_to_the_surface() {
    for solid in primitives() {
        for i in 0..500u64 {
            let p = Point3::from([0, 1, 2].map(|a| 9.0 * verimetry_engine::noise::uniform(7, 3 * i + a) - 4.5));
            let (d, g) = (solid.distance_mm(&p), solid.gradient(&p));
            // Inside, the medial axis has no gradient.
            if d < -0.3 {
                continue;
            }
            assert_near(g.norm(), 1.0, 1e-6, "length of the gradient");
            assert_near(solid.distance_mm(&(p - g * d)), 0.0, 1e-6, "distance after one step");
        }
    }
}

#[test]
fn volumes_of_solids_by_quadrature_equal_their_closed_form() {
    for solid in primitives() {
        let truth = solid.volume_mm3().unwrap();
        // Offset error κ·cell²/24 with κ below 2/mm, times the area.
        let allowed = 2.0 * 0.05 * 0.05 / 24.0 * solid.area_mm2().unwrap() + 1e-4 * truth;
        assert_near(phantom::volume_within_mm3(&solid, &cube([0.0; 3], 5.0), 0.05), truth, allowed, "volume");
    }
}

#[test]
fn polyhedra_are_watertight_and_have_exactly_their_volume_and_area() {
    let plate = Bounds { min: Point3::new(-1.0, 2.0, 3.0), max: Point3::new(9.0, 10.0, 3.5) };
    for part in [parts::cuboid(&plate, 1), parts::cuboid(&plate, 5), parts::stepped_hollow_block(1), parts::stepped_hollow_block(3)] {
        assert!(is_watertight(&part.mesh));
        assert_near(part.mesh.volume_mm3(), part.volume_mm3, 1e-9 * part.volume_mm3, "volume");
        assert_near(part.mesh.area_mm2(), part.area_mm2, 1e-9 * part.area_mm2, "area");
    }
    assert_near(parts::cuboid(&plate, 4).volume_mm3, 40.0, 1e-12, "volume of the plate");
}

#[test]
fn round_parts_are_watertight_and_stay_within_their_chord_error() {
    let centre = Point3::new(1.0, -2.0, 3.0);
    let parts = [
        (parts::ball(centre, 5.0, 48), Solid::Ball { centre, radius_mm: 5.0 }),
        (parts::torus(centre, 5.0, 1.5, 160, 60), Solid::Torus { centre, major_mm: 5.0, minor_mm: 1.5 }),
        (parts::cylinder(centre, 2.0, 4.0, 96, 3), Solid::Cylinder { from: centre, to: centre + Vector3::z() * 4.0, radius_mm: 2.0 }),
    ];
    for (part, truth) in parts {
        assert!(is_watertight(&part.mesh));
        let (volume, area) = (truth.volume_mm3().unwrap(), truth.area_mm2().unwrap());
        let short = volume - part.mesh.volume_mm3();
        assert!(short > 0.0, "facets cut into a part that is mostly convex");
        assert!(short <= part.chord_error_mm * area, "volume {short} short with chord error {}", part.chord_error_mm);
        assert_near(phantom::chord_error_mm(&part.mesh, &truth), part.chord_error_mm, 0.05 * part.chord_error_mm, "chord error");
        assert!(part.chord_error_mm < 0.01);
    }
}

#[test]
fn the_surface_of_a_solid_is_watertight_on_its_zero_set_and_has_its_volume() {
    let smooth = primitives().into_iter().filter(|s| !matches!(s, Solid::Cylinder { .. }));
    for (solid, simplify_mm) in smooth.zip([None, Some(0.004), Some(0.01), Some(0.004), None]) {
        let mesh = phantom::surface_mesh(&solid, &cube([0.1, 0.1, 0.0], 5.0), Fineness { cell_mm: 0.2, simplify_mm }).unwrap();
        assert!(is_watertight(&mesh), "{solid:?}");
        let off = mesh.vertices().iter().map(|p| solid.distance_mm(p).abs()).fold(0.0, f64::max);
        assert!(off < 1e-9, "a vertex lies {off} mm off the surface");
        // Radii from 0.5 mm on: the sagitta of a cell's diagonal is 0.28²/8R = 0.02 mm.
        let chord_error_mm = phantom::chord_error_mm(&mesh, &solid);
        assert!(chord_error_mm < 0.025, "chord error {chord_error_mm}");
        let truth = solid.volume_mm3().unwrap();
        assert_near(mesh.volume_mm3(), truth, chord_error_mm * solid.area_mm2().unwrap(), "volume");
    }
    let ball = Solid::Ball { centre: Point3::origin(), radius_mm: 1.0 };
    let fineness = Fineness { cell_mm: 0.2, simplify_mm: None };
    assert_eq!(phantom::surface_mesh(&ball, &cube([0.5; 3], 1.0), fineness), Err(PhantomError::Bounds));
    assert_eq!(phantom::surface_mesh(&ball, &cube([9.0; 3], 1.0), fineness), Err(PhantomError::Empty));
}

#[test]
fn altered_meshes_have_the_volumes_that_the_change_implies() {
    let ball = parts::ball(Point3::new(1.0, 2.0, 3.0), 5.0, 20).mesh;
    let volume = ball.volume_mm3();
    let factors = Vector3::new(0.99, 0.988, -0.98);
    let scaled = alter::scaled_per_axis(&ball, factors, Point3::origin()).unwrap();
    assert_near(scaled.volume_mm3(), volume * factors.product().abs(), 1e-9 * volume, "mirrored and scaled volume");
    let grown = alter::offset_along_normals(&ball, 0.1).unwrap();
    assert_near(grown.volume_mm3(), volume * 1.02 * 1.02 * 1.02, 1e-4 * volume, "grown volume");
    let half = alter::cropped(&ball, |p| p.z < 3.0).unwrap();
    assert!(!is_watertight(&half) && half.bounds().max.z < 3.6 && half.area_mm2() < 0.6 * ball.area_mm2());
}

#[test]
fn noise_has_the_deviation_and_the_reach_asked_for() {
    let ball = parts::ball(Point3::origin(), 20.0, 60).mesh;
    let heights = |noise: Noise| -> Vec<f64> {
        alter::with_noise(&ball, &noise).unwrap().vertices().iter().map(|p| p.coords.norm() - 20.0).collect()
    };
    let sd = |v: &[f64]| (v.iter().map(|x| x * x).sum::<f64>() / v.len() as f64).sqrt();
    let white = heights(Noise { white_sd_mm: 0.02, correlated_sd_mm: 0.0, range_mm: 1.0, seed: 5 });
    // 36 002 values: the relative standard error of the deviation is 1/√2n = 0.4 %.
    assert_near(sd(&white), 0.02, 4.0 * 0.004 * 0.02, "white noise");
    let smooth = heights(Noise { white_sd_mm: 0.0, correlated_sd_mm: 0.02, range_mm: 3.0, seed: 5 });
    // About 4π 20² / 2π 3² = 90 independent patches: 1/√180 = 7 %.
    assert_near(sd(&smooth), 0.02, 3.0 * 0.07 * 0.02, "smooth noise");
    let difference: Vec<f64> = ball.triangles().iter().map(|t| smooth[t[0] as usize] - smooth[t[1] as usize]).collect();
    // Edges of about 0.4 mm: the deviation of a difference is sd · edge / range.
    assert!(sd(&difference) < 0.02 * 0.5 / 3.0, "neighbours differ by {}", sd(&difference));
}

/// Error function, Abramowitz and Stegun 7.1.6.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

/// Closed form of a ball blurred by a Gaussian.
fn blurred_ball(radius: f64, sigma: f64, r: f64) -> f64 {
    let w = std::f64::consts::SQRT_2 * sigma;
    let edges = 0.5 * (erf((radius - r) / w) + erf((radius + r) / w));
    let g = |x: f64| (-(x / w) * (x / w)).exp();
    edges - sigma / (r * (2.0 * std::f64::consts::PI).sqrt()) * (g(radius - r) - g(radius + r))
}

fn points(grid: &Grid) -> impl Iterator<Item = Point3<f64>> + '_ {
    let [nx, ny, _] = grid.dims();
    (0..grid.voxels()).map(move |v| grid.physical(&Point3::new((v % nx) as f64, (v / nx % ny) as f64, (v / nx / ny) as f64)))
}

/// Cubic, anisotropic, sheared and left-handed, each with an edge width.
fn grids() -> [(Grid, f64); 4] {
    let at = Point3::new(-3.63, -3.58, -3.61);
    let tilt = 18.5_f64.to_radians();
    let sheared = Matrix3::new(0.2, 0.0, 0.0, 0.0, 0.2, 0.3 * tilt.sin(), 0.0, 0.0, 0.3 * tilt.cos());
    let mirrored = Matrix3::new(0.0, -0.2, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0, -0.3);
    [
        (Grid::aligned([37, 37, 37], [0.2; 3], at).unwrap(), 0.14),
        (Grid::aligned([37, 30, 25], [0.2, 0.25, 0.3], at).unwrap(), 0.2),
        (Grid::new([37, 49, 26], at - Vector3::y() * 1.2, sheared).unwrap(), 0.17),
        (Grid::new([37, 37, 25], Point3::new(3.6, -3.6, 3.6), mirrored).unwrap(), 0.14),
    ]
}

#[test]
fn the_ct_of_a_ball_equals_the_closed_form_on_every_grid() {
    let (centre, radius_mm) = (Point3::new(0.03, -0.05, 0.08), 2.8);
    let ball = Solid::Ball { centre, radius_mm };
    for (grid, sigma) in grids() {
        let shares = phantom::blurred(&ball, &grid, sigma).unwrap();
        let off = |(p, share): (Point3<f64>, &f32)| (f64::from(*share) - blurred_ball(radius_mm, sigma, (p - centre).norm())).abs();
        let worst = points(&grid).zip(&shares).map(off).fold(0.0, f64::max);
        assert!(worst < 0.003, "{worst} of the contrast off for edge width {sigma} on {grid:?}");
    }
}

#[test]
fn the_ct_of_a_plate_equals_the_closed_form_at_any_tilt() {
    let (grid, sigma) = (Grid::aligned([24, 24, 24], [0.2; 3], Point3::new(-2.3, -2.3, -2.3)).unwrap(), 0.14);
    for normal in [Vector3::x(), Vector3::new(0.3, 0.5, -0.8).normalize()] {
        for (offset_mm, thickness_mm) in [(0.013, 0.3), (0.071, 1.0)] {
            let shares = phantom::blurred(&Solid::Plate { normal, offset_mm, thickness_mm }, &grid, sigma).unwrap();
            for (p, &share) in points(&grid).zip(&shares) {
                let (x, t, w) = (normal.dot(&p.coords) - offset_mm, 0.5 * thickness_mm, std::f64::consts::SQRT_2 * sigma);
                assert_near(f64::from(share), 0.5 * (erf((t - x) / w) + erf((t + x) / w)), 0.003, "share");
            }
        }
    }
}

#[test]
fn the_ct_has_the_noise_asked_for_and_the_same_bits_on_any_number_of_threads() {
    let ball = Solid::Ball { centre: Point3::new(0.1, 0.0, -0.1), radius_mm: 2.0 };
    let ct = Ct { edge_sigma_mm: 0.17, air: 100.0, material: 1100.0, noise_sd: 20.0, seed: 42 };
    for (grid, _) in grids() {
        let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| ct.scan(&ball, &grid).unwrap());
        let volume = on(1);
        assert_eq!(volume.data(), on(5).data());
        let corner: Vec<f64> = (0..6).flat_map(|j| volume.row(j, 0).iter().map(|&v| f64::from(v) - 100.0)).collect();
        let sd = (corner.iter().map(|x| x * x).sum::<f64>() / corner.len() as f64).sqrt();
        assert_near(sd, 20.0, 20.0 * 4.0 / (2.0 * corner.len() as f64).sqrt(), "noise");
    }
    let oblique = Matrix3::new(1.0, 0.1, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0);
    let oblique = Grid::new([4, 4, 4], Point3::origin(), oblique).unwrap();
    assert_eq!(phantom::blurred(&ball, &oblique, 0.5).unwrap_err().code(), "phantom.oblique_slices");
    assert_eq!(phantom::blurred(&ball, &grids()[0].0, 0.0).unwrap_err().code(), "phantom.edge_width");
}

#[test]
fn the_truth_stated_in_the_orders_of_the_cage_is_the_truth_of_its_solids() {
    for part in Built::ALL {
        let measured = cage::measure::measured(part).unwrap();
        for r in cage::requirements() {
            let truth = measured.value(r.quantity, r.region, r.patch_mm, r.within).unwrap();
            // Stated to four digits behind the point, volumes to 0.06 mm³ by quadrature.
            let digits = if r.quantity == "body.volume" { 0.06 } else { 0.0001 };
            assert_near(truth, r.truth[part as usize], digits, &format!("{part:?} {} {}", r.id, r.quantity));
        }
    }
}

#[test]
fn the_worn_ridge_breaks_its_own_requirement_and_no_other() {
    for r in cage::requirements() {
        assert!(r.limits.contains(r.truth[Built::Good as usize]), "{}", r.id);
        assert_eq!(r.limits.contains(r.truth[Built::WornRidge as usize]), r.id != "T3", "{}", r.id);
    }
}

#[test]
fn the_scan_holds_the_whole_cage_with_air_around() {
    let grid = cage::grid();
    let last = grid.dims().map(|n| (n - 1) as f64);
    for part in Built::ALL {
        let scanned = cage::built(part).moved(cage::scanner_from_nominal());
        let faces = (0..3).flat_map(|a| [(a, 0.0), (a, last[a])]);
        let least = faces.flat_map(|(a, at)| {
            let (b, c) = ((a + 1) % 3, (a + 2) % 3);
            (0..=last[b] as usize).flat_map(move |u| {
                (0..=last[c] as usize).map(move |v| {
                    let mut index = Point3::origin();
                    (index[a], index[b], index[c]) = (at, u as f64, v as f64);
                    index
                })
            })
        });
        let least = least.map(|index| scanned.distance_mm(&grid.physical(&index))).fold(f64::INFINITY, f64::min);
        assert!(least > 0.4, "the part comes within {least} mm of the border");
    }
}

#[test]
fn the_bundled_files_are_what_the_code_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let digest = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let made: BTreeMap<String, String> = phantom::bundled().unwrap().into_iter().map(|(name, bytes)| (name, digest(&bytes))).collect();
    assert_eq!(made.len(), 6);
    for (name, digest_made) in made {
        let stored = std::fs::read(folder.join(&name)).unwrap_or_default();
        assert_eq!(digest(&stored), digest_made, "testdata/{name} differs: cargo run --release --example testdata");
    }
}

#[test]
fn the_meshes_of_the_cage_are_watertight_and_keep_the_chord_error_stated() {
    for (mesh, solid) in [(cage::design_mesh().unwrap(), cage::design()), (cage::site_mesh().unwrap(), cage::site())] {
        assert!(is_watertight(&mesh));
        let chord_error_mm = phantom::chord_error_mm(&mesh, &solid);
        assert!(chord_error_mm <= cage::CHORD_ERROR_MM, "chord error {chord_error_mm}");
    }
}
