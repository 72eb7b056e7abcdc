//! Distance against brute force, closed forms and hostile shapes.

mod support;

#[path = "distance/health.rs"]
mod health;

use nalgebra::{Point3, Vector3};
use verimetry_engine::distance::MeshDistance;
use verimetry_engine::distance::hausdorff::{self, Bracket, Within, slack_mm};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::runtime::Runtime;

use support::Random;

/// The distance by definition: the smallest over vertices, edge perpendiculars and face perpendiculars, each tested on its own.
fn brute_force(mesh: &Mesh, p: &Point3<f64>) -> f64 {
    let mut best = f64::INFINITY;
    for t in 0..mesh.triangles().len() {
        let q = mesh.corners(t);
        for k in 0..3 {
            let (a, b) = (q[k], q[(k + 1) % 3]);
            best = best.min((p - a).norm());
            let along = b - a;
            let t = (p - a).dot(&along) / along.norm_squared();
            if t > 0.0 && t < 1.0 {
                best = best.min((p - (a + along * t)).norm());
            }
        }
        // The face: solve the 2 × 2 normal equations for the foot.
        let (u, v, w) = (q[1] - q[0], q[2] - q[0], p - q[0]);
        let n = u.cross(&v);
        if n.norm() > 1e-3 * u.norm() * v.norm() {
            let (s, r) = (w.cross(&v).dot(&n) / n.norm_squared(), u.cross(&w).dot(&n) / n.norm_squared());
            if s > 0.0 && r > 0.0 && s + r < 1.0 {
                best = best.min(w.dot(&n).abs() / n.norm());
            }
        }
    }
    best
}

fn cuboid(min: [f64; 3], max: [f64; 3]) -> Mesh {
    let corner = |i: usize| Point3::new([min[0], max[0]][i & 1], [min[1], max[1]][i >> 1 & 1], [min[2], max[2]][i >> 2]);
    let quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
    let triangles = quads.iter().flat_map(|q| [[q[0], q[1], q[2]], [q[0], q[2], q[3]]]).collect();
    Mesh::new((0..8).map(corner).collect(), triangles).unwrap()
}

fn torus(big: f64, small: f64, rings: u32, sides: u32) -> Mesh {
    let turn = std::f64::consts::TAU;
    let vertices = (0..rings * sides)
        .map(|i| {
            let (u, v) = (turn * f64::from(i / sides) / f64::from(rings), turn * f64::from(i % sides) / f64::from(sides));
            let r = big + small * v.cos();
            Point3::new(r * u.cos(), r * u.sin(), small * v.sin())
        })
        .collect();
    let at = |i: u32, j: u32| (i % rings) * sides + j % sides;
    let triangles = (0..rings)
        .flat_map(|i| {
            (0..sides).flat_map(move |j| [[at(i, j), at(i + 1, j), at(i + 1, j + 1)], [at(i, j), at(i + 1, j + 1), at(i, j + 1)]])
        })
        .collect();
    Mesh::new(vertices, triangles).unwrap()
}

fn box_distance(p: &Point3<f64>, half: [f64; 3]) -> f64 {
    let q = Vector3::new(p.x.abs() - half[0], p.y.abs() - half[1], p.z.abs() - half[2]);
    q.sup(&Vector3::zeros()).norm() + q.max().min(0.0)
}

#[test]
fn a_box_is_measured_as_its_closed_form_inside_outside_and_on_every_feature() {
    let d = MeshDistance::build(&cuboid([-5.0, -3.0, -1.0], [5.0, 3.0, 1.0]));
    let mut noise = Random(1);
    let mut points: Vec<_> = (0..4000).map(|_| noise.point(8.0)).collect();
    for x in [-6.0, -5.0, 0.0, 5.0, 6.0] {
        for y in [-4.0, -3.0, 0.0, 3.0, 4.0] {
            points.extend([-2.0, -1.0, 0.0, 1.0, 2.0].map(|z| Point3::new(x, y, z)));
        }
    }
    for p in &points {
        let s = d.signed(p);
        assert!(s.sign_defined);
        assert!((s.distance_mm - box_distance(p, [5.0, 3.0, 1.0])).abs() < 1e-12, "{p} {s:?}");
        assert!(((p - s.point).norm() - s.distance_mm.abs()).abs() < 1e-12);
    }
    assert_eq!(d.contains(&Point3::origin()), Some(true));
    assert_eq!(d.contains(&Point3::new(5.1, 0.0, 0.0)), Some(false));
}

#[test]
fn a_torus_is_measured_as_by_brute_force_with_no_sign_error_also_300_mm_off_the_origin() {
    for offset in [0.0, 300.0] {
        let pose = verimetry_engine::frame::Pose { translation: Vector3::repeat(offset), ..verimetry_engine::frame::Pose::identity() };
        let mesh = torus(10.0, 3.0, 60, 31).moved(&pose);
        let d = MeshDistance::build(&mesh);
        let mut noise = Random(2);
        let mut points: Vec<_> = (0..400).map(|_| noise.point(15.0) + pose.translation).collect();
        points.extend(mesh.vertices().iter().take(100)); // on the surface itself
        points.extend((0..100).map(|t| nalgebra::center(&mesh.corners(t)[0], &mesh.corners(t)[1])));
        for p in &points {
            let (s, truth) = (d.signed(p), brute_force(&mesh, p));
            assert!((s.distance_mm.abs() - truth).abs() < 1e-9, "{p}: {} is {truth}", s.distance_mm);
            let q = p - pose.translation;
            let analytic = ((q.x * q.x + q.y * q.y).sqrt() - 10.0).hypot(q.z) - 3.0;
            assert!(s.sign_defined && (s.distance_mm - analytic).abs() < 0.06, "{p}: {} is {analytic}", s.distance_mm); // chord error of 31 sides: 3 (1 - cos 5.8°) + the rings'
        }
    }
}

#[test]
fn slivers_needles_and_degenerate_triangles_do_not_cost_a_digit() {
    let mut noise = Random(3);
    let mut vertices = Vec::new();
    for k in 0..200 {
        let a = noise.point(20.0);
        let along = (noise.point(1.0) - Point3::origin()).normalize() * noise.within(1.0, 10.0);
        let across = (noise.point(1.0) - Point3::origin()).normalize();
        let c = match k % 4 {
            0 => a + along * 0.5 + across * 1e-6, // cap
            1 => a + along + across * 1e-6,       // needle
            2 => a + along * 0.3,                 // on the edge
            _ => a,                               // doubled corner
        };
        vertices.extend([a, a + along, c]);
    }
    let triangles = (0..200).map(|t| [3 * t, 3 * t + 1, 3 * t + 2]).collect();
    let mesh = Mesh::new(vertices, triangles).unwrap();
    let d = MeshDistance::build(&mesh);
    for k in 0..2000 {
        let p = if k % 2 == 0 { noise.point(30.0) } else { mesh.vertices()[k % 600] + Vector3::new(1e-7, noise.within(-1.0, 1.0), 0.0) };
        let (near, truth) = (d.nearest(&p), brute_force(&mesh, &p));
        // Brute force leaves the faces of slivers out: they are within 1e-6 mm of an edge, and never farther than it.
        assert!(near.distance_mm <= truth + 1e-12 && near.distance_mm >= truth - 1.1e-6, "{p}: {} is {truth}", near.distance_mm);
        assert!(((p - near.point).norm() - near.distance_mm).abs() < 1e-12);
    }
}

#[test]
fn the_height_of_a_sliver_is_resolved_over_its_face() {
    // The plane through this cap is tilted by 45°: the foot on the face is nearer than any edge by a known amount.
    let h = 1e-5;
    let mesh = Mesh::new(vec![Point3::new(-5.0, 0.0, 0.0), Point3::new(5.0, 0.0, 0.0), Point3::new(0.0, h, h)], vec![[0, 1, 2]]).unwrap();
    let d = MeshDistance::build(&mesh);
    let inside = Point3::new(0.0, 0.25 * h, 0.25 * h);
    for height in [1e-6, 1e-3, 1.0, 100.0] {
        let p = inside + Vector3::new(0.0, -height, height) / 2.0_f64.sqrt();
        assert!((d.nearest(&p).distance_mm - height).abs() < 1e-12 * height.max(1.0), "{height}");
    }
}

#[test]
fn equally_near_triangles_give_the_smallest_id_whatever_the_order() {
    let mesh = cuboid([-1.0; 3], [1.0; 3]);
    let d = MeshDistance::build(&mesh);
    let p = Point3::origin();
    assert_eq!(d.nearest(&p).triangle, 0);
    let doubled = Mesh::new(mesh.vertices().to_vec(), [mesh.triangles(), mesh.triangles()].concat()).unwrap();
    let d = MeshDistance::build(&doubled);
    let mut noise = Random(5);
    for _ in 0..500 {
        assert!(d.nearest(&noise.point(3.0)).triangle < 12);
    }
}

#[test]
fn many_points_give_the_same_bits_as_one_by_one_on_one_thread_and_on_many() {
    let d = MeshDistance::build(&torus(10.0, 3.0, 90, 40));
    let mut noise = Random(6);
    let points: Vec<_> = (0..5000).map(|_| noise.point(14.0)).collect();
    let on = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| d.signed_all(&points, &Runtime::cpu()).unwrap())
    };
    let (one, many) = (on(1), on(5));
    for ((p, a), b) in points.iter().zip(&one).zip(&many) {
        assert_eq!(a, b);
        assert_eq!(*a, d.signed(p));
    }
}

#[test]
fn an_open_surface_has_a_side_only_where_it_goes_round_the_point() {
    let mesh = cuboid([-1.0; 3], [1.0; 3]);
    let lidless =
        Mesh::new(mesh.vertices().to_vec(), mesh.triangles()[..2].iter().chain(&mesh.triangles()[4..]).copied().collect()).unwrap();
    let d = MeshDistance::build(&lidless);
    assert!(!d.is_closed_and_oriented());
    assert_eq!(d.contains(&Point3::new(0.0, 0.0, -0.9)), Some(true));
    assert_eq!(d.contains(&Point3::new(0.0, 0.0, 9.0)), Some(false));
    assert_eq!(d.contains(&Point3::new(0.0, 0.0, 1.0)), None);
    let sheet = Mesh::new(mesh.vertices().to_vec(), mesh.triangles()[..2].to_vec()).unwrap();
    assert_eq!(MeshDistance::build(&sheet).contains(&Point3::new(0.0, 0.0, -0.9)), None);
}

#[test]
fn winding_numbers_of_far_groups_decide_as_the_exact_sum_does() {
    // One missing triangle opens the torus, so that every sign comes from the winding number.
    let whole = torus(10.0, 3.0, 90, 40);
    let open = Mesh::new(whole.vertices().to_vec(), whole.triangles()[1..].to_vec()).unwrap();
    let (whole, open) = (MeshDistance::build(&whole), MeshDistance::build(&open));
    let mut noise = Random(8);
    let hole = whole.mesh().corners(0)[0];
    for _ in 0..2000 {
        let p = noise.point(14.0);
        if (p - hole).norm() > 2.0 {
            assert_eq!(open.contains(&p), whole.contains(&p), "{p}");
        }
    }
}

#[test]
fn two_solids_that_touch_in_an_edge_keep_their_signs() {
    let (a, b) = (cuboid([0.0; 3], [1.0; 3]), cuboid([1.0, 1.0, 0.0], [2.0, 2.0, 1.0]));
    // Weld the shared edge (1, 1, 0..1): four triangles meet there.
    let mut vertices = a.vertices().to_vec();
    let index: Vec<u32> = b
        .vertices()
        .iter()
        .map(|p| {
            vertices.iter().position(|q| q == p).unwrap_or_else(|| {
                vertices.push(*p);
                vertices.len() - 1
            }) as u32
        })
        .collect();
    let triangles = a.triangles().iter().copied().chain(b.triangles().iter().map(|t| t.map(|v| index[v as usize]))).collect();
    let d = MeshDistance::build(&Mesh::new(vertices, triangles).unwrap());
    assert!(d.is_closed_and_oriented());
    for (p, inside) in [
        ([0.95, 0.95, 0.5], true),
        ([1.05, 1.05, 0.5], true),
        ([0.95, 1.05, 0.5], false),
        ([1.05, 0.95, 0.5], false),
        ([0.9, 1.1, 1.0], false),
    ] {
        assert_eq!(d.contains(&Point3::from(p)), Some(inside), "{p:?}");
    }
}

/// Distance to a triangle as the smallest over the segments from one corner to the opposite edge. It is convex along the edge,
/// so a ternary search finds it, and nothing in it knows of faces or normals.
fn by_ternary_search(p: &Point3<f64>, [a, b, c]: &[Point3<f64>; 3]) -> f64 {
    let to_segment = |end: Point3<f64>| {
        let along = end - c;
        let t = if along.norm_squared() > 0.0 { ((p - c).dot(&along) / along.norm_squared()).clamp(0.0, 1.0) } else { 0.0 };
        (c + along * t - p).norm()
    };
    let at = |s: f64| to_segment(a + (b - a) * s);
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..90 {
        let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if at(left) <= at(right) { high = right } else { low = left }
    }
    at(low).min(at(high)).min(at(0.0)).min(at(1.0))
}

#[test]
fn hostile_triangles_are_measured_to_a_billionth_of_a_millimetre_also_300_mm_off_the_origin() {
    for (seed, offset) in [(11, 0.0), (12, 300.0)] {
        let mut noise = Random(seed);
        let shift = Vector3::repeat(offset);
        let mut vertices = Vec::new();
        for k in 0..160 {
            let a = noise.point(10.0) + shift;
            let along = (noise.point(1.0) - Point3::origin()).normalize() * noise.within(1.0, 10.0);
            let aside = along.cross(&(noise.point(1.0) - Point3::origin())).normalize() * along.norm();
            vertices.extend(match k % 8 {
                0 => [a, a + along, a + along * 0.4 + aside * 1e-6],                  // cap
                1 => [a, a + along, a + along + aside * 1e-6],                        // needle
                2 => [a, a + along, a + along * 0.5],                                 // on a line
                3 => [a, a + along, a],                                               // doubled corner
                4 => [a, a, a],                                                       // a point
                5 => [a, a + along, a + aside],                                       // well shaped
                6 => [a, a + along * 1e-7, a + aside * 1e-7],                         // tiny
                _ => [vertices[3 * k - 6], vertices[3 * k - 5], vertices[3 * k - 4]], // the well shaped one again
            });
        }
        // A fan of coplanar triangles.
        let centre = Point3::from(shift);
        for k in 0..12 {
            let at = |k: i32| centre + Vector3::new((f64::from(k) * 0.5).cos(), (f64::from(k) * 0.5).sin(), 0.0) * 4.0;
            vertices.extend([centre, at(k), at(k + 1)]);
        }
        let triangles = (0..vertices.len() as u32 / 3).map(|t| [3 * t, 3 * t + 1, 3 * t + 2]).collect();
        let mesh = Mesh::new(vertices, triangles).unwrap();
        let d = MeshDistance::build(&mesh);
        let mut points: Vec<_> = (0..200).map(|_| noise.point(14.0) + shift).collect();
        for t in 0..mesh.triangles().len() {
            let [a, b, c] = mesh.corners(t);
            let normal = (b - a).cross(&(c - a)).try_normalize(0.0).unwrap_or_else(Vector3::x);
            points.extend([
                a,
                nalgebra::center(&b, &c),
                nalgebra::center(&a, &nalgebra::center(&b, &c)) + normal * noise.within(-1e-4, 1e-4),
            ]);
        }
        for p in &points {
            let truth = (0..mesh.triangles().len()).map(|t| by_ternary_search(p, &mesh.corners(t))).fold(f64::INFINITY, f64::min);
            let near = d.nearest(p);
            assert!((near.distance_mm - truth).abs() < 1e-9, "{p}: {near:?} is {truth}");
            assert!((by_ternary_search(&near.point, &mesh.corners(near.triangle as usize))) < 1e-9, "{near:?} is not on its triangle");
        }
        let together = d.nearest_all(&points, &Runtime::cpu()).unwrap();
        assert!(points.iter().zip(&together).all(|(p, n)| d.nearest(p) == *n));
    }
}

#[test]
fn sharp_tetrahedra_have_no_sign_error_about_their_edges_and_corners() {
    let mut noise = Random(21);
    for k in 0..300 {
        let flat = [1.0, 1e-2, 1e-4][k % 3];
        let mut q: Vec<_> = (0..4).map(|_| noise.point(5.0)).map(|p| Point3::new(p.x, p.y, p.z * flat)).collect();
        let side = |a: &Point3<f64>, b: &Point3<f64>, c: &Point3<f64>, p: &Point3<f64>| (b - a).cross(&(c - a)).dot(&(p - a));
        if side(&q[0], &q[1], &q[2], &q[3]) > 0.0 {
            q.swap(0, 1); // now corner 3 lies below the face 0 1 2, whose outside is above
        }
        let mesh = Mesh::new(q.clone(), vec![[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]]).unwrap();
        let d = MeshDistance::build(&mesh);
        for i in 0..200 {
            let near = match i % 4 {
                0 => q[i / 4 % 4],
                1 => nalgebra::center(&q[i / 4 % 4], &q[(i / 4 + 1) % 4]),
                _ => Point3::from(q.iter().map(|p| p.coords).sum::<Vector3<f64>>() / 4.0),
            };
            let p = near + (noise.point(1.0) - Point3::origin()) * [0.01, 1.0, 5.0][i % 3];
            let heights = mesh.triangles().iter().map(|t| {
                let [a, b, c] = t.map(|v| q[v as usize]);
                side(&a, &b, &c, &p) / (b - a).cross(&(c - a)).norm()
            });
            let outside = heights.fold(f64::NEG_INFINITY, f64::max);
            let s = d.signed(&p);
            if outside.abs() > 1e-9 {
                assert!(s.sign_defined && (s.distance_mm > 0.0) == (outside > 0.0), "{p}: {s:?}, {outside} outside");
            }
        }
    }
}

#[test]
fn a_wall_of_a_nanometre_keeps_its_sides_apart() {
    let half = [5.0, 4.0, 5e-7];
    let d = MeshDistance::build(&cuboid(half.map(|h| -h), half));
    let mut noise = Random(22);
    for k in 0..3000 {
        let mut p = noise.point(6.0);
        p.z *= [1.0, 1e-3, 1e-7][k % 3];
        let (s, truth) = (d.signed(&p), box_distance(&p, half));
        assert!(s.sign_defined && (s.distance_mm - truth).abs() < 1e-12, "{p}: {s:?} is {truth}");
    }
}

fn directed(from: &Mesh, to: &Mesh) -> Bracket {
    let bracket = hausdorff::directed(from, &MeshDistance::build(to), None, &Runtime::cpu()).unwrap().unwrap();
    assert!(bracket.upper_mm - bracket.lower_mm <= slack_mm(bracket.lower_mm) + 1e-12, "{bracket:?}");
    let attained = MeshDistance::build(to).nearest(&bracket.at).distance_mm;
    assert_eq!(attained, bracket.lower_mm);
    bracket
}

fn encloses(bracket: &Bracket, truth: f64) -> bool {
    bracket.lower_mm <= truth + 1e-12 && truth <= bracket.upper_mm + 1e-12
}

#[test]
fn hausdorff_bounds_enclose_closed_forms_of_nested_boxes_both_ways() {
    let (inner, outer) = (cuboid([-2.0; 3], [2.0; 3]), cuboid([-3.0; 3], [3.0; 3]));
    assert!(encloses(&directed(&outer, &inner), 3.0_f64.sqrt()));
    assert!(encloses(&directed(&inner, &outer), 1.0));
    let same = directed(&inner, &inner);
    assert!(same.lower_mm == 0.0 && same.upper_mm <= slack_mm(0.0));
}

#[test]
fn a_hausdorff_distance_between_the_corners_is_found_where_every_corner_lies_on_the_other_surface() {
    // A lid between two walls: its corners touch them, its middle is 1 mm from both.
    let p = |x: f64, y: f64, z: f64| Point3::new(x, y, z);
    let wall = |x: f64| [p(x, -9.0, -9.0), p(x, 9.0, -9.0), p(x, 9.0, 9.0), p(x, -9.0, 9.0)];
    let walls = Mesh::new([wall(-1.0), wall(1.0)].concat(), vec![[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]).unwrap();
    let lid =
        Mesh::new(vec![p(-1.0, -1.0, 0.0), p(1.0, -1.0, 0.0), p(1.0, 1.0, 0.0), p(-1.0, 1.0, 0.0)], vec![[0, 1, 2], [0, 2, 3]]).unwrap();
    let bracket = directed(&lid, &walls);
    assert!(encloses(&bracket, 1.0) && bracket.at.x.abs() < 0.01, "{bracket:?}");
    // Only what lies within half a millimetre of the left wall.
    let within = Within { contains: &|p| p.x <= -0.5, step_mm: 0.01 };
    let part = hausdorff::directed(&lid, &MeshDistance::build(&walls), Some(within), &Runtime::cpu()).unwrap().unwrap();
    assert!(part.lower_mm <= 0.5 && 0.5 <= part.upper_mm && part.upper_mm < 0.515, "{part:?}");
    let nowhere = Within { contains: &|_| false, step_mm: 0.01 };
    assert_eq!(hausdorff::directed(&lid, &MeshDistance::build(&walls), Some(nowhere), &Runtime::cpu()).unwrap(), None);
}

#[test]
fn hausdorff_bounds_enclose_dense_sampling_and_do_not_depend_on_threads() {
    let (a, b) = (torus(10.0, 3.0, 24, 13), torus(10.2, 3.1, 31, 17));
    let bracket = directed(&a, &b);
    let d = MeshDistance::build(&b);
    let mut sampled = 0.0_f64;
    for t in 0..a.triangles().len() {
        let [p, q, r] = a.corners(t);
        for i in 0..=12 {
            for j in 0..=12 - i {
                sampled = sampled.max(d.nearest(&(p + (q - p) * (f64::from(i) / 12.0) + (r - p) * (f64::from(j) / 12.0))).distance_mm);
            }
        }
    }
    assert!(sampled <= bracket.upper_mm && bracket.upper_mm < sampled + 0.02, "{bracket:?}, {sampled}");
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| directed(&a, &b));
    assert_eq!(on(1), on(5));
}

#[test]
fn points_beyond_all_measure_are_answered_too() {
    let mesh = cuboid([-1.0; 3], [1.0; 3]);
    let d = MeshDistance::build(&mesh);
    for far in [1e9, 1e20, 1e100] {
        // Where f64 cannot hold the part beside the point, only the size is left.
        let s = d.nearest(&Point3::new(far, 0.25, 0.5));
        assert!((s.distance_mm / far - 1.0).abs() < 1e-8, "{s:?}");
    }
    assert!(d.signed(&Point3::new(f64::NAN, 0.0, 0.0)).distance_mm.is_nan());
}
