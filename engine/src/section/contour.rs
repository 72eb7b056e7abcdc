//! Contours: the segments that a plane cuts out of facets, joined.

use nalgebra::Point3;

use super::Plane;
use crate::mesh::{Chain, Mesh, chains};

/// A chain of places; the last joins the first where it is closed.
#[derive(Clone, Debug, PartialEq)]
pub struct Contour {
    pub points: Vec<Point3<f64>>,
    /// The facet that each side lies in; a side begins at the point of the same number.
    pub facets: Vec<u32>,
    pub closed: bool,
}

impl Contour {
    fn sides(&self) -> impl Iterator<Item = (&Point3<f64>, &Point3<f64>)> {
        let next = self.points.iter().skip(1).chain(self.points.first().filter(|_| self.closed));
        self.points.iter().zip(next)
    }

    pub fn length_mm(&self) -> f64 {
        self.sides().map(|(p, q)| (q - p).norm()).sum()
    }

    /// Positive around material, negative around a hole; `None` of an open contour.
    pub fn area_mm2(&self, plane: &Plane) -> Option<f64> {
        let twice = |(p, q): (&Point3<f64>, &Point3<f64>)| {
            let ([a, b], [c, d]) = (plane.seen(p), plane.seen(q));
            a * d - b * c
        };
        self.closed.then(|| 0.5 * self.sides().map(twice).sum::<f64>())
    }

    /// Places at equal steps of at most `step_mm` along the contour, from its first point on, with their facets.
    pub(super) fn walked(&self, step_mm: f64) -> Vec<(Point3<f64>, u32)> {
        let length = self.length_mm();
        let count = (length / step_mm).ceil().max(1.0);
        let (step, mut places, mut passed) = (length / count, vec![], 0.0);
        for ((p, q), facet) in self.sides().zip(&self.facets) {
            let side = (q - p).norm();
            while places.len() as f64 * step < passed + side {
                places.push((p + (q - p) * ((places.len() as f64 * step - passed) / side), *facet));
            }
            passed += side;
        }
        places
    }
}

/// A segment from the edge where its facet's border goes down through the plane to the one where it comes up, with that place.
struct Cut {
    facet: u32,
    from: (u32, u32),
    to: (u32, u32),
}

pub(super) fn contours(mesh: &Mesh, plane: &Plane) -> Vec<Contour> {
    let up: Vec<bool> = mesh.vertices().iter().map(|p| plane.height_mm(p) >= 0.0).collect();
    let cut = |(facet, t): (usize, &[u32; 3])| {
        let edge = |k: usize| (t[k], t[(k + 1) % 3]);
        let through = |from: bool| (0..3).map(edge).find(|&(a, b)| up[a as usize] == from && up[b as usize] != from);
        let unordered = |(a, b): (u32, u32)| (a.min(b), a.max(b));
        Some(Cut { facet: facet as u32, from: unordered(through(true)?), to: unordered(through(false)?) })
    };
    let cuts: Vec<Cut> = mesh.triangles().iter().enumerate().filter_map(cut).collect();
    let ends: Vec<[(u32, u32); 2]> = cuts.iter().map(|c| [c.from, c.to]).collect();
    let place = |edge: (u32, u32)| {
        let [p, q] = [edge.0, edge.1].map(|v| mesh.vertices()[v as usize]);
        let (hp, hq) = (plane.height_mm(&p), plane.height_mm(&q));
        p + (q - p) * (hp / (hp - hq)) // one end is below 0 and the other is not
    };
    let contour = |Chain { segments, closed }: Chain| {
        let first = segments.first().filter(|_| !closed).map(|&c| cuts[c].from);
        let points = first.into_iter().chain(segments.iter().map(|&c| cuts[c].to)).map(place).collect();
        let mut facets: Vec<u32> = segments.iter().map(|&c| cuts[c].facet).collect();
        if closed {
            facets.rotate_left(1); // the first point ends the first segment
        }
        Contour { points, facets, closed }
    };
    chains(&ends).into_iter().map(contour).collect()
}

/// The sides of contours as triangles without height, so that distances to these are distances to the contours; `None` without any.
pub(super) fn segments(contours: &[Contour]) -> Option<Mesh> {
    let mut ends = vec![];
    contours.iter().flat_map(Contour::sides).for_each(|(p, q)| ends.extend([*p, *q]));
    let triangles = (0..ends.len() as u32 / 2).map(|i| [2 * i, 2 * i + 1, 2 * i + 1]).collect();
    Mesh::new(ends, triangles).ok()
}
