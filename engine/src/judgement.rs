//! The judgement payload, `verimetry/judgement/1`: what is signed. Reading a payload and its report needs nothing else.
//!
//! Every number here comes from a quantity. No path, no patient name, no DICOM identity is ever put in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::Finding;

pub const SCHEMA: &str = "verimetry/judgement/1";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    pub schema: String,
    pub id: String,
    /// RFC 3339, UTC.
    pub issued: String,
    pub order: OrderRecord,
    pub inputs: Vec<InputRecord>,
    pub findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alignment: Option<AlignmentRecord>,
    pub results: Vec<ResultRecord>,
    pub decision: Decision,
    pub evidence: Vec<EvidenceRecord>,
    pub retention: Retention,
    /// SHA-256 of the judgement before it in the same case.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub predecessor: Option<String>,
    pub provenance: Provenance,
}

/// The order's fields and digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderRecord {
    pub sha256: String,
    pub fields: crate::order::Header,
}

/// One input: its role (`nominal`, `actual`, `site`, `region`), the name the order gives it, its bytes, what was read from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputRecord {
    pub role: String,
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
    /// As `inspect` says it.
    pub read: serde_json::Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlignmentRecord {
    pub method: String,
    /// 4x4 row-major, mm.
    pub nominal_from_actual: [[f64; 4]; 4],
    pub ambiguous: bool,
    /// What makes it ambiguous, in words; empty where it is not.
    pub ambiguities: Vec<String>,
    pub rms_mm: f64,
    pub converged: bool,
    pub iterations: u32,
}

/// One requirement's outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultRecord {
    pub requirement: String,
    pub clause: String,
    pub quantity: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    /// `null` where it was not measured.
    pub value: Option<f64>,
    pub unit: String,
    /// U = 2u.
    pub expanded_uncertainty: Option<f64>,
    /// Standard-uncertainty contributions by name, in the quantity's unit.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub budget: Vec<Contribution>,
    pub limits: Limits,
    pub rule: String,
    pub conformance_probability: Option<f64>,
    pub decision: Decision,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Names of the evidence it rests on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub evidence: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contribution {
    pub name: String,
    pub u: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max: Option<f64>,
}

/// Three outcomes and a fourth that says why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Conforms,
    DoesNotConform,
    Undecided,
    NotMeasured,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRecord {
    pub name: String,
    pub media_type: String,
    pub bytes: u64,
    pub sha256: String,
}

/// Clauses 5.4.5 and 5.4.6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    pub clause: String,
    /// `permanent` or `years_after_release`.
    pub class: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub years: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    pub version: String,
    pub source_revision: String,
    /// Version of each method that touches a judged number.
    pub methods: std::collections::BTreeMap<String, String>,
    pub backend: String,
    pub driver: String,
    /// Fallbacks and other facts about how the run was done.
    pub notes: Vec<String>,
    pub parameters: serde_json::Value,
    pub seeds: Vec<u64>,
    pub seconds: std::collections::BTreeMap<String, f64>,
}

/// A file that goes with a judgement.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub name: String,
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
}

/// What the engine cannot know: filled in by the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamp {
    pub id: String,
    /// RFC 3339, UTC.
    pub issued: String,
    pub source_revision: String,
    pub predecessor: Option<String>,
}
