//! The order: what was asked for, as data. TOML or JSON, one schema, `verimetry/order/1`.
//!
//! The types here are what a valid order says. [`parse`] reads foreign bytes: at most [`MAX_BYTES`], nesting bounded by the
//! two syntaxes' own parsers, unknown keys and duplicates refused, every rule of `check` held. [`resolve`] turns a path of
//! the order into one of this machine; paths are relative to the order file and may not leave its folder.
//! Whether a quantity's name is known is the catalogue's business ([`Order::with_known_quantities`]).

mod check;
mod error;
mod feature;
mod parse;
mod path;

pub use error::{Fault, OrderError};
pub use feature::FeatureOrder;
pub use parse::{Features, MAX_BYTES, parse, parse_features};
pub use path::{refused_path, resolve};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lattice::FaultLimits;

/// Value of the key `schema`.
pub const SCHEMA: &str = "verimetry/order/1";

/// The JSON Schema of an order; its TOML form has the same keys.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Order).to_value()
}

/// A whole order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Always `verimetry/order/1`.
    pub schema: String,
    pub order: Header,
    pub nominal: MeshInput,
    pub actual: ActualInput,
    /// Anatomy or mating device, for `fit.` quantities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<MeshInput>,
    #[serde(default)]
    pub alignment: AlignmentOrder,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Declared>,
    /// Findings of severity `stop` that the order accepts, by code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub region: Vec<RegionOrder>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feature: Vec<FeatureOrder>,
    /// Designed struts, for `lattice.` quantities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lattice: Option<LatticeOrder>,
    /// Plane sections that the judgement shows as evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub section: Vec<SectionOrder>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirement: Vec<Requirement>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionOrder>,
}

/// What the case is about (clauses 5.2.2, 6.2.1, 7.1.3, 9.3.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub id: String,
    pub device: String,
    /// Unique device identification.
    pub device_id: String,
    pub device_class: DeviceClass,
    pub implantable: bool,
    /// A pseudonym, never a name.
    pub patient: String,
    /// ISO 8601 date, `YYYY-MM-DD`.
    pub image_acquired: String,
    /// ISO 8601 date, `YYYY-MM-DD`.
    pub design_completed: String,
}

/// Clause 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceClass {
    Customised,
    PatientMatched,
}

/// Unit of a mesh file's coordinates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LengthUnit {
    #[default]
    #[serde(rename = "mm")]
    Millimetre,
    #[serde(rename = "um")]
    Micrometre,
    #[serde(rename = "cm")]
    Centimetre,
    #[serde(rename = "m")]
    Metre,
    #[serde(rename = "in")]
    Inch,
}

impl LengthUnit {
    /// Length of one unit, mm.
    pub fn millimetres(self) -> f64 {
        match self {
            LengthUnit::Millimetre => 1.0,
            LengthUnit::Micrometre => 1e-3,
            LengthUnit::Centimetre => 10.0,
            LengthUnit::Metre => 1000.0,
            LengthUnit::Inch => 25.4,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeshInput {
    pub file: String,
    #[serde(default)]
    pub unit: LengthUnit,
    /// Largest distance between the mesh and the surface it stands for (chord error of the export, clause 4.4.3), mm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chord_error: Option<f64>,
    /// Standard uncertainty of a site's surface, mm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_uncertainty: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActualInput {
    /// A volume (file or DICOM folder) or a mesh.
    pub file: String,
    #[serde(default)]
    pub unit: LengthUnit,
    #[serde(default)]
    pub surface: SurfaceOrder,
    /// Bodies of a volume that are kept; left out, all where the order asks about pores, walls or struts, else the largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<ComponentsOrder>,
    /// Materials in the volume beside air (a titanium part in a plastic holder: 2).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub materials: u8,
    /// Which of them the part is, counted from the densest; what is denser belongs to it too.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub material: u8,
    /// Starts the search for edges in a noisy volume on its 3 x 3 x 3 medians; the edges are those of the volume as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denoise: bool,
    /// Relative standard uncertainty of the scanner's length scale; 0.003 where no artefact or calibration tells better.
    #[serde(default = "default_scale_uncertainty")]
    pub scale_uncertainty: f64,
    /// Standard uncertainty of one surface point of a scanned mesh, mm (a volume's own is determined from the image).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_uncertainty: Option<f64>,
}

fn one() -> u8 {
    1
}

fn is_one(n: &u8) -> bool {
    *n == 1
}

pub const DEFAULT_SCALE_UNCERTAINTY: f64 = 0.003;

fn default_scale_uncertainty() -> f64 {
    DEFAULT_SCALE_UNCERTAINTY
}

/// How the surface is found in a volume: `adaptive`, `iso50`, `otsu` or a grey value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"adaptive\", \"iso50\", \"otsu\" or a grey value")]
pub enum SurfaceOrder {
    Named(SurfaceName),
    Value(f64),
}

impl Default for SurfaceOrder {
    fn default() -> Self {
        SurfaceOrder::Named(SurfaceName::Adaptive)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SurfaceName {
    Adaptive,
    Iso50,
    Otsu,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ComponentsOrder {
    #[default]
    Largest,
    All,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlignmentOrder {
    #[serde(default)]
    pub method: AlignmentMethod,
    /// Only this region aligns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Method `datum`: one to three features of the order (plane, cylinder or sphere, each with a region), the one of highest precedence
    /// first (ISO 5459).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datum: Vec<String>,
    /// Method `datum` with a reference point system instead of features: at least six points.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub point: Vec<TargetOrder>,
    /// Method `datum`: radius of the surface patch whose mean stands for a point, mm; 0.5 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<f64>,
}

/// A reference point on the nominal surface and the direction, out of the material, along which the part is held there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetOrder {
    /// Nominal frame, mm.
    pub at: [f64; 3],
    /// Of any length above 0.
    pub direction: [f64; 3],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlignmentMethod {
    #[default]
    BestFit,
    Datum,
    None,
}

/// The designed struts and from when on a deviation of one is a fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatticeOrder {
    /// JSON file `{"nodes": [[x, y, z], …], "struts": [[node, node, diameter], …]}`, nominal frame, mm, nodes counted from 0.
    /// Without one the struts are found in the nominal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub struts: Option<String>,
    /// Share of its designed diameter below which a strut is thin; 0.8 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thin: Option<f64>,
    /// Length of a gap from which on a strut is broken, mm; 0.1 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<f64>,
    /// Displacement of a node that is told, in diameters of its struts; 0.5 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<f64>,
}

impl LatticeOrder {
    pub fn limits(&self) -> FaultLimits {
        let unless = FaultLimits::default();
        FaultLimits {
            thin: self.thin.unwrap_or(unless.thin),
            gap_mm: self.gap.unwrap_or(unless.gap_mm),
            node: self.node.unwrap_or(unless.node),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// Per cent per axis, what the design file declares (8.3.2.1 c).
    pub shrinkage: [f64; 3],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionOrder {
    pub name: String,
    pub shape: Shape,
}

/// A region's shape in the nominal frame, mm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Shape {
    Box {
        min: [f64; 3],
        max: [f64; 3],
    },
    Sphere {
        centre: [f64; 3],
        radius: f64,
    },
    /// Between the two ends of the axis.
    Cylinder {
        from: [f64; 3],
        to: [f64; 3],
        radius: f64,
    },
    /// Inside this closed mesh (file, mm).
    Mesh(String),
}

/// A plane through nominal and actual, nominal frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SectionOrder {
    /// Letters, digits, _ and -: it becomes part of the evidence's name.
    pub name: String,
    /// A point of the plane, mm.
    pub at: [f64; 3],
    /// Of any length above 0; points to the viewer.
    pub normal: [f64; 3],
}

/// One requirement: a quantity, where, and its limits. `min`, `max` or both; or `nominal` with `tolerance` (± half, or [lower, upper] offsets).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    pub id: String,
    pub clause: String,
    pub quantity: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nominal: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Tolerance>,
    /// Key requirement: passes the capability gate before it is decided. Requirements with a limit of 0.1 mm or less always do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub key: bool,
    /// Limits within which `deviation.in_tolerance` counts area and `pore.in_range` pore volume, mm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<[f64; 2]>,
    /// Radius of the surface patch of `deviation.peak_min` and `peak_max`, mm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<f64>,
    /// Diameter of the sphere of `pore.accessible`, mm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sphere: Option<f64>,
}

/// Limits of a requirement, in its quantity's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max: Option<f64>,
}

impl AlignmentMethod {
    /// As the order writes it.
    pub fn name(self) -> &'static str {
        match self {
            AlignmentMethod::BestFit => "best-fit",
            AlignmentMethod::Datum => "datum",
            AlignmentMethod::None => "none",
        }
    }
}

impl Rule {
    /// As the order writes it.
    pub fn name(self) -> &'static str {
        match self {
            Rule::ConformanceProbability95 => "conformance-probability95",
            Rule::SimpleAcceptance => "simple-acceptance",
        }
    }
}

impl Requirement {
    /// The limits as numbers in the quantity's unit, whichever of the two ways the order gives them.
    pub fn limits(&self) -> Limits {
        match (self.nominal, self.tolerance) {
            (Some(nominal), Some(Tolerance::Symmetric(t))) => Limits { min: Some(nominal - t), max: Some(nominal + t) },
            (Some(nominal), Some(Tolerance::Offsets([lower, upper]))) => Limits { min: Some(nominal + lower), max: Some(nominal + upper) },
            _ => Limits { min: self.min, max: self.max },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number (plus and minus) or two offsets [lower, upper]")]
pub enum Tolerance {
    /// Plus and minus this much.
    Symmetric(f64),
    /// Signed offsets from the nominal value: [lower, upper].
    Offsets([f64; 2]),
}

/// The decision rule, where the order names another than the default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionOrder {
    pub rule: Rule,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// ISO 14253-1:2017 / JCGM 106: conforms when p ≥ 0.95, does not when p ≤ 0.05, undecided between.
    #[default]
    ConformanceProbability95,
    /// Value inside the limits conforms, whatever its uncertainty (JCGM 106 8.2.1).
    SimpleAcceptance,
}
