//! Translations that carry a solid onto itself: the peaks of its autocorrelation.
//!
//! The solid and the room it may fill are cells of a lattice, a bit each. For every shift the cells that are solid in both places are
//! counted (AND and a count of bits: exact integers, the same on any number of threads) and divided by the cells whose room is in both, so
//! that the finite window does not pull a peak; less what chance alone gives, that is the correlation. Peaks are found on every second
//! shift and climbed on all. Which of them are translations, and how long to far below a cell, is told by the walls (see `matched`).
//! Accepts closed meshes. The window has at most 96 cells a side: a part that is larger shows the part of it with most surface.
//! Cost: about a second of one core.

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::room::Room;
use crate::error::Error;
use crate::frame::Bounds;
use crate::mesh::Mesh;
use crate::solid::{Columns, Lattice, PHASES};
use crate::volume::Mask;

/// Cells along a side of the window, those at the rim that the lattice adds included.
const SIDE: usize = 96;
/// Cells across a wall.
const ACROSS: f64 = 2.5;
/// Shifts go to this share of the window, where so much of the room must lie in both places.
const FARTHEST: f64 = 0.67;
const SHARED: f64 = 0.2;
/// A peak on every second shift has at least this correlation; climbed, this share of the best.
const FAINT: f64 = 0.2;
const CLEAR: f64 = 0.5;
/// Peaks told at most, the shortest.
const MOST: usize = 60;

/// A window on the solid; a row of cells along x is a word.
pub(super) struct Window {
    dims: [usize; 3],
    step_mm: f64,
    solid: Vec<u128>,
    room: Vec<u128>,
}

type Shift = [i32; 3];

impl Window {
    /// `wall_mm` is how thick the solid's walls or struts are; `None` where the room holds nothing.
    pub fn of(mesh: &Mesh, room: &Room, wall_mm: f64) -> Result<Option<Window>, Error> {
        let step_mm = wall_mm / ACROSS;
        let Some(bounds) = fullest(mesh, room, (SIDE - 4) as f64 * step_mm) else { return Ok(None) };
        let lattice = Lattice::covering(&bounds, step_mm, PHASES[0]);
        let dims = lattice.dims;
        let centre = |i, j, k| Point3::new(lattice.centre(0, i), lattice.centre(1, j), lattice.centre(2, k));
        let inside = Mask::from_fn(dims, |i, j, k| {
            let p = centre(i, j, k);
            bounds.contains(&p) && room.holds(&p, 0.0)
        });
        let solid = Columns::of(mesh, lattice).mask()?;
        let rows = |mask: &Mask| -> Vec<u128> {
            let row = |n: usize| mask.row(n % dims[1], n / dims[1]).iter().rev().fold(0u128, |bits, &w| bits << 64 | u128::from(w));
            (0..dims[1] * dims[2]).map(row).collect()
        };
        let room = rows(&inside);
        let solid = rows(&solid).iter().zip(&room).map(|(a, b)| a & b).collect();
        Ok(Some(Window { dims, step_mm, solid, room }))
    }

    /// Cells set in both places.
    fn both(&self, rows: &[u128], [di, dj, dk]: Shift) -> u64 {
        let [_, ny, nz] = self.dims;
        let range = |n: usize, d: i32| (0.max(-d) as usize)..(n as i32 - d.max(0)).max(0) as usize;
        let mut count = 0u64;
        for k in range(nz, dk) {
            let there = (k as i32 + dk) as usize * ny;
            for j in range(ny, dj) {
                let (a, b) = (rows[k * ny + j], rows[there + (j as i32 + dj) as usize]);
                let moved = if di >= 0 { b >> di } else { b << -di };
                count += u64::from((a & moved).count_ones());
            }
        }
        count
    }

    /// How alike the two places are: 1 where every cell is, 0 as by chance; `None` where too little room lies in both.
    fn correlation(&self, shift: Shift, all: f64, share: f64) -> Option<f64> {
        let room = self.both(&self.room, shift) as f64;
        (room >= SHARED * all).then(|| (self.both(&self.solid, shift) as f64 / room - share * share) / (share - share * share))
    }

    /// Shifts (mm) at which the solid is most like itself, the shortest first, of two opposite ones one.
    pub fn peaks(&self) -> Vec<Vector3<f64>> {
        let count = |rows: &[u128]| rows.iter().map(|r| u64::from(r.count_ones())).sum::<u64>() as f64;
        let all = count(&self.room);
        let share = count(&self.solid) / all;
        if !(share > 0.0 && share < 1.0) {
            return vec![];
        }
        let at = |shift: Shift| self.correlation(shift, all, share).unwrap_or(f64::NEG_INFINITY);
        let half = self.dims.map(|n| (FARTHEST * n as f64 / 2.0) as i32);
        let [w, h] = [0, 1].map(|a| (2 * half[a] + 1) as usize);
        let shifts = |n: usize| [(n % w) as i32 - half[0], (n / w % h) as i32 - half[1], (n / (w * h)) as i32];
        let values: Vec<f64> = (0..w * h * (half[2] as usize + 1)).into_par_iter().map(|n| at(shifts(n).map(|d| 2 * d))).collect();
        // A solid is as like itself one way as the other.
        let value = |s: Shift| {
            let s = if s[2] < 0 { s.map(|d| -d) } else { s };
            let within = (0..3).all(|a| s[a].abs() <= half[a]);
            if within {
                values[((s[2] as usize) * h + (s[1] + half[1]) as usize) * w + (s[0] + half[0]) as usize]
            } else {
                f64::NEG_INFINITY
            }
        };
        let stands_out = |s: Shift| {
            let own = value(s);
            own >= FAINT && around().all(|d| value([s[0] + d[0], s[1] + d[1], s[2] + d[2]]) <= own)
        };
        let forward = |s: &Shift| [s[2], s[1], s[0]] > [0, 0, 0];
        let coarse: Vec<Shift> = (0..values.len()).map(shifts).filter(|s| forward(s) && stands_out(*s)).collect();
        let climbed = |s: &Shift| {
            let (mut best, mut height) = (s.map(|d| 2 * d), at(s.map(|d| 2 * d)));
            while let Some((next, higher)) = around()
                .map(|d| [best[0] + d[0], best[1] + d[1], best[2] + d[2]])
                .map(|n| (n, at(n)))
                .filter(|(_, v)| *v > height)
                .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
            {
                (best, height) = (next, higher);
            }
            (best, height)
        };
        let mut found: Vec<(Shift, f64)> = coarse.par_iter().map(climbed).filter(|(s, _)| *s != [0; 3]).collect();
        found.iter_mut().filter(|(s, _)| !forward(s)).for_each(|(s, _)| *s = s.map(|d| -d));
        found.sort_by_key(|(s, _)| (s.iter().map(|d| d * d).sum::<i32>(), *s));
        found.dedup();
        let best = found.iter().map(|f| f.1).fold(0.0, f64::max);
        let clear = found.into_iter().filter(|(_, v)| *v >= CLEAR * best);
        clear.take(MOST).map(|(s, _)| Vector3::from(s.map(f64::from)) * self.step_mm).collect()
    }
}

/// The 26 neighbours of a shift.
fn around() -> impl Iterator<Item = Shift> {
    (0..27).filter(|n| *n != 13).map(|n| [n % 3 - 1, n / 3 % 3 - 1, n / 9 - 1])
}

/// Of the boxes of at most this side in the room the one with most surface; they are tried half a side apart.
fn fullest(mesh: &Mesh, room: &Room, side_mm: f64) -> Option<Bounds> {
    let all = room.bounds;
    let size = all.max - all.min;
    if !size.iter().all(|s| s.is_finite() && *s > 0.0) {
        return None;
    }
    let hops = [0, 1, 2].map(|a| if size[a] <= side_mm { 1 } else { ((2.0 * size[a] / side_mm).ceil() as usize).clamp(2, 1000) });
    let hop_mm = Vector3::from_fn(|a, _| size[a] / hops[a] as f64);
    let mut areas = std::collections::BTreeMap::<[usize; 3], f64>::new();
    for t in 0..mesh.triangles().len() {
        let middle = mesh.centroid(t);
        if room.holds(&middle, 0.0) {
            let cell = [0, 1, 2].map(|a| (((middle[a] - all.min[a]) / hop_mm[a]) as usize).min(hops[a] - 1));
            *areas.entry(cell).or_default() += mesh.area_vector(t).norm();
        }
    }
    let area = |from: &[usize; 3]| {
        let cells = (0..8).map(|n| [0, 1, 2].map(|a| from[a] + (n >> a & 1)));
        cells.filter_map(|c| areas.get(&c)).sum::<f64>()
    };
    let last = |a: usize| hops[a].saturating_sub(2);
    let best = areas.keys().map(|c| [0, 1, 2].map(|a| c[a].min(last(a)))).max_by(|a, b| area(a).total_cmp(&area(b)).then(b.cmp(a)))?;
    let min = Point3::from([0, 1, 2].map(|a| all.min[a] + best[a] as f64 * hop_mm[a]));
    let max = Point3::from([0, 1, 2].map(|a| if hops[a] == 1 { all.max[a] } else { (min[a] + side_mm).min(all.max[a]) }));
    Some(Bounds { min, max })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::hash;

    #[test]
    fn cells_in_both_places_are_those_that_counting_one_by_one_finds_on_any_number_of_threads() {
        let dims = [83, 9, 11];
        let solid = |i: i32, j: i32, k: i32| {
            let inside = [i, j, k].iter().zip(dims).all(|(x, n)| (0..n as i32).contains(x));
            inside && hash(3, ((k * 9 + j) * 83 + i) as u64).is_multiple_of(3)
        };
        let row = |n: i32| (0..83).fold(0u128, |bits, i| bits | u128::from(solid(i, n % 9, n / 9)) << i);
        let window = Window { dims, step_mm: 1.0, solid: (0..99).map(row).collect(), room: vec![(1 << 83) - 1; 99] };
        for shift in [[0, 0, 0], [5, 0, 0], [-7, 2, 3], [64, -3, 1], [82, 8, 10], [-82, -8, 10], [3, 9, 0]] {
            let [di, dj, dk] = shift;
            let each = |i: i32, j: i32, k: i32| solid(i, j, k) && solid(i + di, j + dj, k + dk);
            let count = (0..83 * 99).filter(|n| each(n % 83, n / 83 % 9, n / 747)).count() as u64;
            assert_eq!(window.both(&window.solid, shift), count, "{shift:?}");
            let room = [83 - di.abs(), 9 - dj.abs(), 11 - dk.abs()].iter().map(|n| n.max(&0)).product::<i32>() as u64;
            assert_eq!(window.both(&window.room, shift), room, "{shift:?}");
        }
        let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| window.peaks());
        assert_eq!(on(1), on(5));
    }
}
