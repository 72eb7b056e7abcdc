//! Triply periodic sheets: shares by quadrature, Euler numbers by their nets.

use std::f64::consts::TAU;

use nalgebra::{Point3, Vector3};
use verimetry_engine::case::Case;
use verimetry_engine::distance::MeshDistance;
use verimetry_engine::frame::{Bounds, Grid, Pose};
use verimetry_engine::load::{self, Source};
use verimetry_engine::order::{ComponentsOrder, SurfaceOrder};
use verimetry_engine::phantom::{metaimage, parts};
use verimetry_engine::quantities::{self, Scope};
use verimetry_engine::region::Region;
use verimetry_engine::runtime::Runtime;
use verimetry_engine::volume::{Rescale, Volume};

use super::{Folder, long};

fn gyroid(p: [f64; 3]) -> f64 {
    let [x, y, z] = p.map(|c| TAU * c);
    x.sin() * y.cos() + y.sin() * z.cos() + z.sin() * x.cos()
}

fn schwarz_p(p: [f64; 3]) -> f64 {
    p.iter().map(|c| (TAU * c).cos()).sum()
}

/// The share of a cell where a function is at least a level: along x by where it crosses the level, across by midpoints.
fn share_by_quadrature(f: fn([f64; 3]) -> f64, level: f64) -> f64 {
    const N: usize = 96;
    let at = |n: usize| (n as f64 + 0.5) / N as f64;
    let mut sum = 0.0;
    for (j, k) in (0..N * N).map(|n| (n % N, n / N)) {
        let value = |n: usize| f([n as f64 / N as f64, at(j), at(k)]) - level;
        for n in 0..N {
            let (a, b) = (value(n), value(n + 1));
            sum += if (a >= 0.0) == (b >= 0.0) { f64::from(a >= 0.0) } else { a.max(b) / (a - b).abs() };
        }
    }
    sum / (N * N * N) as f64
}

/// Edge of a cell in voxels, and of the volume that holds one in any direction.
const PERIOD: f64 = 24.0;
const EXTENT: usize = 50;

/// Value and U of quantities of one cell of the solid where the function is at least the level, turned and moved by a pose.
fn measured(f: fn([f64; 3]) -> f64, level: f64, pose: &Pose, names: &[&str]) -> Vec<(f64, f64)> {
    let folder = Folder::new();
    let grid = Grid::aligned([EXTENT; 3], [1.0; 3], Point3::origin()).unwrap();
    let back = pose.inverse();
    let grey = |n: usize| {
        let q = back.apply(&Point3::new((n % EXTENT) as f64, (n / EXTENT % EXTENT) as f64, (n / (EXTENT * EXTENT)) as f64));
        (30_000.0 + 9000.0 * (f([q.x, q.y, q.z].map(|c| c / PERIOD)) - level)).round() as u16
    };
    let volume = Volume::new(grid, Rescale::IDENTITY, (0..EXTENT * EXTENT * EXTENT).map(grey).collect()).unwrap();
    let source = Source {
        surface: SurfaceOrder::Value(30_000.0),
        components: Some(ComponentsOrder::All),
        scale_uncertainty: 0.0,
        ..Source::new(folder.file("cells.mha", &metaimage(&volume)))
    };
    let rt = Runtime::cpu();
    let part = load::part("cells", &source, &[], &rt).unwrap().value;
    let case = Case::new(&rt, None, Some(part), None);
    let half = 0.5 * PERIOD;
    let cell = parts::cuboid(&Bounds { min: Point3::from([-half; 3]), max: Point3::from([half; 3]) }, 1).mesh.moved(pose);
    let region = Region::Mesh(Box::new(MeshDistance::build(&cell)));
    let scope = Scope { region: Some(("cell", &region)), ..Scope::default() };
    let value = |name: &&str| {
        let m = quantities::entry(name).unwrap().measure(&case, &scope).unwrap();
        (m.value().unwrap_or_else(|| panic!("{name}: {m:?}")), 2.0 * m.standard_uncertainty().unwrap())
    };
    names.iter().map(value).collect()
}

fn poses() -> [Pose; 3] {
    let at = Vector3::new(24.6, 24.3, 24.1);
    [[0.0; 3], [0.3, -0.2, 0.9], [1.1, 0.7, -0.4]].map(|turn| Pose::from_rotation_vector(Vector3::from(turn), at))
}

#[test]
fn shares_of_gyroids_and_schwarz_cells_are_those_of_quadrature_in_every_direction() {
    assert!((share_by_quadrature(gyroid, 0.0) - 0.5).abs() < 1e-4 && (share_by_quadrature(schwarz_p, 0.0) - 0.5).abs() < 1e-4);
    for (n, (f, level)) in
        [(gyroid as fn([f64; 3]) -> f64, 0.0), (gyroid, 0.6), (schwarz_p, 0.0), (schwarz_p, -0.5)].into_iter().enumerate()
    {
        let truth = 1.0 - share_by_quadrature(f, level);
        // Every other one in turn, unless there is time.
        for (_, pose) in poses().into_iter().enumerate().filter(|(m, _)| long() || (n + m).is_multiple_of(2)) {
            let (porosity, u) = measured(f, level, &pose, &["porosity.total"])[0];
            // Linear between voxels, the surface lies up to (τ / 24)² / 8 · |f| / |∇f| aside: 0.014 voxel on 3.1 cells of area a cell.
            assert!((porosity - truth).abs() <= 0.0018, "{porosity} ± {u}, truth {truth} at level {level} turned by {}", pose.angle());
        }
    }
}

#[test]
fn a_cell_has_the_euler_number_of_the_net_of_its_channels() {
    // A cell of the gyroid's channel holds eight nodes with three half edges each, one of Schwarz's one node with six.
    for (f, truth) in [(gyroid as fn([f64; 3]) -> f64, 8.0 - 12.0), (schwarz_p, 1.0 - 3.0)] {
        let (euler, u) = measured(f, 0.0, &poses()[0], &["structure.euler_number"])[0];
        assert!((euler - truth).abs() <= u + 1e-9, "{euler} ± {u}, truth {truth}");
    }
}
