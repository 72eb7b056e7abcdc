//! The widest passage against opening a grid width by width and flooding it.

use verimetry_engine::kernels::{
    Border, Connectivity, NO_BACKGROUND, Opening, beside, distance_transform, distance_transform_mm2, place_of,
};
use verimetry_engine::runtime::Runtime;
use verimetry_engine::volume::Mask;

use super::{DENSITIES, EXTENTS, flooded, random_mask};

/// Width of the widest passage between the first and the last layer along an axis, by flooding what is at least as wide, widest first.
fn flooded_throat(widths: &[f64], dims: [usize; 3], axis: usize) -> Option<f64> {
    let [nx, ny, _] = dims;
    let mut levels: Vec<f64> = widths.iter().copied().filter(|w| *w > 0.0).collect();
    levels.sort_by(|a, b| b.total_cmp(a));
    levels.dedup();
    levels.into_iter().find(|&level| {
        let open = Mask::from_fn(dims, |i, j, k| widths[(k * ny + j) * nx + i] >= level);
        let labels = flooded(&open, Connectivity::Faces6);
        let at = |layer: usize| -> Vec<u32> {
            (0..labels.len()).filter(|&n| place_of(n, dims)[axis] == layer && labels[n] > 0).map(|n| labels[n]).collect()
        };
        let last = at(dims[axis] - 1);
        at(0).iter().any(|label| last.contains(label))
    })
}

fn opened_throat(widths: &[f64], dims: [usize; 3], axis: usize) -> Option<f64> {
    let mut order: Vec<u32> = (0..widths.len() as u32).filter(|&n| widths[n as usize] > 0.0).collect();
    order.sort_by(|&a, &b| widths[b as usize].total_cmp(&widths[a as usize]));
    let ends = |at: [usize; 3]| [at[axis] == 0, at[axis] + 1 == dims[axis]];
    let found = Opening::new(dims).open(&order, ends).map(|n| widths[order[n] as usize]);
    // In two parts, as where the first is known not to join the ends.
    let mut opening = Opening::new(dims);
    let (first, rest) = order.split_at(order.len() / 3);
    let in_parts = opening.open(first, ends).map(|n| first[n]).or_else(|| opening.open(rest, ends).map(|n| rest[n]));
    assert_eq!(in_parts.map(|n| widths[n as usize]), found);
    found
}

#[test]
fn the_throat_is_the_width_at_which_flooding_first_joins_the_ends() {
    let rt = Runtime::cpu();
    for (seed, dims) in (400..).zip(EXTENTS) {
        for density in DENSITIES {
            let mask = random_mask(dims, density, seed);
            for border in [Border::Unknown, Border::Background] {
                let equal = distance_transform(&mask, border, &rt).unwrap();
                if equal[0] == NO_BACKGROUND {
                    continue;
                }
                let equal: Vec<f64> = equal.into_iter().map(f64::from).collect();
                let unequal = distance_transform_mm2(&mask, [0.7, 1.0, 2.3], border, &rt).unwrap();
                for (axis, widths) in [(0, &equal), (1, &equal), (2, &equal), (0, &unequal), (1, &unequal), (2, &unequal)] {
                    assert_eq!(
                        opened_throat(widths, dims, axis),
                        flooded_throat(widths, dims, axis),
                        "{dims:?} {density} {axis} {border:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn voxels_beside_one_share_a_face_with_it() {
    let dims = [3, 4, 2];
    for n in 0..24 {
        let here = place_of(n, dims);
        let truth: Vec<usize> = (0..24).filter(|&m| (0..3).map(|a| place_of(m, dims)[a].abs_diff(here[a])).sum::<usize>() == 1).collect();
        let mut found: Vec<usize> = beside(n, dims).into_iter().flatten().collect();
        found.sort_unstable();
        assert_eq!(found, truth);
    }
}
