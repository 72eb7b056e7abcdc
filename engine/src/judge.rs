//! The main job: an order and its files to a judgement payload with its evidence.

mod evidence;

use std::path::Path;

use nalgebra::{Point3, Vector3};
use serde_json::json;

use crate::align;
use crate::case::{Achieved, Aligned, Case, Datums, Feature, Nominal};
use crate::decide::{self, Decided, Verdictable};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::features::Kind;
use crate::finding::Finding;
use crate::health;
use crate::io;
use crate::judgement::{
    self, AchievableRecord, AlignmentRecord, BindingRecord, Contribution, ConvergenceRecord, Decision, Evidence, EvidenceRecord,
    InputRecord, Payload, Provenance, ResultRecord, Retention, Stamp,
};
use crate::load::{self, Read, Source};
use crate::order::{self, AlignmentMethod, DeviceClass, FeatureOrder, Order, Requirement, Shape};
use crate::quantities::{self, Measured, Scope};
use crate::region::Region;
use crate::runtime::Runtime;
use crate::uncertainty;

/// A judgement before it is signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub payload: Payload,
    pub evidence: Vec<Evidence>,
}

/// Version of each method that touches a judged number; a change of one is a line in the change log.
const METHODS: [(&str, &str); 9] = [
    ("surface", "1"),
    ("distance", "1"),
    ("alignment", "1"),
    ("shrinkage", "1"),
    ("features", "1"),
    ("porosity", "1"),
    ("lattice", "1"),
    ("uncertainty", "1"),
    ("decision", "1"),
];

/// Runs a whole order. Inputs are found beside the order file and may not leave its folder.
pub fn judge(order_file: &Path, stamp: Stamp, rt: &Runtime) -> Result<Judged, Error> {
    let (order, order_sha256) = read_order(order_file)?;
    let folder = io::folder_of(order_file);
    let mut inputs = Inputs { folder, records: vec![], findings: vec![] };
    let regions = inputs.regions(&order)?;
    let find = |name: &str| regions.iter().find(|(n, _)| n == name).map(|(n, r)| (n.as_str(), r));

    rt.step("load", 0.0)?;
    let start = std::time::Instant::now();
    let nominal = {
        let path = order::resolve(folder, &order.nominal.file)?;
        let mesh = inputs.keep(load::mesh("nominal", &order.nominal.file, &path, order.nominal.unit)?);
        Nominal::new(mesh, order.nominal.chord_error)
    };
    let source = Source {
        path: order::resolve(folder, &order.actual.file)?,
        unit: order.actual.unit,
        surface: order.actual.surface,
        components: Some(order.components()),
        materials: order.actual.materials,
        material: order.actual.material,
        denoise: order.actual.denoise,
        scale_uncertainty: order.actual.scale_uncertainty,
        point_uncertainty: order.actual.point_uncertainty,
    };
    let part = inputs.keep(load::part(&order.actual.file, &source, &order.accept, rt)?);
    let site = match &order.site {
        Some(site) => Some(inputs.keep(load::site(&site.file, &order::resolve(folder, &site.file)?, site.unit, site.point_uncertainty)?)),
        None => None,
    };
    let loaded = start.elapsed().as_secs_f64();

    inputs.findings.extend(health::unit_plausibility(&part.mesh, &nominal.mesh).map(|f| f.about(&order.actual.file)));
    let align_region = order.alignment.region.as_deref().and_then(find).map(|(_, region)| region);
    let features = inputs.features(&order.feature, &regions)?;
    let mut case = Case::new(rt, Some(nominal), Some(part), site).aligned_by(order.alignment.method, align_region).with_features(features);
    if let Some(datums) = datums(&order, &regions) {
        case = case.located_by(datums, order.alignment.patch.unwrap_or(quantities::DEFAULT_PATCH_MM));
    }
    if let Some(lattice) = &order.lattice {
        let design = match &lattice.struts {
            Some(file) => Some(inputs.keep(load::struts(file, &order::resolve(folder, file)?)?)),
            None => None,
        };
        case = case.with_struts(design, lattice.limits());
    }
    let mut results = Vec::with_capacity(order.requirement.len());
    for (i, requirement) in order.requirement.iter().enumerate() {
        rt.step("measure", i as f64 / order.requirement.len() as f64)?;
        results.push(result(&case, &order, requirement, requirement.region.as_deref().and_then(find))?);
    }
    let aligned = case.alignment()?;
    inputs.findings.extend(case.alignment_findings()?);
    if evidence::asks_for_struts(&order) {
        inputs.findings.extend(case.lattice_findings(None)?);
    }
    for requirement in order.requirement.iter().filter(|r| r.quantity.starts_with("porosity.")) {
        let found = case.unresolved_finding(requirement.region.as_deref().and_then(find))?;
        inputs.findings.extend(found.filter(|f| !inputs.findings.contains(f)));
    }
    inputs.findings.extend(date_finding(&order));
    inputs.findings.extend(uncut_finding(&order, &case)?);
    rt.step("evidence", 0.0)?;
    let evidence = case.timed("evidence", || evidence::of(&case, &order, &regions))?;
    for result in &mut results {
        result.evidence = evidence::names_for(&result.quantity, &evidence);
    }

    let mut seconds = case.seconds();
    seconds.insert("load".into(), loaded);
    seconds.insert("total".into(), start.elapsed().as_secs_f64());
    let payload = Payload {
        schema: judgement::SCHEMA.into(),
        id: stamp.id,
        issued: stamp.issued,
        order: judgement::OrderRecord { sha256: order_sha256, fields: order.order.clone() },
        inputs: inputs.records,
        findings: inputs.findings,
        alignment: Some(alignment_record(aligned, &case.achieved())),
        decision: decide::whole(results.iter().map(|r| r.decision)),
        results,
        evidence: evidence.iter().map(record_of_evidence).collect(),
        retention: retention(&order),
        predecessor: stamp.predecessor,
        required_signatures: judgement::REQUIRED_SIGNATURES.to_vec(),
        provenance: Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            source_revision: stamp.source_revision,
            methods: METHODS.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            backend: rt.backend_name(),
            driver: rt.gpu().map_or_else(String::new, |g| g.info().driver.clone()),
            notes: rt.notes(),
            parameters: parameters(&case, &order)?,
            seeds: vec![uncertainty::SEED],
            seconds,
        },
    };
    Ok(Judged { payload, evidence })
}

/// Reads and checks an order, quantities included: an order that cannot run is refused before anything is computed.
fn read_order(order_file: &Path) -> Result<(Order, String), Error> {
    use sha2::{Digest, Sha256};
    let name = order_file.file_name().map_or_else(|| "order".into(), |n| n.to_string_lossy());
    let bytes = io::read_bounded(order_file, order::MAX_BYTES as u64)?;
    let order = order::parse(&bytes, &name)?;
    for requirement in &order.requirement {
        let entry = quantities::entry(&requirement.quantity)?;
        known_dimension(&order, requirement)?;
        let needs_site = entry.definition.name.starts_with("fit.");
        if needs_site && order.site.is_none() {
            let message = format!(
                "requirement {:?} of {name} asks for {} and the order names no [site]: name the anatomy or mating device",
                requirement.id, requirement.quantity
            );
            return Err(Error::input("order.no_site", message));
        }
    }
    Ok((order, load::hex(&Sha256::digest(&bytes))))
}

/// Refuses a dimension of a feature that is not in the order or has none such.
fn known_dimension(order: &Order, requirement: &Requirement) -> Result<(), Error> {
    let Some((name, what)) = quantities::feature_of(&requirement.quantity) else { return Ok(()) };
    let Some(feature) = order.feature.iter().find(|f| f.name == name) else {
        let known: Vec<&str> = order.feature.iter().map(|f| f.name.as_str()).collect();
        let message = format!(
            "requirement {:?} asks for feature {name:?} and the order has {known:?}: add a [[feature]] or correct the name",
            requirement.id
        );
        return Err(Error::input("order.feature_unknown", message));
    };
    let allowed: Vec<&str> = Kind::of_name(&feature.fit).into_iter().flat_map(quantities::dimensions_of).collect();
    if allowed.contains(&what) {
        return Ok(());
    }
    let message = format!(
        "requirement {:?} asks for {what} of feature {name:?}, a {}; it has {allowed:?}: name one of them",
        requirement.id, feature.fit
    );
    Err(Error::input("order.feature_quantity", message))
}

/// Regions and features of a file, for the command that measures them.
pub(crate) struct FeatureFile {
    pub regions: Vec<(String, Region)>,
    orders: Vec<FeatureOrder>,
    folder: std::path::PathBuf,
    pub records: Vec<InputRecord>,
    pub findings: Vec<Finding>,
}

impl FeatureFile {
    /// Reads the `[[feature]]` and `[[region]]` tables; regions and patches are found beside the file.
    pub(crate) fn read(path: &Path) -> Result<FeatureFile, Error> {
        let name = path.file_name().map_or_else(|| "features".into(), |n| n.to_string_lossy());
        let found = order::parse_features(&io::read_bounded(path, order::MAX_BYTES as u64)?, &name)?;
        let folder = io::folder_of(path).to_path_buf();
        let mut inputs = Inputs { folder: &folder, records: vec![], findings: vec![] };
        let regions = found.region.iter().map(|r| Ok((r.name.clone(), inputs.region(&r.shape)?))).collect::<Result<_, Error>>()?;
        let Inputs { records, findings, .. } = inputs;
        Ok(FeatureFile { regions, orders: found.feature, folder, records, findings })
    }

    /// The features; what is read for them joins the records and findings given.
    pub(crate) fn features(&self, records: &mut Vec<InputRecord>, findings: &mut Vec<Finding>) -> Result<Vec<Feature<'_>>, Error> {
        let mut inputs = Inputs { folder: &self.folder, records: vec![], findings: vec![] };
        let features = inputs.features(&self.orders, &self.regions)?;
        records.append(&mut inputs.records);
        findings.append(&mut inputs.findings);
        Ok(features)
    }
}

/// Records and findings of everything read so far.
struct Inputs<'a> {
    folder: &'a Path,
    records: Vec<InputRecord>,
    findings: Vec<Finding>,
}

impl Inputs<'_> {
    fn keep<T>(&mut self, read: Read<T>) -> T {
        self.records.push(read.record);
        self.findings.extend(read.findings);
        read.value
    }

    fn regions(&mut self, order: &Order) -> Result<Vec<(String, Region)>, Error> {
        order.region.iter().map(|r| Ok((r.name.clone(), self.region(&r.shape)?))).collect()
    }

    /// Features with the regions they name and the patches read.
    fn features<'r>(&mut self, orders: &[FeatureOrder], regions: &'r [(String, Region)]) -> Result<Vec<Feature<'r>>, Error> {
        let region = |f: &FeatureOrder| regions.iter().find(|(n, _)| Some(n) == f.region.as_ref()).map(|(_, r)| r);
        let mut features = vec![];
        for order in orders {
            let patch = match &order.patch {
                Some(file) => {
                    let path = order::resolve(self.folder, file)?;
                    let mesh = self.keep(load::mesh("patch", file, &path, order::LengthUnit::Millimetre)?);
                    Some(MeshDistance::build(&mesh))
                }
                None => None,
            };
            features.push(Feature { order: order.clone(), region: region(order), patch });
        }
        Ok(features)
    }

    fn region(&mut self, shape: &Shape) -> Result<Region, Error> {
        Ok(match shape {
            Shape::Box { min, max } => Region::Box { min: Point3::from(*min), max: Point3::from(*max) },
            Shape::Sphere { centre, radius } => Region::Sphere { centre: Point3::from(*centre), radius_mm: *radius },
            Shape::Cylinder { from, to, radius } => {
                Region::Cylinder { from: Point3::from(*from), to: Point3::from(*to), radius_mm: *radius }
            }
            Shape::Mesh(file) => {
                self.keep(load::region("region", file, &order::resolve(self.folder, file)?, order::LengthUnit::Millimetre)?)
            }
        })
    }
}

/// The region of an order by name, for the measuring commands.
pub fn region_of_order(order_file: &Path, name: &str) -> Result<Region, Error> {
    let (order, _) = read_order(order_file)?;
    let known: Vec<&str> = order.region.iter().map(|r| r.name.as_str()).collect();
    let found = order.region.iter().find(|r| r.name == name).ok_or_else(|| {
        Error::input("order.region_unknown", format!("the order has no region {name:?}; it has {known:?}: name one of them"))
    })?;
    let folder = io::folder_of(order_file);
    Inputs { folder, records: vec![], findings: vec![] }.region(&found.shape)
}

/// The datums of an order that aligns by them, with the regions they lie in.
fn datums<'a>(order: &'a Order, regions: &'a [(String, Region)]) -> Option<Datums<'a>> {
    let stated = &order.alignment;
    (stated.method == AlignmentMethod::Datum).then_some(())?;
    if stated.datum.is_empty() {
        let target = |t: &order::TargetOrder| align::Target { at: Point3::from(t.at), direction: Vector3::from(t.direction).normalize() };
        return Some(Datums::Points(stated.point.iter().map(target).collect()));
    }
    let feature = |name: &String| {
        let feature = order.feature.iter().find(|f| f.name == *name)?;
        let kind = align::DatumKind::ALL.into_iter().find(|k| k.name() == feature.fit)?;
        let (_, region) = regions.iter().find(|(n, _)| Some(n) == feature.region.as_ref())?;
        Some((feature.name.as_str(), kind, region))
    };
    // All are found: the order was checked.
    stated.datum.iter().map(feature).collect::<Option<Vec<_>>>().map(Datums::Features)
}

/// What the measuring commands take from an order to align by: its datums, their regions, the radius of its patch.
pub struct DatumsOfOrder {
    order: Order,
    regions: Vec<(String, Region)>,
}

impl DatumsOfOrder {
    pub fn read(order_file: &Path) -> Result<Self, Error> {
        let (order, _) = read_order(order_file)?;
        if order.alignment.method != AlignmentMethod::Datum {
            let message = format!("the order aligns by {}: name one that states datums", order.alignment.method.name());
            return Err(Error::input("order.no_datums", message));
        }
        let folder = io::folder_of(order_file);
        let regions = Inputs { folder, records: vec![], findings: vec![] }.regions(&order)?;
        Ok(DatumsOfOrder { order, regions })
    }

    pub fn locate<'a>(&'a self, case: Case<'a>) -> Case<'a> {
        match datums(&self.order, &self.regions) {
            Some(datums) => case.located_by(datums, self.order.alignment.patch.unwrap_or(quantities::DEFAULT_PATCH_MM)),
            None => case,
        }
    }
}

fn result(case: &Case, order: &Order, requirement: &Requirement, region: Option<(&str, &Region)>) -> Result<ResultRecord, Error> {
    let entry = quantities::entry(&requirement.quantity)?;
    let scope = Scope {
        region,
        within_mm: requirement.within,
        patch_mm: requirement.patch.unwrap_or(quantities::DEFAULT_PATCH_MM),
        sphere_mm: requirement.sphere,
        feature: quantities::feature_of(&requirement.quantity).map(|(feature, _)| feature),
        max: requirement.limits().max,
        ..Scope::default()
    };
    let measured = entry.measure(case, &scope)?;
    let limits = requirement.limits();
    let rule = order.decision.map(|d| d.rule).unwrap_or_default();
    let u = measured.standard_uncertainty();
    let decided = match (&measured, u) {
        (Measured::Value { value, .. }, Some(u)) => {
            decide::decide(&Verdictable { value: *value, u, limits, unit: entry.definition.unit, key: requirement.key, rule })
        }
        (Measured::Not { reason }, _) => Decided { probability: None, decision: Decision::NotMeasured, reason: Some(reason.clone()) },
        (Measured::Value { .. }, None) => return Err(Error::defect("a measured value without an uncertainty")),
    };
    let zone = match &measured {
        Measured::Value { .. } => quantities::zone_behind(entry, case, &scope)?.map(|found| found.record()),
        Measured::Not { .. } => None,
    };
    let budget = match &measured {
        Measured::Value { terms, .. } => terms.iter().map(|t| Contribution { name: t.name.into(), u: t.u }).collect(),
        Measured::Not { .. } => vec![],
    };
    Ok(ResultRecord {
        requirement: requirement.id.clone(),
        clause: requirement.clause.clone(),
        quantity: requirement.quantity.clone(),
        region: requirement.region.clone(),
        value: measured.value(),
        unit: entry.definition.unit.into(),
        expanded_uncertainty: u.map(|u| 2.0 * u),
        budget,
        limits,
        rule: rule.name().into(),
        conformance_probability: decided.probability,
        decision: decided.decision,
        reason: decided.reason,
        zone,
        evidence: vec![],
    })
}

fn alignment_record(aligned: &Aligned, achieved: &[Achieved]) -> AlignmentRecord {
    let fit = aligned.fit.as_ref();
    AlignmentRecord {
        method: aligned.method.name().into(),
        nominal_from_actual: aligned.pose.to_rows(),
        ambiguous: fit.is_some_and(|f| f.ambiguous),
        ambiguities: fit.map_or_else(Vec::new, |f| f.ambiguities.clone()),
        rms_mm: fit.map(|f| f.rms_mm),
        converged: fit.map(|f| f.converged),
        iterations: fit.map_or(0, |f| f.iterations),
        proof: fit.map(|f| ConvergenceRecord {
            gradient_norm_mm: f.gradient_norm_mm,
            last_step_mm: f.last_step_mm,
            minima: f.minima as u32,
            second_best_rms_mm: f.second_best_rms_mm,
            free_dofs: f.free_dofs as u32,
            standard_uncertainty: std::array::from_fn(|k| f.covariance[(k, k)].max(0.0).sqrt()),
            centre_mm: f.centre.into(),
        }),
        achievable: achieved.iter().map(achievable_record).collect(),
    }
}

fn achievable_record(achieved: &Achieved) -> AchievableRecord {
    let found = &achieved.found;
    AchievableRecord {
        region: achieved.region.clone(),
        limits_mm: achieved.limits_mm,
        patch_mm: achieved.patch_mm,
        ratio: found.ratio,
        ordered_ratio: found.ordered_ratio,
        optimal_from_ordered: found.optimal_from_ordered.to_rows(),
        binding: achieved.binding.iter().map(|&(at, multiplier)| BindingRecord { at_mm: at.into(), multiplier }).collect(),
        stationarity: found.stationarity,
        promised: found.promised,
        programmes: found.programmes,
        converged: found.converged,
    }
}

/// Implants are kept for ever, other devices at least 5 years (customised) or 2 years (patient-matched) after release.
fn retention(order: &Order) -> Retention {
    let (class, years) = match (order.order.implantable, order.order.device_class) {
        (true, _) => ("permanent", None),
        (false, DeviceClass::Customised) => ("years_after_release", Some(5)),
        (false, DeviceClass::PatientMatched) => ("years_after_release", Some(2)),
    };
    Retention { clause: if order.order.implantable { "5.4.5" } else { "5.4.6" }.into(), class: class.into(), years }
}

/// ISO dates compare as text.
fn date_finding(order: &Order) -> Option<Finding> {
    let header = &order.order;
    (header.design_completed < header.image_acquired).then(|| {
        let message = format!(
            "the design of {} is older than the image of {} it rests on: check the dates",
            header.design_completed, header.image_acquired
        );
        Finding::qualify("order.design_before_image", message).clause("9.3.7")
    })
}

/// Sections that were ordered of a cloud: what a plane meets between its points nobody has scanned.
fn uncut_finding(order: &Order, case: &Case) -> Result<Option<Finding>, Error> {
    let (count, is_cloud) = (order.section.len(), case.actual()?.spacing_mm.is_some());
    let message =
        format!("{count} sections are ordered and the actual part is a point cloud, of which a plane cuts nothing: mesh the scan");
    Ok((is_cloud && count > 0).then(|| Finding::qualify("section.cloud", message)))
}

fn parameters(case: &Case, order: &Order) -> Result<serde_json::Value, Error> {
    let actual = case.actual()?;
    let image = actual.image.as_ref().map(|i| {
        json!({ "voxel_mm": i.voxel_mm, "slices": i.slices, "edge_sigma_mm": i.edge_sigma_mm, "noise": i.noise, "contrast": i.contrast,
                "air": i.air, "material": i.material, "contrast_to_noise": i.contrast_to_noise,
                "saturation": i.saturation, "cupping": i.artefacts.cupping.map(|e| e.value), "streaks": i.artefacts.streaks.map(|e| e.value) })
    });
    Ok(
        json!({ "image": image, "components": image.as_ref().map(|_| order.components()), "scale_uncertainty": actual.scale_u, "surface_offset_uncertainty_mm": actual.offset_u_mm, "cell_mm": actual.cell_mm,
               "nominal_chord_uncertainty_mm": case.nominal()?.chord_u_mm }),
    )
}

fn record_of_evidence(e: &Evidence) -> EvidenceRecord {
    use sha2::{Digest, Sha256};
    EvidenceRecord {
        name: e.name.clone(),
        media_type: e.media_type.into(),
        bytes: e.bytes.len() as u64,
        sha256: load::hex(&Sha256::digest(&e.bytes)),
    }
}
