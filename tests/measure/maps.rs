//! Maps and sections: what is written, read back and held against closed forms.

use nalgebra::{Point3, Vector3};
use serde_json::Value;
use verimetry_engine::distance::MeshDistance;
use verimetry_engine::frame::{Bounds, Pose};
use verimetry_engine::io;
use verimetry_engine::load::Source;
use verimetry_engine::measure::{self, Compare};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::order::AlignmentMethod;
use verimetry_engine::phantom::parts;
use verimetry_engine::runtime::Runtime;
use verimetry_engine::section::{self, Plane, Section};
use verimetry_engine::uncertainty::Effects;

use super::Folder;

fn job(nominal: Source, actual: Source) -> Compare<'static> {
    Compare {
        nominal,
        actual,
        align: AlignmentMethod::None,
        datums: None,
        tolerance: Some([-0.1, 0.1]),
        patch_mm: 0.5,
        map: None,
        sections: None,
        region: None,
    }
}

fn balls(folder: &Folder) -> [Source; 2] {
    [("n.stl", 10.0), ("a.stl", 10.05)].map(|(name, r)| folder.mesh(name, &parts::ball(Point3::new(1.0, 2.0, 3.0), r, 40).mesh))
}

fn plane(at: [f64; 3], normal: [f64; 3]) -> Plane {
    Plane::new(at.into(), normal.into()).unwrap()
}

#[test]
fn a_map_carries_value_uncertainty_noise_region_and_flags_at_every_vertex() {
    let folder = Folder::new();
    let [nominal, actual] = balls(&folder);
    let path = folder.0.path().join("map.ply");
    let actual = Source { point_uncertainty: Some(0.01), scale_uncertainty: 0.001, ..actual };
    measure::compare(&Compare { map: Some(path.clone()), ..job(nominal, actual) }, &Runtime::cpu()).unwrap();
    let map = io::load_mesh(&path).unwrap();
    let names: Vec<&str> = map.fields.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["deviation_mm", "u_mm", "noise_u_mm", "region", "flags"]);
    let [value, u, noise, region, flags] = [0, 1, 2, 3, 4].map(|k| &map.fields[k].values);
    for v in 0..map.mesh.vertices().len() {
        assert!((value[v] - 0.05).abs() < 0.01 && (noise[v] - 0.01).abs() < 1e-6 && region[v] == 0.0 && flags[v] == 0.0);
        // Noise, as much of a common offset, and 0.001 of 10 mm by the scale; a little for the nominal's facets.
        assert!((u[v] - (3.0 * 0.01_f64 * 0.01).sqrt()).abs() < 2e-3, "{}", u[v]);
    }
}

/// The chunks of a GLB file, its lengths checked.
fn chunks(bytes: &[u8]) -> (Value, &[u8]) {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((&bytes[..4], number(4), number(8)), (&b"glTF"[..], 2, bytes.len()));
    let json = number(12);
    assert_eq!((&bytes[16..20], json % 4), (&b"JSON"[..], 0));
    let at = 20 + json;
    assert_eq!((&bytes[at + 4..at + 8], number(at) % 4, at + 8 + number(at)), (&b"BIN\0"[..], 0, bytes.len()));
    (serde_json::from_slice(&bytes[20..at]).unwrap(), &bytes[at + 8..])
}

/// The bytes of an accessor, everything about it checked against the rules of glTF.
fn accessor<'b>(document: &Value, data: &'b [u8], index: &Value) -> (&'b [u8], usize) {
    let accessor = &document["accessors"][index.as_u64().unwrap() as usize];
    let view = &document["bufferViews"][accessor["bufferView"].as_u64().unwrap() as usize];
    let whole = |v: &Value| v.as_u64().unwrap() as usize;
    let (from, length, count) = (whole(&view["byteOffset"]), whole(&view["byteLength"]), whole(&accessor["count"]));
    let size = match accessor["componentType"].as_u64().unwrap() {
        5123 => 2,
        5125 | 5126 => 4,
        other => panic!("component type {other}"),
    };
    let parts = match accessor["type"].as_str().unwrap() {
        "SCALAR" => 1,
        "VEC3" => 3,
        "VEC4" => 4,
        other => panic!("{other}"),
    };
    assert!(count > 0 && length == count * size * parts && from % 4 == 0 && size * parts % 4 == 0, "{accessor} {view}");
    (&data[from..from + length], count)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn a_glb_map_holds_the_mesh_with_its_colours_and_keeps_the_rules_of_gltf() {
    let folder = Folder::new();
    let [nominal, actual] = balls(&folder);
    let mesh = io::load_mesh(&actual.path).unwrap().mesh;
    let path = folder.0.path().join("map.GLB");
    measure::compare(&Compare { map: Some(path.clone()), ..job(nominal, actual) }, &Runtime::cpu()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let (document, data) = chunks(&bytes);
    assert_eq!(
        (document["asset"]["version"].as_str(), document["buffers"][0]["byteLength"].as_u64()),
        (Some("2.0"), Some(data.len() as u64))
    );
    let primitive = &document["meshes"][0]["primitives"][0];
    let (places, count) = accessor(&document, data, &primitive["attributes"]["POSITION"]);
    assert_eq!((count, primitive["mode"].as_u64()), (mesh.vertices().len(), Some(4)));
    let places = floats(places);
    let stated = |which: &str, axis: usize| document["accessors"][0][which][axis].as_f64().unwrap();
    for axis in 0..3 {
        let along = || places.iter().skip(axis).step_by(3).map(|&x| f64::from(x));
        assert_eq!((along().fold(f64::MAX, f64::min), along().fold(f64::MIN, f64::max)), (stated("min", axis), stated("max", axis)));
        assert!(along().zip(mesh.vertices()).all(|(x, p)| (x - p[axis]).abs() < 1e-5));
    }
    let (normals, of_normals) = accessor(&document, data, &primitive["attributes"]["NORMAL"]);
    assert!(of_normals == count && floats(normals).chunks(3).all(|n| (n.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5));
    let (corners, of_corners) = accessor(&document, data, &primitive["indices"]);
    let corners: Vec<u32> = corners.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
    assert!(of_corners == 3 * mesh.triangles().len() && corners == mesh.triangles().as_flattened());
    // Excess of half the limits all over: one colour, more red than blue.
    let (colours, of_colours) = accessor(&document, data, &primitive["attributes"]["COLOR_0"]);
    assert_eq!((of_colours, document["accessors"][1]["normalized"].as_bool()), (count, Some(true)));
    for colour in colours.chunks_exact(8) {
        let [r, _, b, a] = [0, 2, 4, 6].map(|k| u16::from_le_bytes([colour[k], colour[k + 1]]));
        assert!(r > 2 * b && a == u16::MAX, "{colour:?}");
    }

    let mut points = vec![];
    let cloud = Mesh::of_points(mesh.vertices().to_vec()).unwrap();
    io::glb::encode(&mut points, &cloud, &vec![[0.5; 3]; count], Value::Null).unwrap();
    let (document, data) = chunks(&points);
    let primitive = &document["meshes"][0]["primitives"][0];
    assert_eq!(
        (primitive["mode"].as_u64(), &primitive["indices"], &primitive["attributes"]["NORMAL"]),
        (Some(0), &Value::Null, &Value::Null)
    );
    assert_eq!(accessor(&document, data, &primitive["attributes"]["COLOR_0"]).1, count);
}

#[test]
fn sections_of_solids_have_the_contours_area_and_perimeter_of_closed_form() {
    let block = parts::stepped_hollow_block(2).mesh;
    // Between z = 7 and 12: 40 × 28 without a corner of 6 × 6, and the cavity of 18 × 12. A plane through corners sees what lies below it:
    // at z = 7 another pocket, of 7 × 8.
    for (z, area, perimeter, contours) in [(9.1, 868.0, 196.0, 2), (7.0, 812.0, 226.0 - 16.0, 2)] {
        let plane = plane([0.0, 0.0, z], [0.0, 0.0, 1.0]);
        let section = Section::of(&block, &plane);
        assert!(section.contours.iter().all(|c| c.closed) && section.contours.len() == contours, "{z}: {}", section.contours.len());
        assert!((section.area_mm2(&plane).unwrap() - area).abs() < 1e-9, "{z}: {:?}", section.area_mm2(&plane));
        assert!((section.perimeter_mm() - perimeter).abs() < 1e-9, "{z}: {}", section.perimeter_mm());
    }
    // A cube across its diagonal is a regular hexagon, whichever way the plane faces.
    let cube = parts::cuboid(&Bounds { min: Point3::from([-1.0; 3]), max: Point3::from([1.0; 3]) }, 3).mesh;
    for sign in [1.0, -1.0] {
        let plane = plane([0.0; 3], [sign; 3]);
        let section = Section::of(&cube, &plane);
        let truth = (3.0 * 3.0_f64.sqrt(), 6.0 * 2.0_f64.sqrt());
        assert!((section.area_mm2(&plane).unwrap() - truth.0).abs() < 1e-12 && (section.perimeter_mm() - truth.1).abs() < 1e-12);
        assert!((plane.right.cross(&plane.up) - plane.normal).norm() < 1e-15);
    }
    // Outside of it there is none; an open surface has a length and no area.
    let across = plane([0.0; 3], [0.0, 0.0, 1.0]);
    assert!(Section::of(&cube, &plane([0.0, 0.0, 1.5], [0.0, 0.0, 1.0])).contours.is_empty());
    let open: Vec<_> = cube.triangles().iter().copied().filter(|t| !t.iter().all(|&v| cube.vertices()[v as usize].x > 0.99)).collect();
    let open = Section::of(&Mesh::new(cube.vertices().to_vec(), open).unwrap(), &across);
    assert!(open.contours.len() == 1 && !open.contours[0].closed && open.area_mm2(&across).is_none());
    assert!((open.perimeter_mm() - 6.0).abs() < 1e-12, "{}", open.perimeter_mm());
}

#[test]
fn a_section_of_two_balls_deviates_by_the_difference_of_their_circles() {
    let centre = Point3::new(1.0, 2.0, 3.0);
    let [nominal, actual] = [10.0, 10.05].map(|r| parts::ball(centre, r, 60).mesh);
    let plane = plane([0.0, 0.0, 7.0], [0.0, 0.0, 2.0]);
    let compared = section::compare("z", &plane, &MeshDistance::build(&nominal), &actual, &Runtime::cpu()).unwrap();
    let circle = |r: f64| (r * r - 16.0).sqrt();
    let truth = circle(10.05) - circle(10.0);
    assert!(compared.places.len() > 1000);
    for place in &compared.places {
        // Facets of two balls of like division lie under each other but for the height of the plane; chords are 0.002 mm deep.
        assert!((place.deviation_mm.unwrap() - truth).abs() < 0.004, "{place:?}");
        assert!((place.at.z - 7.0).abs() < 1e-12 && ((place.at - centre).xy().norm() - circle(10.05)).abs() < 0.004);
    }
    // Equal steps: every place stands for the same length.
    let steps: Vec<f64> = compared.places.windows(2).map(|w| (w[1].at - w[0].at).norm()).collect();
    let mean = steps.iter().sum::<f64>() / steps.len() as f64;
    assert!(steps.iter().all(|s| (s / mean - 1.0).abs() < 0.01));
    // A hole is deviated from with the sign of the material.
    let turned = |m: &Mesh| Mesh::new(m.vertices().to_vec(), m.triangles().iter().map(|t| [t[0], t[2], t[1]]).collect()).unwrap();
    let hole = section::compare("z", &plane, &MeshDistance::build(&turned(&nominal)), &turned(&actual), &Runtime::cpu()).unwrap();
    assert!(hole.actual.area_mm2(&plane).unwrap() < 0.0 && hole.places.iter().all(|p| (p.deviation_mm.unwrap() + truth).abs() < 0.004));
}

#[test]
fn a_slope_that_the_plane_grazes_is_cut_at_a_less_certain_place() {
    // A bar along y whose ends lean: its sides stand square to the planes along y, its ends at an angle.
    let (lean, offset, noise) = (30.0_f64.to_radians(), 0.004, 0.003);
    let bar = parts::cuboid(&Bounds { min: Point3::new(-5.0, -8.0, -4.0), max: Point3::new(5.0, 8.0, 4.0) }, 12).mesh;
    let leant = |m: &Mesh| {
        let shear = |p: &Point3<f64>| Point3::new(p.x, p.y + p.z * libm::tan(lean), p.z);
        Mesh::new(m.vertices().iter().map(shear).collect(), m.triangles().to_vec()).unwrap()
    };
    let (nominal, actual) = (leant(&bar), leant(&bar).moved(&Pose { translation: Vector3::new(0.02, 0.03, 0.0), ..Pose::identity() }));
    let effects = Effects {
        offset_mm: offset,
        scale: 0.0,
        centre: Point3::origin(),
        offset_moves: Default::default(),
        pose_modes: vec![(Vector3::zeros(), Vector3::new(0.0, 0.0, 0.002))],
        chord_mm: 0.0,
        noise_length_mm: 1.0,
    };
    let plane = plane([0.0; 3], [0.0, 0.0, 1.0]);
    let compared = section::compare("z", &plane, &MeshDistance::build(&nominal), &actual, &Runtime::cpu()).unwrap();
    assert!(compared.places.iter().all(|p| p.u_mm.is_none()));
    let compared = compared.known(&actual, &vec![noise as f32; actual.vertices().len()], &effects);
    let [mut sides, mut ends] = [0, 0];
    for place in compared.places.iter().filter(|p| p.at.x.abs() < 4.0 || p.at.y.abs() < 6.0) {
        let u = place.u_mm.unwrap();
        // A pose that slides along z moves the slope's cut, and no side's.
        let (count, truth) = if place.at.x.abs() > 4.9 {
            (&mut sides, (offset * offset + noise * noise).sqrt())
        } else {
            let along = 0.002 * libm::sin(lean);
            (&mut ends, (offset * offset + noise * noise + along * along).sqrt() / libm::cos(lean))
        };
        *count += 1;
        assert!((u - truth).abs() < 1e-6, "{place:?}: {u} against {truth}");
    }
    assert!(sides > 100 && ends > 50, "{sides} {ends}");
    let table = section::csv(&compared);
    let expanded = |row: &str| row.rsplit(',').next().unwrap().parse::<f64>().unwrap();
    assert!(table.lines().skip(1).zip(&compared.places).all(|(row, p)| expanded(row) == 2.0 * p.u_mm.unwrap()));
    assert!(section::svg(&compared, None).contains("U of a deviation (grey, × "));
}

#[test]
fn places_without_a_nominal_line_nearby_are_dots_and_no_whiskers_across_the_drawing() {
    // A ball beside the nominal one, and a plane that only the two together fill.
    let [nominal, actual] = [0.0, 6.0].map(|x| parts::ball(Point3::new(x, 0.0, 0.0), 5.0, 40).mesh);
    let plane = plane([0.0; 3], [0.0, 0.0, 1.0]);
    let compared = section::compare("z", &plane, &MeshDistance::build(&nominal), &actual, &Runtime::cpu()).unwrap();
    let drawing = section::svg(&compared, Some([-0.1, 0.1]));
    let far = compared.deviations_mm().iter().filter(|d| d.abs() > 0.4).count();
    assert!(far > 300 && drawing.matches("<circle").count() == far, "{far}");
    assert!(drawing.contains(&format!("dots: {far} of {} places off by more than 0.4 mm", compared.places.len())));
}

#[test]
fn compared_sections_are_written_as_drawings_and_tables() {
    let folder = Folder::new();
    let [nominal, actual] = balls(&folder);
    let out = folder.0.path().join("sections");
    std::fs::create_dir(&out).unwrap();
    let planes =
        vec![("x_1".to_string(), plane([1.0, 0.0, 0.0], [1.0, 0.0, 0.0])), ("far".to_string(), plane([0.0, 0.0, 50.0], [0.0, 1.0, 1.0]))];
    measure::compare(&Compare { sections: Some((out.clone(), planes)), ..job(nominal, actual) }, &Runtime::cpu()).unwrap();
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let table = read("section_x_1.csv");
    let mut rows = table.lines();
    assert_eq!(rows.next().unwrap().split(',').count(), 11);
    let mut count = 0;
    for row in rows {
        let numbers: Vec<f64> = row.split(',').map(|n| n.parse().unwrap()).collect();
        let [x, y, z, right, up] = [1, 2, 3, 4, 5].map(|k| numbers[k]);
        assert!((x - 1.0).abs() < 1e-12 && (y - right).abs() < 1e-12 && (z - up).abs() < 1e-12);
        let from = Vector3::new(numbers[6], numbers[7], numbers[8]);
        assert!(((Vector3::new(x, y, z) - from).norm() - numbers[9]).abs() < 1e-12 && (numbers[9] - 0.05).abs() < 0.006);
        count += 1;
    }
    assert!(count > 1000);
    let drawing = read("section_x_1.svg");
    assert!(
        drawing.starts_with("<svg xmlns=") && drawing.trim_end().ends_with("</svg>") && drawing.matches("<path stroke=\"#").count() > count
    );
    assert!(
        drawing.contains("whiskers × ") && drawing.contains("nominal: 314.0") && !drawing.contains("NaN"),
        "{}",
        &drawing[drawing.len() - 1200..]
    );
    assert!(!drawing.contains("<circle") && !drawing.contains("dots: "));
    assert!(read("section_far.svg").contains("does not reach the plane") && read("section_far.csv").lines().count() == 1);
}
