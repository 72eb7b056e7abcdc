//! The binary from outside: what it prints where, with which exit status, and what it leaves behind.

#[path = "service/stand_in.rs"]
#[allow(dead_code)] // the service's tests use the rest
mod stand_in;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use verimetry_engine::judgement::Stamp;
use verimetry_engine::runtime::Runtime;
use verimetry_server::issue::issue;
use verimetry_server::keys::Key;

const SUBCOMMANDS: [&str; 15] = [
    "judge",
    "verify",
    "countersign",
    "inspect",
    "segment",
    "compare",
    "dimension",
    "shrinkage",
    "pores",
    "lattice",
    "fit",
    "serve",
    "key",
    "schema",
    "backends",
];

fn verimetry(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_verimetry"))
        .args(args)
        .current_dir(home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Exit status, and one line with the code on standard error; nothing on standard output.
fn fails(out: &Output, status: i32, code: &str) {
    let error = text(&out.stderr);
    assert_eq!(out.status.code(), Some(status), "{error}");
    assert!(error.starts_with("verimetry: ") && error.ends_with(&format!("[{code}]\n")), "{error}");
    assert_eq!((error.lines().count(), text(&out.stdout)), (1, ""), "{error}");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = folder.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A tetrahedron of 1 mm legs as ASCII STL.
fn tetrahedron() -> String {
    let facet = |t: [[u8; 3]; 3]| {
        let vertices: String = t.iter().map(|[x, y, z]| format!("vertex {x} {y} {z}\n")).collect();
        format!("facet normal 0 0 0\nouter loop\n{vertices}endloop\nendfacet\n")
    };
    let [o, x, y, z] = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]];
    let facets: String = [[o, y, x], [o, x, z], [o, z, y], [x, y, z]].map(facet).concat();
    format!("solid t\n{facets}endsolid t\n")
}

#[test]
fn every_subcommand_has_help_with_an_example_and_the_common_options() {
    let home = tempfile::tempdir().unwrap();
    let top = verimetry(home.path(), &["--help"]);
    assert_eq!(top.status.code(), Some(0));
    for name in SUBCOMMANDS {
        assert!(text(&top.stdout).contains(&format!("  {name} ")), "{name} is not listed");
        let out = verimetry(home.path(), &[name, "--help"]);
        let help = text(&out.stdout);
        assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), ""), "{name}");
        assert!(help.contains(&format!("\n  verimetry {name}")), "{name} has no example:\n{help}");
        assert!(["--backend", "--threads", "--memory", "--json", "--quiet"].iter().all(|o| help.contains(o)), "{name}:\n{help}");
    }
    for later in ["roughness", "worker", "qualify"] {
        assert!(!text(&top.stdout).contains(&format!("  {later} ")), "{later} is listed");
        fails(&verimetry(home.path(), &[later, "x"]), 2, "usage.later");
    }
}

#[test]
fn wrong_usage_is_one_line_and_exit_2() {
    let home = tempfile::tempdir().unwrap();
    let wrong: [&[&str]; 14] = [
        &[],
        &["nonsense"],
        &["judge"],
        &["judge", "a", "b"],
        &["inspect"],
        &["compare", "a.stl"],
        &["compare", "a.stl", "b.stl", "--tolerance", "1"],
        &["compare", "a.stl", "b.stl", "--region", "r"],
        &["segment", "ct", "-o", "x.stl", "--surface", "bright"],
        &["inspect", "a.stl", "--threads", "0"],
        &["inspect", "a.stl", "--threads", "many"],
        &["inspect", "a.stl", "--memory", "none"],
        &["inspect", "a.stl", "--backend", "quantum"],
        &["countersign", "j", "--key", "k", "--role", "engine"],
    ];
    for args in wrong {
        fails(&verimetry(home.path(), args), 2, "usage");
    }
    fails(&verimetry(home.path(), &["serve", "--store", "s3://x"]), 2, "usage.later");
    fails(&verimetry(home.path(), &["serve", "--listen", "0.0.0.0:0"]), 2, "service.remote");
    assert_eq!(names(home.path()), Vec::<String>::new());
}

#[test]
fn a_file_that_is_not_there_is_one_line_with_its_code_and_exit_3() {
    let home = tempfile::tempdir().unwrap();
    let missing: [&[&str]; 6] = [
        &["inspect", "missing.stl"],
        &["verify", "missing.json"],
        &["key", "public", "missing.pem"],
        &["judge", "missing.toml", "--out", "result"],
        &["compare", "missing.stl", "also.stl"],
        &["segment", "missing.mha", "-o", "mesh.stl"],
    ];
    for args in missing {
        let out = verimetry(home.path(), &[args, &["--quiet"]].concat());
        let error = text(&out.stderr);
        assert_eq!((out.status.code(), text(&out.stdout), error.lines().count()), (Some(3), "", 1), "{args:?}: {error}");
        assert!(error.contains("missing"), "{error}");
    }
    // The signing key was made; of the results nothing is left behind.
    assert!(names(home.path()).iter().all(|n| n == "config"), "{:?}", names(home.path()));
}

#[test]
fn json_is_one_object_on_standard_output_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("part.stl"), tetrahedron()).unwrap();
    let object = |args: &[&str]| {
        let out = verimetry(home.path(), args);
        assert_eq!(out.status.code(), Some(0), "{args:?}: {}", text(&out.stderr));
        let value: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert!(value.is_object(), "{args:?}");
        value
    };
    let inspected = object(&["inspect", "part.stl", "--json"]);
    assert_eq!((&inspected["items"][0]["triangles"], &inspected["items"][0]["closed"]), (&Value::from(4), &Value::from(true)));
    assert!(object(&["backends", "--json"])["cpu"]["threads"].as_u64().unwrap() > 0);
    assert!(object(&["schema", "order"])["properties"]["nominal"].is_object());
    assert!(object(&["schema", "judgement", "--json"])["properties"]["results"].is_object());
    let made = object(&["key", "new", "k.pem", "--json"]);
    let set = object(&["key", "public", "k.pem", "--json"]);
    assert_eq!(made["kid"], set["keys"][0]["kid"]);
}

#[test]
fn a_pipe_carries_no_colour_and_no_progress() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("part.stl"), tetrahedron()).unwrap();
    let out = verimetry(home.path(), &["inspect", "part.stl"]);
    assert!(text(&out.stdout).contains("part.stl") && !text(&out.stdout).contains('\u{1b}'));
    assert_eq!(text(&out.stderr), "");
}

#[test]
fn a_key_is_never_overwritten_and_is_the_owners_alone() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(verimetry(home.path(), &["key", "new", "k.pem"]).status.code(), Some(0));
    let before = std::fs::read(home.path().join("k.pem")).unwrap();
    fails(&verimetry(home.path(), &["key", "new", "k.pem"]), 3, "key.exists");
    assert_eq!(std::fs::read(home.path().join("k.pem")).unwrap(), before);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(home.path().join("k.pem").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_fault() {
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_verimetry"))
        .args(["schema", "judgement"])
        .current_dir(home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), ""));
}

#[test]
fn a_failed_judgement_leaves_nothing_and_touches_nothing() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("order.toml"), "schema = \"verimetry/order/1\"\n").unwrap();
    let out = verimetry(home.path(), &["judge", "order.toml", "--out", "result", "--quiet"]);
    assert_eq!(out.status.code(), Some(3), "{}", text(&out.stderr));
    assert_eq!(names(home.path()), ["config", "order.toml"]);

    std::fs::create_dir(home.path().join("result")).unwrap();
    std::fs::write(home.path().join("result/notes.txt"), "mine").unwrap();
    fails(&verimetry(home.path(), &["judge", "order.toml", "--out", "result"]), 2, "out.occupied");
    assert_eq!(names(&home.path().join("result")), ["notes.txt"]);
}

#[test]
fn an_output_never_replaces_an_input_or_a_folder() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("part.stl"), tetrahedron()).unwrap();
    std::fs::create_dir(home.path().join("folder.stl")).unwrap();
    fails(&verimetry(home.path(), &["segment", "part.stl", "-o", "./part.stl"]), 2, "out.is_input");
    fails(&verimetry(home.path(), &["segment", "part.stl", "-o", "folder.stl"]), 2, "out.is_folder");
    fails(&verimetry(home.path(), &["compare", "part.stl", "part.stl", "--map", "part.stl"]), 2, "out.is_input");
    assert_eq!(std::fs::read_to_string(home.path().join("part.stl")).unwrap(), tetrahedron());
}

/// An order about a tetrahedron that is compared with itself.
const ORDER: &str = r#"schema = "verimetry/order/1"
        order = { id = "O", device = "D", device_id = "U", device_class = "customised", implantable = true, patient = "P", image_acquired = "2026-10-02", design_completed = "2026-10-09" }
        nominal = { file = "a.stl" }
        actual = { file = "a.stl" }
        requirement = [{ id = "T1", clause = "8.3.2.1 a)", quantity = "deviation.max", max = 0.1 }]"#;

#[test]
fn an_order_named_without_a_folder_finds_its_files() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("order.toml"), ORDER).unwrap();
    std::fs::write(home.path().join("a.stl"), tetrahedron()).unwrap();
    let out = verimetry(home.path(), &["judge", "order.toml", "--out", "result", "--quiet"]);
    assert!(matches!(out.status.code(), Some(0 | 10 | 11)), "{}", text(&out.stderr));
    assert!(home.path().join("result/judgement.jws.json").is_file());
}

/// A signed judgement of a stand-in in `HOME/result`, as `judge` writes it.
fn judged(home: &Path) {
    std::fs::write(home.join("order.toml"), ORDER).unwrap();
    std::fs::write(home.join("a.stl"), tetrahedron()).unwrap();
    let stamp = Stamp { id: "J".into(), issued: "2026-11-22T00:00:00Z".into(), source_revision: "r".into(), predecessor: None };
    let judged = stand_in::conforming(&home.join("order.toml"), stamp, &Runtime::cpu()).unwrap();
    std::fs::create_dir(home.join("result")).unwrap();
    issue(judged, &Key::from_secret(&[7; 32])).unwrap().write(&home.join("result")).unwrap();
}

#[test]
fn a_judgement_is_verified_and_countersigned_and_one_that_was_touched_is_exit_5() {
    let home = tempfile::tempdir().unwrap();
    judged(home.path());
    let run = |args: &[&str]| verimetry(home.path(), args);
    let json = |args: &[&str]| serde_json::from_slice::<Value>(&run(args).stdout).unwrap();
    assert_eq!(run(&["key", "new", "surgeon.pem", "--quiet"]).status.code(), Some(0));
    let signed = run(&["countersign", "result", "--key", "surgeon.pem", "--role", "clinician"]);
    assert_eq!(signed.status.code(), Some(0), "{}", text(&signed.stderr));
    let verified = json(&["verify", "result", "--json"]);
    assert_eq!((&verified["holds"], &verified["trusted"]), (&Value::from(true), &Value::from(false)));
    assert_eq!(verified["missing_roles"], serde_json::json!(["designer", "manufacturer"]));
    assert!(std::fs::read_to_string(home.path().join("result/report.html")).unwrap().contains("clinician"));

    fails(&run(&["countersign", "result", "--key", "surgeon.pem", "--role", "clinician"]), 5, "signature.signed_already");
    std::fs::write(home.path().join("result/evidence/note.txt"), "other").unwrap();
    let touched = run(&["verify", "result", "--json"]);
    assert_eq!(touched.status.code(), Some(5));
    assert!(text(&touched.stderr).ends_with("[signature.evidence]\n") && text(&touched.stderr).lines().count() == 1);
    assert_eq!(serde_json::from_slice::<Value>(&touched.stdout).unwrap()["holds"], false);
    fails(&run(&["countersign", "result", "--key", "surgeon.pem", "--role", "designer"]), 5, "signature.evidence");
    assert_eq!(names(&home.path().join("result")), ["evidence", "judgement.json", "judgement.jws.json", "report.html"]);
}

#[test]
fn an_output_that_cannot_be_written_is_told_at_once() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("part.stl"), tetrahedron()).unwrap();
    fails(&verimetry(home.path(), &["judge", "order.toml", "--out", "no/result"]), 4, "file.unwritable");
    fails(&verimetry(home.path(), &["compare", "part.stl", "part.stl", "--map", "no/map.ply"]), 4, "file.unwritable");
}
