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

/// Codes below a ceiling that it is compared with, and the fewest voxels that are a pile and not a tail.
const BELOW: f64 = 16.0;
const FEWEST: u64 = 64;
/// Voxels a task.
const TASK: usize = 1 << 16;

/// What the findings on the values, saturation and padding, need to know of the voxels. Parts of a volume, in any order, add up to the whole.
#[derive(Clone, Debug)]
pub(in crate::io) struct Tally {
    rescale: Rescale,
    range: [f64; 2],
    /// At the ceilings there can be: the highest stored code, and those of 12 bits.
    piles: [Pile; 3],
    padding: Option<Padding>,
}

/// Voxels at a stored value and little below it.
#[derive(Clone, Copy, Debug)]
struct Pile {
    ceiling: f64,
    at: u64,
    below: u64,
}

/// Voxels whose stored value lies in a range, and the range of all others.
#[derive(Clone, Copy, Debug)]
struct Padding {
    values: [f64; 2],
    voxels: u64,
    others: [f64; 2],
}

const NOTHING: [f64; 2] = [f64::INFINITY, f64::NEG_INFINITY];

fn wider(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0].min(b[0]), a[1].max(b[1])]
}

impl Tally {
    /// Of no voxels yet; `None` where there is nothing to look for: values that are not those of CT, or not as they are stored.
    pub(super) fn new(frames: &[Frame], rescale: Rescale, exact: bool) -> Option<Tally> {
        let image = &frames[0].image;
        let ceilings = [image.codes()[1] as f64, 4095.0, rescale.stored(3071.0).round()];
        let padding = image.padding.map(|values| Padding { values: values.map(|v| v as f64), voxels: 0, others: NOTHING });
        let piles = ceilings.map(|ceiling| Pile { ceiling, at: 0, below: 0 });
        (image.is_ct() && exact).then_some(Tally { rescale, range: NOTHING, piles, padding })
    }

    /// Counts these voxels.
    pub fn add<T: Voxel>(&mut self, data: &[T]) {
        let empty = &*self;
        let parts: Vec<Tally> = data.par_chunks(TASK).map(|part| empty.of(part)).collect();
        parts.iter().for_each(|part| self.merge(part));
    }

    /// The same things looked for in these voxels alone.
    fn of<T: Voxel>(&self, data: &[T]) -> Tally {
        let count = |is: &dyn Fn(f64) -> bool| data.iter().filter(|v| is(v.to_f64())).count() as u64;
        // Compared as they are: several times the speed of numbers of 64 bits.
        let least = data.iter().copied().reduce(|a, b| if b < a { b } else { a });
        let most = data.iter().copied().reduce(|a, b| if b > a { b } else { a });
        let range = least.zip(most).map_or(NOTHING, |(least, most)| [least.to_f64(), most.to_f64()]);
        let piles = self.piles.map(|Pile { ceiling, .. }| {
            let least = ceiling - BELOW;
            if range[1] < least {
                return Pile { ceiling, at: 0, below: 0 };
            }
            Pile { ceiling, at: count(&|v| v == ceiling), below: count(&|v| v >= least && v < ceiling) }
        });
        let padding = self.padding.map(|Padding { values: [low, high], .. }| {
            let is_padding = |v: f64| v >= low && v <= high;
            if high < range[0] || low > range[1] {
                return Padding { values: [low, high], voxels: 0, others: range };
            }
            let others = data.iter().map(|v| v.to_f64()).filter(|&v| !is_padding(v)).fold(NOTHING, |range, v| wider(range, [v; 2]));
            Padding { values: [low, high], voxels: count(&is_padding), others }
        });
        Tally { rescale: self.rescale, range, piles, padding }
    }

    fn merge(&mut self, other: &Tally) {
        self.range = wider(self.range, other.range);
        for (pile, more) in self.piles.iter_mut().zip(&other.piles) {
            *pile = Pile { at: pile.at + more.at, below: pile.below + more.below, ..*pile };
        }
        if let (Some(padding), Some(more)) = (&mut self.padding, &other.padding) {
            *padding = Padding { voxels: padding.voxels + more.voxels, others: wider(padding.others, more.others), ..*padding };
        }
    }

    /// What the voxels say.
    pub fn findings(&self) -> Vec<Finding> {
        self.saturated().into_iter().chain(self.padded()).collect()
    }

    /// A ceiling: the highest value there is, and many more voxels on it than on the codes below.
    fn saturated(&self) -> Option<Finding> {
        let [_, max] = self.range;
        let (highest, code) = (self.rescale.physical(max), self.piles[0].ceiling);
        let pile = self.piles.iter().find(|pile| pile.ceiling == max)?;
        if !(max == code || max == 4095.0 || highest == 3071.0) || pile.at < FEWEST || pile.at <= pile.below / 2 {
            return None;
        }
        let message = format!(
            "{} voxels stand at the highest value {highest}: dense material is clipped there and its surface is biased; scan with an extended range",
            pile.at
        );
        Some(Finding::qualify("ct.saturated", message).clause("5.3.2"))
    }

    fn padded(&self) -> Option<Finding> {
        let (Padding { values: [low, high], voxels, others: [least, most] }, [min, max]) = (self.padding?, self.range);
        if voxels == 0 || least > most {
            return None;
        }
        let physical = |v: f64| self.rescale.physical(v);
        let shown = if low == high { format!("{}", physical(low)) } else { format!("{} to {}", physical(low), physical(high)) };
        let (from, to) = (physical(least).min(physical(most)), physical(least).max(physical(most)));
        let padding = physical(low.max(min)).max(physical(high.min(max)));
        Some(if padding <= from + AIR_SHARE * (to - from) {
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
}
