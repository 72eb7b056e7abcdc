//! The wall under a place of the surface, as the ball between its faces.

use nalgebra::{Point3, Vector3};

use super::grow::{Reach, grown};
use super::{Phase, Surface};
use crate::distance::MeshDistance;
use crate::mesh::Bulge;

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
    // A ball that starts on the facets would be caught between two of them: it starts somewhat above the middle of the wall.
    let (mut seat, mut start) = (0, None);
    let mut depth = 0.25 * least_mm;
    while depth <= 0.5 * most_mm {
        let deeper = p - outward * depth;
        if -facets.signed_from(&deeper, &mut seat).distance_mm < UNDER * depth {
            break;
        }
        start = Some(deeper);
        depth *= 2.0;
    }
    let surface = Surface { facets, bulge, phase: Phase::Walls };
    let ball = grown(surface, &start?, Reach { grow_mm: 0.5 * most_mm, climb_mm: None })?.ball;
    (2.0 * ball.radius_mm <= most_mm).then_some(Wall {
        centre: ball.centre,
        thickness_mm: 2.0 * ball.radius_mm,
        between: ball.is_between(),
    })
}
