//! What a sphere reaches from outside: the share of the pores that it sweeps.

use rayon::prelude::*;

use super::Surface;
use super::room::Room;
use crate::distance::Nearest;
use crate::error::Error;
use crate::kernels::{Border, distance_transform};
use crate::porosity::{BYTES_PER_CENTRE, Rolled, SLACK, Scene};
use crate::runtime::Runtime;
use crate::volume::Mask;

/// The share of the pores inside the envelope that a sphere of this radius sweeps when it comes from outside the part.
pub(crate) fn accessible(scene: &Scene, radius_mm: f64, surface: Surface, rt: &Runtime) -> Result<f64, Error> {
    let (lattice, dims, step) = (&scene.lattice, scene.lattice.dims, scene.lattice.step_mm);
    let void = scene.solid.complement();
    let squares = distance_transform(&scene.clear(surface.facets.mesh()), Border::Unknown, rt)?;
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
    let anywhere = centred.with(aside.par_iter().map(|place| place.cell));
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
