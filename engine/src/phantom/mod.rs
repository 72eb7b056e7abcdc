//! Analytic parts with known truth, as implicit solids, as meshes and as CT: for tests, for qualification, for the bundled cases.
//!
//! A [`Solid`] is a tree of signed distances (negative inside). It never overestimates a distance and its zero set is exact, so
//! surfaces are found by Newton steps and far space is skipped safely. [`parts`] meshes polyhedra exactly and round parts
//! parametrically; [`surface_mesh`] meshes any solid; [`alter`] scales, offsets, roughens and crops meshes; [`blurred`] and
//! [`Ct`] make volumes on any grid a scanner delivers. [`struts`] and [`sheets`] are lattices.
//! Nothing here calls the code that phantoms test: surfaces do not come
//! from the product's iso-surface, distances not from its mesh distance. All of it is the same bits on any number of threads.
//!
//! [`cage`] is the bundled case, [`bundled`] its files.

pub mod alter;
pub mod cage;
mod ct;
mod files;
mod nets;
pub mod parts;
pub mod sheets;
mod simplify;
mod solid;
pub mod struts;

use thiserror::Error;

pub use cage::bundled;
pub use ct::{Ct, blurred};
pub use files::{metaimage, stl};
pub use nets::{Fineness, chord_error_mm, surface_mesh};
pub use solid::{Solid, volume_within_mm3};

use crate::mesh::Mesh;

/// A mesh and the largest distance between it and the surface it stands for (mm); 0 for polyhedra.
#[derive(Clone, Debug, PartialEq)]
pub struct Meshed {
    pub mesh: Mesh,
    pub chord_error_mm: f64,
}

/// Why a phantom cannot be made as asked.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum PhantomError {
    #[error("the edge width is {sigma_mm} mm, allowed are finite widths above 0: a scanner always blurs")]
    EdgeWidth { sigma_mm: f64 },
    #[error("the first two axes of the grid meet at {degrees:.3} degrees, allowed are 90: only the stacking direction may be oblique")]
    ObliqueSlices { degrees: f64 },
    #[error("the solid reaches the border of the bounds to be meshed: widen the bounds")]
    Bounds,
    #[error("the solid has no surface within the bounds to be meshed: move the bounds or refine the cells")]
    Empty,
}

impl PhantomError {
    pub fn code(&self) -> &'static str {
        match self {
            PhantomError::EdgeWidth { .. } => "phantom.edge_width",
            PhantomError::ObliqueSlices { .. } => "phantom.oblique_slices",
            PhantomError::Bounds => "phantom.bounds",
            PhantomError::Empty => "phantom.empty",
        }
    }
}

impl From<PhantomError> for crate::Error {
    fn from(e: PhantomError) -> Self {
        crate::Error::input(e.code(), e.to_string())
    }
}
