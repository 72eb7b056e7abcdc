//! `inspect`: what a file or DICOM folder is.

use std::path::PathBuf;

use verimetry_engine::inspect::{Inspection, Item, inspect};

use super::print::{Paint, Tone, fields, findings};
use super::{Outcome, Session};
use crate::failure::Failure;

/// Tell what files and DICOM folders are, and what would stop or qualify a judgement
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry inspect design.stl
  verimetry inspect ct/ scan.mha --json")]
pub(super) struct Args {
    /// Meshes, volumes or DICOM folders
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let inspection = inspect(&args.files)?;
    let json = serde_json::to_value(&inspection).map_err(|e| Failure::defect(format_args!("the inspection is no JSON: {e}")))?;
    session.print(&json, |paint| human(&inspection, &json, *paint))?;
    Ok(Outcome::Done)
}

fn human(inspection: &Inspection, json: &serde_json::Value, paint: Paint) -> String {
    let mut text = String::new();
    for (item, shown) in inspection.items.iter().zip(json["items"].as_array().into_iter().flatten()) {
        let name = match item {
            Item::Volume(volume) => &volume.name,
            Item::Mesh(mesh) => &mesh.name,
        };
        text.push_str(&format!("{}\n{}\n", paint.text(Tone::Strong, name), fields(shown)));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text.push_str(&findings(&inspection.findings, paint));
    text
}
