//! From a value, its uncertainty and limits to a decision (ISO 14253-1:2017; JCGM 106:2012).
//!
//! Measurand: the probability that the true value lies within the limits, for a value `y` with standard uncertainty `u`,
//! normal (JCGM 106 eq. 13): `p = Φ((max − y)/u) − Φ((min − y)/u)`; a missing limit is at infinity.
//! Decision: conforms when p ≥ 0.95, does not when p ≤ 0.05, undecided between. With u = 0, p is 1 within the closed limits
//! and 0 outside.
//!
//! Capability gate (clause 8.3.2.1 a): before anything is decided, a requirement that is key, or that is tight (a length with
//! a limit other than 0 of at most 0.1 mm, or with limits at most 0.2 mm apart), must have an uncertainty that can carry it:
//! U = 2u at most 0.1 mm for a length, and U at most the room of the limits, whatever the unit. The room is half the distance
//! between two limits; for one limit its distance from 0, the ideal value of a deviation; one limit at 0 has no room of its own.
//! `U ≤ room` is what makes acceptance possible at all (between two limits p reaches 0.95 for u ≤ 0.51 room, below one for
//! u ≤ 0.61 room). What fails the gate is undecided even far outside its limits: an instrument that cannot carry a
//! requirement shows neither that it holds nor that it fails. The gate also stands before simple acceptance.
//!
//! Known bias: a value that cannot be negative is not truncated at 0, so p is a little low near it.

use crate::judgement::Decision;
use crate::order::{Limits, Rule};

/// Accepts from here up; one minus it rejects.
pub const CONFORMANCE: f64 = 0.95;
/// Largest U of a length for which a key or tight requirement is decided, mm (clause 8.3.2.1 a).
pub const KEY_RESOLUTION_MM: f64 = 0.1;

/// What is to be decided. `value`, `u` (standard uncertainty) and `limits` are in `unit`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdictable<'a> {
    pub value: f64,
    pub u: f64,
    pub limits: Limits,
    pub unit: &'a str,
    /// The order calls the requirement key.
    pub key: bool,
    pub rule: Rule,
}

/// A decision; `reason` says why there is none, or what would bring one.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// `None` only where nothing was measured.
    pub probability: Option<f64>,
    pub decision: Decision,
    pub reason: Option<String>,
}

/// Decides one requirement. A value or uncertainty that is no number is not measured.
pub fn decide(v: &Verdictable) -> Decided {
    if !(v.value.is_finite() && v.u.is_finite() && v.u >= 0.0) {
        let reason = Some("the value or its uncertainty is not a finite number".into());
        return Decided { probability: None, decision: Decision::NotMeasured, reason };
    }
    let p = conformance_probability(v.value, v.u, &v.limits);
    let (decision, reason) = match (uncertainty_allowed(v), v.rule) {
        (Some(allowed), _) if 2.0 * v.u > allowed => (Decision::Undecided, Some(incapable(v, allowed))),
        (_, Rule::SimpleAcceptance) if within(v.value, &v.limits) => (Decision::Conforms, None),
        (_, Rule::SimpleAcceptance) => (Decision::DoesNotConform, None),
        (_, Rule::ConformanceProbability95) if p >= CONFORMANCE => (Decision::Conforms, None),
        (_, Rule::ConformanceProbability95) if p <= 1.0 - CONFORMANCE => (Decision::DoesNotConform, None),
        (_, Rule::ConformanceProbability95) => (Decision::Undecided, Some(undecided(v, p))),
    };
    Decided { probability: Some(p), decision, reason }
}

/// The whole order: conforms only if every requirement does, and there is one; one that does not makes the whole not conform.
pub fn whole(decisions: impl IntoIterator<Item = Decision>) -> Decision {
    let mut all = None;
    for d in decisions {
        match d {
            Decision::DoesNotConform => return d,
            Decision::Conforms => all = all.or(Some(d)),
            Decision::Undecided | Decision::NotMeasured => all = Some(Decision::Undecided),
        }
    }
    all.unwrap_or(Decision::Undecided)
}

/// p as the module defines it, in [0, 1].
pub fn conformance_probability(value: f64, u: f64, limits: &Limits) -> f64 {
    if u == 0.0 {
        return if within(value, limits) { 1.0 } else { 0.0 };
    }
    // Tails as erfc, on the side where they are small, so that neither p near 0 nor p near 1 is a difference of large numbers.
    let tail = |distance: f64| 0.5 * libm::erfc(distance / (u * std::f64::consts::SQRT_2));
    let below = limits.min.map_or(0.0, |min| tail(value - min));
    let above = limits.max.map_or(0.0, |max| tail(max - value));
    let p = match (limits.min, limits.max) {
        (Some(min), _) if value < min => tail(min - value) - limits.max.map_or(0.0, |max| tail(max - value)),
        (_, Some(max)) if value > max => tail(value - max) - limits.min.map_or(0.0, |min| tail(value - min)),
        _ => 1.0 - below - above,
    };
    p.clamp(0.0, 1.0)
}

fn within(value: f64, limits: &Limits) -> bool {
    limits.min.is_none_or(|min| value >= min) && limits.max.is_none_or(|max| value <= max)
}

/// The largest U that passes the gate; `None` where the requirement needs not pass it.
pub fn uncertainty_allowed(v: &Verdictable) -> Option<f64> {
    let length = v.unit == "mm";
    let room = room(&v.limits);
    let tight = |x: f64| x != 0.0 && x.abs() <= KEY_RESOLUTION_MM;
    let gated = v.key || (length && ([v.limits.min, v.limits.max].into_iter().flatten().any(tight) || room.is_some_and(tight)));
    if !gated {
        return None;
    }
    let absolute = length.then_some(KEY_RESOLUTION_MM);
    absolute.into_iter().chain(room).reduce(f64::min)
}

fn room(limits: &Limits) -> Option<f64> {
    match (limits.min, limits.max) {
        (Some(min), Some(max)) => Some(0.5 * (max - min)),
        (Some(limit), None) | (None, Some(limit)) => (limit != 0.0).then_some(limit.abs()),
        (None, None) => None,
    }
}

fn incapable(v: &Verdictable, allowed: f64) -> String {
    format!(
        "the uncertainty cannot carry the limit: U = {} {unit}, at most {} {unit} is needed",
        rounded_up(2.0 * v.u),
        rounded_down(allowed),
        unit = v.unit
    )
}

fn undecided(v: &Verdictable, p: f64) -> String {
    let found = format!("the conformance probability {} lies between 0.05 and 0.95", rounded_down(p));
    match deciding_uncertainty(v) {
        Some(u) => format!("{found}; U of at most {} {} would decide this value", rounded_down(2.0 * u), v.unit),
        None => format!("{found}; the value lies on its limit, no uncertainty above 0 would decide it"),
    }
}

/// The largest standard uncertainty at which this value would be decided.
fn deciding_uncertainty(v: &Verdictable) -> Option<f64> {
    const ONE_SIDED: f64 = 1.6448536269514722; // Φ⁻¹(0.95)
    let distances = [v.limits.min.map(|min| (v.value - min).abs()), v.limits.max.map(|max| (max - v.value).abs())];
    let nearest = distances.into_iter().flatten().reduce(f64::min)?;
    if nearest == 0.0 {
        return None;
    }
    // One limit decides at exactly this u. Outside, a second limit only makes p smaller; inside, it makes p smaller too,
    // and the u that still accepts lies below: p falls with u, so halving the interval finds it.
    let mut above = nearest / ONE_SIDED;
    if !within(v.value, &v.limits) || conformance_probability(v.value, above, &v.limits) >= CONFORMANCE {
        return Some(above);
    }
    let mut below = 0.0;
    for _ in 0..60 {
        let middle = 0.5 * (below + above);
        if conformance_probability(v.value, middle, &v.limits) >= CONFORMANCE {
            below = middle;
        } else {
            above = middle;
        }
    }
    Some(below)
}

/// Three significant digits, toward zero: a bound that is printed must not be wider than the one that is held.
fn rounded_down(x: f64) -> f64 {
    rounded(x, f64::floor)
}

fn rounded_up(x: f64) -> f64 {
    rounded(x, f64::ceil)
}

fn rounded(x: f64, to: impl Fn(f64) -> f64) -> f64 {
    let nearest: f64 = format!("{x:.2e}").parse().unwrap_or(x); // a float's own text always parses
    // A number of three digits stays itself; dividing by a power of ten would move it.
    if nearest == x || x == 0.0 || !x.is_finite() {
        return x;
    }
    let exponent = libm::floor(libm::log10(x.abs())) - 2.0;
    let unit = libm::pow(10.0, exponent);
    let cut = to(x / unit) * unit;
    format!("{cut:.2e}").parse().unwrap_or(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_bounds_never_widen() {
        for x in [0.1, 0.0999999, 0.12345, 7.0, 1234.5, 1e-9, 0.049999999999999996, 0.3] {
            let (down, up) = (rounded_down(x), rounded_up(x));
            assert!(down <= x * (1.0 + 1e-12) && x * (1.0 - 1e-12) <= up, "{down} {x} {up}");
            assert!((up - down) <= 0.0101 * x, "{down} {up}");
        }
        assert_eq!(rounded_down(0.1), 0.1);
        assert_eq!(rounded_up(0.123456), 0.124);
        assert_eq!(rounded_down(0.123456), 0.123);
    }
}
