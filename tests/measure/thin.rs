//! Thin walls, rods and voids of a scan: a tenth of a voxel from four voxels on, whatever the direction.

use nalgebra::{Point3, Vector3};
use verimetry_engine::case::Case;
use verimetry_engine::frame::{Bounds, Grid};
use verimetry_engine::load::{self, Source};
use verimetry_engine::order::ComponentsOrder;
use verimetry_engine::phantom::{Ct, Solid, metaimage};
use verimetry_engine::quantities::{self, Scope};
use verimetry_engine::region::Region;
use verimetry_engine::runtime::Runtime;

use super::Folder;

const VOXEL: f64 = 0.1;

/// Values and U of quantities of what is thin, in a scan with 1 % of noise and an edge blur of 0.7 voxels.
fn scanned(thin: Vec<Solid>, region: &Region, names: &[&str]) -> Vec<(f64, f64)> {
    let folder = Folder::new();
    // Shows the scan's greys, above what is measured.
    let block = Solid::Box { centre: Point3::new(2.1, 2.2, 5.0), half_mm: Vector3::new(1.5, 1.5, 0.8), rounding_mm: 0.1 };
    let solid = Solid::Union(thin.into_iter().chain([block]).collect());
    let grid = Grid::aligned([43, 43, 62], [VOXEL; 3], Point3::origin()).unwrap();
    let ct = Ct { edge_sigma_mm: 0.7 * VOXEL, air: 1000.0, material: 21_000.0, noise_sd: 200.0, seed: 11 };
    let source = Source::new(folder.file("thin.mha", &metaimage(&ct.scan(&solid, &grid).unwrap())));
    let source = Source { scale_uncertainty: 0.0, components: Some(ComponentsOrder::All), ..source };
    let rt = Runtime::cpu();
    let part = load::part("thin", &source, &[], &rt).unwrap().value;
    let case = Case::new(&rt, None, Some(part), None);
    let scope = Scope { region: Some(("thin", region)), ..Scope::default() };
    let measured = |name: &&str| {
        let m = quantities::entry(name).unwrap().measure(&case, &scope).unwrap();
        (m.value().unwrap_or_else(|| panic!("{name}: {m:?}")), 2.0 * m.standard_uncertainty().unwrap())
    };
    names.iter().map(measured).collect()
}

const DIRECTIONS: [[f64; 3]; 5] = [[0.0, 0.0, 1.0], [0.03, 0.02, 1.0], [0.6, 0.0, 0.8], [1.0, 1.0, 1.0], [0.3, -0.7, 0.5]];

#[test]
fn rods_are_as_thick_as_they_are_in_every_direction() {
    for radius_mm in [0.2, 0.25, 0.4] {
        for direction in DIRECTIONS.map(|d| Vector3::from(d).normalize()) {
            let aside = direction.cross(&Vector3::ith(direction.iamin(), 1.0)).normalize();
            let sides = [aside, direction.cross(&aside)];
            let rod = |n: usize| {
                let at =
                    Point3::new(2.13, 2.08, 2.01) + sides[0] * (1.17 * (n % 2) as f64 - 0.6) + sides[1] * (1.13 * (n / 2) as f64 - 0.6);
                Solid::Capsule { from: at - direction, to: at + direction, radius_mm }
            };
            let region = Region::Box { min: Point3::from([0.35; 3]), max: Point3::new(3.85, 3.85, 3.8) };
            let found = scanned((0..4).map(rod).collect(), &region, &["wall.thickness_d50", "wall.thickness_mean"]);
            for (value, u) in found {
                println!("{value:.4} ± {u:.4} mm, radius {radius_mm} along {direction:?}");
                let off = (value - 2.0 * radius_mm).abs();
                assert!(off <= 0.1 * VOXEL && off <= u, "{value} ± {u} mm, radius {radius_mm} along {direction:?}");
            }
        }
    }
}

#[test]
fn plates_are_as_thick_as_they_are_in_every_direction() {
    for thickness in [0.4, 0.5, 0.6] {
        for direction in DIRECTIONS.map(|d| Vector3::from(d).normalize()) {
            let centre = Point3::new(2.07, 2.11, 2.03);
            let plate = Solid::Plate { normal: direction, offset_mm: direction.dot(&centre.coords), thickness_mm: thickness };
            let ball = Solid::Ball { centre, radius_mm: 1.55 };
            // Away from the rim, where the determined faces of a sharp edge stand out.
            let region = Region::Sphere { centre, radius_mm: 0.75 };
            let (d50, u) = scanned(vec![Solid::Intersection(vec![plate, ball])], &region, &["wall.thickness_d50"])[0];
            let off = (d50 - thickness).abs();
            assert!(off <= 0.1 * VOXEL && off <= u, "{d50} ± {u} mm, thickness {thickness} across {direction:?}");
        }
    }
}

#[test]
fn round_voids_have_the_volume_and_the_share_of_their_balls() {
    for radius_mm in [0.3, 0.5, 0.9] {
        let folder = Folder::new();
        let centre = Point3::new(2.03, 2.08, 2.01);
        let cut = Solid::Ball { centre, radius_mm };
        let solid = Solid::Box { centre, half_mm: Vector3::repeat(1.6), rounding_mm: 0.1 }.without(cut, 0.0);
        let grid = Grid::aligned([42; 3], [VOXEL; 3], Point3::origin()).unwrap();
        let ct = Ct { edge_sigma_mm: 0.7 * VOXEL, air: 1000.0, material: 21_000.0, noise_sd: 200.0, seed: 3 };
        let source = Source::new(folder.file("void.mha", &metaimage(&ct.scan(&solid, &grid).unwrap())));
        let rt = Runtime::cpu();
        let part = load::part("void", &Source { scale_uncertainty: 0.0, ..source }, &[], &rt).unwrap().value;
        let case = Case::new(&rt, None, Some(part), None);
        let Bounds { min, max } = Bounds { min: centre - Vector3::repeat(1.2), max: centre + Vector3::repeat(1.2) };
        let region = Region::Box { min, max };
        let scope = Scope { region: Some(("inside", &region)), ..Scope::default() };
        let volume = 4.0 / 3.0 * std::f64::consts::PI * radius_mm * radius_mm * radius_mm;
        let area = 4.0 * std::f64::consts::PI * radius_mm * radius_mm;
        let envelope = 2.4 * 2.4 * 2.4;
        // What is left is the surface's own offset: less than three hundredths of a voxel over the void's area.
        for (name, truth, slope) in [
            ("defect.largest_volume", volume, area),
            ("porosity.closed", volume / envelope, area / envelope),
            ("structure.surface_density", area / envelope, 2.0 / radius_mm * area / envelope),
        ] {
            let m = quantities::entry(name).unwrap().measure(&case, &scope).unwrap();
            let (value, u) = (m.value().unwrap(), 2.0 * m.standard_uncertainty().unwrap());
            assert!((value - truth).abs() <= u.min(0.03 * VOXEL * slope), "{name} {value} ± {u}, truth {truth} at {radius_mm} mm");
        }
    }
}
