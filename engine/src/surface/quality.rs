//! What a volume is like as an image: plateaus, noise and its correlation, edge blur.
//!
//! Noise is that of flat regions: half the mean square difference of voxels four apart, both deep in the same material, so that trends
//! (beam hardening) cancel; the same at one to three apart tells how neighbours correlate, as the kernels of reconstruction make them.
//! Edge blur is that of the error-function edge which, with a common contrast and level, fits the voxels around the flattest vertices best,
//! each vertex with an edge of its own: nothing is interpolated, so nothing blurs beside the image itself.
//! Known limit: regions less than a few voxels deep leave the noise to their neighbours' edges.

use rayon::prelude::*;

use super::Artefacts;
use super::edge::{self, Edges, Model};
use super::image::{Bundle, Near, Scene, TWO_PI};
use super::shape::Shape;
use super::space::{V3, add};
use crate::error::Error;
use crate::runtime::Runtime;
use crate::volume::{Mask, Slab, Slices, Voxel};

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
    /// Correlation of the noise of voxels one, two and three apart along rows, columns and slices.
    pub noise_correlation: [[f64; 3]; 3],
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

/// Places where differences are taken, at most, and at least for them to mean anything.
const NOISE_PLACES: usize = 100_000;
const FEWEST_PLACES: usize = 50;
/// The distance at which noise is taken to be independent (voxels), and the distances below it.
const FAR: usize = 4;
/// Flat is what lies this many voxels deep in its material; less where there is too little of it. The mask alone is asked so far.
const DEPTHS: [usize; 4] = [8, 5, 3, 1];

/// Squared differences of stored values one to four voxels apart along one axis, from one place.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    axis: u8,
    class: u8,
    squares: [f64; FAR],
}

/// Squared differences from the sampled rows of slice `k`, in order. `levels` are the stored values between the materials; where there is
/// one, the mask tells its sides apart.
fn pairs_of_slice<T: Voxel>(slab: &Slab<T>, mask: &Mask, levels: &[f64], k: usize, depth: usize) -> Vec<Pair> {
    let dims = mask.dims();
    let [nx, ny, nz] = dims;
    let stride = (ny * nz * nx.div_ceil(4)).div_ceil(NOISE_PLACES).max(1);
    let reach = dims.map(|n| if n > 1 { depth } else { 0 });
    let aside = reach.map(|r| (3 * r).div_ceil(5));
    let at = |p: [i64; 3]| p.map(|x| x as usize);
    let value = |p: [i64; 3]| {
        let [i, j, k] = at(p);
        slab.at(i, j, k).to_f64()
    };
    let class = |p: [i64; 3]| {
        let [i, j, k] = at(p);
        if levels.len() > 1 { levels.iter().filter(|&&level| value(p) >= level).count() as u8 } else { u8::from(mask.get(i, j, k)) }
    };
    let inside = |p: [i64; 3]| (0..3).all(|a| p[a] >= 0 && p[a] < dims[a] as i64);
    let is = |p: [i64; 3], wanted: u8| inside(p) && class(p) == wanted;
    // Beyond the slices at hand the mask tells the part from the rest, but not one material of either from another.
    let side = |p: [i64; 3], like: [i64; 3]| {
        let ([i, j, k], [i0, j0, k0]) = (at(p), at(like));
        inside(p) && mask.get(i, j, k) == mask.get(i0, j0, k0)
    };
    let deep = |p: [i64; 3], class: u8| {
        let star = (0..6).all(|n| {
            let mut q = p;
            q[n / 2] += if n % 2 == 0 { reach[n / 2] as i64 } else { -(reach[n / 2] as i64) };
            side(q, p) && (n / 2 == 2 || is(q, class))
        });
        let corner = |n: usize| [0, 1, 2].map(|a| p[a] + if n >> a & 1 == 1 { aside[a] as i64 } else { -(aside[a] as i64) });
        star && (0..8).all(|n| side(corner(n), p))
    };
    let mut found = vec![];
    for j in (0..ny).filter(|j| (k * ny + j).is_multiple_of(stride)) {
        for i in (0..nx).step_by(4) {
            let p = [i as i64, j as i64, k as i64];
            let class = class(p);
            if !deep(p, class) {
                continue;
            }
            for axis in 0..3 {
                let along = |n: usize| {
                    let mut q = p;
                    q[axis] += n as i64;
                    q
                };
                if !deep(along(FAR), class) || !(1..FAR).all(|n| is(along(n), class)) {
                    continue;
                }
                let squares = std::array::from_fn(|n| {
                    let d = value(along(n + 1)) - value(p);
                    d * d
                });
                if squares.iter().all(|s: &f64| s.is_finite()) {
                    found.push(Pair { axis: axis as u8, class, squares });
                }
            }
        }
    }
    found
}

/// Variance of the stored values, and their correlation along each axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    pub variance: f64,
    pub correlation: [[f64; 3]; 3],
    /// Independent places it comes from: a third of all, since each is seen along three axes.
    pub independent: f64,
}

impl Noise {
    /// From the places of all slices in order; `None` where they are too few.
    pub fn of(pairs: &[Pair]) -> Option<Noise> {
        let classes: Vec<Noise> = (0..=super::MOST_MATERIALS).filter_map(|class| Noise::of_class(pairs, class)).collect();
        let n = classes.len() as f64;
        let variance = classes.iter().map(|c| c.variance).sum::<f64>() / n;
        let mean = |a: usize, l: usize| classes.iter().map(|c| c.correlation[a][l] * c.variance).sum::<f64>() / (n * variance);
        let correlation = std::array::from_fn(|a| std::array::from_fn(|l| if variance > 0.0 { mean(a, l) } else { 0.0 }));
        let independent = classes.iter().map(|c| c.independent).sum();
        (n > 0.0).then_some(Noise { variance, correlation, independent })
    }

    fn of_class(pairs: &[Pair], class: u8) -> Option<Noise> {
        let mut chosen: Vec<&Pair> = pairs.iter().filter(|p| p.class == class).collect();
        // Padding has no noise at all.
        if chosen.iter().any(|p| p.squares[FAR - 1] > 0.0) {
            chosen.retain(|p| p.squares.iter().any(|&s| s > 0.0));
        }
        if chosen.len() < FEWEST_PLACES {
            return None;
        }
        // Differences beyond four robust standard deviations are structure, not noise.
        let mut sizes: Vec<f64> = chosen.iter().map(|p| p.squares[FAR - 1].sqrt()).collect();
        sizes.sort_unstable_by(f64::total_cmp);
        let limit = 4.0 * (1.4826 * sizes[sizes.len() / 2]).max(sizes[sizes.len() * 3 / 4]);
        chosen.retain(|p| p.squares.iter().all(|s| s.sqrt() <= limit));
        let mut sums = [[0.0; FAR]; 3];
        let mut counts = [0.0; 3];
        for pair in chosen {
            let axis = usize::from(pair.axis);
            counts[axis] += 1.0;
            sums[axis].iter_mut().zip(pair.squares).for_each(|(sum, s)| *sum += 0.5 * s);
        }
        let variance = sums.iter().map(|s| s[FAR - 1]).sum::<f64>() / counts.iter().sum::<f64>();
        let correlation = std::array::from_fn(|a| {
            std::array::from_fn(|lag| {
                // Four standard errors of the ratio of two variances of so many places, a third of which are independent.
                let chance = 7.0 / f64::max(counts[a], 1.0).sqrt();
                let found = 1.0 - sums[a][lag] / (counts[a] * variance);
                if found.abs() > chance && variance > 0.0 { found.clamp(-0.9, 0.99) } else { 0.0 }
            })
        });
        Some(Noise { variance, correlation, independent: counts.iter().sum::<f64>() / 3.0 })
    }
}

/// Noise of a volume, from the deepest places of which there are enough.
pub(super) fn noise<T: Voxel>(slices: &Slices<T>, mask: &Mask, levels: &[f64], rt: &Runtime) -> Result<Option<Noise>, Error> {
    let nz = slices.grid().dims()[2];
    let mut lists = DEPTHS.map(|_| vec![]);
    slices.pass(FAR, |own, slab| {
        rt.step("noise", own.start as f64 / nz as f64)?;
        for (depth, list) in DEPTHS.into_iter().zip(&mut lists) {
            let found: Vec<Vec<Pair>> = own.clone().into_par_iter().map(|k| pairs_of_slice(slab, mask, levels, k, depth)).collect();
            list.extend(found.concat());
        }
        Ok(())
    })?;
    // So many that a variance from them is good to a twentieth; fewer where there are no more.
    const ENOUGH: usize = 1000;
    let plenty = lists.iter().filter(|pairs| pairs.len() >= ENOUGH).find_map(|pairs| Noise::of(pairs));
    Ok(plenty.or_else(|| lists.iter().find_map(|pairs| Noise::of(pairs))))
}

impl ImageQuality {
    /// Relative standard uncertainty of the edge blur.
    pub const EDGE_SIGMA_RELATIVE_U: f64 = 0.02;

    pub fn edge_sigma_u_mm(&self) -> f64 {
        Self::EDGE_SIGMA_RELATIVE_U * self.edge_sigma_mm
    }

    /// How far an edge moves for a level that moves by the whole contrast, at its steepest (mm).
    pub fn per_level_mm(&self) -> f64 {
        (2.0 * std::f64::consts::PI).sqrt() * self.edge_sigma_mm
    }

    /// Thinnest wall or gap whose two faces are unbiased (mm): three edge blurs, and two voxels to sample it.
    pub fn smallest_feature_mm(&self) -> f64 {
        let widest = self.voxel_mm.into_iter().fold(0.0, f64::max);
        (3.0 * self.edge_sigma_mm).max(2.0 * widest)
    }

    pub(super) fn new<T: Voxel>(scene: &Scene<T>, noise: Option<Noise>, edge_sigma_mm: f64) -> ImageQuality {
        let modes = &scene.modes;
        let contrast = modes.contrast();
        let slope = scene.rescale.slope.abs();
        // At least that of rounding to the voxel type.
        let rounding = if T::NAME.starts_with('f') { 1e-6 * contrast.abs() } else { slope };
        let variance = noise.map_or(0.0, |n| slope * slope * n.variance).max(rounding * rounding / 12.0);
        let modes_u = modes.u.iter().map(|u| u * u).sum::<f64>().sqrt();
        ImageQuality {
            voxel_mm: scene.grid().spacing_mm(),
            slices: scene.grid().dims()[2],
            edge_sigma_mm,
            noise: variance.sqrt(),
            noise_correlation: noise.map_or([[0.0; 3]; 3], |n| n.correlation),
            contrast,
            air: modes.air,
            material: modes.material,
            contrast_to_noise: contrast / variance.sqrt(),
            // A standard deviation from n independent values is known to 1/√(2n).
            contrast_to_noise_relative_u: (modes_u * modes_u / (contrast * contrast) + noise.map_or(0.0, |n| 0.5 / n.independent)).sqrt(),
            saturation: scene.saturation,
            artefacts: Artefacts::default(),
        }
    }

    /// Noise in parts of the contrast.
    pub(super) fn relative_noise(&self) -> f64 {
        self.noise / self.contrast.abs()
    }

    /// Correlation of the noise of two voxels, as the product of those along the axes.
    fn correlation(&self, a: [u32; 3], b: [u32; 3]) -> f64 {
        let along = |axis: usize| match a[axis].abs_diff(b[axis]) as usize {
            0 => 1.0,
            lag if lag < FAR => self.noise_correlation[axis][lag - 1],
            _ => 0.0,
        };
        along(0) * along(1) * along(2)
    }

    /// Factor of correlation on the variance of a weighted sum of voxels.
    pub(super) fn inflation(&self, near: &[Near], parts: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (a, pa) in near.iter().zip(parts) {
            for (b, pb) in near.iter().zip(parts) {
                sum += pa * pb * self.correlation(a.index, b.index);
            }
        }
        (sum / parts.iter().map(|p| p * p).sum::<f64>()).max(0.1)
    }
}

/// Vertices whose bundles make the edge blur, at most.
pub(super) const PROFILES: usize = 2000;
/// The bundle reaches so many blurs to both sides.
const REACH: f64 = 3.0;

/// A first value of the edge blur (mm), from the median slope across the surface; `None` where no edge is seen.
pub(super) fn first_blur<T: Voxel>(scene: &Scene<T>, picked: &[(V3, Shape)]) -> Option<f64> {
    let (h, _) = scene.steps();
    let median = |t: f64| {
        let along = |(p, shape): &(V3, Shape)| scene.cubic(add(*p, shape.normal(), t)).value;
        let mut values: Vec<f64> = picked.par_iter().map(along).filter(|v| v.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let step = 0.25 * h;
    let slope = (median(-step)? - median(step)?) / (2.0 * step);
    let first = 1.0 / (slope * TWO_PI.sqrt());
    (first > 0.0 && first < 20.0 * h).then_some(first)
}

/// Edge blur, contrast and level from bundles around vertices whose edges stand alone; `None` where they do not agree on one.
pub(super) fn blur<T: Voxel>(scene: &Scene<T>, picked: &[(V3, Shape)], first: f64, radius: f64) -> Option<Model> {
    const ROUNDS: usize = 15;
    let mut model = Model { low: 0.0, contrast: 1.0, sigma: first };
    let mut worst_residual = f64::INFINITY;
    for round in 0..ROUNDS {
        let one = |(p, shape): &(V3, Shape)| {
            let (normal, curvature) = (shape.normal(), shape.curvature());
            // To second order the edge of a ball is wider by this part, as the outer parallels of its surface are less bent.
            let bend = model.sigma * curvature;
            let model = Model { sigma: model.sigma * (1.0 + 0.5 * bend * bend), ..model };
            let reach = REACH * model.sigma;
            let mut near = vec![];
            let mut bundle = Bundle { point: *p, normal, curvature, along: [-reach, reach], radius };
            scene.bundle(&bundle, &mut near);
            let found = edge::fit(&near, &model, Edges { at: 0.0, wall: None, gap: None })?;
            bundle.point = add(*p, normal, found.edges.at);
            scene.bundle(&bundle, &mut near);
            let found = edge::fit(&near, &model, Edges { at: 0.0, wall: None, gap: None })?;
            let (mut n, mut r) = ([[0.0; 3]; 3], [0.0; 3]);
            edge::shared(&near, &model, found.edges.at, &mut n, &mut r);
            Some((found.residual, n, r))
        };
        let mut found: Vec<_> = picked.par_iter().filter_map(one).collect();
        if found.len() < 4 {
            return None;
        }
        let mut residuals: Vec<f64> = found.iter().map(|f| f.0).collect();
        residuals.sort_unstable_by(f64::total_cmp);
        // Bundles that look unlike the others have something else in them.
        worst_residual = worst_residual.min(2.0 * residuals[residuals.len() / 2] + 1e-9);
        if round > 0 {
            found.retain(|f| f.0 <= worst_residual);
        }
        let (mut normal, mut right) = ([[0.0; 3]; 3], [0.0; 3]);
        for (_, n, r) in &found {
            for a in 0..3 {
                right[a] += r[a];
                (0..3).for_each(|b| normal[a][b] += n[a][b]);
            }
        }
        let [sigma, contrast, low] = edge::solve_shared(&normal, &right)?;
        let next = model.sigma + sigma.clamp(-0.3 * model.sigma, 0.3 * model.sigma);
        model = Model { low: model.low + low, contrast: model.contrast + contrast, sigma: next };
        if !(model.contrast > 0.2 && model.sigma > 0.1 * first && model.sigma < 10.0 * first) {
            return None;
        }
        if round > 2 && sigma.abs() < 1e-4 * model.sigma {
            break;
        }
    }
    Some(model)
}
