//! Numbers as files store them, and as volumes hold them.

use rayon::prelude::*;
use serde::Deserialize;

use super::fault::Fault;
use super::source::VoxelType;
use crate::frame::Grid;
use crate::volume::Voxel;

/// How one value is stored.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stored {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Stored {
    pub fn bytes(self) -> u64 {
        match self {
            Stored::U8 | Stored::I8 => 1,
            Stored::U16 | Stored::I16 => 2,
            Stored::U32 | Stored::I32 | Stored::F32 => 4,
            Stored::U64 | Stored::I64 | Stored::F64 => 8,
        }
    }

    pub fn held_as(self) -> VoxelType {
        match self {
            Stored::U8 => VoxelType::U8,
            Stored::I8 => VoxelType::I8,
            Stored::U16 => VoxelType::U16,
            Stored::I16 => VoxelType::I16,
            Stored::U32 => VoxelType::U32,
            Stored::I32 => VoxelType::I32,
            Stored::F32 => VoxelType::F32,
            Stored::F64 | Stored::I64 | Stored::U64 => VoxelType::F64,
        }
    }
}

/// Values as they lie in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Layout {
    pub stored: Stored,
    pub big_endian: bool,
}

impl Layout {
    /// Bytes that the grid's voxels take in a file.
    pub fn bytes(&self, grid: &Grid) -> Result<u64, Fault> {
        let bytes = (grid.voxels() as u64).checked_mul(self.stored.bytes()).filter(|&b| b <= isize::MAX as u64);
        bytes.ok_or(Fault::TooLarge { what: "the number of voxels", found: grid.voxels() as u64, allowed: isize::MAX as u64 / 8 })
    }
}

/// Bytes as they lay in a file to the numbers they are. 64-bit integers, whose bits stand in the places of `f64`, become numbers where
/// that is exact. `first` is the number of the first voxel, for messages.
pub(super) fn settle<T: Voxel>(out: &mut [T], layout: Layout, first: usize) -> Result<(), Fault> {
    order(out, layout.big_endian);
    match layout.stored {
        Stored::F32 | Stored::F64 => finite(out, first),
        Stored::I64 => exact(bytemuck::cast_slice_mut(out), first, |bits| i128::from(bits as i64)),
        Stored::U64 => exact(bytemuck::cast_slice_mut(out), first, i128::from),
        _ => Ok(()),
    }
}

/// Zeroed memory for `count` values; an error instead of an abort where there is too little.
pub(super) fn zeroed<T: Voxel>(count: usize) -> Result<Vec<T>, Fault> {
    // `try_reserve` finds out whether the memory can be had; `vec!` then gets it from the system already zero.
    let mut probe: Vec<T> = Vec::new();
    let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
    probe.try_reserve_exact(count).map_err(|_| Fault::TooLarge { what: "the memory for its voxels", found: bytes, allowed: bytes / 2 })?;
    drop(probe);
    Ok(vec![T::zeroed(); count])
}

/// Puts the bytes of every value in this machine's order.
pub(super) fn order<T: Voxel>(data: &mut [T], big_endian: bool) {
    let size = size_of::<T>();
    if size > 1 && big_endian != cfg!(target_endian = "big") {
        data.par_chunks_mut(1 << 16).for_each(|part| bytemuck::cast_slice_mut(part).chunks_exact_mut(size).for_each(<[u8]>::reverse));
    }
}

fn finite<T: Voxel>(data: &[T], first: usize) -> Result<(), Fault> {
    match data.par_iter().with_min_len(1 << 14).position_first(|v| !v.to_f64().is_finite()) {
        Some(voxel) => Err(Fault::NotFinite { voxel: first + voxel }),
        None => Ok(()),
    }
}

/// 64-bit integers, given as the bit patterns of `f64`, to the numbers they are, in place.
fn exact(data: &mut [f64], first: usize, integer: impl Fn(u64) -> i128 + Sync) -> Result<(), Fault> {
    let limit = 1i128 << 53;
    if let Some(voxel) = data.par_iter().position_first(|v| integer(v.to_bits()).abs() > limit) {
        return Err(Fault::NotExact { voxel: first + voxel, value: integer(data[voxel].to_bits()).to_string() });
    }
    data.par_iter_mut().for_each(|v| *v = integer(v.to_bits()) as f64);
    Ok(())
}
