#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| verimetry_fuzz::read(".nrrd", b"NRRD0004\ntype: short\ndimension: 3\n", bytes));
