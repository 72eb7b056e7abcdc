//! The room of a sphere: where its centre can be, and which of these places hang together.
//!
//! Of every cell, by [`super::sphere`].
//! Cost: a closest point for each cell within some cells of the room's border, one or two more for each at the border, and 20 bytes for it.

use rayon::prelude::*;

use super::Surface;
use super::sphere::{DIAGONAL, Place, Sphere};
use crate::distance::NO_SEAT;
use crate::error::Error;
use crate::forest::{flatten, unite};
use crate::kernels::{Components, Connectivity, beside, components, place_of};
use crate::porosity::{Scene, nearest_to_cells};
use crate::runtime::Runtime;
use crate::volume::{Mask, each_bit};

/// Where the centre of a sphere can be.
pub(super) struct Room<'a> {
    sphere: Sphere<'a>,
    /// Cells whose centres are such places.
    centred: Components,
    /// A place in each cell of which the centre is none, ascending by cells.
    aside: Vec<Place>,
    /// What hangs together: of the components, then of the cells that are held aside.
    parent: Vec<u32>,
}

/// Cells measured by one task: neighbours in turn start from each other's answer.
const AT_ONCE: usize = 1024;
/// Bytes held for a cell at the border of a room.
const BYTES_PER_PLACE: u64 = 20;

impl<'a> Room<'a> {
    /// In some of a scene's void cells; `squares` are the distances of cells to the nearest that is not [`Scene::clear`], squared and in cells.
    pub fn of(scene: &'a Scene, cells: &Mask, squares: &[u32], radius_mm: f64, surface: Surface<'a>, rt: &Runtime) -> Result<Self, Error> {
        let lattice = &scene.lattice;
        let sphere = Sphere { lattice, surface, radius_mm, envelope: None };
        let [nx, ny, nz] = lattice.dims;
        let in_slice = |k: usize| -> Result<(Vec<u64>, Vec<Place>), Error> {
            rt.step("room", k as f64 / nz as f64)?;
            Ok(sphere.in_slice(cells, k, &squares[k * nx * ny..][..nx * ny]))
        };
        let slices: Vec<(Vec<u64>, Vec<Place>)> = (0..nz).into_par_iter().map(in_slice).collect::<Result<_, _>>()?;
        let places = slices.iter().map(|s| s.1.len()).sum();
        scene.afford_beside(&format!("{places} places between cells"), BYTES_PER_PLACE * places as u64, rt)?;
        let (mut words, mut aside) = (Vec::with_capacity(cells.words().len()), Vec::with_capacity(places));
        for (mine, held) in slices {
            words.extend(mine);
            aside.extend(held);
        }
        let centred = Mask::of_rows(lattice.dims, words)?;
        let centred = components(&centred, Connectivity::Faces6, rt)?;
        let mut room = Room { sphere, centred, aside, parent: vec![] };
        room.joins();
        Ok(room)
    }

    /// The room that hangs together with the lattice's border: cells by their centres, and places in others.
    pub fn reached_from_border(&self) -> (Mask, Vec<Place>) {
        let open = self.centred.count();
        let mut reached = vec![false; self.parent.len()];
        (0..open).filter(|&c| self.centred.touches_border(c as u32 + 1)).for_each(|c| reached[self.parent[c] as usize] = true);
        let centred = self.centred.mask_where(|label| reached[self.parent[label as usize - 1] as usize]);
        let aside = self.aside.iter().zip(&self.parent[open..]).filter(|(_, root)| reached[**root as usize]);
        (centred, aside.map(|(place, _)| *place).collect())
    }

    /// Joins cells through their faces: those held aside with components beside them, then those among themselves that do not hang together yet.
    fn joins(&mut self) {
        let open = self.centred.count();
        let mut parent: Vec<u32> = (0..(open + self.aside.len()) as u32).collect();
        let tasks = parent[open..].par_chunks_mut(AT_ONCE).zip(self.aside.par_chunks(AT_ONCE)).enumerate();
        let further: Vec<Vec<[u32; 2]>> = tasks
            .map(|(task, (own, places))| {
                let (mut seat, mut further, first) = (NO_SEAT, vec![], open + task * AT_ONCE);
                for (n, (own, place)) in own.iter_mut().zip(places).enumerate() {
                    let labels = self.components_beside(place, &mut seat);
                    *own = labels.first().map_or((first + n) as u32, |&l| l);
                    further.extend(labels.iter().skip(1).map(|&l| [(first + n) as u32, l]));
                }
                further
            })
            .collect();
        further.into_iter().flatten().for_each(|[a, b]| unite(&mut parent, a, b));
        flatten(&mut parent);
        let pairs: Vec<Vec<[u32; 2]>> = self.aside.par_chunks(AT_ONCE).enumerate().map(|(task, _)| self.pairs(task, &parent)).collect();
        pairs.into_iter().flatten().for_each(|[a, b]| unite(&mut parent, a, b));
        flatten(&mut parent);
        self.parent = parent;
    }

    /// The components that a place aside hangs together with through the faces of its cell, less 1, each once.
    fn components_beside(&self, place: &Place, seat: &mut u32) -> Vec<u32> {
        let dims = self.sphere.lattice.dims;
        let mut found = vec![];
        for (side, other) in beside(place.cell as usize, dims).into_iter().enumerate() {
            let Some(other) = other else { continue };
            let [i, j, k] = place_of(other, dims);
            let Some(label) = self.centred.label_of(i, j, k).checked_sub(1) else { continue };
            if !found.contains(&label) && self.sphere.passes(place, side, &self.sphere.lattice.centre_of([i, j, k]), seat) {
                found.push(label);
            }
        }
        found
    }

    /// Of the places aside of one task and those in the next cell along each axis, what hangs together and did not yet.
    fn pairs(&self, task: usize, parent: &[u32]) -> Vec<[u32; 2]> {
        let (open, lattice) = (self.centred.count(), self.sphere.lattice);
        let (mut seat, mut found) = (NO_SEAT, vec![]);
        for n in (task * AT_ONCE..self.aside.len()).take(AT_ONCE) {
            let place = &self.aside[n];
            for side in [1, 3, 5] {
                let Some(other) = beside(place.cell as usize, lattice.dims)[side] else { continue };
                let Ok(m) = self.aside.binary_search_by_key(&(other as u32), |p| p.cell) else { continue };
                if parent[open + n] != parent[open + m] && self.sphere.passes(place, side, &self.aside[m].point(lattice), &mut seat) {
                    found.push([(open + n) as u32, (open + m) as u32]);
                }
            }
        }
        found
    }
}

impl Sphere<'_> {
    /// Of some cells in one slice those whose centres have room, as words of a mask, and places in others that have room elsewhere.
    fn in_slice(&self, cells: &Mask, k: usize, squares: &[u32]) -> (Vec<u64>, Vec<Place>) {
        let [nx, ny, _] = self.lattice.dims;
        let (per_row, radius) = (cells.words_per_row(), self.radius_mm / self.lattice.step_mm);
        let mut words = vec![0u64; per_row * ny];
        let mut asked = vec![];
        for j in 0..ny {
            each_bit(cells.row(j, k), |i| {
                let away = f64::from(squares[j * nx + i]).sqrt();
                if away >= radius + DIAGONAL {
                    words[j * per_row + i / 64] |= 1 << (i % 64);
                } else if away >= radius - DIAGONAL {
                    asked.push([i, j, k]);
                }
            });
        }
        let mut aside = vec![];
        for asked in asked.chunks(AT_ONCE) {
            for (&[i, j, _], (middle, near, mut seat)) in asked.iter().zip(nearest_to_cells(asked, self.lattice, self.surface.facets)) {
                if self.surface.room_mm(&near) >= self.radius_mm {
                    words[j * per_row + i / 64] |= 1 << (i % 64);
                    continue;
                }
                let cell = (k * ny + j) * nx + i;
                aside.extend(self.place_in_cell(cell as u32, middle, near, &mut seat));
            }
        }
        (words, aside)
    }
}
