//! The widest passage against flooding what is at least as wide, width by width.

use verimetry_engine::kernels::{Border, Connectivity, Ends, NO_BACKGROUND, beside, distance_transform, place_of, widest_passages};
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

/// The outermost layers along an axis.
fn layers(dims: [usize; 3], axis: usize) -> Ends {
    let at = |layer: usize| (0..dims.iter().product::<usize>()).filter(|&n| place_of(n, dims)[axis] == layer).map(|n| n as u32).collect();
    Ends { first: at(0), last: at(dims[axis] - 1) }
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
                let ends = [0, 1, 2].map(|axis| layers(dims, axis));
                let throats = widest_passages(&mask, &equal, &ends, &rt).unwrap();
                let equal: Vec<f64> = equal.into_iter().map(f64::from).collect();
                for (axis, throat) in throats.into_iter().enumerate() {
                    assert_eq!(throat.map(f64::from), flooded_throat(&equal, dims, axis), "{dims:?} {density} {axis} {border:?}");
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
