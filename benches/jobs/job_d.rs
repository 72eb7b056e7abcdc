//! Iso-surface of a noisy u16 gyroid at 25000, in voxel units, centres at integers.

use serde_json::json;
use verimetry_engine::frame::Grid;
use verimetry_engine::runtime::Runtime;
use verimetry_engine::surface::iso_surface;
use verimetry_engine::volume::{Rescale, Volume};

pub fn run(args: &super::Args, line: &mut super::Line) {
    let size = line.size.clone();
    let volume = line.load(|| read(args, &size));
    let mesh = line.stage("extract", || iso_surface(&volume, 25000.0, &Runtime::cpu()).expect("a surface"));
    line.digest.insert("triangles".into(), json!(mesh.triangles().len()));
    line.digest.insert("vertices".into(), json!(mesh.vertices().len()));
    line.digest.insert("area".into(), json!(mesh.area_mm2()));
    line.digest.insert("volume".into(), json!(mesh.volume_mm3()));
}

/// The gyroid of so many voxels along each axis.
pub fn read(args: &super::Args, size: &str) -> Volume<u16> {
    let n: usize = size.parse().expect("--size is a number of voxels along each axis");
    let bytes = std::fs::read(args.data.join(format!("gyr_{n}.raw"))).expect("the workload's file");
    let voxels = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    let grid = Grid::aligned([n; 3], [1.0; 3], nalgebra::Point3::origin()).expect("a cube");
    Volume::new(grid, Rescale::IDENTITY, voxels).expect("n cubed voxels")
}
