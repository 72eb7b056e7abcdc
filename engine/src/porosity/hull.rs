//! The closed hull of a part: what a ball of a stated radius, rolled over it from outside, cannot enter (morphological closing), with the
//! cavities inside.
//!
//! Where the ball can go at all is told by cells: its centre moves over those that share faces and lie its radius away from the solid. Where its
//! surface then comes to lie is not left to them (see [`super::swept`]).
//! Cost: that of [`super::swept`] for the cells of the rolled surface; 4 bytes a cell.

use super::swept::{Rolled, SLACK};
use crate::distance::{MeshDistance, Nearest};
use crate::error::Error;
use crate::kernels::{Border, Connectivity, components, distance_transform};
use crate::runtime::Runtime;
use crate::solid::Lattice;
use crate::volume::Mask;

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
    let ball = Rolled { lattice, surface, beyond_mm: |_: &Nearest| 0.0, radius_mm, room: outside.grown() };
    let swept = ball.sweeps(&unsettled, &outside.rim(), vec![])?;
    let is_inside = |n: usize| f64::from(to_outside[n]) > sure_inside || doubtful(n) && swept.binary_search(&(n as u32)).is_err();
    Ok(Mask::from_fn(dims, |i, j, k| solid.get(i, j, k) || is_inside(index(i, j, k))))
}
