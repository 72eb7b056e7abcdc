//! The bundled case: a small interbody cage, as ordered and as built, once good and once with a worn ridge.
//!
//! The part (14 × 10 × 8.6 mm): a rounded block with an inclined upper face and one corner cut off, a ridge off the middle of that
//! face, a screw hole with a countersink on one side only, and a porous block of crossing channels (0.9 mm wide, 1.8 mm apart)
//! open to one face. No rotation and no reflection maps it onto itself. All edges are rounded to a curvature radius of at least
//! 0.3 mm, so that mesh and voxels can follow them. Built parts are 0.05 % too small, with a surface 0.010 mm outside; the worn
//! one lacks up to 0.4 mm of the ridge over a length of 2 mm. Scans show the part at an unknown pose.
//! Truth comes from [`measure`], which knows the solids and nothing of the product's measuring.

use nalgebra::{Point3, Vector3};

use super::{Ct, Fineness, PhantomError, Solid, metaimage, stl, surface_mesh};
use crate::frame::{Bounds, Grid, Pose};
use crate::mesh::Mesh;

pub mod measure;
mod orders;

pub use orders::{Requirement, order, requirements};

/// Linear scale of the built parts.
pub const BUILT_SCALE: f64 = 0.9995;
/// Uniform surface offset of the built parts, mm.
pub const BUILT_OFFSET_MM: f64 = 0.010;
/// Depth of the fault, mm.
pub const WEAR_MM: f64 = 0.4;
/// Gap between the design and its site, mm.
pub const SITE_GAP_MM: f64 = 0.2;
/// Chord error that the order states for the design mesh, mm; the mesh keeps it.
pub const CHORD_ERROR_MM: f64 = 0.012;

/// The two parts that were built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Built {
    Good,
    WornRidge,
}

impl Built {
    pub const ALL: [Built; 2] = [Built::Good, Built::WornRidge];

    fn stem(self) -> &'static str {
        match self {
            Built::Good => "good",
            Built::WornRidge => "faulty",
        }
    }
}

/// The design, in the nominal frame.
pub fn design() -> Solid {
    let cosine = 1.0 / 1.005_f64.sqrt(); // the upper face rises 0.0707 mm per mm along x
    let upper = Vector3::new(-(1.0 - cosine * cosine).sqrt(), 0.0, cosine);
    let slope = Solid::HalfSpace { normal: upper, offset_mm: upper.dot(&Vector3::new(14.0, 0.0, 8.0)) };
    let diagonal = Vector3::new(0.5_f64.sqrt(), 0.5_f64.sqrt(), 0.0);
    let corner = Solid::HalfSpace { normal: diagonal, offset_mm: diagonal.dot(&Vector3::new(12.0, 10.0, 0.0)) };
    let block = Solid::Box { centre: Point3::new(7.0, 5.0, 4.5), half_mm: Vector3::new(7.0, 5.0, 4.5), rounding_mm: 1.0 };
    let body = Solid::Common { of: vec![block, slope, corner], width_mm: 0.8 };
    let ridge = Solid::Box { centre: Point3::new(9.5, 5.6, 7.6), half_mm: Vector3::new(0.7, 2.3, 1.0), rounding_mm: 0.5 };
    let shank = Solid::Cylinder { from: Point3::new(10.5, -2.0, 3.8), to: Point3::new(10.5, 12.0, 3.8), radius_mm: 1.1 };
    let countersink = Solid::Ball { centre: Point3::new(10.5, -0.6, 3.8), radius_mm: 2.0 };
    let hole = Solid::Blend { of: vec![shank, countersink], width_mm: 0.5 };
    Solid::Blend { of: vec![body, ridge], width_mm: 0.6 }.without(hole, 0.5).without(pores(), 0.45)
}

/// Channels along x from beyond the face at x = 0, and along y and z between the outermost crossings.
fn pores() -> Solid {
    const PITCH: f64 = 1.8;
    const COUNT: [u32; 3] = [3, 4, 3];
    let first = Point3::new(1.5, 2.3, 2.0);
    let last = first + Vector3::from(COUNT.map(|n| PITCH * f64::from(n - 1)));
    let along = |axis: usize, from: f64| {
        let (mut start, mut end, mut count) = (first, first, COUNT);
        (start[axis], end[axis], count[axis]) = (from, last[axis], 1);
        let channel = Solid::Capsule { from: start - first.coords, to: end - first.coords, radius_mm: 0.45 };
        Solid::Repeated { of: Box::new(channel), pitch_mm: Vector3::from_element(PITCH), count }
    };
    let lattice = Solid::Blend { of: vec![along(0, -2.0), along(1, first.y), along(2, first.z)], width_mm: 0.45 };
    lattice.moved(Pose { translation: first.coords, ..Pose::identity() })
}

/// A built part, in the nominal frame.
pub fn built(part: Built) -> Solid {
    let solid = design().scaled(Vector3::from_element(BUILT_SCALE)).offset(BUILT_OFFSET_MM);
    match part {
        Built::Good => solid,
        Built::WornRidge => {
            const RADIUS: f64 = 1.2;
            let worn = Solid::Ball { centre: Point3::new(9.5, 6.4, 8.6 - WEAR_MM + RADIUS), radius_mm: RADIUS };
            solid.without(worn, 0.2)
        }
    }
}

/// The bed that the lower face is to rest in: a block with the design sunk into it, a uniform gap around.
pub fn site() -> Solid {
    let block = Solid::Box { centre: Point3::new(7.0, 5.0, -1.4), half_mm: Vector3::new(9.0, 7.0, 2.6), rounding_mm: 0.6 };
    block.without(design().offset(SITE_GAP_MM), 0.6)
}

/// Where the scanned parts stand in the scanner.
pub fn scanner_from_nominal() -> Pose {
    let third = 2.0 * std::f64::consts::FRAC_PI_3 / 3.0_f64.sqrt();
    let upright = Pose::from_rotation_vector(Vector3::from_element(third), Vector3::zeros()); // x to y, y to z, z to x
    upright.then(&Pose::from_rotation_vector(Vector3::new(0.07, -0.11, 0.09), Vector3::new(-3.2, 21.7, 46.1)))
}

/// The scanner: voxels of 0.12 mm, an edge of 0.7 voxel, noise of 1.5 % of the contrast. Few grey levels keep the files small.
pub fn scanner(part: Built) -> Ct {
    Ct { edge_sigma_mm: 0.084, air: 30.0, material: 230.0, noise_sd: 3.0, seed: 0x0417_2026 + part as u64 }
}

/// The scanned volume.
pub fn grid() -> Grid {
    Grid::aligned([91, 140, 108], [0.12; 3], Point3::new(-6.0, 20.3, 45.5)).expect("extents and spacings are above 0")
}

/// Bounds of all solids of the case, in the nominal frame, with room for cells.
pub fn bounds() -> Bounds {
    Bounds { min: Point3::new(-1.0, -1.0, -1.0), max: Point3::new(15.0, 11.0, 9.6) }
}

/// The design as a mesh, as ordered.
pub fn design_mesh() -> Result<Mesh, PhantomError> {
    surface_mesh(&design(), &bounds(), Fineness { cell_mm: 0.12, simplify_mm: Some(0.7 * CHORD_ERROR_MM) })
}

/// The site as a mesh.
pub fn site_mesh() -> Result<Mesh, PhantomError> {
    let bounds = Bounds { min: Point3::new(-3.0, -3.0, -5.0), max: Point3::new(17.0, 13.0, 2.0) };
    surface_mesh(&site(), &bounds, Fineness { cell_mm: 0.14, simplify_mm: Some(0.7 * CHORD_ERROR_MM) })
}

/// Files of the bundled case: path below the folder `testdata` and bytes. Seconds.
pub fn bundled() -> Result<Vec<(String, Vec<u8>)>, PhantomError> {
    let mut files = vec![("cage/design.stl".to_string(), stl(&design_mesh()?)), ("cage/site.stl".to_string(), stl(&site_mesh()?))];
    for part in Built::ALL {
        let scanned = built(part).moved(scanner_from_nominal());
        let volume = scanner(part).scan(&scanned, &grid())?;
        files.push((format!("cage/ct_{}.mha", part.stem()), metaimage(&volume)));
        files.push((format!("cage/order_{}.toml", part.stem()), order(part)));
    }
    Ok(files.into_iter().collect())
}
