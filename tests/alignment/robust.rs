//! Poses from anywhere for parts with a third missing or with supports left on: recovered, or called ambiguous, and never wrong.

use std::path::Path;

use nalgebra::{Point3, Vector3};
use verimetry_engine::align;
use verimetry_engine::distance::MeshDistance;
use verimetry_engine::io;
use verimetry_engine::mesh::Mesh;
use verimetry_engine::phantom::{alter, cage};
use verimetry_engine::runtime::Runtime;

use super::{Random, bracket, cells, errors, hollow_block, long, map};

/// Scaled so that its bounds are 50 mm across their diagonal, which makes 10 µm of noise mean the same for every shape.
fn sized(mesh: &Mesh) -> Mesh {
    mesh.scaled(50.0 / mesh.bounds().diagonal_mm())
}

/// Struts along three axes, every 4 mm, with a solid foot that ends one cell earlier at one corner.
fn lattice(n: i32) -> Mesh {
    cells([14, 14, 14], n, |c| {
        let across = |a: i32| i32::from(a % 3 == 0);
        let strut = c.iter().map(|&a| across(a)).sum::<i32>() >= 2;
        let foot = c[2] == 0 && !(c[0] > 9 && c[1] > 9) && !(c[0] == 1 && c[1] == 1);
        (strut && c.iter().all(|&a| a < 13)) || foot
    })
}

/// Bundled shapes and, where they are at hand, real ones.
fn shapes() -> Vec<(String, Mesh)> {
    let mut shapes = vec![
        ("bracket".into(), bracket(3)),
        ("hollow block".into(), hollow_block(2)),
        ("cage".into(), cage::design_mesh().unwrap()),
        ("lattice".into(), lattice(1)),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mesh");
    for name in [
        "thingi10k/65004.stl",
        "thingi10k/72214.stl",
        "thingi10k/88566.stl",
        "thingi10k/472042.stl",
        "thingi10k/112932.stl",
        "bone_foot/footbones.ply",
    ] {
        match io::load_mesh(&folder.join(name)) {
            Ok(file) => shapes.push((name.into(), file.mesh)),
            Err(e) => eprintln!("SKIPPED: {e}"),
        }
    }
    shapes.into_iter().map(|(name, mesh)| (name, sized(&mesh))).collect()
}

/// Every triangle into four, until there are enough vertices for noise to be noise.
fn refined(mesh: &Mesh) -> Mesh {
    let mut fine = mesh.clone();
    while fine.vertices().len() < 6000 {
        let (mut vertices, mut middle) = (fine.vertices().to_vec(), std::collections::BTreeMap::new());
        let mut triangles = Vec::with_capacity(4 * fine.triangles().len());
        for &[a, b, c] in fine.triangles() {
            let mut between = |i: u32, j: u32| {
                *middle.entry((i.min(j), i.max(j))).or_insert_with(|| {
                    vertices.push(nalgebra::center(&vertices[i as usize], &vertices[j as usize]));
                    vertices.len() as u32 - 1
                })
            };
            let (ab, bc, ca) = (between(a, b), between(b, c), between(c, a));
            triangles.extend([[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]]);
        }
        fine = Mesh::new(vertices, triangles).unwrap();
    }
    fine
}

/// Without the triangles that lie farthest along a direction, so that `kept` of the area is left.
fn broken(mesh: &Mesh, direction: &Vector3<f64>, kept: f64) -> Mesh {
    let place = |t: usize| mesh.corners(t).iter().map(|p| p.coords.dot(direction)).sum::<f64>();
    let mut order: Vec<usize> = (0..mesh.triangles().len()).collect();
    order.sort_by(|&a, &b| place(a).total_cmp(&place(b)));
    let (mut area, all) = (0.0, mesh.area_mm2());
    let left: Vec<[u32; 3]> = order
        .into_iter()
        .take_while(|&t| {
            area += 0.5 * mesh.area_vector(t).norm();
            area <= kept * all
        })
        .map(|t| mesh.triangles()[t])
        .collect();
    Mesh::new(mesh.vertices().to_vec(), left).unwrap()
}

/// Posts left under a part: a tenth of its height long, on a grid.
fn supported(mesh: &Mesh) -> Mesh {
    let b = mesh.bounds();
    let (mut vertices, mut triangles) = (mesh.vertices().to_vec(), mesh.triangles().to_vec());
    let post = cells([1, 1, 1], 2, |_| true);
    let size = b.max - b.min;
    for (i, j) in (1..5).flat_map(|i| (1..5).map(move |j| (i, j))) {
        let first = vertices.len() as u32;
        let at = b.min + Vector3::new(size.x * f64::from(i) / 5.0, size.y * f64::from(j) / 5.0, -0.1 * size.z);
        vertices.extend(post.vertices().iter().map(|p| at + Vector3::new(0.2 * p.x, 0.2 * p.y, 0.025 * size.z * p.z)));
        triangles.extend(post.triangles().iter().map(|t| t.map(|v| v + first)));
    }
    Mesh::new(vertices, triangles).unwrap()
}

#[derive(Default)]
struct Tally {
    recovered: usize,
    ambiguous: usize,
    wrong: Vec<String>,
}

fn run(poses: usize, seed: u64, change: impl Fn(&Mesh, usize, &mut Random) -> Mesh, allowed_mm: f64) -> Tally {
    let shapes: Vec<(String, Mesh, MeshDistance)> =
        shapes().into_iter().map(|(name, m)| (name, refined(&m), MeshDistance::build(&m))).collect();
    let (mut noise, mut tally) = (Random(seed), Tally::default());
    for k in 0..poses {
        let (name, fine, nominal) = &shapes[k % shapes.len()];
        let changed = change(fine, k, &mut noise);
        let moved_by = noise.pose();
        let actual = map(&changed.moved(&moved_by), |p| p + Vector3::new(noise.normal(), noise.normal(), noise.normal()) * 0.010);
        let a = align::best_fit(nominal, &actual, None, &Runtime::cpu()).unwrap();
        // Posts pull a least-squares fit; what is to be found is the minimum that the true pose leads to.
        let settled = align::local_fit(nominal, &actual, &moved_by.inverse(), None, &Runtime::cpu()).unwrap();
        let (degrees, mm) = errors(nominal.mesh(), &a.nominal_from_actual, &settled.nominal_from_actual);
        let said =
            format!("{k} {name}: {degrees:.3} degrees, {mm:.3} mm, rms {:.4}, {:?} {:?}", a.rms_mm, a.second_best_rms_mm, a.ambiguities);
        if a.mirrored {
            tally.wrong.push(format!("called mirrored: {said}"));
        } else if mm <= allowed_mm {
            tally.recovered += 1;
        } else if a.ambiguous || !a.converged {
            tally.ambiguous += 1;
            println!("ambiguous: {said}");
        } else {
            tally.wrong.push(said);
        }
    }
    println!("{} recovered, {} ambiguous, {} wrong of {poses}: {:#?}", tally.recovered, tally.ambiguous, tally.wrong.len(), tally.wrong);
    tally
}

fn direction(noise: &mut Random) -> Vector3<f64> {
    Vector3::new(noise.normal(), noise.normal(), noise.normal()).normalize()
}

#[test]
fn parts_with_a_third_missing_or_supports_left_on_are_placed_or_called_ambiguous() {
    let change = |mesh: &Mesh, k: usize, noise: &mut Random| match (k / 10) % 2 {
        0 => broken(mesh, &direction(noise), 0.7),
        _ => supported(mesh),
    };
    let tally = run(if long() { 1000 } else { 20 }, 81, change, 0.05);
    assert!(tally.wrong.is_empty() && tally.recovered > 2 * tally.ambiguous, "{:#?}", tally.wrong);
}

#[test]
fn parts_of_which_hardly_more_than_half_is_there_are_placed_or_called_ambiguous() {
    let tally = run(if long() { 200 } else { 10 }, 82, |mesh, _, noise| broken(mesh, &direction(noise), 0.55), 0.05);
    assert!(tally.wrong.is_empty(), "{:#?}", tally.wrong);
}

#[test]
fn a_lattice_is_never_one_cell_off_without_a_word() {
    let nominal = lattice(1);
    let fine = lattice(3);
    let distance = MeshDistance::build(&nominal);
    let mut noise = Random(83);
    for k in 0..if long() { 60 } else { 4 } {
        // A face is cut off, so that the centroids do not point at each other.
        let part = alter::cropped(&fine, |p| p[k % 3] < 44.0).unwrap();
        let moved_by = noise.pose();
        let actual = map(&part.moved(&moved_by), |p| p + noise.vector() * 0.02);
        let a = align::best_fit(&distance, &actual, None, &Runtime::cpu()).unwrap();
        let (degrees, mm) = errors(&nominal, &a.nominal_from_actual, &moved_by.inverse());
        // The lattice is its own mirror image: where the search misses the pose and its reflection does not, that is what is said.
        assert!((degrees < 0.1 && mm < 0.1) || a.ambiguous || a.mirrored, "{k}: {degrees} degrees, {mm} mm, {:?}", a.ambiguities);
        // Started one cell (12 mm) off, the local fit stays there: what the shifts of the global search are for.
        let mut off = moved_by.inverse();
        off.translation[k % 3] += 12.0;
        let locked = align::local_fit(&distance, &actual, &off, None, &Runtime::cpu()).unwrap();
        println!("{k}: {mm:.4} mm; from one cell off {:.3} mm", errors(&nominal, &locked.nominal_from_actual, &moved_by.inverse()).1);
    }
}

#[test]
fn real_shapes_mirrored_are_called_mirrored() {
    for (name, mesh) in shapes().into_iter().filter(|(name, _)| name == "cage" || name == "bracket") {
        let vertices = mesh.vertices().iter().map(|p| Point3::new(p.x, -p.y, p.z)).collect();
        let mirrored = Mesh::new(vertices, mesh.triangles().iter().map(|t| [t[0], t[2], t[1]]).collect()).unwrap();
        let a = align::best_fit(&MeshDistance::build(&mesh), &mirrored.moved(&Random(84).pose()), None, &Runtime::cpu()).unwrap();
        assert!(a.mirrored, "{name}: {:?}", a.ambiguities);
    }
}
