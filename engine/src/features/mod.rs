//! Features: the ideal shapes that points of a surface are associated with, and how far the points stray from them.
//!
//! Measurand: the shape of a stated kind that minimises the sum of squared orthogonal distances ([`least_squares`]; Shakarji 1998), the
//! largest distance ([`minimum_zone`]), or that touches from inside or outside ([`inscribed`], [`circumscribed`]).
//! Method: points are centred and scaled; Levenberg and Marquardt on local parameters (shift, tilt, sizes at the points' centre) that stay
//! well-conditioned for short arcs and far apexes; no guess is asked for, starts come from algebraic fits over many axes.
//! Zones by successive linear programs with a trust region, each solved exactly by a dual simplex over the points that matter; what
//! is stored with the result are the touching points and their multipliers, which prove that no small move improves it, and a bound that no
//! shape within a stated reach is better than.
//! Accepts any finite points, weights above 0, normals where there are some (they only choose starts).
//! Known limits: zones and inscribed shapes are optima within that reach of the least-squares shape; a spindle torus is refused.
//! Cost: 20 to 200 ms for starts, then a few passes over all points.

mod associated;
mod bound;
mod least_squares;
mod linear_program;
mod local;
mod pick;
mod problem;
mod settle;
mod spread;
mod starts;
mod unit;
mod zone;

use nalgebra::{Point3, Vector3};
use serde::Serialize;
use thiserror::Error as ThisError;

pub use associated::Associated;
pub use least_squares::{Fit, least_squares};
pub(crate) use local::Row as Step;
pub use pick::{Picked, Seat, grown, near_patch, picked};
pub use problem::Goal;
pub use spread::{Errors, FIT, Filtered, NoiseRange, Spread, TEXTURE, filtered, two_point};
pub use zone::{Certificate, Contact, Zone, circumscribed, inscribed, minimum_strip, minimum_zone};

/// What a feature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Line,
    Plane,
    Circle,
    Sphere,
    Cylinder,
    Cone,
    Torus,
}

impl Kind {
    pub const ALL: [Kind; 7] = [Kind::Line, Kind::Plane, Kind::Circle, Kind::Sphere, Kind::Cylinder, Kind::Cone, Kind::Torus];

    /// As the order writes it.
    pub fn name(self) -> &'static str {
        ["line", "plane", "circle", "sphere", "cylinder", "cone", "torus"][self as usize]
    }

    pub fn of_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.name() == name)
    }

    /// Fewest points that hold the shape.
    pub fn fewest(self) -> usize {
        [2, 3, 3, 4, 5, 6, 7][self as usize]
    }

    /// The local parameters that the kind frees.
    pub(crate) fn free(self) -> &'static [usize] {
        const FREE: [&[usize]; 7] =
            [&[0, 1, 3, 4], &[2, 3, 4], &[0, 1, 2, 3, 4, 5], &[0, 1, 2, 5], &[0, 1, 3, 4, 5], &[0, 1, 3, 4, 5, 6], &[0, 1, 2, 3, 4, 5, 6]];
        FREE[self as usize]
    }
}

/// Points with weights (all 1 without) and outward unit normals, where known.
#[derive(Clone, Copy)]
pub struct Cloud<'a> {
    pub points: &'a [Point3<f64>],
    /// Area of each point, mm², so that the result does not depend on how the surface is divided.
    pub weights: Option<&'a [f64]>,
    pub normals: Option<&'a [Vector3<f64>]>,
}

impl<'a> Cloud<'a> {
    pub fn of(points: &'a [Point3<f64>]) -> Cloud<'a> {
        Cloud { points, weights: None, normals: None }
    }

    pub(crate) fn weight(&self, i: usize) -> f64 {
        self.weights.map_or(1.0, |w| w[i])
    }
}

/// An ideal shape. Directions are unit vectors; lengths mm, angles rad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    Line {
        point: Point3<f64>,
        direction: Vector3<f64>,
    },
    Plane {
        point: Point3<f64>,
        normal: Vector3<f64>,
    },
    Circle {
        centre: Point3<f64>,
        normal: Vector3<f64>,
        radius_mm: f64,
    },
    Sphere {
        centre: Point3<f64>,
        radius_mm: f64,
    },
    /// `point` is the axis's point nearest to the centroid of the points.
    Cylinder {
        point: Point3<f64>,
        axis: Vector3<f64>,
        radius_mm: f64,
    },
    /// Opens along the axis; `radius_mm` is that at `point`, which lies on the axis amid the points.
    Cone {
        point: Point3<f64>,
        axis: Vector3<f64>,
        radius_mm: f64,
        half_angle_rad: f64,
    },
    Torus {
        centre: Point3<f64>,
        axis: Vector3<f64>,
        major_mm: f64,
        minor_mm: f64,
    },
}

impl Shape {
    pub(crate) fn of(kind: Kind, s: &local::State) -> Shape {
        let (point, axis, radius_mm) = (Point3::from(s.at), s.axis(), s.radius);
        match kind {
            Kind::Line => Shape::Line { point, direction: axis },
            Kind::Plane => Shape::Plane { point, normal: axis },
            Kind::Circle => Shape::Circle { centre: point, normal: axis, radius_mm },
            Kind::Sphere => Shape::Sphere { centre: point, radius_mm },
            Kind::Cylinder => Shape::Cylinder { point, axis, radius_mm },
            Kind::Cone => Shape::Cone { point, axis, radius_mm, half_angle_rad: s.second },
            Kind::Torus => Shape::Torus { centre: point, axis, major_mm: radius_mm, minor_mm: s.second },
        }
    }

    pub(crate) fn state(&self) -> (Kind, local::State) {
        let state = |p: &Point3<f64>, axis: &Vector3<f64>, r, second| local::State::new(p.coords, axis, r, second);
        match self {
            Shape::Line { point, direction } => (Kind::Line, state(point, direction, 0.0, 0.0)),
            Shape::Plane { point, normal } => (Kind::Plane, state(point, normal, 0.0, 0.0)),
            Shape::Circle { centre, normal, radius_mm } => (Kind::Circle, state(centre, normal, *radius_mm, 0.0)),
            Shape::Sphere { centre, radius_mm } => (Kind::Sphere, state(centre, &Vector3::z(), *radius_mm, 0.0)),
            Shape::Cylinder { point, axis, radius_mm } => (Kind::Cylinder, state(point, axis, *radius_mm, 0.0)),
            Shape::Cone { point, axis, radius_mm, half_angle_rad } => (Kind::Cone, state(point, axis, *radius_mm, *half_angle_rad)),
            Shape::Torus { centre, axis, major_mm, minor_mm } => (Kind::Torus, state(centre, axis, *major_mm, *minor_mm)),
        }
    }

    pub fn kind(&self) -> Kind {
        self.state().0
    }

    /// The point that says where the shape is: centre, or a point of the axis or plane.
    pub fn place(&self) -> Point3<f64> {
        Point3::from(self.state().1.at)
    }

    /// Direction of the axis, the line or the plane's normal; a sphere has none.
    pub fn direction(&self) -> Option<Vector3<f64>> {
        match self {
            Shape::Sphere { .. } => None,
            _ => Some(self.state().1.axis()),
        }
    }

    /// Of circles, spheres and cylinders.
    pub fn radius_mm(&self) -> Option<f64> {
        match self {
            Shape::Circle { radius_mm, .. } | Shape::Sphere { radius_mm, .. } | Shape::Cylinder { radius_mm, .. } => Some(*radius_mm),
            _ => None,
        }
    }

    /// Where the sides of a cone meet.
    pub fn apex(&self) -> Option<Point3<f64>> {
        match self {
            Shape::Cone { point, axis, radius_mm, half_angle_rad } => Some(point - axis * (radius_mm / libm::tan(*half_angle_rad))),
            _ => None,
        }
    }

    /// Signed orthogonal distance of a point, mm: + outside a closed section, along the normal of a plane; of a line and a
    /// circle the distance itself.
    pub fn distance_mm(&self, p: &Point3<f64>) -> f64 {
        let (kind, s) = self.state();
        let (radial, _) = local::distance(kind, &s, &p.coords);
        match kind {
            Kind::Circle => {
                let z = local::height(&s, &p.coords).0;
                (radial * radial + z * z).sqrt()
            }
            _ => radial,
        }
    }

    /// Unit normal of the shape at the foot of a point: away from the axis or centre, along a plane's normal.
    pub fn normal_at(&self, p: &Point3<f64>) -> Vector3<f64> {
        let (kind, s) = self.state();
        local::gradient(&s, &local::distance(kind, &s, &p.coords).1)
    }
}

/// Why points carry no shape of the kind asked for.
#[derive(Clone, Debug, PartialEq, ThisError)]
pub enum FeatureError {
    #[error("{found} points for a {kind}, allowed are {fewest} or more: widen the region", kind = kind.name(), fewest = kind.fewest())]
    TooFew { kind: Kind, found: usize },
    #[error("a coordinate or weight of a point of a {kind} is not finite or not positive: check the points", kind = kind.name())]
    NotFinite { kind: Kind },
    #[error("the points do not hold a {kind}: {why}; take points that spread further over it", kind = kind.name())]
    Degenerate { kind: Kind, why: &'static str },
    #[error("the fit of a {kind} did not settle in {iterations} iterations: check that the region holds nothing else", kind = kind.name())]
    NotSettled { kind: Kind, iterations: u32 },
    #[error("a {kind} has no {what}; allowed are {allowed}", kind = kind.name())]
    NotDefined { kind: Kind, what: &'static str, allowed: &'static str },
}

impl FeatureError {
    pub fn code(&self) -> &'static str {
        match self {
            FeatureError::TooFew { .. } => "feature.too_few_points",
            FeatureError::NotFinite { .. } => "feature.not_finite",
            FeatureError::Degenerate { .. } => "feature.degenerate",
            FeatureError::NotSettled { .. } => "feature.not_settled",
            FeatureError::NotDefined { .. } => "feature.not_defined",
        }
    }
}

impl From<FeatureError> for crate::Error {
    fn from(e: FeatureError) -> Self {
        crate::Error::input(e.code(), e.to_string())
    }
}
