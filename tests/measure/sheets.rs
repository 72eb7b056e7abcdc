//! `lattice` against sheet lattices whose period, thickness and holes are known.

use verimetry_engine::lattice::FaultLimits;
use verimetry_engine::measure::Lattice;
use verimetry_engine::noise::{normal, uniform};
use verimetry_engine::phantom::sheets::{Minimal, Sheet};
use verimetry_engine::phantom::{Fineness, surface_mesh};

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
        let plate = block([-0.6, -0.6, -0.9], [SIDE_MM + 0.6, SIDE_MM + 0.6, 0.2], 0.3);
        let post = block([SIDE_MM + 0.1, 0.4, -0.6], [SIDE_MM + 1.3, 3.0, 3.0], 0.3);
        Solid::Blend { of: vec![walls, plate, post], width_mm: 0.15 }
    }

    fn bounds(&self) -> Bounds {
        Bounds { min: Point3::new(-1.1, -1.1, -1.4), max: Point3::new(SIDE_MM + 1.8, SIDE_MM + 1.1, SIDE_MM + 0.5) }
    }

    fn nominal(&self) -> Vec<u8> {
        let fineness = Fineness { cell_mm: 0.12, simplify_mm: None };
        phantom::stl(&surface_mesh(&self.on_plate(self.walls()), &self.bounds(), fineness).unwrap().mesh)
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

fn long() -> bool {
    std::env::var("VERIMETRY_LONG").is_ok_and(|v| v == "1")
}

fn pose(draw: u64) -> Pose {
    if draw == 0 {
        return Pose::identity();
    }
    let turn = Vector3::from_fn(|a, _| 2.0 * uniform(draw, 901 + a as u64) - 1.0).normalize() * 3.0 * uniform(draw, 905);
    Pose::from_rotation_vector(turn, Vector3::from_fn(|a, _| 40.0 * normal(draw, 907 + a as u64)))
}

/// A scan of 0.1 mm voxels, an edge of 0.7 voxel, noise of 1 % of the contrast.
fn scan(folder: &Folder, solid: Solid, b: &Bounds, pose: Pose) -> Source {
    let corner = |n: usize| pose.apply(&Point3::from([0, 1, 2].map(|a| if n >> a & 1 == 1 { b.max[a] } else { b.min[a] })));
    let corners: Vec<Point3<f64>> = (0..8).map(corner).collect();
    let around = Bounds::of(&corners);
    let dims = [0, 1, 2].map(|a| ((around.max[a] - around.min[a]) / 0.1).ceil() as usize + 1);
    folder.scan("scan.mha", &solid.moved(pose), &Grid::aligned(dims, [0.1; 3], around.min).unwrap())
}

/// Rows of a table of comma-separated values by their columns.
fn rows(table: &str) -> Vec<std::collections::BTreeMap<&str, &str>> {
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    lines.map(|l| names.iter().copied().zip(l.split(',')).collect()).collect()
}

/// Finds every hole of a draw and none else; how far cells and thickness are from the truth, in their U.
fn finds_every_hole_and_none_else(kind: &Kind, nominal: &[u8], draw: u64) -> Vec<f64> {
    let (folder, holes) = (Folder::new(), kind.holes(draw, 4));
    let factor = if draw % 2 == 0 { 1.005 } else { 0.995 };
    let built = kind.with(&holes).scaled(Vector3::repeat(factor));
    let b = kind.bounds();
    let actual = scan(&folder, built, &b, pose(draw));
    let table = folder.0.path().join("cells.csv");
    // Clear of the plate and of the walls' edges.
    let inner = Region::Box { min: Point3::from([1.0; 3]), max: Point3::from([SIDE_MM - 0.6; 3]) };
    let _ = inner;
    let job = Lattice {
        nominal: Source { scale_uncertainty: 0.0, ..Source::new(folder.file("n.stl", nominal)) },
        actual,
        align: AlignmentMethod::BestFit,
        datums: None,
        struts: None,
        limits: FaultLimits::default(),
        table: Some(table.clone()),
        map: None,
        region: None,
    };
    let m = measure::lattice(&job, &Runtime::cpu()).unwrap();
    eprintln!("{} draw {draw}: {:#?} {:?} {:#?}", kind.name, m.findings, m.seconds, m.quantities);
    let table = std::fs::read_to_string(table).unwrap();
    for row in rows(&table) {
        eprintln!("{row:?}");
    }
    eprintln!("{holes:?}");
    vec![]
}

#[test]
fn every_seeded_hole_of_a_scanned_sheet_is_found_and_none_is_invented() {
    for kind in KINDS {
        let nominal = kind.nominal();
        finds_every_hole_and_none_else(&kind, &nominal, 0);
        let _ = long();
    }
}
