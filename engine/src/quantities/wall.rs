//! `wall.`: how thick the solid is.

use crate::case::Case;
use crate::error::Error;
use crate::pores::{Phase, Sizes};

use super::pore::{LOCAL, Of, diameter, noisy_length, too_small};
use super::porosity::cannot_carry;
use super::{Entry, Measured, Scope};

const fn entry(name: &'static str, zh: &'static str, definition: &'static str, measure: super::Measure) -> Entry {
    Entry::new(name, "mm", "8.3.2.2 b)", zh, definition, LOCAL, measure)
}

pub const ENTRIES: &[Entry] = &[
    entry(
        "wall.thickness_mean",
        "平均壁厚",
        "mean over the solid in the envelope of the diameter of the largest sphere in the part's solid that holds a place",
        |c, s| walls(c, s, Of::Size, Sizes::mean_mm),
    ),
    entry(
        "wall.thickness_sd",
        "壁厚标准差",
        "standard deviation of the local wall thickness over the solid in the envelope",
        |c, s| walls(c, s, Of::Spread, Sizes::sd_mm),
    ),
    entry(
        "wall.thickness_min",
        "最小壁厚",
        "smallest mean diameter, over a spot twice as wide as the wall is thick, of the spheres of the local wall thickness that touch two sides more than 120° apart: walls, not edges",
        thinnest,
    ),
    entry("wall.thickness_d10", "壁厚 d10", "local thickness that 10 % of the solid does not exceed", |c, s| {
        walls(c, s, Of::Size, |sizes| sizes.quantile_mm(0.1))
    }),
    entry("wall.thickness_d50", "壁厚 d50", "local thickness that half of the solid does not exceed", |c, s| {
        walls(c, s, Of::Size, |sizes| sizes.quantile_mm(0.5))
    }),
    entry("wall.thickness_d90", "壁厚 d90", "local thickness that 90 % of the solid does not exceed", |c, s| {
        walls(c, s, Of::Size, |sizes| sizes.quantile_mm(0.9))
    }),
];

const NO_WALLS: &str = "the envelope holds no solid: name a region or an envelope that does";

fn walls(case: &Case, scope: &Scope, what: Of, of: fn(&Sizes) -> f64) -> Result<Measured, Error> {
    if let Some(reason) = cannot_carry(case, scope)? {
        return Ok(Measured::not(reason));
    }
    let sizes = case.sizes(Phase::Walls, scope.region)?;
    diameter(case, &sizes, what, of, NO_WALLS)
}

fn thinnest(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    if let Some(reason) = cannot_carry(case, scope)? {
        return Ok(Measured::not(reason));
    }
    let [a, b] = &*case.sizes(Phase::Walls, scope.region)?;
    let (Some(a), Some(b)) = (a.thinnest, b.thinnest) else {
        return Ok(Measured::not("the envelope holds no wall with two facing sides: name a region that does"));
    };
    let means = [a.mean_mm, b.mean_mm];
    if let Some(reason) = too_small(case, 0.5 * (means[0] + means[1]))? {
        return Ok(Measured::not(reason));
    }
    noisy_length(case, means, 2.0, 0.5 * (a.noise_mm + b.noise_mm))
}
