//! Designed struts found in the nominal's mesh, where no list gives them.
//!
//! The skeleton of the solid on a lattice of cells (see `thinning`) becomes a graph; each of its straight pieces is a candidate. Candidates
//! are then followed in the nominal itself as built struts are: what is cut in closed, roundish sections of an even diameter is a
//! strut, plates and solids are not. Axes and diameters come from the sections, nodes from where the axes meet, so neither
//! depends on the cells. Cells are refined until the thinnest strut is some across.
//! Stated bound: nodes within a tenth, diameters within two hundredths of the diameter, for struts of at least one and a half diameters
//! between nodes. Known limits: a bend along a strut and a change of its diameter are no nodes; a strut that ends in a solid ends
//! where the skeleton enters it; where twelve struts meet (octets), one may be lost. A list of struts has none of these limits.

use nalgebra::Point3;
use rayon::prelude::*;

use super::design::{Design, Segment, Strut};
use super::graph::graph;
use super::section::{Along, sections};
use super::thinning::skeleton;
use super::trace::{Built, REACH, State, Traced, trace};
use super::{FaultLimits, LatticeError, nodes};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::kernels::{Border, distance_transform};
use crate::runtime::Runtime;
use crate::solid::{Columns, Lattice, PHASES};

/// Cells across the thinnest strut.
const ACROSS: f64 = 6.0;
/// Cells of a lattice at most; a lattice has some ten bytes a cell.
const MOST_CELLS: f64 = (1u64 << 27) as f64;
/// A strut is at least this many diameters long.
const SLENDER: f64 = 1.5;
/// A round section encloses at least this share of what a circle of its length would; a square has 0.79, a plate of one to four 0.50.
const ROUND: f64 = 0.7;
/// Places along a strut whose sections must be round.
const LOOKED_AT: [f64; 3] = [0.4, 0.5, 0.6];
/// A strut is as thick as the balls of the skeleton within these factors, nowhere thinner than this share of its mean, and this straight.
const THICK: [f64; 2] = [0.6, 1.6];
const EVEN: f64 = 0.6;
const STRAIGHT: f64 = 0.2;

/// The designed struts of a closed nominal.
pub fn extract(nominal: &MeshDistance, rt: &Runtime) -> Result<Design, Error> {
    let (mesh, bounds) = (nominal.mesh(), nominal.mesh().bounds());
    // Rods of diameter D have D = 4 V / A; what is solid beside them makes this larger.
    let thickness = 4.0 * mesh.volume_mm3() / mesh.area_mm2();
    let cells = |step: f64| (bounds.max - bounds.min).iter().map(|l| l / step + 4.0).product::<f64>();
    let mut step_mm = (thickness / ACROSS).max(bounds.diagonal_mm() / 1000.0);
    if step_mm.is_nan() || step_mm <= 0.0 {
        return Err(LatticeError::NoSolid.into());
    }
    let mut best: Option<Design> = None;
    loop {
        let affordable = cells(step_mm) <= MOST_CELLS;
        if !affordable {
            return best.ok_or_else(|| LatticeError::NoStruts { step_mm: 2.0 * step_mm }.into());
        }
        let found = on_lattice(nominal, step_mm, rt)?;
        let thinnest = found.iter().flat_map(|d| d.struts()).map(|s| s.diameter_mm).fold(f64::INFINITY, f64::min);
        let enough = thinnest.is_finite() && thinnest >= ACROSS * step_mm;
        best = found.or(best);
        if let Some(design) = best.take_if(|_| enough) {
            return Ok(design);
        }
        step_mm = if thinnest.is_finite() { (thinnest / ACROSS * 0.99).min(0.7 * step_mm) } else { 0.5 * step_mm };
    }
}

fn on_lattice(nominal: &MeshDistance, step_mm: f64, rt: &Runtime) -> Result<Option<Design>, Error> {
    rt.step("skeleton", 0.0)?;
    let lattice = Lattice::covering(&nominal.mesh().bounds(), step_mm, PHASES[0]);
    let mask = Columns::of(nominal.mesh(), lattice).mask()?;
    let squares = distance_transform(&mask, Border::Unknown, rt)?;
    rt.step("skeleton", 0.2)?;
    let cells = skeleton(&mask, &squares);
    let graph = graph(&cells, &squares, lattice);
    rt.step("skeleton", 0.8)?;
    let built =
        Built { surface: nominal, cut_mm: vec![], resolved_mm: 0.0, step_mm: 0.5 * step_mm, noise_mm: 0.0, noise_length_mm: step_mm };
    let slender = |p: &&super::graph::Piece| {
        let [a, b] = p.ends.map(|e| graph.nodes[e]);
        p.radius_mm > 0.0 && (a - b).norm() >= 2.0 * SLENDER * p.radius_mm
    };
    let candidates: Vec<Strut> =
        (graph.pieces.iter().filter(slender)).map(|p| Strut { ends: p.ends.map(|e| e as u32), diameter_mm: 2.0 * p.radius_mm }).collect();
    let Some(first) = compacted(&graph.nodes, candidates) else { return Ok(None) };
    let traced = followed(&first, &built)?;
    let is_strut = |s: &usize| looks_like_a_strut(&first.segment(*s), &traced[*s], &built);
    let kept: Vec<usize> = (0..traced.len()).into_par_iter().filter(is_strut).collect();
    let Some(second) = refined(&first, &traced, &kept) else { return Ok(None) };
    // Once more along the better axes.
    let traced = followed(&second, &built)?;
    let all: Vec<usize> = (0..traced.len()).filter(|&s| traced[s].diameter_mm.is_some()).collect();
    Ok(refined(&second, &traced, &all))
}

fn followed(design: &Design, built: &Built) -> Result<Vec<Traced>, Error> {
    let (segments, beside) = (design.segments(), design.beside(REACH)?);
    let any = FaultLimits { thin: 0.0, gap_mm: f64::INFINITY, node: f64::INFINITY };
    let of = |s: usize| {
        let near: Vec<Segment> = beside[s].iter().map(|&n| segments[n as usize]).collect();
        trace(&segments[s], &near, built, &any)
    };
    Ok((0..segments.len()).into_par_iter().map(of).collect())
}

fn looks_like_a_strut(own: &Segment, traced: &Traced, built: &Built) -> bool {
    let (Some(d), Some(least), Some(waviness), State::Present) =
        (traced.diameter_mm, traced.smallest_diameter_mm, traced.waviness_mm, traced.state)
    else {
        return false;
    };
    let thick = d / (2.0 * own.radius_mm);
    let even = (THICK[0]..=THICK[1]).contains(&thick) && least >= EVEN * d && waviness <= STRAIGHT * d && traced.absent == 0.0;
    even && own.length_mm() >= SLENDER * d && is_round(own, d, built)
}

fn is_round(own: &Segment, diameter_mm: f64, built: &Built) -> bool {
    let along = Along::new(own.from, own.axis());
    let heights = LOOKED_AT.map(|t| t * own.length_mm());
    let triangles = built.surface.reaching_into(&own.hull(diameter_mm));
    let round = |curves: &Vec<super::section::Curve>| {
        let own = curves.iter().filter(|c| c.closed && c.area_mm2 > 0.0 && c.centroid.coords.norm() < 0.5 * diameter_mm);
        own.min_by(|a, b| a.centroid.coords.norm().total_cmp(&b.centroid.coords.norm()))
            .is_some_and(|c| 4.0 * std::f64::consts::PI * c.area_mm2 >= ROUND * c.length_mm * c.length_mm)
    };
    sections(built.surface.mesh(), &triangles, &[], &along, &heights).iter().any(round)
}

/// Some struts of a design along their measured axes: nodes where these meet, or beside where they were on the only one.
fn refined(design: &Design, traced: &[Traced], kept: &[usize]) -> Option<Design> {
    let mut places = design.nodes().to_vec();
    let chosen: Vec<Strut> = kept.iter().map(|&s| design.struts()[s]).collect();
    let measured: Vec<Traced> = kept.iter().map(|&s| traced[s].clone()).collect();
    let meeting = nodes::nodes(design.nodes(), &chosen, &measured);
    let mut placed = Vec::with_capacity(places.len());
    for (n, place) in places.iter_mut().enumerate() {
        let on_only = || {
            let line = chosen.iter().zip(&measured).find(|(s, _)| s.ends.contains(&(n as u32))).and_then(|(_, t)| t.line)?;
            Some(line.place + line.direction * (*place - line.place).dot(&line.direction))
        };
        let reach = chosen.iter().filter(|s| s.ends.contains(&(n as u32))).map(|s| s.diameter_mm).fold(0.0, f64::max);
        let met = meeting[n].offset.filter(|o| o.norm() <= reach).map(|o| *place + o);
        placed.push((met.is_some(), reach));
        *place = met.or_else(on_only).unwrap_or(*place);
    }
    let one = united(&places, &placed);
    let thick =
        |(s, t): (&Strut, &Traced)| Strut { ends: s.ends.map(|n| one[n as usize]), diameter_mm: t.diameter_mm.unwrap_or(s.diameter_mm) };
    compacted(&places, chosen.iter().zip(&measured).map(thick).collect())
}

/// Nodes that are one: what the skeleton split, its lines bring together again. For every node the one that stands for it. A node is given by
/// whether lines place it, and by the thickest of its struts; one that a single line holds is known along that line to a diameter only.
fn united(places: &[Point3<f64>], placed: &[(bool, f64)]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..places.len()).filter(|&n| placed[n].0).collect();
    order.sort_by(|&a, &b| places[a].x.total_cmp(&places[b].x).then(a.cmp(&b)));
    let within = |n: usize, reach: f64| {
        let first = order.partition_point(|&o| places[o].x < places[n].x - reach);
        let near = order[first..].iter().copied().take_while(move |&o| places[o].x <= places[n].x + reach);
        near.map(move |o| ((places[o] - places[n]).norm(), o)).filter(move |(d, _)| *d <= reach)
    };
    let stands_for = |n: usize| {
        let (lines, thickest) = placed[n];
        let reach = if lines { 0.25 * thickest } else { thickest };
        let other = if lines {
            within(n, reach).map(|(_, o)| o).min()
        } else {
            within(n, reach).min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, o)| o)
        };
        other.unwrap_or(n) as u32
    };
    (0..places.len()).map(stands_for).collect()
}

/// A design of the nodes that struts name; of struts between the same nodes the first.
fn compacted(places: &[Point3<f64>], mut struts: Vec<Strut>) -> Option<Design> {
    struts.retain(|s| s.ends[0] != s.ends[1]);
    struts.iter_mut().for_each(|s| s.ends.sort_unstable());
    let mut seen = std::collections::BTreeSet::new();
    struts.retain(|s| seen.insert(s.ends));
    let mut used: Vec<u32> = struts.iter().flat_map(|s| s.ends).collect();
    used.sort_unstable();
    used.dedup();
    let number = |n: u32| used.partition_point(|&u| u < n) as u32;
    struts.iter_mut().for_each(|s| s.ends = s.ends.map(number));
    Design::new(used.iter().map(|&n| places[n as usize]).collect(), struts).ok()
}
