//! Open pores one by one: the pieces of the envelope's pore space that lead outside the part.
//!
//! A piece is what hangs together through faces of cells inside the envelope, so a pore that is joined to another only beyond it counts as its own.
//! Volume and place are those of its cells, its area that of the facets it faces: where it opens it has none, and hence no sphericity.
//! Cost: 4 bytes a cell, and the pieces' facets once more.

use nalgebra::Point3;

use super::Surface;
use super::closed::Closed;
use super::gap::{Bodies, Body};
use super::voids::{equivalent_mm, inscribed};
use crate::error::Error;
use crate::kernels::{Components, Connectivity, beside, components, place_of};
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
    /// Diameter of the largest ball with its centre in it and in the envelope.
    pub inscribed_mm: f64,
    pub centroid: Point3<f64>,
    /// Smallest distance of its walls to those of another pore, open or closed.
    pub to_neighbour_mm: Option<f64>,
    /// It goes on beyond the envelope.
    pub touches_border: bool,
}

impl OpenPore {
    /// Diameter of the ball of its volume (mm).
    pub fn equivalent_mm(&self) -> f64 {
        equivalent_mm(self.volume_mm3)
    }
}

/// The open pores of at least so many cells, in the order of their first cells.
pub(crate) fn open_pores(mesh: &Mesh, scene: &Scene, surface: Surface, least_cells: u64, rt: &Runtime) -> Result<Vec<OpenPore>, Error> {
    let (voids, lattice) = (scene.voids.components(), &scene.lattice);
    let closed = Closed::of(mesh, scene);
    // Cells of a void may seem to lead outside through a wall thinner than a cell.
    let outside = voids.mask_of(scene.voids.outside()).and(&closed.mask_where(|_| true)?.complement())?;
    let envelope = scene.envelope();
    let pieces = components(&outside.and(&envelope)?, Connectivity::Faces6, rt)?;
    let wanted: Vec<u32> = pieces.list().iter().zip(1..).filter(|(c, _)| c.size >= least_cells).map(|(_, label)| label).collect();
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    let goes_on = going_on(&pieces, &outside, &envelope);
    drop(outside);
    let mut sums = vec![[0u64; 3]; pieces.count() + 1]; // of the cells' indices
    pieces.each_run(|label, run, j, k| {
        let (count, own) = (run.len() as u64, &mut sums[label as usize]);
        *own = [own[0] + (run.start + run.end - 1) as u64 * count, own[1] + 2 * j as u64 * count, own[2] + 2 * k as u64 * count];
    });
    let label = |[i, j, k]: [usize; 3]| pieces.label_of(i, j, k) as usize;
    let within = |p: &Point3<f64>| lattice.is_in(p, &envelope);
    let radii = inscribed(scene, &pieces.mask_where(|_| true), pieces.count() + 1, label, within, surface, rt)?;
    drop(envelope);

    let mut by_piece = vec![vec![]; pieces.count() + 1];
    for &t in &closed.outer {
        by_piece[scene.beside_facet(mesh, t as usize).map_or(0, label)].push(t);
    }
    // The pieces that are wanted first, then the closed voids.
    let facets = wanted.iter().map(|&l| &by_piece[l as usize]).chain(closed.voids.iter().map(|void| &void.facets));
    let bodies: Vec<Option<Body>> = facets.map(|f| Body::of(mesh, f, surface)).collect::<Result<_, _>>()?;
    let others = Bodies::of(&bodies, surface, lattice.step_mm);
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
            to_neighbour_mm: others.to_nearest_mm(n),
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
