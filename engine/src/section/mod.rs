//! Plane sections of nominal and actual surface, with their deviation in the plane.
//!
//! A section is the exact intersection of a plane with the facets: every facet with corners on both sides (a corner on the plane counts as
//! above it) gives one segment, and segments join where facets share an edge, so the section of a closed surface is closed contours, with
//! material on their left seen against the plane's normal. [`compare`] walks the actual contours in equal steps and gives each place its distance
//! within the plane to the nominal contours, + where it lies outside the nominal solid. That is at least the deviation in space, and the same where
//! the surface stands square to the plane. [`Compared::known`] adds how sure each is.
//! Cost: one pass over the facets; a nearest-segment query a place.

mod contour;
mod drawing;
mod table;
mod uncertain;

use nalgebra::{Point3, Vector3};

use crate::distance::MeshDistance;
use crate::error::Error;
use crate::mesh::Mesh;
use crate::runtime::Runtime;

pub use contour::Contour;
pub use drawing::svg;
pub use table::csv;

/// Places that a section is compared at: this many over the diagonal of its bounds, and no more than so many in all.
const PLACES_PER_DIAGONAL: f64 = 500.0;
const MOST_PLACES: f64 = 20_000.0;

/// A plane in the nominal frame with the axes it is drawn along: `right` × `up` = `normal`, which points to the viewer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane {
    pub at: Point3<f64>,
    pub normal: Vector3<f64>,
    pub right: Vector3<f64>,
    pub up: Vector3<f64>,
}

impl Plane {
    /// `None` where the normal has no direction. Z is drawn upwards where the plane lets it, else Y.
    pub fn new(at: Point3<f64>, normal: Vector3<f64>) -> Option<Plane> {
        let normal = normal.try_normalize(1e-300).filter(|n| n.iter().all(|x| x.is_finite()))?;
        let upright = if normal.z.abs() < 0.999 { Vector3::z() } else { Vector3::y() };
        let up = (upright - normal * upright.dot(&normal)).normalize();
        Some(Plane { at, normal, right: up.cross(&normal), up })
    }

    fn height_mm(&self, p: &Point3<f64>) -> f64 {
        (p - self.at).dot(&self.normal)
    }

    /// Coordinates in the plane, mm.
    pub fn seen(&self, p: &Point3<f64>) -> [f64; 2] {
        let from = p - self.at;
        [from.dot(&self.right), from.dot(&self.up)]
    }
}

/// The contours of one surface in a plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    pub contours: Vec<Contour>,
}

impl Section {
    pub fn of(mesh: &Mesh, plane: &Plane) -> Section {
        Section { contours: contour::contours(mesh, plane) }
    }

    /// Length of all contours, mm.
    pub fn perimeter_mm(&self) -> f64 {
        self.contours.iter().map(Contour::length_mm).sum()
    }

    /// Area that the contours enclose, holes taken off, mm²; `None` where one is open or there is none.
    pub fn area_mm2(&self, plane: &Plane) -> Option<f64> {
        (!self.contours.is_empty()).then_some(())?;
        self.contours.iter().map(|c| c.area_mm2(plane)).sum()
    }

    /// Least and greatest coordinates in the plane, mm; `None` without contours.
    fn extent(&self, plane: &Plane) -> Option<[[f64; 2]; 2]> {
        let all = self.contours.iter().flat_map(|c| &c.points).map(|p| plane.seen(p)).map(|p| [p, p]);
        all.reduce(|[low, high], [p, q]| [[low[0].min(p[0]), low[1].min(p[1])], [high[0].max(q[0]), high[1].max(q[1])]])
    }
}

/// A place on an actual contour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Which of the actual contours.
    pub contour: usize,
    pub at: Point3<f64>,
    /// The nearest place of the nominal contours.
    pub nominal: Point3<f64>,
    /// `None` where the nominal has no inside.
    pub deviation_mm: Option<f64>,
    /// Standard uncertainty of the deviation; `None` before [`Compared::known`], and where the surface only grazes the plane.
    pub u_mm: Option<f64>,
    /// The facet of the actual surface that it lies in.
    pub facet: u32,
}

/// Both surfaces in one plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    pub name: String,
    pub plane: Plane,
    pub nominal: Section,
    pub actual: Section,
    /// At equal steps along the actual contours; empty where either surface misses the plane.
    pub places: Vec<Place>,
}

impl Compared {
    /// The deviations that are known, mm.
    pub fn deviations_mm(&self) -> Vec<f64> {
        self.places.iter().filter_map(|p| p.deviation_mm).collect()
    }
}

/// Cuts the nominal and the aligned actual surface.
pub fn compare(name: &str, plane: &Plane, nominal: &MeshDistance, actual: &Mesh, rt: &Runtime) -> Result<Compared, Error> {
    let sections = [nominal.mesh(), actual].map(|mesh| Section::of(mesh, plane));
    let [wanted, built] = sections;
    let places = places(&wanted, &built, plane, nominal, rt)?;
    Ok(Compared { name: name.into(), plane: *plane, nominal: wanted, actual: built, places })
}

fn places(wanted: &Section, built: &Section, plane: &Plane, nominal: &MeshDistance, rt: &Runtime) -> Result<Vec<Place>, Error> {
    let (Some([low, high]), Some(segments)) = (wanted.extent(plane), contour::segments(&wanted.contours)) else { return Ok(vec![]) };
    let diagonal = ((high[0] - low[0]) * (high[0] - low[0]) + (high[1] - low[1]) * (high[1] - low[1])).sqrt();
    let step_mm = (diagonal / PLACES_PER_DIAGONAL).max(built.perimeter_mm() / MOST_PLACES);
    let along: Vec<(usize, Point3<f64>, u32)> =
        built.contours.iter().enumerate().flat_map(|(i, c)| c.walked(step_mm).into_iter().map(move |(p, facet)| (i, p, facet))).collect();
    let points: Vec<Point3<f64>> = along.iter().map(|p| p.1).collect();
    if points.is_empty() {
        return Ok(vec![]);
    }
    let nearest = MeshDistance::without_edges(&segments).nearest_all(&points, rt)?;
    let inside = nominal.signed_as(&points, rt, |s| s.sign_defined.then_some(s.distance_mm < 0.0))?;
    let place = |i: usize| {
        let distance = nearest[i].distance_mm;
        let deviation_mm = inside[i].map(|inside| if inside { -distance } else { distance });
        Place { contour: along[i].0, at: along[i].1, nominal: nearest[i].point, deviation_mm, u_mm: None, facet: along[i].2 }
    };
    Ok((0..points.len()).map(place).collect())
}
