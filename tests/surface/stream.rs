//! Volumes that are read slab by slab give the bits of volumes in memory.

use std::ops::Range;

use verimetry_engine::volume::Slices;

use super::*;

/// A volume read some slices at a time.
fn read<T: Voxel>(v: &Volume<T>, at_once: usize) -> Slices<'_, T> {
    let slice = v.grid().dims()[0] * v.grid().dims()[1];
    let read = move |slices: Range<usize>, out: &mut Vec<T>| {
        out.extend_from_slice(&v.data()[slices.start * slice..slices.end * slice]);
        Ok(())
    };
    Slices::read(*v.grid(), v.rescale(), at_once, Box::new(read)).unwrap()
}

#[test]
fn slabs_of_any_height_give_the_same_bare_surface() {
    let check = |v: Volume<f32>, threshold: f64| {
        let whole = surface::iso_surface(&v, threshold, &Runtime::cpu()).unwrap();
        euler_of_closed(&whole);
        for at_once in 1..=v.grid().dims()[2] + 1 {
            let slabs =
                threads(1 + at_once % 3, || surface::iso_surface_of_slices(&read(&v, at_once), threshold, &Runtime::cpu()).unwrap());
            assert!(slabs == whole, "{at_once} slices at once");
        }
    };
    check(volume(grid([67, 9, 8]), |_, n| Random(n as u64).unit() as f32 - 0.5), 0.0);
    check(volume(grid([20, 21, 22]), |p, _| 7.0 - (p - Point3::new(9.3, 10.1, 11.4)).norm() as f32), 0.0);
    check(volume(grid([5, 4, 1]), |_, n| (n % 3) as f32), 0.5);
    // Nothing in the first and the last slices, and nothing in between.
    check(volume(grid([6, 6, 12]), |p, _| if [3.0, 8.0].contains(&p.z) { 1.0 } else { 0.0 }), 0.5);
}

#[test]
fn a_fault_of_reading_ends_the_pass() {
    let grid = grid([4, 4, 4]);
    let fault = || verimetry_engine::Error::input("file.truncated", "slice 3 is not there");
    let broken = |slices: Range<usize>, out: &mut Vec<u8>| {
        out.extend(vec![0; slices.len() * 16]);
        if slices.contains(&3) { Err(fault()) } else { Ok(()) }
    };
    let slices = Slices::read(grid, Rescale::IDENTITY, 1, Box::new(broken)).unwrap();
    assert_eq!(surface::iso_surface_of_slices(&slices, 1.0, &Runtime::cpu()).unwrap_err(), fault());
}

#[test]
fn slabs_of_any_height_give_the_same_refined_surface_with_its_uncertainty_and_findings() {
    // A hollow ball and a loose one, on a sheared grid, with noise: components, walls and plateaus within and beyond the reach of a slab.
    let axes = Matrix3::new(0.3, 0.0, 0.06, 0.0, 0.3, 0.0, 0.0, 0.0, 0.4);
    let grid = Grid::new([64, 40, 30], Point3::new(1.0, 2.0, -3.0), axes).unwrap();
    let (a, b) = (grid.physical(&Point3::new(20.2, 19.7, 14.6)), grid.physical(&Point3::new(50.3, 20.0, 15.0)));
    let v = volume(grid, |p, n| {
        let grey = blurred_ball((p - a).norm(), 4.2, 0.3) - blurred_ball((p - a).norm(), 1.7, 0.3) + blurred_ball((p - b).norm(), 1.9, 0.3);
        (1000.0 + 20000.0 * (grey + 0.02 * normal(9, n))).round().clamp(0.0, 65535.0) as u16
    });
    for (method, keep) in [(Method::Adaptive, Keep::Largest), (Method::Iso50, Keep::All)] {
        let options = Options { method, keep, ..Options::default() };
        let whole = surface::determine_slices(&v.slices(), &options, &Runtime::cpu()).unwrap();
        assert_eq!(whole.findings.iter().any(|f| f.code == "surface.components"), keep == Keep::Largest);
        for at_once in [1, 2, 7, 29, 30] {
            let slabs = threads(1 + at_once % 3, || surface::determine_slices(&read(&v, at_once), &options, &Runtime::cpu()).unwrap());
            assert!(slabs.mesh == whole.mesh, "{at_once} slices at once");
            assert_eq!((&slabs.vertex_u_mm, &slabs.flags), (&whole.vertex_u_mm, &whole.flags));
            assert_eq!((slabs.u_offset_mm, slabs.threshold, slabs.image), (whole.u_offset_mm, whole.threshold, whole.image));
            assert_eq!(slabs.findings, whole.findings);
        }
    }
}

#[test]
fn what_does_not_fit_the_budget_is_refused_before_it_is_taken() {
    let v = ball_ct(grid([40; 3]), Point3::new(20.1, 19.8, 20.3), 13.0, 0.8, 0.01, 3);
    let with = |kib: u64| surface::determine_slices(&read(&v, 4), &Options::default(), &Runtime::cpu().memory_budget(Some(kib << 10)));
    assert_eq!(with(64).unwrap_err().code, "memory.budget");
    assert!(with(64).unwrap_err().message.contains("--memory"));
    assert!(with(1 << 20).is_ok());
}

#[test]
fn a_cancelled_run_ends_in_every_stage() {
    use std::sync::atomic::Ordering;
    use std::sync::{Arc, Mutex};
    let v = ball_ct(grid([30; 3]), Point3::new(15.1, 14.8, 15.3), 9.0, 0.8, 0.01, 3);
    let stages = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let seen = stages.clone();
    let rt = Runtime::cpu().on_progress(Arc::new(move |stage, _| {
        seen.lock().unwrap().insert(stage.to_string());
    }));
    surface::determine_slices(&read(&v, 4), &Options::default(), &rt).unwrap();
    let stages: Vec<String> = stages.lock().unwrap().iter().cloned().collect();
    assert!(
        ["histogram", "threshold", "noise", "surface", "near the surface", "refine"].iter().all(|s| stages.iter().any(|t| t == s)),
        "{stages:?}"
    );
    for stage in stages {
        let rt = Runtime::cpu();
        let flag = rt.cancel_flag();
        let at = stage.clone();
        let rt = rt.on_progress(Arc::new(move |stage, _| {
            if stage == at {
                flag.store(true, Ordering::Relaxed);
            }
        }));
        let error = surface::determine_slices(&read(&v, 4), &Options::default(), &rt).unwrap_err();
        assert_eq!(error.code, "run.cancelled", "{stage}");
    }
}

#[test]
fn the_command_line_gives_the_same_mesh_within_a_budget_that_the_volume_exceeds() {
    use std::process::Command;
    let folder = tempfile::tempdir().unwrap();
    let v = ball_ct(grid([100, 110, 120]), Point3::new(50.3, 54.8, 61.3), 30.0, 0.8, 0.01, 3);
    let header =
        "ObjectType = Image\nNDims = 3\nDimSize = 100 110 120\nElementSpacing = 1 1 1\nElementType = MET_USHORT\nElementDataFile = LOCAL\n";
    let mut bytes = header.as_bytes().to_vec();
    v.data().iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    let scan = folder.path().join("scan.mha");
    std::fs::write(&scan, bytes).unwrap();
    let segment = |mesh: &str, more: &[&str]| {
        let out = folder.path().join(mesh);
        let mut command = Command::new(env!("CARGO_BIN_EXE_verimetry"));
        let done = command.arg("segment").arg(&scan).arg("-o").arg(&out).args(["--json", "--backend", "cpu"]).args(more).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap(), std::fs::read(out).ok())
    };
    let (status, whole, said, mesh) = segment("whole.ply", &[]);
    assert_eq!(status, Some(0), "{said}");
    assert!(mesh.is_some() && said.contains("100 x 110 x 120 voxels of u16 need about"), "{said}");
    let (status, slabs, said, streamed) = segment("slabs.ply", &["--memory", "24MiB"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("slices at a time"), "{said}");
    assert!(streamed == mesh);
    let quantities = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap()["quantities"].clone();
    assert_eq!(quantities(&slabs), quantities(&whole));

    let (status, _, said, nothing) = segment("none.ply", &["--memory", "1MiB"]);
    assert!(status == Some(4) && said.contains("[memory.budget]") && nothing.is_none(), "{said}");
}

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

#[test]
fn a_lattice_made_on_the_fly_has_its_loops() {
    let lattice = Lattice { counts: [3, 2, 2], apart: 40.0, ball: 12.0, strut: 5.0 };
    let found = segment_lattice(&lattice, [121, 81, 81], 7, 256 << 20);
    assert_eq!(euler(&found.mesh), euler_of_lattice(lattice.counts));
}

#[test]
fn six_thousand_million_voxels_are_segmented_within_four_gibibytes() {
    if std::env::var("VERIMETRY_LONG").is_ok_and(|v| v == "1") {
        let lattice = Lattice { counts: [5, 5, 3], apart: 400.0, ball: 45.0, strut: 7.0 };
        let start = std::time::Instant::now();
        let found = segment_lattice(&lattice, [2000, 2000, 1500], 16, 4 << 30);
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        println!("{} vertices, {:.0} s, peak {:.2} GiB", found.mesh.vertices().len(), start.elapsed().as_secs_f64(), gib(peak_bytes()));
        assert_eq!(euler(&found.mesh), euler_of_lattice(lattice.counts));
        assert!(peak_bytes() < 4 << 30);
    }
}
