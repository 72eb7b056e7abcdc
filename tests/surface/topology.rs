//! The surface of a single cell against the trilinear interpolant, sampled densely.

use super::*;
use crate::support::Random;

/// Inside parts of the interpolant in a cell and their Euler number, by counting a lattice of `n` points an edge: corners less edges plus squares
/// less cubes whose points are all inside.
fn counted(values: &[f64; 8], n: usize) -> (usize, i64) {
    let at = |i: usize| i as f64 / (n - 1) as f64;
    let mut inside = vec![false; n * n * n];
    for (place, is) in inside.iter_mut().enumerate() {
        let [x, y, z] = [place % n, place / n % n, place / n / n].map(at);
        let along_x = |c: usize| values[c] + x * (values[c + 1] - values[c]);
        let in_slice = |c: usize| along_x(c) + y * (along_x(c + 2) - along_x(c));
        *is = in_slice(0) + z * (in_slice(4) - in_slice(0)) >= 0.0;
    }
    let steps = [1, n, n * n];
    let mut euler = 0i64;
    let mut part: Vec<usize> = (0..inside.len()).collect();
    fn root(part: &mut [usize], mut p: usize) -> usize {
        while part[p] != p {
            part[p] = part[part[p]];
            p = part[p];
        }
        p
    }
    for place in (0..inside.len()).filter(|&p| inside[p]) {
        let room = [place % n, place / n % n, place / n / n].map(|x| x + 1 < n);
        for axes in 0..8usize {
            let spans = (0..3).all(|a| axes >> a & 1 == 0 || room[a]);
            let offset = |corner: usize| (0..3).map(|a| (corner >> a & 1) * steps[a]).sum::<usize>();
            if spans && (0..8).filter(|c| c & !axes == 0).all(|c| inside[place + offset(c)]) {
                euler += if axes.count_ones() % 2 == 0 { 1 } else { -1 };
                if axes.count_ones() == 1 {
                    let (a, b) = (root(&mut part, place), root(&mut part, place + offset(axes)));
                    part[a.max(b)] = a.min(b);
                }
            }
        }
    }
    ((0..part.len()).filter(|&p| inside[p] && part[p] == p).count(), euler)
}

/// Connected parts of a mesh.
fn shells(mesh: &Mesh) -> usize {
    let mut part: Vec<usize> = (0..mesh.vertices().len()).collect();
    for _ in 0..part.len() {
        let before = part.clone();
        for t in mesh.triangles() {
            let least = t.iter().map(|&v| part[v as usize]).min().unwrap();
            t.iter().for_each(|&v| part[v as usize] = least);
        }
        if part == before {
            break;
        }
    }
    (0..part.len()).filter(|&v| part[v] == v).count()
}

#[test]
fn the_surface_of_every_cell_has_the_parts_and_tunnels_of_the_trilinear_interpolant() {
    let (draws, fine) = if std::env::var("VERIMETRY_LONG").is_ok_and(|v| v == "1") { (2000, 48) } else { (40, 28) };
    let mut random = Random(4);
    let (mut compared, mut unclear, mut tunnels) = (0, 0, 0);
    for pattern in 1..=255usize {
        for _ in 0..draws {
            // Sizes over more than two decades, so that faces and interiors are decided either way.
            let values: [f64; 8] = std::array::from_fn(|c| {
                let size = libm::exp(5.0 * random.unit() - 2.5);
                if pattern >> c & 1 == 1 { size } else { -size }
            });
            let (coarse, truth) = (counted(&values, fine / 2), counted(&values, fine));
            if coarse != truth || has_close_face(&values) {
                unclear += 1; // something thinner than the lattice
                continue;
            }
            let v = volume(grid([2; 3]), |_, n| values[n]);
            let mesh = surface::iso_surface(&v, 0.0, &Runtime::cpu()).unwrap();
            // The boundary of a solid has twice its Euler number; beyond the cell the solid only grows outwards. Nothing that is outside is
            // closed in, so every part has one shell.
            let found = (shells(&mesh), euler_of_closed(&mesh));
            assert_eq!(found, (truth.0, 2 * truth.1), "{values:?}");
            compared += 1;
            let discs = [0, 1].map(|sign| boundary_parts(&values, sign == 1));
            tunnels += usize::from(truth.0 < discs[1] || truth.1 < truth.0 as i64);
        }
    }
    println!("{compared} cells compared, {tunnels} with a tunnel, {unclear} too close to tell");
    assert!(tunnels * 200 > compared && unclear * 5 < compared);
}

const FACES: [[usize; 4]; 6] = [[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]];

/// Whether a bridge across a face is so thin, or its gap so narrow, that a lattice can miss it.
fn has_close_face(values: &[f64; 8]) -> bool {
    FACES.iter().any(|face| {
        let [a, b, c, d] = face.map(|corner| values[corner]);
        let (p, q) = (a * c, b * d);
        a * b < 0.0 && p > 0.0 && q > 0.0 && (p - q).abs() < 0.2 * p.max(q)
    })
}

/// Inside or outside parts of the cell as its six faces show them.
fn boundary_parts(values: &[f64; 8], inside: bool) -> usize {
    let is = |c: usize| (values[c] >= 0.0) == inside;
    let mut part = [0, 1, 2, 3, 4, 5, 6, 7];
    let mut unite = |a: usize, b: usize| {
        let (x, y) = (part[a], part[b]);
        part.iter_mut().filter(|p| **p == x.max(y)).for_each(|p| *p = x.min(y));
    };
    for [a, b, c, d] in FACES {
        for (p, q) in [(a, b), (b, c), (c, d), (d, a)] {
            if is(p) && is(q) {
                unite(p, q);
            }
        }
        for ([p, q], [r, s]) in [([a, c], [b, d]), ([b, d], [a, c])] {
            if is(p) && is(q) && !is(r) && !is(s) && values[p] * values[q] > values[r] * values[s] {
                unite(p, q);
            }
        }
    }
    (0..8).filter(|&c| is(c) && part[c] == c).count()
}
