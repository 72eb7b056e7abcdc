//! Pictures of the deviation: a part from all sides, coloured by its signed deviation, drawn on the CPU.
//!
//! Task: one sheet of orthographic views at one common scale, as PNG, with nothing written on it, and a [`Layout`] that says where
//! everything lies, so that a report sets axes, marks, scale and colour bar as crisp text over it. Both are signed evidence.
//! Method: z-buffer with exact integer coverage (`raster`), value interpolated before it is coloured (`colour`), 2×2 samples a pixel,
//! averaged in linear light. A face seen square-on has exactly the colour of the scale; shading only darkens, hue stays.
//! A triangle with an unmeasured corner is grey. Bits depend on the inputs alone, not on threads or machine.
//! Cost: a million triangles in eight views well below a second on two cores; 12 bytes a sample.

pub mod colour;
mod raster;

use nalgebra::{Point3, Vector3};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::mesh::{Mesh, MeshError};
use crate::sum;
use raster::{Basis, Camera, Samples, Scene};

#[derive(Debug, Error, PartialEq)]
pub enum RenderError {
    #[error("the picture needs one value per vertex; found {found} values for {vertices} vertices")]
    Values { found: usize, vertices: usize },
    #[error("the colour range is {low} to {high} mm; allowed is a finite range with 0 inside")]
    Range { low: f64, high: f64 },
    #[error("the sheet is {width} by {height} pixels; allowed are 480 to 8192 each")]
    Size { width: u32, height: u32 },
    #[error("the picture could not be encoded: {0}")]
    Encoding(String),
}

impl RenderError {
    pub fn code(&self) -> &'static str {
        match self {
            RenderError::Values { .. } => "render.values",
            RenderError::Range { .. } => "render.range",
            RenderError::Size { .. } => "render.size",
            RenderError::Encoding(_) => "render.encoding",
        }
    }
}

/// Every input of a picture is made by verimetry itself, so whatever is wrong with one is a defect.
impl From<RenderError> for crate::Error {
    fn from(e: RenderError) -> Self {
        crate::Error::defect(format!("{e} ({})", e.code()))
    }
}

/// A point to be shown in every view that sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// On the surface, in the frame of the mesh.
    pub point: Point3<f64>,
    pub label: String,
}

/// Bounds of the sheet, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub width_px: u32,
    pub max_height_px: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { width_px: 1920, max_height_px: 1600 }
    }
}

/// A sheet of views and where things lie on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    pub png: Vec<u8>,
    pub layout: Layout,
}

/// Positions on the sheet: pixels from its upper left corner, right and down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    pub width_px: u32,
    pub height_px: u32,
    /// One scale for all views.
    pub mm_per_pixel: f64,
    pub scale_bar: ScaleBar,
    /// Deviations at the two ends of the colours, mm.
    pub range_mm: [f64; 2],
    /// sRGB at equal steps from the low end of the range to the high end.
    pub colours: Vec<[u8; 3]>,
    pub unmeasured_colour: [u8; 3],
    pub views: Vec<ViewLayout>,
}

/// A round length that fits beside the views.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleBar {
    pub length_mm: f64,
    pub length_px: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewLayout {
    /// `front`, `right`, `top`, `above`, `back`, `left`, `bottom`, `below`.
    pub name: String,
    /// The view's cell: picture and, below it, a band for its name and axes.
    pub x_px: u32,
    pub y_px: u32,
    pub width_px: u32,
    pub height_px: u32,
    /// Height of the band at the foot of the cell.
    pub band_px: u32,
    /// Unit axes X, Y, Z of the part as seen: components to the right, up, and toward the viewer.
    pub axes: [[f64; 3]; 3],
    /// Marks that this view sees.
    pub marks: Vec<MarkLayout>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkLayout {
    pub label: String,
    pub x_px: f64,
    pub y_px: f64,
    /// Cosine between the surface normal there and the direction to the viewer.
    pub facing: f64,
}

/// Name, direction to the viewer, upright direction; first row of the sheet, then the second, so that opposite sides stand below each other.
const VIEWS: [(&str, [f64; 3], [f64; 3]); 8] = [
    ("front", [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]),
    ("right", [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]),
    ("top", [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]),
    ("above", [1.0, -1.0, 1.0], [0.0, 0.0, 1.0]),
    ("back", [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]),
    ("left", [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]),
    ("bottom", [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]),
    ("below", [-1.0, 1.0, -1.0], [0.0, 0.0, 1.0]),
];
const COLUMNS: usize = VIEWS.len() / 2;
const MARGIN: usize = 24;
const BAND: usize = 104;
const COLOUR_STEPS: usize = 64;

/// Draws the part from eight sides, coloured by the value at each vertex (mm; NaN where unmeasured) over `range_mm`, which holds 0 inside.
pub fn deviation_views(mesh: &Mesh, values_mm: &[f64], range_mm: [f64; 2], marks: &[Mark], options: Options) -> Result<Sheet, RenderError> {
    let [low, high] = range_mm;
    if values_mm.len() != mesh.vertices().len() {
        return Err(RenderError::Values { found: values_mm.len(), vertices: mesh.vertices().len() });
    }
    if !(low < 0.0 && high > 0.0 && low.is_finite() && high.is_finite()) {
        return Err(RenderError::Range { low, high });
    }
    let (width, height) = (options.width_px, options.max_height_px);
    if [width, height].iter().any(|n| !(480..=8192).contains(n)) {
        return Err(RenderError::Size { width, height });
    }
    let arrangement = Arrangement::of(mesh, width as usize, height as usize);
    let scene = Scene::new(mesh, values_mm);
    let drawn: Vec<Samples> = arrangement.cameras.par_iter().map(|camera| raster::draw(&scene, camera)).collect();
    let views = (0..VIEWS.len()).map(|i| arrangement.view_layout(i, &scene, &drawn[i], marks)).collect();
    let length_mm = round_length(0.16 * arrangement.width as f64 / arrangement.pixels_per_mm);
    let layout = Layout {
        width_px: arrangement.width as u32,
        height_px: arrangement.height as u32,
        mm_per_pixel: 1.0 / arrangement.pixels_per_mm,
        scale_bar: ScaleBar { length_mm, length_px: length_mm * arrangement.pixels_per_mm },
        range_mm,
        colours: (0..=COLOUR_STEPS).map(|i| colour::of(low + (high - low) * i as f64 / COLOUR_STEPS as f64, range_mm)).collect(),
        unmeasured_colour: colour::UNMEASURED,
        views,
    };
    let png = encode(&arrangement.compose(&drawn, range_mm), layout.width_px, layout.height_px)?;
    Ok(Sheet { png, layout })
}

/// Where the views stand, and the one scale they share.
struct Arrangement {
    width: usize,
    height: usize,
    pixels_per_mm: f64,
    /// Upper left corner of each view's picture.
    corners: Vec<[usize; 2]>,
    cameras: Vec<Camera>,
}

impl Arrangement {
    fn of(mesh: &Mesh, width: usize, max_height: usize) -> Arrangement {
        let bases = VIEWS.map(|(_, toward, up)| Basis::looking_from(toward, up));
        let extents = bases.map(|basis| extent(mesh, &basis));
        let size = |i: usize, axis: usize| extents[i][axis][1] - extents[i][axis][0];
        let columns: [f64; COLUMNS] = std::array::from_fn(|c| size(c, 0).max(size(c + COLUMNS, 0)));
        let rows: [f64; 2] = [0, COLUMNS].map(|first| (first..first + COLUMNS).map(|i| size(i, 1)).fold(0.0, f64::max));
        let free = [width - 2 * MARGIN * COLUMNS, max_height - 2 * (2 * MARGIN + BAND)];
        let fits = |pixels: usize, mm: f64| pixels as f64 / mm.max(1e-9);
        let pixels_per_mm = fits(free[0], columns.iter().sum()).min(fits(free[1], rows.iter().sum()));
        // What the height leaves over in width goes between the columns.
        let pixels = |mm: f64| (mm * pixels_per_mm) as usize;
        let spare = free[0].saturating_sub(columns.iter().map(|&c| pixels(c)).sum()) / COLUMNS;
        let widths = columns.map(|c| pixels(c) + spare + 2 * MARGIN);
        let heights = rows.map(|r| pixels(r).max(1) + 2 * MARGIN);
        let middle = |[low, high]: [f64; 2]| 0.5 * (low + high);
        let place = |i: usize| {
            let (column, row) = (i % COLUMNS, i / COLUMNS);
            let corner = [widths[..column].iter().sum(), row * (heights[0] + BAND)];
            let centre_mm = [middle(extents[i][0]), middle(extents[i][1])];
            (corner, Camera { basis: bases[i], centre_mm, pixels_per_mm, width: widths[column], height: heights[row] })
        };
        let (corners, cameras) = (0..VIEWS.len()).map(place).unzip();
        Arrangement { width, height: heights[0] + heights[1] + 2 * BAND, pixels_per_mm, corners, cameras }
    }

    fn view_layout(&self, i: usize, scene: &Scene, drawn: &Samples, marks: &[Mark]) -> ViewLayout {
        let ([x, y], camera) = (self.corners[i], &self.cameras[i]);
        let basis = &camera.basis;
        let seen = |mark: &Mark| {
            let (at, depth) = camera.project(&mark.point);
            let facing = scene.normal_near(&mark.point).dot(&basis.toward);
            drawn.shows(at, depth).then(|| MarkLayout { label: mark.label.clone(), x_px: x as f64 + at[0], y_px: y as f64 + at[1], facing })
        };
        ViewLayout {
            name: VIEWS[i].0.into(),
            x_px: x as u32,
            y_px: y as u32,
            width_px: camera.width as u32,
            height_px: (camera.height + BAND) as u32,
            band_px: BAND as u32,
            axes: [0, 1, 2].map(|a| [basis.right[a], basis.up[a], basis.toward[a]]),
            marks: marks.iter().filter_map(seen).collect(),
        }
    }

    /// The sheet, RGB, white where no part is.
    fn compose(&self, drawn: &[Samples], range_mm: [f64; 2]) -> Vec<u8> {
        let mut sheet = vec![255u8; self.width * self.height * 3];
        sheet.par_chunks_mut(self.width * 3).enumerate().for_each(|(row, line)| {
            for ((camera, &[x, y]), samples) in self.cameras.iter().zip(&self.corners).zip(drawn) {
                if (y..y + camera.height).contains(&row) {
                    samples.pixel_row(row - y, range_mm, &mut line[x * 3..(x + camera.width) * 3]);
                }
            }
        });
        sheet
    }
}

/// Points as scales that can be drawn: at each an equilateral triangle across its normal, its first corner the point. A point's three corners
/// follow each other.
pub fn scales(points: &[Point3<f64>], normals: &[Vector3<f64>], size_mm: f64) -> Result<Mesh, MeshError> {
    let corners = |i: usize| {
        let normal = normals[i].try_normalize(0.0).unwrap_or_else(Vector3::z);
        let aside = if normal.z.abs() < 0.9 { Vector3::z() } else { Vector3::x() };
        let along = normal.cross(&aside).normalize() * size_mm;
        let other = along * 0.5 + normal.cross(&along) * (0.75_f64).sqrt();
        [points[i], points[i] + along, points[i] + other]
    };
    let vertices = (0..points.len().min(normals.len())).flat_map(corners).collect::<Vec<_>>();
    let triangles = (0..vertices.len() as u32 / 3).map(|t| [3 * t, 3 * t + 1, 3 * t + 2]).collect();
    Mesh::new(vertices, triangles)
}

/// Least and greatest coordinate along the right and up axes of a view, mm.
fn extent(mesh: &Mesh, basis: &Basis) -> [[f64; 2]; 2] {
    let empty = [[f64::INFINITY, f64::NEG_INFINITY]; 2];
    let join = |a: [f64; 2], b: [f64; 2]| [a[0].min(b[0]), a[1].max(b[1])];
    let grow = |e: [[f64; 2]; 2], v: usize| {
        let p = mesh.vertices()[v].coords;
        let (u, w) = (p.dot(&basis.right), p.dot(&basis.up));
        [join(e[0], [u; 2]), join(e[1], [w; 2])]
    };
    sum::fold(mesh.vertices().len(), || empty, grow, |a, b| [join(a[0], b[0]), join(a[1], b[1])])
}

/// The largest of 1, 2, 5 times a power of ten that does not exceed a length.
pub(crate) fn round_length(length_mm: f64) -> f64 {
    let decades = (-6..=6).map(|e: i32| format!("1e{e}").parse().unwrap_or(1.0)); // decimal literals: exact where a product is not
    let steps = decades.flat_map(|d: f64| [d, 2.0 * d, 5.0 * d]);
    steps.filter(|&s| s <= length_mm).fold(1e-6, f64::max)
}

fn encode(rgb: &[u8], width: u32, height: u32) -> Result<Vec<u8>, RenderError> {
    let failed = |e: png::EncodingError| RenderError::Encoding(e.to_string());
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::RelativeColorimetric);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(rgb).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}
