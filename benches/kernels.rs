//! Single kernels on 128³ voxels, one thread of the CPU and all of them.

use criterion::{Criterion, criterion_group, criterion_main};
use nalgebra::Point3;
use verimetry_engine::frame::Grid;
use verimetry_engine::kernels::{Border, Connectivity, components, distance_transform, histogram, threshold};
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
        group.bench_function("components", |b| b.iter(|| pool.install(|| components(&mask, Connectivity::Corners26, &rt))));
        let found = components(&mask, Connectivity::Corners26, &rt).expect("few runs");
        group.bench_function("write_labels", |b| b.iter(|| pool.install(|| found.write_labels(&mut labels))));
        group.bench_function("distance_transform", |b| b.iter(|| pool.install(|| distance_transform(&mask, Border::Unknown, &rt))));
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
