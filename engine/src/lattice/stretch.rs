//! How the built nodes stretch the design: an affine map by least squares, which no displaced node pulls.

use nalgebra::{Matrix3, Point3, Vector3};

use super::Node;
use crate::linear::eigen;

/// How the built nodes stretch the design: the affine map about their centre, and what its parameters rest on.
///
/// A node that was displaced is a fault of its own and no stretch: those beyond four robust standard deviations of the others' residuals
/// (their median) are left out of the map, until no more are. They count in what its parameters are uncertain by: what displaced them may have
/// moved their neighbours too.
pub(crate) struct Stretch {
    map: Matrix3<f64>,
    /// Inverse of the scatter of the nodes, 1/mm².
    inverse: Matrix3<f64>,
    centre: Vector3<f64>,
    /// Of the nodes at the centre, mm.
    shift: Vector3<f64>,
    /// Root mean square residual of a node along one axis, mm.
    residual_mm: f64,
}

/// A designed node and how far the built one lies from it.
pub(super) type Placed = (Point3<f64>, Vector3<f64>);

const FEWEST_NODES: usize = 5;
/// Standard deviations beyond which a node is displaced, and the median length of a vector of three normal numbers of one.
const DISPLACED: f64 = 4.0;
const MEDIAN_LENGTH: f64 = 1.538;
const ROUNDS: usize = 10;
/// Share of the scatter that is added to it in every direction where few nodes may span no space: of 16 nodes the noise grows at most
/// 1 / (2 √(16 · 0.005)) = 1.8 times over their own reach, and a stretch comes out 1.5 % of itself too small.
const RIDGE: f64 = 0.005;

impl Stretch {
    /// From designed places and the nodes as built; `None` unless measured nodes span space.
    pub fn of(places: &[Point3<f64>], nodes: &[Node]) -> Option<Stretch> {
        let placed: Vec<Placed> = places.iter().zip(nodes).filter_map(|(p, n)| n.offset.map(|o| (*p, o))).collect();
        Stretch::without_displaced(&placed, 0.0)
    }

    /// From a few nodes, which need not span space: without change across where they lie. `None` of none.
    pub(super) fn around(placed: &[Placed]) -> Option<Stretch> {
        Stretch::without_displaced(placed, RIDGE)
    }

    fn without_displaced(placed: &[Placed], ridge: f64) -> Option<Stretch> {
        let mut stretch = Stretch::of_all(placed, ridge)?;
        let mut kept: Vec<Placed> = placed.to_vec();
        for _ in 0..ROUNDS {
            let left: Vec<f64> = placed.iter().map(|p| stretch.left(p).norm()).collect();
            let mut sorted = left.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let limit = DISPLACED * sorted[sorted.len() / 2] / MEDIAN_LENGTH;
            let near: Vec<Placed> = placed.iter().zip(&left).filter(|(_, l)| **l <= limit).map(|(p, _)| *p).collect();
            if near == kept {
                break;
            }
            // The nodes that are left may span no space; then all of them must do.
            let Some(next) = Stretch::of_all(&near, ridge) else { break };
            (stretch, kept) = (next, near);
        }
        stretch.residual_mm = stretch.residual_mm_of(placed);
        Some(stretch)
    }

    fn of_all(placed: &[Placed], ridge: f64) -> Option<Stretch> {
        let count = placed.len() as f64;
        if placed.len() < if ridge > 0.0 { 1 } else { FEWEST_NODES } {
            return None;
        }
        let centre = placed.iter().fold(Vector3::zeros(), |s, (p, _)| s + p.coords) / count;
        let shift = placed.iter().fold(Vector3::zeros(), |s, (_, o)| s + o) / count;
        let arms = || placed.iter().map(|(p, o)| (p.coords - centre, o - shift));
        let scatter = arms().fold(Matrix3::zeros(), |s, (arm, _)| s + arm * arm.transpose());
        let scatter = scatter + Matrix3::identity() * (ridge * scatter.trace());
        let ([widest, _, least], _) = eigen(&scatter);
        let inverse = match scatter.try_inverse().filter(|_| least > 1e-3 * widest) {
            Some(inverse) => inverse,
            None if ridge > 0.0 => Matrix3::zeros(), // one place
            None => return None,
        };
        let change = arms().fold(Matrix3::zeros(), |s, (arm, o)| s + o * arm.transpose()) * inverse;
        let mut stretch = Stretch { map: Matrix3::identity() + change, inverse, centre, shift, residual_mm: 0.0 };
        stretch.residual_mm = stretch.residual_mm_of(placed);
        Some(stretch)
    }

    fn residual_mm_of(&self, placed: &[Placed]) -> f64 {
        let squares = placed.iter().map(|p| self.left(p).norm_squared()).sum::<f64>();
        (squares / (3.0 * placed.len() as f64 - 12.0).max(1.0)).sqrt()
    }

    /// What the map leaves of a node's displacement.
    fn left(&self, (place, offset): &Placed) -> Vector3<f64> {
        offset - self.displacement(place)
    }

    /// How far the map moves a designed place, mm.
    pub(super) fn displacement(&self, place: &Point3<f64>) -> Vector3<f64> {
        let arm = place.coords - self.centre;
        self.shift + (self.map * arm - arm)
    }

    /// Lengths as built over designed ones, less 1, along the three directions that stay square, largest first, each with its standard
    /// uncertainty from the scatter of the nodes.
    pub(super) fn principal(&self) -> [(f64, f64); 3] {
        let (squares, ways) = eigen(&(self.map.transpose() * self.map));
        [0, 1, 2].map(|a| (squares[a].max(0.0).sqrt() - 1.0, self.length_mm(&ways.column(a).into_owned()).1))
    }

    /// Length of a designed vector as built, and its standard uncertainty from the scatter of the nodes, mm.
    pub fn length_mm(&self, designed: &Vector3<f64>) -> (f64, f64) {
        let u = self.residual_mm * designed.dot(&(self.inverse * designed)).max(0.0).sqrt();
        ((self.map * designed).norm(), u)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::normal;

    #[test]
    fn shifted_nodes_do_not_pull_the_cell() {
        let stretch = Matrix3::new(1.01, 0.002, 0.0, 0.0, 0.995, 0.001, 0.0, 0.0, 1.02);
        let places: Vec<Point3<f64>> =
            (0..4 * 4 * 3).map(|n| Point3::new((n % 4) as f64, (n / 4 % 4) as f64, (n / 16) as f64) * 2.0).collect();
        for draw in 0..20 {
            let noise_mm = [0.003, 1e-9][draw as usize % 2];
            let offset = |n: usize| {
                stretch * places[n].coords - places[n].coords + Vector3::from_fn(|a, _| noise_mm * normal(draw, (3 * n + a) as u64))
            };
            let node = |o: Vector3<f64>| Node { offset: Some(o), noise_mm, is_crossing: true };
            let straight: Vec<Node> = (0..48).map(|n| node(offset(n))).collect();
            // An eighth of the nodes, at one corner, all pushed outwards.
            let pushed: Vec<Node> =
                (0..48).map(|n| node(offset(n) + if n % 8 == 7 { Vector3::new(0.3, 0.25, 0.2) } else { Vector3::zeros() })).collect();
            let some = |n: &usize| n % 8 != 7;
            let (kept, places_kept): (Vec<Node>, Vec<Point3<f64>>) = (0..48).filter(some).map(|n| (straight[n], places[n])).unzip();
            let (found, wanted) = (Stretch::of(&places, &pushed).unwrap(), Stretch::of(&places_kept, &kept).unwrap());
            for axis in 0..3 {
                let designed = Vector3::ith(axis, 2.0);
                // As if they were not there, and within four standard uncertainties of the truth; with them U is no smaller.
                let ((length, u), (wanted, own_u)) = (found.length_mm(&designed), wanted.length_mm(&designed));
                assert_eq!(length, wanted, "draw {draw}");
                assert!((length - (stretch * designed).norm()).abs() <= 4.0 * own_u + 1e-12, "draw {draw}: {length} ± {own_u}");
                assert!(u > own_u, "draw {draw}: {u}, {own_u}");
            }
        }
    }
}
