//! Local thickness of the walls of a gyroid (`gyr`) or of spherical pores and channels (`pores`), as a diameter in voxels.
//! The volume's border is not background.

use serde_json::json;
use verimetry_engine::kernels::{Border, local_thickness, threshold};
use verimetry_engine::volume::Mask;

use super::{Args, Line};

pub fn run(args: &Args, line: &mut Line) {
    let (size, mode) = (line.size.clone(), line.mode.clone());
    let rt = super::runtime(args);
    let mask: Mask = line.load(|| match mode.as_str() {
        "pores" => threshold(&super::job_i::read(args, &size), 1.0, &rt).expect("a number").complement(),
        _ => threshold(&super::job_d::read(args, &size), 25001.0, &rt).expect("a number"),
    });
    let squares = line.stage("thickness", || local_thickness(&mask, Border::Unknown, &rt).expect("small extents"));
    let mut values: Vec<f64> = squares.iter().filter(|&&s| s > 0).map(|&s| f64::from(2.0 * f64::from(s).sqrt() as f32)).collect();
    values.sort_unstable_by(f64::total_cmp);
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let std = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count).sqrt();
    let at = |share: f64| {
        let place = share * (count - 1.0);
        let (below, part) = (place.floor() as usize, place.fract());
        values[below] + part * (values[(below + 1).min(values.len() - 1)] - values[below])
    };
    let numbers =
        [("mean", mean), ("std", std), ("min", at(0.0)), ("max", at(1.0)), ("median", at(0.5)), ("p05", at(0.05)), ("p95", at(0.95))];
    line.digest.insert("voxels".into(), json!(values.len()));
    line.digest.extend(numbers.into_iter().map(|(name, value)| (name.to_string(), json!(value))));
}
