#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let head = [&[0; 128][..], b"DICM"].concat();
    verimetry_fuzz::read(".dcm", &head, bytes)
});
