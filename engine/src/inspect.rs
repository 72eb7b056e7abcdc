//! What a file or DICOM folder is: kind, format, geometry, value range and the findings that would stop or qualify a judgement.

use std::path::Path;

use serde::Serialize;

use crate::error::Error;
use crate::finding::Finding;
use crate::frame::Grid;
use crate::health;
use crate::io::{self, Loaded, MeshFile, SliceSource, Values, VolumeFile};
use crate::mesh::{Mesh, spacing_mm};
use crate::volume::{Rescale, with_volume};

/// The JSON of `inspect`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inspection {
    pub items: Vec<Item>,
    pub findings: Vec<Finding>,
}

/// One input by the last component of its path.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Item {
    Volume(VolumeItem),
    Mesh(MeshItem),
    Cloud(CloudItem),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VolumeItem {
    pub name: String,
    pub format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality: Option<String>,
    pub dims: [usize; 3],
    /// The third is the distance between slices along their normal; `null` where the file does not give a step.
    pub spacing_mm: [Option<f64>; 3],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shear_degrees: Option<f64>,
    pub voxel_type: &'static str,
    /// Physical values (for CT: Hounsfield units): stored values after the file's rescale.
    pub value_min: f64,
    pub value_max: f64,
    /// Digest of the stored values, see [`VolumeFile::values_sha256`].
    pub values_sha256: String,
    /// How the image was made, where the file says so.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub facts: std::collections::BTreeMap<&'static str, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeshItem {
    pub name: String,
    pub format: &'static str,
    pub vertices: usize,
    pub triangles: usize,
    pub closed: bool,
    /// Left out for a mesh that is not closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_mm3: Option<f64>,
    pub area_mm2: f64,
    pub size_mm: [f64; 3],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CloudItem {
    pub name: String,
    pub format: &'static str,
    pub points: usize,
    /// How far they are apart: root of the area per point.
    pub spacing_mm: f64,
    pub size_mm: [f64; 3],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// Reads and examines each path. Findings name their input; the first file that cannot be read ends it.
pub fn inspect<P: AsRef<Path>>(paths: &[P]) -> Result<Inspection, Error> {
    let mut inspection = Inspection::default();
    for path in paths {
        let name = io::name(path.as_ref());
        let (item, findings) = match io::load(path.as_ref())? {
            Loaded::Volume(file) => (Item::Volume(volume_item(&name, &file)), file.findings),
            Loaded::Mesh(file) => {
                let health = health::examine(&file.mesh);
                let findings = file.findings.iter().cloned().chain(health.findings()).collect();
                (Item::Mesh(mesh_item(&name, &file, health.closed())), findings)
            }
            Loaded::Cloud(file) => (Item::Cloud(cloud_item(&name, &file)), file.findings),
        };
        inspection.items.push(item);
        inspection.findings.extend(findings.into_iter().map(|f: Finding| f.about(&name)));
    }
    Ok(inspection)
}

pub fn volume_item(name: &str, file: &VolumeFile) -> VolumeItem {
    let (grid, rescale) = (file.volume.grid(), file.volume.rescale());
    let range = with_volume!(&file.volume, v => io::range(v.data()));
    VolumeItem {
        name: name.into(),
        format: file.format,
        modality: file.modality.clone(),
        voxel_type: file.volume.voxel_type(),
        values_sha256: file.values_sha256(),
        facts: file.facts.clone(),
        ..item_of_grid(grid, rescale, file.assumed_steps, range)
    }
}

/// The same of a volume that is read slab by slab.
pub fn slices_item(name: &str, source: &SliceSource, values: &Values) -> VolumeItem {
    VolumeItem {
        name: name.into(),
        format: source.format,
        modality: source.modality.clone(),
        voxel_type: source.voxel_type().name(),
        values_sha256: values.sha256.clone(),
        facts: source.facts.clone(),
        ..item_of_grid(source.grid(), source.rescale(), source.assumed_steps, values.range)
    }
}

/// What follows from the grid and the range of stored values; the rest is empty.
fn item_of_grid(grid: &Grid, rescale: Rescale, assumed_steps: [bool; 3], (min, max): (f64, f64)) -> VolumeItem {
    let known = |a: usize| (!assumed_steps[a]).then(|| grid.spacing_mm()[a]);
    let (low, high) = if rescale.slope < 0.0 { (max, min) } else { (min, max) };
    VolumeItem {
        name: String::new(),
        format: "",
        modality: None,
        dims: grid.dims(),
        spacing_mm: [0, 1, 2].map(known),
        shear_degrees: known(2).map(|_| grid.shear_degrees()),
        voxel_type: "",
        value_min: rescale.physical(low),
        value_max: rescale.physical(high),
        values_sha256: String::new(),
        facts: Default::default(),
    }
}

pub fn cloud_item(name: &str, file: &MeshFile) -> CloudItem {
    let points = file.mesh.vertices();
    CloudItem {
        name: name.into(),
        format: file.format,
        points: points.len(),
        spacing_mm: spacing_mm(points),
        size_mm: size_mm(&file.mesh),
        fields: file.fields.iter().map(|f| f.name.clone()).collect(),
    }
}

fn size_mm(mesh: &Mesh) -> [f64; 3] {
    let bounds = mesh.bounds();
    (bounds.max - bounds.min).into()
}

pub fn mesh_item(name: &str, file: &MeshFile, closed: bool) -> MeshItem {
    MeshItem {
        name: name.into(),
        format: file.format,
        vertices: file.mesh.vertices().len(),
        triangles: file.mesh.triangles().len(),
        closed,
        volume_mm3: closed.then(|| file.mesh.volume_mm3()),
        area_mm2: file.mesh.area_mm2(),
        size_mm: size_mm(&file.mesh),
        fields: file.fields.iter().map(|f| f.name.clone()).collect(),
    }
}
