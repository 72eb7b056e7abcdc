//! The picture of the deviation: the rendered sheet with axes, names, marks, scale bar and colour bar set over it as text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;
use verimetry_engine::evidence::{DeviationSummary, WORST_MARK};
use verimetry_engine::render::{Layout, MarkLayout, ViewLayout, colour};

use super::number::{self, at};
use super::words::{self, words};
use super::{Evidence, ReportError};

/// Height of the strip under the views that carries scale and colours, pixels of the sheet.
const STRIP: f64 = 170.0;
const AXIS_NAMES: [&str; 3] = ["X", "Y", "Z"];

pub(super) fn deviation(evidence: &Evidence) -> Result<Markup, ReportError> {
    let summary = evidence.deviation.as_ref();
    if evidence.views.is_none() && summary.is_none() {
        return Ok(html! {});
    }
    let histogram = summary.map(histogram).transpose()?;
    Ok(html! {
        section #deviation {
            h2 { (words("表面偏差", "Deviation of the surface")) }
            p.note { (words("实物减设计，沿设计法向；正值为多余材料。", "Actual minus nominal along the nominal normal; positive is excess material.")) }
            @if let Some((png, layout)) = &evidence.views {
                figure { (views(png, layout, summary)) }
            }
            @if let (Some(summary), Some(drawing)) = (summary, histogram) {
                figure.histogram {
                    (PreEscaped(drawing))
                    figcaption { (caption(summary)) }
                }
            }
        }
    })
}

/// The drawings say of themselves what they show; as pictures nothing in them can run.
pub(super) fn sections(evidence: &Evidence) -> Markup {
    html! {
        @if !evidence.sections.is_empty() {
            section #sections {
                h2 { (words("截面", "Sections")) }
                p.note { (words("黑线为设计，橙线为实物；截面内偏差按所注倍数放大。", "Black is the nominal, orange the actual; deviations in the plane are drawn out by the factor stated.")) }
                @for (name, svg) in &evidence.sections {
                    figure.section { img alt=(name) src=(format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg))); }
                }
            }
        }
    }
}

fn views(png: &[u8], layout: &Layout, summary: Option<&DeviationSummary>) -> Markup {
    let (width, height) = (f64::from(layout.width_px), f64::from(layout.height_px));
    html! {
        svg.views viewBox=(format!("0 0 {width} {}", height + STRIP)) role="img" aria-label="表面偏差 deviation of the surface" {
            image href=(format!("data:image/png;base64,{}", STANDARD.encode(png))) x="0" y="0" width=(at(width)) height=(at(height)) {}
            @for view in &layout.views { (axes_and_name(view)) }
            @for view in &layout.views { @for mark in &view.marks { (ring(mark)) } }
            @for label in summary.map(|s| labels(layout, s)).unwrap_or_default() { (label) }
            g transform=(format!("translate(0 {})", at(height))) {
                (scale_bar(layout))
                (colour_bar(layout, summary.and_then(|s| s.limits_mm)))
            }
        }
    }
}

/// A small tripod and the name of the view in the band at the foot of its cell.
fn axes_and_name(view: &ViewLayout) -> Markup {
    let length = 40.0;
    let (x, y) = (f64::from(view.x_px) + 74.0, f64::from(view.y_px + view.height_px) - 54.0);
    let axis = |a: usize| {
        let [right, up, toward] = view.axes[a];
        let (dx, dy) = (length * right, -length * up);
        let seen_on_end = right * right + up * up < 0.01;
        html! {
            @if seen_on_end {
                circle.axis cx=(at(x)) cy=(at(y)) r="7" {}
                @if toward > 0.0 { circle.axis-dot cx=(at(x)) cy=(at(y)) r="2.5" {} }
                @else { path.axis d=(format!("M{} {} l8 8 m0 -8 l-8 8", at(x - 4.0), at(y - 4.0))) {} }
                text.axis-name x=(at(x - 22.0)) y=(at(y + 26.0)) { (AXIS_NAMES[a]) }
            } @else {
                line.axis x1=(at(x)) y1=(at(y)) x2=(at(x + dx)) y2=(at(y + dy)) {}
                text.axis-name x=(at(x + 1.42 * dx)) y=(at(y + 1.42 * dy + 8.0)) { (AXIS_NAMES[a]) }
            }
        }
    };
    let name = words::term(&view.name);
    html! {
        g { @for a in 0..3 { (axis(a)) } }
        text.view-name x=(at(x + 76.0)) y=(at(y + 8.0)) {
            @match name {
                Some(n) => { (n.zh) tspan.en dx="10" { (n.en) } }
                None => { (view.name) }
            }
        }
    }
}

fn ring(mark: &MarkLayout) -> Markup {
    let (x, y) = (at(mark.x_px), at(mark.y_px));
    html! {
        circle.halo cx=(x) cy=(y) r="20" {}
        circle.ring cx=(x) cy=(y) r="20" {}
    }
}

/// Each mark's text, once, in the view that faces it most.
fn labels(layout: &Layout, summary: &DeviationSummary) -> Vec<Markup> {
    let mut best: Vec<(&ViewLayout, &MarkLayout)> = Vec::new();
    for (view, mark) in layout.views.iter().flat_map(|v| v.marks.iter().map(move |m| (v, m))) {
        match best.iter_mut().find(|(_, b)| b.label == mark.label) {
            Some(b) if b.1.facing < mark.facing => *b = (view, mark),
            Some(_) => {}
            None => best.push((view, mark)),
        }
    }
    let text = |mark: &MarkLayout| match summary.worst {
        Some(worst) if mark.label == WORST_MARK => format!("{} mm", micrometres(worst.value_mm)),
        _ => mark.label.clone(),
    };
    best.iter()
        .map(|(view, mark)| {
            let leftward = mark.x_px > f64::from(view.x_px) + 0.5 * f64::from(view.width_px);
            let (dx, anchor) = if leftward { (-28.0, "end") } else { (28.0, "start") };
            html! { text.mark x=(at(mark.x_px + dx)) y=(at(mark.y_px - 18.0)) text-anchor=(anchor) { (text(mark)) } }
        })
        .collect()
}

fn scale_bar(layout: &Layout) -> Markup {
    let (from, length) = (74.0, layout.scale_bar.length_px);
    html! {
        path.scale d=(format!("M{0} 60 v16 m0 -8 h{1} m0 -8 v16", at(from), at(length))) {}
        text.tick x=(at(from + 0.5 * length)) y="116" text-anchor="middle" { (number::plain(layout.scale_bar.length_mm)) " mm" }
    }
}

/// The colours with the ends of the range, 0 and the limits.
fn colour_bar(layout: &Layout, limits_mm: Option<[f64; 2]>) -> Markup {
    let width = f64::from(layout.width_px);
    let (from, to) = (0.33 * width, width - 420.0);
    let [low, high] = layout.range_mm;
    let x = |v: f64| from + (to - from) * ((v - low) / (high - low)).clamp(0.0, 1.0);
    let last = layout.colours.len().saturating_sub(1).max(1) as f64;
    let limits: Vec<f64> = limits_mm.into_iter().flatten().filter(|l| (low..=high).contains(l)).collect();
    let clear = |v: f64| limits.iter().all(|l| (x(*l) - x(v)).abs() > 96.0);
    let plain_ticks = [(low, "≤\u{202f}"), (0.0, ""), (high, "≥\u{202f}")];
    html! {
        defs { linearGradient id="deviation-colours" {
            @for (i, c) in layout.colours.iter().enumerate() { stop offset=(format!("{:.4}", i as f64 / last)) stop-color=(hex(*c)) {} }
        } }
        rect.colours x=(at(from)) y="46" width=(at(to - from)) height="34" fill="url(#deviation-colours)" {}
        @for (v, sign) in plain_ticks {
            @if clear(v) {
                line.tick x1=(at(x(v))) x2=(at(x(v))) y1="80" y2="90" {}
                text.tick x=(at(x(v))) y="116" text-anchor="middle" { (sign) (signed(v)) }
            }
        }
        @for (i, v) in limits.iter().enumerate() {
            line.limit x1=(at(x(*v))) x2=(at(x(*v))) y1="36" y2="90" {}
            text.tick.strong x=(at(x(*v))) y="116" text-anchor="middle" { (signed(*v)) }
            text.tick x=(at(x(*v))) y="146" text-anchor="middle" { @if i == 0 { "下限" } @else { "上限" } }
        }
        text.tick x=(at(to + 66.0)) y="72" { "mm" }
        rect.colours x=(at(to + 66.0)) y="92" width="34" height="26" fill=(hex(layout.unmeasured_colour)) {}
        text.tick x=(at(to + 110.0)) y="115" { "未测量 " tspan.en { "unmeasured" } }
    }
}

fn caption(summary: &DeviationSummary) -> Markup {
    html! {
        (words("偏差的面积分布", "Distribution of the deviation over the area."))
        @if let Some(worst) = summary.worst {
            " " (words("最大偏差", "Largest deviation"))
            " " b { (number::with_exact(&micrometres(worst.value_mm), worst.value_mm)) "\u{202f}mm" }
            " " (words("位于", "at")) " (" (worst.point_mm.map(|c| number::plain((c * 100.0).round() / 100.0)).join(", ")) ")\u{202f}mm."
        }
        @if summary.below > 0.0 || summary.above > 0.0 {
            " " (words("图外面积", "Area beyond the drawing:")) " " (number::per_cent(summary.below)) " / " (number::per_cent(summary.above)) "."
        }
        @if summary.unmeasured > 0.0 { " " (words("未测量面积", "Area not measured:")) " " (number::per_cent(summary.unmeasured)) "." }
    }
}

const DRAWING: (u32, u32) = (960, 270);

/// The histogram as SVG text, responsive and without a namespace declaration, as inline SVG needs none.
fn histogram(summary: &DeviationSummary) -> Result<String, ReportError> {
    let failed = |e: String| ReportError::Drawing { what: "histogram of the deviation", cause: e };
    let bins = summary.bin_edges_mm.windows(2).zip(&summary.area_fraction);
    let tallest = summary.area_fraction.iter().fold(0.0, |m: f64, &f| m.max(f)) * 100.0;
    let (low, high) = (summary.range_mm[0], summary.range_mm[1]);
    if !(tallest > 0.0 && low < high) {
        return Ok(String::new());
    }
    let mut drawing = String::new();
    {
        let area = SVGBackend::with_string(&mut drawing, DRAWING).into_drawing_area();
        let font = |size: i32| ("sans-serif", size).into_font().color(&RGBColor(72, 82, 92));
        let mut chart = ChartBuilder::on(&area)
            .margin_top(12)
            .margin_right(24)
            .x_label_area_size(56)
            .y_label_area_size(72)
            .build_cartesian_2d(low..high, 0.0..tallest * 1.12)
            .map_err(|e| failed(e.to_string()))?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(226, 230, 234))
            .axis_style(RGBColor(120, 130, 140))
            .label_style(font(17))
            .axis_desc_style(font(17))
            .x_desc("偏差 deviation / mm")
            .y_desc("面积 area / %")
            .x_labels(9)
            .y_labels(5)
            .x_label_formatter(&|v| signed(*v))
            .y_label_formatter(&|v| number::plain(*v))
            .draw()
            .map_err(|e| failed(e.to_string()))?;
        let outline = ShapeStyle::from(RGBColor(120, 130, 140)).stroke_width(1);
        for (edges, &fraction) in bins.filter(|(_, f)| **f > 0.0) {
            let [r, g, b] = colour::of(0.5 * (edges[0] + edges[1]), summary.range_mm);
            let corners = [(edges[0], 0.0), (edges[1], 100.0 * fraction)];
            let bar = [ShapeStyle::from(RGBColor(r, g, b)).filled(), outline].map(|style| Rectangle::new(corners, style));
            chart.draw_series(bar).map_err(|e| failed(e.to_string()))?;
        }
        let limits = summary.limits_mm.into_iter().flatten().filter(|l| (low..=high).contains(l));
        let line = |l: f64| PathElement::new(vec![(l, 0.0), (l, tallest * 1.12)], BLACK.stroke_width(2));
        chart.draw_series(limits.map(line)).map_err(|e| failed(e.to_string()))?;
        area.present().map_err(|e| failed(e.to_string()))?;
    }
    Ok(drawing.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1))
}

/// A deviation with its sign, to the micrometre.
fn micrometres(mm: f64) -> String {
    format!("{mm:+.3}").replace('-', "\u{2212}")
}

/// A deviation with its sign, short.
fn signed(mm: f64) -> String {
    let rounded = (mm * 1e4).round() / 1e4;
    if rounded > 0.0 { format!("+{}", number::plain(rounded)) } else { number::plain(rounded) }
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}
