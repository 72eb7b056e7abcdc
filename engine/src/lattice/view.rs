//! What a scan tells of space: how fine its surface is, and how far the image reaches.

use nalgebra::{Matrix3, Point3};

use crate::frame::{Grid, Pose};

/// What a built surface is known in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grain {
    /// Cells of a scan with edges of this length, mm.
    Cells(f64),
    /// Points of a mesh about this far apart, mm.
    Points(f64),
}

/// Of a strut's diameter: sections of a mesh are so far apart, and what is nearer than that is taken for joined, at most.
const STEP: f64 = 0.1;
const JOINED: f64 = 0.125;

impl Grain {
    /// Distance between sections of a strut, so that a gap of the length stated holds two, and the gap that the surface may have joined, mm.
    pub(super) fn of(self, diameter_mm: f64, gap_mm: f64) -> (f64, f64) {
        match self {
            Grain::Cells(cell) => (0.5 * cell, cell),
            Grain::Points(spacing) => {
                let step = STEP * diameter_mm;
                (if gap_mm > 0.0 { step.min(0.5 * gap_mm) } else { step }, spacing.min(JOINED * diameter_mm))
            }
        }
    }
}

/// The box of an image about the part, in the nominal's frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    grid: Grid,
    scan_from_nominal: Pose,
    to_index: Matrix3<f64>,
}

/// Voxels at the border of an image where no edge is placed.
const BORDER: f64 = 1.0;

impl View {
    pub fn of(grid: Grid, nominal_from_scan: &Pose) -> Option<View> {
        Some(View { grid, scan_from_nominal: nominal_from_scan.inverse(), to_index: grid.axes().try_inverse()? })
    }

    /// Whether the image shows all that lies around a point of the nominal's frame.
    pub(super) fn shows(&self, p: &Point3<f64>, radius_mm: f64) -> bool {
        let index = self.to_index * (self.scan_from_nominal.apply(p) - self.grid.origin());
        let (dims, spacing) = (self.grid.dims(), self.grid.spacing_mm());
        (0..3).all(|a| {
            let margin = BORDER + radius_mm / spacing[a];
            index[a] >= margin && index[a] <= (dims[a] - 1) as f64 - margin
        })
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::Vector3;

    use super::*;

    #[test]
    fn an_image_shows_what_lies_a_radius_and_a_voxel_within_its_outermost_voxels_in_any_pose() {
        let grid = Grid::aligned([11, 21, 31], [0.2, 0.1, 0.3], Point3::new(1.0, -2.0, 5.0)).unwrap();
        let pose = Pose::from_rotation_vector(Vector3::new(0.3, -1.0, 0.7), Vector3::new(9.0, 2.0, -4.0));
        let view = View::of(grid, &pose).unwrap();
        let shown = |x: f64, y: f64, z: f64| view.shows(&pose.apply(&Point3::new(x, y, z)), 0.25);
        assert!(shown(2.0, -1.0, 9.5) && shown(1.46, -1.0, 9.5) && shown(2.0, -1.64, 9.5) && shown(2.0, -1.0, 13.44));
        assert!(!shown(1.44, -1.0, 9.5) && !shown(2.0, -1.66, 9.5) && !shown(2.0, -1.0, 13.46) && !shown(2.0, 5.0, 9.5));
    }
}
