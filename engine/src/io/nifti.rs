//! NIfTI-1 in one file (`.nii`, `.nii.gz`) or two (`.hdr` with `.img`), both byte orders.
//!
//! Its space is RAS; x and y change sign on the way to LPS. The affine is the sform where one is given (it may shear), else the qform,
//! else spacings alone, which is a finding. `scl_slope` and `scl_inter` stay beside the stored values as their rescale.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use nalgebra::{Matrix3, Point3, Quaternion, UnitQuaternion, Vector3};
use nifti::{Endianness, NiftiHeader};

use super::bytes::{self, Stream};
use super::fault::Fault;
use super::source::{Packing, SliceSource};
use super::voxels::{Layout, Stored};
use crate::finding::Finding;
use crate::frame::{Grid, rotation_of};
use crate::volume::Rescale;

const FORMAT: &str = "NIfTI";
const HEADER: usize = 348;

/// The size of the header in either byte order, and the mark of the one-file or the two-file form.
pub(super) fn is_nifti(head: &[u8]) -> bool {
    let size = head.get(..4).is_some_and(|s| s == 348i32.to_le_bytes() || s == 348i32.to_be_bytes());
    size && matches!(head.get(344..348), Some(b"n+1\0" | b"ni1\0"))
}

pub(super) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b])
}

/// Opens a file that [`is_nifti`], or whose unpacked bytes should be.
pub(super) fn open(path: &Path, gzip: bool) -> Result<SliceSource, Fault> {
    let (file, len) = bytes::open(path)?;
    let mut stream = if gzip { Stream::gzip("gzip", file, 0)? } else { Stream::plain(FORMAT, file, 0)? };
    let mut head = vec![0u8; HEADER];
    if !gzip && len < HEADER as u64 {
        return Err(Fault::Truncated { format: FORMAT, needed: HEADER as u64, found: len });
    }
    stream.fill(&mut head)?;
    if !is_nifti(&head) {
        return Err(Fault::UnknownFormat { begins: format!("{}, unpacked", super::fault::quoted(&head[..16])), allowed: "NIfTI in gzip" });
    }
    let header = NiftiHeader::from_reader(Cursor::new(head)).map_err(|e| malformed("the header", e.to_string(), "a NIfTI-1 header"))?;
    let layout = layout(&header)?;
    let mut findings = vec![];
    let grid = grid(&header, &mut findings)?;
    let apart = &header.magic == b"ni1\0";
    let offset = f64::from(header.vox_offset);
    let least = if apart { 0.0 } else { HEADER as f64 };
    if !(least..1e9).contains(&offset) || offset.fract() != 0.0 {
        return Err(malformed("vox_offset", offset.to_string(), "a whole number of bytes, from 348 on in the form of one file"));
    }
    let (data, packed) = if apart { image_of(path)? } else { (path.to_path_buf(), gzip) };
    let source = if packed {
        let packing = Packing::Gzip { offset: 0, skip: offset as u64 };
        SliceSource::packed(FORMAT, path, data.clone(), packing, layout, grid)?
    } else {
        SliceSource::plain(FORMAT, path, data.clone(), offset as u64, layout, grid)?
    };
    // A slope of 0 says that values are not scaled.
    let scales = header.scl_slope != 0.0;
    let rescale = Rescale { slope: f64::from(header.scl_slope), intercept: f64::from(header.scl_inter) };
    let source = source.rescaled(if scales { rescale } else { Rescale::IDENTITY })?;
    let files = if apart { vec![path.to_path_buf(), data] } else { source.files.clone() };
    Ok(SliceSource { format: "nifti", findings, files, ..source })
}

/// The voxels of the form in two files, `NAME.img` or `NAME.img.gz` beside `NAME.hdr`, and whether they are packed.
fn image_of(path: &Path) -> Result<(PathBuf, bool), Fault> {
    let name = super::fault::name(path);
    let stem = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = stem.strip_suffix(".hdr").unwrap_or(stem);
    let plain = bytes::beside(path, &format!("{stem}.img"));
    match plain {
        Ok(data) => Ok((data, false)),
        Err(absent) => bytes::beside(path, &format!("{stem}.img.gz")).map(|data| (data, true)).map_err(|_| absent),
    }
}

/// The header of the form in two files, if `path` is its voxels.
pub(super) fn header_of(path: &Path) -> Option<PathBuf> {
    let header = path.extension().filter(|e| e.eq_ignore_ascii_case("img")).map(|_| path.with_extension("hdr"))?;
    let head = bytes::open(&header).and_then(|(mut file, _)| bytes::head(&mut file, HEADER)).ok()?;
    is_nifti(&head).then_some(header)
}

fn malformed(place: &str, found: String, expected: &'static str) -> Fault {
    Fault::Malformed { format: FORMAT, place: place.into(), found, expected }
}

fn layout(h: &NiftiHeader) -> Result<Layout, Fault> {
    let stored = match h.datatype {
        2 => Stored::U8,
        4 => Stored::I16,
        8 => Stored::I32,
        16 => Stored::F32,
        64 => Stored::F64,
        256 => Stored::I8,
        512 => Stored::U16,
        768 => Stored::U32,
        1024 => Stored::I64,
        1280 => Stored::U64,
        other => {
            return Err(Fault::VoxelType {
                found: format!("NIfTI code {other}"),
                allowed: "integers of 8 to 64 bits, floats of 32 and 64",
            });
        }
    };
    Ok(Layout { stored, big_endian: h.endianness == Endianness::Big })
}

fn grid(h: &NiftiHeader, findings: &mut Vec<Finding>) -> Result<Grid, Fault> {
    let [n, sizes @ ..] = h.dim;
    let extra = sizes.iter().take(usize::from(n)).skip(3).any(|&d| d > 1);
    if !(3..=7).contains(&n) || extra {
        return Err(Fault::Dimensions { found: format!("dim {:?}: some", h.dim) });
    }
    let dims = [sizes[0], sizes[1], sizes[2]].map(usize::from);
    let to_mm = match h.xyzt_units & 7 {
        1 => 1000.0,
        3 => 0.001,
        _ => 1.0, // millimetres, or not said
    };
    let steps = [1, 2, 3].map(|a| f64::from(h.pixdim[a]) * to_mm);
    let (axes, origin) = if h.sform_code > 0 {
        let rows = [h.srow_x, h.srow_y, h.srow_z].map(|r| r.map(|x| f64::from(x) * to_mm));
        (Matrix3::from_fn(|r, c| rows[r][c]), Vector3::new(rows[0][3], rows[1][3], rows[2][3]))
    } else if h.qform_code > 0 {
        let origin = Vector3::new(h.quatern_x, h.quatern_y, h.quatern_z).map(|x| f64::from(x) * to_mm);
        (qform_rotation(h) * Matrix3::from_diagonal(&Vector3::from(steps)), origin)
    } else {
        findings.push(
            Finding::qualify(
                "volume.no_orientation",
                "the file gives spacings but neither sform nor qform, so left and right, front and back are not known: export it with its orientation",
            )
            .clause("9.3.4"),
        );
        // LPS by the stored axes: undone by the change of sign below.
        (Matrix3::from_diagonal(&Vector3::new(-steps[0], -steps[1], steps[2])), Vector3::zeros())
    };
    let to_lps = Matrix3::from_diagonal(&Vector3::new(-1.0, -1.0, 1.0));
    let grid = Grid::new(dims, Point3::from(to_lps * origin), to_lps * axes);
    grid.ok_or_else(|| Fault::Geometry { found: format!("sizes {dims:?}, affine {:?}", axes.as_slice()) })
}

/// Rotation of the qform: the quaternion's scalar part completes it to unit length, `pixdim[0]` below 0 mirrors the third axis.
fn qform_rotation(h: &NiftiHeader) -> Matrix3<f64> {
    let [b, c, d] = [h.quatern_b, h.quatern_c, h.quatern_d].map(f64::from);
    let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
    let rotation = rotation_of(&UnitQuaternion::from_quaternion(Quaternion::new(a, b, c, d)));
    let mirror = if h.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    rotation * Matrix3::from_diagonal(&Vector3::new(1.0, 1.0, mirror))
}
