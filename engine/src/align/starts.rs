//! Where a search starts: rotations spread over all, those of a cube, and shifts.

use nalgebra::{Matrix3, Vector3};

use crate::frame::{Pose, rotation_of};

/// The pose, then a turn about a point of the nominal.
pub(super) fn turned_about(pose: &Pose, centre: &Vector3<f64>, turn: &Matrix3<f64>) -> Pose {
    pose.then(&Pose { rotation: *turn, translation: centre - turn * centre })
}

/// The orders that three axes can stand in, their own first.
pub(super) const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// The 24 rotations of a cube.
pub(super) fn cube() -> Vec<Matrix3<f64>> {
    let signed = |order: [usize; 3], signs: usize| {
        Matrix3::from_fn(|r, c| if r == order[c] { if signs >> c & 1 == 1 { -1.0 } else { 1.0 } } else { 0.0 })
    };
    ORDERS.iter().flat_map(|&order| (0..8).map(move |signs| signed(order, signs))).filter(|r| r.determinant() > 0.0).collect()
}

/// The pose shifted along each axis of the nominal, up to `steps` steps either way.
pub(super) fn shifted(pose: &Pose, steps: u32, step_mm: f64) -> Vec<Pose> {
    let along = |axis: usize, steps: f64| {
        let mut shifted = *pose;
        shifted.translation[axis] += steps * step_mm;
        shifted
    };
    (1..=steps).flat_map(|k| (0..3).flat_map(move |axis| [(axis, f64::from(k)), (axis, -f64::from(k))])).map(|(a, s)| along(a, s)).collect()
}

/// `count` rotations spread evenly over all (Alexa 2022, "Super-Fibonacci Spirals", algorithm 1).
pub(super) fn grid(count: usize) -> Vec<Matrix3<f64>> {
    let (phi, psi) = (2.0_f64.sqrt(), 1.533_751_168_755_204_3);
    (0..count)
        .map(|i| {
            let s = i as f64 + 0.5;
            let (t, d) = (s / count as f64, std::f64::consts::TAU * s);
            let (inner, outer) = (t.sqrt(), (1.0 - t).sqrt());
            let (alpha, beta) = (d / phi, d / psi);
            let q = nalgebra::Quaternion::new(
                outer * libm::cos(beta),
                inner * libm::sin(alpha),
                inner * libm::cos(alpha),
                outer * libm::sin(beta),
            );
            rotation_of(&nalgebra::UnitQuaternion::new_unchecked(q))
        })
        .collect()
}
