//! Single kernels on 128³ voxels, one thread of the CPU and all of them.

use criterion::{Criterion, criterion_group, criterion_main};
use nalgebra::Point3;
use verimetry_engine::frame::Grid;
use verimetry_engine::gpu::{Buffer, Gpu, Options, Program};
use verimetry_engine::kernels::{
    Border, Connectivity, cells, components, distance_transform, gaussian, gradient, histogram, median, threshold,
};
use verimetry_engine::runtime::Runtime;
use verimetry_engine::volume::{Rescale, Volume};

const N: usize = 128;

/// A periodic solid with a hash for noise: about half the voxels are set, in one large and many small pieces.
fn porous() -> Volume<u16> {
    let value = |at: usize| {
        let [x, y, z] = [at % N, at / N % N, at / (N * N)].map(|x| x as f64 * 0.2);
        let gyroid = x.sin() * y.cos() + y.sin() * z.cos() + z.sin() * x.cos();
        let noise = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        (10_000.0 + 5_000.0 * gyroid) as u16 + noise as u16
    };
    let grid = Grid::aligned([N; 3], [1.0; 3], Point3::origin()).expect("extents of at least 1");
    Volume::new(grid, Rescale::IDENTITY, (0..N * N * N).map(value).collect()).expect("a value a voxel")
}

fn kernels(c: &mut Criterion) {
    let volume = porous();
    let rt = Runtime::cpu();
    let mask = threshold(&volume, 10_000.0, &rt).expect("a number");
    let mut labels = vec![0; N * N * N];
    for (threads, name) in [(1, "one thread"), (0, "all threads")] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let mut group = c.benchmark_group(name);
        group.sample_size(20);
        group.bench_function("threshold", |b| b.iter(|| pool.install(|| threshold(&volume, 10_000.0, &rt))));
        group.bench_function("histogram", |b| b.iter(|| pool.install(|| histogram(&volume, &rt))));
        group.bench_function("gaussian", |b| b.iter(|| pool.install(|| gaussian(&volume, [2.0; 3], &rt))));
        group.bench_function("gradient", |b| b.iter(|| pool.install(|| gradient(&volume, &rt))));
        group.bench_function("median", |b| b.iter(|| pool.install(|| median(&volume, &rt))));
        group.bench_function("cells", |b| b.iter(|| pool.install(|| cells(&mask, &rt))));
        group.bench_function("components", |b| b.iter(|| pool.install(|| components(&mask, Connectivity::Corners26, &rt))));
        let found = components(&mask, Connectivity::Corners26, &rt).expect("few runs");
        group.bench_function("write_labels", |b| b.iter(|| pool.install(|| found.write_labels(&mut labels))));
        group.bench_function("distance_transform", |b| b.iter(|| pool.install(|| distance_transform(&mask, Border::Unknown, &rt))));
    }
}

const SHADERS: [&str; 6] = [
    include_str!("../shaders/gaussian.wgsl"),
    include_str!("../shaders/gradient.wgsl"),
    include_str!("../shaders/threshold.wgsl"),
    include_str!("../shaders/histogram.wgsl"),
    include_str!("../shaders/cells.wgsl"),
    include_str!("../shaders/keys.wgsl"),
];

/// A program's name, itself, its parameters and buffers, its items, the bytes it must move.
type Case<'a> = (&'static str, Program, Vec<u32>, Vec<&'a Buffer>, usize, usize);

/// Programs alone on a hardware GPU, on 512³ voxels' slab of 128 MiB: bytes that must move at least once over the seconds that it took.
fn programs(_: &mut Criterion) {
    let accept_software = std::env::var("REQUIRE_GPU").is_ok(); // to try the bench, not to time it
    let Ok(gpu) = Gpu::open(&Options { accept_software, ..Options::default() }) else { return eprintln!("no GPU to time programs on") };
    println!("programs on {}", gpu.name());
    let (n, slices) = (512, 128);
    let voxels = n * n * slices;
    let zeros = |bytes: usize| gpu.zeroed("a slab", bytes).expect("a slab");
    let noise: Vec<u32> = (0..voxels as u64 / 2).map(|x| (x.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32).collect();
    let codes = gpu.upload("codes", &noise).expect("a slab");
    let (first, second) = (zeros(voxels * 4), zeros(voxels * 4));
    let weights = gpu.upload("weights", &[13_072u32, 11_536, 7_929, 4_244, 1_769, 574, 145, 29, 4]).expect("few words");
    let mask = gpu.upload("mask", &noise[..voxels / 32]).expect("a slab");
    let [gaussian, gradient, threshold, histogram, cells, keys] = SHADERS;
    let program = |name: &str, text: &[&str], entry: &str| gpu.program(name, &text.concat(), entry).expect("a program");
    let along = |entry: &str| program("gaussian", &[gaussian], entry);
    let n32 = n as u32;
    let edges: Vec<[u32; 2]> = (0..1u32 << 16).map(|code| [0, code]).collect();
    let edges = gpu.upload("edges", &edges).expect("half a megabyte");
    let counts = zeros(4 << 16);
    let cases: [Case; 7] = [
        (
            "gaussian along k",
            along("codes"),
            vec![n32 * n32, slices as u32, slices as u32, 0, 8],
            vec![&codes, &weights, &first],
            voxels,
            voxels * 6,
        ),
        ("gaussian along j", along("fixed"), vec![n32, n32, n32, 0, 8], vec![&first, &weights, &second], voxels, voxels * 8),
        ("gaussian along i", along("fixed"), vec![1, n32, n32, 0, 8], vec![&second, &weights, &first], voxels, voxels * 8),
        (
            "gradient",
            program("gradient", &[gradient], "main"),
            vec![n32, n32, slices as u32, 0, voxels as u32, 256, 256, 256],
            vec![&codes, &first],
            voxels / 2,
            voxels * 4,
        ),
        (
            "threshold",
            program("threshold", &[keys, threshold], "main"),
            vec![2, n32, n32 / 64, 0, 0, 30_000, 0, 65_535],
            vec![&codes, &second],
            voxels / 64,
            voxels * 2,
        ),
        (
            "histogram",
            program("histogram", &[keys, histogram], "main"),
            vec![2, 1 << 16, 0, 65_535, 1, 1],
            vec![&codes, &edges, &counts],
            voxels,
            voxels * 2,
        ),
        (
            "cells",
            program("cells", &[cells], "main"),
            vec![n32 / 32, n32, slices as u32, 0],
            vec![&mask, &second],
            (n + 1) * slices,
            voxels / 8,
        ),
    ];
    for (name, program, parameters, buffers, items, bytes) in &cases {
        let time = |repeats: usize| {
            let start = std::time::Instant::now();
            (0..repeats).for_each(|_| gpu.run(program, parameters, buffers, *items).expect("a run"));
            gpu.read(buffers[buffers.len() - 1], &mut [0u32]).expect("a word");
            start.elapsed().as_secs_f64()
        };
        time(1);
        let repeats = (0.1 / time(1)).clamp(1.0, 200.0) as usize;
        // The longer less the shorter: starting and reading back cancel.
        let best = (0..5).map(|_| (time(1 + repeats) - time(1)) / repeats as f64).fold(f64::INFINITY, f64::min);
        println!("{name:18} {:8.3} ms {:8.1} GB/s {:6.3} ns/voxel", best * 1e3, *bytes as f64 / best / 1e9, best * 1e9 / voxels as f64);
    }
}

criterion_group!(benches, kernels, programs);
criterion_main!(benches);
