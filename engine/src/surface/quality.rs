//! What a volume is like as an image: plateaus, noise and its correlation, edge blur.
//!
//! Noise is that of flat regions: half the mean square difference of voxels four apart, both deep in the same material, so that trends
//! (beam hardening) cancel; the same at one to three apart tells how neighbours correlate, as the kernels of reconstruction make them.
//! Edge blur is that of the error-function edge which, with a common contrast and level, fits the voxels around the flattest vertices best,
//! each vertex with edges of its own: nothing is interpolated, so nothing blurs beside the image itself. Where only thin walls are to be seen
//! their far sides are in the model, and blur, contrast and level come with a covariance that says how well walls tell them apart.
//! Known limit: regions less than a few voxels deep leave the noise to their neighbours' edges.

use rayon::prelude::*;

use super::Artefacts;
use super::edge::{self, Edges, Model};
use super::image::{Near, Scene, TWO_PI};
use super::plateaus::Levels;
use super::shape::Shape;
use super::space::{V3, add};
use crate::error::Error;
use crate::runtime::Runtime;
use crate::segment::Modes;
use crate::volume::{MOST_REACH, Mask, Slab, Slices, Voxel};

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
const _: () = assert!(FAR <= MOST_REACH, "slabs count no more slices beside them");
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

/// So many places that a variance from them is good to a twentieth; fewer count where there are no more.
const ENOUGH: usize = 1000;
/// Slices that are looked at together, for memory's sake.
const SLICES_AT_ONCE: usize = 64;

/// Whether places suffice for a noise, however many follow.
fn is_plenty(pairs: &[Pair]) -> bool {
    let noisy = |class: u8| pairs.iter().filter(|p| p.class == class && p.squares[FAR - 1] > 0.0).count();
    pairs.len() >= ENOUGH && (0..=super::MOST_MATERIALS).any(|class| noisy(class) >= FEWEST_PLACES)
}

/// Noise of a volume, from the deepest places of which there are enough.
pub(super) fn noise<T: Voxel>(slices: &Slices<T>, mask: &Mask, levels: &[f64], rt: &Runtime) -> Result<Option<Noise>, Error> {
    let nz = slices.grid().dims()[2];
    let (mut lists, mut wanted) = (DEPTHS.map(|_| vec![]), DEPTHS.len());
    slices.pass(FAR, |own, slab| {
        rt.step("noise", own.start as f64 / nz as f64)?;
        for from in own.clone().step_by(SLICES_AT_ONCE) {
            let group = from..own.end.min(from + SLICES_AT_ONCE);
            for (depth, list) in DEPTHS.into_iter().zip(&mut lists).take(wanted) {
                let found: Vec<Vec<Pair>> = group.clone().into_par_iter().map(|k| pairs_of_slice(slab, mask, levels, k, depth)).collect();
                found.into_iter().for_each(|pairs| list.extend(pairs));
            }
            // Where the deeper places are plenty, the others are not asked.
            wanted = lists.iter().position(|pairs| is_plenty(pairs)).map_or(wanted, |n| n + 1);
            lists[wanted..].fill(vec![]);
        }
        Ok(())
    })?;
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

    /// Factor of correlation on the variance of a mean over many voxels.
    pub(super) fn whole_inflation(&self) -> f64 {
        self.noise_correlation.iter().map(|axis| (1.0 + 2.0 * axis.iter().sum::<f64>()).max(0.1)).product()
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
pub(super) fn first_blur<T: Voxel>(scene: &Scene<T>, normals: &[(V3, V3)]) -> Option<f64> {
    let (h, _) = scene.steps();
    let median = |t: f64| {
        let along = |(p, normal): &(V3, V3)| scene.cubic(add(*p, *normal, t)).value;
        let mut values: Vec<f64> = normals.par_iter().map(along).filter(|v| v.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let step = 0.25 * h;
    let slope = (median(-step)? - median(step)?) / (2.0 * step);
    let first = 1.0 / (slope * TWO_PI.sqrt());
    (first > 0.0 && first < 20.0 * h).then_some(first)
}

/// Modes are those of plateaus if what is seen at edges differs by less than this part of the contrast: beam hardening and scatter stay below.
pub(super) const MODE_OFF: f64 = 0.2;

/// The brightest that the median vertex sees within four blurs behind it: of a part thick enough the plateau, otherwise less.
pub(super) fn inside<T: Voxel>(scene: &Scene<T>, normals: &[(V3, V3)], blur: f64) -> f64 {
    let step = 0.5 * blur.max(0.6 * scene.voxel());
    let brightest = |(p, normal): &(V3, V3)| {
        (1..=8).map(|n| scene.linear(add(*p, *normal, -step * f64::from(n))).value).fold(f64::NEG_INFINITY, f64::max)
    };
    let mut values: Vec<f64> = normals.par_iter().map(brightest).filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(1.0)
}

/// What the edges of an image have in common: plateaus in parts of the modes' contrast, and blur.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    pub model: Model,
    /// Covariance of blur (mm), contrast and lower plateau (parts of the contrast).
    pub covariance: [[f64; 3]; 3],
    /// Grey value inside the surface, in parts of the modes' contrast.
    inside: f64,
    /// Whether edges were fitted; otherwise the plateaus are the modes.
    pub is_fitted: bool,
    /// Median root mean square that the edges leave of their bundles.
    pub residual: f64,
}

impl Common {
    /// Where no edges could be fitted: the modes, which walls of 3 to 7 blurs without plateaus make wrong by up to 0.14, and a blur from them.
    /// `inside` is the grey value inside the surface ([`inside`]): the material is not darker.
    pub fn guessed(sigma: f64, inside: f64) -> Common {
        let mut covariance = [[0.0; 3]; 3];
        let contrast = f64::max(0.05, inside - 1.0);
        [0.05 * sigma, contrast, 0.025].iter().enumerate().for_each(|(a, u)| covariance[a][a] = u * u);
        Common { model: Model { low: 0.0, contrast: 1.0, sigma }, covariance, inside, is_fitted: false, residual: 0.0 }
    }

    /// The modes that edges show, or where none could be fitted what lies inside, if that is not the modes at hand.
    pub fn elsewhere(&self, modes: &Modes) -> Option<Modes> {
        let low = if self.is_fitted { self.model.low } else { 0.0 };
        let high = if self.is_fitted { self.model.low + self.model.contrast } else { self.inside.max(1.0) };
        let grey = |share: f64| modes.air + share * modes.contrast();
        let off = (high - 1.0).abs() > MODE_OFF || low.abs() > MODE_OFF;
        let u = [modes.u[0], 0.1 * (high - low) * modes.contrast().abs()];
        off.then(|| Modes { air: grey(low), material: grey(high), u, from_peaks: false, ..*modes })
    }

    /// Standard uncertainty of the half-way level in parts of the contrast, where it is guessed; otherwise the edges' own.
    pub fn guessed_level_u(&self) -> f64 {
        if self.is_fitted { 0.0 } else { edge::quadratic(&self.covariance, &[0.0, 0.5, 1.0]).sqrt() }
    }

    /// Departures of level and contrast from the modes.
    pub fn usual(&self) -> [f64; 2] {
        [self.model.low + 0.5 * self.model.contrast - 0.5, self.model.contrast - 1.0]
    }

    /// The covariance, with what tails of the point spread make wrong: they make edges fitted over three blurs show another contrast than plateaus
    /// do, and walls feel some 0.7 of the difference (mixtures of Gaussians, boxes and exponentials: 0.5 to 0.9).
    pub fn beside(&self, levels: &Levels) -> [[f64; 3]; 3] {
        let tails = if levels.seen > 0.0 { 0.7 * (levels.means[1] - self.usual()[1]) } else { 0.0 };
        let mut covariance = self.covariance;
        covariance[1][1] += tails * tails;
        covariance
    }

    /// Relative standard uncertainty of the blur.
    pub fn blur_u(&self) -> f64 {
        self.covariance[0][0].sqrt() / self.model.sigma
    }
}

/// A vertex whose bundle makes the blur, with the edges that it shows.
pub(super) type Shown = (V3, Shape, Edges);

/// What a vertex gives in one round.
struct Given {
    residual: f64,
    normal: [[f64; 3]; 3],
    right: [f64; 3],
}

/// The bundle around the edges that a vertex shows, fitted.
fn fit_shown<T: Voxel>(scene: &Scene<T>, (p, shape, edges): &mut Shown, model: &Model, radius: f64, near: &mut Vec<Near>) -> Option<f64> {
    let normal = shape.normal();
    let reach = REACH * model.sigma;
    let mut residual = None;
    for _ in 0..2 {
        let at = edges.at;
        let along = [edges.wall.unwrap_or(at) - at - reach, edges.gap.unwrap_or(at) - at + reach];
        scene.bundle(&edges.bundle((add(*p, normal, at), shape), model.sigma, along, radius), near);
        near.iter_mut().for_each(|v| v.t += at);
        let found = edge::fit(near, model, *edges)?;
        (*edges, residual) = (found.edges, Some(found.residual));
    }
    residual
}

/// Edge blur, contrast and level from bundles around vertices; `None` where they do not agree on one.
pub(super) fn blur<T: Voxel>(scene: &Scene<T>, picked: &[Shown], first: f64, radius: f64, image: &ImageQuality) -> Option<Common> {
    const ROUNDS: usize = 15;
    let mut model = Model { low: 0.0, contrast: 1.0, sigma: first };
    let mut worst_residual = f64::INFINITY;
    let (mut sums, mut residual) = ([[0.0; 3]; 3], 0.0);
    let mut shown: Vec<Shown> = picked.to_vec();
    let bent = |model: &Model, (_, shape, edges): &Shown| {
        // To second order the edge of a ball is wider by this part, as the outer parallels of its surface are less bent.
        let bend = if edges.rod.is_some() { 0.0 } else { model.sigma * shape.curvature() };
        Model { sigma: model.sigma * (1.0 + 0.5 * bend * bend), ..*model }
    };
    for round in 0..ROUNDS {
        let one = |one: &mut Shown| {
            let (model, mut near) = (bent(&model, one), vec![]);
            let residual = fit_shown(scene, one, &model, radius, &mut near)?;
            let (mut n, mut r) = ([[0.0; 3]; 3], [0.0; 3]);
            edge::shared(&near, &model, &one.2, &mut n, &mut r);
            Some(Given { residual, normal: n, right: r })
        };
        let mut found: Vec<Given> = shown.par_iter_mut().filter_map(one).collect();
        if found.len() < 4 {
            return None;
        }
        let mut residuals: Vec<f64> = found.iter().map(|f| f.residual).collect();
        residuals.sort_unstable_by(f64::total_cmp);
        // Bundles that look unlike the others have something else in them.
        residual = residuals[residuals.len() / 2];
        worst_residual = worst_residual.min(2.0 * residual + 1e-9);
        if round > 0 {
            found.retain(|f| f.residual <= worst_residual);
        }
        let mut right = [0.0; 3];
        sums = [[0.0; 3]; 3];
        for given in &found {
            for a in 0..3 {
                right[a] += given.right[a];
                (0..3).for_each(|b| sums[a][b] += given.normal[a][b]);
            }
        }
        let [sigma, contrast, low] = edge::solve_shared(&sums, &right)?;
        let next = model.sigma + sigma.clamp(-0.3 * model.sigma, 0.3 * model.sigma);
        model = Model { low: model.low + low, contrast: model.contrast + contrast, sigma: next };
        if !(model.contrast > 0.2 && model.sigma > 0.1 * first && model.sigma < 10.0 * first) {
            return None;
        }
        if round > 2 && sigma.abs() < 1e-4 * model.sigma {
            break;
        }
    }
    let noise = image.relative_noise();
    let gain = noise * noise * image.whole_inflation() * overlap(scene, &mut shown, &model, radius);
    let mut covariance = edge::covariance(&sums)?.map(|row| row.map(|c| gain * c));
    let of_rods = picked.iter().filter(|(_, _, edges)| edges.rod.is_some()).count() * 2 > picked.len();
    let [blur, contrast] = if of_rods { RODS_MODEL_U } else { [BLUR_MODEL_U, 0.0] };
    covariance[0][0] += (blur * model.sigma) * (blur * model.sigma);
    covariance[1][1] += (contrast * model.contrast) * (contrast * model.contrast);
    Some(Common { model, covariance, inside: model.low + model.contrast, is_fitted: true, residual })
}

/// Relative standard uncertainty of a blur without noise: of the second order in curvature, and of sampling; seen on phantoms.
const BLUR_MODEL_U: f64 = 0.0015;
/// Those of a blur and a contrast from struts, whose axes and normals lean by what sampling and noise make of the iso-surface; seen on phantoms.
const RODS_MODEL_U: [f64; 2] = [0.005, 0.0025];

/// Factor on the variance of what bundles share, since a voxel lies in several of them: the mean square of the voxels' weights over their mean.
fn overlap<T: Voxel>(scene: &Scene<T>, shown: &mut [Shown], model: &Model, radius: f64) -> f64 {
    let one = |one: &mut Shown| {
        let mut near = vec![];
        fit_shown(scene, one, model, radius, &mut near);
        near.into_iter().map(|v| (v.index, v.weight)).collect::<Vec<_>>()
    };
    let mut weights: Vec<([u32; 3], f64)> = shown.par_iter_mut().map(one).collect::<Vec<_>>().concat();
    weights.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let (mut squares, mut total) = (0.0, 0.0);
    for voxel in weights.chunk_by(|a, b| a.0 == b.0) {
        let weight = voxel.iter().map(|v| v.1).sum::<f64>();
        squares += weight * weight;
        total += weight;
    }
    if total > 0.0 { squares / total } else { 1.0 }
}
