//! Surfaces of volumes with a known truth: topology against counting, position against closed forms, uncertainty against scatter.

#[path = "surface/accuracy.rs"]
mod accuracy;
#[path = "surface/bulge.rs"]
mod bulge;
#[path = "surface/denoise.rs"]
mod denoise;
#[path = "surface/huge.rs"]
mod huge;
#[path = "surface/materials.rs"]
mod materials;
#[path = "surface/memory.rs"]
mod memory;
#[path = "surface/motion.rs"]
mod motion;
#[path = "surface/struts.rs"]
mod struts;
mod support;
#[path = "surface/uncertainty.rs"]
mod uncertainty;
#[path = "surface/walls.rs"]
mod walls;

#[path = "surface/stream.rs"]
mod stream;
#[path = "surface/topology.rs"]
mod topology;

use std::collections::HashMap;

use nalgebra::{Matrix3, Point3, Vector3};
use support::Random;
use verimetry_engine::frame::Grid;
use verimetry_engine::mesh::Mesh;
use verimetry_engine::runtime::Runtime;
use verimetry_engine::surface::{self, Determined, Keep, Method, Options};
use verimetry_engine::volume::{Rescale, Volume, Voxel};

fn grid(dims: [usize; 3]) -> Grid {
    Grid::aligned(dims, [1.0; 3], Point3::origin()).unwrap()
}

fn volume<T: Voxel>(grid: Grid, value: impl Fn(Point3<f64>, usize) -> T) -> Volume<T> {
    let [nx, ny, nz] = grid.dims();
    let index = |n: usize| Point3::new((n % nx) as f64, (n / nx % ny) as f64, (n / nx / ny) as f64);
    let data = (0..nx * ny * nz).map(|n| value(grid.physical(&index(n)), n)).collect();
    Volume::new(grid, Rescale::IDENTITY, data).unwrap()
}

/// Every edge lies in two triangles that run along it in opposite directions; panics otherwise. Euler's number.
fn euler_of_closed(mesh: &Mesh) -> i64 {
    let mut directed: HashMap<(u32, u32), u32> = HashMap::new();
    for t in mesh.triangles() {
        for (a, b) in [(t[0], t[1]), (t[1], t[2]), (t[2], t[0])] {
            *directed.entry((a, b)).or_default() += 1;
        }
    }
    for (&(a, b), &n) in &directed {
        assert_eq!((n, directed.get(&(b, a))), (1, Some(&1)), "edge {a}-{b}");
    }
    mesh.vertices().len() as i64 - directed.len() as i64 / 2 + mesh.triangles().len() as i64
}

fn threads<R: Send>(n: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(f)
}

#[test]
fn every_pattern_of_a_cell_and_its_neighbours_gives_a_closed_oriented_surface() {
    let mut random = Random(1);
    for pattern in 1..=255u32 {
        for _ in 0..40 {
            let v = volume(grid([2, 2, 2]), |_, n| {
                let size = 0.01 + random_unit(pattern, n, random.0);
                if pattern >> n & 1 == 1 { size as f32 } else { -size as f32 }
            });
            random.bits();
            euler_of_closed(&surface::iso_surface(&v, 0.0, &Runtime::cpu()).unwrap());
        }
    }
}

fn random_unit(pattern: u32, n: usize, seed: u64) -> f64 {
    Random(seed ^ u64::from(pattern) << 32 ^ n as u64).unit()
}

#[test]
fn noise_of_every_kind_gives_a_closed_oriented_surface() {
    // Extents on both sides of the 64-bit words; few grey levels, so that many values equal the threshold.
    for (dims, levels) in [([63, 9, 8], 3), ([64, 8, 9], 2), ([65, 7, 9], 200), ([1, 30, 30], 5), ([128, 5, 1], 4), ([1, 1, 1], 2)] {
        let v = volume(grid(dims), |_, n| if n == 0 { levels as u16 } else { (Random(n as u64).bits() % levels) as u16 });
        euler_of_closed(&surface::iso_surface(&v, 1.0, &Runtime::cpu()).unwrap());
        let v = volume(grid(dims), |_, n| if n == 0 { 1.0 } else { Random(n as u64).unit() - 0.5 });
        euler_of_closed(&surface::iso_surface(&v, 0.0, &Runtime::cpu()).unwrap());
    }
}

#[test]
fn a_ball_has_euler_number_two_and_a_torus_none_and_both_their_volume() {
    let c = Point3::new(20.3, 19.8, 20.1);
    let ball = volume(grid([41; 3]), |p, _| (15.0 - (p - c).norm()) as f32);
    let mesh = surface::iso_surface(&ball, 0.0, &Runtime::cpu()).unwrap();
    assert_eq!(euler_of_closed(&mesh), 2);
    let truth = 4.0 / 3.0 * std::f64::consts::PI * 15f64.powi(3);
    // Chords lose about 0.6 / R^2 of the volume.
    assert!((mesh.volume_mm3() / truth - 1.0).abs() < 0.004, "{}", mesh.volume_mm3() / truth);

    let torus = volume(grid([41, 41, 20]), |p, _| {
        let d = p - Point3::new(20.2, 19.7, 9.6);
        (4.0 - Vector3::new(d.xy().norm() - 13.0, d.z, 0.0).norm()) as f32
    });
    let mesh = surface::iso_surface(&torus, 0.0, &Runtime::cpu()).unwrap();
    assert_eq!(euler_of_closed(&mesh), 0);
    let truth = 2.0 * std::f64::consts::PI.powi(2) * 13.0 * 16.0;
    assert!((mesh.volume_mm3() / truth - 1.0).abs() < 0.03, "{}", mesh.volume_mm3() / truth);
}

#[test]
fn material_at_the_border_is_closed_half_a_voxel_outside_in_every_voxel_type() {
    fn check<T: Voxel>(one: T) {
        let v = volume(grid([3, 4, 5]), |_, _| one);
        let mesh = surface::iso_surface(&v, 0.5, &Runtime::cpu()).unwrap();
        assert_eq!(euler_of_closed(&mesh), 2);
        let bounds = mesh.bounds();
        assert_eq!((bounds.min, bounds.max), (Point3::new(-0.5, -0.5, -0.5), Point3::new(2.5, 3.5, 4.5)));
        assert!(mesh.volume_mm3() > 0.0);
    }
    check(1u8);
    check(1i8);
    check(1u16);
    check(1i16);
    check(1u32);
    check(1i32);
    check(1f32);
    check(1f64);
}

#[test]
fn a_sheared_or_mirrored_grid_maps_the_same_index_surface_and_stays_outward() {
    let sheared = Matrix3::new(0.5, 0.0, 0.3, 0.0, 0.6, 0.0, 0.0, 0.0, 1.2);
    let c = Point3::new(12.0, 13.0, 11.0);
    let value = |p: Point3<f64>| (8.0 - (p - c).norm()) as f32;
    let straight = volume(grid([25; 3]), |p, _| value(p));
    let index = surface::iso_surface(&straight, 0.0, &Runtime::cpu()).unwrap();
    for axes in [sheared, sheared * Matrix3::from_diagonal(&Vector3::new(1.0, -1.0, 1.0))] {
        let mapped = Grid::new([25; 3], Point3::new(5.0, -7.0, 1.0), axes).unwrap();
        let v = Volume::new(mapped, Rescale::IDENTITY, straight.data().to_vec()).unwrap();
        let mesh = surface::iso_surface(&v, 0.0, &Runtime::cpu()).unwrap();
        let far = mesh.vertices().iter().zip(index.vertices()).map(|(m, i)| (m - mapped.physical(i)).norm()).fold(0.0, f64::max);
        assert!(far < 1e-12, "{far}");
        let ratio = mesh.volume_mm3() / (index.volume_mm3() * axes.determinant().abs());
        assert!((ratio - 1.0).abs() < 1e-12, "{ratio}");
    }
}

/// A ball under a Gaussian blur, in closed form: 1 inside, 0 outside.
fn blurred_ball(r: f64, radius: f64, sigma: f64) -> f64 {
    let s = std::f64::consts::SQRT_2 * sigma;
    let r = r.max(1e-9);
    let (a, b) = (radius - r, radius + r);
    let bells = libm::exp(-a * a / (s * s)) - libm::exp(-b * b / (s * s));
    0.5 * (libm::erf(a / s) + libm::erf(b / s)) - sigma / (r * (2.0 * std::f64::consts::PI).sqrt()) * bells
}

fn normal(seed: u64, n: usize) -> f64 {
    let mut random = Random(seed.wrapping_mul(0x1234_5678_9abc_def1) ^ n as u64);
    let (u, v) = (1.0 - random.unit(), random.unit());
    (-2.0 * libm::log(u)).sqrt() * libm::cos(2.0 * std::f64::consts::PI * v)
}

/// A CT of a blurred ball: air 1000, material 21000, noise in parts of the contrast.
fn ball_ct(grid: Grid, centre: Point3<f64>, radius: f64, sigma: f64, noise: f64, seed: u64) -> Volume<u16> {
    volume(grid, |p, n| {
        let grey = blurred_ball((p - centre).norm(), radius, sigma) + if noise > 0.0 { noise * normal(seed, n) } else { 0.0 };
        (1000.0 + 20000.0 * grey).round().clamp(0.0, 65535.0) as u16
    })
}

fn determine(v: Volume<u16>) -> Determined {
    determine_with(v, &Options::default())
}

fn determine_with(v: Volume<u16>, options: &Options) -> Determined {
    surface::determine(&Voxel::wrap(v), options, &Runtime::cpu()).unwrap()
}

/// A CT of shares of material: air 5000, material 25000, noise in parts of the contrast.
fn scan(grid: Grid, share: impl Fn(Point3<f64>) -> f64, noise: f64, seed: u64) -> Volume<u16> {
    volume(grid, |p, n| {
        let grey = share(p) + if noise > 0.0 { noise * normal(seed, n) } else { 0.0 };
        (5000.0 + 20000.0 * grey).round().clamp(0.0, 65535.0) as u16
    })
}

/// A plate about 0 under a Gaussian blur, in closed form: 1 inside, 0 outside.
fn plate_share(x: f64, thickness: f64, sigma: f64) -> f64 {
    let s = std::f64::consts::SQRT_2 * sigma;
    0.5 * (libm::erf((0.5 * thickness - x) / s) + libm::erf((0.5 * thickness + x) / s))
}

fn long() -> bool {
    std::env::var("VERIMETRY_LONG").is_ok_and(|v| v == "1")
}

/// Area-weighted mean distance of the vertices from a point.
fn mean_radius(mesh: &Mesh, centre: Point3<f64>) -> f64 {
    let areas = mesh.vertex_areas_mm2();
    let weighted: f64 = mesh.vertices().iter().zip(&areas).map(|(p, a)| (p - centre).norm() * a).sum();
    weighted / areas.iter().sum::<f64>()
}

#[test]
fn the_result_has_the_same_bits_on_one_thread_and_on_five() {
    let make = || determine(ball_ct(grid([40, 41, 42]), Point3::new(19.7, 20.2, 20.6), 13.0, 0.9, 0.03, 1));
    let (one, five) = (threads(1, make), threads(5, make));
    assert_eq!(one.mesh, five.mesh);
    assert_eq!(one.vertex_u_mm, five.vertex_u_mm);
    assert_eq!(one.flags, five.flags);
    assert_eq!((one.u_offset_mm, one.image), (five.u_offset_mm, five.image));
}

#[test]
fn the_largest_component_keeps_its_voids_and_leaves_the_rest_out() {
    // A hollow ball with a loose ball in its void, and another ball beside it.
    let c = Point3::new(16.2, 16.1, 15.9);
    let v = volume(grid([60, 33, 33]), |p, _| {
        let r = (p - c).norm();
        let shell = (13.0 - r).min(r - 7.0);
        let loose = 3.0 - r;
        let beside = 8.0 - (p - Point3::new(45.1, 16.0, 16.0)).norm();
        (500.0 + 100.0 * shell.max(loose).max(beside).clamp(-2.0, 2.0)).round() as u16
    });
    let keep = |keep| {
        let options = Options { method: Method::Value(500.0), keep, ..Options::default() };
        surface::determine(&Voxel::wrap(v.clone()), &options, &Runtime::cpu()).unwrap()
    };
    let largest = keep(Keep::Largest);
    assert_eq!(euler_of_closed(&largest.mesh), 4, "outside and void");
    let third = 4.0 / 3.0 * std::f64::consts::PI;
    let truth = third * (13f64.powi(3) - 7f64.powi(3));
    assert!((largest.mesh.volume_mm3() / truth - 1.0).abs() < 0.01);
    let finding = largest.findings.iter().find(|f| f.code == "surface.components").unwrap();
    assert!(finding.message.starts_with("2 separate components"), "{}", finding.message);
    assert_eq!(euler_of_closed(&keep(Keep::All).mesh), 8);
}

#[test]
fn a_volume_without_contrast_or_surface_is_refused() {
    let code = |v: Volume<u16>, method| {
        let options = Options { method, ..Options::default() };
        surface::determine(&Voxel::wrap(v), &options, &Runtime::cpu()).unwrap_err().code
    };
    let air = || volume(grid([20; 3]), |_, n| (1000.0 + 30.0 * normal(1, n)) as u16);
    assert_eq!(code(air(), Method::Adaptive), "surface.no_contrast");
    assert_eq!(code(volume(grid([5; 3]), |_, _| 7u16), Method::Otsu), "surface.no_contrast");
    assert_eq!(code(air(), Method::Value(5000.0)), "surface.empty");
    assert_eq!(code(air(), Method::Value(f64::NAN)), "surface.threshold");
}

#[test]
fn padding_below_air_is_left_out_and_the_modes_are_those_of_air_and_material() {
    let v = volume(grid([50; 3]), |p, n| {
        let r = (p - Point3::new(25.0, 25.0, 25.0)).norm();
        let outside_circle = (p - Point3::new(25.0, 25.0, p.z)).norm() > 24.0;
        if outside_circle { -2000 } else { (-1000.0 + 1500.0 * blurred_ball(r, 12.0, 0.9) + 20.0 * normal(2, n)).round() as i16 }
    });
    let found = surface::determine(&Voxel::wrap(v), &Options::default(), &Runtime::cpu()).unwrap();
    assert!((found.image.air + 1000.0).abs() < 3.0 && (found.image.material - 500.0).abs() < 5.0, "{:?}", found.image);
    assert!((found.threshold + 250.0).abs() < 3.0);
}
