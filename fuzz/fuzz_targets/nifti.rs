#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The marks of the format, so that every input reaches the reader.
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 348 {
        bytes[..4].copy_from_slice(&348i32.to_le_bytes());
        bytes[344..348].copy_from_slice(b"n+1\0");
    }
    verimetry_fuzz::read(".nii", b"", &bytes)
});
