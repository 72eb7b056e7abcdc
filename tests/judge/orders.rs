//! Orders of scanned meshes and clouds: datums, sections and the best achievable pose, from the order file to the payload and on the command line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nalgebra::{Point3, Vector3};
use verimetry_engine::frame::Pose;
use verimetry_engine::judge::{Judged, judge};
use verimetry_engine::judgement::Decision;
use verimetry_engine::mesh::Mesh;
use verimetry_engine::phantom::{self, parts};
use verimetry_engine::runtime::Runtime;

use super::stamp;

/// A block whose end beyond x = 24 mm is displaced by 0.15 mm along x and 0.2 mm upwards; its bottom, front and left side are as designed.
fn scene(folder: &Path) -> Pose {
    let nominal = parts::stepped_hollow_block(4).mesh;
    let displaced = |p: &Point3<f64>| if p.x > 24.5 { p + Vector3::new(0.15, 0.0, if p.z > 0.0 { 0.2 } else { 0.0 }) } else { *p };
    let actual = Mesh::new(nominal.vertices().iter().map(displaced).collect(), nominal.triangles().to_vec()).unwrap();
    let scanned = Pose::from_rotation_vector(Vector3::new(0.7, -1.9, 0.4), Vector3::new(12.0, -7.0, 3.0));
    std::fs::write(folder.join("n.stl"), phantom::stl(&nominal)).unwrap();
    std::fs::write(folder.join("a.stl"), phantom::stl(&actual.moved(&scanned))).unwrap();
    let mut cloud = format!("ply\nformat ascii 1.0\nelement vertex {}\n", actual.vertices().len());
    cloud.push_str("property double x\nproperty double y\nproperty double z\nend_header\n");
    for p in actual.moved(&scanned).vertices() {
        writeln!(cloud, "{} {} {}", p.x, p.y, p.z).unwrap();
    }
    std::fs::write(folder.join("cloud.ply"), cloud).unwrap();
    scanned
}

/// An order of the scene: how it aligns, and the rest of it.
fn order(folder: &Path, actual: &str, alignment: &str, more: &str) -> PathBuf {
    let mut text = format!(
        r#"schema = "verimetry/order/1"
order = {{ id = "O", device = "Block", device_id = "U", device_class = "customised", implantable = true, patient = "P", image_acquired = "2026-10-02", design_completed = "2026-10-09" }}
nominal = {{ file = "n.stl" }}
actual = {{ file = "{actual}", point_uncertainty = 0.001, scale_uncertainty = 0.0 }}
alignment = {{ {alignment} }}
"#
    );
    let slabs = [
        ("bottom", [-1, -1, -1], [41, 29, 1]),
        ("front", [-1, -1, -1], [41, 1, 21]),
        ("left", [-1, -1, -1], [1, 29, 21]),
        ("end", [39, -1, -1], [42, 29, 21]),
    ];
    for (name, min, max) in slabs {
        write!(text, "[[region]]\nname = \"{name}\"\nshape = {{ box = {{ min = {min:?}, max = {max:?} }} }}\n").unwrap();
    }
    for (name, region) in [("A", "bottom"), ("B", "front"), ("C", "left"), ("ball", "bottom")] {
        let fit = if name == "ball" { "sphere" } else { "plane" };
        write!(text, "[[feature]]\nname = \"{name}\"\nfit = \"{fit}\"\nregion = \"{region}\"\n").unwrap();
    }
    let path = folder.join("order.toml");
    std::fs::write(&path, text + more).unwrap();
    path
}

const ABC: &str = r#"method = "datum", datum = ["A", "B", "C"], patch = 1.0"#;
const END: &str = r#"
[[requirement]]
id = "T1"
clause = "8.3.2.1 a)"
quantity = "deviation.abs_p50"
region = "end"
max = 0.5
"#;

fn run(order: &Path) -> Judged {
    judge(order, stamp(), &Runtime::cpu()).unwrap()
}

fn codes(judged: &Judged) -> Vec<&str> {
    judged.payload.findings.iter().map(|f| f.code.as_str()).collect()
}

#[test]
fn three_datums_of_an_order_place_the_part_and_show_how_far_its_end_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let scanned = scene(folder.path());
    let judged = run(&order(folder.path(), "a.stl", ABC, END));
    let alignment = judged.payload.alignment.as_ref().unwrap();
    assert_eq!((alignment.method.as_str(), alignment.ambiguous, alignment.converged), ("datum", false, Some(true)));
    let undone = scanned.inverse().to_rows();
    let off = (0..3).flat_map(|r| (0..4).map(move |c| (r, c))).map(|(r, c)| (alignment.nominal_from_actual[r][c] - undone[r][c]).abs());
    assert!(off.fold(0.0, f64::max) < 1e-4, "{:?}", alignment.nominal_from_actual); // coordinates of 32 bits
    let end = &judged.payload.results[0];
    assert!((end.value.unwrap() - 0.15).abs() < 2e-3 && end.decision == Decision::Conforms, "{end:?}");
    assert!(!codes(&judged).contains(&"alignment.ambiguous"));

    // A best fit shares the error out.
    let fitted = run(&order(folder.path(), "a.stl", r#"method = "best-fit""#, END));
    assert!(fitted.payload.results[0].value.unwrap() < 0.13, "{:?}", fitted.payload.results[0].value);
}

#[test]
fn what_one_datum_leaves_free_is_a_finding_and_is_not_measured() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path());
    let judged = run(&order(folder.path(), "a.stl", r#"method = "datum", datum = ["A"], patch = 1.0"#, END));
    let alignment = judged.payload.alignment.as_ref().unwrap();
    assert!(alignment.ambiguous && alignment.proof.as_ref().is_some_and(|p| p.free_dofs == 3), "{alignment:?}");
    let finding = judged.payload.findings.iter().find(|f| f.code == "alignment.ambiguous").unwrap();
    assert!(finding.message.contains("3 of 6"), "{}", finding.message);
    assert_eq!((judged.payload.results[0].decision, judged.payload.results[0].value), (Decision::NotMeasured, None));
}

#[test]
fn datums_that_are_not_there_or_rest_on_points_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path());
    let code =
        |actual: &str, alignment: &str| judge(&order(folder.path(), actual, alignment, END), stamp(), &Runtime::cpu()).unwrap_err().code;
    assert_eq!(code("a.stl", r#"method = "datum", datum = ["ball"], patch = 1.0"#), "align.not_the_feature");
    assert_eq!(code("cloud.ply", ABC), "align.cloud");
    assert_eq!(code("a.stl", r#"method = "datum", datum = ["Z"]"#), "order.value");
    assert_eq!(code("a.stl", r#"method = "datum""#), "order.value");
}

#[test]
fn the_command_line_aligns_by_the_datums_of_an_order_as_a_judgement_does() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path());
    let judged = run(&order(folder.path(), "a.stl", ABC, END));
    let verimetry = |args: &[&str]| {
        let shared = [
            "compare",
            "n.stl",
            "a.stl",
            "--align",
            "datum",
            "--point-uncertainty",
            "0.001",
            "--scale-uncertainty",
            "0",
            "--backend",
            "cpu",
        ];
        Command::new(env!("CARGO_BIN_EXE_verimetry")).args(shared).args(args).current_dir(folder.path()).output().unwrap()
    };
    let out = verimetry(&["--datums", "order.toml", "--json", "--order", "order.toml", "--region", "end"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let pose = serde_json::to_value(judged.payload.alignment.as_ref().unwrap().nominal_from_actual).unwrap();
    assert_eq!(json["alignment"]["nominal_from_actual"], pose);
    let result = &judged.payload.results[0];
    assert_eq!(json["quantities"]["deviation.abs_p50"]["value"].as_f64(), result.value);

    let fails = |args: &[&str], status: i32, code: &str| {
        let out = verimetry(args);
        let error = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.code() == Some(status) && error.ends_with(&format!("[{code}]\n")), "{error}");
    };
    fails(&[], 2, "usage");
    order(folder.path(), "a.stl", r#"method = "best-fit""#, END);
    fails(&["--datums", "order.toml"], 3, "order.no_datums");
}

#[test]
fn the_certificate_of_the_best_pose_stands_in_the_payload() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path());
    let asked = r#"
[[requirement]]
id = "M1"
clause = "8.3.2.1 a)"
quantity = "alignment.achievable"
within = [-0.2, 0.2]
patch = 1.0
max = 1.0
"#;
    let judged = run(&order(folder.path(), "a.stl", ABC, asked));
    let [record] = judged.payload.alignment.as_ref().unwrap().achievable.as_slice() else { panic!("one was asked for") };
    assert!(record.converged && record.ratio < record.ordered_ratio && Some(record.ratio) == judged.payload.results[0].value, "{record:?}");
    assert_eq!((record.limits_mm, record.patch_mm, &record.region), ([-0.2, 0.2], 1.0, &None));
    let total: f64 = record.binding.iter().map(|b| b.multiplier.abs()).sum();
    assert!((total - 1.0).abs() < 1e-9 && record.stationarity < 1e-3 && (2..=7).contains(&record.binding.len()), "{record:?}");
    assert!(judged.payload.to_value().is_ok());
}

#[test]
fn ordered_sections_are_evidence() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path());
    let sections = "\n[[section]]\nname = \"mid\"\nat = [0, 0, 9.1]\nnormal = [0, 0, 1]\n";
    let judged = run(&order(folder.path(), "a.stl", ABC, &format!("{sections}{END}")));
    let file = |name: &str| judged.evidence.iter().find(|e| e.name == name).unwrap_or_else(|| panic!("{name}"));
    let drawing = String::from_utf8(file("section_mid.svg").bytes.clone()).unwrap();
    assert!(drawing.contains("nominal: 868.000 mm², perimeter 196.000 mm") && file("section_mid.svg").media_type == "image/svg+xml");
    let table = String::from_utf8(file("section_mid.csv").bytes.clone()).unwrap();
    let deviations: Vec<f64> = table.lines().skip(1).map(|l| l.rsplit(',').nth(1).unwrap().parse().unwrap()).collect();
    assert!(
        table.lines().skip(1).all(|l| l.rsplit(',').next().unwrap().parse::<f64>().is_ok_and(|u| u > 0.0)),
        "every deviation has its U"
    );
    let far = deviations.iter().filter(|d| (*d - 0.15).abs() < 1e-3).count() as f64 / deviations.len() as f64;
    assert!((far - 28.0 / 196.0).abs() < 0.03, "{far} of the contour is the displaced end");
    assert!(judged.payload.evidence.iter().any(|e| e.name == "section_mid.csv"));

    for (bad, code) in [
        ("name = \"a/b\"\nat = [0, 0, 0]\nnormal = [0, 0, 1]", "order.value"),
        ("name = \"a\"\nat = [0, 0, 0]\nnormal = [0, 0, 0]", "order.value"),
    ] {
        let path = order(folder.path(), "a.stl", ABC, &format!("\n[[section]]\n{bad}\n{END}"));
        assert_eq!(judge(&path, stamp(), &Runtime::cpu()).unwrap_err().code, code, "{bad}");
    }
}

#[test]
fn a_cloud_is_judged_by_its_points_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path());
    let volume = "\n[[requirement]]\nid = \"T2\"\nclause = \"8.3.2.1 a)\"\nquantity = \"body.volume\"\nmin = 1.0\n";
    let section = "\n[[section]]\nname = \"mid\"\nat = [0, 0, 9.1]\nnormal = [0, 0, 1]\n";
    let judged = run(&order(folder.path(), "cloud.ply", r#"method = "best-fit""#, &format!("{section}{END}{volume}")));
    let [end, whole] = judged.payload.results.as_slice() else { panic!("two results") };
    assert!(end.value.is_some() && end.decision == Decision::Conforms, "{end:?}");
    assert!(whole.decision == Decision::NotMeasured && whole.reason.as_ref().is_some_and(|r| r.contains("needs a surface")), "{whole:?}");
    assert!(codes(&judged).contains(&"section.cloud") && judged.evidence.iter().all(|e| !e.name.starts_with("section_")));
    assert!(codes(&judged).contains(&"cloud.no_surface") && !codes(&judged).contains(&"mesh.degenerate"));
    let summary = judged.evidence.iter().find(|e| e.name == "deviation.json").unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary.bytes).unwrap();
    let counted: f64 = summary["area_fraction"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).sum();
    assert!(counted > 0.9 && summary["worst"]["value_mm"].is_f64(), "{summary}");
}
