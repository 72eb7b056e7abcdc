//! What porosity is a share of: hulls, regions and meshes whose volume is known.

use std::f64::consts::PI;

use verimetry_engine::phantom::{Fineness, surface_mesh};

use super::support::together;
use super::*;

/// A ring of so many flat sides, into which a ball of 1 mm dips by a cap from above and below.
struct Ring {
    inner_mm: f64,
    outer_mm: f64,
    high_mm: f64,
}

const SIDES: usize = 360;
const CLOSING_MM: f64 = 1.0;

impl Ring {
    fn mesh(&self, pose: &Pose) -> Mesh {
        let around = |radius: f64, z: f64| {
            (0..SIDES).map(move |n| {
                let (sin, cos) = (std::f64::consts::TAU * n as f64 / SIDES as f64).sin_cos();
                Point3::new(radius * cos, radius * sin, z)
            })
        };
        let half = 0.5 * self.high_mm;
        let corners = [(self.inner_mm, -half), (self.outer_mm, -half), (self.outer_mm, half), (self.inner_mm, half)];
        let vertices = corners.iter().flat_map(|&(radius, z)| around(radius, z)).map(|p| pose.apply(&p)).collect();
        let quad = |n: usize| {
            let (circle, here, next) = (n / SIDES, n % SIDES, (n % SIDES + 1) % SIDES);
            let [low, high] = [circle * SIDES, (circle + 1) % 4 * SIDES];
            let [a, b, c, d] = [low + here, low + next, high + next, high + here].map(|v| v as u32);
            [[a, b, c], [a, c, d]]
        };
        Mesh::new(vertices, (0..4 * SIDES).flat_map(quad).collect()).unwrap()
    }

    fn hull_mm3(&self) -> f64 {
        let side = std::f64::consts::TAU / SIDES as f64;
        let full = 0.5 * SIDES as f64 * self.outer_mm * self.outer_mm * side.sin() * self.high_mm;
        let deep = CLOSING_MM - (CLOSING_MM * CLOSING_MM - self.inner_mm * self.inner_mm).sqrt();
        full - 2.0 * PI * deep * deep * (3.0 * CLOSING_MM - deep) / 3.0
    }
}

#[test]
fn a_hull_reaches_into_pores_as_far_as_the_rolling_ball_leaves_it_in_any_pose_and_on_cells_of_any_size() {
    let ring = Ring { inner_mm: 0.6, outer_mm: 1.0, high_mm: 1.0 };
    let turned = Pose::from_rotation_vector(Vector3::new(0.3, 0.5, -0.2), Vector3::new(7.0, -3.0, 2.0));
    for (pose, cell_mm) in [(Pose::identity(), 0.05), (turned, 0.05), (turned, 0.1), (turned, 0.03)] {
        let folder = Folder::new();
        let mesh = ring.mesh(&pose);
        let part = folder.mesh("ring.stl", &mesh);
        let job = Pores { envelope: Envelope::Hull { closing_mm: CLOSING_MM }, cell_mm: Some(cell_mm), ..Pores::new(part) };
        let m = measure::pores(&job, &Runtime::cpu()).unwrap();
        let truth = 1.0 - mesh.volume_mm3() / ring.hull_mm3();
        let q = &m.quantities["porosity.total"];
        eprintln!("cells of {cell_mm} mm: {:?} ± {:?}, truth {truth}", q.value, q.expanded_uncertainty);
        covers(&m, "porosity.total", truth);
        covers(&m, "porosity.open", truth);
        covers(&m, "porosity.interconnectivity", 1.0);
    }
}

/// Two plates of two triangles a face, 1 mm apart, and a region in the middle of the gap.
#[test]
fn facets_larger_than_the_region_count_with_what_lies_in_it() {
    let folder = Folder::new();
    let brick = |min: [f64; 3], max: [f64; 3]| parts::cuboid(&Bounds { min: min.into(), max: max.into() }, 1).mesh;
    let plates = together(&[brick([-6.0, -6.0, -2.0], [6.0, 6.0, -0.5]), brick([-6.0, -6.0, 0.5], [6.0, 6.0, 2.0])]);
    let part = folder.mesh("plates.stl", &plates);
    let cube = folder.file("cube.stl", &phantom::stl(&brick([0.61, 0.32, -1.0], [2.61, 2.32, 1.0])));
    let job = Pores { envelope: Envelope::File(cube), cell_mm: Some(0.1), ..Pores::new(part) };
    let m = measure::pores(&job, &Runtime::cpu()).unwrap();
    covers(&m, "porosity.total", 0.5);
    // Two faces of 4 mm² in 8 mm³; of facets divided to a cell, those at the rim of the region count whole or not at all.
    let found = m.quantities["structure.surface_density"].value.unwrap();
    assert!((found - 1.0).abs() < 0.05, "{found}");
    assert!(m.quantities["structure.anisotropy"].value.is_some_and(|a| a > 0.9), "{:?}", m.quantities["structure.anisotropy"]);
    assert!(m.quantities.values().all(|q| !q.definition.is_empty()));
    let envelope = m.pores.unwrap().envelope;
    assert!(envelope.kind == "cube.stl" && envelope.closing_mm.is_none() && (envelope.volume_mm3 - 8.0).abs() < 1e-5, "{envelope:?}");
}

fn code(job: Pores) -> String {
    measure::pores(&job, &Runtime::cpu()).unwrap_err().code.to_string()
}

#[test]
fn envelopes_that_enclose_nothing_and_tables_of_open_parts_are_refused() {
    let folder = Folder::new();
    let ball = |radius_mm: f64| {
        let bounds = Bounds { min: Point3::from([-1.5; 3]), max: Point3::from([1.5; 3]) };
        surface_mesh(&Solid::Ball { centre: Point3::origin(), radius_mm }, &bounds, Fineness { cell_mm: 0.2, simplify_mm: None }).unwrap()
    };
    let (whole, part) = (ball(1.2), folder.mesh("ball.stl", &ball(1.0)));
    let file = |name: &str, triangles: Vec<[u32; 3]>| {
        Envelope::File(folder.file(name, &phantom::stl(&Mesh::new(whole.vertices().to_vec(), triangles).unwrap())))
    };
    let open = file("open.stl", whole.triangles()[1..].to_vec());
    let inward = file("inward.stl", whole.triangles().iter().map(|&[a, b, c]| [a, c, b]).collect());
    let closed = file("closed.stl", whole.triangles().to_vec());
    let of = |envelope: Envelope| Pores { envelope, ..Pores::new(part.clone()) };
    assert_eq!(code(of(open)), "region.not_closed");
    assert_eq!(code(of(inward)), "region.not_closed");
    let order = folder.file("o.toml", b"");
    let region = Some(measure::RegionRef { order_file: &order, name: "a" });
    assert_eq!(code(Pores { region, ..of(closed) }), "envelope.region");
    let pinhole = Mesh::new(whole.vertices().to_vec(), whole.triangles()[1..].to_vec()).unwrap();
    let table = folder.0.path().join("pores.csv");
    assert_eq!(code(Pores { table: Some(table.clone()), ..Pores::new(folder.mesh("pinhole.stl", &pinhole)) }), "pores.not_closed");
    assert!(!table.exists());
}
