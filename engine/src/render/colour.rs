//! The colour map of signed deviation: blue (missing) through a light neutral (0) to orange and brown (excess).
//!
//! Control points are in OKLab (Ottosson 2020), so equal steps of deviation look equal. Lightness falls alike on both sides
//! and the sign sits on the blue-yellow axis, which red-green colour blindness leaves untouched; in grey print the magnitude remains.

use std::sync::OnceLock;

use rayon::prelude::*;

/// Surface that carries no value.
pub const UNMEASURED: [u8; 3] = [158, 158, 158];

/// OKLab `(L, a, b)` at -1, -3/4, … +1 of the range.
const CONTROL: [[f64; 3]; 9] = [
    [0.360, -0.020, -0.125],
    [0.500, -0.036, -0.142],
    [0.640, -0.052, -0.122],
    [0.800, -0.040, -0.070],
    [0.945, 0.000, 0.004],
    [0.800, 0.038, 0.088],
    [0.640, 0.082, 0.112],
    [0.500, 0.098, 0.092],
    [0.360, 0.082, 0.066],
];

const STEPS: usize = 1024;
const LEVELS: usize = 1 << 16;

/// Linear-light RGB at `t` in [-1, 1]; clamped outside.
pub(super) fn linear(t: f32) -> [f32; 3] {
    static TABLE: OnceLock<Vec<[f32; 3]>> = OnceLock::new();
    let table = TABLE.get_or_init(|| (0..=STEPS).map(|i| oklab_to_linear(control_at(i as f64 / STEPS as f64))).collect());
    let at = (0.5 * (t.clamp(-1.0, 1.0) + 1.0)) * STEPS as f32;
    table[(at + 0.5) as usize]
}

/// The 8-bit sRGB of a linear-light component; clamped to [0, 1].
pub(super) fn encode(linear: f32) -> u8 {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    let table = TABLE.get_or_init(|| (0..LEVELS).map(|i| srgb_byte(i as f64 / (LEVELS - 1) as f64)).collect());
    table[(linear.clamp(0.0, 1.0) * (LEVELS - 1) as f32 + 0.5) as usize]
}

/// Linear-light RGB of an sRGB byte.
pub(super) fn decode(byte: u8) -> f32 {
    let c = f64::from(byte) / 255.0;
    (if c <= 0.04045 { c / 12.92 } else { libm::pow((c + 0.055) / 1.055, 2.4) }) as f32
}

/// Where a deviation stands on the map: 0 mm is always the neutral middle and both signs share one scale.
#[inline]
pub(super) fn position(value_mm: f32, range_mm: [f64; 2]) -> f32 {
    value_mm.clamp(range_mm[0] as f32, range_mm[1] as f32) / range_mm[1].max(-range_mm[0]) as f32
}

/// sRGB of a deviation (mm) on the map that spans `range_mm` (mm, holding 0 inside); [`UNMEASURED`] for NaN.
pub fn of(value_mm: f64, range_mm: [f64; 2]) -> [u8; 3] {
    if value_mm.is_nan() { UNMEASURED } else { linear(position(value_mm as f32, range_mm)).map(encode) }
}

/// Linear-light RGB of deviations, for formats that ask for it.
pub fn linear_of(values_mm: &[f64], range_mm: [f64; 2]) -> Vec<[f32; 3]> {
    let colour = |v: &f64| if v.is_nan() { UNMEASURED.map(decode) } else { linear(position(*v as f32, range_mm)) };
    values_mm.par_iter().map(colour).collect()
}

fn control_at(s: f64) -> [f64; 3] {
    let at = s * (CONTROL.len() - 1) as f64;
    let i = (at as usize).min(CONTROL.len() - 2);
    let f = at - i as f64;
    std::array::from_fn(|c| CONTROL[i][c] * (1.0 - f) + CONTROL[i + 1][c] * f)
}

fn oklab_to_linear([lightness, a, b]: [f64; 3]) -> [f32; 3] {
    let cube = |x: f64| x * x * x;
    let l = cube(lightness + 0.3963377774 * a + 0.2158037573 * b);
    let m = cube(lightness - 0.1055613458 * a - 0.0638541728 * b);
    let s = cube(lightness - 0.0894841775 * a - 1.2914855480 * b);
    [
        4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
        -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
        -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
    ]
    .map(|x| x.clamp(0.0, 1.0) as f32)
}

fn srgb_byte(linear: f64) -> u8 {
    let c = if linear <= 0.0031308 { 12.92 * linear } else { 1.055 * libm::pow(linear, 1.0 / 2.4) - 0.055 };
    (c * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance([r, g, b]: [f32; 3]) -> f32 {
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    #[test]
    fn the_map_darkens_alike_on_both_sides_and_tells_the_sign_by_blue_against_yellow() {
        for i in 1..=100 {
            let t = i as f32 / 100.0;
            let (low, high) = (linear(-t), linear(t));
            assert!(luminance(low) < luminance(linear(0.02 - t)) + 1e-3 && luminance(high) < luminance(linear(t - 0.02)) + 1e-3);
            assert!((luminance(low) - luminance(high)).abs() < 0.05, "at {t}");
            // Blue against the mean of red and green survives protanopia and deuteranopia.
            let yellow = |c: [f32; 3]| 0.5 * (c[0] + c[1]) - c[2];
            assert!(yellow(low) < yellow(linear(0.0)) && yellow(linear(0.0)) < yellow(high));
        }
    }

    #[test]
    fn bytes_survive_decoding_and_encoding() {
        assert!((0..=255).all(|b| encode(decode(b)) == b));
    }
}
