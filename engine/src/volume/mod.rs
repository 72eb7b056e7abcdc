//! Voxel data on a [`Grid`]: [`Volume`] of one voxel type, [`AnyVolume`] of the type a file had, [`Slices`] where it may not
//! fit memory, [`Mask`] of one bit a voxel.
//!
//! A value of these types is valid and immutable: the data has exactly the grid's size. Order is i fastest, then j, then k.

mod band;
mod mask;
mod slices;

pub use band::{Band, Bricks, Voxels};
pub use mask::Mask;
pub(crate) use mask::{bits_between, each_bit, each_run};
pub use slices::{MOST_REACH, Read, Slab, Slices};

use crate::frame::Grid;

/// A type that voxels are stored in.
pub trait Voxel: Copy + Send + Sync + PartialOrd + bytemuck::Pod + 'static {
    /// Name as `inspect` prints it.
    const NAME: &'static str;
    /// Exact for every type here but 64-bit integers, which no volume holds.
    fn to_f64(self) -> f64;
    fn wrap(volume: Volume<Self>) -> AnyVolume;
}

/// Maps stored values to physical ones (for CT: Hounsfield units): `slope * stored + intercept`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rescale {
    pub slope: f64,
    pub intercept: f64,
}

impl Rescale {
    pub const IDENTITY: Rescale = Rescale { slope: 1.0, intercept: 0.0 };

    /// Whether it is finite with a slope other than 0, as that of every volume is.
    pub fn is_valid(&self) -> bool {
        self.slope.is_finite() && self.slope != 0.0 && self.intercept.is_finite()
    }

    pub fn physical(&self, stored: f64) -> f64 {
        self.slope * stored + self.intercept
    }

    pub fn stored(&self, physical: f64) -> f64 {
        (physical - self.intercept) / self.slope
    }
}

/// Voxels of one type.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume<T> {
    grid: Grid,
    rescale: Rescale,
    data: Vec<T>,
}

impl<T: Voxel> Volume<T> {
    /// `None` unless `data` has the grid's size and the rescale is finite with a slope other than 0.
    pub fn new(grid: Grid, rescale: Rescale, data: Vec<T>) -> Option<Self> {
        (data.len() == grid.voxels() && rescale.is_valid()).then_some(Volume { grid, rescale, data })
    }

    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    pub fn rescale(&self) -> Rescale {
        self.rescale
    }

    /// Stored values.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// Stored value at an index inside the grid.
    #[inline]
    pub fn at(&self, i: usize, j: usize, k: usize) -> T {
        let [nx, ny, _] = self.grid.dims();
        self.data[(k * ny + j) * nx + i]
    }

    /// One row along i.
    #[inline]
    pub fn row(&self, j: usize, k: usize) -> &[T] {
        let [nx, ny, _] = self.grid.dims();
        &self.data[(k * ny + j) * nx..][..nx]
    }
}

macro_rules! voxel_types {
    ($($variant:ident $type:ty, $name:literal;)*) => {
        $(impl Voxel for $type {
            const NAME: &'static str = $name;
            #[inline(always)]
            fn to_f64(self) -> f64 { self as f64 }
            fn wrap(volume: Volume<Self>) -> AnyVolume { AnyVolume::$variant(volume) }
        })*

        /// A volume of the type its file stored.
        #[derive(Clone, Debug, PartialEq)]
        pub enum AnyVolume { $($variant(Volume<$type>),)* }

        /// `with_volume!(any, v => expression)` runs the expression with `v: &Volume<T>` of the stored type.
        #[macro_export]
        macro_rules! with_volume {
            ($any:expr, $v:ident => $body:expr) => {
                match $any { $($crate::volume::AnyVolume::$variant($v) => $body,)* }
            };
        }
    };
}

voxel_types! {
    U8 u8, "u8"; I8 i8, "i8"; U16 u16, "u16"; I16 i16, "i16"; U32 u32, "u32"; I32 i32, "i32"; F32 f32, "f32"; F64 f64, "f64";
}

pub use with_volume;

impl AnyVolume {
    pub fn grid(&self) -> &Grid {
        with_volume!(self, v => v.grid())
    }

    pub fn rescale(&self) -> Rescale {
        with_volume!(self, v => v.rescale())
    }

    pub fn voxel_type(&self) -> &'static str {
        fn name<T: Voxel>(_: &Volume<T>) -> &'static str {
            T::NAME
        }
        with_volume!(self, v => name(v))
    }

    /// Bytes the voxels take in memory.
    pub fn bytes(&self) -> usize {
        with_volume!(self, v => std::mem::size_of_val(v.data()))
    }
}
