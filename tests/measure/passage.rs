//! Where spheres pass, what they reach about a throat, the thinnest wall, and what else follows from parts of closed form.

use std::collections::BTreeMap;
use std::f64::consts::{PI, TAU};

use nalgebra::{Point3, Vector3};
use verimetry_engine::case::Case;
use verimetry_engine::distance::MeshDistance;
use verimetry_engine::frame::{Bounds, Pose};
use verimetry_engine::load::{self, Source};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::order::ComponentsOrder;
use verimetry_engine::phantom::{Fineness, Solid, alter, parts, surface_mesh};
use verimetry_engine::quantities::{self, Measured, Scope};
use verimetry_engine::region::Region;
use verimetry_engine::runtime::Runtime;

use super::{Folder, ROUNDING, long};

/// A part on cells of a size.
struct Part {
    _folder: Folder,
    rt: Runtime,
    source: Source,
    cell_mm: f64,
}

impl Part {
    fn new(mesh: &Mesh, cell_mm: f64) -> Part {
        Part::noisy(mesh, cell_mm, 0.0)
    }

    fn noisy(mesh: &Mesh, cell_mm: f64, u_mm: f64) -> Part {
        let folder = Folder::new();
        let source = folder.mesh("part.stl", mesh);
        let source = Source { components: Some(ComponentsOrder::All), point_uncertainty: Some(u_mm), ..source };
        Part { _folder: folder, rt: Runtime::cpu(), source, cell_mm }
    }

    /// Quantities in a region, or in the closed hull.
    fn measured(&self, scope: &Scope, names: &[&'static str]) -> BTreeMap<&'static str, Measured> {
        let mut part = load::part("part", &self.source, &[], &self.rt).unwrap().value;
        part.cell_mm = self.cell_mm;
        let case = Case::new(&self.rt, None, Some(part), None);
        names.iter().map(|&name| (name, quantities::entry(name).unwrap().measure(&case, scope).unwrap())).collect()
    }
}

fn within(region: &Region) -> Scope<'_> {
    Scope { region: Some(("region", region)), ..Scope::default() }
}

fn value_and_u(m: &Measured) -> (f64, f64) {
    (m.value().unwrap_or_else(|| panic!("{m:?}")), 2.0 * m.standard_uncertainty().unwrap())
}

#[track_caller]
fn covers(found: &BTreeMap<&'static str, Measured>, name: &str, truth: f64) {
    let (value, u) = value_and_u(&found[name]);
    println!("{name}: {value} ± {u}, truth {truth}");
    assert!((value - truth).abs() <= u + ROUNDING * truth.abs().max(1.0), "{name}: {value} ± {u}, truth {truth}");
}

#[track_caller]
fn says(found: &BTreeMap<&'static str, Measured>, name: &str, words: &str) {
    assert!(matches!(&found[name], Measured::Not { reason } if reason.contains(words)), "{name}: {:?}", found[name]);
}

const THROATS: [&str; 3] = ["pore.throat_x", "pore.throat_y", "pore.throat_z"];

/// A block of 6 × 4 × 4 mm, hollow along x, and in it walls between pairs of places; a square hole of a width in each where that is above 0.
fn duct(walls: &[[f64; 2]], hole: f64) -> Mesh {
    let (low, high) = (2.0 - 0.5 * hole, 2.0 + 0.5 * hole);
    let across = [0.0, 0.9, low, high, 3.1, 4.0];
    let across: Vec<f64> = if hole > 0.0 { across.into() } else { vec![0.0, 0.9, 2.0, 3.1, 4.0] };
    let middle = |n: usize| across[n] >= 0.9 && across[n + 1] <= 3.1;
    let in_hole = |n: usize| hole > 0.0 && across[n] >= low && across[n + 1] <= high;
    let mut along: Vec<f64> = walls.iter().flatten().copied().chain([0.0, 6.0]).collect();
    along.sort_by(f64::total_cmp);
    along.dedup();
    let in_wall = |n: usize| walls.contains(&[along[n], along[n + 1]]);
    let filled = |[x, y, z]: [usize; 3]| if in_wall(x) { !(in_hole(y) && in_hole(z)) } else { !(middle(y) && middle(z)) };
    parts::rectilinear([&along, &across, &across], filled).unwrap().mesh
}

/// With skins of 0.3 mm at its ends.
fn hollow_block(hole: f64) -> Mesh {
    duct(&[[0.0, 0.3], [5.7, 6.0]], hole)
}

fn block(min: [f64; 3], max: [f64; 3]) -> Region {
    Region::Box { min: min.into(), max: max.into() }
}

#[test]
fn nothing_passes_through_a_sealed_part() {
    let sealed = Part::new(&hollow_block(0.0), 0.06);
    let region = block([0.0; 3], [6.0, 4.0, 4.0]);
    for scope in [Scope::default(), within(&region), within(&block([0.5, 1.0, 1.0], [5.5, 3.0, 3.0]))] {
        let found = sealed.measured(&Scope { sphere_mm: Some(0.3), ..scope }, &[THROATS[0], THROATS[1], THROATS[2], "pore.accessible"]);
        THROATS.iter().for_each(|name| says(&found, name, "no open pore"));
        assert!(value_and_u(&found["pore.accessible"]).0 < 0.01, "{:?}", found["pore.accessible"]);
    }
}

/// The skins lie within the first and the last tenth of the block.
#[test]
fn a_hole_in_a_thin_skin_is_the_throat_and_bounds_what_is_reached() {
    for (hole, cell_mm) in [(0.8, 0.06), (0.5, 0.11)] {
        let part = Part::new(&hollow_block(hole), cell_mm);
        let region = block([0.0; 3], [6.0, 4.0, 4.0]);
        for scope in [Scope::default(), within(&region)] {
            let found = part.measured(&scope, &THROATS);
            covers(&found, "pore.throat_x", hole);
            says(&found, "pore.throat_y", "no open pore");
            says(&found, "pore.throat_z", "no open pore");
        }
        for (sphere, share) in [(0.95 * hole, 0.5..1.0), (1.05 * hole, 0.0..0.1)] {
            let found = part.measured(&Scope { sphere_mm: Some(sphere), ..within(&region) }, &["pore.accessible"]);
            let (reached, u) = value_and_u(&found["pore.accessible"]);
            assert!(share.contains(&reached), "a sphere of {sphere} mm through {hole} mm reaches {reached} ± {u}");
        }
    }
}

/// What a ball sweeps of a square duct from its open end to its closed one: the sum of a ball and what is left of the duct to its middle (Steiner).
fn swept_in_duct(wide: f64, long: f64, radius: f64) -> f64 {
    let left = wide - 2.0 * radius;
    let across = left * left + 4.0 * left * radius + PI * radius * radius;
    across * (long - radius) + left * left * radius + PI * left * radius * radius + TAU / 3.0 * radius.powi(3)
}

/// Between the centres of cells, where none tells of it.
#[test]
fn a_wall_thinner_than_a_cell_stops_what_does_not_fit_through_its_hole() {
    let pores = 2.2 * 2.2 * 6.0 - 2.0 * 0.02 * (2.2 * 2.2 - 0.7 * 0.7);
    // What of a ball of 0.4 mm gets through a hole of 0.7 mm lies in the square as deep as it gets in the middle.
    let most_through = 0.7 * 0.7 * (0.4 - (0.4_f64 * 0.4 - 0.35 * 0.35).sqrt());
    for cell_mm in [0.1, 0.113, 0.127] {
        let region = block([0.0; 3], [6.0, 4.0, 4.0]);
        let pierced = Part::new(&duct(&[[2.97, 2.99]], 0.7), cell_mm);
        covers(&pierced.measured(&within(&region), &THROATS), "pore.throat_x", 0.7);
        let shut = Part::new(&duct(&[[2.97, 2.99]], 0.0), cell_mm);
        says(&shut.measured(&within(&region), &THROATS), "pore.throat_x", "no open pore");
        // Through two holes of which neither lets it pass, it reaches what lies before them from either end.
        let sphere = 0.8;
        let between = Part::new(&duct(&[[1.97, 1.99], [3.97, 3.99]], 0.7), cell_mm);
        let found = between.measured(&Scope { sphere_mm: Some(sphere), ..within(&region) }, &["pore.accessible"]);
        let (reached, u) = value_and_u(&found["pore.accessible"]);
        let least = (swept_in_duct(2.2, 1.97, 0.5 * sphere) + swept_in_duct(2.2, 2.01, 0.5 * sphere)) / pores;
        let most = least + 2.0 * most_through / pores;
        println!("{reached} ± {u}, from {least} to {most}");
        assert!(least - u <= reached && reached <= most + u, "{reached} ± {u}, from {least} to {most}");
    }
}

#[test]
fn an_envelope_of_three_cells_has_no_throat() {
    let part = Part::new(&hollow_block(0.8), 0.1);
    let thin = block([2.0, 0.0, 0.0], [2.3, 4.0, 4.0]);
    let found = part.measured(&within(&thin), &THROATS);
    says(&found, "pore.throat_x", "0.300 mm long along x");
    says(&found, "pore.throat_y", "no open pore");
}

/// Balls in simple cubic order, 2 mm apart.
pub(super) fn balls(radius_mm: f64, pose: &Pose) -> Solid {
    let places = (0..27).map(|n| Vector3::new((n % 3) as f64, (n / 3 % 3) as f64, (n / 9) as f64) * 2.0);
    Solid::Union(places.map(|at| Solid::Ball { centre: Point3::from(at), radius_mm }).collect()).moved(*pose)
}

/// The share of the pores of balls in simple cubic order that a smaller sphere reaches which fits through the windows between four, and not between
/// two balls. It rolls around the neck between two, its centre on a circle about their axis, and leaves there what lies between the balls and the torus that
/// it sweeps; three necks a ball.
pub(super) fn reached_between_balls(pitch: f64, ball: f64, sphere: f64) -> f64 {
    const STEPS: usize = 10_000;
    let half = 0.5 * pitch;
    let around = ((ball + sphere).powi(2) - half * half).sqrt();
    let touches = half * sphere / (ball + sphere);
    let step = touches / STEPS as f64;
    let left = |z: f64| (around - (sphere * sphere - z * z).sqrt()).powi(2) - (ball * ball - (half - z).powi(2)).max(0.0);
    let neck = TAU * step * (0..STEPS).map(|n| left((n as f64 + 0.5) * step)).sum::<f64>();
    let cap = (ball - half).max(0.0);
    let lens = TAU * cap * cap * (3.0 * ball - cap) / 3.0;
    let pores = pitch.powi(3) - (2.0 * TAU / 3.0 * ball.powi(3) - 3.0 * lens);
    1.0 - 3.0 * neck / pores
}

/// The same of a larger sphere, which goes no farther than the windows of a cube of eight cells: its centre stays outside. So it holds a place if
/// one of the centres next to it that touch a ball, two or three does and lies outside. Counted in one of the cells, which are alike.
pub(super) fn reached_from_outside(pitch: f64, ball: f64, sphere: f64) -> f64 {
    const ALONG: usize = 110;
    let keeps = ball + sphere;
    let middles: Vec<Vector3<f64>> = (0..8).map(|n| Vector3::new((n % 2) as f64, (n / 2 % 2) as f64, (n / 4) as f64) * pitch).collect();
    let is_free = |c: &Vector3<f64>| c.min() <= 0.0 && middles.iter().all(|m| (c - m).norm() >= keeps - 1e-9);
    let pairs: Vec<[Vector3<f64>; 2]> = (0..8).flat_map(|n| (0..n).map(move |m| [m, n])).map(|pair| pair.map(|n| middles[n])).collect();
    // The circle on which a centre touches both of two balls: middle, axis and radius.
    let circle = |[a, b]: &[Vector3<f64>; 2]| {
        let across = 0.5 * (b - a);
        let square = keeps * keeps - across.norm_squared();
        (square > 0.0).then(|| (a + across, across.normalize(), square.sqrt()))
    };
    let from_axis = |p: &Vector3<f64>, middle: &Vector3<f64>, axis: &Vector3<f64>| p - middle - axis * axis.dot(&(p - middle));
    let circles: Vec<_> = pairs.iter().filter_map(circle).collect();
    // Where it meets those at the distance `keeps` from a third.
    let corners = |(middle, axis, radius): &(Vector3<f64>, Vector3<f64>, f64), third: &Vector3<f64>| {
        let aside = from_axis(third, middle, axis);
        let along = (middle.metric_distance(third).powi(2) + radius * radius - keeps * keeps) / (2.0 * aside.norm());
        let up = axis.cross(&aside.normalize()) * (radius * radius - along * along).sqrt();
        [up, -up].map(|up| middle + aside.normalize() * along + up)
    };
    let corners: Vec<_> = circles.iter().flat_map(|c| middles.iter().flat_map(|m| corners(c, m))).filter(is_free).collect();
    let holds = |p: &Vector3<f64>| {
        let touching_one = middles.iter().map(|m| m + (p - m).normalize() * keeps);
        let touching_two = circles.iter().map(|(middle, axis, radius)| middle + from_axis(p, middle, axis).normalize() * *radius);
        let is_near = |c: &Vector3<f64>| (c - p).norm() < sphere;
        corners.iter().any(is_near) || touching_one.chain(touching_two).any(|c| is_near(&c) && is_free(&c))
    };
    let at = |n: usize| (n as f64 + 0.5) * pitch / ALONG as f64;
    let places = (0..ALONG.pow(3)).map(|n| Vector3::new(at(n % ALONG), at(n / ALONG % ALONG), at(n / (ALONG * ALONG))));
    let pores: Vec<Vector3<f64>> = places.filter(|p| middles.iter().all(|m| (p - m).norm() > ball)).collect();
    pores.iter().filter(|p| p.min() < sphere && holds(p)).count() as f64 / pores.len() as f64
}

/// Close to the throat, on cells of several sizes and turned against them: reached just below it, and not just above.
#[test]
fn spheres_just_below_the_throat_reach_what_just_larger_ones_do_not() {
    let throat = 2.0_f64.sqrt() * 2.0 - 2.2;
    let all = Bounds { min: Point3::from([0.0; 3]), max: Point3::from([4.0; 3]) };
    let [below, above] = [0.95 * throat, 1.05 * throat];
    // And how large the border of what is reached is inside the pores: around the necks, below the windows (mm²).
    let truths =
        [(below, reached_between_balls(2.0, 1.1, 0.5 * below), 40.0_f64), (above, reached_from_outside(2.0, 1.1, 0.5 * above), 5.5)];
    const PORES_MM3: f64 = 21.0;
    // The mesh fills the grooves between balls and lies inside of them between its vertices.
    const MESH: f64 = 0.0025;
    let bounds = Bounds { min: Point3::from([-1.3; 3]), max: Point3::from([5.3; 3]) };
    let fine = Fineness { cell_mm: 0.05, simplify_mm: None };
    let mesh = surface_mesh(&balls(1.1, &Pose::identity()), &bounds, fine).unwrap();
    let turns = [[0.0; 3], [0.0; 3], [0.0, 0.0, 0.6], [0.4, -0.3, 0.9], [-0.7, 1.1, 0.2]];
    // The plain one and two turned ones, unless there is time.
    for (turn, cell_mm) in turns.into_iter().zip([0.1, 0.117, 0.1, 0.1, 0.12]).step_by(if long() { 1 } else { 2 }) {
        let pose = Pose::from_rotation_vector(Vector3::from(turn), Vector3::new(0.31, -0.17, 0.23));
        let part = Part::new(&mesh.moved(&pose), cell_mm);
        let cube = Region::Mesh(Box::new(MeshDistance::build(&parts::cuboid(&all, 1).mesh.moved(&pose))));
        for (sphere, truth, border_mm2) in truths {
            let found = part.measured(&Scope { sphere_mm: Some(sphere), ..within(&cube) }, &["pore.accessible"]);
            let (reached, u) = value_and_u(&found["pore.accessible"]);
            // A cell at the border counts whole or not at all; of 24 places that lie alike on the cells all err alike.
            let alike = if turn == [0.0; 3] { 24.0 } else { 24.0_f64.sqrt() };
            let counting = alike * (border_mm2 / (24.0 * 12.0)).sqrt() * cell_mm * cell_mm / PORES_MM3;
            println!(
                "sphere {sphere:.3} turned by {turn:?} on cells of {cell_mm}: {reached:.4} ± {u:.4}, truth {truth:.4}, cells {counting:.4}"
            );
            let within = MESH + 2.0 * counting;
            assert!(
                (reached - truth).abs() <= within,
                "a sphere of {sphere} mm reaches {reached} ± {u}, truth {truth} ± {within}: {turn:?}"
            );
        }
        if turn == [0.0; 3] {
            let found = part.measured(&within(&cube), &[THROATS[0], THROATS[1], THROATS[2], "structure.connectivity_density"]);
            THROATS.iter().for_each(|name| covers(&found, name, throat));
            // One node and three necks a cell.
            covers(&found, "structure.connectivity_density", (1.0 + 8.0 * 2.0) / 64.0);
        }
    }
}

/// Plates of 0.4 and 0.8 mm, 1 mm apart, their faces cut into squares.
fn two_plates() -> Mesh {
    let along: Vec<f64> = (0..=80).map(|n| 0.1 * f64::from(n)).collect();
    parts::rectilinear([&along, &along, &[0.0, 0.4, 1.4, 2.2]], |c| c[2] != 1).unwrap().mesh
}

#[test]
fn two_plates_have_the_spread_the_direction_and_the_thinnest_wall_of_their_faces() {
    let part = Part::new(&two_plates(), 0.05);
    let middle = block([2.5, 2.5, 0.0], [5.5, 5.5, 2.2]);
    let names = ["wall.thickness_mean", "wall.thickness_sd", "wall.thickness_min", "pore.size_sd", "structure.anisotropy"];
    let found = part.measured(&within(&middle), &names);
    covers(&found, "wall.thickness_mean", (0.4 * 0.4 + 0.8 * 0.8) / 1.2);
    let spread = (0.4 / 1.2 * 0.8 / 1.2) * 0.4 * 0.4;
    covers(&found, "wall.thickness_sd", f64::sqrt(spread));
    covers(&found, "wall.thickness_min", 0.4);
    covers(&found, "pore.size_sd", 0.0);
    covers(&found, "structure.anisotropy", 1.0);
    // At the limit itself every pore is in or out, and U says so.
    for limits in [[0.5, 1.0], [1.0, 1.5]] {
        let found = part.measured(&Scope { within_mm: Some(limits), ..within(&middle) }, &["pore.in_range"]);
        covers(&found, "pore.in_range", 1.0);
    }
}

/// The extreme of single balls lies some four standard deviations of a diameter low: 0.03 mm here.
#[test]
fn noise_does_not_make_the_thinnest_wall_thinner_than_its_uncertainty() {
    let u_mm = 0.005;
    for seed in 0..3 {
        let noise = alter::Noise { white_sd_mm: u_mm, correlated_sd_mm: 0.0, range_mm: 1.0, seed };
        let part = Part::noisy(&alter::with_noise(&two_plates(), &noise).unwrap(), 0.05, u_mm);
        let found = part.measured(&within(&block([1.5, 1.5, -0.1], [6.5, 6.5, 2.3])), &["wall.thickness_min"]);
        covers(&found, "wall.thickness_min", 0.4);
        let (thinnest, u) = value_and_u(&found["wall.thickness_min"]);
        assert!((thinnest - 0.4).abs() < 0.02 && u < 0.05, "{thinnest} ± {u}");
    }
}

#[test]
fn a_round_pore_has_no_direction() {
    let centre = Point3::new(0.3, 0.2, 0.1);
    let solid = Solid::Ball { centre, radius_mm: 2.0 }.without(Solid::Ball { centre, radius_mm: 1.1 }, 0.0);
    let bounds = Bounds { min: centre - Vector3::repeat(2.3), max: centre + Vector3::repeat(2.3) };
    let fine = Fineness { cell_mm: 0.08, simplify_mm: None };
    let found = Part::new(&surface_mesh(&solid, &bounds, fine).unwrap(), 0.06)
        .measured(&Scope::default(), &["structure.anisotropy", "pore.size_sd", "wall.thickness_sd"]);
    for name in ["structure.anisotropy", "pore.size_sd", "wall.thickness_sd"] {
        covers(&found, name, 0.0);
    }
}
