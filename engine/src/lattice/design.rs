//! The designed struts: nodes and what joins them, from a list in JSON or from the nominal's mesh.

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::LatticeError;
use crate::frame::Bounds;

/// Bytes of a strut list at most.
pub const MAX_BYTES: usize = 64 << 20;
/// Struts, and nodes, at most.
const MOST: usize = 100_000;
/// Struts that may run beside one strut.
const MOST_BESIDE: usize = 1024;
/// Largest coordinate and diameter, mm: that of a mesh.
const FAR_MM: f64 = 1e6;

/// Nodes nearer to each other than this share of the thinnest strut's diameter are one.
const SAME_PLACE: f64 = 1e-3;

/// A strut between two nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strut {
    pub ends: [u32; 2],
    pub diameter_mm: f64,
}

/// Nodes and struts in the nominal frame; every strut joins two nodes apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    nodes: Vec<Point3<f64>>,
    struts: Vec<Strut>,
    /// Edge of the cells that the struts were found on, mm; `None` of a list.
    pub(super) found_on_mm: Option<f64>,
}

/// A strut list as its file holds it: nodes in mm in the nominal frame, struts as two nodes, counted from 0, and a diameter in mm.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    nodes: Vec<[f64; 3]>,
    struts: Vec<(u32, u32, f64)>,
}

impl Design {
    /// Nodes of one place (nearer than a thousandth of the thinnest diameter) are one: struts name the first of them, the others stay without.
    pub fn new(nodes: Vec<Point3<f64>>, mut struts: Vec<Strut>) -> Result<Design, LatticeError> {
        for (what, found) in [("nodes", nodes.len()), ("struts", struts.len())] {
            if found == 0 || found > MOST {
                return Err(LatticeError::Count { what, found });
            }
        }
        if let Some(node) = nodes.iter().position(|p| !p.iter().all(|x| x.abs() < FAR_MM)) {
            return Err(LatticeError::Place { node });
        }
        for (strut, Strut { ends, diameter_mm }) in struts.iter().enumerate() {
            if let Some(&node) = ends.iter().find(|&&n| n as usize >= nodes.len()) {
                return Err(LatticeError::NoNode { strut, node, last: nodes.len() - 1 });
            }
            if !(*diameter_mm > 0.0 && *diameter_mm < FAR_MM) {
                return Err(LatticeError::Diameter { strut, found: diameter_mm.to_string() });
            }
            let [a, b] = ends.map(|n| nodes[n as usize]);
            if (b - a).norm() <= 1e-6 * diameter_mm {
                return Err(LatticeError::NoLength { strut });
            }
        }
        let thinnest = struts.iter().map(|s| s.diameter_mm).fold(f64::INFINITY, f64::min);
        let first = firsts(&nodes, SAME_PLACE * thinnest);
        struts.iter_mut().for_each(|s| s.ends = s.ends.map(|n| first[n as usize]));
        if let Some(strut) = struts.iter().position(|s| s.ends[0] == s.ends[1]) {
            return Err(LatticeError::NoLength { strut });
        }
        let mut pairs: Vec<([u32; 2], usize)> =
            struts.iter().enumerate().map(|(n, s)| ([s.ends[0].min(s.ends[1]), s.ends[0].max(s.ends[1])], n)).collect();
        pairs.sort_unstable();
        match pairs.windows(2).find(|w| w[0].0 == w[1].0) {
            Some(twice) => Err(LatticeError::Twice { strut: twice[1].1, first: twice[0].1 }),
            None => Ok(Design { nodes, struts, found_on_mm: None }),
        }
    }

    /// The same, found on cells of this width.
    pub(super) fn found_on(self, cell_mm: f64) -> Design {
        Design { found_on_mm: Some(cell_mm), ..self }
    }

    /// Reads a strut list: `{"nodes": [[x, y, z], …], "struts": [[i, j, diameter], …]}`.
    pub fn parse(bytes: &[u8]) -> Result<Design, LatticeError> {
        if bytes.len() > MAX_BYTES {
            return Err(LatticeError::TooLarge { bytes: bytes.len() });
        }
        let List { nodes, struts } = serde_json::from_slice(bytes).map_err(|e| LatticeError::Syntax {
            detail: e.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect(),
        })?;
        let struts = struts.into_iter().map(|(i, j, diameter_mm)| Strut { ends: [i, j], diameter_mm }).collect();
        Design::new(nodes.into_iter().map(Point3::from).collect(), struts)
    }

    /// The list as [`Design::parse`] reads it.
    pub fn to_json(&self) -> String {
        let list = List {
            nodes: self.nodes.iter().map(|p| [p.x, p.y, p.z]).collect(),
            struts: self.struts.iter().map(|s| (s.ends[0], s.ends[1], s.diameter_mm)).collect(),
        };
        serde_json::to_string(&list).unwrap_or_default() // numbers alone, all of them finite
    }

    pub fn nodes(&self) -> &[Point3<f64>] {
        &self.nodes
    }

    pub fn struts(&self) -> &[Strut] {
        &self.struts
    }

    pub fn segment(&self, strut: usize) -> Segment {
        let Strut { ends: [a, b], diameter_mm } = self.struts[strut];
        Segment { from: self.nodes[a as usize], to: self.nodes[b as usize], radius_mm: 0.5 * diameter_mm }
    }

    pub fn segments(&self) -> Vec<Segment> {
        (0..self.struts.len()).map(|s| self.segment(s)).collect()
    }

    /// Some of the struts; `None` of none.
    pub(super) fn with_struts(&self, chosen: &[usize]) -> Option<Design> {
        let struts: Vec<Strut> = chosen.iter().map(|&s| self.struts[s]).collect();
        (!struts.is_empty()).then(|| Design { struts, ..self.clone() })
    }

    /// The same struts between nodes moved by so much.
    pub(super) fn moved(&self, by: &[Vector3<f64>]) -> Design {
        Design { nodes: self.nodes.iter().zip(by).map(|(p, by)| p + by).collect(), ..self.clone() }
    }

    /// Refuses a strut whose middle is not within the bounds of the nominal and its own diameter beyond.
    pub fn within(&self, bounds: &Bounds) -> Result<(), LatticeError> {
        let outside = |s: &usize| {
            let segment = self.segment(*s);
            let room = Vector3::repeat(2.0 * segment.radius_mm);
            !Bounds { min: bounds.min - room, max: bounds.max + room }.contains(&segment.middle()) || room.x > bounds.diagonal_mm()
        };
        (0..self.struts.len()).find(outside).map_or(Ok(()), |strut| Err(LatticeError::Outside { strut }))
    }

    /// For every strut those whose boxes come within its own `reach` diameters.
    pub(super) fn beside(&self, reach: f64) -> Result<Vec<Vec<u32>>, LatticeError> {
        let boxes: Vec<Bounds> = self.segments().iter().map(|s| s.hull(2.0 * reach * s.radius_mm)).collect();
        let all = Bounds::of(boxes.iter().flat_map(|b| [&b.min, &b.max]));
        let axis = (all.max - all.min).imax();
        let mut order: Vec<u32> = (0..boxes.len() as u32).collect();
        let low = |s: u32| boxes[s as usize].min[axis];
        order.sort_by(|&a, &b| low(a).total_cmp(&low(b)).then(a.cmp(&b)));
        let longest = boxes.iter().map(|b| b.max[axis] - b.min[axis]).fold(0.0, f64::max);
        let of = |strut: usize| {
            let Bounds { min, max } = boxes[strut];
            let from = order.partition_point(|&s| low(s) < min[axis] - longest);
            let meets = |other: u32| {
                let other_box = &boxes[other as usize];
                other as usize != strut && (0..3).all(|a| other_box.min[a] <= max[a] && min[a] <= other_box.max[a])
            };
            let mut found: Vec<u32> =
                order[from..].iter().copied().take_while(|&s| low(s) <= max[axis]).filter(|&s| meets(s)).take(MOST_BESIDE + 1).collect();
            found.sort_unstable();
            if found.len() > MOST_BESIDE { Err(LatticeError::Crowded { strut }) } else { Ok(found) }
        };
        (0..boxes.len()).into_par_iter().map(of).collect::<Vec<_>>().into_iter().collect()
    }
}

/// For every node the first that lies at its place: no farther from it than `near_mm`, or than that from one that does.
fn firsts(nodes: &[Point3<f64>], near_mm: f64) -> Vec<u32> {
    let key = |p: &Point3<f64>| [p.x, p.y, p.z].map(|x| (x / near_mm).floor() as i64);
    let mut keyed: Vec<([i64; 3], u32)> = nodes.iter().zip(0..).map(|(p, n)| (key(p), n)).collect();
    keyed.sort_unstable();
    let mut first: Vec<u32> = (0..nodes.len() as u32).collect();
    for n in 0..nodes.len() {
        let [i, j, k] = key(&nodes[n]);
        // The first of each cell around stands for all of it.
        let cells = (0..27).map(|c: i64| [(i, c % 3), (j, c / 3 % 3), (k, c / 9)].map(|(x, aside)| x.saturating_add(aside - 1)));
        let least =
            |cell: [i64; 3]| keyed.get(keyed.partition_point(|(key, _)| *key < cell)).filter(|(key, _)| *key == cell).map(|(_, m)| *m);
        let near = cells.filter_map(least).filter(|&m| (nodes[m as usize] - nodes[n]).norm() <= near_mm);
        first[n] = near.fold(n as u32, |least, m| least.min(first[m as usize]));
    }
    first
}

/// A straight strut in space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    pub from: Point3<f64>,
    pub to: Point3<f64>,
    pub radius_mm: f64,
}

impl Segment {
    pub fn length_mm(&self) -> f64 {
        (self.to - self.from).norm()
    }

    /// Unit vector from the first end to the second.
    pub fn axis(&self) -> Vector3<f64> {
        (self.to - self.from) / self.length_mm()
    }

    pub fn middle(&self) -> Point3<f64> {
        nalgebra::center(&self.from, &self.to)
    }

    /// Distance of a point to the centre line, mm.
    pub fn axis_distance_mm(&self, p: &Point3<f64>) -> f64 {
        let along = self.to - self.from;
        let t = ((p - self.from).dot(&along) / along.norm_squared()).clamp(0.0, 1.0);
        (p - self.from - along * t).norm()
    }

    /// The box around the strut and a margin.
    pub(super) fn hull(&self, margin_mm: f64) -> Bounds {
        let room = Vector3::repeat(self.radius_mm + margin_mm);
        Bounds { min: self.from.inf(&self.to) - room, max: self.from.sup(&self.to) + room }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_back_as_it_was_written() {
        let design = Design::parse(b"{\"nodes\": [[0, 0, 0], [1.5, 0, 0], [0, 0.1, 2]], \"struts\": [[0, 1, 0.4], [2, 0, 0.25]]}").unwrap();
        assert_eq!(design.struts()[1], Strut { ends: [2, 0], diameter_mm: 0.25 });
        assert_eq!(Design::parse(design.to_json().as_bytes()), Ok(design));
    }

    #[test]
    fn nodes_of_one_place_are_one_and_a_strut_over_them_is_told_as_listed_twice() {
        let list = |struts: &str| {
            format!("{{\"nodes\": [[0,0,0],[2,0,0],[2.0001,0,0],[4,0,0],[0,0.0001,0],[0,2,0],[2,0.4,0]], \"struts\": [{struts}]}}")
        };
        let parse = |struts: &str| Design::parse(list(struts).as_bytes());
        let ends: Vec<[u32; 2]> = parse("[0,1,0.4],[2,3,0.4],[5,4,0.4],[6,3,0.4]").unwrap().struts().iter().map(|s| s.ends).collect();
        assert_eq!(ends, [[0, 1], [1, 3], [5, 0], [6, 3]]);
        assert_eq!(parse("[0,1,0.4],[2,4,0.4]"), Err(LatticeError::Twice { strut: 1, first: 0 }));
        assert_eq!(parse("[0,1,0.4],[1,2,0.4]"), Err(LatticeError::NoLength { strut: 1 }));
        // Beside each other by more than a thousandth of the thinnest diameter they are two.
        assert_eq!(parse("[0,1,0.4],[2,3,0.09]").unwrap().struts()[1].ends, [2, 3]);
    }

    #[test]
    fn what_is_no_list_of_struts_is_refused_by_its_fault() {
        let cases: [(&str, &str); 12] = [
            ("", "lattice.syntax"),
            ("[[[[[", "lattice.syntax"),
            ("{\"nodes\": [[0, 0, 0]], \"struts\": []}", "lattice.count"),
            ("{\"nodes\": [], \"struts\": [[0, 1, 1]]}", "lattice.count"),
            ("{\"nodes\": [[0, 0, 0], [1, 0, 0]], \"struts\": [[0, 2, 1]]}", "lattice.no_node"),
            ("{\"nodes\": [[0, 0, 0], [1, 0, 0]], \"struts\": [[0, -1, 1]]}", "lattice.syntax"),
            ("{\"nodes\": [[0, 0, 0], [1, 0, 0]], \"struts\": [[0, 1, 0]]}", "lattice.diameter"),
            ("{\"nodes\": [[0, 0, 0], [1, 0, 0]], \"struts\": [[1, 1, 0.1]]}", "lattice.no_length"),
            ("{\"nodes\": [[0, 0, 0], [1, 0, 0]], \"struts\": [[0, 1, 0.1], [1, 0, 0.1]]}", "lattice.twice"),
            ("{\"nodes\": [[0, 0, 0], [1e9, 0, 0]], \"struts\": [[0, 1, 0.1]]}", "lattice.place"),
            ("{\"nodes\": [[0, 0], [1, 0]], \"struts\": [[0, 1, 0.1]]}", "lattice.syntax"),
            ("{\"nodes\": [[0, 0, 0]], \"struts\": [[0, 1, 1]], \"more\": 1}", "lattice.syntax"),
        ];
        for (text, code) in cases {
            assert_eq!(Design::parse(text.as_bytes()).map_err(|e| e.code()), Err(code), "{text}");
        }
    }
}
