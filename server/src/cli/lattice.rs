//! `lattice`: each designed strut or wall against its as-built self.

use std::path::{Path, PathBuf};

use verimetry_engine::lattice::FaultLimits;
use verimetry_engine::measure::{self, Lattice, LatticeTables};

use super::options::{Alignment, Reading, Region, Unit, length};
use super::{Outcome, Session, measurement};
use crate::failure::Failure;
use crate::staging::Staged;

/// Follow each designed strut or wall of a lattice in the built part
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry lattice design.stl ct/
  verimetry lattice design.stl ct/ --struts struts.json --table struts.csv --map struts.ply
  verimetry lattice design.stl ct/ --sections sections.csv --nodes nodes.csv --residue residue.csv
  verimetry lattice design.stl scan.ply --struts struts.json --thin 0.9 --gap 0.05 --json")]
pub(super) struct Args {
    /// Mesh of the design
    nominal: PathBuf,
    /// Mesh or CT volume of the built part
    actual: PathBuf,
    /// Designed struts in the nominal frame, mm: {"nodes": [[x, y, z], …], "struts": [[node, node, diameter], …]} [default: struts or walls are found in the nominal]
    #[arg(long, value_name = "FILE.json")]
    struts: Option<PathBuf>,
    #[command(flatten)]
    alignment: Alignment,
    /// Share of its designed diameter or thickness below which a strut or a cell's walls are thin
    #[arg(long, value_name = "RATIO", default_value_t = FaultLimits::default().thin, value_parser = length)]
    thin: f64,
    /// Length of a gap or width of a hole from which on a strut or a wall is broken, mm
    #[arg(long, value_name = "MM", default_value_t = FaultLimits::default().gap_mm, value_parser = length)]
    gap: f64,
    /// Displacement of a node that is told, in diameters of its struts
    #[arg(long, value_name = "RATIO", default_value_t = FaultLimits::default().node, value_parser = length)]
    node: f64,
    /// Write a row for each strut, or each cell of a sheet lattice, as comma-separated values
    #[arg(long, value_name = "FILE.csv")]
    table: Option<PathBuf>,
    /// Write a row for each section along each strut: place, diameter, inscribed and circumscribed circle, axis ratio
    #[arg(long, value_name = "FILE.csv")]
    sections: Option<PathBuf>,
    /// Write a row for each node: designed and built place, offset, struts
    #[arg(long, value_name = "FILE.csv")]
    nodes: Option<PathBuf>,
    /// Write a row for each body of material away from the design and for each window between struts, with its free diameter
    #[arg(long, value_name = "FILE.csv")]
    residue: Option<PathBuf>,
    /// Write the design as PLY with the deviation of each strut's diameter or wall's thickness, the whole of it where there is a gap
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
    let inputs: Vec<&Path> =
        [Some(&args.nominal), Some(&args.actual), args.struts.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
    let outputs = [&args.table, &args.sections, &args.nodes, &args.residue, &args.map];
    if let Some(twice) = (1..outputs.len()).find(|&n| outputs[n].is_some() && outputs[..n].contains(&outputs[n])) {
        let name = outputs[twice].as_deref().unwrap_or(Path::new("")).display();
        return Err(Failure::usage("out.twice", format_args!("{name} is named for two outputs; name another file")));
    }
    let mut staged = vec![];
    for target in outputs {
        staged.push(Staged::asked(target.as_deref(), &inputs)?);
    }
    let [parts, sections, nodes, residue, map] = [0, 1, 2, 3, 4].map(|n| staged[n].as_ref().map(|s: &Staged| s.path().to_path_buf()));
    let job = Lattice {
        nominal: args.reading.nominal(&args.nominal, args.nominal_unit),
        actual: args.reading.source(&args.actual),
        align: args.alignment.align.into(),
        datums: args.alignment.datums.as_deref(),
        struts: args.struts.clone(),
        limits: FaultLimits { thin: args.thin, gap_mm: args.gap, node: args.node },
        tables: LatticeTables { parts, sections, nodes, residue },
        map,
        region: args.region.named(),
    };
    let rt = session.runtime()?;
    let measured = measure::lattice(&job, &rt)?;
    staged.into_iter().flatten().try_for_each(Staged::place)?;
    session.finish(&rt);
    session.print(&measured, |paint| measurement::table(&measured, *paint) + &measurement::wrote(outputs.into_iter().flatten()))?;
    Ok(Outcome::Done)
}
