//! How an image was made, as its file says it: the facts that stand in `inspect` and in every judgement. Who was imaged is not read.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::image::{Frame, Image, text};

/// A fact's name and where it stands.
type Row = (&'static str, Tag);

/// Facts of a data set.
const PLAIN: &[Row] = &[
    ("manufacturer", tags::MANUFACTURER),
    ("model", tags::MANUFACTURER_MODEL_NAME),
    ("software", tags::SOFTWARE_VERSIONS),
    ("image_type", tags::IMAGE_TYPE),
    ("kernel", tags::CONVOLUTION_KERNEL),
    ("kvp", tags::KVP),
    ("tube_current_ma", tags::X_RAY_TUBE_CURRENT),
    ("exposure_time_ms", tags::EXPOSURE_TIME),
    ("exposure_mas", tags::EXPOSURE),
    ("filter", tags::FILTER_TYPE),
    ("focal_spot_mm", tags::FOCAL_SPOTS),
    ("slice_thickness_mm", tags::SLICE_THICKNESS),
    ("nominal_slice_spacing_mm", tags::SPACING_BETWEEN_SLICES),
    ("reconstruction_diameter_mm", tags::RECONSTRUCTION_DIAMETER),
    ("collection_diameter_mm", tags::DATA_COLLECTION_DIAMETER),
    ("gantry_tilt_degrees", tags::GANTRY_DETECTOR_TILT),
    ("patient_position", tags::PATIENT_POSITION),
    ("burned_in_annotation", tags::BURNED_IN_ANNOTATION),
    ("lossy_ratio", tags::LOSSY_IMAGE_COMPRESSION_RATIO),
    ("lossy_method", tags::LOSSY_IMAGE_COMPRESSION_METHOD),
];

/// Facts of functional groups (PS3.3 C.7.6.16, C.8.15.3): the group's sequence and what stands in it.
const GROUPED: &[(Tag, &[Row])] = &[
    (
        tags::PIXEL_MEASURES_SEQUENCE,
        &[("slice_thickness_mm", tags::SLICE_THICKNESS), ("nominal_slice_spacing_mm", tags::SPACING_BETWEEN_SLICES)],
    ),
    (
        tags::CT_RECONSTRUCTION_SEQUENCE,
        &[
            ("kernel", tags::CONVOLUTION_KERNEL),
            ("reconstruction_diameter_mm", tags::RECONSTRUCTION_DIAMETER),
            ("reconstruction", tags::RECONSTRUCTION_ALGORITHM),
        ],
    ),
    (tags::CTX_RAY_DETAILS_SEQUENCE, &[("kvp", tags::KVP), ("filter", tags::FILTER_TYPE), ("focal_spot_mm", tags::FOCAL_SPOTS)]),
    (
        tags::CT_EXPOSURE_SEQUENCE,
        &[
            ("tube_current_ma", tags::X_RAY_TUBE_CURRENT_INM_A),
            ("exposure_time_ms", tags::EXPOSURE_TIME_INMS),
            ("exposure_mas", tags::EXPOSURE_INM_AS),
        ],
    ),
    (
        tags::CT_ACQUISITION_DETAILS_SEQUENCE,
        &[("gantry_tilt_degrees", tags::GANTRY_DETECTOR_TILT), ("collection_diameter_mm", tags::DATA_COLLECTION_DIAMETER)],
    ),
    (tags::CT_IMAGE_FRAME_TYPE_SEQUENCE, &[("image_type", tags::FRAME_TYPE)]),
];

/// The date of imaging, by the attribute that says it best.
const DATES: &[Tag] = &[tags::ACQUISITION_DATE, tags::ACQUISITION_DATE_TIME, tags::CONTENT_DATE, tags::SERIES_DATE, tags::STUDY_DATE];

/// Classes of images that people know by name.
const CLASSES: &[(&str, &str)] = &[
    ("1.2.840.10008.5.1.4.1.1.2", "CT image"),
    ("1.2.840.10008.5.1.4.1.1.2.1", "enhanced CT image"),
    ("1.2.840.10008.5.1.4.1.1.2.2", "legacy converted enhanced CT image"),
    ("1.2.840.10008.5.1.4.1.1.13.1.1", "X-ray 3D angiographic image"),
    ("1.2.840.10008.5.1.4.1.1.13.1.2", "X-ray 3D craniofacial image"),
    ("1.2.840.10008.5.1.4.1.1.4", "MR image"),
    ("1.2.840.10008.5.1.4.1.1.4.1", "enhanced MR image"),
    ("1.2.840.10008.5.1.4.1.1.6.1", "ultrasound image"),
    ("1.2.840.10008.5.1.4.1.1.7", "secondary capture"),
    ("1.2.840.10008.5.1.4.1.1.7.1", "multi-frame secondary capture of single bits"),
    ("1.2.840.10008.5.1.4.1.1.7.2", "multi-frame secondary capture of grey bytes"),
    ("1.2.840.10008.5.1.4.1.1.7.3", "multi-frame secondary capture of grey words"),
    ("1.2.840.10008.5.1.4.1.1.7.4", "multi-frame secondary capture in colour"),
];

pub(super) fn of(object: &InMemDicomObject, image: &Image) -> Vec<(&'static str, String)> {
    let mut facts: Vec<_> = PLAIN.iter().filter_map(|&(name, tag)| shown(object, tag).map(|t| (name, t))).collect();
    if let Some(date) = DATES.iter().find_map(|&tag| text(object, tag)).and_then(|t| date(&t)) {
        facts.push(("imaging_date", date));
    }
    if let Some((_, class)) = CLASSES.iter().find(|(uid, _)| *uid == image.class) {
        facts.push(("image_class", (*class).into()));
    }
    facts.push(("transfer_syntax", image.syntax.name.into()));
    facts.push(("lossy_compression", if image.lossy { "yes" } else { "no" }.into()));
    let sign = if image.signed { "signed" } else { "unsigned" };
    facts.push(("stored_bits", format!("{} of {}, {sign}", image.bits_stored, image.bits_allocated)));
    facts
}

/// Facts of one set of functional groups; `group` gives the macro of a sequence.
pub(super) fn of_group<'a>(group: &impl Fn(Tag) -> Option<&'a InMemDicomObject>) -> Vec<(&'static str, String)> {
    let rows = GROUPED.iter().filter_map(|&(sequence, rows)| group(sequence).map(|g| (g, rows)));
    rows.flat_map(|(g, rows)| rows.iter().filter_map(|&(name, tag)| shown(g, tag).map(|t| (name, t)))).collect()
}

/// Facts of all slices: one value where they agree, the span of numbers or the values where they do not.
pub(super) fn merged(frames: &[Frame]) -> Vec<(&'static str, String)> {
    let Some(first) = frames.first() else { return vec![] };
    first.facts.iter().map(|(name, value)| (*name, merge(frames, name, value))).collect()
}

fn merge(frames: &[Frame], name: &str, first: &str) -> String {
    let mut others: Vec<&str> = vec![];
    for (_, value) in frames.iter().filter_map(|f| f.facts.iter().find(|(n, _)| *n == name)) {
        if value != first && !others.contains(&value.as_str()) {
            others.push(value);
        }
        // Many different values are a span or are not told one by one: no more of them is needed.
        if others.len() > 64 {
            break;
        }
    }
    if others.is_empty() {
        return first.into();
    }
    let all = || std::iter::once(first).chain(others.iter().copied());
    let numbers: Option<Vec<f64>> = all().map(|v| v.parse().ok()).collect();
    match numbers {
        Some(_) => {
            let every = frames.iter().flat_map(|f| &f.facts).filter(|(n, _)| *n == name).filter_map(|(_, v)| v.parse::<f64>().ok());
            let (low, high) = every.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            format!("{low} to {high}")
        }
        None if others.len() < 4 => all().collect::<Vec<_>>().join("; "),
        None => format!("{first}; and others"),
    }
}

/// Text of an attribute, several values by a comma; printable, so that it can stand in a report.
fn shown(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let text = text(object, tag)?;
    let shown: String = text.replace('\\', ", ").chars().filter(|c| !c.is_control()).take(120).collect();
    Some(shown)
}

/// `20040119` as `2004-01-19`.
fn date(text: &str) -> Option<String> {
    let digits: Vec<char> = text.chars().filter(char::is_ascii_digit).take(8).collect();
    let part = |range: std::ops::Range<usize>| digits.get(range).map(|d| d.iter().collect::<String>());
    Some(format!("{}-{}-{}", part(0..4)?, part(4..6)?, part(6..8)?))
}
