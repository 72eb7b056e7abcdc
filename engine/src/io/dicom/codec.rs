//! Frames decoded to stored values, by transfer syntax.
//!
//! Headers of compressed frames are held against the image's own size before a codec sees them, since codecs take memory by what a
//! stream says. Codecs are foreign code: a panic there is the file's fault. Values come out little-endian, then in this machine's order.

use std::fs::File;
use std::io::Read;

use dicom_core::value::{PixelFragmentSequence, Value};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use dicom_pixeldata::PixelDecoder;

use super::super::bytes::{self, Stream};
use super::super::fault::Fault;
use super::super::source::VoxelType;
use super::image::{Image, root};
use super::scan::Plain;
use super::stream;
use crate::volume::Voxel;

/// How the pixel data of a transfer syntax is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Native {
        big_endian: bool,
    },
    /// The whole data set is deflated, pixel data and all.
    Deflated,
    Fragments,
    DeflatedFragments,
    Rle,
    Jpeg,
    JpegLs,
    Jpeg2000,
}

/// A transfer syntax; `coding` is `None` where nothing here decodes it.
#[derive(Debug, PartialEq)]
pub(super) struct Syntax {
    pub uid: &'static str,
    pub name: &'static str,
    pub coding: Option<Coding>,
    pub lossy: bool,
}

impl Syntax {
    /// How the data elements are written.
    pub fn plain(&self) -> Plain {
        match self.uid {
            "1.2.840.10008.1.2" | "1.2.840.113619.5.2" => Plain::Implicit,
            "1.2.840.10008.1.2.2" => Plain::BigEndian,
            _ => Plain::Explicit,
        }
    }
}

const fn syntax(uid: &'static str, name: &'static str, coding: Option<Coding>, lossy: bool) -> Syntax {
    Syntax { uid, name, coding, lossy }
}

const LITTLE: Option<Coding> = Some(Coding::Native { big_endian: false });
const BIG: Option<Coding> = Some(Coding::Native { big_endian: true });

#[rustfmt::skip]
pub(super) const SYNTAXES: &[Syntax] = &[
    syntax("1.2.840.10008.1.2", "implicit little endian", LITTLE, false),
    syntax("1.2.840.10008.1.2.1", "explicit little endian", LITTLE, false),
    syntax("1.2.840.10008.1.2.2", "explicit big endian", BIG, false),
    syntax("1.2.840.113619.5.2", "implicit little endian with big-endian pixels (GE)", BIG, false),
    syntax("1.2.840.10008.1.2.1.99", "deflated explicit little endian", Some(Coding::Deflated), false),
    syntax("1.2.840.10008.1.2.1.98", "encapsulated uncompressed", Some(Coding::Fragments), false),
    syntax("1.2.840.10008.1.2.8.1", "deflated image frames", Some(Coding::DeflatedFragments), false),
    syntax("1.2.840.10008.1.2.5", "RLE lossless", Some(Coding::Rle), false),
    syntax("1.2.840.10008.1.2.4.50", "JPEG baseline", Some(Coding::Jpeg), true),
    syntax("1.2.840.10008.1.2.4.51", "JPEG extended", Some(Coding::Jpeg), true),
    syntax("1.2.840.10008.1.2.4.57", "JPEG lossless", Some(Coding::Jpeg), false),
    syntax("1.2.840.10008.1.2.4.70", "JPEG lossless, first order", Some(Coding::Jpeg), false),
    syntax("1.2.840.10008.1.2.4.80", "JPEG-LS lossless", Some(Coding::JpegLs), false),
    syntax("1.2.840.10008.1.2.4.81", "JPEG-LS near-lossless", Some(Coding::JpegLs), true),
    syntax("1.2.840.10008.1.2.4.90", "JPEG 2000 lossless", Some(Coding::Jpeg2000), false),
    syntax("1.2.840.10008.1.2.4.91", "JPEG 2000", Some(Coding::Jpeg2000), true),
    syntax("1.2.840.10008.1.2.4.201", "high-throughput JPEG 2000 lossless", Some(Coding::Jpeg2000), false),
    syntax("1.2.840.10008.1.2.4.202", "high-throughput JPEG 2000 lossless, RPCL", Some(Coding::Jpeg2000), false),
    syntax("1.2.840.10008.1.2.4.203", "high-throughput JPEG 2000", Some(Coding::Jpeg2000), true),
    syntax("1.2.840.10008.1.2.4.52", "JPEG extended (3, 5), retired", None, true),
    syntax("1.2.840.10008.1.2.4.53", "JPEG spectral selection, retired", None, true),
    syntax("1.2.840.10008.1.2.4.55", "JPEG progressive, retired", None, true),
    syntax("1.2.840.10008.1.2.4.92", "JPEG 2000 multi-component lossless", None, false),
    syntax("1.2.840.10008.1.2.4.93", "JPEG 2000 multi-component", None, true),
    syntax("1.2.840.10008.1.2.4.94", "JPIP referenced", None, false),
    syntax("1.2.840.10008.1.2.4.95", "JPIP referenced, deflated", None, false),
    syntax("1.2.840.10008.1.2.4.100", "MPEG-2 video", None, true),
    syntax("1.2.840.10008.1.2.4.102", "MPEG-4 video", None, true),
    syntax("1.2.840.10008.1.2.4.107", "HEVC video", None, true),
    syntax("1.2.840.10008.1.2.4.110", "JPEG XL lossless", None, false),
    syntax("1.2.840.10008.1.2.4.111", "JPEG XL recompression", None, true),
    syntax("1.2.840.10008.1.2.4.112", "JPEG XL", None, true),
];

/// Decodes a frame's stored values, without rescale, into `out`, which has as many bytes as they take.
pub(super) fn decode(image: &Image, frame: u32, sample: VoxelType, out: &mut [u8]) -> Result<(), Fault> {
    let width = sample.bytes();
    let at = image.pixels.start + u64::from(frame) * out.len() as u64;
    let coding = image.syntax.coding;
    match (coding, image.pixels.length) {
        (Some(Coding::Native { big_endian }), Some(_)) => {
            bytes::read_at(&image.path, at, out)?;
            ordered(sample, out, big_endian);
        }
        (Some(Coding::Deflated), Some(_)) => {
            inflate(image, at, out)?;
            ordered(sample, out, false);
        }
        (Some(coding), None) => {
            let fragments = image.fragments.get(frame as usize).map_or(&[][..], |f| f);
            let packed = joined(image, fragments)?;
            decode_packed(image, coding, &packed, width, out)?;
            ordered(sample, out, false);
        }
        _ => return Err(Fault::Pixels { reason: format!("{} comes without fragments", image.syntax.name) }),
    }
    stored_bits(image, sample, out);
    Ok(())
}

fn decode_packed(image: &Image, coding: Coding, packed: &[u8], width: usize, out: &mut [u8]) -> Result<(), Fault> {
    match coding {
        Coding::Fragments => match packed.get(..out.len()) {
            Some(values) => out.copy_from_slice(values),
            None => return Err(short(out.len(), packed.len())),
        },
        Coding::DeflatedFragments => {
            let mut unpacked = flate2::read::DeflateDecoder::new(packed);
            unpacked.read_exact(out).map_err(|_| bad("a deflated frame is corrupt or ends early"))?;
        }
        Coding::Rle => stream::rle(packed, width, out)?,
        Coding::Jpeg => {
            let frame = stream::jpeg_frame(packed, image, width)?;
            if frame.process != 0xC3 && frame.precision > 8 {
                return Err(undecoded(image, &format!("of {} bits", frame.precision)));
            }
            let bytes = if frame.precision <= 8 { 1 } else { 2 };
            let values = guarded(|| by_library(image, packed, image.syntax.uid, bytes))?;
            widened(&values, bytes, width, out)?;
        }
        Coding::JpegLs => {
            let frame = stream::jpeg_frame(packed, image, width)?;
            stream::check_jpeg_ls(packed, &frame, image)?;
            let [w, h] = [image.columns, image.rows];
            let values = guarded(|| {
                let (values, ..) = jpegls::decode(packed, w, h).map_err(|e| bad(&e.to_string()))?;
                Ok(values.into_iter().flat_map(u16::to_le_bytes).collect())
            })?;
            widened(&values, 2, width, out)?;
        }
        Coding::Jpeg2000 => {
            stream::check_jpeg_2000(packed, image)?;
            if width > 2 {
                return Err(undecoded(image, "of 32 bits"));
            }
            // One adapter decodes both parts of the standard; it tells them apart by the stream.
            let values = guarded(|| by_library(image, packed, "1.2.840.10008.1.2.4.90", width))?;
            widened(&values, width, width, out)?;
        }
        Coding::Native { .. } | Coding::Deflated => return Err(bad("fragments in a syntax without them")),
    }
    Ok(())
}

pub(super) fn bad(reason: &str) -> Fault {
    Fault::Pixels { reason: reason.into() }
}

/// A kind of a syntax that no decoder here is for.
pub(super) fn undecoded(image: &Image, kind: &str) -> Fault {
    Fault::TransferSyntax { uid: image.syntax.uid.into(), name: format!("{} {kind}", image.syntax.name) }
}

fn short(needed: usize, found: usize) -> Fault {
    Fault::Truncated { format: "DICOM pixel data", needed: needed as u64, found: found as u64 }
}

/// Runs foreign code; what it does not survive is malformed.
fn guarded(decode: impl FnOnce() -> Result<Vec<u8>, Fault>) -> Result<Vec<u8>, Fault> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode)).unwrap_or_else(|_| Err(bad("its codec gave up")))
}

/// The fragments of a frame in one piece.
fn joined(image: &Image, fragments: &[(u64, u64)]) -> Result<Vec<u8>, Fault> {
    let mut file = File::open(&image.path).map_err(|e| Fault::unreadable(&e))?;
    let mut packed = vec![];
    for &(at, length) in fragments {
        packed.extend(bytes::range(&mut file, at, length)?);
    }
    if packed.is_empty() { Err(bad("a frame has no fragments")) } else { Ok(packed) }
}

/// Values of a deflated data set; it unpacks from its beginning.
fn inflate(image: &Image, at: u64, out: &mut [u8]) -> Result<(), Fault> {
    let (file, _) = bytes::open(&image.path)?;
    let mut unpacked = Stream::deflate("DICOM", file, image.dataset)?;
    unpacked.skip(at - image.dataset)?;
    unpacked.fill(out)
}

/// Little-endian values of `from` bytes into places of `to` bytes, without sign: [`stored_bits`] puts it right.
fn widened(values: &[u8], from: usize, to: usize, out: &mut [u8]) -> Result<(), Fault> {
    if values.len() / from != out.len() / to || from > to && values.chunks_exact(from).any(|v| v[to..].iter().any(|&b| b != 0)) {
        return Err(bad(&format!("{} values of {from} bytes decoded, {} of {to} expected", values.len() / from, out.len() / to)));
    }
    let kept = from.min(to);
    for (place, value) in out.chunks_exact_mut(to).zip(values.chunks_exact(from)) {
        place[..kept].copy_from_slice(&value[..kept]);
        place[kept..].fill(0);
    }
    Ok(())
}

/// One frame through the registered decoder of a transfer syntax, as a file of that frame alone.
fn by_library(image: &Image, packed: &[u8], uid: &str, width: usize) -> Result<Vec<u8>, Fault> {
    let mut object = InMemDicomObject::new_empty();
    let bits = 8 * width as u16;
    let size = |n: u32| u16::try_from(n).map_err(|_| bad("more than 65535 rows or columns"));
    let shorts = [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, size(image.rows)?),
        (tags::COLUMNS, size(image.columns)?),
        (tags::BITS_ALLOCATED, bits),
        (tags::BITS_STORED, bits),
        (tags::HIGH_BIT, bits - 1),
        (tags::PIXEL_REPRESENTATION, 0),
    ];
    shorts.into_iter().for_each(|(tag, value): (Tag, u16)| drop(object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)))));
    object.put(DataElement::new(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, PrimitiveValue::from("MONOCHROME2")));
    let fragments = PixelFragmentSequence::new(vec![], vec![packed.to_vec()]);
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, Value::from(fragments)));
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid("1.2.840.10008.5.1.4.1.1.2")
        .media_storage_sop_instance_uid("2.25.1")
        .transfer_syntax(uid)
        .build()
        .map_err(|e| bad(&root(&e)))?;
    let object = object.with_exact_meta(meta);
    let decoded = object.decode_pixel_data_frame(0).map_err(|e| bad(&root(&e)))?;
    Ok(decoded.data().to_vec())
}

/// Bytes in the order of this machine.
fn ordered(sample: VoxelType, out: &mut [u8], big_endian: bool) {
    match sample.bytes() {
        2 => out.chunks_exact_mut(2).for_each(|v| swap(v, big_endian)),
        4 => out.chunks_exact_mut(4).for_each(|v| swap(v, big_endian)),
        _ => {}
    }
}

#[inline]
fn swap(value: &mut [u8], big_endian: bool) {
    if big_endian != cfg!(target_endian = "big") {
        value.reverse();
    }
}

/// Keeps the stored bits alone: those beside them may carry overlays, and the highest of them is the sign.
fn stored_bits(image: &Image, sample: VoxelType, out: &mut [u8]) {
    let (left, right) = (image.bits_allocated - 1 - image.high_bit, image.bits_allocated - image.bits_stored);
    if right == 0 {
        return;
    }
    macro_rules! keep {
        ($t:ty) => {
            out.chunks_exact_mut(size_of::<$t>()).for_each(|place| {
                let value = bytemuck::pod_read_unaligned::<$t>(place);
                place.copy_from_slice(&((value << left) >> right).to_ne_bytes());
            })
        };
    }
    match sample {
        VoxelType::U8 => keep!(u8),
        VoxelType::I8 => keep!(i8),
        VoxelType::U16 => keep!(u16),
        VoxelType::I16 => keep!(i16),
        VoxelType::U32 => keep!(u32),
        VoxelType::I32 => keep!(i32),
        VoxelType::F32 | VoxelType::F64 => {}
    }
}

/// Brings the stored values of a slice onto the common scale: `multiplier * value + offset`, which is a whole number of type `T`.
pub(super) fn rescaled<T: Voxel>(sample: VoxelType, values: &[u8], [m, n]: [i64; 2], out: &mut [T]) {
    macro_rules! bring {
        ($s:ty) => {{
            let brought = values.chunks_exact(size_of::<$s>()).map(|v| m * i64::from(bytemuck::pod_read_unaligned::<$s>(v)) + n);
            if T::NAME == i32::NAME {
                let out: &mut [i32] = bytemuck::cast_slice_mut(out);
                out.iter_mut().zip(brought).for_each(|(o, v)| *o = v as i32);
            } else {
                let out: &mut [f64] = bytemuck::cast_slice_mut(out);
                out.iter_mut().zip(brought).for_each(|(o, v)| *o = v as f64);
            }
        }};
    }
    match sample {
        VoxelType::U8 => bring!(u8),
        VoxelType::I8 => bring!(i8),
        VoxelType::U16 => bring!(u16),
        VoxelType::I16 => bring!(i16),
        VoxelType::U32 => bring!(u32),
        VoxelType::I32 => bring!(i32),
        VoxelType::F32 | VoxelType::F64 => {}
    }
}
