//! Signed distance from a million points to a mesh: build the search structure, then query.

use serde_json::json;
use verimetry_engine::distance::{MeshDistance, Signed};
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
    let distance = line.stage("build", || MeshDistance::build(&mesh));
    let signed = line.stage("query", || distance.signed_all(&points, &rt).expect("nothing cancels a benchmark"));

    let value = |s: &Signed| if line.mode == "signed" { s.distance_mm } else { s.distance_mm.abs() };
    if let Ok(path) = std::env::var("VERIMETRY_KEEP") {
        std::fs::write(path, signed.iter().flat_map(|s| value(s).to_le_bytes()).collect::<Vec<u8>>())
            .expect("a writable file in VERIMETRY_KEEP");
    }
    let n = signed.len() as f64;
    line.digest.insert("mean_abs".into(), json!(signed.iter().map(|s| s.distance_mm.abs()).sum::<f64>() / n));
    line.digest.insert("max_abs".into(), json!(signed.iter().fold(0.0_f64, |m, s| m.max(s.distance_mm.abs()))));
    if line.mode == "signed" {
        line.digest.insert("mean".into(), json!(signed.iter().map(|s| s.distance_mm).sum::<f64>() / n));
        line.digest.insert("inside".into(), json!(signed.iter().filter(|s| s.distance_mm < 0.0).count()));
    }
}
