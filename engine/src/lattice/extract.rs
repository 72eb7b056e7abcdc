//! Designed struts found in the nominal's mesh, where no list gives them.
//!
//! The skeleton of the solid on a lattice of cells (see `thinning`) becomes a graph; each of its straight pieces is a candidate. Candidates
//! are moved onto the middles of their round sections and followed in the nominal itself as built struts are: what is cut in closed,
//! round sections of an even diameter is a strut, plates and solids are not. Axes and diameters come from the sections, ends and nodes
//! from the axes (see `ends`), so neither depends on the cells. Cells are refined until the thinnest strut is some across.
//! Where that takes more cells than there may be, the finest lattice counts and the findings say so.
//! Stated bound: nodes within a tenth, diameters within two hundredths of the diameter, for struts of at least one and a half diameters
//! between nodes; a strut that alone enters a plate ends where its axis does. Known limits: a bend along a strut and a change of its
//! diameter are no nodes; struts that lie in the face of a plate are part of it. A list of struts has none of these limits.

use std::f64::consts::PI;

use nalgebra::Point2;
use rayon::prelude::*;

use super::design::{Design, Segment};
use super::ends::joined;
use super::graph::graph;
use super::section::{Along, Curve, sections};
use super::thinning::skeleton;
use super::trace::{Built, Fitted, Section, State, Traced, trace};
use super::{FaultLimits, Grain, LatticeError, Noise};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::kernels::{Border, distance_transform};
use crate::runtime::Runtime;
use crate::solid::{Columns, Lattice, PHASES};

/// Cells across the thinnest strut.
const ACROSS: f64 = 6.0;
/// Cells of a lattice at most; a lattice has some ten bytes a cell.
const MOST_CELLS: f64 = (1u64 << 27) as f64;
/// Step by which the finest lattice is looked for.
const FINER: f64 = 1.02;
/// A strut is at least this many diameters long.
const SLENDER: f64 = 1.5;
/// A round section encloses at least this share of what a circle of its length would; a square has 0.79, a plate of one to four 0.50.
const ROUND: f64 = 0.7;
/// Places along a candidate where round sections are looked for.
const LOOKED_AT: [f64; 7] = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
/// A strut is as thick as the balls of the skeleton, which lies up to two cells beside the axis, within these factors, nowhere thinner than
/// this share of its mean, and this straight.
const THICK: [f64; 2] = [0.6, 2.5];
const EVEN: f64 = 0.6;
const STRAIGHT: f64 = 0.2;

/// Bytes a cell at most: distances, their order and the skeleton.
const BYTES_PER_CELL: u64 = 10;

/// The designed struts of a closed nominal.
pub fn extract(nominal: &MeshDistance, rt: &Runtime) -> Result<Design, Error> {
    on_cells(nominal, MOST_CELLS, rt)
}

/// Why the stated bound need not hold: the thinnest strut has too few cells across.
pub(super) fn too_coarse(design: &Design) -> Option<String> {
    let (cell_mm, thinnest) = (design.found_on_mm?, thinnest_mm(design));
    let text = format!(
        "the struts were found on cells of {cell_mm:.4} mm, the thinnest is {thinnest:.4} mm thick: with less than {ACROSS} cells across some may be left out: give a list of the struts, or cut the lattice out"
    );
    (thinnest < ACROSS * cell_mm).then_some(text)
}

fn thinnest_mm(design: &Design) -> f64 {
    design.struts().iter().map(|s| s.diameter_mm).fold(f64::INFINITY, f64::min)
}

fn on_cells(nominal: &MeshDistance, most_cells: f64, rt: &Runtime) -> Result<Design, Error> {
    let (mesh, bounds) = (nominal.mesh(), nominal.mesh().bounds());
    if mesh.volume_mm3().is_nan() || mesh.volume_mm3() <= 0.0 {
        return Err(LatticeError::NoSolid.into());
    }
    // Rods of diameter D have D = 4 V / A; what is solid beside them makes this larger.
    let thickness = 4.0 * mesh.volume_mm3() / mesh.area_mm2();
    let cells = |step: f64| (bounds.max - bounds.min).iter().map(|l| l / step + 4.0).product::<f64>();
    let mut finest_mm = bounds.diagonal_mm() / 1000.0;
    while cells(finest_mm) > most_cells {
        finest_mm *= FINER;
    }
    let mut step_mm = (thickness / ACROSS).max(finest_mm);
    let mut best: Option<Design> = None;
    loop {
        rt.afford("the skeleton of the design", BYTES_PER_CELL * cells(step_mm) as u64)?;
        let found = on_lattice(nominal, step_mm, rt)?;
        let thinnest = found.as_ref().map_or(f64::INFINITY, thinnest_mm);
        let enough = thinnest.is_finite() && thinnest >= ACROSS * step_mm;
        best = found.map(|design| design.found_on(step_mm)).or(best);
        if enough || step_mm <= finest_mm {
            return best.ok_or_else(|| LatticeError::NoStruts { step_mm }.into());
        }
        let next = if thinnest.is_finite() { (thinnest / ACROSS * 0.99).min(0.7 * step_mm) } else { 0.5 * step_mm };
        step_mm = next.max(finest_mm);
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
    let built = Built {
        surface: nominal,
        nominal,
        cut_mm: vec![],
        resolved_mm: 0.0,
        grain: Grain::Cells(step_mm),
        view: None,
        noise: Noise::of_points(0.0, step_mm),
        keeps_slices: false,
    };
    let candidates: Vec<Segment> = (graph.pieces.iter().filter(|p| p.radius_mm > 0.0))
        .map(|p| Segment { from: graph.nodes[p.ends[0]], to: graph.nodes[p.ends[1]], radius_mm: p.radius_mm })
        .filter(|s| s.length_mm() >= 2.0 * SLENDER * s.radius_mm)
        .collect();
    let struts: Vec<Traced> = candidates.par_iter().filter_map(|s| as_strut(&centred(s, nominal)?, &built)).collect();
    let Some(first) = joined(&struts, nominal)? else { return Ok(None) };
    // Once more along the better axes.
    let again: Vec<Traced> = first.segments().par_iter().map(|s| traced(s, &built)).collect();
    Ok(joined(&again, nominal)?)
}

/// A strut followed by itself: what stands beside it is seen in the nominal.
fn traced(own: &Segment, built: &Built) -> Traced {
    trace(own, own, &[], built, &FaultLimits { thin: 0.0, gap_mm: f64::INFINITY, node: f64::INFINITY })
}

/// The middle of a candidate, moved onto the middles of its round sections and as thick as these: a skeleton lies up to a cell or two beside
/// the axis, and a free end is rounded.
fn centred(candidate: &Segment, nominal: &MeshDistance) -> Option<Segment> {
    let along = Along::new(candidate.from, candidate.axis());
    let heights = LOOKED_AT.map(|t| t * candidate.length_mm());
    let reach = 2.0 * THICK[1] * candidate.radius_mm;
    let triangles = nominal.reaching_into(&candidate.hull(reach));
    let own = |(curves, height_mm): (Vec<Curve>, f64)| {
        let round = |c: &Curve| 4.0 * PI * c.area_mm2 >= ROUND * c.length_mm * c.length_mm;
        let near = curves.iter().filter(|c| c.closed && c.area_mm2 > 0.0 && round(c) && c.reach_mm <= reach);
        let own = near.min_by(|a, b| a.centroid.coords.norm().total_cmp(&b.centroid.coords.norm()))?;
        Some(Section { height_mm, centre: own.centroid.coords, area_mm2: own.area_mm2, length_mm: own.length_mm })
    };
    let mut found: Vec<Section> =
        sections(nominal.mesh(), &triangles, &[], &along, &heights).into_iter().zip(heights).filter_map(own).collect();
    let mut areas: Vec<f64> = found.iter().map(|s| s.area_mm2).collect();
    areas.sort_unstable_by(f64::total_cmp);
    let area = *areas.get(areas.len() / 2)?;
    found.retain(|s| (EVEN..=1.0 / EVEN).contains(&(s.area_mm2 / area)));
    let radius_mm = (area / PI).sqrt();
    let slender = candidate.length_mm() >= 2.0 * SLENDER * radius_mm;
    if found.len() < 2 || !slender || !(THICK[0]..=THICK[1]).contains(&(radius_mm / candidate.radius_mm)) {
        return None;
    }
    let line = Fitted::of(&found);
    let on_line = |height: f64| along.place(&Point2::from(line.at(height)), height);
    Some(Segment { from: on_line(heights[0]), to: on_line(heights[heights.len() - 1]), radius_mm })
}

/// The candidate as followed, if it is straight and even.
fn as_strut(own: &Segment, built: &Built) -> Option<Traced> {
    let traced = traced(own, built);
    let (Some(d), Some(least), Some(waviness), State::Present) =
        (traced.diameter_mm, traced.smallest_diameter_mm, traced.waviness_mm, traced.state)
    else {
        return None;
    };
    (least >= EVEN * d && waviness <= STRAIGHT * d && traced.absent == 0.0).then_some(traced)
}

#[cfg(test)]
mod tests {
    use nalgebra::Point3;

    use super::*;
    use crate::frame::Bounds;
    use crate::phantom::struts::{Framework, Rods, UnitCell};
    use crate::phantom::{Fineness, Solid, surface_mesh};

    fn cube(rods: bool) -> MeshDistance {
        let f = Framework::of(UnitCell::SimpleCubic, [1; 3], [4.0; 3], 0.4);
        let ball = Solid::Ball { centre: Point3::from([2.0; 3]), radius_mm: 1.5 };
        let solid = if rods { Solid::Rods(Rods::new(f.rods())) } else { ball };
        let bounds = Bounds { min: Point3::from([-0.6; 3]), max: Point3::from([4.6; 3]) };
        MeshDistance::build(&surface_mesh(&solid, &bounds, Fineness { cell_mm: 0.1, simplify_mm: None }).unwrap())
    }

    #[test]
    fn struts_are_looked_for_on_the_finest_cells_there_may_be_and_too_few_across_are_told() {
        let (nominal, rt) = (cube(true), Runtime::cpu());
        let fine = on_cells(&nominal, MOST_CELLS, &rt).unwrap();
        assert!(fine.struts().len() == 12 && too_coarse(&fine).is_none());
        // Four across, where six are wanted: the finest cells that are few enough, on steps of a fiftieth.
        let coarse = on_cells(&nominal, 1.2e5, &rt).unwrap();
        assert_eq!(coarse.struts().len(), 12);
        let step = coarse.found_on_mm.unwrap();
        let cells = |side: f64, step: f64| (0..3).map(|_| side / step + 4.0).product::<f64>();
        assert!(cells(4.4, step) < 1.21e5 && cells(4.4, step / FINER) > 1.19e5, "{step}");
        assert!(too_coarse(&coarse).unwrap().contains(&format!("{step:.4} mm")));
        // What has no struts is refused with the cells that it was looked for on.
        let error = on_cells(&cube(false), 1.2e5, &rt).unwrap_err();
        let told: f64 = error.message.split("down to ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(error.code == "lattice.no_struts" && cells(3.0, told) < 1.22e5 && cells(3.0, told / FINER) > 1.18e5, "{error}");
    }

    #[test]
    fn a_nominal_turned_inside_out_has_no_solid_and_memory_is_asked_for_first() {
        let nominal = cube(true);
        let mesh = nominal.mesh();
        let turned: Vec<[u32; 3]> = mesh.triangles().iter().map(|[a, b, c]| [*a, *c, *b]).collect();
        let inside_out = MeshDistance::build(&crate::mesh::Mesh::new(mesh.vertices().to_vec(), turned).unwrap());
        assert_eq!(extract(&inside_out, &Runtime::cpu()).unwrap_err().code, "lattice.no_solid");
        let short = Runtime::cpu().memory_budget(Some(Runtime::overhead_bytes() + (1 << 20)));
        assert_eq!(extract(&nominal, &short).unwrap_err().code, "memory.budget");
    }
}
