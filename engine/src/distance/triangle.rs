//! Closest point of a triangle, in f64, good for slivers and degenerate triangles.
//!
//! Region tests (Ericson 2005, §5.1.5) lose all digits on slivers. Here the three edges are measured as segments, which is well
//! conditioned for any shape, and the face replaces them only where the foot of the perpendicular falls inside. The plane is then
//! measured from the nearest edge point: the in-plane lever is at most the height of a sliver, so an inexact normal costs little. A face
//! is nearer than its edges by no more than the radius r of its incircle allows (d² ≥ edge² − r²); where the normal of an all but
//! degenerate triangle claims more, the edge stands.

use nalgebra::{Point3, Vector3};

/// Where on its triangle a closest point lies: the face, edge `k` from corner `k` to `k + 1`, or corner `k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    Face,
    Edge(u8),
    Vertex(u8),
}

/// Closest point of one triangle: squared distance (mm²), vector from the query to the closest point, feature.
#[derive(Clone, Copy, Debug)]
pub(super) struct Foot {
    pub squared: f64,
    pub to_point: Vector3<f64>,
    pub feature: Feature,
}

/// Leaves the incircle room for rounding.
const INCIRCLE: f64 = 1.01;

/// Foot on the segment from `from` to `from + along`, both relative to the query; parameter clamped to [0, 1].
#[inline(always)]
fn segment(from: &Vector3<f64>, to: &Vector3<f64>, along: &Vector3<f64>) -> (f64, Vector3<f64>, f64) {
    let (reach, length2) = (-from.dot(along), along.norm_squared());
    // Corners are returned as themselves, so that all triangles of a fan agree bit for bit.
    if reach <= 0.0 || length2 == 0.0 {
        (from.norm_squared(), *from, 0.0)
    } else if reach >= length2 {
        (to.norm_squared(), *to, 1.0)
    } else {
        let t = reach / length2;
        let foot = from + along * t;
        (foot.norm_squared(), foot, t)
    }
}

/// Closest point of triangle `abc` to `p`.
#[inline]
pub(super) fn closest(p: &Point3<f64>, [a, b, c]: &[Point3<f64>; 3]) -> Foot {
    let (a, b, c) = (a - p, b - p, c - p);
    let edges = [b - a, c - b, a - c];
    let normal = edges[0].cross(&edges[1]);
    let inside = |from: &Vector3<f64>, along: &Vector3<f64>| along.cross(from).dot(&normal) <= 0.0;
    let on_face = inside(&a, &edges[0]) && inside(&b, &edges[1]) && inside(&c, &edges[2]);

    let feet = [segment(&a, &b, &edges[0]), segment(&b, &c, &edges[1]), segment(&c, &a, &edges[2])];
    let mut k = 0;
    for other in 1..3 {
        if feet[other].0 < feet[k].0 {
            k = other;
        }
    }
    let (squared, foot, t) = feet[k];
    let length2 = normal.norm_squared();
    if on_face && length2 > 0.0 {
        let to_point = normal * (foot.dot(&normal) / length2);
        let on_plane = to_point.norm_squared();
        // r = |normal| / perimeter, and the perimeter is at least twice the longest edge.
        let longest2 = edges.iter().map(Vector3::norm_squared).fold(0.0, f64::max);
        let most = INCIRCLE * length2 / (4.0 * longest2);
        if on_plane < squared && squared - on_plane <= most {
            return Foot { squared: on_plane, to_point, feature: Feature::Face };
        }
    }
    let feature = match t {
        0.0 => Feature::Vertex(k as u8),
        1.0 => Feature::Vertex((k as u8 + 1) % 3),
        _ => Feature::Edge(k as u8),
    };
    Foot { squared, to_point: foot, feature }
}
