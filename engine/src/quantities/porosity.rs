//! `porosity.`: shares of an envelope that are not solid.

use crate::case::Case;
use crate::error::Error;
use crate::porosity::{Fractions, Porosity};
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
];

/// Three cells across.
const SMALLEST_VOID_CELLS: f64 = 27.0;

/// A surface offset d changes a fraction by the surface per envelope volume times d.
fn fraction(case: &Case, scope: &Scope, of: fn(&Fractions) -> f64, surface: fn(&Porosity) -> f64) -> Result<Measured, Error> {
    if let Some(why) = case.actual()?.not_closed.as_ref() {
        return Ok(Measured::not(format!("the actual surface encloses no volume: {why}")));
    }
    if let Some(reason) = case.pose_cannot_carry(scope.region.is_some())? {
        return Ok(Measured::not(reason));
    }
    let porosity = case.porosity(scope.region)?;
    let part = case.actual()?;
    // A void of less than this many cells may be missed; one of them stands for what is not seen, between nothing and all of it.
    let unseen = SMALLEST_VOID_CELLS * part.cell_mm * part.cell_mm * part.cell_mm / porosity.fractions.envelope_mm3;
    let terms = vec![
        Term { name: "detection", u: unseen / 3.0_f64.sqrt() },
        Term { name: OFFSET, u: surface(&porosity) * (part.offset_u_mm * part.offset_u_mm + part.chord_u_mm * part.chord_u_mm).sqrt() },
        Term { name: "lattice", u: of(&porosity.numeric).abs() },
    ];
    Ok(Measured::Value { value: of(&porosity.fractions), terms: merge(terms) })
}

fn total(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    fraction(case, scope, |f| f.total, |p| p.open_surface_per_mm + p.closed_surface_per_mm)
}

fn open(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    fraction(case, scope, |f| f.open, |p| p.open_surface_per_mm)
}

fn closed(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    fraction(case, scope, |f| f.closed, |p| p.closed_surface_per_mm)
}
