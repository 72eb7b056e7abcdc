//! Reading: what valid files give, what broken ones are refused with, and that nothing a file holds can do worse than that.

mod broken_files;
mod intake;

use std::io::Write;
use std::path::{Path, PathBuf};

use nalgebra::{Point3, Vector3};
use proptest::prelude::*;
use verimetry_engine::frame::Grid;
use verimetry_engine::health;
use verimetry_engine::io::{self, Loaded, VertexField, VolumeFile};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::volume::{AnyVolume, Volume};

use broken_files::{Dicom, cube_stl, mha, nifti};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a temporary file");
    path
}

fn volume(name: &str, bytes: &[u8]) -> VolumeFile {
    let folder = folder();
    io::load_volume(&put(folder.path(), name, bytes)).expect("a valid volume")
}

fn codes(file: &VolumeFile) -> Vec<&str> {
    file.findings.iter().map(|f| f.code.as_str()).collect()
}

#[test]
fn every_broken_file_is_made_again_bit_for_bit_and_has_its_code() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/broken");
    for (name, code, bytes) in broken_files::all() {
        let path = home.join(name);
        if std::env::var_os("VERIMETRY_WRITE").is_some() {
            std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("the folder can be made");
            std::fs::write(&path, &bytes).expect("the file can be written");
        }
        assert_eq!(std::fs::read(&path).ok().as_ref(), Some(&bytes), "{name}: VERIMETRY_WRITE=1 makes the files again");
        assert!(bytes.len() < 4096, "{name} is small");
        let error = io::load(&path).map(|_| ()).expect_err(name);
        assert_eq!(error.code, code, "{name}: {error}");
        assert!(!error.message.contains('\n') && !error.message.contains(home.to_string_lossy().as_ref()), "{name}: {error}");
    }
    assert_eq!(io::load(&home.join("absent.stl")).expect_err("no such file").code, "file.not_found");
    assert_eq!(io::load(&home.join("folder_without_images")).expect_err("no images").code, "dicom.no_series");
}

#[test]
fn a_mesh_is_no_volume_and_a_volume_no_mesh() {
    let folder = folder();
    assert_eq!(io::load_volume(&put(folder.path(), "a", &cube_stl(b""))).expect_err("a mesh").code, "file.not_a_volume");
    assert_eq!(io::load_mesh(&put(folder.path(), "b", &mha("MET_UCHAR", "", &[0; 8]))).expect_err("a volume").code, "file.not_a_mesh");
}

#[test]
fn a_binary_stl_is_told_by_its_length_even_when_it_begins_with_solid() {
    let folder = folder();
    let mesh = io::load_mesh(&put(folder.path(), "cube.bin", &cube_stl(b"solid cube\n"))).expect("a cube").mesh;
    assert_eq!((mesh.vertices().len(), mesh.triangles().len(), mesh.volume_mm3(), mesh.area_mm2()), (8, 12, 1000.0, 600.0));
}

#[test]
fn ascii_and_binary_twins_are_the_same_mesh() {
    let folder = folder();
    let binary = io::load_mesh(&put(folder.path(), "b", &cube_stl(b""))).expect("a cube").mesh;
    let mut text = "solid \u{e9} facet vertex 1 2\r\n".to_string();
    for t in 0..12 {
        text += "  FACET normal 0 0 0\r\n outer loop\r\n";
        binary.corners(t).iter().for_each(|p| text += &format!("vertex {:e} {} {}\r\n", p.x, p.y, p.z));
        text += "endloop\r\nendfacet\r\n";
    }
    let ascii = io::load_mesh(&put(folder.path(), "a", (text + "endsolid").as_bytes())).expect("a cube").mesh;
    assert_eq!(ascii, binary);
}

#[test]
fn a_written_mesh_is_read_back() {
    let folder = folder();
    let vertices = [[0.1, 0.2, 0.3], [1.0 / 3.0, 0.0, 5.0], [0.0, 7.0, -1.0], [2.0, 2.0, 2.0]].map(Point3::from).to_vec();
    let mesh = Mesh::new(vertices, vec![[0, 1, 2], [2, 1, 3]]).expect("valid");
    let fields = vec![VertexField { name: "deviation".into(), values: vec![0.1, -0.2, f64::MIN_POSITIVE, 3.0] }];
    let colours = vec![[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 0, 255], [255; 4]];
    let path = folder.path().join("m.ply");
    io::ply::write(&path, &mesh, &fields, Some(&colours)).expect("written");
    let back = io::load_mesh(&path).expect("read");
    assert_eq!((back.mesh, back.fields, back.colours), (mesh.clone(), fields, Some(colours)));
    let path = folder.path().join("m.stl");
    io::write_stl(&path, &mesh).expect("written");
    let back = io::load_mesh(&path).expect("read").mesh;
    assert_eq!(back.triangles(), mesh.triangles());
    assert!(back.vertices().iter().zip(mesh.vertices()).all(|(a, b)| (a - b).norm() < 1e-6));
    let files: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(files.len(), 2, "nothing partial is left: {files:?}");
    assert_eq!(io::write_stl(&folder.path().join("no/such/folder.stl"), &mesh).expect_err("no folder").fault.code(), "file.unwritable");
}

#[test]
fn the_three_encodings_of_ply_are_one_mesh() {
    let header = |format: &str| {
        format!(
            "ply\nformat {format} 1.0\ncomment x\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\nproperty short q\nelement face 2\nproperty uchar flag\nproperty list uchar uint vertex_index\nelement edge 1\nproperty int a\nend_header\n"
        )
    };
    let points = [[0f32, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.5, 0.0], [0.5, 0.5, 2.0]];
    let faces: [&[u32]; 2] = [&[0, 1, 2, 3], &[0, 1, 4]];
    let mut files = [header("ascii").into_bytes(), header("binary_little_endian").into_bytes(), header("binary_big_endian").into_bytes()];
    for (i, p) in points.iter().enumerate() {
        let q = i as i16 - 2;
        files[0].extend(format!("{} {} {} {q}\n", p[0], p[1], p[2]).bytes());
        p.iter().for_each(|x| files[1].extend(x.to_le_bytes()));
        p.iter().for_each(|x| files[2].extend(x.to_be_bytes()));
        files[1].extend(q.to_le_bytes());
        files[2].extend(q.to_be_bytes());
    }
    for face in faces {
        files[0].extend(format!("7 {}", face.len()).bytes());
        face.iter().for_each(|v| files[0].extend(format!(" {v}").bytes()));
        files[0].push(b'\n');
        files[1].extend([7, face.len() as u8]);
        files[2].extend([7, face.len() as u8]);
        face.iter().for_each(|v| files[1].extend(v.to_le_bytes()));
        face.iter().for_each(|v| files[2].extend(v.to_be_bytes()));
    }
    files[0].push(b'9');
    files[1].extend([9, 0, 0, 0]);
    files[2].extend([0, 0, 0, 9]);
    let folder = folder();
    let read = files.map(|bytes| io::load_mesh(&put(folder.path(), "x", &bytes)).expect("valid"));
    assert_eq!(read[0].mesh.triangles(), [[0, 1, 2], [0, 2, 3], [0, 1, 4]]);
    assert_eq!(read[0].fields, [VertexField { name: "q".into(), values: vec![-2.0, -1.0, 0.0, 1.0, 2.0] }]);
    assert!(read.iter().all(|r| *r == read[0]));
}

#[test]
fn metaimage_keeps_every_voxel_type_both_orders_and_its_affine() {
    let geometry = "TransformMatrix = 0 1 0 -1 0 0 0 0.6 0.8\nOffset = 1 2 3\nElementSpacing = 0.5 0.25 2\n";
    for big in [false, true] {
        let order = format!("{geometry}BinaryDataByteOrderMSB = {}\n", if big { "True" } else { "False" });
        macro_rules! check {
            ($name:literal, $t:ty, $variant:ident, $as:ty) => {{
                let values: Vec<$t> = vec![0 as $t, 1 as $t, <$t>::MAX / 4096 as $t, 7 as $t, 3 as $t, 2 as $t, 5 as $t, 9 as $t];
                let bytes: Vec<u8> = values.iter().flat_map(|v| if big { v.to_be_bytes() } else { v.to_le_bytes() }).collect();
                let file = volume("v.mha", &mha($name, &order, &bytes));
                let AnyVolume::$variant(v) = &file.volume else { panic!("{} gave {}", $name, file.volume.voxel_type()) };
                assert_eq!(v.data(), values.iter().map(|&x| x as $as).collect::<Vec<$as>>(), "{} {big}", $name);
                let g = v.grid();
                assert_eq!(g.spacing_mm()[..2], [0.5, 0.25]);
                assert!((g.spacing_mm()[2] - 1.6).abs() < 1e-12, "slices are sheared: {:?}", g.spacing_mm());
                assert_eq!(g.physical(&Point3::new(2.0, 4.0, 1.0)), Point3::new(1.0 - 1.0, 2.0 + 1.0 + 1.2, 3.0 + 1.6));
            }};
        }
        check!("MET_SHORT", i16, I16, i16);
        check!("MET_USHORT", u16, U16, u16);
        check!("MET_INT", i32, I32, i32);
        check!("MET_UINT", u32, U32, u32);
        check!("MET_FLOAT", f32, F32, f32);
        check!("MET_DOUBLE", f64, F64, f64);
        check!("MET_LONG_LONG", i64, F64, f64);
        check!("MET_ULONG_LONG", u64, F64, f64);
    }
    assert_eq!(volume("v.mha", &mha("MET_CHAR", "", &[255; 8])).volume.voxel_type(), "i8");
}

#[test]
fn compressed_and_apart_is_the_same_image_as_plain_and_local() {
    let values: Vec<u8> = (0..8u16).flat_map(|v| (v * 1000).to_le_bytes()).collect();
    let plain = volume("p.mha", &mha("MET_USHORT", "", &values));
    let mut zlib = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::default());
    zlib.write_all(&values).expect("memory");
    let packed = volume("c.mha", &mha("MET_USHORT", "CompressedData = True\n", &zlib.finish().expect("memory")));
    let folder = folder();
    put(folder.path(), "voxels.raw", &values);
    let header = String::from_utf8(mha("MET_USHORT", "", &[])).expect("text").replace("LOCAL", "voxels.raw");
    let apart = io::load_volume(&put(folder.path(), "a.mhd", header.trim_end().as_bytes())).expect("valid");
    assert_eq!((&packed.volume, &apart.volume), (&plain.volume, &plain.volume));
    assert_eq!(apart.files.len(), 2, "both files are named for digests");
    assert_eq!(plain.values_sha256(), packed.values_sha256());
}

#[test]
fn nifti_is_carried_from_ras_to_lps_by_sform_and_qform() {
    let values: Vec<u8> = (0..8i16).flat_map(|v| (v * 100 - 300).to_le_bytes()).collect();
    // sform: i along -R (so +L), j along P, sheared k.
    let rows = [[-0.5f32, 0.0, 0.0, 10.0], [0.0, -0.25, 0.5, 20.0], [0.0, 0.0, 2.0, 30.0]];
    let file = volume("s.nii", &nifti(4, 16, Some(rows), &values));
    let AnyVolume::I16(v) = &file.volume else { panic!("{}", file.volume.voxel_type()) };
    assert_eq!(v.data(), [-300, -200, -100, 0, 100, 200, 300, 400]);
    assert_eq!(v.grid().origin(), Point3::new(-10.0, -20.0, 30.0));
    assert_eq!(v.grid().axes().column(0).into_owned(), Vector3::new(0.5, 0.0, 0.0));
    assert_eq!(v.grid().axes().column(1).into_owned(), Vector3::new(0.0, 0.25, 0.0));
    assert_eq!(v.grid().axes().column(2).into_owned(), Vector3::new(0.0, -0.5, 2.0));
    assert_eq!((v.rescale().slope, v.rescale().intercept), (2.0, -1.0));
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    gzip.write_all(&nifti(4, 16, Some(rows), &values)).expect("memory");
    assert_eq!(volume("s.nii.gz", &gzip.finish().expect("memory")).volume, file.volume);
    // qform: half a turn about z (quaternion 0 0 0 1) is the identity in LPS.
    let turned = volume("q.nii", &nifti(4, 16, None, &values));
    assert_eq!(turned.volume.grid(), &Grid::aligned([2, 2, 2], [1.5, 2.0, 2.5], Point3::new(-1.0, -2.0, 3.0)).expect("valid"));
}

#[test]
fn a_dicom_series_is_ordered_by_position_and_keeps_its_tilt() {
    let folder = folder();
    let shear = 0.5;
    for k in 0..5i16 {
        let z = f64::from(k) * 2.0;
        let slice = Dicom { position: [1.0, 2.0 + shear * z, 3.0 + z], values: vec![k * 10 - 1000, k, k, k, k, k], ..Dicom::default() };
        put(folder.path(), &format!("{}", (k * 3) % 5), &slice.bytes());
    }
    put(folder.path(), "notes.txt", b"not an image");
    let file = io::load_volume(folder.path()).expect("a series");
    let grid = file.volume.grid();
    assert_eq!((grid.dims(), grid.origin()), ([3, 2, 5], Point3::new(1.0, 2.0, 3.0)));
    // PixelSpacing gives the distance of rows first.
    assert_eq!(grid.axes().column(0).into_owned(), Vector3::new(0.5, 0.0, 0.0));
    assert_eq!(grid.axes().column(1).into_owned(), Vector3::new(0.0, 0.75, 0.0));
    assert_eq!(grid.axes().column(2).into_owned(), Vector3::new(0.0, 1.0, 2.0));
    assert!((grid.spacing_mm()[2] - 2.0).abs() < 1e-12 && (grid.shear_degrees() - 0.5f64.atan().to_degrees()).abs() < 1e-9);
    let AnyVolume::I16(v) = &file.volume else { panic!("{}", file.volume.voxel_type()) };
    assert_eq!((0..5).map(|k| v.at(0, 0, k)).collect::<Vec<_>>(), [-1000, -990, -980, -970, -960]);
    assert_eq!((v.rescale().slope, v.rescale().intercept), (1.0, -24.0));
    assert_eq!((file.modality.as_deref(), codes(&file)), (Some("CT"), vec!["ct.other_files", "ct.slice_gaps", "ct.tilted"]));
    assert!(file.measurable(&[]).is_ok());
    assert!(file.facts.values().all(|v| !v.contains("Doe")), "no identity is kept: {:?}", file.facts);
}

/// Slices at the given heights, changed by the caller.
fn series(heights: &[f64], change: impl Fn(usize, &mut Dicom)) -> VolumeFile {
    let folder = folder();
    for (k, &z) in heights.iter().enumerate() {
        let mut slice = Dicom { position: [0.0, 0.0, z], instance: k as i32, ..Dicom::default() };
        change(k, &mut slice);
        put(folder.path(), &format!("{k}.dcm"), &slice.bytes());
    }
    io::load_volume(folder.path()).expect("it can be looked at")
}

#[test]
fn a_series_that_is_no_even_stack_is_shown_but_not_measured() {
    let untouched = |_: usize, _: &mut Dicom| {};
    let even = [0.0, 1.0, 2.0, 3.0];
    for (found, file) in [
        ("ct.missing_slice", series(&[0.0, 1.0, 2.0, 4.0, 5.0], untouched)),
        ("ct.missing_slice", series(&[0.0, 1.0, 2.0, 7.004, 8.004], untouched)),
        ("ct.duplicate_slice", series(&[0.0, 1.0, 1.0, 2.0, 3.0], untouched)),
        ("ct.uneven_spacing", series(&[0.0, 1.0, 2.0, 3.7, 4.7], untouched)),
        ("ct.uneven_spacing", series(&even, |k, s| s.position[0] = if k == 2 { 0.3 } else { 0.0 })),
        ("ct.not_a_volume", series(&[5.0, 5.0, 5.0, 5.0], untouched)),
        ("ct.too_few_slices", series(&[0.0, 1.0], untouched)),
        ("ct.too_few_slices", series(&[0.0], untouched)),
        ("ct.mixed_orientation", series(&even, |k, s| s.turned = k == 1)),
        ("ct.mixed_series", series(&even, |k, s| s.series = if k < 2 { "1.2.3".into() } else { "1.2.4".into() })),
        ("ct.no_geometry", series(&even, |_, s| s.placed = false)),
    ] {
        let stops: Vec<&str> =
            file.findings.iter().filter(|f| f.severity == verimetry_engine::finding::Severity::Stop).map(|f| f.code.as_str()).collect();
        // Two of each series are also too few.
        assert_eq!(
            stops.iter().filter(|c| **c != "ct.too_few_slices" || found == "ct.too_few_slices").copied().collect::<Vec<_>>(),
            [found],
            "{:?}",
            file.findings
        );
        assert_eq!(file.measurable(&[]).expect_err(found).class, verimetry_engine::Class::Input);
    }
    let accepted = series(&[0.0, 1.0, 2.0, 3.7, 4.7], untouched);
    assert!(accepted.measurable(&["ct.uneven_spacing".into()]).is_ok());
    let unknown = series(&[0.0], untouched);
    assert!(unknown.measurable(&["ct.too_few_slices".into()]).is_err(), "a step that nobody knows cannot be accepted");
}

#[test]
fn what_qualifies_a_series_is_found() {
    let even = [0.0, 1.0, 2.0];
    assert_eq!(codes(&series(&even, |_, _| {})), Vec::<&str>::new());
    assert_eq!(codes(&series(&even, |_, s| s.modality = "MR".into())), ["ct.not_ct"]);
    assert_eq!(codes(&series(&even, |_, s| s.lossy = true)), ["ct.lossy"]);
    assert_eq!(codes(&series(&even, |_, s| s.rescale = None)), ["ct.not_hounsfield"]);
    assert_eq!(codes(&series(&even, |_, s| s.values = vec![30; 6])), Vec::<&str>::new(), "an object that fills the image leaves no air");
    let clipped =
        |_: usize, s: &mut Dicom| (s.rows, s.columns, s.values) = (10, 10, (0..100).map(|v| if v < 50 { -1000 } else { 4095 }).collect());
    assert_eq!(codes(&series(&even, clipped)), ["ct.saturated"]);
}

#[test]
fn rescales_that_differ_come_onto_one_scale_without_rounding() {
    let file = series(&[0.0, 1.0, 2.0], |k, s| s.rescale = Some([k as f64 + 1.5, -1000.0]));
    let AnyVolume::I32(v) = &file.volume else { panic!("{}", file.volume.voxel_type()) };
    assert_eq!((0..3).map(|k| v.rescale().physical(f64::from(v.at(1, 0, k)))).collect::<Vec<_>>(), [-985.0, -975.0, -965.0]);
    assert_eq!(codes(&file), ["ct.rescale_varies"]);
}

#[test]
fn other_byte_orders_of_dicom_give_the_same_digest() {
    let syntaxes = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"];
    let digests = syntaxes.map(|uid| series(&[0.0, 1.0, 2.0], |_, s| s.syntax = uid.into()).values_sha256());
    assert!(digests.iter().all(|d| *d == digests[0] && d.len() == 64), "{digests:?}");
}

#[test]
fn stored_bits_are_told_from_the_bits_beside_them() {
    // 12 bits stored, sign in the twelfth, an overlay above.
    let file = series(&[0.0, 1.0, 2.0], |_, s| (s.bits_stored, s.values) = (12, vec![0x7FFF, 0x1800u16 as i16, 0, 1, 2, 3]));
    let AnyVolume::I16(v) = &file.volume else { panic!("{}", file.volume.voxel_type()) };
    assert_eq!(v.data()[..3], [-1, -2048, 0]);
}

#[test]
fn inspect_writes_the_keys_of_its_contract() {
    let folder = folder();
    let paths =
        [put(folder.path(), "part.stl", &cube_stl(b"")), put(folder.path(), "v.mha", &mha("MET_UCHAR", "", &[7, 1, 2, 3, 4, 5, 6, 9]))];
    let json = serde_json::to_value(verimetry_engine::inspect::inspect(&paths).expect("valid")).expect("serialisable");
    let cube = &json["items"][0];
    assert_eq!(cube["kind"], "mesh");
    assert_eq!((cube["vertices"].as_u64(), cube["closed"].as_bool(), cube["volume_mm3"].as_f64()), (Some(8), Some(true), Some(1000.0)));
    let v = &json["items"][1];
    assert_eq!((v["kind"].as_str(), v["format"].as_str(), v["voxel_type"].as_str()), (Some("volume"), Some("metaimage"), Some("u8")));
    assert_eq!((v["value_min"].as_f64(), v["value_max"].as_f64(), v["dims"].to_string()), (Some(1.0), Some(9.0), "[2,2,2]".into()));
    assert_eq!(json["findings"].as_array().map(Vec::len), Some(0));
}

/// The bytes with some of them replaced, and cut off at a place.
fn damaged(mut bytes: Vec<u8>, flips: &[(prop::sample::Index, u8)], cut: Option<prop::sample::Index>) -> Vec<u8> {
    for (at, value) in flips {
        let at = at.index(bytes.len());
        bytes[at] = *value;
    }
    if let Some(keep) = cut {
        bytes.truncate(keep.index(bytes.len()));
    }
    bytes
}

/// Any bytes give a result or an error, quickly; so do valid files with some bytes changed or the end cut off.
fn survives(name: &str, bytes: &[u8]) {
    let folder = folder();
    let _ = io::load(&put(folder.path(), name, bytes)).map(|loaded| match loaded {
        Loaded::Mesh(m) | Loaded::Cloud(m) => drop(health::examine(&m.mesh)),
        Loaded::Volume(v) => drop(v.values_sha256()),
    });
}

fn seeds() -> Vec<Vec<u8>> {
    let ascii =
        b"solid a\nfacet normal 0 0 0\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\nendsolid a\n".to_vec();
    let ply = b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0 1 0 0 0 1 0 3 0 1 2\n".to_vec();
    let mut binary = b"ply\nformat binary_big_endian 1.0\nelement vertex 3\nproperty double x\nproperty float y\nproperty char z\nelement face 1\nproperty list ushort short vertex_index\nend_header\n".to_vec();
    binary.extend([0; 3 * 13]);
    binary.extend([0, 3, 0, 0, 0, 1, 0, 2]);
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    gzip.write_all(&nifti(16, 32, None, &[0; 32])).expect("memory");
    let implicit = Dicom { syntax: "1.2.840.10008.1.2".into(), ..Dicom::default() };
    let rle = Dicom { syntax: "1.2.840.10008.1.2.5".into(), fragments: true, ..Dicom::default() };
    let jpeg = Dicom { syntax: "1.2.840.10008.1.2.4.70".into(), fragments: true, ..Dicom::default() };
    vec![
        cube_stl(b"solid"),
        ascii,
        ply,
        binary,
        mha("MET_FLOAT", "CompressedData = False\n", &[0; 32]),
        nifti(1024, 64, None, &[0; 64]),
        gzip.finish().expect("memory"),
        Dicom::default().bytes(),
        implicit.bytes(),
        rle.bytes(),
        jpeg.bytes(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("VERIMETRY_LONG").is_some() { 20_000 } else { 400 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_gives_a_result_or_an_error(seed in 0..11usize, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), keep in any::<prop::sample::Index>(), cut in any::<bool>()) {
        survives("x.stl", &damaged(seeds().swap_remove(seed), &flips, cut.then_some(keep)));
    }

    #[test]
    fn a_volume_is_read_back_as_it_was_written(values in prop::collection::vec(any::<i16>(), 8), spacing in 0.01..5.0f64) {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let file = volume("v.mha", &mha("MET_SHORT", &format!("ElementSpacing = {spacing} 1 1\n"), &bytes));
        let grid = Grid::aligned([2, 2, 2], [spacing, 1.0, 1.0], Point3::origin()).expect("valid");
        let expected = Volume::new(grid, verimetry_engine::volume::Rescale::IDENTITY, values).expect("valid");
        prop_assert_eq!(file.volume, AnyVolume::I16(expected));
    }
}

/// Real files that stand beside the checkout on some machines; said loudly where they do not.
fn real(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|a| a.join("shared/data").join(path)).find(|p| p.exists());
    if path.is_none() {
        eprintln!("SKIPPED: the real files (shared/data) are not here");
    }
    path
}

#[test]
fn real_meshes_have_their_known_size() {
    // Triangles, area and volume as other programs measure them.
    for (path, triangles, closed, volume, area) in [
        ("mesh/admesh_repair/basic.stl", 12, true, 61.0237, 93.0002),
        ("mesh/admesh_repair/binary.stl", 12, true, 61.0237, 93.0002),
        ("mesh/admesh_repair/normal-directions-good.stl", 12, true, -61.0237, 93.0002),
        ("mesh/assimp/cube_binary.ply", 12, true, 1.0, 6.0),
        ("mesh/assimp/cube_binary_header_with_RN_newline.ply", 12, true, 1.0, 6.0),
        ("mesh/assimp/sphereWithHole.stl", 285, false, f64::NAN, f64::NAN),
        ("mesh/bone_foot/footbones.ply", 4204, true, 18.5289, 107.587),
        ("mesh/broken_trimesh/plate_holes.STL", 1252, true, 767362.0, 133343.0),
        ("mesh/broken_trimesh/torus.STL", 8700, true, 4.91755, 19.7155),
        ("mesh/broken_trimesh/unit_cube.STL", 12, true, 1.0, 6.0),
        ("mesh/broken_trimesh/20mm-xyz-cube.stl", 260, true, 7938.68, 2499.02),
    ] {
        let Some(file) = real(path) else { return };
        let mesh = io::load_mesh(&file).unwrap_or_else(|e| panic!("{path}: {e}")).mesh;
        let health = health::examine(&mesh);
        assert_eq!((mesh.triangles().len(), health.closed()), (triangles, closed), "{path}: {health:?}");
        for (found, known) in [(mesh.volume_mm3(), volume), (mesh.area_mm2(), area)] {
            assert!(known.is_nan() || (found - known).abs() < 1e-5 * known.abs(), "{path}: {found} {known}");
        }
    }
}

#[test]
fn one_slice_has_one_digest_in_every_syntax_that_is_read() {
    let Some(folder) = real("ct/one_slice_many_syntaxes") else { return };
    let files: Vec<PathBuf> = std::fs::read_dir(folder).expect("the folder").flatten().map(|e| e.path()).collect();
    let read: Vec<_> = files.iter().map(|f| io::load_volume(f)).collect();
    let digests: Vec<String> = read.iter().flatten().map(VolumeFile::values_sha256).collect();
    let errors: Vec<_> = read.iter().filter_map(|r| r.as_ref().err()).collect();
    assert!(digests.len() == 6 && digests.iter().all(|d| *d == digests[0]), "{digests:?} {errors:?}");
}
