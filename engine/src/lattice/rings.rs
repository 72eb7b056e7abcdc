//! The rings that struts make: closed ways of three to six struts that are no sum of shorter ones.
//!
//! A sum of closed ways is what an odd number of them pass; rings that are no sum of shorter ones are the strong rings (Goetzke & Klein
//! 1991), or relevant cycles (Vismara 1997): none has a shortcut, and none goes round a cage whose smaller windows are rings themselves, as
//! the four struts at an octahedron's waist do. From each node the shortest ways to the places across are gathered; two ways
//! are of one kind where one turns into the other over shorter rings, and ways of two kinds make a ring. A ring counts if it does so seen from
//! every one of its nodes. Sums that leave the shortest ways are not looked for, so a ring too many may be told.
//! Accepts nodes where up to 32 struts meet. Cost: some thousand steps a node.

use rayon::prelude::*;

use crate::error::Error;
use crate::forest::{root, unite};
use crate::runtime::Runtime;

/// Struts that meet at a node, and rings for each strut, at most: beyond, a list of struts is no lattice.
const MOST_MEETING: usize = 32;
const MOST_PER_STRUT: usize = 20;
/// Rings that have one node for their least, at most.
const MOST_AT_NODE: usize = 4096;
/// Nodes between two looks at how many rings there are.
const BATCH: usize = 512;

/// A closed way: its nodes in turn, the least first.
pub(super) type Ring = Vec<u32>;

/// The rings of struts between so many nodes, in the order of their least nodes; or why none are told.
pub(super) fn rings(nodes: usize, struts: impl Iterator<Item = [u32; 2]>, rt: &Runtime) -> Result<Result<Vec<Ring>, String>, Error> {
    let mut near: Vec<Vec<u32>> = vec![vec![]; nodes];
    let mut count = 0;
    for [a, b] in struts {
        near[a as usize].push(b);
        near[b as usize].push(a);
        count += 1;
    }
    near.iter_mut().for_each(|n| n.sort_unstable());
    if let Some(node) = near.iter().position(|n| n.len() > MOST_MEETING) {
        return Ok(Err(format!("{} struts meet at node {node}, more than {MOST_MEETING}", near[node].len())));
    }
    let graph = Graph { near };
    let mut found: Vec<Ring> = vec![];
    for (n, batch) in (0..nodes as u32).collect::<Vec<_>>().chunks(BATCH).enumerate() {
        rt.step("windows", (n * BATCH) as f64 / nodes as f64)?;
        let of: Vec<Option<Vec<Ring>>> = batch.par_iter().map(|&a| graph.rings_from(a)).collect();
        let few = of.iter().all(Option::is_some);
        found.extend(of.into_iter().flatten().flatten());
        if !few || found.len() > MOST_PER_STRUT * count {
            return Ok(Err(format!("struts make more than {MOST_PER_STRUT} rings each")));
        }
    }
    Ok(Ok(found))
}

/// Nodes with their neighbours, ascending.
struct Graph {
    near: Vec<Vec<u32>>,
}

/// A shortest way of three struts between two nodes, by the two nodes on it, and its kind.
#[derive(Clone, Copy)]
struct Way {
    first: u32,
    second: u32,
    kind: u32,
}

impl Graph {
    fn near(&self, a: u32) -> &[u32] {
        &self.near[a as usize]
    }

    fn joined(&self, a: u32, b: u32) -> bool {
        self.near(a).binary_search(&b).is_ok()
    }

    fn common(&self, a: u32, b: u32) -> impl Iterator<Item = u32> + '_ {
        self.near(a).iter().copied().filter(move |&n| self.joined(n, b))
    }

    /// The rings of which a node is the least; `None` if they are too many.
    fn rings_from(&self, a: u32) -> Option<Vec<Ring>> {
        let mut found = vec![];
        let [second, third] = self.shells(a);
        for (n, &p) in self.near(a).iter().enumerate().filter(|(_, p)| **p > a) {
            found.extend(self.near(a)[n + 1..].iter().filter(|q| self.joined(p, **q)).map(|&q| vec![a, p, q]));
        }
        for &z in second.iter().filter(|z| **z > a) {
            for (p, q) in self.pairs(a, z).into_iter().filter(|(p, q)| *p > a && *q > a) {
                if self.pairs(p, q).iter().any(|&(x, y)| (x.min(y), x.max(y)) == (a.min(z), a.max(z))) {
                    found.push(vec![a, p, z, q]);
                }
            }
        }
        for &y in second.iter().filter(|y| **y > a) {
            for &z in self.near(y).iter().filter(|z| **z > a && second.binary_search(z).is_ok()) {
                if !self.meets_edge(a, y, z) {
                    continue;
                }
                for p in self.common(a, y).filter(|p| *p > a) {
                    // Either way round once.
                    found.extend(self.common(a, z).filter(|q| *q > p).map(|q| vec![a, p, y, z, q]).filter(|ring| self.is_five(ring)));
                }
            }
        }
        for &z in third.iter().filter(|z| **z > a) {
            let ways = self.ways(a, z);
            for (n, v) in ways.iter().enumerate() {
                for w in ways[n + 1..].iter().filter(|w| w.kind != v.kind) {
                    let ring = vec![a, v.first, v.second, z, w.second, w.first];
                    if ring[1..].iter().all(|&n| n > a) && self.is_six(&ring) {
                        found.push(ring);
                    }
                }
            }
            if found.len() > MOST_AT_NODE {
                return None;
            }
        }
        (found.len() <= MOST_AT_NODE).then_some(found)
    }

    /// Nodes two and three struts away, ascending.
    fn shells(&self, a: u32) -> [Vec<u32>; 2] {
        let beyond = |from: &[u32], seen: &[&[u32]]| {
            let mut next: Vec<u32> = from.iter().flat_map(|&p| self.near(p)).copied().collect();
            next.sort_unstable();
            next.dedup();
            next.retain(|n| seen.iter().all(|s| s.binary_search(n).is_err()));
            next
        };
        let second = beyond(self.near(a), &[&[a], self.near(a)]);
        let third = beyond(&second, &[self.near(a), &second]);
        [second, third]
    }

    /// Of the nodes between two that are two struts apart the pairs that no triangles join.
    fn pairs(&self, a: u32, z: u32) -> Vec<(u32, u32)> {
        let between: Vec<u32> = self.common(a, z).collect();
        let mut kinds = Kinds::new(between.len());
        kinds.join(|n, m| self.joined(between[n], between[m]));
        let all = (0..between.len()).flat_map(|n| (n + 1..between.len()).map(move |m| (n, m)));
        all.filter(|&(n, m)| kinds.of(n) != kinds.of(m)).map(|(n, m)| (between[n], between[m])).collect()
    }

    /// Whether two ways of two struts from a node to the ends of a strut make no sum of shorter rings with it.
    fn meets_edge(&self, a: u32, y: u32, z: u32) -> bool {
        let apart = |p: u32| self.common(a, z).all(|q| p != q && !self.joined(p, q));
        !self.joined(a, y) && !self.joined(a, z) && self.common(a, y).all(apart)
    }

    fn is_five(&self, ring: &[u32]) -> bool {
        (1..5).all(|n| self.meets_edge(ring[n], ring[(n + 2) % 5], ring[(n + 3) % 5]))
    }

    /// The shortest ways between two nodes that are three struts apart.
    fn ways(&self, a: u32, z: u32) -> Vec<Way> {
        let way = |first: u32| self.common(first, z).map(move |second| Way { first, second, kind: 0 });
        let mut ways: Vec<Way> = self.near(a).iter().flat_map(|&first| way(first)).collect();
        if ways.len() < 2 {
            return ways;
        }
        let mut on: Vec<u32> = ways.iter().flat_map(|w| [w.first, w.second]).collect();
        on.sort_unstable();
        on.dedup();
        let at = |node: u32| on.partition_point(|&n| n < node);
        let mut kinds = Kinds::new(on.len());
        ways.iter().for_each(|w| kinds.unite(at(w.first), at(w.second)));
        // Nodes beside one end and those beside the other: two of a side are of a kind if a triangle joins them, two of both if a strut or two join them.
        let beside = |n: usize| self.joined(a, on[n]);
        kinds.join(|n, m| self.joined(on[n], on[m]) || (beside(n) != beside(m) && self.common(on[n], on[m]).next().is_some()));
        ways.iter_mut().for_each(|w| w.kind = kinds.of(at(w.first)));
        ways
    }

    /// Whether a ring of six is one from the places across beside the first as well.
    fn is_six(&self, ring: &[u32]) -> bool {
        (1..3).all(|n| {
            let at = |k: usize| ring[(n + k) % 6];
            let far = !self.joined(at(0), at(3)) && self.common(at(0), at(3)).next().is_none();
            let ways = self.ways(at(0), at(3));
            let kind = |first, second| ways.iter().find(|w| (w.first, w.second) == (first, second)).map(|w| w.kind);
            far && kind(at(1), at(2)) != kind(at(5), at(4))
        })
    }
}

/// What hangs together, of a few.
struct Kinds {
    parent: Vec<u32>,
}

impl Kinds {
    fn new(count: usize) -> Kinds {
        Kinds { parent: (0..count as u32).collect() }
    }

    fn unite(&mut self, n: usize, m: usize) {
        unite(&mut self.parent, n as u32, m as u32);
    }

    fn of(&mut self, n: usize) -> u32 {
        root(&mut self.parent, n as u32)
    }

    /// Joins every two that belong together.
    fn join(&mut self, together: impl Fn(usize, usize) -> bool) {
        for n in 0..self.parent.len() {
            for m in n + 1..self.parent.len() {
                if self.of(n) != self.of(m) && together(n, m) {
                    self.unite(n, m);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::struts::{Framework, UnitCell};

    fn of(nodes: usize, struts: &[[u32; 2]]) -> Result<Vec<Ring>, String> {
        rings(nodes, struts.iter().copied(), &Runtime::cpu()).unwrap()
    }

    /// Nodes that repeat in cells, joined at a distance, so that the last cell borders on the first: every node is like those of an endless lattice.
    fn endless(places: &[[i32; 3]], side: i32, square: i32) -> Vec<[u32; 2]> {
        const CELLS: i32 = 4;
        let all: Vec<[i32; 3]> = (0..CELLS * CELLS * CELLS)
            .flat_map(|n| {
                places.iter().map(move |p| [p[0] + side * (n % CELLS), p[1] + side * (n / CELLS % CELLS), p[2] + side * (n / 16)])
            })
            .collect();
        let far = |p: &[i32; 3], q: &[i32; 3]| {
            let along = |a: usize| {
                let d = (p[a] - q[a]).rem_euclid(side * CELLS);
                d.min(side * CELLS - d)
            };
            (0..3).map(|a| along(a) * along(a)).sum::<i32>()
        };
        let mut struts = vec![];
        for n in 0..all.len() {
            struts.extend((n + 1..all.len()).filter(|&m| far(&all[n], &all[m]) == square).map(|m| [n as u32, m as u32]));
        }
        struts
    }

    #[test]
    fn the_cells_of_endless_lattices_have_the_windows_of_their_structure() {
        // Eight cubes, so that eight struts lead around.
        let cubic: Vec<[i32; 3]> = (0..8).map(|n| [n & 1, n >> 1 & 1, n >> 2]).collect();
        let centred = [[0, 0, 0], [1, 1, 1]];
        let faces = [[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]];
        let diamond: Vec<[i32; 3]> = faces.iter().map(|f| f.map(|x| 2 * x)).flat_map(|f| [f, f.map(|x| x + 1)]).collect();
        let kelvin: Vec<[i32; 3]> = (0..64)
            .map(|n| [n % 4, n / 4 % 4, n / 16])
            .filter(|p| {
                // Corners of the truncated octahedra about (0, 0, 0) and (2, 2, 2): places like (0, 1, 2).
                let mut from = p.map(|x| x.min(4 - x));
                from.sort_unstable();
                from == [0, 1, 2]
            })
            .collect();
        assert_eq!((diamond.len(), kelvin.len()), (8, 12));
        // Squares of the cube: 3; of the centred cell the rings of four: 12 skew ones and 12 across the faces and along the edges; of the octet truss
        // the faces of 8 tetrahedra, each shared with an octahedron: 32; of diamond the chairs: two for each of 8 nodes: 16; of Kelvin's
        // cell, two of which are in the cube, half of 2 · (6 squares + 8 hexagons).
        for (name, places, side, square, windows) in [
            ("simple cubic", cubic.as_slice(), 2, 1, [0, 8 * 3, 0, 0]),
            ("body-centred", &centred, 2, 3, [0, 24, 0, 0]),
            ("octet", &faces, 2, 2, [32, 0, 0, 0]),
            ("diamond", &diamond, 4, 3, [0, 0, 0, 16]),
            ("Kelvin", &kelvin, 4, 2, [0, 6, 0, 8]),
        ] {
            let found = of(64 * places.len(), &endless(places, side, square)).unwrap();
            let count = |length: usize| found.iter().filter(|r| r.len() == length).count();
            assert_eq!([3, 4, 5, 6].map(count), windows.map(|n| 64 * n), "{name}");
            let mut nodes: Vec<Ring> = found.clone();
            nodes.iter_mut().for_each(|r| r.sort_unstable());
            nodes.sort_unstable();
            nodes.dedup();
            assert_eq!(nodes.len(), found.len(), "{name}: a ring is told twice");
        }
    }

    #[test]
    fn a_dodecahedron_has_twelve_windows_and_a_ring_of_seven_none() {
        // Two pentagons with a zigzag of ten between them.
        let around = |from: u32, n: u32| (0..n).map(move |k| [from + k, from + (k + 1) % n]);
        let mut struts: Vec<[u32; 2]> = around(0, 5).chain(around(5, 5)).chain(around(10, 10)).collect();
        struts.extend((0..5).flat_map(|k| [[k, 10 + 2 * k], [5 + k, 11 + 2 * k]]));
        let found = of(20, &struts).unwrap();
        assert!(found.len() == 12 && found.iter().all(|r| r.len() == 5), "{found:?}");
        for n in 3..8 {
            let found = of(n as usize, &around(0, n).collect::<Vec<_>>()).unwrap();
            assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), if n < 7 { vec![n as usize] } else { vec![] });
        }
    }

    #[test]
    fn a_square_around_an_octahedron_is_no_window_and_one_between_cubes_is() {
        let octahedron = [[0, 1], [1, 2], [2, 3], [3, 0], [4, 0], [4, 1], [4, 2], [4, 3], [5, 0], [5, 1], [5, 2], [5, 3]];
        let found = of(6, &octahedron).unwrap();
        assert!(found.len() == 8 && found.iter().all(|r| r.len() == 3), "{found:?}");
        let f = Framework::of(UnitCell::SimpleCubic, [2, 2, 1], [2.0; 3], 0.4);
        let found = of(f.nodes.len(), &f.struts.iter().map(|s| [s.0, s.1]).collect::<Vec<_>>()).unwrap();
        assert!(found.len() == 20 && found.iter().all(|r| r.len() == 4));
    }

    #[test]
    fn what_is_no_lattice_has_no_rings_but_a_reason() {
        let star: Vec<[u32; 2]> = (1..40).map(|n| [0, n]).collect();
        assert!(of(40, &star).unwrap_err().starts_with("39 struts meet at node 0, more than 32"));
        let all: Vec<[u32; 2]> = (0..30).flat_map(|n| (30..60).map(move |m| [n, m])).collect();
        assert_eq!(of(60, &all), Err("struts make more than 20 rings each".into()));
    }
}
