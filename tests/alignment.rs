//! Alignment from any pose, what it cannot know, and shrinkage, against moved and scaled parts.

use nalgebra::{Point3, Vector3};
use verimetry_engine::align::{self, Alignment};
use verimetry_engine::distance::MeshDistance;
use verimetry_engine::frame::Pose;
use verimetry_engine::mesh::Mesh;
use verimetry_engine::runtime::Runtime;

/// SplitMix64.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
    fn vector(&mut self) -> Vector3<f64> {
        Vector3::new(self.next(), self.next(), self.next()) * 2.0 - Vector3::repeat(1.0)
    }
    /// Standard normal (Box & Muller 1958).
    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.next()).ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos()
    }
    fn pose(&mut self) -> Pose {
        let axis = loop {
            let v = self.vector();
            if (0.01..1.0).contains(&v.norm_squared()) {
                break v.normalize();
            }
        };
        let angle = if self.next() < 0.2 { std::f64::consts::PI } else { std::f64::consts::TAU * self.next() };
        Pose::from_rotation_vector(axis * angle, self.vector() * 100.0)
    }
}

/// The closed surface of the cells (mm, integers) for which `solid` holds, each cell face divided into `n` × `n` squares.
fn cells(extent: [i32; 3], n: i32, solid: impl Fn([i32; 3]) -> bool) -> Mesh {
    let inside = |c: [i32; 3]| (0..3).all(|a| (0..extent[a]).contains(&c[a])) && solid(c);
    let mut index = std::collections::BTreeMap::new();
    let (mut vertices, mut triangles) = (Vec::new(), Vec::new());
    for i in 0..extent[0] {
        for j in 0..extent[1] {
            for k in 0..extent[2] {
                for (axis, side) in (0..3).flat_map(|a| [(a, 0), (a, 1)]).filter(|_| inside([i, j, k])) {
                    let mut other = [i, j, k];
                    other[axis] += 2 * side - 1;
                    if inside(other) {
                        continue;
                    }
                    let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
                    for (p, q) in (0..n).flat_map(|p| (0..n).map(move |q| (p, q))) {
                        let mut corner = |dp: i32, dq: i32| {
                            let mut at = [i * n, j * n, k * n];
                            at[axis] += side * n;
                            at[u] += p + dp;
                            at[v] += q + dq;
                            *index.entry(at).or_insert_with(|| {
                                vertices.push(Point3::from(at.map(|x| f64::from(x) / f64::from(n))));
                                vertices.len() as u32 - 1
                            })
                        };
                        let q = [corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 1)];
                        let quad = if side == 1 { q } else { [q[0], q[3], q[2], q[1]] };
                        triangles.extend([[quad[0], quad[1], quad[2]], [quad[0], quad[2], quad[3]]]);
                    }
                }
            }
        }
    }
    Mesh::new(vertices, triangles).unwrap()
}

/// A stepped L with a square hole off its middle: no symmetry at all.
fn bracket(n: i32) -> Mesh {
    cells([10, 7, 6], n, |[i, j, k]| (k < 2 || (i < 3 && k < 5) || (i < 2 && j < 4)) && !(i >= 6 && i < 8 && j >= 1 && j < 3) && !(i == 9 && j > 4))
}

fn hollow_block(n: i32) -> Mesh {
    cells([12, 8, 5], n, |[i, j, k]| (k < 3 || i < 7 || j < 3) && !((2..6).contains(&i) && (2..6).contains(&j) && (1..3).contains(&k)))
}

fn sphere(radius: f64, rings: i32) -> Mesh {
    // A cube of cells pushed out onto the sphere.
    let cube = cells([1, 1, 1], rings, |_| true);
    let vertices = cube.vertices().iter().map(|p| Point3::from((p - Point3::new(0.5, 0.5, 0.5)).normalize() * radius)).collect();
    Mesh::new(vertices, cube.triangles().to_vec()).unwrap()
}

fn map(mesh: &Mesh, f: impl FnMut(&Point3<f64>) -> Point3<f64>) -> Mesh {
    Mesh::new(mesh.vertices().iter().map(f).collect(), mesh.triangles().to_vec()).unwrap()
}

fn fit(nominal: &Mesh, actual: &Mesh) -> Alignment {
    align::best_fit(&MeshDistance::build(nominal), actual, None, &Runtime::cpu()).unwrap()
}

/// Rotation (degrees) and the largest displacement of the nominal's vertices (mm) between found and true pose.
fn errors(nominal: &Mesh, found: &Pose, truth: &Pose) -> (f64, f64) {
    let off = found.then(&truth.inverse());
    (off.angle().to_degrees(), nominal.vertices().iter().map(|p| (off.apply(p) - p).norm()).fold(0.0, f64::max))
}

fn long() -> bool {
    std::env::var("VERIMETRY_LONG").is_ok_and(|v| v == "1")
}

#[test]
fn random_poses_with_10_um_noise_are_recovered_to_a_hundredth_of_a_degree_and_5_um() {
    let mut noise = Noise(11);
    let (nominal, actual) = (bracket(3), bracket(5));
    let distance = MeshDistance::build(&nominal);
    for k in 0..if long() { 200 } else { 24 } {
        let moved_by = noise.pose();
        let noisy = map(&actual.moved(&moved_by), |p| p + Vector3::new(noise.normal(), noise.normal(), noise.normal()) * 0.010);
        let a = align::best_fit(&distance, &noisy, None, &Runtime::cpu()).unwrap();
        let (degrees, mm) = errors(&nominal, &a.nominal_from_actual, &moved_by.inverse());
        assert!(degrees < 0.01 && mm < 0.005, "pose {k}: {degrees} degrees, {mm} mm, rms {}, {:?}", a.rms_mm, a.second_best_rms_mm);
        assert!(a.converged && !a.ambiguous && !a.mirrored && a.free_dofs == 0, "pose {k}: {:?} {:?}", a.ambiguities, a.converged);
    }
}

#[test]
fn without_noise_the_pose_is_exact() {
    let mut noise = Noise(12);
    let part = bracket(4);
    let moved_by = noise.pose();
    let a = fit(&part, &part.moved(&moved_by));
    let (degrees, mm) = errors(&part, &a.nominal_from_actual, &moved_by.inverse());
    assert!(degrees.to_radians() < 1e-8 && mm < 1e-6 && a.rms_mm < 1e-7, "{degrees} {mm} {}", a.rms_mm);
}

#[test]
fn shrunken_parts_and_parts_with_material_missing_find_their_pose() {
    let mut noise = Noise(13);
    let nominal = bracket(3);
    let shrunken = map(&bracket(4), |p| Point3::from(p.coords * 0.97));
    let broken = cells([10, 7, 6], 4, |[i, j, k]| i < 7 && (k < 2 || (i < 3 && k < 5) || (i < 2 && j < 4)) && !(i == 6 && (1..3).contains(&j)));
    for (actual, allowed) in [(shrunken, 2.0), (broken, 4.0)] {
        for _ in 0..4 {
            let moved_by = noise.pose();
            let a = fit(&nominal, &actual.moved(&moved_by));
            let (degrees, _) = errors(&nominal, &a.nominal_from_actual, &moved_by.inverse());
            assert!(degrees < allowed, "{degrees} degrees, rms {}", a.rms_mm);
            assert!(!a.mirrored);
        }
    }
}

#[test]
fn what_a_shape_does_not_hold_is_said() {
    let ball = sphere(5.0, 16);
    let a = fit(&ball, &ball.moved(&Noise(14).pose()));
    assert_eq!(a.free_dofs, 3);
    assert!(a.ambiguous);

    let cube = cells([4, 4, 4], 4, |_| true);
    let a = fit(&cube, &cube.moved(&Noise(15).pose()));
    assert!(a.ambiguous && a.free_dofs == 0, "{a:?}");
    assert!(a.ambiguities[0].starts_with("23 other poses"), "{:?}", a.ambiguities);

    let rod = map(&sphere(1.0, 20), |p| {
        let r = (p.x * p.x + p.y * p.y).sqrt().max(1e-12);
        let stretch = 1.0 / r.max(p.z.abs()); // onto the can of radius and half height 1
        Point3::new(2.0 * p.x * stretch, 2.0 * p.y * stretch, 5.0 * p.z * stretch)
    });
    let a = fit(&rod, &rod.moved(&Noise(16).pose()));
    assert!(a.ambiguous && a.free_dofs == 1, "{} {:?}", a.free_dofs, a.ambiguities);
}

#[test]
fn a_mirrored_part_is_called_one_and_its_original_is_not() {
    let nominal = bracket(3);
    let mirrored = Mesh::new(
        nominal.vertices().iter().map(|p| Point3::new(-p.x, p.y, p.z)).collect(),
        nominal.triangles().iter().map(|t| [t[0], t[2], t[1]]).collect(),
    )
    .unwrap();
    assert!(fit(&nominal, &mirrored.moved(&Noise(17).pose())).mirrored);
    assert!(!fit(&nominal, &nominal.moved(&Noise(17).pose())).mirrored);
}

#[test]
fn only_the_region_aligns() {
    // The upper steps are displaced by 0.2 mm; aligned on the base alone, the base fits exactly.
    let nominal = bracket(4);
    let actual = map(&nominal, |p| if p.z > 1.9 { p + Vector3::new(0.2, 0.0, 0.0) } else { *p });
    let base = |p: &Point3<f64>| p.z < 1.5;
    let distance = MeshDistance::build(&nominal);
    let a = align::best_fit(&distance, &actual.moved(&Noise(18).pose()), Some(&base), &Runtime::cpu()).unwrap();
    assert!(a.rms_mm < 1e-6 && a.converged, "{}", a.rms_mm);
    let nowhere = |_: &Point3<f64>| false;
    let e = align::best_fit(&distance, &actual, Some(&nowhere), &Runtime::cpu()).unwrap_err();
    assert_eq!(e.code, "align.too_few_points");
    let e = align::best_fit(&distance, &actual.scaled(25.4), None, &Runtime::cpu()).unwrap_err();
    assert_eq!(e.code, "align.sizes");
}

#[test]
fn the_pose_has_the_same_bits_on_one_thread_and_on_many() {
    let mut noise = Noise(19);
    let nominal = bracket(3);
    let actual = map(&bracket(6).moved(&noise.pose()), |p| p + noise.vector() * 0.02);
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| fit(&nominal, &actual));
    let (one, many) = (on(1), on(5));
    assert_eq!(one.nominal_from_actual, many.nominal_from_actual);
    assert_eq!(one.covariance, many.covariance);
    assert_eq!(one.rms_mm.to_bits(), many.rms_mm.to_bits());
}

/// A smooth random field with the covariance exp(−d²/2ℓ²), by random Fourier features (Rahimi & Recht 2007).
fn form_error(noise: &mut Noise, length_mm: f64, sigma_mm: f64) -> impl Fn(&Point3<f64>) -> f64 + use<> {
    let waves: Vec<(Vector3<f64>, f64)> = (0..200)
        .map(|_| (Vector3::new(noise.normal(), noise.normal(), noise.normal()) / length_mm, std::f64::consts::TAU * noise.next()))
        .collect();
    move |p| sigma_mm * (2.0 / 200.0_f64).sqrt() * waves.iter().map(|(k, phase)| (k.dot(&p.coords) + phase).cos()).sum::<f64>()
}

#[test]
fn the_stated_covariance_covers_the_pose_error_under_correlated_form_error() {
    let nominal = bracket(3);
    let distance = MeshDistance::build(&nominal);
    let dense = bracket(8);
    let normals = dense.vertex_normals();
    let mut noise = Noise(20);
    let draws = if long() { 150 } else { 12 };
    let (mut covered, mut total) = (0, 0);
    for _ in 0..draws {
        let field = form_error(&mut noise, 1.5, 0.02);
        let mut i = 0;
        let actual = map(&dense, |p| {
            i += 1;
            p + normals[i - 1] * (field(p) + 0.005 * noise.normal())
        });
        let a = align::local_fit(&distance, &actual, &Pose::identity(), None, &Runtime::cpu()).unwrap();
        assert!(nalgebra::Cholesky::new(a.covariance).is_some(), "positive definite");
        let shift = a.nominal_from_actual.apply(&a.centre) - a.centre;
        let r = a.nominal_from_actual.rotation;
        let turn = Vector3::new(r[(2, 1)] - r[(1, 2)], r[(0, 2)] - r[(2, 0)], r[(1, 0)] - r[(0, 1)]) * 0.5;
        for k in 0..3 {
            covered += usize::from(turn[k].abs() < 1.96 * a.covariance[(k, k)].sqrt()) + usize::from(shift[k].abs() < 1.96 * a.covariance[(k + 3, k + 3)].sqrt());
            total += 2;
        }
    }
    let share = covered as f64 / total as f64;
    println!("coverage {share} of {total}");
    let (low, high) = if long() { (0.92, 0.985) } else { (0.84, 1.0) }; // 72 draws, not independent: 3 s.d. below 95 % is 0.84
    assert!((low..=high).contains(&share), "coverage {share}");
}
