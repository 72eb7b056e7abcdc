//! A volume as the refinement sees it: grey values in parts of the contrast, at points between the voxels and as the voxels near a point.
//!
//! Voxels are those of the whole volume or of a band around the surface, while indices and millimetres come from the grid of the whole: so a
//! band gives the same bits as the volume, and one that turns out too narrow is known ([`super::reach`]).
//! Cost: 8 voxels a linear sample, 64 a cubic one, the voxels of its box a bundle.

use nalgebra::Matrix3;

use super::space::{V3, add, dot};
use crate::frame::Grid;
use crate::segment::Modes;
use crate::volume::{Rescale, Slices, Voxel, Voxels};

pub(super) const TWO_PI: f64 = 2.0 * std::f64::consts::PI;

/// What grey values mean.
#[derive(Clone, Copy)]
pub(super) struct Greys {
    pub modes: Modes,
    pub threshold: f64,
    /// Fraction of the material's voxels at the highest grey value.
    pub saturation: f64,
}

/// Indices and millimetres of a grid.
#[derive(Clone, Copy)]
pub(super) struct Geometry {
    pub grid: Grid,
    index_from_mm: Matrix3<f64>,
}

impl Geometry {
    pub fn new(grid: &Grid) -> Self {
        // A grid's axes span space (checked when it is made), so the inverse exists.
        Geometry { grid: *grid, index_from_mm: grid.axes().try_inverse().unwrap_or_else(Matrix3::identity) }
    }

    /// Longest and shortest step of the grid (mm).
    pub fn steps(&self) -> (f64, f64) {
        let steps = self.grid.steps_mm();
        (steps.into_iter().fold(0.0, f64::max), steps.into_iter().fold(f64::INFINITY, f64::min))
    }

    /// How far each index can differ within a distance (mm).
    pub fn steps_within(&self, reach_mm: f64) -> V3 {
        [0, 1, 2].map(|a| reach_mm * self.index_from_mm.row(a).norm())
    }

    pub fn index(&self, p: V3) -> V3 {
        let (o, m) = (self.grid.origin(), &self.index_from_mm);
        let d = [p[0] - o[0], p[1] - o[1], p[2] - o[2]];
        [0, 1, 2].map(|r| m[(r, 0)] * d[0] + m[(r, 1)] * d[1] + m[(r, 2)] * d[2])
    }

    /// Whether a point lies beyond the centres of the outermost voxels.
    pub fn is_beyond(&self, p: V3) -> bool {
        let index = self.index(p);
        let dims = self.grid.dims();
        (0..3).any(|a| index[a] < -1e-6 || index[a] > (dims[a] - 1) as f64 + 1e-6)
    }
}

/// A volume and what its grey values mean.
pub(super) struct Scene<'a, T> {
    geometry: Geometry,
    pub rescale: Rescale,
    pub voxels: Voxels<'a, T>,
    pub modes: Modes,
    pub threshold: f64,
    pub saturation: f64,
    /// Normalised value = stored * gain + offset.
    gain: f64,
    offset: f64,
}

/// A normalised grey value between the voxels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub value: f64,
    /// Sum of the squared weights of the voxels: the factor on the variance of white noise.
    pub noise_gain: f64,
}

/// A cylinder of voxels around a point of a surface: along its normal from `along[0]` to `along[1]`, within `radius` of it (mm).
#[derive(Clone, Copy)]
pub(super) struct Bundle {
    pub point: V3,
    pub normal: V3,
    /// Mean curvature of the surface (1/mm): voxels beside the axis lie that much farther out.
    pub curvature: f64,
    /// Direction in which the surface is straight: the curvature is then that across it.
    pub straight: Option<V3>,
    pub along: [f64; 2],
    pub radius: f64,
}

/// A voxel of a bundle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near {
    /// Normalised grey value.
    pub value: f64,
    /// Distance outward from the surface through the bundle's point (mm).
    pub t: f64,
    /// Square of its distance from the axis of the bundle, across the straight direction alone where there is one (mm²).
    pub across: f64,
    /// `(1 - q²)²`, q its distance from the axis over the radius.
    pub weight: f64,
    pub index: [u32; 3],
}

impl<'a, T: Voxel> Scene<'a, T> {
    /// `voxels` are those of `slices`, or some of them.
    pub fn new(slices: &Slices<T>, voxels: Voxels<'a, T>, greys: &Greys) -> Self {
        let (geometry, rescale) = (Geometry::new(slices.grid()), slices.rescale());
        let Greys { modes, threshold, saturation } = *greys;
        let contrast = modes.contrast();
        let (gain, offset) = (rescale.slope / contrast, (rescale.intercept - modes.air) / contrast);
        Scene { geometry, rescale, voxels, modes, threshold, saturation, gain, offset }
    }

    pub fn grid(&self) -> &Grid {
        &self.geometry.grid
    }

    /// Longest and shortest step of the grid (mm).
    pub fn steps(&self) -> (f64, f64) {
        self.geometry.steps()
    }

    /// Edge of a cube of a voxel's volume (mm).
    pub fn voxel(&self) -> f64 {
        libm::cbrt(self.grid().voxel_volume_mm3())
    }

    pub fn index(&self, p: V3) -> V3 {
        self.geometry.index(p)
    }

    /// Whether a point lies beyond the centres of the outermost voxels.
    pub fn is_beyond(&self, p: V3) -> bool {
        self.geometry.is_beyond(p)
    }

    /// By cubic (Lagrange) interpolation: exact to third order, so that its error does not pull edges towards the voxel centres as
    /// linear interpolation does. The border's voxels continue outwards.
    pub fn cubic(&self, p: V3) -> Sample {
        self.weighted(self.index(p), |f| {
            let (a, b, c) = (f + 1.0, f - 1.0, f - 2.0);
            [-f * b * c / 6.0, a * b * c / 2.0, -a * f * c / 2.0, a * f * b / 6.0]
        })
    }

    /// By linear interpolation, where the grey values are flat.
    pub fn linear(&self, p: V3) -> Sample {
        self.weighted(self.index(p), |f| [1.0 - f, f])
    }

    /// Part of the contrast at a point by linear interpolation; not a number beyond the volume.
    pub fn grey_within(&self, p: V3) -> f64 {
        if self.is_beyond(p) { f64::NAN } else { self.linear(p).value }
    }

    fn weighted<const N: usize>(&self, index: V3, weights: impl Fn(f64) -> [f64; N]) -> Sample {
        let dims = self.grid().dims();
        let mut at = [[0usize; N]; 3];
        let mut w = [[0.0; N]; 3];
        let mut noise_gain = 1.0;
        let before = (N / 2 - 1) as f64;
        for a in 0..3 {
            let floor = index[a].floor();
            w[a] = weights(index[a] - floor);
            let last = (dims[a] - 1) as f64;
            at[a] = std::array::from_fn(|n| (floor + n as f64 - before).clamp(0.0, last) as usize);
            noise_gain *= w[a].iter().map(|w| w * w).sum::<f64>();
        }
        let mut value = 0.0;
        for (k, wz) in at[2].into_iter().zip(w[2]).filter(|(_, w)| *w != 0.0) {
            for (j, wy) in at[1].into_iter().zip(w[1]).filter(|(_, w)| *w != 0.0) {
                let mut line = 0.0;
                for (i, wx) in at[0].into_iter().zip(w[0]).filter(|(_, w)| *w != 0.0) {
                    line += wx * self.voxels.at(i, j, k).to_f64();
                }
                value += wz * wy * line;
            }
        }
        Sample { value: value * self.gain + self.offset, noise_gain }
    }

    /// The finite voxels of a bundle, in the order of the volume.
    pub fn bundle(&self, bundle: &Bundle, near: &mut Vec<Near>) {
        near.clear();
        let Bundle { point, normal, curvature, straight, along: [from, to], radius } = *bundle;
        let (m, axes, dims) = (&self.geometry.index_from_mm, self.grid().axes(), self.grid().dims());
        let (middle, half) =
            (self.index(add(point, normal, 0.5 * (from + to))), 0.5 * (to - from) + 0.5 * curvature.abs() * radius * radius);
        let mut low = [0usize; 3];
        let mut high = [0usize; 3]; // past the last
        for a in 0..3 {
            let row = [m[(a, 0)], m[(a, 1)], m[(a, 2)]];
            let across = dot(row, normal);
            let reach = across.abs() * half + radius * (dot(row, row) - across * across).max(0.0).sqrt();
            low[a] = (middle[a] - reach).ceil().max(0.0) as usize;
            high[a] = ((middle[a] + reach).floor() + 1.0).clamp(0.0, dims[a] as f64) as usize;
        }
        let start = self.index(point);
        let step = [axes[(0, 0)], axes[(1, 0)], axes[(2, 0)]];
        let (step_along, step_square) = (dot(step, normal), dot(step, step));
        let (square, per_square) = (radius * radius, 1.0 / (radius * radius));
        let straight = straight.unwrap_or([0.0; 3]);
        let step_straight = dot(step, straight);
        for k in low[2]..high[2] {
            for j in low[1]..high[1] {
                let d = [low[0] as f64 - start[0], j as f64 - start[1], k as f64 - start[2]];
                let d = [0, 1, 2].map(|r| axes[(r, 0)] * d[0] + axes[(r, 1)] * d[1] + axes[(r, 2)] * d[2]);
                let (along, length, slant) = (dot(d, normal), dot(d, d), dot(d, step));
                let start_straight = dot(d, straight);
                let run = self.voxels.run(low[0]..high[0], j, k);
                for (i, stored) in run.flat_map(|(first, piece)| (first..).zip(piece)) {
                    let n = (i - low[0]) as f64;
                    let height = along + n * step_along;
                    let aside = length + n * (2.0 * slant + n * step_square) - height * height;
                    if aside >= square {
                        continue;
                    }
                    let by = start_straight + n * step_straight;
                    let across = (aside - by * by).max(0.0);
                    // Distance from the ball or rod of that curvature: (√((1 + H h)² + H² a) - 1) / H, without the division.
                    let root = ((1.0 + curvature * height) * (1.0 + curvature * height) + curvature * curvature * across).sqrt();
                    let t = (2.0 * height + curvature * (height * height + across)) / (1.0 + root);
                    if t < from || t > to {
                        continue;
                    }
                    let value = stored.to_f64() * self.gain + self.offset;
                    if value.is_finite() {
                        let inside = 1.0 - aside * per_square;
                        near.push(Near { value, t, across, weight: inside * inside, index: [i as u32, j as u32, k as u32] });
                    }
                }
            }
        }
    }
}
