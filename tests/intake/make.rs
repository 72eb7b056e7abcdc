//! DICOM and TIFF files made attribute by attribute.

use dicom_core::value::{DataSetSequence, PixelFragmentSequence};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
pub const ENHANCED_CT: &str = "1.2.840.10008.5.1.4.1.1.2.1";

pub type Object = InMemDicomObject;

pub fn text(o: &mut Object, tag: Tag, vr: VR, value: &str) {
    o.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
}

pub fn short(o: &mut Object, tag: Tag, value: u16) {
    o.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
}

pub fn numbers(o: &mut Object, tag: Tag, values: &[f64]) {
    text(o, tag, VR::DS, &values.iter().map(f64::to_string).collect::<Vec<_>>().join("\\"));
}

pub fn sequence(o: &mut Object, tag: Tag, items: Vec<Object>) {
    o.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
}

/// An object with what `fill` puts into it.
pub fn item(fill: impl FnOnce(&mut Object)) -> Object {
    let mut o = Object::new_empty();
    fill(&mut o);
    o
}

/// A CT slice of 3 x 2 pixels at a height, of 16 signed bits and rescale 1, -1024.
pub fn slice(z: f64, values: &[i16]) -> Object {
    let mut o = image(CT, values);
    numbers(&mut o, tags::IMAGE_POSITION_PATIENT, &[1.0, 2.0, z]);
    numbers(&mut o, tags::IMAGE_ORIENTATION_PATIENT, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    numbers(&mut o, tags::PIXEL_SPACING, &[0.75, 0.5]);
    numbers(&mut o, tags::RESCALE_SLOPE, &[1.0]);
    numbers(&mut o, tags::RESCALE_INTERCEPT, &[-1024.0]);
    o
}

/// Pixels of 3 columns, 2 rows and any number of frames, without a place.
pub fn image(class: &str, values: &[i16]) -> Object {
    let mut o = Object::new_empty();
    text(&mut o, tags::SOP_CLASS_UID, VR::UI, class);
    text(&mut o, tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.4");
    text(&mut o, tags::MODALITY, VR::CS, "CT");
    text(&mut o, tags::PATIENT_NAME, VR::PN, "Doe^Jane");
    text(&mut o, tags::ACQUISITION_DATE, VR::DA, "20240229");
    text(&mut o, tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3");
    text(&mut o, tags::SERIES_NUMBER, VR::IS, "7");
    short(&mut o, tags::SAMPLES_PER_PIXEL, 1);
    text(&mut o, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    short(&mut o, tags::ROWS, 2);
    short(&mut o, tags::COLUMNS, 3);
    bits(&mut o, [16, 16, 15], true);
    o.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(values.iter().map(|&v| v as u16).collect())));
    o
}

/// Bits allocated, bits stored, high bit.
pub fn bits(o: &mut Object, [allocated, stored, high]: [u16; 3], signed: bool) {
    short(o, tags::BITS_ALLOCATED, allocated);
    short(o, tags::BITS_STORED, stored);
    short(o, tags::HIGH_BIT, high);
    short(o, tags::PIXEL_REPRESENTATION, signed.into());
}

pub fn bytes_of(o: &mut Object, bytes: &[u8]) {
    o.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U8(bytes.into())));
}

pub fn fragments(o: &mut Object, offsets: Vec<u32>, fragments: Vec<Vec<u8>>) {
    o.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PixelFragmentSequence::new(offsets, fragments)));
}

/// The object as a file in a transfer syntax.
pub fn file(o: &Object, syntax: &str) -> Vec<u8> {
    let meta =
        FileMetaTableBuilder::new().media_storage_sop_class_uid(CT).media_storage_sop_instance_uid("1.2.3.4").transfer_syntax(syntax);
    let mut bytes = vec![];
    o.clone().with_meta(meta).expect("a meta group").write_all(&mut bytes).expect("memory");
    bytes
}

/// An enhanced CT image: frames of 3 x 2 pixels at these positions along z, each in a stack.
pub fn enhanced(frames: &[(f64, &str)], values: &[i16]) -> Object {
    let mut o = image(ENHANCED_CT, values);
    text(&mut o, tags::NUMBER_OF_FRAMES, VR::IS, &frames.len().to_string());
    let shared = item(|o| {
        sequence(
            o,
            tags::PLANE_ORIENTATION_SEQUENCE,
            vec![item(|o| numbers(o, tags::IMAGE_ORIENTATION_PATIENT, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))],
        );
        let measures = item(|o| {
            numbers(o, tags::PIXEL_SPACING, &[0.75, 0.5]);
            numbers(o, tags::SLICE_THICKNESS, &[2.0]);
        });
        sequence(o, tags::PIXEL_MEASURES_SEQUENCE, vec![measures]);
        let transformation = item(|o| {
            numbers(o, tags::RESCALE_SLOPE, &[1.0]);
            numbers(o, tags::RESCALE_INTERCEPT, &[-1024.0]);
            text(o, tags::RESCALE_TYPE, VR::LO, "HU");
        });
        sequence(o, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, vec![transformation]);
        let details = item(|o| o.put(DataElement::new(tags::KVP, VR::DS, dicom_value!(Strs, ["110"]))).map_or((), drop));
        sequence(o, tags::CTX_RAY_DETAILS_SEQUENCE, vec![details]);
    });
    sequence(&mut o, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]);
    let own = |&(z, stack): &(f64, &str)| {
        item(|o| {
            sequence(o, tags::PLANE_POSITION_SEQUENCE, vec![item(|o| numbers(o, tags::IMAGE_POSITION_PATIENT, &[1.0, 2.0, z]))]);
            sequence(o, tags::FRAME_CONTENT_SEQUENCE, vec![item(|o| text(o, tags::STACK_ID, VR::SH, stack))]);
        })
    };
    sequence(&mut o, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frames.iter().map(own).collect());
    o
}

/// How a TIFF file is written.
#[derive(Clone, Copy)]
pub struct Tiff<'a> {
    pub big: bool,
    pub bits: u16,
    /// 1 unsigned, 2 signed, 3 floating point.
    pub format: u16,
    /// 1 none, 8 deflate, 32773 PackBits.
    pub compression: u16,
    pub description: &'a str,
    /// Pixels a unit.
    pub resolution: Option<[u32; 2]>,
}

impl Default for Tiff<'_> {
    fn default() -> Self {
        Tiff { big: false, bits: 16, format: 1, compression: 1, description: "", resolution: None }
    }
}

impl Tiff<'_> {
    /// Little-endian pages of one strip, 3 x 2 pixels each.
    pub fn bytes(&self, pages: &[Vec<u8>]) -> Vec<u8> {
        let mut out: Vec<u8> = if self.big { vec![b'I', b'I', 43, 0, 8, 0, 0, 0] } else { vec![b'I', b'I', 42, 0] };
        let mut link = out.len();
        out.extend(vec![0; if self.big { 8 } else { 4 }]);
        for values in pages {
            let strip = self.packed(values);
            let (strip_at, strip_bytes) = (out.len() as u64, strip.len() as u64);
            out.extend(strip);
            let text = [self.description.as_bytes(), b"\0\0\0\0"].concat();
            let text_at = out.len() as u64;
            out.extend(&text);
            let ratio_at = out.len() as u64;
            self.resolution.into_iter().flatten().for_each(|n| out.extend(n.to_le_bytes()));
            let at = out.len() as u64;
            let mut entries: Vec<(u16, u16, u64, u64)> = vec![
                (256, 3, 1, 3),
                (257, 3, 1, 2),
                (258, 3, 1, self.bits.into()),
                (259, 3, 1, self.compression.into()),
                (262, 3, 1, 1),
                (270, 2, text.len() as u64, text_at),
                (273, 4, 1, strip_at),
                (277, 3, 1, 1),
                (278, 3, 1, 2),
                (279, 4, 1, strip_bytes),
            ];
            // A BigTIFF ratio lies in the entry itself.
            let ratio = self.resolution.map(|[n, d]| if self.big { u64::from(n) | u64::from(d) << 32 } else { ratio_at });
            entries.extend(ratio.iter().flat_map(|&r| [(282, 5, 1, r), (283, 5, 1, r)]));
            entries.push((339, 3, 1, self.format.into()));
            let place = if self.big { at.to_le_bytes().to_vec() } else { (at as u32).to_le_bytes().to_vec() };
            out[link..link + place.len()].copy_from_slice(&place);
            out.extend(if self.big {
                (entries.len() as u64).to_le_bytes().to_vec()
            } else {
                (entries.len() as u16).to_le_bytes().to_vec()
            });
            for (tag, kind, count, value) in entries {
                out.extend(tag.to_le_bytes());
                out.extend(kind.to_le_bytes());
                if self.big {
                    out.extend(count.to_le_bytes());
                    out.extend(value.to_le_bytes());
                } else {
                    out.extend((count as u32).to_le_bytes());
                    out.extend((value as u32).to_le_bytes());
                }
            }
            link = out.len();
            out.extend(vec![0; if self.big { 8 } else { 4 }]);
        }
        out
    }

    fn packed(&self, values: &[u8]) -> Vec<u8> {
        use std::io::Write;
        match self.compression {
            8 => {
                let mut zlib = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::default());
                zlib.write_all(values).expect("memory");
                zlib.finish().expect("memory")
            }
            32773 => [&[values.len() as u8 - 1][..], values].concat(),
            _ => values.to_vec(),
        }
    }
}
