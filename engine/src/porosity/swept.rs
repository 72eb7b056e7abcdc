//! What a ball of one radius sweeps where its centre may be: the opening of a void by the ball.
//!
//! A place is swept where a ball that touches the surface from where an outermost centre would slide to holds it, or can be moved on so that it does
//! and enters nothing. So neither the cells that the centres are known by nor creases, where the ball touches twice, leave a mark.
//! Cost: a closest point for each outermost centre, and for each place in doubt; some ten where the ball touches twice; 80 bytes for each centre.

use kiddo::{ImmutableKdTree, SquaredEuclidean};
use nalgebra::Point3;
use rayon::prelude::*;

use crate::distance::{MeshDistance, NO_SEAT, Nearest};
use crate::error::Error;
use crate::kernels::place_of;
use crate::solid::Lattice;
use crate::volume::Mask;

/// Half the diagonal of a cell: by so much cells may mislead about where a ball's surface lies.
pub(crate) const SLACK: f64 = 0.866_025_403_784_438_6;
/// Bytes held for an outermost centre.
pub(crate) const BYTES_PER_CENTRE: u64 = 80;

/// Balls may enter the surface, and miss what they hold, by so many cells.
const SETTLED: f64 = 0.001;
/// Places of the surface that keep a ball from a place: three do in general. And turns taken between them, enough for those that nearly touch.
const CONTACTS: usize = 16;
const TURNS: usize = 512;
/// Turns after which as much as this share of what was short or entered tells that the sets do not meet.
const PATIENCE: usize = 64;
const STALLED: f64 = 0.9;
/// Places farther from every ball than this (cells) are out of reach.
const BEYOND: f64 = 1.5;
/// Centres that are looked up by one task: neighbours start from each other's answer.
const AT_ONCE: usize = 1024;

/// The centres of cells with what of a surface is nearest to each and the seat of a search from there; of cells of which neighbours stand together.
pub(crate) fn nearest_to_cells(cells: &[[usize; 3]], lattice: &Lattice, surface: &MeshDistance) -> Vec<(Point3<f64>, Nearest, u32)> {
    let centres: Vec<Point3<f64>> = cells.iter().map(|&cell| lattice.centre_of(cell)).collect();
    let (mut seats, mut found) = (vec![NO_SEAT; centres.len()], Vec::with_capacity(centres.len()));
    surface.nearest_seated(&centres, &mut seats, |centre, near| found.push((*centre, near, NO_SEAT)));
    found.iter_mut().zip(seats).for_each(|(found, seat)| found.2 = seat);
    found
}

/// A ball that rolls over a surface.
pub(crate) struct Rolled<'a, B> {
    pub lattice: &'a Lattice,
    pub surface: &'a MeshDistance,
    /// How much farther than a place on a facet the surface is (mm).
    pub beyond_mm: B,
    pub radius_mm: f64,
    /// Cells in which its centre may be.
    pub room: Mask,
}

/// A place of the surface, and how far from it the centre stays at least (mm).
type Contact = (Point3<f64>, f64);

impl<B: Fn(&Nearest) -> f64 + Sync> Rolled<'_, B> {
    /// Those of some cells (ascending) whose centres the ball holds, from the cells whose centres are the outermost that it has and from other places
    /// of its centre.
    pub fn sweeps(&self, cells: &[u32], outermost: &[u32], others: Vec<[f64; 3]>) -> Result<Vec<u32>, Error> {
        if cells.is_empty() {
            return Ok(vec![]);
        }
        let mut balls = others;
        balls.par_extend(outermost.par_chunks(AT_ONCE).flat_map_iter(|centres| self.touching(centres)));
        if balls.is_empty() {
            return Ok(vec![]);
        }
        let tree = ImmutableKdTree::<f64, 3>::new_from_slice(&balls).map_err(|e| Error::defect(format!("swept: {e}")))?;
        let is_held = |n: &&u32| {
            let p = self.lattice.centre_of(place_of(**n as usize, self.lattice.dims));
            let near = tree.query(&[p.x, p.y, p.z]).nearest_one::<SquaredEuclidean<f64>>().execute();
            let short = (near.distance.sqrt() - self.radius_mm) / self.lattice.step_mm;
            short < 0.0 || short < BEYOND && self.reaches(&p, Point3::from(balls[near.item as usize]))
        };
        Ok(cells.par_iter().filter(is_held).copied().collect())
    }

    /// Where the ball about each of some cells' centres comes to lie when it slides on until it touches the surface.
    fn touching(&self, centres: &[u32]) -> Vec<[f64; 3]> {
        let cells: Vec<[usize; 3]> = centres.iter().map(|n| place_of(*n as usize, self.lattice.dims)).collect();
        let slid = |(start, foot, seat): (Point3<f64>, Nearest, u32)| {
            let out = (start - foot.point).try_normalize(1e-12)?;
            let touching = self.settled(foot.point + out * self.least_mm(&foot), seat, None).filter(|c| self.is_in_room(c));
            touching.or_else(|| (self.entered_mm(&foot) <= 0.0).then_some(start))
        };
        nearest_to_cells(&cells, self.lattice, self.surface).into_iter().filter_map(slid).map(|centre| centre.coords.into()).collect()
    }

    /// How far the centre stays from a place on a facet.
    fn least_mm(&self, foot: &Nearest) -> f64 {
        self.radius_mm - (self.beyond_mm)(foot)
    }

    /// How far the ball would enter the surface (mm).
    fn entered_mm(&self, foot: &Nearest) -> f64 {
        self.least_mm(foot) - foot.distance_mm
    }

    /// Whether the ball, from about `centre`, can be brought to hold a place and enter nothing.
    fn reaches(&self, place: &Point3<f64>, centre: Point3<f64>) -> bool {
        let mut seat = NO_SEAT;
        // Beside the surface the ball that touches it there holds the place, if it is one of those that are rolled.
        let under = self.surface.nearest_from(place, &mut seat);
        let above = (place - under.point).try_normalize(1e-12).map(|out| under.point + out * self.least_mm(&under));
        let mut enters = |at: &Point3<f64>| self.entered_mm(&self.surface.nearest_from(at, &mut seat)) > SETTLED * self.lattice.step_mm;
        above.is_some_and(|above| self.is_in_room(&above) && !enters(&above))
            || self.settled(centre, seat, Some(place)).is_some_and(|c| self.is_in_room(&c))
    }

    fn is_in_room(&self, centre: &Point3<f64>) -> bool {
        self.lattice.is_in(centre, &self.room)
    }

    /// A centre about another whose ball holds a place and enters nothing. By turns it is moved to the place and away from what it is known to enter
    /// (projections onto sets in turn lead to where they meet, Bregman 1965), until the surface shows nothing new.
    fn settled(&self, mut centre: Point3<f64>, mut seat: u32, held: Option<&Point3<f64>>) -> Option<Point3<f64>> {
        let settled_mm = SETTLED * self.lattice.step_mm;
        let mut contacts = vec![];
        for _ in 0..CONTACTS {
            let foot = self.surface.nearest_from(&centre, &mut seat);
            let short = held.map_or(0.0, |place| (place - centre).norm() - self.radius_mm);
            if short.max(self.entered_mm(&foot)) <= settled_mm {
                return Some(centre);
            }
            contacts.push((foot.point, self.least_mm(&foot)));
            centre = self.between(held, &contacts, centre, 0.5 * settled_mm)?;
        }
        None
    }

    /// A centre near another whose ball holds a place and none of the contacts.
    fn between(&self, held: Option<&Point3<f64>>, contacts: &[Contact], mut centre: Point3<f64>, settled_mm: f64) -> Option<Point3<f64>> {
        let mut before = f64::INFINITY;
        for turn in 1..=TURNS {
            let mut worst = 0.0f64;
            if let Some(place) = held {
                let towards = place - centre;
                let short = towards.norm() - self.radius_mm;
                worst = worst.max(short);
                if short > 0.0 {
                    centre += towards * (short / towards.norm());
                }
            }
            for (foot, least_mm) in contacts {
                let out = centre - foot;
                let entered = least_mm - out.norm();
                worst = worst.max(entered);
                if entered > 0.0 {
                    centre += out.try_normalize(1e-12)? * entered;
                }
            }
            if worst <= settled_mm {
                return Some(centre);
            }
            if turn % PATIENCE == 0 {
                if worst > STALLED * before {
                    return None;
                }
                before = worst;
            }
        }
        None
    }
}
