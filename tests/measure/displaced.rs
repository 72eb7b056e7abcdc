//! `lattice` against lattices that are displaced as a whole, with faults of their own: shrunk, sheared and bent, farther than the way to the next
//! strut.

use std::sync::{Arc, Mutex};

use verimetry_engine::measure::{Lattice, LatticeTables};
use verimetry_engine::phantom::struts::{Framework, Rod, Rods, UnitCell};

use super::lattice::{column, struts_json};
use super::struts::mesh_of;
use super::*;

const CELL_MM: f64 = 2.0;
const DIAMETER_MM: f64 = 0.4;
const GAP_MM: f64 = 0.3;
const THIN: f64 = 0.65;
/// Distance of the points of the meshes; facets between them lie within its square / 8 R of their rod.
const FINE_MM: f64 = 0.1;
const FACET_MM: f64 = FINE_MM * FINE_MM / (4.0 * DIAMETER_MM);

/// Longer than wide, so that the far end is displaced by more than half a cell; the strut from the middle of a cell lies 0.82 mm from the next.
fn framework() -> Framework {
    Framework::of(UnitCell::BodyCentred, [16, 2, 2], [CELL_MM; 3], DIAMETER_MM)
}

/// A lattice built displaced as `carry` says: the state of every strut, the nodes that are shifted against the others, its rods and nodes.
struct Built {
    states: Vec<&'static str>,
    shifted: Vec<usize>,
    rods: Vec<Rod>,
    nodes: Vec<Point3<f64>>,
}

/// Five struts missing, five broken, five thin, spread over the length, and four nodes displaced by half a diameter and a tenth of a mm.
fn built(f: &Framework, carry: impl Fn(&Point3<f64>) -> Point3<f64>) -> Built {
    let mut f = f.clone();
    f.nodes.iter_mut().for_each(|p| *p = carry(p));
    let inner: Vec<usize> =
        (0..f.nodes.len()).filter(|&n| f.struts.iter().filter(|s| [s.0, s.1].contains(&(n as u32))).count() == 8).collect();
    let shifted: Vec<usize> = [3, 24, 47, 70].map(|k| inner[k * inner.len() / 72]).to_vec();
    for (k, &n) in shifted.iter().enumerate() {
        f.nodes[n] += Vector3::new([1.0, -1.0][k % 2], 0.4 * k as f64, -0.6).normalize() * (0.5 * DIAMETER_MM + 0.1);
    }
    let mut states = vec!["present"; f.struts.len()];
    let free: Vec<usize> =
        (0..states.len()).filter(|&s| shifted.iter().all(|&n| ![f.struts[s].0, f.struts[s].1].contains(&(n as u32)))).collect();
    for k in 0..15 {
        states[free[(k * free.len() + 5) / 15]] = ["missing", "broken", "thin"][k % 3];
    }
    let mut rods = vec![];
    for (rod, state) in f.rods().into_iter().zip(&states) {
        let at = |share: f64| rod.from + (rod.to - rod.from) * share;
        let half = (0.5 * GAP_MM + rod.radius_mm) / (rod.to - rod.from).norm();
        match *state {
            "missing" => {}
            "broken" => rods.extend([Rod { to: at(0.5 - half), ..rod }, Rod { from: at(0.5 + half), ..rod }]),
            "thin" => rods.push(Rod { radius_mm: THIN * rod.radius_mm, ..rod }),
            _ => rods.push(rod),
        }
    }
    Built { states, shifted, rods, nodes: f.nodes }
}

/// A measurement with the progress of its struts.
fn with_steps(job: &Lattice) -> (Measurement, Vec<f64>) {
    let steps = Arc::new(Mutex::new(vec![]));
    let seen = steps.clone();
    let rt = Runtime::cpu().on_progress(Arc::new(move |stage, fraction| {
        if stage == "struts" {
            seen.lock().unwrap().push(fraction);
        }
    }));
    let m = measure::lattice(job, &rt).unwrap();
    let steps = steps.lock().unwrap().clone();
    (m, steps)
}

/// Every seeded fault is found and none is invented, on any number of threads; diameters and offsets are those built.
fn finds_all_and_invents_none(name: &str, nominal: &Mesh, carry: impl Fn(&Point3<f64>) -> Point3<f64>) -> Measurement {
    let (folder, f) = (Folder::new(), framework());
    let Built { states, shifted, rods, nodes } = built(&f, carry);
    let table = folder.0.path().join("struts.csv");
    let job = Lattice {
        align: AlignmentMethod::None,
        struts: Some(folder.file("struts.json", struts_json(&f).as_bytes())),
        tables: LatticeTables { parts: Some(table.clone()), ..LatticeTables::default() },
        ..Lattice::new(folder.mesh("n.stl", nominal), folder.mesh("a.stl", &mesh_of(rods, FINE_MM)))
    };
    let (m, steps) = with_steps(&job);
    assert!(steps.windows(2).all(|w| w[0] <= w[1]) && steps[0] == 0.0 && steps[steps.len() - 1] < 1.0, "{name}: {steps:?}");
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let again = one.install(|| measure::lattice(&job, &Runtime::cpu()).unwrap());
    assert_eq!((&m.quantities, &m.findings), (&again.quantities, &again.findings), "{name}");
    let table = std::fs::read_to_string(table).unwrap();
    let found = column(&table, "state");
    let wrong: Vec<_> = (0..found.len()).filter(|&s| found[s] != states[s]).map(|s| (s, states[s], found[s])).collect();
    assert!(wrong.is_empty(), "{name}: {} of (strut, seeded, found) {wrong:?}\n{:#?}", wrong.len(), m.findings);
    for (s, diameter) in column(&table, "diameter_mm").into_iter().enumerate() {
        let truth = DIAMETER_MM * if states[s] == "thin" { THIN } else { 1.0 };
        if states[s] == "present" || states[s] == "thin" {
            let error = diameter.parse::<f64>().unwrap() - truth;
            assert!(error.abs() < 2.0 * FACET_MM / truth * DIAMETER_MM, "{name}: strut {s} {error} mm off {truth}");
        }
    }
    let codes: Vec<&str> = m.findings.iter().map(|f| f.code.as_str()).filter(|c| c.starts_with("lattice.")).collect();
    let is_displaced =
        nodes.iter().zip(&f.nodes).enumerate().any(|(n, (p, q))| !shifted.contains(&n) && (p - q).norm() > 0.5 * DIAMETER_MM);
    let mut truth =
        vec!["lattice.missing", "lattice.broken", "lattice.thin", "lattice.shifted_node", "lattice.unit_cell", "lattice.struts"];
    if is_displaced {
        truth.insert(4, "lattice.displaced");
    }
    assert_eq!(codes, truth, "{name}: {:#?}", m.findings);
    let told =
        &m.findings.iter().find(|f| f.code == if is_displaced { "lattice.displaced" } else { "lattice.shifted_node" }).unwrap().message;
    let own = told.split("; off the lattice around them").last().unwrap();
    assert!(own.contains("4 ") && shifted.iter().all(|n| own.contains(&format!(" {n} at "))), "{name}: {shifted:?} {told}");
    let mut far: Vec<f64> = nodes.iter().zip(&f.nodes).map(|(p, q)| (p - q).norm()).collect();
    far.sort_by(f64::total_cmp);
    let (value, q) = (m.quantities["lattice.node_offset_p95"].value.unwrap(), (0.95 * far.len() as f64).ceil() as usize);
    // Corners where fewer than two struts meet have no place.
    assert!(far[q - 12] - FACET_MM < value && value < far[(q + 3).min(far.len() - 1)] + FACET_MM, "{name}: {value} {:?}", &far[q - 12..]);
    m
}

fn stretched_by(m: &Measurement) -> Vec<[f64; 2]> {
    let told = &m.findings.iter().find(|f| f.code == "lattice.displaced").unwrap().message;
    let terms = told.split_once("stretched by ").unwrap().1.split_once(" along").unwrap().0;
    terms.split(", ").map(|t| [t.split(' ').next(), t.split(' ').nth(2)].map(|x| x.unwrap().parse().unwrap())).collect()
}

#[test]
fn faults_of_lattices_shrunk_past_the_next_strut_are_found_and_the_shrinkage_is_told() {
    let (nominal, end, middle) = (mesh_of(framework().rods(), FINE_MM), Point3::new(0.0, 2.0, 2.0), Point3::new(16.0, 2.0, 2.0));
    let cases = [(end, 0.03), (middle, 0.04), (end, 0.015), (end, 0.0)];
    for (from, share) in cases.into_iter().take(if long() { 4 } else { 1 }) {
        let m = finds_all_and_invents_none("shrunk", &nominal, |p| from + (p - from) * (1.0 - share));
        let cell = m.quantities["lattice.cell_a"].value.unwrap();
        assert!((cell - CELL_MM * (1.0 - share)).abs() < FACET_MM / 16.0, "{cell}");
        if share > 0.0 {
            for [by, u] in stretched_by(&m) {
                assert!((by + 100.0 * share).abs() <= u.max(0.01), "{by} ± {u} %, truth {}", -100.0 * share);
            }
        }
    }
}

#[test]
fn faults_of_sheared_and_bent_lattices_are_found() {
    let nominal = mesh_of(framework().rods(), FINE_MM);
    finds_all_and_invents_none("sheared", &nominal, |p| Point3::new(p.x, p.y, p.z + 0.03 * p.x));
    // Bent to a cylinder from one end on: 1 mm at the other.
    let radius = 512.0;
    let bent = |p: &Point3<f64>| {
        let (sin, cos) = libm::sincos(p.x / radius);
        Point3::new((radius - p.z) * sin, p.y, radius - (radius - p.z) * cos)
    };
    finds_all_and_invents_none("bent", &nominal, bent);
}

/// Beams below and a post at one corner, without which neither the part's ends nor its sides can be told apart; carried as the lattice is.
fn frame(carry: &impl Fn(&Point3<f64>) -> Point3<f64>) -> Vec<Rod> {
    let rod = |from: Point3<f64>, to: Point3<f64>, radius_mm: f64| Rod { from: carry(&from), to: carry(&to), radius_mm };
    let beam = |y: f64| (0..16).map(move |n| [n, n + 1].map(|n| Point3::new(CELL_MM * f64::from(n), y, -0.6)));
    let beams = [0.0, 2.0, 4.0].into_iter().flat_map(beam).map(|[from, to]| rod(from, to, 0.5));
    let post = rod(Point3::new(-1.0, -0.6, -0.6), Point3::new(-1.0, -0.6, 3.0), 0.5);
    beams.chain([post, rod(Point3::new(-1.0, -0.6, -0.6), Point3::new(0.0, 0.0, -0.6), 0.5)]).collect()
}

/// Every seeded fault is found and none invented in a scan of 0.1 mm voxels with an edge of 0.7 voxel and noise of so much of the contrast, laid
/// anywhere and brought back by best fit.
fn finds_all_in_a_scan(name: &str, noise: f64, carry: impl Fn(&Point3<f64>) -> Point3<f64>) -> Measurement {
    let (folder, f) = (Folder::new(), framework());
    let Built { states, shifted, rods, .. } = built(&f, &carry);
    let nominal = mesh_of([f.rods(), frame(&|p: &Point3<f64>| *p)].concat(), FINE_MM);
    let rods = [rods, frame(&carry)].concat();
    let pose = Pose::from_rotation_vector(Vector3::new(0.02, -0.03, 0.05), Vector3::new(7.0, -3.0, 4.0));
    let solid = Solid::Rods(Rods::new(rods.clone())).moved(pose);
    let b = Bounds::of(rods.iter().flat_map(|r| [r.from, r.to]).map(|p| pose.apply(&p)).collect::<Vec<_>>().iter());
    let dims = [0, 1, 2].map(|a| ((b.max[a] - b.min[a] + 2.0) / 0.1) as usize);
    let grid = Grid::aligned(dims, [0.1; 3], b.min - Vector3::repeat(1.0)).unwrap();
    let ct = Ct { edge_sigma_mm: 0.07, air: 1000.0, material: 21_000.0, noise_sd: 20_000.0 * noise, seed: 5 };
    let scan = folder.file("a.mha", &phantom::metaimage(&ct.scan(&solid, &grid).unwrap()));
    let table = folder.0.path().join("struts.csv");
    let job = Lattice {
        struts: Some(folder.file("struts.json", struts_json(&f).as_bytes())),
        tables: LatticeTables { parts: Some(table.clone()), ..LatticeTables::default() },
        ..Lattice::new(folder.mesh("n.stl", &nominal), Source { scale_uncertainty: 0.0, ..Source::new(scan) })
    };
    let m = measure::lattice(&job, &Runtime::cpu()).unwrap();
    let table = std::fs::read_to_string(table).unwrap();
    let found = column(&table, "state");
    let wrong: Vec<_> = (0..found.len()).filter(|&s| found[s] != states[s]).map(|s| (s, states[s], found[s])).collect();
    assert!(wrong.is_empty(), "{name}: {} of (strut, seeded, found) {wrong:?}\n{:#?}", wrong.len(), m.findings);
    // Best fit leaves some lattices within half a diameter of their design, but none of their faults.
    let codes: Vec<&str> = m.findings.iter().map(|f| f.code.as_str()).filter(|c| c.starts_with("lattice.")).collect();
    let truth = ["lattice.missing", "lattice.broken", "lattice.thin", "lattice.shifted_node", "lattice.unit_cell", "lattice.struts"];
    let own: Vec<&str> = codes.iter().copied().filter(|c| *c != "lattice.displaced").collect();
    assert_eq!(own, truth, "{name}: {:#?}", m.findings);
    let told = if codes.len() > own.len() { "lattice.displaced" } else { "lattice.shifted_node" };
    let told = &m.findings.iter().find(|f| f.code == told).unwrap().message;
    let own = told.split("; off the lattice around them").last().unwrap();
    assert!(own.contains("4 ") && shifted.iter().all(|n| own.contains(&format!(" {n} at "))), "{name}: {shifted:?} {told}");
    m
}

#[test]
fn faults_of_a_lattice_shrunk_by_a_fiftieth_are_found_in_a_noisy_scan_placed_by_best_fit() {
    let middle = Point3::new(16.0, 2.0, 2.0);
    let m = finds_all_in_a_scan("shrunk", 0.02, |p| middle + (p - middle) * 0.98);
    for [by, u] in stretched_by(&m) {
        assert!((by + 2.0).abs() <= u, "{by} ± {u} %, truth -2 %");
    }
    if long() {
        finds_all_in_a_scan("as designed", 0.02, |p| *p);
        finds_all_in_a_scan("sheared", 0.02, |p| Point3::new(p.x, p.y + 0.05 * p.z, p.z + 0.03 * p.x));
        let radius = 256.0;
        let bent = |p: &Point3<f64>| {
            let (sin, cos) = libm::sincos(p.x / radius);
            Point3::new((radius - p.z) * sin, p.y, radius - (radius - p.z) * cos)
        };
        finds_all_in_a_scan("bent", 0.02, bent);
    }
}

/// A long lattice, and 4 mm beyond its end a small one that no strut joins to it; struts of the small one come last.
fn two_pieces() -> (Framework, usize) {
    let mut f = Framework::of(UnitCell::SimpleCubic, [4, 2, 2], [CELL_MM; 3], DIAMETER_MM);
    let small = Framework::of(UnitCell::SimpleCubic, [2; 3], [CELL_MM; 3], DIAMETER_MM);
    let (nodes, struts) = (f.nodes.len() as u32, f.struts.len());
    f.nodes.extend(small.nodes.iter().map(|p| p + Vector3::new(12.0, 0.0, 0.0)));
    f.struts.extend(small.struts.iter().map(|(a, b, d)| (a + nodes, b + nodes, *d)));
    (f, struts)
}

/// What becomes of the struts of two pieces built as rods, and the findings about them.
fn pieces_as(f: &Framework, rods: Vec<Rod>) -> (Vec<String>, Vec<String>) {
    let folder = Folder::new();
    let table = folder.0.path().join("struts.csv");
    let job = Lattice {
        align: AlignmentMethod::None,
        struts: Some(folder.file("struts.json", struts_json(f).as_bytes())),
        tables: LatticeTables { parts: Some(table.clone()), ..LatticeTables::default() },
        ..Lattice::new(folder.mesh("n.stl", &mesh_of(f.rods(), FINE_MM)), folder.mesh("a.stl", &mesh_of(rods, FINE_MM)))
    };
    let m = measure::lattice(&job, &Runtime::cpu()).unwrap();
    let table = std::fs::read_to_string(table).unwrap();
    let codes = m.findings.iter().map(|f| f.code.clone()).filter(|c| c.starts_with("lattice."));
    (column(&table, "state").into_iter().map(String::from).collect(), codes.collect())
}

#[test]
fn a_piece_displaced_by_about_a_period_is_said_to_be_ambiguous_and_has_no_faults() {
    let (f, first) = two_pieces();
    // 0.1 and 0.15 mm short of a cell, and as far beyond it: what is nearest are the struts' neighbours.
    for by in [Vector3::new(0.0, 0.95 * CELL_MM, 0.0), Vector3::new(0.0, 0.0, -1.05 * CELL_MM), Vector3::new(CELL_MM, 0.0, 0.1)] {
        let moved = |(s, r): (usize, Rod)| if s < first { r } else { Rod { from: r.from + by, to: r.to + by, ..r } };
        let (states, codes) = pieces_as(&f, f.rods().into_iter().enumerate().map(moved).collect());
        let truth = |s: usize| if s < first { "present" } else { "unmeasured" };
        let wrong: Vec<_> = (0..states.len()).filter(|&s| states[s] != truth(s)).map(|s| (s, &states[s])).collect();
        assert!(wrong.is_empty(), "{by:?}: {wrong:?}");
        assert_eq!(codes, ["lattice.unit_cell", "lattice.struts", "lattice.period", "lattice.unmeasured"], "{by:?}");
    }
}

#[test]
fn a_piece_that_lacks_struts_at_one_end_is_not_ambiguous() {
    let (f, first) = two_pieces();
    // The whole end of the small piece, which nothing replaces at the other, and of the long one, beyond whose other end there is a stray strut.
    for (x, stray) in [(16.0, false), (0.0, true)] {
        let at_end = |r: &Rod| r.from.x == x && r.to.x == x;
        let mut rods: Vec<Rod> = f.rods().into_iter().filter(|r| !at_end(r)).collect();
        assert!(rods.len() + 12 == f.struts.len() && (first..f.struts.len()).contains(&(f.struts.len() - 1)));
        if stray {
            let on = Rod { from: Point3::new(10.0, 2.0, 2.0), to: Point3::new(10.0, 4.0, 2.0), radius_mm: 0.5 * DIAMETER_MM };
            rods.push(on);
        }
        let (states, codes) = pieces_as(&f, rods);
        let lost: Vec<usize> = (0..states.len()).filter(|&s| states[s] == "missing").collect();
        let truth: Vec<usize> = (0..states.len()).filter(|&s| at_end(&f.rods()[s])).collect();
        assert_eq!(lost, truth);
        assert!(!codes.iter().any(|c| c == "lattice.period") && codes.iter().any(|c| c == "lattice.residue") == stray, "{codes:?}");
    }
}
