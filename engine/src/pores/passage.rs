//! Where a sphere can go: the largest that passes from one end of the envelope to the other, and what a given one reaches.
//!
//! Both ask the same [`Room`] of a sphere, so that throats and the curve of what is reached cannot contradict each other. The throat is found by
//! halving between bounds from the distances of cells (union-find over the cells at each width).

use super::Surface;
use super::room::{DIAGONAL, Room};
use crate::distance::Nearest;
use crate::error::Error;
use crate::kernels::{Border, Ends, distance_transform, place_of, widest_passages};
use crate::porosity::{BYTES_PER_CENTRE, Rolled, SLACK, Scene};
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
    let (centred, aside) = room.reached_from_border();
    drop(room);
    if centred.count() == 0 && aside.is_empty() {
        return Ok(0.0); // no room for the sphere even beside the part
    }
    let pores = void.and(&scene.envelope())?;
    drop(void);
    let nearer = |reached: &Mask, mm: f64| -> Result<Mask, Error> {
        let squares = distance_transform(&reached.complement(), Border::Unknown, rt)?;
        let is_near = |n: usize| f64::from(squares[n]).sqrt() * step < mm;
        Ok(Mask::from_fn(dims, |i, j, k| pores.get(i, j, k) && is_near((k * dims[1] + j) * dims[0] + i)))
    };
    let held = nearer(&centred, radius_mm)?;
    let outermost = centred.rim();
    let anywhere = centred.with(aside.iter().map(|place| place.cell));
    let in_doubt = nearer(&anywhere, radius_mm + SLACK * step)?.and(&held.complement())?;
    let centres = outermost.len() + aside.len();
    scene.afford_beside(&format!("{centres} places of a sphere"), BYTES_PER_CENTRE * centres as u64, rt)?;
    let others = aside.iter().map(|place| place.point(lattice).into()).collect();
    // Of what a cell has in a corner alone, its neighbours tell.
    let room = anywhere.grown();
    drop(anywhere);
    let sphere = Rolled { lattice, surface: surface.facets, beyond_mm: |near: &Nearest| surface.beyond_mm(near), radius_mm, room };
    let swept = sphere.sweeps(&in_doubt.voxels_where(|_| true), &outermost, others)?;
    Ok((held.count() + swept.len() as u64) as f64 / pores.count() as f64)
}
