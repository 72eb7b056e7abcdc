//! Printing what a measuring command found.

use std::path::PathBuf;

use verimetry_engine::measure::Measurement;

use super::print::{Column, Paint, Table, Tone, findings, plain, value_and_uncertainty};

/// The files written, one a line after an empty one.
pub(super) fn wrote<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> String {
    let lines: String = files.into_iter().map(|file| format!("Wrote {}\n", file.display())).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

pub(super) fn table(measured: &Measurement, paint: Paint) -> String {
    let mut table = Table::new(&[("Quantity", Column::Left), ("Value", Column::Right), ("± U", Column::Right), ("Unit", Column::Left)]);
    for (name, quantity) in &measured.quantities {
        let (value, u) = value_and_uncertainty(quantity.value, quantity.expanded_uncertainty);
        let unit = if quantity.unit == "1" { String::new() } else { quantity.unit.clone() };
        table.row(vec![plain(name.clone()), plain(value), plain(u), plain(unit)]);
    }
    let mut text = table.render(paint);
    for (name, quantity) in &measured.quantities {
        if let Some(reason) = &quantity.reason {
            text.push_str(&format!("  {} {name}: {reason}\n", paint.text(Tone::Doubtful, "not measured")));
        }
    }
    if measured.alignment.as_ref().is_some_and(|a| a.ambiguous) {
        text.push_str(&format!("  {}: other poses fit as well\n", paint.text(Tone::Doubtful, "the alignment is ambiguous")));
    }
    text.push_str(&findings(&measured.findings, paint));
    text
}
