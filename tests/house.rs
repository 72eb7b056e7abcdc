//! Rules of the source that no compiler keeps.

use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 900;

/// Rooms of the engine and what each may import, besides itself and the crate's root.
const IMPORTS: &[(&str, &[&str])] = &[
    ("finding", &[]),
    ("error", &[]),
    ("sum", &[]),
    ("frame", BASE),
    ("gpu", BASE),
    ("runtime", &["error", "finding", "sum", "frame", "gpu"]),
    ("volume", DATA),
    ("mesh", DATA),
    ("io", ROOMS),
    ("inspect", ROOMS),
    ("kernels", ROOMS),
    ("render", ROOMS),
    ("segment", WITH_KERNELS),
    ("surface", WITH_KERNELS),
    ("distance", WITH_KERNELS),
    ("align", WITH_KERNELS),
    ("shrinkage", WITH_KERNELS),
];
const BASE: &[&str] = &["error", "finding", "sum"];
const DATA: &[&str] = &["error", "finding", "sum", "frame", "runtime"];
const ROOMS: &[&str] = &["error", "finding", "sum", "frame", "runtime", "gpu", "volume", "mesh", "io"];
const WITH_KERNELS: &[&str] =
    &["error", "finding", "sum", "frame", "runtime", "gpu", "volume", "mesh", "io", "kernels", "segment", "surface", "distance", "align"];

/// Later rooms of the same row that a row may not name, so that no two rooms name each other.
const ORDER: &[&str] = &["segment", "surface", "distance", "align", "shrinkage"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, extension: &str) -> Vec<(PathBuf, String)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let mut found = vec![];
    for path in entries.map(|e| e.unwrap().path()) {
        if path.is_dir() {
            found.extend(sources(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

fn rust() -> Vec<(PathBuf, String)> {
    let all: Vec<_> = ["engine/src", "server", "benches", "tests"].iter().flat_map(|f| sources(&root().join(f), "rs")).collect();
    assert!(all.len() > 10, "the sources are looked for in the wrong place");
    all
}

/// The code of a file without comments.
fn code(text: &str) -> String {
    text.lines().map(|l| l.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[test]
fn one_file_alone_names_the_gpu_library() {
    let crate_name = ["wg", "pu"].concat();
    for (path, text) in rust() {
        assert!(path.ends_with("engine/src/gpu.rs") || !code(&text).contains(&crate_name), "{} names {crate_name}", path.display());
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    let shaders = sources(&root().join("shaders"), "wgsl");
    assert!(!shaders.is_empty());
    for (path, text) in rust().into_iter().chain(shaders) {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines, allowed are {LONGEST_FILE}: split it", path.display());
    }
}

#[test]
fn rooms_of_the_engine_import_one_way() {
    let engine = root().join("engine/src");
    for (path, text) in sources(&engine, "rs") {
        let room = path.strip_prefix(&engine).unwrap().iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_string();
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == room) else { continue };
        for named in rooms_named(&code(&text)) {
            let earlier = |name: &str| ORDER.iter().position(|o| *o == name);
            let in_order = earlier(&named).zip(earlier(&room)).is_none_or(|(named, room)| named <= room);
            assert!(
                named == room || (allowed.contains(&named.as_str()) && in_order),
                "{} imports {named}; {room} may import {allowed:?}",
                path.display()
            );
        }
    }
}

/// Modules that follow `crate::` in code, the braces of `use crate::{a, b}` included.
fn rooms_named(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut named = vec![];
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => named.push(word(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && depth == 0 && !c.is_whitespace() => {
                            named.push(word(&list[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    named.retain(|name| name.starts_with(|c: char| c.is_lowercase()) && name != "with_volume");
    named
}

#[test]
fn the_import_check_would_notice() {
    let found = rooms_named("use crate::{gpu::{self, Gpu}, io, Error};\nlet x = crate::kernels::threshold();");
    assert_eq!(found, ["gpu", "io", "kernels"]);
}
