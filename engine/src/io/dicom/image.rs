//! One DICOM file: what it says of its images, and where their stored values lie.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject, OpenFileOptions};
use nalgebra::Vector3;

use super::super::bytes;
use super::super::fault::Fault;
use super::super::source::VoxelType;
use super::codec::{Coding, SYNTAXES, Syntax};
use super::facts;
use super::scale::Decimal;
use super::scan::{self, Elements, Meta, Pixels, Plain, Stop};
use super::{functional, scan::is_dicom};

/// Headers end before this, however much a deflated one unpacks to.
const HEADER_MOST: usize = 256 << 20;

/// What a file says of all its frames. Nothing here says who was imaged.
#[derive(Debug)]
pub(super) struct Image {
    pub path: PathBuf,
    /// How and where the data set is written; positions are those of the unpacked file where it is deflated.
    pub syntax: &'static Syntax,
    /// Whether the file names its transfer syntax.
    pub syntax_stated: bool,
    pub dataset: u64,
    pub pixels: Pixels,
    /// Of each frame, the fragments as offset and length; empty where pixel data is not in fragments.
    pub fragments: Vec<Vec<(u64, u64)>>,
    pub modality: String,
    pub class: String,
    pub series: String,
    /// As the file has it; empty where it has none.
    pub series_number: String,
    pub localizer: bool,
    pub frames: u32,
    pub rows: u32,
    pub columns: u32,
    pub samples: u32,
    pub bits_allocated: u32,
    pub bits_stored: u32,
    pub high_bit: u32,
    pub signed: bool,
    /// A table takes the place of the rescale.
    pub modality_table: bool,
    pub lossy: bool,
    pub burned_in: bool,
    /// Stored values that stand for no measurement, lowest and highest.
    pub padding: Option<[i64; 2]>,
}

/// One frame of an image and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub image: Arc<Image>,
    pub index: u32,
    pub instance: i64,
    /// Frames of one stack belong together; single images have none.
    pub stack: String,
    pub position: Option<Vector3<f64>>,
    /// Directions of i and j, unit length.
    pub axes: Option<[Vector3<f64>; 2]>,
    /// Steps along i and j, mm.
    pub spacing: Option<[f64; 2]>,
    /// Slope and intercept as written.
    pub rescale: Option<[Decimal; 2]>,
    pub rescale_type: Option<String>,
    pub facts: Vec<(&'static str, String)>,
}

impl Frame {
    pub fn placed(&self) -> bool {
        self.position.is_some() && self.axes.is_some() && self.spacing.is_some()
    }
}

/// The frames of a file by their attributes; the pixel data is only found, not read.
pub(super) fn open(path: &Path) -> Result<Vec<Frame>, Fault> {
    let (mut file, len) = bytes::open(path)?;
    let head = Head::read(&mut file, len)?;
    let object = &parse(&head)?;
    let modality = text(object, tags::MODALITY).unwrap_or_default();
    let class = text(object, tags::SOP_CLASS_UID).unwrap_or_default();
    let Some(pixels) = head.elements.pixels.filter(|_| !NOT_IMAGES.contains(&class.as_str())) else {
        let found = if modality.is_empty() { "no modality".into() } else { modality };
        return Err(Fault::NoImage { found });
    };
    let required = |tag, name| {
        let absent = Fault::Attribute { tag: name, found: "absent or no number".into(), expected: "a whole number" };
        integer(object, tag).and_then(|n| u32::try_from(n).ok()).ok_or(absent)
    };
    let optional = |tag, default| integer(object, tag).and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
    let bits_allocated = required(tags::BITS_ALLOCATED, "BitsAllocated (0028,0100)")?;
    let bits_stored = optional(tags::BITS_STORED, bits_allocated);
    let signed = optional(tags::PIXEL_REPRESENTATION, 0) == 1;
    let frames = match object.get(tags::NUMBER_OF_FRAMES) {
        None => 1,
        Some(_) => required(tags::NUMBER_OF_FRAMES, "NumberOfFrames (0028,0008)")?.max(1),
    };
    let mut image = Image {
        path: path.to_path_buf(),
        syntax: head.syntax,
        syntax_stated: head.syntax_stated,
        dataset: head.dataset,
        pixels,
        fragments: vec![],
        series: text(object, tags::SERIES_INSTANCE_UID).unwrap_or_default(),
        series_number: text(object, tags::SERIES_NUMBER).unwrap_or_default(),
        localizer: text(object, tags::IMAGE_TYPE).is_some_and(|t| t.contains("LOCALIZER")),
        frames,
        rows: required(tags::ROWS, "Rows (0028,0010)")?,
        columns: required(tags::COLUMNS, "Columns (0028,0011)")?,
        samples: optional(tags::SAMPLES_PER_PIXEL, 1),
        bits_allocated,
        bits_stored,
        high_bit: optional(tags::HIGH_BIT, bits_stored.saturating_sub(1)),
        signed,
        modality_table: object.get(tags::MODALITY_LUT_SEQUENCE).is_some(),
        lossy: head.syntax.lossy || text(object, tags::LOSSY_IMAGE_COMPRESSION).as_deref() == Some("01"),
        burned_in: text(object, tags::BURNED_IN_ANNOTATION).as_deref() == Some("YES"),
        padding: padding(object, bits_stored, signed),
        modality,
        class,
    };
    if pixels.length.is_none() {
        let listed = scan::fragments(&mut file, len, pixels.start)?;
        let extended = integers(object, tags::EXTENDED_OFFSET_TABLE);
        image.fragments = by_frame(&mut file, &listed, frames as usize, extended)?;
    }
    check(&image, len)?;
    let facts = facts::of(object, &image);
    Ok(functional::frames(object, Arc::new(image), facts))
}

/// Classes that carry pixel data but no image of grey values: segmentations, doses, presentation states.
const NOT_IMAGES: [&str; 3] = ["1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.481.2"];

impl Image {
    pub fn pixels(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    pub fn frame_bytes(&self) -> u64 {
        self.pixels() as u64 * u64::from(self.bits_allocated / 8)
    }

    /// CT and cone-beam CT, by modality or class; a secondary capture is a picture, whatever it calls itself.
    pub fn is_ct(&self) -> bool {
        let cone_beam = self.class.starts_with("1.2.840.10008.5.1.4.1.1.13.1.");
        (self.modality == "CT" || cone_beam) && !self.is_capture()
    }

    pub fn is_capture(&self) -> bool {
        self.class.starts_with("1.2.840.10008.5.1.4.1.1.7")
    }

    /// How values are stored, once it is certain that there is one grey value a pixel.
    pub fn sample(&self) -> Result<VoxelType, Fault> {
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
            (8, false) => VoxelType::U8,
            (8, true) => VoxelType::I8,
            (16, false) => VoxelType::U16,
            (16, true) => VoxelType::I16,
            (32, false) => VoxelType::U32,
            (32, true) => VoxelType::I32,
            (bits, _) => return Err(Fault::VoxelType { found: format!("{bits} bits"), allowed: "8, 16 or 32 bits" }),
        })
    }

    /// Lowest and highest value that the stored bits can hold.
    pub fn codes(&self) -> [i64; 2] {
        let count = 1i64 << self.bits_stored.min(32);
        if self.signed { [-count / 2, count / 2 - 1] } else { [0, count - 1] }
    }
}

/// Fails where the file cannot hold its pixels, before memory is taken for them.
fn check(image: &Image, len: u64) -> Result<(), Fault> {
    let needed = image.frame_bytes().saturating_mul(u64::from(image.frames));
    // No codec here packs tighter than deflate does.
    let unpacked = len.saturating_mul(bytes::DEFLATE_LIMIT);
    let found = image.pixels.length.map_or(unpacked, |length| length.min(unpacked));
    // Other types of pixels are refused by their own name.
    if needed > found && image.sample().is_ok() {
        return Err(Fault::Truncated { format: "DICOM pixel data", needed, found });
    }
    Ok(())
}

/// Values that stand for no measurement, in the signedness of the pixels whatever that of the attribute is.
fn padding(object: &InMemDicomObject, bits: u32, signed: bool) -> Option<[i64; 2]> {
    let whole = 1i64 << bits.min(32);
    let stored = |v: i64| {
        let code = v.rem_euclid(whole);
        if signed && code >= whole / 2 { code - whole } else { code }
    };
    let value = stored(integer(object, tags::PIXEL_PADDING_VALUE)?);
    let limit = integer(object, tags::PIXEL_PADDING_RANGE_LIMIT).map_or(value, stored);
    Some([value.min(limit), value.max(limit)])
}

/// Fragments of each frame, by the offset table where several make one.
fn by_frame(file: &mut File, listed: &[(u64, u64)], frames: usize, extended: Option<Vec<u64>>) -> Result<Vec<Vec<(u64, u64)>>, Fault> {
    let Some((&(table, table_bytes), fragments)) = listed.split_first() else {
        return Err(Fault::Pixels { reason: "it has no offset table".into() });
    };
    if frames == 1 {
        return Ok(vec![fragments.to_vec()]);
    }
    if fragments.len() == frames {
        return Ok(fragments.iter().map(|&f| vec![f]).collect());
    }
    let unclear = || Fault::Pixels { reason: format!("{} fragments make {frames} frames and no offset table says how", fragments.len()) };
    let offsets = match extended {
        Some(offsets) => offsets,
        None => {
            let raw = bytes::range(file, table, table_bytes)?;
            raw.chunks_exact(4).map(|b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
        }
    };
    let first = fragments.first().ok_or_else(unclear)?.0;
    if offsets.len() != frames || offsets.first() != Some(&0) || !offsets.is_sorted() {
        return Err(unclear());
    }
    let mut grouped = vec![vec![]; frames];
    for &(at, length) in fragments {
        // Offsets count from the first byte of the first fragment's item.
        let frame = offsets.partition_point(|&o| o <= at - first);
        grouped[frame - 1].push((at, length));
    }
    Ok(grouped)
}

/// The first bytes of a file up to its pixel data, unpacked where they are deflated, and where its parts lie.
struct Head {
    bytes: Vec<u8>,
    syntax: &'static Syntax,
    syntax_stated: bool,
    plain: Plain,
    dataset: u64,
    elements: Elements,
}

impl Head {
    fn read(file: &mut File, len: u64) -> Result<Head, Fault> {
        let mut size = 1 << 15;
        loop {
            let raw = bytes::head(file, size)?;
            let short = raw.len() < size;
            match Head::of(raw, len, size) {
                Ok(head) => return Ok(head),
                Err(Stop::Fault(fault)) => return Err(fault),
                Err(Stop::More) if short && size as u64 > len.saturating_mul(bytes::DEFLATE_LIMIT) => {
                    return Err(Fault::Truncated { format: "DICOM", needed: len + 1, found: len });
                }
                Err(Stop::More) if size >= HEADER_MOST => {
                    return Err(Fault::TooLarge { what: "its header in bytes", found: size as u64, allowed: HEADER_MOST as u64 });
                }
                Err(Stop::More) => size *= 2,
            }
        }
    }

    fn of(raw: Vec<u8>, len: u64, size: usize) -> Result<Head, Stop> {
        if !is_dicom(&raw) {
            let begins = super::super::fault::quoted(&raw[..raw.len().min(16)]);
            return Err(Fault::UnknownFormat { begins, allowed: "DICOM" }.into());
        }
        let Meta { transfer_syntax, dataset } = scan::meta(&raw, len)?;
        let rest = raw.get(dataset as usize..).unwrap_or_default();
        let syntax_stated = transfer_syntax.is_some();
        let guessed = || match scan::guess(rest) {
            Plain::Implicit => "1.2.840.10008.1.2".to_string(),
            Plain::Explicit => "1.2.840.10008.1.2.1".into(),
            Plain::BigEndian => "1.2.840.10008.1.2.2".into(),
        };
        let uid = transfer_syntax.unwrap_or_else(guessed);
        let unknown = |name: &str| Stop::Fault(Fault::TransferSyntax { uid: super::super::fault::printable(&uid), name: name.into() });
        let syntax = SYNTAXES.iter().find(|s| s.uid == uid).ok_or_else(|| unknown("unknown"))?;
        let Some(coding) = syntax.coding else { return Err(unknown(syntax.name)) };
        let plain = syntax.plain();
        let (bytes, len) = if coding == Coding::Deflated { inflate_head(&raw, dataset, size, len)? } else { (raw, len) };
        let elements = scan::elements(&bytes, len, dataset, plain)?;
        if elements.header_end > bytes.len() as u64 {
            return Err(Stop::More);
        }
        Ok(Head { bytes, syntax, syntax_stated, plain, dataset, elements })
    }
}

/// The first `size` bytes of a file whose data set is deflated, unpacked; and its unpacked length, as far as that is known.
fn inflate_head(raw: &[u8], dataset: u64, size: usize, len: u64) -> Result<(Vec<u8>, u64), Stop> {
    let mut bytes = raw.get(..dataset as usize).ok_or(Stop::More)?.to_vec();
    let mut unpacked = flate2::read::DeflateDecoder::new(&raw[dataset as usize..]).take(size as u64);
    match unpacked.read_to_end(&mut bytes) {
        // The stream goes on in the part of the file that is not read yet.
        Err(_) if (raw.len() as u64) < len => Ok((bytes, u64::MAX / 2)),
        Err(_) => {
            let (place, found) = (format!("byte {dataset}"), "a corrupt compressed stream".into());
            Err(Fault::Malformed { format: "DICOM", place, found, expected: "deflate as RFC 1951 has it" }.into())
        }
        Ok(n) if n == size => Ok((bytes, u64::MAX / 2)),
        Ok(_) => {
            let len = bytes.len() as u64;
            Ok((bytes, len))
        }
    }
}

/// Parses a data set behind a meta group of our own: those of files name programs and are often not well-formed.
fn parse(head: &Head) -> Result<InMemDicomObject, Fault> {
    let syntax = match head.plain {
        Plain::Implicit => "1.2.840.10008.1.2",
        Plain::Explicit => "1.2.840.10008.1.2.1",
        Plain::BigEndian => "1.2.840.10008.1.2.2",
    };
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid("1.2.840.10008.5.1.4.1.1.2")
        .media_storage_sop_instance_uid("2.25.1")
        .transfer_syntax(syntax)
        .build();
    let dataset = head.bytes.get(head.dataset as usize..head.elements.header_end as usize).unwrap_or_default();
    let mut before = [vec![0u8; 128], b"DICM".to_vec()].concat();
    let object = meta.and_then(|meta| meta.write(&mut before)).map_err(|e| root(&e));
    let object = object.and_then(|()| OpenFileOptions::new().from_reader(Cursor::new(before).chain(dataset)).map_err(|e| root(&e)));
    let expected = "a data set as PS3.10 has it";
    object.map(|o| o.into_inner()).map_err(|found| Fault::Malformed { format: "DICOM", place: "its elements".into(), found, expected })
}

/// The innermost reason of an error.
pub(super) fn root(error: &dyn std::error::Error) -> String {
    let mut reason = error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    reason.to_string()
}

pub(super) fn text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let text = object.get(tag)?.to_str().ok()?.trim_matches(['\0', ' ']).to_string();
    (!text.is_empty()).then_some(text)
}

pub(super) fn integer(object: &InMemDicomObject, tag: Tag) -> Option<i64> {
    object.get(tag)?.to_int().ok()
}

fn integers(object: &InMemDicomObject, tag: Tag) -> Option<Vec<u64>> {
    object.get(tag)?.to_multi_int().ok()
}

pub(super) fn numbers<const N: usize>(object: &InMemDicomObject, tag: Tag) -> Option<[f64; N]> {
    let numbers: [f64; N] = object.get(tag)?.to_multi_float64().ok()?.try_into().ok()?;
    numbers.iter().all(|x| x.is_finite()).then_some(numbers)
}
