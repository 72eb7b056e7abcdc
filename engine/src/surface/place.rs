//! Where the edge at a vertex lies: the estimators in their order, and what each leaves uncertain.
//!
//! 1. The error-function edge, on struts the edge of a blurred rod, fitted to the voxels of a bundle around the normal, two voxels in radius: a
//!    third of the noise of a single profile, and no interpolation. With the far side of a wall or a gap within five blurs the model has that edge too, its blur and
//!    contrast given (Treece et al. 2010): right from three blurs, stated and flagged down to one and a half, not measurable below.
//! 2. Where the bundle does not look like its model: the local half-way level on a single cubic profile.
//! 3. Where no plateaus make a level: the steepest point of that profile.
//! 4. The vertex of the iso-surface.
//!
//! Accepts the voxels within reach of one vertex and nothing else. Cost: some 60 voxels a vertex, 3 steps; reach 8 blurs and 3 voxels.

use super::edge::{self, Edges, Fit, Model};
use super::flag;
use super::image::{Near, Scene, TWO_PI};
use super::plateaus::View;
use super::quality::ImageQuality;
use super::rod::Rod;
use super::shape::Shape;
use super::space::{V3, add, dot};
use crate::volume::Voxel;

/// Radius of a bundle, in edges of a cube of a voxel's volume.
const BUNDLE: f64 = 2.0;
/// A bundle reaches so many blurs beyond its edges.
const REACH: f64 = 2.5;
/// A far side within so many blurs is part of the model.
const NEAR_SIDE: f64 = 5.2;
/// Walls are stated above the first of these thicknesses and trusted from the second, in blurs.
const WALL: [f64; 2] = [1.5, 3.0];
/// A bundle leaves at most this part of the contrast unexplained, beside noise.
const MISFIT: f64 = 0.06;

/// What one vertex became.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    /// Along the normal, from the iso-surface to the local edge (mm).
    pub shift: f32,
    /// Standard uncertainty from noise (mm).
    pub u: f32,
    /// Standard uncertainty from blur, contrast and level, which all edges have in common (mm).
    pub common_u: f32,
    pub flags: u16,
    pub bent: Bent,
}

/// How a fit took the bending of the surface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bent {
    /// As that of a ball, whose edge is taken for flat.
    Not,
    /// As that of a strut of the radius that goes with the curvature of the iso-surface.
    Given,
    /// As that of a strut whose radius was found.
    Found,
}

/// What all vertices share.
pub(super) struct Placing<'a> {
    pub image: &'a ImageQuality,
    /// Radius of a bundle, farthest move (mm).
    pub radius: f64,
    pub limit: f64,
    /// Factor on the standard uncertainty from correlated noise, for normals along each axis of the world, squared.
    pub inflation: V3,
    /// Standard uncertainty of the local level in parts of the contrast.
    pub u_level: f64,
    /// Covariance of blur (mm), contrast and lower plateau; and whether edges that stand alone feel it, having no plateaus to make their level.
    pub common: [[f64; 3]; 3],
    pub alone_too: bool,
}

/// Radius of the bundles on a grid (mm).
pub(super) fn bundle_radius<T: Voxel>(scene: &Scene<T>) -> f64 {
    BUNDLE * scene.voxel()
}

/// Whether the root mean square that a model leaves of its bundle can be noise, beside [`MISFIT`].
pub(super) fn can_be_noise(residual: f64, noise: f64, model: &Model) -> bool {
    residual * residual <= (2.0 * noise) * (2.0 * noise) + (MISFIT * model.contrast) * (MISFIT * model.contrast)
}

/// Area over which the noise of vertices averages (mm²): the integral of the correlation of two bundles over their distance.
pub(crate) fn noise_area(radius: f64) -> f64 {
    0.5 * TWO_PI * radius * radius * 5.0 / 9.0
}

impl Placing<'_> {
    fn noise(&self) -> f64 {
        self.image.relative_noise()
    }

    fn sigma(&self) -> f64 {
        self.image.edge_sigma_mm
    }

    /// A vertex of the iso-surface as it is: its noise is that of the linear interpolation that placed it.
    pub fn kept<T: Voxel>(&self, scene: &Scene<T>, p: V3, view: &View) -> Edge {
        let [wall, gap] = [view.wall_mm, view.gap_mm].map(f64::from);
        let cut = scene.is_beyond(p);
        let thin = if !cut && wall.min(gap) < WALL[1] * self.sigma() { flag::THIN_WALL } else { 0 };
        let flags = thin | if cut { flag::CUT } else { flag::KEPT_ISO50 };
        // Between 1.5 and 3 blurs a wall's half-way level is off by up to 0.28 blurs a side, 0.1 in the mean.
        let bias = if thin != 0 { 0.1 * self.sigma() } else { 0.0 };
        let noise = self.noise() * scene.linear(p).noise_gain.sqrt() * self.per_level(1.0);
        Edge { shift: 0.0, u: (noise * noise + bias * bias).sqrt() as f32, common_u: 0.0, flags, bent: Bent::Not }
    }

    /// Movement of the half-way level of a single profile with the level (mm per part of the contrast).
    fn per_level(&self, contrast: f64) -> f64 {
        TWO_PI.sqrt() * self.sigma() / contrast
    }

    pub fn refined<T: Voxel>(
        &self,
        scene: &Scene<T>,
        near: &mut Vec<Near>,
        (p, shape): (V3, &Shape),
        (view, rod): (&View, Option<Rod>),
        model: &Model,
    ) -> Edge {
        let kept = self.kept(scene, p, view);
        if kept.flags & flag::CUT != 0 || shape.normal == [0.0; 3] {
            return kept;
        }
        let profile = Profile { scene, p, normal: shape.normal(), limit: self.limit };
        let edges = |rod| view.edges(NEAR_SIDE * self.sigma(), rod, self.sigma());
        let mut bundled = |rod| self.bundled(scene, near, (p, shape), edges(rod), model);
        rod.and_then(|rod| bundled(Some(rod)))
            .or_else(|| bundled(None))
            .or_else(|| self.unmeasurable(&kept, view))
            .or_else(|| self.half_way(&profile, &kept, model))
            .or_else(|| self.steepest(&profile, &kept, model))
            .unwrap_or(kept)
    }

    fn bundled<T: Voxel>(
        &self,
        scene: &Scene<T>,
        near: &mut Vec<Near>,
        (p, shape): (V3, &Shape),
        mut edges: Edges,
        model: &Model,
    ) -> Option<Edge> {
        let sigma = self.sigma();
        let normal = shape.normal();
        let mut centre = 0.0;
        let mut found: Option<Fit> = None;
        for _ in 0..3 {
            let from = edges.wall.unwrap_or(edges.at) - REACH * sigma;
            let to = edges.gap.unwrap_or(edges.at) + REACH * sigma;
            let bundle = edges.bundle((add(p, normal, centre), shape), sigma, [from - centre, to - centre], self.radius);
            scene.bundle(&bundle, near);
            near.iter_mut().for_each(|v| v.t += centre);
            let fit = edge::fit(near, model, edges)?;
            let moved = (fit.edges.at - edges.at).abs();
            edges = fit.edges;
            centre = edges.at;
            found = Some(fit);
            if edges.at.abs() > self.limit {
                return None;
            }
            if moved < 0.15 * sigma {
                break;
            }
        }
        let fit = found?;
        if !can_be_noise(fit.residual, self.noise(), model) {
            return None;
        }
        self.judged(&fit, model, normal)
    }

    /// Flags and uncertainty of a bundle's edge.
    fn judged(&self, fit: &Fit, model: &Model, normal: V3) -> Option<Edge> {
        let sigma = self.sigma();
        let Edges { at, wall, gap, rod } = fit.edges;
        let thinnest = wall.map_or(f64::INFINITY, |e| at - e).min(gap.map_or(f64::INFINITY, |e| e - at));
        if thinnest < WALL[0] * sigma {
            return None;
        }
        let thin = if thinnest < WALL[1] * sigma { flag::THIN_WALL } else { 0 };
        let low = if fit.strength < 0.5 || model.contrast < 0.5 { flag::LOW_CONTRAST } else { 0 };
        let inflation = dot(self.inflation, [0, 1, 2].map(|a| normal[a] * normal[a]));
        let white = self.noise() * fit.noise_gain;
        let level = self.u_level * 2.0 * (0.5 * TWO_PI).sqrt() * sigma / model.contrast;
        let u = (white * white * inflation + level * level).sqrt();
        // Edges that stand alone do not feel blur and contrast, and take their level from plateaus where there are any.
        let feels = self.alone_too || wall.is_some() || gap.is_some();
        let common_u = if feels { edge::quadratic(&self.common, &fit.per_shared).max(0.0).sqrt() } else { 0.0 };
        let bent = match (rod, wall) {
            (None, _) => Bent::Not,
            (Some(_), None) => Bent::Given,
            (Some(_), Some(_)) => Bent::Found,
        };
        Some(Edge { shift: at as f32, u: u as f32, common_u: common_u as f32, flags: flag::REFINED | thin | low, bent })
    }

    /// A wall or a gap whose far side is so near that blur and thickness cannot be told apart.
    fn unmeasurable(&self, kept: &Edge, view: &View) -> Option<Edge> {
        // The half-way levels of a wall of 1.5 blurs lie 0.93 blurs apart; those of one of 2, 1.87.
        let near = f64::from(view.wall_mm.min(view.gap_mm)) < 1.4 * self.sigma();
        let u = (0.5 * self.sigma()) as f32;
        near.then_some(Edge { u, flags: kept.flags & !flag::KEPT_ISO50 | flag::THIN_WALL | flag::NOT_MEASURABLE, ..*kept })
    }

    fn half_way<T: Voxel>(&self, profile: &Profile<T>, kept: &Edge, model: &Model) -> Option<Edge> {
        let ideal = 1.0 / self.per_level(model.contrast);
        let (t, slope) = profile.crossing(model.low + 0.5 * model.contrast, ideal)?;
        (slope > 0.25 * ideal).then(|| self.single(profile, kept, (t, slope), ideal, flag::LOCAL_ISO50))
    }

    fn steepest<T: Voxel>(&self, profile: &Profile<T>, kept: &Edge, model: &Model) -> Option<Edge> {
        let ideal = 1.0 / self.per_level(model.contrast);
        let (t, slope) = profile.steepest(0.25 * self.sigma())?;
        (slope > 0.25 * ideal).then(|| self.single(profile, kept, (t, slope), ideal, flag::STEEPEST))
    }

    fn single<T: Voxel>(&self, profile: &Profile<T>, kept: &Edge, (t, slope): (f64, f64), ideal: f64, how: u16) -> Edge {
        let low = if slope < 0.5 * ideal { flag::LOW_CONTRAST } else { 0 };
        let gain = profile.scene.cubic(add(profile.p, profile.normal, t)).noise_gain;
        // The slope found is noisy itself: it counts only where it is clearly less than the ideal one. What the bundle did not like
        // about the place, the model's misfit, is taken to move the level too.
        let slope = if slope < 0.7 * ideal { slope } else { ideal };
        let inflation = dot(self.inflation, [0, 1, 2].map(|a| profile.normal[a] * profile.normal[a])).min(1.0);
        let (noise, misfit) = (self.noise() * (gain * inflation).sqrt() / slope, MISFIT * ideal.recip() * 0.4);
        let u = (noise * noise + misfit * misfit).sqrt();
        Edge { shift: t as f32, u: u as f32, flags: kept.flags & !flag::KEPT_ISO50 | how | low, ..*kept }
    }
}

/// A single profile along a normal.
struct Profile<'a, T> {
    scene: &'a Scene<'a, T>,
    p: V3,
    normal: V3,
    limit: f64,
}

impl<T: Voxel> Profile<'_, T> {
    fn value(&self, t: f64) -> f64 {
        self.scene.cubic(add(self.p, self.normal, t)).value
    }

    /// Where the profile falls through a level, and how steeply; regula falsi (Illinois) from a bracket that grows the way the value at 0 points.
    fn crossing(&self, level: f64, slope: f64) -> Option<(f64, f64)> {
        let limit = self.limit;
        let excess = |t: f64| self.value(t) - level;
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

    /// Where the profile falls most steeply within the limit, and how steeply: a parabola through three slopes.
    fn steepest(&self, step: f64) -> Option<(f64, f64)> {
        let n = (self.limit / step).floor().clamp(1.0, 16.0) as i32;
        let values: Vec<f64> = (-n - 1..=n + 1).map(|m| self.value(f64::from(m) * step)).collect();
        let slopes: Vec<f64> = values.windows(3).map(|v| (v[0] - v[2]) / (2.0 * step)).collect();
        let at = (1..slopes.len() - 1)
            .filter(|&m| slopes[m] >= slopes[m - 1] && slopes[m] >= slopes[m + 1])
            .max_by(|&a, &b| slopes[a].total_cmp(&slopes[b]))?;
        let [before, here, after] = [slopes[at - 1], slopes[at], slopes[at + 1]];
        let bend = before - 2.0 * here + after;
        let part = if bend < 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 };
        here.is_finite().then_some(((at as f64 - f64::from(n) + part) * step, here))
    }
}
