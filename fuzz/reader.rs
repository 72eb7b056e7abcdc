//! What every reader's target does: the bytes become a file, the file a result or an error, and a result is looked at.
//!
//! `cargo +nightly fuzz run stl -- -max_total_time=60 -rss_limit_mb=512`, from the repository root.

use std::io::Write;
use std::path::Path;

use verimetry_engine::health;
use verimetry_engine::io::{Loaded, load};
use verimetry_engine::lattice::Design;

/// Loads `head` followed by `bytes` from a file that ends in `extension`.
pub fn read(extension: &str, head: &[u8], bytes: &[u8]) {
    let mut file = tempfile::Builder::new().suffix(extension).tempfile().expect("a temporary file");
    file.write_all(head).and_then(|()| file.write_all(bytes)).and_then(|()| file.flush()).expect("room for a small file");
    look(file.path());
}

/// Loads a 3MF package whose model is `bytes`.
pub fn read_model(bytes: &[u8]) {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    let mut part = |name, content: &[u8]| {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("a name of a part");
        zip.write_all(content).expect("memory for a small file");
    };
    part("_rels/.rels", b"<Relationships><Relationship Type=\"/3dmodel\" Target=\"/m\"/></Relationships>");
    part("m", bytes);
    read(".3mf", &zip.finish().expect("a package").into_inner(), b"");
}

/// Loads raw voxels whose sidecar is `bytes`.
pub fn read_sidecar(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let voxels = folder.path().join("x.raw");
    std::fs::write(&voxels, [7; 64]).and_then(|()| std::fs::write(folder.path().join("x.toml"), bytes)).expect("room for small files");
    look(&voxels);
}

/// Reads a list of designed struts, and what it writes of it again.
pub fn read_struts(bytes: &[u8]) {
    match Design::parse(bytes) {
        Ok(design) => assert_eq!(Design::parse(design.to_json().as_bytes()), Ok(design)),
        Err(error) => assert!(!error.to_string().contains('\n') && error.code().contains('.'), "{error}"),
    }
}

fn look(path: &Path) {
    match load(path) {
        Ok(Loaded::Mesh(mesh) | Loaded::Cloud(mesh)) => drop(health::examine(&mesh.mesh)),
        Ok(Loaded::Volume(volume)) => drop(volume.values_sha256()),
        Err(error) => assert!(!error.message.contains('\n') && error.code.contains('.'), "{error}"),
    }
}
