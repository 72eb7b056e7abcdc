//! `segment`: CT volume to surface mesh.

use std::path::PathBuf;

use verimetry_engine::{load, measure};

use super::options::Reading;
use super::{Outcome, Session, measurement};
use crate::failure::Failure;
use crate::staging::{Staged, differs_from_inputs};

/// Turn a CT volume into a surface mesh
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry segment ct/ -o part.stl
  verimetry segment scan.mha -o part.ply --surface iso50 --components all --json")]
pub(super) struct Args {
    /// DICOM folder or volume file
    volume: PathBuf,
    /// Mesh to write; its ending chooses the format (.stl, .ply)
    #[arg(short, long, value_name = "MESH")]
    output: PathBuf,
    #[command(flatten)]
    reading: Reading,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    differs_from_inputs(&args.output, &[&args.volume])?;
    let mesh = Staged::file(&args.output)?;
    let as_ply = args.output.extension().is_some_and(|e| e.eq_ignore_ascii_case("ply"));
    let rt = session.runtime()?;
    let source = args.reading.source(&args.volume);
    let name = args.volume.file_name().map_or_else(|| "input".into(), |n| n.to_string_lossy());
    if let Some(need) = load::need(&name, &source, &rt) {
        session.note(&need);
    }
    let measured = measure::segment(&source, mesh.path(), as_ply, &rt)?;
    mesh.place()?;
    session.finish(&rt);
    session.print(&measured, |paint| measurement::table(&measured, *paint) + &measurement::wrote([&args.output]))?;
    Ok(Outcome::Done)
}
