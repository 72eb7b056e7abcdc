//! The closed hull of a part: what a ball of a stated radius, rolled over it from outside, cannot enter (morphological closing), with the
//! cavities inside.
//!
//! Where the ball can go at all is told by cells: its centre moves over those that share faces and lie its radius away from the solid. Where its
//! surface then comes to lie is not left to them: a cell is outside if a ball that touches the part where an outermost centre would slide to
//! holds its centre, or can be moved on so that it does and enters nothing.
//! Cost: a closest point for each cell of the rolled surface, some ten where pores open; 4 bytes a cell, and 28 for each outermost centre.

use kiddo::SquaredEuclidean;
use nalgebra::Point3;
use rayon::prelude::*;

use crate::distance::{MeshDistance, NO_SEAT, Nearest};
use crate::error::Error;
use crate::kernels::{Border, Connectivity, components, distance_transform, place_of};
use crate::runtime::Runtime;
use crate::solid::Lattice;
use crate::volume::Mask;

/// Half the diagonal of a cell: by so much cells may mislead about where a ball's surface lies.
const SLACK: f64 = 0.866_025_403_784_438_6;

/// Balls may enter the surface by so many cells.
const SETTLED: f64 = 0.01;
/// Places of the surface that keep a ball from a place: three do in general. And turns taken between them, enough for those that nearly touch.
const CONTACTS: usize = 8;
const TURNS: usize = 128;
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

/// The cells of the hull of a part that is `solid` on a lattice.
pub(super) fn closed_hull(solid: &Mask, lattice: &Lattice, surface: &MeshDistance, radius_mm: f64, rt: &Runtime) -> Result<Mask, Error> {
    let (dims, radius) = (lattice.dims, radius_mm / lattice.step_mm);
    let square = |cells: f64| cells.max(0.0) * cells.max(0.0);
    let to_solid = distance_transform(&solid.complement(), Border::Unknown, rt)?;
    let index = |i: usize, j: usize, k: usize| (k * dims[1] + j) * dims[0] + i;
    let free = Mask::from_fn(dims, |i, j, k| f64::from(to_solid[index(i, j, k)]) > square(radius));
    drop(to_solid);
    let free = components(&free, Connectivity::Faces6, rt)?;
    let outside = free.mask_of(free.label_of(0, 0, 0));
    drop(free);
    rt.step("hull", 0.5)?;
    let to_outside = distance_transform(&outside.complement(), Border::Unknown, rt)?;
    let [sure_outside, sure_inside] = [square(radius - SLACK), square(radius + 2.0 * SLACK)];
    let doubtful = |n: usize| (sure_outside..=sure_inside).contains(&f64::from(to_outside[n]));
    let unsettled = solid.complement().voxels_where(doubtful);
    let swept = swept(&unsettled, &outside.rim(), lattice, surface, radius_mm)?;
    let is_inside = |n: usize| f64::from(to_outside[n]) > sure_inside || doubtful(n) && swept.binary_search(&(n as u32)).is_err();
    Ok(Mask::from_fn(dims, |i, j, k| solid.get(i, j, k) || is_inside(index(i, j, k))))
}

/// Those of some cells whose centres are held by a ball that touches the surface, from where the ball's centre may be.
fn swept(cells: &[u32], centres: &[u32], lattice: &Lattice, surface: &MeshDistance, radius_mm: f64) -> Result<Vec<u32>, Error> {
    if cells.is_empty() || centres.is_empty() {
        return Ok(vec![]);
    }
    let at = |n: u32| lattice.centre_of(place_of(n as usize, lattice.dims));
    let touching = |centres: &[u32]| {
        let cells: Vec<[usize; 3]> = centres.iter().map(|n| place_of(*n as usize, lattice.dims)).collect();
        let slid = |(start, foot, _): (Point3<f64>, Nearest, u32)| -> [f64; 3] {
            let out = (start - foot.point).try_normalize(1e-12);
            out.map_or(start, |out| foot.point + out * radius_mm).coords.into()
        };
        nearest_to_cells(&cells, lattice, surface).into_iter().map(slid).collect::<Vec<_>>()
    };
    let balls: Vec<[f64; 3]> = centres.par_chunks(AT_ONCE).flat_map_iter(touching).collect();
    let tree = kiddo::ImmutableKdTree::<f64, 3>::new_from_slice(&balls).map_err(|e| Error::defect(format!("hull: {e}")))?;
    let is_held = |n: &&u32| {
        let p = at(**n);
        let near = tree.query(&[p.x, p.y, p.z]).nearest_one::<SquaredEuclidean<f64>>().execute();
        let ball = Point3::from(balls[near.item as usize]);
        let short = (near.distance.sqrt() - radius_mm) / lattice.step_mm;
        short < 0.0 || short < BEYOND && reaches(&p, ball, radius_mm, SETTLED * lattice.step_mm, surface)
    };
    Ok(cells.par_iter().filter(is_held).copied().collect())
}

/// Whether a ball that starts about `centre` can be brought to hold a place and enter nothing. By turns it is moved to the place and away from
/// what it is known to enter (projections onto sets in turn lead to where they meet, Bregman 1965), until the surface shows nothing new.
fn reaches(place: &Point3<f64>, mut centre: Point3<f64>, radius_mm: f64, settled_mm: f64, surface: &MeshDistance) -> bool {
    let (mut seat, mut feet) = (NO_SEAT, Vec::with_capacity(CONTACTS));
    // Beside the surface the ball that touches it there holds the place, if it is one of those that are rolled.
    let under = surface.nearest_from(place, &mut seat).point;
    let above = (place - under).try_normalize(1e-12).map(|out| under + out * radius_mm);
    let enters = |at: &Point3<f64>, seat: &mut u32| radius_mm - surface.nearest_from(at, seat).distance_mm > settled_mm;
    if above.is_some_and(|above| (above - centre).norm() < radius_mm && !enters(&above, &mut seat)) {
        return true;
    }
    for _ in 0..CONTACTS {
        let foot = surface.nearest_from(&centre, &mut seat);
        let short = (place - centre).norm() - radius_mm;
        if short.max(radius_mm - foot.distance_mm) <= settled_mm {
            return true;
        }
        feet.push(foot.point);
        match between(place, &feet, centre, radius_mm, 0.5 * settled_mm) {
            Some(moved) => centre = moved,
            None => return false,
        }
    }
    false
}

/// A centre near another whose ball holds a place and none of the feet.
fn between(place: &Point3<f64>, feet: &[Point3<f64>], mut centre: Point3<f64>, radius_mm: f64, settled_mm: f64) -> Option<Point3<f64>> {
    for _ in 0..TURNS {
        let towards = place - centre;
        let short = towards.norm() - radius_mm;
        let mut worst = short;
        if short > 0.0 {
            centre += towards * (short / towards.norm());
        }
        for foot in feet {
            let out = centre - foot;
            let entered = radius_mm - out.norm();
            worst = worst.max(entered);
            if entered > 0.0 {
                centre += out.try_normalize(1e-12)? * entered;
            }
        }
        if worst <= settled_mm {
            return Some(centre);
        }
    }
    None
}
