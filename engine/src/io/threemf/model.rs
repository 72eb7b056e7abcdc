//! One model part of a package: its unit, objects and build, by a pull parser that holds one element at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Read};
use std::str::FromStr;

use nalgebra::{Matrix3, Point3, Vector3};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::QName;
use quick_xml::{Reader, XmlVersion};

use super::super::fault::{Fault, quoted};
use super::super::polygons::Fans;
use super::FORMAT;
use crate::mesh::Mesh;

/// Bytes of one element, at most.
const LONGEST: usize = 64 << 10;
/// Elements within one another, at most.
const DEEPEST: usize = 32;
/// Namespaces that may be required: they do not change the shape of what is read, or are read.
const UNDERSTOOD: [&str; 4] = [
    "http://schemas.microsoft.com/3dmanufacturing/core/2015/02",
    "http://schemas.microsoft.com/3dmanufacturing/production/2015/06",
    "http://schemas.microsoft.com/3dmanufacturing/material/2015/02",
    "http://schemas.microsoft.com/3dmanufacturing/trianglesets/2021/07",
];
/// Elements in a mesh beside its shape.
const NO_SHAPE: [&str; 1] = ["trianglesets"];
/// Units of length by name, in millimetres.
const UNITS: [(&str, f64); 6] =
    [("micron", 1e-3), ("millimeter", 1.0), ("centimeter", 10.0), ("inch", 25.4), ("foot", 304.8), ("meter", 1000.0)];

/// A model part.
#[derive(Debug)]
pub(super) struct Model {
    pub unit: &'static str,
    pub unit_mm: f64,
    pub objects: BTreeMap<u32, Object>,
    pub build: Vec<Placed>,
    /// Elements in meshes that say more of the shape than triangles.
    pub passed_over: BTreeSet<String>,
}

/// A mesh, or components that make one.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// No support and nothing else that is not meant to stay.
    pub is_part: bool,
    pub mesh: Option<Mesh>,
    pub components: Vec<Placed>,
}

/// An object of this or another part of the package, and where it stands: `linear * p + shift`, in units of the file.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub part: Option<String>,
    pub object: u32,
    pub linear: Matrix3<f64>,
    pub shift: Vector3<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Model,
    Resources,
    Object,
    Mesh,
    Vertices,
    Vertex,
    Triangles,
    Triangle,
    Components,
    Component,
    Build,
    Item,
    Other,
}

impl Tag {
    /// What an element of the core is where it stands.
    fn of(parent: Option<Tag>, name: &str) -> Tag {
        match (parent, name) {
            (None, "model") => Tag::Model,
            (Some(Tag::Model), "resources") => Tag::Resources,
            (Some(Tag::Model), "build") => Tag::Build,
            (Some(Tag::Resources), "object") => Tag::Object,
            (Some(Tag::Object), "mesh") => Tag::Mesh,
            (Some(Tag::Object), "components") => Tag::Components,
            (Some(Tag::Mesh), "vertices") => Tag::Vertices,
            (Some(Tag::Mesh), "triangles") => Tag::Triangles,
            (Some(Tag::Vertices), "vertex") => Tag::Vertex,
            (Some(Tag::Triangles), "triangle") => Tag::Triangle,
            (Some(Tag::Components), "component") => Tag::Component,
            (Some(Tag::Build), "item") => Tag::Item,
            _ => Tag::Other,
        }
    }
}

/// Reads a model part of at most so many vertices and triangles, and takes them off.
pub(super) fn read(source: impl BufRead, left: &mut u64) -> Result<Model, Fault> {
    let mut reader = Reader::from_reader(Portion { source, left: 0 });
    let (mut buffer, mut open, mut reading) = (vec![], vec![], None::<Reading>);
    loop {
        buffer.clear();
        reader.get_mut().left = LONGEST;
        let at = reader.buffer_position();
        let bad = |found: &str, expected| malformed(at, found, expected);
        let event = reader
            .read_event_into(&mut buffer)
            .map_err(|e| malformed(at, &e.to_string(), "well-formed XML in UTF-8, elements of at most 64 KiB"))?;
        let (element, is_empty) = match &event {
            Event::Start(element) => (element, false),
            Event::Empty(element) => (element, true),
            Event::End(_) => {
                if let (Some(tag), Some(reading)) = (open.pop(), &mut reading) {
                    reading.close(tag)?;
                }
                continue;
            }
            Event::DocType(_) => return Err(bad("a document type", "a model without one")),
            Event::Eof => break,
            _ => continue,
        };
        let (name, prefix) = element.name().decompose();
        let tag = match &reading {
            Some(reading) if prefix.map(|p| p.into_inner()) != reading.prefix.as_deref() => Tag::Other,
            _ => Tag::of(open.last().copied(), name.into_inner()),
        };
        match &mut reading {
            None if tag == Tag::Model => {
                let prefix = prefix.map(|p| p.into_inner().to_string());
                reading = Some(Reading::new(element, prefix).map_err(|(found, expected)| bad(&found, expected))?);
            }
            None => return Err(bad(name.into_inner(), "the element \"model\"")),
            Some(reading) => {
                if matches!(tag, Tag::Vertex | Tag::Triangle) {
                    *left = left.checked_sub(1).ok_or_else(|| bad(element, "fewer vertices and triangles in all"))?;
                }
                reading.open(tag, element, open.last()).map_err(|expected| bad(element, expected))?;
            }
        }
        if is_empty {
            reading.as_mut().map_or(Ok(()), |reading| reading.close(tag))?;
        } else if open.len() == DEEPEST {
            return Err(bad(name.into_inner(), "at most 32 elements within one another"));
        } else {
            open.push(tag);
        }
    }
    match reading {
        Some(reading) if open.is_empty() => Ok(reading.model),
        _ => Err(malformed(reader.buffer_position(), "the end", "a whole model")),
    }
}

fn malformed(at: u64, found: &str, expected: &'static str) -> Fault {
    Fault::Malformed { format: FORMAT, place: format!("byte {at} of a model"), found: quoted(found.as_bytes()), expected }
}

/// A model as far as it was read.
struct Reading {
    model: Model,
    /// Of the elements of the core.
    prefix: Option<String>,
    id: Option<u32>,
    object: Object,
    vertices: Vec<Point3<f64>>,
    fans: Fans,
}

impl Reading {
    /// Errors: what was found and what is expected.
    fn new(element: &BytesStart, prefix: Option<String>) -> Result<Reading, (String, &'static str)> {
        let name = attribute(element, "unit").unwrap_or_else(|| "millimeter".into());
        let unit = UNITS.into_iter().find(|(unit, _)| *unit == name);
        let (unit, unit_mm) = unit.ok_or((name, "a unit of length between micron and meter"))?;
        for required in attribute(element, "requiredextensions").unwrap_or_default().split_whitespace() {
            let space = attribute(element, &format!("xmlns:{required}")).unwrap_or_default();
            if !UNDERSTOOD.contains(&space.as_str()) {
                let name = space.rsplit("3dmanufacturing/").next().unwrap_or_default().to_string();
                return Err((name, "triangles without this extension of 3MF; export the shape as a plain mesh"));
            }
        }
        let model = Model { unit, unit_mm, objects: BTreeMap::new(), build: vec![], passed_over: BTreeSet::new() };
        Ok(Reading { model, prefix, id: None, object: Object::default(), vertices: vec![], fans: Fans::default() })
    }

    /// Takes an element. Errors: what is expected of it.
    fn open(&mut self, tag: Tag, element: &BytesStart, parent: Option<&Tag>) -> Result<(), &'static str> {
        match tag {
            Tag::Vertex => {
                let place = numbers(element, ["x", "y", "z"]).ok_or("the coordinates x, y and z")?;
                self.vertices.push(Point3::from(place.map(|x: f64| x * self.model.unit_mm)));
            }
            Tag::Triangle => self.fans.push(&numbers::<u32, 3>(element, ["v1", "v2", "v3"]).ok_or("the vertices v1, v2 and v3")?),
            Tag::Object => {
                let kind = attribute(element, "type").unwrap_or_else(|| "model".into());
                self.id = Some(id(element, "id")?);
                self.object.is_part = kind == "model" || kind == "surface";
            }
            Tag::Component => self.object.components.push(Placed::read(element)?),
            Tag::Item => self.model.build.push(Placed::read(element)?),
            Tag::Other if parent == Some(&Tag::Mesh) => {
                let name = element.local_name().into_inner().to_string();
                if !NO_SHAPE.contains(&name.as_str()) {
                    self.model.passed_over.insert(name);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, tag: Tag) -> Result<(), Fault> {
        match tag {
            Tag::Mesh if !self.fans.triangles.is_empty() => {
                let (vertices, fans) = (std::mem::take(&mut self.vertices), std::mem::take(&mut self.fans));
                self.object.mesh = Some(fans.welded(vertices, FORMAT)?.mesh);
            }
            Tag::Object => {
                let object = std::mem::take(&mut self.object);
                self.id.take().and_then(|id| self.model.objects.insert(id, object));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Placed {
    fn read(element: &BytesStart) -> Result<Placed, &'static str> {
        let part = value(element, |key| key.local_name().into_inner() == "path");
        let object = id(element, "objectid")?;
        let (mut linear, mut shift) = (Matrix3::identity(), Vector3::zeros());
        if let Some(text) = attribute(element, "transform") {
            // Rows of a matrix that is multiplied from the left: p' = p M.
            let numbers: Option<Vec<f64>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
            let m = numbers.filter(|m| m.len() == 12 && m.iter().all(|x| x.is_finite())).ok_or("a transform of twelve numbers")?;
            linear = Matrix3::from_column_slice(&m[..9]);
            shift = Vector3::from_column_slice(&m[9..]);
        }
        let placed = Placed { part, object, linear, shift };
        if linear.determinant() == 0.0 { Err("a transform that keeps three dimensions") } else { Ok(placed) }
    }
}

fn id(element: &BytesStart, name: &str) -> Result<u32, &'static str> {
    attribute(element, name).and_then(|id| id.trim().parse().ok()).ok_or("the number of an object")
}

/// An attribute's text.
pub(super) fn attribute(element: &BytesStart, name: &str) -> Option<String> {
    value(element, |key| key.into_inner() == name)
}

fn value(element: &BytesStart, is: impl Fn(QName) -> bool) -> Option<String> {
    let found = element.attributes().with_checks(false).flatten().find(|a| is(a.key))?;
    found.normalized_value(XmlVersion::Implicit1_0).ok().map(|value| value.into_owned())
}

/// Attributes that are numbers.
fn numbers<T: FromStr + Copy + Default, const N: usize>(element: &BytesStart, names: [&str; N]) -> Option<[T; N]> {
    let (mut values, mut seen) = ([T::default(); N], 0);
    for a in element.attributes().with_checks(false) {
        let a = a.ok()?;
        if let Some(n) = names.iter().position(|name| *name == a.key.into_inner()) {
            values[n] = a.value.trim().parse().ok()?;
            seen |= 1 << n;
        }
    }
    (seen == (1 << N) - 1).then_some(values)
}

/// Gives at most so many bytes until more are allowed: no element takes more memory.
struct Portion<R> {
    source: R,
    left: usize,
}

impl<R: BufRead> Read for Portion<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.fill_buf()?;
        let n = bytes.len().min(out.len());
        out[..n].copy_from_slice(&bytes[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Portion<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        let bytes = self.source.fill_buf()?;
        if self.left == 0 && !bytes.is_empty() {
            return Err(std::io::Error::other("an element of more than 64 KiB"));
        }
        Ok(&bytes[..bytes.len().min(self.left)])
    }

    fn consume(&mut self, n: usize) {
        self.left = self.left.saturating_sub(n);
        self.source.consume(n);
    }
}
