//! Regions of the nominal frame: where a requirement applies.

use nalgebra::{Point3, Vector3};

use crate::distance::MeshDistance;
use crate::frame::Bounds;

/// A closed set of points in the nominal frame, mm.
pub enum Region {
    Box {
        min: Point3<f64>,
        max: Point3<f64>,
    },
    Sphere {
        centre: Point3<f64>,
        radius_mm: f64,
    },
    /// Between two parallel discs.
    Cylinder {
        from: Point3<f64>,
        to: Point3<f64>,
        radius_mm: f64,
    },
    /// Inside a closed mesh.
    Mesh(Box<MeshDistance>),
}

impl Region {
    pub fn contains(&self, p: &Point3<f64>) -> bool {
        match self {
            Region::Box { min, max } => (0..3).all(|a| min[a] <= p[a] && p[a] <= max[a]),
            Region::Sphere { centre, radius_mm } => (p - centre).norm_squared() <= radius_mm * radius_mm,
            Region::Cylinder { from, to, radius_mm } => {
                let (axis, r) = (to - from, p - from);
                let along = r.dot(&axis);
                let length2 = axis.norm_squared();
                (0.0..=length2).contains(&along) && (r - axis * (along / length2)).norm_squared() <= radius_mm * radius_mm
            }
            Region::Mesh(mesh) => mesh.contains(p) == Some(true),
        }
    }

    pub fn bounds(&self) -> Bounds {
        match self {
            Region::Box { min, max } => Bounds { min: *min, max: *max },
            Region::Sphere { centre, radius_mm } => {
                let r = Vector3::repeat(*radius_mm);
                Bounds { min: centre - r, max: centre + r }
            }
            Region::Cylinder { from, to, radius_mm } => {
                // The disc normal to the unit axis n reaches r sqrt(1 - n_k^2) along axis k.
                let n = (to - from).normalize();
                let r = n.map(|c| radius_mm * (1.0 - c * c).max(0.0).sqrt());
                Bounds { min: from.inf(to) - r, max: from.sup(to) + r }
            }
            Region::Mesh(mesh) => mesh.mesh().bounds(),
        }
    }

    /// The part of the line through (·, y, z) along x that lies inside a convex region; `None` where it misses, or for a mesh.
    pub fn chord(&self, y: f64, z: f64) -> Option<[f64; 2]> {
        match self {
            Region::Box { min, max } => {
                let hits = (min.y..=max.y).contains(&y) && (min.z..=max.z).contains(&z);
                hits.then_some([min.x, max.x])
            }
            Region::Sphere { centre, radius_mm } => {
                let (dy, dz) = (y - centre.y, z - centre.z);
                let half = (radius_mm * radius_mm - dy * dy - dz * dz).max(0.0).sqrt();
                (half > 0.0).then_some([centre.x - half, centre.x + half])
            }
            Region::Cylinder { from, to, radius_mm } => {
                let length = (to - from).norm();
                let n = (to - from) / length;
                let o = Point3::new(0.0, y, z) - from;
                // Between the discs: 0 <= o.n + x n_x <= length. Inside the mantle: |o + x e - n(o.n + x n_x)| <= radius.
                let slab = solve_linear(n.x, o.dot(&n), length)?;
                let (across, along) = (o - n * o.dot(&n), Vector3::x() - n * n.x);
                let (a, b, c) = (along.norm_squared(), along.dot(&across), across.norm_squared() - radius_mm * radius_mm);
                let mantle = solve_quadratic(a, b, c)?;
                let both = [slab[0].max(mantle[0]), slab[1].min(mantle[1])];
                (both[0] < both[1]).then_some(both)
            }
            Region::Mesh(_) => None,
        }
    }

    /// Volume in mm³.
    pub fn volume_mm3(&self) -> f64 {
        use std::f64::consts::PI;
        match self {
            Region::Box { min, max } => (max - min).product(),
            Region::Sphere { radius_mm: r, .. } => 4.0 / 3.0 * PI * r * r * r,
            Region::Cylinder { from, to, radius_mm } => PI * radius_mm * radius_mm * (to - from).norm(),
            Region::Mesh(mesh) => mesh.mesh().volume_mm3(),
        }
    }
}

/// All x with `0 <= offset + slope x <= length`.
fn solve_linear(slope: f64, offset: f64, length: f64) -> Option<[f64; 2]> {
    if slope.abs() < 1e-12 {
        return (0.0..=length).contains(&offset).then_some([f64::NEG_INFINITY, f64::INFINITY]);
    }
    let (a, b) = (-offset / slope, (length - offset) / slope);
    Some([a.min(b), a.max(b)])
}

/// All x with `a x² + 2 b x + c <= 0`, for `a >= 0`.
fn solve_quadratic(a: f64, b: f64, c: f64) -> Option<[f64; 2]> {
    if a < 1e-12 {
        return (c <= 0.0).then_some([f64::NEG_INFINITY, f64::INFINITY]);
    }
    let discriminant = b * b - a * c;
    let root = discriminant.max(0.0).sqrt();
    (discriminant > 0.0).then_some([(-b - root) / a, (-b + root) / a])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cylinder_holds_its_axis_and_ends_where_it_says() {
        let (from, to) = (Point3::new(1.0, 1.0, 1.0), Point3::new(3.0, 1.0, 3.0));
        let region = Region::Cylinder { from, to, radius_mm: 0.5 };
        assert!(region.contains(&from) && region.contains(&to) && region.contains(&Point3::new(2.0, 1.5, 2.0)));
        assert!(!region.contains(&Point3::new(2.0, 1.51, 2.0)));
        assert!(!region.contains(&Point3::new(0.9, 1.0, 1.0)) && !region.contains(&Point3::new(3.1, 1.0, 3.0)));
        let b = region.bounds();
        let reach = 0.5 * 0.5_f64.sqrt();
        assert!((b.min.x - (1.0 - reach)).abs() < 1e-12 && (b.max.y - 1.5).abs() < 1e-12);
    }

    #[test]
    fn a_chord_is_where_the_line_is_inside() {
        let regions = [
            Region::Box { min: Point3::new(-1.0, -2.0, -3.0), max: Point3::new(2.0, 1.0, 3.0) },
            Region::Sphere { centre: Point3::new(0.2, -0.1, 0.4), radius_mm: 1.3 },
            Region::Cylinder { from: Point3::new(-1.0, -0.5, 0.0), to: Point3::new(1.0, 0.8, 0.5), radius_mm: 0.7 },
            Region::Cylinder { from: Point3::new(-1.0, 0.0, 0.0), to: Point3::new(1.0, 0.0, 0.0), radius_mm: 0.7 },
            Region::Cylinder { from: Point3::new(0.0, 0.0, -1.0), to: Point3::new(0.0, 0.0, 1.0), radius_mm: 0.7 },
        ];
        for region in &regions {
            for (y, z) in [(0.0, 0.0), (0.31, -0.22), (-0.55, 0.6), (0.9, 0.9)] {
                let chord = region.chord(y, z);
                for i in -300..300 {
                    let x = i as f64 * 0.01 + 0.00317;
                    let inside = chord.is_some_and(|[a, b]| a <= x && x <= b);
                    assert_eq!(inside, region.contains(&Point3::new(x, y, z)), "x {x} y {y} z {z}");
                }
            }
        }
    }
}
