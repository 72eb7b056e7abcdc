//! Signed distance from a million points to a mesh: build the search structure, then query.

use serde_json::json;
use verimetry_engine::distance::MeshDistance;
use verimetry_engine::runtime::Runtime;

use crate::npy;
use crate::{Args, Line};

pub fn run(args: &Args, line: &mut Line) {
    let (shape, size) = (line.shape.clone().unwrap_or_default(), line.size.clone());
    let (mesh, points) = line.load(|| {
        let points = npy::points(&args.data.join(format!("{shape}_{size}_{}.npy", args.points)));
        (npy::mesh(&args.data, &shape, &size), points)
    });
    let rt = Runtime::cpu();
    let build = if line.mode == "signed" { MeshDistance::build } else { MeshDistance::without_edges };
    let distance = line.stage("build", || build(&mesh));
    let with_sign = line.mode == "signed";
    let ask = || match with_sign {
        true => distance.signed_as(&points, &rt, |s| s.distance_mm),
        false => distance.nearest_as(&points, &rt, |n| n.distance_mm),
    };
    let values = line.stage("query", || ask().expect("nothing cancels a benchmark"));

    if let Ok(path) = std::env::var("VERIMETRY_KEEP") {
        std::fs::write(path, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).expect("a writable file in VERIMETRY_KEEP");
    }
    let n = values.len() as f64;
    line.digest.insert("mean_abs".into(), json!(values.iter().map(|v| v.abs()).sum::<f64>() / n));
    line.digest.insert("max_abs".into(), json!(values.iter().fold(0.0_f64, |m, v| m.max(v.abs()))));
    if with_sign {
        line.digest.insert("mean".into(), json!(values.iter().sum::<f64>() / n));
        line.digest.insert("inside".into(), json!(values.iter().filter(|v| **v < 0.0).count()));
    }
}
