//! `shrinkage.`: 100 (1 - actual / nominal), per cent, from a joint fit of pose, scale and surface offset.

use crate::case::Case;
use crate::error::Error;
use crate::shrinkage::Estimate;
use crate::uncertainty::{CHORD, OFFSET, SCALE, merge};

use super::{Entry, Measured, Scope, Term};

const CLAUSE: &str = "8.3.2.1 c)";
const SOURCE: &str = "joint least squares of pose, scale and offset; covariance of correlated form error by restricted maximum likelihood";

pub const ENTRIES: &[Entry] = &[
    Entry::new("shrinkage.x", "%", CLAUSE, "X 向收缩率", "100 (1 - scale along x of the nominal frame)", SOURCE, |c, s| axis(c, s, 0)),
    Entry::new("shrinkage.y", "%", CLAUSE, "Y 向收缩率", "100 (1 - scale along y of the nominal frame)", SOURCE, |c, s| axis(c, s, 1)),
    Entry::new("shrinkage.z", "%", CLAUSE, "Z 向收缩率", "100 (1 - scale along z of the nominal frame)", SOURCE, |c, s| axis(c, s, 2)),
    Entry::new("shrinkage.isotropic", "%", CLAUSE, "各向同性收缩率", "100 (1 - one scale for all axes)", SOURCE, isotropic),
    Entry::new(
        "shrinkage.offset",
        "mm",
        CLAUSE,
        "表面偏移",
        "uniform displacement of the surface along its outward normal",
        SOURCE,
        offset,
    ),
];

fn axis(case: &Case, scope: &Scope, k: usize) -> Result<Measured, Error> {
    if let Some(reason) = case.pose_cannot_carry(true)? {
        return Ok(Measured::not(reason));
    }
    let fit = case.shrinkage(scope.region)?;
    let per_offset = fit.offset_sensitivity_per_mm.map_or(0.0, |s| s[k]);
    per_cent(case, &fit.per_axis[k], per_offset)
}

fn isotropic(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    let fit = case.shrinkage(scope.region)?;
    per_cent(case, &fit.isotropic, 0.0)
}

/// `per_offset` is the scale's change per mm of surface offset where the fit could not tell the two apart and took the offset as 0.
fn per_cent(case: &Case, scale: &Estimate, per_offset: f64) -> Result<Measured, Error> {
    let part = case.actual()?;
    Ok(match scale {
        Estimate::Measured { value, standard_uncertainty: u } => {
            let terms = vec![
                Term { name: "fit", u: 100.0 * u },
                Term { name: SCALE, u: 100.0 * value * part.scale_u },
                Term { name: OFFSET, u: 100.0 * per_offset.abs() * part.offset_u_mm },
            ];
            Measured::Value { value: 100.0 * (1.0 - value), terms: merge(terms) }
        }
        Estimate::NotMeasured { reason } => Measured::not(reason.clone()),
    })
}

fn offset(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    let fit = case.shrinkage(scope.region)?;
    let part = case.actual()?;
    Ok(match &fit.offset_mm {
        Estimate::Measured { value, standard_uncertainty: u } => {
            // Facets that lie beside the designed surface look like an offset of the part.
            let chord = Term { name: CHORD, u: case.nominal()?.chord_u_mm };
            Measured::Value {
                value: *value,
                terms: merge(vec![Term { name: "fit", u: *u }, Term { name: OFFSET, u: part.offset_u_mm }, chord]),
            }
        }
        Estimate::NotMeasured { reason } => Measured::not(reason.clone()),
    })
}
