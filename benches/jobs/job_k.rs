//! Loads a DICOM series into one volume in slice order, from a warm page cache.

use serde_json::json;
use verimetry_engine::io;
use verimetry_engine::volume::{Voxel, with_volume};

use super::{Args, Line};

pub fn run(args: &Args, line: &mut Line) {
    let folder = args.data.join(format!("dicom_{}", line.size));
    line.load(|| {
        for file in std::fs::read_dir(&folder).expect("the input is there").flatten() {
            std::fs::read(file.path()).expect("the input can be read");
        }
    });
    let file = line.stage("sort+load", || io::load_volume(&folder).expect("the input is a volume"));
    let [nx, ny, nz] = file.volume.grid().dims();
    with_volume!(&file.volume, v => {
        let values = |slices: std::ops::Range<usize>| v.data()[slices.start * nx * ny..slices.end * nx * ny].iter().map(|&x| x.to_f64());
        let mean = |slices: std::ops::Range<usize>| values(slices.clone()).sum::<f64>() / (slices.len() * nx * ny) as f64;
        let slice = |k: usize| mean(k.min(nz - 1)..k.min(nz - 1) + 1);
        for (key, value) in [
            ("shape", json!([nz, ny, nx])),
            ("mean", json!(mean(0..nz))),
            ("min", json!(values(0..nz).fold(f64::INFINITY, f64::min))),
            ("max", json!(values(0..nz).fold(f64::NEG_INFINITY, f64::max))),
            ("first_mean", json!(slice(0))),
            ("slice_100_mean", json!(slice(100))),
            ("spacing", json!(file.volume.grid().spacing_mm().map(|s| (s * 1e6).round() / 1e6))),
        ] {
            line.digest.insert(key.into(), value);
        }
    });
}
