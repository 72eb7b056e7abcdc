//! Work on the voxels within reach of a surface, where the volume does not fit memory.
//!
//! Rule: a band of voxels around the places is read and the work done on it. If it asked for a voxel beyond the band, what it found is
//! thrown away and done again on a band twice as wide: so the result has the bits of the whole volume, however wrong the first guess was.
//! Cost: the band ([`Band`]) and one pass over the volume for each try; nothing where the volume is in memory.

use super::image::{Geometry, Greys, Scene};
use super::space::{V3, add};
use crate::error::Error;
use crate::runtime::Runtime;
use crate::volume::{Band, Bricks, Slices, Voxel, Voxels};

/// What lies within reach (mm).
pub(super) enum Places<'a> {
    /// Lines through points, along a direction both ways.
    Along {
        lines: &'a [(V3, V3)],
        reach_mm: f64,
    },
    Around {
        points: &'a [V3],
        reach_mm: f64,
    },
}

/// Lines are as wide as so many steps of the grid to each side.
const ASIDE: f64 = 4.0;

impl Places<'_> {
    fn bricks(&self, geometry: &Geometry, factor: f64) -> Bricks {
        let mut bricks = Bricks::none(geometry.grid.dims());
        let mut around = |p: V3, half: V3| {
            let at = geometry.index(p);
            bricks.add([0, 1, 2].map(|a| at[a] - half[a]), [0, 1, 2].map(|a| at[a] + half[a]));
        };
        match *self {
            Places::Around { points, reach_mm } => {
                let half = geometry.steps_within(factor * reach_mm);
                points.iter().for_each(|&p| around(p, half));
            }
            Places::Along { lines, reach_mm } => {
                let (widest, least) = geometry.steps();
                let (half, step) = (geometry.steps_within(factor * ASIDE * widest), ASIDE * least);
                let steps = (factor * reach_mm / step).ceil().min(1e5) as i32;
                for &(p, along) in lines {
                    (-steps..=steps).for_each(|n| around(add(p, along, f64::from(n) * step), half));
                }
            }
        }
        bricks
    }
}

/// What `work` finds, and the voxels that it found it on. `held_bytes` are taken already.
///
/// # Errors
/// `memory.budget` where the band does not fit beside what is held, and what reading gives.
pub(super) fn with<'a, T: Voxel, R>(
    slices: &Slices<'a, T>,
    greys: &Greys,
    places: &Places,
    held_bytes: u64,
    rt: &Runtime,
    work: impl Fn(&Scene<T>) -> R,
) -> Result<(R, Scene<'a, T>), Error> {
    if let Some(slab) = slices.held() {
        rt.afford("the surface", held_bytes + slices.bytes())?;
        let scene = Scene::new(slices, Voxels::Slab(slab), greys);
        return Ok((work(&scene), scene));
    }
    let geometry = Geometry::new(slices.grid());
    let mut factor = 1.0;
    loop {
        let bricks = places.bricks(&geometry, factor);
        rt.afford("the voxels near the surface", held_bytes + slices.bytes() + bricks.bytes::<T>())?;
        let band = Band::read(slices, &bricks, |done| Ok(rt.step("near the surface", done)?))?;
        let scene = Scene::new(slices, Voxels::Band(band), greys);
        let found = work(&scene);
        if !scene.voxels.missed() {
            return Ok((found, scene));
        }
        factor *= 2.0;
    }
}
