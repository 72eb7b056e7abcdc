//! Findings about struts, nodes, walls and residue: how many, and where the first of them are.

use nalgebra::Point3;

use super::extract::too_coarse;
use super::residue::Body;
use super::{AsBuilt, Astray, Break, Cell, Followed, Node, Residue, State, Stretch, UnitCell, Walls, Window, away};
use crate::finding::Finding;
use crate::region::Region;

const CLAUSE: &str = "8.3.2.2 b)";
/// Places that a finding names.
const NAMED: usize = 5;

/// The part of a lattice that findings are about.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub region: Option<(&'a str, &'a Region)>,
    /// How the design repeats there; of walls that of the whole.
    pub cell: Option<&'a Cell>,
    /// Relative standard uncertainty of the scan's scale.
    pub scale_u: f64,
}

impl About<'_> {
    fn holds(&self, p: &Point3<f64>) -> bool {
        self.region.is_none_or(|(_, region)| region.contains(p))
    }

    /// Where, to be added to what was counted.
    fn place(&self) -> String {
        self.region.map_or_else(String::new, |(name, _)| format!(" in region {name}"))
    }
}

pub(crate) fn findings(as_built: &AsBuilt, residue: &Residue, about: &About) -> Vec<Finding> {
    match as_built {
        AsBuilt::Struts(followed) => of_struts(followed, residue, about),
        AsBuilt::Walls(walls) => of_walls(walls, residue, about),
    }
}

fn of_walls(walls: &Walls, residue: &Residue, about: &About) -> Vec<Finding> {
    let (mut found, within) = (vec![], about.place());
    let place = |b: &&Break| format!("{:.3} mm wide at {}", b.diameter_mm(), shown(&b.centre));
    let breaks: Vec<&Break> = walls.breaks.iter().filter(|b| about.holds(&b.centre)).collect();
    let what = format!("{} holes go through walls{within}", breaks.len());
    found.extend(finding("lattice.wall_break", &what, "the largest are", breaks.iter().map(place)));
    let cells_of = |cells: Vec<usize>| cells.into_iter().filter(|&c| about.holds(&walls.blocks[c].centre)).collect::<Vec<_>>();
    let all = cells_of((0..walls.blocks.len()).collect());
    for (state, code) in [(State::Missing, "lattice.missing_walls"), (State::Thin, "lattice.thin_walls")] {
        let cells = cells_of(walls.in_state(state));
        let place = |c: &usize| format!("{c} at {}", shown(&walls.blocks[*c].centre));
        let what = format!("in {} of {} unit cells{within} the walls are {}", cells.len(), all.len(), state.name());
        found.extend(finding(code, &what, "the first are", cells.iter().map(place)));
    }
    found.extend(of_residue(residue, "walls", about));
    found.push(of_cell(&walls.sheet.cell, ""));
    let (designed, built) = walls.mean_mm();
    let built = built.map_or_else(|| "not measured".into(), |b| format!("{b:.4} mm as built"));
    let text = format!(
        "walls are {designed:.4} mm thick as designed and {built} (mean over their middles, whole part); holes are told from {:.3} mm on; {}",
        walls.told_mm,
        floor(residue, "walls")
    );
    found.push(Finding::note("lattice.walls", text).clause(CLAUSE));
    let beyond = walls.share_beyond(|p| about.holds(p));
    let text = format!("{:.1} % of the walls{within} lie where the image does not reach and are not measured", 100.0 * beyond);
    found.extend((beyond > 0.0).then(|| Finding::qualify("lattice.unmeasured", text).clause(CLAUSE)));
    found.extend(walls.unmeasured.as_ref().map(|why| Finding::qualify("lattice.unmeasured", why.clone()).clause(CLAUSE)));
    found
}

fn of_cell(cell: &Cell, within: &str) -> Finding {
    let [a, b, c] = cell.vectors.map(|v| v.norm());
    let name = cell.form.name();
    let half =
        if cell.form == UnitCell::SchwarzD { " (of walls whose sides are alike, half the edge of either channel's cell)" } else { "" };
    let text = format!("the design{within} repeats by {a:.3}, {b:.3} and {c:.3} mm; its unit cell is {name}{half}");
    Finding::note("lattice.unit_cell", text).clause(CLAUSE)
}

fn of_residue(residue: &Residue, what: &str, about: &About) -> Option<Finding> {
    let place = |r: &&Body| format!("{:.3e} mm³ at {}", r.volume_mm3, shown(&r.centroid));
    let bodies: Vec<&Body> = residue.bodies.iter().filter(|b| about.holds(&b.centroid)).collect();
    let text = format!("{} bodies of material{} lie away from the designed {what}", bodies.len(), about.place());
    finding("lattice.residue", &text, "the largest are", bodies.iter().map(place))
}

fn of_struts(followed: &Followed, residue: &Residue, about: &About) -> Vec<Finding> {
    let (mut found, within) = (vec![], about.place());
    let middle = |s: usize| followed.design.segment(s).middle();
    let all: Vec<usize> = (0..followed.struts.len()).filter(|&s| about.holds(&middle(s))).collect();
    let in_state = |state| all.iter().copied().filter(|&s| followed.struts[s].state == state).collect::<Vec<usize>>();
    let faults = [
        (State::Missing, "lattice.missing"),
        (State::Broken, "lattice.broken"),
        (State::Thin, "lattice.thin"),
        (State::Shortened, "lattice.shortened"),
    ];
    for (state, code) in faults {
        let struts = in_state(state);
        let place = |s: &usize| format!("{s} at {}", shown(&middle(*s)));
        let what = format!("{} of {} struts{within} are {}", struts.len(), all.len(), state.name());
        found.extend(finding(code, &what, "the first are", struts.iter().map(place)));
    }
    let designed = |n: usize| &followed.design.nodes()[n];
    let shifted: Vec<(usize, f64)> = followed.shifted_nodes().into_iter().filter(|&(n, _)| about.holds(designed(n))).collect();
    let nodes = (0..followed.nodes.len()).filter(|&n| about.holds(designed(n))).count();
    let place = |&(n, far): &(usize, f64)| format!("{n} at {} by {far:.3} mm", shown(designed(n)));
    let limit = followed.limits.node;
    let what = format!("{} of {nodes} nodes{within} are displaced by more than {limit} strut diameters", shifted.len());
    found.extend(finding("lattice.shifted_node", &what, "the farthest are", shifted.iter().map(place)));
    found.extend(of_carried(followed, about));
    found.extend(of_residue(residue, "struts", about));
    let windows: Vec<&Window> = residue.windows.iter().filter(|w| about.holds(&w.centre)).collect();
    let blocked: Vec<&&Window> = windows.iter().filter(|w| w.is_blocked).collect();
    let what = format!("{} of {} windows between struts{within} are blocked", blocked.len(), windows.len());
    found.extend(finding("lattice.blocked_window", &what, "the first are about", blocked.iter().map(|w| shown(&w.centre))));
    found.push(about.cell.map_or_else(|| no_cell(&within), |cell| of_cell(cell, &within)));
    found.push(of_limits(followed, residue));
    found.extend(too_coarse(&followed.design).map(|why| Finding::qualify("lattice.coarse_cells", why).clause(CLAUSE)));
    let astray = followed.astray.iter().filter(|piece| piece.struts.iter().any(|&s| about.holds(&middle(s))));
    let place = |piece: &Astray| {
        format!("of {} struts about {}: it fits as well {}", piece.struts.len(), shown(&middle(piece.struts[0])), away(&piece.by))
    };
    let astray: Vec<String> = astray.map(place).collect();
    let what = format!("{} pieces of the lattice{within} are ambiguous by a period, and nothing of them is measured", astray.len());
    found.extend(finding("lattice.period", &what, "the first is one", astray.into_iter().take(1)));
    let unmeasured = in_state(State::Unmeasured);
    let why = |s: &usize| format!("{s}: {}", followed.struts[*s].reason.as_deref().unwrap_or_default());
    let what = format!("{} of {} struts{within} are not measured", unmeasured.len(), all.len());
    found.extend(finding("lattice.unmeasured", &what, "the first is", unmeasured.iter().take(1).map(why)));
    found
}

/// What a lattice that is built stretched, sheared or bent as a whole has of displaced nodes, and which of them are faults of their own.
fn of_carried(followed: &Followed, about: &About) -> Option<Finding> {
    let designed = |n: usize| &followed.design.nodes()[n];
    let inside = |found: Vec<(usize, f64)>| found.into_iter().filter(|&(n, _)| about.holds(designed(n))).collect::<Vec<_>>();
    let carried = inside(followed.carried_nodes());
    let (far, farthest_mm) = (carried.len(), carried.first()?.1);
    let (places, nodes): (Vec<Point3<f64>>, Vec<Node>) =
        (0..followed.nodes.len()).filter(|&n| about.holds(designed(n))).map(|n| (*designed(n), followed.nodes[n])).unzip();
    let stretched = Stretch::of(&places, &nodes).map_or_else(String::new, |stretch| {
        let percent = |(by, u): (f64, f64)| format!("{:+.2} ± {:.2} %", 100.0 * by, 200.0 * (u * u + about.scale_u * about.scale_u).sqrt());
        format!("; it is stretched by {} along three directions square to each other", stretch.principal().map(percent).join(", "))
    });
    let own = inside(followed.nodes_off_the_lattice());
    let place = |&(n, far): &(usize, f64)| format!("{n} at {} by {far:.3} mm", shown(designed(n)));
    let named: Vec<String> = own.iter().take(NAMED).map(place).collect();
    let (limit, first) = (followed.limits.node, if own.is_empty() { "" } else { "; the farthest are " });
    let text = format!(
        "the lattice{} is displaced as a whole, {far} of {} nodes with it by more than {limit} strut diameters, up to {farthest_mm:.3} mm{stretched}; \
         off the lattice around them by more than {limit} strut diameters are {} nodes{first}{}",
        about.place(),
        nodes.len(),
        own.len(),
        named.join(", ")
    );
    Some(Finding::note("lattice.displaced", text).clause(CLAUSE))
}

/// From which size on residue is told.
fn floor(residue: &Residue, what: &str) -> String {
    let Residue { clearance_mm, least_mm3, step_mm, wanted_mm, .. } = residue;
    let coarse = wanted_mm.map_or_else(String::new, |wanted| {
        format!(" (looked for on cells of {step_mm:.3} mm, since those of {wanted:.3} mm that the {what} ask for are too many for the memory: raise --memory or cut the part)")
    });
    format!("material counts as away from {what} from {clearance_mm:.3} mm beside them and {least_mm3:.2e} mm³ on{coarse}")
}

/// What the scan could have shown.
fn of_limits(followed: &Followed, residue: &Residue) -> Finding {
    let (told, stated) = (followed.told_gap_mm(), followed.limits.gap_mm);
    let text = format!("struts are broken from gaps of {told:.3} mm on; {}", floor(residue, "struts"))
        + &match (&residue.no_windows, residue.windows.len()) {
            (Some(why), _) => format!("; no window was looked at: {why}"),
            (None, 0) => "; no window was looked at, since no three to six struts make a ring".into(),
            (None, n) => format!("; {n} windows were looked at, rings of three to six struts that are no sum of shorter ones"),
        };
    let finding = match told > stated {
        true => Finding::qualify(
            "lattice.struts",
            format!("{text}; gaps from the {stated} mm stated to there are not told: scan with smaller voxels"),
        ),
        false => Finding::note("lattice.struts", text),
    };
    finding.clause(CLAUSE)
}

fn no_cell(within: &str) -> Finding {
    let text = format!(
        "the struts of the design{within} repeat in no three directions; their unit cell is unknown: a region that holds one kind of cell may have one"
    );
    Finding::note("lattice.unit_cell", text).clause(CLAUSE)
}

fn finding(code: &str, what: &str, first: &str, places: impl Iterator<Item = String>) -> Option<Finding> {
    let places: Vec<String> = places.take(NAMED).collect();
    (!places.is_empty()).then(|| Finding::qualify(code, format!("{what}; {first} {}", places.join(", "))).clause(CLAUSE))
}

fn shown(p: &Point3<f64>) -> String {
    format!("({:.2}, {:.2}, {:.2})", p.x, p.y, p.z)
}
