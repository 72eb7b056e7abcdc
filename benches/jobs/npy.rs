//! The few NumPy arrays that the jobs read: little-endian, C order, n × 3 of f64, f32 or i32.

use std::path::Path;

use nalgebra::Point3;
use verimetry_engine::mesh::Mesh;

/// The array's element type as NumPy writes it, and its bytes.
fn read(path: &Path) -> (String, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}; make it with the comparison scripts' workloads", path.display()));
    let (size, start) = if bytes[6] == 1 {
        (u16::from_le_bytes([bytes[8], bytes[9]]) as usize, 10)
    } else {
        (u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize, 12)
    };
    let header = String::from_utf8_lossy(&bytes[start..start + size]).into_owned();
    assert!(header.contains("'fortran_order': False"), "{}: Fortran order", path.display());
    let kind = header.split('\'').nth(3).unwrap_or_default().to_string();
    (kind, bytes[start + size..].to_vec())
}

fn rows<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<Point3<f64>> {
    let values: Vec<f64> = bytes.chunks_exact(N).map(|b| number(b.try_into().expect("chunks of N"))).collect();
    values.chunks_exact(3).map(|r| Point3::new(r[0], r[1], r[2])).collect()
}

pub fn points(path: &Path) -> Vec<Point3<f64>> {
    match read(path) {
        (kind, bytes) if kind == "<f8" => rows(&bytes, f64::from_le_bytes),
        (kind, bytes) if kind == "<f4" => rows(&bytes, |b| f64::from(f32::from_le_bytes(b))),
        (kind, _) => panic!("{}: {kind} is not a float", path.display()),
    }
}

pub fn mesh(data: &Path, shape: &str, size: &str) -> Mesh {
    let vertices = points(&data.join(format!("{shape}_{size}_v.npy")));
    let (_, bytes) = read(&data.join(format!("{shape}_{size}_f.npy")));
    let index: Vec<u32> = bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let triangles = index.chunks_exact(3).map(|t| [t[0], t[1], t[2]]).collect();
    Mesh::new(vertices, triangles).expect("a valid mesh in the data folder")
}
