//! A compared section as comma-separated values: one row a place of the actual contours.

use std::fmt::Write as _;

use super::Compared;

/// Columns: contour, place in the nominal frame and in the plane, nearest place of the nominal contours, deviation, its expanded uncertainty (U = 2u);
/// lengths in mm. A deviation whose sign nobody can tell is empty, and so is an uncertainty where the surface only grazes the plane.
pub fn csv(section: &Compared) -> String {
    let mut text =
        String::from("contour,x_mm,y_mm,z_mm,right_mm,up_mm,nominal_x_mm,nominal_y_mm,nominal_z_mm,deviation_mm,expanded_uncertainty_mm\n");
    for place in &section.places {
        let ([right, up], p, q) = (section.plane.seen(&place.at), place.at, place.nominal);
        let [deviation, expanded] = [place.deviation_mm, place.u_mm.map(|u| 2.0 * u)].map(|x| x.map(|x| x.to_string()).unwrap_or_default());
        // Writing to a string does not fail.
        let _ = writeln!(text, "{},{},{},{},{right},{up},{},{},{},{deviation},{expanded}", place.contour, p.x, p.y, p.z, q.x, q.y, q.z);
    }
    text
}
