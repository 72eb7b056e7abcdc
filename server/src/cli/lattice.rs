//! `lattice`: each designed strut against its as-built self.

use std::path::PathBuf;

use verimetry_engine::lattice::FaultLimits;
use verimetry_engine::measure::{self, Lattice};

use super::options::{Align, Reading, Region, Unit, length};
use super::{Outcome, Session, measurement};
use crate::failure::Failure;
use crate::staging::{Staged, differs_from_inputs};

/// Follow each designed strut of a lattice in the built part
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry lattice design.stl ct/
  verimetry lattice design.stl ct/ --struts struts.json --table struts.csv --map struts.ply
  verimetry lattice design.stl scan.ply --struts struts.json --thin 0.9 --gap 0.05 --json")]
pub(super) struct Args {
    /// Mesh of the design
    nominal: PathBuf,
    /// Mesh or CT volume of the built part
    actual: PathBuf,
    /// Designed struts in the nominal frame, mm: {"nodes": [[x, y, z], …], "struts": [[node, node, diameter], …]} [default: found in the nominal]
    #[arg(long, value_name = "FILE.json")]
    struts: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Align::BestFit, help = "How the actual shape is brought to the nominal")]
    align: Align,
    /// Order that states the datums of --align datum
    #[arg(long, value_name = "FILE", required_if_eq("align", "datum"))]
    datums: Option<PathBuf>,
    /// Share of its designed diameter below which a strut is thin
    #[arg(long, value_name = "RATIO", default_value_t = FaultLimits::default().thin, value_parser = length)]
    thin: f64,
    /// Length of a gap from which on a strut is broken, mm
    #[arg(long, value_name = "MM", default_value_t = FaultLimits::default().gap_mm, value_parser = length)]
    gap: f64,
    /// Displacement of a node that is told, in diameters of its struts
    #[arg(long, value_name = "RATIO", default_value_t = FaultLimits::default().node, value_parser = length)]
    node: f64,
    /// Write a row for each strut as comma-separated values
    #[arg(long, value_name = "FILE.csv")]
    table: Option<PathBuf>,
    /// Write the design as PLY with the deviation of each strut's diameter, the whole of it where the strut is missing or broken
    #[arg(long, value_name = "FILE.ply")]
    map: Option<PathBuf>,
    /// Unit of the nominal's coordinates [default: that of --unit]
    #[arg(long, value_enum)]
    nominal_unit: Option<Unit>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    region: Region,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let staged = |path: &Option<PathBuf>| -> Result<Option<Staged>, Failure> {
        let Some(path) = path else { return Ok(None) };
        let inputs = [Some(&args.nominal), Some(&args.actual), args.struts.as_ref()];
        differs_from_inputs(path, &inputs.into_iter().flatten().map(PathBuf::as_path).collect::<Vec<_>>())?;
        Staged::file(path).map(Some)
    };
    let (table, map) = (staged(&args.table)?, staged(&args.map)?);
    let mut nominal = args.reading.source(&args.nominal);
    if let Some(unit) = args.nominal_unit {
        nominal.unit = unit.into();
    }
    let written = |staged: &Option<Staged>| staged.as_ref().map(|s| s.path().to_path_buf());
    let job = Lattice {
        nominal,
        actual: args.reading.source(&args.actual),
        align: args.align.into(),
        datums: args.datums.as_deref(),
        struts: args.struts.clone(),
        limits: FaultLimits { thin: args.thin, gap_mm: args.gap, node: args.node },
        table: written(&table),
        map: written(&map),
        region: args.region.named(),
    };
    let rt = session.runtime()?;
    let measured = measure::lattice(&job, &rt)?;
    [table, map].into_iter().flatten().try_for_each(Staged::place)?;
    session.finish(&rt);
    session.print(&measured, |paint| {
        let mut text = measurement::table(&measured, *paint);
        for path in [&args.table, &args.map].into_iter().flatten() {
            text.push_str(&format!("\nWrote {}\n", path.display()));
        }
        text
    })?;
    Ok(Outcome::Done)
}
