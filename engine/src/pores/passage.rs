//! Throats: the largest sphere that passes from one end of the envelope to the other.
//!
//! It is found by halving, between how wide the widest way through the centres of cells is and half a cell's diagonal more. Where the sphere has room
//! beside centres is asked by [`super::sphere`], as for what it reaches, so that throats and the curve of what is reached cannot contradict each other;
//! but only where that can decide (see [`Crossing`]).
//! Cost: a closest point for each cell about as wide as a throat; some labellings of cells; some ten closest points for each cell that can decide.

use std::collections::HashMap;

use rayon::prelude::*;

use super::Surface;
use super::sphere::{DIAGONAL, Place, Sphere};
use crate::distance::NO_SEAT;
use crate::error::Error;
use crate::forest::{flatten, root, unite};
use crate::kernels::{Border, Components, Connectivity, Ends, beside, components, distance_transform, place_of, widest_passages};
use crate::porosity::{Scene, nearest_to_cells};
use crate::runtime::Runtime;
use crate::volume::{Mask, each_bit};

/// Share of the envelope's extent at either end in which it may begin or end: a hull is dented where pores open.
const END: f64 = 0.1;
/// Cells of an envelope along an axis, at least: with fewer, what lies at one end lies at the other.
pub(crate) const LEAST_CELLS: usize = 4;
/// Diameter of the smallest sphere that is sent through, in cells.
pub(crate) const LEAST_THROAT: f64 = DIAGONAL;
/// Radii are counted in so many parts of a cell,
const PARTS: f64 = 256.0;
/// and those of throats told apart by so many of them.
const TOLD: u32 = 8;
/// Half the diagonal of a cell in such parts, rounded up: a place in a cell has at most so much more room than its centre.
const BESIDE: u32 = 222;
/// Cells measured by one task: neighbours in turn start from each other's answer.
const AT_ONCE: usize = 1024;
/// Bytes held for a cell that may have room beside its centre.
const BYTES_PER_CELL_BESIDE: u64 = 24;

/// Diameter (mm) of the largest sphere that passes along each axis through pores that lead outside, from where the envelope begins to where it
/// ends; `None` where none of [`LEAST_THROAT`] does or the envelope has less than [`LEAST_CELLS`].
pub(crate) fn throats(scene: &Scene, surface: Surface, rt: &Runtime) -> Result<[Option<f64>; 3], Error> {
    let envelope = scene.envelope();
    let pores = scene.voids.components().mask_of(scene.voids.outside()).and(&envelope)?;
    let ends = ends_of(&envelope, &pores);
    drop(envelope);
    if scene.solid.count() == 0 {
        return Ok([None; 3]);
    }
    rt.step("throats", 0.0)?;
    let mut radii = distance_transform(&scene.clear(surface.facets.mesh()), Border::Unknown, rt)?;
    radii.par_iter_mut().for_each(|square| *square = (*square).max(1));
    let about = widest_passages(&pores, &radii, &ends, rt)?.map(|square| square.map(|s| f64::from(s).sqrt()));
    let [low, high] = about.iter().flatten().fold([f64::INFINITY, 0.0], |[low, high], r| [r.min(low), r.max(high)]);
    if low > high {
        return Ok([None; 3]);
    }
    // What its centre has at most half a diagonal less of than the narrowest, and the widest at most.
    to_surface(&mut radii, &pores, [low - 2.0 * DIAGONAL, high + DIAGONAL], scene, surface, rt)?;
    let passes = |least: u32| -> Result<[bool; 3], Error> {
        let sphere = Sphere { lattice: &scene.lattice, surface, radius_mm: f64::from(least) / PARTS * scene.lattice.step_mm };
        Ok(Crossing::of(sphere, least, &pores, &radii, scene, rt)?.joins(&ends))
    };
    let least = (0.5 * LEAST_THROAT * PARTS).ceil() as u32;
    let mut brackets = widest_passages(&pores, &radii, &ends, rt)?.map(|r| r.map(|r| [r, r + BESIDE]));
    if brackets.iter().flatten().any(|[low, _]| *low < least) {
        for (bracket, passes) in brackets.iter_mut().zip(passes(least)?) {
            *bracket = bracket.filter(|[low, _]| *low >= least || passes).map(|[low, high]| [low.max(least), high.max(least)]);
        }
    }
    while let Some(&[low, high]) = brackets.iter().flatten().find(|[low, high]| high - low > TOLD) {
        let middle = low.midpoint(high);
        rt.step("throats", 1.0 - f64::from(high - low) / f64::from(BESIDE))?;
        for (bracket, passes) in brackets.iter_mut().zip(passes(middle)?) {
            let Some([low, high]) = bracket else { continue };
            if passes { *low = middle.max(*low) } else { *high = middle.min(*high) }
        }
    }
    Ok(brackets.map(|b| b.map(|[low, high]| f64::from(low + high) / PARTS * scene.lattice.step_mm)))
}

/// Turns squared distances of pores to [`Scene::clear`] cells' others into distances of their centres to the surface, in parts of a cell and rounded
/// down, where the former lie within a band (in cells); what is below it becomes 1, what is surely above it its upper end.
fn to_surface(values: &mut [u32], pores: &Mask, [low, high]: [f64; 2], scene: &Scene, surface: Surface, rt: &Runtime) -> Result<(), Error> {
    let lattice = &scene.lattice;
    let [nx, ny, nz] = lattice.dims;
    let most = (high * PARTS).ceil();
    values.par_chunks_mut(nx * ny).enumerate().try_for_each(|(k, values)| {
        rt.step("distances", k as f64 / nz as f64)?;
        let mut asked = vec![];
        for j in 0..ny {
            each_bit(pores.row(j, k), |i| {
                let value = &mut values[j * nx + i];
                let away = f64::from(*value).sqrt();
                *value = if away < low { 1 } else { most as u32 };
                if (low..high + DIAGONAL).contains(&away) {
                    asked.push([i, j, k]);
                }
            });
        }
        for asked in asked.chunks(AT_ONCE) {
            for ([i, j, _], (_, near, _)) in asked.iter().zip(nearest_to_cells(asked, lattice, surface.facets)) {
                values[j * nx + i] = (surface.room_mm(&near) / lattice.step_mm * PARTS).clamp(1.0, most) as u32;
            }
        }
        Ok(())
    })
}

/// Along each axis the pores where the envelope begins and where it ends: within its first and its last tenth, with nothing of it before or behind.
fn ends_of(envelope: &Mask, pores: &Mask) -> [Ends; 3] {
    let (dims, extent) = (envelope.dims(), envelope.extent().unwrap_or([[0; 2]; 3]));
    let holds = |[i, j, k]: [usize; 3]| envelope.get(i, j, k);
    let at = |place: [usize; 3], axis: usize| -> [bool; 2] {
        let [low, high] = extent[axis];
        if high + 1 - low < LEAST_CELLS {
            return [false; 2];
        }
        let depth = (END * (high - low) as f64) as usize;
        let beside = |there: usize| [0, 1, 2].map(|a| if a == axis { there } else { place[a] });
        let n = place[axis];
        [n <= low + depth && (n == 0 || !holds(beside(n - 1))), n + depth >= high && (n + 1 == dims[axis] || !holds(beside(n + 1)))]
    };
    let all = pores.voxels_where(|n| (0..3).any(|axis| at(place_of(n, dims), axis) != [false; 2]));
    let those = |axis: usize, end: usize| all.iter().copied().filter(|&n| at(place_of(n as usize, dims), axis)[end]).collect();
    [0, 1, 2].map(|axis| Ends { first: those(axis, 0), last: those(axis, 1) })
}

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

/// What hangs together for a sphere, asked only where that can decide whether one end is joined to another.
///
/// Cells whose centres have room form components. The others may have room beside their centres; each has a home, the nearest component. A way from
/// one component to another changes homes, so that cells at which homes meet, and those at the ends, are asked first; and from there on through cells of
/// the same home as long as they do not hang together with it. So what hangs together is the same as if every cell were asked.
struct Crossing<'a> {
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
    /// For a sphere whose radius has so many parts of a cell, in pores whose centres have the room given.
    fn of(sphere: Sphere<'a>, least: u32, pores: &Mask, radii: &[u32], scene: &Scene, rt: &Runtime) -> Result<Self, Error> {
        let dims = pores.dims();
        let within = |from: u32, to: u32| {
            let is_within = |n: usize| (from..to).contains(&radii[n]);
            Mask::from_fn(dims, |i, j, k| pores.get(i, j, k) && is_within((k * dims[1] + j) * dims[0] + i))
        };
        let centred = components(&within(least, u32::MAX), Connectivity::Faces6, rt)?;
        let others = Ranks::of(within(least.saturating_sub(BESIDE), least));
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
    fn joins(mut self, ends: &[Ends; 3]) -> [bool; 3] {
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
    use crate::mesh::Mesh;
    use crate::noise::uniform;
    use crate::pores::Phase;
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
                let sphere = Sphere { lattice: &scene.lattice, surface, radius_mm: f64::from(least) / PARTS * scene.lattice.step_mm };
                let crossing = || Crossing::of(sphere, least, &pores, &radii, &scene, &rt).expect("of the pores");
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
