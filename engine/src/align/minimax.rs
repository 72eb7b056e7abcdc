//! The best that any pose could achieve: min over poses of max |dᵢ − middle| ÷ half, over surface patches with limits [middle ± half].
//!
//! An optimum of 1 or less means that a pose exists with every patch inside its limits. It stands beside the ordered alignment and never
//! replaces it: a part that conforms only here was built well and located badly. Sequential linear programming in seven
//! unknowns (six of the pose and the bound), with a proximal term that vanishes as the steps do; only patches that can reach the
//! bound are measured again, since a signed distance changes no more than its point moves. The multipliers of the last programme are the
//! certificate: λ ≥ 0, Σλ = 1, Σ λ s a ≈ 0 (no motion lowers all that bind), and they say how the optimum answers to errors.
//! Local: the minimum near the start. Cost: some ten programmes over the worst patches.

use nalgebra::{Point3, Vector3, Vector6};
use rayon::prelude::*;

use super::quadratic::{self, Constraint, Unknowns};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::frame::{Bounds, Pose};
use crate::runtime::Runtime;

/// Patches of a surface in the nominal frame with one pair of limits.
pub struct Limited<'a> {
    pub sites: &'a [Point3<f64>],
    /// Members of each patch with their shares, which add up to 1.
    pub patches: &'a [Vec<(u32, f64)>],
    pub limits_mm: [f64; 2],
}

/// The optimum and its certificate.
#[derive(Clone, Debug)]
pub struct Achievable {
    /// Largest |d − middle| ÷ half at the optimum; 1 or less fits.
    pub ratio: f64,
    /// The same at the start.
    pub ordered_ratio: f64,
    /// Where the optimum lies from the start.
    pub optimal_from_ordered: Pose,
    /// Patches that bind, with λ s: positive at the upper limit, negative at the lower; magnitudes add up to 1.
    pub binding: Vec<(usize, f64)>,
    /// |Σ λ s a|, rotations in units of the radius of the sites: zero at an exact optimum.
    pub stationarity: f64,
    /// What the last programme still promised, as a change of the ratio.
    pub promised: f64,
    pub programmes: u32,
    pub converged: bool,
}

const PROGRAMMES: u32 = 60;
/// Promises below this end the search.
const SETTLED: f64 = 1e-7;
const WORST: usize = 500;
/// Weight of the proximal term, for steps in half-widths of the limits.
const PROXIMAL: f64 = 1e-3;

/// A patch's deviation (mm) with its gradient over the pose, and the pose it was measured at.
#[derive(Clone, Copy)]
struct Known {
    deviation_mm: f64,
    row: Vector6<f64>,
    at: Pose,
}

struct Programme<'a> {
    nominal: &'a MeshDistance,
    limited: &'a Limited<'a>,
    bounds: Bounds,
    radius_mm: f64,
    middle_mm: f64,
    half_mm: f64,
}

/// `None` where there is no patch to limit, or the limits have no width.
pub fn best_achievable(nominal: &MeshDistance, limited: &Limited, rt: &Runtime) -> Result<Option<Achievable>, Error> {
    let [low, high] = limited.limits_mm;
    let bounds = Bounds::of(limited.sites);
    let programme = Programme {
        nominal,
        limited,
        bounds,
        radius_mm: (0.5 * bounds.diagonal_mm()).max(1e-9),
        middle_mm: 0.5 * (low + high),
        half_mm: 0.5 * (high - low),
    };
    if limited.patches.is_empty() || programme.half_mm.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
        return Ok(None);
    }
    programme.run(rt).map(Some)
}

impl Programme<'_> {
    fn run(&self, rt: &Runtime) -> Result<Achievable, Error> {
        let mut pose = Pose::identity();
        let everything: Vec<usize> = (0..self.limited.patches.len()).collect();
        let mut known = self.measure(&everything, &pose);
        let mut order = everything;
        order.sort_by(|&a, &b| self.ratio(&known[b]).total_cmp(&self.ratio(&known[a])).then(a.cmp(&b)));
        let mut live: Vec<usize> = order.into_iter().take(WORST).collect();
        let ordered_ratio = self.ratio(&known[live[0]]);
        let (mut best, mut proximal) = (ordered_ratio, PROXIMAL);
        let mut result = Achievable {
            ratio: best,
            ordered_ratio,
            optimal_from_ordered: pose,
            binding: vec![],
            stationarity: f64::INFINITY,
            promised: f64::INFINITY,
            programmes: 0,
            converged: false,
        };
        while result.programmes < PROGRAMMES {
            rt.step("align: best achievable", f64::from(result.programmes) / f64::from(PROGRAMMES))?;
            result.programmes += 1;
            let step = self.solve(&live, &known, proximal, &mut result);
            result.promised = best - result.promised;
            if result.promised < SETTLED {
                result.converged = true;
                break;
            }
            let trial = self.moved(&pose, &step);
            let mut there: Vec<(usize, Known)> = live.iter().copied().zip(self.measure(&live, &trial)).collect();
            let among_live = there.iter().map(|(_, k)| self.ratio(k)).fold(0.0, f64::max);
            // Patches that moved far enough since they were measured to reach the bound.
            let reach = |k: &Known| ((k.deviation_mm - self.middle_mm).abs() + self.displacement(&k.at, &trial)) / self.half_mm;
            let doubtful: Vec<usize> = {
                let mut is_live = vec![false; known.len()];
                live.iter().for_each(|&p| is_live[p] = true);
                (0..known.len()).filter(|&p| !is_live[p] && reach(&known[p]) > among_live.min(best)).collect()
            };
            there.extend(doubtful.iter().copied().zip(self.measure(&doubtful, &trial)));
            let found = there.iter().map(|(_, k)| self.ratio(k)).fold(0.0, f64::max);
            // What came near the bound joins the next programme, whether the step is taken or not.
            let joining = there[live.len()..].iter().filter(|(_, k)| self.ratio(k) > 0.8 * found).map(|j| j.0).collect::<Vec<_>>();
            if found <= best - 0.1 * result.promised {
                (best, pose, proximal) = (found, trial, (proximal * 0.3).max(1e-6));
                there.into_iter().for_each(|(p, k)| known[p] = k);
            } else {
                proximal *= 10.0;
                let here = self.measure(&joining, &pose);
                joining.iter().zip(here).for_each(|(&p, k)| known[p] = k);
            }
            live.extend(joining);
            if proximal > 1e9 {
                break;
            }
        }
        (result.ratio, result.optimal_from_ordered) = (best, pose);
        Ok(result)
    }

    fn ratio(&self, k: &Known) -> f64 {
        (k.deviation_mm - self.middle_mm).abs() / self.half_mm
    }

    fn measure(&self, patches: &[usize], pose: &Pose) -> Vec<Known> {
        let centre = self.bounds.centre();
        patches
            .par_iter()
            .map(|&p| {
                let (mut deviation_mm, mut row, mut seat) = (0.0, Vector6::zeros(), 0);
                for &(site, share) in &self.limited.patches[p] {
                    let x = pose.apply(&self.limited.sites[site as usize]);
                    let near = self.nominal.signed_from(&x, &mut seat);
                    let away = (x - near.point) / near.distance_mm;
                    let n: Vector3<f64> = if near.distance_mm.abs() > 1e-9 { away } else { near.normal };
                    let moment = (x - centre).cross(&n) / self.radius_mm;
                    deviation_mm += share * near.distance_mm;
                    row += Vector6::new(moment.x, moment.y, moment.z, n.x, n.y, n.z) * share;
                }
                Known { deviation_mm, row, at: *pose }
            })
            .collect()
    }

    /// Step (mm) of min t over the live patches; the certificate goes into the result, the bound t into `promised`.
    fn solve(&self, live: &[usize], known: &[Known], proximal: f64, result: &mut Achievable) -> Vector6<f64> {
        // Unknowns in half-widths. t + ½t² has its minimum over t ≥ 0 where t has, and is strictly convex.
        let side = |k: &Known, sign: f64| Constraint {
            a: Unknowns::from_fn(|i, _| if i < 6 { sign * k.row[i] } else { -1.0 }),
            b: -sign * (k.deviation_mm - self.middle_mm) / self.half_mm,
        };
        let constraints: Vec<Constraint> = live.iter().flat_map(|&p| [side(&known[p], 1.0), side(&known[p], -1.0)]).collect();
        let h = Unknowns::from_fn(|i, _| if i < 6 { proximal } else { 1.0 });
        let g = Unknowns::from_fn(|i, _| if i < 6 { 0.0 } else { 1.0 });
        let found = quadratic::minimise(&h, &g, &constraints, 1e-10);
        let total: f64 = found.active.iter().map(|a| a.1).sum();
        result.binding = found.active.iter().map(|&(i, u)| (live[i / 2], if i % 2 == 0 { u / total } else { -u / total })).collect();
        let pull = result.binding.iter().fold(Vector6::zeros(), |sum: Vector6<f64>, &(p, l)| sum + known[p].row * l);
        result.stationarity = pull.norm();
        result.promised = found.x[6];
        found.x.fixed_rows::<6>(0) * self.half_mm
    }

    fn moved(&self, pose: &Pose, step: &Vector6<f64>) -> Pose {
        let turn = Pose::from_rotation_vector(step.fixed_rows::<3>(0) / self.radius_mm, Vector3::zeros());
        let centre = self.bounds.centre();
        pose.then(&Pose { rotation: turn.rotation, translation: centre.coords - turn.rotation * centre.coords + step.fixed_rows::<3>(3) })
    }

    /// The farthest that any site lies apart under two poses: convex in the place, so a corner of the bounds has it.
    fn displacement(&self, a: &Pose, b: &Pose) -> f64 {
        let pick = |k: usize, axis: usize| if k >> axis & 1 == 1 { self.bounds.max[axis] } else { self.bounds.min[axis] };
        let corners = (0..8).map(|k| Point3::new(pick(k, 0), pick(k, 1), pick(k, 2)));
        corners.map(|c| (a.apply(&c) - b.apply(&c)).norm()).fold(0.0, f64::max)
    }
}
