//! `image.`: how good the scan is, and what it can carry (clause 9.3.4).

use crate::case::{Case, Part};
use crate::error::Error;
use crate::surface::{Estimate, ImageQuality};

use super::{Entry, Measured, Scope, Term};

const CLAUSE: &str = "9.3.4";

pub const ENTRIES: &[Entry] = &[
    entry("image.voxel_x", "mm", "体素 x", "voxel edge along i", "grid", |c, _| exact(c, |i| i.voxel_mm[0])),
    entry("image.voxel_y", "mm", "体素 y", "voxel edge along j", "grid", |c, _| exact(c, |i| i.voxel_mm[1])),
    entry("image.voxel_z", "mm", "体素 z", "distance between slices along their normal", "grid", |c, _| exact(c, |i| i.voxel_mm[2])),
    entry("image.slices", "1", "层数", "slices of the volume", "grid", |c, _| exact(c, |i| i.slices as f64)),
    entry(
        "image.edge_sigma",
        "mm",
        "边缘模糊 σ",
        "standard deviation of the edge spread at the part's own surface, voxel averaging included",
        "error function fitted to the median profile across the flatter half of the surface",
        |c, _| with(c, FIT, |i| (i.edge_sigma_mm, i.edge_sigma_u_mm())),
    ),
    entry(
        "image.contrast_to_noise",
        "1",
        "对比噪声比",
        "(material - air) / standard deviation of the grey values in flat regions",
        "modes of the histogram; differences of neighbours deep in one class",
        |c, _| with(c, "modes_and_noise", |i| (i.contrast_to_noise, i.contrast_to_noise * i.contrast_to_noise_relative_u)),
    ),
    entry(
        "image.saturation",
        "1",
        "饱和比例",
        "fraction of the material's voxels at the volume's highest grey value",
        "histogram",
        |c, _| exact(c, |i| i.saturation),
    ),
    entry(
        "image.cupping",
        "1",
        "杯状伪影",
        "(grey value below the surface - grey value half-way through the part) / contrast",
        "median along the normals",
        |c, _| estimated(c, |i| i.artefacts.cupping, "no way through the part is long enough to tell its inside from its edge"),
    ),
    entry(
        "image.streaks",
        "1",
        "条状伪影",
        "standard deviation of the air level beside the part that noise does not explain / contrast",
        "covariance of interleaved samples along the normals",
        |c, _| estimated(c, |i| i.artefacts.streaks, "there is not enough air around the part"),
    ),
    entry(
        "image.smallest_feature",
        "mm",
        "最小可测特征",
        "thinnest wall or gap whose two faces this scan shows unbiased: three edge blurs, and at least two voxels",
        "edge blur and grid",
        |c, _| with(c, FIT, |i| (i.smallest_feature_mm(), 3.0 * i.edge_sigma_u_mm())),
    ),
    entry(
        "image.smallest_tolerance",
        "mm",
        "最小可判公差",
        "smallest ± limit that a deviation at the part's far end can be judged against: U of one point from noise, surface offset and length scale",
        "U = 2u; median of the vertices",
        smallest_tolerance,
    ),
];

const fn entry(
    name: &'static str,
    unit: &'static str,
    zh: &'static str,
    definition: &'static str,
    source: &'static str,
    measure: super::Measure,
) -> Entry {
    Entry::new(name, unit, CLAUSE, zh, definition, source, measure)
}

/// Contribution of the fit of the edge profile.
const FIT: &str = "profile_fit";
const NO_IMAGE: &str = "the actual part is a mesh: only a volume has an image quality";

fn of_image(case: &Case, measure: impl Fn(&Part, &ImageQuality) -> Measured) -> Result<Measured, Error> {
    let part = case.actual()?;
    Ok(part.image.as_ref().map_or_else(|| Measured::not(NO_IMAGE), |image| measure(part, image)))
}

fn exact(case: &Case, value: impl Fn(&ImageQuality) -> f64) -> Result<Measured, Error> {
    of_image(case, |_, image| Measured::Value { value: value(image), terms: vec![] })
}

/// A value with its standard uncertainty of one origin.
fn with(case: &Case, name: &'static str, of: impl Fn(&ImageQuality) -> (f64, f64)) -> Result<Measured, Error> {
    of_image(case, |_, image| {
        let (value, u) = of(image);
        Measured::Value { value, terms: vec![Term { name, u }] }
    })
}

fn estimated(case: &Case, of: impl Fn(&ImageQuality) -> Option<Estimate>, reason: &str) -> Result<Measured, Error> {
    let value = |Estimate { value, u }| Measured::Value { value, terms: vec![Term { name: "sampling", u }] };
    of_image(case, |_, image| of(image).map_or_else(|| Measured::not(reason), value))
}

fn smallest_tolerance(case: &Case, _: &Scope) -> Result<Measured, Error> {
    of_image(case, |part, _| {
        let far = 0.5 * part.mesh.bounds().diagonal_mm();
        let terms = [part.typical_noise_mm(), part.offset_u_mm, far * part.scale_u];
        Measured::Value { value: 2.0 * terms.iter().map(|u| u * u).sum::<f64>().sqrt(), terms: vec![] }
    })
}
