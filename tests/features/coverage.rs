//! How often the stated U of dimensions covers the truth, over repeated scans of one part with noise that neighbours share.
//!
//! All are stated to cover 95 % or more. Of fits the noise counts as stated and as the residuals show it; of form U is what noise alone would
//! measure on a perfect surface at most; of magnitudes that are 0, U covers any direction that they might have.

use nalgebra::{Point3, Vector3};
use verimetry_engine::case::{Case, Feature, Part};
use verimetry_engine::mesh::Mesh;
use verimetry_engine::order::{AlignmentMethod, FeatureOrder};
use verimetry_engine::quantities::{self, Scope};
use verimetry_engine::region::Region;
use verimetry_engine::runtime::Runtime;

use super::*;

/// Standard deviation of the noise of a point, and the distance beyond which it is independent, mm.
const NOISE_MM: f64 = 0.01;
const NOISE_LENGTH_MM: f64 = 1.2;
/// Standard deviation and length of artefacts that nobody states, mm.
const WAVE_MM: f64 = 0.008;
const WAVE_LENGTH_MM: f64 = 1.5;

/// Noise of unit variance: the mean of white noise over a cube, as bundles of voxels average it.
fn bundled(seed: u64, p: &Point3<f64>) -> f64 {
    const SIDE: i64 = 4;
    let first = p.coords.map(|x| (x * SIDE as f64 / NOISE_LENGTH_MM).floor() as i64);
    let key = |k: i64| {
        [k % SIDE, k / SIDE % SIDE, k / SIDE / SIDE].into_iter().zip(first.iter()).fold(seed, |h, (d, f)| noise::hash(h, (f + d) as u64))
    };
    let white = |k: i64| noise::uniform(key(k), 0) + noise::uniform(key(k), 1) - 1.0;
    // Each is the sum of two even ones, of variance 1/6.
    (0..SIDE * SIDE * SIDE).map(white).sum::<f64>() * (6.0 / (SIDE * SIDE * SIDE) as f64).sqrt()
}

/// A smooth field of unit variance with a Gaussian kernel: waves of random directions and lengths.
struct Waves(Vec<(Vector3<f64>, f64)>);

impl Waves {
    fn new(seed: u64) -> Waves {
        let wave = |k: u64| {
            let n = |a: u64| noise::normal(seed, 4 * k + a) / WAVE_LENGTH_MM;
            (Vector3::new(n(0), n(1), n(2)), std::f64::consts::TAU * noise::uniform(seed ^ 0x51, k))
        };
        Waves((0..60).map(wave).collect())
    }
    fn at(&self, p: &Point3<f64>) -> f64 {
        let sum: f64 = self.0.iter().map(|(w, phase)| libm::cos(w.dot(&p.coords) + phase)).sum();
        sum * (2.0 / self.0.len() as f64).sqrt()
    }
}

/// Vertices, their outward normals and triangles of patches of ideal surface.
#[derive(Default)]
struct Scene {
    points: Vec<Point3<f64>>,
    normals: Vec<Vector3<f64>>,
    triangles: Vec<[u32; 3]>,
}

impl Scene {
    /// A patch over a rectangle of two parameters in equal steps; `turned` where the first runs backwards seen from outside.
    fn add(&mut self, spans: [[f64; 2]; 2], steps: [u32; 2], turned: bool, at: impl Fn(f64, f64) -> (Point3<f64>, Vector3<f64>)) {
        let first = self.points.len() as u32;
        for j in 0..=steps[1] {
            for i in 0..=steps[0] {
                let along =
                    |k: u32, axis: usize| spans[axis][0] + (spans[axis][1] - spans[axis][0]) * f64::from(k) / f64::from(steps[axis]);
                let (p, n) = at(along(i, 0), along(j, 1));
                self.points.push(p);
                self.normals.push(n);
            }
        }
        let corner = |i: u32, j: u32| first + j * (steps[0] + 1) + i;
        for (i, j) in (0..steps[1]).flat_map(|j| (0..steps[0]).map(move |i| (i, j))) {
            for t in [[corner(i, j), corner(i + 1, j), corner(i + 1, j + 1)], [corner(i, j), corner(i + 1, j + 1), corner(i, j + 1)]] {
                self.triangles.push(if turned { [t[0], t[2], t[1]] } else { t });
            }
        }
    }
}

/// Plate and base 12 mm apart, shaft and pin 14 mm apart, a ball and a cone, each a patch of a scan with steps of about 0.6 mm.
fn scene() -> Scene {
    let mut s = Scene::default();
    let flat = |z: f64, up: f64| move |x: f64, y: f64| (Point3::new(x, y, z), Vector3::z() * up);
    s.add([[0.0, 20.0], [0.0, 14.0]], [32, 22], false, flat(0.0, 1.0));
    s.add([[0.0, 20.0], [0.0, 14.0]], [32, 22], true, flat(-12.0, -1.0));
    let tube = |x: f64, r: f64| {
        move |a: f64, z: f64| {
            let n = Vector3::new(libm::cos(a), libm::sin(a), 0.0);
            (Point3::new(40.0 + x, 7.0, z) + n * r, n)
        }
    };
    s.add([[0.0, 5.5], [-7.0, 7.0]], [46, 22], false, tube(0.0, 5.0));
    s.add([[0.0, 5.5], [-7.0, 7.0]], [28, 22], false, tube(14.0, 3.0));
    s.add([[0.0, 5.5], [-1.2, 0.9]], [36, 18], false, |a, b| {
        let n = Vector3::new(libm::cos(a) * libm::cos(b), libm::sin(a) * libm::cos(b), libm::sin(b));
        (Point3::new(40.0, 30.0, 5.0) + n * 4.0, n)
    });
    let half = 0.35_f64;
    s.add([[0.0, 5.5], [-5.0, 5.0]], [42, 17], false, move |a, z| {
        let out = Vector3::new(libm::cos(a), libm::sin(a), 0.0);
        (Point3::new(10.0, 40.0, z) + out * (5.0 + z * libm::tan(half)), out * libm::cos(half) - Vector3::z() * libm::sin(half))
    });
    s
}

/// A feature to fit: name, kind, datum, true place, region.
struct Fitted(&'static str, &'static str, Option<&'static str>, Option<[f64; 3]>, Region);

fn fits() -> Vec<Fitted> {
    let boxed = |min: [f64; 3], max: [f64; 3]| Region::Box { min: Point3::from(min), max: Point3::from(max) };
    vec![
        Fitted("plate", "plane", Some("base"), None, boxed([-1.0, -1.0, -1.0], [21.0, 15.0, 1.0])),
        Fitted("base", "plane", None, None, boxed([-1.0, -1.0, -13.0], [21.0, 15.0, -11.0])),
        Fitted("shaft", "cylinder", Some("base"), Some([40.0, 7.0, 0.0]), boxed([34.0, 1.0, -8.0], [46.0, 13.0, 8.0])),
        Fitted("pin", "cylinder", Some("shaft"), None, boxed([50.0, 3.0, -8.0], [58.0, 11.0, 8.0])),
        Fitted("ball", "sphere", Some("shaft"), Some([40.0, 30.0, 5.0]), boxed([35.0, 25.0, 0.0], [45.0, 35.0, 10.0])),
        Fitted("taper", "cone", None, None, boxed([2.0, 32.0, -6.0], [18.0, 48.0, 6.0])),
        Fitted("collar", "circle", Some("shaft"), None, boxed([34.0, 1.0, -0.7], [46.0, 13.0, 0.7])),
    ]
}

/// Quantity and truth.
type Wanted = (&'static str, f64);

/// Hits of every quantity over repeats, with the mean U.
fn hits(wanted: &[Wanted], repeats: u64, seed: u64, wave_mm: f64) -> Vec<(usize, f64)> {
    let (scene, rt, fits) = (scene(), Runtime::cpu(), fits());
    let mut found = vec![(0, 0.0); wanted.len()];
    for repeat in 0..repeats {
        let (seed, waves) = (noise::hash(seed, repeat), Waves::new(noise::hash(seed, repeat ^ 0x77)));
        let scanned = scene.points.iter().zip(&scene.normals).map(|(p, n)| p + n * (NOISE_MM * bundled(seed, p) + wave_mm * waves.at(p)));
        let mesh = Mesh::new(scanned.collect(), scene.triangles.clone()).unwrap();
        // The offset common to all points and the scale are known: what is left is fitted through noise.
        let mut part = Part::from_mesh(mesh, NOISE_MM, 0.0);
        (part.offset_u_mm, part.noise_length_mm) = (0.0, NOISE_LENGTH_MM);
        let feature = |Fitted(name, fit, datum, at, _): &Fitted| FeatureOrder {
            name: (*name).into(),
            fit: (*fit).into(),
            datum: datum.map(Into::into),
            at: *at,
            filter: Some(1.0),
            ..FeatureOrder::default()
        };
        let features = fits.iter().map(|r| Feature { order: feature(r), region: Some(&r.4), patch: None }).collect();
        let case = Case::new(&rt, None, Some(part), None).aligned_by(AlignmentMethod::None, None).with_features(features);
        for ((name, truth), found) in wanted.iter().zip(&mut found) {
            let entry = quantities::entry(&format!("dimension.{name}")).unwrap();
            let scope = Scope { feature: name.split('.').next(), ..Scope::default() };
            let measured = entry.measure(&case, &scope).unwrap();
            let (value, u) = measured.value().zip(measured.standard_uncertainty()).unwrap_or_else(|| panic!("{name}: {measured:?}"));
            found.0 += usize::from((value - truth).abs() <= 2.0 * u);
            found.1 += 2.0 * u / repeats as f64;
        }
    }
    found
}

/// Fewest hits of `n` that a share of 93 % leaves likely: below lies one case in a hundred thousand.
fn fewest(n: u64) -> usize {
    let (share, mut log_choose, mut below) = (0.93, 0.0, 0.0);
    for k in 0..=n {
        if k > 0 {
            log_choose += libm::log((n - k + 1) as f64) - libm::log(k as f64);
        }
        // By logarithms, so that none vanishes.
        below += libm::exp(log_choose + k as f64 * libm::log(share) + (n - k) as f64 * libm::log(1.0 - share));
        if below > 1e-5 {
            return k as usize;
        }
    }
    0
}

/// A thousand with `VERIMETRY_LONG=1`, more or fewer with that number, and a few without.
fn repeats() -> u64 {
    match std::env::var("VERIMETRY_LONG").map(|n| n.parse()) {
        Ok(Ok(1)) => 1000,
        Ok(Ok(n)) => n,
        _ => 8,
    }
}

fn covered(what: &str, wanted: &[Wanted], seed: u64, wave_mm: f64) {
    let repeats = repeats();
    let found = hits(wanted, repeats, seed, wave_mm);
    for ((name, _), (hits, u)) in wanted.iter().zip(&found) {
        println!("{what:20} {name:28} {:5.1} % of {repeats}, U {u:.5}", 100.0 * *hits as f64 / repeats as f64);
    }
    for ((name, _), (hits, _)) in wanted.iter().zip(&found) {
        assert!(*hits >= fewest(repeats), "{what}, {name}: {hits} of {repeats}, allowed are {} or more", fewest(repeats));
    }
}

#[test]
fn the_uncertainty_of_fitted_sizes_places_and_directions_covers_the_truth_as_often_as_it_says() {
    let wanted: Vec<Wanted> = vec![
        ("plate.distance", 12.0),
        ("shaft.diameter", 10.0),
        ("shaft.angle", 90.0),
        ("pin.diameter", 6.0),
        ("pin.distance", 14.0),
        ("ball.diameter", 8.0),
        ("ball.distance", 23.0),
        ("taper.angle", 0.7_f64.to_degrees()),
        ("collar.diameter", 10.0),
        // Magnitudes that are 0.
        ("plate.angle", 0.0),
        ("pin.angle", 0.0),
        ("pin.parallelism", 0.0),
        ("shaft.position", 0.0),
        ("ball.position", 0.0),
    ];
    if repeats() > 8 {
        covered("noise", &wanted, 1, 0.0);
    }
    covered("noise and artefacts", &wanted, 2, WAVE_MM);
}

#[test]
fn the_uncertainty_of_form_covers_the_truth_as_often_as_it_says() {
    let wanted: Vec<Wanted> = vec![
        ("plate.flatness", 0.0),
        ("shaft.cylindricity", 0.0),
        ("ball.sphericity", 0.0),
        ("taper.form", 0.0),
        ("collar.roundness", 0.0),
        ("plate.parallelism", 0.0),
        ("shaft.diameter_inscribed", 10.0),
        ("shaft.diameter_circumscribed", 10.0),
    ];
    covered("noise", &wanted, 3, 0.0);
}
