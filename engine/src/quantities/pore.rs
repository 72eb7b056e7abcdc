//! `pore.`: how large pores are and where a sphere can go.

use crate::case::Case;
use crate::error::Error;
use crate::pores::{LEAST_CELLS, LEAST_THROAT, Phase, Sizes};
use crate::uncertainty::{NOISE, OFFSET, SCALE, merge};

use super::porosity::cannot_carry;
use super::{Entry, Measured, Scope, Term};

const CLAUSE: &str = "8.3.2.2 a)";
pub(super) const LOCAL: &str = "Hildebrand & Rüegsegger 1997, on the determined surface; by volume";
const PASSAGE: &str = "places between cells by their distances to the determined surface, joined through faces";

const fn entry(name: &'static str, unit: &'static str, zh: &'static str, definition: &'static str, measure: super::Measure) -> Entry {
    Entry::new(name, unit, CLAUSE, zh, definition, LOCAL, measure)
}

const fn throat(name: &'static str, zh: &'static str, definition: &'static str, measure: super::Measure) -> Entry {
    Entry::new(name, "mm", CLAUSE, zh, definition, PASSAGE, measure)
}

pub const ENTRIES: &[Entry] = &[
    entry(
        "pore.size_mean",
        "mm",
        "平均孔径",
        "mean over the pore volume of the diameter of the largest sphere that holds a place, has its centre in the envelope and does not enter the solid",
        |c, s| pores(c, s, Of::Size, Sizes::mean_mm),
    ),
    entry("pore.size_sd", "mm", "孔径标准差", "standard deviation of the local pore diameter over the pore volume", |c, s| {
        pores(c, s, Of::Spread, Sizes::sd_mm)
    }),
    entry("pore.size_d10", "mm", "孔径 d10", "local diameter that 10 % of the pore volume does not exceed", |c, s| {
        pores(c, s, Of::Size, |sizes| sizes.quantile_mm(0.1))
    }),
    entry("pore.size_d50", "mm", "孔径 d50", "local diameter that half of the pore volume does not exceed", |c, s| {
        pores(c, s, Of::Size, |sizes| sizes.quantile_mm(0.5))
    }),
    entry("pore.size_d90", "mm", "孔径 d90", "local diameter that 90 % of the pore volume does not exceed", |c, s| {
        pores(c, s, Of::Size, |sizes| sizes.quantile_mm(0.9))
    }),
    entry("pore.in_range", "1", "孔径合格体积分数", "share of the pore volume whose local diameter lies within the given limits", in_range),
    throat(
        "pore.throat_x",
        "X 向喉道直径",
        "largest sphere whose centre passes through the open pores from where the envelope begins along x to where it ends",
        |c, s| passes(c, s, 0),
    ),
    throat(
        "pore.throat_y",
        "Y 向喉道直径",
        "largest sphere whose centre passes through the open pores from where the envelope begins along y to where it ends",
        |c, s| passes(c, s, 1),
    ),
    throat(
        "pore.throat_z",
        "Z 向喉道直径",
        "largest sphere whose centre passes through the open pores from where the envelope begins along z to where it ends",
        |c, s| passes(c, s, 2),
    ),
    Entry::new(
        "pore.accessible",
        "1",
        "8.3.2.3 a)",
        "可达孔隙分数",
        "share of the pore volume that a sphere of the given diameter sweeps when it comes from outside the part",
        PASSAGE,
        accessible,
    ),
];

const NO_PORES: &str = "the envelope holds no pores: name a region or an envelope that does";

fn pores(case: &Case, scope: &Scope, what: Of, of: fn(&Sizes) -> f64) -> Result<Measured, Error> {
    if let Some(reason) = cannot_carry(case, scope)? {
        return Ok(Measured::not(reason));
    }
    let sizes = case.sizes(Phase::Pores, scope.region)?;
    diameter(case, &sizes, what, of, NO_PORES)
}

/// What is told of a distribution of diameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A diameter itself: an offset of the surface changes it twice.
    Size,
    /// How far diameters lie apart, which an offset of all the surface leaves as it is.
    Spread,
}

/// More of the volume than this below what the scan resolves, and nothing is said of how far sizes lie apart.
const MOST_UNRESOLVED: f64 = 0.1;

/// A length from the distributions on two lattices.
pub(super) fn diameter(case: &Case, [a, b]: &[Sizes; 2], what: Of, of: fn(&Sizes) -> f64, none: &str) -> Result<Measured, Error> {
    if a.cells() == 0 || b.cells() == 0 {
        return Ok(Measured::not(none));
    }
    let values = [of(a), of(b)];
    let mean = |of: &dyn Fn(&Sizes) -> f64| 0.5 * (of(a) + of(b));
    let (held, per_offset) = match what {
        Of::Size => (0.5 * (values[0] + values[1]), 2.0),
        Of::Spread => (mean(&|s| s.quantile_mm(MOST_UNRESOLVED)), 0.0),
    };
    if let Some(reason) = too_small(case, held)? {
        return Ok(Measured::not(reason));
    }
    length(case, values, per_offset)
}

/// Of the diameter of one ball, which rests on the bumps of two sides (mm).
fn ball_noise_mm(case: &Case) -> Result<f64, Error> {
    Ok(2.0_f64.sqrt() * case.actual()?.typical_noise_mm())
}

/// Bound, in cells, of what the lattice itself does to a diameter: half of it is the bias of exact thickness from four cells up, the other
/// half the bumps of a determined surface that a ball rests on.
const CELLS: f64 = 0.2;

/// What the lattice itself does to a diameter, mm.
fn cells_u_mm(case: &Case) -> Result<f64, Error> {
    Ok(CELLS / 3.0_f64.sqrt() * case.actual()?.cell_mm)
}

/// The mean of two lattices, of one ball, with what is known of its uncertainty; a surface offset d changes it by `per_offset` times d.
pub(super) fn length(case: &Case, values: [f64; 2], per_offset: f64) -> Result<Measured, Error> {
    noisy_length(case, values, per_offset, ball_noise_mm(case)?)
}

/// [`length`] with what noise does to it.
pub(super) fn noisy_length(case: &Case, [a, b]: [f64; 2], per_offset: f64, noise_mm: f64) -> Result<Measured, Error> {
    let part = case.actual()?;
    let value = 0.5 * (a + b);
    let terms = vec![
        Term { name: OFFSET, u: per_offset * part.surface_u_mm() },
        Term { name: NOISE, u: noise_mm },
        Term { name: SCALE, u: value * part.scale_u },
        Term { name: "lattice", u: f64::hypot(0.5 * (a - b), cells_u_mm(case)?) },
    ];
    Ok(Measured::Value { value, terms: merge(terms) })
}

/// The smallest diameter that the scan shows unbiased, mm; 0 of a mesh.
fn smallest_mm(case: &Case) -> Result<f64, Error> {
    Ok(case.actual()?.image.as_ref().map_or(0.0, |i| i.smallest_feature_mm()))
}

/// Why a scan cannot carry diameters about this one, mm.
pub(super) fn too_small(case: &Case, diameter_mm: f64) -> Result<Option<String>, Error> {
    let smallest = smallest_mm(case)?;
    Ok((diameter_mm < smallest).then(|| {
        format!(
            "the diameter of {diameter_mm:.3} mm is below {smallest:.3} mm, the smallest this scan shows unbiased: scan with smaller voxels"
        )
    }))
}

fn in_range(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    let Some([low, high]) = scope.within_mm else {
        return Ok(Measured::not("no range is given: state the smallest and the largest diameter"));
    };
    if let Some(reason) = cannot_carry(case, scope)? {
        return Ok(Measured::not(reason));
    }
    let [a, b] = &*case.sizes(Phase::Pores, scope.region)?;
    if a.cells() == 0 || b.cells() == 0 {
        return Ok(Measured::not(NO_PORES));
    }
    if let Some(reason) = too_small(case, high)? {
        return Ok(Measured::not(reason));
    }
    let (part, smallest) = (case.actual()?, smallest_mm(case)?);
    // Of pores that are not resolved it is not known on which side of the lower limit they lie.
    let unresolved = if low < smallest { 0.5 * (a.share_below(smallest) + b.share_below(smallest)) } else { 0.0 };
    let share = |by: f64| 0.5 * (a.share_within([low + by, high + by]) + b.share_within([low + by, high + by]));
    // Diameters that are all larger by d count as limits that are all smaller by d.
    let change = |by: f64| 0.5 * ((share(by) - share(0.0)).abs() + (share(-by) - share(0.0)).abs());
    let terms = vec![
        Term { name: OFFSET, u: change(2.0 * part.surface_u_mm()) },
        Term { name: NOISE, u: change(ball_noise_mm(case)?) },
        Term { name: SCALE, u: change(0.5 * (low + high) * part.scale_u) },
        Term { name: "lattice", u: 0.5 * (a.share_within([low, high]) - b.share_within([low, high])).abs() },
        Term { name: "lattice", u: change(cells_u_mm(case)?) },
        Term { name: "detection", u: unresolved / 3.0_f64.sqrt() },
    ];
    Ok(Measured::Value { value: share(0.0), terms: merge(terms) })
}

fn passes(case: &Case, scope: &Scope, axis: usize) -> Result<Measured, Error> {
    if let Some(reason) = cannot_carry(case, scope)? {
        return Ok(Measured::not(reason));
    }
    let (cell, name) = (case.actual()?.cell_mm, ["x", "y", "z"][axis]);
    let bounds = scope.region.map_or_else(|| case.moved().map(|mesh| mesh.bounds()), |(_, region)| Ok(region.bounds()))?;
    if bounds.max[axis] - bounds.min[axis] < LEAST_CELLS as f64 * cell {
        return Ok(Measured::not(format!(
            "the envelope is {:.3} mm long along {name} and nothing passes through less than {LEAST_CELLS} cells of {cell:.3} mm: name a longer one, or smaller cells",
            bounds.max[axis] - bounds.min[axis]
        )));
    }
    let [a, b] = &*case.throats(scope.region)?;
    let (Some(a), Some(b)) = (a[axis], b[axis]) else {
        return Ok(Measured::not(format!(
            "no open pore of at least {:.3} mm passes through the envelope along {name}: name a region whose ends are open",
            LEAST_THROAT * cell
        )));
    };
    if let Some(reason) = too_small(case, 0.5 * (a + b))? {
        return Ok(Measured::not(reason));
    }
    length(case, [a, b], 2.0)
}

fn accessible(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    let Some(sphere) = scope.sphere_mm else {
        return Ok(Measured::not("no sphere is given: state its diameter"));
    };
    if let Some(reason) = cannot_carry(case, scope)? {
        return Ok(Measured::not(reason));
    }
    if let Some(reason) = too_small(case, sphere)? {
        return Ok(Measured::not(reason));
    }
    let part = case.actual()?;
    let cell = part.cell_mm;
    if sphere < 2.0 * cell {
        return Ok(Measured::not(format!("the sphere of {sphere} mm is smaller than two cells of {cell:.3} mm: scan with smaller voxels")));
    }
    // Pores that are all wider by 2u let a sphere pass that is as much larger.
    let squares = [2.0 * part.surface_u_mm(), ball_noise_mm(case)?, sphere * part.scale_u, cells_u_mm(case)?].map(|u| u * u);
    let by = squares.iter().sum::<f64>().sqrt().min(0.5 * sphere);
    let [a, b] = &*case.accessible(&[sphere, sphere - by, sphere + by], scope.region)?;
    if a[0].is_nan() || b[0].is_nan() {
        return Ok(Measured::not(NO_PORES));
    }
    let terms = vec![
        Term { name: OFFSET, u: 0.25 * ((a[1] - a[2]).abs() + (b[1] - b[2]).abs()) },
        Term { name: "lattice", u: 0.5 * (a[0] - b[0]).abs() },
    ];
    Ok(Measured::Value { value: 0.5 * (a[0] + b[0]), terms: merge(terms) })
}
