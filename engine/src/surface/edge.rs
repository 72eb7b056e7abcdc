//! Where the edges of a bundle of voxels lie: least squares of the error-function model, by Gauss and Newton.
//!
//! Model: `low + contrast · (Φ(-(t - e₀)/σ) - Φ(-(t - e₁)/σ) + Φ((t - e₂)/σ))`: the edge at e₀, where there is one the far side of a wall
//! at e₁ < e₀, and the far side of a gap at e₂ > e₀. Blur, plateaus and curvature are given, the edges are sought. Fitting voxels rather
//! than values between them leaves no error of interpolation, and with one parameter an edge weighs every voxel as a matched filter does:
//! no linear estimate has less noise. On a strut the first two terms are those of a blurred rod ([`super::rod`]). A wrong σ, or a point spread
//! that is not Gaussian but even, moves no edge that stands alone. Its standard uncertainty for white noise of 1 is exact to first order.

use std::sync::OnceLock;

use super::image::{Bundle, Near};
use super::rod::{self, Rod};
use super::shape::Shape;
use super::space::V3;

/// Plateaus in parts of the global contrast, and the blur of the edges between them (mm).
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    pub low: f64,
    pub contrast: f64,
    pub sigma: f64,
}

/// The edges of a bundle, along its axis (mm): the one sought, and the far sides of its wall and its gap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edges {
    pub at: f64,
    pub wall: Option<f64>,
    pub gap: Option<f64>,
    /// The strut whose near and, where it is in the model, far side they are.
    pub rod: Option<Rod>,
}

impl Edges {
    /// The bundle that shows them, around a point of a surface, from and to distances along its normal (mm). Edges that are taken for flat have
    /// the curvature of the surface up to a radius of three blurs; a strut with its far side is fitted as it lies.
    pub fn bundle(&self, (point, shape): (V3, &Shape), blur: f64, along: [f64; 2], radius: f64) -> Bundle {
        let most = 1.0 / (3.0 * blur);
        let curvature = match (self.rod, self.wall) {
            (None, _) => shape.curvature().clamp(-most, most),
            (Some(rod), None) => rod.curvature,
            (Some(_), Some(_)) => 0.0,
        };
        let normal = self.rod.map_or(shape.normal(), |rod| rod.upright(shape.normal()));
        Bundle { point, normal, curvature, straight: self.rod.map(|rod| rod.axis), along, radius }
    }

    fn used(&self) -> [bool; 3] {
        [true, self.wall.is_some(), self.gap.is_some()]
    }
}

/// What a fit found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    pub edges: Edges,
    /// Standard uncertainty of the edge sought for white noise of 1 (mm).
    pub noise_gain: f64,
    /// Change of the edge sought with the blur (mm/mm), the contrast and the lower plateau (mm per part of the contrast).
    pub per_shared: [f64; 3],
    /// Root mean square of what the model leaves.
    pub residual: f64,
    /// Contrast seen over that of the model.
    pub strength: f64,
}

/// Voxels of a bundle, at least; and the mean square of their slopes in parts of the steepest: an edge amid 5 blurs has 0.056.
const FEWEST: usize = 6;
const SEEN: f64 = 0.001;

const BINS: f64 = 256.0;
const WIDEST: f64 = 7.0;

/// Normal distribution and density, each linear between values 1/256 apart: exact to 1e-6 of the contrast.
#[inline]
fn normal(z: f64) -> (f64, f64) {
    static TABLE: OnceLock<Vec<[f64; 2]>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let entry = |n: usize| {
            let z = n as f64 / BINS - WIDEST;
            [0.5 * libm::erfc(-z / std::f64::consts::SQRT_2), libm::exp(-0.5 * z * z) / super::image::TWO_PI.sqrt()]
        };
        (0..=(2.0 * WIDEST * BINS) as usize + 1).map(entry).collect()
    });
    if !(z > -WIDEST && z < WIDEST) {
        return (if z > 0.0 { 1.0 } else { 0.0 }, 0.0);
    }
    let x = (z + WIDEST) * BINS;
    let n = x as usize;
    let s = x - n as f64;
    let ([p0, d0], [p1, d1]) = (table[n], table[n + 1]);
    (p0 + s * (p1 - p0), d0 + s * (d1 - d0))
}

/// Where the normal distribution has a value between 0.02 and 0.98, by halving.
pub(super) fn quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-2.1, 2.1);
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if normal(middle).0 < share { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Model value, its change with each edge, and with blur, contrast and lower plateau.
struct Point {
    value: f64,
    per_edge: [f64; 3],
    per_shared: [f64; 3],
}

impl Model {
    fn at(&self, edges: &Edges, voxel: &Near) -> Point {
        let of = |edge: f64, sign: f64| {
            let z = (voxel.t - edge) / self.sigma;
            let (below, bell) = normal(-z);
            (sign * below, sign * bell / self.sigma, sign * z * bell / self.sigma)
        };
        let ((p0, d0, s0), (p1, d1, s1)) = match edges.rod {
            Some(rod) => self.of_rod(&rod, edges, voxel),
            None => (of(edges.at, 1.0), edges.wall.map_or((0.0, 0.0, 0.0), |e| of(e, -1.0))),
        };
        // Φ(z) = 1 - Φ(-z)
        let (p2, d2, s2) = edges.gap.map_or((0.0, 0.0, 0.0), |e| {
            let (p, d, s) = of(e, -1.0);
            (1.0 + p, d, s)
        });
        let share = p0 + p1 + p2;
        let c = self.contrast;
        Point { value: self.low + c * share, per_edge: [c * d0, c * d1, c * d2], per_shared: [c * (s0 + s1 + s2), share, 1.0] }
    }

    /// Share of a strut, and its change with the edge and with the blur; change with the far side. Where that is in the model the strut's axis
    /// is half-way between the two, otherwise its radius is given.
    fn of_rod(&self, rod: &Rod, edges: &Edges, voxel: &Near) -> ((f64, f64, f64), (f64, f64, f64)) {
        let per = 1.0 / self.sigma;
        let Some(far) = edges.wall else {
            let radius = per / rod.curvature;
            let distance = (voxel.t - edges.at) * per + radius;
            let share = rod::profile(distance, radius);
            let with_blur = -(distance * share.per_distance + radius * share.per_radius) * per;
            return ((share.value, -share.per_distance * per, with_blur), (0.0, 0.0, 0.0));
        };
        let (height, radius) = (voxel.t - 0.5 * (edges.at + far), 0.5 * (edges.at - far) * per);
        let distance = (height * height + voxel.across).sqrt();
        let share = rod::profile(distance * per, radius);
        let along = if distance > 0.0 { height / distance } else { 0.0 };
        let (shift, swell) = (-0.5 * along * share.per_distance * per, 0.5 * share.per_radius * per);
        let with_blur = -(distance * per * share.per_distance + radius * share.per_radius) * per;
        ((share.value, shift + swell, with_blur), (0.0, shift - swell, 0.0))
    }
}

/// Sums of the normal equations for up to three edges.
#[derive(Default)]
struct Sums {
    normal: [[f64; 3]; 3],
    right: [f64; 3],
    noise: [[f64; 3]; 3],
    /// Products of the slopes with the changes of the model with blur, contrast and lower plateau.
    shared: [[f64; 3]; 3],
    squares: f64,
    weight: f64,
    /// Weighted sums of value, model, model², value · model.
    moments: [f64; 4],
}

impl Sums {
    fn of(near: &[Near], model: &Model, edges: &Edges) -> Sums {
        let mut s = Sums::default();
        for voxel in near {
            let m = model.at(edges, voxel);
            let (w, r) = (voxel.weight, voxel.value - m.value);
            for a in 0..3 {
                let wa = w * m.per_edge[a];
                s.right[a] += wa * r;
                (0..3).for_each(|i| s.shared[i][a] += wa * m.per_shared[i]);
                for b in 0..=a {
                    s.normal[a][b] += wa * m.per_edge[b];
                    s.noise[a][b] += wa * w * m.per_edge[b];
                }
            }
            s.squares += w * r * r;
            s.weight += w;
            let v = voxel.value;
            [v, m.value, m.value * m.value, v * m.value].iter().zip(&mut s.moments).for_each(|(x, sum)| *sum += w * x);
        }
        for a in 0..3 {
            for b in a + 1..3 {
                s.normal[a][b] = s.normal[b][a];
                s.noise[a][b] = s.noise[b][a];
            }
        }
        s
    }
}

impl Sums {
    /// Regression of the values on the model.
    fn strength(&self) -> f64 {
        let [v, m, mm, vm] = self.moments.map(|x| x / self.weight);
        (vm - v * m) / (mm - m * m)
    }
}

/// The rows of the inverse of the leading part that the mask marks; `None` where the voxels do not tell the edges apart.
fn inverse(m: &[[f64; 3]; 3], used: [bool; 3]) -> Option<[[f64; 3]; 3]> {
    let mut a = *m;
    for i in 0..3 {
        if !used[i] {
            a[i] = [0.0; 3];
            (0..3).for_each(|r| a[r][i] = 0.0);
            a[i][i] = 1.0;
        }
    }
    let minor = |r: usize, c: usize| {
        let ([r0, r1], [c0, c1]) = ([(r + 1) % 3, (r + 2) % 3], [(c + 1) % 3, (c + 2) % 3]);
        a[r0][c0] * a[r1][c1] - a[r0][c1] * a[r1][c0]
    };
    let determinant = (0..3).map(|c| a[0][c] * minor(0, c)).sum::<f64>();
    if determinant.is_nan() || determinant <= 1e-6 * a[0][0] * a[1][1] * a[2][2] {
        return None;
    }
    Some(std::array::from_fn(|r| std::array::from_fn(|c| minor(c, r) / determinant)))
}

fn times(m: &[[f64; 3]; 3], v: &[f64; 3]) -> [f64; 3] {
    m.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

/// Fits the edges that `start` has. `None` where there are too few voxels, or where the steps do not come to rest.
pub(super) fn fit(near: &[Near], model: &Model, start: Edges) -> Option<Fit> {
    if near.len() < FEWEST {
        return None;
    }
    let alone = start.wall.is_none() && start.gap.is_none();
    let edges = if alone { Edges { at: lone(near, model, start)?, ..start } } else { several(near, model, start)? };
    let sums = Sums::of(near, model, &edges);
    let inverse = inverse(&sums.normal, edges.used())?;
    let row = inverse[0];
    let variance = (0..3).map(|a| row[a] * times(&sums.noise, &row)[a]).sum::<f64>();
    Some(Fit {
        edges,
        noise_gain: variance.max(0.0).sqrt(),
        per_shared: sums.shared.map(|products| -times(&inverse, &products)[0]),
        residual: (sums.squares / sums.weight).sqrt(),
        strength: sums.strength(),
    })
}

/// Steps below this part of the blur end a fit: the next one would be smaller by its square.
const REST: f64 = 1e-3;

/// An edge that stands alone.
fn lone(near: &[Near], model: &Model, start: Edges) -> Option<f64> {
    let (mut at, per_sigma, most) = (start.at, 1.0 / model.sigma, 0.5 * model.sigma);
    let radius = start.rod.map(|rod| per_sigma / rod.curvature);
    // Share of material, and its slope, so many blurs within the edge.
    let seen = |within: f64| match radius {
        None => normal(within),
        Some(radius) => {
            let share = rod::profile(radius - within, radius);
            (share.value, -share.per_distance)
        }
    };
    for _ in 0..12 {
        let (mut normal_sum, mut right, mut weight) = (0.0, 0.0, 0.0);
        for voxel in near {
            let (below, bell) = seen((at - voxel.t) * per_sigma);
            let slope = voxel.weight * bell;
            right += slope * (voxel.value - model.low - model.contrast * below);
            normal_sum += slope * bell;
            weight += voxel.weight;
        }
        if normal_sum.is_nan() || normal_sum <= SEEN * weight {
            return None;
        }
        let step = (right / (normal_sum * model.contrast) * model.sigma).clamp(-most, most);
        at += step;
        if step.abs() < REST * model.sigma {
            return Some(at);
        }
        if !step.is_finite() {
            return None;
        }
    }
    None
}

/// An edge with the far sides of its wall or gap.
fn several(near: &[Near], model: &Model, start: Edges) -> Option<Edges> {
    const STEPS: usize = 30;
    let mut edges = start;
    let used = start.used();
    let most = 0.4 * model.sigma;
    for step in 0..STEPS {
        let sums = Sums::of(near, model, &edges);
        let slope = model.contrast / model.sigma;
        if sums.normal[0][0].is_nan() || sums.normal[0][0] <= SEEN * sums.weight * slope * slope {
            return None;
        }
        // Later steps are shortened, so that edges which push each other to and fro come to rest.
        let damped = if step < STEPS / 2 { 1.0 } else { 0.5 };
        let by = times(&inverse(&sums.normal, used)?, &sums.right).map(|x| damped * x.clamp(-most, most));
        edges.at += by[0];
        edges.wall = edges.wall.map(|e| e + by[1]);
        edges.gap = edges.gap.map(|e| e + by[2]);
        let in_order = edges.wall.is_none_or(|e| e < edges.at) && edges.gap.is_none_or(|e| e > edges.at);
        if !in_order {
            return None;
        }
        if (0..3).all(|a| !used[a] || by[a].abs() < REST * model.sigma) {
            return Some(edges);
        }
    }
    None
}

/// The voxels' parts in the edge sought, where it stands alone at `at`: edge = sum of part · value.
pub(super) fn parts(near: &[Near], model: &Model, at: f64) -> Vec<f64> {
    let edges = Edges { at, wall: None, gap: None, rod: None };
    let slopes: Vec<f64> = near.iter().map(|v| model.at(&edges, v).per_edge[0]).collect();
    let total: f64 = near.iter().zip(&slopes).map(|(v, s)| v.weight * s * s).sum();
    near.iter().zip(&slopes).map(|(v, s)| v.weight * s / total).collect()
}

/// The blur, contrast and level that bundles share: one Gauss-Newton step of all, each bundle's own edges eliminated.
/// Adds the bundle's part to the normal equations and right side of (sigma, contrast, low).
pub(super) fn shared(near: &[Near], model: &Model, edges: &Edges, normal: &mut [[f64; 3]; 3], right: &mut [f64; 3]) {
    let (mut own, mut cross, mut own_right) = ([[0.0; 3]; 3], [[0.0; 3]; 3], [0.0; 3]);
    let (mut n, mut b) = ([[0.0; 3]; 3], [0.0; 3]);
    for voxel in near {
        let m = model.at(edges, voxel);
        let (w, r) = (voxel.weight, voxel.value - m.value);
        for i in 0..3 {
            b[i] += w * m.per_shared[i] * r;
            own_right[i] += w * m.per_edge[i] * r;
            for j in 0..3 {
                n[i][j] += w * m.per_shared[i] * m.per_shared[j];
                own[i][j] += w * m.per_edge[i] * m.per_edge[j];
                cross[i][j] += w * m.per_shared[i] * m.per_edge[j];
            }
        }
    }
    let Some(inverse) = inverse(&own, edges.used()) else { return };
    for i in 0..3 {
        let eliminated = times(&inverse, &cross[i]);
        let along = |v: &[f64; 3]| (0..3).filter(|&a| edges.used()[a]).map(|a| eliminated[a] * v[a]).sum::<f64>();
        right[i] += b[i] - along(&own_right);
        (0..3).for_each(|j| normal[i][j] += n[i][j] - along(&cross[j]));
    }
}

/// Solves the sums of [`shared`].
pub(super) fn solve_shared(normal: &[[f64; 3]; 3], right: &[f64; 3]) -> Option<[f64; 3]> {
    inverse(normal, [true; 3]).map(|inverse| times(&inverse, right))
}

/// Covariance of what [`solve_shared`] finds, for white noise of 1 in bundles that share no voxel.
pub(super) fn covariance(normal: &[[f64; 3]; 3]) -> Option<[[f64; 3]; 3]> {
    inverse(normal, [true; 3])
}

/// `vᵀ m v`.
pub(super) fn quadratic(m: &[[f64; 3]; 3], v: &[f64; 3]) -> f64 {
    let by = times(m, v);
    v[0] * by[0] + v[1] * by[1] + v[2] * by[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tabulated_normal_distribution_is_exact_to_a_millionth() {
        for n in -8000..8000 {
            let z = f64::from(n) * 0.00101;
            let (below, bell) = normal(z);
            assert!((below - 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)).abs() < 1e-6, "{z}");
            assert!((bell - libm::exp(-0.5 * z * z) / super::super::image::TWO_PI.sqrt()).abs() < 1e-6, "{z}");
        }
    }
}
