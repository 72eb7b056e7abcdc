//! CT of a solid: `grey = air + (material - air) · (Gaussian ∗ indicator)(voxel centre) + noise`, rounded to integers.
//!
//! The point spread is an isotropic Gaussian of `edge_sigma_mm` in physical space, whatever the grid. The indicator is sampled on a
//! grid fine enough for that Gaussian, each sample the mean of 2³ points, each point a narrow Gaussian edge `Φ(-d/s)`; separable
//! Gaussians along rows, columns and the slice normal add the rest of the variance, so that all parts together have exactly σ².
//! Slices of a sheared grid have their own fine planes, so a tilted gantry needs no resampling either.
//! Known bias: the narrow edge moves a surface of mean curvature H by `s² H` outward, with s ≤ 0.27 σ: 0.0018 voxel for a ball of
//! 20 voxels radius at σ = 0.7 voxel. Measured against the closed forms of blurred balls and plates: below 0.3 % of the contrast.
//! Cost: nine distances a fine sample at the surface, one near it, one for 16 elsewhere.

use std::f64::consts::SQRT_2;

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::{PhantomError, Solid};
use crate::frame::Grid;
use crate::noise;
use crate::volume::{Rescale, Volume};

/// A scanner: blur, grey values and noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ct {
    /// Standard deviation of the Gaussian point spread, mm.
    pub edge_sigma_mm: f64,
    pub air: f64,
    pub material: f64,
    /// Standard deviation of the white noise, grey values.
    pub noise_sd: f64,
    pub seed: u64,
}

impl Ct {
    /// The volume that this scanner delivers of a solid; values outside `u16` saturate.
    pub fn scan(&self, solid: &Solid, grid: &Grid) -> Result<Volume<u16>, PhantomError> {
        let share = blurred(solid, grid, self.edge_sigma_mm)?;
        let grey = |(i, &s): (usize, &f32)| {
            let noise = if self.noise_sd > 0.0 { self.noise_sd * noise::normal(self.seed, i as u64) } else { 0.0 };
            (self.air + (self.material - self.air) * f64::from(s) + noise).round().clamp(0.0, f64::from(u16::MAX)) as u16
        };
        let data = share.par_iter().enumerate().map(grey).collect();
        Ok(Volume::new(*grid, Rescale::IDENTITY, data).expect("one share a voxel of the grid, and the identity rescale is finite"))
    }
}

/// Share of material at every voxel centre after blur, in [0, 1], without noise.
pub fn blurred(solid: &Solid, grid: &Grid, edge_sigma_mm: f64) -> Result<Vec<f32>, PhantomError> {
    let scene = Scene::new(solid, grid, edge_sigma_mm)?;
    let [nx, ny, nz] = grid.dims();
    let [.., z] = &scene.lines;
    let reach = z.weights.len();
    let slices: Vec<Vec<f32>> = if scene.sheared {
        (0..nz)
            .into_par_iter()
            .map(|k| weighted(nx * ny, z.weights.iter().enumerate().map(|(f, &w)| (w, scene.plane(k, z.at(f))))))
            .collect()
    } else {
        let planes: Vec<Vec<f32>> = (0..nz * z.fine + 2 * z.radius).into_par_iter().map(|m| scene.plane(0, z.at(m))).collect();
        let near = |k: usize| z.weights.iter().zip(&planes[k * z.fine..][..reach]).map(|(&w, plane)| (w, plane));
        (0..nz).into_par_iter().map(|k| weighted(nx * ny, near(k))).collect()
    };
    Ok(slices.concat())
}

/// Sum of weighted planes in the order given.
fn weighted<P: AsRef<[f32]>>(len: usize, planes: impl Iterator<Item = (f64, P)>) -> Vec<f32> {
    let mut sum = vec![0.0f64; len];
    for (w, plane) in planes {
        sum.iter_mut().zip(plane.as_ref()).for_each(|(s, &v)| *s += w * f64::from(v));
    }
    sum.iter().map(|&s| s as f32).collect()
}

/// Fine samples along one axis: `fine` a voxel, `radius` more at both ends, and the weights that make a voxel of them.
struct Line {
    fine: usize,
    radius: usize,
    weights: Vec<f64>,
}

impl Line {
    fn new(spacing_mm: f64, fine: usize, sigma_mm: f64) -> Line {
        let sigma = sigma_mm * fine as f64 / spacing_mm; // in fine samples
        let radius = (5.0 * sigma).ceil() as usize;
        // The centre of a voxel lies amid its fine samples.
        let from_centre = |f: usize| f as f64 - radius as f64 - 0.5 * (fine as f64 - 1.0);
        let raw: Vec<f64> = (0..fine + 2 * radius).map(|f| libm::exp(-0.5 * (from_centre(f) / sigma) * (from_centre(f) / sigma))).collect();
        let total: f64 = raw.iter().sum();
        Line { fine, radius, weights: raw.iter().map(|w| w / total).collect() }
    }

    /// Voxel index of fine sample `m`.
    fn at(&self, m: usize) -> f64 {
        (m as f64 - self.radius as f64 + 0.5) / self.fine as f64 - 0.5
    }

    fn samples(&self, voxels: usize) -> usize {
        voxels * self.fine + 2 * self.radius
    }

    /// Voxels from one row of fine samples.
    fn voxels(&self, row: &[f32], out: &mut [f32]) {
        for (i, o) in out.iter_mut().enumerate() {
            let window = &row[i * self.fine..][..self.weights.len()];
            *o = self.weights.iter().zip(window).map(|(w, &v)| w * f64::from(v)).sum::<f64>() as f32;
        }
    }
}

struct Scene<'a> {
    solid: &'a Solid,
    grid: &'a Grid,
    /// Steps of one voxel along rows, columns and the slice normal, mm; mutually perpendicular.
    steps: [Vector3<f64>; 3],
    sheared: bool,
    lines: [Line; 3],
    /// Width of the narrow edge, mm.
    edge_mm: f64,
}

impl<'a> Scene<'a> {
    fn new(solid: &'a Solid, grid: &'a Grid, sigma_mm: f64) -> Result<Self, PhantomError> {
        if !(sigma_mm.is_finite() && sigma_mm > 0.0) {
            return Err(PhantomError::EdgeWidth { sigma_mm });
        }
        let [x, y, z] = [0, 1, 2].map(|a| grid.axes().column(a).into_owned());
        let cosine = x.normalize().dot(&y.normalize());
        if cosine.abs() > 1e-9 {
            return Err(PhantomError::ObliqueSlices { degrees: libm::acos(cosine).to_degrees() });
        }
        let normal = grid.slice_normal();
        let steps = [x, y, normal * z.dot(&normal)];
        // At 0.75 σ a sample the sampled Gaussian aliases below 1e-4.
        let fine = steps.map(|s| (s.norm() / (0.75 * sigma_mm)).ceil() as usize);
        let sub_mm = [0, 1, 2].map(|a| 0.5 * steps[a].norm() / fine[a] as f64);
        // Narrower edges alias in the fine samples, wider ones feel the curvature; here either costs about 0.1 % of the contrast.
        let edge_mm = 0.7 * sub_mm.iter().fold(0.0, |m: f64, &s| m.max(s));
        let lines = [0, 1, 2].map(|a| {
            // Two points at ± sub/2 have the variance sub²/4.
            let rest = sigma_mm * sigma_mm - edge_mm * edge_mm - 0.25 * sub_mm[a] * sub_mm[a];
            Line::new(steps[a].norm(), fine[a], rest.sqrt())
        });
        let sheared = (z - steps[2]).norm() > 1e-9 * z.norm();
        Ok(Scene { solid, grid, steps, sheared, lines, edge_mm })
    }

    /// Slice `k` displaced by `along` voxels along the slice normal, blurred in its plane.
    fn plane(&self, k: usize, along: f64) -> Vec<f32> {
        let [nx, ny, _] = self.grid.dims();
        let [x, y, _] = &self.lines;
        let origin = self.grid.physical(&Point3::new(0.0, 0.0, k as f64)) + self.steps[2] * along;
        let fine = self.shares(&origin);
        let width = x.samples(nx);
        let mut rows = vec![0.0f32; nx * y.samples(ny)];
        for (row, out) in fine.chunks(width).zip(rows.chunks_mut(nx)) {
            if row.iter().any(|&v| v != 0.0) {
                x.voxels(row, out);
            }
        }
        let mut plane = Vec::with_capacity(nx * ny);
        for j in 0..ny {
            let near = rows[j * y.fine * nx..].chunks(nx);
            plane.extend(weighted(nx, y.weights.iter().copied().zip(near)));
        }
        plane
    }

    /// Shares of material at the fine samples of a plane, before blur.
    fn shares(&self, origin: &Point3<f64>) -> Vec<f32> {
        const BLOCK: usize = 4;
        let [x, y, z] = &self.lines;
        let [nx, ny, _] = self.grid.dims();
        let (width, height) = (x.samples(nx), y.samples(ny));
        let half = |step: &Vector3<f64>, line: &Line, samples: usize| 0.5 * samples as f64 * step.norm() / line.fine as f64;
        let (hx, hy, hz) = (half(&self.steps[0], x, BLOCK), half(&self.steps[1], y, BLOCK), half(&self.steps[2], z, 1));
        // A block whose centre is this far from the surface has none of it, nor of the edge's tail of 6 s.
        let clear = (hx * hx + hy * hy + hz * hz).sqrt() + 6.0 * self.edge_mm;
        let mut plane = vec![0.0f32; width * height];
        for v in (0..height).step_by(BLOCK) {
            for u in (0..width).step_by(BLOCK) {
                let amid = 0.5 * (BLOCK as f64 - 1.0);
                let centre = origin + self.steps[0] * (x.at(u) + amid / x.fine as f64) + self.steps[1] * (y.at(v) + amid / y.fine as f64);
                let d = self.solid.distance_mm(&centre);
                for row in v..(v + BLOCK).min(height) {
                    let cells = &mut plane[row * width..][u..(u + BLOCK).min(width)];
                    if d.abs() > clear {
                        cells.fill(if d < 0.0 { 1.0 } else { 0.0 });
                        continue;
                    }
                    for (c, cell) in cells.iter_mut().enumerate() {
                        *cell = self.share(&(origin + self.steps[0] * x.at(u + c) + self.steps[1] * y.at(row)));
                    }
                }
            }
        }
        plane
    }

    /// Mean of the narrow edge over 2³ points of a fine sample.
    fn share(&self, centre: &Point3<f64>) -> f32 {
        let [a, b, c] = [0, 1, 2].map(|a| self.steps[a] * (0.25 / self.lines[a].fine as f64));
        let d = self.solid.distance_mm(centre);
        if d.abs() > (a + b + c).norm() + 6.0 * self.edge_mm {
            return if d < 0.0 { 1.0 } else { 0.0 };
        }
        let mut sum = 0.0;
        for corner in 0..8 {
            let side = |bit: usize| if corner >> bit & 1 == 1 { 1.0 } else { -1.0 };
            let d = self.solid.distance_mm(&(centre + a * side(0) + b * side(1) + c * side(2)));
            sum += 0.5 * libm::erfc(d / (self.edge_mm * SQRT_2));
        }
        (0.125 * sum) as f32
    }
}
