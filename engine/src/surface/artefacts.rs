//! What a scan's artefacts do to the grey values near the part: cupping (beam hardening, scatter) and streaks.
//!
//! Both are seen along the normals of sampled surface points, in parts of the contrast between air and material.
//! Cupping: the grey value a little below the surface less that half-way through the part (at most [`DEEPEST`] voxels down), median over the
//! points whose way through the part is long enough; positive where the inside is darker. Streaks: the standard deviation of the air level
//! beside the part that noise does not explain. Each point's air samples are parted into two interleaved sets, whose covariance is free of
//! noise that is independent beyond two voxels; spreads are robust (quartiles), so that a pore or a neighbour's wall does not count.
//! Known limits: material that really is denser outside counts as cupping. Cost: some 100 linear samples a point, a few thousand points.

use rayon::prelude::*;

/// Artefacts in parts of the contrast; `None` where the part or the air around it is too thin to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Artefacts {
    pub cupping: Option<Estimate>,
    pub streaks: Option<Estimate>,
}

/// A value from many points with its standard uncertainty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub u: f64,
}

/// Ways through the part are followed down to this many voxels.
const DEEPEST: usize = 64;
/// Points that must tell before a median or a spread means anything.
const FEWEST: usize = 30;
/// Air samples a point, two voxels apart.
const AIR_SAMPLES: usize = 6;

type V3 = [f64; 3];

/// How far from the surface grey values are plateaus: four edge blurs, and at least two voxels.
fn clear_of_the_edge(sigma_mm: f64, voxel_mm: f64) -> f64 {
    (4.0 * sigma_mm).max(2.0 * voxel_mm)
}

impl Artefacts {
    /// Reach of the samples from the surface into the part and out of it, in millimetres.
    pub fn reach_mm(sigma_mm: f64, voxel_mm: f64) -> f64 {
        clear_of_the_edge(sigma_mm, voxel_mm) + voxel_mm * (DEEPEST.max(2 * AIR_SAMPLES)) as f64
    }

    /// From `grey`, the normalised grey value (0 in air, 1 in material, not finite beyond the volume) at a place in millimetres, below and
    /// above surface points with outward unit normals.
    pub fn seen(grey: impl Fn(V3) -> f64 + Sync, points: &[(V3, V3)], sigma_mm: f64, voxel_mm: f64) -> Artefacts {
        let clear = clear_of_the_edge(sigma_mm, voxel_mm);
        let along = |(p, n): &(V3, V3), t: f64| grey([0, 1, 2].map(|a| p[a] + t * n[a]));
        let inwards: Vec<f64> = points.par_iter().filter_map(|p| fall(|depth| along(p, -depth), clear, voxel_mm)).collect();
        let air: Vec<[f64; 2]> = points.par_iter().filter_map(|p| air_levels(|t| along(p, t), clear, voxel_mm)).collect();
        Artefacts {
            cupping: (inwards.len() >= FEWEST).then(|| median(inwards)),
            streaks: (air.len() >= FEWEST).then(|| common_spread(&air)),
        }
    }
}

/// The median. The ways of all points may end at the same voxels (the middle of a ball), whose noise they then share: so the uncertainty is
/// the scatter of one value.
fn median(values: Vec<f64>) -> Estimate {
    let u = robust_sd(values.clone());
    Estimate { value: quantile(values, 0.5), u }
}

/// The standard deviation that both columns have in common: `4 cov(a, b) = var(a + b) - var(a - b)`.
/// A variance from quartiles has the relative standard error `sqrt(2 / 0.37 n)`, 0.37 being their efficiency.
fn common_spread(pairs: &[[f64; 2]]) -> Estimate {
    let variance = |combine: fn(f64, f64) -> f64| {
        let sd = robust_sd(pairs.iter().map(|[a, b]| combine(*a, *b)).collect());
        sd * sd
    };
    let (sum, difference) = (variance(|a, b| a + b), variance(|a, b| a - b));
    let common = (0.25 * (sum - difference)).max(0.0);
    let u = 0.25 * (sum * sum + difference * difference).sqrt() * (2.0 / (0.37 * pairs.len() as f64)).sqrt();
    // u(sqrt v) = u(v) / (2 sqrt v) and at most sqrt u(v), where v is lost in its own error.
    let value = common.sqrt();
    Estimate { value, u: (0.5 * u / value).min(u.sqrt()) }
}

/// Grey value just below the surface less that half-way to the other side.
fn fall(grey: impl Fn(f64) -> f64, clear: f64, voxel: f64) -> Option<f64> {
    let depth = |i: usize| clear + i as f64 * voxel;
    let values: Vec<f64> = (0..DEEPEST).map(|i| grey(depth(i))).take_while(|v| *v > 0.5).collect();
    if values.len() < DEEPEST && !grey(depth(values.len())).is_finite() {
        return None; // the way ends at the border of the volume, not of the part
    }
    // The last samples before the far side are on its edge as the first `clear` ones were on this side's.
    let edge = if values.len() < DEEPEST { (clear / voxel).ceil() as usize } else { 0 };
    let plateau = values.get(..values.len().checked_sub(edge)?)?;
    let near = mean(plateau.get(..3)?);
    let middle = plateau.len() / 2;
    (middle >= 6).then(|| near - mean(&plateau[middle - 1..=middle + 1]))
}

/// Mean air levels of the even and of the odd samples above a point.
fn air_levels(grey: impl Fn(f64) -> f64, clear: f64, voxel: f64) -> Option<[f64; 2]> {
    let mut sums = [0.0; 2];
    for i in 0..AIR_SAMPLES {
        let value = grey(clear + 2.0 * i as f64 * voxel);
        if value.is_nan() || value >= 0.5 {
            return None;
        }
        sums[i % 2] += value;
    }
    Some(sums.map(|s| 2.0 * s / AIR_SAMPLES as f64))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q).round() as usize]
}

/// Standard deviation of a normal distribution with the same quartiles.
fn robust_sd(values: Vec<f64>) -> f64 {
    (quantile(values.clone(), 0.75) - quantile(values, 0.25)) / 1.3489795003921634
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise;

    /// Points all over a sphere about the origin (Fibonacci lattice).
    fn sphere(radius: f64, count: usize) -> Vec<(V3, V3)> {
        (0..count)
            .map(|i| {
                let z = 1.0 - (2 * i + 1) as f64 / count as f64;
                let (s, turn) = ((1.0 - z * z).sqrt(), i as f64 * 2.399_963_229_728_653);
                let n = [s * libm::cos(turn), s * libm::sin(turn), z];
                (n.map(|x| radius * x), n)
            })
            .collect()
    }

    fn radius(p: V3) -> f64 {
        (p[0] * p[0] + p[1] * p[1] + p[2] * p[2]).sqrt()
    }

    #[test]
    fn cupping_is_the_fall_of_the_grey_value_from_just_below_the_surface_to_the_middle() {
        let (r, q, sigma) = (20.0, 0.2, 0.8);
        let grey = |p: V3| if radius(p) < r { 1.0 - q * (1.0 - radius(p) * radius(p) / (r * r)) } else { 0.0 };
        let seen = Artefacts::seen(grey, &sphere(r, 400), sigma, 1.0).cupping.unwrap().value;
        // Depths 3.2, 4.2 and 5.2 against the plateau's middle: samples 3.2 … 36.2 less four at the far edge, middle at 18.2 ± 1.
        let level = |depth: f64| grey([r - depth, 0.0, 0.0]);
        let truth = (level(3.2) + level(4.2) + level(5.2) - level(17.2) - level(18.2) - level(19.2)) / 3.0;
        assert!((truth - 0.127).abs() < 0.01, "the closed form is {truth}");
        assert!((seen - truth).abs() < 2e-3, "{seen} against {truth}");
        let flat = |p: V3| f64::from(u8::from(radius(p) < r));
        assert_eq!(Artefacts::seen(flat, &sphere(r, 400), sigma, 1.0).cupping, Some(Estimate::default()));
    }

    #[test]
    fn a_part_too_thin_to_have_an_inside_shows_no_cupping() {
        let shell = |p: V3| f64::from(u8::from((14.0..20.0).contains(&radius(p))));
        assert_eq!(Artefacts::seen(shell, &sphere(20.0, 400), 0.8, 1.0).cupping, None);
    }

    #[test]
    fn streaks_are_what_varies_in_the_air_beside_the_part_without_the_noise() {
        let r = 20.0;
        let streak = |p: V3| 0.05 * libm::sin(6.0 * libm::atan2(p[1], p[0]));
        let noisy = |p: V3| {
            let seed = p.iter().fold(7u64, |h, x| h.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ x.to_bits());
            0.03 * noise::normal(seed, 0)
        };
        let inside = |p: V3| f64::from(u8::from(radius(p) < r));
        let points = sphere(r, 4000);
        let with = Artefacts::seen(|p| inside(p) + streak(p) + noisy(p), &points, 0.8, 1.0).streaks.unwrap().value;
        let without = Artefacts::seen(|p| inside(p) + noisy(p), &points, 0.8, 1.0).streaks.unwrap().value;
        // A sine of amplitude 0.05 has quartiles at ± 0.05/√2, those of a normal distribution of 0.0524; noise blunts them towards 0.0354.
        assert!((0.035..0.0535).contains(&with), "{with}");
        assert!(without < 0.006, "{without}");
    }
}
