//! `dimension`: fitted features, sizes and form.

use std::path::PathBuf;

use verimetry_engine::measure;
use verimetry_engine::quantities::DEFAULT_PATCH_MM;

use super::options::{Reading, length};
use super::{Outcome, Session, measurement};
use crate::failure::Failure;

/// Fit features to a part and measure their sizes, form and orientation
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry dimension scan.stl features.toml
  verimetry dimension ct/ order.toml --json

FEATURES holds the [[feature]] and [[region]] tables of an order, or is an order:
  [[region]]
  name = \"hole\"
  shape = { cylinder = { from = [0, 0, 1], to = [0, 0, 9], radius = 3 } }
  [[feature]]
  name = \"screw_hole\"
  fit = \"cylinder\"
  region = \"hole\"")]
pub(super) struct Args {
    /// Mesh or CT volume of the part
    mesh: PathBuf,
    /// The [[feature]] tables: an order, or a file of its tables
    features: PathBuf,
    /// Radius of the surface patch over which form is averaged, mm
    #[arg(long, value_name = "MM", default_value_t = DEFAULT_PATCH_MM, value_parser = length)]
    patch: f64,
    #[command(flatten)]
    reading: Reading,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let rt = session.runtime()?;
    let measured = measure::dimension(&args.reading.source(&args.mesh), &args.features, args.patch, &rt)?;
    session.finish(&rt);
    session.print(&measured, |paint| measurement::table(&measured, *paint))?;
    Ok(Outcome::Done)
}
