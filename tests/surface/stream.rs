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
    for (method, keep, denoise) in
        [(Method::Adaptive, Keep::Largest, false), (Method::Iso50, Keep::All, false), (Method::Adaptive, Keep::Largest, true)]
    {
        let options = Options { method, keep, denoise, ..Options::default() };
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
    // The program itself, and a fifth of what the volume and its surface take.
    let budget = format!("{}", Runtime::overhead_bytes() + (12 << 20));
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
    let (status, slabs, said, streamed) = segment("slabs.ply", &["--memory", &budget]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("slices at a time"), "{said}");
    assert!(streamed == mesh);
    let quantities = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap()["quantities"].clone();
    assert_eq!(quantities(&slabs), quantities(&whole));

    let (status, _, said, nothing) = segment("none.ply", &["--memory", "1MiB"]);
    assert!(status == Some(4) && said.contains("[memory.budget]") && nothing.is_none(), "{said}");
}
