//! Nodes as built: the points nearest to the centre lines of the struts that meet there.

use nalgebra::{Matrix3, Point3, Vector3};

use super::design::Strut;
use super::trace::Traced;
use crate::linear::eigen;

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
    meeting(places.len(), struts).iter().enumerate().map(|(n, meeting)| node(n, places, meeting, struts, traced)).collect()
}

/// For every node the struts that meet there, in their order.
pub(super) fn meeting(nodes: usize, struts: &[Strut]) -> Vec<Vec<u32>> {
    let mut meeting = vec![vec![]; nodes];
    for (s, strut) in struts.iter().enumerate() {
        strut.ends.iter().for_each(|&n| meeting[n as usize].push(s as u32));
    }
    meeting
}

/// A designed node as built, from the struts that meet there.
pub(super) fn node(n: usize, places: &[Point3<f64>], meeting: &[u32], struts: &[Strut], traced: &[Traced]) -> Node {
    let place = places[n];
    let (mut matrix, mut moment, mut scatter, mut designed) = (Matrix3::zeros(), Vector3::zeros(), Matrix3::zeros(), Matrix3::zeros());
    for &s in meeting {
        let ([from, to], traced) = (struts[s as usize].ends.map(|n| places[n as usize]), &traced[s as usize]);
        designed += (to - from).try_normalize(0.0).map_or_else(Matrix3::zeros, |d| Matrix3::identity() - d * d.transpose());
        let Some(line) = traced.line.filter(|_| traced.state.is_whole()) else { continue };
        let across = Matrix3::identity() - line.direction * line.direction.transpose();
        let far = (place - line.place).norm() * line.turn_u;
        let variance = line.aside_u_mm * line.aside_u_mm + far * far;
        matrix += across;
        moment += across * (line.place - place);
        scatter += across * variance;
    }
    let placed = eigen(&matrix).0[2] > CROSSING;
    let inverse = matrix.try_inverse().filter(|_| placed);
    let noise_mm = inverse.map_or(0.0, |i| ((i * scatter * i).trace() / 3.0).max(0.0).sqrt());
    Node { offset: inverse.map(|i| i * moment), noise_mm, is_crossing: eigen(&designed).0[2] > CROSSING }
}
