//! One orthographic view of a mesh into a supersampled depth, value and light buffer, then into pixels.
//!
//! Coordinates are snapped to 1/256 sample and coverage is decided by exact integer edge functions with the top-left rule, so
//! neighbouring triangles neither overlap nor gape. Triangles are drawn in their order; the nearer wins, the earlier on a tie:
//! the picture is a function of its inputs alone. Cost: one pass over vertices and triangles a view.

use nalgebra::{Point3, Vector3};

use super::colour;
use crate::mesh::Mesh;

/// Samples per pixel edge.
pub(super) const SUPERSAMPLE: usize = 2;
const SUBSAMPLE: f64 = 256.0;
const HALF: i64 = 128;
const EMPTY: f32 = f32::INFINITY;

/// Cosine of the angle (40°) beyond which a corner is a crease and takes its triangle's normal.
const CREASE_COSINE: f64 = 0.766;
/// A step in depth of this many samples draws an outline.
const OUTLINE_SAMPLES: f32 = 14.0;
const OUTLINE_LIGHT: f32 = 0.30;

/// Orthonormal axes of a view in the frame of the part: image right, image up, and from the part to the viewer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Basis {
    pub right: Vector3<f64>,
    pub up: Vector3<f64>,
    pub toward: Vector3<f64>,
}

impl Basis {
    /// Looking from `toward` with `up` upright in the image (made orthogonal to `toward`).
    pub(super) fn looking_from(toward: [f64; 3], up: [f64; 3]) -> Basis {
        let toward = Vector3::from(toward).normalize();
        let right = Vector3::from(up).cross(&toward).normalize();
        Basis { right, up: toward.cross(&right), toward }
    }

    /// A light above the viewer's left shoulder: what is seen square-on keeps exactly the colour of the scale.
    fn light(&self) -> Vector3<f64> {
        (self.toward + self.up * 0.45 - self.right * 0.35).normalize()
    }
}

fn brightness(toward_light: f32) -> f32 {
    (0.45 + 0.65 * toward_light).clamp(0.30, 1.0)
}

/// What every view shares: values, vertex normals and the creases.
pub(super) struct Scene<'a> {
    mesh: &'a Mesh,
    values: Vec<f32>,
    normals: Vec<Vector3<f64>>,
    /// Per triangle: its unit normal and a bit per corner that takes it instead of the vertex normal.
    faces: Vec<(Vector3<f32>, u8)>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(mesh: &'a Mesh, values_mm: &[f64]) -> Self {
        use rayon::prelude::*;
        let normals = mesh.vertex_normals();
        let faces = (0..mesh.triangles().len())
            .into_par_iter()
            .map(|t| {
                let face = mesh.area_vector(t).try_normalize(0.0).unwrap_or_else(Vector3::zeros);
                let corner = mesh.triangles()[t].map(|v| normals[v as usize].dot(&face) < CREASE_COSINE);
                (face.cast(), corner.iter().enumerate().fold(0, |bits, (c, &crease)| bits | u8::from(crease) << c))
            })
            .collect();
        Scene { mesh, values: values_mm.iter().map(|&v| v as f32).collect(), normals, faces }
    }

    /// Normal of the vertex nearest to a point.
    pub(super) fn normal_near(&self, p: &Point3<f64>) -> Vector3<f64> {
        let squared = |v: usize| (self.mesh.vertices()[v] - p).norm_squared();
        let nearest = (0..self.normals.len()).map(|v| (squared(v), v)).min_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        nearest.map_or_else(Vector3::zeros, |(_, v)| self.normals[v])
    }
}

/// A view on its own pixel grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Camera {
    pub basis: Basis,
    /// Middle of the image in the plane of the view: coordinates along right and up, mm.
    pub centre_mm: [f64; 2],
    pub pixels_per_mm: f64,
    pub width: usize,
    pub height: usize,
}

impl Camera {
    /// Pixel position (right and down from the upper left corner) and depth (mm, larger is farther).
    pub(super) fn project(&self, p: &Point3<f64>) -> ([f64; 2], f64) {
        let (u, v) = (p.coords.dot(&self.basis.right), p.coords.dot(&self.basis.up));
        let x = 0.5 * self.width as f64 + (u - self.centre_mm[0]) * self.pixels_per_mm;
        let y = 0.5 * self.height as f64 - (v - self.centre_mm[1]) * self.pixels_per_mm;
        ([x, y], -p.coords.dot(&self.basis.toward))
    }
}

/// The drawn samples of one view.
pub(super) struct Samples {
    width: usize,
    height: usize,
    depth: Vec<f32>,
    value: Vec<f32>,
    light: Vec<f32>,
    sample_mm: f32,
}

#[derive(Clone, Copy)]
struct Corner {
    x: i64,
    y: i64,
    depth: f32,
    /// Cosine between the vertex normal and the light.
    lit: f32,
}

pub(super) fn draw(scene: &Scene, camera: &Camera) -> Samples {
    let (width, height) = (camera.width * SUPERSAMPLE, camera.height * SUPERSAMPLE);
    let mut samples = Samples {
        width,
        height,
        depth: vec![EMPTY; width * height],
        value: vec![f32::NAN; width * height],
        light: vec![1.0; width * height],
        sample_mm: (1.0 / (camera.pixels_per_mm * SUPERSAMPLE as f64)) as f32,
    };
    let light = camera.basis.light();
    let light_f32: Vector3<f32> = light.cast();
    let snap = |pixels: f64| (pixels * SUPERSAMPLE as f64 * SUBSAMPLE).round() as i64;
    let corners: Vec<Corner> = (scene.mesh.vertices().iter().zip(&scene.normals))
        .map(|(p, n)| {
            let ([x, y], depth) = camera.project(p);
            Corner { x: snap(x), y: snap(y), depth: depth as f32, lit: n.dot(&light) as f32 }
        })
        .collect();
    for (triangle, (face, creases)) in scene.mesh.triangles().iter().zip(&scene.faces) {
        let mut c = triangle.map(|v| corners[v as usize]);
        let mut values = triangle.map(|v| scene.values[v as usize]);
        if *creases != 0 {
            let lit = face.dot(&light_f32);
            (0..3).filter(|k| creases >> k & 1 == 1).for_each(|k| c[k].lit = lit);
        }
        // Image y runs down, so a triangle that turns counter-clockwise seen from the viewer has a negative area here.
        let area = (c[1].x - c[0].x) * (c[2].y - c[0].y) - (c[2].x - c[0].x) * (c[1].y - c[0].y);
        if area > 0 {
            c.iter_mut().for_each(|c| c.lit = -c.lit); // its back is seen: an open or turned surface
        } else {
            c.swap(1, 2);
            values.swap(1, 2);
        }
        if area != 0 {
            samples.fill(&c, values, area.abs());
        }
    }
    samples
}

impl Samples {
    /// Fills a triangle of positive doubled area (1/256 samples squared).
    fn fill(&mut self, c: &[Corner; 3], values: [f32; 3], area: i64) {
        let first = |lowest: i64| (lowest - HALF + 255).div_euclid(256).max(0);
        let last = |highest: i64, size: usize| (highest - HALF).div_euclid(256).min(size as i64 - 1);
        let low = |f: fn(&Corner) -> i64| f(&c[0]).min(f(&c[1])).min(f(&c[2]));
        let high = |f: fn(&Corner) -> i64| f(&c[0]).max(f(&c[1])).max(f(&c[2]));
        let (x0, x1) = (first(low(|c| c.x)), last(high(|c| c.x), self.width));
        let (y0, y1) = (first(low(|c| c.y)), last(high(|c| c.y), self.height));
        if x0 > x1 || y0 > y1 {
            return;
        }
        // Edge k lies opposite corner k; its function is positive inside and steps by (dx, dy) per sample.
        let (px, py) = (x0 * 256 + HALF, y0 * 256 + HALF);
        let edges: [[i64; 4]; 3] = std::array::from_fn(|k| {
            let (a, b) = (c[(k + 1) % 3], c[(k + 2) % 3]);
            let (ex, ey) = (b.x - a.x, b.y - a.y);
            let at = ex * (py - a.y) - ey * (px - a.x);
            // Exactly one of the two triangles at an edge owns the samples on it (top-left rule).
            let owns = ey < 0 || (ey == 0 && ex > 0);
            [at, -ey * 256, ex * 256, i64::from(!owns)]
        });
        let scale = 1.0 / area as f32;
        for y in y0..=y1 {
            let down = y - y0;
            let mut w: [i64; 3] = std::array::from_fn(|k| edges[k][0] + edges[k][2] * down);
            let row = y as usize * self.width;
            for x in x0..=x1 {
                if (0..3).all(|k| w[k] >= edges[k][3]) {
                    let b = w.map(|w| w as f32 * scale);
                    let mix = |v: [f32; 3]| v[0] * b[0] + v[1] * b[1] + v[2] * b[2];
                    let depth = mix([c[0].depth, c[1].depth, c[2].depth]);
                    let at = row + x as usize;
                    if depth < self.depth[at] {
                        self.depth[at] = depth;
                        self.value[at] = mix(values);
                        self.light[at] = brightness(mix([c[0].lit, c[1].lit, c[2].lit]));
                    }
                }
                (0..3).for_each(|k| w[k] += edges[k][1]);
            }
        }
    }

    /// Whether nothing hides a point: its depth is that of the picture within three pixels of slope.
    pub(super) fn shows(&self, [x, y]: [f64; 2], depth_mm: f64) -> bool {
        let at = |pixels: f64, size: usize| ((pixels * SUPERSAMPLE as f64).max(0.0) as usize).min(size - 1);
        let seen = self.depth[at(y, self.height) * self.width + at(x, self.width)];
        seen.is_finite() && depth_mm as f32 <= seen + 3.0 * SUPERSAMPLE as f32 * self.sample_mm
    }

    /// One row of pixels, RGB.
    pub(super) fn pixel_row(&self, y: usize, range_mm: [f64; 2], rgb: &mut [u8]) {
        let grey = colour::UNMEASURED.map(colour::decode);
        for (x, pixel) in rgb.chunks_exact_mut(3).enumerate() {
            let mut sum = [0.0f32; 3];
            for s in 0..SUPERSAMPLE * SUPERSAMPLE {
                let (sx, sy) = (x * SUPERSAMPLE + s % SUPERSAMPLE, y * SUPERSAMPLE + s / SUPERSAMPLE);
                let at = sy * self.width + sx;
                let colour = if self.depth[at] == EMPTY {
                    [1.0; 3]
                } else {
                    let value = self.value[at];
                    let base = if value.is_nan() { grey } else { colour::linear(colour::position(value, range_mm)) };
                    let light = if self.is_outline(sx, sy) { OUTLINE_LIGHT } else { 1.0 } * self.light[at];
                    base.map(|c| c * light)
                };
                (0..3).for_each(|k| sum[k] += colour[k]);
            }
            let share = 1.0 / (SUPERSAMPLE * SUPERSAMPLE) as f32;
            pixel.copy_from_slice(&sum.map(|c| colour::encode(c * share)));
        }
    }

    /// The part ends here, or something much farther begins beside it.
    fn is_outline(&self, x: usize, y: usize) -> bool {
        let (w, at) = (self.width, y * self.width + x);
        let edge = self.depth[at] + OUTLINE_SAMPLES * self.sample_mm;
        let farther = |inside: bool, at: usize| inside && self.depth[at] > edge;
        farther(x > 0, at.wrapping_sub(1))
            || farther(x + 1 < w, at + 1)
            || farther(y > 0, at.wrapping_sub(w))
            || farther(y + 1 < self.height, at + w)
    }
}
