//! Distances to a surface on a grid, for the many fits of a search: each a plane, read in one place.
//!
//! Every node keeps its distance to the surface and the direction of that distance; a point takes the plane that its nearest node sees, right to
//! the first order in its distance from the node. Off the grid it takes the closest point of the nearest node. Errors are a fraction of a
//! step where the surface turns within one, none before flat faces. Nothing judged rests on it.
//! Cost: a closest point per node once, then a few nanoseconds a point, whatever the mesh.

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use crate::distance::{MeshDistance, NO_SEAT, Nearest};

/// Nodes of the grid, about.
const NODES: f64 = 131_072.0;
/// Nodes beyond the bounds of the surface, on each side.
const BEYOND: f64 = 2.0;

/// How a point lies to a surface: its distance, + in front of the triangle that is nearest, and the unit vector along which that grows.
pub(super) struct Foot {
    pub direction: Vector3<f64>,
    pub distance_mm: f64,
}

/// Turned to the front of the triangle, so that distances change sign through the surface.
pub(super) fn foot(surface: &MeshDistance, x: &Point3<f64>, near: &Nearest) -> Foot {
    let face = surface.mesh().area_vector(near.triangle as usize);
    let (direction, distance_mm) = match (x - near.point).try_normalize(1e-12) {
        Some(n) if n.dot(&face) < 0.0 => (-n, -near.distance_mm),
        Some(n) => (n, near.distance_mm),
        None => (face.try_normalize(0.0).unwrap_or_else(Vector3::zeros), near.distance_mm),
    };
    Foot { direction, distance_mm }
}

pub(super) struct Field {
    origin: Point3<f64>,
    step_mm: f64,
    /// Blocks of 2 x 2 x 2 nodes along each axis.
    blocks: [usize; 3],
    /// Direction and signed distance, mm, of the nodes of each block, x fastest in both.
    nodes: Vec<[[f32; 4]; 8]>,
}

impl Field {
    pub fn of(surface: &MeshDistance) -> Self {
        let bounds = surface.mesh().bounds();
        let diagonal = bounds.diagonal_mm().max(1e-9);
        // Flat and thin parts keep some nodes across.
        let size = (bounds.max - bounds.min).map(|s| s.max(0.1 * diagonal));
        let step_mm = libm::cbrt(size.product() / NODES);
        let blocks: [usize; 3] = std::array::from_fn(|a| (0.5 * size[a] / step_mm + BEYOND) as usize + 1);
        let half = Vector3::from(blocks.map(|n| (n as f64 - 0.5) * step_mm));
        let mut field = Field { origin: bounds.centre() - half, step_mm, blocks, nodes: vec![] };
        let row = |r: usize| {
            let (mut seats, mut row) = ([NO_SEAT; 8], Vec::with_capacity(blocks[0]));
            for i in 0..blocks[0] {
                let first = [i, r % blocks[1], r / blocks[1]].map(|b| 2 * b);
                let there: [Point3<f64>; 8] =
                    std::array::from_fn(|n| field.node([first[0] + (n & 1), first[1] + (n >> 1 & 1), first[2] + (n >> 2)]));
                let (mut block, mut n) = ([[0.0; 4]; 8], 0);
                surface.nearest_seated(&there, &mut seats, |x, near| {
                    let Foot { direction, distance_mm } = foot(surface, x, &near);
                    block[n] = [direction.x, direction.y, direction.z, distance_mm].map(|v| v as f32);
                    n += 1;
                });
                row.push(block);
            }
            row
        };
        let rows: Vec<Vec<_>> = (0..blocks[1] * blocks[2]).into_par_iter().map(row).collect();
        field.nodes = rows.concat();
        field
    }

    pub fn step_mm(&self) -> f64 {
        self.step_mm
    }

    fn node(&self, at: [usize; 3]) -> Point3<f64> {
        self.origin + Vector3::from(at.map(|i| i as f64 * self.step_mm))
    }

    /// About the distance of a point, with its direction.
    pub fn at(&self, x: &Point3<f64>) -> Foot {
        let place = (x - self.origin) / self.step_mm;
        let nearest: [usize; 3] = std::array::from_fn(|a| (place[a] + 0.5).clamp(0.0, (2 * self.blocks[a] - 1) as f64) as usize);
        let ([i, j, k], [nx, ny, _]) = (nearest.map(|n| n / 2), self.blocks);
        let within = nearest[0] & 1 | (nearest[1] & 1) << 1 | (nearest[2] & 1) << 2;
        let [dx, dy, dz, distance] = self.nodes[(k * ny + j) * nx + i][within].map(f64::from);
        let (direction, from_node) = (Vector3::new(dx, dy, dz), x - self.node(nearest));
        let off_grid = from_node.amax() > self.step_mm;
        let from_foot = from_node + direction * distance;
        match off_grid.then(|| from_foot.norm()).filter(|d| *d > 0.0) {
            Some(distance_mm) => Foot { direction: from_foot / distance_mm, distance_mm },
            None => Foot { direction, distance_mm: distance + direction.dot(&from_node) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Mesh;
    use crate::noise::uniform;

    #[test]
    fn before_and_behind_a_face_the_field_is_the_distance_and_beyond_the_grid_nearly_so() {
        let corners =
            (0..8u32).map(|c| Point3::new(f64::from(c & 1) * 4.0, f64::from(c >> 1 & 1) * 6.0, f64::from(c >> 2) * 8.0)).collect();
        let faces = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
        let triangles = faces.iter().flat_map(|&[a, b, c, d]| [[a, b, c], [a, c, d]]).collect();
        let surface = MeshDistance::build(&Mesh::new(corners, triangles).expect("a box"));
        let field = Field::of(&surface);
        for k in 0..2000u64 {
            let u = |n: u64| uniform(5, 8 * k + n);
            // On the grid, and nearer to the lowest face than to any other by more than a step.
            let near = Point3::new(1.0 + 2.0 * u(0), 1.0 + 4.0 * u(1), -2.0 * field.step_mm + 0.7 * u(2));
            assert!((field.at(&near).distance_mm + near.z).abs() < 1e-5, "{near}: {}", field.at(&near).distance_mm);
            assert!((field.at(&near).direction + Vector3::z()).norm() < 1e-6);
            let far = Point3::new(-30.0 + 60.0 * u(3), -30.0 + 60.0 * u(4), -20.0 - 20.0 * u(5));
            // The closest point of the nearest node lies within a step of the right one.
            let (found, truth) = (field.at(&far).distance_mm, surface.nearest(&far).distance_mm);
            assert!((found - truth).abs() <= 2.0 * field.step_mm, "{far}: {found} for {truth}");
        }
    }
}
