//! `deviation.`: signed distance of the actual surface to the nominal, + is excess material.
//!
//! Area-weighted over the actual surface, so that the tessellation does not matter; `missing_*`, `coverage` and half of
//! `hausdorff` look from the nominal to the actual.

use crate::case::Case;
use crate::deviation::{Field, Patches, Selection};
use crate::distance::hausdorff::Bracket;
use crate::error::Error;
use crate::uncertainty;

use super::{Entry, Measured, Scope, Term};

/// Radius of the patch of the extraction operator unless the requirement states another, mm.
pub const DEFAULT_PATCH_MM: f64 = 0.5;

const CLAUSE: &str = "8.3.2.1 a)";
const EMPTY: &str = "the region holds no surface of the part with a defined sign: check the region's place in the nominal frame";
const PERCENTILE: &str = "area-weighted percentile";

pub const ENTRIES: &[Entry] = &[
    row("deviation.min", "最小偏差（原始）", "smallest deviation over the vertices of the actual surface, unfiltered", "raw extreme", min),
    row("deviation.max", "最大偏差（原始）", "largest deviation over the vertices of the actual surface, unfiltered", "raw extreme", max),
    row(
        "deviation.abs_max",
        "最大绝对偏差（原始）",
        "largest magnitude of the deviation over the vertices, unfiltered",
        "raw extreme",
        abs_max,
    ),
    row(
        "deviation.peak_min",
        "最小偏差（提取后）",
        "smallest mean deviation over a surface patch of the stated radius",
        "patch-mean extraction operator",
        peak_min,
    ),
    row(
        "deviation.peak_max",
        "最大偏差（提取后）",
        "largest mean deviation over a surface patch of the stated radius",
        "patch-mean extraction operator",
        peak_max,
    ),
    row("deviation.mean", "平均偏差", "area-weighted mean of the signed deviation", "surface integral", mean),
    row("deviation.mean_abs", "平均绝对偏差", "area-weighted mean of the magnitude of the deviation", "surface integral", mean_abs),
    row("deviation.rms", "均方根偏差", "area-weighted root mean square of the deviation", "surface integral", rms),
    row("deviation.sd", "偏差标准差", "area-weighted standard deviation of the signed deviation", "surface integral", sd),
    row("deviation.abs_p50", "绝对偏差中位数", "area-weighted median of the magnitude of the deviation", PERCENTILE, abs_p50),
    row("deviation.abs_p95", "绝对偏差 95 百分位", "95th area-weighted percentile of the magnitude of the deviation", PERCENTILE, abs_p95),
    row("deviation.abs_p99", "绝对偏差 99 百分位", "99th area-weighted percentile of the magnitude of the deviation", PERCENTILE, abs_p99),
    Entry::new(
        "deviation.in_tolerance",
        "1",
        CLAUSE,
        "公差内面积比",
        "area fraction whose deviation lies within the limits given",
        "surface integral",
        in_tolerance,
    ),
    row(
        "deviation.missing_p95",
        "缺失 95 百分位",
        "95th area-weighted percentile of the distance from the nominal to the actual surface",
        PERCENTILE,
        missing_p95,
    ),
    row(
        "deviation.missing_max",
        "最大缺失",
        "largest distance from the nominal to the actual surface",
        "directed Hausdorff distance, between certified bounds",
        missing_max,
    ),
    row(
        "deviation.hausdorff",
        "Hausdorff 距离",
        "larger of the two directed distances between the surfaces",
        "symmetric Hausdorff distance, between certified bounds",
        hausdorff,
    ),
    Entry::new(
        "deviation.coverage",
        "1",
        CLAUSE,
        "覆盖率",
        "area fraction of the nominal that has actual surface of like orientation along its normal, within 2 % of the nominal's diagonal; a point of a cloud is surface up to two spacings aside",
        "surface integral",
        coverage,
    ),
];

const fn row(
    name: &'static str,
    zh: &'static str,
    definition: &'static str,
    source: &'static str,
    measure: fn(&Case, &Scope) -> Result<Measured, Error>,
) -> Entry {
    Entry::new(name, "mm", CLAUSE, zh, definition, source, measure)
}

/// Runs an operator over the selected sites of a field, unless the pose or the signs forbid it.
fn over(case: &Case, scope: &Scope, field: &Field, operator: impl Fn(&Selection, &[f64]) -> Option<f64> + Sync) -> Result<Measured, Error> {
    if let Some(reason) = case.pose_cannot_carry(scope.region.is_some())? {
        return Ok(Measured::not(reason));
    }
    let selection = field.select(scope.region.map(|r| r.1));
    if selection.undefined_fraction > MOST_UNDEFINED {
        let percent = 100.0 * selection.undefined_fraction;
        return Ok(Measured::not(format!(
            "the sign of the distance is undefined on {percent:.1} % of the area because a surface is open or contradictory: close the mesh"
        )));
    }
    Ok(field.patterns.measure(&field.values_mm, |values| operator(&selection, values), EMPTY))
}

/// More area than this without a sign and a signed quantity is not measured.
const MOST_UNDEFINED: f64 = 0.01;

fn on_actual(case: &Case, scope: &Scope, operator: impl Fn(&Field, &Selection, &[f64]) -> Option<f64> + Sync) -> Result<Measured, Error> {
    let field = case.actual_field()?;
    over(case, scope, field, |selection, values| operator(field, selection, values))
}

fn on_nominal(case: &Case, scope: &Scope, operator: impl Fn(&Field, &Selection, &[f64]) -> Option<f64> + Sync) -> Result<Measured, Error> {
    let field = &case.nominal_field()?.field;
    over(case, scope, field, |selection, values| operator(field, selection, values))
}

fn min(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    on_actual(case, scope, |f, s, v| s.extreme(f, v, |x| -x).map(|x| -x))
}

fn max(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    on_actual(case, scope, |f, s, v| s.extreme(f, v, |x| x))
}

fn abs_max(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    on_actual(case, scope, |f, s, v| s.extreme(f, v, f64::abs))
}

fn peak(case: &Case, scope: &Scope, sign: f64) -> Result<Measured, Error> {
    let field = case.actual_field()?;
    let patches = Patches::new(field, &field.select(scope.region.map(|r| r.1)), scope.patch_mm)?;
    over(case, scope, field, |_, values| patches.peak(values, sign).map(|x| sign * x))
}

fn peak_min(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    peak(case, scope, -1.0)
}

fn peak_max(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    peak(case, scope, 1.0)
}

fn mean(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    on_actual(case, scope, |f, s, v| s.mean(f, v, |x| x))
}

fn mean_abs(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    on_actual(case, scope, |f, s, v| s.mean(f, v, f64::abs))
}

fn rms(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    on_actual(case, scope, |f, s, v| s.mean(f, v, |x| x * x).map(f64::sqrt))
}

fn sd(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    on_actual(case, scope, |f, s, v| {
        let mean = s.mean(f, v, |x| x)?;
        s.mean(f, v, |x| (x - mean) * (x - mean)).map(f64::sqrt)
    })
}

fn abs_quantile(case: &Case, scope: &Scope, p: f64) -> Result<Measured, Error> {
    on_actual(case, scope, |f, s, v| s.quantile(f, v, p, f64::abs))
}

fn abs_p50(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    abs_quantile(case, scope, 0.50)
}

fn abs_p95(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    abs_quantile(case, scope, 0.95)
}

fn abs_p99(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    abs_quantile(case, scope, 0.99)
}

fn in_tolerance(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    let Some([lower, upper]) = scope.within_mm else {
        return Ok(Measured::not(
            "no limits are given within which area counts: state them (`within` in the order, --tolerance on the command line)",
        ));
    };
    on_actual(case, scope, |f, s, v| s.mean(f, v, |x| f64::from(u8::from(lower <= x && x <= upper))))
}

fn missing_p95(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    on_nominal(case, scope, |f, s, v| s.quantile(f, v, 0.95, f64::abs))
}

fn missing_max(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    let sampled = on_nominal(case, scope, |_, s, v| s.extreme_of_all(v, f64::abs))?;
    if case.actual()?.spacing_mm.is_some() {
        return Ok(sampled); // between the points of a cloud there is nothing to bound
    }
    bounded(sampled, || case.largest_missing(scope.region))
}

/// The larger side decides, with its own uncertainty.
fn hausdorff(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    let sampled = on_actual(case, scope, |_, s, v| s.extreme_of_all(v, f64::abs))?;
    let forth = bounded(sampled, || case.largest_excess(scope.region))?;
    let back = missing_max(case, scope)?;
    Ok(match (forth.value(), back.value()) {
        (Some(a), Some(b)) if a >= b => forth,
        (Some(_), Some(_)) | (_, None) => back,
        (None, _) => forth,
    })
}

/// The largest distance itself in place of the largest at the sites, which tell how it moves. It lies anywhere between its bounds: u of the
/// lower one is their distance over √3 (JCGM 100:2008 4.3.7).
fn bounded(sampled: Measured, bracket: impl FnOnce() -> Result<Option<Bracket>, Error>) -> Result<Measured, Error> {
    let Measured::Value { value, mut terms } = sampled else { return Ok(sampled) };
    let Some(bracket) = bracket()? else { return Ok(Measured::Value { value, terms }) };
    let value = value.max(bracket.lower_mm);
    let gap = (bracket.upper_mm - value).max(0.0);
    terms.push(Term { name: uncertainty::BOUNDS, u: gap / 3.0_f64.sqrt() });
    Ok(Measured::Value { value, terms: uncertainty::merge(terms) })
}

fn coverage(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    let nominal = case.nominal_field()?;
    over(case, scope, &nominal.field, |selection, values| {
        let reach = nominal.reach_mm;
        let covered = |i: usize| nominal.facing[i] && values[i].abs() <= reach;
        let (mut on, mut all) = (0.0, 0.0);
        for &i in &selection.sites {
            all += nominal.field.weights_mm2[i];
            on += if covered(i) { nominal.field.weights_mm2[i] } else { 0.0 };
        }
        (all > 0.0).then(|| on / all)
    })
}
