//! The judgement payload, `verimetry/judgement/1`: what is signed. Reading a payload and its report needs nothing else.
//!
//! Every number here comes from a quantity. No path, no patient name, no DICOM identity is ever put in.
//! [`Payload::to_value`] is the only way from a payload to what is signed; [`differences`] is what a replay answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::finding::Finding;
use crate::order::Limits;

pub const SCHEMA: &str = "verimetry/judgement/1";

/// The JSON Schema of a payload.
pub fn schema() -> Value {
    schemars::schema_for!(Payload).to_value()
}

/// Who signs, and as what (clauses 8.2.1, 8.2.2, 9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// verimetry itself: computed by. A judgement without this signature is none.
    Engine,
    Clinician,
    Designer,
    Manufacturer,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Engine, Role::Clinician, Role::Designer, Role::Manufacturer];

    pub fn name(self) -> &'static str {
        match self {
            Role::Engine => "engine",
            Role::Clinician => "clinician",
            Role::Designer => "designer",
            Role::Manufacturer => "manufacturer",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Role::ALL.into_iter().find(|r| r.name() == name).ok_or_else(|| {
            Error::signature(
                "signature.role",
                format!("role {name:?}; allowed are engine, clinician, designer, manufacturer; name one of them"),
            )
        })
    }
}

/// The roles whose signatures a judgement needs before the device is released (clauses 8.2.1, 8.2.2, 9.3.1).
pub const REQUIRED_SIGNATURES: [Role; 4] = Role::ALL;

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
    /// Roles whose signatures release the device. They stand inside what is signed, so that taking a signature away shows.
    pub required_signatures: Vec<Role>,
    pub provenance: Provenance,
}

impl Payload {
    /// The payload as JSON, or a defect where JSON cannot carry it: NaN and infinity (which serde writes as `null`) and
    /// integers that a double does not hold (RFC 8785 numbers are doubles).
    pub fn to_value(&self) -> Result<Value, Error> {
        let defect = |what: &str| Error::defect(format!("the judgement payload cannot be written as JSON: {what}"));
        let value = serde_json::to_value(self).map_err(|e| defect(&e.to_string()))?;
        if !holds_exact_integers(&value) {
            return Err(defect("an integer beyond 2^53"));
        }
        let back = serde_json::from_value::<Payload>(value.clone()).map_err(|e| defect(&e.to_string()))?;
        if back == *self { Ok(value) } else { Err(defect("a value that is not a finite number")) }
    }
}

fn holds_exact_integers(value: &Value) -> bool {
    const LARGEST: u64 = 1 << 53;
    match value {
        Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => n <= LARGEST,
            (None, Some(n)) => n.unsigned_abs() <= LARGEST,
            (None, None) => true,
        },
        Value::Array(items) => items.iter().all(holds_exact_integers),
        Value::Object(fields) => fields.values().all(holds_exact_integers),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// One value in which two payloads differ; `None` where one of them has nothing there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// JSON pointer (RFC 6901).
    pub pointer: String,
    pub expected: Option<Value>,
    pub found: Option<Value>,
}

/// What may differ between a judgement and its replay: when and under what name it was issued, what it ran on and how long it took.
/// `predecessor` too: a replay stands outside the chain of its case, and the chain has its own check.
const NOT_REPLAYED: [&str; 7] =
    ["/id", "/issued", "/predecessor", "/provenance/backend", "/provenance/driver", "/provenance/notes", "/provenance/seconds"];

/// Every value in which a replay differs from the judgement, numbers compared bit for bit. Zeros of both signs are one number,
/// and so are 1 and 1.0: the signed form (RFC 8785) cannot tell them apart.
pub fn differences(expected: &Payload, found: &Payload) -> Result<Vec<Difference>, Error> {
    let mut all = value_differences(&expected.to_value()?, &found.to_value()?);
    all.retain(|d| !NOT_REPLAYED.iter().any(|p| d.pointer.strip_prefix(p).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))));
    Ok(all)
}

/// Every value in which two JSON documents differ, in document order; numbers as [`differences`] compares them.
pub fn value_differences(expected: &Value, found: &Value) -> Vec<Difference> {
    let mut all = Vec::new();
    compare(String::new(), Some(expected), Some(found), &mut all);
    all
}

fn compare(pointer: String, expected: Option<&Value>, found: Option<&Value>, all: &mut Vec<Difference>) {
    match (expected, found) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                compare(format!("{pointer}/{escaped}"), a.get(key), b.get(key), all);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for i in 0..a.len().max(b.len()) {
                compare(format!("{pointer}/{i}"), a.get(i), b.get(i), all);
            }
        }
        (Some(Value::Number(a)), Some(Value::Number(b))) if same_number(a, b) => {}
        (a, b) if a == b => {}
        (a, b) => all.push(Difference { pointer, expected: a.cloned(), found: b.cloned() }),
    }
}

fn same_number(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    match (a.as_u64(), b.as_u64(), a.as_f64(), b.as_f64()) {
        (Some(a), Some(b), ..) => a == b,
        (_, _, Some(a), Some(b)) => a == b, // no NaN in JSON, so only the sign of zero is lost
        _ => false,
    }
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
    /// Residual of the fit, mm; none where nothing was fitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rms_mm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub converged: Option<bool>,
    pub iterations: u32,
    /// What shows that the fit ended at a minimum, and how far the next one is; none where nothing was fitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<ConvergenceRecord>,
    /// What the best pose would achieve, where requirements ask for it; never the pose that was judged at.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub achievable: Vec<AchievableRecord>,
}

/// The smallest largest deviation that any pose near the ordered one gives, with the certificate that it is the smallest: multipliers of the
/// patches that bind, whose magnitudes add up to 1 and whose pulls on the pose balance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AchievableRecord {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    pub limits_mm: [f64; 2],
    /// Radius of the surface patches whose means are limited, mm.
    pub patch_mm: f64,
    /// Largest |deviation - middle of the limits| ÷ half their width at the best pose, and at the ordered one.
    pub ratio: f64,
    pub ordered_ratio: f64,
    /// Moves the part from the ordered pose to the best one.
    pub optimal_from_ordered: [[f64; 4]; 4],
    pub binding: Vec<BindingRecord>,
    /// Length of the sum of the pulls, rotations in units of the part's radius: 0 at an exact optimum.
    pub stationarity: f64,
    /// What the last programme still promised, as a change of the ratio.
    pub promised: f64,
    pub programmes: u32,
    pub converged: bool,
}

/// A patch that binds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BindingRecord {
    /// Its centre in the nominal frame.
    pub at_mm: [f64; 3],
    /// Positive at the upper limit, negative at the lower.
    pub multiplier: f64,
}

/// The end of a fit (rotations times the radius of gyration of the nominal, so that they are lengths).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvergenceRecord {
    /// Norm of half the gradient of the mean squared distance, mm.
    pub gradient_norm_mm: f64,
    /// Largest displacement of the last step, mm.
    pub last_step_mm: f64,
    /// Clearly different minima among the starts of the global search, the chosen one included.
    pub minima: u32,
    /// Root mean square of the best other minimum, on the same sample as `best_rms_mm`, mm; none where there is no other.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub second_best_rms_mm: Option<f64>,
    /// Degrees of freedom that nothing holds.
    pub free_dofs: u32,
    /// Standard uncertainties: rotation vector (rad) about `centre_mm`, then translation (mm).
    pub standard_uncertainty: [f64; 6],
    pub centre_mm: [f64; 3],
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
    /// Of form and touching sizes: the proof of the zone that the value is read off.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub zone: Option<ZoneRecord>,
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

/// The proof that a minimum zone or a touching shape is the best near where it was found: multipliers of the places that it touches, which add up
/// to 1 and whose pulls on the shape balance, and a bound that no shape within reach is better than.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneRecord {
    /// `minimum_zone`, `largest_inscribed` or `smallest_circumscribed`.
    pub goal: String,
    /// Radius of the surface patches whose means the zone holds, mm.
    pub patch_mm: f64,
    /// No shape within reach has a narrower zone (a smaller circumscribed, a larger inscribed diameter) than this, mm.
    pub bound_mm: f64,
    /// Between the value and its bound, mm.
    pub gap_mm: f64,
    /// The reach: shifts and changes of sizes up to so many mm, tilts and changes of a half angle up to so many rad.
    pub reach_mm: f64,
    pub reach_rad: f64,
    /// Length of the sum of the pulls, angles in units of the feature's extent: 0 at an exact optimum.
    pub stationarity: f64,
    /// What the last programme still promised, mm.
    pub promised_mm: f64,
    pub contacts: Vec<ContactRecord>,
}

/// A place that a zone touches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactRecord {
    /// The patch's mean, in the nominal frame (the part's own without a nominal).
    pub at_mm: [f64; 3],
    /// On the zone's far side from the axis or centre, or above its plane; else on the near.
    pub outside: bool,
    pub multiplier: f64,
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
