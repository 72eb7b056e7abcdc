//! Shells of a mesh: triangles that hang together across edges. Where more than two triangles meet in an edge, all of them do.

use super::Mesh;
use super::edges::Edges;

/// The shell of each triangle; shells are numbered by their first triangles. Cost: 4 bytes a triangle.
pub struct Shells {
    numbers: Vec<u32>,
    firsts: Vec<u32>,
}

impl Shells {
    pub fn of(mesh: &Mesh, edges: &Edges) -> Shells {
        let mut above: Vec<u32> = (0..mesh.triangles().len() as u32).collect();
        for edge in edges.irregular() {
            edge.windows(2).for_each(|w| join(&mut above, w[0].triangle, w[1].triangle));
        }
        for t in 0..above.len() as u32 {
            (0..3).map(|k| edges.across(t, k)).filter(|&other| other < t).for_each(|other| join(&mut above, t, other));
        }
        // Roots are the first triangles of their shells, so one pass from below numbers them.
        let mut firsts = vec![];
        for t in 0..above.len() {
            above[t] = if above[t] as usize == t {
                firsts.push(t as u32);
                firsts.len() as u32 - 1
            } else {
                above[above[t] as usize]
            };
        }
        Shells { numbers: above, firsts }
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

fn root(above: &mut [u32], mut at: u32) -> u32 {
    while above[at as usize] != at {
        let up = above[above[at as usize] as usize];
        above[at as usize] = up; // halves the path for the next search
        at = up;
    }
    at
}

fn join(above: &mut [u32], a: u32, b: u32) {
    let (a, b) = (root(above, a), root(above, b));
    above[a.max(b) as usize] = a.min(b);
}
