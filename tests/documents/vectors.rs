//! Published test vectors. RFC texts are quoted; the larger sets are read from `shared/data` where it is there.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use verimetry_server::json::{canonical, read_strictly};
use verimetry_server::keys::{Jwk, Key, PublicKey};

fn vectors(folder: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let found = root.join("../shared/data/vectors").join(folder);
    if found.is_dir() {
        return Some(found);
    }
    eprintln!("SKIPPED: the test vectors {} are not there", found.display());
    None
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// RFC 8037 appendix A: private key `d`, public key `x`, thumbprint, and the signature of A.4.
#[test]
fn the_example_of_rfc_8037_is_made_and_verified() {
    let secret = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let key = Key::from_secret(&secret.try_into().unwrap());
    let jwk = Jwk { kty: "OKP".into(), crv: "Ed25519".into(), x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into() };
    assert_eq!(key.public().jwk(), jwk);
    assert_eq!(jwk.key(), Some(key.public()));
    assert_eq!(key.public().kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");

    let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(URL_SAFE_NO_PAD.encode(key.sign(input)), signature);
    assert!(key.public().verifies(input, &URL_SAFE_NO_PAD.decode(signature).unwrap()));
}

#[test]
fn every_ed25519_vector_of_wycheproof_is_judged_as_published() {
    let Some(folder) = vectors("wycheproof") else { return };
    let set: Value = serde_json::from_slice(&std::fs::read(folder.join("ed25519_test.json")).unwrap()).unwrap();
    let mut judged = 0;
    for group in set["testGroups"].as_array().unwrap() {
        let key = PublicKey::from_bytes(&bytes(&group["publicKey"]["pk"]));
        for test in group["tests"].as_array().unwrap() {
            let holds = key.is_some_and(|k| k.verifies(&bytes(&test["msg"]), &bytes(&test["sig"])));
            assert_eq!(holds, test["result"] == "valid", "{}: {}", test["tcId"], test["comment"]);
            judged += 1;
        }
    }
    assert_eq!(judged, set["numberOfTests"]);
}

#[test]
fn every_vector_of_the_canonical_form_is_written_as_published() {
    let Some(folder) = vectors("jcs") else { return };
    let mut written = 0;
    for entry in std::fs::read_dir(folder.join("input")).unwrap() {
        let name = entry.unwrap().file_name();
        let input = std::fs::read(folder.join("input").join(&name)).unwrap();
        let expected = std::fs::read(folder.join("output").join(&name)).unwrap();
        let found = canonical(&read_strictly(&input).unwrap()).unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), String::from_utf8(expected).unwrap().trim_end(), "{name:?}");
        written += 1;
    }
    assert!(written >= 4);
}

/// RFC 8785 appendix B: bits of a double and its text.
#[test]
fn numbers_have_the_canonical_form_of_rfc_8785() {
    for (bits, text) in [
        (0x0000000000000000_u64, "0"),
        (0x8000000000000000, "0"),
        (0x0000000000000001, "5e-324"),
        (0x8000000000000001, "-5e-324"),
        (0x7fefffffffffffff, "1.7976931348623157e+308"),
        (0x4340000000000000, "9007199254740992"),
        (0x4430000000000000, "295147905179352830000"),
        (0x44b52d02c7e14af5, "9.999999999999997e+22"),
        (0x44b52d02c7e14af6, "1e+23"),
        (0x444b1ae4d6e2ef4e, "999999999999999700000"),
        (0x444b1ae4d6e2ef50, "1e+21"),
        (0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"),
        (0x3eb0c6f7a0b5ed8d, "0.000001"),
        (0x41b3de4355555553, "333333333.3333332"),
        (0x43143ff3c1cb0959, "1424953923781206.2"),
    ] {
        let value = serde_json::to_value(f64::from_bits(bits)).unwrap();
        assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), text, "{bits:016x}");
    }
}
