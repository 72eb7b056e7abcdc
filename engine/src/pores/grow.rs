//! Balls between surfaces, exact in their radius.

use nalgebra::Point3;

use crate::distance::MeshDistance;

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
pub(super) fn grown(surface: &MeshDistance, start: &Point3<f64>, reach_mm: f64, seat: &mut u32) -> Option<Ball> {
    let foot = surface.nearest_from(start, seat);
    let own = foot.distance_mm;
    let away = (start - foot.point).try_normalize(1e-12)?;
    let mut radius = own + reach_mm;
    let mut contact = None;
    for _ in 0..ROUNDS {
        let near = surface.nearest_from(&(foot.point + away * radius), seat);
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
    let radius_mm = surface.nearest_from(&centre, seat).distance_mm;
    let between = contact.is_some_and(|other| (foot.point - centre).dot(&(other - centre)) < -0.5 * radius_mm * radius_mm);
    Some(Ball { centre, radius_mm, between })
}
