//! Signed distances of points to a shape in its own coordinates, with their derivatives.

use nalgebra::{Matrix3, Vector3};

use super::Kind;
use crate::frame::Pose;

/// Shift along u, v, a; rotation about u, v; radius; half angle or minor radius.
pub(crate) const P: usize = 7;
pub(crate) type Row = [f64; P];

/// Half angle of a cone (rad) from which on it is a plane: a right angle but for 20 seconds of arc.
pub(super) const STEEPEST: f64 = std::f64::consts::FRAC_PI_2 - 1e-4;

/// A shape as the fits move it: right-handed axes u, v, a (columns) at a point, and up to two sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct State {
    pub at: Vector3<f64>,
    pub frame: Matrix3<f64>,
    /// Radius; of a cone the radius at the height of `at`, of a torus the major radius.
    pub radius: f64,
    /// Half angle of a cone (rad), minor radius of a torus.
    pub second: f64,
}

impl State {
    pub fn new(at: Vector3<f64>, axis: &Vector3<f64>, radius: f64, second: f64) -> State {
        State { at, frame: frame_of(axis), radius, second }
    }

    pub fn axis(&self) -> Vector3<f64> {
        self.frame.column(2).into_owned()
    }

    /// Takes a step in the seven local parameters.
    pub fn moved(&self, step: &Row) -> State {
        let turn = Pose::from_rotation_vector(Vector3::new(step[3], step[4], 0.0), Vector3::zeros()).rotation;
        let frame = self.frame * turn;
        State {
            at: self.at + self.frame * Vector3::new(step[0], step[1], step[2]),
            frame: frame * 1.5 - frame * (frame.transpose() * frame) * 0.5,
            radius: self.radius + step[5],
            second: self.second + step[6],
        }
    }

    /// The same shape, lengths multiplied, then shifted.
    pub fn scaled(&self, kind: Kind, factor: f64, shift: &Vector3<f64>) -> State {
        let second = if kind == Kind::Torus { self.second * factor } else { self.second };
        State { at: self.at * factor + shift, frame: self.frame, radius: self.radius * factor, second }
    }

    /// The axis turned around, the shape as it was.
    pub fn turned(&self, kind: Kind) -> State {
        let flip = Matrix3::from_diagonal(&Vector3::new(1.0, -1.0, -1.0));
        let second = if kind == Kind::Cone { -self.second } else { self.second };
        State { frame: self.frame * flip, second, ..*self }
    }

    pub fn local(&self, p: &Vector3<f64>) -> Vector3<f64> {
        self.frame.tr_mul(&(p - self.at))
    }
}

/// Right-handed axes whose third is the one given (a unit vector).
pub(crate) fn frame_of(axis: &Vector3<f64>) -> Matrix3<f64> {
    let least = axis.iamin();
    let u = Vector3::ith(least, 1.0).cross(axis).normalize();
    Matrix3::from_columns(&[u, axis.cross(&u), *axis])
}

/// Signed distance of a point to the surface, + outside (above a plane), and its derivatives by the parameters. For a line
/// and a circle it is the radial part; [`height`] is the other.
pub(crate) fn distance(kind: Kind, s: &State, p: &Vector3<f64>) -> (f64, Row) {
    let l = s.local(p);
    let (x, y, z) = (l.x, l.y, l.z);
    let height: Row = [0.0, 0.0, -1.0, -y, x, 0.0, 0.0];
    match kind {
        Kind::Plane => return (z, height),
        Kind::Sphere => {
            let n = l.norm();
            let g = if n > 0.0 { l / n } else { Vector3::z() };
            return (n - s.radius, [-g.x, -g.y, -g.z, 0.0, 0.0, -1.0, 0.0]);
        }
        Kind::Line | Kind::Circle | Kind::Cylinder | Kind::Cone | Kind::Torus => {}
    }
    let rho = (x * x + y * y).sqrt();
    let (c, t) = if rho > 0.0 { (x / rho, y / rho) } else { (1.0, 0.0) };
    let radial: Row = [-c, -t, 0.0, t * z, -c * z, 0.0, 0.0];
    let mixed = |dr: f64, dz: f64| -> Row { std::array::from_fn(|k| dr * radial[k] + dz * height[k]) };
    match kind {
        Kind::Cone => {
            let (sine, cosine) = (libm::sin(s.second), libm::cos(s.second));
            let mut row = mixed(cosine, -sine);
            (row[5], row[6]) = (-cosine, -(rho - s.radius) * sine - z * cosine);
            ((rho - s.radius) * cosine - z * sine, row)
        }
        Kind::Torus => {
            let out = rho - s.radius;
            let q = (out * out + z * z).sqrt();
            let (dr, dz) = if q > 0.0 { (out / q, z / q) } else { (1.0, 0.0) };
            let mut row = mixed(dr, dz);
            (row[5], row[6]) = (-dr, -1.0);
            (q - s.second, row)
        }
        _ => {
            let mut row = radial;
            row[5] = -1.0;
            (rho - s.radius, row)
        }
    }
}

/// Height over the plane of the shape's u and v, with its derivatives.
pub(crate) fn height(s: &State, p: &Vector3<f64>) -> (f64, Row) {
    distance(Kind::Plane, s, p)
}

/// Gradient of a distance by the point itself: what a shift of the shape does, the other way round.
pub(crate) fn gradient(s: &State, row: &Row) -> Vector3<f64> {
    -(s.frame * Vector3::new(row[0], row[1], row[2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_distance() {
        let s = State::new(Vector3::new(0.1, -0.2, 0.3), &Vector3::new(0.3, -0.5, 0.8).normalize(), 0.7, 0.25);
        let p = Vector3::new(1.1, 0.4, -0.3);
        for kind in Kind::ALL {
            let (_, row) = distance(kind, &s, &p);
            for k in 0..P {
                let mut step = [0.0; P];
                step[k] = 1e-6;
                let up = distance(kind, &s.moved(&step), &p).0;
                step[k] = -1e-6;
                let down = distance(kind, &s.moved(&step), &p).0;
                // A parameter that the kind does not free may still move the point of reference.
                assert!(((up - down) / 2e-6 - row[k]).abs() < 1e-8, "{kind:?} {k}: {} against {}", (up - down) / 2e-6, row[k]);
            }
            let g = gradient(&s, &row);
            for a in 0..3 {
                let e = Vector3::ith(a, 1e-6);
                let change = (distance(kind, &s, &(p + e)).0 - distance(kind, &s, &(p - e)).0) / 2e-6;
                assert!((change - g[a]).abs() < 1e-8, "{kind:?}");
            }
        }
    }

    #[test]
    fn an_axis_turned_around_leaves_the_distances() {
        let s = State::new(Vector3::new(0.1, -0.2, 0.3), &Vector3::new(0.3, -0.5, 0.8).normalize(), 0.7, 0.25);
        let p = Vector3::new(1.1, 0.4, -0.3);
        for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::Plane) {
            assert!((distance(kind, &s, &p).0 - distance(kind, &s.turned(kind), &p).0).abs() < 1e-15);
        }
    }
}
