//! STL, binary and ASCII: triangles as they stand, exact duplicates of corners welded.
//!
//! A file is binary when its length is 84 + 50 n for the n it states, whatever its header says: binary headers may begin with `solid`.
//! Coordinates are 32-bit floats in both forms, as everywhere; normals and attributes are not read, orientation comes from the order
//! of corners. Degenerate triangles are kept, mesh health reports them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::bytes;
use super::fault::{Fault, FileError, quoted};
use super::weld::{BLOCK, weld};
use crate::mesh::Mesh;

const HEADER: u64 = 84;
const RECORD: usize = 50;

/// What the first bytes and the length say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    Binary { triangles: u32 },
    Ascii,
}

/// The form of a file of `len` bytes that begins with `head`; `None` where it is not STL.
pub(super) fn form(head: &[u8], len: u64) -> Option<Form> {
    let stated = head.get(80..84).map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]]));
    if let Some(triangles) = stated.filter(|&n| len == HEADER + RECORD as u64 * u64::from(n)) {
        return Some(Form::Binary { triangles });
    }
    let text = head.trim_ascii_start();
    text.get(..5).is_some_and(|w| w.eq_ignore_ascii_case(b"solid")).then_some(Form::Ascii)
}

/// The fault of a file that its name alone calls STL.
pub(super) fn broken(head: &[u8], len: u64) -> Fault {
    match head.get(80..84) {
        None => Fault::Truncated { format: "STL", needed: HEADER, found: len },
        Some(n) => {
            let stated = u32::from_le_bytes([n[0], n[1], n[2], n[3]]);
            let needed = HEADER + RECORD as u64 * u64::from(stated);
            if len < needed {
                Fault::Truncated { format: "STL", needed, found: len }
            } else {
                Fault::Malformed {
                    format: "STL",
                    place: "byte 80".into(),
                    found: format!("{stated} triangles, hence {needed} bytes, in a file of {len}"),
                    expected: "a length of 84 + 50 n bytes",
                }
            }
        }
    }
}

pub(super) fn read_binary(path: &Path, triangles: u32) -> Result<Mesh, Fault> {
    weld(triangles as usize, |start, out| {
        // Every block opens the file anew: threads share no position.
        thread_local! {
            static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        let mut file = File::open(path).map_err(|e| Fault::unreadable(&e))?;
        file.seek(SeekFrom::Start(HEADER + (start * RECORD) as u64)).map_err(|e| Fault::unreadable(&e))?;
        BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(BLOCK * RECORD, 0);
            let records = &mut buffer[..out.len() * RECORD];
            file.read_exact(records).map_err(|e| Fault::unreadable(&e))?;
            for (record, triangle) in records.chunks_exact(RECORD).zip(out) {
                for (c, value) in triangle.iter_mut().flatten().enumerate() {
                    let at = 12 + 4 * c;
                    *value = f32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
                }
            }
            Ok(())
        })
    })
}

/// Reads `facet … vertex … endfacet` line by line; anything between facets is passed over, names may be any bytes.
pub(super) fn read_ascii(path: &Path) -> Result<Mesh, Fault> {
    let text = bytes::whole(path)?;
    let (mut soup, mut corners, mut ended) = (Vec::<[[f32; 3]; 3]>::new(), Vec::<[f32; 3]>::with_capacity(3), false);
    let end_of_line = if text.contains(&b'\n') { b'\n' } else { b'\r' };
    for (number, line) in text.split(|&b| b == end_of_line).enumerate() {
        let mut words = line.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty());
        let Some(word) = words.next() else { continue };
        let malformed = |expected| Fault::Malformed { format: "STL", place: format!("line {}", number + 1), found: quoted(line), expected };
        if word.eq_ignore_ascii_case(b"vertex") {
            let mut corner = [0f32; 3];
            for value in &mut corner {
                let parsed = words.next().and_then(|w| std::str::from_utf8(w).ok()?.parse().ok());
                *value = parsed.ok_or_else(|| malformed("three numbers after \"vertex\""))?;
            }
            corners.push(corner);
        } else if word.eq_ignore_ascii_case(b"endfacet") {
            let triangle = <[[f32; 3]; 3]>::try_from(corners.as_slice()).map_err(|_| malformed("three vertices in a facet"))?;
            soup.push(triangle);
            corners.clear();
        }
        ended = word.eq_ignore_ascii_case(b"endsolid") || (ended && !word.eq_ignore_ascii_case(b"solid"));
    }
    if !ended {
        // What is missing cannot be counted; one line more is the least.
        let found = text.len() as u64;
        return Err(Fault::Truncated { format: "STL", needed: found + b"endsolid".len() as u64, found });
    }
    drop(text);
    weld(soup.len(), |start, out| {
        out.copy_from_slice(&soup[start..start + out.len()]);
        Ok(())
    })
}

/// Writes binary STL with coordinates rounded to 32 bits. Nothing partial is left behind.
pub fn write(path: &Path, mesh: &Mesh) -> Result<(), FileError> {
    let triangle = |t: usize| {
        let single = |v: &nalgebra::Vector3<f64>| stl_io::Vector::new([v.x as f32, v.y as f32, v.z as f32]);
        let normal = mesh.area_vector(t).try_normalize(0.0).unwrap_or_else(nalgebra::Vector3::zeros);
        stl_io::Triangle { normal: single(&normal), vertices: mesh.corners(t).map(|p| single(&p.coords)) }
    };
    bytes::write(path, |out| stl_io::write_stl(out, (0..mesh.triangles().len()).map(triangle)))
}
