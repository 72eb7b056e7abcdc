//! Uncertainty of fitted parameters when residuals vary together over the surface.
//!
//! Form error and scan artefacts are smooth, so neighbouring residuals are not independent and σ²(JᵀJ)⁻¹ is many times too small.
//! Residuals of about [`POINTS`] spread points are modelled as V = σ_f² k(d/ℓ) + σ_n² I with k Gaussian or exponential, its parameters by
//! restricted maximum likelihood (Patterson & Thompson 1971); the least-squares estimate then has the covariance
//! (JᵀJ)⁻¹ Jᵀ V J (JᵀJ)⁻¹. The kernel that gives the larger covariance is reported. The independent part is averaged over the
//! spread points only, not over every vertex: vertices closer than the blur of the scan share their noise.
//! Cost: one n³/3 Cholesky factor per trial of (ℓ, σ_n²/σ²): the grid on every third point, its best cell on every second, five on all.

use nalgebra::{Point3, SMatrix, SVector};
use rayon::prelude::*;

use crate::linear::{cholesky, dot, eigen, forward, pseudo_inverse};

pub(crate) const POINTS: usize = 600;
/// Correlation lengths tried, as fractions of the extent of the points, and shares of the independent part.
const LENGTHS: [f64; 7] = [0.02, 0.04, 0.07, 0.12, 0.2, 0.35, 0.6];
const SHARES: [f64; 6] = [0.02, 0.1, 0.25, 0.5, 0.8, 0.999];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kernel {
    Gaussian,
    Exponential,
}

/// Fitted covariance of residuals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variogram {
    pub kernel: Kernel,
    pub length_mm: f64,
    pub correlated_mm2: f64,
    pub independent_mm2: f64,
}

/// One residual with its row of the Jacobian.
#[derive(Clone)]
pub(crate) struct Observation<const P: usize> {
    pub at: Point3<f64>,
    pub residual_mm: f64,
    pub row: SVector<f64, P>,
}

/// Covariance of the unweighted least-squares parameters and the variogram behind it.
/// Directions that the observations do not hold (below `held` of the strongest) get no covariance: zero.
pub(crate) fn covariance<const P: usize>(observations: &[Observation<P>], held: f64) -> (SMatrix<f64, P, P>, Variogram) {
    let fits = variograms(observations).map(|v| (sandwich(observations, &v, held), v));
    if fits[1].0.trace() > fits[0].0.trace() { fits[1] } else { fits[0] }
}

/// The most likely covariance of residuals with a Gaussian kernel, and with an exponential one.
pub(crate) fn variograms<const P: usize>(observations: &[Observation<P>]) -> [Variogram; 2] {
    let (gaussian, exponential) = rayon::join(|| fit(observations, Kernel::Gaussian), || fit(observations, Kernel::Exponential));
    [gaussian, exponential]
}

impl Variogram {
    /// Variance of one residual.
    pub fn total_mm2(&self) -> f64 {
        self.correlated_mm2 + self.independent_mm2
    }

    /// Covariance of two residuals.
    pub fn between(&self, a: &Point3<f64>, b: &Point3<f64>) -> f64 {
        self.correlated_mm2 * correlation(self.kernel, (a - b).norm_squared(), self.length_mm)
    }
}

fn correlation(kernel: Kernel, squared_mm2: f64, length_mm: f64) -> f64 {
    match kernel {
        Kernel::Gaussian => libm::exp(-0.5 * squared_mm2 / (length_mm * length_mm)),
        Kernel::Exponential => libm::exp(-squared_mm2.sqrt() / length_mm),
    }
}

fn sandwich<const P: usize>(observations: &[Observation<P>], v: &Variogram, held: f64) -> SMatrix<f64, P, P> {
    let mut information = SMatrix::<f64, P, P>::zeros();
    let mut spread = SMatrix::<f64, P, P>::zeros();
    for (i, a) in observations.iter().enumerate() {
        information += a.row * a.row.transpose();
        let mut reach = a.row * v.total_mm2();
        for (j, b) in observations.iter().enumerate() {
            if i != j {
                reach += b.row * v.between(&a.at, &b.at);
            }
        }
        spread += a.row * reach.transpose();
    }
    let inverse = pseudo_inverse_scaled(&information, held);
    let covariance = inverse * spread * inverse;
    (covariance + covariance.transpose()) * 0.5
}

/// Pseudo-inverse after scaling every parameter to a unit diagonal.
fn pseudo_inverse_scaled<const P: usize>(matrix: &SMatrix<f64, P, P>, floor: f64) -> SMatrix<f64, P, P> {
    let unit = |k: usize| if matrix[(k, k)] > 0.0 { 1.0 / matrix[(k, k)].sqrt() } else { 0.0 };
    let scaled = SMatrix::<f64, P, P>::from_fn(|r, c| matrix[(r, c)] * unit(r) * unit(c));
    let inverse = pseudo_inverse(&scaled, floor);
    SMatrix::from_fn(|r, c| inverse[(r, c)] * unit(r) * unit(c))
}

/// Restricted maximum likelihood: over the whole grid on every third observation (a 27th of the cost), in its best cell on every second,
/// around the best of that on all.
fn fit<const P: usize>(observations: &[Observation<P>], kernel: Kernel) -> Variogram {
    let extent = crate::frame::Bounds::of(observations.iter().map(|o| &o.at)).diagonal_mm().max(1e-9);
    let every = |n: usize| -> Vec<Observation<P>> { observations.iter().step_by(n).cloned().collect() };
    let grid =
        |lengths: &[f64], shares: &[f64]| lengths.iter().flat_map(|&l| shares.iter().map(move |&s| (l, s.min(0.999)))).collect::<Vec<_>>();
    let around = |best: Trial, lengths: &[f64], shares: &[f64]| {
        grid(&lengths.iter().map(|f| f * best.length_mm).collect::<Vec<_>>(), &shares.iter().map(|f| f * best.share).collect::<Vec<_>>())
    };
    let coarse = most_likely(&every(3), kernel, &grid(&LENGTHS.map(|l| l * extent), &SHARES));
    let fine = coarse.and_then(|c| most_likely(&every(2), kernel, &around(c, &[0.75, 1.0, 1.33], &[0.5, 0.7, 1.0, 1.4])));
    let finest = fine.or(coarse).and_then(|f| {
        let trials = [around(f, &[0.87, 1.0, 1.15], &[1.0]), around(f, &[1.0], &[0.84, 1.19])].concat();
        most_likely(observations, kernel, &trials)
    });
    let mean_square = observations.iter().map(|o| o.residual_mm * o.residual_mm).sum::<f64>() / observations.len().max(1) as f64;
    match finest.or(fine).or(coarse) {
        Some(Trial { length_mm, share, sill_mm2, .. }) => {
            Variogram { kernel, length_mm, correlated_mm2: sill_mm2 * (1.0 - share), independent_mm2: sill_mm2 * share }
        }
        // No trial factorised (all residuals zero): nothing varies together.
        None => Variogram { kernel, length_mm: extent, correlated_mm2: 0.0, independent_mm2: mean_square },
    }
}

/// One point of the likelihood surface: −2 log restricted likelihood with the sill profiled out.
#[derive(Clone, Copy)]
struct Trial {
    minus_2_log: f64,
    length_mm: f64,
    share: f64,
    sill_mm2: f64,
}

/// The best of some (length, share); equal lengths stand together.
fn most_likely<const P: usize>(observations: &[Observation<P>], kernel: Kernel, trials: &[(f64, f64)]) -> Option<Trial> {
    let tried: Vec<Trial> = trials
        .chunk_by(|a, b| a.0 == b.0)
        .collect::<Vec<_>>()
        .into_par_iter()
        .flat_map_iter(|same| {
            let length_mm = same[0].0;
            let correlations = correlations(observations, kernel, length_mm);
            same.iter().filter_map(move |&(_, share)| {
                let (minus_2_log, sill_mm2) = restricted(observations, &correlations, share)?;
                Some(Trial { minus_2_log, length_mm, share, sill_mm2 })
            })
        })
        .collect();
    tried.into_iter().min_by(|a, b| a.minus_2_log.total_cmp(&b.minus_2_log))
}

/// Lower triangle by rows, without the diagonal.
fn correlations<const P: usize>(observations: &[Observation<P>], kernel: Kernel, length_mm: f64) -> Vec<f64> {
    let n = observations.len();
    let mut matrix = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..i {
            matrix[i * n + j] = correlation(kernel, (observations[i].at - observations[j].at).norm_squared(), length_mm);
        }
    }
    matrix
}

/// −2 log restricted likelihood with the sill profiled out, and that sill (mm²).
fn restricted<const P: usize>(observations: &[Observation<P>], correlations: &[f64], share: f64) -> Option<(f64, f64)> {
    let n = observations.len();
    let mut v: Vec<f64> = correlations.iter().map(|c| (1.0 - share) * c).collect();
    for i in 0..n {
        v[i * n + i] = 1.0 + 1e-9; // above the rounding of a nearly singular Gaussian kernel
    }
    cholesky(&mut v, n).then_some(())?;
    let whitened = |value: &dyn Fn(&Observation<P>) -> f64| {
        let mut column: Vec<f64> = observations.iter().map(value).collect();
        forward(&v, n, &mut column);
        column
    };
    let columns: Vec<Vec<f64>> = (0..P).map(|k| whitened(&|o| o.row[k])).collect();
    let residual = whitened(&|o| o.residual_mm);
    // Columns scaled to unit length: directions without information are left out of the determinant.
    let information = SMatrix::<f64, P, P>::from_fn(|r, c| dot(&columns[r], &columns[c]));
    let projected = SVector::<f64, P>::from_fn(|k, _| dot(&columns[k], &residual));
    let unit = SVector::<f64, P>::from_fn(|k, _| if information[(k, k)] > 0.0 { 1.0 / information[(k, k)].sqrt() } else { 0.0 });
    let scaled = SMatrix::<f64, P, P>::from_fn(|r, c| information[(r, c)] * unit[r] * unit[c]);
    let (values, _) = eigen(&scaled);
    let held = values.iter().filter(|x| **x > 1e-8 * values[0]);
    let (rank, log_determinant) = held.fold((0, 0.0), |(k, sum), x| (k + 1, sum + libm::log(*x)));
    let log_units: f64 = unit.iter().filter(|u| **u > 0.0).map(|u| -2.0 * libm::log(*u)).sum();
    let explained = projected.dot(&(pseudo_inverse_scaled(&information, 1e-8) * projected));
    let left = dot(&residual, &residual) - explained;
    let freedom = n.checked_sub(rank).filter(|f| *f > 0)? as f64;
    (left > 0.0).then_some(())?;
    let log_v: f64 = (0..n).map(|i| 2.0 * libm::log(v[i * n + i])).sum();
    Some((freedom * libm::log(left / freedom) + log_v + log_determinant + log_units, left / freedom))
}
