//! From a CT volume to a watertight surface with an uncertainty at every vertex.
//!
//! Task: the boundary between material and air, in millimetres, closed and outward. Method: global threshold from the histogram
//! ([`crate::segment`]), iso-surface in index space mapped by the full affine ([`iso_surface`]), the solid component asked for,
//! then local sub-voxel refinement along the normals with correction of the curvature bias.
//! Where the histogram's modes are no plateaus (struts so thin that none holds the material's grey value) the search goes on from those that
//! the edges show, and their uncertainty says what struts leave open.
//! Accepts volumes of every voxel type, anisotropic, sheared and left-handed grids; measures on the raw data, never on a filtered copy.
//! Known bias: walls thinner than three times the edge blur come out thin (flagged).
//! Cost: one bit a voxel for the mask, and some 200 bytes a vertex while refining.

mod artefacts;
mod cases;
mod components;
mod crossings;
mod displace;
mod edge;
mod extract;
mod field;
mod image;
mod interior;
mod place;
mod plateaus;
mod quality;
mod reach;
mod refine;
mod rod;
mod shape;
mod space;
mod unresolved;

use thiserror::Error;

pub use artefacts::{Artefacts, Estimate};
pub use extract::IndexMesh;
pub(crate) use place::noise_area;
pub use quality::ImageQuality;
pub use refine::BYTES_PER_VERTEX;
pub use unresolved::Unresolved;

use crate::error::Error;
use crate::finding::Finding;
use crate::frame::Grid;
use crate::kernels;
use crate::mesh::{Bulge, Mesh};
use crate::runtime::Runtime;
use crate::segment::Histogram;
use crate::volume::{AnyVolume, Mask, Slices, Volume, Voxel, with_volume};

/// How the surface is found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Method {
    /// Half-way between the modes of air and material, then refined locally.
    #[default]
    Adaptive,
    /// Half-way between the modes of air and material, one threshold for the whole volume.
    Iso50,
    /// Otsu's threshold: depends on how much air there is around the part.
    Otsu,
    /// A physical grey value.
    Value(f64),
}

/// Which solid components stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The one with the most material, with its inner voids.
    #[default]
    Largest,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    pub method: Method,
    pub keep: Keep,
    /// Materials beside air that the histogram must show, 1 to [`MOST_MATERIALS`].
    pub materials: u8,
    /// The part is the so-many-th densest of them, or denser; 1 is the densest.
    pub material: u8,
    /// Grey value where the adaptive search starts, instead of half-way between the modes beside the part's boundary.
    pub start: Option<f64>,
    /// Whether the adaptive search starts on the volume's 3 x 3 x 3 medians, which speckle less; edges are those of the raw data all the same.
    pub denoise: bool,
}

/// Materials that one histogram is asked to tell apart, at most.
pub const MOST_MATERIALS: u8 = 6;

impl Default for Options {
    fn default() -> Self {
        Options { method: Method::Adaptive, keep: Keep::Largest, materials: 1, material: 1, start: None, denoise: false }
    }
}

/// What is known of a vertex; bits of [`Determined::flags`].
pub mod flag {
    /// Moved to the local edge of a bundle of voxels.
    pub const REFINED: u16 = 1;
    /// Stays where the global threshold lies, because no edge was found within reach.
    pub const KEPT_ISO50: u16 = 2;
    /// The edge is less than half as strong as the contrast of the image makes it.
    pub const LOW_CONTRAST: u16 = 4;
    /// A wall or a gap of less than three times the edge blur: the position rests on blur and contrast.
    pub const THIN_WALL: u16 = 8;
    /// Where material reaches the border of the volume: no edge of the part.
    pub const CUT: u16 = 16;
    /// A wall or a gap of less than one and a half times the edge blur: blur and thickness cannot be told apart.
    pub const NOT_MEASURABLE: u16 = 32;
    /// Near a line where three materials meet: the level is that of neither pair.
    pub const MIXED: u16 = 64;
    /// Not like a blurred edge: placed at the local half-way level of a single profile.
    pub const LOCAL_ISO50: u16 = 128;
    /// Without a half-way level: placed where a single profile is steepest.
    pub const STEEPEST: u16 = 256;
    /// In maps of deviation: on which side of the nominal it lies nobody can tell.
    pub const SIGN_UNDEFINED: u16 = 512;
}

/// A surface with what is known of its uncertainty.
#[derive(Clone, Debug)]
pub struct Determined {
    /// Millimetres, closed, outward.
    pub mesh: Mesh,
    /// Standard uncertainty of each vertex along its normal from noise, uncorrelated over more than a voxel or two; of walls also what they feel
    /// of blur and contrast beyond the mean of the surface (mm).
    pub vertex_u_mm: Vec<f32>,
    /// Bits of [`flag`].
    pub flags: Vec<u16>,
    /// Standard uncertainty of a common offset of the whole surface: level, blur and contrast of walls, noise that the whole surface does not
    /// average out, curvature model, sampling (mm). That of a ball's radius; of a volume over its area.
    pub u_offset_mm: f64,
    /// Volume that the mesh lacks because its facets cut across the curved surface through their corners (mm³); negative where
    /// hollows prevail. From the curvatures of patches: over a whole surface surer than the sum of what single facets bulge.
    pub facet_loss_mm3: f64,
    /// The curved surface over each facet.
    pub bulge: Bulge,
    /// Physical grey value.
    pub threshold: f64,
    /// Of the volume.
    pub grid: Grid,
    pub image: ImageQuality,
    /// Where the grey is neither that of air nor of material; `None` where that cannot be told.
    pub unresolved: Option<Unresolved>,
    pub findings: Vec<Finding>,
}

/// Why a volume gives no surface.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SurfaceError {
    #[error(
        "no voxel edge crosses the threshold, so the volume has no surface; found only one side of it, allowed are thresholds between air and material: give another threshold"
    )]
    Empty,
    #[error(
        "the surface has {triangles} triangles; allowed are at most 4294967294: crop the volume or give a threshold that noise does not cross"
    )]
    TooLarge { triangles: u64 },
    #[error("the threshold is {found}; allowed are finite grey values: give another threshold")]
    Threshold { found: f64 },
    #[error(
        "the part is material {material} of {materials}, the densest being 1; allowed are 1 to 6 materials and one of them: state both again"
    )]
    Materials { materials: u8, material: u8 },
    #[error(
        "a start on medians was asked for with a surface that stays where it starts, which would move it; allowed is the adaptive surface: leave denoising or choose adaptive"
    )]
    Denoise,
}

impl SurfaceError {
    pub fn code(&self) -> &'static str {
        match self {
            SurfaceError::Empty => "surface.empty",
            SurfaceError::TooLarge { .. } => "surface.too_large",
            SurfaceError::Threshold { .. } => "surface.threshold",
            SurfaceError::Materials { .. } => "surface.materials",
            SurfaceError::Denoise => "surface.denoise",
        }
    }
}

impl From<SurfaceError> for Error {
    fn from(e: SurfaceError) -> Self {
        Error::input(e.code(), e.to_string())
    }
}

/// The bare iso-surface in millimetres: inside is where the stored value is at least the threshold. Closed and outward.
pub fn iso_surface<T: Voxel>(volume: &Volume<T>, stored_threshold: f64, rt: &Runtime) -> Result<Mesh, Error> {
    iso_surface_of_slices(&volume.slices(), stored_threshold, rt)
}

/// The same for a volume that may not fit memory. Errors: `surface.too_large`, `mesh.not_finite` for a grid of more than a kilometre,
/// and what reading gives.
pub fn iso_surface_of_slices<T: Voxel>(slices: &Slices<T>, stored_threshold: f64, rt: &Runtime) -> Result<Mesh, Error> {
    let grid = slices.grid();
    let mask = kernels::threshold_of_slices(slices, stored_threshold, rt)?;
    let mut found = extract::extract(slices, &mask, stored_threshold, &extract::Place::physical(grid), rt)?;
    extract::turn_outward(&mut found.triangles, grid);
    Ok(Mesh::within(&extract::corners(grid), found.vertices.into_iter().map(Into::into).collect(), found.triangles)?)
}

/// The voxels of material at a physical threshold. Where the rescale slope is negative these are the stored values not above it.
pub fn material<T: Voxel>(volume: &Volume<T>, threshold: f64, rt: &Runtime) -> Result<Mask, Error> {
    material_of_slices(&volume.slices(), threshold, rt)
}

fn material_of_slices<T: Voxel>(slices: &Slices<T>, threshold: f64, rt: &Runtime) -> Result<Mask, Error> {
    let stored = slices.rescale().stored(threshold);
    if slices.rescale().slope > 0.0 {
        return kernels::threshold_of_slices(slices, stored, rt);
    }
    Ok(kernels::threshold_of_slices(slices, stored.next_up(), rt)?.complement())
}

/// Determines the surface of the part in a volume.
pub fn determine(volume: &AnyVolume, options: &Options, rt: &Runtime) -> Result<Determined, Error> {
    with_volume!(volume, v => determine_slices(&v.slices(), options, rt))
}

/// The same, bit for bit, for a volume that may not fit memory. It is gone through some eight times, more where edges lead on; mask, mesh and the voxels near the
/// surface are held. Errors: `memory.budget` where these exceed the budget, and what reading gives.
pub fn determine_slices<T: Voxel>(slices: &Slices<T>, options: &Options, rt: &Runtime) -> Result<Determined, Error> {
    rt.step("segment", 0.0)?;
    let histogram = Histogram::of_slices(slices, rt)?;
    let Options { materials, material: rank, .. } = *options;
    if !(1..=MOST_MATERIALS).contains(&materials) || !(1..=materials).contains(&rank) {
        return Err(SurfaceError::Materials { materials, material: rank }.into());
    }
    if options.denoise && options.method != Method::Adaptive {
        return Err(SurfaceError::Denoise.into());
    }
    let steps = if materials > 1 { histogram.materials(materials) } else { histogram.modes().map(|m| vec![m]) };
    // A part that is edge all over has no mode; what its edges say of its plateaus is asked later.
    let adaptive = options.method == Method::Adaptive;
    let steps = steps.or_else(|why| histogram.air_and_edges().filter(|_| adaptive && materials == 1).map(|m| vec![m]).ok_or(why));
    // The step of grey values at the part's boundary.
    let boundary = usize::from(materials - rank);
    let threshold = match options.method {
        Method::Value(value) if !value.is_finite() => return Err(SurfaceError::Threshold { found: value }.into()),
        Method::Value(value) => value,
        Method::Otsu => histogram.otsu()?,
        Method::Adaptive | Method::Iso50 => steps.clone()?[boundary].threshold(),
    };
    let threshold = options.start.filter(|s| s.is_finite() && adaptive).unwrap_or(threshold);
    // A grey value given by hand may lie where there are no two modes; then the classes' means stand for the plateaus.
    let means = || histogram.means(threshold);
    let plateaus = steps.as_ref().map_or_else(|_| means(), |steps| steps[boundary]);
    let normalised = |value: f64| (value - plateaus.air) / plateaus.contrast();
    let modes: Vec<f64> = match &steps {
        Ok(steps) => steps.iter().map(|s| normalised(s.air)).chain(steps.last().map(|s| normalised(s.material))).collect(),
        Err(_) => vec![0.0, 1.0],
    };
    let others = steps.iter().flatten().enumerate().filter(|(n, _)| *n != boundary).map(|(_, step)| step.threshold());
    let others: Vec<f64> = others.map(|level| slices.rescale().stored(level)).collect();
    let smooth = options.denoise.then(|| kernels::medians(slices, histogram.coding::<T>())).transpose()?;
    let boundary = if modes.len() > 2 { boundary + 1 } else { 1 };
    let (mut greys, mut tries) = (image::Greys { modes: plateaus, threshold, saturation: histogram.saturation(threshold) }, TRIES);
    let may_start_elsewhere = adaptive && materials == 1 && options.start.is_none();
    loop {
        tries -= 1;
        let levels = [&others[..], &[slices.rescale().stored(greys.threshold)]].concat();
        let mut found = vec![greys.modes.finding(greys.threshold)];
        if options.denoise {
            found.push(Finding::note("surface.denoised", DENOISED));
        }
        let begin = (greys.threshold, options.keep);
        let (kept, noise) = match &smooth {
            Some(smooth) => start(smooth, slices, begin, &levels, &mut found, rt)?,
            None => start(slices, slices, begin, &levels, &mut found, rt)?,
        };
        let task = refine::Task { adaptive, modes: &modes, boundary, noise, may_move: may_start_elsewhere && tries > 0 };
        match refine::settle(kept, slices, &greys, &task, found, rt)? {
            refine::Settled::Surface(found) => return Ok(*found),
            refine::Settled::Elsewhere(modes) => {
                let threshold = modes.threshold();
                greys = image::Greys { modes, threshold, saturation: histogram.saturation(threshold) };
            }
        }
    }
}

/// Iso-surfaces that edges may lead on from, and the one they lead to: parts of thin struts alone have modes of the histogram that are no plateau's.
const TRIES: u32 = 4;

const DENOISED: &str = "the search for edges starts on 3 x 3 x 3 medians of the volume, where parts and gaps of less than two voxels may be missing; the edges are those of the volume as it is";

/// The iso-surface that vertices start from, on `smooth` voxels, and the noise of the raw ones.
fn start<S: Voxel, T: Voxel>(
    smooth: &Slices<S>,
    raw: &Slices<T>,
    (threshold, keep): (f64, Keep),
    levels: &[f64],
    findings: &mut Vec<Finding>,
    rt: &Runtime,
) -> Result<(IndexMesh, Option<quality::Noise>), Error> {
    let mask = material_of_slices(smooth, threshold, rt)?;
    let noise = quality::noise(raw, &mask, levels, rt)?;
    let all = extract::extract(smooth, &mask, smooth.rescale().stored(threshold), &extract::Place::indices(), rt)?;
    rt.step("components", 0.0)?;
    let kept = match keep {
        Keep::All => all,
        Keep::Largest => {
            let held_bytes = smooth.bytes() + size_of_val(mask.words()) as u64;
            rt.afford("the components of the surface", held_bytes + (components::BYTES_PER_VERTEX * all.vertices.len()) as u64)?;
            components::largest(all, &mask, raw.grid(), findings)
        }
    };
    Ok((kept, noise))
}
