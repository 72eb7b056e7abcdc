//! What lies inside the part or a region of it: pores, walls, voids, structure, each on the two lattices of a measurement.

use std::sync::Arc;

use super::{Case, OnBoth};
use crate::error::Error;
use crate::finding::Finding;
use crate::pores::{self, ClosedVoid, Noise, OpenPore, Phase, Sizes, Structure, UnresolvedGrey};
use crate::porosity::{self, Envelope, Porosity, Scene};
use crate::region::Region;
use crate::solid::PHASES;
use crate::uncertainty::{DRAWS, SEED};

impl Case<'_> {
    /// The part as it is put on a lattice.
    fn on_cells(&self) -> Result<porosity::Part<'_>, Error> {
        let surface = self.built()?;
        let walls = self.once(&self.void_walls, "shells", || porosity::walls(surface))?;
        Ok(porosity::Part { surface, walls, step_mm: self.actual()?.cell_mm })
    }

    /// The whole part in its closed hull, on the two lattices of a measurement.
    fn hull(&self) -> Result<&[Scene<'static>; 2], Error> {
        let part = self.on_cells()?;
        let envelope = Envelope::Hull { radius_mm: self.closing_mm };
        self.once(&self.hull, "lattice", || Scene::both(&part, &envelope, self.rt))
    }

    fn envelope<'r>(&self, region: &'r Region) -> Envelope<'r> {
        if self.ends_with_region { Envelope::Image(region) } else { Envelope::Region(region) }
    }

    /// Measures on each of the two lattices of a region, of which one is there at a time, or of the whole in its closed hull.
    fn on_each<T>(&self, region: Option<(&str, &Region)>, measure: impl Fn(&Scene) -> Result<T, Error>) -> Result<OnBoth<T>, Error> {
        let Some((_, region)) = region else {
            let [a, b] = self.hull()?;
            return Ok(Arc::new([measure(a)?, measure(b)?]));
        };
        let part = self.on_cells()?;
        let on = |phase: f64| measure(&Scene::of(&part, &self.envelope(region), phase, self.rt)?);
        Ok(Arc::new([on(PHASES[0])?, on(PHASES[1])?]))
    }

    /// Porosity of a region, or of the whole inside its closed hull.
    pub fn porosity(&self, region: Option<(&str, &Region)>) -> Result<Porosity, Error> {
        let (part, mesh, pose) = (self.actual()?, self.moved()?, self.pose()?);
        self.once_per_region(&self.porosities, region, "porosity", || {
            let unresolved = part.unresolved.as_ref().map(|grey| (grey, pose));
            let [a, b] = &*self.on_each(region, |scene| porosity::on_lattice(mesh, part.bulge.as_ref(), scene, unresolved))?;
            Ok(Porosity::of_both(a, b))
        })
    }

    /// That the scan shows something in a region, or in the closed hull, that is neither air nor material.
    pub fn unresolved_finding(&self, region: Option<(&str, &Region)>) -> Result<Option<Finding>, Error> {
        let part = self.actual()?;
        let nothing = part.not_closed.is_some() || part.unresolved.as_ref().is_none_or(|grey| grey.voxels() == 0);
        // Where porosity is not measured there is nothing to tell of it.
        if nothing || self.pose_cannot_carry(region.is_some())?.is_some() {
            return Ok(None);
        }
        let found = UnresolvedGrey::of(&self.porosity(region)?).filter(|grey| grey.share > 0.0);
        let place = region.map_or_else(|| "the closed hull".into(), |(name, _)| format!("the envelope {name}"));
        let text = |UnresolvedGrey { share, total_as_solid, total_as_pores }| {
            format!(
                "{share:.2e} of {place} has grey values that are neither air nor material over more than the width of an edge (loose powder, resin or voids finer than the voxels): porosity.total is {total_as_solid:.4} with all of it counted as solid and {total_as_pores:.4} as pores; clean the part, or scan it with smaller voxels"
            )
        };
        Ok(found.map(|grey| Finding::qualify("pores.unresolved", text(grey)).clause("8.3.2.2 a)")))
    }

    /// The actual surface as seen from its pores or its walls.
    fn side(&self, phase: Phase) -> Result<pores::Surface<'_>, Error> {
        Ok(pores::Surface { facets: self.built()?, bulge: self.actual()?.bulge.as_ref(), phase })
    }

    /// Noise of the actual surface.
    fn noise(&self) -> Result<Noise, Error> {
        let part = self.actual()?;
        Ok(Noise { u_mm: part.typical_noise_mm(), length_mm: part.noise_length_mm, seed: SEED, draws: DRAWS })
    }

    /// Local diameters of pores or walls, on two lattices.
    pub fn sizes(&self, phase: Phase, region: Option<(&str, &Region)>) -> Result<OnBoth<Sizes>, Error> {
        let surface = self.side(phase)?;
        let (known, stage) = match phase {
            Phase::Pores => (&self.pore_sizes, "pore size"),
            Phase::Walls => (&self.wall_sizes, "wall thickness"),
        };
        let noise = self.noise()?;
        self.once_per_region(known, region, stage, || self.on_each(region, |scene| pores::sizes(scene, surface, noise, self.rt)))
    }

    /// Diameters (mm) of the largest spheres that pass along x, y and z, on two lattices.
    pub fn throats(&self, region: Option<(&str, &Region)>) -> Result<OnBoth<[Option<f64>; 3]>, Error> {
        let surface = self.side(Phase::Pores)?;
        self.once_per_region(&self.throats, region, "throats", || self.on_each(region, |scene| pores::throats(scene, surface, self.rt)))
    }

    /// Share of the pores that spheres of these diameters reach from outside, on two lattices.
    pub fn accessible(&self, diameters_mm: &[f64], region: Option<(&str, &Region)>) -> Result<OnBoth<Vec<f64>>, Error> {
        let surface = self.side(Phase::Pores)?;
        let all = |scene: &Scene| diameters_mm.iter().map(|d| pores::accessible(scene, 0.5 * d, surface, self.rt)).collect();
        self.timed("accessible", || self.on_each(region, all))
    }

    /// Surface, topology and orientation, on two lattices.
    pub fn structure(&self, region: Option<(&str, &Region)>) -> Result<OnBoth<Structure>, Error> {
        let (surface, part) = (self.side(Phase::Pores)?, self.actual()?);
        let moved_mm = f64::hypot(part.surface_u_mm(), part.typical_noise_mm());
        self.once_per_region(&self.structures, region, "structure", || {
            self.on_each(region, |scene| pores::structure(scene, surface, moved_mm))
        })
    }

    /// Closed voids that reach into the region, on two lattices.
    pub fn closed_voids(&self, region: Option<(&str, &Region)>) -> Result<OnBoth<Vec<ClosedVoid>>, Error> {
        let (mesh, surface) = (self.moved()?, self.side(Phase::Pores)?);
        self.once_per_region(&self.closed_voids, region, "voids", || {
            self.on_each(region, |scene| pores::closed_voids(mesh, scene, surface, self.rt))
        })
    }

    /// Open pores of at least so many cells inside the region, on the first lattice.
    pub fn open_pores(&self, region: Option<(&str, &Region)>, least_cells: u64) -> Result<Vec<OpenPore>, Error> {
        let (mesh, surface) = (self.moved()?, self.side(Phase::Pores)?);
        let found = |scene: &Scene| pores::open_pores(mesh, scene, surface, least_cells, self.rt);
        self.timed("open pores", || match region {
            None => found(&self.hull()?[0]),
            Some((_, region)) => found(&Scene::of(&self.on_cells()?, &self.envelope(region), PHASES[0], self.rt)?),
        })
    }
}
