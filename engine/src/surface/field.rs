//! Quantities on the vertices of a mesh, averaged over patches.

use rayon::prelude::*;

/// The triangles around each vertex.
pub(super) struct Ring {
    first: Vec<u32>,
    triangles: Vec<u32>,
}

impl Ring {
    pub fn new(vertices: usize, triangles: &[[u32; 3]]) -> Self {
        // Counts one place to the right become ends, and filling from the back turns ends into beginnings, in the triangles' order.
        let mut first = vec![0u32; vertices + 1];
        triangles.iter().flatten().for_each(|&v| first[v as usize] += 1);
        first.iter_mut().fold(0, |sum, n| {
            *n += sum;
            *n
        });
        let mut list = vec![0u32; 3 * triangles.len()];
        for (t, corners) in triangles.iter().enumerate().rev() {
            for &v in corners {
                first[v as usize] -= 1;
                list[first[v as usize] as usize] = t as u32;
            }
        }
        Ring { first, triangles: list }
    }

    pub fn around(&self, v: usize) -> &[u32] {
        &self.triangles[self.first[v] as usize..self.first[v + 1] as usize]
    }

    /// How many triangles are around a vertex.
    fn valence(&self, v: usize) -> f32 {
        (self.first[v + 1] - self.first[v]) as f32
    }

    /// The corners of the triangles around a vertex, itself and its neighbours several times.
    pub fn corners<'a>(&'a self, v: usize, triangles: &'a [[u32; 3]]) -> impl Iterator<Item = u32> + 'a {
        self.around(v).iter().flat_map(|&t| triangles[t as usize])
    }

    /// For each vertex the mean of `term(vertex, triangle)` over its triangles. Averaging prefers vertices in proportion to their
    /// triangles, so that ratios of averaged means weigh all vertices of a patch alike.
    pub fn gather<const N: usize>(&self, term: impl Fn(usize, usize) -> [f32; N] + Sync) -> Vec<[f32; N]> {
        let sum = |v: usize| {
            let total = self.around(v).iter().fold([0.0; N], |mut sum, &t| {
                sum.iter_mut().zip(term(v, t as usize)).for_each(|(s, x)| *s += x);
                sum
            });
            total.map(|s| s / self.valence(v).max(1.0))
        };
        (0..self.first.len() - 1).into_par_iter().map(sum).collect()
    }

    /// Averages over the corners of the triangles around each vertex, several times over: eight rounds on the triangles of a
    /// fresh iso-surface make a patch of a standard deviation of a little more than a voxel.
    pub fn smooth<const N: usize>(&self, mut values: Vec<[f32; N]>, triangles: &[[u32; 3]], rounds: usize) -> Vec<[f32; N]> {
        for _ in 0..rounds {
            let mean = |v: usize| {
                let mut sum = [0.0f32; N];
                let mut count = 0u32;
                for c in self.corners(v, triangles) {
                    sum.iter_mut().zip(values[c as usize]).for_each(|(s, x)| *s += x);
                    count += 1;
                }
                sum.map(|s| s / count.max(1) as f32)
            };
            values = (0..values.len()).into_par_iter().map(mean).collect();
        }
        values
    }
}
