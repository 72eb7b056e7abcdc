//! `compare`: alignment and deviation of two shapes.

use std::path::PathBuf;

use verimetry_engine::measure::{self, Compare};
use verimetry_engine::quantities::DEFAULT_PATCH_MM;
use verimetry_engine::section::Plane;

use super::options::{Alignment, Reading, Region, Unit, length, limits, plane};
use super::{Outcome, Session, measurement};
use crate::failure::Failure;
use crate::staging::Staged;

/// Align an actual shape to its nominal and measure the deviation
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry compare design.stl scan.ply
  verimetry compare design.stl ct/ --tolerance -0.1,0.1 --map deviation.ply
  verimetry compare design.stl cloud.ply --map deviation.glb
  verimetry compare design.stl scan.ply --section z=5.5 --section 1,1,0=10 --sections sections
  verimetry compare design.stl scan.stl --align datum --datums order.toml
  verimetry compare design.stl scan.stl --order order.toml --region endplate --json")]
pub(super) struct Args {
    /// Mesh of the design
    nominal: PathBuf,
    /// Mesh, point cloud (PLY without faces) or CT volume of the built part
    actual: PathBuf,
    #[command(flatten)]
    alignment: Alignment,
    /// Limits within which deviation.in_tolerance counts area, mm
    #[arg(long, value_name = "LO,HI", value_parser = limits, allow_hyphen_values = true)]
    tolerance: Option<[f64; 2]>,
    /// Radius of the surface patch of deviation.peak_min and peak_max, mm
    #[arg(long, value_name = "MM", default_value_t = DEFAULT_PATCH_MM, value_parser = length)]
    patch: f64,
    /// Write the signed deviation at every vertex of the actual surface: numbers as PLY, or colours for viewers as GLB
    #[arg(long, value_name = "FILE.ply|FILE.glb")]
    map: Option<PathBuf>,
    /// Plane of a section in the nominal frame: x=MM, y=MM, z=MM, or a normal and the distance along it, NX,NY,NZ=MM
    #[arg(long, value_name = "PLANE", value_parser = plane, requires = "sections", allow_hyphen_values = true)]
    section: Vec<(String, Plane)>,
    /// New folder for a drawing (SVG) and a table (CSV) of each section
    #[arg(long, value_name = "FOLDER", requires = "section")]
    sections: Option<PathBuf>,
    /// Unit of the nominal's coordinates [default: that of --unit]
    #[arg(long, value_enum)]
    nominal_unit: Option<Unit>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    region: Region,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let map = Staged::asked(args.map.as_deref(), &[&args.nominal, &args.actual])?;
    let sections = args.sections.as_deref().map(Staged::folder).transpose()?;
    let job = Compare {
        nominal: args.reading.nominal(&args.nominal, args.nominal_unit),
        actual: args.reading.source(&args.actual),
        align: args.alignment.align.into(),
        datums: args.alignment.datums.as_deref(),
        tolerance: args.tolerance,
        patch_mm: args.patch,
        map: map.as_ref().map(|m| m.path().to_path_buf()),
        sections: sections.as_ref().map(|s| (s.path().to_path_buf(), args.section.clone())),
        region: args.region.named(),
    };
    let rt = session.runtime()?;
    let measured = measure::compare(&job, &rt)?;
    for output in [map, sections].into_iter().flatten() {
        output.place()?;
    }
    session.finish(&rt);
    session.print(&measured, |paint| {
        measurement::table(&measured, *paint) + &measurement::wrote([&args.map, &args.sections].into_iter().flatten())
    })?;
    Ok(Outcome::Done)
}
