//! A sidecar: `NAME.toml` beside `NAME.raw` (or `NAME.tif`), or `voxels.toml` in a folder of TIFF slices, tells what voxels alone do not.
//!
//! ```toml
//! dims = [512, 512, 300]          # i fastest, then j, then k; raw only
//! voxel_type = "u16"              # u8 i8 u16 i16 u32 i32 u64 i64 f32 f64; raw only
//! endian = "little"               # or "big"; raw only
//! header_bytes = 0                # passed over before the voxels; raw only
//! spacing_mm = [0.05, 0.05, 0.05]
//! origin_mm = [0.0, 0.0, 0.0]     # centre of the first voxel, LPS
//! slope = 1.0                     # physical = slope * stored + intercept
//! intercept = 0.0
//! modality = "CT"
//! ```

use std::path::{Path, PathBuf};

use nalgebra::Point3;
use serde::Deserialize;

use super::bytes;
use super::fault::{Fault, name, printable};
use super::voxels::Stored;
use crate::frame::Grid;
use crate::volume::Rescale;

/// No sidecar is longer (bytes).
const LONGEST: u64 = 64 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sidecar {
    pub dims: Option<[usize; 3]>,
    pub voxel_type: Option<Stored>,
    #[serde(default)]
    pub endian: Endian,
    #[serde(default)]
    pub header_bytes: u64,
    pub spacing_mm: [f64; 3],
    #[serde(default)]
    pub origin_mm: [f64; 3],
    #[serde(default = "one")]
    pub slope: f64,
    #[serde(default)]
    pub intercept: f64,
    pub modality: Option<String>,
}

fn one() -> f64 {
    1.0
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Endian {
    #[default]
    Little,
    Big,
}

/// Names of meshes.
const MESHES: [&str; 5] = ["stl", "ply", "obj", "off", "3mf"];

/// The sidecar of a file, if it has one. What calls itself a mesh has none: an order of the same name may lie beside a broken mesh.
pub(super) fn of(path: &Path) -> Option<PathBuf> {
    let sidecar = path.with_extension("toml");
    let mesh = path.extension().is_some_and(|e| MESHES.iter().any(|mesh| e.eq_ignore_ascii_case(mesh)));
    (!mesh && sidecar != path && sidecar.is_file()).then_some(sidecar)
}

impl Sidecar {
    pub fn read(path: &Path) -> Result<Sidecar, Fault> {
        let fault = |reason: String| Fault::Sidecar { file: name(path), reason: printable(&reason) };
        let (_, found) = bytes::open(path)?;
        if found > LONGEST {
            return Err(fault(format!("it has {found} bytes, allowed are {LONGEST}")));
        }
        let text = String::from_utf8(bytes::whole(path)?).map_err(|_| fault("it is not UTF-8".into()))?;
        toml::from_str(&text).map_err(|e| fault(e.message().replace('\n', " ")))
    }

    pub fn rescale(&self) -> Rescale {
        Rescale { slope: self.slope, intercept: self.intercept }
    }

    pub fn grid(&self, dims: [usize; 3]) -> Result<Grid, Fault> {
        let fits = self.spacing_mm.iter().all(|s| *s > 0.0);
        Grid::aligned(dims, self.spacing_mm, Point3::from(self.origin_mm))
            .filter(|_| fits)
            .ok_or_else(|| Fault::Geometry { found: format!("sizes {dims:?}, spacing {:?}, origin {:?}", self.spacing_mm, self.origin_mm) })
    }
}
