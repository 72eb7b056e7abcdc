//! Local sub-voxel refinement of an iso-surface, and the uncertainty of what comes out.
//!
//! Each vertex moves along its smoothed normal to the edge that the raw voxels around it show ([`super::place`]), then by `+ sigma² H`,
//! since a Gaussian blur moves a surface of mean curvature H (outward positive) by `- sigma² H` to first order (Bouma et al. 2005). H is
//! that of the refined surface, over a patch of about a voxel in radius. A triangle that would turn over gets its displacements smoothed.
//!
//! Stages touch either the voxels within reach of one vertex (looks, edges) or the mesh alone (shapes, levels, displacement), so that
//! slabs of a volume give the same bits as the whole. Known bias: see the stages. Cost: [`BYTES_PER_VERTEX`].

use rayon::prelude::*;

use super::displace::displace;
use super::edge;
use super::extract::IndexMesh;
use super::field::Ring;
use super::image::{Bundle, Geometry, Greys, Scene, TWO_PI};
use super::place::{self, Bent, Edge, Placing};
use super::plateaus::{self, Levels, Look, View};
use super::quality::{self, Common, ImageQuality, Noise, PROFILES, Shown};
use super::reach::{self, Places};
use super::rod::{self, Rod};
use super::shape::{CURVATURE_ROUNDS, Shape, patch_variance, shapes};
use super::space::{V3, add, area_vector, dot};
use super::{Artefacts, Determined, Unresolved, flag};
use crate::error::Error;
use crate::finding::Finding;
use crate::frame::Grid;
use crate::mesh::{Bulge, Mesh};
use crate::runtime::Runtime;
use crate::segment::{Modes, SegmentError};
use crate::sum;
use crate::volume::{Slices, Voxel};

/// Memory while refining, at most: points and triangles 48, ring 28, shapes 32, levels 8, edges 16, and in turn moved points with what finds
/// their shapes 68, normals and bulge 72.
pub const BYTES_PER_VERTEX: usize = 204;

/// Curvature counts up to a radius of three blurs.
const MOST_SIGMA_H: f64 = 1.0 / 3.0;
/// The quality of the image is first looked for so many voxels along the normals.
const FIRST_REACH: f64 = 80.0;
/// Vertices whose bundles tell how correlated noise adds up.
const CORRELATED: usize = 300;

/// What is asked for.
pub(super) struct Task<'a> {
    pub adaptive: bool,
    /// Normalised modes from air upwards, and which of them is the lowest of the part.
    pub modes: &'a [f64],
    pub boundary: usize,
    pub noise: Option<Noise>,
    /// Whether another iso-surface may be asked for.
    pub may_move: bool,
}

/// Where the edges of an iso-surface lead.
pub(super) enum Settled {
    Surface(Box<Determined>),
    /// To another iso-surface, since what lies inside this one is not the mode that it was drawn for.
    Elsewhere(Modes),
}

/// Places and judges the vertices. Unless adaptive they stay on the iso-surface.
pub(super) fn settle<T: Voxel>(
    mesh: IndexMesh,
    slices: &Slices<T>,
    greys: &Greys,
    task: &Task,
    mut findings: Vec<Finding>,
    rt: &Runtime,
) -> Result<Settled, Error> {
    rt.step("refine", 0.0)?;
    let (mut points, triangles) = mesh.into_millimetres(slices.grid());
    let ring = Ring::new(points.len(), &triangles);
    let first = shapes(&points, &triangles, &ring, CURVATURE_ROUNDS);
    rt.step("refine", 0.2)?;
    let picked = Picked::of(slices.grid(), &points, &first, (&ring, &triangles));
    let (widest, _) = Geometry::new(slices.grid()).steps();
    let held_bytes = (BYTES_PER_VERTEX * points.len()) as u64;
    let lines: Vec<(V3, V3)> = picked.flat.iter().chain(&picked.rods).map(normal).collect();
    let near = Places::Along { lines: &lines, reach_mm: FIRST_REACH * widest };
    let (image, common, more) = reach::with(slices, greys, &near, held_bytes, rt, |scene| image_quality(scene, &picked, task))?.0;
    if let Some(modes) = common.elsewhere(&greys.modes).filter(|_| task.may_move) {
        return Ok(Settled::Elsewhere(modes));
    }
    findings.extend(more);
    if task.adaptive && !greys.modes.from_peaks && !common.is_fitted {
        let [min, max] = [greys.modes.air, greys.modes.material];
        return Err(SegmentError::NoContrast { min, max, found: "a peak of air alone and no edges that agree on a material".into() }.into());
    }
    let sigma = image.edge_sigma_mm;

    let near = Places::Around { points: &points, reach_mm: 8.0 * sigma + 4.0 * widest };
    let placed = |scene: &Scene<T>| place_all(scene, &image, &common, task, (&points, &first), (&ring, &triangles), rt);
    let (placed, scene) = reach::with(slices, greys, &near, held_bytes, rt, placed)?;
    let (mut edges, mixed, levels) = placed?;
    let radius = place::bundle_radius(&scene);
    rt.step("refine", 0.8)?;
    let squares = |v: usize| f64::from(edges[v].u) * f64::from(edges[v].u);
    let mean_variance = sum::sum(edges.len(), squares) / edges.len().max(1) as f64;
    let common_variance =
        sum::sum(edges.len(), |v| f64::from(edges[v].common_u) * f64::from(edges[v].common_u)) / edges.len().max(1) as f64;
    let mut bends = vec![];
    if task.adaptive {
        let moved: Vec<V3> =
            (0..points.len()).into_par_iter().map(|v| add(points[v], first[v].normal(), f64::from(edges[v].shift))).collect();
        let rounds = curvature_rounds(sigma / scene.voxel());
        bends = shapes(&moved, &triangles, &ring, rounds);
        let bending = Bending { sigma, aside: radius * radius / 8.0, patch: patch_variance(&moved, &triangles, rounds) };
        edges.par_iter_mut().zip(first.par_iter().zip(&bends)).for_each(|(edge, (before, after))| bending.correct(edge, before, after));
        displace(&mut points, &triangles, &ring, &first, &mut edges, scene.voxel());
    }
    let area_mm2 = sum::sum(triangles.len(), |t| 0.5 * area_vector(&points, triangles[t]).map(|x| x * x).iter().sum::<f64>().sqrt());
    let bends = if task.adaptive { bends } else { first };
    // What walls feel of blur and contrast beyond the mean of the surface is theirs alone.
    edges.par_iter_mut().for_each(|edge| {
        let [u, common] = [edge.u, edge.common_u].map(f64::from);
        edge.u = (u * u + (common * common - common_variance).max(0.0)).sqrt() as f32;
    });
    let surface = Surface {
        shapes: &bends,
        edges: &edges,
        area_mm2,
        mean_variance,
        common_variance,
        blur_u: common.blur_u(),
        guessed_level_u: common.guessed_level_u(),
    };
    let u_offset_mm = u_offset(&scene, &image, &levels, &surface, task);
    edges.iter_mut().zip(&mixed).filter(|(_, mixed)| **mixed).for_each(|(edge, _)| edge.flags |= flag::MIXED);
    summarise(&edges, &mut findings);
    rt.step("refine", 1.0)?;
    let facet_loss_mm3 = facet_loss(&points, &triangles, &bends);
    let mesh = Mesh::new(points.into_iter().map(Into::into).collect(), triangles)?;
    Ok(Settled::Surface(Box::new(Determined {
        vertex_u_mm: edges.iter().map(|e| e.u).collect(),
        flags: edges.iter().map(|e| e.flags).collect(),
        bulge: Bulge::of(&mesh),
        mesh,
        u_offset_mm,
        facet_loss_mm3,
        threshold: greys.threshold,
        grid: *slices.grid(),
        unresolved: Unresolved::of(slices, &image, rt)?,
        image,
        findings,
    })))
}

/// What became of each vertex on the voxels at hand, whether it lies where materials meet, and the levels.
fn place_all<T: Voxel>(
    scene: &Scene<T>,
    image: &ImageQuality,
    common: &Common,
    task: &Task,
    (points, first): (&[V3], &[Shape]),
    (ring, triangles): (&Ring, &[[u32; 3]]),
    rt: &Runtime,
) -> Result<(Vec<Edge>, Vec<bool>, Levels), Error> {
    let sigma = image.edge_sigma_mm;
    let look = look(scene, task, image, sigma);
    let mut views: Vec<View> = (0..points.len()).into_par_iter().map(|v| look.at(scene, points[v], &first[v])).collect();
    // Where three materials meet, plateaus of all three are within four blurs; an edge of the iso-surface is some 0.7 voxels.
    let rounds = libm::ceil(3.0 * sigma / (0.7 * scene.voxel())) as usize;
    let mixed = plateaus::mixed(&mut views, task.modes.len() > 2, rounds, (ring, triangles));
    let levels = Levels::new(&views, image.relative_noise(), common.usual(), (ring, triangles));
    rt.step("refine", 0.4)?;
    let (_, least) = scene.steps();
    let radius = place::bundle_radius(scene);
    let mut placing = Placing {
        image,
        radius,
        limit: least.max(1.25 * sigma),
        inflation: [1.0; 3],
        u_level: levels.u,
        common: common.beside(&levels),
        alone_too: levels.seen == 0.0,
    };
    placing.inflation = inflation(scene, image, points, first, radius);
    let edges = (0..points.len())
        .into_par_iter()
        .map_init(Vec::new, |near, v| {
            if !task.adaptive {
                return placing.kept(scene, points[v], &views[v]);
            }
            let rod = views[v].shows_rod(&first[v], sigma).then(|| Rod::around(v, first, (ring, triangles))).flatten();
            placing.refined(scene, near, (points[v], &first[v]), (&views[v], rod), &levels.model(v, &views[v], task.modes, sigma))
        })
        .collect();
    Ok((edges, mixed, levels))
}

fn bend(sigma: f64, shape: &Shape) -> f64 {
    (sigma * shape.curvature()).clamp(-MOST_SIGMA_H, MOST_SIGMA_H)
}

/// Blurred edges show nothing finer than their blur, so curvature may come from patches that grow with it.
fn curvature_rounds(blur_voxels: f64) -> usize {
    (CURVATURE_ROUNDS as f64 * (blur_voxels * blur_voxels).clamp(1.0, 3.0)) as usize
}

/// What curvature does to edges.
struct Bending {
    sigma: f64,
    /// Half the mean square distance of a bundle's voxels from its axis (mm²).
    aside: f64,
    /// Variance of the patch that curvature comes from (mm²).
    patch: f64,
}

impl Bending {
    /// Takes back what the blur did to a curved edge, and gives a bundle the curvature of the refined surface in place of that of the
    /// iso-surface, which has more noise.
    fn correct(&self, edge: &mut Edge, before: &Shape, after: &Shape) {
        let [old, new] = [before, after].map(|shape| bend(self.sigma, shape) / self.sigma);
        let variance = self.sigma * self.sigma;
        // The blurred surface is a parallel of the true one, and bent the more (exact for a ball).
        let blur = variance * new / (1.0 + variance * new * new);
        if edge.flags & flag::REFINED != 0 {
            let by = match edge.bent {
                Bent::Not => blur + self.aside * (new - old),
                Bent::Given => (variance + self.aside) * (new - old),
                Bent::Found => return,
            };
            edge.shift = (f64::from(edge.shift) + by) as f32;
            edge.u = (f64::from(edge.u) * self.roughening().sqrt()) as f32;
        } else if edge.flags & (flag::LOCAL_ISO50 | flag::STEEPEST) != 0 {
            edge.shift = (f64::from(edge.shift) + blur) as f32;
        }
    }

    /// Factor on the variance of a vertex, since its own noise bends the surface the way it moves it. With Gaussian kernels of variance s²
    /// for the bundle and m² for the patch it is the integral of `(1 + c k²/2 · exp(-k² m²/2))² exp(-k² s²)` over that of `exp(-k² s²)`.
    fn roughening(&self) -> f64 {
        let (s, m, c) = (self.aside, self.patch, self.sigma * self.sigma + self.aside);
        let (half, whole) = (s + 0.5 * m, s + m);
        1.0 + c * s / (half * half) + 0.5 * c * c * s / (whole * whole * whole)
    }
}

fn look<'a, T: Voxel>(scene: &Scene<T>, task: &Task<'a>, image: &ImageQuality, sigma: f64) -> Look<'a> {
    let start = (scene.threshold - scene.modes.air) / scene.modes.contrast();
    let ahead = if task.adaptive { edge::quantile(start.clamp(0.02, 0.98)) } else { 0.0 };
    Look { modes: task.modes, boundary: task.boundary, blur: sigma.max(0.6 * scene.voxel()), noise: image.relative_noise(), ahead }
}

/// Also what the edges of the flattest vertices have in common.
fn image_quality<T: Voxel>(scene: &Scene<T>, picked: &Picked, task: &Task) -> (ImageQuality, Common, Vec<Finding>) {
    let (widest, _) = scene.steps();
    let mut findings = vec![];
    let normals: Vec<(V3, V3)> = picked.flat.iter().map(normal).collect();
    let quality = |sigma: f64| ImageQuality::new(scene, task.noise, sigma);
    let first = quality::first_blur(scene, &normals);
    let inside = quality::inside(scene, &normals, first.unwrap_or(widest)) - 3.0 * quality(widest).relative_noise();
    let fitted = first.and_then(|first| common_edges(scene, picked, task, first));
    // A material darker than what lies inside is a chance find on edges without plateaus.
    let common = fitted.filter(|c| c.model.low + c.model.contrast > inside - quality::MODE_OFF).unwrap_or_else(|| {
        let sigma = first.unwrap_or_else(|| {
            let text = format!("no edge profile to be fitted: the edge blur is taken as one voxel, {widest:.4} mm");
            findings.push(Finding::qualify("surface.no_edge_blur", text));
            widest
        });
        Common::guessed(sigma, inside)
    });
    let sigma = common.model.sigma;
    let voxel_mm = scene.grid().spacing_mm().into_iter().fold(0.0, f64::max);
    let artefacts = Artefacts::seen(|p| scene.grey_within(p), &normals, sigma, voxel_mm);
    (ImageQuality { artefacts, ..quality(sigma) }, common, findings)
}

/// From struts, where they are most of what there is; from the edges that stand alone, where one in twenty does; otherwise from walls and gaps,
/// whose far sides are part of the model.
fn common_edges<T: Voxel>(scene: &Scene<T>, picked: &Picked, task: &Task, first: f64) -> Option<Common> {
    let quality = ImageQuality::new(scene, task.noise, first);
    let radius = place::bundle_radius(scene);
    let shown = |picked: &[Place], blur: f64| -> Vec<(View, Shown)> {
        let look = look(scene, task, &quality, blur);
        let one = |(p, shape, rod): &Place| {
            let view = look.at(scene, *p, shape);
            (view, (*p, *shape, view.edges(f64::INFINITY, rod.filter(|_| view.shows_rod(shape, blur)), blur)))
        };
        picked.par_iter().map(one).collect()
    };
    // Thin walls make the first value too large, and the larger it is the fewer edges stand alone.
    const GUESSES: [f64; 6] = [1.0, 0.67, 0.45, 0.3, 0.2, 0.13];
    let alone = |guess: f64| {
        let alone: Vec<Shown> = shown(&picked.flat, guess).into_iter().filter(|(view, _)| view.stands_alone()).map(|(_, s)| s).collect();
        let enough = alone.len() * 20 >= picked.flat.len();
        let common = enough.then(|| quality::blur(scene, &alone, guess, radius, &quality))??;
        // Whether they stand alone at the blur found, too.
        (common.model.sigma < 1.25 * guess).then_some(common)
    };
    // The far side of a wall is its parallel; that of a strut is not.
    const FLAT: f64 = 0.1;
    let walls = |guess: f64| {
        let flat = |(_, shape, _): &Shown| (guess * shape.curvature()).abs() < FLAT;
        let walls: Vec<Shown> = shown(&picked.flat, guess).into_iter().map(|(_, s)| s).filter(flat).collect();
        let enough = walls.len() * 20 >= picked.flat.len();
        let common = enough.then(|| quality::blur(scene, &walls, guess, radius, &quality))??;
        (common.model.sigma < 1.5 * guess).then_some(common)
    };
    // Struts that do not look like rods at the blur found are none. A Gaussian of half a voxel has a third of itself beyond what voxels sample:
    // rods thin and sharp look like thicker ones of less contrast.
    const SAMPLED: f64 = 0.5;
    let rods = |guess: f64| {
        let both = |(_, _, edges): &Shown| edges.rod.is_some() && edges.wall.is_some();
        let rods: Vec<Shown> = shown(&picked.rods, guess).into_iter().map(|(_, s)| s).filter(both).collect();
        let enough = 2 * rods.len() >= picked.flat.len();
        let common = enough.then(|| quality::blur(scene, &rods, guess, radius, &quality))??;
        let (sigma, least) = (common.model.sigma, SAMPLED * scene.voxel());
        let leaves_noise = place::can_be_noise(common.residual, quality.relative_noise(), &common.model);
        (sigma > least && sigma < 1.5 * guess && leaves_noise).then_some(common)
    };
    // Voxels average over their own width, a standard deviation of 0.29 of it: bundles of less reach no plateau, and fit any contrast.
    const LEAST: f64 = 0.25;
    let (widest, _) = scene.steps();
    let guesses = || GUESSES.iter().enumerate().filter(|(n, g)| *n == 0 || **g * first > LEAST * widest).map(|(_, g)| g * first);
    guesses().take(2).find_map(rods).or_else(|| guesses().find_map(alone)).or_else(|| guesses().take(3).find_map(walls))
}

/// A vertex, and the strut that it lies on.
type Place = (V3, Shape, Option<Rod>);

/// A point of the surface and the direction outward.
fn normal((p, shape, _): &Place) -> (V3, V3) {
    (*p, shape.normal())
}

/// Vertices that tell what the image is like.
struct Picked {
    /// Up to [`PROFILES`] of the flatter half of the surface.
    flat: Vec<Place>,
    /// Up to twice as many on struts.
    rods: Vec<Place>,
}

impl Picked {
    fn of(grid: &Grid, points: &[V3], shapes: &[Shape], (ring, triangles): (&Ring, &[[u32; 3]])) -> Picked {
        // Thicker struts than of twenty voxels radius have plateaus within.
        const LEAST: f64 = 0.05;
        let geometry = Geometry::new(grid);
        let (widest, _) = geometry.steps();
        let stride = points.len().div_ceil(2 * PROFILES).max(1);
        let picked = (0..points.len()).step_by(stride).filter(|&v| !geometry.is_beyond(points[v]));
        let is_bent = |shape: &Shape| rod::across(shape) >= LEAST / widest;
        let rod = |v: usize| is_bent(&shapes[v]).then(|| Rod::around(v, shapes, (ring, triangles))).flatten();
        let place = |v: usize| (points[v], shapes[v], rod(v));
        let mut flat: Vec<Place> = picked.map(place).collect();
        let rods = flat.iter().filter(|(_, _, rod)| rod.is_some()).copied().collect();
        // Equals stay in their order.
        flat.sort_by(|(_, a, _), (_, b, _)| a.curvature.abs().total_cmp(&b.curvature.abs()));
        flat.truncate(flat.len().div_ceil(2));
        Picked { flat, rods }
    }
}

/// Factor of the noise's correlation on the variance of an edge whose normal lies along each axis of the world: least squares over some bundles.
fn inflation<T: Voxel>(scene: &Scene<T>, image: &ImageQuality, points: &[V3], shapes: &[Shape], radius: f64) -> V3 {
    if image.noise_correlation == [[0.0; 3]; 3] {
        return [1.0; 3];
    }
    let sigma = image.edge_sigma_mm;
    let model = edge::Model { low: 0.0, contrast: 1.0, sigma };
    let stride = points.len().div_ceil(CORRELATED).max(1);
    let one = |v: usize| {
        let normal = shapes[v].normal();
        let mut near = vec![];
        scene.bundle(
            &Bundle { point: points[v], normal, curvature: 0.0, straight: None, along: [-2.5 * sigma, 2.5 * sigma], radius },
            &mut near,
        );
        let factor = image.inflation(&near, &edge::parts(&near, &model, 0.0));
        factor.is_finite().then_some((normal.map(|x| x * x), factor))
    };
    let found: Vec<(V3, f64)> = (0..points.len()).step_by(stride).collect::<Vec<_>>().into_par_iter().filter_map(one).collect();
    let mean = found.iter().map(|f| f.1).sum::<f64>() / found.len().max(1) as f64;
    let (mut normal, mut right) = ([[0.0; 3]; 3], [0.0; 3]);
    for (squares, factor) in &found {
        for a in 0..3 {
            right[a] += squares[a] * (factor - mean);
            (0..3).for_each(|b| normal[a][b] += squares[a] * squares[b]);
        }
    }
    // Directions that the surface does not have follow the mean.
    (0..3).for_each(|a| normal[a][a] += 0.05 * found.len() as f64);
    let apart = edge::solve_shared(&normal, &right).unwrap_or([0.0; 3]);
    if found.is_empty() { [1.0; 3] } else { apart.map(|x| (mean + x).max(0.1)) }
}

/// Standard uncertainty of an offset common to the whole surface (mm). Terms, each a standard deviation, from phantoms where they are
/// not derived: level, what averages of plateaus leave of the noise and a tenth of what they say against the modes; or all of that where
/// the threshold of the modes is used. Noise of the edges that the whole surface does not average out. Curvature model, `0.3 sigma
/// (sigma H)³`, and the blur in it; or the whole correction where it is not made. Sampling, 0.001 voxel at a blur of half a voxel and
/// falling with its fourth power; of thin struts what [`THIN_STRUTS`] says; without refinement the interpolation's, ten times that.
fn u_offset<T: Voxel>(scene: &Scene<T>, image: &ImageQuality, levels: &Levels, surface: &Surface, task: &Task) -> f64 {
    let (sigma, noise, voxel) = (image.edge_sigma_mm, image.relative_noise(), scene.voxel());
    let coarse = 0.5 * voxel / sigma;
    let sampling = 0.001 * voxel * (coarse * coarse * coarse * coarse).min(10.0);
    let n = surface.shapes.len().max(1) as f64;
    // What is left to the correction for curvature: of struts whose radius was found nothing, of others the blur that it takes.
    let bend = |v: usize| if surface.edges[v].bent == Bent::Found { 0.0 } else { bend(sigma, &surface.shapes[v]) };
    let ball = |v: usize| if surface.edges[v].bent == Bent::Not { bend(v).abs() } else { 0.0 };
    let departure = levels.means[0];
    let mean_bend = sum::sum(surface.shapes.len(), bend) / n;
    if !task.adaptive {
        let per_level = TWO_PI.sqrt() * sigma;
        let [air, material] = scene.modes.u;
        let modes = 0.5 * (air * air + material * material).sqrt() * per_level / image.contrast.abs();
        let used = (scene.threshold - scene.modes.threshold()) / image.contrast;
        let level = (used - departure) * per_level / 3f64.sqrt();
        // Where neither plateaus nor edges bear the modes out, they are what they are guessed to be.
        let guessed = if levels.seen > 0.0 { 0.0 } else { surface.guessed_level_u * per_level };
        return root_of_squares(&[modes, level, guessed, sigma * mean_bend, 10.0 * sampling]);
    }
    let per_level = 2.0 * (0.5 * TWO_PI).sqrt() * sigma;
    // The plateaus' samples cover a layer of a blur and the reach of linear interpolation on either side.
    let averaged = noise * (0.5 * voxel * voxel * voxel / (levels.seen * surface.area_mm2 * (1.3 * voxel + sigma))).sqrt();
    // Without plateaus the level is one of the things that all edges have in common.
    let level = if levels.seen > 0.0 { per_level * root_of_squares(&[averaged, 0.1 * departure]) } else { 0.0 };
    let edges = (surface.mean_variance * place::noise_area(place::bundle_radius(scene)) / surface.area_mm2).sqrt();
    let mean_cube = sum::sum(surface.shapes.len(), |v| ball(v) * ball(v) * ball(v)) / n;
    let blur = 2.0 * surface.blur_u * sigma * mean_bend;
    let thin = THIN_STRUTS * sigma * (median_cube(surface.shapes.len(), ball) - LEAST_CUBE).max(0.0);
    root_of_squares(&[level, edges, 0.3 * sigma * mean_cube, blur, thin, sampling, surface.common_variance.sqrt()])
}

/// Where most of a part is struts of less than ten blurs, nothing shows the blur and the material unbent: edges behind edges that are not their
/// parallels leave an error of up to so many blurs times the cube of `sigma H` beyond the least (lattices of struts of 4 to 11 blurs).
const THIN_STRUTS: f64 = 15.0;
const LEAST_CUBE: f64 = 0.001;

/// Volume between facets and the curved surface through their corners (mm³): a facet with sides a, b, c on a surface of mean curvature H
/// lies inside it by `H (a² + b² + c²) / 24` in the mean. No sphere through its corners is smaller than that about its longest side, so H is at
/// most two over that: specks of a few facets have patches without area, whose curvature is any number.
fn facet_loss(points: &[V3], triangles: &[[u32; 3]], shapes: &[Shape]) -> f64 {
    let loss = |t: usize| {
        let [a, b, c] = triangles[t].map(|v| points[v as usize]);
        let sides = [(a, b), (b, c), (c, a)].map(|(p, q)| add(p, q, -1.0));
        let n = area_vector(points, triangles[t]);
        let squares = sides.map(|s| dot(s, s));
        let most = 2.0 / squares.into_iter().fold(0.0, f64::max).sqrt();
        let curvature = triangles[t].iter().map(|&v| shapes[v as usize].curvature()).sum::<f64>() / 3.0;
        0.5 * dot(n, n).sqrt() * curvature.clamp(-most, most) * squares.iter().sum::<f64>() / 24.0
    };
    sum::sum(triangles.len(), loss)
}

/// What the common uncertainty takes of a surface.
struct Surface<'a> {
    shapes: &'a [Shape],
    edges: &'a [Edge],
    area_mm2: f64,
    /// Mean square of the vertices' standard uncertainties from noise, without that of their curvature, whose mean is none (mm²).
    mean_variance: f64,
    /// Mean square of what they feel of blur, contrast and level (mm²).
    common_variance: f64,
    /// Relative standard uncertainty of the blur.
    blur_u: f64,
    /// Standard uncertainty of the half-way level where no edges were fitted, in parts of the contrast.
    guessed_level_u: f64,
}

/// Cube of the median of `|sigma H|` of so many vertices: edges and corners of a part that is flat elsewhere do not count.
fn median_cube(vertices: usize, bend: impl Fn(usize) -> f64) -> f64 {
    let mut bends: Vec<f32> = (0..vertices).map(|v| bend(v) as f32).collect();
    if bends.is_empty() {
        return 0.0;
    }
    let (_, median, _) = bends.select_nth_unstable_by(vertices / 2, f32::total_cmp);
    let bend = f64::from(*median);
    bend * bend * bend
}

fn root_of_squares(terms: &[f64]) -> f64 {
    terms.iter().map(|u| u * u).sum::<f64>().sqrt()
}

fn summarise(edges: &[Edge], findings: &mut Vec<Finding>) {
    let share = |bit: u16| edges.iter().filter(|e| e.flags & bit != 0).count() as f64 / edges.len().max(1) as f64;
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let mut tell = |bit: u16, least: f64, code: &str, text: &str| {
        let part = share(bit);
        if part > least {
            findings.push(Finding::qualify(code, format!("{} of the surface vertices {text}", percent(part))));
        }
    };
    tell(
        flag::THIN_WALL,
        0.0,
        "surface.thin_wall",
        "lie on walls or gaps thinner than three times the edge blur, whose thickness rests on the blur and the contrast of the rest",
    );
    tell(
        flag::LOW_CONTRAST,
        0.0,
        "surface.low_contrast",
        "lie on edges less than half as steep as the image's blur and contrast make them",
    );
    tell(
        flag::NOT_MEASURABLE,
        0.0,
        "surface.not_measurable",
        "lie on walls or gaps thinner than one and a half times the edge blur, which cannot be measured",
    );
    tell(flag::MIXED, 0.0, "surface.mixed", "lie near a line where three materials meet, where no level is half-way");
    tell(flag::CUT, 0.0, "surface.cut", "lie where material reaches the border of the volume: no edge of the part");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_facet_lacks_no_more_than_a_sphere_about_its_longest_side_would() {
        let points = [[0.0; 3], [0.2, 0.0, 0.0], [0.0, 0.2, 0.0]];
        let with = |curvature: f32| facet_loss(&points, &[[0, 1, 2]], &[Shape { normal: [0.0, 0.0, 1.0], curvature }; 3]);
        // Of a ball of 1 mm: area 0.02 mm², sides whose squares sum up to 0.16 mm².
        assert!((with(1.0) - 0.02 * 0.16 / 24.0).abs() < 1e-12);
        let most = with((2.0 / 0.08f64.sqrt()) as f32);
        assert!((with(1e12) - most).abs() < 1e-6 * most && (with(-1e12) + most).abs() < 1e-6 * most);
    }
}
