//! The unit cell: how the design repeats.
//!
//! A translation repeats the design where it carries struts onto like struts. It fails only where the design goes on: at a place with struts on
//! all sides of it nearby, so neither the outline of the lattice (a turned block, a ring, a ball) nor struts cut off at it count. Of all
//! translations the cell takes three mutually perpendicular ones, of these the smallest cell whose form is known, then equally long
//! ones, as a crystal's conventional cell; where there are none the three shortest that span space.
//! The form is told by what a cell holds: how many struts, along which directions, in fractions of the cell; kinds of struts that are much
//! rarer than others are those cut off at the outline.
//! Known limits: zones of different cells have one cell only where a region names one.

use nalgebra::{Matrix3, Point3, Vector3};

use super::Design;

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
/// Translations that sums and differences are made of.
const SUMMED: usize = 12;
/// Struts that must be carried onto others for a translation to mean anything.
const FEWEST: usize = 3;
/// A place lies within the design if in every direction there is a strut's middle, at most this many typical lengths of struts away and at most
/// so far aside of that direction (cosine).
const NEARBY: f64 = 1.5;
const ASIDE: f64 = 0.5;
/// Struts that tell the form, those nearest to the midst; of the kinds that a cell holds one rarer than this share of the commonest is no kind.
const TELLING: usize = 4000;
const RARE: f64 = 0.25;
/// Kinds that a cell of a known form may hold, and cells that are tried for one.
const MOST_KINDS: usize = 64;
const BASES: usize = 100;

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
        turned <= SAME * length && self.is_as_thick_as(other)
    }

    fn is_as_thick_as(&self, other: &Rod) -> bool {
        (self.diameter_mm - other.diameter_mm).abs() <= 5.0 * SAME * self.diameter_mm
    }

    /// Whether the other's middle lies on this strut's centre line and they run alike, however long each is.
    fn runs_through(&self, other: &Rod, near_mm: f64) -> bool {
        let (length, way) = (self.along.norm(), other.middle - self.middle);
        let height = way.dot(&self.along) / length;
        let aside = (way.norm_squared() - height * height).max(0.0).sqrt();
        let turned = self.along.cross(&other.along).norm() / (length * other.along.norm());
        aside <= near_mm && height.abs() <= 0.5 * length + near_mm && turned <= SAME && self.is_as_thick_as(other)
    }
}

/// Struts of a design, the nearest to its midst first, found again by the grid cell of their middles.
struct Rods {
    rods: Vec<Rod>,
    keyed: Vec<([i64; 3], u32)>,
    /// Within which places are the same.
    near_mm: f64,
    /// Within which struts tell whether the design goes on; edge of the grid's cells.
    reach_mm: f64,
    /// From a cell of a grid to its neighbours.
    directions: [Vector3<f64>; 26],
}

impl Rods {
    /// `None` of too few.
    fn of(design: &Design, chosen: impl Fn(&Point3<f64>) -> bool) -> Option<Rods> {
        let rod = |s: usize| {
            let segment = design.segment(s);
            Rod { middle: segment.middle(), along: segment.to - segment.from, diameter_mm: 2.0 * segment.radius_mm }
        };
        let mut rods: Vec<Rod> = (0..design.struts().len()).map(rod).filter(|r| chosen(&r.middle)).collect();
        if rods.len() < FEWEST {
            return None;
        }
        let centre = crate::frame::Bounds::of(rods.iter().map(|r| &r.middle)).centre();
        let far = |r: &Rod| (r.middle - centre).norm_squared();
        rods.sort_by(|a, b| far(a).total_cmp(&far(b)));
        let thinnest = rods.iter().map(|r| r.diameter_mm).fold(f64::INFINITY, f64::min);
        let mut lengths: Vec<f64> = rods.iter().map(|r| r.along.norm()).collect();
        lengths.sort_unstable_by(f64::total_cmp);
        let (near_mm, reach_mm) = (SAME_PLACE * thinnest, NEARBY * lengths[lengths.len() / 2]);
        let way = |n: usize| Vector3::from([n % 3, n / 3 % 3, n / 9].map(|x| x as f64 - 1.0)).normalize();
        let directions = std::array::from_fn(|n| way(if n < 13 { n } else { n + 1 }));
        let mut found = Rods { rods, keyed: vec![], near_mm, reach_mm, directions };
        found.keyed = found.rods.iter().zip(0..).map(|(r, n)| (found.key(&r.middle), n)).collect();
        found.keyed.sort_unstable();
        Some(found)
    }

    fn key(&self, p: &Point3<f64>) -> [i64; 3] {
        [p.x, p.y, p.z].map(|x| (x / self.reach_mm).floor() as i64)
    }

    /// Struts whose middles lie within reach of a place, and some beyond.
    fn about(&self, p: &Point3<f64>) -> impl Iterator<Item = &Rod> {
        let [i, j, k] = self.key(p);
        (0..9).flat_map(move |n| {
            let row = move |k: i64| [i.saturating_add(n % 3 - 1), j.saturating_add(n / 3 - 1), k];
            let first = self.keyed.partition_point(|(key, _)| *key < row(k.saturating_sub(1)));
            self.keyed[first..]
                .iter()
                .take_while(move |(key, _)| *key <= row(k.saturating_add(1)))
                .map(move |(_, r)| &self.rods[*r as usize])
        })
    }

    /// Whether the design goes on around a place: struts lie in every direction from it.
    fn goes_on_at(&self, p: &Point3<f64>) -> bool {
        let mut seen = 0u32;
        for rod in self.about(p) {
            let way = rod.middle - p;
            let far = way.norm();
            if far > self.near_mm && far <= self.reach_mm {
                let towards = self.directions.iter().zip(0..).filter(|(d, _)| d.dot(&way) >= ASIDE * far);
                towards.for_each(|(_, n)| seen |= 1 << n);
            }
        }
        seen == (1 << self.directions.len()) - 1
    }

    /// How many struts of a sample a translation carries onto others; `None` where it fails.
    fn carried_by(&self, translation: &Vector3<f64>) -> Option<usize> {
        let step = self.rods.len().div_ceil(SAMPLE);
        let (mut carried, mut failed) = (0usize, 0usize);
        let most = (1.0 - CARRIED) * self.rods.len().div_ceil(step) as f64;
        for rod in self.rods.iter().step_by(step) {
            let moved = Rod { middle: rod.middle + translation, ..*rod };
            match self.about(&moved.middle).any(|r| r.runs_through(&moved, self.near_mm)) {
                true => carried += 1,
                false => failed += usize::from(self.goes_on_at(&moved.middle)),
            }
            if failed as f64 > most {
                return None;
            }
        }
        (carried as f64 >= CARRIED * (carried + failed) as f64).then_some(carried)
    }

    /// Translations that carry the design onto itself, the shortest first, of each pair of opposite ones one.
    fn translations(&self) -> Vec<Vector3<f64>> {
        // Of each kind of strut the one nearest to the middle: the others of its kind lie a translation away, if any does.
        let mut kinds: Vec<&Rod> = vec![];
        for rod in &self.rods {
            if kinds.len() < KINDS && !kinds.iter().any(|k| k.is_like(rod)) {
                kinds.push(rod);
            }
        }
        let like = kinds.iter().flat_map(|kind| self.rods.iter().filter(|r| r.is_like(kind)).map(|r| r.middle - kind.middle));
        let mut all: Vec<Vector3<f64>> = like.filter(|t| t.norm() > 2.0 * self.near_mm).map(|t| if forward(&t) { t } else { -t }).collect();
        all.sort_by(|a, b| a.norm_squared().total_cmp(&b.norm_squared()));
        let (mut kept, mut failed) = (vec![], vec![]);
        for t in all {
            if kept.len() == KEPT || kept.len() + failed.len() == TRIED {
                break;
            }
            if !self.is_among(&kept, &t) && !self.is_among(&failed, &t) {
                let repeats = self.carried_by(&t).is_some_and(|carried| carried >= FEWEST);
                (if repeats { &mut kept } else { &mut failed }).push(t);
            }
        }
        self.with_sums(kept)
    }

    fn is_among(&self, known: &[Vector3<f64>], t: &Vector3<f64>) -> bool {
        known.iter().any(|k| (k - t).norm() <= 2.0 * self.near_mm)
    }

    /// Sums and differences of translations repeat the design as they do, also beyond its outline.
    fn with_sums(&self, mut kept: Vec<Vector3<f64>>) -> Vec<Vector3<f64>> {
        let few = kept[..kept.len().min(SUMMED)].to_vec();
        let pairs = few.iter().enumerate().flat_map(|(n, a)| few[n..].iter().flat_map(move |b| [a + b, a - b]));
        for t in pairs.map(|t| if forward(&t) { t } else { -t }) {
            if t.norm() > 2.0 * self.near_mm && !self.is_among(&kept, &t) && self.carried_by(&t).is_some() {
                kept.push(t);
            }
        }
        kept.sort_by(|a, b| a.norm_squared().total_cmp(&b.norm_squared()));
        kept
    }
}

/// Of two opposite vectors the one whose largest component is positive.
fn forward(t: &Vector3<f64>) -> bool {
    t[t.iamax()] > 0.0
}

/// How the struts of a design repeat whose middles are chosen; `None` where they do not in three directions.
pub(crate) fn cell(design: &Design, chosen: impl Fn(&Point3<f64>) -> bool) -> Option<Cell> {
    let rods = Rods::of(design, chosen)?;
    let found = rods.translations();
    let of = |basis: Basis| {
        let vectors = ordered(basis);
        Cell { vectors, form: form(&rods, &vectors) }
    };
    let mut upright = upright(&found);
    upright.sort_by(|a, b| volume(a).total_cmp(&volume(b)));
    upright.into_iter().take(BASES).map(of).find(|c| c.form != UnitCell::Unknown).or_else(|| basis(&found).map(of))
}

type Basis = [Vector3<f64>; 3];

fn volume([a, b, c]: &Basis) -> f64 {
    a.cross(b).dot(c).abs()
}

/// All cells of some translations that are mutually perpendicular.
fn upright(found: &[Vector3<f64>]) -> Vec<Basis> {
    let square = |a: &Vector3<f64>, b: &Vector3<f64>| a.dot(b).abs() <= SAME * a.norm() * b.norm();
    let mut all = vec![];
    for (i, a) in found.iter().enumerate() {
        for (j, b) in found.iter().enumerate().skip(i + 1).filter(|(_, b)| square(a, b)) {
            all.extend(found[j + 1..].iter().filter(|c| square(a, c) && square(b, c)).map(|c| [*a, *b, *c]));
        }
    }
    all
}

/// The cell of some translations, the shortest first: equally long perpendicular ones, else the least perpendicular cell, else any.
pub(super) fn basis(found: &[Vector3<f64>]) -> Option<Basis> {
    let upright = upright(found);
    let cubic = upright.iter().find(|[a, _, c]| c.norm() <= (1.0 + SAME) * a.norm());
    let least = || upright.iter().reduce(|least, b| if volume(b) < (1.0 - SAME) * volume(least) { b } else { least });
    cubic.or_else(least).copied().or_else(|| {
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
    let mut kinds: Vec<(Vector3<f64>, Rod, usize)> = vec![];
    for rod in rods.rods.iter().take(TELLING) {
        let place = to_cell * (rod.middle - rods.rods[0].middle);
        match kinds.iter().position(|(p, r, _)| same(p, &place) && r.is_like(rod)) {
            Some(kind) => kinds[kind].2 += 1,
            None if kinds.len() < MOST_KINDS => kinds.push((place, *rod, 1)),
            None => {}
        }
    }
    let commonest = kinds.iter().map(|k| k.2).max().unwrap_or(0) as f64;
    kinds.retain(|k| k.2 as f64 >= RARE * commonest);
    let eighths = |r: &Rod| {
        let mut along = <[f64; 3]>::from(to_cell * r.along).map(f64::abs);
        along.sort_unstable_by(f64::total_cmp);
        along.map(|x| 8.0 * x)
    };
    let fits =
        |wanted: &[u32; 3]| kinds.iter().all(|(_, r, _)| eighths(r).iter().zip(wanted).all(|(x, w)| (x - f64::from(*w)).abs() < 0.25));
    FORMS.iter().find(|(_, count, along)| *count == kinds.len() && fits(along)).map_or(UnitCell::Unknown, |f| f.0)
}

#[cfg(test)]
mod tests {
    use super::super::Strut;
    use super::*;
    use crate::frame::Pose;
    use crate::noise::uniform;

    /// Struts of a unit cell between nodes, all in quarters of it: nodes of a cell, and the squared distance at which they are joined.
    fn frame(form: UnitCell) -> (Vec<[i64; 3]>, i64) {
        let all = || (0..64).map(|n: i64| [n % 4, n / 4 % 4, n / 16]);
        let sorted = |p: [i64; 3]| {
            let mut p = p;
            p.sort_unstable();
            p
        };
        let face = |p: &[i64; 3]| [[0, 0, 0], [0, 2, 2]].contains(&sorted(*p));
        match form {
            UnitCell::SimpleCubic => (vec![[0; 3]], 16),
            UnitCell::BodyCentred => (vec![[0; 3], [2; 3]], 12),
            UnitCell::FaceCentred | UnitCell::Octet => (all().filter(face).collect(), 8),
            UnitCell::Diamond => {
                let inner = [[1, 1, 1], [3, 3, 1], [3, 1, 3], [1, 3, 3]];
                (all().filter(|p| face(p) || inner.contains(p)).collect(), 3)
            }
            _ => (all().filter(|p| [[0, 1, 2], [0, 2, 3]].contains(&sorted(*p))).collect(), 2),
        }
    }

    /// The struts of some cells whose middles are kept, stretched and turned.
    fn lattice(form: UnitCell, cells: [i64; 3], pitch: [f64; 3], pose: &Pose, keep: impl Fn(&Point3<f64>) -> bool) -> Design {
        let (frame, apart) = frame(form);
        let range = |a: usize| 0..=cells[a];
        let mut places: Vec<[i64; 3]> = vec![];
        for (k, j, i) in range(2).flat_map(|k| range(1).flat_map(move |j| range(0).map(move |i| (k, j, i)))) {
            let shifted = frame.iter().map(|p| [p[0] + 4 * i, p[1] + 4 * j, p[2] + 4 * k]);
            places.extend(shifted.filter(|p| (0..3).all(|a| p[a] <= 4 * cells[a])));
        }
        places.sort_unstable();
        let at = |p: &[i64; 3]| Point3::from([0, 1, 2].map(|a| 0.25 * p[a] as f64 * pitch[a]));
        let on_faces = |p: &[i64; 3]| p.iter().all(|x| x % 4 == 0);
        let mut struts = vec![];
        for (n, p) in places.iter().enumerate() {
            let near = places[n + 1..].iter().zip(n + 1..).take_while(|(q, _)| q[0] <= p[0] + 4);
            let joined = near.filter(|(q, _)| (0..3).map(|a| (p[a] - q[a]) * (p[a] - q[a])).sum::<i64>() == apart);
            // A face-centred cell joins corners with the middles of faces, an octet those among each other too.
            let in_form = |q: &[i64; 3]| form != UnitCell::FaceCentred || on_faces(p) != on_faces(q);
            let kept = joined.filter(|(q, _)| in_form(q) && keep(&nalgebra::center(&at(p), &at(q))));
            struts.extend(kept.map(|(_, m)| Strut { ends: [n as u32, m as u32], diameter_mm: 0.3 }));
        }
        Design::new(places.iter().map(|p| pose.apply(&at(p))).collect(), struts).unwrap()
    }

    fn found(design: &Design) -> Option<Cell> {
        cell(design, |_| true)
    }

    /// That a design has this form and these vectors, turned.
    fn is(design: &Design, form: UnitCell, pitch: [f64; 3], pose: &Pose, what: &str) {
        let cell = found(design).unwrap_or_else(|| panic!("{what}: no cell"));
        assert_eq!(cell.form, form, "{what}: {:?}", cell.vectors);
        for (axis, length) in pitch.iter().enumerate() {
            let truth = pose.rotate(&Vector3::ith(axis, *length));
            let near = |v: &Vector3<f64>| (v - truth).norm().min((v + truth).norm()) < 1e-9;
            assert!(cell.vectors.iter().any(near), "{what}: {:?} without {truth:?}", cell.vectors);
        }
    }

    const FORMS: [UnitCell; 6] =
        [UnitCell::SimpleCubic, UnitCell::BodyCentred, UnitCell::FaceCentred, UnitCell::Octet, UnitCell::Diamond, UnitCell::Kelvin];

    fn turned(degrees: f64) -> Pose {
        let axis = Vector3::new(0.3, -0.5, 0.8).normalize();
        Pose::from_rotation_vector(axis * degrees.to_radians(), Vector3::new(5.0, -3.0, 11.0))
    }

    #[test]
    fn every_form_is_named_in_any_direction_and_size_and_stretched() {
        for form in FORMS {
            for (n, degrees) in [0.0, 3.0, 10.0, 30.0, 77.0].into_iter().enumerate() {
                let cells = [[6, 6, 4], [3, 3, 3], [2, 2, 2], [4, 4, 1], [3, 2, 2]][n];
                let pose = turned(degrees);
                for pitch in [[2.0; 3], [3.0, 3.0, 3.2], [3.0, 3.02, 3.2], [2.0, 1.8, 2.3]] {
                    let what = format!("{form:?} of {pitch:?} mm, {cells:?} cells, turned by {degrees}");
                    is(&lattice(form, cells, pitch, &pose, |_| true), form, pitch, &pose, &what);
                }
            }
        }
    }

    #[test]
    fn a_lattice_in_a_cylinder_a_ring_or_a_ball_has_its_cell() {
        let pitch = [2.0; 3];
        let aside = |p: &Point3<f64>| libm::hypot(p.x - 10.3, p.y - 9.8);
        for form in FORMS {
            for degrees in [0.0, 10.0, 35.0] {
                let pose = turned(degrees);
                let of = |cells, keep: &dyn Fn(&Point3<f64>) -> bool, what: &str| {
                    is(
                        &lattice(form, cells, pitch, &pose, keep),
                        form,
                        pitch,
                        &pose,
                        &format!("{form:?} in a {what}, turned by {degrees}"),
                    );
                };
                of([10, 10, 4], &|p| aside(p) < 10.0, "cylinder");
                of([10, 10, 4], &|p| (4.0..10.0).contains(&aside(p)), "ring");
                of([10, 10, 10], &|p| (p - Point3::from([10.0; 3])).norm() < 10.0, "ball");
            }
        }
    }

    #[test]
    fn struts_cut_off_at_the_outline_do_not_hide_the_cell() {
        for form in FORMS {
            let pose = turned(20.0);
            let whole = lattice(form, [6, 6, 3], [2.0; 3], &Pose::identity(), |_| true);
            let inside = |p: &Point3<f64>| libm::hypot(p.x - 6.1, p.y - 5.9) < 5.0;
            let (mut nodes, mut struts) = (vec![], vec![]);
            for segment in whole.segments() {
                let [mut from, mut to] = [segment.from, segment.to];
                if !inside(&from) {
                    (from, to) = (to, from);
                }
                if !inside(&from) {
                    continue;
                }
                let (mut low, mut high) = (0.0, 1.0);
                while !inside(&to) && high - low > 1e-9 {
                    let middle = 0.5 * (low + high);
                    *(if inside(&(from + (to - from) * middle)) { &mut low } else { &mut high }) = middle;
                }
                let to = if inside(&to) { to } else { from + (to - from) * low };
                if (to - from).norm() > 0.05 {
                    nodes.extend([pose.apply(&from), pose.apply(&to)]);
                    struts.push(Strut { ends: [nodes.len() as u32 - 2, nodes.len() as u32 - 1], diameter_mm: 0.3 });
                }
            }
            is(&Design::new(nodes, struts).unwrap(), form, [2.0; 3], &pose, &format!("{form:?} cut off by a cylinder"));
        }
    }

    #[test]
    fn what_does_not_repeat_has_no_cell_and_a_region_of_one_zone_has_its_own() {
        let random = |n: u64| Point3::from([0, 1, 2].map(|a| 10.0 * uniform(5, 3 * n + a)));
        let struts: Vec<Strut> = (0..150).map(|n| Strut { ends: [2 * n, 2 * n + 1], diameter_mm: 0.3 }).collect();
        assert_eq!(found(&Design::new((0..300).map(random).collect(), struts).unwrap()), None);
        // One cell wider from place to place.
        let graded = lattice(UnitCell::BodyCentred, [6, 4, 4], [2.0; 3], &Pose::identity(), |_| true);
        let wider = |p: &Point3<f64>| Point3::new(p.x * (1.0 + 0.04 * p.x), p.y, p.z);
        let graded = Design::new(graded.nodes().iter().map(wider).collect(), graded.struts().to_vec()).unwrap();
        assert_eq!(found(&graded), None);
        // Two zones side by side.
        let one = lattice(UnitCell::SimpleCubic, [4, 4, 4], [2.0; 3], &Pose::identity(), |_| true);
        let other =
            lattice(UnitCell::Diamond, [3, 3, 3], [2.6; 3], &Pose::from_rotation_vector(Vector3::zeros(), Vector3::x() * 8.3), |_| true);
        let shift = one.nodes().len() as u32;
        let nodes = one.nodes().iter().chain(other.nodes()).copied().collect();
        let moved = other.struts().iter().map(|s| Strut { ends: s.ends.map(|n| n + shift), ..*s });
        let both = Design::new(nodes, one.struts().iter().copied().chain(moved).collect()).unwrap();
        assert_eq!(found(&both), None);
        for (second, form, pitch) in [(false, UnitCell::SimpleCubic, 2.0), (true, UnitCell::Diamond, 2.6)] {
            let cell = cell(&both, |p| (p.x > 8.15) == second).unwrap();
            assert_eq!(cell.form, form);
            assert!(cell.vectors.iter().all(|v| (v.norm() - pitch).abs() < 1e-9), "{:?}", cell.vectors);
        }
    }
}
