//! Ideal planes, cylinders and spheres, fitted to the nominal surface in a datum's region.
//!
//! Normals start the fit (the face with most area; the axis they are all perpendicular to; the point they all meet in), least squares over
//! the points that face as the feature does ends it. A region that also holds other surface is refused, not averaged.

use nalgebra::{Matrix3, Point3, Vector3};

use super::super::AlignError;
use super::{Datum, DatumKind, Surface};
use crate::linear::{eigen, pseudo_inverse};

/// Cosine between a point's normal and the feature's above which it belongs to it (30 degrees).
pub(super) const FACING: f64 = 0.866;
/// Root mean square of the nominal's own distances from its ideal feature that is still called that feature, of the feature's extent.
const IDEAL: f64 = 0.02;
/// A radius larger than the extent of the points by this factor cannot be told from a plane.
const FLAT: f64 = 10.0;

/// Which side of a round feature is solid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    /// Material inside: a shaft, a ball.
    Outer,
    /// Material outside: a hole, a socket.
    Inner,
}

impl Side {
    /// Of the radial direction against the outward normal.
    fn sign(self) -> f64 {
        match self {
            Side::Outer => 1.0,
            Side::Inner => -1.0,
        }
    }
}

/// An ideal feature of the nominal frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ideal {
    pub kind: DatumKind,
    pub at: Point3<f64>,
    /// Outward normal of a plane, direction of an axis.
    pub along: Vector3<f64>,
    pub radius_mm: f64,
    pub side: Side,
}

struct Chosen<'a> {
    surface: &'a Surface,
    members: Vec<usize>,
}

impl Ideal {
    pub fn of(datum: &Datum, designed: &Surface) -> Result<Ideal, AlignError> {
        let members: Vec<usize> =
            (0..designed.points.len()).filter(|&i| designed.weights_mm2[i] > 0.0 && (datum.region)(&designed.points[i])).collect();
        let refuse = |found: String| AlignError::NotTheFeature { datum: datum.name.into(), kind: datum.kind, found };
        if members.len() < 6 {
            return Err(refuse(format!("{} points of the nominal surface", members.len())));
        }
        let mut chosen = Chosen { surface: designed, members };
        let start = match datum.kind {
            DatumKind::Plane => chosen.plane(),
            DatumKind::Cylinder => chosen.cylinder(),
            DatumKind::Sphere => chosen.sphere(),
        };
        let mut ideal = start.ok_or_else(|| refuse("normals that no such feature has".into()))?;
        for _ in 0..2 {
            let facing: Vec<usize> = chosen
                .members
                .iter()
                .copied()
                .filter(|&i| ideal.distance(&designed.points[i]).1.dot(&designed.normals[i]) > FACING)
                .collect();
            if facing.len() < 6 {
                return Err(refuse("too few points that face as it does".into()));
            }
            chosen.members = facing;
            ideal = chosen.settle(ideal).ok_or_else(|| refuse("points that do not determine it".into()))?;
        }
        let extent = chosen.extent_mm();
        let rms = chosen.mean(|x| ideal.distance(x).0 * ideal.distance(x).0).sqrt();
        if ideal.radius_mm > FLAT * extent {
            return Err(refuse(format!("nominal surface as flat as a radius of {:.0} mm", ideal.radius_mm)));
        }
        if rms > IDEAL * extent {
            return Err(refuse(format!("nominal surface that departs from it by {rms:.3} mm rms over {extent:.1} mm")));
        }
        Ok(ideal)
    }

    /// Distance (mm), + outside the material, and the outward normal of the ideal feature nearest to a point.
    pub fn distance(&self, x: &Point3<f64>) -> (f64, Vector3<f64>) {
        let from = x - self.at;
        let across = match self.kind {
            DatumKind::Plane => return (from.dot(&self.along), self.along),
            DatumKind::Cylinder => from - self.along * from.dot(&self.along),
            DatumKind::Sphere => from,
        };
        let (length, sign) = (across.norm(), self.side.sign());
        let outward = across.try_normalize(0.0).unwrap_or_else(Vector3::x);
        (sign * (length - self.radius_mm), outward * sign)
    }

    /// Patches that determine the feature with one to spare.
    pub fn least_patches(&self) -> usize {
        match self.kind {
            DatumKind::Plane => 4,
            DatumKind::Cylinder => 6,
            DatumKind::Sphere => 5,
        }
    }
}

impl Chosen<'_> {
    fn each(&self) -> impl Iterator<Item = (f64, &Point3<f64>, &Vector3<f64>)> {
        self.members.iter().map(|&i| (self.surface.weights_mm2[i], &self.surface.points[i], &self.surface.normals[i]))
    }

    fn area_mm2(&self) -> f64 {
        self.each().map(|(w, ..)| w).sum()
    }

    fn mean(&self, of: impl Fn(&Point3<f64>) -> f64) -> f64 {
        self.each().map(|(w, x, _)| w * of(x)).sum::<f64>() / self.area_mm2()
    }

    fn centroid(&self) -> Point3<f64> {
        Point3::from(self.each().fold(Vector3::zeros(), |sum, (w, x, _)| sum + x.coords * w) / self.area_mm2())
    }

    fn extent_mm(&self) -> f64 {
        crate::frame::Bounds::of(self.each().map(|(_, x, _)| x)).diagonal_mm()
    }

    /// The direction that most area faces, out of those of 200 points.
    fn plane(&self) -> Option<Ideal> {
        let step = self.members.len().div_ceil(200);
        let area = |n: &Vector3<f64>| self.each().filter(|(_, _, other)| other.dot(n) > FACING).map(|(w, ..)| w).sum::<f64>();
        let candidates = self.members.iter().step_by(step).map(|&i| self.surface.normals[i]);
        let (_, along) = candidates.map(|n| (area(&n), n)).fold(None, |best: Option<(f64, Vector3<f64>)>, c| match best {
            Some(b) if b.0 >= c.0 => Some(b),
            _ => Some(c),
        })?;
        (along.norm() > 0.5).then_some(Ideal { kind: DatumKind::Plane, at: self.centroid(), along, radius_mm: 0.0, side: Side::Outer })
    }

    fn cylinder(&self) -> Option<Ideal> {
        let spread = self.each().fold(Matrix3::zeros(), |m, (w, _, n)| m + n * n.transpose() * w);
        let along: Vector3<f64> = eigen(&spread).1.column(2).into_owned();
        self.meeting(DatumKind::Cylinder, along)
    }

    fn sphere(&self) -> Option<Ideal> {
        self.meeting(DatumKind::Sphere, Vector3::zeros())
    }

    /// The point or axis nearest to all lines along the normals: Σ w (P − n nᵀ)(c − x) = 0, P across the axis.
    fn meeting(&self, kind: DatumKind, along: Vector3<f64>) -> Option<Ideal> {
        let across = Matrix3::identity() - along * along.transpose();
        let middle = self.centroid();
        let (matrix, right) = self.each().fold((Matrix3::zeros(), Vector3::zeros()), |(m, v), (w, x, n)| {
            let n = (across * n).try_normalize(0.0).unwrap_or_else(Vector3::zeros);
            let one = (across - n * n.transpose()) * w;
            (m + one, v + one * (x - middle))
        });
        let at = middle + pseudo_inverse(&matrix, 1e-9) * right;
        let radius_mm = self.mean(|x| (across * (x - at)).norm());
        let outward: f64 = self.each().map(|(w, x, n)| w * n.dot(&(across * (x - at)))).sum();
        let side = if outward > 0.0 { Side::Outer } else { Side::Inner };
        (radius_mm > 0.0).then_some(Ideal { kind, at, along, radius_mm, side })
    }

    /// Least squares over the members.
    fn settle(&self, mut ideal: Ideal) -> Option<Ideal> {
        if ideal.kind == DatumKind::Plane {
            ideal.at = self.centroid();
            let spread = self.each().fold(Matrix3::zeros(), |m, (w, x, _)| m + (x - ideal.at) * (x - ideal.at).transpose() * w);
            let normal: Vector3<f64> = eigen(&spread).1.column(2).into_owned();
            ideal.along = if normal.dot(&ideal.along) < 0.0 { -normal } else { normal };
            return Some(ideal);
        }
        let middle = self.centroid();
        for _ in 0..40 {
            // Motions of the feature: rotation about its place near the points, translation; its radius is the mean distance.
            ideal.at += ideal.along * ideal.along.dot(&(middle - ideal.at));
            let axis = |x: &Point3<f64>| x - ideal.at - ideal.along * ideal.along.dot(&(x - ideal.at));
            ideal.radius_mm = self.mean(|x| axis(x).norm());
            let size = self.extent_mm();
            let row = |x: &Point3<f64>| {
                let u = axis(x).try_normalize(0.0).unwrap_or_else(Vector3::x);
                let moment = (x - ideal.at).cross(&u) / size;
                nalgebra::Vector6::new(moment.x, moment.y, moment.z, u.x, u.y, u.z)
            };
            let mean = self.each().fold(nalgebra::Vector6::zeros(), |sum, (w, x, _)| sum + row(x) * w) / self.area_mm2();
            let (matrix, right) = self.each().fold((nalgebra::Matrix6::zeros(), nalgebra::Vector6::zeros()), |(m, v), (w, x, _)| {
                let r = row(x) - mean;
                (m + r * r.transpose() * w, v + r * (w * (axis(x).norm() - ideal.radius_mm)))
            });
            let step = pseudo_inverse(&matrix, 1e-9) * right;
            let turn = step.fixed_rows::<3>(0) / size;
            ideal.along = (ideal.along + turn.cross(&ideal.along)).try_normalize(0.0).unwrap_or(ideal.along);
            ideal.at += step.fixed_rows::<3>(3);
            if step.norm() < 1e-13 * size {
                break;
            }
        }
        ideal.at.iter().all(|v| v.is_finite()).then_some(ideal)
    }
}
