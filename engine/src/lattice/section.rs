//! Plane sections of a mesh: closed curves with their area and centre, exact for the facets.
//!
//! Every triangle that a plane crosses gives a directed segment with the material on its left; segments are joined by the edges of the
//! mesh that they end on, so no tolerance decides what is one curve. A corner on the plane counts as above it.
//! Facets whose corners lie on a round surface cut off what is between; each segment may carry the mean height of that over its facet.

use nalgebra::{Point2, Point3, Vector2, Vector3};

use crate::mesh::{Chain, Mesh, chains};

/// A curve in a plane; coordinates are about the plane's origin, mm.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curve {
    pub points: Vec<Point2<f64>>,
    /// It comes back to its start within the triangles looked at.
    pub closed: bool,
    /// Enclosed area, negative around a hollow.
    pub area_mm2: f64,
    /// Area that the facets cut off.
    pub cut_mm2: f64,
    pub centroid: Point2<f64>,
    pub length_mm: f64,
    /// Largest distance from the origin.
    pub reach_mm: f64,
}

impl Curve {
    /// Whether the curve goes round a point.
    pub fn surrounds(&self, p: &Point2<f64>) -> bool {
        surrounds(&self.points, p)
    }

    fn of(points: Vec<Point2<f64>>, cut_mm2: f64, closed: bool) -> Curve {
        let mut curve = Curve { points, closed, area_mm2: 0.0, cut_mm2, centroid: Point2::origin(), length_mm: 0.0, reach_mm: 0.0 };
        let first = curve.points[0];
        let (mut twice, mut moment, mut length) = (0.0, Vector2::zeros(), 0.0);
        for (a, b) in sides(&curve.points) {
            let (a, b) = (a - first, b - first);
            let cross = a.perp(&b);
            twice += cross;
            moment += (a + b) * cross;
            length += (b - a).norm();
        }
        (curve.area_mm2, curve.length_mm) = (0.5 * twice, length);
        curve.centroid = if twice == 0.0 { first } else { first + moment / (3.0 * twice) };
        curve.reach_mm = curve.points.iter().map(|p| p.coords.norm()).fold(0.0, f64::max);
        curve
    }
}

fn sides(points: &[Point2<f64>]) -> impl Iterator<Item = (Point2<f64>, Point2<f64>)> + '_ {
    points.iter().zip(points.iter().cycle().skip(1)).map(|(a, b)| (*a, *b))
}

fn surrounds(points: &[Point2<f64>], p: &Point2<f64>) -> bool {
    let mut inside = false;
    for (a, b) in sides(points) {
        if (a.y > p.y) != (b.y > p.y) && p.x < a.x + (b.x - a.x) * (p.y - a.y) / (b.y - a.y) {
            inside = !inside;
        }
    }
    inside
}

/// Diameters of the largest circle about the origin that a closed curve goes round, 0 where it does not go round it, and of the smallest that
/// holds the curve.
pub(super) fn circles_mm(points: &[Point2<f64>]) -> [f64; 2] {
    let from_side = |(a, b): (Point2<f64>, Point2<f64>)| {
        let side = b - a;
        let along = if side == Vector2::zeros() { 0.0 } else { (-a.coords.dot(&side) / side.norm_squared()).clamp(0.0, 1.0) };
        (a.coords + side * along).norm()
    };
    let within = if surrounds(points, &Point2::origin()) { sides(points).map(from_side).fold(f64::INFINITY, f64::min) } else { 0.0 };
    [2.0 * within, 2.0 * points.iter().map(|p| p.coords.norm()).fold(0.0, f64::max)]
}

/// Minor over major axis of the ellipse with the second moments about the origin of what a closed curve encloses (Green's theorem on its sides).
pub(super) fn axis_ratio(points: &[Point2<f64>]) -> f64 {
    let [mut xx, mut xy, mut yy] = [0.0; 3];
    for (a, b) in sides(points) {
        let cross = a.coords.perp(&b.coords);
        xx += cross * (a.x * a.x + a.x * b.x + b.x * b.x);
        xy += cross * (a.x * a.y + 0.5 * (a.x * b.y + b.x * a.y) + b.x * b.y);
        yy += cross * (a.y * a.y + a.y * b.y + b.y * b.y);
    }
    let (mean, half) = (0.5 * (xx + yy), 0.5 * (xx - yy));
    let apart = (half * half + xy * xy).sqrt();
    ((mean - apart).max(0.0) / (mean + apart)).sqrt()
}

/// A frame whose planes of equal third coordinate are cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Along {
    pub origin: Point3<f64>,
    /// Right-handed; the third is the axis.
    pub axes: [Vector3<f64>; 3],
}

impl Along {
    pub fn new(origin: Point3<f64>, axis: Vector3<f64>) -> Along {
        let across = axis.cross(&Vector3::ith(axis.iamin(), 1.0)).normalize();
        Along { origin, axes: [across, axis.cross(&across), axis] }
    }

    fn local(&self, p: &Point3<f64>) -> Vector3<f64> {
        let v = p - self.origin;
        Vector3::new(v.dot(&self.axes[0]), v.dot(&self.axes[1]), v.dot(&self.axes[2]))
    }

    /// The point of the plane at `height_mm`.
    pub fn place(&self, p: &Point2<f64>, height_mm: f64) -> Point3<f64> {
        self.origin + self.axes[0] * p.x + self.axes[1] * p.y + self.axes[2] * height_mm
    }
}

/// A directed segment with the edges of the mesh that it runs between.
struct Piece {
    from: u64,
    to: u64,
    start: Point2<f64>,
    cut_mm2: f64,
}

/// The curves of some triangles in the planes at ascending heights, plane by plane. `cut_mm` is the mean height that each facet of the mesh cuts
/// off; empty where none is known.
pub(super) fn sections(mesh: &Mesh, triangles: &[u32], cut_mm: &[f32], along: &Along, heights_mm: &[f64]) -> Vec<Vec<Curve>> {
    let mut pieces: Vec<Vec<Piece>> = heights_mm.iter().map(|_| vec![]).collect();
    for &t in triangles {
        let corners = mesh.corners(t as usize).map(|p| along.local(&p));
        let [low, high] = corners.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[l, h], c| [l.min(c.z), h.max(c.z)]);
        let first = heights_mm.partition_point(|&h| h <= low);
        let cut = cut_mm.get(t as usize).map_or(0.0, |&c| f64::from(c));
        for (height, found) in heights_mm[first..].iter().zip(&mut pieces[first..]).take_while(|(h, _)| **h <= high) {
            found.extend(piece(&mesh.triangles()[t as usize], &corners, *height, cut));
        }
    }
    pieces.into_iter().map(joined).collect()
}

fn piece(ids: &[u32; 3], corners: &[Vector3<f64>; 3], height: f64, cut_mm: f64) -> Option<Piece> {
    let above = corners.map(|c| c.z >= height);
    let crossing = |k: usize| {
        let (a, b) = (k, (k + 1) % 3);
        // From the smaller vertex number on, so that both triangles of an edge find the same point.
        let (p, q) = if ids[a] < ids[b] { (a, b) } else { (b, a) };
        let t = (height - corners[p].z) / (corners[q].z - corners[p].z);
        let at = corners[p] + (corners[q] - corners[p]) * t;
        ((u64::from(ids[p]) << 32) | u64::from(ids[q]), Point2::new(at.x, at.y))
    };
    // Seen from above with the outside on the right, the curve enters by the edge that falls and leaves by the one that climbs.
    let up = (0..3).find(|&k| !above[k] && above[(k + 1) % 3])?;
    let down = (0..3).find(|&k| above[k] && !above[(k + 1) % 3])?;
    let ((one, start), (other, end)) = (crossing(down), crossing(up));
    Some(Piece { from: one, to: other, start, cut_mm2: cut_mm * (end - start).norm() })
}

fn joined(pieces: Vec<Piece>) -> Vec<Curve> {
    let ends: Vec<[u64; 2]> = pieces.iter().map(|p| [p.from, p.to]).collect();
    let curve = |Chain { segments, closed }: Chain| {
        let points = segments.iter().map(|&n| pieces[n].start).collect();
        Curve::of(points, segments.iter().map(|&n| pieces[n].cut_mm2).sum(), closed)
    };
    chains(&ends).into_iter().map(curve).collect()
}

/// Mean height over each facet of the surface through its corners: to second order the corners' normals tell how it bends along every side,
/// and a quadratic surface stands Σ Δn·Δx / 24 over its facet. Right for surfaces without edges.
pub(super) fn cut_heights(mesh: &Mesh) -> Vec<f32> {
    use rayon::prelude::*;
    let normals = mesh.vertex_normals();
    let of = |t: usize| {
        let ids = mesh.triangles()[t].map(|v| v as usize);
        let side = |k: usize| {
            let (a, b) = (ids[k], ids[(k + 1) % 3]);
            (normals[b] - normals[a]).dot(&(mesh.vertices()[b] - mesh.vertices()[a]))
        };
        ((side(0) + side(1) + side(2)) / 24.0) as f32
    };
    (0..mesh.triangles().len()).into_par_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;
    use crate::phantom::parts;

    fn cut(mesh: &Mesh, axis: Vector3<f64>, heights: &[f64], corrected: bool) -> Vec<Vec<Curve>> {
        let all: Vec<u32> = (0..mesh.triangles().len() as u32).collect();
        let cut = if corrected { cut_heights(mesh) } else { vec![] };
        sections(mesh, &all, &cut, &Along::new(Point3::new(1.0, 2.0, 3.0), axis.normalize()), heights)
    }

    #[test]
    fn a_ball_is_cut_in_circles_of_their_area_and_facets_give_back_what_they_cut_off() {
        let ball = parts::ball(Point3::new(1.0, 2.0, 3.0), 2.0, 12).mesh;
        for axis in [Vector3::z(), Vector3::new(0.3, -0.7, 0.5)] {
            for (curves, h) in cut(&ball, axis, &[-1.1, 0.0, 0.7], true).iter().zip([-1.1, 0.0, 0.7]) {
                let [circle] = curves.as_slice() else { panic!("{} curves", curves.len()) };
                let truth = PI * (4.0 - h * h);
                assert!(circle.closed && circle.area_mm2 > 0.0 && circle.centroid.coords.norm() < 0.01);
                assert!(circle.area_mm2 < truth && ((circle.area_mm2 + circle.cut_mm2) / truth - 1.0).abs() < 0.002);
                assert!(circle.surrounds(&Point2::origin()) && !circle.surrounds(&Point2::new(3.0, 0.0)));
            }
        }
        assert!(cut(&ball, Vector3::z(), &[2.5], false)[0].is_empty());
    }

    #[test]
    fn a_box_cut_through_its_corners_gives_one_closed_square() {
        let bounds = crate::frame::Bounds { min: Point3::new(0.0, 1.0, 2.0), max: Point3::new(2.0, 3.0, 4.0) };
        let cube = parts::cuboid(&bounds, 4).mesh;
        // Planes through rows of vertices, where every corner is on the plane.
        for (curves, h) in cut(&cube, Vector3::x(), &[-0.5, 0.0, 0.5], false).iter().zip([-0.5, 0.0, 0.5]) {
            assert_eq!(curves.len(), 1, "at {h}");
            assert!(curves[0].closed && (curves[0].area_mm2 - 4.0).abs() < 1e-12 && (curves[0].length_mm - 8.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_hollow_has_negative_area_and_an_open_piece_does_not_close() {
        let hollow = parts::stepped_hollow_block(3).mesh;
        let middle = hollow.bounds().centre();
        let all: Vec<u32> = (0..hollow.triangles().len() as u32).collect();
        let along = Along::new(middle, Vector3::z());
        let few: Vec<u32> = all.iter().copied().filter(|&t| hollow.corners(t as usize)[0].x < middle.x).collect();
        assert!(sections(&hollow, &few, &[], &along, &[0.01])[0].iter().any(|c| !c.closed));
        assert!(sections(&hollow, &all, &[], &along, &[0.01])[0].iter().all(|c| c.closed));
    }
}
