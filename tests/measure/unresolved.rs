//! What is neither air nor material: porosity is told both ways, and U holds both.

use verimetry_engine::measure::{Measurement, Pores};
use verimetry_engine::volume::{Rescale, Volume};

use super::*;

const VOXEL: f64 = 0.1;

fn brick(centre: [f64; 3], half_mm: [f64; 3]) -> Solid {
    Solid::Box { centre: centre.into(), half_mm: half_mm.into(), rounding_mm: 0.0 }
}

/// A block of 4 mm with a closed void of 1.6 mm, whose lower half is filled with something of this share of the contrast; greys of 1000 and 21 000.
fn half_filled(share: f64, noise_sd: f64) -> Measurement {
    let grid = Grid::aligned([53, 54, 55], [VOXEL; 3], Point3::from([-0.63, -0.61, -0.58])).unwrap();
    let part = brick([2.0; 3], [2.0; 3]).without(brick([2.0; 3], [0.8; 3]), 0.0);
    let ct = Ct { edge_sigma_mm: 0.07, air: 1000.0, material: 21_000.0, noise_sd, seed: 3 };
    let solid = ct.scan(&part, &grid).unwrap();
    let filling = Ct { noise_sd: 0.0, ..ct }.scan(&brick([2.0, 2.0, 1.6], [0.8, 0.8, 0.4]), &grid).unwrap();
    let grey = |(a, b): (&u16, &u16)| a + (share * f64::from(b - 1000)) as u16;
    let both = Volume::new(grid, Rescale::IDENTITY, solid.data().iter().zip(filling.data()).map(grey).collect()).unwrap();
    let folder = Folder::new();
    let source = Source::new(folder.file("part.mha", &phantom::metaimage(&both)));
    measure::pores(&Pores::new(Source { scale_uncertainty: 0.0, ..source }), &Runtime::cpu()).unwrap()
}

fn is_told(m: &Measurement) -> bool {
    m.findings.iter().any(|f| f.code == "pores.unresolved")
}

#[test]
fn a_filling_of_middle_grey_counts_as_pores_and_as_solid() {
    let hull = 64.0;
    let (void, filled) = (4.096 / hull, 2.048 / hull);
    // The filling's border is told to half a voxel.
    let border = (2.0 * 1.6 * 1.6 + 4.0 * 1.6 * 0.8) * 0.5 * VOXEL / hull;
    for (share, noise_sd) in [(0.4, 200.0), (0.4, 2000.0), (0.5, 200.0), (0.6, 200.0), (0.6, 2000.0)] {
        let m = half_filled(share, noise_sd);
        let grey = m.pores.as_ref().unwrap().unresolved.unwrap();
        eprintln!("{share} {noise_sd}: {grey:?}, filled {filled}, {:?}", m.quantities["porosity.total"].value);
        assert!((grey.share - filled).abs() < border, "{grey:?}, truth {filled}");
        assert!((grey.total_as_solid - (void - filled)).abs() < border, "{grey:?}, truth {}", void - filled);
        assert!((grey.total_as_pores - void).abs() < border, "{grey:?}, truth {void}");
        covers(&m, "porosity.total", void);
        covers(&m, "porosity.total", void - filled);
        assert!(is_told(&m), "{:?}", m.findings);
    }
}

#[test]
fn nothing_is_unresolved_where_there_is_air_and_material_alone() {
    let folder = Folder::new();
    let grid = Grid::aligned([64, 64, 64], [VOXEL; 3], Point3::from([-3.2; 3])).unwrap();
    let bounds = brick([0.0; 3], [2.5; 3]);
    let struts = phantom::Solid::Intersection(vec![bounds.clone(), crossed_rods()]);
    for noise_sd in [200.0, 1000.0] {
        let ct = Ct { edge_sigma_mm: 0.07, air: 1000.0, material: 21_000.0, noise_sd, seed: 5 };
        let source = Source::new(folder.file("clean.mha", &phantom::metaimage(&ct.scan(&struts, &grid).unwrap())));
        let m = measure::pores(&Pores::new(source), &Runtime::cpu()).unwrap();
        assert_eq!(m.pores.as_ref().unwrap().unresolved.map(|grey| grey.share), Some(0.0));
        assert!(!is_told(&m));
    }
}

/// Rods of five and of two and a half voxels that cross at sharp angles, with narrow gaps beside their nodes.
fn crossed_rods() -> Solid {
    let rod = |to: [f64; 3], radius_mm: f64| {
        let to = Point3::from(to);
        Solid::Capsule { from: Point3::from(-to.coords), to, radius_mm }
    };
    let thick = [[3.0, 0.3, 0.2], [3.0, -0.9, 0.4], [0.2, 3.0, 0.1], [0.0, 0.8, 3.0], [2.0, 2.0, 2.0]].map(|to| rod(to, 0.25));
    let thin = [[3.0, 0.3, 1.4], [-2.0, 2.0, 2.0], [0.9, -0.4, 3.0]].map(|to| rod(to, 0.125));
    Solid::Union(thick.into_iter().chain(thin).collect())
}
