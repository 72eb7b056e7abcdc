//! What a volume is like as an image: plateaus, noise, edge blur; and its grey values between the voxels.
//!
//! Noise is that of flat regions: half the mean square difference of voxels three apart in a row, both deep in the same class, so that trends
//! (beam hardening) cancel and neighbouring correlation counts. Edge blur is the standard deviation of the Gaussian whose error function fits
//! the median profile across the flattest tenths of the surface.

use nalgebra::{Matrix3, Matrix4, Vector4};
use rayon::prelude::*;

use super::Artefacts;
use crate::frame::Grid;
use crate::segment::Modes;
use crate::volume::{Mask, Volume, Voxel};

/// Resolution, noise and contrast of a volume; grey values are physical.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageQuality {
    /// In-plane spacing and distance between slices (mm).
    pub voxel_mm: [f64; 3],
    pub slices: usize,
    /// Standard deviation of the blur across edges, voxel averaging included (mm).
    pub edge_sigma_mm: f64,
    /// Standard deviation of the grey values in flat regions.
    pub noise: f64,
    /// Material less air.
    pub contrast: f64,
    pub air: f64,
    pub material: f64,
    pub contrast_to_noise: f64,
    /// Relative standard uncertainty of the contrast-to-noise ratio: the modes' own and that of a standard deviation from so many pairs.
    pub contrast_to_noise_relative_u: f64,
    /// Fraction of the material's voxels at the highest grey value.
    pub saturation: f64,
    pub artefacts: Artefacts,
}

impl ImageQuality {
    /// Relative standard uncertainty of the edge blur.
    pub const EDGE_SIGMA_RELATIVE_U: f64 = 0.02;

    pub fn edge_sigma_u_mm(&self) -> f64 {
        Self::EDGE_SIGMA_RELATIVE_U * self.edge_sigma_mm
    }

    /// Thinnest wall or gap whose two faces are unbiased (mm): three edge blurs, and two voxels to sample it.
    pub fn smallest_feature_mm(&self) -> f64 {
        let widest = self.voxel_mm.into_iter().fold(0.0, f64::max);
        (3.0 * self.edge_sigma_mm).max(2.0 * widest)
    }
}

/// Pairs of voxels for the noise, at most, and at least for it to mean anything.
const NOISE_PAIRS: usize = 200_000;
const FEWEST_PAIRS: usize = 50;

/// A volume, its material and its grey values: what the refinement looks at.
pub(super) struct Scene<'a, T> {
    volume: &'a Volume<T>,
    mask: &'a Mask,
    pub modes: Modes,
    pub threshold: f64,
    pub saturation: f64,
    index_from_mm: Matrix3<f64>,
}

/// A grey value between the voxels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub value: f64,
    /// Sum of the squared weights of the voxels: the factor on the variance of white noise.
    pub noise_gain: f64,
}

impl<'a, T: Voxel> Scene<'a, T> {
    pub fn new(volume: &'a Volume<T>, mask: &'a Mask, threshold: f64, modes: &Modes, saturation: f64) -> Self {
        // A grid's axes span space (checked when it is made), so the inverse exists.
        let index_from_mm = volume.grid().axes().try_inverse().unwrap_or_else(Matrix3::identity);
        Scene { volume, mask, modes: *modes, threshold, saturation, index_from_mm }
    }

    pub fn grid(&self) -> &Grid {
        self.volume.grid()
    }

    pub fn index(&self, p: [f64; 3]) -> [f64; 3] {
        let (o, m) = (self.grid().origin(), &self.index_from_mm);
        let d = [p[0] - o[0], p[1] - o[1], p[2] - o[2]];
        [0, 1, 2].map(|r| m[(r, 0)] * d[0] + m[(r, 1)] * d[1] + m[(r, 2)] * d[2])
    }

    /// Whether a point lies beyond the centres of the outermost voxels.
    pub fn is_beyond(&self, p: [f64; 3]) -> bool {
        let index = self.index(p);
        let dims = self.grid().dims();
        (0..3).any(|a| index[a] < -1e-6 || index[a] > (dims[a] - 1) as f64 + 1e-6)
    }

    /// Physical grey value at a point by cubic (Lagrange) interpolation: exact to third order, so that its error does not pull
    /// edges towards the voxel centres as linear interpolation does. The border's voxels continue outwards.
    pub fn cubic(&self, p: [f64; 3]) -> Sample {
        let index = self.index(p);
        self.weighted(index, |f| {
            let (a, b, c) = (f + 1.0, f - 1.0, f - 2.0);
            [-f * b * c / 6.0, a * b * c / 2.0, -a * f * c / 2.0, a * f * b / 6.0]
        })
    }

    /// The same by linear interpolation, for plateaus.
    pub fn linear(&self, p: [f64; 3]) -> Sample {
        self.weighted(self.index(p), |f| [0.0, 1.0 - f, f, 0.0])
    }

    /// Part of the contrast at a point by linear interpolation; not a number beyond the volume.
    pub fn grey_within(&self, p: [f64; 3]) -> f64 {
        if self.is_beyond(p) { f64::NAN } else { self.normalised(self.linear(p).value) }
    }

    fn weighted(&self, index: [f64; 3], weights: impl Fn(f64) -> [f64; 4]) -> Sample {
        let [nx, ny, _] = self.grid().dims();
        let dims = self.grid().dims();
        let mut at = [[0usize; 4]; 3];
        let mut w = [[0.0; 4]; 3];
        let mut noise_gain = 1.0;
        for a in 0..3 {
            let floor = index[a].floor();
            w[a] = weights(index[a] - floor);
            let last = (dims[a] - 1) as f64;
            at[a] = [-1.0, 0.0, 1.0, 2.0].map(|d| (floor + d).clamp(0.0, last) as usize);
            noise_gain *= w[a].iter().map(|w| w * w).sum::<f64>();
        }
        let data = self.volume.data();
        let mut value = 0.0;
        for z in (0..4).filter(|&z| w[2][z] != 0.0) {
            let mut plane = 0.0;
            for y in (0..4).filter(|&y| w[1][y] != 0.0) {
                let row = &data[(at[2][z] * ny + at[1][y]) * nx..][..nx];
                let mut line = 0.0;
                for x in 0..4 {
                    if w[0][x] != 0.0 {
                        line += w[0][x] * row[at[0][x]].to_f64();
                    }
                }
                plane += w[1][y] * line;
            }
            value += w[2][z] * plane;
        }
        Sample { value: self.volume.rescale().physical(value), noise_gain }
    }

    /// Standard uncertainty of the contrast from that of its modes.
    pub fn modes_u(&self) -> f64 {
        self.modes.u.iter().map(|u| u * u).sum::<f64>().sqrt()
    }

    /// Part of the contrast, 0 in air and 1 in material.
    pub fn normalised(&self, value: f64) -> f64 {
        (value - self.modes.air) / self.modes.contrast()
    }

    /// Standard deviation of the grey values in flat regions, at least that of rounding to the voxel type.
    pub fn noise(&self) -> f64 {
        let classes = [true, false].map(|inside| (1..=3).rev().find_map(|margin| self.noise_of(inside, margin)));
        let known: Vec<f64> = classes.into_iter().flatten().collect();
        let variance = known.iter().sum::<f64>() / known.len().max(1) as f64;
        let rounding = if T::NAME.starts_with('f') { 1e-6 * self.modes.contrast().abs() } else { self.volume.rescale().slope.abs() };
        variance.max(rounding * rounding / 12.0).sqrt()
    }

    /// Variance in one class, from pairs that lie `margin` voxels deep in it; `None` if there are too few.
    fn noise_of(&self, inside: bool, margin: usize) -> Option<f64> {
        let [nx, ny, nz] = self.grid().dims();
        let data_row = |j: usize, k: usize| self.volume.row(j, k);
        let in_plane = |n: usize| if n > 1 { margin } else { 0 };
        let (my, mz) = (in_plane(ny), in_plane(nz));
        // Every so many rows, so that at most about NOISE_PAIRS pairs are looked at.
        let rows = ny * nz;
        let stride = (rows * nx.div_ceil(4)).div_ceil(4 * NOISE_PAIRS).max(1);
        let is = |i: usize, j: usize, k: usize| self.mask.get(i, j, k) == inside;
        let pairs: Vec<f64> = (0..rows)
            .into_par_iter()
            .filter(|row| row % stride == 0)
            .flat_map_iter(|row| {
                let (j, k) = (row % ny, row / ny);
                let whole = j >= my && j + my < ny && k >= mz && k + mz < nz;
                let from = if whole { margin } else { nx };
                (from..nx.saturating_sub(3 + margin)).step_by(4).filter_map(move |i| {
                    let deep = (i - margin..=i + 3 + margin).all(|x| is(x, j, k))
                        && [i, i + 3].iter().all(|&x| is(x, j - my, k) && is(x, j + my, k) && is(x, j, k - mz) && is(x, j, k + mz));
                    deep.then(|| data_row(j, k)[i + 3].to_f64() - data_row(j, k)[i].to_f64()).filter(|d| d.is_finite())
                })
            })
            .collect();
        if pairs.len() < FEWEST_PAIRS {
            return None;
        }
        // Differences beyond four robust standard deviations are structure, not noise.
        let mut sizes: Vec<f64> = pairs.iter().map(|d| d.abs()).collect();
        sizes.sort_unstable_by(f64::total_cmp);
        let limit = 4.0 * (1.4826 * sizes[sizes.len() / 2]).max(sizes[sizes.len() * 3 / 4]);
        let (mut n, mut s) = (0.0, 0.0);
        for d in sizes.iter().take_while(|d| **d <= limit) {
            (n, s) = (n + 1.0, s + d * d);
        }
        let slope = self.volume.rescale().slope;
        Some(slope * slope * s / n / 2.0)
    }

    /// Edge blur (mm) from profiles along the normals of the given points; `None` where no edge is seen.
    pub fn edge_sigma(&self, points: &[([f64; 3], [f64; 3])]) -> Option<f64> {
        let h = self.grid().steps_mm().into_iter().fold(0.0, f64::max);
        let along =
            |(p, n): &([f64; 3], [f64; 3]), t: f64| self.normalised(self.cubic([p[0] + t * n[0], p[1] + t * n[1], p[2] + t * n[2]]).value);
        let median = |t: f64| {
            let mut values: Vec<f64> = points.par_iter().map(|p| along(p, t)).filter(|v| v.is_finite()).collect();
            values.sort_unstable_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        let step = 0.25 * h;
        let slope = (median(-step)? - median(step)?) / (2.0 * step);
        let first = 1.0 / (slope * TWO_PI.sqrt());
        if !(first > 0.0 && first < 20.0 * h) {
            return None;
        }
        let reach = (3.0 * first).max(1.5 * h);
        let profile: Option<Vec<(f64, f64)>> = (-12..=12).map(|m| reach * f64::from(m) / 12.0).map(|t| median(t).map(|v| (t, v))).collect();
        fit_edge(&profile?, first)
    }
}

pub(super) const TWO_PI: f64 = 2.0 * std::f64::consts::PI;

/// The blur of `b + c/2 erfc((t - t0) / (sqrt 2 sigma))` by Gauss-Newton with halved steps.
fn fit_edge(profile: &[(f64, f64)], first: f64) -> Option<f64> {
    let root2 = std::f64::consts::SQRT_2;
    let model = |x: &Vector4<f64>, t: f64| x[2] + 0.5 * x[3] * libm::erfc((t - x[0]) / (root2 * x[1]));
    let cost = |x: &Vector4<f64>| profile.iter().map(|&(t, v)| (v - model(x, t)) * (v - model(x, t))).sum::<f64>();
    let mut x = Vector4::new(0.0, first, 0.0, 1.0);
    for _ in 0..30 {
        let (mut normal, mut right) = (Matrix4::zeros(), Vector4::zeros());
        for &(t, v) in profile {
            let z = (t - x[0]) / x[1];
            let bell = x[3] * libm::exp(-0.5 * z * z) / (TWO_PI.sqrt() * x[1]);
            let row = Vector4::new(bell, bell * z, 1.0, 0.5 * libm::erfc(z / root2));
            normal += row * row.transpose();
            right += row * (v - model(&x, t));
        }
        let step = normal.cholesky()?.solve(&right);
        let scale = (0..8).map(|n| f64::from(1u32 << n).recip()).find(|s| {
            let y = x + step * *s;
            y[1] > 0.2 * first && y[1] < 5.0 * first && cost(&y) <= cost(&x)
        });
        let Some(scale) = scale else { break };
        x += step * scale;
        if step.norm() * scale < 1e-9 {
            break;
        }
    }
    Some(x[1])
}
