//! Frames of a file with their places: from the data set of a single image (PS3.3 C.7.6.2), from the shared and per-frame functional
//! groups of a multi-frame one (C.7.6.16). What a frame's own group lacks, the shared one gives.

use std::sync::Arc;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use nalgebra::Vector3;

use super::facts;
use super::image::{Frame, Image, integer, numbers, text};
use super::scale::Decimal;

pub(super) fn frames(object: &InMemDicomObject, image: Arc<Image>, facts: Vec<(&'static str, String)>) -> Vec<Frame> {
    let shared = item(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE);
    let own = items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    if image.frames == 1 && shared.is_none() && own.is_empty() {
        return vec![single(object, image, facts)];
    }
    let count = image.frames as usize;
    // Groups that are not as many as the frames cannot say which is whose: such frames have no place, and one stands for all.
    if own.len() != count && count > 1 {
        return vec![Frame { position: None, ..single(object, image, facts) }];
    }
    let of_shared = shared.map(|s| facts::of_group(&|tag| item(s, tag))).unwrap_or_default();
    (0..count).map(|index| multi(Groups { own: own.get(index), shared }, index, &image, [&facts, &of_shared])).collect()
}

fn single(object: &InMemDicomObject, image: Arc<Image>, facts: Vec<(&'static str, String)>) -> Frame {
    Frame {
        index: 0,
        instance: integer(object, tags::INSTANCE_NUMBER).unwrap_or(0),
        stack: String::new(),
        position: position(object),
        axes: axes(object),
        spacing: spacing(object),
        rescale: rescale(object),
        rescale_type: text(object, tags::RESCALE_TYPE),
        facts,
        image,
    }
}

struct Groups<'a> {
    own: Option<&'a InMemDicomObject>,
    shared: Option<&'a InMemDicomObject>,
}

impl<'a> Groups<'a> {
    /// The macro with this sequence tag.
    fn get(&self, sequence: Tag) -> Option<&'a InMemDicomObject> {
        self.own.and_then(|o| item(o, sequence)).or_else(|| self.shared.and_then(|s| item(s, sequence)))
    }
}

fn multi(groups: Groups, index: usize, image: &Arc<Image>, facts: [&Vec<(&'static str, String)>; 2]) -> Frame {
    let content = groups.get(tags::FRAME_CONTENT_SEQUENCE);
    let value = groups.get(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE);
    let own = groups.own.map(|o| facts::of_group(&|tag| item(o, tag))).unwrap_or_default();
    let mut all: Vec<(&'static str, String)> = own;
    for (name, text) in facts.into_iter().rev().flatten() {
        if !all.iter().any(|(known, _)| known == name) {
            all.push((name, text.clone()));
        }
    }
    Frame {
        image: Arc::clone(image),
        index: index as u32,
        instance: index as i64,
        stack: content.and_then(|c| text(c, tags::STACK_ID)).unwrap_or_default(),
        position: groups.get(tags::PLANE_POSITION_SEQUENCE).and_then(position),
        axes: groups.get(tags::PLANE_ORIENTATION_SEQUENCE).and_then(axes),
        spacing: groups.get(tags::PIXEL_MEASURES_SEQUENCE).and_then(spacing),
        rescale: value.and_then(rescale),
        rescale_type: value.and_then(|v| text(v, tags::RESCALE_TYPE)),
        facts: all,
    }
}

fn items(object: &InMemDicomObject, sequence: Tag) -> &[InMemDicomObject] {
    object.get(sequence).and_then(|e| e.items()).unwrap_or_default()
}

pub(super) fn item(object: &InMemDicomObject, sequence: Tag) -> Option<&InMemDicomObject> {
    items(object, sequence).first()
}

fn position(object: &InMemDicomObject) -> Option<Vector3<f64>> {
    numbers::<3>(object, tags::IMAGE_POSITION_PATIENT).map(Vector3::from)
}

fn axes(object: &InMemDicomObject) -> Option<[Vector3<f64>; 2]> {
    numbers::<6>(object, tags::IMAGE_ORIENTATION_PATIENT).and_then(directions)
}

/// The file gives the distance of rows first, which is the step along j.
fn spacing(object: &InMemDicomObject) -> Option<[f64; 2]> {
    numbers::<2>(object, tags::PIXEL_SPACING).map(|[j, i]| [i, j]).filter(|s| s.iter().all(|&s| s > 0.0))
}

/// `None` where the file gives neither slope nor intercept; a slope of 0, which is refused, where one of them is no number.
fn rescale(object: &InMemDicomObject) -> Option<[Decimal; 2]> {
    let written = |tag| text(object, tag);
    let (slope, intercept) = (written(tags::RESCALE_SLOPE), written(tags::RESCALE_INTERCEPT));
    if slope.is_none() && intercept.is_none() {
        return None;
    }
    let number = |text: Option<String>, absent| text.map_or(Some(absent), |t| Decimal::parse(&t));
    let both = number(slope, Decimal::ONE).zip(number(intercept, Decimal::ZERO));
    Some(both.map_or([Decimal::ZERO; 2], |(s, i)| [s, i]))
}

/// Direction cosines made exactly unit; `None` where they are not near it or not perpendicular.
fn directions(cosines: [f64; 6]) -> Option<[Vector3<f64>; 2]> {
    let [a, b, c, d, e, f] = cosines;
    let (i, j) = (Vector3::new(a, b, c), Vector3::new(d, e, f));
    let unit = |v: &Vector3<f64>| (v.norm() - 1.0).abs() < 0.01;
    (unit(&i) && unit(&j) && i.dot(&j).abs() < 0.01).then(|| [i.normalize(), j.normalize()])
}
