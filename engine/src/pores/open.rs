//! Open pores one by one: the pieces of the envelope's pore space that lead outside the part.
//!
//! A piece is what hangs together through faces of cells inside the envelope, so a pore that is joined to another only beyond it counts as its own.
//! Volume and place are those of its cells, its area that of the facets it faces: where it opens it has none, and hence no sphericity.
//! Cost: 4 bytes a cell, and the pieces' facets once more.

use nalgebra::Point3;

use super::Surface;
use super::grow::{climbed, grown};
use super::sizes::{both, centre, keep_only};
use super::voids::{Body, facets_by_void, nearest_other};
use crate::error::Error;
use crate::kernels::{Border, Components, Connectivity, beside, components, distance_transform, maximal_balls, place_of};
use crate::mesh::Mesh;
use crate::porosity::Scene;
use crate::runtime::Runtime;
use crate::volume::Mask;

/// A piece of the open pore space.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenPore {
    pub volume_mm3: f64,
    /// Area of its walls inside the envelope.
    pub area_mm2: f64,
    /// Diameter of the largest ball with its centre in it.
    pub inscribed_mm: f64,
    pub centroid: Point3<f64>,
    /// Smallest distance of its walls to those of another pore, open or closed.
    pub to_neighbour_mm: Option<f64>,
    /// It goes on beyond the envelope.
    pub touches_border: bool,
}

/// The open pores of at least so many cells, in the order of their first cells.
pub(crate) fn open_pores(mesh: &Mesh, scene: &Scene, surface: Surface, least_cells: u64, rt: &Runtime) -> Result<Vec<OpenPore>, Error> {
    let (voids, lattice) = (scene.voids.components(), &scene.lattice);
    let (outside, envelope) = (voids.mask_of(scene.voids.outside()), scene.envelope());
    let pieces = components(&both(&outside, &envelope)?, Connectivity::Faces6, rt)?;
    let wanted: Vec<u32> = pieces.list().iter().zip(1..).filter(|(c, _)| c.size >= least_cells).map(|(_, label)| label).collect();
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    let goes_on = going_on(&pieces, &outside, &envelope);
    drop((outside, envelope));
    let mut sums = vec![[0u64; 3]; pieces.count() + 1]; // of the cells' indices
    pieces.each_run(|label, run, j, k| {
        let (count, own) = (run.len() as u64, &mut sums[label as usize]);
        *own = [own[0] + (run.start + run.end - 1) as u64 * count, own[1] + 2 * j as u64 * count, own[2] + 2 * k as u64 * count];
    });
    let radii = widest(scene, &pieces, surface, rt)?;

    let by_void = facets_by_void(mesh, scene, voids.count());
    let mut by_piece = vec![vec![]; pieces.count() + 1];
    for &t in &by_void[scene.voids.outside() as usize] {
        let label = scene.beside_facet(mesh, t as usize).map_or(0, |[i, j, k]| pieces.label_of(i, j, k));
        by_piece[label as usize].push(t);
    }
    // The pieces that are wanted first, then the closed voids.
    let closed = (1..by_void.len()).filter(|&l| l != scene.voids.outside() as usize).map(|l| &by_void[l]);
    let facets = wanted.iter().map(|&l| &by_piece[l as usize]).chain(closed);
    let bodies: Vec<Option<Body>> = facets.map(|f| Body::of(mesh, f)).collect::<Result<_, _>>()?;
    let cell_mm3 = lattice.step_mm * lattice.step_mm * lattice.step_mm;
    let pore = |(n, &label): (usize, &u32)| {
        rt.step("open pores", n as f64 / wanted.len() as f64)?;
        let size = pieces.list()[label as usize - 1].size;
        let middle = [0, 1, 2].map(|a| lattice.centre(a, 0) + 0.5 * sums[label as usize][a] as f64 / size as f64 * lattice.step_mm);
        Ok(OpenPore {
            volume_mm3: size as f64 * cell_mm3,
            area_mm2: by_piece[label as usize].iter().map(|&t| surface.area_mm2(t)).sum(),
            inscribed_mm: 2.0 * radii[label as usize],
            centroid: middle.into(),
            to_neighbour_mm: nearest_other(&bodies, n),
            touches_border: goes_on[label as usize],
        })
    };
    wanted.iter().enumerate().map(pore).collect()
}

/// Of each piece whether it has a cell beside the outside beyond the envelope.
fn going_on(pieces: &Components, outside: &Mask, envelope: &Mask) -> Vec<bool> {
    let dims = envelope.dims();
    let is_beyond = |n: usize| {
        let [i, j, k] = place_of(n, dims);
        outside.get(i, j, k) && !envelope.get(i, j, k)
    };
    let mut found = vec![false; pieces.count() + 1];
    for n in pieces.mask_where(|_| true).rim() {
        if beside(n as usize, dims).into_iter().flatten().any(is_beyond) {
            let [i, j, k] = place_of(n as usize, dims);
            found[pieces.label_of(i, j, k) as usize] = true;
        }
    }
    found
}

/// No ball about a place of a cell is larger than that about the cell's centre by more than this, in cells: twice half its diagonal.
const DIAGONAL: f64 = 1.732_050_807_568_877_2;

/// Radius of the largest ball of each piece: the balls that may be the largest grow.
fn widest(scene: &Scene, pieces: &Components, surface: Surface, rt: &Runtime) -> Result<Vec<f64>, Error> {
    let lattice = &scene.lattice;
    let nx = lattice.dims[0];
    let mut squares = distance_transform(&scene.solid.complement(), Border::Unknown, rt)?;
    keep_only(&mut squares, &pieces.mask_where(|_| true));
    let centres = maximal_balls(&squares, lattice.dims, 1, rt)?;
    drop(squares);
    let place = |place: u32, k: usize| [place as usize % nx, place as usize / nx, k];
    let label = |[i, j, k]: [usize; 3]| pieces.label_of(i, j, k) as usize;
    let all = || {
        centres.iter().enumerate().flat_map(|(k, slice)| slice.iter().map(move |&(at, square)| (place(at, k), f64::from(square).sqrt())))
    };
    let mut largest = vec![0.0f64; pieces.count() + 1];
    all().for_each(|(at, away)| largest[label(at)] = largest[label(at)].max(away));
    let (mut radii, mut seat) = (vec![0.0f64; pieces.count() + 1], 0);
    for ([i, j, k], _) in all().filter(|&(at, away)| away >= largest[label(at)] - DIAGONAL) {
        let Some(ball) = grown(surface, &centre(lattice, i, j, k), 2.0 * lattice.step_mm, &mut seat) else { continue };
        let radius = &mut radii[label([i, j, k])];
        *radius = radius.max(climbed(surface, &ball, lattice.step_mm, &mut seat).unwrap_or(ball).radius_mm);
    }
    Ok(radii)
}
