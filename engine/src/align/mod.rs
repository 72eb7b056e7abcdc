//! Alignment: where the actual part lies in the nominal frame.
//!
//! Measurand: the rigid pose nominal_from_actual that minimises the area-weighted mean squared distance from the actual surface to the nominal
//! (all vertices of the actual, weighted by their areas; for meshes of few vertices 4096 points spread over the faces; the points of a cloud
//! alike). Robust weights
//! only choose the start; the judged pose is plain least squares to convergence, so that real defects are not hidden.
//! The result says what it cannot know: free degrees of freedom (eigenvalues of the normal matrix below 1e-3 of the largest, rotations
//! in units of the radius of gyration), other poses that fit equally well, a part that is its own mirror image's better match.
//! Its covariance carries residuals that vary together over the surface (see `correlated`).
//! Direction: actual to nominal, so missing material does not pull. `datum` aligns by features and points instead, `minimax` asks for
//! the pose of the smallest largest deviation, beside the ordered one.
//! Known limit: of a lattice with much of it missing the search can miss the pose; where then nothing fits well the pose is called ambiguous.
//! Cost: some 300 000 closest points for the fields of the global search, about as many for what it finds and some million looks into the
//! fields; then at most one closest point per vertex and iteration.

mod correlated;
mod datum;
mod field;
mod minimax;
mod quadratic;
mod refine;
mod samples;
mod search;
mod starts;

use nalgebra::{Matrix6, Point3, Vector6};
use thiserror::Error as ThisError;

pub(crate) use correlated::{Observation, POINTS, covariance};
pub use datum::{Datum, DatumKind, System, Target, by_datums};
pub use minimax::{Achievable, Limited, best_achievable};
pub(crate) use samples::{Moments, Samples};

use crate::distance::{MeshDistance, NO_SEAT};
use crate::error::Error;
use crate::frame::Pose;
use crate::linear::eigen;
use crate::mesh::Mesh;
use crate::runtime::Runtime;
use refine::{Problem, Refined, Until};
use search::{Minimum, Search, Side};

/// Eigenvalues of the normal matrix below this fraction of the largest are free directions.
const FREE: f64 = 1e-3;
/// Steps smaller than this end the judged fit.
const STEP_MM: f64 = 1e-9;
/// The last stage of every judged fit.
const JUDGED: Until = Until { step_mm: STEP_MM, iterations: 100, kept: 1.0, near: true };
/// Fewer points than this in the region do not carry six parameters.
const FEWEST: usize = 12;
/// Mean squares that differ by less than this fraction of the squared radius of gyration are rounding.
const ROUNDING: f64 = 1e-12;
/// A trimmed fit better than this fraction of the radius of gyration is good.
const GOOD: f64 = 0.01;
/// A reflected part is called mirrored when it fits this much better in mean square.
const MIRRORED: f64 = 0.25;

/// Which points of the nominal frame take part.
pub type Include<'a> = &'a (dyn Fn(&Point3<f64>) -> bool + Sync);

/// Where the actual part lies in the nominal frame, and how well that is known.
#[derive(Clone, Debug)]
pub struct Alignment {
    pub nominal_from_actual: Pose,
    /// Area-weighted root mean square of the residual distances (mm).
    pub rms_mm: f64,
    pub iterations: u32,
    pub converged: bool,
    /// More than one pose fits equally well; `ambiguities` says which.
    pub ambiguous: bool,
    pub ambiguities: Vec<String>,
    /// Directions of motion that the surface does not hold (0 for most parts, 3 for a sphere).
    pub free_dofs: usize,
    /// The reflected part fits clearly better.
    pub mirrored: bool,
    /// Covariance of (rotation vector about `centre` in rad, translation in mm), nominal frame; zero along free directions.
    pub covariance: Matrix6<f64>,
    pub centre: Point3<f64>,
    /// Change of the pose, over the same parameters, per mm by which the whole actual surface lies farther out; zero for a best fit.
    pub offset_response: Vector6<f64>,
    /// Half the gradient of the mean squared distance at the pose, over the same parameters; of an alignment by datums, what is
    /// left of its last step.
    pub gradient: Vector6<f64>,
    /// Norm of the gradient with rotations times the radius of gyration (mm).
    pub gradient_norm_mm: f64,
    /// Largest displacement of the last step (mm).
    pub last_step_mm: f64,
    /// Clearly different minima that the global search found, this one included; 0 where there was no search.
    pub minima: usize,
    /// Root mean square (mm) of the best clearly different pose of the global search.
    pub second_best_rms_mm: Option<f64>,
}

/// Why there is no pose.
#[derive(Debug, ThisError, PartialEq)]
pub enum AlignError {
    #[error("the {which} surface has no area, so nothing can be aligned; a surface of triangles with area is needed")]
    NoArea { which: &'static str },
    #[error(
        "{found} points of the actual surface lie in the alignment region, at least {FEWEST} are needed: widen the region or check the units of the two meshes"
    )]
    TooFewPoints { found: usize },
    #[error(
        "the sizes of the two surfaces do not belong together: radius of gyration {actual_mm:.3} mm against {nominal_mm:.3} mm of the nominal, allowed is a factor of 2: check the units"
    )]
    Sizes { nominal_mm: f64, actual_mm: f64 },
    #[error("datum {datum:?}: its region of the nominal holds {found}, which is no {}: draw the region inside the feature", kind.name())]
    NotTheFeature { datum: String, kind: DatumKind, found: String },
    #[error(
        "datum {datum:?}: {found} surface patches of the actual part face as it does in its region, at least {least} are needed: widen the region or make the patch smaller"
    )]
    FewPatches { datum: String, found: usize, least: usize },
    #[error(
        "reference point {number}: the {surface} surface has nothing within the patch around it that faces along its direction: correct the point, turn the direction out of the material, or widen the patch"
    )]
    NoPoint { number: usize, surface: &'static str },
}

impl AlignError {
    pub fn code(&self) -> &'static str {
        match self {
            AlignError::NoArea { .. } => "align.no_area",
            AlignError::TooFewPoints { .. } => "align.too_few_points",
            AlignError::Sizes { .. } => "align.sizes",
            AlignError::NotTheFeature { .. } => "align.not_the_feature",
            AlignError::FewPatches { .. } => "align.few_patches",
            AlignError::NoPoint { .. } => "align.no_point",
        }
    }
}

impl From<AlignError> for Error {
    fn from(e: AlignError) -> Self {
        Error::input(e.code(), e.to_string())
    }
}

/// Least-squares pose of a surface or a point cloud from any start: global search, then [`local_fit`]. `include` takes points of the nominal frame.
pub fn best_fit(nominal: &MeshDistance, actual: &Mesh, include: Option<Include>, rt: &Runtime) -> Result<Alignment, Error> {
    let no_area = |which| AlignError::NoArea { which };
    let nominal_side = Side::of(nominal).ok_or(no_area("nominal"))?;
    let judged = Samples::judged(actual).ok_or(no_area("actual"))?;
    let built = MeshDistance::without_edges(actual);
    let actual_side = if actual.is_cloud() { Side::of_cloud(&built, &judged) } else { Side::of(&built) }.ok_or(no_area("actual"))?;
    let (nominal_mm, actual_mm) = (nominal_side.moments.gyration_mm(), actual_side.moments.gyration_mm());
    if !(0.5..=2.0).contains(&(actual_mm / nominal_mm)) {
        return Err(AlignError::Sizes { nominal_mm, actual_mm }.into());
    }
    let mut search = Search { nominal: &nominal_side, actual: &actual_side, reflected: false, exhaustive: true };
    let minima = search.run(rt)?;
    let best = minima.first().ok_or_else(|| Error::defect("the global search gave no pose"))?;
    let mut alignment = fit_samples(nominal, &judged, &best.pose, include, rt)?;
    alignment.minima = minima.len();
    alignment.second_best_rms_mm = minima[1..].iter().map(|m| m.mean_square).min_by(f64::total_cmp).map(f64::sqrt);
    if alignment.free_dofs == 0 {
        alignment.add_equal_poses(&minima, nominal_mm);
        alignment.doubt(&minima, nominal_mm);
    }
    // A good direct fit leaves nothing for a far-fetched reflection to better: then its axes are tried alone.
    (search.reflected, search.exhaustive) = (true, best.score > (GOOD * nominal_mm) * (GOOD * nominal_mm));
    if let Some(reflected) = search.run(rt)?.first() {
        alignment.mirrored = reflected.score < MIRRORED * best.score - ROUNDING * nominal_mm * nominal_mm
            && reflected.mean_square + 3.0 * reflected.standard_error < MIRRORED * best.mean_square;
        if alignment.mirrored {
            alignment.ambiguities.push(format!(
                "mirrored part: its reflection fits the nominal with an rms of {:.4} mm, the part itself with {:.4} mm",
                reflected.mean_square.sqrt(),
                best.mean_square.sqrt()
            ));
        }
    }
    Ok(alignment)
}

/// Least-squares pose from a start that is near.
pub fn local_fit(nominal: &MeshDistance, actual: &Mesh, start: &Pose, include: Option<Include>, rt: &Runtime) -> Result<Alignment, Error> {
    let samples = Samples::judged(actual).ok_or(AlignError::NoArea { which: "actual" })?;
    fit_samples(nominal, &samples, start, include, rt)
}

/// [`local_fit`] for points without a surface, each standing for the same area.
pub fn local_fit_points(nominal: &MeshDistance, points: &[Point3<f64>], start: &Pose, rt: &Runtime) -> Result<Alignment, Error> {
    let samples = Samples::weighted(points, &vec![1.0; points.len()]).ok_or(AlignError::TooFewPoints { found: 0 })?;
    fit_samples(nominal, &samples, start, None, rt)
}

/// The judged points that take part at a pose.
pub(crate) fn included(samples: &Samples, pose: &Pose, include: Option<Include>) -> Result<Vec<usize>, AlignError> {
    let chosen: Vec<usize> = (0..samples.len()).filter(|&i| include.is_none_or(|inside| inside(&pose.apply(&samples.points[i])))).collect();
    if chosen.len() < FEWEST { Err(AlignError::TooFewPoints { found: chosen.len() }) } else { Ok(chosen) }
}

fn fit_samples(nominal: &MeshDistance, all: &Samples, start: &Pose, include: Option<Include>, rt: &Runtime) -> Result<Alignment, Error> {
    let moments = Moments::of(nominal.mesh()).ok_or(AlignError::NoArea { which: "nominal" })?;
    // Few points bring the pose near, more bring it nearer, so that the full set needs few iterations.
    let mut pose = *start;
    let mut iterations = 0;
    let mut chosen = included(all, &pose, include)?;
    for (few, step) in [(1000, 1e-3), (10_000, 1e-5)].into_iter().filter(|(few, _)| chosen.len() > 4 * few) {
        let few = all.select(chosen.iter().copied().step_by(chosen.len() / few));
        let until = Until { step_mm: step * moments.gyration_mm(), iterations: 40, kept: 1.0, near: false };
        let refined = problem(nominal, &few, &moments).fit(&pose, until, rt)?;
        (pose, iterations) = (refined.pose, iterations + refined.iterations);
    }
    chosen = included(all, &pose, include)?;
    // The set of points is frozen during a solve, so that it can converge, and renewed until it stays.
    for _ in 0..6 {
        chosen = included(all, &pose, include)?;
        let samples = all.select(chosen.iter().copied());
        let problem = problem(nominal, &samples, &moments);
        let refined = problem.fit(&pose, JUDGED, rt)?;
        pose = refined.pose;
        iterations += refined.iterations;
        if include.is_none() || included(all, &pose, include)? == chosen {
            return Ok(describe(&problem, refined, iterations));
        }
    }
    let samples = all.select(chosen.into_iter());
    let problem = problem(nominal, &samples, &moments);
    let mut refined = problem.fit(&pose, JUDGED, rt)?;
    refined.converged = false; // points keep crossing the border of the region
    Ok(describe(&problem, refined, iterations))
}

fn problem<'a>(nominal: &'a MeshDistance, samples: &'a Samples, moments: &Moments) -> Problem<'a> {
    Problem { nominal, samples, centre: moments.centroid, gyration_mm: moments.gyration_mm() }
}

fn describe(problem: &Problem, refined: Refined, iterations: u32) -> Alignment {
    let (values, _) = eigen(&problem.scaled(&refined.normal.matrix));
    let free_dofs = values.iter().filter(|v| **v < FREE * values[0]).count();
    let spread = problem.samples.equal_shares(POINTS);
    let mut seat = NO_SEAT;
    let observations: Vec<Observation<6>> = spread
        .iter()
        .map(|&i| {
            let r = problem.residual(&refined.pose, i, &mut seat);
            Observation { at: r.at, residual_mm: r.distance_mm, row: r.row }
        })
        .collect();
    let ambiguities = match free_dofs {
        0 => vec![],
        n => vec![format!("{n} of 6 degrees of freedom are free: the surface can move along itself")],
    };
    Alignment {
        nominal_from_actual: refined.pose,
        rms_mm: refined.normal.cost.sqrt(),
        iterations,
        converged: refined.converged,
        ambiguous: free_dofs > 0,
        ambiguities,
        free_dofs,
        mirrored: false,
        covariance: covariance(&observations, FREE).0,
        centre: problem.centre,
        offset_response: Vector6::zeros(),
        gradient: refined.normal.gradient,
        gradient_norm_mm: problem.scaled_gradient(&refined.normal.gradient).norm(),
        last_step_mm: refined.last_step_mm,
        minima: 0,
        second_best_rms_mm: None,
    }
}

impl Alignment {
    /// Where no pose fits well, another whose residual is not clearly larger may as well be the true one: a lattice of which much is
    /// missing has such poses a cell apart.
    fn doubt(&mut self, minima: &[Minimum], gyration_mm: f64) {
        const NOT_CLEARLY: f64 = 2.25; // one and a half times the rms
        let best = &minima[0];
        let other = minima[1..].iter().min_by(|a, b| a.mean_square.total_cmp(&b.mean_square));
        let fits = best.score <= (GOOD * gyration_mm) * (GOOD * gyration_mm);
        if let Some(other) = other.filter(|m| !fits && !self.ambiguous && m.mean_square < NOT_CLEARLY * best.mean_square) {
            self.ambiguous = true;
            self.ambiguities.push(format!(
                "no pose fits well, and another is nearly as good (rms {:.4} mm against {:.4} mm): a mark, datums or a more complete scan must decide",
                other.mean_square.sqrt(),
                best.mean_square.sqrt()
            ));
        }
    }

    /// Adds what the global search says about other poses that fit as well as the best.
    fn add_equal_poses(&mut self, minima: &[Minimum], gyration_mm: f64) {
        let best = &minima[0];
        let limit = best.mean_square + 3.0 * best.standard_error + ROUNDING * gyration_mm * gyration_mm;
        let equal: Vec<&Minimum> = minima[1..].iter().filter(|m| m.mean_square < limit).collect();
        if let Some(other) = equal.first() {
            let turn = other.pose.then(&best.pose.inverse()).angle().to_degrees();
            self.ambiguous = true;
            self.ambiguities.push(format!(
                "at least {} other poses fit as well, one turned by {turn:.1} degrees (rms {:.4} mm against {:.4} mm): a mark or a manual choice must say which is meant",
                equal.len(),
                other.mean_square.sqrt(),
                best.mean_square.sqrt()
            ));
        }
    }
}
