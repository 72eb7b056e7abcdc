//! Surface, topology and orientation of a porous structure.

use nalgebra::{DMatrix, DVector, Matrix3, Vector3};

use crate::error::Error;
use crate::kernels::euler_eighths_within;
use crate::mesh::{Bulge, Mesh};
use crate::porosity::Scene;

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
    /// 1 - shortest / longest principal mean intercept length; `None` without enough surface to tell.
    pub anisotropy: Option<f64>,
}

pub(crate) fn structure(mesh: &Mesh, bulge: Option<&Bulge>, scene: &Scene) -> Result<Structure, Error> {
    let lattice = &scene.lattice;
    let at = |axis: usize, n: usize| lattice.origin[axis] + n as f64 * lattice.step_mm;
    let known = scene.shown();
    let inside = |i, j, k| scene.in_region(&nalgebra::Point3::new(at(0, i), at(1, j), at(2, k)));
    let eighths = euler_eighths_within(&scene.solid, known.as_ref(), inside);
    let share = |t: usize| scene.facing(mesh, t).iter().sum::<f64>();
    let facing: Vec<(usize, f64)> = (0..mesh.triangles().len()).map(|t| (t, share(t))).filter(|(_, share)| *share > 0.0).collect();
    let areas: Vec<Vector3<f64>> =
        facing.iter().map(|&(t, share)| mesh.area_vector(t) * (0.5 * share * bulge.map_or(1.0, |b| b.stretch(mesh, t)))).collect();
    Ok(Structure {
        envelope_mm3: scene.envelope_mm3(),
        area_mm2: crate::sum::sum(areas.len(), |n| areas[n].norm()),
        curvature_mm: bulge.map(|b| crate::sum::sum(facing.len(), |n| facing[n].1 * b.curvature_mm(mesh, facing[n].0))),
        euler: eighths as f64 / 8.0,
        anisotropy: anisotropy(&areas),
    })
}

/// Directions in which intercepts are counted.
const DIRECTIONS: usize = 500;

/// Lines along w meet the surface as often as the facets' areas seen along w say (Cauchy-Crofton), so the mean intercept length is
/// had for every direction without drawing lines; its ellipsoid by least squares (Harrigan & Mann 1984).
fn anisotropy(areas: &[Vector3<f64>]) -> Option<f64> {
    let ways: Vec<Vector3<f64>> = (0..DIRECTIONS).map(direction).collect();
    // Meetings per length are the inverse of intercepts: wᵀ M w = meetings², M's eigenvalues are the squares of 1 / length.
    let meetings = crate::sum::fold(
        areas.len(),
        || vec![0.0; DIRECTIONS],
        |mut sums: Vec<f64>, t| {
            sums.iter_mut().zip(&ways).for_each(|(s, w)| *s += areas[t].dot(w).abs());
            sums
        },
        |mut a, b| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        },
    );
    let terms = |w: &Vector3<f64>| [w.x * w.x, w.y * w.y, w.z * w.z, 2.0 * w.x * w.y, 2.0 * w.y * w.z, 2.0 * w.z * w.x];
    let rows = DMatrix::from_fn(DIRECTIONS, 6, |n, c| terms(&ways[n])[c]);
    let squares = DVector::from_iterator(DIRECTIONS, meetings.iter().map(|m| m * m));
    let fitted = (rows.transpose() * &rows).cholesky()?.solve(&(rows.transpose() * squares));
    let [xx, yy, zz, xy, yz, zx] = [0, 1, 2, 3, 4, 5].map(|c| fitted[c]);
    let values = Matrix3::new(xx, xy, zx, xy, yy, yz, zx, yz, zz).symmetric_eigenvalues();
    let (low, high) = (values.min(), values.max());
    (high > 0.0).then(|| 1.0 - (low.max(0.0) / high).sqrt())
}

/// Evenly spread over a half sphere (Fibonacci lattice, Swinbank & Purser 2006).
fn direction(n: usize) -> Vector3<f64> {
    const TURN: f64 = 2.399_963_229_728_653; // the golden angle
    let z = (n as f64 + 0.5) / DIRECTIONS as f64;
    let (r, turn) = ((1.0 - z * z).sqrt(), TURN * n as f64);
    Vector3::new(r * libm::cos(turn), r * libm::sin(turn), z)
}
