//! How sure the deviations of a section are.
//!
//! A surface that is displaced by δ along its normal n moves its contour, within a plane of normal N, by δ / |n − (n·N) N|: a slope that the plane
//! grazes is cut far from where it would be. So the uncertainty of a deviation in the plane is that in space over the sine of the angle
//! between surface and plane. Effects are those of deviations ([`Effects`]): offset, scale, pose, facets, and the noise of the vertices around.

use super::Compared;
use crate::mesh::Mesh;
use crate::uncertainty::{Effects, Sites};

/// Sine of the least angle between surface and plane at which a cut has a place.
const GRAZING: f64 = 1e-3;

impl Compared {
    /// With the standard uncertainty of each deviation; `actual` is the surface that was cut, `noise_mm` the noise of its vertices.
    pub fn known(mut self, actual: &Mesh, noise_mm: &[f32], effects: &Effects) -> Compared {
        let outward = actual.vertex_normals();
        let corners = |facet: u32| actual.triangles()[facet as usize].map(|v| v as usize);
        let points: Vec<_> = self.places.iter().map(|p| p.at).collect();
        let normals: Vec<_> =
            self.places.iter().map(|p| corners(p.facet).map(|v| outward[v]).iter().sum::<nalgebra::Vector3<f64>>().normalize()).collect();
        let silent = vec![0.0; points.len()];
        let patterns = effects.patterns(&Sites { points: &points, normals: &normals, noise_mm: &silent });
        for (i, place) in self.places.iter_mut().enumerate() {
            let noise = |v: usize| noise_mm.get(v).map_or(0.0, |u| f64::from(*u) * f64::from(*u));
            let variance = patterns.common_variance(i) + corners(place.facet).map(noise).iter().sum::<f64>() / 3.0;
            let sine = normals[i].cross(&self.plane.normal).norm();
            place.u_mm = (sine > GRAZING && place.deviation_mm.is_some()).then(|| variance.sqrt() / sine);
        }
        self
    }

    /// Median and largest expanded uncertainty (U = 2u) of the deviations, mm; `None` where none is known.
    pub(super) fn expanded_mm(&self) -> Option<[f64; 2]> {
        let mut all: Vec<f64> = self.places.iter().filter_map(|p| p.u_mm).map(|u| 2.0 * u).collect();
        all.sort_unstable_by(f64::total_cmp);
        Some([*all.get(all.len() / 2)?, *all.last()?])
    }
}
