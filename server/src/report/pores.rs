//! The plot of pores: how their size is distributed over the volume, and what spheres reach of it from outside.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use verimetry_engine::pores::{PoreSummary, SizeDistribution};

use super::ReportError;
use super::number;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>>;

const WIDTH: u32 = 960;
/// Height of one of the two drawings.
const HEIGHT: u32 = 330;

const INK: RGBColor = RGBColor(72, 82, 92);
const RULE: RGBColor = RGBColor(120, 130, 140);
const GRID: RGBColor = RGBColor(226, 230, 234);
const BARS: RGBColor = RGBColor(116, 160, 196);
/// The range that is asked for.
const RANGE: RGBColor = RGBColor(222, 240, 222);

/// A standalone SVG: local diameters by volume with d10, d50 and d90, under it the curve of accessible volume where it was measured.
pub fn pore_plot(summary: &PoreSummary) -> Result<String, ReportError> {
    let curve = summary.accessible.len() > 1;
    let mut drawing = String::new();
    {
        let area = SVGBackend::with_string(&mut drawing, (WIDTH, if curve { 2 * HEIGHT } else { HEIGHT })).into_drawing_area();
        let drawn = area.fill(&WHITE).map_err(failed).and_then(|()| match &summary.sizes {
            Some(sizes) => {
                let panels = area.split_evenly((if curve { 2 } else { 1 }, 1));
                let end = widest(summary, sizes);
                sizes_of(&panels[0], summary, sizes, end)?;
                if curve { reached(&panels[1], summary, end) } else { Ok(()) }
            }
            None => note(&area, "无可测孔隙 no pores to measure"),
        });
        drawn.and_then(|()| area.present().map_err(failed))?;
    }
    Ok(drawing)
}

fn failed(e: impl std::fmt::Display) -> ReportError {
    ReportError::Drawing { what: "plot of the pores", cause: e.to_string() }
}

fn font(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn note(area: &Area, text: &str) -> Result<(), ReportError> {
    area.draw(&Text::new(text.to_owned(), (24, 24), font(17))).map_err(failed)
}

/// End of both axes of diameters (mm): beyond the last class with a share, the spheres and the range by the room of a label.
fn widest(summary: &PoreSummary, sizes: &SizeDistribution) -> f64 {
    let filled = sizes.volume_share.iter().rposition(|s| *s > 0.0).map_or(0.0, |n| sizes.edges_mm[n + 1]);
    let others = summary.range_mm.into_iter().flatten().chain(summary.throats_mm.into_iter().flatten());
    others.chain(summary.accessible.iter().map(|r| r.diameter_mm)).fold(filled, f64::max) * 1.18
}

/// Axes of a drawing, the asked range shaded behind them.
fn axes<'a, 'b>(
    area: &'a Area<'b>,
    range_mm: Option<[f64; 2]>,
    x: Range<f64>,
    top: f64,
    [x_desc, y_desc]: [&str; 2],
) -> Result<Chart<'a, 'b>, ReportError> {
    let mut chart = ChartBuilder::on(area)
        .margin_top(26)
        .margin_left(8)
        .margin_right(24)
        .x_label_area_size(56)
        .y_label_area_size(76)
        .build_cartesian_2d(x.clone(), 0.0..top)
        .map_err(failed)?;
    if let Some([low, high]) = range_mm {
        let shade = Rectangle::new([(low.max(x.start), 0.0), (high.min(x.end), top)], RANGE.filled());
        chart.draw_series([shade]).map_err(failed)?;
    }
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(RULE)
        .label_style(font(16))
        .axis_desc_style(font(16))
        .x_desc(x_desc)
        .y_desc(y_desc)
        .x_labels(11)
        .y_labels(6)
        .x_label_formatter(&|v| short(*v))
        .y_label_formatter(&|v| short(*v))
        .draw()
        .map_err(failed)?;
    Ok(chart)
}

/// A line at a diameter that ends beside its label; each is a step lower than the one before, so that no line crosses a label.
fn mark(chart: &mut Chart, at: f64, top: f64, step: usize, label: String) -> Result<(), ReportError> {
    let y = top * (0.97 - 0.085 * step as f64);
    chart.draw_series([PathElement::new(vec![(at, 0.0), (at, y)], INK.stroke_width(2))]).map_err(failed)?;
    let style = font(15).pos(Pos::new(HPos::Left, VPos::Top));
    chart.draw_series([EmptyElement::at((at, y)) + Text::new(label, (6, 0), style)]).map_err(failed)?;
    Ok(())
}

fn sizes_of(area: &Area, summary: &PoreSummary, sizes: &SizeDistribution, end: f64) -> Result<(), ReportError> {
    let tallest = sizes.volume_share.iter().fold(0.0, |m: f64, &s| m.max(s)) * 100.0;
    let top = (tallest * 1.35).max(1e-3);
    let names = ["局部孔径 local pore diameter / mm", "孔隙体积 pore volume / %"];
    let mut chart = axes(area, summary.range_mm, 0.0..end, top, names)?;
    for (edges, &share) in sizes.edges_mm.windows(2).zip(&sizes.volume_share).filter(|(_, s)| **s > 0.0) {
        let corners = [(edges[0], 0.0), (edges[1].min(end), 100.0 * share)];
        let bar = [BARS.filled(), ShapeStyle::from(RULE).stroke_width(1)].map(|style| Rectangle::new(corners, style));
        chart.draw_series(bar).map_err(failed)?;
    }
    for (step, (name, d)) in [("d10", sizes.d10_mm), ("d50", sizes.d50_mm), ("d90", sizes.d90_mm)].into_iter().enumerate() {
        mark(&mut chart, d, top, step, format!("{name} {d:.3}"))?;
    }
    Ok(())
}

fn reached(area: &Area, summary: &PoreSummary, end: f64) -> Result<(), ReportError> {
    let names = ["球直径 sphere diameter / mm", "可达体积 accessible volume / %"];
    let mut chart = axes(area, summary.range_mm, 0.0..end, 104.0, names)?;
    let points: Vec<(f64, f64)> = summary.accessible.iter().map(|r| (r.diameter_mm, 100.0 * r.share)).collect();
    chart.draw_series([PathElement::new(points.clone(), BARS.stroke_width(3))]).map_err(failed)?;
    chart.draw_series(points.iter().map(|&p| Circle::new(p, 4, BARS.filled()))).map_err(failed)?;
    let throats = ["x", "y", "z"].into_iter().zip(summary.throats_mm);
    let mut throats: Vec<(&str, f64)> = throats.filter_map(|(axis, throat)| throat.map(|t| (axis, t))).collect();
    throats.sort_by(|a, b| a.1.total_cmp(&b.1));
    for (step, (axis, throat)) in throats.into_iter().enumerate() {
        mark(&mut chart, throat, 104.0, step, format!("喉道 throat {axis} {throat:.3}"))?;
    }
    Ok(())
}

/// A tick without the dust of binary fractions.
fn short(v: f64) -> String {
    number::plain((v * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use verimetry_engine::pores::{BorderRule, EnvelopeRecord, Reached, Sensitivity};

    use super::*;

    fn summary() -> PoreSummary {
        PoreSummary {
            envelope: EnvelopeRecord { kind: "hull".into(), closing_mm: Some(1.0), volume_mm3: 12.0 },
            cell_mm: 0.05,
            least_void_mm3: 0.003_375,
            sizes: Some(SizeDistribution {
                edges_mm: vec![0.0, 0.1, 0.2, 0.3],
                volume_share: vec![0.1, 0.6, 0.3],
                d10_mm: 0.1,
                d50_mm: 0.17,
                d90_mm: 0.26,
            }),
            accessible: vec![Reached { diameter_mm: 0.05, share: 0.9 }, Reached { diameter_mm: 0.3, share: 0.0 }],
            range_mm: Some([0.1, 0.25]),
            throats_mm: [Some(0.21), None, Some(0.2)],
            border: BorderRule::default(),
            shapes: vec![],
            sensitivity: Sensitivity { per_micrometre: 0.001, per_percent_of_contrast: None },
            unresolved: None,
        }
    }

    #[test]
    fn the_plot_names_axes_units_and_marks() {
        let drawing = pore_plot(&summary()).unwrap();
        for text in [
            "local pore diameter / mm",
            "pore volume / %",
            "d10 0.100",
            "d50 0.170",
            "d90 0.260",
            "accessible volume / %",
            "throat z 0.200",
        ] {
            assert!(drawing.contains(text), "{text} in {drawing}");
        }
        assert!(!drawing.contains("throat y") && drawing.contains("xmlns"));
    }

    #[test]
    fn without_pores_the_plot_says_so() {
        let drawing = pore_plot(&PoreSummary { sizes: None, accessible: vec![], ..summary() }).unwrap();
        assert!(drawing.contains("no pores to measure"));
    }
}
