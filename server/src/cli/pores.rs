//! `pores`: porosity, pore sizes, throats, walls, structure and voids of a volume or a mesh.

use std::path::PathBuf;

use verimetry_engine::measure::{self, Envelope, Pores};
use verimetry_engine::pores::{BorderRule, Counted, EnvelopeRecord, NEAR_SURFACE, PoreSummary, Sensitivity, ShapeCount, UnresolvedGrey};
use verimetry_engine::porosity::DEFAULT_CLOSING_MM;

use super::options::{Reading, Region, length, limits};
use super::print::significant;
use super::{Outcome, Session, measurement};
use crate::failure::Failure;
use crate::report::pore_plot;
use crate::staging::Staged;

/// Measure porosity, pore sizes, throats, walls, structure and closed voids of a part
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry pores ct/
  verimetry pores block.mha --envelope volume --json
  verimetry pores scan.nii.gz --envelope envelope.stl --range 0.3,0.8 --sphere 0.3
  verimetry pores ct/ --table pores.csv --plot pores.svg")]
pub(super) struct Args {
    /// CT volume or mesh of the part
    part: PathBuf,
    /// What the porosity is a fraction of: the part's closed hull (hull), the whole image (volume) or a closed mesh (its file)
    #[arg(long, value_name = "hull|volume|FILE", default_value = "hull")]
    envelope: String,
    /// Radius of the ball that closes the hull: what it cannot enter from outside belongs to the envelope, mm
    #[arg(long, value_name = "MM", default_value_t = DEFAULT_CLOSING_MM, value_parser = length)]
    closing: f64,
    /// Local pore diameters that pore.in_range counts, mm
    #[arg(long, value_name = "LO,HI", value_parser = limits)]
    range: Option<[f64; 2]>,
    /// Diameter of the sphere of pore.accessible, mm
    #[arg(long, value_name = "MM", value_parser = length)]
    sphere: Option<f64>,
    /// Write a row for each closed and each open pore as comma-separated values
    #[arg(long, value_name = "FILE.csv")]
    table: Option<PathBuf>,
    /// Draw the distribution of pore sizes and the accessible volume
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Measure sizes on cells of this edge, mm [default: the voxels', or a 400th of the part's diagonal where that is more]
    #[arg(long, value_name = "MM", value_parser = length)]
    cell: Option<f64>,
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
    let inputs = [args.part.as_path()];
    let (table, plot) = (Staged::asked(args.table.as_deref(), &inputs)?, Staged::asked(args.plot.as_deref(), &inputs)?);
    let job = Pores {
        part: args.reading.source(&args.part),
        envelope,
        range_mm: args.range,
        sphere_mm: args.sphere,
        table: table.as_ref().map(|t| t.path().to_path_buf()),
        curve: plot.is_some(),
        cell_mm: args.cell,
        region: args.region.named(),
    };
    let rt = session.runtime()?;
    let measured = measure::pores(&job, &rt)?;
    if let Some(table) = table {
        table.place()?;
    }
    if let Some((plot, summary)) = plot.zip(measured.pores.as_ref()) {
        let drawing = pore_plot(summary).map_err(verimetry_engine::Error::from)?;
        std::fs::write(plot.path(), drawing).map_err(|e| Failure::unwritable(plot.path(), &e))?;
        plot.place()?;
    }
    session.finish(&rt);
    session.print(&measured, |paint| {
        let mut text = measurement::table(&measured, *paint);
        if let Some(summary) = &measured.pores {
            text.push_str(&beside(summary));
        }
        let plot = args.plot.iter().filter(|_| measured.pores.is_some());
        text + &measurement::wrote(args.table.iter().chain(plot))
    })?;
    Ok(Outcome::Done)
}

/// The border rule both ways, and what the threshold does.
fn beside(summary: &PoreSummary) -> String {
    let BorderRule { kept, dropped } = &summary.border;
    let counted = |c: &Counted| format!("{} of {} mm³, the largest {} mm³", c.voids, significant(c.volume_mm3), significant(c.largest_mm3));
    let EnvelopeRecord { kind, closing_mm, volume_mm3 } = &summary.envelope;
    let closed = closing_mm.map_or(String::new(), |radius| format!(", closed by a ball of {radius} mm"));
    let mut text = format!(
        "  envelope: {kind}{closed}, {} mm³\n  sizes on cells of {} mm; voids count from balls of {} mm on\n",
        significant(*volume_mm3),
        significant(summary.cell_mm),
        significant(summary.least_void_mm())
    );
    if kept.voids > 0 {
        text += &format!("  closed voids, those that the envelope cuts kept: {}; dropped: {}\n", counted(kept), counted(dropped));
    }
    for count in summary.shapes.iter().filter(|s| s.voids > 0) {
        let ShapeCount { shape, definition, voids, volume_mm3, near_surface, .. } = count;
        let name = shape.name();
        let volume = significant(*volume_mm3);
        text += &format!("  {name} voids ({definition}): {voids} of {volume} mm³, {near_surface} of them {NEAR_SURFACE}\n");
    }
    let Sensitivity { per_micrometre, per_percent_of_contrast } = summary.sensitivity;
    text += &format!("  porosity.total falls by {per_micrometre:.5} for a surface 1 µm further out");
    if let Some(change) = per_percent_of_contrast {
        text += &format!(", by {change:.5} for a threshold lower by 1 % of the contrast");
    }
    text += "\n";
    if let Some(UnresolvedGrey { share, total_as_solid, total_as_pores }) = summary.unresolved.filter(|grey| grey.share > 0.0) {
        text += &format!(
            "  neither air nor material: {share:.2e} of the envelope; porosity.total with it as solid {total_as_solid:.4}, as pores {total_as_pores:.4}\n"
        );
    }
    text
}
