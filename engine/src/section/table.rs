//! A compared section as comma-separated values: one row a place of the actual contours.

use std::fmt::Write as _;

use super::Compared;

/// Columns: contour, place in the nominal frame and in the plane, nearest place of the nominal contours, deviation; lengths in mm. A deviation whose sign
/// nobody can tell is empty.
pub fn csv(section: &Compared) -> String {
    let mut text = String::from("contour,x_mm,y_mm,z_mm,right_mm,up_mm,nominal_x_mm,nominal_y_mm,nominal_z_mm,deviation_mm\n");
    for place in &section.places {
        let ([right, up], p, q) = (section.plane.seen(&place.at), place.at, place.nominal);
        let deviation = place.deviation_mm.map(|d| d.to_string()).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{},{},{},{},{right},{up},{},{},{},{deviation}", place.contour, p.x, p.y, p.z, q.x, q.y, q.z);
    }
    text
}
