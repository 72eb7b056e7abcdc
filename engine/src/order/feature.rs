//! The `[[feature]]` tables: which points are a feature's, what is fitted to them, and what they are held against.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A feature to fit (quantities of the group `dimension.`). Places are in the nominal frame, mm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureOrder {
    pub name: String,
    /// line, plane, circle, sphere, cylinder, cone or torus.
    pub fit: String,
    /// Points of the surface inside this region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Surface grown from the point nearest to this one until it bends; within the region, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<[f64; 3]>,
    /// Mesh (file, mm) of the face as designed: surface near it that faces as it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// How near to the patch, mm; 0.5 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<f64>,
    /// Points nearer than this to where the surface turns away stay out, mm; for a volume twice its edge blur and a voxel unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub border: Option<f64>,
    /// Radius of the surface patch over which form is averaged, mm; that of the requirement unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<f64>,
    /// Feature that distance, angle, orientation, concentricity and run-out are taken to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datum: Option<String>,
    /// Exact angle to the datum that angularity is held against, degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub angle: Option<f64>,
    /// Of a line: normal of the plane that its straightness is taken in (ISO 1101 with an intersection plane); in space unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub straight_in: Option<[f64; 3]>,
    /// True position; where the same feature of the nominal lies unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<[f64; 3]>,
}
