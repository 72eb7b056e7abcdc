//! The thinnest wall: the smallest mean diameter over a patch of it, as the extreme of single balls is that of the noise.
//!
//! A patch holds the balls between two sides whose centres lie within a wall's thickness of a ball's, and whose sides look the same way: a spot twice
//! as wide as the wall is thick. It lies about a ball that is no thicker than its mean, so balls are taken from the thinnest on until one is thicker
//! than the smallest mean. What noise makes of the smallest mean, its bias included, is told by adding noise once more, as for deviations.
//! Known bias: a neck shorter than it is thick reads too thick. Cost: a search tree and the patches, some 80 bytes a ball.

use std::collections::BTreeSet;

use kiddo::{ImmutableKdTree, SquaredEuclidean};
use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::grow::Ball;
use crate::error::Error;
use crate::noise;

/// Noise of the surface that balls rest on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard uncertainty of a point, mm.
    pub u_mm: f64,
    /// Distance beyond which points vary on their own, mm.
    pub length_mm: f64,
    /// Seed of the first draw; the others follow.
    pub seed: u64,
    pub draws: u64,
}

/// The smallest mean thickness over a patch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thinnest {
    pub mean_mm: f64,
    /// What noise does to it, r.m.s. about what it would be without.
    pub noise_mm: f64,
}

/// A ball between two sides.
#[derive(Clone, Copy)]
struct Between {
    centre: Point3<f64>,
    radius_mm: f64,
    across: Vector3<f64>,
}

/// Balls of a patch, at least: fewer are no wall.
const LEAST: usize = 4;
/// Sides look the same way when they are less than 60° apart.
const LIKE: f64 = 0.5;
/// Patches whose mean is above the smallest by more standard uncertainties of one ball than this stay above it.
const FAR: f64 = 6.0;
/// Patches that are formed side by side.
const AT_ONCE: usize = 1024;

/// Of some balls; `None` without a wall.
pub(super) fn thinnest<'b>(balls: impl Iterator<Item = &'b Ball>, noise: Noise) -> Result<Option<Thinnest>, Error> {
    let between = |b: &Ball| Some(Between { centre: b.centre, radius_mm: b.radius_mm, across: b.across?.cast() });
    let mut all: Vec<Between> = balls.filter_map(between).collect();
    if all.is_empty() {
        return Ok(None);
    }
    all.sort_by(|a, b| a.radius_mm.total_cmp(&b.radius_mm));
    let points: Vec<[f64; 3]> = all.iter().map(|b| b.centre.coords.into()).collect();
    let tree = ImmutableKdTree::<f64, 3>::new_from_slice(&points).map_err(|e| Error::defect(format!("search among balls: {e}")))?;
    let patch = |&n: &usize| -> Option<(f64, Vec<u32>)> {
        let own = &all[n];
        let near = tree.query(&points[n]).within::<SquaredEuclidean<f64>>(4.0 * own.radius_mm * own.radius_mm).execute();
        let mut members: Vec<u32> = near.iter().map(|found| found.item).collect();
        members.retain(|&m| all[m as usize].across.dot(&own.across).abs() > LIKE);
        members.sort_unstable();
        let mean = members.iter().map(|&m| 2.0 * all[m as usize].radius_mm).sum::<f64>() / members.len() as f64;
        (members.len() >= LEAST).then_some((mean, members))
    };
    let margin = FAR * 2.0_f64.sqrt() * noise.u_mm;
    let (mut patches, mut smallest): (Vec<(f64, Vec<u32>)>, f64) = (vec![], f64::INFINITY);
    for centres in spread(&all).chunks(AT_ONCE) {
        if 2.0 * all[centres[0]].radius_mm > smallest + margin {
            break;
        }
        let found: Vec<(f64, Vec<u32>)> = centres.par_iter().filter_map(patch).collect();
        smallest = found.iter().map(|p| p.0).fold(smallest, f64::min);
        patches.extend(found);
        patches.retain(|p| p.0 <= smallest + margin);
    }
    if patches.is_empty() {
        return Ok(None);
    }
    let change = |k: u64| {
        let at = |b: &Between, sign: f64| noise::field(noise.seed + k, noise.length_mm, &(b.centre + b.across * (sign * b.radius_mm)));
        let moved: Vec<f64> = all.par_iter().map(|b| noise.u_mm * (at(b, 1.0) + at(b, -1.0))).collect();
        let mean =
            |(mean, members): &(f64, Vec<u32>)| mean + members.iter().map(|&m| moved[m as usize]).sum::<f64>() / members.len() as f64;
        patches.iter().map(mean).fold(f64::INFINITY, f64::min) - smallest
    };
    let draws = if noise.u_mm > 0.0 { noise.draws } else { 0 };
    let squares: f64 = (0..draws).map(change).map(|d| d * d).sum();
    Ok(Some(Thinnest { mean_mm: smallest, noise_mm: (squares / draws.max(1) as f64).sqrt() }))
}

/// Of balls from the thinnest on one in each cube as wide as the next power of two above their radius, by their numbers.
fn spread(balls: &[Between]) -> Vec<usize> {
    let mut taken = BTreeSet::new();
    let cube = |b: &Between| {
        let power = (b.radius_mm.to_bits() >> 52) + 1;
        let edge = f64::from_bits(power << 52);
        (power, [0, 1, 2].map(|a| (b.centre[a] / edge).floor() as i64))
    };
    (0..balls.len()).filter(|&n| taken.insert(cube(&balls[n]))).collect()
}
