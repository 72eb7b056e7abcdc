//! Raw voxels with a sidecar (module `sidecar`) that says what they are. Nothing is guessed from the size of the file.

use std::path::Path;

use super::fault::{Fault, name};
use super::sidecar::{Endian, Sidecar};
use super::source::SliceSource;
use super::voxels::Layout;

pub(super) fn open(path: &Path, sidecar: &Path) -> Result<SliceSource, Fault> {
    let said = Sidecar::read(sidecar)?;
    let missing = |what: &str| Fault::Sidecar { file: name(sidecar), reason: format!("{what} is missing") };
    let dims = said.dims.ok_or_else(|| missing("dims"))?;
    let stored = said.voxel_type.ok_or_else(|| missing("voxel_type"))?;
    let layout = Layout { stored, big_endian: said.endian == Endian::Big };
    let source = SliceSource::plain("raw voxels", path, path.to_path_buf(), said.header_bytes, layout, said.grid(dims)?)?;
    let files = vec![sidecar.to_path_buf(), path.to_path_buf()];
    Ok(SliceSource { format: "raw", modality: said.modality.clone(), files, ..source.rescaled(said.rescale())? })
}
