//! Every attack on a signed judgement, each with its refusal.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use verimetry_engine::judgement::{EvidenceRecord, Payload, Role};
use verimetry_engine::{Class, Error};
use verimetry_server::json::canonical;
use verimetry_server::keys::{Key, KeySet, public_set};
use verimetry_server::verify::{READABLE, Verification, countersign, sign, verify};

use crate::payloads::payload;
use crate::signatures::key;

/// The refusal's code; what was not refused is `holds`.
fn refusal(result: Result<Verification, Error>) -> &'static str {
    match result.map(|v| v.fault()) {
        Ok(None) => "holds",
        Ok(Some(e)) | Err(e) => {
            assert_eq!(e.class, Class::Signature, "{e}");
            e.code
        }
    }
}

fn signed() -> Vec<u8> {
    countersign(&sign(&payload(), &key(1), 1).unwrap(), &key(2), Role::Clinician, 2).unwrap()
}

/// A document whose first signature's header was changed and signed again, by a stranger's hand or the right one.
fn with_header(change: impl Fn(&mut Value), signer: &Key) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(&signed()).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(document["signatures"][0]["protected"].as_str().unwrap()).unwrap();
    let mut header: Value = serde_json::from_slice(&bytes).unwrap();
    change(&mut header);
    let protected = URL_SAFE_NO_PAD.encode(canonical(&header).unwrap());
    resign(&mut document, protected, signer)
}

fn resign(document: &mut Value, protected: String, signer: &Key) -> Vec<u8> {
    let input = format!("{protected}.{}", document["payload"].as_str().unwrap());
    let signature = URL_SAFE_NO_PAD.encode(signer.sign(input.as_bytes()));
    document["signatures"] = json!([{ "protected": protected, "signature": signature }]);
    document.to_string().into_bytes()
}

#[test]
fn no_byte_of_a_judgement_can_change() {
    let original = signed();
    let trusted = KeySet::read(public_set(&[key(1).public(), key(2).public()]).to_string().as_bytes()).unwrap();
    assert_eq!(refusal(verify(&original, Some(&trusted), None)), "holds");
    for at in 0..original.len() {
        for flip in [0x01, 0x02, 0x20, 0x80] {
            let mut tampered = original.clone();
            tampered[at] ^= flip;
            // The line end after the document may become another white space, and nothing else may.
            let only_space = at + 1 == original.len() && tampered[at].is_ascii_whitespace();
            assert_eq!(refusal(verify(&tampered, None, None)) == "holds", only_space, "byte {at} ^ {flip:#x}");
        }
        if at + 1 < original.len() {
            assert_ne!(refusal(verify(&original[..at], None, None)), "holds", "cut at {at}");
        }
    }
}

#[test]
fn no_byte_of_an_evidence_file_can_change() {
    let folder = tempfile::tempdir().unwrap();
    let map = b"ply\nformat ascii 1.0\n".to_vec();
    let sha256: String = Sha256::digest(&map).iter().map(|b| format!("{b:02x}")).collect();
    let record = EvidenceRecord { name: "map.ply".into(), media_type: "model/ply".into(), bytes: map.len() as u64, sha256 };
    let payload = Payload { evidence: vec![record.clone()], ..payload() };
    let judgement = sign(&payload, &key(1), 1).unwrap();
    let file = folder.path().join("map.ply");
    let check = || refusal(verify(&judgement, None, Some(folder.path())));

    assert_eq!(check(), "signature.evidence", "it is missing");
    std::fs::write(&file, &map).unwrap();
    assert_eq!(check(), "holds");
    for at in 0..map.len() {
        let mut tampered = map.clone();
        tampered[at] ^= 1;
        std::fs::write(&file, &tampered).unwrap();
        assert_eq!(check(), "signature.evidence", "byte {at}");
    }
    for other in [&map[..map.len() - 1], &[map.as_slice(), b"x"].concat()] {
        std::fs::write(&file, other).unwrap();
        assert_eq!(check(), "signature.evidence", "{} bytes", other.len());
    }
    let v = verify(&judgement, None, None).unwrap();
    assert_eq!((v.holds, v.evidence[0].ok), (true, None), "without a folder nothing is said about evidence");

    for name in ["../map.ply", "/etc/passwd", "a\\b", ""] {
        let escaping = Payload { evidence: vec![EvidenceRecord { name: name.into(), ..record.clone() }], ..payload.clone() };
        let judgement = sign(&escaping, &key(1), 1).unwrap();
        assert_eq!(refusal(verify(&judgement, None, Some(folder.path()))), "signature.evidence", "{name}");
    }
}

#[test]
fn the_readable_payload_beside_a_judgement_says_the_same_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let judgement = sign(&payload(), &key(1), 1).unwrap();
    let check = || refusal(verify(&judgement, None, Some(folder.path())));
    let mut readable = payload().to_value().unwrap();
    std::fs::write(folder.path().join(READABLE), serde_json::to_vec_pretty(&readable).unwrap()).unwrap();
    assert_eq!(check(), "holds");
    readable["decision"] = json!("conforms");
    std::fs::write(folder.path().join(READABLE), readable.to_string()).unwrap();
    assert_eq!(check(), "signature.evidence");
}

#[test]
fn another_algorithm_is_refused_whoever_signs() {
    for alg in ["none", "HS256", "ES256", "ed25519", ""] {
        assert_eq!(refusal(verify(&with_header(|h| h["alg"] = json!(alg), &key(1)), None, None)), "signature.algorithm", "{alg}");
    }
    let without = with_header(|h| drop(h.as_object_mut().unwrap().remove("alg")), &key(1));
    assert_eq!(refusal(verify(&without, None, None)), "signature.algorithm");
    assert_eq!(refusal(verify(&with_header(|h| h["alg"] = json!("EdDSA"), &key(1)), None, None)), "holds", "RFC 8037's name");
}

#[test]
fn an_unknown_critical_parameter_is_refused_and_a_known_one_is_not() {
    let critical = |names: Value| refusal(verify(&with_header(|h| h["crit"] = names.clone(), &key(1)), None, None));
    assert_eq!(critical(json!(["b64"])), "signature.critical");
    assert_eq!(critical(json!(["role", "exp"])), "signature.critical");
    assert_eq!(critical(json!([])), "signature.malformed");
    assert_eq!(critical(json!(["role", "iat"])), "holds");
}

#[test]
fn a_header_of_another_kind_role_or_key_is_refused() {
    let check = |change: fn(&mut Value), signer| refusal(verify(&with_header(change, &key(signer)), None, None));
    assert_eq!(check(|h| h["typ"] = json!("JWT"), 1), "signature.kind");
    assert_eq!(check(|h| h["role"] = json!("owner"), 1), "signature.malformed");
    assert_eq!(check(|h| h["role"] = json!("clinician"), 1), "signature.missing", "then none is the engine's");
    assert_eq!(check(|h| h["kid"] = json!("someone"), 1), "signature.invalid", "the id is not the key's");
    assert_eq!(check(|h| h["kid"] = json!(key(3).public().kid()), 1), "signature.invalid");
    assert_eq!(check(|h| h["jwk"] = json!(key(3).public().jwk()), 1), "signature.invalid", "the key is not the signer's");
    assert_eq!(check(|_| {}, 3), "signature.invalid", "a stranger signs in a known name");
    assert_eq!(check(|h| h["jwk"]["d"] = json!("AAAA"), 1), "signature.malformed", "a private key in a signature");
}

#[test]
fn a_strangers_judgement_is_whole_and_not_trusted() {
    let forged = sign(&payload(), &key(9), 1).unwrap();
    let trusted = KeySet::read(public_set(&[key(1).public()]).to_string().as_bytes()).unwrap();
    assert_eq!(refusal(verify(&forged, None, None)), "holds");
    assert_eq!(refusal(verify(&forged, Some(&trusted), None)), "signature.untrusted");
}

#[test]
fn a_signature_without_its_key_is_checked_with_the_callers() {
    let bare = with_header(|h| drop(h.as_object_mut().unwrap().remove("jwk")), &key(1));
    let trusted = KeySet::read(public_set(&[key(1).public()]).to_string().as_bytes()).unwrap();
    assert_eq!(refusal(verify(&bare, Some(&trusted), None)), "holds");
    assert_eq!(refusal(verify(&bare, None, None)), "signature.invalid");
}

#[test]
fn signatures_cannot_move_to_another_payload_or_role() {
    let other = Payload { id: "another".into(), ..payload() };
    let mut document: Value = serde_json::from_slice(&signed()).unwrap();
    let theirs: Value = serde_json::from_slice(&sign(&other, &key(1), 1).unwrap()).unwrap();
    document["payload"] = theirs["payload"].clone();
    assert_eq!(refusal(verify(document.to_string().as_bytes(), None, None)), "signature.invalid");

    let mut swapped: Value = serde_json::from_slice(&signed()).unwrap();
    let protected = swapped["signatures"][0]["protected"].take();
    swapped["signatures"][0]["protected"] = swapped["signatures"][1]["protected"].take();
    swapped["signatures"][1]["protected"] = protected;
    assert_eq!(refusal(verify(swapped.to_string().as_bytes(), None, None)), "signature.invalid");
}

#[test]
fn a_document_of_another_form_is_refused() {
    let original = String::from_utf8(signed()).unwrap();
    let document: Value = serde_json::from_str(&original).unwrap();
    let changed = |change: fn(&mut Value)| {
        let mut d = document.clone();
        change(&mut d);
        refusal(verify(d.to_string().as_bytes(), None, None))
    };
    assert_eq!(changed(|d| d["signatures"] = json!([])), "signature.count");
    assert_eq!(changed(|d| d["header"] = json!({})), "signature.malformed");
    assert_eq!(changed(|d| d["signatures"][0]["header"] = json!({ "alg": "none" })), "signature.malformed");
    assert_eq!(changed(|d| d["payload"] = json!(format!("{}=", d["payload"].as_str().unwrap()))), "signature.malformed");
    assert_eq!(
        changed(|d| {
            let again = d["signatures"][0].clone();
            d["signatures"].as_array_mut().unwrap().push(again);
        }),
        "signature.signed_already"
    );
    let key_twice = original.replacen('{', r#"{"payload":"AAAA","#, 1);
    assert_eq!(refusal(verify(key_twice.as_bytes(), None, None)), "signature.malformed");
    for bytes in [b"".as_slice(), b"{}", b"[", &[b'['; 100_000], b"null", &[0xff, 0xfe]] {
        assert_eq!(refusal(verify(bytes, None, None)), "signature.malformed");
    }
    assert_eq!(refusal(verify(&vec![b' '; 40 << 20], None, None)), "signature.too_large");
}

#[test]
fn a_payload_that_is_not_in_its_canonical_form_is_refused_even_when_signed() {
    let mut document: Value = serde_json::from_slice(&signed()).unwrap();
    let protected = document["signatures"][0]["protected"].as_str().unwrap().to_owned();
    let canonical_text = String::from_utf8(canonical(&payload().to_value().unwrap()).unwrap()).unwrap();
    for (text, code) in [
        (format!(" {canonical_text}"), "signature.not_canonical"),
        (canonical_text.replacen("0.30000000000000004", "0.300000000000000040", 1), "signature.not_canonical"),
        (canonical_text.replacen('{', r#"{"alignment":null,"alignment":null,"#, 1), "signature.malformed"),
        (canonical_text.replacen(r#"{"decision""#, r#"{"also":1,"decision""#, 1), "signature.malformed"),
        (canonical_text.replacen("judgement/1", "judgement/2", 1), "signature.malformed"),
    ] {
        assert_ne!(text, canonical_text);
        document["payload"] = json!(URL_SAFE_NO_PAD.encode(&text));
        assert_eq!(refusal(verify(&resign(&mut document.clone(), protected.clone(), &key(1)), None, None)), code);
    }
}

#[test]
fn a_broken_judgement_is_not_countersigned() {
    let mut document: Value = serde_json::from_slice(&signed()).unwrap();
    document["signatures"][0]["signature"] = document["signatures"][1]["signature"].clone();
    let refused = countersign(document.to_string().as_bytes(), &key(3), Role::Designer, 3);
    assert_eq!(refused.unwrap_err().code, "signature.invalid");
}
