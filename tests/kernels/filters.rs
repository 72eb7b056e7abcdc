//! Filters: Gaussian, gradient, median.

use nalgebra::Point3;
use verimetry_engine::frame::Grid;
use verimetry_engine::gpu::Options;
use verimetry_engine::kernels::{Coding, Gaussian, gaussian, gradient, median, medians, value_range};
use verimetry_engine::runtime::Runtime;
use verimetry_engine::volume::{Rescale, Slab, Volume, Voxel};

use crate::support::{Random, gpu_with};
use crate::{EXTENTS, backends, volume};

/// Nothing at all, a little, more than the small extents reach, each axis its own.
const SIGMAS: [[f64; 3]; 4] = [[0.0; 3], [0.6, 0.0, 1.1], [2.0; 3], [5.3, 0.4, 3.0]];

/// Truncated at 4 sigma, normalised, borders going on: in f64.
fn blurred(codes: &[f64], dims: [usize; 3], sigma: [f64; 3]) -> Vec<f64> {
    let mut values = codes.to_vec();
    for axis in 0..3 {
        let reach = (4.0 * sigma[axis] + 0.5) as i64;
        let bell = |d: i64| if d == 0 { 1.0 } else { (-0.5 * (d as f64 / sigma[axis]).powi(2)).exp() };
        let whole: f64 = (-reach..=reach).map(bell).sum();
        let stride = dims[..axis].iter().product::<usize>();
        let n = dims[axis] as i64;
        let sum = |at: usize| {
            let x = (at / stride) as i64 % n;
            let there = |d: i64| values[(at as i64 + ((x + d).clamp(0, n - 1) - x) * stride as i64) as usize];
            (-reach..=reach).map(|d| bell(d) / whole * there(d)).sum()
        };
        values = (0..values.len()).map(sum).collect();
    }
    values
}

/// The codes by their definition.
fn codes<T: Voxel>(v: &Volume<T>, coding: &Coding) -> Vec<f64> {
    let code = |x: f64| if x.is_nan() { 0.0 } else { ((x - coding.zero) / coding.step + 0.5).floor().clamp(0.0, 65535.0) };
    v.data().iter().map(|x| code(x.to_f64())).collect()
}

fn check<T: Voxel>(mut value: impl FnMut() -> T) {
    let runtimes = backends(65_536);
    for (dims, sigma) in EXTENTS.into_iter().zip(SIGMAS.into_iter().cycle()) {
        let v = volume(dims, &mut value);
        let coding = Coding::of(&v);
        let truth = blurred(&codes(&v, &coding), dims, sigma);
        // A weight is off by less than a unit of 2^-16 from its own; three axes; rounding adds half of 1/256 each.
        let contrast = 65535.0 / 65536.0;
        let taps: f64 = sigma.iter().map(|s| 1.0 + 2.0 * (4.0 * s + 0.5).floor()).sum();
        let bound = contrast * taps + 1.5 / 256.0;
        let (name, rt) = &runtimes[0];
        let first = gaussian(&v, sigma, rt).unwrap();
        for (at, (&found, truth)) in first.data().iter().zip(&truth).enumerate() {
            let found = f64::from(found) / 256.0;
            assert!((found - truth).abs() <= bound, "{name} {} {dims:?} {sigma:?} at {at}: {found} for {truth}", T::NAME);
        }
        let edges = gradient(&v, rt).unwrap();
        assert!(edges.data() == steepness(&codes(&v, &coding), dims, [1.0; 3]), "{} {dims:?}", T::NAME);
        for (name, rt) in &runtimes[1..] {
            assert!(gaussian(&v, sigma, rt).unwrap() == first, "{name} {} {dims:?} {sigma:?}", T::NAME);
            assert!(gradient(&v, rt).unwrap() == edges, "{name} {} {dims:?}", T::NAME);
        }
        let middle = median(&v, &Runtime::cpu()).unwrap();
        assert!(middle.data() == middles(&codes(&v, &coding), dims), "{} {dims:?}", T::NAME);
        let (slices, mut anew) = (v.slices(), vec![]);
        let view = medians(&slices, coding).unwrap();
        view.pass(1, |own, slab| {
            anew.extend_from_slice(slab.of(own));
            Ok(())
        })
        .unwrap();
        assert!(anew == middle.data() && view.rescale() == middle.rescale(), "{} {dims:?}", T::NAME);
    }
}

#[test]
fn filters_of_integers_follow_their_definitions_on_every_backend() {
    let mut r = Random(21);
    check(|| r.bits() as u8);
    check(|| r.bits() as i8);
    check(|| r.bits() as u16);
    check(|| r.bits() as i16);
    check(|| 1_000_000 + r.bits() as u32 % 30_000);
    check(|| r.bits() as i32);
}

#[test]
fn filters_of_floats_follow_their_definitions_on_every_backend() {
    let mut r = Random(22);
    check(|| (r.unit() * 3.0 - 1.0) as f32);
    check(|| if r.bits().is_multiple_of(40) { f32::NAN } else { (r.unit() * 1e20) as f32 });
    check(|| r.unit() * 1e-3 + 7.0);
}

fn steepness(codes: &[f64], dims: [usize; 3], scales: [f64; 3]) -> Vec<u16> {
    let [nx, ny, _] = dims;
    let magnitude = |at: usize| {
        let place = [at % nx, at / nx % ny, at / (nx * ny)];
        let squares = (0..3).map(|axis| {
            let beside = |x: usize| {
                let mut p = place;
                p[axis] = x;
                codes[(p[2] * ny + p[1]) * nx + p[0]]
            };
            let difference = beside((place[axis] + 1).min(dims[axis] - 1)) - beside(place[axis].saturating_sub(1));
            (difference.abs() * scales[axis] + 0.5).floor().powi(2)
        });
        (0.5 * squares.sum::<f64>().sqrt()).floor() as u16
    };
    (0..codes.len()).map(magnitude).collect()
}

fn middles(codes: &[f64], dims: [usize; 3]) -> Vec<u16> {
    let [nx, ny, _] = dims;
    let middle = |at: usize| {
        let place = [at % nx, at / nx % ny, at / (nx * ny)];
        let mut near: Vec<u16> = (0..27)
            .map(|n| {
                let p = [n % 3, n / 3 % 3, n / 9];
                let [i, j, k] = [0, 1, 2].map(|a| (place[a] + p[a]).saturating_sub(1).min(dims[a] - 1));
                codes[(k * ny + j) * nx + i] as u16
            })
            .collect();
        near.sort_unstable();
        near[13]
    };
    (0..codes.len()).map(middle).collect()
}

#[test]
fn a_stream_of_slabs_is_smoothed_to_the_same_bits_as_the_whole() {
    let mut r = Random(23);
    let dims = [37, 11, 40];
    let v = volume(dims, || r.unit() as f32);
    let smoothing = Gaussian::new([1.3, 2.1, 1.7]).unwrap();
    let coding = { value_range(v.data()).map(|(min, max)| Coding::of_range::<f32>(min, max)).unwrap() };
    for (name, rt) in backends(65_536) {
        let whole = gaussian(&v, [1.3, 2.1, 1.7], &rt).unwrap();
        for slices in [1, 3, 16, 40] {
            let mut streamed = vec![];
            for first in (0..dims[2]).step_by(slices) {
                let wanted = first..(first + slices).min(dims[2]);
                let there = first.saturating_sub(smoothing.halo())..(wanted.end + smoothing.halo()).min(dims[2]);
                let slice = dims[0] * dims[1];
                let slab = Slab::new(&v.data()[there.start * slice..there.end * slice], dims, there.start).unwrap();
                streamed.extend(smoothing.smooth(&slab, &coding, wanted, &rt).unwrap());
            }
            assert!(streamed == whole.data(), "{name} by {slices}");
        }
    }
    let short = Slab::new(&v.data()[..dims[0] * dims[1] * 10], dims, 0).unwrap();
    let error = smoothing.smooth(&short, &coding, 0..4, &Runtime::cpu()).unwrap_err();
    assert_eq!(error.code, "gaussian.slices");
    assert!(Slab::new(&v.data()[..100], dims, 0).is_none() && Slab::new(v.data(), dims, 1).is_none());
}

#[test]
fn smoothing_does_not_depend_on_the_number_of_threads() {
    let mut r = Random(24);
    let v = volume([600, 7, 21], || r.bits() as u16);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (gaussian(&v, [2.0, 1.0, 1.5], &Runtime::cpu()).unwrap(), gradient(&v, &Runtime::cpu()).unwrap()))
    };
    assert!(on(1) == on(5));
}

#[test]
fn smoothing_keeps_a_ramp_and_lifts_a_parabola_by_the_variance() {
    let dims = [60, 60, 3];
    let mut at = 0;
    let v = volume(dims, || {
        at += 1;
        let (i, j): (i32, i32) = ((at - 1) % 60, (at - 1) / 60 % 60);
        (8 * (i - 30) * (i - 30) + 100 * j) as u16
    });
    for sigma in [0.8, 2.0, 3.3] {
        let smooth = gaussian(&v, [sigma; 3], &Runtime::cpu()).unwrap();
        let reach = (4.0 * sigma + 0.5f64).floor();
        // A parabola of 8 d² rises by 8 variances. Partial sums of weights are off by half a unit of 2^-16: at most reach² units of variance;
        // three roundings. What lies beyond 4 sigma and between the sampled weights takes less than 0.3 % off the variance.
        let bound = 8.0 * (reach * reach / 65536.0 + 0.003 * sigma * sigma) + 1.5 / 256.0;
        for (i, j) in [(30, 30), (20, 30), (35, 25)] {
            let rise = smooth.rescale().physical(f64::from(smooth.at(i, j, 1))) - f64::from(v.at(i, j, 1));
            assert!((rise - 8.0 * sigma * sigma).abs() < bound, "{sigma} at {i}: {rise}");
        }
    }
    let flat = volume([9, 8, 7], || u16::MAX);
    assert!(gaussian(&flat, [3.0; 3], &Runtime::cpu()).unwrap().data().iter().all(|&v| v == 65535 * 256));
}

#[test]
fn the_gradient_of_a_ramp_is_its_slope_a_millimetre_on_unequal_spacing() {
    let spacing = [0.5, 0.4, 1.6];
    let slope = [300.0, -400.0, 250.0]; // stored units a millimetre
    let dims = [9, 8, 7];
    let grid = Grid::aligned(dims, spacing, Point3::origin()).unwrap();
    let mut data = vec![];
    for at in 0..dims.iter().product::<usize>() {
        let place = [at % 9, at / 9 % 8, at / 72].map(|x| x as f64);
        data.push((0..3).map(|a| slope[a] * spacing[a] * place[a]).sum::<f64>() as i16);
    }
    let v = Volume::new(grid, Rescale { slope: -2.0, intercept: 7.0 }, data).unwrap();
    let truth = 2.0 * slope.iter().map(|s| s * s).sum::<f64>().sqrt();
    for (name, rt) in backends(65_536) {
        let g = gradient(&v, &rt).unwrap();
        let found = g.rescale().physical(f64::from(g.at(4, 4, 3)));
        // Down by less than a code; each difference off by half a code and by 1/512 of itself where the scale is rounded.
        assert!((found - truth).abs() <= 2.0 / 0.4 * (1.0 + 1.5) + truth / 512.0, "{name}: {found} for {truth}");
    }
}

#[test]
fn extremes_reach_the_ends_of_their_types_and_no_further() {
    let mut at = 0;
    let v = volume([3, 3, 3], || {
        at += 1;
        if at % 2 == 0 { i16::MIN } else { i16::MAX }
    });
    let g = gradient(&v, &Runtime::cpu()).unwrap();
    assert_eq!(g.at(0, 0, 0), (0.5 * (3.0f64 * 65535.0 * 65535.0).sqrt()) as u16);
    for sigma in [-0.1, 32.1, f64::NAN] {
        assert_eq!(Gaussian::new([1.0, sigma, 1.0]).unwrap_err().code, "gaussian.sigma");
    }
}

#[test]
fn a_row_larger_than_a_slab_is_an_error_or_a_noted_fallback() {
    let Some(gpu) = gpu_with(Options { slab_bytes: Some(1024), ..Options::default() }) else { return };
    let mut r = Random(25);
    let v = volume([600, 2, 2], || r.bits() as u16);
    let strict = Runtime::with_gpu(Some(gpu.clone()));
    assert_eq!(gaussian(&v, [2.0; 3], &strict).unwrap_err().code, "gpu.limits");
    assert_eq!(gradient(&v, &strict).unwrap_err().code, "gpu.limits");
    let lenient = Runtime::with_gpu(Some(gpu)).falls_back(true);
    assert!(gaussian(&v, [2.0; 3], &lenient).unwrap() == gaussian(&v, [2.0; 3], &Runtime::cpu()).unwrap());
    assert!(lenient.notes()[0].contains("fell back to the CPU"), "{:?}", lenient.notes());
}
