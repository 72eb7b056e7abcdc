//! The measuring commands against parts of closed form: every value lies within its stated U of the truth, on every backend.

#[path = "measure/clouds.rs"]
mod clouds;
#[path = "measure/displaced.rs"]
mod displaced;
#[path = "measure/envelope.rs"]
mod envelope;
#[path = "measure/huge.rs"]
mod huge;
#[path = "measure/lattice.rs"]
mod lattice;
#[path = "measure/level_sets.rs"]
mod level_sets;
#[path = "measure/maps.rs"]
mod maps;
#[path = "measure/microct.rs"]
mod microct;
#[path = "measure/passage.rs"]
mod passage;
#[path = "measure/pores.rs"]
mod pores;
#[path = "measure/sheets.rs"]
mod sheets;
#[path = "measure/struts.rs"]
mod struts;
mod support;
#[path = "measure/thin.rs"]
mod thin;
#[path = "measure/unresolved.rs"]
mod unresolved;
#[path = "measure/voids.rs"]
mod voids;

use std::path::PathBuf;

use nalgebra::{Point3, Vector3};
use verimetry_engine::case::Case;
use verimetry_engine::frame::{Bounds, Grid, Pose};
use verimetry_engine::load::{self, Source};
use verimetry_engine::measure::{self, Compare, Envelope, Measurement, Pores};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::order::AlignmentMethod;
use verimetry_engine::phantom::{self, Ct, Solid, alter, parts};
use verimetry_engine::quantities::{self, DEFAULT_CONTACT_MM, DEFAULT_PATCH_MM, Scope};
use verimetry_engine::runtime::Runtime;

/// Files of one test, gone when it ends.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A mesh without point error and scale error, so that what is left in U is what the measurement itself adds.
    fn mesh(&self, name: &str, mesh: &Mesh) -> Source {
        Source { point_uncertainty: Some(0.0), scale_uncertainty: 0.0, ..Source::new(self.file(name, &phantom::stl(mesh))) }
    }

    fn scan(&self, name: &str, solid: &Solid, grid: &Grid) -> Source {
        let ct = Ct { edge_sigma_mm: 0.07, air: 1000.0, material: 21_000.0, noise_sd: 200.0, seed: 5 };
        let source = Source::new(self.file(name, &phantom::metaimage(&ct.scan(solid, grid).unwrap())));
        Source { scale_uncertainty: 0.0, ..source }
    }
}

fn compare(nominal: Source, actual: Source, align: AlignmentMethod, rt: &Runtime) -> Measurement {
    let job = Compare {
        nominal,
        actual,
        align,
        datums: None,
        tolerance: Some([-0.1, 0.1]),
        patch_mm: DEFAULT_PATCH_MM,
        map: None,
        sections: None,
        region: None,
    };
    measure::compare(&job, rt).unwrap()
}

/// Whether there is time for sweeps.
fn long() -> bool {
    std::env::var("VERIMETRY_LONG").is_ok_and(|v| v == "1")
}

/// Coordinates go through 32-bit STL: at 50 mm they are rounded by up to 2e-6 mm.
const ROUNDING: f64 = 5e-6;

#[track_caller]
fn covers(m: &Measurement, name: &str, truth: f64) {
    let q = &m.quantities[name];
    let (value, expanded) = (q.value.unwrap_or_else(|| panic!("{name}: {:?}", q.reason)), q.expanded_uncertainty.unwrap());
    let allowed = expanded + ROUNDING * truth.abs().max(1.0);
    assert!((value - truth).abs() <= allowed, "{name}: {value} ± {expanded}, truth {truth}");
}

/// The CPU, and a GPU where there is one.
fn backends() -> Vec<Runtime> {
    std::iter::once(Runtime::cpu()).chain(support::gpu().map(|gpu| Runtime::with_gpu(Some(gpu)))).collect()
}

fn odd_pose() -> Pose {
    Pose::from_rotation_vector(Vector3::new(0.7, -1.9, 0.4), Vector3::new(12.0, -7.0, 3.0))
}

#[test]
fn a_larger_ball_deviates_by_the_difference_of_the_radii_everywhere() {
    let folder = Folder::new();
    let ball = |r: f64| parts::ball(Point3::new(1.0, 2.0, 3.0), r, 40).mesh;
    for rt in backends() {
        let m = compare(folder.mesh("n.stl", &ball(10.0)), folder.mesh("a.stl", &ball(10.05)), AlignmentMethod::None, &rt);
        for name in
            ["mean", "mean_abs", "rms", "abs_p50", "abs_p95", "abs_p99", "max", "peak_max", "missing_p95", "missing_max", "hausdorff"]
        {
            covers(&m, &format!("deviation.{name}"), 0.05);
        }
        covers(&m, "deviation.sd", 0.0);
        covers(&m, "deviation.in_tolerance", 1.0);
        covers(&m, "deviation.coverage", 1.0);
        covers(&m, "body.volume", 4.0 / 3.0 * std::f64::consts::PI * 10.05f64 * 10.05 * 10.05);
        covers(&m, "body.area", 4.0 * std::f64::consts::PI * 10.05 * 10.05);
    }
}

#[test]
fn a_moved_block_comes_back_and_deviates_by_nothing() {
    let folder = Folder::new();
    let block = parts::stepped_hollow_block(3);
    for rt in backends() {
        let m =
            compare(folder.mesh("n.stl", &block.mesh), folder.mesh("a.stl", &block.mesh.moved(&odd_pose())), AlignmentMethod::BestFit, &rt);
        for name in ["deviation.mean", "deviation.rms", "deviation.hausdorff", "deviation.missing_max"] {
            covers(&m, name, 0.0);
        }
        covers(&m, "alignment.rotation", odd_pose().angle().to_degrees());
        covers(&m, "body.volume", block.volume_mm3);
        covers(&m, "body.area", block.area_mm2);
        assert!(!m.alignment.unwrap().ambiguous);
    }
}

#[test]
fn a_thicker_plate_deviates_on_one_face_by_what_was_added() {
    let folder = Folder::new();
    let plate = |top: f64| parts::cuboid(&Bounds { min: Point3::origin(), max: Point3::new(20.0, 30.0, top) }, 12).mesh;
    let m = compare(folder.mesh("n.stl", &plate(2.0)), folder.mesh("a.stl", &plate(2.08)), AlignmentMethod::None, &Runtime::cpu());
    covers(&m, "deviation.max", 0.08);
    covers(&m, "deviation.peak_max", 0.08);
    covers(&m, "deviation.min", 0.0);
    covers(&m, "deviation.hausdorff", 0.08);
}

#[test]
fn a_scaled_block_gives_its_shrinkage_per_axis_and_no_offset() {
    let folder = Folder::new();
    let nominal = parts::stepped_hollow_block(3).mesh;
    let factors = Vector3::new(0.990, 0.988, 0.980);
    let actual = alter::scaled_per_axis(&parts::stepped_hollow_block(4).mesh, factors, Point3::origin()).unwrap().moved(&odd_pose());
    let m = measure::shrinkage(&folder.mesh("n.stl", &nominal), &folder.mesh("a.stl", &actual), AlignmentMethod::BestFit, &Runtime::cpu())
        .unwrap();
    for (name, truth) in [("x", 1.0), ("y", 1.2), ("z", 2.0), ("offset", 0.0)] {
        covers(&m, &format!("shrinkage.{name}"), truth);
    }
}

#[test]
fn a_scanned_ball_has_its_volume_and_its_hidden_void_is_closed_porosity() {
    let folder = Folder::new();
    let centre = Point3::new(3.03, 2.98, 3.01);
    let solid = Solid::Ball { centre, radius_mm: 2.4 }.without(Solid::Ball { centre, radius_mm: 0.9 }, 0.0);
    let grid = Grid::aligned([60; 3], [0.1; 3], Point3::origin()).unwrap();
    let volume = |r: f64| 4.0 / 3.0 * std::f64::consts::PI * r * r * r;
    for rt in backends() {
        let scan = folder.scan("ball.mha", &solid, &grid);
        let m = measure::segment(&scan, &folder.0.path().join("ball.ply"), true, &rt).unwrap();
        covers(&m, "body.volume", volume(2.4) - volume(0.9));
        let m = measure::pores(&Pores { envelope: Envelope::Hull { closing_mm: 0.5 }, ..Pores::new(scan) }, &rt).unwrap();
        let share = volume(0.9) / volume(2.4);
        covers(&m, "porosity.total", share);
        covers(&m, "porosity.closed", share);
        covers(&m, "porosity.open", 0.0);
    }
}

#[test]
fn a_scan_says_of_itself_what_its_scanner_was_given() {
    let folder = Folder::new();
    let solid = Solid::Ball { centre: Point3::new(3.03, 2.98, 3.01), radius_mm: 2.4 };
    let grid = Grid::aligned([60, 60, 58], [0.1, 0.1, 0.11], Point3::origin()).unwrap();
    let m = measure::segment(&folder.scan("ball.mha", &solid, &grid), &folder.0.path().join("ball.ply"), true, &Runtime::cpu()).unwrap();
    for (name, truth) in [("voxel_x", 0.1), ("voxel_y", 0.1), ("voxel_z", 0.11), ("slices", 58.0), ("saturation", 0.0), ("streaks", 0.0)] {
        covers(&m, &format!("image.{name}"), truth);
    }
    covers(&m, "image.edge_sigma", 0.07);
    covers(&m, "image.contrast_to_noise", 20_000.0 / 200.0);
    covers(&m, "image.cupping", 0.0);
    covers(&m, "image.smallest_feature", 0.22);
    // Half the diagonal of the box around a ball, times a scale that is known exactly here: what is left is noise and offset.
    let tolerance = m.quantities["image.smallest_tolerance"].value.unwrap();
    assert!((0.001..0.02).contains(&tolerance), "{tolerance}");
}

#[test]
fn a_mesh_has_no_image_quality() {
    let folder = Folder::new();
    let ball = parts::ball(Point3::origin(), 5.0, 10).mesh;
    let part = load::part("ball", &folder.mesh("b.stl", &ball), &[], &Runtime::cpu()).unwrap().value;
    let rt = Runtime::cpu();
    let case = Case::new(&rt, None, Some(part), None);
    for entry in quantities::group("image.") {
        assert_eq!(entry.measure(&case, &Scope::default()).unwrap().value(), None, "{}", entry.definition.name);
    }
}

#[test]
fn a_ball_in_a_socket_has_the_gap_of_their_radii() {
    let folder = Folder::new();
    let ball = parts::ball(Point3::origin(), 5.0, 40).mesh;
    // A block with a spherical hollow, seen from inside: the ball's surface turned outside in.
    let hollow = parts::ball(Point3::origin(), 5.2, 40).mesh;
    let shell = parts::ball(Point3::origin(), 7.0, 40).mesh;
    let count = shell.vertices().len() as u32;
    let vertices = shell.vertices().iter().chain(hollow.vertices()).copied().collect();
    let turned = hollow.triangles().iter().map(|t| [t[0] + count, t[2] + count, t[1] + count]);
    let socket = Mesh::new(vertices, shell.triangles().iter().copied().chain(turned).collect()).unwrap();
    for rt in backends() {
        let m = measure::fit(&folder.mesh("d.stl", &ball), &folder.mesh("s.stl", &socket), DEFAULT_CONTACT_MM, None, &rt).unwrap();
        covers(&m, "fit.gap_mean", 0.2);
        covers(&m, "fit.gap_max", 0.2);
        covers(&m, "fit.interference_max", 0.0);
        covers(&m, "fit.contact_fraction", 0.0);
    }
}
