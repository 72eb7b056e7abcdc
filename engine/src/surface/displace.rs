//! Moves the vertices of a surface so that no triangle turns over and none comes to cross another. Touches the mesh alone.
//!
//! The corners of triangles that would do either are bound together: first they move along one direction, by as much as each should, since
//! what turns a sliver over is that its corners' normals differ; those it does not help move alike, by their mean, and keep their shape.
//! Bonds last, and grow until nothing turns or crosses; what does after that stays where it was, with what is around it, until nothing does.
//! Crossings are looked for where the surface may have any: at triangles that stand off the surface's normal or whose corners moved far.
//! Cost: a look at every triangle for turns, and one for crossings; after that at those around what moved since.

use rayon::prelude::*;

use super::crossings;
use super::field::Ring;
use super::flag;
use super::place::Edge;
use super::shape::Shape;
use super::space::{V3, add, area_vector, dot};
use crate::forest::{numbered, unite};

/// Rounds in which bonds grow.
const BINDING: usize = 40;
/// Cosine between a triangle and the surface's normal at a corner below which it is suspicious; and the move in voxels.
const UPRIGHT: f64 = 0.6;
const FAR: f64 = 0.4;
/// Corners that move alike do so within this part of a voxel: rounding takes some 10⁻¹³ mm of coordinates below a metre.
const ALIKE: f64 = 1e-6;

/// Moves vertex v by `edges[v].shift` along its normal, or less. `voxel` is the size of the triangles (mm).
pub(super) fn displace(points: &mut [V3], triangles: &[[u32; 3]], ring: &Ring, shapes: &[Shape], edges: &mut [Edge], voxel: f64) {
    let place = |v: usize| add(points[v], shapes[v].normal(), f64::from(edges[v].shift));
    let mut at: Vec<V3> = (0..points.len()).into_par_iter().map(place).collect();
    let mut looks = Looks::default();
    let (mut aligned, mut rigid): (Vec<[u32; 2]>, Vec<[u32; 2]>) = (vec![], vec![]);
    for round in 0.. {
        let new = looks.faults(&Moved { points, at: &at, triangles, shapes, voxel });
        if new.is_empty() {
            break;
        }
        // Every round of holding holds more: what is at fault has a corner that moved.
        let to: Vec<(u32, V3)> = if round < BINDING {
            rigid.extend(new.iter().filter(|pair| aligned.binary_search(pair).is_ok()));
            aligned.extend(new);
            aligned.sort_unstable();
            aligned.dedup();
            let by = bound(&aligned, &rigid, shapes, edges);
            by.into_iter().map(|(v, by)| (v, add(points[v as usize], by, 1.0))).collect()
        } else {
            let mut held: Vec<u32> = new.iter().flatten().flat_map(|&v| ring.corners(v as usize, triangles)).collect();
            held.sort_unstable();
            held.dedup();
            for edge in held.iter().map(|&v| v as usize) {
                let flags = &mut edges[edge].flags;
                *flags = *flags & !(flag::REFINED | flag::LOCAL_ISO50 | flag::STEEPEST) | flag::KEPT_ISO50;
            }
            held.into_iter().map(|v| (v, points[v as usize])).collect()
        };
        let news = to.into_iter().filter(|(v, to)| at[*v as usize] != *to).collect::<Vec<_>>();
        news.iter().for_each(|(v, to)| at[*v as usize] = *to);
        looks.again(news.iter().flat_map(|(v, _)| ring.around(*v as usize)));
    }
    points.copy_from_slice(&at);
}

/// A surface whose vertices go from `points` to `at`.
struct Moved<'a> {
    points: &'a [V3],
    at: &'a [V3],
    triangles: &'a [[u32; 3]],
    shapes: &'a [Shape],
    voxel: f64,
}

/// Which triangles to look at; `None` for all. Another look at the rest would find what the last one found of them: nothing.
#[derive(Default)]
struct Looks {
    for_turns: Option<Vec<u32>>,
    for_crossings: Option<Vec<u32>>,
}

impl Looks {
    /// Pairs of vertices that should move alike: neighbours in triangles that turned over, or if there are none in triangles that cross.
    fn faults(&mut self, moved: &Moved) -> Vec<[u32; 2]> {
        let turned = moved.turned(self.for_turns.as_deref());
        if !turned.is_empty() {
            let corners = |t: &u32| moved.triangles[*t as usize];
            let found = turned.iter().map(corners).flat_map(|t| [[t[0], t[1]], [t[1], t[2]]]).collect();
            self.for_turns = Some(turned);
            return found;
        }
        let crossed = moved.crossed(self.for_crossings.as_deref());
        let corners = crossed.iter().map(|p| p.map(|t| moved.triangles[t as usize]));
        let found = corners.flat_map(|[a, b]| [[a[0], a[1]], [a[1], a[2]], [a[2], b[0]], [b[0], b[1]], [b[1], b[2]]]).collect();
        self.for_turns = Some(vec![]);
        self.for_crossings = Some(crossed.into_flattened());
        found
    }

    /// Adds the triangles around what moved to those that were at fault.
    fn again<'t>(&mut self, around: impl Iterator<Item = &'t u32> + Clone) {
        for look in [&mut self.for_turns, &mut self.for_crossings].into_iter().flatten() {
            look.extend(around.clone());
            look.sort_unstable();
            look.dedup();
        }
    }
}

impl Moved<'_> {
    fn by(&self, v: u32) -> V3 {
        add(self.at[v as usize], self.points[v as usize], -1.0)
    }

    /// Triangles that turned over, of those named or of all.
    fn turned(&self, named: Option<&[u32]>) -> Vec<u32> {
        let is_turned = |t: &u32| {
            let corners = self.triangles[*t as usize];
            let moved = corners.iter().any(|&v| self.at[v as usize] != self.points[v as usize]);
            moved && dot(area_vector(self.points, corners), area_vector(self.at, corners)) <= 0.0
        };
        match named {
            None => (0..self.triangles.len() as u32).into_par_iter().filter(is_turned).collect(),
            Some(named) => named.par_iter().copied().filter(is_turned).collect(),
        }
    }

    /// Pairs of triangles that came to cross, of those near the named ones or of all. Crossings that were there before are not for moves to mend.
    fn crossed(&self, named: Option<&[u32]>) -> Vec<[u32; 2]> {
        let suspicious = |t: usize| {
            let n = area_vector(self.at, self.triangles[t]);
            let size = dot(n, n).sqrt();
            self.triangles[t].iter().any(|&v| {
                let d = self.by(v);
                dot(n, self.shapes[v as usize].normal()) < UPRIGHT * size || dot(d, d) > (FAR * self.voxel) * (FAR * self.voxel)
            })
        };
        let mut pairs = crossings::crossed(self.at, self.triangles, suspicious, named, self.voxel);
        pairs.retain(|[a, b]| {
            let [a, b] = [a, b].map(|t| self.triangles[*t as usize]);
            let by = self.by(a[0]);
            let off = a.iter().chain(&b).map(|&v| add(self.by(v), by, -1.0)).map(|d| dot(d, d)).fold(0.0, f64::max);
            let alike = off == 0.0 || off <= (ALIKE * self.voxel) * (ALIKE * self.voxel) && crossings::cross_each_other(self.points, a, b);
            !alike
        });
        pairs
    }
}

/// Where the vertices of bonds move: along the direction of their group, by their own shift, or by the mean of those they are rigid with.
fn bound(aligned: &[[u32; 2]], rigid: &[[u32; 2]], shapes: &[Shape], edges: &[Edge]) -> Vec<(u32, V3)> {
    let shift = |v: u32| f64::from(edges[v as usize].shift);
    let mut moves: Vec<(u32, V3, f64)> = vec![];
    for group in groups(aligned) {
        let sum = group.iter().fold([0.0; 3], |sum, &v| add(sum, shapes[v as usize].normal(), 1.0));
        let length = dot(sum, sum).sqrt();
        let direction = if length > 0.0 { sum.map(|x| x / length) } else { sum };
        moves.extend(group.into_iter().map(|v| (v, direction, shift(v))));
    }
    moves.sort_unstable_by_key(|m| m.0);
    for group in groups(rigid) {
        let mean = group.iter().map(|&v| shift(v)).sum::<f64>() / group.len() as f64;
        for v in group {
            let n = moves.partition_point(|m| m.0 < v);
            moves[n].2 = mean;
        }
    }
    moves.into_iter().map(|(v, direction, shift)| (v, direction.map(|x| x * shift))).collect()
}

/// The groups of vertices that pairs connect, each sorted, in the order of their first.
fn groups(pairs: &[[u32; 2]]) -> Vec<Vec<u32>> {
    let mut vertices: Vec<u32> = pairs.iter().flatten().copied().collect();
    vertices.sort_unstable();
    vertices.dedup();
    let mut parents: Vec<u32> = (0..vertices.len() as u32).collect();
    let place = |v: u32| vertices.partition_point(|&x| x < v) as u32;
    pairs.iter().for_each(|&[a, b]| unite(&mut parents, place(a), place(b)));
    let mut members: Vec<(u32, u32)> = numbered(parents, 0).0.into_iter().zip(vertices).collect();
    members.sort_unstable();
    members.chunk_by(|a, b| a.0 == b.0).map(|group| group.iter().map(|&(_, v)| v).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::place::Bent;
    use super::*;
    use crate::noise::uniform;

    const SIDE: usize = 40;

    /// Where the step of floating point numbers doubles: a level sheet, and one that stands upright in it, with normals that are not its own: suspicious.
    fn crossed_sheets() -> (Vec<V3>, Vec<[u32; 3]>, Vec<Shape>) {
        let sheet = |n: usize, first: u32| {
            let squares = (0..(n - 1) * (n - 1)).map(move |s| first + (s % (n - 1) + s / (n - 1) * n) as u32);
            squares.flat_map(move |a| [[a, a + 1, a + n as u32], [a + 1, a + n as u32 + 1, a + n as u32]])
        };
        let at = |n: usize, side: usize| [n % side, n / side].map(|x| 13.37 + 0.1 * x as f64);
        let level = (0..SIDE * SIDE).map(|n| at(n, SIDE)).map(|[x, y]| [x, y, 5.03]);
        let upright = (0..16).map(|n| at(n, 4)).map(|[y, z]| [16.018, y + 1.93, z - 13.37 + 4.877]);
        let shape = |normal: [f32; 3]| Shape { normal, curvature: 0.0 };
        let shapes = [vec![shape([0.0, 0.0, 1.0]); SIDE * SIDE], vec![shape([0.5, 0.0, 0.866]); 16]].concat();
        (level.chain(upright).collect(), sheet(SIDE, 0).chain(sheet(4, (SIDE * SIDE) as u32)).collect(), shapes)
    }

    #[test]
    fn crossings_that_were_there_before_leave_the_rest_of_the_surface_where_it_should_be() {
        let (start, triangles, shapes) = crossed_sheets();
        let ring = Ring::new(start.len(), &triangles);
        let shift = |v: usize| (0.03 * (uniform(5, v as u64) - 0.5)) as f32;
        let mut edges: Vec<Edge> =
            (0..start.len()).map(|v| Edge { shift: shift(v), u: 0.0, common_u: 0.0, flags: flag::REFINED, bent: Bent::Not }).collect();
        let mut points = start.clone();
        displace(&mut points, &triangles, &ring, &shapes, &mut edges, 0.1);
        let crossed = |at: &[V3]| crossings::crossed(at, &triangles, |_| true, None, 0.1);
        assert!(!crossed(&start).is_empty());
        assert!(crossed(&points).iter().all(|pair| crossed(&start).contains(pair)));
        // What crosses is bound together, two rings about the line of crossing at most; all else is where its edge lies.
        let there = (0..points.len()).filter(|&v| points[v] == add(start[v], shapes[v].normal(), f64::from(shift(v)))).count();
        assert!(there + 5 * 8 + 16 >= points.len() && edges.iter().all(|e| e.flags == flag::REFINED), "{there} of {}", points.len());
    }

    /// Named triangles are looked at as all of them are.
    #[test]
    fn another_look_at_some_triangles_finds_what_one_at_all_does() {
        let (points, triangles, _) = crossed_sheets();
        let all = crossings::crossed(&points, &triangles, |t| t % 3 == 0, None, 0.1);
        let named: Vec<u32> = all.iter().map(|pair| pair[0]).collect();
        assert!(all.len() > 4);
        assert_eq!(crossings::crossed(&points, &triangles, |t| t % 3 == 0, Some(&named), 0.1), all);
        assert_eq!(crossings::crossed(&points, &triangles, |t| t % 3 == 0, Some(&[]), 0.1), Vec::<[u32; 2]>::new());
    }
}
