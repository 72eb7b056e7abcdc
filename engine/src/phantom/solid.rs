//! Solids as trees of signed distances, and their volumes.
//!
//! [`Solid::distance_mm`] is negative inside and never larger in size than the true distance (each node is 1-Lipschitz); its zero
//! set is the surface exactly. It is the true distance everywhere for primitives and their moves and, for compositions,
//! outside the blends and on the side that the composition does not hide. Blends take the quadratic smooth minimum
//! `min(a, b) - max(w - |a - b|, 0)² / 4w`, which turns the edge of two perpendicular faces into a fillet with curvature
//! radius `w / √2` at its narrowest.

use std::f64::consts::PI;

use nalgebra::{Point3, Vector3};

use super::sheets::Sheet;
use super::struts::{Rod, Rods};
use crate::frame::{Bounds, Pose};

/// A solid in millimetres.
#[derive(Clone, Debug, PartialEq)]
pub enum Solid {
    Ball {
        centre: Point3<f64>,
        radius_mm: f64,
    },
    /// Axis-aligned box; `half_mm` reaches to the faces, `rounding_mm` is the radius of its edges and corners.
    Box {
        centre: Point3<f64>,
        half_mm: Vector3<f64>,
        rounding_mm: f64,
    },
    /// All points within the radius of a segment.
    Capsule {
        from: Point3<f64>,
        to: Point3<f64>,
        radius_mm: f64,
    },
    /// With flat ends at `from` and `to`.
    Cylinder {
        from: Point3<f64>,
        to: Point3<f64>,
        radius_mm: f64,
    },
    /// Around an axis parallel to z.
    Torus {
        centre: Point3<f64>,
        major_mm: f64,
        minor_mm: f64,
    },
    /// Points with `normal · p ≤ offset`; the normal is a unit vector.
    HalfSpace {
        normal: Vector3<f64>,
        offset_mm: f64,
    },
    /// Unbounded plate around the plane `normal · p = offset`; the normal is a unit vector.
    Plate {
        normal: Vector3<f64>,
        offset_mm: f64,
        thickness_mm: f64,
    },
    Union(Vec<Solid>),
    /// Union of capsules.
    Rods(Rods),
    /// Unbounded walls about a minimal surface.
    Sheet(Sheet),
    Intersection(Vec<Solid>),
    /// Union with fillets of the given width.
    Blend {
        of: Vec<Solid>,
        width_mm: f64,
    },
    /// Intersection with rounded edges of the given width; 0 keeps them sharp.
    Common {
        of: Vec<Solid>,
        width_mm: f64,
    },
    /// The first without the second, edges rounded by the given width; 0 keeps them sharp.
    Without {
        from: Box<Solid>,
        cut: Box<Solid>,
        width_mm: f64,
    },
    /// Copies at multiples of the pitch, `count` along each axis. Exact if every copy lies within half a pitch of its place
    /// along the repeated axes.
    Repeated {
        of: Box<Solid>,
        pitch_mm: Vector3<f64>,
        count: [u32; 3],
    },
    /// Moved by `target_from_source`.
    Moved {
        of: Box<Solid>,
        target_from_source: Pose,
    },
    /// Coordinates multiplied by positive factors.
    Scaled {
        of: Box<Solid>,
        factors: Vector3<f64>,
    },
    /// Grown by a distance (shrunk, if negative).
    Offset {
        of: Box<Solid>,
        by_mm: f64,
    },
}

impl Solid {
    /// Signed distance to the surface in mm, negative inside; see the module for where it is exact.
    pub fn distance_mm(&self, p: &Point3<f64>) -> f64 {
        match self {
            Solid::Ball { centre, radius_mm } => (p - centre).norm() - radius_mm,
            Solid::Box { centre, half_mm, rounding_mm } => {
                let q = (p - centre).abs() - half_mm.add_scalar(-rounding_mm);
                q.sup(&Vector3::zeros()).norm() + q.max().min(0.0) - rounding_mm
            }
            Solid::Capsule { from, to, radius_mm } => Rod { from: *from, to: *to, radius_mm: *radius_mm }.distance_mm(p),
            Solid::Cylinder { from, to, radius_mm } => {
                let length = (to - from).norm();
                let axis = (to - from) / length;
                let along = (p - from).dot(&axis);
                let radial = (p - from - axis * along).norm() - radius_mm;
                corner(radial, (along - 0.5 * length).abs() - 0.5 * length)
            }
            Solid::Torus { centre, major_mm, minor_mm } => {
                let q = p - centre;
                let ring = (q.x * q.x + q.y * q.y).sqrt() - major_mm;
                (ring * ring + q.z * q.z).sqrt() - minor_mm
            }
            Solid::HalfSpace { normal, offset_mm } => normal.dot(&p.coords) - offset_mm,
            Solid::Plate { normal, offset_mm, thickness_mm } => (normal.dot(&p.coords) - offset_mm).abs() - 0.5 * thickness_mm,
            Solid::Union(of) => nearest(of, p, f64::min),
            Solid::Rods(rods) => rods.distance_mm(p),
            Solid::Sheet(sheet) => sheet.distance_mm(p),
            Solid::Intersection(of) => nearest(of, p, f64::max),
            Solid::Blend { of, width_mm } => nearest(of, p, |a, b| smooth_min(a, b, *width_mm)),
            Solid::Common { of, width_mm } => nearest(of, p, |a, b| -smooth_min(-a, -b, *width_mm)),
            Solid::Without { from, cut, width_mm } => -smooth_min(-from.distance_mm(p), cut.distance_mm(p), *width_mm),
            Solid::Repeated { of, pitch_mm, count } => {
                let shift = |a: usize| {
                    let last = f64::from(count[a].saturating_sub(1));
                    if last == 0.0 { 0.0 } else { pitch_mm[a] * (p[a] / pitch_mm[a]).round().clamp(0.0, last) }
                };
                of.distance_mm(&(p - Vector3::new(shift(0), shift(1), shift(2))))
            }
            Solid::Moved { of, target_from_source } => of.distance_mm(&target_from_source.inverse().apply(p)),
            Solid::Scaled { of, factors } => of.distance_mm(&Point3::from(p.coords.component_div(factors))) * factors.min(),
            Solid::Offset { of, by_mm } => of.distance_mm(p) - by_mm,
        }
    }

    /// Gradient of the distance by central differences of 10 nm; of length 1 where the distance is exact and smooth.
    pub fn gradient(&self, p: &Point3<f64>) -> Vector3<f64> {
        const STEP: f64 = 1e-5;
        Vector3::from_fn(|a, _| {
            let e = Vector3::ith(a, STEP);
            (self.distance_mm(&(p + e)) - self.distance_mm(&(p - e))) / (2.0 * STEP)
        })
    }

    /// The point of the surface reached from `p` along the gradient; `p` itself where the gradient vanishes.
    pub fn foot(&self, p: &Point3<f64>) -> Point3<f64> {
        let mut q = *p;
        for _ in 0..20 {
            let d = self.distance_mm(&q);
            if d.abs() < 1e-12 {
                break;
            }
            let g = self.gradient(&q);
            if g.norm_squared() < 1e-6 {
                break;
            }
            q -= g * (d / g.norm_squared());
        }
        q
    }

    /// First-order signed distance: the value over the length of its gradient. True to second order near the surface, blends included.
    pub fn near_distance_mm(&self, p: &Point3<f64>) -> f64 {
        self.distance_mm(p) / self.gradient(p).norm().max(0.1)
    }

    /// Volume in closed form (mm³), where there is one.
    pub fn volume_mm3(&self) -> Option<f64> {
        match self {
            Solid::Ball { radius_mm: r, .. } => Some(4.0 / 3.0 * PI * r * r * r),
            // Steiner's formula for the parallel body of the inner box, as for the area below.
            Solid::Box { half_mm, rounding_mm: r, .. } => {
                let e = half_mm.add_scalar(-r) * 2.0;
                Some(e.product() + 2.0 * r * pairs(&e) + PI * r * r * e.sum() + 4.0 / 3.0 * PI * r * r * r)
            }
            Solid::Capsule { from, to, radius_mm: r } => Some(PI * r * r * ((to - from).norm() + 4.0 / 3.0 * r)),
            Solid::Cylinder { from, to, radius_mm: r } => Some(PI * r * r * (to - from).norm()),
            Solid::Torus { major_mm, minor_mm, .. } => Some(2.0 * PI * PI * major_mm * minor_mm * minor_mm),
            Solid::Moved { of, .. } => of.volume_mm3(),
            Solid::Scaled { of, factors } => of.volume_mm3().map(|v| v * factors.product()),
            _ => None,
        }
    }

    /// Surface area in closed form (mm²), where there is one.
    pub fn area_mm2(&self) -> Option<f64> {
        match self {
            Solid::Ball { radius_mm: r, .. } => Some(4.0 * PI * r * r),
            Solid::Box { half_mm, rounding_mm: r, .. } => {
                let e = half_mm.add_scalar(-r) * 2.0;
                Some(2.0 * pairs(&e) + 2.0 * PI * r * e.sum() + 4.0 * PI * r * r)
            }
            Solid::Capsule { from, to, radius_mm: r } => Some(2.0 * PI * r * ((to - from).norm() + 2.0 * r)),
            Solid::Cylinder { from, to, radius_mm: r } => Some(2.0 * PI * r * ((to - from).norm() + r)),
            Solid::Torus { major_mm, minor_mm, .. } => Some(4.0 * PI * PI * major_mm * minor_mm),
            Solid::Moved { of, .. } => of.area_mm2(),
            _ => None,
        }
    }

    pub fn moved(self, target_from_source: Pose) -> Solid {
        Solid::Moved { of: Box::new(self), target_from_source }
    }

    pub fn scaled(self, factors: Vector3<f64>) -> Solid {
        Solid::Scaled { of: Box::new(self), factors }
    }

    pub fn offset(self, by_mm: f64) -> Solid {
        Solid::Offset { of: Box::new(self), by_mm }
    }

    pub fn without(self, cut: Solid, width_mm: f64) -> Solid {
        Solid::Without { from: Box::new(self), cut: Box::new(cut), width_mm }
    }
}

/// Exact distance to the solid whose faces are the zeros of two exact distances with perpendicular gradients.
fn corner(a: f64, b: f64) -> f64 {
    let (u, v) = (a.max(0.0), b.max(0.0));
    (u * u + v * v).sqrt() + a.max(b).min(0.0)
}

/// Folds the distances of the members; an empty composition is empty space.
fn nearest(of: &[Solid], p: &Point3<f64>, combine: impl Fn(f64, f64) -> f64) -> f64 {
    of.iter().map(|s| s.distance_mm(p)).reduce(combine).unwrap_or(f64::INFINITY)
}

/// Its gradient is a convex combination of the gradients of `a` and `b`, so it stays 1-Lipschitz.
fn smooth_min(a: f64, b: f64, width: f64) -> f64 {
    let h = (width - (a - b).abs()).max(0.0);
    if h > 0.0 { a.min(b) - h * h / (4.0 * width) } else { a.min(b) }
}

/// Sum of the products of pairs.
fn pairs(e: &Vector3<f64>) -> f64 {
    e.x * e.y + e.y * e.z + e.z * e.x
}

/// Volume of the part of a solid within bounds (mm³), by halving cells until they are clear of the surface or smaller than
/// `cell_mm`, where the surface is taken for a plane: an error of about `curvature · cell² / 24` of offset times the area.
pub fn volume_within_mm3(solid: &Solid, bounds: &Bounds, cell_mm: f64) -> f64 {
    // The first cells are the parallel work and the order of the sum, whatever the threads.
    const FIRST: usize = 16;
    let step = (bounds.max - bounds.min) / FIRST as f64;
    crate::sum::sum(FIRST * FIRST * FIRST, |c| {
        let index = [c % FIRST, c / FIRST % FIRST, c / FIRST / FIRST];
        let centre = bounds.min + Vector3::from_fn(|a, _| (index[a] as f64 + 0.5) * step[a]);
        filled(solid, &centre, &(step * 0.5), cell_mm)
    })
}

fn filled(solid: &Solid, centre: &Point3<f64>, half: &Vector3<f64>, cell_mm: f64) -> f64 {
    let d = solid.distance_mm(centre);
    let volume = 8.0 * half.product();
    if d.abs() >= half.norm() {
        return if d < 0.0 { volume } else { 0.0 };
    }
    if 2.0 * half.max() > cell_mm {
        let part = |c: usize| {
            let side = |a: usize| if c >> a & 1 == 1 { 0.5 * half[a] } else { -0.5 * half[a] };
            filled(solid, &(centre + Vector3::new(side(0), side(1), side(2))), &(half * 0.5), cell_mm)
        };
        return (0..8).map(part).sum();
    }
    // A ramp as wide as the cell seen along the normal: right on average over the places a plane can take.
    let g = solid.gradient(centre);
    let width = 2.0 * half.dot(&g.abs());
    volume * if width > 0.0 { (0.5 - d / width).clamp(0.0, 1.0) } else { 0.5 }
}
