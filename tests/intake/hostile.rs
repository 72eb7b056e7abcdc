//! Damaged and hostile volumes: a result or an error, quickly, whatever the bytes.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use proptest::prelude::*;
use verimetry_engine::io;

use super::super::{damaged, folder, put, real, survives};
use super::make::{EXPLICIT, Tiff, enhanced, file, fragments, slice, text};

fn seeds() -> Vec<Vec<u8>> {
    let multi = enhanced(&[(0.0, "1"), (1.0, "1"), (2.0, "1")], &[7; 18]);
    let mut frames = multi.clone();
    fragments(&mut frames, vec![0, 20, 40], vec![vec![1; 12]; 3]);
    let nrrd = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nspace: RAS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace units: \"mm\" \"mm\" \"mm\"\n";
    let pages = vec![vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]; 3];
    let described = "ImageJ=1\nimages=3\nunit=mm\nspacing=1\n";
    vec![
        file(&multi, EXPLICIT),
        file(&multi, "1.2.840.10008.1.2.2"),
        file(&slice(0.0, &[1; 6]), "1.2.840.10008.1.2.1.99"),
        file(&frames, "1.2.840.10008.1.2.5"),
        file(&frames, "1.2.840.10008.1.2.1.98"),
        file(&slice(0.0, &[1; 6]), "1.2.840.10008.1.2")[132 + 12..].to_vec(),
        format!("{nrrd}encoding: raw\nendian: big\n\n0123456789abcdef").into_bytes(),
        format!("{nrrd}encoding: text\n\n1 2 3 4 5 6 7 8").into_bytes(),
        Tiff { description: described, resolution: Some([2, 1]), ..Tiff::default() }.bytes(&pages),
        Tiff { big: true, compression: 8, ..Tiff::default() }.bytes(&pages),
        Tiff { compression: 32773, ..Tiff::default() }.bytes(&pages),
        Tiff { description: described, ..Tiff::default() }.bytes(&[pages.concat()]),
        b"v 0 0 0\nv 1 0 0 1 0.5 0\nv 0 1 0\nv 0 0 1\nf 1/1/1 2//2 \\\n 3\nf -1 -2 -3 -4 # all\nl 1 2\n".to_vec(),
        b"COFF # a fan\n4 2 5\n0 0 0 255 0 0\n1 0 0\n0 1 0\n0 0 1 1\n3 0 1 2\n4 0 3 2 1  0.5 0.5 0.5\n".to_vec(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("VERIMETRY_LONG").is_some() { 20_000 } else { 400 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_of_these_kinds_gives_a_result_or_an_error(seed in 0..14usize, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), keep in any::<prop::sample::Index>(), cut in any::<bool>()) {
        survives("x", &damaged(seeds().swap_remove(seed), &flips, cut.then_some(keep)));
    }
}

/// Damage to the compressed pixels of real files: what the decoders make of it is a value or a fault, never more.
#[test]
fn damaged_streams_of_every_codec_give_values_or_a_fault() {
    let rounds = if std::env::var_os("VERIMETRY_LONG").is_some() { 300 } else { 4 };
    for path in [
        "ct/one_slice_many_syntaxes/CTImage.dcm_JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80.dcm",
        "ct/one_slice_many_syntaxes/CTImage.dcm_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm",
        "ct/one_slice_many_syntaxes/CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm",
        "ct/pydicom/bad_sequence.dcm",
    ] {
        let Some(path) = real(path) else { return };
        let whole = std::fs::read(&path).expect("it is there");
        let pixels = whole.windows(4).rposition(|w| w == [0xE0, 0x7F, 0x10, 0x00]).expect("pixel data");
        let mut state = 1u64;
        for round in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..=round {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                // Headers of the stream more often than the stream.
                let span = if round % 2 == 0 { 300 } else { bytes.len() - pixels - 20 };
                let at = pixels + 20 + (state >> 33) as usize % span.min(bytes.len() - pixels - 20);
                bytes[at] = (state >> 25) as u8;
            }
            let folder = folder();
            if let Err(e) = io::load_volume(&put(folder.path(), "x", &bytes)) {
                let known = ["file.malformed", "file.truncated", "dicom.transfer_syntax"];
                assert!(known.contains(&e.code), "{e}");
            }
        }
    }
}

#[test]
fn headers_that_promise_too_much_are_found_out_before_memory_is_taken() {
    let mut many = enhanced(&[(0.0, "1"), (1.0, "1")], &[7; 12]);
    text(&mut many, tags::NUMBER_OF_FRAMES, VR::IS, "2000000000");
    let mut wide = slice(0.0, &[0; 6]);
    super::make::short(&mut wide, tags::ROWS, 65535);
    super::make::short(&mut wide, tags::COLUMNS, 65535);
    let mut packed = wide.clone();
    fragments(&mut packed, vec![], vec![vec![0; 200]]);
    let folder = folder();
    for (o, syntax) in [(&many, EXPLICIT), (&wide, EXPLICIT), (&packed, "1.2.840.10008.1.2.5"), (&wide, "1.2.840.10008.1.2.1.99")] {
        assert_eq!(io::load_volume(&put(folder.path(), "x", &file(o, syntax))).expect_err(syntax).code, "file.truncated");
    }
}
