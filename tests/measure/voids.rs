//! Closed voids and open pores as the shells of the surface tell them: thin, tilted, tiny, nested, close together, and cut by the envelope.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use nalgebra::{Point3, Vector3};
use verimetry_engine::frame::{Bounds, Pose};
use verimetry_engine::measure::{self, Envelope, Measurement, Pores};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::noise::uniform;
use verimetry_engine::phantom::parts;
use verimetry_engine::runtime::Runtime;

use super::support::together;
use super::{Folder, covers};

/// Edge of the cells, mm.
const CELL: f64 = 0.1;

fn cuboid(min: [f64; 3], max: [f64; 3]) -> Mesh {
    parts::cuboid(&Bounds { min: min.into(), max: max.into() }, 1).mesh
}

fn ball(centre: [f64; 3], radius_mm: f64) -> Mesh {
    parts::ball(centre.into(), radius_mm, 20).mesh
}

fn turned(mesh: &Mesh) -> Mesh {
    Mesh::new(mesh.vertices().to_vec(), mesh.triangles().iter().map(|&[a, b, c]| [a, c, b]).collect()).unwrap()
}

/// A solid with cavities.
fn hollow(solid: Mesh, cavities: &[Mesh]) -> Mesh {
    together(&std::iter::once(solid).chain(cavities.iter().map(turned)).collect::<Vec<_>>())
}

/// What is measured of a part, and the rows of its table.
struct Found {
    m: Measurement,
    rows: Vec<BTreeMap<String, String>>,
}

impl Found {
    fn of(mesh: &Mesh, envelope: Option<&Mesh>, point_u_mm: f64) -> Found {
        let folder = Folder::new();
        let mut part = folder.mesh("part.stl", mesh);
        part.point_uncertainty = Some(point_u_mm);
        let table = folder.0.path().join("pores.csv");
        let mut job = Pores { table: Some(table.clone()), cell_mm: Some(CELL), ..Pores::new(part) };
        if let Some(envelope) = envelope {
            job.envelope = Envelope::File(folder.mesh("envelope.stl", envelope).path);
        }
        let m = measure::pores(&job, &Runtime::cpu()).unwrap();
        let text = std::fs::read_to_string(table).unwrap();
        let mut lines = text.lines().map(|l| l.split(',').map(str::to_string).collect::<Vec<_>>());
        let names = lines.next().unwrap();
        Found { m, rows: lines.map(|row| names.iter().cloned().zip(row).collect()).collect() }
    }

    fn number(&self, row: usize, name: &str) -> f64 {
        self.rows[row][name].parse().unwrap_or_else(|_| panic!("row {row} has no {name}: {:?}", self.rows[row]))
    }

    #[track_caller]
    fn row_says(&self, row: usize, name: &str, truth: f64, within: f64) {
        let value = self.number(row, name);
        assert!((value - truth).abs() <= within, "{name}: {value} for {truth}");
    }
}

/// The area of the facets stands for the truth where facets are all that the surface is.
fn of_facets(meshes: &[&Mesh]) -> (f64, f64) {
    (meshes.iter().map(|m| m.volume_mm3()).sum(), meshes.iter().map(|m| m.area_mm2()).sum())
}

#[test]
fn a_coin_thinner_than_a_cell_is_one_void_however_it_lies() {
    let radius_mm = 1.5;
    for thick_mm in [0.8 * CELL, 0.5 * CELL] {
        for degrees in [0.0_f64, 5.0, 15.0, 30.0] {
            let flat = parts::cylinder(Point3::new(0.0, 0.0, -0.5 * thick_mm), radius_mm, thick_mm, 120, 1).mesh;
            let tilt = Vector3::new(0.8, 0.6, 0.0) * degrees.to_radians();
            let coin = flat.moved(&Pose::from_rotation_vector(tilt, Vector3::new(2.513, 2.487, 2.521)));
            let found = Found::of(&hollow(cuboid([0.0; 3], [5.0; 3]), std::slice::from_ref(&coin)), None, 0.0);
            let (volume, area) = of_facets(&[&coin]);
            covers(&found.m, "defect.count", 1.0);
            covers(&found.m, "defect.largest_volume", volume);
            covers(&found.m, "defect.largest_diameter", thick_mm);
            covers(&found.m, "defect.total_fraction", volume / (125.0 - volume));
            assert_eq!(found.rows.len(), 1, "{thick_mm} mm at {degrees}°: {:?}", found.rows);
            found.row_says(0, "volume_mm3", volume, 1e-4 * volume);
            found.row_says(0, "area_mm2", area, 1e-4 * area);
            found.row_says(0, "inscribed_diameter_mm", thick_mm, 1e-3 * thick_mm);
            // Second moments of a disc: r²/4 across, t²/12 along; of an ellipsoid a fifth of the squared half diameters.
            found.row_says(0, "shortest_mm", thick_mm * (5.0_f64 / 3.0).sqrt(), 1e-3 * thick_mm);
            found.row_says(0, "middle_mm", radius_mm * 5.0_f64.sqrt(), 2e-3);
            found.row_says(0, "longest_mm", radius_mm * 5.0_f64.sqrt(), 2e-3);
            for (axis, truth) in [("x_mm", 2.513), ("y_mm", 2.487), ("z_mm", 2.521)] {
                found.row_says(0, axis, truth, 1e-4);
            }
        }
    }
}

#[test]
fn a_void_that_no_cell_meets_is_known_by_its_facets() {
    for shift in [0.0, 0.021, 0.047, 0.072] {
        let speck = parts::ball([1.0 + shift, 1.5 - shift, 1.5].into(), 0.3 * CELL, 6).mesh;
        let large = ball([2.1, 1.5, 1.5], 0.4);
        let found = Found::of(&hollow(cuboid([0.0; 3], [3.0; 3]), &[large, speck.clone()]), None, 0.0);
        assert_eq!(found.rows.len(), 2);
        let (volume, area) = of_facets(&[&speck]);
        found.row_says(1, "volume_mm3", volume, 1e-4 * volume);
        found.row_says(1, "area_mm2", area, 1e-4 * area);
        found.row_says(1, "inscribed_diameter_mm", 0.6 * CELL, 0.01 * CELL);
        // Below the detection limit.
        covers(&found.m, "defect.count", 1.0);
    }
}

#[test]
fn what_floats_in_a_cavity_is_taken_from_its_volume_and_may_be_hollow_itself() {
    let (cavity, island, bubble) = (ball([2.0; 3], 1.2), ball([2.0; 3], 0.7), ball([2.0; 3], 0.35));
    let part = together(&[hollow(cuboid([0.0; 3], [4.0; 3]), std::slice::from_ref(&cavity)), island.clone(), turned(&bubble)]);
    let found = Found::of(&part, None, 0.0);
    covers(&found.m, "defect.count", 2.0);
    let volume = cavity.volume_mm3() - island.volume_mm3();
    covers(&found.m, "defect.largest_volume", volume);
    assert_eq!(found.rows.len(), 2);
    found.row_says(0, "volume_mm3", volume, 1e-4 * volume);
    found.row_says(0, "area_mm2", of_facets(&[&cavity, &island]).1, 1e-3);
    found.row_says(0, "inscribed_diameter_mm", 0.5, 0.01);
    found.row_says(1, "volume_mm3", bubble.volume_mm3(), 1e-4 * bubble.volume_mm3());
    found.row_says(1, "to_neighbour_mm", 0.35, 0.005);
}

#[test]
fn cavities_a_thin_wall_apart_stay_two() {
    let (wall_mm, half) = (0.3 * CELL, 1.013);
    let left = cuboid([0.5, 0.5, 0.5], [half, 1.5, 1.5]);
    let right = cuboid([half + wall_mm, 0.5, 0.5], [1.9, 1.5, 1.5]);
    let found = Found::of(&hollow(cuboid([0.0; 3], [2.4, 2.0, 2.0]), &[left.clone(), right.clone()]), None, 0.0);
    covers(&found.m, "defect.count", 2.0);
    assert_eq!(found.rows.len(), 2);
    for (row, cavity) in [left, right].iter().enumerate() {
        found.row_says(row, "volume_mm3", cavity.volume_mm3(), 1e-4);
        found.row_says(row, "to_neighbour_mm", wall_mm, 1e-5);
    }
}

/// A block without its middle: a pit with a square section that narrows from the top face down.
fn pitted(block: &Bounds, top_half_mm: f64, bottom_half_mm: f64, depth_mm: f64) -> Mesh {
    let (low, high) = (block.min, block.max);
    let square = |half: [f64; 4], z: f64| {
        [[half[0], half[1]], [half[2], half[1]], [half[2], half[3]], [half[0], half[3]]].map(|[x, y]| Point3::new(x, y, z))
    };
    let ring = |half: f64, z: f64| square([-half, -half, half, half], z);
    let outline = [low.x, low.y, high.x, high.y];
    let vertices =
        [square(outline, low.z), square(outline, high.z), ring(top_half_mm, high.z), ring(bottom_half_mm, high.z - depth_mm)].concat();
    let quad = |[a, b, c, d]: [u32; 4]| [[a, b, c], [a, c, d]];
    let mut quads = vec![[0, 3, 2, 1], [12, 13, 14, 15]];
    for (n, m) in [(0, 1), (1, 2), (2, 3), (3, 0)] {
        quads.extend([[n, m, m + 4, n + 4], [n + 4, m + 4, m + 8, n + 8], [n + 8, m + 8, m + 12, n + 12]]);
    }
    Mesh::new(vertices, quads.into_iter().flat_map(quad).collect()).unwrap()
}

#[test]
fn gaps_between_large_facets_are_as_wide_as_they_are() {
    // A ball just above the middle of a flat void, a pit that ends in the middle above another.
    let flat = cuboid([-5.0, -5.0, 1.0], [5.0, 5.0, 2.0]);
    let above = ball([0.31, -0.22, 2.5], 0.4);
    let lowest = above.vertices().iter().map(|p| p.z).fold(f64::INFINITY, f64::min);
    let block = Bounds { min: Point3::new(-6.0, -6.0, 0.0), max: Point3::new(6.0, 6.0, 4.0) };
    let found = Found::of(&hollow(pitted(&block, 0.2, 0.1, 0.2), &[flat.clone(), above]), None, 0.0);
    assert_eq!(found.rows.iter().filter(|r| r["kind"] == "closed").count(), 2);
    for row in 0..2 {
        found.row_says(row, "to_neighbour_mm", lowest - 2.0, 1e-5);
    }
    let found = Found::of(&hollow(pitted(&block, 0.9, 0.3, 1.8), std::slice::from_ref(&flat)), None, 0.0);
    found.row_says(0, "to_surface_mm", 0.2, 1e-5);
    covers(&found.m, "defect.nearest_to_surface", 0.2);
}

#[test]
fn the_nearest_neighbour_may_lie_outside_the_envelope() {
    let (inside, beyond) = (ball([1.5; 3], 0.5), ball([3.0, 1.5, 1.5], 0.5));
    let part = hollow(cuboid([0.0; 3], [4.5, 3.0, 3.0]), &[inside, beyond]);
    let found = Found::of(&part, Some(&cuboid([0.5; 3], [2.2, 2.5, 2.5])), 0.0);
    assert_eq!(found.rows.len(), 1);
    found.row_says(0, "to_neighbour_mm", 0.5, 0.005);
    covers(&found.m, "defect.count", 1.0);
}

#[test]
fn the_ball_inside_an_open_pore_keeps_its_centre_in_the_envelope() {
    let block = Bounds { min: Point3::new(-3.0, -3.0, 0.0), max: Point3::new(3.0, 3.0, 5.0) };
    let part = pitted(&block, 2.5, 0.5, 4.0);
    let envelope = cuboid([-1.5, -1.5, 0.5], [1.5, 1.5, 2.03]);
    let found = Found::of(&part, Some(&envelope), 0.0);
    assert_eq!(found.rows.len(), 1);
    // On the axis at the envelope's top, between walls that rise by 2 for 1 aside.
    let widest = 2.0 * (0.5 + 0.5 * 1.03) * 2.0 / 5.0_f64.sqrt();
    let inscribed = found.number(0, "inscribed_diameter_mm");
    assert!(inscribed <= widest + 1e-6 && inscribed >= widest - CELL, "{inscribed} of {widest} mm");
}

#[test]
fn what_lies_outside_the_envelope_is_no_part_of_the_fraction() {
    let cavity = ball([2.0, 2.0, 2.0], 1.0);
    let part = hollow(cuboid([0.0; 3], [4.0; 3]), std::slice::from_ref(&cavity));
    let half = 0.5 * cavity.volume_mm3();
    // The plane x = 2 halves the void.
    let found = Found::of(&part, Some(&cuboid([0.5; 3], [2.0, 3.5, 3.5])), 0.0);
    covers(&found.m, "defect.total_fraction", half / (1.5 * 9.0 - half));
    covers(&found.m, "defect.largest_volume", 2.0 * half);
    assert_eq!(found.rows[0]["touches_border"], "true");
    // An eighth of it, in a cube of less than its volume.
    let corner = Found::of(&part, Some(&cuboid([2.0; 3], [3.0; 3])), 0.0);
    covers(&corner.m, "defect.total_fraction", 0.25 * half / (1.0 - 0.25 * half));
}

#[test]
fn a_void_near_the_detection_limit_counts_with_the_chance_that_it_lies_on_the_other_side() {
    let count = |cells: f64, point_u_mm: f64| {
        let cavity = ball([1.0; 3], CELL * (cells * 3.0 / (4.0 * PI)).cbrt());
        let m = Found::of(&hollow(cuboid([0.0; 3], [2.0; 3]), &[cavity]), None, point_u_mm).m;
        let q = &m.quantities["defect.count"];
        (q.value.unwrap(), q.expanded_uncertainty.unwrap())
    };
    let (just, u) = count(28.0, 0.01);
    // At the limit itself the chance would be a half, and the root mean square of what it changes √½.
    assert!(just == 1.0 && (0.9..1.5).contains(&u), "{just} ± {u}");
    let (missed, u) = count(26.0, 0.01);
    assert!(missed == 0.0 && (0.9..1.5).contains(&u), "{missed} ± {u}");
    let (many, u) = count(100.0, 0.001);
    assert!(many == 1.0 && u < 1e-6, "{many} ± {u}");
}

#[test]
fn voids_smaller_than_cells_are_closed_and_open_nothing() {
    let at = |n: usize, axis: u64| 0.4 + 0.8 * [n % 5, n / 5 % 5, n / 25][axis as usize] as f64 + 0.2 * uniform(7, 4 * n as u64 + axis);
    let cavities: Vec<Mesh> = (0..125)
        .map(|n| parts::ball([at(n, 0), at(n, 1), at(n, 2)].into(), CELL * (0.3 + 0.45 * uniform(7, 4 * n as u64 + 3)), 4).mesh)
        .collect();
    let (volume, _) = of_facets(&cavities.iter().collect::<Vec<_>>());
    let block = cuboid([0.0; 3], [4.0; 3]);
    let found = Found::of(&hollow(block.clone(), &cavities), Some(&block), 0.0);
    covers(&found.m, "porosity.closed", volume / 64.0);
    for name in ["porosity.open", "porosity.interconnectivity"] {
        assert_eq!(found.m.quantities[name].value, Some(0.0), "{name}");
    }
}
