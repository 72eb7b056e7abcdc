//! Whether two triangles meet anywhere but in the corners they share and the edge between these.
//!
//! Corners are shared where their coordinates are the same. Triangles are closed: touching counts. [`apart`] tells most pairs by a direction
//! in f64 that separates them beyond rounding; what it cannot tell, [`meet`] settles with exact signs. With
//! - no shared corner: an edge of one meets the other;
//! - one: the edge across from it meets the other, since a common point farther on would lie on a common ray from the corner;
//! - two: they lie in one plane, folded onto each other;
//! - three: they coincide.
//!
//! Triangles without area are nowhere.

use nalgebra::{Point3, Vector3};

use super::exact::{side, turn};

pub(super) type Corners = [Point3<f64>; 3];

/// Two triangles, the corners they share first and in the same places.
pub(super) struct Pair {
    a: Corners,
    b: Corners,
    shared: usize,
}

impl Pair {
    pub fn of(mut a: Corners, mut b: Corners) -> Pair {
        let mut shared = 0;
        for i in 0..3 {
            if let Some(j) = (shared..3).find(|&j| b[j] == a[i]) {
                a.swap(shared, i);
                b.swap(shared, j);
                shared += 1;
            }
        }
        Pair { a, b, shared }
    }

    /// Certainly apart; `false` says nothing.
    pub fn apart(&self) -> bool {
        let (a, b) = (&self.a, &self.b);
        match self.shared {
            0 => {
                let [along_a, along_b] = [a, b].map(|t| [t[1] - t[0], t[2] - t[1], t[0] - t[2]]);
                let (normal_a, normal_b) = (along_a[0].cross(&along_a[1]), along_b[0].cross(&along_b[1]));
                let between = (a[0] - b[0]) + (a[1] - b[1]) + (a[2] - b[2]);
                [between, normal_a, normal_b].iter().any(|m| separates(m, a, b))
                    || along_a.iter().any(|e| separates(&normal_a.cross(e), a, b))
                    || along_b.iter().any(|e| separates(&normal_b.cross(e), a, b))
            }
            1 => {
                let [p, q, r, s] = [a[1] - a[0], a[2] - a[0], b[1] - b[0], b[2] - b[0]];
                let [pn, qn, rn, sn] = [p, q, r, s].map(|x| x / x.norm());
                let directions = [pn + qn - rn - sn, pn - rn, pn - sn, qn - rn, qn - sn];
                directions.iter().any(|m| beyond(m, &p) && beyond(m, &q) && beyond(&-m, &r) && beyond(&-m, &s))
            }
            2 => opens(&(a[1] - a[0]), &(a[2] - a[0]), &(b[2] - b[0])),
            _ => false,
        }
    }

    /// The exact answer.
    pub fn meet(&self) -> bool {
        let (a, b) = (&self.a, &self.b);
        let (Some(flat_a), Some(flat_b)) = (Flat::of(a), Flat::of(b)) else { return false };
        match self.shared {
            0 => {
                let (sides_a, sides_b) = (a.map(|p| side(b, &p)), b.map(|p| side(a, &p)));
                let off = |sides: [i8; 3]| sides == [1; 3] || sides == [-1; 3];
                let any_edge = |of: &Corners, sides: [i8; 3], onto: &Corners, flat: &Flat| {
                    [(0, 1), (1, 2), (2, 0)].iter().any(|&(k, l)| crosses([&of[k], &of[l]], [sides[k], sides[l]], onto, flat))
                };
                !off(sides_a) && !off(sides_b) && (any_edge(a, sides_a, b, &flat_b) || any_edge(b, sides_b, a, &flat_a))
            }
            1 => {
                let far_edge = |of: &Corners, onto: &Corners, flat: &Flat| {
                    crosses([&of[1], &of[2]], [side(onto, &of[1]), side(onto, &of[2])], onto, flat)
                };
                far_edge(a, b, &flat_b) || far_edge(b, a, &flat_a)
            }
            2 => side(a, &b[2]) == 0 && turn(flat_a.see([&a[0], &a[1], &a[2]])) == turn(flat_a.see([&a[0], &a[1], &b[2]])),
            _ => true,
        }
    }
}

/// What f64 may lose of a sum of three products of rounded differences, in units of their magnitudes; twice of it and some more.
const LOST: f64 = 1e-15;

/// Whether all of `a` lies farther along `m` than all of `b`, or all of it less far, beyond rounding.
#[inline]
fn separates(m: &Vector3<f64>, a: &Corners, b: &Corners) -> bool {
    let o = a[0];
    let mut magnitude = 0.0_f64;
    let mut range = |corners: &[Point3<f64>], mut range: [f64; 2]| {
        for corner in corners {
            let x = (corner - o).component_mul(m);
            let along = x.x + x.y + x.z;
            range = [range[0].min(along), range[1].max(along)];
            magnitude = magnitude.max(x.x.abs() + x.y.abs() + x.z.abs());
        }
        range
    };
    let (a_range, b_range) = (range(&a[1..], [0.0; 2]), range(b, [f64::INFINITY, f64::NEG_INFINITY]));
    (a_range[0] - b_range[1]).max(b_range[0] - a_range[1]) > LOST * magnitude + f64::MIN_POSITIVE
}

/// Whether the vector `x` points along `m`, beyond rounding.
#[inline]
fn beyond(m: &Vector3<f64>, x: &Vector3<f64>) -> bool {
    let x = x.component_mul(m);
    x.x + x.y + x.z > LOST * (x.x.abs() + x.y.abs() + x.z.abs()) + f64::MIN_POSITIVE
}

/// Whether `p` and `q` lie more than a right angle apart about the edge `e`, beyond rounding: then nothing is folded.
#[inline]
fn opens(e: &Vector3<f64>, p: &Vector3<f64>, q: &Vector3<f64>) -> bool {
    let size = |a: &Vector3<f64>, b: &Vector3<f64>| a.abs().dot(&b.abs());
    let magnitude = size(e, e) * size(p, q) + size(e, p) * size(e, q);
    e.dot(e) * p.dot(q) - e.dot(p) * e.dot(q) < -4.0 * LOST * magnitude - f64::MIN_POSITIVE
}

/// The two axes along which a triangle is seen with an area.
struct Flat {
    axes: [usize; 2],
}

impl Flat {
    /// `None` of a triangle without area.
    fn of(t: &Corners) -> Option<Flat> {
        let normal = (t[1] - t[0]).cross(&(t[2] - t[0])).abs();
        let first = normal.imax(); // an area in f64 is most likely one in truth
        let views = [first, (first + 1) % 3, (first + 2) % 3].map(|axis| Flat { axes: [(axis + 1) % 3, (axis + 2) % 3] });
        views.into_iter().find(|flat| turn(flat.see([&t[0], &t[1], &t[2]])) != 0)
    }

    fn see(&self, points: [&Point3<f64>; 3]) -> [[f64; 2]; 3] {
        points.map(|p| self.axes.map(|axis| p[axis]))
    }
}

/// Whether a segment, whose ends lie on these sides of the triangle's plane, meets the triangle.
fn crosses([p, q]: [&Point3<f64>; 2], sides: [i8; 2], t: &Corners, flat: &Flat) -> bool {
    match sides {
        [1, 1] | [-1, -1] => false,
        [0, 0] => crosses_in_plane([p, q], t, flat),
        _ => {
            // The way from p to q leaves every edge on the same side, or runs through it.
            let turns = [0, 1, 2].map(|k| side(&[*p, *q, t[k]], &t[(k + 1) % 3]));
            turns.iter().all(|&s| s >= 0) || turns.iter().all(|&s| s <= 0)
        }
    }
}

fn crosses_in_plane([p, q]: [&Point3<f64>; 2], t: &Corners, flat: &Flat) -> bool {
    let turn = |a: &Point3<f64>, b: &Point3<f64>, c: &Point3<f64>| turn(flat.see([a, b, c]));
    let holds = |x: &Point3<f64>| {
        let turns = [turn(&t[0], &t[1], x), turn(&t[1], &t[2], x), turn(&t[2], &t[0], x)];
        turns.iter().all(|&s| s >= 0) || turns.iter().all(|&s| s <= 0)
    };
    // Proper crossings; where an end or a corner lies on the other, one of the ends is inside or the whole edge runs along.
    let crosses = |k: usize| {
        let (a, b) = (&t[k], &t[(k + 1) % 3]);
        turn(p, q, a) * turn(p, q, b) <= 0 && turn(a, b, p) * turn(a, b, q) < 0
    };
    holds(p) || holds(q) || (0..3).any(crosses)
}
