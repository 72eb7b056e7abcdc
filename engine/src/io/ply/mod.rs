//! PLY, ASCII and both binaries: vertices with their scalar fields and colours, polygons as fans of triangles; without any, a point cloud.
//!
//! Vertices stay as they are numbered in the file, unwelded, because fields belong to them. Elements other than `vertex` and `face`
//! are passed over. Own reader: what the header promises is held against the bytes there are before memory is taken.

mod header;
mod values;

use std::io::Write;
use std::path::Path;

use nalgebra::Point3;

use super::MeshFile;
use super::bytes;
use super::fault::{Fault, FileError};
use super::polygons::Fans;
use crate::mesh::{Mesh, MeshError};
use header::{Element, Header, Kind, Property, Scalar};
use values::Values;

/// A number at every vertex.
#[derive(Clone, Debug, PartialEq)]
pub struct VertexField {
    pub name: String,
    pub values: Vec<f64>,
}

pub(super) fn is_ply(head: &[u8]) -> bool {
    head.starts_with(b"ply\n") || head.starts_with(b"ply\r") || head.starts_with(b"ply ")
}

pub(super) fn read(path: &Path) -> Result<MeshFile, Fault> {
    let bytes = bytes::whole(path)?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<MeshFile, Fault> {
    let header = Header::parse(bytes)?;
    let mut values = Values::new(bytes, header.body, header.encoding);
    let (mut vertices, mut faces) = (Columns::default(), Fans::default());
    // An element without properties takes no bytes, however many there are said to be.
    for element in header.elements.iter().filter(|e| !e.properties.is_empty()) {
        values.can_hold(element)?;
        match element.name.as_str() {
            "vertex" => vertices = Columns::read(element, &mut values)?,
            "face" => faces = read_faces(element, &mut values)?,
            _ => values.skip(element)?,
        }
    }
    vertices.into_file(faces)
}

/// The scalar properties of the vertices, one column each.
#[derive(Default)]
struct Columns {
    count: usize,
    columns: Vec<(String, Scalar, Vec<f64>)>,
}

impl Columns {
    fn read(element: &Element, values: &mut Values) -> Result<Columns, Fault> {
        let mut columns: Vec<(String, Scalar, Vec<f64>)> = vec![];
        for property in &element.properties {
            if let Kind::Scalar(scalar) = property.kind {
                columns.push((property.name.clone(), scalar, Vec::with_capacity(element.count)));
            }
        }
        for _ in 0..element.count {
            let mut column = columns.iter_mut();
            for property in &element.properties {
                match (property.kind, column.next()) {
                    (Kind::Scalar(scalar), Some((.., out))) => out.push(values.next(scalar)?),
                    _ => values.skip_property(property)?,
                }
            }
        }
        Ok(Columns { count: element.count, columns })
    }

    fn take(&mut self, name: &str, fits: impl Fn(Scalar) -> bool) -> Option<Vec<f64>> {
        let at = self.columns.iter().position(|(n, scalar, _)| n == name && fits(*scalar))?;
        Some(self.columns.remove(at).2)
    }

    fn into_file(mut self, faces: Fans) -> Result<MeshFile, Fault> {
        if self.count == 0 {
            return Err(MeshError::Empty { vertices: self.count }.into());
        }
        let [x, y, z] = ["x", "y", "z"].map(|name| {
            self.take(name, |_| true).ok_or_else(|| Fault::Malformed {
                format: "PLY",
                place: "the header".into(),
                found: format!("no vertex property {name}"),
                expected: "x, y and z of every vertex",
            })
        });
        let (x, y, z) = (x?, y?, z?);
        let vertices: Vec<_> = (0..self.count).map(|i| Point3::new(x[i], y[i], z[i])).collect();
        let colours = self.take_colours();
        let fields = self.columns.into_iter().map(|(name, _, values)| VertexField { name, values }).collect();
        let (mesh, polygons) = if faces.triangles.is_empty() { (Mesh::of_points(vertices)?, vec![]) } else { faces.into_mesh(vertices)? };
        let findings = Fans::concave(&polygons, &mesh).into_iter().collect();
        Ok(MeshFile { fields, colours, findings, ..MeshFile::plain(mesh, "ply") })
    }

    /// Red, green and blue of 8 bits, with alpha where there is one. Colours of other types stay fields.
    fn take_colours(&mut self) -> Option<Vec<[u8; 4]>> {
        let byte = |s: Scalar| s == Scalar::U8;
        let names = ["red", "green", "blue"];
        if !names.iter().all(|n| self.columns.iter().any(|(name, s, _)| name == n && byte(*s))) {
            return None;
        }
        let [r, g, b] = names.map(|n| self.take(n, byte).unwrap_or_default());
        let a = self.take("alpha", byte);
        Some((0..self.count).map(|i| [r[i], g[i], b[i], a.as_ref().map_or(255.0, |a| a[i])].map(|v| v as u8)).collect())
    }
}

fn read_faces(element: &Element, values: &mut Values) -> Result<Fans, Fault> {
    let is_indices = |p: &Property| matches!(p.kind, Kind::List { .. }) && matches!(p.name.as_str(), "vertex_indices" | "vertex_index");
    let mut fans = Fans::with_capacity(element.count);
    let mut corners = vec![];
    for face in 0..element.count {
        for property in &element.properties {
            let Kind::List { count, item } = property.kind else {
                values.skip_property(property)?;
                continue;
            };
            if !is_indices(property) {
                values.skip_property(property)?;
                continue;
            }
            let length = values.list_length(count, item)?;
            let bad = |found: String, expected| Fault::Malformed { format: "PLY", place: format!("face {face}"), found, expected };
            if length < 3 {
                return Err(bad(format!("{length} vertices"), "at least 3 vertices"));
            }
            corners.clear();
            for _ in 0..length {
                let v = values.next(item)?;
                if !(0.0..f64::from(u32::MAX)).contains(&v) || v.fract() != 0.0 {
                    return Err(bad(format!("vertex {v}"), "a whole number from 0 on"));
                }
                corners.push(v as u32);
            }
            fans.push(&corners);
        }
    }
    Ok(fans)
}

/// Writes binary little-endian PLY with coordinates and fields of 64 bits, so that nothing is rounded. Fields and colours have one
/// entry a vertex; others are left out. Triangles that are points are no faces. Nothing partial is left behind.
pub fn write(path: &Path, mesh: &Mesh, fields: &[VertexField], colours: Option<&[[u8; 4]]>) -> Result<(), FileError> {
    bytes::write(path, |out| encode(out, mesh, fields, colours))
}

/// The bytes that [`write`] puts into a file.
pub fn encode(out: &mut dyn Write, mesh: &Mesh, fields: &[VertexField], colours: Option<&[[u8; 4]]>) -> std::io::Result<()> {
    let count = mesh.vertices().len();
    let fields: Vec<&VertexField> = fields.iter().filter(|f| f.values.len() == count).collect();
    let colours = colours.filter(|c| c.len() == count);
    write!(out, "ply\nformat binary_little_endian 1.0\nelement vertex {count}\n")?;
    for name in ["x", "y", "z"].into_iter().map(String::from).chain(fields.iter().map(|f| word(&f.name))) {
        writeln!(out, "property double {name}")?;
    }
    if colours.is_some() {
        ["red", "green", "blue", "alpha"].iter().try_for_each(|c| writeln!(out, "property uchar {c}"))?;
    }
    let faces = || mesh.triangles().iter().filter(|[a, b, c]| a != b || b != c);
    write!(out, "element face {}\nproperty list uchar int vertex_indices\nend_header\n", faces().count())?;
    for (i, p) in mesh.vertices().iter().enumerate() {
        p.iter().chain(fields.iter().map(|f| &f.values[i])).try_for_each(|x| out.write_all(&x.to_le_bytes()))?;
        if let Some(colours) = colours {
            out.write_all(&colours[i])?;
        }
    }
    for triangle in faces() {
        out.write_all(&[3])?;
        triangle.iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))?;
    }
    Ok(())
}

/// A field's name as one word of the header.
fn word(name: &str) -> String {
    let word: String = name.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect();
    if word.is_empty() { "field".into() } else { word }
}
