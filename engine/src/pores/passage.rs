//! Throats: the largest sphere that passes from one end of the envelope to the other.
//!
//! It is found by halving, between how wide the widest way through the centres of cells is and half a cell's diagonal more. Where the sphere has room
//! beside centres is asked by [`super::sphere`], as for what it reaches, so that throats and the curve of what is reached cannot contradict each other;
//! but only where that can decide (see [`super::crossing`]).
//! Cost: a closest point for each cell about as wide as a throat, and some six crossings an axis.

use rayon::prelude::*;

use super::Surface;
use super::crossing::Crossing;
use super::sphere::{BESIDE, DIAGONAL, PARTS};
use crate::error::Error;
use crate::kernels::{Border, Ends, distance_transform, place_of, widest_passages};
use crate::porosity::{Scene, nearest_to_cells};
use crate::runtime::Runtime;
use crate::volume::{Mask, each_bit};

/// Share of the envelope's extent at either end in which it may begin or end: a hull is dented where pores open.
const END: f64 = 0.1;
/// Cells of an envelope along an axis, at least: with fewer, what lies at one end lies at the other.
pub(crate) const LEAST_CELLS: usize = 4;
/// Diameter of the smallest sphere that is sent through, in cells.
pub(crate) const LEAST_THROAT: f64 = DIAGONAL;
/// Radii of throats are told apart by so many [`PARTS`] of a cell.
const TOLD: u32 = 8;
/// Cells measured by one task: neighbours in turn start from each other's answer.
const AT_ONCE: usize = 1024;

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
    rt.step("throats", 0.0)?;
    let Some(radii) = radii_of(&pores, &ends, scene, surface, rt)? else { return Ok([None; 3]) };
    let passes = |radius: u32| Ok::<_, Error>(Crossing::of(scene, surface, radius, &pores, &radii, rt)?.joins(&ends));
    let least = (0.5 * LEAST_THROAT * PARTS).ceil() as u32;
    let mut brackets = widest_passages(&pores, &radii, &ends, rt)?.map(|r| r.map(|r| [r, r + BESIDE]));
    if brackets.iter().flatten().any(|[low, _]| *low < least) {
        for (bracket, passes) in brackets.iter_mut().zip(passes(least)?) {
            *bracket = bracket.filter(|[low, _]| *low >= least || passes).map(|[low, high]| [low.max(least), high.max(least)]);
        }
    }
    while let Some(&[low, high]) = brackets.iter().flatten().find(|[low, high]| high - low > TOLD) {
        let middle = low.midpoint(high);
        rt.step("throats", 1.0 - f64::from(high - low) / f64::from(BESIDE))?;
        for (bracket, passes) in brackets.iter_mut().zip(passes(middle)?) {
            let Some([low, high]) = bracket else { continue };
            if passes { *low = middle.max(*low) } else { *high = middle.min(*high) }
        }
    }
    Ok(brackets.map(|b| b.map(|[low, high]| f64::from(low + high) / PARTS * scene.lattice.step_mm)))
}

/// Distances of the centres of pores to the surface, in parts of a cell and rounded down, of those that a throat can depend on; less is 1, and more as much
/// as no throat has. `None` where pores join no ends.
fn radii_of(pores: &Mask, ends: &[Ends; 3], scene: &Scene, surface: Surface, rt: &Runtime) -> Result<Option<Vec<u32>>, Error> {
    let mut radii = distance_transform(&scene.clear(surface.facets.mesh()), Border::Unknown, rt)?;
    radii.par_iter_mut().for_each(|square| *square = (*square).max(1));
    let about = widest_passages(pores, &radii, ends, rt)?.map(|square| square.map(|s| f64::from(s).sqrt()));
    let [low, high] = about.iter().flatten().fold([f64::INFINITY, 0.0], |[low, high], r| [r.min(low), r.max(high)]);
    if low > high {
        return Ok(None);
    }
    // The widest way through centres has at most a diagonal less than the cells show, and what may have room beside them a diagonal less than that.
    to_surface(&mut radii, pores, [low - 2.0 * DIAGONAL, high + DIAGONAL], scene, surface, rt)?;
    Ok(Some(radii))
}

/// Turns squared distances of pores to [`Scene::clear`] cells' others into distances of their centres to the surface, in parts of a cell and rounded
/// down, where the former lie within a band (in cells); what is below it becomes 1, what is surely above it its upper end.
pub(super) fn to_surface(
    values: &mut [u32],
    pores: &Mask,
    [low, high]: [f64; 2],
    scene: &Scene,
    surface: Surface,
    rt: &Runtime,
) -> Result<(), Error> {
    let lattice = &scene.lattice;
    let [nx, ny, nz] = lattice.dims;
    let most = (high * PARTS).ceil();
    values.par_chunks_mut(nx * ny).enumerate().try_for_each(|(k, values)| {
        rt.step("distances", k as f64 / nz as f64)?;
        let mut asked = vec![];
        for j in 0..ny {
            each_bit(pores.row(j, k), |i| {
                let value = &mut values[j * nx + i];
                let away = f64::from(*value).sqrt();
                *value = if away < low { 1 } else { most as u32 };
                if (low..high + DIAGONAL).contains(&away) {
                    asked.push([i, j, k]);
                }
            });
        }
        for asked in asked.chunks(AT_ONCE) {
            for ([i, j, _], (_, near, _)) in asked.iter().zip(nearest_to_cells(asked, lattice, surface.facets)) {
                values[j * nx + i] = (surface.room_mm(&near) / lattice.step_mm * PARTS).clamp(1.0, most) as u32;
            }
        }
        Ok(())
    })
}

/// Along each axis the pores where the envelope begins and where it ends: within its first and its last tenth, with nothing of it before or behind.
pub(super) fn ends_of(envelope: &Mask, pores: &Mask) -> [Ends; 3] {
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
