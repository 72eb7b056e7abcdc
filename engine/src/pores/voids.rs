//! Closed voids one by one: defects inside the solid, and the rows of the table of pores.

use nalgebra::{Matrix3, Point3, Vector3};

use super::Surface;
use super::grow::{Reach, grown_from};
use super::room::DIAGONAL;
use super::sizes::{centre, keep_only};
use crate::align::eigen;
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::frame::Bounds;
use crate::kernels::{Border, Components, distance_transform, maximal_balls};
use crate::mesh::Mesh;
use crate::porosity::Scene;
use crate::runtime::Runtime;
use crate::volume::Mask;

/// A void that no path of pore cells joins with the outside of the part.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedVoid {
    pub volume_mm3: f64,
    /// Area of its own surface.
    pub area_mm2: f64,
    /// Diameter of the largest ball inside it.
    pub inscribed_mm: f64,
    pub centroid: Point3<f64>,
    /// Diameters of the ellipsoid with the same second moments, the shortest first.
    pub principal_mm: [f64; 3],
    /// Smallest distance of its surface to the part's outer surface.
    pub to_surface_mm: Option<f64>,
    /// Smallest distance of its surface to another closed void's.
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

/// The closed voids that reach into the envelope, in the order of their first cells. Volume and centroid by the divergence theorem over a
/// void's own facets, the volume with what lies between them and the curved surface.
pub(crate) fn closed_voids(mesh: &Mesh, scene: &Scene, surface: Surface, rt: &Runtime) -> Result<Vec<ClosedVoid>, Error> {
    let (components, outside) = (scene.voids.components(), scene.voids.outside());
    let envelope = scene.envelope();
    let count = components.count();
    let mut cells = vec![[0u64; 2]; count + 1]; // inside and outside the envelope
    components.each_run(|label, run, j, k| {
        if label != outside {
            run.for_each(|i| cells[label as usize][usize::from(!envelope.get(i, j, k))] += 1);
        }
    });
    drop(envelope);
    let wanted: Vec<u32> = (1..=count as u32).filter(|&l| l != outside && cells[l as usize][0] > 0).collect();
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    let facets = facets_by_void(mesh, scene, count);
    let inscribed = inscribed(scene, components, &components.mask_where(|label| label != outside), surface, rt)?;
    let outer = Body::of(mesh, &facets[outside as usize])?;
    let own: Vec<Option<Body>> = wanted.iter().map(|&l| Body::of(mesh, &facets[l as usize])).collect::<Result<_, _>>()?;
    let mut found = vec![];
    for (n, &label) in wanted.iter().enumerate() {
        rt.step("voids", n as f64 / wanted.len() as f64)?;
        let own_facets = &facets[label as usize];
        let Some(mine) = own[n].as_ref() else { continue }; // seen by the lattice and by no facet
        let enclosed = Enclosed::by(mesh, own_facets);
        let beyond: f64 = own_facets.iter().map(|&t| surface.between_mm3(t)).sum();
        found.push(ClosedVoid {
            volume_mm3: enclosed.volume_mm3 - beyond,
            area_mm2: own_facets.iter().map(|&t| surface.area_mm2(t)).sum(),
            inscribed_mm: 2.0 * inscribed[label as usize],
            centroid: enclosed.centroid,
            principal_mm: enclosed.principal_mm,
            to_surface_mm: outer.as_ref().map(|outer| mine.gap_mm(outer)),
            to_neighbour_mm: nearest_other(&own, n),
            touches_border: cells[label as usize][1] > 0,
        });
    }
    Ok(found)
}

/// The facets that face each void, by its label.
pub(super) fn facets_by_void(mesh: &Mesh, scene: &Scene, count: usize) -> Vec<Vec<u32>> {
    let mut facets = vec![vec![]; count + 1];
    for t in 0..mesh.triangles().len() {
        if let Some([i, j, k]) = scene.void_beside(mesh, t) {
            facets[scene.voids.components().label_of(i, j, k) as usize].push(t as u32);
        }
    }
    facets
}

/// Some facets of the part as a surface of their own.
pub(super) struct Body {
    surface: MeshDistance,
    bounds: Bounds,
}

impl Body {
    /// `None` without facets.
    pub fn of(mesh: &Mesh, facets: &[u32]) -> Result<Option<Body>, Error> {
        if facets.is_empty() {
            return Ok(None);
        }
        let mut ids: Vec<u32> = facets.iter().flat_map(|&t| mesh.triangles()[t as usize]).collect();
        ids.sort_unstable();
        ids.dedup();
        let place = |v: u32| ids.partition_point(|&id| id < v) as u32;
        let triangles = facets.iter().map(|&t| mesh.triangles()[t as usize].map(place)).collect();
        let vertices = ids.iter().map(|&v| mesh.vertices()[v as usize]).collect();
        let surface = MeshDistance::build(&Mesh::new(vertices, triangles)?);
        let bounds = surface.mesh().bounds();
        Ok(Some(Body { surface, bounds }))
    }

    /// Smallest distance of its vertices to another surface.
    fn gap_mm(&self, other: &Body) -> f64 {
        let mut seat = 0;
        let vertices = self.surface.mesh().vertices();
        vertices.iter().map(|p| other.surface.nearest_from(p, &mut seat).distance_mm).fold(f64::INFINITY, f64::min)
    }

    /// No two of their points are nearer than this.
    fn apart_mm(&self, other: &Body) -> f64 {
        let (a, b) = (&self.bounds, &other.bounds);
        let between = [0, 1, 2].map(|n| (a.min[n] - b.max[n]).max(b.min[n] - a.max[n]).max(0.0));
        Vector3::from(between).norm()
    }
}

/// Distance from one of some bodies to the nearest of the others.
pub(super) fn nearest_other(bodies: &[Option<Body>], n: usize) -> Option<f64> {
    let own = bodies[n].as_ref()?;
    let others = bodies.iter().enumerate().filter(|(m, _)| *m != n).filter_map(|(_, other)| other.as_ref());
    others.fold(None, |nearest: Option<f64>, other| {
        if nearest.is_some_and(|gap| own.apart_mm(other) >= gap) {
            return nearest;
        }
        // From the smaller to the larger of them.
        let small = own.surface.mesh().vertices().len() <= other.surface.mesh().vertices().len();
        let gap = if small { own.gap_mm(other) } else { other.gap_mm(own) };
        Some(nearest.map_or(gap, |nearest| nearest.min(gap)))
    })
}

/// What facets enclose that face inwards, by the divergence theorem.
struct Enclosed {
    volume_mm3: f64,
    centroid: Point3<f64>,
    principal_mm: [f64; 3],
}

impl Enclosed {
    fn by(mesh: &Mesh, facets: &[u32]) -> Enclosed {
        let origin = facets.first().map_or_else(Point3::origin, |&t| mesh.corners(t as usize)[0]);
        let (mut volume, mut moment, mut square) = (0.0, Vector3::zeros(), Matrix3::zeros());
        for &t in facets {
            let [a, b, c] = mesh.corners(t as usize).map(|p| p - origin);
            let (six, sum) = (-a.dot(&b.cross(&c)), a + b + c);
            volume += six / 6.0;
            moment += sum * (six / 24.0);
            square += [a, b, c, sum].map(|v| v * v.transpose()).into_iter().sum::<Matrix3<f64>>() * (six / 120.0);
        }
        let mean = moment / volume;
        let (spread, _) = eigen(&(square / volume - mean * mean.transpose()));
        // Of an ellipsoid, a fifth of the square of half a diameter.
        let principal_mm = [2, 1, 0].map(|n| 2.0 * (5.0 * spread[n].max(0.0)).sqrt());
        Enclosed { volume_mm3: volume, centroid: origin + mean, principal_mm }
    }
}

/// Radius of the largest ball in each component, by its label, of those in a mask: balls grow where the lattice shows one within [`DIAGONAL`] of the
/// largest of the component.
pub(super) fn inscribed(scene: &Scene, components: &Components, wanted: &Mask, surface: Surface, rt: &Runtime) -> Result<Vec<f64>, Error> {
    let lattice = &scene.lattice;
    let nx = lattice.dims[0];
    let mut squares = distance_transform(&scene.solid.complement(), Border::Unknown, rt)?;
    keep_only(&mut squares, wanted);
    let centres = maximal_balls(&squares, lattice.dims, 1, rt)?;
    drop(squares);
    let place = |place: u32, k: usize| [place as usize % nx, place as usize / nx, k];
    let label = |[i, j, k]: [usize; 3]| components.label_of(i, j, k) as usize;
    let all = || {
        centres.iter().enumerate().flat_map(|(k, slice)| slice.iter().map(move |&(at, square)| (place(at, k), f64::from(square).sqrt())))
    };
    let mut largest = vec![0.0f64; components.count() + 1];
    all().for_each(|(at, away)| largest[label(at)] = largest[label(at)].max(away));
    let candidates: Vec<[usize; 3]> = all().filter(|&(at, away)| away >= largest[label(at)] - DIAGONAL).map(|c| c.0).collect();
    let starts: Vec<Point3<f64>> = candidates.iter().map(|&[i, j, k]| centre(lattice, i, j, k)).collect();
    let mut radii = vec![0.0f64; components.count() + 1];
    for (at, grown) in candidates.iter().zip(grown_from(surface, &starts, Reach::apart(lattice.step_mm))) {
        let radius = &mut radii[label(*at)];
        *radius = radius.max(grown.map_or(0.0, |g| g.largest().radius_mm));
    }
    Ok(radii)
}
