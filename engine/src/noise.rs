//! Reproducible noise: a counter-based generator, so that a value depends on its seed and place and on nothing else.

use nalgebra::Point3;

/// SplitMix64 (Steele, Lea, Flood 2014), the finaliser applied to a counter.
pub fn hash(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Uniform in (0, 1], 53 bits.
pub fn uniform(seed: u64, counter: u64) -> f64 {
    ((hash(seed, counter) >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Standard normal by Box and Muller (1958).
pub fn normal(seed: u64, counter: u64) -> f64 {
    let (u, v) = (uniform(seed, counter.wrapping_mul(2)), uniform(seed, counter.wrapping_mul(2).wrapping_add(1)));
    (-2.0 * libm::log(u)).sqrt() * libm::cos(std::f64::consts::TAU * v)
}

/// Nearly normal from one hash: the sum of its four 16-bit parts (Irwin-Hall, excess kurtosis -0.3), scaled to unit variance.
fn nearly_normal(seed: u64, counter: u64) -> f64 {
    let h = hash(seed, counter);
    let sum = (h & 0xffff) + (h >> 16 & 0xffff) + (h >> 32 & 0xffff) + (h >> 48);
    (sum as f64 / 65536.0 - 2.0) * 3.0_f64.sqrt()
}

/// Noise field of unit variance and correlation length `length_mm`: white noise on a lattice, interpolated linearly and
/// divided by the root of the sum of squared weights. The same place gives the same value on every tessellation.
pub fn field(seed: u64, length_mm: f64, p: &Point3<f64>) -> f64 {
    let cell = p.coords / length_mm;
    let base = cell.map(f64::floor);
    let (mut value, mut squares) = (0.0, 0.0);
    for corner in 0..8u64 {
        let mut weight = 1.0;
        let mut key = 0u64;
        for a in 0..3 {
            let up = (corner >> a & 1) as f64;
            let t = cell[a] - base[a];
            weight *= if up == 1.0 { t } else { 1.0 - t };
            key = hash(key, (base[a] + up) as i64 as u64);
        }
        value += weight * nearly_normal(seed, key);
        squares += weight * weight;
    }
    value / squares.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_moments_of_a_standard_normal() {
        let n = 20_000;
        let moments = |draw: &dyn Fn(u64) -> f64| {
            let (s, q) = (0..n).map(draw).fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
            (s / n as f64, q / n as f64)
        };
        // Standard errors: 1/sqrt(n) = 0.007 of the mean, sqrt(2/n) = 0.01 of the variance; four of each are allowed.
        let (mean, square) = moments(&|i| normal(7, i));
        assert!(mean.abs() < 0.028 && (square - 1.0).abs() < 0.04);
        let (mean, square) = moments(&|i| field(7, 0.5, &Point3::new(1.7 * i as f64, 0.3, -0.2)));
        assert!(mean.abs() < 0.028 && (square - 1.0).abs() < 0.04);
    }

    #[test]
    fn a_field_varies_smoothly_below_its_correlation_length() {
        let at = |x: f64| field(3, 1.0, &Point3::new(x, 0.4, 0.6));
        let step: f64 = (0..1000).map(|i| (at(i as f64 * 0.01 + 0.01) - at(i as f64 * 0.01)).abs()).fold(0.0, f64::max);
        assert!(step < 0.15);
    }
}
