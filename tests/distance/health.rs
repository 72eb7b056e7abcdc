//! Self-intersections against rational arithmetic, and on meshes whose count is known.

use std::time::Instant;

use nalgebra::{Point3, Vector3};
use verimetry_engine::health::{self, Health};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::phantom::parts;

use super::cuboid;
use super::support::{Random, together};

/// Homogeneous whole coordinates x, y, z, w with w > 0.
type Exact = [i128; 4];

/// The corners of what two triangles have in common: one is clipped by the plane of the other, from both sides, and by the three planes that
/// stand on its edges.
fn common(a: &[[i64; 3]; 3], b: &[[i64; 3]; 3]) -> Vec<Exact> {
    let minus = |p: [i64; 3], q: [i64; 3]| [0, 1, 2].map(|k| i128::from(p[k] - q[k]));
    let cross = |p: [i128; 3], q: [i128; 3]| [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
    let normal = cross(minus(b[1], b[0]), minus(b[2], b[0]));
    let half_space = |n: [i128; 3], at: [i64; 3]| [n[0], n[1], n[2], -(0..3).map(|k| n[k] * i128::from(at[k])).sum::<i128>()];
    let edges = [0, 1, 2].map(|k| half_space(cross(normal, minus(b[(k + 1) % 3], b[k])), b[k]));
    let planes = [half_space(normal, b[0]), half_space(normal.map(|x| -x), b[0]), edges[0], edges[1], edges[2]];
    planes.iter().fold(a.iter().map(|p| [p[0].into(), p[1].into(), p[2].into(), 1]).collect(), |polygon, plane| clipped(&polygon, plane))
}

fn clipped(polygon: &[Exact], plane: &[i128; 4]) -> Vec<Exact> {
    let height = |p: &Exact| (0..4).map(|k| p[k] * plane[k]).sum::<i128>();
    let mut kept = vec![];
    for (i, p) in polygon.iter().enumerate() {
        let q = &polygon[(i + 1) % polygon.len()];
        let (hp, hq) = (height(p), height(q));
        if hp >= 0 {
            kept.push(*p);
        }
        if hp.signum() * hq.signum() < 0 {
            let (u, v) = (hp.abs(), hq.abs()); // p·hq + q·hp, whose height is 0
            kept.push(reduced([0, 1, 2, 3].map(|k| p[k] * v + q[k] * u)));
        }
    }
    kept
}

fn reduced(p: Exact) -> Exact {
    fn divisor(a: i128, b: i128) -> i128 {
        if b == 0 { a.abs() } else { divisor(b, a % b) }
    }
    let all = p.iter().fold(0, |d, &x| divisor(d, x));
    p.map(|x| x / all)
}

fn has_area(t: &[[i64; 3]; 3]) -> bool {
    let [p, q] = [1, 2].map(|i| [0, 1, 2].map(|k| t[i][k] - t[0][k]));
    p[1] * q[2] != p[2] * q[1] || p[2] * q[0] != p[0] * q[2] || p[0] * q[1] != p[1] * q[0]
}

/// By definition: a common point that is neither a shared corner nor on the edge between two shared corners.
fn intersect(a: &[[i64; 3]; 3], b: &[[i64; 3]; 3]) -> bool {
    let shared: Vec<[i64; 3]> = a.iter().copied().filter(|p| b.contains(p)).collect();
    let is = |p: &Exact, q: &[i64; 3]| (0..3).all(|k| p[k] == p[3] * i128::from(q[k]));
    let between = |p: &Exact| {
        let along = [0, 1, 2].map(|k| i128::from(shared[1][k] - shared[0][k]));
        let from = [0, 1, 2].map(|k| p[k] - p[3] * i128::from(shared[0][k]));
        (0..3).all(|k| from[(k + 1) % 3] * along[(k + 2) % 3] == from[(k + 2) % 3] * along[(k + 1) % 3])
    };
    has_area(a)
        && has_area(b)
        && match shared.len() {
            3 => true,
            2 => common(a, b).iter().any(|p| !between(p)),
            1 => common(a, b).iter().any(|p| !is(p, &shared[0])),
            _ => !common(a, b).is_empty(),
        }
}

fn mesh_of(places: &[[i64; 3]], triangles: &[[u32; 3]], to_mm: impl Fn(&[i64; 3]) -> Point3<f64>) -> Mesh {
    Mesh::new(places.iter().map(to_mm).collect(), triangles.to_vec()).unwrap()
}

#[test]
fn random_soups_have_the_self_intersections_that_rational_arithmetic_finds() {
    let (mut random, mut shares) = (Random(11), [0; 4]);
    for (round, &(side, count)) in [(3, 24), (4, 60), (8, 150), (40, 300), (40, 9)].iter().cycle().take(40).enumerate() {
        let below = |n: usize, random: &mut Random| ((random.unit() * n as f64) as usize).min(n - 1);
        let places: Vec<[i64; 3]> = (0..count / 2 + 3).map(|_| [0; 3].map(|_: i64| below(side, &mut random) as i64)).collect();
        // Some lie in one plane, where everything is degenerate.
        let places: Vec<_> = places.into_iter().map(|[x, y, z]| if round % 3 == 0 { [x, y, x + y] } else { [x, y, z] }).collect();
        let triangles: Vec<[u32; 3]> = (0..count).map(|_| [0; 3].map(|_: u32| below(places.len(), &mut random) as u32)).collect();
        let corners = |t: &[u32; 3]| t.map(|v| places[v as usize]);
        let (mut known, mut first) = (0, None);
        for i in 0..count {
            for j in i + 1..count {
                let duplicate =
                    triangles[i].iter().all(|v| triangles[j].contains(v)) && triangles[j].iter().all(|v| triangles[i].contains(v));
                if !duplicate && intersect(&corners(&triangles[i]), &corners(&triangles[j])) {
                    known += 1;
                    first.get_or_insert(i);
                    shares[corners(&triangles[i]).iter().filter(|p| corners(&triangles[j]).contains(p)).count()] += 1;
                }
            }
        }
        // Moved far from the origin and scaled by thirds nothing would be exact; by a quarter everything is.
        let mesh = mesh_of(&places, &triangles, |p| Point3::new(p[0] as f64 * 0.25 + 300.0, p[1] as f64 * 0.25, p[2] as f64 * 0.25));
        let found = health::examine(&mesh);
        assert_eq!((found.self_intersections.count, found.more_self_intersections), (known, false), "round {round}");
        let centre = first.map(|t: usize| nalgebra::center(&mesh.corners(t)[0], &mesh.corners(t)[0]));
        assert_eq!(found.self_intersections.first_mm.is_some(), centre.is_some());
        if let (Some(place), Some(t)) = (found.self_intersections.first_mm, first) {
            let corners = mesh.corners(t);
            let middle = (corners[0].coords + corners[1].coords + corners[2].coords) / 3.0;
            assert_eq!(Vector3::from(place), middle);
        }
    }
    assert!(shares.iter().all(|&n| n > 20), "pairs by corners shared: {shares:?}");
}

fn crossings(mesh: &Mesh) -> usize {
    let Health { self_intersections, more_self_intersections, .. } = health::examine(mesh);
    assert!(!more_self_intersections);
    self_intersections.count
}

#[test]
fn boxes_that_go_through_each_other_cross_in_as_many_pairs_as_drawn() {
    // A bar through the middle of a box.
    let (block, bar) = (cuboid([0.0; 3], [4.0, 4.0, 4.0]), cuboid([1.0, 1.7, -1.0], [3.0, 2.2, 5.0]));
    let known = (0..12).flat_map(|i| (0..12).map(move |j| (i, j)));
    let known = known.filter(|&(i, j)| proper(&block.corners(i), &bar.corners(j))).count();
    assert!(known > 8, "{known}");
    assert_eq!(crossings(&together(&[block.clone(), bar])), known);
    // Beside each other, within each other, and with faces that touch from outside.
    assert_eq!(crossings(&together(&[block.clone(), cuboid([5.0, 0.0, 0.0], [6.0, 1.0, 1.0])])), 0);
    assert_eq!(crossings(&together(&[block.clone(), cuboid([1.0; 3], [2.0, 3.0, 2.0])])), 0);
    assert!(crossings(&together(&[block, cuboid([4.0, 1.0, 1.0], [5.0, 2.0, 2.0])])) > 0);
}

/// An edge of one goes through the inside of the other, by signs of volumes.
fn proper(a: &[Point3<f64>; 3], b: &[Point3<f64>; 3]) -> bool {
    let volume = |p: &Point3<f64>, q: &Point3<f64>, r: &Point3<f64>, s: &Point3<f64>| (q - p).cross(&(r - p)).dot(&(s - p));
    let through = |e: [&Point3<f64>; 2], t: &[Point3<f64>; 3]| {
        let turns = [0, 1, 2].map(|k| volume(e[0], e[1], &t[k], &t[(k + 1) % 3]));
        volume(&t[0], &t[1], &t[2], e[0]) * volume(&t[0], &t[1], &t[2], e[1]) < 0.0
            && (turns.iter().all(|&x| x > 0.0) || turns.iter().all(|&x| x < 0.0))
    };
    (0..3).any(|k| through([&a[k], &a[(k + 1) % 3]], b) || through([&b[k], &b[(k + 1) % 3]], a))
}

#[test]
fn balls_that_overlap_cross_along_their_circle_and_nowhere_else() {
    // Not each other's mirror image: edges would meet edges.
    let ball = |centre: [f64; 3], radius| parts::ball(Point3::from(centre), radius, 40).mesh;
    let (one, other) = (ball([0.0; 3], 10.0), ball([7.3, 0.31, -0.17], 9.6));
    let pairs = (0..one.triangles().len()).flat_map(|i| (0..other.triangles().len()).map(move |j| (i, j)));
    let near = |c: &[Point3<f64>; 3]| c.iter().any(|p| (p.x - 4.1).abs() < 2.0);
    let known =
        pairs.filter(|&(i, j)| near(&one.corners(i)) && near(&other.corners(j)) && proper(&one.corners(i), &other.corners(j))).count();
    assert!(known > 100);
    let both = together(&[one, other]);
    let found = health::examine(&both);
    assert_eq!(found.self_intersections.count, known);
    assert!(found.self_intersections.first_mm.is_some_and(|p| (p[0] - 4.1).abs() < 2.0), "{found:?}");
    let finding = found.findings().into_iter().find(|f| f.code == "mesh.self_intersecting").unwrap();
    assert!(finding.message.starts_with(&format!("{known} pairs of triangles cross or touch")), "{}", finding.message);
}

#[test]
fn clean_meshes_have_no_self_intersections_however_flat_or_slender() {
    assert_eq!(crossings(&parts::ball(Point3::new(300.0, -200.0, 100.0), 5.0, 64).mesh), 0);
    // A tall prism of 2000 slivers, tilted, whose caps are fans about one vertex.
    assert_eq!(crossings(&parts::cylinder(Point3::origin(), 3.0, 90.0, 2000, 1).mesh), 0);
    let turned = verimetry_engine::frame::Pose::from_rotation_vector(Vector3::new(0.3, -0.5, 0.2), Vector3::zeros());
    assert_eq!(crossings(&parts::cylinder(Point3::origin(), 3.0, 9.0, 500, 20).mesh.moved(&turned)), 0);
    for name in ["design.stl", "site.stl"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cage").join(name);
        assert_eq!(crossings(&verimetry_engine::io::load_mesh(&path).unwrap().mesh), 0, "{name}");
    }
}

#[test]
fn a_mesh_that_lies_over_itself_everywhere_ends_early_and_says_so() {
    // All triangles go through the middle.
    let (mut random, count) = (Random(5), 200_000);
    let mut vertices = Vec::with_capacity(3 * count);
    for _ in 0..count {
        let mut far = || Vector3::from([0; 3].map(|_: u8| random.unit() * 2.0 - 1.0));
        let (p, q) = (far(), far());
        vertices.extend([p, q, -(p + q)].map(Point3::from));
    }
    let triangles = (0..count as u32).map(|t| [3 * t, 3 * t + 1, 3 * t + 2]).collect();
    let mesh = Mesh::new(vertices, triangles).unwrap();
    let start = Instant::now();
    let found = health::examine(&mesh);
    eprintln!("{count} triangles through one point: {:.1} s, {} pairs", start.elapsed().as_secs_f64(), found.self_intersections.count);
    assert!(found.more_self_intersections && found.self_intersections.count > 100_000);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(one.install(|| health::examine(&mesh)), found);
}
