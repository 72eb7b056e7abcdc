//! `body.`: volume and area of the whole actual part.

use crate::case::{Case, Part};
use crate::error::Error;
use crate::uncertainty::{CHORD, OFFSET, SCALE, merge};

use super::{Entry, Measured, Scope, Term};

pub const ENTRIES: &[Entry] = &[
    Entry::new(
        "body.volume",
        "mm³",
        "8.3.2.1 a)",
        "体积",
        "volume enclosed by the actual surface",
        "divergence theorem over the facets; of a volume's surface with what they cut off its curvature",
        volume,
    ),
    Entry::new("body.area", "mm²", "8.3.2.1 a)", "表面积", "area of the actual surface", "sum over the facets", area),
];

const WHOLE_ONLY: &str = "volume and area are of the whole part: state the requirement without a region";

fn volume(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    if scope.region.is_some() {
        return Ok(Measured::not(WHOLE_ONLY));
    }
    let part = case.actual()?;
    if let Some(why) = part.not_closed.as_ref() {
        return Ok(Measured::not(format!("the actual surface encloses no volume: {why}")));
    }
    let (value, surface) = (part.mesh.volume_mm3() + part.facet_loss_mm3, part.mesh.area_mm2());
    Ok(Measured::Value { value, terms: terms(part, surface, 3.0 * value.abs(), surface) })
}

fn area(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    if scope.region.is_some() {
        return Ok(Measured::not(WHOLE_ONLY));
    }
    let part = case.actual()?;
    let value = part.mesh.area_mm2();
    // An offset d changes the area by 2 M d, M the integral of mean curvature; facets lose twice what the volume loses of it.
    let curvature = part.mean_curvature_integral_mm();
    Ok(Measured::Value { value, terms: terms(part, 2.0 * curvature, 2.0 * value, 2.0 * curvature) })
}

fn terms(part: &Part, per_offset: f64, per_scale: f64, per_chord: f64) -> Vec<Term> {
    merge(vec![
        Term { name: OFFSET, u: per_offset.abs() * part.offset_u_mm },
        Term { name: SCALE, u: per_scale * part.scale_u },
        Term { name: CHORD, u: per_chord.abs() * part.chord_u_mm },
    ])
}
