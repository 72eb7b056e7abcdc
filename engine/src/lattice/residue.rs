//! Material away from what was designed: trapped powder, drops, closed windows.
//!
//! On a lattice of cells, what is solid in the built part and farther from the nominal, from the designed struts and from the struts as
//! built than a clearance; of walls farther from the nominal. Bodies of less than 27 cells (three across) are below the detection limit. A
//! window (see `windows`) is blocked where at least half of what the design leaves open of it is solid.

use nalgebra::{Point3, Vector3};

use super::windows::{Opening, Window, openings, windows};
use super::{AsBuilt, Design, Segment};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::kernels::{Border, Connectivity, components, distance_transform};
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

/// Cells at most, and how many times over struts may fill them.
const MOST_CELLS: f64 = (1u64 << 30) as f64;
const OVERLAP: f64 = 4.0;
/// Bytes a cell: distances and labels, and a bit in each of four masks.
const BYTES_PER_CELL: f64 = 8.5;
/// Of a window these shares must be open in the design, and solid of that to block it.
const OPEN: f64 = 0.2;
const BLOCKED: f64 = 0.5;

/// Bodies away from the design, and blocked windows.
pub(crate) fn residue(
    as_built: &AsBuilt,
    nominal: &MeshDistance,
    built: &MeshDistance,
    cell_mm: f64,
    rt: &Runtime,
) -> Result<Residue, Error> {
    rt.step("residue", 0.0)?;
    let (designed, as_built, openings, carried, clearance_mm): (Vec<Segment>, Vec<Segment>, _, &[_], f64) = match as_built {
        AsBuilt::Struts(followed) => (
            followed.design.segments(),
            (0..followed.struts.len()).map(|s| followed.built_segment(s)).collect(),
            openings(&followed.design, rt)?,
            followed.carried.nodes(),
            CLEARANCE * mean_diameter_mm(&followed.design),
        ),
        AsBuilt::Walls(walls) => (vec![], vec![], Ok(vec![]), &[], WALL_CLEARANCE * walls.sheet.thickness_mm),
    };
    let all = crate::frame::Bounds::of([nominal.mesh().bounds(), built.mesh().bounds()].iter().flat_map(|b| [&b.min, &b.max]));
    let cells = |size: Vector3<f64>| size.iter().map(|length| length / cell_mm + 4.0).product::<f64>();
    let struts: f64 = designed.iter().map(|s| s.hull(0.0)).map(|b| cells(b.max - b.min)).sum();
    let most = cells(all.max - all.min).max(struts / OVERLAP);
    if most.is_nan() || most > MOST_CELLS {
        let message = format!(
            "nominal, built part and struts cover {most:.2e} cells of {cell_mm} mm, allowed are 2^30: check the units of the meshes and of the struts"
        );
        return Err(Error::resource("lattice.too_large", message));
    }
    rt.afford("the cells of the residue", (BYTES_PER_CELL * cells(all.max - all.min)) as u64)?;
    let lattice = Lattice::covering(&all, cell_mm, PHASES[0]);
    let solid = Columns::of(built.mesh(), lattice).mask()?;
    let mut expected = Painted::of(&Columns::of(nominal.mesh(), lattice).mask()?, lattice);
    designed.iter().chain(&as_built).for_each(|strut| expected.add(strut));
    let expected = expected.mask()?;
    let (openings, no_windows) = openings.map_or_else(|why| (vec![], Some(why)), |found| (found, None));
    let windows = windows(openings, carried, [nominal, built], |o| is_blocked(o, &lattice, &expected, &solid), rt)?;
    let apart = distance_transform(&expected.complement(), Border::Unknown, rt)?;
    let clearance = (clearance_mm / cell_mm).max(2.0);
    let [nx, ny, nz] = lattice.dims;
    let beyond = |i: usize, j: usize, k: usize| f64::from(apart[(k * ny + j) * nx + i]) > clearance * clearance;
    let bodies = components(&Mask::from_fn(lattice.dims, |i, j, k| solid.get(i, j, k) && beyond(i, j, k)), Connectivity::Corners26, rt)?;
    let mut found: Vec<(u64, Vector3<f64>)> = vec![(0, Vector3::zeros()); bodies.count() + 1];
    let mut labels = vec![0u32; nx * ny * nz];
    bodies.write_labels(&mut labels);
    for (n, &label) in labels.iter().enumerate().filter(|(_, l)| **l != 0) {
        let (size, sum) = &mut found[label as usize];
        *size += 1;
        *sum += Vector3::new((n % nx) as f64, (n / nx % ny) as f64, (n / (nx * ny)) as f64);
    }
    let mut told: Vec<Body> = found
        .iter()
        .filter(|(size, _)| *size >= SMALLEST)
        .map(|(size, sum)| Body {
            volume_mm3: *size as f64 * cell_mm * cell_mm * cell_mm,
            centroid: lattice.origin + (sum / *size as f64).add_scalar(0.5) * cell_mm,
        })
        .collect();
    told.sort_by(|a, b| b.volume_mm3.total_cmp(&a.volume_mm3));
    let (clearance_mm, least_mm3) = (clearance * cell_mm, SMALLEST as f64 * cell_mm * cell_mm * cell_mm);
    Ok(Residue { bodies: told, clearance_mm, least_mm3, windows, no_windows })
}

fn is_blocked(window: &Opening, lattice: &Lattice, expected: &Mask, solid: &Mask) -> bool {
    let [mut all, mut open, mut closed] = [0usize; 3];
    for p in window.points() {
        let [i, j, k] = lattice.cell(&p);
        all += 1;
        if !expected.get(i, j, k) {
            open += 1;
            closed += usize::from(solid.get(i, j, k));
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
        Mask::from_words(self.lattice.dims, self.words).ok_or_else(|| Error::defect("lattice and mask differ in size"))
    }
}
