//! Struts: where the surface is that of a long round rod, and how a blurred rod looks.
//!
//! An error-function edge is flat. The edge of a strut of a few blurs is bent across its axis, and its far side is no parallel of it: taken
//! for a wall it shows another blur and contrast than it has. Under a Gaussian blur a long cylinder has the share of material
//! `P(r, a) = 1 - Q₁(r, a)` at a distance of r blurs from the axis of one of a blurs in radius (Marcum's Q: the chance that a normal scatter
//! around there stays within). Nothing is left to correct for curvature.

use std::sync::OnceLock;

use nalgebra::{Matrix3, Vector3};

use super::field::Ring;
use super::image::TWO_PI;
use super::shape::Shape;
use super::space::{V3, add, dot};
use crate::linear::eigen;

/// A strut at a vertex.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rod {
    /// Direction of its axis.
    pub axis: V3,
    /// Curvature across the axis: one over the radius (1/mm).
    pub curvature: f64,
}

/// Flatter surfaces than this, in blurs times the curvature across, are as good as flat (radius of ten blurs: the cube of it is 0.001).
pub(super) const LEAST_BEND: f64 = 0.1;
/// Blurs from one side to the other within which both are fitted: a bundle has all voxels of these, since they lie within reach of either.
const MOST_SEEN: f64 = 10.0;
/// A far side nearer than so many blurs is seen from the iso-surface, if there is one.
const SIGHT: f64 = 6.5;
/// Square of the curvature along a strut over that across, at most.
const STRAIGHT: f64 = 0.1;

impl Rod {
    /// Where the far side may be looked for (mm) though it is beyond sight: struts of up to ten blurs show it.
    pub fn far_side(&self, blur: f64) -> Option<f64> {
        Some(2.0 / self.curvature).filter(|far| (SIGHT * blur..MOST_SEEN * blur).contains(far))
    }

    /// The strut that a vertex lies on, by the normals of two rings of neighbours; `None` where the surface is bent along, too.
    pub fn around(v: usize, shapes: &[Shape], (ring, triangles): (&Ring, &[[u32; 3]])) -> Option<Rod> {
        let mut scatter = Matrix3::zeros();
        for near in ring.corners(v, triangles) {
            for c in ring.corners(near as usize, triangles) {
                let n = Vector3::from(shapes[c as usize].normal());
                scatter += n * n.transpose();
            }
        }
        let ([_, round, along], axes) = eigen(&scatter);
        let is_straight = along < STRAIGHT * round;
        is_straight.then(|| Rod { axis: axes.column(2).into_owned().into(), curvature: across(&shapes[v]) })
    }

    /// A direction turned so that it stands upright on the axis.
    pub fn upright(&self, normal: V3) -> V3 {
        let across = add(normal, self.axis, -dot(normal, self.axis));
        let length = dot(across, across).sqrt();
        if length > 0.0 { across.map(|x| x / length) } else { normal }
    }
}

/// Curvature across the axis of a strut of this mean curvature (1/mm). Hollows have less than none.
pub(super) fn across(shape: &Shape) -> f64 {
    2.0 * shape.curvature()
}

/// Share of material, and its change with the distance from the axis and with the radius, all in blurs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub value: f64,
    pub per_distance: f64,
    pub per_radius: f64,
}

/// By the midpoint rule over the angle of the rod's section, which converges exponentially. Distances may be negative: the profile is even.
fn share(distance: f64, radius: f64) -> Share {
    const STEPS: usize = 48;
    let below = |z: f64| 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2);
    let bell = |z: f64| libm::exp(-0.5 * z * z) / TWO_PI.sqrt();
    let width = std::f64::consts::PI / STEPS as f64;
    let mut sum = Share::default();
    // Both halves of the section are alike.
    for n in 0..STEPS / 2 {
        let angle = (n as f64 + 0.5) * width;
        let half = radius * libm::cos(angle);
        let weight = 2.0 * width * bell(radius * libm::sin(angle));
        let (near, far) = (half - distance, half + distance);
        sum.value += weight * half * (below(near) - below(-far));
        sum.per_distance += weight * half * (bell(far) - bell(near));
        sum.per_radius += weight * radius * (bell(far) + bell(near));
    }
    sum
}

/// Distances beyond the surface, and curvatures from [`LEAST_BEND`] on, in blurs, that the table has, and its steps.
const WIDEST: f64 = 7.0;
const BINS: f64 = 32.0;
const ROWS: usize = (2.0 * WIDEST * BINS) as usize + 2;
const MOST_BENT: f64 = 1.4;
const BENDS: f64 = 80.0;
const COLUMNS: usize = ((MOST_BENT - LEAST_BEND) * BENDS) as usize + 2;

/// [`share`], linear between tabulated values: exact to 2e-4, its slopes to 4e-4. Radii below 0.7 blurs and beyond ten count as these.
pub(super) fn profile(distance: f64, radius: f64) -> Share {
    static TABLE: OnceLock<Vec<Share>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let entry = |n: usize| {
            let (column, row) = (n / ROWS, n % ROWS);
            let radius = 1.0 / (LEAST_BEND + column as f64 / BENDS);
            share(radius + row as f64 / BINS - WIDEST, radius)
        };
        // One after another: a pool's thread that waits for parts of this could take up work that needs the table.
        (0..COLUMNS * ROWS).map(entry).collect()
    });
    let beyond = distance - radius;
    if !(beyond > -WIDEST && beyond < WIDEST) {
        return Share { value: if beyond > 0.0 { 0.0 } else { 1.0 }, ..Share::default() };
    }
    let (x, y) = ((beyond + WIDEST) * BINS, ((1.0 / radius).clamp(LEAST_BEND, MOST_BENT) - LEAST_BEND) * BENDS);
    let (row, column) = (x as usize, y as usize);
    let (s, t) = (x - row as f64, y - column as f64);
    let [a, b] = [column, column + 1].map(|c| [table[c * ROWS + row], table[c * ROWS + row + 1]]);
    let mix = |of: fn(&Share) -> f64| {
        let along = |p: &[Share; 2]| of(&p[0]) + s * (of(&p[1]) - of(&p[0]));
        let (low, high) = (along(&a), along(&b));
        low + t * (high - low)
    };
    Share { value: mix(|s| s.value), per_distance: mix(|s| s.per_distance), per_radius: mix(|s| s.per_radius) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tabulated_rod_is_that_of_its_integral_and_its_slopes_are_its_slopes() {
        for radius in [0.75f64, 1.0, 1.37, 2.0, 3.3, 5.0, 9.0] {
            for n in 0..200 {
                let distance = f64::from(n) * 0.05 * radius.max(1.0) / 2.0;
                let (exact, found) = (share(distance, radius), profile(distance, radius));
                let off = [exact.value - found.value, exact.per_distance - found.per_distance, exact.per_radius - found.per_radius];
                assert!(off[0].abs() < 2e-4 && off[1..].iter().all(|x| x.abs() < 4e-4), "radius {radius} distance {distance}: {off:?}");
                let h = 1e-4;
                let [before, after] = [-h, h].map(|h| share(distance, radius + h).value);
                assert!(((after - before) / (2.0 * h) - exact.per_radius).abs() < 1e-6);
                let [before, after] = [-h, h].map(|h| share(distance + h, radius).value);
                assert!(((after - before) / (2.0 * h) - exact.per_distance).abs() < 1e-6);
            }
            // On the axis: the chance of a two-dimensional normal scatter to stay within a circle around its middle.
            assert!((share(0.0, radius).value - (1.0 - (-0.5f64 * radius * radius).exp())).abs() < 1e-9);
        }
    }
}
