//! The table of results by clause, the drawn position of each value between its limits, and the uncertainty budgets.

use maud::{Markup, html};
use verimetry_engine::judgement::{Payload, ResultRecord};
use verimetry_engine::order::Limits;
use verimetry_engine::quantities;

use super::number::{self, Digits, at};
use super::words::{self, words};

pub(super) fn table(payload: &Payload) -> Markup {
    let groups = by_clause(&payload.results);
    html! {
        section #results {
            h2 { (words("判定结果", "Results by clause")) }
            @if payload.results.is_empty() { p.quiet { (words("订单未规定要求。", "The order states no requirement.")) } }
            @else {
                table.results {
                    thead { tr {
                        th { (words("要求", "Req.")) }
                        th { (words("量", "Quantity")) }
                        th.num { (words("结果 ± U", "Value ± U")) }
                        th.num { (words("限值", "Limits")) }
                        th { (words("位置", "Position")) }
                        th.num title="conformance probability" { (words("符合概率", "p")) }
                        th { (words("判定", "Decision")) }
                    } }
                    @for (clause, results) in &groups {
                        tbody.clause { tr { th colspan="7" scope="rowgroup" {
                            span.number { (clause) } " "
                            @if let Some(title) = words::clause(clause) { (title) }
                        } } }
                        @for result in results { (row(result)) }
                    }
                }
                p.note {
                    (words("U = 2u，扩展不确定度。数值修约至 U 的两位有效数字；精确值见提示框及判定数据。",
                           "U = 2u, expanded uncertainty. Values are rounded to two digits of U; the exact ones stand in the signed payload."))
                }
            }
        }
    }
}

fn row(result: &ResultRecord) -> Markup {
    html! {
        tbody.result {
            tr {
                td.req { (result.requirement) }
                td.quantity { (quantity(result)) }
                td.num { (measured(result)) }
                td.num { (limits(result)) }
                td.bar { (bar(result)) }
                td.num { @if let Some(p) = result.conformance_probability { (number::with_exact(&number::probability(p), p)) } @else { "–" } }
                td.decision.(words::tone(result.decision)) { (words::symbol(result.decision)) span { (words::status(result.decision)) } }
            }
            @if let Some(reason) = &result.reason { tr.reason { td {} td colspan="6" { (reason) } } }
        }
    }
}

/// The Chinese name of the catalogue where there is one, the name of the quantity, and where it was measured.
fn quantity(result: &ResultRecord) -> Markup {
    let definition = quantities::definition(&result.quantity);
    html! {
        @if let Some(d) = definition { span.name lang="zh-CN" title=(d.definition) { (d.zh) } }
        span.code { (result.quantity) }
        @if let Some(region) = &result.region { span.place { (words("区域", "region")) " " b { (region) } } }
    }
}

fn measured(result: &ResultRecord) -> Markup {
    let digits = result.expanded_uncertainty.and_then(Digits::of_uncertainty);
    let write = |x: f64| digits.map_or_else(|| number::plain(x), |d| d.write(x));
    html! {
        @match result.value {
            None => { "–" }
            Some(value) => {
                span.value { (number::with_exact(&write(value), value)) (number::unit(&result.unit)) }
                @if let Some(expanded) = result.expanded_uncertainty {
                    span.uncertainty { "±\u{202f}" (number::with_exact(&write(expanded), expanded)) }
                }
            }
        }
    }
}

fn limits(result: &ResultRecord) -> Markup {
    let one = |x: f64| number::with_exact(&number::plain(x), x);
    html! {
        @match (result.limits.min, result.limits.max) {
            (Some(min), Some(max)) => { (one(min)) " … " (one(max)) (number::unit(&result.unit)) }
            (None, Some(max)) => { "≤\u{202f}" (one(max)) (number::unit(&result.unit)) }
            (Some(min), None) => { "≥\u{202f}" (one(min)) (number::unit(&result.unit)) }
            (None, None) => { (words("未规定", "not stated")) }
        }
    }
}

const BAR_WIDTH: f64 = 132.0;
const BAR_HEIGHT: f64 = 26.0;

/// The value with its uncertainty against the limits; an arrow where it lies beyond the drawing.
fn bar(result: &ResultRecord) -> Markup {
    let Some(value) = result.value.filter(|v| v.is_finite()) else { return html! {} };
    let Some([low, high]) = window(result.limits, value) else { return html! {} };
    let expanded = result.expanded_uncertainty.unwrap_or(0.0).abs();
    let x = |v: f64| 4.0 + (BAR_WIDTH - 8.0) * ((v - low) / (high - low)).clamp(0.0, 1.0);
    let (from, to) = (result.limits.min.map_or(4.0, x), result.limits.max.map_or(BAR_WIDTH - 4.0, x));
    let tone = words::tone(result.decision);
    let limit = |v: f64| html! { line.limit x1=(at(x(v))) x2=(at(x(v))) y1="4" y2="22" {} };
    html! {
        svg.position viewBox=(format!("0 0 {BAR_WIDTH} {BAR_HEIGHT}")) role="img" {
            line.axis x1="4" x2=(at(BAR_WIDTH - 4.0)) y1="13" y2="13" {}
            rect.within x=(at(from)) y="8" width=(at(to - from)) height="10" {}
            @if let Some(min) = result.limits.min { (limit(min)) }
            @if let Some(max) = result.limits.max { (limit(max)) }
            @if value < low { path.arrow.(tone) d="M12 7 L4 13 L12 19 Z" {} }
            @else if value > high { path.arrow.(tone) d=(format!("M{0} 7 L{1} 13 L{0} 19 Z", at(BAR_WIDTH - 12.0), at(BAR_WIDTH - 4.0))) {} }
            @else {
                line.whisker.(tone) x1=(at(x(value - expanded))) x2=(at(x(value + expanded))) y1="13" y2="13" {}
                circle.dot.(tone) cx=(at(x(value))) cy="13" r="4" {}
            }
        }
    }
}

/// The stretch of numbers a bar shows: the limits with half their width beside, or from 0 to beyond a single limit.
fn window(limits: Limits, value: f64) -> Option<[f64; 2]> {
    let (low, high) = match (limits.min, limits.max) {
        (Some(min), Some(max)) if max > min => (min - 0.5 * (max - min), max + 0.5 * (max - min)),
        (Some(limit), None) | (None, Some(limit)) if limit != 0.0 => {
            let far = if (value < 0.0) == (limit < 0.0) { limit } else { 0.0 };
            (limit.min(0.0) + 0.8 * far.min(0.0), limit.max(0.0) + 0.8 * far.max(0.0))
        }
        (Some(_), None) | (None, Some(_)) if value != 0.0 => (-1.5 * value.abs(), 1.5 * value.abs()),
        _ => return None,
    };
    // A one-sided value on the other side of 0 widens the drawing to itself, but never more than threefold.
    let width = high - low;
    let wide = if limits.min.is_some() && limits.max.is_some() { 0.0 } else { 1.0 };
    let (below, above) = ((low - value).max(0.0) * 1.2, (value - high).max(0.0) * 1.2);
    (width > 0.0 && width.is_finite()).then(|| [low - below.min(wide * width), high + above.min(wide * width)])
}

/// What each uncertainty is made of.
pub(super) fn budgets(payload: &Payload) -> Markup {
    let told: Vec<&ResultRecord> = payload.results.iter().filter(|r| !r.budget.is_empty()).collect();
    html! {
        @if !told.is_empty() {
            section #uncertainty {
                h2 { (words("不确定度分量", "Uncertainty budget")) }
                p.note { (words("标准不确定度 u，单位同该量。", "Standard uncertainties u, in the unit of the quantity.")) }
                div.budgets {
                    @for result in told {
                        div.budget {
                            h3 { b { (result.requirement) } " " span.code { (result.quantity) } }
                            (budget(result))
                        }
                    }
                }
            }
        }
    }
}

fn budget(result: &ResultRecord) -> Markup {
    let largest = result.budget.iter().fold(0.0, |m: f64, c| m.max(c.u.abs()));
    let length = |u: f64| if largest > 0.0 { at(100.0 * u.abs() / largest) } else { "0".into() };
    let digits = Digits::of_uncertainty(largest);
    let write = |u: f64| digits.map_or_else(|| number::plain(u), |d| d.write(u));
    html! {
        table {
            @for c in &result.budget {
                tr {
                    td { (c.name) }
                    td.share { svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" { rect x="0" y="1" width=(length(c.u)) height="6" {} } }
                    td.num { (number::with_exact(&write(c.u), c.u)) (number::unit(&result.unit)) }
                }
            }
            @if let Some(expanded) = result.expanded_uncertainty {
                tr.total { td { (words("扩展", "expanded")) " U" } td {} td.num { (number::with_exact(&write(expanded), expanded)) (number::unit(&result.unit)) } }
            }
        }
    }
}

/// Results grouped under their clauses, clauses in the order of their numbers, results in the order of the order.
fn by_clause(results: &[ResultRecord]) -> Vec<(&str, Vec<&ResultRecord>)> {
    let mut groups: Vec<(&str, Vec<&ResultRecord>)> = Vec::new();
    for result in results {
        match groups.iter_mut().find(|(clause, _)| *clause == result.clause) {
            Some((_, members)) => members.push(result),
            None => groups.push((&result.clause, vec![result])),
        }
    }
    groups.sort_by_cached_key(|(clause, _)| {
        let parts = clause.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty());
        parts.map(|p| (p.parse::<u32>().unwrap_or(u32::MAX), p.to_string())).collect::<Vec<_>>()
    });
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_holds_the_limits_and_a_value_near_them() {
        for (min, max, value) in [(Some(-0.1), Some(0.1), 0.14), (None, Some(0.1), 0.16), (Some(0.6), None, 0.55), (None, Some(0.1), -0.02)]
        {
            let [low, high] = window(Limits { min, max }, value).unwrap();
            for v in [min, max, Some(value)].into_iter().flatten() {
                assert!(low <= v && v <= high, "{v} in {low} to {high}");
            }
        }
        assert_eq!(window(Limits::default(), 1.0), None);
    }
}
