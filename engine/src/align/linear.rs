//! Small dense algebra whose bits depend on nothing but its input: no runtime dispatch, no fused operations, square roots only.

use nalgebra::SMatrix;

/// Eigenvalues, largest first, and eigenvectors (columns) of a symmetric matrix, by cyclic Jacobi rotations.
pub(crate) fn eigen<const N: usize>(matrix: &SMatrix<f64, N, N>) -> ([f64; N], SMatrix<f64, N, N>) {
    let (mut a, mut v) = (*matrix, SMatrix::<f64, N, N>::identity());
    for _ in 0..64 {
        let off: f64 = (0..N).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[(i, j)] * a[(i, j)]).sum();
        if off <= 1e-32 * a.norm_squared() {
            break;
        }
        for p in 0..N {
            for q in p + 1..N {
                if a[(p, q)] != 0.0 {
                    rotate(&mut a, &mut v, p, q);
                }
            }
        }
    }
    let mut order: [usize; N] = std::array::from_fn(|i| i);
    order.sort_by(|&i, &j| a[(j, j)].total_cmp(&a[(i, i)]).then(i.cmp(&j)));
    let sorted = SMatrix::from_fn(|r, c| v[(r, order[c])]);
    (order.map(|i| a[(i, i)]), sorted)
}

fn rotate<const N: usize>(a: &mut SMatrix<f64, N, N>, v: &mut SMatrix<f64, N, N>, p: usize, q: usize) {
    let theta = (a[(q, q)] - a[(p, p)]) / (2.0 * a[(p, q)]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for k in 0..N {
        let (x, y) = (a[(k, p)], a[(k, q)]);
        (a[(k, p)], a[(k, q)]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..N {
        let (x, y) = (a[(p, k)], a[(q, k)]);
        (a[(p, k)], a[(q, k)]) = (c * x - s * y, s * x + c * y);
        let (x, y) = (v[(k, p)], v[(k, q)]);
        (v[(k, p)], v[(k, q)]) = (c * x - s * y, s * x + c * y);
    }
}

/// Inverse of a symmetric matrix on the space where its eigenvalues exceed `floor` times the largest; zero on the rest.
pub(crate) fn pseudo_inverse<const N: usize>(matrix: &SMatrix<f64, N, N>, floor: f64) -> SMatrix<f64, N, N> {
    let (values, vectors) = eigen(matrix);
    let mut inverse = SMatrix::zeros();
    for (k, &value) in values.iter().enumerate().filter(|(_, v)| **v > floor * values[0] && **v > 0.0) {
        let column = vectors.column(k);
        inverse += column * column.transpose() / value;
    }
    inverse
}

/// Lower Cholesky factor in place of a symmetric matrix stored by rows; false where it is not positive definite.
pub(crate) fn cholesky(a: &mut [f64], n: usize) -> bool {
    for i in 0..n {
        for j in 0..=i {
            let (above, row) = a.split_at_mut(i * n);
            let rest = if i == j { row[j] - dot(&row[..j], &row[..j]) } else { row[j] - dot(&row[..j], &above[j * n..j * n + j]) };
            if i == j {
                if rest <= 0.0 || !rest.is_finite() {
                    return false;
                }
                row[j] = rest.sqrt();
            } else {
                row[j] = rest / above[j * n + j];
            }
        }
    }
    true
}

/// Solves L x = b in place for a factor of [`cholesky`].
pub(crate) fn forward(l: &[f64], n: usize, b: &mut [f64]) {
    for i in 0..n {
        b[i] = (b[i] - dot(&l[i * n..i * n + i], &b[..i])) / l[i * n + i];
    }
}

/// Inner product in eight running sums, added pairwise: quick, and the same order everywhere.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (eights_a, eights_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = eights_a.remainder().iter().zip(eights_b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in eights_a.zip(eights_b) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Matrix3, Matrix6};

    #[test]
    fn eigenvectors_rebuild_their_matrix() {
        let m = Matrix6::from_fn(|r, c| 1.0 / (1.0 + r as f64 + c as f64));
        let (values, vectors) = eigen(&m);
        let back = vectors * Matrix6::from_diagonal(&values.into()) * vectors.transpose();
        assert!((back - m).norm() < 1e-14);
        assert!(values.windows(2).all(|w| w[0] >= w[1]));
    }

    #[test]
    fn a_pseudo_inverse_leaves_free_directions_alone() {
        let m = Matrix3::from_diagonal(&[4.0, 1.0, 0.0].into());
        assert!((pseudo_inverse(&m, 1e-9) - Matrix3::from_diagonal(&[0.25, 1.0, 0.0].into())).norm() < 1e-15);
    }

    #[test]
    fn a_cholesky_factor_solves() {
        let n = 20;
        let at = |i: usize, j: usize| 1.0 / (1.0 + i.abs_diff(j) as f64) + if i == j { 1.0 } else { 0.0 };
        let mut l: Vec<f64> = (0..n * n).map(|k| at(k / n, k % n)).collect();
        assert!(cholesky(&mut l, n));
        let product = |i: usize, j: usize| dot(&l[i * n..=i * n + i.min(j)], &l[j * n..=j * n + i.min(j)]);
        assert!((0..n).all(|i| (0..n).all(|j| (product(i, j) - at(i, j)).abs() < 1e-14)));
        let mut b = vec![1.0; n];
        forward(&l, n, &mut b);
        assert!((dot(&l[3 * n..=3 * n + 3], &b[..4]) - 1.0).abs() < 1e-14);
    }
}
