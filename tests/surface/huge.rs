//! Volumes made on the fly, larger than memory: the surface of a lattice against its closed form.

use std::ops::Range;

use verimetry_engine::volume::Slices;

use super::*;

/// A lattice of balls joined by struts, as a scan would show it.
struct Lattice {
    counts: [usize; 3],
    apart: f64,
    ball: f64,
    strut: f64,
}

impl Lattice {
    const EDGE: f64 = 1.2;

    fn centres(&self, axis: usize) -> impl Iterator<Item = f64> + '_ {
        (0..self.counts[axis]).map(move |n| (n as f64 + 0.5) * self.apart + 0.3)
    }

    fn is_between(&self, axis: usize, x: f64) -> bool {
        let ends = |n: usize| (n as f64 + 0.5) * self.apart + 0.3;
        x > ends(0) && x < ends(self.counts[axis] - 1)
    }

    /// Volume and area of the balls, and of what the struts add to each.
    fn truth(&self) -> [[f64; 2]; 2] {
        let pi = std::f64::consts::PI;
        let (ball, strut, [x, y, z]) = (self.ball, self.strut, self.counts.map(|n| n as f64));
        // A strut ends in a ball, inside a cap of this height below the ball's pole.
        let flat = (ball * ball - strut * strut).sqrt();
        let sunk = 2.0 * pi / 3.0 * (ball.powi(3) - flat.powi(3));
        let struts = (x - 1.0) * y * z + x * (y - 1.0) * z + x * y * (z - 1.0);
        let of_strut = [pi * strut * strut * self.apart - 2.0 * sunk, 2.0 * pi * strut * (self.apart - 2.0 * flat)];
        let caps = 2.0 * struts * 2.0 * pi * ball * (ball - flat);
        let balls = [4.0 / 3.0 * pi * ball.powi(3), 4.0 * pi * ball * ball].map(|one| one * x * y * z);
        [[balls[0], balls[1] - caps], of_strut.map(|one| one * struts)]
    }

    /// Depths below the surfaces of the nearest ball and struts, the largest first: that of the lattice.
    fn depths(&self, p: &Point3<f64>) -> Vec<f64> {
        let nearest = |axis: usize| {
            let n = ((p[axis] - 0.3) / self.apart - 0.5).round().clamp(0.0, (self.counts[axis] - 1) as f64);
            p[axis] - ((n + 0.5) * self.apart + 0.3)
        };
        let [x, y, z] = [0, 1, 2].map(nearest);
        let struts = [(0, y, z), (1, x, z), (2, x, y)].into_iter().filter(|(axis, ..)| self.is_between(*axis, p[*axis]));
        let mut depths: Vec<f64> = struts.map(|(_, a, b)| self.strut - a.hypot(b)).collect();
        depths.push(self.ball - (x * x + y * y + z * z).sqrt());
        depths.sort_unstable_by(|a, b| b.total_cmp(a));
        depths
    }

    /// One row of voxels: depth below the nearest surface, as grey.
    fn row(&self, j: usize, k: usize, out: &mut [u16]) {
        let (y, z) = (j as f64, k as f64);
        for (i, v) in out.iter_mut().enumerate() {
            let noise = (i as u32 ^ (j as u32) << 11 ^ (k as u32) << 21).wrapping_mul(0x9e37_79b1);
            *v = 2000 + (noise >> 23) as u16; // 0 to 511
        }
        let mut span = |middle: f64, half: f64, depth: &dyn Fn(f64) -> f64| {
            let from = (middle - half - 3.0).max(0.0) as usize;
            let to = ((middle + half + 3.0).max(0.0) as usize + 1).min(out.len());
            for (i, v) in out.iter_mut().enumerate().take(to).skip(from) {
                let part = (0.5 + depth(i as f64) / (2.0 * Self::EDGE)).clamp(0.0, 1.0);
                *v = (*v).max(2000 + (part * 20000.0) as u16 + (*v - 2000) % 512);
            }
        };
        for (cy, cz) in self.centres(1).flat_map(|cy| self.centres(2).map(move |cz| (cy, cz))) {
            let aside = (y - cy).powi(2) + (z - cz).powi(2);
            if aside < (self.ball + 3.0).powi(2) {
                for cx in self.centres(0) {
                    span(cx, self.ball, &|x| self.ball - ((x - cx).powi(2) + aside).sqrt());
                }
            }
            if aside < (self.strut + 3.0).powi(2) {
                let (from, to) = (0.5 * self.apart, (self.counts[0] as f64 - 0.5) * self.apart);
                span(0.5 * (from + to), 0.5 * (to - from) - 3.0, &|_| self.strut - aside.sqrt());
            }
        }
        for (across, along, at, other) in [(2, 1, y, z), (1, 2, z, y)] {
            for c in self.centres(across).filter(|c| (other - c).abs() < self.strut + 3.0 && self.is_between(along, at)) {
                for cx in self.centres(0) {
                    span(cx, self.strut, &|x| self.strut - ((x - cx).powi(2) + (other - c).powi(2)).sqrt());
                }
            }
        }
    }
}

/// Largest resident memory of this process so far (bytes); 0 where the system does not tell.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|k| k.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Segments a lattice slab by slab within a budget; vertices.
fn segment_lattice(lattice: &Lattice, dims: [usize; 3], at_once: usize, budget: u64) -> Determined {
    use rayon::prelude::*;
    let read = |slices: Range<usize>, out: &mut Vec<u16>| {
        let before = out.len();
        out.resize(before + slices.len() * dims[0] * dims[1], 0);
        out[before..].par_chunks_mut(dims[0]).enumerate().for_each(|(row, values)| {
            lattice.row(row % dims[1], slices.start + row / dims[1], values);
        });
        Ok(())
    };
    let slices = Slices::read(grid(dims), Rescale::IDENTITY, at_once, Box::new(read)).unwrap();
    surface::determine_slices(&slices, &Options::default(), &Runtime::cpu().memory_budget(Some(budget))).unwrap()
}

/// Of a lattice of balls and struts: two for every ball, less two for every strut.
fn euler_of_lattice([x, y, z]: [usize; 3]) -> i64 {
    let struts = (x - 1) * y * z + x * (y - 1) * z + x * y * (z - 1);
    2 * (x * y * z) as i64 - 2 * struts as i64
}

fn euler(mesh: &Mesh) -> i64 {
    mesh.vertices().len() as i64 - mesh.triangles().len() as i64 / 2
}

/// Loops, volume, area and the place of every vertex. A ramp of grey values does not move with curvature as a blur does, so what is taken back
/// for it is an error here: the blur's variance (a twelfth of the ramp's square) times the mean curvature, outwards.
fn is_the_lattice(lattice: &Lattice, mesh: &Mesh) {
    assert_eq!(euler(mesh), euler_of_lattice(lattice.counts));
    let variance = (2.0 * Lattice::EDGE) * (2.0 * Lattice::EDGE) / 12.0;
    let [[ball_volume, ball_area], [strut_volume, strut_area]] = lattice.truth();
    let swollen = [1.0 / lattice.ball, 0.5 / lattice.strut].map(|curvature| variance * curvature);
    let volume = ball_volume + strut_volume + ball_area * swollen[0] + strut_area * swollen[1];
    let area = ball_area * (1.0 + 2.0 * swollen[0] / lattice.ball) + strut_area * (1.0 + swollen[1] / lattice.strut);
    // Beside the corners where struts meet balls, which a blur rounds.
    let alone = |p: &Point3<f64>| Some(lattice.depths(p)).filter(|d| d.get(1).is_none_or(|&next| next < -4.0)).map(|d| d[0]);
    let depths: Vec<f64> = mesh.vertices().iter().filter_map(alone).collect();
    let n = depths.len() as f64;
    let rms = (depths.iter().map(|d| d * d).sum::<f64>() / n).sqrt();
    let far = depths.iter().map(|d| d.abs()).fold(0.0, f64::max);
    println!(
        "volume {:+.4} %, area {:+.3} %, {} vertices beside corners: {rms:.4} voxel rms, {far:.3} at most",
        100.0 * (mesh.volume_mm3() / volume - 1.0),
        100.0 * (mesh.area_mm2() / area - 1.0),
        depths.len()
    );
    // A fiftieth of a voxel on the whole surface, two in a hundred of its area; vertices beside corners within half as much again as what is
    // taken back for curvature.
    assert!((mesh.volume_mm3() - volume).abs() < 0.02 * area, "{} against {volume}", mesh.volume_mm3());
    assert!((mesh.area_mm2() / area - 1.0).abs() < 0.02, "{} against {area}", mesh.area_mm2());
    assert!(rms < 1.5 * swollen[1] && far < 0.15 && n > 0.4 * mesh.vertices().len() as f64, "{rms} {far} {n}");
}

#[test]
fn a_lattice_made_on_the_fly_has_its_loops() {
    let lattice = Lattice { counts: [3, 2, 2], apart: 40.0, ball: 12.0, strut: 5.0 };
    let found = segment_lattice(&lattice, [121, 81, 81], 7, 256 << 20);
    is_the_lattice(&lattice, &found.mesh);
}

#[test]
fn six_thousand_million_voxels_are_segmented_within_four_gibibytes() {
    if std::env::var("VERIMETRY_LONG").is_ok_and(|v| v == "1") {
        let lattice = Lattice { counts: [5, 5, 3], apart: 400.0, ball: 45.0, strut: 7.0 };
        let start = std::time::Instant::now();
        let found = segment_lattice(&lattice, [2000, 2000, 1500], 16, 4 << 30);
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        println!("{} vertices, {:.0} s, peak {:.2} GiB", found.mesh.vertices().len(), start.elapsed().as_secs_f64(), gib(peak_bytes()));
        is_the_lattice(&lattice, &found.mesh);
        assert!(peak_bytes() < 4 << 30);
    }
}
