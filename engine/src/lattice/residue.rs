//! Material away from what was designed: trapped powder, drops, closed windows.
//!
//! On a lattice of cells, what is solid in the built part and farther from the nominal, from the designed struts and from the struts as
//! built than a clearance; of walls farther from the nominal. Cells are as wide as half the clearance at most, however large the part is, unless
//! the scan's voxels are wider or memory does not hold them. Bodies of less than 27 cells (three across) are below the detection limit. A window
//! (see `windows`) is blocked where at least half of what the design leaves open of it is solid. Where the lattice is built displaced, what is
//! designed beside its struts is looked for displaced as the nearest node, too.
//! Cost: some ten nanoseconds a cell, one byte.

use nalgebra::{Point3, Vector3};

use super::windows::{Opening, Window, openings, windows};
use super::{AsBuilt, Design, Followed, Segment};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::kernels::{Border, Components, Connectivity, components, distance_transform};
use crate::mesh::Mesh;
use crate::runtime::Runtime;
use crate::solid::{Columns, Lattice, PHASES};
use crate::volume::Mask;

/// A body of material where none was designed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Body {
    pub volume_mm3: f64,
    pub centroid: Point3<f64>,
}

/// What lies where nothing was designed.
#[derive(Clone, Debug, PartialEq)]
pub struct Residue {
    /// The largest first.
    pub bodies: Vec<Body>,
    /// Bodies are told from so far beside designed or built material on, mm, and from this volume on, mm³.
    pub clearance_mm: f64,
    pub least_mm3: f64,
    /// Edge of the cells, mm, and what was wanted where they are coarser.
    pub step_mm: f64,
    pub wanted_mm: Option<f64>,
    /// Those looked at.
    pub windows: Vec<Window>,
    /// Why none is looked at, where struts are too many for it.
    pub no_windows: Option<String>,
}

/// Cells of a body that is told at least.
const SMALLEST: u64 = 27;
/// Distance to designed or built material from which on material is residue: this share of the struts' mean diameter or of the walls'
/// thickness, and two cells.
const CLEARANCE: f64 = 0.25;
const WALL_CLEARANCE: f64 = 0.5;
const LEAST_CLEARANCE: f64 = 2.0;

/// Cells that are not exceeded by choosing finer ones, cells at all, and how many times over struts may fill them.
const MANY_CELLS: f64 = (1u64 << 28) as f64;
const MOST_CELLS: f64 = (1u64 << 30) as f64;
const OVERLAP: f64 = 4.0;
/// By how much longer the next edge is that is tried.
const COARSER: f64 = 1.1;
/// Cells of a slab within which distances are held, about; and slices that it has where a slice has more, with margins on both sides.
const SLAB: f64 = (1u64 << 24) as f64;
const SLICES: f64 = 16.0;
/// Bytes a cell: a bit in each of four masks, and where runs begin; in a slab its distance and the rows that it is made from; and where a line through
/// the cells crosses a surface.
const BYTES_PER_CELL: f64 = 0.75;
const BYTES_IN_SLAB: f64 = 8.0;
const BYTES_PER_CROSSING: f64 = 40.0;
/// Of a window these shares must be open in the design, and solid of that to block it.
const OPEN: f64 = 0.2;
const BLOCKED: f64 = 0.5;

/// Bodies away from the design, and blocked windows, on cells between the finest and the coarsest edge: of half the clearance at most, as far as
/// memory holds them.
pub(crate) fn residue(
    as_built: &AsBuilt,
    nominal: &MeshDistance,
    built: &MeshDistance,
    [finest_mm, coarsest_mm]: [f64; 2],
    rt: &Runtime,
) -> Result<Residue, Error> {
    rt.step("residue", 0.0)?;
    let (designed, struts, openings, carried, clearance_mm): (Vec<Segment>, Vec<Segment>, _, &[_], f64) = match as_built {
        AsBuilt::Struts(followed) => (
            followed.design.segments(),
            (0..followed.struts.len()).map(|s| followed.built_segment(s)).chain(followed.astray()).collect(),
            openings(&followed.design, rt)?,
            followed.carried.nodes(),
            CLEARANCE * mean_diameter_mm(&followed.design),
        ),
        AsBuilt::Walls(walls) => (vec![], vec![], Ok(vec![]), &[], WALL_CLEARANCE * walls.sheet.thickness_mm),
    };
    let all = crate::frame::Bounds::of([nominal.mesh().bounds(), built.mesh().bounds()].iter().flat_map(|b| [&b.min, &b.max]));
    let area_mm2 = nominal.mesh().area_mm2().max(built.mesh().area_mm2());
    let room = Room { size: all.max - all.min, struts: designed.iter().map(|s| s.hull(0.0)).map(|b| b.max - b.min).collect(), area_mm2 };
    let wanted_mm = finest_mm.max(coarsest_mm.min(clearance_mm / LEAST_CLEARANCE));
    let step_mm = room.step_mm(wanted_mm, coarsest_mm.max(wanted_mm), rt)?;
    let lattice = Lattice::covering(&all, step_mm, PHASES[0]);
    let solid = Columns::of(built.mesh(), lattice).mask()?;
    let mut expected = Painted::of(&Columns::of(nominal.mesh(), lattice).mask()?, lattice);
    designed.iter().chain(&struts).for_each(|strut| expected.add(strut));
    let expected = expected.mask()?;
    let (openings, no_windows) = openings.map_or_else(|why| (vec![], Some(why)), |found| (found, None));
    let windows = windows(openings, carried, [nominal, built], |o| is_blocked(o, &lattice, &expected, &solid), rt)?;
    let clearance = (clearance_mm / step_mm).max(LEAST_CLEARANCE);
    let mut away = beyond(&expected, &solid, clearance, rt)?;
    if let Some(carried) = Carried::of(as_built)? {
        let is_residue = |p: Point3<f64>| nominal.signed(&carried.back(&p)).distance_mm > clearance * step_mm;
        away = Mask::from_fn(lattice.dims, |i, j, k| away.get(i, j, k) && is_residue(lattice.centre_of([i, j, k])));
    }
    let bodies = bodies(&components(&away, Connectivity::Corners26, rt)?, &lattice);
    let (clearance_mm, least_mm3) = (clearance * step_mm, SMALLEST as f64 * step_mm.powi(3));
    let wanted_mm = (step_mm > wanted_mm).then_some(wanted_mm);
    Ok(Residue { bodies, clearance_mm, least_mm3, step_mm, wanted_mm, windows, no_windows })
}

/// How the lattice carries what is designed beside its struts: as the nodes nearest to it.
struct Carried {
    nodes: MeshDistance,
    shift: Vec<Vector3<f64>>,
}

impl Carried {
    /// `None` where no node is carried.
    fn of(as_built: &AsBuilt) -> Result<Option<Carried>, Error> {
        let AsBuilt::Struts(Followed { design, carried, .. }) = as_built else { return Ok(None) };
        let shift: Vec<Vector3<f64>> = carried.nodes().iter().zip(design.nodes()).map(|(to, from)| to - from).collect();
        if shift.iter().all(|s| *s == Vector3::zeros()) {
            return Ok(None);
        }
        Ok(Some(Carried { nodes: MeshDistance::build(&Mesh::of_points(carried.nodes().to_vec())?), shift }))
    }

    /// Where a place of the built part is designed.
    fn back(&self, p: &Point3<f64>) -> Point3<f64> {
        p - self.shift[self.nodes.nearest(p).triangle as usize]
    }
}

/// What cells have to cover.
struct Room {
    size: Vector3<f64>,
    /// Sizes of the boxes around struts, mm.
    struts: Vec<Vector3<f64>>,
    area_mm2: f64,
}

impl Room {
    fn cells(&self, step_mm: f64) -> f64 {
        cells(&self.size, step_mm)
    }

    /// Cells, or those that struts fill over how many times they may, if that is more.
    fn filled(&self, step_mm: f64) -> f64 {
        let struts = self.struts.iter().map(|size| cells(size, step_mm)).sum::<f64>() / OVERLAP;
        if struts > self.cells(step_mm) { struts } else { self.cells(step_mm) }
    }

    fn bytes(&self, step_mm: f64) -> u64 {
        let slab = self.cells(step_mm).min(SLAB.max(SLICES * self.size.x * self.size.y / (step_mm * step_mm)));
        (BYTES_PER_CELL * self.cells(step_mm) + BYTES_IN_SLAB * slab + BYTES_PER_CROSSING * self.area_mm2 / (step_mm * step_mm)) as u64
    }

    /// The shortest edge of cells, from that wanted on, with which they are few enough and fit into memory; at the coarsest they must.
    fn step_mm(&self, wanted_mm: f64, coarsest_mm: f64, rt: &Runtime) -> Result<f64, Error> {
        let mut step = wanted_mm;
        loop {
            let fits = rt.afford("the cells of the residue", self.bytes(step));
            match (fits, self.filled(step)) {
                (Ok(()), filled) if filled <= MANY_CELLS => return Ok(step),
                (fits, filled) if step >= coarsest_mm => {
                    if filled.is_nan() || filled > MOST_CELLS {
                        let message = format!(
                            "nominal, built part and struts cover {filled:.2e} cells of {step} mm, allowed are 2^30: check the units of the meshes and of the struts"
                        );
                        return Err(Error::resource("lattice.too_large", message));
                    }
                    return fits.map(|()| step);
                }
                _ => step = coarsest_mm.min(COARSER * step),
            }
        }
    }
}

fn cells(size: &Vector3<f64>, step_mm: f64) -> f64 {
    size.iter().map(|length| length / step_mm + 4.0).product()
}

/// The solid cells farther than so many cells from what is expected, slab by slab.
fn beyond(expected: &Mask, solid: &Mask, clearance: f64, rt: &Runtime) -> Result<Mask, Error> {
    let ([nx, ny, nz], per_slice) = (solid.dims(), solid.words_per_row() * solid.dims()[1]);
    // What decides about a cell lies no farther from it than the clearance.
    let margin = clearance.ceil() as usize + 1;
    let slices = ((SLAB / (nx * ny) as f64) as usize).max(margin);
    let mut words = Vec::with_capacity(solid.words().len());
    for first in (0..nz).step_by(slices) {
        rt.step("residue", first as f64 / nz as f64)?;
        let last = (first + slices).min(nz);
        let (low, high) = (first.saturating_sub(margin), (last + margin).min(nz));
        let slab = Mask::of_rows([nx, ny, high - low], expected.words()[low * per_slice..high * per_slice].to_vec())?;
        let apart = distance_transform(&slab.complement(), Border::Unknown, rt)?;
        let far = |i: usize, j: usize, k: usize| f64::from(apart[((first + k - low) * ny + j) * nx + i]) > clearance * clearance;
        let away = Mask::from_fn([nx, ny, last - first], |i, j, k| solid.get(i, j, first + k) && far(i, j, k));
        words.extend_from_slice(away.words());
    }
    Mask::of_rows([nx, ny, nz], words)
}

/// Those large enough to be told, the largest first.
fn bodies(found: &Components, lattice: &Lattice) -> Vec<Body> {
    let mut sums: Vec<(u64, Vector3<f64>)> = vec![(0, Vector3::zeros()); found.count() + 1];
    found.each_run(|label, run, j, k| {
        let (size, sum) = &mut sums[label as usize];
        let (count, middle) = (run.len(), 0.5 * (run.start + run.end - 1) as f64);
        *size += count as u64;
        *sum += Vector3::new(middle, j as f64, k as f64) * count as f64;
    });
    let told = sums.iter().filter(|(size, _)| *size >= SMALLEST).map(|(size, sum)| Body {
        volume_mm3: *size as f64 * lattice.step_mm.powi(3),
        centroid: lattice.origin + (sum / *size as f64).add_scalar(0.5) * lattice.step_mm,
    });
    let mut told: Vec<Body> = told.collect();
    told.sort_by(|a, b| b.volume_mm3.total_cmp(&a.volume_mm3));
    told
}

fn is_blocked(window: &Opening, lattice: &Lattice, expected: &Mask, solid: &Mask) -> bool {
    let [mut all, mut open, mut closed] = [0usize; 3];
    for p in window.points() {
        all += 1;
        if !lattice.is_in(&p, expected) {
            open += 1;
            closed += usize::from(lattice.is_in(&p, solid));
        }
    }
    open as f64 >= OPEN * all as f64 && closed as f64 >= BLOCKED * open as f64
}

fn mean_diameter_mm(design: &Design) -> f64 {
    design.struts().iter().map(|s| s.diameter_mm).sum::<f64>() / design.struts().len() as f64
}

/// Cells of a lattice that hold something.
struct Painted {
    lattice: Lattice,
    words: Vec<u64>,
    per_row: usize,
}

impl Painted {
    fn of(mask: &Mask, lattice: Lattice) -> Painted {
        Painted { lattice, words: mask.words().to_vec(), per_row: mask.words_per_row() }
    }

    /// Adds the cells whose centres lie in a strut.
    fn add(&mut self, strut: &Segment) {
        let lattice = self.lattice;
        let hull = strut.hull(0.0);
        let (low, high) = (lattice.cell(&hull.min), lattice.cell(&hull.max));
        for k in low[2]..=high[2] {
            for j in low[1]..=high[1] {
                for i in low[0]..=high[0] {
                    let centre = Point3::new(lattice.centre(0, i), lattice.centre(1, j), lattice.centre(2, k));
                    if strut.axis_distance_mm(&centre) <= strut.radius_mm {
                        self.words[(k * lattice.dims[1] + j) * self.per_row + i / 64] |= 1 << (i % 64);
                    }
                }
            }
        }
    }

    fn mask(self) -> Result<Mask, Error> {
        Mask::of_rows(self.lattice.dims, self.words)
    }
}
