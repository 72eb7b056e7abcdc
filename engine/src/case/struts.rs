//! The struts of a lattice, designed against built.

use super::Case;
use crate::error::Error;
use crate::finding::Finding;
use crate::lattice::{self, Followed, Residue, Scan};

impl Case<'_> {
    /// Why no strut can be followed: the pose is not known well enough, or the part is a cloud of points, which no plane cuts.
    pub fn struts_cannot_carry(&self) -> Result<Option<String>, Error> {
        if self.actual()?.spacing_mm.is_some() {
            return Ok(Some("a plane cuts nothing out of a point cloud: mesh the scan".into()));
        }
        self.pose_cannot_carry(true)
    }

    /// Every designed strut as built.
    pub fn lattice(&self) -> Result<&Followed, Error> {
        let (nominal, surface, actual) = (self.nominal_distance()?, self.built()?, self.actual()?);
        let design = match &self.struts {
            Some(design) => design,
            None => self.once(&self.designed, "skeleton", || lattice::extract(nominal, self.rt))?,
        };
        self.once(&self.followed, "struts", || {
            if self.struts.is_some() {
                design.within(&nominal.mesh().bounds())?;
            }
            let image = actual.image.as_ref();
            let scan = Scan {
                resolved_mm: image.map_or(0.0, |i| i.smallest_feature_mm()),
                cell_mm: image.map_or(actual.cell_mm, |i| i.voxel_mm.iter().copied().fold(0.0, f64::max)),
                noise_mm: actual.typical_noise_mm(),
                noise_length_mm: actual.noise_length_mm,
                smooth: image.is_some(),
            };
            lattice::follow(design, nominal, surface, &scan, &self.strut_limits, self.rt)
        })
    }

    /// Material away from the nominal and from the struts as built.
    pub fn residue(&self) -> Result<&Residue, Error> {
        let (followed, nominal, moved, actual) = (self.lattice()?, self.nominal_distance()?, self.moved()?, self.actual()?);
        self.once(&self.residue, "residue", || lattice::residue(followed, nominal, moved, actual.cell_mm, self.rt))
    }

    /// Findings of the struts: which are at fault and where, shifted nodes, residue, what was not measured.
    pub fn lattice_findings(&self) -> Result<Vec<Finding>, Error> {
        if self.struts_cannot_carry()?.is_some() {
            return Ok(vec![]);
        }
        Ok(lattice::findings(self.lattice()?, self.residue()?))
    }
}
