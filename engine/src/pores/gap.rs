//! Gaps between parts of the surface, through the solid.
//!
//! From places on one of two surfaces, every corner among them and none farther apart than the diagonal of a cell, to the nearest of the other;
//! the nearest pair then slides along both while that brings it closer. Where the gap is smallest it is at right angles to the facet or edge that it
//! starts from, so that places a distance h apart miss no more than `√(gap² + h²/3) - gap`, and the slide takes most of that.
//! Cost: a closest point a place, about one a facet of a determined surface.

use std::sync::OnceLock;

use nalgebra::{Point3, Vector3};

use super::Surface;
use super::nearby::Boxes;
use super::sphere::DIAGONAL;
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
    /// Of the curved surface: no gap to another body is smaller than what lies between their bounds.
    bounds: Bounds,
    /// Their numbers in the part.
    facets: Vec<u32>,
    /// Where gaps are looked for from, with a facet of the part that each lies on.
    places: OnceLock<Vec<(Point3<f64>, u32)>>,
}

impl Body {
    /// `None` without facets.
    pub fn of(mesh: &Mesh, facets: &[u32], part: Surface) -> Result<Option<Body>, Error> {
        if facets.is_empty() {
            return Ok(None);
        }
        let surface = MeshDistance::without_edges(&mesh.alone(facets)?);
        let (flat, deep) = (surface.mesh().bounds(), facets.iter().map(|&t| part.deepest_mm(t)).fold(0.0, f64::max));
        let bounds = Bounds { min: flat.min - Vector3::repeat(deep), max: flat.max + Vector3::repeat(deep) };
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
}

/// Some bodies of a part, of which the nearest to each is looked for.
pub(super) struct Bodies<'a> {
    list: &'a [Option<Body>],
    boxes: Boxes,
    part: Surface<'a>,
    cell_mm: f64,
}

impl<'a> Bodies<'a> {
    pub fn of(list: &'a [Option<Body>], part: Surface<'a>, cell_mm: f64) -> Self {
        let bounds = list.iter().enumerate().filter_map(|(n, body)| Some((body.as_ref()?.bounds, n)));
        Bodies { list, boxes: Boxes::of(bounds.collect()), part, cell_mm }
    }

    /// Distance from one body to the nearest of the others (mm). Bodies are asked by their bounds, until those left are farther.
    pub fn to_nearest_mm(&self, n: usize) -> Option<f64> {
        let own = self.list[n].as_ref()?;
        let mut least: Option<f64> = None;
        for (apart, m) in self.boxes.ascending(&own.bounds).filter(|(_, m)| *m != n) {
            if least.is_some_and(|least| apart >= least) {
                break;
            }
            let gap = self.list[m].as_ref().map(|other| self.gap_mm(own, other))?;
            least = Some(least.map_or(gap, |least| least.min(gap)));
        }
        least
    }

    /// From the one with fewer places.
    fn gap_mm(&self, own: &Body, other: &Body) -> f64 {
        let few = own.places(self.cell_mm).len() <= other.places(self.cell_mm).len();
        if few { own.gap_mm(other, self.part, self.cell_mm) } else { other.gap_mm(own, self.part, self.cell_mm) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Bulge;
    use crate::noise::uniform;
    use crate::pores::Phase;

    /// The corners and facets of an octahedron, outward.
    fn octahedron(centre: Point3<f64>, radius_mm: f64) -> ([Point3<f64>; 6], [[u32; 3]; 8]) {
        let axis = |n: usize| Vector3::ith(n / 2, if n.is_multiple_of(2) { radius_mm } else { -radius_mm });
        let facet = |n: usize| {
            let [x, y, z] = [0, 1, 2].map(|a| (2 * a + (n >> a & 1)) as u32);
            // Each corner on the far side of its axis turns the facet around.
            if n.count_ones().is_multiple_of(2) { [x, y, z] } else { [x, z, y] }
        };
        (std::array::from_fn(|n| centre + axis(n)), std::array::from_fn(facet))
    }

    /// Octahedra of many sizes, one of them long beside the others, with what is curved counted as curved and without.
    #[test]
    fn the_nearest_of_many_voids_is_the_one_that_asking_each_of_them_finds() {
        let (mut vertices, mut triangles, mut facets) = (vec![], vec![], vec![]);
        for n in 0..80u64 {
            let u = |m: u64| uniform(17, 5 * n + m);
            let radius_mm = if n == 0 { 2.0 } else { 0.02 + 0.3 * u(3) * u(4) };
            let (corners, sides) = octahedron(Point3::new(6.0 * u(0), 6.0 * u(1), 6.0 * u(2)), radius_mm);
            let (first, from) = (vertices.len() as u32, triangles.len() as u32);
            vertices.extend(corners);
            triangles.extend(sides.iter().map(|&[a, b, c]| [first + a, first + c, first + b]));
            facets.push((from..triangles.len() as u32).collect::<Vec<u32>>());
        }
        let mesh = Mesh::new(vertices, triangles).expect("octahedra");
        let (searched, bulge) = (MeshDistance::build(&mesh), Bulge::of(&mesh));
        for bulge in [None, Some(&bulge)] {
            let part = Surface { facets: &searched, bulge, phase: Phase::Pores };
            let list: Vec<Option<Body>> = facets.iter().map(|facets| Body::of(&mesh, facets, part).expect("facets")).collect();
            let bodies = Bodies::of(&list, part, 0.1);
            for n in 0..list.len() {
                let others = (0..list.len()).filter(|&m| m != n);
                let gaps = others.filter_map(|m| Some(bodies.gap_mm(list[n].as_ref()?, list[m].as_ref()?)));
                assert_eq!(bodies.to_nearest_mm(n), gaps.reduce(f64::min), "void {n}");
            }
        }
    }
}
