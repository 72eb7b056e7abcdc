//! Local thickness and Euler numbers against their definitions, voxel by voxel.

use verimetry_engine::kernels::{
    Border, Connectivity, NO_BACKGROUND, distance_transform, distance_transform_mm2, euler_eighths_within, euler_number, local_thickness,
    local_thickness_mm2,
};
use verimetry_engine::runtime::Runtime;
use verimetry_engine::volume::Mask;

use super::{DENSITIES, EXTENTS, backends, random_mask};

fn voxels([nx, ny, nz]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..nz).flat_map(move |k| (0..ny).flat_map(move |j| (0..nx).map(move |i| [i, j, k])))
}

/// The largest ball of all that hold a voxel, by looking at every ball.
fn looked_for(squares: &[f64], dims: [usize; 3], spacing: [f64; 3]) -> Vec<f64> {
    let centres: Vec<([usize; 3], f64)> = voxels(dims).zip(squares).filter(|(_, s)| **s > 0.0).map(|(at, s)| (at, *s)).collect();
    let holds = |c: [usize; 3], s: f64, x: [usize; 3]| {
        let [a, b, d] = [0, 1, 2].map(|n| x[n] as f64 * spacing[n] - c[n] as f64 * spacing[n]);
        a * a + (b * b + d * d) < s
    };
    voxels(dims)
        .zip(squares)
        .map(|(x, own)| if *own == 0.0 { 0.0 } else { centres.iter().filter(|(c, s)| holds(*c, *s, x)).map(|c| c.1).fold(0.0, f64::max) })
        .collect()
}

fn check(mask: &Mask, runtimes: &[(&'static str, Runtime)]) {
    for border in [Border::Unknown, Border::Background] {
        let squares: Vec<f64> = distance_transform(mask, border, &Runtime::cpu()).unwrap().into_iter().map(f64::from).collect();
        if squares[0] == f64::from(NO_BACKGROUND) {
            continue;
        }
        let truth = looked_for(&squares, mask.dims(), [1.0; 3]);
        for (name, rt) in runtimes {
            let found = local_thickness(mask, border, rt).unwrap();
            assert!(found.iter().zip(&truth).all(|(f, t)| f64::from(*f) == *t), "{name} {:?} {border:?}", mask.dims());
        }
        let spacing = [0.7, 1.0, 2.3];
        let squares = distance_transform_mm2(mask, spacing, border, &Runtime::cpu()).unwrap();
        let truth = looked_for(&squares, mask.dims(), spacing);
        assert!(local_thickness_mm2(mask, spacing, border, &Runtime::cpu()).unwrap() == truth, "{:?} {border:?} unequal", mask.dims());
    }
}

#[test]
fn local_thickness_is_the_largest_ball_of_all() {
    let runtimes = backends(1 << 12);
    for (n, dims) in EXTENTS.into_iter().enumerate() {
        for (m, density) in DENSITIES.into_iter().enumerate() {
            check(&random_mask(dims, density, 77 + (n * 10 + m) as u64), &runtimes);
        }
    }
}

#[test]
fn local_thickness_of_thick_bodies_of_every_shape_is_exact() {
    // Balls of several voxels' radius at odd places, cut out and joined.
    for seed in 0..6u64 {
        let mut random = super::Random(seed);
        let balls: Vec<[f64; 4]> =
            (0..7).map(|_| [random.unit() * 40.0, random.unit() * 26.0, random.unit() * 22.0, 3.0 + random.unit() * 8.0]).collect();
        let mask = Mask::from_fn([67, 26, 22], |i, j, k| {
            let inside = |b: &[f64; 4]| {
                let d = [i as f64 - b[0], j as f64 - b[1], k as f64 - b[2]];
                d[0] * d[0] + d[1] * d[1] + d[2] * d[2] < b[3] * b[3]
            };
            balls[..6].iter().any(inside) != (seed % 2 == 0 && inside(&balls[6])) && i % 31 != 30
        });
        check(&mask, &backends(1 << 14));
    }
}

#[test]
fn radii_beyond_the_table_are_compared_as_spheres() {
    // One background voxel in a long row and in a wide plane.
    for (dims, hole) in [([700, 1, 1], [3, 0, 0]), ([1, 420, 3], [0, 2, 1])] {
        let mask = Mask::from_fn(dims, |i, j, k| [i, j, k] != hole);
        let squares: Vec<f64> = distance_transform(&mask, Border::Unknown, &Runtime::cpu()).unwrap().into_iter().map(f64::from).collect();
        let truth = looked_for(&squares, dims, [1.0; 3]);
        for (name, rt) in backends(1 << 16) {
            let found = local_thickness(&mask, Border::Unknown, &rt).unwrap();
            assert!(found.iter().zip(&truth).all(|(f, t)| f64::from(*f) == *t), "{name}");
        }
    }
}

#[test]
fn local_thickness_does_not_depend_on_the_number_of_threads() {
    let mask = random_mask([70, 50, 45], 0.97, 5);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| local_thickness(&mask, Border::Unknown, &Runtime::cpu()).unwrap())
    };
    assert_eq!(on(1), on(5));
}

/// Vertices less edges plus faces less cubes, looked for one by one on the doubled grid.
fn cells(mask: &Mask, connectivity: Connectivity) -> i64 {
    let [nx, ny, nz] = mask.dims();
    let closed = connectivity != Connectivity::Faces6;
    let mut sum = 0;
    for [x, y, z] in voxels([2 * nx + 1, 2 * ny + 1, 2 * nz + 1]) {
        // Odd places are voxels; the voxels around an even one lie on both its sides.
        let around =
            |x: usize, n: usize| if x % 2 == 1 { vec![Some(x / 2)] } else { vec![(x / 2).checked_sub(1), (x / 2 < n).then_some(x / 2)] };
        let mut set = vec![];
        for i in around(x, nx) {
            for j in around(y, ny) {
                for k in around(z, nz) {
                    set.push(matches!((i, j, k), (Some(i), Some(j), Some(k)) if mask.get(i, j, k)));
                }
            }
        }
        let even = [x, y, z].iter().filter(|v| *v % 2 == 0).count();
        let (there, dimension) = if closed { (set.iter().any(|s| *s), 3 - even) } else { (set.iter().all(|s| *s), even) };
        sum += i64::from(there) * if dimension % 2 == 0 { 1 } else { -1 };
    }
    sum
}

#[test]
fn the_euler_number_is_that_of_the_complex_of_cells() {
    for (n, dims) in EXTENTS.into_iter().enumerate() {
        for (m, density) in DENSITIES.into_iter().enumerate() {
            let mask = random_mask(dims, density, 177 + (n * 10 + m) as u64);
            for connectivity in [Connectivity::Faces6, Connectivity::Corners26] {
                assert_eq!(euler_number(&mask, connectivity), cells(&mask, connectivity), "{dims:?} {density} {connectivity:?}");
            }
            assert_eq!(euler_eighths_within(&mask, None, |_, _, _| true), 8 * euler_number(&mask, Connectivity::Corners26));
        }
    }
}

#[test]
fn the_euler_numbers_of_known_bodies_are_components_less_tunnels_plus_cavities() {
    let dims = [40, 40, 24];
    let at = |i: usize, j: usize, k: usize| [i as f64 - 19.6, j as f64 - 20.3, k as f64 - 11.8];
    let ball = |i, j, k, r: f64| {
        let [x, y, z] = at(i, j, k);
        x * x + y * y + z * z < r * r
    };
    let torus = |i, j, k| {
        let [x, y, z] = at(i, j, k);
        let ring = (x * x + y * y).sqrt() - 13.0;
        ring * ring + z * z < 16.0
    };
    let of = |inside: &(dyn Fn(usize, usize, usize) -> bool + Sync)| {
        let mask = Mask::from_fn(dims, inside);
        let solid = euler_number(&mask, Connectivity::Corners26);
        // Alexander duality: what is a tunnel of the one is a tunnel of the other, with the outside as a component too many.
        let padded = Mask::from_fn([42, 42, 26], |i, j, k| {
            !((1..41).contains(&i) && (1..41).contains(&j) && (1..25).contains(&k) && mask.get(i - 1, j - 1, k - 1))
        });
        assert_eq!(euler_number(&padded, Connectivity::Faces6), solid + 1);
        solid
    };
    assert_eq!(of(&|i, j, k| ball(i, j, k, 9.0)), 1);
    assert_eq!(of(&|i, j, k| ball(i, j, k, 9.0) && !ball(i, j, k, 5.0)), 2);
    assert_eq!(of(&torus), 0);
    assert_eq!(of(&|i, j, k| torus(i, j, k) || ball(i, j, k, 4.0)), 1);
    // A frame of struts: 27 nodes and 54 struts make 54 - 27 + 1 tunnels.
    let strut = |a: usize, b: usize| a % 11 < 3 && b % 11 < 3;
    assert_eq!(of(&|i, j, k| i < 25 && j < 25 && k < 25 && (strut(i, j) || strut(j, k) || strut(k, i))), 27 - 54);
}

#[test]
fn shares_of_the_euler_number_add_up_over_the_cells_of_a_lattice() {
    // A lattice of struts along the axes has one node and three struts a cell.
    let mask = Mask::from_fn([60, 60, 60], |i, j, k| {
        let on = |x: usize| x % 12 < 4;
        usize::from(on(i)) + usize::from(on(j)) + usize::from(on(k)) >= 2
    });
    let cell = |from: usize| euler_eighths_within(&mask, None, |i, j, k| [i, j, k].iter().all(|x| (from..from + 12).contains(x)));
    for from in [12, 17, 23] {
        assert_eq!(cell(from), 8 * (1 - 3));
    }
}

#[test]
fn struts_that_an_image_cuts_do_not_end_there() {
    let on = |x: usize| x % 12 < 4;
    let known = Mask::from_fn([60; 3], |i, j, k| [i, j, k].iter().all(|x| (7..43).contains(x)));
    let cut = Mask::from_fn([60; 3], |i, j, k| usize::from(on(i)) + usize::from(on(j)) + usize::from(on(k)) >= 2 && known.get(i, j, k));
    let inside = |i: usize, j: usize, k: usize| [i, j, k].iter().all(|x| (7..43).contains(x));
    assert_eq!(euler_eighths_within(&cut, Some(&known), inside), 27 * 8 * (1 - 3));
    // As the image shows them, each of the 27 struts that begin at one of three sides adds an end with half of its edge beyond.
    assert!(euler_eighths_within(&cut, None, inside) > 27 * 8 * (1 - 3));
}
