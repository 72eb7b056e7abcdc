//! `lattice.`: every designed strut or wall against its as-built self.

use nalgebra::{Point3, Vector3};

use crate::case::Case;
use crate::error::Error;
use crate::lattice::{AsBuilt, Break, Followed, MOST_BEYOND, State, Stretch, Traced, Walls};
use crate::noise::normal;
use crate::uncertainty::{Effects, NOISE, OFFSET, POSE, SCALE, SEED, merge};

use super::{Entry, Measured, Scope, Term};

const CLAUSE: &str = "8.3.2.2 b)";
const SECTIONS: &str = "sections across the designed axes, away from nodes";

const fn entry(name: &'static str, unit: &'static str, zh: &'static str, definition: &'static str, measure: super::Measure) -> Entry {
    Entry::new(name, unit, CLAUSE, zh, definition, SECTIONS, measure)
}

pub const ENTRIES: &[Entry] = &[
    entry("lattice.struts", "1", "支柱数", "struts of the design whose middle lies in the region", struts),
    entry("lattice.missing", "1", "缺失支柱数", "struts without material over more than half their length between nodes", missing),
    entry(
        "lattice.broken",
        "1",
        "断裂支柱数",
        "struts with a gap of at least the length stated between solid ends; a free end that lies back is none",
        broken,
    ),
    entry(
        "lattice.thin",
        "1",
        "过细支柱数",
        "struts whose mean area-equivalent diameter is below the share stated of the designed one",
        thin,
    ),
    entry(
        "lattice.strut_diameter_mean",
        "mm",
        "支柱平均直径",
        "mean over the struts that stand whole of their mean area-equivalent diameter",
        diameter_mean,
    ),
    entry(
        "lattice.strut_diameter_sd",
        "mm",
        "支柱直径标准差",
        "standard deviation of the mean area-equivalent diameters of the struts that stand whole",
        diameter_sd,
    ),
    entry(
        "lattice.waviness_rms",
        "mm",
        "支柱波纹度",
        "root mean square distance of the centres of a strut's sections from their straight line, over all struts that stand whole",
        waviness,
    ),
    Entry::new(
        "lattice.node_offset_p95",
        "mm",
        CLAUSE,
        "节点偏移 95 百分位",
        "95th percentile of the distance from a designed node to the built one",
        "points nearest to the centre lines of the struts that meet",
        node_offset,
    ),
    Entry::new(
        "lattice.wall_breaks",
        "1",
        CLAUSE,
        "壁面穿孔数",
        "holes through walls of a sheet lattice, of at least the length stated and a cell of the scan across, with their midst in the region",
        "lines across the designed walls, from place to place of their middles",
        wall_breaks,
    ),
    cell(
        "lattice.cell_a",
        "晶胞 a",
        "length of the lattice vector nearest to x, of the conventional cell where it is rectangular",
        |c, s| cell_length(c, s, 0),
    ),
    cell("lattice.cell_b", "晶胞 b", "length of the lattice vector nearest to y of the others", |c, s| cell_length(c, s, 1)),
    cell("lattice.cell_c", "晶胞 c", "length of the third lattice vector", |c, s| cell_length(c, s, 2)),
];

const CELL: &str = "designed lattice vector, stretched as the measured nodes are (affine least squares); of walls the peak of the built part's own \
                    autocorrelation, refined by walls matched with their like";

const fn cell(name: &'static str, zh: &'static str, definition: &'static str, measure: super::Measure) -> Entry {
    Entry::new(name, "mm", CLAUSE, zh, definition, CELL, measure)
}

/// What a region holds of the lattice.
struct Chosen<'a> {
    case: &'a Case<'a>,
    all: &'a Followed,
    /// With their designed diameters, mm.
    struts: Vec<(&'a Traced, f64)>,
    nodes: Vec<usize>,
}

/// Struts that stand whole, with their diameters, mm.
type Whole<'a> = Vec<(&'a Traced, f64)>;

/// Contributions of what the sections cannot tell.
const SPACING: &str = "section_spacing";
const UNMEASURED: &str = "unmeasured_struts";
const CURVATURE: &str = "curvature";
/// Share of the correction for curvature that stays uncertain. Round struts are fitted as such and leave little of it (in lattices 0.1 at 3 voxels,
/// 0.02 at 5); rough and angular ones are taken for flat edges and corrected, of which the blur, whose square counts, and what other struts add
/// leave up to 0.4 (3 to 15 voxels, lattices as dense as a quarter of their cells). Seen on phantoms, not derived.
const OPEN: f64 = 0.25;

fn over(case: &Case, scope: &Scope, measure: impl Fn(&Chosen) -> Result<Measured, Error>) -> Result<Measured, Error> {
    if let Some(reason) = case.struts_cannot_carry()? {
        return Ok(Measured::not(reason));
    }
    match case.lattice()? {
        AsBuilt::Struts(all) => over_struts(case, all, scope, measure),
        AsBuilt::Walls(_) => Ok(Measured::not("the design is a sheet lattice, which has walls and no struts: ask for its walls")),
    }
}

fn over_struts(
    case: &Case,
    all: &Followed,
    scope: &Scope,
    measure: impl Fn(&Chosen) -> Result<Measured, Error>,
) -> Result<Measured, Error> {
    let inside = |p: &Point3<f64>| scope.region.is_none_or(|(_, region)| region.contains(p));
    let chosen = (0..all.struts.len()).filter(|&s| inside(&all.design.segment(s).middle()));
    let struts: Vec<(&Traced, f64)> = chosen.map(|s| (&all.struts[s], all.design.struts()[s].diameter_mm)).collect();
    if struts.is_empty() {
        return Ok(Measured::not("no strut of the design has its middle in the region: check the region's place in the nominal frame"));
    }
    let nodes = (0..all.nodes.len()).filter(|&n| inside(&all.design.nodes()[n])).collect();
    measure(&Chosen { case, all, struts, nodes })
}

/// Over struts that stand whole, at least so many, and the share that those not measured have in both together.
fn over_whole(
    case: &Case,
    scope: &Scope,
    least: usize,
    measure: impl Fn(&Chosen, &Whole, f64) -> Result<Measured, Error>,
) -> Result<Measured, Error> {
    over(case, scope, |c| {
        if let Err(refused) = c.mostly_measured() {
            return Ok(refused);
        }
        let whole: Whole = c.whole().collect();
        if whole.len() < least {
            return Ok(c.none_whole());
        }
        let unmeasured = c.unmeasured() as f64;
        measure(c, &whole, unmeasured / (unmeasured + whole.len() as f64))
    })
}

impl Chosen<'_> {
    fn traced(&self) -> impl Iterator<Item = &Traced> {
        self.struts.iter().map(|(t, _)| *t)
    }

    /// Struts that stand whole, with their diameters.
    fn whole(&self) -> impl Iterator<Item = (&Traced, f64)> {
        self.traced().filter(|t| t.state.is_whole()).filter_map(|t| t.diameter_mm.map(|d| (t, d)))
    }

    /// Refuses where most struts are not measured.
    fn mostly_measured(&self) -> Result<(), Measured> {
        let unmeasured = self.unmeasured();
        if 2 * unmeasured <= self.struts.len() {
            return Ok(());
        }
        Err(Measured::not(format!("{unmeasured} of {} struts are not measured: {}", self.struts.len(), self.why_unmeasured())))
    }

    fn in_state(&self, state: State) -> usize {
        self.traced().filter(|t| t.state == state).count()
    }

    fn unmeasured(&self) -> usize {
        self.in_state(State::Unmeasured)
    }

    fn why_unmeasured(&self) -> &str {
        self.traced().find_map(|t| t.reason.as_deref()).unwrap_or("no section shows it alone")
    }

    /// Standard uncertainties common to all diameters, mm. Facets of a determined surface are corrected for, those of a mesh are not.
    /// A round strut's diameter is corrected for its blur by σ²/R; a share of that stays open.
    fn common_mm(&self, diameter_mm: f64) -> Result<Vec<Term>, Error> {
        let part = self.case.actual()?;
        let Some(image) = &part.image else { return Ok(vec![Term { name: OFFSET, u: 2.0 * part.surface_u_mm() }]) };
        let blur = 2.0 * image.edge_sigma_mm * image.edge_sigma_mm / diameter_mm;
        Ok(vec![Term { name: OFFSET, u: 2.0 * part.offset_u_mm }, Term { name: CURVATURE, u: OPEN * blur }])
    }

    /// A number of struts; of those that are not measured all or none may count.
    fn count(&self, value: usize, mut terms: Vec<Term>) -> Measured {
        if let Err(refused) = self.mostly_measured() {
            return refused;
        }
        terms.push(Term { name: UNMEASURED, u: self.unmeasured() as f64 / 3.0_f64.sqrt() });
        Measured::Value { value: value as f64, terms: merge(terms) }
    }

    /// Struts that the spacing of the sections may count either way.
    fn undecided(&self, near: impl Fn(&Traced) -> bool) -> Term {
        let count = self.traced().filter(|t| t.state != State::Unmeasured && near(t)).count();
        Term { name: SPACING, u: 0.5 * (count as f64).sqrt() }
    }

    fn none_whole(&self) -> Measured {
        let bad = self.traced().filter(|t| t.state.is_bad()).count();
        let reason = if self.unmeasured() > 0 { self.why_unmeasured() } else { "none of them stands whole" };
        Measured::not(format!("no strut of {} has a diameter ({bad} are missing or broken): {reason}", self.struts.len()))
    }
}

fn struts(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    over(case, scope, |c| Ok(Measured::Value { value: c.struts.len() as f64, terms: vec![] }))
}

fn missing(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    over(case, scope, |c| {
        let near = c.undecided(|t| (t.absent - 0.5).abs() < 0.1);
        Ok(c.count(c.in_state(State::Missing), vec![near]))
    })
}

fn broken(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    over(case, scope, |c| {
        let limits = &c.all.limits;
        let near = c.undecided(|t| t.state != State::Missing && t.gap_mm > 0.0 && (t.gap_mm - t.told_gap_mm(limits)).abs() < t.step_mm);
        Ok(c.count(c.in_state(State::Broken), vec![near]))
    })
}

fn thin(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    over(case, scope, |c| {
        let margin = |&(t, designed): &(&Traced, f64)| {
            t.diameter_mm.filter(|_| t.state.is_whole()).map(|d| (d - c.all.limits.thin * designed, t.diameter_noise_mm))
        };
        let whole: Vec<(f64, f64)> = c.struts.iter().filter_map(margin).collect();
        let below = |shift: f64| whole.iter().filter(|(margin, _)| margin + shift < 0.0).count() as f64;
        let count = below(0.0);
        let thinnest = c.whole().map(|(_, d)| d).fold(f64::INFINITY, f64::min);
        let offset = c.common_mm(thinnest)?.iter().map(|t| t.u * t.u).sum::<f64>().sqrt();
        let common =
            (0.5 * ((below(offset) - count) * (below(offset) - count) + (below(-offset) - count) * (below(-offset) - count))).sqrt();
        // Each strut falls below the limit with a probability of its own.
        let variance: f64 = whole
            .iter()
            .map(|&(margin, u)| 0.5 * libm::erfc(margin / (u.max(1e-12) * std::f64::consts::SQRT_2)))
            .map(|p| p * (1.0 - p))
            .sum();
        Ok(c.count(count as usize, vec![Term { name: OFFSET, u: common }, Term { name: NOISE, u: variance.sqrt() }]))
    })
}

fn diameter_mean(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    over_whole(case, scope, 1, |c, whole, left_out| {
        let count = whole.len() as f64;
        let value = whole.iter().map(|(_, d)| d).sum::<f64>() / count;
        let noise = whole.iter().map(|(t, _)| t.diameter_noise_mm * t.diameter_noise_mm).sum::<f64>().sqrt() / count;
        let mut terms = c.common_mm(value)?;
        terms.extend([Term { name: SCALE, u: value * case.actual()?.scale_u }, Term { name: NOISE, u: noise }]);
        let far = left_out * farthest(whole, value);
        terms.push(either_way(far, far));
        Ok(Measured::Value { value, terms: merge(terms) })
    })
}

/// Largest distance of a diameter from a value.
fn farthest(whole: &[(&Traced, f64)], value: f64) -> f64 {
    whole.iter().map(|(_, d)| (d - value).abs()).fold(0.0, f64::max)
}

/// What struts or nodes that are not measured may add to a value or take from it, where each of them lies anywhere among those measured: bounds
/// of unknown distribution.
fn either_way(up: f64, down: f64) -> Term {
    Term { name: UNMEASURED, u: up.max(down).max(0.0) / 3.0_f64.sqrt() }
}

fn diameter_sd(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    over_whole(case, scope, 2, |_, whole, left_out| {
        let count = whole.len() as f64;
        let mean = whole.iter().map(|(_, d)| d).sum::<f64>() / count;
        let value = (whole.iter().map(|(_, d)| (d - mean) * (d - mean)).sum::<f64>() / (count - 1.0)).sqrt();
        let noise = whole.iter().map(|(t, _)| t.diameter_noise_mm * t.diameter_noise_mm).sum::<f64>() / count;
        // Those left out all at one extreme, or all at the mean.
        let far = farthest(whole, mean);
        let (kept, most) = (1.0 - left_out, (1.0 - left_out) * (value * value + left_out * far * far));
        let terms = vec![
            widened_by(value, noise),
            Term { name: SCALE, u: value * case.actual()?.scale_u },
            either_way(most.sqrt() - value, value - value * kept.sqrt()),
        ];
        Ok(Measured::Value { value, terms: merge(terms) })
    })
}

/// What noise of a variance may have added to a root mean square.
fn widened_by(value: f64, variance: f64) -> Term {
    Term { name: NOISE, u: value - (value * value - variance).max(0.0).sqrt() }
}

fn waviness(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    over_whole(case, scope, 1, |_, whole, left_out| {
        let mean_square = |of: fn(&Traced) -> f64| whole.iter().map(|(t, _)| of(t) * of(t)).sum::<f64>() / whole.len() as f64;
        let value = mean_square(|t| t.waviness_mm.unwrap_or(0.0)).sqrt();
        let noise = mean_square(|t| t.waviness_noise_mm);
        // Those left out all straight, or all as wavy as the waviest.
        let waviest = whole.iter().filter_map(|(t, _)| t.waviness_mm).fold(0.0, f64::max);
        let (least, most) = ((1.0 - left_out) * value * value, (1.0 - left_out) * value * value + left_out * waviest * waviest);
        let terms = vec![
            widened_by(value, noise),
            Term { name: SCALE, u: value * case.actual()?.scale_u },
            either_way(most.sqrt() - value, value - least.sqrt()),
        ];
        Ok(Measured::Value { value, terms: merge(terms) })
    })
}

fn wall_breaks(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    if let Some(reason) = case.struts_cannot_carry()? {
        return Ok(Measured::not(reason));
    }
    let AsBuilt::Walls(walls) = case.lattice()? else {
        return Ok(Measured::not("the design is no sheet lattice: ask for its struts"));
    };
    if let Some(reason) = &walls.unmeasured {
        return Ok(Measured::not(reason.clone()));
    }
    let within = |p: &Point3<f64>| scope.region.is_none_or(|(_, region)| region.contains(p));
    let beyond = walls.share_beyond(within);
    if beyond > MOST_BEYOND {
        return Ok(Measured::not(format!("{:.0} % of the walls lie where the image does not reach: scan all of them", 100.0 * beyond)));
    }
    let inside = |b: &&Break| within(&b.centre);
    let near = |b: &&Break| b.diameter_mm() < walls.told_mm + 2.0 * walls.sheet.step_mm;
    let undecided = walls.breaks.iter().filter(inside).filter(near).count();
    let value = walls.breaks.iter().filter(inside).count() as f64;
    // Of the cells that the image cuts each may hold a hole beyond it.
    let cut = walls.blocks.iter().filter(|b| b.beyond_mm2 > 0.0 && within(&b.centre)).count();
    let terms = vec![Term { name: SPACING, u: 0.5 * (undecided as f64).sqrt() }, Term { name: UNMEASURED, u: cut as f64 / 3.0_f64.sqrt() }];
    Ok(Measured::Value { value, terms: merge(terms) })
}

fn cell_length(case: &Case, scope: &Scope, axis: usize) -> Result<Measured, Error> {
    if case.struts_cannot_carry()?.is_none()
        && let AsBuilt::Walls(walls) = case.lattice()?
    {
        return wall_cell_length(case, walls, scope, axis);
    }
    over(case, scope, |c| {
        let Some(cell) = case.unit_cell(&c.all.design, scope.region)? else {
            return Ok(Measured::not(
                "no three translations repeat the design: name a region that holds one kind of cell; a graded or irregular lattice has none",
            ));
        };
        let places: Vec<Point3<f64>> = c.nodes.iter().map(|&n| c.all.design.nodes()[n]).collect();
        let nodes: Vec<_> = c.nodes.iter().map(|&n| c.all.nodes[n]).collect();
        let Some(stretch) = Stretch::of(&places, &nodes) else {
            return Ok(Measured::not("too few nodes are measured to span space: name a region that holds whole cells"));
        };
        let (value, scatter) = stretch.length_mm(&cell.vectors[axis]);
        let terms = vec![Term { name: SCALE, u: value * case.actual()?.scale_u }, Term { name: "node_scatter", u: scatter }];
        Ok(Measured::Value { value, terms: merge(terms) })
    })
}

fn wall_cell_length(case: &Case, walls: &Walls, scope: &Scope, axis: usize) -> Result<Measured, Error> {
    let Some(period) = case.periods(&walls.sheet, scope.region)?[axis] else {
        return Ok(Measured::not("the built walls do not repeat as designed: name a region that holds at least two cells along each axis"));
    };
    let value = period.vector.norm();
    let terms = vec![Term { name: SCALE, u: value * case.actual()?.scale_u }, Term { name: "wall_scatter", u: period.u_mm }];
    Ok(Measured::Value { value, terms: merge(terms) })
}

/// Draws of the nodes' noise.
const DRAWS: u64 = 12;

fn node_offset(case: &Case, scope: &Scope) -> Result<Measured, Error> {
    over(case, scope, |c| {
        let placed: Vec<(Point3<f64>, Vector3<f64>, f64)> = (c.nodes.iter())
            .filter_map(|&n| c.all.nodes[n].offset.map(|offset| (c.all.design.nodes()[n], offset, c.all.nodes[n].noise_mm)))
            .collect();
        if placed.is_empty() {
            return Ok(Measured::not("no node has two measured struts of different directions: name a region that holds whole cells"));
        }
        let wanted = c.nodes.iter().filter(|&&n| c.all.nodes[n].is_crossing).count();
        if 2 * placed.len() < wanted {
            return Ok(Measured::not(format!("{} of {wanted} nodes are not measured: {}", wanted - placed.len(), c.why_unmeasured())));
        }
        let left_out = 1.0 - placed.len() as f64 / wanted.max(placed.len()) as f64;
        let quantile = |share: f64, moved: &dyn Fn(usize) -> Vector3<f64>| {
            let mut lengths: Vec<f64> = placed.iter().enumerate().map(|(n, (_, offset, _))| (offset + moved(n)).norm()).collect();
            lengths.sort_unstable_by(f64::total_cmp);
            lengths[((share * lengths.len() as f64).ceil() as usize).clamp(1, lengths.len()) - 1]
        };
        let p95 = |moved: &dyn Fn(usize) -> Vector3<f64>| quantile(0.95, moved);
        let value = p95(&|_| Vector3::zeros());
        let effects = case.effects()?;
        let modes = modes(&effects);
        let mut terms: Vec<Term> = modes
            .iter()
            .map(|(name, mode)| {
                let change = |sign: f64| p95(&|n| mode(&(placed[n].0 - effects.centre)) * sign) - value;
                let (up, down) = (change(1.0), change(-1.0));
                Term { name, u: (0.5 * (up * up + down * down)).sqrt() }
            })
            .collect();
        let draw = |k: u64| {
            let noise = |n: usize| Vector3::from_fn(|a, _| placed[n].2 * normal(SEED + k, (3 * n + a) as u64));
            p95(&noise) - value
        };
        let squares: f64 = (0..DRAWS).map(draw).map(|d| d * d).sum();
        terms.push(Term { name: NOISE, u: (squares / DRAWS as f64).sqrt() });
        // Those left out all farther off than the others, or all nearer.
        let among = |share: f64| quantile(share / (1.0 - left_out), &|_| Vector3::zeros());
        terms.push(either_way(among(0.95) - value, value - among(0.95 - left_out)));
        Ok(Measured::Value { value, terms: merge(terms) })
    })
}

type Mode = Box<dyn Fn(&Vector3<f64>) -> Vector3<f64>>;

/// Displacements of a place, given from the centre, by what is common to the whole part.
fn modes(effects: &Effects) -> Vec<(&'static str, Mode)> {
    let scale = effects.scale;
    let mut modes: Vec<(&'static str, Mode)> = vec![(SCALE, Box::new(move |arm| arm * scale))];
    let ((turn, shift), offset) = (effects.offset_moves, effects.offset_mm);
    modes.push((OFFSET, Box::new(move |arm| (shift + turn.cross(arm)) * offset)));
    for &(turn, shift) in &effects.pose_modes {
        modes.push((POSE, Box::new(move |arm| shift + turn.cross(arm))));
    }
    modes
}
