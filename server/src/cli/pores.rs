//! `pores`: porosity of a volume or a mesh.

use std::path::PathBuf;

use verimetry_engine::measure::{self, Envelope};
use verimetry_engine::porosity::DEFAULT_CLOSING_MM;

use super::options::{Reading, Region, length};
use super::{Outcome, Session, measurement};
use crate::failure::Failure;

/// Measure the porosity of a part
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry pores ct/
  verimetry pores block.mha --envelope volume --json
  verimetry pores scan.nii.gz --envelope envelope.stl")]
pub(super) struct Args {
    /// CT volume or mesh of the part
    part: PathBuf,
    /// What the porosity is a fraction of: the part's closed hull (hull), the whole image (volume) or a closed mesh (its file)
    #[arg(long, value_name = "hull|volume|FILE", default_value = "hull")]
    envelope: String,
    /// Radius of the ball that closes the hull: what it cannot enter from outside belongs to the envelope, mm
    #[arg(long, value_name = "MM", default_value_t = DEFAULT_CLOSING_MM, value_parser = length)]
    closing: f64,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    region: Region,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let envelope = match args.envelope.as_str() {
        "hull" => Envelope::Hull { closing_mm: args.closing },
        "volume" => Envelope::Volume,
        file => Envelope::File(file.into()),
    };
    let rt = session.runtime()?;
    let measured = measure::pores(&args.reading.source(&args.part), &envelope, args.region.named(), &rt)?;
    session.finish(&rt);
    session.print(&measured, |paint| measurement::table(&measured, *paint))?;
    Ok(Outcome::Done)
}
