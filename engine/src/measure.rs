//! The measuring commands: no order, no decision, every quantity of a group.

mod lattice;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nalgebra::Point3;
use serde::Serialize;

use crate::case::{Case, Nominal, Part};
use crate::error::Error;
use crate::evidence;
use crate::finding::Finding;
use crate::frame::{Grid, Pose};
use crate::health;
use crate::io::{self, VertexField};
use crate::judge::{DatumsOfOrder, FeatureFile, region_of_order};
use crate::judgement::InputRecord;
use crate::load::{self, Read, Source};
use crate::order::{AlignmentMethod, ComponentsOrder};
use crate::pores::{BorderRule, EnvelopeRecord, Phase, PoreSummary, Reached, Sensitivity, ShapeCount, SizeDistribution, UnresolvedGrey};
use crate::porosity;
use crate::quantities::{self, QuantityJson, SMALLEST_VOID_CELLS, Scope};
use crate::region::Region;
use crate::render::colour;
use crate::runtime::Runtime;
use crate::section::{self, Plane};

pub use self::lattice::{Lattice, LatticeTables, lattice};

/// The JSON of every measuring command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    pub quantities: BTreeMap<String, QuantityJson>,
    pub findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alignment: Option<AlignmentJson>,
    /// Of `pores` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pores: Option<PoreSummary>,
    pub provenance: ProvenanceJson,
    pub seconds: BTreeMap<String, f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlignmentJson {
    pub nominal_from_actual: Pose,
    pub ambiguous: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProvenanceJson {
    pub version: String,
    pub backend: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub inputs: Vec<InputJson>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputJson {
    pub name: String,
    pub sha256: String,
}

/// A region of an order, for `--order FILE --region NAME`.
#[derive(Clone, Copy, Debug)]
pub struct RegionRef<'a> {
    pub order_file: &'a Path,
    pub name: &'a str,
}

/// Names, records and findings gathered while reading.
struct Session<'a> {
    rt: &'a Runtime,
    start: Instant,
    loaded: f64,
    inputs: Vec<InputRecord>,
    findings: Vec<Finding>,
}

impl<'a> Session<'a> {
    fn new(rt: &'a Runtime) -> Self {
        Session { rt, start: Instant::now(), loaded: 0.0, inputs: vec![], findings: vec![] }
    }

    fn keep<T>(&mut self, read: Read<T>) -> T {
        self.loaded = self.start.elapsed().as_secs_f64();
        self.inputs.push(read.record);
        self.findings.extend(read.findings);
        read.value
    }

    fn mesh(&mut self, role: &str, source: &Source) -> Result<crate::mesh::Mesh, Error> {
        self.rt.step("load", 0.0)?;
        Ok(self.keep(load::mesh(role, &name(&source.path), &source.path, source.unit)?))
    }

    fn part(&mut self, source: &Source) -> Result<Part, Error> {
        self.rt.step("load", 0.0)?;
        Ok(self.keep(load::part(&name(&source.path), source, &[], self.rt)?))
    }

    /// Measures every quantity of some groups and closes the session.
    fn measure(mut self, case: &Case, groups: &[&str], scope: &Scope) -> Result<Measurement, Error> {
        let mut found = BTreeMap::new();
        for entry in groups.iter().flat_map(|g| quantities::group(g)) {
            self.rt.step("measure", 0.0)?;
            found.insert(entry.definition.name.to_string(), QuantityJson::new(&entry.measure(case, scope)?, &entry.definition));
        }
        let alignment = match case.nominal() {
            Ok(_) => {
                self.findings.extend(case.alignment_findings()?);
                let aligned = case.alignment()?;
                Some(AlignmentJson { nominal_from_actual: aligned.pose, ambiguous: aligned.fit.as_ref().is_some_and(|f| f.ambiguous) })
            }
            Err(_) => None,
        };
        Ok(self.close(found, alignment, case.seconds()))
    }

    fn close(
        self,
        quantities: BTreeMap<String, QuantityJson>,
        alignment: Option<AlignmentJson>,
        mut seconds: BTreeMap<String, f64>,
    ) -> Measurement {
        seconds.insert("load".into(), self.loaded);
        seconds.insert("total".into(), self.start.elapsed().as_secs_f64());
        let inputs = self.inputs.into_iter().map(|i| InputJson { name: i.name, sha256: i.sha256 }).collect();
        let provenance =
            ProvenanceJson { version: env!("CARGO_PKG_VERSION").into(), backend: self.rt.backend_name(), notes: self.rt.notes(), inputs };
        Measurement { quantities, findings: self.findings, alignment, pores: None, provenance, seconds }
    }
}

/// The last component of a path: all of it that leaves this machine.
fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| "input".into(), |n| n.to_string_lossy().into_owned())
}

fn resolve(region: Option<RegionRef>) -> Result<Option<Region>, Error> {
    region.map(|r| region_of_order(r.order_file, r.name)).transpose()
}

fn scope<'a>(region: &'a Option<Region>, named: Option<RegionRef<'a>>) -> Scope<'a> {
    Scope { region: region.as_ref().zip(named).map(|(r, n)| (n.name, r)), ..Scope::default() }
}

/// `compare NOMINAL ACTUAL`.
pub struct Compare<'a> {
    pub nominal: Source,
    pub actual: Source,
    pub align: AlignmentMethod,
    /// Order whose datums align, for the method `datum`.
    pub datums: Option<&'a Path>,
    pub tolerance: Option<[f64; 2]>,
    /// Radius of the patch of the extraction operator.
    pub patch_mm: f64,
    /// Receives the deviation at every vertex.
    pub map: Option<PathBuf>,
    /// A folder that receives a drawing and a table of each section, and the planes by name.
    pub sections: Option<(PathBuf, Vec<(String, Plane)>)>,
    pub region: Option<RegionRef<'a>>,
}

pub fn compare(job: &Compare, rt: &Runtime) -> Result<Measurement, Error> {
    let mut session = Session::new(rt);
    let region = resolve(job.region)?;
    let nominal = Nominal::new(session.mesh("nominal", &job.nominal)?, None);
    let part = session.part(&job.actual)?;
    session.findings.extend(health::unit_plausibility(&part.mesh, &nominal.mesh));
    let datums = job.datums.map(DatumsOfOrder::read).transpose()?;
    let mut case = Case::new(rt, Some(nominal), Some(part), None).aligned_by(job.align, None);
    if let Some(datums) = &datums {
        case = datums.locate(case);
    }
    if let Some(path) = &job.map {
        write_map(path, &case, region.as_ref(), job.tolerance)?;
    }
    if let Some((folder, planes)) = &job.sections {
        write_sections(folder, planes, &case, job.tolerance)?;
    }
    let scope = Scope { within_mm: job.tolerance, patch_mm: job.patch_mm, ..scope(&region, job.region) };
    session.measure(&case, &["deviation.", "alignment.", "body."], &scope)
}

/// Writes a file piece by piece.
fn written(what: &str, path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), Error> {
    let all = || {
        let mut out = BufWriter::new(File::create(path)?);
        write(&mut out)?;
        out.flush()
    };
    all().map_err(|e| {
        Error::input("file.unwritable", format!("the {what} {} cannot be written: {e}; check the folder and its permissions", name(path)))
    })
}

fn write_text(what: &str, path: &Path, text: &str) -> Result<(), Error> {
    written(what, path, |out| out.write_all(text.as_bytes()))
}

/// Writes the deviation at every vertex: as GLB with colours where the name ends so, else as PLY with numbers.
fn write_map(path: &Path, case: &Case, region: Option<&Region>, limits_mm: Option<[f64; 2]>) -> Result<(), Error> {
    let (field, mesh, part) = (case.actual_field()?, case.moved()?, case.actual()?);
    let fields = field.vertex_fields(region.as_slice(), &part.flags);
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("glb")) {
        let range = evidence::display_range_mm(&fields[0].values, limits_mm);
        let extras = serde_json::json!({ "quantity": "deviation", "unit": "mm", "colours_from": range[0], "colours_to": range[1] });
        io::glb::write(path, mesh, &colour::linear_of(&fields[0].values, range), extras)?;
    } else {
        io::ply::write(path, mesh, &fields, None)?;
    }
    Ok(())
}

/// Writes a drawing and a table of each section into a folder.
fn write_sections(folder: &Path, planes: &[(String, Plane)], case: &Case, limits_mm: Option<[f64; 2]>) -> Result<(), Error> {
    if case.actual()?.spacing_mm.is_some() {
        return Err(Error::input("section.cloud", "a plane cuts nothing out of a point cloud: mesh the scan"));
    }
    for (name, plane) in planes {
        let compared = case.section(name, plane)?;
        for (ending, text) in [("svg", section::svg(&compared, limits_mm)), ("csv", section::csv(&compared))] {
            let file = format!("{}{name}.{ending}", evidence::SECTION);
            write_text("section", &folder.join(file), &text)?;
        }
    }
    Ok(())
}

/// `segment VOLUME -o MESH`: writes PLY with the standard uncertainty and the flags ([`crate::surface::flag`]) of every vertex, or STL.
pub fn segment(volume: &Source, mesh_out: &Path, as_ply: bool, rt: &Runtime) -> Result<Measurement, Error> {
    let mut session = Session::new(rt);
    rt.step("load", 0.0)?;
    let name = name(&volume.path);
    let (determined, record, findings) = load::surface_of(&name, volume, &[], rt)?;
    if as_ply {
        let field = |name: &str, values: Vec<f64>| VertexField { name: name.into(), values };
        let u = field("u_mm", determined.vertex_u_mm.iter().map(|&u| f64::from(u)).collect());
        let flags = field("flags", determined.flags.iter().map(|&f| f64::from(f)).collect());
        io::ply::write(mesh_out, &determined.mesh, &[u, flags], None)?;
    } else {
        io::write_stl(mesh_out, &determined.mesh)?;
    }
    let part = session.keep(Read { value: Part::from_volume(determined, volume.scale_uncertainty), record, findings });
    session.measure(&Case::new(rt, None, Some(part), None), &["body.", "image."], &Scope::default())
}

/// `dimension MESH FEATURES`: every dimension of every feature, in the part's own frame.
pub fn dimension(part: &Source, features: &Path, patch_mm: f64, rt: &Runtime) -> Result<Measurement, Error> {
    let mut session = Session::new(rt);
    let file = FeatureFile::read(features)?;
    let part = session.part(part)?;
    session.inputs.extend(file.records.iter().cloned());
    session.findings.extend(file.findings.iter().cloned());
    let found = file.features(&mut session.inputs, &mut session.findings)?;
    let case = Case::new(rt, None, Some(part), None).aligned_by(AlignmentMethod::None, None).with_features(found);
    let mut quantities = BTreeMap::new();
    for feature in case.features() {
        for what in quantities::dimensions_of(feature.kind()) {
            rt.step("measure", 0.0)?;
            let name = format!("dimension.{}.{what}", feature.order.name);
            let entry = quantities::entry(&name)?;
            let scope = Scope { feature: Some(&feature.order.name), patch_mm, ..Scope::default() };
            if let Some(measured) = quantities::offered(entry, &case, &scope)? {
                let mut json = QuantityJson::new(&measured, &entry.definition);
                if measured.value().is_some() {
                    json.zone = quantities::zone_behind(entry, &case, &scope)?.map(|found| found.record());
                }
                quantities.insert(name, json);
            }
        }
    }
    let seconds = case.seconds();
    Ok(session.close(quantities, None, seconds))
}

/// `shrinkage NOMINAL ACTUAL`.
pub fn shrinkage(nominal: &Source, actual: &Source, align: AlignmentMethod, rt: &Runtime) -> Result<Measurement, Error> {
    let mut session = Session::new(rt);
    let nominal = Nominal::new(session.mesh("nominal", nominal)?, None);
    let part = session.part(actual)?;
    let case = Case::new(rt, Some(nominal), Some(part), None).aligned_by(align, None);
    session.measure(&case, &["shrinkage.", "alignment."], &Scope::default())
}

/// `fit DEVICE SITE` as placed: gaps within `contact_mm` of zero count as contact.
pub fn fit(device: &Source, site: &Source, contact_mm: f64, region: Option<RegionRef>, rt: &Runtime) -> Result<Measurement, Error> {
    let mut session = Session::new(rt);
    let shape = resolve(region)?;
    let part = session.part(device)?;
    rt.step("load", 0.5)?;
    let site = session.keep(load::site(&name(&site.path), &site.path, site.unit, site.point_uncertainty)?);
    let case = Case::new(rt, None, Some(part), Some(site)).aligned_by(AlignmentMethod::None, None);
    let scope = Scope { contact_mm, ..scope(&shape, region) };
    session.measure(&case, &["fit."], &scope)
}

/// What the porosity is a fraction of.
#[derive(Clone, Debug, PartialEq)]
pub enum Envelope {
    /// What a ball of this radius (mm), rolled over the part, cannot enter.
    Hull { closing_mm: f64 },
    /// The whole image.
    Volume,
    /// Inside a closed mesh in the part's frame.
    File(PathBuf),
}

/// `pores PART`.
pub struct Pores<'a> {
    pub part: Source,
    pub envelope: Envelope,
    /// Limits of `pore.in_range`, mm.
    pub range_mm: Option<[f64; 2]>,
    /// Diameter of the sphere of `pore.accessible`, mm.
    pub sphere_mm: Option<f64>,
    /// Receives a row for each closed and each open pore as comma-separated values.
    pub table: Option<PathBuf>,
    /// Whether the summary gets the curve of accessible volume.
    pub curve: bool,
    /// Edge of the cells of the lattices that sizes are measured on, mm; without it that of the scan's voxels, or a 400th of the part's
    /// diagonal where that is more.
    pub cell_mm: Option<f64>,
    pub region: Option<RegionRef<'a>>,
}

impl Pores<'_> {
    /// Everything of a part inside its closed hull.
    pub fn new(part: Source) -> Self {
        let envelope = Envelope::Hull { closing_mm: porosity::DEFAULT_CLOSING_MM };
        Pores { part, envelope, range_mm: None, sphere_mm: None, table: None, curve: false, cell_mm: None, region: None }
    }
}

/// Groups of the pores and walls of one part.
const PORE_GROUPS: [&str; 5] = ["porosity.", "pore.", "wall.", "structure.", "defect."];

pub fn pores(job: &Pores, rt: &Runtime) -> Result<Measurement, Error> {
    if job.region.is_some() && !matches!(job.envelope, Envelope::Hull { .. }) {
        let message = format!("a region and the envelope {} exclude each other: give one of them", envelope_name(&job.envelope));
        return Err(Error::input("envelope.region", message));
    }
    let mut session = Session::new(rt);
    let mut shape = resolve(job.region)?;
    let mut named = job.region.map(|r| r.name);
    match &job.envelope {
        Envelope::Volume => return pores_of_image(session, job),
        Envelope::File(path) => {
            let closed = session.keep(load::region("envelope", &name(path), path, job.part.unit)?);
            (shape, named) = (Some(closed), Some("envelope"));
        }
        Envelope::Hull { .. } => {}
    }
    let built = session.part(&with_all(&job.part))?;
    let mut case = Case::new(rt, None, Some(on_cells(built, job.cell_mm)?), None);
    if let Envelope::Hull { closing_mm } = job.envelope {
        case = case.closing(closing_mm);
    }
    let region = named.zip(shape.as_ref());
    pores_of_case(session, job, &case, region)
}

/// Every component unless told otherwise, as an order about the same quantities has it ([`crate::order::Order::components`]).
fn with_all(part: &Source) -> Source {
    Source { components: part.components.or(Some(ComponentsOrder::All)), ..part.clone() }
}

/// A part that is measured on cells of another size.
fn on_cells(mut part: Part, cell_mm: Option<f64>) -> Result<Part, Error> {
    if let Some(cell) = cell_mm {
        if !cell.is_finite() || cell <= 0.0 {
            let message = format!("the cells are {cell} mm wide, allowed are lengths above 0: give that of the voxels, or none");
            return Err(Error::input("pores.cell", message));
        }
        part.cell_mm = cell;
    }
    Ok(part)
}

/// That cells are wider than the scan's voxels.
fn coarse(part: &Part) -> Option<Finding> {
    let voxel = part.image.as_ref()?.voxel_mm.iter().copied().fold(f64::INFINITY, f64::min);
    let (cell, floor) = (part.cell_mm, libm::cbrt(SMALLEST_VOID_CELLS) * part.cell_mm);
    let message = format!(
        "sizes are measured on cells of {cell:.4} mm, voxels are {voxel:.4} mm: pores and walls below {cell:.4} mm are seen in part and voids below {floor:.4} mm are not counted; give cells of the voxels' size for them"
    );
    (cell > 1.001 * voxel).then(|| Finding::qualify("pores.coarse_cells", message))
}

/// The table, the summary and all quantities of a part's pores, in a region or its closed hull.
fn pores_of_case(mut session: Session, job: &Pores, case: &Case, region: Option<(&str, &Region)>) -> Result<Measurement, Error> {
    session.findings.extend(coarse(case.actual()?));
    if let (true, Some(why)) = (job.table.is_some() || job.curve, &case.actual()?.not_closed) {
        let message = format!("pores have neither table nor plot: the surface encloses no volume: {why}; close the mesh");
        return Err(Error::input("pores.not_closed", message));
    }
    session.findings.extend(case.unresolved_finding(region)?);
    write_table(job, case, region)?;
    let scope = Scope { region, within_mm: job.range_mm, sphere_mm: job.sphere_mm, ..Scope::default() };
    let measured = session.measure(case, &PORE_GROUPS, &scope)?;
    let pores = pore_summary(job, case, region, &measured.quantities)?;
    Ok(Measurement { pores, ..measured })
}

/// What lies behind the quantities, of those that were measured; `None` where the surface encloses nothing.
fn pore_summary(
    job: &Pores,
    case: &Case,
    region: Option<(&str, &Region)>,
    quantities: &BTreeMap<String, QuantityJson>,
) -> Result<Option<PoreSummary>, Error> {
    let part = case.actual()?;
    if part.not_closed.is_some() {
        return Ok(None);
    }
    let is_measured = |name: &str| quantities.get(name).is_some_and(|q| q.value.is_some());
    let sizes = SizeDistribution::of(&*case.sizes(Phase::Pores, region)?).filter(|_| is_measured("pore.size_d50"));
    let spheres = sizes.as_ref().filter(|_| job.curve).map_or(vec![], |s| s.spheres_mm(2.0 * part.cell_mm));
    let accessible = if spheres.is_empty() {
        vec![]
    } else {
        let [a, b] = &*case.accessible(&spheres, region)?;
        let share = |n: usize| 0.5 * (a[n] + b[n]);
        spheres.iter().enumerate().map(|(n, &diameter_mm)| Reached { diameter_mm, share: share(n) }).collect()
    };
    let throat = |axis: &str| quantities.get(&format!("pore.throat_{axis}")).and_then(|q| q.value);
    let porosity = case.porosity(region)?;
    let surface_per_mm = porosity.open_surface_per_mm + porosity.closed_surface_per_mm;
    Ok(Some(PoreSummary {
        envelope: EnvelopeRecord {
            kind: job.region.map_or_else(|| envelope_name(&job.envelope), |region| format!("region {}", region.name)),
            closing_mm: if let (Envelope::Hull { closing_mm }, None) = (&job.envelope, region) { Some(*closing_mm) } else { None },
            volume_mm3: porosity.fractions.envelope_mm3,
        },
        cell_mm: part.cell_mm,
        least_void_mm3: part.least_void_mm3(),
        sizes,
        accessible,
        range_mm: job.range_mm,
        throats_mm: ["x", "y", "z"].map(throat),
        border: BorderRule::of(&case.closed_voids(region)?[0], part.least_void_mm3()),
        shapes: ShapeCount::of(&case.closed_voids(region)?[0], part.least_void_mm3()),
        sensitivity: Sensitivity {
            per_micrometre: 1e-3 * surface_per_mm,
            per_percent_of_contrast: part.image.as_ref().map(|image| 0.01 * surface_per_mm * image.per_level_mm()),
        },
        unresolved: UnresolvedGrey::of(&porosity),
    }))
}

fn envelope_name(envelope: &Envelope) -> String {
    match envelope {
        Envelope::Hull { .. } => "hull".into(),
        Envelope::Volume => "volume".into(),
        Envelope::File(path) => name(path),
    }
}

fn write_table(job: &Pores, case: &Case, region: Option<(&str, &Region)>) -> Result<(), Error> {
    let Some(path) = &job.table else { return Ok(()) };
    let closed = case.closed_voids(region)?;
    let open = case.open_pores(region, SMALLEST_VOID_CELLS as u64)?;
    let u = |volume, area, inscribed| quantities::expanded_u_of_void(case, volume, area, inscribed);
    write_text("table", path, &crate::pores::csv(&closed[0], &open, case.actual()?.least_void_mm3(), u)?)
}

/// The image as the envelope, between the outermost voxel centres: nothing is known of what lies beyond them.
fn pores_of_image(mut session: Session, job: &Pores) -> Result<Measurement, Error> {
    let (rt, part) = (session.rt, &job.part);
    let name = name(&part.path);
    let no_volume = || format!("{name} is a mesh and the envelope `volume` needs a volume: use hull or a mesh file");
    let opened = io::open_volume(&part.path).map_err(|e| match e.code {
        "file.not_a_volume" => Error::input("envelope.no_volume", no_volume()),
        _ => e,
    })?;
    let image = image_region(opened.grid())?.ok_or_else(|| {
        let message = format!("{name} has a single layer of voxels, which encloses no volume: give a volume of two layers or more");
        Error::input("envelope.single_layer", message)
    })?;
    drop(opened);
    let (value, record, findings) = load::surface_of(&name, &with_all(part), &[], rt)?;
    let determined = session.keep(Read { value, record, findings });
    if determined.flags.iter().any(|flags| flags & crate::surface::flag::CUT != 0) {
        let message = "the image ends within the part: voids that reach its edge count as open, wherever they lead beyond it, and walls are measured up to it; give an envelope inside the image, or a scan of the whole part";
        session.findings.push(Finding::qualify("pores.image_edge", message).about(&name));
    }
    let built = on_cells(Part::from_volume(determined, part.scale_uncertainty), job.cell_mm)?;
    let case = Case::new(rt, None, Some(built), None).ending_with_region();
    pores_of_case(session, job, &case, Some(("image", &image)))
}

/// Between the outermost voxel centres; `None` for an image of a single layer.
fn image_region(grid: &Grid) -> Result<Option<Region>, Error> {
    let last = grid.dims().map(|n| (n - 1) as f64);
    if last.contains(&0.0) {
        return Ok(None);
    }
    let corner = |n: usize| grid.physical(&Point3::from([0, 1, 2].map(|a| if n >> a & 1 == 1 { last[a] } else { 0.0 })));
    let (low, high) = (corner(0), corner(7));
    if (0..3).all(|a| (0..3).all(|b| a == b || grid.axes()[(a, b)] == 0.0)) {
        return Ok(Some(Region::Box { min: low.inf(&high), max: low.sup(&high) }));
    }
    const FACES: [[u32; 3]; 12] = [
        [0, 2, 1],
        [1, 2, 3],
        [4, 5, 6],
        [5, 7, 6],
        [0, 1, 4],
        [1, 5, 4],
        [2, 6, 3],
        [3, 6, 7],
        [0, 4, 2],
        [2, 4, 6],
        [1, 3, 5],
        [3, 7, 5],
    ];
    let outward = grid.axes().determinant() > 0.0;
    let faces = FACES.map(|[a, b, c]| if outward { [a, b, c] } else { [a, c, b] });
    let mesh = crate::mesh::Mesh::new((0..8).map(corner).collect(), faces.to_vec())?;
    Ok(Some(Region::Mesh(Box::new(crate::distance::MeshDistance::build(&mesh)))))
}
