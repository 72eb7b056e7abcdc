//! Connected components of a porous binary volume with salt noise, into one label a voxel; the mode is the connectivity.

use nalgebra::Point3;
use serde_json::json;
use verimetry_engine::frame::Grid;
use verimetry_engine::kernels::{Connectivity, components, threshold};
use verimetry_engine::volume::{Rescale, Volume};

use super::{Args, Line};

pub fn run(args: &Args, line: &mut Line) {
    let size = line.size.clone();
    let volume = line.load(|| read(args, &size));
    let connectivity = match line.mode.as_str() {
        "6" => Connectivity::Faces6,
        "18" => Connectivity::Edges18,
        _ => Connectivity::Corners26,
    };
    let rt = super::runtime(args);
    let (found, labels) = line.stage("label", || {
        let mask = threshold(&volume, 1.0, &rt).expect("a number");
        let found = components(&mask, connectivity, &rt).expect("few runs");
        let mut labels = vec![0u32; volume.data().len()];
        found.write_labels(&mut labels);
        (found, labels)
    });
    let mut sizes = vec![0u64; found.count() + 1];
    labels.iter().for_each(|&l| sizes[l as usize] += 1);
    sizes.remove(0);
    assert_eq!(sizes, found.sizes());
    sizes.sort_unstable();
    line.digest.insert("components".into(), json!(sizes.len()));
    line.digest.insert("foreground".into(), json!(sizes.iter().sum::<u64>()));
    line.digest.insert("largest".into(), json!(sizes.iter().rev().take(3).collect::<Vec<_>>()));
    line.digest.insert("singletons".into(), json!(sizes.iter().filter(|&&s| s == 1).count()));
}

/// The porous solid of so many voxels along each axis, as raw bytes.
pub fn read(args: &Args, size: &str) -> Volume<u8> {
    let path = args.data.join(format!("grf_{size}.raw"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let n: usize = size.parse().expect("a number of voxels");
    let grid = Grid::aligned([n; 3], [1.0; 3], Point3::origin()).expect("extents of at least 1");
    Volume::new(grid, Rescale::IDENTITY, bytes).expect("a byte a voxel")
}
