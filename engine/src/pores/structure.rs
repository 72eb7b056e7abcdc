//! Surface, topology and orientation of a porous structure.

use nalgebra::{DMatrix, DVector, Matrix3, Point3, Vector3};
use rayon::prelude::*;

use super::{Phase, Surface};
use crate::error::Error;
use crate::kernels::{euler_eighths_within, place_of};
use crate::linear::eigen;
use crate::porosity::{Scene, nearest_to_cells};
use crate::volume::Mask;

/// Area, Euler number and anisotropy of the solid inside an envelope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Structure {
    pub envelope_mm3: f64,
    /// Area of the surface that faces pores, mm².
    pub area_mm2: f64,
    /// Integral of the mean curvature over that surface, mm; `None` where the surface between corners is not known.
    pub curvature_mm: Option<f64>,
    /// Euler number, in eighths: the share of the envelope where that is a region.
    pub euler: f64,
    /// The same when the surface lies as far out, and as far in, as it may.
    pub euler_moved: [f64; 2],
    /// `None` without enough surface to tell.
    pub anisotropy: Option<Anisotropy>,
}

/// 1 - shortest / longest principal mean intercept length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Anisotropy {
    pub value: f64,
    /// Standard uncertainty of the surface as a sample: two halves of it, chequered, against each other.
    pub sampling_u: f64,
    /// The same of the directions that the ellipsoid is fitted to.
    pub fit_u: f64,
}

/// `surface` is that of the pores; it may lie `moved_mm` further out or in.
pub(crate) fn structure(scene: &Scene, surface: Surface, moved_mm: f64) -> Result<Structure, Error> {
    let (mesh, bulge) = (surface.facets.mesh(), surface.bulge);
    let lattice = &scene.lattice;
    let at = |axis: usize, n: usize| lattice.origin[axis] + n as f64 * lattice.step_mm;
    let known = scene.shown();
    let inside = |i, j, k| scene.in_region(&Point3::new(at(0, i), at(1, j), at(2, k)));
    let euler = |solid: &Mask| euler_eighths_within(solid, known.as_ref(), inside) as f64 / 8.0;
    let share = |t: usize| scene.facing(mesh, t).iter().sum::<f64>();
    let facing: Vec<(usize, f64)> =
        (0..mesh.triangles().len()).into_par_iter().map(|t| (t, share(t))).filter(|(_, share)| *share > 0.0).collect();
    let areas: Vec<Vector3<f64>> =
        facing.iter().map(|&(t, share)| mesh.area_vector(t) * (0.5 * share * bulge.map_or(1.0, |b| b.stretch(mesh, t)))).collect();
    let own = euler(&scene.solid);
    let is_black = |n: usize| {
        let cube = ((mesh.centroid(facing[n].0) - lattice.origin) / (CHEQUER * lattice.step_mm)).map(f64::floor);
        cube.sum().rem_euclid(2.0) == 1.0
    };
    Ok(Structure {
        envelope_mm3: scene.envelope_mm3(),
        area_mm2: crate::sum::sum(areas.len(), |n| areas[n].norm()),
        curvature_mm: bulge.map(|b| crate::sum::sum(facing.len(), |n| facing[n].1 * b.curvature_mm(mesh, facing[n].0))),
        euler: own,
        euler_moved: if moved_mm > 0.0 {
            [euler(&moved(scene, surface, moved_mm, true)?), euler(&moved(scene, surface, moved_mm, false)?)]
        } else {
            [own; 2]
        },
        anisotropy: anisotropy(&areas, is_black),
    })
}

/// Cells measured by one task.
const AT_ONCE: usize = 1024;

/// The solid when its surface lies further out or in by less than half a cell.
fn moved(scene: &Scene, surface: Surface, by_mm: f64, out: bool) -> Result<Mask, Error> {
    let (lattice, dims) = (&scene.lattice, scene.lattice.dims);
    let (from, phase) = if out { (scene.solid.complement(), Phase::Pores) } else { (scene.solid.clone(), Phase::Walls) };
    let side = Surface { phase, ..surface };
    let rim = from.rim();
    let passed = rim.par_chunks(AT_ONCE).map(|cells| {
        let cells: Vec<[usize; 3]> = cells.iter().map(|&n| place_of(n as usize, dims)).collect();
        let near = nearest_to_cells(&cells, lattice, side.facets);
        cells.into_iter().zip(near).filter(|(_, (_, near, _))| side.room_mm(near) < by_mm).map(|(cell, _)| cell).collect::<Vec<_>>()
    });
    let passed: Vec<[usize; 3]> = passed.flatten_iter().collect();
    let (mut words, per_row) = (scene.solid.words().to_vec(), scene.solid.words_per_row());
    for [i, j, k] in passed {
        words[(k * dims[1] + j) * per_row + i / 64] ^= 1 << (i % 64);
    }
    Mask::of_rows(dims, words)
}

/// Directions in which intercepts are counted.
const DIRECTIONS: usize = 500;
/// Edge of the cubes by which the surface is parted into two halves, in cells: wider than noise is long.
const CHEQUER: f64 = 4.0;

/// Lines along w meet the surface as often as the facets' areas seen along w say (Cauchy-Crofton), so the mean intercept length is
/// had for every direction without drawing lines; its ellipsoid by least squares (Harrigan & Mann 1984).
fn anisotropy(areas: &[Vector3<f64>], is_black: impl Fn(usize) -> bool + Sync) -> Option<Anisotropy> {
    let ways: Vec<Vector3<f64>> = (0..DIRECTIONS).map(direction).collect();
    let [black, white] = crate::sum::fold(
        areas.len(),
        || [vec![0.0; DIRECTIONS], vec![0.0; DIRECTIONS]],
        |mut halves: [Vec<f64>; 2], t| {
            let sums = &mut halves[usize::from(!is_black(t))];
            sums.iter_mut().zip(&ways).for_each(|(s, w)| *s += areas[t].dot(w).abs());
            halves
        },
        |mut a, b| {
            a.iter_mut().flatten().zip(b.iter().flatten()).for_each(|(a, b)| *a += b);
            a
        },
    );
    let all: Vec<f64> = black.iter().zip(&white).map(|(a, b)| a + b).collect();
    let every = |offset: usize, step: usize| (offset..DIRECTIONS).step_by(step);
    let whole = ellipsoid(&ways, &all, every(0, 1))?;
    let value = degree(&whole);
    // Two halves as apart as these differ from what all of it would be by half of that, either way.
    let by = |a: Option<Matrix3<f64>>, b: Option<Matrix3<f64>>| {
        let (Some(a), Some(b)) = (a, b) else { return value };
        let half = (a - b) * 0.5;
        let changes = [degree(&(whole + half)) - value, degree(&(whole - half)) - value];
        (0.5 * changes.iter().map(|c| c * c).sum::<f64>()).sqrt()
    };
    Some(Anisotropy {
        value,
        sampling_u: by(ellipsoid(&ways, &black, every(0, 1)), ellipsoid(&ways, &white, every(0, 1))),
        fit_u: by(ellipsoid(&ways, &all, every(0, 2)), ellipsoid(&ways, &all, every(1, 2))),
    })
}

/// Meetings per length are the inverse of intercepts: wᵀ M w = meetings², M's eigenvalues are the squares of 1 / length. Of unit trace; `None`
/// where nothing is met.
fn ellipsoid(ways: &[Vector3<f64>], meetings: &[f64], chosen: impl Iterator<Item = usize>) -> Option<Matrix3<f64>> {
    let chosen: Vec<usize> = chosen.collect();
    let terms = |w: &Vector3<f64>| [w.x * w.x, w.y * w.y, w.z * w.z, 2.0 * w.x * w.y, 2.0 * w.y * w.z, 2.0 * w.z * w.x];
    let rows = DMatrix::from_fn(chosen.len(), 6, |n, c| terms(&ways[chosen[n]])[c]);
    let squares = DVector::from_iterator(chosen.len(), chosen.iter().map(|&n| meetings[n] * meetings[n]));
    let fitted = (rows.transpose() * &rows).cholesky()?.solve(&(rows.transpose() * squares));
    let [xx, yy, zz, xy, yz, zx] = [0, 1, 2, 3, 4, 5].map(|c| fitted[c]);
    let trace = xx + yy + zz;
    (trace > 0.0).then(|| Matrix3::new(xx, xy, zx, xy, yy, yz, zx, yz, zz) / trace)
}

/// 1 - shortest / longest axis of the ellipsoid of lengths.
fn degree(ellipsoid: &Matrix3<f64>) -> f64 {
    let ([most, _, least], _) = eigen(ellipsoid);
    1.0 - (least.max(0.0) / most).sqrt()
}

/// Evenly spread over a half sphere (Fibonacci lattice, Swinbank & Purser 2006).
fn direction(n: usize) -> Vector3<f64> {
    const TURN: f64 = 2.399_963_229_728_653; // the golden angle
    let z = (n as f64 + 0.5) / DIRECTIONS as f64;
    let (r, turn) = ((1.0 - z * z).sqrt(), TURN * n as f64);
    Vector3::new(r * libm::cos(turn), r * libm::sin(turn), z)
}
