//! The skeleton as a graph: where its curves meet, end and bend, and how thick the solid is along them.

use std::collections::{BTreeMap, BTreeSet};

use nalgebra::Point3;

use crate::solid::Lattice;

/// Ends of curves and the straight pieces between them.
pub(super) struct Graph {
    pub nodes: Vec<Point3<f64>>,
    pub pieces: Vec<Piece>,
}

pub(super) struct Piece {
    pub ends: [usize; 2],
    /// Median radius of the inscribed balls along it, mm.
    pub radius_mm: f64,
}

/// Curves bend where they leave their chord by more than this share of their radius and this many cells.
const BEND: (f64, f64) = (0.6, 2.0);
/// Along a rod the radius stays below this many times its lower quartile.
const STEPPED: f64 = 1.6;
/// Loose ends shorter than this many radii where they begin, and two cells, are spurs.
const SPUR: f64 = 1.2;

/// A curve of cells from one cluster to another, clusters left out.
struct Curve {
    ends: [usize; 2],
    cells: Vec<u32>,
}

/// Skeleton cells with their neighbours.
struct Cells<'a> {
    ids: &'a [u32],
    lattice: Lattice,
    squares: &'a [u32],
}

impl Cells<'_> {
    fn neighbours(&self, cell: u32) -> Vec<u32> {
        let [nx, ny, _] = self.lattice.dims.map(|n| n as i64);
        let mut found = vec![];
        for dk in -1..=1 {
            for dj in -1..=1 {
                for di in -1..=1 {
                    let other = i64::from(cell) + di + nx * (dj + ny * dk);
                    if other != i64::from(cell) && u32::try_from(other).is_ok_and(|o| self.ids.binary_search(&o).is_ok()) {
                        found.push(other as u32);
                    }
                }
            }
        }
        found
    }

    fn place(&self, cell: u32) -> Point3<f64> {
        let [nx, ny, _] = self.lattice.dims;
        let c = cell as usize;
        Point3::new(self.lattice.centre(0, c % nx), self.lattice.centre(1, c / nx % ny), self.lattice.centre(2, c / (nx * ny)))
    }

    /// Radius of the ball around a cell: the surface lies half-way to the nearest cell outside.
    fn radius_mm(&self, cell: u32) -> f64 {
        (f64::from(self.squares[cell as usize]).sqrt() - 0.5) * self.lattice.step_mm
    }
}

pub(super) fn graph(ids: &[u32], squares: &[u32], lattice: Lattice) -> Graph {
    let cells = Cells { ids, lattice, squares };
    let (mut clusters, mut curves) = curves(&cells);
    let radius = |cluster: &[u32]| cluster.iter().map(|&c| cells.radius_mm(c)).fold(0.0, f64::max);
    let place = |cluster: &[u32]| {
        let sum = cluster.iter().fold(nalgebra::Vector3::zeros(), |s, &c| s + cells.place(c).coords);
        Point3::from(sum / cluster.len() as f64)
    };
    let length = |c: &Curve| (c.cells.len() + 1) as f64 * lattice.step_mm;
    // Spurs go; what meets in one body's middle is one node.
    let mut degree = vec![0usize; clusters.len()];
    curves.iter().flat_map(|c| c.ends).for_each(|e| degree[e] += 1);
    curves.retain(|c| {
        let [a, b] = c.ends;
        let loose = (degree[a] == 1) != (degree[b] == 1);
        let from = if degree[a] == 1 { b } else { a };
        !(loose && length(c) < SPUR * radius(&clusters[from]) + 2.0 * lattice.step_mm)
    });
    let mut group: Vec<usize> = (0..clusters.len()).collect();
    for c in &curves {
        let [a, b] = c.ends;
        let (p, q) = (place(&clusters[a]), place(&clusters[b]));
        let reach = radius(&clusters[a]).max(radius(&clusters[b])) + lattice.step_mm;
        if a != b && (p - q).norm() < reach && length(c) < 2.0 * reach {
            let (low, high) = (root(&group, a).min(root(&group, b)), root(&group, a).max(root(&group, b)));
            group[high] = low;
        }
    }
    for n in 0..clusters.len() {
        let to = root(&group, n);
        if to != n {
            let moved = std::mem::take(&mut clusters[n]);
            clusters[to].extend(moved);
        }
    }
    let mut nodes: Vec<Point3<f64>> = clusters.iter().map(|c| if c.is_empty() { Point3::origin() } else { place(c) }).collect();
    let mut pieces = vec![];
    for c in &curves {
        let ends = c.ends.map(|e| root(&group, e));
        let radii: Vec<f64> = c.cells.iter().map(|&cell| cells.radius_mm(cell)).collect();
        let Some(thin) = quantile(&radii, 0.25) else { continue };
        let places: Vec<Point3<f64>> = c.cells.iter().map(|&cell| cells.place(cell)).collect();
        let mut corners = vec![];
        bends(&nodes[ends[0]], &places, &nodes[ends[1]], (BEND.0 * thin).max(BEND.1 * lattice.step_mm), 0, &mut corners);
        // Where a rod runs into a plate or a solid.
        corners.extend((1..radii.len()).filter(|&k| (radii[k - 1] > STEPPED * thin) != (radii[k] > STEPPED * thin)));
        corners.sort_unstable();
        corners.dedup();
        let (mut from, mut first) = (ends[0], 0);
        for at in corners.into_iter().chain([radii.len()]) {
            let to = if at == radii.len() { ends[1] } else { nodes.len() };
            if let Some(&place) = places.get(at) {
                nodes.push(place);
            }
            let radius_mm = quantile(&radii[first..at], 0.5).unwrap_or(thin);
            pieces.push(Piece { ends: [from, to], radius_mm });
            (from, first) = (to, at);
        }
    }
    let pieces = straightened(&nodes, pieces, BEND.1 * lattice.step_mm);
    Graph { nodes, pieces }
}

fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get((share * sorted.len() as f64) as usize).copied()
}

/// The one that stands for the group that something is in.
pub(super) fn root(group: &[usize], mut n: usize) -> usize {
    while group[n] != n {
        n = group[n];
    }
    n
}

/// Bends of a curve where it leaves its chord by more than a tolerance (Ramer 1972, Douglas & Peucker 1973).
fn bends(from: &Point3<f64>, places: &[Point3<f64>], to: &Point3<f64>, tolerance: f64, first: usize, found: &mut Vec<usize>) {
    let chord = to - from;
    let aside = |p: &Point3<f64>| {
        let t = if chord.norm_squared() > 0.0 { ((p - from).dot(&chord) / chord.norm_squared()).clamp(0.0, 1.0) } else { 0.0 };
        (p - from - chord * t).norm()
    };
    let farthest = places.iter().enumerate().map(|(n, p)| (n, aside(p))).fold((0, 0.0), |best, x| if x.1 > best.1 { x } else { best });
    if farthest.1 > tolerance {
        let (at, corner) = (farthest.0, &places[farthest.0]);
        found.push(first + at);
        bends(from, &places[..at], corner, tolerance, first, found);
        bends(corner, &places[at + 1..], to, tolerance, first + at + 1, found);
    }
}

/// Clusters of cells where curves meet or end, and the curves between them.
fn curves(cells: &Cells) -> (Vec<Vec<u32>>, Vec<Curve>) {
    let around: BTreeMap<u32, Vec<u32>> = cells.ids.iter().map(|&c| (c, cells.neighbours(c))).collect();
    let mut cluster_of: BTreeMap<u32, usize> = BTreeMap::new();
    let mut clusters: Vec<Vec<u32>> = vec![];
    for (&cell, near) in &around {
        if near.len() == 2 || cluster_of.contains_key(&cell) {
            continue;
        }
        let (mut own, mut open) = (vec![], vec![cell]);
        cluster_of.insert(cell, clusters.len());
        while let Some(c) = open.pop() {
            own.push(c);
            for &n in around[&c].iter().filter(|n| around[&c].len() > 2 && around[*n].len() > 2) {
                if cluster_of.insert(n, clusters.len()).is_none() {
                    open.push(n);
                }
            }
        }
        clusters.push(own);
    }
    let mut walk = Walk { around: &around, seen: BTreeSet::new(), found: vec![] };
    (0..clusters.len()).for_each(|start| walk.leave(start, &clusters[start], &cluster_of));
    // A ring without a meeting place begins at its first cell.
    for &cell in cells.ids {
        if !walk.seen.contains(&cell) && !cluster_of.contains_key(&cell) {
            cluster_of.insert(cell, clusters.len());
            clusters.push(vec![cell]);
            walk.leave(clusters.len() - 1, &[cell], &cluster_of);
        }
    }
    (clusters, walk.found)
}

struct Walk<'a> {
    around: &'a BTreeMap<u32, Vec<u32>>,
    seen: BTreeSet<u32>,
    found: Vec<Curve>,
}

impl Walk<'_> {
    /// Follows every curve that leaves a cluster.
    fn leave(&mut self, start: usize, cluster: &[u32], cluster_of: &BTreeMap<u32, usize>) {
        for &from in cluster {
            for &first in &self.around[&from] {
                match cluster_of.get(&first) {
                    // An end beside a meeting place.
                    Some(&other) if other > start => self.found.push(Curve { ends: [start, other], cells: vec![] }),
                    Some(_) => {}
                    None if self.seen.contains(&first) => {}
                    None => self.follow(start, from, first, cluster_of),
                }
            }
        }
    }

    fn follow(&mut self, start: usize, from: u32, first: u32, cluster_of: &BTreeMap<u32, usize>) {
        let (mut cells, mut before, mut at) = (vec![], from, first);
        let end = loop {
            self.seen.insert(at);
            cells.push(at);
            // Two neighbours each: the one not come from goes on; a ring comes back to its cluster.
            let Some(&next) = self.around[&at].iter().find(|&&n| n != before && !self.seen.contains(&n)) else { break start };
            if let Some(&cluster) = cluster_of.get(&next) {
                break cluster;
            }
            (before, at) = (at, next);
        };
        self.found.push(Curve { ends: [start, end], cells });
    }
}

/// Joins the two pieces at a node where nothing else meets and which lies on the straight line between their other ends.
fn straightened(nodes: &[Point3<f64>], mut pieces: Vec<Piece>, tolerance_mm: f64) -> Vec<Piece> {
    let mut at = vec![vec![]; nodes.len()];
    pieces.iter().enumerate().for_each(|(n, p)| p.ends.iter().for_each(|&e| at[e].push(n)));
    let mut gone = vec![false; pieces.len()];
    for node in 0..nodes.len() {
        let &[a, b] = at[node].as_slice() else { continue };
        let far = |piece: &Piece| if piece.ends[0] == node { piece.ends[1] } else { piece.ends[0] };
        let (p, q) = (far(&pieces[a]), far(&pieces[b]));
        if a == b || p == q || p == node || q == node {
            continue;
        }
        let radii = [pieces[a].radius_mm, pieces[b].radius_mm];
        let mut corners = vec![];
        let tolerance = tolerance_mm.max(BEND.0 * radii[0].min(radii[1]));
        bends(&nodes[p], &[nodes[node]], &nodes[q], tolerance, 0, &mut corners);
        if corners.is_empty() && radii[0].max(radii[1]) <= STEPPED * radii[0].min(radii[1]) {
            let radius_mm = 0.5 * (radii[0] + radii[1]);
            pieces[a] = Piece { ends: [p, q], radius_mm };
            gone[b] = true;
            at[q].iter_mut().filter(|n| **n == b).for_each(|n| *n = a);
        }
    }
    let mut n = 0;
    pieces.retain(|_| (!gone[n], n += 1).0);
    pieces
}
