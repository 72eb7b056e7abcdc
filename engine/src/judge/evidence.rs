//! The evidence of a judgement: the distribution, pictures and map of the deviation, the sections that the order names, and the struts that
//! it asks about.

use nalgebra::Point3;

use crate::case::Case;
use crate::error::Error;
use crate::evidence::{self, DeviationSummary, display_range_mm};
use crate::io;
use crate::judgement::Evidence;
use crate::lattice::{self, AsBuilt, Table};
use crate::mesh::Mesh;
use crate::order::{Order, Requirement};
use crate::region::Region;
use crate::render::{self, Mark, Options};
use crate::section::{self, Plane};

/// The part is drawn in the nominal frame; vertices without a sign carry no value. Regions are numbered in the map as the order lists them.
pub(super) fn of(case: &Case, order: &Order, regions: &[(String, Region)]) -> Result<Vec<Evidence>, Error> {
    let (field, mesh, part) = (case.actual_field()?, case.moved()?, case.actual()?);
    let regions: Vec<&Region> = regions.iter().map(|(_, region)| region).collect();
    let fields = field.vertex_fields(&regions, &part.flags);
    let limits = shown_limits(order);
    let range = display_range_mm(&fields[0].values, limits);
    let (drawn, values) = match part.spacing_mm {
        Some(spacing) => {
            let discs = render::scales(&field.points, &field.normals, spacing)?;
            (discs, fields[0].values.iter().flat_map(|&v| [v; 3]).collect())
        }
        None => (mesh.clone(), fields[0].values.clone()),
    };
    let summary = DeviationSummary::of(&drawn, &values, limits, range);
    let marks: Vec<Mark> =
        summary.worst.iter().map(|w| Mark { point: Point3::from(w.point_mm), label: evidence::WORST_MARK.into() }).collect();
    let sheet = render::deviation_views(&drawn, &values, range, &marks, Options::default())?;
    let mut map = Vec::new();
    io::ply::encode(&mut map, mesh, &fields, None).map_err(unwritten)?;
    let mut files = vec![
        file(evidence::DEVIATION, "application/json", to_json(&summary)?),
        file(evidence::DEVIATION_VIEWS, "image/png", sheet.png),
        file(evidence::DEVIATION_VIEWS_LAYOUT, "application/json", to_json(&sheet.layout)?),
        file(evidence::DEVIATION_MAP, "application/octet-stream", map),
    ];
    files.extend(sections(case, order, mesh, limits)?);
    if asks_for_struts(order) && case.struts_cannot_carry()?.is_none() {
        files.extend(struts(case)?);
    }
    Ok(files)
}

/// A drawing and a table of each section; none of a point cloud, which no plane cuts.
fn sections(case: &Case, order: &Order, mesh: &Mesh, limits: Option<[f64; 2]>) -> Result<Vec<Evidence>, Error> {
    let mut files = vec![];
    for section in order.section.iter().filter(|_| !mesh.is_cloud()) {
        let Some(plane) = Plane::new(section.at.into(), section.normal.into()) else { continue }; // the order was checked
        let compared = case.section(&section.name, &plane)?;
        let name = |ending: &str| format!("{}{}{ending}", evidence::SECTION, section.name);
        files.push(file(&name(".svg"), "image/svg+xml", section::svg(&compared, limits).into_bytes()));
        files.push(file(&name(".csv"), "text/csv", section::csv(&compared).into_bytes()));
    }
    Ok(files)
}

pub(super) fn asks_for_struts(order: &Order) -> bool {
    order.requirement.iter().any(|r| r.quantity.starts_with("lattice."))
}

/// That evidence cannot be formed in memory.
fn unwritten(e: impl std::fmt::Display) -> Error {
    Error::defect(format!("evidence cannot be written: {e}"))
}

/// Marks of what is at fault in the picture.
const MARKED: usize = 12;

/// Tables of struts and nodes, or of a sheet lattice's cells, and of residue and windows; the nominal coloured by how much thinner or thicker they are, as a map and as a picture.
fn struts(case: &Case) -> Result<Vec<Evidence>, Error> {
    let (as_built, nominal) = (case.lattice()?, &case.nominal()?.mesh);
    let field = lattice::map(as_built, nominal, None);
    let marks: Vec<Mark> = as_built.faults(MARKED).into_iter().map(|(point, label)| Mark { point, label }).collect();
    let sheet = render::deviation_views(nominal, &field.values, display_range_mm(&field.values, None), &marks, Options::default())?;
    let mut map = Vec::new();
    io::ply::encode(&mut map, nominal, &[field], None).map_err(unwritten)?;
    let parts = if matches!(as_built, AsBuilt::Walls(_)) { evidence::CELLS } else { evidence::STRUTS };
    let mut tables = vec![(parts, Table::Parts(as_built)), (evidence::RESIDUE, Table::Residue(case.residue()?))];
    if let AsBuilt::Struts(followed) = as_built {
        tables.insert(1, (evidence::NODES, Table::Nodes(followed)));
    }
    let mut files = vec![];
    for (name, table) in tables {
        let mut text = Vec::new();
        table.write(None, &mut text).map_err(unwritten)?;
        files.push(file(name, "text/csv", text));
    }
    files.extend([
        file(evidence::STRUT_MAP, "application/octet-stream", map),
        file(evidence::STRUT_VIEWS, "image/png", sheet.png),
        file(evidence::STRUT_VIEWS_LAYOUT, "application/json", to_json(&sheet.layout)?),
    ]);
    Ok(files)
}

/// The limits that the deviation pictures show: what area is counted against, else the tightest limits of a deviation.
fn shown_limits(order: &Order) -> Option<[f64; 2]> {
    let deviations = || order.requirement.iter().filter(|r| r.quantity.starts_with("deviation."));
    let symmetric = |r: &Requirement| match (r.limits().min, r.limits().max) {
        (Some(min), Some(max)) if min < 0.0 && max > 0.0 => Some([min, max]),
        (None, Some(max)) if max > 0.0 && r.quantity != "deviation.in_tolerance" => Some([-max, max]),
        _ => None,
    };
    let width = |l: &[f64; 2]| l[1] - l[0];
    deviations().find_map(|r| r.within).or_else(|| deviations().filter_map(symmetric).min_by(|a, b| width(a).total_cmp(&width(b))))
}

/// Names of the evidence a result rests on, of what there is.
pub(super) fn names_for(quantity: &str, there: &[Evidence]) -> Vec<String> {
    let names: &[&str] = match quantity.split_once('.') {
        Some(("deviation", _)) => &[evidence::DEVIATION, evidence::DEVIATION_MAP],
        Some(("lattice", _)) => &[evidence::STRUTS, evidence::CELLS, evidence::NODES, evidence::RESIDUE, evidence::STRUT_MAP],
        _ => &[],
    };
    names.iter().filter(|name| there.iter().any(|file| file.name == **name)).map(|name| name.to_string()).collect()
}

fn file(name: &str, media_type: &'static str, bytes: Vec<u8>) -> Evidence {
    Evidence { name: name.into(), media_type, bytes }
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(unwritten)
}
