//! DICOM: a single image, or a folder as one series of single-frame images.
//!
//! Stored values are kept as they are decoded; one rescale shared by all slices stays beside them, differing ones are applied (the volume is
//! then `f32`). Files are decoded in parallel straight into the volume. Faults of the series are findings, so that it can still be
//! looked at; faults of a file are errors. Multi-frame images and syntaxes that need further codecs are not read.

mod scan;
mod slice;
mod stack;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::VolumeFile;
use super::fault::{Fault, FileError};
use super::voxels;
use crate::finding::Finding;
use crate::frame::Grid;
use crate::volume::{AnyVolume, Rescale, Volume, Voxel, with_volume};
use slice::{Sample, Slice, Stored};
use stack::{Stack, stack};

pub(super) use scan::is_dicom;

/// A folder may hold so many files, and folders so deep.
const FILES: usize = 50_000;
const DEPTH: usize = 5;

pub(super) fn read_file(path: &Path) -> Result<VolumeFile, FileError> {
    let slice = Slice::open(path).map_err(|fault| fault.of(path))?;
    build(vec![slice], vec![])
}

pub(super) fn read_folder(folder: &Path) -> Result<VolumeFile, FileError> {
    let mut files = vec![];
    list(folder, 0, &mut files).map_err(|fault| fault.of(folder))?;
    files.sort();
    let opened: Vec<Option<Result<Slice, FileError>>> = files.par_iter().map(|f| open_dicom(f)).collect();
    let (mut slices, mut others) = (vec![], 0);
    for file in opened {
        match file {
            Some(Ok(slice)) => slices.push(slice),
            // Reports, plans and directories lie in the folders of many series.
            Some(Err(FileError { fault: Fault::NoImage { .. }, .. })) | None => others += 1,
            Some(Err(fault)) => return Err(fault),
        }
    }
    let mut findings = vec![];
    if others > 0 {
        findings.push(Finding::note("ct.other_files", format!("{others} files of the folder are not DICOM images and were passed over")));
    }
    let chosen = choose(slices, &mut findings).ok_or_else(|| Fault::NoSeries { files: files.len() }.of(folder))?;
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
fn open_dicom(path: &Path) -> Option<Result<Slice, FileError>> {
    let head = super::bytes::open(path).and_then(|(mut file, _)| super::bytes::head(&mut file, 132));
    match head {
        Ok(head) if !is_dicom(&head) => None,
        Ok(_) => Some(Slice::open(path).map_err(|fault| fault.of(path))),
        Err(fault) => Some(Err(fault.of(path))),
    }
}

/// The slices of one series. Where several could be meant, the largest, and a finding.
fn choose(slices: Vec<Slice>, findings: &mut Vec<Finding>) -> Option<Vec<Slice>> {
    let mut series: BTreeMap<(String, u32, u32, bool), Vec<Slice>> = BTreeMap::new();
    for s in slices {
        series.entry((s.series.clone(), s.rows, s.columns, s.placed())).or_default().push(s);
    }
    let count = series.len();
    let is_ct = |s: &[Slice]| s[0].modality == "CT" && s[0].placed() && s[0].frames == 1 && !s[0].localizer;
    let ct = series.values().filter(|s| is_ct(s)).count();
    // The last of the largest would depend on nothing either, but the first is what one expects.
    let chosen = series.into_values().rev().max_by_key(|s| (is_ct(s), s.len()))?;
    if ct > 1 || (ct == 0 && count > 1) {
        let message = format!(
            "the folder holds {count} series or image sizes, {ct} of them CT slices; the largest is shown: name the folder of one series"
        );
        findings.push(Finding::stop("ct.mixed_series", message).clause("9.3.4"));
    } else if count > 1 {
        let message = format!("{} other series of the folder, none of them CT slices, were passed over", count - 1);
        findings.push(Finding::note("ct.other_series", message));
    }
    Some(chosen)
}

/// Slices to a volume with everything known of it.
fn build(mut slices: Vec<Slice>, mut findings: Vec<Finding>) -> Result<VolumeFile, FileError> {
    let of_first = |slices: &[Slice], fault: Fault| fault.of(&slices[0].path);
    let sample = slices[0].sample().map_err(|fault| of_first(&slices, fault))?;
    for s in &slices {
        let same = s.sample().and_then(|other| {
            s.check_syntax()?;
            s.check_size()?;
            let expected = "the type of the first slice";
            if other == sample {
                Ok(())
            } else {
                Err(Fault::Attribute { tag: "BitsAllocated or PixelRepresentation", found: "mixed".into(), expected })
            }
        });
        same.map_err(|fault| fault.of(&s.path))?;
    }
    let Stack { grid, assumed_steps, findings: more } = stack(&mut slices).map_err(|fault| of_first(&slices, fault))?;
    findings.extend(more);
    let volume = match sample {
        Sample::U8 => decode::<u8>(&slices, grid),
        Sample::I8 => decode::<i8>(&slices, grid),
        Sample::U16 => decode::<u16>(&slices, grid),
        Sample::I16 => decode::<i16>(&slices, grid),
        Sample::U32 => decode::<u32>(&slices, grid),
        Sample::I32 => decode::<i32>(&slices, grid),
    }?;
    findings.extend(value_findings(&slices, &volume));
    let modality = Some(slices[0].modality.clone()).filter(|m| !m.is_empty());
    let facts = slices[0].facts.iter().cloned().collect();
    let files = slices.into_iter().map(|s| s.path).collect();
    Ok(VolumeFile { volume, format: "dicom", modality, facts, assumed_steps, findings, files })
}

fn decode<T: Stored>(slices: &[Slice], grid: Grid) -> Result<AnyVolume, FileError> {
    let first = &slices[0];
    let fault = |fault: Fault| fault.of(&first.path);
    let mut data = voxels::zeroed::<T>(grid.voxels()).map_err(fault)?;
    data.par_chunks_mut(first.pixels()).zip(slices).try_for_each(|(out, s)| s.decode(out).map_err(|f| f.of(&s.path)))?;
    let rescales: Vec<Rescale> = slices.iter().map(|s| s.rescale.unwrap_or(Rescale::IDENTITY)).collect();
    if let Some(bad) = rescales.iter().find(|r| !r.slope.is_finite() || r.slope == 0.0 || !r.intercept.is_finite()) {
        return Err(fault(Fault::Rescale { slope: bad.slope, intercept: bad.intercept }));
    }
    if rescales.iter().all(|r| *r == rescales[0]) {
        return voxels::wrap(grid, rescales[0], data).map_err(fault);
    }
    let mut physical = voxels::zeroed::<f32>(grid.voxels()).map_err(fault)?;
    let pixels = first.pixels();
    physical.par_chunks_mut(pixels).zip(data.par_chunks(pixels)).zip(&rescales).for_each(|((out, stored), rescale)| {
        out.iter_mut().zip(stored).for_each(|(o, s)| *o = rescale.physical(s.to_f64()) as f32);
    });
    voxels::wrap(grid, Rescale::IDENTITY, physical).map_err(fault)
}

/// What modality, compression and values say on the fitness for measuring.
fn value_findings(slices: &[Slice], volume: &AnyVolume) -> Vec<Finding> {
    let (first, mut findings) = (&slices[0], vec![]);
    let lossy = slices.iter().filter(|s| s.lossy).count();
    if lossy > 0 {
        let message = format!(
            "{lossy} of {} slices were compressed with loss: surfaces may be shifted; export the series without loss",
            slices.len()
        );
        findings.push(Finding::qualify("ct.lossy", message).clause("5.3.2"));
    }
    if first.modality != "CT" {
        let found = if first.modality.is_empty() { "not stated" } else { &first.modality };
        let message = format!("the modality is {found}, not CT: grey values and surfaces are judged as if it were CT");
        findings.push(Finding::qualify("ct.not_ct", message).clause("9.3.4"));
        return findings;
    }
    let (min, max, at_max, near) = with_volume!(volume, v => extremes(v));
    let rescale = volume.rescale();
    let [low, high] = [rescale.physical(min), rescale.physical(max)];
    let other_unit = first.rescale_type.as_deref().filter(|t| *t != "HU");
    let reason = match (first.rescale, other_unit) {
        (None, _) => Some("the file gives no rescale".to_string()),
        (_, Some(unit)) => Some(format!("the file says its unit is {unit:?}")),
        _ if low > -500.0 => Some(format!("the lowest value is {low}, air would be near -1000")),
        _ => None,
    };
    if let Some(reason) = reason {
        let message =
            format!("values are grey, not Hounsfield units ({reason}): absolute thresholds do not apply; iso-50 and adaptive surfaces do");
        findings.push(Finding::qualify("ct.not_hounsfield", message).clause("5.3.2"));
    }
    // A ceiling: the highest code there can be, and many more voxels on it than on the codes below.
    let ceiling = (1u64 << first.bits_stored.min(32)) as f64 / if first.signed { 2.0 } else { 1.0 } - 1.0;
    if (max == ceiling || max == 4095.0 || high == 3071.0) && at_max >= 64 && at_max > near / 2 {
        let message = format!(
            "{at_max} voxels stand at the highest value {high}: dense material is clipped there and its surface is biased; scan with an extended range"
        );
        findings.push(Finding::qualify("ct.saturated", message).clause("5.3.2"));
    }
    findings
}

/// Least and largest stored value, how many voxels have the largest, and how many one of the 16 codes below it.
fn extremes<T: Voxel>(volume: &Volume<T>) -> (f64, f64, u64, u64) {
    let (min, max) = super::range(volume.data());
    let counts = |v: &T| {
        let below = max - v.to_f64();
        (u64::from(below == 0.0), u64::from(below > 0.0 && below <= 16.0))
    };
    let add = |a: (u64, u64), b: (u64, u64)| (a.0 + b.0, a.1 + b.1);
    let (at, near) = volume.data().par_iter().with_min_len(1 << 14).map(counts).reduce(|| (0, 0), add);
    (min, max, at, near)
}
