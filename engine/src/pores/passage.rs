//! Where a sphere can go: the largest that passes from one end of the envelope to the other, and what a given one reaches.
//!
//! A sphere's centre moves over cells that share faces, where the surface is at least its radius away. Distances between
//! cell centres bound the distance to the surface, so the exact one is asked for only where it decides.

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::Surface;
use super::sizes::{both, centre};
use crate::error::Error;
use crate::kernels::{self, Border, Connectivity, Opening, beside, components, distance_transform, first_ball, place_of};
use crate::porosity::Scene;
use crate::runtime::Runtime;
use crate::solid::Lattice;
use crate::volume::Mask;

/// The surface is nearer than the next solid cell's centre by at most the diagonal of a cell.
const DIAGONAL: f64 = 1.732_050_807_568_877_2;

/// Share of the envelope's extent at either end in which a sphere may start and finish: a hull is dented where pores open.
const END: f64 = 0.1;

/// Diameter (mm) of the largest sphere that passes through the envelope along each axis; `None` where no pore does.
pub(crate) fn throats(scene: &Scene, surface: Surface, rt: &Runtime) -> Result<[Option<f64>; 3], Error> {
    let envelope = scene.envelope();
    let pores = both(&scene.solid.complement(), &envelope)?;
    if pores.count() == 0 || scene.solid.count() == 0 {
        return Ok([None; 3]);
    }
    let squares = distance_transform(&scene.solid.complement(), Border::Unknown, rt)?;
    let mut found = [None; 3];
    for (axis, throat) in found.iter_mut().enumerate() {
        rt.step("throats", axis as f64 / 3.0)?;
        let ends = Ends::of(&envelope, axis);
        *throat = throat_along(scene, &pores, &squares, &ends, surface);
    }
    Ok(found)
}

/// Layers of cells where the envelope begins and ends along an axis.
struct Ends {
    axis: usize,
    first: usize,
    last: usize,
}

impl Ends {
    fn of(envelope: &Mask, axis: usize) -> Ends {
        let (mut low, mut high) = (usize::MAX, 0);
        let [nx, ny, nz] = envelope.dims();
        for k in 0..nz {
            for j in 0..ny {
                for i in (0..nx).filter(|&i| envelope.get(i, j, k)) {
                    let at = [i, j, k][axis];
                    (low, high) = (low.min(at), high.max(at));
                }
            }
        }
        let depth = (END * (high - low.min(high)) as f64).max(1.0) as usize;
        Ends { axis, first: low + depth, last: high.saturating_sub(depth) }
    }

    fn at(&self, place: [usize; 3]) -> [bool; 2] {
        [place[self.axis] <= self.first, place[self.axis] >= self.last]
    }
}

fn throat_along(scene: &Scene, pores: &Mask, squares: &[u32], ends: &Ends, surface: Surface) -> Option<f64> {
    let (lattice, dims) = (&scene.lattice, scene.lattice.dims);
    let mut order: Vec<u32> = (0..squares.len() as u32).filter(|&n| is_in(pores, n as usize)).collect();
    order.sort_by_key(|&n| std::cmp::Reverse(squares[n as usize]));
    // In cells: the largest sphere passes somewhere between this radius and a diagonal less.
    let bound = f64::from(squares[order[Opening::new(dims).open(&order, |at| ends.at(at))?] as usize]).sqrt();
    let away = |n: u32| f64::from(squares[n as usize]).sqrt();
    order.retain(|&n| away(n) >= bound - DIAGONAL);
    let sure = order.partition_point(|&n| away(n) > bound + DIAGONAL);
    let mut exact = distances(&order[sure..], lattice, surface);
    exact.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));

    let mut opening = Opening::new(dims);
    opening.open(&order[..sure], |at| ends.at(at)); // cannot join both ends: the bound says so
    let narrow: Vec<u32> = exact.iter().map(|e| e.1).collect();
    let (radius, cell) = exact[opening.open(&narrow, |at| ends.at(at))?];
    let [i, j, k] = place_of(cell as usize, dims);
    Some(2.0 * narrowest_near(&centre(lattice, i, j, k), lattice.step_mm, surface).max(radius))
}

fn is_in(mask: &Mask, n: usize) -> bool {
    let [i, j, k] = place_of(n, mask.dims());
    mask.get(i, j, k)
}

/// Distance of each cell's centre to the surface (mm), with the cell.
fn distances(cells: &[u32], lattice: &Lattice, surface: Surface) -> Vec<(f64, u32)> {
    let run = |cells: &[u32]| -> Vec<(f64, u32)> {
        let mut seat = 0;
        let mut distance = |n: u32| {
            let [i, j, k] = place_of(n as usize, lattice.dims);
            surface.room_mm(&centre(lattice, i, j, k), &mut seat)
        };
        cells.iter().map(|&n| (distance(n), n)).collect()
    };
    let mut along: Vec<u32> = cells.to_vec();
    along.par_sort_unstable(); // neighbours in turn start from each other's answer
    along.par_chunks(1024).flat_map_iter(run).collect()
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
    let mut widest = surface.room_mm(&at, seat);
    let mut step = 0.5 * step_mm;
    while step > 1e-3 * step_mm {
        let tries = [sides[0], -sides[0], sides[1], -sides[1], diagonals[0], -diagonals[0], diagonals[1], -diagonals[1]];
        let mut better = false;
        for p in tries.map(|d| at + d * step) {
            let wide = surface.room_mm(&p, seat);
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
    let near: Vec<u32> =
        (0..squares.len()).filter(|&n| (radius_mm..radius_mm + DIAGONAL * step).contains(&away(n))).map(|n| n as u32).collect();
    let mut exact = distances(&near, lattice, surface);
    exact.retain(|e| e.0 < radius_mm);
    let mut too_near = vec![false; squares.len()];
    exact.iter().for_each(|e| too_near[e.1 as usize] = true);
    let index = |i: usize, j: usize, k: usize| (k * dims[1] + j) * dims[0] + i;
    let fits = Mask::from_fn(dims, |i, j, k| away(index(i, j, k)) >= radius_mm && !too_near[index(i, j, k)]);
    drop((squares, too_near));
    let fitting = components(&fits, Connectivity::Faces6, rt)?;
    let outside = fitting.label_of(0, 0, 0);
    if outside == 0 {
        return Ok(0.0); // no room for the sphere even beside the part
    }
    let reached = fitting.mask_of(outside);
    let to_reached = distance_transform(&reached.complement(), Border::Unknown, rt)?;
    // The outermost centres slide on until the sphere touches the surface, as it would between cells.
    let rim: Vec<u32> = (0..to_reached.len()).filter(|&n| to_reached[n] == 0).filter(|&n| on_rim(&reached, n)).map(|n| n as u32).collect();
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
    let swept = first_ball(&pores, [step; 3], &balls, rt)?;
    let within = |n: usize| swept[n] > 0 || f64::from(to_reached[n]).sqrt() * step < radius_mm;
    let count = (0..swept.len()).into_par_iter().filter(|&n| is_in(&pores, n) && within(n)).count();
    Ok(count as f64 / pores.count() as f64)
}

/// Whether a cell has a neighbour that a mask leaves out.
fn on_rim(mask: &Mask, n: usize) -> bool {
    beside(n, mask.dims()).into_iter().flatten().any(|other| !is_in(mask, other))
}
