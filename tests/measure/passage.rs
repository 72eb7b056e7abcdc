//! Where spheres pass: throats, what is reached about them, the thinnest wall, and shares and spreads of sizes, each of closed form.

use nalgebra::{Point3, Vector3};
use verimetry_engine::frame::{Bounds, Pose};
use verimetry_engine::load::Source;
use verimetry_engine::measure::{self, Envelope, Measurement, Pores};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::order::RegionShape;
use verimetry_engine::phantom::{Solid, parts};
use verimetry_engine::runtime::Runtime;

use super::{Folder, covers};
