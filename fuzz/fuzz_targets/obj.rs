#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| verimetry_fuzz::read(".obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", bytes));
