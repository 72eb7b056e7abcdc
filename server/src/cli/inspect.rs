//! `inspect`: what a file or DICOM folder is.

use std::path::PathBuf;

use verimetry_engine::finding::{Finding, Severity};
use verimetry_engine::inspect::{CloudItem, Inspection, Item, MeshItem, VolumeItem, inspect};

use super::print::{Paint, Tone};
use super::{Outcome, Session};
use crate::failure::Failure;

/// Tell what files and DICOM folders are, and what would stop or qualify a judgement
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry inspect design.stl
  verimetry inspect ct/ scan.mha --json
  verimetry inspect ct#3             the series of number (or UID) 3 alone

Voxels without a header (scan.raw) take a sidecar beside them, scan.toml:
  dims = [512, 512, 300]             voxel_type = \"u16\"    endian = \"little\"
  spacing_mm = [0.05, 0.05, 0.05]    header_bytes = 0      slope = 1.0
Only spacing_mm is needed for TIFF (scan.toml, or voxels.toml in a folder of slices)")]
pub(super) struct Args {
    /// Meshes, volumes or DICOM folders
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let inspection = inspect(&args.files)?;
    let json = serde_json::to_value(&inspection).map_err(|e| Failure::defect(format_args!("the inspection is no JSON: {e}")))?;
    session.print(&json, |paint| human(&inspection, *paint))?;
    Ok(Outcome::Done)
}

fn human(inspection: &Inspection, paint: Paint) -> String {
    let mut text = String::new();
    for item in &inspection.items {
        let (title, lines) = match item {
            Item::Volume(volume) => (format!("{}  {} volume", volume.name, volume.format), volume_lines(volume)),
            Item::Mesh(mesh) => (format!("{}  {} mesh", mesh.name, mesh.format), mesh_lines(mesh)),
            Item::Cloud(cloud) => (format!("{}  {} point cloud", cloud.name, cloud.format), cloud_lines(cloud)),
        };
        let width = lines.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        text.push_str(&format!("{}\n", paint.text(Tone::Strong, &title)));
        lines.iter().for_each(|(label, value)| text.push_str(&format!("  {label:width$}  {value}\n")));
        text.push('\n');
    }
    text.push_str(&findings(&inspection.findings, paint));
    text
}

type Line = (String, String);

fn line(label: &str, value: impl Into<String>) -> Line {
    (label.into(), value.into())
}

fn volume_lines(v: &VolumeItem) -> Vec<Line> {
    let dims = v.dims.map(|n| n.to_string()).join(" x ");
    let mut lines = vec![line("voxels", format!("{dims} of {}", v.voxel_type))];
    let steps = v.spacing_mm.map(|s| s.map_or("not known".into(), |s| format!("{s:.6}")));
    lines.push(line("spacing", format!("{} mm", steps.join(" x "))));
    if let [Some(i), Some(j), Some(k)] = v.spacing_mm {
        let size = [i, j, k].iter().zip(v.dims).map(|(s, n)| format!("{:.3}", s * n as f64)).collect::<Vec<_>>();
        lines.push(line("size", format!("{} mm", size.join(" x "))));
    }
    if let Some(shear) = v.shear_degrees.filter(|s| *s > 0.005) {
        lines.push(line("shear", format!("{shear:.2} degrees")));
    }
    lines.push(line("values", format!("{} to {}", v.value_min, v.value_max)));
    lines.extend(v.modality.iter().map(|m| line("modality", m)));
    lines.extend(v.facts.iter().map(|(name, value)| fact(name, value)));
    lines.push(line("values sha256", &v.values_sha256));
    lines
}

fn mesh_lines(m: &MeshItem) -> Vec<Line> {
    let size = m.size_mm.map(|s| format!("{s:.3}")).join(" x ");
    let mut lines = vec![
        line("triangles", format!("{} on {} vertices", m.triangles, m.vertices)),
        line("closed", if m.closed { "yes" } else { "no" }),
        line("size", format!("{size} mm")),
        line("area", format!("{:.4} mm²", m.area_mm2)),
    ];
    lines.extend(m.volume_mm3.map(|v| line("volume", format!("{v:.4} mm³"))));
    if !m.fields.is_empty() {
        lines.push(line("fields", m.fields.join(", ")));
    }
    lines
}

fn cloud_lines(c: &CloudItem) -> Vec<Line> {
    let size = c.size_mm.map(|s| format!("{s:.3}")).join(" x ");
    let mut lines = vec![line("points", format!("{} about {:.4} mm apart", c.points, c.spacing_mm)), line("size", format!("{size} mm"))];
    if !c.fields.is_empty() {
        lines.push(line("fields", c.fields.join(", ")));
    }
    lines
}

/// A fact for people: words instead of a key, its unit behind the value.
fn fact(name: &str, value: &str) -> Line {
    const UNITS: [(&str, &str); 6] = [("_mm", "mm"), ("_mas", "mAs"), ("_ma", "mA"), ("_ms", "ms"), ("_degrees", "degrees"), ("kvp", "kV")];
    let unit = UNITS.iter().find(|(end, _)| name.ends_with(end));
    let stem = match unit {
        Some((end, _)) if end.starts_with('_') => name.strip_suffix(end).unwrap_or(name),
        _ => name,
    };
    line(&stem.replace('_', " "), unit.map_or(value.into(), |(_, unit)| format!("{value} {unit}")))
}

/// Findings by severity, each under its code with the clause; the message ends with the remedy.
fn findings(findings: &[Finding], paint: Paint) -> String {
    if findings.is_empty() {
        return "nothing found that would stop or qualify a judgement\n".into();
    }
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|f| std::cmp::Reverse(f.severity));
    let width = sorted.iter().map(|f| f.code.len()).max().unwrap_or(0);
    let mut text = format!("{}\n", paint.text(Tone::Strong, "Findings"));
    for f in sorted {
        let (word, tone) = match f.severity {
            Severity::Stop => ("stop   ", Tone::Bad),
            Severity::Qualify => ("qualify", Tone::Doubtful),
            Severity::Note => ("note   ", Tone::Plain),
        };
        let clause = f.clause.as_deref().map_or(String::new(), |c| format!("clause {c}  "));
        let head = format!("  {}  {:width$}  {clause}{}", paint.text(tone, word), f.code, f.input.as_deref().unwrap_or_default());
        text.push_str(&format!("{}\n           {}\n", head.trim_end(), f.message));
    }
    text
}
