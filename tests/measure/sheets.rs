//! `lattice` against sheet lattices whose period, thickness and holes are known.

use rayon::prelude::*;
use verimetry_engine::judge::judge;
use verimetry_engine::judgement::{Decision, Stamp};
use verimetry_engine::measure::{Lattice, LatticeTables, RegionRef};
use verimetry_engine::noise::{normal, uniform};
use verimetry_engine::phantom::sheets::{Minimal, Sheet};
use verimetry_engine::phantom::{Fineness, surface_mesh};
use verimetry_engine::volume::{Rescale, Volume};

use super::lattice::order_with;
use super::*;

/// Walls in a cube on a plate with a post, so that the part has one pose.
#[derive(Clone, Copy)]
struct Kind {
    sheet: Sheet,
    /// By how much the walls repeat, mm.
    period_mm: f64,
    name: &'static str,
}

const SIDE_MM: f64 = 9.0;

const KINDS: [Kind; 3] = [
    Kind { sheet: Sheet { surface: Minimal::Gyroid, cell_mm: 3.0, thickness_mm: 0.4 }, period_mm: 3.0, name: "gyroid" },
    Kind { sheet: Sheet { surface: Minimal::SchwarzP, cell_mm: 3.0, thickness_mm: 0.4 }, period_mm: 3.0, name: "Schwarz P" },
    Kind { sheet: Sheet { surface: Minimal::SchwarzD, cell_mm: 5.0, thickness_mm: 0.4 }, period_mm: 2.5, name: "Schwarz D" },
];

/// A round hole through a wall.
#[derive(Clone, Copy, Debug)]
struct Hole {
    middle: Point3<f64>,
    across: Vector3<f64>,
    radius_mm: f64,
}

fn block(low: [f64; 3], high: [f64; 3], rounding_mm: f64) -> Solid {
    let (low, high) = (Point3::from(low), Point3::from(high));
    Solid::Box { centre: nalgebra::center(&low, &high), half_mm: (high - low) / 2.0, rounding_mm }
}

impl Kind {
    fn walls(&self) -> Solid {
        Solid::Common { of: vec![Solid::Sheet(self.sheet), block([0.0; 3], [SIDE_MM; 3], 0.1)], width_mm: 0.12 }
    }

    fn on_plate(&self, walls: Solid) -> Solid {
        // The post stands clear of the walls: of a slot no wider than a voxel nominal and scan need not tell the same.
        let plate = block([-0.6, -0.6, -0.9], [SIDE_MM + 1.5, SIDE_MM + 0.6, 0.2], 0.3);
        let post = block([SIDE_MM + 0.4, 0.4, -0.6], [SIDE_MM + 1.4, 3.0, 3.0], 0.3);
        Solid::Blend { of: vec![walls, plate, post], width_mm: 0.15 }
    }

    fn bounds(&self) -> Bounds {
        Bounds { min: Point3::new(-1.1, -1.1, -1.4), max: Point3::new(SIDE_MM + 1.8, SIDE_MM + 1.1, SIDE_MM + 0.5) }
    }

    fn nominal(&self) -> Vec<u8> {
        let fineness = Fineness { cell_mm: 0.14, simplify_mm: None };
        phantom::stl(&surface_mesh(&self.on_plate(self.walls()), &self.bounds(), fineness).unwrap())
    }

    /// Holes of 0.4 to 0.6 mm, anywhere in the walls but at each other and at their edges.
    fn holes(&self, draw: u64, count: usize) -> Vec<Hole> {
        let wall = Solid::Sheet(Sheet { thickness_mm: 0.0, ..self.sheet });
        let mut found: Vec<Hole> = vec![];
        for n in 0.. {
            if found.len() == count {
                break;
            }
            let start = Point3::from([0, 1, 2].map(|a| 1.6 + (SIDE_MM - 3.2) * uniform(draw, 10 * n + a)));
            // The distance to the middle has no sign: a step along its gradient leads there.
            let distance = wall.distance_mm(&start);
            let gradient = wall.gradient(&start);
            let (middle, far) = (start - gradient * distance, wall.distance_mm(&(start - gradient * distance)));
            let apart = |h: &Hole| (h.middle - middle).norm() > 2.0;
            if distance > 0.05 && distance < 0.2 && far < 0.002 && found.iter().all(apart) {
                found.push(Hole { middle, across: gradient.normalize(), radius_mm: 0.2 + 0.1 * uniform(draw, 10 * n + 7) });
            }
        }
        found
    }

    fn with(&self, holes: &[Hole]) -> Solid {
        let reach = 0.9 * self.sheet.thickness_mm;
        let cut = |h: &Hole| Solid::Cylinder { from: h.middle - h.across * reach, to: h.middle + h.across * reach, radius_mm: h.radius_mm };
        self.on_plate(self.walls().without(Solid::Union(holes.iter().map(cut).collect()), 0.0))
    }
}

fn pose(draw: u64) -> Pose {
    if draw == 0 {
        return Pose::identity();
    }
    let turn = Vector3::from_fn(|a, _| 2.0 * uniform(draw, 901 + a as u64) - 1.0).normalize() * 3.0 * uniform(draw, 905);
    Pose::from_rotation_vector(turn, Vector3::from_fn(|a, _| 40.0 * normal(draw, 907 + a as u64)))
}

/// A scan of 0.1 mm voxels, an edge of 0.7 voxel, noise of 1 % of the contrast. In short runs every place has the edge of a plane at its distance,
/// in long ones the blur of the solid.
fn scan(folder: &Folder, solid: Solid, b: &Bounds, pose: Pose, draw: u64) -> Source {
    let corner = |n: usize| pose.apply(&Point3::from([0, 1, 2].map(|a| if n >> a & 1 == 1 { b.max[a] } else { b.min[a] })));
    let corners: Vec<Point3<f64>> = (0..8).map(corner).collect();
    let around = Bounds::of(&corners);
    let dims = [0, 1, 2].map(|a| ((around.max[a] - around.min[a]) / 0.1).ceil() as usize + 1);
    let grid = Grid::aligned(dims, [0.1; 3], around.min).unwrap();
    if long() {
        return folder.scan("scan.mha", &solid.moved(pose), &grid);
    }
    let back = pose.inverse();
    let grey = |n: usize| {
        let at = Point3::new((n % dims[0]) as f64, (n / dims[0] % dims[1]) as f64, (n / (dims[0] * dims[1])) as f64);
        let share = 0.5 * libm::erfc(solid.distance_mm(&back.apply(&grid.physical(&at))) / (0.07 * std::f64::consts::SQRT_2));
        (1000.0 + 20_000.0 * share + 200.0 * normal(draw, n as u64)).round() as u16
    };
    let volume = Volume::new(grid, Rescale::IDENTITY, (0..grid.voxels()).into_par_iter().map(grey).collect()).unwrap();
    Source { scale_uncertainty: 0.0, ..Source::new(folder.file("scan.mha", &phantom::metaimage(&volume))) }
}

/// Rows of a table of comma-separated values by their columns.
fn rows(table: &str) -> Vec<std::collections::BTreeMap<&str, &str>> {
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    lines.map(|l| names.iter().copied().zip(l.split(',')).collect()).collect()
}

/// An order about a part with a region clear of the plate and of the walls' edges.
fn order(alignment: &str, [low, high]: [f64; 2]) -> String {
    order_with(&format!(
        "point_uncertainty = 0.001\n[alignment]\nmethod = \"{alignment}\"\n[[region]]\nname = \"inner\"\n\
         shape = {{ box = {{ min = [{low:.1}, {low:.1}, {low:.1}], max = [{high:.1}, {high:.1}, {high:.1}] }} }}\n\
         [[requirement]]\nid = \"R\"\nclause = \"8.3.2.2 b)\"\nquantity = \"lattice.wall_breaks\"\nregion = \"inner\"\nmax = 0\n\
         [[requirement]]\nid = \"S\"\nclause = \"8.3.2.2 b)\"\nquantity = \"lattice.cell_a\"\nmin = 2.9\nmax = 3.1\n"
    ))
}

fn codes(m: &Measurement) -> Vec<&str> {
    m.findings.iter().map(|f| f.code.as_str()).filter(|c| c.starts_with("lattice.")).collect()
}

/// By how much round holes of a width may come out narrower and wider in the mean.
///
/// Blur of σ moves the hollow rim of radius R by `σ² / 2R` into the hole. What the surface takes back for its curvature is that of a patch as
/// wide as the rim, half a torus about a wall of thickness t: `σ² (2/t - 1/R) / 2`, the wrong way. Together `σ² / t` a side. Chords of the
/// facets (of 0.1 mm at most) add a twelfth of `s² / R`. The rim runs through sites of 0.1 mm, in which it lies anywhere: three standard
/// deviations of their sum. Walls curved by -K = 2.5 / mm² at most have `1 - K R² / 4` times the area of a plane.
fn narrower_and_wider_mm(width: f64, thickness: f64, holes: usize) -> [f64; 2] {
    let (sigma, side, radius) = (0.07, 0.1, 0.5 * width);
    let shift = 2.0 * sigma * sigma / thickness + side * side / (6.0 * radius);
    let sites = (std::f64::consts::TAU * radius / side / 12.0).sqrt() * side * side / (std::f64::consts::PI * radius);
    let scatter = 3.0 * sites / (holes as f64).sqrt();
    [shift + scatter, scatter + width * 2.5 * radius * radius / 8.0]
}

/// Finds every hole of a draw and none else, by so much wider than they are; how far cells and thickness are from the truth, in their U.
fn finds_every_hole_and_none_else(kind: &Kind, nominal: &[u8], draw: u64, wider_mm: &mut Vec<f64>) -> Vec<f64> {
    let (folder, holes) = (Folder::new(), kind.holes(draw, 4));
    let factor = if draw.is_multiple_of(2) { 1.005 } else { 0.995 };
    let actual = scan(&folder, kind.with(&holes).scaled(Vector3::repeat(factor)), &kind.bounds(), pose(draw), draw);
    let table = folder.0.path().join("cells.csv");
    let designed = Source { scale_uncertainty: 0.0, ..Source::new(folder.file("n.stl", nominal)) };
    let job = Lattice {
        tables: LatticeTables { parts: Some(table.clone()), ..LatticeTables::default() },
        region: Some(RegionRef { order_file: &folder.file("o.toml", order("best-fit", [1.0, SIDE_MM - 0.6]).as_bytes()), name: "inner" }),
        ..Lattice::new(designed, actual)
    };
    let m = measure::lattice(&job, &Runtime::cpu()).unwrap();
    let id = format!("{}, draw {draw}", kind.name);
    assert_eq!(codes(&m), ["lattice.wall_break", "lattice.unit_cell", "lattice.walls"], "{id}: {:#?}", m.findings);
    let told = |code: &str| m.findings.iter().find(|f| f.code == code).unwrap().message.clone();
    assert!(told("lattice.unit_cell").contains(&format!("its unit cell is {}", kind.name)), "{id}: {}", told("lattice.unit_cell"));
    assert!(told("lattice.wall_break").starts_with("4 holes"), "{id}: {}", told("lattice.wall_break"));
    let table = std::fs::read_to_string(table).unwrap();
    let number = |row: &std::collections::BTreeMap<&str, &str>, name: &str| row[name].parse::<f64>().unwrap();
    let thickness = kind.sheet.thickness_mm * factor;
    let found: Vec<(Point3<f64>, f64)> = (rows(&table).iter().filter(|r| r["state"] == "broken"))
        .map(|r| (Point3::from(["x", "y", "z"].map(|a| number(r, &format!("hole_{a}_mm")))), number(r, "hole_diameter_mm")))
        .collect();
    // A cell names its largest hole, which lies within a voxel.
    for (place, diameter) in &found {
        let near = |h: &&Hole| (h.middle * factor - place).norm();
        let hole = holes.iter().min_by(|a, b| near(a).total_cmp(&near(b))).unwrap();
        assert!(near(&hole) < 0.15, "{id}: a hole at {place:?}, {} mm off", near(&hole));
        let width = 2.0 * hole.radius_mm * factor;
        eprintln!("{id}: a hole of {width:.3} mm found {diameter:.3} mm wide, {:.3} mm off", near(&hole));
        let allowed = narrower_and_wider_mm(width, thickness, 1);
        assert!((width - allowed[0]..width + allowed[1]).contains(diameter), "{id}: a hole of {width} mm, found {diameter} mm wide");
        wider_mm.push(diameter - width);
    }
    let broken: u32 = rows(&table).iter().map(|r| r["holes"].parse::<u32>().unwrap()).sum();
    assert!(broken == 4 && !found.is_empty(), "{id}: {broken} holes in the table");
    assert_eq!(m.quantities["lattice.wall_breaks"].value, Some(4.0), "{id}");
    let cell = kind.period_mm * factor;
    let truths = [
        ("lattice.cell_a", cell),
        ("lattice.cell_b", cell),
        ("lattice.cell_c", cell),
        ("wall.thickness_mean", thickness),
        ("wall.thickness_d50", thickness),
    ];
    let off = |(name, truth): (&str, f64)| {
        let q = &m.quantities[name];
        let (value, expanded) = (q.value.unwrap_or_else(|| panic!("{id}: {name}: {:?}", q.reason)), q.expanded_uncertainty.unwrap());
        eprintln!("{id}: {name} {value:.6} ± {expanded:.6}, truth {truth:.6}");
        // U is two standard uncertainties: one value in twenty lies beyond it, none beyond four.
        assert!((value - truth).abs() < 2.0 * expanded, "{id}: {name} is {} mm off, U is {expanded} mm", value - truth);
        (value - truth).abs() / expanded
    };
    truths.map(off).to_vec()
}

#[test]
fn every_seeded_hole_of_a_scanned_sheet_is_found_and_none_is_invented() {
    let (draws, kinds) = if long() { (8, vec![0, 1, 2]) } else { (1, vec![0, 2]) };
    let (mut off, mut wider_mm) = (vec![], vec![]);
    for n in kinds {
        let kind = &KINDS[n];
        let nominal = kind.nominal();
        off.extend(
            (0..draws).flat_map(|draw| finds_every_hole_and_none_else(kind, &nominal, draw * KINDS.len() as u64 + n as u64, &mut wider_mm)),
        );
    }
    let within = off.iter().filter(|x| **x <= 1.0).count();
    assert!(10 * within >= 8 * off.len(), "{within} of {} values within U: {off:?}", off.len());
    let mean = wider_mm.iter().sum::<f64>() / wider_mm.len() as f64;
    eprintln!("{} holes come out wider by {mean:.4} mm in the mean", wider_mm.len());
    let allowed = narrower_and_wider_mm(0.5, 0.4, wider_mm.len());
    assert!((-allowed[0]..allowed[1]).contains(&mean), "holes come out wider by {mean} mm in the mean: {wider_mm:?}");
}

/// Two cells of walls without a plate, as the design and as built with a hole through a wall and a drop in a channel.
fn meshed() -> [(&'static str, Solid); 2] {
    let sheet = Sheet { surface: Minimal::SchwarzP, cell_mm: 3.0, thickness_mm: 0.4 };
    let cube = block([0.0; 3], [6.0; 3], 0.1);
    let design = Solid::Common { of: vec![Solid::Sheet(sheet), cube], width_mm: 0.12 };
    // Walls of Schwarz's P run through the middles between its channels' crossings at whole and half cells.
    let at = Point3::new(2.25, 2.25, 2.25);
    let across = Vector3::repeat(1.0).normalize();
    let hole = Solid::Capsule { from: at - across * 0.3, to: at + across * 0.3, radius_mm: 0.3 };
    let drop = Solid::Ball { centre: Point3::new(4.5, 4.5, 4.5), radius_mm: 0.4 };
    let built = Solid::Union(vec![design.clone().without(hole, 0.0), drop]);
    [("n.stl", design), ("a.stl", built)]
}

fn mesh_of(solid: &Solid) -> Mesh {
    let bounds = Bounds { min: Point3::from([-0.5; 3]), max: Point3::from([6.5; 3]) };
    surface_mesh(solid, &bounds, Fineness { cell_mm: 0.14, simplify_mm: None }).unwrap()
}

#[test]
fn walls_beyond_the_image_are_neither_missing_nor_broken() {
    let folder = Folder::new();
    let [(_, design), (_, built)] = meshed();
    // The image ends at x = 3.6 of 6 mm, before the drop.
    let grid = Grid::aligned([42, 70, 70], [0.1; 3], Point3::from([-0.5, -0.45, -0.45])).unwrap();
    let (designed, actual) = (folder.mesh("n.stl", &mesh_of(&design)), folder.scan("part.mha", &built, &grid));
    let job = Lattice { align: AlignmentMethod::None, ..Lattice::new(designed, actual) };
    let m = measure::lattice(&job, &Runtime::cpu()).unwrap();
    assert_eq!(codes(&m), ["lattice.wall_break", "lattice.unit_cell", "lattice.walls", "lattice.unmeasured"], "{:#?}", m.findings);
    let told = &m.findings.iter().find(|f| f.code == "lattice.unmeasured").unwrap().message;
    let share: f64 = told.split(' ').next().unwrap().parse().unwrap();
    // Sites whose wall, half a wall to either side, ends before the last voxel but one; they stand for up to 0.1 mm to either side.
    let (least, most) = (1.0 - 3.5 / 6.0, 1.0 - (3.5 - 0.2) / 6.0);
    assert!((least - 0.02..most + 0.02).contains(&(0.01 * share)), "{told}");
    assert_eq!(m.quantities["lattice.wall_breaks"].value, Some(1.0));
    assert!(m.quantities["lattice.wall_breaks"].expanded_uncertainty.is_some_and(|u| u > 1.0));
}

#[test]
fn the_places_on_walls_are_refused_by_a_budget_too_small_for_them() {
    let folder = Folder::new();
    let [nominal, actual] = meshed().map(|(name, solid)| folder.mesh(name, &mesh_of(&solid)));
    let job = Lattice { align: AlignmentMethod::None, ..Lattice::new(nominal, actual) };
    // A MiB beside the program: half a place on each of some 30 000 facets takes as much.
    let rt = Runtime::cpu().memory_budget(Some(Runtime::overhead_bytes() + (1 << 20)));
    let refused = measure::lattice(&job, &rt).unwrap_err();
    assert_eq!(refused.code, "memory.budget", "{refused}");
    assert!(refused.message.starts_with("with the places on the walls "), "{refused}");
}

#[test]
fn a_hole_and_a_drop_are_told_with_their_places_on_any_number_of_threads_and_judged_with_their_evidence() {
    let folder = Folder::new();
    let [nominal, actual] = meshed().map(|(name, solid)| folder.mesh(name, &mesh_of(&solid)));
    let map = folder.0.path().join("map.ply");
    let of = |threads| {
        let job = Lattice { align: AlignmentMethod::None, map: Some(map.clone()), ..Lattice::new(nominal.clone(), actual.clone()) };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| measure::lattice(&job, &Runtime::cpu()).unwrap())
    };
    let (m, again) = (of(1), of(5));
    assert_eq!((&m.quantities, &m.findings), (&again.quantities, &again.findings));
    assert_eq!(codes(&m), ["lattice.wall_break", "lattice.residue", "lattice.unit_cell", "lattice.walls"], "{:#?}", m.findings);
    let told = |code: &str| m.findings.iter().find(|f| f.code == code).unwrap().message.clone();
    eprintln!("{}\n{}\n{}", told("lattice.wall_break"), told("lattice.residue"), told("lattice.walls"));
    assert!(told("lattice.residue").starts_with("1 bodies") && told("lattice.residue").contains("at (4.5"), "{}", told("lattice.residue"));
    assert!(told("lattice.unit_cell").contains("its unit cell is Schwarz P"), "{}", told("lattice.unit_cell"));
    // The hole is round, so its width is that of the cylinder.
    let wide: f64 = told("lattice.wall_break").split("are ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((wide - 0.6).abs() < 0.06, "{}", told("lattice.wall_break"));
    ["a", "b", "c"].into_iter().for_each(|axis| {
        let q = &m.quantities[&format!("lattice.cell_{axis}")];
        assert!((q.value.unwrap() - 3.0).abs() < 3e-4, "{q:?}");
    });
    assert_eq!(m.quantities["lattice.wall_breaks"].value, Some(1.0));
    assert!(m.quantities["lattice.struts"].reason.as_ref().is_some_and(|r| r.contains("sheet lattice")));
    // What is open shows the whole thickness in the map.
    let map = verimetry_engine::io::load_mesh(&map).unwrap();
    let (field, at) = (&map.fields[0], Point3::from([2.25; 3]));
    assert_eq!(field.name, "thickness_deviation_mm");
    for (value, p) in field.values.iter().zip(map.mesh.vertices()) {
        let far = (p - at).norm();
        assert!(far > 0.25 || (value + 0.4).abs() < 0.03, "{value} at {p:?}");
    }

    let path = folder.file("o.toml", order("none", [0.3, 5.7]).as_bytes());
    let stamp = Stamp { id: "L".into(), issued: "2026-01-03T00:00:00Z".into(), source_revision: String::new(), predecessor: None };
    let judged = judge(&path, stamp, &Runtime::cpu()).unwrap();
    let [breaks, cell] = judged.payload.results.as_slice() else { panic!() };
    assert_eq!(
        (breaks.value, breaks.decision, cell.decision),
        (Some(1.0), Decision::DoesNotConform, Decision::Conforms),
        "{breaks:#?} {cell:#?}"
    );
    assert_eq!(breaks.evidence, ["lattice_cells.csv", "lattice_residue.csv", "lattice_map.ply"]);
    let file = |name: &str| &judged.evidence.iter().find(|e| e.name == name).unwrap_or_else(|| panic!("{name}")).bytes;
    let table = rows(std::str::from_utf8(file("lattice_cells.csv")).unwrap()).len();
    assert!(table >= 8 && file("lattice_views.png").starts_with(b"\x89PNG"), "{table} cells");
    assert!(judged.payload.findings.iter().any(|f| f.code == "lattice.wall_break"));
}
