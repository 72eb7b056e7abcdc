//! Cavities: closed voids that the shells of a surface tell exactly, however thin or small.
//!
//! A shell that faces inwards has solid all around, so it encloses one void; what floats in it belongs to its walls. It is believed where every line
//! of a lattice through it leaves the solid where it enters the void: bodies that overlap may fill it.
//! Cost: 4 bytes a facet and 24 a line through a void; a point's side of a shell where another may float in it.

use nalgebra::Point3;
use rayon::prelude::*;

use crate::distance::MeshDistance;
use crate::error::Error;
use crate::frame::Bounds;
use crate::mesh::edges::Edges;
use crate::mesh::{Mesh, Shells};
use crate::solid::{Columns, stretches_within};

/// Lines of a lattice through a void and where they run in it.
pub type Through = Vec<(u32, [f64; 2])>;

/// A void that a shell tells.
pub struct Cavity {
    /// That face it, ascending.
    pub facets: Vec<u32>,
    pub through: Through,
}

/// The cavities of a solid on a lattice.
pub struct Cavities {
    pub list: Vec<Cavity>,
    /// Where lines enter them, ascending.
    entered: Vec<(u32, f64)>,
    /// All facets that face them, ascending.
    facets: Vec<u32>,
}

impl Cavities {
    /// Of those `walls` of voids (see [`walls`]) that the solid leaves empty.
    pub fn of(mesh: &Mesh, walls: &[Vec<u32>], solid: &Columns) -> Cavities {
        let believed = |facets: &Vec<u32>| {
            let through = stretches_within(mesh, facets, &solid.lattice)?;
            let believed = through.iter().all(|&(line, x)| is_gap(solid, line, x));
            believed.then(|| Cavity { facets: facets.clone(), through })
        };
        let list: Vec<Cavity> = walls.par_iter().filter_map(believed).collect();
        let mut entered: Vec<(u32, f64)> = list.iter().flat_map(|c| c.through.iter().map(|&(line, [from, _])| (line, from))).collect();
        entered.par_sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut facets: Vec<u32> = list.iter().flat_map(|c| c.facets.iter().copied()).collect();
        facets.par_sort_unstable();
        Cavities { list, entered, facets }
    }

    /// Whether the gap of the solid that starts at a place on a line lies in a cavity.
    pub fn hold(&self, line: u32, from: f64) -> bool {
        self.entered.binary_search_by(|e| e.0.cmp(&line).then(e.1.total_cmp(&from))).is_ok()
    }

    /// Whether a facet faces a cavity.
    pub fn are_faced_by(&self, facet: usize) -> bool {
        self.facets.binary_search(&(facet as u32)).is_ok()
    }
}

/// Whether a stretch is all that lies between two intervals of a solid, which end where it does.
fn is_gap(solid: &Columns, line: u32, [from, to]: [f64; 2]) -> bool {
    let ny = solid.lattice.dims[1];
    let intervals = solid.line(line as usize % ny, line as usize / ny);
    let before = intervals.partition_point(|s| s[1] < from);
    intervals.get(before).is_some_and(|s| s[1] == from) && intervals.get(before + 1).is_some_and(|s| s[0] == to)
}

/// No void.
const NONE: u32 = u32::MAX;

/// The facets of each shell that faces inwards, with those of the shells that float in it; in the order of the shells.
pub(crate) fn walls(surface: &MeshDistance) -> Result<Vec<Vec<u32>>, Error> {
    let mesh = surface.mesh();
    let shells = surface.edges().map_or_else(|| Shells::of(mesh, &Edges::of(mesh)), |edges| Shells::of(mesh, edges));
    let volumes = volumes(mesh, &shells);
    let mut walls: Vec<Vec<u32>> = vec![];
    let mut void_of: Vec<u32> = vec![NONE; volumes.len()];
    for shell in (0..volumes.len()).filter(|&s| volumes[s] < 0.0) {
        void_of[shell] = walls.len() as u32;
        walls.push(vec![]);
    }
    if walls.is_empty() {
        return Ok(walls);
    }
    let gather = |walls: &mut [Vec<u32>], void_of: &[u32]| {
        for t in 0..mesh.triangles().len() {
            if let Some(own) = walls.get_mut(void_of[shells.of_triangle(t)] as usize) {
                own.push(t as u32);
            }
        }
    };
    gather(&mut walls, &void_of);
    if float(mesh, &shells, &volumes, &walls, &mut void_of)? {
        walls.iter_mut().for_each(Vec::clear);
        gather(&mut walls, &void_of);
    }
    Ok(walls)
}

/// Gives shells that face outwards to the smallest of the voids that they lie in; whether there are any.
fn float(mesh: &Mesh, shells: &Shells, volumes: &[f64], walls: &[Vec<u32>], void_of: &mut [u32]) -> Result<bool, Error> {
    let mut bounds = vec![Bounds::empty(); volumes.len()];
    for t in 0..mesh.triangles().len() {
        let own = &mut bounds[shells.of_triangle(t)];
        mesh.corners(t).iter().for_each(|p| *own = Bounds { min: own.min.inf(p), max: own.max.sup(p) });
    }
    let mut solids: Vec<usize> = (0..volumes.len()).filter(|&s| volumes[s] > 0.0).collect();
    let mut voids: Vec<usize> = (0..volumes.len()).filter(|&s| volumes[s] < 0.0).collect();
    voids.sort_by(|&a, &b| volumes[b].total_cmp(&volumes[a]).then(a.cmp(&b)));
    let mut any = false;
    for void in voids {
        let fits = |solid: usize| {
            volumes[solid] < -volumes[void] && [bounds[solid].min, bounds[solid].max].iter().all(|p| bounds[void].contains(p))
        };
        if !solids.iter().any(|&solid| fits(solid)) {
            continue;
        }
        let number = void_of[void];
        let inside = MeshDistance::build(&mesh.alone(&walls[number as usize])?);
        let corner = |solid: usize| -> Point3<f64> { mesh.corners(shells.firsts()[solid] as usize)[0] };
        solids.retain(|&solid| {
            let floats = fits(solid) && inside.contains(&corner(solid)) == Some(true);
            if floats {
                void_of[solid] = number;
            }
            any |= floats;
            !floats
        });
    }
    Ok(any)
}

/// What each shell encloses (six times mm³): positive where it faces outwards.
fn volumes(mesh: &Mesh, shells: &Shells) -> Vec<f64> {
    let mut six = vec![0.0; shells.firsts().len()];
    for t in 0..mesh.triangles().len() {
        let shell = shells.of_triangle(t);
        let near = mesh.corners(shells.firsts()[shell] as usize)[0]; // so that no digits cancel
        let [a, b, c] = mesh.corners(t).map(|p| p - near);
        six[shell] += a.dot(&b.cross(&c));
    }
    six
}
