//! A feature of a part: its points, its shape, and how sure that is.

use super::{Cloud, Errors, Filtered, Kind, Picked, Seat, Spread, filtered, picked};
use crate::error::Error;
use nalgebra::Point3;

/// A named feature with everything that its dimensions are read off.
#[derive(Clone, Debug)]
pub struct Associated {
    pub kind: Kind,
    pub picked: Picked,
    /// Noise of each point along its normal, mm.
    pub noise_mm: Vec<f32>,
    pub spread: Spread,
    /// Points nearer than this to the feature's border stayed out, mm.
    pub border_mm: f64,
}

/// What is known of a surface, for every vertex of its mesh.
#[derive(Clone, Copy)]
pub struct Surface<'a> {
    pub noise_mm: &'a [f32],
    pub noise_length_mm: f64,
    pub offset_mm: f64,
    pub scale: f64,
    /// What an error of the scale leaves in place.
    pub centre: Point3<f64>,
    /// Edge blur of the scanner (standard deviation of its point spread), mm; 0 for a mesh.
    pub edge_sigma_mm: f64,
}

impl Surface<'_> {
    fn errors<'e>(&self, noise_mm: &'e [f32]) -> Errors<'e> {
        Errors {
            noise_mm,
            noise_length_mm: self.noise_length_mm,
            offset_mm: self.offset_mm,
            scale: self.scale,
            centre: self.centre,
            edge_sigma_mm: self.edge_sigma_mm,
        }
    }
}

impl Associated {
    /// Picks and fits among candidate triangles.
    pub fn of(seat: &Seat, kind: Kind, candidates: &[u32], border_mm: f64, surface: &Surface) -> Result<Associated, Error> {
        let picked = picked(seat, kind, candidates, border_mm)?;
        let noise_mm: Vec<f32> = picked.vertices.iter().map(|v| surface.noise_mm.get(*v as usize).copied().unwrap_or(0.0)).collect();
        let spread = Spread::of(&picked.fit.shape, &picked.cloud(), &surface.errors(&noise_mm));
        Ok(Associated { kind, picked, noise_mm, spread, border_mm })
    }

    pub fn cloud(&self) -> Cloud<'_> {
        self.picked.cloud()
    }

    /// The points after the patch filter, with the range that noise alone leaves.
    pub fn filtered(&self, surface: &Surface, radius_mm: f64) -> Result<Filtered, Error> {
        filtered(&self.picked.fit.shape, &self.cloud(), &surface.errors(&self.noise_mm), radius_mm)
    }
}
