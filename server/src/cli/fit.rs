//! `fit`: gap, contact and interference against anatomy or a mating device.

use std::path::PathBuf;

use clap::ValueEnum;
use verimetry_engine::measure;
use verimetry_engine::quantities::DEFAULT_CONTACT_MM;

use super::options::{Reading, Region, Unit, length};
use super::{Outcome, Session, measurement};
use crate::failure::Failure;

/// Measure gap, contact and interference of a device against its site
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry fit device.stl vertebra.stl
  verimetry fit device.stl vertebra.stl --allow 0.05 --json")]
pub(super) struct Args {
    /// Mesh or CT volume of the device
    device: PathBuf,
    /// Mesh of the anatomy or the mating device
    site: PathBuf,
    /// How the device is brought to its site; in this version only as placed (none)
    #[arg(long, value_enum, default_value_t = Seat::None)]
    seat: Seat,
    /// Gap or interference up to which surfaces count as touching, mm
    #[arg(long, value_name = "MM", default_value_t = DEFAULT_CONTACT_MM, value_parser = length)]
    allow: f64,
    /// Unit of the site's coordinates [default: that of --unit]
    #[arg(long, value_enum)]
    site_unit: Option<Unit>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    region: Region,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Seat {
    None,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let Seat::None = args.seat;
    let mut site = args.reading.source(&args.site);
    if let Some(unit) = args.site_unit {
        site.unit = unit.into();
    }
    let rt = session.runtime()?;
    let measured = measure::fit(&args.reading.source(&args.device), &site, args.allow, args.region.named(), &rt)?;
    session.finish(&rt);
    session.print(&measured, |paint| measurement::table(&measured, *paint))?;
    Ok(Outcome::Done)
}
