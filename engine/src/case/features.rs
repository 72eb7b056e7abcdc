//! The features of a case: picked and fitted at most once, and the zones that form and touching sizes are read off.

use std::sync::Arc;

use nalgebra::Point3;

use super::Case;
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::features::{
    Associated, Cloud, Errors, FeatureError, Filtered, Goal, Kind, NoiseRange, Seat, Zone, grown, least_squares, minimum_strip, near_patch,
};
use crate::judgement::{ContactRecord, ZoneRecord};
use crate::order::FeatureOrder;
use crate::region::Region;

/// A feature of the order with the region and the patch that it names.
pub struct Feature<'a> {
    pub order: FeatureOrder,
    pub region: Option<&'a Region>,
    pub patch: Option<MeshDistance>,
}

impl Feature<'_> {
    /// The order's kind, which its check has held.
    pub fn kind(&self) -> Kind {
        Kind::of_name(&self.order.fit).unwrap_or(Kind::Plane)
    }

    /// Triangles that may be the feature's, ascending.
    fn candidates(&self, seat: &Seat) -> Vec<u32> {
        let surface = match (&self.patch, self.order.seed) {
            (Some(patch), _) => Some(near_patch(seat, patch, self.order.within.unwrap_or(DEFAULT_WITHIN_MM))),
            (None, Some(seed)) => Some(grown(seat, self.kind(), &Point3::from(seed))),
            (None, None) => None,
        };
        let inside = self.region.map(|region| seat.inside(&|p| region.contains(p)));
        match (inside, surface) {
            (Some(inside), Some(mut surface)) => {
                surface.retain(|t| inside.binary_search(t).is_ok());
                surface
            }
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => (0..seat.mesh.triangles().len() as u32).collect(),
        }
    }
}

/// How near to its patch a feature's surface is looked for unless stated, mm.
const DEFAULT_WITHIN_MM: f64 = 0.5;

/// Range, in voxels, over which planes of phantoms at 1 % noise lie as their place on the grid changes; anywhere in it is as likely, so u is a √12th.
const TEXTURE_RANGE_VOXELS: f64 = 0.06;

/// Features by name, each fitted or refused.
pub(super) type Fitted = Vec<(String, Result<Associated, Error>)>;

/// A zone or touching shape over a feature's patch means.
#[derive(Clone, Debug)]
pub struct Zoned {
    pub goal: Goal,
    pub zone: Zone,
    /// Where the contacts of its certificate lie, in their order.
    pub contacts_at: Vec<Point3<f64>>,
    /// Radius of the patches, mm.
    pub patch_mm: f64,
    /// What noise alone would give: for a zone its width, for a touching shape the range of the patches.
    pub noise: NoiseRange,
}

impl Zoned {
    /// As a judgement states it.
    pub fn record(&self) -> ZoneRecord {
        let (zone, proof) = (&self.zone, &self.zone.certificate);
        let diameter = 2.0 * zone.shape.radius_mm().unwrap_or_default();
        let bound_mm = match self.goal {
            Goal::Zone => zone.width_mm - proof.gap_mm,
            Goal::Inscribed => diameter + proof.gap_mm,
            Goal::Circumscribed => diameter - proof.gap_mm,
        };
        let touched = proof.contacts.iter().zip(&self.contacts_at);
        ZoneRecord {
            goal: self.goal.name().into(),
            patch_mm: self.patch_mm,
            bound_mm,
            gap_mm: proof.gap_mm,
            reach_mm: proof.reach_mm,
            reach_rad: proof.reach_rad,
            stationarity: proof.stationarity,
            promised_mm: proof.gain_mm,
            contacts: touched.map(|(c, at)| ContactRecord { at_mm: (*at).into(), outside: c.outside, multiplier: c.multiplier }).collect(),
        }
    }
}

/// Filtered points by feature and radius of the patches.
pub(super) type Means = Vec<(String, f64, Arc<Filtered>)>;

/// Zones found or refused, by feature, goal and radius of the patches.
pub(super) type Zones = Vec<(String, Goal, f64, Result<Arc<Zoned>, FeatureError>)>;

fn find<'f>(fitted: &'f Fitted, name: &str) -> Result<&'f Associated, Error> {
    let unknown = || Error::input("order.feature_unknown", format!("there is no feature {name:?}: add a [[feature]] or correct the name"));
    let (_, found) = fitted.iter().find(|(n, _)| n == name).ok_or_else(unknown)?;
    found.as_ref().map_err(Clone::clone)
}

impl<'a> Case<'a> {
    /// A feature of the order by its name.
    pub fn feature(&self, name: &str) -> Option<&Feature<'a>> {
        self.features.iter().find(|f| f.order.name == name)
    }

    pub fn features(&self) -> &[Feature<'a>] {
        &self.features
    }

    /// What is known of the actual surface in the nominal frame.
    pub fn surface(&self) -> Result<Errors<'_>, Error> {
        let (actual, effects) = (self.actual()?, self.effects()?);
        Ok(Errors {
            noise_mm: &actual.point_u_mm,
            noise_length_mm: actual.noise_length_mm,
            offset_mm: actual.offset_u_mm,
            scale: actual.scale_u,
            centre: effects.centre,
            texture_mm: TEXTURE_RANGE_VOXELS / 12.0_f64.sqrt() * actual.voxel_mm(),
            edge_sigma_mm: actual.image.as_ref().map_or(0.0, |i| i.edge_sigma_mm),
        })
    }

    /// A feature of the actual part, fitted at most once.
    pub fn fitted(&self, name: &str) -> Result<&Associated, Error> {
        let (mesh, actual, surface) = (self.moved()?, self.actual()?, self.surface()?);
        // The scanner blurs an edge over its point spread, and the bundle of voxels that places a vertex reaches two voxels aside.
        let blurred = actual.image.as_ref().map_or(0.0, |i| 2.0 * (i.edge_sigma_mm + actual.voxel_mm()));
        let fitted = self.once(&self.fitted, "features", || {
            let seat = Seat::new(mesh);
            let border = |f: &Feature| f.order.border.unwrap_or(blurred);
            self.fit_all(|f| Associated::of(&seat, f.kind(), &f.candidates(&seat), border(f), &surface))
        })?;
        find(fitted, name)
    }

    /// The same feature of the nominal.
    pub fn fitted_nominal(&self, name: &str) -> Result<&Associated, Error> {
        let mesh = &self.nominal()?.mesh;
        let exact = Errors {
            noise_mm: &[],
            noise_length_mm: 1.0,
            offset_mm: 0.0,
            scale: 0.0,
            centre: mesh.bounds().centre(),
            texture_mm: 0.0,
            edge_sigma_mm: 0.0,
        };
        let fitted = self.once(&self.fitted_nominal, "features", || {
            let seat = Seat::new(mesh);
            self.fit_all(|f| Associated::of(&seat, f.kind(), &f.candidates(&seat), 0.0, &exact))
        })?;
        find(fitted, name)
    }

    fn fit_all(&self, fit: impl Fn(&Feature) -> Result<Associated, Error>) -> Result<Fitted, Error> {
        let count = self.features.len() as f64;
        let one = |(i, f): (usize, &Feature)| {
            self.rt.step("features", i as f64 / count)?;
            let refused = |e: Error| Error { message: format!("feature {}: {}", f.order.name, e.message), ..e };
            Ok((f.order.name.clone(), fit(f).map_err(refused)))
        };
        self.features.iter().enumerate().map(one).collect()
    }

    /// The points of a feature of the actual part after the patch filter, filtered at most once.
    pub fn filtered(&self, name: &str, patch_mm: f64) -> Result<Arc<Filtered>, Error> {
        let (own, surface) = (self.fitted(name)?, self.surface()?);
        let mut known = self.filtered.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((.., found)) = known.iter().find(|(n, r, _)| n == name && *r == patch_mm) {
            return Ok(found.clone());
        }
        let found = Arc::new(self.timed("filter", || own.filtered(&surface, patch_mm))?);
        known.push((name.into(), patch_mm, found.clone()));
        Ok(found)
    }

    /// The zone or touching shape of a feature of the actual part over patch means, sought at most once.
    pub fn zone(&self, name: &str, goal: Goal, patch_mm: f64) -> Result<Result<Arc<Zoned>, FeatureError>, Error> {
        let own = self.fitted(name)?;
        let mut known = self.zones.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((.., found)) = known.iter().find(|(n, g, r, _)| n == name && *g == goal && *r == patch_mm) {
            return Ok(found.clone());
        }
        let filtered = self.filtered(name, patch_mm)?;
        let (points, noise) = (&filtered.points, if goal == Goal::Zone { filtered.noise_zone } else { filtered.noise_range });
        let found = self.timed("zones", || {
            let cloud = Cloud::of(points);
            let fit = least_squares(own.kind, &cloud)?;
            let zone = match self.feature(name).and_then(|f| f.order.straight_in).filter(|_| goal == Goal::Zone) {
                Some(normal) => minimum_strip(&fit, &cloud, &normal.into())?,
                None => goal.found(&fit, &cloud)?,
            };
            let contacts_at = zone.certificate.contacts.iter().map(|c| points[c.point]).collect();
            Ok(Arc::new(Zoned { goal, zone, contacts_at, patch_mm, noise }))
        });
        known.push((name.into(), goal, patch_mm, found.clone()));
        Ok(found)
    }
}
