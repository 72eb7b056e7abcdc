//! `segment`: CT volume to surface mesh.

use std::path::PathBuf;

use verimetry_engine::case;

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
    let rt = session.runtime()?;
    let measured = case::segment(&args.reading.source(&args.volume), mesh.path(), &rt)?;
    mesh.place()?;
    session.finish(&rt);
    session.print(&measured, |paint| format!("{}\nWrote {}\n", measurement::table(&measured, *paint), args.output.display()))?;
    Ok(Outcome::Done)
}
