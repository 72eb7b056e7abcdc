//! `shrinkage`: scale per axis and surface offset.

use std::path::PathBuf;

use verimetry_engine::measure;

use super::options::{Align, Reading, Unit};
use super::{Outcome, Session, measurement};
use crate::failure::Failure;

/// Measure the scale of a built part per axis and its uniform surface offset
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry shrinkage design.stl scan.stl
  verimetry shrinkage design.stl ct/ --surface iso50 --json")]
pub(super) struct Args {
    /// Mesh of the design
    nominal: PathBuf,
    /// Mesh or CT volume of the built part
    actual: PathBuf,
    #[arg(long, value_enum, default_value_t = Align::BestFit, help = "How the actual shape is brought to the nominal")]
    align: Align,
    /// Unit of the nominal's coordinates [default: that of --unit]
    #[arg(long, value_enum)]
    nominal_unit: Option<Unit>,
    #[command(flatten)]
    reading: Reading,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let nominal = args.reading.nominal(&args.nominal, args.nominal_unit);
    let rt = session.runtime()?;
    let measured = measure::shrinkage(&nominal, &args.reading.source(&args.actual), args.align.into(), &rt)?;
    session.finish(&rt);
    session.print(&measured, |paint| measurement::table(&measured, *paint))?;
    Ok(Outcome::Done)
}
