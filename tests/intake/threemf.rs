//! 3MF: the same cube in every unit, place and part of a package, and what is no mesh.

use std::io::{Cursor, Write};

use nalgebra::Point3;
use proptest::prelude::*;
use verimetry_engine::health;
use verimetry_engine::io::{self, Loaded, MeshFile};
use zip::write::{SimpleFileOptions, ZipWriter};

use super::super::{damaged, folder, put, real, survives};

const CORE: &str = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02";
const PRODUCTION: &str = "http://schemas.microsoft.com/3dmanufacturing/production/2015/06";
const BEAMS: &str = "http://schemas.microsoft.com/3dmanufacturing/beamlattice/2017/02";
const CORNERS: [[i32; 3]; 8] = [[0, 0, 0], [10, 0, 0], [10, 20, 0], [0, 20, 0], [0, 0, 30], [10, 0, 30], [10, 20, 30], [0, 20, 30]];
const FACES: [[usize; 4]; 6] = [[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]];

/// The mesh of a box of 10 x 20 x 30 units.
fn mesh_of_box() -> String {
    let vertices: String = CORNERS.iter().map(|[x, y, z]| format!("<vertex x=\"{x}\" y='{y}.0' z=\" {z}e0 \"/>")).collect();
    let triangle = |a: usize, b: usize, c: usize| format!("<triangle v1=\"{a}\" v2=\"{b}\" v3=\"{c}\" pid=\"7\"/>");
    let triangles: String = FACES.iter().map(|f| triangle(f[0], f[1], f[2]) + &triangle(f[0], f[2], f[3])).collect();
    format!("<mesh><vertices>{vertices}</vertices><triangles>{triangles}</triangles></mesh>")
}

fn model(attributes: &str, resources: &str, build: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a box --><model {attributes} xmlns=\"{CORE}\"><metadata name=\"Title\">b &amp; x</metadata><resources>{resources}</resources><build>{build}</build></model>"
    )
}

fn package(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    let mut part = |name: &str, text: &str| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    };
    part("[Content_Types].xml", "<Types/>");
    part(
        "_rels/.rels",
        "<Relationships><Relationship Type=\"http://schemas.openxmlformats.org/package/2006/relationships/metadata/thumbnail\" Target=\"/x.png\"/><Relationship Target=\"/3D/3dmodel.model\" Type=\"http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel\"/></Relationships>",
    );
    parts.iter().for_each(|(name, text)| part(name, text));
    zip.finish().unwrap().into_inner()
}

fn load(bytes: &[u8]) -> Result<MeshFile, verimetry_engine::Error> {
    let folder = folder();
    io::load_mesh(&put(folder.path(), "x.3mf", bytes))
}

fn one(text: &str) -> Result<MeshFile, verimetry_engine::Error> {
    load(&package(&[("3D/3dmodel.model", text)]))
}

fn object(id: u32, content: &str) -> String {
    format!("<object id=\"{id}\" type=\"model\">{content}</object>")
}

#[test]
fn a_box_has_its_size_in_every_unit() {
    for (unit, mm) in [("micron", 0.001), ("millimeter", 1.0), ("centimeter", 10.0), ("inch", 25.4), ("foot", 304.8), ("meter", 1000.0)] {
        let file = one(&model(&format!("unit=\"{unit}\""), &object(1, &mesh_of_box()), "<item objectid=\"1\"/>")).unwrap();
        let truth = 6000.0 * mm * mm * mm;
        assert!(health::examine(&file.mesh).closed() && (file.mesh.volume_mm3() / truth - 1.0).abs() < 1e-12, "{unit}");
        assert_eq!((file.format, file.states_unit), ("3mf", true));
        assert_eq!(file.findings.iter().any(|f| f.code == "mesh.unit_stated"), unit != "millimeter");
    }
    let unstated = one(&model("", &object(1, &mesh_of_box()), "<item objectid=\"1\"/>")).unwrap();
    assert!((unstated.mesh.volume_mm3() - 6000.0).abs() < 1e-9);
}

#[test]
fn placements_and_components_move_turn_scale_and_mirror() {
    // Turned by 90 degrees about z with p' = p M, doubled along its x, then shifted.
    let turned = "0 2 0 -1 0 0 0 0 1 5 6 7";
    let placed = one(&model("", &object(1, &mesh_of_box()), &format!("<item objectid=\"1\" transform=\"{turned}\"/>"))).unwrap().mesh;
    let bounds = placed.bounds();
    assert_eq!((bounds.min, bounds.max), (Point3::new(-15.0, 6.0, 7.0), Point3::new(5.0, 26.0, 37.0)));
    assert!((placed.volume_mm3() - 12000.0).abs() < 1e-9);
    // A mirrored component within a component within an item, in inches: shifts are in the unit too.
    let inner = object(2, "<components><component objectid=\"1\" transform=\"-1 0 0 0 1 0 0 0 1 0 0 0\"/></components>");
    let outer = object(
        3,
        "<components><component objectid=\"2\" transform=\"1 0 0 0 1 0 0 0 1 100 0 0\"/><component objectid=\"1\"/></components>",
    );
    let text = model(
        "unit=\"inch\"",
        &(object(1, &mesh_of_box()) + &inner + &outer),
        "<item objectid=\"3\" transform=\"1 0 0 0 1 0 0 0 1 0 0 1\"/>",
    );
    let mesh = one(&text).unwrap().mesh;
    let inch = 25.4;
    let bounds = mesh.bounds();
    assert!(
        (bounds.min - Point3::new(0.0, 0.0, inch)).norm() < 1e-9
            && (bounds.max - Point3::new(100.0 * inch, 20.0 * inch, 31.0 * inch)).norm() < 1e-9
    );
    assert!(
        health::examine(&mesh).closed() && (mesh.volume_mm3() / (12000.0 * inch * inch * inch) - 1.0).abs() < 1e-12,
        "outward both times"
    );
}

#[test]
fn parts_may_lie_in_other_files_of_the_package_and_names_may_have_prefixes() {
    let root = model(
        &format!("xmlns:p=\"{PRODUCTION}\" requiredextensions=\"p\""),
        &object(1, "<components><component p:path=\"/3D/Parts/Box.model\" objectid=\"4\"/></components>"),
        "<item objectid=\"1\"/>",
    );
    let other = model("", &object(4, &mesh_of_box()), "");
    let prefixed = other.replace("</", "</c:").replace('<', "<c:").replace("<c:/c:", "</c:").replace("<c:?", "<?").replace("<c:!", "<!");
    let prefixed = prefixed.replace("xmlns=", "xmlns:c=");
    for text in [&other, &prefixed] {
        let file = load(&package(&[("3D/3dmodel.model", &root), ("3d/parts/box.model", text)])).unwrap();
        assert!((file.mesh.volume_mm3() - 6000.0).abs() < 1e-9);
    }
}

#[test]
fn supports_and_beams_are_left_out_with_a_word_or_refused() {
    let support = object(2, &mesh_of_box()).replace("\"model\"", "\"support\"");
    let file = one(&model("", &(object(1, &mesh_of_box()) + &support), "<item objectid=\"1\"/><item objectid=\"2\"/>")).unwrap();
    assert!((file.mesh.volume_mm3() - 6000.0).abs() < 1e-9 && file.findings[0].code == "mesh.supports_left_out");
    let beams = mesh_of_box()
        .replace("</mesh>", "<b:beamlattice radius=\"1\"><b:beams><b:beam v1=\"0\" v2=\"6\"/></b:beams></b:beamlattice></mesh>");
    let of_beams = |required: &str| one(&model(&format!("xmlns:b=\"{BEAMS}\" {required}"), &object(1, &beams), "<item objectid=\"1\"/>"));
    let file = of_beams("").unwrap();
    assert!((file.mesh.volume_mm3() - 6000.0).abs() < 1e-9 && file.findings[0].code == "mesh.extension_left_out", "{:?}", file.findings);
    let refused = of_beams("requiredextensions=\"b\"").unwrap_err();
    assert!(refused.code == "file.malformed" && refused.message.contains("beamlattice"), "{}", refused.message);
}

#[test]
fn what_is_no_model_is_refused_by_name_before_memory_is_taken() {
    let cube = object(1, &mesh_of_box());
    let item = "<item objectid=\"1\"/>";
    let nested = |depth: u32| -> String {
        (2..depth)
            .map(|n| object(n, &format!("<components><component objectid=\"{0}\"/><component objectid=\"{0}\"/></components>", n - 1)))
            .collect()
    };
    for (text, code) in [
        (model("unit=\"cubit\"", &cube, item), "file.malformed"),
        (model("", &cube, "<item objectid=\"2\"/>"), "file.malformed"),
        (model("", &cube, "<item/>"), "file.malformed"),
        (model("", &cube, ""), "mesh.empty"),
        (model("", &cube, "<item objectid=\"1\" transform=\"1 0 0 0 1 0\"/>"), "file.malformed"),
        (model("", &cube, "<item objectid=\"1\" transform=\"1 0 0 0 1 0 0 0 0 0 0 0\"/>"), "file.malformed"),
        (model("", &cube, "<item objectid=\"1\" transform=\"1 0 0 0 1 0 0 0 nan 0 0 0\"/>"), "file.malformed"),
        (model("", &cube.replace("v3=\"7\"", "v3=\"8\""), item), "mesh.index"),
        (model("", &cube.replace("x=\"0\"", "x=\"inf\""), item), "mesh.not_finite"),
        (model("", &cube.replace("x=\"0\"", "q=\"0\""), item), "file.malformed"),
        (model("", &cube, item).replace("<!-- a box -->", "<!DOCTYPE model [<!ENTITY a \"b\">]>"), "file.malformed"),
        (model("", &object(1, "<components><component objectid=\"1\"/></components>"), item), "file.malformed"),
        (model("", &(cube.clone() + &nested(32)), "<item objectid=\"31\"/>"), "file.too_large"),
        (model("", &(cube.clone() + &nested(60)), "<item objectid=\"59\"/>"), "file.malformed"),
        (model("", &cube.replace("<mesh>", &"<a>".repeat(60)), item), "file.malformed"),
        (model("", &cube.replace("<mesh>", &format!("<mesh><a b=\"{}\"/>", "x".repeat(1 << 20))), item), "file.malformed"),
        (model("", &cube, item).replace("</build>", ""), "file.malformed"),
        ("<svg/>".into(), "file.malformed"),
        (String::new(), "file.malformed"),
    ] {
        let error = one(&text).map(drop).expect_err(&text[..text.len().min(300)]);
        assert_eq!(error.code, code, "{}: {}", error.message, &text[..text.len().min(200)]);
        assert!(!error.message.contains('\n') && error.message.len() < 400, "{}", error.message);
    }
    let whole = package(&[("3D/3dmodel.model", &model("", &cube, item))]);
    for cut in (4..whole.len()).step_by(7) {
        assert!(load(&whole[..cut]).is_err(), "{cut} of {} bytes", whole.len());
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        let _ = load(&changed); // a mesh or a fault, never a panic
    }
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    zip.start_file("letter.txt", SimpleFileOptions::default()).unwrap();
    assert_eq!(load(&zip.finish().unwrap().into_inner()).unwrap_err().code, "file.archive");
}

#[test]
fn real_files_are_what_is_known_of_them() {
    for (path, triangles, size, volume) in [
        ("mesh/assimp/box.3mf", 12, [10.0, 20.0, 30.0], 6000.0),
        // A tetrahedron with two vertices at one place, and two triangles without area between them.
        ("mesh/broken_trimesh/P_XPM_0331_01.3mf", 6, [100.0; 3], 1e6 / 6.0),
    ] {
        let Some(file) = real(path) else { return };
        let Loaded::Mesh(file) = io::load(&file).unwrap_or_else(|e| panic!("{path}: {e}")) else { panic!("{path} is a volume") };
        let (mesh, bounds) = (&file.mesh, file.mesh.bounds());
        assert_eq!((mesh.triangles().len(), health::examine(mesh).closed()), (triangles, true), "{path}");
        assert!((bounds.max - bounds.min - nalgebra::Vector3::from(size)).norm() < 1e-9, "{path}: {bounds:?}");
        assert!((mesh.volume_mm3() / volume - 1.0).abs() < 1e-12, "{path}: {}", mesh.volume_mm3());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("VERIMETRY_LONG").is_some() { 20_000 } else { 400 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage to the text of a whole package, which its check sums would find out before the reader of models does, and to the package.
    #[test]
    fn a_damaged_model_or_package_gives_a_mesh_or_an_error(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), keep in any::<prop::sample::Index>(), cut in any::<bool>(), inside in any::<bool>()) {
        let parts = object(1, &mesh_of_box()) + &object(2, "<components><component objectid=\"1\" transform=\"0 2 0 -1 0 0 0 0 1 5 6 7\"/></components>");
        let whole = model("unit=\"inch\"", &parts, "<item objectid=\"2\"/><item objectid=\"1\" transform=\"1 0 0 0 1 0 0 0 -1 0 0 0\"/>");
        let keep = cut.then_some(keep);
        if inside {
            let text = damaged(whole.into_bytes(), &flips, keep);
            survives("x.3mf", &package(&[("3D/3dmodel.model", &String::from_utf8_lossy(&text))]));
        } else {
            survives("x.3mf", &damaged(package(&[("3D/3dmodel.model", &whole)]), &flips, keep));
        }
    }
}
