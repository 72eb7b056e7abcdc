//! The catalogue: every quantity verimetry knows, one entry each, one file a group.
//!
//! Orders, the command line, judgements, reports and documentation all use these names. Adding a quantity is one entry and
//! its function. A name that is in the catalogue without a function belongs to a group that this version does not measure yet.

mod alignment;
mod announced;
mod body;
mod defect;
mod deviation;
mod dimension;
mod fit;
mod image;
mod lattice;
mod pore;
mod porosity;
mod shrinkage;
mod structure;
mod wall;

use serde::Serialize;

use crate::case::Case;
use crate::error::Error;
use crate::judgement::ZoneRecord;
use crate::region::Region;
pub use crate::uncertainty::{Measured, Term};

pub(crate) use defect::expanded_u_of_void;
pub use deviation::DEFAULT_PATCH_MM;
pub use dimension::{of_kind as dimensions_of, offered, zone_behind};
pub use porosity::SMALLEST_VOID_CELLS;

/// What a quantity is; the same for every order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Definition {
    pub name: &'static str,
    pub unit: &'static str,
    pub clause: &'static str,
    pub zh: &'static str,
    pub definition: &'static str,
    pub source: &'static str,
}

/// Where and how a quantity is measured.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Name and shape; the whole part without it.
    pub region: Option<(&'a str, &'a Region)>,
    /// Limits within which `in_tolerance` counts area and `in_range` pore volume, mm.
    pub within_mm: Option<[f64; 2]>,
    /// Radius of the patch of the extraction operator, mm.
    pub patch_mm: f64,
    /// Gap up to which surfaces count as touching, mm.
    pub contact_mm: f64,
    /// Diameter of the sphere of `pore.accessible`, mm.
    pub sphere_mm: Option<f64>,
    /// Feature of a `dimension.` quantity.
    pub feature: Option<&'a str>,
    /// Largest value allowed, in the quantity's unit: form below the noise of the scan is not measured against it.
    pub max: Option<f64>,
}

/// Gap up to which surfaces count as touching unless stated otherwise, mm.
pub const DEFAULT_CONTACT_MM: f64 = 0.1;

impl Default for Scope<'_> {
    fn default() -> Self {
        Scope {
            region: None,
            within_mm: None,
            patch_mm: DEFAULT_PATCH_MM,
            contact_mm: DEFAULT_CONTACT_MM,
            sphere_mm: None,
            feature: None,
            max: None,
        }
    }
}

type Measure = fn(&Case, &Scope) -> Result<Measured, Error>;

/// One row of the catalogue.
#[derive(Clone, Copy)]
pub struct Entry {
    pub definition: Definition,
    measure: Option<Measure>,
}

const NO_SURFACE: &str = "the actual part is a point cloud and this needs a surface: mesh the scan";

impl Entry {
    const fn new(
        name: &'static str,
        unit: &'static str,
        clause: &'static str,
        zh: &'static str,
        definition: &'static str,
        source: &'static str,
        measure: Measure,
    ) -> Entry {
        Entry { definition: Definition { name, unit, clause, zh, definition, source }, measure: Some(measure) }
    }

    /// Whether points without a surface are enough.
    fn takes_points(&self) -> bool {
        let name = self.definition.name;
        ["deviation.", "alignment.", "shrinkage."].iter().any(|group| name.starts_with(group)) && name != "deviation.hausdorff"
    }

    pub fn is_available(&self) -> bool {
        self.measure.is_some()
    }

    /// Measures it, or says that this version cannot.
    pub fn measure(&self, case: &Case, scope: &Scope) -> Result<Measured, Error> {
        match self.measure {
            Some(_) if !self.takes_points() && case.actual().is_ok_and(|part| part.spacing_mm.is_some()) => Ok(Measured::not(NO_SURFACE)),
            Some(measure) => measure(case, scope),
            None => Err(unavailable(self.definition.name)),
        }
    }
}

/// Every entry, group by group.
pub fn catalogue() -> impl Iterator<Item = &'static Entry> {
    [
        deviation::ENTRIES,
        alignment::ENTRIES,
        body::ENTRIES,
        dimension::ENTRIES,
        shrinkage::ENTRIES,
        porosity::ENTRIES,
        pore::ENTRIES,
        wall::ENTRIES,
        structure::ENTRIES,
        defect::ENTRIES,
        fit::ENTRIES,
        image::ENTRIES,
        lattice::ENTRIES,
        announced::ENTRIES,
    ]
    .into_iter()
    .flatten()
}

/// The entries of a group (`deviation.`) that this version measures.
pub fn group(prefix: &str) -> impl Iterator<Item = &'static Entry> {
    catalogue().filter(move |e| e.is_available() && e.definition.name.starts_with(prefix))
}

/// The entry of a name; the error says whether the name is unknown or only not measured yet.
pub fn entry(name: &str) -> Result<&'static Entry, Error> {
    if let Some(e) = catalogue().find(|e| e.definition.name == name) {
        return if e.is_available() { Ok(e) } else { Err(unavailable(name)) };
    }
    // Every feature has the entries of its kind; the order says which features there are.
    if let Some((_, what)) = feature_of(name) {
        let general = format!("{}{what}", dimension::PREFIX);
        if let Some(e) = dimension::ENTRIES.iter().find(|e| e.definition.name == general) {
            return Ok(e);
        }
    }
    let near = catalogue().map(|e| e.definition.name).min_by_key(|known| edit_distance(known, name)).unwrap_or_default();
    Err(Error::input("order.unknown_quantity", format!("quantity {name:?} is unknown; the nearest name is {near:?}: correct the name")))
}

/// The definition of a name, if the catalogue has it.
pub fn definition(name: &str) -> Option<&'static Definition> {
    let general = feature_of(name).map(|(_, what)| format!("{}{what}", dimension::PREFIX));
    catalogue().map(|e| &e.definition).find(|d| d.name == name || general.as_deref() == Some(d.name))
}

/// Feature and dimension of a name such as `dimension.hole.diameter`.
pub fn feature_of(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("dimension.")?.rsplit_once('.')
}

fn unavailable(name: &str) -> Error {
    Error::input(
        "quantity.unavailable",
        format!("quantity {name} is not available yet in this version: remove the requirement or use a version that measures it"),
    )
}

/// Levenshtein distance.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// A quantity as the JSON of the measuring commands writes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuantityJson {
    pub value: Option<f64>,
    pub unit: String,
    pub definition: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expanded_uncertainty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of form and touching sizes: the proof of the zone that the value is read off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneRecord>,
}

impl QuantityJson {
    pub fn new(measured: &Measured, definition: &Definition) -> Self {
        let reason = match measured {
            Measured::Value { .. } => None,
            Measured::Not { reason } => Some(reason.clone()),
        };
        QuantityJson {
            value: measured.value(),
            unit: definition.unit.into(),
            definition: definition.definition.into(),
            expanded_uncertainty: measured.standard_uncertainty().map(|u| 2.0 * u),
            reason,
            zone: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_once_and_says_its_unit_in_both_languages() {
        let mut names: Vec<_> = catalogue().map(|e| e.definition.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(catalogue().all(|e| !e.definition.unit.is_empty() && !e.definition.zh.is_empty() && !e.definition.definition.is_empty()));
    }

    #[test]
    fn an_unknown_name_is_told_its_neighbour_and_a_later_one_that_it_is_later() {
        assert!(
            entry("deviation.abs_p98").err().is_some_and(|e| e.code == "order.unknown_quantity" && e.message.contains("deviation.abs_p9"))
        );
        assert!(entry("roughness.Sa").err().is_some_and(|e| e.code == "quantity.unavailable"));
        assert!(entry("dimension.hole.diameter").is_ok() && definition("dimension.hole.diameter").is_some_and(|d| d.unit == "mm"));
        assert!(entry("dimension.hole.colour").err().is_some_and(|e| e.code == "order.unknown_quantity"));
        assert!(entry("deviation.rms").is_ok());
    }
}
