//! Eight boxes or eight triangles side by side in f32, one array a corner and axis, so that the compiler works on them as vectors.

use nalgebra::Point3;

use super::lanes::{Lanes, WIDTH};

type Vector = [[f32; WIDTH]; 3];
/// Lowest and highest corner of a box.
pub(super) type Hull = ([f32; 3], [f32; 3]);

/// Boxes of eight children, rounded outwards; absent ones are infinitely far.
pub(super) struct Boxes {
    min: Vector,
    max: Vector,
}

impl Boxes {
    pub fn around(children: impl Iterator<Item = Hull>) -> Self {
        let mut boxes = Boxes::none();
        for (lane, (min, max)) in children.take(WIDTH).enumerate() {
            for axis in 0..3 {
                (boxes.min[axis][lane], boxes.max[axis][lane]) = (min[axis], max[axis]);
            }
        }
        boxes
    }

    pub fn none() -> Self {
        Boxes { min: [[f32::INFINITY; WIDTH]; 3], max: [[f32::NEG_INFINITY; WIDTH]; 3] }
    }

    pub fn everywhere() -> Self {
        Boxes { min: [[f32::NEG_INFINITY; WIDTH]; 3], max: [[f32::INFINITY; WIDTH]; 3] }
    }

    /// Makes `lane` the box of `of` in other boxes.
    pub fn copy(&mut self, lane: usize, other: &Boxes, of: usize) {
        for axis in 0..3 {
            (self.min[axis][lane], self.max[axis][lane]) = (other.min[axis][of], other.max[axis][of]);
        }
    }

    pub fn hull(&self) -> Hull {
        (
            self.min.map(|row| row.into_iter().fold(f32::INFINITY, f32::min)),
            self.max.map(|row| row.into_iter().fold(f32::NEG_INFINITY, f32::max)),
        )
    }

    /// Squared distances from another box, or a point, to the eight boxes.
    #[inline(always)]
    pub fn squared_distances<L: Lanes>(&self, low: &[f32; 3], high: &[f32; 3]) -> L {
        // No closures here: they would not be compiled for the processor that the caller found.
        let low = [L::splat(low[0]), L::splat(low[1]), L::splat(low[2])];
        let high = [L::splat(high[0]), L::splat(high[1]), L::splat(high[2])];
        let (below, above, zero) = (minus(load(&self.min), high), minus(low, load(&self.max)), L::splat(0.0));
        let gaps = [below[0].larger(above[0]).larger(zero), below[1].larger(above[1]).larger(zero), below[2].larger(above[2]).larger(zero)];
        dot(gaps, gaps)
    }
}

/// The corners of eight triangles; lanes behind the last triangle repeat it.
pub(super) struct Block {
    corners: [Vector; 3],
}

impl Block {
    /// Up to eight triangles, as offsets from `centre` rounded to the nearest.
    pub fn of(triangles: impl Iterator<Item = [Point3<f64>; 3]>, centre: &Point3<f64>) -> Self {
        let mut block = Block { corners: [[[0.0; WIDTH]; 3]; 3] };
        for (lane, corners) in triangles.take(WIDTH).enumerate() {
            for (lanes, corner) in block.corners.iter_mut().zip(corners) {
                let offset = corner - centre;
                (0..3).for_each(|axis| lanes[axis][lane..].fill(offset[axis] as f32));
            }
        }
        block
    }

    pub fn hull(&self) -> Hull {
        let over = |axis: usize| self.corners.iter().flat_map(move |c| c[axis]);
        ([0, 1, 2].map(|a| over(a).fold(f32::INFINITY, f32::min)), [0, 1, 2].map(|a| over(a).fold(f32::NEG_INFINITY, f32::max)))
    }

    /// Squared distances from a point to the eight triangles: to their edges, and to the plane where the point lies over the face.
    #[inline(always)]
    pub fn squared_distances<L: Lanes>(&self, q: &[f32; 3]) -> L {
        let q = [L::splat(q[0]), L::splat(q[1]), L::splat(q[2])];
        let [a, b, c] = &self.corners;
        let (a, b, c) = (minus(load(a), q), minus(load(b), q), minus(load(c), q));
        let (ab, bc, ca) = (minus(b, a), minus(c, b), minus(a, c));
        let n = cross(ab, bc);
        let outside = dot(cross(ab, a), n).larger(dot(cross(bc, b), n)).larger(dot(cross(ca, c), n));
        let lengths = [dot(ab, ab), dot(bc, bc), dot(ca, ca)];
        let [one, two, three] = [to_edge(a, ab, lengths[0]), to_edge(b, bc, lengths[1]), to_edge(c, ca, lengths[2])];
        let (edge, foot) = nearer(nearer(one, two), three);
        // Levelled from the nearest edge: on a sliver, whose normal is bad, that is a short way.
        let (height, nn) = (dot(foot, n), dot(n, n));
        // No face is nearer than its incircle allows, whatever the normal of a sliver says.
        let incircle = nn / (lengths[0].larger(lengths[1]).larger(lengths[2]) * L::splat(3.9));
        let over = (height * height / nn).larger(edge - incircle);
        // A face without area gives 0/0, which is not smaller than anything.
        let face = outside.where_up_to(L::splat(0.0), over, edge);
        face.smaller(edge)
    }
}

type Triple<L> = [L; 3];

/// Squared distance from the origin to the segment from `a` along `e`, and its foot.
#[inline(always)]
fn to_edge<L: Lanes>(a: Triple<L>, e: Triple<L>, length2: L) -> (L, Triple<L>) {
    let zero = L::splat(0.0);
    let t = (zero - dot(a, e)) / length2;
    let t = t.larger(zero).smaller(L::splat(1.0)); // 0/0, a segment without length, becomes its first corner
    let foot = [a[0] + e[0] * t, a[1] + e[1] * t, a[2] + e[2] * t];
    (dot(foot, foot), foot)
}

#[inline(always)]
fn nearer<L: Lanes>((d, foot): (L, Triple<L>), (other, at): (L, Triple<L>)) -> (L, Triple<L>) {
    let pick = [d.where_up_to(other, foot[0], at[0]), d.where_up_to(other, foot[1], at[1]), d.where_up_to(other, foot[2], at[2])];
    (d.smaller(other), pick)
}

#[inline(always)]
fn load<L: Lanes>(v: &Vector) -> Triple<L> {
    [L::load(&v[0]), L::load(&v[1]), L::load(&v[2])]
}

#[inline(always)]
fn minus<L: Lanes>(a: Triple<L>, b: Triple<L>) -> Triple<L> {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[inline(always)]
fn dot<L: Lanes>(a: Triple<L>, b: Triple<L>) -> L {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[inline(always)]
fn cross<L: Lanes>(a: Triple<L>, b: Triple<L>) -> Triple<L> {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}
