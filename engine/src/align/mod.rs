//! align
use nalgebra::{Matrix6, Point3, Vector6};
use crate::frame::Pose;

/// Where the actual part lies in the nominal frame, and how well that is known.
#[derive(Clone, Debug)]
pub struct Alignment {
    pub nominal_from_actual: Pose,
    /// Area-weighted root mean square of the residual distances (mm).
    pub rms_mm: f64,
    pub iterations: u32,
    pub converged: bool,
    /// More than one pose fits equally well; `ambiguities` says which.
    pub ambiguous: bool,
    pub ambiguities: Vec<String>,
    /// Directions of motion that the surface does not hold (0 for most parts, 3 for a sphere).
    pub free_dofs: usize,
    /// The reflected part fits clearly better.
    pub mirrored: bool,
    /// Covariance of (rotation vector about `centre` in rad, translation in mm), nominal frame.
    pub covariance: Matrix6<f64>,
    pub centre: Point3<f64>,
    /// Gradient of the mean squared distance at the pose, over the same parameters (mm).
    pub gradient: Vector6<f64>,
    /// Largest displacement of the last step (mm).
    pub last_step_mm: f64,
    pub second_best_rms_mm: Option<f64>,
}
