//! Foreign bytes to valid data, bounded: the only place that reads formats.
//!
//! Formats are told by content, never by name. Sizes are held against the bytes there are before memory is taken; every fault has its
//! own code ([`Fault::code`]) and one line that says what to do. Meshes keep what the file has, millimetres assumed; volumes keep stored
//! values, rescale and the full affine in LPS. What a file is fit for is said by findings: a `stop` finding does not fail reading.

mod bytes;
mod dicom;
mod fault;
pub mod glb;
mod metaimage;
mod nifti;
mod nrrd;
mod obj;
mod off;
pub mod ply;
mod polygons;
mod raw;
mod sidecar;
mod source;
mod stl;
mod threemf;
mod tiff;
mod voxels;
mod weld;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

pub use bytes::folder_of;
pub use fault::{Fault, FileError, name};
pub use ply::VertexField;
pub use source::{SliceSource, Values, VoxelType, with_voxel_type};
pub use stl::write as write_stl;

use crate::error::Error;
use crate::finding::{Finding, Severity};
use crate::mesh::{Mesh, MeshError};
use crate::volume::{AnyVolume, Voxel, with_volume};

const FORMATS: &str = "DICOM, NIfTI, MetaImage, NRRD, TIFF, raw with a sidecar, STL, PLY, OBJ, OFF and 3MF";

/// What a file or folder held.
#[derive(Clone, Debug, PartialEq)]
pub enum Loaded {
    Volume(VolumeFile),
    Mesh(MeshFile),
    /// Points without faces, as [`Mesh::of_points`] has them.
    Cloud(MeshFile),
}

/// A volume and what its file says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumeFile {
    pub volume: AnyVolume,
    /// `dicom`, `nifti`, `metaimage`, `nrrd`, `tiff` or `raw`.
    pub format: &'static str,
    /// As DICOM names it, for example `CT`.
    pub modality: Option<String>,
    /// How the image was made (manufacturer, kernel, kVp …), by stable names. Never who was imaged.
    pub facts: BTreeMap<&'static str, String>,
    /// Which steps of the grid (i, j, k) the file does not give; such a step is a stand-in, and a `stop` finding says so.
    pub assumed_steps: [bool; 3],
    pub findings: Vec<Finding>,
    /// All files whose bytes the volume came from, slices in order.
    pub files: Vec<PathBuf>,
}

impl VolumeFile {
    /// SHA-256 of the decoded stored values, little-endian, slices in order along the normal, as 64 hexadecimal digits: the same for the
    /// same image in every transfer syntax. Takes as long as hashing the voxels.
    pub fn values_sha256(&self) -> String {
        // Slices stand in order along the normal of a right-handed grid, the other way round in a left-handed one.
        let reversed = self.volume.grid().axes().determinant() < 0.0;
        with_volume!(&self.volume, v => {
            let [nx, ny, _] = v.grid().dims();
            let mut slices: Vec<_> = v.data().chunks(nx * ny).collect();
            if reversed {
                slices.reverse();
            }
            let mut digest = Sha256::new();
            slices.into_iter().for_each(|slice| {
                if cfg!(target_endian = "little") {
                    digest.update(bytemuck::cast_slice(slice));
                } else {
                    let mut swapped = slice.to_vec();
                    voxels::order(&mut swapped, false);
                    digest.update(bytemuck::cast_slice(&swapped));
                }
            });
            digest.finalize().iter().map(|b| format!("{b:02x}")).collect()
        })
    }

    /// The volume, unless a `stop` finding stands against measuring it whose code is not among those accepted. A grid with a step that
    /// nobody knows cannot be accepted.
    pub fn measurable(&self, accepted: &[String]) -> Result<&AnyVolume, Error> {
        measurable(&self.findings, self.assumed_steps, accepted).map(|()| &self.volume)
    }
}

fn measurable(findings: &[Finding], assumed_steps: [bool; 3], accepted: &[String]) -> Result<(), Error> {
    let unknown = assumed_steps.contains(&true);
    let stops = |f: &&Finding| f.severity == Severity::Stop && (unknown || !accepted.contains(&f.code));
    match findings.iter().find(stops) {
        Some(f) => Err(Error::input(stop_code(&f.code), f.message.clone())),
        None => Ok(()),
    }
}

/// Findings that stop, as the static codes of errors.
fn stop_code(code: &str) -> &'static str {
    const CODES: [&str; 9] = [
        "ct.missing_slice",
        "ct.duplicate_slice",
        "ct.uneven_spacing",
        "ct.mixed_orientation",
        "ct.mixed_series",
        "ct.too_few_slices",
        "ct.no_geometry",
        "ct.not_a_volume",
        "ct.padding_as_material",
    ];
    CODES.into_iter().find(|c| *c == code).unwrap_or("ct.not_a_volume")
}

/// A mesh and what its file says of it. Coordinates are taken as millimetres, unless the file states its unit: then they are.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshFile {
    pub mesh: Mesh,
    /// `stl`, `ply`, `obj`, `off` or `3mf`.
    pub format: &'static str,
    /// Whether the file states its unit, so that no other may be given.
    pub states_unit: bool,
    pub fields: Vec<VertexField>,
    pub colours: Option<Vec<[u8; 4]>>,
    pub findings: Vec<Finding>,
}

impl MeshFile {
    fn plain(mesh: Mesh, format: &'static str) -> Self {
        MeshFile { mesh, format, states_unit: false, fields: vec![], colours: None, findings: vec![] }
    }
}

/// Reads a file, or a folder as a DICOM series or a stack of TIFF images. `FOLDER#SERIES` names one series of a folder, by its number
/// or UID.
pub fn load(path: &Path) -> Result<Loaded, Error> {
    match opened(path)? {
        Opened::Volume(source) => Ok(Loaded::Volume(source.load()?)),
        Opened::Mesh(mesh) => Ok(Loaded::Mesh(mesh)),
        Opened::Cloud(points) => Ok(Loaded::Cloud(points)),
    }
}

/// Opens a volume without its voxels; see [`load`] for the paths.
///
/// # Errors
/// As [`load_volume`], but for what only the voxels show.
pub fn open_volume(path: &Path) -> Result<SliceSource, Error> {
    match opened(path)? {
        Opened::Volume(source) => Ok(*source),
        Opened::Mesh(m) | Opened::Cloud(m) => Err(Fault::NotAVolume { found: m.format }.of(path).into()),
    }
}

/// The same where slices can be read one by one.
///
/// # Errors
/// `file.not_streamable` for what is packed as one stream.
pub fn open_slices(path: &Path) -> Result<SliceSource, Error> {
    let source = open_volume(path)?;
    if source.is_streamable() { Ok(source) } else { Err(Fault::NotStreamable { format: source.format }.of(path).into()) }
}

enum Opened {
    Volume(Box<SliceSource>),
    Mesh(MeshFile),
    Cloud(MeshFile),
}

fn opened(path: &Path) -> Result<Opened, FileError> {
    if let Some((folder, series)) = series_of(path) {
        return dicom::open_folder(&folder, Some(&series)).map(Box::new).map(Opened::Volume);
    }
    let meta = std::fs::metadata(path).map_err(|e| Fault::unreadable(&e).of(path))?;
    if !meta.is_dir() {
        return open_file(path);
    }
    let source = match dicom::open_folder(path, None) {
        Err(FileError { fault: Fault::NoSeries { .. }, .. }) if tiff::is_stack(path) => tiff::open_folder(path),
        other => other,
    };
    source.map(Box::new).map(Opened::Volume)
}

/// Folder and series of `FOLDER#SERIES`, unless something of that very name is there.
fn series_of(path: &Path) -> Option<(PathBuf, String)> {
    if path.exists() {
        return None;
    }
    let (folder, series) = path.to_str()?.rsplit_once('#')?;
    let folder = PathBuf::from(folder);
    folder.is_dir().then(|| (folder, series.to_string()))
}

/// The bytes of a small file, refused before they are read where there are more than allowed.
pub fn read_bounded(path: &Path, allowed: u64) -> Result<Vec<u8>, Error> {
    let read = || {
        let (_, found) = bytes::open(path)?;
        if found > allowed { Err(Fault::TooLarge { what: "its size in bytes", found, allowed }) } else { bytes::whole(path) }
    };
    Ok(read().map_err(|fault| fault.of(path))?)
}

/// [`load`], where only a mesh will do.
pub fn load_mesh(path: &Path) -> Result<MeshFile, Error> {
    match load(path)? {
        Loaded::Mesh(mesh) => Ok(mesh),
        Loaded::Cloud(c) => Err(Fault::from(MeshError::Empty { vertices: c.mesh.vertices().len() }).of(path).into()),
        Loaded::Volume(v) => Err(Fault::NotAMesh { found: v.format }.of(path).into()),
    }
}

/// [`load`], where only a volume will do.
pub fn load_volume(path: &Path) -> Result<VolumeFile, Error> {
    match load(path)? {
        Loaded::Volume(volume) => Ok(volume),
        Loaded::Mesh(m) | Loaded::Cloud(m) => Err(Fault::NotAVolume { found: m.format }.of(path).into()),
    }
}

fn open_file(path: &Path) -> Result<Opened, FileError> {
    let of = |fault: Fault| fault.of(path);
    let (mut file, len) = bytes::open(path).map_err(of)?;
    let head = bytes::head(&mut file, 1024).map_err(of)?;
    drop(file);
    let volume = |source: Result<SliceSource, Fault>| source.map(Box::new).map(Opened::Volume).map_err(of);
    if dicom::is_dicom(&head) {
        return dicom::open_file(path).map(Box::new).map(Opened::Volume);
    }
    if ply::is_ply(&head) {
        let file = ply::read(path).map_err(of)?;
        return Ok(if file.mesh.is_cloud() { Opened::Cloud(file) } else { Opened::Mesh(file) });
    }
    if threemf::is_archive(&head) {
        return threemf::read(path).map(Opened::Mesh).map_err(of);
    }
    if off::is_off(&head) {
        return off::read(path).map(Opened::Mesh).map_err(of);
    }
    if metaimage::is_metaimage(&head) {
        return volume(metaimage::open(path));
    }
    if nrrd::is_nrrd(&head) {
        return volume(nrrd::open(path));
    }
    if tiff::is_tiff(&head) {
        return volume(tiff::open(path));
    }
    if nifti::is_nifti(&head) || nifti::is_gzip(&head) {
        return volume(nifti::open(path, nifti::is_gzip(&head)));
    }
    let mesh = match stl::form(&head, len) {
        Some(stl::Form::Binary { triangles }) => stl::read_binary(path, triangles),
        Some(stl::Form::Ascii) => stl::read_ascii(path),
        None if is_obj(path, len).map_err(of)? => return obj::read(path).map(Opened::Mesh).map_err(of),
        // Voxels alone say nothing of themselves: another file beside them does.
        None => match (nifti::header_of(path), sidecar::of(path)) {
            (Some(header), _) => return volume(nifti::open(&header, false)),
            (None, Some(sidecar)) => return volume(raw::open(path, &sidecar)),
            (None, None) => Err(unknown(path, &head, len)),
        },
    };
    Ok(Opened::Mesh(MeshFile::plain(mesh.map_err(of)?, "stl")))
}

/// OBJ has no mark of its own: its first lines tell.
fn is_obj(path: &Path, len: u64) -> Result<bool, Fault> {
    let head = bytes::head(&mut bytes::open(path)?.0, bytes::HEADER_LIMIT)?;
    Ok(obj::is_obj(&head, (head.len() as u64) < len))
}

/// Least and largest value; there is at least one.
pub(crate) fn range<T: Voxel>(data: &[T]) -> (f64, f64) {
    let wider = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
    let values = data.par_iter().with_min_len(1 << 14).map(|v| (v.to_f64(), v.to_f64()));
    values.reduce(|| (f64::INFINITY, f64::NEG_INFINITY), wider)
}

/// No content is known. Binary STL has no mark of its own: only a name can tell that a broken one was meant.
fn unknown(path: &Path, head: &[u8], len: u64) -> Fault {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("stl")) {
        return stl::broken(head, len);
    }
    match len {
        0 => Fault::Truncated { format: "the file", needed: 1, found: 0 },
        _ => Fault::UnknownFormat { begins: fault::quoted(&head[..head.len().min(16)]), allowed: FORMATS },
    }
}
