//! Porosity report of a block with spherical pores and two channels (bytes: 1 solid, 0 pore), the whole volume as the envelope:
//! fractions, pore count and equivalent diameters, percolation along z, y and x, Euler numbers of solid (26) and pores (6).

use nalgebra::Point3;
use serde_json::json;
use verimetry_engine::frame::Grid;
use verimetry_engine::kernels::{Connectivity, components, euler_number, threshold};
use verimetry_engine::volume::{Rescale, Volume};

use super::{Args, Line};

pub fn run(args: &Args, line: &mut Line) {
    let size = line.size.clone();
    let volume = line.load(|| read(args, &size));
    let rt = super::runtime(args);
    let n = volume.data().len() as f64;
    let (pores, solid) = line.stage("label+sizes", || {
        let solid = threshold(&volume, 1.0, &rt).expect("a number");
        (components(&solid.complement(), Connectivity::Faces6, &rt).expect("few runs"), solid)
    });
    let euler_solid = line.stage("euler_solid", || euler_number(&solid, Connectivity::Corners26));
    let euler_pore = line.stage("euler_pore", || euler_number(&solid.complement(), Connectivity::Faces6));
    let (mut open, mut closed, mut closed_count) = (0, 0, 0);
    for (c, label) in pores.list().iter().zip(1..) {
        if pores.touches_border(label) {
            open += c.size;
        } else {
            closed += c.size;
            closed_count += 1;
        }
    }
    let dims = solid.dims();
    let percolates = [2, 1, 0].map(|a| pores.list().iter().any(|c| c.min[a] == 0 && c.max[a] + 1 == dims[a]));
    let mut diameters: Vec<f64> = pores.sizes().iter().map(|&s| (6.0 * s as f64 / std::f64::consts::PI).cbrt()).collect();
    diameters.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * (diameters.len() - 1) as f64;
        let (below, part) = (place.floor() as usize, place.fract());
        diameters[below] + part * (diameters[(below + 1).min(diameters.len() - 1)] - diameters[below])
    };
    line.digest.insert("porosity".into(), json!((open + closed) as f64 / n));
    line.digest.insert("open_porosity".into(), json!(open as f64 / n));
    line.digest.insert("closed_porosity".into(), json!(closed as f64 / n));
    line.digest.insert("pores".into(), json!(pores.count()));
    line.digest.insert("closed_pores".into(), json!(closed_count));
    line.digest.insert("largest".into(), json!(pores.sizes().iter().max()));
    line.digest.insert("diameter_p10_p50_p90".into(), json!([at(0.1), at(0.5), at(0.9)]));
    line.digest.insert("percolates_zyx".into(), json!(percolates));
    line.digest.insert("euler_solid_26".into(), json!(euler_solid));
    line.digest.insert("euler_pore_6".into(), json!(euler_pore));
}

/// The block of so many voxels along each axis.
pub fn read(args: &Args, size: &str) -> Volume<u8> {
    let path = args.data.join(format!("pores_{size}.raw"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let n: usize = size.parse().expect("a number of voxels");
    let grid = Grid::aligned([n; 3], [1.0; 3], Point3::origin()).expect("extents of at least 1");
    Volume::new(grid, Rescale::IDENTITY, bytes).expect("a byte a voxel")
}
