//! The bare iso-surface: volume and threshold to an indexed, closed, oriented mesh.
//!
//! Method: flying edges (Schroeder, Maynard & Geveci 2015) on bit rows. One bit a voxel says inside; the exclusive or of neighbouring
//! rows gives the crossed edges, 64 at a time. A first look at a slab counts what every row of cells has and notes how each cell is cut;
//! sums over the rows number it; a second look writes vertices and triangles to their places without locks. Each crossed edge is
//! interpolated once. The numbering is that of the rows, whatever the number of threads and slabs.
//! Beyond the volume lies air: where material reaches the border, the surface closes half a voxel outside the last centres.
//! Known bias: chords of linear interpolation; facets lie inside convex surfaces by about 1/(45 R) voxel at a radius of R voxels.
//! Cost: one bit a voxel, 24 bytes a row and 2 bytes a cut cell beside the output; in a volume that is read, those of one slab.

use std::ops::Range;

use nalgebra::Point3;
use rayon::prelude::*;

use super::SurfaceError;
use super::cases::{CENTRE, Cases, FIRST, ends};
use crate::error::Error;
use crate::frame::Grid;
use crate::runtime::Runtime;
use crate::volume::{Mask, Slab, Slices, Voxel};

/// Crossings stay this far from voxel centres, so that no two vertices coincide (error at most 1e-4 voxel).
const MARGIN: f64 = 1e-4;

/// A mesh whose coordinates are voxel indices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IndexMesh {
    pub vertices: Vec<[f64; 3]>,
    /// Counter-clockwise seen from outside, in a right-handed index space.
    pub triangles: Vec<[u32; 3]>,
}

/// Bytes of a vertex and of a triangle of an [`IndexMesh`].
const VERTEX_BYTES: u64 = size_of::<[f64; 3]>() as u64;
const TRIANGLE_BYTES: u64 = size_of::<[u32; 3]>() as u64;

impl IndexMesh {
    /// The same surface in millimetres, outward on left-handed grids too.
    pub(super) fn into_millimetres(mut self, grid: &Grid) -> (Vec<[f64; 3]>, Vec<[u32; 3]>) {
        let place = Place::physical(grid);
        self.vertices.par_iter_mut().for_each(|p| *p = place.at(*p));
        turn_outward(&mut self.triangles, grid);
        (self.vertices, self.triangles)
    }
}

/// On left-handed grids what is counter-clockwise in index space is clockwise in space.
pub(super) fn turn_outward(triangles: &mut [[u32; 3]], grid: &Grid) {
    if grid.axes().determinant() < 0.0 {
        triangles.par_iter_mut().for_each(|t| t.swap(1, 2));
    }
}

/// The corners of all that a surface in a grid can reach: half a voxel beyond the outermost centres (mm).
pub(super) fn corners(grid: &Grid) -> [Point3<f64>; 8] {
    let at = |corner: usize, a: usize| if corner >> a & 1 == 1 { grid.dims()[a] as f64 - 0.5 } else { -0.5 };
    std::array::from_fn(|corner| grid.physical(&Point3::new(at(corner, 0), at(corner, 1), at(corner, 2))))
}

/// An affine map of voxel indices to where vertices are wanted.
pub(super) struct Place {
    origin: [f64; 3],
    rows: [[f64; 3]; 3],
}

impl Place {
    pub fn indices() -> Place {
        Place { origin: [0.0; 3], rows: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]] }
    }

    pub fn physical(grid: &Grid) -> Place {
        let (o, a) = (grid.origin(), grid.axes());
        Place { origin: [o.x, o.y, o.z], rows: [0, 1, 2].map(|r| [a[(r, 0)], a[(r, 1)], a[(r, 2)]]) }
    }

    #[inline(always)]
    fn at(&self, [i, j, k]: [f64; 3]) -> [f64; 3] {
        let along = |r: usize| self.origin[r] + (self.rows[r][0] * i + self.rows[r][1] * j + self.rows[r][2] * k);
        [along(0), along(1), along(2)]
    }
}

/// One cell row: cells `(c, j, k)` for all c lie between the voxel rows `(j-1, k-1) (j, k-1) (j-1, k) (j, k)`; those beyond the volume are air.
/// The row owns the edges that end at its voxels `(c, j, k)` from below.
struct CellRow<'a> {
    rows: [&'a [u64]; 4],
    words: usize,
}

/// 64 cells of a cell row: for each voxel row the bits of the cells' low and high corners.
struct Word {
    low: [u64; 4],
    high: [u64; 4],
}

impl<'a> CellRow<'a> {
    fn new(mask: &'a Mask, j: usize, k: usize) -> Self {
        let [nx, ny, nz] = mask.dims();
        let row = |j: Option<usize>, k: Option<usize>| match (j, k) {
            (Some(j), Some(k)) if j < ny && k < nz => mask.row(j, k),
            _ => &[],
        };
        let (before_j, before_k) = (j.checked_sub(1), k.checked_sub(1));
        CellRow {
            rows: [row(before_j, before_k), row(Some(j), before_k), row(before_j, Some(k)), row(Some(j), Some(k))],
            words: nx / 64 + 1,
        }
    }

    #[inline(always)]
    fn word(&self, w: usize) -> Word {
        let [a, b, c, d] = self.rows;
        let high = |row: &[u64]| row.get(w).copied().unwrap_or(0);
        let low = |row: &[u64]| high(row) << 1 | w.checked_sub(1).and_then(|before| row.get(before)).map_or(0, |word| word >> 63);
        Word { low: [low(a), low(b), low(c), low(d)], high: [high(a), high(b), high(c), high(d)] }
    }
}

impl Word {
    /// Cells that the surface passes.
    #[inline(always)]
    fn active(&self) -> u64 {
        let ([a, b, c, d], [e, f, g, h]) = (self.low, self.high);
        (a | b | c | d | e | f | g | h) & !(a & b & c & d & e & f & g & h)
    }

    /// Inside corners of a cell, numbered as in `cases`.
    #[inline(always)]
    fn pattern(&self, bit: u32) -> u8 {
        let corners = |n: usize| match bit {
            0 => self.low[n] & 1 | (self.high[n] & 1) << 1,
            _ => self.high[n] >> (bit - 1) & 3,
        };
        (corners(0) | corners(1) << 2 | corners(2) << 4 | corners(3) << 6) as u8
    }

    /// Owned crossings along x, y and z, at the bits of their upper ends.
    #[inline(always)]
    fn owned(&self) -> [u64; 3] {
        [self.low[3] ^ self.high[3], self.high[2] ^ self.high[3], self.high[1] ^ self.high[3]]
    }
}

fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

/// Positions of the set bits of a row. They are found four at a time, the last ones in vain: cheaper than guessing how many are left.
#[derive(Default)]
struct Positions(Vec<u32>);

impl Positions {
    /// Those of the crossings along an axis that a row owns.
    #[inline(always)]
    fn of(&mut self, row: &CellRow, axis: usize) -> &[u32] {
        self.0.resize(64 * row.words + 4, 0);
        let mut n = 0;
        for w in 0..row.words {
            let mut word = row.word(w).owned()[axis];
            let mut last = n;
            while word != 0
                && let Some(four) = self.0[n..].first_chunk_mut::<4>()
            {
                for at in four {
                    last += usize::from(word != 0);
                    *at = (w as u32) << 6 | word.trailing_zeros() & 63;
                    word &= word.wrapping_sub(1);
                }
                n += 4;
            }
            n = last;
        }
        &self.0[..n]
    }
}

/// What a cell row has: owned vertices along x, y, z, vertices in the middle of loops, triangles, cut cells. Summed up these are the
/// numbers of the first ones.
#[derive(Clone, Copy, Default)]
struct Counts {
    vertices: [u32; 4],
    triangles: u32,
    cells: u32,
}

/// The cell rows between two slices.
struct Layer {
    rows: Vec<Counts>,
    /// How the cells that the surface passes are cut, row after row; [`Counts::cells`] count from the layer's first one.
    cuts: Vec<u16>,
}

impl Layer {
    fn bytes(&self) -> u64 {
        (size_of_val(&self.rows[..]) + size_of_val(&self.cuts[..])) as u64
    }
}

/// The slices at hand and how to cut their cells.
struct Cutter<'a, T> {
    slab: &'a Slab<'a, T>,
    mask: &'a Mask,
    threshold: f64,
    cases: &'static Cases,
    place: &'a Place,
}

impl<T: Voxel> Cutter<'_, T> {
    /// Value less the threshold at the corner of a cell; all corners the decider asks for lie in the volume, since air is never ambiguous.
    fn excess(&self, [c, j, k]: [usize; 3], corner: u8) -> f64 {
        let [dx, dy, dz] = [corner & 1, corner >> 1 & 1, corner >> 2].map(usize::from);
        self.slab.at(c + dx - 1, j + dy - 1, k + dz - 1).to_f64() - self.threshold
    }

    fn joined(&self, cell: [usize; 3], face: [u8; 4]) -> bool {
        let [a, b, c, d] = face.map(|corner| self.excess(cell, corner));
        a * c > b * d
    }

    /// Values less the threshold at all corners of a cell; `None` if some lie beyond the volume.
    fn corners(&self, cell: [usize; 3]) -> Option<[f64; 8]> {
        let is_within = cell.iter().zip(self.mask.dims()).all(|(&c, n)| 0 < c && c < n);
        is_within.then(|| [0, 1, 2, 3, 4, 5, 6, 7].map(|corner| self.excess(cell, corner)))
    }

    fn count(&self, k: usize) -> Layer {
        let mut cuts = vec![];
        let rows = (0..=self.mask.dims()[1]).map(|j| self.count_row(j, k, &mut cuts)).collect();
        Layer { rows, cuts }
    }

    fn count_row(&self, j: usize, k: usize, cuts: &mut Vec<u16>) -> Counts {
        let row = CellRow::new(self.mask, j, k);
        let mut counts = Counts { cells: cuts.len() as u32, ..Counts::default() };
        for w in 0..row.words {
            let word = row.word(w);
            let active = word.active();
            if active == 0 {
                continue;
            }
            for (count, owned) in counts.vertices.iter_mut().zip(word.owned()) {
                *count += owned.count_ones();
            }
            for bit in bits(active) {
                let cell = [w * 64 + bit as usize, j, k];
                let number = self.cases.number(word.pattern(bit), |face| self.joined(cell, face), || self.corners(cell));
                let cut = self.cases.cut(number);
                counts.triangles += u32::from(cut.triangles);
                counts.vertices[3] += u32::from(cut.centres);
                cuts.push(number);
            }
        }
        counts
    }

    /// Where the surface crosses the way from one voxel to the next, as a fraction of it; half-way to the air beyond the volume.
    #[inline(always)]
    fn crossing(&self, from: Option<&T>, to: Option<&T>) -> f64 {
        let (Some(from), Some(to)) = (from, to) else { return 0.5 };
        let (from, to) = (from.to_f64(), to.to_f64());
        let t = (self.threshold - from) / (to - from);
        // Not a number where a voxel is none or both are infinite: half-way, as towards air.
        if t.is_nan() { 0.5 } else { t.clamp(MARGIN, 1.0 - MARGIN) }
    }

    /// The values of a row; none of rows beyond the volume.
    fn values(&self, j: Option<usize>, k: Option<usize>) -> &[T] {
        let [_, ny, nz] = self.mask.dims();
        match (j, k) {
            (Some(j), Some(k)) if j < ny && k < nz => self.slab.row(j, k),
            _ => &[],
        }
    }

    /// The owned vertices of a cell row, in the order x, y, z.
    fn vertices(&self, j: usize, k: usize, positions: &mut Positions, mut out: &mut [[f64; 3]]) {
        let row = CellRow::new(self.mask, j, k);
        let here = self.values(Some(j), Some(k));
        for axis in 0..3 {
            let owned = positions.of(&row, axis);
            let (own, rest) = out.split_at_mut(owned.len());
            match axis {
                0 => self.cross::<0>([j, k], owned, here, here, own),
                1 => self.cross::<1>([j, k], owned, self.values(j.checked_sub(1), Some(k)), here, own),
                _ => self.cross::<2>([j, k], owned, self.values(Some(j), k.checked_sub(1)), here, own),
            }
            out = rest;
        }
    }

    fn cross<const AXIS: usize>(&self, [j, k]: [usize; 2], owned: &[u32], from: &[T], to: &[T], out: &mut [[f64; 3]]) {
        for (out, &c) in out.iter_mut().zip(owned) {
            let c = c as usize;
            let t = self.crossing(from.get(if AXIS == 0 { c.wrapping_sub(1) } else { c }), to.get(c));
            let mut at = [c, j, k].map(|x| x as f64);
            at[AXIS] += t - 1.0;
            *out = self.place.at(at);
        }
    }

    /// The triangles of a cell row. `starts` are those of the cell rows `(j-1, k-1) (j, k-1) (j-1, k) (j, k)`.
    fn triangles(&self, cuts: &[u16], starts: [Counts; 4], mut out: &mut [[u32; 3]]) {
        let x = starts.map(|s| s.vertices[0]);
        // Along y at (j, k-1) and (j, k), along z at (j-1, k) and (j, k).
        let [y0, y1] = [starts[1].vertices[1], starts[3].vertices[1]];
        let [z0, z1] = [starts[2].vertices[2], starts[3].vertices[2]];
        let c = starts[3].vertices[3];
        let mut next = [x[0], x[1], x[2], x[3], y0, y0, y1, y1, z0, z0, z1, z1, c, c + 1, c + 2, c + 3];
        for &number in cuts {
            let cut = self.cases.cut(number);
            let steps = self.cases.steps(cut.pattern);
            let mut ids = next;
            ids.iter_mut().zip(steps.within).for_each(|(id, step)| *id += u32::from(step));
            next.iter_mut().zip(steps.beyond).for_each(|(id, step)| *id += u32::from(step));
            next[CENTRE as usize..].iter_mut().for_each(|id| *id += u32::from(cut.centres));
            let id = |e: u8| ids[usize::from(e & 15)]; // no edge is above 15: spares the check of bounds
            let named = |[a, b, c]: [u8; 3]| [id(a), id(b), id(c)];
            let count = usize::from(cut.triangles);
            // All of the first ones, needed or not: what is too much the next cell overwrites.
            match out.first_chunk_mut::<FIRST>() {
                Some(first) => first.iter_mut().zip(cut.first).for_each(|(out, t)| *out = named(t)),
                None => out.iter_mut().zip(cut.first).for_each(|(out, t)| *out = named(t)),
            }
            if count > FIRST {
                out[FIRST..].iter_mut().zip(self.cases.rest(cut)).for_each(|(out, t)| *out = named(*t));
            }
            out = &mut out[count..];
        }
    }

    /// The vertices in the middle of loops of a cell row.
    fn centres(&self, j: usize, k: usize, cuts: &[u16], out: &mut [[f64; 3]]) {
        if out.is_empty() {
            return;
        }
        let row = CellRow::new(self.mask, j, k);
        let cells = (0..row.words).flat_map(|w| bits(row.word(w).active()).map(move |bit| [w * 64 + bit as usize, j, k]));
        let rings = cells.zip(cuts).flat_map(|(cell, &cut)| self.cases.centres(cut).iter().map(move |ring| (cell, ring)));
        for (out, (cell, ring)) in out.iter_mut().zip(rings) {
            let points = ring.iter().map(|&e| self.edge_point(cell, e));
            let sum = points.fold([0.0; 3], |s, p| [s[0] + p[0], s[1] + p[1], s[2] + p[2]]);
            *out = self.place.at(sum.map(|s| s / ring.len() as f64));
        }
    }

    /// Where an edge of a cell is crossed, in voxel indices.
    fn edge_point(&self, cell: [usize; 3], edge: u8) -> [f64; 3] {
        let axis = (edge >> 2) as usize;
        let [from, to] = ends(edge).map(|corner| [0, 1, 2].map(|a| (cell[a] + usize::from(corner >> a & 1)).checked_sub(1)));
        let value = |[i, j, k]: [Option<usize>; 3]| self.values(j, k).get(i?);
        let mut at = [0, 1, 2].map(|a| (cell[a] + usize::from(ends(edge)[0] >> a & 1)) as f64 - 1.0);
        at[axis] += self.crossing(value(from), value(to));
        at
    }
}

/// The mesh so far, and what the next slab needs of the last one.
#[derive(Default)]
struct Growing {
    mesh: IndexMesh,
    /// Rows of the layer below.
    below: Vec<Counts>,
}

impl Growing {
    /// Adds the layers of cells below the given slices, where `afford` grants the bytes that this takes at most.
    fn add<T: Voxel>(
        &mut self,
        cutter: &Cutter<T>,
        layers: Range<usize>,
        afford: impl FnOnce(u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let first = layers.start;
        let mut counted: Vec<Layer> = layers.into_par_iter().with_max_len(1).map(|k| cutter.count(k)).collect();
        let total = self.number(&mut counted)?;
        afford(counted.iter().map(Layer::bytes).sum::<u64>() + self.bytes_to_grow(total))?;
        let start = |l: usize| counted.get(l).map_or(total, |layer| layer.rows[0]);
        let (vertices_before, triangles_before) = (self.mesh.vertices.len(), self.mesh.triangles.len());
        lengthen(&mut self.mesh.vertices, total.vertices[0] as usize);
        lengthen(&mut self.mesh.triangles, total.triangles as usize);

        let (mut vertices, mut triangles) = (&mut self.mesh.vertices[vertices_before..], &mut self.mesh.triangles[triangles_before..]);
        let parts: Vec<_> = (0..counted.len())
            .map(|l| {
                let (from, to) = (start(l), start(l + 1));
                let v = vertices.split_off_mut(..(to.vertices[0] - from.vertices[0]) as usize).expect("counted");
                let t = triangles.split_off_mut(..(to.triangles - from.triangles) as usize).expect("counted");
                (l, v, t)
            })
            .collect();
        let below = |l: usize| if l == 0 { &self.below } else { &counted[l - 1].rows };
        parts.into_par_iter().with_max_len(1).for_each(|(l, vertices, triangles)| {
            write(cutter, first + l, &counted[l], below(l), start(l + 1), vertices, triangles);
        });
        self.below = counted.pop().map_or(vec![], |layer| layer.rows);
        Ok(())
    }

    /// Bytes of the mesh grown to a size, with the list that is being moved to where it has room.
    fn bytes_to_grow(&self, to: Counts) -> u64 {
        let grown = u64::from(to.vertices[0]) * VERTEX_BYTES + u64::from(to.triangles) * TRIANGLE_BYTES;
        grown + (self.mesh.vertices.len() as u64 * VERTEX_BYTES).max(self.mesh.triangles.len() as u64 * TRIANGLE_BYTES)
    }

    /// Turns the counts of rows into the numbers of the first ones, in place; what follows the last one.
    fn number(&self, layers: &mut [Layer]) -> Result<Counts, SurfaceError> {
        let (mut vertices, mut triangles) = (self.mesh.vertices.len() as u64, self.mesh.triangles.len() as u64);
        for row in layers.iter_mut().flat_map(|layer| &mut layer.rows) {
            let own = *row;
            row.triangles = triangles as u32; // truncates only where the error below follows
            triangles += u64::from(own.triangles);
            for (first, count) in row.vertices.iter_mut().zip(own.vertices) {
                *first = vertices as u32;
                vertices += u64::from(count);
            }
        }
        match vertices.max(triangles) {
            most if most >= u64::from(u32::MAX) => Err(SurfaceError::TooLarge { triangles }),
            _ => Ok(Counts { vertices: [vertices as u32; 4], triangles: triangles as u32, cells: 0 }),
        }
    }
}

/// Zeros up to a length. A first allocation comes zeroed from the system, page by page as it is written.
fn lengthen<T: Copy + Default>(list: &mut Vec<T>, to: usize) {
    if list.capacity() == 0 { *list = vec![T::default(); to] } else { list.resize(to, T::default()) }
}

/// Writes one layer. `end` is where the next layer starts.
fn write<T: Voxel>(
    cutter: &Cutter<T>,
    k: usize,
    layer: &Layer,
    below: &[Counts],
    end: Counts,
    vertices: &mut [[f64; 3]],
    triangles: &mut [[u32; 3]],
) {
    let end = Counts { cells: layer.cuts.len() as u32, ..end };
    let (origin, mut positions) = (layer.rows[0], Positions::default());
    for (j, from) in layer.rows.iter().enumerate() {
        let to = layer.rows.get(j + 1).unwrap_or(&end);
        let cuts = &layer.cuts[from.cells as usize..to.cells as usize];
        if cuts.is_empty() {
            continue;
        }
        let part = &mut vertices[(from.vertices[0] - origin.vertices[0]) as usize..(to.vertices[0] - origin.vertices[0]) as usize];
        let (owned, centres) = part.split_at_mut((from.vertices[3] - from.vertices[0]) as usize);
        cutter.vertices(j, k, &mut positions, owned);
        cutter.centres(j, k, cuts, centres);
        let row = |rows: &[Counts], before: usize| j.checked_sub(before).and_then(|j| rows.get(j)).copied().unwrap_or_default();
        let starts = [row(below, 1), row(below, 0), row(&layer.rows, 1), *from];
        let part = (from.triangles - origin.triangles) as usize..(to.triangles - origin.triangles) as usize;
        cutter.triangles(cuts, starts, &mut triangles[part]);
    }
}

/// The iso-surface of a volume whose inside voxels are given. Stored values; the threshold lies between those inside and outside.
/// Vertices lie where `place` puts their indices; triangles turn as in a right-handed index space.
pub(super) fn extract<T: Voxel>(slices: &Slices<T>, mask: &Mask, threshold: f64, place: &Place, rt: &Runtime) -> Result<IndexMesh, Error> {
    let nz = slices.grid().dims()[2];
    let held_bytes = slices.bytes() + size_of_val(mask.words()) as u64;
    let mut growing = Growing::default();
    slices.pass(1, |own, slab| {
        rt.step("surface", own.start as f64 / nz as f64)?;
        let cutter = Cutter { slab, mask, threshold, cases: Cases::get(), place };
        // A layer of cells lies below each slice, and one above the last.
        let layers = own.start..if own.end == nz { nz + 1 } else { own.end };
        growing.add(&cutter, layers, |bytes| rt.afford("the surface", held_bytes + bytes))
    })?;
    rt.step("surface", 1.0)?;
    if growing.mesh.triangles.is_empty() { Err(SurfaceError::Empty.into()) } else { Ok(growing.mesh) }
}
