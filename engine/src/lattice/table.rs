//! Tables of a lattice as comma-separated values (RFC 4180), lengths in mm: struts, or a sheet lattice's cells; the sections along struts; nodes;
//! bodies of material away from the design, and windows.
//!
//! Numbers are in the shortest form that reads back to the same bits, fields are empty where there is none. Struts and nodes have their numbers
//! in the design, from 0. With a region the rows are those of the struts whose middle, and of the nodes, bodies, windows and cells whose
//! designed place or centre lies in it, as findings count them, and of cells with a hole in it; numbers stay those of the whole.

use std::io::{self, Write};

use nalgebra::Point3;

use super::{AsBuilt, Break, Followed, Residue, Shows, Walls};
use crate::region::Region;

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

/// Planes across struts, in their order along them. The place is the section's centre, or that on the designed axis where there is none.
const SECTION_COLUMNS: [&str; 13] = [
    "strut",
    "section",
    "at_mm",
    "x_mm",
    "y_mm",
    "z_mm",
    "shows",
    "free",
    "diameter_mm",
    "diameter_noise_u_mm",
    "inscribed_diameter_mm",
    "circumscribed_diameter_mm",
    "axis_ratio",
];

/// The first place is the designed one. A node that is not measured is neither displaced nor not.
const NODE_COLUMNS: [&str; 16] = [
    "id",
    "x_mm",
    "y_mm",
    "z_mm",
    "built_x_mm",
    "built_y_mm",
    "built_z_mm",
    "offset_x_mm",
    "offset_y_mm",
    "offset_z_mm",
    "offset_mm",
    "offset_noise_u_mm",
    "limit_mm",
    "displaced",
    "struts",
    "measured_struts",
];

/// Bodies of material, the largest first, and then windows, each counted from 0; `nodes` are those around a window, in turn.
const RESIDUE_COLUMNS: [&str; 11] =
    ["kind", "id", "x_mm", "y_mm", "z_mm", "volume_mm3", "struts", "nodes", "designed_free_diameter_mm", "free_diameter_mm", "blocked"];

/// A table of a lattice.
#[derive(Clone, Copy, Debug)]
pub enum Table<'a> {
    /// A row for each strut, or each cell of a sheet lattice.
    Parts(&'a AsBuilt),
    /// A row for each plane across each strut.
    Sections(&'a Followed),
    Nodes(&'a Followed),
    Residue(&'a Residue),
}

impl Table<'_> {
    /// Writes what lies in a region, or all.
    pub fn write(&self, region: Option<&Region>, out: &mut dyn Write) -> io::Result<()> {
        let holds = |p: &Point3<f64>| region.is_none_or(|r| r.contains(p));
        match self {
            Table::Parts(AsBuilt::Struts(followed)) => of_struts(followed, holds, out),
            Table::Parts(AsBuilt::Walls(walls)) => of_cells(walls, holds, out),
            Table::Sections(followed) => of_sections(followed, holds, out),
            Table::Nodes(followed) => of_nodes(followed, holds, out),
            Table::Residue(residue) => of_residue(residue, holds, out),
        }
    }
}

fn row(out: &mut dyn Write, fields: &[String]) -> io::Result<()> {
    out.write_all((fields.join(",") + "\r\n").as_bytes())
}

fn head(out: &mut dyn Write, columns: &[&str]) -> io::Result<()> {
    out.write_all((columns.join(",") + "\r\n").as_bytes())
}

fn number(x: Option<f64>) -> String {
    x.map_or_else(String::new, |x| x.to_string())
}

fn quoted(text: Option<&String>) -> String {
    text.map_or_else(String::new, |t| format!("\"{}\"", t.replace('"', "\"\"")))
}

fn of_cells(walls: &Walls, holds: impl Fn(&Point3<f64>) -> bool, out: &mut dyn Write) -> io::Result<()> {
    head(out, &CELL_COLUMNS)?;
    for (id, block) in walls.blocks.iter().enumerate() {
        let holes: Vec<&Break> = block.breaks.iter().map(|&n| &walls.breaks[n]).filter(|b| holds(&b.centre)).collect();
        if holes.is_empty() && !holds(&block.centre) {
            continue;
        }
        let hole = holes.first();
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
            holes.len().to_string(),
            number(hole.map(|h| h.centre.x)),
            number(hole.map(|h| h.centre.y)),
            number(hole.map(|h| h.centre.z)),
            number(hole.map(|h| h.diameter_mm())),
            quoted(walls.unmeasured.as_ref()),
        ];
        row(out, &fields)?;
    }
    Ok(())
}

/// The place is the designed middle.
fn of_struts(followed: &Followed, holds: impl Fn(&Point3<f64>) -> bool, out: &mut dyn Write) -> io::Result<()> {
    head(out, &COLUMNS)?;
    for (id, (strut, traced)) in followed.design.struts().iter().zip(&followed.struts).enumerate() {
        let middle = followed.design.segment(id).middle();
        if !holds(&middle) {
            continue;
        }
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
        row(out, &fields)?;
    }
    Ok(())
}

fn of_sections(followed: &Followed, holds: impl Fn(&Point3<f64>) -> bool, out: &mut dyn Write) -> io::Result<()> {
    head(out, &SECTION_COLUMNS)?;
    for (id, traced) in followed.struts.iter().enumerate().filter(|(id, _)| holds(&followed.design.segment(*id).middle())) {
        for (n, slice) in traced.slices.iter().enumerate() {
            let profile = if let Shows::Section(profile) = slice.shows { Some(profile) } else { None };
            let fields = [
                id.to_string(),
                n.to_string(),
                slice.at_mm.to_string(),
                slice.place.x.to_string(),
                slice.place.y.to_string(),
                slice.place.z.to_string(),
                slice.shows.name().to_string(),
                slice.is_free.to_string(),
                number(profile.map(|p| p.diameter_mm)),
                number(profile.map(|p| p.noise_mm)),
                number(profile.map(|p| p.inscribed_mm)),
                number(profile.map(|p| p.circumscribed_mm)),
                number(profile.map(|p| p.axis_ratio)),
            ];
            row(out, &fields)?;
        }
    }
    Ok(())
}

fn of_nodes(followed: &Followed, holds: impl Fn(&Point3<f64>) -> bool, out: &mut dyn Write) -> io::Result<()> {
    head(out, &NODE_COLUMNS)?;
    let limits = followed.node_limits_mm();
    let mut meeting = vec![[0usize; 2]; followed.nodes.len()];
    for (strut, traced) in followed.design.struts().iter().zip(&followed.struts) {
        let measured = traced.state.is_whole() && traced.line.is_some();
        for end in strut.ends {
            let [all, whole] = &mut meeting[end as usize];
            (*all, *whole) = (*all + 1, *whole + usize::from(measured));
        }
    }
    for (id, (place, node)) in followed.design.nodes().iter().zip(&followed.nodes).enumerate().filter(|(_, (p, _))| holds(p)) {
        let [offset, built] = [node.offset, node.offset.map(|o| place.coords + o)];
        let along = |v: Option<nalgebra::Vector3<f64>>, axis: usize| number(v.map(|v| v[axis]));
        let far = offset.map(|o| o.norm());
        let limit = (limits[id] > 0.0).then_some(limits[id]);
        let fields = [
            id.to_string(),
            place.x.to_string(),
            place.y.to_string(),
            place.z.to_string(),
            along(built, 0),
            along(built, 1),
            along(built, 2),
            along(offset, 0),
            along(offset, 1),
            along(offset, 2),
            number(far),
            number(offset.map(|_| node.noise_mm)),
            number(limit),
            far.zip(limit).map_or_else(String::new, |(far, limit)| (far > limit).to_string()),
            meeting[id][0].to_string(),
            meeting[id][1].to_string(),
        ];
        row(out, &fields)?;
    }
    Ok(())
}

fn of_residue(residue: &Residue, holds: impl Fn(&Point3<f64>) -> bool, out: &mut dyn Write) -> io::Result<()> {
    head(out, &RESIDUE_COLUMNS)?;
    let place =
        |kind: &str, id: usize, p: &Point3<f64>| [kind.to_string(), id.to_string(), p.x.to_string(), p.y.to_string(), p.z.to_string()];
    for (id, body) in residue.bodies.iter().enumerate().filter(|(_, b)| holds(&b.centroid)) {
        let mut fields = place("body", id, &body.centroid).to_vec();
        fields.push(body.volume_mm3.to_string());
        fields.resize(RESIDUE_COLUMNS.len(), String::new());
        row(out, &fields)?;
    }
    for (id, window) in residue.windows.iter().enumerate().filter(|(_, w)| holds(&w.centre)) {
        let nodes: Vec<String> = window.nodes.iter().map(u32::to_string).collect();
        let rest = [
            String::new(),
            nodes.len().to_string(),
            nodes.join(" "),
            window.designed_mm.to_string(),
            window.built_mm.to_string(),
            window.is_blocked.to_string(),
        ];
        row(out, &[place("window", id, &window.centre).to_vec(), rest.to_vec()].concat())?;
    }
    Ok(())
}
