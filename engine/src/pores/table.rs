//! The table of pores as comma-separated values (RFC 4180), one row a pore, lengths in mm; a column has one type.

use super::{ClosedVoid, OpenPore, Shape};
use crate::error::Error;

const COLUMNS: [&str; 20] = [
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
    "kind",
    "shortest_mm",
    "middle_mm",
    "longest_mm",
    "shape",
    "near_surface",
    "volume_expanded_u_mm3",
    "inscribed_expanded_u_mm",
];

/// Closed pores, then open ones. Numbers in the shortest form that reads back to the same bits; empty where there is none, as the shape is of
/// closed pores of less than a volume. Every field is a number, a word of this program or `true`/`false`: none is taken for a formula.
/// `u` gives U = 2u of a volume with an area, and of an inscribed diameter.
pub fn csv(
    closed: &[ClosedVoid],
    open: &[OpenPore],
    least_mm3: f64,
    u: impl Fn(f64, f64, f64) -> Result<[Option<f64>; 2], Error>,
) -> Result<String, Error> {
    let mut text = COLUMNS.join(",") + "\r\n";
    let closed = closed.iter().map(|v| (closed_fields(v, least_mm3), [v.volume_mm3, v.area_mm2, v.inscribed_mm]));
    let open = open.iter().map(|p| (open_fields(p), [p.volume_mm3, p.area_mm2, p.inscribed_mm]));
    for (n, (fields, [volume, area, inscribed])) in closed.chain(open).enumerate() {
        let [of_volume, of_diameter] = u(volume, area, inscribed)?.map(number);
        text += &format!("{},{},{of_volume},{of_diameter}\r\n", n + 1, fields.join(","));
    }
    Ok(text)
}

fn closed_fields(void: &ClosedVoid, least_mm3: f64) -> Vec<String> {
    let (c, [shortest, middle, longest]) = (void.centroid, void.principal_mm);
    let numbers = [void.volume_mm3, void.equivalent_mm(), void.inscribed_mm, void.sphericity(), void.area_mm2, c.x, c.y, c.z].map(Some);
    let fields = numbers.into_iter().chain([void.to_surface_mm, void.to_neighbour_mm]).map(number);
    let shape = if void.volume_mm3 >= least_mm3 { Shape::of(void).name() } else { "" };
    let principal = [shortest, middle, longest].map(|d| number(Some(d)));
    let fields = fields.chain([void.touches_border.to_string(), "closed".into()]).chain(principal);
    fields.chain([shape.into(), void.is_near_surface().to_string()]).collect()
}

fn open_fields(pore: &OpenPore) -> Vec<String> {
    let c = pore.centroid;
    let numbers = [
        Some(pore.volume_mm3),
        Some(pore.equivalent_mm()),
        Some(pore.inscribed_mm),
        None,
        Some(pore.area_mm2),
        Some(c.x),
        Some(c.y),
        Some(c.z),
    ];
    let fields = numbers.into_iter().chain([Some(0.0), pore.to_neighbour_mm]).map(number);
    let rest = [pore.touches_border.to_string(), "open".into()].into_iter().chain(vec![String::new(); 4]);
    fields.chain(rest).chain(["true".into()]).collect()
}

fn number(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map_or_else(String::new, |v| v.to_string())
}
