//! Porosity: the share of an envelope that is not solid, open or closed.
//!
//! The solid's volume is that of the determined surface (exact along the lines of a lattice, see [`crate::solid`]), not a
//! count of voxels. A void is open when it hangs together with the outside of the whole part through faces of cells
//! (6-connectivity, the complement of 26 for the solid), unless a shell of the surface encloses it (see [`cavities`]); a pore that only the region's own boundary cuts open stays closed.
//! Envelopes: a region of the nominal frame; or the closed hull, which is what a ball of a stated radius, rolled over the
//! part from outside, cannot enter, cavities included (see [`hull`]).
//!
//! Known bias: closed pores may be missed that no shell of their own encloses and that are below about three cells across. Cost:
//! [`BYTES_PER_CELL`], two lattices.

mod cavities;
mod hull;
mod swept;

pub(crate) use cavities::{Cavities, Cavity, Through, walls};
pub(crate) use swept::{BYTES_PER_CENTRE, Rolled, SLACK, nearest_to_cells};

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;

use crate::distance::MeshDistance;
use crate::error::Error;
use crate::frame::{Bounds, Pose};
use crate::kernels::aside;
use crate::mesh::{Bulge, Mesh};
use crate::region::Region;
use crate::runtime::Runtime;
use crate::solid::{Cell, Columns, Lattice, PHASES, Voids};
use crate::surface::Unresolved;
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

/// Shares of the envelope where the scan shows neither air nor material, by what they counted as.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UnresolvedShares {
    pub solid: f64,
    pub open: f64,
    pub closed: f64,
    /// By how much each may be larger, relative.
    pub border: f64,
}

impl UnresolvedShares {
    pub fn all(&self) -> f64 {
        self.solid + self.open + self.closed
    }

    fn mean(a: &UnresolvedShares, b: &UnresolvedShares) -> UnresolvedShares {
        let mean = |of: fn(&UnresolvedShares) -> f64| 0.5 * (of(a) + of(b));
        UnresolvedShares { solid: mean(|u| u.solid), open: mean(|u| u.open), closed: mean(|u| u.closed), border: a.border }
    }

    /// As much as may be of each.
    pub fn most(&self) -> UnresolvedShares {
        let most = |share: f64| share * (1.0 + self.border);
        UnresolvedShares { solid: most(self.solid), open: most(self.open), closed: most(self.closed), border: 0.0 }
    }
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
    /// `None` where nothing can be told of it.
    pub unresolved: Option<UnresolvedShares>,
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
        let unresolved = a.unresolved.zip(b.unresolved).map(|(a, b)| UnresolvedShares::mean(&a, &b));
        Porosity { fractions: both(1.0), numeric: both(-1.0), unresolved, ..a.clone() }
    }
}

/// What is put on a lattice: the part's surface in the nominal frame.
#[derive(Clone, Copy)]
pub(crate) struct Part<'p> {
    pub surface: &'p MeshDistance,
    /// Of voids that shells tell, see [`walls`].
    pub walls: &'p [Vec<u32>],
    /// Edge of a cell.
    pub step_mm: f64,
}

/// A part and its envelope on a lattice.
pub(crate) struct Scene<'a> {
    pub lattice: Lattice,
    pub columns: Columns,
    /// Cells whose centres are solid.
    pub solid: Mask,
    pub voids: Voids,
    /// The closed voids that shells tell.
    pub cavities: Cavities,
    inside: Inside<'a>,
}

/// Cells of a lattice at most: their numbers are 32 bits.
const MOST_CELLS: f64 = u32::MAX as f64;
/// What a measurement holds for each cell: a number of 4 bytes, and bits for the solid, its voids, the envelope and what is measured.
const BYTES_PER_CELL: u64 = 6;

impl<'a> Scene<'a> {
    /// On the two lattices of a measurement.
    pub fn both(part: &Part, envelope: &Envelope<'a>, rt: &Runtime) -> Result<[Scene<'a>; 2], Error> {
        Ok([Scene::of(part, envelope, PHASES[0], rt)?, Scene::of(part, envelope, PHASES[1], rt)?])
    }

    /// `phase` is the lattice's shift in cells.
    pub fn of(&Part { surface, walls, step_mm }: &Part, envelope: &Envelope<'a>, phase: f64, rt: &Runtime) -> Result<Scene<'a>, Error> {
        let mesh = surface.mesh();
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
        columns.closed("the surface")?;
        let solid = columns.mask()?;
        let voids = Voids::of(&solid, rt)?;
        let cavities = Cavities::of(mesh, walls, &columns);
        let inside = Inside::of(envelope, &lattice, &solid, surface, rt)?;
        Ok(Scene { lattice, columns, solid, voids, cavities, inside })
    }

    /// Refuses what does not fit the memory budget beside the lattice.
    pub fn afford_beside(&self, what: &str, bytes: u64, rt: &Runtime) -> Result<(), Error> {
        let cells: u64 = self.lattice.dims.iter().map(|n| *n as u64).product();
        rt.afford(&format!("{what} on {cells} cells"), BYTES_PER_CELL * cells + bytes)
    }

    /// The void cells that no facet of the part passes through: beside them lies every wall, however thin.
    pub fn clear(&self, mesh: &Mesh) -> Mask {
        let [nx, ny, _] = self.lattice.dims;
        let touched = |t: usize| {
            let cells = mesh.parts(t, self.lattice.step_mm).map(|middle| self.lattice.cell(&middle));
            cells.filter(|&[i, j, k]| !self.solid.get(i, j, k)).map(|[i, j, k]| ((k * ny + j) * nx + i) as u32)
        };
        self.solid.clone().with((0..mesh.triangles().len()).into_par_iter().flat_map_iter(touched)).complement()
    }

    /// The cells of the envelope.
    pub fn envelope(&self) -> Mask {
        match &self.inside {
            Inside::Hull { hull, .. } => hull.clone(),
            Inside::Region { mesh: Some(columns), .. } => columns.mask().unwrap_or_else(|_| self.solid.clone()),
            Inside::Region { region, lattice, .. } => Mask::from_fn(lattice.dims, |i, j, k| region.contains(&lattice.centre_of([i, j, k]))),
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

    /// The shares of a facet of the part that face open and closed voids inside the envelope: it is divided until no part is longer than a cell.
    pub fn facing(&self, mesh: &Mesh, t: usize) -> [f64; 2] {
        let Some(unit) = mesh.area_vector(t).try_normalize(0.0) else { return [0.0; 2] };
        let (mut counts, mut parts) = ([0u32; 2], 0u32);
        let of_cavity = self.cavities.are_faced_by(t);
        mesh.parts(t, self.lattice.step_mm).for_each(|middle| {
            parts += 1;
            if of_cavity {
                counts[1] += u32::from(self.in_region(&middle)); // a hull holds all cavities
                return;
            }
            let inside = self.void_at(&middle, &unit).filter(|beside| self.inside.holds(&middle, *beside));
            match inside.map(|beside| self.voids.cell(beside)) {
                Some(Cell::Open) => counts[0] += 1,
                Some(Cell::Closed) => counts[1] += 1,
                Some(Cell::Solid) | None => {}
            }
        });
        counts.map(|count| f64::from(count) / f64::from(parts))
    }

    /// The cell of the void that the middle of a facet of the part faces inside the envelope.
    pub fn beside_facet(&self, mesh: &Mesh, t: usize) -> Option<[usize; 3]> {
        let beside = self.void_beside(mesh, t)?;
        self.inside.holds(&mesh.centroid(t), beside).then_some(beside)
    }

    /// The cell of the void that the middle of a facet of the part faces.
    pub fn void_beside(&self, mesh: &Mesh, t: usize) -> Option<[usize; 3]> {
        self.void_at(&mesh.centroid(t), &mesh.area_vector(t).try_normalize(0.0)?)
    }

    /// The cell of the void that a place on the surface faces: the first that lies along its normal, since a void may be thinner than a cell; in
    /// corners between cells the nearest one to the place where it should lie.
    fn void_at(&self, place: &Point3<f64>, unit: &Vector3<f64>) -> Option<[usize; 3]> {
        let at = |cells: f64| place + unit * (cells * self.lattice.step_mm);
        let is_void = |cell: &[usize; 3]| self.voids.cell(*cell) != Cell::Solid;
        let along = BESIDE.into_iter().map(|cells| self.lattice.cell(&at(cells))).find(is_void);
        along.or_else(|| {
            let wanted = at(BESIDE[0]);
            let cell = self.lattice.cell(&wanted);
            let around = (0..27).filter_map(|n| aside(cell, [n % 3, n / 3 % 3, n / 9], self.lattice.dims));
            let away = |cell: &[usize; 3]| (self.lattice.centre_of(*cell) - wanted).norm_squared();
            around.filter(is_void).min_by(|a, b| away(a).total_cmp(&away(b)))
        })
    }

    /// What counts at a place inside the envelope.
    fn kind_at(&self, p: &Point3<f64>) -> Option<Cell> {
        let cell = self.lattice.cell(p);
        self.inside.holds(p, cell).then(|| self.voids.cell(cell))
    }

    /// Length (mm) inside the envelope of a stretch of void on the line through cells (·, j, k).
    pub fn length_inside(&self, stretch: [f64; 2], j: usize, k: usize) -> f64 {
        self.inside.length_of(stretch, j, k)
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
        let lines: Vec<[f64; 3]> = (0..ny * nz).into_par_iter().map(|line| self.line_sums(line % ny, line / ny)).collect();
        let per_mm2 = self.lattice.step_mm * self.lattice.step_mm;
        lines.iter().fold([0.0; 3], |a, s| [a[0] + s[0], a[1] + s[1], a[2] + s[2]]).map(|mm| mm * per_mm2)
    }

    /// Lengths (mm) of solid, open and closed void inside the envelope on one line.
    fn line_sums(&self, j: usize, k: usize) -> [f64; 3] {
        let solid = self.columns.line(j, k);
        let ends = std::iter::once(f64::NEG_INFINITY).chain(solid.iter().map(|s| s[1]));
        let starts = solid.iter().map(|s| s[0]).chain(std::iter::once(f64::INFINITY));
        let gaps = ends.zip(starts).map(|(from, to)| [from, to]);
        let mut sums = [0.0; 3];
        // A gap starts where it does, whatever part of it lies inside.
        let mut add = |gap: [f64; 2], [from, to]: [f64; 2], length_mm: f64| {
            if length_mm > 0.0 {
                let line = (k * self.lattice.dims[1] + j) as u32;
                let is_closed = self.cavities.hold(line, gap[0]) || closed_at(&self.voids, &self.lattice, 0.5 * (from + to), j, k);
                sums[if is_closed { 2 } else { 1 }] += length_mm;
            }
        };
        let mut inside_mm = 0.0;
        match &self.inside {
            Inside::Region { region, lattice, mesh, .. } => {
                for window in windows(region, mesh.as_ref(), lattice, j, k) {
                    inside_mm += solid.iter().map(|&s| length(common(s, window))).sum::<f64>();
                    gaps.clone().for_each(|gap| add(gap, common(gap, window), length(common(gap, window))));
                }
            }
            Inside::Hull { hull, lattice } => {
                inside_mm = solid.iter().map(|&s| length(s)).sum();
                gaps.for_each(|gap| {
                    let (counted, place) = in_hull(hull, lattice, gap, j, k);
                    add(gap, place, counted);
                });
            }
        }
        sums[0] = inside_mm;
        sums
    }
}

/// How far in front of a facet its void is looked for, in cells.
const BESIDE: [f64; 3] = [0.9, 0.5, 1.4];

/// On one lattice alone.
pub(crate) fn on_lattice(
    mesh: &Mesh,
    bulge: Option<&Bulge>,
    scene: &Scene,
    unresolved: Option<(&Unresolved, Pose)>,
) -> Result<Porosity, Error> {
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
        unresolved: unresolved.map(|(grey, pose)| {
            let kind = |cell| match cell {
                Cell::Solid => 0,
                Cell::Open => 1,
                Cell::Closed => 2,
            };
            let counts: [u64; 3] = grey.count(|p| scene.kind_at(&pose.apply(p)).map(kind));
            let [solid, open, closed] = counts.map(|n| n as f64 * grey.voxel_mm3() / envelope_mm3);
            UnresolvedShares { solid, open, closed, border: grey.relative_border() }
        }),
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
    fn plus(self, share: f64, other: Facing) -> Facing {
        Facing { area_mm2: self.area_mm2 + share * other.area_mm2, beyond_mm3: self.beyond_mm3 + share * other.beyond_mm3 }
    }
}

/// Facets inside the envelope that face open and closed pores.
fn pore_surface(mesh: &Mesh, bulge: Option<&Bulge>, scene: &Scene) -> [Facing; 2] {
    crate::sum::fold(
        mesh.triangles().len(),
        || [Facing::default(); 2],
        |mut facing, t| {
            let [open, closed] = scene.facing(mesh, t);
            if open + closed > 0.0 {
                let own = Facing { area_mm2: 0.5 * mesh.area_vector(t).norm(), beyond_mm3: bulge.map_or(0.0, |b| b.volume_mm3(mesh, t)) };
                facing = [facing[0].plus(open, own), facing[1].plus(closed, own)];
            }
            facing
        },
        |a, b| [a[0].plus(1.0, b[0]), a[1].plus(1.0, b[1])],
    )
}

/// The envelope on a lattice.
enum Inside<'a> {
    Region { region: &'a Region, lattice: Lattice, mesh: Option<Columns>, ends: bool },
    Hull { hull: Mask, lattice: Lattice },
}

impl<'a> Inside<'a> {
    fn of(envelope: &Envelope<'a>, lattice: &Lattice, solid: &Mask, surface: &MeshDistance, rt: &Runtime) -> Result<Inside<'a>, Error> {
        Ok(match envelope {
            Envelope::Region(region) | Envelope::Image(region) => {
                let mesh = if let Region::Mesh(m) = region { Some(Columns::of(m.mesh(), *lattice)) } else { None };
                mesh.iter().try_for_each(|columns| columns.closed("the envelope"))?;
                Inside::Region { region, lattice: *lattice, mesh, ends: matches!(envelope, Envelope::Image(_)) }
            }
            Envelope::Hull { radius_mm } => {
                Inside::Hull { hull: hull::closed_hull(solid, lattice, surface, *radius_mm, rt)?, lattice: *lattice }
            }
        })
    }

    fn holds(&self, p: &Point3<f64>, beside: [usize; 3]) -> bool {
        match self {
            Inside::Region { region, .. } => region.contains(p),
            Inside::Hull { hull, .. } => hull.get(beside[0], beside[1], beside[2]),
        }
    }

    /// Length (mm) inside the envelope of a stretch of void on one line.
    fn length_of(&self, stretch: [f64; 2], j: usize, k: usize) -> f64 {
        match self {
            Inside::Region { region, lattice, mesh, .. } => {
                windows(region, mesh.as_ref(), lattice, j, k).into_iter().map(|window| length(common(stretch, window))).sum()
            }
            Inside::Hull { hull, lattice } => in_hull(hull, lattice, stretch, j, k).0,
        }
    }
}

/// Stretches of a line inside a region, whose lines are known where it is a mesh.
fn windows(region: &Region, mesh: Option<&Columns>, lattice: &Lattice, j: usize, k: usize) -> Vec<[f64; 2]> {
    let chord = || region.chord(lattice.centre(1, j), lattice.centre(2, k));
    mesh.map_or_else(|| chord().into_iter().collect(), |m| m.line(j, k).to_vec())
}

/// Length (mm) of a gap in the hull, and where it lies: a gap that lies in the hull as a whole counts with its exact length, a part of one by its
/// cells.
fn in_hull(hull: &Mask, lattice: &Lattice, gap: [f64; 2], j: usize, k: usize) -> (f64, [f64; 2]) {
    let (first, end) = lattice.cells_in(gap);
    let inside: Vec<usize> = (first..end).filter(|&i| hull.get(i, j, k)).collect();
    if gap[0].is_finite() && gap[1].is_finite() && inside.len() == end - first {
        return (length(gap), gap);
    }
    let at = inside.first().map_or(gap[0], |&i| lattice.centre(0, i));
    (inside.len() as f64 * lattice.step_mm, [at, at])
}

fn common([a, b]: [f64; 2], [from, to]: [f64; 2]) -> [f64; 2] {
    [a.max(from), b.min(to)]
}

fn length([from, to]: [f64; 2]) -> f64 {
    (to - from).max(0.0)
}

/// Whether the lattice says that the void at x on a line is closed. Where its cell's centre lies aside the neighbours along the line decide.
fn closed_at(voids: &Voids, lattice: &Lattice, x: f64, j: usize, k: usize) -> bool {
    let [i, ..] = lattice.cell(&Point3::new(x, 0.0, 0.0));
    let around = [i, i.saturating_sub(1), (i + 1).min(lattice.dims[0] - 1)];
    around.into_iter().map(|i| voids.cell([i, j, k])).find(|c| *c != Cell::Solid) == Some(Cell::Closed)
}
