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

/// Lower Cholesky factor in place of a symmetric matrix stored by rows; false where it is not positive definite. The same bits with and
/// without AVX2.
pub(crate) fn cholesky(a: &mut [f64], n: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { cholesky_on_avx2(a, n) };
    }
    cholesky_here(a, n)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn cholesky_on_avx2(a: &mut [f64], n: usize) -> bool {
    cholesky_here(a, n)
}

/// Rows by fours, so that what is read of the rows above serves four times.
#[inline(always)]
fn cholesky_here(a: &mut [f64], n: usize) -> bool {
    const ROWS: usize = 4;
    for first in (0..n).step_by(ROWS) {
        let (above, rows) = a.split_at_mut(first * n);
        if first + ROWS <= n {
            for j in 0..first {
                let pivot = &above[j * n..=j * n + j];
                let [p, q, r, s] = [0, 1, 2, 3].map(|k| k * n);
                let products = dots([&rows[p..p + j], &rows[q..q + j], &rows[r..r + j], &rows[s..s + j]], &pivot[..j]);
                for k in 0..ROWS {
                    rows[k * n + j] = (rows[k * n + j] - products[k]) / pivot[j];
                }
            }
        }
        for i in first..n.min(first + ROWS) {
            let (above, row) = a.split_at_mut(i * n);
            for j in if first + ROWS <= n { first } else { 0 }..i {
                row[j] = (row[j] - dots([&row[..j]], &above[j * n..j * n + j])[0]) / above[j * n + j];
            }
            let rest = row[i] - dots([&row[..i]], &row[..i])[0];
            if rest <= 0.0 || !rest.is_finite() {
                return false;
            }
            row[i] = rest.sqrt();
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
    dots([a], b)[0]
}

/// Inner products of several vectors with one.
#[inline(always)]
fn dots<const R: usize>(rows: [&[f64]; R], b: &[f64]) -> [f64; R] {
    let mut sums = [[0.0; 8]; R];
    let (eights, tail) = b.as_chunks::<8>();
    let mut at = [[0.0; 8]; R];
    for (k, y) in eights.iter().enumerate() {
        for r in 0..R {
            at[r].copy_from_slice(&rows[r][8 * k..8 * k + 8]);
            for l in 0..8 {
                sums[r][l] += at[r][l] * y[l];
            }
        }
    }
    let behind = b.len() - tail.len();
    let mut products = [0.0; R];
    for r in 0..R {
        let s = &sums[r];
        let rest: f64 = rows[r][behind..].iter().zip(tail).map(|(x, y)| x * y).sum();
        products[r] = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7])) + rest;
    }
    products
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
        let n = 23; // five times four rows and three
        let at = |i: usize, j: usize| 1.0 / (1.0 + i.abs_diff(j) as f64) + if i == j { 1.0 } else { 0.0 };
        let mut l: Vec<f64> = (0..n * n).map(|k| at(k / n, k % n)).collect();
        let mut portable = l.clone();
        assert!(cholesky(&mut l, n) && cholesky_here(&mut portable, n));
        assert_eq!(l, portable, "the same bits on any processor");
        let product = |i: usize, j: usize| dot(&l[i * n..=i * n + i.min(j)], &l[j * n..=j * n + i.min(j)]);
        assert!((0..n).all(|i| (0..n).all(|j| (product(i, j) - at(i, j)).abs() < 1e-14)));
        let mut b = vec![1.0; n];
        forward(&l, n, &mut b);
        assert!((dot(&l[3 * n..=3 * n + 3], &b[..4]) - 1.0).abs() < 1e-14);
    }
}
