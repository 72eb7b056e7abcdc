//! DICOM as the standard allows it and as files have it.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use verimetry_engine::io;

use super::super::{codes, folder, put};
use super::make::{self, CT, EXPLICIT, Object, bits, bytes_of, enhanced, file, fragments, image, numbers, sequence, short, slice, text};
use nalgebra::Point3;
use verimetry_engine::io::VolumeFile;
use verimetry_engine::volume::{AnyVolume, with_volume};

/// Three slices from bottom to top, as objects.
fn stack() -> Vec<Object> {
    (0..3).map(|k| slice(f64::from(k) * 2.0, &[-1000, k as i16, 1, 2, 3, 100])).collect()
}

/// A folder of objects under names in any order.
fn read(objects: &[Object], syntax: &str) -> Result<VolumeFile, verimetry_engine::Error> {
    let folder = folder();
    for (n, o) in objects.iter().enumerate() {
        put(folder.path(), &format!("{}", (n * 7 + 3) % 11), &file(o, syntax));
    }
    io::load_volume(folder.path())
}

/// All slices changed alike.
fn changed(change: impl Fn(usize, &mut Object)) -> VolumeFile {
    let mut objects = stack();
    objects.iter_mut().enumerate().for_each(|(k, o)| change(k, o));
    read(&objects, EXPLICIT).expect("it can be looked at")
}

fn physical(file: &VolumeFile) -> Vec<f64> {
    with_volume!(&file.volume, v => v.data().iter().map(|&x| v.rescale().physical(verimetry_engine::volume::Voxel::to_f64(x))).collect())
}

#[test]
fn an_enhanced_image_is_the_volume_of_its_single_slices_in_order_of_position() {
    let single = read(&stack(), EXPLICIT).expect("a series");
    // Frames from top, bottom, middle.
    let values: Vec<i16> = [2i16, 0, 1].iter().flat_map(|&k| [-1000, k, 1, 2, 3, 100]).collect();
    let multi = enhanced(&[(4.0, "1"), (0.0, "1"), (2.0, "1")], &values);
    for syntax in [EXPLICIT, "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"] {
        let found = read(std::slice::from_ref(&multi), syntax).expect("a volume");
        assert_eq!(found.volume, single.volume, "{syntax}");
        assert_eq!(found.values_sha256(), single.values_sha256());
        assert_eq!(codes(&found), Vec::<&str>::new());
        assert_eq!((found.facts.get("kvp").map(String::as_str), found.files.len()), (Some("110"), 1));
    }
    assert_eq!(single.volume.grid().origin(), Point3::new(1.0, 2.0, 0.0));
}

#[test]
fn fragments_make_frames_one_by_one_or_by_the_offset_table() {
    // Run lengths without runs: a table of two byte planes, then 6 literal bytes of each.
    let rle = |values: &[i16; 6]| -> Vec<u8> {
        let mut out: Vec<u8> = [2u32, 64, 72].iter().chain(&[0; 13]).flat_map(|n| n.to_le_bytes()).collect();
        for shift in [8, 0] {
            out.push(5);
            out.extend(values.iter().map(|v| (v >> shift) as u8));
            out.push(0x80);
        }
        out
    };
    let frames: Vec<[i16; 6]> = (0..3).map(|k| [-1000, k, 1, 2, 3, 100]).collect();
    let plain = enhanced(&[(0.0, "1"), (2.0, "1"), (4.0, "1")], &frames.concat());
    let expected = read(&[plain], EXPLICIT).expect("a volume");
    let packed: Vec<Vec<u8>> = frames.iter().map(rle).collect();
    let mut whole = enhanced(&[(0.0, "1"), (2.0, "1"), (4.0, "1")], &[]);
    fragments(&mut whole, vec![], packed.clone());
    assert_eq!(read(&[whole], "1.2.840.10008.1.2.5").expect("a volume").volume, expected.volume);
    // The second frame in two fragments.
    let (a, b) = packed[1].split_at(70);
    let mut split = enhanced(&[(0.0, "1"), (2.0, "1"), (4.0, "1")], &[]);
    fragments(&mut split, vec![0, 88, 88 + 8 + 70 + 8 + 10], vec![packed[0].clone(), a.to_vec(), b.to_vec(), packed[2].clone()]);
    assert_eq!(read(&[split.clone()], "1.2.840.10008.1.2.5").expect("a volume").volume, expected.volume);
    fragments(&mut split, vec![], vec![packed[0].clone(), a.to_vec(), b.to_vec(), packed[2].clone()]);
    assert_eq!(read(&[split], "1.2.840.10008.1.2.5").expect_err("nothing says how").code, "file.malformed");
}

#[test]
fn a_deflated_data_set_is_read_like_any_other() {
    let plain = read(&stack(), EXPLICIT).expect("a series");
    assert_eq!(read(&stack(), "1.2.840.10008.1.2.1.99").expect("deflated").volume, plain.volume);
}

#[test]
fn frames_without_positions_are_refused_by_name() {
    let mut o = enhanced(&[(0.0, "1"), (2.0, "1"), (4.0, "1")], &[0; 18]);
    o.remove_element(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    assert_eq!(read(&[o], EXPLICIT).expect_err("a sequence of pictures").code, "dicom.multi_frame");
    let mut capture = image("1.2.840.10008.5.1.4.1.1.7.3", &[0; 18]);
    text(&mut capture, tags::NUMBER_OF_FRAMES, VR::IS, "3");
    assert_eq!(read(&[capture], EXPLICIT).expect_err("captures").code, "dicom.multi_frame");
}

#[test]
fn stacks_and_series_are_kept_apart_and_one_is_chosen_by_name() {
    let frames = [(0.0, "1"), (1.0, "1"), (2.0, "1"), (9.0, "2"), (8.0, "2"), (7.0, "2")];
    let two = read(&[enhanced(&frames, &[0; 36])], EXPLICIT).expect("it can be looked at");
    assert_eq!((codes(&two), two.volume.grid().dims()), (vec!["ct.mixed_series"], [3, 2, 3]));

    let folder = folder();
    for (n, mut o) in stack().into_iter().chain(stack()).chain([image(CT, &[0; 6])]).enumerate() {
        text(&mut o, tags::SERIES_NUMBER, VR::IS, &(n / 3).to_string());
        text(&mut o, tags::SERIES_INSTANCE_UID, VR::UI, &format!("1.2.{}", n / 3));
        put(folder.path(), &format!("{n}"), &file(&o, EXPLICIT));
    }
    let of = |series: &str| io::load_volume(std::path::Path::new(&format!("{}#{series}", folder.path().display())));
    let asked = io::load_volume(folder.path()).expect("it can be looked at");
    assert_eq!(codes(&asked), ["ct.mixed_series"]);
    assert!(asked.findings[0].message.contains("#0: 3 CT 3 x 2, #1: 3 CT 3 x 2"), "{}", asked.findings[0].message);
    for series in ["1", "1.2.1"] {
        assert_eq!(codes(&of(series).expect("series 1")), Vec::<&str>::new());
    }
    assert_eq!(of("8").expect_err("no series 8").code, "dicom.series_not_found");
}

#[test]
fn the_only_ct_volume_of_a_folder_is_taken_and_said_so() {
    let mut objects = stack();
    let mut scout = slice(0.0, &[0; 6]);
    text(&mut scout, tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\LOCALIZER");
    text(&mut scout, tags::SERIES_INSTANCE_UID, VR::UI, "1.2.9");
    objects.push(scout);
    assert_eq!(codes(&read(&objects, EXPLICIT).expect("a volume")), ["ct.other_series"]);
}

#[test]
fn whole_numbers_of_8_to_32_bits_are_read_with_their_sign() {
    for (allocated, signed, bytes, name, expected) in [
        (8, false, vec![0, 1, 2, 3, 4, 255], "u8", 255.0),
        (8, true, vec![0, 1, 2, 3, 4, 255], "i8", -1.0),
        (16, false, [0u16, 1, 2, 3, 4, 65535].iter().flat_map(|v| v.to_le_bytes()).collect(), "u16", 65535.0),
        (32, true, [0i32, 1, 2, 3, 4, -70000].iter().flat_map(|v| v.to_le_bytes()).collect(), "i32", -70000.0),
        (32, false, [0u32, 1, 2, 3, 4, 4_000_000_000].iter().flat_map(|v| v.to_le_bytes()).collect(), "u32", 4e9),
    ] {
        let found = changed(|_, o| {
            bits(o, [allocated, allocated, allocated - 1], signed);
            bytes_of(o, &bytes);
        });
        assert_eq!((found.volume.voxel_type(), physical(&found)[5]), (name, expected - 1024.0));
    }
}

#[test]
fn values_are_taken_from_the_stored_bits_wherever_they_stand() {
    // 12 bits at the top of 16, an overlay in the lowest.
    let found = changed(|_, o| {
        bits(o, [16, 12, 15], true);
        bytes_of(o, &[0xF1, 0xFF, 0x1F, 0x00, 0x0F, 0x80, 0, 0, 0, 0, 0, 0]);
    });
    assert_eq!(physical(&found)[..3], [-1.0 - 1024.0, 1.0 - 1024.0, -2048.0 - 1024.0]);
}

#[test]
fn padding_is_said_and_stops_where_it_would_be_material() {
    let padded = |value: i16, seen: i64| {
        changed(|_, o| {
            short(o, tags::PIXEL_PADDING_VALUE, seen as u16);
            let values: Vec<u8> = [value, 0, 1000, 2000, 3000, value].iter().flat_map(|v| v.to_le_bytes()).collect();
            bytes_of(o, &values);
        })
    };
    assert_eq!(codes(&padded(-2000, -2000)), ["ct.padding"]);
    assert_eq!(codes(&padded(-2000, 63536)), ["ct.padding"], "the attribute's sign is that of the pixels");
    assert_eq!(codes(&padded(-2000, -3000)), Vec::<&str>::new(), "a value that is not there");
    let bright = padded(3071, 3071);
    assert_eq!(codes(&bright), ["ct.padding_as_material"]);
    assert_eq!(bright.measurable(&[]).expect_err("a stop").code, "ct.padding_as_material");
    let limited = changed(|_, o| {
        short(o, tags::PIXEL_PADDING_VALUE, 62536);
        short(o, tags::PIXEL_PADDING_RANGE_LIMIT, 64536);
    });
    assert!(limited.findings[0].message.starts_with("3 voxels hold the padding value -4024 to -2024"), "{}", limited.findings[0].message);
}

/// A ball of 4000 in air of 24 with noise, in 64 slices of 48 x 48 pixels; `change` has the place and the value.
fn ball(folder: &std::path::Path, padding: i16, change: impl Fn([usize; 3], i16) -> i16) {
    for k in 0..64usize {
        let value = |n: usize| {
            let at = [n % 48, n / 48, k];
            let middle = [24.2, 23.7, 31.9];
            let r = (0..3).map(|a| (at[a] as f64 - middle[a]) * (at[a] as f64 - middle[a])).sum::<f64>().sqrt();
            let noise = ((n + 48 * 48 * k).wrapping_mul(2_654_435_761) >> 7 & 31) as i16;
            change(at, 24 + (((15.0 - r) / 2.0 + 0.5).clamp(0.0, 1.0) * 4000.0) as i16 + noise)
        };
        let bytes: Vec<u8> = (0..48 * 48).flat_map(|n| value(n).to_le_bytes()).collect();
        let mut o = slice(k as f64 * 0.75, &[]);
        [tags::ROWS, tags::COLUMNS].into_iter().for_each(|tag| short(&mut o, tag, 48));
        numbers(&mut o, tags::PIXEL_SPACING, &[0.75, 0.75]);
        short(&mut o, tags::PIXEL_PADDING_VALUE, padding as u16);
        bytes_of(&mut o, &bytes);
        put(folder, &format!("{k}"), &file(&o, EXPLICIT));
    }
}

#[test]
fn a_surface_read_slab_by_slab_stops_and_qualifies_for_the_same_reasons_as_the_whole() {
    use verimetry_engine::load::{Source, surface_of};
    use verimetry_engine::runtime::Runtime;
    let both = |folder: &std::path::Path| {
        let of = |rt: Runtime| {
            let found = surface_of("scan", &Source::new(folder), &[], &rt);
            let notes = rt.notes();
            (found.map(|(surface, record, findings)| (surface.mesh, record, findings)), notes)
        };
        let (whole, streamed) = (of(Runtime::cpu()), of(Runtime::cpu().memory_budget(Some(Runtime::overhead_bytes() + (9 << 20)))));
        assert!(whole.1.is_empty() && streamed.1[0].contains("slices at a time"), "{:?}", streamed.1);
        (whole.0, streamed.0)
    };
    let corner = |[i, j, _]: [usize; 3]| i + j < 12;
    // Padding in the corners of the slices, and material clipped at the highest code of 12 bits.
    let folder = super::super::folder();
    ball(folder.path(), -2000, |at, v| if corner(at) { -2000 } else { (v + 80).min(4095) });
    let (whole, streamed) = both(folder.path());
    let (whole, streamed) = (whole.expect("a surface"), streamed.expect("a surface"));
    assert!(whole.0 == streamed.0 && whole.1 == streamed.1);
    assert_eq!(whole.2, streamed.2);
    let codes: Vec<&str> = whole.2.iter().map(|f| f.code.as_str()).collect();
    assert!(codes.contains(&"ct.padding") && codes.contains(&"ct.saturated"), "{codes:?}");
    // Padding that reads as material.
    let folder = super::super::folder();
    ball(folder.path(), 3000, |at, v| if corner(at) { 3000 } else { v });
    let (whole, streamed) = both(folder.path());
    let stop = whole.map(drop).expect_err("a stop");
    assert_eq!((stop.code, streamed.map(drop).expect_err("a stop")), ("ct.padding_as_material", stop.clone()));
}

#[test]
fn a_directory_stands_for_the_images_of_its_folder() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("A")).expect("a folder");
    for (n, o) in stack().iter().enumerate() {
        put(&folder.path().join("A"), &format!("{n}"), &file(o, EXPLICIT));
    }
    let mut directory = Object::new_empty();
    text(&mut directory, tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.1.3.10");
    text(&mut directory, tags::FILE_SET_ID, VR::CS, "SET");
    let path = put(folder.path(), "DICOMDIR", &file(&directory, EXPLICIT));
    for path in [path.as_path(), folder.path()] {
        let found = io::load_volume(path).expect("a volume");
        assert_eq!((found.volume.grid().dims(), codes(&found)), ([3, 2, 3], vec!["ct.other_files"]));
    }
}

#[test]
fn files_without_preamble_or_transfer_syntax_are_read_as_what_they_are() {
    let with = read(&stack(), EXPLICIT).expect("a series");
    for syntax in [EXPLICIT, "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"] {
        let folder = folder();
        for (n, o) in stack().iter().enumerate() {
            let bytes = file(o, syntax);
            // The length of the meta group stands in its first element.
            let group = u32::from_le_bytes([bytes[140], bytes[141], bytes[142], bytes[143]]) as usize;
            put(folder.path(), &format!("{n}"), &bytes[144 + group..]);
        }
        let bare = io::load_volume(folder.path()).expect("a series");
        assert_eq!((&bare.volume, codes(&bare)), (&with.volume, vec!["ct.syntax_assumed"]), "{syntax}");
    }
}

#[test]
fn units_are_told_by_rescale_and_range_of_codes_not_by_the_values_there_are() {
    let full = |_: usize, o: &mut Object| bytes_of(o, &[0, 8, 0, 8, 0, 8, 0, 8, 0, 8, 0, 8]);
    assert_eq!(codes(&changed(full)), Vec::<&str>::new(), "an object that fills the image");
    let of = |change: &dyn Fn(&mut Object)| codes(&changed(|_, o| change(o))).iter().map(|c| c.to_string()).collect::<Vec<_>>();
    assert_eq!(of(&|o| text(o, tags::RESCALE_TYPE, VR::LO, "US")), ["ct.not_hounsfield"]);
    assert_eq!(of(&|o| sequence(o, tags::MODALITY_LUT_SEQUENCE, vec![])), ["ct.not_hounsfield"]);
    let unsigned = |o: &mut Object| {
        bits(o, [16, 12, 11], false);
        numbers(o, tags::RESCALE_INTERCEPT, &[0.0]);
    };
    assert_eq!(of(&unsigned), ["ct.not_hounsfield"], "no code stands for air");
    assert_eq!(of(&|o| text(o, tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.7")), ["ct.not_ct"], "a picture of CT is no CT");
    assert_eq!(of(&|o| text(o, tags::BURNED_IN_ANNOTATION, VR::CS, "YES")), ["ct.burned_in"]);
}

#[test]
fn thickness_and_stated_spacing_are_held_against_positions() {
    let with = |tag: Tag, value: f64| codes(&changed(|_, o| numbers(o, tag, &[value]))).iter().map(|c| c.to_string()).collect::<Vec<_>>();
    assert_eq!(with(tags::SLICE_THICKNESS, 1.0), ["ct.slice_gaps"]);
    assert_eq!(with(tags::SLICE_THICKNESS, 5.0), Vec::<String>::new(), "overlapping slices are sound");
    assert_eq!(with(tags::SPACING_BETWEEN_SLICES, 2.5), ["ct.nominal_spacing"]);
    assert_eq!(with(tags::SPACING_BETWEEN_SLICES, -2.0), Vec::<String>::new());
}

#[test]
fn decubitus_feet_first_and_oblique_slices_keep_their_place() {
    let (c, s) = (0.8, 0.6);
    for (row, column) in [
        ([-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]),
        ([0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]),
        ([-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
        ([1.0, 0.0, 0.0], [0.0, c, s]),
        ([0.0, c, s], [0.0, -s, c]),
    ] {
        let normal = nalgebra::Vector3::from(row).cross(&nalgebra::Vector3::from(column));
        let found = changed(|k, o| {
            // From the far end, so that the files' order is not that of the normal.
            let at = nalgebra::Vector3::new(5.0, -3.0, 9.0) + normal * (4.0 - 2.0 * k as f64);
            numbers(o, tags::IMAGE_POSITION_PATIENT, at.as_slice());
            numbers(o, tags::IMAGE_ORIENTATION_PATIENT, &[row, column].concat());
        });
        let grid = found.volume.grid();
        assert!((grid.origin() - Point3::new(5.0, -3.0, 9.0)).norm() < 1e-12);
        let known =
            nalgebra::Matrix3::from_columns(&[nalgebra::Vector3::from(row) * 0.5, nalgebra::Vector3::from(column) * 0.75, normal * 2.0]);
        assert!((grid.axes() - known).norm() < 1e-12, "{row:?} {column:?}: {}", grid.axes());
        let AnyVolume::I16(v) = &found.volume else { panic!("{}", found.volume.voxel_type()) };
        assert_eq!([v.at(1, 0, 0), v.at(1, 0, 1), v.at(1, 0, 2)], [2, 1, 0]);
        assert!(codes(&found).is_empty(), "{:?}", found.findings);
    }
}

#[test]
fn facts_say_how_and_when_the_image_was_made_but_not_of_whom() {
    let found = changed(|k, o| numbers(o, tags::X_RAY_TUBE_CURRENT, &[100.0 + k as f64]));
    let fact = |name: &str| found.facts.get(name).map(String::as_str);
    assert_eq!((fact("imaging_date"), fact("tube_current_ma")), (Some("2024-02-29"), Some("100 to 102")));
    assert_eq!((fact("field_of_view_mm"), fact("stored_bits")), (Some("1.50 x 1.50"), Some("16 of 16, signed")));
    assert_eq!((fact("lossy_compression"), fact("image_class")), (Some("no"), Some("CT image")));
    assert!(found.facts.values().all(|v| !v.contains("Doe") && !v.contains("1.2.3")), "{:?}", found.facts);
}

#[test]
fn what_is_no_grey_image_is_refused_by_its_code() {
    let refused = |change: &dyn Fn(&mut Object), syntax: &str| {
        let mut o = slice(0.0, &[0; 6]);
        change(&mut o);
        let folder = folder();
        io::load_volume(&put(folder.path(), "x", &file(&o, syntax))).expect_err("refused").code
    };
    let class = |uid: &'static str| move |o: &mut Object| text(o, tags::SOP_CLASS_UID, VR::UI, uid);
    assert_eq!(refused(&class("1.2.840.10008.5.1.4.1.1.66.4"), EXPLICIT), "dicom.no_image", "a segmentation");
    assert_eq!(refused(&class("1.2.840.10008.5.1.4.1.1.481.2"), EXPLICIT), "dicom.no_image", "a dose");
    assert_eq!(refused(&|o| drop(o.take(tags::PIXEL_DATA)), EXPLICIT), "dicom.no_image", "a structure set");
    assert_eq!(refused(&|o| short(o, tags::SAMPLES_PER_PIXEL, 3), EXPLICIT), "volume.dimensions", "a photograph");
    assert_eq!(refused(&|o| text(o, tags::RESCALE_SLOPE, VR::DS, "one"), EXPLICIT), "volume.rescale");
    let video = |o: &mut Object| fragments(o, vec![], vec![vec![0; 20]]);
    assert_eq!(refused(&video, "1.2.840.10008.1.2.4.102"), "dicom.transfer_syntax", "a film");
}

#[test]
fn rescales_without_a_common_scale_are_refused() {
    let mut objects = stack();
    for (o, slope) in objects.iter_mut().zip(["0.1234567890123", "0.2345678901234", "0.3456789012345"]) {
        text(o, tags::RESCALE_SLOPE, VR::DS, slope);
    }
    assert_eq!(read(&objects, EXPLICIT).expect_err("no exact scale").code, "dicom.rescales_differ");
}

#[test]
fn slices_one_by_one_are_those_of_the_whole() {
    let folder = folder();
    for (n, mut o) in stack().into_iter().enumerate() {
        numbers(&mut o, tags::RESCALE_SLOPE, &[1.0 + n as f64]);
        put(folder.path(), &format!("{n}"), &file(&o, EXPLICIT));
    }
    super::formats::slices_are_those_of_the_whole(folder.path());
    let one = put(
        folder.path(),
        "multi",
        &file(&make::enhanced(&[(4.0, "1"), (0.0, "1"), (2.0, "1")], &(0..18).collect::<Vec<i16>>()), EXPLICIT),
    );
    super::formats::slices_are_those_of_the_whole(&one);
}
