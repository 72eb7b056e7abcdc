//! NRRD, header and voxels in one file or apart: raw, gzip and text encodings, both byte orders.
//!
//! After the format's definition (Kindlmann, Teem library). Anatomical spaces become LPS by the signs of their axes; `space directions`
//! may shear; `space units` become millimetres. What the header leaves open is a finding: no step at all stops, no orientation and no
//! unit qualify.

use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nalgebra::{Matrix3, Point3, Vector3};

use super::bytes::{self, HEADER_LIMIT};
use super::fault::{Fault, quoted};
use super::source::{Packing, SliceSource, Slices, VoxelType, with_voxel_type};
use super::voxels::{Layout, Stored};
use crate::finding::Finding;
use crate::frame::Grid;
use crate::volume::{Rescale, Voxel};

const FORMAT: &str = "NRRD";

pub(super) fn is_nrrd(head: &[u8]) -> bool {
    head.starts_with(b"NRRD000")
}

pub(super) fn open(path: &Path) -> Result<SliceSource, Fault> {
    let (mut file, _) = bytes::open(path)?;
    let header = Header::parse(&bytes::head(&mut file, HEADER_LIMIT)?)?;
    let layout = header.layout()?;
    let mut findings = vec![];
    let (grid, assumed_steps) = header.grid(&mut findings)?;
    let (data, start) = match header.first_of(&["data file", "datafile"]) {
        None => (path.to_path_buf(), header.length),
        Some(name) => (bytes::beside(path, name)?, 0),
    };
    let files = if data == path { vec![data.clone()] } else { vec![path.to_path_buf(), data.clone()] };
    let start = header.skip_lines(&data, start)?;
    let encoding = header.required("encoding")?.to_ascii_lowercase();
    let source = match encoding.as_str() {
        "raw" => SliceSource::plain(FORMAT, path, data.clone(), header.skip_bytes(&data, start, layout.bytes(&grid)?)?, layout, grid)?,
        "gzip" | "gz" => {
            let skip = header.skip_bytes(&data, 0, u64::MAX)?;
            SliceSource::packed(FORMAT, path, data.clone(), Packing::Gzip { offset: start, skip }, layout, grid)?
        }
        "text" | "txt" | "ascii" => {
            let text = Text::new(data.clone(), header.skip_bytes(&data, start, u64::MAX)?, layout.stored.held_as(), &grid)?;
            SliceSource::new(FORMAT, path, grid, Rescale::IDENTITY, layout.stored.held_as(), Slices::Text(text))
        }
        _ => return Err(malformed("encoding", &encoding, "raw, gzip or text")),
    };
    Ok(SliceSource { format: "nrrd", findings, assumed_steps, files, ..source })
}

fn malformed(key: &str, found: &str, expected: &'static str) -> Fault {
    Fault::Malformed { format: FORMAT, place: key.into(), found: quoted(found.as_bytes()), expected }
}

struct Header {
    fields: Vec<(String, String)>,
    /// Bytes up to and with the empty line that ends it.
    length: u64,
}

impl Header {
    fn parse(head: &[u8]) -> Result<Header, Fault> {
        let (mut fields, mut at, mut number) = (vec![], 0, 0);
        while at < head.len() {
            let rest = &head[at..];
            let end = rest.iter().position(|&b| b == b'\n');
            if end.is_none() && head.len() == HEADER_LIMIT {
                break;
            }
            let line = rest[..end.unwrap_or(rest.len())].trim_ascii_end();
            at += end.map_or(rest.len(), |e| e + 1);
            number += 1;
            if line.is_empty() {
                return Ok(Header { fields, length: at as u64 });
            }
            if number == 1 || line.starts_with(b"#") {
                continue;
            }
            let text = std::str::from_utf8(line).map_err(|_| malformed(&format!("line {number}"), "bytes that are no UTF-8", "text"))?;
            // `key:=value` is a note of the writer's own and no field.
            match text.split_once(':') {
                Some((_, value)) if value.starts_with('=') => {}
                Some((key, value)) => fields.push((key.trim().to_ascii_lowercase(), value.trim().to_string())),
                None => return Err(malformed(&format!("line {number}"), text, "field: value")),
            }
        }
        // A header apart from its voxels may end with the file.
        if at == head.len() && head.len() < HEADER_LIMIT && fields.iter().any(|(k, _)| k == "data file" || k == "datafile") {
            return Ok(Header { fields, length: at as u64 });
        }
        let found = head.len() as u64;
        Err(Fault::Truncated { format: "NRRD header", needed: found + 1, found })
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    fn first_of(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|k| self.get(k))
    }

    fn required(&self, key: &'static str) -> Result<&str, Fault> {
        self.get(key).ok_or_else(|| malformed(key, "nothing", "a value"))
    }

    fn layout(&self) -> Result<Layout, Fault> {
        let name = self.required("type")?;
        let stored = match name.to_ascii_lowercase().as_str() {
            "signed char" | "int8" | "int8_t" => Stored::I8,
            "uchar" | "unsigned char" | "uint8" | "uint8_t" => Stored::U8,
            "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => Stored::I16,
            "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => Stored::U16,
            "int" | "signed int" | "int32" | "int32_t" => Stored::I32,
            "uint" | "unsigned int" | "uint32" | "uint32_t" => Stored::U32,
            "longlong" | "long long" | "long long int" | "signed long long" | "signed long long int" | "int64" | "int64_t" => Stored::I64,
            "ulonglong" | "unsigned long long" | "unsigned long long int" | "uint64" | "uint64_t" => Stored::U64,
            "float" => Stored::F32,
            "double" => Stored::F64,
            _ => {
                let allowed = "integers of 8 to 64 bits, float and double";
                return Err(Fault::VoxelType { found: quoted(name.as_bytes()), allowed });
            }
        };
        let text = self.get("encoding").is_some_and(|e| matches!(e.to_ascii_lowercase().as_str(), "text" | "txt" | "ascii"));
        let big_endian = match self.get("endian").map(str::to_ascii_lowercase).as_deref() {
            Some("big") => true,
            Some("little") => false,
            None if stored.bytes() == 1 || text => false,
            other => return Err(malformed("endian", other.unwrap_or("nothing"), "little or big")),
        };
        Ok(Layout { stored, big_endian })
    }

    /// Positions of the three axes of space among those of the array: others have the size 1.
    fn axes(&self) -> Result<([usize; 3], [usize; 3]), Fault> {
        let sizes: Option<Vec<usize>> = self.required("sizes")?.split_whitespace().map(|w| w.parse().ok()).collect();
        let sizes = sizes.filter(|s| s.iter().all(|&n| n > 0) && s.len() <= 16);
        let sizes = sizes.ok_or_else(|| malformed("sizes", self.get("sizes").unwrap_or_default(), "whole numbers from 1"))?;
        let dimension = self.required("dimension")?;
        let wide: Vec<usize> =
            if sizes.len() > 3 { (0..sizes.len()).filter(|&a| sizes[a] > 1).collect() } else { (0..sizes.len()).collect() };
        match (<[usize; 3]>::try_from(wide), dimension.parse() == Ok(sizes.len())) {
            (Ok(axes), true) => Ok((axes, axes.map(|a| sizes[a]))),
            _ => Err(Fault::Dimensions { found: format!("dimension {dimension:.20} and sizes {sizes:?}: some") }),
        }
    }

    fn grid(&self, findings: &mut Vec<Finding>) -> Result<(Grid, [bool; 3]), Fault> {
        let (axes, dims) = self.axes()?;
        let unit = self.unit_mm()?;
        let (to_lps, anatomical) = self.to_lps()?;
        let (columns, assumed) = self.columns(axes, unit)?;
        if assumed.contains(&true) {
            findings.push(
                Finding::stop(
                    "ct.no_geometry",
                    "the header gives neither spacings nor space directions: write `spacings` (mm) into the header",
                )
                .clause("9.3.4"),
            );
        } else if unit.is_none() && !anatomical {
            findings.push(
                Finding::qualify(
                    "volume.unit_assumed",
                    "the header gives no unit of length and millimetres are assumed: write `space units` into the header",
                )
                .clause("9.3.4"),
            );
        }
        if !anatomical {
            findings.push(
                Finding::qualify(
                    "volume.no_orientation",
                    "the header names no anatomical space, so left and right, front and back are not known: write `space` into the header",
                )
                .clause("9.3.4"),
            );
        }
        let origin = match self.get("space origin").filter(|o| *o != "none") {
            Some(text) => vector(text).ok_or_else(|| malformed("space origin", text, "(x,y,z)"))? * unit.unwrap_or(1.0),
            None => Vector3::zeros(),
        };
        let grid = Grid::new(dims, Point3::from(to_lps * origin), to_lps * columns);
        let grid = grid.ok_or_else(|| Fault::Geometry { found: format!("sizes {dims:?}, directions {:?}", columns.as_slice()) })?;
        Ok((grid, assumed))
    }

    /// Steps along the axes in the header's space, mm, and which of them it does not give.
    fn columns(&self, axes: [usize; 3], unit: Option<f64>) -> Result<(Matrix3<f64>, [bool; 3]), Fault> {
        let mm = unit.unwrap_or(1.0);
        if let Some(text) = self.get("space directions") {
            let vectors: Vec<&str> =
                text.split_inclusive(')').flat_map(|p| p.split("none").map(str::trim)).filter(|p| !p.is_empty()).collect();
            let parsed: Option<Vec<Vector3<f64>>> = vectors.iter().map(|v| vector(v)).collect();
            let three = parsed.and_then(|v| <[Vector3<f64>; 3]>::try_from(v).ok());
            let three = three.ok_or_else(|| malformed("space directions", text, "three vectors (x,y,z)"))?;
            return Ok((Matrix3::from_columns(&three) * mm, [false; 3]));
        }
        let Some(text) = self.get("spacings") else { return Ok((Matrix3::identity(), [true; 3])) };
        let all: Vec<Option<f64>> = text.split_whitespace().map(|w| w.parse::<f64>().ok().filter(|s| s.is_finite())).collect();
        let steps = axes.map(|a| all.get(a).copied().flatten());
        if steps.iter().flatten().any(|s| *s <= 0.0) {
            return Err(malformed("spacings", text, "numbers above 0"));
        }
        let diagonal = Vector3::from(steps.map(|s| s.map_or(1.0, |s| s * mm)));
        Ok((Matrix3::from_diagonal(&diagonal), steps.map(|s| s.is_none())))
    }

    /// Signs of the axes of the header's space in LPS, and whether the space is one of anatomy.
    fn to_lps(&self) -> Result<(Matrix3<f64>, bool), Fault> {
        let space = self.get("space").unwrap_or_default().to_ascii_lowercase();
        let (signs, anatomical) = match space.as_str() {
            "left-posterior-superior" | "lps" => ([1.0, 1.0, 1.0], true),
            "right-anterior-superior" | "ras" => ([-1.0, -1.0, 1.0], true),
            "left-anterior-superior" | "las" => ([1.0, -1.0, 1.0], true),
            "scanner-xyz" | "3d-right-handed" | "3d-left-handed" | "" => ([1.0, 1.0, 1.0], false),
            _ => return Err(malformed("space", &space, "a space of three axes: LPS, RAS, LAS, scanner-xyz, 3D-right-handed")),
        };
        match self.get("space dimension") {
            None | Some("3") => Ok((Matrix3::from_diagonal(&Vector3::from(signs)), anatomical)),
            Some(other) => Err(malformed("space dimension", other, "3")),
        }
    }

    /// Millimetres of the unit of length; `None` where the header gives none.
    fn unit_mm(&self) -> Result<Option<f64>, Fault> {
        let Some(text) = self.first_of(&["space units", "units"]) else { return Ok(None) };
        let names: Vec<&str> = text.split('"').map(str::trim).filter(|n| !n.is_empty()).collect();
        let same = names.first().filter(|first| names.iter().all(|n| n == *first));
        match same.map(|n| n.to_lowercase()).as_deref() {
            Some("mm" | "millimeter" | "millimetre" | "millimeters" | "millimetres") => Ok(Some(1.0)),
            Some("cm" | "centimeter" | "centimetre") => Ok(Some(10.0)),
            Some("m" | "meter" | "metre") => Ok(Some(1000.0)),
            Some("um" | "\u{b5}m" | "\u{3bc}m" | "micron" | "microns" | "micrometer" | "micrometre") => Ok(Some(0.001)),
            Some("nm" | "nanometer" | "nanometre") => Ok(Some(1e-6)),
            _ => Err(malformed("space units", text, "one unit of length: mm, cm, m, um or nm")),
        }
    }

    fn count(&self, keys: &[&str]) -> Result<i64, Fault> {
        let Some(text) = self.first_of(keys) else { return Ok(0) };
        text.parse::<i64>().ok().filter(|n| *n >= -1).ok_or_else(|| malformed(keys[0], text, "a whole number"))
    }

    /// Where voxels begin after `line skip`.
    fn skip_lines(&self, data: &Path, start: u64) -> Result<u64, Fault> {
        let lines = self.count(&["line skip", "lineskip"])?;
        if lines <= 0 {
            return Ok(start);
        }
        let (mut file, len) = bytes::open(data)?;
        file.seek(SeekFrom::Start(start)).map_err(|e| Fault::unreadable(&e))?;
        let (mut reader, mut at, mut line) = (BufReader::new(file), start, vec![]);
        for _ in 0..lines {
            line.clear();
            let found = std::io::Read::take(&mut reader, len).read_until(b'\n', &mut line).map_err(|e| Fault::unreadable(&e))?;
            if found == 0 {
                return Err(Fault::Truncated { format: FORMAT, needed: len + 1, found: len });
            }
            at += found as u64;
        }
        Ok(at)
    }

    /// Where voxels begin after `byte skip`, of which -1 says that they end the file.
    fn skip_bytes(&self, data: &Path, start: u64, needed: u64) -> Result<u64, Fault> {
        match self.count(&["byte skip", "byteskip"])? {
            -1 if needed < u64::MAX => {
                let (_, len) = bytes::open(data)?;
                len.checked_sub(needed).ok_or(Fault::Truncated { format: FORMAT, needed, found: len })
            }
            -1 => Err(malformed("byte skip", "-1", "a whole number, unless the encoding is raw")),
            bytes => Ok(start.saturating_add(bytes.unsigned_abs())),
        }
    }
}

/// `(x,y,z)`.
fn vector(text: &str) -> Option<Vector3<f64>> {
    let inside = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    let numbers: Option<Vec<f64>> = inside.split(',').map(|w| w.trim().parse().ok()).collect();
    let numbers = <[f64; 3]>::try_from(numbers?).ok()?;
    numbers.iter().all(|x| x.is_finite()).then(|| Vector3::from(numbers))
}

/// Voxels written as numbers with blanks between.
#[derive(Debug)]
pub(super) struct Text {
    path: PathBuf,
    offset: u64,
    voxel_type: VoxelType,
}

impl Text {
    /// Fails where the file is too short: a number takes two bytes.
    fn new(path: PathBuf, offset: u64, voxel_type: VoxelType, grid: &Grid) -> Result<Text, Fault> {
        let (_, len) = bytes::open(&path)?;
        let (needed, found) = ((grid.voxels() as u64).saturating_mul(2) - 1, len.saturating_sub(offset));
        if needed > found {
            return Err(Fault::Truncated { format: FORMAT, needed, found });
        }
        Ok(Text { path, offset, voxel_type })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn fill<T: Voxel>(&self, out: &mut [T]) -> Result<(), Fault> {
        let all = bytes::whole(&self.path)?;
        let text = String::from_utf8_lossy(all.get(self.offset as usize..).unwrap_or_default());
        // The caller asks for the type that the volume is held in: the cast is one to the same type.
        with_voxel_type!(self.voxel_type, S => fill::<S>(&text, bytemuck::cast_slice_mut(out)))
    }
}

fn fill<T: Voxel + FromStr>(text: &str, out: &mut [T]) -> Result<(), Fault> {
    let (mut words, count) = (text.split_ascii_whitespace(), out.len() as u64);
    for (voxel, place) in out.iter_mut().enumerate() {
        let word = words.next().ok_or(Fault::Truncated { format: "NRRD text", needed: count, found: voxel as u64 })?;
        *place = word.parse().map_err(|_| malformed(&format!("voxel {voxel}"), word, "a number of the header's type"))?;
        if !place.to_f64().is_finite() {
            return Err(Fault::NotFinite { voxel });
        }
    }
    Ok(())
}
