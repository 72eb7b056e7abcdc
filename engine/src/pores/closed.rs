//! Which closed voids there are: what faces each of them, and where lines run through it.
//!
//! Cavities are those that shells of the surface tell (see [`crate::porosity`]). What they do not tell is a void of the lattice: cells that hang
//! together through faces and not with the outside, as behind a neck thinner than a cell.
//! Cost: 4 bytes a facet and 24 a line through a void.

use rayon::prelude::*;

use crate::error::Error;
use crate::mesh::Mesh;
use crate::porosity::{Cavity, Scene, Through};
use crate::solid::Lattice;
use crate::volume::Mask;

/// A closed void.
pub(super) struct Void {
    /// That face it, ascending.
    pub facets: Vec<u32>,
    /// Its facets enclose it.
    pub is_shell: bool,
}

/// Where a line of the lattice runs through a void.
#[derive(Clone, Copy)]
struct Stretch {
    line: u32,
    void: u32,
    x: [f64; 2],
}

/// The closed voids of a part on a lattice.
pub(super) struct Closed {
    /// In the order of their first facets.
    pub voids: Vec<Void>,
    /// Facets that face the outside of the part.
    pub outer: Vec<u32>,
    /// Ascending and disjoint.
    stretches: Vec<Stretch>,
    lattice: Lattice,
}

impl Closed {
    pub fn of(mesh: &Mesh, scene: &Scene) -> Closed {
        let shell = |cavity: &Cavity| (Void { facets: cavity.facets.clone(), is_shell: true }, cavity.through.clone());
        let mut found: Vec<(Void, Through)> = scene.cavities.list.iter().map(shell).collect();
        let others = gaps_untold(scene);

        let mut labels: Vec<u32> = others.iter().map(|gap| gap.0).collect();
        labels.sort_unstable();
        labels.dedup();
        let (faced, outer) = facets_untold(mesh, scene, &labels);
        let mut through = vec![vec![]; labels.len()];
        for (label, line, x) in others {
            through[labels.partition_point(|&l| l < label)].push((line, x));
        }
        // One that no facet faces is seen by the lattice alone.
        let by_lattice = faced.into_iter().zip(through).filter(|(facets, _)| !facets.is_empty());
        found.extend(by_lattice.map(|(facets, through)| (Void { facets, is_shell: false }, through)));
        found.sort_by_key(|(void, _)| void.facets.first().copied());

        let mut stretches = vec![];
        let mut voids = Vec::with_capacity(found.len());
        for (number, (void, through)) in found.into_iter().enumerate() {
            stretches.extend(through.into_iter().map(|(line, x)| Stretch { line, void: number as u32, x }));
            voids.push(void);
        }
        stretches.par_sort_unstable_by(|a, b| a.line.cmp(&b.line).then(a.x[0].total_cmp(&b.x[0])));
        Closed { voids, outer, stretches, lattice: scene.lattice }
    }

    /// The number of the void that holds the centre of a cell.
    pub fn at(&self, [i, j, k]: [usize; 3]) -> Option<usize> {
        let line = (k * self.lattice.dims[1] + j) as u32;
        let next = self.stretches.partition_point(|s| (s.line, self.lattice.cells_in(s.x).0) <= (line, i));
        let last = self.stretches.get(next.checked_sub(1)?)?;
        (last.line == line && i < self.lattice.cells_in(last.x).1).then_some(last.void as usize)
    }

    /// The cells whose centres lie in the voids whose number satisfies `chosen`.
    pub fn mask_where(&self, chosen: impl Fn(usize) -> bool) -> Result<Mask, Error> {
        let [nx, ny, nz] = self.lattice.dims;
        let per_row = nx.div_ceil(64);
        let mut words = vec![0u64; per_row * ny * nz];
        for s in self.stretches.iter().filter(|s| chosen(s.void as usize)) {
            let (from, to) = self.lattice.cells_in(s.x);
            (from..to).for_each(|i| words[s.line as usize * per_row + i / 64] |= 1 << (i % 64));
        }
        Mask::of_rows(self.lattice.dims, words)
    }

    /// Calls `f(void, x, y, z)` for every stretch, `x` from and to, ascending.
    pub fn each_stretch(&self, mut f: impl FnMut(usize, [f64; 2], f64, f64)) {
        for s in &self.stretches {
            let [j, k] = self.row(s);
            f(s.void as usize, s.x, self.lattice.centre(1, j), self.lattice.centre(2, k));
        }
    }

    /// How much of each void lies inside the envelope and how much beyond, in lengths along lines, or in corners of facets where no line meets it.
    pub fn inside_and_beyond(&self, mesh: &Mesh, scene: &Scene) -> Vec<[f64; 2]> {
        let inside = |s: &Stretch| {
            let [j, k] = self.row(s);
            scene.length_inside(s.x, j, k)
        };
        let lengths: Vec<f64> = self.stretches.par_iter().map(inside).collect();
        let mut sums = vec![[0.0; 2]; self.voids.len()];
        for (s, inside) in self.stretches.iter().zip(lengths) {
            let [within, beyond] = &mut sums[s.void as usize];
            *within += inside;
            *beyond += (s.x[1] - s.x[0] - inside).max(0.0);
        }
        for (void, sums) in self.voids.iter().zip(&mut sums).filter(|(_, sums)| **sums == [0.0; 2]) {
            let corners = void.facets.iter().flat_map(|&t| mesh.corners(t as usize));
            corners.for_each(|p| sums[usize::from(!scene.in_region(&p))] += 1.0);
        }
        sums
    }

    fn row(&self, s: &Stretch) -> [usize; 2] {
        let ny = self.lattice.dims[1];
        [s.line as usize % ny, s.line as usize / ny]
    }
}

/// Label, line and stretch of the gaps with cells that hang together with the outside neither by the lattice nor by a shell.
fn gaps_untold(scene: &Scene) -> Vec<(u32, u32, [f64; 2])> {
    let (lattice, voids) = (&scene.lattice, &scene.voids);
    let [_, ny, nz] = lattice.dims;
    let on_line = |line: usize| {
        let (j, k) = (line % ny, line / ny);
        scene.columns.line(j, k).windows(2).filter_map(move |solid| {
            let gap = [solid[0][1], solid[1][0]];
            let (first, end) = lattice.cells_in(gap);
            let label = if first < end { voids.components().label_of(first, j, k) } else { voids.outside() };
            (label != voids.outside() && !scene.cavities.hold(line as u32, gap[0])).then_some((label, line as u32, gap))
        })
    };
    (0..ny * nz).into_par_iter().flat_map_iter(on_line).collect()
}

/// The facets that shells do not tell: those that face the voids of each of the labels, and those that face the outside.
fn facets_untold(mesh: &Mesh, scene: &Scene, labels: &[u32]) -> (Vec<Vec<u32>>, Vec<u32>) {
    // Across a slot thinner than a cell a facet of the outside may seem to face what lies behind the other side.
    let label = |[i, j, k]: [usize; 3]| scene.voids.components().label_of(i, j, k);
    let number = |cell| labels.binary_search(&label(cell)).unwrap_or(labels.len()) as u32;
    let faces = |t: usize| if scene.cavities.are_faced_by(t) { NONE } else { scene.void_beside(mesh, t).map_or(NONE, number) };
    let numbers: Vec<u32> = (0..mesh.triangles().len()).into_par_iter().map(faces).collect();
    let (mut faced, mut outer) = (vec![vec![]; labels.len()], vec![]);
    for (t, number) in (0..).zip(numbers).filter(|(_, number)| *number != NONE) {
        faced.get_mut(number as usize).unwrap_or(&mut outer).push(t);
    }
    (faced, outer)
}

/// No void.
const NONE: u32 = u32::MAX;
