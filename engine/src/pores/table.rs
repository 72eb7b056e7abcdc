//! The table of closed pores as comma-separated values (RFC 4180), one row a pore, lengths in mm.

use super::ClosedVoid;

const COLUMNS: [&str; 12] = [
    "id",
    "volume_mm3",
    "equivalent_diameter_mm",
    "inscribed_diameter_mm",
    "sphericity",
    "area_mm2",
    "x_mm",
    "y_mm",
    "z_mm",
    "to_surface_mm",
    "to_neighbour_mm",
    "touches_border",
];

/// Numbers in the shortest form that reads back to the same bits; empty where there is none. Every field is a number or
/// `true`/`false`, so no program takes one for a formula.
pub fn csv(voids: &[ClosedVoid]) -> String {
    let mut text = COLUMNS.join(",") + "\r\n";
    for (n, void) in voids.iter().enumerate() {
        let c = void.centroid;
        let numbers = [void.volume_mm3, void.equivalent_mm(), void.inscribed_mm, void.sphericity(), void.area_mm2, c.x, c.y, c.z].map(Some);
        let fields = numbers.into_iter().chain([void.to_surface_mm, void.to_neighbour_mm]).map(number);
        let row: Vec<String> = std::iter::once((n + 1).to_string()).chain(fields).chain([void.touches_border.to_string()]).collect();
        text += &(row.join(",") + "\r\n");
    }
    text
}

fn number(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map_or_else(String::new, |v| v.to_string())
}
