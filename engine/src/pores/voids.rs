//! Closed voids one by one: defects inside the solid, and the rows of the table of pores.

use nalgebra::{Point3, Vector3};

use super::Surface;
use super::grow::{climbed, grown};
use super::sizes::{centre, keep_only};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::frame::Bounds;
use crate::kernels::{Border, distance_transform, maximal_balls};
use crate::mesh::Mesh;
use crate::porosity::Scene;
use crate::runtime::Runtime;

/// A void that no path of pore cells joins with the outside of the part.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedVoid {
    pub volume_mm3: f64,
    /// Area of its own surface.
    pub area_mm2: f64,
    /// Diameter of the largest ball inside it.
    pub inscribed_mm: f64,
    pub centroid: Point3<f64>,
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
        libm::cbrt(6.0 * self.volume_mm3 / std::f64::consts::PI)
    }

    /// Area of the ball of the same volume over its own area: 1 for a ball, less for everything else.
    pub fn sphericity(&self) -> f64 {
        let d = self.equivalent_mm();
        std::f64::consts::PI * d * d / self.area_mm2
    }
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
    let inscribed = inscribed(scene, count, surface, rt)?;
    let outer = mesh_of(mesh, &facets[outside as usize])?;
    let own: Vec<Option<MeshDistance>> = wanted.iter().map(|&l| mesh_of(mesh, &facets[l as usize])).collect::<Result<_, _>>()?;
    let bounds: Vec<Bounds> = own.iter().map(|o| o.as_ref().map_or_else(Bounds::empty, |o| o.mesh().bounds())).collect();
    let mut found = vec![];
    for (n, &label) in wanted.iter().enumerate() {
        rt.step("voids", n as f64 / wanted.len() as f64)?;
        let own_facets = &facets[label as usize];
        let Some(mine) = own[n].as_ref() else { continue }; // seen by the lattice and by no facet
        let (within_facets, centroid) = enclosed(mesh, own_facets);
        let beyond: f64 = own_facets.iter().map(|&t| surface.between_mm3(t)).sum();
        let gap_to = |other: &MeshDistance| gap(mine.mesh(), other);
        let mut nearest: Option<f64> = None;
        for (m, other) in own.iter().enumerate().filter(|(m, _)| *m != n) {
            let Some(other) = other else { continue };
            if nearest.is_none_or(|gap| apart(&bounds[n], &bounds[m]) < gap) {
                let gap = gap_to(other);
                nearest = Some(nearest.map_or(gap, |g| g.min(gap)));
            }
        }
        found.push(ClosedVoid {
            volume_mm3: within_facets - beyond,
            area_mm2: own_facets.iter().map(|&t| surface.area_mm2(t)).sum(),
            inscribed_mm: 2.0 * inscribed[label as usize],
            centroid,
            to_surface_mm: outer.as_ref().map(gap_to),
            to_neighbour_mm: nearest,
            touches_border: cells[label as usize][1] > 0,
        });
    }
    Ok(found)
}

/// The facets that face each void, by its label.
fn facets_by_void(mesh: &Mesh, scene: &Scene, count: usize) -> Vec<Vec<u32>> {
    let mut facets = vec![vec![]; count + 1];
    for t in 0..mesh.triangles().len() {
        let Some(unit) = mesh.area_vector(t).try_normalize(0.0) else { continue };
        let [a, b, c] = mesh.corners(t);
        let middle = Point3::from((a.coords + b.coords + c.coords) / 3.0);
        // The first void along the normal: a void may be thinner than a cell just here.
        let label = [0.9, 0.5, 1.4].into_iter().find_map(|cells| {
            let [i, j, k] = scene.lattice.cell(&(middle + unit * (cells * scene.lattice.step_mm)));
            Some(scene.voids.components().label_of(i, j, k)).filter(|l| *l != 0)
        });
        if let Some(label) = label {
            facets[label as usize].push(t as u32);
        }
    }
    facets
}

fn mesh_of(mesh: &Mesh, facets: &[u32]) -> Result<Option<MeshDistance>, Error> {
    if facets.is_empty() {
        return Ok(None);
    }
    let mut ids: Vec<u32> = facets.iter().flat_map(|&t| mesh.triangles()[t as usize]).collect();
    ids.sort_unstable();
    ids.dedup();
    let place = |v: u32| ids.partition_point(|&id| id < v) as u32;
    let triangles = facets.iter().map(|&t| mesh.triangles()[t as usize].map(place)).collect();
    let vertices = ids.iter().map(|&v| mesh.vertices()[v as usize]).collect();
    Ok(Some(MeshDistance::build(&Mesh::new(vertices, triangles)?)))
}

/// Volume and centroid of what facets enclose that face inwards.
fn enclosed(mesh: &Mesh, facets: &[u32]) -> (f64, Point3<f64>) {
    let Some(&first) = facets.first() else { return (0.0, Point3::origin()) };
    let origin = mesh.corners(first as usize)[0];
    let (mut volume, mut moment) = (0.0, Vector3::zeros());
    for &t in facets {
        let [a, b, c] = mesh.corners(t as usize).map(|p| p - origin);
        let six = -a.dot(&b.cross(&c));
        volume += six / 6.0;
        moment += (a + b + c) * (six / 24.0);
    }
    (volume, origin + moment / volume)
}

/// Radius of the largest ball in each void, by its label.
fn inscribed(scene: &Scene, count: usize, surface: Surface, rt: &Runtime) -> Result<Vec<f64>, Error> {
    let lattice = &scene.lattice;
    let nx = lattice.dims[0];
    let (components, outside) = (scene.voids.components(), scene.voids.outside());
    let mut squares = distance_transform(&scene.solid.complement(), Border::Unknown, rt)?;
    keep_only(&mut squares, &components.mask_where(|label| label != outside));
    let mut radii = vec![0.0f64; count + 1];
    let mut seat = 0;
    for (k, slice) in maximal_balls(&squares, lattice.dims, 1, rt)?.iter().enumerate() {
        for &(place, _) in slice {
            let (i, j) = (place as usize % nx, place as usize / nx);
            let label = components.label_of(i, j, k) as usize;
            let Some(ball) = grown(surface, &centre(lattice, i, j, k), 2.0 * lattice.step_mm, &mut seat) else { continue };
            let larger = climbed(surface, &ball, lattice.step_mm, &mut seat);
            radii[label] = radii[label].max(larger.unwrap_or(ball).radius_mm);
        }
    }
    Ok(radii)
}

/// Smallest distance of a mesh's vertices to another surface.
fn gap(mesh: &Mesh, other: &MeshDistance) -> f64 {
    let mut seat = 0;
    mesh.vertices().iter().map(|p| other.nearest_from(p, &mut seat).distance_mm).fold(f64::INFINITY, f64::min)
}

/// No two points within two bounds are nearer than this.
fn apart(a: &Bounds, b: &Bounds) -> f64 {
    let between = [0, 1, 2].map(|n| (a.min[n] - b.max[n]).max(b.min[n] - a.max[n]).max(0.0));
    Vector3::from(between).norm()
}
