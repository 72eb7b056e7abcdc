//! Mesh health: edges, duplicates, shells and every self-intersection of a welded mesh.

use serde_json::json;
use verimetry_engine::{health, io};

use super::{Args, Line};

pub fn run(args: &Args, line: &mut Line) {
    let path = args.data.join(format!("{}_{}.stl", line.shape.clone().unwrap_or_default(), line.size));
    let mesh = line.load(|| io::load_mesh(&path).expect("the input is a mesh")).mesh;
    let found = line.stage("health", || health::examine(&mesh));
    line.digest.insert("triangles".into(), json!(mesh.triangles().len()));
    line.digest.insert("self_intersections".into(), json!(found.self_intersections.count));
    line.digest.insert("all_counted".into(), json!(!found.more_self_intersections));
}
