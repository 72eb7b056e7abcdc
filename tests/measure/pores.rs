//! Pores and walls of closed form: sizes, throats, reach, structure and voids within their stated U of the truth.

use std::f64::consts::PI;

use nalgebra::{Point3, Vector3};
use verimetry_engine::frame::{Bounds, Grid, Pose};
use verimetry_engine::measure::{self, Envelope, Measurement, Pores};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::phantom::{Solid, parts};
use verimetry_engine::pores::Shape;
use verimetry_engine::runtime::Runtime;

use super::passage::{balls, reached_between_balls, reached_from_outside};
use super::{Folder, covers};

fn measured(job: &Pores) -> Measurement {
    measure::pores(job, &Runtime::cpu()).unwrap()
}

fn value(m: &Measurement, name: &str) -> f64 {
    m.quantities[name].value.unwrap_or_else(|| panic!("{name}: {:?}", m.quantities[name].reason))
}

fn expanded(m: &Measurement, name: &str) -> f64 {
    m.quantities[name].expanded_uncertainty.unwrap_or_else(|| panic!("{name}: {:?}", m.quantities[name].reason))
}

fn cube(min: f64, max: f64) -> Bounds {
    Bounds { min: Point3::from([min; 3]), max: Point3::from([max; 3]) }
}

fn voxels(count: usize) -> Grid {
    Grid::aligned([count; 3], [VOXEL; 3], Point3::origin()).unwrap()
}

/// Edge of the voxels of these scans, mm; their blur has a standard deviation of 0.07 mm.
const VOXEL: f64 = 0.1;

#[test]
fn a_hollow_ball_is_one_pore_one_wall_and_one_defect() {
    let folder = Folder::new();
    let centre = Point3::new(3.03, 2.98, 3.01);
    let solid = Solid::Ball { centre, radius_mm: 2.4 }.without(Solid::Ball { centre, radius_mm: 0.9 }, 0.0);
    let table = folder.0.path().join("pores.csv");
    let part = folder.scan("shell.mha", &solid, &voxels(60));
    let m = measured(&Pores { table: Some(table.clone()), range_mm: Some([1.7, 1.9]), curve: true, ..Pores::new(part) });
    let volume = |r: f64| 4.0 / 3.0 * PI * r * r * r;
    for name in ["mean", "d10", "d50", "d90"] {
        covers(&m, &format!("pore.size_{name}"), 1.8);
        covers(&m, &format!("wall.thickness_{name}"), 1.5);
    }
    covers(&m, "wall.thickness_min", 1.5);
    covers(&m, "pore.in_range", 1.0);
    covers(&m, "porosity.interconnectivity", 0.0);
    covers(&m, "structure.euler_number", 2.0);
    covers(&m, "structure.surface_density", 4.0 * PI * 0.81 / volume(2.4));
    covers(&m, "defect.count", 1.0);
    covers(&m, "defect.largest_diameter", 1.8);
    covers(&m, "defect.largest_volume", volume(0.9));
    covers(&m, "defect.total_fraction", volume(0.9) / (volume(2.4) - volume(0.9)));
    covers(&m, "defect.nearest_to_surface", 1.5);
    covers(&m, "structure.anisotropy", 0.0);
    assert!(m.quantities["pore.throat_x"].value.is_none() && m.quantities["pore.accessible"].value.is_none());

    let summary = m.pores.clone().unwrap();
    let sizes = summary.sizes.unwrap();
    assert!((sizes.volume_share.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    assert!((sizes.d50_mm - 1.8).abs() <= expanded(&m, "pore.size_d50"));
    // Nothing reaches a closed void; it touches no border, so both rules count it.
    assert!(summary.accessible.len() > 4 && summary.accessible.iter().all(|r| r.share == 0.0));
    assert_eq!((summary.border.kept.voids, summary.border.kept), (1, summary.border.dropped));
    let per_mm = 4.0 * PI * 0.81 / volume(2.4);
    assert!((1e3 * summary.sensitivity.per_micrometre / per_mm - 1.0).abs() < 0.01);
    let per_percent = 0.01 * per_mm * (2.0 * PI).sqrt() * 0.07;
    assert!((summary.sensitivity.per_percent_of_contrast.unwrap() / per_percent - 1.0).abs() < 0.05);

    let text = std::fs::read_to_string(table).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split(',').collect()).collect();
    assert_eq!((rows.len(), rows[0].len(), rows[1].len()), (2, 20, 20));
    let number = |name: &str| rows[1][rows[0].iter().position(|n| *n == name).unwrap()].parse::<f64>().unwrap();
    for (name, truth, within) in [
        ("volume_mm3", volume(0.9), 0.1),
        ("equivalent_diameter_mm", 1.8, 0.02),
        ("inscribed_diameter_mm", 1.8, 0.02),
        ("sphericity", 1.0, 0.02),
        ("x_mm", 3.03, 0.005),
        ("y_mm", 2.98, 0.005),
        ("z_mm", 3.01, 0.005),
        ("to_surface_mm", 1.5, 0.03),
        ("shortest_mm", 1.8, 0.02),
        ("longest_mm", 1.8, 0.02),
    ] {
        assert!((number(name) - truth).abs() <= within, "{name}: {}", number(name));
    }
    assert_eq!([11, 12, 16, 17].map(|n| rows[1][n]), ["false", "closed", "round", "true"]);
}

/// A scan of 27 balls in simple cubic order 2 mm apart, measured with a sphere in the cube between the middles of the outer ones.
fn cubic_balls(folder: &Folder, radius_mm: f64) -> impl Fn(f64) -> Measurement {
    let solid = balls(radius_mm, &Pose { translation: Vector3::repeat(1.44), ..Pose::identity() });
    let part = folder.scan(&format!("balls_{radius_mm}.mha"), &solid, &voxels(68));
    let file = folder.mesh("envelope.stl", &parts::cuboid(&cube(1.44, 5.44), 1).mesh).path;
    move |sphere| measured(&Pores { envelope: Envelope::File(file.clone()), sphere_mm: Some(sphere), ..Pores::new(part.clone()) })
}

/// Overlapping balls, seen from the middle of a window between four, √2 pitch - 2 radius wide, and of a chamber between eight, √3 pitch - 2 radius.
/// What is reached is another matter: the blur fills the grooves between the balls.
#[test]
fn a_cubic_array_of_balls_has_the_throat_of_its_windows_and_the_pore_of_its_chambers() {
    let folder = Folder::new();
    let with_sphere = cubic_balls(&folder, 1.1);
    let (throat, chamber) = (2.0_f64.sqrt() * 2.0 - 2.2, 3.0_f64.sqrt() * 2.0 - 2.2);
    let m = with_sphere(0.7 * throat);
    for name in ["pore.throat_x", "pore.throat_y", "pore.throat_z"] {
        covers(&m, name, throat);
    }
    covers(&m, "pore.size_d90", chamber);
    let shut = with_sphere(1.2 * throat);
    assert!(value(&shut, "pore.accessible") < 0.1 && value(&m, "pore.accessible") > 0.9);
    covers(&m, "porosity.interconnectivity", 1.0);
    // One node and three necks a cell.
    covers(&m, "structure.euler_number", 8.0 * (1.0 - 3.0));
}

#[test]
fn a_sphere_reaches_between_balls_what_it_can_roll_to() {
    let (folder, radius_mm) = (Folder::new(), 0.8);
    let throat = 2.0_f64.sqrt() * 2.0 - 2.0 * radius_mm;
    let with_sphere = cubic_balls(&folder, radius_mm);
    for share in [0.5, 0.7, 0.9] {
        covers(&with_sphere(share * throat), "pore.accessible", reached_between_balls(2.0, radius_mm, 0.5 * share * throat));
    }
    covers(&with_sphere(1.2 * throat), "pore.accessible", reached_from_outside(2.0, radius_mm, 0.6 * throat));
}

#[test]
fn plates_are_anisotropic_and_a_torus_has_one_tunnel() {
    let folder = Folder::new();
    let torus = Solid::Torus { centre: Point3::new(2.97, 3.02, 1.49), major_mm: 1.8, minor_mm: 0.6 };
    let grid = Grid::aligned([60, 60, 30], [VOXEL; 3], Point3::origin()).unwrap();
    let m = measured(&Pores::new(folder.scan("torus.mha", &torus, &grid)));
    covers(&m, "structure.euler_number", 0.0);
    covers(&m, "defect.count", 0.0);
    covers(&m, "wall.thickness_d50", 1.2);
    // Three plates between four posts that hold them apart.
    let cuboid = |min: [f64; 3], max: [f64; 3]| {
        let (min, max) = (Vector3::from(min), Vector3::from(max));
        Solid::Box { centre: Point3::from((min + max) * 0.5), half_mm: (max - min) * 0.5, rounding_mm: 0.0 }
    };
    let slab = |n: usize| cuboid([0.83, 0.83, 0.67 + 1.5 * n as f64], [4.87, 4.87, 1.17 + 1.5 * n as f64]);
    let post = |n: usize| {
        let (x, y) = (0.83 + 3.54 * (n % 2) as f64, 0.83 + 3.54 * (n / 2) as f64);
        cuboid([x, y, 0.7], [x + 0.5, y + 0.5, 4.1])
    };
    let plates = Solid::Union((0..3).map(slab).chain((0..4).map(post)).collect());
    let grid = Grid::aligned([58, 58, 50], [VOXEL; 3], Point3::origin()).unwrap();
    let m = measured(&Pores { range_mm: Some([0.9, 1.1]), ..Pores::new(folder.scan("plates.mha", &plates, &grid)) });
    for (name, truth) in [("pore.size_d50", 1.0), ("wall.thickness_d50", 0.5), ("pore.throat_x", 1.0), ("pore.throat_y", 1.0)] {
        covers(&m, name, truth);
    }
    covers(&m, "structure.euler_number", 1.0 - 6.0);
    assert!(m.quantities["pore.throat_z"].value.is_none());
    assert!(value(&m, "structure.anisotropy") > 0.5 && value(&m, "pore.in_range") > 0.8);
}

/// A void inside and one through which the envelope cuts.
#[test]
fn voids_that_the_envelope_cuts_are_told_both_ways() {
    let folder = Folder::new();
    let ball = |x: f64, radius_mm: f64| Solid::Ball { centre: Point3::new(x, 2.02, 2.01), radius_mm };
    let block = Solid::Box { centre: Point3::new(2.5, 2.0, 2.0), half_mm: Vector3::new(2.2, 1.7, 1.7), rounding_mm: 0.1 };
    let solid = block.without(Solid::Union(vec![ball(1.5, 0.4), ball(3.5, 0.6)]), 0.0);
    let grid = Grid::aligned([50, 40, 40], [VOXEL; 3], Point3::origin()).unwrap();
    let part = folder.scan("block.mha", &solid, &grid);
    let envelope = Bounds { min: Point3::new(0.6, 0.6, 0.6), max: Point3::new(3.5, 3.4, 3.4) };
    let file = folder.mesh("envelope.stl", &parts::cuboid(&envelope, 1).mesh).path;
    let m = measured(&Pores { envelope: Envelope::File(file), ..Pores::new(part) });
    let volume = |r: f64| 4.0 / 3.0 * PI * r * r * r;
    let rule = m.pores.clone().unwrap().border;
    assert_eq!((rule.kept.voids, rule.dropped.voids), (2, 1));
    // One surface, one offset of it: what U of the larger void's volume allows over its area.
    let offset = expanded(&m, "defect.largest_volume") / (4.0 * PI * 0.36);
    let of = |radii: &[f64]| (radii.iter().map(|r| volume(*r)).sum::<f64>(), radii.iter().map(|r| 4.0 * PI * r * r * offset).sum::<f64>());
    for (found, (truth, u)) in
        [(rule.kept.largest_mm3, of(&[0.6])), (rule.dropped.largest_mm3, of(&[0.4])), (rule.kept.volume_mm3, of(&[0.4, 0.6]))]
    {
        assert!((found - truth).abs() <= u, "{found} for {truth} ± {u}");
    }
    covers(&m, "defect.count", 2.0);
    covers(&m, "porosity.closed", (volume(0.4) + 0.5 * volume(0.6)) / (2.9 * 2.8 * 2.8));
}

/// A ball, a coin and a stick inside, and a channel through the block.
#[test]
fn the_table_tells_round_flat_and_drawn_out_voids_and_what_is_open() {
    let folder = Folder::new();
    let at = |x: f64, y: f64| Point3::new(x, y, 2.01);
    let brick = |x: f64, y: f64, half: [f64; 3]| Solid::Box { centre: at(x, y), half_mm: half.into(), rounding_mm: 0.05 };
    let block = brick(3.0, 2.0, [2.7, 1.7, 1.7]);
    let ball = Solid::Ball { centre: at(1.0, 1.5), radius_mm: 0.4 };
    let voids = vec![ball, brick(2.4, 2.0, [0.6, 0.6, 0.15]), brick(3.8, 2.0, [0.25, 0.75, 0.25]), brick(4.9, 2.0, [0.3, 0.35, 2.5])];
    let grid = Grid::aligned([60, 40, 40], [VOXEL; 3], Point3::origin()).unwrap();
    let part = folder.scan("block.mha", &block.without(Solid::Union(voids), 0.0), &grid);
    let table = folder.0.path().join("pores.csv");
    let m = measured(&Pores { table: Some(table.clone()), ..Pores::new(part) });
    let text = std::fs::read_to_string(table).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|l| l.split(',').collect()).collect();
    let mut found: Vec<[&str; 3]> = rows.iter().map(|r| [r[12], r[16], r[17]]).collect();
    found.sort_unstable();
    let closed = |shape, near| ["closed", shape, near];
    assert_eq!(found, [closed("flat", "false"), closed("irregular", "true"), closed("round", "true"), ["open", "", "true"]]);
    let open = rows.iter().find(|r| r[12] == "open").unwrap();
    let number = |n: usize| open[n].parse::<f64>().unwrap();
    // The channel between the block's faces. Where it opens the rolled ball dips in by its rise over half the opening, 0.06 mm, and half the
    // diagonal of a cell, 0.09 mm: at both ends a twentieth of the length.
    let share = number(1) / (0.6 * 0.7 * 3.4);
    assert!((0.9..1.0).contains(&share) && (number(3) - 0.6).abs() < 0.05, "{open:?}");
    assert!((number(6) - 4.9).abs() < 0.02 && (number(10) - 0.55).abs() < 0.03 && open[11] == "true", "{open:?}");
    let round = rows.iter().find(|r| r[16] == "round").unwrap();
    let within = |value: usize, u: usize, truth: f64| {
        let [value, u] = [value, u].map(|n| round[n].parse::<f64>().unwrap());
        assert!((value - truth).abs() <= u && u < 0.1 * truth, "{value} ± {u}, truth {truth}");
    };
    within(1, 18, 4.0 / 3.0 * std::f64::consts::PI * 0.4 * 0.4 * 0.4);
    within(3, 19, 0.8);
    let shapes = m.pores.unwrap().shapes;
    assert_eq!(
        shapes.iter().map(|s| (s.shape, s.voids, s.near_surface)).collect::<Vec<_>>(),
        [(Shape::Round, 1, 1), (Shape::Flat, 1, 0), (Shape::Irregular, 1, 1)]
    );
}

#[test]
fn pores_do_not_depend_on_the_number_of_threads() {
    let folder = Folder::new();
    let centre = Point3::new(1.53, 1.48, 1.51);
    let solid = Solid::Ball { centre, radius_mm: 1.1 }.without(Solid::Ball { centre, radius_mm: 0.5 }, 0.0);
    let part = folder.scan("shell.mha", &solid, &voxels(30));
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| measured(&Pores { sphere_mm: Some(0.3), ..Pores::new(part.clone()) }).quantities)
    };
    assert_eq!(on(1), on(5));
}

/// The hull of two balls about places 0 and `length_mm` of an axis along x: what balls between them, of radii in between, fill. So the local
/// diameter at every place is that of the largest of them that holds it.
struct Funnel {
    radii_mm: [f64; 2],
    length_mm: f64,
}

impl Funnel {
    fn slope(&self) -> f64 {
        (self.radii_mm[1] - self.radii_mm[0]) / self.length_mm
    }

    /// Radius of its outline at x: of the larger ball, the cone and the smaller ball.
    fn outline_mm(&self, x: f64) -> f64 {
        let ([small, large], slope) = (self.radii_mm, self.slope());
        let ends = [-small * slope, self.length_mm - large * slope].map(|touch| touch.clamp(-small, self.length_mm + large));
        let round = |r: f64, dx: f64| (r * r - dx * dx).max(0.0).sqrt();
        if x < ends[0] {
            round(small, x)
        } else if x > ends[1] {
            round(large, x - self.length_mm)
        } else {
            (small + slope * x) / (1.0 - slope * slope).sqrt()
        }
    }

    /// Diameter of the largest ball that holds a place at x, so far from the axis; none outside.
    fn diameter_mm(&self, x: f64, off: f64) -> Option<f64> {
        let (small, k) = (self.radii_mm[0], self.slope());
        // (x - c)² + off² = (small + k c)²
        let (a, b, c) = (1.0 - k * k, x + k * small, x * x + off * off - small * small);
        let root = b * b - a * c;
        let farthest = (b + root.max(0.0).sqrt()) / a;
        (root >= 0.0 && off <= self.outline_mm(x)).then(|| 2.0 * (small + k * farthest.clamp(0.0, self.length_mm)))
    }

    /// Mean and deciles 1, 5, 9 of the local diameter by volume, by quadrature.
    fn truth(&self) -> [f64; 4] {
        let [small, large] = self.radii_mm;
        let step = small / 100.0;
        let mut found: Vec<(f64, f64)> = vec![];
        for n in 0..((small + self.length_mm + large) / step) as usize {
            let x = (n as f64 + 0.5) * step - small;
            for m in 0..(large / step) as usize + 1 {
                let off = (m as f64 + 0.5) * step;
                found.extend(self.diameter_mm(x, off).map(|d| (d, off)));
            }
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all: f64 = found.iter().map(|f| f.1).sum();
        let below = |share: f64| {
            let mut passed = 0.0;
            found.iter().find(|f| {
                passed += f.1;
                passed >= share * all
            })
        };
        [found.iter().map(|f| f.0 * f.1).sum::<f64>() / all, below(0.1).unwrap().0, below(0.5).unwrap().0, below(0.9).unwrap().0]
    }

    /// A block with this hollow in it.
    fn in_a_block(&self) -> Mesh {
        const AROUND: usize = 240;
        const ALONG: usize = 400;
        let [small, large] = self.radii_mm;
        let whole = small + self.length_mm + large;
        let block = Bounds {
            min: Point3::new(-small - 1.0, -large - 1.0, -large - 1.0),
            max: Point3::new(self.length_mm + large + 1.0, large + 1.0, large + 1.0),
        };
        let cuboid = parts::cuboid(&block, 1).mesh;
        let (mut vertices, mut triangles) = (cuboid.vertices().to_vec(), cuboid.triangles().to_vec());
        let first = vertices.len() as u32;
        let turn = |angle: f64, x: f64, r: f64| Point3::new(x, r * angle.cos(), r * angle.sin());
        vertices.extend([turn(0.0, -small, 0.0), turn(0.0, self.length_mm + large, 0.0)]);
        for n in 1..ALONG {
            // Denser towards the ends, as the outline is steep there.
            let x = 0.5 * whole * (1.0 - (PI * n as f64 / ALONG as f64).cos()) - small;
            vertices.extend((0..AROUND).map(|k| turn(2.0 * PI * k as f64 / AROUND as f64, x, self.outline_mm(x))));
        }
        let name = |n: usize, k: usize| first + 2 + ((n - 1) * AROUND + k % AROUND) as u32;
        for k in 0..AROUND {
            triangles.extend([[first, name(1, k), name(1, k + 1)], [first + 1, name(ALONG - 1, k + 1), name(ALONG - 1, k)]]);
            for n in 1..ALONG - 1 {
                triangles.extend([[name(n, k), name(n + 1, k), name(n + 1, k + 1)], [name(n, k), name(n + 1, k + 1), name(n, k + 1)]]);
            }
        }
        Mesh::new(vertices, triangles).unwrap()
    }
}

/// Balls that start far apart find the sizes of a wide void that tapers as those that start in every cell do.
#[test]
fn a_funnel_is_as_wide_as_the_balls_that_it_is_made_of_on_coarse_and_on_fine_cells() {
    let folder = Folder::new();
    let funnel = Funnel { radii_mm: [0.6, 2.0], length_mm: 3.2 };
    let part = folder.mesh("funnel.stl", &funnel.in_a_block());
    let truth = funnel.truth();
    for cell_mm in [0.16, 0.07] {
        let m = measured(&Pores { cell_mm: Some(cell_mm), ..Pores::new(part.clone()) });
        for (name, truth) in ["mean", "d10", "d50", "d90"].into_iter().zip(truth) {
            covers(&m, &format!("pore.size_{name}"), truth);
        }
    }
}
