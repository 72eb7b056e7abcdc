//! Porosity: the share of an envelope that is not solid, open or closed.
//!
//! The solid's volume is that of the determined surface (exact along the lines of a lattice, see [`crate::solid`]), not a
//! count of voxels. A void is open when it hangs together with the outside of the whole part through faces of cells
//! (6-connectivity, the complement of 26 for the solid); a pore that only the region's own boundary cuts open stays closed.
//! Envelopes: a region of the nominal frame; or the closed hull, which is what a ball of a stated radius, rolled over the
//! part from outside, cannot enter (morphological closing), cavities included.
//!
//! Known bias: closed pores below about three cells across may be missed. Cost: up to six bytes a cell of a lattice.

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use crate::error::Error;
use crate::frame::Bounds;
use crate::kernels::{Border, Connectivity, aside, components, distance_transform};
use crate::mesh::{Bulge, Mesh};
use crate::region::Region;
use crate::runtime::Runtime;
use crate::solid::{Cell, Columns, Lattice, PHASES, Voids};
use crate::volume::Mask;

/// What the porosity is a share of.
pub enum Envelope<'a> {
    Region(&'a Region),
    /// A region at whose border the image ends, and what it shows of the part goes on.
    Image(&'a Region),
    /// Closing radius, mm.
    Hull {
        radius_mm: f64,
    },
}

/// Radius of the ball that is rolled over the part to close its hull unless stated otherwise: it bridges pores up to 2 mm,
/// above the 0.1 to 1 mm of structures made for bone to grow into.
pub const DEFAULT_CLOSING_MM: f64 = 1.0;

/// Shares of the envelope's volume.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fractions {
    pub total: f64,
    pub open: f64,
    pub closed: f64,
    pub envelope_mm3: f64,
}

/// Porosity with what its uncertainty rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Porosity {
    pub fractions: Fractions,
    /// Half the difference of two lattices.
    pub numeric: Fractions,
    /// Surface against open and closed pores, per envelope volume (1/mm): the sensitivity to a surface offset.
    pub open_surface_per_mm: f64,
    pub closed_surface_per_mm: f64,
}

/// Measures a closed mesh given in the nominal frame.
pub fn porosity(mesh: &Mesh, envelope: &Envelope, step_mm: f64, rt: &Runtime) -> Result<Porosity, Error> {
    let on = |phase: f64| on_lattice(mesh, None, &Scene::of(mesh, envelope, step_mm, phase, rt)?);
    Ok(Porosity::of_both(&on(PHASES[0])?, &on(PHASES[1])?))
}

impl Porosity {
    /// From those on the two lattices of a measurement.
    pub(crate) fn of_both(a: &Porosity, b: &Porosity) -> Porosity {
        let combine = |of: fn(&Fractions) -> f64, w: f64| 0.5 * (of(&a.fractions) + w * of(&b.fractions));
        let both = |w: f64| Fractions {
            total: combine(|f| f.total, w),
            open: combine(|f| f.open, w),
            closed: combine(|f| f.closed, w),
            envelope_mm3: combine(|f| f.envelope_mm3, w),
        };
        Porosity { fractions: both(1.0), numeric: both(-1.0), ..a.clone() }
    }
}

/// A part and its envelope on a lattice.
pub(crate) struct Scene<'a> {
    pub lattice: Lattice,
    pub columns: Columns,
    /// Cells whose centres are solid.
    pub solid: Mask,
    pub voids: Voids,
    inside: Inside<'a>,
}

/// More lines than this share on which the surface does not close, and nothing is measured.
const MOST_BROKEN: f64 = 1e-3;
/// Cells of a lattice at most: their numbers are 32 bits.
const MOST_CELLS: f64 = u32::MAX as f64;
/// What a measurement holds for each cell: a number of 4 bytes, and bits for the solid, its voids, the envelope and what is measured.
const BYTES_PER_CELL: u64 = 6;

impl<'a> Scene<'a> {
    /// On the two lattices of a measurement.
    pub fn both(mesh: &Mesh, envelope: &Envelope<'a>, step_mm: f64, rt: &Runtime) -> Result<[Scene<'a>; 2], Error> {
        Ok([Scene::of(mesh, envelope, step_mm, PHASES[0], rt)?, Scene::of(mesh, envelope, step_mm, PHASES[1], rt)?])
    }

    /// `phase` is the lattice's shift in cells.
    pub fn of(mesh: &Mesh, envelope: &Envelope<'a>, step_mm: f64, phase: f64, rt: &Runtime) -> Result<Scene<'a>, Error> {
        let part = mesh.bounds();
        let bounds = match envelope {
            Envelope::Region(region) | Envelope::Image(region) => {
                let region = region.bounds();
                Bounds { min: part.min.inf(&region.min), max: part.max.sup(&region.max) }
            }
            Envelope::Hull { radius_mm } => {
                let margin = Vector3::repeat(*radius_mm + 2.0 * step_mm);
                Bounds { min: part.min - margin, max: part.max + margin }
            }
        };
        let cells: f64 = (bounds.max - bounds.min).iter().map(|length| length / step_mm + 4.0).product();
        if cells.is_nan() || cells > MOST_CELLS {
            let message = format!(
                "part and envelope cover {cells:.2e} cells of {step_mm} mm, allowed are less than 2^32: give an envelope or a closing radius of the part's size, or larger cells"
            );
            return Err(Error::resource("porosity.too_large", message));
        }
        rt.step("lattice", phase)?;
        rt.afford(&format!("{cells:.2e} cells of {step_mm} mm"), BYTES_PER_CELL * cells as u64)?;
        let lattice = Lattice::covering(&bounds, step_mm, phase);
        let columns = Columns::of(mesh, lattice);
        let lines = lattice.dims[1] * lattice.dims[2];
        if columns.broken as f64 > MOST_BROKEN * lines as f64 {
            let message = format!("the surface does not close on {} of {lines} lines through it: close the mesh", columns.broken);
            return Err(Error::input("mesh.open", message));
        }
        let solid = columns.mask()?;
        let voids = Voids::of(&solid, rt)?;
        let inside = Inside::of(envelope, &lattice, &solid, rt)?;
        Ok(Scene { lattice, columns, solid, voids, inside })
    }

    /// Refuses what does not fit the memory budget beside the lattice.
    pub fn afford_beside(&self, what: &str, bytes: u64, rt: &Runtime) -> Result<(), Error> {
        let cells: u64 = self.lattice.dims.iter().map(|n| *n as u64).product();
        rt.afford(&format!("{what} on {cells} cells"), BYTES_PER_CELL * cells + bytes)
    }

    /// The cells of the envelope.
    pub fn envelope(&self) -> Mask {
        match &self.inside {
            Inside::Hull { hull, .. } => hull.clone(),
            Inside::Region { mesh: Some(columns), .. } => columns.mask().unwrap_or_else(|_| self.solid.clone()),
            Inside::Region { region, lattice, .. } => {
                let centre = |i, j, k| Point3::new(lattice.centre(0, i), lattice.centre(1, j), lattice.centre(2, k));
                Mask::from_fn(lattice.dims, |i, j, k| region.contains(&centre(i, j, k)))
            }
        }
    }

    /// The cells that the image shows, where it ends with the envelope.
    pub fn shown(&self) -> Option<Mask> {
        matches!(self.inside, Inside::Region { ends: true, .. }).then(|| self.envelope())
    }

    /// Whether a point lies in a region; everything does in the closed hull of the whole part.
    pub fn in_region(&self, p: &Point3<f64>) -> bool {
        match &self.inside {
            Inside::Hull { .. } => true,
            Inside::Region { region, .. } => region.contains(p),
        }
    }

    /// The cell of the void that a facet of the part faces inside the envelope.
    pub fn beside_facet(&self, mesh: &Mesh, t: usize) -> Option<[usize; 3]> {
        let beside = self.void_beside(mesh, t)?;
        self.inside.holds(&mesh.centroid(t), beside).then_some(beside)
    }

    /// The cell of the void that a facet of the part faces: the first that lies along its normal, since a void may be thinner than a cell; in corners
    /// between cells the nearest one to the place where it should lie.
    pub fn void_beside(&self, mesh: &Mesh, t: usize) -> Option<[usize; 3]> {
        let unit = mesh.area_vector(t).try_normalize(0.0)?;
        let at = |cells: f64| mesh.centroid(t) + unit * (cells * self.lattice.step_mm);
        let is_void = |cell: &[usize; 3]| self.voids.cell(*cell) != Cell::Solid;
        let along = BESIDE.into_iter().map(|cells| self.lattice.cell(&at(cells))).find(is_void);
        along.or_else(|| {
            let wanted = at(BESIDE[0]);
            let cell = self.lattice.cell(&wanted);
            let around = (0..27).filter_map(|n| aside(cell, [n % 3, n / 3 % 3, n / 9], self.lattice.dims));
            let away = |cell: &[usize; 3]| (Point3::from([0, 1, 2].map(|a| self.lattice.centre(a, cell[a]))) - wanted).norm_squared();
            around.filter(is_void).min_by(|a, b| away(a).total_cmp(&away(b)))
        })
    }

    /// Volume of the envelope (mm³): of a region as it is stated, of a hull by the lattice.
    pub fn envelope_mm3(&self) -> f64 {
        self.region_mm3().unwrap_or_else(|| self.volumes_mm3().iter().sum())
    }

    fn region_mm3(&self) -> Option<f64> {
        match &self.inside {
            Inside::Region { region, .. } => Some(region.volume_mm3()),
            Inside::Hull { .. } => None,
        }
    }

    /// Volumes (mm³) of solid, open and closed void inside the envelope, by the lattice.
    fn volumes_mm3(&self) -> [f64; 3] {
        let [_, ny, nz] = self.lattice.dims;
        let lines: Vec<[f64; 3]> =
            (0..ny * nz).into_par_iter().map(|line| self.inside.line_sums(&self.columns, &self.voids, line % ny, line / ny)).collect();
        let per_mm2 = self.lattice.step_mm * self.lattice.step_mm;
        lines.iter().fold([0.0; 3], |a, s| [a[0] + s[0], a[1] + s[1], a[2] + s[2]]).map(|mm| mm * per_mm2)
    }
}

/// How far in front of a facet its void is looked for, in cells.
const BESIDE: [f64; 3] = [0.9, 0.5, 1.4];

/// On one lattice alone.
pub(crate) fn on_lattice(mesh: &Mesh, bulge: Option<&Bulge>, scene: &Scene) -> Result<Porosity, Error> {
    let [solid_mm3, mut open_mm3, mut closed_mm3] = scene.volumes_mm3();
    let all = solid_mm3 + open_mm3 + closed_mm3;
    if all <= 0.0 {
        return Err(Error::input(
            "porosity.empty_envelope",
            "the envelope holds nothing of the part's surroundings: check the region's place in the nominal frame",
        ));
    }
    let [open, closed] = pore_surface(mesh, bulge, scene);
    open_mm3 -= open.beyond_mm3;
    closed_mm3 -= closed.beyond_mm3;
    let envelope_mm3 = scene.region_mm3().unwrap_or(all);
    Ok(Porosity {
        fractions: Fractions { total: (open_mm3 + closed_mm3) / all, open: open_mm3 / all, closed: closed_mm3 / all, envelope_mm3 },
        numeric: Fractions { total: 0.0, open: 0.0, closed: 0.0, envelope_mm3: 0.0 },
        open_surface_per_mm: open.area_mm2 / envelope_mm3,
        closed_surface_per_mm: closed.area_mm2 / envelope_mm3,
    })
}

/// Facets inside the envelope that face one kind of pore.
#[derive(Clone, Copy, Default)]
struct Facing {
    area_mm2: f64,
    /// Volume of the pores that lies beyond the facets and before the curved surface.
    beyond_mm3: f64,
}

impl Facing {
    fn plus(self, other: Facing) -> Facing {
        Facing { area_mm2: self.area_mm2 + other.area_mm2, beyond_mm3: self.beyond_mm3 + other.beyond_mm3 }
    }
}

/// Facets inside the envelope that face open and closed pores.
fn pore_surface(mesh: &Mesh, bulge: Option<&Bulge>, scene: &Scene) -> [Facing; 2] {
    crate::sum::fold(
        mesh.triangles().len(),
        || [Facing::default(); 2],
        |mut facing, t| {
            let own = || Facing { area_mm2: 0.5 * mesh.area_vector(t).norm(), beyond_mm3: bulge.map_or(0.0, |b| b.volume_mm3(mesh, t)) };
            match scene.beside_facet(mesh, t).map(|beside| scene.voids.cell(beside)) {
                Some(Cell::Open) => facing[0] = facing[0].plus(own()),
                Some(Cell::Closed) => facing[1] = facing[1].plus(own()),
                Some(Cell::Solid) | None => {}
            }
            facing
        },
        |a, b| [a[0].plus(b[0]), a[1].plus(b[1])],
    )
}

/// The envelope on a lattice.
enum Inside<'a> {
    Region { region: &'a Region, lattice: Lattice, mesh: Option<Columns>, ends: bool },
    Hull { hull: Mask, lattice: Lattice },
}

impl<'a> Inside<'a> {
    fn of(envelope: &Envelope<'a>, lattice: &Lattice, solid: &Mask, rt: &Runtime) -> Result<Inside<'a>, Error> {
        Ok(match envelope {
            Envelope::Region(region) | Envelope::Image(region) => {
                let mesh = if let Region::Mesh(m) = region { Some(Columns::of(m.mesh(), *lattice)) } else { None };
                Inside::Region { region, lattice: *lattice, mesh, ends: matches!(envelope, Envelope::Image(_)) }
            }
            Envelope::Hull { radius_mm } => Inside::Hull { hull: closed_hull(solid, radius_mm / lattice.step_mm, rt)?, lattice: *lattice },
        })
    }

    fn holds(&self, p: &Point3<f64>, beside: [usize; 3]) -> bool {
        match self {
            Inside::Region { region, .. } => region.contains(p),
            Inside::Hull { hull, .. } => hull.get(beside[0], beside[1], beside[2]),
        }
    }

    /// Lengths (mm) of solid, open and closed void inside the envelope on one line.
    fn line_sums(&self, columns: &Columns, voids: &Voids, j: usize, k: usize) -> [f64; 3] {
        let solid = columns.line(j, k);
        let ends = std::iter::once(f64::NEG_INFINITY).chain(solid.iter().map(|s| s[1]));
        let starts = solid.iter().map(|s| s[0]).chain(std::iter::once(f64::INFINITY));
        let gaps = ends.zip(starts).map(|(from, to)| [from, to]);
        match self {
            Inside::Region { region, lattice, mesh, .. } => {
                let chord = || region.chord(lattice.centre(1, j), lattice.centre(2, k));
                let windows = mesh.as_ref().map_or_else(|| chord().into_iter().collect(), |m| m.line(j, k).to_vec());
                let mut sums = [0.0; 3];
                for window in windows {
                    let within = |[a, b]: [f64; 2]| [a.max(window[0]), b.min(window[1])];
                    sums[0] += solid.iter().map(|&s| length(within(s))).sum::<f64>();
                    gaps.clone().map(within).for_each(|gap| add_void(&mut sums, voids, lattice, gap, length(gap), j, k));
                }
                sums
            }
            Inside::Hull { hull, lattice } => {
                let mut sums = [solid.iter().map(|&s| length(s)).sum(), 0.0, 0.0];
                for gap in gaps {
                    let (first, end) = lattice.cells_in(gap);
                    let inside: Vec<usize> = (first..end).filter(|&i| hull.get(i, j, k)).collect();
                    // A gap that lies in the hull as a whole counts with its exact length, a part of one by its cells.
                    let whole = gap[0].is_finite() && gap[1].is_finite() && inside.len() == end - first;
                    let counted = if whole { length(gap) } else { inside.len() as f64 * lattice.step_mm };
                    let at = inside.first().map_or(gap[0], |&i| lattice.centre(0, i));
                    add_void(&mut sums, voids, lattice, if whole { gap } else { [at, at] }, counted, j, k);
                }
                sums
            }
        }
    }
}

fn length([from, to]: [f64; 2]) -> f64 {
    (to - from).max(0.0)
}

/// Counts a stretch of void as open or closed after what lies in its middle.
fn add_void(sums: &mut [f64; 3], voids: &Voids, lattice: &Lattice, [from, to]: [f64; 2], length_mm: f64, j: usize, k: usize) {
    if length_mm > 0.0 {
        sums[if closed_at(voids, lattice, 0.5 * (from + to), j, k) { 2 } else { 1 }] += length_mm;
    }
}

/// Whether the void at x on a line is closed. Where the void is thinner than a cell its neighbours along the line decide.
fn closed_at(voids: &Voids, lattice: &Lattice, x: f64, j: usize, k: usize) -> bool {
    let [i, ..] = lattice.cell(&Point3::new(x, 0.0, 0.0));
    let around = [i, i.saturating_sub(1), (i + 1).min(lattice.dims[0] - 1)];
    around.into_iter().map(|i| voids.cell([i, j, k])).find(|c| *c != Cell::Solid) == Some(Cell::Closed)
}

/// Half the diagonal of a cell: as far as a lattice can place the rolling ball beside where it would lie.
const SLACK: f64 = 0.866_025_403_784_438_6;

/// Closing by a ball of `radius` cells, with the cavities inside filled. The ball comes closer by [`SLACK`], so that it touches every
/// convex surface and the hull adds nothing there.
fn closed_hull(solid: &Mask, radius: f64, rt: &Runtime) -> Result<Mask, Error> {
    let [nx, ny, nz] = solid.dims();
    let (reach, touch) = (radius * radius, (radius + SLACK) * (radius + SLACK));
    // Cells that no ball centred outside the dilated solid reaches: dilate by the ball, keep what the outside cannot enter, erode.
    let to_solid = distance_transform(&solid.complement(), Border::Unknown, rt)?;
    let free = Mask::from_fn([nx, ny, nz], |i, j, k| f64::from(to_solid[(k * ny + j) * nx + i]) > reach);
    drop(to_solid);
    let free = components(&free, Connectivity::Faces6, rt)?;
    let outside = free.mask_of(free.label_of(0, 0, 0));
    let to_outside = distance_transform(&outside.complement(), Border::Unknown, rt)?;
    Ok(Mask::from_fn([nx, ny, nz], |i, j, k| f64::from(to_outside[(k * ny + j) * nx + i]) > touch || solid.get(i, j, k)))
}
