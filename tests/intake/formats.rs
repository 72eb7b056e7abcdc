//! NRRD, TIFF, raw voxels with a sidecar and NIfTI in two files: geometry, values, and slices one by one.

use std::io::Write;
use std::path::Path;

use nalgebra::{Matrix3, Point3};
use verimetry_engine::io::{self, VolumeFile};
use verimetry_engine::volume::{AnyVolume, with_volume};

use super::super::broken_files::{mha, nifti};
use super::super::{codes, folder, put};
use super::make::Tiff;

/// Every slice read alone, and all but the first together, have the bits of the whole volume; read slab by slab it has the same findings.
pub fn slices_are_those_of_the_whole(path: &Path) {
    let source = io::open_slices(path).expect("slices");
    let whole = io::load_volume(path).expect("a volume");
    assert_eq!(
        (source.grid(), source.rescale(), source.voxel_type().name()),
        (whole.volume.grid(), whole.volume.rescale(), whole.volume.voxel_type())
    );
    let [nx, ny, nz] = source.grid().dims();
    with_volume!(&whole.volume, v => {
        let mut slab = v.data()[..1].to_vec();
        for range in (0..nz).map(|k| k..k + 1).chain([1..nz, 0..0]) {
            slab.clear();
            source.read(range.clone(), &mut slab).expect("slices");
            assert_eq!(slab, v.data()[range.start * nx * ny..range.end * nx * ny], "{range:?}");
        }
        assert!(source.read(0..nz + 1, &mut slab).is_err(), "there are no more slices");
    });
    for at_once in [1, 2, 7, nz] {
        let values = source.values(at_once).expect("slices");
        let findings = [&source.findings[..], &values.findings].concat();
        assert_eq!((values.sha256, findings), (whole.values_sha256(), whole.findings.clone()), "{at_once} slices at once");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    gzip.write_all(bytes).expect("memory");
    gzip.finish().expect("memory")
}

fn values() -> Vec<i16> {
    (0..8).map(|v| v * 1000 - 3000).collect()
}

fn little() -> Vec<u8> {
    values().iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// An NRRD header of 2 x 2 x 2 voxels of 16 bits, with these lines, and its end.
fn nrrd(lines: &str) -> Vec<u8> {
    format!("NRRD0004\n# a comment\ntype: short\ndimension: 3\nsizes: 2 2 2\n{lines}\nwho:=made it\n\n").into_bytes()
}

const RAW: &str = "encoding: raw\nendian: little\nspacings: 1 1 1";

fn load(name: &str, bytes: &[u8]) -> VolumeFile {
    let folder = folder();
    io::load_volume(&put(folder.path(), name, bytes)).expect("a volume")
}

#[test]
fn the_encodings_of_nrrd_are_one_volume() {
    let plain = load("v.nrrd", &[nrrd(RAW), little()].concat());
    let AnyVolume::I16(v) = &plain.volume else { panic!("{}", plain.volume.voxel_type()) };
    assert_eq!(v.data(), values());
    let big: Vec<u8> = values().iter().flat_map(|v| v.to_be_bytes()).collect();
    let text = values().iter().map(i16::to_string).collect::<Vec<_>>().join(" \n");
    for (name, bytes) in [
        ("big", [nrrd(&RAW.replace("little", "big")), big].concat()),
        ("gzip", [nrrd(&RAW.replace("raw", "gzip")), gzip(&little())].concat()),
        ("text", [nrrd("encoding: ascii\nspacings: 1 1 1"), text.into_bytes()].concat()),
        ("skipped", [nrrd(&format!("{RAW}\nline skip: 2\nbyte skip: 3")), b"one\ntwo\nxyz".to_vec(), little()].concat()),
        ("from the end", [nrrd(&format!("{RAW}\nbyte skip: -1")), b"anything".to_vec(), little()].concat()),
    ] {
        assert_eq!(load("v.nrrd", &bytes).volume, plain.volume, "{name}");
    }
    let folder = folder();
    for (name, lines, data) in [("v.raw", RAW.to_string(), little()), ("v.raw.gz", RAW.replace("raw", "gzip"), gzip(&little()))] {
        put(folder.path(), name, &data);
        let header = nrrd(&format!("{lines}\ndata file: {name}"));
        let detached = io::load_volume(&put(folder.path(), "v.nhdr", header.trim_ascii_end())).expect("a volume");
        assert_eq!((&detached.volume, detached.files.len()), (&plain.volume, 2));
    }
}

#[test]
fn spaces_of_nrrd_become_lps_and_units_millimetres() {
    let read = |lines: &str| load("v.nrrd", &[nrrd(&format!("encoding: raw\nendian: little\n{lines}")), little()].concat());
    let directions = "space directions: (0.5,0,0) (0,2,0) (0,0.25,3)\nspace origin: (10,20,30)";
    for (space, [x, y]) in [("left-posterior-superior", [1.0, 1.0]), ("RAS", [-1.0, -1.0]), ("left-anterior-superior", [1.0, -1.0])] {
        let file = read(&format!("space: {space}\n{directions}"));
        let known = Matrix3::new(0.5 * x, 0.0, 0.0, 0.0, 2.0 * y, 0.25 * y, 0.0, 0.0, 3.0);
        assert_eq!((file.volume.grid().axes(), file.volume.grid().origin()), (&known, Point3::new(10.0 * x, 20.0 * y, 30.0)), "{space}");
        assert!(codes(&file).is_empty(), "{:?}", file.findings);
    }
    let microns = read("spacings: 500 500 700\nunits: \"um\" \"um\" \"um\"");
    assert!(microns.volume.grid().spacing_mm().iter().zip([0.5, 0.5, 0.7]).all(|(a, b)| (a - b).abs() < 1e-12));
    assert_eq!(codes(&microns), ["volume.no_orientation"]);
    assert_eq!(codes(&read("spacings: 1 1 1")), ["volume.unit_assumed", "volume.no_orientation"]);
    let without = read("content: a part");
    assert_eq!(codes(&without), ["ct.no_geometry", "volume.no_orientation"]);
    assert_eq!(without.measurable(&["ct.no_geometry".into()]).expect_err("nobody knows").code, "ct.no_geometry");
}

#[test]
fn what_an_nrrd_header_cannot_mean_is_refused() {
    let folder = folder();
    let refused = |lines: &str| {
        let bytes = [nrrd(lines), little()].concat();
        io::load_volume(&put(folder.path(), "v.nrrd", &bytes)).expect_err(lines).code
    };
    assert_eq!(refused(&RAW.replace("raw", "bzip2")), "file.malformed");
    assert_eq!(refused("encoding: raw\nspacings: 1 1 1"), "file.malformed", "no byte order");
    assert_eq!(refused(&format!("{RAW}\ndata file: ../v.raw")), "volume.data_file");
    assert_eq!(refused(&RAW.replace("1 1 1", "1 0 1")), "file.malformed");
    assert_eq!(refused(&format!("{RAW}\nspace units: \"mm\" \"mm\" \"s\"")), "file.malformed");
    assert_eq!(refused(&format!("{RAW}\nspace directions: (1,0,0) (2,0,0) (0,0,1)")), "volume.geometry");
    let cut = [nrrd(RAW), vec![0; 15]].concat();
    assert_eq!(io::load_volume(&put(folder.path(), "v", &cut)).expect_err("cut").code, "file.truncated");
    let vast = String::from_utf8(nrrd(&RAW.replace("raw", "gzip"))).expect("text").replace("2 2 2", "90000 90000 90000");
    assert_eq!(io::load_volume(&put(folder.path(), "v", vast.as_bytes())).expect_err("vast").code, "file.truncated");
    let colours = String::from_utf8(nrrd(RAW)).expect("text").replace("dimension: 3\nsizes: 2 2 2", "dimension: 4\nsizes: 3 2 2 2");
    assert_eq!(io::load_volume(&put(folder.path(), "v", colours.as_bytes())).expect_err("colours").code, "volume.dimensions");
}

/// Three pages of 3 x 2 values of so many bytes.
fn pages(width: usize) -> Vec<Vec<u8>> {
    (0..3u8).map(|k| (0..6 * width).map(|b| if b % width == 0 { 10 * k + (b / width) as u8 } else { 0 }).collect()).collect()
}

const IMAGEJ: &str = "ImageJ=1.53\nimages=3\nslices=3\nunit=mm\nspacing=0.04\n";

#[test]
fn pages_of_every_type_and_packing_are_one_volume_with_the_steps_imagej_wrote() {
    for (bits, format, name) in [(8, 1, "u8"), (8, 2, "i8"), (16, 1, "u16"), (16, 2, "i16"), (32, 1, "u32"), (32, 2, "i32")] {
        for (big, compression) in [(false, 1), (true, 1), (false, 8), (true, 32773)] {
            let tiff = Tiff { big, bits, format, compression, description: IMAGEJ, resolution: Some([50, 1]) };
            let file = load("t.tif", &tiff.bytes(&pages(usize::from(bits) / 8)));
            assert_eq!((file.volume.grid().dims(), file.volume.voxel_type(), file.format), ([3, 2, 3], name, "tiff"));
            assert_eq!(file.volume.grid().spacing_mm(), [0.02, 0.02, 0.04], "{name} {big} {compression}");
            with_volume!(&file.volume, v => {
                let found: Vec<f64> = v.data().iter().map(|&x| verimetry_engine::volume::Voxel::to_f64(x)).collect();
                assert_eq!(found, (0..18).map(|i| f64::from(10 * (i / 6) + i % 6)).collect::<Vec<_>>());
            });
            assert_eq!(codes(&file), ["volume.no_orientation"]);
        }
    }
    let floats: Vec<Vec<u8>> = (0..3).map(|k| (0..6).flat_map(|i| (k as f32 + i as f32 / 8.0).to_le_bytes()).collect()).collect();
    let file = load("t.tif", &Tiff { bits: 32, format: 3, description: IMAGEJ, ..Tiff::default() }.bytes(&floats));
    assert_eq!((file.volume.voxel_type(), codes(&file)), ("f32", vec!["volume.no_orientation", "ct.no_geometry"]));
}

#[test]
fn a_printers_resolution_is_not_believed_and_a_sidecar_is() {
    let folder = folder();
    let path = put(folder.path(), "t.tif", &Tiff { resolution: Some([72, 1]), ..Tiff::default() }.bytes(&pages(2)));
    let file = io::load_volume(&path).expect("it can be looked at");
    assert_eq!((file.assumed_steps, codes(&file)), ([true; 3], vec!["volume.no_orientation", "ct.no_geometry"]));
    put(folder.path(), "t.toml", b"spacing_mm = [0.1, 0.2, 0.3]\nslope = 2.0\nmodality = \"CT\"\n");
    let file = io::load_volume(&path).expect("a volume");
    assert_eq!((file.volume.grid().spacing_mm(), file.volume.rescale().slope), ([0.1, 0.2, 0.3], 2.0));
    assert_eq!((codes(&file), file.modality.as_deref()), (vec!["volume.no_orientation"], Some("CT")));
}

#[test]
fn a_hyperstack_and_colours_are_refused() {
    let folder = folder();
    let channels = IMAGEJ.replace("slices=3", "channels=3");
    let bytes = Tiff { description: &channels, ..Tiff::default() }.bytes(&pages(2));
    assert_eq!(io::load_volume(&put(folder.path(), "t", &bytes)).expect_err("channels").code, "volume.dimensions");
    let mut bytes = Tiff::default().bytes(&pages(2));
    bytes.truncate(bytes.len() - 60);
    assert!(io::load_volume(&put(folder.path(), "t", &bytes)).is_err());
}

#[test]
fn a_folder_of_tiff_slices_is_ordered_by_number_and_none_may_be_missing() {
    let stack = |numbers: &[&str]| {
        let folder = folder();
        for n in numbers {
            let value = n.parse::<u8>().expect("a number");
            put(folder.path(), &format!("part_{n}.tif"), &Tiff { bits: 8, ..Tiff::default() }.bytes(&[vec![value; 6]]));
        }
        put(folder.path(), "voxels.toml", b"spacing_mm = [0.1, 0.1, 0.1]\n");
        put(folder.path(), "notes.txt", b"anything");
        slices_are_those_of_the_whole(folder.path());
        io::load_volume(folder.path()).expect("it can be looked at")
    };
    let file = stack(&["9", "10", "11", "8"]);
    let AnyVolume::U8(v) = &file.volume else { panic!("{}", file.volume.voxel_type()) };
    assert_eq!((0..4).map(|k| v.at(0, 0, k)).collect::<Vec<_>>(), [8, 9, 10, 11]);
    assert_eq!(codes(&file), ["volume.no_orientation"]);
    assert_eq!(codes(&stack(&["1", "2", "4", "5"]))[0], "ct.missing_slice");
    assert_eq!(codes(&stack(&["1", "2", "02", "3"]))[0], "ct.duplicate_slice");
}

#[test]
fn raw_voxels_are_what_their_sidecar_says() {
    let folder = folder();
    let big: Vec<u8> = values().iter().flat_map(|v| v.to_be_bytes()).collect();
    let path = put(folder.path(), "part.raw", &[b"head".to_vec(), big].concat());
    assert_eq!(io::load_volume(&path).expect_err("nothing says what it is").code, "file.unknown_format");
    let sidecar = "dims = [2, 2, 2]\nvoxel_type = \"i16\"\nendian = \"big\"\nheader_bytes = 4\nspacing_mm = [0.1, 0.2, 0.3]\norigin_mm = [1, 2, 3]\nslope = 0.5\nintercept = -10\n";
    put(folder.path(), "part.toml", sidecar.as_bytes());
    let file = io::load_volume(&path).expect("a volume");
    let AnyVolume::I16(v) = &file.volume else { panic!("{}", file.volume.voxel_type()) };
    assert_eq!((v.data(), v.grid().spacing_mm(), v.grid().origin()), (&values()[..], [0.1, 0.2, 0.3], Point3::new(1.0, 2.0, 3.0)));
    assert_eq!((v.rescale().physical(2.0), file.format, file.files.len()), (-9.0, "raw", 2));
    slices_are_those_of_the_whole(&path);
    for (from, to, code) in [
        ("[2, 2, 2]", "[2, 2, 3]", "file.truncated"),
        ("i16", "i12", "volume.sidecar"),
        ("[0.1, 0.2, 0.3]", "[0.1, 0.2, 0.0]", "volume.geometry"),
        ("slope = 0.5", "slope = 0.0", "volume.rescale"),
        ("slope", "gradient", "volume.sidecar"),
        ("[2, 2, 2]", "[4000000000, 4000000000, 4000000000]", "volume.geometry"),
    ] {
        put(folder.path(), "part.toml", sidecar.replace(from, to).as_bytes());
        assert_eq!(io::load_volume(&path).expect_err(to).code, code, "{to}");
    }
}

#[test]
fn nifti_in_two_files_is_nifti_in_one() {
    let one = nifti(4, 16, None, &little());
    let (mut header, voxels) = (one[..348].to_vec(), &one[352..]);
    header[344..348].copy_from_slice(b"ni1\0");
    header[108..112].copy_from_slice(&0f32.to_le_bytes());
    let folder = folder();
    let whole = io::load_volume(&put(folder.path(), "one.nii", &one)).expect("a volume");
    let (hdr, img) = (put(folder.path(), "two.hdr", &header), put(folder.path(), "two.img", voxels));
    for path in [&hdr, &img] {
        let two = io::load_volume(path).expect("a volume");
        assert_eq!((&two.volume, two.files.len()), (&whole.volume, 2));
        slices_are_those_of_the_whole(path);
    }
    std::fs::remove_file(img).expect("it was there");
    put(folder.path(), "two.img.gz", &gzip(voxels));
    assert_eq!(io::load_volume(&hdr).expect("a volume").volume, whole.volume);
}

#[test]
fn slices_come_from_every_format_that_is_not_packed_as_one_stream() {
    let folder = folder();
    let floats: Vec<u8> = (0..8).flat_map(|v| (v as f32 * 0.25).to_be_bytes()).collect();
    let wide: Vec<u8> = (0..8i64).flat_map(|v| (v - 3).to_le_bytes()).collect();
    for (name, bytes) in [
        ("a.mha", mha("MET_SHORT", "", &little())),
        ("b.mha", mha("MET_FLOAT", "BinaryDataByteOrderMSB = True\n", &floats)),
        ("c.mha", mha("MET_LONG_LONG", "", &wide)),
        ("d.nii", nifti(4, 16, None, &little())),
        ("e.nrrd", [nrrd(RAW), little()].concat()),
        ("f.tif", Tiff::default().bytes(&pages(2))),
        ("g.tif", Tiff { compression: 8, ..Tiff::default() }.bytes(&pages(2))),
    ] {
        slices_are_those_of_the_whole(&put(folder.path(), name, &bytes));
    }
    for (name, bytes) in
        [("h.nii.gz", gzip(&nifti(4, 16, None, &little()))), ("i.nrrd", [nrrd(&RAW.replace("raw", "gzip")), gzip(&little())].concat())]
    {
        assert_eq!(io::open_slices(&put(folder.path(), name, &bytes)).expect_err(name).code, "file.not_streamable");
    }
}
