//! Pores of volumes up to 2700 million voxels: streamed as unstreamed, within their memory, against closed forms.

use std::f64::consts::PI;
use std::io::Write;
use std::path::PathBuf;

use rayon::prelude::*;
use verimetry_engine::load::Source;
use verimetry_engine::measure::{self, Envelope, Measurement, Pores};
use verimetry_engine::runtime::Runtime;

use super::{Folder, covers};

/// Hollow balls in cubic order joined by struts that go on to the faces of the volume; lengths in voxels, of [`VOXEL`] mm.
struct Frame {
    dims: [usize; 3],
    apart: f64,
    ball: f64,
    hollow: f64,
    strut: f64,
}

const VOXEL: f64 = 0.02;

impl Frame {
    fn counts(&self) -> [f64; 3] {
        self.dims.map(|n| (n as f64 / self.apart).floor())
    }

    fn balls(&self) -> f64 {
        self.counts().iter().product()
    }

    fn centre(&self, axis: usize, x: f64) -> f64 {
        let n = (x / self.apart - 0.5).round().clamp(0.0, self.counts()[axis] - 1.0);
        (n + 0.5) * self.apart + 0.3
    }

    /// Grey values of a row: a ramp of two voxels across every surface.
    fn row(&self, j: usize, k: usize, out: &mut [u8]) {
        let (y, z) = (j as f64, k as f64);
        let (dy, dz) = (y - self.centre(1, y), z - self.centre(2, z));
        let along = self.strut - dy.hypot(dz);
        for (i, v) in out.iter_mut().enumerate() {
            let x = i as f64;
            let dx = x - self.centre(0, x);
            let away = (dx * dx + dy * dy + dz * dz).sqrt();
            let struts = along.max(self.strut - dx.hypot(dy)).max(self.strut - dx.hypot(dz));
            let depth = (self.ball - away).max(struts).min(away - self.hollow);
            let noise = (i as u32 ^ (j as u32) << 11 ^ (k as u32) << 21).wrapping_mul(0x9e37_79b1) >> 30;
            *v = (30.0 + 180.0 * (0.5 + 0.5 * depth).clamp(0.0, 1.0)) as u8 + noise as u8;
        }
    }

    /// Writes the volume slice by slice.
    fn scan(&self, folder: &Folder) -> PathBuf {
        let [nx, ny, nz] = self.dims;
        let path = folder.0.path().join("frame.raw");
        let mut file = std::fs::File::create(&path).unwrap();
        let mut slice = vec![0u8; nx * ny];
        for k in 0..nz {
            slice.par_chunks_mut(nx).enumerate().for_each(|(j, row)| self.row(j, k, row));
            file.write_all(&slice).unwrap();
        }
        let text = format!("dims = {:?}\nvoxel_type = \"u8\"\nspacing_mm = [{VOXEL}, {VOXEL}, {VOXEL}]\n", self.dims);
        folder.file("frame.toml", text.as_bytes());
        path
    }

    fn pores(&self, folder: &Folder, cell_mm: Option<f64>, rt: &Runtime) -> Measurement {
        let part = Source { scale_uncertainty: 0.0, ..Source::new(folder.0.path().join("frame.raw")) };
        measure::pores(&Pores { envelope: Envelope::Volume, cell_mm, ..Pores::new(part) }, rt).unwrap()
    }

    /// Volumes of one hollow and of the solid about one ball, in cubic voxels.
    fn volumes(&self) -> [f64; 2] {
        let cube = |r: f64| r * r * r;
        let (ball, strut) = (self.ball, self.strut);
        let flat = (ball * ball - strut * strut).sqrt();
        let sunk = 2.0 * PI / 3.0 * (cube(ball) - cube(flat)); // of a strut's half within the ball
        let struts = 3.0 * (PI * strut * strut * self.apart - 2.0 * sunk);
        [4.0 / 3.0 * PI * cube(self.hollow), 4.0 / 3.0 * PI * (cube(ball) - cube(self.hollow)) + struts]
    }

    fn is_measured(&self, m: &Measurement) {
        let mm3 = VOXEL * VOXEL * VOXEL;
        let cell = self.apart * self.apart * self.apart;
        let [hollow, solid] = self.volumes();
        covers(m, "porosity.total", 1.0 - solid / cell);
        covers(m, "porosity.closed", hollow / cell);
        covers(m, "porosity.open", 1.0 - (solid + hollow) / cell);
        covers(m, "defect.count", self.balls());
        covers(m, "defect.largest_diameter", 2.0 * self.hollow * VOXEL);
        covers(m, "defect.largest_volume", hollow * mm3);
        for axis in ["x", "y", "z"] {
            covers(m, &format!("pore.throat_{axis}"), (self.apart - 2.0 * self.strut) * VOXEL);
        }
    }
}

/// Largest resident memory of this process so far (bytes); 0 where the system does not tell.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|k| k.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[test]
fn pores_of_a_volume_read_in_slabs_are_those_of_the_volume_bit_for_bit() {
    let folder = Folder::new();
    let frame = Frame { dims: [120, 80, 80], apart: 40.0, ball: 12.0, hollow: 6.0, strut: 5.0 };
    frame.scan(&folder);
    let whole = frame.pores(&folder, None, &Runtime::cpu());
    frame.is_measured(&whole);
    let rt = Runtime::cpu().memory_budget(Some(Runtime::overhead_bytes() + (25 << 20)));
    let slabs = frame.pores(&folder, None, &rt);
    assert!(rt.notes().iter().any(|n| n.contains("slices at a time")), "{:?}", rt.notes());
    assert_eq!((slabs.quantities, slabs.pores, slabs.findings), (whole.quantities, whole.pores, whole.findings));
}

#[test]
fn cells_wider_than_voxels_are_told_and_finer_ones_are_taken_where_they_are_asked_for() {
    let folder = Folder::new();
    let frame = Frame { dims: [80; 3], apart: 40.0, ball: 12.0, hollow: 6.0, strut: 5.0 };
    frame.scan(&folder);
    let coarse = |m: &Measurement| m.findings.iter().any(|f| f.code == "pores.coarse_cells");
    let (fine, wide) = (frame.pores(&folder, None, &Runtime::cpu()), frame.pores(&folder, Some(0.06), &Runtime::cpu()));
    assert!(!coarse(&fine) && coarse(&wide));
    assert_eq!([&fine, &wide].map(|m| m.pores.as_ref().unwrap().cell_mm), [VOXEL, 0.06]);
    frame.is_measured(&wide);
    let part = Source::new(folder.0.path().join("frame.raw"));
    let refused = measure::pores(&Pores { cell_mm: Some(0.0), ..Pores::new(part) }, &Runtime::cpu());
    assert_eq!(refused.unwrap_err().code, "pores.cell");
}

#[test]
fn pores_of_two_thousand_seven_hundred_million_voxels_are_measured_within_sixteen_gibibytes() {
    if std::env::var("VERIMETRY_LONG").is_ok_and(|v| v == "1") {
        let folder = Folder::new();
        let frame = Frame { dims: [1500, 1500, 1200], apart: 300.0, ball: 40.0, hollow: 20.0, strut: 10.0 };
        frame.scan(&folder);
        let rt = Runtime::cpu().memory_budget(Some(16 << 30)).on_progress(std::sync::Arc::new(|_, _| ()));
        for cell_mm in [None, Some(VOXEL)] {
            let start = std::time::Instant::now();
            let m = frame.pores(&folder, cell_mm, &rt);
            let gib = peak_bytes() as f64 / f64::from(1 << 30);
            println!("cells {cell_mm:?}: {:.0} s, peak {gib:.2} GiB, {:#?}", start.elapsed().as_secs_f64(), m.seconds);
            frame.is_measured(&m);
            assert!(gib < 16.0);
        }
    }
}
