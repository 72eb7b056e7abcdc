//! One file a kernel, its CPU path and its GPU path side by side; the shader of the same name lies in `shaders/`.
//!
//! Results are integers and the same on every backend; where they are proposals the file says so.

mod codes;
mod components;
mod distance_transform;
mod gaussian;
mod histogram;
mod keys;
mod nearest;
mod threshold;

pub use codes::{Coding, Slab};
pub use components::{Component, Components, Connectivity, components};
pub use distance_transform::{Border, NO_BACKGROUND, distance_transform, distance_transform_mm2};
pub use gaussian::{Gaussian, Smoothed, gaussian};
pub use histogram::{BINS, Histogram, histogram};
pub use nearest::{NO_TRIANGLE, ProposalTree, propose};
pub use threshold::threshold;
