//! Where a sphere can go: the largest that passes from one end of the envelope to the other, and what a given one reaches.
//!
//! Both ask the same [`Room`] of a sphere, so that throats and the curve of what is reached cannot contradict each other. The throat is found by
//! halving between bounds from the distances of cells (union-find over the cells at each width).

use nalgebra::Point3;
use rayon::prelude::*;

use super::Surface;
use super::room::{DIAGONAL, Room};
use super::sizes::short_mm;
use crate::error::Error;
use crate::kernels::{self, Border, Ends, distance_transform, first_ball, place_of, widest_passages};
use crate::porosity::Scene;
use crate::runtime::Runtime;
use crate::volume::Mask;

/// Share of the envelope's extent at either end in which it may begin or end: a hull is dented where pores open.
const END: f64 = 0.1;
/// Cells of an envelope along an axis, at least: with fewer, what lies at one end lies at the other.
pub(crate) const LEAST_CELLS: usize = 4;
/// Diameter of the smallest sphere that is sent through, in cells.
pub(crate) const LEAST_THROAT: f64 = DIAGONAL;
/// Radii of a throat are told apart by this, in cells.
const TOLD: f64 = 1.0 / 32.0;

/// Diameter (mm) of the largest sphere that passes along each axis through pores that lead outside, from where the envelope begins to where it
/// ends; `None` where none of [`LEAST_THROAT`] does or the envelope has less than [`LEAST_CELLS`].
pub(crate) fn throats(scene: &Scene, surface: Surface, rt: &Runtime) -> Result<[Option<f64>; 3], Error> {
    let envelope = scene.envelope();
    let pores = scene.voids.components().mask_of(scene.voids.outside()).and(&envelope)?;
    let ends = ends_of(&envelope, &pores);
    drop(envelope);
    if scene.solid.count() == 0 {
        return Ok([None; 3]);
    }
    let squares = distance_transform(&scene.solid.complement(), Border::Unknown, rt)?;
    rt.step("throats", 0.0)?;
    let passes = |cells: f64| -> Result<[bool; 3], Error> {
        let room = Room::of(scene, &pores, &squares, cells * scene.lattice.step_mm, surface, rt)?;
        Ok([0, 1, 2].map(|axis| room.joins_ends(&ends[axis])))
    };
    // In cells. Between the centres of cells, the sphere passes somewhere between a diagonal less than the lattice shows and half a diagonal more.
    let least = 0.5 * LEAST_THROAT;
    let mut radii = widest_passages(&pores, &squares, &ends, rt)?
        .map(|square| square.map(|s| f64::from(s).sqrt()).map(|r| [r - DIAGONAL, r + 0.5 * DIAGONAL]));
    if radii.iter().flatten().any(|[low, _]| *low < least) {
        for (radii, passes) in radii.iter_mut().zip(passes(least)?) {
            *radii = radii.filter(|r| r[0] >= least || passes).map(|[low, high]| [low.max(least), high]);
        }
    }
    while let Some(&[low, high]) = radii.iter().flatten().find(|[low, high]| high - low > TOLD) {
        let middle = 0.5 * (low + high);
        rt.step("throats", 1.0 - (high - low) / (2.0 * DIAGONAL))?;
        for (radii, passes) in radii.iter_mut().zip(passes(middle)?) {
            let Some([low, high]) = radii else { continue };
            if passes { *low = low.max(middle) } else { *high = high.min(middle) }
        }
    }
    Ok(radii.map(|r| r.map(|[low, high]| (low + high) * scene.lattice.step_mm)))
}

/// Along each axis the pores where the envelope begins and where it ends: within its first and its last tenth, with nothing of it before or behind.
fn ends_of(envelope: &Mask, pores: &Mask) -> [Ends; 3] {
    let (dims, extent) = (envelope.dims(), envelope.extent().unwrap_or([[0; 2]; 3]));
    let holds = |[i, j, k]: [usize; 3]| envelope.get(i, j, k);
    let at = |place: [usize; 3], axis: usize| -> [bool; 2] {
        let [low, high] = extent[axis];
        if high + 1 - low < LEAST_CELLS {
            return [false; 2];
        }
        let depth = (END * (high - low) as f64) as usize;
        let beside = |there: usize| [0, 1, 2].map(|a| if a == axis { there } else { place[a] });
        let n = place[axis];
        [n <= low + depth && (n == 0 || !holds(beside(n - 1))), n + depth >= high && (n + 1 == dims[axis] || !holds(beside(n + 1)))]
    };
    let all = pores.voxels_where(|n| (0..3).any(|axis| at(place_of(n, dims), axis) != [false; 2]));
    let those = |axis: usize, end: usize| all.iter().copied().filter(|&n| at(place_of(n as usize, dims), axis)[end]).collect();
    [0, 1, 2].map(|axis| Ends { first: those(axis, 0), last: those(axis, 1) })
}

/// The share of the pores inside the envelope that a sphere of this radius sweeps when it comes from outside the part.
pub(crate) fn accessible(scene: &Scene, radius_mm: f64, surface: Surface, rt: &Runtime) -> Result<f64, Error> {
    let (lattice, dims, step) = (&scene.lattice, scene.lattice.dims, scene.lattice.step_mm);
    let void = scene.solid.complement();
    let squares = distance_transform(&void, Border::Unknown, rt)?;
    let room = Room::of(scene, &void, &squares, radius_mm, surface, rt)?;
    drop(squares);
    // The lattice ends beside the part: a centre that has room there goes on outwards, away from all of it.
    let (reached, between) = room.reached_from_border();
    drop(room);
    let pores = void.and(&scene.envelope())?;
    drop(void);
    if reached.count() == 0 {
        return Ok(0.0); // no room for the sphere even beside the part
    }
    let to_reached = distance_transform(&reached.complement(), Border::Unknown, rt)?;
    let held = |n: usize| f64::from(to_reached[n]).sqrt() * step < radius_mm;
    let within = Mask::from_fn(dims, |i, j, k| pores.get(i, j, k) && held((k * dims[1] + j) * dims[0] + i));
    drop(to_reached);
    let reach = radius_mm + short_mm(radius_mm, step, step);
    let ball = |at: Point3<f64>| kernels::Ball { centre_mm: [0, 1, 2].map(|a| at[a] - lattice.centre(a, 0)), square_mm2: reach * reach };
    // The outermost centres slide on until the sphere touches the surface, as it would between cells.
    let touching = |n: &u32| {
        let start = lattice.centre_of(place_of(*n as usize, dims));
        let foot = surface.facets.nearest(&start);
        let out = (start - foot.point).try_normalize(1e-12)?;
        Some(ball(foot.point + out * (radius_mm - surface.beyond_mm(&foot))))
    };
    let mut balls: Vec<kernels::Ball> = reached.rim().par_iter().filter_map(touching).collect();
    balls.extend(between.iter().map(|place| ball(place.point(lattice))));
    let beyond = Mask::from_fn(dims, |i, j, k| pores.get(i, j, k) && !within.get(i, j, k));
    let swept = first_ball(&beyond, [step; 3], &balls, rt)?;
    let count = within.count() + swept.par_iter().filter(|n| **n > 0).count() as u64;
    Ok(count as f64 / pores.count() as f64)
}
