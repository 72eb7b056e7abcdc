//! Alignment by datums: planes, axes and centres in order of precedence (ISO 5459), or points along directions (reference point system).
//!
//! The ideal features are fitted to the nominal surface; the pose brings the actual surface onto them. The first datum takes the degrees of
//! freedom it holds (a plane 3, a cylinder's axis 4, a sphere's centre 3), the next takes from what is left, and so on: a lexicographic
//! least squares in which every datum is associated under the constraints of those before it. Actual points are taken where the
//! order's region says, facing as the nominal feature does, averaged over patches (an extreme of single points is noise); the
//! patches of a plane stay on the material's side of it, as a part on a surface plate: 3, 2, 1 places touch. Cylinders and spheres
//! are associated by least squares with their size free. A reference point is where the patch mean along its direction equals the nominal's.
//! Uncertainty: patch residuals as of a best fit (see `correlated`), carried through the same operator; of a point, the scatter in its patch.
//! Known bias: patches as large as a ridge flatten it. Cost: a best fit for the start, then a pass over the points a round.

mod feature;
mod solve;

use nalgebra::{Matrix6, Point3, Vector3, Vector6};

use super::refine::Trail;
use super::{AlignError, Alignment, Include, Moments, STEP_MM, problem};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::frame::Pose;
use crate::mesh::{Mesh, Samples as Fine};
use crate::runtime::Runtime;
use crate::sum;
use feature::Ideal;
use solve::{Held, Level, Patch};

/// What kind of ideal feature a datum is, and so which degrees of freedom it can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatumKind {
    /// A flat face: its plane, touching from outside the material.
    Plane,
    /// A hole or a shaft: its axis.
    Cylinder,
    /// A ball or a socket: its centre.
    Sphere,
}

impl DatumKind {
    pub const ALL: [DatumKind; 3] = [DatumKind::Plane, DatumKind::Cylinder, DatumKind::Sphere];

    /// As an order names a feature's fit.
    pub fn name(self) -> &'static str {
        match self {
            DatumKind::Plane => "plane",
            DatumKind::Cylinder => "cylinder",
            DatumKind::Sphere => "sphere",
        }
    }
}

/// One datum feature: what it is and where it lies in the nominal frame.
pub struct Datum<'a> {
    pub name: &'a str,
    pub kind: DatumKind,
    pub region: Include<'a>,
}

/// A reference point of the nominal frame and the direction along which it is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    pub at: Point3<f64>,
    pub direction: Vector3<f64>,
}

/// What aligns.
pub enum System<'a> {
    /// Features in order of precedence.
    Datums(Vec<Datum<'a>>),
    /// At least six points.
    Points(Vec<Target>),
}

/// Points are chosen anew at each pose this often; then the choice stands, so that the solution can converge.
const ROUNDS: usize = 6;
/// Actual surface farther from a nominal feature than this fraction of the nominal's diagonal is another surface.
const REACH: f64 = 0.03;
const STEPS: u32 = 50;

/// Aligns by datums. `near` is a pose within the reach of the features, with what is known of its uniqueness.
/// `patch_mm` is the radius of the surface patch whose mean stands for a point.
pub fn by_datums(
    nominal: &MeshDistance,
    actual: &Mesh,
    system: &System,
    patch_mm: f64,
    near: &Alignment,
    rt: &Runtime,
) -> Result<Alignment, Error> {
    let diagonal = nominal.mesh().bounds().diagonal_mm();
    let step = (0.5 * patch_mm).clamp(diagonal / 2000.0, diagonal / 200.0);
    let (designed, built) = (Surface::of(nominal.mesh(), step), Surface::of(actual, step));
    let moments = Moments::of(nominal.mesh()).ok_or(AlignError::NoArea { which: "nominal" })?;
    let parts: Vec<Part> = match system {
        System::Datums(datums) => {
            datums.iter().map(|d| Ok(Part::Feature(d, Ideal::of(d, &designed)?))).collect::<Result<_, AlignError>>()?
        }
        System::Points(targets) => vec![Part::Points(targets, &designed)],
    };
    let frame = Frame { centre: moments.centroid, gyration_mm: moments.gyration_mm(), patch_mm, reach_mm: REACH * diagonal };

    let (mut pose, mut iterations, mut last_step_mm) = (near.nominal_from_actual, 0, f64::INFINITY);
    let mut solved = None;
    for round in 0..ROUNDS {
        rt.step("align", round as f64 / ROUNDS as f64)?;
        let chosen: Vec<Chosen> = parts.iter().map(|part| part.choose(&built, &pose, &frame)).collect::<Result<_, _>>()?;
        let before = pose;
        for _ in 0..STEPS {
            iterations += 1;
            let levels: Vec<Level> = parts.iter().zip(&chosen).map(|(part, c)| part.level(&built, &pose, &frame, c)).collect();
            let held = solve::step(&levels);
            last_step_mm = frame.size_mm(&held.step);
            pose = frame.moved(&pose, &held.step);
            solved = Some((levels, held));
            if last_step_mm < STEP_MM {
                break;
            }
        }
        if frame.size_mm(&frame.between(&before, &pose)) < STEP_MM {
            break;
        }
    }
    let (levels, held) = solved.ok_or_else(|| Error::defect("datums without a round"))?;
    Ok(describe(nominal, actual, &frame, pose, near, (&levels, &held), (iterations, last_step_mm)))
}

#[allow(clippy::too_many_arguments)]
fn describe(
    nominal: &MeshDistance,
    actual: &Mesh,
    frame: &Frame,
    pose: Pose,
    near: &Alignment,
    (levels, held): (&[Level], &Held),
    (iterations, last_step_mm): (u32, f64),
) -> Alignment {
    let sure = solve::uncertainty(levels, held);
    // Where a change of scale leaves the datums on themselves: displacement there is zero, so scale and rotation turn about it.
    let shift: Vector3<f64> = sure.scale_response.fixed_rows::<3>(3).into_owned();
    let centre = if sure.scale_response.fixed_rows::<3>(0).norm() < 1e-3 { frame.centre - shift } else { frame.centre };
    let units = Matrix6::from_diagonal(&Vector6::from_fn(|k, _| if k < 3 { 1.0 / frame.gyration_mm } else { 1.0 }));
    let mut move_to = Matrix6::identity();
    let arm = (centre - frame.centre).cross_matrix();
    move_to.fixed_view_mut::<3, 3>(3, 0).copy_from(&-arm);
    let carry = move_to * units;
    let covariance = carry * sure.covariance * carry.transpose();
    let free_dofs = 6 - held.rank;
    let mut ambiguities: Vec<String> = near.ambiguities.iter().filter(|_| near.free_dofs == 0).cloned().collect();
    if free_dofs > 0 {
        ambiguities.insert(0, format!("{free_dofs} of 6 degrees of freedom are free: the datums do not hold them; name another datum"));
    }
    Alignment {
        nominal_from_actual: pose,
        rms_mm: rms_mm(nominal, actual, frame, &pose),
        iterations: near.iterations + iterations,
        converged: last_step_mm < STEP_MM && held.solved,
        ambiguous: free_dofs > 0 || (near.ambiguous && near.free_dofs == 0),
        ambiguities,
        free_dofs,
        mirrored: near.mirrored,
        covariance: (covariance + covariance.transpose()) * 0.5,
        centre,
        offset_response: carry * sure.offset_response,
        gradient: held.gradient,
        gradient_norm_mm: held.gradient.norm(),
        last_step_mm,
        minima: near.minima,
        second_best_rms_mm: near.second_best_rms_mm,
    }
}

/// Area-weighted root mean square distance of the whole surface at the pose.
fn rms_mm(nominal: &MeshDistance, actual: &Mesh, frame: &Frame, pose: &Pose) -> f64 {
    super::Samples::judged(actual).map_or(0.0, |samples| {
        let moments = Moments { centroid: frame.centre, covariance: nalgebra::Matrix3::zeros() };
        let residuals = problem(nominal, &samples, &moments).residuals(&mut Trail::of(&samples, pose), pose);
        sum::sum(residuals.len(), |i| samples.weights[i] * residuals[i].distance_mm * residuals[i].distance_mm).sqrt()
    })
}

/// What all datums of an alignment share: where rotations turn, what makes them lengths, how large a point is.
struct Frame {
    centre: Point3<f64>,
    gyration_mm: f64,
    patch_mm: f64,
    reach_mm: f64,
}

impl Frame {
    /// Row of a displacement along `direction` at `at`: rotations in units of the radius of gyration, so that all six are lengths.
    fn row(&self, at: &Point3<f64>, direction: &Vector3<f64>) -> Vector6<f64> {
        let moment = (at - self.centre).cross(direction) / self.gyration_mm;
        Vector6::new(moment.x, moment.y, moment.z, direction.x, direction.y, direction.z)
    }

    fn size_mm(&self, step: &Vector6<f64>) -> f64 {
        2.0 * step.fixed_rows::<3>(0).norm() + step.fixed_rows::<3>(3).norm()
    }

    fn moved(&self, pose: &Pose, step: &Vector6<f64>) -> Pose {
        let turn = Pose::from_rotation_vector(step.fixed_rows::<3>(0) / self.gyration_mm, Vector3::zeros());
        let shift = self.centre.coords - turn.rotation * self.centre.coords + step.fixed_rows::<3>(3);
        pose.then(&Pose { rotation: turn.rotation, translation: shift })
    }

    /// The small step from one pose to another.
    fn between(&self, a: &Pose, b: &Pose) -> Vector6<f64> {
        let off = a.inverse().then(b);
        let r = &off.rotation;
        let turn = Vector3::new(r[(2, 1)] - r[(1, 2)], r[(0, 2)] - r[(2, 0)], r[(1, 0)] - r[(0, 1)]) * (0.5 * self.gyration_mm);
        let shift = off.apply(&self.centre) - self.centre;
        Vector6::new(turn.x, turn.y, turn.z, shift.x, shift.y, shift.z)
    }
}

/// Points of a surface close enough to each other to stand for it, with their normals and areas.
pub(super) struct Surface {
    points: Vec<Point3<f64>>,
    normals: Vec<Vector3<f64>>,
    weights_mm2: Vec<f64>,
}

impl Surface {
    fn of(mesh: &Mesh, step_mm: f64) -> Surface {
        let fine = Fine::of(mesh, step_mm);
        let vertex_normals = mesh.vertex_normals();
        let normals = (0..fine.len())
            .map(|i| match vertex_normals.get(i) {
                // At a vertex of few, large triangles the mean normal points nowhere; the triangle's own does.
                Some(n) if i < fine.vertices => *n,
                _ => mesh.area_vector(fine.triangles[i] as usize).try_normalize(0.0).unwrap_or_else(Vector3::zeros),
            })
            .collect();
        Surface { points: fine.points, normals, weights_mm2: fine.weights_mm2 }
    }
}

/// A level of precedence: one feature, or all reference points together.
enum Part<'a> {
    Feature(&'a Datum<'a>, Ideal),
    Points(&'a [Target], &'a Surface),
}

/// Actual points of each patch.
type Chosen = Vec<Vec<usize>>;

impl Part<'_> {
    fn choose(&self, built: &Surface, pose: &Pose, frame: &Frame) -> Result<Chosen, AlignError> {
        match self {
            Part::Feature(datum, ideal) => {
                let at = |i: usize| pose.apply(&built.points[i]);
                let near = (0..built.points.len()).filter(|&i| {
                    let x = at(i);
                    let (distance_mm, outward) = ideal.distance(&x);
                    built.weights_mm2[i] > 0.0
                        && distance_mm.abs() <= frame.reach_mm
                        && (datum.region)(&x)
                        && pose.rotate(&built.normals[i]).dot(&outward) > feature::FACING
                });
                // Patches are cells of the area of a disc of the stated radius.
                let side = frame.patch_mm * std::f64::consts::PI.sqrt();
                let patches = cells(near.map(|i| (i, at(i))), side, built);
                let least = ideal.least_patches();
                if patches.len() < least {
                    return Err(AlignError::FewPatches { datum: datum.name.into(), found: patches.len(), least });
                }
                Ok(patches)
            }
            Part::Points(targets, designed) => targets
                .iter()
                .enumerate()
                .map(|(k, target)| {
                    let nothing = |surface| AlignError::NoPoint { number: k + 1, surface };
                    let found = around(built, pose, target, frame);
                    (!around(designed, &Pose::identity(), target, frame).is_empty()).then_some(()).ok_or(nothing("nominal"))?;
                    (!found.is_empty()).then_some(found).ok_or(nothing("actual"))
                })
                .collect(),
        }
    }

    fn level(&self, built: &Surface, pose: &Pose, frame: &Frame, chosen: &Chosen) -> Level {
        match self {
            Part::Feature(_, ideal) => {
                let patches = chosen
                    .iter()
                    .map(|members| {
                        mean_patch(
                            members,
                            built,
                            |i| {
                                let x = pose.apply(&built.points[i]);
                                let (distance_mm, outward) = ideal.distance(&x);
                                (x, distance_mm, outward)
                            },
                            frame,
                        )
                    })
                    .collect();
                Level::of_feature(patches, ideal.kind == DatumKind::Plane)
            }
            Part::Points(targets, designed) => {
                let patches = targets
                    .iter()
                    .zip(chosen)
                    .map(|(target, members)| {
                        let height = |x: &Point3<f64>| (x - target.at).dot(&target.direction);
                        let nominal = around(designed, &Pose::identity(), target, frame);
                        let expected =
                            mean_patch(&nominal, designed, |i| (target.at, height(&designed.points[i]), target.direction), frame);
                        let mut found =
                            mean_patch(members, built, |i| (target.at, height(&pose.apply(&built.points[i])), target.direction), frame);
                        found.residual_mm -= expected.residual_mm;
                        Patch { weight: 1.0, ..found }
                    })
                    .collect();
                Level::of_points(patches)
            }
        }
    }
}

/// Points of a surface within the patch around a target: within its radius across the direction, on the same side of the material.
fn around(surface: &Surface, pose: &Pose, target: &Target, frame: &Frame) -> Vec<usize> {
    let inside = |i: &usize| {
        let from = pose.apply(&surface.points[*i]) - target.at;
        let along = from.dot(&target.direction);
        surface.weights_mm2[*i] > 0.0
            && along.abs() <= frame.reach_mm
            && (from - target.direction * along).norm_squared() <= frame.patch_mm * frame.patch_mm
            && pose.rotate(&surface.normals[*i]).dot(&target.direction) > feature::FACING
    };
    (0..surface.points.len()).filter(inside).collect()
}

/// Area-weighted means over a patch: `of` gives place, residual (mm) and the direction it is measured along.
fn mean_patch(members: &[usize], surface: &Surface, of: impl Fn(usize) -> (Point3<f64>, f64, Vector3<f64>), frame: &Frame) -> Patch {
    let mut patch = Patch { at: Point3::origin(), residual_mm: 0.0, row: Vector6::zeros(), arm_mm: 0.0, weight: 0.0, scatter_mm: 0.0 };
    let (mut at, mut square) = (Vector3::zeros(), 0.0);
    for &i in members {
        let (w, (x, residual_mm, direction)) = (surface.weights_mm2[i], of(i));
        at += x.coords * w;
        patch.residual_mm += w * residual_mm;
        square += w * residual_mm * residual_mm;
        patch.row += frame.row(&x, &direction) * w;
        patch.arm_mm += w * direction.dot(&(x - frame.centre));
        patch.weight += w;
    }
    let share = if patch.weight > 0.0 { 1.0 / patch.weight } else { 0.0 };
    patch.at = Point3::from(at * share);
    patch.residual_mm *= share;
    patch.scatter_mm = (square * share - patch.residual_mm * patch.residual_mm).max(0.0).sqrt();
    patch.row *= share;
    patch.arm_mm *= share;
    patch
}

/// Points grouped by cubes of the nominal frame; groups of less than half the usual area (at borders) are left out.
fn cells(points: impl Iterator<Item = (usize, Point3<f64>)>, side_mm: f64, surface: &Surface) -> Chosen {
    let mut keyed: Vec<([i64; 3], usize)> = points.map(|(i, x)| ([0, 1, 2].map(|a| (x[a] / side_mm).floor() as i64), i)).collect();
    keyed.sort_unstable();
    let groups: Vec<Vec<usize>> = keyed.chunk_by(|a, b| a.0 == b.0).map(|group| group.iter().map(|k| k.1).collect()).collect();
    let areas: Vec<f64> = groups.iter().map(|g| g.iter().map(|&i| surface.weights_mm2[i]).sum()).collect();
    let mut sorted = areas.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let usual = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    groups.into_iter().zip(areas).filter(|(_, area)| *area >= 0.5 * usual).map(|(group, _)| group).collect()
}
