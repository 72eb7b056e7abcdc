//! A case: an order and its inputs, measured and decided.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Error;
use crate::finding::Finding;
use crate::frame::Pose;
use crate::judgement::{Evidence, Payload, Stamp};
use crate::order::{AlignmentMethod, ComponentsOrder, LengthUnit, SurfaceOrder};
use crate::quantities::QuantityJson;
use crate::runtime::Runtime;

/// A judgement before it is signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub payload: Payload,
    pub evidence: Vec<Evidence>,
}

/// Runs a whole order. Inputs are found beside the order file.
pub fn judge(_order_file: &Path, _stamp: Stamp, _rt: &Runtime) -> Result<Judged, Error> {
    Err(Error::defect("not built"))
}

/// The JSON of every measuring command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    pub quantities: BTreeMap<String, QuantityJson>,
    pub findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alignment: Option<AlignmentJson>,
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
    pub inputs: Vec<InputJson>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputJson {
    pub name: String,
    pub sha256: String,
}

/// A volume or mesh on the command line, with how to read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub path: PathBuf,
    pub unit: LengthUnit,
    pub surface: SurfaceOrder,
    pub components: ComponentsOrder,
}

/// `compare NOMINAL ACTUAL`. `map` receives the per-vertex signed deviation as PLY; `region` names a region of the order given.
pub struct Compare<'a> {
    pub nominal: Source,
    pub actual: Source,
    pub align: AlignmentMethod,
    pub tolerance: Option<[f64; 2]>,
    pub map: Option<PathBuf>,
    pub region: Option<RegionRef<'a>>,
}

/// A region of an order, for the measuring commands' `--order FILE --region NAME`.
#[derive(Clone, Copy, Debug)]
pub struct RegionRef<'a> {
    pub order_file: &'a Path,
    pub name: &'a str,
}

pub fn compare(_job: &Compare, _rt: &Runtime) -> Result<Measurement, Error> {
    Err(Error::defect("not built"))
}

/// `segment VOLUME -o MESH`: also gives `image.` and `body.` quantities.
pub fn segment(_volume: &Source, _mesh_out: &Path, _rt: &Runtime) -> Result<Measurement, Error> {
    Err(Error::defect("not built"))
}

pub fn shrinkage(_nominal: &Source, _actual: &Source, _align: AlignmentMethod, _rt: &Runtime) -> Result<Measurement, Error> {
    Err(Error::defect("not built"))
}

/// What the porosity is a fraction of.
#[derive(Clone, Debug, PartialEq)]
pub enum Envelope {
    Hull,
    Volume,
    File(PathBuf),
}

pub fn pores(_part: &Source, _envelope: &Envelope, _region: Option<RegionRef>, _rt: &Runtime) -> Result<Measurement, Error> {
    Err(Error::defect("not built"))
}

/// `fit DEVICE SITE` as placed; `allow_mm` is the interference that still counts as contact.
pub fn fit(_device: &Source, _site: &Source, _allow_mm: f64, _region: Option<RegionRef>, _rt: &Runtime) -> Result<Measurement, Error> {
    Err(Error::defect("not built"))
}
