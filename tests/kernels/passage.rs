//! The widest passage against opening a grid width by width and flooding it.

use verimetry_engine::kernels::{
    Border, Connectivity, Ends, NO_BACKGROUND, Opening, beside, components, distance_transform, distance_transform_mm2, place_of,
    widest_passages,
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

/// Opened cell by cell from the widest on, the first two thirds of those that join nothing yet as components.
fn opened_throat(widths: &[f64], dims: [usize; 3], axis: usize, rt: &Runtime) -> Option<f64> {
    let ends = Ends { axis, first: 0, last: dims[axis] - 1 };
    let mut order: Vec<u32> = (0..widths.len() as u32).filter(|&n| widths[n as usize] > 0.0).collect();
    order.sort_by(|&a, &b| widths[b as usize].total_cmp(&widths[a as usize]));
    let opened = |start: &[u32], rest: &[u32]| {
        let open = Mask::from_fn(dims, |i, j, k| start.contains(&(((k * dims[1] + j) * dims[0] + i) as u32)));
        let open = components(&open, Connectivity::Faces6, rt).unwrap();
        let mut cells = rest.to_vec();
        cells.sort_unstable();
        let order: Vec<u32> = rest.iter().map(|n| cells.binary_search(n).unwrap() as u32).collect();
        Opening::new(&open, &cells, dims, ends).open(&order).map(|n| start.len() + n)
    };
    let found = opened(&[], &order);
    let (start, rest) = order.split_at(2 * found.unwrap_or(order.len()) / 3);
    assert_eq!(opened(start, rest), found);
    found.map(|n| widths[order[n] as usize])
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
                let ends = [0, 1, 2].map(|axis| Ends { axis, first: 0, last: dims[axis] - 1 });
                let throats = widest_passages(&mask, &equal, &ends, &rt).unwrap();
                let equal: Vec<f64> = equal.into_iter().map(f64::from).collect();
                for (axis, throat) in throats.into_iter().enumerate() {
                    assert_eq!(throat.map(f64::from), flooded_throat(&equal, dims, axis), "{dims:?} {density} {axis} {border:?}");
                }
                let unequal = distance_transform_mm2(&mask, [0.7, 1.0, 2.3], border, &rt).unwrap();
                for (axis, widths) in [(0, &equal), (1, &equal), (2, &equal), (0, &unequal), (1, &unequal), (2, &unequal)] {
                    assert_eq!(
                        opened_throat(widths, dims, axis, &rt),
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
