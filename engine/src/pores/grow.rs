//! Balls between surfaces, exact in their radius.
//!
//! A ball grows away from the surface, from where it touches it, until it meets it again (shrinking ball of Ma, Bae & Choi 2012). One held from one
//! side only, as in a round pore whose surface is rough, then climbs: its centre steps away from where it touches while that makes room, up to where
//! a larger one stands, which goes on from there. One that grew as far as it may and met nothing is left there: a larger one holds it.
//! Cost: some four closest points a ball, and a dozen for one that climbs. Many go side by side, so that neighbours look for their closest points
//! together.

use nalgebra::{Point3, Vector3};

use super::Surface;
use crate::distance::{GROUP, MeshDistance, NO_SEAT, Nearest, coherent_order};

/// A ball that the surface touches and does not enter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ball {
    pub centre: Point3<f64>,
    pub radius_mm: f64,
    /// Of one that touches the surface from two sides that are seen from its centre more than 120° apart, as between the faces of a wall and
    /// not in a corner or an edge: the unit vector from side to side.
    pub across: Option<Vector3<f32>>,
}

impl Ball {
    pub fn is_between(&self) -> bool {
        self.across.is_some()
    }
}

/// What became of a start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grown {
    /// The largest ball that touches the surface where the ball about the start does, and holds that ball.
    pub ball: Ball,
    /// It met the surface again and did not only end where it may grow no further.
    pub met: bool,
    /// Where it touches, seen from there: the unit vector to its centre.
    pub away: Vector3<f32>,
}

impl Grown {
    /// Held from one side: there may be more room farther from it. Between two facing sides nothing is gained.
    pub fn may_climb(&self) -> bool {
        self.met && !self.ball.is_between()
    }

    /// Of balls that start so far apart, mm.
    pub fn climbs(&self, apart_mm: f64) -> Climber {
        Climber { ball: self.ball, away: self.away, apart_mm }
    }
}

/// How far balls grow that start so far apart, mm: no neighbouring start is farther.
pub(super) fn reach_mm(apart_mm: f64) -> f64 {
    2.0 * apart_mm
}

/// Rounds after which a ball that still shrinks is taken as it is; four are usual.
const ROUNDS: usize = 16;
/// Relative change of the radius that ends the search.
const SETTLED: f64 = 1e-6;
/// Steps of a climb that are tried at each length, and lengths, each half of the one before.
const TRIES: usize = 4;
const LENGTHS: usize = 5;
/// A climb that gains less than this part of how far apart balls start gains nothing.
const GAIN: f64 = 1e-3;

/// What becomes of every start, when balls grow by at most so much; `None` of those on the surface itself.
pub(super) fn grown_from(surface: Surface, starts: &[Point3<f64>], grow_mm: f64) -> Vec<Option<Grown>> {
    let mut all = vec![None; starts.len()];
    let growing = coherent_order(starts).into_iter().map(|n| (n as usize, Growth::from(starts[n as usize], grow_mm, surface)));
    seek(surface.facets, growing, |n, growth| all[n] = growth.found);
    all
}

/// [`grown_from`] one start.
pub(super) fn grown(surface: Surface, start: &Point3<f64>, grow_mm: f64) -> Option<Grown> {
    let mut found = None;
    seek(surface.facets, std::iter::once((0, Growth::from(*start, grow_mm, surface))), |_, growth| found = growth.found);
    found
}

/// A ball that climbs.
#[derive(Clone, Copy)]
pub(super) struct Climber {
    ball: Ball,
    away: Vector3<f32>,
    /// How far apart balls start, mm: the first step is half of that.
    apart_mm: f64,
}

/// Where balls climb to; `None` of those that gain nothing. `stands` is the radius of a ball that stands about a place, mm: at a larger one the climb
/// ends, since that one goes on from there.
pub(super) fn climbed_from(surface: Surface, climbers: &[Climber], stands: impl Fn(&Point3<f64>) -> f64) -> Vec<Option<Ball>> {
    let mut all = vec![None; climbers.len()];
    let centres: Vec<Point3<f64>> = climbers.iter().map(|c| c.ball.centre).collect();
    let climbs = coherent_order(&centres).into_iter().map(|n| (n as usize, Climb::of(&climbers[n as usize], surface, &stands)));
    seek(surface.facets, climbs.filter(|(_, climb)| climb.is_open()), |n, climb| {
        all[n] = Some(climb.best).filter(|best| best.radius_mm > climb.least_mm);
    });
    all
}

/// What asks what is nearest to a place, and goes on by the answer.
trait Seeker {
    fn looks_at(&self) -> Point3<f64>;
    /// Takes what is nearest to the place looked at; false when nothing more is to be found.
    fn goes_on(&mut self, near: &Nearest) -> bool;
}

/// Leads every seeker to its end, which is told in any order; neighbours are best given one after the other.
fn seek<S: Seeker>(facets: &MeshDistance, mut waiting: impl Iterator<Item = (usize, S)>, mut ended: impl FnMut(usize, S)) {
    let (mut lanes, mut seats): (Vec<(usize, S)>, Vec<u32>) = (Vec::with_capacity(GROUP), Vec::with_capacity(GROUP));
    let (mut places, mut nearest) = (Vec::with_capacity(GROUP), Vec::with_capacity(GROUP));
    loop {
        while lanes.len() < GROUP {
            let Some(next) = waiting.next() else { break };
            lanes.push(next);
            seats.push(seats.last().copied().unwrap_or(NO_SEAT));
        }
        if lanes.is_empty() {
            return;
        }
        places.clear();
        places.extend(lanes.iter().map(|(_, seeker)| seeker.looks_at()));
        facets.nearest_seated(&places, &mut seats, |_, near| nearest.push(near));
        for (lane, near) in nearest.drain(..).enumerate().rev() {
            if !lanes[lane].1.goes_on(&near) {
                let (n, seeker) = lanes.swap_remove(lane);
                seats.swap_remove(lane);
                ended(n, seeker);
            }
        }
    }
}

/// A ball that grows.
struct Growth<'a> {
    surface: Surface<'a>,
    grow_mm: f64,
    looks_at: Point3<f64>,
    stage: Stage,
    found: Option<Grown>,
}

#[derive(Clone, Copy)]
enum Stage {
    /// The ball about the start: where does it touch?
    Start,
    /// A ball that touches at the foot, perhaps too large.
    Touching { tangent: Tangent, rounds: usize },
    /// One that is neither too large nor can grow.
    Settled { tangent: Tangent },
}

/// Balls that touch the surface at one point from one side.
#[derive(Clone, Copy)]
struct Tangent {
    foot: Point3<f64>,
    away: Vector3<f64>,
    /// Of the ball about the start, mm.
    own_mm: f64,
    radius_mm: f64,
    /// Where else the ball was found to touch.
    contact: Option<Point3<f64>>,
}

impl Tangent {
    fn centre(&self) -> Point3<f64> {
        self.foot + self.away * self.radius_mm
    }
}

impl Seeker for Growth<'_> {
    fn looks_at(&self) -> Point3<f64> {
        self.looks_at
    }

    fn goes_on(&mut self, near: &Nearest) -> bool {
        match self.stage {
            Stage::Start => {
                let Some(away) = (self.looks_at - near.point).try_normalize(1e-12) else { return false };
                let own_mm = near.distance_mm;
                let tangent = Tangent { foot: near.point, away, own_mm, radius_mm: own_mm + self.grow_mm, contact: None };
                self.look(tangent, Stage::Touching { tangent, rounds: 1 })
            }
            Stage::Touching { mut tangent, rounds } => {
                let (foot, radius) = (tangent.foot, tangent.radius_mm);
                let chord = near.point - foot;
                let along = tangent.away.dot(&chord);
                if near.distance_mm >= radius * (1.0 - SETTLED) || along <= 0.0 {
                    return self.settles(tangent, near);
                }
                tangent.contact = Some(near.point);
                // The sphere through the new point that is tangent at the foot.
                let through = (chord.norm_squared() / (2.0 * along)).max(tangent.own_mm);
                tangent.radius_mm = radius.min(through);
                let last = through >= radius * (1.0 - SETTLED) || through == tangent.own_mm || rounds == ROUNDS;
                self.look(tangent, if last { Stage::Settled { tangent } } else { Stage::Touching { tangent, rounds: rounds + 1 } })
            }
            Stage::Settled { tangent } => self.settles(tangent, near),
        }
    }
}

impl<'a> Growth<'a> {
    fn from(start: Point3<f64>, grow_mm: f64, surface: Surface<'a>) -> Self {
        Growth { surface, grow_mm, looks_at: start, stage: Stage::Start, found: None }
    }

    fn look(&mut self, tangent: Tangent, stage: Stage) -> bool {
        (self.looks_at, self.stage) = (tangent.centre(), stage);
        true
    }

    /// `near` is what is nearest to the centre.
    fn settles(&mut self, tangent: Tangent, near: &Nearest) -> bool {
        let (centre, foot, radius) = (tangent.centre(), tangent.foot, tangent.radius_mm);
        let facing = tangent.contact.filter(|other| (foot - centre).dot(&(other - centre)) < -0.5 * radius * radius);
        let across = facing.and_then(|other| (other - foot).try_normalize(0.0)).map(|across| across.cast());
        let ball = Ball { centre, radius_mm: self.surface.room_mm(near), across };
        let away = (centre - near.point).try_normalize(1e-12).unwrap_or(tangent.away).cast();
        self.found = Some(Grown { ball, met: tangent.contact.is_some(), away });
        false
    }
}

/// A ball on its way up.
struct Climb<'a, F> {
    surface: Surface<'a>,
    stands: &'a F,
    best: Ball,
    away: Vector3<f64>,
    step_mm: f64,
    tries: usize,
    lengths: usize,
    /// Up to this radius nothing is gained, mm.
    least_mm: f64,
}

impl<'a, F: Fn(&Point3<f64>) -> f64> Climb<'a, F> {
    fn of(&Climber { ball, away, apart_mm }: &Climber, surface: Surface<'a>, stands: &'a F) -> Self {
        // No farther than the ball is wide, so that it does not step through a wall.
        let step_mm = (0.5 * apart_mm).min(ball.radius_mm);
        let least_mm = ball.radius_mm + GAIN * apart_mm;
        Climb { surface, stands, best: ball, away: away.cast(), step_mm, tries: 0, lengths: 0, least_mm }
    }

    /// No larger ball stands here or where the next step leads.
    fn is_open(&self) -> bool {
        [self.best.centre, self.looks_at()].iter().all(|at| (self.stands)(at) <= self.best.radius_mm)
    }
}

impl<F: Fn(&Point3<f64>) -> f64> Seeker for Climb<'_, F> {
    fn looks_at(&self) -> Point3<f64> {
        self.best.centre + self.away * self.step_mm
    }

    fn goes_on(&mut self, near: &Nearest) -> bool {
        let at = self.looks_at();
        let higher = Ball { centre: at, radius_mm: self.surface.room_mm(near), across: None };
        let away = (at - near.point).try_normalize(1e-12);
        self.tries += 1;
        let gained = away.filter(|_| higher.radius_mm > self.best.radius_mm);
        if let Some(away) = gained {
            (self.best, self.away) = (higher, away);
        }
        if gained.is_none() || self.tries == TRIES {
            (self.step_mm, self.tries, self.lengths) = (0.5 * self.step_mm, 0, self.lengths + 1);
        }
        self.lengths < LENGTHS && self.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::MeshDistance;
    use crate::mesh::Mesh;
    use crate::noise::uniform;
    use crate::pores::Phase;

    /// A box with a corner at the origin.
    fn boxed(size: [f64; 3]) -> MeshDistance {
        let corners = (0..8usize).map(|c| Point3::from([0, 1, 2].map(|a| if c >> a & 1 == 1 { size[a] } else { 0.0 }))).collect();
        let faces = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
        let triangles = faces.iter().flat_map(|&[a, b, c, d]| [[a, b, c], [a, c, d]]).collect();
        MeshDistance::build(&Mesh::new(corners, triangles).expect("a box"))
    }

    /// A ball between the faces of a box grows to half of its smallest side, wherever it starts and in whatever company.
    #[test]
    fn balls_between_two_faces_meet_both() {
        let facets = boxed([4.0, 6.0, 8.0]);
        let surface = Surface { facets: &facets, bulge: None, phase: Phase::Walls };
        let u = |k: u64, n: u64| uniform(3, 4 * k + n);
        let starts: Vec<Point3<f64>> =
            (0..100).map(|k| Point3::new(0.5 + 3.0 * u(k, 0), 2.2 + 1.6 * u(k, 1), 2.2 + 3.6 * u(k, 2))).collect();
        for (start, found) in starts.iter().zip(grown_from(surface, &starts, 3.0)) {
            let found = found.expect("starts lie inside");
            assert_eq!(Some(found), grown(surface, start, 3.0), "alone and among others");
            let middle = Point3::new(2.0, start.y, start.z);
            assert!(found.met && found.ball.is_between() && !found.may_climb(), "{start}");
            assert!((found.ball.radius_mm - 2.0).abs() < 1e-5 && (found.ball.centre - middle).norm() < 1e-5, "{start}: {:?}", found.ball);
        }
    }

    /// A large box, and within it a speck beside where a ball that starts at (1, 9, 10) touches.
    fn box_with_speck() -> MeshDistance {
        let bare = boxed([20.0; 3]);
        let (mut vertices, mut triangles) = (bare.mesh().vertices().to_vec(), bare.mesh().triangles().to_vec());
        let first = vertices.len() as u32;
        vertices.push(Point3::new(0.2, 9.8, 10.0));
        triangles.push([first; 3]);
        MeshDistance::build(&Mesh::new(vertices, triangles).expect("a box and a point"))
    }

    #[test]
    fn a_ball_held_from_one_side_climbs_away_from_it() {
        let facets = box_with_speck();
        let surface = Surface { facets: &facets, bulge: None, phase: Phase::Walls };
        let found = grown(surface, &Point3::new(1.0, 9.0, 10.0), 5.0).expect("inside");
        // Tangent to the face below the start and through the speck.
        let radius_mm = (0.2 * 0.2 + 0.8 * 0.8) / (2.0 * 0.2);
        assert!((found.ball.radius_mm - radius_mm).abs() < 1e-5 && found.may_climb(), "{:?}", found.ball);
        let climber = [found.climbs(1.0)];
        let climb = |stands: &dyn Fn(&Point3<f64>) -> f64| climbed_from(surface, &climber, stands)[0];
        // Straight away from the face by a half there is room for a larger one, and on from there.
        let climbed = climb(&|_| 0.0).expect("there is room");
        let first = f64::hypot(radius_mm + 0.5 - 0.2, 0.8);
        assert!(climbed.radius_mm > first && climbed.radius_mm <= radius_mm + 4.0 * (0.5 + 0.25 + 0.125 + 0.0625 + 0.03125));
        let mut seat = NO_SEAT;
        assert!((facets.nearest_from(&climbed.centre, &mut seat).distance_mm - climbed.radius_mm).abs() < 1e-12);
        // As far as where a larger one stands, and not at all where it stands beside one.
        let short = climb(&|p| if p.x > radius_mm + 0.9 { 9.0 } else { 0.0 }).expect("one step");
        assert!((short.radius_mm - first).abs() < 1e-3 && short.radius_mm < climbed.radius_mm);
        assert_eq!(climb(&|_| 9.0), None);
        assert_eq!(climb(&|_| found.ball.radius_mm), Some(climbed), "one as large is itself");
    }

    #[test]
    fn a_ball_that_meets_nothing_is_left_where_it_grew_to() {
        let facets = boxed([20.0; 3]);
        let surface = Surface { facets: &facets, bulge: None, phase: Phase::Walls };
        let found = grown(surface, &Point3::new(1.0, 9.0, 10.0), 0.5).expect("inside");
        assert!((found.ball.radius_mm - 1.5).abs() < 1e-9 && !found.met && !found.may_climb(), "{found:?}");
    }
}
