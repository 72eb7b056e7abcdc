//! Points as fits see them: about their centre, in units of their extent, so that no threshold depends on units or place.

use nalgebra::Vector3;

use super::{Cloud, FeatureError, Kind};
use crate::{noise, sum};

/// Points centred and scaled to extent 1.
pub(super) struct Unit {
    pub points: Vec<Vector3<f64>>,
    pub weights: Vec<f64>,
    pub normals: Option<Vec<Vector3<f64>>>,
    pub centre: Vector3<f64>,
    pub scale: f64,
}

impl Unit {
    pub fn of(kind: Kind, cloud: &Cloud) -> Result<Unit, FeatureError> {
        let (points, n) = (cloud.points, cloud.points.len());
        if n < kind.fewest() {
            return Err(FeatureError::TooFew { kind, found: n });
        }
        let sound = |i: usize| points[i].iter().all(|x| x.abs() < 1e12) && cloud.weight(i).is_finite() && cloud.weight(i) >= 0.0;
        let total = sum::sum(n, |i| cloud.weight(i));
        let usable = total > 0.0 && total.is_finite() && (0..n).all(sound);
        if !usable {
            return Err(FeatureError::NotFinite { kind });
        }
        let first = points[0].coords;
        let moment = |i: usize| (points[i].coords - first) * (cloud.weight(i) / total);
        let centre = first + sum::fold(n, Vector3::zeros, |a, i| a + moment(i), |a, b| a + b);
        let reach = points.iter().map(|p| (p.coords - centre).norm_squared()).fold(0.0, f64::max).sqrt();
        if reach <= 1e-300 || reach < 1e-14 * centre.norm() {
            return Err(FeatureError::Degenerate { kind, why: "all points coincide" });
        }
        Ok(Unit {
            points: points.iter().map(|p| (p.coords - centre) / reach).collect(),
            weights: (0..n).map(|i| cloud.weight(i) / total).collect(),
            normals: cloud.normals.map(<[_]>::to_vec),
            centre,
            scale: reach,
        })
    }

    /// About `count` points spread evenly over their order, at places that no pattern of the order can meet.
    pub fn sample(&self, count: usize) -> Unit {
        let n = self.points.len();
        let stride = n as f64 / count as f64;
        let place = |k: usize| (((k as f64 + 1.0 - noise::uniform(0x5eed, k as u64)) * stride) as usize).min(n - 1);
        let chosen: Vec<usize> = if n <= count { (0..n).collect() } else { (0..count).map(place).collect() };
        let weights: Vec<f64> = chosen.iter().map(|&i| self.weights[i]).collect();
        let total: f64 = weights.iter().sum();
        Unit {
            points: chosen.iter().map(|&i| self.points[i]).collect(),
            weights: weights.iter().map(|w| if total > 0.0 { w / total } else { 1.0 / chosen.len() as f64 }).collect(),
            normals: self.normals.as_ref().map(|n| chosen.iter().map(|&i| n[i]).collect()),
            centre: self.centre,
            scale: self.scale,
        }
    }

    /// Second moments about the centre.
    pub fn scatter(&self) -> nalgebra::Matrix3<f64> {
        let term = |i: usize| self.points[i] * self.points[i].transpose() * self.weights[i];
        sum::fold(self.points.len(), nalgebra::Matrix3::zeros, |a, i| a + term(i), |a, b| a + b)
    }
}
