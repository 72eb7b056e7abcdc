//! The table of struts, or of a sheet lattice's cells, as comma-separated values (RFC 4180), one row each, lengths in mm.

use super::{AsBuilt, Followed, Walls};

const COLUMNS: [&str; 17] = [
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
    "short_mm",
    "absent_share",
    "reason",
];

/// Of a sheet lattice: the cells by their places along the lattice vectors, from 0, with their walls and the largest hole whose midst they hold.
const CELL_COLUMNS: [&str; 20] = [
    "id",
    "i",
    "j",
    "k",
    "x_mm",
    "y_mm",
    "z_mm",
    "state",
    "wall_area_mm2",
    "designed_thickness_mm",
    "thickness_mm",
    "smallest_thickness_mm",
    "offset_mm",
    "open_mm2",
    "holes",
    "hole_x_mm",
    "hole_y_mm",
    "hole_z_mm",
    "hole_diameter_mm",
    "reason",
];

/// Numbers in the shortest form that reads back to the same bits; empty where there is none.
pub fn csv(as_built: &AsBuilt) -> String {
    match as_built {
        AsBuilt::Struts(followed) => of_struts(followed),
        AsBuilt::Walls(walls) => of_cells(walls),
    }
}

fn number(x: Option<f64>) -> String {
    x.map_or_else(String::new, |x| x.to_string())
}

fn quoted(text: Option<&String>) -> String {
    text.map_or_else(String::new, |t| format!("\"{}\"", t.replace('"', "\"\"")))
}

fn of_cells(walls: &Walls) -> String {
    let mut text = CELL_COLUMNS.join(",") + "\r\n";
    for (id, block) in walls.blocks.iter().enumerate() {
        let hole = block.breaks.first().map(|&n| &walls.breaks[n]);
        let [i, j, k] = block.index.map(|n| n.to_string());
        let fields = [
            id.to_string(),
            i,
            j,
            k,
            block.centre.x.to_string(),
            block.centre.y.to_string(),
            block.centre.z.to_string(),
            block.state.name().to_string(),
            block.area_mm2.to_string(),
            block.designed_mm.to_string(),
            number(block.thickness_mm),
            number(block.smallest_mm),
            number(block.offset_mm),
            block.open_mm2.to_string(),
            block.breaks.len().to_string(),
            number(hole.map(|h| h.centre.x)),
            number(hole.map(|h| h.centre.y)),
            number(hole.map(|h| h.centre.z)),
            number(hole.map(|h| h.diameter_mm())),
            quoted(walls.unmeasured.as_ref()),
        ];
        text += &(fields.join(",") + "\r\n");
    }
    text
}

/// Struts and nodes by their numbers in the design, from 0; the place is the designed middle.
fn of_struts(followed: &Followed) -> String {
    let mut text = COLUMNS.join(",") + "\r\n";
    for (id, (strut, traced)) in followed.design.struts().iter().zip(&followed.struts).enumerate() {
        let middle = followed.design.segment(id).middle();
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
            traced.short_mm.to_string(),
            traced.absent.to_string(),
            quoted(traced.reason.as_ref()),
        ];
        text += &(fields.join(",") + "\r\n");
    }
    text
}
