//! Local thickness: for each voxel of a mask the largest ball inside the mask that holds it (Hildebrand & Rüegsegger 1997).
//!
//! A ball is the voxels nearer to its centre, a voxel's, than the nearest background voxel is: `|x - c|² < d²(c)`, in integers
//! and exact. Balls that lie in the ball of one of the centre's 26 neighbours are left out: whether all voxels of one ball
//! lie in the other is looked up by the squared radius (Rémy & Thiel 2005), beyond the table by comparing the spheres. The
//! larger ball may be left out as well, but radii grow along such a chain, so every voxel still lies in its largest ball.
//! What is left is painted from the largest ball down, row by row, every voxel once.
//!
//! Known bias: that of counting voxels, up to a voxel of the diameter. Cost: 4 bytes a voxel, in which distances become
//! thicknesses, a bit, and 8 bytes for each ball that is left; time is the balls' rows. Unequal spacing takes 20 bytes. The GPU raises each
//! voxel to the largest ball that reaches it, in any order, with 16 bytes a ball on the host; it does equal spacing alone.

use rayon::prelude::*;

use super::canvas::{Canvas, SLICES};
use super::{Border, distance_transform, distance_transform_mm2};
use crate::Error;
use crate::gpu::Gpu;
use crate::runtime::Runtime;
use crate::volume::{Mask, bits_between};

/// Squared radius in voxels of the largest ball that holds each voxel; 0 outside the mask, [`super::NO_BACKGROUND`] where
/// there is no background at all. Errors: those of the distance transform.
pub fn local_thickness(mask: &Mask, border: Border, rt: &Runtime) -> Result<Vec<u32>, Error> {
    let mut squares = distance_transform(mask, border, rt)?;
    if squares.first() == Some(&super::NO_BACKGROUND) {
        return Ok(squares);
    }
    let [nx, ny, nz] = mask.dims();
    let centres = maximal_balls(&squares, mask.dims(), 2, rt)?;
    let roots = Roots::up_to(squares.par_iter().copied().max().unwrap_or(0));
    if rt.on_gpu("local thickness", |gpu| on_gpu(&mut squares, &centres, mask.dims(), gpu, rt))?.is_some() {
        return Ok(squares);
    }
    // Whatever a device left is written over; where nothing is painted, the distance is that of the voxel itself.
    let painted = std::sync::atomic::AtomicUsize::new(0);
    squares.par_chunks_mut(SLICES * nx * ny).enumerate().try_for_each(|(slab, values)| {
        let done = painted.fetch_add(SLICES, std::sync::atomic::Ordering::Relaxed);
        rt.step("local thickness", done as f64 / nz as f64)?;
        paint(&mut Canvas::new(mask, slab * SLICES, values), &centres, mask.dims(), &roots);
        Ok::<(), Error>(())
    })?;
    Ok(squares)
}

/// Turns distances into thicknesses slab by slab: every ball's slices raise what they hold.
fn on_gpu(squares: &mut [u32], centres: &[Vec<Centre>], [nx, ny, nz]: [usize; 3], gpu: &Gpu, rt: &Runtime) -> Result<(), Error> {
    let program = gpu.program("local_thickness", include_str!("../../../shaders/local_thickness.wgsl"), "main")?;
    let words = gpu.slab_bytes() / 4;
    let tall = |ball: &[u32; 4]| isqrt(ball[3] - 1) as usize;
    let of_slice = |(k, slice): (usize, &Vec<Centre>)| -> Vec<[u32; 4]> {
        slice.iter().map(|&(place, square)| [place % nx as u32, place / nx as u32, k as u32, square]).collect()
    };
    let mut balls: Vec<[u32; 4]> = centres.iter().enumerate().flat_map(of_slice).collect();
    balls.sort_by_key(tall);
    let slices = (words / (nx * ny)).max(1);
    for (slab, values) in squares.chunks_mut(slices * nx * ny).enumerate() {
        let (first, held) = (slab * slices, values.len() / (nx * ny));
        rt.step("local thickness", first as f64 / nz as f64)?;
        let there = gpu.upload("distances of a slab", values)?;
        for group in balls.chunk_by(|a, b| tall(a) == tall(b)) {
            let tall = tall(&group[0]);
            let reaches = |ball: &&[u32; 4]| (ball[2] as usize) < first + held + tall && ball[2] as usize + tall >= first;
            let reaching: Vec<[u32; 4]> = group.iter().filter(reaches).copied().collect();
            let items = 2 * tall + 1; // of a ball
            for part in reaching.chunks((words / 4).min((u32::MAX / 2) as usize / items)) {
                let part_there = gpu.upload("balls", part)?;
                let parameters = [nx, ny, first, held, tall].map(|n| n as u32);
                gpu.run(&program, &parameters, &[&part_there, &there], part.len() * items)?;
            }
        }
        gpu.read(&there, values)?;
    }
    Ok(())
}

/// Centre of a ball within its slice, and its squared radius.
pub type Centre = (u32, u32);

/// The balls of at least a squared radius that no neighbour's ball holds, slice by slice in the order of voxels. `squares` are
/// the squared distances of a grid with the given extents.
pub fn maximal_balls(squares: &[u32], dims: [usize; 3], at_least: u32, rt: &Runtime) -> Result<Vec<Vec<Centre>>, Error> {
    spread_balls(squares, dims, at_least, |_| 1, rt)
}

/// Balls of at least a squared radius that stand `apart(squared radius)` voxels from each other: the maximal ones where that is 1, elsewhere every
/// one whose centre lies on the grid of so many voxels, since among large balls hardly any lies in the ball of a neighbour.
pub fn spread_balls(
    squares: &[u32],
    dims: [usize; 3],
    at_least: u32,
    apart: impl Fn(u32) -> usize + Sync,
    rt: &Runtime,
) -> Result<Vec<Vec<Centre>>, Error> {
    rt.step("ridge", 0.0)?;
    let [nx, ny, nz] = dims;
    let largest = squares.par_iter().copied().max().unwrap_or(0);
    let holding = Holding::up_to(largest.min(TABLE));
    let in_slice = |k: usize| {
        rt.step("ridge", k as f64 / nz as f64)?;
        let (mut found, mut largest) = (vec![], [vec![0; nx], vec![0; nx], vec![0; nx]]);
        for j in 0..ny {
            largest.iter_mut().for_each(|l| l.fill(0));
            for n in 0..9 {
                let (dj, dk) = (n % 3, n / 3);
                let (Some(y), Some(z)) = ((j + dj).checked_sub(1), (k + dk).checked_sub(1)) else { continue };
                if y < ny && z < nz {
                    let axes = usize::from(dj != 1) + usize::from(dk != 1);
                    largest_beside(&squares[(z * ny + y) * nx..][..nx], axes, &mut largest);
                }
            }
            let row = (k * ny + j) * nx;
            for (i, &square) in squares[row..row + nx].iter().enumerate() {
                let stands = || match apart(square) {
                    1 => !holding.any(square, [largest[0][i], largest[1][i], largest[2][i]]),
                    voxels => [i, j, k].iter().all(|x| x % voxels == 0),
                };
                if square >= at_least && stands() {
                    found.push(((j * nx + i) as u32, square));
                }
            }
        }
        Ok(found)
    };
    (0..nz).into_par_iter().map(in_slice).collect()
}

/// Takes a row that differs from a voxel's own in so many axes into the largest values of its neighbours, by the number of axes.
fn largest_beside(row: &[u32], axes: usize, largest: &mut [Vec<u32>; 3]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { largest_beside_avx2(row, axes, largest) };
    }
    largest_beside_anywhere(row, axes, largest);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn largest_beside_avx2(row: &[u32], axes: usize, largest: &mut [Vec<u32>; 3]) {
    largest_beside_anywhere(row, axes, largest);
}

#[inline(always)]
fn largest_beside_anywhere(row: &[u32], axes: usize, largest: &mut [Vec<u32>; 3]) {
    let n = row.len();
    if axes > 0 {
        largest[axes - 1].iter_mut().zip(row).for_each(|(l, &s)| *l = (*l).max(s));
    }
    largest[axes][1..].iter_mut().zip(row).for_each(|(l, &s)| *l = (*l).max(s));
    largest[axes][..n - 1].iter_mut().zip(&row[1..]).for_each(|(l, &s)| *l = (*l).max(s));
}

/// Squared radii that the table covers: balls of 256 voxels.
const TABLE: u32 = 1 << 16;

/// When a neighbour's ball holds a ball.
struct Holding {
    /// By squared radius and number of axes (1 to 3) in which the centres differ by one: the smallest squared radius that holds it.
    needed: Vec<[u32; 3]>,
}

impl Holding {
    fn up_to(largest: u32) -> Holding {
        // The voxel of a ball that is farthest from the neighbour lies on the other side: by squared length m of the offset x,
        // the largest x·v is the sum of as many of its largest coordinates as v has ones.
        let mut farthest = vec![[0u32; 3]; largest as usize + 1];
        let end = isqrt(largest) + 1;
        for a in 0..end {
            for b in 0..=a {
                for c in 0..=b {
                    let m = a * a + b * b + c * c;
                    if m >= largest {
                        break;
                    }
                    let sums = [a, a + b, a + b + c];
                    for (n, far) in farthest[m as usize + 1].iter_mut().enumerate() {
                        *far = (*far).max(m + 2 * sums[n] + n as u32 + 2);
                    }
                }
            }
        }
        for square in 1..farthest.len() {
            let before = farthest[square - 1];
            farthest[square].iter_mut().zip(before).for_each(|(far, b)| *far = (*far).max(b));
        }
        Holding { needed: farthest }
    }

    /// Whether a ball lies in a neighbour's; `largest` are the neighbours' largest squared radii by the number of axes.
    #[inline(always)]
    fn any(&self, square: u32, largest: [u32; 3]) -> bool {
        let needed = self.needed.get(square as usize).copied().unwrap_or_else(|| [1, 2, 3].map(|axes| beyond(square, axes)));
        largest.iter().zip(needed).any(|(l, n)| *l >= n)
    }
}

/// The smallest squared radius of a sphere that holds another whose centre differs by one in so many axes: `(r + |v|)²` rounded up.
fn beyond(square: u32, axes: u32) -> u32 {
    let product = 4 * u64::from(square) * u64::from(axes);
    let mut root = (product as f64).sqrt() as u64;
    while root * root < product {
        root += 1;
    }
    (u64::from(square) + u64::from(axes) + root) as u32
}

fn isqrt(n: u32) -> u32 {
    f64::from(n).sqrt() as u32 // exact: the root of a 32-bit integer that is not a square is no nearer than 2^-17 to an integer
}

/// Paints the balls that reach the canvas: those of one radius and row together.
fn paint(canvas: &mut Canvas, centres: &[Vec<Centre>], [nx, ny, _]: [usize; 3], roots: &Roots) {
    let (first, end) = canvas.slices();
    let mut order: Vec<(u32, u32, u32)> = vec![]; // squared radius, slice, place
    for (k, slice) in centres.iter().enumerate() {
        let away = if k < first { first - k } else { (k + 1).saturating_sub(end) } as u64;
        let reaching = slice.iter().filter(|(_, square)| away * away < u64::from(*square));
        order.extend(reaching.map(|&(place, square)| (square, k as u32, place)));
    }
    order.sort_by_key(|&(square, ..)| std::cmp::Reverse(square)); // stable: balls of a row stay together
    let row_of = |&(_, k, place): &(u32, u32, u32)| (k as usize, place as usize / nx);
    let together = |a: &(u32, u32, u32), b: &(u32, u32, u32)| a.0 == b.0 && row_of(a) == row_of(b) && b.2 - a.2 < 64;
    let mut spread = vec![];
    for balls in order.chunk_by(together) {
        let ((k, j), square) = (row_of(&balls[0]), balls[0].0);
        let tall = roots.below(square);
        let (from, to) = (balls[0].2 as usize % nx, balls[balls.len() - 1].2 as usize % nx);
        let words = from.saturating_sub(tall) / 64..(to + tall).min(nx - 1) / 64 + 1;
        spread_out(&mut spread, balls.iter().map(|b| b.2 as usize % nx), tall, &words);
        for z in k.saturating_sub(tall).max(first)..(k + tall + 1).min(end) {
            let disc = square - (z.abs_diff(k) * z.abs_diff(k)) as u32;
            let wide = roots.below(disc);
            let rows = [j.saturating_sub(wide), (j + wide).min(ny - 1)];
            for (w, bits) in words.clone().zip(spread.chunks(tall + 1)) {
                canvas.words(z, w, rows, square, |y, left| left & bits[roots.below(disc - (y.abs_diff(j) * y.abs_diff(j)) as u32)]);
            }
        }
    }
}

/// For each word the bits within 0, 1, … `reach` of the places given.
fn spread_out(spread: &mut Vec<u64>, places: impl Iterator<Item = usize>, reach: usize, words: &std::ops::Range<usize>) {
    let (steps, count) = (reach + 1, words.len());
    spread.clear();
    spread.resize(steps * count, 0);
    places.for_each(|i| spread[(i / 64 - words.start) * steps] |= 1 << (i % 64));
    for step in 1..steps {
        for w in 0..count {
            let at = |w: usize| spread[w * steps + step - 1];
            let (before, after) = (if w > 0 { at(w - 1) >> 63 } else { 0 }, if w + 1 < count { at(w + 1) << 63 } else { 0 });
            spread[w * steps + step] = at(w) | at(w) << 1 | at(w) >> 1 | before | after;
        }
    }
}

/// Integer square roots, looked up where they are small.
struct Roots(Vec<u8>);

impl Roots {
    fn up_to(largest: u32) -> Roots {
        Roots((0..largest.min(TABLE)).map(|n| isqrt(n) as u8).collect())
    }

    /// The largest integer whose square is below n.
    #[inline(always)]
    fn below(&self, n: u32) -> usize {
        self.0.get(n as usize - 1).map_or_else(|| isqrt(n - 1) as usize, |&root| usize::from(root))
    }
}

/// A ball with its centre anywhere, in mm from the centre of voxel (0, 0, 0).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ball {
    pub centre_mm: [f64; 3],
    pub square_mm2: f64,
}

/// For each voxel of a mask the number of the first ball whose inside holds its centre, counted from 1; 0 where none does.
pub fn first_ball(mask: &Mask, spacing_mm: [f64; 3], balls: &[Ball], rt: &Runtime) -> Result<Vec<u32>, Error> {
    let [nx, ny, nz] = mask.dims();
    let mut numbers = vec![0u32; nx * ny * nz];
    numbers.par_chunks_mut(SLICES * nx * ny).enumerate().try_for_each(|(slab, values)| {
        rt.step("local thickness", (slab * SLICES) as f64 / nz as f64)?;
        let mut canvas = Canvas::new(mask, slab * SLICES, values);
        let (first, end) = canvas.slices();
        for (number, ball) in balls.iter().enumerate() {
            let reach = ball.square_mm2.sqrt();
            let [x, y, z] = ball.centre_mm;
            for k in voxels_within(z, reach, spacing_mm[2], first, end) {
                let dz = k as f64 * spacing_mm[2] - z;
                let disc = ball.square_mm2 - dz * dz;
                if disc <= 0.0 {
                    continue;
                }
                let (columns, rows) =
                    (voxels_within(x, disc.sqrt(), spacing_mm[0], 0, nx), voxels_within(y, disc.sqrt(), spacing_mm[1], 0, ny));
                if columns.is_empty() || rows.is_empty() {
                    continue;
                }
                for w in columns.start / 64..=(columns.end - 1) / 64 {
                    let wide = bits_between(w, columns.start, columns.end);
                    canvas.words(k, w, [rows.start, rows.end - 1], number as u32 + 1, |j, left| {
                        if left & wide == 0 {
                            return 0;
                        }
                        let dy = j as f64 * spacing_mm[1] - y;
                        left & bits_held(ball, disc - dy * dy, dy * dy + dz * dz, spacing_mm[0], w, nx)
                    });
                }
            }
        }
        Ok::<(), Error>(())
    })?;
    Ok(numbers)
}

/// The voxels of word w of a row that a ball holds: `across` is the squared distance of the row from its centre, `left` what
/// remains of its squared radius.
fn bits_held(ball: &Ball, left: f64, across: f64, step: f64, w: usize, nx: usize) -> u64 {
    if left <= 0.0 {
        return 0;
    }
    let x = ball.centre_mm[0];
    let holds = |i: usize| {
        let dx = i as f64 * step - x;
        dx * dx + across < ball.square_mm2
    };
    // Within the word: the square root may be off by a voxel at either end, the comparison settles.
    let range = voxels_within(x, left.sqrt(), step, w * 64, nx.min(w * 64 + 64));
    let (mut from, mut to) = (range.start, range.end);
    while from < to && !holds(from) {
        from += 1;
    }
    while to > from && !holds(to - 1) {
        to -= 1;
    }
    bits_between(w, from, to)
}

/// Voxels of `first..end` along an axis that lie within a reach of a place, and at most one more at each end.
#[inline(always)]
fn voxels_within(place: f64, reach: f64, step: f64, first: usize, end: usize) -> std::ops::Range<usize> {
    // Conversions end at 0, and cut off what floor() would.
    let from = (((place - reach) / step) as usize).max(first);
    let last = ((place + reach) / step).max(-2.0) + 2.0;
    from..(last as usize).min(end).max(from)
}

/// The same as [`local_thickness`] for unequal spacing: squared radius in mm², infinite where there is no background. On the host alone.
pub fn local_thickness_mm2(mask: &Mask, spacing_mm: [f64; 3], border: Border, rt: &Runtime) -> Result<Vec<f64>, Error> {
    let [nx, ny, _] = mask.dims();
    let mut squares = distance_transform_mm2(mask, spacing_mm, border, rt)?;
    if squares.first() == Some(&f64::INFINITY) {
        return Ok(squares);
    }
    let ball = |n: usize| {
        let at = [n % nx, n / nx % ny, n / (nx * ny)];
        Ball { centre_mm: [0, 1, 2].map(|a| at[a] as f64 * spacing_mm[a]), square_mm2: squares[n] }
    };
    let is_held = |n: usize| {
        let (at, r) = ([n % nx, n / nx % ny, n / (nx * ny)], squares[n].sqrt());
        (0..27).any(|m| {
            let step = [m % 3, m / 3 % 3, m / 9];
            let Some([x, y, z]) = aside(at, step, mask.dims()) else { return false };
            let v: f64 = (0..3).filter(|&a| step[a] != 1).map(|a| spacing_mm[a] * spacing_mm[a]).sum();
            // The margin is far above rounding: a ball that is not surely held stays.
            m != 13 && squares[(z * ny + y) * nx + x].sqrt() >= (r + v.sqrt()) * (1.0 + 1e-12)
        })
    };
    let mut balls: Vec<Ball> = (0..squares.len()).into_par_iter().filter(|&n| squares[n] > 0.0 && !is_held(n)).map(ball).collect();
    balls.sort_by(|a, b| b.square_mm2.total_cmp(&a.square_mm2));
    let numbers = first_ball(mask, spacing_mm, &balls, rt)?;
    squares.iter_mut().zip(numbers).filter(|(_, n)| *n > 0).for_each(|(s, n)| *s = balls[n as usize - 1].square_mm2);
    Ok(squares)
}

/// The voxel that lies a step from another along each axis: back for 0, at the same place for 1, forth for 2; `None` outside the grid.
pub fn aside(at: [usize; 3], step: [usize; 3], dims: [usize; 3]) -> Option<[usize; 3]> {
    let mut there = [0; 3];
    for a in 0..3 {
        there[a] = (at[a] + step[a]).checked_sub(1).filter(|&x| x < dims[a])?;
    }
    Some(there)
}
