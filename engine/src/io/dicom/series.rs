//! One stack of frames out of all that were found: the one asked for, or the only one that fits.

use std::collections::BTreeMap;

use super::image::Frame;
use crate::finding::Finding;

/// Frames that can be one stack: of one series, image size, stack of a multi-frame image, and all with a place or none.
type Key = (String, u32, u32, String, bool);

/// A list of choices in a message ends after so many.
const LISTED: usize = 8;

/// Fewer slices are no volume.
const LEAST: usize = 3;

/// The frames of one stack. `asked` is a series by its number or UID. Where several could be meant, the largest, and a finding; `None`
/// where there is none (of those asked for).
pub(super) fn choose(frames: Vec<Frame>, asked: Option<&str>, findings: &mut Vec<Finding>) -> Option<Vec<Frame>> {
    let mut stacks: BTreeMap<Key, Vec<Frame>> = BTreeMap::new();
    for f in frames.into_iter().filter(|f| asked.is_none_or(|asked| [&f.image.series, &f.image.series_number].iter().any(|s| *s == asked)))
    {
        let image = &f.image;
        stacks.entry((image.series.clone(), image.rows, image.columns, f.stack.clone(), f.placed())).or_default().push(f);
    }
    let count = stacks.len();
    let is_ct = |s: &[Frame]| s[0].image.is_ct() && s[0].placed() && !s.iter().all(|f| f.image.localizer);
    let fits = |s: &[Frame]| is_ct(s) && s.len() >= LEAST;
    // Where none fits by its length, all CT stacks are equally meant.
    let fitting = stacks.values().filter(|s| fits(s)).count();
    let meant = if fitting > 0 { fitting } else { stacks.values().filter(|s| is_ct(s)).count() };
    if meant > 1 || (meant == 0 && count > 1) {
        let listed: Vec<String> = stacks.values().take(LISTED).map(|s| described(s)).collect();
        let more = if count > LISTED { ", …" } else { "" };
        let message = format!(
            "there are {count} stacks of images, {meant} of which could be meant; the largest is shown ({}{more}): name one series as FOLDER#NUMBER or FOLDER#UID, or its own folder",
            listed.join(", ")
        );
        findings.push(Finding::stop("ct.mixed_series", message).clause("9.3.4"));
    } else if count > 1 {
        let message = format!("{} other stacks of images, which are no CT volumes, were passed over", count - 1);
        findings.push(Finding::note("ct.other_series", message).clause("9.3.4"));
    }
    // The last of the largest would depend on nothing either, but the first is what one expects.
    stacks.into_values().rev().max_by_key(|s| (fits(s), is_ct(s), s.len()))
}

/// A stack in a list of choices. Descriptions and identifiers are left out: they can tell who was imaged.
fn described(stack: &[Frame]) -> String {
    let image = &stack[0].image;
    let number: String = image.series_number.chars().filter(|c| !c.is_control()).take(12).collect();
    let number = if number.is_empty() { "no number".into() } else { format!("#{number}") };
    let kind = if image.localizer { "scouts" } else { image.modality.as_str() };
    let kind: String = kind.chars().filter(|c| !c.is_control()).take(16).collect();
    let stacked = if stack[0].stack.is_empty() { "" } else { " in one stack" };
    format!("{number}: {} {kind} {} x {}{stacked}", stack.len(), image.columns, image.rows)
}
