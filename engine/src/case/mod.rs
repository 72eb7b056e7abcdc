//! A case: nominal, actual and site with everything that quantities share, computed at most once and only when asked for.

mod features;
mod inside;
mod parts;
mod struts;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use nalgebra::{Point3, Vector3};

use crate::align::{self, Achievable, Alignment, Datum, DatumKind, Limited, System, Target};
use crate::deviation::{Field, Patches, SeenFrom};
use crate::distance::MeshDistance;
use crate::distance::hausdorff::{self, Bracket, Within};
use crate::error::Error;
use crate::finding::Finding;
use crate::frame::Pose;
use crate::lattice::{AsBuilt, Cell, Design, Designed, FaultLimits, Period, Residue};
use crate::mesh::edges::{self, Edges};
use crate::mesh::{Mesh, Samples, point_areas_mm2};
use crate::order::AlignmentMethod;
use crate::pores::{ClosedVoid, Sizes, Structure};
use crate::porosity::{self, Porosity, Scene};
use crate::region::Region;
use crate::runtime::Runtime;
use crate::section::{self, Compared, Plane};
use crate::shrinkage::{self, Shrinkage};
use crate::uncertainty::Effects;
pub use features::{Feature, Zoned};
use features::{Fitted, Means, Zones};
pub use parts::{Nominal, Part, Site};

/// What aligned the part.
pub struct Aligned {
    pub pose: Pose,
    pub method: AlignmentMethod,
    /// Centre of the actual part's bounds in its own frame.
    pub actual_centre: Point3<f64>,
    /// The fit, where one was ordered.
    pub fit: Option<Alignment>,
}

/// Deviation seen from the nominal, with what coverage needs.
pub struct NominalField {
    pub field: Field,
    /// Actual surface of like orientation lies along the normal.
    pub facing: Vec<bool>,
    /// Largest distance at which actual surface still covers the nominal, mm.
    pub reach_mm: f64,
}

/// Gap seen from the device.
pub struct FitField {
    pub field: Field,
    /// The device's surface faces the site's.
    pub facing: Vec<bool>,
}

/// What the method `datum` aligns by: features in order of precedence, each in its region, or reference points.
pub enum Datums<'a> {
    Features(Vec<(&'a str, DatumKind, &'a Region)>),
    Points(Vec<Target>),
}

/// The best that a pose could achieve, with its certificate.
#[derive(Clone, Debug)]
pub struct Achieved {
    pub region: Option<String>,
    pub limits_mm: [f64; 2],
    pub patch_mm: f64,
    pub found: Achievable,
    /// Centres of the patches that bind (nominal frame), with their multipliers.
    pub binding: Vec<(Point3<f64>, f64)>,
}

/// Inputs and shared results. All in mm; regions and fields in the nominal frame.
pub struct Case<'a> {
    pub rt: &'a Runtime,
    nominal: Option<Nominal>,
    actual: Option<Part>,
    site: Option<Site>,
    method: AlignmentMethod,
    align_region: Option<&'a Region>,
    datums: Option<(Datums<'a>, f64)>,
    closing_mm: f64,
    ends_with_region: bool,
    features: Vec<Feature<'a>>,
    struts: Option<Designed>,
    strut_limits: FaultLimits,
    keeps_slices: bool,
    seconds: Mutex<BTreeMap<String, f64>>,
    nominal_distance: OnceLock<Result<MeshDistance, Error>>,
    alignment: OnceLock<Result<Aligned, Error>>,
    moved: OnceLock<Result<Mesh, Error>>,
    actual_field: OnceLock<Result<Field, Error>>,
    built: OnceLock<Result<MeshDistance, Error>>,
    nominal_field: OnceLock<Result<NominalField, Error>>,
    fit_field: OnceLock<Result<FitField, Error>>,
    excess: PerRegion<Option<Bracket>>,
    missing: PerRegion<Option<Bracket>>,
    achieved: Mutex<Vec<Achieved>>,
    fitted: OnceLock<Result<Fitted, Error>>,
    fitted_nominal: OnceLock<Result<Fitted, Error>>,
    filtered: Mutex<Means>,
    zones: Mutex<Zones>,
    shrinkages: PerRegion<Shrinkage>,
    porosities: PerRegion<Porosity>,
    /// Facets of the voids that shells tell.
    void_walls: OnceLock<Result<Vec<Vec<u32>>, Error>>,
    hull: OnceLock<Result<[Scene<'static>; 2], Error>>,
    pore_sizes: PerRegion<OnBoth<Sizes>>,
    wall_sizes: PerRegion<OnBoth<Sizes>>,
    throats: PerRegion<OnBoth<[Option<f64>; 3]>>,
    structures: PerRegion<OnBoth<Structure>>,
    closed_voids: PerRegion<OnBoth<Vec<ClosedVoid>>>,
    designed: OnceLock<Result<Designed, Error>>,
    as_built: OnceLock<Result<AsBuilt, Error>>,
    cells: PerRegion<Option<Cell>>,
    periods: PerRegion<[Option<Period>; 3]>,
    residue: OnceLock<Result<Residue, Error>>,
}

/// A result on each of a measurement's two lattices.
type OnBoth<T> = Arc<[T; 2]>;

/// Results by region; `None` is the whole part.
type PerRegion<T> = Mutex<Vec<(Option<String>, Result<T, Error>)>>;

/// Sites no further apart than this part of the nominal's diagonal.
const SITES_PER_DIAGONAL: f64 = 200.0;

impl<'a> Case<'a> {
    pub fn new(rt: &'a Runtime, nominal: Option<Nominal>, actual: Option<Part>, site: Option<Site>) -> Case<'a> {
        Case {
            rt,
            nominal,
            actual,
            site,
            method: AlignmentMethod::BestFit,
            align_region: None,
            datums: None,
            closing_mm: porosity::DEFAULT_CLOSING_MM,
            ends_with_region: false,
            features: vec![],
            struts: None,
            strut_limits: FaultLimits::default(),
            keeps_slices: false,
            seconds: Mutex::default(),
            nominal_distance: OnceLock::new(),
            alignment: OnceLock::new(),
            moved: OnceLock::new(),
            actual_field: OnceLock::new(),
            built: OnceLock::new(),
            nominal_field: OnceLock::new(),
            fit_field: OnceLock::new(),
            excess: PerRegion::default(),
            missing: PerRegion::default(),
            achieved: Mutex::default(),
            fitted: OnceLock::new(),
            fitted_nominal: OnceLock::new(),
            filtered: Mutex::default(),
            zones: Mutex::default(),
            shrinkages: PerRegion::default(),
            porosities: PerRegion::default(),
            void_walls: OnceLock::new(),
            hull: OnceLock::new(),
            pore_sizes: PerRegion::default(),
            wall_sizes: PerRegion::default(),
            throats: PerRegion::default(),
            structures: PerRegion::default(),
            closed_voids: PerRegion::default(),
            designed: OnceLock::new(),
            as_built: OnceLock::new(),
            cells: PerRegion::default(),
            periods: PerRegion::default(),
            residue: OnceLock::new(),
        }
    }

    pub fn aligned_by(mut self, method: AlignmentMethod, region: Option<&'a Region>) -> Self {
        (self.method, self.align_region) = (method, region);
        self
    }

    /// For the method `datum`; `patch_mm` is the radius of the surface patch whose mean stands for a point.
    pub fn located_by(mut self, datums: Datums<'a>, patch_mm: f64) -> Self {
        self.datums = Some((datums, patch_mm));
        self
    }

    pub fn closing(mut self, radius_mm: f64) -> Self {
        self.closing_mm = radius_mm;
        self
    }

    /// The image ends where the region does that is measured, and what it shows of the part goes on there.
    pub fn ending_with_region(mut self) -> Self {
        self.ends_with_region = true;
        self
    }

    pub fn with_features(mut self, features: Vec<Feature<'a>>) -> Self {
        self.features = features;
        self
    }

    /// For the quantities of the group `lattice.`: the designed struts; where they are `None`, struts or walls are found in the nominal.
    pub fn with_struts(mut self, struts: Option<Design>, limits: FaultLimits) -> Self {
        (self.struts, self.strut_limits) = (struts.map(Designed::Struts), limits);
        self
    }

    /// Keeps what planes show along each strut, for [`crate::lattice::Table::Sections`].
    pub fn keeping_slices(mut self, keep: bool) -> Self {
        self.keeps_slices = keep;
        self
    }

    pub fn nominal(&self) -> Result<&Nominal, Error> {
        self.nominal
            .as_ref()
            .ok_or_else(|| Error::input("order.no_nominal", "the quantity compares with a nominal and there is none: name one"))
    }

    pub fn actual(&self) -> Result<&Part, Error> {
        self.actual.as_ref().ok_or_else(|| Error::input("order.no_actual", "the quantity needs an actual part and there is none: name one"))
    }

    fn site(&self) -> Result<&Site, Error> {
        self.site.as_ref().ok_or_else(|| {
            Error::input("order.no_site", "the quantity needs a site (anatomy or mating device) and there is none: name one")
        })
    }

    /// Seconds of each stage so far.
    pub fn seconds(&self) -> BTreeMap<String, f64> {
        self.seconds.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    pub fn timed<T>(&self, stage: &str, f: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let out = f();
        *self.seconds.lock().unwrap_or_else(|e| e.into_inner()).entry(stage.into()).or_default() += start.elapsed().as_secs_f64();
        out
    }

    fn once<'c, T>(&self, cell: &'c OnceLock<Result<T, Error>>, stage: &str, f: impl FnOnce() -> Result<T, Error>) -> Result<&'c T, Error> {
        let run = || {
            self.rt.step(stage, 0.0)?;
            self.timed(stage, f)
        };
        cell.get_or_init(run).as_ref().map_err(Clone::clone)
    }

    fn once_per_region<T: Clone>(
        &self,
        results: &PerRegion<T>,
        region: Option<(&str, &Region)>,
        stage: &str,
        f: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let name = region.map(|(name, _)| name);
        let mut known = results.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((_, result)) = known.iter().find(|(n, _)| n.as_deref() == name) {
            return result.clone();
        }
        self.rt.step(stage, 0.0)?;
        let result = self.timed(stage, f);
        known.push((name.map(Into::into), result.clone()));
        result
    }

    pub fn nominal_distance(&self) -> Result<&MeshDistance, Error> {
        let nominal = self.nominal()?;
        self.once(&self.nominal_distance, "hierarchy", || Ok(MeshDistance::build(&nominal.mesh)))
    }

    pub fn alignment(&self) -> Result<&Aligned, Error> {
        let actual_centre = self.actual()?.mesh.bounds().centre();
        let unfitted = |pose| Aligned { pose, method: self.method, actual_centre, fit: None };
        match self.method {
            AlignmentMethod::None => self.once(&self.alignment, "align", || Ok(unfitted(Pose::identity()))),
            AlignmentMethod::Datum => {
                let (datums, patch_mm) = self.datums.as_ref().ok_or_else(|| {
                    Error::input("order.no_datums", "alignment by datum needs datums and there are none: name an order that states them")
                })?;
                let (nominal, actual) = (self.nominal_distance()?, self.actual()?);
                if actual.spacing_mm.is_some() {
                    let message = "datums rest on surfaces and the actual part is a point cloud: mesh the scan, or align by best-fit";
                    return Err(Error::input("align.cloud", message));
                }
                self.once(&self.alignment, "align", || {
                    let near = align::best_fit(nominal, &actual.mesh, None, self.rt)?;
                    let fit = self.by_datums(datums, *patch_mm, &near)?;
                    Ok(Aligned { pose: fit.nominal_from_actual, method: self.method, actual_centre, fit: Some(fit) })
                })
            }
            AlignmentMethod::BestFit => {
                let (nominal, actual) = (self.nominal_distance()?, self.actual()?);
                self.once(&self.alignment, "align", || {
                    let inside = self.align_region.map(|region| move |p: &Point3<f64>| region.contains(p));
                    let include = inside.as_ref().map(|f| f as &(dyn Fn(&Point3<f64>) -> bool + Sync));
                    let fit = align::best_fit(nominal, &actual.mesh, include, self.rt)?;
                    Ok(Aligned { pose: fit.nominal_from_actual, method: self.method, actual_centre, fit: Some(fit) })
                })
            }
        }
    }

    fn by_datums(&self, datums: &Datums, patch_mm: f64, near: &Alignment) -> Result<Alignment, Error> {
        let (nominal, actual) = (self.nominal_distance()?, &self.actual()?.mesh);
        match datums {
            Datums::Points(targets) => align::by_datums(nominal, actual, &System::Points(targets.clone()), patch_mm, near, self.rt),
            Datums::Features(features) => {
                let inside: Vec<_> = features.iter().map(|&(.., region)| move |p: &Point3<f64>| region.contains(p)).collect();
                let datums = features.iter().zip(&inside).map(|(&(name, kind, _), region)| Datum { name, kind, region }).collect();
                align::by_datums(nominal, actual, &System::Datums(datums), patch_mm, near, self.rt)
            }
        }
    }

    /// The smallest ratio of the largest patch deviation to its limits that any pose near the ordered one could achieve, with the
    /// patches it is about; `None` where the selection holds no patch.
    pub fn achievable(
        &self,
        region: Option<(&str, &Region)>,
        limits_mm: [f64; 2],
        patch_mm: f64,
    ) -> Result<Option<(Achievable, Patches)>, Error> {
        let (nominal, field) = (self.nominal_distance()?, self.actual_field()?);
        self.timed("achievable", || {
            let patches = Patches::new(field, &field.select(region.map(|r| r.1)), patch_mm)?;
            let limited = Limited { sites: &field.points, patches: patches.members(), limits_mm };
            let Some(found) = align::best_achievable(nominal, &limited, self.rt)? else { return Ok(None) };
            let centre = |p: usize| {
                patches.members()[p].iter().fold(Point3::origin(), |sum, &(i, share)| sum + field.points[i as usize].coords * share)
            };
            let binding = found.binding.iter().map(|&(patch, multiplier)| (centre(patch), multiplier)).collect();
            let achieved = Achieved { region: region.map(|r| r.0.into()), limits_mm, patch_mm, found: found.clone(), binding };
            self.achieved.lock().unwrap_or_else(|e| e.into_inner()).push(achieved);
            Ok(Some((found, patches)))
        })
    }

    /// What [`Self::achievable`] was asked so far, in that order.
    pub fn achieved(&self) -> Vec<Achieved> {
        self.achieved.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Why the pose forbids a quantity: it is ambiguous and the quantity depends on direction or place, or the fit failed.
    pub fn pose_cannot_carry(&self, depends_on_direction: bool) -> Result<Option<String>, Error> {
        if self.nominal.is_none() {
            return Ok(None);
        }
        let aligned = self.alignment()?;
        Ok(aligned.fit.as_ref().and_then(|fit| {
            if !fit.converged {
                Some(format!(
                    "the alignment did not converge in {} iterations: state a region that fixes the part, or datums",
                    fit.iterations
                ))
            } else if fit.ambiguous && depends_on_direction {
                Some(format!(
                    "the pose is ambiguous ({}) and the quantity depends on it: add a mark that fixes the pose",
                    fit.ambiguities.join("; ")
                ))
            } else {
                None
            }
        }))
    }

    /// What moves the actual part into the nominal frame: nothing where there is no nominal.
    fn pose(&self) -> Result<Pose, Error> {
        if self.nominal.is_none() { Ok(Pose::identity()) } else { Ok(self.alignment()?.pose) }
    }

    /// The actual part in the nominal frame (its own frame where there is no nominal).
    pub fn moved(&self) -> Result<&Mesh, Error> {
        if self.nominal.is_none() {
            return Ok(&self.actual()?.mesh);
        }
        let (actual, aligned) = (self.actual()?, self.alignment()?);
        self.once(&self.moved, "move", || Ok(actual.mesh.moved(&aligned.pose)))
    }

    /// What displaces a deviation of this case.
    pub fn effects(&self) -> Result<Effects, Error> {
        let (aligned, actual) = (self.alignment()?, self.actual()?);
        Ok(Effects {
            offset_mm: actual.offset_u_mm,
            scale: actual.scale_u,
            centre: aligned.fit.as_ref().map_or_else(|| aligned.pose.apply(&aligned.actual_centre), |fit| fit.centre),
            offset_moves: aligned.fit.as_ref().map_or_else(Default::default, |fit| Effects::mode_of(&fit.offset_response)),
            pose_modes: aligned.fit.as_ref().map_or_else(Vec::new, |fit| Effects::modes_of(&fit.covariance)),
            chord_mm: self.nominal.as_ref().map_or(0.0, |n| n.chord_u_mm),
            noise_length_mm: actual.noise_length_mm,
        })
    }

    fn site_step_mm(&self, mesh: &Mesh) -> f64 {
        mesh.bounds().diagonal_mm() / SITES_PER_DIAGONAL
    }

    /// Noise of samples on the actual mesh: their vertex's, or their triangle's first vertex's.
    fn noise_of(part: &Part, samples: &Samples) -> Vec<f32> {
        let vertex = |i: usize| if i < samples.vertices { i } else { part.mesh.triangles()[samples.triangles[i] as usize][0] as usize };
        (0..samples.len()).map(|i| part.point_u_mm[vertex(i)]).collect()
    }

    /// Deviation on the actual surface.
    pub fn actual_field(&self) -> Result<&Field, Error> {
        let (nominal, moved, actual, effects) = (self.nominal_distance()?, self.moved()?, self.actual()?, self.effects()?);
        self.once(&self.actual_field, "deviation", || {
            let samples = match actual.spacing_mm {
                Some(_) => Samples::of_points(moved.vertices(), point_areas_mm2(moved.vertices())),
                None => Samples::of(moved, self.site_step_mm(nominal.mesh())),
            };
            let signed = nominal.signed_as(&samples.points, self.rt, |s| (s.distance_mm, s.normal, !s.sign_defined))?;
            let noise = Case::noise_of(actual, &samples);
            let (values, normals) = signed.iter().map(|s| (s.0, s.1)).unzip();
            let undefined = signed.iter().map(|s| s.2).collect();
            Ok(Field::new(samples, normals, values, undefined, noise, &effects))
        })
    }

    /// The aligned actual surface with its search structure.
    fn built(&self) -> Result<&MeshDistance, Error> {
        let moved = self.moved()?;
        self.once(&self.built, "hierarchy", || Ok(MeshDistance::build(moved)))
    }

    /// Bounds of the largest distance from the actual surface, in a region or the whole, to the nominal.
    pub fn largest_excess(&self, region: Option<(&str, &Region)>) -> Result<Option<Bracket>, Error> {
        let (nominal, moved) = (self.nominal_distance()?, self.moved()?);
        self.once_per_region(&self.excess, region, "hausdorff", || self.largest(moved, nominal, region))
    }

    /// Bounds of the largest distance from the nominal surface, in a region or the whole, to the actual.
    pub fn largest_missing(&self, region: Option<(&str, &Region)>) -> Result<Option<Bracket>, Error> {
        let (nominal, built) = (self.nominal()?, self.built()?);
        self.once_per_region(&self.missing, region, "hausdorff", || self.largest(&nominal.mesh, built, region))
    }

    fn largest(&self, from: &Mesh, to: &MeshDistance, region: Option<(&str, &Region)>) -> Result<Option<Bracket>, Error> {
        let contains = region.map(|(_, region)| move |p: &Point3<f64>| region.contains(p));
        let step_mm = self.site_step_mm(&self.nominal()?.mesh);
        let within = contains.as_ref().map(|f| Within { contains: f, step_mm });
        hausdorff::directed(from, to, within, self.rt)
    }

    /// Deviation seen from the nominal surface.
    pub fn nominal_field(&self) -> Result<&NominalField, Error> {
        let (nominal, built, actual, effects) = (self.nominal()?, self.built()?, self.actual()?, self.effects()?);
        self.once(&self.nominal_field, "coverage", || {
            let samples = Samples::of(&nominal.mesh, self.site_step_mm(&nominal.mesh));
            let unit = |mesh: &Mesh, t: u32| mesh.area_vector(t as usize).try_normalize(0.0).unwrap_or_else(Vector3::zeros);
            let normals: Vec<Vector3<f64>> = samples.triangles.iter().map(|&t| unit(&nominal.mesh, t)).collect();
            let seen = SeenFrom { points: &samples.points, normals: &normals };
            let (values, facing) = match actual.reach_aside_mm() {
                Some(aside) => seen.cloud(&built.nearest_all(&samples.points, self.rt)?, &self.actual_field()?.normals, aside),
                None => seen.surface(&built.signed_all(&samples.points, self.rt)?, self.site_step_mm(&nominal.mesh)),
            };
            let mut noise: Vec<f32> = actual.point_u_mm.clone();
            noise.sort_unstable_by(f32::total_cmp);
            let typical = noise.get(noise.len() / 2).copied().unwrap_or(0.0);
            let count = samples.len();
            let field = Field::new(samples, normals, values, vec![false; count], vec![typical; count], &effects);
            Ok(NominalField { field, facing, reach_mm: 0.02 * nominal.mesh.bounds().diagonal_mm() })
        })
    }

    /// Nominal and actual in one plane.
    pub fn section(&self, name: &str, plane: &Plane) -> Result<Compared, Error> {
        let (nominal, moved, actual, effects) = (self.nominal_distance()?, self.moved()?, self.actual()?, self.effects()?);
        self.timed("sections", || Ok(section::compare(name, plane, nominal, moved, self.rt)?.known(moved, &actual.point_u_mm, &effects)))
    }

    /// Gap on the device's surface.
    pub fn fit_field(&self) -> Result<&FitField, Error> {
        let (site, device, actual, mut effects) = (self.site()?, self.moved()?, self.actual()?, self.effects()?);
        effects.offset_mm = (effects.offset_mm * effects.offset_mm + site.u_mm * site.u_mm).sqrt();
        effects.chord_mm = edges::sagitta_mm(&site.mesh, &Edges::of(&site.mesh)) / 3.0_f64.sqrt();
        self.once(&self.fit_field, "fit", || {
            let samples = Samples::of(device, self.site_step_mm(device));
            let signed = MeshDistance::build(&site.mesh).signed_all(&samples.points, self.rt)?;
            let outward = device.vertex_normals();
            let normal_of = |i: usize| {
                if i < samples.vertices {
                    outward[i]
                } else {
                    device.area_vector(samples.triangles[i] as usize).try_normalize(0.0).unwrap_or_else(Vector3::zeros)
                }
            };
            let facing = (0..samples.len()).map(|i| signed[i].normal.dot(&normal_of(i)) < -0.5).collect();
            let noise = Case::noise_of(actual, &samples);
            let (values, normals) = signed.iter().map(|s| (s.distance_mm, s.normal)).unzip();
            let undefined = signed.iter().map(|s| !s.sign_defined).collect();
            Ok(FitField { field: Field::new(samples, normals, values, undefined, noise, &effects), facing })
        })
    }

    /// Scale and offset of the actual against the nominal; in a region or the whole.
    pub fn shrinkage(&self, region: Option<(&str, &Region)>) -> Result<Shrinkage, Error> {
        let (nominal, actual, aligned) = (self.nominal_distance()?, self.actual()?, self.alignment()?);
        let inside = region.map(|(_, region)| move |p: &Point3<f64>| region.contains(p));
        let include = inside.as_ref().map(|f| f as &(dyn Fn(&Point3<f64>) -> bool + Sync));
        self.once_per_region(&self.shrinkages, region, "shrinkage", || {
            shrinkage::fit(nominal, &actual.mesh, &aligned.pose, include, self.rt)
        })
    }

    /// Findings of the alignment.
    pub fn alignment_findings(&self) -> Result<Vec<Finding>, Error> {
        let Some(fit) = self.alignment()?.fit.as_ref() else { return Ok(vec![]) };
        let mut findings = Vec::new();
        if fit.ambiguous {
            let why = fit.ambiguities.join("; ");
            findings.push(Finding::qualify(
                "alignment.ambiguous",
                format!("the pose is not unique: {why}; values that depend on it are not measured"),
            ));
        }
        if fit.mirrored {
            findings.push(
                Finding::qualify(
                    "alignment.mirrored",
                    "the mirror image of the nominal fits the part clearly better: check left and right",
                )
                .clause("8.3.2.1 a)"),
            );
        }
        Ok(findings)
    }
}
