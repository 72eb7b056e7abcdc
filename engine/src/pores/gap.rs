//! Gaps between parts of the surface, through the solid.
//!
//! From places on one of two surfaces, every corner among them and none farther apart than the diagonal of a cell, to the nearest of the other;
//! the nearest pair then slides along both while that brings it closer. Where the gap is smallest it is at right angles to the facet or edge that it
//! starts from, so that places a distance h apart miss no more than `√(gap² + h²/3) - gap`, and the slide takes most of that.
//! Cost: a closest point a place, about one a facet of a determined surface.

use std::sync::OnceLock;

use nalgebra::{Point3, Vector3};

use super::Surface;
use super::room::DIAGONAL;
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::frame::Bounds;
use crate::mesh::{Mesh, Samples};

/// Steps of a slide; each is shorter than the one before.
const STEPS: usize = 64;
/// Relative change of the gap that ends a slide.
const SETTLED: f64 = 1e-9;

/// Some facets of the part with their search structure.
pub(super) struct Body {
    surface: MeshDistance,
    bounds: Bounds,
    /// Their numbers in the part.
    facets: Vec<u32>,
    /// Where gaps are looked for from, with a facet of the part that each lies on.
    places: OnceLock<Vec<(Point3<f64>, u32)>>,
}

impl Body {
    /// `None` without facets.
    pub fn of(mesh: &Mesh, facets: &[u32]) -> Result<Option<Body>, Error> {
        if facets.is_empty() {
            return Ok(None);
        }
        let surface = MeshDistance::without_edges(&mesh.alone(facets)?);
        let bounds = surface.mesh().bounds();
        Ok(Some(Body { surface, bounds, facets: facets.to_vec(), places: OnceLock::new() }))
    }

    fn places(&self, cell_mm: f64) -> &[(Point3<f64>, u32)] {
        self.places.get_or_init(|| {
            let samples = Samples::of(self.surface.mesh(), DIAGONAL * cell_mm);
            samples.points.into_iter().zip(samples.triangles.iter().map(|&t| self.facets[t as usize])).collect()
        })
    }

    /// Smallest distance to another surface of the same part; of both, what is curved counts as curved.
    pub fn gap_mm(&self, other: &Body, part: Surface, cell_mm: f64) -> f64 {
        let mut seats = [0; 2];
        let across = |at: &Point3<f64>, facet: u32, seat: &mut u32| {
            let near = other.surface.nearest_from(at, seat);
            let heights = part.height_mm(facet, at) + part.height_mm(other.facets[near.triangle as usize], &near.point);
            ((near.distance_mm + heights).max(0.0), near.point)
        };
        let all = self.places(cell_mm).iter().map(|(at, facet)| across(at, *facet, &mut seats[0]));
        let mut least = all.fold((f64::INFINITY, Point3::origin()), |least, found| if found.0 < least.0 { found } else { least });
        for _ in 0..STEPS {
            let back = self.surface.nearest_from(&least.1, &mut seats[1]);
            let found = across(&back.point, self.facets[back.triangle as usize], &mut seats[0]);
            if found.0 >= (1.0 - SETTLED) * least.0 {
                break;
            }
            least = found;
        }
        least.0
    }

    /// No two of their facets are nearer than this.
    fn apart_mm(&self, other: &Body) -> f64 {
        let (a, b) = (&self.bounds, &other.bounds);
        let between = [0, 1, 2].map(|n| (a.min[n] - b.max[n]).max(b.min[n] - a.max[n]).max(0.0));
        Vector3::from(between).norm()
    }
}

/// Distance from one of some bodies to the nearest of the others.
pub(super) fn nearest_other(bodies: &[Option<Body>], n: usize, part: Surface, cell_mm: f64) -> Option<f64> {
    let own = bodies[n].as_ref()?;
    let others = bodies.iter().enumerate().filter(|(m, _)| *m != n).filter_map(|(_, other)| other.as_ref());
    let others: Vec<(f64, &Body)> = others.map(|other| (own.apart_mm(other), other)).collect();
    // From the one with fewer places.
    let gap = |other: &Body| {
        let few = own.places(cell_mm).len() <= other.places(cell_mm).len();
        if few { own.gap_mm(other, part, cell_mm) } else { other.gap_mm(own, part, cell_mm) }
    };
    // Most others are farther than the one whose box is nearest.
    let first = (0..others.len()).min_by(|&a, &b| others[a].0.total_cmp(&others[b].0))?;
    let rest = others.iter().enumerate().filter(|(m, _)| *m != first).map(|(_, other)| other);
    Some(rest.fold(gap(others[first].1), |least, (apart, other)| if *apart < least { least.min(gap(other)) } else { least }))
}
