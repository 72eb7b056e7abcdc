//! Lattices of struts so thin that few voxels or none hold the material's own grey value, whole and cut by the border of the volume.
//!
//! On a grid that the lattice repeats on, every strut shows the same few grey values, and the histogram has peaks that are no plateau's.

use nalgebra::Vector3;
use verimetry_engine::Error;
use verimetry_engine::phantom::struts::{Framework, Rods, UnitCell};
use verimetry_engine::phantom::{Ct, Solid};
use verimetry_engine::runtime::Runtime;
use verimetry_engine::surface::{self, Determined, Keep, Method, Options, flag};
use verimetry_engine::volume::Voxel;

use super::{grid, long};

/// Half-way between air of 5000 and material of 25000.
const TRUE_THRESHOLD: f64 = 15000.0;
const CONTRAST: f64 = 20000.0;
const BLUR: f64 = 0.7;
/// Voxels between the lattice and the border that does not cut it.
const ROOM: f64 = 10.0;

struct Lattice {
    cell: f64,
    diameter: f64,
    noise: f64,
    /// Faces of the volume that cut it.
    cuts: usize,
}

impl Lattice {
    fn frame(&self) -> Framework {
        let mut frame = Framework::of(UnitCell::BodyCentred, [2, 1, 1], [self.cell; 3], self.diameter);
        frame.nodes.iter_mut().for_each(|p| *p += Vector3::repeat(ROOM));
        frame
    }

    /// The surface, and the mean distance of its vertices from the true one on struts, outward, away from nodes and cuts.
    fn determine(&self, method: Method) -> Result<(Determined, f64), Error> {
        let frame = self.frame();
        let solid = Solid::Rods(Rods::new(frame.rods()));
        let [long, short] = [2.0, 1.0].map(|cells| (cells * self.cell + 2.0 * ROOM) as usize);
        let cut = (ROOM + 0.7 * self.cell) as usize;
        let dims = [if self.cuts > 0 { cut } else { long }, if self.cuts > 1 { cut } else { short }, short];
        let scanner = Ct { edge_sigma_mm: BLUR, air: 5000.0, material: 25000.0, noise_sd: self.noise * CONTRAST, seed: 7 };
        let scan = Voxel::wrap(scanner.scan(&solid, &grid(dims)).unwrap());
        let found = surface::determine(&scan, &Options { method, keep: Keep::All, ..Options::default() }, &Runtime::cpu())?;
        let of_strut = |p: &nalgebra::Point3<f64>| {
            let from_node = frame.nodes.iter().map(|q| (q - p).norm()).fold(f64::INFINITY, f64::min);
            from_node > self.diameter + 3.0 && (0..3).all(|a| p[a] < dims[a] as f64 - 4.0)
        };
        let struts = found.mesh.vertices().iter().zip(&found.flags).filter(|(p, flags)| **flags & flag::CUT == 0 && of_strut(p));
        let distances: Vec<f64> = struts.map(|(p, _)| solid.distance_mm(p)).collect();
        assert!(distances.len() > 100, "{} vertices on struts", distances.len());
        let error = distances.iter().sum::<f64>() / distances.len() as f64;
        Ok((found, error))
    }
}

#[test]
fn thin_struts_are_right_within_their_uncertainty_cut_or_whole() {
    for cell in [32.0, 33.3] {
        for diameter in [3.0, 4.0, 5.0, 6.0] {
            for (n, noise) in [0.0, 0.01, 0.05].into_iter().enumerate() {
                for cuts in 0..3 {
                    // One in six, unless there is time.
                    if !long() && !(cuts + n + diameter as usize + cell as usize).is_multiple_of(6) {
                        continue;
                    }
                    for method in [Method::Adaptive, Method::Iso50] {
                        let what = format!("cell {cell} diameter {diameter} noise {noise} cuts {cuts} {method:?}");
                        match (Lattice { cell, diameter, noise, cuts }).determine(method) {
                            // No peak, or edges that agree on no material, is an answer for struts that hold none of it unblurred.
                            Err(e) => assert!(e.code == "surface.no_contrast" && diameter < 5.0, "{what}: {e}"),
                            Ok((found, error)) => {
                                let u = found.u_offset_mm;
                                println!("{what}: {error:+.4}, U {:.4}, threshold {:.0}", 2.0 * u, found.threshold);
                                assert!(error.abs() < 2.0 * u, "{what}: {error} beyond {}", 2.0 * u);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn struts_of_more_than_ten_blurs_are_right_within_a_fiftieth_of_a_voxel() {
    for (cell, noise, cuts) in [(32.0, 0.0, 2), (33.3, 0.01, 0), (33.3, 0.05, 2)] {
        let (found, error) = Lattice { cell, diameter: 8.0, noise, cuts }.determine(Method::Adaptive).unwrap();
        println!("cell {cell} noise {noise} cuts {cuts}: {error:+.4}, U {:.4}", 2.0 * found.u_offset_mm);
        assert!(error.abs() < 0.02, "cell {cell} noise {noise} cuts {cuts}: {error}");
    }
}

#[test]
fn a_chance_peak_of_the_histogram_is_not_the_material() {
    for cuts in 0..3 {
        for noise in [0.0, 0.01] {
            let (found, error) = Lattice { cell: 24.0, diameter: 5.0, noise, cuts }.determine(Method::Adaptive).unwrap();
            let off = (found.threshold - TRUE_THRESHOLD) / CONTRAST;
            println!("cuts {cuts} noise {noise}: threshold {off:+.3}, error {error:+.4}, U {:.4}", 2.0 * found.u_offset_mm);
            assert!(error.abs() < 2.0 * found.u_offset_mm);
            // A threshold that is off by a twentieth moves an edge by an eighth of its blur.
            assert!(off.abs() < 0.05, "cuts {cuts} noise {noise}: threshold {}", found.threshold);
            assert!((found.image.material - 25000.0).abs() < 0.1 * CONTRAST);
            assert!((found.image.edge_sigma_mm / BLUR - 1.0).abs() < 0.3, "blur {}", found.image.edge_sigma_mm);
        }
    }
}
