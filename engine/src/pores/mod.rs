//! Pores and walls of a part: how large, how connected, how many.
//!
//! Sizes are diameters of the largest ball that holds a place and stays inside its phase (Hildebrand & Rüegsegger 1997), by
//! volume. Ball centres are found on a lattice as maximal balls and grow from there to the determined surface itself, so diameters
//! do not depend on the lattice's grid; a lattice only decides how densely balls stand and volume is counted.
//! Border rule: the envelope is no wall. Pores are measured with centres inside it, walls of the whole part are counted inside it; what
//! the envelope cuts is kept.
//!
//! Accepts closed meshes in the nominal frame. Known limits: walls and pores thinner than a cell are seen in part; corners
//! count with the balls that fit into them. Cost: six bytes a cell, 128 for each ball and 20 or 24 for each cell at the border of a sphere's room, all
//! held against the memory budget; some ten microseconds a ball.

mod accessible;
mod closed;
mod crossing;
mod gap;
mod grow;
mod nearby;
mod open;
mod passage;
mod room;
mod shape;
mod sizes;
mod sphere;
mod structure;
mod summary;
mod surface;
mod table;
mod thinnest;
mod voids;
mod wall;

pub(crate) use accessible::accessible;
pub use open::OpenPore;
pub(crate) use open::open_pores;
pub(crate) use passage::{LEAST_CELLS, LEAST_THROAT, throats};
pub use shape::{NEAR_SURFACE, Shape, ShapeCount};
pub(crate) use sizes::sizes;
pub use sizes::{Phase, Sizes};
pub(crate) use structure::structure;
pub use structure::{Anisotropy, Structure};
pub use summary::{BorderRule, Counted, EnvelopeRecord, PoreSummary, Reached, Sensitivity, SizeDistribution, UnresolvedGrey};
pub(crate) use surface::Surface;
pub use table::csv;
pub use thinnest::{Noise, Thinnest};
pub use voids::ClosedVoid;
pub(crate) use voids::closed_voids;
pub(crate) use wall::{Wall, wall_at};
