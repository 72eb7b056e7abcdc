//! Balls between surfaces, exact in their radius.

use nalgebra::{Point3, Vector3};

use super::{Phase, Surface};
use crate::distance::MeshDistance;
use crate::mesh::Bulge;

/// A ball that the surface touches and does not enter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ball {
    pub centre: Point3<f64>,
    pub radius_mm: f64,
    /// It touches the surface from two sides that are seen from its centre more than 120° apart, as between the faces of a wall and
    /// not in a corner or an edge.
    pub between: bool,
}

/// Rounds after which a ball that still shrinks is taken as it is; four are usual.
const ROUNDS: usize = 16;
/// Relative change of the radius that ends the search.
const SETTLED: f64 = 1e-6;

/// The largest ball that touches the surface where the ball about `start` does, and holds that ball: it grows away from the
/// surface until it meets it again, by at most `reach_mm` (shrinking ball of Ma, Bae & Choi 2012). `None` on the surface itself.
pub(super) fn grown(surface: Surface, start: &Point3<f64>, reach_mm: f64, seat: &mut u32) -> Option<Ball> {
    let foot = surface.facets.nearest_from(start, seat);
    let own = foot.distance_mm;
    let away = (start - foot.point).try_normalize(1e-12)?;
    let mut radius = own + reach_mm;
    let mut contact = None;
    for _ in 0..ROUNDS {
        let near = surface.facets.nearest_from(&(foot.point + away * radius), seat);
        if near.distance_mm >= radius * (1.0 - SETTLED) {
            break;
        }
        // The sphere through the new point that is tangent at the foot.
        let chord = near.point - foot.point;
        let along = away.dot(&chord);
        if along <= 0.0 {
            break;
        }
        contact = Some(near.point);
        let through = (chord.norm_squared() / (2.0 * along)).max(own);
        let settled = through >= radius * (1.0 - SETTLED);
        radius = radius.min(through);
        if settled || through == own {
            break;
        }
    }
    let centre = foot.point + away * radius;
    let between = contact.is_some_and(|other| (foot.point - centre).dot(&(other - centre)) < -0.5 * radius * radius);
    let radius_mm = surface.room_mm(&centre, seat);
    Some(Ball { centre, radius_mm, between })
}

/// A wall where a ball fits between its faces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wall {
    pub centre: Point3<f64>,
    pub thickness_mm: f64,
    /// Its faces look away from each other, as they do not in an edge.
    pub between: bool,
}

/// A point this deep under the surface has the surface about as near: below, the other face is nearer.
const UNDER: f64 = 0.7;

/// The wall under a point of the surface with this outward normal, between these thicknesses; none where no ball fits.
pub(crate) fn wall_at(
    facets: &MeshDistance,
    bulge: Option<&Bulge>,
    p: &Point3<f64>,
    outward: &Vector3<f64>,
    [least_mm, most_mm]: [f64; 2],
) -> Option<Wall> {
    let surface = Surface { facets, bulge, phase: Phase::Walls };
    // A ball that starts on the facets would be caught between two of them: it starts somewhat above the middle of the wall.
    let (mut seat, mut start) = (0, None);
    let mut depth = 0.25 * least_mm;
    while depth <= 0.5 * most_mm {
        let deeper = p - outward * depth;
        let near = facets.signed_from(&deeper, &mut seat);
        if -near.distance_mm < UNDER * depth {
            break;
        }
        start = Some(deeper);
        depth *= 2.0;
    }
    let ball = grown(surface, &start?, 0.5 * most_mm, &mut seat)?;
    (2.0 * ball.radius_mm <= most_mm).then_some(Wall { centre: ball.centre, thickness_mm: 2.0 * ball.radius_mm, between: ball.between })
}

/// Steps of a climb that are tried at each length, and lengths, each half of the one before.
const CLIMB: [usize; 2] = [4, 5];

/// A larger ball near one that is held from one side only, as in a round pore whose surface is rough: its centre steps away from where
/// it touches while that makes room. `None` where there is no larger one.
pub(super) fn climbed(surface: Surface, ball: &Ball, step_mm: f64, seat: &mut u32) -> Option<Ball> {
    if ball.between {
        return None; // between two facing sides nothing is gained
    }
    let [tries, lengths] = CLIMB;
    let (mut best, mut step) = (*ball, 0.5 * step_mm);
    for _ in 0..lengths {
        for _ in 0..tries {
            let foot = surface.facets.nearest_from(&best.centre, seat).point;
            let Some(away) = (best.centre - foot).try_normalize(1e-12) else { break };
            let centre = best.centre + away * step;
            let radius_mm = surface.room_mm(&centre, seat);
            if radius_mm <= best.radius_mm {
                break;
            }
            best = Ball { centre, radius_mm, between: false };
        }
        step *= 0.5;
    }
    (best.radius_mm > ball.radius_mm + 1e-3 * step_mm).then_some(best)
}
