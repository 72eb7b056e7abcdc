//! Strut lattices: unions of capsules, also with faults, and their exact signed distance in the time of a few.
//!
//! A regular lattice of cells holds for each of them the capsules that can be the nearest there: distances are 1-Lipschitz, so
//! that is every capsule no farther from the cell's centre than the nearest one plus the cell's diagonal.

use std::sync::Arc;

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use crate::frame::Bounds;

/// All points within the radius of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rod {
    pub from: Point3<f64>,
    pub to: Point3<f64>,
    pub radius_mm: f64,
}

impl Rod {
    pub(super) fn distance_mm(&self, p: &Point3<f64>) -> f64 {
        let axis = self.to - self.from;
        let t = ((p - self.from).dot(&axis) / axis.norm_squared()).clamp(0.0, 1.0);
        (p - self.from - axis * t).norm() - self.radius_mm
    }
}

/// A union of rods that is quick to ask for distances. Clones share it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rods {
    rods: Arc<[Rod]>,
    cells: Cells,
    /// Candidates of cell `n` are `members[starts[n]..starts[n + 1]]`.
    starts: Arc<[u32]>,
    members: Arc<[u32]>,
}

/// A lattice of cubes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cells {
    origin: Point3<f64>,
    side_mm: f64,
    dims: [usize; 3],
}

/// Cells along the longest side of the index, whose candidates are looked for among all rods.
const CELLS: f64 = 28.0;
/// Parts along each side of such a cell, whose candidates are looked for among its own.
const PARTS: usize = 4;
/// Room around the rods within which the index answers, mm; beyond it distances are to the box around them.
const ROOM_MM: f64 = 1.0;

impl Cells {
    fn count(&self) -> usize {
        self.dims.iter().product()
    }

    fn index(&self, n: usize) -> [usize; 3] {
        [n % self.dims[0], n / self.dims[0] % self.dims[1], n / (self.dims[0] * self.dims[1])]
    }

    fn number(&self, [i, j, k]: [usize; 3]) -> usize {
        (k * self.dims[1] + j) * self.dims[0] + i
    }

    /// Those among some rods that can be the nearest to a place in a cell.
    fn nearest(&self, n: usize, rods: &[Rod], among: impl Iterator<Item = u32>) -> Vec<u32> {
        let centre = self.origin + Vector3::from(self.index(n).map(|i| i as f64 + 0.5)) * self.side_mm;
        let distances: Vec<(u32, f64)> = among.map(|r| (r, rods[r as usize].distance_mm(&centre))).collect();
        let least = distances.iter().map(|d| d.1).fold(f64::INFINITY, f64::min);
        let diagonal = 3.0_f64.sqrt() * self.side_mm;
        distances.into_iter().filter(|d| d.1 <= least + diagonal).map(|d| d.0).collect()
    }
}

impl Rods {
    pub fn new(rods: Vec<Rod>) -> Rods {
        let tight = Bounds::of(rods.iter().flat_map(|r| [&r.from, &r.to]));
        let room = Vector3::repeat(rods.iter().map(|r| r.radius_mm).fold(ROOM_MM, f64::max) + ROOM_MM);
        let (origin, extent) = (tight.min - room, tight.max - tight.min + room * 2.0);
        let side_mm = extent.max() / CELLS;
        let dims = [0, 1, 2].map(|a| (extent[a] / side_mm).ceil().max(1.0) as usize);
        let coarse = Cells { origin, side_mm, dims };
        let cells = Cells { origin, side_mm: side_mm / PARTS as f64, dims: dims.map(|n| PARTS * n) };
        let all = 0..rods.len() as u32;
        let of_coarse: Vec<Vec<u32>> = (0..coarse.count()).into_par_iter().map(|n| coarse.nearest(n, &rods, all.clone())).collect();
        let own = |n: usize| {
            let among = &of_coarse[coarse.number(cells.index(n).map(|i| i / PARTS))];
            cells.nearest(n, &rods, among.iter().copied())
        };
        let lists: Vec<Vec<u32>> = (0..cells.count()).into_par_iter().map(own).collect();
        let mut starts = vec![0u32];
        starts.extend(lists.iter().scan(0, |sum, list| {
            *sum += list.len() as u32;
            Some(*sum)
        }));
        Rods { rods: rods.into(), cells, starts: starts.into(), members: lists.concat().into() }
    }

    pub(super) fn distance_mm(&self, p: &Point3<f64>) -> f64 {
        let Cells { origin, side_mm, dims } = self.cells;
        let at = (p - origin) / side_mm;
        if (0..3).any(|a| !(0.0..dims[a] as f64).contains(&at[a])) {
            // Never more than the true distance: the rods lie in a box that is smaller by the room around it.
            let extent = Vector3::from(dims.map(|n| n as f64 * side_mm));
            let middle = origin + extent * 0.5;
            return ((p - middle).abs() - extent * 0.5).sup(&Vector3::zeros()).norm() + ROOM_MM;
        }
        let cell = self.cells.number([at.x, at.y, at.z].map(|x| x as usize));
        let near = &self.members[self.starts[cell] as usize..self.starts[cell + 1] as usize];
        near.iter().map(|&r| self.rods[r as usize].distance_mm(p)).fold(f64::INFINITY, f64::min)
    }
}

/// Nodes and struts (ends and diameter, mm) of a lattice as it is designed.
#[derive(Clone, Debug, PartialEq)]
pub struct Framework {
    pub nodes: Vec<Point3<f64>>,
    pub struts: Vec<(u32, u32, f64)>,
}

/// Struts of a unit cell between places in units of the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitCell {
    SimpleCubic,
    BodyCentred,
    Octet,
    Diamond,
}

/// Places are in quarters of a cell.
const CELL: i32 = 4;

impl UnitCell {
    fn struts(self) -> Vec<[[i32; 3]; 2]> {
        let corners = || (0..8).map(|n: i32| [n & 1, n >> 1 & 1, n >> 2].map(|x| CELL * x));
        match self {
            UnitCell::SimpleCubic => {
                corners().flat_map(|p| (0..3).filter(move |&a| p[a] == 0).map(move |a| [p, with(p, a, CELL)])).collect()
            }
            UnitCell::BodyCentred => corners().map(|p| [[CELL / 2; 3], p]).collect(),
            UnitCell::Diamond => {
                let sites = [[1, 1, 1], [3, 3, 1], [3, 1, 3], [1, 3, 3]];
                let ways = [[-1, -1, -1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]];
                sites.iter().flat_map(|s| ways.iter().map(move |w| [*s, [0, 1, 2].map(|a| s[a] + w[a])])).collect()
            }
            UnitCell::Octet => {
                let faces: Vec<[i32; 3]> = (0..3).flat_map(|a| [0, CELL].map(|x| with([CELL / 2; 3], a, x))).collect();
                let near = |p: &[i32; 3], q: &[i32; 3]| (0..3).map(|a| (p[a] - q[a]) * (p[a] - q[a])).sum::<i32>() == CELL * CELL / 2;
                let mut found: Vec<[[i32; 3]; 2]> =
                    corners().flat_map(|c| faces.iter().filter(move |f| near(&c, f)).map(move |&f| [c, f])).collect();
                for (n, &f) in faces.iter().enumerate() {
                    found.extend(faces[n + 1..].iter().filter(|g| near(&f, g)).map(|&g| [f, g]));
                }
                found
            }
        }
    }
}

fn with(mut p: [i32; 3], axis: usize, value: i32) -> [i32; 3] {
    p[axis] = value;
    p
}

impl Framework {
    /// `cells` unit cells of the sides `cell_mm` along each axis from the origin on.
    pub fn of(unit: UnitCell, cells: [u32; 3], cell_mm: [f64; 3], diameter_mm: f64) -> Framework {
        let mut ends: Vec<[[i32; 3]; 2]> = vec![];
        for n in 0..cells.iter().product::<u32>() {
            let at = [n % cells[0], n / cells[0] % cells[1], n / (cells[0] * cells[1])].map(|i| CELL * i as i32);
            ends.extend(
                unit.struts().iter().map(|strut| strut.map(|p| [0, 1, 2].map(|a| p[a] + at[a]))).map(|[p, q]| [p.min(q), p.max(q)]),
            );
        }
        ends.sort_unstable();
        ends.dedup();
        let mut places: Vec<[i32; 3]> = ends.iter().flatten().copied().collect();
        places.sort_unstable();
        places.dedup();
        let number = |p: &[i32; 3]| places.partition_point(|q| q < p) as u32;
        let struts = ends.iter().map(|[p, q]| (number(p), number(q), diameter_mm)).collect();
        let nodes = places.iter().map(|p| Point3::from([0, 1, 2].map(|a| f64::from(p[a]) / f64::from(CELL) * cell_mm[a]))).collect();
        Framework { nodes, struts }
    }

    pub fn rod(&self, strut: usize) -> Rod {
        let (a, b, diameter) = self.struts[strut];
        Rod { from: self.nodes[a as usize], to: self.nodes[b as usize], radius_mm: 0.5 * diameter }
    }

    pub fn rods(&self) -> Vec<Rod> {
        (0..self.struts.len()).map(|s| self.rod(s)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::uniform;

    #[test]
    fn the_index_answers_as_all_rods_together_do() {
        let rods = Framework::of(UnitCell::Octet, [2, 2, 1], [2.0, 2.2, 1.9], 0.3).rods();
        let all = Rods::new(rods.clone());
        for n in 0..4000 {
            let p = Point3::from([0, 1, 2].map(|a| 10.0 * uniform(7, 3 * n + a) - 3.0));
            let brute = rods.iter().map(|r| r.distance_mm(&p)).fold(f64::INFINITY, f64::min);
            let found = all.distance_mm(&p);
            assert!(found == brute || (found < brute && brute > ROOM_MM), "{p}: {found} against {brute}");
        }
    }

    #[test]
    fn unit_cells_have_the_struts_of_their_lattices() {
        let count = |unit, cells| Framework::of(unit, cells, [1.0; 3], 0.1).struts.len();
        assert_eq!(count(UnitCell::SimpleCubic, [2, 2, 2]), 54); // 3 · 2 · 3 · 3
        assert_eq!(count(UnitCell::BodyCentred, [3, 2, 2]), 96);
        assert_eq!(count(UnitCell::Octet, [1, 1, 1]), 36);
        assert_eq!(count(UnitCell::Diamond, [2, 1, 2]), 64);
    }
}
