//! `inspect`: what a file or DICOM folder is.

use std::path::PathBuf;

use super::{Outcome, Session};
use crate::failure::Failure;

/// Tell what files and DICOM folders are, and what would stop or qualify a judgement
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry inspect design.stl
  verimetry inspect ct/ scan.mha --json")]
pub(super) struct Args {
    /// Meshes, volumes or DICOM folders
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let _ = (args, session);
    Err(Failure::defect("not built"))
}
