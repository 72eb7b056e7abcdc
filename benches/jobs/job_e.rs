//! Exact Euclidean distance transform of a porous binary volume: distance of each 1 voxel to the nearest 0 voxel, in voxels.
//! The volume's border is not background. The result is squared, as that of the peer `edt_squared`; the digest is of distances.

use serde_json::json;
use verimetry_engine::kernels::{Border, distance_transform, threshold};

use super::{Args, Line, job_f};

pub fn run(args: &Args, line: &mut Line) {
    let size = line.size.clone();
    let volume = line.load(|| job_f::read(args, &size));
    let rt = super::runtime(args);
    let squares = line.stage("edt", || {
        let mask = threshold(&volume, 1.0, &rt).expect("a number");
        distance_transform(&mask, Border::Unknown, &rt).expect("small extents")
    });
    let n: usize = size.parse().expect("a number of voxels");
    let distance = |s: u32| f64::from(f64::from(s).sqrt() as f32);
    let count = squares.len() as f64;
    let mean = squares.iter().map(|&s| distance(s)).sum::<f64>() / count;
    let std = (squares.iter().map(|&s| (distance(s) - mean) * (distance(s) - mean)).sum::<f64>() / count).sqrt();
    let probe: Vec<f64> = (1..=6).map(|p| n * p / 7).map(|x| distance(squares[(x * n + x) * n + x])).collect();
    line.digest.insert("shape".into(), json!([n, n, n]));
    line.digest.insert("mean".into(), json!(mean));
    line.digest.insert("std".into(), json!(std));
    line.digest.insert("min".into(), json!(squares.iter().min().map(|&s| distance(s))));
    line.digest.insert("max".into(), json!(squares.iter().max().map(|&s| distance(s))));
    line.digest.insert("probe".into(), json!(probe));
    line.digest.insert("sum_squared".into(), json!(squares.iter().map(|&s| u64::from(s)).sum::<u64>()));
}
