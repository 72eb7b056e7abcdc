//! Points that stand for a surface: every sum over them with their weights is an integral over the surface. The points of a cloud weigh by the
//! areas they stand for.

use nalgebra::{Matrix3, Point3, Vector3};

use crate::distance::coherent_order;
use crate::mesh::{Mesh, equal_shares, point_areas_mm2};
use crate::sum;

/// Fewer vertices than this do not carry the surface between them (a designed block has eight): it is sampled instead.
const FEW_VERTICES: usize = 4096;

/// Points with weights that sum to 1, in an order that keeps neighbours together.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub points: Vec<Point3<f64>>,
    pub weights: Vec<f64>,
}

impl Samples {
    /// All vertices, weighted by their areas; for meshes of few vertices as many points spread evenly over the triangles.
    pub fn judged(mesh: &Mesh) -> Option<Self> {
        if mesh.is_cloud() {
            return Samples::weighted(mesh.vertices(), &point_areas_mm2(mesh.vertices()));
        }
        if mesh.vertices().len() < FEW_VERTICES {
            return Samples::spread(mesh, FEW_VERTICES);
        }
        Samples::weighted(mesh.vertices(), &mesh.vertex_areas_mm2())
    }

    /// The points that weigh something; `None` where none does.
    pub fn weighted(points: &[Point3<f64>], weights: &[f64]) -> Option<Self> {
        let total = sum::sum(weights.len(), |i| weights[i]);
        (total > 0.0).then_some(())?;
        let order: Vec<usize> = coherent_order(points).into_iter().map(|i| i as usize).filter(|&i| weights[i] > 0.0).collect();
        Some(Samples { points: order.iter().map(|&i| points[i]).collect(), weights: order.iter().map(|&i| weights[i] / total).collect() })
    }

    /// `count` points of equal weight: one in each of `count` equal steps of accumulated area, at a place within its triangle that
    /// the golden ratio pair (Roberts 2018) spreads evenly. `None` for a surface without area.
    pub fn spread(mesh: &Mesh, count: usize) -> Option<Self> {
        let order = coherent_order(&(0..mesh.triangles().len()).map(|t| centroid(mesh, t)).collect::<Vec<_>>());
        let total: f64 = order.iter().map(|&t| mesh.area_vector(t as usize).norm()).sum();
        (total > 0.0).then_some(())?;
        let (mut points, mut passed) = (Vec::with_capacity(count), 0.0);
        for &t in &order {
            passed += mesh.area_vector(t as usize).norm();
            while points.len() < count && (points.len() as f64 + 0.5) * total <= passed * count as f64 {
                let k = points.len() as f64 + 1.0;
                let (u, v) = ((k * 0.754_877_666_246_692_7).fract(), (k * 0.569_840_290_998_053_3).fract());
                let (u, v) = if u + v > 1.0 { (1.0 - u, 1.0 - v) } else { (u, v) };
                let [a, b, c] = mesh.corners(t as usize);
                points.push(a + (b - a) * u + (c - a) * v);
            }
        }
        let weights = vec![1.0 / points.len() as f64; points.len()];
        (!points.is_empty()).then_some(Samples { points, weights })
    }

    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Every n-th point, so that about `count` are left.
    pub fn thinned(&self, count: usize) -> Samples {
        let step = self.len().div_ceil(count).max(1);
        self.select((0..self.len()).step_by(step))
    }

    /// About `count` points, each standing for an equal share of the weight; their indices.
    pub fn equal_shares(&self, count: usize) -> Vec<usize> {
        equal_shares(&self.weights, count)
    }

    /// The chosen points with their weights, made to sum to 1 again.
    pub fn select(&self, indices: impl Iterator<Item = usize>) -> Samples {
        let indices: Vec<usize> = indices.collect();
        let total: f64 = indices.iter().map(|&i| self.weights[i]).sum();
        Samples {
            points: indices.iter().map(|&i| self.points[i]).collect(),
            weights: indices.iter().map(|&i| self.weights[i] / total).collect(),
        }
    }

    /// Reflected in the plane x = 0 of their own frame.
    pub fn reflected(&self) -> Samples {
        Samples { points: self.points.iter().map(reflect).collect(), weights: self.weights.clone() }
    }
}

pub(crate) fn reflect(p: &Point3<f64>) -> Point3<f64> {
    Point3::new(-p.x, p.y, p.z)
}

fn centroid(mesh: &Mesh, t: usize) -> Point3<f64> {
    let [a, b, c] = mesh.corners(t);
    a + ((b - a) + (c - a)) / 3.0
}

/// Centroid and second central moment of a surface.
#[derive(Clone, Copy)]
pub(crate) struct Moments {
    pub centroid: Point3<f64>,
    pub covariance: Matrix3<f64>,
}

impl Moments {
    /// Exact for triangles: ∫ x xᵀ dA = A/12 (Σ v vᵀ + 9 c cᵀ). `None` for a surface without extent.
    pub fn of(mesh: &Mesh) -> Option<Self> {
        let origin = mesh.bounds().centre();
        Moments::of_parts(origin, mesh.triangles().len(), |t| {
            let v = mesh.corners(t).map(|p| p - origin);
            let c = (v[0] + v[1] + v[2]) / 3.0;
            let square = v.iter().fold(c * c.transpose() * 9.0, |m, x| m + x * x.transpose());
            (0.5 * mesh.area_vector(t).norm(), c, square / 12.0)
        })
    }

    /// Of points by their weights.
    pub fn of_points(samples: &Samples) -> Option<Self> {
        let origin = *samples.points.first()?;
        Moments::of_parts(origin, samples.len(), |i| {
            let v = samples.points[i] - origin;
            (samples.weights[i], v, v * v.transpose())
        })
    }

    /// Of parts with their weights, first and second moments about the origin per weight.
    fn of_parts(origin: Point3<f64>, count: usize, part: impl Fn(usize) -> (f64, Vector3<f64>, Matrix3<f64>) + Sync) -> Option<Self> {
        let (weight, first, second) = sum::fold(
            count,
            || (0.0, Vector3::zeros(), Matrix3::zeros()),
            |(weight, first, second), n| {
                let (w, v, square) = part(n);
                (weight + w, first + v * w, second + square * w)
            },
            |x, y| (x.0 + y.0, x.1 + y.1, x.2 + y.2),
        );
        let mean = first / weight;
        let moments = Moments { centroid: origin + mean, covariance: second / weight - mean * mean.transpose() };
        (weight > 0.0 && moments.gyration_mm() > 0.0).then_some(moments)
    }

    /// Radius of gyration (mm): what makes rotations comparable with translations.
    pub fn gyration_mm(&self) -> f64 {
        self.covariance.trace().max(0.0).sqrt()
    }
}
