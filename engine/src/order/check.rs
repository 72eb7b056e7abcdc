//! The rules of an order that its types cannot hold.

use std::collections::BTreeSet;

use super::error::{Fault, OrderError, shown};
use super::path::refused_path;
use super::{AlignmentMethod, ComponentsOrder, FeatureOrder, Order, RegionOrder, Requirement, SCHEMA, Shape, SurfaceOrder, Tolerance};
use crate::features::Kind;
use crate::section::Plane;

/// Fits of features that can be datums.
const DATUM_FITS: [&str; 3] = ["plane", "cylinder", "sphere"];

/// Sections that one judgement shows.
const MOST_SECTIONS: usize = 64;

/// A fault and its place; the order's name is added by the caller.
type Found = Result<(), (String, Fault)>;

/// Quantities for which all bodies count unless stated: what a pore hangs on may be loose, and a strut that is broken twice hangs on nothing.
const OF_ALL_BODIES: [&str; 6] = ["porosity.", "pore.", "wall.", "structure.", "defect.", "lattice."];

impl Order {
    /// The bodies of a volume that are kept, as stated or as the commands that measure the same quantities keep them.
    pub fn components(&self) -> ComponentsOrder {
        let asks = |r: &Requirement| OF_ALL_BODIES.iter().any(|group| r.quantity.starts_with(group));
        match self.actual.components {
            Some(stated) => stated,
            None if self.requirement.iter().any(asks) => ComponentsOrder::All,
            None => ComponentsOrder::Largest,
        }
    }

    /// Refuses what is well-formed and still no order. `name` is the order's name in the message.
    pub(super) fn checked(&self, name: &str) -> Result<(), OrderError> {
        self.check().map_err(|(at, fault)| OrderError::new(name, at, fault))
    }

    /// Refuses requirements whose quantity the catalogue does not know. `name` is the order's name in the message.
    pub fn with_known_quantities(&self, name: &str, known: impl Fn(&str) -> bool) -> Result<(), OrderError> {
        for (i, r) in self.requirement.iter().enumerate() {
            if !known(&r.quantity) {
                let fault = Fault::QuantityUnknown { quantity: shown(&r.quantity) };
                return Err(OrderError::new(name, requirement_at(i, r), fault));
            }
        }
        Ok(())
    }

    fn check(&self) -> Found {
        if self.schema != SCHEMA {
            return Err(("schema".into(), Fault::Schema { found: shown(&self.schema) }));
        }
        self.check_header()?;
        self.check_inputs()?;
        let regions = self.check_regions()?;
        self.check_features(&regions)?;
        self.check_requirements(&regions)?;
        self.check_datums()?;
        self.check_sections()?;
        if let Some(region) = &self.alignment.region {
            known_region("alignment.region", region, &regions)?;
        }
        Ok(())
    }

    fn check_header(&self) -> Found {
        let h = &self.order;
        for (key, value) in [("order.id", &h.id), ("order.device", &h.device), ("order.device_id", &h.device_id)] {
            text(key, value)?;
        }
        let pseudonym = (1..=64).contains(&h.patient.len()) && h.patient.bytes().all(|b| b.is_ascii_graphic());
        value(
            "order.patient",
            pseudonym,
            || shown(&h.patient),
            "a pseudonym of 1 to 64 visible ASCII characters without spaces, never a name",
        )?;
        for (key, date) in [("order.image_acquired", &h.image_acquired), ("order.design_completed", &h.design_completed)] {
            value(key, is_date(date), || shown(date), "a calendar date as text, \"YYYY-MM-DD\"")?;
        }
        Ok(())
    }

    fn check_inputs(&self) -> Found {
        let not_negative = "a finite number, 0 or more (mm)";
        path("nominal.file", &self.nominal.file)?;
        path("actual.file", &self.actual.file)?;
        number("nominal.chord_error", self.nominal.chord_error, |x| x >= 0.0, not_negative)?;
        if let Some(site) = &self.site {
            path("site.file", &site.file)?;
            number("site.chord_error", site.chord_error, |x| x >= 0.0, not_negative)?;
        }
        number("actual.point_uncertainty", self.actual.point_uncertainty, |x| x >= 0.0, not_negative)?;
        let scale = Some(self.actual.scale_uncertainty);
        number("actual.scale_uncertainty", scale, |x| (0.0..0.5).contains(&x), "a relative uncertainty, 0 or more and below 0.5")?;
        if let SurfaceOrder::Value(grey) = self.actual.surface {
            number("actual.surface", Some(grey), |_| true, "a finite grey value")?;
        }
        for percent in self.declared.iter().flat_map(|d| d.shrinkage) {
            number("declared.shrinkage", Some(percent), |x| x.abs() < 100.0, "per cent, between -100 and 100")?;
        }
        if let Some(lattice) = &self.lattice {
            if let Some(struts) = &lattice.struts {
                path("lattice.struts", struts)?;
            }
            if let Some((name, found, allowed)) = lattice.limits().fault() {
                value(&format!("lattice.{name}"), false, || found.to_string(), allowed)?;
            }
        }
        for code in &self.accept {
            text("accept", code)?;
        }
        Ok(())
    }

    fn check_regions(&self) -> Result<BTreeSet<&str>, (String, Fault)> {
        regions(&self.region)
    }

    fn check_features(&self, regions: &BTreeSet<&str>) -> Found {
        features(&self.feature, regions)
    }

    fn check_datums(&self) -> Found {
        let a = &self.alignment;
        let (named, points) = (a.datum.len(), a.point.len());
        let found = || format!("method {} with {named} datums and {points} points", a.method.name());
        let holds = match a.method {
            AlignmentMethod::Datum => ((1..=3).contains(&named) && points == 0) || (named == 0 && (6..=64).contains(&points)),
            AlignmentMethod::BestFit | AlignmentMethod::None => named + points == 0 && a.patch.is_none(),
        };
        value(
            "alignment",
            holds,
            found,
            "method datum with one to three datums or with six to 64 points; any other method with neither nor a patch",
        )?;
        number("alignment.patch", a.patch, |x| x > 0.0, "a radius above 0 (mm)")?;
        let mut seen = BTreeSet::new();
        for name in &a.datum {
            once("datum", name, &mut seen)?;
            let feature = self.feature.iter().find(|f| f.name == *name);
            let usable = feature.is_some_and(|f| f.region.is_some() && DATUM_FITS.contains(&f.fit.as_str()));
            value(
                "alignment.datum",
                usable,
                || shown(name),
                "the name of a [[feature]] of fit plane, cylinder or sphere that has a region",
            )?;
        }
        for target in &a.point {
            let length: f64 = target.direction.iter().map(|x| x * x).sum();
            let usable = target.at.iter().all(|x| x.is_finite()) && length.is_finite() && length > 0.0;
            value(
                "alignment.point",
                usable,
                || format!("{:?} along {:?}", target.at, target.direction),
                "a finite place and a direction above 0 long",
            )?;
        }
        Ok(())
    }

    fn check_sections(&self) -> Found {
        let mut names = BTreeSet::new();
        value("section", self.section.len() <= MOST_SECTIONS, || format!("{} sections", self.section.len()), "at most 64 sections")?;
        for (i, section) in self.section.iter().enumerate() {
            let at = format!("section {}", i + 1);
            value(&format!("{at}, name"), is_word(&section.name), || shown(&section.name), "1 to 64 letters, digits, _ and - of ASCII")?;
            once("section", &section.name, &mut names)?;
            let usable = Plane::new(section.at.into(), section.normal.into()).is_some() && section.at.iter().all(|x| x.abs() < 1e6);
            let found = || format!("{:?} along {:?}", section.at, section.normal);
            value(&at, usable, found, "a point within 1e6 mm and a normal above 0 long")?;
        }
        Ok(())
    }

    fn check_requirements(&self, regions: &BTreeSet<&str>) -> Found {
        let mut ids = BTreeSet::new();
        for (i, r) in self.requirement.iter().enumerate() {
            text(&format!("requirement {}, id", i + 1), &r.id)?;
            once("requirement", &r.id, &mut ids)?;
            let at = requirement_at(i, r);
            text(&format!("{at}, clause"), &r.clause)?;
            text(&format!("{at}, quantity"), &r.quantity)?;
            if let Some(region) = &r.region {
                known_region(&at, region, regions)?;
            }
            limits(&at, r)?;
            number(&format!("{at}, patch"), r.patch, |x| x > 0.0, "a radius above 0 (mm)")?;
            number(&format!("{at}, sphere"), r.sphere, |x| x > 0.0, "a diameter above 0 (mm)")?;
            let ordered = r.within.is_none_or(|[lower, upper]| lower.is_finite() && upper.is_finite() && lower < upper);
            value(&format!("{at}, within"), ordered, || format!("{:?}", r.within), "two finite limits, lower below upper (mm)")?;
        }
        Ok(())
    }
}

/// Refuses regions that are none; their names.
pub(super) fn regions(orders: &[RegionOrder]) -> Result<BTreeSet<&str>, (String, Fault)> {
    let mut names = BTreeSet::new();
    for (i, region) in orders.iter().enumerate() {
        text(&format!("region {}, name", i + 1), &region.name)?;
        once("region", &region.name, &mut names)?;
        shape(&format!("region {} {}", i + 1, shown(&region.name)), &region.shape)?;
    }
    Ok(names)
}

/// Refuses features that are none.
pub(super) fn features(orders: &[FeatureOrder], regions: &BTreeSet<&str>) -> Found {
    let mut names = BTreeSet::new();
    for (i, feature) in orders.iter().enumerate() {
        let at = format!("feature {}", i + 1);
        // The name becomes part of a quantity's name, `dimension.<feature>.diameter`.
        let usable = !feature.name.is_empty() && feature.name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        value(&format!("{at}, name"), usable, || shown(&feature.name), "letters, digits, _ and -")?;
        let kind = Kind::of_name(&feature.fit).is_some();
        value(&format!("{at}, fit"), kind, || shown(&feature.fit), "line, plane, circle, sphere, cylinder, cone or torus")?;
        once("feature", &feature.name, &mut names)?;
        if let Some(region) = &feature.region {
            known_region(&at, region, regions)?;
        }
        if let Some(patch) = &feature.patch {
            path(&format!("{at}, patch"), patch)?;
        }
        for (key, place) in [("seed", feature.seed), ("at", feature.at)] {
            let finite = place.is_none_or(|p| p.iter().all(|x| x.is_finite()));
            value(&format!("{at}, {key}"), finite, || format!("{place:?}"), "three finite coordinates (mm)")?;
        }
        number(&format!("{at}, within"), feature.within, |x| x > 0.0, "a distance above 0 (mm)")?;
        number(&format!("{at}, filter"), feature.filter, |x| x >= 0.0, "a radius, 0 or more (mm)")?;
        number(&format!("{at}, border"), feature.border, |x| x >= 0.0, "a distance, 0 or more (mm)")?;
        if let Some(normal) = feature.straight_in {
            let length: f64 = normal.iter().map(|x| x * x).sum();
            let usable = length.is_finite() && length > 0.0 && feature.fit == Kind::Line.name();
            let found = || format!("{normal:?} of a {}", feature.fit);
            value(&format!("{at}, straight_in"), usable, found, "a normal above 0 long, of a line")?;
        }
        number(&format!("{at}, angle"), feature.angle, |x| (0.0..=90.0).contains(&x), "an angle from 0 to 90 (degrees)")?;
    }
    for feature in orders {
        let known = |datum: &String| names.contains(datum.as_str()) && *datum != feature.name;
        let at = format!("feature {}, datum", shown(&feature.name));
        let datum = feature.datum.as_ref();
        value(&at, datum.is_none_or(known), || datum.map_or_else(String::new, |d| shown(d)), "the name of another feature of the order")?;
    }
    Ok(())
}

/// Fit for the name of a file.
fn is_word(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn requirement_at(index: usize, r: &Requirement) -> String {
    format!("requirement {} {}", index + 1, shown(&r.id))
}

fn limits(at: &str, r: &Requirement) -> Found {
    let refuse = |found: &str| Err((at.into(), Fault::RequirementLimits { found: found.into() }));
    match (r.min.or(r.max).is_some(), r.nominal, r.tolerance) {
        (false, None, None) => return refuse("no limit"),
        (true, None, None) => {}
        (true, ..) => return refuse("min or max beside nominal or tolerance"),
        (false, None, Some(_)) => return refuse("tolerance without nominal"),
        (false, Some(_), None) => return refuse("nominal without tolerance"),
        (false, Some(_), Some(Tolerance::Symmetric(t))) if t < 0.0 => return refuse("a tolerance below 0"),
        (false, Some(_), Some(_)) => {}
    }
    let l = r.limits();
    if l.min.into_iter().chain(l.max).any(|x| !x.is_finite()) {
        return refuse("a limit that is not a finite number");
    }
    match (l.min, l.max) {
        (Some(min), Some(max)) if min > max => refuse(&format!("the lower limit {min} above the upper {max}")),
        _ => Ok(()),
    }
}

fn shape(at: &str, shape: &Shape) -> Found {
    let finite = |p: &[f64; 3]| p.iter().all(|x| x.is_finite());
    let radius_fits = |r: f64| r.is_finite() && r > 0.0;
    match shape {
        Shape::Box { min, max } => {
            let open = finite(min) && finite(max) && min.iter().zip(max).all(|(a, b)| a < b);
            value(at, open, || format!("a box from {min:?} to {max:?}"), "finite corners, min below max on every axis")
        }
        Shape::Sphere { centre, radius } => {
            let round = finite(centre) && radius_fits(*radius);
            value(at, round, || format!("a sphere at {centre:?} of radius {radius}"), "a finite centre and a radius above 0")
        }
        Shape::Cylinder { from, to, radius } => {
            let round = finite(from) && finite(to) && from != to && radius_fits(*radius);
            value(
                at,
                round,
                || format!("a cylinder from {from:?} to {to:?} of radius {radius}"),
                "two different finite ends and a radius above 0",
            )
        }
        Shape::Mesh(file) => path(at, file),
    }
}

fn value(at: &str, holds: bool, found: impl Fn() -> String, allowed: &'static str) -> Found {
    if holds { Ok(()) } else { Err((at.into(), Fault::Value { found: found(), allowed })) }
}

fn number(at: &str, x: Option<f64>, fits: impl Fn(f64) -> bool, allowed: &'static str) -> Found {
    value(at, x.is_none_or(|x| x.is_finite() && fits(x)), || x.map_or_else(String::new, |x| x.to_string()), allowed)
}

fn text(at: &str, s: &str) -> Found {
    let plain = !s.trim().is_empty() && s.len() <= 256 && !s.chars().any(char::is_control);
    value(at, plain, || shown(s), "text of 1 to 256 bytes without control characters")
}

fn path(at: &str, p: &str) -> Found {
    match refused_path(p) {
        Some(reason) => Err((at.into(), Fault::Path { path: shown(p), reason })),
        None => Ok(()),
    }
}

fn once<'a>(what: &'static str, name: &'a str, seen: &mut BTreeSet<&'a str>) -> Found {
    if seen.insert(name) { Ok(()) } else { Err((String::new(), Fault::Duplicate { what, name: shown(name) })) }
}

fn known_region(at: &str, region: &str, regions: &BTreeSet<&str>) -> Found {
    if regions.contains(region) {
        return Ok(());
    }
    let known: Vec<_> = regions.iter().take(8).map(|r| shown(r)).collect();
    let known = if known.is_empty() { "none".into() } else { known.join(", ") };
    Err((at.into(), Fault::RegionUnknown { region: shown(region), known }))
}

/// `YYYY-MM-DD` of the Gregorian calendar.
fn is_date(s: &str) -> bool {
    let b = s.as_bytes();
    let shaped = b.len() == 10 && b.iter().enumerate().all(|(i, c)| if i == 4 || i == 7 { *c == b'-' } else { c.is_ascii_digit() });
    if !shaped {
        return false;
    }
    let part = |digits: &[u8]| digits.iter().fold(0_u32, |n, d| n * 10 + u32::from(d - b'0'));
    let (year, month, day) = (part(&b[..4]), part(&b[5..7]), part(&b[8..]));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}
