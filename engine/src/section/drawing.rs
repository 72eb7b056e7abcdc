//! The drawing of a compared section: nominal line, actual line, and whiskers from the nominal to where the actual lies, drawn out by a stated factor.
//! A grey band of ±U, drawn out alike, lies behind them: a whisker that stays inside may be none. Where the nominal line is farther than the colours
//! reach (one of the surfaces misses the plane there, or only grazes it), a dot stands in place of a whisker that would cross the drawing.

use std::fmt::Write as _;

use super::{Compared, Place, Section};
use crate::evidence::display_range_mm;
use crate::render::{colour, round_length};

/// Drawing area and strip below it, in units of the drawing.
const WIDTH: f64 = 1200.0;
const MOST_HEIGHT: f64 = 1200.0;
const MARGIN: f64 = 70.0;
const STRIP: f64 = 176.0;
const COLOURS: usize = 32;

/// Where coordinates of the plane (mm) lie on the drawing.
struct Sheet {
    low: [f64; 2],
    high: [f64; 2],
    per_mm: f64,
}

impl Sheet {
    fn of(section: &Compared) -> Sheet {
        let extents = [&section.nominal, &section.actual].map(|s| s.extent(&section.plane));
        let joined =
            extents.into_iter().flatten().reduce(|[a, b], [c, d]| [[a[0].min(c[0]), a[1].min(c[1])], [b[0].max(d[0]), b[1].max(d[1])]]);
        let [low, high] = joined.unwrap_or([[-1.0; 2], [1.0; 2]]);
        let fits = |room: f64, axis: usize| (room - 2.0 * MARGIN) / (high[axis] - low[axis]).max(1e-9);
        Sheet { low, high, per_mm: fits(WIDTH, 0).min(fits(MOST_HEIGHT, 1)) }
    }

    fn height(&self) -> f64 {
        (self.high[1] - self.low[1]) * self.per_mm + 2.0 * MARGIN
    }

    fn at(&self, [right, up]: [f64; 2]) -> [f64; 2] {
        let spare = 0.5 * (WIDTH - 2.0 * MARGIN - (self.high[0] - self.low[0]) * self.per_mm);
        [MARGIN + spare + (right - self.low[0]) * self.per_mm, MARGIN + (self.high[1] - up) * self.per_mm]
    }
}

/// The drawing as SVG. `limits_mm` widens the range of colours to hold the limits.
pub fn svg(section: &Compared, limits_mm: Option<[f64; 2]>) -> String {
    let (sheet, deviations) = (Sheet::of(section), section.deviations_mm());
    let range = display_range_mm(&deviations, limits_mm);
    // The longest whisker of the range takes most of the margin.
    let factor = round_length((0.9 * MARGIN / sheet.per_mm / range[1]).max(1.0));
    let height = sheet.height();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.1}\" font-family=\"sans-serif\" font-size=\"17\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        height + STRIP
    );
    whiskers(&mut text, section, &sheet, range, factor);
    line(&mut text, section, &section.nominal, &sheet, "#222\" stroke-width=\"1.6");
    line(&mut text, section, &section.actual, &sheet, "#c2410c\" stroke-width=\"1.1");
    strip(&mut text, section, &sheet, range, factor);
    text.push_str("</svg>\n");
    text
}

fn line(text: &mut String, section: &Compared, of: &Section, sheet: &Sheet, stroke: &str) {
    let mut path = String::new();
    for contour in &of.contours {
        for (i, p) in contour.points.iter().enumerate() {
            let [x, y] = sheet.at(section.plane.seen(p));
            let _ = write!(path, "{}{x:.2} {y:.2}", if i == 0 { "M" } else { "L" });
        }
        path.push_str(if contour.closed { "Z" } else { "" });
    }
    let _ = writeln!(text, "<path fill=\"none\" stroke=\"{stroke}\" stroke-linejoin=\"round\" d=\"{path}\"/>");
}

fn whiskers(text: &mut String, section: &Compared, sheet: &Sheet, range: [f64; 2], factor: f64) {
    let drawn = |place: &Place, by: f64| sheet.at(section.plane.seen(&(place.nominal + (place.at - place.nominal) * by)));
    text.push_str("<g stroke-width=\"3\" stroke=\"#dcdce0\">\n");
    for place in &section.places {
        let (Some(u), far) = (place.u_mm, (place.at - place.nominal).norm()) else { continue };
        if far > 0.0 && !is_far(place, range) {
            // No farther than the longest whisker goes.
            let reach = (2.0 * u).min(range[1]) * factor / far;
            let ([x, y], [u, v]) = (drawn(place, -reach), drawn(place, reach));
            let _ = writeln!(text, "<path d=\"M{x:.2} {y:.2}L{u:.2} {v:.2}\"/>");
        }
    }
    text.push_str("</g>\n<g stroke-width=\"2\">\n");
    for place in &section.places {
        let Some(deviation) = place.deviation_mm else { continue };
        if is_far(place, range) {
            let [x, y] = drawn(place, 1.0);
            let _ = writeln!(
                text,
                "<circle stroke=\"none\" fill=\"{}\" cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"2.5\"/>",
                hex(colour::of(deviation, range))
            );
            continue;
        }
        let ([x, y], [u, v]) = (drawn(place, 0.0), drawn(place, factor));
        let _ = writeln!(text, "<path stroke=\"{}\" d=\"M{x:.2} {y:.2}L{u:.2} {v:.2}\"/>", hex(colour::of(deviation, range)));
    }
    text.push_str("</g>\n");
}

/// Farther from the nominal line than the colours reach.
fn is_far(place: &Place, range: [f64; 2]) -> bool {
    place.deviation_mm.is_some_and(|d| d > range[1] || d < range[0])
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Scale bar, colours and what the lines are.
fn strip(text: &mut String, section: &Compared, sheet: &Sheet, range: [f64; 2], factor: f64) {
    let (top, plane) = (sheet.height() + 10.0, &section.plane);
    let bar_mm = round_length(0.25 * WIDTH / sheet.per_mm);
    let _ = writeln!(
        text,
        "<path stroke=\"#222\" stroke-width=\"3\" d=\"M{MARGIN} {top:.1}h{:.2}\"/><text x=\"{MARGIN}\" y=\"{:.1}\">{bar_mm} mm</text>",
        bar_mm * sheet.per_mm,
        top + 22.0
    );
    let (left, wide) = (0.55 * WIDTH, 0.4 * WIDTH / COLOURS as f64);
    for i in 0..COLOURS {
        let value = range[0] + (range[1] - range[0]) * (i as f64 + 0.5) / COLOURS as f64;
        let x = left + wide * i as f64;
        let _ = write!(
            text,
            "<rect x=\"{x:.2}\" y=\"{:.1}\" width=\"{:.2}\" height=\"14\" fill=\"{}\"/>",
            top - 7.0,
            wide + 0.3,
            hex(colour::of(value, range))
        );
    }
    let ends = [(left, "start", range[0]), (left + 0.2 * WIDTH, "middle", 0.0), (left + 0.4 * WIDTH, "end", range[1])];
    for (x, anchor, value) in ends {
        let _ = write!(text, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{value} mm</text>", top + 26.0);
    }
    let of = |section: &Section| match section.area_mm2(plane) {
        Some(area) => format!("{area:.3} mm², perimeter {:.3} mm", section.perimeter_mm()),
        None if section.contours.is_empty() => "does not reach the plane".into(),
        None => format!("open, perimeter {:.3} mm", section.perimeter_mm()),
    };
    let (n, at) = (plane.normal, plane.at);
    let place = format!("through ({}, {}, {}) mm, normal ({:.4}, {:.4}, {:.4})", at.x, at.y, at.z, n.x, n.y, n.z);
    let sure = match section.expanded_mm() {
        Some([median, largest]) => format!("U of a deviation (grey, × {factor}): median {median:.4} mm, largest {largest:.4} mm"),
        None => "U of the deviations is not known".into(),
    };
    let (far, known) = (section.places.iter().filter(|p| is_far(p, range)).count(), section.deviations_mm().len());
    let dots = if far > 0 { format!("; dots: {far} of {known} places off by more than {} mm", range[1]) } else { String::new() };
    let lines = [
        ("#222", format!("{}: {place}; deviation in the plane, whiskers × {factor}{dots}", escaped(&section.name))),
        ("#222", sure),
        ("#222", format!("nominal: {}", of(&section.nominal))),
        ("#c2410c", format!("actual: {}", of(&section.actual))),
    ];
    for (i, (fill, said)) in lines.iter().enumerate() {
        let _ = writeln!(text, "<text x=\"{MARGIN}\" y=\"{:.1}\" fill=\"{fill}\">{said}</text>", top + 60.0 + 26.0 * i as f64);
    }
}

fn escaped(name: &str) -> String {
    name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
