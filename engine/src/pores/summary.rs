//! What lies behind the numbers of pores: the distribution of their sizes, what spheres of every size reach, and how much the
//! numbers owe to the border rule and to the threshold.

use serde::{Deserialize, Serialize};

use super::voids::equivalent_mm;
use super::{ClosedVoid, ShapeCount, Sizes};
use crate::porosity::Porosity;

/// Classes of the distribution of sizes.
const CLASSES: usize = 48;
/// Spheres of the curve of accessible volume.
const SPHERES: usize = 16;

/// Beside the quantities of `pores`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoreSummary {
    pub envelope: EnvelopeRecord,
    /// Edge of the cells that sizes were measured on.
    pub cell_mm: f64,
    /// Voids below this are not counted.
    pub least_void_mm3: f64,
    /// `null` without pores, or where nothing can be said of them.
    pub sizes: Option<SizeDistribution>,
    /// Empty unless asked for.
    pub accessible: Vec<Reached>,
    /// Limits of `pore.in_range`.
    pub range_mm: Option<[f64; 2]>,
    pub throats_mm: [Option<f64>; 3],
    pub border: BorderRule,
    pub shapes: Vec<ShapeCount>,
    pub sensitivity: Sensitivity,
    /// What the scan shows as neither air nor material; `null` where that cannot be told, and of meshes.
    pub unresolved: Option<UnresolvedGrey>,
}

/// What everything is a share of, or lies in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeRecord {
    /// `hull`, `volume`, `region NAME`, or the name of a mesh file.
    pub kind: String,
    /// Radius of the ball that closed the hull.
    pub closing_mm: Option<f64>,
    pub volume_mm3: f64,
}

/// Local pore diameters by volume, the mean of a measurement's two lattices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeDistribution {
    /// One more than there are classes, rising.
    pub edges_mm: Vec<f64>,
    /// Share of the pore volume in each class; they add up to 1.
    pub volume_share: Vec<f64>,
    pub d10_mm: f64,
    pub d50_mm: f64,
    pub d90_mm: f64,
}

/// The share of the pore volume that a sphere reaches from outside.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    pub diameter_mm: f64,
    pub share: f64,
}

/// Closed voids as counted: those that the envelope cuts are kept, with their whole volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BorderRule {
    pub kept: Counted,
    /// The same without those that touch the border.
    pub dropped: Counted,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    pub voids: u64,
    pub volume_mm3: f64,
    pub largest_mm3: f64,
}

/// By how much `porosity.total` falls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensitivity {
    /// For a surface that lies 1 µm further out: surface against pores per envelope volume.
    pub per_micrometre: f64,
    /// For a level that is lower by one hundredth of the step from air to material, on an edge blurred as the scan's are; `null` for a mesh.
    pub per_percent_of_contrast: Option<f64>,
}

/// Grey between air and material over more than an edge: powder, resin, voids finer than the voxels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnresolvedGrey {
    /// Of the envelope.
    pub share: f64,
    /// `porosity.total` with all of it counted as solid, and as pores.
    pub total_as_solid: f64,
    pub total_as_pores: f64,
}

impl UnresolvedGrey {
    pub fn of(porosity: &Porosity) -> Option<UnresolvedGrey> {
        let (shares, total) = (porosity.unresolved?, porosity.fractions.total);
        let as_pores = shares.open + shares.closed;
        Some(UnresolvedGrey { share: shares.all(), total_as_solid: total - as_pores, total_as_pores: total + shares.solid })
    }
}

impl PoreSummary {
    /// Diameter of the smallest ball that counts as a void, mm.
    pub fn least_void_mm(&self) -> f64 {
        equivalent_mm(self.least_void_mm3)
    }
}

impl SizeDistribution {
    /// `None` without pores.
    pub fn of([a, b]: &[Sizes; 2]) -> Option<SizeDistribution> {
        if a.cells() == 0 || b.cells() == 0 {
            return None;
        }
        let mean = |of: &dyn Fn(&Sizes) -> f64| 0.5 * (of(a) + of(b));
        let width = class_width(a.quantile_mm(1.0).max(b.quantile_mm(1.0)));
        let edges_mm: Vec<f64> = (0..=CLASSES).map(|n| n as f64 * width).collect();
        // Below a class's upper edge, so that what lies on an edge counts once.
        let below = |edge: f64| mean(&|s| s.share_below(edge));
        let mut shares: Vec<f64> = edges_mm.windows(2).map(|e| below(e[1]) - below(e[0])).collect();
        if let Some(last) = shares.last_mut() {
            *last += 1.0 - below(edges_mm[CLASSES]);
        }
        let [d10_mm, d50_mm, d90_mm] = [0.1, 0.5, 0.9].map(|q| mean(&|s| s.quantile_mm(q)));
        Some(SizeDistribution { edges_mm, volume_share: shares, d10_mm, d50_mm, d90_mm })
    }

    /// Diameters of spheres from `least_mm` to the largest pore's, evenly spaced; none where no pore is that large.
    pub fn spheres_mm(&self, least_mm: f64) -> Vec<f64> {
        let filled = self.volume_share.iter().rposition(|s| *s > 0.0).map_or(0.0, |n| self.edges_mm[n + 1]);
        if filled <= least_mm {
            return vec![];
        }
        (0..SPHERES).map(|n| least_mm + (filled - least_mm) * n as f64 / (SPHERES - 1) as f64).collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten of which the classes cover the largest diameter.
fn class_width(largest_mm: f64) -> f64 {
    let decades = (-6..4).flat_map(|p| [1.0, 2.0, 5.0].map(|m| (m, p)));
    let width = |(m, p): (f64, i32)| if p < 0 { m / 10u32.pow(-p as u32) as f64 } else { m * 10u32.pow(p as u32) as f64 };
    decades.map(width).find(|w| w * CLASSES as f64 > largest_mm).unwrap_or(1e4)
}

impl BorderRule {
    /// Of the voids of at least a volume.
    pub fn of(voids: &[ClosedVoid], least_mm3: f64) -> BorderRule {
        let counted = |keep: &dyn Fn(&ClosedVoid) -> bool| {
            voids.iter().filter(|v| v.volume_mm3 >= least_mm3 && keep(v)).fold(Counted::default(), |c, v| Counted {
                voids: c.voids + 1,
                volume_mm3: c.volume_mm3 + v.volume_mm3,
                largest_mm3: c.largest_mm3.max(v.volume_mm3),
            })
        };
        BorderRule { kept: counted(&|_| true), dropped: counted(&|v| !v.touches_border) }
    }
}
