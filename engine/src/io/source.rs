//! A volume opened but not read: where its voxels lie, what its file says of it, and its slices on demand.
//!
//! Headers are all that is in memory, so that a volume larger than memory can be gone through in slabs; [`SliceSource::load`] reads it
//! whole with the same bits. What a format packs as one stream (`.nii.gz`, gzip NRRD, zlib MetaImage) can only be loaded.
//! Cost: plain voxels come at the speed of the disk, in parallel; packed slices at that of their decoder, one a core.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::bytes::{self, Stream};
use super::dicom::{Frames, Tally};
use super::fault::{Fault, FileError};
use super::nrrd::Text;
use super::tiff::Pages;
use super::voxels::{self, Layout};
use super::{VolumeFile, measurable};
use crate::error::Error;
use crate::finding::Finding;
use crate::frame::Grid;
use crate::volume::{Rescale, Volume, Voxel};

/// The type that voxels are held in once read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoxelType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    F64,
}

/// `with_voxel_type!(voxel_type, T => expression)` evaluates the expression with `T` standing for the type.
#[rustfmt::skip]
#[macro_export]
macro_rules! with_voxel_type {
    ($voxel_type:expr, $t:ident => $body:expr) => {{
        use $crate::io::VoxelType as Held;
        match $voxel_type {
            Held::U8 => { type $t = u8; $body }
            Held::I8 => { type $t = i8; $body }
            Held::U16 => { type $t = u16; $body }
            Held::I16 => { type $t = i16; $body }
            Held::U32 => { type $t = u32; $body }
            Held::I32 => { type $t = i32; $body }
            Held::F32 => { type $t = f32; $body }
            Held::F64 => { type $t = f64; $body }
        }
    }};
}

pub use with_voxel_type;

impl VoxelType {
    /// Name as `inspect` prints it, for example `i16`.
    pub fn name(self) -> &'static str {
        with_voxel_type!(self, T => T::NAME)
    }

    /// Bytes of one voxel in memory.
    pub fn bytes(self) -> usize {
        with_voxel_type!(self, T => size_of::<T>())
    }
}

/// Where the voxels are.
#[derive(Debug)]
pub(super) enum Slices {
    /// One behind the other in a file, from an offset on.
    Plain {
        path: PathBuf,
        offset: u64,
        layout: Layout,
    },
    /// In a compressed stream.
    Packed {
        path: PathBuf,
        packing: Packing,
        layout: Layout,
    },
    /// Numbers written out.
    Text(Text),
    Dicom(Frames),
    Tiff(Pages),
}

/// How a stream is compressed and where its voxels begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Packing {
    /// Gzip from `offset` of the file on; `skip` unpacked bytes come before the voxels.
    Gzip {
        offset: u64,
        skip: u64,
    },
    Zlib {
        offset: u64,
    },
}

/// A volume file by its headers.
#[derive(Debug)]
pub struct SliceSource {
    pub format: &'static str,
    /// As DICOM names it, for example `CT`.
    pub modality: Option<String>,
    /// How the image was made, by stable names. Never who was imaged.
    pub facts: BTreeMap<&'static str, String>,
    /// Which steps of the grid (i, j, k) the file does not give.
    pub assumed_steps: [bool; 3],
    /// What headers and geometry say. Saturation and padding are found in the voxels, by [`SliceSource::load`] or [`SliceSource::values`].
    pub findings: Vec<Finding>,
    /// All files that the volume comes from, slices in order.
    pub files: Vec<PathBuf>,
    pub(super) grid: Grid,
    pub(super) rescale: Rescale,
    pub(super) voxel_type: VoxelType,
    pub(super) slices: Slices,
}

/// What is known of a volume once all its voxels were seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// Least and largest stored value.
    pub range: (f64, f64),
    /// As [`VolumeFile::values_sha256`].
    pub sha256: String,
    /// Those that [`SliceSource::load`] adds to what headers and geometry say.
    pub findings: Vec<Finding>,
}

/// Plain voxels are read in parts of this size, each on its own thread.
const PART_BYTES: usize = 8 << 20;

impl SliceSource {
    pub(super) fn new(format: &'static str, path: &Path, grid: Grid, rescale: Rescale, voxel_type: VoxelType, slices: Slices) -> Self {
        SliceSource {
            format,
            modality: None,
            facts: BTreeMap::new(),
            assumed_steps: [false; 3],
            findings: vec![],
            files: vec![path.to_path_buf()],
            grid,
            rescale,
            voxel_type,
            slices,
        }
    }

    /// Voxels as they lie in a file, held against the bytes there are.
    pub(super) fn plain(format: &'static str, path: &Path, data: PathBuf, offset: u64, layout: Layout, grid: Grid) -> Result<Self, Fault> {
        let needed = layout.bytes(&grid)?.saturating_add(offset);
        let (_, found) = bytes::open(&data)?;
        if needed > found {
            return Err(Fault::Truncated { format, needed, found });
        }
        let voxel_type = layout.stored.held_as();
        let slices = Slices::Plain { path: data, offset, layout };
        Ok(SliceSource::new(format, path, grid, Rescale::IDENTITY, voxel_type, slices))
    }

    /// Voxels in a compressed stream, held against what so many bytes can unpack to.
    pub(super) fn packed(
        format: &'static str,
        path: &Path,
        data: PathBuf,
        packing: Packing,
        layout: Layout,
        grid: Grid,
    ) -> Result<Self, Fault> {
        packing.open(format, &data)?.can_give(layout.bytes(&grid)?)?;
        let voxel_type = layout.stored.held_as();
        let slices = Slices::Packed { path: data, packing, layout };
        Ok(SliceSource::new(format, path, grid, Rescale::IDENTITY, voxel_type, slices))
    }

    /// Fails where the rescale is none.
    pub(super) fn rescaled(mut self, rescale: Rescale) -> Result<Self, Fault> {
        let Rescale { slope, intercept } = rescale;
        if !slope.is_finite() || slope == 0.0 || !intercept.is_finite() {
            return Err(Fault::Rescale { slope, intercept });
        }
        self.rescale = rescale;
        Ok(self)
    }

    /// Of the whole volume. A slice is a plane of i and j.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    pub fn rescale(&self) -> Rescale {
        self.rescale
    }

    pub fn voxel_type(&self) -> VoxelType {
        self.voxel_type
    }

    /// Bytes that the voxels take in memory when loaded.
    pub fn bytes(&self) -> u64 {
        self.grid.voxels() as u64 * self.voxel_type.bytes() as u64
    }

    /// Whether slices are decoded one by one, beside what holds them.
    pub fn is_packed(&self) -> bool {
        !matches!(self.slices, Slices::Plain { .. })
    }

    /// Whether slices can be had one by one; what is packed as one stream can only be loaded.
    pub fn is_streamable(&self) -> bool {
        !matches!(self.slices, Slices::Packed { .. } | Slices::Text(_))
    }

    /// [`VolumeFile::measurable`] before anything is read.
    pub fn measurable(&self, accepted: &[String]) -> Result<(), Error> {
        measurable(&self.findings, self.assumed_steps, accepted)
    }

    /// Appends the stored values of the slices with these k, i fastest, then j, then k: the bits that [`SliceSource::load`] has there.
    /// `T` is the type of [`SliceSource::voxel_type`]; any other, and slices that are not there, are a defect of the caller.
    pub fn read<T: Voxel>(&self, slices: Range<usize>, out: &mut Vec<T>) -> Result<(), Error> {
        let [nx, ny, nz] = self.grid.dims();
        if T::NAME != self.voxel_type.name() || slices.start > slices.end || slices.end > nz {
            let held = self.voxel_type.name();
            return Err(Error::defect(format!("slices {slices:?} as {} were asked of {nz} slices of {held}", T::NAME)));
        }
        let count = slices.len() * nx * ny;
        let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
        let short = Fault::TooLarge { what: "the memory for its slices", found: bytes, allowed: bytes / 2 };
        out.try_reserve_exact(count).map_err(|_| self.at_fault(short))?;
        let before = out.len();
        out.resize(before + count, T::zeroed());
        Ok(self.fill(slices, &mut out[before..])?)
    }

    /// What all voxels together say, read so many slices at a time.
    pub fn values(&self, at_once: usize) -> Result<Values, Error> {
        with_voxel_type!(self.voxel_type, T => self.values_as::<T>(at_once))
    }

    fn values_as<T: Voxel>(&self, at_once: usize) -> Result<Values, Error> {
        let [nx, ny, nz] = self.grid.dims();
        let reversed = self.grid.axes().determinant() < 0.0;
        let (mut range, mut digest, mut data) = ((f64::INFINITY, f64::NEG_INFINITY), Sha256::new(), Vec::<T>::new());
        let mut tally = self.tally();
        for first in (0..nz).step_by(at_once.max(1)) {
            let end = (first + at_once.max(1)).min(nz);
            data.clear();
            self.read(if reversed { nz - end..nz - first } else { first..end }, &mut data)?;
            let (low, high) = super::range(&data);
            range = (range.0.min(low), range.1.max(high));
            tally.iter_mut().for_each(|tally| tally.add(&data));
            voxels::order(&mut data, false);
            let mut slices: Vec<&[T]> = data.chunks(nx * ny).collect();
            if reversed {
                slices.reverse();
            }
            slices.into_iter().for_each(|slice| digest.update(bytemuck::cast_slice(slice)));
        }
        let sha256 = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Values { range, sha256, findings: tally.map_or(vec![], |tally| tally.findings()) })
    }

    fn tally(&self) -> Option<Tally> {
        match &self.slices {
            Slices::Dicom(frames) => frames.tally(self.rescale),
            _ => None,
        }
    }

    /// The whole volume and all findings.
    pub fn load(self) -> Result<VolumeFile, Error> {
        with_voxel_type!(self.voxel_type, T => self.load_as::<T>())
    }

    fn load_as<T: Voxel>(mut self) -> Result<VolumeFile, Error> {
        let mut data = voxels::zeroed::<T>(self.grid.voxels()).map_err(|fault| self.at_fault(fault))?;
        self.fill(0..self.grid.dims()[2], &mut data)?;
        let Rescale { slope, intercept } = self.rescale;
        if let Some(mut tally) = self.tally() {
            tally.add(&data);
            self.findings.extend(tally.findings());
        }
        let rescale = self.at_fault(Fault::Rescale { slope, intercept });
        let volume = Volume::new(self.grid, self.rescale, data).map(T::wrap).ok_or(rescale)?;
        let SliceSource { format, modality, facts, assumed_steps, findings, files, .. } = self;
        Ok(VolumeFile { volume, format, modality, facts, assumed_steps, findings, files })
    }

    fn at_fault(&self, fault: Fault) -> FileError {
        fault.of(self.files.first().map_or(Path::new(self.format), |f| f))
    }

    fn fill<T: Voxel>(&self, slices: Range<usize>, out: &mut [T]) -> Result<(), FileError> {
        let [nx, ny, _] = self.grid.dims();
        let of = |path: &Path| {
            let path = path.to_path_buf();
            move |fault: Fault| fault.of(&path)
        };
        match &self.slices {
            Slices::Plain { path, offset, layout } => {
                let first = slices.start * nx * ny;
                read_plain(path, self.format, offset + first as u64 * layout.stored.bytes(), out).map_err(of(path))?;
                voxels::settle(out, *layout, first).map_err(of(path))
            }
            Slices::Packed { path, packing, layout } => {
                let mut stream = packing.open(self.format, path).map_err(of(path))?;
                stream.fill(bytemuck::cast_slice_mut(out)).map_err(of(path))?;
                voxels::settle(out, *layout, 0).map_err(of(path))
            }
            Slices::Text(text) => text.fill(out).map_err(of(text.path())),
            Slices::Dicom(frames) => frames.fill(slices, nx * ny, out),
            Slices::Tiff(pages) => pages.fill(slices, nx * ny, out),
        }
    }
}

impl Packing {
    fn open(self, format: &'static str, path: &Path) -> Result<Stream, Fault> {
        let (file, _) = bytes::open(path)?;
        match self {
            Packing::Gzip { offset, skip } => {
                let mut stream = Stream::gzip(format, file, offset)?;
                stream.skip(skip)?;
                Ok(stream)
            }
            Packing::Zlib { offset } => Stream::zlib(format, file, offset),
        }
    }
}

/// Bytes of a file from an offset on, as they are.
fn read_plain<T: Voxel>(path: &Path, format: &'static str, offset: u64, out: &mut [T]) -> Result<(), Fault> {
    let size = size_of::<T>();
    out.par_chunks_mut((PART_BYTES / size).max(1)).enumerate().try_for_each(|(part, out)| {
        let at = offset + (part * (PART_BYTES / size).max(1) * size) as u64;
        let mut file = File::open(path).map_err(|e| Fault::unreadable(&e))?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(out);
        let needed = at + bytes.len() as u64;
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(bytes)).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => Fault::Truncated { format, needed, found: file.metadata().map_or(0, |m| m.len()) },
            _ => Fault::unreadable(&e),
        })
    })
}
