//! Vectors in millimetres as plain arrays.

pub(super) type V3 = [f64; 3];

/// `a + s b`.
pub(super) fn add(a: V3, b: V3, s: f64) -> V3 {
    [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]]
}

pub(super) fn dot(a: V3, b: V3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn cross(a: V3, b: V3) -> V3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// Twice the area vector of a triangle.
pub(super) fn area_vector(points: &[V3], t: [u32; 3]) -> V3 {
    let [a, b, c] = t.map(|v| points[v as usize]);
    cross(add(b, a, -1.0), add(c, a, -1.0))
}
