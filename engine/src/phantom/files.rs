//! The two file formats of the bundled cases, as bytes.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::{Compression, write::ZlibEncoder};

use crate::mesh::Mesh;
use crate::volume::Volume;

/// MetaImage (`.mha`), zlib-compressed.
pub fn metaimage(volume: &Volume<u16>) -> Vec<u8> {
    let grid = volume.grid();
    let raw: Vec<u8> = volume.data().iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut encoder = ZlibEncoder::new(vec![], Compression::best());
    encoder.write_all(&raw).expect("writing to memory does not fail");
    let packed = encoder.finish().expect("writing to memory does not fail");
    let list = |values: &[f64]| values.iter().map(|v| v.to_string()).collect::<Vec<_>>().join(" ");
    let steps = grid.steps_mm();
    let directions: Vec<f64> = (0..3).flat_map(|a| grid.axes().column(a).iter().map(|x| x / steps[a]).collect::<Vec<_>>()).collect();
    let [nx, ny, nz] = grid.dims();
    let mut header = String::from("ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n");
    let _ = write!(
        header, // a String takes every write
        "CompressedData = True\nCompressedDataSize = {}\nTransformMatrix = {}\nOffset = {}\nCenterOfRotation = 0 0 0\n\
         AnatomicalOrientation = RAI\nElementSpacing = {}\nDimSize = {nx} {ny} {nz}\nElementType = MET_USHORT\nElementDataFile = LOCAL\n",
        packed.len(),
        list(&directions),
        list(grid.origin().coords.as_slice()),
        list(&steps),
    );
    [header.into_bytes(), packed].concat()
}

/// Binary STL. The format holds 32-bit floats: coordinates are rounded to about 1e-7 of their size.
pub fn stl(mesh: &Mesh) -> Vec<u8> {
    let mut bytes = vec![0u8; 80];
    let name = b"millimetres";
    bytes[..name.len()].copy_from_slice(name);
    bytes.extend((mesh.triangles().len() as u32).to_le_bytes());
    for t in 0..mesh.triangles().len() {
        let normal = mesh.area_vector(t).try_normalize(0.0).unwrap_or_default();
        let corners = mesh.corners(t);
        let numbers = normal.iter().chain(corners.iter().flat_map(|p| p.iter()));
        bytes.extend(numbers.flat_map(|&x| (x as f32).to_le_bytes()));
        bytes.extend([0, 0]);
    }
    bytes
}
