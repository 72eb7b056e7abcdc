//! `lattice` against lattices whose faults are known.

use verimetry_engine::distance::MeshDistance;
use verimetry_engine::judge::judge;
use verimetry_engine::judgement::{Decision, Stamp};
use verimetry_engine::lattice::extract;
use verimetry_engine::measure::{Lattice, LatticeTables};
use verimetry_engine::noise::{normal, uniform};
use verimetry_engine::phantom::struts::{Framework, Rod, Rods, UnitCell};
use verimetry_engine::phantom::{Fineness, surface_mesh};

use super::*;

const GAP_MM: f64 = 0.3;
const THIN: f64 = 0.65;
const SHIFT_MM: f64 = 0.35;

/// A lattice on a plate that holds its lowest nodes.
struct Kind {
    unit: UnitCell,
    cells: [u32; 3],
    cell_mm: f64,
    diameter_mm: f64,
}

const BODY_CENTRED: Kind = Kind { unit: UnitCell::BodyCentred, cells: [4, 4, 2], cell_mm: 2.0, diameter_mm: 0.5 };
const OCTET: Kind = Kind { unit: UnitCell::Octet, cells: [2, 2, 2], cell_mm: 3.2, diameter_mm: 0.45 };

impl Kind {
    /// Without the struts that lie in the plate.
    fn framework(&self) -> Framework {
        let mut f = Framework::of(self.unit, self.cells, [self.cell_mm; 3], self.diameter_mm);
        f.struts.retain(|s| f.nodes[s.0 as usize].z + f.nodes[s.1 as usize].z > 0.0);
        f
    }

    /// Rods on the plate with a post, so that they have one pose.
    fn on_plate(&self, rods: Vec<Rod>) -> Solid {
        let block =
            |centre: [f64; 3], half: [f64; 3]| Solid::Box { centre: Point3::from(centre), half_mm: Vector3::from(half), rounding_mm: 0.3 };
        Solid::Union(vec![Solid::Rods(Rods::new(rods)), block([4.6, 4.0, -0.5], [5.2, 4.6, 0.6]), block([9.2, 1.2, 1.4], [0.6, 1.4, 2.0])])
    }

    fn bounds(&self) -> Bounds {
        let top = f64::from(self.cells[2]) * self.cell_mm;
        Bounds { min: Point3::new(-1.0, -1.0, -1.5), max: Point3::new(10.3, 9.0, top + 0.7) }
    }

    /// The design as a mesh.
    fn nominal(&self) -> Vec<u8> {
        let fineness = Fineness { cell_mm: 0.1, simplify_mm: Some(0.006) };
        phantom::stl(&surface_mesh(&self.on_plate(self.framework().rods()), &self.bounds(), fineness).unwrap())
    }
}

pub(super) fn struts_json(f: &Framework) -> String {
    let nodes: Vec<String> = f.nodes.iter().map(|p| format!("[{},{},{}]", p.x, p.y, p.z)).collect();
    let struts: Vec<String> = f.struts.iter().map(|(a, b, d)| format!("[{a},{b},{d}]")).collect();
    format!("{{\"nodes\":[{}],\"struts\":[{}]}}", nodes.join(","), struts.join(","))
}

/// An order about a part that is scanned as `a.stl` and designed as `n.stl`; `more` goes on where the actual part is described.
pub(super) fn order_with(more: &str) -> String {
    format!(
        "schema = \"verimetry/order/1\"\n[order]\nid = \"L\"\ndevice = \"Lattice\"\ndevice_id = \"1\"\ndevice_class = \"customised\"\nimplantable = true\n\
         patient = \"P\"\nimage_acquired = \"2026-01-01\"\ndesign_completed = \"2026-01-02\"\n[nominal]\nfile = \"n.stl\"\n[actual]\nfile = \"a.stl\"\n{more}"
    )
}

/// What was put into a part: the state of every strut, and the nodes that were shifted.
struct Seeded {
    states: Vec<&'static str>,
    shifted: [usize; 2],
    built: Vec<Rod>,
    mean_diameter_mm: f64,
}

/// Five struts of each fault and two shifted nodes, anywhere but at each other.
fn seeded(kind: &Kind, draw: u64) -> Seeded {
    let mut f = kind.framework();
    let mut random = support::Random(0x5eed ^ draw << 8);
    let mut pick = |n: usize| (random.unit() * n as f64) as usize;
    let meet = |n: usize| f.struts.iter().filter(|s| s.0 == n as u32 || s.1 == n as u32).count();
    let most = (0..f.nodes.len()).map(meet).max().unwrap();
    let inner: Vec<usize> = (0..f.nodes.len()).filter(|&n| meet(n) == most).collect();
    // Nodes on the plate stay. Both are picked anew until they lie apart: nothing lies apart from the middle of an octet lattice.
    let is_far = |n: usize, m: usize| f.nodes[n].z.min(f.nodes[m].z) > 0.5 && (f.nodes[n] - f.nodes[m]).norm() > 3.0;
    let mut shifted = [0; 2];
    while !is_far(shifted[0], shifted[1]) {
        shifted = [0; 2].map(|_| inner[pick(inner.len())]);
    }
    let mut states = vec!["present"; f.struts.len()];
    for (state, count) in [("missing", 5), ("broken", 5), ("thin", 5)] {
        let mut left = count;
        while left > 0 {
            let s = pick(states.len());
            let (a, b, _) = f.struts[s];
            if states[s] == "present" && !shifted.iter().any(|&n| n as u32 == a || n as u32 == b) {
                states[s] = state;
                left -= 1;
            }
        }
    }
    for (k, &n) in shifted.iter().enumerate() {
        let way = Vector3::from_fn(|a, _| normal(draw, (3 * k + a) as u64 + 77)).normalize();
        f.nodes[n] += way * SHIFT_MM;
    }
    shifted.sort_unstable();
    let (mut built, mut diameters) = (vec![], vec![]);
    for (s, state) in states.iter().enumerate() {
        let rod = f.rod(s);
        let between =
            |from: f64, to: f64| Rod { from: rod.from + (rod.to - rod.from) * from, to: rod.from + (rod.to - rod.from) * to, ..rod };
        match *state {
            "missing" => {}
            "broken" => {
                let (middle, half) = (0.35 + 0.3 * uniform(draw, s as u64), 0.5 * GAP_MM + rod.radius_mm);
                let share = half / (rod.to - rod.from).norm();
                built.extend([between(0.0, middle - share), between(middle + share, 1.0)]);
            }
            "thin" => {
                built.push(Rod { radius_mm: THIN * rod.radius_mm, ..rod });
                diameters.push(THIN * kind.diameter_mm);
            }
            _ => {
                built.push(rod);
                diameters.push(kind.diameter_mm);
            }
        }
    }
    let mean_diameter_mm = diameters.iter().sum::<f64>() / diameters.len() as f64;
    Seeded { states, shifted, built, mean_diameter_mm }
}

/// Anywhere and turned in any way.
fn pose(draw: u64) -> Pose {
    let turn = Vector3::from_fn(|a, _| 2.0 * uniform(draw, 901 + a as u64) - 1.0).normalize() * 3.0 * uniform(draw, 905);
    Pose::from_rotation_vector(turn, Vector3::from_fn(|a, _| 40.0 * uniform(draw, 907 + a as u64)))
}

/// A scan of the part: 0.1 mm voxels, an edge of 0.7 voxel, noise of 1 % of the contrast.
fn scan(folder: &Folder, solid: Solid, b: &Bounds, pose: Pose) -> Source {
    let corners: Vec<Point3<f64>> =
        (0..8).map(|n| pose.apply(&Point3::from([0, 1, 2].map(|a| if n >> a & 1 == 1 { b.max[a] } else { b.min[a] })))).collect();
    let around = Bounds::of(&corners);
    let dims = [0, 1, 2].map(|a| ((around.max[a] - around.min[a]) / 0.1).ceil() as usize + 1);
    folder.scan("scan.mha", &solid.moved(pose), &Grid::aligned(dims, [0.1; 3], around.min).unwrap())
}

/// The column of a table of comma-separated values.
pub(super) fn column<'t>(table: &'t str, name: &str) -> Vec<&'t str> {
    let mut rows = table.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let at = rows.next().unwrap().iter().position(|c| *c == name).unwrap();
    rows.map(|r| r[at]).collect()
}

/// Finds every fault of a draw; how far the mean diameter and the cell are from the truth, in their U.
fn finds_every_fault_and_none_else(kind: &Kind, nominal: &[u8], draw: u64) -> [f64; 4] {
    let (folder, seeded) = (Folder::new(), seeded(kind, draw));
    let actual = scan(&folder, kind.on_plate(seeded.built.clone()), &kind.bounds(), pose(draw));
    let table = folder.0.path().join("struts.csv");
    let designed = Source { scale_uncertainty: 0.0, ..Source::new(folder.file("n.stl", nominal)) };
    let job = Lattice {
        struts: Some(folder.file("struts.json", struts_json(&kind.framework()).as_bytes())),
        tables: LatticeTables { parts: Some(table.clone()), ..LatticeTables::default() },
        ..Lattice::new(designed, actual)
    };
    let m = measure::lattice(&job, &Runtime::cpu()).unwrap();
    let table = std::fs::read_to_string(table).unwrap();
    let found = column(&table, "state");
    let wrong: Vec<_> = (0..found.len()).filter(|&s| found[s] != seeded.states[s]).map(|s| (s, seeded.states[s], found[s])).collect();
    assert!(wrong.is_empty(), "draw {draw}: (strut, seeded, found) {wrong:?}\n{:#?}", m.findings);
    for (name, count) in [("struts", seeded.states.len() as f64), ("missing", 5.0), ("broken", 5.0), ("thin", 5.0)] {
        assert_eq!(m.quantities[&format!("lattice.{name}")].value, Some(count), "draw {draw}");
    }
    let codes: Vec<&str> = m.findings.iter().map(|f| f.code.as_str()).filter(|c| c.starts_with("lattice.")).collect();
    assert_eq!(
        codes,
        ["lattice.missing", "lattice.broken", "lattice.thin", "lattice.shifted_node", "lattice.unit_cell", "lattice.struts"],
        "draw {draw}: {:#?}",
        m.findings
    );
    let told = &m.findings.iter().find(|f| f.code == "lattice.shifted_node").unwrap().message;
    assert!(told.starts_with("2 of ") && seeded.shifted.iter().all(|n| told.contains(&format!(" {n} at "))), "draw {draw}: {told}");
    let truths =
        [("strut_diameter_mean", seeded.mean_diameter_mm), ("cell_a", kind.cell_mm), ("cell_b", kind.cell_mm), ("cell_c", kind.cell_mm)];
    truths.map(|(name, truth)| {
        let q = &m.quantities[&format!("lattice.{name}")];
        let (error, expanded) = (q.value.unwrap() - truth, q.expanded_uncertainty.unwrap());
        // U is two standard uncertainties: one value in twenty lies beyond it, none beyond four.
        assert!(error.abs() < 2.0 * expanded, "draw {draw}: {name} is {error} mm off, U is {expanded} mm");
        error.abs() / expanded
    })
}

#[test]
fn every_seeded_fault_of_a_scanned_lattice_is_found_and_none_is_invented() {
    for (kind, draws) in if long() { [(BODY_CENTRED, 50), (OCTET, 50)] } else { [(BODY_CENTRED, 2), (OCTET, 1)] } {
        let nominal = kind.nominal();
        let off: Vec<f64> = (0..draws).flat_map(|draw| finds_every_fault_and_none_else(&kind, &nominal, draw)).collect();
        let within = off.iter().filter(|x| **x <= 1.0).count();
        eprintln!("{draws} draws of {:?}: {within} of {} values within U", kind.unit, off.len());
        assert!(10 * within >= 9 * off.len(), "{within} of {} values within U", off.len());
    }
}

/// The struts that a mesh of the design shows: on a plate whose face lies a little above the lowest nodes, those in the face are part of
/// the plate, and one that enters it alone ends where its axis does.
fn shown(f: &Framework, plate_top_mm: Option<f64>) -> Vec<Rod> {
    let Some(top) = plate_top_mm else { return f.rods() };
    let stands = |s: usize| f.rod(s).from.z.max(f.rod(s).to.z) > top;
    let alone = |n: u32| (0..f.struts.len()).filter(|&s| stands(s) && [f.struts[s].0, f.struts[s].1].contains(&n)).count() == 1;
    let cut = |s: usize| {
        let (rod, (a, b, _)) = (f.rod(s), f.struts[s]);
        let end =
            |n: u32, p: Point3<f64>, q: Point3<f64>| if p.z < top && alone(n) { p + (q - p) * ((top - p.z) / (q.z - p.z)) } else { p };
        Rod { from: end(a, rod.from, rod.to), to: end(b, rod.to, rod.from), ..rod }
    };
    (0..f.struts.len()).filter(|&s| stands(s)).map(cut).collect()
}

/// Meshes a design, turned, alone or on a plate, and finds its struts.
fn come_back(name: &str, f: &Framework, on_plate: bool, turn: Vector3<f64>) {
    let b = Bounds::of(&f.nodes);
    let top = on_plate.then_some(b.min.z + 0.1);
    let rods = shown(f, top);
    let designed = (0..f.struts.len()).map(|s| f.rod(s)).filter(|r| top.is_none_or(|top| r.from.z.max(r.to.z) > top));
    let mut parts = vec![Solid::Rods(Rods::new(designed.collect()))];
    if let Some(top) = top {
        let half_mm = 0.5 * (b.max - b.min) + Vector3::new(0.5, 0.5, 0.0);
        let (centre, half_mm) = (b.centre(), Vector3::new(half_mm.x, half_mm.y, 0.5));
        parts.push(Solid::Box { centre: Point3::new(centre.x, centre.y, top - 0.5), half_mm, rounding_mm: 0.2 });
    }
    let pose = Pose::from_rotation_vector(turn, turn * 7.0);
    let (low, high) = (b.min - Vector3::new(0.8, 0.8, 1.3), b.max + Vector3::repeat(0.8));
    let corners: Vec<Point3<f64>> =
        (0..8).map(|n| pose.apply(&Point3::from([0, 1, 2].map(|a| if n >> a & 1 == 1 { high[a] } else { low[a] })))).collect();
    let fineness = Fineness { cell_mm: 0.08, simplify_mm: Some(0.004) };
    let mesh = surface_mesh(&Solid::Union(parts).moved(pose), &Bounds::of(&corners), fineness).unwrap();
    let found = extract(&MeshDistance::build(&mesh), &Runtime::cpu()).unwrap();
    let mut used = vec![false; found.struts().len()];
    let (mut worst_node, mut worst_diameter, mut lost) = (0.0_f64, 0.0_f64, vec![]);
    for rod in &rods {
        let (p, q) = (pose.apply(&rod.from), pose.apply(&rod.to));
        let far = |n: usize| {
            let own = found.segment(n);
            let [one, other] = [(own.from, own.to), (own.to, own.from)].map(|(a, b)| (a - p).norm().max((b - q).norm()));
            one.min(other)
        };
        let free = (0..used.len()).filter(|&n| !used[n]).map(|n| (far(n), n));
        let Some((far, n)) = free.filter(|(far, _)| *far < 2.0 * rod.radius_mm).min_by(|a, b| a.0.total_cmp(&b.0)) else {
            lost.push((rod.from, rod.to));
            continue;
        };
        used[n] = true;
        worst_node = worst_node.max(far / rod.radius_mm);
        worst_diameter = worst_diameter.max((0.5 * found.struts()[n].diameter_mm / rod.radius_mm - 1.0).abs());
    }
    let id = format!("{name}, {}, turned by {:.1}", if on_plate { "on a plate" } else { "alone" }, turn.norm());
    eprintln!("{id}: worst node {worst_node:.3} radii, worst diameter {:.2} %", 100.0 * worst_diameter);
    assert!(lost.is_empty(), "{id}: {} lost: {:?}", lost.len(), &lost[..lost.len().min(8)]);
    let more: Vec<_> = (0..used.len()).filter(|n| !used[*n]).map(|n| found.segment(n)).collect();
    assert!(more.is_empty(), "{id}: {} invented: {:?}", more.len(), &more[..more.len().min(8)]);
    assert!(worst_node < 0.2 && worst_diameter < 0.02, "{id}: {worst_node} radii, {worst_diameter}");
}

#[test]
fn the_struts_of_designed_lattices_come_back_from_their_meshes_alone_and_on_plates_in_any_pose() {
    let kinds = [
        ("simple cubic", UnitCell::SimpleCubic, [2, 2, 1], [2.0, 1.8, 2.2], 0.5),
        ("body-centred", UnitCell::BodyCentred, [2, 1, 2], [2.0; 3], 0.4),
        ("octet", UnitCell::Octet, [1, 1, 1], [3.0; 3], 0.4),
        ("diamond", UnitCell::Diamond, [1, 2, 1], [3.0; 3], 0.4),
    ];
    for (n, (name, unit, cells, cell_mm, diameter_mm)) in kinds.into_iter().enumerate() {
        let f = Framework::of(unit, cells, cell_mm, diameter_mm);
        let turns = [Vector3::zeros(), Vector3::new(0.3, -0.7, 0.5), Vector3::new(-1.1, 0.4, 2.0)];
        let all = if long() {
            vec![(false, 0), (true, 0), (false, 1), (true, 1), (false, 2), (true, 2)]
        } else {
            vec![(n % 2 == 1, 0), (true, 1)]
        };
        all.into_iter().for_each(|(on_plate, turn)| come_back(name, &f, on_plate, turns[turn]));
    }
}

/// A lattice of rods as it is meshed, against its own design.
fn meshed(folder: &Folder, f: &Framework, built: Solid, actual: impl Fn(&Mesh) -> Mesh) -> Measurement {
    let b = Bounds::of(&f.nodes);
    let bounds = Bounds { min: b.min - Vector3::repeat(0.6), max: b.max + Vector3::repeat(0.6) };
    let fineness = Fineness { cell_mm: 0.08, simplify_mm: None };
    let mesh = |solid: &Solid| surface_mesh(solid, &bounds, fineness).unwrap();
    let (nominal, actual) = (folder.mesh("n.stl", &mesh(&Solid::Rods(Rods::new(f.rods())))), folder.mesh("a.stl", &actual(&mesh(&built))));
    let job = Lattice {
        align: AlignmentMethod::None,
        struts: Some(folder.file("struts.json", struts_json(f).as_bytes())),
        tables: LatticeTables { residue: Some(folder.0.path().join("residue.csv")), ..LatticeTables::default() },
        map: Some(folder.0.path().join("map.ply")),
        ..Lattice::new(nominal, actual)
    };
    measure::lattice(&job, &Runtime::cpu()).unwrap()
}

#[test]
fn residue_and_a_blocked_window_are_told_with_their_places() {
    let folder = Folder::new();
    let f = Framework::of(UnitCell::SimpleCubic, [2, 2, 1], [2.0; 3], 0.4);
    let drop = Solid::Ball { centre: Point3::new(1.0, 1.1, 0.9), radius_mm: 0.3 };
    let film = Solid::Box { centre: Point3::new(3.0, 1.0, 2.0), half_mm: Vector3::new(0.95, 0.95, 0.15), rounding_mm: 0.1 };
    let built = Solid::Union(vec![Solid::Rods(Rods::new(f.rods())), drop, film]);
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| meshed(&folder, &f, built.clone(), Mesh::clone))
    };
    let (m, again) = (of(1), of(5));
    assert_eq!((&m.quantities, &m.findings), (&again.quantities, &again.findings));
    let told = |code: &str| m.findings.iter().find(|f| f.code == code).map_or_else(|| panic!("{:#?}", m.findings), |f| f.message.clone());
    let residue = told("lattice.residue");
    assert!(residue.starts_with("2 bodies") && residue.contains("mm³ at (1.00, 1.1"), "{residue}");
    assert!(told("lattice.blocked_window").contains("1 of 20 windows between struts are blocked; the first are about (3.00, 1.00, 2.00)"));
    assert!(told("lattice.unit_cell").ends_with("its unit cell is simple cubic"));

    let table = std::fs::read_to_string(folder.0.path().join("residue.csv")).unwrap();
    let (kind, blocked) = (column(&table, "kind"), column(&table, "blocked"));
    let number = |name: &str| column(&table, name).iter().map(|x| x.parse().unwrap_or(f64::NAN)).collect::<Vec<f64>>();
    let [x, y, z, volume] = ["x_mm", "y_mm", "z_mm", "volume_mm3"].map(number);
    let [designed, free] = ["designed_free_diameter_mm", "free_diameter_mm"].map(number);
    assert_eq!(kind, [vec!["body"; 2], vec!["window"; 20]].concat());
    // Of the film what is away from struts, of the drop all but the clearance: a ball of 0.3 mm has 0.113 mm³.
    assert!(volume[0] > volume[1] && (volume[1] / 0.113 - 1.0).abs() < 0.1, "{volume:?}");
    for n in 2..22 {
        // Facets of 0.08 mm lie within 0.08² / 8R of struts, which leave 2 mm - 0.4 mm free.
        let facet = 0.08 * 0.08 / (8.0 * 0.2);
        assert!(designed[n] > 1.6 - facet && designed[n] < 1.6 + 2.0 * facet, "{}", designed[n]);
        let film = (x[n], y[n], z[n]) == (3.0, 1.0, 2.0);
        assert_eq!(blocked[n] == "true", film);
        // The drop lies 0.7 mm from the middle of the windows beside it.
        let beside_drop = Vector3::new(x[n] - 1.0, y[n] - 1.1, z[n] - 0.9).norm() - 0.3;
        let truth = if film { 0.0 } else { 2.0 * beside_drop.min(0.8) };
        assert!(
            free[n] > truth - facet && (film || beside_drop < 0.8 || free[n] < truth + 2.0 * facet),
            "window {n}: {} of {truth}",
            free[n]
        );
        assert!(!film || free[n] == 0.0);
    }
}

#[test]
fn a_plate_in_one_ring_of_a_diamond_lattice_blocks_this_window_and_no_other() {
    let folder = Folder::new();
    let f = Framework::of(UnitCell::Diamond, [2; 3], [3.0; 3], 0.4);
    // Rings of six lie about the places that are halves of a cell away from the middles of struts, across the cube's diagonals.
    let middle = Vector3::repeat(0.625 * 3.0);
    let up = nalgebra::UnitQuaternion::rotation_between(&Vector3::z(), &Vector3::repeat(1.0)).unwrap();
    let plate = Solid::Box { centre: Point3::origin(), half_mm: Vector3::new(0.85, 0.85, 0.25), rounding_mm: 0.05 };
    let plate = plate.moved(Pose::from_rotation_vector(up.scaled_axis(), middle));
    let m = meshed(&folder, &f, Solid::Union(vec![Solid::Rods(Rods::new(f.rods())), plate]), Mesh::clone);
    let table = std::fs::read_to_string(folder.0.path().join("residue.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|l| l.split(',').collect()).collect();
    let windows: Vec<&Vec<&str>> = rows.iter().filter(|r| r[0] == "window").collect();
    let blocked: Vec<&&Vec<&str>> = windows.iter().filter(|r| r[10] == "true").collect();
    assert!(windows.iter().all(|r| r[6] == "6") && blocked.len() == 1, "{blocked:?}");
    assert!([2, 3, 4].iter().all(|&c| (blocked[0][c].parse::<f64>().unwrap() - middle.x).abs() < 1e-9), "{blocked:?}");
    // A ball in the middle touches the middles of the six struts, a quarter of a face's diagonal away; facets lie within 0.08² / 8R of them.
    let truth = 2.0 * (2.0_f64.sqrt() / 4.0 * 3.0 - 0.2);
    for window in &windows {
        let designed: f64 = window[8].parse().unwrap();
        assert!(designed > truth - 0.08 * 0.08 / (8.0 * 0.2), "{designed} of {truth}");
    }
    let told = |code: &str| m.findings.iter().find(|f| f.code == code).map_or_else(|| panic!("{:#?}", m.findings), |f| f.message.clone());
    assert!(told("lattice.blocked_window").starts_with(&format!("1 of {} windows", windows.len())));
    assert!(told("lattice.struts").contains(&format!("; {} windows were looked at", windows.len())));
}

#[test]
fn a_lattice_printed_too_large_has_larger_cells_and_diameters_of_closed_form() {
    let folder = Folder::new();
    let f = Framework::of(UnitCell::BodyCentred, [3, 2, 2], [2.0, 2.2, 1.8], 0.5);
    let factors = Vector3::new(1.01, 1.02, 0.99);
    let larger = |m: &Mesh| alter::scaled_per_axis(m, factors, Point3::new(3.0, 2.2, 1.8)).unwrap();
    let m = meshed(&folder, &f, Solid::Rods(Rods::new(f.rods())).offset(0.02), larger);
    ["missing", "broken", "thin"].into_iter().for_each(|name| covers(&m, &format!("lattice.{name}"), 0.0));
    // Facets of 0.08 mm lie within 0.08² / 8R of their rod, so no centre is farther off.
    for (axis, truth) in [("a", 2.0 * 1.01), ("b", 2.2 * 1.02), ("c", 1.8 * 0.99)] {
        let found = m.quantities[&format!("lattice.cell_{axis}")].value.unwrap();
        assert!((found - truth).abs() < 0.08 * 0.08 / (8.0 * 0.27), "cell_{axis}: {found}, truth {truth}");
    }
    // A circle stretched by different factors across is an ellipse; between the smallest and largest factor, and facets cut off up to 1 %.
    let diameter = m.quantities["lattice.strut_diameter_mean"].value.unwrap();
    assert!((0.99 * 0.54 * 0.99..1.02 * 0.54).contains(&diameter), "{diameter}");
}

#[test]
fn an_order_about_struts_is_judged_with_their_table_and_map_as_evidence() {
    let folder = Folder::new();
    let f = Framework::of(UnitCell::SimpleCubic, [1, 1, 1], [2.0; 3], 0.4);
    let bounds = Bounds { min: Point3::from([-0.6; 3]), max: Point3::from([2.6; 3]) };
    let mesh = |rods: Vec<Rod>| {
        let solid = Solid::Rods(Rods::new(rods));
        phantom::stl(&surface_mesh(&solid, &bounds, Fineness { cell_mm: 0.08, simplify_mm: None }).unwrap())
    };
    let missing: Vec<Rod> = f.rods().into_iter().enumerate().filter(|(s, _)| *s != 5).map(|(_, r)| r).collect();
    folder.file("n.stl", &mesh(f.rods()));
    folder.file("a.stl", &mesh(missing));
    folder.file("struts.json", struts_json(&f).as_bytes());
    let order = |lattice: &str| {
        order_with(&format!(
            "point_uncertainty = 0.001\n[alignment]\nmethod = \"none\"\n{lattice}[[requirement]]\nid = \"R\"\nclause = \"8.3.2.2 b)\"\n\
             quantity = \"lattice.missing\"\nmax = 0\n"
        ))
    };
    let judged = |name: &str, lattice: &str| {
        let path = folder.file(name, order(lattice).as_bytes());
        let stamp = Stamp { id: "L".into(), issued: "2026-01-03T00:00:00Z".into(), source_revision: String::new(), predecessor: None };
        judge(&path, stamp, &Runtime::cpu()).unwrap()
    };
    let (listed, found) = (judged("listed.toml", "[lattice]\nstruts = \"struts.json\"\n"), judged("found.toml", ""));
    for j in [&listed, &found] {
        let line = &j.payload.results[0];
        assert_eq!((line.value, line.decision), (Some(1.0), Decision::DoesNotConform), "{line:#?}");
        let file = |name: &str| j.evidence.iter().find(|e| e.name == name).unwrap_or_else(|| panic!("{name}"));
        let table = std::str::from_utf8(&file("lattice_struts.csv").bytes).unwrap();
        let rows = |name: &str| std::str::from_utf8(&file(name).bytes).unwrap().lines().count();
        assert_eq!((rows("lattice_nodes.csv"), rows("lattice_residue.csv")), (9, 7)); // eight corners, six faces
        let tables = ["lattice_struts.csv", "lattice_nodes.csv", "lattice_residue.csv", "lattice_map.ply"];
        assert_eq!(line.evidence, tables);
        assert_eq!(column(table, "state").iter().filter(|s| **s == "missing").count(), 1);
        assert!(file("lattice_views.png").bytes.starts_with(b"\x89PNG") && file("lattice_map.ply").bytes.starts_with(b"ply"));
        assert!(j.payload.findings.iter().any(|f| f.code == "lattice.missing"));
    }
    assert!(listed.payload.inputs.iter().any(|i| i.role == "struts" && i.name == "struts.json"));
}
