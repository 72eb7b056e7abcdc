//! What modality, compression and the values themselves say on the fitness for measuring.

use rayon::prelude::*;

use super::image::Frame;
use crate::finding::Finding;
use crate::volume::{Rescale, Voxel};

/// Above this, the lowest value that can be stored cannot be air (-1000 HU).
const AIR_BELOW_HU: f64 = -500.0;

/// Padding in the lowest tenth of the values imaged reads as air, whatever lossy compression did to either.
const AIR_SHARE: f64 = 0.1;

/// Findings that the headers alone give.
pub(super) fn of_headers(frames: &[Frame], rescale: Rescale) -> Vec<Finding> {
    let (first, mut findings) = (&frames[0], vec![]);
    let image = &first.image;
    let lossy = frames.iter().filter(|f| f.image.lossy).count();
    if lossy > 0 {
        let message = format!(
            "{lossy} of {} slices were compressed with loss: surfaces may be shifted; export the series without loss",
            frames.len()
        );
        findings.push(Finding::qualify("ct.lossy", message).clause("5.3.2"));
    }
    if frames.iter().any(|f| f.image.burned_in) {
        let message = "text is burned into the pixels (BurnedInAnnotation): it can be taken for material, and tell who was imaged; export without annotations";
        findings.push(Finding::qualify("ct.burned_in", message).clause("5.3.2"));
    }
    if frames.iter().any(|f| !f.image.syntax_stated) {
        let message = format!(
            "the file does not name its transfer syntax; it reads as {}: export it again by a program that writes the file meta group",
            image.syntax.name
        );
        findings.push(Finding::note("ct.syntax_assumed", message).clause("9.3.6"));
    }
    if !image.is_ct() {
        let found = match (image.is_capture(), image.modality.as_str()) {
            (true, modality) => format!("a secondary capture ({})", if modality.is_empty() { "modality not stated" } else { modality }),
            (_, "") => "of a modality not stated".into(),
            (_, modality) => format!("of modality {modality}"),
        };
        let message =
            format!("the image is {found}, not a CT image: values and surfaces are judged as if it were; name the original CT series");
        findings.push(Finding::qualify("ct.not_ct", message).clause("9.3.4"));
    } else if let Some(reason) = not_hounsfield(first, rescale) {
        let message = format!(
            "values are grey, not Hounsfield units ({reason}): absolute thresholds do not apply, iso-50 and adaptive surfaces do; export with the rescale to HU"
        );
        findings.push(Finding::qualify("ct.not_hounsfield", message).clause("5.3.2"));
    }
    findings
}

/// Why values cannot be Hounsfield units. What values there are says nothing: an object may fill the image and leave no air.
fn not_hounsfield(frame: &Frame, rescale: Rescale) -> Option<String> {
    if frame.image.modality_table {
        return Some("a table (ModalityLUTSequence) takes the place of the rescale".into());
    }
    if let Some(unit) = frame.rescale_type.as_deref().filter(|t| *t != "HU") {
        return Some(format!("the file says that their unit is {unit:?}"));
    }
    if frame.rescale.is_none() {
        return Some("the file gives no rescale".into());
    }
    let [a, b] = frame.image.codes().map(|c| rescale.physical(c as f64));
    let lowest = a.min(b);
    (lowest > AIR_BELOW_HU).then(|| format!("the lowest value that can be stored is {lowest}, air is -1000"))
}

/// Findings that need the voxels: saturation and padding. `exact` tells whether they are the stored ones.
pub(super) fn of_voxels<T: Voxel>(frames: &[Frame], data: &[T], rescale: Rescale, exact: bool) -> Vec<Finding> {
    let image = &frames[0].image;
    if !image.is_ct() || !exact {
        return vec![];
    }
    let mut findings = vec![];
    let (min, max) = super::super::range(data);
    // A ceiling: the highest code there can be, and many more voxels on it than on the codes below.
    let [_, ceiling] = image.codes().map(|c| c as f64);
    let highest = rescale.physical(max);
    if max == ceiling || max == 4095.0 || highest == 3071.0 {
        let at = count(data, |v| v == max);
        let near = count(data, |v| v < max && v >= max - 16.0);
        if at >= 64 && at > near / 2 {
            let message = format!(
                "{at} voxels stand at the highest value {highest}: dense material is clipped there and its surface is biased; scan with an extended range"
            );
            findings.push(Finding::qualify("ct.saturated", message).clause("5.3.2"));
        }
    }
    findings.extend(image.padding.and_then(|padding| padded(data, padding.map(|p| p as f64), [min, max], rescale)));
    findings
}

fn padded<T: Voxel>(data: &[T], [low, high]: [f64; 2], [min, max]: [f64; 2], rescale: Rescale) -> Option<Finding> {
    if high < min || low > max {
        return None;
    }
    let is_padding = |v: f64| v >= low && v <= high;
    let voxels = count(data, is_padding);
    let outside = |v: &T| !is_padding(v.to_f64());
    let wider = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
    let measured = data.par_iter().with_min_len(1 << 14).filter(|v| outside(v)).map(|v| (v.to_f64(), v.to_f64()));
    let (least, most) = measured.reduce(|| (f64::INFINITY, f64::NEG_INFINITY), wider);
    if voxels == 0 || least > most {
        return None;
    }
    let shown =
        if low == high { format!("{}", rescale.physical(low)) } else { format!("{} to {}", rescale.physical(low), rescale.physical(high)) };
    let [a, b] = [least, most].map(|v| rescale.physical(v));
    let (from, to) = (a.min(b), a.max(b));
    let padding = [low.max(min), high.min(max)].map(|v| rescale.physical(v));
    Some(if padding[0].max(padding[1]) <= from + AIR_SHARE * (to - from) {
        let message = format!(
            "{voxels} voxels hold the padding value {shown} and were not imaged: they read as air; the others run from {from} to {to}"
        );
        Finding::note("ct.padding", message).clause("5.3.2")
    } else {
        let message = format!(
            "{voxels} voxels hold the padding value {shown} and were not imaged, but among values that run from {from} to {to} it would read as material: export with a padding value below air"
        );
        Finding::stop("ct.padding_as_material", message).clause("5.3.2")
    })
}

fn count<T: Voxel>(data: &[T], is: impl Fn(f64) -> bool + Sync) -> u64 {
    data.par_iter().with_min_len(1 << 14).map(|v| u64::from(is(v.to_f64()))).sum()
}
