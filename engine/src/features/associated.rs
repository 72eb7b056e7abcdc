//! A feature of a part: its points, its shape, and how sure that is.

use super::{Cloud, Errors, Filtered, Kind, Picked, Seat, Spread, filtered, picked};
use crate::error::Error;

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

impl Associated {
    /// Picks and fits among candidate triangles; `surface` is known for every vertex of the mesh.
    pub fn of(seat: &Seat, kind: Kind, candidates: &[u32], border_mm: f64, surface: &Errors) -> Result<Associated, Error> {
        let picked = picked(seat, kind, candidates, border_mm)?;
        let noise_mm: Vec<f32> = picked.vertices.iter().map(|v| surface.noise_mm.get(*v as usize).copied().unwrap_or(0.0)).collect();
        let spread = Spread::of(&picked.fit.shape, &picked.cloud(), &Errors { noise_mm: &noise_mm, ..*surface });
        Ok(Associated { kind, picked, noise_mm, spread, border_mm })
    }

    pub fn cloud(&self) -> Cloud<'_> {
        self.picked.cloud()
    }

    /// The points after the patch filter, with the range that noise alone leaves.
    pub fn filtered(&self, surface: &Errors, radius_mm: f64) -> Result<Filtered, Error> {
        filtered(&self.picked.fit.shape, &self.cloud(), &Errors { noise_mm: &self.noise_mm, ..*surface }, radius_mm)
    }
}
