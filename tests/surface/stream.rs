//! Volumes that are read slab by slab give the bits of volumes in memory.

use std::ops::Range;

use verimetry_engine::volume::Slices;

use super::*;

/// A volume read some slices at a time.
fn read<T: Voxel>(v: &Volume<T>, at_once: usize) -> Slices<'_, T> {
    let slice = v.grid().dims()[0] * v.grid().dims()[1];
    let read = move |slices: Range<usize>, out: &mut Vec<T>| {
        out.extend_from_slice(&v.data()[slices.start * slice..slices.end * slice]);
        Ok(())
    };
    Slices::read(*v.grid(), v.rescale(), at_once, Box::new(read)).unwrap()
}

#[test]
fn slabs_of_any_height_give_the_same_bare_surface() {
    let check = |v: Volume<f32>, threshold: f64| {
        let whole = surface::iso_surface(&v, threshold, &Runtime::cpu()).unwrap();
        euler_of_closed(&whole);
        for at_once in 1..=v.grid().dims()[2] + 1 {
            let slabs =
                threads(1 + at_once % 3, || surface::iso_surface_of_slices(&read(&v, at_once), threshold, &Runtime::cpu()).unwrap());
            assert!(slabs == whole, "{at_once} slices at once");
        }
    };
    check(volume(grid([67, 9, 8]), |_, n| Random(n as u64).unit() as f32 - 0.5), 0.0);
    check(volume(grid([20, 21, 22]), |p, _| 7.0 - (p - Point3::new(9.3, 10.1, 11.4)).norm() as f32), 0.0);
    check(volume(grid([5, 4, 1]), |_, n| (n % 3) as f32), 0.5);
    // Nothing in the first and the last slices, and nothing in between.
    check(volume(grid([6, 6, 12]), |p, _| if [3.0, 8.0].contains(&p.z) { 1.0 } else { 0.0 }), 0.5);
}

#[test]
fn a_fault_of_reading_ends_the_pass() {
    let grid = grid([4, 4, 4]);
    let fault = || verimetry_engine::Error::input("file.truncated", "slice 3 is not there");
    let broken = |slices: Range<usize>, out: &mut Vec<u8>| {
        out.extend(vec![0; slices.len() * 16]);
        if slices.contains(&3) { Err(fault()) } else { Ok(()) }
    };
    let slices = Slices::read(grid, Rescale::IDENTITY, 1, Box::new(broken)).unwrap();
    assert_eq!(surface::iso_surface_of_slices(&slices, 1.0, &Runtime::cpu()).unwrap_err(), fault());
}
