//! Each kernel on the CPU and on the GPU, with large and with tiny slabs, against a slow and obvious reference.

#[path = "kernels/counts.rs"]
mod counts;
#[path = "kernels/filters.rs"]
mod filters;
#[path = "kernels/passage.rs"]
mod passage;
mod support;
#[path = "kernels/thickness.rs"]
mod thickness;

use std::collections::VecDeque;
use std::sync::LazyLock;

use nalgebra::Point3;
use support::{Random, gpu, gpu_with};
use verimetry_engine::Error;
use verimetry_engine::frame::Grid;
use verimetry_engine::gpu::{Gpu, Options};
use verimetry_engine::kernels::{
    Border, Connectivity, NO_BACKGROUND, NO_TRIANGLE, ProposalTree, cells, components, distance_transform, distance_transform_mm2,
    gaussian, gradient, histogram, propose, threshold,
};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::runtime::Runtime;
use verimetry_engine::volume::{Mask, Rescale, Volume, Voxel};

/// Flat and thin grids, rows that end before, at and after a word.
const EXTENTS: [[usize; 3]; 12] = [
    [1, 1, 1],
    [63, 3, 2],
    [64, 2, 3],
    [65, 3, 3],
    [127, 2, 2],
    [129, 3, 2],
    [1, 9, 7],
    [11, 1, 5],
    [13, 7, 1],
    [17, 19, 23],
    [200, 1, 1],
    [1, 1, 200],
];

const DENSITIES: [f64; 6] = [0.0, 0.02, 0.3, 0.6, 0.97, 1.0];

const CONNECTIVITIES: [Connectivity; 3] = [Connectivity::Faces6, Connectivity::Edges18, Connectivity::Corners26];

/// The CPU, the GPU as it is, and the GPU in pieces: submissions of few items and slabs of so many bytes.
fn backends(slab_bytes: u64) -> Vec<(&'static str, Runtime)> {
    static WHOLE: LazyLock<Option<Gpu>> = LazyLock::new(gpu);
    let pieces = gpu_with(Options { slab_bytes: Some(slab_bytes), items_per_submission: Some(1000), ..Options::default() });
    let mut all = vec![("cpu", Runtime::cpu())];
    all.extend(WHOLE.clone().map(|g| ("gpu", Runtime::with_gpu(Some(g)))));
    all.extend(pieces.map(|g| ("gpu in pieces", Runtime::with_gpu(Some(g)))));
    all
}

fn volume<T: Voxel>(dims: [usize; 3], value: impl FnMut() -> T) -> Volume<T> {
    let grid = Grid::aligned(dims, [1.0; 3], Point3::origin()).unwrap();
    Volume::new(grid, Rescale::IDENTITY, std::iter::repeat_with(value).take(dims.iter().product()).collect()).unwrap()
}

fn random_mask(dims: [usize; 3], density: f64, seed: u64) -> Mask {
    let mut random = Random(seed);
    let v = volume(dims, || u8::from(random.unit() < density));
    Mask::from_fn(dims, |i, j, k| v.at(i, j, k) == 1)
}

fn check_threshold<T: Voxel>(mut value: impl FnMut() -> T, thresholds: &[f64]) {
    let runtimes = backends(1024);
    for dims in EXTENTS {
        let v = volume(dims, &mut value);
        for &t in thresholds {
            let truth = Mask::from_fn(dims, |i, j, k| v.at(i, j, k).to_f64() >= t);
            for (name, rt) in &runtimes {
                assert_eq!(threshold(&v, t, rt).unwrap(), truth, "{name} {} {dims:?} at least {t}", T::NAME);
            }
        }
    }
}

#[test]
fn the_threshold_is_exact_for_every_integer_type() {
    let mut r = Random(1);
    check_threshold(|| r.bits() as u8, &[-1.0, 0.0, 127.5, 200.0, 255.0, 255.1]);
    check_threshold(|| r.bits() as i8, &[-128.0, -0.5, 3.0, 1e9]);
    check_threshold(|| r.bits() as u16, &[0.1, 40_000.0]);
    check_threshold(|| r.bits() as i16, &[f64::NEG_INFINITY, -1000.2, 0.0, 12_345.0]);
    check_threshold(|| r.bits() as u32, &[4e9, 2_147_483_648.0]);
    check_threshold(|| r.bits() as i32, &[-2_147_483_648.0, -1.0, 1e9, f64::INFINITY]);
}

#[test]
fn the_threshold_of_floats_tells_neighbouring_numbers_and_zeros_and_leaves_out_not_a_number() {
    let near = 0.1f32;
    let few =
        [near, near.next_up(), near.next_down(), 0.0, -0.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, -1.5];
    let mut r = Random(2);
    check_threshold(|| few[r.bits() as usize % few.len()], &[0.1, f64::from(near), f64::from(near.next_up()), 0.0, -0.0, -2.0, 1e300]);
    let near = 0.1f64;
    let few = [near, near.next_up(), near.next_down(), 0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, -5e-324, -7.25];
    check_threshold(|| few[r.bits() as usize % few.len()], &[near, near.next_up(), 0.0, -0.0, -7.25, 5e-324, f64::INFINITY]);
}

#[test]
fn a_threshold_that_is_not_a_number_is_an_error() {
    let error = threshold(&volume([2, 2, 2], || 1u8), f64::NAN, &Runtime::cpu()).unwrap_err();
    assert_eq!(error.code, "threshold.not_a_number");
}

fn check_histogram<T: Voxel>(mut value: impl FnMut() -> T) {
    let runtimes = backends(1024);
    for dims in EXTENTS {
        let v = volume(dims, &mut value);
        let finite: Vec<f64> = v.data().iter().map(|v| v.to_f64()).filter(|v| v.is_finite()).collect();
        if finite.is_empty() {
            continue;
        }
        let results: Vec<_> = runtimes.iter().map(|(name, rt)| (name, histogram(&v, rt).unwrap())).collect();
        for (name, h) in &results {
            assert_eq!(*h, results[0].1, "{name} {} {dims:?}", T::NAME);
        }
        let h = &results[0].1;
        assert_eq!(h.total(), finite.len() as u64);
        // Bins of floats are compared by their definition: a value belongs in the last whose edge it reaches.
        let (mut truth, bins) = (vec![0u64; h.counts.len()], Vec::from_iter(0..h.counts.len()));
        for &v in &finite {
            let edge = |b: usize| h.min + b as f64 * h.bin_width;
            let reached = |&b: &usize| if T::NAME == "f32" { v as f32 >= up(edge(b)) } else { v >= edge(b) };
            truth[bins.partition_point(reached) - 1] += 1;
        }
        assert_eq!(h.counts, truth, "{} {dims:?}", T::NAME);
    }
}

/// The smallest f32 that is x or more.
fn up(x: f64) -> f32 {
    if f64::from(x as f32) < x { (x as f32).next_up() } else { x as f32 }
}

#[test]
fn the_histogram_counts_every_value_once_in_the_bin_of_its_definition() {
    let mut r = Random(3);
    check_histogram(|| r.bits() as u8 % 200);
    check_histogram(|| r.bits() as i8);
    check_histogram(|| r.bits() as u16 % 3000);
    check_histogram(|| (r.bits() % 5000) as i16 - 1024);
    check_histogram(|| r.bits() as u32);
    check_histogram(|| r.bits() as i32 % 70_000);
    check_histogram(|| if r.bits().is_multiple_of(50) { f32::NAN } else { (r.unit() * 3.0 - 1.0) as f32 });
    check_histogram(|| if r.bits().is_multiple_of(50) { f64::INFINITY } else { r.unit() * 1e-3 + 7.0 });
}

#[test]
fn sixteen_bit_codes_have_a_bin_each_and_centres_name_them() {
    let mut next = 99u16;
    let h = histogram(
        &volume([10, 3, 1], || {
            next += 1;
            next
        }),
        &Runtime::cpu(),
    )
    .unwrap();
    assert_eq!((h.min, h.max, h.bin_width, h.counts.len()), (100.0, 129.0, 1.0, 30));
    assert!(h.centres().eq((100..130).map(f64::from)) && h.counts.iter().all(|&c| c == 1));
    let one = histogram(&volume([3, 3, 3], || 2.5f32), &Runtime::cpu()).unwrap();
    assert_eq!((one.counts.as_slice(), one.centre(0)), (&[27][..], 2.5));
}

/// Labels by flooding, voxel by voxel.
fn flooded(mask: &Mask, connectivity: Connectivity) -> Vec<u32> {
    let [nx, ny, nz] = mask.dims();
    let apart = match connectivity {
        Connectivity::Faces6 => 1,
        Connectivity::Edges18 => 2,
        Connectivity::Corners26 => 3,
    };
    let mut labels = vec![0; nx * ny * nz];
    let mut count = 0;
    for start in 0..labels.len() {
        let place = |at: usize| [at % nx, at / nx % ny, at / (nx * ny)];
        let set = |[i, j, k]: [usize; 3]| mask.get(i, j, k);
        if labels[start] != 0 || !set(place(start)) {
            continue;
        }
        count += 1;
        labels[start] = count;
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            let here = place(at);
            for code in 0..27 {
                let step = [code % 3 - 1, code / 3 % 3 - 1, code / 9 - 1];
                if step.iter().filter(|s| **s != 0).count() > apart {
                    continue;
                }
                let there = [0, 1, 2].map(|a| here[a] as i64 + i64::from(step[a]));
                if (0..3).any(|a| there[a] < 0 || there[a] >= mask.dims()[a] as i64) {
                    continue;
                }
                let there = there.map(|x| x as usize);
                let index = (there[2] * ny + there[1]) * nx + there[0];
                if set(there) && labels[index] == 0 {
                    labels[index] = count;
                    queue.push_back(index);
                }
            }
        }
    }
    labels
}

fn check_components(mask: &Mask, connectivity: Connectivity, rt: &Runtime, name: &str) {
    let what = format!("{name} {connectivity:?} {:?}", mask.dims());
    let [nx, ny, nz] = mask.dims();
    let truth = flooded(mask, connectivity);
    let found = components(mask, connectivity, rt).unwrap();
    let mut labels = vec![7; nx * ny * nz];
    found.write_labels(&mut labels);
    assert_eq!(labels, truth, "{what}");
    let place = |at: usize| [at % nx, at / nx % ny, at / (nx * ny)];
    assert!((0..truth.len()).all(|at| found.label_of(place(at)[0], place(at)[1], place(at)[2]) == truth[at]), "{what}");
    assert_eq!(found.count(), truth.iter().max().copied().unwrap_or(0) as usize, "{what}");
    for (label, component) in (1..).zip(found.list()).take(20) {
        let members: Vec<[usize; 3]> = (0..truth.len()).filter(|&at| truth[at] == label).map(place).collect();
        assert_eq!(component.size, members.len() as u64, "{what}");
        assert_eq!(component.first, members[0], "{what}");
        for a in 0..3 {
            assert_eq!(component.min[a], members.iter().map(|m| m[a]).min().unwrap(), "{what}");
            assert_eq!(component.max[a], members.iter().map(|m| m[a]).max().unwrap(), "{what}");
        }
        let outermost = members.iter().any(|m| (0..3).any(|a| m[a] == 0 || m[a] + 1 == mask.dims()[a]));
        assert_eq!(found.touches_border(label), outermost, "{what}");
        assert_eq!(found.mask_of(label), Mask::from_fn(mask.dims(), |i, j, k| truth[(k * ny + j) * nx + i] == label), "{what}");
    }
}

#[test]
fn components_are_those_of_flooding_numbered_by_their_first_voxels() {
    let runtimes = backends(1024);
    for (seed, dims) in (1..).zip(EXTENTS) {
        for density in DENSITIES {
            let mask = random_mask(dims, density, seed);
            for connectivity in CONNECTIVITIES {
                runtimes.iter().for_each(|(name, rt)| check_components(&mask, connectivity, rt, name));
            }
        }
    }
}

#[test]
fn where_components_lie_can_be_asked_first_within_parallel_work() {
    let plates = Mask::from_fn([200, 60, 60], |_, _, k| k % 20 < 10);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    for _ in 0..20 {
        let last = pool.install(|| {
            let found = components(&plates, Connectivity::Faces6, &Runtime::cpu()).unwrap();
            found.mask_where(|label| found.list()[label as usize - 1].min[2] == 40)
        });
        assert_eq!(last, Mask::from_fn([200, 60, 60], |_, _, k| (40..50).contains(&k)));
    }
}

#[test]
fn components_of_winding_shapes_do_not_depend_on_threads_or_slabs() {
    let shapes: [fn(usize, usize, usize) -> bool; 4] = [
        |i, j, k| i % 2 == 0 || (j % 2 == 0 && (i / 2 + k) % 5 == 0),
        |i, j, k| (i + j + k) % 3 == 0,
        |i, j, k| (i + 2 * j + 3 * k) % 7 < 2,
        |i, j, k| (i ^ j ^ k) & 4 == 0,
    ];
    let runtimes = backends(4096);
    for shape in shapes {
        let mask = Mask::from_fn([70, 12, 31], shape);
        for connectivity in CONNECTIVITIES {
            runtimes.iter().for_each(|(name, rt)| check_components(&mask, connectivity, rt, name));
            for threads in [1, 3, 8] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| check_components(&mask, connectivity, &Runtime::cpu(), &format!("{threads} threads")));
            }
        }
    }
}

/// Squared distance by looking at every background voxel.
fn searched(mask: &Mask, border: Border, square: [f64; 3]) -> Vec<f64> {
    let [nx, ny, nz] = mask.dims();
    let margin = i64::from(border == Border::Background);
    let all = |n: usize| -margin..n as i64 + margin;
    let inside =
        |p: [i64; 3]| (0..3).all(|a| p[a] >= 0 && p[a] < mask.dims()[a] as i64) && mask.get(p[0] as usize, p[1] as usize, p[2] as usize);
    let mut background = vec![];
    for k in all(nz) {
        for j in all(ny) {
            background.extend(all(nx).map(|i| [i, j, k]).filter(|&p| !inside(p)));
        }
    }
    let mut out = vec![];
    for k in 0..nz as i64 {
        for j in 0..ny as i64 {
            for i in 0..nx as i64 {
                let to = |b: &[i64; 3]| {
                    ((b[0] - i).pow(2) as f64) * square[0] + ((b[1] - j).pow(2) as f64) * square[1] + ((b[2] - k).pow(2) as f64) * square[2]
                };
                out.push(background.iter().map(to).fold(f64::INFINITY, f64::min));
            }
        }
    }
    out
}

fn check_distances(mask: &Mask, runtimes: &[(&'static str, Runtime)]) {
    for border in [Border::Unknown, Border::Background] {
        let truth: Vec<u32> =
            searched(mask, border, [1.0; 3]).iter().map(|d| if d.is_finite() { *d as u32 } else { NO_BACKGROUND }).collect();
        for (name, rt) in runtimes {
            assert_eq!(distance_transform(mask, border, rt).unwrap(), truth, "{name} {border:?} {:?}", mask.dims());
        }
        let spacing = [0.5, 0.31, 2.0];
        let truth = searched(mask, border, spacing.map(|s| s * s));
        let found = distance_transform_mm2(mask, spacing, border, &Runtime::cpu()).unwrap();
        assert!(found.iter().zip(&truth).all(|(a, b)| a == b || (a - b).abs() <= 1e-14 * b.abs()), "{border:?} {:?}", mask.dims());
    }
}

#[test]
fn squared_distances_are_those_of_looking_everywhere() {
    let runtimes = backends(4096);
    for (seed, dims) in (1..).zip(EXTENTS) {
        DENSITIES.iter().for_each(|&density| check_distances(&random_mask(dims, density, seed), &runtimes));
    }
}

#[test]
fn long_distances_leave_the_search_for_the_envelope_and_stay_exact() {
    // One background voxel in a solid block: most columns are far beyond the budget of the search.
    let mut runtimes = backends(65_536);
    for (dims, hole) in [([300, 50, 2], [0, 0, 0]), ([3, 300, 5], [1, 299, 2]), ([37, 4, 290], [20, 3, 0])] {
        let mask = Mask::from_fn(dims, |i, j, k| [i, j, k] != hole);
        let truth: Vec<u32> = searched(&mask, Border::Unknown, [1.0; 3]).iter().map(|d| *d as u32).collect();
        for (name, rt) in &mut runtimes {
            assert_eq!(distance_transform(&mask, Border::Unknown, rt).unwrap(), truth, "{name}");
        }
    }
}

#[test]
fn a_slice_larger_than_a_slab_is_an_error_or_a_noted_fallback() {
    let Some(gpu) = gpu_with(Options { slab_bytes: Some(1024), ..Options::default() }) else { return };
    let mask = random_mask([20, 20, 3], 0.5, 1);
    let strict = Runtime::with_gpu(Some(gpu.clone()));
    let Error { code, message, .. } = distance_transform(&mask, Border::Unknown, &strict).unwrap_err();
    assert_eq!(code, "gpu.limits", "{message}");
    let lenient = Runtime::with_gpu(Some(gpu)).falls_back(true);
    let cpu = distance_transform(&mask, Border::Unknown, &Runtime::cpu()).unwrap();
    assert_eq!(distance_transform(&mask, Border::Unknown, &lenient).unwrap(), cpu);
    assert!(lenient.notes()[0].contains("fell back to the CPU"), "{:?}", lenient.notes());
}

/// A wavy closed tube of 2·n·n triangles, tens of millimetres away from the origin.
fn torus(n: usize) -> Mesh {
    let turn = |x: usize| x as f64 / n as f64 * std::f64::consts::TAU;
    let vertex = |u: usize, v: usize| {
        let (u, v) = (turn(u), turn(v));
        let tube = 3.0 + 0.5 * (5.0 * u).sin();
        let ring = 10.0 + tube * v.cos();
        Point3::new(40.0 + ring * u.cos(), -25.0 + ring * u.sin(), 60.0 + tube * v.sin())
    };
    let at = |u: usize, v: usize| ((u % n) * n + v % n) as u32;
    let vertices = (0..n * n).map(|x| vertex(x / n, x % n)).collect();
    let triangles = (0..n * n)
        .map(|x| (x / n, x % n))
        .flat_map(|(u, v)| [[at(u, v), at(u + 1, v), at(u + 1, v + 1)], [at(u, v), at(u + 1, v + 1), at(u, v + 1)]])
        .collect();
    Mesh::new(vertices, triangles).unwrap()
}

/// Distance to a triangle by the nearest point of a fine subdivision's limit: projections on its plane and its edges.
fn to_triangle(p: Point3<f64>, [a, b, c]: [Point3<f64>; 3]) -> f64 {
    let to_edge = |a: Point3<f64>, b: Point3<f64>| {
        let t = ((p - a).dot(&(b - a)) / (b - a).norm_squared()).clamp(0.0, 1.0);
        (p - (a + (b - a) * t)).norm()
    };
    let n = (b - a).cross(&(c - a)).normalize();
    let over = [(a, b), (b, c), (c, a)].iter().all(|(a, b)| (b - a).cross(&(p - a)).dot(&n) >= 0.0);
    let edges = to_edge(a, b).min(to_edge(b, c)).min(to_edge(c, a));
    if over { (p - a).dot(&n).abs().min(edges) } else { edges }
}

#[test]
fn the_proposed_triangle_is_as_near_as_any_but_for_f32_rounding() {
    let mut random = Random(9);
    for n in [3, 4, 20] {
        let mesh = torus(n);
        let bounds = mesh.bounds();
        let bound_mm = 16.0 / f64::from(1 << 24) * bounds.diagonal_mm();
        let points: Vec<Point3<f64>> = (0..500)
            .map(|at| {
                let near = mesh.vertices()[at % mesh.vertices().len()];
                let spread = if at % 2 == 0 { 0.2 } else { 30.0 };
                near + nalgebra::Vector3::new(random.unit() - 0.5, random.unit() - 0.5, random.unit() - 0.5) * spread
            })
            .collect();
        let tree = ProposalTree::new(&mesh);
        for (name, rt) in backends(2048) {
            let proposed = propose(&tree, &points, &rt).unwrap();
            assert_eq!(proposed.len(), points.len());
            for (p, &t) in points.iter().zip(&proposed) {
                let truth = (0..mesh.triangles().len()).map(|t| to_triangle(*p, mesh.corners(t))).fold(f64::INFINITY, f64::min);
                let found = to_triangle(*p, mesh.corners(t as usize));
                assert!(found <= truth + bound_mm, "{name}: {found} mm for {truth} mm with {n} x {n}");
            }
        }
    }
    let mesh = torus(3);
    for (name, rt) in backends(1024) {
        assert_eq!(propose(&ProposalTree::new(&mesh), &[Point3::new(f64::NAN, 0.0, 0.0)], &rt).unwrap(), [NO_TRIANGLE], "{name}");
    }
}

/// A program with one mistake; parity must not survive it.
fn spoiled(name: &str, text: String) -> String {
    let (right, wrong) = match name {
        "threshold" => ("b < count", "b + 1u < count"),
        "histogram" => ("counts[key.y - edges[0].y], 1u", "counts[key.y - edges[0].y], 2u"),
        "components" => ("let was = atomicMin(&parents[high], low)", "let was = atomicMin(&parents[low], low)"),
        "distance_transform" => ("step * step < best", "step * step + 4u < best"),
        "local_thickness" => ("while root * root >= n", "while root * root > n"),
        "gaussian" => ("source[behind(line, d)]", "source[behind(line, d - 1u)]"),
        "gradient" => ("min(i + 1u, n.x - 1u)", "min(i + 2u, n.x - 1u)"),
        "cells" => ("high.z ^ high.w", "high.z ^ high.y"),
        "nearest" => ("if squared < best.squared", "if squared > 0.0"),
        other => panic!("no mistake is known for {other}"),
    };
    assert!(text.contains(right), "{name} has changed: choose another mistake");
    text.replace(right, wrong)
}

#[test]
fn a_wrong_shader_does_not_pass_for_a_right_one() {
    let Some(gpu) = gpu_with(Options { edit_program: Some(spoiled), ..Options::default() }) else { return };
    let (cpu, gpu) = (Runtime::cpu(), Runtime::with_gpu(Some(gpu)));
    let mut random = Random(5);
    let v = volume([65, 9, 9], || random.bits() as u16 % 500);
    let mask = random_mask([65, 9, 9], 0.6, 6);
    assert_ne!(threshold(&v, 100.0, &cpu), threshold(&v, 100.0, &gpu));
    assert_ne!(histogram(&v, &cpu), histogram(&v, &gpu));
    let few = random_mask([65, 9, 9], 0.2, 7);
    assert_ne!(components(&few, Connectivity::Faces6, &cpu), components(&few, Connectivity::Faces6, &gpu));
    assert_ne!(distance_transform(&mask, Border::Unknown, &cpu), distance_transform(&mask, Border::Unknown, &gpu));
    assert!(gaussian(&v, [1.0; 3], &cpu) != gaussian(&v, [1.0; 3], &gpu));
    assert!(gradient(&v, &cpu) != gradient(&v, &gpu));
    assert!(cells(&mask, &cpu) != cells(&mask, &gpu));
    let (mesh, points) = (torus(20), [Point3::new(53.0, -25.0, 60.0)]);
    let tree = ProposalTree::new(&mesh);
    let distance = |rt: &Runtime| to_triangle(points[0], mesh.corners(propose(&tree, &points, rt).unwrap()[0] as usize));
    assert!(distance(&cpu) + 1e-3 < distance(&gpu), "{} {}", distance(&cpu), distance(&gpu));
    let broken = gpu_with(Options { edit_program: Some(|_, text| text.replace("fn main", "fn nothing")), ..Options::default() });
    let error = threshold(&v, 100.0, &Runtime::with_gpu(broken)).unwrap_err();
    assert_eq!(error.code, "gpu.refused");
}
