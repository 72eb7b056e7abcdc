//! Numbers as people read them: a value to the second digit of its uncertainty, true minus signs, exact values kept beside.

use maud::{Markup, html};

/// Where a number is cut: decimals after the point, or tens to round to where the uncertainty is larger than 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digits(i32);

impl Digits {
    /// Two digits of an expanded uncertainty.
    pub(super) fn of_uncertainty(expanded: f64) -> Option<Digits> {
        if !(expanded > 0.0 && expanded.is_finite()) {
            return None;
        }
        // The scientific form has rounded already, so 0.0996 counts as 0.10.
        let written = format!("{expanded:.1e}");
        let exponent: i32 = written.split_once('e')?.1.parse().ok()?;
        Some(Digits(1 - exponent))
    }

    pub(super) fn write(self, x: f64) -> String {
        match usize::try_from(self.0) {
            Ok(decimals) => minus(&format!("{x:.decimals$}")),
            Err(_) => {
                let tens: f64 = format!("1e{}", -self.0).parse().unwrap_or(1.0);
                minus(&format!("{:.0}", (x / tens).round() * tens))
            }
        }
    }
}

/// A number without uncertainty: as short as it can be said, at most six significant digits.
pub(super) fn plain(x: f64) -> String {
    if x == 0.0 {
        return "0".into();
    }
    let rounded: f64 = format!("{x:.5e}").parse().unwrap_or(x);
    if (1e-4..1e7).contains(&rounded.abs()) { minus(&format!("{rounded}")) } else { minus(&format!("{rounded:e}")) }
}

/// A probability to three digits, rounded away from certainty, so that 0.9496 never reads as 0.95.
pub(super) fn probability(p: f64) -> String {
    if p > 0.999 {
        "> 0.999".into()
    } else if p < 0.001 {
        "< 0.001".into()
    } else {
        let thousandths = if p >= 0.5 { (p * 1000.0).floor() } else { (p * 1000.0).ceil() };
        format!("{:.3}", thousandths / 1000.0)
    }
}

/// A share of a whole.
pub(super) fn per_cent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A count in groups of three.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(d);
    }
    out
}

/// A number for reading, the exact one on hovering over it.
pub(super) fn with_exact(shown: &str, exact: f64) -> Markup {
    html! { span.number title=(exact) { (shown) } }
}

/// The unit after a number; ratios have none.
pub(super) fn unit(unit: &str) -> Markup {
    html! { @if unit != "1" && !unit.is_empty() { span.unit { "\u{202f}" (unit) } } }
}

/// A coordinate of a drawing.
pub(super) fn at(x: f64) -> String {
    format!("{x:.1}")
}

fn minus(written: &str) -> String {
    let negative_zero = written.starts_with('-') && written.chars().all(|c| matches!(c, '-' | '0' | '.'));
    if negative_zero { written[1..].into() } else { written.replace('-', "\u{2212}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_at_the_second_digit_of_its_uncertainty() {
        let shown = |x: f64, u: f64| {
            let d = Digits::of_uncertainty(u).unwrap();
            (d.write(x), d.write(u))
        };
        assert_eq!(shown(0.04312, 0.01149), ("0.043".into(), "0.011".into()));
        assert_eq!(shown(0.04312, 0.0996), ("0.04".into(), "0.10".into()));
        assert_eq!(shown(-12.3456, 1.23), ("\u{2212}12.3".into(), "1.2".into()));
        assert_eq!(shown(8421.7, 234.0), ("8420".into(), "230".into()));
        assert_eq!(shown(-0.0001, 0.01), ("0.000".into(), "0.010".into()));
        assert_eq!(Digits::of_uncertainty(0.0), None);
    }

    #[test]
    fn a_probability_is_never_rounded_across_a_decision() {
        assert_eq!(probability(0.9496), "0.949");
        assert_eq!(probability(0.95), "0.950");
        assert_eq!(probability(0.0504), "0.051");
        assert_eq!((probability(0.99999), probability(1e-9)), ("> 0.999".into(), "< 0.001".into()));
    }

    #[test]
    fn numbers_without_uncertainty_stay_short() {
        assert_eq!(plain(0.1), "0.1");
        assert_eq!(plain(-0.0), "0");
        assert_eq!(plain(1234567.891), "1234570");
        assert_eq!(plain(-3.2e-7), "\u{2212}3.2e\u{2212}7");
        assert_eq!(grouped(1234567), "1\u{202f}234\u{202f}567");
    }
}
