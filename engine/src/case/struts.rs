//! The struts or walls of a lattice, designed against built.

use nalgebra::Point3;

use super::Case;
use crate::error::Error;
use crate::finding::Finding;
use crate::lattice::{self, About, AsBuilt, Cell, Design, Designed, Grain, Noise, Period, Residue, Scan, Sheet, View};
use crate::region::Region;

impl Case<'_> {
    /// Why no strut or wall can be followed: the pose is not known well enough, or the part is a cloud of points, which no plane cuts.
    pub fn struts_cannot_carry(&self) -> Result<Option<String>, Error> {
        if self.actual()?.spacing_mm.is_some() {
            return Ok(Some("a plane cuts nothing out of a point cloud: mesh the scan".into()));
        }
        self.pose_cannot_carry(true)
    }

    /// Edge of a cell of the scan, mm.
    fn scan_cell_mm(&self) -> Result<f64, Error> {
        let actual = self.actual()?;
        Ok(if actual.image.is_some() { actual.voxel_mm() } else { actual.cell_mm })
    }

    /// Every designed strut or wall as built.
    pub fn lattice(&self) -> Result<&AsBuilt, Error> {
        let (nominal, surface, actual, cell_mm) = (self.nominal_distance()?, self.built()?, self.actual()?, self.scan_cell_mm()?);
        let designed = match &self.struts {
            Some(listed) => listed,
            None => self.once(&self.designed, "skeleton", || lattice::designed(nominal, cell_mm, self.rt))?,
        };
        self.once(&self.as_built, "struts", || {
            if let Some(Designed::Struts(listed)) = &self.struts {
                listed.within(&nominal.mesh().bounds())?;
            }
            let image = actual.image.as_ref();
            let (pose, noise_mm, apart_mm) = (self.alignment()?.pose, actual.typical_noise_mm(), actual.noise_length_mm);
            let scan = Scan {
                resolved_mm: image.map_or(0.0, |i| i.smallest_feature_mm()),
                cell_mm,
                grain: match image {
                    Some(_) => Grain::Cells(cell_mm),
                    None => Grain::Points(actual.point_spacing_mm().max(2.0 * noise_mm)),
                },
                view: actual.grid.and_then(|grid| View::of(grid, &pose)),
                noise: match image {
                    Some(_) => Noise::of_bundles(noise_mm, apart_mm),
                    None => Noise::of_points(noise_mm, apart_mm),
                },
                smooth: image.is_some(),
                keeps_slices: self.keeps_slices,
            };
            AsBuilt::of(designed, nominal, (surface, actual.bulge.as_ref()), &scan, &self.strut_limits, self.rt)
        })
    }

    /// The built part's lattice vectors by which a sheet lattice is designed to repeat.
    pub(crate) fn periods(&self, sheet: &Sheet, region: Option<(&str, &Region)>) -> Result<[Option<Period>; 3], Error> {
        let built = self.built()?;
        self.once_per_region(&self.periods, region, "period", || lattice::periods(built, sheet, region.map(|r| r.1), self.rt))
    }

    /// Material away from the nominal and from the struts as built.
    pub fn residue(&self) -> Result<&Residue, Error> {
        let (as_built, nominal, built, actual) = (self.lattice()?, self.nominal_distance()?, self.built()?, self.actual()?);
        // A mesh has no voxels below which it shows nothing.
        let finest_mm = actual.image.as_ref().map_or(0.0, |i| i.voxel_mm.iter().copied().fold(f64::INFINITY, f64::min));
        self.once(&self.residue, "residue", || lattice::residue(as_built, nominal, built, [finest_mm, actual.cell_mm], self.rt))
    }

    /// How the struts of a design repeat, in a region or everywhere.
    pub(crate) fn unit_cell(&self, design: &Design, region: Option<(&str, &Region)>) -> Result<Option<Cell>, Error> {
        let chosen = |p: &Point3<f64>| region.is_none_or(|(_, region)| region.contains(p));
        self.once_per_region(&self.cells, region, "cell", || Ok(lattice::cell(design, chosen)))
    }

    /// Findings of the struts or walls in a region or the whole part: which are at fault and where, shifted nodes, residue, what was not measured.
    pub fn lattice_findings(&self, region: Option<(&str, &Region)>) -> Result<Vec<Finding>, Error> {
        if self.struts_cannot_carry()?.is_some() {
            return Ok(vec![]);
        }
        let as_built = self.lattice()?;
        let cell = match as_built {
            AsBuilt::Struts(followed) => self.unit_cell(&followed.design, region)?,
            AsBuilt::Walls(walls) => Some(walls.sheet.cell),
        };
        Ok(lattice::findings(as_built, self.residue()?, &About { region, cell: cell.as_ref(), scale_u: self.actual()?.scale_u }))
    }
}
