use serde_json::{Value, json};
use verimetry_engine::judgement::Role;
use verimetry_engine::{Class, Error};
use verimetry_server::keys::{Key, KeyError, KeySet, default_path, public_set, users_key_at};
use verimetry_server::verify::{countersign, sign, verify};

use crate::payloads::payload;

pub fn key(n: u8) -> Key {
    Key::from_secret(&[n; 32])
}

fn set_of(keys: &[&Key]) -> KeySet {
    let publics: Vec<_> = keys.iter().map(|k| k.public()).collect();
    KeySet::read(public_set(&publics).to_string().as_bytes()).unwrap()
}

fn code<T>(r: Result<T, Error>) -> &'static str {
    r.map_or_else(
        |e| {
            assert_eq!(e.class, Class::Signature, "{e}");
            e.code
        },
        |_| "accepted",
    )
}

#[test]
fn a_judgement_holds_without_keys_and_is_trusted_only_with_them() {
    let signed = sign(&payload(), &key(1), 1_790_000_000).unwrap();
    let v = verify(&signed, None, None).unwrap();
    assert!(v.holds && !v.trusted && v.fault().is_none());
    assert_eq!(v.note, Some("not trusted: no key set given"));
    assert_eq!((v.signatures[0].signed_at, v.signatures[0].role), (1_790_000_000, Role::Engine));

    let v = verify(&signed, Some(&set_of(&[&key(2), &key(1)])), None).unwrap();
    assert!(v.holds && v.trusted && v.note.is_none());

    let v = verify(&signed, Some(&set_of(&[&key(2)])), None).unwrap();
    assert!(!v.holds && v.signatures[0].valid && !v.signatures[0].trusted);
    assert_eq!(v.fault().unwrap().code, "signature.untrusted");
}

#[test]
fn several_parties_sign_the_same_payload_and_a_missing_one_shows() {
    let first = sign(&payload(), &key(1), 1).unwrap();
    assert_eq!(verify(&first, None, None).unwrap().missing_roles, [Role::Clinician, Role::Designer, Role::Manufacturer]);
    let mut all = first.clone();
    for (n, role) in [(2, Role::Clinician), (3, Role::Designer), (3, Role::Manufacturer)] {
        all = countersign(&all, &key(n), role, 2).unwrap();
    }
    let v = verify(&all, None, None).unwrap();
    assert!(v.holds && v.missing_roles.is_empty() && v.signatures.len() == 4);
    assert_eq!(v.payload_sha256, verify(&first, None, None).unwrap().payload_sha256);

    let without = |role: Role| {
        let mut document: Value = serde_json::from_slice(&all).unwrap();
        let at = v.signatures.iter().position(|s| s.role == role).unwrap();
        document["signatures"].as_array_mut().unwrap().remove(at);
        verify(document.to_string().as_bytes(), None, None).unwrap()
    };
    assert_eq!(without(Role::Clinician).missing_roles, [Role::Clinician]);
    assert_eq!(without(Role::Engine).fault().unwrap().code, "signature.missing");
}

#[test]
fn a_key_signs_once_in_a_role_and_nobody_countersigns_as_the_engine() {
    let signed = countersign(&sign(&payload(), &key(1), 1).unwrap(), &key(2), Role::Clinician, 2).unwrap();
    assert_eq!(code(countersign(&signed, &key(2), Role::Clinician, 3)), "signature.signed_already");
    assert_eq!(code(countersign(&signed, &key(2), Role::Engine, 3)), "signature.role");
    assert!(countersign(&signed, &key(4), Role::Clinician, 3).is_ok(), "another clinician may");
}

#[test]
fn a_key_bound_to_a_role_is_trusted_in_no_other() {
    let (engine, clinician) = (key(1), key(2));
    let mut set = public_set(&[engine.public(), clinician.public()]);
    set["keys"][1]["roles"] = json!(["clinician"]);
    let set = KeySet::read(set.to_string().as_bytes()).unwrap();
    let signed = sign(&payload(), &engine, 1).unwrap();
    let as_role = |role| verify(&countersign(&signed, &clinician, role, 2).unwrap(), Some(&set), None).unwrap().trusted;
    assert!(as_role(Role::Clinician));
    assert!(!as_role(Role::Manufacturer));
}

#[test]
fn a_key_set_is_public_and_sound() {
    let good = public_set(&[key(1).public()]);
    let refused = |set: Value| matches!(KeySet::read(set.to_string().as_bytes()), Err(KeyError::Set { .. }));
    let mut with_private = good.clone();
    with_private["keys"][0]["d"] = json!("AAAA");
    let mut of_small_order = good.clone();
    of_small_order["keys"][0]["x"] = json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let mut with_unknown_role = good.clone();
    with_unknown_role["keys"][0]["roles"] = json!(["owner"]);
    for set in [with_private, of_small_order, with_unknown_role, json!({ "keys": [] }), json!([]), json!({ "keys": [{ "kty": "EC" }] })] {
        assert!(refused(set.clone()), "{set}");
    }
    let mut with_another_kind = good;
    with_another_kind["keys"].as_array_mut().unwrap().push(json!({ "kty": "RSA", "n": "x" }));
    assert!(!refused(with_another_kind), "keys of other kinds are passed over");
}

#[test]
fn a_key_file_is_its_owners_alone_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/key.pem");
    let made = Key::generate().unwrap();
    made.write_new(&path).unwrap();
    assert_eq!(Key::read(&path).unwrap().public(), made.public());
    assert!(matches!(key(1).write_new(&path), Err(KeyError::Exists { .. })));
    assert_eq!(Key::read(&path).unwrap().public(), made.public());
    assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 1, "nothing else is left in the folder");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let set_mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        for mode in [0o640, 0o604, 0o660] {
            set_mode(mode);
            assert!(matches!(Key::read(&path), Err(KeyError::OpenToOthers { .. })), "{mode:o}");
        }
        set_mode(0o600);
    }
    for not_a_key in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &"x".repeat(100_000)] {
        std::fs::write(&path, not_a_key).unwrap();
        assert!(matches!(Key::read(&path), Err(KeyError::Malformed { .. })));
    }
    assert!(matches!(Key::read(folder.path()), Err(KeyError::Malformed { .. } | KeyError::OpenToOthers { .. })));
    assert!(matches!(Key::read(&folder.path().join("none")), Err(KeyError::Missing { .. })));
}

#[test]
fn two_keys_are_never_the_same() {
    assert_ne!(Key::generate().unwrap().public(), Key::generate().unwrap().public());
}

#[test]
fn the_users_key_is_made_once_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let variable = |name: &str| (name == "XDG_CONFIG_HOME").then(|| folder.path().into());
    let path = default_path(variable).unwrap();
    assert_eq!(path, folder.path().join("verimetry/signing-key.pem"));
    let (made, _, new) = users_key_at(&path).unwrap();
    assert!(new);
    let (found, _, new) = users_key_at(&path).unwrap();
    assert!(!new && found.public() == made.public());
    assert!(matches!(default_path(|name| (name == "HOME").then(|| "relative".into())), Err(KeyError::NoHome)));
}

#[test]
fn keys_made_at_the_same_moment_are_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    let found: Vec<_> = std::thread::scope(|s| {
        let all: Vec<_> = (0..8).map(|_| s.spawn(|| users_key_at(&path).map(|(k, _, new)| (k.public().kid(), new)).unwrap())).collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(found.iter().all(|(kid, _)| *kid == found[0].0));
    assert_eq!(found.iter().filter(|(_, new)| *new).count(), 1);
}
