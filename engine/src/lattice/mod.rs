//! Lattices of struts or of walls, designed against built.
//!
//! Task: which struts are there, broken, thin or missing; their diameters along them, how straight they are, where their nodes lie; of walls
//! where they are open or thin; how the lattice repeats, and what material lies where none was designed. Method: the designed graph is a
//! list ([`Design::parse`]) or found in the nominal ([`extract`]), unless this is a sheet lattice ([`Sheet`]). Planes across each designed
//! axis, displaced as the built lattice is (`carried`), cut the aligned surface (`trace`), curves give area-equivalent diameters and centres;
//! nodes are where centre lines meet (`nodes`). Walls are looked up place by place (`walls`), cells measured by walls matched with their like
//! (`matched`); residue is what a lattice of cells shows away from the nominal and the built struts (`residue`).
//! Accepts closed or open meshes in the nominal frame; what a lattice is made of is found in closed ones. What the scan does not resolve is
//! not measured. Known limits: struts displaced against the struts around them by more than half the way to their neighbours are taken for
//! missing; a diameter of a leaning strut is corrected for its lean to first order.
//! Cost: some hundred sections a strut, tens of microseconds each, twice where it is displaced, and as much for each place on a wall.

mod carried;
mod cell;
mod design;
mod ends;
mod extract;
mod findings;
mod forms;
mod graph;
mod map;
mod matched;
mod nodes;
mod noise;
mod periods;
mod pieces;
mod residue;
mod rings;
mod room;
mod section;
mod sheet;
mod slices;
mod stretch;
mod table;
mod thinning;
mod trace;
mod view;
mod walls;
mod windows;

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;
use thiserror::Error as ThisError;

use carried::Carried;
pub(crate) use cell::cell;
pub use cell::{Cell, UnitCell};
pub use design::{Design, MAX_BYTES, Segment, Strut};
pub use extract::extract;
pub(crate) use findings::{About, findings};
pub use map::map;
pub use matched::Period;
pub use nodes::Node;
pub use noise::Noise;
pub use pieces::Astray;
pub(crate) use residue::residue;
pub use residue::{Body, Residue};
pub(crate) use sheet::periods;
pub use sheet::{Sheet, Site};
pub use slices::{Profile, Shows, Slice};
pub(crate) use stretch::Stretch;
pub use table::Table;
pub use trace::{Line, State, Traced};
pub use view::{Grain, View};
pub(crate) use walls::MOST_BEYOND;
pub use walls::{Block, Break, Seen, Walls};
pub use windows::Window;

use crate::distance::MeshDistance;
use crate::error::Error;
use crate::mesh::Bulge;
use crate::runtime::Runtime;

/// Why there are no struts to follow.
#[derive(Clone, Debug, PartialEq, ThisError)]
pub enum LatticeError {
    #[error("the strut list has {bytes} bytes, allowed are {MAX_BYTES}: split the part or leave digits out")]
    TooLarge { bytes: usize },
    #[error("the strut list is not {{\"nodes\": [[x, y, z], …], \"struts\": [[node, node, diameter], …]}}: {detail}; correct the JSON")]
    Syntax { detail: String },
    #[error("the strut list has {found} {what}, allowed are 1 to 100000: give the lattice alone, or split it")]
    Count { what: &'static str, found: usize },
    #[error("node {node} of the strut list lies at no finite place below 1e6 mm: state it in millimetres of the nominal frame")]
    Place { node: usize },
    #[error("strut {strut} of the strut list ends at node {node}, allowed are 0 to {last}: nodes count from 0")]
    NoNode { strut: usize, node: u32, last: usize },
    #[error("strut {strut} of the strut list is {found} mm thick, allowed are diameters above 0: correct it")]
    Diameter { strut: usize, found: String },
    #[error("strut {strut} of the strut list begins where it ends; its two nodes must lie apart: remove or correct it")]
    NoLength { strut: usize },
    #[error("struts {first} and {strut} of the strut list join the same nodes: keep one of them")]
    Twice { strut: usize, first: usize },
    #[error("the nominal encloses no volume, so no struts are found in it: close the mesh, or give a list of its struts")]
    NoSolid,
    #[error("no struts were found in the nominal on cells down to {step_mm:.4} mm: give a list of its struts, or cut the lattice out")]
    NoStruts { step_mm: f64 },
    #[error("strut {strut} of the strut list lies outside the nominal: state nodes in millimetres of the nominal frame")]
    Outside { strut: usize },
    #[error("the limit {name} of struts is {found}, allowed is {allowed}: correct it")]
    Limit { name: &'static str, found: String, allowed: &'static str },
    #[error("more than 1024 struts run beside strut {strut} within two of its diameters: correct the unit of the diameters")]
    Crowded { strut: usize },
}

impl LatticeError {
    pub fn code(&self) -> &'static str {
        match self {
            LatticeError::TooLarge { .. } => "lattice.too_large",
            LatticeError::Syntax { .. } => "lattice.syntax",
            LatticeError::Count { .. } => "lattice.count",
            LatticeError::Place { .. } => "lattice.place",
            LatticeError::NoNode { .. } => "lattice.no_node",
            LatticeError::Diameter { .. } => "lattice.diameter",
            LatticeError::NoLength { .. } => "lattice.no_length",
            LatticeError::Twice { .. } => "lattice.twice",
            LatticeError::NoSolid => "lattice.no_solid",
            LatticeError::NoStruts { .. } => "lattice.no_struts",
            LatticeError::Outside { .. } => "lattice.outside",
            LatticeError::Limit { .. } => "lattice.limit",
            LatticeError::Crowded { .. } => "lattice.crowded",
        }
    }
}

impl From<LatticeError> for Error {
    fn from(e: LatticeError) -> Self {
        Error::input(e.code(), e.to_string())
    }
}

/// From when on a deviation of a strut is a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultLimits {
    /// A strut below this share of its designed diameter is thin.
    pub thin: f64,
    /// A strut with a gap of this length is broken, mm; gaps below three quarters of a cell of the scan are never told.
    pub gap_mm: f64,
    /// A node displaced by more than this share of the diameter of its struts is told.
    pub node: f64,
}

impl FaultLimits {
    /// The first limit that is none: its name, what it is, and what is allowed.
    pub fn fault(&self) -> Option<(&'static str, f64, &'static str)> {
        let FaultLimits { thin, gap_mm, node } = *self;
        [
            ("thin", thin, (0.0..=1.0).contains(&thin), "a share of the diameter, 0 to 1"),
            ("gap", gap_mm, gap_mm.is_finite() && gap_mm >= 0.0, "a finite number, 0 or more (mm)"),
            ("node", node, node.is_finite() && node > 0.0, "a number of diameters above 0"),
        ]
        .into_iter()
        .find(|(_, _, fits, _)| !fits)
        .map(|(name, found, _, allowed)| (name, found, allowed))
    }

    /// Refuses what is no limit.
    pub fn checked(self) -> Result<FaultLimits, LatticeError> {
        match self.fault() {
            Some((name, found, allowed)) => Err(LatticeError::Limit { name, found: found.to_string(), allowed }),
            None => Ok(self),
        }
    }
}

impl Default for FaultLimits {
    fn default() -> Self {
        FaultLimits { thin: 0.8, gap_mm: 0.1, node: 0.5 }
    }
}

/// What is known of the built surface beside its triangles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scan {
    /// Thinnest strut whose diameter is unbiased, mm.
    pub resolved_mm: f64,
    /// Edge of a cell of the scan, mm.
    pub cell_mm: f64,
    /// What struts are followed in.
    pub grain: Grain,
    /// How far the image reaches; `None` of a mesh.
    pub view: Option<View>,
    pub noise: Noise,
    /// Vertices lie on a smooth surface, so that what facets cut off is known from their normals.
    pub smooth: bool,
    /// Whether what planes show along struts is kept for the table of sections.
    pub keeps_slices: bool,
}

/// A lattice as designed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Designed {
    Struts(Design),
    Sheet(Sheet),
}

/// What the nominal is made of: walls that repeat, or struts. Walls are looked at in steps of at most `step_mm`.
pub(crate) fn designed(nominal: &MeshDistance, step_mm: f64, rt: &Runtime) -> Result<Designed, Error> {
    Ok(match sheet::sheet(nominal, step_mm, rt)? {
        Some(sheet) => Designed::Sheet(sheet),
        None => Designed::Struts(extract(nominal, rt)?),
    })
}

/// A lattice as built.
#[derive(Clone, Debug, PartialEq)]
pub enum AsBuilt {
    Struts(Followed),
    Walls(Walls),
}

impl AsBuilt {
    /// Every designed strut or wall in the built surface, given in the nominal's frame.
    pub(crate) fn of(
        designed: &Designed,
        nominal: &MeshDistance,
        (surface, bulge): (&MeshDistance, Option<&Bulge>),
        scan: &Scan,
        limits: &FaultLimits,
        rt: &Runtime,
    ) -> Result<AsBuilt, Error> {
        Ok(match designed {
            Designed::Struts(design) => AsBuilt::Struts(follow(design, nominal, surface, scan, limits, rt)?),
            Designed::Sheet(sheet) => AsBuilt::Walls(walls::walls(sheet, surface, bulge, scan, limits, rt)?),
        })
    }

    /// Places at fault with what they are, at most so many.
    pub fn faults(&self, most: usize) -> Vec<(Point3<f64>, String)> {
        match self {
            AsBuilt::Struts(followed) => (0..followed.struts.len())
                .filter(|&s| followed.struts[s].state.is_bad())
                .take(most)
                .map(|s| (followed.design.segment(s).middle(), format!("{} {s}", followed.struts[s].state.name())))
                .collect(),
            AsBuilt::Walls(walls) => {
                let told = walls.breaks.iter().enumerate().take(most);
                told.map(|(n, b)| (b.centre, format!("hole {n}"))).collect()
            }
        }
    }
}

/// Every designed strut and node as built.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    pub design: Design,
    /// The design displaced as the built lattice is, node by node as those around it, where that is more than sections of its struts absorb.
    pub carried: Design,
    pub limits: FaultLimits,
    pub struts: Vec<Traced>,
    pub nodes: Vec<Node>,
    /// Pieces of which nothing is measured, since they fit as well a period away.
    pub astray: Vec<Astray>,
}

/// Struts followed between two looks at the caller's wish to stop.
const BATCH: usize = 512;

/// Follows every strut of a design in the built surface, given in the nominal's frame.
pub(crate) fn follow(
    design: &Design,
    nominal: &MeshDistance,
    surface: &MeshDistance,
    scan: &Scan,
    limits: &FaultLimits,
    rt: &Runtime,
) -> Result<Followed, Error> {
    let built = trace::Built {
        surface,
        nominal,
        cut_mm: if scan.smooth { section::cut_heights(surface.mesh()) } else { vec![] },
        resolved_mm: scan.resolved_mm,
        grain: scan.grain,
        view: scan.view,
        noise: scan.noise,
        keeps_slices: scan.keeps_slices,
    };
    let (segments, beside) = (design.segments(), design.beside(trace::REACH)?);
    if scan.keeps_slices {
        rt.afford("the sections of the struts", segments.iter().map(|s| trace::slices_bytes(s, scan.grain, limits.gap_mm)).sum())?;
    }
    let (mut done, most) = (0, carried::MOST_PASSES * segments.len());
    let follow = |chosen: &[usize], at: &[Segment]| -> Result<Vec<Traced>, Error> {
        let mut struts = Vec::with_capacity(chosen.len());
        for (chosen, at) in chosen.chunks(BATCH).zip(at.chunks(BATCH)) {
            rt.step("struts", done as f64 / most as f64)?;
            done += chosen.len();
            let of = |(&s, at): (&usize, &Segment)| {
                let near: Vec<Segment> = beside[s].iter().map(|&n| segments[n as usize]).collect();
                trace::trace(&segments[s], at, &near, &built, limits)
            };
            struts.extend(chosen.par_iter().zip(at).map(of).collect::<Vec<_>>());
        }
        Ok(struts)
    };
    let Carried { design: carried, mut struts, mut nodes } = Carried::of(design, follow)?;
    let astray = pieces::astray(design, &carried, &struts, [nominal, surface]);
    for Astray { struts: piece, by } in &astray {
        for &s in piece {
            let reason = format!("the piece of the lattice that it belongs to fits as well {}", away(by));
            (struts[s].state, struts[s].reason) = (State::Unmeasured, Some(reason));
            design.struts()[s].ends.iter().for_each(|&n| nodes[n as usize].offset = None);
        }
    }
    Ok(Followed { design: design.clone(), carried, limits: *limits, struts, nodes, astray })
}

/// By how much a piece is astray, and what to do about it.
fn away(by: &Vector3<f64>) -> String {
    format!("a period away, by ({:.3}, {:.3}, {:.3}) mm: align by what is known to be in place, or cut the piece out", by.x, by.y, by.z)
}

impl Followed {
    /// Gaps of this length and more are told in every strut that is measured, mm.
    pub fn told_gap_mm(&self) -> f64 {
        let measured = self.struts.iter().filter(|t| t.state != State::Unmeasured);
        measured.map(|t| t.told_gap_mm(&self.limits)).fold(self.limits.gap_mm, f64::max)
    }

    /// A strut as built: along its centre line where that is known, elsewhere as the lattice around it is.
    pub fn built_segment(&self, strut: usize) -> Segment {
        let (carried, traced) = (self.carried.segment(strut), &self.struts[strut]);
        let Some(line) = &traced.line else { return carried };
        let on_line = |p: &Point3<f64>| line.place + line.direction * (p - line.place).dot(&line.direction);
        let radius_mm = traced.diameter_mm.map_or(carried.radius_mm, |d| 0.5 * d);
        Segment { from: on_line(&carried.from), to: on_line(&carried.to), radius_mm }
    }

    /// The struts of pieces that fit as well a period away, there.
    fn astray(&self) -> impl Iterator<Item = Segment> {
        self.astray.iter().flat_map(|piece| {
            piece.struts.iter().map(|&s| {
                let at = self.carried.segment(s);
                Segment { from: at.from + piece.by, to: at.to + piece.by, ..at }
            })
        })
    }

    /// How far each node may be displaced, by the thickest of its struts, mm; 0 where none end.
    pub fn node_limits_mm(&self) -> Vec<f64> {
        let mut limits = vec![0.0f64; self.nodes.len()];
        for strut in self.design.struts() {
            strut.ends.iter().for_each(|&n| limits[n as usize] = limits[n as usize].max(self.limits.node * strut.diameter_mm));
        }
        limits
    }

    /// Nodes displaced by more than their limit, with the distance, farthest first.
    pub fn shifted_nodes(&self) -> Vec<(usize, f64)> {
        self.beyond_limit(|n| self.nodes[n].offset)
    }

    /// Nodes that lie off the lattice around them by more than their limit, with the distance, farthest first.
    pub fn nodes_off_the_lattice(&self) -> Vec<(usize, f64)> {
        self.beyond_limit(|n| self.nodes[n].offset.map(|o| o - self.carried_by(n)))
    }

    /// Nodes that the lattice around them carries farther than their limit, with the distance, farthest first.
    pub fn carried_nodes(&self) -> Vec<(usize, f64)> {
        self.beyond_limit(|n| Some(self.carried_by(n)))
    }

    fn carried_by(&self, n: usize) -> Vector3<f64> {
        self.carried.nodes()[n] - self.design.nodes()[n]
    }

    fn beyond_limit(&self, way: impl Fn(usize) -> Option<Vector3<f64>>) -> Vec<(usize, f64)> {
        let limits = self.node_limits_mm();
        let far = |n: usize| way(n).map(|o| (n, o.norm())).filter(|(_, d)| *d > limits[n]);
        let mut found: Vec<(usize, f64)> = (0..self.nodes.len()).filter_map(far).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found
    }
}
