//! Alignment of 200 000 noisy points to a mesh from 5° and 2 mm off: build the search structure, then fit to convergence.
//!
//! Source points and truth are written beside the other inputs by `prepare_b.py` in the folder above.

use nalgebra::{Matrix3, Point3, Vector3};
use serde_json::json;
use verimetry_engine::align;
use verimetry_engine::distance::MeshDistance;
use verimetry_engine::frame::Pose;
use verimetry_engine::runtime::Runtime;

use crate::npy;
use crate::{Args, Line};

pub fn run(args: &Args, line: &mut Line) {
    let (shape, size) = (line.shape.clone().unwrap_or_default(), line.size.clone());
    let (mesh, source, truth) = line.load(|| {
        let source = npy::points(&args.data.join(format!("b_source_{shape}_{size}.npy")));
        // Four rows of three: the columns of the rotation, then the translation.
        let truth = npy::points(&args.data.join(format!("b_truth_{shape}_{size}.npy")));
        (npy::mesh(&args.data, &shape, &size), source, truth)
    });
    let truth =
        Pose { rotation: Matrix3::from_columns(&[truth[0].coords, truth[1].coords, truth[2].coords]), translation: truth[3].coords };
    let rt = Runtime::cpu();
    let nominal = line.stage("prep", || MeshDistance::without_edges(&mesh));
    let fit = line.stage("align", || align::local_fit_points(&nominal, &source, &Pose::identity(), &rt).expect("points near the mesh"));

    let error = truth.inverse().then(&fit.nominal_from_actual);
    let bounds = mesh.bounds();
    let corners = (0..8).map(|k| {
        let pick = |a: usize| if k >> a & 1 == 1 { bounds.max[a] } else { bounds.min[a] };
        Point3::new(pick(0), pick(1), pick(2))
    });
    let max_corner = corners.map(|c| (error.apply(&c) - c).norm()).fold(0.0, f64::max);
    let centre = bounds.centre();
    let shift: Vector3<f64> = error.apply(&centre) - centre;
    line.digest.insert("max_corner_error_mm".into(), json!(max_corner));
    line.digest.insert("centre_error_mm".into(), json!(shift.norm()));
    line.digest.insert("rotation_error_deg".into(), json!(error.angle().to_degrees()));
    line.digest.insert("rms_to_mesh_mm".into(), json!(fit.rms_mm));
    line.digest.insert("iterations".into(), json!(fit.iterations));
    line.digest.insert("converged".into(), json!(fit.converged));
}
