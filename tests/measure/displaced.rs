//! `lattice` against lattices that are displaced as a whole, with faults of their own: shrunk, sheared and bent, farther than the way to the next
//! strut.

use verimetry_engine::measure::{Lattice, LatticeTables};
use verimetry_engine::phantom::struts::{Framework, Rod, UnitCell};

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
    let m = measure::lattice(&job, &Runtime::cpu()).unwrap();
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
