//! `fit`: gap, contact and interference against anatomy or a mating device.

use std::path::PathBuf;

use clap::ValueEnum;
use verimetry_engine::case;

use super::options::{Reading, Region, Unit};
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
    /// Interference that still counts as contact, mm
    #[arg(long, value_name = "MM", default_value = "0", value_parser = not_negative)]
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

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("allowed is a length in mm, zero or more".into()),
    }
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let Seat::None = args.seat;
    let mut site = args.reading.source(&args.site);
    if let Some(unit) = args.site_unit {
        site.unit = unit.into();
    }
    let rt = session.runtime()?;
    let measured = case::fit(&args.reading.source(&args.device), &site, args.allow, args.region.named(), &rt)?;
    session.finish(&rt);
    session.print(&measured, |paint| measurement::table(&measured, *paint))?;
    Ok(Outcome::Done)
}
