//! OBJ and OFF: the same cube however it is written, and what is no mesh.

use verimetry_engine::health;
use verimetry_engine::io::{self, Loaded, MeshFile};

use super::super::{folder, put, real};

/// Corners of a cube of 10 mm, and its faces counter-clockwise from outside.
const CORNERS: [[i32; 3]; 8] = [[0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0], [0, 0, 10], [10, 0, 10], [10, 10, 10], [0, 10, 10]];
const FACES: [[i64; 4]; 6] = [[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]];

fn load(name: &str, text: &[u8]) -> Result<MeshFile, verimetry_engine::Error> {
    let folder = folder();
    let path = put(folder.path(), name, text);
    // An order of the same name is no sidecar of a mesh.
    put(folder.path(), "x.toml", b"[order]");
    io::load_mesh(&path)
}

fn lines<T>(items: &[T], line: impl Fn(&T) -> String) -> String {
    items.iter().map(|item| line(item) + "\n").collect()
}

fn obj(face: impl Fn(&[i64; 4]) -> String) -> String {
    let corners = lines(&CORNERS, |[x, y, z]| format!("v {x} {y}.0 {z}e0"));
    format!("# a cube\nmtllib none.mtl\no cube\n{corners}vn 0 0 1\nvt 0 0\ng sides\nusemtl red\ns off\n{}", lines(&FACES, face))
}

fn off(keyword: &str, corner: impl Fn(&[i32; 3]) -> String) -> String {
    let faces = lines(&FACES, |f| format!("4  {} {} {} {}  0.5 0.5 0.5 # grey", f[0], f[1], f[2], f[3]));
    format!("{keyword}\n# a cube\n\n8 6 12\n{}{faces}", lines(&CORNERS, corner))
}

fn is_the_cube(file: &MeshFile, format: &str) {
    let mesh = &file.mesh;
    assert_eq!((file.format, mesh.vertices().len(), mesh.triangles().len(), file.findings.len()), (format, 8, 12, 0));
    assert!(health::examine(mesh).closed() && (mesh.volume_mm3() - 1000.0).abs() < 1e-9 && (mesh.area_mm2() - 600.0).abs() < 1e-9);
    assert_eq!(mesh.vertices()[6], nalgebra::Point3::new(10.0, 10.0, 10.0));
}

#[test]
fn one_cube_is_one_mesh_however_obj_names_its_corners() {
    let from_one = |f: &[i64; 4]| f.map(|v| v + 1);
    let plain = obj(|f| format!("f {}", from_one(f).map(|v| v.to_string()).join(" ")));
    let with_normals = obj(|f| format!("f {}", from_one(f).map(|v| format!("{v}//1")).join(" ")));
    let with_all = obj(|f| format!("f {}", from_one(f).map(|v| format!("{v}/1/1")).join(" ")));
    let backwards = obj(|f| format!("f {}", f.map(|v| (v - 8).to_string()).join(" ")));
    let continued = obj(|f| {
        format!("f {} \\\n {}", from_one(f)[..2].iter().map(i64::to_string).collect::<Vec<_>>().join(" "), {
            from_one(f)[2..].iter().map(i64::to_string).collect::<Vec<_>>().join("\t")
        })
    });
    for text in [&plain, &with_normals, &with_all, &backwards, &continued, &plain.replace('\n', "\r\n"), &plain.replace('\n', "\r")] {
        is_the_cube(&load("x.obj", text.as_bytes()).expect("a mesh"), "obj");
    }
    is_the_cube(&load("x.anything", plain.as_bytes()).expect("told by content"), "obj");
    // Every face with corners of its own, as many programs write them.
    let own = lines(&FACES, |f| {
        lines(f, |&v| format!("v {} {} {}", CORNERS[v as usize][0], CORNERS[v as usize][1], CORNERS[v as usize][2])) + "f -4 -3 -2 -1"
    });
    let mesh = load("x.obj", own.as_bytes()).expect("a mesh").mesh;
    assert!(mesh.vertices().len() == 8 && health::examine(&mesh).closed());
    // Far more comments than a first look takes in.
    let late = ["#".repeat(50_000), plain].join("\n");
    is_the_cube(&load("x.obj", late.as_bytes()).expect("a mesh"), "obj");
}

#[test]
fn one_cube_is_one_mesh_with_and_without_colours_of_off() {
    let plain = |[x, y, z]: &[i32; 3]| format!("{x} {y} {z} # a corner");
    for text in [
        off("OFF", plain),
        off(" \tOFF # or nah", plain),
        off("OFF", plain).replacen("OFF\n# a cube\n\n8", "OFF 8", 1),
        off("COFF", |[x, y, z]| format!("{x} {y} {z} 1 0 0 1")),
        off("STCNOFF", |[x, y, z]| format!("{x} {y} {z} 0 0 1 255 0 0 255 0.5 0.5")),
        off("OFF", plain).replace('\n', "\r\n").trim_end().to_string(),
    ] {
        is_the_cube(&load("x.off", text.as_bytes()).expect(&text), "off");
    }
}

#[test]
fn polygons_that_are_not_convex_are_counted() {
    let arrow = "v 0 0 0\nv 4 2 0\nv 0 4 0\nv 1 2 0\nv 0 0 3\n";
    let found = load("x.obj", format!("{arrow}f 2 3 4 1\nf 3 4 1 2\nf 1 2 5\n").as_bytes()).expect("a mesh");
    let codes: Vec<&str> = found.findings.iter().map(|f| f.code.as_str()).collect();
    // From its hollow corner, or the one across, a fan covers the arrow; from the others it does not.
    assert_eq!(codes, ["mesh.concave_polygons"]);
    assert!(found.findings[0].message.starts_with("1 of 2 polygons"), "{}", found.findings[0].message);
    assert!(load("x.obj", format!("{arrow}f 4 1 2 3\nf 1 2 5\n").as_bytes()).expect("a mesh").findings.is_empty());
}

#[test]
fn what_is_no_mesh_is_refused_by_its_code() {
    let vertices = "v 0 0 0\nv 1 0 0\nv 0 1 0\n";
    for (name, text, code) in [
        ("a corner that is not there", format!("{vertices}f 1 2 4\n"), "file.malformed"),
        ("before the first", format!("{vertices}f -4 1 2\n"), "file.malformed"),
        ("the corner 0", format!("{vertices}f 0 1 2\n"), "file.malformed"),
        ("two corners", format!("{vertices}f 1 2\n"), "file.malformed"),
        ("no number", format!("{vertices}v 1 2 x\n"), "file.malformed"),
        ("not finite", format!("{vertices}v 1 2 nan\nf 1 2 3\n"), "mesh.not_finite"),
        ("no faces", vertices.to_string(), "mesh.empty"),
        ("a free-form surface", format!("{vertices}cstype bspline\nsurf 0 1 0 1 1 2 3\n"), "file.malformed"),
        ("prose", "v is a letter\nand so is f\n".to_string(), "file.unknown_format"),
        ("more promised than there", "OFF\n4000000000 4000000000 0\n0 0 0\n".to_string(), "file.truncated"),
        ("cut", "OFF\n4 1 0\n0 0 0 \n1 0 0 \n0 1 0 \n#..............\n".to_string(), "file.truncated"),
        ("no counts", "OFF\n".to_string(), "file.truncated"),
        ("binary", "OFF BINARY\n........".to_string(), "file.malformed"),
        ("two vertices a line", "OFF\n3 1 0\n0 0 0 1 0 0\n0 1 0\n3 0 1 2\n \n".to_string(), "file.malformed"),
        ("a vertex that is not there", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n".to_string(), "mesh.index"),
        ("an edge for a face", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n2 0 1 # an edge\n".to_string(), "file.malformed"),
        ("fewer corners than said", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n9 0 1 2\n".to_string(), "file.malformed"),
    ] {
        assert_eq!(load("x.obj", text.as_bytes()).map(drop).expect_err(name).code, code, "{name}");
    }
}

#[test]
fn real_polygon_files_have_their_known_size() {
    // Triangles, whether closed, volume and area as another program measures them.
    for (path, triangles, closed, volume, area) in [
        ("mesh/broken_trimesh/comments.off", 12, true, 12.3168, 32.0),
        ("mesh/broken_trimesh/whitespace.off", 12, true, 12.3168, 32.0),
        ("mesh/broken_libigl/TinyTorus.obj", 48, true, 31.1769, 95.247),
        ("mesh/broken_trimesh/nancolor.obj", 12, true, 1.0, 6.0),
        ("mesh/scan/fandisk.obj", 12946, true, 20.2434, 60.6691),
        ("mesh/scan/rocker-arm.obj", 20088, true, 0.0425136, 1.29655),
        ("mesh/scan/stanford-bunny.obj", 69451, false, f64::NAN, f64::NAN),
        ("mesh/broken_libigl/hemisphere.obj", 256, false, f64::NAN, f64::NAN),
        ("mesh/broken_trimesh/not_convex.obj", 96, true, f64::NAN, f64::NAN),
    ] {
        let Some(file) = real(path) else { return };
        let Loaded::Mesh(file) = io::load(&file).unwrap_or_else(|e| panic!("{path}: {e}")) else { panic!("{path} is a volume") };
        let mesh = file.mesh;
        assert_eq!((mesh.triangles().len(), health::examine(&mesh).closed()), (triangles, closed), "{path}");
        for (found, known) in [(mesh.volume_mm3(), volume), (mesh.area_mm2(), area)] {
            assert!(known.is_nan() || (found - known).abs() < 1e-5 * known.abs(), "{path}: {found} {known}");
        }
    }
    for (path, code) in [
        ("mesh/assimp/invalid.off", "file.truncated"),
        ("mesh/assimp/malformed.obj", "file.malformed"),
        ("mesh/assimp/box_UTF16BE.obj", "file.unknown_format"),
        ("mesh/broken_trimesh/notenoughindices.obj", "file.malformed"),
    ] {
        let Some(file) = real(path) else { return };
        assert_eq!(io::load(&file).map(drop).expect_err(path).code, code, "{path}");
    }
}
