//! Units and frames: the one page.
//!
//! Lengths are millimetres, angles radians inside and degrees at the edge, everything `f64`. Physical space is DICOM LPS
//! (x to the patient's left, y to posterior, z to the head). A [`Pose`] is named after the frames it joins,
//! `target_from_source`, so that `nominal_from_actual * p_actual` reads from right to left. A [`Grid`] carries voxel
//! indices (i fastest, then j, then k; centres at integers) to physical space by a full affine, shear included:
//! a tilted gantry stays tilted, nothing is resampled.

use nalgebra::{Matrix3, Point3, Rotation3, UnitQuaternion, Vector3};
use serde::Serialize;

/// A rigid motion `p -> R p + t`, millimetres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    pub rotation: Matrix3<f64>,
    pub translation: Vector3<f64>,
}

impl Pose {
    pub const fn identity() -> Self {
        Pose { rotation: Matrix3::new(1., 0., 0., 0., 1., 0., 0., 0., 1.), translation: Vector3::new(0., 0., 0.) }
    }

    /// From a rotation vector (axis times angle, radians) about the origin, then a translation.
    /// Sine and cosine come from `libm`, so the bits do not depend on the system's mathematics library.
    pub fn from_rotation_vector(w: Vector3<f64>, translation: Vector3<f64>) -> Self {
        let angle = w.norm();
        // Rodrigues: R = I + a K + b K^2, with a = sin(x)/x and b = (1 - cos(x))/x^2 in their series below 1e-4.
        let (a, b) = if angle < 1e-4 {
            let s = angle * angle;
            (1.0 - s / 6.0, 0.5 - s / 24.0)
        } else {
            let h = libm::sin(0.5 * angle) / angle;
            (libm::sin(angle) / angle, 2.0 * h * h)
        };
        let k = w.cross_matrix();
        Pose { rotation: orthonormal(Matrix3::identity() + k * a + k * k * b), translation }
    }

    pub fn apply(&self, p: &Point3<f64>) -> Point3<f64> {
        Point3::from(self.rotation * p.coords + self.translation)
    }

    pub fn rotate(&self, v: &Vector3<f64>) -> Vector3<f64> {
        self.rotation * v
    }

    /// `a.then(b)` first moves by `self`, then by `next`: `next * self`.
    pub fn then(&self, next: &Pose) -> Pose {
        Pose { rotation: orthonormal(next.rotation * self.rotation), translation: next.rotation * self.translation + next.translation }
    }

    pub fn inverse(&self) -> Pose {
        let r = self.rotation.transpose();
        Pose { rotation: r, translation: -(r * self.translation) }
    }

    /// Rotation angle, radians in [0, pi].
    pub fn angle(&self) -> f64 {
        // 2 atan2(|vector part|, scalar part) keeps its digits at both ends, unlike acos of the trace.
        let r = &self.rotation;
        let v = Vector3::new(r[(2, 1)] - r[(1, 2)], r[(0, 2)] - r[(2, 0)], r[(1, 0)] - r[(0, 1)]) * 0.5;
        libm::atan2(v.norm(), 0.5 * (r.trace() - 1.0))
    }

    /// Row-major 4x4 as the JSON of every measuring command writes it.
    pub fn to_rows(&self) -> [[f64; 4]; 4] {
        let (r, t) = (&self.rotation, &self.translation);
        [
            [r[(0, 0)], r[(0, 1)], r[(0, 2)], t.x],
            [r[(1, 0)], r[(1, 1)], r[(1, 2)], t.y],
            [r[(2, 0)], r[(2, 1)], r[(2, 2)], t.z],
            [0.0, 0.0, 0.0, 1.0],
        ]
    }
}

impl Serialize for Pose {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.to_rows().serialize(s)
    }
}

/// One Newton step to the nearest rotation: rounding errors of long products do not grow.
fn orthonormal(r: Matrix3<f64>) -> Matrix3<f64> {
    r * 1.5 - r * (r.transpose() * r) * 0.5
}

/// Where the voxels of a volume lie: `physical = origin + axes * (i, j, k)`, columns of `axes` in mm per voxel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    dims: [usize; 3],
    origin: Point3<f64>,
    axes: Matrix3<f64>,
}

impl Grid {
    /// `None` unless every extent is at least 1, the number of voxels fits `usize`, and the axes are finite and span space.
    pub fn new(dims: [usize; 3], origin: Point3<f64>, axes: Matrix3<f64>) -> Option<Self> {
        let voxels = dims[0].checked_mul(dims[1]).and_then(|n| n.checked_mul(dims[2]))?;
        let finite = origin.iter().chain(axes.iter()).all(|x| x.is_finite());
        let lengths: f64 = axes.column_iter().map(|c| c.norm()).product();
        let spans = lengths > 0.0 && axes.determinant().abs() > 1e-6 * lengths;
        (voxels > 0 && finite && spans).then_some(Grid { dims, origin, axes })
    }

    /// Axis-aligned grid.
    pub fn aligned(dims: [usize; 3], spacing_mm: [f64; 3], origin: Point3<f64>) -> Option<Self> {
        Grid::new(dims, origin, Matrix3::from_diagonal(&Vector3::from(spacing_mm)))
    }

    pub fn dims(&self) -> [usize; 3] {
        self.dims
    }

    pub fn voxels(&self) -> usize {
        self.dims[0] * self.dims[1] * self.dims[2] // cannot overflow: checked in `new`
    }

    pub fn origin(&self) -> Point3<f64> {
        self.origin
    }

    /// Columns: the step of one voxel along i, j, k in physical space (mm).
    pub fn axes(&self) -> &Matrix3<f64> {
        &self.axes
    }

    pub fn physical(&self, index: &Point3<f64>) -> Point3<f64> {
        self.origin + self.axes * index.coords
    }

    /// Length of one step along each axis (mm). For a sheared grid the third is longer than the distance between slices.
    pub fn steps_mm(&self) -> [f64; 3] {
        [0, 1, 2].map(|a| self.axes.column(a).norm())
    }

    /// In-plane spacing and the distance between slices along their normal (mm).
    pub fn spacing_mm(&self) -> [f64; 3] {
        let [x, y, _] = self.steps_mm();
        [x, y, self.axes.column(2).dot(&self.slice_normal()).abs()]
    }

    /// Unit normal of the slices (the plane of i and j).
    pub fn slice_normal(&self) -> Vector3<f64> {
        self.axes.column(0).cross(&self.axes.column(1)).normalize()
    }

    /// Angle between the slice normal and the stacking direction, degrees; 0 for an unsheared stack.
    pub fn shear_degrees(&self) -> f64 {
        let n = self.slice_normal();
        let s: Vector3<f64> = self.axes.column(2).into_owned();
        libm::atan2(n.cross(&s).norm(), n.dot(&s).abs()).to_degrees()
    }

    /// Volume of one voxel (mm³).
    pub fn voxel_volume_mm3(&self) -> f64 {
        self.axes.determinant().abs()
    }
}

/// Axis-aligned bounds in mm; empty bounds have `min > max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    pub min: Point3<f64>,
    pub max: Point3<f64>,
}

impl Bounds {
    pub fn empty() -> Self {
        Bounds { min: Point3::from([f64::INFINITY; 3]), max: Point3::from([f64::NEG_INFINITY; 3]) }
    }

    pub fn of<'a>(points: impl IntoIterator<Item = &'a Point3<f64>>) -> Self {
        points.into_iter().fold(Bounds::empty(), |b, p| Bounds { min: b.min.inf(p), max: b.max.sup(p) })
    }

    pub fn centre(&self) -> Point3<f64> {
        nalgebra::center(&self.min, &self.max)
    }

    pub fn diagonal_mm(&self) -> f64 {
        (self.max - self.min).norm()
    }

    pub fn contains(&self, p: &Point3<f64>) -> bool {
        (0..3).all(|a| self.min[a] <= p[a] && p[a] <= self.max[a])
    }
}

/// Rotation nearest to a quaternion, for callers that work in quaternions.
pub fn rotation_of(q: &UnitQuaternion<f64>) -> Matrix3<f64> {
    *Rotation3::from(*q).matrix()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pose_undoes_itself_and_its_angle_is_the_one_put_in() {
        for (w, degrees) in
            [([0.3, -0.2, 0.9], None), ([std::f64::consts::PI, 0.0, 0.0], Some(180.0)), ([0.0, 1e-7, 0.0], Some(1e-7_f64.to_degrees()))]
        {
            let w = Vector3::from(w);
            let pose = Pose::from_rotation_vector(w, Vector3::new(1.0, -2.0, 3.0));
            assert!((pose.angle() - w.norm()).abs() < 1e-12);
            if let Some(d) = degrees {
                assert!((pose.angle().to_degrees() - d).abs() < 1e-10);
            }
            let back = pose.then(&pose.inverse());
            let p = Point3::new(5.0, 6.0, -7.0);
            assert!((back.apply(&p) - p).norm() < 1e-13);
        }
    }

    #[test]
    fn a_sheared_grid_keeps_its_slice_distance_and_shear() {
        let tilt = 18.5_f64.to_radians();
        let axes = Matrix3::new(0.49, 0.0, 0.0, 0.0, 0.49, 2.5 * tilt.sin(), 0.0, 0.0, 2.5 * tilt.cos());
        let grid = Grid::new([4, 5, 6], Point3::origin(), axes).unwrap();
        assert!((grid.shear_degrees() - 18.5).abs() < 1e-12);
        assert!((grid.spacing_mm()[2] - 2.5 * tilt.cos()).abs() < 1e-12);
        assert_eq!(Grid::aligned([0, 1, 1], [1.0; 3], Point3::origin()), None);
        assert_eq!(Grid::aligned([usize::MAX, 2, 1], [1.0; 3], Point3::origin()), None);
        assert_eq!(Grid::aligned([2, 2, 2], [1.0, 0.0, 1.0], Point3::origin()), None);
    }
}
