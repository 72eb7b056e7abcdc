//! Openings that the design leaves between struts, as designed and as built.
//!
//! A window is a ring of three to six struts (see `rings`), spanned by triangles from its centre to its struts. It is blocked where at least
//! half of what the design leaves open of it is solid. Its free diameter is that of the largest ball found that holds no material and whose
//! centre lies in the window: places spread over it, the best of which is moved within the window's mean plane until shorter steps gain
//! nothing; so it is a lower bound, and the diameter of the inscribed circle where the window is flat.
//! Cost: a few hundred distances to each surface a window.

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::Design;
use super::rings::rings;
use super::trace::RIM;
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::runtime::Runtime;

/// An opening that the design leaves between struts.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The nodes around it in turn.
    pub nodes: Vec<u32>,
    pub centre: Point3<f64>,
    /// Diameters of the largest balls that pass, designed and built, mm; 0 where none does.
    pub designed_mm: f64,
    pub built_mm: f64,
    pub is_blocked: bool,
}

/// A ring of struts with the places of its nodes.
pub(super) struct Opening {
    pub nodes: Vec<u32>,
    corners: Vec<Point3<f64>>,
}

/// Points along a side of each of a window's triangles.
const POINTS: usize = 6;
/// Times that the step of the search for the largest ball is halved.
const FINER: usize = 6;
/// Windows between two looks at the caller's wish to stop.
const BATCH: usize = 512;

/// The windows of a design, in the order of their nodes; or why none are looked at.
pub(super) fn openings(design: &Design, rt: &Runtime) -> Result<Result<Vec<Opening>, String>, Error> {
    let found = rings(design.nodes().len(), design.struts().iter().map(|s| s.ends), rt)?;
    let place = |nodes: Vec<u32>| Opening { corners: nodes.iter().map(|&n| design.nodes()[n as usize]).collect(), nodes };
    Ok(found.map(|rings| rings.into_iter().map(place).collect()))
}

/// The openings as windows, as built between nodes at the places `carried`; `is_blocked` tells which are closed there.
pub(super) fn windows(
    openings: Vec<Opening>,
    carried: &[Point3<f64>],
    [nominal, built]: [&MeshDistance; 2],
    is_blocked: impl Fn(&Opening) -> bool + Sync,
    rt: &Runtime,
) -> Result<Vec<Window>, Error> {
    let of = |o: &Opening| {
        let there = Opening { corners: o.nodes.iter().map(|&n| carried[n as usize]).collect(), nodes: o.nodes.clone() };
        let (designed_mm, built_mm, is_blocked) = (o.free_mm(nominal), there.free_mm(built), is_blocked(&there));
        Window { nodes: there.nodes, centre: o.centre(), designed_mm, built_mm, is_blocked }
    };
    let mut found = Vec::with_capacity(openings.len());
    for batch in openings.chunks(BATCH) {
        rt.step("windows", found.len() as f64 / openings.len() as f64)?;
        found.extend(batch.par_iter().map(of).collect::<Vec<_>>());
    }
    Ok(found)
}

impl Opening {
    fn centre(&self) -> Point3<f64> {
        Point3::from(self.corners.iter().fold(Vector3::zeros(), |s, p| s + p.coords) / self.corners.len() as f64)
    }

    /// Corners with the next around.
    fn sides(&self) -> impl Iterator<Item = (Point3<f64>, Point3<f64>)> + '_ {
        self.corners.iter().zip(self.corners.iter().cycle().skip(1)).map(|(a, b)| (*a, *b))
    }

    /// Points spread over the fan of triangles around the centre.
    pub fn points(&self) -> impl Iterator<Item = Point3<f64>> + '_ {
        let centre = self.centre();
        let side = POINTS as f64;
        self.sides().flat_map(move |(a, b)| {
            let (a, b) = (a - centre, b - centre);
            (0..POINTS)
                .flat_map(move |i| (0..POINTS - i).map(move |j| centre + a * ((i as f64 + 0.33) / side) + b * ((j as f64 + 0.33) / side)))
        })
    }

    /// Diameter of the largest ball found in the window outside a solid, mm.
    fn free_mm(&self, solid: &MeshDistance) -> f64 {
        let room = |p: &Point3<f64>| solid.signed(p).distance_mm;
        let centre = self.centre();
        // The first of equals, so that the centre of a window that is open counts.
        let first = (centre, room(&centre));
        let (mut best, mut most) = self.points().map(|p| (p, room(&p))).fold(first, |best, next| if next.1 > best.1 { next } else { best });
        let spread = self.corners.iter().map(|p| (p - centre).norm()).fold(0.0, f64::max);
        let normal = self.sides().fold(Vector3::zeros(), |s, (a, b)| s + (a - centre).cross(&(b - centre)));
        let aside = |way: Vector3<f64>| way.try_normalize(0.0).unwrap_or_else(Vector3::zeros);
        let one = aside(normal.cross(&Vector3::ith(normal.iamin(), 1.0)));
        let other = aside(normal.cross(&one));
        let mut step = spread / POINTS as f64;
        for _ in 0..FINER {
            step *= 0.5;
            for (x, y) in RIM {
                let there = best + (one * x + other * y) * step;
                let free = room(&there);
                if free > most {
                    (best, most) = (there, free);
                }
            }
        }
        2.0 * most.max(0.0)
    }
}
