#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| verimetry_fuzz::read_model(bytes));
