//! What `lattice` says of struts against closed forms: sizes, waves, shifts, stumps, and what no scan shows.

use std::f64::consts::PI;

use verimetry_engine::case::{Nominal, Part};
use verimetry_engine::lattice::{AsBuilt, Design, FaultLimits, Shows, Slice, Traced};
use verimetry_engine::measure::{Lattice, LatticeTables, RegionRef};
use verimetry_engine::noise::normal;
use verimetry_engine::phantom::struts::{Framework, Rod, Rods, UnitCell};
use verimetry_engine::phantom::{Fineness, surface_mesh};
use verimetry_engine::surface;
use verimetry_engine::volume::{AnyVolume, Rescale, Volume};

use super::lattice::{column, order_with, struts_json};
use super::*;

pub(super) fn mesh_of(rods: Vec<Rod>, cell_mm: f64) -> Mesh {
    let b = Bounds::of(rods.iter().flat_map(|r| [&r.from, &r.to]));
    let room = Vector3::repeat(rods.iter().map(|r| r.radius_mm).fold(0.0, f64::max) + 3.0 * cell_mm);
    let bounds = Bounds { min: b.min - room, max: b.max + room };
    surface_mesh(&Solid::Rods(Rods::new(rods)), &bounds, Fineness { cell_mm, simplify_mm: None }).unwrap()
}

/// What a part of a lattice's tables says: struts, sections, nodes, residue.
struct Tables {
    struts: String,
    sections: String,
    nodes: String,
    residue: String,
}

/// Follows a listed design where it lies, with its tables, in a box or as a whole.
fn tabled(folder: &Folder, f: &Framework, nominal: &Mesh, actual: Source, within: Option<[[f64; 3]; 2]>) -> (Measurement, Tables) {
    let path = |name: &str| folder.0.path().join(name);
    let order = within.map(|[min, max]| folder.file("o.toml", order_with_a_box(min, max).as_bytes()));
    let (parts, sections, nodes, residue) = (path("struts.csv"), path("sections.csv"), path("nodes.csv"), path("residue.csv"));
    let (tables, map) = ([&parts, &sections, &nodes, &residue].map(|p| Some(p.clone())), Some(path("map.ply")));
    let [parts_out, sections_out, nodes_out, residue_out] = tables;
    let job = Lattice {
        align: AlignmentMethod::None,
        struts: Some(folder.file("struts.json", struts_json(f).as_bytes())),
        tables: LatticeTables { parts: parts_out, sections: sections_out, nodes: nodes_out, residue: residue_out },
        map,
        region: order.as_deref().map(|order_file| RegionRef { order_file, name: "box" }),
        ..Lattice::new(folder.mesh("n.stl", nominal), actual)
    };
    let m = measure::lattice(&job, &Runtime::cpu()).unwrap();
    let read = |p: &PathBuf| std::fs::read_to_string(p).unwrap();
    (m, Tables { struts: read(&parts), sections: read(&sections), nodes: read(&nodes), residue: read(&residue) })
}

fn order_with_a_box(min: [f64; 3], max: [f64; 3]) -> String {
    order_with(&format!(
        "[[region]]\nname = \"box\"\nshape = {{ box = {{ min = {min:?}, max = {max:?} }} }}\n[[requirement]]\nid = \"R\"\nclause = \"8.3.2.2 b)\"\n\
         quantity = \"lattice.missing\"\nmax = 0\n"
    ))
}

/// Follows a listed design where it lies, with the table of its struts.
fn followed(folder: &Folder, f: &Framework, nominal: &Mesh, actual: Source) -> (Measurement, String) {
    let (m, tables) = tabled(folder, f, nominal, actual, None);
    (m, tables.struts)
}

/// A column of numbers; NaN where there is none.
fn numbers(table: &str, name: &str) -> Vec<f64> {
    column(table, name).iter().map(|x| if x.is_empty() { f64::NAN } else { x.parse().unwrap() }).collect()
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
        let job = Lattice { limits, ..Lattice::new(none(), none()) };
        let error = measure::lattice(&job, &Runtime::cpu()).unwrap_err();
        assert!(error.code == "lattice.limit" && error.message.contains(&format!("the limit {name} ")), "{error}");
    }
}

/// Slices of a rod that becomes thinner from one end to the other.
fn tapered(rod: Rod, radii_mm: [f64; 2]) -> Vec<Rod> {
    let radius = |t: f64| radii_mm[0] + (radii_mm[1] - radii_mm[0]) * t;
    (0..400).map(|n| f64::from(n) / 400.0).map(|t| Rod { radius_mm: radius(t + 1.0 / 800.0), ..between(rod, t, t + 1.0 / 400.0) }).collect()
}

#[test]
fn the_sections_of_a_tapered_strut_have_its_diameters_and_a_gap_shows_where_it_is() {
    let f = Framework::of(UnitCell::SimpleCubic, [1; 3], [3.0; 3], 0.4);
    let (taper, gap, cell_mm) = (4, 9, 0.05);
    let mut rods: Vec<Rod> = f.rods().into_iter().enumerate().filter(|(s, _)| ![taper, gap].contains(s)).map(|(_, r)| r).collect();
    rods.extend(tapered(f.rod(taper), [0.15, 0.25]));
    // The gap is from 1.2 to 1.8 mm along the strut, between the balls of its ends.
    rods.extend([between(f.rod(gap), 0.0, 1.0 / 3.0), between(f.rod(gap), 2.0 / 3.0, 1.0)]);
    let folder = Folder::new();
    let actual = folder.mesh("a.stl", &mesh_of(rods, cell_mm));
    let (_, t) = tabled(&folder, &f, &mesh_of(f.rods(), cell_mm), actual, None);
    let (strut, shows, free) = (column(&t.sections, "strut"), column(&t.sections, "shows"), column(&t.sections, "free"));
    let [at, found, inside, around, ratio] =
        ["at_mm", "diameter_mm", "inscribed_diameter_mm", "circumscribed_diameter_mm", "axis_ratio"].map(|name| numbers(&t.sections, name));
    let places = ["x_mm", "y_mm", "z_mm"].map(|name| numbers(&t.sections, name));
    let rows = |s: usize| strut.iter().enumerate().filter(move |(_, id)| **id == s.to_string()).map(|(n, _)| n);
    let (mut sized, axis) = (0, (f.rod(taper).to - f.rod(taper).from).normalize());
    for n in rows(taper) {
        let truth = 0.3 + 0.2 * at[n] / 3.0;
        // Facets leave out up to c² / 8R on both sides; slices are 0.0005 mm apart in diameter, and a cone bulges by a thousandth.
        let facet = 2.0 * cell_mm * cell_mm / (4.0 * truth);
        if shows[n] == "section" {
            sized += 1;
            assert!(found[n] < truth + 1e-3 && found[n] > truth - facet - 1e-3, "{} of {truth} mm at {}", found[n], at[n]);
            assert!(inside[n] <= found[n] + facet && found[n] <= around[n] + 1e-3 && around[n] < truth + facet, "row {n}: {inside:?}");
            assert!(ratio[n] > 1.0 - 2.0 * facet / truth && ratio[n] <= 1.0, "{}", ratio[n]);
            let place = Point3::new(places[0][n], places[1][n], places[2][n]);
            assert!((place - (f.rod(taper).from + axis * at[n])).norm() < facet, "{place} at {}", at[n]);
        } else {
            assert!(shows[n] == "material" && free[n] == "false" && !(0.5..2.5).contains(&at[n]), "row {n}: {} at {}", shows[n], at[n]);
        }
    }
    // A tenth of a diameter apart: 75 over 3 mm, of which some 0.4 mm at each end belong to the nodes.
    assert!(rows(taper).count() == 75 && (50..66).contains(&sized), "{sized} of {}", rows(taper).count());
    for n in rows(gap) {
        // Balls end at the gap: beside it sections are small, and facets take what is thinner than themselves.
        let is_gap = (1.2..1.8).contains(&at[n]);
        let beside = (at[n] - 1.2).abs().min((at[n] - 1.8).abs()) < 0.01;
        assert!(beside || (shows[n] == "empty") == is_gap, "{} at {}", shows[n], at[n]);
    }
    assert_eq!(shows.iter().filter(|s| **s == "unseen").count(), 0);
}

#[test]
fn sections_of_a_scanned_tapered_strut_have_its_diameters() {
    let f = Framework::of(UnitCell::SimpleCubic, [1; 3], [3.0; 3], 0.6);
    let mut rods: Vec<Rod> = f.rods().into_iter().skip(4).collect();
    (0..4).for_each(|s| rods.extend(tapered(f.rod(s), [0.25, 0.35])));
    let grid = Grid::aligned([50, 50, 60], [0.1; 3], Point3::new(-0.9, -0.9, -2.1)).unwrap();
    let ct = Ct { edge_sigma_mm: 0.07, air: 1000.0, material: 21_000.0, noise_sd: 600.0, seed: 5 };
    let folder = Folder::new();
    let scan = phantom::metaimage(&ct.scan(&over_a_block(rods), &grid).unwrap());
    let actual = Source { scale_uncertainty: 0.0, ..Source::new(folder.file("a.mha", &scan)) };
    let (_, t) = tabled(&folder, &f, &mesh_of(f.rods(), 0.1), actual, None);
    let [strut, at, found] = ["strut", "at_mm", "diameter_mm"].map(|name| numbers(&t.sections, name));
    let sized: Vec<usize> = (0..at.len()).filter(|&n| strut[n] < 4.0 && !found[n].is_nan()).collect();
    assert!(sized.len() > 100, "{} sections", sized.len());
    for n in sized {
        // A third of a voxel: what grid, blur and threshold leave of one section.
        let truth = 0.5 + 0.2 * at[n] / 3.0;
        assert!((found[n] - truth).abs() < 0.033, "{} of {truth} mm at {}", found[n], at[n]);
    }
}

/// Rods of a cube of 3 mm over something thick, without which an image does not show how bright material is.
fn over_a_block(rods: Vec<Rod>) -> Solid {
    let block = Solid::Box { centre: Point3::new(1.5, 1.5, -1.2), half_mm: Vector3::new(1.5, 1.5, 0.5), rounding_mm: 0.2 };
    Solid::Union(vec![Solid::Rods(Rods::new(rods)), block])
}

/// Values of some scans of the same places, each with its standard uncertainty: their root mean square distance from the means of their places in
/// standard uncertainties, without what all places of a scan have in common; and by how much chance may let its square differ from 1 (two
/// standard deviations of chi-square with as many degrees of freedom).
fn scatter(scans: &[Vec<[f64; 2]>]) -> [f64; 2] {
    let (count, places) = (scans.len() as f64, scans[0].len() as f64);
    assert!(scans.iter().all(|s| s.len() as f64 == places));
    let mean = |of: &mut dyn Iterator<Item = f64>, n: f64| of.sum::<f64>() / n;
    let of_scan: Vec<f64> = scans.iter().map(|s| mean(&mut s.iter().map(|x| x[0]), places)).collect();
    let all = mean(&mut of_scan.iter().copied(), count);
    let mut squares = 0.0;
    for n in 0..scans[0].len() {
        let of_place = mean(&mut scans.iter().map(|s| s[n][0]), count);
        squares += scans.iter().zip(&of_scan).map(|(s, own)| ((s[n][0] - of_place - own + all) / s[n][1]).powi(2)).sum::<f64>();
    }
    let free = (count - 1.0) * (places - 1.0);
    [(squares / free).sqrt(), 2.0 * (2.0 / free).sqrt()]
}

#[test]
fn sections_and_mean_diameters_of_scans_that_differ_in_noise_alone_scatter_as_stated() {
    let rt = Runtime::cpu();
    // Leaning against the grid, so that each strut meets it in its own way.
    let turn = Pose::from_rotation_vector(Vector3::new(0.3, 0.4, 0.2), Vector3::zeros());
    for (diameter_mm, scans) in [(0.6, 13), (0.9, 13)] {
        let mut f = Framework::of(UnitCell::SimpleCubic, [1; 3], [3.0; 3], diameter_mm);
        let solid = over_a_block(f.rods()).moved(turn);
        f.nodes.iter_mut().for_each(|p| *p = turn.apply(p));
        let (rods, b) = (mesh_of(f.rods(), 0.1), Bounds::of(&f.nodes));
        let design = Design::parse(struts_json(&f).as_bytes()).unwrap();
        let size = (b.max - b.min).add_scalar(1.6) + Vector3::new(1.0, 1.0, 1.2);
        let grid = Grid::aligned([0, 1, 2].map(|a| (size[a] / 0.1) as usize), [0.1; 3], b.min - Vector3::new(1.3, 1.3, 2.0)).unwrap();
        let share = phantom::blurred(&solid, &grid, 0.07).unwrap();
        let (mut sections, mut means) = (vec![], vec![]);
        for seed in 0..scans {
            let grey = |(n, &s): (usize, &f32)| (1000.0 + 20_000.0 * f64::from(s) + 600.0 * normal(seed, n as u64)).round().max(0.0) as u16;
            let volume = Volume::new(grid, Rescale::IDENTITY, share.iter().enumerate().map(grey).collect()).unwrap();
            let part = Part::from_volume(surface::determine(&AnyVolume::U16(volume), &surface::Options::default(), &rt).unwrap(), 0.0);
            let case = Case::new(&rt, Some(Nominal::new(rods.clone(), None)), Some(part), None)
                .aligned_by(AlignmentMethod::None, None)
                .with_struts(Some(design.clone()), FaultLimits::default())
                .keeping_slices(true);
            let AsBuilt::Struts(followed) = case.lattice().unwrap() else { panic!() };
            // Three sections a strut, farther apart than the width of a bundle, 4 voxels, and in the strut's middle.
            let at = |strut: &Traced, at_mm: f64| {
                let near = |s: &&Slice| (s.at_mm - at_mm).abs();
                let slice = strut.slices.iter().min_by(|a, b| near(a).total_cmp(&near(b))).unwrap();
                let Shows::Section(profile) = slice.shows else { panic!("{slice:?}") };
                [profile.diameter_mm, profile.noise_mm]
            };
            sections.push(followed.struts.iter().flat_map(|s| [1.05, 1.5, 1.95].map(|x| at(s, x))).collect());
            means.push(followed.struts.iter().map(|s| [s.diameter_mm.unwrap(), s.diameter_noise_mm]).collect());
        }
        for (what, scans) in [("sections", sections), ("means", means)] {
            let [found, chance] = scatter(&scans);
            eprintln!("{what} of struts of {diameter_mm} mm scatter by {found:.3} of what is stated, chance {chance:.3}");
            assert!((found * found - 1.0).abs() < chance, "{what} of struts of {diameter_mm} mm scatter by {found} of what is stated");
        }
    }
}

#[test]
fn the_table_of_nodes_has_the_vectors_by_which_they_were_moved() {
    let f = Framework::of(UnitCell::SimpleCubic, [2; 3], [2.0; 3], 0.4);
    let mut shifted = f.clone();
    let shift = |n: usize| Vector3::from_fn(|a, _| normal(3, (3 * n + a) as u64)).normalize() * (0.00975 * n as f64);
    shifted.nodes.iter_mut().enumerate().for_each(|(n, place)| *place += shift(n));
    let folder = Folder::new();
    let actual = folder.mesh("a.stl", &mesh_of(shifted.rods(), 0.06));
    let (m, t) = tabled(&folder, &f, &mesh_of(f.rods(), 0.06), actual, None);
    let facet = 0.06 * 0.06 / (8.0 * 0.2);
    let offsets = ["offset_x_mm", "offset_y_mm", "offset_z_mm"].map(|name| numbers(&t.nodes, name));
    let built = ["built_x_mm", "built_y_mm", "built_z_mm"].map(|name| numbers(&t.nodes, name));
    let (lengths, limits) = (numbers(&t.nodes, "offset_mm"), numbers(&t.nodes, "limit_mm"));
    assert_eq!(lengths.len(), 27);
    for n in 0..27 {
        let found = Vector3::new(offsets[0][n], offsets[1][n], offsets[2][n]);
        assert!((found - shift(n)).norm() < 2.0 * facet, "node {n}: {found}, truth {}", shift(n));
        let place = Vector3::new(built[0][n], built[1][n], built[2][n]);
        assert!((place - f.nodes[n].coords - found).norm() < 1e-12 && (lengths[n] - found.norm()).abs() < 1e-12 && limits[n] == 0.2);
    }
    // Half a diameter is the limit: nodes 21 and on, of which findings tell.
    let displaced: Vec<usize> = column(&t.nodes, "displaced").iter().enumerate().filter(|(_, d)| **d == "true").map(|(n, _)| n).collect();
    assert_eq!(displaced, [21, 22, 23, 24, 25, 26]);
    let told = &m.findings.iter().find(|f| f.code == "lattice.shifted_node").unwrap().message;
    assert!(told.starts_with("6 of 27 nodes"), "{told}");
    let meeting = |n: usize| f.struts.iter().filter(|s| s.0 == n as u32 || s.1 == n as u32).count() as f64;
    let (all, whole) = (numbers(&t.nodes, "struts"), numbers(&t.nodes, "measured_struts"));
    assert!((0..27).all(|n| all[n] == meeting(n) && whole[n] == meeting(n)), "{all:?}");
}

#[test]
fn in_a_region_tables_and_findings_tell_of_the_same_struts_nodes_and_windows() {
    let f = Framework::of(UnitCell::SimpleCubic, [2, 1, 1], [2.0; 3], 0.4);
    let gone = |x: f64| (0..f.struts.len()).find(|&s| (f.rod(s).from.x - x).abs() + (f.rod(s).to.x - x).abs() < 1e-9).unwrap();
    let missing = [gone(0.0), gone(4.0)];
    let rods: Vec<Rod> = f.rods().into_iter().enumerate().filter(|(s, _)| !missing.contains(s)).map(|(_, r)| r).collect();
    let of = |within| {
        let folder = Folder::new();
        let actual = folder.mesh("a.stl", &mesh_of(rods.clone(), 0.08));
        let (m, t) = tabled(&folder, &f, &mesh_of(f.rods(), 0.08), actual, within);
        let map = verimetry_engine::io::load_mesh(&folder.0.path().join("map.ply")).unwrap();
        (m, t, map.mesh, map.fields[0].values.clone())
    };
    let (_, whole, ..) = of(None);
    // What lies beyond x = 3: the far face and nothing of the near one.
    let (m, t, map, values) = of(Some([[2.9, -1.0, -1.0], [5.0, 3.0, 3.0]]));
    let ids = |table: &str| column(table, "id").iter().map(|x| x.parse().unwrap()).collect::<Vec<usize>>();
    let inside: Vec<usize> = (0..f.struts.len()).filter(|&s| f.rod(s).from.x + f.rod(s).to.x > 5.8).collect();
    assert_eq!(ids(&t.struts), inside);
    assert_eq!(value(&m, "struts"), inside.len() as f64);
    assert_eq!(column(&t.struts, "state").iter().filter(|s| **s == "missing").count() as f64, value(&m, "missing"));
    assert_eq!(ids(&t.nodes), (0..12).filter(|&n| f.nodes[n].x > 2.9).collect::<Vec<_>>());
    assert!(column(&t.sections, "strut").iter().all(|s| inside.contains(&s.parse().unwrap())));
    // Four windows beside the cell and the one at its end; the nearest is 3 mm along.
    assert_eq!((column(&t.residue, "kind"), column(&whole.residue, "kind").len()), (vec!["window"; 5], 11));
    let told = |far: bool| (0..values.len()).filter(|&v| (map.vertices()[v].x > 3.0) == far).any(|v| !values[v].is_nan());
    assert!(told(true) && (0..values.len()).all(|v| map.vertices()[v].x > 1.5 || values[v].is_nan()));
}

#[test]
fn a_drop_is_told_in_a_part_of_any_size_unless_memory_is_short() {
    let f = Framework::of(UnitCell::SimpleCubic, [2; 3], [2.0; 3], 0.4);
    // A drop of 0.034 mm³ in a cell, as much as five cells of 1/300 of the larger part's diagonal.
    let drop = Rod { from: Point3::from([1.0; 3]), to: Point3::new(1.0, 1.0, 1.0001), radius_mm: 0.2 };
    let of = |far_mm: f64, budget: Option<u64>| {
        let mark = Rod { from: Point3::new(far_mm, 2.0, 2.0), to: Point3::new(far_mm, 4.0, 2.0), radius_mm: 0.2 };
        let with = |rods: Vec<Rod>| mesh_of(rods, 0.08);
        let marked = |mut rods: Vec<Rod>| {
            rods.push(mark);
            rods
        };
        let folder = Folder::new();
        let job = Lattice {
            align: AlignmentMethod::None,
            struts: Some(folder.file("struts.json", struts_json(&f).as_bytes())),
            ..Lattice::new(
                folder.mesh("n.stl", &with(marked(f.rods()))),
                folder.mesh("a.stl", &with(marked([f.rods(), vec![drop]].concat()))),
            )
        };
        let m = measure::lattice(&job, &Runtime::cpu().memory_budget(budget)).unwrap();
        let told = |code: &str| m.findings.iter().find(|f| f.code == code).map(|f| f.message.clone());
        (told("lattice.residue"), told("lattice.struts").unwrap())
    };
    let (small, large) = (of(6.0, None), of(60.0, None));
    for (residue, limits) in [&small, &large] {
        assert!(residue.as_ref().is_some_and(|r| r.starts_with("1 bodies") && r.contains("at (1.0")), "{residue:?}");
        assert!(limits.contains("away from struts from 0.100 mm beside them"), "{limits}");
    }
    // 27 cells of an eighth of a diameter; smaller ones cost nothing in a small part.
    assert!(large.1.contains(" and 3.37e-3 mm³ on;") && small.1.contains(" and 7.11e-4 mm³ on;"), "{large:?} {small:?}");
    let (residue, limits) = of(60.0, Some(Runtime::overhead_bytes() + (8 << 20)));
    assert!(residue.is_none() && limits.contains("since those of 0.050 mm that the struts ask for are too many"), "{residue:?} {limits}");
}
