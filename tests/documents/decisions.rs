use verimetry_engine::decide::{Decided, Verdictable, conformance_probability, decide, uncertainty_allowed, whole};
use verimetry_engine::judgement::Decision;
use verimetry_engine::order::Limits;
use verimetry_engine::order::Rule;

const TENTH: Limits = Limits { min: Some(-0.1), max: Some(0.1) };

fn at_most(max: f64) -> Limits {
    Limits { min: None, max: Some(max) }
}

fn plain(value: f64, u: f64, limits: Limits) -> Verdictable<'static> {
    Verdictable { value, u, limits, unit: "1", key: false, rule: Rule::ConformanceProbability95 }
}

fn decision(v: Verdictable) -> Decision {
    decide(&v).decision
}

#[test]
fn the_probability_is_that_of_a_normal_distribution() {
    // Φ(1) - Φ(-1), Φ(1.5), Φ(-3), Φ(-2) - Φ(-4), tables of the normal distribution to ten digits.
    let cases = [
        (0.0, 0.1, TENTH, 0.6826894921370859),
        (0.05, 0.1, at_most(0.2), 0.9331927987311419),
        (0.4, 0.1, at_most(0.1), 0.0013498980316300933),
        (0.3, 0.1, TENTH, 0.022750131948179195 - 3.167124183311986e-5),
    ];
    for (value, u, limits, p) in cases {
        let mirrored = Limits { min: limits.max.map(|x| -x), max: limits.min.map(|x| -x) };
        assert!((conformance_probability(value, u, &limits) - p).abs() < 1e-14, "{value} {u}");
        assert!((conformance_probability(-value, u, &mirrored) - p).abs() < 1e-14, "-{value} {u}");
    }
    // Far in a tail it keeps its digits: Φ(-10).
    let p = conformance_probability(1.1, 0.1, &at_most(0.1));
    assert!((p / 7.619853024160527e-24 - 1.0).abs() < 1e-12, "{p}");
}

#[test]
fn the_acceptance_zone_of_a_tenth_shrinks_as_the_uncertainty_grows() {
    for (u, zone) in [(0.02, 0.067), (0.03, 0.051), (0.04, 0.034), (0.045, 0.025), (0.05, 0.010)] {
        assert_eq!(decision(plain(zone - 0.001, u, TENTH)), Decision::Conforms, "u = {u}");
        assert_eq!(decision(plain(zone + 0.001, u, TENTH)), Decision::Undecided, "u = {u}");
        assert_eq!(decision(plain(0.1 + 1.6449 * u, u, TENTH)), Decision::DoesNotConform, "u = {u}");
        assert_eq!(decision(plain(0.1 + 1.6 * u, u, TENTH)), Decision::Undecided, "u = {u}");
    }
    assert_eq!(decision(plain(0.0, 0.0511, TENTH)), Decision::Undecided);
}

#[test]
fn an_uncertainty_of_zero_decides_at_the_closed_limits() {
    for (value, d) in [(0.1, Decision::Conforms), (0.1000001, Decision::DoesNotConform), (-0.1, Decision::Conforms)] {
        assert_eq!(decision(plain(value, 0.0, TENTH)), d, "{value}");
    }
}

#[test]
fn the_probability_falls_as_the_value_leaves_the_limits() {
    let p: Vec<_> = (0..400).map(|i| conformance_probability(f64::from(i) * 1e-3, 0.03, &TENTH)).collect();
    assert!(p.windows(2).all(|w| w[1] <= w[0]), "not monotonic");
    assert!(p.iter().all(|p| (0.0..=1.0).contains(p)));
}

#[test]
fn what_is_no_number_is_not_measured() {
    for (value, u) in [(f64::NAN, 0.1), (0.0, f64::NAN), (0.0, -1.0), (f64::INFINITY, 0.1)] {
        let d = decide(&plain(value, u, TENTH));
        assert_eq!((d.decision, d.probability), (Decision::NotMeasured, None));
    }
}

#[test]
fn simple_acceptance_looks_at_the_value_alone() {
    let simple = |value| Verdictable { rule: Rule::SimpleAcceptance, ..plain(value, 0.08, TENTH) };
    assert_eq!(decision(simple(0.0999)), Decision::Conforms);
    assert_eq!(decision(simple(0.1001)), Decision::DoesNotConform);
}

#[test]
fn an_undecided_value_comes_with_the_uncertainty_that_would_decide_it() {
    for (value, limits) in [(0.09, TENTH), (0.01, TENTH), (0.12, TENTH), (0.09, at_most(0.1)), (0.3, at_most(0.2)), (-0.09, TENTH)] {
        let found = decide(&plain(value, 0.2, limits));
        assert_eq!(found.decision, Decision::Undecided);
        let reason = found.reason.unwrap();
        let needed: f64 = reason.split("at most ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert_ne!(decision(plain(value, 0.5 * needed, limits)), Decision::Undecided, "{value}: {reason}");
        assert_eq!(decision(plain(value, 0.5 * needed * 1.02, limits)), Decision::Undecided, "{value}: {reason}");
    }
    let on_the_limit = decide(&plain(0.1, 0.01, TENTH)).reason.unwrap();
    assert!(on_the_limit.contains("no uncertainty"), "{on_the_limit}");
}

fn length(value: f64, u: f64, limits: Limits, key: bool) -> Verdictable<'static> {
    Verdictable { unit: "mm", key, ..plain(value, u, limits) }
}

#[test]
fn the_gate_stands_before_key_and_tight_requirements_only() {
    let allowed = |unit, key, min, max| uncertainty_allowed(&Verdictable { unit, key, ..plain(0.0, 0.0, Limits { min, max }) });
    assert_eq!(allowed("mm", false, None, Some(0.1)), Some(0.1), "a limit of a tenth");
    assert_eq!(allowed("mm", false, None, Some(0.03)), Some(0.03), "one limit: its distance from 0");
    assert_eq!(allowed("mm", false, Some(4.95), Some(5.05)), Some(0.5 * (5.05 - 4.95)), "two limits: half their distance");
    assert_eq!(allowed("mm", true, Some(0.8), None), Some(0.1), "a key length: a tenth");
    assert_eq!(allowed("mm", false, Some(0.8), None), None);
    assert_eq!(allowed("mm", false, Some(0.0), Some(1.0)), None, "0 is a sign, not a tolerance");
    assert_eq!(allowed("mm", true, None, Some(0.0)), Some(0.1));
    assert_eq!(allowed("1", false, None, Some(0.05)), None, "no length");
    assert_eq!(allowed("1", true, None, Some(0.05)), Some(0.05));
}

#[test]
fn what_the_uncertainty_cannot_carry_is_undecided_and_says_what_would() {
    let Decided { probability, decision, reason } = decide(&length(0.01, 0.0501, at_most(0.1), false));
    assert_eq!(decision, Decision::Undecided);
    assert!(probability.unwrap() > 0.95, "the gate stands before the probability");
    assert_eq!(reason.unwrap(), "the uncertainty cannot carry the limit: U = 0.101 mm, at most 0.1 mm is needed");
    assert_eq!(decide(&length(0.01, 0.05, at_most(0.1), false)).decision, Decision::Conforms);
    assert_eq!(decide(&length(5.0, 0.06, at_most(0.1), false)).decision, Decision::Undecided, "far outside too");
    let simple = Verdictable { rule: Rule::SimpleAcceptance, ..length(0.01, 0.06, at_most(0.1), true) };
    assert_eq!(decide(&simple).decision, Decision::Undecided);
}

#[test]
fn whatever_passes_the_gate_can_be_accepted_somewhere() {
    for limits in [TENTH, at_most(0.1), Limits { min: Some(4.95), max: Some(5.05) }, Limits { min: Some(0.02), max: None }] {
        let best = match (limits.min, limits.max) {
            (Some(min), Some(max)) => 0.5 * (min + max),
            (None, _) => 0.0,
            (Some(min), None) => 2.0 * min,
        };
        let at_the_gate = 0.5 * uncertainty_allowed(&length(best, 0.0, limits, true)).unwrap();
        assert_eq!(decide(&length(best, at_the_gate, limits, true)).decision, Decision::Conforms, "{limits:?}");
    }
}

#[test]
fn an_order_conforms_only_if_every_requirement_does() {
    use Decision::*;
    for (all, expected) in [
        (vec![Conforms, Conforms], Conforms),
        (vec![Conforms, Undecided], Undecided),
        (vec![NotMeasured, Conforms], Undecided),
        (vec![Undecided, NotMeasured, DoesNotConform, Conforms], DoesNotConform),
        (vec![], Undecided),
    ] {
        assert_eq!(whole(all.clone()), expected, "{all:?}");
    }
}
