//! Noise by counter: the value at an index depends on seed and index alone, so threads cannot change it.

use std::f64::consts::TAU;

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64 (Steele, Lea, Flood 2014): output `index` of the stream that starts at `seed`.
fn bits(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(GOLDEN.wrapping_mul(index.wrapping_add(1)));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Uniform in (0, 1].
pub fn uniform(seed: u64, index: u64) -> f64 {
    ((bits(seed, index) >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Standard normal by Box and Muller (1958).
pub fn normal(seed: u64, index: u64) -> f64 {
    let (u, v) = (uniform(seed, index.wrapping_mul(2)), uniform(seed, index.wrapping_mul(2).wrapping_add(1)));
    (-2.0 * libm::log(u)).sqrt() * libm::cos(TAU * v)
}
