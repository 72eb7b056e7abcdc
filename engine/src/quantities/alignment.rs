//! `alignment.`: how the part had to be moved and how sure that is.

use crate::case::Case;
use crate::error::Error;
use crate::linear::eigen;

use super::{Entry, Measured, Scope, Term};

const CLAUSE: &str = "8.3.2.1 a)";
const NO_FIT: &str = "the order aligns nothing, so there is no fit to measure";
const SOURCE: &str = "area-weighted least squares, point to surface";

pub const ENTRIES: &[Entry] = &[
    Entry::new("alignment.rms", "mm", CLAUSE, "配准均方根残差", "area-weighted root mean square distance after alignment", SOURCE, rms),
    Entry::new(
        "alignment.translation",
        "mm",
        CLAUSE,
        "配准平移",
        "distance that the alignment moves the actual part's centre",
        SOURCE,
        translation,
    ),
    Entry::new("alignment.rotation", "°", CLAUSE, "配准转角", "angle of the alignment's rotation", SOURCE, rotation),
    Entry::new(
        "alignment.u_translation",
        "mm",
        CLAUSE,
        "平移标准不确定度",
        "largest standard uncertainty of the translation over all directions",
        SOURCE,
        u_translation,
    ),
    Entry::new(
        "alignment.u_rotation",
        "°",
        CLAUSE,
        "转角标准不确定度",
        "largest standard uncertainty of the rotation over all axes",
        SOURCE,
        u_rotation,
    ),
    Entry::new(
        "alignment.achievable",
        "1",
        CLAUSE,
        "最佳可达公差占用比",
        "largest |patch deviation - middle of the limits given| ÷ half their width, at the pose that makes it smallest; up to 1 some pose fits",
        "minimax over poses near the ordered one, patch-mean extraction operator",
        achievable,
    ),
];

/// An exact number: a property of the computation, not of the part.
fn exact(value: f64) -> Measured {
    Measured::Value { value, terms: vec![] }
}

fn rms(case: &Case, _: &Scope) -> Result<Measured, Error> {
    Ok(case.alignment()?.fit.as_ref().map_or_else(|| Measured::not(NO_FIT), |fit| exact(fit.rms_mm)))
}

/// Largest standard uncertainty over all directions of the rotation (`start` 0) or translation (`start` 3) block.
fn largest(case: &Case, start: usize) -> Result<Option<f64>, Error> {
    let aligned = case.alignment()?;
    Ok(aligned.fit.as_ref().map(|fit| eigen(&fit.covariance.fixed_view::<3, 3>(start, start).into_owned()).0[0].max(0.0).sqrt()))
}

fn translation(case: &Case, _: &Scope) -> Result<Measured, Error> {
    let aligned = case.alignment()?;
    let moved = (aligned.pose.apply(&aligned.actual_centre) - aligned.actual_centre).norm();
    let u = largest(case, 3)?;
    Ok(Measured::Value { value: moved, terms: u.map(|u| Term { name: "pose", u }).into_iter().collect() })
}

fn rotation(case: &Case, _: &Scope) -> Result<Measured, Error> {
    let u = largest(case, 0)?;
    let value = case.alignment()?.pose.angle().to_degrees();
    Ok(Measured::Value { value, terms: u.map(|u| Term { name: "pose", u: u.to_degrees() }).into_iter().collect() })
}

fn u_translation(case: &Case, _: &Scope) -> Result<Measured, Error> {
    Ok(largest(case, 3)?.map_or_else(|| Measured::not(NO_FIT), exact))
}

fn u_rotation(case: &Case, _: &Scope) -> Result<Measured, Error> {
    Ok(largest(case, 0)?.map_or_else(|| Measured::not(NO_FIT), |u| exact(u.to_degrees())))
}

/// Beside the ordered alignment, never instead of it: whether any pose would bring the part inside the limits.
fn achievable(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    let Some(limits_mm) = scope.within_mm else {
        return Ok(Measured::not("the limits that a pose should achieve are not given: state `within` (two limits, mm)"));
    };
    let Some((found, patches)) = case.achievable(scope.region, limits_mm, scope.patch_mm)? else {
        return Ok(Measured::not(format!("no surface patch of {} mm radius with a defined sign lies in the region", scope.patch_mm)));
    };
    if !found.converged {
        return Ok(Measured::not(format!("the best pose was not found in {} programmes: choose a larger patch", found.programmes)));
    }
    let field = case.actual_field()?;
    let half = 0.5 * (limits_mm[1] - limits_mm[0]);
    let mean = |patch: usize, values: &[f64]| patches.members()[patch].iter().map(|&(i, share)| share * values[i as usize]).sum::<f64>();
    // The multipliers are the derivatives of the optimum by the deviations of the patches that bind.
    let optimum = |values: &[f64]| {
        let change = found.binding.iter().map(|&(p, l)| l * (mean(p, values) - mean(p, &field.values_mm)) / half).sum::<f64>();
        Some(found.ratio + change)
    };
    Ok(field.patterns.measure(&field.values_mm, optimum, ""))
}
