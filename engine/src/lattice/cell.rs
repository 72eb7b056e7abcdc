//! The unit cell: how the design repeats, and how the built nodes stretch that.
//!
//! A translation repeats the design where it carries struts onto like struts wherever it does not leave their box. Of all translations the
//! cell takes three mutually perpendicular ones, equally long ones first, as a crystal's conventional cell; where there are none
//! the three shortest that span space. The built cell is the designed one under the affine map that brings the designed nodes
//! nearest to the built ones (least squares without the displaced ones), so that it rests on every measured strut.
//! The form is told by what a cell holds: how many struts, along which directions, in fractions of the cell.

use nalgebra::{Matrix3, Point3, Vector3};

use super::{Design, Node};

/// Like places differ by less than this share of a strut's diameter, like directions and lengths by this share.
const SAME_PLACE: f64 = 0.2;
const SAME: f64 = 0.02;
/// Kinds of struts (direction, length, diameter) that are asked where their like lie.
const KINDS: usize = 8;
/// Translations looked at and kept, struts that each is tried on, share of them that it must carry onto others.
const TRIED: usize = 600;
const KEPT: usize = 60;
const SAMPLE: usize = 500;
const CARRIED: f64 = 0.97;
/// Struts that must stay in the box of all for a translation to mean anything.
const FEWEST: usize = 3;

/// A common lattice of struts, or of walls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitCell {
    SimpleCubic,
    BodyCentred,
    FaceCentred,
    Octet,
    Diamond,
    Kelvin,
    Gyroid,
    SchwarzP,
    SchwarzD,
    Unknown,
}

/// Struts in a cell, and the magnitudes of every strut's components along the cell, in eighths of it, ascending.
const FORMS: [(UnitCell, usize, [u32; 3]); 6] = [
    (UnitCell::SimpleCubic, 3, [0, 0, 8]),
    (UnitCell::BodyCentred, 8, [4, 4, 4]),
    (UnitCell::FaceCentred, 12, [0, 4, 4]),
    (UnitCell::Octet, 24, [0, 4, 4]),
    (UnitCell::Diamond, 16, [2, 2, 2]),
    (UnitCell::Kelvin, 24, [0, 2, 2]),
];

impl UnitCell {
    pub fn name(self) -> &'static str {
        match self {
            UnitCell::SimpleCubic => "simple cubic",
            UnitCell::BodyCentred => "body-centred cubic",
            UnitCell::FaceCentred => "face-centred cubic",
            UnitCell::Octet => "octet",
            UnitCell::Diamond => "diamond",
            UnitCell::Kelvin => "Kelvin",
            UnitCell::Gyroid => "gyroid",
            UnitCell::SchwarzP => "Schwarz P",
            UnitCell::SchwarzD => "Schwarz D",
            UnitCell::Unknown => "unknown",
        }
    }
}

/// The designed cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Lattice vectors, mm: the first lies nearest to x, the second to y of the other two.
    pub vectors: [Vector3<f64>; 3],
    pub form: UnitCell,
}

/// Middle, direction (either way) and thickness of a strut.
#[derive(Clone, Copy)]
struct Rod {
    middle: Point3<f64>,
    along: Vector3<f64>,
    diameter_mm: f64,
}

impl Rod {
    fn is_like(&self, other: &Rod) -> bool {
        let length = self.along.norm();
        let turned = (self.along - other.along).norm().min((self.along + other.along).norm());
        turned <= SAME * length && (self.diameter_mm - other.diameter_mm).abs() <= 5.0 * SAME * self.diameter_mm
    }
}

struct Rods {
    /// By the x of their middles.
    rods: Vec<Rod>,
    low: Point3<f64>,
    high: Point3<f64>,
    near_mm: f64,
}

impl Rods {
    fn of(design: &Design) -> Rods {
        let rod = |s: usize| {
            let segment = design.segment(s);
            Rod { middle: segment.middle(), along: segment.to - segment.from, diameter_mm: 2.0 * segment.radius_mm }
        };
        let mut rods: Vec<Rod> = (0..design.struts().len()).map(rod).collect();
        rods.sort_by(|a, b| a.middle.x.total_cmp(&b.middle.x));
        let bounds = crate::frame::Bounds::of(rods.iter().map(|r| &r.middle));
        let thinnest = rods.iter().map(|r| r.diameter_mm).fold(f64::INFINITY, f64::min);
        let near_mm = SAME_PLACE * thinnest;
        let room = Vector3::repeat(near_mm);
        Rods { rods, low: bounds.min - room, high: bounds.max + room, near_mm }
    }

    fn holds(&self, p: &Point3<f64>) -> bool {
        (0..3).all(|a| self.low[a] <= p[a] && p[a] <= self.high[a])
    }

    fn has(&self, wanted: &Rod) -> bool {
        let first = self.rods.partition_point(|r| r.middle.x < wanted.middle.x - self.near_mm);
        self.rods[first..]
            .iter()
            .take_while(|r| r.middle.x <= wanted.middle.x + self.near_mm)
            .any(|r| (r.middle - wanted.middle).norm() <= self.near_mm && r.is_like(wanted))
    }

    fn repeats_by(&self, translation: &Vector3<f64>) -> bool {
        let step = self.rods.len().div_ceil(SAMPLE);
        let moved = |r: &Rod| Rod { middle: r.middle + translation, ..*r };
        let inside: Vec<Rod> = self.rods.iter().step_by(step).map(moved).filter(|r| self.holds(&r.middle)).collect();
        inside.len() >= FEWEST && inside.iter().filter(|r| self.has(r)).count() as f64 >= CARRIED * inside.len() as f64
    }

    /// Translations that carry the design onto itself, the shortest first, of each pair of opposite ones one.
    fn translations(&self) -> Vec<Vector3<f64>> {
        let centre = nalgebra::center(&self.low, &self.high);
        let far = |r: &Rod| (r.middle - centre).norm_squared();
        let mut inmost: Vec<&Rod> = self.rods.iter().collect();
        inmost.sort_by(|a, b| far(a).total_cmp(&far(b)));
        // Of each kind of strut the one nearest to the middle: the others of its kind lie a translation away, if any does.
        let mut kinds: Vec<&Rod> = vec![];
        for rod in inmost {
            if kinds.len() < KINDS && !kinds.iter().any(|k| k.is_like(rod)) {
                kinds.push(rod);
            }
        }
        let like = kinds.iter().flat_map(|kind| self.rods.iter().filter(|r| r.is_like(kind)).map(|r| r.middle - kind.middle));
        let mut all: Vec<Vector3<f64>> = like.filter(|t| t.norm() > 2.0 * self.near_mm).map(|t| if forward(&t) { t } else { -t }).collect();
        all.sort_by(|a, b| a.norm_squared().total_cmp(&b.norm_squared()));
        let mut kept: Vec<Vector3<f64>> = vec![];
        let mut tried = 0;
        for t in all {
            if kept.len() == KEPT || tried == TRIED {
                break;
            }
            if kept.iter().all(|k| (k - t).norm() > 2.0 * self.near_mm) {
                tried += 1;
                if self.repeats_by(&t) {
                    kept.push(t);
                }
            }
        }
        kept
    }
}

/// Of two opposite vectors the one whose largest component is positive.
fn forward(t: &Vector3<f64>) -> bool {
    t[t.iamax()] > 0.0
}

/// How a design repeats; `None` where it does not in three directions.
pub(crate) fn cell(design: &Design) -> Option<Cell> {
    let rods = Rods::of(design);
    let vectors = ordered(basis(&rods.translations())?);
    Some(Cell { vectors, form: form(&rods, &vectors) })
}

type Basis = [Vector3<f64>; 3];

/// The cell of some translations, the shortest first.
pub(super) fn basis(found: &[Vector3<f64>]) -> Option<Basis> {
    let square = |a: &Vector3<f64>, b: &Vector3<f64>| a.dot(b).abs() <= SAME * a.norm() * b.norm();
    let (mut cubic, mut upright): (Option<Basis>, Option<(f64, Basis)>) = (None, None);
    for (i, a) in found.iter().enumerate() {
        for (j, b) in found.iter().enumerate().skip(i + 1).filter(|(_, b)| square(a, b)) {
            for c in found[j + 1..].iter().filter(|c| square(a, c) && square(b, c)) {
                let volume = a.cross(b).dot(c).abs();
                if c.norm() <= (1.0 + SAME) * a.norm() && cubic.is_none() {
                    cubic = Some([*a, *b, *c]);
                }
                if upright.is_none_or(|(least, _)| volume < (1.0 - SAME) * least) {
                    upright = Some((volume, [*a, *b, *c]));
                }
            }
        }
    }
    cubic.or(upright.map(|(_, v)| v)).or_else(|| {
        let a = found.first()?;
        let b = found.iter().find(|b| a.cross(b).norm() > SAME * a.norm() * b.norm())?;
        let n = a.cross(b);
        let c = found.iter().find(|c| n.dot(c).abs() > SAME * n.norm() * c.norm())?;
        Some([*a, *b, *c])
    })
}

/// The first nearest to x, the second to y of the others.
pub(super) fn ordered(mut v: [Vector3<f64>; 3]) -> [Vector3<f64>; 3] {
    let share = |t: &Vector3<f64>, axis: usize| t[axis].abs() / t.norm();
    for axis in 0..2 {
        let best = (axis..3).fold(axis, |best, n| if share(&v[n], axis) > share(&v[best], axis) + 1e-9 { n } else { best });
        v.swap(axis, best);
    }
    v
}

/// Struts that differ by no lattice vector, counted, with their directions in the cell.
fn form(rods: &Rods, vectors: &[Vector3<f64>; 3]) -> UnitCell {
    let Some(to_cell) = Matrix3::from_columns(vectors).try_inverse() else { return UnitCell::Unknown };
    let same = |a: &Vector3<f64>, b: &Vector3<f64>| (a - b).map(|x| x - x.round()).norm() < 2.0 * SAME;
    let mut classes: Vec<(Vector3<f64>, Rod)> = vec![];
    for rod in &rods.rods {
        let place = to_cell * (rod.middle - rods.rods[0].middle);
        if !classes.iter().any(|(p, r)| same(p, &place) && r.is_like(rod)) {
            classes.push((place, *rod));
            if classes.len() > 64 {
                return UnitCell::Unknown;
            }
        }
    }
    let eighths = |r: &Rod| {
        let mut along = <[f64; 3]>::from(to_cell * r.along).map(f64::abs);
        along.sort_unstable_by(f64::total_cmp);
        along.map(|x| 8.0 * x)
    };
    let fits =
        |wanted: &[u32; 3]| classes.iter().all(|(_, r)| eighths(r).iter().zip(wanted).all(|(x, w)| (x - f64::from(*w)).abs() < 0.25));
    FORMS.iter().find(|(_, count, along)| *count == classes.len() && fits(along)).map_or(UnitCell::Unknown, |f| f.0)
}

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
type Placed = (Point3<f64>, Vector3<f64>);

const FEWEST_NODES: usize = 5;
/// Standard deviations beyond which a node is displaced, and the median length of a vector of three normal numbers of one.
const DISPLACED: f64 = 4.0;
const MEDIAN_LENGTH: f64 = 1.538;
const ROUNDS: usize = 10;

impl Stretch {
    /// From designed places and the nodes as built; `None` unless measured nodes span space.
    pub fn of(places: &[Point3<f64>], nodes: &[Node]) -> Option<Stretch> {
        let placed: Vec<Placed> = places.iter().zip(nodes).filter_map(|(p, n)| n.offset.map(|o| (*p, o))).collect();
        let mut stretch = Stretch::of_all(&placed)?;
        let mut kept: Vec<Placed> = placed.clone();
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
            let Some(next) = Stretch::of_all(&near) else { break };
            (stretch, kept) = (next, near);
        }
        stretch.residual_mm = stretch.residual_mm_of(&placed);
        Some(stretch)
    }

    fn of_all(placed: &[Placed]) -> Option<Stretch> {
        let count = placed.len() as f64;
        if placed.len() < FEWEST_NODES {
            return None;
        }
        let centre = placed.iter().fold(Vector3::zeros(), |s, (p, _)| s + p.coords) / count;
        let shift = placed.iter().fold(Vector3::zeros(), |s, (_, o)| s + o) / count;
        let arms = || placed.iter().map(|(p, o)| (p.coords - centre, o - shift));
        let scatter = arms().fold(Matrix3::zeros(), |s, (arm, _)| s + arm * arm.transpose());
        let eigenvalues = scatter.symmetric_eigenvalues();
        let inverse = scatter.try_inverse().filter(|_| eigenvalues.min() > 1e-3 * eigenvalues.max())?;
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
        let arm = place.coords - self.centre;
        offset - self.shift - (self.map * arm - arm)
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
            let node = |o: Vector3<f64>| Node { offset: Some(o), noise_mm };
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
