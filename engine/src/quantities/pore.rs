//! `pore.`: how large pores are and where a sphere can go.

use crate::case::Case;
use crate::error::Error;
use crate::pores::{Phase, Sizes};
use crate::uncertainty::{NOISE, OFFSET, SCALE, merge};

use super::porosity::cannot_carry;
use super::{Entry, Measured, Scope, Term};

const CLAUSE: &str = "8.3.2.2 a)";
pub(super) const LOCAL: &str = "Hildebrand & Rüegsegger 1997, on the determined surface; by volume";
const PASSAGE: &str = "union-find over distances to the determined surface";

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
        |c, s| pores(c, s, 2.0, Sizes::mean_mm),
    ),
    entry("pore.size_sd", "mm", "孔径标准差", "standard deviation of the local pore diameter over the pore volume", |c, s| {
        pores(c, s, 0.0, Sizes::sd_mm)
    }),
    entry("pore.size_d10", "mm", "孔径 d10", "local diameter that 10 % of the pore volume does not exceed", |c, s| {
        pores(c, s, 2.0, |sizes| sizes.quantile_mm(0.1))
    }),
    entry("pore.size_d50", "mm", "孔径 d50", "local diameter that half of the pore volume does not exceed", |c, s| {
        pores(c, s, 2.0, |sizes| sizes.quantile_mm(0.5))
    }),
    entry("pore.size_d90", "mm", "孔径 d90", "local diameter that 90 % of the pore volume does not exceed", |c, s| {
        pores(c, s, 2.0, |sizes| sizes.quantile_mm(0.9))
    }),
    entry("pore.in_range", "1", "孔径合格体积分数", "share of the pore volume whose local diameter lies within the given limits", in_range),
    throat(
        "pore.throat_x",
        "X 向喉道直径",
        "largest sphere whose centre passes through the pores from the envelope's first to its last tenth along x",
        |c, s| passes(c, s, 0),
    ),
    throat(
        "pore.throat_y",
        "Y 向喉道直径",
        "largest sphere whose centre passes through the pores from the envelope's first to its last tenth along y",
        |c, s| passes(c, s, 1),
    ),
    throat(
        "pore.throat_z",
        "Z 向喉道直径",
        "largest sphere whose centre passes through the pores from the envelope's first to its last tenth along z",
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

fn pores(case: &Case, scope: &Scope, per_offset: f64, of: fn(&Sizes) -> f64) -> Result<Measured, Error> {
    if let Some(reason) = cannot_carry(case, scope)? {
        return Ok(Measured::not(reason));
    }
    let sizes = case.sizes(Phase::Pores, scope.region)?;
    diameter(case, &sizes, per_offset, of, NO_PORES)
}

/// A diameter from the distributions on two lattices; a surface offset d changes it by `per_offset` times d.
pub(super) fn diameter(case: &Case, [a, b]: &[Sizes; 2], per_offset: f64, of: fn(&Sizes) -> f64, none: &str) -> Result<Measured, Error> {
    if a.cells() == 0 || b.cells() == 0 {
        return Ok(Measured::not(none));
    }
    let typical = 0.5 * (a.quantile_mm(0.5) + b.quantile_mm(0.5));
    if let Some(reason) = too_small(case, typical)? {
        return Ok(Measured::not(reason));
    }
    length(case, [of(a), of(b)], per_offset)
}

/// Bound, in cells, of what the lattice itself does to a diameter: half of it is the bias of exact thickness from four cells up, the other
/// half the bumps of a determined surface that a ball rests on.
const CELLS: f64 = 0.2;

/// The mean of two lattices with what is known of its uncertainty. A ball rests on the bumps of two sides.
pub(super) fn length(case: &Case, [a, b]: [f64; 2], per_offset: f64) -> Result<Measured, Error> {
    let part = case.actual()?;
    let value = 0.5 * (a + b);
    let terms = vec![
        Term { name: OFFSET, u: per_offset * part.surface_u_mm() },
        Term { name: NOISE, u: 2.0_f64.sqrt() * part.typical_noise_mm() },
        Term { name: SCALE, u: value * part.scale_u },
        Term { name: "lattice", u: (0.25 * (a - b) * (a - b) + CELLS * CELLS / 3.0 * part.cell_mm * part.cell_mm).sqrt() },
    ];
    Ok(Measured::Value { value, terms: merge(terms) })
}

/// Why a scan cannot carry diameters about this one, mm.
pub(super) fn too_small(case: &Case, diameter_mm: f64) -> Result<Option<String>, Error> {
    let image = case.actual()?.image.as_ref();
    let smallest = image.map_or(0.0, |i| i.smallest_feature_mm());
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
    if let Some(reason) = too_small(case, 0.5 * (a.quantile_mm(0.5) + b.quantile_mm(0.5)))? {
        return Ok(Measured::not(reason));
    }
    let part = case.actual()?;
    let share = |by: f64| 0.5 * (a.share_within([low + by, high + by]) + b.share_within([low + by, high + by]));
    // Diameters that are all larger by d count as limits that are all smaller by d.
    let change = |by: f64| 0.5 * ((share(by) - share(0.0)).abs() + (share(-by) - share(0.0)).abs());
    let terms = vec![
        Term { name: OFFSET, u: change(2.0 * part.surface_u_mm()) },
        Term { name: NOISE, u: change(2.0_f64.sqrt() * part.typical_noise_mm()) },
        Term { name: SCALE, u: change(0.5 * (low + high) * part.scale_u) },
        Term { name: "lattice", u: 0.5 * (a.share_within([low, high]) - b.share_within([low, high])).abs() },
    ];
    Ok(Measured::Value { value: share(0.0), terms: merge(terms) })
}

fn passes(case: &Case, scope: &Scope, axis: usize) -> Result<Measured, Error> {
    if let Some(reason) = cannot_carry(case, scope)? {
        return Ok(Measured::not(reason));
    }
    let [a, b] = &*case.throats(scope.region)?;
    let (Some(a), Some(b)) = (a[axis], b[axis]) else {
        let cell = case.actual()?.cell_mm;
        return Ok(Measured::not(format!(
            "no pore of at least {cell:.3} mm passes through the envelope along {}: name a region whose ends are open",
            ["x", "y", "z"][axis]
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
    let squares = [2.0 * part.surface_u_mm(), 2.0_f64.sqrt() * part.typical_noise_mm(), sphere * part.scale_u].map(|u| u * u);
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
