//! One file a kernel, its CPU path and its GPU path side by side; the shader of the same name lies in `shaders/`.
//!
//! Results are integers and the same on every backend; where they are proposals the file says so.

mod components;
mod distance_transform;
mod histogram;
mod keys;
mod nearest;
mod threshold;

pub use components::{Component, Components, Connectivity, components};
pub use distance_transform::{Border, NO_BACKGROUND, distance_transform, distance_transform_mm2};
pub use histogram::{BINS, Histogram, histogram, histogram_of_slices};
pub use nearest::{NO_TRIANGLE, ProposalTree, propose};
pub use threshold::{threshold, threshold_of_slices};
