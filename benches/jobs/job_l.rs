//! Volume and area of a mesh in memory.

use serde_json::json;

use crate::npy;
use crate::{Args, Line};

pub fn run(args: &Args, line: &mut Line) {
    let (shape, size) = (line.shape.clone().unwrap_or_default(), line.size.clone());
    let mesh = line.load(|| npy::mesh(&args.data, &shape, &size));
    let (volume, area) = line.stage("measure", || (mesh.volume_mm3(), mesh.area_mm2()));
    line.digest.insert("volume".into(), json!(volume));
    line.digest.insert("area".into(), json!(area));
}
