//! Rescales that differ from slice to slice, brought onto one scale without rounding.
//!
//! Slope and intercept are decimal numbers as written, so all slopes and all differences of intercepts are whole multiples of one
//! greatest unit u: `slope_k = m_k u`, `intercept_k = b + n_k u`. A value v of slice k is then exactly `m_k v + n_k` on the scale
//! (u, b), a whole number that `i32` or, up to 2^53, `f64` holds. What does not fit is refused, never rounded.

use super::super::fault::Fault;
use super::super::source::VoxelType;
use crate::volume::Rescale;

/// `digits * 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    digits: i128,
    exponent: i32,
}

impl Decimal {
    pub const ZERO: Decimal = Decimal { digits: 0, exponent: 0 };
    pub const ONE: Decimal = Decimal { digits: 1, exponent: 0 };

    /// A number as DICOM writes it: digits with a point and an exponent.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.trim_start_matches('+').parse().ok()?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        let (sign, whole) = match whole.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, whole.strip_prefix('+').unwrap_or(whole)),
        };
        let digits = [whole, fraction].concat();
        let plain = !digits.is_empty() && digits.len() <= 30 && digits.bytes().all(|b| b.is_ascii_digit());
        let exponent = exponent.checked_sub(fraction.len() as i32).filter(|e| (-60..=60).contains(e))?;
        match plain.then(|| digits.parse::<i128>().ok()).flatten() {
            None if mantissa.starts_with(['0', '.']) && mantissa.bytes().all(|b| b == b'0' || b == b'.') => Some(Decimal::ZERO),
            found => Some(Decimal { digits: sign * found?, exponent }),
        }
    }

    /// The nearest `f64`.
    pub fn value(self) -> f64 {
        format!("{}e{}", self.digits, self.exponent).parse().unwrap_or(f64::NAN)
    }

    /// In units of `10^exponent`, which is no more than its own.
    fn at(self, exponent: i32) -> Option<i128> {
        let shift = u32::try_from(self.exponent - exponent).ok()?;
        if self.digits == 0 { Some(0) } else { self.digits.checked_mul(10i128.checked_pow(shift)?) }
    }
}

/// What brings the stored values of each slice onto one scale.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    pub rescale: Rescale,
    /// Multiplier and offset of each slice; `None` where values stay as they are stored.
    pub steps: Option<Steps>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steps {
    pub of_slice: Vec<[i64; 2]>,
    /// `I32` or `F64`.
    pub held_as: VoxelType,
}

/// One scale for slices with these slopes and intercepts, whose stored values lie between `codes`.
pub(super) fn common(rescales: &[Option<[Decimal; 2]>], codes: [i64; 2]) -> Result<Scale, Fault> {
    let written: Vec<[Decimal; 2]> = rescales.iter().map(|r| r.unwrap_or([Decimal::ONE, Decimal::ZERO])).collect();
    let Some(&[slope, intercept]) = written.first() else { return Ok(Scale { rescale: Rescale::IDENTITY, steps: None }) };
    if let Some([slope, intercept]) = written.iter().find(|[slope, _]| slope.digits == 0) {
        return Err(Fault::Rescale { slope: slope.value(), intercept: intercept.value() });
    }
    let values = |[s, i]: [Decimal; 2]| Rescale { slope: s.value(), intercept: i.value() };
    if written.iter().all(|&w| values(w) == values([slope, intercept])) {
        return Ok(Scale { rescale: values([slope, intercept]), steps: None });
    }
    let differing = || Fault::RescalesDiffer { slope: slope.value(), intercept: intercept.value() };
    onto_one(&written, codes).ok_or_else(differing)
}

fn onto_one(written: &[[Decimal; 2]], codes: [i64; 2]) -> Option<Scale> {
    let exponent = written.iter().flatten().map(|d| d.exponent).min()?;
    let whole: Option<Vec<[i128; 2]>> = written.iter().map(|[s, i]| Some([s.at(exponent)?, i.at(exponent)?])).collect();
    let whole = whole?;
    let base = whole.first()?[1];
    let unit = whole.iter().try_fold(0, |unit, [s, i]| Some(gcd(gcd(unit, *s), i.checked_sub(base)?)))?;
    let steps = whole.iter().map(|[s, i]| Some([i64::try_from(s / unit).ok()?, i64::try_from((i - base) / unit).ok()?]));
    let of_slice: Vec<[i64; 2]> = steps.collect::<Option<_>>()?;
    let mut most = [0i128; 2];
    for &[m, n] in &of_slice {
        for code in codes {
            let value = i128::from(m) * i128::from(code) + i128::from(n);
            most = [most[0].min(value), most[1].max(value)];
        }
    }
    let fits = |low: i128, high: i128| most[0] >= low && most[1] <= high;
    let held_as = if fits(i32::MIN.into(), i32::MAX.into()) {
        VoxelType::I32
    } else if fits(-(1 << 53), 1 << 53) {
        VoxelType::F64
    } else {
        return None;
    };
    let value = |digits| Decimal { digits, exponent }.value();
    Some(Scale { rescale: Rescale { slope: value(unit), intercept: value(base) }, steps: Some(Steps { of_slice, held_as }) })
}

/// Greatest common divisor, never negative.
fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rescale(slope: &str, intercept: &str) -> Option<[Decimal; 2]> {
        Some([Decimal::parse(slope).expect("a number"), Decimal::parse(intercept).expect("a number")])
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (text, value) in [("1", 1.0), ("-1024.0", -1024.0), ("1.0000E+00", 1.0), ("+2.5e-3", 0.0025), (".001", 0.001), ("0.", 0.0)] {
            assert_eq!(Decimal::parse(text).map(Decimal::value), Some(value), "{text}");
        }
        for text in ["", "-", "e5", "1e999999999", "1.2.3", "nan", "inf", "0x1"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn rescales_that_differ_come_onto_one_scale_exactly() {
        let rescales = [rescale("1", "-1024"), rescale("0.25", "-1000.5"), rescale("-1.5", "3")];
        let scale = common(&rescales, [0, 4095]).expect("it fits");
        let steps = scale.steps.expect("they differ");
        assert_eq!((scale.rescale, steps.held_as), (Rescale { slope: 0.25, intercept: -1024.0 }, VoxelType::I32));
        for (found, written) in steps.of_slice.iter().zip(rescales.iter().flatten()) {
            for v in [0i64, 1, 777, 4095] {
                let physical = scale.rescale.physical((found[0] * v + found[1]) as f64);
                assert_eq!(physical, written[0].value() * v as f64 + written[1].value());
            }
        }
    }

    #[test]
    fn fine_slopes_need_wide_numbers_and_finer_ones_are_refused() {
        let scale = common(&[rescale("0.123457", "0"), rescale("0.234561", "0")], [0, 65535]).expect("it fits");
        assert_eq!(scale.steps.expect("they differ").held_as, VoxelType::F64);
        let refused = common(&[rescale("0.1234567890123", "0"), rescale("0.2345678901234", "0")], [0, 65535]);
        assert!(matches!(refused, Err(Fault::RescalesDiffer { .. })));
    }

    #[test]
    fn equal_rescales_leave_values_as_they_are_stored() {
        let scale = common(&[rescale("1", "-1024"), rescale("1.0", "-1024.00")], [0, 4095]).expect("equal");
        assert_eq!(scale, Scale { rescale: Rescale { slope: 1.0, intercept: -1024.0 }, steps: None });
    }
}
