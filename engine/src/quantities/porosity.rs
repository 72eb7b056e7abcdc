//! `porosity.`: shares of an envelope that are not solid.

use crate::case::{Case, Part};
use crate::error::Error;
use crate::porosity::{Fractions, Porosity, UnresolvedShares};
use crate::uncertainty::{OFFSET, merge};

use super::{Entry, Measured, Scope, Term};

const CLAUSE: &str = "8.3.2.2 a)";
const SOURCE: &str = "sub-voxel surface; pores by 6-connectivity";

pub const ENTRIES: &[Entry] = &[
    Entry::new("porosity.total", "1", CLAUSE, "总孔隙率", "1 - solid volume / envelope volume", SOURCE, total),
    Entry::new(
        "porosity.open",
        "1",
        CLAUSE,
        "开孔孔隙率",
        "volume of pores connected with the part's outside / envelope volume",
        SOURCE,
        open,
    ),
    Entry::new(
        "porosity.closed",
        "1",
        CLAUSE,
        "闭孔孔隙率",
        "volume of pores not connected with the part's outside / envelope volume",
        SOURCE,
        closed,
    ),
    Entry::new(
        "porosity.interconnectivity",
        "1",
        "8.3.2.3 a)",
        "孔隙连通率",
        "volume of pores connected with the part's outside / volume of all pores",
        SOURCE,
        interconnectivity,
    ),
];

/// Term of the grey that is neither air nor material.
const UNRESOLVED: &str = "unresolved";

/// Smallest void that counts, in cells: three across.
pub const SMALLEST_VOID_CELLS: f64 = 27.0;

impl Part {
    /// Volume of the smallest void that counts (mm³).
    pub fn least_void_mm3(&self) -> f64 {
        SMALLEST_VOID_CELLS * self.cell_mm * self.cell_mm * self.cell_mm
    }
}

/// Why nothing can be said of pores and walls: the surface is open, or the pose is not known well enough for the region.
pub(super) fn cannot_carry(case: &Case, scope: &Scope) -> Result<Option<String>, Error> {
    if let Some(why) = case.actual()?.not_closed.as_ref() {
        return Ok(Some(format!("the actual surface encloses no volume: {why}")));
    }
    case.pose_cannot_carry(scope.region.is_some())
}

/// A void of less than this many cells may be missed: its share of the envelope.
fn unseen(case: &Case, porosity: &Porosity) -> Result<f64, Error> {
    Ok(case.actual()?.least_void_mm3() / porosity.fractions.envelope_mm3)
}

/// Of what is neither air nor material: it may all be pores or all be solid (bounds of unknown distribution, JCGM 100:2008 4.3.7).
fn unresolved_u(porosity: &Porosity, as_pores: fn(&UnresolvedShares) -> f64) -> f64 {
    porosity.unresolved.map_or(0.0, |shares| shares.most().solid.max(as_pores(&shares.most())) / 3.0_f64.sqrt())
}

/// A surface offset d changes a fraction by the surface per envelope volume times d.
fn fraction(
    case: &Case,
    scope: &Scope,
    of: fn(&Fractions) -> f64,
    surface: fn(&Porosity) -> f64,
    as_pores: fn(&UnresolvedShares) -> f64,
) -> Result<Measured, Error> {
    if let Some(reason) = cannot_carry(case, scope)? {
        return Ok(Measured::not(reason));
    }
    let porosity = case.porosity(scope.region)?;
    let part = case.actual()?;
    // One void too small to be seen stands for what is not seen, between nothing and all of it.
    let unseen = unseen(case, &porosity)?;
    let terms = vec![
        Term { name: "detection", u: unseen / 3.0_f64.sqrt() },
        Term { name: OFFSET, u: surface(&porosity) * part.surface_u_mm() },
        Term { name: UNRESOLVED, u: unresolved_u(&porosity, as_pores) },
        Term { name: "lattice", u: of(&porosity.numeric).abs() },
    ];
    Ok(Measured::Value { value: of(&porosity.fractions), terms: merge(terms) })
}

fn total(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    fraction(case, scope, |f| f.total, |p| p.open_surface_per_mm + p.closed_surface_per_mm, |u| u.open + u.closed)
}

fn open(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    fraction(case, scope, |f| f.open, |p| p.open_surface_per_mm, |u| u.open)
}

fn closed(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    fraction(case, scope, |f| f.closed, |p| p.closed_surface_per_mm, |u| u.closed)
}

fn interconnectivity(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    if let Some(reason) = cannot_carry(case, scope)? {
        return Ok(Measured::not(reason));
    }
    let porosity = case.porosity(scope.region)?;
    let Fractions { total, open, .. } = porosity.fractions;
    let unseen = unseen(case, &porosity)?;
    if total <= unseen {
        return Ok(Measured::not("the envelope holds no pores: name a region or an envelope that does"));
    }
    let value = open / total;
    let (of_open, of_closed) = (porosity.open_surface_per_mm, porosity.closed_surface_per_mm);
    let terms = vec![
        Term { name: "detection", u: value * unseen / total / 3.0_f64.sqrt() },
        Term { name: OFFSET, u: (of_open - value * (of_open + of_closed)).abs() / total * case.actual()?.surface_u_mm() },
        Term { name: UNRESOLVED, u: unresolved_ratio_u(&porosity) },
        Term { name: "lattice", u: (porosity.numeric.open - value * porosity.numeric.total).abs() / total },
    ];
    Ok(Measured::Value { value, terms: merge(terms) })
}

/// The same of open pores as a share of all: the solid in question may be open, the open solid, and the closed solid.
fn unresolved_ratio_u(porosity: &Porosity) -> f64 {
    let (Some(unresolved), Fractions { total: whole, open, .. }) = (porosity.unresolved, porosity.fractions) else { return 0.0 };
    let moved = |open_by: f64, closed_by: f64| {
        let total = whole + open_by + closed_by;
        if total > 0.0 { ((open + open_by) / total - open / whole).abs() } else { 1.0 }
    };
    let UnresolvedShares { solid, open: grey_open, closed, .. } = unresolved.most();
    [moved(solid, 0.0), moved(0.0, solid), moved(-grey_open, 0.0), moved(0.0, -closed)].into_iter().fold(0.0, f64::max) / 3.0_f64.sqrt()
}
