//! Which voxels are material: the histogram of a volume, its modes of air and material, and thresholds from them.
//!
//! Method: padding (a single value apart from all others at the low end) is left out. Otsu's threshold (1979) parts the histogram;
//! on each side of it the highest significant peak of the smoothed histogram is the mode, refined as the mean of the voxels near it.
//! Iso-50 is half-way between the modes and, unlike Otsu's threshold, does not depend on how much air there is.
//! With several materials the mode is that of the most frequent one above air (soft tissue in a clinical CT), unless their number is
//! given: then the peaks that stand out most are air and they. A part that is edge all over has no mode of its own; values typical of it start
//! the search for its edges, which must then agree on a material.
//! Cost: two passes over the voxels.

mod histogram;
mod modes;
mod saturation;

use thiserror::Error;

pub use histogram::Histogram;
pub use modes::Modes;

use crate::error::Error;

/// Why a volume has no threshold.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SegmentError {
    #[error(
        "the histogram has no second mode: found grey values from {min} to {max} with {found}, allowed are volumes of air and material that differ by more than their noise: give a threshold, or scan with more contrast"
    )]
    NoContrast { min: f64, max: f64, found: String },
    #[error(
        "the histogram has {found} modes that stand out; allowed are at least {wanted}, one for air and one for each material: state fewer materials, or crop the volume so that each has a thousandth of the voxels"
    )]
    FewModes { found: usize, wanted: usize },
}

impl SegmentError {
    pub fn code(&self) -> &'static str {
        match self {
            SegmentError::NoContrast { .. } => "surface.no_contrast",
            SegmentError::FewModes { .. } => "surface.few_modes",
        }
    }
}

impl From<SegmentError> for Error {
    fn from(e: SegmentError) -> Self {
        Error::input(e.code(), e.to_string())
    }
}
