//! Grey that is neither air nor material over more than the width of an edge: loose or half-sintered powder, resin, voids finer than the voxels.
//!
//! Such places look like solid or like pores by chance, so what is told of pores must be told both ways. Method: the mean over 3 × 3 × 3 voxels lies
//! in the middle half between the plateaus and changes less than half as fast as it does on a blurred edge there; of such voxels those that
//! fill cubes of 3 × 3 × 3 (opening), and what hangs together with them in the middle half within two voxels, so that a region ends half-way
//! to the plateau beside it.
//! Known limits: less than some six voxels across it looks like an edge; with noise of more than [`CLEAR`] of the contrast in such means nothing is told.
//! Cost: one pass, a few bits a voxel.

use nalgebra::Point3;
use rayon::prelude::*;

use super::quality::ImageQuality;
use crate::error::Error;
use crate::frame::Grid;
use crate::runtime::Runtime;
use crate::volume::{Mask, Slab, Slices, Voxel, each_run};

/// The middle half of the contrast.
const MIDDLE: [f64; 2] = [0.25, 0.75];
/// Noise of a mean over 3 × 3 × 3 voxels at most, in parts of the contrast: the middle half begins four of these above air.
const CLEAR: f64 = 0.0625;
/// Of the slope of an edge.
const FLAT: f64 = 0.5;
/// Noise of single voxels that does not hide them, in standard deviations.
const SPREAD: f64 = 4.0;
/// Voxels by which regions are widened.
const WIDER: usize = 2;
/// Voxels beside the border that are not looked at.
const BORDER: usize = 2;

/// Voxels of unresolved grey.
#[derive(Clone, Debug, PartialEq)]
pub struct Unresolved {
    grid: Grid,
    /// Consecutive voxels of one row: the index of the first, and how many.
    runs: Vec<([u32; 3], u32)>,
    /// How many have a neighbour that is not of them.
    rim: u64,
}

impl Unresolved {
    /// Number of voxels.
    pub fn voxels(&self) -> u64 {
        self.runs.iter().map(|r| u64::from(r.1)).sum()
    }

    /// By how much a volume may be larger or smaller, relative: borders are told to half a voxel.
    pub fn relative_border(&self) -> f64 {
        0.5 * self.rim as f64 / self.voxels().max(1) as f64
    }

    pub fn voxel_mm3(&self) -> f64 {
        self.grid.voxel_volume_mm3()
    }

    /// How many of the voxels, by their centres in millimetres, are of each of some kinds; the rest is of none.
    pub fn count<const N: usize>(&self, kind: impl Fn(&Point3<f64>) -> Option<usize> + Sync) -> [u64; N] {
        let of_run = |([i, j, k], length): &([u32; 3], u32)| {
            let mut counts = [0; N];
            let places = (*i..i + length).map(|i| self.grid.physical(&Point3::new(f64::from(i), f64::from(*j), f64::from(*k))));
            places.filter_map(|p| kind(&p)).for_each(|n| counts[n] += 1);
            counts
        };
        self.runs.par_iter().map(of_run).reduce(|| [0; N], |a, b| std::array::from_fn(|n| a[n] + b[n]))
    }

    /// In a volume; `None` where noise or a lack of contrast leaves nothing to tell.
    pub(super) fn of<T: Voxel>(slices: &Slices<T>, image: &ImageQuality, rt: &Runtime) -> Result<Option<Unresolved>, Error> {
        let grid = *slices.grid();
        let dims @ [_, ny, nz] = grid.dims();
        let noise = image.relative_noise();
        let of_mean = noise * (image.whole_inflation() / 27.0).sqrt();
        if of_mean.is_nan() || of_mean > CLEAR {
            return Ok(None);
        }
        if dims.iter().any(|n| *n <= 2 * BORDER) {
            return Ok(Some(Unresolved { grid, runs: vec![], rim: 0 }));
        }
        let per_row = dims[0].div_ceil(64);
        let words = per_row * ny * nz;
        rt.afford("grey values that are neither air nor material", slices.bytes() + 5 * 8 * words as u64)?;
        let seen = Seen {
            to_contrast: slices.rescale().slope / image.contrast,
            air: (slices.rescale().intercept - image.air) / image.contrast,
            noise,
            flat: flat(image),
            spacing_mm: grid.spacing_mm(),
        };
        let (mut middle, mut flat) = (vec![0u64; words], vec![0u64; words]);
        slices.pass(BORDER, |own, slab| {
            rt.step("unresolved", own.start as f64 / nz as f64)?;
            let at = own.start * ny * per_row..own.end * ny * per_row;
            let rows = middle[at.clone()].par_chunks_mut(per_row).zip(flat[at].par_chunks_mut(per_row)).enumerate();
            rows.for_each(|(row, (middle, flat))| seen.in_row(slab, row % ny, own.start + row / ny, middle, flat));
            Ok(())
        })?;
        let (middle, flat) = (Mask::of_rows(dims, middle)?, Mask::of_rows(dims, flat)?);
        let mut found = flat.shrunk().grown();
        if found.count() > 0 {
            for _ in 0..WIDER {
                found = found.grown().and(&middle)?;
            }
        }
        Ok(Some(Unresolved { grid, runs: runs(&found), rim: found.rim().len() as u64 }))
    }
}

/// The slope (contrast per mm) below which the middle grey of a mean over 3 × 3 × 3 voxels belongs to no edge.
fn flat(image: &ImageQuality) -> f64 {
    let h = image.voxel_mm.into_iter().fold(0.0, f64::max);
    // The mean blurs further; neighbours are two voxels apart.
    let sigma = (image.edge_sigma_mm * image.edge_sigma_mm + 2.0 / 3.0 * h * h).sqrt();
    let at = super::edge::quantile(MIDDLE[1]);
    let rise = |t: f64| 0.5 * libm::erf((at + t / sigma) * std::f64::consts::FRAC_1_SQRT_2);
    FLAT * (rise(h) - rise(-h)) / (2.0 * h)
}

/// What the voxels of a volume are held against.
struct Seen {
    /// A stored value in parts of the contrast is `air + to_contrast · value`.
    to_contrast: f64,
    air: f64,
    noise: f64,
    flat: f64,
    spacing_mm: [f64; 3],
}

impl Seen {
    /// Marks the voxels of a row whose mean is in the middle, and of these the ones that are flat.
    fn in_row<T: Voxel>(&self, slab: &Slab<T>, j: usize, k: usize, middle: &mut [u64], flat: &mut [u64]) {
        let [nx, ny, nz] = slab.dims();
        if j < BORDER || j + BORDER >= ny || k < BORDER || k + BORDER >= nz {
            return;
        }
        let [low, high] = [MIDDLE[0] - SPREAD * self.noise, MIDDLE[1] + SPREAD * self.noise];
        let own = slab.row(j, k);
        for i in BORDER..nx - BORDER {
            let value = self.air + self.to_contrast * own[i].to_f64();
            if !(low..=high).contains(&value) || !(MIDDLE[0]..=MIDDLE[1]).contains(&self.mean(slab, [i, j, k])) {
                continue;
            }
            middle[i / 64] |= 1 << (i % 64);
            if self.slope(slab, [i, j, k]) < self.flat {
                flat[i / 64] |= 1 << (i % 64);
            }
        }
    }

    /// Over the 3 × 3 × 3 voxels around one.
    fn mean<T: Voxel>(&self, slab: &Slab<T>, [i, j, k]: [usize; 3]) -> f64 {
        let mut sum = 0.0;
        for k in k - 1..=k + 1 {
            for j in j - 1..=j + 1 {
                sum += slab.row(j, k)[i - 1..=i + 1].iter().map(|v| v.to_f64()).sum::<f64>();
            }
        }
        self.air + self.to_contrast * (sum / 27.0)
    }

    /// Of the means, contrast per mm.
    fn slope<T: Voxel>(&self, slab: &Slab<T>, at: [usize; 3]) -> f64 {
        let squares = [0, 1, 2].map(|a| {
            let aside = |by: usize| std::array::from_fn(|n| if n == a { at[n] + by - 1 } else { at[n] });
            let rise = (self.mean(slab, aside(2)) - self.mean(slab, aside(0))) / (2.0 * self.spacing_mm[a]);
            rise * rise
        });
        squares.iter().sum::<f64>().sqrt()
    }
}

fn runs(mask: &Mask) -> Vec<([u32; 3], u32)> {
    let [_, ny, nz] = mask.dims();
    let in_row = |row: usize| {
        let (j, k) = (row % ny, row / ny);
        let mut found = vec![];
        each_run(mask.row(j, k), |from, to| found.push(([from as u32, j as u32, k as u32], (to - from) as u32)));
        found
    };
    (0..ny * nz).into_par_iter().flat_map_iter(in_row).collect()
}
