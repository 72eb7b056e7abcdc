//! OBJ: the polygons of all groups and objects as one mesh.
//!
//! Vertices are named from 1, or from the last one back; texture places, normals, colours and materials are passed over, and no other
//! file is opened. Accepts lines continued by a backslash. Free-form curves and surfaces are no mesh and are refused.
//! Memory: what the lines there are make of it; nothing is promised in advance.

use std::path::Path;

use super::MeshFile;
use super::bytes;
use super::fault::Fault;
use super::polygons::{Fans, Lines, malformed, number, point};

const FORMAT: &str = "OBJ";
/// Words that lines begin with.
const KEYWORDS: [&[u8]; 19] = [
    b"v",
    b"vt",
    b"vn",
    b"vp",
    b"f",
    b"fo",
    b"l",
    b"p",
    b"o",
    b"g",
    b"s",
    b"mg",
    b"mtllib",
    b"usemtl",
    b"usemap",
    b"maplib",
    b"lod",
    b"bevel",
    b"d_interp",
];
/// Lines of free-form geometry.
const FREE_FORM: [&[u8]; 4] = [b"cstype", b"curv", b"curv2", b"surf"];

/// Whether the first bytes of a file are lines of OBJ, with a vertex among them. `cut` says that the file goes on after them.
pub(super) fn is_obj(head: &[u8], cut: bool) -> bool {
    let whole = if cut { head.iter().rposition(|&b| b == b'\n' || b == b'\r').unwrap_or(0) } else { head.len() };
    let (mut lines, mut words, mut vertex) = (Lines::new(&head[..whole]), vec![], false);
    while lines.next(&mut words).is_some() {
        let known = KEYWORDS.iter().chain(&FREE_FORM).any(|k| words[0] == *k);
        if !known {
            return false;
        }
        vertex |= words[0] == b"v" && point(&words[1..]).is_some();
    }
    vertex
}

pub(super) fn read(path: &Path) -> Result<MeshFile, Fault> {
    parse(&bytes::whole(path)?)
}

fn parse(text: &[u8]) -> Result<MeshFile, Fault> {
    let (mut lines, mut words) = (Lines::new(text), vec![]);
    let (mut vertices, mut fans, mut corners) = (vec![], Fans::default(), vec![]);
    while let Some(line) = lines.next(&mut words) {
        let bad = |expected| malformed(FORMAT, line, &words, expected);
        match words[0] {
            b"v" => vertices.push(point(&words[1..]).ok_or_else(|| bad("three coordinates after \"v\""))?),
            b"f" | b"fo" => {
                corners.clear();
                for word in &words[1..] {
                    corners.push(corner(word, vertices.len()).ok_or_else(|| bad("vertices that were given before, from 1 on"))?);
                }
                if corners.len() < 3 {
                    return Err(bad("at least 3 corners of a face"));
                }
                fans.push(&corners);
            }
            free if FREE_FORM.contains(&free) => return Err(bad("polygons; export the surface as a mesh")),
            _ => {}
        }
    }
    fans.welded(vertices, "obj")
}

/// The vertex of a corner `v`, `v/vt`, `v//vn` or `v/vt/vn`, counted from 0; `count` are there.
fn corner(word: &[u8], count: usize) -> Option<u32> {
    let named: i64 = number(word.split(|&b| b == b'/').next()?)?;
    let at = if named < 0 { named.checked_add(i64::try_from(count).ok()?)? } else { named.checked_sub(1)? };
    u32::try_from(at).ok().filter(|&at| (at as usize) < count)
}
