//! What `lattice` says of struts against closed forms: sizes, waves, shifts, stumps, and what no scan shows.

use std::f64::consts::PI;

use verimetry_engine::lattice::FaultLimits;
use verimetry_engine::measure::Lattice;
use verimetry_engine::noise::normal;
use verimetry_engine::phantom::struts::{Framework, Rod, Rods, UnitCell};
use verimetry_engine::phantom::{Fineness, surface_mesh};

use super::lattice::{column, struts_json};
use super::*;

fn mesh_of(rods: Vec<Rod>, cell_mm: f64) -> Mesh {
    let b = Bounds::of(rods.iter().flat_map(|r| [&r.from, &r.to]));
    let room = Vector3::repeat(rods.iter().map(|r| r.radius_mm).fold(0.0, f64::max) + 3.0 * cell_mm);
    let bounds = Bounds { min: b.min - room, max: b.max + room };
    surface_mesh(&Solid::Rods(Rods::new(rods)), &bounds, Fineness { cell_mm, simplify_mm: None }).unwrap().mesh
}

/// Follows a listed design where it lies, with the table of its struts.
fn followed(folder: &Folder, f: &Framework, nominal: &Mesh, actual: Source) -> (Measurement, String) {
    let table = folder.0.path().join("struts.csv");
    let job = Lattice {
        nominal: folder.mesh("n.stl", nominal),
        actual,
        align: AlignmentMethod::None,
        datums: None,
        struts: Some(folder.file("struts.json", struts_json(f).as_bytes())),
        limits: FaultLimits::default(),
        table: Some(table.clone()),
        map: None,
        region: None,
    };
    let m = measure::lattice(&job, &Runtime::cpu()).unwrap();
    (m, std::fs::read_to_string(table).unwrap())
}

/// A design against rods that were built of it, both as meshes.
fn meshed(f: &Framework, built: Vec<Rod>, cell_mm: f64) -> (Measurement, String) {
    let folder = Folder::new();
    let actual = folder.mesh("a.stl", &mesh_of(built, cell_mm));
    followed(&folder, f, &mesh_of(f.rods(), cell_mm), actual)
}

fn value(m: &Measurement, name: &str) -> f64 {
    let q = &m.quantities[&format!("lattice.{name}")];
    q.value.unwrap_or_else(|| panic!("{name}: {:?}", q.reason))
}

fn counts(m: &Measurement) -> [f64; 3] {
    ["missing", "broken", "thin"].map(|name| value(m, name))
}

/// A rod from one share of its length to another.
fn between(rod: Rod, from: f64, to: f64) -> Rod {
    Rod { from: rod.from + (rod.to - rod.from) * from, to: rod.from + (rod.to - rod.from) * to, ..rod }
}

#[test]
fn a_strut_of_a_tenth_of_its_designed_area_and_less_is_thin_and_not_missing() {
    let f = Framework::of(UnitCell::SimpleCubic, [1; 3], [3.0; 3], 0.5);
    for built_mm in [0.1, 0.15, 0.17] {
        let mut rods = f.rods();
        rods[7].radius_mm = 0.5 * built_mm;
        let (m, table) = meshed(&f, rods, 0.03);
        assert_eq!(counts(&m), [0.0, 0.0, 1.0], "{built_mm} mm: {:#?}", m.findings);
        assert_eq!(column(&table, "state")[7], "thin");
        // Facets of 0.03 mm leave out up to 0.03² / 8R on both sides.
        let found: f64 = column(&table, "diameter_mm")[7].parse().unwrap();
        assert!(found < built_mm + 1e-4 && found > built_mm - 2.0 * 0.03 * 0.03 / (4.0 * built_mm), "{found} of {built_mm} mm");
    }
}

#[test]
fn how_large_a_meshed_part_is_does_not_matter_to_its_struts() {
    let f = Framework::of(UnitCell::BodyCentred, [2; 3], [1.5; 3], 0.3);
    let mut rods = f.rods();
    let (rod, half) = (rods.remove(5), (0.5 * 0.15 + 0.15) / 1.5 / 0.75_f64.sqrt());
    rods.extend([between(rod, 0.0, 0.5 - half), between(rod, 0.5 + half, 1.0)]);
    let far = |mesh: Mesh| {
        let marker = parts::cuboid(&Bounds { min: Point3::from([57.0; 3]), max: Point3::from([58.0; 3]) }, 2).mesh;
        let shift = mesh.vertices().len() as u32;
        let vertices = mesh.vertices().iter().chain(marker.vertices()).copied().collect();
        let triangles = mesh.triangles().iter().copied().chain(marker.triangles().iter().map(|t| t.map(|v| v + shift))).collect();
        Mesh::new(vertices, triangles).unwrap()
    };
    for large in [false, true] {
        let folder = Folder::new();
        let mesh = |rods| if large { far(mesh_of(rods, 0.05)) } else { mesh_of(rods, 0.05) };
        let actual = folder.mesh("a.stl", &mesh(rods.clone()));
        let (m, table) = followed(&folder, &f, &mesh(f.rods()), actual);
        assert_eq!(counts(&m), [0.0, 1.0, 0.0], "{:#?}", m.findings);
        assert_eq!(column(&table, "state").iter().filter(|s| **s == "present").count(), 63, "large {large}");
        let told = &m.findings.iter().find(|f| f.code == "lattice.struts").unwrap().message;
        assert!(told.starts_with("struts are broken from gaps of 0.100 mm on"), "{told}");
    }
}

#[test]
fn struts_beyond_the_image_are_not_measured_and_never_missing() {
    let f = Framework::of(UnitCell::BodyCentred, [4, 2, 2], [2.0; 3], 0.5);
    let gone = 10;
    assert!((f.rod(gone).from.x + f.rod(gone).to.x) / 2.0 < 4.0);
    let built: Vec<Rod> = f.rods().into_iter().enumerate().filter(|(s, _)| *s != gone).map(|(_, r)| r).collect();
    let of = |to_x: f64| {
        let folder = Folder::new();
        // Something thick beside the struts, without which the image does not show how bright material is.
        let block = Solid::Box { centre: Point3::new(1.2, 2.0, -2.0), half_mm: Vector3::new(1.2, 2.0, 0.8), rounding_mm: 0.2 };
        let dims = [((to_x + 0.8) / 0.1).round() as usize, 57, 81];
        let grid = Grid::aligned(dims, [0.1; 3], Point3::new(-0.8, -0.8, -3.2)).unwrap();
        let actual = folder.scan("a.mha", &Solid::Union(vec![Solid::Rods(Rods::new(built.clone())), block]), &grid);
        followed(&folder, &f, &mesh_of(f.rods(), 0.1), actual)
    };
    let (m, table) = of(5.0);
    let states = column(&table, "state");
    for (s, state) in states.iter().enumerate() {
        let middle = 0.5 * (f.rod(s).from.x + f.rod(s).to.x);
        let truth = if s == gone { "missing" } else { ["unmeasured", "present"][usize::from(middle < 4.0)] };
        assert_eq!(*state, truth, "strut {s} at x = {middle}");
    }
    // All those not seen or none of them may be missing.
    let missing = &m.quantities["lattice.missing"];
    assert_eq!(missing.value, Some(1.0));
    assert!((missing.expanded_uncertainty.unwrap() - 2.0 * 64.0 / 3.0_f64.sqrt()).abs() < 1e-9);
    let mean = &m.quantities["lattice.strut_diameter_mean"];
    // U is two standard uncertainties: one value in twenty lies beyond it, none beyond four.
    let (off, expanded) = (mean.value.unwrap() - 0.5, mean.expanded_uncertainty.unwrap());
    assert!(off.abs() < 2.0 * expanded, "{off} mm off, U is {expanded} mm");
    let told = &m.findings.iter().find(|f| f.code == "lattice.unmeasured").unwrap().message;
    assert!(told.starts_with("64 of 128") && told.contains("the image does not reach all of it"), "{told}");
    // Where most are not seen, neither counts nor means stand for all.
    let (m, _) = of(3.0);
    for name in ["missing", "broken", "thin", "strut_diameter_mean", "strut_diameter_sd", "waviness_rms", "node_offset_p95"] {
        let q = &m.quantities[&format!("lattice.{name}")];
        assert!(q.value.is_none() && q.reason.as_ref().unwrap().contains("are not measured"), "{name}: {q:?}");
    }
}

#[test]
fn a_stump_is_shortened_and_a_strut_off_its_node_is_broken() {
    let mut f = Framework::of(UnitCell::SimpleCubic, [1; 3], [3.0; 3], 0.4);
    let corner = f.nodes.iter().position(|p| *p == Point3::from([3.0; 3])).unwrap() as u32;
    f.nodes.push(Point3::new(4.5, 3.0, 3.0));
    f.struts.push((corner, f.nodes.len() as u32 - 1, 0.4));
    let stump = f.struts.len() - 1;
    for (short_mm, state) in [(0.0, "present"), (0.05, "present"), (0.12, "shortened"), (0.3, "shortened"), (1.1, "missing")] {
        let mut rods = f.rods();
        // Its half ball ends short of the designed node.
        rods[stump] = between(rods[stump], 0.0, 1.0 - (0.2 + short_mm) / 1.5);
        let (m, table) = meshed(&f, rods, 0.06);
        assert_eq!(column(&table, "state")[stump], state, "{short_mm} mm short");
        assert_eq!(counts(&m), [f64::from(u8::from(state == "missing")), 0.0, 0.0], "{short_mm} mm short");
        assert_eq!(m.findings.iter().any(|f| f.code == "lattice.shortened"), state == "shortened", "{short_mm} mm short");
    }
    // A gap of 0.3 mm beside a node, between the balls of the node and of the strut's own end.
    let mut rods = f.rods();
    rods[4] = between(rods[4], (0.2 + 0.3 + 0.2) / 3.0, 1.0);
    let (m, table) = meshed(&f, rods, 0.06);
    assert_eq!((column(&table, "state")[4], counts(&m)), ("broken", [0.0, 1.0, 0.0]));
}

#[test]
fn wavy_struts_have_the_root_mean_square_of_their_wave() {
    let f = Framework::of(UnitCell::SimpleCubic, [1; 3], [8.0, 3.0, 3.0], 0.4);
    let wave = |x: f64| 0.05 * libm::cos(PI * x);
    let mut rods = vec![];
    for rod in f.rods() {
        if (rod.to - rod.from).x.abs() < 1.0 {
            rods.push(rod);
            continue;
        }
        let at = |n: u32| {
            let x = 0.1 * f64::from(n);
            Point3::new(x, rod.from.y + wave(x), rod.from.z)
        };
        rods.extend((0..80).map(|n| Rod { from: at(n), to: at(n + 1), ..rod }));
    }
    let (m, _) = meshed(&f, rods, 0.06);
    // Of twelve struts four are wavy; they are cut from beside one node to beside the other.
    let heights: Vec<f64> = (0..741).map(|n| 0.3 + 0.01 * f64::from(n)).collect();
    let mean = heights.iter().map(|&x| wave(x)).sum::<f64>() / heights.len() as f64;
    let square = heights.iter().map(|&x| (wave(x) - mean) * (wave(x) - mean)).sum::<f64>() / heights.len() as f64;
    assert!((square.sqrt() / (0.05 / 2.0_f64.sqrt()) - 1.0).abs() < 0.03);
    let truth = (square * 4.0 / 12.0).sqrt();
    assert!((value(&m, "waviness_rms") / truth - 1.0).abs() < 0.03, "{} and {truth}", value(&m, "waviness_rms"));
    assert_eq!(counts(&m), [0.0; 3]);
}

#[test]
fn shifted_nodes_have_the_percentile_of_their_shifts_and_two_diameters_their_standard_deviation() {
    let f = Framework::of(UnitCell::SimpleCubic, [2; 3], [2.0; 3], 0.4);
    let mut shifted = f.clone();
    for (n, place) in shifted.nodes.iter_mut().enumerate() {
        *place += Vector3::from_fn(|a, _| normal(3, (3 * n + a) as u64)).normalize() * (0.003 * n as f64);
    }
    let (m, _) = meshed(&f, shifted.rods(), 0.06);
    // Of 27 nodes the 26th; facets of 0.06 mm lie within 0.06² / 8R of their rod.
    let facet = 0.06 * 0.06 / (8.0 * 0.2);
    assert!((value(&m, "node_offset_p95") - 0.075).abs() < facet, "{}", value(&m, "node_offset_p95"));
    assert!(value(&m, "waviness_rms") < facet && value(&m, "strut_diameter_sd") < 2.0 * facet);

    let f = Framework::of(UnitCell::SimpleCubic, [1; 3], [3.0; 3], 0.4);
    let mut rods = f.rods();
    rods.iter_mut().step_by(2).for_each(|r| r.radius_mm = 0.25);
    let (m, _) = meshed(&f, rods, 0.06);
    let truth = 0.05 * (12.0_f64 / 11.0).sqrt();
    assert!((value(&m, "strut_diameter_sd") - truth).abs() < facet, "{} and {truth}", value(&m, "strut_diameter_sd"));
    assert!((value(&m, "strut_diameter_mean") - 0.45).abs() < 2.0 * facet);
}

#[test]
fn a_limit_that_is_none_is_refused_by_the_command_as_by_an_order() {
    let folder = Folder::new();
    let usual = FaultLimits::default();
    for (limits, name) in [
        (FaultLimits { thin: 5.0, ..usual }, "thin"),
        (FaultLimits { gap_mm: -0.1, ..usual }, "gap"),
        (FaultLimits { node: 0.0, ..usual }, "node"),
        (FaultLimits { node: f64::NAN, ..usual }, "node"),
    ] {
        let none = || Source::new(folder.0.path().join("none.stl"));
        let (nominal, actual) = (none(), none());
        let (align, region) = (AlignmentMethod::None, None);
        let job = Lattice { nominal, actual, align, datums: None, struts: None, limits, table: None, map: None, region };
        let error = measure::lattice(&job, &Runtime::cpu()).unwrap_err();
        assert!(error.code == "lattice.limit" && error.message.contains(&format!("the limit {name} ")), "{error}");
    }
}
