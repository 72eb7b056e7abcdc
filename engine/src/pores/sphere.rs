//! A sphere among the cells of a lattice: where in a cell its centre can be, and whether it passes from one cell to the next.
//!
//! A cell has room when a place in it is at least the radius from the surface, its centre or another. Two cells that share a face hang together when
//! the face has such a place on the way between theirs. So every passage that the sphere fits through is found, however it lies between the centres
//! of cells.
//! Known bias: a cell or a face is taken as one piece, so a path may dip between two of its places. Beside a solid with radius of curvature ρ
//! that makes the sphere too large by L² / 8 (r + ρ), L the way between two places: for half a cell across a window a hundredth of a cell.
//!
//! Accepts spheres of at least [`DIAGONAL`] cells diameter; beyond a wall thinner than that a place on its other side would count.
//! Cost: up to [`TRIES`] closest points for each cell and each face that is asked for.

use nalgebra::Point3;

use super::Surface;
use crate::distance::Nearest;
use crate::kernels::place_of;
use crate::porosity::Scene;
use crate::solid::Lattice;

/// The surface is nearer than the centre of the next cell that is not [clear](crate::porosity::Scene::clear) by at most the diagonal of a cell. It is
/// farther than that centre by half of it at most, and a place in a cell by as much again than the middle of the cell.
pub(super) const DIAGONAL: f64 = 1.732_050_807_568_877_2;

/// Radii are counted in so many parts of a cell.
pub(super) const PARTS: f64 = 256.0;
/// Half the diagonal of a cell in such parts, rounded up: a place in a cell has at most so much more room than its centre.
pub(super) const BESIDE: u32 = 222;

/// Closest points that are asked for in search of a place.
const TRIES: usize = 8;
/// A search aims at this much more room than it needs, in cells: it nears a narrow place from outside.
const MARGIN: f64 = 0.01;
/// Moves within a box away from one point of the surface.
const MOVES: usize = 4;

/// A sphere among the cells of a lattice.
#[derive(Clone, Copy)]
pub(super) struct Sphere<'a> {
    pub lattice: &'a Lattice,
    pub surface: Surface<'a>,
    pub radius_mm: f64,
    /// In whose region its centre stays; where there is none, in all of the cells that are asked for.
    pub envelope: Option<&'a Scene<'a>>,
}

/// A place in a cell or on its border, to 1/255 of its edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub cell: u32,
    at: [u8; 3],
}

impl Place {
    pub fn point(&self, lattice: &Lattice) -> Point3<f64> {
        let cell = place_of(self.cell as usize, lattice.dims);
        Point3::from([0, 1, 2].map(|a| lattice.origin[a] + (cell[a] as f64 + f64::from(self.at[a]) / 255.0) * lattice.step_mm))
    }
}

impl Sphere<'_> {
    /// A place with room in a cell; `near` is what is nearest to its middle.
    pub fn place_in_cell(&self, cell: u32, middle: Point3<f64>, near: Nearest, seat: &mut u32) -> Option<Place> {
        self.place_in(cell, [[0, 255]; 3], middle, near, seat)
    }

    /// Whether a face of a place's cell (numbered as [`crate::kernels::beside`] does) has room on the way to a place in the cell beyond it.
    pub fn passes(&self, place: &Place, side: usize, beyond: &Point3<f64>, seat: &mut u32) -> bool {
        let (axis, at) = (side / 2, if side.is_multiple_of(2) { 0 } else { 255 });
        let from = place.point(self.lattice);
        let face = Place { at: [at; 3], ..*place }.point(self.lattice)[axis];
        let way = beyond - from;
        let share = if way[axis] == 0.0 { 0.0 } else { ((face - from[axis]) / way[axis]).clamp(0.0, 1.0) };
        let crossing = from + way * share;
        let near = self.surface.facets.nearest_from(&crossing, seat);
        let range = [0, 1, 2].map(|a| if a == axis { [at; 2] } else { [0, 255] });
        self.surface.room_mm(&near) >= self.radius_mm || self.place_in(place.cell, range, crossing, near, seat).is_some()
    }

    /// A place with room between some 255ths of a cell's edges; `near` is what is nearest to the start. Each place that has none shows a point of
    /// the surface that is too near, and the search goes away from there, until some point shuts out the whole range.
    fn place_in(&self, cell: u32, range: [[u8; 2]; 3], start: Point3<f64>, near: Nearest, seat: &mut u32) -> Option<Place> {
        let corner = |n: usize| Place { cell, at: range.map(|r| r[n]) }.point(self.lattice);
        let (low, high) = (corner(0), corner(1));
        let (mut at, mut near) = (start, near);
        for _ in 0..TRIES {
            let (foot, least) = (near.point, self.radius_mm - self.surface.beyond_mm(&near));
            if (foot - low).abs().sup(&(foot - high).abs()).norm() < least {
                return None;
            }
            for _ in 0..MOVES {
                let out = at - foot;
                let away = out.norm();
                if away > least || away == 0.0 {
                    break;
                }
                at = (foot + out * ((least + MARGIN * self.lattice.step_mm) / away)).sup(&low).inf(&high);
            }
            let place = self.place_at(cell, &self.kept(&start, at));
            at = place.point(self.lattice);
            near = self.surface.facets.nearest_from(&at, seat);
            if self.surface.room_mm(&near) >= self.radius_mm {
                return Some(place);
            }
        }
        None
    }

    /// Where the way from a place in the envelope to another leaves it, to 1/256 of that way; the other where it does not.
    fn kept(&self, from: &Point3<f64>, to: Point3<f64>) -> Point3<f64> {
        let Some(envelope) = self.envelope.filter(|e| !e.in_region(&to)) else { return to };
        let (mut kept, mut step) = (0.0, 0.5);
        while step > 1.0 / 512.0 {
            if envelope.in_region(&(from + (to - from) * (kept + step))) {
                kept += step;
            }
            step *= 0.5;
        }
        from + (to - from) * kept
    }

    /// The place of a cell that is nearest to a point in it.
    fn place_at(&self, cell: u32, p: &Point3<f64>) -> Place {
        let low = Place { cell, at: [0; 3] }.point(self.lattice);
        Place { cell, at: [0, 1, 2].map(|a| (255.0 * (p[a] - low[a]) / self.lattice.step_mm).round().clamp(0.0, 255.0) as u8) }
    }
}
