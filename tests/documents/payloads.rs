use std::collections::BTreeMap;

use serde_json::{Value, json};
use verimetry_engine::Class;
use verimetry_engine::judgement::*;
use verimetry_engine::order::{DeviceClass, Header, Limits};

pub fn payload() -> Payload {
    Payload {
        schema: SCHEMA.into(),
        id: "0192f0c4-0000-7000-8000-000000000001".into(),
        issued: "2026-11-21T08:00:00Z".into(),
        order: OrderRecord {
            sha256: "aa".repeat(32),
            fields: Header {
                id: "ORD-1".into(),
                device: "Test part 试件".into(),
                device_id: "(01)1(21)1".into(),
                device_class: DeviceClass::Customised,
                implantable: true,
                patient: "P-1".into(),
                image_acquired: "2026-10-02".into(),
                design_completed: "2026-10-09".into(),
            },
        },
        inputs: vec![],
        findings: vec![],
        alignment: None,
        results: vec![ResultRecord {
            requirement: "T1".into(),
            clause: "8.3.2.1 a)".into(),
            quantity: "deviation.abs_p99".into(),
            region: None,
            value: Some(0.1 + 0.2),
            unit: "mm".into(),
            expanded_uncertainty: Some(1.0),
            budget: vec![Contribution { name: "edge".into(), u: 5e-324 }],
            limits: Limits { min: None, max: Some(0.1) },
            rule: "conformance-probability-95".into(),
            conformance_probability: Some(-0.0),
            decision: Decision::DoesNotConform,
            reason: None,
            zone: None,
            evidence: vec!["map.ply".into()],
        }],
        decision: Decision::DoesNotConform,
        evidence: vec![],
        retention: Retention { clause: "5.4.5".into(), class: "permanent".into(), years: None },
        predecessor: None,
        required_signatures: REQUIRED_SIGNATURES.to_vec(),
        provenance: Provenance {
            version: "0.1.0".into(),
            source_revision: "r".into(),
            methods: BTreeMap::new(),
            backend: "cpu".into(),
            driver: "none".into(),
            notes: vec![],
            parameters: json!({ "bins": 2.0, "step": 1e21, "a/b~c": 1 }),
            seeds: vec![1 << 53],
            seconds: BTreeMap::from([("total".into(), 1.5)]),
        },
    }
}

#[test]
fn a_payload_survives_its_signed_form_bit_for_bit() {
    let before = payload();
    let bytes = verimetry_server::json::canonical(&before.to_value().unwrap()).unwrap();
    let after: Payload = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(differences(&before, &after).unwrap(), []);
    assert_eq!(after.results[0].value.unwrap().to_bits(), (0.1_f64 + 0.2).to_bits());
    assert_eq!(after.results[0].budget[0].u.to_bits(), 1);
}

#[test]
fn what_json_cannot_carry_is_a_defect_and_never_a_null() {
    let broken: [fn(&mut Payload); 5] = [
        |p| p.results[0].value = Some(f64::NAN),
        |p| p.results[0].limits.max = Some(f64::INFINITY),
        |p| p.results[0].budget[0].u = f64::NAN,
        |p| p.provenance.seeds = vec![(1 << 53) + 1],
        |p| p.provenance.parameters = json!({ "deep": [u64::MAX] }),
    ];
    for (i, breaks) in broken.into_iter().enumerate() {
        let mut p = payload();
        breaks(&mut p);
        assert_eq!(p.to_value().map_err(|e| e.class), Err(Class::Defect), "case {i}");
    }
}

#[test]
fn a_replay_names_every_bit_that_differs_and_nothing_that_may_differ() {
    let mut replay = payload();
    replay.id = "another".into();
    replay.issued = "2027-01-01T00:00:00Z".into();
    replay.predecessor = Some("00".repeat(32));
    replay.provenance.backend = "some adapter".into();
    replay.provenance.driver = "its driver".into();
    replay.provenance.notes = vec!["fell back".into()];
    replay.provenance.seconds = BTreeMap::from([("load".into(), 0.5), ("total".into(), 9.0)]);
    assert_eq!(differences(&payload(), &replay).unwrap(), []);

    let next_up = f64::from_bits((0.1_f64 + 0.2).to_bits() + 1);
    replay.results[0].value = Some(next_up);
    replay.results[0].reason = Some("r".into());
    replay.provenance.parameters["a/b~c"] = json!(2);
    replay.provenance.version = "0.2.0".into();
    let found = differences(&payload(), &replay).unwrap();
    let pointers: Vec<_> = found.iter().map(|d| d.pointer.as_str()).collect();
    assert_eq!(pointers, ["/provenance/parameters/a~1b~0c", "/provenance/version", "/results/0/reason", "/results/0/value"]);
    assert_eq!(found[3].found, Some(json!(next_up)));
    assert_eq!((&found[2].expected, &found[2].found), (&None, &Some(json!("r"))));
}

#[test]
fn a_result_more_or_less_is_a_difference() {
    let mut replay = payload();
    replay.results.clear();
    let found = differences(&payload(), &replay).unwrap();
    assert_eq!(found.iter().map(|d| d.pointer.as_str()).collect::<Vec<_>>(), ["/results/0"]);
    assert_eq!(found[0].found, None);
}

#[test]
fn the_schema_names_every_member_of_a_payload_and_closes_it() {
    let schema = schema();
    let Value::Object(written) = payload().to_value().unwrap() else { panic!("a payload is an object") };
    assert!(written.keys().all(|key| schema["properties"].get(key).is_some()));
    assert!(schema["required"].as_array().unwrap().iter().all(|key| written.contains_key(key.as_str().unwrap())));
    assert_eq!(schema["additionalProperties"], false);
}
