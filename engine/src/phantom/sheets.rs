//! Walls of even thickness about triply periodic minimal surfaces, as level sets approximate these.
//!
//! The surface is where the usual trigonometric function vanishes; the wall is all points within half the thickness of it, so its
//! thickness is known everywhere. The foot on the surface is found by steps onto the level set and along it, which settle where the point
//! is nearer than the radii of curvature; beyond a tenth of a cell the distance is stated as that.

use std::f64::consts::TAU;

use nalgebra::{Point3, Vector3};

/// A triply periodic minimal surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minimal {
    Gyroid,
    SchwarzP,
    SchwarzD,
}

/// Walls through all of space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sheet {
    pub surface: Minimal,
    /// Edge of the cube by which the function repeats, mm; the walls of Schwarz's D repeat by half of it.
    pub cell_mm: f64,
    pub thickness_mm: f64,
}

/// Distances are followed up to this share of a cell.
const FAR: f64 = 0.1;
const STEPS: usize = 12;

impl Minimal {
    /// Value of the function and its gradient at angles of these sines and cosines.
    fn at(self, [(s, c), (t, d), (u, e)]: [(f64, f64); 3]) -> (f64, Vector3<f64>) {
        match self {
            Minimal::Gyroid => (s * d + t * e + u * c, Vector3::new(c * d - u * s, d * e - s * t, e * c - t * u)),
            Minimal::SchwarzP => (c + d + e, Vector3::new(-s, -t, -u)),
            Minimal::SchwarzD => {
                (c * d * e - s * t * u, Vector3::new(-s * d * e - c * t * u, -c * t * e - s * d * u, -c * d * u - s * t * e))
            }
        }
    }

    /// No gradient is longer.
    fn steepest(self) -> f64 {
        if self == Minimal::SchwarzD { 1.0 } else { 3.0_f64.sqrt() }
    }
}

fn sines_and_cosines(angles: &Vector3<f64>) -> [(f64, f64); 3] {
    [0, 1, 2].map(|a| libm::sincos(angles[a]))
}

/// Factors of even and odd powers in the series of cosine and sine: what follows is below 1e-17 at angles up to 0.7.
const SERIES: [(f64, f64); 9] = {
    let (mut terms, mut factor, mut n) = ([(0.0, 0.0); 9], 1.0, 0);
    while n < 9 {
        terms[n] = (factor, factor / (2 * n + 1) as f64);
        factor /= -(((2 * n + 1) * (2 * n + 2)) as f64);
        n += 1;
    }
    terms
};

/// Sine and cosine of an angle plus `by`, from those of the angle: the series of a small turn, some times as fast as asking anew.
#[inline]
fn turned((sin, cos): (f64, f64), by: f64) -> (f64, f64) {
    if by.abs() > 0.7 {
        let (s, c) = libm::sincos(by);
        return (sin * c + cos * s, cos * c - sin * s);
    }
    let square = by * by;
    let (c, s) = SERIES.iter().rev().fold((0.0, 0.0), |(c, s), (even, odd)| (c * square + even, s * square + odd));
    let s = s * by;
    (sin * c + cos * s, cos * c - sin * s)
}

impl Sheet {
    /// Distance to the wall, negative in it.
    pub(super) fn distance_mm(&self, p: &Point3<f64>) -> f64 {
        let scale = TAU / self.cell_mm;
        let (x, far) = (p.coords * scale, TAU * FAR);
        let there = sines_and_cosines(&x);
        let (value, mut slope) = self.surface.at(there);
        if value.abs() >= far * self.surface.steepest() {
            return far / scale - 0.5 * self.thickness_mm;
        }
        let (mut foot, mut left) = (x, value);
        for _ in 0..STEPS {
            let n2 = slope.norm_squared().max(1e-3);
            let aside = x - foot;
            let step = aside - slope * ((aside.dot(&slope) + left) / n2);
            foot += step;
            let by = foot - x;
            (left, slope) = self.surface.at([0, 1, 2].map(|a| turned(there[a], by[a])));
            if step.norm_squared() < 1e-16 {
                break;
            }
        }
        (x - foot).norm().min(far) / scale - 0.5 * self.thickness_mm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::uniform;

    #[test]
    fn sines_and_cosines_of_turned_angles_are_those_of_the_sums() {
        for n in 0..2000 {
            let [angle, by] = [0, 1].map(|k| 4.0 * uniform(11, 2 * n + k) - 2.0);
            let ((s, c), (sin, cos)) = (turned(libm::sincos(angle), by), libm::sincos(angle + by));
            assert!((s - sin).abs() < 4e-16 && (c - cos).abs() < 4e-16, "{angle} + {by}: {s} {c}, not {sin} {cos}");
        }
    }

    #[test]
    fn a_point_off_the_surface_along_its_normal_is_as_far_from_it_as_it_was_moved() {
        for surface in [Minimal::Gyroid, Minimal::SchwarzP, Minimal::SchwarzD] {
            let sheet = Sheet { surface, cell_mm: 2.0, thickness_mm: 0.2 };
            for n in 0..200 {
                let mut x = Vector3::from_fn(|a, _| TAU * uniform(9, 3 * n + a as u64));
                (0..30).for_each(|_| {
                    let (value, slope) = surface.at(sines_and_cosines(&x));
                    x -= slope * (value / slope.norm_squared().max(1e-6));
                });
                let (value, slope) = surface.at(sines_and_cosines(&x));
                if value.abs() > 1e-9 {
                    continue;
                }
                let at = |by: f64| Point3::from((x + slope.normalize() * (by * TAU / 2.0)) / TAU * 2.0);
                for by in [-0.15, -0.1, -0.05, 0.0, 0.1, 0.15] {
                    let found = sheet.distance_mm(&at(by)) + 0.1;
                    assert!((found - f64::abs(by)).abs() < 1e-6, "{surface:?}: {by} mm off, found {found}");
                }
            }
        }
    }
}
