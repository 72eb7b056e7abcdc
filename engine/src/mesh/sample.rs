//! Samples of a surface whose sums are integrals over the surface, whatever its tessellation.
//!
//! Triangles no longer than a given step contribute their vertices, a third of their area each. Longer ones are divided
//! regularly (1 to n²) and contribute the corners of the parts. A function that is linear over each part is integrated
//! exactly; the covering radius is below the step. Vertices are used, not centroids, because the vertices of an
//! iso-surface lie on the surface and its facets' centres do not.

use nalgebra::Point3;

use super::Mesh;

/// Sample points with area weights (mm²). The first [`Samples::vertices`] points are the mesh's vertices in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    pub points: Vec<Point3<f64>>,
    pub weights_mm2: Vec<f64>,
    /// A triangle that each point lies on.
    pub triangles: Vec<u32>,
    pub vertices: usize,
}

/// Parts per edge are limited so that one huge triangle cannot ask for unbounded memory.
const MOST_PARTS_PER_EDGE: f64 = 1024.0;

/// About `count` of some things with weights, which stand for equal shares of the whole weight between them; their indices, ascending.
pub fn equal_shares(weights: &[f64], count: usize) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let (mut chosen, mut passed) = (Vec::with_capacity(count), 0.0);
    for (i, w) in weights.iter().enumerate() {
        passed += w;
        if passed * count as f64 >= (chosen.len() as f64 + 0.5) * total && *w > 0.0 {
            chosen.push(i);
        }
    }
    chosen
}

/// Parts into which each edge of a triangle is divided so that none is longer than a step.
fn parts_per_edge(mesh: &Mesh, t: usize, step_mm: f64) -> usize {
    let [a, b, c] = mesh.corners(t);
    let longest = (b - a).norm().max((c - b).norm()).max((a - c).norm());
    (longest / step_mm).ceil().clamp(1.0, MOST_PARTS_PER_EDGE) as usize
}

impl Mesh {
    /// The middles of the equal parts of a triangle, divided regularly until no edge is longer than a step.
    pub fn parts(&self, t: usize, step_mm: f64) -> impl Iterator<Item = Point3<f64>> {
        let ([a, b, c], parts) = (self.corners(t), parts_per_edge(self, t, step_mm));
        // Those that lie as the triangle does, and between them those that are turned.
        (0..parts).flat_map(move |i| (0..2 * (parts - i) - 1).map(move |n| (i, n / 2, n % 2))).map(move |(i, j, turned)| {
            let place = |n: usize| (3 * n + 1 + turned) as f64 / (3 * parts) as f64;
            a + (b - a) * place(i) + (c - a) * place(j)
        })
    }
}

impl Samples {
    /// Samples no further apart than `step_mm` along edges.
    pub fn of(mesh: &Mesh, step_mm: f64) -> Samples {
        let mut samples = Samples {
            points: mesh.vertices().to_vec(),
            weights_mm2: vec![0.0; mesh.vertices().len()],
            triangles: vec![0; mesh.vertices().len()],
            vertices: mesh.vertices().len(),
        };
        for (t, &corners) in mesh.triangles().iter().enumerate() {
            samples.add_triangle(mesh, t, corners, step_mm);
        }
        samples
    }

    /// Points of a cloud with the areas that they stand for.
    pub fn of_points(points: &[Point3<f64>], areas_mm2: Vec<f64>) -> Samples {
        let count = points.len();
        Samples { points: points.to_vec(), weights_mm2: areas_mm2, triangles: (0..count as u32).collect(), vertices: count }
    }

    fn add_triangle(&mut self, mesh: &Mesh, t: usize, corners: [u32; 3], step_mm: f64) {
        let [a, b, c] = mesh.corners(t);
        let parts = parts_per_edge(mesh, t, step_mm);
        let third = mesh.area_vector(t).norm() / (6 * parts * parts) as f64;
        for i in 0..=parts {
            for j in 0..=parts - i {
                let k = parts - i - j;
                // A lattice point touches 6 parts inside the triangle, 3 on an edge, 1 at a corner.
                let on_edges = [i, j, k].iter().filter(|&&x| x == 0).count();
                let weight = third * [6.0, 3.0, 1.0][on_edges];
                let corner = [i, j, k].iter().position(|&x| x == parts);
                match corner.filter(|_| on_edges == 2) {
                    Some(which) => {
                        let v = corners[[1, 2, 0][which]] as usize;
                        self.weights_mm2[v] += weight;
                        self.triangles[v] = t as u32;
                    }
                    None => {
                        let (u, v) = (i as f64 / parts as f64, j as f64 / parts as f64);
                        self.points.push(a + (b - a) * u + (c - a) * v);
                        self.weights_mm2.push(weight);
                        self.triangles.push(t as u32);
                    }
                }
            }
        }
    }

    pub fn len(&self) -> usize {
        self.points.len()
    }

    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right_triangle() -> Mesh {
        let p = |x, y| Point3::new(x, y, 0.0);
        Mesh::new(vec![p(0.0, 0.0), p(3.0, 0.0), p(0.0, 2.0)], vec![[0, 1, 2]]).unwrap()
    }

    #[test]
    fn weights_add_up_to_the_area_and_integrate_linear_functions_exactly_at_any_step() {
        let mesh = right_triangle();
        for step in [10.0, 1.0, 0.3, 0.07] {
            let s = Samples::of(&mesh, step);
            let area: f64 = s.weights_mm2.iter().sum();
            let moment: f64 = s.points.iter().zip(&s.weights_mm2).map(|(p, w)| w * (2.0 * p.x - p.y)).sum();
            assert!((area - 3.0).abs() < 1e-12);
            assert!((moment - 3.0 * (2.0 * 1.0 - 2.0 / 3.0)).abs() < 1e-11); // area times the value at the centroid
            assert_eq!(&s.points[..3], mesh.vertices());
        }
    }

    #[test]
    fn the_parts_of_a_triangle_have_its_centroid_in_their_midst_and_its_second_moment_between_them() {
        let mesh = right_triangle();
        for (step, count) in [(4.0, 1), (1.9, 4), (0.1, 1369)] {
            let middles: Vec<Point3<f64>> = mesh.parts(0, step).collect();
            assert_eq!(middles.len(), count);
            let mean = |of: &dyn Fn(&Point3<f64>) -> f64| middles.iter().map(of).sum::<f64>() / count as f64;
            assert!((mean(&|p| p.x) - 1.0).abs() < 1e-12 && (mean(&|p| p.y) - 2.0 / 3.0).abs() < 1e-12);
            // Of x², 3²/6 over the triangle; each of the parts keeps a share of 1 / parts of the spread about its own middle.
            assert!((mean(&|p| p.x * p.x) - (1.5 - 0.5 / count as f64)).abs() < 1e-12);
        }
    }

    #[test]
    fn no_point_of_a_divided_triangle_is_farther_from_a_sample_than_the_step() {
        let s = Samples::of(&right_triangle(), 0.25);
        for i in 0..50 {
            for j in 0..50 - i {
                let p = Point3::new(3.0 * i as f64 / 49.0, 2.0 * j as f64 / 49.0, 0.0);
                let nearest = s.points.iter().map(|q| (p - q).norm()).fold(f64::INFINITY, f64::min);
                assert!(nearest < 0.25);
            }
        }
    }
}
