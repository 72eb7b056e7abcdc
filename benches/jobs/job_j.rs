//! Loads a binary STL and welds its vertices exactly, from a warm page cache.

use serde_json::json;
use verimetry_engine::io;

use super::{Args, Line};

pub fn run(args: &Args, line: &mut Line) {
    let shape = line.shape.clone().unwrap_or_default();
    let path = args.data.join(format!("{shape}_{}.stl", line.size));
    line.load(|| std::fs::File::open(&path).and_then(|mut f| std::io::copy(&mut f, &mut std::io::sink())).expect("the input is there"));
    let mesh = line.stage("load+weld", || io::load_mesh(&path).expect("the input is a mesh")).mesh;
    for (key, value) in [
        ("triangles", json!(mesh.triangles().len())),
        ("vertices", json!(mesh.vertices().len())),
        ("area", json!(mesh.area_mm2())),
        ("volume", json!(mesh.volume_mm3())),
    ] {
        line.digest.insert(key.into(), value);
    }
}
