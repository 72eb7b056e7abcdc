//! Counts: histograms in pieces, rows of cells.

use verimetry_engine::kernels::{CellCounts, Counting, cells, histogram, value_range};
use verimetry_engine::runtime::Runtime;
use verimetry_engine::volume::{Mask, Voxel};

use crate::support::Random;
use crate::{DENSITIES, EXTENTS, backends, random_mask, volume};

fn check_pieces<T: Voxel>(value: impl FnMut() -> T) {
    let v = volume([70, 50, 11], value);
    let whole = histogram(&v, &Runtime::cpu()).unwrap();
    for piece in [1000, 4099, 38_500] {
        let mut counting = Counting::<T>::new(value_range(v.data()));
        v.data().chunks(piece).rev().for_each(|values| counting.add(values));
        assert_eq!(counting.finish().unwrap(), whole, "{} by {piece}", T::NAME);
    }
    assert_eq!(Counting::<T>::new(None).finish(), None);
}

#[test]
fn a_histogram_in_pieces_is_that_of_the_whole() {
    let mut r = Random(31);
    check_pieces(|| r.bits() as u8);
    check_pieces(|| (r.bits() % 100) as i8);
    check_pieces(|| r.bits() as u16);
    check_pieces(|| (r.bits() % 4000) as i16 - 1000);
    check_pieces(|| r.bits() as u32);
    check_pieces(|| r.bits() as i32 % 100_000);
    check_pieces(|| if r.bits().is_multiple_of(9) { f32::NAN } else { r.unit() as f32 });
    check_pieces(|| r.unit());
}

/// Cell by cell, voxel by voxel.
fn counted(mask: &Mask) -> Vec<CellCounts> {
    let [nx, ny, nz] = mask.dims();
    let at = |i: usize, j: usize, k: usize| {
        (1..=nx).contains(&i) && (1..=ny).contains(&j) && (1..=nz).contains(&k) && mask.get(i - 1, j - 1, k - 1)
    };
    let mut counts = vec![];
    for k in 0..=nz {
        for j in 0..=ny {
            let mut row = CellCounts::default();
            for i in 0..=nx {
                let corners: Vec<bool> = (0..8).map(|n| at(i + (n & 1), j + (n >> 1 & 1), k + (n >> 2))).collect();
                row.active += u32::from(corners.contains(&true) && corners.contains(&false));
                let own = corners[7];
                row.crossed[0] += u32::from(corners[6] != own);
                row.crossed[1] += u32::from(corners[5] != own);
                row.crossed[2] += u32::from(corners[3] != own);
            }
            counts.push(row);
        }
    }
    counts
}

#[test]
fn rows_of_cells_are_counted_as_cell_by_cell() {
    let runtimes = backends(16_384);
    for (seed, dims) in (1..).zip(EXTENTS) {
        for density in DENSITIES {
            let mask = random_mask(dims, density, seed);
            let truth = counted(&mask);
            for (name, rt) in &runtimes {
                assert_eq!(cells(&mask, rt).unwrap(), truth, "{name} {dims:?} {density}");
            }
        }
    }
}

#[test]
fn a_box_has_the_cells_of_its_surface() {
    // A box of a x b x c voxels: 2 (ab + bc + ca) crossed edges; the cells of its hull are those of the block one larger less those inside.
    let [a, b, c] = [70usize, 5, 4];
    let mask = Mask::from_fn([130, 9, 8], |i, j, k| (30..30 + a).contains(&i) && (2..2 + b).contains(&j) && (1..1 + c).contains(&k));
    let rows = cells(&mask, &Runtime::cpu()).unwrap();
    let sum = |of: fn(&CellCounts) -> u32| rows.iter().map(|r| of(r) as usize).sum::<usize>();
    assert_eq!([sum(|r| r.crossed[0]), sum(|r| r.crossed[1]), sum(|r| r.crossed[2])], [2 * b * c, 2 * a * c, 2 * a * b]);
    assert_eq!(sum(|r| r.active), (a + 1) * (b + 1) * (c + 1) - (a - 1) * (b - 1) * (c - 1));
}
