//! Shells of a mesh: triangles that hang together across edges. Where more than two triangles meet in an edge, all of them do.

use super::Mesh;
use super::edges::Edges;
use crate::forest::{numbered, unite};

/// The shell of each triangle; shells are numbered by their first triangles. Cost: 4 bytes a triangle.
pub struct Shells {
    numbers: Vec<u32>,
    firsts: Vec<u32>,
}

impl Shells {
    pub fn of(mesh: &Mesh, edges: &Edges) -> Shells {
        let mut above: Vec<u32> = (0..mesh.triangles().len() as u32).collect();
        for edge in edges.irregular() {
            edge.windows(2).for_each(|w| unite(&mut above, w[0].triangle, w[1].triangle));
        }
        for t in 0..above.len() as u32 {
            (0..3).map(|k| edges.across(t, k)).filter(|&other| other < t).for_each(|other| unite(&mut above, t, other));
        }
        // Roots are the first triangles of their shells.
        let firsts = (0..above.len() as u32).filter(|&t| above[t as usize] == t).collect();
        Shells { numbers: numbered(above, 0).0, firsts }
    }

    /// The first triangle of each shell, ascending.
    pub fn firsts(&self) -> &[u32] {
        &self.firsts
    }

    /// The number of a triangle's shell.
    pub fn of_triangle(&self, triangle: usize) -> usize {
        self.numbers[triangle] as usize
    }
}
