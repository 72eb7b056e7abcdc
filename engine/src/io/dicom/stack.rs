//! Slices to a grid: X = position of slice k + i step_i direction_i + j step_j direction_j (PS3.3 C.7.6.2.1.1), order and spacing from
//! positions alone. Slice thickness and gantry tilt tags are not geometry; a tilted stack keeps its shear.

use nalgebra::{Matrix3, Point3, Vector3};

use super::super::fault::Fault;
use super::image::Frame;
use crate::finding::{Finding, Severity};
use crate::frame::Grid;

/// Positions closer than this are the same place (mm).
const SAME_MM: f64 = 1e-3;
/// Directions differ beyond this (radians).
const TURNED: f64 = 1e-3;
/// Shear worth a note (degrees).
const TILTED_DEGREES: f64 = 0.1;

pub(super) struct Stack {
    pub grid: Grid,
    pub assumed_steps: [bool; 3],
    pub findings: Vec<Finding>,
}

fn stop(code: &str, message: String) -> Finding {
    Finding::stop(code, message).clause("9.3.4")
}

/// What a gap between neighbouring slices may differ from the median (mm).
fn tolerance_mm(gap: f64) -> f64 {
    (0.01 * gap).max(0.01)
}

/// Sorts the slices of one series along their normal and builds their grid. There is at least one slice.
pub(super) fn stack(slices: &mut [Frame]) -> Result<Stack, Fault> {
    let first = &slices[0];
    let dims = [first.image.columns as usize, first.image.rows as usize, slices.len()];
    let mut findings = vec![];
    if slices.len() < 3 {
        let found = slices.len();
        findings.push(stop(
            "ct.too_few_slices",
            format!("{found} slices are no volume that can be measured, at least 3 are needed: name the folder of the whole series"),
        ));
    }
    let (Some(axes), Some(spacing), true) = (first.axes, first.spacing, slices.iter().all(Frame::placed)) else {
        return unplaced(slices, dims, findings);
    };
    let normal = axes[0].cross(&axes[1]);
    let turned = |s: &&Frame| s.axes.is_some_and(|a| (a[0] - axes[0]).norm() > TURNED || (a[1] - axes[1]).norm() > TURNED);
    let odd = slices.iter().filter(turned).count();
    if odd > 0 {
        findings.push(stop(
            "ct.mixed_orientation",
            format!("{odd} of {} slices are turned against the first: name one series of parallel slices", slices.len()),
        ));
    }
    let rescaled = |s: &&Frame| {
        s.spacing.is_some_and(|p| (p[0] - spacing[0]).abs() > 1e-4 * spacing[0] || (p[1] - spacing[1]).abs() > 1e-4 * spacing[1])
    };
    let odd = slices.iter().filter(rescaled).count();
    if odd > 0 {
        findings.push(stop(
            "ct.mixed_series",
            format!("{odd} of {} slices have another pixel spacing than the first: name one series", slices.len()),
        ));
    }
    let along = |s: &Frame| s.position.map_or(0.0, |p| p.dot(&normal));
    slices.sort_by(|a, b| along(a).total_cmp(&along(b)));
    let positions: Vec<Vector3<f64>> = slices.iter().filter_map(|s| s.position).collect();
    let gaps: Vec<f64> = slices.windows(2).map(|w| along(&w[1]) - along(&w[0])).collect();
    let (step, assumed) = match step(&positions, &gaps, &normal, &mut findings) {
        Some(step) => (step, false),
        None => (normal * thickness(slices), true),
    };
    if slices.iter().all(|s| s.image.localizer) && !findings.iter().any(|f| f.code == "ct.not_a_volume") {
        findings.push(stop("ct.not_a_volume", "the images are scouts (LOCALIZER): name the series of slices".into()));
    }
    let columns = Matrix3::from_columns(&[axes[0] * spacing[0], axes[1] * spacing[1], step]);
    let origin = Point3::from(positions[0]);
    let grid = Grid::new(dims, origin, columns)
        .ok_or_else(|| Fault::Geometry { found: format!("sizes {dims:?}, axes {:?}", columns.as_slice()) })?;
    if !assumed && findings.iter().all(|f| f.severity != Severity::Stop) {
        findings.extend(nominal(slices, step.dot(&normal)));
    }
    if !assumed && grid.shear_degrees() > TILTED_DEGREES {
        let tilt = grid.shear_degrees();
        let stated = number(slices, "gantry_tilt_degrees").map_or("no tilt stated".into(), |t| format!("{t} degrees stated"));
        findings.push(
            Finding::note(
                "ct.tilted",
                format!(
                    "the slices are stacked at {tilt:.2} degrees to their normal (tilted gantry, {stated}); the shear is kept and measured as it is"
                ),
            )
            .clause("5.3.2"),
        );
    }
    Ok(Stack { grid, assumed_steps: [false, false, assumed], findings })
}

/// The step from slice to slice, after checks that there is one; `None` where no two slices differ in place.
fn step(positions: &[Vector3<f64>], gaps: &[f64], normal: &Vector3<f64>, findings: &mut Vec<Finding>) -> Option<Vector3<f64>> {
    let (first, last) = (positions.first()?, positions.last()?);
    let mut distinct: Vec<f64> = gaps.iter().copied().filter(|&g| g > SAME_MM).collect();
    let same = gaps.len() - distinct.len();
    if gaps.is_empty() {
        return None;
    }
    if distinct.is_empty() {
        findings.push(stop("ct.not_a_volume", format!("all {} images lie at one place: they are no stack of slices", positions.len())));
        return None;
    }
    if same > 0 {
        let at = gaps.iter().position(|&g| g <= SAME_MM).unwrap_or(0);
        findings.push(stop(
            "ct.duplicate_slice",
            format!("{same} slices lie where another does, first slices {at} and {}: remove the copies", at + 1),
        ));
    }
    distinct.sort_by(f64::total_cmp);
    let median = distinct[(distinct.len() - 1) / 2];
    let odd = |g: f64| g > SAME_MM && (g - median).abs() > tolerance_mm(median);
    let multiple = |g: f64| (g / median).round();
    let absent = |g: f64| multiple(g) >= 2.0 && (g - multiple(g) * median).abs() <= tolerance_mm(g);
    let missing: f64 = gaps.iter().filter(|&&g| odd(g) && absent(g)).map(|&g| multiple(g) - 1.0).sum();
    if let Some(at) = gaps.iter().position(|&g| odd(g) && absent(g)) {
        findings.push(stop("ct.missing_slice", format!("{missing} slices are missing: {:.3} mm lie between slices {at} and {}, {median:.3} mm between the others; export the whole series", gaps[at], at + 1)));
    }
    if let Some(at) = gaps.iter().position(|&g| odd(g) && !absent(g)) {
        let least = distinct[0];
        let largest = distinct[distinct.len() - 1];
        findings.push(stop("ct.uneven_spacing", format!("distances between slices run from {least:.3} to {largest:.3} mm (first odd one after slice {at}), allowed is {median:.3} mm within {:.3} mm: reconstruct at one distance", tolerance_mm(median))));
    }
    let mean = (last - first) / (positions.len() - 1) as f64;
    let step = if missing > 0.0 || same > 0 { mean * (median / mean.dot(normal)) } else { mean };
    // With even gaps, slices may still wander sideways.
    let aside = |(k, p): (usize, &Vector3<f64>)| {
        let off = p - first - step * k as f64;
        (off - normal * off.dot(normal)).norm() > tolerance_mm(median)
    };
    if missing == 0.0 && same == 0 && positions.iter().enumerate().any(aside) && !findings.iter().any(|f| f.code == "ct.uneven_spacing") {
        findings.push(stop(
            "ct.uneven_spacing",
            format!("slices are shifted sideways against each other by more than {:.3} mm: reconstruct on one axis", tolerance_mm(median)),
        ));
    }
    Some(step)
}

/// Thickness and spacing as the file states them against the distance of the slices.
fn nominal(slices: &[Frame], actual_mm: f64) -> Vec<Finding> {
    let mut findings = vec![];
    let differs = |stated: f64| (stated.abs() - actual_mm).abs() > tolerance_mm(actual_mm);
    if let Some(stated) = number(slices, "nominal_slice_spacing_mm").filter(|&s| differs(s)) {
        let message =
            format!("the file states a slice spacing of {stated} mm, positions lie {actual_mm:.4} mm apart: positions are believed");
        findings.push(Finding::note("ct.nominal_spacing", message).clause("9.3.4"));
    }
    if let Some(thick) = number(slices, "slice_thickness_mm").filter(|&t| t > 0.0 && actual_mm > 1.05 * t) {
        let message = format!(
            "slices of {thick} mm lie {actual_mm:.4} mm apart: what is between them was not imaged; reconstruct at a distance of at most the thickness"
        );
        findings.push(Finding::qualify("ct.slice_gaps", message).clause("5.3.2"));
    }
    findings
}

/// A fact of the first slice as a number.
fn number(slices: &[Frame], fact: &str) -> Option<f64> {
    slices[0].facts.iter().find(|(name, _)| *name == fact).and_then(|(_, t)| t.parse().ok())
}

/// Slice thickness stands in for a distance that nobody knows; 1 mm where there is none either.
fn thickness(slices: &[Frame]) -> f64 {
    number(slices, "slice_thickness_mm").filter(|t| (1e-3..1e3).contains(t)).unwrap_or(1.0)
}

/// Slices without place or direction: values can be looked at, not measured.
fn unplaced(slices: &mut [Frame], dims: [usize; 3], mut findings: Vec<Finding>) -> Result<Stack, Fault> {
    slices.sort_by_key(|s| s.instance);
    let what = "position, orientation or pixel spacing";
    findings.push(stop(
        "ct.no_geometry",
        format!("images lack {what} (ImagePositionPatient, ImageOrientationPatient, PixelSpacing): export the series with its geometry"),
    ));
    let spacing = slices[0].spacing.filter(|s| slices.iter().all(|o| o.spacing == Some(*s)));
    let [i, j] = spacing.unwrap_or([1.0; 2]);
    let grid = Grid::aligned(dims, [i, j, thickness(slices)], Point3::origin());
    let grid = grid.ok_or_else(|| Fault::Geometry { found: format!("sizes {dims:?}") })?;
    Ok(Stack { grid, assumed_steps: [spacing.is_none(), spacing.is_none(), true], findings })
}
