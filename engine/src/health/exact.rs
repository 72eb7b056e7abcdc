//! Signs of determinants of points, exact whatever the points.
//!
//! A determinant is first taken in f64 with a bound of its rounding; where that does not tell the sign, it is taken again as an expansion: a
//! sum of f64 that do not overlap, the largest last (Shewchuk 1997, theorems 6, 12 and 19). Exact as long as no product underflows, that is for
//! coordinates whose digits end above 1e-90 mm; those of a file of 32-bit numbers always do.

use nalgebra::Point3;

/// Bounds of rounding in units of the sums of magnitudes (Shewchuk's 3 ε + … and 7 ε + …, rounded up).
const BOUND_2D: f64 = 4e-16;
const BOUND_3D: f64 = 1e-15;

/// Positive where `c` lies to the left of the way from `a` to `b`, 0 where the three lie on one line.
pub(super) fn turn([a, b, c]: [[f64; 2]; 3]) -> i8 {
    let left = (a[0] - c[0]) * (b[1] - c[1]);
    let right = (a[1] - c[1]) * (b[0] - c[0]);
    let rough = left - right;
    if rough.abs() > BOUND_2D * (left.abs() + right.abs()) || (left == 0.0 && right == 0.0) {
        return sign_of(rough);
    }
    let [ax, ay, bx, by] = [(a[0], c[0]), (a[1], c[1]), (b[0], c[0]), (b[1], c[1])].map(Expansion::difference);
    ax.times(&by).minus(&ay.times(&bx)).sign()
}

/// The side of the plane through `a`, `b` and `c` on which `d` lies: positive where the three turn clockwise seen from it, 0 on the plane.
pub(super) fn side([a, b, c]: &[Point3<f64>; 3], d: &Point3<f64>) -> i8 {
    let (p, q, r) = (a - d, b - d, c - d);
    let minors = [(q.y * r.x, q.x * r.y), (r.y * p.x, r.x * p.y), (p.y * q.x, p.x * q.y)];
    let heights = [p.z, q.z, r.z];
    let (mut rough, mut magnitude) = (0.0, 0.0);
    for ((minus, plus), height) in minors.into_iter().zip(heights) {
        rough += height * (plus - minus);
        magnitude += height.abs() * (plus.abs() + minus.abs());
    }
    if rough.abs() > BOUND_3D * magnitude || magnitude == 0.0 {
        return sign_of(rough);
    }
    let [p, q, r] = [a, b, c].map(|x| [0, 1, 2].map(|axis| Expansion::difference((x[axis], d[axis]))));
    let minor = |q: &[Expansion; 3], r: &[Expansion; 3]| q[0].times(&r[1]).minus(&q[1].times(&r[0]));
    let product = |height: &Expansion, minor: Expansion| minor.times(height);
    product(&p[2], minor(&q, &r)).plus(&product(&q[2], minor(&r, &p))).plus(&product(&r[2], minor(&p, &q))).sign()
}

fn sign_of(x: f64) -> i8 {
    i8::from(x > 0.0) - i8::from(x < 0.0)
}

/// A number as the exact sum of f64 that do not overlap, in rising order of magnitude; none for 0.
struct Expansion(Vec<f64>);

impl Expansion {
    fn difference((a, b): (f64, f64)) -> Expansion {
        let (high, low) = two_sum(a, -b);
        Expansion::of([low, high].into_iter())
    }

    fn of(terms: impl Iterator<Item = f64>) -> Expansion {
        Expansion(terms.filter(|t| *t != 0.0).collect())
    }

    fn plus(&self, other: &Expansion) -> Expansion {
        let mut sum = self.0.clone();
        for (first, &term) in other.0.iter().enumerate() {
            let mut carried = term;
            for place in sum.iter_mut().skip(first) {
                (carried, *place) = two_sum(carried, *place);
            }
            sum.push(carried);
        }
        Expansion::of(sum.into_iter())
    }

    fn minus(&self, other: &Expansion) -> Expansion {
        self.plus(&Expansion(other.0.iter().map(|t| -t).collect()))
    }

    fn scaled(&self, by: f64) -> Expansion {
        let mut terms = Vec::with_capacity(2 * self.0.len());
        let mut carried = 0.0;
        for &term in &self.0 {
            let (high, low) = two_product(term, by);
            let (middle, least) = two_sum(carried, low);
            let (next, less) = two_sum(high, middle);
            terms.extend([least, less]);
            carried = next;
        }
        terms.push(carried);
        Expansion::of(terms.into_iter())
    }

    fn times(&self, other: &Expansion) -> Expansion {
        other.0.iter().fold(Expansion(vec![]), |sum, &term| sum.plus(&self.scaled(term)))
    }

    fn sign(&self) -> i8 {
        self.0.last().map_or(0, |&largest| sign_of(largest))
    }
}

/// The rounded sum and what rounding took from it (Knuth 1969).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

/// The rounded product and what rounding took from it (Dekker 1971).
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    let ((a_high, a_low), (b_high, b_low)) = (halves(a), halves(b));
    (product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low))
}

/// Two numbers of 26 bits that add up to `x`.
fn halves(x: f64) -> (f64, f64) {
    let large = 134_217_729.0 * x;
    let high = large - (large - x);
    (high, x - high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::hash;

    /// The determinant in integers, of coordinates that are whole multiples of 2⁻³⁰.
    fn whole(points: [&Point3<f64>; 4]) -> i8 {
        let [a, b, c, d] = points.map(|p| [0, 1, 2].map(|k| (p[k] * (1_i64 << 30) as f64) as i128));
        let [p, q, r] = [a, b, c].map(|x| [0, 1, 2].map(|k| x[k] - d[k]));
        let minor = |q: [i128; 3], r: [i128; 3]| q[0] * r[1] - q[1] * r[0];
        (p[2] * minor(q, r) + q[2] * minor(r, p) + r[2] * minor(p, q)).signum() as i8
    }

    #[test]
    fn sides_of_nearly_flat_fours_are_those_that_integers_give() {
        let mut on_the_plane = 0;
        for i in 0..4000 {
            // Corners on a coarse grid, and a fourth point between them: on the plane, or off it by one in 2³⁰.
            let corner = |k: u64| Point3::from([0, 1, 2].map(|axis| (hash(7 + k, 3 * i + axis) % 64) as f64 * 0.125 + 100.0));
            let (a, b, c) = (corner(0), corner(1), corner(2));
            let mut d = a + (b - a) * 0.5 + (c - a) * 0.25;
            d.z += ((hash(17, i) % 4) as f64 - 1.0).min(1.0) / f64::from(1 << 30);
            let found = side(&[a, b, c], &d);
            assert_eq!(found, whole([&a, &b, &c, &d]), "{a} {b} {c} {d}");
            on_the_plane += u32::from(found == 0);
        }
        assert!(on_the_plane > 1000, "{on_the_plane}");
    }

    #[test]
    fn the_last_bit_of_a_coordinate_turns_a_corner() {
        let line = [[0.1, 0.1], [0.2, 0.2], [0.4, 0.4]];
        assert_eq!(turn(line), 0);
        assert_eq!(turn([line[0], line[1], [0.4, 0.4_f64.next_up()]]), 1);
        assert_eq!(turn([line[0], line[1], [0.4, 0.4_f64.next_down()]]), -1);
    }

    #[test]
    fn four_points_in_space_turn_by_their_last_bits_too() {
        let [a, b, c] = [Point3::new(0.1, 0.2, 0.3), Point3::new(7.0, 0.2, 0.3), Point3::new(0.1, 5.0, 0.3)];
        let on = Point3::new(3.3, 1.7, 0.3);
        assert_eq!(side(&[a, b, c], &on), 0);
        let up = Point3::new(3.3, 1.7, 0.3_f64.next_up());
        assert_eq!(side(&[a, b, c], &up), -side(&[b, a, c], &up));
        assert_ne!(side(&[a, b, c], &up), 0);
    }
}
