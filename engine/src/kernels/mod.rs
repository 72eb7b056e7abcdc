//! One file a kernel, its CPU path and its GPU path side by side; the shader of the same name lies in `shaders/`.
//!
//! Results are integers and the same on every backend; where they are proposals the file says so.

mod canvas;
mod cells;
mod codes;
mod components;
mod distance_transform;
mod euler;
mod gaussian;
mod gradient;
mod histogram;
mod keys;
mod median;
mod nearest;
mod passage;
mod runs;
mod thickness;
mod threshold;

pub use cells::{CellCounts, cells};
pub use codes::{Coding, value_range};
pub use components::{Component, Components, Connectivity, components};
pub use distance_transform::{Border, NO_BACKGROUND, distance_transform, distance_transform_mm2};
pub use euler::{euler_eighths_within, euler_number};
pub use gaussian::{Gaussian, gaussian};
pub use gradient::gradient;
pub use histogram::{BINS, Counting, Histogram, histogram, histogram_of_slices};
pub use median::{median, medians};
pub use nearest::{NO_TRIANGLE, ProposalTree, propose};
pub use passage::{Ends, beside, place_of, widest_passages};
pub use thickness::{Ball, Centre, aside, first_ball, local_thickness, local_thickness_mm2, maximal_balls, spread_balls};
pub use threshold::{threshold, threshold_of_slices};
