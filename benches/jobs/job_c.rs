//! Alignment of 20 000 noisy points from arbitrary poses: build the search structure, search, and fit to convergence, for each pose anew.
//!
//! Points and truths are written beside the other inputs by `prepare_c.py` in the folder above. Success: every corner of the part's box within
//! 1 % of its diagonal of the truth. Wrong: farther than that, and not called ambiguous.

use nalgebra::{Matrix3, Point3};
use serde_json::json;
use verimetry_engine::align;
use verimetry_engine::distance::MeshDistance;
use verimetry_engine::frame::Pose;
use verimetry_engine::mesh::Mesh;
use verimetry_engine::runtime::Runtime;

use crate::npy;
use crate::{Args, Line};

pub fn run(args: &Args, line: &mut Line) {
    let (shape, size, mode) = (line.shape.clone().unwrap_or_default(), line.size.clone(), line.mode.clone());
    let (mesh, sources, truths) = line.load(|| {
        let file = |what: &str| args.data.join(format!("c_{what}_{shape}_{size}_{mode}.npy"));
        // Four rows of three a pose: the columns of the rotation, then the translation.
        let truths: Vec<Pose> = npy::points(&file("truth")).chunks_exact(4).map(pose).collect();
        let points = npy::points(&file("source"));
        let each = points.len() / truths.len();
        let sources: Vec<Mesh> = points.chunks_exact(each).map(|p| Mesh::of_points(p.to_vec()).expect("finite points")).collect();
        (npy::mesh(&args.data, &shape, &size), sources, truths)
    });
    let rt = Runtime::cpu();
    let fits = line.mean_stage("register", sources.iter(), |source| {
        align::best_fit(&MeshDistance::without_edges(&mesh), source, None, &rt).expect("points of the part")
    });

    let bounds = mesh.bounds();
    let corners: Vec<Point3<f64>> =
        (0..8).map(|k| Point3::from([0, 1, 2].map(|a| if k >> a & 1 == 1 { bounds.max[a] } else { bounds.min[a] }))).collect();
    let errors: Vec<f64> = fits
        .iter()
        .zip(&truths)
        .map(|(fit, truth)| {
            let error = truth.inverse().then(&fit.nominal_from_actual);
            corners.iter().map(|c| (error.apply(c) - c).norm()).fold(0.0, f64::max)
        })
        .collect();
    let near = |e: &f64| *e < 0.01 * bounds.diagonal_mm();
    let mut sorted = errors.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    line.digest.insert("poses".into(), json!(errors.len()));
    line.digest.insert("success_refined".into(), json!(errors.iter().filter(|e| near(e)).count()));
    line.digest.insert("ambiguous".into(), json!(fits.iter().filter(|f| f.ambiguous).count()));
    line.digest.insert("wrong".into(), json!(errors.iter().zip(&fits).filter(|(e, f)| !near(e) && !f.ambiguous).count()));
    line.digest.insert("median_corner_error_mm".into(), json!(sorted[sorted.len() / 2]));
    line.digest.insert("diag_mm".into(), json!(bounds.diagonal_mm()));
}

fn pose(rows: &[Point3<f64>]) -> Pose {
    Pose { rotation: Matrix3::from_columns(&[rows[0].coords, rows[1].coords, rows[2].coords]), translation: rows[3].coords }
}
