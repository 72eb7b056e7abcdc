//! Where a sphere can go: the largest that passes from one end of the envelope to the other, and what a given one reaches.
//!
//! A sphere's centre moves over cells that share faces, where the surface is at least its radius away. Distances between
//! cell centres bound the distance to the surface, so the exact one is asked for only where it decides.

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::Surface;
use super::sizes::{both, centre};
use crate::distance::NO_SEAT;
use crate::error::Error;
use crate::kernels::{self, Border, Connectivity, Ends, Opening, components, distance_transform, first_ball, place_of, widest_passages};
use crate::porosity::Scene;
use crate::runtime::Runtime;
use crate::solid::Lattice;
use crate::volume::Mask;

/// The surface is nearer than the next solid cell's centre by at most the diagonal of a cell.
pub(super) const DIAGONAL: f64 = 1.732_050_807_568_877_2;

/// Share of the envelope's extent at either end in which a sphere may start and finish: a hull is dented where pores open.
const END: f64 = 0.1;

/// Diameter (mm) of the largest sphere that passes through the envelope along each axis; `None` where no pore does.
pub(crate) fn throats(scene: &Scene, surface: Surface, rt: &Runtime) -> Result<[Option<f64>; 3], Error> {
    let envelope = scene.envelope();
    let Some(extent) = envelope.extent() else { return Ok([None; 3]) };
    let pores = both(&scene.solid.complement(), &envelope)?;
    drop(envelope);
    if pores.count() == 0 || scene.solid.count() == 0 {
        return Ok([None; 3]);
    }
    let ends = [0, 1, 2].map(|axis| ends_of(extent[axis], axis));
    let squares = distance_transform(&scene.solid.complement(), Border::Unknown, rt)?;
    rt.step("throats", 0.0)?;
    let bounds = widest_passages(&pores, &squares, &ends, rt)?;
    let mut found = [None; 3];
    for (throat, (bound, ends)) in found.iter_mut().zip(bounds.into_iter().zip(ends)) {
        rt.step("throats", 0.25 + 0.25 * ends.axis as f64)?;
        if let Some(bound) = bound {
            *throat = throat_along(scene, &pores, &squares, bound, ends, surface, rt)?;
        }
    }
    Ok(found)
}

/// Where the envelope begins and ends along an axis.
fn ends_of([low, high]: [usize; 2], axis: usize) -> Ends {
    let depth = (END * (high - low) as f64).max(1.0) as usize;
    Ends { axis, first: low + depth, last: high.saturating_sub(depth) }
}

/// `bound` is the square of what the passage is by the lattice, in cells: the largest sphere passes somewhere between this radius and a
/// diagonal less.
fn throat_along(
    scene: &Scene,
    pores: &Mask,
    squares: &[u32],
    bound: u32,
    ends: Ends,
    surface: Surface,
    rt: &Runtime,
) -> Result<Option<f64>, Error> {
    let (lattice, dims) = (&scene.lattice, scene.lattice.dims);
    let bound = f64::from(bound).sqrt();
    let away = |n: usize| f64::from(squares[n]).sqrt();
    let index = |i: usize, j: usize, k: usize| (k * dims[1] + j) * dims[0] + i;
    let wide = Mask::from_fn(dims, |i, j, k| pores.get(i, j, k) && away(index(i, j, k)) > bound + DIAGONAL);
    let wide = components(&wide, Connectivity::Faces6, rt)?; // joins no ends: the bound says so
    let deciding = pores.voxels_where(|n| (bound - DIAGONAL..=bound + DIAGONAL).contains(&away(n)));
    let radii = distances(&deciding, lattice, surface, rt)?;
    let mut order: Vec<u32> = (0..deciding.len() as u32).collect();
    order.par_sort_unstable_by(|&a, &b| radii[b as usize].total_cmp(&radii[a as usize]).then(a.cmp(&b)));
    let Some(joining) = Opening::new(&wide, &deciding, dims, ends).open(&order) else { return Ok(None) };
    let (radius, cell) = (radii[order[joining] as usize], deciding[order[joining] as usize]);
    let [i, j, k] = place_of(cell as usize, dims);
    Ok(Some(2.0 * narrowest_near(&centre(lattice, i, j, k), lattice.step_mm, surface).max(radius)))
}

/// Cells measured by one task: neighbours in turn start from each other's answer.
const AT_ONCE: usize = 1024;

/// Distance of each cell's centre to the surface (mm); the cells ascend.
fn distances(cells: &[u32], lattice: &Lattice, surface: Surface, rt: &Runtime) -> Result<Vec<f64>, Error> {
    let mut found = vec![0.0; cells.len()];
    found.par_chunks_mut(AT_ONCE).zip(cells.par_chunks(AT_ONCE)).enumerate().try_for_each(|(task, (found, cells))| {
        if task % 1024 == 0 {
            rt.step("distances", (task * AT_ONCE) as f64 / lattice.dims.iter().product::<usize>() as f64)?;
        }
        let place = |&n: &u32| {
            let [i, j, k] = place_of(n as usize, lattice.dims);
            centre(lattice, i, j, k)
        };
        let places: Vec<Point3<f64>> = cells.iter().map(place).collect();
        let mut found = found.iter_mut();
        surface.facets.nearest_seated(&places, &mut vec![NO_SEAT; places.len()], |_, near| {
            found.next().into_iter().for_each(|distance| *distance = surface.room_mm(&near));
        });
        Ok::<(), Error>(())
    })?;
    Ok(found)
}

/// How far the narrowest place of a passage may lie from the cell in which the lattice sees it, in cells.
const ASIDE: f64 = 1.5;
/// Steps of the search along the passage, each followed by one with a third of the range.
const ALONG: usize = 6;
const ZOOMS: usize = 4;

/// Radius of the passage near a cell: across it the widest place, along it the narrowest of those.
fn narrowest_near(cell: &Point3<f64>, step_mm: f64, surface: Surface) -> f64 {
    let mut seat = 0;
    let axis = passage_direction(cell, step_mm, surface, &mut seat);
    let across = axis.cross(&Vector3::ith(axis.iamin(), 1.0)).normalize();
    let sides = [across, axis.cross(&across)];
    let (mut middle, mut range) = (0.0, ASIDE * step_mm);
    let mut found = f64::INFINITY;
    for _ in 0..ZOOMS {
        let mut best = (f64::INFINITY, middle);
        for n in 0..=2 * ALONG {
            let t = middle + range * (n as f64 / ALONG as f64 - 1.0);
            let wide = widest_across(&(cell + axis * t), sides, step_mm, surface, &mut seat);
            if wide < best.0 {
                best = (wide, t);
            }
        }
        found = best.0;
        (middle, range) = (best.1, range / 3.0);
    }
    found
}

/// The direction in which the surface around a place is looked for least.
fn passage_direction(cell: &Point3<f64>, step_mm: f64, surface: Surface, seat: &mut u32) -> Vector3<f64> {
    let mut spread = nalgebra::Matrix3::zeros();
    for n in 0..125 {
        let aside = Vector3::new((n % 5) as f64, (n / 5 % 5) as f64, (n / 25) as f64) - Vector3::repeat(2.0);
        let p = cell + aside * (0.5 * step_mm);
        if let Some(towards) = (surface.facets.nearest_from(&p, seat).point - p).try_normalize(1e-12) {
            spread += towards * towards.transpose();
        }
    }
    let eigen = spread.symmetric_eigen();
    eigen.eigenvectors.column(eigen.eigenvalues.imin()).into_owned()
}

/// The largest distance to the surface near a place in the plane of two directions, by steps that halve where none helps.
fn widest_across(start: &Point3<f64>, sides: [Vector3<f64>; 2], step_mm: f64, surface: Surface, seat: &mut u32) -> f64 {
    let diagonals = [sides[0] + sides[1], sides[0] - sides[1]].map(|d| d * 0.5_f64.sqrt());
    let mut at = *start;
    let mut widest = surface.room_at_mm(&at, seat);
    let mut step = 0.5 * step_mm;
    while step > 1e-3 * step_mm {
        let tries = [sides[0], -sides[0], sides[1], -sides[1], diagonals[0], -diagonals[0], diagonals[1], -diagonals[1]];
        let mut better = false;
        for p in tries.map(|d| at + d * step) {
            let wide = surface.room_at_mm(&p, seat);
            if wide > widest && (p - start).norm() <= ASIDE * step_mm {
                (at, widest, better) = (p, wide, true);
                break;
            }
        }
        if !better {
            step *= 0.5;
        }
    }
    widest
}

/// The share of the pores inside the envelope that a sphere of this radius sweeps when it comes from outside the part.
pub(crate) fn accessible(scene: &Scene, radius_mm: f64, surface: Surface, rt: &Runtime) -> Result<f64, Error> {
    let (lattice, dims, step) = (&scene.lattice, scene.lattice.dims, scene.lattice.step_mm);
    let void = scene.solid.complement();
    let pores = both(&void, &scene.envelope())?;
    let squares = distance_transform(&void, Border::Unknown, rt)?;
    let away = |n: usize| f64::from(squares[n]).sqrt() * step;
    let is_near = |away: f64| (radius_mm..radius_mm + DIAGONAL * step).contains(&away);
    let near = void.voxels_where(|n| is_near(away(n)));
    let exact = distances(&near, lattice, surface, rt)?;
    let too_near: Vec<u32> = near.iter().zip(&exact).filter(|(_, d)| **d < radius_mm).map(|(n, _)| *n).collect();
    drop((near, exact));
    let holds = |n: usize| away(n) >= radius_mm && !(is_near(away(n)) && too_near.binary_search(&(n as u32)).is_ok());
    let fits = Mask::from_fn(dims, |i, j, k| void.get(i, j, k) && holds((k * dims[1] + j) * dims[0] + i));
    drop((void, squares, too_near));
    let fitting = components(&fits, Connectivity::Faces6, rt)?;
    drop(fits);
    // The lattice ends beside the part: a centre that fits there goes on outwards, away from all of it.
    let reached = fitting.mask_where(|label| fitting.touches_border(label));
    if reached.count() == 0 {
        return Ok(0.0); // no room for the sphere even beside the part
    }
    drop(fitting);
    let to_reached = distance_transform(&reached.complement(), Border::Unknown, rt)?;
    let held = |n: usize| f64::from(to_reached[n]).sqrt() * step < radius_mm;
    let within = Mask::from_fn(dims, |i, j, k| pores.get(i, j, k) && held((k * dims[1] + j) * dims[0] + i));
    drop(to_reached);
    // The outermost centres slide on until the sphere touches the surface, as it would between cells.
    let rim = reached.rim();
    let touching = |n: &u32| {
        let [i, j, k] = place_of(*n as usize, dims);
        let start = centre(lattice, i, j, k);
        let foot = surface.facets.nearest(&start);
        let out = (start - foot.point).try_normalize(1e-12)?;
        let gap = 0.375 * step * step / radius_mm;
        let reach = radius_mm + gap.min(0.5 * step);
        let at = foot.point + out * (radius_mm - surface.beyond_mm(&foot));
        Some(kernels::Ball { centre_mm: [0, 1, 2].map(|a| at[a] - lattice.centre(a, 0)), square_mm2: reach * reach })
    };
    let balls: Vec<kernels::Ball> = rim.par_iter().filter_map(touching).collect();
    let beyond = Mask::from_fn(dims, |i, j, k| pores.get(i, j, k) && !within.get(i, j, k));
    let swept = first_ball(&beyond, [step; 3], &balls, rt)?;
    let count = within.count() + swept.par_iter().filter(|n| **n > 0).count() as u64;
    Ok(count as f64 / pores.count() as f64)
}
