//! DICOM: images of one file or one folder as one stack of slices, single- and multi-frame, in every transfer syntax with a decoder.
//!
//! Stored values are kept as they are decoded; one rescale shared by all slices stays beside them, differing ones are brought onto one
//! scale exactly (module `scale`). Geometry is that of positions and orientations (module `stack`). Slices are decoded in parallel straight
//! into place. Faults of the series are findings, so that it can still be looked at; faults of a file are errors.
//! Memory: headers of all files; while decoding, the packed bytes of one slice a thread.

mod codec;
mod facts;
mod functional;
mod image;
mod scale;
mod scan;
mod series;
mod stack;
mod stream;
mod values;

use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::bytes::folder_of;
use super::fault::{Fault, FileError};
use super::source::{SliceSource, Slices, VoxelType};
use crate::finding::Finding;
use crate::volume::{Rescale, Voxel};
use image::Frame;
use scale::{Scale, Steps};
use stack::{Stack, stack};

pub(super) use scan::is_dicom;
pub(super) use values::Tally;

/// A folder may hold so many files, and folders so deep.
const FILES: usize = 50_000;
const DEPTH: usize = 5;

/// Slices of a stack in order along their normal, and how to bring their values onto one scale.
#[derive(Debug)]
pub(super) struct Frames {
    frames: Vec<Frame>,
    sample: VoxelType,
    steps: Option<Steps>,
}

pub(super) fn open_file(path: &Path) -> Result<SliceSource, FileError> {
    let frames = match image::open(path) {
        // A directory names no one of its images; they lie in its folder.
        Err(Fault::NoImage { .. }) if is_directory(path) => {
            let folder = folder_of(path);
            return open_folder(folder, None);
        }
        other => other.map_err(|fault| fault.of(path))?,
    };
    let mut findings = vec![];
    let frames = series::choose(frames, None, &mut findings).ok_or_else(|| Fault::NoSeries { files: 1 }.of(path))?;
    build(frames, findings)
}

/// A media storage directory (PS3.10 8.6), by its name as the standard fixes it or by what it holds.
fn is_directory(path: &Path) -> bool {
    const CLASS: &[u8] = b"1.2.840.10008.1.3.10";
    let head = super::bytes::open(path).and_then(|(mut file, _)| super::bytes::head(&mut file, 1024)).unwrap_or_default();
    head.windows(CLASS.len()).any(|w| w == CLASS)
}

/// `asked` is the number or UID of the series to take.
pub(super) fn open_folder(folder: &Path, asked: Option<&str>) -> Result<SliceSource, FileError> {
    let mut files = vec![];
    list(folder, 0, &mut files).map_err(|fault| fault.of(folder))?;
    files.sort();
    let opened: Vec<Option<Result<Vec<Frame>, FileError>>> = files.par_iter().map(|f| open_dicom(f)).collect();
    let (mut frames, mut others) = (vec![], 0);
    for file in opened {
        match file {
            Some(Ok(found)) => frames.extend(found),
            // Reports, plans and directories lie in the folders of many series.
            Some(Err(FileError { fault: Fault::NoImage { .. }, .. })) | None => others += 1,
            Some(Err(fault)) => return Err(fault),
        }
    }
    let mut findings = vec![];
    if others > 0 {
        findings
            .push(Finding::note("ct.other_files", format!("{others} other files of the folder are no DICOM images and were passed over")));
    }
    let none = match asked {
        Some(asked) if !frames.is_empty() => Fault::SeriesNotFound { asked: super::fault::printable(asked) },
        _ => Fault::NoSeries { files: files.len() },
    };
    let chosen = series::choose(frames, asked, &mut findings).ok_or_else(|| none.of(folder))?;
    build(chosen, findings)
}

/// Files of a folder and of those in it; links to folders are not followed.
fn list(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Fault> {
    for entry in std::fs::read_dir(folder).map_err(|e| Fault::unreadable(&e))? {
        let entry = entry.map_err(|e| Fault::unreadable(&e))?;
        let kind = entry.file_type().map_err(|e| Fault::unreadable(&e))?;
        if kind.is_dir() && depth < DEPTH {
            list(&entry.path(), depth + 1, files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
        if files.len() > FILES {
            return Err(Fault::TooLarge { what: "the number of files in the folder", found: files.len() as u64, allowed: FILES as u64 });
        }
    }
    Ok(())
}

/// `None` where a file is not DICOM.
fn open_dicom(path: &Path) -> Option<Result<Vec<Frame>, FileError>> {
    match image::open(path) {
        Err(Fault::UnknownFormat { .. }) => None,
        opened => Some(opened.map_err(|fault| fault.of(path))),
    }
}

/// Frames to a volume with everything known of it.
fn build(mut frames: Vec<Frame>, mut findings: Vec<Finding>) -> Result<SliceSource, FileError> {
    let path = frames[0].image.path.clone();
    let of_first = |fault: Fault| fault.of(&path);
    let sample = frames[0].image.sample().map_err(of_first)?;
    for f in &frames {
        let image = &f.image;
        let same = image.sample().and_then(|other| {
            let expected = "the type of the first slice";
            if image.frames > 1 && !f.placed() {
                Err(Fault::MultiFrame { frames: image.frames })
            } else if other == sample {
                Ok(())
            } else {
                Err(Fault::Attribute { tag: "BitsAllocated or PixelRepresentation", found: "mixed".into(), expected })
            }
        });
        same.map_err(|fault| fault.of(&image.path))?;
    }
    let Stack { grid, assumed_steps, findings: more } = stack(&mut frames).map_err(of_first)?;
    findings.extend(more);
    let rescales: Vec<_> = frames.iter().map(|f| f.rescale).collect();
    let codes = frames.iter().map(|f| f.image.codes()).fold(frames[0].image.codes(), |a, b| [a[0].min(b[0]), a[1].max(b[1])]);
    let Scale { rescale, steps } = scale::common(&rescales, codes).map_err(of_first)?;
    if steps.is_some() {
        let message =
            format!("rescales differ from slice to slice; all values are brought, without rounding, onto one of slope {}", rescale.slope);
        findings.push(Finding::note("ct.rescale_varies", message).clause("5.3.2"));
    }
    findings.extend(values::of_headers(&frames, rescale));
    let voxel_type = steps.as_ref().map_or(sample, |s| s.held_as);
    let modality = Some(frames[0].image.modality.clone()).filter(|m| !m.is_empty());
    let mut facts = facts::merged(&frames);
    if let Some([i, j]) = frames[0].spacing {
        let image = &frames[0].image;
        facts.push(("field_of_view_mm", format!("{:.2} x {:.2}", i * f64::from(image.columns), j * f64::from(image.rows))));
    }
    let mut files: Vec<PathBuf> = vec![];
    for frame in &frames {
        if files.last() != Some(&frame.image.path) {
            files.push(frame.image.path.clone());
        }
    }
    let slices = Slices::Dicom(Frames { frames, sample, steps });
    let source = SliceSource::new("dicom", &path, grid, Rescale::IDENTITY, voxel_type, slices).rescaled(rescale).map_err(of_first)?;
    Ok(SliceSource { modality, facts: facts.into_iter().collect(), assumed_steps, findings, files, ..source })
}

impl Frames {
    /// Decodes these slices into `out`, `pixels` of each.
    pub fn fill<T: Voxel>(&self, slices: Range<usize>, pixels: usize, out: &mut [T]) -> Result<(), FileError> {
        let frames = self.frames.get(slices.clone()).unwrap_or_default();
        out.par_chunks_mut(pixels).zip(frames).enumerate().try_for_each(|(at, (out, f))| {
            let mut decode = || match &self.steps {
                None => codec::decode(&f.image, f.index, self.sample, bytemuck::cast_slice_mut(out)),
                Some(steps) => {
                    let mut stored = vec![0u8; pixels * self.sample.bytes()];
                    codec::decode(&f.image, f.index, self.sample, &mut stored)?;
                    codec::rescaled(self.sample, &stored, steps.of_slice[slices.start + at], out);
                    Ok(())
                }
            };
            decode().map_err(|fault: Fault| fault.of(&f.image.path))
        })
    }

    /// What to look for in the voxels, if there is anything.
    pub fn tally(&self, rescale: Rescale) -> Option<Tally> {
        Tally::new(&self.frames, rescale, self.steps.is_none())
    }
}
