//! TIFF and BigTIFF as volumes: the pages of one file, or the slices of a folder in the order of their numbers.
//!
//! One grey value a pixel, integers of 8 to 32 bits and floats, uncompressed or by deflate, LZW or PackBits. Steps come from what ImageJ
//! writes into the description, or from a sidecar: a resolution in dots an inch is that of a printer and is not believed. What neither
//! gives is a `stop` finding. Order is that of pages, or of the last number in the file names, of which none may be missing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nalgebra::Point3;
use rayon::prelude::*;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::bytes;
use super::fault::{Fault, FileError, quoted};
use super::sidecar::{self, Sidecar};
use super::source::{SliceSource, Slices};
use super::voxels::{Layout, Stored};
use crate::finding::Finding;
use crate::frame::Grid;
use crate::volume::{Rescale, Voxel};

const FORMAT: &str = "TIFF";

/// No file has more pages, no folder more slices.
const PAGES: usize = 65_536;

/// LZW, the tightest of the codecs, gives at most so many bytes for one.
const TIGHTEST: u64 = 4096;

pub(super) fn is_tiff(head: &[u8]) -> bool {
    [&b"II*\0"[..], b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|mark| head.starts_with(mark))
}

/// What one page says of itself.
#[derive(Clone, Debug, PartialEq)]
struct Page {
    size: [usize; 2],
    stored: Stored,
}

/// What the first page of a file says of all.
#[derive(Debug, Default, PartialEq)]
struct Said {
    software: Option<String>,
    /// Steps along i, j and k, mm, where the file gives them.
    steps_mm: [Option<f64>; 3],
    /// Pages of a stack that ImageJ wrote as one, and where their values begin.
    run: Option<(usize, u64, bool)>,
}

type Reader = Decoder<BufReader<File>>;

/// Slices as pages of files.
#[derive(Debug)]
pub(super) struct Pages {
    /// File and page of each slice.
    slices: Vec<(PathBuf, usize)>,
    stored: Stored,
    /// Decoders with the page that they stand at, so that pages asked for in order are found in linear time.
    idle: Mutex<Vec<(PathBuf, usize, Reader)>>,
}

pub(super) fn open(path: &Path) -> Result<SliceSource, Fault> {
    let (pages, said) = survey(path, PAGES)?;
    let sidecar = sidecar::of(path).map(|s| Sidecar::read(&s).map(|read| (s, read))).transpose()?;
    let Some(page) = pages.first() else { return Err(malformed("the file", "no page".into(), "one page a slice")) };
    if let (Some((count, offset, big_endian)), 1) = (said.run, pages.len()) {
        let (grid, findings, assumed_steps) = grid([page.size[0], page.size[1], count], &said, sidecar.as_ref().map(|s| &s.1))?;
        let layout = Layout { stored: page.stored, big_endian };
        let source = SliceSource::plain(FORMAT, path, path.to_path_buf(), offset, layout, grid)?;
        return finish(SliceSource { findings, assumed_steps, ..source }, said, sidecar);
    }
    same_pages(&pages)?;
    let slices = (0..pages.len()).map(|p| (path.to_path_buf(), p)).collect();
    build(path, slices, page, said, sidecar)
}

/// Whether a folder holds TIFF images.
pub(super) fn is_stack(folder: &Path) -> bool {
    !images(folder).is_empty()
}

/// TIFF files of a folder by their content, at most [`PAGES`] and one.
fn images(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let is_image = |path: &PathBuf| {
        let head = bytes::open(path).and_then(|(mut file, _)| bytes::head(&mut file, 8));
        head.is_ok_and(|head| is_tiff(&head))
    };
    entries.flatten().map(|e| e.path()).filter(is_image).take(PAGES + 1).collect()
}

pub(super) fn open_folder(folder: &Path) -> Result<SliceSource, FileError> {
    let of_folder = |fault: Fault| fault.of(folder);
    let found = images(folder);
    if found.len() > PAGES {
        let (found, allowed) = (found.len() as u64, PAGES as u64);
        return Err(of_folder(Fault::TooLarge { what: "the number of images in the folder", found, allowed }));
    }
    let mut findings = vec![];
    let files = in_order(found, &mut findings);
    let Some(first) = files.first() else { return Err(of_folder(Fault::NoSeries { files: 0 })) };
    let surveyed: Vec<(Vec<Page>, Said)> = files.par_iter().map(|f| survey(f, 2).map_err(|fault| fault.of(f))).collect::<Result<_, _>>()?;
    let mut pages = vec![];
    for (file, (own, _)) in files.iter().zip(&surveyed) {
        if own.len() != 1 {
            return Err(Fault::Dimensions { found: "more pages than one in a stack of files: some".into() }.of(file));
        }
        pages.extend(own.iter().cloned());
    }
    same_pages(&pages).map_err(of_folder)?;
    let sidecar = Some(folder.join("voxels.toml")).filter(|s| s.is_file());
    let sidecar = sidecar.map(|s| Sidecar::read(&s).map(|read| (s, read))).transpose().map_err(of_folder)?;
    let said = surveyed.into_iter().next().map(|(_, said)| said).unwrap_or_default();
    let slices = files.iter().map(|f| (f.clone(), 0)).collect();
    let mut source = build(first, slices, &pages[0], said, sidecar).map_err(of_folder)?;
    source.findings.splice(0..0, findings);
    Ok(source)
}

/// The largest set of files whose names differ in their last number alone, in its order; a number that is missing or there twice stops.
fn in_order(files: Vec<PathBuf>, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    let mut stacks: BTreeMap<[String; 2], Vec<(u64, PathBuf)>> = BTreeMap::new();
    for path in files {
        let name = super::fault::name(&path);
        let (around, number) = last_number(&name);
        stacks.entry(around).or_default().push((number, path));
    }
    let count = stacks.len();
    let mut largest = stacks.into_values().rev().max_by_key(Vec::len).unwrap_or_default();
    largest.sort();
    if count > 1 {
        let message = format!(
            "the folder holds {count} sets of TIFF images by their names, the largest ({}) is shown: name a folder with the slices of one volume",
            largest.len()
        );
        findings.push(Finding::stop("ct.mixed_series", message).clause("9.3.4"));
    }
    let gaps: Vec<u64> = largest.windows(2).map(|w| w[1].0 - w[0].0).collect();
    let step = gaps.iter().copied().filter(|&g| g > 0).min().unwrap_or(1);
    let missing: u64 = gaps.iter().map(|g| (g / step).saturating_sub(1)).sum();
    if missing > 0 {
        let message =
            format!("{missing} numbers are missing among the names of {} slices: put the whole stack into the folder", largest.len());
        findings.push(Finding::stop("ct.missing_slice", message).clause("9.3.4"));
    }
    let twice = gaps.iter().filter(|&&g| g == 0).count();
    if twice > 0 {
        let message = format!("{twice} numbers are there twice among the names of {} slices: remove the copies", largest.len());
        findings.push(Finding::stop("ct.duplicate_slice", message).clause("9.3.4"));
    }
    largest.into_iter().map(|(_, path)| path).collect()
}

/// A name around its last number, and the number.
fn last_number(name: &str) -> ([String; 2], u64) {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let end = stem.rfind(|c: char| c.is_ascii_digit()).map_or(0, |at| at + 1);
    let start = stem[..end].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + stem[at..].chars().next().map_or(1, char::len_utf8));
    match stem[start..end].parse() {
        Ok(number) => ([stem[..start].into(), stem[end..].into()], number),
        Err(_) => ([stem.into(), String::new()], 0),
    }
}

fn same_pages(pages: &[Page]) -> Result<(), Fault> {
    match pages.iter().position(|p| *p != pages[0]) {
        Some(odd) => {
            let found = format!("{:?}, the first page has {:?}", pages[odd], pages[0]);
            Err(malformed(&format!("page {odd}"), found, "pages of one size and type"))
        }
        None => Ok(()),
    }
}

fn build(
    path: &Path,
    slices: Vec<(PathBuf, usize)>,
    page: &Page,
    said: Said,
    sidecar: Option<(PathBuf, Sidecar)>,
) -> Result<SliceSource, Fault> {
    let [nx, ny] = page.size;
    let (grid, findings, assumed_steps) = grid([nx, ny, slices.len()], &said, sidecar.as_ref().map(|s| &s.1))?;
    let mut files: Vec<PathBuf> = slices.iter().map(|s| s.0.clone()).collect();
    files.dedup();
    let found = files.iter().map(|f| f.metadata().map_or(0, |m| m.len())).sum::<u64>().saturating_mul(TIGHTEST);
    let layout = Layout { stored: page.stored, big_endian: false };
    let needed = layout.bytes(&grid)?;
    if needed > found {
        return Err(Fault::Truncated { format: FORMAT, needed, found });
    }
    let pages = Pages { slices, stored: page.stored, idle: Mutex::new(vec![]) };
    let source = SliceSource::new(FORMAT, path, grid, Rescale::IDENTITY, page.stored.held_as(), Slices::Tiff(pages));
    finish(SliceSource { files, findings, assumed_steps, ..source }, said, sidecar)
}

fn finish(source: SliceSource, said: Said, sidecar: Option<(PathBuf, Sidecar)>) -> Result<SliceSource, Fault> {
    let mut source = SliceSource { format: "tiff", ..source };
    source.facts.extend(said.software.map(|s| ("software", s)));
    if let Some((path, said)) = sidecar {
        source.modality = said.modality.clone();
        source.files.push(path);
        source = source.rescaled(said.rescale())?;
    }
    Ok(source)
}

fn grid(dims: [usize; 3], said: &Said, sidecar: Option<&Sidecar>) -> Result<(Grid, Vec<Finding>, [bool; 3]), Fault> {
    let mut findings = vec![];
    if dims[2] < 3 {
        let message = format!("{} slices are no volume that can be measured, at least 3 are needed: name the whole stack", dims[2]);
        findings.push(Finding::stop("ct.too_few_slices", message).clause("9.3.4"));
    }
    let orientation = "TIFF has no anatomical space: left and right, front and back are not known; convert to NIfTI or NRRD with a space where that matters";
    findings.push(Finding::note("volume.no_orientation", orientation).clause("9.3.4"));
    if let Some(sidecar) = sidecar {
        return Ok((sidecar.grid(dims)?, findings, [false; 3]));
    }
    let assumed = said.steps_mm.map(|s| s.is_none());
    if assumed.contains(&true) {
        let message = "the images do not say their voxel size (no ImageJ description with unit and spacing): write spacing_mm = [i, j, k] into voxels.toml in the folder of slices, or into scan.toml beside a scan.tif";
        findings.push(Finding::stop("ct.no_geometry", message).clause("9.3.4"));
    }
    let steps = said.steps_mm.map(|s| s.unwrap_or(1.0));
    let grid = Grid::aligned(dims, steps, Point3::origin());
    let grid = grid.ok_or_else(|| Fault::Geometry { found: format!("sizes {dims:?}, spacing {steps:?}") })?;
    Ok((grid, findings, assumed))
}

fn malformed(place: &str, found: String, expected: &'static str) -> Fault {
    Fault::Malformed { format: FORMAT, place: place.into(), found, expected }
}

/// The decoder's errors as faults. It is foreign code, but has limits of its own and takes none of a stream's sizes on trust.
fn fault(e: TiffError) -> Fault {
    match e {
        TiffError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            Fault::Pixels { reason: "the TIFF file ends early".into() }
        }
        TiffError::IoError(e) => Fault::unreadable(&e),
        TiffError::LimitsExceeded | TiffError::IntSizeError => {
            Fault::Pixels { reason: "a page or a directory of the TIFF file is larger than 1 GiB".into() }
        }
        other => malformed("its directories or values", quoted(other.to_string().as_bytes()), "grey TIFF without loss"),
    }
}

fn reader(path: &Path) -> Result<Reader, Fault> {
    let (file, _) = bytes::open(path)?;
    let mut limits = Limits::default();
    limits.decoding_buffer_size = 1 << 30;
    limits.intermediate_buffer_size = 1 << 30;
    guarded(|| Decoder::new(BufReader::with_capacity(1 << 16, file)).map(|d| d.with_limits(limits)).map_err(fault))
}

/// Runs the decoder; a panic in it is the file's fault.
fn guarded<T>(run: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    let gave_up = |_| Err(malformed("its values", "what its decoder gave up on".into(), "grey TIFF without loss"));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(gave_up)
}

/// The pages of a file, at most so many, and what the first says of all.
fn survey(path: &Path, most: usize) -> Result<(Vec<Page>, Said), Fault> {
    let len = bytes::open(path)?.1;
    let mut decoder = reader(path)?;
    guarded(|| {
        let said = said(&mut decoder, len)?;
        let (mut pages, mut strips) = (vec![], 0);
        loop {
            pages.push(page(&mut decoder)?);
            // Directories may overlap in a hostile file, those of a true one have their own bytes.
            strips += u64::from(decoder.strip_count().or_else(|_| decoder.tile_count()).map_err(fault)?);
            if strips > len {
                return Err(malformed("its directories", format!("{strips} strips in {len} bytes"), "a byte a strip at least"));
            }
            if !decoder.more_images() || pages.len() == most {
                break;
            }
            decoder.next_image().map_err(fault)?;
        }
        if decoder.more_images() && most == PAGES {
            return Err(Fault::TooLarge { what: "the number of pages", found: PAGES as u64 + 1, allowed: PAGES as u64 });
        }
        Ok((pages, said))
    })
}

fn page(decoder: &mut Reader) -> Result<Page, Fault> {
    let (width, height) = decoder.dimensions().map_err(fault)?;
    if width == 0 || height == 0 {
        return Err(malformed("its size", format!("{width} x {height}"), "at least one pixel"));
    }
    let bits = match decoder.colortype().map_err(fault)? {
        ColorType::Gray(bits) => bits,
        other => return Err(Fault::Dimensions { found: format!("{other:?} pixels: some") }),
    };
    let format: u16 = decoder.find_tag_unsigned(Tag::SampleFormat).map_err(fault)?.unwrap_or(1);
    let stored = match (bits, format) {
        (8, 1) => Stored::U8,
        (8, 2) => Stored::I8,
        (16, 1) => Stored::U16,
        (16, 2) => Stored::I16,
        (32, 1) => Stored::U32,
        (32, 2) => Stored::I32,
        (32, 3) => Stored::F32,
        (64, 3) => Stored::F64,
        _ => {
            let found = format!("{bits} bits of sample format {format}");
            return Err(Fault::VoxelType { found, allowed: "integers of 8, 16 and 32 bits, floats of 32 and 64" });
        }
    };
    Ok(Page { size: [width as usize, height as usize], stored })
}

/// What the first page says: the software, and ImageJ's description of the stack.
fn said(decoder: &mut Reader, len: u64) -> Result<Said, Fault> {
    let text = |decoder: &mut Reader, tag| decoder.find_tag(tag).ok().flatten().and_then(|v| v.into_string().ok());
    let software = text(decoder, Tag::Software).map(|s| super::fault::printable(&s)).filter(|s| !s.is_empty());
    let description = text(decoder, Tag::ImageDescription).unwrap_or_default();
    let Some(version) = description.strip_prefix("ImageJ=") else { return Ok(Said { software, ..Said::default() }) };
    let entries: BTreeMap<&str, &str> = description.lines().filter_map(|l| l.split_once('=')).collect();
    let number = |key: &str| entries.get(key).and_then(|v| v.trim().parse::<f64>().ok()).filter(|n| n.is_finite() && *n > 0.0);
    let hyper = ["channels", "frames"].into_iter().find(|k| number(k).is_some_and(|n| n > 1.0));
    if let Some(axis) = hyper {
        return Err(Fault::Dimensions { found: format!("an ImageJ hyperstack with several {axis}: some") });
    }
    let unit = match entries.get("unit").map(|u| u.trim().to_lowercase()).as_deref() {
        Some("mm") => Some(1.0),
        Some("cm") => Some(10.0),
        Some("m") => Some(1000.0),
        Some("um" | "\u{b5}m" | "\\u00b5m" | "micron" | "microns") => Some(0.001),
        Some("nm") => Some(1e-6),
        // The unit `inch` is what ImageJ makes of dots an inch, and as little to be believed.
        _ => None,
    };
    let per_unit = |decoder: &mut Reader, tag| decoder.get_tag(tag).ok().and_then(|v| ratio(&v)).filter(|r| r.is_finite() && *r > 0.0);
    let along = [per_unit(decoder, Tag::XResolution), per_unit(decoder, Tag::YResolution)];
    let step = |r: Option<f64>| unit.zip(r).map(|(u, r)| u / r);
    let steps_mm = [step(along[0]), step(along[1]), unit.zip(number("spacing")).map(|(u, s)| u * s)];
    let software = software.or_else(|| Some(format!("ImageJ {}", version.lines().next().unwrap_or_default())));
    Ok(Said { software, steps_mm, run: run(decoder, number("images"), len) })
}

/// ImageJ writes stacks beyond 4 GiB as one page with all values behind its first strip.
fn run(decoder: &mut Reader, images: Option<f64>, len: u64) -> Option<(usize, u64, bool)> {
    let count = images.filter(|n| *n > 1.0 && *n <= PAGES as f64 && n.fract() == 0.0)? as usize;
    let plain = decoder.find_tag_unsigned::<u16>(Tag::Compression).ok()?.unwrap_or(1) == 1;
    let offset = *decoder.get_tag_u64_vec(Tag::StripOffsets).ok()?.first()?;
    (plain && offset < len).then(|| (count, offset, decoder.byte_order() == tiff::tags::ByteOrder::BigEndian))
}

fn ratio(value: &tiff::decoder::ifd::Value) -> Option<f64> {
    match value {
        tiff::decoder::ifd::Value::Rational(n, d) if *d > 0 => Some(f64::from(*n) / f64::from(*d)),
        _ => None,
    }
}

impl Pages {
    /// Decodes these slices into `out`, `pixels` of each.
    pub fn fill<T: Voxel>(&self, slices: Range<usize>, pixels: usize, out: &mut [T]) -> Result<(), FileError> {
        let wanted = self.slices.get(slices).unwrap_or_default();
        // A run of pages a thread: each decoder walks forward.
        let run = wanted.len().div_ceil(rayon::current_num_threads()).max(1);
        out.par_chunks_mut(run * pixels).zip(wanted.par_chunks(run)).try_for_each(|(out, wanted)| {
            out.chunks_mut(pixels).zip(wanted).try_for_each(|(out, (path, page))| self.page(path, *page, out).map_err(|f| f.of(path)))
        })
    }

    fn page<T: Voxel>(&self, path: &Path, page: usize, out: &mut [T]) -> Result<(), Fault> {
        let (mut at, mut decoder) = match self.take(path, page) {
            Some(found) => found,
            None => (0, reader(path)?),
        };
        guarded(|| {
            while at < page {
                decoder.next_image().map_err(fault)?;
                at += 1;
            }
            let values = decoder.read_image().map_err(fault)?;
            self.place(&values, out)
        })?;
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if idle.len() < 2 * rayon::current_num_threads() && self.slices.last().is_some_and(|last| last.1 > 0) {
            idle.push((path.to_path_buf(), at, decoder));
        }
        Ok(())
    }

    /// The decoder that stands nearest before a page.
    fn take(&self, path: &Path, page: usize) -> Option<(usize, Reader)> {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let nearest = (0..idle.len()).filter(|&d| idle[d].0 == path && idle[d].1 <= page).max_by_key(|&d| idle[d].1)?;
        let (_, at, decoder) = idle.swap_remove(nearest);
        Some((at, decoder))
    }

    fn place<T: Voxel>(&self, values: &DecodingResult, out: &mut [T]) -> Result<(), Fault> {
        let bytes: &[u8] = match values {
            DecodingResult::U8(v) => v,
            DecodingResult::I8(v) => bytemuck::cast_slice(v),
            DecodingResult::U16(v) => bytemuck::cast_slice(v),
            DecodingResult::I16(v) => bytemuck::cast_slice(v),
            DecodingResult::U32(v) => bytemuck::cast_slice(v),
            DecodingResult::I32(v) => bytemuck::cast_slice(v),
            DecodingResult::F32(v) => bytemuck::cast_slice(v),
            DecodingResult::F64(v) => bytemuck::cast_slice(v),
            _ => &[],
        };
        let target: &mut [u8] = bytemuck::cast_slice_mut(out);
        if bytes.len() != target.len() {
            return Err(Fault::Truncated { format: FORMAT, needed: target.len() as u64, found: bytes.len() as u64 });
        }
        target.copy_from_slice(bytes);
        let finite = matches!(self.stored, Stored::F32 | Stored::F64);
        match out.iter().position(|v| finite && !v.to_f64().is_finite()) {
            Some(voxel) => Err(Fault::NotFinite { voxel }),
            None => Ok(()),
        }
    }
}
