//! What files of polygons share: lines of text, polygons as fans of triangles, equal corners as one vertex.
//!
//! A fan covers its polygon where that is convex; others are counted and told. Coordinates that are equal as numbers become one vertex, as in
//! STL, numbered by first appearance: many programs write every face with corners of its own. Cost: a sort of the vertices.

use nalgebra::Point3;
use rayon::prelude::*;

use super::MeshFile;
use super::fault::{Fault, quoted};
use crate::finding::Finding;
use crate::mesh::Mesh;

/// The lines of a text that have words.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    end_of_line: u8,
    number: usize,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Lines { rest: text, end_of_line: if text.contains(&b'\n') { b'\n' } else { b'\r' }, number: 0 }
    }

    /// Bytes that were not looked at yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Puts the words of the next line that has any into `words`; its number, from 1. What follows `#` is a comment; a line that ends with a
    /// backslash goes on in the next one.
    pub fn next(&mut self, words: &mut Vec<&'a [u8]>) -> Option<usize> {
        words.clear();
        loop {
            if self.rest.is_empty() {
                return (!words.is_empty()).then_some(self.number);
            }
            let end = self.rest.iter().position(|&b| b == self.end_of_line);
            let (line, rest) = end.map_or((self.rest, &[][..]), |at| (&self.rest[..at], &self.rest[at + 1..]));
            (self.rest, self.number) = (rest, self.number + 1);
            let line = line.split(|&b| b == b'#').next().unwrap_or_default().trim_ascii_end();
            let (line, goes_on) = line.strip_suffix(b"\\").map_or((line, false), |line| (line, true));
            words.extend(line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()));
            if !words.is_empty() && !goes_on {
                return Some(self.number);
            }
        }
    }
}

/// A word as a number.
pub(super) fn number<N: std::str::FromStr>(word: &[u8]) -> Option<N> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The first three words as coordinates.
pub(super) fn point(words: &[&[u8]]) -> Option<Point3<f64>> {
    let [x, y, z] = words.first_chunk()?;
    Some(Point3::new(number(x)?, number(y)?, number(z)?))
}

/// The fault of a line.
pub(super) fn malformed(format: &'static str, line: usize, words: &[&[u8]], expected: &'static str) -> Fault {
    Fault::Malformed { format, place: format!("line {line}"), found: quoted(&words.join(&b' ')), expected }
}

/// Polygons cut into triangles.
#[derive(Default)]
pub(super) struct Fans {
    pub triangles: Vec<[u32; 3]>,
    /// First triangle and number of triangles of what has more than three corners.
    polygons: Vec<[usize; 2]>,
}

impl Fans {
    /// With room for so many faces.
    pub fn with_capacity(faces: usize) -> Self {
        Fans { triangles: Vec::with_capacity(faces), ..Fans::default() }
    }

    /// Takes a polygon of at least three corners; fewer make nothing.
    pub fn push(&mut self, corners: &[u32]) {
        let Some((&first, rest)) = corners.split_first() else { return };
        if corners.len() > 3 {
            self.polygons.push([self.triangles.len(), corners.len() - 2]);
        }
        self.triangles.extend(rest.windows(2).map(|side| [first, side[0], side[1]]));
    }

    /// A finding where polygons are not convex: a triangle of their fan turns against the others.
    pub fn concave(polygons: &[[usize; 2]], mesh: &Mesh) -> Option<Finding> {
        let is_concave = |&&[first, count]: &&[usize; 2]| {
            let areas = || (first..first + count).map(|t| mesh.area_vector(t));
            let whole: nalgebra::Vector3<f64> = areas().sum();
            areas().any(|area| area.dot(&whole) < -1e-9 * whole.norm_squared())
        };
        let concave = polygons.par_iter().filter(is_concave).count();
        (concave > 0).then(|| {
            let text = format!(
                "{concave} of {} polygons are not convex and their triangles overlap beside them: export the mesh as triangles",
                polygons.len()
            );
            Finding::qualify("mesh.concave_polygons", text)
        })
    }

    /// The mesh with these vertices, and the polygons for [`Fans::concave`].
    pub fn into_mesh(self, vertices: Vec<Point3<f64>>) -> Result<(Mesh, Vec<[usize; 2]>), Fault> {
        Ok((Mesh::new(vertices, self.triangles)?, self.polygons))
    }

    /// The mesh of vertices that carry nothing: equal ones become one.
    pub fn welded(self, vertices: Vec<Point3<f64>>, format: &'static str) -> Result<MeshFile, Fault> {
        // Checked first: what is no number has no order.
        let (mesh, polygons) = self.into_mesh(vertices)?;
        let findings = Fans::concave(&polygons, &mesh).into_iter().collect();
        let (vertices, ids) = distinct(mesh.vertices());
        if vertices.len() == mesh.vertices().len() {
            return Ok(MeshFile { findings, ..MeshFile::plain(mesh, format) });
        }
        let triangles = mesh.triangles().par_iter().map(|t| t.map(|v| ids[v as usize])).collect();
        Ok(MeshFile { findings, ..MeshFile::plain(Mesh::new(vertices, triangles)?, format) })
    }
}

/// The distinct points in order of first appearance, and the number of each point among them.
fn distinct(points: &[Point3<f64>]) -> (Vec<Point3<f64>>, Vec<u32>) {
    // Adding 0 makes -0 the number it equals.
    let key = |&v: &u32| points[v as usize].coords.map(|x| (x + 0.0).to_bits());
    let mut sorted: Vec<u32> = (0..points.len() as u32).collect();
    sorted.par_sort_unstable_by(|a, b| key(a).as_slice().cmp(key(b).as_slice()).then(a.cmp(b)));
    let mut firsts = vec![0u32; points.len()];
    for equal in sorted.chunk_by(|a, b| key(a) == key(b)) {
        equal.iter().for_each(|&v| firsts[v as usize] = equal[0]);
    }
    let (mut kept, mut ids) = (vec![], vec![0u32; points.len()]);
    for v in 0..points.len() {
        if firsts[v] as usize == v {
            ids[v] = kept.len() as u32;
            kept.push(points[v]);
        } else {
            ids[v] = ids[firsts[v] as usize];
        }
    }
    (kept, ids)
}
