//! Skeleton of a solid as curves of cells with the solid's topology.
//!
//! Distance-ordered homotopic thinning (Pudney 1998): cells are removed from the surface inwards, in the order of their distance to it and
//! then of their numbers, as long as each is simple (Bertrand & Malandain 1994: the solid's neighbours stay one 26-component, the
//! outside's one 6-component), no end of a curve, and not the first of the deepest cells around it. What is left of a rod is its axis to
//! within a cell or two.
//! Cost: a byte a cell, some hundred nanoseconds for each solid one, on one thread.

use crate::volume::Mask;

/// Bits of a 3³ neighbourhood: i fastest; 13 is the centre.
const CENTRE: u32 = 1 << 13;

/// Squared distance from which on a cell may be an anchor: two cells.
const DEEP: u32 = 4;

struct Neighbours {
    /// Neighbours of each place by corners, and by faces among the 18 nearest to the centre.
    corners: [u32; 27],
    faces: [u32; 27],
    /// The 18, and the 6.
    near: u32,
    beside: u32,
}

const fn neighbours() -> Neighbours {
    let mut found = Neighbours { corners: [0; 27], faces: [0; 27], near: 0, beside: 0 };
    let mut a = 0_usize;
    while a < 27 {
        let p = [a % 3, a / 3 % 3, a / 9];
        let off_centre = (p[0] != 1) as u32 + (p[1] != 1) as u32 + (p[2] != 1) as u32;
        if off_centre == 1 {
            found.beside |= 1 << a;
        }
        if off_centre == 1 || off_centre == 2 {
            found.near |= 1 << a;
        }
        let mut b = 0_usize;
        while b < 27 {
            let q = [b % 3, b / 3 % 3, b / 9];
            let d = [p[0].abs_diff(q[0]), p[1].abs_diff(q[1]), p[2].abs_diff(q[2])];
            if a != b && a != 13 && b != 13 && d[0] <= 1 && d[1] <= 1 && d[2] <= 1 {
                found.corners[a] |= 1 << b;
                if d[0] + d[1] + d[2] == 1 {
                    found.faces[a] |= 1 << b;
                }
            }
            b += 1;
        }
        a += 1;
    }
    found
}

const NEIGHBOURS: Neighbours = neighbours();

/// Whether a cell can go without a change of topology; bits of the solid around it.
fn is_simple(around: u32) -> bool {
    let solid = around & !CENTRE;
    let outside = !around & NEIGHBOURS.near;
    let doors = outside & NEIGHBOURS.beside;
    solid != 0
        && doors != 0
        && reached(solid, lowest(solid), &NEIGHBOURS.corners) == solid
        && doors & !reached(outside, lowest(doors), &NEIGHBOURS.faces) == 0
}

fn lowest(bits: u32) -> u32 {
    bits & bits.wrapping_neg()
}

/// What hangs together with a seed.
fn reached(bits: u32, seed: u32, joins: &[u32; 27]) -> u32 {
    let (mut all, mut front) = (seed, seed);
    while front != 0 {
        let mut next = 0;
        while front != 0 {
            next |= joins[front.trailing_zeros() as usize];
            front &= front - 1;
        }
        front = next & bits & !all;
        all |= front;
    }
    all
}

/// Cells of the skeleton, ascending. `squares` are the squared distances of the mask; its outermost cells must be empty.
pub(super) fn skeleton(mask: &Mask, squares: &[u32]) -> Vec<u32> {
    let [nx, ny, _] = mask.dims();
    let step = [1, nx, nx * ny];
    let mut cells: Vec<u8> = squares.iter().map(|&s| u8::from(s > 0)).collect();
    let mut left: Vec<u32> = (0..squares.len() as u32).filter(|&c| squares[c as usize] > 0).collect();
    left.sort_unstable_by_key(|&c| (squares[c as usize], c));
    let around = |cells: &[u8], c: u32| {
        let corner = c as usize - step[0] - step[1] - step[2];
        (0..9).fold(0u32, |bits, row| {
            let first = corner + row % 3 * step[1] + row / 3 * step[2];
            bits | (u32::from(cells[first]) | u32::from(cells[first + 1]) << 1 | u32::from(cells[first + 2]) << 2) << (3 * row)
        })
    };
    // The first of the deepest cells: in the order of their numbers a curve two cells wide would open from there like a zip.
    let is_anchor = |c: u32| {
        let square = squares[c as usize];
        let later = |n: usize| squares[n] < square || (squares[n] == square && n >= c as usize);
        let corner = c as usize - step[0] - step[1] - step[2];
        square >= DEEP && (0..9).all(|row| (0..3).all(|i| later(corner + row % 3 * step[1] + row / 3 * step[2] + i)))
    };
    loop {
        let before = left.len();
        left.retain(|&c| {
            let bits = around(&cells, c);
            let keep = (bits & !CENTRE).count_ones() < 2 || !is_simple(bits) || is_anchor(c);
            cells[c as usize] = u8::from(keep);
            keep
        });
        if left.len() == before {
            left.sort_unstable();
            return left;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Border, Connectivity, components, distance_transform, euler_number};
    use crate::runtime::Runtime;

    fn thinned(mask: &Mask) -> (Vec<u32>, Mask) {
        let squares = distance_transform(mask, Border::Unknown, &Runtime::cpu()).unwrap();
        let left = skeleton(mask, &squares);
        let [nx, ny, _] = mask.dims();
        let thin = Mask::from_fn(mask.dims(), |i, j, k| left.binary_search(&((((k * ny) + j) * nx + i) as u32)).is_ok());
        (left, thin)
    }

    #[test]
    fn a_rod_becomes_its_axis_and_a_ring_stays_a_ring() {
        let rod = Mask::from_fn([40, 15, 15], |i, j, k| (5..35).contains(&i) && (j as i32 - 7).pow(2) + (k as i32 - 7).pow(2) <= 16);
        let (left, _) = thinned(&rod);
        // A flat end has no one middle: its own radius away from it the curve is the axis.
        let inner: Vec<usize> = left.iter().map(|&c| c as usize).filter(|c| (10..30).contains(&(c % 40))).collect();
        assert!(inner.len() >= 20 && inner.iter().all(|c| (c / 40 % 15).abs_diff(7) <= 1 && (c / 600).abs_diff(7) <= 1), "{inner:?}");
        let ring = Mask::from_fn([40, 40, 12], |i, j, k| {
            let (x, y) = (i as f64 - 19.5, j as f64 - 19.5);
            let r = (x * x + y * y).sqrt() - 12.0;
            r * r + (k as f64 - 5.5) * (k as f64 - 5.5) <= 12.0
        });
        let (left, thin) = thinned(&ring);
        assert!(left.len() > 60 && left.len() < 110, "{}", left.len());
        assert_eq!(euler_number(&thin, Connectivity::Corners26), 0);
    }

    #[test]
    fn thinning_keeps_bodies_tunnels_and_hollows() {
        // Random blobs: every Betti number would show in the Euler number and in both counts of components.
        let dims = [24, 23, 22];
        for seed in 0..6 {
            let inside = |i: usize, j: usize, k: usize| {
                let border = [i, j, k].iter().zip(dims).any(|(&x, n)| x == 0 || x + 1 == n);
                !border && crate::noise::hash(seed, (((k / 3 * 23) + j / 3) * 24 + i / 3) as u64) % 100 < 55
            };
            let mask = Mask::from_fn(dims, inside);
            let (_, thin) = thinned(&mask);
            let rt = Runtime::cpu();
            let counts = |m: &Mask| {
                let bodies = components(m, Connectivity::Corners26, &rt).unwrap().count();
                (bodies, components(&m.complement(), Connectivity::Faces6, &rt).unwrap().count(), euler_number(m, Connectivity::Corners26))
            };
            assert_eq!(counts(&mask), counts(&thin), "seed {seed}");
        }
    }
}
