//! What hangs together for a sphere, asked only where that can decide whether one end is joined to another.
//!
//! Cells whose centres have room form components. The others may have room beside their centres; each has a home, the nearest component. A way from
//! one component to another changes homes, so that cells at which homes meet, and those at the ends, are asked first; and from there on through cells of
//! the same home as long as they do not hang together with it. So what hangs together is the same as if every cell were asked.
//! Cost: a labelling of cells, some steps through those that may have room, and some ten closest points for each that is asked.

use std::collections::HashMap;

use super::Surface;
use super::sphere::{BESIDE, PARTS, Place, Sphere};
use crate::distance::NO_SEAT;
use crate::error::Error;
use crate::forest::{flatten, root, unite};
use crate::kernels::{Components, Connectivity, Ends, beside, components, place_of};
use crate::porosity::Scene;
use crate::runtime::Runtime;
use crate::volume::Mask;

/// Bytes held for a cell that may have room beside its centre.
const BYTES_PER_CELL_BESIDE: u64 = 24;

/// The cells of a mask by their numbers in scan order.
struct Ranks {
    mask: Mask,
    /// Cells before each word.
    before: Vec<u32>,
    count: usize,
}

impl Ranks {
    fn of(mask: Mask) -> Ranks {
        let mut count = 0;
        let counted = |word: &u64| {
            count += word.count_ones();
            count - word.count_ones()
        };
        let before = mask.words().iter().map(counted).collect();
        Ranks { mask, before, count: count as usize }
    }

    fn rank(&self, [i, j, k]: [usize; 3]) -> Option<usize> {
        let word = (k * self.mask.dims()[1] + j) * self.mask.words_per_row() + i / 64;
        let (bits, bit) = (self.mask.words()[word], 1u64 << (i % 64));
        (bits & bit != 0).then(|| self.before[word] as usize + (bits & (bit - 1)).count_ones() as usize)
    }
}

/// Home of cells that hang together with none whose centre has room.
const NOWHERE: u32 = u32::MAX;

/// A sphere on its way through pores.
pub(super) struct Crossing<'a> {
    sphere: Sphere<'a>,
    centred: Components,
    others: Ranks,
    /// The component of each of the others, less 1.
    home: Vec<u32>,
    /// Of those that were asked: where they have room.
    places: HashMap<u32, Option<Place>>,
    /// What hangs together: of the components, then of the others.
    parents: Vec<u32>,
    seat: u32,
}

impl<'a> Crossing<'a> {
    /// For a sphere whose radius has so many [`PARTS`] of a cell, in some of a scene's void cells, by how far their centres are from the surface.
    pub fn of(scene: &'a Scene, surface: Surface<'a>, radius: u32, pores: &Mask, room: &[u32], rt: &Runtime) -> Result<Self, Error> {
        let sphere = Sphere {
            lattice: &scene.lattice,
            surface,
            radius_mm: f64::from(radius) / PARTS * scene.lattice.step_mm,
            envelope: Some(scene),
        };
        let dims = pores.dims();
        let within = |from: u32, to: u32| {
            let is_within = |n: usize| (from..to).contains(&room[n]);
            Mask::from_fn(dims, |i, j, k| pores.get(i, j, k) && is_within((k * dims[1] + j) * dims[0] + i))
        };
        let centred = components(&within(radius, u32::MAX), Connectivity::Faces6, rt)?;
        let others = Ranks::of(within(radius.saturating_sub(BESIDE), radius));
        scene.afford_beside(&format!("{} cells beside a throat", others.count), BYTES_PER_CELL_BESIDE * others.count as u64, rt)?;
        let parents = (0..(centred.count() + others.count) as u32).collect();
        let home = vec![NOWHERE; others.count];
        let mut crossing = Crossing { sphere, centred, others, home, places: HashMap::new(), parents, seat: NO_SEAT };
        crossing.find_homes();
        Ok(crossing)
    }

    fn at(&self, cell: u32) -> [usize; 3] {
        place_of(cell as usize, self.sphere.lattice.dims)
    }

    /// The component of a cell whose centre has room, less 1.
    fn component(&self, cell: u32) -> Option<u32> {
        let [i, j, k] = self.at(cell);
        self.centred.label_of(i, j, k).checked_sub(1)
    }

    fn rank(&self, cell: u32) -> Option<usize> {
        self.others.rank(self.at(cell))
    }

    /// The cells that share faces with one, with the numbers of its sides.
    fn beside(&self, cell: u32) -> impl Iterator<Item = (usize, u32)> + use<> {
        let all = beside(cell as usize, self.sphere.lattice.dims);
        all.into_iter().enumerate().filter_map(|(side, other)| Some((side, other? as u32)))
    }

    /// From the components outwards, a step at a time.
    fn find_homes(&mut self) {
        let mut reached = vec![];
        for cell in self.others.mask.voxels_where(|_| true) {
            if let (Some(rank), Some(home)) = (self.rank(cell), self.beside(cell).find_map(|(_, other)| self.component(other))) {
                self.home[rank] = home;
                reached.push((cell, home));
            }
        }
        while !reached.is_empty() {
            let mut next = vec![];
            for (cell, home) in reached {
                for (_, other) in self.beside(cell) {
                    if let Some(rank) = self.rank(other).filter(|&rank| self.home[rank] == NOWHERE) {
                        self.home[rank] = home;
                        next.push((other, home));
                    }
                }
            }
            reached = next;
        }
    }

    /// Whether a cell beside another has another home.
    fn is_abroad(&self, cell: u32, home: u32) -> bool {
        let own = self.component(cell).or_else(|| Some(self.home[self.rank(cell)?]));
        own.is_some_and(|own| own != home)
    }

    /// Finds what hangs together between components and at some ends.
    fn settle(&mut self, ends: &[Ends; 3]) {
        let mut waiting = self.others.mask.voxels_where(|_| true);
        let home = |crossing: &Self, cell| crossing.rank(cell).map(|rank| crossing.home[rank]);
        waiting.retain(|&cell| home(self, cell).is_some_and(|home| self.beside(cell).any(|(_, other)| self.is_abroad(other, home))));
        waiting.extend(ends.iter().flat_map(|e| e.first.iter().chain(&e.last)).filter(|&&cell| self.rank(cell).is_some()));
        let mut is_done = vec![false; self.others.count];
        while let Some(cell) = waiting.pop() {
            let Some(rank) = self.rank(cell).filter(|&rank| !is_done[rank]) else { continue };
            is_done[rank] = true;
            self.join(cell, rank, &mut waiting);
        }
    }

    /// Joins one of the others to what is beside it, and asks for those that it hangs together with.
    fn join(&mut self, cell: u32, rank: usize, asked: &mut Vec<u32>) {
        let Some(place) = self.place(cell) else { return };
        let (open, home) = (self.centred.count(), self.home[rank]);
        let own = (open + rank) as u32;
        for (side, other) in self.beside(cell) {
            if let Some(component) = self.component(other).filter(|&c| !self.hang_together(own, c)) {
                let beyond = self.sphere.lattice.centre_of(self.at(other));
                if self.sphere.passes(&place, side, &beyond, &mut self.seat) {
                    unite(&mut self.parents, own, component);
                }
            }
        }
        let is_home = home != NOWHERE && self.hang_together(own, home);
        for (side, other) in self.beside(cell) {
            let Some(rank) = self.rank(other).filter(|&rank| !is_home || self.home[rank] != home) else { continue };
            let (Some(there), theirs) = (self.place(other), (open + rank) as u32) else { continue };
            // Asked from the first of the two, whichever comes first.
            let (from, side, to) = if other > cell { (place, side, there) } else { (there, side ^ 1, place) };
            let beyond = to.point(self.sphere.lattice);
            if self.hang_together(own, theirs) || self.sphere.passes(&from, side, &beyond, &mut self.seat) {
                unite(&mut self.parents, own, theirs);
                asked.push(other);
            }
        }
    }

    fn hang_together(&mut self, a: u32, b: u32) -> bool {
        root(&mut self.parents, a) == root(&mut self.parents, b)
    }

    fn place(&mut self, cell: u32) -> Option<Place> {
        if let Some(place) = self.places.get(&cell) {
            return *place;
        }
        let middle = self.sphere.lattice.centre_of(self.at(cell));
        let near = self.sphere.surface.facets.nearest_from(&middle, &mut self.seat);
        let place = self.sphere.place_in_cell(cell, middle, near, &mut self.seat);
        self.places.insert(cell, place);
        place
    }

    /// Whether the sphere passes from one end to the other, for each pair of ends.
    pub fn joins(mut self, ends: &[Ends; 3]) -> [bool; 3] {
        self.settle(ends);
        flatten(&mut self.parents);
        let has_place = |cell: u32| self.places.get(&cell).is_some_and(Option::is_some);
        let other = |cell: u32| Some(self.centred.count() + self.rank(cell).filter(|_| has_place(cell))?);
        let node = |cell: u32| self.component(cell).map(|c| c as usize).or_else(|| other(cell));
        [0, 1, 2].map(|n| ends[n].are_joined(self.parents.len(), |cell| Some(self.parents[node(cell)?])))
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::{Point3, Vector3};

    use super::*;
    use crate::distance::MeshDistance;
    use crate::kernels::{Border, distance_transform};
    use crate::mesh::Mesh;
    use crate::noise::uniform;
    use crate::pores::Phase;
    use crate::pores::passage::{ends_of, to_surface};
    use crate::porosity::{Envelope, Part};

    /// Octahedra at some disorder, so that windows of many widths lie between them.
    fn octahedra(draw: u64) -> Mesh {
        let (mut vertices, mut triangles) = (vec![], vec![]);
        for n in 0..125u64 {
            let u = |m: u64| uniform(draw, 4 * n + m);
            let at = |axis: u64, cell: u64| 6.0 * cell as f64 + 2.4 * u(axis);
            let (centre, radius) = (Point3::new(at(0, n % 5), at(1, n / 5 % 5), at(2, n / 25)), 2.2 + 0.9 * u(3));
            let first = vertices.len() as u32;
            vertices.extend((0..6).map(|c| centre + Vector3::ith(c / 2, if c.is_multiple_of(2) { radius } else { -radius })));
            triangles.extend((0..8u32).map(|f| {
                let [x, y, z] = [f & 1, 2 + (f >> 1 & 1), 4 + (f >> 2 & 1)].map(|corner| first + corner);
                if f.count_ones().is_multiple_of(2) { [x, y, z] } else { [x, z, y] }
            }));
        }
        Mesh::new(vertices, triangles).expect("octahedra")
    }

    /// Asks for every cell and every face.
    fn settle_all(crossing: &mut Crossing) {
        let open = crossing.centred.count();
        for cell in crossing.others.mask.voxels_where(|_| true) {
            let Some(place) = crossing.place(cell) else { continue };
            let own = (open + crossing.rank(cell).expect("one of them")) as u32;
            for (side, other) in crossing.beside(cell) {
                let lattice = crossing.sphere.lattice;
                let beyond = match (crossing.component(other), crossing.rank(other).filter(|_| other > cell)) {
                    (Some(component), _) => Some((component, lattice.centre_of(crossing.at(other)))),
                    (None, Some(rank)) => crossing.place(other).map(|place| ((open + rank) as u32, place.point(lattice))),
                    (None, None) => None,
                };
                if let Some((theirs, _)) = beyond.filter(|(_, p)| crossing.sphere.passes(&place, side, p, &mut crossing.seat)) {
                    unite(&mut crossing.parents, own, theirs);
                }
            }
        }
    }

    #[test]
    fn what_hangs_together_is_the_same_as_if_every_cell_were_asked() {
        let rt = Runtime::cpu();
        let (mut asked, mut all_asked, mut joined) = (0, 0, 0);
        for draw in 0..3 {
            let facets = MeshDistance::build(&octahedra(draw));
            let part = Part { surface: &facets, walls: &[], step_mm: 0.5 + 0.1 * draw as f64 };
            let scene = Scene::of(&part, &Envelope::Hull { radius_mm: 4.0 }, 0.0, &rt).expect("a lattice");
            let surface = Surface { facets: &facets, bulge: None, phase: Phase::Pores };
            let pores = scene.solid.complement().and(&scene.envelope()).expect("of one size");
            let mut radii = distance_transform(&scene.clear(facets.mesh()), Border::Unknown, &rt).expect("of a mask");
            to_surface(&mut radii, &pores, [-1.0, 20.0], &scene, surface, &rt).expect("of the part");
            let ends = ends_of(&scene.envelope(), &pores);
            for least in (250..800).step_by(50) {
                let crossing = || Crossing::of(&scene, surface, least, &pores, &radii, &rt).expect("of the pores");
                let (mut few, mut all) = (crossing(), crossing());
                few.settle(&ends);
                settle_all(&mut all);
                let components = |crossing: &mut Crossing| -> Vec<u32> {
                    flatten(&mut crossing.parents);
                    crossing.parents[..crossing.centred.count()].to_vec()
                };
                let together = components(&mut few);
                assert_eq!(together, components(&mut all), "draw {draw}, {least} parts");
                joined += (0..together.len()).filter(|&n| together[n] != n as u32).count();
                (asked, all_asked) = (asked + few.places.len(), all_asked + all.places.len());
                assert_eq!(few.joins(&ends), all.joins(&ends), "draw {draw}, {least} parts");
            }
        }
        // Windows through which only places beside centres lead, and far fewer places asked for.
        assert!(joined > 10 && 2 * asked < all_asked, "{joined} components joined, {asked} of {all_asked} places");
    }
}
