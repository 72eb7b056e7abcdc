//! Findings about struts, nodes, walls and residue: how many, and where the first of them are.

use nalgebra::Point3;

use super::residue::Body;
use super::{AsBuilt, Break, Cell, Followed, Residue, State, UnitCell, Walls};
use crate::finding::Finding;

const CLAUSE: &str = "8.3.2.2 b)";
/// Places that a finding names; the table has all.
const NAMED: usize = 5;

pub(crate) fn findings(as_built: &AsBuilt, residue: &Residue) -> Vec<Finding> {
    match as_built {
        AsBuilt::Struts(followed) => of_struts(followed, residue),
        AsBuilt::Walls(walls) => of_walls(walls, residue),
    }
}

fn of_walls(walls: &Walls, residue: &Residue) -> Vec<Finding> {
    let mut found = vec![];
    let place = |b: &Break| format!("{:.3} mm wide at {}", b.diameter_mm(), shown(&b.centre));
    let what = format!("{} holes go through walls", walls.breaks.len());
    found.extend(finding("lattice.wall_break", &what, "the largest are", walls.breaks.iter().map(place)));
    for (state, code) in [(State::Missing, "lattice.missing_walls"), (State::Thin, "lattice.thin_walls")] {
        let cells = walls.in_state(state);
        let place = |c: &usize| format!("{c} at {}", shown(&walls.blocks[*c].centre));
        let what = format!("in {} of {} unit cells the walls are {}", cells.len(), walls.blocks.len(), state.name());
        found.extend(finding(code, &what, "the first are", cells.iter().map(place)));
    }
    found.extend(of_residue(residue, "walls"));
    found.push(of_cell(&walls.sheet.cell));
    let (designed, built) = walls.mean_mm();
    let built = built.map_or_else(|| "not measured".into(), |b| format!("{b:.4} mm as built"));
    let text = format!(
        "walls are {designed:.4} mm thick as designed and {built} (mean over their middles); holes are told from {:.3} mm on",
        walls.told_mm
    );
    found.push(Finding::note("lattice.walls", text).clause(CLAUSE));
    found.extend(walls.unmeasured.as_ref().map(|why| Finding::qualify("lattice.unmeasured", why.clone()).clause(CLAUSE)));
    found
}

fn of_cell(cell: &Cell) -> Finding {
    let [a, b, c] = cell.vectors.map(|v| v.norm());
    let name = cell.form.name();
    let half =
        if cell.form == UnitCell::SchwarzD { " (of walls whose sides are alike, half the edge of either channel's cell)" } else { "" };
    let text = format!("the design repeats by {a:.3}, {b:.3} and {c:.3} mm; its unit cell is {name}{half}");
    Finding::note("lattice.unit_cell", text).clause(CLAUSE)
}

fn of_residue(residue: &Residue, what: &str) -> Option<Finding> {
    let place = |r: &Body| format!("{:.3e} mm³ at {}", r.volume_mm3, shown(&r.centroid));
    let text = format!("{} bodies of material lie away from the designed {what}", residue.bodies.len());
    finding("lattice.residue", &text, "the largest are", residue.bodies.iter().map(place))
}

fn of_struts(followed: &Followed, residue: &Residue) -> Vec<Finding> {
    let mut found = vec![];
    for (state, code) in [(State::Missing, "lattice.missing"), (State::Broken, "lattice.broken"), (State::Thin, "lattice.thin")] {
        let struts = followed.in_state(state);
        let place = |s: &usize| format!("{s} at {}", shown(&followed.design.segment(*s).middle()));
        let what = format!("{} of {} struts are {}", struts.len(), followed.struts.len(), state.name());
        found.extend(finding(code, &what, "the first are", struts.iter().map(place)));
    }
    let shifted = followed.shifted_nodes();
    let place = |&(n, far): &(usize, f64)| format!("{n} at {} by {far:.3} mm", shown(&followed.design.nodes()[n]));
    let what =
        format!("{} of {} nodes are displaced by more than {} strut diameters", shifted.len(), followed.nodes.len(), followed.limits.node);
    found.extend(finding("lattice.shifted_node", &what, "the farthest are", shifted.iter().map(place)));
    found.extend(of_residue(residue, "struts"));
    let what = format!("{} of {} windows between struts are blocked", residue.blocked.len(), residue.windows);
    found.extend(finding("lattice.blocked_window", &what, "the first are about", residue.blocked.iter().map(shown)));
    found.extend(followed.cell.as_ref().map(of_cell));
    let unmeasured = followed.in_state(State::Unmeasured);
    let why = |s: &usize| format!("{s}: {}", followed.struts[*s].reason.as_deref().unwrap_or_default());
    let what = format!("{} of {} struts are not measured", unmeasured.len(), followed.struts.len());
    found.extend(finding("lattice.unmeasured", &what, "the first is", unmeasured.iter().take(1).map(why)));
    found
}

fn finding(code: &str, what: &str, first: &str, places: impl Iterator<Item = String>) -> Option<Finding> {
    let places: Vec<String> = places.take(NAMED).collect();
    (!places.is_empty()).then(|| Finding::qualify(code, format!("{what}; {first} {}", places.join(", "))).clause(CLAUSE))
}

fn shown(p: &Point3<f64>) -> String {
    format!("({:.2}, {:.2}, {:.2})", p.x, p.y, p.z)
}
