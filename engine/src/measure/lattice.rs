//! `lattice`: a lattice followed, with what is written of it.

use std::path::{Path, PathBuf};

use super::{Measurement, RegionRef, Session, name, resolve, scope, with_all, written};
use crate::case::{Case, Nominal};
use crate::error::Error;
use crate::health;
use crate::io;
use crate::judge::DatumsOfOrder;
use crate::lattice::{self, AsBuilt, FaultLimits, Table};
use crate::load::{self, Source};
use crate::order::AlignmentMethod;
use crate::region::Region;
use crate::runtime::Runtime;

/// `lattice NOMINAL ACTUAL`.
pub struct Lattice<'a> {
    pub nominal: Source,
    pub actual: Source,
    pub align: AlignmentMethod,
    /// Order whose datums align, for the method `datum`.
    pub datums: Option<&'a Path>,
    /// List of the designed struts; without one struts or walls are found in the nominal.
    pub struts: Option<PathBuf>,
    pub limits: FaultLimits,
    pub tables: LatticeTables,
    /// Receives the nominal as PLY with the deviation of each strut's diameter, or of the walls' thickness, at its vertices.
    pub map: Option<PathBuf>,
    pub region: Option<RegionRef<'a>>,
}

/// Files of comma-separated values (see [`lattice::Table`]); with a region they hold what lies in it.
#[derive(Clone, Debug, Default)]
pub struct LatticeTables {
    /// Receives a row for each strut, or each cell of a sheet lattice.
    pub parts: Option<PathBuf>,
    /// Receives a row for each section along each strut.
    pub sections: Option<PathBuf>,
    pub nodes: Option<PathBuf>,
    /// Receives a row for each body of material away from the design and for each window.
    pub residue: Option<PathBuf>,
}

impl<'a> Lattice<'a> {
    /// The whole of a lattice found in its nominal, best fit, written nowhere.
    pub fn new(nominal: Source, actual: Source) -> Lattice<'a> {
        let (align, limits, tables) = (AlignmentMethod::BestFit, FaultLimits::default(), LatticeTables::default());
        Lattice { nominal, actual, align, datums: None, struts: None, limits, tables, map: None, region: None }
    }

    fn writes(&self) -> bool {
        let LatticeTables { parts, sections, nodes, residue } = &self.tables;
        [parts, sections, nodes, residue, &self.map].into_iter().any(Option::is_some)
    }
}

pub fn lattice(job: &Lattice, rt: &Runtime) -> Result<Measurement, Error> {
    let limits = job.limits.checked()?;
    let mut session = Session::new(rt);
    let region = resolve(job.region)?;
    let struts = match &job.struts {
        Some(path) => Some(session.keep(load::struts(&name(path), path)?)),
        None => None,
    };
    let nominal = Nominal::new(session.mesh("nominal", &job.nominal)?, None);
    let part = session.part(&with_all(&job.actual))?;
    session.findings.extend(health::unit_plausibility(&part.mesh, &nominal.mesh));
    let datums = job.datums.map(DatumsOfOrder::read).transpose()?;
    let mut case = Case::new(rt, Some(nominal), Some(part), None)
        .aligned_by(job.align, None)
        .with_struts(struts, limits)
        .keeping_slices(job.tables.sections.is_some());
    if let Some(datums) = &datums {
        case = datums.locate(case);
    }
    let scope = scope(&region, job.region);
    session.findings.extend(case.lattice_findings(scope.region)?);
    if job.writes() {
        write_lattice(job, &case, region.as_ref())?;
    }
    let of_walls = case.struts_cannot_carry()?.is_none() && matches!(case.lattice()?, AsBuilt::Walls(_));
    let groups: &[&str] = if of_walls { &["lattice.", "wall."] } else { &["lattice."] };
    session.measure(&case, groups, &scope)
}

/// The tables and the map that were asked for.
fn write_lattice(job: &Lattice, case: &Case, region: Option<&Region>) -> Result<(), Error> {
    if let Some(reason) = case.struts_cannot_carry()? {
        return Err(Error::input("lattice.pose", format!("struts have neither table nor map: {reason}")));
    }
    let (as_built, tables) = (case.lattice()?, &job.tables);
    let followed = match as_built {
        AsBuilt::Struts(followed) => Some(followed),
        AsBuilt::Walls(_) if tables.sections.is_some() || tables.nodes.is_some() => {
            let message = "the design is a sheet lattice, which has neither struts nor nodes: ask for the table of its cells or of residue";
            return Err(Error::input("lattice.no_struts", message));
        }
        AsBuilt::Walls(_) => None,
    };
    let asked = [
        (&tables.parts, Some(Table::Parts(as_built))),
        (&tables.sections, followed.map(Table::Sections)),
        (&tables.nodes, followed.map(Table::Nodes)),
        (&tables.residue, Some(Table::Residue(case.residue()?))),
    ];
    for (path, table) in asked.into_iter().filter_map(|(path, table)| path.as_ref().zip(table)) {
        written("table", path, |out| table.write(region, out))?;
    }
    if let Some(path) = &job.map {
        let nominal = &case.nominal()?.mesh;
        io::ply::write(path, nominal, &[lattice::map(as_built, nominal, region)], None)?;
    }
    Ok(())
}
