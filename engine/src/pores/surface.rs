//! The determined surface as a ball meets it.

use nalgebra::Point3;

use super::Phase;
use crate::distance::{MeshDistance, Nearest};
use crate::mesh::Bulge;

/// A surface seen from one of its sides.
#[derive(Clone, Copy)]
pub(crate) struct Surface<'a> {
    pub facets: &'a MeshDistance,
    /// What lies beyond the facets, where that is known: a ball rests on the curved surface, not on the chords across it.
    pub bulge: Option<&'a Bulge>,
    /// Where the balls are.
    pub phase: Phase,
}

impl Surface<'_> {
    /// Radius of the largest ball about a place of the phase, by what is nearest to it (mm).
    pub fn room_mm(&self, near: &Nearest) -> f64 {
        (near.distance_mm + self.beyond_mm(near)).max(0.0)
    }

    /// Volume between a facet and the curved surface beyond it (mm³).
    pub fn between_mm3(&self, triangle: u32) -> f64 {
        self.bulge.map_or(0.0, |b| b.volume_mm3(self.facets.mesh(), triangle as usize))
    }

    /// Area of the curved surface over a facet (mm²).
    pub fn area_mm2(&self, triangle: u32) -> f64 {
        let mesh = self.facets.mesh();
        0.5 * mesh.area_vector(triangle as usize).norm() * self.bulge.map_or(1.0, |b| b.stretch(mesh, triangle as usize))
    }

    /// How far the curved surface lies beyond a place on a facet, out of the solid (mm).
    pub fn height_mm(&self, triangle: u32, at: &Point3<f64>) -> f64 {
        self.bulge.map_or(0.0, |b| b.height_mm(self.facets.mesh(), triangle as usize, at))
    }

    /// The curved surface lies nowhere deeper in the solid below a facet than this (mm).
    pub fn deepest_mm(&self, triangle: u32) -> f64 {
        self.bulge.map_or(0.0, |b| b.deepest_mm(triangle as usize))
    }

    /// How much farther than the facet the surface is (mm).
    pub fn beyond_mm(&self, near: &Nearest) -> f64 {
        let height = self.height_mm(near.triangle, &near.point);
        if self.phase == Phase::Walls { height } else { -height }
    }
}
