//! A closed surface as intervals on a lattice of parallel lines: lengths inside are exact along the lines, so that volumes
//! follow the sub-voxel surface, and the lattice's voxels tell which voids hang together.
//!
//! Lines run along x through the centres of the cells of a cubic lattice in the nominal frame. Inside is where the winding
//! number is positive, so shells may overlap. The lattice is shifted by an irrational fraction of a cell against the
//! surface's coordinates: no line meets a vertex or an edge of a designed part.

use nalgebra::Point3;
use rayon::prelude::*;

use crate::error::Error;
use crate::frame::Bounds;
use crate::kernels::{Components, Connectivity, components};
use crate::mesh::Mesh;
use crate::runtime::Runtime;
use crate::volume::Mask;

/// Cubic cells covering given bounds with at least one cell to spare on every side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lattice {
    pub origin: Point3<f64>,
    pub step_mm: f64,
    pub dims: [usize; 3],
}

/// Fractions of a cell by which the two lattices of a measurement are shifted.
pub const PHASES: [f64; 2] = [0.137_254_9, 0.637_254_9];

impl Lattice {
    pub fn covering(bounds: &Bounds, step_mm: f64, phase: f64) -> Lattice {
        let origin = bounds.min.map(|x| x - (1.0 + phase) * step_mm);
        let dims = [0, 1, 2].map(|a| ((bounds.max[a] - origin[a]) / step_mm).ceil() as usize + 2);
        Lattice { origin, step_mm, dims }
    }

    /// Coordinate of the centre of cell `i` along an axis.
    pub fn centre(&self, axis: usize, i: usize) -> f64 {
        self.origin[axis] + (i as f64 + 0.5) * self.step_mm
    }

    /// The centre of a cell.
    pub fn centre_of(&self, cell: [usize; 3]) -> Point3<f64> {
        Point3::from([0, 1, 2].map(|a| self.centre(a, cell[a])))
    }

    /// The cell that holds a point, clamped to the lattice.
    pub fn cell(&self, p: &Point3<f64>) -> [usize; 3] {
        [0, 1, 2].map(|a| (((p[a] - self.origin[a]) / self.step_mm).floor().max(0.0) as usize).min(self.dims[a] - 1))
    }

    /// Whether the cell that holds a point is one of some.
    pub fn is_in(&self, p: &Point3<f64>, cells: &Mask) -> bool {
        let [i, j, k] = self.cell(p);
        cells.get(i, j, k)
    }

    /// Cells of a row whose centres lie in an interval of x: first and one past the last.
    pub fn cells_in(&self, [from, to]: [f64; 2]) -> (usize, usize) {
        let first = |x: f64| ((x - self.origin.x) / self.step_mm - 0.5).ceil().clamp(0.0, self.dims[0] as f64) as usize;
        (first(from), first(to))
    }
}

/// More lines than this share on which a surface does not close, and nothing is measured.
const MOST_BROKEN: f64 = 1e-3;

/// Where the lines of a lattice run inside a closed surface.
pub struct Columns {
    pub lattice: Lattice,
    /// Intervals of line `k * dims[1] + j` are `intervals[starts[line]..starts[line + 1]]`.
    starts: Vec<usize>,
    intervals: Vec<[f64; 2]>,
    /// Lines on which the surface does not close; they are taken as empty.
    pub broken: usize,
}

impl Columns {
    pub fn of(mesh: &Mesh, lattice: Lattice) -> Columns {
        let mut crossings: Vec<(u32, f64, i8)> =
            (0..mesh.triangles().len()).into_par_iter().flat_map_iter(|t| crossings_of(mesh, t, &lattice)).collect();
        // A total order, leaving first at the same place: the intervals are the same for every order of the triangles.
        crossings.par_sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        let lines = lattice.dims[1] * lattice.dims[2];
        let (mut starts, mut intervals, mut broken) = (Vec::with_capacity(lines + 1), Vec::new(), 0);
        let mut rest = crossings.as_slice();
        for line in 0..lines as u32 {
            starts.push(intervals.len());
            let own = rest.partition_point(|c| c.0 == line);
            let (mine, others) = rest.split_at(own);
            rest = others;
            let before = intervals.len();
            if !collect_intervals(mine, &mut intervals) {
                intervals.truncate(before);
                broken += 1;
            }
        }
        starts.push(intervals.len());
        Columns { lattice, starts, intervals, broken }
    }

    /// Errors: more lines than [`MOST_BROKEN`] on which the surface does not close.
    pub fn closed(&self, what: &str) -> Result<(), Error> {
        let lines = self.starts.len() - 1;
        let message = || format!("{what} does not close on {} of {lines} lines through it: close the mesh", self.broken);
        if self.broken as f64 > MOST_BROKEN * lines as f64 { Err(Error::input("mesh.open", message())) } else { Ok(()) }
    }

    /// Intervals inside, ascending and disjoint, on the line through cells (·, j, k).
    pub fn line(&self, j: usize, k: usize) -> &[[f64; 2]] {
        let line = k * self.lattice.dims[1] + j;
        &self.intervals[self.starts[line]..self.starts[line + 1]]
    }

    /// The cells whose centres lie inside.
    pub fn mask(&self) -> Result<Mask, Error> {
        let [nx, ny, nz] = self.lattice.dims;
        let per_row = nx.div_ceil(64);
        let mut words = vec![0u64; per_row * ny * nz];
        words.par_chunks_mut(per_row).enumerate().for_each(|(line, row)| {
            for &interval in self.line(line % ny, line / ny) {
                let (from, to) = self.lattice.cells_in(interval);
                (from..to).for_each(|i| row[i / 64] |= 1 << (i % 64));
            }
        });
        Mask::of_rows(self.lattice.dims, words)
    }
}

/// Where the lines of a lattice run through a void that facets of a solid enclose: line and stretch, ascending, with the bits that the solid's own
/// intervals have at their ends. `None` where the facets do not close.
pub(crate) fn stretches_within(mesh: &Mesh, facets: &[u32], lattice: &Lattice) -> Option<Vec<(u32, [f64; 2])>> {
    // What leaves the solid enters the void.
    let entering = |(line, x, sign): (u32, f64, i8)| (line, x, -sign);
    let mut crossings: Vec<_> = facets.iter().flat_map(|&t| crossings_of(mesh, t as usize, lattice)).map(entering).collect();
    crossings.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
    let (mut all, mut stretches) = (vec![], vec![]);
    for own in crossings.chunk_by(|a, b| a.0 == b.0) {
        if !collect_intervals(own, &mut stretches) {
            return None;
        }
        all.extend(stretches.drain(..).map(|stretch| (own[0].0, stretch)));
    }
    Some(all)
}

/// Appends the stretches of positive winding number; false where the winding number does not return to zero.
fn collect_intervals(crossings: &[(u32, f64, i8)], intervals: &mut Vec<[f64; 2]>) -> bool {
    let (mut winding, mut entered) = (0i32, 0.0);
    for &(_, x, sign) in crossings {
        let before = winding;
        winding += i32::from(sign);
        if before <= 0 && winding > 0 {
            entered = x;
        } else if before > 0 && winding <= 0 && x > entered {
            intervals.push([entered, x]);
        }
    }
    winding == 0
}

/// Crossings of one triangle with the lattice's lines: line, x, +1 where a line along +x enters the body.
fn crossings_of(mesh: &Mesh, t: usize, lattice: &Lattice) -> Vec<(u32, f64, i8)> {
    let ids = mesh.triangles()[t];
    let corners = mesh.corners(t);
    let n = mesh.area_vector(t);
    if n.x == 0.0 {
        return vec![];
    }
    let range = |axis: usize| {
        let low = corners.iter().map(|p| p[axis]).fold(f64::INFINITY, f64::min);
        let high = corners.iter().map(|p| p[axis]).fold(f64::NEG_INFINITY, f64::max);
        let cell = |x: f64| ((x - lattice.origin[axis]) / lattice.step_mm - 0.5).ceil().clamp(0.0, lattice.dims[axis] as f64) as usize;
        cell(low)..cell(high)
    };
    let mut found = Vec::new();
    for k in range(2) {
        for j in range(1) {
            let (y, z) = (lattice.centre(1, j), lattice.centre(2, k));
            let inside = (0..3).all(|e| {
                let (a, b) = (e, (e + 1) % 3);
                // Each edge is judged in the direction of its vertex numbers, so its two triangles agree on every line.
                let forward = ids[a] < ids[b];
                let (p, q) = if forward { (corners[a], corners[b]) } else { (corners[b], corners[a]) };
                let left = (q.y - p.y) * (z - p.z) - (q.z - p.z) * (y - p.y) >= 0.0;
                (left == forward) == (n.x > 0.0)
            });
            if inside {
                let x = corners[0].x - (n.y * (y - corners[0].y) + n.z * (z - corners[0].z)) / n.x;
                let low = corners.iter().map(|p| p.x).fold(f64::INFINITY, f64::min);
                let high = corners.iter().map(|p| p.x).fold(f64::NEG_INFINITY, f64::max);
                found.push(((k * lattice.dims[1] + j) as u32, x.clamp(low, high), if n.x < 0.0 { 1 } else { -1 }));
            }
        }
    }
    found
}

/// The voids of a solid: which cells hang together with the outside (6-connectivity), which are closed.
pub struct Voids {
    components: Components,
    outside: u32,
}

/// What a cell of the lattice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Solid,
    Open,
    Closed,
}

impl Voids {
    pub fn of(solid: &Mask, rt: &Runtime) -> Result<Voids, Error> {
        let components = components(&solid.complement(), Connectivity::Faces6, rt)?;
        // The lattice has a cell to spare on every side, so its first cell is outside.
        let outside = components.label_of(0, 0, 0);
        Ok(Voids { components, outside })
    }

    /// The voids by their labels, the outside among them.
    pub fn components(&self) -> &Components {
        &self.components
    }

    /// Label of what lies outside the part.
    pub fn outside(&self) -> u32 {
        self.outside
    }

    pub fn cell(&self, [i, j, k]: [usize; 3]) -> Cell {
        match self.components.label_of(i, j, k) {
            0 => Cell::Solid,
            label if label == self.outside => Cell::Open,
            _ => Cell::Closed,
        }
    }
}
