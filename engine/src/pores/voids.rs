//! Closed voids one by one: defects inside the solid, and the rows of the table of pores.
//!
//! Volume, centroid and moments of what its facets enclose by the divergence theorem, the volume with what lies between them and the curved surface;
//! of what the lattice alone tells by the lengths of lines in it.

use nalgebra::{Matrix3, Point3, Vector3};
use rayon::prelude::*;

use super::Surface;
use super::closed::Closed;
use super::gap::{Bodies, Body};
use super::grow::{Reach, grown_from};
use super::sizes::{held_back, keep_only};
use super::sphere::DIAGONAL;
use crate::error::Error;
use crate::kernels::{Border, distance_transform, maximal_balls};
use crate::linear::eigen;
use crate::mesh::Mesh;
use crate::porosity::Scene;
use crate::runtime::Runtime;
use crate::volume::Mask;

/// A void with solid all around: one that a shell of the surface encloses, or that no path of pore cells joins with the outside of the part.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedVoid {
    pub volume_mm3: f64,
    /// What of its volume lies in the envelope.
    pub inside_mm3: f64,
    /// Area of its own surface.
    pub area_mm2: f64,
    /// Diameter of the largest ball inside it.
    pub inscribed_mm: f64,
    pub centroid: Point3<f64>,
    /// Diameters of the ellipsoid with the same second moments, the shortest first.
    pub principal_mm: [f64; 3],
    /// Smallest distance of its surface to the part's outer surface.
    pub to_surface_mm: Option<f64>,
    /// Smallest distance of its surface to another closed void's, whether or not that reaches into the envelope.
    pub to_neighbour_mm: Option<f64>,
    /// It lies partly outside the envelope.
    pub touches_border: bool,
}

impl ClosedVoid {
    /// Diameter of the ball of the same volume.
    pub fn equivalent_mm(&self) -> f64 {
        equivalent_mm(self.volume_mm3)
    }

    /// Area of the ball of the same volume over its own area: 1 for a ball, less for everything else.
    pub fn sphericity(&self) -> f64 {
        let d = self.equivalent_mm();
        std::f64::consts::PI * d * d / self.area_mm2
    }

    /// Nearer to the part's outer surface than its own equivalent diameter.
    pub fn is_near_surface(&self) -> bool {
        self.to_surface_mm.is_some_and(|d| d < self.equivalent_mm())
    }
}

/// Diameter of the ball of a volume.
pub(super) fn equivalent_mm(volume_mm3: f64) -> f64 {
    libm::cbrt(6.0 * volume_mm3 / std::f64::consts::PI)
}

/// The closed voids that reach into the envelope, in the order of their first facets.
pub(crate) fn closed_voids(mesh: &Mesh, scene: &Scene, surface: Surface, rt: &Runtime) -> Result<Vec<ClosedVoid>, Error> {
    let closed = Closed::of(mesh, scene);
    let reach = closed.inside_and_beyond(mesh, scene);
    let wanted: Vec<usize> = (0..reach.len()).filter(|&n| reach[n][0] > 0.0).collect();
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    let enclosed = enclosed(mesh, scene, &closed);
    let radii = radii(mesh, scene, &closed, |n| reach[n][0] > 0.0, surface, rt)?;
    let outer = Body::of(mesh, &closed.outer, surface)?;
    let bodies: Vec<Option<Body>> = closed.voids.iter().map(|void| Body::of(mesh, &void.facets, surface)).collect::<Result<_, _>>()?;
    let cell_mm = scene.lattice.step_mm;
    let others = Bodies::of(&bodies, surface, cell_mm);
    let void = |(done, &n): (usize, &usize)| {
        rt.step("voids", done as f64 / wanted.len() as f64)?;
        let (facets, enclosed, [inside, beyond]) = (&closed.voids[n].facets, &enclosed[n], reach[n]);
        let volume_mm3 = enclosed.volume_mm3 - facets.iter().map(|&t| surface.between_mm3(t)).sum::<f64>();
        Ok(ClosedVoid {
            volume_mm3,
            inside_mm3: volume_mm3 * (inside / (inside + beyond)),
            area_mm2: facets.iter().map(|&t| surface.area_mm2(t)).sum(),
            inscribed_mm: 2.0 * radii[n],
            centroid: enclosed.centroid,
            principal_mm: enclosed.principal_mm,
            to_surface_mm: bodies[n].as_ref().zip(outer.as_ref()).map(|(own, outer)| own.gap_mm(outer, surface, cell_mm)),
            to_neighbour_mm: others.to_nearest_mm(n),
            touches_border: beyond > 0.0,
        })
    };
    wanted.par_iter().enumerate().map(void).collect()
}

/// What a void encloses.
struct Enclosed {
    volume_mm3: f64,
    centroid: Point3<f64>,
    principal_mm: [f64; 3],
}

fn enclosed(mesh: &Mesh, scene: &Scene, closed: &Closed) -> Vec<Enclosed> {
    let mut moments: Vec<Moments> = closed.voids.par_iter().map(|void| Moments::by(mesh, &void.facets, void.is_shell)).collect();
    let square = scene.lattice.step_mm * scene.lattice.step_mm;
    closed.each_stretch(|n, x, y, z| {
        if !closed.voids[n].is_shell {
            moments[n].add_stretch(x, y, z, square);
        }
    });
    moments.iter().map(Moments::enclosed).collect()
}

/// Volume and its first and second moments about a place.
struct Moments {
    about: Point3<f64>,
    volume: f64,
    first: Vector3<f64>,
    second: Matrix3<f64>,
}

impl Moments {
    /// Of what facets that face inwards enclose, if they enclose it; nothing yet otherwise.
    fn by(mesh: &Mesh, facets: &[u32], enclose: bool) -> Moments {
        let about = facets.first().map_or_else(Point3::origin, |&t| mesh.corners(t as usize)[0]);
        let mut moments = Moments { about, volume: 0.0, first: Vector3::zeros(), second: Matrix3::zeros() };
        if enclose {
            facets.iter().for_each(|&t| moments.add_facet(mesh.corners(t as usize)));
        }
        moments
    }

    fn add_facet(&mut self, corners: [Point3<f64>; 3]) {
        let [a, b, c] = corners.map(|p| p - self.about);
        let (six, sum) = (-a.dot(&b.cross(&c)), a + b + c);
        self.volume += six / 6.0;
        self.first += sum * (six / 24.0);
        self.second += [a, b, c, sum].map(|v| v * v.transpose()).into_iter().sum::<Matrix3<f64>>() * (six / 120.0);
    }

    /// A line from x to x at (y, z) that stands for so much of a cross-section.
    fn add_stretch(&mut self, x: [f64; 2], y: f64, z: f64, area: f64) {
        let [from, to] = x.map(|x| x - self.about.x);
        let (y, z) = (y - self.about.y, z - self.about.z);
        let (length, half, third) = (to - from, 0.5 * (to * to - from * from), (to * to * to - from * from * from) / 3.0);
        let (xy, xz, yz) = (y * half, z * half, y * z * length);
        self.volume += area * length;
        self.first += Vector3::new(half, y * length, z * length) * area;
        self.second += Matrix3::new(third, xy, xz, xy, y * y * length, yz, xz, yz, z * z * length) * area;
    }

    fn enclosed(&self) -> Enclosed {
        let mean = self.first / self.volume;
        let (spread, _) = eigen(&(self.second / self.volume - mean * mean.transpose()));
        // Of an ellipsoid, a fifth of the square of half a diameter.
        let principal_mm = [2, 1, 0].map(|n| 2.0 * (5.0 * spread[n].max(0.0)).sqrt());
        Enclosed { volume_mm3: self.volume, centroid: self.about + mean, principal_mm }
    }
}

/// Radius of the largest ball in each void that is wanted, by its number.
fn radii(
    mesh: &Mesh,
    scene: &Scene,
    closed: &Closed,
    wanted: impl Fn(usize) -> bool,
    surface: Surface,
    rt: &Runtime,
) -> Result<Vec<f64>, Error> {
    let (cells, number) = (closed.mask_where(&wanted)?, |cell| closed.at(cell).unwrap_or(0));
    let mut radii = inscribed(scene, &cells, closed.voids.len(), number, |_| true, surface, rt)?;
    // Where no cell lies, balls grow from just in front of the facets.
    let ahead_mm = AHEAD * scene.lattice.step_mm;
    for (n, radius) in radii.iter_mut().enumerate().filter(|(n, radius)| **radius == 0.0 && wanted(*n)) {
        let start = |&t: &u32| Some(mesh.centroid(t as usize) + mesh.area_vector(t as usize).try_normalize(0.0)? * ahead_mm);
        let starts: Vec<Point3<f64>> = closed.voids[n].facets.iter().filter_map(start).collect();
        let starts: Vec<Point3<f64>> = starts.into_iter().filter(|p| surface.facets.contains(p) == Some(false)).collect();
        let found = grown_from(surface, &starts, Reach::apart(scene.lattice.step_mm));
        *radius = found.into_iter().flatten().map(|g| g.largest().radius_mm).fold(0.0, f64::max);
    }
    Ok(radii)
}

/// How far in front of facets, in cells.
const AHEAD: f64 = 1e-3;

/// Radius of the largest ball with its centre within in each of so many sets of cells, whose number `number` tells of each cell of a mask: balls grow
/// where the lattice shows one within [`DIAGONAL`] of the largest of the set.
pub(super) fn inscribed(
    scene: &Scene,
    cells: &Mask,
    count: usize,
    number: impl Fn([usize; 3]) -> usize,
    within: impl Fn(&Point3<f64>) -> bool,
    surface: Surface,
    rt: &Runtime,
) -> Result<Vec<f64>, Error> {
    let mut radii = vec![0.0f64; count];
    if cells.count() == 0 {
        return Ok(radii);
    }
    let lattice = &scene.lattice;
    let nx = lattice.dims[0];
    let mut squares = distance_transform(&scene.solid.complement(), Border::Unknown, rt)?;
    keep_only(&mut squares, cells);
    let centres = maximal_balls(&squares, lattice.dims, 1, rt)?;
    drop(squares);
    let place = |place: u32, k: usize| [place as usize % nx, place as usize / nx, k];
    let all = || {
        centres.iter().enumerate().flat_map(|(k, slice)| slice.iter().map(move |&(at, square)| (place(at, k), f64::from(square).sqrt())))
    };
    let mut largest = vec![0.0f64; count];
    let numbers: Vec<usize> = all().map(|(at, _)| number(at)).collect();
    all().zip(&numbers).for_each(|((_, away), &n)| largest[n] = largest[n].max(away));
    let candidates = all().zip(numbers).filter(|((_, away), n)| *away >= largest[*n] - DIAGONAL);
    let (starts, numbers): (Vec<Point3<f64>>, Vec<usize>) = candidates.map(|(([i, j, k], _), n)| (lattice.centre_of([i, j, k]), n)).unzip();
    let found = grown_from(surface, &starts, Reach::apart(lattice.step_mm));
    for ((start, n), grown) in starts.iter().zip(numbers).zip(found).filter_map(|(start, grown)| Some((start, grown?))) {
        let ball = if within(&grown.ball.centre) {
            grown.climbed.filter(|b| within(&b.centre)).unwrap_or(grown.ball)
        } else {
            held_back(grown.ball, start, 0.5 * lattice.step_mm, &within)
        };
        radii[n] = radii[n].max(ball.radius_mm);
    }
    Ok(radii)
}
