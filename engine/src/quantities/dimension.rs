//! `dimension.<feature>.`: size, form, orientation and place of fitted features.
//!
//! Sizes and axes are those of the least-squares shape (ISO 14405-1 GG) unless the name says otherwise; form is the width of the minimum
//! zone (ISO 1101) over patch means; orientation and run-out are ranges over the same patch means. A distance or an angle is taken
//! to the feature that the order names as datum. Every effect on the points moves feature and datum together where it is common to both.
//! Known limits: orientation zones of axes take the axis as straight; two-point sizes need surface on both sides.

use std::sync::Arc;

use nalgebra::{Point3, Vector3};

use crate::case::{Case, Zoned};
use crate::error::Error;
use crate::features::{Associated, Filtered, Goal, Kind, NoiseRange, Shape, Step, TEXTURE, two_point};
use crate::uncertainty::{NOISE, OFFSET, POSE, SCALE, merge};

use super::{Entry, Measured, Scope, Term};

/// What stands for a feature's name in the catalogue.
pub const PREFIX: &str = "dimension.<feature>.";

/// Standard uncertainty, in voxels, that a determined surface adds to ranges (form, two-point sizes) beside its noise: level and place on
/// the grid vary smoothly over it. Planes and cylinders of phantoms at 1 % noise show ranges of up to 0.06 voxel.
const TEXTURE_VOXELS: f64 = 0.035;

const CLAUSE: &str = "8.3.2.1 a)";
const FITTED: &str = "orthogonal least squares (Shakarji 1998)";
const ZONE: &str = "minimum zone with proof of its optimum, over patch means";

macro_rules! rows {
    ($($what:ident $name:literal $unit:literal $zh:literal $definition:literal $source:expr, of $($kind:ident)+;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq)]
        enum What { $($what),+ }

        pub const ENTRIES: &[Entry] = &[
            $(Entry::new(concat!("dimension.<feature>.", $name), $unit, CLAUSE, $zh, $definition, $source, |c, s| measure(c, s, What::$what))),+
        ];

        const KINDS: &[(&str, What, &[Kind])] = &[$(($name, What::$what, &[$(Kind::$kind),+])),+];
    };
}

rows! {
    Diameter "diameter" "mm" "直径" "diameter of the least-squares shape" FITTED, of Circle Sphere Cylinder;
    Radius "radius" "mm" "半径" "radius of the least-squares shape" FITTED, of Circle Sphere Cylinder;
    MajorDiameter "major_diameter" "mm" "环面中心圆直径" "diameter of the circle amid a torus" FITTED, of Torus;
    MinorDiameter "minor_diameter" "mm" "环面管径" "diameter of the tube of a torus" FITTED, of Torus;
    TwoPointMin "diameter_two_point_min" "mm" "最小两点直径" "smallest local two-point size over patch means" "ISO 14405-1 LP", of Circle Sphere Cylinder;
    TwoPointMax "diameter_two_point_max" "mm" "最大两点直径" "largest local two-point size over patch means" "ISO 14405-1 LP", of Circle Sphere Cylinder;
    Inscribed "diameter_inscribed" "mm" "最大内接直径" "diameter of the largest inscribed shape over patch means" "ISO 14405-1 GX", of Circle Sphere Cylinder;
    Circumscribed "diameter_circumscribed" "mm" "最小外接直径" "diameter of the smallest circumscribed shape over patch means" "ISO 14405-1 GN", of Circle Sphere Cylinder;
    Length "length" "mm" "长度" "extent of the points along the axis" "extent", of Line Cylinder Cone;
    Distance "distance" "mm" "距离" "distance of centre, axis amid the points or face amid the points to the datum" FITTED, of Line Plane Circle Sphere Cylinder Cone Torus;
    Angle "angle" "°" "角度" "acute angle to the datum; of a cone without datum its opening angle" FITTED, of Line Plane Circle Cylinder Cone Torus;
    Straightness "straightness" "mm" "直线度" "diameter of the least cylinder around the points, or width of the least strip in the plane stated" ZONE, of Line;
    Flatness "flatness" "mm" "平面度" "width of the minimum zone" ZONE, of Plane;
    Roundness "roundness" "mm" "圆度" "width of the minimum ring in the least-squares plane" ZONE, of Circle;
    Sphericity "sphericity" "mm" "球度" "width of the minimum zone" ZONE, of Sphere;
    Form "form" "mm" "形状误差" "width of the minimum zone, sizes and angle free" ZONE, of Cone Torus;
    Cylindricity "cylindricity" "mm" "圆柱度" "width of the minimum zone" ZONE, of Cylinder;
    Parallelism "parallelism" "mm" "平行度" "width of the zone parallel to the datum that holds the feature" "ISO 1101", of Line Plane Cylinder Cone;
    Perpendicularity "perpendicularity" "mm" "垂直度" "width of the zone perpendicular to the datum that holds the feature" "ISO 1101", of Line Plane Cylinder Cone;
    Angularity "angularity" "mm" "倾斜度" "width of the zone at the exact angle to the datum that holds the feature" "ISO 1101", of Line Plane Cylinder Cone;
    Position "position" "mm" "位置度" "twice the largest offset of the feature from its true position" "ISO 1101", of Line Plane Circle Sphere Cylinder Torus;
    Concentricity "concentricity" "mm" "同轴度" "twice the largest offset of centre or axis from the datum's" "ISO 1101", of Line Circle Sphere Cylinder Cone Torus;
    RunOut "run_out" "mm" "全跳动" "range of distances to the datum axis, of a plane along it" "ISO 1101 total run-out", of Plane Cylinder Cone Circle;
}

/// Dimensions that a feature of a kind has.
pub fn of_kind(kind: Kind) -> impl Iterator<Item = &'static str> {
    KINDS.iter().filter(move |(.., kinds)| kinds.contains(&kind)).map(|(name, ..)| *name)
}

impl What {
    /// What it is read off, where that is a zone or a touching shape.
    fn goal(self) -> Option<Goal> {
        match self {
            What::Straightness | What::Flatness | What::Roundness | What::Sphericity | What::Cylindricity | What::Form => Some(Goal::Zone),
            What::Inscribed => Some(Goal::Inscribed),
            What::Circumscribed => Some(Goal::Circumscribed),
            _ => None,
        }
    }
}

/// The zone or touching shape that a value of an entry is read off; `None` of all other dimensions and quantities.
pub fn zone_behind(entry: &Entry, case: &Case, scope: &Scope) -> Result<Option<Arc<Zoned>>, Error> {
    let known = entry.definition.name.strip_prefix(PREFIX).and_then(|name| KINDS.iter().find(|(n, ..)| *n == name));
    let Some((name, goal)) = scope.feature.zip(known.and_then(|(_, what, _)| what.goal())) else { return Ok(None) };
    let radius_mm = case.feature(name).and_then(|f| f.order.filter).unwrap_or(scope.patch_mm);
    Ok(case.zone(name, goal, radius_mm)?.ok())
}

/// As [`Entry::measure`], and nothing where the order does not ask: no datum, no true position.
pub fn offered(entry: &Entry, case: &Case, scope: &Scope) -> Result<Option<Measured>, Error> {
    let Some(feature) = scope.feature.and_then(|name| case.feature(name)) else { return Ok(None) };
    let what = entry.definition.name.trim_start_matches(PREFIX);
    let asked = match what {
        "distance" | "parallelism" | "perpendicularity" | "concentricity" | "run_out" => feature.order.datum.is_some(),
        "angle" => feature.order.datum.is_some() || feature.kind() == Kind::Cone,
        "angularity" => feature.order.datum.is_some() && feature.order.angle.is_some(),
        "position" => feature.order.at.is_some() || case.nominal().is_ok(),
        _ => true,
    };
    if asked { entry.measure(case, scope).map(Some) } else { Ok(None) }
}

/// A refusal of the fit is a reason, everything else an error.
fn fitted(found: Result<&Associated, Error>) -> Result<Result<&Associated, Measured>, Error> {
    match found {
        Ok(a) => Ok(Ok(a)),
        Err(e) if e.code.starts_with("feature.") => Ok(Err(Measured::not(e.message))),
        Err(e) => Err(e),
    }
}

fn measure(case: &Case, scope: &Scope, what: What) -> Result<Measured, Error> {
    let name = scope.feature.ok_or_else(|| Error::defect("a dimension without a feature"))?;
    if let Some(reason) = case.pose_cannot_carry(true)? {
        return Ok(Measured::not(reason));
    }
    let own = match fitted(case.fitted(name))? {
        Ok(own) => own,
        Err(not) => return Ok(not),
    };
    let order = case.feature(name).map(|f| &f.order).ok_or_else(|| Error::defect("a fitted feature without an order"))?;
    let datum = match &order.datum {
        Some(datum) => match fitted(case.fitted(datum))? {
            Ok(datum) => Some(datum),
            Err(not) => return Ok(not),
        },
        None => None,
    };
    let radius_mm = order.filter.unwrap_or(scope.patch_mm);
    let job = Job { case, name, own, datum, radius_mm, max: scope.max };
    match what {
        What::Diameter => job.of_shape(|s, _| s.radius_mm().map(|r| 2.0 * r)),
        What::Radius => job.of_shape(|s, _| s.radius_mm()),
        What::MajorDiameter => job.of_shape(|s, _| torus(s).map(|(major, _)| 2.0 * major)),
        What::MinorDiameter => job.of_shape(|s, _| torus(s).map(|(_, minor)| 2.0 * minor)),
        What::TwoPointMin => job.local_size(0),
        What::TwoPointMax => job.local_size(1),
        What::Inscribed => job.touching(Goal::Inscribed),
        What::Circumscribed => job.touching(Goal::Circumscribed),
        What::Length => job.length(),
        What::Distance => job.to_datum(distance),
        What::Angle if datum.is_none() => job.of_shape(|s, _| opening_angle(s)),
        What::Angle => job.to_datum(|s, d| angle(s, d).map(f64::to_degrees)),
        What::Straightness | What::Flatness | What::Roundness | What::Sphericity | What::Cylindricity | What::Form => job.form(),
        What::Parallelism => job.orientation(0.0),
        What::Perpendicularity => job.orientation(90.0),
        What::Angularity => match order.angle {
            Some(degrees) => job.orientation(degrees),
            None => Ok(Measured::not("no exact angle is given: state `angle` of the feature")),
        },
        What::Position => job.position(name, order.at),
        What::Concentricity => job.concentricity(),
        What::RunOut => job.run_out(),
    }
}

const NO_DATUM: &str = "no datum is given: state `datum` of the feature";
const NOT_DEFINED: &str = "these two kinds of feature have no such relation: name another datum";

fn torus(s: &Shape) -> Option<(f64, f64)> {
    match s {
        Shape::Torus { major_mm, minor_mm, .. } => Some((*major_mm, *minor_mm)),
        _ => None,
    }
}

fn opening_angle(s: &Shape) -> Option<f64> {
    match s {
        Shape::Cone { half_angle_rad, .. } => Some((2.0 * half_angle_rad).to_degrees()),
        _ => None,
    }
}

fn is_axis(s: &Shape) -> bool {
    matches!(s, Shape::Line { .. } | Shape::Cylinder { .. } | Shape::Cone { .. } | Shape::Torus { .. } | Shape::Circle { .. })
}

/// Vector from the datum to the feature's place: along a plane's normal, across an axis, or between centres.
fn apart(place: &Point3<f64>, datum: &Shape) -> Vector3<f64> {
    let between = place - datum.place();
    match datum {
        Shape::Plane { normal, .. } => normal * between.dot(normal),
        Shape::Line { direction: a, .. } | Shape::Cylinder { axis: a, .. } | Shape::Cone { axis: a, .. } => between - a * between.dot(a),
        _ => between,
    }
}

fn distance(s: &Shape, datum: &Shape) -> Option<f64> {
    Some(apart(&s.place(), datum).norm())
}

/// Acute angle between axes and faces, rad: 0 is parallel.
fn angle(s: &Shape, datum: &Shape) -> Option<f64> {
    let (a, b) = (s.direction()?, datum.direction()?);
    let acute = libm::atan2(a.cross(&b).norm(), a.dot(&b).abs());
    let mixed = is_axis(s) != is_axis(datum);
    Some(if mixed { std::f64::consts::FRAC_PI_2 - acute } else { acute })
}

/// What one standard uncertainty of an effect, and its opposite, add to a value.
struct Change {
    name: &'static str,
    up: f64,
    down: f64,
}

/// A value with its budget.
///
/// Angles to a parallel, distances from one's own true place are lengths of a vector v, which errors e sideways lengthen less than they move it. Where v
/// could be nothing but error, the truth may be 0, |v| off: there each effect counts with all of |e|, which is ½(|v + e|² + |v − e|²) − |v|²,
/// squared. (A scalar has the same e either way.)
fn valued(value: f64, changes: &[Change]) -> Measured {
    let square = |x: f64| x * x;
    let whole = |c: &Change| (0.5 * (square(value + c.up) + square(value + c.down)) - square(value)).max(0.0).sqrt();
    let all = changes.iter().fold(0.0, |sum, c| sum + square(whole(c))).sqrt();
    // Both signs: a value may turn around.
    let either = |c: &Change| (0.5 * (square(c.up) + square(c.down))).sqrt();
    let term = |c: &Change| Term { name: c.name, u: if value.abs() <= 2.0 * all { whole(c) } else { either(c) } };
    Measured::Value { value, terms: merge(changes.iter().map(term).collect()) }
}

/// A feature of a part being measured.
struct Job<'c> {
    case: &'c Case<'c>,
    name: &'c str,
    own: &'c Associated,
    datum: Option<&'c Associated>,
    radius_mm: f64,
    max: Option<f64>,
}

impl Job<'_> {
    fn shape(&self) -> &Shape {
        &self.own.picked.fit.shape
    }

    /// A value of the shape, and of the datum's where there is one, with what every effect makes of it.
    fn of_shape(&self, value: impl Fn(&Shape, Option<&Shape>) -> Option<f64>) -> Result<Measured, Error> {
        Ok(self.changes(value).map_or_else(|| Measured::not(NOT_DEFINED), |(found, changes)| valued(found, &changes)))
    }

    /// The value, and how each effect changes it.
    fn changes(&self, value: impl Fn(&Shape, Option<&Shape>) -> Option<f64>) -> Option<(f64, Vec<Change>)> {
        let shape = self.shape();
        let other = self.datum.map(|d| &d.picked.fit.shape);
        let found = value(shape, other)?;
        let change = |name, own: &Step, theirs: Option<&Step>| {
            let by = |sign: f64| {
                let moved = shape.stepped(&own.map(|x| sign * x));
                let datum = other.map(|d| theirs.map_or(*d, |t| d.stepped(&t.map(|x| sign * x))));
                value(&moved, datum.as_ref()).map_or(0.0, |v| v - found)
            };
            Change { name, up: by(1.0), down: by(-1.0) }
        };
        let nothing = [0.0; 7];
        let common = |name: &str| name == OFFSET || name == SCALE;
        let step = |a: &Associated, wanted: &str| a.spread.steps.iter().find(|(n, _)| *n == wanted).map_or(nothing, |(_, s)| *s);
        let mut changes = vec![];
        for name in [OFFSET, SCALE] {
            changes.push(change(name, &step(self.own, name), self.datum.map(|d| step(d, name)).as_ref()));
        }
        changes.extend(self.own.spread.steps.iter().filter(|(n, _)| !common(n)).map(|(n, s)| change(n, s, None)));
        let theirs = self.datum.iter().flat_map(|d| d.spread.steps.iter()).filter(|(n, _)| !common(n));
        changes.extend(theirs.map(|(n, s)| change(n, &nothing, Some(s))));
        Some((found, changes))
    }

    fn to_datum(&self, value: impl Fn(&Shape, &Shape) -> Option<f64>) -> Result<Measured, Error> {
        match self.datum {
            Some(_) => self.of_shape(|s, d| d.and_then(|d| value(s, d))),
            None => Ok(Measured::not(NO_DATUM)),
        }
    }

    fn filtered(&self) -> Result<Arc<Filtered>, Error> {
        self.case.filtered(self.name, self.radius_mm)
    }

    /// A range or touching size over patch means: as wide as the noise alone would make it, it is not measured.
    fn ranged(&self, value: f64, noise: NoiseRange, offset_mm: f64, mut terms: Vec<Term>) -> Result<Measured, Error> {
        let part = self.case.actual()?;
        // Ranges and widths are off by those of the noise at most: U covers a perfect surface in 95 % and any other more often.
        terms.push(Term { name: NOISE, u: 0.5 * noise.most_mm });
        terms.push(Term { name: TEXTURE, u: TEXTURE_VOXELS * part.voxel_mm() });
        terms.push(Term { name: SCALE, u: value.abs() * part.scale_u });
        terms.push(Term { name: OFFSET, u: offset_mm });
        Ok(Measured::Value { value, terms: merge(terms) })
    }

    /// Why form cannot be told from noise at the tolerance asked for.
    fn drowned(&self, noise: NoiseRange) -> Option<Measured> {
        let noise_mm = noise.mean_mm;
        let max = self.max.filter(|max| noise_mm > 0.5 * max)?;
        Some(Measured::not(format!(
            "noise alone has a range of {noise_mm:.4} mm over patches of {} mm radius, more than half the {max} mm allowed: scan with less noise or state a wider `filter`",
            self.radius_mm
        )))
    }

    fn zone(&self, goal: Goal) -> Result<Result<Arc<Zoned>, Measured>, Error> {
        Ok(match self.case.zone(self.name, goal, self.radius_mm)? {
            Ok(found) if found.zone.certificate.holds => Ok(found),
            Ok(_) => Err(Measured::not(
                "no proof of the minimum zone was found: state a wider `filter` or a region that holds the feature better",
            )),
            Err(e) => Err(Measured::not(e.to_string())),
        })
    }

    fn form(&self) -> Result<Measured, Error> {
        let found = match self.zone(Goal::Zone)? {
            Ok(found) => found,
            Err(not) => return Ok(not),
        };
        match self.drowned(found.noise) {
            Some(not) => Ok(not),
            None => self.ranged(found.zone.width_mm, found.noise, 0.0, vec![]),
        }
    }

    fn touching(&self, goal: Goal) -> Result<Measured, Error> {
        match self.zone(goal)? {
            Ok(found) => {
                let diameter = 2.0 * found.zone.shape.radius_mm().unwrap_or_default();
                self.ranged(diameter, found.noise, 2.0 * self.case.actual()?.offset_u_mm, vec![])
            }
            Err(not) => Ok(not),
        }
    }

    fn local_size(&self, which: usize) -> Result<Measured, Error> {
        let filtered = self.filtered()?;
        let size = self.shape().radius_mm().unwrap_or_default();
        // Points lie about half a patch apart; a sparse mesh's as far as they do.
        let spacing = (self.own.picked.weights.iter().sum::<f64>() / filtered.points.len().max(1) as f64).sqrt();
        match two_point(self.shape(), &filtered.points, spacing.max(self.radius_mm).min(0.5 * size)) {
            Some(sizes) => self.ranged(sizes[which], filtered.noise_range, 2.0 * self.case.actual()?.offset_u_mm, vec![]),
            None => Ok(Measured::not("no surface lies opposite: a two-point size needs both sides")),
        }
    }

    /// Lowest and highest place of the points along the axis.
    fn ends(&self, points: &[Point3<f64>], along: &Vector3<f64>) -> [f64; 2] {
        let place = self.shape().place();
        points.iter().map(|p| (p - place).dot(along)).fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], x| [a.min(x), b.max(x)])
    }

    fn length(&self) -> Result<Measured, Error> {
        let Some(axis) = self.shape().direction() else { return Ok(Measured::not(NOT_DEFINED)) };
        if self.own.border_mm > 0.0 {
            return Ok(Measured::not(format!(
                "points within {:.3} mm of the feature's ends stay out, where the scanner blurs them: measure the distance of its end faces",
                self.own.border_mm
            )));
        }
        let [low, high] = self.ends(&self.own.picked.points, &axis);
        let noise_mm = 2.0 * f64::from(self.own.noise_mm.iter().copied().fold(0.0, f32::max));
        let noise = NoiseRange { mean_mm: noise_mm, most_mm: noise_mm };
        self.ranged(high - low, noise, 2.0 * self.case.actual()?.offset_u_mm, vec![])
    }

    /// The direction nearest to the feature's own that is at an angle to the datum (degrees; 0 is parallel).
    fn target(&self, datum: &Shape, degrees: f64) -> Option<Vector3<f64>> {
        let (a, b) = (self.shape().direction()?, datum.direction()?);
        let b = if a.dot(&b) < 0.0 { -b } else { b };
        let mixed = is_axis(self.shape()) != is_axis(datum);
        let between = if mixed { 90.0 - degrees } else { degrees }.to_radians();
        let across = (a - b * a.dot(&b)).try_normalize(1e-12).unwrap_or_else(|| {
            let least = b.iamin();
            Vector3::ith(least, 1.0).cross(&b).normalize()
        });
        Some(b * libm::cos(between) + across * libm::sin(between))
    }

    fn orientation(&self, degrees: f64) -> Result<Measured, Error> {
        let Some(datum) = self.datum else { return Ok(Measured::not(NO_DATUM)) };
        let other = &datum.picked.fit.shape;
        let Some(target) = self.target(other, degrees) else { return Ok(Measured::not(NOT_DEFINED)) };
        let axis = self.shape().direction().unwrap_or_default();
        let [low, high] = self.ends(&self.own.picked.points, &axis);
        if is_axis(self.shape()) {
            // A straight axis leans out of its zone by its length times the sine.
            let length = high - low;
            return self.of_shape(|s, d| {
                let lean = angle(s, d?)? - degrees.to_radians();
                Some(length * libm::sin(lean).abs())
            });
        }
        let filtered = self.filtered()?;
        if let Some(not) = self.drowned(filtered.noise_range) {
            return Ok(not);
        }
        let [low, high] = self.ends(&filtered.points, &target);
        // What the datum's direction does not know tilts the zone over the feature's extent.
        let extent = self.own.picked.points.iter().map(|p| (p - self.shape().place()).norm()).fold(0.0, f64::max);
        let tilt = datum.spread.steps.iter().map(|(name, s)| {
            let turned = other.stepped(s).direction().zip(other.direction()).map_or(0.0, |(a, b)| a.cross(&b).norm());
            Term { name, u: 2.0 * extent * turned }
        });
        self.ranged(high - low, filtered.noise_range, 0.0, tilt.collect())
    }

    fn position(&self, name: &str, at: Option<[f64; 3]>) -> Result<Measured, Error> {
        let (kind, shape) = (self.own.kind, self.shape());
        let truth = match at {
            Some(at) => Truth { place: Point3::from(at), axis: shape.direction() },
            None if self.case.nominal().is_ok() => match fitted(self.case.fitted_nominal(name))? {
                Ok(nominal) => Truth { place: nominal.picked.fit.shape.place(), axis: nominal.picked.fit.shape.direction() },
                Err(Measured::Not { reason }) => return Ok(Measured::not(format!("of the nominal, {reason}"))),
                Err(other) => return Ok(other),
            },
            None => return Ok(Measured::not("no true position is given: state `at` of the feature, or compare with a nominal")),
        };
        let ends = shape.direction().map_or([0.0; 2], |a| self.ends(&self.own.picked.points, &a));
        let offset = |s: &Shape| truth.offset_mm(kind, s, ends);
        let Some((found, mut changes)) = self.alone().changes(|s, _| Some(2.0 * offset(s))) else { return Ok(Measured::not(NOT_DEFINED)) };
        if self.case.nominal().is_ok() {
            let effects = self.case.effects()?;
            changes.extend(effects.pose_modes.iter().map(|(turn, shift)| {
                let moved = |sign: f64| {
                    let arm = shape.place() - effects.centre;
                    let place = shape.place() + (shift + turn.cross(&arm)) * sign;
                    2.0 * offset(&shape.moved_to(place)) - found
                };
                Change { name: POSE, up: moved(1.0), down: moved(-1.0) }
            }));
        }
        Ok(valued(found, &changes))
    }

    /// The same feature without its datum.
    fn alone(&self) -> Job<'_> {
        Job { datum: None, ..*self }
    }

    fn concentricity(&self) -> Result<Measured, Error> {
        let ends = self.shape().direction().map_or([0.0; 2], |a| self.ends(&self.own.picked.points, &a));
        let along = matches!(self.own.kind, Kind::Line | Kind::Cylinder | Kind::Cone);
        self.to_datum(|s, d| {
            let place = |t: f64| s.place() + s.direction().filter(|_| along).unwrap_or_default() * t;
            let centred = !matches!(d, Shape::Plane { .. });
            centred.then(|| 2.0 * apart(&place(ends[0]), d).norm().max(apart(&place(ends[1]), d).norm()))
        })
    }

    fn run_out(&self) -> Result<Measured, Error> {
        let Some(datum) = self.datum else { return Ok(Measured::not(NO_DATUM)) };
        let other = &datum.picked.fit.shape;
        let axis = match other {
            Shape::Line { direction: a, .. } | Shape::Cylinder { axis: a, .. } | Shape::Cone { axis: a, .. } => *a,
            _ => return Ok(Measured::not("run-out needs an axis as datum: name a line, a cylinder or a cone")),
        };
        let filtered = self.filtered()?;
        if let Some(not) = self.drowned(filtered.noise_range) {
            return Ok(not);
        }
        let of = |p: &Point3<f64>| if self.own.kind == Kind::Plane { (p - other.place()).dot(&axis) } else { apart(p, other).norm() };
        let [low, high] = filtered.points.iter().map(of).fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], x| [a.min(x), b.max(x)]);
        let reach = self.own.picked.points.iter().map(|p| (p - other.place()).norm()).fold(0.0, f64::max);
        let lean = datum.spread.steps.iter().map(|(name, s)| {
            let moved = other.stepped(s);
            let turned = moved.direction().map_or(0.0, |a| a.cross(&axis).norm());
            Term { name, u: 2.0 * ((moved.place() - other.place()).norm() + reach * turned) }
        });
        self.ranged(high - low, filtered.noise_range, 0.0, lean.collect())
    }
}

/// Where a feature should be.
struct Truth {
    place: Point3<f64>,
    axis: Option<Vector3<f64>>,
}

impl Truth {
    /// Largest offset of the feature: of its centre, of its axis between the ends of its points, of its face amid them.
    fn offset_mm(&self, kind: Kind, s: &Shape, ends: [f64; 2]) -> f64 {
        let (own, axis) = (s.direction().unwrap_or_default(), self.axis.unwrap_or_default());
        match kind {
            Kind::Plane => (s.place() - self.place).dot(&own).abs(),
            Kind::Line | Kind::Cylinder | Kind::Cone => {
                let across = |t: f64| {
                    let v = s.place() + own * t - self.place;
                    (v - axis * v.dot(&axis)).norm()
                };
                across(ends[0]).max(across(ends[1]))
            }
            _ => (s.place() - self.place).norm(),
        }
    }
}
