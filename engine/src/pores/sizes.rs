//! Pore size and wall thickness as distributions over the volume.

use std::collections::BTreeMap;

use nalgebra::Point3;
use rayon::prelude::*;

use super::Surface;
use super::grow::{Ball, Grown, Reach, grown_from};
use super::thinnest::{Noise, Thinnest, thinnest};
use crate::error::Error;
use crate::kernels::{self, Border, distance_transform, first_ball, spread_balls};
use crate::porosity::Scene;
use crate::runtime::Runtime;
use crate::solid::Lattice;
use crate::volume::Mask;

/// What is measured inside the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Pores,
    Walls,
}

/// Local diameters of equal shares of a volume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sizes {
    /// Diameter (mm), ascending, and cells of the lattice that have it.
    classes: Vec<(f64, u64)>,
    /// Of walls: where they are thinnest.
    pub thinnest: Option<Thinnest>,
}

impl Sizes {
    fn of(mut classes: Vec<(f64, u64)>, thinnest: Option<Thinnest>) -> Sizes {
        classes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Sizes { classes, thinnest }
    }

    /// Cells measured.
    pub fn cells(&self) -> u64 {
        self.classes.iter().map(|c| c.1).sum()
    }

    pub fn mean_mm(&self) -> f64 {
        self.classes.iter().map(|(d, n)| d * *n as f64).sum::<f64>() / self.cells() as f64
    }

    pub fn sd_mm(&self) -> f64 {
        let mean = self.mean_mm();
        let squares: f64 = self.classes.iter().map(|(d, n)| (d - mean) * (d - mean) * *n as f64).sum();
        (squares / self.cells() as f64).sqrt()
    }

    /// The diameter that this share of the volume does not exceed.
    pub fn quantile_mm(&self, share: f64) -> f64 {
        let wanted = share * self.cells() as f64;
        let mut below = 0;
        let found = self.classes.iter().find(|(_, n)| {
            below += n;
            below as f64 >= wanted
        });
        found.or(self.classes.last()).map_or(f64::NAN, |c| c.0)
    }

    /// The share of the volume whose diameter is less than this.
    pub fn share_below(&self, diameter_mm: f64) -> f64 {
        let below: u64 = self.classes.iter().take_while(|(d, _)| *d < diameter_mm).map(|c| c.1).sum();
        below as f64 / self.cells() as f64
    }

    /// The share of the volume whose diameter lies within limits, both included.
    pub fn share_within(&self, [low, high]: [f64; 2]) -> f64 {
        let within: u64 = self.classes.iter().filter(|(d, _)| (low..=high).contains(d)).map(|c| c.1).sum();
        within as f64 / self.cells() as f64
    }
}

/// Balls stand this many distances squared over twice the radius short of the surface that they all touch.
const GAP: f64 = 0.75;

/// How far short of the surface that they all touch balls of a radius stay between them that stand so far apart; half a cell at most.
fn short_mm(radius_mm: f64, apart_mm: f64, step_mm: f64) -> f64 {
    (0.5 * GAP * apart_mm * apart_mm / radius_mm.max(1e-300)).min(0.5 * step_mm)
}

/// Cells between the starts of balls of a squared radius in cells, at most half of its root: so the hull of the balls stays less than a
/// tenth of a cell short of the surface however large they are.
fn apart(square: u32) -> usize {
    ((0.25 * f64::from(square).sqrt()).sqrt() as usize).max(1)
}

/// Bytes held for a ball, from where it starts to what it is painted as.
const BYTES_PER_BALL: u64 = 128;

/// The local diameters of a phase inside the envelope.
pub(crate) fn sizes(scene: &Scene, surface: Surface, noise: Noise, rt: &Runtime) -> Result<Sizes, Error> {
    let (lattice, envelope) = (&scene.lattice, scene.envelope());
    let body = if surface.phase == Phase::Walls { scene.solid.clone() } else { scene.solid.complement() };
    let counted = body.and(&envelope)?;
    drop(envelope);
    if counted.count() == 0 || scene.solid.count() == 0 {
        return Ok(Sizes::default());
    }
    let mut squares = distance_transform(&body, Border::Unknown, rt)?;
    // Where balls start.
    let stands = if surface.phase == Phase::Pores {
        keep_only(&mut squares, &counted);
        &counted
    } else {
        &body
    };
    let centres = spread_balls(&squares, lattice.dims, 1, apart, rt)?;
    drop(squares);
    rt.step("local thickness", 0.2)?;
    let starts: usize = centres.iter().map(Vec::len).sum();
    scene.afford_beside(&format!("{starts} balls"), BYTES_PER_BALL * starts as u64, rt)?;
    let mut balls: Vec<Ball> = grown_all(&centres, stands, lattice, surface, rt)?;
    drop(centres);
    balls.sort_by(|a, b| b.radius_mm.total_cmp(&a.radius_mm));
    let painted: Vec<kernels::Ball> = balls.iter().map(|b| painted(b, lattice)).collect();
    let numbers = first_ball(&counted, [lattice.step_mm; 3], &painted, rt)?;
    drop(painted);

    let mut cells = vec![0u64; balls.len() + 1];
    numbers.iter().for_each(|&n| cells[n as usize] += 1);
    let held = balls.iter().zip(&cells[1..]).filter(|(_, n)| **n > 0);
    let mut classes: Vec<(f64, u64)> = held.clone().map(|(b, &n)| (2.0 * b.radius_mm, n)).collect();
    let thinnest = if surface.phase == Phase::Walls { thinnest(held.map(|(b, _)| b), noise)? } else { None };
    // Cells in corners finer than the lattice: each has at least the ball that grows from it.
    let grow_mm = balls.first().map_or(0.0, |largest| largest.radius_mm).max(Reach::apart(lattice.step_mm).grow_mm);
    drop(balls);
    classes.extend(left_over(&counted, &numbers, stands, lattice, surface, grow_mm, rt)?.into_iter().map(|radius| (2.0 * radius, 1)));
    Ok(Sizes::of(classes, thinnest))
}

/// Sets the values of cells outside a mask to 0.
pub(super) fn keep_only(values: &mut [u32], mask: &Mask) {
    let [nx, ny, _] = mask.dims();
    values.par_chunks_mut(nx).enumerate().for_each(|(row, values)| {
        values.iter_mut().enumerate().filter(|(i, _)| !mask.get(*i, row % ny, row / ny)).for_each(|(_, v)| *v = 0);
    });
}

/// Slices whose balls grow side by side: thick enough for neighbours, and few enough for what becomes of them to be held.
const SIDE_BY_SIDE: usize = 8;

/// What the balls grow to: those that meet the surface again, and those that would leave what balls start from, up to there; the rest lies in
/// larger ones.
fn grown_all(
    centres: &[Vec<kernels::Centre>],
    stands: &Mask,
    lattice: &Lattice,
    surface: Surface,
    rt: &Runtime,
) -> Result<Vec<Ball>, Error> {
    let (nx, step) = (lattice.dims[0], lattice.step_mm);
    let within = |p: &Point3<f64>| lattice.is_in(p, stands);
    let in_slices = |(task, slices): (usize, &[Vec<kernels::Centre>])| -> Result<Vec<Ball>, Error> {
        let first = task * SIDE_BY_SIDE;
        rt.step("balls", first as f64 / lattice.dims[2] as f64)?;
        let mut starts: BTreeMap<usize, Vec<Point3<f64>>> = BTreeMap::new();
        for (k, slice) in slices.iter().enumerate() {
            for &(place, square) in slice {
                let place = place as usize;
                starts.entry(apart(square)).or_default().push(lattice.centre_of([place % nx, place / nx, first + k]));
            }
        }
        let mut balls = vec![];
        for (cells, starts) in starts {
            let found = grown_from(surface, &starts, Reach::apart(cells as f64 * step));
            for (start, grown) in starts.iter().zip(found).filter_map(|(start, g)| Some((start, g?))) {
                if !within(&grown.ball.centre) {
                    balls.push(held_back(grown.ball, start, 0.5 * step, within));
                } else if grown.met {
                    balls.extend(grown.climbed.into_iter().filter(|b| within(&b.centre)).chain([grown.ball]));
                }
            }
        }
        Ok(balls)
    };
    let parts: Vec<Vec<Ball>> = centres.par_chunks(SIDE_BY_SIDE).enumerate().map(in_slices).collect::<Result<_, _>>()?;
    let mut all = Vec::with_capacity(parts.iter().map(Vec::len).sum());
    parts.into_iter().for_each(|balls| all.extend(balls));
    Ok(all)
}

/// A ball whose centre is within; one that left on its way from its start, in steps of at most so much, where its centre was last within.
pub(super) fn held_back(ball: Ball, start: &Point3<f64>, step_mm: f64, within: impl Fn(&Point3<f64>) -> bool) -> Ball {
    if within(&ball.centre) {
        return ball;
    }
    let way = ball.centre - start;
    let steps = (way.norm() / step_mm).ceil();
    let share = (0..steps as u32).rev().map(|n| f64::from(n) / steps).find(|share| within(&(start + way * *share))).unwrap_or(0.0);
    Ball { centre: start + way * share, radius_mm: ball.radius_mm - way.norm() * (1.0 - share), across: None }
}

/// A ball as it is painted: wider by what neighbouring balls leave between them at the surface.
fn painted(ball: &Ball, lattice: &Lattice) -> kernels::Ball {
    let step = lattice.step_mm;
    let cells = ball.radius_mm / step;
    let apart_mm = apart((cells * cells) as u32) as f64 * step;
    let reach = ball.radius_mm + short_mm(ball.radius_mm, apart_mm, step);
    let centre_mm = [0, 1, 2].map(|a| ball.centre[a] - lattice.centre(a, 0));
    kernels::Ball { centre_mm, square_mm2: reach * reach }
}

/// Radii of the balls that grow from the cells that no ball holds, as far as their centres stay in what balls start from. One that meets nothing says
/// nothing of the phase: it stays the ball about its start.
fn left_over(
    counted: &Mask,
    numbers: &[u32],
    stands: &Mask,
    lattice: &Lattice,
    surface: Surface,
    grow_mm: f64,
    rt: &Runtime,
) -> Result<Vec<f64>, Error> {
    let [nx, ny, nz] = lattice.dims;
    let reach = Reach { grow_mm, climb_mm: None };
    let within = |p: &Point3<f64>| lattice.is_in(p, stands);
    let radius = |(start, grown): (&Point3<f64>, Option<Grown>)| match grown {
        None => 0.0,
        Some(Grown { ball, met: false, .. }) => held_back(ball, start, f64::INFINITY, |_| false).radius_mm,
        Some(Grown { ball, .. }) => held_back(ball, start, 0.5 * lattice.step_mm, within).radius_mm,
    };
    let in_slice = |k: usize| -> Result<Vec<f64>, Error> {
        rt.step("corners", k as f64 / nz as f64)?;
        let cells = (0..ny).flat_map(|j| (0..nx).map(move |i| (i, j)));
        let left = cells.filter(|&(i, j)| numbers[(k * ny + j) * nx + i] == 0 && counted.get(i, j, k));
        let starts: Vec<Point3<f64>> = left.map(|(i, j)| lattice.centre_of([i, j, k])).collect();
        let found = grown_from(surface, &starts, reach);
        Ok(starts.iter().zip(found).map(radius).collect())
    };
    let slices: Vec<Vec<f64>> = (0..nz).into_par_iter().map(in_slice).collect::<Result<_, _>>()?;
    Ok(slices.concat())
}
