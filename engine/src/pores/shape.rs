//! Closed voids by their shape, as casting and additive practice tells gas pores, lack of fusion and shrinkage apart.
//!
//! Shape is what the image shows; where a void comes from it suggests and does not prove. The limits are stated with every count.

use serde::{Deserialize, Serialize};

use super::ClosedVoid;

/// What a void looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    Round,
    Flat,
    Irregular,
}

/// Least sphericity of a round void.
const ROUND: f64 = 0.7;
/// A principal diameter of less than this share of another is that of a flat or drawn-out void.
const SHORT: f64 = 0.5;

impl Shape {
    pub const ALL: [Shape; 3] = [Shape::Round, Shape::Flat, Shape::Irregular];

    pub fn of(void: &ClosedVoid) -> Shape {
        let [shortest, middle, longest] = void.principal_mm;
        if shortest < SHORT * middle {
            Shape::Flat
        } else if void.sphericity() >= ROUND && shortest >= SHORT * longest {
            Shape::Round
        } else {
            Shape::Irregular
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Shape::Round => "round",
            Shape::Flat => "flat",
            Shape::Irregular => "irregular",
        }
    }

    pub fn definition(self) -> &'static str {
        match self {
            Shape::Round => "sphericity of at least 0.7, shortest principal diameter at least half the longest: as gas leaves pores",
            Shape::Flat => "shortest principal diameter less than half the middle one: as lack of fusion leaves voids",
            Shape::Irregular => "neither round nor flat: as shrinkage leaves voids",
        }
    }
}

/// What [`ClosedVoid::is_near_surface`] means.
pub const NEAR_SURFACE: &str = "nearer to the part's outer surface than its own equivalent diameter";

/// The voids of one shape inside the envelope, those that it cuts included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapeCount {
    pub shape: Shape,
    pub definition: String,
    pub voids: u64,
    pub volume_mm3: f64,
    pub largest_mm3: f64,
    pub near_surface: u64,
}

impl ShapeCount {
    /// Of the voids of at least a volume.
    pub fn of(voids: &[ClosedVoid], least_mm3: f64) -> Vec<ShapeCount> {
        let counted = |shape: Shape| {
            let nothing =
                ShapeCount { shape, definition: shape.definition().into(), voids: 0, volume_mm3: 0.0, largest_mm3: 0.0, near_surface: 0 };
            voids.iter().filter(|v| v.volume_mm3 >= least_mm3 && Shape::of(v) == shape).fold(nothing, |c, v| ShapeCount {
                voids: c.voids + 1,
                volume_mm3: c.volume_mm3 + v.volume_mm3,
                largest_mm3: c.largest_mm3.max(v.volume_mm3),
                near_surface: c.near_surface + u64::from(v.is_near_surface()),
                ..c
            })
        };
        Shape::ALL.map(counted).into()
    }
}
