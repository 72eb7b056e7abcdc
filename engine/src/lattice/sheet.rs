//! Sheet lattices as designed: walls that repeat, found in the nominal.
//!
//! From places spread over the surface balls grow between it and what faces it (see `pores`): their diameter is the thickness of the wall,
//! their centres are its middle. A nominal is a sheet lattice if most of its surface is that of walls, which go on aside where rods end,
//! and if it repeats along three directions: its autocorrelation proposes translations (see `periods`), of which those count that carry
//! at least three quarters of the walls onto their like (see `matched`). The cell is the conventional one, as for struts (see `cell`).
//! Accepts closed meshes with at least some two cells along each axis. Known limits: solids of more than twice the walls' thickness are no
//! walls; a wall narrower than one and a half times its thickness is taken for a rod.
//! Known bias: of the walls' area up to some twentieth has no site, where no ball between the faces is found at the place looked at.
//! Cost: two seconds, and some ten microseconds for each place on a wall.

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use super::cell::{basis, ordered};
use super::forms::form;
use super::matched::{Matcher, Period, affordable_mm, places, samples_bytes};
use super::periods::Window;
use super::room::Room;
use super::{Cell, UnitCell};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::mesh::{Mesh, Samples, equal_shares};
use crate::pores::{self, Wall};
use crate::region::Region;
use crate::runtime::Runtime;

/// Places looked at to tell a sheet from struts, to tell a translation, to measure one, and to tell a form.
const LOOKED_AT: usize = 1000;
const TO_FIND: usize = 1500;
const TO_MEASURE: usize = 6000;
const TO_NAME: usize = 600;
/// Of the surface of walls at least this share goes on aside.
const SHEET: f64 = 0.5;
/// A wall goes on in at least so many of so many directions, this far in thicknesses.
const ASIDE: [usize; 2] = [7, 8];
const ASIDE_REACH: f64 = 0.75;
/// Walls of a part, in its diagonals.
const THINNEST_AND_THICKEST: [f64; 2] = [1e-4, 0.25];
/// Walls of a sheet lattice are this thick, in typical walls, and make up at least this share of its surface.
const WALLS: [f64; 2] = [0.3, 2.0];
const OF_SURFACE: f64 = 0.25;
/// Walls of the built part repeat by what the design repeats by, but for this share.
const STRETCHED: f64 = 0.1;
/// Places on walls at most.
const MOST_PLACES: f64 = 400_000.0;
/// No facet of a wall's face stands for more of its middle than this, in its own area.
const MOST_OF_FACE: f64 = 2.0;
/// Sites looked at between two looks at the caller's wish to stop.
pub(super) const BATCH: usize = 1 << 15;

/// A place in the middle of a designed wall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Site {
    pub middle: Point3<f64>,
    /// Across the wall.
    pub normal: Vector3<f64>,
    pub thickness_mm: f64,
    /// Of the wall's middle that it stands for.
    pub area_mm2: f64,
    /// Its cell in a grid of the sites' step.
    pub(super) key: [i32; 3],
}

/// The designed walls.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    pub cell: Cell,
    /// Typical (median) thickness of the walls, mm.
    pub thickness_mm: f64,
    /// How far sites are apart, mm.
    pub step_mm: f64,
    pub sites: Vec<Site>,
    /// For every vertex of the nominal its site, `u32::MAX` on what is no wall.
    pub(super) site_of_vertex: Vec<u32>,
}

/// The designed walls of a nominal that is a sheet lattice, on sites no farther apart than a step; `None` of another.
pub(crate) fn sheet(nominal: &MeshDistance, step_mm: f64, rt: &Runtime) -> Result<Option<Sheet>, Error> {
    let Some(thickness_mm) = wall_mm(nominal) else { return Ok(None) };
    let room = Room::of(nominal.mesh(), None);
    let matcher = Matcher { surface: nominal, room: &room, wall_mm: thickness_mm };
    let Some(vectors) = basis(&translations(&matcher, rt)?).map(ordered) else { return Ok(None) };
    let spread = places(nominal, &room, thickness_mm, TO_MEASURE);
    let measured = vectors.map(|v| matcher.measured(&spread, &v));
    let [Some(a), Some(b), Some(c)] = measured else { return Ok(None) };
    let vectors = [a, b, c].map(|p| p.vector);
    let area = 0.5 * nominal.mesh().area_mm2();
    let step_mm = 2.0 * affordable_mm(nominal.mesh(), 0.5 * step_mm.min(thickness_mm / 3.0).max((area / MOST_PLACES).sqrt()));
    let (sites, site_of_vertex) = sites(nominal, thickness_mm, step_mm, rt)?;
    let some: Vec<Point3<f64>> = sites.iter().step_by(sites.len().div_ceil(TO_NAME).max(1)).map(|s| s.middle).collect();
    let cell = Cell { vectors, form: if some.is_empty() { UnitCell::Unknown } else { form(&some, &vectors) } };
    Ok(Some(Sheet { cell, thickness_mm, step_mm, sites, site_of_vertex }))
}

/// Translations that carry a solid onto itself, the shortest first.
fn translations(matcher: &Matcher, rt: &Runtime) -> Result<Vec<Vector3<f64>>, Error> {
    rt.step("period", 0.0)?;
    let &Matcher { surface, room, wall_mm } = matcher;
    let Some(window) = Window::of(surface.mesh(), room, wall_mm)? else { return Ok(vec![]) };
    let found = places(surface, room, wall_mm, TO_FIND);
    let mut all: Vec<Vector3<f64>> = vec![];
    for peak in window.peaks() {
        rt.step("period", 0.5)?;
        let is_new = |t: &Vector3<f64>| all.iter().all(|k| (k - t).norm().min((k + t).norm()) > 0.5 * wall_mm);
        all.extend(matcher.settled(&found, &peak).filter(is_new));
    }
    all.sort_by(|a, b| a.norm_squared().total_cmp(&b.norm_squared()));
    Ok(all)
}

/// The lattice vectors of a part that is to repeat by a designed cell, from its own solid, in a region or the whole; `None` for one that it
/// does not show.
pub(crate) fn periods(part: &MeshDistance, sheet: &Sheet, region: Option<&Region>, rt: &Runtime) -> Result<[Option<Period>; 3], Error> {
    rt.step("period", 0.0)?;
    let room = Room::of(part.mesh(), region);
    let wall_mm = sheet.thickness_mm;
    rt.afford("the places on the built walls", samples_bytes(part.mesh(), affordable_mm(part.mesh(), wall_mm)))?;
    let Some(window) = Window::of(part.mesh(), &room, wall_mm)? else { return Ok([None; 3]) };
    let peaks = window.peaks();
    rt.step("period", 0.5)?;
    let matcher = Matcher { surface: part, room: &room, wall_mm };
    let spread = places(part, &room, wall_mm, TO_MEASURE);
    Ok(sheet.cell.vectors.map(|designed| {
        let signed = peaks.iter().flat_map(|p| [*p, -p]);
        let near = signed.min_by(|a, b| (a - designed).norm().total_cmp(&(b - designed).norm()))?;
        let is_it = (near - designed).norm() <= STRETCHED * designed.norm();
        matcher.measured(&spread, &near).filter(|_| is_it)
    }))
}

/// Typical thickness of the walls of a solid most of whose surface is that of walls, mm.
fn wall_mm(nominal: &MeshDistance) -> Option<f64> {
    let mesh = nominal.mesh();
    let samples = Samples::of(mesh, affordable_mm(mesh, 0.02 * mesh.bounds().diagonal_mm()));
    let some = equal_shares(&samples.weights_mm2, LOOKED_AT);
    let range = THINNEST_AND_THICKEST.map(|share| share * mesh.bounds().diagonal_mm());
    let wall = |&i: &usize| {
        let normal = outward(mesh, samples.triangles[i])?;
        Some((normal, pores::wall_at(nominal, None, &samples.points[i], &normal, range)?))
    };
    let walls: Vec<(Vector3<f64>, Wall)> = some.par_iter().filter_map(wall).filter(|(_, w)| w.between).collect();
    let mut thick: Vec<f64> = walls.iter().map(|(_, w)| w.thickness_mm).collect();
    thick.sort_unstable_by(f64::total_cmp);
    let median = *thick.get(thick.len() / 2)?;
    let of_walls = walls.iter().filter(|(_, w)| w.thickness_mm <= WALLS[1] * median);
    let (mut all, mut sheets) = (0, 0.0);
    for (normal, wall) in of_walls {
        all += 1;
        sheets += f64::from(u8::from(goes_on(nominal, normal, wall)));
    }
    (sheets >= SHEET * f64::from(all) && f64::from(all) >= OF_SURFACE * some.len() as f64).then_some(median)
}

/// Whether a wall goes on aside, as a rod does not.
fn goes_on(nominal: &MeshDistance, normal: &Vector3<f64>, wall: &Wall) -> bool {
    let one = normal.cross(&Vector3::ith(normal.iamin(), 1.0)).normalize();
    let other = normal.cross(&one);
    let [least, all] = ASIDE;
    let aside = |n: usize| {
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * n as f64 / all as f64);
        wall.centre + (one * cos + other * sin) * (ASIDE_REACH * wall.thickness_mm)
    };
    (0..all).filter(|&n| nominal.contains(&aside(n)) == Some(true)).count() >= least
}

fn outward(mesh: &Mesh, triangle: u32) -> Option<Vector3<f64>> {
    mesh.area_vector(triangle as usize).try_normalize(0.0)
}

/// For each sample of the surface of walls the area of their middle that it stands for, mm²; both faces have samples, each stands for half.
///
/// Faces at half the thickness t to either side of a middle of Gaussian curvature K have `2 + K t² / 2` times its area (Steiner's formula): of
/// a gyroid with walls of 0.4 mm in cells of 3 mm 7 % less than twice. Facets moved in by `t / 2` along the normals of their corners have it.
fn of_middle_mm2(mesh: &Mesh, samples: &Samples, wall_mm: f64) -> Vec<f64> {
    let normals = mesh.vertex_normals();
    let share = |t: usize| {
        let [a, b, c] = [0, 1, 2].map(|k| {
            let v = mesh.triangles()[t][k] as usize;
            mesh.vertices()[v] - normals[v] * (0.5 * wall_mm)
        });
        let n = mesh.area_vector(t);
        // Normals at sharp edges lean: there a facet may fold.
        if n == Vector3::zeros() { 1.0 } else { ((b - a).cross(&(c - a)).dot(&n) / n.norm_squared()).clamp(0.0, MOST_OF_FACE) }
    };
    let of_triangle: Vec<f64> = (0..mesh.triangles().len()).into_par_iter().map(share).collect();
    // A vertex stands for some of every facet around it.
    let mut around = vec![(0.0, 0.0); samples.vertices];
    for (t, corners) in mesh.triangles().iter().enumerate() {
        let area = mesh.area_vector(t).norm();
        corners.iter().for_each(|&v| {
            let (whole, moved) = &mut around[v as usize];
            (*whole, *moved) = (*whole + area, *moved + area * of_triangle[t]);
        });
    }
    let of_sample = |i: usize| match around.get(i) {
        Some((whole, moved)) => {
            if *whole > 0.0 {
                moved / whole
            } else {
                0.0
            }
        }
        None => of_triangle[samples.triangles[i] as usize],
    };
    samples.weights_mm2.iter().enumerate().map(|(i, w)| 0.5 * w * of_sample(i)).collect()
}

/// Sites in the middles of the walls, one in each cell of a grid that the middles run through, and the site of each vertex.
fn sites(nominal: &MeshDistance, wall_mm: f64, step_mm: f64, rt: &Runtime) -> Result<(Vec<Site>, Vec<u32>), Error> {
    rt.step("walls", 0.0)?;
    let mesh = nominal.mesh();
    rt.afford("the places on the walls", samples_bytes(mesh, 0.5 * step_mm))?;
    let samples = Samples::of(mesh, 0.5 * step_mm);
    let areas_mm2 = of_middle_mm2(mesh, &samples, wall_mm);
    let origin = mesh.bounds().min;
    let middle = |i: u32| {
        let inward = outward(mesh, samples.triangles[i as usize]).unwrap_or_else(Vector3::zeros) * (0.5 * wall_mm);
        samples.points[i as usize] - inward - origin
    };
    let key = |i: u32| {
        let middle = middle(i) / step_mm;
        [middle.z.floor() as i32, middle.y.floor() as i32, middle.x.floor() as i32]
    };
    let mut keyed: Vec<([i32; 3], u32)> = (0..samples.len() as u32).into_par_iter().map(|i| (key(i), i)).collect();
    keyed.par_sort_unstable();
    let mut groups: Vec<&[([i32; 3], u32)]> = keyed.chunk_by(|a, b| a.0 == b.0).collect();
    groups.retain(|g| g.iter().any(|(_, i)| areas_mm2[*i as usize] > 0.0));
    let site = |group: &&[([i32; 3], u32)]| {
        let area = |i: u32| areas_mm2[i as usize];
        let area_mm2: f64 = group.iter().map(|(_, i)| area(*i)).sum();
        let mean = group.iter().fold(Vector3::zeros(), |s, (_, i)| s + middle(*i) * area(*i)) / area_mm2;
        let far = |i: u32| (middle(i) - mean).norm_squared();
        let (key, amid) = group.iter().copied().min_by(|a, b| far(a.1).total_cmp(&far(b.1)).then(a.1.cmp(&b.1)))?;
        let normal = outward(mesh, samples.triangles[amid as usize])?;
        let wall = pores::wall_at(nominal, None, &samples.points[amid as usize], &normal, WALLS.map(|w| w * wall_mm))?;
        wall.between.then_some(Site { middle: wall.centre, normal, thickness_mm: wall.thickness_mm, area_mm2, key })
    };
    let mut found: Vec<Option<Site>> = Vec::with_capacity(groups.len());
    for batch in groups.chunks(BATCH) {
        rt.step("walls", 0.5 * found.len() as f64 / groups.len() as f64)?;
        found.extend(batch.par_iter().map(site).collect::<Vec<_>>());
    }
    let mut of_vertex = vec![u32::MAX; samples.vertices];
    let mut all = vec![];
    for (group, site) in groups.iter().zip(found) {
        let Some(site) = site else { continue };
        group.iter().filter(|(_, i)| (*i as usize) < samples.vertices).for_each(|(_, i)| of_vertex[*i as usize] = all.len() as u32);
        all.push(site);
    }
    Ok((all, of_vertex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Pose;
    use crate::noise::uniform;
    use crate::phantom::sheets::{self, Minimal};
    use crate::phantom::{Fineness, Solid, surface_mesh};

    fn cube(solid: Solid, side_mm: f64, pose: &Pose, cell_mm: f64) -> Mesh {
        let half_mm = Vector3::repeat(0.5 * side_mm);
        let cube = Solid::Box { centre: Point3::from(half_mm), half_mm, rounding_mm: 0.1 };
        let corners: Vec<Point3<f64>> =
            (0..8).map(|n| pose.apply(&Point3::from([0, 1, 2].map(|a| if n >> a & 1 == 1 { side_mm + 0.4 } else { -0.4 })))).collect();
        let solid = Solid::Common { of: vec![solid, cube], width_mm: 0.1 }.moved(*pose);
        surface_mesh(&solid, &crate::frame::Bounds::of(&corners), Fineness { cell_mm, simplify_mm: None }).unwrap()
    }

    #[test]
    fn walls_of_minimal_surfaces_are_named_and_measured_in_any_direction() {
        let rt = Runtime::cpu();
        let turned = Pose::from_rotation_vector(Vector3::new(0.4, -0.3, 0.7), Vector3::new(3.0, 1.0, -2.0));
        for (surface, cell_mm, period_mm, pose, form) in [
            (Minimal::Gyroid, 3.0, 3.0, turned, UnitCell::Gyroid),
            (Minimal::SchwarzP, 3.0, 3.0, Pose::identity(), UnitCell::SchwarzP),
            (Minimal::SchwarzD, 5.0, 2.5, turned, UnitCell::SchwarzD),
        ] {
            let solid = Solid::Sheet(sheets::Sheet { surface, cell_mm, thickness_mm: 0.4 });
            let mesh = MeshDistance::build(&cube(solid, 7.6, &pose, 0.13));
            let found = sheet(&mesh, 0.1, &rt).unwrap().unwrap_or_else(|| panic!("{form:?} is no sheet"));
            assert_eq!(found.cell.form, form);
            // Facets of 0.13 mm cut off up to 0.13² / 8R, 0.005 mm at the radii of curvature here, from both faces.
            assert!((found.thickness_mm - 0.4).abs() < 0.01, "{form:?}: {} mm", found.thickness_mm);
            for (axis, vector) in found.cell.vectors.iter().enumerate() {
                // Of six thousand places as much as a mean leaves of it, three standard deviations; the truth is turned as the part is.
                let allowed = 3.0 * 0.005 / 6000.0_f64.sqrt();
                assert!((vector.norm() - period_mm).abs() < allowed, "{form:?}: {:.2e} mm", vector.norm() - period_mm);
                let truth = [0, 1, 2].map(|a| pose.rotate(&Vector3::ith(a, 1.0)));
                assert!(truth.iter().any(|t| t.dot(vector).abs() > 0.999_99 * vector.norm()), "{form:?}: vector {axis} is {vector:?}");
            }
        }
    }

    #[test]
    fn samples_of_both_faces_have_the_area_of_the_walls_middle_between_them() {
        // Area of the level set in a cube by which walls repeat, in its edges squared, by counting where 3 × 80² lines along x, y and z cross
        // it, each crossing by the cosine at which it does: within a part in a thousand.
        for (surface, cell_mm, period_mm, area) in
            [(Minimal::Gyroid, 3.0, 3.0, 3.092), (Minimal::SchwarzP, 3.0, 3.0, 2.353), (Minimal::SchwarzD, 5.0, 2.5, 0.5 * 3.838)]
        {
            let (wall_mm, step_mm) = (0.4, 0.05);
            let solid = Solid::Sheet(sheets::Sheet { surface, cell_mm, thickness_mm: wall_mm });
            let mesh = cube(solid, 4.4, &Pose::identity(), 0.13);
            let samples = Samples::of(&mesh, step_mm);
            let areas = of_middle_mm2(&mesh, &samples, wall_mm);
            let inside = |i: &usize| {
                let normal = outward(&mesh, samples.triangles[*i]).unwrap();
                (samples.points[*i] - normal * (0.5 * wall_mm)).iter().all(|x| (0.7..0.7 + period_mm).contains(x))
            };
            let found: f64 = (0..samples.len()).filter(inside).map(|i| areas[i]).sum();
            let truth = area * period_mm * period_mm;
            // The cube's faces cut π/4 of the area's density of lines; between samples they lie anywhere. Facets of side s on a curvature κ
            // of 1.5 / mm lose up to 5/24 (κ s)² of their area.
            let cut = 0.25 * std::f64::consts::PI * 6.0 * truth / period_mm / step_mm;
            let allowed = 3.0 * step_mm * step_mm * (cut / 12.0).sqrt() + 5.0 / 24.0 * (1.5_f64 * 0.13) * (1.5 * 0.13) * truth;
            eprintln!("{surface:?}: {found:.3} mm², truth {truth:.3}, allowed {allowed:.3}");
            assert!((found - truth).abs() < allowed, "{surface:?}: {found} mm², truth {truth}");
        }
    }

    fn balls(count: usize, draw: u64) -> Solid {
        let place = |n: usize| Point3::from([0, 1, 2].map(|a| 9.0 * uniform(draw, (4 * n + a) as u64)));
        let ball = |n: usize| Solid::Ball { centre: place(n), radius_mm: 0.5 + 0.2 * uniform(draw, (4 * n + 3) as u64) };
        Solid::Union((0..count).map(ball).collect())
    }

    /// Translations of a solid about as thick as stated.
    fn repeats(solid: &Solid, wall_mm: f64) -> Vec<Vector3<f64>> {
        let bounds = crate::frame::Bounds { min: Point3::from([-1.0; 3]), max: Point3::from([10.0; 3]) };
        let mesh = MeshDistance::build(&surface_mesh(solid, &bounds, Fineness { cell_mm: 0.2, simplify_mm: None }).unwrap());
        let room = Room::of(mesh.mesh(), None);
        translations(&Matcher { surface: &mesh, room: &room, wall_mm }, &Runtime::cpu()).unwrap()
    }

    #[test]
    fn balls_at_random_repeat_nowhere_and_balls_in_rows_by_their_pitch() {
        for draw in 0..4 {
            let found = repeats(&balls(60 + 40 * draw as usize, draw), 0.5);
            assert!(found.is_empty(), "draw {draw}: {found:?}");
        }
        let one = Solid::Ball { centre: Point3::origin(), radius_mm: 0.7 };
        let pitch_mm = Vector3::new(2.0, 2.2, 1.8);
        let found = repeats(&Solid::Repeated { of: Box::new(one), pitch_mm, count: [5; 3] }, 0.5);
        let vectors = ordered(basis(&found).unwrap());
        for (axis, vector) in vectors.iter().enumerate() {
            assert!((vector - Vector3::ith(axis, pitch_mm[axis])).norm() < 1e-3, "{vectors:?}");
        }
    }
}
