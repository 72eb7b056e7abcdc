//! The room of a sphere: where its centre can be, and which of these places hang together.
//!
//! A cell belongs to the room when a place in it is at least the radius from the surface, its centre or another. Two cells that share a face hang
//! together when the face has such a place. So every passage that the sphere fits through is found, however it lies between the centres of cells.
//! Known bias: a cell or a face is taken as one piece, so a path may dip between two of its places. Beside a solid with radius of curvature ρ
//! that makes the sphere too large by L² / 8 (r + ρ), L the way between two places: for half a cell across a window a hundredth of a cell.
//!
//! Accepts spheres of at least [`DIAGONAL`] cells diameter; beyond a wall thinner than that a place on its other side would count.
//! Cost: a closest point for each cell within some cells of the room's border, one or two more for each at the border, and 20 bytes for it.

use nalgebra::Point3;
use rayon::prelude::*;

use super::Surface;
use crate::distance::{NO_SEAT, Nearest};
use crate::error::Error;
use crate::forest::{root, unite};
use crate::kernels::{Components, Connectivity, Ends, beside, components, place_of};
use crate::porosity::{Scene, nearest_to_cells};
use crate::runtime::Runtime;
use crate::solid::Lattice;
use crate::volume::{Mask, each_bit};

/// The surface is nearer than the next solid cell's centre by at most the diagonal of a cell.
pub(super) const DIAGONAL: f64 = 1.732_050_807_568_877_2;

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

/// A sphere among the cells of a lattice.
#[derive(Clone, Copy)]
struct Sphere<'a> {
    lattice: &'a Lattice,
    surface: Surface<'a>,
    radius_mm: f64,
}

/// A place in a cell or on its border, to 1/255 of its edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub cell: u32,
    at: [u8; 3],
}

impl Place {
    pub fn point(&self, lattice: &Lattice) -> Point3<f64> {
        let cell = place_of(self.cell as usize, lattice.dims);
        Point3::from([0, 1, 2].map(|a| lattice.origin[a] + (cell[a] as f64 + f64::from(self.at[a]) / 255.0) * lattice.step_mm))
    }
}

/// Cells measured by one task: neighbours in turn start from each other's answer.
const AT_ONCE: usize = 1024;
/// Bytes held for a cell at the border of a room.
const BYTES_PER_PLACE: u64 = 20;

impl<'a> Room<'a> {
    /// In some of a scene's void cells; `squares` are the distances of the void's cells to the nearest solid one, squared and in cells.
    pub fn of(scene: &'a Scene, cells: &Mask, squares: &[u32], radius_mm: f64, surface: Surface<'a>, rt: &Runtime) -> Result<Self, Error> {
        let lattice = &scene.lattice;
        let sphere = Sphere { lattice, surface, radius_mm };
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

    /// What a cell hangs together with, by a number.
    fn number(&self, cell: u32) -> Option<u32> {
        let [i, j, k] = place_of(cell as usize, self.sphere.lattice.dims);
        let node = match self.centred.label_of(i, j, k) {
            0 => self.centred.count() + self.aside.binary_search_by_key(&cell, |p| p.cell).ok()?,
            label => label as usize - 1,
        };
        Some(self.parent[node])
    }

    /// Whether the sphere passes from one end to the other.
    pub fn joins_ends(&self, ends: &Ends) -> bool {
        ends.are_joined(self.parent.len(), |cell| self.number(cell))
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

/// Every node's parent becomes its root.
fn flatten(parent: &mut [u32]) {
    (0..parent.len() as u32).for_each(|n| parent[n as usize] = root(parent, n));
}

/// Closest points that are asked for in search of a place.
const TRIES: usize = 8;
/// A search aims at this much more room than it needs, in cells: it nears a narrow place from outside.
const MARGIN: f64 = 0.01;
/// Moves within a box away from one point of the surface.
const MOVES: usize = 4;

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
                } else if away >= radius - 0.5 * DIAGONAL {
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
                aside.extend(self.place_in(cell as u32, [[0, 255]; 3], middle, near, &mut seat));
            }
        }
        (words, aside)
    }

    /// Whether a face of a place's cell (numbered as [`beside`] does) has room on the way to a place in the cell beyond it.
    fn passes(&self, place: &Place, side: usize, beyond: &Point3<f64>, seat: &mut u32) -> bool {
        let (axis, at) = (side / 2, if side.is_multiple_of(2) { 0 } else { 255 });
        let from = place.point(self.lattice);
        let face = Place { at: [at; 3], ..*place }.point(self.lattice)[axis];
        let way = beyond - from;
        let share = if way[axis] == 0.0 { 0.0 } else { ((face - from[axis]) / way[axis]).clamp(0.0, 1.0) };
        let crossing = from + way * share;
        let near = self.surface.facets.nearest_from(&crossing, seat);
        let range = [0, 1, 2].map(|a| if a == axis { [at; 2] } else { [0, 255] });
        self.surface.room_mm(&near) >= self.radius_mm || self.place_in(place.cell, range, crossing, near, seat).is_some()
    }

    /// A place with room between some 255ths of a cell's edges; `near` is what is nearest to the start. Each place that has none shows a point of
    /// the surface that is too near, and the search goes away from there, until some point shuts out the whole range.
    fn place_in(&self, cell: u32, range: [[u8; 2]; 3], start: Point3<f64>, near: Nearest, seat: &mut u32) -> Option<Place> {
        let corner = |n: usize| Place { cell, at: range.map(|r| r[n]) }.point(self.lattice);
        let (low, high) = (corner(0), corner(1));
        let (mut at, mut near) = (start, near);
        for _ in 0..TRIES {
            let (foot, least) = (near.point, self.radius_mm - self.surface.beyond_mm(&near));
            if (foot - low).abs().sup(&(foot - high).abs()).norm() < least {
                return None;
            }
            for _ in 0..MOVES {
                let out = at - foot;
                let away = out.norm();
                if away > least || away == 0.0 {
                    break;
                }
                at = (foot + out * ((least + MARGIN * self.lattice.step_mm) / away)).sup(&low).inf(&high);
            }
            let place = self.place_at(cell, &at);
            at = place.point(self.lattice);
            near = self.surface.facets.nearest_from(&at, seat);
            if self.surface.room_mm(&near) >= self.radius_mm {
                return Some(place);
            }
        }
        None
    }

    /// The place of a cell that is nearest to a point in it.
    fn place_at(&self, cell: u32, p: &Point3<f64>) -> Place {
        let low = Place { cell, at: [0; 3] }.point(self.lattice);
        Place { cell, at: [0, 1, 2].map(|a| (255.0 * (p[a] - low[a]) / self.lattice.step_mm).round().clamp(0.0, 255.0) as u8) }
    }
}
