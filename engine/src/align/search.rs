//! Poses from nowhere: hypotheses for the global stage, and which of them stand.
//!
//! Principal axes of the two surfaces give 4 proper rotations, 24 where eigenvalues are close; where the moments say little (spheres,
//! cubes) or the best of those fits badly or leaves much of the nominal uncovered (missing material), an even grid over all rotations
//! (super-Fibonacci spirals, Alexa 2022) joins them. Each is refined on few points with the farthest trimmed, so that missing material,
//! supports and a few per cent of scale do not pull, and scored by trimmed distances in both directions: a hole that the part lacks counts as much
//! as excess. Distances come from a grid (see `field`) until few poses are left; those are refined by the surfaces themselves.
//! The best is then turned about every axis that the nominal may be all but symmetric about, since trimming hides what tells such poses apart;
//! where it does not fit well untrimmed, it is shifted too. Where that does not fit well either, or leaves some of the nominal uncovered, the best
//! are moved by what maps either surface to itself, and so is what they lead to, until that leads no further. Nothing
//! here is judged; everything is deterministic.

use std::convert::Infallible;
use std::sync::OnceLock;

use nalgebra::{Matrix3, Point3, Vector3};
use rayon::prelude::*;

use super::field::Field;
use super::refine::{Problem, Refined, Trail, Until};
use super::samples::{Moments, Samples, reflect};
use super::starts::{ORDERS, cube, grid, shifted, turned_about};
use crate::distance::{MeshDistance, NO_SEAT};
use crate::error::Error;
use crate::frame::Pose;
use crate::linear;
use crate::runtime::Runtime;

/// Eigenvalues closer than this ratio do not order the axes.
const CLOSE: f64 = 0.8;
/// A trimmed fit worse than this fraction of the radius of gyration calls for the grid.
const BAD: f64 = 0.02;
const GRID: usize = 360;
/// Turns about an axis of rotational symmetry of any order up to a third of it.
const STEPS: usize = 36;
/// Fraction of the nominal that a whole part covers.
const WHOLE: f64 = 0.95;
/// Hypotheses that go on from each stage.
const FINALISTS: usize = 40;
const MINIMA: usize = 30;
/// A trimmed mean square this many times the best is no rival; a few are refined all the same.
const RIVAL: f64 = 9.0;
const RUNNERS_UP: usize = 4;
/// Shifts along each axis of the nominal, ± this many steps of this fraction of the radius of gyration: repeating shapes (lattices)
/// have minima a cell apart. The best pose is shifted; where nothing fits well, all its quarter turns about the axes of the nominal and the
/// best of this many rotations too.
const SHIFTS: u32 = 7;
const SHIFT: f64 = 0.15;
const SHIFTED: usize = 8;
const ROUNDS: usize = 4;
/// Poses that are moved by what maps either surface to itself.
const TWINNED: usize = 4;
/// Rotations closer than this (radians) are shifted once.
const TURNED: f64 = 0.2;
/// Trimmed scores within this factor, and this fraction of the radius of gyration, of the best are equal: then the mean square decides.
const EQUAL: f64 = 1.5;
const EQUAL_MM: f64 = 1e-3;
/// Minima closer than this fraction of the radius of gyration are one.
const APART: f64 = 0.05;
const BLOCKS: usize = 48;
/// Samples that tell whether a pose is good.
const FEW: usize = 500;
/// Points spread over each surface; searches take some of them.
const SPREAD: usize = 2000;

/// A local minimum of the mean squared distance over the middle-sized sample.
pub(super) struct Minimum {
    pub pose: Pose,
    /// Trimmed mean squares in both directions (mm²): decides which minimum is meant.
    pub score: f64,
    /// Mean squared distance (mm²) of all samples, and its standard error from the scatter over the surface.
    pub mean_square: f64,
    pub standard_error: f64,
}

/// A pose after its trimmed mean square in both directions, mm².
type Scored = (f64, Pose);

/// A surface as a search sees it.
pub(super) struct Side<'a> {
    surface: &'a MeshDistance,
    pub moments: Moments,
    field: Field,
    samples: Samples,
    /// What nearly maps the surface to itself, once it is known: by its own axes and by the grid.
    motions: [OnceLock<Vec<Pose>>; 2],
}

impl<'a> Side<'a> {
    /// A surface of triangles; `None` where it has no area.
    pub fn of(surface: &'a MeshDistance) -> Option<Self> {
        let mesh = surface.mesh();
        Some(Side::with(surface, Moments::of(mesh)?, Samples::spread(mesh, SPREAD)?))
    }

    /// A cloud with its points by what they stand for; `None` where they all lie at one place.
    pub fn of_cloud(surface: &'a MeshDistance, points: &Samples) -> Option<Self> {
        Some(Side::with(surface, Moments::of_points(points)?, points.thinned(SPREAD)))
    }

    fn with(surface: &'a MeshDistance, moments: Moments, samples: Samples) -> Self {
        Side { surface, moments, field: Field::of(surface), samples, motions: Default::default() }
    }

    /// Motions that nearly map it to itself, looked for from an even grid over all rotations too where that is asked for.
    fn motions(&self, from_everywhere: bool, rt: &Runtime) -> Result<&[Pose], Error> {
        let known = &self.motions[usize::from(from_everywhere)];
        if let Some(motions) = known.get() {
            return Ok(motions);
        }
        let own = Search { nominal: self, actual: self, reflected: false, exhaustive: false };
        let grid = grid(if from_everywhere { GRID } else { 0 });
        let rotations: Vec<Matrix3<f64>> = own.rotations_of_axes().into_iter().chain(cube()).chain(grid).collect();
        let found = own.refine(&rotations, rt)?.into_iter().map(|(_, motion)| motion).collect();
        Ok(known.get_or_init(|| found))
    }
}

/// The two surfaces of a search.
pub(super) struct Search<'a> {
    pub nominal: &'a Side<'a>,
    pub actual: &'a Side<'a>,
    pub reflected: bool,
    /// Whether the grid joins where the axes are not enough.
    pub exhaustive: bool,
}

/// Motions that nearly map a surface to itself: who is at one of its like places is told of the others, wherever their axes lie.
struct Motions<'a> {
    of_nominal: &'a [Pose],
    of_actual: &'a [Pose],
}

impl Motions<'_> {
    /// Where they lead from a pose.
    fn of(&self, pose: &Pose) -> Vec<Pose> {
        self.of_nominal.iter().map(|m| pose.then(m)).chain(self.of_actual.iter().map(|m| m.then(pose))).collect()
    }
}

impl Search<'_> {
    /// Distinct minima, the most plausible first.
    pub fn run(&self, rt: &Runtime) -> Result<Vec<Minimum>, Error> {
        let (found, motions) = self.candidates(rt)?;
        let mut minima = self.ranked(self.minima(&found, rt)?);
        let Some(motions) = motions else { return Ok(minima) };
        // Trimming hides from a pose how far it is from a better one: what was found without it is moved again, as long as that leads further.
        let mut moved: Vec<Pose> = Vec::new();
        while let Some(best) = minima.first().map(|m| m.pose).filter(|best| moved.len() < ROUNDS && self.is_apart(best, moved.iter())) {
            moved.push(best);
            let mut again = self.companions(&best);
            again.extend(shifted(&best, SHIFTS, SHIFT * self.nominal.moments.gyration_mm()));
            again.extend(motions.of(&best));
            minima.extend(self.minima(&self.refine_poses(again, rt)?, rt)?);
            minima = self.ranked(minima);
        }
        Ok(minima)
    }

    /// The minima that the foremost poses lead to.
    fn minima(&self, found: &[Scored], rt: &Runtime) -> Result<Vec<Minimum>, Error> {
        rt.step("align: minima", 0.5)?;
        let few = self.samples(FEW);
        let fine = sorted(self.rivals(found, MINIMA).par_iter().map(|pose| self.fine(&few, pose)));
        Ok(self.rivals(&fine, MINIMA).par_iter().map(|pose| self.minimum(pose)).collect())
    }

    fn is_apart<'p>(&self, pose: &Pose, mut others: impl Iterator<Item = &'p Pose>) -> bool {
        let least = APART * self.nominal.moments.gyration_mm();
        others.all(|other| self.displacement(pose, other) > least)
    }

    /// The most plausible first, of those that are about one the first.
    fn ranked(&self, mut minima: Vec<Minimum>) -> Vec<Minimum> {
        minima.sort_by(|a, b| a.score.total_cmp(&b.score));
        let gyration = self.nominal.moments.gyration_mm();
        let equal = minima.first().map_or(0.0, |best| EQUAL * best.score + (EQUAL_MM * gyration) * (EQUAL_MM * gyration));
        let leading = minima.iter().take_while(|m| m.score <= equal).count();
        minima[..leading].sort_by(|a, b| a.mean_square.total_cmp(&b.mean_square));
        let mut apart: Vec<Minimum> = Vec::new();
        for minimum in minima {
            if self.is_apart(&minimum.pose, apart.iter().map(|other| &other.pose)) {
                apart.push(minimum);
            }
        }
        apart
    }

    /// Poses with their scores, best first: from everywhere, and from the best to where others like it may lie. With them the motions that led
    /// there, unless the best fits well and leaves nothing of the nominal uncovered.
    fn candidates(&self, rt: &Runtime) -> Result<(Vec<Scored>, Option<Motions<'_>>), Error> {
        let gyration = self.nominal.moments.gyration_mm();
        let mut found = self.refine(&self.rotations_of_axes(), rt)?;
        let add = |found: &mut Vec<Scored>, poses: Vec<Pose>| -> Result<(), Error> {
            found.extend(self.refine_poses(poses, rt)?);
            found.sort_by(|a, b| a.0.total_cmp(&b.0));
            Ok(())
        };
        let bad = |mean_square: f64| mean_square > (BAD * gyration) * (BAD * gyration);
        // What does not cover the nominal may fit at more than one of its places.
        let partial = |pose: &Pose| bad(trimmed(self.backward(pose, FEW), WHOLE));
        let unsure = self.exhaustive && (self.is_isotropic() || found.first().is_none_or(|f| bad(f.0) || partial(&f.1)));
        if unsure {
            add(&mut found, self.about_centroids(&grid(GRID)))?;
        }
        if let Some(&(_, best)) = found.first() {
            add(&mut found, self.companions(&best))?;
        }
        if let Some(&(_, best)) = found.first().filter(|_| !self.reflected) {
            let mut starts = vec![best];
            if !self.fits_well(&found) {
                starts.extend(self.quarter_turns(&best));
                starts.extend(self.turned(&found, SHIFTED));
            }
            // Shifts along one axis at a time: the best of each round goes on along the others.
            for _ in 0..ROUNDS {
                let before = found.first().map_or(0.0, |f| f.0);
                add(&mut found, starts.iter().flat_map(|pose| shifted(pose, SHIFTS, SHIFT * gyration)).collect())?;
                if self.fits_well(&found) || found.first().is_none_or(|f| f.0 > 0.9 * before) {
                    break;
                }
                starts = self.turned(&found, SHIFTED);
            }
        }
        if self.fits_well(&found) && self.is_whole(&found) {
            return Ok((found, None));
        }
        let motions = self.motions(unsure, rt)?;
        let twins = self.turned(&found, TWINNED).iter().flat_map(|pose| motions.of(pose)).collect();
        add(&mut found, twins)?;
        Ok((found, Some(motions)))
    }

    fn samples(&self, count: usize) -> Samples {
        let thin = self.actual.samples.thinned(count);
        if self.reflected { thin.reflected() } else { thin }
    }

    fn actual_centroid(&self) -> Point3<f64> {
        let c = self.actual.moments.centroid;
        if self.reflected { reflect(&c) } else { c }
    }

    fn refine(&self, rotations: &[Matrix3<f64>], rt: &Runtime) -> Result<Vec<Scored>, Error> {
        self.refine_poses(self.about_centroids(rotations), rt)
    }

    /// The poses that turn by these and bring one centroid to the other.
    fn about_centroids(&self, rotations: &[Matrix3<f64>]) -> Vec<Pose> {
        let (from, to) = (self.actual_centroid(), self.nominal.moments.centroid);
        rotations.iter().map(|r| Pose { rotation: *r, translation: to.coords - r * from.coords }).collect()
    }

    /// Two rounds of trimmed fits by the fields, then the foremost by the surfaces themselves; what survives, best first.
    fn refine_poses(&self, mut poses: Vec<Pose>, rt: &Runtime) -> Result<Vec<Scored>, Error> {
        let mut found = vec![];
        for (points, iterations, survivors) in [(120, 8, FINALISTS), (FEW, 16, MINIMA)] {
            rt.step("align: hypotheses", points as f64 / 1000.0)?;
            let samples = self.samples(points);
            found = sorted(poses.par_iter().map(|pose| self.coarse(&samples, pose, iterations)));
            poses = self.distinct(found.iter().map(|f| f.1), survivors);
        }
        let samples = self.samples(FEW);
        let foremost = sorted(poses[..poses.len().min(RUNNERS_UP)].par_iter().map(|pose| self.fine(&samples, pose)));
        Ok(sorted([foremost, found].concat().into_par_iter()))
    }

    /// Only what may rival the best goes on, and a few more to say how far the next is; of poses that are about one, the first.
    fn rivals(&self, found: &[Scored], most: usize) -> Vec<Pose> {
        // What is read off the fields may be off by half a step from either side.
        let untold = [BAD * self.nominal.moments.gyration_mm(), 0.5 * self.nominal.field.step_mm(), 0.5 * self.actual.field.step_mm()];
        let limit = found.first().map_or(0.0, |best| RIVAL * best.0 + untold.map(|mm| mm * mm).iter().sum::<f64>());
        self.distinct(found.iter().enumerate().filter(|(rank, f)| *rank < RUNNERS_UP || f.0 <= limit).map(|(_, f)| f.1), most)
    }

    /// A trimmed fit and its score, by the fields of both surfaces.
    fn coarse(&self, samples: &Samples, pose: &Pose, iterations: u32) -> Scored {
        let problem = self.problem(samples);
        let until = Until { step_mm: 1e-3 * problem.gyration_mm, iterations, kept: 0.85, near: false };
        let Ok(Refined { pose, .. }) =
            problem.solve(pose, until, |pose| Ok::<_, Infallible>(problem.residuals_in(&self.nominal.field, pose)));
        let forward = samples.points.iter().map(|p| self.nominal.field.at(&pose.apply(p)).distance_mm.abs()).collect();
        let backward = self.nominal_points_in_actual(&pose, samples.len()).map(|p| self.actual.field.at(&p).distance_mm.abs()).collect();
        (score(forward, backward), pose)
    }

    /// A trimmed fit and its score, by the surfaces themselves.
    fn fine(&self, samples: &Samples, pose: &Pose) -> Scored {
        let problem = self.problem(samples);
        let until = Until { step_mm: 1e-3 * problem.gyration_mm, iterations: 6, kept: 0.85, near: false };
        let pose = self.solve(&problem, pose, until);
        (score(self.forward(samples, &pose), self.backward(&pose, samples.len())), pose)
    }

    fn solve(&self, problem: &Problem, pose: &Pose, until: Until) -> Pose {
        let mut trail = Trail::of(problem.samples, pose);
        let Ok(Refined { pose, .. }) = problem.solve(pose, until, |pose| Ok::<_, Infallible>(problem.residuals(&mut trail, pose)));
        pose
    }

    /// Untrimmed, to convergence, on the middle-sized sample; where trimming says otherwise (missing material), the trimmed pose.
    fn minimum(&self, pose: &Pose) -> Minimum {
        let samples = self.samples(1200);
        let problem = self.problem(&samples);
        let until = Until { step_mm: 1e-6 * problem.gyration_mm, iterations: 40, kept: 1.0, near: true };
        let pose = self.solve(&problem, pose, until);
        let forward = self.forward(&samples, &pose);
        let (mean_square, standard_error) = mean_of_blocks(&forward.iter().map(|d| d * d).collect::<Vec<f64>>());
        Minimum { pose, score: score(forward, self.backward(&pose, samples.len())), mean_square, standard_error }
    }

    fn problem<'s>(&'s self, samples: &'s Samples) -> Problem<'s> {
        Problem {
            nominal: self.nominal.surface,
            samples,
            centre: self.nominal.moments.centroid,
            gyration_mm: self.nominal.moments.gyration_mm(),
        }
    }

    /// Distances of samples from the nominal.
    fn forward(&self, samples: &Samples, pose: &Pose) -> Vec<f64> {
        let mut seat = NO_SEAT;
        samples.points.iter().map(|p| self.nominal.surface.nearest_from(&pose.apply(p), &mut seat).distance_mm).collect()
    }

    /// Distances from about so many points of the nominal to the actual.
    fn backward(&self, pose: &Pose, count: usize) -> Vec<f64> {
        let mut seat = NO_SEAT;
        self.nominal_points_in_actual(pose, count).map(|p| self.actual.surface.nearest_from(&p, &mut seat).distance_mm).collect()
    }

    fn nominal_points_in_actual(&self, pose: &Pose, count: usize) -> impl Iterator<Item = Point3<f64>> {
        let (back, reflected) = (pose.inverse(), self.reflected);
        let there = self.nominal.samples.thinned(count).points.into_iter().map(move |p| back.apply(&p));
        there.map(move |p| if reflected { reflect(&p) } else { p })
    }

    /// Without trimming, which may hide the one place that tells a pose from its companions.
    fn fits_well(&self, found: &[Scored]) -> bool {
        let samples = self.samples(FEW);
        found.first().is_some_and(|(_, pose)| self.is_good(self.forward(&samples, pose)))
    }

    /// Whether the best pose leaves nothing of the nominal uncovered.
    fn is_whole(&self, found: &[Scored]) -> bool {
        found.first().is_some_and(|(_, pose)| self.is_good(self.backward(pose, FEW)))
    }

    fn is_good(&self, distances: Vec<f64>) -> bool {
        let good = super::GOOD * self.nominal.moments.gyration_mm();
        trimmed(distances, 1.0) <= good * good
    }

    /// The pose turned by the rotations of a cube about the axes of the nominal through its centroid.
    fn quarter_turns(&self, pose: &Pose) -> Vec<Pose> {
        let c = self.nominal.moments.centroid.coords;
        cube().iter().map(|rotation| turned_about(pose, &c, rotation)).collect()
    }

    /// The pose turned about the axes that the nominal may be all but symmetric about, through its centroid and the middle of its bounds: what tells
    /// such poses apart may be small, or missing. By the rotations of a cube about its own and its principal axes, and in steps about an axis
    /// beside which the moments are about equal.
    fn companions(&self, pose: &Pose) -> Vec<Pose> {
        let centres = [self.nominal.moments.centroid, self.nominal.surface.mesh().bounds().centre()].map(|c| c.coords);
        let (values, axes) = linear::eigen(&self.nominal.moments.covariance);
        let mut turns: Vec<Matrix3<f64>> = cube();
        turns.extend(cube().into_iter().map(|turn| axes * turn * axes.transpose()));
        let about = |axis: usize, angle: f64| Pose::from_rotation_vector(axes.column(axis) * angle, Vector3::zeros()).rotation;
        // The moments 0 and 1 are about equal around axis 2, 1 and 2 around axis 0.
        for (axis, _) in [(2, 0), (0, 1)].into_iter().filter(|&(_, k)| values[k + 1] > CLOSE * values[k]) {
            let round = (0..STEPS).map(|k| about(axis, std::f64::consts::TAU * k as f64 / STEPS as f64));
            turns.extend(round.flat_map(|turn| [turn, turn * about(1, std::f64::consts::PI)]));
        }
        centres.iter().flat_map(|c| turns.iter().map(move |turn| turned_about(pose, c, turn))).collect()
    }

    /// What nearly maps the nominal, or what is left of the part, to itself.
    fn motions(&self, unsure: bool, rt: &Runtime) -> Result<Motions<'_>, Error> {
        // A reflection moves otherwise.
        let of_actual = if self.reflected { &[] } else { self.actual.motions(unsure, rt)? };
        Ok(Motions { of_nominal: self.nominal.motions(unsure, rt)?, of_actual })
    }

    /// The best pose of each of the first few rotations.
    fn turned(&self, found: &[Scored], count: usize) -> Vec<Pose> {
        let mut kept: Vec<Pose> = Vec::new();
        for (_, pose) in found {
            if kept.len() < count && kept.iter().all(|k| k.inverse().then(pose).angle() > TURNED) {
                kept.push(*pose);
            }
        }
        kept
    }

    fn is_isotropic(&self) -> bool {
        [&self.nominal.moments, &self.actual.moments].iter().any(|m| {
            let (values, _) = linear::eigen(&m.covariance);
            values[1] > CLOSE * values[0] && values[2] > CLOSE * values[1]
        })
    }

    fn rotations_of_axes(&self) -> Vec<Matrix3<f64>> {
        let (values, to) = linear::eigen(&self.nominal.moments.covariance);
        let (_, mut from) = linear::eigen(&self.actual.moments.covariance);
        if self.reflected {
            from.row_mut(0).neg_mut();
        }
        let close = values.windows(2).any(|w| w[1] > CLOSE * w[0]);
        let orders = if close { &ORDERS[..] } else { &ORDERS[..1] };
        let mut rotations = Vec::new();
        for order in orders {
            for signs in 0..8 {
                let axes = Matrix3::from_fn(|r, c| from[(r, order[c])] * if signs >> c & 1 == 1 { -1.0 } else { 1.0 });
                let rotation = to * axes.transpose();
                if rotation.determinant() > 0.0 {
                    rotations.push(rotation);
                }
            }
        }
        rotations
    }

    /// The largest distance (mm) by which two poses place a point of the part apart, over the corners of its gyration box.
    pub fn displacement(&self, a: &Pose, b: &Pose) -> f64 {
        let (c, g) = (self.actual_centroid(), self.nominal.moments.gyration_mm());
        (0..8)
            .map(|k| c + nalgebra::Vector3::new([-g, g][k & 1], [-g, g][k >> 1 & 1], [-g, g][k >> 2]))
            .map(|p| (a.apply(&p) - b.apply(&p)).norm())
            .fold(0.0, f64::max)
    }

    fn distinct(&self, poses: impl Iterator<Item = Pose>, count: usize) -> Vec<Pose> {
        let mut kept: Vec<Pose> = Vec::new();
        for pose in poses {
            if kept.len() < count && self.is_apart(&pose, kept.iter()) {
                kept.push(pose);
            }
        }
        kept
    }
}

/// Mean, and its standard error from the means of neighbouring blocks, so that residuals that vary together count once.
fn mean_of_blocks(values: &[f64]) -> (f64, f64) {
    let size = values.len().div_ceil(BLOCKS);
    let blocks: Vec<f64> = values.chunks(size).map(|b| b.iter().sum::<f64>() / b.len() as f64).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let n = blocks.len() as f64;
    let scatter: f64 = blocks.iter().map(|b| (b - mean) * (b - mean)).sum();
    (mean, (scatter / (n * (n - 1.0).max(1.0))).sqrt())
}

/// Mean square of the nearest 85 % from the actual side plus that of the nearest 65 % from the nominal side.
fn score(forward: Vec<f64>, backward: Vec<f64>) -> f64 {
    trimmed(forward, 0.85) + trimmed(backward, 0.65)
}

/// Best first.
fn sorted(found: impl IndexedParallelIterator<Item = Scored>) -> Vec<Scored> {
    let mut found: Vec<Scored> = found.collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}

fn trimmed(mut distances: Vec<f64>, kept: f64) -> f64 {
    distances.sort_unstable_by(f64::total_cmp);
    let n = ((distances.len() as f64 * kept) as usize).max(1).min(distances.len());
    distances[..n].iter().map(|d| d * d).sum::<f64>() / n as f64
}
