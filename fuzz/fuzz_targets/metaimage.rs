#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| verimetry_fuzz::read(".mha", b"ObjectType = Image\nNDims = 3\n", bytes));
