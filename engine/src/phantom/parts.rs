//! Parts with closed-form volume and area: exact polyhedra on rectilinear cells, parametric balls, tori and cylinders.

use std::f64::consts::{PI, TAU};

use nalgebra::{Point3, Vector3};

use super::{Meshed, Solid, chord_error_mm};
use crate::frame::Bounds;
use crate::mesh::Mesh;

/// A polyhedron and its truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Polyhedron {
    pub mesh: Mesh,
    pub volume_mm3: f64,
    pub area_mm2: f64,
}

const VALID: &str = "coordinates of parts are finite and triangles name the vertices made with them";

/// The filled cells of a rectilinear grid. Cells must not touch along an edge or at a corner alone, or the mesh is not a manifold.
/// `None` if no cell is filled.
pub fn rectilinear(planes: [&[f64]; 3], filled: impl Fn([usize; 3]) -> bool) -> Option<Polyhedron> {
    let cells = planes.map(|p| p.len().saturating_sub(1));
    let is_filled = |c: [isize; 3]| (0..3).all(|a| c[a] >= 0 && (c[a] as usize) < cells[a]) && filled(c.map(|x| x as usize));
    let nodes = planes.map(<[f64]>::len);
    let mut place = vec![u32::MAX; nodes.iter().product()];
    let (mut vertices, mut triangles, mut volume_mm3, mut area_mm2) = (vec![], vec![], 0.0, 0.0);
    let mut vertex = |n: [usize; 3]| {
        let slot = &mut place[(n[2] * nodes[1] + n[1]) * nodes[0] + n[0]];
        if *slot == u32::MAX {
            *slot = vertices.len() as u32;
            vertices.push(Point3::new(planes[0][n[0]], planes[1][n[1]], planes[2][n[2]]));
        }
        *slot
    };
    for c in (0..cells.iter().product()).map(|i: usize| [i % cells[0], i / cells[0] % cells[1], i / cells[0] / cells[1]]) {
        if !filled(c) {
            continue;
        }
        let edge = |a: usize| planes[a][c[a] + 1] - planes[a][c[a]];
        volume_mm3 += edge(0) * edge(1) * edge(2);
        for a in 0..3 {
            for side in 0..2 {
                let mut beyond = c.map(|x| x as isize);
                beyond[a] += 2 * side as isize - 1;
                if is_filled(beyond) {
                    continue;
                }
                let (b, d) = ((a + 1) % 3, (a + 2) % 3);
                area_mm2 += edge(b) * edge(d);
                let mut at = |u: usize, v: usize| {
                    let mut n = c;
                    (n[a], n[b], n[d]) = (c[a] + side, c[b] + u, c[d] + v);
                    vertex(n)
                };
                let [p, q, r, s] = [at(0, 0), at(1, 0), at(1, 1), at(0, 1)];
                triangles.extend(if side == 1 { [[p, q, r], [p, r, s]] } else { [[p, r, q], [p, s, r]] });
            }
        }
    }
    (!triangles.is_empty()).then(|| Polyhedron { mesh: Mesh::new(vertices, triangles).expect(VALID), volume_mm3, area_mm2 })
}

/// A box with its faces cut into `cuts` by `cuts` squares, at least one.
pub fn cuboid(bounds: &Bounds, cuts: usize) -> Polyhedron {
    let planes = [0, 1, 2].map(|a| {
        let cuts = cuts.max(1);
        (0..=cuts).map(|i| bounds.min[a] + (bounds.max[a] - bounds.min[a]) * i as f64 / cuts as f64).collect::<Vec<_>>()
    });
    rectilinear([&planes[0], &planes[1], &planes[2]], |_| true).expect("at least one cell is filled")
}

/// A block of 40 × 28 × 20 mm with a step in each axis and a closed inner cavity of other proportions: inner and outer faces
/// move differently under scale and under surface offset, so all of them can be told apart. Every cell is cut into `cuts`³.
pub fn stepped_hollow_block(cuts: usize) -> Polyhedron {
    const X: [f64; 6] = [0.0, 6.0, 13.0, 24.0, 31.0, 40.0];
    const Y: [f64; 6] = [0.0, 5.0, 9.0, 17.0, 22.0, 28.0];
    const Z: [f64; 6] = [0.0, 4.0, 7.0, 12.0, 15.0, 20.0];
    let cuts = cuts.max(1);
    let planes = [X, Y, Z].map(|coarse| {
        let within = |w: &[f64]| (0..cuts).map(|i| w[0] + (w[1] - w[0]) * i as f64 / cuts as f64).collect::<Vec<_>>();
        let mut fine: Vec<f64> = coarse.windows(2).flat_map(within).collect();
        fine.push(coarse[5]);
        fine
    });
    rectilinear([&planes[0], &planes[1], &planes[2]], |c| {
        let [i, j, k] = c.map(|x| x / cuts);
        let cavity = [i, j, k].iter().all(|x| (1..=2).contains(x)) || [i, j, k] == [3, 2, 1];
        let step = (i == 4 && k >= 3) || (j == 4 && k == 4) || (i == 0 && j == 4);
        !cavity && !step
    })
    .expect("the block has filled cells")
}

/// A geodesic ball: the icosahedron with every edge cut into `cuts`, pushed out to the sphere.
pub fn ball(centre: Point3<f64>, radius_mm: f64, cuts: usize) -> Meshed {
    let (corners, faces) = icosahedron();
    let cuts = cuts.max(1);
    let (mut vertices, mut triangles, mut known) = (vec![], vec![], std::collections::BTreeMap::new());
    for face in faces {
        let mut at = |u: usize, v: usize| {
            // Shares of the three corners, sorted by corner: equal for the same point reached from two faces.
            let mut shares: Vec<(u32, usize)> = face.into_iter().zip([cuts - u - v, u, v]).filter(|s| s.1 > 0).collect();
            shares.sort_unstable();
            *known.entry(shares.clone()).or_insert_with(|| {
                let sum = shares.iter().fold(Vector3::zeros(), |s: Vector3<f64>, &(c, n)| s + corners[c as usize] * n as f64);
                vertices.push(centre + sum.normalize() * radius_mm);
                vertices.len() as u32 - 1
            })
        };
        for u in 0..cuts {
            for v in 0..cuts - u {
                triangles.push([at(u, v), at(u + 1, v), at(u, v + 1)]);
                if u + v + 1 < cuts {
                    triangles.push([at(u + 1, v), at(u + 1, v + 1), at(u, v + 1)]);
                }
            }
        }
    }
    let mesh = Mesh::new(vertices, triangles).expect(VALID);
    // A facet with its corners on the sphere is deepest at the foot of the centre.
    let depth = |t: usize| {
        let [a, ..] = mesh.corners(t);
        radius_mm - mesh.area_vector(t).normalize().dot(&(a - centre))
    };
    let chord_error_mm = (0..mesh.triangles().len()).map(depth).fold(0.0, f64::max);
    Meshed { mesh, chord_error_mm }
}

/// A torus around an axis parallel to z, cut into `around` by `across` rectangles, at least 3 each.
pub fn torus(centre: Point3<f64>, major_mm: f64, minor_mm: f64, around: usize, across: usize) -> Meshed {
    let (around, across) = (around.max(3), across.max(3));
    let at = |u: usize, v: usize| {
        let (a, b) = (TAU * u as f64 / around as f64, TAU * v as f64 / across as f64);
        let r = major_mm + minor_mm * libm::cos(b);
        centre + Vector3::new(r * libm::cos(a), r * libm::sin(a), minor_mm * libm::sin(b))
    };
    let vertices = (0..around * across).map(|i| at(i / across, i % across)).collect();
    let mut triangles = Vec::with_capacity(2 * around * across);
    for u in 0..around {
        for v in 0..across {
            let name = |du: usize, dv: usize| ((u + du) % around * across + (v + dv) % across) as u32;
            triangles.extend([[name(0, 0), name(1, 0), name(1, 1)], [name(0, 0), name(1, 1), name(0, 1)]]);
        }
    }
    let mesh = Mesh::new(vertices, triangles).expect(VALID);
    let chord_error_mm = chord_error_mm(&mesh, &Solid::Torus { centre, major_mm, minor_mm });
    Meshed { mesh, chord_error_mm }
}

/// A cylinder along z from `base`, its wall cut into `around` by `along` rectangles, flat ends.
pub fn cylinder(base: Point3<f64>, radius_mm: f64, height_mm: f64, around: usize, along: usize) -> Meshed {
    let (around, along) = (around.max(3), along.max(1));
    let mut vertices = vec![base, base + Vector3::z() * height_mm];
    for ring in 0..=along {
        for u in 0..around {
            let a = TAU * u as f64 / around as f64;
            let z = height_mm * ring as f64 / along as f64;
            vertices.push(base + Vector3::new(radius_mm * libm::cos(a), radius_mm * libm::sin(a), z));
        }
    }
    let name = |ring: usize, u: usize| (2 + ring * around + u % around) as u32;
    let mut triangles = vec![];
    for u in 0..around {
        triangles.extend([[0, name(0, u + 1), name(0, u)], [1, name(along, u), name(along, u + 1)]]);
        for ring in 0..along {
            let [p, q, r, s] = [name(ring, u), name(ring, u + 1), name(ring + 1, u + 1), name(ring + 1, u)];
            triangles.extend([[p, q, r], [p, r, s]]);
        }
    }
    let chord_error_mm = radius_mm * (1.0 - libm::cos(PI / around as f64));
    Meshed { mesh: Mesh::new(vertices, triangles).expect(VALID), chord_error_mm }
}

/// Corners on the unit sphere and faces, counter-clockwise seen from outside.
fn icosahedron() -> ([Vector3<f64>; 12], [[u32; 3]; 20]) {
    let g = 0.5 * (1.0 + 5.0_f64.sqrt());
    let corners = [
        [-1.0, g, 0.0],
        [1.0, g, 0.0],
        [-1.0, -g, 0.0],
        [1.0, -g, 0.0],
        [0.0, -1.0, g],
        [0.0, 1.0, g],
        [0.0, -1.0, -g],
        [0.0, 1.0, -g],
        [g, 0.0, -1.0],
        [g, 0.0, 1.0],
        [-g, 0.0, -1.0],
        [-g, 0.0, 1.0],
    ];
    let faces = [
        [0, 11, 5],
        [0, 5, 1],
        [0, 1, 7],
        [0, 7, 10],
        [0, 10, 11],
        [1, 5, 9],
        [5, 11, 4],
        [11, 10, 2],
        [10, 7, 6],
        [7, 1, 8],
        [3, 9, 4],
        [3, 4, 2],
        [3, 2, 6],
        [3, 6, 8],
        [3, 8, 9],
        [4, 9, 5],
        [2, 4, 11],
        [6, 2, 10],
        [8, 6, 7],
        [9, 8, 1],
    ];
    (corners.map(|c| Vector3::from(c).normalize()), faces)
}
