//! One DICOM image: its attributes, and its stored values decoded into place.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, FileMetaTableBuilder, OpenFileOptions};
use dicom_pixeldata::PixelDecoder;
use nalgebra::Vector3;

use super::super::bytes;
use super::super::fault::Fault;
use super::super::voxels;
use super::scan::{self, Layout, Stop};
use crate::volume::{Rescale, Voxel};

/// The attributes that verimetry reads of an image. Nothing here says who was imaged.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub path: PathBuf,
    layout: Layout,
    pub modality: String,
    pub series: String,
    pub instance: i64,
    pub localizer: bool,
    pub frames: u32,
    pub rows: u32,
    pub columns: u32,
    samples: u32,
    bits_allocated: u32,
    pub bits_stored: u32,
    high_bit: u32,
    pub signed: bool,
    pub rescale: Option<Rescale>,
    pub rescale_type: Option<String>,
    pub lossy: bool,
    pub position: Option<Vector3<f64>>,
    /// Directions of i and j, unit length.
    pub axes: Option<[Vector3<f64>; 2]>,
    /// Steps along i and j, mm.
    pub spacing: Option<[f64; 2]>,
    pub facts: Vec<(&'static str, String)>,
}

/// Facts on how an image was made, by the names they are kept under.
const FACTS: &[(&str, Tag)] = &[
    ("manufacturer", tags::MANUFACTURER),
    ("model", tags::MANUFACTURER_MODEL_NAME),
    ("software", tags::SOFTWARE_VERSIONS),
    ("kernel", tags::CONVOLUTION_KERNEL),
    ("kvp", tags::KVP),
    ("exposure_mas", tags::EXPOSURE),
    ("slice_thickness_mm", tags::SLICE_THICKNESS),
    ("reconstruction_diameter_mm", tags::RECONSTRUCTION_DIAMETER),
];

/// How the stored values are laid out in memory once decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
}

impl Slice {
    /// Reads the attributes of a file; the pixel data is only found, not read.
    pub fn open(path: &Path) -> Result<Slice, Fault> {
        let (mut file, len) = bytes::open(path)?;
        let (head, layout) = walked(&mut file, len)?;
        let object = parse(&layout, &head[layout.dataset as usize..layout.header_end as usize])?;
        let found = || text(&object, tags::MODALITY).unwrap_or_else(|| "no modality".into());
        if layout.pixels.is_none() {
            return Err(Fault::NoImage { found: found() });
        }
        let required = |tag, name| {
            let absent = Fault::Attribute { tag: name, found: "absent or no number".into(), expected: "a whole number" };
            integer(&object, tag).and_then(|n| u32::try_from(n).ok()).ok_or(absent)
        };
        let bits_allocated = required(tags::BITS_ALLOCATED, "BitsAllocated (0028,0100)")?;
        let optional = |tag, default| integer(&object, tag).and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
        let bits_stored = optional(tags::BITS_STORED, bits_allocated);
        let uid = layout.transfer_syntax.as_str();
        let lossy_syntax = ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"].contains(&uid);
        Ok(Slice {
            path: path.to_path_buf(),
            modality: text(&object, tags::MODALITY).unwrap_or_default(),
            series: text(&object, tags::SERIES_INSTANCE_UID).unwrap_or_default(),
            instance: integer(&object, tags::INSTANCE_NUMBER).unwrap_or(0),
            localizer: text(&object, tags::IMAGE_TYPE).is_some_and(|t| t.contains("LOCALIZER")),
            frames: optional(tags::NUMBER_OF_FRAMES, 1),
            rows: required(tags::ROWS, "Rows (0028,0010)")?,
            columns: required(tags::COLUMNS, "Columns (0028,0011)")?,
            samples: optional(tags::SAMPLES_PER_PIXEL, 1),
            bits_allocated,
            bits_stored,
            high_bit: optional(tags::HIGH_BIT, bits_stored.saturating_sub(1)),
            signed: optional(tags::PIXEL_REPRESENTATION, 0) == 1,
            rescale: rescale(&object),
            rescale_type: text(&object, tags::RESCALE_TYPE),
            lossy: lossy_syntax || text(&object, tags::LOSSY_IMAGE_COMPRESSION).as_deref() == Some("01"),
            position: numbers::<3>(&object, tags::IMAGE_POSITION_PATIENT).map(Vector3::from),
            axes: numbers::<6>(&object, tags::IMAGE_ORIENTATION_PATIENT).and_then(directions),
            // The file gives the distance of rows first, which is the step along j.
            spacing: numbers::<2>(&object, tags::PIXEL_SPACING).map(|[j, i]| [i, j]).filter(|s| s.iter().all(|&s| s > 0.0)),
            facts: FACTS.iter().filter_map(|&(name, tag)| text(&object, tag).map(|t| (name, t))).collect(),
            layout,
        })
    }

    pub fn pixels(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    pub fn placed(&self) -> bool {
        self.position.is_some() && self.axes.is_some() && self.spacing.is_some()
    }

    /// How values are stored, once it is certain that there is one grey value a pixel and as many bytes as that takes.
    pub fn sample(&self) -> Result<Sample, Fault> {
        if self.frames > 1 {
            return Err(Fault::MultiFrame { frames: self.frames });
        }
        if self.samples != 1 {
            return Err(Fault::Dimensions { found: format!("{} samples a pixel:", self.samples) });
        }
        if self.pixels() == 0 {
            return Err(Fault::Attribute { tag: "Rows and Columns", found: "0".into(), expected: "at least one pixel" });
        }
        if self.bits_stored == 0 || self.high_bit >= self.bits_allocated || self.bits_stored > self.high_bit + 1 {
            let found = format!("{} bits allocated, {} stored, high bit {}", self.bits_allocated, self.bits_stored, self.high_bit);
            return Err(Fault::Attribute { tag: "BitsStored (0028,0101)", found, expected: "stored bits within the allocated" });
        }
        Ok(match (self.bits_allocated, self.signed) {
            (8, false) => Sample::U8,
            (8, true) => Sample::I8,
            (16, false) => Sample::U16,
            (16, true) => Sample::I16,
            (32, false) => Sample::U32,
            (32, true) => Sample::I32,
            (bits, _) => return Err(Fault::VoxelType { found: format!("{bits} bits"), allowed: "8, 16 or 32 bits" }),
        })
    }

    /// Fails where the file cannot hold its pixels; call it before taking memory for them.
    pub fn check_size(&self) -> Result<(), Fault> {
        let needed = self.pixels() as u64 * u64::from(self.bits_allocated / 8);
        let found = match self.layout.pixels {
            Some(scan::Pixels { length: Some(length), .. }) => length,
            // No codec here packs tighter than deflate does.
            _ => self.path.metadata().map_or(0, |m| m.len()).saturating_mul(bytes::DEFLATE_LIMIT),
        };
        if needed > found { Err(Fault::Truncated { format: "DICOM pixel data", needed, found }) } else { Ok(()) }
    }

    /// Decodes the stored values, without rescale, into `out`, which has one place a pixel.
    pub fn decode<T: Stored>(&self, out: &mut [T]) -> Result<(), Fault> {
        let native = self.layout.pixels.and_then(|p| p.length.map(|_| p.start));
        match native {
            Some(start) => {
                let (mut file, _) = bytes::open(&self.path)?;
                let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(bytemuck::cast_slice_mut(out)));
                read.map_err(|e| Fault::unreadable(&e))?;
                let big_endian = self.layout.transfer_syntax == "1.2.840.10008.1.2.2";
                voxels::order(out, big_endian);
            }
            None => self.decode_fragments(out)?,
        }
        // Bits beside the stored ones may carry overlays; the highest stored bit is the sign.
        let (left, right) = (self.bits_allocated - 1 - self.high_bit, self.bits_allocated - self.bits_stored);
        if right > 0 {
            out.iter_mut().for_each(|v| *v = v.keep(left, right));
        }
        Ok(())
    }

    fn decode_fragments<T: Stored>(&self, out: &mut [T]) -> Result<(), Fault> {
        let bytes = bytes::whole(&self.path)?;
        if let Some(pixels) = self.layout.pixels {
            scan::check_fragments(&bytes, pixels.start)?;
        }
        let bad = |reason: String| Fault::Pixels { reason };
        // Codecs are foreign code: a panic there is the file's fault, not ours.
        let decode = || {
            let object = parse(&self.layout, bytes.get(self.layout.dataset as usize..).unwrap_or_default())?;
            let decoded = object.decode_pixel_data().map_err(|e| bad(root(&e)))?;
            Ok(decoded.data().to_vec())
        };
        let decoded =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode)).unwrap_or_else(|_| Err(bad("its codec gave up".into())))?;
        let target: &mut [u8] = bytemuck::cast_slice_mut(out);
        if decoded.len() != target.len() {
            return Err(bad(format!("{} bytes decoded, {} expected", decoded.len(), target.len())));
        }
        target.copy_from_slice(&decoded);
        voxels::order(out, false);
        Ok(())
    }

    /// Fails with the name of the transfer syntax where no decoder for it is built in.
    pub fn check_syntax(&self) -> Result<(), Fault> {
        let uid = self.layout.transfer_syntax.as_str();
        match SYNTAXES.iter().find(|(known, ..)| *known == uid) {
            Some((.., true)) => Ok(()),
            other => Err(Fault::TransferSyntax { uid: uid.into(), name: other.map_or("unknown", |(_, name, _)| name).into() }),
        }
    }
}

/// Transfer syntaxes by UID, name, and whether they are decoded here.
const SYNTAXES: &[(&str, &str, bool)] = &[
    ("1.2.840.10008.1.2", "implicit little endian", true),
    ("1.2.840.10008.1.2.1", "explicit little endian", true),
    ("1.2.840.10008.1.2.1.98", "encapsulated uncompressed", true),
    ("1.2.840.10008.1.2.2", "explicit big endian", true),
    ("1.2.840.10008.1.2.4.50", "JPEG baseline", true),
    ("1.2.840.10008.1.2.4.51", "JPEG extended", true),
    ("1.2.840.10008.1.2.4.57", "JPEG lossless", true),
    ("1.2.840.10008.1.2.4.70", "JPEG lossless, first order", true),
    ("1.2.840.10008.1.2.5", "RLE lossless", true),
    ("1.2.840.10008.1.2.4.80", "JPEG-LS lossless", false),
    ("1.2.840.10008.1.2.4.81", "JPEG-LS near-lossless", false),
    ("1.2.840.10008.1.2.4.90", "JPEG 2000 lossless", false),
    ("1.2.840.10008.1.2.4.91", "JPEG 2000", false),
    ("1.2.840.10008.1.2.4.201", "high-throughput JPEG 2000 lossless", false),
];

/// An integer type that pixels are stored in.
pub(super) trait Stored: Voxel {
    /// The stored bits alone: shifts them to the top, then down with their sign.
    fn keep(self, left: u32, right: u32) -> Self;
}

macro_rules! stored {
    ($($t:ty)*) => { $(impl Stored for $t {
        #[inline]
        fn keep(self, left: u32, right: u32) -> Self { (self << left) >> right }
    })* };
}
stored!(u8 i8 u16 i16 u32 i32);

/// The first bytes of a file up to its pixel data, and where its parts lie.
fn walked(file: &mut File, len: u64) -> Result<(Vec<u8>, Layout), Fault> {
    let mut size = 1 << 15;
    loop {
        let head = bytes::head(file, size)?;
        match scan::walk(&head, len) {
            Ok(layout) if layout.header_end <= head.len() as u64 => return Ok((head, layout)),
            Err(Stop::Fault(fault)) => return Err(fault),
            _ if head.len() < size => return Err(Fault::Truncated { format: "DICOM", needed: len, found: head.len() as u64 }),
            _ => size *= 2,
        }
    }
}

/// Parses a data set behind a meta group of our own: those of files name programs and are often not well-formed.
fn parse(layout: &Layout, dataset: &[u8]) -> Result<DefaultDicomObject, Fault> {
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid("1.2.840.10008.5.1.4.1.1.2")
        .media_storage_sop_instance_uid("2.25.1")
        .transfer_syntax(layout.transfer_syntax.as_str())
        .build();
    let mut head = [vec![0u8; 128], b"DICM".to_vec()].concat();
    let object = meta.and_then(|meta| meta.write(&mut head)).map_err(|e| root(&e));
    let object = object.and_then(|()| OpenFileOptions::new().from_reader(Cursor::new(head).chain(dataset)).map_err(|e| root(&e)));
    let expected = "a data set as PS3.10 has it";
    object.map_err(|found| Fault::Malformed { format: "DICOM", place: "its elements".into(), found, expected })
}

/// The innermost reason of an error.
fn root(error: &dyn std::error::Error) -> String {
    let mut reason = error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    reason.to_string()
}

fn text(object: &DefaultDicomObject, tag: Tag) -> Option<String> {
    let text = object.get(tag)?.to_str().ok()?.trim_matches(['\0', ' ']).to_string();
    (!text.is_empty()).then_some(text)
}

fn integer(object: &DefaultDicomObject, tag: Tag) -> Option<i64> {
    object.get(tag)?.to_int().ok()
}

fn numbers<const N: usize>(object: &DefaultDicomObject, tag: Tag) -> Option<[f64; N]> {
    let numbers: [f64; N] = object.get(tag)?.to_multi_float64().ok()?.try_into().ok()?;
    numbers.iter().all(|x| x.is_finite()).then_some(numbers)
}

/// `None` where the file gives neither slope nor intercept.
fn rescale(object: &DefaultDicomObject) -> Option<Rescale> {
    let number = |tag| object.get(tag).and_then(|e| e.to_float64().ok());
    let (slope, intercept) = (number(tags::RESCALE_SLOPE), number(tags::RESCALE_INTERCEPT));
    (slope.is_some() || intercept.is_some()).then(|| Rescale { slope: slope.unwrap_or(1.0), intercept: intercept.unwrap_or(0.0) })
}

/// Direction cosines made exactly unit; `None` where they are not near it or not perpendicular.
fn directions(cosines: [f64; 6]) -> Option<[Vector3<f64>; 2]> {
    let [a, b, c, d, e, f] = cosines;
    let (i, j) = (Vector3::new(a, b, c), Vector3::new(d, e, f));
    let unit = |v: &Vector3<f64>| (v.norm() - 1.0).abs() < 0.01;
    (unit(&i) && unit(&j) && i.dot(&j).abs() < 0.01).then(|| [i.normalize(), j.normalize()])
}
