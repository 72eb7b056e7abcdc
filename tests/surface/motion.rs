//! Refinement turns no triangle over and lets none cross another: by brute force over all pairs of triangles that come near each other.

use std::collections::HashMap;

use nalgebra::{Point3, Vector3};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::surface::{Determined, Keep, Method, Options};
use verimetry_engine::volume::Volume;

use super::{determine_with, euler_of_closed, grid, normal, volume};

/// Pairs of triangles that cross, found anew: every edge against every triangle of the same and the neighbouring cells of two units.
fn crossings(mesh: &Mesh) -> usize {
    let key = |p: Point3<f64>| p.coords.map(|x| (x / 2.0).floor() as i64);
    let middle = |t: usize| Point3::from(mesh.corners(t).iter().map(|p| p.coords).sum::<Vector3<f64>>() / 3.0);
    let mut cells: HashMap<[i64; 3], Vec<usize>> = HashMap::new();
    for t in 0..mesh.triangles().len() {
        cells.entry(key(middle(t)).into()).or_default().push(t);
    }
    let pierces = |[p, q]: [u32; 2], t: usize| {
        let tri = mesh.triangles()[t];
        if tri.contains(&p) || tri.contains(&q) {
            return false;
        }
        // Möller and Trumbore (1997).
        let (p, q) = (mesh.vertices()[p as usize], mesh.vertices()[q as usize]);
        let [a, b, c] = mesh.corners(t);
        let (d, e1, e2) = (q - p, b - a, c - a);
        let h = d.cross(&e2);
        let det = e1.dot(&h);
        let s = p - a;
        let (u, w) = (s.dot(&h) / det, s.cross(&e1));
        let (v, at) = (d.dot(&w) / det, e2.dot(&w) / det);
        det != 0.0 && u > 1e-9 && v > 1e-9 && u + v < 1.0 - 1e-9 && at > 1e-9 && at < 1.0 - 1e-9
    };
    let mut found = 0;
    for (t, tri) in mesh.triangles().iter().enumerate() {
        let k = key(middle(t));
        for n in 0..27 {
            let cell = [k.x + n % 3 - 1, k.y + n / 3 % 3 - 1, k.z + n / 9 - 1];
            for &other in cells.get(&cell).into_iter().flatten() {
                let shared = tri.iter().filter(|v| mesh.triangles()[other].contains(v)).count();
                if shared < 2 && other != t {
                    found += (0..3).filter(|&e| pierces([tri[e], tri[(e + 1) % 3]], other)).count();
                }
            }
        }
    }
    found
}

fn both(ct: Volume<u16>) -> [Determined; 2] {
    [Method::Iso50, Method::Adaptive].map(|method| determine_with(ct.clone(), &Options { method, keep: Keep::All, ..Options::default() }))
}

#[test]
fn refining_rough_noisy_surfaces_turns_and_crosses_nothing() {
    let lattice = |p: Point3<f64>| {
        (0.45 * p.x).sin() * (0.45 * p.y).cos() + (0.45 * p.y).sin() * (0.45 * p.z).cos() + (0.45 * p.z).sin() * (0.45 * p.x).cos()
    };
    for (name, noise, sharpness) in [("lattice", 0.05, 2.0), ("rough lattice", 0.12, 1.2), ("rubble", 0.2, 3.0)] {
        let ct = volume(grid([40; 3]), |p, n| {
            let share = (0.5 + sharpness * 0.5 * lattice(p)).clamp(0.0, 1.0);
            (20000.0 + 20000.0 * (share + noise * normal(3, n))).round() as u16
        });
        let [before, after] = both(ct);
        assert_eq!(before.mesh.triangles(), after.mesh.triangles());
        assert_eq!(euler_of_closed(&before.mesh), euler_of_closed(&after.mesh));
        let turned = (0..before.mesh.triangles().len())
            .filter(|&t| {
                before.mesh.area_vector(t).dot(&after.mesh.area_vector(t)) <= 0.0 && before.mesh.corners(t) != after.mesh.corners(t)
            })
            .count();
        let crossed = [&before, &after].map(|d| crossings(&d.mesh));
        let moved = before.mesh.vertices().iter().zip(after.mesh.vertices()).filter(|(a, b)| a != b).count();
        println!("{name}: {} triangles, {moved} vertices moved, {turned} turned, crossings {crossed:?}", before.mesh.triangles().len());
        assert!(moved * 2 > before.mesh.vertices().len(), "{name}");
        assert_eq!((turned, crossed[1]), (0, crossed[0]), "{name}");
    }
}
