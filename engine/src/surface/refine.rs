//! Local sub-voxel refinement of an iso-surface, and the uncertainty of what comes out.
//!
//! Each vertex moves along its smoothed normal to where the raw data, cubically interpolated, cross the level half-way between the local plateaus of
//! material and air, by at most a voxel; then by `+ sigma^2 H`, since a Gaussian blur moves the half-way level of a surface of mean curvature H
//! (outward positive) by `- sigma^2 H` to first order (Bouma et al. 2005). H is that of the blurred surface, which takes up half of
//! the next order: what remains on spheres is `0.3 sigma (sigma H)^3`; `0.8` of it is stated as the model's error, as for other shapes.
//! H comes from the first variation of area over a patch of about a voxel in radius, so noise enters at the patch's rim only.
//! A triangle that would turn over gets its corners' displacements smoothed.
//!
//! Uncertainty of a vertex: `u = noise * sqrt(sum of squared weights) / edge slope`, exact for white noise. Common offset: threshold (half the
//! difference between plateaus' modes and the local levels, and the modes' own), curvature model, blur, interpolation.
//! Known bias: walls and gaps under three blurs (flagged), radii under three blurs. Cost: some 200 bytes a vertex, 300 voxel reads.

use rayon::prelude::*;

use super::extract::IndexMesh;
use super::field::Ring;
use super::image::{ImageQuality, Scene, TWO_PI};
use super::{Artefacts, Determined, flag};
use crate::error::Error;
use crate::finding::Finding;
use crate::mesh::Mesh;
use crate::runtime::Runtime;
use crate::sum;
use crate::volume::Voxel;

type V3 = [f64; 3];

/// Vertices whose profiles make the edge blur, at most.
const PROFILES: usize = 2000;
/// Plateaus are looked for at these multiples of the edge blur.
const PLATEAU_AT: [f64; 3] = [3.0, 3.5, 4.0];
/// Bounds of the normalised grey value on the plateaus; a wall or a gap of less than about 3.5 blurs leaves them.
const PLATEAU_IN: f64 = 0.25;
/// Weight of the global level against the local one, whose weight is 1 where the whole patch has plateaus.
const GLOBAL_WEIGHT: f64 = 0.1;
/// Curvature counts up to a radius of three blurs.
const MOST_SIGMA_H: f64 = 1.0 / 3.0;

/// Direction and mean curvature (1/mm) at a vertex.
#[derive(Clone, Copy)]
struct Shape {
    normal: V3,
    curvature: f64,
}

/// What one vertex became.
#[derive(Clone, Copy)]
struct Edge {
    /// Along the normal, from the iso-surface to the local edge (mm).
    shift: f64,
    u: f64,
    flags: u8,
}

/// Places and judges the vertices. Without `adaptive` they stay on the iso-surface.
pub(super) fn settle<T: Voxel>(
    mesh: IndexMesh,
    scene: &Scene<T>,
    adaptive: bool,
    mut findings: Vec<Finding>,
    rt: &Runtime,
) -> Result<Determined, Error> {
    rt.step("refine", 0.0)?;
    let (mut points, triangles) = mesh.into_millimetres(scene.grid());
    let ring = Ring::new(points.len(), &triangles);
    let shapes = shapes(&points, &triangles, &ring);
    rt.step("refine", 0.3)?;
    let image = image_quality(scene, &points, &shapes, &mut findings);
    let levels = Levels::find(scene, &points, &shapes, (&ring, &triangles), image.edge_sigma_mm);
    rt.step("refine", 0.5)?;

    let limit = scene.grid().steps_mm().into_iter().fold(f64::INFINITY, f64::min);
    let look = Look { scene, image: &image, levels: &levels, limit };
    let place = |v: usize| if adaptive { look.refined(v, points[v], &shapes[v]) } else { look.kept(v, points[v]) };
    let mut edges: Vec<Edge> = (0..points.len()).into_par_iter().map(place).collect();
    rt.step("refine", 0.8)?;
    if adaptive {
        move_vertices(&mut points, &triangles, &ring, &shapes, &mut edges);
    }
    let u_offset_mm = u_offset(scene, &image, &levels, &shapes, adaptive);
    summarise(&edges, &mut findings);
    rt.step("refine", 1.0)?;
    Ok(Determined {
        vertex_u_mm: edges.iter().map(|e| e.u as f32).collect(),
        flags: edges.iter().map(|e| e.flags).collect(),
        mesh: Mesh::new(points.into_iter().map(Into::into).collect(), triangles)?,
        u_offset_mm,
        threshold: scene.threshold,
        image,
        findings,
    })
}

fn add(a: V3, b: V3, s: f64) -> V3 {
    [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]]
}

fn dot(a: V3, b: V3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: V3, b: V3) -> V3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// Twice the area vector of a triangle.
fn area_vector(points: &[V3], t: [u32; 3]) -> V3 {
    let [a, b, c] = t.map(|v| points[v as usize]);
    cross(add(b, a, -1.0), add(c, a, -1.0))
}

/// Normals and mean curvatures over patches. The first variation of the area of a patch is `2 H n` times its area; both are summed
/// with the same weights, and the area as that of its projection along the patch's normal, so that neither roughness nor the patch's
/// own turning counts.
fn shapes(points: &[V3], triangles: &[[u32; 3]], ring: &Ring) -> Vec<Shape> {
    let start = ring.gather(|v, t| {
        let tri = triangles[t];
        let n = area_vector(points, tri);
        let norm = dot(n, n).sqrt();
        if norm == 0.0 {
            return [0.0; 6];
        }
        let at = tri.iter().position(|&x| x as usize == v).unwrap_or(0);
        let opposite = add(points[tri[(at + 2) % 3] as usize], points[tri[(at + 1) % 3] as usize], -1.0);
        let variation = cross(n, opposite).map(|x| (0.5 * x / norm) as f32);
        let area = n.map(|x| (x / 6.0) as f32);
        [variation[0], variation[1], variation[2], area[0], area[1], area[2]]
    });
    let smooth = ring.smooth(start, triangles);
    smooth
        .into_par_iter()
        .map(|[gx, gy, gz, nx, ny, nz]| {
            let (g, n) = ([gx, gy, gz].map(f64::from), [nx, ny, nz].map(f64::from));
            let area = dot(n, n).sqrt();
            if area == 0.0 {
                return Shape { normal: [0.0; 3], curvature: 0.0 };
            }
            let normal = n.map(|x| x / area);
            Shape { normal, curvature: 0.5 * dot(g, normal) / area }
        })
        .collect()
}

fn image_quality<T: Voxel>(scene: &Scene<T>, points: &[V3], shapes: &[Shape], findings: &mut Vec<Finding>) -> ImageQuality {
    let noise = scene.noise();
    let voxel_mm = scene.grid().spacing_mm();
    let widest = voxel_mm.into_iter().fold(0.0, f64::max);
    let flattest = flattest(scene, points, shapes);
    let edge_sigma_mm = scene.edge_sigma(&flattest).unwrap_or_else(|| {
        let text = format!("no edge profile to be fitted: the edge blur is taken as one voxel, {widest:.4} mm");
        findings.push(Finding::qualify("surface.no_edge_blur", text));
        widest
    });
    let contrast = scene.modes.contrast();
    ImageQuality {
        voxel_mm,
        slices: scene.grid().dims()[2],
        edge_sigma_mm,
        noise,
        contrast,
        air: scene.modes.air,
        material: scene.modes.material,
        contrast_to_noise: contrast / noise,
        contrast_to_noise_relative_u: scene.modes_u() / contrast.abs(),
        saturation: scene.saturation,
        artefacts: Artefacts::seen(|p| scene.grey_within(p), &flattest, edge_sigma_mm, widest),
    }
}

/// Up to [`PROFILES`] vertices of the flatter half of the surface.
fn flattest<T: Voxel>(scene: &Scene<T>, points: &[V3], shapes: &[Shape]) -> Vec<(V3, V3)> {
    let stride = points.len().div_ceil(2 * PROFILES).max(1);
    let mut picked: Vec<usize> = (0..points.len()).step_by(stride).filter(|&v| !scene.is_beyond(points[v])).collect();
    picked.sort_by(|&a, &b| shapes[a].curvature.abs().total_cmp(&shapes[b].curvature.abs()).then(a.cmp(&b)));
    picked.truncate(picked.len().div_ceil(2));
    picked.into_iter().map(|v| (points[v], shapes[v].normal)).collect()
}

/// Levels half-way between the plateaus.
struct Levels {
    /// Smoothed local level and contrast with the weight of what they come from, a vertex.
    local: Vec<[f32; 3]>,
    /// Vertices in a thin wall or beside a narrow gap.
    thin: Vec<bool>,
    /// Mean of the local levels; the threshold where no vertex has plateaus.
    global: f64,
}

impl Levels {
    fn find<T: Voxel>(scene: &Scene<T>, points: &[V3], shapes: &[Shape], (ring, triangles): (&Ring, &[[u32; 3]]), sigma: f64) -> Levels {
        let mid = scene.modes.threshold();
        // Blur below the voxel size is not seen at its own scale.
        let reach = sigma.max(0.6 * libm::cbrt(scene.grid().voxel_volume_mm3()));
        let plateaus = |v: usize| {
            let (p, shape) = (points[v], &shapes[v]);
            let mean = |side: f64| PLATEAU_AT.iter().map(|m| scene.linear(add(p, shape.normal, side * m * reach)).value).sum::<f64>() / 3.0;
            let worst = |side: f64| scene.normalised(scene.linear(add(p, shape.normal, side * PLATEAU_AT[0] * reach)).value);
            let thin = worst(-1.0) < 1.0 - PLATEAU_IN || worst(1.0) > PLATEAU_IN;
            let (inner, outer) = (mean(-1.0), mean(1.0));
            let contrast = scene.normalised(inner) - scene.normalised(outer);
            let bent = shape.curvature.abs() * PLATEAU_AT[2] * reach > 0.5;
            let beyond = scene.is_beyond(add(p, shape.normal, -PLATEAU_AT[2] * reach)) || scene.is_beyond(p);
            let counts = !thin && !bent && !beyond && contrast > 0.5 && contrast.is_finite();
            let weight = f32::from(u8::from(counts));
            let level = if counts { (scene.normalised(0.5 * (inner + outer)) - scene.normalised(mid)) as f32 } else { 0.0 };
            ([level, if counts { contrast as f32 } else { 0.0 }, weight], thin && !bent)
        };
        let (local, thin): (Vec<[f32; 3]>, Vec<bool>) = (0..points.len()).into_par_iter().map(plateaus).unzip();
        let (level, weight) = sum::fold(
            local.len(),
            || (0.0, 0.0),
            |(l, w), v| (l + f64::from(local[v][0]), w + f64::from(local[v][2])),
            |a, b| (a.0 + b.0, a.1 + b.1),
        );
        let global = if weight > 0.0 { level / weight } else { 0.0 };
        Levels { local: ring.smooth(local, triangles), thin, global }
    }

    /// Normalised level less one half, and contrast, at a vertex.
    fn at(&self, v: usize) -> (f64, f64) {
        let [level, contrast, weight] = self.local[v].map(f64::from);
        let all = weight + GLOBAL_WEIGHT;
        ((level + GLOBAL_WEIGHT * self.global) / all, (contrast + GLOBAL_WEIGHT) / all)
    }
}

/// Finds the edge of one vertex.
struct Look<'a, T> {
    scene: &'a Scene<'a, T>,
    image: &'a ImageQuality,
    levels: &'a Levels,
    /// Farthest move (mm): the smallest voxel step.
    limit: f64,
}

impl<T: Voxel> Look<'_, T> {
    /// Slope of the normalised grey value at an ideal edge (1/mm).
    fn ideal_slope(&self) -> f64 {
        1.0 / (TWO_PI.sqrt() * self.image.edge_sigma_mm)
    }

    fn noise(&self) -> f64 {
        self.image.noise / self.image.contrast.abs()
    }

    /// A vertex of the iso-surface as it is: its noise is that of the linear interpolation that placed it.
    fn kept(&self, v: usize, p: V3) -> Edge {
        let cut = self.scene.is_beyond(p);
        let gain = self.scene.linear(p).noise_gain;
        let thin = if self.levels.thin[v] { flag::THIN_WALL } else { 0 };
        let flags = thin | if cut { flag::CUT } else { flag::KEPT_ISO50 };
        Edge { shift: 0.0, u: self.u(gain, self.ideal_slope(), flags), flags }
    }

    fn u(&self, gain: f64, slope: f64, flags: u8) -> f64 {
        let noise = self.noise() * gain.sqrt() / slope;
        // Between 1.5 and 3 blurs a wall's half-way level is off by up to 0.28 blurs a side, 0.1 in the mean.
        let thin = if flags & flag::THIN_WALL != 0 { 0.1 * self.image.edge_sigma_mm } else { 0.0 };
        (noise * noise + thin * thin).sqrt()
    }

    fn refined(&self, v: usize, p: V3, shape: &Shape) -> Edge {
        let kept = self.kept(v, p);
        if kept.flags & flag::CUT != 0 || shape.normal == [0.0; 3] {
            return kept;
        }
        let (level, contrast) = self.levels.at(v);
        let excess = |t: f64| self.scene.normalised(self.scene.cubic(add(p, shape.normal, t)).value) - (0.5 + level);
        let Some((t, slope)) = root(&excess, self.ideal_slope() * contrast, self.limit) else { return kept };
        let sigma = self.image.edge_sigma_mm;
        let bend = (sigma * shape.curvature).clamp(-MOST_SIGMA_H, MOST_SIGMA_H);
        let shift = (t + sigma * bend).clamp(-self.limit, self.limit);
        let ideal = self.ideal_slope() * contrast;
        let low = if slope < 0.5 * ideal { flag::LOW_CONTRAST } else { 0 };
        let flags = kept.flags & !flag::KEPT_ISO50 | flag::REFINED | low;
        // The slope found is noisy itself: it counts only where it is clearly less than the ideal one.
        let slope = if slope < 0.7 * ideal { slope.max(0.05 * ideal) } else { ideal };
        let gain = self.scene.cubic(add(p, shape.normal, t)).noise_gain;
        Edge { shift, u: self.u(gain, slope, flags), flags }
    }
}

/// Where a falling function crosses zero within `limit` of 0, and how steeply; regula falsi (Illinois) from a bracket that grows the way the
/// value at 0 points.
fn root(excess: &impl Fn(f64) -> f64, slope: f64, limit: f64) -> Option<(f64, f64)> {
    let here = excess(0.0);
    let (mut a, mut b) = ((0.0, here), (0.0, here));
    for factor in [1.5, 4.0, f64::INFINITY] {
        let t = (here / slope * factor).clamp(-limit, limit);
        let t = if t == 0.0 { 1e-3 * limit } else { t };
        b = (t, excess(t));
        if !b.1.is_finite() || a.1 * b.1 <= 0.0 {
            break;
        }
        a = b;
    }
    // A product that is not a number brackets nothing either.
    let brackets = a.1 * b.1 <= 0.0 && a.0 != b.0;
    if !brackets {
        return None;
    }
    let found = (b.1 - a.1) / (a.0 - b.0);
    for _ in 0..12 {
        if b.1.abs() < 1e-5 || a.1 == b.1 {
            break;
        }
        let t = b.0 - b.1 * (b.0 - a.0) / (b.1 - a.1);
        let c = (t, excess(t));
        a = if c.1 * b.1 <= 0.0 { b } else { (a.0, 0.5 * a.1) };
        b = c;
    }
    Some((b.0, found))
}

/// Moves all vertices, with the displacements smoothed where a triangle would turn over, and none where that is not enough.
fn move_vertices(points: &mut [V3], triangles: &[[u32; 3]], ring: &Ring, shapes: &[Shape], edges: &mut [Edge]) {
    const ROUNDS: usize = 12;
    let moved = |edges: &[Edge]| -> Vec<V3> {
        (0..points.len()).into_par_iter().map(|v| add(points[v], shapes[v].normal, edges[v].shift)).collect()
    };
    let mut at = moved(edges);
    for round in 0.. {
        let turned = |t: &&[u32; 3]| {
            dot(area_vector(points, **t), area_vector(&at, **t)) <= 0.0 && t.iter().any(|&v| edges[v as usize].shift != 0.0)
        };
        let mut corners: Vec<u32> = triangles.par_iter().filter(turned).flat_map_iter(|t| t.iter().copied()).collect();
        if corners.is_empty() {
            break;
        }
        corners.sort_unstable();
        corners.dedup();
        let mean = |&v: &u32| {
            let mut near = ring.corners(v as usize, triangles).map(|c| edges[c as usize].shift);
            let first = near.next().unwrap_or(0.0);
            let (n, s) = near.fold((1.0, first), |(n, s), d| (n + 1.0, s + d));
            s / n
        };
        let shifts: Vec<f64> = if round < ROUNDS { corners.par_iter().map(mean).collect() } else { vec![0.0; corners.len()] };
        for (&v, shift) in corners.iter().zip(shifts) {
            let edge = &mut edges[v as usize];
            edge.shift = shift;
            if round >= ROUNDS {
                edge.flags = edge.flags & !flag::REFINED | flag::KEPT_ISO50;
            }
            at[v as usize] = add(points[v as usize], shapes[v as usize].normal, shift);
        }
    }
    points.copy_from_slice(&at);
}

/// Standard uncertainty of an offset common to the whole surface (mm). Terms, each a standard deviation:
/// threshold, from how well the modes are known and, as a rectangular distribution, from what local levels say otherwise;
/// curvature model and its blur (known to 2 %), or the whole correction where it is not made; interpolation, 0.01 voxel at a blur of
/// half a voxel and falling with its fourth power.
fn u_offset<T: Voxel>(scene: &Scene<T>, image: &ImageQuality, levels: &Levels, shapes: &[Shape], adaptive: bool) -> f64 {
    let sigma = image.edge_sigma_mm;
    let per_grey = TWO_PI.sqrt() * sigma / image.contrast.abs();
    let [air, material] = scene.modes.u;
    let modes = 0.5 * (air * air + material * material).sqrt() * per_grey;
    let used = if adaptive { scene.modes.threshold() } else { scene.threshold };
    let best = scene.modes.threshold() + levels.global * image.contrast;
    let threshold = (used - best) * per_grey / 3f64.sqrt();

    let n = shapes.len().max(1) as f64;
    let bend = |v: usize| (sigma * shapes[v].curvature).clamp(-MOST_SIGMA_H, MOST_SIGMA_H);
    let mean_bend = sum::sum(shapes.len(), bend) / n;
    let mean_cube = sum::sum(shapes.len(), |v| (bend(v) * bend(v) * bend(v)).abs()) / n;
    let model = if adaptive { 0.8 * sigma * mean_cube } else { sigma * mean_bend };
    let blur = 2.0 * ImageQuality::EDGE_SIGMA_RELATIVE_U * sigma * mean_bend;
    let voxel = libm::cbrt(scene.grid().voxel_volume_mm3());
    let coarse = 0.5 * voxel / sigma;
    let interpolation = 0.01 * voxel * (coarse * coarse * coarse * coarse).min(10.0);
    [modes, threshold, model, blur, interpolation].iter().map(|u| u * u).sum::<f64>().sqrt()
}

fn summarise(edges: &[Edge], findings: &mut Vec<Finding>) {
    let share = |bit: u8| edges.iter().filter(|e| e.flags & bit != 0).count() as f64 / edges.len().max(1) as f64;
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let mut tell = |bit: u8, least: f64, code: &str, text: &str| {
        let part = share(bit);
        if part > least {
            findings.push(Finding::qualify(code, format!("{} of the surface vertices {text}", percent(part))));
        }
    };
    tell(
        flag::THIN_WALL,
        0.0,
        "surface.thin_wall",
        "lie on walls or gaps thinner than about three times the edge blur, where the surface is biased",
    );
    tell(
        flag::LOW_CONTRAST,
        0.0,
        "surface.low_contrast",
        "lie on edges less than half as steep as the image's blur and contrast make them",
    );
    tell(flag::CUT, 0.0, "surface.cut", "lie where material reaches the border of the volume: no edge of the part");
}
