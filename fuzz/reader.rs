//! What every reader's target does: the bytes become a file, the file a result or an error, and a result is looked at.
//!
//! `cargo +nightly fuzz run stl -- -max_total_time=60 -rss_limit_mb=512`, from the repository root.

use std::io::Write;

use verimetry_engine::io::{Loaded, load};
use verimetry_engine::mesh::health;

/// Loads `head` followed by `bytes` from a file that ends in `extension`.
pub fn read(extension: &str, head: &[u8], bytes: &[u8]) {
    let mut file = tempfile::Builder::new().suffix(extension).tempfile().expect("a temporary file");
    file.write_all(head).and_then(|()| file.write_all(bytes)).and_then(|()| file.flush()).expect("room for a small file");
    match load(file.path()) {
        Ok(Loaded::Mesh(mesh)) => drop(health::examine(&mesh.mesh)),
        Ok(Loaded::Volume(volume)) => drop(volume.values_sha256()),
        Err(error) => assert!(!error.message.contains('\n') && error.code.contains('.'), "{error}"),
    }
}
