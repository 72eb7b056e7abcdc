//! OFF, the text form: a line of coordinates for every vertex, a line of corners for every face.
//!
//! Colours, normals and texture places (`COFF`, `NOFF`, `STOFF`) follow the coordinates of their vertex and are passed over, as are the colours of
//! faces. Accepts comments and blank lines anywhere. Other dimensions (`4OFF`, `nOFF`) are no OFF here; binary files are refused.
//! What the header promises is held against the bytes there are before memory is taken.

use std::path::Path;

use super::MeshFile;
use super::bytes;
use super::fault::Fault;
use super::polygons::{Fans, Lines, malformed, number, point};

const FORMAT: &str = "OFF";
/// The least bytes a vertex and a face take: `0 0 0` and `3 0 1 2`, each with an end of line.
const VERTEX_BYTES: u64 = 6;
const FACE_BYTES: u64 = 8;

pub(super) fn is_off(head: &[u8]) -> bool {
    keyword(head).is_some()
}

/// What follows the keyword, and whether vertices carry more than coordinates.
fn keyword(text: &[u8]) -> Option<(&[u8], bool)> {
    let start = text.trim_ascii_start();
    let plain = [&b"ST"[..], b"C", b"N"].into_iter().fold(start, |rest, prefix| rest.strip_prefix(prefix).unwrap_or(rest));
    let rest = plain.strip_prefix(b"OFF")?;
    let ends = rest.first().is_none_or(|b| b.is_ascii_whitespace() || b.is_ascii_digit() || *b == b'#');
    ends.then_some((rest, plain.len() < start.len()))
}

pub(super) fn read(path: &Path) -> Result<MeshFile, Fault> {
    parse(&bytes::whole(path)?)
}

fn parse(text: &[u8]) -> Result<MeshFile, Fault> {
    let (body, carries_more) = keyword(text).unwrap_or((text, false));
    let (mut lines, mut words) = (Lines::new(body), vec![]);
    let ended = |lines: &Lines, least: u64| Fault::Truncated {
        format: FORMAT,
        needed: (text.len() - lines.left()) as u64 + least,
        found: text.len() as u64,
    };
    let line = lines.next(&mut words).ok_or_else(|| ended(&lines, VERTEX_BYTES + FACE_BYTES))?;
    let counts = words.iter().take(3).map(|w| number::<u32>(w)).collect::<Option<Vec<u32>>>();
    let Some([vertex_count, face_count, ..]) = counts.as_deref() else {
        return Err(malformed(FORMAT, line, &words, "the numbers of vertices, faces and edges in text"));
    };
    let needed = VERTEX_BYTES * u64::from(*vertex_count) + FACE_BYTES * u64::from(*face_count);
    // The last line may lack its end.
    if needed > lines.left() as u64 + 1 {
        return Err(ended(&lines, needed));
    }
    let mut vertices = Vec::with_capacity(*vertex_count as usize);
    for _ in 0..*vertex_count {
        let line = lines.next(&mut words).ok_or_else(|| ended(&lines, VERTEX_BYTES))?;
        let vertex = point(&words).filter(|_| carries_more || words.len() == 3);
        vertices.push(vertex.ok_or_else(|| malformed(FORMAT, line, &words, "the three coordinates of one vertex"))?);
    }
    let (mut fans, mut corners) = (Fans::with_capacity(*face_count as usize), vec![]);
    for _ in 0..*face_count {
        let line = lines.next(&mut words).ok_or_else(|| ended(&lines, FACE_BYTES))?;
        let of_face = || {
            let count = number::<usize>(words.first()?).filter(|&n| n >= 3)?;
            words.get(1..count.checked_add(1)?)?.iter().map(|w| number::<u32>(w)).collect::<Option<Vec<u32>>>()
        };
        corners.clear();
        corners.extend(of_face().ok_or_else(|| malformed(FORMAT, line, &words, "a number of corners from 3 on and so many vertices"))?);
        fans.push(&corners);
    }
    fans.welded(vertices, "off")
}
