//! The table of struts as comma-separated values (RFC 4180), one row a strut, lengths in mm.

use super::Followed;

const COLUMNS: [&str; 16] = [
    "id",
    "node_a",
    "node_b",
    "x_mm",
    "y_mm",
    "z_mm",
    "state",
    "designed_diameter_mm",
    "diameter_mm",
    "diameter_noise_u_mm",
    "smallest_diameter_mm",
    "offset_mm",
    "waviness_mm",
    "gap_mm",
    "absent_share",
    "reason",
];

/// Struts and nodes by their numbers in the design, from 0; the place is the designed middle. Numbers in the shortest form that reads back to
/// the same bits; empty where there is none.
pub fn csv(followed: &Followed) -> String {
    let mut text = COLUMNS.join(",") + "\r\n";
    for (id, (strut, traced)) in followed.design.struts().iter().zip(&followed.struts).enumerate() {
        let middle = followed.design.segment(id).middle();
        let number = |x: Option<f64>| x.map_or_else(String::new, |x| x.to_string());
        let noise = traced.diameter_mm.map(|_| traced.diameter_noise_mm);
        let fields = [
            id.to_string(),
            strut.ends[0].to_string(),
            strut.ends[1].to_string(),
            middle.x.to_string(),
            middle.y.to_string(),
            middle.z.to_string(),
            traced.state.name().to_string(),
            strut.diameter_mm.to_string(),
            number(traced.diameter_mm),
            number(noise),
            number(traced.smallest_diameter_mm),
            number(traced.offset_mm),
            number(traced.waviness_mm),
            traced.gap_mm.to_string(),
            traced.absent.to_string(),
            traced.reason.as_ref().map_or_else(String::new, |r| format!("\"{}\"", r.replace('"', "\"\""))),
        ];
        text += &(fields.join(",") + "\r\n");
    }
    text
}
