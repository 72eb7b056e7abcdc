//! GLB (binary glTF 2.0, ISO/IEC 12113:2022) with a colour at every vertex, for viewers.
//!
//! Coordinates stay millimetres in 32 bits; the node scales them to the metres and turns Z to the Y upwards that glTF asks for. Colours are
//! linear light in 16 bits. A mesh carries normals, a point cloud is points. Values are in the PLY map; this one is to look at.

use std::io::{Error, ErrorKind, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::bytes;
use super::fault::FileError;
use crate::mesh::Mesh;

/// Component types and targets of glTF.
const F32: u32 = 5126;
const U16: u32 = 5123;
const U32: u32 = 5125;
const VERTICES: u32 = 34962;
const INDICES: u32 = 34963;
const TRIANGLES: u32 = 4;
const POINTS: u32 = 0;

/// Writes a mesh or cloud with one linear-light RGB a vertex, each from 0 to 1. `extras` is put beside the mesh. Nothing partial is left behind.
pub fn write(path: &Path, mesh: &Mesh, colours: &[[f32; 3]], extras: Value) -> Result<(), FileError> {
    bytes::write(path, |out| encode(out, mesh, colours, extras))
}

/// The bytes that [`write`] puts into a file.
pub fn encode(out: &mut dyn Write, mesh: &Mesh, colours: &[[f32; 3]], extras: Value) -> std::io::Result<()> {
    let mut buffer = Buffer::default();
    let positions: Vec<[f32; 3]> = mesh.vertices().iter().map(|p| [p.x as f32, p.y as f32, p.z as f32]).collect();
    let (count, numbers) =
        (positions.len(), |of: &'_ [[f32; 3]]| of.iter().flatten().map(|x| x.to_le_bytes()).collect::<Vec<_>>().into_iter());
    let bound = |of: fn(f32, f32) -> f32| [0, 1, 2].map(|a| positions.iter().map(|p| p[a]).fold(positions[0][a], of));
    let mut attributes = serde_json::Map::new();
    let extent = json!({ "min": bound(f32::min), "max": bound(f32::max) });
    attributes.insert("POSITION".into(), buffer.add(numbers(&positions), count, (F32, "VEC3", VERTICES), extent).into());
    if colours.len() == count {
        let levels = colours.iter().flat_map(|&[r, g, b]| [level(r), level(g), level(b), u16::MAX]).map(u16::to_le_bytes);
        attributes.insert("COLOR_0".into(), buffer.add(levels, count, (U16, "VEC4", VERTICES), json!({ "normalized": true })).into());
    }
    let mut primitive = json!({ "material": 0 });
    if mesh.is_cloud() {
        primitive["mode"] = POINTS.into();
    } else {
        let up = |n: nalgebra::Vector3<f64>| {
            if n == nalgebra::Vector3::zeros() { [0.0, 0.0, 1.0] } else { [n.x as f32, n.y as f32, n.z as f32] }
        };
        let normals: Vec<[f32; 3]> = mesh.vertex_normals().into_iter().map(up).collect();
        attributes.insert("NORMAL".into(), buffer.add(numbers(&normals), count, (F32, "VEC3", VERTICES), json!({})).into());
        let corners = mesh.triangles().iter().flatten().map(|v| v.to_le_bytes());
        primitive["indices"] = buffer.add(corners, 3 * mesh.triangles().len(), (U32, "SCALAR", INDICES), json!({})).into();
        primitive["mode"] = TRIANGLES.into();
    }
    primitive["attributes"] = attributes.into();
    let quarter = std::f64::consts::FRAC_1_SQRT_2;
    let document = json!({
        "asset": { "version": "2.0", "generator": concat!("verimetry ", env!("CARGO_PKG_VERSION")) },
        "scene": 0,
        "scenes": [{ "nodes": [0] }],
        "nodes": [{ "mesh": 0, "scale": [0.001, 0.001, 0.001], "rotation": [-quarter, 0.0, 0.0, quarter] }],
        "meshes": [{ "primitives": [primitive], "extras": extras }],
        "materials": [{ "doubleSided": true, "pbrMetallicRoughness": { "metallicFactor": 0.0, "roughnessFactor": 0.8 } }],
        "buffers": [{ "byteLength": buffer.bytes.len() }],
        "bufferViews": buffer.views,
        "accessors": buffer.accessors,
    });
    let mut text = serde_json::to_vec(&document)?;
    text.resize(text.len().next_multiple_of(4), b' ');
    let whole = 12 + 8 + text.len() + 8 + buffer.bytes.len();
    let length = |n: usize| u32::try_from(n).map_err(|_| Error::new(ErrorKind::FileTooLarge, "GLB holds at most 4 GiB"));
    out.write_all(b"glTF")?;
    [2, length(whole)?, length(text.len())?].iter().try_for_each(|n: &u32| out.write_all(&n.to_le_bytes()))?;
    out.write_all(b"JSON")?;
    out.write_all(&text)?;
    out.write_all(&length(buffer.bytes.len())?.to_le_bytes())?;
    out.write_all(b"BIN\0")?;
    out.write_all(&buffer.bytes)
}

fn level(x: f32) -> u16 {
    (x.clamp(0.0, 1.0) * f32::from(u16::MAX) + 0.5) as u16
}

/// The binary chunk with its views and accessors. Every element here is a multiple of four bytes, so everything is aligned.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    views: Vec<Value>,
    accessors: Vec<Value>,
}

impl Buffer {
    /// Adds elements, given by their little-endian numbers; the number of their accessor.
    fn add<const N: usize>(
        &mut self,
        numbers: impl Iterator<Item = [u8; N]>,
        count: usize,
        (component, shape, target): (u32, &str, u32),
        more: Value,
    ) -> usize {
        let from = self.bytes.len();
        self.bytes.extend(numbers.flatten());
        self.views.push(json!({ "buffer": 0, "byteOffset": from, "byteLength": self.bytes.len() - from, "target": target }));
        let mut accessor = json!({ "bufferView": self.views.len() - 1, "componentType": component, "count": count, "type": shape });
        if let (Some(accessor), Value::Object(more)) = (accessor.as_object_mut(), more) {
            accessor.extend(more);
        }
        self.accessors.push(accessor);
        self.accessors.len() - 1
    }
}
