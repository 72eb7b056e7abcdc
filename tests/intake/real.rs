//! Every real volume that stands beside the checkout: read with the geometry, values and findings known of it, or refused by the right code.
//!
//! Sizes, spacings, tilts, positions and ranges of values are those that the list of the files states; digests were made from what pydicom,
//! SimpleITK and their codecs decode, slices in order along the normal.

use verimetry_engine::inspect::volume_item;
use verimetry_engine::io;

use super::super::{codes, real};

const NAN: f64 = f64::NAN;

/// Path, size, spacing (mm), shear (degrees), z of the first voxel (mm), type, range of physical values, first digits of the digest of the
/// stored values, findings. What a file does not give is not a number.
type Row = (&'static str, [usize; 3], [f64; 3], f64, f64, &'static str, [f64; 2], &'static str, &'static [&'static str]);

#[rustfmt::skip]
const READ: &[Row] = &[
    ("ct/dcmqi", [512, 512, 3], [0.810547, 0.810547, 1.0], 0.00, -128.69, "i16", [-3024.0, 1381.0], "051881b940", &["ct.other_files", "ct.padding"]),
    ("ct/dicom2nifti_failing", [512, 512, 4], [0.544922, 0.544922, NAN], NAN, 61.5, "u16", [-1024.0, -770.0], "4ec2e71779", &["ct.mixed_series", "ct.not_a_volume"]),
    ("ct/dicom2nifti_failing/gantrytilting", [512, 512, 4], [0.417969, 0.417969, 4.851479], 14.00, -61.9519, "u16", [-1024.0, -770.0], "391227f251", &["ct.tilted"]),
    ("ct/dicom2nifti_failing/notavolume", [512, 512, 4], [0.544922, 0.544922, NAN], NAN, 61.5, "u16", [-1024.0, -770.0], "4ec2e71779", &["ct.not_a_volume"]),
    ("ct/one_slice_many_syntaxes", [512, 512, 6], [0.675781, 0.675781, NAN], NAN, 4.7, "i16", [-3024.0, 1378.0], "b55af50a6c", &["ct.not_a_volume"]),
    ("ct/oro_dicom", [256, 256, 1], [0.957031, 0.957031, NAN], NAN, 103.1226, "u16", [0.0, 330.0], "946edc16c3", &["ct.mixed_series", "ct.too_few_slices", "ct.not_ct"]),
    ("ct/pydicom", [512, 512, 2], [0.478516, 0.478516, NAN], NAN, 47.0, "i16", [-3024.0, 1468.0], "c3aa424686", &["ct.mixed_series", "ct.too_few_slices", "ct.not_a_volume", "ct.padding"]),
    ("ct/pydicom_dicomdir", [16, 16, 5], [0.488281, 0.488281, 2.5], 0.00, -1.2375, "i16", [-888.0, 85.0], "953fb0dd05", &["ct.other_files", "ct.mixed_series"]),
    ("ct/pydicom_dicomdir/77654033", [16, 16, 4], [0.488281, 0.488281, 1.25], 0.00, -99.48, "i16", [-981.0, 1489.0], "abfe61416d", &["ct.missing_slice"]),
    ("ct/pydicom_dicomdir/98892001", [16, 16, 5], [0.488281, 0.488281, 2.5], 0.00, -1.2375, "i16", [-888.0, 85.0], "953fb0dd05", &[]),
    ("ct/pylibjpeg", [512, 512, 1], [0.656, 0.656, NAN], NAN, -1227.892, "i16", [-2048.0, 1717.0], "587b5852a5", &["ct.mixed_series", "ct.too_few_slices"]),
    ("ct/qa_ge_tilt", [512, 512, 28], [0.488281, 0.488281, 5.336604], 18.50, 5.8361, "i16", [-1500.0, 2121.0], "b9f11236df", &["ct.other_files", "ct.uneven_spacing", "ct.tilted", "ct.padding"]),
    ("ct/qa_philips_S21570_S2010", [512, 512, 28], [0.451172, 0.451172, 5.0], 0.00, 696.21, "u16", [-1024.0, 782.0], "d87c25027d", &["ct.other_files"]),
    ("ct/qa_philips_S21570_S2010/DIRFILE", [512, 512, 28], [0.451172, 0.451172, 5.0], 0.00, 696.21, "u16", [-1024.0, 782.0], "d87c25027d", &["ct.other_files"]),
    ("ct/qa_philips_S21570_S2020", [512, 512, 30], [0.451172, 0.451172, 1.0], 0.00, 694.21, "u16", [-1024.0, 1033.0], "37794f24a9", &[]),
    ("ct/qa_philips_S21570_S4010", [512, 256, 3], [0.976563, 0.976563, NAN], NAN, 916.5, "u16", [-1024.0, 533.0], "9e5c7e2158", &["ct.other_files", "ct.mixed_series", "ct.not_a_volume", "ct.not_ct"]),
    ("ct/rt_utils/mock_data", [512, 512, 2], [0.488281, 0.488281, 5.0], 0.00, 60.0, "i16", [-3024.0, 125.0], "a81ddaf2a5", &["ct.other_files", "ct.too_few_slices", "ct.padding"]),
    ("ct/rt_utils/oriented_data", [100, 50, 3], [2.5, 3.5, 4.5], 0.00, 30.0, "i16", [-10.0, 9.999], "deb869debb", &["ct.not_hounsfield"]),
    ("ct/dicom2stl/ct_example.nii.gz", [256, 256, 26], [1.25, 1.25, 4.0], 0.00, 0.0, "i16", [-1024.0, 1945.0], "319f82a644", &[]),
    ("ct/fodicom/CT-MONO2-16-ankle", [512, 512, 1], [NAN, NAN, NAN], NAN, 0.0, "i16", [-992.0, 3056.0], "c0f28b2268", &["ct.too_few_slices", "ct.no_geometry", "ct.not_ct"]),
    ("ct/fodicom/D_CLUNIE_CT1_RLE_FRAGS.dcm", [512, 512, 1], [0.661468, 0.661468, NAN], NAN, -75.7, "i16", [-3024.0, 1254.0], "1add6ede29", &["ct.too_few_slices", "ct.padding"]),
    ("ct/fodicom/GH1308.dcm", [512, 512, 1], [0.253906, 0.253906, NAN], NAN, -160.048, "i16", [-3024.0, 1376.0], "3095623744", &["ct.too_few_slices", "ct.padding"]),
    ("ct/one_slice_many_syntaxes/CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm", [512, 512, 1], [0.675781, 0.675781, NAN], NAN, 4.7, "i16", [-3024.0, 1378.0], "1bee432808", &["ct.too_few_slices"]),
    ("ct/one_slice_many_syntaxes/CTImage.dcm_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm", [512, 512, 1], [0.675781, 0.675781, NAN], NAN, 4.7, "i16", [-3024.0, 1378.0], "1bee432808", &["ct.too_few_slices"]),
    ("ct/one_slice_many_syntaxes/CTImage.dcm_JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80.dcm", [512, 512, 1], [0.675781, 0.675781, NAN], NAN, 4.7, "i16", [-3024.0, 1378.0], "1bee432808", &["ct.too_few_slices"]),
    ("ct/one_slice_many_syntaxes/CTImage.dcm_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm", [512, 512, 1], [0.675781, 0.675781, NAN], NAN, 4.7, "i16", [-3024.0, 1378.0], "1bee432808", &["ct.too_few_slices"]),
    ("ct/one_slice_many_syntaxes/CTImage.dcm_LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2.dcm", [512, 512, 1], [0.675781, 0.675781, NAN], NAN, 4.7, "i16", [-3024.0, 1378.0], "1bee432808", &["ct.too_few_slices"]),
    ("ct/one_slice_many_syntaxes/CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm", [512, 512, 1], [0.675781, 0.675781, NAN], NAN, 4.7, "i16", [-3024.0, 1378.0], "1bee432808", &["ct.too_few_slices"]),
    ("ct/oro_dicom/Abdo.dcm", [256, 256, 1], [1.464844, 1.464844, NAN], NAN, 150.2594, "u16", [0.0, 1168.0], "3582bfd149", &["ct.too_few_slices", "ct.not_ct"]),
    ("ct/oro_dicom/Spine1.dcm", [256, 256, 1], [0.957031, 0.957031, NAN], NAN, 103.1226, "u16", [0.0, 330.0], "946edc16c3", &["ct.too_few_slices", "ct.not_ct"]),
    ("ct/pydicom/693_J2KR.dcm", [512, 512, 1], [0.478516, 0.478516, NAN], NAN, 47.0, "i16", [-3024.0, 1468.0], "6b3b6bb553", &["ct.too_few_slices", "ct.padding"]),
    ("ct/pydicom/693_UNCR.dcm", [512, 512, 1], [0.478516, 0.478516, NAN], NAN, 47.0, "i16", [-3024.0, 1468.0], "6b3b6bb553", &["ct.too_few_slices", "ct.padding"]),
    ("ct/pydicom/bad_sequence.dcm", [512, 512, 1], [0.287109, 0.287109, NAN], NAN, 1687.5, "u16", [-1011.0, 1243.0], "ef7120ddfc", &["ct.too_few_slices"]),
    ("ct/pydicom/eCT_Supplemental.dcm", [512, 512, 2], [0.388672, 0.388672, 10.0], 0.00, -149.0, "u16", [-1024.0, 172.0], "8488252af9", &["ct.too_few_slices", "ct.not_hounsfield"]),
    ("ct/pydicom_small/CT_small.dcm", [128, 128, 1], [0.661468, 0.661468, NAN], NAN, -75.7, "i16", [-896.0, 1167.0], "7a481f6fff", &["ct.too_few_slices"]),
    ("ct/pydicom_small/image_dfl.dcm", [512, 512, 1], [NAN, NAN, NAN], NAN, 0.0, "u8", [0.0, 255.0], "1f5f1b1c1a", &["ct.too_few_slices", "ct.no_geometry", "ct.not_ct"]),
    ("ct/pylibjpeg/CT1_JLSN.dcm", [512, 512, 1], [0.661468, 0.661468, NAN], NAN, -75.7, "i16", [-3028.0, 1254.0], "259364e338", &["ct.too_few_slices", "ct.lossy", "ct.padding"]),
    ("ct/pylibjpeg/J2K_pixelrep_mismatch.dcm", [512, 512, 1], [0.431, 0.431, NAN], NAN, 72.1446, "i16", [-2000.0, 1896.0], "1296350a00", &["ct.too_few_slices"]),
    ("ct/pylibjpeg/TOSHIBA_J2K_SIZ0_PixRep1.dcm", [512, 512, 1], [0.656, 0.656, NAN], NAN, -1227.892, "i16", [-2048.0, 1717.0], "587b5852a5", &["ct.too_few_slices"]),
    ("ct/totalseg/example_ct.nii.gz", [122, 101, 112], [3.0, 3.0, 3.0], 0.00, 94.3018, "i32", [-1207.0, 3382.0], "7fc9e1b836", &[]),
    ("ct/totalseg/example_ct_sm.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "i16", [-1100.0, 1207.0], "d46fabdda6", &[]),
    ("ct/totalseg/example_seg.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "u8", [0.0, 117.0], "f266b56668", &[]),
    ("ct/totalseg/example_seg_fast.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "u8", [0.0, 117.0], "51c1b171b2", &[]),
    ("ct/totalseg/femur_left.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "u8", [0.0, 0.0], "9555e9e901", &[]),
    ("ct/totalseg/hip_left.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "u8", [0.0, 0.0], "9555e9e901", &[]),
    ("ct/totalseg/hip_right.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "u8", [0.0, 0.0], "9555e9e901", &[]),
    ("ct/totalseg/rib_left_12.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "u8", [0.0, 1.0], "7329eee28e", &[]),
    ("ct/totalseg/sacrum.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "u8", [0.0, 0.0], "9555e9e901", &[]),
    ("ct/totalseg/vertebrae_L1.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "u8", [0.0, 1.0], "2f71eebf24", &[]),
    ("ct/totalseg/vertebrae_L2.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "u8", [0.0, 1.0], "9db346dbe4", &[]),
    ("ct/totalseg/vertebrae_L3.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "u8", [0.0, 0.0], "9555e9e901", &[]),
    ("ct/totalseg/vertebrae_L4.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "u8", [0.0, 0.0], "9555e9e901", &[]),
    ("ct/totalseg/vertebrae_L5.nii.gz", [122, 101, 30], [3.0, 3.0, 3.0], 0.00, 94.3018, "u8", [0.0, 0.0], "9555e9e901", &[]),
    ("ct/qa_philips_S21570_S4010/I10", [512, 256, 1], [0.976563, 0.976563, NAN], NAN, 916.5, "u16", [-1024.0, 533.0], "66a0a992de", &["ct.too_few_slices", "ct.not_ct"]),
    ("mask_shape/brain1_image.nrrd", [256, 256, 25], [0.78125, 0.78125, 6.5], 0.00, -78.0, "i16", [0.0, 3057.0], "67a1a3f0db", &[]),
    ("mask_shape/brain1_label.nrrd", [256, 256, 25], [0.78125, 0.78125, 6.5], 0.00, -78.0, "i32", [0.0, 1.0], "4a928162a5", &[]),
    ("mask_shape/breast1_image.nrrd", [45, 120, 21], [0.664062, 0.664062, 2.1], 0.00, 9.45, "i16", [6.0, 248.0], "20a637f5b0", &[]),
    ("mask_shape/breast1_label.nrrd", [45, 120, 21], [0.664062, 0.664062, 2.1], 0.00, 9.45, "i16", [0.0, 1.0], "5b485b8c5c", &[]),
    ("mask_shape/lung1_label.nrrd", [512, 512, 48], [0.570313, 0.570313, 5.0], 0.00, -777.5, "i16", [0.0, 1.0], "a5d29fdf9b", &[]),
    ("mask_shape/prostate_phantom_subvolume.nrrd", [82, 67, 13], [0.5, 0.5, 3.0], 0.00, -52.7761, "u16", [0.0, 2017.0], "52614a83f0", &[]),
    ("microct/bonej_shrew/Shrew.nrrd", [114, 114, 115], [0.0041, 0.0041, 0.0041], 0.00, 0.0, "u8", [0.0, 255.0], "efbe2abb21", &["volume.no_orientation"]),
    ("microct/ciclope_trabecular", [200, 200, 120], [NAN, NAN, NAN], NAN, 0.0, "u8", [0.0, 255.0], "6bdb220529", &["volume.no_orientation", "ct.no_geometry"]),
    ("microct/puma/100_fiberform.tif", [100, 100, 100], [NAN, NAN, NAN], NAN, 0.0, "u8", [0.0, 255.0], "3367d731a2", &["volume.no_orientation", "ct.no_geometry"]),
    ("microct/puma/100_sphere_r40.tif", [100, 100, 100], [NAN, NAN, NAN], NAN, 0.0, "u8", [0.0, 255.0], "4682a8a88e", &["volume.no_orientation", "ct.no_geometry"]),
    ("microct/puma/50_artfibers.tif", [50, 50, 50], [NAN, NAN, NAN], NAN, 0.0, "u8", [0.0, 255.0], "a5907eac4e", &["volume.no_orientation", "ct.no_geometry"]),
    ("microct/puma/small_weave_tag.tif", [150, 150, 150], [NAN, NAN, NAN], NAN, 0.0, "u8", [0.0, 2.0], "5834fe7dd1", &["volume.no_orientation", "ct.no_geometry"]),
];

/// Path and code of what is no volume, or none that is whole.
const REFUSED: &[(&str, &str)] = &[
    ("ct/deid_data", "volume.dimensions"),
    ("ct/fodicom", "file.malformed"),
    ("ct/pydicom_dicomdir/test_files/dicomdirtests/DICOMDIR", "dicom.no_series"),
    ("ct/pydicom_small", "file.truncated"),
    ("ct/totalseg", "dicom.no_series"),
    ("ct/deid_data/ctbrain1.dcm", "volume.dimensions"),
    ("ct/deid_data/image1.dcm", "volume.dimensions"),
    ("ct/fodicom/GH177_D_CLUNIE_CT1_IVRLE_BigEndian_undefined_length.dcm", "file.malformed"),
    ("ct/pydicom/emri_small_big_endian.dcm", "dicom.multi_frame"),
    ("ct/pydicom/emri_small_jpeg_ls_lossless.dcm", "dicom.multi_frame"),
    ("ct/pydicom_small/ExplVR_BigEnd.dcm", "volume.dimensions"),
    ("ct/pydicom_small/MR_truncated.dcm", "file.truncated"),
    ("ct/pydicom_small/badVR.dcm", "dicom.no_image"),
    ("ct/pydicom_small/meta_missing_tsyntax.dcm", "dicom.attribute"),
    ("ct/pydicom_small/no_meta.dcm", "file.unknown_format"),
    ("ct/pydicom_small/rtstruct.dcm", "dicom.no_image"),
    ("ct/dcmqi/liver.dcm", "dicom.no_image"),
    ("ct/qa_philips_S21570_S4010/I40", "volume.dimensions"),
    ("ct/rt_utils/mock_data/rt.dcm", "dicom.no_image"),
    ("microct/bonej_logs/hyperCube.zip", "file.archive"),
];

#[test]
fn every_real_volume_is_read_with_what_is_known_of_it() {
    let near = |found: f64, known: f64, within: f64| found.is_nan() && known.is_nan() || (found - known).abs() <= within;
    for &(path, dims, spacing, shear, z, voxel_type, range, digest, findings) in READ {
        let Some(file) = real(path) else { return };
        let file = io::load_volume(&file).unwrap_or_else(|e| panic!("{path}: {e}"));
        let item = volume_item("x", &file);
        assert_eq!((item.dims, item.voxel_type), (dims, voxel_type), "{path}");
        let steps = item.spacing_mm.map(|s| s.unwrap_or(NAN));
        assert!(steps.iter().zip(spacing).all(|(&s, known)| near(s, known, 1e-5)), "{path}: {steps:?}");
        let tilt = item.shear_degrees.unwrap_or(NAN);
        assert!(near(tilt, shear, 0.006), "{path}: {tilt}");
        assert!(near(file.volume.grid().origin().z, z, 6e-4), "{path}: {}", file.volume.grid().origin());
        assert!(near(item.value_min, range[0], 1e-9) && near(item.value_max, range[1], 1e-9), "{path}: {item:?}");
        assert_eq!((&item.values_sha256[..10], codes(&file).as_slice()), (digest, findings), "{path}: {:?}", file.findings);
    }
}

#[test]
fn real_series_have_the_same_findings_slab_by_slab() {
    let padded = ["ct/dcmqi", "ct/qa_ge_tilt", "ct/rt_utils/mock_data", "ct/pylibjpeg/CT1_JLSN.dcm"];
    for path in padded.into_iter().chain(["ct/qa_philips_S21570_S2020", "ct/rt_utils/oriented_data", "mask_shape/lung1_label.nrrd"]) {
        let Some(file) = real(path) else { return };
        let (Ok(source), whole) = (io::open_slices(&file), io::load_volume(&file).expect(path)) else { continue };
        assert!(!padded.contains(&path) || codes(&whole).contains(&"ct.padding"), "{path}");
        let values = source.values(2).expect(path);
        assert_eq!([&source.findings[..], &values.findings].concat(), whole.findings, "{path}");
        assert_eq!(values.sha256, whole.values_sha256(), "{path}");
    }
}

#[test]
fn every_real_file_that_is_no_volume_is_refused_by_its_code() {
    for &(path, code) in REFUSED {
        let Some(file) = real(path) else { return };
        assert_eq!(io::load_volume(&file).expect_err(path).code, code, "{path}");
    }
}
