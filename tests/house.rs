//! Rules of the source that no compiler keeps.

use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 900;

/// Rooms of the engine in the order of their imports: each names only rooms before it.
const ROOMS: &[&str] = &[
    "pages",
    "error",
    "finding",
    "sum",
    "noise",
    "forest",
    "linear",
    "frame",
    "gpu",
    "runtime",
    "volume",
    "mesh",
    "io",
    "kernels",
    "render",
    "evidence",
    "segment",
    "surface",
    "distance",
    "health",
    "inspect",
    "align",
    "shrinkage",
    "region",
    "solid",
    "porosity",
    "pores",
    "uncertainty",
    "deviation",
    "section",
    "features",
    "phantom",
    "lattice",
    "order",
    "judgement",
    "decide",
    "case",
    "quantities",
    "load",
    "judge",
    "measure",
];

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
    let place = |name: &str| ROOMS.iter().position(|room| *room == name);
    for (path, text) in sources(&engine, "rs") {
        let room = path.strip_prefix(&engine).unwrap().iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_string();
        if room == "lib" {
            continue;
        }
        let own = place(&room).unwrap_or_else(|| panic!("{room} has no place in the order of rooms"));
        for named in rooms_named(&code(&text)) {
            let other = place(&named).unwrap_or_else(|| panic!("{} names {named}, which is no room", path.display()));
            assert!(other <= own, "{} imports {named}, which comes after {room}", path.display());
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
