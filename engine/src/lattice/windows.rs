//! Openings that the design leaves between struts: rings of three or four struts without a strut across.

use nalgebra::{Point3, Vector3};

use super::Design;

/// An opening with the nodes around it.
pub(super) struct Window {
    corners: Vec<Point3<f64>>,
}

/// Windows for each strut at most: beyond, a list of struts is no lattice.
const MOST_PER_STRUT: usize = 20;
/// Points along a side of each of a window's triangles.
const POINTS: usize = 6;

/// The windows of a design, in the order of their nodes.
pub(super) fn windows(design: &Design) -> Vec<Window> {
    let mut near: Vec<Vec<u32>> = vec![vec![]; design.nodes().len()];
    for strut in design.struts() {
        let [a, b] = strut.ends;
        near[a as usize].push(b);
        near[b as usize].push(a);
    }
    near.iter_mut().for_each(|n| n.sort_unstable());
    let joined = |a: u32, b: u32| near[a as usize].binary_search(&b).is_ok();
    let most = MOST_PER_STRUT * design.struts().len();
    let mut found: Vec<Vec<u32>> = vec![];
    for a in 0..near.len() as u32 {
        let mut opposite: Vec<(u32, u32)> = vec![];
        for &b in near[a as usize].iter().filter(|b| **b > a) {
            for &c in near[b as usize].iter().filter(|c| **c > a) {
                match joined(a, c) {
                    true if c > b => found.push(vec![a, b, c]),
                    false => opposite.push((c, b)),
                    true => {}
                }
            }
        }
        // Two ways to the same node across make a ring of four; `a` is its least node, so it is met once.
        opposite.sort_unstable();
        for (n, &(c, b)) in opposite.iter().enumerate() {
            let others = opposite[n + 1..].iter().take_while(|o| o.0 == c);
            found.extend(others.filter(|o| !joined(b, o.1)).map(|o| vec![a, b, c, o.1]));
        }
        if found.len() > most {
            return vec![];
        }
    }
    let place = |ring: Vec<u32>| Window { corners: ring.into_iter().map(|n| design.nodes()[n as usize]).collect() };
    found.into_iter().map(place).collect()
}

impl Window {
    pub fn centre(&self) -> Point3<f64> {
        Point3::from(self.corners.iter().fold(Vector3::zeros(), |s, p| s + p.coords) / self.corners.len() as f64)
    }

    /// Points spread over the fan of triangles around the centre.
    pub fn points(&self) -> impl Iterator<Item = Point3<f64>> + '_ {
        let centre = self.centre();
        let side = POINTS as f64;
        (0..self.corners.len()).flat_map(move |n| {
            let (a, b) = (self.corners[n] - centre, self.corners[(n + 1) % self.corners.len()] - centre);
            (0..POINTS)
                .flat_map(move |i| (0..POINTS - i).map(move |j| centre + a * ((i as f64 + 0.33) / side) + b * ((j as f64 + 0.33) / side)))
        })
    }
}
