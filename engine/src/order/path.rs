//! Paths of an order: relative, portable, inside its folder.

use std::path::{Path, PathBuf};

use super::error::{Fault, OrderError, shown};

const MAX_LENGTH: usize = 1024;
/// Folders below an input folder that are looked into for links; deeper ones are refused.
const MAX_DEPTH: usize = 16;

/// Why the text cannot be a path of an order, judged by its characters alone; `None` where it can.
///
/// One spelling on every system: `/` separates, no `..`, no absolute path, no backslash, colon (drives, streams) or control character.
pub fn refused_path(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty");
    }
    if path.len() > MAX_LENGTH {
        return Some("is longer than 1024 bytes");
    }
    if path.chars().any(char::is_control) {
        return Some("has a control character");
    }
    if path.contains(['\\', ':']) {
        return Some("has a backslash or a colon");
    }
    if path.starts_with('/') {
        return Some("is absolute");
    }
    if path.split('/').any(|part| part == "..") {
        return Some("leaves the folder by \"..\"");
    }
    None
}

/// The file or folder that a path of the order names, below `folder`, with every link followed. Links that lead out of `folder`
/// are refused, those inside an input folder too.
pub fn resolve(folder: &Path, path: &str) -> Result<PathBuf, OrderError> {
    let refuse = |reason| OrderError::new("", "", Fault::Path { path: shown(path), reason });
    let unreadable = |e: std::io::Error| OrderError::new("", "", Fault::File { path: shown(path), reason: e.kind().to_string() });
    if let Some(reason) = refused_path(path) {
        return Err(refuse(reason));
    }
    let root = folder.canonicalize().map_err(unreadable)?;
    let found = root.join(path).canonicalize().map_err(unreadable)?;
    if !found.starts_with(&root) {
        return Err(refuse("leads out of the folder by a link"));
    }
    if found.is_dir() && !keeps_inside(&found, &root, MAX_DEPTH).map_err(unreadable)? {
        return Err(refuse("holds a link that leads out of the folder, or folders nested too deep"));
    }
    Ok(found)
}

fn keeps_inside(folder: &Path, root: &Path, depth: usize) -> std::io::Result<bool> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        let kind = entry.file_type()?; // of the entry itself, so a link is seen as a link
        let inside = if kind.is_symlink() {
            entry.path().canonicalize().is_ok_and(|target| target.starts_with(root))
        } else {
            !kind.is_dir() || (depth > 0 && keeps_inside(&entry.path(), root, depth - 1)?)
        };
        if !inside {
            return Ok(false);
        }
    }
    Ok(true)
}
