//! Streams of numbers to volumes of the type the file has.

use rayon::prelude::*;

use super::bytes::Stream;
use super::fault::Fault;
use crate::frame::Grid;
use crate::volume::{AnyVolume, Rescale, Volume, Voxel};

/// How one value is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
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
}

/// Values as they lie in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Layout {
    pub stored: Stored,
    pub big_endian: bool,
}

/// Reads the grid's voxels straight into their final place. 64-bit integers become `f64` where that is exact.
pub(super) fn read(mut stream: Stream, layout: Layout, grid: Grid, rescale: Rescale) -> Result<AnyVolume, Fault> {
    let bytes = (grid.voxels() as u64).checked_mul(layout.stored.bytes()).filter(|&b| b <= isize::MAX as u64);
    let bytes =
        bytes.ok_or(Fault::TooLarge { what: "the number of voxels", found: grid.voxels() as u64, allowed: isize::MAX as u64 / 8 })?;
    stream.can_give(bytes)?;
    let big = layout.big_endian;
    match layout.stored {
        Stored::U8 => wrap::<u8>(grid, rescale, values(&mut stream, &grid, big)?),
        Stored::I8 => wrap::<i8>(grid, rescale, values(&mut stream, &grid, big)?),
        Stored::U16 => wrap::<u16>(grid, rescale, values(&mut stream, &grid, big)?),
        Stored::I16 => wrap::<i16>(grid, rescale, values(&mut stream, &grid, big)?),
        Stored::U32 => wrap::<u32>(grid, rescale, values(&mut stream, &grid, big)?),
        Stored::I32 => wrap::<i32>(grid, rescale, values(&mut stream, &grid, big)?),
        Stored::F32 => wrap(grid, rescale, finite::<f32>(values(&mut stream, &grid, big)?)?),
        Stored::F64 => wrap(grid, rescale, finite::<f64>(values(&mut stream, &grid, big)?)?),
        Stored::I64 => wrap(grid, rescale, exact(values(&mut stream, &grid, big)?, |bits| i128::from(bits as i64))?),
        Stored::U64 => wrap(grid, rescale, exact(values(&mut stream, &grid, big)?, i128::from)?),
    }
}

/// A volume of values that have the grid's size.
pub(super) fn wrap<T: Voxel>(grid: Grid, rescale: Rescale, data: Vec<T>) -> Result<AnyVolume, Fault> {
    let Rescale { slope, intercept } = rescale;
    Volume::new(grid, rescale, data).map(T::wrap).ok_or(Fault::Rescale { slope, intercept })
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

fn values<T: Voxel>(stream: &mut Stream, grid: &Grid, big_endian: bool) -> Result<Vec<T>, Fault> {
    let mut data = zeroed::<T>(grid.voxels())?;
    stream.fill(bytemuck::cast_slice_mut(&mut data))?;
    order(&mut data, big_endian);
    Ok(data)
}

/// Puts the bytes of every value in this machine's order.
pub(super) fn order<T: Voxel>(data: &mut [T], big_endian: bool) {
    let size = size_of::<T>();
    if size > 1 && big_endian != cfg!(target_endian = "big") {
        data.par_chunks_mut(1 << 16).for_each(|part| bytemuck::cast_slice_mut(part).chunks_exact_mut(size).for_each(<[u8]>::reverse));
    }
}

fn finite<T: Voxel>(data: Vec<T>) -> Result<Vec<T>, Fault> {
    match data.par_iter().position_first(|v| !v.to_f64().is_finite()) {
        Some(voxel) => Err(Fault::NotFinite { voxel }),
        None => Ok(data),
    }
}

/// 64-bit integers, given as the bit patterns of `f64`, to the numbers they are, in place.
fn exact(mut data: Vec<f64>, integer: impl Fn(u64) -> i128 + Sync) -> Result<Vec<f64>, Fault> {
    let limit = 1i128 << 53;
    if let Some(voxel) = data.par_iter().position_first(|v| integer(v.to_bits()).abs() > limit) {
        return Err(Fault::NotExact { voxel, value: integer(data[voxel].to_bits()).to_string() });
    }
    data.par_iter_mut().for_each(|v| *v = integer(v.to_bits()) as f64);
    Ok(data)
}
