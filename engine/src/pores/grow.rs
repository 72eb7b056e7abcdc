//! Balls between surfaces, exact in their radius.
//!
//! A ball grows away from the surface, from where it touches it, until it meets it again (shrinking ball of Ma, Bae & Choi 2012). One held from one
//! side only, as in a round pore whose surface is rough, then climbs: its centre steps away from where it touches while that makes room. One that
//! grew as far as it may and met nothing is left there: a larger one holds it.
//! Cost: five to ten closest points a ball. Many balls grow side by side, so that neighbours look for their closest points together.

use nalgebra::{Point3, Vector3};

use super::Surface;
use crate::distance::{GROUP, NO_SEAT, Nearest, coherent_order};

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
    /// A larger one near it, where climbing found one.
    pub climbed: Option<Ball>,
}

impl Grown {
    pub fn largest(&self) -> &Ball {
        self.climbed.as_ref().unwrap_or(&self.ball)
    }
}

/// How far balls go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// Balls grow by at most this, mm.
    pub grow_mm: f64,
    /// The first step of a climb is half of this, mm; `None` where balls do not climb.
    pub climb_mm: Option<f64>,
}

impl Reach {
    /// Of balls that start so far apart, mm: no neighbouring start is farther than they grow.
    pub fn apart(mm: f64) -> Reach {
        Reach { grow_mm: 2.0 * mm, climb_mm: Some(mm) }
    }
}

/// Rounds after which a ball that still shrinks is taken as it is; four are usual.
const ROUNDS: usize = 16;
/// Relative change of the radius that ends the search.
const SETTLED: f64 = 1e-6;
/// Steps of a climb that are tried at each length, and lengths, each half of the one before.
const TRIES: usize = 4;
const LENGTHS: usize = 5;
/// A climb that gains less than this part of its reach gains nothing.
const GAIN: f64 = 1e-3;

/// What becomes of every start; `None` of those on the surface itself.
pub(super) fn grown_from(surface: Surface, starts: &[Point3<f64>], reach: Reach) -> Vec<Option<Grown>> {
    let order = coherent_order(starts);
    let along: Vec<Point3<f64>> = order.iter().map(|&n| starts[n as usize]).collect();
    let mut all = vec![None; starts.len()];
    grow(surface, &along, reach, |n, found| all[order[n] as usize] = found);
    all
}

/// Tells what becomes of every start, in any order; neighbours are best told one after the other.
fn grow(surface: Surface, starts: &[Point3<f64>], reach: Reach, mut found: impl FnMut(usize, Option<Grown>)) {
    let (mut lanes, mut seats): (Vec<(usize, Growth)>, Vec<u32>) = (Vec::with_capacity(GROUP), Vec::with_capacity(GROUP));
    let (mut places, mut nearest) = (Vec::with_capacity(GROUP), Vec::with_capacity(GROUP));
    let mut waiting = starts.iter().enumerate();
    loop {
        while lanes.len() < GROUP {
            let Some((n, start)) = waiting.next() else { break };
            lanes.push((n, Growth::from(*start)));
            seats.push(seats.last().copied().unwrap_or(NO_SEAT));
        }
        if lanes.is_empty() {
            return;
        }
        places.clear();
        places.extend(lanes.iter().map(|(_, growth)| growth.looks_at));
        surface.facets.nearest_seated(&places, &mut seats, |_, near| nearest.push(near));
        for (lane, near) in nearest.drain(..).enumerate().rev() {
            let (n, growth) = &mut lanes[lane];
            if !growth.goes_on(&near, surface, &reach) {
                found(*n, growth.found);
                lanes.swap_remove(lane);
                seats.swap_remove(lane);
            }
        }
    }
}

/// [`grown_from`] one start.
pub(super) fn grown(surface: Surface, start: &Point3<f64>, reach: Reach) -> Option<Grown> {
    let mut ball = None;
    grow(surface, std::slice::from_ref(start), reach, |_, found| ball = found);
    ball
}

/// A ball on its way: it asks what is nearest to a place, and goes on by the answer.
struct Growth {
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
    /// A ball beside the best so far.
    Climbing { climb: Climb },
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

#[derive(Clone, Copy)]
struct Climb {
    best: Ball,
    /// Where the best ball touches.
    foot: Point3<f64>,
    step_mm: f64,
    tries: usize,
    lengths: usize,
}

impl Climb {
    fn shorter(self) -> Climb {
        Climb { step_mm: 0.5 * self.step_mm, tries: 0, lengths: self.lengths + 1, ..self }
    }
}

impl Growth {
    fn from(start: Point3<f64>) -> Growth {
        Growth { looks_at: start, stage: Stage::Start, found: None }
    }

    /// Takes what is nearest to the place looked at; false when nothing more is to be found.
    fn goes_on(&mut self, near: &Nearest, surface: Surface, reach: &Reach) -> bool {
        match self.stage {
            Stage::Start => {
                let Some(away) = (self.looks_at - near.point).try_normalize(1e-12) else { return false };
                let own_mm = near.distance_mm;
                let tangent = Tangent { foot: near.point, away, own_mm, radius_mm: own_mm + reach.grow_mm, contact: None };
                self.look(tangent.centre(), Stage::Touching { tangent, rounds: 1 })
            }
            Stage::Touching { mut tangent, rounds } => {
                let (foot, radius) = (tangent.foot, tangent.radius_mm);
                let chord = near.point - foot;
                let along = tangent.away.dot(&chord);
                if near.distance_mm >= radius * (1.0 - SETTLED) || along <= 0.0 {
                    return self.settles(tangent, near, surface, reach);
                }
                tangent.contact = Some(near.point);
                // The sphere through the new point that is tangent at the foot.
                let through = (chord.norm_squared() / (2.0 * along)).max(tangent.own_mm);
                tangent.radius_mm = radius.min(through);
                let last = through >= radius * (1.0 - SETTLED) || through == tangent.own_mm || rounds == ROUNDS;
                let next = if last { Stage::Settled { tangent } } else { Stage::Touching { tangent, rounds: rounds + 1 } };
                self.look(tangent.centre(), next)
            }
            Stage::Settled { tangent } => self.settles(tangent, near, surface, reach),
            Stage::Climbing { climb } => {
                let higher = Ball { centre: self.looks_at, radius_mm: surface.room_mm(near), across: None };
                if higher.radius_mm <= climb.best.radius_mm {
                    return self.climbs(climb.shorter(), reach);
                }
                let climb = Climb { best: higher, foot: near.point, tries: climb.tries + 1, ..climb };
                self.climbs(if climb.tries == TRIES { climb.shorter() } else { climb }, reach)
            }
        }
    }

    fn look(&mut self, at: Point3<f64>, stage: Stage) -> bool {
        (self.looks_at, self.stage) = (at, stage);
        true
    }

    /// `near` is what is nearest to the centre.
    fn settles(&mut self, tangent: Tangent, near: &Nearest, surface: Surface, reach: &Reach) -> bool {
        let (centre, foot, radius) = (tangent.centre(), tangent.foot, tangent.radius_mm);
        let facing = tangent.contact.filter(|other| (foot - centre).dot(&(other - centre)) < -0.5 * radius * radius);
        let across = facing.and_then(|other| (other - foot).try_normalize(0.0)).map(|across| across.cast());
        let ball = Ball { centre, radius_mm: surface.room_mm(near), across };
        let met = tangent.contact.is_some();
        self.found = Some(Grown { ball, met, climbed: None });
        match reach.climb_mm {
            // Between two facing sides nothing is gained.
            Some(step) if met && across.is_none() => {
                // No farther than the ball is wide, so that it does not step through a wall.
                let step_mm = (0.5 * step).min(ball.radius_mm);
                self.climbs(Climb { best: ball, foot: near.point, step_mm, tries: 0, lengths: 0 }, reach)
            }
            _ => false,
        }
    }

    fn climbs(&mut self, climb: Climb, reach: &Reach) -> bool {
        let away = (climb.best.centre - climb.foot).try_normalize(1e-12);
        if let Some(away) = away.filter(|_| climb.lengths < LENGTHS) {
            return self.look(climb.best.centre + away * climb.step_mm, Stage::Climbing { climb });
        }
        let least = GAIN * reach.climb_mm.unwrap_or(0.0);
        if let Some(found) = &mut self.found {
            found.climbed = (climb.best.radius_mm > found.ball.radius_mm + least).then_some(climb.best);
        }
        false
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
        let reach = Reach { grow_mm: 3.0, climb_mm: Some(0.1) };
        let mut all = vec![None; starts.len()];
        grow(surface, &starts, reach, |n, found| all[n] = found);
        for (start, found) in starts.iter().zip(all) {
            let found = found.expect("starts lie inside");
            assert_eq!(Some(found), grown(surface, start, reach), "alone and among others");
            let middle = Point3::new(2.0, start.y, start.z);
            assert!(found.ball.is_between() && found.climbed.is_none(), "{start}");
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
        let reach = Reach { grow_mm: 5.0, climb_mm: Some(1.0) };
        let found = grown(surface, &Point3::new(1.0, 9.0, 10.0), reach).expect("inside");
        // Tangent to the face below the start and through the speck.
        let radius_mm = (0.2 * 0.2 + 0.8 * 0.8) / (2.0 * 0.2);
        assert!((found.ball.radius_mm - radius_mm).abs() < 1e-5 && found.met && !found.ball.is_between(), "{:?}", found.ball);
        // Straight away from the face by a half there is room for a larger one, and on from there.
        let climbed = found.climbed.expect("there is room");
        let first = f64::hypot(radius_mm + 0.5 - 0.2, 0.8);
        assert!(climbed.radius_mm > first && climbed.radius_mm <= radius_mm + 4.0 * (0.5 + 0.25 + 0.125 + 0.0625 + 0.03125));
        let mut seat = NO_SEAT;
        assert!((facets.nearest_from(&climbed.centre, &mut seat).distance_mm - climbed.radius_mm).abs() < 1e-12);
        assert_eq!(found.largest(), &climbed);
    }

    #[test]
    fn a_ball_that_meets_nothing_is_left_where_it_grew_to() {
        let facets = boxed([20.0; 3]);
        let surface = Surface { facets: &facets, bulge: None, phase: Phase::Walls };
        let found = grown(surface, &Point3::new(1.0, 9.0, 10.0), Reach { grow_mm: 0.5, climb_mm: Some(1.0) }).expect("inside");
        assert!((found.ball.radius_mm - 1.5).abs() < 1e-9 && !found.met && found.climbed.is_none(), "{found:?}");
    }
}
