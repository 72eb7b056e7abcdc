//! Which minimal surface a wall follows: where its level set, somewhere in the cell, is the same all along the middle of the wall.
//!
//! The function of each form is looked up at the middles of the walls for every place of the cell on a grid; the form whose values vary
//! least, of what they vary over the whole cell, is told if that is little. The three functions have the symmetry of the cube up to a
//! translation and their sign, so neither hand nor axes need to be tried.

use std::f64::consts::TAU;

use nalgebra::{Matrix3, Point3, Vector3};
use rayon::prelude::*;

use super::UnitCell;

/// Places of the cell along an axis that are tried.
const PLACES: usize = 24;
/// Share of a function's variance over the cell below which walls follow it. On the grid a wall lies up to τ/48 beside its place on each axis:
/// up to 0.02 of the gyroid's variance. Schwarz's D leaves 0.14 of P's function, so that another form must leave several times as much.
const FOLLOWS: f64 = 0.12;
const OTHERS: f64 = 3.0;

#[derive(Clone, Copy)]
struct Form {
    cell: UnitCell,
    /// Turns of the function in a cell of the walls.
    turns: f64,
    value: fn([[f64; 2]; 3]) -> f64,
    /// Of the function over the cell.
    variance: f64,
}

/// From the sines and cosines along the axes. Where both sides of Schwarz's D are alike its walls repeat by half of its cell.
const FORMS: [Form; 4] = [
    Form { cell: UnitCell::Gyroid, turns: 1.0, value: gyroid, variance: 0.75 },
    Form { cell: UnitCell::SchwarzP, turns: 1.0, value: schwarz_p, variance: 1.5 },
    Form { cell: UnitCell::SchwarzD, turns: 0.5, value: schwarz_d, variance: 0.25 },
    Form { cell: UnitCell::SchwarzD, turns: 1.0, value: schwarz_d, variance: 0.25 },
];

fn gyroid([[s, c], [t, d], [u, e]]: [[f64; 2]; 3]) -> f64 {
    s * d + t * e + u * c
}

fn schwarz_p([[_, c], [_, d], [_, e]]: [[f64; 2]; 3]) -> f64 {
    c + d + e
}

fn schwarz_d([[s, c], [t, d], [u, e]]: [[f64; 2]; 3]) -> f64 {
    c * d * e - s * t * u
}

/// The form of walls through some points of their middles in a cell.
pub(super) fn form(middles: &[Point3<f64>], vectors: &[Vector3<f64>; 3]) -> UnitCell {
    let Some(to_cell) = Matrix3::from_columns(vectors).try_inverse() else { return UnitCell::Unknown };
    let places: Vec<Vector3<f64>> = middles.iter().map(|p| to_cell * p.coords).collect();
    let mut fits = FORMS.map(|form| (varies(&form, &places), form.cell));
    fits.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (share, cell) = fits[0];
    let is_alone = fits.iter().all(|(other, c)| *c == cell || *other >= OTHERS * share);
    if share < FOLLOWS && is_alone { cell } else { UnitCell::Unknown }
}

/// The least variance of a form's function at places in the cell, of its own.
fn varies(form: &Form, places: &[Vector3<f64>]) -> f64 {
    let along = |x: f64| {
        let (sin, cos) = libm::sincos(TAU * form.turns * x);
        [sin, cos]
    };
    // A function of half a turn a cell changes its sign from cell to cell, and is told by its size.
    let folded = form.turns < 1.0;
    let shifted: Vec<[Vec<[f64; 2]>; 3]> =
        places.iter().map(|p| [0, 1, 2].map(|a| (0..PLACES).map(|i| along(p[a] + i as f64 / PLACES as f64)).collect())).collect();
    let of = |n: usize| {
        let shift = [n % PLACES, n / PLACES % PLACES, n / (PLACES * PLACES)];
        let (mut sum, mut squares) = (0.0, 0.0);
        for p in &shifted {
            let value = (form.value)([0, 1, 2].map(|a| p[a][shift[a]]));
            sum += if folded { 0.0 } else { value };
            squares += value * value;
        }
        let count = places.len() as f64;
        (squares / count - sum / count * (sum / count)) / form.variance
    };
    (0..PLACES * PLACES * PLACES).into_par_iter().map(of).reduce(|| f64::INFINITY, f64::min)
}
