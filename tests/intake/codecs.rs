//! Every compression against the same image uncompressed: the same stored values without loss, close ones and a finding with loss.
//!
//! Streams of JPEG come from a writer of our own (`jpeg`) and, as the others, from the encoders named beside them; RLE, JPEG-LS and JPEG 2000
//! are read from real files too (`real`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dicom_dictionary_std::tags;
use verimetry_engine::io::{self, VolumeFile};
use verimetry_engine::volume::{AnyVolume, Voxel, with_volume};

use super::super::{codes, folder, put};
use super::jpeg;
use super::make::{EXPLICIT, Object, bits, bytes_of, file, fragments, short, slice};

const COLUMNS: usize = 16;
const ROWS: usize = 12;

/// 12 bits with steep steps.
fn values() -> Vec<u16> {
    (0..COLUMNS * ROWS).map(|n| (n % COLUMNS, n / COLUMNS)).map(|(x, y)| (x * 37 + y * 91 + x * y % 13 * 5) as u16 & 0xFFF).collect()
}

/// A slice of so many bits a value, of which so many are stored.
fn made(allocated: u16, stored: u16, signed: bool) -> Object {
    let mut o = slice(0.0, &[]);
    short(&mut o, tags::ROWS, ROWS as u16);
    short(&mut o, tags::COLUMNS, COLUMNS as u16);
    bits(&mut o, [allocated, stored, stored - 1], signed);
    o
}

/// Three slices of the same pixels.
fn read(o: &Object, syntax: &str) -> Result<VolumeFile, verimetry_engine::Error> {
    let folder = folder();
    for k in 0..3 {
        let mut o = o.clone();
        super::make::numbers(&mut o, tags::IMAGE_POSITION_PATIENT, &[0.0, 0.0, f64::from(k)]);
        put(folder.path(), &format!("{k}"), &file(&o, syntax));
    }
    io::load_volume(folder.path())
}

fn plain(mut o: Object, bytes: &[u8]) -> VolumeFile {
    bytes_of(&mut o, bytes);
    read(&o, EXPLICIT).expect("a series")
}

fn packed(mut o: Object, stream: &[u8], syntax: &str) -> Result<VolumeFile, verimetry_engine::Error> {
    let even = [stream, &[0][..stream.len() % 2]].concat();
    fragments(&mut o, vec![], vec![even]);
    read(&o, &format!("1.2.840.10008.1.2.{syntax}"))
}

fn bytes(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn stored(file: &VolumeFile) -> Vec<f64> {
    with_volume!(&file.volume, v => v.data().iter().map(|x| x.to_f64()).collect())
}

/// Largest difference of stored values.
fn apart(a: &VolumeFile, b: &VolumeFile) -> f64 {
    stored(a).iter().zip(stored(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn stream(text: &str) -> Vec<u8> {
    STANDARD.decode(text).expect("base64")
}

#[test]
fn lossless_jpeg_has_the_values_of_the_image_with_every_predictor() {
    // All of 16 bits, signed, with the largest step there can be.
    let wide: Vec<u16> = values().iter().enumerate().map(|(n, v)| if n % 17 == 3 { 0x8000 | v } else { v * 5 }).collect();
    let expected = plain(made(16, 16, true), &bytes(&wide));
    let twelve = plain(made(16, 12, false), &bytes(&values()));
    for predictor in 1..=7 {
        let found = packed(made(16, 16, true), &jpeg::lossless(&wide, COLUMNS, 16, predictor), "4.57").expect("decoded");
        assert_eq!((found.values_sha256(), codes(&found)), (expected.values_sha256(), codes(&expected)), "predictor {predictor}");
        let found = packed(made(16, 12, false), &jpeg::lossless(&values(), COLUMNS, 12, predictor), "4.57").expect("decoded");
        assert_eq!(found.values_sha256(), twelve.values_sha256(), "predictor {predictor}");
    }
    let first_order = packed(made(16, 16, true), &jpeg::lossless(&wide, COLUMNS, 16, 1), "4.70").expect("decoded");
    assert_eq!(first_order.values_sha256(), expected.values_sha256());
    let other = packed(made(16, 16, false), &stream(JPEG_LOSSLESS), "4.57").expect("decoded");
    assert_eq!(stored(&other), stored(&twelve));
    let narrow: Vec<u16> = values().iter().map(|v| v & 0xFF).collect();
    let eight = plain(made(8, 8, false), &narrow.iter().map(|&v| v as u8).collect::<Vec<u8>>());
    let found = packed(made(8, 8, false), &jpeg::lossless(&narrow, COLUMNS, 8, 1), "4.70").expect("decoded");
    assert_eq!(found.values_sha256(), eight.values_sha256());
}

#[test]
fn jpeg_with_cosines_is_within_a_code_of_the_image_and_said_to_be_lossy() {
    let eight: Vec<u8> = values().iter().map(|v| (v / 8) as u8).collect();
    let expected = plain(made(8, 8, false), &eight);
    for (syntax, marker) in [("4.50", 0xC0), ("4.51", 0xC1), ("4.51", 0xC0)] {
        let found = packed(made(8, 8, false), &jpeg::cosine(&eight, COLUMNS, marker), syntax).expect("decoded");
        assert!(apart(&found, &expected) <= 1.0, "{}", apart(&found, &expected));
        assert!(codes(&found).contains(&"ct.lossy"), "{:?}", found.findings);
    }
    // Eight bits in places of sixteen.
    let found = packed(made(16, 8, false), &jpeg::cosine(&eight, COLUMNS, 0xC0), "4.50").expect("decoded");
    assert!(matches!(found.volume, AnyVolume::U16(_)) && apart(&found, &expected) <= 1.0);
}

#[test]
fn jpeg_of_twelve_bits_with_cosines_is_refused_with_what_to_do() {
    let refused = packed(made(16, 12, false), &stream(JPEG_12_BITS), "4.51").expect_err("no decoder");
    assert_eq!(refused.code, "dicom.transfer_syntax");
    assert!(refused.message.contains("JPEG extended of 12 bits") && refused.message.contains("convert it"), "{refused}");
}

#[test]
fn jpeg_2000_with_and_without_high_throughput_has_the_values_of_the_image() {
    let expected = plain(made(16, 12, false), &bytes(&values()));
    for (syntax, text) in [("4.90", JPEG_2000), ("4.201", HTJ2K), ("4.202", HTJ2K)] {
        let found = packed(made(16, 12, false), &stream(text), syntax).expect(syntax);
        assert_eq!((found.values_sha256(), codes(&found)), (expected.values_sha256(), codes(&expected)), "{syntax}");
    }
    for (syntax, text, off) in [("4.91", JPEG_2000, 0.0), ("4.203", HTJ2K, 0.0), ("4.203", HTJ2K_LOSSY, 1.0)] {
        let found = packed(made(16, 12, false), &stream(text), syntax).expect(syntax);
        assert!(apart(&found, &expected) <= off && codes(&found).contains(&"ct.lossy"), "{syntax}: {}", apart(&found, &expected));
    }
}

#[test]
fn fragments_of_plain_and_deflated_frames_have_the_values_of_the_image() {
    use std::io::Write;
    let expected = plain(made(16, 12, false), &bytes(&values()));
    let mut deflated = flate2::write::DeflateEncoder::new(vec![], flate2::Compression::default());
    deflated.write_all(&bytes(&values())).expect("memory");
    for (syntax, stream) in [("1.98", bytes(&values())), ("8.1", deflated.finish().expect("memory"))] {
        let found = packed(made(16, 12, false), &stream, syntax).expect(syntax);
        assert_eq!((found.values_sha256(), codes(&found)), (expected.values_sha256(), codes(&expected)), "{syntax}");
    }
}

#[test]
fn jpeg_ls_is_off_by_no_more_than_it_says() {
    let expected = plain(made(16, 12, false), &bytes(&values()));
    let found = packed(made(16, 12, false), &stream(JPEG_LS_NEAR), "4.81").expect("decoded");
    assert!((1.0..=3.0).contains(&apart(&found, &expected)) && codes(&found).contains(&"ct.lossy"), "{}", apart(&found, &expected));
}

/// OpenJPH 0.26, reversible, resolution first.
const HTJ2K: &str = "\
    /0//UQApQAAAAAAQAAAADAAAAAAAAAAAAAAAEAAAAAwAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJCQkJCQiIiI/2QAFwABT3Bl\
    bkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAQwAAf+TwAAmhfsFB3QAAMAAE0AAE0AAEgDA/gIHdAA6/gKHdAAAR3QAwAAVEAAEkAAEwCIYYjYAwrQA8TIzAE7+AAF0AMAAFfAA\
    BaMAAFeAER4UiUTbPQfvI+6kWZYAMWBLngOuPSUxAAAD3MkimACDUijxJ7LVkAF9zJMrNwDAAC6qAAF1cAALpD/w3OOI5Az6m9IAeh73/0NpBMCrDwvCkOP/DexBAXgQ84IA\
    8k78AmfeAKPmIzhw4cM9p3kF/ILR+dMukFHMk5sAxPCgAv5MgrskVXinQGyM6AJn3wD/AwLf+98HAwCA4A/43w8M/P4++ARuYIxrAPePYQ9D7/Jn0AH/2Q==";
/// The same, irreversible; off by 1 at most.
const HTJ2K_LOSSY: &str = "\
    /0//UQApQAAAAAAQAAAADAAAAAAAAAAAAAAAEAAAAAwAAAAAAAAAAAABDwEB/1AACAACAAAAKv9SAAwAAgABAAUEBEAA/1wAIyK3GLbqtuq2vK8ArwCu4qdMp0ynZJADkAOQ\
    RpfSl9KXYf9kABcAAU9wZW5KUEggVmVyIDAuMjYuMy7/kAAKAAAAAAEsAAH/k8AAATiFTOEIB3QAAMAAAmgAAE0AAAlArvEDh3QASuQEB3QAwQCHdADAAAVMAABPAAATAFao\
    4IgTAUK0AAeP/gBiNACc/QABdADAABaUAAFqQAAV4CoGAaOTM1i9kwWaI+4AAFmXAPo5towqIOvGovKk6QSe5gABVpgAS5AwkrVIZOAAU/mlsbcAwAAXWQAAXZQAAXVg0KTA\
    JUcm0k9RS4M7IJOA1dJmk+1qmBtmMwjCBNUT9B5xeBD9YhHyWhSRnQBMyOJiQG+7cmkWKiD3gEnIHs4UNzeeGy3gqnFH7gS5hOmQ/gBICokVHinQR5CdUkC/AAAOLMaARCgw\
    wBbDHcc4ABUJhBRIDC8AHm3GAAL+CwWL5AOKuEnRvCkIXgD/2Q==";
/// OpenJPEG 2.5, reversible.
const JPEG_2000: &str = "\
    /0//UQApAAAAAAAQAAAADAAAAAAAAAAAAAAAEAAAAAwAAAAAAAAAAAABDwEB/1IADAAAAAEAAAQEAAH/XAAEQID/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24g\
    Mi41LjT/kAAKAAAAAAEgAAH/k9/4mhwSNlexqmqKfku9g4jnfmEYHOWgXrHwiQNJ3hG2Rm5kHCbAiBb5D3pUYEhv3TwYfgyhfGkgF6BAABxhF7kb6fxEkYursXRklyAfJOBP\
    9bvXczKYGMQhBMB7boabF/s2utXCY/w4gyuxkRP/Iib9nOs6gUBGDXpOo7Bz/alLxFxEPnQ//ptARFlP2pVhQTQ76ULCjf8H/1HtYniuceG3Ecx767c8G2o03Y+kf34YjtRC\
    LXSOXkizt+TMZ0iJmPokaFfl/nY3oEzakI67iCy3pL/uwxVPOdVaCPHKVMffQTo9SnHxOFdElV3cOsstrpIMFIWq0tS9/kplS4evrql0X/ZPzBcfTTEinbNSGBndR/f/2Q==";
/// CharLS, off by 3 at most.
const JPEG_LS_NEAR: &str = "\
    /9j/6AAgU1BJRkYAAgAAAQAAAAwAAAAQChAGAQAAASwAAAEs/+gACAAAAAH/2P/3AAsQAAwAEAEBEQD/+AANAf//ABsAUgEpAED/2gAIAQEAAwAAoTC4mExMmTJhMTJkyZ6Y\
    1DIyZKmVVVVVUVU4hka1rWNYzDI6ZOhcCxHTWsaxmHymMzro2AanWtY1CpazH1M3T4LVCxrkKlqBleflfGFqha1nAZBEoJL4pAygDMLDIcoFFoKUgqQVIIJkOK0CrQkKpFWi\
    hRaCQtIJxtEilpItoom0oJIpCRqMQ00rEGho0YjSTQ1iNNWJqSJpuI0000qOIwD/2Q==";
/// liblj92, sixth predictor.
const JPEG_LOSSLESS: &str = "\
    /9j/xAAbAAEBAQADAQEAAAAAAAAAAAAGBwIDBAEFEP/DAAsQAAwAEAEAEQD/2gAIAQAABgAA/JUqVKlSpUqVKlSpUqWts2rh09f0KiUek0ynfQZta2zauHT1/wCpEylWuYM2\
    tbZtXDrj+/YqJzKVa5gza1tm1ccFdf8AqSz9hWuYM2tbZtetW3ubFtNau2uYM2tbZtXDrjsHtl5lKtcwZta2z6dY4K7mxbs/YtndYM+nW2bVw647B7ZeZSrXMGbWts2vWrb3\
    Ni2mtXbXMGbWts2rjgrr/wBSWfsK1zBm1rbNq4dcf37FROZSrXMGbUD/2Q==";
/// libjpeg-turbo, extended process, 12 bits.
const JPEG_12_BITS: &str = "\
    /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/wQALDAAMABAB\
    AREA/8QAFQABAQAAAAAAAAAAAAAAAAAACg3/xAAlEAACAQIFBAMBAAAAAAAAAAABAgMEEQAGCRIhBQcIIgoVMeH/2gAIAQEAAD8Anyekl8Kbp46R0F37fwzVUkSOTJSBiCRZ\
    VCgH25B5BABXhiwGGMaXvwsKaohy3TP26p6ZJKqJhUfXLGQmxyVZgoBtYEkGxBVuL4a7pUaV3jtAmR0XJ25KpKNGVnQhSyopZfT9sSD+gjgg8YY1pdaWPjvNmrLFC+Tt8XuW\
    Yum6RjE12Y7OSf4LAAY//9k=";
