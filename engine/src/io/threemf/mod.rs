//! 3MF: all parts that the build names, placed as it says, as one mesh in millimetres.
//!
//! After the 3MF core specification 1.3 and its production extension (objects in several model parts). Accepts meshes and components, every
//! unit, mirrored placements. Supports and other objects that do not stay are left out and told, as are elements of other extensions
//! that would add to the shape (beams, slices); a model that requires such an extension is refused. Colours and textures are passed over.
//! Cost: the meshes, each once more for every place it takes.

mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use nalgebra::{Matrix3, Point3, Vector3};
use quick_xml::Reader;
use quick_xml::events::Event;
use zip::ZipArchive;

use super::MeshFile;
use super::bytes::{self, DEFLATE_LIMIT};
use super::fault::{Fault, quoted};
use crate::finding::Finding;
use crate::mesh::Mesh;

use model::{Model, Object, Placed, attribute};

const FORMAT: &str = "3mf";
/// Vertices, triangles and placements, at most.
const MOST: u64 = 1 << 26;
/// Components within one another, at most.
const DEEPEST: usize = 32;
/// The relationships of the package, and the bytes that they have at most.
const RELATIONSHIPS: &str = "_rels/.rels";
const MOST_RELATIONSHIPS: u64 = 1 << 20;
/// What the relationship to the model ends with.
const MODEL: &str = "/3dmodel";

/// Whether a file begins as ZIP archives do.
pub(super) fn is_archive(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04")
}

pub(super) fn read(path: &Path) -> Result<MeshFile, Fault> {
    let mut package = Package::open(path)?;
    let root = package.model_part()?.ok_or(Fault::Archive)?;
    let (mut models, mut left) = (BTreeMap::new(), MOST);
    let mut wanted = vec![root.clone()];
    while let Some(part) = wanted.pop() {
        if models.contains_key(&part) {
            continue;
        }
        let model = model::read(package.part(&part, u64::MAX)?, &mut left)?;
        let placed = model.build.iter().chain(model.objects.values().flat_map(|o| &o.components));
        wanted.extend(placed.filter_map(|p| p.part.as_deref().map(part_name)));
        models.insert(part, model);
    }
    Assembly { models: &models, counts: BTreeMap::new(), vertices: vec![], triangles: vec![], left_out: 0 }.built(&root)
}

/// Parts are named from the root of the package.
fn part_name(path: &str) -> String {
    path.trim_start_matches('/').to_string()
}

struct Package {
    archive: ZipArchive<BufReader<File>>,
}

impl Package {
    fn open(path: &Path) -> Result<Package, Fault> {
        let (file, _) = bytes::open(path)?;
        Ok(Package { archive: ZipArchive::new(BufReader::new(file)).map_err(|e| damaged("the directory", &e))? })
    }

    /// The part that holds the build, where there is one.
    fn model_part(&mut self) -> Result<Option<String>, Fault> {
        if self.place(RELATIONSHIPS).is_none() {
            return Ok(None);
        }
        let mut reader = Reader::from_reader(self.part(RELATIONSHIPS, MOST_RELATIONSHIPS)?);
        let mut buffer = vec![];
        loop {
            buffer.clear();
            let event = reader.read_event_into(&mut buffer).map_err(|e| damaged(RELATIONSHIPS, &e))?;
            let (Event::Start(element) | Event::Empty(element)) = &event else {
                if matches!(event, Event::Eof) {
                    return Ok(None);
                }
                continue;
            };
            if attribute(element, "Type").is_some_and(|kind| kind.ends_with(MODEL)) {
                return Ok(attribute(element, "Target").as_deref().map(part_name));
            }
        }
    }

    /// Names of parts differ in more than case.
    fn place(&self, name: &str) -> Option<usize> {
        let exact = self.archive.index_for_name(name);
        exact.or_else(|| self.archive.file_names().position(|n| n.is_ok_and(|n| n.eq_ignore_ascii_case(name))))
    }

    /// A part, at most so many bytes of it.
    fn part(&mut self, name: &str, most: u64) -> Result<impl std::io::BufRead + use<'_>, Fault> {
        let missing = || Fault::Malformed {
            format: FORMAT,
            place: "the package".into(),
            found: format!("no part {}", quoted(name.as_bytes())),
            expected: "all parts that it names",
        };
        let place = self.place(name).ok_or_else(missing)?;
        let part = self.archive.by_index(place).map_err(|e| damaged(name, &e))?;
        let most = most.min(part.compressed_size().saturating_mul(DEFLATE_LIMIT));
        if part.size() > most {
            return Err(Fault::Truncated { format: FORMAT, needed: part.size(), found: most });
        }
        Ok(BufReader::with_capacity(1 << 16, part.take(most)))
    }
}

fn damaged(place: &str, e: &dyn std::fmt::Display) -> Fault {
    let found = super::fault::printable(&e.to_string());
    Fault::Malformed { format: FORMAT, place: super::fault::printable(place), found, expected: "a whole, unencrypted archive" }
}

/// The build as one mesh.
struct Assembly<'m> {
    models: &'m BTreeMap<String, Model>,
    /// Vertices, triangles and placements of objects, and how deep their components go; `None` while they are counted.
    counts: BTreeMap<(&'m str, u32), Option<(u64, usize)>>,
    vertices: Vec<Point3<f64>>,
    triangles: Vec<[u32; 3]>,
    /// Objects of the build that are no parts.
    left_out: usize,
}

impl<'m> Assembly<'m> {
    fn built(mut self, root: &'m str) -> Result<MeshFile, Fault> {
        let model = &self.models[root];
        let mut total = 0u64;
        for item in &model.build {
            total = total.saturating_add(self.count(root, item, 0)?.0);
        }
        if total > MOST {
            return Err(Fault::TooLarge {
                what: "the number of its vertices and triangles at all their places",
                found: total,
                allowed: MOST,
            });
        }
        for item in &model.build {
            self.place(root, item, &Matrix3::identity(), &Vector3::zeros())?;
        }
        let findings = self.findings(model);
        let mesh = Mesh::new(self.vertices, self.triangles)?;
        Ok(MeshFile { findings, states_unit: true, ..MeshFile::plain(mesh, FORMAT) })
    }

    /// The object that is placed, and the part that it is in.
    fn object(&self, part: &'m str, placed: &'m Placed) -> Result<(&'m str, &'m Object), Fault> {
        let named = placed.part.as_deref().map_or(part.to_string(), part_name);
        let known = self.models.get_key_value(&named);
        let found = known.and_then(|(part, model)| Some((part.as_str(), model.objects.get(&placed.object)?)));
        found.ok_or_else(|| wrong(format!("object {}, which is not there", placed.object), "objects of the package"))
    }

    fn count(&mut self, part: &'m str, placed: &'m Placed, depth: usize) -> Result<(u64, usize), Fault> {
        let (part, object) = self.object(part, placed)?;
        let key = (part, placed.object);
        match self.counts.get(&key) {
            Some(Some(known)) => return Ok(*known),
            Some(None) => return Err(wrong(format!("object {} within itself", placed.object), "components of other objects")),
            None => {}
        }
        self.counts.insert(key, None);
        let (mut sum, mut deepest) = (1 + object.mesh.as_ref().map_or(0, |m| (m.vertices().len() + m.triangles().len()) as u64), 0);
        for component in &object.components {
            if depth == DEEPEST {
                return Err(wrong(format!("more than {DEEPEST} components within one another"), "fewer"));
            }
            let (count, below) = self.count(part, component, depth + 1)?;
            (sum, deepest) = (sum.saturating_add(count), deepest.max(below + 1));
        }
        if deepest > DEEPEST {
            return Err(wrong(format!("{deepest} components within one another"), "at most 32"));
        }
        self.counts.insert(key, Some((sum, deepest)));
        Ok((sum, deepest))
    }

    fn place(&mut self, part: &'m str, placed: &'m Placed, linear: &Matrix3<f64>, shift: &Vector3<f64>) -> Result<(), Fault> {
        let unit_mm = self.models[part].unit_mm;
        let (part, object) = self.object(part, placed)?;
        if !object.is_part {
            self.left_out += 1;
            return Ok(());
        }
        let (linear, shift) = (linear * placed.linear, linear * placed.shift * unit_mm + shift);
        for component in &object.components {
            self.place(part, component, &linear, &shift)?;
        }
        if let Some(mesh) = &object.mesh {
            let first = self.vertices.len() as u32; // at most MOST
            self.vertices.extend(mesh.vertices().iter().map(|p| linear * p + shift));
            let mirrored = linear.determinant() < 0.0;
            let turned = |[a, b, c]: [u32; 3]| if mirrored { [a, c, b] } else { [a, b, c] };
            self.triangles.extend(mesh.triangles().iter().map(|t| turned(t.map(|v| first + v))));
        }
        Ok(())
    }

    fn findings(&self, root: &Model) -> Vec<Finding> {
        let mut findings = vec![];
        if root.unit_mm != 1.0 {
            let text = format!("the file states its unit, {}: its coordinates are converted to millimetres", root.unit);
            findings.push(Finding::note("mesh.unit_stated", text));
        }
        if self.left_out > 0 {
            let text = format!("{} objects of the build are supports or other things that do not stay, and are left out", self.left_out);
            findings.push(Finding::qualify("mesh.supports_left_out", text));
        }
        let passed_over: BTreeSet<&str> = self.models.values().flat_map(|m| m.passed_over.iter().map(String::as_str)).collect();
        if !passed_over.is_empty() {
            let names = passed_over.into_iter().take(5).map(|n| quoted(n.as_bytes())).collect::<Vec<_>>().join(", ");
            let text =
                format!("the mesh says more of its shape than its triangles do ({names}), which is not read: export it as a plain mesh");
            findings.push(Finding::qualify("mesh.extension_left_out", text));
        }
        findings
    }
}

fn wrong(found: String, expected: &'static str) -> Fault {
    Fault::Malformed { format: FORMAT, place: "the build".into(), found, expected }
}
