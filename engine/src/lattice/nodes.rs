//! Nodes as built: the points nearest to the centre lines of the struts that meet there.

use nalgebra::{Matrix3, Point3, Vector3};

use super::design::Strut;
use super::trace::Traced;
use crate::align::eigen;

/// A node as built.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// From the designed to the built node; `None` where fewer than two measured struts of different directions meet.
    pub offset: Option<Vector3<f64>>,
    /// Standard uncertainty along one axis from noise, mm.
    pub noise_mm: f64,
    /// Struts of different directions meet there by design.
    pub is_crossing: bool,
}

/// Lines that cross at less than this (the smallest eigenvalue of the normal matrix) do not place a node.
const CROSSING: f64 = 0.1;

/// Every designed node as built, from the struts as built.
pub(super) fn nodes(places: &[Point3<f64>], struts: &[Strut], traced: &[Traced]) -> Vec<Node> {
    let mut sums = vec![(Matrix3::zeros(), Vector3::zeros(), Matrix3::zeros()); places.len()];
    let mut designed = vec![Matrix3::zeros(); places.len()];
    for (strut, traced) in struts.iter().zip(traced) {
        let [from, to] = strut.ends.map(|n| n as usize);
        let across =
            (places[to] - places[from]).try_normalize(0.0).map_or_else(Matrix3::zeros, |d| Matrix3::identity() - d * d.transpose());
        [from, to].into_iter().for_each(|n| designed[n] += across);
        let Some(line) = traced.line.filter(|_| traced.state.is_whole()) else { continue };
        let across = Matrix3::identity() - line.direction * line.direction.transpose();
        for end in strut.ends {
            let node = places[end as usize];
            let far = (node - line.place).norm() * line.turn_u;
            let variance = line.aside_u_mm * line.aside_u_mm + far * far;
            let (matrix, moment, scatter) = &mut sums[end as usize];
            *matrix += across;
            *moment += across * (line.place - node);
            *scatter += across * variance;
        }
    }
    sums.iter()
        .zip(designed)
        .map(|((matrix, moment, scatter), designed)| {
            let placed = eigen(matrix).0[2] > CROSSING;
            let inverse = matrix.try_inverse().filter(|_| placed);
            let noise_mm = inverse.map_or(0.0, |i| ((i * scatter * i).trace() / 3.0).max(0.0).sqrt());
            Node { offset: inverse.map(|i| i * moment), noise_mm, is_crossing: eigen(&designed).0[2] > CROSSING }
        })
        .collect()
}
