//! Order-preserving integer keys of voxel values, the same on the host and in `shaders/keys.wgsl`.
//!
//! `key(a) < key(b)` exactly where `a < b`; both zeros share a key; not-a-number lies outside `key(-∞)..=key(∞)`.

use crate::volume::Voxel;

/// `key_of(kind, index)` and `comes_before(a, b)`.
pub(super) const WGSL: &str = include_str!("../../../shaders/keys.wgsl");

const KINDS: [&str; 8] = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "f64"];

/// The voxel type's number in the shader.
pub(super) fn kind<T: Voxel>() -> u32 {
    KINDS.iter().position(|&name| name == T::NAME).expect("all voxel types are listed") as u32
}

pub(super) fn is_float<T: Voxel>() -> bool {
    T::NAME.starts_with('f')
}

/// High word, low word.
pub(super) fn key<T: Voxel>(value: T) -> [u32; 2] {
    let value = value.to_f64();
    let key = match T::NAME {
        "f32" => {
            let bits = (value as f32 + 0.0).to_bits(); // adding 0 turns -0 into 0
            u64::from(if bits >> 31 == 1 { !bits } else { bits | 1 << 31 })
        }
        "f64" => {
            let bits = (value + 0.0).to_bits();
            if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
        }
        _ => (value - integer_range::<T>().0) as u64, // exact: at most 32 bits
    };
    [(key >> 32) as u32, key as u32]
}

/// The smallest value of the type that is `x` or more; `None` where there is none. `x` is a number.
pub(super) fn smallest_at_least<T: Voxel>(x: f64) -> Option<T> {
    match T::NAME {
        "f64" => Some(same(x)),
        "f32" => {
            let near = x as f32;
            Some(same(if f64::from(near) < x { near.next_up() } else { near }))
        }
        _ => {
            let (low, high) = integer_range::<T>();
            let least = x.ceil().max(low);
            (least <= high).then(|| integer(least))
        }
    }
}

/// The largest value of the type, infinity included.
pub(super) fn largest<T: Voxel>() -> T {
    match T::NAME {
        "f64" => same(f64::INFINITY),
        "f32" => same(f32::INFINITY),
        _ => integer(integer_range::<T>().1),
    }
}

fn integer_range<T: Voxel>() -> (f64, f64) {
    match T::NAME {
        "u8" => (0.0, u8::MAX.into()),
        "i8" => (i8::MIN.into(), i8::MAX.into()),
        "u16" => (0.0, u16::MAX.into()),
        "i16" => (i16::MIN.into(), i16::MAX.into()),
        "u32" => (0.0, u32::MAX.into()),
        "i32" => (i32::MIN.into(), i32::MAX.into()),
        name => unreachable!("{name} is no integer type"),
    }
}

fn integer<T: Voxel>(x: f64) -> T {
    match T::NAME {
        "u8" => same(x as u8),
        "i8" => same(x as i8),
        "u16" => same(x as u16),
        "i16" => same(x as i16),
        "u32" => same(x as u32),
        "i32" => same(x as i32),
        name => unreachable!("{name} is no integer type"),
    }
}

/// `value` as the generic type that its caller found it to be by name.
fn same<S: bytemuck::Pod, T: Voxel>(value: S) -> T {
    bytemuck::pod_read_unaligned(bytemuck::bytes_of(&value))
}
