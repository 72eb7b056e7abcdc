//! Sheet lattices, designed against built: every place of every designed wall looked up in the built part.
//!
//! At each site in the middle of a designed wall (see `sheet`) the built wall is looked for across it, as far as half a wall beyond
//! the designed faces. Where no built material lies on that line the wall is open there. Open sites that touch make a hole, with the bare
//! ones at its rim. Its size is what it takes of the wall's middle: of sites at the rim as much as the built surface's distance leaves bare.
//! Where the wall stands, the ball between its built faces gives its thickness, sub-voxel as the surface is.
//! Accepts closed meshes in the nominal frame. Known bias: blur of σ moves the rim of a hole of radius R in a wall of thickness t by
//! `σ² / 2R` into it, and what a surface takes back for its curvature is that of a rim seen from afar, half a torus; together holes come out
//! about `2 σ² / t` narrower. Known limits: holes narrower than two sites or a cell of the scan are not told; walls displaced by more than
//! their thickness count as open; walls that the scan does not resolve are not measured.
//! Cost: some twenty microseconds a site.

use nalgebra::{Matrix3, Point3, Vector3};
use rayon::prelude::*;

use super::sheet::{BATCH, Sheet, Site};
use super::{FaultLimits, Scan, State};
use crate::distance::MeshDistance;
use crate::error::Error;
use crate::mesh::Bulge;
use crate::pores::wall_at;
use crate::runtime::Runtime;

/// How far from its designed middle a wall is looked for, in thicknesses.
const REACH: f64 = 1.0;
/// How near to an open site a bare one belongs to the hole, in thicknesses.
const RIM: f64 = 0.5;
/// Steps of the search at least: surfaces as near as this to the line are met.
const SEARCH: f64 = 0.02;
/// A built wall is this many designed ones thick; more is a lump.
const WALLS: [f64; 2] = [0.1, 3.0];
/// A cell more of whose walls is open is missing.
const MISSING: f64 = 0.5;
/// Walls more of which lie where the image does not reach are not measured.
pub(crate) const MOST_BEYOND: f64 = 0.5;
/// A cell with less than this share of the typical (median) cell's walls is only a corner of one, of which this is not said.
const CORNER: f64 = 0.1;

/// The wall at a site as built.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen {
    /// Where the image does not reach.
    Beyond,
    /// No material across the wall.
    Open,
    /// Material that is no wall: too thick, or its edge.
    Lump,
    Wall {
        thickness_mm: f64,
        offset_mm: f64,
    },
}

/// A hole through a wall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Break {
    /// The site in its midst.
    pub centre: Point3<f64>,
    /// Of the wall's middle, mm².
    pub area_mm2: f64,
}

impl Break {
    /// Diameter of the round hole of the same area, mm.
    pub fn diameter_mm(&self) -> f64 {
        2.0 * (self.area_mm2 / std::f64::consts::PI).sqrt()
    }
}

/// What a unit cell holds of the walls.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Which cell, counted from the lowest along each lattice vector.
    pub index: [i32; 3],
    pub centre: Point3<f64>,
    pub state: State,
    pub area_mm2: f64,
    pub open_mm2: f64,
    /// Where the image does not reach.
    pub beyond_mm2: f64,
    pub designed_mm: f64,
    /// Mean over what stands; `None` where nothing is measured.
    pub thickness_mm: Option<f64>,
    pub smallest_mm: Option<f64>,
    /// Root mean square distance of the built wall's middle from the designed one.
    pub offset_mm: Option<f64>,
    /// The holes whose midst lies in the cell.
    pub breaks: Vec<usize>,
}

/// Every designed wall as built.
#[derive(Clone, Debug, PartialEq)]
pub struct Walls {
    pub sheet: Sheet,
    pub limits: FaultLimits,
    pub seen: Vec<Seen>,
    /// The largest first.
    pub breaks: Vec<Break>,
    pub blocks: Vec<Block>,
    /// Diameter from which on holes are told, mm.
    pub told_mm: f64,
    /// Why nothing is measured, where nothing is.
    pub unmeasured: Option<String>,
}

/// Looks every designed wall up in the built surface, given in the nominal's frame.
pub(crate) fn walls(
    sheet: &Sheet,
    surface: &MeshDistance,
    bulge: Option<&Bulge>,
    scan: &Scan,
    limits: &FaultLimits,
    rt: &Runtime,
) -> Result<Walls, Error> {
    let unmeasured = (sheet.thickness_mm < scan.resolved_mm).then(|| {
        format!("walls of {:.3} mm are thinner than the {:.3} mm that the scan resolves: scan finer", sheet.thickness_mm, scan.resolved_mm)
    });
    let mut all: Vec<Looked> = Vec::with_capacity(sheet.sites.len());
    for batch in sheet.sites.chunks(BATCH) {
        rt.step("walls", 0.5 + 0.5 * all.len() as f64 / sheet.sites.len() as f64)?;
        let shown = |site: &Site| scan.view.is_none_or(|view| view.shows(&site.middle, 0.5 * site.thickness_mm));
        let look = |site: &Site| if shown(site) { seen(site, surface, bulge) } else { Looked::BEYOND };
        all.extend(batch.par_iter().map(look).collect::<Vec<_>>());
    }
    let seen = with_rims(sheet, &all);
    let told_mm = limits.gap_mm.max(scan.cell_mm).max(2.0 * sheet.step_mm);
    let breaks = if unmeasured.is_some() { vec![] } else { breaks(sheet, &all, &seen, told_mm) };
    let mut walls = Walls { sheet: sheet.clone(), limits: *limits, seen, breaks, blocks: vec![], told_mm, unmeasured };
    walls.blocks = blocks(&walls);
    Ok(walls)
}

/// What is seen at a site, and how far its very place is from material (mm); in material, from where it ends, negative.
struct Looked {
    seen: Seen,
    room_mm: f64,
}

impl Looked {
    const BEYOND: Looked = Looked { seen: Seen::Beyond, room_mm: f64::NEG_INFINITY };

    /// How much of a site of this area lies bare, if the rim of the material is straight there.
    fn bare_mm2(&self, area_mm2: f64) -> f64 {
        area_mm2 * (0.5 + self.room_mm / area_mm2.sqrt()).clamp(0.0, 1.0)
    }
}

fn seen(site: &Site, surface: &MeshDistance, bulge: Option<&Bulge>) -> Looked {
    let here = surface.signed(&site.middle);
    // Chords across the hollow rim of a hole narrow it.
    let room_mm = here.distance_mm - bulge.map_or(0.0, |b| b.height_mm(surface.mesh(), here.triangle as usize, &here.point));
    let face = if here.distance_mm > 0.0 { face(site, here.distance_mm, surface) } else { Some((here.point, here.normal)) };
    let Some((face, outward)) = face else { return Looked { seen: Seen::Open, room_mm } };
    let seen = match wall_at(surface, bulge, &face, &outward, WALLS.map(|w| w * site.thickness_mm)) {
        Some(wall) => Seen::Wall { thickness_mm: wall.thickness_mm, offset_mm: (wall.centre - site.middle).dot(&site.normal) },
        None => Seen::Lump,
    };
    Looked { seen, room_mm }
}

/// What is seen, holes out to their rims: across a curved wall the line near a rim leans over it, so that a bare site near an open one is
/// open too.
fn with_rims(sheet: &Sheet, looked: &[Looked]) -> Vec<Seen> {
    let mut seen: Vec<Seen> = looked.iter().map(|l| l.seen).collect();
    let mut front: Vec<usize> = (0..seen.len()).filter(|&n| seen[n] == Seen::Open).collect();
    for _ in 0..(RIM * sheet.thickness_mm / sheet.step_mm).ceil() as usize {
        let mut next = vec![];
        for n in front.iter().flat_map(|&n| around(sheet, n)) {
            if looked[n].room_mm > 0.0 && seen[n] != Seen::Open {
                seen[n] = Seen::Open;
                next.push(n);
            }
        }
        front = next;
    }
    seen
}

/// A site and those in the cells of the sites' grid around its own.
fn around(sheet: &Sheet, site: usize) -> impl Iterator<Item = usize> {
    let key = sheet.sites[site].key;
    let beside = (0..27).map(move |n| [key[0] + n % 3 - 1, key[1] + n / 3 % 3 - 1, key[2] + n / 9 - 1]);
    // Sites are in the order of their keys.
    beside.filter_map(|key| sheet.sites.binary_search_by(|s| s.key.cmp(&key)).ok())
}

/// A point of the built surface at the material that lies nearest across the wall to a site with so much room about it.
fn face(site: &Site, room_mm: f64, surface: &MeshDistance) -> Option<(Point3<f64>, Vector3<f64>)> {
    let reach = REACH * site.thickness_mm;
    let along = |sign: f64| {
        let mut x = room_mm;
        while x <= reach {
            let there = surface.signed(&(site.middle + site.normal * (sign * x)));
            if there.distance_mm <= 0.0 {
                return Some((x, (there.point, there.normal)));
            }
            x += there.distance_mm.max(SEARCH * site.thickness_mm);
        }
        None
    };
    let found = [along(1.0), along(-1.0)].into_iter().flatten();
    found.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, face)| face)
}

/// Holes of at least a diameter: open sites of neighbouring cells of the sites' grid, each with as much of it and of those that stand around
/// as lies bare.
fn breaks(sheet: &Sheet, looked: &[Looked], seen: &[Seen], told_mm: f64) -> Vec<Break> {
    let mut taken = vec![false; seen.len()];
    let mut found = vec![];
    for first in 0..seen.len() {
        if seen[first] != Seen::Open || taken[first] {
            continue;
        }
        taken[first] = true;
        let (mut stack, mut members) = (vec![first], vec![]);
        while let Some(at) = stack.pop() {
            members.push(at);
            if seen[at] != Seen::Open {
                continue;
            }
            for next in around(sheet, at).filter(|&n| !std::mem::replace(&mut taken[n], true)) {
                stack.push(next);
            }
        }
        members.sort_unstable();
        let bare = |m: usize| looked[m].bare_mm2(sheet.sites[m].area_mm2);
        let middle = |m: usize| sheet.sites[m].middle;
        let area_mm2: f64 = members.iter().map(|&m| bare(m)).sum();
        let mean = members.iter().fold(Vector3::zeros(), |s, &m| s + middle(m).coords * bare(m)) / area_mm2;
        let far = |m: usize| (middle(m).coords - mean).norm_squared();
        let open = members.iter().copied().filter(|&m| seen[m] == Seen::Open);
        let midst = open.min_by(|&a, &b| far(a).total_cmp(&far(b)).then(a.cmp(&b))).unwrap_or(first);
        found.push(Break { centre: middle(midst), area_mm2 });
    }
    found.retain(|b| b.diameter_mm() >= told_mm);
    found.sort_by(|a, b| b.area_mm2.total_cmp(&a.area_mm2));
    found
}

/// Sums over the walls of a cell, weighted by area.
#[derive(Clone, Default)]
struct Sums {
    area: f64,
    open: f64,
    beyond: f64,
    designed: f64,
    standing: f64,
    thickness: f64,
    squares: f64,
    smallest: Option<f64>,
}

impl Sums {
    fn add(&mut self, site: &Site, seen: &Seen) {
        self.area += site.area_mm2;
        self.designed += site.area_mm2 * site.thickness_mm;
        match seen {
            Seen::Open => self.open += site.area_mm2,
            Seen::Beyond => self.beyond += site.area_mm2,
            Seen::Lump => {}
            Seen::Wall { thickness_mm, offset_mm } => {
                self.standing += site.area_mm2;
                self.thickness += site.area_mm2 * thickness_mm;
                self.squares += site.area_mm2 * offset_mm * offset_mm;
                self.smallest = Some(self.smallest.map_or(*thickness_mm, |s| s.min(*thickness_mm)));
            }
        }
    }
}

/// The unit cells that hold walls, in the order of their numbers.
fn blocks(walls: &Walls) -> Vec<Block> {
    let Walls { sheet, seen, breaks, limits, .. } = walls;
    let to_mm = Matrix3::from_columns(&sheet.cell.vectors);
    let Some(to_cell) = to_mm.try_inverse() else { return vec![] };
    let low = sheet.sites.iter().map(|s| to_cell * s.middle.coords).fold(Vector3::repeat(f64::INFINITY), |l, u| l.inf(&u));
    let index = |p: &Point3<f64>| <[i32; 3]>::from((to_cell * p.coords - low).map(|x| x.floor() as i32));
    let mut cells = std::collections::BTreeMap::<[i32; 3], (Sums, Vec<usize>)>::new();
    for (site, seen) in sheet.sites.iter().zip(seen) {
        cells.entry(index(&site.middle)).or_default().0.add(site, seen);
    }
    for (n, found) in breaks.iter().enumerate() {
        cells.entry(index(&found.centre)).or_default().1.push(n);
    }
    let mut areas: Vec<f64> = cells.values().map(|(sums, _)| sums.area).collect();
    areas.sort_unstable_by(f64::total_cmp);
    let corner_mm2 = CORNER * areas.get(areas.len() / 2).copied().unwrap_or(0.0);
    let block = |(index, (sums, breaks)): ([i32; 3], (Sums, Vec<usize>))| {
        let whole = sums.area > corner_mm2;
        let designed_mm = sums.designed / sums.area;
        let stands = sums.standing > 0.0 && walls.unmeasured.is_none();
        let of = |x: f64| stands.then_some(x / sums.standing);
        let thickness_mm = of(sums.thickness);
        let state = match thickness_mm {
            _ if walls.unmeasured.is_some() => State::Unmeasured,
            _ if whole && sums.open > MISSING * sums.area => State::Missing,
            _ if !breaks.is_empty() => State::Broken,
            _ if sums.beyond > MOST_BEYOND * sums.area => State::Unmeasured,
            Some(t) if whole && t < limits.thin * designed_mm => State::Thin,
            Some(_) => State::Present,
            None => State::Unmeasured,
        };
        Block {
            index,
            centre: Point3::from(to_mm * (low + Vector3::from(index.map(f64::from)).add_scalar(0.5))),
            state,
            area_mm2: sums.area,
            open_mm2: sums.open,
            beyond_mm2: sums.beyond,
            designed_mm,
            thickness_mm,
            smallest_mm: sums.smallest.filter(|_| stands),
            offset_mm: of(sums.squares).map(f64::sqrt),
            breaks,
        }
    };
    cells.into_iter().map(block).collect()
}

impl Walls {
    /// Mean thickness over the middles of the walls: designed, and built where they stand, mm.
    pub fn mean_mm(&self) -> (f64, Option<f64>) {
        let mut sums = Sums::default();
        self.sheet.sites.iter().zip(&self.seen).for_each(|(site, seen)| sums.add(site, seen));
        let built = (sums.standing > 0.0 && self.unmeasured.is_none()).then(|| sums.thickness / sums.standing);
        (sums.designed / sums.area, built)
    }

    /// The share of some of the walls that lies where the image does not reach, by their middles.
    pub fn share_beyond(&self, of: impl Fn(&Point3<f64>) -> bool) -> f64 {
        let mut sums = Sums::default();
        let chosen = self.sheet.sites.iter().zip(&self.seen).filter(|(site, _)| of(&site.middle));
        chosen.for_each(|(site, seen)| sums.add(site, seen));
        if sums.area > 0.0 { sums.beyond / sums.area } else { 0.0 }
    }

    /// Cells in a state, ascending.
    pub fn in_state(&self, state: State) -> Vec<usize> {
        (0..self.blocks.len()).filter(|&b| self.blocks[b].state == state).collect()
    }

    /// For every vertex of the nominal by how much its wall is thinner (−) or thicker (+) than designed, mm: the whole thickness where it
    /// is open. NaN on what is no wall, or not measured.
    pub(super) fn shortfall_mm(&self) -> Vec<f64> {
        let of = |&site: &u32| match (self.sheet.sites.get(site as usize), self.seen.get(site as usize)) {
            _ if self.unmeasured.is_some() => f64::NAN,
            (Some(site), Some(Seen::Open)) => -site.thickness_mm,
            (Some(site), Some(Seen::Wall { thickness_mm, .. })) => thickness_mm - site.thickness_mm,
            _ => f64::NAN,
        };
        self.sheet.site_of_vertex.iter().map(of).collect()
    }
}
