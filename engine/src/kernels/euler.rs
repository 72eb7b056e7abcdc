//! Euler number of a mask: components less tunnels plus cavities.
//!
//! The mask is a complex of cells, `χ = vertices - edges + faces - cubes`, counted 64 voxels at a time. With 26-connectivity
//! it is the union of closed voxels, with 6-connectivity voxels are vertices and a cell is there when all its voxels are
//! (Toriwaki & Yonekura 2002). An additive share of a part of space is had from the vertices inside it, each with half of its edges, a
//! quarter of its faces and an eighth of its voxels (Odgaard & Gundersen 1993). Exact integers; one pass.

use rayon::prelude::*;

use super::Connectivity;
use crate::volume::Mask;

/// Bits of a row with those of the voxel before each: where it or the voxel before is set.
#[derive(Clone, Copy)]
struct Row<'a>(Option<&'a [u64]>);

impl Row<'_> {
    #[inline(always)]
    fn word(self, w: usize) -> u64 {
        self.0.and_then(|row| row.get(w)).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn before(self, w: usize) -> u64 {
        self.word(w) << 1 | if w == 0 { 0 } else { self.word(w - 1) >> 63 }
    }
}

/// The Euler number of the whole mask; [`Connectivity::Edges18`] counts as 26. Outside the grid is background.
pub fn euler_number(mask: &Mask, connectivity: Connectivity) -> i64 {
    let [_, ny, nz] = mask.dims();
    let row = |j: usize, k: usize| Row((j > 0 && j <= ny && k > 0 && k <= nz).then(|| mask.row(j - 1, k - 1)));
    let ones = |x: u64| i64::from(x.count_ones());
    let slices: Vec<i64> = (1..nz + 2)
        .into_par_iter()
        .map(|k| {
            let mut sum = 0;
            for j in 1..ny + 2 {
                let rows = [row(j, k), row(j - 1, k), row(j, k - 1), row(j - 1, k - 1)];
                for w in 0..=mask.words_per_row() {
                    let [a, b, c, d] = rows.map(|r| r.word(w));
                    let [ax, bx, cx, dx] = rows.map(|r| r.before(w));
                    if connectivity == Connectivity::Faces6 {
                        let (p, q, r, s) = (a & ax, b & bx, c & cx, d & dx);
                        sum += ones(a) - ones(p) - ones(a & b) - ones(a & c);
                        sum += ones(p & q) + ones(p & r) + ones(a & b & c & d) - ones(p & q & r & s);
                    } else {
                        let (p, q, r, s) = (a | ax, b | bx, c | cx, d | dx);
                        sum += ones(p | q | r | s) - ones(a | b | c | d) - ones(p | r) - ones(p | q);
                        sum += ones(p) + ones(a | b) + ones(a | c) - ones(a);
                    }
                }
            }
            sum
        })
        .collect();
    slices.iter().sum()
}

/// Eight times the share of the Euler number (26-connectivity) that the corner between voxels (i-1, j-1, k-1) and (i, j, k) holds,
/// summed over the corners that `inside` takes. Beyond `known`, a mask of the same extents, a structure goes on as its mirror image at the corner,
/// so that where an image ends nothing else ends.
pub fn euler_eighths_within(mask: &Mask, known: Option<&Mask>, inside: impl Fn(usize, usize, usize) -> bool + Sync) -> i64 {
    let [nx, ny, nz] = mask.dims();
    let table = eighths();
    let slices: Vec<i64> = (0..=nz)
        .into_par_iter()
        .map(|k| {
            let mut sum = 0;
            for j in 0..=ny {
                let (rows, known) = (Corners::at(mask, j, k), known.map(|known| Corners::at(known, j, k)));
                for w in 0..=mask.words_per_row() {
                    let here = rows.word(w);
                    if here.iter().all(|(a, b)| *a == 0 && *b == 0) || here.iter().all(|(a, b)| *a == u64::MAX && *b == u64::MAX) {
                        continue;
                    }
                    for bit in 0..64.min(nx + 1 - w * 64) {
                        let seen = octant(&here, bit);
                        let octant = known.map_or(seen, |known| mirrored(seen, octant(&known.word(w), bit)));
                        let share = table[octant as usize];
                        if share != 0 && inside(w * 64 + bit, j, k) {
                            sum += share;
                        }
                    }
                }
            }
            sum
        })
        .collect();
    slices.iter().sum()
}

/// The four rows of voxels around the corners of a row.
#[derive(Clone, Copy)]
struct Corners<'a>([Row<'a>; 4]);

impl<'a> Corners<'a> {
    fn at(mask: &'a Mask, j: usize, k: usize) -> Self {
        let [_, ny, nz] = mask.dims();
        Corners([(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dj, dk)| {
            let (y, z) = (j + dj, k + dk);
            Row((y > 0 && y <= ny && z > 0 && z <= nz).then(|| mask.row(y - 1, z - 1)))
        }))
    }

    /// Of each row the voxels before the corners of a word, and behind them.
    #[inline(always)]
    fn word(&self, w: usize) -> [(u64, u64); 4] {
        self.0.map(|r| (r.before(w), r.word(w)))
    }
}

/// The eight voxels around a corner, as [`eighths`] counts them.
#[inline(always)]
fn octant(here: &[(u64, u64); 4], bit: usize) -> u8 {
    (0..4).fold(0, |o, n| o | ((here[n].0 >> bit & 1) << (2 * n) | (here[n].1 >> bit & 1) << (2 * n + 1)) as u8)
}

/// An octant whose voxels that are not known are those across as few planes as may be; nothing where none is known.
fn mirrored(octant: u8, known: u8) -> u8 {
    if known == 255 {
        return octant;
    }
    let seen = |v: u8| [0, 1, 2, 4, 3, 5, 6, 7].into_iter().map(|across| v ^ across).find(|&from| known >> from & 1 == 1);
    (0..8).fold(0, |o, v| o | seen(v).map_or(0, |from| octant >> from & 1) << v)
}

/// Eight times a corner's share, by which of the eight voxels around it are set (bit 0 and 1 along i, then j, then k).
fn eighths() -> [i64; 256] {
    let mut table = [0; 256];
    for (octant, share) in table.iter_mut().enumerate() {
        // Cells at the corner: for each axis at the corner itself (either side) or on one side of it.
        for cell in 0..27 {
            let sides = [cell % 3, cell / 3 % 3, cell / 9]; // 2 is the corner itself
            let touched = (0..8usize).any(|v| octant >> v & 1 == 1 && (0..3).all(|a| sides[a] == 2 || v >> a & 1 == sides[a]));
            let dimension = sides.iter().filter(|&&s| s < 2).count();
            let sign = if dimension % 2 == 0 { 1 } else { -1 };
            *share += if touched { sign * (8 >> dimension) } else { 0 };
        }
    }
    table
}
