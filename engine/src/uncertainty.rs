//! How sure a value is.
//!
//! A surface point is wrong by several effects, each with its own standard uncertainty and its own pattern over the part:
//! a common surface offset, a relative error of the length scale, the six modes of the pose, the chord error of the
//! nominal, and noise that is independent beyond a correlation length. The first four are correlated over the whole
//! surface and must not average out; noise does. So every effect is kept by name as a pattern of displacements along the
//! nominal's normals, and a quantity's sensitivity to it is found by running the quantity itself on the displaced values
//! (JCGM 100:2008 5.1.3 note 2; JCGM 101 for the noise). Effects are independent of each other; U = 2u.
//!
//! Known limits: beam hardening, temperature and form change between scans are not in the budget.

use nalgebra::{Matrix6, Point3, Vector3};
use rayon::prelude::*;

use crate::linear::eigen;
use crate::noise;

/// A standard-uncertainty contribution by name, in the quantity's unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    pub name: &'static str,
    pub u: f64,
}

/// A value with what is known of its uncertainty, or the reason why there is none. Nothing found is never 0, NaN or the identity.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    Value { value: f64, terms: Vec<Term> },
    Not { reason: String },
}

impl Measured {
    pub fn not(reason: impl Into<String>) -> Self {
        Measured::Not { reason: reason.into() }
    }

    /// Combined standard uncertainty: root of the sum of squares of the terms, which are independent of each other by construction.
    pub fn standard_uncertainty(&self) -> Option<f64> {
        match self {
            Measured::Value { terms, .. } => Some(terms.iter().fold(0.0, |sum, t| sum + t.u * t.u).sqrt()),
            Measured::Not { .. } => None,
        }
    }

    pub fn value(&self) -> Option<f64> {
        match self {
            Measured::Value { value, .. } => Some(*value),
            Measured::Not { .. } => None,
        }
    }
}

/// Names of the contributions, as they stand in a judgement.
pub const OFFSET: &str = "surface_offset";
pub const SCALE: &str = "scale";
pub const POSE: &str = "pose";
pub const CHORD: &str = "nominal_chord";
pub const NOISE: &str = "noise";
/// Distance between the bounds of a largest distance.
pub const BOUNDS: &str = "bounds";

/// Draws of the noise field: the standard error of a standard deviation from 12 draws is a fifth.
pub const DRAWS: u64 = 12;
pub const SEED: u64 = 0x7e51_3e7a;

/// Points on the nominal where a deviation is known, with what displaces it.
pub struct Sites<'a> {
    /// Nominal frame, mm.
    pub points: &'a [Point3<f64>],
    /// Outward unit normals of the nominal.
    pub normals: &'a [Vector3<f64>],
    /// Standard uncertainty of each point from noise, mm.
    pub noise_mm: &'a [f32],
}

/// The effects on deviations of one aligned part.
#[derive(Clone, Debug, PartialEq)]
pub struct Effects {
    /// Common surface offset, mm.
    pub offset_mm: f64,
    /// Relative standard uncertainty of the length scale.
    pub scale: f64,
    /// Where scale and rotation leave a point in place.
    pub centre: Point3<f64>,
    /// How the pose follows a common surface offset, per mm of it: rotation vector (rad/mm) about the centre, translation. Datums lie on
    /// the surface, so they carry the part along.
    pub offset_moves: (Vector3<f64>, Vector3<f64>),
    /// Each mode is one standard uncertainty: rotation vector (rad) about the centre, translation (mm).
    pub pose_modes: Vec<(Vector3<f64>, Vector3<f64>)>,
    /// Common part of the nominal's chord error, mm.
    pub chord_mm: f64,
    /// Distance beyond which noise is independent, mm.
    pub noise_length_mm: f64,
}

impl Effects {
    /// The modes of a pose covariance (rotation vector, then translation): its scaled eigenvectors.
    pub fn modes_of(covariance: &Matrix6<f64>) -> Vec<(Vector3<f64>, Vector3<f64>)> {
        let (values, vectors) = eigen(covariance);
        let mode = |k: usize| {
            let v = vectors.column(k) * values[k].max(0.0).sqrt();
            (v.fixed_rows::<3>(0).into_owned(), v.fixed_rows::<3>(3).into_owned())
        };
        (0..6).map(mode).filter(|(w, t)| w.norm() + t.norm() > 0.0).collect()
    }

    /// Six parameters as (rotation vector, translation).
    pub fn mode_of(parameters: &nalgebra::Vector6<f64>) -> (Vector3<f64>, Vector3<f64>) {
        (parameters.fixed_rows::<3>(0).into_owned(), parameters.fixed_rows::<3>(3).into_owned())
    }

    /// The displacement of every site by every effect, computed once for all quantities over these sites.
    pub fn patterns(&self, sites: &Sites) -> Patterns {
        let n = sites.points.len();
        let along = |displace: &(dyn Fn(&Vector3<f64>, Vector3<f64>) -> f64 + Sync)| -> Vec<f64> {
            (0..n).into_par_iter().map(|i| displace(&sites.normals[i], sites.points[i] - self.centre)).collect()
        };
        let (turn, follow) = self.offset_moves;
        let mut common = vec![
            (OFFSET, along(&|normal, arm| self.offset_mm * (1.0 + normal.dot(&(follow + turn.cross(&arm)))))),
            (SCALE, along(&|normal, arm| self.scale * normal.dot(&arm))),
            (CHORD, along(&|_, _| self.chord_mm)),
        ];
        common.extend(self.pose_modes.iter().map(|(w, t)| (POSE, along(&|normal, arm| normal.dot(&(t + w.cross(&arm)))))));
        common.retain(|(_, pattern)| pattern.iter().any(|&x| x != 0.0));
        let draw = |k: u64| -> Vec<f64> {
            let at = |i: usize| f64::from(sites.noise_mm[i]) * noise::field(SEED + k, self.noise_length_mm, &sites.points[i]);
            (0..n).into_par_iter().map(at).collect()
        };
        let noisy = sites.noise_mm.iter().any(|&u| u > 0.0);
        Patterns { common, draws: if noisy { (0..DRAWS).map(draw).collect() } else { vec![] } }
    }
}

/// Displacements of a set of sites, one list per effect.
pub struct Patterns {
    common: Vec<(&'static str, Vec<f64>)>,
    draws: Vec<Vec<f64>>,
}

impl Patterns {
    /// Variance (mm²) of the value at one site from everything but noise.
    pub fn common_variance(&self, site: usize) -> f64 {
        self.common.iter().map(|(_, pattern)| pattern[site] * pattern[site]).sum()
    }

    /// Runs `quantity` on `values` and on `values` displaced by each effect. `None` from the quantity means not measured,
    /// for the reason given.
    pub fn measure(&self, values: &[f64], quantity: impl Fn(&[f64]) -> Option<f64> + Sync, reason: &str) -> Measured {
        let Some(value) = quantity(values) else { return Measured::not(reason) };
        let change = |displacement: &[f64], sign: f64| {
            let moved: Vec<f64> = values.iter().zip(displacement).map(|(v, d)| v + sign * d).collect();
            quantity(&moved).map_or(0.0, |f| f - value)
        };
        let mut terms: Vec<Term> = self
            .common
            .par_iter()
            .map(|(name, pattern)| {
                // Both signs: quantities such as r.m.s. are even about zero, where a difference quotient would see nothing.
                let (up, down) = (change(pattern, 1.0), change(pattern, -1.0));
                Term { name, u: (0.5 * (up * up + down * down)).sqrt() }
            })
            .collect();
        // About zero, not about the mean: noise also biases extremes and r.m.s. values, by as much as adding it once more does.
        let draws: Vec<f64> = self.draws.par_iter().map(|draw| change(draw, 1.0)).collect();
        let squares: f64 = draws.iter().map(|d| d * d).sum();
        terms.push(Term { name: NOISE, u: (squares / DRAWS as f64).sqrt() });
        Measured::Value { value, terms: merge(terms) }
    }
}

/// Adds terms of one name in quadrature and drops those that are nothing.
pub fn merge(terms: Vec<Term>) -> Vec<Term> {
    let mut merged: Vec<Term> = Vec::new();
    for t in terms {
        match merged.iter_mut().find(|m| m.name == t.name) {
            Some(m) => m.u = (m.u * m.u + t.u * t.u).sqrt(),
            None => merged.push(t),
        }
    }
    merged.retain(|t| t.u > 0.0);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects() -> Effects {
        Effects {
            offset_mm: 0.01,
            scale: 0.002,
            centre: Point3::origin(),
            offset_moves: Default::default(),
            pose_modes: vec![],
            chord_mm: 0.0,
            noise_length_mm: 0.2,
        }
    }

    fn mean(values: &[f64]) -> Option<f64> {
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    #[test]
    fn a_common_offset_does_not_average_out_and_noise_does() {
        let n = 4000;
        let points: Vec<_> = (0..n).map(|i| Point3::new(i as f64, 0.0, 0.0)).collect();
        let (normals, noise_mm) = (vec![Vector3::y(); n], vec![0.05f32; n]);
        let sites = Sites { points: &points, normals: &normals, noise_mm: &noise_mm };
        let Measured::Value { value, terms } = effects().patterns(&sites).measure(&vec![0.3; n], mean, "") else { panic!("measured") };
        let u = |name| terms.iter().find(|t| t.name == name).map_or(0.0, |t| t.u);
        assert!((value - 0.3).abs() < 1e-12 && (u(OFFSET) - 0.01).abs() < 1e-12 && u(SCALE) == 0.0);
        let expected = 0.05 / (n as f64).sqrt();
        assert!(u(NOISE) > 0.3 * expected && u(NOISE) < 2.0 * expected); // 12 draws: chi bounds far beyond 99.9 %
    }

    #[test]
    fn a_scale_error_grows_with_the_distance_from_the_centre() {
        let points = [Point3::new(0.0, 0.0, 50.0)];
        let sites = Sites { points: &points, normals: &[Vector3::z()], noise_mm: &[0.0] };
        let Measured::Value { terms, .. } = effects().patterns(&sites).measure(&[0.0], mean, "") else { panic!("measured") };
        assert!(terms.iter().any(|t| t.name == SCALE && (t.u - 0.1).abs() < 1e-12));
    }

    #[test]
    fn an_even_quantity_sees_an_effect_at_its_minimum() {
        let points = [Point3::origin(); 2];
        let sites = Sites { points: &points, normals: &[Vector3::z(); 2], noise_mm: &[0.0; 2] };
        let rms = |v: &[f64]| Some((v.iter().map(|x| x * x).sum::<f64>() / v.len() as f64).sqrt());
        let Measured::Value { terms, .. } = effects().patterns(&sites).measure(&[0.0; 2], rms, "") else { panic!("measured") };
        assert!(terms.iter().any(|t| t.name == OFFSET && (t.u - 0.01).abs() < 1e-12));
    }
}
