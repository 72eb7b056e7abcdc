//! What can be wrong with a file: one code a fault, the facts as fields, one line with the remedy.

use thiserror::Error;

use crate::error::Error;
use crate::mesh::MeshError;

/// A fault and the file it is about. Only the file's name is kept: paths do not leave the machine.
#[derive(Debug, Error, PartialEq)]
#[error("{file}: {fault}")]
pub struct FileError {
    pub file: String,
    pub fault: Fault,
}

/// Why bytes are not what they should be. Sizes are bytes.
#[derive(Debug, Error, PartialEq)]
pub enum Fault {
    #[error("there is no such file or folder; check the name")]
    NotFound,
    #[error("it cannot be read ({reason}); check that it is a file and its permissions")]
    Unreadable { reason: String },
    #[error("it cannot be written ({reason}); check the folder, its permissions and the space left")]
    Unwritable { reason: String },
    #[error("{format} ends early: {needed} bytes are needed, {found} are there; copy or export it again")]
    Truncated { format: &'static str, needed: u64, found: u64 },
    #[error("its content is of no known format (it begins {begins}); allowed are {allowed}")]
    UnknownFormat { begins: String, allowed: &'static str },
    #[error("it is a ZIP archive without a 3MF model; unpack it")]
    Archive,
    #[error("{what} is {found}, allowed is at most {allowed}; split or reduce it")]
    TooLarge { what: &'static str, found: u64, allowed: u64 },
    #[error("{format} is malformed at {place}: found {found}, expected {expected}; export it again")]
    Malformed { format: &'static str, place: String, found: String, expected: &'static str },
    #[error("voxels of type {found} cannot be measured; allowed are {allowed}: convert it")]
    VoxelType { found: String, allowed: &'static str },
    #[error("it has {found} dimensions or channels too many; allowed is one grey value on a grid of three dimensions: extract it")]
    Dimensions { found: String },
    #[error("its geometry does not span space: {found}; expected are finite spacings above 0 and independent axes: export it again")]
    Geometry { found: String },
    #[error("the 64-bit value {value} of voxel {voxel} is beyond 2^53 and has no exact number; convert it to 32 bits or floating point")]
    NotExact { voxel: usize, value: String },
    #[error("the value of voxel {voxel} is not a finite number; replace such voxels by the value of air")]
    NotFinite { voxel: usize },
    #[error("the rescale of its values is {slope} and {intercept}; expected are finite numbers and a slope other than 0: export it again")]
    Rescale { slope: f64, intercept: f64 },
    #[error("its voxels are in {found}; allowed is a plain file name in the same folder: put the two side by side")]
    DataFile { found: String },
    #[error("a triangle mesh is needed, {found} is there; name a mesh")]
    NotAMesh { found: &'static str },
    #[error("a volume is needed, {found} is there; name a DICOM folder or a volume file")]
    NotAVolume { found: &'static str },
    #[error("triangle {triangle} has a coordinate that is not a finite number; export the mesh again")]
    Corner { triangle: usize },
    #[error("{}", .0)]
    Mesh(MeshError),
    #[error("DICOM {tag} is {found}; expected is {expected}: export the series again")]
    Attribute { tag: &'static str, found: String, expected: &'static str },
    #[error("its DICOM transfer syntax {name} ({uid}) cannot be decoded; convert it to explicit little endian")]
    TransferSyntax { uid: String, name: String },
    #[error("its pixel data does not decode ({reason}); export it again, uncompressed")]
    Pixels { reason: String },
    #[error("it is DICOM without an image ({found}); name the images")]
    NoImage { found: String },
    #[error("the folder holds no DICOM image among {files} files; name the folder of one CT series")]
    NoSeries { files: usize },
    #[error(
        "its {frames} DICOM frames have no positions: it is no enhanced CT volume but a sequence of pictures; export the CT series itself"
    )]
    MultiFrame { frames: u32 },
    #[error("the folder holds no DICOM series with the number or UID {asked}; `inspect` of the folder lists those that are there")]
    SeriesNotFound { asked: String },
    #[error(
        "rescales differ from slice to slice (the first is {slope} and {intercept}) and no exact scale carries them all; export the series with one rescale"
    )]
    RescalesDiffer { slope: f64, intercept: f64 },
    #[error("{format} packed as one stream cannot be read slice by slice; unpack it, or raise the memory budget")]
    NotStreamable { format: &'static str },
    #[error("its sidecar {file} is not understood: {reason}; give dims, voxel_type and spacing_mm as the manual shows")]
    Sidecar { file: String, reason: String },
}

impl Fault {
    /// Stable name of the fault.
    pub fn code(&self) -> &'static str {
        match self {
            Fault::NotFound => "file.not_found",
            Fault::Unreadable { .. } => "file.unreadable",
            Fault::Unwritable { .. } => "file.unwritable",
            Fault::Truncated { .. } => "file.truncated",
            Fault::UnknownFormat { .. } => "file.unknown_format",
            Fault::Archive => "file.archive",
            Fault::TooLarge { .. } => "file.too_large",
            Fault::Malformed { .. } => "file.malformed",
            Fault::VoxelType { .. } => "volume.voxel_type",
            Fault::Dimensions { .. } => "volume.dimensions",
            Fault::Geometry { .. } => "volume.geometry",
            Fault::NotExact { .. } => "volume.not_exact",
            Fault::NotFinite { .. } => "volume.not_finite",
            Fault::Rescale { .. } => "volume.rescale",
            Fault::DataFile { .. } => "volume.data_file",
            Fault::NotAMesh { .. } => "file.not_a_mesh",
            Fault::NotAVolume { .. } => "file.not_a_volume",
            Fault::Corner { .. } => "mesh.not_finite",
            Fault::Mesh(e) => e.code(),
            Fault::Attribute { .. } => "dicom.attribute",
            Fault::TransferSyntax { .. } => "dicom.transfer_syntax",
            Fault::Pixels { .. } => "file.malformed",
            Fault::NoImage { .. } => "dicom.no_image",
            Fault::NoSeries { .. } => "dicom.no_series",
            Fault::MultiFrame { .. } => "dicom.multi_frame",
            Fault::SeriesNotFound { .. } => "dicom.series_not_found",
            Fault::RescalesDiffer { .. } => "dicom.rescales_differ",
            Fault::NotStreamable { .. } => "file.not_streamable",
            Fault::Sidecar { .. } => "volume.sidecar",
        }
    }

    /// Names the file by its last path component.
    pub fn of(self, path: &std::path::Path) -> FileError {
        FileError { file: name(path), fault: self }
    }

    pub(super) fn unreadable(e: &std::io::Error) -> Fault {
        match e.kind() {
            std::io::ErrorKind::NotFound => Fault::NotFound,
            kind => Fault::Unreadable { reason: kind.to_string() },
        }
    }

    pub(super) fn unwritable(e: &std::io::Error) -> Fault {
        Fault::Unwritable { reason: e.kind().to_string() }
    }
}

/// Last component of a path, as findings and errors name inputs.
pub fn name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Foreign text in a message: short and printable.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let text: String = bytes.iter().take(40).map(|&b| if (32..127).contains(&b) { char::from(b) } else { '?' }).collect();
    format!("\"{text}\"")
}

/// Foreign text in a message without quotes.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

impl From<MeshError> for Fault {
    fn from(e: MeshError) -> Self {
        Fault::Mesh(e)
    }
}

impl From<FileError> for Error {
    fn from(e: FileError) -> Self {
        match e.fault {
            Fault::Unwritable { .. } => Error::resource(e.fault.code(), e.to_string()),
            _ => Error::input(e.fault.code(), e.to_string()),
        }
    }
}
