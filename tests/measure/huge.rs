//! Pores of volumes up to 2700 million voxels: streamed as unstreamed, within their memory, against closed forms.

use std::f64::consts::PI;
use std::io::Write;
use std::path::PathBuf;

use rayon::prelude::*;
use verimetry_engine::load::Source;
use verimetry_engine::measure::{self, Envelope, Measurement, Pores};
use verimetry_engine::runtime::Runtime;

use super::{Folder, covers};

/// Hollow balls in cubic order joined by struts that go on to the faces of the volume, which spans a whole number of distances between
/// its outermost voxel centres; lengths in voxels, of [`VOXEL`] mm.
struct Frame {
    dims: [usize; 3],
    apart: f64,
    ball: f64,
    hollow: f64,
    strut: f64,
}

const VOXEL: f64 = 0.02;
/// Standard deviation of the blur, voxels.
const SIGMA: f64 = 0.8;

/// Share of a normal distribution below a place, within 0.0003.
fn gauss(x: f64) -> f64 {
    if x.abs() > 4.0 { f64::from(u8::from(x > 0.0)) } else { 0.5 + 0.5 * (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh() }
}

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

    /// Grey values of a row: every surface blurred by [`SIGMA`], which moves the half-way level by its square times the mean curvature.
    fn row(&self, j: usize, k: usize, out: &mut [u8]) {
        let (y, z) = (j as f64, k as f64);
        let (dy, dz) = (y - self.centre(1, y), z - self.centre(2, z));
        let moved = |radius: f64, curvature: f64| radius - SIGMA * SIGMA * curvature / radius;
        let (ball, hollow, strut) = (moved(self.ball, 1.0), moved(self.hollow, 1.0), moved(self.strut, 0.5));
        let along = dy.hypot(dz);
        for (i, v) in out.iter_mut().enumerate() {
            let x = i as f64;
            let dx = x - self.centre(0, x);
            let away = (dx * dx + dy * dy + dz * dz).sqrt();
            let axis = along.min((dx * dx + dy * dy).sqrt()).min((dx * dx + dz * dz).sqrt());
            let depth = (ball - away).max(strut - axis).min(away - hollow) / SIGMA;
            let noise = (i as u32 ^ (j as u32) << 11 ^ (k as u32) << 21).wrapping_mul(0x9e37_79b1) >> 30;
            *v = (30.5 + 180.0 * gauss(depth)) as u8 + noise as u8;
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
        let sphere_mm = Some(2.0 * self.strut * VOXEL);
        measure::pores(&Pores { envelope: Envelope::Volume, sphere_mm, cell_mm, ..Pores::new(part) }, rt).unwrap()
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

    /// Everything of closed form within its stated U, and what a fiftieth of a voxel does: corners between balls and struts are rounded.
    fn is_measured(&self, m: &Measurement) {
        let near = |name: &str, truth: f64, per_voxel: f64| {
            let q = &m.quantities[name];
            let (value, expanded) = (q.value.unwrap_or_else(|| panic!("{name}: {:?}", q.reason)), q.expanded_uncertainty.unwrap());
            println!("{name}: {value} ± {expanded}, truth {truth}");
            assert!((value - truth).abs() <= expanded + 0.02 * per_voxel, "{name}: {value} ± {expanded}, truth {truth}");
        };
        let cell = self.apart * self.apart * self.apart;
        let [hollow, solid] = self.volumes();
        let inner = 4.0 * PI * self.hollow * self.hollow;
        let flat = (self.ball * self.ball - self.strut * self.strut).sqrt();
        let caps = 6.0 * 2.0 * PI * self.ball * (self.ball - flat); // where struts leave the ball
        let outer = 4.0 * PI * self.ball * self.ball - caps + 6.0 * PI * self.strut * (self.apart - 2.0 * flat);
        near("porosity.total", 1.0 - solid / cell, (inner + outer) / cell);
        near("porosity.closed", hollow / cell, inner / cell);
        near("porosity.open", 1.0 - (solid + hollow) / cell, outer / cell);
        near("structure.surface_density", (inner + outer) / cell / VOXEL, 0.02 * outer / cell / VOXEL);
        // Each ball is a node that three struts pass and a hollow that adds a cavity.
        near("structure.euler_number", (1.0 - 3.0 + 1.0) * self.balls(), 0.0);
        near("defect.largest_diameter", 2.0 * self.hollow * VOXEL, VOXEL);
        near("defect.largest_volume", hollow * VOXEL * VOXEL * VOXEL, inner * VOXEL * VOXEL * VOXEL);
        covers(m, "defect.count", self.balls());
        // All but the hollows and the corners that are too narrow for a sphere as wide as a strut.
        let open = 1.0 - hollow / (cell - solid);
        let reached = m.quantities["pore.accessible"].value.unwrap();
        assert!(reached < open && reached > open - 0.03, "{reached} of {open}");
        for axis in ["x", "y", "z"] {
            near(&format!("pore.throat_{axis}"), (self.apart - 2.0 * self.strut) * VOXEL, VOXEL);
        }
    }
}

/// Largest resident memory of this process so far (bytes); 0 where the system does not tell.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|k| k.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn is_coarse(m: &Measurement) -> bool {
    m.findings.iter().any(|f| f.code == "pores.coarse_cells")
}

#[test]
fn pores_of_a_volume_read_in_slabs_are_those_of_the_volume_bit_for_bit() {
    let folder = Folder::new();
    let frame = Frame { dims: [81; 3], apart: 40.0, ball: 12.0, hollow: 6.0, strut: 5.0 };
    frame.scan(&folder);
    let whole = frame.pores(&folder, None, &Runtime::cpu());
    frame.is_measured(&whole);
    assert!(!is_coarse(&whole));
    let rt = Runtime::cpu().memory_budget(Some(Runtime::overhead_bytes() + (25 << 20)));
    let slabs = frame.pores(&folder, None, &rt);
    assert!(rt.notes().iter().any(|n| n.contains("slices at a time")), "{:?}", rt.notes());
    assert_eq!((slabs.quantities, slabs.pores, slabs.findings), (whole.quantities, whole.pores, whole.findings));
}

#[test]
fn cells_of_another_size_are_taken_and_told_where_they_are_wider_than_voxels() {
    let folder = Folder::new();
    let frame = Frame { dims: [81; 3], apart: 40.0, ball: 12.0, hollow: 6.0, strut: 5.0 };
    frame.scan(&folder);
    // Cells reach beyond the image by another part of their side each time.
    for cell_mm in [0.05, 0.06] {
        let wide = frame.pores(&folder, Some(cell_mm), &Runtime::cpu());
        frame.is_measured(&wide);
        assert!(is_coarse(&wide) && wide.pores.unwrap().cell_mm == cell_mm);
    }
    let part = Source::new(folder.0.path().join("frame.raw"));
    let refused = measure::pores(&Pores { cell_mm: Some(0.0), ..Pores::new(part) }, &Runtime::cpu());
    assert_eq!(refused.unwrap_err().code, "pores.cell");
}

/// Measures a frame within a budget and holds the memory taken against it; so many balls along each axis, 300 voxels apart.
fn long(balls: [usize; 3], cell_mm: Option<f64>, budget: u64) {
    if !std::env::var("VERIMETRY_LONG").is_ok_and(|v| v == "1") {
        return;
    }
    let folder = Folder::new();
    let frame = Frame { dims: balls.map(|n| 300 * n + 1), apart: 300.0, ball: 40.0, hollow: 20.0, strut: 10.0 };
    frame.scan(&folder);
    let (rt, start) = (Runtime::cpu().memory_budget(Some(budget)), std::time::Instant::now());
    let m = frame.pores(&folder, cell_mm, &rt);
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    println!("{:.0} s, peak {:.2} GiB, {:?}, {:#?}", start.elapsed().as_secs_f64(), gib(peak_bytes()), rt.notes(), m.seconds);
    frame.is_measured(&m);
    assert!(peak_bytes() < budget, "{} GiB", gib(peak_bytes()));
}

#[test]
fn pores_of_two_thousand_seven_hundred_million_voxels_are_measured_within_four_gibibytes() {
    long([5, 5, 4], None, 4 << 30);
}

#[test]
fn pores_on_two_hundred_million_cells_are_measured_within_two_gibibytes() {
    long([2, 2, 2], Some(VOXEL), 2 << 30);
}

#[test]
fn pores_on_two_thousand_seven_hundred_million_cells_are_measured_within_sixteen_gibibytes() {
    long([5, 5, 4], Some(VOXEL), 16 << 30);
}
