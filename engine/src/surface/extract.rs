//! The bare iso-surface: volume and threshold to an indexed, closed, oriented mesh in index space.
//!
//! Method: flying edges (Schroeder, Maynard & Geveci 2015) on bit rows. One bit a voxel says inside; the exclusive or of neighbouring
//! rows gives the crossed edges, 64 at a time; counts a row, prefix sums, then all rows write their own part of exactly sized arrays
//! without locks. Each crossed edge is interpolated once. The numbering is that of the rows, whatever the number of threads.
//! Beyond the volume lies air: where material reaches the border, the surface closes half a voxel outside the last centres.
//! Known bias: chords of linear interpolation; facets lie inside convex surfaces by about 1/(45 R) voxel at a radius of R voxels.
//! Cost: one bit a voxel and 20 bytes a row beside the output.

use rayon::prelude::*;

use super::SurfaceError;
use super::cases::{CENTRE, Cases, MOST_CENTRES, ends};
use crate::error::Error;
use crate::frame::Grid;
use crate::mesh::Mesh;
use crate::runtime::Runtime;
use crate::volume::{Mask, Volume, Voxel};

/// Crossings stay this far from voxel centres, so that no two vertices coincide (error at most 1e-4 voxel).
const MARGIN: f64 = 1e-4;

/// A mesh whose coordinates are voxel indices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IndexMesh {
    pub vertices: Vec<[f64; 3]>,
    /// Counter-clockwise seen from outside, in a right-handed index space.
    pub triangles: Vec<[u32; 3]>,
}

impl IndexMesh {
    /// The same surface in millimetres, outward on left-handed grids too.
    pub fn into_physical(self, grid: &Grid) -> Result<Mesh, Error> {
        let (vertices, triangles) = self.into_millimetres(grid);
        Ok(Mesh::new(vertices.into_iter().map(Into::into).collect(), triangles)?)
    }

    pub(super) fn into_millimetres(mut self, grid: &Grid) -> (Vec<[f64; 3]>, Vec<[u32; 3]>) {
        let (o, a) = (grid.origin(), *grid.axes());
        self.vertices.par_iter_mut().for_each(|p| {
            let [i, j, k] = *p;
            *p = [0, 1, 2].map(|r| o[r] + (a[(r, 0)] * i + a[(r, 1)] * j + a[(r, 2)] * k));
        });
        if a.determinant() < 0.0 {
            self.triangles.par_iter_mut().for_each(|t| t.swap(1, 2));
        }
        (self.vertices, self.triangles)
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

    #[inline]
    fn word(&self, w: usize) -> Word {
        let at = |row: &[u64], w: usize| row.get(w).copied().unwrap_or(0);
        let high = self.rows.map(|row| at(row, w));
        let carry = if w == 0 { [0; 4] } else { self.rows.map(|row| at(row, w - 1) >> 63) };
        Word { low: [0, 1, 2, 3].map(|n| high[n] << 1 | carry[n]), high }
    }
}

impl Word {
    /// Cells that the surface passes.
    #[inline]
    fn active(&self) -> u64 {
        let any = self.low.iter().chain(&self.high).fold(0, |a, b| a | b);
        let all = self.low.iter().chain(&self.high).fold(!0, |a, b| a & b);
        any & !all
    }

    /// Inside corners of a cell, numbered as in `cases`.
    #[inline]
    fn pattern(&self, bit: u32) -> u8 {
        let mut pattern = 0;
        for n in 0..4 {
            pattern |= ((self.low[n] >> bit & 1) | (self.high[n] >> bit & 1) << 1) << (2 * n);
        }
        pattern as u8
    }

    /// Owned crossings along x, y and z, at the bits of their upper ends.
    #[inline]
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

/// Numbers of the first vertices of a cell row along x, y, z and in the middle of loops, and of its first triangle.
#[derive(Clone, Copy, Default)]
struct Counts {
    vertices: [u32; 4],
    triangles: u32,
}

struct Extraction<'a, T> {
    volume: &'a Volume<T>,
    mask: &'a Mask,
    threshold: f64,
    cases: &'static Cases,
}

impl<T: Voxel> Extraction<'_, T> {
    /// Value less the threshold at the corner of a cell; all corners the decider asks for lie in the volume, since air is never ambiguous.
    fn excess(&self, [c, j, k]: [usize; 3], corner: u8) -> f64 {
        let [dx, dy, dz] = [corner & 1, corner >> 1 & 1, corner >> 2].map(usize::from);
        self.volume.at(c + dx - 1, j + dy - 1, k + dz - 1).to_f64() - self.threshold
    }

    #[inline]
    fn joined(&self, cell: [usize; 3], face: [u8; 4]) -> bool {
        let [a, b, c, d] = face.map(|corner| self.excess(cell, corner));
        a * c > b * d
    }

    fn count(&self, j: usize, k: usize) -> Counts {
        let row = CellRow::new(self.mask, j, k);
        let mut counts = Counts::default();
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
                let span = self.cases.span(self.cases.cut(word.pattern(bit), |face| self.joined(cell, face)));
                counts.triangles += u32::from(span.triangles);
                counts.vertices[3] += u32::from(span.centres);
            }
        }
        counts
    }

    /// Where the surface crosses the way from one voxel to the next, as a fraction of it; half-way to the air beyond the volume.
    #[inline]
    fn crossing(&self, from: f64, to: f64) -> f64 {
        let t = (self.threshold - from) / (to - from);
        // Not a number where a voxel is none or both are infinite: half-way, as towards air.
        if t.is_nan() { 0.5 } else { t.clamp(MARGIN, 1.0 - MARGIN) }
    }

    /// The owned vertices of a cell row, in the order x, y, z.
    fn vertices(&self, j: usize, k: usize, out: &mut [[f64; 3]]) {
        let row = CellRow::new(self.mask, j, k);
        let dims = self.mask.dims();
        let mut n = 0;
        for axis in 0..3 {
            for w in 0..row.words {
                for bit in bits(row.word(w).owned()[axis]) {
                    let end = [w * 64 + bit as usize, j, k];
                    let mut at = end.map(|x| x as f64);
                    let mut start = end;
                    let t = if end[axis] == 0 || end[axis] == dims[axis] {
                        0.5
                    } else {
                        start[axis] -= 1;
                        self.crossing(self.value(start), self.value(end))
                    };
                    at[axis] += t - 1.0;
                    out[n] = at;
                    n += 1;
                }
            }
        }
    }

    #[inline]
    fn value(&self, [i, j, k]: [usize; 3]) -> f64 {
        self.volume.at(i, j, k).to_f64()
    }

    /// The triangles of a cell row. `starts` are those of the cell rows `(j-1, k-1) (j, k-1) (j-1, k) (j, k)`.
    fn triangles(&self, j: usize, k: usize, starts: [Counts; 4], out: &mut [[u32; 3]]) {
        let row = CellRow::new(self.mask, j, k);
        // Next number along x of the four voxel rows; along y at (j, k-1) and (j, k); along z at (j-1, k) and (j, k).
        let mut x = starts.map(|s| s.vertices[0]);
        let mut y = [starts[1].vertices[1], starts[3].vertices[1]];
        let mut z = [starts[2].vertices[2], starts[3].vertices[2]];
        let mut centre = starts[3].vertices[3];
        let mut n = 0;
        for w in 0..row.words {
            let word = row.word(w);
            for bit in bits(word.active()) {
                let pattern = word.pattern(bit);
                let crossed = |a: u8, b: u8| u32::from((pattern >> a ^ pattern >> b) & 1);
                // An edge at the cell's low end comes before the one at its high end, and both are met in this order.
                let (y0, y1, z0, z1) = (crossed(0, 2), crossed(4, 6), crossed(0, 4), crossed(2, 6));
                let ids: [u32; 12 + MOST_CENTRES] = [
                    x[0],
                    x[1],
                    x[2],
                    x[3],
                    y[0],
                    y[0] + y0,
                    y[1],
                    y[1] + y1,
                    z[0],
                    z[0] + z0,
                    z[1],
                    z[1] + z1, //
                    centre,
                    centre + 1,
                    centre + 2,
                    centre + 3,
                ];
                let cell = [w * 64 + bit as usize, j, k];
                let span = self.cases.span(self.cases.cut(pattern, |face| self.joined(cell, face)));
                let cut = self.cases.triangles(span);
                for (out, t) in out[n..][..cut.len()].iter_mut().zip(cut) {
                    *out = t.map(|e| ids[(e & 15) as usize]); // no edge is above 15: spares the check of bounds
                }
                n += cut.len();
                centre += u32::from(span.centres);
                for (dn, next) in x.iter_mut().enumerate() {
                    *next += crossed(2 * dn as u8, 2 * dn as u8 + 1);
                }
                y = [y[0] + y0, y[1] + y1];
                z = [z[0] + z0, z[1] + z1];
            }
        }
    }

    /// The vertices in the middle of loops of a cell row.
    fn centres(&self, j: usize, k: usize, out: &mut [[f64; 3]]) {
        if out.is_empty() {
            return;
        }
        let row = CellRow::new(self.mask, j, k);
        let mut n = 0;
        for w in 0..row.words {
            let word = row.word(w);
            for bit in bits(word.active()) {
                let cell = [w * 64 + bit as usize, j, k];
                let cut = self.cases.cut(word.pattern(bit), |face| self.joined(cell, face));
                for ring in self.cases.centres(cut) {
                    debug_assert!(ring.iter().all(|&e| e < CENTRE));
                    let points = ring.iter().map(|&e| self.edge_point(cell, e));
                    let sum = points.fold([0.0; 3], |s, p| [s[0] + p[0], s[1] + p[1], s[2] + p[2]]);
                    out[n] = sum.map(|s| s / ring.len() as f64);
                    n += 1;
                }
            }
        }
    }

    /// Loops with a vertex in the middle have ambiguous faces on all sides that matter, so their edges lie inside the volume
    /// or end half-way to the air.
    fn edge_point(&self, cell: [usize; 3], edge: u8) -> [f64; 3] {
        let dims = self.mask.dims();
        let axis = (edge >> 2) as usize;
        let corner = ends(edge)[0];
        let mut at = [0, 1, 2].map(|a| (cell[a] + (corner >> a & 1) as usize) as f64 - 1.0);
        at[axis] += if cell[axis] == 0 || cell[axis] == dims[axis] {
            0.5
        } else {
            let [from, to] = ends(edge).map(|c| [0, 1, 2].map(|a| cell[a] + (c >> a & 1) as usize - 1));
            self.crossing(self.value(from), self.value(to))
        };
        at
    }
}

/// The iso-surface of a volume whose inside voxels are given. Stored values; the threshold lies between those inside and outside.
pub(super) fn extract<T: Voxel>(volume: &Volume<T>, mask: &Mask, stored_threshold: f64, rt: &Runtime) -> Result<IndexMesh, Error> {
    let [_, ny, nz] = volume.grid().dims();
    let job = Extraction { volume, mask, threshold: stored_threshold, cases: Cases::get() };
    rt.step("surface", 0.1)?;
    let mut starts: Vec<Counts> =
        (0..(nz + 1) * (ny + 1)).into_par_iter().with_min_len(ny + 1).map(|r| job.count(r % (ny + 1), r / (ny + 1))).collect();
    let (vertices, triangles) = number(&mut starts)?;

    rt.step("surface", 0.3)?;
    let mut mesh = IndexMesh { vertices: vec![[0.0; 3]; vertices], triangles: vec![[0; 3]; triangles] };
    let total = Counts { vertices: [vertices as u32; 4], triangles: triangles as u32 };
    let start = |j: usize, k: usize| starts.get(k * (ny + 1) + j).copied().unwrap_or(total);
    let slices: Vec<_> = {
        let (mut vertices, mut triangles) = (&mut mesh.vertices[..], &mut mesh.triangles[..]);
        (0..=nz)
            .map(|k| {
                let (from, to) = (start(0, k), start(0, k + 1));
                let v = vertices.split_off_mut(..(to.vertices[0] - from.vertices[0]) as usize).expect("counted");
                let t = triangles.split_off_mut(..(to.triangles - from.triangles) as usize).expect("counted");
                (k, v, t)
            })
            .collect()
    };
    slices.into_par_iter().with_max_len(1).for_each(|(k, vertices, triangles)| {
        let origin = start(0, k);
        for j in 0..=ny {
            let (from, to) = (start(j, k), if j == ny { start(0, k + 1) } else { start(j + 1, k) });
            let part = &mut vertices[(from.vertices[0] - origin.vertices[0]) as usize..(to.vertices[0] - origin.vertices[0]) as usize];
            let (owned, centres) = part.split_at_mut((from.vertices[3] - from.vertices[0]) as usize);
            job.vertices(j, k, owned);
            job.centres(j, k, centres);
            let part = &mut triangles[(from.triangles - origin.triangles) as usize..(to.triangles - origin.triangles) as usize];
            if !part.is_empty() {
                let before = |dj: usize, dk: usize| if dj <= j && dk <= k { start(j - dj, k - dk) } else { Counts::default() };
                job.triangles(j, k, [before(1, 1), before(0, 1), before(1, 0), before(0, 0)], part);
            }
        }
    });
    rt.step("surface", 0.6)?;
    Ok(mesh)
}

/// Turns counts into the numbers of the first ones, in place; the totals.
fn number(counts: &mut [Counts]) -> Result<(usize, usize), SurfaceError> {
    let (mut vertices, mut triangles) = (0u64, 0u64);
    for row in counts {
        let own = *row;
        row.triangles = triangles as u32; // truncates only where the error below follows
        triangles += u64::from(own.triangles);
        for (first, count) in row.vertices.iter_mut().zip(own.vertices) {
            *first = vertices as u32;
            vertices += u64::from(count);
        }
    }
    match (vertices, triangles) {
        (_, 0) => Err(SurfaceError::Empty),
        (v, t) if v.max(t) >= u64::from(u32::MAX) => Err(SurfaceError::TooLarge { triangles: t }),
        (v, t) => Ok((v as usize, t as usize)),
    }
}
