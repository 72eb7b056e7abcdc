//! MetaImage: `.mha` with its voxels behind the header, `.mhd` with them in a file beside it; zlib-compressed too.
//!
//! Physical space is LPS, as in ITK, which made the format. Columns of the affine are the rows of `TransformMatrix` times `ElementSpacing`.

use std::path::Path;

use nalgebra::{Matrix3, Point3, Vector3};

use super::bytes::{self, HEADER_LIMIT};
use super::fault::{Fault, quoted};
use super::source::{Packing, SliceSource};
use super::voxels::{Layout, Stored};
use crate::frame::Grid;

const FORMAT: &str = "MetaImage";

/// A header begins with a key of the format; nothing in the file before says so.
pub(super) fn is_metaimage(head: &[u8]) -> bool {
    let line = head.split(|&b| b == b'\n').next().unwrap_or_default();
    let key = line.split(|&b| b == b'=').next().unwrap_or_default().trim_ascii();
    line.contains(&b'=') && [&b"ObjectType"[..], b"NDims", b"Comment", b"ObjectSubType", b"TransformType"].contains(&key)
}

#[derive(Default)]
struct Header {
    fields: Vec<(String, String)>,
    /// Bytes up to and with the line `ElementDataFile`.
    length: u64,
}

pub(super) fn open(path: &Path) -> Result<SliceSource, Fault> {
    let (mut file, _) = bytes::open(path)?;
    let header = Header::parse(&bytes::head(&mut file, HEADER_LIMIT)?)?;
    let (layout, grid) = (header.layout()?, header.grid()?);
    let data_file = header.required("ElementDataFile")?;
    let local = data_file.eq_ignore_ascii_case("LOCAL");
    let (data, start) = if local { (path.to_path_buf(), header.length) } else { (bytes::beside(path, data_file)?, 0) };
    let files = if local { vec![data.clone()] } else { vec![path.to_path_buf(), data.clone()] };
    let source = if header.truth("CompressedData") {
        SliceSource::packed(FORMAT, path, data, Packing::Zlib { offset: start }, layout, grid)?
    } else {
        let offset = header.data_offset(start, !local, &data, layout.bytes(&grid)?)?;
        SliceSource::plain(FORMAT, path, data, offset, layout, grid)?
    };
    let modality = header.get("Modality").and_then(|m| m.strip_prefix("MET_MOD_")).filter(|m| *m != "UNKNOWN").map(Into::into);
    Ok(SliceSource { format: "metaimage", modality, files, ..source })
}

impl Header {
    fn parse(head: &[u8]) -> Result<Header, Fault> {
        let (mut header, mut number) = (Header::default(), 0);
        loop {
            let rest = &head[header.length as usize..];
            let end = rest.iter().position(|&b| b == b'\n');
            // The last line of a header apart from its voxels may end with the file.
            let line = &rest[..end.unwrap_or(rest.len())];
            if rest.is_empty() || (end.is_none() && head.len() == HEADER_LIMIT) {
                let found = head.len() as u64;
                return Err(Fault::Truncated { format: "MetaImage header", needed: found + 1, found });
            }
            number += 1;
            header.length += line.len() as u64 + u64::from(end.is_some());
            if line.trim_ascii().is_empty() {
                continue;
            }
            let text = std::str::from_utf8(line).ok().and_then(|l| l.split_once('='));
            let Some((key, value)) = text else {
                let (place, found) = (format!("line {number}"), quoted(line));
                return Err(Fault::Malformed { format: FORMAT, place, found, expected: "Key = Value" });
            };
            header.fields.push((key.trim().into(), value.trim().into()));
            if key.trim() == "ElementDataFile" {
                return Ok(header);
            }
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    fn first_of(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|k| self.get(k))
    }

    fn required(&self, key: &'static str) -> Result<&str, Fault> {
        self.get(key).ok_or_else(|| self.malformed(key, "nothing", "a value"))
    }

    fn malformed(&self, key: &str, found: &str, expected: &'static str) -> Fault {
        Fault::Malformed { format: FORMAT, place: key.into(), found: quoted(found.as_bytes()), expected }
    }

    fn truth(&self, key: &str) -> bool {
        self.get(key).is_some_and(|v| v.eq_ignore_ascii_case("true") || v == "1")
    }

    fn numbers<const N: usize>(&self, keys: &[&str]) -> Result<Option<[f64; N]>, Fault> {
        let Some(text) = self.first_of(keys) else { return Ok(None) };
        let parsed: Option<Vec<f64>> = text.split_whitespace().map(|w| w.parse().ok()).collect();
        let numbers = parsed.and_then(|v| <[f64; N]>::try_from(v).ok());
        numbers.map(Some).ok_or_else(|| self.malformed(keys[0], text, "one number for each of three dimensions"))
    }

    fn layout(&self) -> Result<Layout, Fault> {
        let name = self.required("ElementType")?;
        let stored = match name {
            "MET_CHAR" => Stored::I8,
            "MET_UCHAR" => Stored::U8,
            "MET_SHORT" => Stored::I16,
            "MET_USHORT" => Stored::U16,
            "MET_INT" | "MET_LONG" => Stored::I32, // the format's long has 4 bytes
            "MET_UINT" | "MET_ULONG" => Stored::U32,
            "MET_LONG_LONG" => Stored::I64,
            "MET_ULONG_LONG" => Stored::U64,
            "MET_FLOAT" => Stored::F32,
            "MET_DOUBLE" => Stored::F64,
            _ => {
                let allowed = "MET_ CHAR UCHAR SHORT USHORT INT UINT LONG ULONG LONG_LONG ULONG_LONG FLOAT DOUBLE";
                return Err(Fault::VoxelType { found: quoted(name.as_bytes()), allowed });
            }
        };
        if self.get("BinaryData").is_some_and(|v| v.eq_ignore_ascii_case("false")) {
            return Err(self.malformed("BinaryData", "False", "True: voxels as text are not read"));
        }
        let big_endian = self.truth("BinaryDataByteOrderMSB") || self.truth("ElementByteOrderMSB");
        Ok(Layout { stored, big_endian })
    }

    fn grid(&self) -> Result<Grid, Fault> {
        let (dimensions, channels) = (self.required("NDims")?, self.get("ElementNumberOfChannels").unwrap_or("1"));
        if dimensions != "3" || channels != "1" {
            return Err(Fault::Dimensions { found: format!("{dimensions} dimensions and {channels} channels: some") });
        }
        let sizes = self.numbers::<3>(&["DimSize"])?.ok_or_else(|| self.malformed("DimSize", "nothing", "three numbers"))?;
        if !sizes.iter().all(|&n| (1.0..=f64::from(u32::MAX)).contains(&n) && n.fract() == 0.0) {
            return Err(self.malformed("DimSize", self.get("DimSize").unwrap_or_default(), "whole numbers from 1 to 4294967295"));
        }
        // Exact far beyond the limit: products of such sizes are only compared.
        let (voxels, allowed) = (sizes.iter().product::<f64>(), isize::MAX as u64 / 8);
        if voxels > allowed as f64 {
            return Err(Fault::TooLarge { what: "the number of voxels", found: voxels as u64, allowed });
        }
        let spacing = self.numbers::<3>(&["ElementSpacing", "ElementSize"])?.unwrap_or([1.0; 3]);
        let origin = self.numbers::<3>(&["Offset", "Position", "Origin"])?.unwrap_or([0.0; 3]);
        let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let direction = self.numbers::<9>(&["TransformMatrix", "Rotation", "Orientation"])?.unwrap_or(identity);
        // The file lists the direction of each axis in turn: columns of the affine.
        let axes = Matrix3::from_column_slice(&direction) * Matrix3::from_diagonal(&Vector3::from(spacing));
        let fits = spacing.iter().all(|s| *s > 0.0);
        let grid = Grid::new(sizes.map(|n| n as usize), Point3::from(origin), axes).filter(|_| fits);
        grid.ok_or_else(|| Fault::Geometry {
            found: format!("sizes {sizes:?}, spacing {spacing:?}, origin {origin:?}, directions {direction:?}"),
        })
    }

    /// `HeaderSize` bytes before the voxels of a file apart; -1 says that they end the file.
    fn data_offset(&self, start: u64, apart: bool, data: &Path, bytes: u64) -> Result<u64, Fault> {
        match self.get("HeaderSize").filter(|_| apart) {
            None => Ok(start),
            Some("-1") => {
                let len = data.metadata().map_or(0, |m| m.len());
                len.checked_sub(bytes).ok_or(Fault::Truncated { format: FORMAT, needed: bytes, found: len })
            }
            Some(text) => text.parse().map_err(|_| self.malformed("HeaderSize", text, "a whole number of bytes, or -1")),
        }
    }
}
