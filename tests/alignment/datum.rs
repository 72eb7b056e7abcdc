//! Alignment by datums against parts whose datum features lie where they are put, and by closed form where they are tilted.

use nalgebra::{Point3, Vector3};
use verimetry_engine::align::{self, Alignment, Datum, DatumKind, Include, System, Target};
use verimetry_engine::distance::MeshDistance;
use verimetry_engine::mesh::Mesh;
use verimetry_engine::phantom::parts;
use verimetry_engine::runtime::Runtime;

use super::support::together;
use super::{Random, bracket, cells, errors, map};

const PATCH_MM: f64 = 0.8;

fn align(nominal: &Mesh, actual: &Mesh, system: &System) -> Alignment {
    let (distance, rt) = (MeshDistance::build(nominal), Runtime::cpu());
    let near = align::best_fit(&distance, actual, None, &rt).unwrap();
    align::by_datums(&distance, actual, system, PATCH_MM, &near, &rt).unwrap()
}

fn planes<'a>(regions: &'a [(&'a str, Include<'a>)]) -> System<'a> {
    System::Datums(regions.iter().map(|&(name, region)| Datum { name, kind: DatumKind::Plane, region }).collect())
}

// Faces of the bracket (40 x 28 x 24 mm), each a slab about its plane.
const BOTTOM: Include = &|p| p.z.abs() < 1.0;
const FRONT: Include = &|p| p.y.abs() < 1.0;
const LEFT: Include = &|p| p.x.abs() < 1.0;

#[test]
fn three_planes_place_a_part_whose_other_faces_are_wrong() {
    let nominal = bracket(6);
    // Everything beyond the datum faces is displaced: a best fit follows it, datums do not.
    let actual = map(&nominal, |p| if p.x > 9.0 { p + Vector3::new(0.15, 0.0, if p.z > 4.0 { 0.2 } else { 0.0 }) } else { *p });
    let moved_by = Random(61).pose();
    let a = align(&nominal, &actual.moved(&moved_by), &planes(&[("A", BOTTOM), ("B", FRONT), ("C", LEFT)]));
    let (degrees, mm) = errors(&nominal, &a.nominal_from_actual, &moved_by.inverse());
    assert!(degrees < 1e-5 && mm < 1e-5, "{degrees} degrees, {mm} mm");
    assert!(a.converged && a.free_dofs == 0 && !a.ambiguous && a.rms_mm > 0.01, "{a:?}");
}

#[test]
fn precedence_decides_where_datum_faces_are_not_square() {
    // A block whose front leans outwards by 1 in 100: material in y > 0.
    let nominal = cells([10, 7, 4], 8, |c| c != [9, 6, 3] && c != [9, 6, 2] && c != [0, 6, 3]);
    let actual = map(&nominal, |p| if p.y == 0.0 { Point3::new(p.x, -0.01 * p.z, p.z) } else { *p });
    let moved_by = Random(62).pose();
    let placed = |names: [(&str, Include); 3]| align(&nominal, &actual.moved(&moved_by), &planes(&names)).nominal_from_actual;

    // The bottom first: it lies flat, and the front touches where it reaches farthest, at its top (one patch, 1.4 mm, below 16 mm).
    let flat = moved_by.then(&placed([("A", BOTTOM), ("B", FRONT), ("C", LEFT)]));
    assert!(flat.angle() < 1e-6, "{} rad", flat.angle());
    let front = flat.apply(&Point3::new(10.0, -0.16, 16.0)).y;
    assert!((-0.016..=1e-6).contains(&front), "the front's top edge stands at y = {front} mm");
    // The front first: it is what lies square, so the part turns by its lean.
    let leaning = moved_by.then(&placed([("B", FRONT), ("A", BOTTOM), ("C", LEFT)]));
    assert!((leaning.angle() - 0.01_f64.atan()).abs() < 1e-5, "{} rad", leaning.angle());
}

#[test]
fn a_plane_touches_from_outside_the_material() {
    let nominal = bracket(6);
    // The bottom is hollow by 0.1 mm in its middle: a part on a plate rests on the rim.
    let hollow = |p: &Point3<f64>| {
        if p.z == 0.0 { 0.1 * (1.0 - ((p.x - 20.0) / 20.0).powi(2)).max(0.0) * (1.0 - ((p.y - 14.0) / 14.0).powi(2)).max(0.0) } else { 0.0 }
    };
    let actual = map(&nominal, |p| p + Vector3::new(0.0, 0.0, hollow(p)));
    let moved_by = Random(63).pose();
    let a = align(&nominal, &actual.moved(&moved_by), &planes(&[("A", BOTTOM), ("B", FRONT), ("C", LEFT)]));
    let off = moved_by.then(&a.nominal_from_actual);
    let lift = off.apply(&Point3::new(20.0, 14.0, 0.0)).z; // where the nominal's bottom centre went
    // A least-squares plane would sink the rim by about 0.04 mm; the rim's own patches rise by less than 0.012 mm.
    assert!((-0.012..1e-6).contains(&lift), "{lift} mm");
}

/// A block, two balls of 3 mm and a can, as four shells of one part.
fn assembly(ball_mm: f64, can_mm: f64) -> Mesh {
    let shells = [
        cells([10, 7, 3], 6, |_| true),
        parts::ball(Point3::new(8.0, 20.0, 20.0), ball_mm, 24).mesh,
        parts::ball(Point3::new(34.0, 9.0, 22.0), ball_mm, 24).mesh,
        parts::cylinder(Point3::new(20.0, 14.0, 16.0), can_mm, 12.0, 96, 30).mesh,
    ];
    together(&shells)
}

#[test]
fn axes_and_centres_hold_whatever_the_size_of_their_features() {
    let (nominal, actual) = (assembly(3.0, 2.5), assembly(3.06, 2.46));
    let near_a = |p: &Point3<f64>| (p - Point3::new(8.0, 20.0, 20.0)).norm() < 4.0;
    let near_b = |p: &Point3<f64>| (p - Point3::new(34.0, 9.0, 22.0)).norm() < 4.0;
    let can = |p: &Point3<f64>| (p.x - 20.0).hypot(p.y - 14.0) < 4.0 && (17.0..27.0).contains(&p.z);
    let plane = || Datum { name: "plane", kind: DatumKind::Plane, region: BOTTOM };
    let axis = || Datum { name: "axis", kind: DatumKind::Cylinder, region: &can };
    let ball = |name, region| Datum { name, kind: DatumKind::Sphere, region };
    let moved_by = Random(64).pose();
    let moved = actual.moved(&moved_by);
    for (datums, free) in [
        (vec![plane(), ball("one", &near_a), ball("two", &near_b)], 0),
        (vec![axis(), plane(), ball("one", &near_a)], 0),
        (vec![axis(), plane()], 1),
        (vec![plane()], 3),
    ] {
        let names: Vec<_> = datums.iter().map(|d| d.name).collect();
        let a = align(&nominal, &moved, &System::Datums(datums));
        assert_eq!((a.free_dofs, a.ambiguous), (free, free > 0), "{names:?}");
        if free == 0 {
            let (degrees, mm) = errors(&nominal, &a.nominal_from_actual, &moved_by.inverse());
            assert!(degrees < 1e-3 && mm < 1e-3, "{names:?}: {degrees} degrees, {mm} mm"); // facets of the round features
        }
    }
}

#[test]
fn six_reference_points_place_a_part_and_five_directions_leave_one_free() {
    let nominal = bracket(6);
    let actual = map(&nominal, |p| if p.x > 9.0 && p.z > 4.0 { p + Vector3::new(0.15, 0.0, 0.2) } else { *p });
    let target = |x: f64, y: f64, z: f64, d: [f64; 3]| Target { at: Point3::new(x, y, z), direction: Vector3::from(d) };
    let down = [0.0, 0.0, -1.0];
    let mut targets = vec![
        target(4.0, 4.0, 0.0, down),
        target(20.0, 24.0, 0.0, down),
        target(36.0, 10.0, 0.0, down),
        target(4.0, 0.0, 4.0, [0.0, -1.0, 0.0]),
        target(36.0, 0.0, 4.0, [0.0, -1.0, 0.0]),
        target(0.0, 12.0, 4.0, [-1.0, 0.0, 0.0]),
    ];
    let moved_by = Random(65).pose();
    let moved = actual.moved(&moved_by);
    let a = align(&nominal, &moved, &System::Points(targets.clone()));
    let (degrees, mm) = errors(&nominal, &a.nominal_from_actual, &moved_by.inverse());
    assert!(degrees < 1e-3 && mm < 1e-3 && a.free_dofs == 0 && a.converged, "{degrees} degrees, {mm} mm, {a:?}");

    targets[5] = target(20.0, 10.0, 0.0, down);
    assert_eq!(align(&nominal, &moved, &System::Points(targets)).free_dofs, 1);
}

#[test]
fn a_region_that_is_not_the_feature_is_refused() {
    let nominal = bracket(4);
    let (distance, rt) = (MeshDistance::build(&nominal), Runtime::cpu());
    let near = align::local_fit(&distance, &nominal, &verimetry_engine::frame::Pose::identity(), None, &rt).unwrap();
    let code = |kind, region| {
        let system = System::Datums(vec![Datum { name: "A", kind, region }]);
        align::by_datums(&distance, &nominal, &system, PATCH_MM, &near, &rt).unwrap_err().code
    };
    assert_eq!(code(DatumKind::Sphere, BOTTOM), "align.not_the_feature");
    assert_eq!(code(DatumKind::Plane, &|p| p.z > 100.0), "align.not_the_feature");
}

#[test]
fn datums_follow_a_surface_offset_and_say_so() {
    // 0.03 mm of skin everywhere: the bottom lies on its datum, so the top rises by twice as much.
    let nominal = bracket(6);
    let a = align(&nominal, &super::thickened(&nominal, 0.03), &planes(&[("A", BOTTOM), ("B", FRONT), ("C", LEFT)]));
    let shift = a.nominal_from_actual.apply(&a.centre) - a.centre;
    let said: Vector3<f64> = a.offset_response.fixed_rows::<3>(3) * 0.03;
    assert!((shift - Vector3::repeat(0.03)).norm() < 1e-3 && (said - shift).norm() < 1e-3, "{shift:?} {said:?}");
    // Scale leaves the corner of the datums where it is.
    assert!(a.centre.coords.norm() < 0.2, "{:?}", a.centre);
}

#[test]
fn the_scatter_of_datums_under_noise_is_about_what_is_stated() {
    let nominal = bracket(6);
    let mut noise = Random(66);
    let (mut squares, mut stated) = (0.0, 0.0);
    let draws = if super::long() { 60 } else { 10 };
    let normals = nominal.vertex_normals();
    for _ in 0..draws {
        let mut i = 0;
        let actual = map(&nominal, |p| {
            i += 1;
            p + normals[i - 1] * (0.01 * noise.normal())
        });
        let a = align(&nominal, &actual, &planes(&[("A", BOTTOM), ("B", FRONT), ("C", LEFT)]));
        let at = a.nominal_from_actual.apply(&a.centre) - a.centre;
        squares += at.norm_squared();
        stated += (3..6).map(|k| a.covariance[(k, k)]).sum::<f64>();
    }
    // Touching patches are the extreme ones, which vary less than any one patch but lie off the mean.
    let ratio = (stated / squares).sqrt();
    assert!((0.4..3.0).contains(&ratio), "stated over found: {ratio}");
}
