//! The room that a lattice fills: the convex hull of the part, and of it what lies in a region.

use nalgebra::{Point3, Vector3};

use crate::frame::Bounds;
use crate::mesh::Mesh;
use crate::region::Region;

/// Directions in which the hull is bounded, spread evenly (Fibonacci lattice, Swinbank & Purser 2006), beside the six along the axes.
const DIRECTIONS: usize = 90;

/// What the surface within a region spans.
pub(super) struct Room<'a> {
    /// Outward unit normals and how far the hull reaches along them, mm.
    planes: Vec<(Vector3<f64>, f64)>,
    region: Option<&'a Region>,
    pub bounds: Bounds,
}

impl<'a> Room<'a> {
    pub fn of(mesh: &Mesh, region: Option<&'a Region>) -> Room<'a> {
        let inside: Vec<&Point3<f64>> = mesh.vertices().iter().filter(|p| region.is_none_or(|r| r.contains(p))).collect();
        let golden = 0.5 * (5.0_f64.sqrt() - 1.0);
        let spread = (0..DIRECTIONS).map(|n| {
            let z = 1.0 - (2 * n + 1) as f64 / DIRECTIONS as f64;
            let (sin, cos) = libm::sincos(std::f64::consts::TAU * ((n as f64 * golden) % 1.0));
            let r = (1.0 - z * z).sqrt();
            Vector3::new(r * cos, r * sin, z)
        });
        let along = (0..3).flat_map(|a| [Vector3::ith(a, 1.0), Vector3::ith(a, -1.0)]);
        let reach = |n: &Vector3<f64>| inside.iter().map(|p| n.dot(&p.coords)).fold(f64::NEG_INFINITY, f64::max);
        let planes = along.chain(spread).map(|n| (n, reach(&n))).collect();
        Room { planes, region, bounds: Bounds::of(inside) }
    }

    /// Whether a point lies in the region and in the hull, this far from its border.
    pub fn holds(&self, p: &Point3<f64>, margin_mm: f64) -> bool {
        self.planes.iter().all(|(n, reach)| n.dot(&p.coords) <= reach - margin_mm) && self.region.is_none_or(|r| r.contains(p))
    }
}
