//! Findings about struts, nodes and residue: how many, and where the first of them are.

use nalgebra::Point3;

use super::residue::Body;
use super::{Followed, Residue, State};
use crate::finding::Finding;

const CLAUSE: &str = "8.3.2.2 b)";
/// Places that a finding names; the table has all.
const NAMED: usize = 5;

pub(crate) fn findings(followed: &Followed, residue: &Residue) -> Vec<Finding> {
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
    let place = |r: &Body| format!("{:.3e} mm³ at {}", r.volume_mm3, shown(&r.centroid));
    let what = format!("{} bodies of material lie away from the designed struts", residue.bodies.len());
    found.extend(finding("lattice.residue", &what, "the largest are", residue.bodies.iter().map(place)));
    let what = format!("{} of {} windows between struts are blocked", residue.blocked.len(), residue.windows);
    found.extend(finding("lattice.blocked_window", &what, "the first are about", residue.blocked.iter().map(shown)));
    if let Some(cell) = &followed.cell {
        let [a, b, c] = cell.vectors.map(|v| v.norm());
        let text = format!("the design repeats by {a:.3}, {b:.3} and {c:.3} mm; its unit cell is {}", cell.form.name());
        found.push(Finding::note("lattice.unit_cell", text).clause(CLAUSE));
    }
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
