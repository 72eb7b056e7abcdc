//! The quantities of a part of known dimensions, as a mesh and as a scanned volume: every value lies within its U of the truth.

use std::path::PathBuf;

use nalgebra::{Point3, Vector3};
use verimetry_engine::frame::{Bounds, Grid};
use verimetry_engine::judge::judge;
use verimetry_engine::judgement::{Decision, Stamp};
use verimetry_engine::load::Source;
use verimetry_engine::measure::{Measurement, dimension};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::phantom::{self, Ct, Fineness, Solid, surface_mesh};
use verimetry_engine::quantities::DEFAULT_PATCH_MM;
use verimetry_engine::runtime::Runtime;

/// A block of 30 x 24 x 12 mm with two holes of 6 and 4 mm along z and a dimple of 4 mm radius.
fn block() -> Solid {
    let hole = |x: f64, y: f64, radius_mm: f64| Solid::Cylinder { from: Point3::new(x, y, -10.0), to: Point3::new(x, y, 10.0), radius_mm };
    let body = Solid::Box { centre: Point3::origin(), half_mm: Vector3::new(15.0, 12.0, 6.0), rounding_mm: 0.5 };
    let dimple = Solid::Ball { centre: Point3::new(8.0, -5.0, 7.0), radius_mm: 4.0 };
    let cut = Solid::Union(vec![hole(-8.0, 0.0, 3.0), hole(6.0, 6.0, 2.0), dimple]);
    Solid::Without { from: Box::new(body), cut: Box::new(cut), width_mm: 0.2 }
}

const FEATURES: &str = r#"
[[region]]
name = "left"
shape = { cylinder = { from = [-8, 0, -5.5], to = [-8, 0, 5.5], radius = 3.4 } }
[[region]]
name = "right"
shape = { cylinder = { from = [6, 6, -5.5], to = [6, 6, 5.5], radius = 2.4 } }
[[region]]
name = "cup"
shape = { sphere = { centre = [8, -5, 7], radius = 4.3 } }
[[region]]
name = "side"
shape = { box = { min = [14.8, -11, -5], max = [15.2, 11, 5] } }

[[feature]]
name = "top"
fit = "plane"
seed = [-13, 9, 6]
datum = "bottom"
border = BORDER
[[feature]]
name = "bottom"
fit = "plane"
seed = [-13, 9, -6]
border = BORDER
[[feature]]
name = "end"
fit = "plane"
region = "side"
datum = "bottom"
border = BORDER
[[feature]]
name = "large"
fit = "cylinder"
region = "left"
datum = "bottom"
at = [-8, 0, 0]
border = BORDER
[[feature]]
name = "small"
fit = "cylinder"
region = "right"
datum = "large"
border = BORDER
[[feature]]
name = "dimple"
fit = "sphere"
region = "cup"
datum = "large"
border = BORDER
"#;

/// Distance between the axes of the holes, and of the dimple's centre from the large one's.
fn truths() -> Vec<(&'static str, f64)> {
    vec![
        ("top.distance", 12.0),
        ("top.angle", 0.0),
        ("top.flatness", 0.0),
        ("top.parallelism", 0.0),
        ("end.perpendicularity", 0.0),
        ("end.angle", 90.0),
        ("large.diameter", 6.0),
        ("large.radius", 3.0),
        ("large.diameter_two_point_min", 6.0),
        ("large.diameter_two_point_max", 6.0),
        ("large.diameter_inscribed", 6.0),
        ("large.diameter_circumscribed", 6.0),
        ("large.cylindricity", 0.0),
        ("large.perpendicularity", 0.0),
        ("large.position", 0.0),
        ("small.diameter", 4.0),
        ("small.distance", (14.0_f64 * 14.0 + 36.0).sqrt()),
        ("small.parallelism", 0.0),
        ("dimple.diameter", 8.0),
        ("dimple.sphericity", 0.0),
        ("dimple.distance", (16.0_f64 * 16.0 + 25.0).sqrt()),
    ]
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn block_mesh(cell_mm: f64) -> Mesh {
    let bounds = Bounds { min: Point3::new(-16.5, -13.5, -7.5), max: Point3::new(16.5, 13.5, 7.5) };
    surface_mesh(&block(), &bounds, Fineness { cell_mm, simplify_mm: None }).unwrap()
}

/// Widest U that still says something, mm or degrees.
fn within(m: &Measurement, widest: f64) {
    for (name, truth) in truths() {
        let q = &m.quantities[&format!("dimension.{name}")];
        let (value, u) = (q.value.unwrap_or_else(|| panic!("{name}: {:?}", q.reason)), q.expanded_uncertainty.unwrap());
        println!("{name:32} {value:10.5} ± {u:.5}   truth {truth:.5}");
    }
    for (name, truth) in truths() {
        let q = &m.quantities[&format!("dimension.{name}")];
        let (value, u) = (q.value.unwrap(), q.expanded_uncertainty.unwrap());
        // 32-bit coordinates are rounded by up to 1e-6 mm.
        assert!((value - truth).abs() <= u + 1e-5, "{name}: {value} ± {u}, truth {truth}");
        assert!(u < widest, "{name}: U = {u} says nothing");
    }
}

#[test]
fn a_mesh_of_the_block_has_its_dimensions() {
    let folder = Folder::new();
    let mesh = folder.file("block.stl", phantom::stl(&block_mesh(0.35)));
    let features = folder.file("features.toml", FEATURES.replace("BORDER", "0.5"));
    let source = Source { point_uncertainty: Some(0.0), scale_uncertainty: 0.0, ..Source::new(mesh) };
    within(&dimension(&source, &features, DEFAULT_PATCH_MM, &Runtime::cpu()).unwrap(), 0.01);
}

#[test]
fn a_scan_of_the_block_has_its_dimensions() {
    let folder = Folder::new();
    let dims = [134, 110, 62];
    let origin = Point3::from([0, 1, 2].map(|a| -0.125 * (dims[a] as f64 - 1.0) + 0.03));
    let grid = Grid::aligned(dims, [0.25; 3], origin).unwrap();
    let ct = Ct { edge_sigma_mm: 0.18, air: 1000.0, material: 21_000.0, noise_sd: 200.0, seed: 5 };
    let volume = folder.file("block.mha", phantom::metaimage(&ct.scan(&block(), &grid).unwrap()));
    let features = folder.file("features.toml", FEATURES.replace("border = BORDER\n", ""));
    let source = Source { scale_uncertainty: 0.0, ..Source::new(volume) };
    within(&dimension(&source, &features, DEFAULT_PATCH_MM, &Runtime::cpu()).unwrap(), 0.3);
}

/// A frustum turned on a lathe, 12 mm high, half angle 20 degrees, with flat ends.
fn frustum() -> Mesh {
    let (around, up, slope) = (120_u32, 24_u32, 20.0_f64.to_radians().tan());
    let mut vertices = vec![];
    for k in 0..=up {
        let z = 12.0 * f64::from(k) / f64::from(up);
        let radius = 5.0 + slope * z;
        let angle = |i: u32| std::f64::consts::TAU * f64::from(i) / f64::from(around);
        vertices.extend((0..around).map(|i| Point3::new(radius * libm::cos(angle(i)), radius * libm::sin(angle(i)), z)));
    }
    let at = |k: u32, i: u32| k * around + i % around;
    let side = (0..up).flat_map(|k| {
        (0..around).flat_map(move |i| [[at(k, i), at(k, i + 1), at(k + 1, i + 1)], [at(k, i), at(k + 1, i + 1), at(k + 1, i)]])
    });
    let mut triangles: Vec<[u32; 3]> = side.collect();
    let low = vertices.len() as u32;
    vertices.extend([Point3::origin(), Point3::new(0.0, 0.0, 12.0)]);
    triangles.extend((0..around).flat_map(|i| [[low, at(0, i + 1), at(0, i)], [low + 1, at(up, i), at(up, i + 1)]]));
    Mesh::new(vertices, triangles).unwrap()
}

#[test]
fn a_cone_grown_from_a_seed_has_its_angle_and_length() {
    let folder = Folder::new();
    let mesh = folder.file("frustum.stl", phantom::stl(&frustum()));
    // The base as designed, in two triangles that face down.
    let base = [[-9.0, -9.0, 0.0], [9.0, -9.0, 0.0], [9.0, 9.0, 0.0], [-9.0, 9.0, 0.0]].map(Point3::from);
    folder.file("base.stl", phantom::stl(&Mesh::new(base.to_vec(), vec![[0, 2, 1], [0, 3, 2]]).unwrap()));
    let features = "[[feature]]\nname = \"foot\"\nfit = \"plane\"\npatch = \"base.stl\"\ndatum = \"taper\"\n\
                    [[feature]]\nname = \"seat\"\nfit = \"cone\"\nseed = [7, 0, 6]\ndatum = \"base\"\n\
                    [[feature]]\nname = \"base\"\nfit = \"plane\"\nseed = [0.1, 0.1, 0]\n\
                    [[feature]]\nname = \"taper\"\nfit = \"cone\"\nseed = [7, 0, 6]\n";
    let source = Source { point_uncertainty: Some(0.0), scale_uncertainty: 0.0, ..Source::new(mesh) };
    let m = dimension(&source, &folder.file("f.toml", features), DEFAULT_PATCH_MM, &Runtime::cpu()).unwrap();
    let value = |name: &str| m.quantities[&format!("dimension.{name}")].value.unwrap();
    assert!((value("taper.angle") - 40.0).abs() < 1e-4 && (value("taper.length") - 12.0).abs() < 1e-5);
    assert!((value("seat.angle") - 90.0).abs() < 1e-4 && value("seat.perpendicularity") < 1e-4);
    let form = &m.quantities["dimension.taper.form"];
    let proof = form.zone.as_ref().unwrap();
    // A lathe of 120 facets, whose vertices lie on the cone but for 32-bit coordinates.
    assert!(form.value.unwrap() < 5e-6 && proof.bound_mm <= form.value.unwrap() && m.quantities["dimension.taper.angle"].zone.is_none());
    assert!(value("foot.flatness") < 1e-5 && value("foot.perpendicularity") < 1e-4 && value("foot.run_out") < 1e-4);
    assert!(!m.quantities.contains_key("dimension.base.diameter") && !m.quantities.contains_key("dimension.taper.distance"));
}

#[test]
fn straightness_within_a_plane_does_not_see_what_lies_across_it() {
    // A rib of a fine mesh: 30 mm along x, bowed by 0.04 mm in z and by 0.3 mm in y.
    let folder = Folder::new();
    let bow = |x: f64| 1.0 - x * x / 225.0;
    let at = |i: i32, side: f64| {
        let x = 0.5 * f64::from(i) - 15.0;
        Point3::new(x, 0.3 * bow(x) + side, 0.04 * bow(x))
    };
    let vertices: Vec<Point3<f64>> = (0..=60).flat_map(|i| [at(i, 0.0), at(i, 1e-4)]).collect();
    let triangles: Vec<[u32; 3]> = (0..60).flat_map(|i| [[2 * i, 2 * i + 2, 2 * i + 1], [2 * i + 1, 2 * i + 2, 2 * i + 3]]).collect();
    let mesh = folder.file("rib.stl", phantom::stl(&Mesh::new(vertices, triangles).unwrap()));
    let line = |name: &str, rest: &str| format!("[[feature]]\nname = \"{name}\"\nfit = \"line\"\nregion = \"all\"\n{rest}\n");
    let region = "[[region]]\nname = \"all\"\nshape = { box = { min = [-20, -5, -5], max = [20, 5, 5] } }\n";
    let features =
        [region, &line("space", ""), &line("upright", "straight_in = [0, -2, 0]"), &line("flat", "straight_in = [0, 0, 1]")].concat();
    let source = Source { point_uncertainty: Some(0.0), scale_uncertainty: 0.0, ..Source::new(mesh) };
    let measured = |features: &str| dimension(&source, &folder.file("f.toml", features), DEFAULT_PATCH_MM, &Runtime::cpu());
    let m = measured(&features).unwrap();
    let value = |name: &str| m.quantities[&format!("dimension.{name}.straightness")].value.unwrap();
    assert!((value("upright") - 0.04).abs() < 1e-5 && (value("flat") - 0.3).abs() < 2e-4 && value("space") > 0.3, "{:?}", m.quantities);
    for bad in ["straight_in = [0, 0, 0]", "straight_in = [0, inf, 0]"] {
        assert_eq!(measured(&[region, &line("l", bad)].concat()).err().map(|e| e.code), Some("order.value"), "{bad}");
    }
    let plane = "[[feature]]\nname = \"p\"\nfit = \"plane\"\nseed = [0, 0, 0]\nstraight_in = [0, 0, 1]\n";
    assert_eq!(measured(plane).err().map(|e| e.code), Some("order.value"));
}

const ORDER: &str = r#"
schema = "verimetry/order/1"
[order]
id = "B-1"
device = "Block"
device_id = "(01)00000000000000(21)B1"
device_class = "customised"
implantable = false
patient = "P-1"
image_acquired = "2026-10-02"
design_completed = "2026-10-09"
[nominal]
file = "design.stl"
[actual]
file = "built.stl"
scale_uncertainty = 0.0001
point_uncertainty = 0.002
[alignment]
method = "none"
"#;

#[test]
fn an_order_judges_dimensions_and_refuses_those_that_are_none() {
    let folder = Folder::new();
    let mesh = block_mesh(0.5);
    folder.file("design.stl", phantom::stl(&mesh));
    // Shifted by 0.05 mm: dimensions stay, the position of the hole is 0.1 off.
    let built: Vec<Point3<f64>> = mesh.vertices().iter().map(|p| p + Vector3::new(0.05, 0.0, 0.0)).collect();
    folder.file("built.stl", phantom::stl(&Mesh::new(built, mesh.triangles().to_vec()).unwrap()));
    let requirement = |id: &str, quantity: &str, limits: &str| {
        format!("[[requirement]]\nid = \"{id}\"\nclause = \"8.3.2.1 a)\"\nquantity = \"{quantity}\"\n{limits}\n")
    };
    let features = FEATURES.replace("border = BORDER", "border = 0.6").replace("at = [-8, 0, 0]\n", "");
    let order = |requirements: &str| folder.file("order.toml", format!("{ORDER}{features}{requirements}"));
    let run = |requirements: String| {
        let stamp = Stamp { id: "t".into(), issued: "2026-11-21T00:00:00Z".into(), source_revision: "t".into(), predecessor: None };
        judge(&order(&requirements), stamp, &Runtime::cpu())
    };
    let judged = run([
        requirement("T1", "dimension.large.diameter", "nominal = 6\ntolerance = 0.05"),
        requirement("T2", "dimension.small.diameter", "max = 3.9"),
        requirement("T3", "dimension.large.position", "max = 0.05"),
        requirement("T4", "dimension.large.position", "max = 0.15"),
        requirement("T5", "dimension.top.flatness", "max = 0.05"),
        requirement("T6", "dimension.top.flatness", "max = 0.001"),
    ]
    .concat())
    .unwrap();
    let decisions: Vec<Decision> = judged.payload.results.iter().map(|r| r.decision).collect();
    println!("{:#?}", judged.payload.results.iter().map(|r| (&r.quantity, r.value, r.expanded_uncertainty, &r.reason)).collect::<Vec<_>>());
    use Decision::{Conforms, DoesNotConform, NotMeasured};
    assert_eq!(decisions, [Conforms, DoesNotConform, DoesNotConform, Conforms, Conforms, NotMeasured]);
    // The noise of the points alone has a wider range than half of the last tolerance.
    assert!(judged.payload.results[5].reason.as_ref().is_some_and(|r| r.contains("noise alone")));
    // Form carries the proof of its zone; what was not measured has none to prove.
    let proofs: Vec<_> = judged.payload.results.iter().map(|r| r.zone.as_ref()).collect();
    assert!(proofs[..4].iter().chain(&proofs[5..]).all(|p| p.is_none()));
    let (proof, width) = (proofs[4].unwrap(), judged.payload.results[4].value.unwrap());
    assert!(proof.goal == "minimum_zone" && proof.bound_mm == width - proof.gap_mm && proof.gap_mm <= 1.01e-3 * width + 1e-9, "{proof:?}");
    let shares: f64 = proof.contacts.iter().map(|c| c.multiplier).sum();
    assert!(proof.stationarity < 1e-6 && (shares - 1.0).abs() < 1e-9 && proof.reach_mm > 0.0 && proof.contacts.len() <= 4, "{proof:?}");
    // The contacts lie on the two faces of the zone.
    assert!(proof.contacts.iter().all(|c| (c.at_mm[2] - 6.0).abs() < 0.6 * width + 1e-3), "{proof:?}");
    assert!(judged.payload.to_value().is_ok());
    let refused = |requirements: String| run(requirements).err().map(|e| e.code);
    assert_eq!(refused(requirement("X", "dimension.slot.diameter", "max = 1")), Some("order.feature_unknown"));
    assert_eq!(refused(requirement("X", "dimension.top.diameter", "max = 1")), Some("order.feature_quantity"));
    assert_eq!(refused(requirement("X", "dimension.top.colour", "max = 1")), Some("order.unknown_quantity"));
}
