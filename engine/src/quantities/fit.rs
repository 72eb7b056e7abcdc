//! `fit.`: gap between the device and its site, as placed; + is gap, - is interference.
//!
//! Measured from the device: the signed distance of its surface to the site's. Without a region only device surface that
//! faces the site counts (normals more than 120 degrees apart).

use crate::case::Case;
use crate::deviation::Selection;
use crate::error::Error;

use super::{Entry, Measured, Scope};

const CLAUSE: &str = "8.3.2.1 b)";
const SOURCE: &str = "surface integral over the device's contact surface";

pub const ENTRIES: &[Entry] = &[
    Entry::new("fit.gap_mean", "mm", CLAUSE, "平均间隙", "area-weighted mean of the signed gap", SOURCE, gap_mean),
    Entry::new("fit.gap_max", "mm", CLAUSE, "最大间隙", "largest gap", SOURCE, gap_max),
    Entry::new(
        "fit.interference_max",
        "mm",
        CLAUSE,
        "最大干涉深度",
        "largest depth of interference, 0 where nothing interferes",
        SOURCE,
        interference_max,
    ),
    Entry::new(
        "fit.contact_fraction",
        "1",
        CLAUSE,
        "接触面积比",
        "area fraction whose gap is within the contact distance of zero",
        SOURCE,
        contact_fraction,
    ),
];

const EMPTY: &str = "no device surface faces the site: check the placement, or name the contact region";

fn over(case: &Case, scope: &Scope, operator: impl Fn(&Selection, &[f64]) -> Option<f64> + Sync) -> Result<Measured, Error> {
    if let Some(reason) = case.pose_cannot_carry(true)? {
        return Ok(Measured::not(reason));
    }
    let fit = case.fit_field()?;
    let mut selection = fit.field.select(scope.region.map(|r| r.1));
    if scope.region.is_none() {
        selection.sites.retain(|&i| fit.facing[i]);
    }
    Ok(fit.field.patterns.measure(&fit.field.values_mm, |values| operator(&selection, values), EMPTY))
}

fn gap_mean(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    let field = &case.fit_field()?.field;
    over(case, scope, |s, v| s.mean(field, v, |x| x))
}

fn gap_max(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    over(case, scope, |s, v| s.extreme_of_all(v, |x| x))
}

fn interference_max(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    over(case, scope, |s, v| s.extreme_of_all(v, |x| (-x).max(0.0)))
}

fn contact_fraction(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    let (field, within) = (&case.fit_field()?.field, scope.contact_mm);
    over(case, scope, |s, v| s.mean(field, v, |x| f64::from(u8::from(x.abs() <= within))))
}
