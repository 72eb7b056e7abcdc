//! Text for people: aligned tables, numbers rounded to what is known of them, colour on a terminal.

use std::io::IsTerminal;

use verimetry_engine::finding::{Finding, Severity};
use verimetry_engine::judgement::Decision;
use verimetry_engine::order::Limits;

/// Colours where they can be seen and are wanted (`NO_COLOR` unset).
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    colours: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Tone {
    Plain,
    Strong,
    Good,
    Bad,
    Doubtful,
}

impl Paint {
    pub fn for_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Paint { colours: std::io::stdout().is_terminal() && !refused }
    }

    pub fn text(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Doubtful => "33",
        };
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Left,
    Right,
}

/// A table under its heading; a cell may have a tone.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<(String, Tone)>>,
}

impl Table {
    pub fn new(heading: &[(&str, Column)]) -> Self {
        let rows = vec![heading.iter().map(|(name, _)| (name.to_string(), Tone::Strong)).collect()];
        Table { columns: heading.iter().map(|(_, column)| *column).collect(), rows }
    }

    /// A row of as many cells as the heading has.
    pub fn row(&mut self, cells: Vec<(String, Tone)>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Lines with two blanks between columns; a column without any text is left out.
    pub fn render(&self, paint: Paint) -> String {
        let width = |c: usize| self.rows.iter().map(|r| r[c].0.chars().count()).max().unwrap_or(0);
        let filled = |c: usize| self.rows.iter().skip(1).any(|r| !r[c].0.is_empty());
        let shown: Vec<(usize, usize)> = (0..self.columns.len()).filter(|&c| filled(c)).map(|c| (c, width(c))).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for &(c, width) in &shown {
                let (cell, tone) = &row[c];
                let blanks = " ".repeat(width - cell.chars().count());
                let cell = paint.text(*tone, cell);
                line.push_str(&match self.columns[c] {
                    Column::Left => format!("{cell}{blanks}  "),
                    Column::Right => format!("{blanks}{cell}  "),
                });
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

pub(super) fn plain(text: impl Into<String>) -> (String, Tone) {
    (text.into(), Tone::Plain)
}

/// A value and its U to the decimal place of U's second significant digit; a value without U to five significant digits.
pub(super) fn value_and_uncertainty(value: Option<f64>, expanded: Option<f64>) -> (String, String) {
    let Some(value) = value else { return ("–".into(), String::new()) };
    match expanded {
        Some(u) if u > 0.0 && u.is_finite() => {
            let decimals = decimals(u, 2);
            (fixed(value, decimals), fixed(u, decimals))
        }
        Some(u) => (significant(value), fixed(u, 0)),
        None => (significant(value), String::new()),
    }
}

/// Decimal places that show `digits` significant digits of a positive number; negative before the point.
fn decimals(x: f64, digits: i32) -> i32 {
    digits - 1 - first_digit_exponent(x)
}

/// The exponent of a positive number's first digit, read off its own decimal writing: exact where a logarithm is not.
fn first_digit_exponent(x: f64) -> i32 {
    format!("{x:e}").split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

fn fixed(x: f64, decimals: i32) -> String {
    let shown = decimals.clamp(0, 12) as usize;
    let text = format!("{x:.shown$}");
    // A negative number that rounds to nothing has no sign.
    if text.bytes().all(|b| matches!(b, b'-' | b'0' | b'.')) { text.trim_start_matches('-').to_owned() } else { text }
}

/// A number without U, to five significant digits.
pub(super) fn significant(x: f64) -> String {
    if x == 0.0 || !x.is_finite() { format!("{x}") } else { fixed(x, decimals(x.abs(), 5)) }
}

pub(super) fn limits(limits: &Limits) -> String {
    match (limits.min, limits.max) {
        (Some(min), Some(max)) => format!("{min} … {max}"),
        (Some(min), None) => format!("≥ {min}"),
        (None, Some(max)) => format!("≤ {max}"),
        (None, None) => String::new(),
    }
}

pub(super) fn decision(decision: Decision) -> (&'static str, Tone) {
    match decision {
        Decision::Conforms => ("conforms", Tone::Good),
        Decision::DoesNotConform => ("does not conform", Tone::Bad),
        Decision::Undecided => ("undecided", Tone::Doubtful),
        Decision::NotMeasured => ("not measured", Tone::Doubtful),
    }
}

/// Findings, the gravest first; empty where there are none.
pub(super) fn findings(findings: &[Finding], paint: Paint) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|f| std::cmp::Reverse(f.severity));
    let mut text = format!("\n{}\n", paint.text(Tone::Strong, "Findings"));
    for finding in sorted {
        let (word, tone) = match finding.severity {
            Severity::Stop => ("stop   ", Tone::Bad),
            Severity::Qualify => ("qualify", Tone::Doubtful),
            Severity::Note => ("note   ", Tone::Plain),
        };
        let input = finding.input.as_deref().map(|i| format!("{i}: ")).unwrap_or_default();
        let clause = finding.clause.as_deref().map(|c| format!(" (clause {c})")).unwrap_or_default();
        text.push_str(&format!("  {}  {input}{}{clause} [{}]\n", paint.text(tone, word), finding.message, finding.code));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_to_the_second_digit_of_its_uncertainty() {
        let shown = |v, u| value_and_uncertainty(Some(v), Some(u));
        assert_eq!(shown(0.0123456, 0.00412), ("0.0123".into(), "0.0041".into()));
        assert_eq!(shown(1234.567, 12.0), ("1235".into(), "12".into()));
        assert_eq!(shown(1.0, 0.1), ("1.00".into(), "0.10".into()));
        assert_eq!(shown(-0.0001, 0.05), ("0.000".into(), "0.050".into()));
    }

    #[test]
    fn a_value_without_uncertainty_keeps_five_digits_and_none_is_a_dash() {
        assert_eq!(value_and_uncertainty(Some(2.71869265), None).0, "2.7187");
        assert_eq!(value_and_uncertainty(Some(0.0), None).0, "0");
        assert_eq!(value_and_uncertainty(None, None).0, "–");
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut table = Table::new(&[("name", Column::Left), ("empty", Column::Left), ("value", Column::Right)]);
        table.row(vec![plain("a"), plain(""), plain("10.5")]);
        table.row(vec![plain("longer"), plain(""), plain("2")]);
        assert_eq!(table.render(Paint { colours: false }), "name    value\na        10.5\nlonger      2\n");
    }
}
