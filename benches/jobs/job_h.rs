//! Filters of a noisy u16 gyroid: a Gaussian of two voxels, the median of 27, the gradient, Otsu's threshold.
//! The digest is of the interior, 8 voxels in from each face.

use nalgebra::Point3;
use serde_json::json;
use verimetry_engine::frame::Grid;
use verimetry_engine::kernels::{gaussian, gradient, median};
use verimetry_engine::segment::Histogram;
use verimetry_engine::volume::{Rescale, Volume, Voxel};

use super::{Args, Line};

/// Voxels left out at each face.
const MARGIN: usize = 8;

pub fn run(args: &Args, line: &mut Line) {
    let n: usize = line.size.parse().expect("a number of voxels");
    let volume = line.load(|| read(args, n));
    let rt = super::runtime(args);
    match line.mode.as_str() {
        "gaussian" => {
            let smoothed = line.stage("filter", || gaussian(&volume, [2.0; 3], &rt).expect("a width within limits"));
            digest(line, &smoothed);
        }
        "median" => {
            let filtered = line.stage("filter", || median(&volume, &rt).expect("nothing cancels a benchmark"));
            digest(line, &filtered);
        }
        "gradient" => {
            let magnitudes = line.stage("filter", || gradient(&volume, &rt).expect("nothing cancels a benchmark"));
            digest(line, &magnitudes);
        }
        "otsu" => {
            let threshold = line.stage("filter", || Histogram::of(&volume, &rt).expect("finite values").otsu().expect("two modes"));
            line.digest.insert("threshold".into(), json!(threshold));
        }
        other => panic!("no mode {other:?}; there are gaussian median gradient otsu"),
    }
}

/// Also writes all values as `f32` where a file is named for them, to be compared voxel by voxel.
fn digest<T: Voxel>(line: &mut Line, volume: &Volume<T>) {
    let (n, rescale) = (volume.grid().dims()[0], volume.rescale());
    let value = |at: usize| rescale.physical(volume.data()[at].to_f64());
    if let Ok(path) = std::env::var("VERIMETRY_KEEP") {
        let bytes: Vec<u8> = (0..n * n * n).flat_map(|at| (value(at) as f32).to_le_bytes()).collect();
        std::fs::write(path, bytes).expect("a writable file in VERIMETRY_KEEP");
    }
    let inner = MARGIN..n - MARGIN;
    let (mut count, mut sum, mut squares, mut min, mut max) = (0.0, 0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY);
    let origin = value(0); // moments about a value of the volume keep their digits
    for k in inner.clone() {
        for j in inner.clone() {
            for i in inner.clone() {
                let v = value((k * n + j) * n + i);
                (count, sum, squares) = (count + 1.0, sum + (v - origin), squares + (v - origin) * (v - origin));
                (min, max) = (v.min(min), v.max(max));
            }
        }
    }
    let mean = sum / count;
    let probe = |p: usize| MARGIN + inner.len() * p / 7;
    line.digest.insert("shape".into(), json!([inner.len(), inner.len(), inner.len()]));
    line.digest.insert("mean".into(), json!(origin + mean));
    line.digest.insert("std".into(), json!((squares / count - mean * mean).sqrt()));
    line.digest.insert("min".into(), json!(min));
    line.digest.insert("max".into(), json!(max));
    line.digest.insert("probe".into(), json!((1..=6).map(|p| value((probe(p) * n + probe(p)) * n + probe(p))).collect::<Vec<_>>()));
}

fn read(args: &Args, n: usize) -> Volume<u16> {
    let path = args.data.join(format!("gyr_{n}.raw"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let grid = Grid::aligned([n; 3], [1.0; 3], Point3::origin()).expect("extents of at least 1");
    let voxels = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    Volume::new(grid, Rescale::IDENTITY, voxels).expect("two bytes a voxel")
}
