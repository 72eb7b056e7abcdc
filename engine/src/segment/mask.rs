//! Voxels on one side of a threshold, one bit each.

use rayon::prelude::*;

use crate::volume::{Mask, Volume, Voxel};

/// Voxels whose stored value is at least the threshold. Values that are not numbers are outside.
pub fn at_least<T: Voxel>(volume: &Volume<T>, stored_threshold: f64) -> Mask {
    match least(stored_threshold) {
        Some(least) => select(volume, |v| v >= least),
        None => select(volume, |_| false),
    }
}

/// Voxels whose stored value is at most the threshold: the material where the rescale slope is negative.
pub fn at_most<T: Voxel>(volume: &Volume<T>, stored_threshold: f64) -> Mask {
    select(volume, |v| v.to_f64() <= stored_threshold)
}

fn select<T: Voxel>(volume: &Volume<T>, inside: impl Fn(T) -> bool + Sync) -> Mask {
    let [nx, ny, nz] = volume.grid().dims();
    let per_row = nx.div_ceil(64);
    let mut words = vec![0u64; per_row * ny * nz];
    words.par_chunks_mut(per_row).with_min_len(64).zip(volume.data().par_chunks(nx)).for_each(|(words, row)| {
        for (word, voxels) in words.iter_mut().zip(row.chunks(64)) {
            *word = voxels.iter().enumerate().fold(0, |bits, (n, &v)| bits | u64::from(inside(v)) << n);
        }
    });
    Mask::from_words([nx, ny, nz], words).expect("made with the volume's extents")
}

/// The smallest value of the voxel type that is at least `t`, so that voxels are compared in their own type; `None` if there is none.
fn least<T: Voxel>(t: f64) -> Option<T> {
    macro_rules! of {
        ($($type:ty)*) => {
            match T::NAME {
                $(stringify!($type) => (t <= f64::from(<$type>::MAX)).then(|| read(t.max(<$type>::MIN.into()).ceil() as $type)),)*
                "f32" => {
                    let near = t as f32;
                    let least = if f64::from(near) < t { near.next_up() } else { near };
                    (!t.is_nan()).then(|| read(least))
                }
                _ => (!t.is_nan()).then(|| read(t)),
            }
        };
    }
    fn read<T: Voxel, U: bytemuck::Pod>(value: U) -> T {
        bytemuck::pod_read_unaligned(bytemuck::bytes_of(&value))
    }
    of!(u8 i8 u16 i16 u32 i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Grid;
    use crate::volume::Rescale;

    #[test]
    fn the_mask_is_that_of_comparing_in_f64_for_every_voxel_type() {
        fn check<T: Voxel>(values: Vec<T>) {
            let grid = Grid::aligned([values.len(), 1, 1], [1.0; 3], nalgebra::Point3::origin()).unwrap();
            let volume = Volume::new(grid, Rescale::IDENTITY, values).unwrap();
            for t in [-1e300, -32768.0, -0.5, 0.0, 0.1, 1.0, 1.5, 127.0, 65535.0, 65535.5, 1e10, f64::INFINITY, f64::NAN] {
                let expected = Mask::from_fn(volume.grid().dims(), |i, _, _| volume.at(i, 0, 0).to_f64() >= t);
                assert_eq!(at_least(&volume, t), expected, "{} {t}", T::NAME);
            }
        }
        check::<u8>((0..=255).collect());
        check::<i8>((-128..=127).collect());
        check::<u16>(vec![0, 1, 2, 127, 128, 65534, 65535]);
        check::<i16>(vec![-32768, -1, 0, 1, 2, 127, 32767]);
        check::<u32>(vec![0, 1, 2, u32::MAX]);
        check::<i32>(vec![i32::MIN, -1, 0, 1, i32::MAX]);
        check::<f32>(vec![f32::NEG_INFINITY, -0.5, -0.0, 0.1, 0.1f32.next_down(), 1.5, f32::INFINITY, f32::NAN]);
        check::<f64>(vec![f64::NEG_INFINITY, -0.5, 0.0, 0.1, 1.5, f64::INFINITY, f64::NAN]);
    }
}
