//! What is neither air nor material: porosity is told both ways, and U holds both.

use verimetry_engine::case::Nominal;
use verimetry_engine::measure::{Measurement, Pores};
use verimetry_engine::quantities::Measured;
use verimetry_engine::region::Region;
use verimetry_engine::volume::{Rescale, Volume};

use super::*;

const VOXEL: f64 = 0.1;

fn brick(centre: [f64; 3], half_mm: [f64; 3]) -> Solid {
    Solid::Box { centre: centre.into(), half_mm: half_mm.into(), rounding_mm: 0.0 }
}

/// A block of 4 mm with a closed void of 1.6 mm, whose lower half is filled with something of this share of the contrast; greys of 1000 and 21 000.
fn half_filled(share: f64, noise_sd: f64) -> (Folder, Source) {
    let grid = Grid::aligned([53, 54, 55], [VOXEL; 3], Point3::from([-0.63, -0.61, -0.58])).unwrap();
    let part = brick([2.0; 3], [2.0; 3]).without(brick([2.0; 3], [0.8; 3]), 0.0);
    let ct = Ct { edge_sigma_mm: 0.07, air: 1000.0, material: 21_000.0, noise_sd, seed: 3 };
    let solid = ct.scan(&part, &grid).unwrap();
    let filling = Ct { noise_sd: 0.0, ..ct }.scan(&brick([2.0, 2.0, 1.6], [0.8, 0.8, 0.4]), &grid).unwrap();
    let grey = |(a, b): (&u16, &u16)| a + (share * f64::from(b - 1000)) as u16;
    let both = Volume::new(grid, Rescale::IDENTITY, solid.data().iter().zip(filling.data()).map(grey).collect()).unwrap();
    let folder = Folder::new();
    let source = Source::new(folder.file("part.mha", &phantom::metaimage(&both)));
    (folder, Source { scale_uncertainty: 0.0, ..source })
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
        let (_folder, part) = half_filled(share, noise_sd);
        let m = measure::pores(&Pores::new(part), &Runtime::cpu()).unwrap();
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

/// A cube against its design fits in 24 ways, so nobody knows where in it a region lies; the hull is the same in all of them.
#[test]
fn what_lies_unresolved_in_a_region_is_not_told_where_the_pose_leaves_the_region_open() {
    let (_folder, source) = half_filled(0.4, 200.0);
    let rt = Runtime::cpu();
    let part = load::part("part", &source, &[], &rt).unwrap().value;
    let block = parts::cuboid(&Bounds { min: Point3::from([0.0; 3]), max: Point3::from([4.0; 3]) }, 8).mesh;
    let case = Case::new(&rt, Some(Nominal::new(block, None)), Some(part), None);
    let lower = Region::Box { min: [0.5; 3].into(), max: [3.5, 3.5, 2.2].into() };
    let scope = Scope { region: Some(("lower", &lower)), ..Scope::default() };
    let porosity = quantities::entry("porosity.total").unwrap().measure(&case, &scope).unwrap();
    assert!(matches!(&porosity, Measured::Not { reason } if reason.contains("ambiguous")), "{porosity:?}");
    assert_eq!(case.unresolved_finding(scope.region).unwrap(), None);
    assert!(case.unresolved_finding(None).unwrap().is_some());
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
